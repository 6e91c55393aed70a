//! The part of decoding that all length-prefixed framings share.
//!
//! A framing implements [`Scan`]: look at the front of some bytes and say how far the next frame
//! reaches. [`StreamDecoder`] makes a [`Decoder`] of it: it keeps the offset in the stream, makes
//! errors sticky, tells truncation from a clean end, and cuts the frames off the buffer without
//! copying. Nothing here or in a scan reserves memory for what a peer announced.

use bytes::{Buf as _, Bytes, BytesMut};

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

    /// What that step is when no more bytes will come: what only the end completes is complete then, and what is for the
    /// other side to say ends in no frame.
    fn at_end(&mut self, _src: &[u8], step: Step) -> Step {
        step
    }

    /// As [`Decoder::note_other`].
    fn note_other(&mut self, _other: &Frame) {}
}

/// A [`Decoder`] over a [`Scan`].
#[derive(Debug, Clone)]
pub struct StreamDecoder<S> {
    scan: S,
    offset: u64,
    /// What the frame needs of which a part was seen last, counted from its front.
    needed: u64,
    failed: Option<DecodeError>,
}

impl<S: Scan> StreamDecoder<S> {
    /// A decoder at the start of a stream.
    #[must_use]
    pub fn over(scan: S) -> Self {
        Self { scan, offset: 0, needed: 0, failed: None }
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
                self.pass(step);
                Ok(step)
            }
            Err(fault) => Err(self.fail(fault)),
        }
    }

    /// Goes on to what is behind that step.
    #[inline]
    fn pass(&mut self, step: Step) {
        match step {
            Step::Complete(extent) => self.offset = self.offset.saturating_add(as_u64(extent.len)),
            Step::Partial { at, needed, .. } => self.needed = as_u64(at).saturating_add(needed),
            Step::Boundary => self.needed = 0,
        }
    }

    /// Places the fault in the stream and remembers it, so that it is given again.
    #[cold]
    fn fail(&mut self, fault: Fault) -> DecodeError {
        let Fault { kind, field, at } = fault;
        *self.failed.insert(DecodeError { kind, field, offset: self.offset.saturating_add(as_u64(at)) })
    }
}

/// Bytes that are read frame by frame as they come, without a copy of those that are whole frames when they come. What
/// comes in pieces is put together once, as soon as there can be a frame in it.
#[derive(Debug, Default)]
pub struct Unread {
    /// What was put together.
    left: BytesMut,
    /// What came behind it.
    pieces: Vec<Bytes>,
    /// Length of both.
    len: usize,
    /// With less than that there is no frame; 0 where that is not known, or little.
    needed: usize,
    failed: Option<DecodeError>,
}

/// From this many bytes on it pays to wait for all of them, and to look for zeros while putting pieces together.
const LARGE: usize = 1 << 20;

impl Unread {
    /// Adds what came next.
    pub fn push(&mut self, bytes: &Bytes) {
        if !bytes.is_empty() {
            self.len += bytes.len();
            self.pieces.push(bytes.clone());
        }
    }

    /// Takes the next frame, if it is complete.
    ///
    /// # Errors
    /// As for [`Decoder::decode`].
    pub fn next(&mut self, decoder: &mut dyn Decoder) -> Result<Option<Frame>, DecodeError> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        if self.len < self.needed {
            return Ok(None);
        }
        let next = match &mut self.pieces[..] {
            [whole] if self.left.is_empty() => decoder.decode_shared(whole),
            _ => {
                self.join();
                decoder.decode(&mut self.left)
            }
        };
        self.pieces.retain(|piece| !piece.is_empty());
        match &next {
            Ok(Some(frame)) => (self.len, self.needed) = (self.len.saturating_sub(frame.bytes.len()), 0),
            // Asking costs something only where there is much to put together.
            Ok(None) => self.needed = Some(decoder.needs()).filter(|needed| *needed >= LARGE).unwrap_or(0),
            Err(error) => self.failed = Some(*error),
        }
        next
    }

    /// Something was said the other way: how much the next frame needs may be another matter now.
    pub fn ask_again(&mut self) {
        self.needed = 0;
    }

    /// As [`Unread::next`], when no more bytes will come.
    ///
    /// # Errors
    /// As for [`Decoder::decode_eof`].
    pub fn end(&mut self, decoder: &mut dyn Decoder) -> Result<Option<Frame>, DecodeError> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        self.join();
        let next = decoder.decode_eof(&mut self.left);
        (self.len, self.needed) = (self.left.len(), 0);
        self.failed = next.as_ref().err().copied();
        next
    }

    /// Bytes that are in no frame yet.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Skips that many bytes, or as many as there are; how many that were.
    pub fn skip(&mut self, len: usize) -> usize {
        self.join();
        let len = len.min(self.left.len());
        self.left.advance(len);
        (self.len, self.needed) = (self.left.len(), 0);
        len
    }

    /// Makes bytes that were read unread again, before all others.
    pub fn put_back(&mut self, bytes: &Bytes) {
        let left = std::mem::take(&mut self.left).freeze();
        let later = std::mem::take(&mut self.pieces);
        self.pieces =
            [bytes.clone(), left].into_iter().chain(later).filter(|piece| !piece.is_empty()).collect();
        (self.len, self.needed) = (self.len + bytes.len(), 0);
    }

    /// Forgets all that is unread.
    pub fn clear(&mut self) {
        *self = Self { failed: self.failed, ..Self::default() };
    }

    fn join(&mut self) {
        if self.left.len() < LARGE && self.len >= LARGE {
            let left = std::mem::take(&mut self.left).freeze();
            self.left = join_large(std::iter::once(&left).chain(&self.pieces), self.len);
        } else {
            self.pieces.iter().for_each(|piece| self.left.extend_from_slice(piece));
        }
        self.pieces.clear();
    }
}

