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
    check(
        &["list", "--matrix", "matrices/containers.toml", "-E", "source(container)"],
        "lxc-command/5.0.2..5.0.2/client/attach\toperate",
    );
}

#[test]
fn proves_a_defect() {
    check(&["selftest", "does-not-drain"], "proven   lxc-command: defect does-not-drain is found");
}

/// Undeclared changes would be violations, and end the command with another code.
#[test]
fn libvirt_only_adds_but_for_one_procedure() {
    let ran = here(&["lock", "--changes"]);
    let (_, libvirt) = ran.stdout.split_once("libvirt-remote: 7.0.0 -> 9.0.0\n").expect("the first step");
    let (libvirt, _) = libvirt.split_once(" violations").expect("the sum behind all steps");
    let steps: Vec<_> = libvirt.lines().filter_map(|line| line.strip_prefix("libvirt-remote: ")).collect();
    assert_eq!(steps, ["9.0.0 -> 11.3.0", "11.3.0 -> 12.8.0", "12.8.0 -> ideal", "5 dialects, 0"]);
    let told = |line: &&str| line.starts_with("  ") && !line.starts_with("    ");
    let others: Vec<_> = libvirt.lines().filter(told).filter(|line| !line.starts_with("  adds ")).collect();
    assert!(others[0].starts_with("  changes remote/291: section, command -> "), "{others:?}");
    assert_eq!(others[1..], ["  changes nothing that is locked"], "of the ideal");
    assert!(
        libvirt.contains("    virsh announces interfaces (measured on virsh 12.8.0: 456)\n"),
        "{libvirt}"
    );
    assert!(libvirt.contains("  adds 18 remote: DOMAIN_GET_MESSAGES "), "{libvirt}");
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
