//! What every framing shares: frames, directions and the decoder contract.

use std::fmt;

use bytes::{Buf as _, Bytes, BytesMut};

/// Which way bytes travel. The client is the side that connects, whatever the roles are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Direction {
    /// From the side that connected to the side that listens (`c2s`).
    ToServer,
    /// From the side that listens to the side that connected (`s2c`).
    ToClient,
}

impl Direction {
    /// The other way.
    #[must_use]
    pub fn reversed(self) -> Self {
        match self {
            Self::ToServer => Self::ToClient,
            Self::ToClient => Self::ToServer,
        }
    }
}

impl fmt::Display for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ToServer => "c2s",
            Self::ToClient => "s2c",
        })
    }
}

/// Byte order of a framing with native-endian integers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Endian {
    /// Least significant byte first.
    Little,
    /// Most significant byte first.
    Big,
}

/// Width of a pointer that travels on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PointerWidth {
    /// ILP32: four bytes.
    Four,
    /// LP64: eight bytes.
    Eight,
}

impl PointerWidth {
    /// The width in bytes.
    #[must_use]
    pub const fn bytes(self) -> usize {
        match self {
            Self::Four => 4,
            Self::Eight => 8,
        }
    }
}

/// What sort of frame this is within its framing. Each framing names its constants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct FrameKind(pub u8);

/// One complete message with its bytes untouched.
#[derive(Debug, Clone, Eq)]
pub struct Frame {
    /// What sort of frame; the constants belong to the framing.
    pub kind: FrameKind,
    /// Length of the fixed head in bytes; the payload follows it.
    pub head_len: usize,
    /// Head and payload, as they travelled.
    pub bytes: Bytes,
}

/// Frames are compared to find which request a reply was read as the answer to, so most are equal because they share
/// their bytes, and those can be many.
impl PartialEq for Frame {
    fn eq(&self, other: &Self) -> bool {
        let shared = self.bytes.as_ptr() == other.bytes.as_ptr() && self.bytes.len() == other.bytes.len();
        (self.kind, self.head_len) == (other.kind, other.head_len) && (shared || self.bytes == other.bytes)
    }
}

impl Frame {
    /// The fixed head. Shorter than [`Frame::head_len`] only if the frame was built so by hand.
    #[must_use]
    pub fn head(&self) -> &[u8] {
        self.bytes.get(..self.head_len).unwrap_or(&self.bytes)
    }

    /// What follows the head.
    #[must_use]
    pub fn payload(&self) -> &[u8] {
        self.bytes.get(self.head_len..).unwrap_or(&[])
    }
}

/// Turns one direction of one connection into frames.
///
/// `Ok(None)` means that more bytes are needed; an error means that the stream is wrong from here
/// on. After an error the decoder is out of step for good: it gives the same error again and leaves
/// `src` as it is, so that the caller can report the bytes that were not understood.
pub trait Decoder: Send {
    /// Takes the next frame from the front of `src`, if it is complete. A frame is never empty.
    ///
    /// # Errors
    /// The stream cannot be read further; see [`DecodeError`].
    fn decode(&mut self, src: &mut BytesMut) -> Result<Option<Frame>, DecodeError>;

    /// As [`Decoder::decode`], over bytes that others hold too: a frame shares them where the decoder can do that.
    ///
    /// # Errors
    /// As for `decode`.
    fn decode_shared(&mut self, src: &mut Bytes) -> Result<Option<Frame>, DecodeError> {
        let mut copy = BytesMut::from(&src[..]);
        let frame = self.decode(&mut copy);
        src.advance(src.len().saturating_sub(copy.len()));
        frame
    }

    /// Behind an `Ok(None)`: with fewer bytes than that from the front of `src` on, asking again gives the same. 0 where
    /// the decoder does not know.
    fn needs(&self) -> usize {
        0
    }

    /// As [`Decoder::decode`], when no more bytes will come: left-over bytes are an error, unless it is for the other
    /// side to say what they are, and it has not yet.
    ///
    /// # Errors
    /// As for `decode`, and [`DecodeErrorKind::Truncated`] when the stream ends in mid-frame.
    fn decode_eof(&mut self, src: &mut BytesMut) -> Result<Option<Frame>, DecodeError>;

    /// Tells the decoder what went the other way, for framings in which replies depend on their requests, or what
    /// follows on the answer.
    fn note_other(&mut self, _other: &Frame) {}
}

/// Why a stream cannot be read further.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DecodeError {
    /// What is wrong.
    pub kind: DecodeErrorKind,
    /// The field that is wrong.
    pub field: &'static str,
    /// Offset of that field from the first byte of the stream.
    pub offset: u64,
}

/// The kinds of [`DecodeError`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DecodeErrorKind {
    /// A length or a count is above the limit of the framing.
    AboveLimit {
        /// The announced one.
        announced: u64,
        /// The limit.
        limit: u64,
    },
    /// A length is smaller than what it must at least cover.
    BelowMinimum {
        /// The announced length.
        announced: i64,
        /// The smallest possible one.
        minimum: i64,
    },
    /// The stream ended in mid-frame.
    Truncated {
        /// Bytes that the frame needs.
        needed: u64,
        /// Bytes that came.
        got: u64,
    },
    /// A message arrived where none can be.
    Unexpected,
    /// The bytes do not follow the syntax of the framing.
    Syntax,
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            DecodeErrorKind::AboveLimit { announced, limit } => {
                write!(f, "`{}` announces {announced}, limit is {limit}", self.field)?;
            }
            DecodeErrorKind::BelowMinimum { announced, minimum } => {
                write!(f, "`{}` announces {announced}, at least {minimum} is needed", self.field)?;
            }
            DecodeErrorKind::Truncated { needed, got } => {
                write!(f, "stream ends in `{}` after {got} of {needed} bytes", self.field)?;
            }
            DecodeErrorKind::Unexpected => write!(f, "`{}` where none can be", self.field)?,
            DecodeErrorKind::Syntax => write!(f, "malformed `{}`", self.field)?,
        }
        write!(f, " (offset {})", self.offset)
    }
}

impl std::error::Error for DecodeError {}
