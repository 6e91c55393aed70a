//! Runs a plan: several cells at a time, one event for each that ends.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use jiff::civil::Date;
use matrix::{BuildId, Observed, Role, SourceKind};
use protocols::Bench;
use session::Client;
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::JoinSet;
use transcript::{Provenance, Transcript};
use verdict::{BuildRecord, CellResult, Grammar, Outcome, RunResults, Tally};

use crate::execute::Context;
use crate::outcome::{RunFacts, result};
use crate::pool::Pool;
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
    /// Cells at a time.
    pub jobs: usize,
    /// Every deadline is multiplied by it.
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
    /// So many cells will be run or explained.
    Started {
        /// All cells of the plan.
        planned: usize,
        /// Those whose results were taken from a journal.
        resumed: usize,
    },
    /// A cell ended; its transcript where it ran.
    Finished(Box<CellResult>, Option<Arc<Transcript>>),
}

/// Protocol, build and source.
type PeerKey = (String, BuildId, SourceKind);
/// A peer, or why it cannot be had.
type Had<T> = Result<T, String>;

/// The peers of one run, made once for each build and source.
struct Peers {
    pools: BTreeMap<PeerKey, Had<Arc<Pool>>>,
    clients: BTreeMap<PeerKey, Had<Arc<dyn Client>>>,
}

/// Runs a plan. Results of `done` are taken over instead of running their cells.
///
/// Every planned cell has a result at the end. When the user stops the run, those that did not run are
/// skipped for that reason and [`RunResults::complete`] is false.
pub async fn run(
    project: Arc<Project>,
    plan: Arc<Plan>,
    options: Arc<RunOptions>,
    mut journal: Option<Journal>,
    done: BTreeMap<String, CellResult>,
    events: mpsc::UnboundedSender<RunEvent>,
) -> RunResults {
    let start = Instant::now();
    let mut complaints = plan.complaints.clone();
    let peers = Arc::new(Peers::prepare(&project, &plan, &options));
    // A reader that has gone away does not end the run.
    let _ = events.send(RunEvent::Started { planned: plan.cells.len(), resumed: done.len() });

    let mut results = done;
    let mut tasks = spawn_cells(&project, &plan, &options, &peers, &results);
    let mut stop = options.stop.clone();
    let mut stopped = *stop.borrow();
    while !stopped {
        let joined = tokio::select! {
            joined = tasks.join_next() => joined,
            // An error means that nobody can stop the run any more; then it goes on.
            Ok(()) = stop.changed() => { stopped = *stop.borrow(); continue }
        };
        match joined {
            None => break,
            Some(Ok((result, transcript))) => {
                if let Some(writer) = &mut journal
                    && let Err(error) = writer.add(&result)
                {
                    complaints.push(error.to_string());
                    journal = None;
                }
                results.insert(result.cell.clone(), result.clone());
                let _ = events.send(RunEvent::Finished(Box::new(result), transcript));
            }
            Some(Err(panic)) => complaints.push(format!("a cell's task ended without a result: {panic}")),
        }
    }
    tasks.shutdown().await;
    peers.stop().await;

    let planned: BTreeSet<String> = plan.cells.iter().map(|cell| cell.planned.id.to_string()).collect();
    results.retain(|name, _| planned.contains(name));
    let complete = results.len() == planned.len();
    for cell in &plan.cells {
        let name = cell.planned.id.to_string();
        results.entry(name).or_insert_with(|| crate::outcome::not_run(cell));
    }
    let cells: Vec<CellResult> = results.into_values().collect();
    if complete {
        complaints.extend(expectation_complaints(&project, &plan, &cells, options.clock.today));
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
        builds: build_records(&project, &plan, &peers),
        tally: Tally::of(&cells),
        cells,
        complaints,
        flaky_passes: false,
    }
}

type Finished = (CellResult, Option<Arc<Transcript>>);

/// Starts a task for each cell that has no result yet, in the order of the seed; so many run at a time.
fn spawn_cells(
    project: &Arc<Project>,
    plan: &Arc<Plan>,
    options: &Arc<RunOptions>,
    peers: &Arc<Peers>,
    done: &BTreeMap<String, CellResult>,
) -> JoinSet<Finished> {
    let limit = Arc::new(Semaphore::new(options.jobs.max(1)));
    let mut tasks = JoinSet::new();
    for index in shuffled(plan.cells.len(), options.seed) {
        let name = plan.cells.get(index).map(|cell| cell.planned.id.to_string()).unwrap_or_default();
        if done.contains_key(&name) {
            continue;
        }
        let (project, plan, options, peers, limit) =
            (project.clone(), plan.clone(), options.clone(), peers.clone(), limit.clone());
        tasks.spawn(async move {
            // The semaphore is never closed.
            let _permit = limit.acquire().await;
            run_cell(&project, &plan, index, &options, &peers).await
        });
    }
    tasks
}

/// The numbers below `count` in an order that only the seed decides: cells share servers, and a fault that shows in one
/// order shows again with the same seed.
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

fn millis(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX)
}

