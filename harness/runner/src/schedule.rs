//! Runs a plan: several cells at a time, an event for whatever becomes of each.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::civil::Date;
use matrix::{BuildId, CellId, Observed};
use protocol::Bench;
use session::Transport;
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::{JoinHandle, JoinSet};
use transcript::evidence::Shape;
use transcript::{Provenance, Transcript};
use verdict::{Attempt, CellResult, Grammar, Outcome, RunResults, Tally};

use crate::execute::Context;
use crate::outcome::{RunFacts, result};
use crate::peers::{Peers, build_records};
use crate::pool::Pool;
use crate::pulse::Pulse;
use crate::simulate::{Budget, Queue, guarded, processors, simulate};
use crate::under_way::UnderWay;
use crate::{Executed, Journal, Plan, PlanCell, Project, Work};

/// What the caller's clock and machine say; the runner itself looks at neither.
#[derive(Debug, Clone)]
pub struct Clock {
    /// The day.
    pub today: Date,
    /// The moment, RFC 3339.
    pub now: String,
    /// What goes into the provenance of transcripts: kernel, architecture, …
    pub environment: BTreeMap<String, String>,
}

/// How a run is done.
pub struct RunOptions {
    /// Seed of everything random.
    pub seed: u64,
    /// Cells at a time: threads for those of our own peers, and as many with real processes besides. If absent, the
    /// number of processors.
    pub jobs: Option<usize>,
    /// What carries conversations between peers of ours.
    pub transport: Transport,
    /// Every deadline of a real peer is multiplied by it.
    pub deadline_scale: f64,
    /// How often a cell that is not as expected is tried again.
    pub retries: usize,
    /// Where launchers find and put things.
    pub bench: Bench,
    /// Builds that were given by flag, for reproduction lines.
    pub flags: Vec<String>,
    /// The clock.
    pub clock: Clock,
    /// Becomes true when the user wants the run to end.
    pub stop: watch::Receiver<bool>,
}

/// What happens during a run.
#[derive(Debug)]
pub enum RunEvent {
    /// How many cells will be run or explained.
    Started {
        /// All cells of the plan.
        planned: usize,
        /// Those whose results were taken from a journal.
        resumed: usize,
    },
    /// A cell is being run.
    CellStarted(CellId),
    /// A cell is still being run, after so long. It is said again whenever as much time has passed.
    Slow(CellId, Duration),
    /// A try of a cell ended so, and another one follows.
    TriedAgain(Box<CellResult>),
    /// The run was stopped while the cell was being run: it has no result.
    Cancelled(CellId),
    /// A cell ended; its transcript where it ran.
    Finished(Box<CellResult>, Option<Arc<Transcript>>),
}

/// Runs a plan. Results of `done` are taken over instead of running their cells.
///
/// Every planned cell has a result at the end. When the user stops the run, those that did not run are
/// skipped for that reason and [`RunResults::complete`] is false.
pub async fn run(
    project: Arc<Project>,
    plan: Arc<Plan>,
    options: Arc<RunOptions>,
    journal: Option<Journal>,
    done: BTreeMap<String, CellResult>,
    events: mpsc::UnboundedSender<RunEvent>,
) -> RunResults {
    let start = now();
    let peers = Arc::new(Peers::prepare(&project, &plan, &options));
    // A reader that has gone away does not end the run.
    let _ = events.send(RunEvent::Started { planned: plan.cells.len(), resumed: done.len() });

    let mut kept =
        Kept { results: done, complaints: plan.complaints.clone(), journal, events: events.clone() };
    let under_way = UnderWay::default();
    let run = Arc::new(Run { project, plan, options, peers, memory: Budget::default(), under_way, events });
    let (sender, mut finished) = mpsc::unbounded_channel();
    let mut tasks = run.spawn(&kept.results, &sender);
    drop(sender);
    let mut stop = run.options.stop.clone();
    let mut stopped = *stop.borrow();
    let mut ended = Vec::new();
    let mut looks = tokio::time::interval(LOOK);
    while !stopped {
        let count = tokio::select! {
            count = finished.recv_many(&mut ended, TOGETHER_MAX) => count,
            // An error means that nobody can stop the run any more; then it goes on.
            Ok(()) = stop.changed() => { stopped = *stop.borrow(); continue }
            _ = looks.tick() => { run.tell_of_slow(); continue }
        };
        if count == 0 {
            break;
        }
        kept.take(ended.drain(..));
        tokio::time::sleep(TOGETHER).await;
    }
    // Threads end behind the cell that they are at, which the stop cuts short. What was done until then is kept.
    tasks.shutdown().await;
    kept.take(std::iter::from_fn(|| finished.try_recv().ok()));
    run.under_way.left().into_iter().for_each(|at| run.tell(RunEvent::Cancelled(run.id(at))));
    run.peers.stop().await;
    kept.results(&run, start)
}

