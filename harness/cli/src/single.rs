//! `repro`, `replay` and `probe`: one cell, shown whole.

use std::path::PathBuf;
use std::sync::Arc;

use matrix::{BuildId, CaseId, CaseKind, CellId};
use protocol::Protocol;
use verdict::RunResults;

use crate::args::{Global, Probe, Replay, Repro, Run, Select, Single};
use crate::exit::Exit;
use crate::folder::ResultsFolder;
use crate::run::Asked;
use crate::{Done, Failure, run, show, terminal};

pub(crate) fn repro(global: &Global, args: &Repro) -> Done {
    let cell: CellId = args.cell.parse().map_err(|error| Failure::text(Exit::Usage, error))?;
    single(global, &cell, &args.single)
}

pub(crate) fn probe(global: &Global, args: &Probe) -> Done {
    let case = CaseId::new(CaseKind::Probe, args.name.as_str());
    let protocol = match &args.protocol {
        Some(name) => run::protocol(name)?,
        None => only_protocol_with(&case)?,
    };
    let cell = CellId {
        protocol: protocol.name().into(),
        client: BuildId::new(BuildId::PROBE),
        server: BuildId::new(args.server.as_str()),
        case,
    };
    single(global, &cell, &args.single)
}

/// The protocol that has this case, if it is one alone.
fn only_protocol_with(case: &CaseId) -> Result<Arc<dyn Protocol>, Failure> {
    let mut with: Vec<_> = registry::all();
    with.retain(|protocol| protocol.cases().iter().any(|known| known.id == *case));
    match &with[..] {
        [] => Err(Failure::text(
            Exit::NothingRan,
            format!("no protocol has `{case}`; `wireskew list cases` shows them"),
        )),
        [only] => Ok(only.clone()),
        several => {
            let words: Vec<_> = several.iter().map(|p| format!("`--protocol {}`", p.alias())).collect();
            let text = format!("several protocols have `{case}`; say which: {}", words.join(" or "));
            Err(Failure::text(Exit::Usage, text))
        }
    }
}

pub(crate) fn replay(global: &Global, args: &Replay) -> Done {
    let transcript = show::load(&args.file)?;
    let header = &transcript.provenance;
    let case = header.case.parse().map_err(|error| Failure::text(Exit::Setup, error))?;
    let cell = CellId {
        protocol: header.protocol.as_str().into(),
        client: BuildId::new(header.client.id.as_str()),
        server: BuildId::new(args.server.as_str()),
        case: runner::replay_case(&case, &BuildId::new(header.server.id.as_str())),
    };
    single(global, &cell, &args.single)
}

/// Runs one cell and prints everything about it: verdict, findings, the transcript decoded.
fn single(global: &Global, cell: &CellId, single: &Single) -> Done {
    let select = Select {
        cells: vec![cell.to_string()],
        matrix: single.matrix.clone(),
        builds: single.builds.clone(),
        swagger: single.swagger.clone(),
        ..Select::default()
    };
    let asked = Asked::of(&select)?;
    let mut progress = run::progress(global);
    let prepared = run::prepare(global, &select, &asked, &mut progress)?;
    let [planned] = &prepared.plan.cells[..] else {
        let help = format!(
            "`{}` has no cell `{cell}`; `wireskew list --matrix {}` shows them",
            single.matrix.display(),
            single.matrix.display()
        );
        return Err(Failure::text(Exit::NothingRan, help));
    };
    if let Some(code) = run::enter_sandbox(&prepared.plan)? {
        return Ok(code);
    }
    let results_dir = PathBuf::from("target/wireskew/single");
    let args =
        Run { select, seed: single.seed, results: results_dir.clone(), keep_all: true, ..Run::default() };
    let folder = ResultsFolder::own(&results_dir)?;
    let results = run::execute(global, &args, &prepared, progress, &folder)?;
    let transcript = results_dir.join(runner::transcript_path(&planned.planned.id.to_string()));
    print(global, &results, &transcript)?;
    if let Some(path) = &single.transcript
        && transcript.is_file()
    {
        std::fs::copy(&transcript, path)
            .map_err(|e| Failure::text(Exit::Setup, format!("cannot write `{}`: {e}", path.display())))?;
    }
    // Rules about other cells have nothing to say about a single one.
    Ok(run::exit_of(&RunResults { complaints: Vec::new(), ..results }).into())
}

fn print(global: &Global, results: &RunResults, transcript: &std::path::Path) -> Result<(), Failure> {
    let style = terminal::style(global.color);
    for cell in &results.cells {
        terminal::print(&report::terminal::render_cell(results, cell, style));
    }
    if transcript.is_file() {
        terminal::print("\nTranscript\n");
        terminal::print(&show::render(&show::load(transcript)?, true));
    }
    Ok(())
}
