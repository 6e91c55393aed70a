//! The framing of ttrpc, the same in both directions.
//!
//! ```text
//! 0               4               8      9       10
//! +---------------+---------------+------+-------+----------------------+
//! | u32           | u32           | u8   | u8    | data                 |
//! | length        | stream        | type | flags |                      |
//! +---------------+---------------+------+-------+----------------------+
//! ```
//!
//! All integers are big-endian. `length` counts the data alone: 0 to [`DATA_MAX`], so that the first byte of a
//! message is 0. A message of length 0 is its head.
//!
//! Specified by `containerd/ttrpc@v1.2.7:PROTOCOL.md`, which says that longer messages "should be rejected" and
//! not how. Servers were measured to do one of three things, see [`Oversize`]:
//!
//! ```text
//! refused     the connection is closed
//! discarded   |head|          OVERSIZE, and an answer RESOURCE_EXHAUSTED or INVALID_ARGUMENT
//!             |aaaaaaaaaaaa|  DISCARDED, of PART_LEN bytes
//!             |aaaa|          DISCARDED, the rest; then the next message
//! ignored     |head|          OVERSIZE, and no answer; the data is read as messages
//! ```

use std::fmt;

use bytes::{BufMut, Bytes, BytesMut};

use crate::named::named;
use crate::stream::as_u64;
use crate::{Cursor, DecodeErrorKind, Endian, Extent, Fault, Frame, FrameKind, Scan, Step, StreamDecoder};

/// A message: head and data.
pub const MESSAGE: FrameKind = FrameKind(1);
/// The head of a message that is longer than the limit. What happens to its data is for [`Oversize`] to say.
pub const OVERSIZE: FrameKind = FrameKind(2);
/// A piece of the data of such a message: [`PART_LEN`] bytes, or what is left of it. Its frame has no head.
pub const DISCARDED: FrameKind = FrameKind(3);

/// Length of the head in bytes: the smallest message.
pub const HEAD_LEN: usize = 10;
/// The most data of a message, 4 MiB. Measured on containerd-shim 1.4.13 to 2.1.9: exactly that many bytes are
/// taken, one more is RESOURCE_EXHAUSTED.
pub const DATA_MAX: u32 = 4 << 20;
/// Length of a [`DISCARDED`] piece, and so the most that a decoder waits for where it discards.
pub const PART_LEN: u32 = 64 << 10;

named! {
    /// What a message is. Unknown numbers survive.
    MessageType(u8) {
        /// Opens a stream, from client to server.
        REQUEST = 1;
        /// Ends a stream, from server to client.
        RESPONSE = 2;
        /// A part of a stream, both ways; since ttrpc 1.2.
        DATA = 3;
    }
}

/// What a message says about its stream: a set of bits. Unknown ones survive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Flags(pub u8);

impl Flags {
    /// The sender sends no more.
    pub const REMOTE_CLOSED: Self = Self(1);
    /// The sender will send data.
    pub const REMOTE_OPEN: Self = Self(2);
    /// There is no message here; without it, no data is an empty message.
    pub const NO_DATA: Self = Self(4);

    /// Whether all of those bits are set.
    #[must_use]
    pub const fn has(self, flags: Self) -> bool {
        self.0 & flags.0 == flags.0
    }

    /// The bits of both.
    #[must_use]
    pub const fn with(self, flags: Self) -> Self {
        Self(self.0 | flags.0)
    }
}

impl fmt::Display for Flags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let known = [
            (Self::REMOTE_CLOSED, "REMOTE_CLOSED"),
            (Self::REMOTE_OPEN, "REMOTE_OPEN"),
            (Self::NO_DATA, "NO_DATA"),
        ];
        let mut left = self.0;
        let mut between = "";
        for (flag, name) in known.into_iter().filter(|(flag, _)| self.has(*flag)) {
            write!(f, "{between}{name}")?;
            (left, between) = (left & !flag.0, "|");
        }
        if left != 0 || self.0 == 0 {
            write!(f, "{between}{left:#x}")?;
        }
        Ok(())
    }
}

/// The head behind the length.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Header {
    /// Which stream. A client opens odd ones, 0 is none.
    pub stream: u32,
    /// What the message is.
    pub kind: MessageType,
    /// What it says about its stream.
    pub flags: Flags,
}

impl Header {
    /// Reads the header of a frame; `None` for one that has none.
    #[must_use]
    pub fn of_frame(frame: &Frame) -> Option<Self> {
        (frame.kind == MESSAGE || frame.kind == OVERSIZE).then(|| Self::read(&frame.bytes)).flatten()
    }

    /// Reads the head at the front of `src`.
    #[must_use]
    pub fn read(src: &[u8]) -> Option<Self> {
        let mut cursor = Cursor::new(src);
        let _length = cursor.u32(Endian::Big)?;
        let (_, stream) = cursor.u32(Endian::Big)?;
        let (_, [kind, flags]) = cursor.array()?;
        Some(Self { stream, kind: MessageType(kind), flags: Flags(flags) })
    }

    /// The length that stands at the front of `src`.
    #[must_use]
    pub fn length(src: &[u8]) -> Option<u32> {
        Some(u32::from_be_bytes(*src.first_chunk()?))
    }

