//! The `wireskew` command: reads the command line, calls the layers, prints, and turns errors into exit
//! codes. Results go to standard output, talk goes to standard error.

#![expect(clippy::print_stderr, reason = "this crate alone talks to people")]

mod args;
mod builds;
mod bump;
mod compare;
mod engine;
mod errors;
mod exit;
mod expect;
mod folder;
mod lock;
mod record;
mod run;
mod schema_diff;
mod selftest;
mod show;
mod single;
mod terminal;
mod warnings;

use std::process::ExitCode;

use args::{Cli, Verb};
use clap::{CommandFactory as _, Parser as _};
use exit::Exit;

fn main() -> ExitCode {
    // A part of the sandbox does its work here and never returns to the command line.
    if let Some(status) = engine::hook() {
        return status.into();
    }
    let cli = Cli::parse();
    let style = terminal::style(cli.global.color);
    match warnings::install(&cli.global).and_then(|()| dispatch(&cli)) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("{}", errors::render(error.report.as_ref(), style));
            error.exit.into()
        }
    }
}

/// An error and the exit code that it means.
pub(crate) struct Failure {
    exit: Exit,
    report: miette::Report,
}

impl Failure {
    pub(crate) fn new(exit: Exit, report: impl Into<miette::Report>) -> Self {
        Self { exit, report: report.into() }
    }

    pub(crate) fn setup(error: impl std::error::Error + Send + Sync + 'static) -> Self {
        Self::new(Exit::Setup, miette::Report::from_err(error))
    }

    pub(crate) fn text(exit: Exit, text: impl std::fmt::Display) -> Self {
        Self::new(exit, miette::miette!("{text}"))
    }
}

impl From<runner::ProjectError> for Failure {
    fn from(error: runner::ProjectError) -> Self {
        match error {
            // Keeps file, line and column.
            runner::ProjectError::Config(config) => Self::new(Exit::Setup, config),
            other => Self::setup(other),
        }
    }
}

pub(crate) type Done = Result<ExitCode, Failure>;

fn dispatch(cli: &Cli) -> Done {
    let global = &cli.global;
    match &cli.verb {
        None => run::run(global, &args::Run::bare()),
        Some(Verb::Run(args)) => run::run(global, args),
        Some(Verb::List(args)) => run::list(global, args),
        Some(Verb::Show(args)) => show::show(global, args),
        Some(Verb::Record(args)) => record::record(global, args),
        Some(Verb::Import(args)) => show::import(args),
        Some(Verb::Replay(args)) => single::replay(global, args),
        Some(Verb::Probe(args)) => single::probe(global, args),
        Some(Verb::Repro(args)) => single::repro(global, args),
        Some(Verb::Report(args)) => compare::report(global, args),
        Some(Verb::Diff(args)) => compare::diff(global, args),
        Some(Verb::Gate(args)) => compare::gate(global, args),
        Some(Verb::Merge(args)) => compare::merge(args),
        Some(Verb::Builds(args)) => builds::builds(global, args),
        Some(Verb::Expect(args)) => expect::expect(global, args),
        Some(Verb::Lock(args)) => lock::lock(global, args),
        Some(Verb::Bump(args)) => bump::bump(global, args),
        Some(Verb::SchemaDiff(args)) => schema_diff::schema_diff(args),
        Some(Verb::Selftest(args)) => selftest::selftest(global, args),
        Some(Verb::Completions { shell }) => {
            // `generate` panics when its writer fails, as standard output does behind `| head`.
            let mut script = Vec::new();
            clap_complete::generate(*shell, &mut Cli::command(), "wireskew", &mut script);
            terminal::print(&String::from_utf8_lossy(&script));
            Ok(Exit::AsExpected.into())
        }
    }
}
