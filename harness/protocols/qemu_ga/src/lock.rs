//! The commands, limits and promises of every dialect, for `matrices/qemu-ga/messages.lock`.
//!
//! Commands have names and no numbers; a command that is gone, or one that lost a member, is what the lock is for.

use std::collections::BTreeMap;

use matrix::{DeclaredChange, LockTable, LockedDialect, LockedField, LockedMessage};

use protocol::dialect::IDEAL;

use super::dialect::{DEPTH_MAX, DIALECTS, Dialect, Numbers, Parsing, TOKEN_MAX};
use super::names::{self, GET_DEVICES, SILENT, SYNC, SYNC_DELIMITED};

/// What a release changed under a flag that was there before.
const CHANGES: &[(&str, &str, &str)] = &[
    ("7.2", "numbers", "cut after six places -> 17 digits"),
    ("10.0", GET_DEVICES, "gone where there is no Windows"),
    ("11.1", "syntax-errors", "told when the braces close -> told at once"),
    (IDEAL, "blocked", "CommandNotFound -> GenericError"),
    (IDEAL, "numbers", "17 digits -> as they were sent"),
    (IDEAL, "parser", "kept from client to client -> fresh for each"),
];

/// The table of all dialects.
#[must_use]
pub(crate) fn lock_table() -> LockTable {
    let mut after: Option<&Dialect> = None;
    let dialects = DIALECTS.all().iter().map(|dialect| {
        let locked = LockedDialect {
            name: dialect.name.to_owned(),
            after: after.map(|before| before.name.to_owned()),
            changes: changes(dialect.name),
            renames: Vec::new(),
            limits: BTreeMap::from([
                ("depth-max".to_owned(), u64::try_from(DEPTH_MAX).unwrap_or(u64::MAX)),
                ("token-max".to_owned(), u64::try_from(TOKEN_MAX).unwrap_or(u64::MAX)),
            ]),
            flags: flags(dialect),
            messages: messages(dialect),
        };
        after = Some(dialect);
        locked
    });
    LockTable { protocol: super::NAME.to_owned(), dialects: dialects.collect() }
}

fn changes(release: &str) -> Vec<DeclaredChange> {
    let of_release = CHANGES.iter().filter(|(name, ..)| *name == release);
    of_release
        .map(|(_, subject, what)| DeclaredChange { subject: (*subject).to_owned(), what: (*what).to_owned() })
        .collect()
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
    flags.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

fn messages(dialect: &Dialect) -> Vec<LockedMessage> {
    let mut commands = dialect.commands.clone();
    commands.sort_unstable();
    commands.into_iter().map(message).collect()
}

fn message(command: &str) -> LockedMessage {
    let mut knowing = DIALECTS.all().iter().filter(|dialect| dialect.knows(command));
    let since = knowing.next();
    let until = knowing.next_back().or(since).filter(|last| last.name != IDEAL);
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
        number: None,
        name: command.to_owned(),
        request,
        reply,
        since: since.map(|dialect| dialect.name.to_owned()),
        until: until.map(|dialect| dialect.name.to_owned()),
    }
}