async fn run_cell(
    project: &Project,
    plan: &Plan,
    index: usize,
    options: &RunOptions,
    peers: &Peers,
) -> (CellResult, Option<Arc<Transcript>>) {
    // Indices come from the plan itself.
    let cell = &plan.cells[index];
    let files = &project.protocols[&cell.planned.id.protocol];
    let facts = RunFacts { matrix: &plan.name, seed: options.seed, flags: &options.flags };
    let mut retries = Vec::new();
    loop {
        let start = Instant::now();
        let executed = execute(project, cell, options, peers).await;
        let mut outcome = result(files, &facts, cell, &executed, millis(start));
        let transcript = match executed {
            Executed::Ran(_, transcript) => Some(transcript),
            _ => None,
        };
        let again = matches!(outcome.outcome, Outcome::Fail | Outcome::Xpass | Outcome::HarnessError);
        if again && retries.len() < options.retries {
            retries.push(told(&outcome));
            continue;
        }
        if !retries.is_empty() && outcome.outcome.is_expected() {
            outcome.outcome = Outcome::Flaky;
        }
        outcome.retries = retries;
        return (outcome, transcript);
    }
}

/// How a try ended that is followed by another.
fn told(result: &CellResult) -> String {
    let mut parts = vec![result.outcome.word()];
    parts.extend(result.shapes.iter().map(String::as_str));
    parts.extend(Some(result.summary.as_str()).filter(|summary| !summary.is_empty()));
    parts.join(": ")
}

async fn execute(project: &Project, cell: &PlanCell, options: &RunOptions, peers: &Peers) -> Executed {
    let planned = &cell.planned;
    let files = &project.protocols[&planned.id.protocol];
    let Some(grammar) = grammar_of(project, cell, &planned.id.server) else {
        return Executed::Failed(format!(
            "the server `{}` has a dialect that nobody knows",
            planned.id.server
        ));
    };
    let recorded_grammar = match &cell.work {
        Work::Replay(fixture) => {
            grammar_of(project, cell, &fixture.server).unwrap_or_else(|| grammar.clone())
        }
        _ => grammar.clone(),
    };
    let pool = match peers.pool(planned) {
        None => None,
        Some(Ok(pool)) => Some(pool),
        Some(Err(why)) => return Executed::Missing(why.clone()),
    };
    let client = match peers.client(planned) {
        None => None,
        Some(Ok(client)) => Some(client),
        Some(Err(why)) => return Executed::Missing(why.clone()),
    };
    let provenance = Provenance {
        recorder: producer(),
        recorded: options.clock.today.to_string(),
        seed: Some(options.seed),
        transport: "unix-stream".to_owned(),
        environment: environment(&options.clock, pool),
        ..Provenance::default()
    };
    let context = Context {
        protocol: &*files.protocol,
        grammar,
        recorded_grammar,
        pool: pool.map(|pool| &**pool),
        client: client.map(|client| &**client),
        deadline_scale: options.deadline_scale,
        provenance: &provenance,
    };
    context.execute(cell).await
}

fn environment(clock: &Clock, pool: Option<&Arc<Pool>>) -> BTreeMap<String, String> {
    let mut environment = clock.environment.clone();
    environment.extend(pool.map(|pool| pool.launcher().environment()).unwrap_or_default());
    environment
}

fn grammar_of(project: &Project, cell: &PlanCell, build: &BuildId) -> Option<Arc<dyn Grammar>> {
    let files = project.protocols.get(&cell.planned.id.protocol)?;
    files.protocol.grammar(&files.builds.get(build)?.dialect)
}

impl Peers {
    fn prepare(project: &Project, plan: &Plan, options: &RunOptions) -> Self {
        let mut peers = Self { pools: BTreeMap::new(), clients: BTreeMap::new() };
        for cell in &plan.cells {
            let planned = &cell.planned;
            let files = &project.protocols[&planned.id.protocol];
            let key = |id: &BuildId, source| (planned.id.protocol.clone(), id.clone(), source);
            if let Some((source, id)) = live(planned.server_source, &planned.id.server) {
                peers.pools.entry(key(id, source)).or_insert_with(|| {
                    let launcher = with_source(files, id, source, Role::Server, |build, source| {
                        files.protocol.server(build, source, &options.bench)
                    });
                    launcher.map(|launcher| Arc::new(Pool::new(launcher)))
                });
            }
            if let Some((source, id)) = live(planned.client_source, &planned.id.client)
                && matches!(cell.work, Work::Operate(_))
            {
                peers.clients.entry(key(id, source)).or_insert_with(|| {
                    with_source(files, id, source, Role::Client, |build, source| {
                        files.protocol.client(build, source, &options.bench)
                    })
                });
            }
        }
        peers
    }

    fn pool(&self, planned: &matrix::PlannedCell) -> Option<&Had<Arc<Pool>>> {
        let (source, id) = live(planned.server_source, &planned.id.server)?;
        self.pools.get(&(planned.id.protocol.clone(), id.clone(), source))
    }

