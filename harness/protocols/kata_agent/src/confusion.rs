//! What of an argument an agent of a release takes for something else, or never answers.
//!
//! Bytes do not say which release they were written for. What is known is how the agent reads them, and how other releases would:
//!
//! ```text
//! a number that the agent has      the value does not fit its type
//!                                  a text there is a whole message in another release: rules of seccomp as flags
//!                                  a text has the grammar of another release: no path of PCI
//!                                  a word that is not known, where that is never answered
//! a number that the agent has not  another release has a field there that the agent has elsewhere: it is lost in silence
//! ```
//!
//! What was only added is passed over by every release, and is no confusion.

use std::fmt;

use ttrpc::envelope::Call;
use wire::protobuf::schema::{Element, Field, Label, Message, MessageId, Scalar, Type};
use wire::protobuf::{FieldValue, Schema, Walk, WireType};

use super::dialect::{DIALECTS, Dialect};
use super::words;

/// How many messages of an argument are looked through.
const MESSAGES_MAX: usize = 4096;
/// How much of a text is told.
const SHOWN_MAX: usize = 60;

/// What an agent would not take for what it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Confusion {
    /// The field, e.g. `OCI.Linux.Seccomp.Flags`.
    field: String,
    /// The release of the agent.
    agent: &'static str,
    /// What becomes of it.
    why: &'static str,
    /// What the agent has there.
    pub due: String,
    /// What was sent.
    pub sent: String,
}

impl fmt::Display for Confusion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { field, agent, why, .. } = self;
        write!(f, "`{field}`: {why} in an agent of {agent}")
    }
}

/// The first confusion of a call. A method that the agent has not is refused, which confuses nobody.
pub(crate) fn of_call(agent: &'static Dialect, call: &Call<'_>) -> Option<Confusion> {
    let schema = agent.schema();
    let argument = schema.message(&schema.method(call.service, call.method)?.request)?;
    let mut left = vec![Part { message: argument, path: String::new(), bytes: call.payload }];
    for _ in 0..MESSAGES_MAX {
        let part = left.pop()?;
        let mut groups = 0_usize;
        for field in Walk::new(part.bytes) {
            let Ok(field) = field else {
                return Some(part.confusion(agent, "cannot be decoded", "a message", shown(part.bytes)));
            };
            match field.value {
                FieldValue::GroupStart => groups += 1,
                FieldValue::GroupEnd => groups = groups.saturating_sub(1),
                // What is in a group is of nobody's schema.
                _ if groups > 0 => {}
                value => match part.look(agent, field.number, &value) {
                    Ok(inner) => left.extend(inner),
                    Err(found) => return Some(found),
                },
            }
        }
    }
    None
}

/// A message of an argument, as the agent knows it.
struct Part<'a> {
    message: &'static Message,
    path: String,
    bytes: &'a [u8],
}

impl<'a> Part<'a> {
    /// A message that is in a field, to be looked through as well.
    fn look(
        &self,
        agent: &'static Dialect,
        number: u32,
        value: &FieldValue,
    ) -> Result<Option<Self>, Confusion> {
        let schema = agent.schema();
        let bytes = self.bytes_of(value);
        let Some(field) = self.message.field(number) else { return self.look_elsewhere(agent, number) };
        let part = Self { message: self.message, path: self.path_to(&field.name), bytes };
        let due = || format!("{} {}", schema.type_name(field.kind), field.name);
        let sent = || match value {
            FieldValue::Varint(number) => number.to_string(),
            _ => shown(bytes),
        };
        if !fits(field, value, bytes) {
            return Err(part.confusion(agent, "cannot be decoded", due(), sent()));
        }
        match field.kind {
            Type::One(Element::Message(id)) => {
                Ok(schema.message_of(id).map(|message| Self { message, ..part }))
            }
            Type::One(Element::Scalar(Scalar::String)) => {
                // It fits, so it is text.
                let text = std::str::from_utf8(bytes).unwrap_or_default();
                let other = self.as_other_message(number, bytes).map(|_| "is a message of another release");
                let is_path = matches!(&*field.name, "pciAddr" | "pciPath");
                let other = other.or((is_path && is_channel(text)).then_some("is no path of PCI"));
                let is_word = words::is_known(&self.message.name, &field.name, text);
                let hangs = agent.unknown_word_hangs && !is_word;
                match other.or(hangs.then_some("is a word that is never answered")) {
                    Some(why) => Err(part.confusion(agent, why, due(), sent())),
                    None => Ok(None),
                }
            }
            Type::One(_) | Type::Map(..) => Ok(None),
        }
    }

