//! The reference peers answer and ask as the real releases did, proven on the recordings.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};

use matrix::{BuildId, CaseKind, Selection};
use protocol::Bench;
use runner::{Clock, Project, Request, RunOptions, fixture_path, placed, plan, run};
use session::Transport;
use tokio::sync::{mpsc, watch};
use verdict::{CellResult, Finding, RunResults};

/// The recorded releases of each protocol, and how many replays each of them has at least: twelve operations of four
/// clients and more than seventy probes; twenty operations and more than a hundred and eighty probes and scenarios; more
/// than a hundred and thirty probes.
const RELEASES: [(&str, [&str; 4], usize); 3] = [
    ("lxc-command", ["4.0.6", "5.0.2", "6.0.4", "7.0.0"], 4 * 12 + 70),
    ("libvirt-remote", ["7.0.0", "9.0.0", "11.3.0", "12.8.0"], 4 * 20 + 180),
    ("qemu-ga", ["5.2", "7.2", "10.0", "11.1"], 130),
];

/// Whether the protocol says that the recording cannot be played again: another client caused what came, or a race
/// decided.
fn cannot_be_played(cell: &CellResult) -> bool {
    let names = ["replay/event@", "replay/probe.half-close-after-request@"];
    cell.verdict.is_none() && names.iter().any(|name| cell.case.starts_with(name))
}

/// How long a connection is kept depends on how busy the machine is.
fn is_luck(finding: &Finding) -> bool {
    finding.shape == "keeps-longer"
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Every case that can be recorded is found again by where its fixture lies.
#[test]
fn every_case_has_a_place_for_its_fixture() {
    let (old, new) = (BuildId("4.0.6".to_owned()), BuildId("7.0.0".to_owned()));
    for case in registry::all().iter().flat_map(|protocol| protocol.cases()) {
        let client = if case.id.kind == CaseKind::Probe { BuildId("probe".to_owned()) } else { old.clone() };
        let path = fixture_path("p", &client, &new, &case.id);
        assert_eq!(placed(&path, "p"), Some((client, new.clone(), case.id)));
    }
}

/// Runs the cells of the default matrix that a filter takes.
fn default_run(filter: &str) -> RunResults {
    // Reading all fixtures takes a while, and nothing changes them meanwhile.
    static PROJECT: LazyLock<Arc<Project>> = LazyLock::new(|| {
        Arc::new(Project::load(&root(), &registry::all(), &[]).expect("the project's own files are right"))
    });
    let project = Arc::clone(&PROJECT);
    let run_file = project.run_file(&root().join("matrices/default.toml")).expect("it is right");
    let selection = Selection::from_arguments::<&str, _>(&[], &[filter]).expect("a filter of this test");
    let request =
        Request { name: "default".to_owned(), run: &run_file, selection: &selection, partition: None };
    let plan = plan(&project, &request).expect("its groups do not contradict each other");
    let work_dir = tempfile::tempdir().expect("a temporary directory");
    let (_stop, stop) = watch::channel(false);
    let bench = Bench { work_dir: work_dir.path().to_path_buf(), cache_dir: PathBuf::new() };
    let clock =
        Clock { today: jiff::civil::date(2026, 1, 1), now: String::new(), environment: BTreeMap::new() };
    let options = RunOptions {
        seed: 1,
        jobs: None,
        transport: Transport::Memory,
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
    runtime.block_on(run(project, Arc::new(plan), Arc::new(options), None, BTreeMap::new(), events))
}

#[test]
fn every_recording_replays_to_the_same_on_its_own_release() {
    for (protocol, release, at_least) in
        RELEASES.iter().flat_map(|(name, releases, least)| releases.map(|release| (name, release, *least)))
    {
        let results =
            default_run(&format!("protocol({protocol}) & case(replay/*@{release}) & server(ref-{release})"));
        let other = |cell: &CellResult| match cell.verdict {
            Some(_) => cell.findings.iter().find(|finding| !is_luck(finding)).map(|f| f.message.clone()),
            None if cannot_be_played(cell) => None,
            None => Some("not played".to_owned()),
        };
        let other: Vec<String> = results
            .cells
            .iter()
            .filter_map(|cell| other(cell).map(|what| format!("{}: {what}", cell.cell)))
            .collect();
        assert_eq!(other, Vec::<String>::new());
        assert!(results.cells.len() > at_least, "only {} cells", results.cells.len());
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
        // The race of LV-10: the real ones lose some answers, the reference none.
        if cell.case == "probe/half-close-after-request" && cell.protocol == "libvirt-remote" {
            continue;
        }
        compared += 1;
        if (real.verdict, &real.shapes) != (cell.verdict, &cell.shapes) {
            differ.push(format!("{}: {:?}, recorded {:?}", cell.cell, cell.shapes, real.shapes));
        }
    }
    assert_eq!(differ, Vec::<String>::new());
    // Every probe of four releases, and twelve operations of sixteen pairs.
    assert!(compared > 4 * 70 + 16 * 12 - 1, "only {compared} cells were compared");
}

/// Recorded hosts and scripts say the same to reference agents of the release that they met, and are answered the same.
#[test]
fn recorded_hosts_get_the_same_answers_from_reference_agents() {
    let results = default_run("protocol(ovirt-guest-agent) & case(replay/**)");
    let other = |cell: &CellResult| match cell.verdict {
        Some(_) => cell.findings.first().map(|f| format!("{}: {} {}", cell.cell, f.message, f.actual)),
        None if cell.case.contains("grade-to-") => None,
        None => Some(format!("{}: not played", cell.cell)),
    };
    assert_eq!(results.cells.iter().filter_map(other).collect::<Vec<_>>(), Vec::<String>::new());
    assert!(results.cells.len() > 75, "only {} cells", results.cells.len());
}

/// What is wrong between a recorded host and a recorded agent is wrong between the reference peers of these releases.
#[test]
fn reference_pairs_have_the_faults_of_recorded_ones() {
    let results = default_run("protocol(ovirt-guest-agent) & case(scenario/*)");
    let by_name: BTreeMap<&str, &CellResult> = results.cells.iter().map(|c| (c.cell.as_str(), c)).collect();
    let pairs = results.cells.iter().filter_map(|cell| {
        let real =
            by_name.get(cell.cell.replace("ref-", "").as_str()).filter(|real| real.cell != cell.cell)?;
        Some((cell, *real))
    });
    let mut compared = 0;
    let mut differ = Vec::new();
    for (cell, real) in pairs {
        compared += 1;
        if cell.shapes != real.shapes {
            differ.push(format!("{}: {:?}, recorded {:?}", cell.cell, cell.shapes, real.shapes));
        }
    }
    assert_eq!(differ, Vec::<String>::new());
    assert!(compared >= 20, "only {compared} pairs were compared");
}
