//! The framing of libvirt's remote procedure calls, nearly the same in both directions.
//!
//! ```text
//! 0        4         8         12          16     20       24       28
//! +--------+---------+---------+-----------+------+--------+--------+-----------
//! | u32    | u32     | u32     | i32       | i32  | u32    | i32    | payload
//! | length | program | version | procedure | type | serial | status |
//! +--------+---------+---------+-----------+------+--------+--------+-----------
//! ```
//!
//! All integers are big-endian. `length` counts the whole message, itself included: 28 to
//! [`LENGTH_MAX`]. The two types that end in `WITH_FDS` have a `u32` count of descriptors in front of
//! their payload, and are followed by that many bytes without meaning, each of which carries one
//! descriptor. A server does so only for calls and a client only for replies: the other type is
//! dropped whole like any that does not belong there, whatever stands where the count would be.
//!
//! Specified by `libvirt/libvirt`, `src/rpc/virnetprotocol.x`. That file gives the count as one byte;
//! releases 7.0.0 to 12.8.0 put four on the wire. Which side looks for descriptors behind which type:
//! `src/rpc/virnetserverclient.c` and `src/rpc/virnetclient.c` there, and measured on the same
//! releases.

use bytes::{BufMut, Bytes, BytesMut};

use crate::named::named;
use crate::{
    Cursor, DecodeErrorKind, Direction, Endian, Extent, Fault, Frame, FrameKind, Scan, Step, StreamDecoder,
};

/// A message: length word, header and payload.
pub const MESSAGE: FrameKind = FrameKind(1);
/// One byte without meaning behind a message with descriptors; a descriptor travels with it. Its
/// frame has no head.
pub const DESCRIPTOR_BYTE: FrameKind = FrameKind(2);

/// Length word and header in bytes: the smallest message.
pub const HEAD_LEN: usize = 28;
/// The largest message, 32 MiB and its length word. Measured on 7.0.0 to 12.8.0: one byte more is
/// closed at once.
pub const LENGTH_MAX: u32 = 33_554_436;
/// The largest payload in bytes.
pub const PAYLOAD_MAX: usize = 33_554_408;
/// The longest string in bytes.
pub const STRING_MAX: u32 = 4_194_304;
/// The most descriptors with one message.
pub const FDS_MAX: u32 = 32;

named! {
    /// What a message is. Unknown numbers survive.
    MessageType(i32) {
        /// A request.
        CALL = 0;
        /// Its answer.
        REPLY = 1;
        /// An event; nobody answers it.
        MESSAGE = 2;
        /// A part of a stream, or its end.
        STREAM = 3;
        /// A request with descriptors.
        CALL_WITH_FDS = 4;
        /// An answer with descriptors.
        REPLY_WITH_FDS = 5;
        /// A hole in a stream.
        STREAM_HOLE = 6;
    }
}

impl MessageType {
    /// Whether descriptors follow, where such a message belongs.
    #[must_use]
    pub fn has_fds(self) -> bool {
        self == Self::CALL_WITH_FDS || self == Self::REPLY_WITH_FDS
    }

    /// The type behind which the receiver in that direction looks for descriptors.
    #[must_use]
    pub const fn with_fds(direction: Direction) -> Self {
        match direction {
            Direction::ToServer => Self::CALL_WITH_FDS,
            Direction::ToClient => Self::REPLY_WITH_FDS,
        }
    }

    /// Whether it asks for an answer.
    #[must_use]
    pub fn is_call(self) -> bool {
        self == Self::CALL || self == Self::CALL_WITH_FDS
    }

    /// Whether it answers a call.
    #[must_use]
    pub fn is_reply(self) -> bool {
        self == Self::REPLY || self == Self::REPLY_WITH_FDS
    }
}

named! {
    /// How a message went. Unknown numbers survive.
    Status(i32) {
        /// Done, or the end of a stream.
        OK = 0;
        /// Failed; the payload is an error.
        ERROR = 1;
        /// There is more of the stream to come.
        CONTINUE = 2;
    }
}

/// The header behind the length word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Header {
    /// Which set of procedures.
    pub program: u32,
    /// Version of that set.
    pub version: u32,
    /// Which procedure.
    pub procedure: i32,
    /// What the message is.
    pub kind: MessageType,
    /// Chosen by whoever calls, echoed by whoever answers.
    pub serial: u32,
    /// How it went.
    pub status: Status,
}

impl Header {
    /// Reads the header of a frame; `None` for one that is no message.
    #[must_use]
    pub fn of_frame(frame: &Frame) -> Option<Self> {
        (frame.kind == MESSAGE).then(|| Self::read(&frame.bytes)).flatten()
    }

    /// Reads length word and header at the front of `src`.
    #[must_use]
    pub fn read(src: &[u8]) -> Option<Self> {
        let mut cursor = Cursor::new(src);
        let _length = cursor.u32(Endian::Big)?;
        Some(Self {
            program: cursor.u32(Endian::Big)?.1,
            version: cursor.u32(Endian::Big)?.1,
            procedure: cursor.i32(Endian::Big)?.1,
            kind: MessageType(cursor.i32(Endian::Big)?.1),
            serial: cursor.u32(Endian::Big)?.1,
            status: Status(cursor.i32(Endian::Big)?.1),
        })
    }

    /// A whole message. A payload too long for the length word announces `u32::MAX`.
    #[must_use]
    pub fn message(self, payload: &[u8]) -> Bytes {
        let length = HEAD_LEN.checked_add(payload.len()).and_then(|len| u32::try_from(len).ok());
        self.with_length(length.unwrap_or(u32::MAX), payload)
    }

