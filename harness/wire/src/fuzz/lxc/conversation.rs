//! A conversation made of whole messages, whose lengths are mostly right and sometimes a chosen lie.

use arbitrary::{Arbitrary, Result, Unstructured};

use super::super::Input;
use super::super::told::{EXCHANGES_MAX, Told, mostly, payload};
use super::{LAYOUTS, RULES};
use crate::Decoder;
use crate::lxc::{
    Command, DESCRIPTOR_BYTE, Layout, REQUEST, RESPONSE, RequestDecoder, RequestHead, ResponseDecoder,
    ResponseHead, STATE_MESSAGE, StateMessage,
};

/// Any conversation of whole messages: up to the first lie, what was sent is what is decoded. Behind
/// it the properties hold that [`super::lxc_decode`] asserts of any bytes.
///
/// # Panics
/// One of these does not hold.
pub fn lxc_structured(data: &[u8]) {
    let mut choices = Unstructured::new(data);
    // Where the choices run out, the conversation ends.
    let Ok((layout, pieces)) = beginning(&mut choices) else { return };
    let mut conversation = Conversation::default();
    for _ in 0..EXCHANGES_MAX {
        if choices.is_empty() || conversation.exchange(layout, &mut choices).is_err() {
            break;
        }
    }
    let Conversation { sent, answered, .. } = conversation;
    let mut server = ResponseDecoder::new(layout, RULES);
    sent.check(&mut RequestDecoder::new(layout, RULES), &mut |frame| server.note_other(frame));
    answered.check(&mut server, &mut |_| {});
    let input = Input { variant: 0, pieces, requests: &sent.bytes, replies: &answered.bytes };
    super::decode_both(layout, input, &mut RequestDecoder::new(layout, RULES));
}

fn beginning(choices: &mut Unstructured<'_>) -> Result<(Layout, [usize; 2])> {
    let layout = *choices.choose(&LAYOUTS)?;
    Ok((layout, <[u8; 2]>::arbitrary(choices)?.map(usize::from)))
}

/// A conversation while it is made up.
#[derive(Default)]
struct Conversation {
    sent: Told,
    answered: Told,
    /// A request that succeeded in silence stands before the next reply.
    silence: bool,
    /// A state message was announced and not yet sent.
    message_due: bool,
}

/// The commands with a framing of their own, and some without.
const COMMANDS: [u32; 8] = [2, 3, 7, 10, 11, 13, 200, u32::MAX];

/// Payload lengths at which something changes.
const LENS: [usize; 5] = [0, 1, 16, 4096, 8192];

/// Lengths that are wrong for nearly every payload.
const LIES: [i32; 8] = [-1, 0, 1, 8191, 8192, 8193, i32::MAX, i32::MIN];

impl Conversation {
    /// A request and what the server says to it.
    fn exchange(&mut self, layout: Layout, choices: &mut Unstructured<'_>) -> Result<()> {
        let command = Command(*choices.choose(&COMMANDS)?);
        let payload = payload(choices, &LENS)?;
        let honest = RequestHead::of(command, data(layout, choices)?, &payload);
        let mut head = honest.expect("a short payload");
        head.len = mostly(choices, head.len, &LIES)?;
        // What is asked behind a lie is not known to the server either.
        self.sent.lied |= head.len != honest.map_or(0, |honest| honest.len);
        self.answered.lied |= self.sent.lied;
        self.sent.tell(REQUEST, &head.encode_with(layout, &payload));
        if RULES.two_part.contains(&command) {
            self.sent.tell(DESCRIPTOR_BYTE, &[u8::arbitrary(choices)?]);
        }
        if RULES.silent_on_success.contains(&command) && bool::arbitrary(choices)? {
            self.silence = true;
            return Ok(());
        }
        if self.message_due && bool::arbitrary(choices)? {
            self.message(layout, choices)?;
        }
        self.reply(layout, command, choices)?;
        if self.message_due && bool::arbitrary(choices)? {
            self.message(layout, choices)?;
        }
        Ok(())
    }

    fn reply(&mut self, layout: Layout, command: Command, choices: &mut Unstructured<'_>) -> Result<()> {
        let notifies = RULES.notifies.iter().find(|notifies| notifies.command == command);
        let ret = match notifies {
            Some(notifies) if !self.message_due && bool::arbitrary(choices)? => {
                self.message_due = true;
                notifies.waiting
            }
            Some(_) => 2,
            // A reply to such a command means that it failed.
            None if RULES.silent_on_success.contains(&command) => -1,
            // After a silent success the next bad reply could be a late answer to it.
            None if self.silence => 0,
            None => *choices.choose(&[0, -1, -38, i32::MIN, i32::MAX])?,
        };
        if ret >= 0 {
            self.silence = false;
        }
        let payload = payload(choices, &LENS)?;
        let honest = ResponseHead::of(ret, data(layout, choices)?, &payload);
        let mut head = honest.expect("a short payload");
        head.len = mostly(choices, head.len, &LIES)?;
        self.answered.lied |= head.len != honest.map_or(0, |honest| honest.len);
        self.answered.tell(RESPONSE, &head.encode_with(layout, &payload));
        Ok(())
    }

    /// A state message; the name is long enough to be told from a reply.
    fn message(&mut self, layout: Layout, choices: &mut Unstructured<'_>) -> Result<()> {
        self.message_due = false;
        let name = [b'a' + choices.int_in_range(0..=25)?; 255];
        let len = choices.int_in_range(2..=255)?;
        let name = name.get(..len).unwrap_or(&name);
        let message = StateMessage::new(choices.int_in_range(0..=2)?, name, i32::arbitrary(choices)?);
        self.answered.tell(STATE_MESSAGE, &message.expect("a short name").encode(layout.endian));
        Ok(())
    }
}

/// The field as wide as a pointer.
fn data(layout: Layout, choices: &mut Unstructured<'_>) -> Result<u64> {
    match layout.width {
        crate::PointerWidth::Four => u32::arbitrary(choices).map(u64::from),
        crate::PointerWidth::Eight => u64::arbitrary(choices),
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::told::noise;
    use super::*;

    /// A body that tells nothing would hold whatever the decoders do.
    #[test]
    fn conversations_reach_every_kind_of_frame_and_go_on_for_long() {
        let (mut kinds, mut longest, mut lied) = (Vec::new(), 0, 0);
        for seed in 0..200_u32 {
            let data = noise(seed, 400);
            let mut choices = Unstructured::new(&data);
            let (layout, _) = beginning(&mut choices).expect("enough bytes");
            let mut conversation = Conversation::default();
            while conversation.exchange(layout, &mut choices).is_ok() && !choices.is_empty() {}
            for told in [&conversation.sent, &conversation.answered] {
                kinds.extend(told.expect.iter().map(|(kind, _)| kind.0));
                longest = longest.max(told.expect.len());
                lied += usize::from(told.lied);
            }
        }
        kinds.sort_unstable();
        kinds.dedup();
        assert_eq!(kinds, [REQUEST, RESPONSE, DESCRIPTOR_BYTE, STATE_MESSAGE].map(|kind| kind.0));
        assert!(longest > 20, "the longest conversation has {longest} frames before a lie");
        assert!((50..400).contains(&lied), "{lied} of 400 streams lie");
    }
}
