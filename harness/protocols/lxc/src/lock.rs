//! The numbers, layouts and limits of every dialect, for `matrices/lxc-command/messages.lock`.
//!
//! Layouts are not written down a second time: a sample of each message is dissected, and its fields are
//! the layout. What a release changes under a number is declared where it is changed, so that a change that
//! nobody declared is noticed.

use std::collections::BTreeMap;

use bytes::Bytes;
use matrix::{LockTable, LockedDialect, LockedField, LockedMessage};
use wire::lxc::{Command, DATA_MAX, REQUEST, RESPONSE};
use wire::{Direction, Dissection, Frame, Value};

use super::dialect::{DIALECTS, Dialect, Keys, Lifetime, Reaction};
use super::{message, names, request};

/// Commands whose good answer carries descriptors.
const DESCRIPTORS: &[Command] = &[
    names::GET_TTY_FD,
    names::GET_CGROUP2_FD,
    names::GET_INIT_PIDFD,
    names::GET_LIMIT_CGROUP2_FD,
    names::GET_DEVPTS_FD,
    names::GET_SECCOMP_NOTIFY_FD,
    names::GET_CGROUP_CTX,
    names::GET_CGROUP_FD,
    names::GET_LIMIT_CGROUP_FD,
];

/// What a dialect has promised.
fn promised(dialect: &Dialect) -> LockedDialect {
    LockedDialect {
        limits: BTreeMap::from([("data-max".to_owned(), u64::from(DATA_MAX))]),
        flags: flags(dialect),
        messages: dialect.commands.iter().map(|(number, name)| message(dialect, *number, name)).collect(),
        ..LockedDialect::default()
    }
}

/// The table of all dialects.
pub(crate) fn lock_table() -> LockTable {
    DIALECTS.lock("lxc-command", promised)
}

