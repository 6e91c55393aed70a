//! `run`, `list` and `record`.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use matrix::{BuildFlag, Partition, Selection, SourceKind};
use protocol::{Bench, Protocol};
use report::terminal::Show;
use report::{Progress, Style};
use runner::{Clock, Journal, Plan, Project, Request, RunEvent, RunOptions, Work};
use session::sandbox;
use tokio::sync::{mpsc, watch};
use transcript::Transcript;
use verdict::{CellResult, Outcome, RunResults};

use crate::args::{FlakyResult, Format, Global, List, Listing, Run, Select, ShowMore, Transport};
use crate::engine::engine;
use crate::exit::Exit;
use crate::folder::{JOURNAL, RESULTS_JSON, ResultsFolder, SAVED, TRANSCRIPTS};
use crate::{Done, Failure, show, terminal, warnings};

/// GitHub takes step summaries of less than a mebibyte.
const MARKDOWN_BYTES_MAX: usize = 1_000_000;

/// A project, a plan, and how it is to be run.
pub(crate) struct Prepared {
    pub(crate) project: Arc<Project>,
    pub(crate) plan: Arc<Plan>,
    pub(crate) flags: Vec<String>,
}

pub(crate) fn run(global: &Global, args: &Run) -> Done {
    // First of all what is wrong on the command line, then something to see, then work.
    let results_file = args.results.join(RESULTS_JSON).display().to_string();
    let show = shown(args.show, args.output, &results_file)?;
    let asked = Asked::of(&args.select)?;
    can_resume(args)?;
    let mut progress = progress(global);
    let prepared = prepare(global, &args.select, &asked, &mut progress)?;
    // A shard may happen to have no cell; that is a part of the whole like any other.
    if prepared.plan.selects_nothing {
        return Err(Failure::text(
            Exit::NothingRan,
            "the selection leaves no cell to run; `wireskew list` shows them all",
        ));
    }
    if let Some(code) = enter_sandbox(&prepared.plan)? {
        return Ok(code);
    }
    // Until the last report is there, and what stands on the terminal is what lies in the folder.
    let folder = ResultsFolder::own(&args.results)?;
    let results = execute(global, args, &prepared, progress, &folder)?;
    folder.write_reports(&results)?;
    let style = terminal::style(global.color);
    terminal::print(&rendered(&results, args.output, show, style)?);
    Ok(exit_of(&results).into())
}

/// What the command line asks for, understood before anything is read.
pub(crate) struct Asked {
    selection: Selection,
    partition: Option<Partition>,
}

impl Asked {
    /// Refuses what is wrong.
    pub(crate) fn of(select: &Select) -> Result<Self, Failure> {
        let selection = Selection::from_arguments(&select.cells, &select.filters)
            .map_err(|error| Failure::new(Exit::Usage, error))?;
        if selection.asks_for_verdict() {
            let text = "a verdict is known only after a run; `verdict(…)` cannot select what to run";
            return Err(Failure::text(Exit::Usage, text));
        }
        Ok(Self { selection, partition: partition(select.partition.as_deref())? })
    }
}

/// What is shown on the terminal. Other forms have no use for it.
pub(crate) fn shown(more: ShowMore, output: Format, file: &str) -> Result<Show<'_>, Failure> {
    let ShowMore { grid, detail, known } = more;
    if output != Format::Terminal && (grid || detail || known) {
        let text = "`--grid`, `--detail` and `--known` are for the terminal; other forms of `--output` hold all of it";
        return Err(Failure::text(Exit::Usage, text));
    }
    Ok(Show { grid, detail, known, file })
}

/// There must be a journal to go on from.
fn can_resume(args: &Run) -> Result<(), Failure> {
    let journal = args.results.join(JOURNAL);
    if !args.resume || journal.is_file() {
        return Ok(());
    }
    let text = format!(
        "there is no run to resume: `{}` is not there; `--results` names the folder of another run",
        journal.display()
    );
    Err(Failure::text(Exit::Setup, text))
}

