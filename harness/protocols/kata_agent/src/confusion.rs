//! What of an argument an agent of a release takes for something else, or never answers.
//!
//! Bytes do not say which release they were written for. What is known is how the agent reads them, and how other releases would:
//!
//! ```text
//! a number that the agent has      the value does not fit its type: refused, ignored or truncated, as its decoder does
//!                                  a text there is a whole message in another release: rules of seccomp as flags
//!                                  a text has the grammar of another release: an address of a device
//!                                  a word that is not known, where that is never answered
//! a number that the agent has not  another release has a field there that the agent has elsewhere: it is lost in silence
//! ```
//!
//! What was only added is passed over by every release, and is no confusion.

use std::fmt;

use ttrpc::argument::{Fate, Look, MESSAGES_MAX, Part, look_through};
use ttrpc::envelope::Call;
use ttrpc::family::Strictness;
use wire::protobuf::schema::{Element, Field, MessageId, Scalar, Type};
use wire::protobuf::{FieldValue, Schema};

use super::dialect::{DIALECTS, Dialect};
use super::words;

/// How much of a text is told.
const SHOWN_MAX: usize = 60;
/// The field of an interface that says which device it is.
const ADDRESS: u32 = 6;
/// A decoder that takes nothing for what it is not.
const STRICT: Strictness = Strictness { wire_type: true, utf8: true, numbers: true, groups_max: 0 };

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

/// An argument has more messages than are looked through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TooMany;

impl fmt::Display for TooMany {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "only the first {MESSAGES_MAX} messages of an argument were looked through")
    }
}

/// The first confusion of a call. A method that the agent has not is refused, which confuses nobody.
///
/// # Errors
/// There was none in all that was looked through, which is not everything.
pub(crate) fn of_call(agent: &'static Dialect, call: &Call<'_>) -> Result<Option<Confusion>, TooMany> {
    let schema = agent.schema();
    let method = schema.method(call.service, call.method);
    let Some(argument) = method.and_then(|method| schema.message(&method.request)) else { return Ok(None) };
    let found = look_through(schema, argument, call.payload, agent.family.strictness, |part, look| {
        let at = At { agent, part };
        match look {
            Look::TooMany => Some(Err(TooMany)),
            Look::NoMessage => Some(Ok(at.is("", "is refused", "a message", shown(part.bytes)))),
            Look::Field { number, known: None, .. } => at.look_elsewhere(number).map(Ok),
            Look::Field { number, known: Some(field), value, bytes, fate } => {
                at.look(number, field, &value, bytes, fate).map(Ok)
            }
        }
    });
    found.transpose()
}

/// A message of an argument, as the agent knows it.
struct At<'p, 'a> {
    agent: &'static Dialect,
    part: &'p Part<'static, 'a>,
}

impl At<'_, '_> {
    /// A field that the agent has.
    fn look(
        &self,
        number: u32,
        field: &Field,
        value: &FieldValue,
        bytes: &[u8],
        fate: Fate,
    ) -> Option<Confusion> {
        let why = match fate {
            Fate::Refused => Some("is refused"),
            Fate::Ignored => Some("is ignored"),
            Fate::Truncated => Some("is truncated"),
            Fate::Read => self.misread(number, field, bytes),
        };
        let due = || format!("{} {}", self.agent.schema().type_name(field.kind), field.name);
        let sent = || match value {
            FieldValue::Varint(number) => number.to_string(),
            _ => shown(bytes),
        };
        why.map(|why| self.is(&field.name, why, due(), sent()))
    }

    /// What a text that the agent reads is taken for.
    fn misread(&self, number: u32, field: &Field, bytes: &[u8]) -> Option<&'static str> {
        let Type::One(Element::Scalar(Scalar::String)) = field.kind else { return None };
        let message = &self.part.message.name;
        let text = String::from_utf8_lossy(bytes);
        let other = self.is_other_message(number, bytes).then_some("is a message of another release");
        let addresses = self.agent.addresses;
        let is_address = message == "types.Interface" && number == ADDRESS && !text.is_empty();
        let other = other.or((is_address && !addresses.reads(&text)).then_some(addresses.is_none()));
        let hangs = self.agent.unknown_word_hangs && !words::is_known(message, &field.name, &text);
        other.or(hangs.then_some("is a word that is never answered"))
    }

    /// A number that the agent has not: what another release has there, the agent may have elsewhere.
    fn look_elsewhere(&self, number: u32) -> Option<Confusion> {
        let message = self.part.message;
        let there = others(&message.name, number).map(|(_, field)| field);
        let mut moved = there.filter_map(|there| Some((there, message.field_of_name(&there.name)?)));
        let (there, here) = moved.next()?;
        Some(self.is(&there.name, "is lost", format!("number {}", here.number), format!("number {number}")))
    }

    /// Whether another release has a message under a number under which the agent has a text, and these are its bytes.
    fn is_other_message(&self, number: u32, bytes: &[u8]) -> bool {
        others(&self.part.message.name, number).any(|(schema, field)| match field.kind {
            Type::One(Element::Message(id)) => reads_as(schema, id, bytes),
            _ => false,
        })
    }

    /// What becomes of a field; without a name, of the whole message.
    fn is(
        &self,
        field: &str,
        why: &'static str,
        due: impl Into<String>,
        sent: impl Into<String>,
    ) -> Confusion {
        let field = match field {
            "" if self.part.path.is_empty() => self.part.message.name.clone(),
            "" => self.part.path.clone(),
            field => self.part.path_to(field),
        };
        Confusion { field, agent: self.agent.name, why, due: due.into(), sent: sent.into() }
    }
}

