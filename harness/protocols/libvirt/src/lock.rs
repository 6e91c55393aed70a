//! The numbers, layouts, limits, flags and features of every dialect, for
//! `matrices/libvirt-remote/messages.lock`.
//!
//! It does what libvirt's own comparison of structures does (`scripts/check-remote-protocol.py`, v11.3.0),
//! and sees what that cannot: limits, optional values, the meaning of integers whose types are the same,
//! features, and the flags that a procedure knows. Layouts are those by which messages are dissected; a
//! field's place is its rank, as XDR gives no field behind a text a fixed offset.
//!
//! | kind | number |
//! |---|---|
//! | `remote`, `qemu`, `lxc`, `keepalive` | procedures; the reply of an event is what it carries |
//! | `feature` | what CONNECT_SUPPORTS_FEATURE answers with 1 |
//! | `flag-14`, `flag-285` and others | a bit that procedure 14, 285, … knows, where that was measured |
//! | `error`, `stream-hole` | payloads that belong to no procedure |
//! | `error-code`, `lifecycle` and others | values of a field |

use std::collections::BTreeMap;

use matrix::{LockTable, LockedDialect, LockedField, LockedMessage};
use wire::libvirt_rpc::{MessageType, Status};

use super::dialect::{DIALECTS, Dialect, Limits};
use super::message::layouts::{self, Kind, Part, layout};
use super::names::{self, procedures, program};

/// The table of all dialects.
pub(crate) fn lock_table() -> LockTable {
    DIALECTS.lock("libvirt-remote", promised)
}

/// What a dialect has promised.
fn promised(dialect: &Dialect) -> LockedDialect {
    let programs = [("remote", program::REMOTE, "procedures"), ("qemu", program::QEMU, "qemu")];
    let programs = programs.into_iter().chain([("lxc", program::LXC, "lxc")]);
    let procedures = programs.flat_map(|(kind, program, table)| procedures_of(dialect, kind, program, table));
    let others = [features(dialect), known_flags(dialect), payloads(dialect), values()];
    let mut messages: Vec<LockedMessage> = procedures.chain(others.into_iter().flatten()).collect();
    messages.sort_by(|one, next| (&one.kind, one.number).cmp(&(&next.kind, next.number)));
    LockedDialect {
        limits: dialect.limits.entries().map(|(name, limit)| (name.to_owned(), limit.into())).into(),
        flags: flags(),
        messages,
        ..LockedDialect::default()
    }
}

/// What every release promised by words.
fn flags() -> BTreeMap<String, String> {
    let of = |text: &str| format!("{}/{} {text}", names::error::RPC, names::error_domain::RPC);
    let flags = [
        ("endian", "big".to_owned()),
        ("version", names::VERSION.to_string()),
        ("unknown-procedure", of(names::UNKNOWN_PROCEDURE_TEXT)),
        ("unknown-program", of(names::UNKNOWN_PROGRAM_TEXT)),
    ];
    flags.map(|(name, value)| (name.to_owned(), value)).into()
}

fn entry(kind: &str, number: u32, name: &str) -> LockedMessage {
    LockedMessage {
        kind: kind.to_owned(),
        number: Some(number.into()),
        name: name.to_owned(),
        ..LockedMessage::default()
    }
}

/// The procedures and events of a program that a dialect has, in the table of that name.
fn procedures_of(dialect: &Dialect, kind: &str, program: u32, table: &str) -> Vec<LockedMessage> {
    let has = |number: i32| match program {
        program::REMOTE if dialect.sends(number) => true,
        program::QEMU if number == names::qemu::DOMAIN_MONITOR_EVENT => true,
        _ => dialect.knows(program, number),
    };
    let numbered = names::table(table).map(|known| (known.number.cast_signed(), known.name));
    let known = numbered.filter(|(number, _)| has(*number));
    known.map(|(number, name)| with_layout(dialect, program, number, kind, name)).collect()
}

