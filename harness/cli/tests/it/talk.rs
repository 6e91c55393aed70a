//! What goes to standard error, and when.

use std::io::Read as _;

use rustix::fs::{CWD, FileType, Mode};

use crate::support::{Project, finish, signal};

/// Reading waits for a writer that never comes, so what is there was written before anything was read.
#[test]
fn something_is_seen_before_the_project_is_read() {
    for args in [&["run"][..], &["repro", "lxc-command/probe..old/probe/unknown-payload-0"]] {
        let project = Project::new();
        let builds = project.path("matrices/lxc-command/builds.toml");
        std::fs::remove_file(&builds).expect("it was written");
        rustix::fs::mknodat(CWD, &builds, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).expect("a pipe");
        let mut child = project.start(args);
        let mut line = [0; "reading matrices/default.toml\n".len()];
        let stderr = child.stderr.as_mut().expect("it is piped");
        stderr.read_exact(&mut line).expect("a line comes");
        assert_eq!(String::from_utf8_lossy(&line), "reading matrices/default.toml\n", "{args:?}");
        signal(child.id(), rustix::process::Signal::KILL);
        assert_eq!(finish(child).stdout, "");
    }
}

#[test]
fn quiet_says_nothing_and_verbose_says_more() {
    let project = Project::new();
    assert_eq!(project.wireskew(&["run", "--quiet"]).stderr, "");
    let plain = project.wireskew(&["run"]).stderr;
    assert!(plain.starts_with("reading matrices/default.toml\n9 cells planned\n"), "{plain}");
    assert!(!plain.contains("INFO"), "{plain}");
    let verbose = project.wireskew(&["run", "--verbose", "--seed", "7"]).stderr;
    assert!(verbose.contains(" INFO running cells=9 done=0 seed=7\n"), "{verbose}");
}

/// Whatever layer it comes from: on standard error, a whole line, and not where results go.
#[test]
fn a_warning_reaches_the_user() {
    let project = Project::new();
    project.write("target/wireskew/transcripts", "no folder");
    let warning = " WARN what an earlier run left cannot be removed path=target/wireskew/transcripts error=";
    let ran = project.wireskew(&["run"]);
    assert_eq!(ran.code, Some(0), "{}{}", ran.stdout, ran.stderr);
    assert!(ran.stderr.lines().any(|line| line.starts_with(warning)), "{}", ran.stderr);
    assert!(!ran.stdout.contains("WARN"), "{}", ran.stdout);
    assert_eq!(project.wireskew(&["run", "--quiet"]).stderr, "");
    let ran = project.wireskew_with(("WIRESKEW_LOG", "off"), &["run"]);
    assert!(!ran.stderr.contains("WARN"), "{}", ran.stderr);
}

#[test]
fn a_variable_says_how_much_is_said() {
    let project = Project::new();
    let ran = project.wireskew_with(("WIRESKEW_LOG", "info"), &["run", "--seed", "7"]);
    assert!(ran.stderr.contains(" INFO running cells=9 done=0 seed=7\n"), "{}", ran.stderr);
    let ran = project.wireskew_with(("WIRESKEW_LOG", "loud"), &["run"]);
    assert_eq!(ran.code, Some(2), "{}", ran.stderr);
    assert!(ran.stderr.contains("WIRESKEW_LOG is `loud`, which is no level"), "{}", ran.stderr);
}
