//! The files of this repository are right.

use std::collections::BTreeMap;
use std::path::PathBuf;

use matrix::{Builds, Matrix, RunFile};

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