    fn client(&self, planned: &matrix::PlannedCell) -> Option<&Had<Arc<dyn Client>>> {
        let (source, id) = live(planned.client_source, &planned.id.client)?;
        self.clients.get(&(planned.id.protocol.clone(), id.clone(), source))
    }

    async fn stop(&self) {
        for pool in self.pools.values().flatten() {
            pool.stop().await;
        }
    }
}

/// A side that has to be started: neither the script nor a recording.
fn live(source: Option<SourceKind>, id: &BuildId) -> Option<(SourceKind, &BuildId)> {
    source.filter(|source| *source != SourceKind::Recorded).map(|source| (source, id))
}

fn with_source<T>(
    files: &crate::ProtocolFiles,
    id: &BuildId,
    kind: SourceKind,
    role: Role,
    make: impl FnOnce(&matrix::Build, &matrix::Source) -> Result<T, session::LaunchError>,
) -> Result<T, String> {
    let build = files.builds.get(id).ok_or_else(|| format!("there is no build `{id}`"))?;
    if !build.roles.contains(&role) {
        return Err(format!("build `{id}` does not play this side"));
    }
    let source = build.source(kind).ok_or_else(|| format!("build `{id}` has no source `{}`", kind.word()))?;
    make(build, source).map_err(|error| error.to_string())
}

fn build_records(project: &Project, plan: &Plan, peers: &Peers) -> Vec<BuildRecord> {
    let mut records: BTreeMap<PeerKey, BuildRecord> = BTreeMap::new();
    for cell in &plan.cells {
        let planned = &cell.planned;
        let files = &project.protocols[&planned.id.protocol];
        let sides = [
            (planned.client_source, &planned.id.client, true),
            (planned.server_source, &planned.id.server, false),
        ];
        for (source, id, is_client) in sides {
            let (Some(kind), Some(build)) = (source, files.builds.get(id)) else { continue };
            let key = (planned.id.protocol.clone(), id.clone(), kind);
            records.entry(key.clone()).or_insert_with(|| {
                let endpoint = match (is_client, peers.clients.get(&key), peers.pools.get(&key)) {
                    (true, Some(Ok(client)), _) => Ok(Some(client.endpoint())),
                    (false, _, Some(Ok(pool))) => Ok(Some(pool.launcher().endpoint())),
                    (true, Some(Err(why)), _) | (false, _, Some(Err(why))) => Err(why.clone()),
                    _ => Ok(recorded_endpoint(cell, is_client)),
                };
                let (endpoint, missing) = match endpoint {
                    Ok(endpoint) => (endpoint.unwrap_or_default(), None),
                    Err(why) => (transcript::Endpoint::default(), Some(why)),
                };
                let detail = [endpoint.source, endpoint.package].into_iter().flatten().collect::<Vec<_>>();
                BuildRecord {
                    protocol: planned.id.protocol.clone(),
                    id: id.0.clone(),
                    version: build.version.clone(),
                    dialect: build.dialect.clone(),
                    source: kind.word().to_owned(),
                    detail: detail.join(" "),
                    digest: endpoint.digest,
                    missing,
                }
            });
        }
    }
    let mut records: Vec<_> = records.into_values().collect();
    records.sort_by_key(|record| (record.protocol.clone(), place(project, record)));
    records
}

/// Where a build stands in `builds.toml`, which lists releases oldest first; reports keep that order.
fn place(project: &Project, record: &BuildRecord) -> Option<usize> {
    let files = project.protocols.get(&record.protocol)?;
    files.builds.iter().position(|build| build.id.0 == record.id)
}

fn recorded_endpoint(cell: &PlanCell, is_client: bool) -> Option<transcript::Endpoint> {
    let (Work::Judge(fixture) | Work::Replay(fixture)) = &cell.work else { return None };
    let header = &fixture.transcript.provenance;
    Some(if is_client { header.client.clone() } else { header.server.clone() })
}

/// Rules that can match nothing, are no longer true, contradict each other, or have expired.
fn expectation_complaints(project: &Project, plan: &Plan, cells: &[CellResult], today: Date) -> Vec<String> {
    let ran: BTreeMap<&str, &CellResult> = cells.iter().map(|cell| (cell.cell.as_str(), cell)).collect();
    let mut complaints = Vec::new();
    for files in project.protocols.values() {
        let name = files.protocol.name();
        if !plan.cells.iter().any(|cell| cell.planned.id.protocol == name) {
            continue;
        }
        let universe: Vec<Observed> = crate::plan::universe(files)
            .into_iter()
            .map(|id| {
                let result = ran.get(id.to_string().as_str());
                Observed {
                    client_version: files.version(&id.client),
                    server_version: files.version(&id.server),
                    verdict: result.and_then(|result| result.verdict),
                    shapes: result.map(|result| result.shapes.clone()).unwrap_or_default(),
                    cell: id,
                }
            })
            .collect();
        let found = files.expectations.contradictions(&universe);
        let account = files.expectations.account(&universe, plan.narrowed, today);
        complaints.extend(found.iter().chain(&account).map(ToString::to_string));
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
    use super::shuffled;

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
