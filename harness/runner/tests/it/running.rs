//! Runs with servers that do not start, never become ready, die, or panic: a result for each cell, and the run
//! goes on.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use matrix::{Build, CaseId, LockTable, Partition, Source};
use protocol::captures::BadCapture;
use protocol::effects::Operation;
use protocol::{Bench, Case, Deadlines, Defect, Peers, Protocol};
use runner::{Project, RunEvent};
use session::{
    Address, BoxFuture, LaunchError, LaunchErrorKind, Launcher, Recorder, Script, Server, Start, Transport,
};
use transcript::evidence::Capture;
use transcript::{ConnId, Endpoint, Event, EventKind, ExitStatus, Transcript};
use verdict::{Check, Cited, Grammar, Outcome, Reading};
use wire::Direction;

use crate::support::{Files, PROTOCOL, With, outcomes, plan, run, run_with_events};

/// How a server fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    CannotBeHad,
    IsMissing,
    FailsToStart,
    FailsOnce,
    NeverReady,
    /// Keeps busy, so that not even virtual time passes.
    Busy,
    Dead,
    /// Takes longer to start than its cases give it.
    Late(Deadlines),
    /// Is fine, but a release takes its place in every case.
    IsReplacedBy(&'static str),
}

/// The real protocol, but for how servers start.
struct Faulty {
    inner: Arc<dyn Protocol>,
    fault: Fault,
}

struct Starter {
    inner: Arc<dyn Launcher>,
    fault: Fault,
    starts: AtomicUsize,
}

/// Listens nowhere; whoever looks finds it killed.
struct DeadServer(Address);

impl Server for DeadServer {
    fn address(&self) -> &Address {
        &self.0
    }

    fn watch(&mut self, recorder: &Recorder) {
        let exit = EventKind::Exit(ExitStatus::Signal(11));
        recorder.record(ConnId(0), Direction::ToClient, exit);
    }

    fn stop(self: Box<Self>) -> BoxFuture<'static, ()> {
        Box::pin(async {})
    }
}

fn error(kind: LaunchErrorKind) -> LaunchError {
    LaunchError::new("start it".to_owned(), kind)
}

fn missing() -> LaunchError {
    error(LaunchErrorKind::Missing { why: "not fetched".to_owned(), hint: "fetch it".to_owned() })
}

impl Launcher for Starter {
    fn endpoint(&self) -> Endpoint {
        self.inner.endpoint()
    }

    fn start(&self, how: Start) -> BoxFuture<'_, Result<Box<dyn Server>, LaunchError>> {
        let first = self.starts.fetch_add(1, Ordering::SeqCst) == 0;
        Box::pin(async move {
            match self.fault {
                Fault::IsMissing => Err(missing()),
                Fault::FailsToStart => Err(error(LaunchErrorKind::Ended("code 1".to_owned()))),
                Fault::FailsOnce if first => Err(error(LaunchErrorKind::NotReady(1))),
                Fault::NeverReady => std::future::pending().await,
                Fault::Late(_) => {
                    tokio::time::sleep(how.deadline).await;
                    Err(error(LaunchErrorKind::NotReady(how.deadline.as_millis().try_into().unwrap_or(0))))
                }
                Fault::Busy => loop {
                    tokio::task::yield_now().await;
                },
                Fault::Dead => {
                    let name = b"wireskew-test-nobody-listens".to_vec();
                    Ok(Box::new(DeadServer(Address::Abstract(name))) as Box<dyn Server>)
                }
                Fault::FailsOnce | Fault::CannotBeHad | Fault::IsReplacedBy(_) => self.inner.start(how).await,
            }
        })
    }
}