    /// A number that the agent has not: what another release has there, the agent may have elsewhere.
    fn look_elsewhere(&self, agent: &'static Dialect, number: u32) -> Result<Option<Self>, Confusion> {
        let there = others(&self.message.name, number).map(|(_, field)| field);
        let moved = there.filter_map(|there| Some((there, self.message.field_of_name(&there.name)?))).next();
        let Some((there, here)) = moved else { return Ok(None) };
        let part = Self { message: self.message, path: self.path_to(&there.name), bytes: self.bytes };
        let (due, sent) = (format!("number {}", here.number), format!("number {number}"));
        Err(part.confusion(agent, "is lost", due, sent))
    }

    /// A message that another release has under a number under which the agent has a text.
    fn as_other_message(&self, number: u32, bytes: &[u8]) -> Option<&'static Message> {
        others(&self.message.name, number).find_map(|(schema, field)| match field.kind {
            Type::One(Element::Message(id)) => reads_as(schema, id, bytes),
            _ => None,
        })
    }

    fn bytes_of(&self, value: &FieldValue) -> &'a [u8] {
        match value {
            FieldValue::Len(at) => self.bytes.get(at.clone()).unwrap_or_default(),
            _ => &[],
        }
    }

    fn path_to(&self, name: &str) -> String {
        if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) }
    }

    fn confusion(
        &self,
        agent: &'static Dialect,
        why: &'static str,
        due: impl Into<String>,
        sent: impl Into<String>,
    ) -> Confusion {
        let field = if self.path.is_empty() { &self.message.name } else { &self.path };
        Confusion { field: field.clone(), agent: agent.name, why, due: due.into(), sent: sent.into() }
    }
}

/// What the releases have under a number of a message, the newest first.
fn others(message: &str, number: u32) -> impl Iterator<Item = (&'static Schema, &'static Field)> {
    let schemas = DIALECTS.all().iter().rev().map(Dialect::schema);
    schemas.filter_map(move |schema| Some((schema, schema.message(message)?.field(number)?)))
}

/// A message of which something is there, and of which nothing is unknown.
fn reads_as(schema: &'static Schema, id: MessageId, bytes: &[u8]) -> Option<&'static Message> {
    let message = schema.message_of(id)?;
    let is_known = |field: Result<wire::protobuf::FieldAt, _>| {
        field.is_ok_and(|at| {
            let inner = match &at.value {
                FieldValue::Len(range) => bytes.get(range.clone()).unwrap_or_default(),
                _ => &[],
            };
            message.field(at.number).is_some_and(|field| fits(field, &at.value, inner))
        })
    };
    (!bytes.is_empty() && Walk::new(bytes).all(is_known)).then_some(message)
}

/// Whether a value can be one of that field for every decoder; of messages only that they have a length.
fn fits(field: &Field, value: &FieldValue, bytes: &[u8]) -> bool {
    let element = match field.kind {
        Type::Map(..) => return value.wire_type() == WireType::LEN,
        Type::One(element) => element,
    };
    let is_packed = field.label == Label::Repeated
        && value.wire_type() == WireType::LEN
        && element.wire_type() != WireType::LEN;
    match (element, value) {
        _ if is_packed => true,
        _ if value.wire_type() != element.wire_type() => false,
        (Element::Scalar(Scalar::String), _) => std::str::from_utf8(bytes).is_ok(),
        (Element::Scalar(Scalar::Uint32), FieldValue::Varint(number)) => u32::try_from(*number).is_ok(),
        (Element::Scalar(Scalar::Int32), FieldValue::Varint(number)) => {
            i32::try_from(number.cast_signed()).is_ok()
        }
        _ => true,
    }
}

/// Whether a text is an address on the channel bus, `0.0.0005`, which is a path of a device from 3.15 on
/// (`kata-containers/kata-containers@3.15.0:src/libs/protocols/protos/types.proto`).
fn is_channel(text: &str) -> bool {
    let parts: Vec<_> = text.split('.').collect();
    let is_hex = |part: &&str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_hexdigit());
    parts.len() == 3 && parts.iter().all(is_hex)
}

