//! `messages.lock`: text, and every promise that can be broken.

use insta::assert_snapshot;
use matrix::{
    DeclaredChange, LockTable, LockViolationKind as Kind, LockedDialect, LockedField, LockedMessage, Rename,
    check_lock,
};
use proptest::prelude::*;

use crate::support::rendered;

fn message(number: u64, name: &str, request: &[(u64, u64, &str, &str)]) -> LockedMessage {
    let field = |(offset, size, type_name, name): &(u64, u64, &str, &str)| {
        LockedField::new(*offset, *size, type_name, name)
    };
    LockedMessage {
        kind: "command".to_owned(),
        number: Some(number),
        name: name.to_owned(),
        request: request.iter().map(field).collect(),
        ..LockedMessage::default()
    }
}

fn dialect(name: &str, after: Option<&str>, messages: Vec<LockedMessage>) -> LockedDialect {
    LockedDialect {
        name: name.to_owned(),
        after: after.map(str::to_owned),
        limits: [("data-max".to_owned(), 8192)].into(),
        flags: [("endian".to_owned(), "native".to_owned())].into(),
        messages,
        ..LockedDialect::default()
    }
}

const ITEM: &[(u64, u64, &str, &str)] = &[(0, 1, "i8", "type"), (4, 4, "i32", "major")];
const LONGER: &[(u64, u64, &str, &str)] =
    &[(0, 1, "i8", "type"), (4, 4, "i32", "major"), (8, 4, "i32", "minor")];

/// Two dialects of three messages that keep every promise; `edit` breaks one in the newer.
fn table(edit: impl FnOnce(&mut LockedDialect)) -> LockTable {
    let messages = || vec![message(0, "CONSOLE", &[]), message(2, "STOP", &[]), message(14, "BPF", ITEM)];
    let mut newer = dialect("2.0", Some("1.0"), messages());
    edit(&mut newer);
    LockTable { protocol: "p".to_owned(), dialects: vec![dialect("1.0", None, messages()), newer] }
}

fn declare(dialect: &mut LockedDialect, subject: &str) {
    dialect.changes.push(DeclaredChange { subject: subject.to_owned(), what: "it was meant".to_owned() });
}

#[track_caller]
fn check(edit: impl FnOnce(&mut LockedDialect), expect: &[(Kind, &str)]) {
    let shown: Vec<_> = table(edit).check().iter().map(|v| (v.kind, v.to_string())).collect();
    let expect: Vec<_> =
        expect.iter().map(|(kind, text)| (*kind, format!("dialect 2.0: {}: {text}", kind.word()))).collect();
    assert_eq!(shown, expect);
}

#[test]
fn a_dialect_that_only_adds_keeps_every_promise() {
    check(|_| {}, &[]);
    check(|d| d.messages.push(message(15, "FREEZE", &[])), &[]);
}

#[test]
fn a_number_is_never_reused() {
    let reuse = |d: &mut LockedDialect| d.messages[1].name = "HALT".to_owned();
    let violation = (Kind::NumberReused, "`command/2` was `STOP` and is now `HALT`");
    check(reuse, &[violation]);
    // A declared change of the layout is no excuse for another meaning.
    check(
        |d| {
            reuse(d);
            declare(d, "2");
        },
        &[violation, (Kind::UnusedDeclaration, "`2` did not change: it was meant")],
    );
    // A rename has to be called one.
    let rename =
        |from: &str, to: &str| Rename { subject: "2".to_owned(), from: from.to_owned(), to: to.to_owned() };
    check(
        |d| {
            reuse(d);
            d.renames.push(rename("STOP", "HALT"));
        },
        &[],
    );
    check(
        |d| {
            reuse(d);
            d.renames.push(rename("START", "HALT"));
        },
        &[violation, (Kind::UnusedDeclaration, "`2` was not renamed: 2: START -> HALT")],
    );
}