/// Puts pieces together. Large payloads are mostly zeros, and fresh ones need not be written.
fn join_large<'a>(pieces: impl Iterator<Item = &'a Bytes>, len: usize) -> BytesMut {
    const PAGE: [u8; 4096] = [0; 4096];
    let mut whole = BytesMut::zeroed(len);
    let mut rest = &mut whole[..];
    for part in pieces.flat_map(|piece| piece.chunks(PAGE.len())) {
        let Some((to, behind)) = rest.split_at_mut_checked(part.len()) else { break };
        if !PAGE.starts_with(part) {
            to.copy_from_slice(part);
        }
        rest = behind;
    }
    whole
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

    fn decode_shared(&mut self, src: &mut Bytes) -> Result<Option<Frame>, DecodeError> {
        let Some(Extent { kind, head_len, len }) = self.next_extent(src)? else { return Ok(None) };
        Ok(Some(Frame { kind, head_len, bytes: src.split_to(len) }))
    }

    fn decode_eof(&mut self, src: &mut BytesMut) -> Result<Option<Frame>, DecodeError> {
        let mut step = self.step(src)?;
        if !matches!(step, Step::Complete(_)) {
            step = self.scan.at_end(src, step);
            self.pass(step);
        }
        match step {
            Step::Complete(extent) => Ok(Some(cut(src, extent))),
            Step::Boundary => Ok(None),
            Step::Partial { field, at, needed } => {
                let got = as_u64(src.len().saturating_sub(at));
                Err(self.fail(Fault { kind: DecodeErrorKind::Truncated { needed, got }, field, at }))
            }
        }
    }

    fn needs(&self) -> usize {
        usize::try_from(self.needed).unwrap_or(usize::MAX)
    }

    fn note_other(&mut self, other: &Frame) {
        self.scan.note_other(other);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A byte that is the length of what follows; 255 is none.
    struct Counted;

    impl Scan for Counted {
        fn step(&mut self, src: &[u8]) -> Result<Step, Fault> {
            let Some(len) = src.first().map(|len| usize::from(*len)) else { return Ok(Step::Boundary) };
            if len == 255 {
                return Err(Fault { kind: DecodeErrorKind::Unexpected, field: "len", at: 0 });
            }
            if src.len() > len {
                return Ok(Step::Complete(Extent { kind: FrameKind(0), head_len: 1, len: len + 1 }));
            }
            Ok(Step::Partial { field: "payload", at: 1, needed: as_u64(len) })
        }
    }

    #[test]
    fn what_is_unread_comes_in_frames_however_it_was_split() {
        let check = |stream: &'static [u8], expect: &[&[u8]], left: usize, fails: bool| {
            for first in 0..=stream.len() {
                for second in first..=stream.len() {
                    let mut unread = Unread::default();
                    let mut decoder = StreamDecoder::over(Counted);
                    let (mut frames, mut failed) = (Vec::new(), false);
                    let stream = Bytes::from_static(stream);
                    for piece in [0..first, first..second, second..stream.len()] {
                        unread.push(&stream.slice(piece));
                        failed = loop {
                            match unread.next(&mut decoder) {
                                Ok(Some(frame)) => frames.push(frame.bytes),
                                Ok(None) => break false,
                                Err(_) => break true,
                            }
                        };
                    }
                    assert_eq!(frames, expect, "{first} {second}");
                    assert_eq!((unread.len(), failed), (left, fails), "{first} {second}");
                    assert_eq!(unread.is_empty(), left == 0, "{first} {second}");
                }
            }
        };
        check(b"", &[], 0, false);
        check(b"\x02ab\x00\x01c", &[b"\x02ab", b"\x00", b"\x01c"], 0, false);
        check(b"\x02ab\x03cd", &[b"\x02ab"], 3, false);
        check(b"\x02ab\xffcd", &[b"\x02ab"], 3, true);
    }

    #[test]
    fn large_pieces_are_put_together_as_they_are() {
        let mut whole = vec![0_u8; LARGE + 10_000];
        let ones = [0, 1, 4095, 4096, 5_000, 500_000, LARGE, LARGE + 9_999];
        whole.iter_mut().enumerate().filter(|(at, _)| ones.contains(at)).for_each(|(_, byte)| *byte = 1);
        for size in [1000, 4096, 100_000, whole.len()] {
            let pieces: Vec<_> = whole.chunks(size).map(Bytes::copy_from_slice).collect();
            assert!(join_large(pieces.iter(), whole.len()) == whole, "{size}");
        }
    }

    /// Eight bytes that are the length of what follows.
    struct Long;

    impl Scan for Long {
        fn step(&mut self, src: &[u8]) -> Result<Step, Fault> {
            let Some(head) = src.first_chunk::<8>() else { return Ok(Step::Boundary) };
            let needed = u64::from_be_bytes(*head);
            let len = 8 + usize::try_from(needed).expect("the test is on 64 bits");
            if src.len() >= len {
                return Ok(Step::Complete(Extent { kind: FrameKind(0), head_len: 8, len }));
            }
            Ok(Step::Partial { field: "payload", at: 8, needed })
        }
    }

    /// What was put together already, in search of a head, is the front of what comes.
    #[test]
    fn a_large_frame_has_what_came_of_it_first() {
        let mut stream = vec![7_u8; LARGE + 100];
        stream.splice(0..8, u64::try_from(LARGE + 92).expect("the test is on 64 bits").to_be_bytes());
        let stream = Bytes::from(stream);
        for cuts in [[3, 5, 9], [3, 5, LARGE], [1, 20, 21], [8, 9, LARGE + 99]] {
            let (mut unread, mut decoder) = (Unread::default(), StreamDecoder::over(Long));
            let mut from = 0;
            for to in cuts {
                unread.push(&stream.slice(from..to));
                assert!(unread.next(&mut decoder).expect("no fault").is_none(), "{cuts:?}");
                from = to;
            }
            unread.push(&stream.slice(from..));
            let frame = unread.next(&mut decoder).expect("no fault").expect("it is whole");
            assert!(frame.bytes == stream && unread.is_empty(), "{cuts:?}");
        }
    }

    #[test]
    fn what_is_unread_can_be_passed_over_and_put_back() {
        let mut decoder = StreamDecoder::over(Counted);
        let mut unread = Unread::default();
        for piece in [&b"\x02a"[..], b"b\x01", b"c\x00"] {
            unread.push(&Bytes::copy_from_slice(piece));
        }
        let mut next =
            |unread: &mut Unread| unread.next(&mut decoder).expect("no fault").map(|frame| frame.bytes);
        assert_eq!(next(&mut unread).as_deref(), Some(&b"\x02ab"[..]));
        unread.put_back(&Bytes::from_static(b"\x01d"));
        assert_eq!(next(&mut unread).as_deref(), Some(&b"\x01d"[..]));
        assert_eq!((unread.skip(2), unread.len()), (2, 1));
        assert_eq!(next(&mut unread).as_deref(), Some(&b"\x00"[..]));
        unread.push(&Bytes::from_static(b"\x05x"));
        assert_eq!((next(&mut unread), unread.len()), (None, 2));
        unread.clear();
        assert_eq!((next(&mut unread), unread.len(), unread.skip(3)), (None, 0, 0));
    }

    #[test]
    fn whole_frames_are_not_copied() {
        let stream = Bytes::from(b"\x02ab\x01c\x05d".to_vec());
        let mut unread = Unread::default();
        unread.push(&stream);
        let mut decoder = StreamDecoder::over(Counted);
        for expect in [0..3, 3..5] {
            let frame = unread.next(&mut decoder).expect("no fault").expect("a whole frame");
            assert_eq!(frame.bytes.as_ptr(), stream.slice(expect).as_ptr());
        }
    }
}