impl Protocol for Faulty {
    fn framing(&self) -> &'static str {
        self.inner.framing()
    }

    fn server(
        &self,
        build: &Build,
        source: &Source,
        bench: &Bench,
    ) -> Result<Arc<dyn Launcher>, LaunchError> {
        if self.fault == Fault::CannotBeHad {
            return Err(missing());
        }
        let inner = self.inner.server(build, source, bench)?;
        Ok(Arc::new(Starter { inner, fault: self.fault, starts: AtomicUsize::new(0) }))
    }

    fn name(&self) -> &'static str {
        self.inner.name()
    }
    fn alias(&self) -> &'static str {
        self.inner.alias()
    }
    fn about(&self) -> &'static str {
        self.inner.about()
    }
    fn dialects(&self) -> Vec<&'static str> {
        self.inner.dialects()
    }
    fn grammar(&self, dialect: &str) -> Option<Arc<dyn Grammar>> {
        self.inner.grammar(dialect)
    }
    fn cases(&self) -> Vec<Case> {
        let cases = self.inner.cases().into_iter();
        match self.fault {
            Fault::Late(deadlines) => cases.map(|case| case.within(deadlines)).collect(),
            _ => cases.collect(),
        }
    }
    fn operations(&self) -> Vec<&'static dyn Operation> {
        self.inner.operations()
    }

    fn replaced_by(&self, _case: &CaseId) -> Vec<String> {
        match self.fault {
            Fault::IsReplacedBy(release) => vec![release.to_owned()],
            _ => Vec::new(),
        }
    }
    fn checks(&self, case: &CaseId) -> Vec<Check> {
        self.inner.checks(case)
    }
    fn rules(&self) -> Vec<Cited> {
        self.inner.rules()
    }
    fn negotiated(&self, transcript: &Transcript, reading: &Reading) -> Option<String> {
        self.inner.negotiated(transcript, reading)
    }
    fn suspects(&self, reading: &Reading) -> Vec<String> {
        self.inner.suspects(reading)
    }
    fn replay(&self, recorded: &Transcript) -> Result<Script, BadCapture> {
        self.inner.replay(recorded)
    }
    fn lock_table(&self) -> LockTable {
        self.inner.lock_table()
    }
    fn defects(&self) -> &'static [Defect] {
        self.inner.defects()
    }
    fn peers(&self) -> Peers {
        self.inner.peers()
    }
}

fn faulty(files: &Files, fault: Fault) -> Project {
    let mut project = files.project();
    let protocol = project.protocols.get_mut(PROTOCOL).expect("the project has it");
    protocol.protocol = Arc::new(Faulty { inner: protocol.protocol.clone(), fault });
    project
}

async fn with_fault(fault: Fault, with: With) -> verdict::RunResults {
    let files = Files::new();
    let (results, finished) = run(faulty(&files, fault), "probes", with).await;
    assert_eq!(finished.len(), 3, "every cell ends");
    assert!(results.complete && results.complaints.is_empty(), "{:?}", results.complaints);
    results
}

#[track_caller]
fn check(results: &verdict::RunResults, outcome: Outcome, says: &str) {
    assert_eq!(outcomes(results), [outcome.word(); 3]);
    assert_eq!(results.tally.planned, 3);
    for cell in &results.cells {
        let said = cell.reason.clone().unwrap_or_default() + &cell.shapes.join(" ");
        assert!(said.contains(says), "{said}");
        let again = cell.reproduction.as_ref().expect("it is not as expected");
        assert!(again.command.contains(&cell.cell) && again.seed == 7, "{}", again.command);
    }
}

#[tokio::test]
async fn good_servers_pass() {
    let files = Files::new();
    let (results, _) = run(files.project(), "probes", With::default()).await;
    assert_eq!(outcomes(&results), ["pass"; 3]);
}

