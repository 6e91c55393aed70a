//! The real daemon and the real client in a run: what `wireskew run --build …` does.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use matrix::{BuildFlag, Selection};
use protocol::Bench;
use runner::{Clock, Project, Request, RunOptions};
use session::Transport;
use tokio::sync::{mpsc, watch};
use verdict::RunResults;

const DAEMON: &str = env!("CARGO_BIN_EXE_kvd");
const CLIENT: &str = env!("CARGO_BIN_EXE_kv");

/// Runs all cells with these builds.
fn run(builds: &[String]) -> RunResults {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let flags: Vec<BuildFlag> =
        builds.iter().map(|text| text.parse().expect("the test's own flag")).collect();
    let project = Project::load(&root, &[kv::protocol()], &flags).unwrap_or_else(|error| panic!("{error}"));
    let run_file = project.run_file(&root.join("matrices/default.toml")).expect("it is right");
    let selection = Selection::all();
    let request =
        Request { name: "default".to_owned(), run: &run_file, selection: &selection, partition: None };
    let plan = runner::plan(&project, &request).expect("its groups do not contradict each other");
    let work_dir = tempfile::tempdir().expect("a temporary directory");
    let (_stop, stop) = watch::channel(false);
    let options = RunOptions {
        seed: 1,
        jobs: None,
        transport: Transport::Unix,
        deadline_scale: 1.0,
        retries: 2,
        bench: Bench::new(work_dir.path(), ""),
        flags: builds.to_vec(),
        clock: Clock {
            today: jiff::civil::date(2026, 1, 1),
            now: String::new(),
            environment: BTreeMap::new(),
        },
        stop,
    };
    let (events, _inbox) = mpsc::unbounded_channel();
    let runtime = tokio::runtime::Runtime::new().expect("threads can be started");
    runtime.block_on(runner::run(
        Arc::new(project),
        Arc::new(plan),
        Arc::new(options),
        None,
        BTreeMap::new(),
        events,
    ))
}

fn daemon(args: &str) -> String {
    format!("kv@dev=path:{DAEMON},{args},role=server,dialect=1.0")
}

/// The cells that are not as expected, with the shapes of what was found; and how many cells there are.
#[track_caller]
fn check(builds: &[String], expect: &[(&str, &str)], cells: usize) {
    let results = run(builds);
    assert!(results.complaints.is_empty(), "{:?}", results.complaints);
    let red = results.cells.iter().filter(|cell| !cell.outcome.is_expected()).map(|cell| {
        let shapes: BTreeSet<_> = cell.findings.iter().map(|finding| finding.shape.as_str()).collect();
        (cell.case.as_str(), shapes.into_iter().collect::<Vec<_>>().join(", "))
    });
    let red: BTreeMap<_, _> = red.collect();
    let expect: BTreeMap<_, _> = expect.iter().map(|(case, shapes)| (*case, (*shapes).to_owned())).collect();
    assert_eq!(red, expect);
    assert_eq!(results.cells.len(), cells);
}

#[test]
fn the_daemon_passes_every_probe() {
    for place in ["arg=--socket,arg={socket}", "arg=--address,arg={address}"] {
        check(&[daemon(place)], &[], 31);
    }
}

#[test]
fn the_client_meets_the_daemon() {
    for place in ["arg=--socket,arg={socket}", "arg=--address,arg=127.0.0.1:{port}"] {
        let client = format!("kv@tool=path:{CLIENT},{place},arg={{operation}},role=client,dialect=1.0");
        check(&[daemon("arg=--address,arg={address}"), client], &[], 31 + 3);
    }
}

/// What a daemon leaves in the stream, it takes for the next request.
#[test]
fn a_daemon_that_does_not_drain_is_found_out() {
    let red = [("probe/unknown-payload-4096", "not-drained"), ("probe/unknown-payload-limit", "not-drained")];
    check(&[daemon("arg=--socket,arg={socket},arg=--does-not-drain")], &red, 31);
}
