//! One direction of a made-up conversation: what was said, and what has to come out.

use arbitrary::{Arbitrary, Result, Unstructured};
use bytes::BytesMut;

use crate::{DecodeError, DecodeErrorKind, Decoder, Frame, FrameKind};

/// The most exchanges of a conversation; fewer than a decoder remembers.
pub(super) const EXCHANGES_MAX: usize = 64;

/// One direction of a conversation as it was told.
#[derive(Default)]
pub(super) struct Told {
    pub(super) bytes: Vec<u8>,
    /// The frames that must come out, up to the first lie: kind and length.
    pub(super) expect: Vec<(FrameKind, usize)>,
    /// What follows cannot be foretold.
    pub(super) lied: bool,
    /// What must come out behind the frames, where the lie is one that no decoder takes.
    pub(super) refused: Option<DecodeError>,
}

impl Told {
    /// Says a whole message.
    pub(super) fn tell(&mut self, kind: FrameKind, message: &[u8]) {
        self.bytes.extend_from_slice(message);
        if !self.lied {
            self.expect.push((kind, message.len()));
        }
    }

    /// The field at that offset of the message that follows is one that no decoder takes.
    pub(super) fn refuse(&mut self, kind: DecodeErrorKind, field: &'static str, at: usize) {
        if !self.lied {
            let offset = crate::stream::as_u64(self.bytes.len() + at);
            self.refused = Some(DecodeError { kind, field, offset });
            self.lied = true;
        }
    }

    /// What was sent is what is decoded, up to the first lie.
    #[track_caller]
    pub(super) fn check(&self, decoder: &mut dyn Decoder, note: &mut dyn FnMut(&Frame)) {
        let mut buffer = BytesMut::from(&self.bytes[..]);
        let mut rest = &self.bytes[..];
        for (kind, len) in &self.expect {
            let frame = decoder.decode(&mut buffer).expect("in step").expect("complete");
            let (told, behind) = rest.split_at(*len);
            assert_eq!((frame.kind, &frame.bytes[..]), (*kind, told), "what was sent is what is decoded");
            note(&frame);
            rest = behind;
        }
        match self.refused {
            Some(error) => assert_eq!(decoder.decode(&mut buffer), Err(error), "the lie is noticed"),
            None if self.lied => {}
            None => assert_eq!(decoder.decode(&mut buffer), Ok(None), "nothing else was sent"),
        }
    }
}

/// Any bytes, now and then of a length at which something changes.
pub(super) fn payload(choices: &mut Unstructured<'_>, lens: &[usize]) -> Result<Vec<u8>> {
    if choices.ratio(1, 8)? { Ok(vec![0x61; *choices.choose(lens)?]) } else { Vec::arbitrary(choices) }
}

/// What is true, or now and then a lie.
pub(super) fn mostly<T: Copy>(choices: &mut Unstructured<'_>, honest: T, lies: &[T]) -> Result<T> {
    if choices.ratio(1, 64)? { choices.choose(lies).copied() } else { Ok(honest) }
}

/// Bytes without a pattern as choices for a test: one of the upper bytes of a linear congruential
/// generator.
#[cfg(test)]
pub(super) fn noise(seed: u32, len: usize) -> Vec<u8> {
    let mut state = seed;
    let next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state.to_le_bytes()[2]
    };
    std::iter::repeat_with(next).take(len).collect()
}
