//! `expect update`: rules from results.

use std::collections::BTreeMap;

use matrix::expect_update::{self, Note};
use matrix::{CellId, Observed};
use runner::Project;

use crate::args::{Expect, Global};
use crate::exit::Exit;
use crate::{Done, Failure, compare, terminal};

pub(crate) fn expect(global: &Global, args: &Expect) -> Done {
    let Expect::Update { results, reason, bug, dry_run } = args;
    let note = match (reason, bug) {
        (Some(reason), Some(bug)) => {
            Some(Note::new(reason, bug, None).map_err(|error| Failure::text(Exit::Usage, error))?)
        }
        _ => None,
    };
    let results = compare::read(results)?;
    if !results.complete {
        return Err(Failure::text(Exit::Incomplete, "rules are written from complete runs only"));
    }
    let project = Project::load(&global.root, &registry::all(), &[])?;
    let mut observed: BTreeMap<&str, Vec<Observed>> = BTreeMap::new();
    for cell in &results.cells {
        let id: CellId = cell.cell.parse().map_err(|error| Failure::text(Exit::Setup, error))?;
        let files = project.protocols.get(&*id.protocol).ok_or_else(|| {
            Failure::text(Exit::Setup, format!("the results name the protocol `{}`", id.protocol))
        })?;
        observed.entry(&cell.protocol).or_default().push(Observed {
            client_version: files.version(&id.client).to_owned(),
            server_version: files.version(&id.server).to_owned(),
            verdict: cell.verdict,
            shapes: cell.shapes.clone(),
            cell: id,
        });
    }
    for (protocol, observed) in &observed {
        // Looked up above for each of its cells.
        let files = &project.protocols[*protocol];
        let plan =
            expect_update::plan(&files.expectations, observed, note.as_ref()).map_err(Failure::setup)?;
        let path = global.root.join("matrices").join(protocol).join("expectations.toml");
        let io = |error| Failure::text(Exit::Setup, format!("`{}`: {error}", path.display()));
        let text = std::fs::read_to_string(&path).map_err(io)?;
        let updated = expect_update::apply(&text, &plan).map_err(Failure::setup)?;
        if *dry_run {
            terminal::print(&updated);
        } else if updated != text {
            std::fs::write(&path, updated).map_err(io)?;
        }
        terminal::print(&format!("{protocol}: {} new rules\n", plan.added.len()));
    }
    Ok(Exit::AsExpected.into())
}