/// What ends within so short a time is kept together: to be woken for each cell takes longer than to keep it.
const TOGETHER: Duration = Duration::from_millis(2);
const TOGETHER_MAX: usize = 256;

/// How often it is looked for what is slow.
const LOOK: Duration = Duration::from_secs(1);

/// What is known of cells that ended.
struct Kept {
    results: BTreeMap<String, CellResult>,
    complaints: Vec<String>,
    /// As long as it can be written.
    journal: Option<Journal>,
    events: mpsc::UnboundedSender<RunEvent>,
}

impl Kept {
    fn take(&mut self, ended: impl Iterator<Item = Ended>) {
        let ended: Vec<Ended> = ended.collect();
        if let Some(journal) = &mut self.journal
            && let Err(error) = journal.add(ended.iter().map(|(result, _)| result))
        {
            self.complaints.push(error.to_string());
            self.journal = None;
        }
        for (result, transcript) in ended {
            self.results.insert(result.cell.clone(), result.clone());
            let _ = self.events.send(RunEvent::Finished(Box::new(result), transcript));
        }
    }

    /// What is told of the run, which began then. What did not run is told, too.
    fn results(self, run: &Run, start: Instant) -> RunResults {
        let Self { mut results, mut complaints, .. } = self;
        let Run { project, plan, options, peers, .. } = run;
        let planned: BTreeSet<String> = plan.cells.iter().map(|cell| cell.planned.id.to_string()).collect();
        results.retain(|name, _| planned.contains(name));
        let complete = results.len() == planned.len();
        for cell in &plan.cells {
            let name = cell.planned.id.to_string();
            results.entry(name).or_insert_with(|| crate::outcome::not_run(cell));
        }
        let cells: Vec<CellResult> = results.into_values().collect();
        if complete {
            complaints.extend(expectation_complaints(project, plan, &cells, options.clock.today));
        }
        RunResults {
            format: 1,
            producer: producer(),
            matrix: plan.name.clone(),
            started: options.clock.now.clone(),
            seed: options.seed,
            complete,
            duration_ms: millis(start),
            partition: plan.partition.clone(),
            builds: build_records(project, plan, peers),
            tally: Tally::of(&cells),
            cells,
            complaints,
            flaky_passes: false,
        }
    }
}

/// A cell that ended, with its transcript where it ran.
type Ended = (CellResult, Option<Arc<Transcript>>);

/// What all cells of a run share.
struct Run {
    project: Arc<Project>,
    plan: Arc<Plan>,
    options: Arc<RunOptions>,
    peers: Arc<Peers>,
    memory: Budget,
    under_way: UnderWay,
    events: mpsc::UnboundedSender<RunEvent>,
}

impl Run {
    fn id(&self, at: usize) -> CellId {
        self.plan.cells[at].planned.id.clone()
    }

    /// A reader that has gone away does not end the run.
    fn tell(&self, event: RunEvent) {
        let _ = self.events.send(event);
    }

    fn begin(&self, at: usize) {
        self.under_way.begin(at);
        self.tell(RunEvent::CellStarted(self.id(at)));
    }

    fn tell_of_slow(&self) {
        let slow = self.under_way.slow();
        slow.into_iter().for_each(|(at, ran)| self.tell(RunEvent::Slow(self.id(at), ran)));
    }

    /// Whether a cell runs on virtual time: nobody outside of this process has a part in it, and nothing of the kernel that
    /// takes its time.
    fn is_virtual(&self, cell: &PlanCell) -> bool {
        cell.is_simulated() && (self.options.transport != Transport::Tcp || !cell.converses())
    }

