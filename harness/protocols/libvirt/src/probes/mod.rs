//! What is asked of every server: the generic probes, and what only this protocol can be asked.
//!
//! ```text
//! mod.rs         what the generic probes have to know, and the frames of the others
//! bad_input.rs   what no client should send: numbers, lengths, types, descriptors, counts
//! rules.rs       what servers promise: opening, features, signs of life, authentication, events, streams
//! faults.rs      what is known to have gone wrong
//! ```
//!
//! `LV-nn` are the numbers under which the known faults are kept in `matrices/libvirt-remote/known-bugs.toml`.
//!
//! Three habits of this protocol shape the probes. A server answers in any order, so answers are matched by
//! serial. What it drops it drops in silence, so a canary in the same write shows that it is done with it. A
//! client that ends its sending half may lose its answer (LV-10), so nothing here ends that way but what is
//! about just that.

use bytes::Bytes;
use matrix::{CaseId, CaseKind};
use protocol::probe::{
    AboveLimit, Answers, Bad, Clients, Description, Ids, Lengths, QUIET_MS, REPLY_MS, STALL_MS, SUBJECT_CONN,
    around, around_large, around_marked, ask, closing, generic, open, opening,
};
use protocol::{Action, Case, Hazard};
use session::{Script, Step};
use transcript::evidence::{Expect, Role};
use transcript::{ConnId, FdNote};
use wire::libvirt_rpc::{HEAD_LEN, Header, MessageType, PAYLOAD_MAX, Status};
use wire::xdr::Writer;

use super::names::{UNKNOWN_PROCEDURE, feature, procedures as p};
use super::request::{self, call, call_with};

mod bad_input;
mod faults;
mod rules;
#[cfg(test)]
mod tests;

/// The driver that every server has.
pub(super) const URI: &str = "test:///default";
/// The subject's connection.
const MAIN: u32 = SUBJECT_CONN;
/// More connections of the subject's, beside those of the generic frame.
const OTHER: u32 = 20;

/// Serials: of what opens a connection, of the canaries, and of subjects. They differ so that each answer can
/// be told from every other.
const OPENING: u32 = 0x10;
const CANARY: u32 = 0x11;
const SECOND: u32 = 0x12;
const SUBJECT: u32 = 0x20;

/// The domain that the test driver comes with: name, uuid and id.
pub(super) fn domain() -> Writer {
    const UUID: [u8; 16] = *b"\x66\x95\xeb\x01\xf6\xa4\x83\x04\x79\xaa\x97\xf2\x50\x2e\x19\x3f";
    Writer::new().opaque(b"test").fixed(&UUID).i32(1)
}

/// The network that the test driver comes with: name and uuid.
fn network() -> Writer {
    const UUID: [u8; 16] = *b"\xdd\x8f\xe8\x84\x6c\x02\x60\x1e\x75\x51\xcc\xa9\x7d\xf1\xc5\xdf";
    Writer::new().opaque(b"default").fixed(&UUID)
}

/// What the generic probes have to know.
pub(crate) fn description() -> Description {
    let void = |procedure, serial| call(procedure, serial, b"");
    Description {
        canary: void(p::CONNECT_GET_TYPE, CANARY),
        second: void(p::CONNECT_GET_LIB_VERSION, SECOND),
        // 36 bytes: split in two at 35 places.
        with_payload: call(p::CONNECT_LIST_ALL_INTERFACES, SUBJECT, &Writer::new().i32(1).u32(3).finish()),
        unknown,
        unknown_gets: Bad::Refused,
        lengths: Some(Lengths {
            announcing: |len| {
                request::header(p::CONNECT_GET_TYPE, SUBJECT).with_length(length_word(len), b"")
            },
            // As if the length word counted the payload alone.
            max: i64::from(u32::MAX) - HEAD_LEN as i64,
            min: -(HEAD_LEN as i64),
        }),
        payload_max: Some(PAYLOAD_MAX),
        head_len: HEAD_LEN,
        reply: Header { kind: MessageType::REPLY, ..request::header(p::CONNECT_GET_TYPE, SUBJECT) }
            .message(b""),
        trailing_bytes: Some(call(p::CONNECT_GET_TYPE, SUBJECT, &[0xa5; 16])),
        missing_bytes: Some(call(p::CONNECT_SUPPORTS_FEATURE, SUBJECT, b"")),
        unknown_fields: Some(call_with(
            p::CONNECT_SUPPORTS_FEATURE,
            SUBJECT,
            Writer::new().i32(feature::REMOTE_EVENT_CALLBACK).u32(0).opaque(b"more"),
        )),
        malformed: Bad::Refused,
        text: |bytes| call_with(p::INTERFACE_LOOKUP_BY_NAME, SUBJECT, Writer::new().opaque(bytes)),
        greeting: vec![request::open(OPENING, Some(URI), 0)],
        ids: Some(Ids {
            canary: |serial| call(p::CONNECT_GET_TYPE, u32::try_from(serial).unwrap_or(u32::MAX), b""),
            odd: &[0, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff],
        }),
        stray: Bad::Dropped,
        above_limit: AboveLimit::Closed,
        half_close_tries: HALF_CLOSE_TRIES,
        clients: Clients::Many,
        answers: Answers::NextFrame,
    }
}

