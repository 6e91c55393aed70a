//! The probes that every protocol gets, on streams that open as a client of ttrpc opens them.

use std::collections::BTreeMap;

use bytes::{Bytes, BytesMut};
use protocol::probe::{
    AboveLimit, Answers, Bad, Clients, Description, Lengths, SUBJECT_CONN, around_large, generic, reply_ms,
};
use protocol::{Action, Case, Hazard, Scripted};
use session::{Payload, Script, Step};
use transcript::ConnId;
use transcript::evidence::Expect;
use wire::ttrpc::{DATA_MAX, Flags, HEAD_LEN, Header, MessageType};

use crate::envelope::{self, Success};
use crate::probes::Good;

/// A method that nobody has.
pub const NO_SUCH_METHOD: &str = "NoSuchMethod";
/// A field that no message has.
const FUTURE_FIELD: u32 = 1000;

/// What the generic probes have to know of a protocol: two harmless calls with different answers, an unknown method with that many
/// bytes of payload, and a call whose argument is a text that nobody has given a meaning.
#[must_use]
pub fn description(
    good: Good<'static>,
    second: Good<'static>,
    unknown: fn(usize) -> Bytes,
    text: fn(&[u8]) -> Bytes,
    half_close_tries: u32,
) -> Description {
    let overhead = unknown(DATA_MAX as usize).len() - HEAD_LEN - DATA_MAX as usize;
    let future = wire::protobuf::Writer::new().raw(good.payload).text(FUTURE_FIELD, "of the future").finish();
    let cut = good.payload.split_last().map(|(_, cut)| cut).unwrap_or_default();
    Description {
        canary: good.request(1),
        second: second.request(1),
        with_payload: good.request(1),
        unknown,
        unknown_gets: Bad::Refused,
        lengths: Some(Lengths { announcing, max: u32::MAX.into(), min: 0 }),
        payload_max: Some(DATA_MAX as usize - overhead),
        head_len: HEAD_LEN,
        reply: envelope::success(1, Success::Bare, b""),
        trailing_bytes: None,
        missing_bytes: Some(envelope::request(1, good.service, good.method, cut)),
        unknown_fields: Some(envelope::request(1, good.service, good.method, &future)),
        text,
        malformed: Bad::Refused,
        greeting: Vec::new(),
        ids: None,
        stray: Bad::Dropped,
        above_limit: AboveLimit::Closed,
        half_close_tries,
        clients: Clients::Many,
        answers: Answers::ByRequest,
    }
}

/// The head of a request that announces that many bytes.
fn announcing(length: i64) -> Bytes {
    let header = Header { stream: 1, kind: MessageType::REQUEST, flags: Flags(0) };
    // As the field holds it: the lowest 32 bits.
    let length = u32::try_from(length.cast_unsigned() & u64::from(u32::MAX)).unwrap_or(u32::MAX);
    header.with_length(length, b"")
}

/// A client that writes much before it reads anything.
pub const BOTH_WRITE: &str = "both-sides-write";
/// How many requests it writes: fewer than are followed on a connection, and with more bytes than sockets hold.
const WRITTEN: u32 = 4000;
/// How long the name is that each of them calls, which most servers repeat.
const NAME_LEN: usize = 200;

/// The generic probes, and the one of two sides that write.
#[must_use]
pub fn probes(d: &Description, good: Good<'static>) -> Vec<Case> {
    let mut cases = generic(d);
    let name = "N".repeat(NAME_LEN);
    let args = [Expect::Survive.arg()];
    let about = "a client that writes much before it reads is answered: a server reads while it writes";
    cases.push(around_large(d, BOTH_WRITE, about, Hazard::Disturbs, &args, move |_, script| {
        let requests = (0..WRITTEN).map(|_| envelope::request(1, good.service, &name, b""));
        let all = requests.fold(BytesMut::new(), |mut all, request| {
            all.extend_from_slice(&request);
            all
        });
        let bytes = all.freeze();
        let patience = reply_ms(bytes.len());
        script.send(SUBJECT_CONN, bytes).answers(SUBJECT_CONN, patience)
    }));
    for case in &mut cases {
        let Action::Script(script) = &case.action else { continue };
        let script = script.clone();
        case.action = Action::Script(Scripted::new(move || on_new_streams(script.make())));
    }
    cases
}

/// Gives each message of a connection a stream of its own: 1, 3, 5 and so on.
fn on_new_streams(mut script: Script) -> Script {
    let mut conns: BTreeMap<ConnId, Numbering> = BTreeMap::new();
    for step in &mut script.steps {
        if let Step::Send { conn, payload: Payload::Fixed(bytes), .. } = step {
            let mut renumbered = BytesMut::from(&bytes[..]);
            conns.entry(*conn).or_default().renumber(&mut renumbered);
            *bytes = renumbered.freeze();
        }
    }
    script
}

/// Where a connection is within a message.
#[derive(Default)]
struct Numbering {
    /// The head, as far as it came.
    head: Vec<u8>,
    /// How much of the body is to come.
    body: usize,
    messages: u32,
}

impl Numbering {
    fn renumber(&mut self, mut bytes: &mut [u8]) {
        while !bytes.is_empty() {
            let body = self.body.min(bytes.len());
            self.body -= body;
            bytes = &mut bytes[body..];
            let Some(byte) = bytes.first_mut() else { return };
            let stream = (2 * self.messages + 1).to_be_bytes();
            if let Some(digit) = self.head.len().checked_sub(4).and_then(|at| stream.get(at)) {
                *byte = *digit;
            }
            self.head.push(*byte);
            if self.head.len() == HEAD_LEN {
                self.body = Header::length(&self.head).map_or(0, |length| length as usize);
                self.head.clear();
                self.messages += 1;
            }
            bytes = &mut bytes[1..];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_message_gets_a_stream_of_its_own_wherever_it_is_cut() {
        let request = |stream| envelope::request(stream, "s.S", "M", b"abc");
        let due = [request(1), request(3), request(5)].concat();
        let three = [request(1), request(1), request(1)].concat();
        for at in 0..three.len() {
            let script =
                Script::new().send(1, three[..at].to_vec()).send(2, request(1)).send(1, three[at..].to_vec());
            let sent = on_new_streams(script).steps.into_iter().filter_map(|step| match step {
                Step::Send { conn: ConnId(1), payload: Payload::Fixed(bytes), .. } => Some(bytes),
                _ => None,
            });
            assert_eq!(sent.collect::<Vec<_>>().concat(), due, "cut at {at}");
        }
    }

    #[test]
    fn lengths_are_announced_as_the_field_holds_them() {
        let length = |announced| Header::length(&announcing(announced));
        assert_eq!(length(-1), Some(u32::MAX));
        assert_eq!(length(5), Some(5));
    }
}