fn shown(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let shown: String = text.chars().take(SHOWN_MAX).collect();
    shown.escape_debug().to_string()
}

#[cfg(test)]
mod tests {
    use wire::protobuf::Writer;

    use super::*;

    /// What an agent of a release makes of an argument.
    #[track_caller]
    fn check(release: &str, method: &str, argument: Writer, expect: Option<&str>) {
        let agent = DIALECTS.named(release).expect("a release of the table");
        let payload = argument.finish();
        let request = ttrpc::envelope::request(1, "grpc.AgentService", method, &payload);
        let call = Call::read(ttrpc::envelope::data(&request)).expect("a call");
        let found = of_call(agent, &call).map(|found| found.to_string());
        assert_eq!(found.as_deref(), expect, "{method} to {release}");
    }

    /// All that the table has.
    const RELEASES: [&str; 8] = ["2.0", "2.1", "2.5", "3.0", "3.2", "3.3", "4.0", "ideal"];

    fn container(linux: Writer) -> Writer {
        Writer::new().text(1, "c1").message(6, Writer::new().message(8, linux))
    }

    fn seccomp(rules: u32) -> Writer {
        let argument = Writer::new().uint(1, 1).uint(2, 7);
        let rule = Writer::new().text(1, "chmod").text(2, "SCMP_ACT_ERRNO").message(rules, argument);
        container(Writer::new().message(
            8,
            Writer::new().text(1, "SCMP_ACT_ALLOW").text(2, "SCMP_ARCH_X86").message(rules, rule),
        ))
    }

    #[test]
    fn rules_of_seccomp_are_where_the_release_has_them() {
        for release in RELEASES {
            let old = format!(
                "`OCI.Linux.Seccomp.Flags`: is a message of another release in an agent of {release}"
            );
            let (of_old, of_new) = match release {
                "2.0" => (None, Some("`OCI.Linux.Seccomp.Syscalls`: is lost in an agent of 2.0".to_owned())),
                _ => (Some(old), None),
            };
            check(release, "CreateContainer", seccomp(3), of_old.as_deref());
            check(release, "CreateContainer", seccomp(4), of_new.as_deref());
        }
    }

    #[test]
    fn flags_of_seccomp_are_no_rules_to_an_old_agent() {
        let flags = || {
            let seccomp = Writer::new().text(1, "SCMP_ACT_ALLOW").text(3, "SECCOMP_FILTER_FLAG_LOG");
            container(Writer::new().message(8, seccomp))
        };
        let undecodable = "`OCI.Linux.Seccomp.Syscalls`: cannot be decoded in an agent of 2.0";
        check("2.0", "CreateContainer", flags(), Some(undecodable));
        for release in &RELEASES[1..] {
            check(release, "CreateContainer", flags(), None);
        }
    }

    #[test]
    fn half_a_rule_of_either_layout_confuses() {
        let argument = Writer::new().uint(1, 1);
        let rule = Writer::new().text(1, "chmod").message(3, argument);
        let half = container(Writer::new().message(8, Writer::new().message(4, rule)));
        let undecodable = "`OCI.Linux.Seccomp.Syscalls.errnoret`: cannot be decoded in an agent of 3.2";
        check("3.2", "CreateContainer", half, Some(undecodable));
    }

