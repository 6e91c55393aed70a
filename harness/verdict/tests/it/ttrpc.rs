//! A toy of ttrpc: enough to say which frames belong together.
//!
//! ```text
//!  0               4               8   9   10
//!  +---------------+---------------+---+---+----------------------+
//!  | length u32 BE | stream  u32 BE| T | F | data, `length` bytes |
//!  +---------------+---------------+---+---+----------------------+
//!  T  1 request, 2 response, 3 data      F  1 the sender sends no more, 2 it will send data, 4 no data
//! ```
//!
//! Specified by `containerd/ttrpc@v1.2.7:PROTOCOL.md`. A response ends its stream, and so does the second side that says
//! that it sends no more.

use std::collections::{BTreeMap, VecDeque};

use verdict::{ConnContext, Due, ExchangeId, Grammar, Meaning, Pairing, Place};
use wire::{
    DecodeErrorKind, Decoder, Direction, Dissection, Extent, Fault, Frame, FrameKind, Scan, Step,
    StreamDecoder,
};

pub(crate) const REQUEST: FrameKind = FrameKind(1);
pub(crate) const RESPONSE: FrameKind = FrameKind(2);
pub(crate) const DATA: FrameKind = FrameKind(3);

pub(crate) const CLOSED: u8 = 1;
pub(crate) const OPEN: u8 = 2;
pub(crate) const NO_DATA: u8 = 4;

const HEAD_LEN: usize = 10;
const DATA_LEN_MAX: usize = 4 << 20;
/// gRPC's code for what is not implemented.
const UNIMPLEMENTED: u64 = 12;

/// The grammar.
#[derive(Clone, Copy)]
pub(crate) struct Ttrpc;

/// A frame on the wire.
pub(crate) fn frame(stream: u32, kind: FrameKind, flags: u8, data: &[u8]) -> Vec<u8> {
    let len = u32::try_from(data.len()).expect("tests are small");
    [&len.to_be_bytes()[..], &stream.to_be_bytes(), &[kind.0, flags], data].concat()
}

struct Frames;

impl Scan for Frames {
    fn step(&mut self, src: &[u8]) -> Result<Step, Fault> {
        let partial = |field, at, needed: usize| Ok(Step::Partial { field, at, needed: needed as u64 });
        let Some(head) = src.first_chunk::<HEAD_LEN>() else {
            return if src.is_empty() { Ok(Step::Boundary) } else { partial("head", 0, HEAD_LEN) };
        };
        let len = u32::from_be_bytes([head[0], head[1], head[2], head[3]]) as usize;
        if len > DATA_LEN_MAX {
            let kind = DecodeErrorKind::AboveLimit { announced: len as u64, limit: DATA_LEN_MAX as u64 };
            return Err(Fault { kind, field: "length", at: 0 });
        }
        if src.len() < HEAD_LEN + len {
            return partial("data", HEAD_LEN, len);
        }
        Ok(Step::Complete(Extent { kind: FrameKind(head[8]), head_len: HEAD_LEN, len: HEAD_LEN + len }))
    }
}

fn stream_of(frame: &Frame) -> u32 {
    frame.bytes.get(4..8).and_then(|id| id.try_into().ok()).map_or(0, u32::from_be_bytes)
}

fn flags_of(frame: &Frame) -> u8 {
    frame.bytes.get(9).copied().unwrap_or(0)
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
        let (stream, flags) = (stream_of(frame), flags_of(frame));
        match frame.kind {
            REQUEST => {
                let closed = if flags & CLOSED == 0 { Vec::new() } else { vec![dir] };
                if let Some(id) = fresh {
                    self.0.entry(stream).or_default().push_back(Stream { id, closed });
                }
                Place::Opens(Ttrpc.due(frame))
            }
            RESPONSE => {
                let meaning = Ttrpc.meaning(None, frame);
                self.ends(stream).map_or(Place::Stray(meaning), |id| Place::Completes(id, meaning))
            }
            DATA => {
                let Some(open) = self.0.get_mut(&stream).and_then(VecDeque::front_mut) else {
                    return Place::Unasked;
                };
                if flags & CLOSED != 0 && !open.closed.contains(&dir) {
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
        Box::new(StreamDecoder::over(Frames))
    }

    fn pairing(&self) -> Box<dyn Pairing> {
        Box::new(Streams::default())
    }

    fn dissect(&self, _dir: Direction, frame: &Frame, _request: Option<&Frame>) -> Dissection {
        let kind = match frame.kind {
            REQUEST => "request",
            RESPONSE => "response",
            DATA => "data",
            _ => "unknown",
        };
        Dissection { title: format!("{kind} {}", stream_of(frame)), ..Dissection::default() }
    }

    fn due(&self, request: &Frame) -> Due {
        match (request.kind, flags_of(request)) {
            (REQUEST, flags) if flags & (OPEN | CLOSED) != 0 => Due::Stream,
            (REQUEST, _) => Due::One,
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