/// What the releases have under a number of a message, the newest first.
fn others(message: &str, number: u32) -> impl Iterator<Item = (&'static Schema, &'static Field)> {
    let schemas = DIALECTS.all().iter().rev().map(Dialect::schema);
    schemas.filter_map(move |schema| Some((schema, schema.message(message)?.field(number)?)))
}

/// Whether it is a message of which something is there, and of which nothing is unknown.
fn reads_as(schema: &'static Schema, id: MessageId, bytes: &[u8]) -> bool {
    let Some(message) = schema.message_of(id) else { return false };
    let is_odd = |look: &Look<'_, '_>| !matches!(look, Look::Field { known: Some(_), fate: Fate::Read, .. });
    let odd = look_through(schema, message, bytes, STRICT, |_, look| is_odd(&look).then_some(()));
    !bytes.is_empty() && odd.is_none()
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
        let found = of_call(agent, &call).expect("few messages").map(|found| found.to_string());
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
        let undecodable = "`OCI.Linux.Seccomp.Syscalls`: is refused in an agent of 2.0";
        check("2.0", "CreateContainer", flags(), Some(undecodable));
        for release in &RELEASES[1..] {
            check(release, "CreateContainer", flags(), None);
        }
    }

    /// Measured: 2.1.0 does not answer, 2.5.0 and 3.0.0 refuse it, 3.2.0 and 4.0.0 ignore it, and the filter is lost.
    #[test]
    fn half_a_rule_of_either_layout_confuses() {
        let half = || {
            let rule = Writer::new().text(1, "chmod").message(3, Writer::new().uint(1, 1));
            container(Writer::new().message(8, Writer::new().message(4, rule)))
        };
        let lost = "`OCI.Linux.Seccomp.Syscalls`: is lost in an agent of 2.0";
        check("2.0", "CreateContainer", half(), Some(lost));
        for (releases, fate) in [(&RELEASES[1..4], "is refused"), (&RELEASES[4..], "is ignored")] {
            for release in releases {
                let expect =
                    format!("`OCI.Linux.Seccomp.Syscalls.errnoret`: {fate} in an agent of {release}");
                check(release, "CreateContainer", half(), Some(&expect));
            }
        }
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
    fn an_address_of_a_device_has_the_grammar_of_the_release() {
        let check = |release: &str, address: &str, expect: Option<&str>| {
            let interface = Writer::new().message(1, Writer::new().text(6, address));
            let expect = expect.map(|expect| format!("{expect} in an agent of {release}"));
            check(release, "UpdateInterface", interface, expect.as_deref());
        };
        let (no_bridge, no_path) =
            ("`interface.pciAddr`: is no bridge and device", "`interface.pciPath`: is no path of PCI");
        let no_device = "`interface.devicePath`: is no path of a device";
        for address in ["02", "0000:00:02.0", "0.0.0005"] {
            check("2.0", address, Some(no_bridge));
        }
        for release in ["2.1", "2.5", "3.3"] {
            check(release, "02", None);
            check(release, "0000:00:02.0", Some(no_path));
            check(release, "0.0.0005", Some(no_path));
        }
        for release in ["4.0", "ideal"] {
            check(release, "02", None);
            check(release, "0.0.0005", None);
            check(release, "0000:00:02.0", Some(no_device));
        }
        for release in RELEASES {
            check(release, "02/03", None);
            check(release, "", None);
        }
    }

    #[test]
    fn a_number_of_another_form_or_size_confuses() {
        let field_8 = "`shared_mounts`: is ignored in an agent of 3.3";
        check("3.3", "CreateContainer", Writer::new().text(1, "c1").bool(8, true), Some(field_8));
        check("3.2", "CreateContainer", Writer::new().text(1, "c1").bool(8, true), None);
        let size = |row: u64| Writer::new().text(1, "c1").uint(3, row);
        for (release, fate) in
            [("2.0", "truncated"), ("2.5", "truncated"), ("3.2", "refused"), ("4.0", "refused")]
        {
            let too_big = format!("`row`: is {fate} in an agent of {release}");
            check(release, "TtyWinResize", size(1 << 32), Some(&too_big));
            check(release, "TtyWinResize", size((1 << 32) - 1), None);
            let id = Writer::new().uint(1, 7);
            let fate = if matches!(release, "2.0" | "2.5") { "refused" } else { "ignored" };
            check(
                release,
                "StatsContainer",
                id,
                Some(&format!("`container_id`: is {fate} in an agent of {release}")),
            );
        }
        let cut = Writer::new().text(1, "c1").raw(b"\x12\x05a");
        check(
            "2.5",
            "StatsContainer",
            cut,
            Some("`grpc.StatsContainerRequest`: is refused in an agent of 2.5"),
        );
    }

    #[test]
    fn what_was_only_added_confuses_nobody() {
        let mount = Writer::new().text(1, "m").text(2, "c1");
        check("3.2", "CreateContainer", Writer::new().text(1, "c1").message(8, mount), None);
        check("2.0", "UpdateEphemeralMounts", Writer::new().raw(b"\xff"), None);
        check("2.0", "StatsContainer", Writer::new().text(1, "c1").raw(b"\xdb\x01\x08\x01\xdc\x01"), None);
    }

    #[test]
    fn says_that_it_looks_no_further() {
        let agent = DIALECTS.named("4.0").expect("a release of the table");
        let mounts = |count| (0..count).fold(Writer::new(), |all, _| all.message(1, Writer::new())).finish();
        for (count, expect) in [(MESSAGES_MAX - 1, Ok(None)), (MESSAGES_MAX, Err(TooMany))] {
            let payload = mounts(count);
            let request = ttrpc::envelope::request(1, "grpc.AgentService", "UpdateEphemeralMounts", &payload);
            let call = Call::read(ttrpc::envelope::data(&request)).expect("a call");
            assert_eq!(of_call(agent, &call), expect, "{count}");
        }
    }
}
