//! The messages, their members and the versions that they ask for, for `matrices/ovirt-guest-agent/messages.lock`.
//!
//! Messages have names and no numbers, members names and no offsets: the tag of a member is its place in the list of all
//! members that any release has. The lowest version of a message is a flag of the dialects that know versions.

use std::collections::BTreeMap;

use matrix::{LockTable, LockedDialect, LockedField, LockedMessage};

use super::dialect::{DIALECTS, Dialect, FirstHeartbeat, Stores};
use super::names::{self, API_VERSION, Known, NO_VERSION};

/// The table of all dialects.
pub(super) fn lock_table() -> LockTable {
    DIALECTS.lock("ovirt-guest-agent", promised)
}

/// What a dialect has promised.
fn promised(dialect: &Dialect) -> LockedDialect {
    LockedDialect { flags: flags(dialect), messages: messages(dialect), ..LockedDialect::default() }
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
