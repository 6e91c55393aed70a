//! `lock`: numbers are never reused, and layouts never change under a number.

use std::path::PathBuf;

use matrix::LockTable;
use runner::{Project, ProtocolFiles};

use crate::args::{Global, Lock};
use crate::bump::{Place, Policy, compared, count};
use crate::exit::Exit;
use crate::{Done, Failure, terminal};

pub(crate) fn lock(global: &Global, args: &Lock) -> Done {
    let policy = Policy::of(args.policy.as_deref())?;
    let project = Project::load(&global.root, &registry::all(), &[])?;
    let mut violations = 0;
    for files in project.protocols.values() {
        let name = files.protocol.name();
        let table = files.protocol.lock_table();
        if args.write {
            let path = path(global, name);
            std::fs::write(&path, table.render())
                .map_err(|e| Failure::text(Exit::Setup, format!("cannot write `{}`: {e}", path.display())))?;
        }
        if args.changes {
            print_changes(files, &table, &policy);
        }
        let found = matrix::check_lock(&committed(global, name)?, &table);
        for violation in &found {
            terminal::print(&format!("{name}: {violation}\n"));
        }
        terminal::print(&format!("{name}: {} dialects, {} violations\n", table.dialects.len(), found.len()));
        violations += found.len();
    }
    Ok(if violations > 0 { Exit::Unexpected } else { Exit::AsExpected }.into())
}

/// What each dialect adds and changes, and which version that calls for.
fn print_changes(files: &ProtocolFiles, table: &LockTable, policy: &Policy) {
    let name = files.protocol.name();
    for changes in table.changes() {
        terminal::print(&format!("{name}: {changes}\n"));
        for change in files.protocol.changes(Some(changes.from), changes.to) {
            terminal::print(&format!("    {} ({})\n", change.what, change.source));
        }
        let found = compared(files, table, Place::of_dialect(changes.from), Place::of_dialect(changes.to));
        let (breaks, bump) = (count(found.breaks.len(), "break"), policy.bumps.of(&found));
        terminal::print(&format!("    calls for a {bump} version: {breaks} (policy: {})\n", policy.name));
    }
}

fn path(global: &Global, protocol: &str) -> PathBuf {
    global.root.join("matrices").join(protocol).join("messages.lock")
}

/// The lock that is committed.
pub(crate) fn committed(global: &Global, protocol: &str) -> Result<LockTable, Failure> {
    let path = path(global, protocol);
    if !path.is_file() {
        let text = format!(
            "{protocol} has no lock yet: `{}` is not there; write it: wireskew lock --write",
            path.display()
        );
        return Err(Failure::text(Exit::Setup, text));
    }
    LockTable::load(&path).map_err(|error| Failure::new(Exit::Setup, error))
}
