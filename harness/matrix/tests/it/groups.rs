//! `matrix.toml` and the run files: pairs, cells, and what is refused.

use std::collections::BTreeMap;

use insta::assert_snapshot;
use matrix::{CaseId, Matrix, PlannedCell, RunFile, merge_cells};

use crate::support::{builds, rendered};

const CASES: [&str; 5] =
    ["probe/unknown", "client/info", "client/attach", "replay/4.0.6..5.0.2/info", "scenario/restart"];

fn read(cells: &str) -> Matrix {
    let text = format!("protocol = \"lxc-command\"\n{cells}");
    Matrix::parse("matrix.toml", &text, &builds()).expect("the test's own matrix parses")
}

fn refuse(cells: &str) -> String {
    rendered(Matrix::parse("matrix.toml", &format!("protocol = \"lxc-command\"\n{cells}"), &builds()))
}

fn cells(matrix: &Matrix) -> Vec<PlannedCell> {
    let cases: Vec<CaseId> =
        CASES.iter().map(|case| case.parse().expect("the test's own cases parse")).collect();
    matrix.groups().flat_map(|group| group.cells(&builds(), &cases)).collect()
}

#[track_caller]
fn check(text: &str, expect: &[&str]) {
    let word = |source: Option<matrix::SourceKind>| source.map_or("script", matrix::SourceKind::word);
    let found: Vec<_> = cells(&read(text))
        .iter()
        .map(|cell| format!("{} {}->{}", cell.id, word(cell.client_source), word(cell.server_source)))
        .collect();
    assert_eq!(found, expect);
}

#[test]
fn a_group_is_the_pairs_of_its_clients_and_servers() {
    check(
        "[[cells]]\nname = 'a'\nclients = ['probe', '4.0.6']\nservers = ['ideal', 'ref-*']\ncases = ['probe/**', 'client/info']\nclient-source = 'recorded'\nserver-source = 'reference'",
        &[
            "lxc-command/probe..ref-4.0.6/probe/unknown script->reference",
            "lxc-command/probe..ideal/probe/unknown script->reference",
            "lxc-command/4.0.6..ref-4.0.6/client/info recorded->reference",
            "lxc-command/4.0.6..ideal/client/info recorded->reference",
        ],
    );
}

#[test]
fn cases_may_be_left_out_of_a_pattern() {
    let text = "[[cells]]\nname = 'a'\nclients = ['4.0.6']\nservers = ['ideal']\ncases = ['client/*']\nclient-source = 'recorded'\nserver-source = 'reference'\n";
    let (info, attach) = (
        "lxc-command/4.0.6..ideal/client/info recorded->reference",
        "lxc-command/4.0.6..ideal/client/attach recorded->reference",
    );
    check(text, &[info, attach]);
    check(&format!("{text}except = ['client/i*']"), &[attach]);
    check(&format!("{text}except = ['client/stop']"), &[info, attach]);
}

#[test]
fn a_pattern_takes_only_builds_with_the_role_and_the_source() {
    // `ideal` plays no client; the recorded builds have no reference source.
    check(
        "[[cells]]\nname = 'a'\nclients = ['*']\nservers = ['*']\ncases = ['client/info']\nsource = 'reference'",
        &[
            "lxc-command/ref-4.0.6..ref-4.0.6/client/info reference->reference",
            "lxc-command/ref-4.0.6..ideal/client/info reference->reference",
        ],
    );
}

#[test]
fn each_build_uses_the_first_source_that_it_has() {
    check(
        "[[cells]]\nname = 'a'\nclients = ['4.0.6']\nservers = ['4.*', '5.*']\ncases = ['client/info']\nsource = ['debian', 'recorded']",
        &[
            "lxc-command/4.0.6..4.0.6/client/info debian->debian",
            "lxc-command/4.0.6..5.0.2/client/info debian->recorded",
        ],
    );
}

#[test]
fn only_builds_by_flag_make_cells_of_source_path() {
    check(
        "[[cells]]\nname = 'a'\nclients = ['probe']\nservers = ['*']\ncases = ['**']\nsource = 'path'",
        &[],
    );
    let mut builds = builds();
    let flag: matrix::BuildFlag = "lxc@dev=path:x".parse().expect("the test's own flag parses");
    builds.add(flag.to_build(&builds, &[]).expect("there is a newest build"));
    let matrix =
        read("[[cells]]\nname = 'a'\nclients = ['probe']\nservers = ['*']\ncases = ['**']\nsource = 'path'");
    let group = matrix.group("a").next().expect("the group is in the text");
    let pairs = group.pairs(&builds);
    assert_eq!(pairs.len(), 1);
    assert_eq!(pairs[0].server.build.as_str(), "dev");
}

