//! The reference peers answer and ask as the real releases did, proven on the recordings.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use matrix::Selection;
use protocols::Bench;
use runner::{Clock, Project, Request, RunOptions, plan, run};
use tokio::sync::{mpsc, watch};
use verdict::{CellResult, RunResults};

/// The four recorded releases.
const RELEASES: [&str; 4] = ["4.0.6", "5.0.2", "6.0.4", "7.0.0"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Runs the cells of the default matrix that a filter takes.
fn default_run(filter: &str) -> RunResults {
    let project = Project::load(&root(), &[]).expect("the project's own files are right");
    let run_file = project.run_file(&root().join("matrices/default.toml")).expect("it is right");
    let selection = Selection::from_arguments::<&str, _>(&[], &[filter]).expect("a filter of this test");
    let request =
        Request { name: "default".to_owned(), run: &run_file, selection: &selection, partition: None };
    let plan = plan(&project, &request).expect("its groups do not contradict each other");
    let work_dir = tempfile::tempdir().expect("a temporary directory");
    let (_stop, stop) = watch::channel(false);
    let bench = Bench { work_dir: work_dir.path().to_path_buf(), cache_dir: PathBuf::new(), seed: 1 };
    let clock =
        Clock { today: jiff::civil::date(2026, 1, 1), now: String::new(), environment: BTreeMap::new() };
    let options = RunOptions {
        seed: 1,
        jobs: 64,
        // A loaded machine may be slow; no verdict may depend on that.
        deadline_scale: 2.0,
        retries: 0,
        bench,
        flags: Vec::new(),
        clock,
        stop,
    };
    let (events, _inbox) = mpsc::unbounded_channel();
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(run(Arc::new(project), Arc::new(plan), Arc::new(options), None, BTreeMap::new(), events))
}

#[test]
fn every_recording_replays_to_the_same_on_its_own_release() {
    for release in RELEASES {
        let results = default_run(&format!("case(replay/*@{release}) & server(ref-{release})"));
        let other: Vec<String> = results
            .cells
            .iter()
            .filter(|cell| !cell.findings.is_empty() || cell.verdict.is_none())
            .map(|cell| format!("{}: {}", cell.cell, cell.findings.first().map_or("", |f| &f.message)))
            .collect();
        assert_eq!(other, Vec::<String>::new());
        // Twelve operations of four clients, and more than seventy probes.
        assert!(results.cells.len() > 4 * 12 + 70, "only {} cells", results.cells.len());
    }
}

#[test]
fn reference_peers_come_to_the_verdicts_of_the_real_ones() {
    let results = default_run("case(probe/**) | case(client/*)");
    let by_name: BTreeMap<&str, &CellResult> = results.cells.iter().map(|c| (c.cell.as_str(), c)).collect();
    let mut compared = 0;
    let mut differ = Vec::new();
    for cell in &results.cells {
        let real = cell.cell.replace("ref-", "");
        if real == cell.cell {
            continue;
        }
        let Some(real) = by_name.get(real.as_str()) else { continue };
        compared += 1;
        if (real.verdict, &real.shapes) != (cell.verdict, &cell.shapes) {
            differ.push(format!("{}: {:?}, recorded {:?}", cell.cell, cell.shapes, real.shapes));
        }
    }
    assert_eq!(differ, Vec::<String>::new());
    // Every probe of four releases, and twelve operations of sixteen pairs.
    assert!(compared > 4 * 70 + 16 * 12 - 1, "only {compared} cells were compared");
}