/// Reads the project and plans what is selected.
pub(crate) fn prepare(
    global: &Global,
    select: &Select,
    asked: &Asked,
    progress: &mut Progress,
) -> Result<Prepared, Failure> {
    // Inside of the sandbox it has been said outside.
    if sandbox::Sandbox::inside().is_none() {
        progress.message(&format!("reading {}", select.matrix.display()));
    }
    let project = Project::load(&global.root, &registry::all(), &select.builds)?;
    let path = global.root.join(&select.matrix);
    let run_file = project.run_file(&path)?;
    let request = Request {
        name: select.matrix.display().to_string(),
        run: &run_file,
        selection: &asked.selection,
        partition: asked.partition.as_ref(),
    };
    let plan = runner::plan(&project, &request).map_err(Failure::setup)?;
    let flags = select.builds.iter().map(BuildFlag::to_string).collect();
    Ok(Prepared { project: Arc::new(project), plan: Arc::new(plan), flags })
}

fn partition(flag: Option<&str>) -> Result<Option<Partition>, Failure> {
    let wrong = |error| Failure::new(Exit::Usage, miette::Report::from_err::<matrix::PartitionError>(error));
    if let Some(text) = flag {
        return text.parse().map(Some).map_err(wrong);
    }
    Partition::from_variables(|name| std::env::var(name).ok()).map_err(wrong)
}

/// Goes into the sandbox if a live peer is to be started. `Some` is the exit status of the run inside.
pub(crate) fn enter_sandbox(plan: &Plan) -> Result<Option<ExitCode>, Failure> {
    let live = |source: Option<SourceKind>| source.is_some_and(SourceKind::is_live);
    let needed =
        plan.cells.iter().any(|cell| live(cell.planned.server_source) || live(cell.planned.client_source));
    if !needed || sandbox::Sandbox::inside().is_some() {
        return Ok(None);
    }
    sandbox::needed_and_possible().map_err(|obstacle| Failure::text(Exit::Setup, obstacle))?;
    let status = sandbox::enter().map_err(Failure::setup)?;
    Ok(Some(status.into()))
}

/// Runs a plan with a progress bar, a journal, and an ear for Ctrl-C.
pub(crate) fn execute(
    global: &Global,
    args: &Run,
    prepared: &Prepared,
    progress: Progress,
    folder: &ResultsFolder,
) -> Result<RunResults, Failure> {
    let Prepared { project, plan, flags } = prepared;
    let journal_path = folder.path.join(JOURNAL);
    let names: Vec<String> = plan.cells.iter().map(|cell| cell.planned.id.to_string()).collect();
    let inputs = format!("{} {:?}", inputs(prepared), args.transport);
    folder.clear(args.resume);
    let seed = match (args.seed, args.resume) {
        (Some(seed), _) => seed,
        (None, true) => Journal::seed(&journal_path).map_err(Failure::setup)?,
        (None, false) => fresh_seed(),
    };
    let (journal, done) = if args.resume {
        let (journal, done) =
            Journal::resume(&journal_path, &plan.name, seed, &names, &inputs).map_err(Failure::setup)?;
        (journal, done)
    } else {
        let journal = Journal::create(&journal_path, &plan.name, seed, &names, &inputs);
        (journal.map_err(Failure::setup)?, BTreeMap::new())
    };
    tracing::info!(cells = plan.cells.len(), done = done.len(), seed, "running");
    let work_dir = session::sandbox::WorkDir::make().map_err(Failure::setup)?;
    let (stop, stopped) = watch::channel(false);
    let options = Arc::new(RunOptions {
        seed,
        jobs: args.jobs.map(usize::from).or(plan.settings.jobs),
        transport: match args.transport {
            Transport::Memory => session::Transport::Memory,
            Transport::Unix => session::Transport::Unix,
            Transport::Tcp => session::Transport::Tcp,
        },
        deadline_scale: args.deadline_scale.unwrap_or(plan.settings.deadline_scale),
        retries: args.retries.map_or(plan.settings.retries, usize::from),
        bench: Bench { engine: engine(), ..Bench::new(work_dir.path(), cache_dir()) },
        flags: flags.clone(),
        clock: clock(),
        stop: stopped,
    });
    let keep = Keep {
        save: args.save,
        all: args.keep_all,
        root: &global.root,
        results: &folder.path,
        saved: RefCell::default(),
    };
    // Simulated cells have threads of their own; whoever only keeps their results needs one.
    let simulated = plan.cells.iter().all(runner::PlanCell::is_simulated);
    let mut builder = match simulated {
        true => tokio::runtime::Builder::new_current_thread(),
        false => tokio::runtime::Builder::new_multi_thread(),
    };
    let runtime = builder.enable_all().build().map_err(Failure::setup)?;
    let results = runtime.block_on(async {
        tokio::spawn(listen_for_stop(stop));
        let (events, inbox) = mpsc::unbounded_channel();
        let (project, plan) = (project.clone(), plan.clone());
        let run = tokio::spawn(runner::run(project, plan, options, Some(journal), done, events));
        let trouble = follow(inbox, progress, &keep).await;
        run.await.map(|results| (results, trouble))
    });
    runtime.shutdown_timeout(std::time::Duration::from_millis(200));
    let (mut results, trouble) = results.map_err(|panic| Failure::text(Exit::Internal, panic))?;
    results.complaints.extend(trouble);
    results.flaky_passes = args.flaky_result == FlakyResult::Pass;
    name_transcripts(&mut results, &folder.path);
    Ok(results)
}

