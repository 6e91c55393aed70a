//! A conversation made of whole messages, whose lengths are mostly right and sometimes a chosen lie.

use arbitrary::{Arbitrary, Result, Unstructured};

use super::super::Input;
use super::super::told::{EXCHANGES_MAX, Told, mostly, payload};
use super::{Reading, readings};
use crate::DecodeErrorKind;
use crate::libvirt_rpc::{
    DESCRIPTOR_BYTE, FDS_MAX, HEAD_LEN, Header, LENGTH_MAX, MESSAGE, MessageType, Status,
};

/// Any conversation of whole messages: up to the first lie, what was sent is what is decoded, and a lie
/// that no decoder takes is noticed where it stands. Behind it the properties hold that
/// [`super::libvirt_decode`] asserts of any bytes.
///
/// # Panics
/// One of these does not hold.
pub fn libvirt_structured(data: &[u8]) {
    let mut choices = Unstructured::new(data);
    // Where the choices run out, the conversation ends.
    let Ok((variant, pieces)) = beginning(&mut choices) else { return };
    let [sent, answered] = conversation(variant, &mut choices);
    let input = Input { variant, pieces, requests: &sent.bytes, replies: &answered.bytes };
    for ((reading, _), told) in readings(input).into_iter().zip([&sent, &answered]) {
        told.check(&mut reading.decoder(), &mut |_| {});
    }
    super::decode_both(input, &mut |reading| Box::new(reading.decoder()));
}

fn beginning(choices: &mut Unstructured<'_>) -> Result<(u8, [usize; 2])> {
    Ok((u8::arbitrary(choices)?, <[u8; 2]>::arbitrary(choices)?.map(usize::from)))
}

/// What both sides say, in turn, until the choices run out.
fn conversation(variant: u8, choices: &mut Unstructured<'_>) -> [Told; 2] {
    let [asking, answering] = readings(Input { variant, pieces: [0; 2], requests: &[], replies: &[] });
    let (mut sent, mut answered) = (Told::default(), Told::default());
    for _ in 0..EXCHANGES_MAX {
        let Ok(call) = Message::made_up(choices) else { break };
        call.tell(asking.0, &mut sent);
        let Ok(reply) = Message::made_up(choices) else { break };
        reply.tell(answering.0, &mut answered);
        if choices.is_empty() {
            break;
        }
    }
    [sent, answered]
}

const PROGRAMS: [u32; 6] = [0x2000_8086, 0x2000_8087, 0x6b65_6570, 0, 0xdead_beef, u32::MAX];
const VERSIONS: [u32; 4] = [1, 0, 2, u32::MAX];
const PROCEDURES: [i32; 8] = [60, 66, 1, 9999, 107, -1, i32::MIN, i32::MAX];
const TYPES: [i32; 12] = [0, 1, 4, 5, 2, 3, 6, 7, 99, -1, i32::MIN, i32::MAX];
const STATUSES: [i32; 6] = [0, 1, 2, 3, 99, -1];

/// Payload lengths at which something changes.
const LENS: [usize; 6] = [0, 1, 4, 16, 17, 4096];

/// Lengths that are wrong for nearly every message.
const LENGTH_LIES: [u32; 12] =
    [0, 1, 3, 4, 27, 28, 29, 32, LENGTH_MAX, LENGTH_MAX + 1, 0x8000_0000, u32::MAX];

/// The word that counts the descriptors.
#[derive(Clone, Copy)]
enum Count {
    /// It is true.
    Honest,
    /// It is this one.
    Lie(u32),
    /// It is cut off.
    Absent,
}

const COUNT_LIES: [Count; 6] = [
    Count::Lie(0),
    Count::Lie(FDS_MAX),
    Count::Lie(FDS_MAX + 1),
    Count::Lie(1 << 24),
    Count::Lie(u32::MAX),
    Count::Absent,
];

