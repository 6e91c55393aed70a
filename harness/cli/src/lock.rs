//! `lock`: numbers are never reused, and layouts never change under a number.

use runner::Project;

use crate::args::{Global, Lock};
use crate::exit::Exit;
use crate::{Done, Failure, terminal};

pub(crate) fn lock(global: &Global, args: &Lock) -> Done {
    let project = Project::load(&global.root, &registry::all(), &[])?;
    let mut violations = 0;
    for files in project.protocols.values() {
        let name = files.protocol.name();
        let table = files.protocol.lock_table();
        let path = global.root.join("matrices").join(name).join("messages.lock");
        if args.write {
            std::fs::write(&path, table.render())
                .map_err(|e| Failure::text(Exit::Setup, format!("cannot write `{}`: {e}", path.display())))?;
        }
        if args.changes {
            for changes in table.changes() {
                terminal::print(&format!("{name}: {changes}\n"));
                for change in files.protocol.changes(Some(changes.from), changes.to) {
                    terminal::print(&format!("    {} ({})\n", change.what, change.source));
                }
            }
        }
        if !path.is_file() {
            let text = format!(
                "{name} has no lock yet: `{}` is not there; write it: wireskew lock --write",
                path.display()
            );
            return Err(Failure::text(Exit::Setup, text));
        }
        let locked = matrix::LockTable::load(&path).map_err(|error| Failure::new(Exit::Setup, error))?;
        let found = matrix::check_lock(&locked, &table);
        for violation in &found {
            terminal::print(&format!("{name}: {violation}\n"));
        }
        terminal::print(&format!("{name}: {} dialects, {} violations\n", table.dialects.len(), found.len()));
        violations += found.len();
    }
    Ok(if violations > 0 { Exit::Unexpected } else { Exit::AsExpected }.into())
}
