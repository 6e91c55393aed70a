//! The methods and messages of every release, for `matrices/containerd-task/messages.lock`.

use matrix::{LockTable, LockedDialect};

use super::dialect::{DIALECTS, Dialect};

/// The table of all dialects.
pub(crate) fn lock_table() -> LockTable {
    DIALECTS.lock(super::NAME, promised)
}

/// What a dialect has promised.
fn promised(dialect: &Dialect) -> LockedDialect {
    ttrpc::lock::promised(&dialect.family, dialect.schema())
}
