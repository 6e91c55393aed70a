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
