//! The real checkout: its files can be read, and its claims about seeded defects hold.

use std::path::Path;

use crate::support::{Ran, wireskew};

fn here(args: &[&str]) -> Ran {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let ran = wireskew(&root, args);
    assert_eq!(ran.code, Some(0), "{args:?}\n{}{}", ran.stdout, ran.stderr);
    ran
}

#[track_caller]
fn check(args: &[&str], line: &str) {
    let ran = here(args);
    assert!(ran.stdout.lines().any(|l| l.starts_with(line)), "{args:?} has no `{line}`:\n{}", ran.stdout);
}

#[test]
fn lists_everything_that_there_is() {
    check(&["list"], "lxc-command/probe..ideal/probe/unknown-payload-16\tplay");
    check(
        &["list", "--matrix", "matrices/live.toml"],
        "lxc-command/probe..4.0.6/probe/unknown-payload-16\tplay",
    );
    check(&["list", "--what", "protocols"], "lxc-command\t");
    check(&["list", "--what", "dialects"], "lxc-command\tideal");
    check(&["list", "--what", "cases"], "lxc-command/client/attach\t");
    check(&["list", "--what", "builds"], "lxc-command@7.0.0\t");
    check(&["list", "--what", "defects"], "lxc-command\tdoes-not-drain\t");
    check(&["builds", "list"], "lxc-command@4.0.6\t");
}

#[test]
fn proves_a_defect() {
    check(&["selftest", "does-not-drain"], "proven   lxc-command: defect does-not-drain is found");
}

#[test]
fn completes_in_every_shell() {
    for (shell, words) in
        [("bash", "_wireskew"), ("zsh", "#compdef wireskew"), ("fish", "complete -c wireskew")]
    {
        let ran = here(&["completions", shell]);
        assert!(ran.stdout.contains(words), "{shell}");
    }
}
