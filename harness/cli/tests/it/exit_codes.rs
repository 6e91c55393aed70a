//! Every exit code that the help lists, reached by what people do.

use crate::support::Project;

#[track_caller]
fn check(project: &Project, args: &[&str], code: i32) {
    let ran = project.wireskew(args);
    assert_eq!(ran.code, Some(code), "{args:?}\n{}\n{}", ran.stdout, ran.stderr);
}

#[test]
fn everything_as_expected_is_0() {
    let project = Project::new();
    check(&project, &[], 0);
    check(&project, &["run", "--matrix", "matrices/red.toml", "**/unknown-payload-16"], 0);
    check(&project, &["list"], 0);
    check(&project, &["probe", "two-in-one-write", "--protocol", "lxc"], 0);
    check(&project, &["completions", "bash"], 0);
}

#[test]
fn a_wrong_command_line_is_2() {
    let project = Project::new();
    check(&project, &["walk"], 2);
    check(&project, &["run", "--nonsense"], 2);
    check(&project, &["run", "-E", "server(>=5"], 2);
    check(&project, &["run", "-E", "verdict(broken)"], 2);
    check(&project, &["run", "--partition", "hash:3/2"], 2);
    check(&project, &["repro", "no-cell"], 2);
    // Several protocols have it.
    check(&project, &["probe", "two-in-one-write"], 2);
    check(&project, &["builds", "fetch", "4.0.6"], 2);
}

/// There is no project to read here: what is said is about the command line all the same.
#[test]
fn a_wrong_command_line_is_refused_before_anything_is_read() {
    let project = Project::new();
    std::fs::remove_dir_all(project.path("matrices")).expect("it was written");
    check(&project, &["run"], 96);
    for args in [
        &["run", "-E", "server(>=5"][..],
        &["run", "-E", "verdict(broken)"],
        &["run", "lxc-command/**/["],
        &["run", "@none.txt"],
        &["run", "--partition", "hash:3/2"],
        &["list", "--partition", "hash:0/2"],
        &["list", "-E", "case("],
        &["run", "--grid", "--output", "json"],
        &["run", "--quiet", "--verbose"],
        &["report", "none.json", "--known", "--output", "junit"],
        &["record", "lxc-command/**/["],
        &["repro", "no-cell"],
        &["expect", "update", "--reason", "known"],
        &["expect", "update", "--reason", "known", "--bug", "none"],
    ] {
        check(&project, args, 2);
    }
    let ran = project.wireskew(&["run", "--resume"]);
    assert_eq!(ran.code, Some(96));
    assert!(ran.stderr.contains("there is no run to resume"), "{}", ran.stderr);
    assert!(!project.path("target").exists(), "nothing was written");
}

#[test]
fn nothing_to_run_is_4() {
    let project = Project::new();
    check(&project, &["run", "**/no-such-case"], 4);
    check(&project, &["list", "**/no-such-case"], 4);
    check(&project, &["probe", "no-such-probe"], 4);
    check(&project, &["repro", "lxc-command/probe..old/probe/unknown-payload-0"], 4);
    check(&project, &["selftest", "no-such-claim"], 4);
}

#[test]
fn a_wrong_set_up_is_96() {
    let project = Project::new();
    check(&project, &["run", "--root", "matrices"], 96);
    check(&project, &["run", "--matrix", "matrices/none.toml"], 96);
    check(&project, &["report", "none.json"], 96);
    check(&project, &["show", "none.wire"], 96);
    check(&project, &["run", "--resume"], 96);
    check(&project, &["run", "--results", "matrices/default.toml"], 96);
}

#[test]
fn an_unexpected_result_is_100() {
    let project = Project::new();
    check(&project, &["run", "--matrix", "matrices/red.toml"], 100);
    let cell = "lxc-command/probe..old/probe/unknown-payload-0";
    check(&project, &["repro", cell, "--matrix", "matrices/red.toml"], 100);
}

#[test]
fn a_missing_build_is_101_and_an_unfinished_run_106() {
    let project = Project::new();
    check(&project, &["run"], 0);
    let results = project.read("target/wireskew/results.json");
    project.write(
        "missing.json",
        &results.replacen("\"outcome\": \"pass\"", "\"outcome\": \"missing-build\"", 1),
    );
    check(&project, &["report", "missing.json"], 96);
    check(&project, &["run", "--matrix", "matrices/recorded.toml", "--results", "target/recorded"], 101);
    project.write("cut.json", &results.replacen("\"complete\": true", "\"complete\": false", 1));
    check(&project, &["report", "cut.json"], 106);
    check(&project, &["gate", "target/wireskew/results.json", "cut.json"], 106);
    check(&project, &["expect", "update", "--results", "cut.json"], 106);
}