#[test]
fn a_number_stays_taken_after_its_message_is_gone() {
    let mut table = table(|d| {
        d.messages.remove(1);
        declare(d, "STOP");
    });
    assert_eq!(table.check(), []);
    table.dialects.push(dialect("3.0", None, vec![message(2, "HALT", &[])]));
    let shown: Vec<_> = table.check().iter().map(ToString::to_string).collect();
    assert_eq!(shown, ["dialect 3.0: number-reused: `command/2` was `STOP` and is now `HALT`"]);
    table.dialects[2].messages[0].name = "STOP".to_owned();
    assert_eq!(table.check(), []);
}

#[test]
fn a_message_keeps_its_number() {
    check(
        |d| d.messages[1].number = Some(3),
        &[
            (Kind::NumberMoved, "`command/3` `STOP` was `command/2` before"),
            (Kind::MessageVanished, "`command/2` (`STOP`) is no longer known"),
        ],
    );
    check(
        |d| d.messages.push(message(20, "STOP", &[])),
        &[
            (Kind::Duplicate, "`command/STOP` has two numbers"),
            (Kind::NumberMoved, "`command/20` `STOP` was `command/2` before"),
        ],
    );
    check(|d| d.messages.push(message(2, "STOP", &[])), &[(Kind::Duplicate, "`command/2` is there twice")]);
}

#[test]
fn a_layout_changes_only_when_that_is_declared() {
    let edit = |d: &mut LockedDialect| d.messages[2] = message(14, "BPF", LONGER);
    check(edit, &[(Kind::LayoutChanged, "`command/14` has a longer request: `8+4 i32 minor` is new")]);
    for subject in ["14", "command/14", "BPF"] {
        check(
            |d| {
                edit(d);
                declare(d, subject);
            },
            &[],
        );
    }
    check(
        |d| d.messages[2].request[1].size = Some(8),
        &[(Kind::LayoutChanged, "`command/14` has another request: `4+4 i32 major` is now `4+8 i32 major`")],
    );
    check(
        |d| d.messages[2].request.truncate(1),
        &[(Kind::LayoutChanged, "`command/14` has a shorter request: `4+4 i32 major` is gone")],
    );
    check(
        |d| d.messages[1].reply.push(LockedField::open(16, "text", "path")),
        &[(Kind::LayoutChanged, "`command/2` has a longer reply: `16+* text path` is new")],
    );
}

#[test]
fn limits_flags_and_messages_do_not_change_unsaid() {
    let limit = |d: &mut LockedDialect| d.limits.extend([("data-max".to_owned(), 4096)]);
    check(limit, &[(Kind::LimitChanged, "`data-max` was 8192 and is now 4096")]);
    check(
        |d| {
            limit(d);
            declare(d, "data-max");
        },
        &[],
    );
    check(|d| d.limits.clear(), &[(Kind::LimitChanged, "`data-max` was 8192 and is gone")]);
    check(
        |d| drop(d.flags.insert("pointer".to_owned(), "8".to_owned())),
        &[(Kind::FlagChanged, "`pointer` is new: 8")],
    );
    let vanish = |d: &mut LockedDialect| drop(d.messages.remove(0));
    check(vanish, &[(Kind::MessageVanished, "`command/0` (`CONSOLE`) is no longer known")]);
    check(
        |d| {
            vanish(d);
            declare(d, "0");
        },
        &[],
    );
    check(|d| declare(d, "99"), &[(Kind::UnusedDeclaration, "`99` did not change: it was meant")]);
    check(|d| d.after = Some("0.9".to_owned()), &[(Kind::UnknownParent, "`0.9` does not come before it")]);
}

#[track_caller]
fn check_against(edit: impl FnOnce(&mut LockTable), expect: &[&str]) {
    let locked = table(|_| {});
    let mut current = table(|_| {});
    edit(&mut current);
    let shown: Vec<_> = check_lock(&locked, &current).iter().map(ToString::to_string).collect();
    assert_eq!(shown, expect);
}