/// What decides results besides the cells: a run is only resumed with the same.
fn inputs(prepared: &Prepared) -> String {
    let mut inputs = format!("{} {:?}", env!("CARGO_PKG_VERSION"), prepared.flags);
    for files in prepared.project.protocols.values() {
        inputs.push_str(&format!("{:?}", files.expectations.rules()));
    }
    let fixtures = prepared.plan.cells.iter().filter_map(|cell| match &cell.work {
        Work::Judge(fixture) | Work::Replay(fixture) => Some((&fixture.path, fixture)),
        _ => None,
    });
    for (path, fixture) in fixtures.collect::<BTreeMap<_, _>>() {
        inputs.push_str(&format!("{} {}", path.display(), fixture.stamp()));
    }
    inputs
}

/// Shows progress and keeps transcripts. Gives back what could not be written.
async fn follow(
    mut inbox: mpsc::UnboundedReceiver<RunEvent>,
    mut progress: Progress,
    keep: &Keep<'_>,
) -> Vec<String> {
    let (mut trouble, mut cut_short) = (Vec::new(), Vec::new());
    while let Some(event) = inbox.recv().await {
        match event {
            RunEvent::Started { planned, resumed } => {
                progress.start(planned - resumed);
                if resumed > 0 {
                    progress.message(&format!("{resumed} cells are taken from the journal"));
                }
            }
            // What is told is how many are done.
            RunEvent::CellStarted(_) => {}
            RunEvent::Slow(cell, ran) => progress.cell_slow(&cell.to_string(), ran),
            RunEvent::TriedAgain(result) => progress.cell_tried_again(&result),
            RunEvent::Cancelled(cell) => cut_short.push(cell.to_string()),
            RunEvent::Finished(result, transcript) => {
                progress.cell_finished(&result);
                if let Some(transcript) = transcript
                    && let Err(error) = keep.transcript(&result, &transcript)
                {
                    trouble.push(error);
                }
            }
        }
    }
    trouble.extend(keep.put_in_place());
    progress.cells_cut_short(&cut_short);
    progress.finish();
    warnings::above(None);
    trouble
}

/// What is seen on standard error while something goes on.
pub(crate) fn progress(global: &Global) -> Progress {
    use std::io::IsTerminal as _;
    let style = terminal::style(global.color);
    let progress = if global.quiet {
        Progress::hidden()
    } else if std::io::stderr().is_terminal() {
        Progress::bar(indicatif::ProgressDrawTarget::stderr(), style)
    } else {
        Progress::lines(std::io::stderr(), style)
    };
    warnings::above(progress.drawn());
    progress
}

/// Where transcripts go.
struct Keep<'a> {
    save: bool,
    all: bool,
    root: &'a Path,
    results: &'a Path,
    /// New fixtures, which lie in a folder of the results until the run is over: while it goes on, cells read the old ones.
    saved: RefCell<Vec<PathBuf>>,
}