fn with_layout(dialect: &Dialect, program: u32, number: i32, kind: &str, name: &str) -> LockedMessage {
    let unknown = |name| vec![LockedField::open(0, "opaque", name)];
    let event = program == program::REMOTE && names::is_event(number);
    let (request, reply) = match layout(dialect, program, number) {
        Some(layout) => (fields(&layout.arguments, &dialect.limits), fields(&layout.result, &dialect.limits)),
        None if event => (Vec::new(), unknown("carried")),
        None => (unknown("arguments"), unknown("result")),
    };
    LockedMessage { request, reply, ..entry(kind, number.unsigned_abs(), name) }
}

fn features(dialect: &Dialect) -> Vec<LockedMessage> {
    let supported = names::table("feature").filter(|known| dialect.has_feature(known.number.cast_signed()));
    supported.map(|feature| entry("feature", feature.number, feature.name)).collect()
}

fn known_flags(dialect: &Dialect) -> Vec<LockedMessage> {
    let mut found = Vec::new();
    for (procedure, known) in &dialect.flags {
        let bits = (0..u32::BITS).map(|bit| 1_u32 << bit).filter(|bit| known & bit != 0);
        found.extend(bits.map(|bit| entry(&format!("flag-{procedure}"), bit, &flag_name(*procedure, bit))));
    }
    found
}

fn flag_name(procedure: i32, bit: u32) -> String {
    let table = match procedure {
        procedures::CONNECT_LIST_ALL_INTERFACES => "interface_list_flag",
        procedures::CONNECT_LIST_ALL_NODE_DEVICES => "node_device_list_flag",
        _ => "",
    };
    names::name(table, bit.into()).map_or_else(|| format!("{bit:#x}"), ToOwned::to_owned)
}

fn payloads(dialect: &Dialect) -> Vec<LockedMessage> {
    [("error", layouts::error()), ("stream-hole", layouts::stream_hole())]
        .map(|(name, parts)| LockedMessage {
            kind: name.to_owned(),
            name: name.to_owned(),
            reply: fields(parts, &dialect.limits),
            ..LockedMessage::default()
        })
        .into()
}

/// The numbers that fields hold.
fn values() -> Vec<LockedMessage> {
    let types =
        (0..=6).filter_map(|at| Some(entry("message-type", at, MessageType(at.cast_signed()).name()?)));
    let statuses = (0..=2).filter_map(|at| Some(entry("status", at, Status(at.cast_signed()).name()?)));
    let tables = [
        ("program", "program"),
        ("keepalive", "keepalive"),
        ("error-code", "error"),
        ("error-domain", "error_domain"),
        ("auth", "auth"),
        ("typed-parameter", "typed_parameter"),
        ("lifecycle", "lifecycle"),
        ("domain-state", "domain_state"),
        ("update-command", "update_command"),
        ("update-section", "update_section"),
    ];
    let named = tables.into_iter().flat_map(|(kind, table)| {
        names::table(table).map(move |known| entry(kind, known.number, known.name))
    });
    types.chain(statuses).chain(named).collect()
}

/// The fields of a layout, each with its rank.
fn fields(parts: &[Part], limits: &Limits) -> Vec<LockedField> {
    let mut found = Vec::new();
    flatten(&mut found, "", parts, limits);
    found
}

/// Members of an optional value are behind a question mark, elements of a list behind brackets.
fn flatten(found: &mut Vec<LockedField>, prefix: &str, parts: &[Part], limits: &Limits) {
    for part in parts {
        let name = match (prefix, part.name) {
            (prefix, "") => prefix.to_owned(),
            ("", name) => name.to_owned(),
            (prefix, name) => format!("{prefix}.{name}"),
        };
        let rank = u64::try_from(found.len()).unwrap_or(u64::MAX);
        let fixed = |size, type_name: &str| LockedField::new(rank, size, type_name, &name);
        let open = |type_name: &str| LockedField::open(rank, type_name, &name);
        let bounded = |word: &str, limit: u32| format!("{word}<{limit}>");
        match &part.kind {
            Kind::Int => found.push(fixed(4, "i32")),
            Kind::Uint => found.push(fixed(4, "u32")),
            Kind::Flags => found.push(fixed(4, "flags")),
            Kind::Hyper => found.push(fixed(8, "i64")),
            Kind::UnsignedHyper => found.push(fixed(8, "u64")),
            Kind::Uuid => found.push(fixed(16, "uuid")),
            Kind::Text => found.push(open(&bounded("string", limits.string))),
            Kind::OptionalText => found.push(open(&bounded("string", limits.string).replace('<', "?<"))),
            Kind::Chars(count) => found.push(fixed(u64::from(*count) * 4, &format!("char[{count}]"))),
            Kind::CharList(bound) => found.push(open(&bounded("char", bound.of(limits)))),
            Kind::Opaque(bound) => found.push(open(&bounded("bytes", bound.of(limits)))),
            Kind::Group(parts) => flatten(found, &name, parts, limits),
            Kind::Optional(parts) => {
                found.push(fixed(4, "optional"));
                flatten(found, &format!("{name}?"), parts, limits);
            }
            Kind::List(bound, _, item) => {
                found.push(open(&bounded("list", bound.of(limits))));
                flatten(found, &format!("{name}[]"), item, limits);
            }
            Kind::Parameters(bound) => found.push(open(&bounded("parameters", bound.of(limits)))),
            Kind::Rest => found.push(open("opaque")),
        }
    }
}

