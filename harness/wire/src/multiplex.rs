//! Several output streams in one: what container engines send of attach, exec and logs where there is no terminal.
//!
//! ```text
//! 0      1              4               8
//! +------+--------------+---------------+----------------------+
//! | u8   | 00 00 00     | u32           | data                 |
//! |stream|              | length        |                      |
//! +------+--------------+---------------+----------------------+
//! ```
//!
//! `length` is big-endian and counts the data alone. A piece is one write of a process, no line. With a terminal there is none
//! of it. Specified by `moby/moby@v28.5.2:api/swagger.yaml`, ContainerAttach; stream 3 only by its `pkg/stdcopy`.

use std::fmt;

use bytes::{BufMut as _, Bytes, BytesMut};

use crate::named::named;
use crate::stream::as_u64;
use crate::{DecodeErrorKind, Extent, Fault, FrameKind, Scan, Step, StreamDecoder};

/// A piece: head and data.
pub const PIECE: FrameKind = FrameKind(1);

/// Length of the head in bytes: the smallest piece.
pub const HEAD_LEN: usize = 8;
/// The most data of a piece, 16 MiB.
pub const LENGTH_MAX: u32 = 16 << 20;

named! {
    /// Which stream a piece is of.
    Stream(u8) {
        /// What the process reads, as a terminal would echo it.
        STDIN = 0;
        /// What it writes.
        STDOUT = 1;
        /// What it writes of errors.
        STDERR = 2;
        /// What the daemon has to say of an error of its own.
        SYSTEM_ERROR = 3;
    }
}

/// Decodes a multiplexed stream.
pub type PieceDecoder = StreamDecoder<PieceScan>;

impl PieceDecoder {
    /// A decoder at the start of a stream.
    #[must_use]
    pub fn new() -> Self {
        Self::over(PieceScan)
    }
}

impl Default for PieceDecoder {
    fn default() -> Self {
        Self::new()
    }
}

/// Finds the ends of pieces.
#[derive(Debug, Clone, Copy)]
pub struct PieceScan;

impl Scan for PieceScan {
    #[inline]
    fn step(&mut self, src: &[u8]) -> Result<Step, Fault> {
        let Some(stream) = src.first() else { return Ok(Step::Boundary) };
        if *stream > Stream::SYSTEM_ERROR.0 {
            return Err(Fault { kind: DecodeErrorKind::Syntax, field: "stream", at: 0 });
        }
        if let Some(at) = src.iter().take(4).skip(1).position(|byte| *byte != 0) {
            return Err(Fault { kind: DecodeErrorKind::Syntax, field: "zeros", at: at.saturating_add(1) });
        }
        let Some([.., a, b, c, d]) = src.first_chunk::<HEAD_LEN>() else {
            return Ok(Step::Partial { field: "head", at: 0, needed: as_u64(HEAD_LEN) });
        };
        let length = u32::from_be_bytes([*a, *b, *c, *d]);
        if length > LENGTH_MAX {
            let kind = DecodeErrorKind::AboveLimit { announced: length.into(), limit: LENGTH_MAX.into() };
            return Err(Fault { kind, field: "length", at: 4 });
        }
        let len = HEAD_LEN.saturating_add(usize::try_from(length).unwrap_or(usize::MAX));
        if src.len() < len {
            return Ok(Step::Partial { field: "data", at: HEAD_LEN, needed: length.into() });
        }
        Ok(Step::Complete(Extent { kind: PIECE, head_len: HEAD_LEN, len }))
    }
}

/// The stream of which the piece at the front of `src` is.
#[must_use]
pub fn stream(src: &[u8]) -> Option<Stream> {
    src.first().copied().map(Stream)
}

/// A piece. Data too long for the length announces `u32::MAX`.
#[must_use]
pub fn piece(stream: Stream, data: &[u8]) -> Bytes {
    let mut bytes = BytesMut::with_capacity(HEAD_LEN.saturating_add(data.len()));
    bytes.put_slice(&[stream.0, 0, 0, 0]);
    bytes.put_u32(u32::try_from(data.len()).unwrap_or(u32::MAX));
    bytes.put_slice(data);
    bytes.freeze()
}

/// What was written to each stream, all pieces of it in a row.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Streams {
    /// Stream 0.
    pub stdin: Vec<u8>,
    /// Stream 1.
    pub stdout: Vec<u8>,
    /// Stream 2.
    pub stderr: Vec<u8>,
    /// Stream 3.
    pub system_error: Vec<u8>,
}

/// Why bytes are no streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JoinError {
    /// The last piece, which begins there, is not all there.
    Truncated(usize),
    /// What begins there is no piece.
    NotMultiplexed(usize),
}

impl fmt::Display for JoinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Truncated(at) => write!(f, "piece is cut (offset {at})"),
            Self::NotMultiplexed(at) => write!(f, "not multiplexed (offset {at})"),
        }
    }
}

impl std::error::Error for JoinError {}

/// Takes a multiplexed stream apart.
///
/// # Errors
/// It is none, or not all there.
pub fn join(bytes: &[u8]) -> Result<Streams, JoinError> {
    let mut streams = Streams::default();
    walk(bytes, |stream, data| {
        let to = match stream {
            Stream::STDIN => &mut streams.stdin,
            Stream::STDOUT => &mut streams.stdout,
            Stream::STDERR => &mut streams.stderr,
            _ => &mut streams.system_error,
        };
        to.extend_from_slice(data);
    })?;
    Ok(streams)
}

/// Whether that is one piece after the other, the last one perhaps not all there; what a terminal shows is not, nor is
/// nothing, nor less than a head.
#[must_use]
pub fn looks_multiplexed(bytes: &[u8]) -> bool {
    bytes.len() >= HEAD_LEN && !matches!(walk(bytes, |_, _| {}), Err(JoinError::NotMultiplexed(_)))
}

fn walk(bytes: &[u8], mut show: impl FnMut(Stream, &[u8])) -> Result<(), JoinError> {
    let mut rest = bytes;
    loop {
        let at = bytes.len().saturating_sub(rest.len());
        match PieceScan.step(rest) {
            Ok(Step::Boundary) => return Ok(()),
            Ok(Step::Partial { .. }) => return Err(JoinError::Truncated(at)),
            Err(_) => return Err(JoinError::NotMultiplexed(at)),
            Ok(Step::Complete(Extent { head_len, len, .. })) => {
                let (piece, behind) = rest.split_at_checked(len).unwrap_or((rest, &[]));
                show(Stream(piece.first().copied().unwrap_or(0)), piece.get(head_len..).unwrap_or(&[]));
                rest = behind;
            }
        }
    }
}

#[cfg(test)]
#[expect(clippy::indexing_slicing, reason = "a wrong index fails the test, which is what it is for")]
mod tests;
