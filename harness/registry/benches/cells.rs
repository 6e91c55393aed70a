//! How fast the default run is: reading its fixtures, judging them, and all of its cells. A run reads a fixture when its
//! cell runs, so that `running` has `loading`, `framing` and `judging` in it.
//!
//! ```text
//! reading     the bytes of every fixture file, one after the other: what `loading` is measured by
//! finding     `Fixtures::find_all`: their names; that is what planning needs
//! loading     `Fixture::load` of each: parsed, one after the other
//! framing     `Reading::of` every recorded conversation: what `judging` is measured by
//! judging     `judge_transcript` of the same: every check
//! planning    `plan` of matrices/default.toml
//! running     `run` of that plan: reference peers, replays and recordings
//! ```
//!
//! `cargo bench -p registry` runs divan and then prints rates and ratios. `cargo bench -p registry -- --budget` runs the
//! default matrix in a process of its own, prints what a thousand cells cost, what the run took of memory and what twelve
//! shards take of one run, and fails when one of them is above twice what is written down here ([`WRITTEN_DOWN`]): half
//! of that may be the machine. What depends on its other work, it only prints.
#![expect(clippy::print_stdout, reason = "a benchmark prints")]
#![expect(clippy::disallowed_methods, reason = "a benchmark measures")]

use std::collections::BTreeMap;
use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use divan::{Bencher, counter::ItemsCount};
use matrix::{Deal, Partition, Selection};
use protocol::Bench;
use runner::{
    Clock, Fixture, Fixtures, Plan, Project, ProtocolFiles, Request, RunOptions, judge_transcript, plan, run,
};
use session::Transport;
use tokio::sync::{mpsc, watch};
use transcript::Transcript;
use verdict::{Grammar, Outcome, Reading, RunResults};

/// The default run may take this long.
const GOAL: Duration = Duration::from_secs(4);
/// What the default run takes on two cores that do nothing else.
const WRITTEN_DOWN: Cost = Cost { cpu_s_per_thousand: 0.61, peak_mib: 120.0, twelve_shards: 1.2 };
/// A run of one cell may take this long.
const GOAL_OF_ONE: Duration = Duration::from_millis(150);
/// Turns of each contender; the fastest counts. What else runs on the machine only ever adds.
const TURNS: usize = 5;

/// What is measured: it says how many things it did.
type Contender = fn(&Ground) -> usize;

const CONTENDERS: [(&str, Contender); 7] = [
    ("reading", reading),
    ("finding", finding),
    ("loading", loading),
    ("framing", framing),
    ("judging", judging),
    ("planning", planning),
    ("running", running),
];

/// What each is measured by, what it counts.
const AGAINST: [(&str, &str, &str); 7] = [
    ("reading", "reading", "fixtures"),
    ("finding", "reading", "fixtures"),
    ("loading", "reading", "fixtures"),
    ("framing", "framing", "transcripts"),
    ("judging", "framing", "transcripts"),
    ("planning", "planning", "cells"),
    ("running", "judging", "cells"),
];

/// This checkout, read.
struct Ground {
    project: Arc<Project>,
    /// Every recorded conversation; a run holds only those of the cells that run.
    transcripts: BTreeMap<PathBuf, Transcript>,
    plan: Arc<Plan>,
    runtime: tokio::runtime::Runtime,
}

impl Ground {
    fn new() -> Self {
        Self::part(&Selection::all(), None)
    }

    fn part(selection: &Selection, partition: Option<&Partition>) -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let project = Arc::new(
            Project::load(&root, &registry::all(), &[]).expect("the matrices of this checkout are right"),
        );
        let plan = Arc::new(planned(&project, selection, partition));
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
        let runtime = runtime.expect("a runtime can be made");
        Self { project, transcripts: BTreeMap::new(), plan, runtime }
    }

    /// The same with every recorded conversation.
    fn with_transcripts() -> Self {
        let ground = Self::new();
        let fixtures = ground.project.protocols.values().flat_map(|files| &files.fixtures().all);
        let load = |fixture: &Arc<Fixture>| {
            (fixture.path.clone(), fixture.load().expect("the fixtures of this checkout are right"))
        };
        let transcripts = fixtures.map(load).collect();
        Self { transcripts, ..ground }
    }

    fn protocols(&self) -> impl Iterator<Item = (&str, &ProtocolFiles)> {
        self.project.protocols.iter().map(|(name, files)| (name.as_str(), files))
    }

    /// Every recorded conversation with the reading of the release that it met.
    fn recorded(&self) -> impl Iterator<Item = (&ProtocolFiles, &Fixture, Arc<dyn Grammar>)> {
        self.protocols().flat_map(|(_, files)| {
            files.fixtures().all.iter().filter_map(move |fixture| {
                let build = files.builds.get(&fixture.server)?;
                Some((files, &**fixture, files.protocol.grammar(&build.dialect)?))
            })
        })
    }
}

