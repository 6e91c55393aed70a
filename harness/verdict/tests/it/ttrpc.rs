//! A toy of ttrpc: enough to say which frames belong together.
//!
//! Specified by `containerd/ttrpc@v1.2.7:PROTOCOL.md`. A response ends its stream, and so does the second side that says
//! that it sends no more.

use std::collections::{BTreeMap, VecDeque};

use verdict::{ConnContext, Due, ExchangeId, Grammar, Meaning, Pairing, Place};
use wire::ttrpc::{Flags, Header, MessageDecoder, MessageType};
use wire::{Decoder, Direction, Dissection, Frame};

/// gRPC's code for what is not implemented.
const UNIMPLEMENTED: u64 = 12;

/// The grammar.
#[derive(Clone, Copy)]
pub(crate) struct Ttrpc;

/// A frame on the wire.
pub(crate) fn frame(stream: u32, kind: MessageType, flags: Flags, data: &[u8]) -> Vec<u8> {
    Header { stream, kind, flags }.message(data).to_vec()
}

/// The streams that are open. Nothing keeps a client from using a number twice.
#[derive(Default)]
struct Streams(BTreeMap<u32, VecDeque<Stream>>);

struct Stream {
    id: ExchangeId,
    closed: Vec<Direction>,
}

impl Streams {
    fn ends(&mut self, stream: u32) -> Option<ExchangeId> {
        let streams = self.0.get_mut(&stream)?;
        let first = streams.pop_front();
        if streams.is_empty() {
            self.0.remove(&stream);
        }
        first.map(|stream| stream.id)
    }
}

impl Pairing for Streams {
    fn place(&mut self, dir: Direction, frame: &Frame, fresh: Option<ExchangeId>) -> Place {
        let Some(Header { stream, kind, flags }) = Header::of_frame(frame) else { return Place::Unasked };
        let closes = flags.has(Flags::REMOTE_CLOSED);
        match kind {
            MessageType::REQUEST => {
                let closed = if closes { vec![dir] } else { Vec::new() };
                if let Some(id) = fresh {
                    self.0.entry(stream).or_default().push_back(Stream { id, closed });
                }
                Place::Opens(Ttrpc.due(frame))
            }
            MessageType::RESPONSE => {
                let meaning = Ttrpc.meaning(None, frame);
                self.ends(stream).map_or(Place::Stray(meaning), |id| Place::Completes(id, meaning))
            }
            MessageType::DATA => {
                let Some(open) = self.0.get_mut(&stream).and_then(VecDeque::front_mut) else {
                    return Place::Unasked;
                };
                if closes && !open.closed.contains(&dir) {
                    open.closed.push(dir);
                }
                let id = open.id;
                if open.closed.len() < 2 {
                    return Place::Part(id);
                }
                self.ends(stream);
                Place::Completes(id, Meaning::Success)
            }
            _ => Place::Unasked,
        }
    }
}

impl Grammar for Ttrpc {
    fn dialect(&self) -> &str {
        "ttrpc"
    }

    fn decoder(&self, _dir: Direction, _conn: &ConnContext) -> Box<dyn Decoder> {
        Box::new(MessageDecoder::new())
    }

    fn pairing(&self) -> Box<dyn Pairing> {
        Box::new(Streams::default())
    }

    fn dissect(&self, _dir: Direction, frame: &Frame, _request: Option<&Frame>) -> Dissection {
        let title = Header::of_frame(frame).map_or_else(String::new, |header| {
            format!("{} {}", header.kind.to_string().to_lowercase(), header.stream)
        });
        Dissection { title, ..Dissection::default() }
    }

    fn due(&self, request: &Frame) -> Due {
        let streams = |flags: Flags| flags.has(Flags::REMOTE_OPEN) || flags.has(Flags::REMOTE_CLOSED);
        match Header::of_frame(request) {
            Some(Header { kind: MessageType::REQUEST, flags, .. }) if streams(flags) => Due::Stream,
            Some(Header { kind: MessageType::REQUEST, .. }) => Due::One,
            _ => Due::None,
        }
    }

    fn meaning(&self, _request: Option<&Frame>, reply: &Frame) -> Meaning {
        match code(reply.payload()) {
            0 => Meaning::Success,
            UNIMPLEMENTED => Meaning::NotSupported,
            code => Meaning::Refused(i64::try_from(code).unwrap_or(i64::MAX)),
        }
    }
}

/// The code of a response: `Response { Status status = 1 }`, `Status { int32 code = 1 }`. One byte is all that codes need.
fn code(response: &[u8]) -> u64 {
    match response {
        [0x0a, 2..=u8::MAX, 0x08, code, ..] => u64::from(*code),
        _ => 0,
    }
}