    /// The same with a length word of the caller's choice, true or not.
    #[must_use]
    pub fn with_length(self, length: u32, payload: &[u8]) -> Bytes {
        let mut bytes = BytesMut::with_capacity(HEAD_LEN.saturating_add(payload.len()));
        bytes.put_u32(length);
        bytes.put_u32(self.program);
        bytes.put_u32(self.version);
        bytes.put_i32(self.procedure);
        bytes.put_i32(self.kind.0);
        bytes.put_u32(self.serial);
        bytes.put_i32(self.status.0);
        bytes.put_slice(payload);
        bytes.freeze()
    }
}

/// Decodes one direction of a connection: [`MESSAGE`] and [`DESCRIPTOR_BYTE`] frames.
pub type MessageDecoder = StreamDecoder<MessageScan>;

impl MessageDecoder {
    /// A decoder at the start of a connection, for bytes whose direction is not known: descriptors
    /// follow both types that can have them.
    #[must_use]
    pub fn new() -> Self {
        Self::expecting([MessageType::CALL_WITH_FDS, MessageType::REPLY_WITH_FDS])
    }

    /// A decoder at the start of a connection, which reads as the receiver in that direction does.
    #[must_use]
    pub fn towards(direction: Direction) -> Self {
        Self::expecting([MessageType::with_fds(direction); 2])
    }

    fn expecting(with_fds: [MessageType; 2]) -> Self {
        Self::over(MessageScan { with_fds, descriptors_due: 0 })
    }
}

impl Default for MessageDecoder {
    fn default() -> Self {
        Self::new()
    }
}

/// Finds the ends of messages and of the bytes that carry descriptors.
#[derive(Debug, Clone)]
pub struct MessageScan {
    /// The types behind which descriptors are looked for.
    with_fds: [MessageType; 2],
    /// How many bytes with a descriptor follow the last message.
    descriptors_due: u32,
}

/// Offset of the number of descriptors.
const FDS_AT: usize = HEAD_LEN;
/// Offset of the type.
const TYPE_AT: usize = 16;

impl Scan for MessageScan {
    #[inline]
    fn step(&mut self, src: &[u8]) -> Result<Step, Fault> {
        if self.descriptors_due > 0 {
            if src.is_empty() {
                return Ok(Step::Partial { field: "descriptor byte", at: 0, needed: 1 });
            }
            self.descriptors_due = self.descriptors_due.saturating_sub(1);
            return Ok(Step::Complete(Extent { kind: DESCRIPTOR_BYTE, head_len: 0, len: 1 }));
        }
        let Some(length) = word(src, 0) else {
            let partial = Step::Partial { field: "length", at: 0, needed: 4 };
            return Ok(if src.is_empty() { Step::Boundary } else { partial });
        };
        let len = checked(length)?;
        if src.len() < HEAD_LEN {
            return Ok(Step::Partial { field: "header", at: 4, needed: 24 });
        }
        let fds = self.descriptors(src, len)?;
        if src.len() < len {
            let needed = u64::from(length).saturating_sub(HEAD_LEN as u64);
            return Ok(Step::Partial { field: "payload", at: HEAD_LEN, needed });
        }
        self.descriptors_due = fds;
        Ok(Step::Complete(Extent { kind: MESSAGE, head_len: HEAD_LEN, len }))
    }
}

impl MessageScan {
    /// How many descriptors follow the message at the front of `src`, as far as it has come.
    fn descriptors(&self, src: &[u8], len: usize) -> Result<u32, Fault> {
        let kind = word(src, TYPE_AT).map(|word| MessageType(word.cast_signed()));
        if !kind.is_some_and(|kind| self.with_fds.contains(&kind)) {
            return Ok(0);
        }
        let fault = |kind| Fault { kind, field: "descriptors", at: FDS_AT };
        if len < FDS_AT + 4 {
            let announced = i64::try_from(len - HEAD_LEN).unwrap_or(0);
            return Err(fault(DecodeErrorKind::BelowMinimum { announced, minimum: 4 }));
        }
        match word(src, FDS_AT) {
            Some(fds) if fds > FDS_MAX => {
                let (announced, limit) = (fds.into(), FDS_MAX.into());
                Err(fault(DecodeErrorKind::AboveLimit { announced, limit }))
            }
            fds => Ok(fds.unwrap_or(0)),
        }
    }
}

fn word(src: &[u8], at: usize) -> Option<u32> {
    let raw = src.get(at..)?.first_chunk()?;
    Some(u32::from_be_bytes(*raw))
}

/// The length of the whole message, if it is one that can be.
fn checked(length: u32) -> Result<usize, Fault> {
    let fault = |kind| Fault { kind, field: "length", at: 0 };
    if length > LENGTH_MAX {
        let (announced, limit) = (u64::from(length), u64::from(LENGTH_MAX));
        return Err(fault(DecodeErrorKind::AboveLimit { announced, limit }));
    }
    match usize::try_from(length) {
        Ok(len) if len >= HEAD_LEN => Ok(len),
        _ => {
            let (announced, minimum) = (i64::from(length), HEAD_LEN as i64);
            Err(fault(DecodeErrorKind::BelowMinimum { announced, minimum }))
        }
    }
}

#[cfg(test)]
#[expect(clippy::indexing_slicing, reason = "a wrong index fails the test, which is what it is for")]
mod tests;
