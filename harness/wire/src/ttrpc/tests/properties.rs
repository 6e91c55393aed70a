//! Properties over arbitrary streams, sensible and not.

use bytes::Bytes;
use proptest::prelude::*;

use super::super::*;
use super::within;
use crate::Decoder;
use crate::testing::feed;

/// Headers of all numbers, mostly ones that mean something.
fn header() -> impl Strategy<Value = Header> {
    let kind = prop_oneof![4 => 1..=3_u8, 1 => any::<u8>()].prop_map(MessageType);
    let flags = prop_oneof![4 => 0..=7_u8, 1 => any::<u8>()].prop_map(Flags);
    (any::<u32>(), kind, flags).prop_map(|(stream, kind, flags)| Header { stream, kind, flags })
}

/// A message, and now and then a lie in its length.
fn message() -> impl Strategy<Value = Vec<u8>> {
    let lie = prop::option::weighted(0.05, prop_oneof![0..70_u32, any::<u32>()]);
    (header(), prop::collection::vec(any::<u8>(), 0..200), lie).prop_map(|(header, data, lie)| {
        let honest = header.message(&data);
        lie.map_or(honest, |length| header.with_length(length, &data)).to_vec()
    })
}

const LIMITS: [Limits; 5] = [
    Limits::SPECIFIED,
    Limits { oversize: Oversize::Discarded, ..Limits::SPECIFIED },
    within(Oversize::Refused),
    within(Oversize::Discarded),
    within(Oversize::Ignored),
];

fn limits() -> impl Strategy<Value = Limits> {
    prop::sample::select(&LIMITS[..])
}

proptest! {
    #[test]
    fn what_is_encoded_is_decoded(
        header in header(),
        data in prop::collection::vec(any::<u8>(), 0..=8192),
        cuts in prop::collection::vec(any::<usize>(), 0..4),
    ) {
        let bytes = header.message(&data);
        prop_assert_eq!(bytes.len(), HEAD_LEN + data.len());
        let outcome = feed(&mut MessageDecoder::new(), &bytes, &cuts)?;
        prop_assert_eq!((outcome.end, outcome.frames.len()), (Ok(()), 1));
        prop_assert_eq!(Header::of_frame(&outcome.frames[0]), Some(header));
        prop_assert_eq!(outcome.frames[0].payload(), &data[..]);
        prop_assert_eq!(&outcome.frames[0].bytes, &bytes);
    }

    #[test]
    fn splits_do_not_matter_and_every_byte_is_accounted_for(
        messages in prop::collection::vec(message(), 0..12),
        cuts in prop::collection::vec(any::<usize>(), 0..20),
        limits in limits(),
    ) {
        let stream = messages.concat();
        let whole = feed(&mut MessageDecoder::within(limits), &stream, &[])?;
        prop_assert_eq!(&whole, &feed(&mut MessageDecoder::within(limits), &stream, &cuts)?);
        let mut seen: Vec<u8> = whole.frames.iter().flat_map(|frame| frame.bytes.to_vec()).collect();
        seen.extend_from_slice(&whole.left);
        prop_assert_eq!(seen, stream);
    }

    #[test]
    fn any_bytes_are_framed_or_refused(
        stream in prop::collection::vec(prop_oneof![3 => 0..4_u8, 1 => any::<u8>()], 0..600),
        cuts in prop::collection::vec(any::<usize>(), 0..8),
        limits in limits(),
    ) {
        let whole = feed(&mut MessageDecoder::within(limits), &stream, &[])?;
        prop_assert_eq!(whole, feed(&mut MessageDecoder::within(limits), &stream, &cuts)?);
    }

    #[test]
    fn borrowing_sharing_and_owning_are_the_same(
        messages in prop::collection::vec(message(), 0..12),
        limits in limits(),
    ) {
        let stream = messages.concat();
        let [mut borrowing, mut sharing, mut owning] =
            [(); 3].map(|()| MessageDecoder::within(limits));
        let (mut rest, mut shared, mut owned) =
            (&stream[..], Bytes::from(stream.clone()), BytesMut::from(&stream[..]));
        loop {
            let found = borrowing.next_extent(rest).map(|found| found.map(|extent| {
                let (frame, behind) = rest.split_at(extent.len);
                rest = behind;
                Frame { kind: extent.kind, head_len: extent.head_len, bytes: Bytes::copy_from_slice(frame) }
            }));
            prop_assert_eq!(&found, &sharing.decode_shared(&mut shared));
            prop_assert_eq!(&found, &owning.decode(&mut owned));
            if !matches!(found, Ok(Some(_))) {
                break;
            }
        }
        prop_assert_eq!((rest, rest), (&shared[..], &owned[..]));
    }

    /// Whatever becomes of a message above the limit, where its data is discarded the message behind it is read.
    #[test]
    fn exactly_the_data_of_a_message_above_the_limit_is_discarded(
        header in header(),
        len in prop_oneof![5..64_usize, 65_535..65_538_usize, 131_071..131_074_usize],
        cuts in prop::collection::vec(any::<usize>(), 0..4),
    ) {
        let (long, canary) = (header.message(&vec![0; len]), header.message(b"can"));
        let stream = [&long[..], &canary].concat();
        let outcome = feed(&mut MessageDecoder::within(within(Oversize::Discarded)), &stream, &cuts)?;
        prop_assert_eq!(outcome.end, Ok(()));
        let (last, front) = outcome.frames.split_last().expect("the canary");
        prop_assert_eq!((last.kind, &last.bytes), (MESSAGE, &canary));
        prop_assert_eq!(front.iter().map(|frame| frame.bytes.len()).sum::<usize>(), long.len());
        prop_assert!(front[1..].iter().all(|frame| frame.kind == DISCARDED));
    }
}
