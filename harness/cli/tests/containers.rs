//! Every cell of `matrices/containers.toml` comes to the same from a container as from a root file system.
//!
//! Chosen by `WIRESKEW_LIVE=1`; needs the feature `containers`, root, the fetched builds (`wireskew builds fetch`), an engine
//! (`ci/dockerd.sh`) and the images (`ci/images.sh`). No libtest here, which would hide what is not run.
#![allow(clippy::print_stdout, reason = "a test program tells its results to people")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use serde_json::Value;

const CONTAINERS: &str = "matrices/containers.toml";
const ROOTS: &str = "matrices/live.toml";
/// How often cells are run that differ. Real builds on a busy machine do not always come to the same.
const TRIES: usize = 3;

/// What a cell came to: its verdict, and the check, the shape and the weight of each finding.
type Seen = (Value, Vec<String>);

fn main() -> ExitCode {
    if std::env::var_os("WIRESKEW_LIVE").is_none_or(|value| value != "1") {
        println!("NOT RUN: real builds in containers; choose them by WIRESKEW_LIVE=1");
        return ExitCode::SUCCESS;
    }
    let folder = tempfile::tempdir().expect("a temporary directory can be made");
    let (roots, containers) = (folder.path().join("roots"), folder.path().join("containers"));
    let mut wanted: Option<Vec<String>> = None;
    let mut same = 0;
    for attempt in 1..=TRIES {
        let of_containers = run(CONTAINERS, wanted.as_deref(), &containers);
        if let Some(why) = &of_containers.missing {
            panic!("a build is missing: {why}");
        }
        let all: Vec<_> = of_containers.cells.keys().cloned().collect();
        if wanted.is_none() {
            for protocol in ["libvirt-remote", "lxc-command", "qemu-ga"] {
                let has_cells = all.iter().any(|cell| cell.starts_with(protocol));
                assert!(has_cells, "{CONTAINERS} has no cell of {protocol}");
            }
        }
        let of_roots = run(ROOTS, Some(&all), &roots);
        assert_eq!(of_roots.missing, None);
        let differ: Vec<_> = all
            .iter()
            .filter(|cell| of_containers.cells.get(*cell) != of_roots.cells.get(*cell))
            .cloned()
            .collect();
        same += all.len() - differ.len();
        if differ.is_empty() {
            println!("ok: {same} cells come to the same from containers and from root file systems");
            return ExitCode::SUCCESS;
        }
        for cell in &differ {
            let [container, root] = [&of_containers, &of_roots].map(|results| results.cells.get(cell));
            println!("{cell}, attempt {attempt}:\n  container {container:?}\n  root      {root:?}");
        }
        wanted = Some(differ);
    }
    panic!("these cells differ in each of {TRIES} attempts: {wanted:#?}");
}

/// What a run came to.
struct Results {
    /// Why a build is not there, if one is not.
    missing: Option<String>,
    cells: BTreeMap<String, Seen>,
}

/// Runs cells of a matrix, or all.
fn run(matrix: &str, cells: Option<&[String]>, results: &Path) -> Results {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut command = Command::new(env!("CARGO_BIN_EXE_wireskew"));
    command.current_dir(root).stdin(Stdio::null()).stdout(Stdio::null());
    command.args([
        "run",
        "--quiet",
        "--retries",
        "2",
        "--flaky-result",
        "pass",
        "--matrix",
        matrix,
        "--results",
    ]);
    command.arg(results);
    if let Some(cells) = cells {
        let file = PathBuf::from(format!("{}.cells", results.display()));
        fs::write(&file, cells.join("\n")).expect("it can be written");
        command.arg(format!("@{}", file.display()));
    }
    let status = command.status().expect("the command was built");
    let file = results.join("results.json");
    let text = fs::read_to_string(&file).unwrap_or_else(|error| panic!("{matrix}: {status}: {error}"));
    let parsed: Value = serde_json::from_str(&text).expect("it is JSON");
    let list = |of: &Value, key: &str| of.get(key).and_then(Value::as_array).cloned().unwrap_or_default();
    let text = |of: &Value, key: &str| of.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let missing =
        list(&parsed, "builds").iter().map(|build| text(build, "missing")).find(|why| !why.is_empty());
    let cells = list(&parsed, "cells").into_iter().map(|cell| {
        let words = |finding: &Value| ["check", "shape", "weight"].map(|key| text(finding, key)).join(" ");
        let mut findings: Vec<_> = list(&cell, "findings").iter().map(words).collect();
        findings.sort();
        findings.dedup();
        (text(&cell, "cell"), (cell.get("verdict").cloned().unwrap_or_default(), findings))
    });
    Results { missing, cells: cells.collect() }
}
