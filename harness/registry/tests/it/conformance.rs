//! The reference peers answer and ask as the real releases did, proven on the recordings.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};

use matrix::{Build, BuildId, CaseId, CaseKind, CasePattern, Selection, Source, Verdict};
use protocol::Bench;
use protocol::defect::Switches;
use runner::{Clock, Project, ProtocolFiles, Request, RunOptions, fixture_path, placed, plan, run};
use session::Transport;
use tokio::sync::{mpsc, watch};
use verdict::{CellResult, Finding, RunResults};

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
    let (old, new) = (BuildId::new("4.0.6"), BuildId::new("7.0.0"));
    for case in registry::all().iter().flat_map(|protocol| protocol.cases()) {
        let client = if case.id.kind == CaseKind::Probe { BuildId::new("probe") } else { old.clone() };
        let path = fixture_path("p", &client, &new, &case.id);
        assert_eq!(placed(&path, "p"), Some((client, new.clone(), case.id)));
    }
}

/// Every defect names a case and a dialect that there are, and can be switched on by its name.
#[test]
fn every_defect_names_what_finds_it() {
    for protocol in registry::all() {
        let cases: Vec<String> = protocol.cases().iter().map(|case| case.id.to_string()).collect();
        for defect in protocol.defects() {
            assert!(cases.iter().any(|case| case == defect.case), "{}: {}", defect.name, defect.case);
            let (dialect, beside) = defect.beside();
            assert!(protocol.grammar(dialect).is_some(), "{}: {}", defect.name, defect.peer);
            let is_there = |name| protocol.defects().iter().any(|d| d.name == name && d.side != defect.side);
            assert!(beside.is_none_or(is_there), "{}: {}", defect.name, defect.peer);
            let on = Switches::on(protocol.defects(), defect.side, &[defect.name]);
            assert_eq!(on.map(|on| on.has(defect.name)), Ok(true));
        }
    }
}

/// A change that is said to break something names cases that there are, with patterns that select them.
#[test]
fn every_change_breaks_cases_that_there_are() {
    for protocol in registry::all() {
        let cases: Vec<String> = protocol.cases().iter().map(|case| case.id.to_string()).collect();
        let dialects = protocol.dialects();
        for change in dialects.iter().flat_map(|dialect| protocol.changes(None, dialect)) {
            for (pattern, _) in change.breaks {
                let selects =
                    |case: &String| pattern.parse().is_ok_and(|p: CasePattern| p.matches_name(case));
                assert!(cases.iter().any(selects), "{}: {pattern}", change.what);
            }
        }
    }
}

/// What is committed is what `wireskew lock --write` writes.
#[test]
fn every_lock_is_written_as_it_lies() {
    for protocol in registry::all() {
        let path = root().join("matrices").join(protocol.name()).join("messages.lock");
        let lies = std::fs::read_to_string(&path).expect("it is there");
        assert!(lies == protocol.lock_table().render(), "{}", path.display());
    }
}

/// The checkout. Reading all fixtures takes a while, and nothing changes them meanwhile.
fn project() -> Arc<Project> {
    static PROJECT: LazyLock<Arc<Project>> = LazyLock::new(|| {
        Arc::new(Project::load(&root(), &registry::all(), &[]).expect("the project's own files are right"))
    });
    Arc::clone(&PROJECT)
}

/// The files of every protocol that has recordings; the others have to say that they have none.
fn recorded(project: &Project) -> Vec<&ProtocolFiles> {
    let all = registry::all();
    let files = all.iter().filter_map(|protocol| {
        let files = project.protocols.get(protocol.name());
        let recordings = files.map(|files| files.fixtures().all.len());
        match has_recordings(protocol.name(), recordings, protocol.unrecorded()) {
            Ok(is_recorded) => files.filter(|_| is_recorded),
            Err(why) => panic!("{why}"),
        }
    });
    files.collect()
}

/// Whether a protocol has recordings, and why that is no state to leave it in.
fn has_recordings(name: &str, recordings: Option<usize>, unrecorded: Option<&str>) -> Result<bool, String> {
    match (recordings, unrecorded) {
        (None, _) => Err(format!("`{name}` is registered, and there is no folder `matrices/{name}`")),
        (Some(0), None) => Err(format!(
            "`{name}` has no recording in `fixtures/{name}`, so nothing shows that its reference peers are like real ones: \
             record some with `wireskew record`, or say in `Protocol::unrecorded` why there are none"
        )),
        (Some(0), Some(_)) => Ok(false),
        (Some(_), None) => Ok(true),
        (Some(_), Some(why)) => {
            Err(format!("`{name}` has recordings in `fixtures/{name}` and says that it has none: {why}"))
        }
    }
}

#[test]
fn a_protocol_without_recordings_says_so() {
    let said = |recordings, unrecorded| has_recordings("new", recordings, unrecorded);
    assert_eq!(said(Some(7), None), Ok(true));
    assert_eq!(said(Some(0), Some("its builds are not available")), Ok(false));
    for (recordings, unrecorded, why) in [
        (None, None, "no folder `matrices/new`"),
        (Some(0), None, "no recording in `fixtures/new`"),
        (Some(7), Some("there are none"), "says that it has none: there are none"),
    ] {
        let error = said(recordings, unrecorded).expect_err(why);
        assert!(error.contains(why), "{error}");
    }
}

