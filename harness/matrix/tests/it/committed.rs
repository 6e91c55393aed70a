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

const PROTOCOLS: [&str; 7] = [
    "containerd-task",
    "docker-engine",
    "kata-agent",
    "libvirt-remote",
    "lxc-command",
    "ovirt-guest-agent",
    "qemu-ga",
];

fn all() -> BTreeMap<String, (Builds, Matrix)> {
    PROTOCOLS.iter().map(|name| ((*name).to_owned(), protocol(name))).collect()
}

fn run_file(name: &str) -> RunFile {
    let matrices_read = all().into_iter().map(|(name, (_, matrix))| (name, matrix)).collect();
    RunFile::load(&matrices().join(name), &matrices_read).unwrap_or_else(|error| panic!("{}", error.brief()))
}

#[test]
fn the_run_files_read_and_run_every_protocol() {
    for name in ["default.toml", "live.toml"] {
        let mut runs: Vec<_> = run_file(name).runs.into_iter().map(|run| run.protocol).collect();
        runs.sort();
        assert_eq!(runs, PROTOCOLS, "{name}");
    }
}

#[test]
fn the_default_run_needs_no_real_build() {
    let protocols = all();
    for run in run_file("default.toml").runs {
        let (builds, matrix) = &protocols[&run.protocol];
        for group in run.groups.iter().flat_map(|name| matrix.group(name)) {
            for pair in group.pairs(builds) {
                for source in [pair.client.source, pair.server.source].into_iter().flatten() {
                    assert!(["reference", "recorded"].contains(&source.word()), "{group:?} needs {source:?}");
                }
            }
        }
    }
}

#[test]
fn known_bugs_are_of_builds_that_exist_and_expectations_name_known_bugs() {
    let all = |prefix: &str, last: u32| (1..=last).map(|n| format!("{prefix}{n}")).collect::<Vec<_>>();
    known_bugs("lxc-command", &(1..=27).map(|n| format!("LXC-{n:02}")).collect::<Vec<_>>());
    // What is missing is no bug, or no cell can show it; `known-bugs.toml` says which.
    let libvirt = [1, 2, 3, 4, 5, 6, 7, 9, 10, 11, 13, 18, 19, 20].map(|n| format!("LV-{n:02}"));
    known_bugs("libvirt-remote", &libvirt);
    known_bugs("ovirt-guest-agent", &all("K", 18));
    known_bugs("qemu-ga", &(1..=11).map(|n| format!("QGA-{n:02}")).collect::<Vec<_>>());
    let docker = [1, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 14, 15, 16, 20, 22, 24, 25, 26, 27, 28];
    let docker = (1..=4).map(|n| format!("API-{n:02}")).chain(docker.map(|n| format!("D{n}")));
    known_bugs("docker-engine", &docker.chain(all("KEYS-0", 2)).collect::<Vec<_>>());
}

fn known_bugs(name: &str, expect: &[String]) {
    let (builds, matrix) = protocol(name);
    let folder = matrices().join(name);
    let bugs = KnownBugs::load(&folder.join("known-bugs.toml"), name)
        .unwrap_or_else(|error| panic!("{}", error.brief()));
    let ids: Vec<_> = bugs.iter().map(|bug| bug.id.clone()).collect();
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
    Expectations::load(&folder.join("expectations.toml"), name, Some(&bugs))
        .unwrap_or_else(|error| panic!("{}", error.brief()));
}