#[test]
fn the_lock_file_allows_only_additions() {
    check_against(|_| {}, &[]);
    check_against(
        |t| {
            t.dialects.push(dialect("3.0", None, vec![message(30, "NEW", &[])]));
            t.dialects.iter_mut().for_each(|d| d.messages.push(message(31, "MORE", &[])));
        },
        &[],
    );
    // A dialect put in between.
    check_against(
        |t| {
            let mut between = t.dialects[1].clone();
            between.name = "1.5".to_owned();
            t.dialects[1].after = Some("1.5".to_owned());
            t.dialects.insert(1, between);
        },
        &[],
    );
}

#[test]
fn the_lock_file_forbids_rewriting_history() {
    check_against(
        |t| drop(t.dialects.pop()),
        &["dialect 2.0: dialect-moved: `2.0` is in the lock file and no longer here"],
    );
    check_against(
        |t| t.dialects[1].after = None,
        &["dialect 2.0: history-changed: `2.0` continued 1.0 in the lock file and now nothing"],
    );
    check_against(
        |t| {
            t.dialects[1].after = None;
            t.dialects.swap(0, 1);
        },
        &[
            "dialect 2.0: dialect-moved: `2.0` stands before dialects that were older in the lock file",
            "dialect 2.0: history-changed: `2.0` continued 1.0 in the lock file and now nothing",
        ],
    );
    check_against(
        |t| t.dialects.iter_mut().for_each(|d| d.messages[1].name = "HALT".to_owned()),
        &[
            "dialect 1.0: number-reused: `command/2` is `STOP` in the lock file and now `HALT`",
            "dialect 2.0: number-reused: `command/2` is `STOP` in the lock file and now `HALT`",
        ],
    );
    check_against(
        |t| {
            t.dialects[1].messages[2] = message(14, "BPF", LONGER);
            declare(&mut t.dialects[1], "14");
        },
        &[
            "dialect 2.0: history-changed: `2.0` declares other changes than in the lock file",
            "dialect 2.0: layout-changed: `command/14` has a longer request: `8+4 i32 minor` is new, against the lock file",
        ],
    );
    check_against(
        |t| t.dialects.iter_mut().for_each(|d| drop(d.messages.remove(0))),
        &[
            "dialect 1.0: message-vanished: `command/0` (`CONSOLE`) is in the lock file and no longer here",
            "dialect 2.0: message-vanished: `command/0` (`CONSOLE`) is in the lock file and no longer here",
        ],
    );
    check_against(
        |t| t.dialects[0].messages[0].until = Some("1.0".to_owned()),
        &["dialect 1.0: history-changed: `command/0` was there -..- in the lock file and now -..1.0"],
    );
    check_against(
        |t| t.dialects.iter_mut().for_each(|d| d.limits.extend([("data-max".to_owned(), 1)])),
        &[
            "dialect 1.0: limit-changed: `data-max` was 8192 and is now 1, against the lock file",
            "dialect 2.0: limit-changed: `data-max` was 8192 and is now 1, against the lock file",
        ],
    );
    check_against(
        |t| t.dialects.iter_mut().for_each(|d| d.flags.clear()),
        &[
            "dialect 1.0: flag-changed: `endian` was native and is gone, against the lock file",
            "dialect 2.0: flag-changed: `endian` was native and is gone, against the lock file",
        ],
    );
}

#[test]
fn the_text_reads_like_the_history_of_the_protocol() {
    let mut table = table(|d| {
        d.messages[2] = message(14, "BPF", LONGER);
        d.messages[2].reply.push(LockedField::open(16, "text", "path of it"));
        d.messages[0].name = "GET_TTY_FD".to_owned();
        d.messages.remove(1);
        d.messages.push(LockedMessage {
            kind: "event".to_owned(),
            name: "stopped".to_owned(),
            since: Some("2.0".to_owned()),
            until: Some("3.0".to_owned()),
            ..LockedMessage::default()
        });
        declare(d, "14");
        declare(d, "2");
        d.renames.push(Rename {
            subject: "0".to_owned(),
            from: "CONSOLE".to_owned(),
            to: "GET_TTY_FD".to_owned(),
        });
    });
    table.dialects.push(LockedDialect { name: "ideal".to_owned(), ..LockedDialect::default() });
    assert_eq!(table.check(), []);
    assert_snapshot!(table.render());
    let read = LockTable::parse("messages.lock", &table.render());
    assert_eq!(read.unwrap_or_else(|error| panic!("{}", error.brief())), table);
}