/// Runs the cells of the default matrix that a filter takes.
fn default_run(filter: &str) -> RunResults {
    let project = project();
    let run_file = project.run_file(&root().join("matrices/default.toml")).expect("it is right");
    let selection = Selection::from_arguments::<&str, _>(&[], &[filter]).expect("a filter of this test");
    let request =
        Request { name: "default".to_owned(), run: &run_file, selection: &selection, partition: None };
    let plan = plan(&project, &request).expect("its groups do not contradict each other");
    let work_dir = tempfile::tempdir().expect("a temporary directory");
    let (_stop, stop) = watch::channel(false);
    let bench = Bench::new(work_dir.path(), "");
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

/// A real server and the reference servers that are to be like it.
struct Release<'a> {
    real: &'a Build,
    references: Vec<&'a Build>,
}

fn defects(build: &Build) -> Option<&[String]> {
    build.sources.iter().find_map(|source| match source {
        Source::Reference { defects } => Some(&defects[..]),
        _ => None,
    })
}

/// The servers of recordings that are no peers of ours, and have a reference.
fn releases(files: &ProtocolFiles) -> Vec<Release<'_>> {
    let names: BTreeSet<&BuildId> = files.fixtures().all.iter().map(|fixture| &fixture.server).collect();
    let real =
        names.into_iter().filter_map(|name| files.builds.get(name)).filter(|build| defects(build).is_none());
    let like = |build: &Build, real: &Build| {
        defects(build).is_some_and(<[_]>::is_empty)
            && (&build.dialect, &build.settings) == (&real.dialect, &real.settings)
    };
    let with_references = real
        .map(|real| Release { real, references: files.builds.iter().filter(|b| like(b, real)).collect() });
    with_references.filter(|release| !release.references.is_empty()).collect()
}

/// What a replay shows that its recording does not. One that was not played has to be among those of which the protocol
/// says so.
fn otherwise(files: &ProtocolFiles, case: &CaseId, cell: &CellResult) -> Option<String> {
    let what = match cell.verdict {
        Some(_) => cell.findings.iter().find(|f| !is_luck(f)).map(|f| format!("{} {}", f.message, f.actual)),
        None if files.protocol.cannot_replay(case).is_some() => None,
        None => Some("not played".to_owned()),
    };
    what.map(|what| format!("{}: {what}", cell.cell))
}

#[test]
fn every_recording_replays_to_the_same_on_its_own_release() {
    let project = project();
    let mut other = Vec::new();
    for files in recorded(&project) {
        let protocol = &files.protocol;
        let releases = releases(files);
        assert!(!releases.is_empty(), "`{}` has no reference server of a recorded release", protocol.name());
        for Release { real, references } in releases {
            let servers: Vec<String> =
                references.iter().map(|build| format!("server({})", build.id)).collect();
            let results = default_run(&format!(
                "protocol({}) & case(replay/*@{}) & ({})",
                protocol.name(),
                real.id,
                servers.join(" | ")
            ));
            for fixture in files.fixtures().all.iter().filter(|fixture| fixture.server == real.id) {
                let case = fixture.replay_case.to_string();
                let replays =
                    |cell: &&CellResult| cell.client == fixture.client.as_str() && cell.case == case;
                let mut cells = results.cells.iter().filter(replays).peekable();
                if cells.peek().is_none() && protocol.cannot_replay(&fixture.case).is_none() {
                    other.push(format!("{}: no cell replays it", fixture.path.display()));
                }
                other.extend(cells.filter_map(|cell| otherwise(files, &fixture.case, cell)));
            }
        }
    }
    assert_eq!(other, Vec::<String>::new());
}

/// What is wrong between recorded peers is wrong between the reference peers of their releases.
#[test]
fn reference_peers_come_to_the_verdicts_of_the_real_ones() {
    let project = project();
    let results = default_run("case(probe/**) | case(client/*) | case(scenario/*)");
    let by_name: BTreeMap<&str, &CellResult> = results.cells.iter().map(|c| (c.cell.as_str(), c)).collect();
    let mut differ = Vec::new();
    for files in recorded(&project) {
        let protocol = &files.protocol;
        let mut compared = 0;
        for cell in results.cells.iter().filter(|cell| cell.protocol == protocol.name()) {
            let real = cell.cell.replace("ref-", "");
            let Some(real) = by_name.get(real.as_str()).filter(|_| real != cell.cell) else { continue };
            let case: CaseId = cell.case.parse().expect("the plan has made it");
            // What a race decided there, it need not decide so here.
            if case.kind == CaseKind::Probe && protocol.cannot_replay(&case).is_some() {
                continue;
            }
            compared += 1;
            // In a scenario it may be a matter of time whether there is something to note.
            let told = |cell: &CellResult| {
                let is_sure = |v: &Verdict| case.kind != CaseKind::Scenario || *v > Verdict::Degraded;
                cell.verdict.filter(is_sure).map(|verdict| (verdict, cell.shapes.clone()))
            };
            if told(real) != told(cell) {
                differ.push(format!("{}: {:?}, recorded {:?}", cell.cell, cell.shapes, real.shapes));
            }
        }
        assert!(compared > 0, "`{}` has no pair of reference peers whose like was recorded", protocol.name());
    }
    assert_eq!(differ, Vec::<String>::new());
}
