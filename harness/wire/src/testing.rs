//! What the tests of all framings share: streams that arrive in pieces.

use bytes::BytesMut;
use proptest::prelude::*;

use crate::{DecodeError, Decoder, Frame};

/// Feeds `stream` in pieces of at most `piece` bytes and collects the frames, then ends the stream.
/// The bytes that are left over are checked to be what the frames do not hold.
#[track_caller]
pub(crate) fn drain(
    decoder: &mut dyn Decoder,
    stream: &[u8],
    piece: usize,
) -> (Vec<Frame>, Result<(), DecodeError>) {
    let mut frames = Vec::new();
    let mut buffer = BytesMut::new();
    let mut end = Ok(());
    for piece in stream.chunks(piece.min(stream.len()).max(1)) {
        buffer.extend_from_slice(piece);
        while end.is_ok() {
            match decoder.decode(&mut buffer) {
                Ok(Some(frame)) => frames.push(frame),
                Ok(None) => break,
                Err(error) => end = Err(error),
            }
        }
    }
    if end.is_ok() {
        end = match decoder.decode_eof(&mut buffer) {
            Ok(None) => Ok(()),
            Ok(Some(frame)) => panic!("{frame:?} was complete before the end"),
            Err(error) => Err(error),
        };
    }
    let mut seen = frames.iter().flat_map(|frame| frame.bytes.iter().copied()).collect::<Vec<_>>();
    seen.extend_from_slice(&buffer);
    assert_eq!(seen, stream, "every byte is in one frame or left over");
    if let Err(error) = end {
        let left = buffer.clone();
        assert_eq!(decoder.decode(&mut buffer), Err(error), "errors are sticky");
        assert_eq!(decoder.decode_eof(&mut buffer), Err(error), "errors are sticky");
        assert_eq!(buffer, left, "an error leaves the buffer as it is");
    }
    (frames, end)
}

/// What came out of a stream that was fed in pieces.
#[derive(Debug, PartialEq)]
pub(crate) struct Outcome {
    pub(crate) frames: Vec<Frame>,
    pub(crate) left: Vec<u8>,
    pub(crate) end: Result<(), DecodeError>,
}

/// Feeds `stream` cut at `cuts`; fails if the buffer grows by more than what was fed.
pub(crate) fn feed(
    decoder: &mut dyn Decoder,
    stream: &[u8],
    cuts: &[usize],
) -> Result<Outcome, TestCaseError> {
    let mut cuts = cuts.iter().map(|cut| cut % (stream.len() + 1)).collect::<Vec<_>>();
    cuts.extend([0, stream.len()]);
    cuts.sort_unstable();
    let mut buffer = BytesMut::with_capacity(stream.len());
    let capacity = buffer.capacity();
    let mut outcome = Outcome { frames: Vec::new(), left: Vec::new(), end: Ok(()) };
    for pair in cuts.windows(2) {
        buffer.extend_from_slice(&stream[pair[0]..pair[1]]);
        while outcome.end.is_ok() {
            match decoder.decode(&mut buffer) {
                Ok(Some(frame)) => outcome.frames.push(frame),
                Ok(None) => break,
                Err(error) => outcome.end = Err(error),
            }
            prop_assert!(buffer.capacity() <= capacity, "the decoder reserved memory");
        }
    }
    if outcome.end.is_ok() {
        let before = buffer.len();
        match decoder.decode_eof(&mut buffer) {
            Ok(None) => prop_assert_eq!(before, 0, "bytes are left, and the end is clean"),
            Ok(Some(frame)) => prop_assert!(false, "{:?} was complete before the end", frame),
            Err(error) => outcome.end = Err(error),
        }
    }
    outcome.left = buffer.to_vec();
    Ok(outcome)
}