/// Over TCP as over unix sockets, in real time; and nothing is green of which a part would be lost on the way.
#[tokio::test]
async fn the_same_cells_come_to_the_same_over_tcp() {
    let files = Files::new();
    let cells = |name: &str, client: &str, cases: &str| {
        format!(
            "[[cells]]\nname = \"{name}\"\nclients = [\"{client}\"]\nservers = [\"newer\"]\ncases = [{cases}]\n\
             source = \"reference\"\n"
        )
    };
    let probes = r#""probe/unknown-payload-0", "probe/two-in-one-write", "probe/fds-1-on-a-byte""#;
    files.libvirt(
        &[cells("them", "probe", probes), cells("them", "older", r#""client/list", "client/define""#)]
            .concat(),
    );
    for (group, count, explained) in [("probes", 3, 0), ("them", 5, 1)] {
        let mut runs = Vec::new();
        for transport in [Transport::Unix, Transport::Tcp] {
            let (results, _) = run(files.project(), group, With { transport, ..With::default() }).await;
            let skipped = results.cells.iter().filter(|cell| cell.outcome == Outcome::Skipped);
            let skipped: Vec<_> = skipped.map(|cell| cell.reason.clone().unwrap_or_default()).collect();
            let due = if transport == Transport::Tcp { explained } else { 0 };
            assert_eq!(skipped, vec!["descriptors do not travel over TCP"; due], "{transport:?}");
            assert_eq!(results.tally.count(Outcome::Pass), count - due, "{:?}", outcomes(&results));
            let judged = |cell: &verdict::CellResult| (cell.cell.clone(), cell.verdict, cell.shapes.clone());
            runs.push(results.cells.iter().map(judged).collect::<Vec<_>>());
        }
        let differ = runs[0].iter().zip(&runs[1]).filter(|(unix, tcp)| unix != tcp);
        assert_eq!(differ.count(), explained, "{runs:?}");
    }
}

#[tokio::test]
async fn a_damaged_recording_is_found_when_its_cell_runs() {
    let files = Files::new();
    let path = "fixtures/lxc-command/probe..kept/unknown-payload-0.wire";
    files.fixture(path, "kept", "probe/unknown-payload-0");
    let good = std::fs::read_to_string(files.path().join(path)).expect("it was written");
    files.write(path, &good.replacen("# 0.000000 c2s conn=1 connect", "# 0.000000 c2s conn=1 conect", 1));
    let (results, _) = run(files.project(), "recorded", With::default()).await;
    assert_eq!(outcomes(&results), ["harness-error", "missing-build"]);
    let reason = results.cells[0].reason.clone().unwrap_or_default();
    assert!(reason.starts_with(&format!("fixture {path}: cannot read ")), "{reason}");
    assert!(reason.contains("expected `connect`"), "{reason}");
    assert!(results.cells[0].reproduction.is_some());
    let mut captures = transcript::text::parse(&good).expect("it is good");
    let capture = Capture { field: "pid".to_owned(), var: "id-1".to_owned(), short: None };
    let mark = Event { kind: EventKind::Mark(capture.mark()), ..captures.events[0].clone() };
    captures.events.insert(1, mark);
    files.write(path, &transcript::text::render(&captures));
    let (results, _) = run(files.project(), "recorded", With::default()).await;
    assert_eq!(outcomes(&results), ["harness-error", "missing-build"]);
    let reason = results.cells[0].reason.clone().unwrap_or_default();
    let says = "event 1: `mark capture field=pid` stands behind no reply";
    assert_eq!(reason, format!("fixture {path}: {says}"));
}

#[tokio::test]
async fn a_recording_of_something_else_is_a_missing_build() {
    let files = Files::new();
    let path = "fixtures/lxc-command/probe..kept/unknown-payload-0.wire";
    let check = async |files: &Files, says: &str| {
        let (results, _) = run(files.project(), "recorded", With::default()).await;
        assert_eq!(outcomes(&results), ["missing-build"; 2]);
        let reason = results.cells[0].reason.clone().unwrap_or_default();
        assert_eq!(reason, format!("{path} is not a recording of this case: {says}"));
    };
    files.fixture(path, "kept", "probe/unknown-payload-0");
    let good = std::fs::read_to_string(files.path().join(path)).expect("it was written");
    files.write(path, &good.replacen("mark canary", "mark quiet", 1));
    check(&files, "connection 2: its marks are not those of the probe").await;
    files.write(path, &good.replacen("version = \"4.0.6\"", "version = \"4.0.7\"", 2));
    check(&files, "build `kept` is version 4.0.6, the recording says 4.0.7").await;
    files.write(path, &good.replacen("unknown-payload-0", "unknown-payload-16", 1));
    check(&files, "its header says `lxc-command/probe..kept/probe/unknown-payload-16`").await;
    files.write(path, &good.replacen("probe/unknown-payload-0", "client/unknown-payload-0", 1));
    check(&files, "its header says `lxc-command/probe..kept/client/unknown-payload-0`").await;
}

#[tokio::test]
async fn a_build_that_is_not_there_is_missing() {
    check(&with_fault(Fault::CannotBeHad, With::default()).await, Outcome::MissingBuild, "fetch it");
    check(&with_fault(Fault::IsMissing, With::default()).await, Outcome::MissingBuild, "fetch it");
}

#[tokio::test]
async fn a_release_that_is_to_take_a_servers_place_and_that_no_build_stands_for_is_missing() {
    let says = "the server is replaced by 9.9, and no build of it has a source `reference`";
    check(&with_fault(Fault::IsReplacedBy("9.9"), With::default()).await, Outcome::MissingBuild, says);
    // `kept` is of that version, and a recording takes nobody's place.
    let says = "the server is replaced by 4.0.6, and no build of it has a source `reference`";
    check(&with_fault(Fault::IsReplacedBy("4.0.6"), With::default()).await, Outcome::MissingBuild, says);
    let results = with_fault(Fault::IsReplacedBy("ideal"), With::default()).await;
    assert_eq!(outcomes(&results), ["pass"; 3]);
}

#[tokio::test]
async fn a_server_that_does_not_start_is_a_harness_error() {
    check(
        &with_fault(Fault::FailsToStart, With::default()).await,
        Outcome::HarnessError,
        "ended at once: code 1",
    );
}

/// Time is not waited for: it is passed on as soon as nothing else is left to do.
#[tokio::test(start_paused = true)]
async fn a_server_that_is_never_ready_is_given_up() {
    check(
        &with_fault(Fault::NeverReady, With::default()).await,
        Outcome::HarnessError,
        "was not done after 180 s",
    );
}

#[tokio::test]
async fn a_case_says_how_long_its_parts_may_take() {
    let check = async |start, cell, says| {
        let [start, cell] = [start, cell].map(std::time::Duration::from_secs);
        let deadlines = Deadlines { start, cell, ..Deadlines::default() };
        check(&with_fault(Fault::Late(deadlines), With::default()).await, Outcome::HarnessError, says);
    };
    check(20, 60, "not ready within 20000 ms").await;
    check(20, 15, "was not done after 15 s").await;
}

#[tokio::test]
async fn a_server_that_is_dead_is_a_crash() {
    check(&with_fault(Fault::Dead, With::default()).await, Outcome::Fail, "crash");
}

#[tokio::test]
async fn what_differs_between_tries_is_flaky() {
    let results = with_fault(Fault::FailsOnce, With { retries: 2, ..With::default() }).await;
    let mut words = outcomes(&results);
    words.sort_unstable();
    assert_eq!(words, ["flaky", "pass", "pass"], "one of them met the first start");
    let flaky = results.cells.iter().find(|cell| cell.outcome == Outcome::Flaky).expect("just seen");
    let [earlier] = &flaky.retries[..] else { panic!("{:?}", flaky.retries) };
    assert!(earlier.starts_with("harness-error: "), "{earlier}");
    assert_eq!(flaky.earlier.len(), 1);
    assert_eq!(flaky.earlier[0].outcome, Outcome::HarnessError);
    assert!(flaky.earlier[0].reason.as_ref().is_some_and(|why| why.contains("start it")), "{flaky:?}");
    // Whether that is good enough is the caller's to say.
    assert!(!results.tolerates(flaky));
    assert!(verdict::RunResults { flaky_passes: true, ..results.clone() }.tolerates(flaky));
    // Without another try it is what it was.
    let results = with_fault(Fault::FailsOnce, With::default()).await;
    assert_eq!(results.tally.count(Outcome::HarnessError), 1);
}

#[tokio::test]
async fn a_failure_that_stays_is_no_flake() {
    let results = with_fault(Fault::Dead, With { retries: 2, ..With::default() }).await;
    check(&results, Outcome::Fail, "crash");
    assert!(results.cells.iter().all(|cell| cell.retries.len() == 2));
    assert!(
        results.cells.iter().flat_map(|cell| &cell.retries).all(|told| told.starts_with("fail: crash: "))
    );
    let lenient = verdict::RunResults { flaky_passes: true, ..results };
    assert!(!lenient.cells.iter().any(|cell| lenient.tolerates(cell)));
}

/// What was found in a try is kept, and told at once, when another one follows.
#[tokio::test]
async fn earlier_tries_keep_their_findings() {
    let files = Files::new();
    let with = With { retries: 2, ..With::default() };
    let (results, events) = run_with_events(faulty(&files, Fault::Dead), "probes", with).await;
    for cell in &results.cells {
        let found =
            |attempt: &verdict::Attempt| attempt.findings == cell.findings && !attempt.findings.is_empty();
        assert!(cell.earlier.len() == 2 && cell.earlier.iter().all(found), "{cell:?}");
    }
    let again = events
        .iter()
        .filter(|event| matches!(event, RunEvent::TriedAgain(try_) if !try_.findings.is_empty()));
    assert_eq!(again.count(), 2 * results.cells.len());
}

#[tokio::test]
async fn a_cell_is_told_of_when_it_begins_and_when_it_ends() {
    let files = Files::new();
    let (results, events) = run_with_events(files.project(), "probes", With::default()).await;
    assert!(matches!(events[0], RunEvent::Started { planned: 3, resumed: 0 }));
    for cell in &results.cells {
        let begins =
            |event: &RunEvent| matches!(event, RunEvent::CellStarted(id) if id.to_string() == cell.cell);
        let ends =
            |event: &RunEvent| matches!(event, RunEvent::Finished(result, _) if result.cell == cell.cell);
        let begun: Vec<_> = events.iter().enumerate().filter(|(_, event)| begins(event)).collect();
        let ended: Vec<_> = events.iter().enumerate().filter(|(_, event)| ends(event)).collect();
        assert!(begun.len() == 1 && ended.len() == 1 && begun[0].0 < ended[0].0, "{events:?}");
    }
    assert_eq!(events.len(), 1 + 2 * 3, "{events:?}");
}

#[tokio::test]
async fn what_a_stop_cuts_short_is_told() {
    let files = Files::new();
    let with = With { stop_at_first: true, ..With::default() };
    let (results, events) = run_with_events(faulty(&files, Fault::Busy), "probes", with).await;
    assert!(!results.complete);
    let ids = |pick: fn(&RunEvent) -> Option<String>| events.iter().filter_map(pick).collect::<BTreeSet<_>>();
    let begun = ids(|event| match event {
        RunEvent::CellStarted(id) => Some(id.to_string()),
        _ => None,
    });
    let cut = ids(|event| match event {
        RunEvent::Cancelled(id) => Some(id.to_string()),
        _ => None,
    });
    assert!(!begun.is_empty() && begun == cut, "{events:?}");
    assert!(!events.iter().any(|event| matches!(event, RunEvent::Finished(..))), "{events:?}");
}

#[tokio::test]
async fn a_run_that_is_stopped_is_incomplete() {
    let files = Files::new();
    let with = With { stopped: true, ..With::default() };
    let (results, finished) = run(files.project(), "probes", with).await;
    assert!(!results.complete);
    assert_eq!(finished.len(), 0);
    assert!(results.cells.iter().all(|cell| cell.outcome == Outcome::Skipped && cell.verdict.is_none()));
    assert_eq!(results.tally.planned, results.cells.len());
    assert!(!results.cells.is_empty());
}

/// Also where it happens to have no cell at all.
#[tokio::test]
async fn the_first_shard_tells_what_is_wrong_with_the_whole() {
    let files = Files::new();
    let rule = "protocol = \"lxc-command\"\n[[expect]]\ncells = \"lxc-command/*/probe/no-such\"\nverdict = \"broken\"\n\
                shapes = [\"no-reply\"]\nreason = \"a rule for nothing\"\nbug = \"https://bugs.example.org/1\"\n";
    files.write("matrices/lxc-command/expectations.toml", rule);
    files.fixture("fixtures/lxc-command/probe..gone/x.wire", "gone", "probe/x");
    let shard = |text: String| text.parse::<Partition>().expect("a partition");
    let is_empty =
        |first: &Partition| plan(&files.project(), "recorded", Some(first)).expect("a plan").cells.is_empty();
    let total =
        (2..99).find(|total| is_empty(&shard(format!("hash:1/{total}")))).expect("two cells leave one empty");
    let complaints = async |partition| {
        run(files.project(), "recorded", With { partition, ..With::default() }).await.0.complaints
    };
    let whole = complaints(None).await;
    assert_eq!(whole.len(), 2, "{whole:?}");
    assert_eq!(complaints(Some(shard(format!("hash:1/{total}")))).await, whole);
    for later in 2..=total {
        assert_eq!(complaints(Some(shard(format!("hash:{later}/{total}")))).await, [""; 0]);
    }
}

/// Also where its first cell has no fixture.
#[tokio::test]
async fn a_recorded_build_has_the_package_of_its_fixtures() {
    let files = Files::new();
    let path = "fixtures/lxc-command/probe..kept/unknown-payload-16.wire";
    files.fixture(path, "kept", "probe/unknown-payload-16");
    let text = std::fs::read_to_string(files.path().join(path)).expect("it was written");
    let packed = text.replacen("# name = \"kept\"\n", "# name = \"kept\"\n# package = \"kept 1-2\"\n", 1);
    assert_ne!(packed, text);
    files.write(path, &packed);
    let (results, _) = run(files.project(), "recorded", With::default()).await;
    assert_eq!(outcomes(&results)[0], "missing-build");
    let details: Vec<_> = results.builds.iter().map(|build| build.detail.as_str()).collect();
    assert_eq!(details, ["kept 1-2"]);
}