fn planned(project: &Project, selection: &Selection, partition: Option<&Partition>) -> Plan {
    let name = "matrices/default.toml";
    let run_file = project.run_file(&project.root.join(name)).expect("the default run is right");
    let request = Request { name: name.to_owned(), run: &run_file, selection, partition };
    plan(project, &request).expect("the default run can be planned")
}

fn reading(ground: &Ground) -> usize {
    let read = |fixture: &Fixture| std::fs::read(ground.project.root.join(&fixture.path));
    ground
        .recorded()
        .inspect(|(_, fixture, _)| {
            black_box(read(fixture).expect("it was read before"));
        })
        .count()
}

fn finding(ground: &Ground) -> usize {
    let find = |(name, files): (&str, &ProtocolFiles)| {
        Fixtures::find_all(&ground.project.root, name, &files.builds).all.len()
    };
    ground.protocols().map(find).sum()
}

fn loading(ground: &Ground) -> usize {
    ground
        .recorded()
        .inspect(|(_, fixture, _)| {
            black_box(fixture.load().expect("it was read before"));
        })
        .count()
}

fn framing(ground: &Ground) -> usize {
    ground
        .recorded()
        .inspect(|(_, fixture, grammar)| {
            black_box(Reading::of(&ground.transcripts[&fixture.path], &**grammar));
        })
        .count()
}

fn judging(ground: &Ground) -> usize {
    ground
        .recorded()
        .inspect(|(files, fixture, grammar)| {
            let (case, transcript) = (&fixture.case, &ground.transcripts[&fixture.path]);
            black_box(judge_transcript(&*files.protocol, &**grammar, case, transcript, None));
        })
        .count()
}

fn planning(ground: &Ground) -> usize {
    planned(&ground.project, &Selection::all(), None).cells.len()
}

fn running(ground: &Ground) -> usize {
    results(ground).cells.len()
}

/// Runs the default matrix, as the command line does, without its journal and reports.
fn results(ground: &Ground) -> RunResults {
    let work_dir = tempfile::tempdir().expect("a temporary directory can be made");
    let bench = Bench::new(work_dir.path(), "");
    let (_stop, stopped) = watch::channel(false);
    let settings = ground.plan.settings;
    let clock = Clock {
        today: jiff::Zoned::now().date(),
        now: jiff::Timestamp::now().to_string(),
        environment: BTreeMap::new(),
    };
    let options = RunOptions {
        seed: 1,
        jobs: settings.jobs,
        transport: Transport::Memory,
        deadline_scale: settings.deadline_scale,
        retries: settings.retries,
        bench,
        flags: Vec::new(),
        clock,
        stop: stopped,
    };
    let (events, mut inbox) = mpsc::unbounded_channel();
    let run =
        run(ground.project.clone(), ground.plan.clone(), Arc::new(options), None, BTreeMap::new(), events);
    ground.runtime.block_on(async {
        let run = tokio::spawn(run);
        while inbox.recv().await.is_some() {}
        let results = run.await.expect("a run does not panic");
        assert!(results.complete, "every cell has a result");
        results
    })
}

#[divan::bench(args = CONTENDERS.map(|(name, _)| name), sample_count = 5, sample_size = 1)]
fn default_run(bencher: Bencher<'_, '_>, name: &str) {
    let ground = Ground::with_transcripts();
    let (_, contender) = CONTENDERS.iter().find(|(known, _)| *known == name).expect("names come from there");
    bencher.counter(ItemsCount::new(contender(&ground))).bench_local(|| contender(&ground));
}

/// The shortest time of each contender with the number of things that it did in it.
fn measure(ground: &Ground) -> BTreeMap<&'static str, (Duration, usize)> {
    let mut best = BTreeMap::new();
    for _ in 0..TURNS {
        for (name, contender) in CONTENDERS {
            let start = Instant::now();
            let count = contender(ground);
            let time = start.elapsed();
            let shortest: &mut (Duration, usize) = best.entry(name).or_insert((time, count));
            if time < shortest.0 {
                *shortest = (time, count);
            }
        }
    }
    best
}

fn print_ratios() {
    let ground = Ground::with_transcripts();
    let best = measure(&ground);
    let each = |name: &str| {
        let (time, count) = best[name];
        time.as_secs_f64() * 1e6 / count.max(1) as f64
    };
    println!("\nwhat            ms    count                 per second    us each   ratio");
    for (name, base, things) in AGAINST {
        let (time, count) = best[name];
        let (ms, rate) = (time.as_secs_f64() * 1e3, count as f64 / time.as_secs_f64());
        let ratio = each(name) / each(base);
        println!(
            "{name:<9} {ms:>8.1}   {count:>6} {things:<11}   {rate:>12.0}   {:>8.1}   {ratio:>5.2} x {base}",
            each(name)
        );
    }
    let results = results(&ground);
    let of = |outcome: fn(Outcome) -> bool| results.cells.iter().filter(|cell| outcome(cell.outcome)).count();
    println!(
        "cells: {} ran as expected, {} were skipped, {} are not as expected",
        of(|outcome| outcome.is_expected() && outcome != Outcome::Skipped),
        of(|outcome| outcome == Outcome::Skipped),
        of(|outcome| !outcome.is_expected()),
    );
    println!("goal: running in at most {} ms", GOAL.as_millis());
}

