//! The files of this repository are right.

use std::collections::BTreeMap;
use std::path::PathBuf;

use matrix::{Builds, Expectations, KnownBugs, Matrix, RunFile};

fn matrices() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../matrices")
}

fn protocol(name: &str) -> (Builds, Matrix) {
    let folder = matrices().join(name);
    let builds =
        Builds::load(&folder.join("builds.toml")).unwrap_or_else(|error| panic!("{}", error.brief()));
    let matrix = Matrix::load(&folder.join("matrix.toml"), &builds)
        .unwrap_or_else(|error| panic!("{}", error.brief()));
    (builds, matrix)
}

#[test]
fn the_run_files_read_and_name_existing_groups() {
    let matrices_read = BTreeMap::from([("lxc-command".to_owned(), protocol("lxc-command").1)]);
    for name in ["default.toml", "live.toml"] {
        let run = RunFile::load(&matrices().join(name), &matrices_read)
            .unwrap_or_else(|error| panic!("{}", error.brief()));
        assert!(!run.runs.is_empty());
    }
}

#[test]
fn the_default_run_needs_no_real_build() {
    let (builds, matrix) = protocol("lxc-command");
    let read = BTreeMap::from([("lxc-command".to_owned(), matrix.clone())]);
    let run = RunFile::load(&matrices().join("default.toml"), &read).expect("tested above");
    for group in run.runs.iter().flat_map(|run| &run.groups).flat_map(|name| matrix.group(name)) {
        for pair in group.pairs(&builds) {
            for source in [pair.client.source, pair.server.source].into_iter().flatten() {
                assert!(["reference", "recorded"].contains(&source.word()), "{group:?} needs {source:?}");
            }
        }
    }
}

#[test]
fn every_known_bug_is_of_builds_that_exist_and_the_expectations_name_known_bugs() {
    let (builds, matrix) = protocol("lxc-command");
    let folder = matrices().join("lxc-command");
    let bugs = KnownBugs::load(&folder.join("known-bugs.toml"), "lxc-command")
        .unwrap_or_else(|error| panic!("{}", error.brief()));
    let ids: Vec<_> = bugs.iter().map(|bug| bug.id.clone()).collect();
    let expect: Vec<_> = (1..=27).map(|number| format!("LXC-{number:02}")).collect();
    assert_eq!(ids, expect);
    for cell in bugs.iter().flat_map(|bug| &bug.cells).map(|found| &found.cell) {
        let planned = matrix.groups().any(|group| {
            group.wants(&cell.case)
                && group.pairs(&builds).iter().any(|pair| {
                    (&pair.client.build, &pair.server.build) == (&cell.client, &cell.server)
                        && pair.can_run(cell.case.kind)
                })
        });
        assert!(planned, "no group has `{cell}`");
    }
    Expectations::load(&folder.join("expectations.toml"), "lxc-command", Some(&bugs))
        .unwrap_or_else(|error| panic!("{}", error.brief()));
}