#[test]
fn points_at_what_is_wrong_with_a_lock_file() {
    let refuse = |text: &str| rendered(LockTable::parse("messages.lock", text));
    assert_snapshot!(refuse("protocol = \"p\"\n"));
    assert_snapshot!(refuse(
        "format = 1\nprotocol = \"p\"\n[[dialect]]\nname = \"1.0\"\nlimits = { a = -1 }\nflags = { b = 2 }\nchanges = [\"14 longer\"]\nrenames = [\"0: A\"]\nmessages = [{ kind = \"c\", numbr = 1, name = \"X\", request = [\"0-4 i32 x\", \"0+4\"] }]\n"
    ));
    assert_snapshot!(refuse(
        "format = 1\nprotocol = \"p\"\n[[dialect]]\nname = \"4.0.6\"\ngone = [\"c/1\"]\n[[dialect]]\nname = \"4.0.7\"\nafter = \"4.0.5\"\n[[dialect]]\nname = \"4.0.6\"\n"
    ));
}

fn any_message() -> impl Strategy<Value = LockedMessage> {
    let field = (0u64..64, proptest::option::of(0u64..64), "[a-z0-9\\[\\]]{1,6}", "[a-z][a-z \"]{0,6}[a-z]")
        .prop_map(|(offset, size, type_name, name)| LockedField { name, offset, size, type_name });
    let layout = || proptest::collection::vec(field.clone(), 0..3);
    (
        "[a-b]",
        proptest::option::of(0u64..6),
        "[A-D]{1,2}",
        layout(),
        layout(),
        proptest::option::of("[0-9.]{1,4}"),
        proptest::option::of("[0-9.]{1,4}"),
    )
        .prop_map(|(kind, number, name, request, reply, since, until)| LockedMessage {
            kind,
            number,
            name,
            request,
            reply,
            since,
            until,
        })
}

fn any_table() -> impl Strategy<Value = LockTable> {
    let dialect = (
        proptest::collection::vec(any_message(), 0..8),
        proptest::option::of(0usize..8),
        proptest::collection::btree_map("[a-z .\"]{1,5}", 0u64..i64::MAX as u64, 0..3),
        proptest::collection::btree_map("[a-z .\"]{1,5}", "\\PC{0,6}", 0..3),
    );
    proptest::collection::vec(dialect, 0..5).prop_map(|parts| {
        let mut dialects: Vec<LockedDialect> = Vec::new();
        for (at, (messages, after, limits, flags)) in parts.into_iter().enumerate() {
            let after = after.filter(|after| *after < at).map(|after| format!("d{after}"));
            let mut unique: Vec<LockedMessage> = Vec::new();
            for message in messages {
                if unique.iter().all(|other| other.key() != message.key()) {
                    unique.push(message);
                }
            }
            let order = |m: &LockedMessage| (m.kind.clone(), m.number, m.name.clone());
            unique.sort_by_key(order);
            let name = format!("d{at}");
            dialects.push(LockedDialect {
                name,
                after,
                limits,
                flags,
                messages: unique,
                ..LockedDialect::default()
            });
        }
        LockTable { protocol: "p".to_owned(), dialects }
    })
}

proptest! {
    #[test]
    fn any_table_reads_back_and_matches_itself(table in any_table()) {
        let text = table.render();
        let read = LockTable::parse("messages.lock", &text).map_err(|e| TestCaseError::fail(format!("{}\n{text}", e.brief())))?;
        prop_assert_eq!(&read, &table);
        prop_assert_eq!(read.render(), text);
        // Against itself as lock file, a table breaks only the promises that it breaks anyway.
        prop_assert_eq!(check_lock(&table, &table), table.check());
    }
}