    /// Starts whatever has no result yet, in the order of the seed: cells of our own peers on threads, those with real
    /// processes as tasks; each has its own limit.
    fn spawn(
        self: &Arc<Self>,
        done: &BTreeMap<String, CellResult>,
        finished: &mpsc::UnboundedSender<Ended>,
    ) -> JoinSet<()> {
        let Self { plan, options, .. } = &**self;
        let to_do = shuffled(plan.cells.len(), options.seed).into_iter();
        let to_do = to_do.filter(|at| !done.contains_key(&plan.cells[*at].planned.id.to_string()));
        let (simulated, live): (Vec<_>, Vec<_>) = to_do.partition(|at| self.is_virtual(&plan.cells[*at]));
        let mut tasks = JoinSet::new();
        let threads = options.jobs.unwrap_or_else(processors).clamp(1, simulated.len().max(1));
        let queue = Arc::new(Queue::new(simulated));
        // What has no processes would keep those waiting that have: they come first, and by themselves.
        let (at_work, idle) = watch::channel(threads);
        let at_work = Arc::new(at_work);
        for _ in 0..threads {
            let (run, queue, finished) = (Arc::clone(self), Arc::clone(&queue), finished.clone());
            let at_work = Arc::clone(&at_work);
            tasks.spawn_blocking(move || {
                run.simulate_all(&queue, &finished);
                at_work.send_modify(|threads| *threads -= 1);
            });
        }
        let limit = Arc::new(Semaphore::new(options.jobs.unwrap_or_else(processors)));
        let pulse = Arc::new(Pulse::start());
        for at in live {
            let (run, limit, pulse, finished) =
                (Arc::clone(self), Arc::clone(&limit), Arc::clone(&pulse), finished.clone());
            let mut idle = idle.clone();
            tasks.spawn(async move {
                // Neither the channel nor the semaphore is ever closed before this.
                let _ = idle.wait_for(|threads| *threads == 0).await;
                let _permit = limit.acquire().await;
                run.begin(at);
                let (cell, start) = (&run.plan.cells[at], now());
                let task = {
                    let run = Arc::clone(&run);
                    tokio::spawn(async move { run.live(&run.plan.cells[at], &pulse).await })
                };
                let mut task = AbortOnDrop(task);
                let ended = (&mut task.0).await;
                let ended = ended.unwrap_or_else(|panic| run.panicked(cell, &panic.to_string(), start));
                run.under_way.end(at);
                // A run that was stopped takes no more results.
                let _ = finished.send(ended);
            });
        }
        tasks
    }

    /// Does what a queue holds until it is empty or the run is stopped.
    fn simulate_all(&self, queue: &Queue<usize>, finished: &mpsc::UnboundedSender<Ended>) {
        while let Some(at) = queue.next() {
            self.begin(*at);
            let (cell, start) = (&self.plan.cells[*at], now());
            let ended = match guarded(|| self.simulate(cell)) {
                Ok(Some(ended)) => ended,
                // Stopped.
                Ok(None) => return,
                Err(panic) => self.panicked(cell, &panic, start),
            };
            self.under_way.end(*at);
            // A run that was stopped takes no more results.
            let _ = finished.send(ended);
        }
    }

    /// Runs a cell between peers of ours. It comes to the same however often it is tried; one that does not shows a fault
    /// of ours. `None` when the run is stopped.
    fn simulate(&self, cell: &PlanCell) -> Option<Ended> {
        let mut tries = Tries::new(self.options.retries, &self.events);
        loop {
            let start = now();
            let mut stop = self.options.stop.clone();
            if *stop.borrow() {
                return None;
            }
            let work = async {
                tokio::select! {
                    biased;
                    executed = self.execute(cell) => Some(executed),
                    Ok(_) = stop.wait_for(|stop| *stop) => None,
                }
            };
            let executed = match simulate(self.options.transport, work) {
                Ok(executed) => executed?,
                Err(why) => Executed::Failed(why),
            };
            if let Some(ended) = tries.settle(self.judged(cell, executed, start)) {
                return Some(ended);
            }
        }
    }

