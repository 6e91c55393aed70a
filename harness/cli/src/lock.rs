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
            }
        }
        let locked = matrix::LockTable::load(&path).map_err(|error| Failure::new(Exit::Setup, error))?;
        for violation in matrix::check_lock(&locked, &table) {
            violations += 1;
            terminal::print(&format!("{name}: {violation}\n"));
        }
        terminal::print(&format!("{name}: {} dialects, {} violations\n", table.dialects.len(), violations));
    }
    Ok(if violations > 0 { Exit::Unexpected } else { Exit::AsExpected }.into())
}
