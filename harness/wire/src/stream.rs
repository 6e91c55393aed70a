//! The part of decoding that all length-prefixed framings share.
//!
//! A framing implements [`Scan`]: look at the front of some bytes and say how far the next frame
//! reaches. [`StreamDecoder`] makes a [`Decoder`] of it: it keeps the offset in the stream, makes
//! errors sticky, tells truncation from a clean end, and cuts the frames off the buffer without
//! copying. Nothing here or in a scan reserves memory for what a peer announced.

use bytes::BytesMut;

use crate::{DecodeError, DecodeErrorKind, Decoder, Frame, FrameKind};

/// How far the frame at the front of some bytes reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extent {
    /// What sort of frame.
    pub kind: FrameKind,
    /// Length of its head in bytes.
    pub head_len: usize,
    /// Length of head and payload in bytes; never zero.
    pub len: usize,
}

/// What a [`Scan`] finds at the front of some bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// There are no bytes, and the stream may well end here.
    Boundary,
    /// A part of a frame.
    Partial {
        /// The part of the frame that is not complete.
        field: &'static str,
        /// Where that field begins, counted from the front.
        at: usize,
        /// How many bytes the field needs.
        needed: u64,
    },
    /// A complete frame.
    Complete(Extent),
}

/// Why a [`Scan`] can not go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fault {
    /// What is wrong.
    pub kind: DecodeErrorKind,
    /// The field that is wrong.
    pub field: &'static str,
    /// Where that field begins, counted from the front of the bytes.
    pub at: usize,
}

/// Finds the ends of the frames of one direction of a framing.
pub trait Scan: Send {
    /// Looks at the front of `src`, where a frame begins. On [`Step::Complete`] the scan goes on to
    /// the frame behind; on anything else it is asked again with the same bytes and perhaps more.
    ///
    /// # Errors
    /// The stream is wrong from here on.
    fn step(&mut self, src: &[u8]) -> Result<Step, Fault>;

    /// As [`Decoder::note_sent`].
    fn note_sent(&mut self, _sent: &Frame) {}
}

/// A [`Decoder`] over a [`Scan`].
#[derive(Debug, Clone)]
pub struct StreamDecoder<S> {
    scan: S,
    offset: u64,
    failed: Option<DecodeError>,
}

impl<S: Scan> StreamDecoder<S> {
    /// A decoder at the start of a stream.
    #[must_use]
    pub fn over(scan: S) -> Self {
        Self { scan, offset: 0, failed: None }
    }

    /// Offset of the next frame from the first byte of the stream.
    #[must_use]
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// How far the next frame at the front of `src` reaches, if it is complete there. The decoder
    /// goes on to the frame behind it, so that the caller has to pass the bytes from there on next
    /// time. This is [`Decoder::decode`] without the cost of owning the frame.
    ///
    /// # Errors
    /// As for [`Decoder::decode`].
    #[inline]
    pub fn next_extent(&mut self, src: &[u8]) -> Result<Option<Extent>, DecodeError> {
        match self.step(src)? {
            Step::Complete(extent) => Ok(Some(extent)),
            Step::Boundary | Step::Partial { .. } => Ok(None),
        }
    }

    #[inline]
    fn step(&mut self, src: &[u8]) -> Result<Step, DecodeError> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        match self.scan.step(src) {
            Ok(step) => {
                if let Step::Complete(extent) = step {
                    self.offset = self.offset.saturating_add(as_u64(extent.len));
                }
                Ok(step)
            }
            Err(fault) => Err(self.fail(fault)),
        }
    }

    /// Places the fault in the stream and remembers it, so that it is given again.
    #[cold]
    fn fail(&mut self, fault: Fault) -> DecodeError {
        let Fault { kind, field, at } = fault;
        *self.failed.insert(DecodeError { kind, field, offset: self.offset.saturating_add(as_u64(at)) })
    }
}

/// Cuts the frame off the front of `src`, sharing its memory.
#[inline]
fn cut(src: &mut BytesMut, extent: Extent) -> Frame {
    Frame { kind: extent.kind, head_len: extent.head_len, bytes: src.split_to(extent.len).freeze() }
}

/// A length in memory as a length in a stream.
pub(crate) fn as_u64(len: usize) -> u64 {
    u64::try_from(len).unwrap_or(u64::MAX)
}

impl<S: Scan> Decoder for StreamDecoder<S> {
    #[inline]
    fn decode(&mut self, src: &mut BytesMut) -> Result<Option<Frame>, DecodeError> {
        Ok(self.next_extent(src)?.map(|extent| cut(src, extent)))
    }

    fn decode_eof(&mut self, src: &mut BytesMut) -> Result<Option<Frame>, DecodeError> {
        match self.step(src)? {
            Step::Complete(extent) => Ok(Some(cut(src, extent))),
            Step::Boundary => Ok(None),
            Step::Partial { field, at, needed } => {
                let got = as_u64(src.len().saturating_sub(at));
                Err(self.fail(Fault { kind: DecodeErrorKind::Truncated { needed, got }, field, at }))
            }
        }
    }

    fn note_sent(&mut self, sent: &Frame) {
        self.scan.note_sent(sent);
    }
}