    /// Runs a cell in real time. That nothing came says nothing while this process did not get its turn: where it is
    /// not as expected, the cell is tried again, and if that goes on it is inconclusive.
    async fn live(&self, cell: &PlanCell, pulse: &Pulse) -> Ended {
        let mut tries = Tries::new(self.options.retries, &self.events);
        loop {
            let (start, since) = (now(), tokio::time::Instant::now());
            let executed = self.execute(cell).await;
            let mut ended = self.judged(cell, executed, start);
            if let Some(late) = pulse.starved_since(since).filter(|_| may_be_starved(&ended.0)) {
                let Some(why) = tries.starve(&ended.0, late) else { continue };
                ended.0 = crate::outcome::starved(ended.0, why);
                (ended.0.retries, ended.0.earlier) = (tries.seen, tries.earlier);
                return ended;
            }
            if let Some(ended) = tries.settle(ended) {
                return ended;
            }
        }
    }

    /// A panic is a fault of ours, and the cell says so.
    fn panicked(&self, cell: &PlanCell, panic: &str, start: Instant) -> Ended {
        self.judged(cell, Executed::Failed(format!("wireskew panicked: {panic}")), start)
    }

    fn judged(&self, cell: &PlanCell, executed: Executed, start: Instant) -> Ended {
        let files = &self.project.protocols[&*cell.planned.id.protocol];
        let Self { plan, options, .. } = self;
        let facts = RunFacts { matrix: &plan.name, seed: options.seed, flags: &options.flags };
        let result = result(files, &facts, cell, &executed, millis(start));
        let transcript = match executed {
            Executed::Ran(_, transcript) => Some(transcript),
            _ => None,
        };
        (result, transcript)
    }

    async fn execute(&self, cell: &PlanCell) -> Executed {
        let planned = &cell.planned;
        let files = &self.project.protocols[&*planned.id.protocol];
        let Some(grammar) = self.grammar_of(cell, &planned.id.server) else {
            return Executed::Failed(format!(
                "the server `{}` has a dialect that nobody knows",
                planned.id.server
            ));
        };
        let recorded_grammar = match &cell.work {
            Work::Replay(fixture) => {
                self.grammar_of(cell, &fixture.server).unwrap_or_else(|| grammar.clone())
            }
            _ => grammar.clone(),
        };
        let pool = match self.peers.pool(planned) {
            None => None,
            Some(Ok(pool)) => Some(pool),
            Some(Err(why)) => return Executed::Missing(why.clone()),
        };
        let client = match self.peers.client(planned) {
            None => None,
            Some(Ok(client)) => Some(client),
            Some(Err(why)) => return Executed::Missing(why.clone()),
        };
        let successors = match self.peers.successors(cell) {
            Ok(successors) => successors,
            Err(why) => return Executed::Missing(why),
        };
        let simulated = cell.is_simulated();
        let transport = if simulated { self.options.transport } else { Transport::Unix };
        let is_virtual = self.is_virtual(cell);
        let provenance = Provenance {
            recorder: producer(),
            recorded: self.options.clock.today.to_string(),
            seed: Some(self.options.seed),
            environment: if is_virtual { virtual_clock() } else { self.environment(pool) },
            ..Provenance::default()
        };
        let context = Context {
            protocol: &*files.protocol,
            grammar,
            recorded_grammar,
            pool: pool.map(|pool| &**pool),
            client: client.map(|client| &**client),
            successors,
            expectation: if simulated { None } else { files.expectation(&planned.id) },
            transport,
            memory: is_virtual.then_some(&self.memory),
            // Virtual time is never short.
            deadline_scale: if is_virtual { 1.0 } else { self.options.deadline_scale },
            provenance: &provenance,
        };
        context.execute(cell).await
    }

    fn environment(&self, pool: Option<&Arc<Pool>>) -> BTreeMap<String, String> {
        let mut environment = self.options.clock.environment.clone();
        environment.extend(pool.map(|pool| pool.launcher().environment()).unwrap_or_default());
        environment
    }

    fn grammar_of(&self, cell: &PlanCell, build: &BuildId) -> Option<Arc<dyn Grammar>> {
        let files = self.project.protocols.get(&*cell.planned.id.protocol)?;
        files.protocol.grammar(&files.builds.get(build)?.dialect)
    }
}

/// What the provenance of a simulated transcript says of the machine: nothing but that its times are virtual.
fn virtual_clock() -> BTreeMap<String, String> {
    BTreeMap::from([("clock".to_owned(), "virtual".to_owned())])
}

/// A task that ends with whoever waits for it.
struct AbortOnDrop<T>(JoinHandle<T>);

