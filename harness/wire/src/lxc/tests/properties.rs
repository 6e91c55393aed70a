//! Properties over arbitrary streams, sensible and not.

use proptest::prelude::*;

use super::super::*;
use super::RULES;
use crate::testing::feed;
use crate::{Decoder, Frame};

const LAYOUTS: [Layout; 4] = [Layout::LP64_LE, Layout::LP64_BE, Layout::ILP32_LE, Layout::ILP32_BE];

/// One message of a client: a command, an argument, a payload, and now and then a lie in its length.
fn message() -> impl Strategy<Value = (u32, u64, Vec<u8>, Option<i32>)> {
    (
        prop_oneof![0..30_u32, any::<u32>()],
        any::<u64>(),
        prop::collection::vec(any::<u8>(), 0..200),
        prop::option::weighted(0.1, any::<i32>()),
    )
}

fn stream(layout: Layout, messages: &[(u32, u64, Vec<u8>, Option<i32>)]) -> Vec<u8> {
    let encode = |(cmd, data, payload, lie): &(u32, u64, Vec<u8>, Option<i32>)| {
        let honest = RequestHead::of(Command(*cmd), *data, payload).expect("a short payload");
        RequestHead { len: lie.unwrap_or(honest.len), ..honest }.encode_with(layout, payload)
    };
    messages.iter().flat_map(encode).collect()
}

/// Both decoders, the second one told what the first one found.
fn both(layout: Layout, asked: &[Frame]) -> [Box<dyn Decoder>; 2] {
    let mut replies = ResponseDecoder::new(layout, RULES);
    asked.iter().for_each(|frame| replies.note_other(frame));
    [Box::new(RequestDecoder::new(layout, RULES)), Box::new(replies)]
}

proptest! {
    #[test]
    fn what_is_encoded_is_decoded(
        layout in prop::sample::select(&LAYOUTS[..]),
        cmd in any::<u32>().prop_filter("two-part", |cmd| *cmd != 13),
        data in any::<u32>(),
        payload in prop::collection::vec(any::<u8>(), 0..=8192),
    ) {
        let data = u64::from(data);
        let request = RequestHead::of(Command(cmd), data, &payload).expect("a short payload");
        let bytes = request.encode_with(layout, &payload);
        let outcome = feed(&mut RequestDecoder::new(layout, RULES), &bytes, &[])?;
        prop_assert_eq!(outcome.end, Ok(()));
        prop_assert_eq!(outcome.frames.len(), 1);
        prop_assert_eq!(RequestHead::of_frame(layout, &outcome.frames[0]), Some(request));
        prop_assert_eq!(outcome.frames[0].payload(), &payload[..]);
        prop_assert_eq!(outcome.frames[0].head_len, layout.head_len());

        let reply = ResponseHead::of(cmd.cast_signed(), data, &payload).expect("a short payload");
        let bytes = reply.encode_with(layout, &payload);
        let outcome = feed(&mut ResponseDecoder::new(layout, RULES), &bytes, &[])?;
        prop_assert_eq!(outcome.end, Ok(()));
        prop_assert_eq!(ResponseHead::of_frame(layout, &outcome.frames[0]), Some(reply));
    }

    #[test]
    fn splits_do_not_matter_and_every_byte_is_accounted_for(
        layout in prop::sample::select(&LAYOUTS[..]),
        messages in prop::collection::vec(message(), 0..12),
        cuts in prop::collection::vec(any::<usize>(), 0..20),
    ) {
        let stream = stream(layout, &messages);
        let asked = feed(&mut RequestDecoder::new(layout, RULES), &stream, &[])?.frames;
        let decoders = both(layout, &asked).into_iter().zip(both(layout, &asked));
        for (mut at_once, mut in_pieces) in decoders {
            let whole = feed(&mut *at_once, &stream, &[])?;
            let split = feed(&mut *in_pieces, &stream, &cuts)?;
            prop_assert_eq!(&whole, &split);
            let mut seen: Vec<u8> = whole.frames.iter().flat_map(|frame| frame.bytes.to_vec()).collect();
            seen.extend_from_slice(&whole.left);
            prop_assert_eq!(seen, stream.clone());
        }
    }

    #[test]
    fn any_bytes_are_framed_or_refused(
        layout in prop::sample::select(&LAYOUTS[..]),
        stream in prop::collection::vec(any::<u8>(), 0..600),
        cuts in prop::collection::vec(any::<usize>(), 0..8),
    ) {
        for (mut at_once, mut in_pieces) in both(layout, &[]).into_iter().zip(both(layout, &[])) {
            let whole = feed(&mut *at_once, &stream, &[])?;
            prop_assert_eq!(whole, feed(&mut *in_pieces, &stream, &cuts)?);
        }
    }

    #[test]
    fn state_messages_round_trip(bytes in prop::collection::vec(any::<u8>(), STATE_MESSAGE_LEN)) {
        for endian in [crate::Endian::Little, crate::Endian::Big] {
            let message = StateMessage::decode(endian, &bytes).expect("complete");
            prop_assert_eq!(message.encode(endian), bytes.clone());
        }
    }
}