#[cfg(test)]
mod tests {
    use matrix::{LockViolation, LockViolationKind, check_lock};

    use super::*;
    use crate::dialect::UpdateOrder;
    use crate::names::feature;

    fn shown(violations: &[LockViolation]) -> Vec<String> {
        violations.iter().map(ToString::to_string).collect()
    }

    fn release(name: &str) -> Dialect {
        DIALECTS.named(name).expect("in the table").clone()
    }

    /// 9.0.0, 11.3.0 and 12.8.0 with one thing changed, each as the continuation of a real 7.0.0.
    #[track_caller]
    fn check(change: fn(&mut Dialect), kind: LockViolationKind, subject: &str) {
        for name in ["9.0.0", "11.3.0", "12.8.0"] {
            let mut dialect = release(name);
            change(&mut dialect);
            let mut table = lock_table();
            table.dialects.truncate(2);
            let [_, real] = table.dialects.as_mut_slice() else { panic!("7.0.0 and 9.0.0") };
            let LockedDialect { messages, limits, flags, .. } = promised(&dialect);
            *real = LockedDialect { messages, limits, flags, ..real.clone() };
            let found = table.check();
            let meant = |found: &&LockViolation| found.kind == kind && found.subject == subject;
            assert!(found.iter().any(|found| meant(&found)), "{name}: {:?}", shown(&found));
        }
    }

    #[test]
    fn every_change_is_declared_and_nothing_else() {
        assert_eq!(shown(&lock_table().check()), Vec::<String>::new());
    }