impl<T> Drop for AbortOnDrop<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// The numbers below `count` in an order that only the seed decides: real servers serve several cells, and a fault that
/// shows in one order shows again with the same seed.
fn shuffled(count: usize, seed: u64) -> Vec<usize> {
    let mut order: Vec<usize> = (0..count).collect();
    let mut state = seed;
    for at in (1..count).rev() {
        // splitmix64, https://prng.di.unimi.it/splitmix64.c
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^= mixed >> 31;
        let below = usize::try_from(mixed % (at as u64 + 1)).unwrap_or(0);
        order.swap(at, below);
    }
    order
}

/// `wireskew <version>`.
pub(crate) fn producer() -> String {
    format!("wireskew {}", env!("CARGO_PKG_VERSION"))
}

/// For how long things took, which no verdict looks at.
#[expect(clippy::disallowed_methods, reason = "durations are told to people and nothing else")]
fn now() -> Instant {
    Instant::now()
}

fn millis(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX)
}

fn is_unexpected(result: &CellResult) -> bool {
    matches!(result.outcome, Outcome::Fail | Outcome::Xpass | Outcome::HarnessError)
}

/// Whether a result that is not as expected may be no more than our own lack of a turn. Whoever is kept waiting takes
/// what comes late for missing, and what then comes for the answer to something else. A crash is no matter of time.
fn may_be_starved(result: &CellResult) -> bool {
    let is_crash = |shape: &String| *shape == Shape::CRASH || *shape == Shape::CLIENT_CRASH;
    is_unexpected(result) && !result.shapes.iter().any(is_crash)
}

/// How often a cell is tried again in which this process did not get its turn.
const STARVED_TRIES: usize = 3;

/// The tries of one cell. One that is not as expected is tried again, and what the earlier tries saw is kept.
struct Tries<'a> {
    left: usize,
    seen: Vec<String>,
    earlier: Vec<Attempt>,
    /// How many of those say nothing of the peers.
    starved: usize,
    events: &'a mpsc::UnboundedSender<RunEvent>,
}

impl<'a> Tries<'a> {
    fn new(left: usize, events: &'a mpsc::UnboundedSender<RunEvent>) -> Self {
        Self { left, seen: Vec::new(), earlier: Vec::new(), starved: 0, events }
    }

    /// Keeps what a try saw that is followed by another.
    fn keep(&mut self, told: String, result: CellResult) {
        self.seen.push(told);
        self.earlier.push(Attempt::from(&result));
        // A reader that has gone away does not end the run.
        let _ = self.events.send(RunEvent::TriedAgain(Box::new(result)));
    }

    /// A try that was starved. `None`: try again; else why there is no more of that.
    fn starve(&mut self, result: &CellResult, late: Duration) -> Option<String> {
        let why = format!("starved: nothing of wireskew ran for {} ms; {}", late.as_millis(), told(result));
        if self.starved == STARVED_TRIES {
            return Some(why);
        }
        self.starved += 1;
        self.keep(why, result.clone());
        None
    }

    /// How the cell ended, unless it is to be tried again.
    fn settle(&mut self, (mut result, transcript): Ended) -> Option<Ended> {
        if is_unexpected(&result) && self.left > 0 {
            self.left -= 1;
            self.keep(told(&result), result);
            return None;
        }
        if self.seen.len() > self.starved && result.outcome.is_expected() {
            result.outcome = Outcome::Flaky;
        }
        (result.retries, result.earlier) =
            (std::mem::take(&mut self.seen), std::mem::take(&mut self.earlier));
        Some((result, transcript))
    }
}

/// How a try ended that is followed by another.
fn told(result: &CellResult) -> String {
    let mut parts = vec![result.outcome.word()];
    parts.extend(result.shapes.iter().map(String::as_str));
    parts.extend(Some(result.summary.as_str()).filter(|summary| !summary.is_empty()));
    parts.join(": ")
}

