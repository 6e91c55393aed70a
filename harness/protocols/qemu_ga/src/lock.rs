//! The commands, limits and promises of every dialect, for `matrices/qemu-ga/messages.lock`.
//!
//! Commands have names and no numbers; a command that is gone, or one that lost a member, is what the lock is for.

use std::collections::BTreeMap;

use matrix::{LockTable, LockedDialect, LockedField, LockedMessage};

use super::dialect::{DEPTH_MAX, DIALECTS, Dialect, Numbers, Parsing, TOKEN_MAX};
use super::names::{self, SILENT, SYNC, SYNC_DELIMITED};

/// The table of all dialects.
pub(crate) fn lock_table() -> LockTable {
    DIALECTS.lock(super::NAME, promised)
}

/// What a dialect has promised.
fn promised(dialect: &Dialect) -> LockedDialect {
    let limit = |(name, limit): (&str, usize)| (name.to_owned(), u64::try_from(limit).unwrap_or(u64::MAX));
    LockedDialect {
        limits: [("depth-max", DEPTH_MAX), ("token-max", TOKEN_MAX)].map(limit).into(),
        flags: flags(dialect),
        messages: messages(dialect),
        ..LockedDialect::default()
    }
}

fn flags(dialect: &Dialect) -> BTreeMap<String, String> {
    let numbers = match dialect.numbers {
        Numbers::SixPlaces => "six places",
        Numbers::SeventeenDigits => "17 digits",
        Numbers::AsSent => "as sent",
    };
    let errors = match dialect.parsing {
        Parsing::WhenClosed => "when the braces close",
        Parsing::AtOnce => "at once",
    };
    let flags = [
        ("blocked", dialect.blocked_class),
        ("delimiter", "ff"),
        ("not-found", names::COMMAND_NOT_FOUND),
        ("numbers", numbers),
        ("parser", if dialect.fresh_parser { "fresh" } else { "kept" }),
        ("silent-on-success", "guest-shutdown,guest-suspend-disk,guest-suspend-ram,guest-suspend-hybrid"),
        ("syntax-errors", errors),
    ];
    flags.map(|(name, value)| (name.to_owned(), value.to_owned())).into()
}

fn messages(dialect: &Dialect) -> Vec<LockedMessage> {
    let mut commands = dialect.commands.clone();
    commands.sort_unstable();
    commands.into_iter().map(message).collect()
}

fn message(command: &str) -> LockedMessage {
    let field = |type_name: &str, name: &str| LockedField::open(0, type_name, name);
    let syncs = command == SYNC || command == SYNC_DELIMITED;
    let request = if syncs { vec![field("int64", "id")] } else { Vec::new() };
    let members =
        names::MEMBERS.iter().find(|(name, _)| *name == command).map_or(&[][..], |(_, members)| members);
    let reply = match SILENT.contains(&command) {
        true => Vec::new(),
        false if syncs => vec![field("int64", "return")],
        false => members.iter().map(|name| field("any", name)).collect(),
    };
    LockedMessage {
        kind: "command".to_owned(),
        name: command.to_owned(),
        request,
        reply,
        ..LockedMessage::default()
    }
}
