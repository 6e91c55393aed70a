//! The versions and promises of every dialect, for `matrices/docker-engine/messages.lock`.

use std::collections::BTreeMap;

use matrix::{LockTable, LockedDialect};

use super::dialect::{Bodies, DIALECTS, Dialect, Errors};

/// The table of all dialects.
pub(crate) fn lock_table() -> LockTable {
    DIALECTS.lock(super::NAME, promised)
}

/// What a dialect has promised.
fn promised(dialect: &Dialect) -> LockedDialect {
    LockedDialect { flags: flags(dialect), ..LockedDialect::default() }
}

fn flags(dialect: &Dialect) -> BTreeMap<String, String> {
    let flags = [
        ("api-min", dialect.api_min.to_string()),
        ("bad-filters", if dialect.filters_are_faults { "500" } else { "400" }.to_owned()),
        ("bad-json", if dialect.bodies == Bodies::Fault { "500" } else { "400" }.to_owned()),
        ("bad-numbers", if dialect.numbers_are_faults { "500" } else { "400" }.to_owned()),
        ("errors-below-1.24", if dialect.errors == Errors::Json { "json" } else { "text" }.to_owned()),
        ("negotiated-in", "Api-Version".to_owned()),
    ];
    flags.map(|(name, value)| (name.to_owned(), value)).into()
}
