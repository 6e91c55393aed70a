//! How a dialect is read: which frames belong together, and what they mean.
//!
//! ```text
//! c2s  request        opens its stream; flags that announce data make it one that goes on
//! c2s  data           part of its stream; on none, it opens an exchange that need not be answered
//! s2c  response       ends its stream; on none that is open, it answers nothing
//! c2s  head above the limit, and the pieces behind it: a request that need not be answered, and no requests
//! c2s  any other type    nothing is due
//! ```
//!
//! Messages are read as the specification has it, whatever a release makes of them: what was announced as the body of a message
//! is no message, and who answers or takes it has read it as one.

use std::collections::{BTreeMap, VecDeque};

use verdict::{ConnContext, Due, ExchangeId, Grammar, Meaning, Pairing, Place};
use wire::ttrpc::{
    DATA_MAX, Flags, Header, Limits, MESSAGE, MessageDecoder, MessageType, OVERSIZE, Oversize,
};
use wire::{Decoder, Direction, Dissection, Frame};

use crate::api::Api;
use crate::envelope::{Answer, code, data};
use crate::message;

/// The reading of one dialect of a protocol.
#[derive(Debug, Clone, Copy)]
pub struct TtrpcGrammar<A>(pub A);

impl<A: Api> Grammar for TtrpcGrammar<A> {
    fn dialect(&self) -> &str {
        self.0.dialect()
    }

    fn decoder(&self, _dir: Direction, _conn: &ConnContext) -> Box<dyn Decoder> {
        let limits = Limits { data_max: DATA_MAX, oversize: Oversize::Discarded };
        Box::new(MessageDecoder::within(limits))
    }

    fn pairing(&self) -> Box<dyn Pairing> {
        Box::new(Streams::default())
    }

    fn dissect(&self, dir: Direction, frame: &Frame, request: Option<&Frame>) -> Dissection {
        message::dissect(&self.0, dir, frame, request)
    }

    fn due(&self, request: &Frame) -> Due {
        due(request)
    }

    fn meaning(&self, _request: Option<&Frame>, reply: &Frame) -> Meaning {
        meaning(reply)
    }
}

/// What a frame from the client is due where no stream is open.
fn due(frame: &Frame) -> Due {
    let goes_on = |flags: Flags| flags.has(Flags::REMOTE_OPEN);
    match Header::of_frame(frame) {
        Some(Header { kind: MessageType::REQUEST | MessageType::DATA, .. }) if frame.kind == OVERSIZE => {
            Due::OnFailure
        }
        Some(Header { kind: MessageType::REQUEST, flags, .. }) if goes_on(flags) => Due::Stream,
        Some(Header { kind: MessageType::REQUEST, .. }) => Due::One,
        Some(Header { kind: MessageType::DATA, .. }) => Due::OnFailure,
        _ => Due::None,
    }
}

/// What a response means. One that is not protobuf is a failure of which nothing is known; one above the limit is for nobody to
/// read.
pub(crate) fn meaning(reply: &Frame) -> Meaning {
    if reply.kind == OVERSIZE {
        return Meaning::Refused(code::RESOURCE_EXHAUSTED);
    }
    match Answer::read(data(&reply.bytes)).map_or(code::UNKNOWN, |answer| answer.code) {
        code::OK => Meaning::Success,
        code::UNIMPLEMENTED => Meaning::NotSupported,
        code => Meaning::Refused(code),
    }
}

/// The streams that are open. Nothing keeps a client from using a number twice.
#[derive(Default)]
struct Streams(BTreeMap<u32, VecDeque<Stream>>);

struct Stream {
    id: ExchangeId,
    /// Whether the client may send data on it.
    takes_data: bool,
}

impl Streams {
    fn opens(&mut self, stream: u32, due: Due, fresh: Option<ExchangeId>) -> Place {
        if let Some(id) = fresh.filter(|_| due != Due::None) {
            self.0.entry(stream).or_default().push_back(Stream { id, takes_data: due == Due::Stream });
        }
        Place::Opens(due)
    }

    /// Where data of the client belongs that is not on its own.
    fn continues(&mut self, stream: u32) -> Option<ExchangeId> {
        let open = self.0.get_mut(&stream)?.iter().find(|open| open.takes_data)?;
        Some(open.id)
    }

    fn ends(&mut self, stream: u32) -> Option<ExchangeId> {
        let open = self.0.get_mut(&stream)?;
        let first = open.pop_front();
        if open.is_empty() {
            self.0.remove(&stream);
        }
        first.map(|stream| stream.id)
    }
}

