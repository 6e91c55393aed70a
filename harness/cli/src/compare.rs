//! `report`, `diff`, `gate` and `merge`: results of runs that are over.

use std::path::Path;

use report::diff::Scope;
use verdict::RunResults;

use crate::args::{Diff, Global, Merge, Report};
use crate::exit::Exit;
use crate::{Done, Failure, run, terminal};

pub(crate) fn read(path: &Path) -> Result<RunResults, Failure> {
    let text = std::fs::read_to_string(path)
        .map_err(|e| Failure::text(Exit::Setup, format!("cannot read `{}`: {e}", path.display())))?;
    let results = report::json::read(&text)
        .map_err(|e| Failure::text(Exit::Setup, format!("`{}`: {e}", path.display())))?;
    if let Some(fault) = report::verify(&results).first() {
        return Err(Failure::text(Exit::Setup, format!("`{}` contradicts itself: {fault}", path.display())));
    }
    Ok(results)
}

pub(crate) fn report(global: &Global, args: &Report) -> Done {
    let file = args.results.display().to_string();
    let show = run::shown(args.show, args.output, &file)?;
    let results = read(&args.results)?;
    terminal::print(&run::rendered(&results, args.output, show, terminal::style(global.color))?);
    Ok(run::exit_of(&results).into())
}

pub(crate) fn diff(global: &Global, args: &Diff) -> Done {
    compare(global, args)?;
    Ok(Exit::AsExpected.into())
}

/// Red only for what the second run made worse than the first.
pub(crate) fn gate(global: &Global, args: &Diff) -> Done {
    Ok(compare(global, args)?.into())
}

fn compare(global: &Global, args: &Diff) -> Result<Exit, Failure> {
    let (before, after) = (read(&args.before)?, read(&args.after)?);
    let scope = if args.part { Scope::Part } else { Scope::Whole };
    let diff = report::diff::compare(&before, &after, scope);
    terminal::print(&diff.render(terminal::style(global.color)));
    if before.cells.is_empty() || after.cells.is_empty() {
        return Err(Failure::text(Exit::NothingRan, "there is nothing to compare: a run has no cells"));
    }
    Ok(if !after.complete {
        Exit::Incomplete
    } else if diff.is_red() {
        Exit::Unexpected
    } else {
        Exit::AsExpected
    })
}

pub(crate) fn merge(args: &Merge) -> Done {
    let shards = args.shards.iter().map(|path| read(path)).collect::<Result<Vec<_>, _>>()?;
    let whole = runner::merge(shards).map_err(|error| Failure::text(Exit::Incomplete, error))?;
    let text = report::json::render(&whole).map_err(|e| Failure::text(Exit::Internal, e))?;
    std::fs::write(&args.out, text)
        .map_err(|e| Failure::text(Exit::Setup, format!("cannot write `{}`: {e}", args.out.display())))?;
    Ok(run::exit_of(&whole).into())
}