/// What a lie leads to.
enum Lie {
    /// The message is refused for this field at this offset.
    Refused(DecodeErrorKind, &'static str, usize),
    /// The message ends elsewhere.
    Length,
    /// The message comes out; how many descriptors follow is another matter.
    Count,
}

/// A message and the descriptors behind it.
struct Message {
    header: Header,
    /// What the length word says.
    length: u32,
    count: Count,
    /// With the count in front, where one belongs.
    payload: Vec<u8>,
    /// The byte that travels with each descriptor.
    descriptors: Vec<u8>,
}

impl Message {
    fn made_up(choices: &mut Unstructured<'_>) -> Result<Self> {
        let header = Header {
            program: *choices.choose(&PROGRAMS)?,
            version: *choices.choose(&VERSIONS)?,
            procedure: *choices.choose(&PROCEDURES)?,
            kind: MessageType(*choices.choose(&TYPES)?),
            serial: u32::arbitrary(choices)?,
            status: Status(*choices.choose(&STATUSES)?),
        };
        let (mut count, mut descriptors) = (Count::Honest, Vec::new());
        let mut payload = payload(choices, &LENS)?;
        if header.kind.has_fds() {
            count = mostly(choices, Count::Honest, &COUNT_LIES)?;
            descriptors = vec![u8::arbitrary(choices)?; choices.int_in_range(0..=FDS_MAX as usize)?];
            match count {
                Count::Honest => {
                    let count = u32::try_from(descriptors.len()).expect("a few");
                    payload.splice(..0, count.to_be_bytes());
                }
                Count::Lie(count) => drop(payload.splice(..0, count.to_be_bytes())),
                Count::Absent => payload.truncate(3),
            }
        }
        let honest = u32::try_from(HEAD_LEN + payload.len()).expect("a short payload");
        let length = mostly(choices, honest, &LENGTH_LIES)?;
        Ok(Self { header, length, count, payload, descriptors })
    }

    /// The first thing that is not true for a receiver that reads so.
    fn lie(&self, reading: Reading) -> Option<Lie> {
        let above = |announced: u32, limit: u32| {
            let (announced, limit) = (announced.into(), limit.into());
            DecodeErrorKind::AboveLimit { announced, limit }
        };
        let below = |announced, minimum| DecodeErrorKind::BelowMinimum { announced, minimum };
        if self.length < 28 {
            return Some(Lie::Refused(below(self.length.into(), 28), "length", 0));
        }
        if self.length > LENGTH_MAX {
            return Some(Lie::Refused(above(self.length, LENGTH_MAX), "length", 0));
        }
        if self.length as usize != HEAD_LEN + self.payload.len() {
            return Some(Lie::Length);
        }
        match self.count {
            _ if !reading.looks_behind(self.header.kind) => None,
            Count::Honest => None,
            Count::Lie(count) if count > FDS_MAX => {
                Some(Lie::Refused(above(count, FDS_MAX), "descriptors", HEAD_LEN))
            }
            Count::Lie(count) => (count as usize != self.descriptors.len()).then_some(Lie::Count),
            Count::Absent => {
                let announced = i64::try_from(self.payload.len()).expect("three at most");
                Some(Lie::Refused(below(announced, 4), "descriptors", HEAD_LEN))
            }
        }
    }

    fn tell(&self, reading: Reading, told: &mut Told) {
        let lie = self.lie(reading);
        match lie {
            Some(Lie::Refused(kind, field, at)) => told.refuse(kind, field, at),
            Some(Lie::Length) => told.lied = true,
            Some(Lie::Count) | None => {}
        }
        told.tell(MESSAGE, &self.header.with_length(self.length, &self.payload));
        told.lied |= lie.is_some();
        if reading.looks_behind(self.header.kind) {
            self.descriptors.iter().for_each(|byte| told.tell(DESCRIPTOR_BYTE, &[*byte]));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::told::noise;
    use super::*;

    /// A body that tells nothing would hold whatever the decoders do.
    #[test]
    fn conversations_reach_every_kind_of_frame_and_every_refusal_and_go_on_for_long() {
        let (mut kinds, mut refused, mut longest, mut lied) = (Vec::new(), Vec::new(), 0, 0);
        for seed in 0..400_u32 {
            let data = noise(seed, 2000);
            let mut choices = Unstructured::new(&data);
            let (variant, _) = beginning(&mut choices).expect("enough bytes");
            for told in conversation(variant, &mut choices) {
                kinds.extend(told.expect.iter().map(|(kind, _)| kind.0));
                refused.extend(told.refused.map(|error| (error.field, std::mem::discriminant(&error.kind))));
                longest = longest.max(told.expect.len());
                lied += usize::from(told.lied);
            }
        }
        kinds.sort_unstable();
        kinds.dedup();
        assert_eq!(kinds, [MESSAGE, DESCRIPTOR_BYTE].map(|kind| kind.0));
        let distinct: std::collections::HashSet<_> = refused.iter().collect();
        assert_eq!(distinct.len(), 4, "length and count, above and below: {distinct:?}");
        assert!(longest > 40, "the longest conversation has {longest} frames before a lie");
        assert!((100..700).contains(&lied), "{lied} of 800 streams lie");
    }
}