    /// A whole message. Data too long for the length announces `u32::MAX`.
    #[must_use]
    pub fn message(self, data: &[u8]) -> Bytes {
        self.with_length(u32::try_from(data.len()).unwrap_or(u32::MAX), data)
    }

    /// The same with a length of the caller's choice, true or not.
    #[must_use]
    pub fn with_length(self, length: u32, data: &[u8]) -> Bytes {
        let mut bytes = BytesMut::with_capacity(HEAD_LEN.saturating_add(data.len()));
        bytes.put_u32(length);
        bytes.put_u32(self.stream);
        bytes.put_u8(self.kind.0);
        bytes.put_u8(self.flags.0);
        bytes.put_slice(data);
        bytes.freeze()
    }
}

/// What a receiver does with a message that is longer than its limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Oversize {
    /// It closes the connection: the decoder ends with [`DecodeErrorKind::AboveLimit`]. Measured on agents of
    /// Kata Containers 2.1 to 3.3, ttrpc-rust 0.5 to 0.7.
    Refused,
    /// It answers, reads all of the data and goes on: [`OVERSIZE`] and [`DISCARDED`] frames. Measured on
    /// containerd-shim 1.4.13 to 2.1.9 and on ttrpc-rust 0.8 and later.
    Discarded,
    /// It forgets the head and reads the data as messages: [`OVERSIZE`] and whatever the data holds. Measured on
    /// the agent of Kata Containers 2.0.0 and on ttrpc-rust 0.4.14.
    Ignored,
}

/// What a receiver takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Limits {
    /// The most data of a message, in bytes.
    pub data_max: u32,
    /// What becomes of a longer one.
    pub oversize: Oversize,
}

impl Limits {
    /// As the specification has it: longer messages are refused.
    pub const SPECIFIED: Self = Self { data_max: DATA_MAX, oversize: Oversize::Refused };
}

/// Decodes one direction of a connection: [`MESSAGE`] frames, and [`OVERSIZE`] and [`DISCARDED`] ones where the
/// limits say so.
pub type MessageDecoder = StreamDecoder<MessageScan>;

impl MessageDecoder {
    /// A decoder at the start of a connection, with the limits of the specification.
    #[must_use]
    pub fn new() -> Self {
        Self::within(Limits::SPECIFIED)
    }

    /// A decoder at the start of a connection, which reads as a receiver with these limits does.
    #[must_use]
    pub fn within(limits: Limits) -> Self {
        Self::over(MessageScan { limits, discarding: 0 })
    }
}

impl Default for MessageDecoder {
    fn default() -> Self {
        Self::new()
    }
}

/// Finds the ends of messages.
#[derive(Debug, Clone)]
pub struct MessageScan {
    limits: Limits,
    /// How much data is still to be discarded.
    discarding: u32,
}

impl Scan for MessageScan {
    #[inline]
    fn step(&mut self, src: &[u8]) -> Result<Step, Fault> {
        if self.discarding > 0 {
            return Ok(self.discard(src));
        }
        // Receivers read the head at once, and so do not look at the length before it is complete.
        let Some([a, b, c, d, ..]) = src.first_chunk::<HEAD_LEN>() else {
            let partial = Step::Partial { field: "head", at: 0, needed: as_u64(HEAD_LEN) };
            return Ok(if src.is_empty() { Step::Boundary } else { partial });
        };
        let length = u32::from_be_bytes([*a, *b, *c, *d]);
        if length > self.limits.data_max {
            return self.oversize(length);
        }
        let len = HEAD_LEN.saturating_add(in_memory(length));
        if src.len() < len {
            return Ok(Step::Partial { field: "data", at: HEAD_LEN, needed: length.into() });
        }
        Ok(Step::Complete(Extent { kind: MESSAGE, head_len: HEAD_LEN, len }))
    }
}

impl MessageScan {
    #[inline]
    fn oversize(&mut self, length: u32) -> Result<Step, Fault> {
        match self.limits.oversize {
            Oversize::Refused => {
                let (announced, limit) = (length.into(), self.limits.data_max.into());
                let kind = DecodeErrorKind::AboveLimit { announced, limit };
                return Err(Fault { kind, field: "length", at: 0 });
            }
            Oversize::Discarded => self.discarding = length,
            Oversize::Ignored => {}
        }
        Ok(Step::Complete(Extent { kind: OVERSIZE, head_len: HEAD_LEN, len: HEAD_LEN }))
    }

    #[inline]
    fn discard(&mut self, src: &[u8]) -> Step {
        let part = self.discarding.min(PART_LEN);
        let len = in_memory(part);
        if src.len() < len {
            return Step::Partial { field: "discarded data", at: 0, needed: part.into() };
        }
        self.discarding = self.discarding.saturating_sub(part);
        Step::Complete(Extent { kind: DISCARDED, head_len: 0, len })
    }
}

/// A length on the wire as one in memory.
fn in_memory(length: u32) -> usize {
    usize::try_from(length).unwrap_or(usize::MAX)
}

#[cfg(test)]
#[expect(clippy::indexing_slicing, reason = "a wrong index fails the test, which is what it is for")]
mod tests;