/// In 13 to 83 of 100 tries the answer is lost (LV-10): with this number, a server that loses any is found all but
/// once in 300,000 times.
const HALF_CLOSE_TRIES: u32 = 90;

/// The length word of a message with that many bytes of payload, as near as the field can come.
fn length_word(payload: i64) -> u32 {
    let word = payload.saturating_add(HEAD_LEN as i64);
    u32::try_from(word).unwrap_or(if word < 0 { 0 } else { u32::MAX })
}

/// A call that no release knows.
fn unknown(len: usize) -> Bytes {
    filled(request::header(UNKNOWN_PROCEDURE, SUBJECT), len)
}

/// The payload of what is to be drained: read as a message, a length that the canary behind it does not fill. A
/// server that does not drain waits for more, and never answers the canary.
const UNDRAINED: [u8; 4] = 256_u32.to_be_bytes();
/// Larger payloads are zeros, which cost neither time nor memory.
const UNDRAINED_MAX: usize = 64 << 10;

fn filled(header: Header, len: usize) -> Bytes {
    let head = header.with_length(length_word(i64::try_from(len).unwrap_or(i64::MAX)), b"");
    if len > UNDRAINED_MAX {
        return transcript::zeros_behind(&head, len);
    }
    head.iter().copied().chain(UNDRAINED.into_iter().cycle().take(len)).collect()
}

/// All probes, the generic ones first.
pub(crate) fn all() -> Vec<Case> {
    let d = description();
    [generic(&d), bad_input::all(&d), rules::all(&d), faults::all(&d)].concat()
}

/// One subject, and what is due.
fn one(
    d: &Description,
    name: &str,
    about: &'static str,
    expect: impl AsRef<[Expect]>,
    request: impl Into<Bytes>,
) -> Case {
    around(d, name, about, Hazard::Harmless, expect, |s| large(s, request.into()))
}

/// A request that may take its time for what it carries, and its answer.
fn large(script: Script, request: Bytes) -> Script {
    let reply = protocol::probe::reply_ms(request.len());
    script.send(MAIN, request).reply(MAIN, reply)
}

/// The same on a server of its own.
fn disturbing(case: Case) -> Case {
    Case { hazard: Hazard::Disturbs, ..case }
}

/// A message that is dropped without a word. The canary in the same write is answered, and nothing else.
fn dropped(d: &Description, name: &str, about: &'static str, message: &[u8]) -> Case {
    one(d, name, about, Expect::Answer, [message, &d.canary].concat())
}

/// Bytes upon which the connection ends.
fn ending(d: &Description, name: &str, about: &'static str, bytes: Bytes) -> Case {
    let script = open(d, opening(d), MAIN, Role::Subject, &[Expect::Closed.arg()])
        .send(MAIN, bytes)
        .reply(MAIN, REPLY_MS)
        .close(MAIN);
    case(d, name, about, Hazard::Harmless, script)
}

/// A message that is not finished. Others are served meanwhile.
fn held(d: &Description, name: &str, about: &'static str, sends: Vec<Step>) -> Case {
    let script = open(d, opening(d), MAIN, Role::Subject, &[Expect::Survive.arg()]);
    let script = sends.into_iter().fold(script, Script::then).pause(STALL_MS);
    let script = ask(d, script, protocol::probe::WITNESS_CONN, Role::Witness).close(MAIN);
    case(d, name, about, Hazard::Disturbs, script)
}

/// A story of its own; a fresh client comes at its end.
fn case(d: &Description, name: &str, about: &'static str, hazard: Hazard, script: Script) -> Case {
    let script = closing(d, script);
    Case::new(CaseId::new(CaseKind::Probe, name), about, hazard, Action::Script(script.into()))
}

/// A request and its answer in a role of their own, on an open connection.
fn asks(script: Script, conn: u32, role: Role, args: &[(&str, &str)], request: Bytes) -> Script {
    script.role(conn, role, args).send(conn, request).reply(conn, REPLY_MS)
}

/// One write with a descriptor at its first byte.
fn with_descriptor(bytes: Bytes) -> Step {
    Step::Send {
        conn: ConnId(MAIN),
        payload: bytes.into(),
        fds: vec![FdNote("null".to_owned())],
        creds: None,
    }
}

fn plain(bytes: Bytes) -> Step {
    Step::Send { conn: ConnId(MAIN), payload: bytes.into(), fds: Vec::new(), creds: None }
}

/// What comes unasked at the end of a connection.
fn quiet(script: Script, conn: u32) -> Script {
    script.role(conn, Role::Quiet, &[]).quiet(conn, QUIET_MS).close(conn)
}

/// A connection on which the driver is open, as the second canary shows.
fn opened(d: &Description) -> Script {
    let script = open(d, opening(d), MAIN, Role::Setup, &[("name", "opened")]);
    script.send(MAIN, d.second.clone()).reply(MAIN, REPLY_MS)
}