impl Pairing for Streams {
    fn place(&mut self, dir: Direction, frame: &Frame, fresh: Option<ExchangeId>) -> Place {
        let Some(Header { stream, kind, .. }) = Header::of_frame(frame) else { return Place::Unasked };
        match (dir, kind) {
            (Direction::ToServer, MessageType::DATA) if frame.kind == MESSAGE => {
                match self.continues(stream) {
                    Some(id) => Place::Part(id),
                    None => self.opens(stream, due(frame), fresh),
                }
            }
            (Direction::ToServer, _) => self.opens(stream, due(frame), fresh),
            (Direction::ToClient, MessageType::RESPONSE) => {
                let meaning = meaning(frame);
                self.ends(stream).map_or(Place::Stray(meaning), |id| Place::Completes(id, meaning))
            }
            (Direction::ToClient, MessageType::DATA) => {
                let open = self.0.get(&stream).and_then(VecDeque::front);
                open.map_or(Place::Stray(Meaning::Success), |open| Place::Part(open.id))
            }
            (Direction::ToClient, _) => Place::Stray(Meaning::Success),
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::envelope::{failure, request_data};
    use crate::testing::{Talk, done, good};

    fn frame(bytes: &[u8]) -> Frame {
        let mut decoder =
            MessageDecoder::within(Limits { data_max: DATA_MAX, oversize: Oversize::Discarded });
        decoder.decode(&mut bytes.into()).expect("a message").expect("all of it")
    }

    fn message(stream: u32, kind: u8, flags: u8, length: u32, body: &[u8]) -> Bytes {
        Header { stream, kind: MessageType(kind), flags: Flags(flags) }.with_length(length, body)
    }

    #[test]
    fn what_is_due_follows_from_type_flags_and_length() {
        #[track_caller]
        fn check(bytes: &[u8], expect: Due) {
            assert_eq!(due(&frame(bytes)), expect, "{bytes:02x?}");
        }
        check(&good(1), Due::One);
        check(&message(1, 1, 1, 0, b""), Due::One);
        check(&message(1, 1, 2, 0, b""), Due::Stream);
        check(&message(1, 3, 0, 0, b""), Due::OnFailure);
        check(&message(1, 1, 0, DATA_MAX + 1, b""), Due::OnFailure);
        check(&message(1, 3, 0, DATA_MAX + 1, b""), Due::OnFailure);
        check(&message(1, 2, 0, 0, b""), Due::None);
        check(&message(1, 9, 0, 0, b""), Due::None);
    }

    #[test]
    fn meanings_are_codes() {
        #[track_caller]
        fn check(bytes: &[u8], expect: Meaning) {
            assert_eq!(meaning(&frame(bytes)), expect, "{bytes:02x?}");
        }
        check(&done(1), Meaning::Success);
        check(&failure(1, code::UNIMPLEMENTED, ""), Meaning::NotSupported);
        check(&failure(1, code::NOT_FOUND, ""), Meaning::Refused(code::NOT_FOUND));
        check(&message(1, 2, 0, 1, b"\xff"), Meaning::Refused(code::UNKNOWN));
        check(&message(1, 2, 0, DATA_MAX + 1, b""), Meaning::Refused(code::RESOURCE_EXHAUSTED));
    }

    /// Each answer with what it answers, as numbers of streams; 0 for what answers nothing.
    #[test]
    fn answers_belong_to_the_call_on_their_stream() {
        #[track_caller]
        fn check(talk: Talk, expect: &[(u32, u32)]) {
            let stream = |frame: &Frame| Header::of_frame(frame).map_or(0, |header| header.stream);
            let reading = talk.reading();
            let steps = reading.conns.iter().flat_map(|conn| &conn.steps);
            let replies = steps
                .flat_map(|step| &step.replies)
                .map(|reply| (stream(&reply.at.frame), reply.request.as_ref().map_or(0, stream)));
            assert_eq!(replies.collect::<Vec<_>>(), expect);
        }
        let both = || Talk::new().asks(good(1)).asks(good(3));
        check(both().answers(done(3)).answers(done(1)), &[(3, 3), (1, 1)]);
        check(both().answers(done(5)).answers(done(1)).answers(done(1)), &[(5, 0), (1, 1), (1, 0)]);
        // A number that is used twice is answered twice.
        check(Talk::new().asks(good(1)).asks(good(1)).answers(done(1)).answers(done(1)), &[(1, 1), (1, 1)]);
        // Data of a call that announced it is part of that; on a stream that is not open it may be refused.
        let announced = Talk::new().asks(message(1, 1, 2, 0, b"")).asks(message(1, 3, 5, 0, b""));
        check(announced.answers(done(1)).answers(done(1)), &[(1, 1), (1, 0)]);
        let stray = Talk::new().asks(message(1, 3, 5, 0, b""));
        check(stray.answers(failure(1, code::INVALID_ARGUMENT, "")), &[(1, 1)]);
        // What was announced as a body is no call.
        let body = Talk::new().asks([message(1, 1, 0, DATA_MAX + 1, b""), good(7)].concat());
        check(body.answers(done(7)), &[(7, 0)]);
        check(
            Talk::new().asks(request_data(1, b"\xff")).answers(failure(1, code::INVALID_ARGUMENT, "")),
            &[(1, 1)],
        );
    }
}
