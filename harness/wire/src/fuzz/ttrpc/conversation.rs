//! A conversation made of whole messages, whose lengths are mostly right and sometimes a chosen lie.

use arbitrary::{Arbitrary, Result, Unstructured};

use super::super::Input;
use super::super::told::{EXCHANGES_MAX, Told, mostly, payload};
use super::limits;
use crate::DecodeErrorKind;
use crate::ttrpc::{
    DATA_MAX, DISCARDED, Flags, HEAD_LEN, Header, Limits, MESSAGE, MessageDecoder, MessageType, OVERSIZE,
    Oversize, PART_LEN,
};

/// Any conversation of whole messages: up to the first lie, what was sent is what is decoded, and a lie that no
/// decoder takes is noticed where it stands. Behind it the properties hold that [`super::ttrpc_decode`] asserts of
/// any bytes.
///
/// # Panics
/// One of these does not hold.
pub fn ttrpc_structured(data: &[u8]) {
    let mut choices = Unstructured::new(data);
    // Where the choices run out, the conversation ends.
    let Ok((variant, pieces)) = beginning(&mut choices) else { return };
    let [sent, answered] = conversation(limits(variant), &mut choices);
    for told in [&sent, &answered] {
        told.check(&mut MessageDecoder::within(limits(variant)), &mut |_| {});
    }
    let input = Input { variant, pieces, requests: &sent.bytes, replies: &answered.bytes };
    super::decode_both(input, &mut |limits| Box::new(MessageDecoder::within(limits)));
}

fn beginning(choices: &mut Unstructured<'_>) -> Result<(u8, [usize; 2])> {
    Ok((u8::arbitrary(choices)?, <[u8; 2]>::arbitrary(choices)?.map(usize::from)))
}

/// What both sides say, in turn, until the choices run out.
fn conversation(limits: Limits, choices: &mut Unstructured<'_>) -> [Told; 2] {
    let mut both = [Told::default(), Told::default()];
    for _ in 0..EXCHANGES_MAX {
        for told in &mut both {
            let Ok(message) = Message::made_up(choices) else { return both };
            message.tell(limits, told);
        }
        if choices.is_empty() {
            break;
        }
    }
    both
}

const STREAMS: [u32; 6] = [1, 3, 5, 2, 0, u32::MAX];
const TYPES: [u8; 8] = [1, 2, 3, 1, 2, 0, 9, 255];
const FLAGS: [u8; 8] = [0, 1, 2, 5, 4, 3, 8, 255];

/// Lengths of data at which something changes.
const LENS: [usize; 8] = [0, 1, 23, 24, 25, 4096, PART_LEN as usize, PART_LEN as usize + 1];

/// Lengths that are wrong for nearly every message.
const LENGTH_LIES: [u32; 9] = [0, 1, 23, 25, PART_LEN, DATA_MAX, DATA_MAX + 1, 0x8000_0000, u32::MAX];

struct Message {
    header: Header,
    length: u32,
    data: Vec<u8>,
}

impl Message {
    fn made_up(choices: &mut Unstructured<'_>) -> Result<Self> {
        let header = Header {
            stream: *choices.choose(&STREAMS)?,
            kind: MessageType(*choices.choose(&TYPES)?),
            flags: Flags(*choices.choose(&FLAGS)?),
        };
        let data = payload(choices, &LENS)?;
        let honest = u32::try_from(data.len()).expect("a little data");
        Ok(Self { header, length: mostly(choices, honest, &LENGTH_LIES)?, data })
    }

    fn tell(&self, limits: Limits, told: &mut Told) {
        let bytes = self.header.with_length(self.length, &self.data);
        let honest = self.length as usize == self.data.len();
        if self.length <= limits.data_max {
            told.lied |= !honest;
            told.tell(MESSAGE, &bytes);
            return;
        }
        if limits.oversize == Oversize::Refused {
            let (announced, limit) = (self.length.into(), limits.data_max.into());
            told.refuse(DecodeErrorKind::AboveLimit { announced, limit }, "length", 0);
        }
        let (head, data) = bytes.split_at(HEAD_LEN);
        told.tell(OVERSIZE, head);
        // Where the head is ignored, the data is anything.
        told.lied |= !honest || limits.oversize == Oversize::Ignored;
        data.chunks(PART_LEN as usize).for_each(|part| told.tell(DISCARDED, part));
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::told::noise;
    use super::super::LIMITS;
    use super::*;

    /// A body that tells nothing would hold whatever the decoders do.
    #[test]
    fn conversations_reach_every_kind_of_frame_and_every_refusal_and_go_on_for_long() {
        let (mut kinds, mut refused, mut longest, mut lied) = (Vec::new(), 0, 0, 0);
        for (seed, limits) in (0..600_u32).zip(LIMITS.into_iter().cycle()) {
            let data = noise(seed, 2000);
            for told in conversation(limits, &mut Unstructured::new(&data)) {
                kinds.extend(told.expect.iter().map(|(kind, _)| kind.0));
                refused += usize::from(told.refused.is_some());
                longest = longest.max(told.expect.len());
                lied += usize::from(told.lied);
            }
        }
        kinds.sort_unstable();
        kinds.dedup();
        assert_eq!(kinds, [MESSAGE, OVERSIZE, DISCARDED].map(|kind| kind.0));
        assert!(refused > 100, "{refused} of 1200 streams are refused");
        assert!(longest > 40, "the longest conversation has {longest} frames before a lie");
        assert!((200..1100).contains(&lied), "{lied} of 1200 streams lie");
    }
}