impl Keep<'_> {
    /// Puts new fixtures in the place of the old ones. Gives back what could not be done.
    fn put_in_place(&self) -> Vec<String> {
        let mut trouble = Vec::new();
        for path in self.saved.take() {
            let (from, to) = (self.results.join(SAVED).join(&path), self.root.join(&path));
            let put = || -> std::io::Result<()> {
                to.parent().map_or(Ok(()), std::fs::create_dir_all)?;
                // The results may lie on another file system.
                std::fs::rename(&from, &to).or_else(|_| {
                    std::fs::copy(&from, &to)?;
                    std::fs::remove_file(&from)
                })
            };
            if let Err(error) = put() {
                trouble.push(format!("cannot save {}; it lies in {}: {error}", to.display(), from.display()));
            }
        }
        trouble
    }

    fn transcript(&self, result: &CellResult, transcript: &Transcript) -> Result<(), String> {
        if !self.save && !self.all && result.outcome.is_expected() {
            return Ok(());
        }
        let case = result.case.parse();
        let (Ok(case), client, server) = (
            case,
            matrix::BuildId::new(result.client.as_str()),
            matrix::BuildId::new(result.server.as_str()),
        ) else {
            return Err(format!("cell `{}` has no case that could be saved", result.cell));
        };
        let store = |path: PathBuf, transcript: &Transcript| {
            transcript::fixture::store(&path, transcript)
                .map_err(|error| format!("cannot save {}: {error}", path.display()))
        };
        let replayed = result.case.starts_with("replay/");
        let conclusive = result.verdict.is_some_and(|verdict| verdict != verdict::Verdict::Inconclusive);
        if self.save && conclusive && !replayed {
            let path = runner::fixture_path(&result.protocol, &client, &server, &case);
            let mut transcript = transcript.clone();
            show::give_captures(&mut transcript)
                .map_err(|bad| format!("cannot save {}: {bad}", path.display()))?;
            store(self.results.join(SAVED).join(&path), &transcript)?;
            self.saved.borrow_mut().push(path);
        }
        if self.all || !result.outcome.is_expected() {
            store(self.results.join(runner::transcript_path(&result.cell)), transcript)?;
        }
        Ok(())
    }
}

fn name_transcripts(results: &mut RunResults, folder: &Path) {
    if !folder.join(TRANSCRIPTS).is_dir() {
        return;
    }
    for cell in &mut results.cells {
        let path = runner::transcript_path(&cell.cell);
        if folder.join(&path).is_file() {
            cell.transcript = Some(path.display().to_string());
        }
    }
}

/// The first Ctrl-C ends the run in order; the second one ends the process.
async fn listen_for_stop(stop: watch::Sender<bool>) {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut interrupt), Ok(mut terminate), Ok(mut hangup)) =
        (signal(SignalKind::interrupt()), signal(SignalKind::terminate()), signal(SignalKind::hangup()))
    else {
        return;
    };
    for _ in 0..2 {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
        }
        if stop.send_replace(true) {
            #[expect(clippy::exit, reason = "the user asked twice; destructors may be what hangs")]
            std::process::exit(i32::from(Exit::Incomplete as u8));
        }
    }
}

/// Results as text.
pub(crate) fn rendered(
    results: &RunResults,
    format: Format,
    show: Show<'_>,
    style: Style,
) -> Result<String, Failure> {
    match format {
        Format::Terminal => Ok(report::terminal::render(results, show, style)),
        Format::Json => report::json::render(results).map_err(|e| Failure::text(Exit::Internal, e)),
        Format::Junit => report::junit::render(results).map_err(|e| Failure::text(Exit::Internal, e)),
        Format::Html => Ok(report::html::render(results)),
        Format::Sarif => report::sarif::render(results).map_err(|e| Failure::text(Exit::Internal, e)),
        Format::Github => Ok(report::github::render(results)),
        Format::Markdown => Ok(report::markdown::render(results, MARKDOWN_BYTES_MAX)),
    }
}

/// The protocol of that name or alias.
pub(crate) fn protocol(name: &str) -> Result<Arc<dyn Protocol>, Failure> {
    registry::find(name).ok_or_else(|| {
        let known: Vec<_> = registry::all().iter().map(|p| p.name()).collect();
        Failure::text(Exit::Usage, format!("no protocol is called `{name}`; there are {}", known.join(", ")))
    })
}