/// What a run takes.
#[derive(Debug, Clone, Copy)]
struct Cost {
    /// Seconds of processor time for a thousand cells, planning and reading included.
    cpu_s_per_thousand: f64,
    /// The most memory that the process ever had.
    peak_mib: f64,
    /// What a run in twelve shards takes of one run. All are run in one process: each would cost the start of one more.
    twelve_shards: f64,
}

/// Runs the default matrix once, one cell of it, and all of it in shards; what that took, and whether it is within twice
/// what is written down.
fn is_within_budget() -> bool {
    let (start, before_s) = (Instant::now(), cpu_s());
    let results = results(&Ground::new());
    let (took, whole_s, peak_mib) = (start.elapsed(), cpu_s() - before_s, peak_mib());
    let unexpected = results.cells.iter().filter(|cell| !cell.outcome.is_expected()).count();
    let cells = results.cells.len();
    println!("{cells} cells, {unexpected} of them not as expected");
    let one_took = run_one();
    println!("{:<32} {:>8.2}   goal         {:>8.2}", "seconds", took.as_secs_f64(), GOAL.as_secs_f64());
    println!(
        "{:<32} {:>8}   goal         {:>8}",
        "ms for one cell",
        one_took.as_millis(),
        GOAL_OF_ONE.as_millis()
    );
    let twelve_shards = shards_of_a_run(cells, whole_s);
    let cost = Cost { cpu_s_per_thousand: whole_s * 1e3 / cells as f64, peak_mib, twelve_shards };
    let row = |what: &str, found: f64, written: f64| {
        println!("{what:<32} {found:>8.2}   written down {written:>8.2}   {:>5.2} x", found / written);
        found <= 2.0 * written
    };
    let cpu = row("CPU-seconds per thousand cells", cost.cpu_s_per_thousand, WRITTEN_DOWN.cpu_s_per_thousand);
    let peak = row("peak memory in MiB", cost.peak_mib, WRITTEN_DOWN.peak_mib);
    let shards = row("twelve shards, in runs", cost.twelve_shards, WRITTEN_DOWN.twelve_shards);
    cpu && peak && shards && unexpected == 0
}

const SHARDS: u64 = 12;

/// What all shards take of one run that took so long. The least of three turns each: what else the processor does only adds.
fn shards_of_a_run(cells: usize, first_s: f64) -> f64 {
    let all_shards = || {
        let in_shards: usize = (1..=SHARDS).map(run_shard).sum();
        assert_eq!(in_shards, cells, "shards share the cells without rest");
    };
    let whole = || assert_eq!(results(&Ground::new()).cells.len(), cells);
    let (mut least_whole, mut least_shards) = (first_s, f64::MAX);
    for _ in 0..3 {
        least_shards = spent_s(all_shards).min(least_shards);
        least_whole = spent_s(whole).min(least_whole);
    }
    least_shards / least_whole
}

/// Processor time that something took.
fn spent_s(work: impl FnOnce()) -> f64 {
    let before_s = cpu_s();
    work();
    cpu_s() - before_s
}

fn run_shard(shard: u64) -> usize {
    let partition = Partition::new(Deal::Hash, shard, SHARDS).expect("it is one of them");
    results(&Ground::part(&Selection::all(), Some(&partition))).cells.len()
}

fn run_one() -> Duration {
    let start = Instant::now();
    let cell = "lxc-command/probe..ideal/probe/unknown-payload-16".to_owned();
    let selection = Selection::from_arguments(&[cell], &[""; 0]).expect("a name is a pattern");
    assert_eq!(results(&Ground::part(&selection, None)).cells.len(), 1);
    start.elapsed()
}

/// Processor time of this process so far, by `proc(5)`: user and system, the 14th and 15th field, in hundredths of a
/// second.
fn cpu_s() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").expect("Linux has it");
    let (_, fields) = stat.rsplit_once(')').expect("the name of the program is in parentheses");
    let ticks =
        fields.split_whitespace().skip(11).take(2).map(|field| field.parse::<f64>().expect("a number"));
    ticks.sum::<f64>() / 100.0
}

fn peak_mib() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux has it");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("Linux tells it");
    line.split_whitespace().next().and_then(|kib| kib.parse::<f64>().ok()).expect("a number") / 1024.0
}

fn main() {
    if std::env::args().any(|arg| arg == "--budget") {
        std::process::exit(i32::from(!is_within_budget()));
    }
    divan::main();
    // `cargo test --benches` and `--list` want no numbers.
    if !std::env::args().any(|arg| arg == "--test" || arg == "--list") {
        print_ratios();
    }
}