/// Rules that can match nothing, are no longer true, contradict each other, or have expired.
fn expectation_complaints(project: &Project, plan: &Plan, cells: &[CellResult], today: Date) -> Vec<String> {
    let ran: BTreeMap<&str, &CellResult> = cells.iter().map(|cell| (cell.cell.as_str(), cell)).collect();
    let mut complaints = Vec::new();
    for files in project.protocols.values() {
        let observed = |id: CellId| {
            let result = ran.get(id.to_string().as_str());
            Observed {
                client_version: files.version(&id.client).to_owned(),
                server_version: files.version(&id.server).to_owned(),
                verdict: result.and_then(|result| result.verdict),
                shapes: result.map(|result| result.shapes.clone()).unwrap_or_default(),
                cell: id,
            }
        };
        let name = files.protocol.name();
        if !plan.protocols.contains(name) {
            continue;
        }
        let planned = plan.cells.iter().map(|cell| &cell.planned.id).filter(|id| *id.protocol == *name);
        let planned: Vec<Observed> = planned.cloned().map(observed).collect();
        // Of rules for cells that are not in a part of a run, that part has nothing to say.
        let is_part = plan.narrowed || !plan.speaks_for_all;
        if is_part && files.expectations.complaints(&planned, true, today).is_empty() {
            continue;
        }
        let universe: Vec<Observed> = crate::plan::universe(files).into_iter().map(observed).collect();
        let found = files.expectations.complaints(&universe, plan.narrowed, today);
        complaints.extend(found.iter().map(ToString::to_string));
    }
    complaints
}

/// Where a transcript of a run is put, relative to the results.
#[must_use]
pub fn transcript_path(cell: &str) -> PathBuf {
    Path::new("transcripts").join(format!("{cell}.wire"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ended(outcome: Outcome) -> Ended {
        (CellResult { outcome, ..crate::outcome::not_run(&crate::plan::tests::some_cell()) }, None)
    }

    /// A try in which this process did not get its turn is told, and makes no cell flaky; it is tried again so often and
    /// not for ever.
    #[test]
    fn a_starved_try_says_nothing_of_the_peers() {
        let (events, mut inbox) = mpsc::unbounded_channel();
        let mut tries = Tries::new(1, &events);
        let late = Duration::from_millis(340);
        for _ in 0..STARVED_TRIES {
            assert_eq!(tries.starve(&ended(Outcome::Fail).0, late), None);
        }
        let why = tries.starve(&ended(Outcome::Fail).0, late).expect("it does not go on for ever");
        assert!(why.starts_with("starved: nothing of wireskew ran for 340 ms; fail"), "{why}");
        let (result, _) = tries.settle(ended(Outcome::Pass)).expect("it is as expected");
        assert_eq!((result.outcome, result.retries.len()), (Outcome::Pass, STARVED_TRIES));
        assert_eq!((result.earlier.len(), inbox.len()), (STARVED_TRIES, STARVED_TRIES));
        assert!(matches!(inbox.try_recv(), Ok(RunEvent::TriedAgain(_))));
    }

    #[test]
    fn a_crash_is_not_excused_by_a_lack_of_turns() {
        let check = |outcome, shapes: &[&str], expect| {
            let shapes = shapes.iter().map(|shape| (*shape).to_owned()).collect();
            let result = CellResult { shapes, ..ended(outcome).0 };
            assert_eq!(may_be_starved(&result), expect, "{outcome:?} {:?}", result.shapes);
        };
        check(Outcome::Fail, &["hang"], true);
        check(Outcome::Fail, &["no-reply", "silenced"], true);
        check(Outcome::Fail, &["crash", "no-reply"], false);
        check(Outcome::Fail, &["client-crash"], false);
        check(Outcome::Fail, &["client-hang"], true);
        check(Outcome::Fail, &["changed-meaning"], true);
        check(Outcome::Xpass, &[], true);
        check(Outcome::Xfail, &["hang"], false);
        check(Outcome::Pass, &[], false);
        check(Outcome::HarnessError, &[], true);
    }

    #[test]
    fn a_try_that_differs_is_flaky() {
        let (events, _inbox) = mpsc::unbounded_channel();
        let mut tries = Tries::new(1, &events);
        assert!(tries.settle(ended(Outcome::Fail)).is_none(), "it is tried again");
        let (result, _) = tries.settle(ended(Outcome::Pass)).expect("it is as expected");
        assert_eq!((result.outcome, result.retries.len()), (Outcome::Flaky, 1));
    }

    #[test]
    fn the_seed_alone_decides_the_order() {
        assert_eq!(shuffled(50, 7), shuffled(50, 7));
        assert_ne!(shuffled(50, 7), shuffled(50, 8));
        let mut all = shuffled(50, 7);
        all.sort_unstable();
        assert_eq!(all, (0..50).collect::<Vec<_>>());
        assert_eq!(shuffled(0, 1), Vec::<usize>::new());
    }
}