/// The exit code that results mean.
pub(crate) fn exit_of(results: &RunResults) -> Exit {
    let is_empty_shard = results.partition.is_some() && results.cells.is_empty();
    let ran = is_empty_shard || results.cells.iter().any(|cell| cell.verdict.is_some());
    let missing = |cell: &CellResult| cell.outcome == Outcome::MissingBuild;
    let unexpected = |cell: &CellResult| !results.tolerates(cell) && !missing(cell);
    if !results.complete {
        Exit::Incomplete
    } else if results.cells.iter().any(unexpected) || !results.complaints.is_empty() {
        Exit::Unexpected
    } else if results.cells.iter().any(missing) {
        Exit::MissingBuild
    } else if !ran {
        Exit::NothingRan
    } else {
        Exit::AsExpected
    }
}

pub(crate) fn list(global: &Global, args: &List) -> Done {
    let asked = Asked::of(&args.select)?;
    let mut out = String::new();
    match args.what {
        Listing::Protocols | Listing::Dialects | Listing::Cases | Listing::Defects => {
            for protocol in registry::all() {
                list_protocol(&mut out, &*protocol, args.what);
            }
        }
        Listing::Builds => {
            let prepared = prepare(global, &args.select, &asked, &mut Progress::hidden())?;
            for files in prepared.project.protocols.values() {
                for build in files.builds.iter() {
                    let sources: Vec<_> = build.sources.iter().map(matrix::Source::word).collect();
                    out.push_str(&format!(
                        "{}@{}\tversion {}\tdialect {}\t{}\n",
                        build.protocol,
                        build.id,
                        build.version,
                        build.dialect,
                        sources.join(", ")
                    ));
                }
            }
        }
        Listing::Cells => {
            let prepared = prepare(global, &args.select, &asked, &mut Progress::hidden())?;
            for cell in &prepared.plan.cells {
                let how = match &cell.work {
                    Work::Judge(fixture) => format!("judge {}", fixture.path.display()),
                    Work::Play(_) => "play".to_owned(),
                    Work::Operate(name) => format!("operate {name}"),
                    Work::Replay(fixture) => format!("replay {}", fixture.path.display()),
                    Work::Missing(why) | Work::Explain(why) => format!("not run: {why}"),
                };
                out.push_str(&format!("{}\t{how}\n", cell.planned.id));
            }
            if prepared.plan.cells.is_empty() {
                return Err(Failure::text(Exit::NothingRan, "the selection leaves no cell"));
            }
        }
    }
    terminal::print(&out);
    Ok(Exit::AsExpected.into())
}

fn list_protocol(out: &mut String, protocol: &dyn protocol::Protocol, what: Listing) {
    match what {
        Listing::Protocols => out.push_str(&format!("{}\t{}\n", protocol.name(), protocol.about())),
        Listing::Dialects => {
            for dialect in protocol.dialects() {
                out.push_str(&format!("{}\t{dialect}\n", protocol.name()));
            }
        }
        Listing::Defects => {
            for defect in protocol.defects() {
                out.push_str(&format!("{}\t{}\t{}\n", protocol.name(), defect.name, defect.about));
            }
        }
        _ => {
            for case in protocol.cases() {
                out.push_str(&format!("{}/{}\t{}\n", protocol.name(), case.id, case.about));
            }
        }
    }
}

/// A seed that differs from run to run. It is printed with every failure.
fn fresh_seed() -> u64 {
    use std::hash::{BuildHasher as _, Hasher as _};
    std::collections::hash_map::RandomState::new().build_hasher().finish()
}

/// Where fetched builds are kept.
pub(crate) fn cache_dir() -> PathBuf {
    session::rootfs::Cache::default_directory()
}

pub(crate) fn clock() -> Clock {
    #[expect(clippy::disallowed_methods, reason = "the runner is told the day, and looks at no clock")]
    let now = jiff::Zoned::now();
    let uname = rustix::system::uname();
    let environment = BTreeMap::from([
        ("kernel".to_owned(), kernel_version(&uname.release().to_string_lossy())),
        ("arch".to_owned(), uname.machine().to_string_lossy().into_owned()),
    ]);
    Clock { today: now.date(), now: now.timestamp().to_string(), environment }
}

/// The version without what a distribution or a provider put behind it: that names a machine.
fn kernel_version(release: &str) -> String {
    release.split(['-', '+', '_']).next().unwrap_or_default().to_owned()
}

pub(crate) fn cannot_write(path: &Path, error: std::io::Error) -> Failure {
    Failure::text(Exit::Setup, format!("cannot write `{}`: {error}", path.display()))
}
