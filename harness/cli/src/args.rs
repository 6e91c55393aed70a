//! The command line.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use matrix::BuildFlag;

/// Finds out which releases of a client and a server can talk to each other, before users do.
#[derive(Debug, Parser)]
#[command(name = "wireskew", version, max_term_width = 100, after_help = EXIT_CODES)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    /// What to do; without it, `run` with `matrices/default.toml`.
    #[command(subcommand)]
    pub(crate) verb: Option<Verb>,
}

const EXIT_CODES: &str = "\
Exit codes:
  0    everything is as expected      4    the selection left nothing to run
  100  some results are unexpected    96   set-up or configuration is wrong
  101  a build is unavailable       2    the command line is wrong
  106  the run is incomplete          1    a defect of wireskew itself";

#[derive(Debug, Args)]
pub(crate) struct Global {
    /// The top of the checkout that holds `matrices` and `fixtures`.
    #[arg(long, global = true, default_value = ".", value_name = "DIR")]
    pub(crate) root: PathBuf,
    /// When to colour: `auto` follows the terminal and `NO_COLOR`.
    #[arg(long, global = true, default_value = "auto", value_name = "WHEN")]
    pub(crate) color: Color,
    /// Say less on standard error.
    #[arg(long, short, global = true, conflicts_with = "verbose")]
    pub(crate) quiet: bool,
    /// Say more on standard error; twice, even more. Without it `WIRESKEW_LOG` says how much, e.g. `info` or
    /// `warn,session=debug`.
    #[arg(long, short, global = true, action = clap::ArgAction::Count)]
    pub(crate) verbose: u8,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Color {
    Auto,
    Always,
    Never,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Run the cells of a matrix and compare them with what is expected.
    Run(Run),
    /// Show what `run` would do.
    List(List),
    /// Print a fixture, decoded, or export it.
    Show(Show),
    /// Record a real client against a real server through a proxy.
    Record(Record),
    /// Turn raw recordings into fixtures.
    Import(Import),
    /// Play a fixture's client side to a server build and compare.
    Replay(Replay),
    /// Play one probe to a server build.
    Probe(Probe),
    /// Run one cell again and show all of it.
    Repro(Repro),
    /// Render the results of a run again.
    Report(Report),
    /// Say what changed between two runs.
    Diff(Diff),
    /// Fail only for what a run made worse than a baseline.
    Gate(Diff),
    /// Put the results of all shards of a run together.
    Merge(Merge),
    /// List, fetch and pin builds.
    #[command(subcommand)]
    Builds(Builds),
    /// Write expectations from results.
    #[command(subcommand)]
    Expect(Expect),
    /// Check or write the lock of message numbers and layouts.
    Lock(Lock),
    /// Say which version a release calls for, and because of what.
    Bump(Bump),
    /// Say what a newer protobuf schema breaks of an older one, and whom that hurts.
    SchemaDiff(SchemaDiff),
    /// Prove that every check catches its defect and that ideal peers pass.
    Selftest(Selftest),
    /// Print a completion script.
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
}

/// Which cells, of which matrix.
#[derive(Debug, Args, Clone, Default)]
pub(crate) struct Select {
    /// Cells by path, with `*` and `**`; `@FILE` reads patterns from a file, `!` excludes.
    #[arg(value_name = "CELL")]
    pub(crate) cells: Vec<String>,
    /// Cells by expression, e.g. 'server(>=5) & case(probe/**)'.
    #[arg(short = 'E', long = "filter", value_name = "EXPR")]
    pub(crate) filters: Vec<String>,
    /// The run file.
    #[arg(long, value_name = "FILE", default_value = "matrices/default.toml")]
    pub(crate) matrix: PathBuf,
    /// A build of your own, e.g. `lxc@dev=path:./target/lxc`; `,dialect=7.0.0` says which release it is like (the
    /// newest, if nothing does), `,role=server` that it is no client. With `,arg={socket}`, `{address}`, `{port}` or `{pty}`
    /// it is a command line that speaks there.
    #[arg(long = "build", value_name = "PROTOCOL@ID=SOURCE:…")]
    pub(crate) builds: Vec<BuildFlag>,
    /// One shard of the cells, e.g. `hash:1/4`.
    #[arg(long, value_name = "SHARD")]
    pub(crate) partition: Option<String>,
}

/// What carries conversations between two peers of this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Default)]
pub(crate) enum Transport {
    /// Memory.
    #[default]
    Memory,
    /// Unix sockets; what the kernel refuses without root is skipped.
    Unix,
    /// TCP of this machine, in real time; what passes descriptors or claims credentials is skipped.
    Tcp,
}

/// What flaky cells mean for the exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Default)]
pub(crate) enum FlakyResult {
    /// The run is not as expected.
    #[default]
    Fail,
    /// The run is as expected; the cells are listed.
    Pass,
}

/// What to show on the terminal besides the one screen that every run prints.
#[derive(Debug, Args, Clone, Copy, Default)]
pub(crate) struct ShowMore {
    /// Show the grids: what became of each client with each server.
    #[arg(long)]
    pub(crate) grid: bool,
    /// Show the grids, what each server answers to each probe, and all that is only counted otherwise.
    #[arg(long)]
    pub(crate) detail: bool,
    /// List the known bugs and the cells that have them.
    #[arg(long)]
    pub(crate) known: bool,
}

#[derive(Debug, Args, Clone, Default)]
pub(crate) struct Run {
    #[command(flatten)]
    pub(crate) select: Select,
    /// Cells at a time; the number of processors, if nothing says otherwise.
    #[arg(long, short, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(crate) jobs: Option<u16>,
    /// What carries conversations between reference peers; as root the verdicts are the same on both.
    #[arg(long, value_enum, value_name = "TRANSPORT", default_value_t)]
    pub(crate) transport: Transport,
    /// Seed of everything random; printed with every failure.
    #[arg(long, value_name = "N")]
    pub(crate) seed: Option<u64>,
    /// How often an unexpected cell is tried again.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(0..=100))]
    pub(crate) retries: Option<u16>,
    /// What a cell means for the exit code that was as expected only when tried again.
    #[arg(long, value_name = "RESULT", value_enum, default_value_t = FlakyResult::Fail)]
    pub(crate) flaky_result: FlakyResult,
    /// Multiply every deadline of real peers.
    #[arg(long, value_name = "FACTOR", value_parser = deadline_scale)]
    pub(crate) deadline_scale: Option<f64>,
    /// Where results, journal and transcripts go.
    #[arg(long, value_name = "DIR", default_value = "target/wireskew")]
    pub(crate) results: PathBuf,
    /// Go on with the interrupted run whose journal lies in the results folder.
    #[arg(long)]
    pub(crate) resume: bool,
    /// Save the transcript of every cell that ran with a running peer as a fixture.
    #[arg(long)]
    pub(crate) save: bool,
    #[command(flatten)]
    pub(crate) show: ShowMore,
    /// Keep the transcript of every cell, also of those that are as expected.
    #[arg(long)]
    pub(crate) keep_all: bool,
    /// Write only this to standard output.
    #[arg(long, value_enum, value_name = "FORMAT", default_value = "terminal")]
    pub(crate) output: Format,
}

/// The bounds of run files hold here too: beyond them it is a slip.
fn deadline_scale(text: &str) -> Result<f64, String> {
    let scale: f64 = text.parse().map_err(|_| format!("`{text}` is not a number"))?;
    if scale > 0.0 && scale <= 1000.0 {
        Ok(scale)
    } else {
        Err(format!("`{text}` is not above 0 and at most 1000"))
    }
}

impl Run {
    /// `wireskew` without arguments is `wireskew run` without arguments.
    pub(crate) fn bare() -> Self {
        match Cli::parse_from(["wireskew", "run"]).verb {
            Some(Verb::Run(run)) => run,
            _ => Self::default(),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Default)]
pub(crate) enum Format {
    #[default]
    Terminal,
    Json,
    Junit,
    Markdown,
    Html,
    Github,
    Sarif,
}

#[derive(Debug, Args)]
pub(crate) struct List {
    #[command(flatten)]
    pub(crate) select: Select,
    /// What to list.
    #[arg(long, value_enum, default_value = "cells")]
    pub(crate) what: Listing,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Listing {
    Cells,
    Cases,
    Builds,
    Dialects,
    Protocols,
    Defects,
}

#[derive(Debug, Args)]
pub(crate) struct Show {
    /// A `.wire` file, or a raw recording (`.jsonl`).
    pub(crate) file: PathBuf,
    /// Also dump the bytes of each frame.
    #[arg(long)]
    pub(crate) hex: bool,
    /// Write a pcapng file instead.
    #[arg(long, value_name = "FILE")]
    pub(crate) pcapng: Option<PathBuf>,
    /// Print the file in canonical form instead.
    #[arg(long, conflicts_with = "pcapng")]
    pub(crate) canonical: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Record {
    /// Cells to run and save as fixtures, e.g. `lxc-command/7.0.0..4.0.6/client/*`.
    #[arg(value_name = "CELL", required_unless_present = "listen", conflicts_with = "listen")]
    pub(crate) cells: Vec<String>,
    /// The run file.
    #[arg(long, value_name = "FILE", default_value = "matrices/live.toml")]
    pub(crate) matrix: PathBuf,
    /// A build of your own.
    #[arg(long = "build", value_name = "PROTOCOL@ID=SOURCE:…")]
    pub(crate) builds: Vec<BuildFlag>,
    #[command(flatten)]
    pub(crate) proxy: ProxyArgs,
}

/// A proxy between peers that the user starts.
#[derive(Debug, Args)]
#[command(next_help_heading = "By hand, between peers of your own")]
pub(crate) struct ProxyArgs {
    /// Where the client connects: a path, `@name` for an abstract socket, or a TCP address.
    #[arg(long, value_name = "ADDRESS", requires_all = ["forward", "out", "protocol"])]
    pub(crate) listen: Option<String>,
    /// Where the server listens.
    #[arg(long, value_name = "ADDRESS", requires = "listen")]
    pub(crate) forward: Option<String>,
    /// The fixture to write.
    #[arg(long, value_name = "FILE", requires = "listen")]
    pub(crate) out: Option<PathBuf>,
    /// The protocol, or its alias; `wireskew list --what protocols` shows them.
    #[arg(long, value_name = "PROTOCOL", requires = "listen")]
    pub(crate) protocol: Option<String>,
    /// What the client does; the case is `client/<NAME>`.
    #[arg(long, value_name = "NAME", default_value = "recorded")]
    pub(crate) operation: String,
    /// Version of the client.
    #[arg(long, value_name = "VERSION", default_value = "unknown")]
    pub(crate) client: String,
    /// Version of the server.
    #[arg(long, value_name = "VERSION", default_value = "unknown")]
    pub(crate) server: String,
    /// A command to run meanwhile; recording ends with it. Without one, Ctrl-C ends it.
    #[arg(last = true, value_name = "COMMAND", requires = "listen")]
    pub(crate) command: Vec<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Import {
    /// Raw recordings in the format `raw-recording/1`.
    #[arg(required = true)]
    pub(crate) files: Vec<PathBuf>,
    /// Folder for the fixtures, which lie there as `<client>..<server>/<case>.wire` where `--id` or `--case` is given.
    #[arg(long, short, value_name = "DIR")]
    pub(crate) out: PathBuf,
    /// The id of the build in `builds.toml` where it is not the version in the recording, e.g. `4.13.4-7-g720058f20=4.13.4`.
    #[arg(long = "id", value_name = "VERSION=ID", value_parser = renaming)]
    pub(crate) ids: Vec<(String, String)>,
    /// The case that is recorded, where it is not the scenario of the recording, e.g. `scenario/lifecycle-nohooks`.
    #[arg(long, value_name = "CASE")]
    pub(crate) case: Option<matrix::CaseId>,
}

fn renaming(text: &str) -> Result<(String, String), String> {
    let parts = text.split_once('=').filter(|(from, to)| !from.is_empty() && !to.is_empty());
    parts.map(|(from, to)| (from.to_owned(), to.to_owned())).ok_or_else(|| "expected `VERSION=ID`".to_owned())
}

#[derive(Debug, Args)]
pub(crate) struct Replay {
    /// The fixture.
    pub(crate) file: PathBuf,
    /// The server build.
    #[arg(long, default_value = "ideal")]
    pub(crate) server: String,
    #[command(flatten)]
    pub(crate) single: Single,
}

#[derive(Debug, Args)]
pub(crate) struct Probe {
    /// Name of the probe, e.g. `unknown-payload-16`.
    pub(crate) name: String,
    /// The protocol, or its alias; needed only where several protocols have a probe of that name.
    #[arg(long, value_name = "PROTOCOL")]
    pub(crate) protocol: Option<String>,
    /// The server build.
    #[arg(long, default_value = "ideal")]
    pub(crate) server: String,
    #[command(flatten)]
    pub(crate) single: Single,
}

#[derive(Debug, Args)]
pub(crate) struct Repro {
    /// The cell.
    pub(crate) cell: String,
    #[command(flatten)]
    pub(crate) single: Single,
}

/// How a single cell is run.
#[derive(Debug, Args, Clone)]
pub(crate) struct Single {
    /// The run file.
    #[arg(long, value_name = "FILE", default_value = "matrices/default.toml")]
    pub(crate) matrix: PathBuf,
    /// A build of your own.
    #[arg(long = "build", value_name = "PROTOCOL@ID=SOURCE:…")]
    pub(crate) builds: Vec<BuildFlag>,
    /// The seed that the failure was printed with.
    #[arg(long, value_name = "N")]
    pub(crate) seed: Option<u64>,
    /// Write the transcript here.
    #[arg(long, value_name = "FILE")]
    pub(crate) transcript: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct Report {
    /// `results.json` of a run.
    pub(crate) results: PathBuf,
    /// What to write to standard output.
    #[arg(long, value_enum, value_name = "FORMAT", default_value = "terminal")]
    pub(crate) output: Format,
    #[command(flatten)]
    pub(crate) show: ShowMore,
}

#[derive(Debug, Args)]
pub(crate) struct Diff {
    /// `results.json` of the baseline.
    pub(crate) before: PathBuf,
    /// `results.json` to compare with it.
    pub(crate) after: PathBuf,
    /// The second run was a selection or a shard: cells that it lacks do not count against it.
    #[arg(long)]
    pub(crate) part: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Merge {
    /// `results.json` of every shard.
    #[arg(required = true)]
    pub(crate) shards: Vec<PathBuf>,
    /// Where the whole goes.
    #[arg(long, short, value_name = "FILE")]
    pub(crate) out: PathBuf,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Builds {
    /// Say which builds there are and which are at hand.
    List,
    /// Make the root file system of each Debian build and check it against `builds.lock`.
    Fetch {
        /// Builds, `4.0.6` or `lxc@4.0.6`; without any, all.
        ids: Vec<String>,
    },
    /// Say what the image of each build that is a container is made of, one a line, for `ci/images.sh`.
    Images,
    /// Pin the newest versions of the suites and write `builds.lock` anew.
    Update {
        /// Builds, `4.0.6` or `lxc@4.0.6`; without any, all.
        ids: Vec<String>,
        /// Keep the versions that are pinned, and only write the lock of what they bring along.
        #[arg(long)]
        pinned: bool,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Expect {
    /// Write minimal rules for what a run found, keeping the rules that still hold.
    Update {
        /// `results.json` of a complete run.
        #[arg(long, value_name = "FILE", default_value = "target/wireskew/results.json")]
        results: PathBuf,
        /// Why the new failures are expected.
        #[arg(long, requires = "bug")]
        reason: Option<String>,
        /// Where they are reported.
        #[arg(long, requires = "reason")]
        bug: Option<String>,
        /// Print the rules, write nothing.
        #[arg(long)]
        dry_run: bool,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Lock {
    /// Write the lock files instead of checking them.
    #[arg(long)]
    pub(crate) write: bool,
    /// Print what each dialect adds and changes, and which version that calls for, too.
    #[arg(long)]
    pub(crate) changes: bool,
    /// The policy, e.g. `matrices/policies/server-first.toml`; without it, any break is major.
    #[arg(long, value_name = "FILE", requires = "changes")]
    pub(crate) policy: Option<PathBuf>,
}

/// What calls for which version.
#[derive(Debug, Args)]
pub(crate) struct Measure {
    /// The policy, e.g. `matrices/policies/server-first.toml`; without it, any break is major.
    #[arg(long, value_name = "FILE")]
    pub(crate) policy: Option<PathBuf>,
}

/// How a comparison is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Default)]
pub(crate) enum TextOrJson {
    #[default]
    Text,
    Json,
}

#[derive(Debug, Args)]
pub(crate) struct Bump {
    /// The protocol, or its alias, and two of its releases, dialects or builds, e.g. `lxc@4.0.6..5.0.2`.
    #[arg(value_name = "PROTOCOL@FROM..TO")]
    pub(crate) releases: String,
    /// A build of your own that is one of both, e.g. `lxc@dev=path:./target/lxc,dialect=7.0.0`.
    #[arg(long = "build", value_name = "PROTOCOL@ID=SOURCE:…")]
    pub(crate) builds: Vec<BuildFlag>,
    #[command(flatten)]
    pub(crate) measure: Measure,
    /// What to write to standard output.
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t)]
    pub(crate) format: TextOrJson,
}

#[derive(Debug, Args)]
pub(crate) struct SchemaDiff {
    /// The schemas, oldest first: the last one is compared with the one before it, and with older ones for numbers that were free
    /// in between. Each is a `.proto` file, several with commas between them, a folder of them, or a set of descriptors.
    #[arg(value_name = "SCHEMA", num_args = 2.., required = true)]
    pub(crate) schemas: Vec<OsString>,
    #[command(flatten)]
    pub(crate) measure: Measure,
    /// What to write to standard output.
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t)]
    pub(crate) format: TextOrJson,
}

#[derive(Debug, Args)]
pub(crate) struct Selftest {
    /// Only defects and bugs whose name contains this.
    pub(crate) name: Option<String>,
}