fn flags(dialect: &Dialect) -> BTreeMap<String, String> {
    let exempt: Vec<_> = dialect.exempt.iter().map(ToString::to_string).collect();
    let flags = [
        ("endian", "native".to_owned()),
        ("exempt", exempt.join(",")),
        ("lifetime", if dialect.server.lifetime == Lifetime::Many { "many" } else { "one" }.to_owned()),
        ("keys", if dialect.server.keys == Keys::Legacy { "legacy" } else { "current" }.to_owned()),
        ("unknown", reaction(dialect.server.unknown)),
        ("denied", reaction(dialect.server.denied)),
        ("winch", reaction(dialect.server.winch)),
    ];
    flags.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

fn reaction(reaction: Reaction) -> String {
    match reaction {
        Reaction::Accept => "0".to_owned(),
        Reaction::Refuse(ret) | Reaction::RefuseAndClose(ret) => ret.to_string(),
        Reaction::Close => "closed".to_owned(),
        Reaction::Silent => "silent".to_owned(),
        Reaction::Crash => "crash".to_owned(),
    }
}

fn message(dialect: &Dialect, number: u32, name: &str) -> LockedMessage {
    let command = Command(number);
    let (asked, answered) = samples(dialect, command);
    let request = Frame { kind: REQUEST, head_len: request::LAYOUT.head_len(), bytes: asked };
    let reply = Frame { kind: RESPONSE, bytes: answered, ..request.clone() };
    let layout = |dir, frame: &Frame, request| fields(&message::dissect(dialect, dir, frame, request));
    let mut of_reply = layout(Direction::ToClient, &reply, Some(&request));
    if DESCRIPTORS.contains(&command) {
        of_reply.push(LockedField::open(0, "SCM_RIGHTS", "descriptors"));
    }
    LockedMessage {
        kind: "command".to_owned(),
        number: Some(number.into()),
        name: name.to_owned(),
        request: layout(Direction::ToServer, &request, None),
        reply: of_reply,
        ..LockedMessage::default()
    }
}

/// One request and one good reply, as long as the dialect has them.
fn samples(dialect: &Dialect, command: Command) -> (Bytes, Bytes) {
    let text = || b"x\0".to_vec();
    let (asked, answered) = match command {
        names::GET_CGROUP | names::GET_LIMIT_CGROUP | names::GET_CONFIG_ITEM => (text(), text()),
        names::GET_NAME | names::GET_LXCPATH | names::GET_SYSTEMD_SCOPE => (Vec::new(), text()),
        names::ADD_STATE_CLIENT => (vec![0; names::STATE_LIST_LEN], Vec::new()),
        names::CONSOLE_LOG => (vec![0; names::CONSOLE_LOG_LEN], text()),
        names::ADD_BPF_DEVICE_CGROUP => (vec![0; dialect.device_item_len.unwrap_or(0)], Vec::new()),
        names::GET_CGROUP_CTX => (vec![0; names::CGROUP_CTX_LEN], vec![0; names::CGROUP_CTX_LEN]),
        names::GET_CGROUP_FD | names::GET_LIMIT_CGROUP_FD => {
            (vec![0; names::CGROUP_FD_LEN], vec![0; names::CGROUP_FD_LEN])
        }
        _ => (Vec::new(), Vec::new()),
    };
    // A reply has the layout of a request; `ret` is zero.
    (request::with_payload(command, &asked), request::with_payload(Command(0), &answered))
}

/// The fields of a dissected sample. Text that ends with the message varies in length; numbered fields
/// are one array.
fn fields(dissection: &Dissection) -> Vec<LockedField> {
    let mut fields: Vec<LockedField> = Vec::new();
    for field in &dissection.fields {
        let offset = u64::try_from(field.span.start).unwrap_or(u64::MAX);
        let size = u64::try_from(field.span.len()).unwrap_or(u64::MAX);
        match (&field.value, field.name.split_once('.')) {
            // The end of the text before it, whose length varies.
            (_, Some((_, "suffix"))) => {}
            (Value::Bytes, _) if field.name == "terminator" => {}
            (Value::Bytes, _) => match fields.last_mut().filter(|last| last.type_name == "char") {
                Some(text) => text.size = Some(text.size.unwrap_or(0) + size),
                None => fields.push(LockedField::new(offset, size, "padding", "padding")),
            },
            (Value::Text(_), _) if size > 0 => fields.push(LockedField::open(offset, "text", &field.name)),
            (Value::Text(_), _) => fields.push(LockedField::new(offset, size, "char", &field.name)),
            (value, Some((array, at))) if at.parse::<u32>().is_ok() => {
                match fields.last_mut().filter(|last| last.name == array) {
                    Some(last) => last.size = Some(last.size.unwrap_or(0) + size),
                    None => fields.push(LockedField::new(offset, size, type_name(value, size), array)),
                }
            }
            (value, _) => fields.push(LockedField::new(offset, size, type_name(value, size), &field.name)),
        }
    }
    fields
}

fn type_name(value: &Value, size: u64) -> &'static str {
    match (value, size) {
        (Value::Uint(_), 1) => "u8",
        (Value::Uint(_), 4) => "u32",
        (Value::Uint(_), _) => "u64",
        (Value::Int(_), 4) => "i32",
        (Value::Int(_), _) => "i64",
        (Value::Hex(_), _) => "pointer",
        (Value::Text(_), _) => "text",
        _ => "bytes",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_change_is_declared_and_nothing_else() {
        let violations: Vec<String> = lock_table().check().iter().map(ToString::to_string).collect();
        assert_eq!(violations, Vec::<String>::new());
    }

    #[test]
    fn an_undeclared_layout_is_noticed() {
        let mut table = lock_table();
        let dialect = table.dialects.iter_mut().find(|dialect| dialect.name == "4.0.11").expect("there");
        dialect.changes.clear();
        let violations = table.check();
        assert_eq!(violations.len(), 1, "{violations:?}");
        assert_eq!(violations[0].subject, "command/14");
    }

    #[test]
    fn layouts_are_those_of_the_structures() {
        let table = lock_table();
        let show = |dialect: &str, key: &str| {
            let message = table.dialect(dialect).and_then(|dialect| dialect.message(key)).expect("there");
            let text = |fields: &[LockedField]| {
                fields.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
            };
            format!("{} | {}", text(&message.request), text(&message.reply))
        };
        let head = "0+4 u32 cmd, 4+4 i32 len";
        let reply = "0+4 i32 ret, 4+4 i32 len";
        let cgroup_fd =
            "16+4 i32 layout, 20+4 u32 utilities, 24+4 i32 type, 28+4 i32 fd, 32+64 char controller";
        assert_eq!(show("1.0.0", "command/3"), format!("{head}, 8+8 i64 data | {reply}, 8+8 i64 data"));
        assert_eq!(
            show("7.0.0", "command/24"),
            format!(
                "{head}, 8+8 pointer data, {cgroup_fd} | {reply}, 8+8 pointer data, {cgroup_fd}, 0+* SCM_RIGHTS descriptors"
            )
        );
        assert_eq!(
            show("5.0.2", "command/6"),
            format!(
                "{head}, 8+8 pointer data, 16+* text controller | {reply}, 8+8 pointer data, 16+* text cgroup"
            )
        );
    }
}