    /// From 7.0.0 to 12.8.0 messages were only added, and two integers of one of them were swapped.
    #[test]
    fn nothing_but_additions_and_the_swapped_integers() {
        let mut table = lock_table();
        for dialect in &mut table.dialects {
            dialect.changes.clear();
        }
        let found = table.check();
        assert_eq!(found.len(), 1, "{:?}", shown(&found));
        let swapped = (found[0].dialect.as_str(), found[0].kind, found[0].subject.as_str());
        assert_eq!(swapped, ("9.0.0", LockViolationKind::LayoutChanged, "remote/291"));

        let kinds = |from: &str, to: &str| {
            let (old, new) = (table.dialect(from).expect("there"), table.dialect(to).expect("there"));
            assert!(old.messages.iter().all(|message| new.message(&message.key()).is_some()));
            let mut added: BTreeMap<&str, usize> = BTreeMap::new();
            for message in new.messages.iter().filter(|message| old.message(&message.key()).is_none()) {
                *added.entry(&message.kind).or_default() += 1;
            }
            added
        };
        let of = |pairs: &[(&'static str, usize)]| pairs.iter().copied().collect::<BTreeMap<_, _>>();
        // Measured: 18 numbers, then 10.
        let first = of(&[("feature", 1), ("flag-131", 1), ("flag-285", 1), ("qemu", 1), ("remote", 18)]);
        assert_eq!(kinds("7.0.0", "9.0.0"), first);
        let second = [("flag-114", 1), ("flag-285", 6), ("flag-444", 2), ("flag-445", 2), ("remote", 10)];
        assert_eq!(kinds("9.0.0", "11.3.0"), of(&second));
        assert_eq!(kinds("11.3.0", "12.8.0"), of(&[("remote", 3)]));
        assert_eq!(kinds("12.8.0", "ideal"), of(&[]));
    }

    #[test]
    fn a_planted_limit_is_found() {
        check(|d| d.limits.string = 65_536, LockViolationKind::LimitChanged, "string");
        check(|d| d.limits.list = 1024, LockViolationKind::LayoutChanged, "remote/284");
    }

    #[test]
    fn a_planted_flag_or_feature_is_found() {
        let forget = |d: &mut Dialect| {
            let known = d.flags.get_mut(&procedures::CONNECT_LIST_ALL_NODE_DEVICES).expect("measured");
            *known &= !names::number("node_device_list_flag", "CAP_NET");
        };
        check(forget, LockViolationKind::MessageVanished, "flag-285/16");
        check(
            |d| {
                d.features.remove(&feature::REMOTE_CLOSE_CALLBACK);
            },
            LockViolationKind::MessageVanished,
            "feature/15",
        );
    }

    #[test]
    fn a_planted_layout_is_found() {
        // With the integers as 7.0.0 has them, the declared change is the one that is wrong.
        check(
            |d| d.update_order = UpdateOrder::SectionFirst,
            LockViolationKind::UnusedDeclaration,
            "remote/291",
        );
    }

    #[test]
    fn planted_faults_of_messages_are_found() {
        #[track_caller]
        fn check(change: fn(&mut LockedDialect), kind: LockViolationKind, subject: &str) {
            let mut table = lock_table();
            change(table.dialects.iter_mut().find(|dialect| dialect.name == "11.3.0").expect("there"));
            let found = table.check();
            let meant = |found: &LockViolation| found.kind == kind && found.subject == subject;
            assert!(found.iter().any(meant), "{:?}", shown(&found));
            let against = check_lock(&lock_table(), &table);
            assert!(!against.is_empty());
        }
        fn message<'a>(dialect: &'a mut LockedDialect, key: &str) -> &'a mut LockedMessage {
            dialect.messages.iter_mut().find(|message| message.key() == key).expect("there")
        }
        check(
            |d| message(d, "remote/222").name = "INTERFACE_CHANGE_UNDO".to_owned(),
            LockViolationKind::NumberReused,
            "remote/222",
        );
        check(|d| message(d, "remote/452").number = Some(454), LockViolationKind::NumberReused, "remote/454");
        check(
            |d| message(d, "remote/131").request.swap(0, 1),
            LockViolationKind::LayoutChanged,
            "remote/131",
        );
        check(
            |d| message(d, "error/error").reply.truncate(10),
            LockViolationKind::LayoutChanged,
            "error/error",
        );
        check(
            |d| {
                d.flags.insert("unknown-procedure".to_owned(), "39/7 no such procedure".to_owned());
            },
            LockViolationKind::FlagChanged,
            "unknown-procedure",
        );
    }

    #[test]
    fn layouts_read_as_the_protocol_has_them() {
        let table = lock_table();
        let show = |dialect: &str, key: &str| {
            let message = table.dialect(dialect).and_then(|dialect| dialect.message(key)).expect("there");
            let text = |fields: &[LockedField]| {
                fields.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
            };
            format!("{} | {}", text(&message.request), text(&message.reply))
        };
        insta::assert_snapshot!(
            [
                show("7.0.0", "remote/1"),
                show("7.0.0", "remote/6"),
                show("7.0.0", "remote/68"),
                show("7.0.0", "remote/284"),
                show("7.0.0", "remote/291"),
                show("9.0.0", "remote/291"),
                show("7.0.0", "remote/316"),
                show("7.0.0", "remote/318"),
                show("7.0.0", "remote/419"),
                show("7.0.0", "remote/8"),
                show("7.0.0", "remote/376"),
                show("7.0.0", "error/error"),
            ]
            .join("\n")
        );
    }

    #[test]
    fn the_text_reads_back() {
        let table = lock_table();
        let locked = LockTable::parse("messages.lock", &table.render()).expect("our own text");
        assert_eq!(locked, table);
        assert_eq!(shown(&check_lock(&locked, &table)), Vec::<String>::new());
    }
}