#[test]
fn groups_share_cells_but_not_from_different_sources() {
    let same = read(
        "[[cells]]\nname = 'a'\nclients = ['probe']\nservers = ['ideal']\ncases = ['probe/*']\nsource = 'reference'\n[[cells]]\nname = 'b'\nclients = ['probe']\nservers = ['ideal', 'ref-4.0.6']\ncases = ['probe/*']\nsource = 'reference'",
    );
    assert_eq!(same.group_names(), ["a", "b"]);
    let plan = merge_cells(cells(&same)).expect("the sources are the same");
    let names: Vec<_> = plan.iter().map(|cell| cell.id.to_string()).collect();
    assert_eq!(
        names,
        ["lxc-command/probe..ideal/probe/unknown", "lxc-command/probe..ref-4.0.6/probe/unknown"]
    );

    let other = read(
        "[[cells]]\nname = 'a'\nclients = ['probe']\nservers = ['4.0.6']\ncases = ['probe/*']\nsource = 'recorded'\n[[cells]]\nname = 'b'\nclients = ['probe']\nservers = ['4.0.6']\ncases = ['probe/*']\nsource = 'debian'",
    );
    let conflict = merge_cells(cells(&other)).expect_err("the sources differ");
    assert_snapshot!(conflict, @"cell `lxc-command/probe..4.0.6/probe/unknown` is planned twice from different sources: by group `a` and by group `b`");
}

#[test]
fn points_at_names_that_do_not_exist() {
    assert_snapshot!(refuse(
        "[[cells]]\nname = \"a\"\nclients = [\"4.0.7\"]\nservers = [\"ref-5*\", \"probe\"]\ncases = [\"probe/**\", \"probe\"]\nsource = \"recorded\"\n"
    ));
    assert_snapshot!(refuse(
        "[[cells]]\nname = \"a\"\nclients = [\"ideal\"]\nservers = [\"ref-4.0.6\"]\ncases = [\"client/*\"]\nsource = \"debain\"\n"
    ));
    assert_snapshot!(refuse(
        "[[cells]]\nname = \"a\"\nclients = [\"ideal\"]\nservers = [\"ref-4.0.6\"]\ncases = [\"client/*\"]\nsource = \"debian\"\n"
    ));
    assert_snapshot!(refuse(
        "[[cells]]\nname = \"a\"\nclients = [\"probe\"]\nservers = [\"ideal\"]\ncases = []\n"
    ));
}

#[test]
fn refuses_a_file_of_another_protocol() {
    assert_snapshot!(rendered(Matrix::parse("matrix.toml", "protocol = \"kata-agent\"\n", &builds())));
}

fn run_file(text: &str) -> Result<RunFile, matrix::ConfigError> {
    let matrix = read(
        "[[cells]]\nname = 'reference'\nclients = ['probe']\nservers = ['ideal']\ncases = ['probe/*']\nsource = 'reference'",
    );
    RunFile::parse("default.toml", text, &BTreeMap::from([("lxc-command".to_owned(), matrix)]))
}

#[test]
fn a_run_file_has_defaults() {
    let run =
        run_file("[[run]]\nprotocol = 'lxc-command'\ngroups = ['reference']").expect("the text is right");
    assert_eq!(run.settings, matrix::Settings { deadline_scale: 1.0, jobs: None, retries: 0 });
    assert_eq!(run.runs[0].groups, ["reference"]);
    let run = run_file("about = 'x'\nsettings = { deadline-scale = 2, jobs = 0x10, retries = 1 }\n[[run]]\nprotocol = 'lxc-command'\ngroups = ['reference']")
        .expect("the text is right");
    assert_eq!(run.settings, matrix::Settings { deadline_scale: 2.0, jobs: Some(16), retries: 1 });
}

#[test]
fn a_run_without_a_protocol_is_one_of_each() {
    let run = run_file("[[run]]\ngroups = ['reference']").expect("the text is right");
    assert_eq!(
        run.runs,
        [matrix::ProtocolRun { protocol: "lxc-command".into(), groups: vec!["reference".into()] }]
    );
    let shown = rendered(run_file("[[run]]\ngroups = ['reference', 'refrence']"));
    assert!(shown.contains("no protocol has a group `refrence`") && shown.contains("`reference`"), "{shown}");
}

#[test]
fn points_at_what_is_wrong_with_a_run_file() {
    assert_snapshot!(rendered(run_file("")));
    assert_snapshot!(rendered(run_file(
        "[settings]\ndeadline-scale = -1\njobs = 0\nretries = 1e3\nspeed = 1\n\n[[run]]\nprotocol = \"lxc-comand\"\ngroups = [\"reference\"]\n\n[[run]]\nprotocol = \"lxc-command\"\ngroups = [\"refrence\", \"live\"]\n"
    )));
}