    #[test]
    fn a_word_confuses_where_it_is_never_answered() {
        let process = |capability: &str| {
            Writer::new().message(7, Writer::new().text(1, "CAP_KILL").text(2, capability))
        };
        let create = |capability: &str| {
            Writer::new().text(1, "c1").message(6, Writer::new().message(2, process(capability)))
        };
        let execute =
            |capability: &str| Writer::new().text(1, "c1").text(2, "e").message(4, process(capability));
        let limit = || {
            let limits = Writer::new().message(8, Writer::new().text(1, "RLIMIT_FUTURE"));
            Writer::new().text(1, "c1").message(6, Writer::new().message(2, limits))
        };
        let device = || container(Writer::new().message(7, Writer::new().text(1, "/dev/z").text(2, "z")));
        let action = || container(Writer::new().message(8, Writer::new().text(1, "SCMP_ACT_FUTURE")));
        let flag =
            || container(Writer::new().message(8, Writer::new().text(3, "SECCOMP_FILTER_FLAG_FUTURE")));
        let never = |field: &str| format!("`{field}`: is a word that is never answered in an agent of 4.0");
        for release in &RELEASES[1..] {
            let hangs = |field: &str| (*release == "4.0").then(|| never(field));
            let check = |method, argument, field| check(release, method, argument, hangs(field).as_deref());
            check("CreateContainer", create("CAP_FUTURE"), "OCI.Process.Capabilities.Effective");
            check("ExecProcess", execute("CAP_FUTURE"), "process.Capabilities.Effective");
            check("CreateContainer", limit(), "OCI.Process.Rlimits.Type");
            check("CreateContainer", device(), "OCI.Linux.Devices.Type");
            check("CreateContainer", action(), "OCI.Linux.Seccomp.DefaultAction");
            check("CreateContainer", flag(), "OCI.Linux.Seccomp.Flags");
        }
        check("4.0", "CreateContainer", create("CAP_BPF"), None);
    }

    #[test]
    fn a_path_of_a_device_is_none_of_pci() {
        let interface = |path: &str| Writer::new().message(1, Writer::new().text(6, path));
        let no_path = "`interface.pciPath`: is no path of PCI in an agent of 3.3";
        check("3.3", "UpdateInterface", interface("0.0.0005"), Some(no_path));
        check("3.3", "UpdateInterface", interface("02/03"), None);
        check("4.0", "UpdateInterface", interface("0.0.0005"), None);
    }

    #[test]
    fn a_number_of_another_form_or_size_confuses() {
        let field_8 = "`shared_mounts`: cannot be decoded in an agent of 3.3";
        check("3.3", "CreateContainer", Writer::new().text(1, "c1").bool(8, true), Some(field_8));
        check("3.2", "CreateContainer", Writer::new().text(1, "c1").bool(8, true), None);
        let size = |row: u64| Writer::new().text(1, "c1").uint(3, row);
        let too_big = "`row`: cannot be decoded in an agent of 2.5";
        check("2.5", "TtyWinResize", size(1 << 32), Some(too_big));
        check("2.5", "TtyWinResize", size((1 << 32) - 1), None);
        let cut = Writer::new().text(1, "c1").raw(b"\x12\x05a");
        check(
            "2.5",
            "StatsContainer",
            cut,
            Some("`grpc.StatsContainerRequest`: cannot be decoded in an agent of 2.5"),
        );
    }

    #[test]
    fn what_was_only_added_confuses_nobody() {
        let mount = Writer::new().text(1, "m").text(2, "c1");
        check("3.2", "CreateContainer", Writer::new().text(1, "c1").message(8, mount), None);
        check("2.0", "UpdateEphemeralMounts", Writer::new().raw(b"\xff"), None);
        check("2.0", "StatsContainer", Writer::new().text(1, "c1").raw(b"\xdb\x01\x08\x01\xdc\x01"), None);
    }
}
