//! One direction of a connection, fed in pieces and compared with a decoder that sees it whole.

use bytes::{Buf, BytesMut};

use crate::{DecodeError, DecodeErrorKind, Decoder, Frame, Scan, StreamDecoder};

/// Length of the next frame at the front of a whole stream.
pub(super) type Oracle<'a> = &'a mut dyn FnMut(&[u8]) -> Result<Option<usize>, DecodeError>;

/// The oracle of a decoder.
pub(super) fn oracle<S: Scan>(
    mut at_once: StreamDecoder<S>,
) -> impl FnMut(&[u8]) -> Result<Option<usize>, DecodeError> {
    move |stream| at_once.next_extent(stream).map(|found| found.map(|extent| extent.len))
}

/// Feeds `stream` in pieces; what comes out is compared with the oracle, which sees the stream whole,
/// and given to `check`. Says how the stream ended.
pub(super) fn feed(
    decoder: &mut dyn Decoder,
    oracle: Oracle<'_>,
    stream: &[u8],
    pieces: [usize; 2],
    check: &mut dyn FnMut(&Frame),
) -> Result<(), DecodeError> {
    // Eight pieces and the rest, so that a long input costs little more than a short one.
    let mut pieces = pieces.into_iter().filter(|piece| *piece > 0).cycle().take(8);
    let mut buffer = BytesMut::with_capacity(stream.len());
    let capacity = buffer.capacity();
    let (mut unread, mut rest) = (stream, stream);
    let end = loop {
        let piece = pieces.next().unwrap_or(unread.len()).min(unread.len());
        let (arrived, later) = unread.split_at(piece);
        unread = later;
        buffer.extend_from_slice(arrived);
        let last = unread.is_empty();
        let end = loop {
            let found = if last { decoder.decode_eof(&mut buffer) } else { decoder.decode(&mut buffer) };
            assert!(buffer.capacity() <= capacity, "the decoder reserves nothing");
            let frame = match found {
                Ok(Some(frame)) => frame,
                Ok(None) => break Ok(()),
                Err(error) => break Err(error),
            };
            check(&frame);
            assert_eq!(oracle(rest), Ok(Some(frame.bytes.len())), "splits do not matter");
            let (same, behind) = rest.split_at(frame.bytes.len());
            assert_eq!(frame.bytes, same, "a frame keeps its bytes");
            rest = behind;
        };
        if last || end.is_err() {
            break end;
        }
    };
    let left = buffer.len() + unread.len();
    assert_eq!(left, rest.len(), "every byte is in a frame or left over");
    match end {
        Ok(()) => {
            assert_eq!(oracle(rest), Ok(None), "splits do not matter");
            assert_eq!(left, 0, "a clean end leaves nothing");
        }
        Err(error) => check_error(decoder, oracle, &mut buffer, error, stream, rest),
    }
    end
}

fn check_error(
    decoder: &mut dyn Decoder,
    oracle: Oracle<'_>,
    buffer: &mut BytesMut,
    error: DecodeError,
    stream: &[u8],
    rest: &[u8],
) {
    let begin = stream.len() - rest.len();
    let offset = usize::try_from(error.offset).expect("an offset in memory");
    assert!((begin..=stream.len()).contains(&offset), "{error} lies outside of the stream");
    let len = buffer.len();
    assert_eq!(decoder.decode(buffer), Err(error), "errors are sticky");
    assert_eq!(decoder.decode_eof(buffer), Err(error), "errors are sticky");
    assert_eq!(buffer.len(), len, "an error leaves the buffer as it is");
    match error.kind {
        DecodeErrorKind::AboveLimit { announced, limit } => {
            assert!(announced > limit, "{error}");
            assert_eq!(oracle(rest), Err(error), "splits do not matter");
        }
        DecodeErrorKind::BelowMinimum { announced, minimum } => {
            assert!(announced < minimum, "{error}");
            assert_eq!(oracle(rest), Err(error), "splits do not matter");
        }
        DecodeErrorKind::Truncated { needed, got } => {
            assert!(got < needed, "{error}");
            assert_eq!(offset as u64 + got, stream.len() as u64, "{error} counts all bytes that came");
            assert_eq!(oracle(rest), Ok(None), "splits do not matter");
        }
        DecodeErrorKind::Syntax => assert_eq!(oracle(rest), Err(error), "splits do not matter"),
        _ => panic!("no framing of this crate has {error}"),
    }
}

/// A planted defect: loses the byte behind certain frames.
pub(super) struct LosesByte<D, F> {
    pub(super) decoder: D,
    pub(super) behind: F,
}

impl<D, F: Fn(&Frame) -> bool> LosesByte<D, F> {
    fn lose(&self, frame: Option<Frame>, src: &mut BytesMut) -> Option<Frame> {
        if frame.as_ref().is_some_and(&self.behind) && !src.is_empty() {
            src.advance(1);
        }
        frame
    }
}

impl<D: Decoder, F: Fn(&Frame) -> bool + Send> Decoder for LosesByte<D, F> {
    fn decode(&mut self, src: &mut BytesMut) -> Result<Option<Frame>, DecodeError> {
        let frame = self.decoder.decode(src)?;
        Ok(self.lose(frame, src))
    }

    fn decode_eof(&mut self, src: &mut BytesMut) -> Result<Option<Frame>, DecodeError> {
        let frame = self.decoder.decode_eof(src)?;
        Ok(self.lose(frame, src))
    }

    fn note_other(&mut self, other: &Frame) {
        self.decoder.note_other(other);
    }
}
