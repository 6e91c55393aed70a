//! The messages, their members and the versions that they ask for, for `matrices/ovirt-guest-agent/messages.lock`.
//!
//! Messages have names and no numbers, members names and no offsets: the tag of a member is its place in the list of all
//! members that any release has. The lowest version of a message is a flag of the dialects that know versions.

use std::collections::BTreeMap;

use matrix::{DeclaredChange, LockTable, LockedDialect, LockedField, LockedMessage};

use protocol::dialect::Release;

use super::dialect::{DIALECTS, Dialect, FirstHeartbeat, Stores};
use super::names::{self, API_VERSION, Known, NO_VERSION};

/// What a release changed under a limit or flag that was there before.
const CHANGES: &[(&str, &str, &str)] = &[
    ("1.0.9.1", "max", "none -> 1"),
    ("1.0.9.1", "guest-to-host/heartbeat", "says the maximum"),
    ("1.0.9.1", "min.number-of-cpus", "a new message"),
    ("1.0.11", "max", "1 -> 2"),
    ("1.0.11", "min.os-info", "a new message"),
    ("1.0.11", "min.timezone", "a new message"),
    ("1.0.11.3", "first-heartbeat", "the maximum -> 0"),
    ("1.0.12", "max", "2 -> 3"),
    ("1.0.12", "min.completion", "a new message"),
    ("1.0.12", "min.containers", "a new message"),
    ("4.14.8", "max", "none -> 1"),
    ("4.14.8", "host-to-guest/refresh", "says the maximum"),
    ("4.15.0", "min.set-number-of-cpus", "a new entry of the lookup table"),
    ("4.17.1", "max", "1 -> 2"),
    ("4.17.25", "keeps", "the value as it came -> the lower one of both maxima"),
    ("4.18.0", "max", "2 -> 3"),
    ("4.18.0", "min.lifecycle-event", "a new message"),
    ("ideal", "first-heartbeat", "is an agent as well"),
    ("ideal", "min.completion", "is an agent as well"),
    ("ideal", "min.containers", "is an agent as well"),
    ("ideal", "min.number-of-cpus", "is an agent as well"),
    ("ideal", "min.os-info", "is an agent as well"),
    ("ideal", "min.timezone", "is an agent as well"),
];

/// The table of all dialects.
pub(super) fn lock_table() -> LockTable {
    let dialects = DIALECTS.releases().iter().filter(|release| is_locked(release)).filter_map(|release| {
        let dialect = DIALECTS.named(release.name)?;
        let after = release.after.and_then(locked_parent);
        Some(LockedDialect {
            name: release.name.to_owned(),
            changes: changes(release.name),
            after: after.map(ToOwned::to_owned),
            flags: flags(dialect),
            messages: messages(dialect),
            ..LockedDialect::default()
        })
    });
    LockTable { protocol: "ovirt-guest-agent".to_owned(), dialects: dialects.collect() }
}

/// A host that was changed for one recording has promised nothing.
fn is_locked(release: &Release<Dialect>) -> bool {
    !release.name.contains('+')
}

fn locked_parent(name: &'static str) -> Option<&'static str> {
    let release = DIALECTS.releases().iter().find(|release| release.name == name)?;
    if is_locked(release) { Some(name) } else { release.after.and_then(locked_parent) }
}

fn changes(release: &str) -> Vec<DeclaredChange> {
    let of_release = CHANGES.iter().filter(|(name, ..)| *name == release);
    of_release
        .map(|(_, subject, what)| DeclaredChange { subject: (*subject).to_owned(), what: (*what).to_owned() })
        .collect()
}

fn flags(dialect: &Dialect) -> BTreeMap<String, String> {
    let max = |max: Option<i64>| max.map_or_else(|| "none".to_owned(), |max| max.to_string());
    let mut flags = BTreeMap::new();
    if let Some(agent) = &dialect.agent {
        let first = if agent.first_heartbeat == FirstHeartbeat::Max { "maximum" } else { "0" };
        flags.insert("max".to_owned(), max(agent.max));
        flags.insert("first-heartbeat".to_owned(), first.to_owned());
        flags.extend(minima(&agent.sends));
    }
    if let Some(host) = &dialect.host {
        let keeps = if host.stores == Stores::Raw { "raw" } else { "min" };
        flags.insert("max".to_owned(), max(host.max));
        flags.insert("keeps".to_owned(), keeps.to_owned());
        flags.extend(minima(&host.sends));
    }
    flags
}

fn minima(sends: &BTreeMap<&'static str, i64>) -> Vec<(String, String)> {
    let gated = sends.iter().filter(|(_, min)| **min > NO_VERSION);
    gated.map(|(name, min)| (format!("min.{name}"), min.to_string())).collect()
}

fn messages(dialect: &Dialect) -> Vec<LockedMessage> {
    let agent = dialect.agent.iter().flat_map(|agent| {
        let known = names::GUEST.iter().filter(|known| agent.sends.contains_key(known.name));
        known.map(|known| message("guest-to-host", known, agent.max.is_some()))
    });
    let host = dialect.host.iter().flat_map(|host| {
        let known = names::HOST.iter().filter(|known| host.sends.contains_key(known.name));
        known.map(|known| message("host-to-guest", known, host.tells_version))
    });
    agent.chain(host).collect()
}

fn message(kind: &str, known: &Known, versioned: bool) -> LockedMessage {
    let telling = [names::HEARTBEAT, names::REFRESH, names::API_VERSION_MESSAGE];
    let version = (telling.contains(&known.name) && versioned).then_some(API_VERSION);
    let members = known.arguments.iter().copied().chain(version);
    let field = |(tag, name): (usize, &str)| {
        LockedField::open(u64::try_from(tag).unwrap_or(u64::MAX), names::type_of(known.name, name), name)
    };
    LockedMessage {
        kind: kind.to_owned(),
        name: known.name.to_owned(),
        request: members.enumerate().map(field).collect(),
        ..LockedMessage::default()
    }
}

#[cfg(test)]
mod tests {
    use protocol::dialect::IDEAL;

    use super::*;

    #[test]
    fn every_change_is_declared() {
        let table = lock_table();
        assert_eq!(matrix::check_lock(&table, &table), Vec::new());
        assert_eq!(table.dialects.last().map(|dialect| dialect.name.as_str()), Some(IDEAL));
    }
}
