//! Properties over arbitrary streams, sensible and not.

use proptest::prelude::*;

use super::super::*;
use crate::testing::feed;
use crate::{DecodeError, Direction};

/// Headers of all numbers, mostly ones that mean something.
fn header() -> impl Strategy<Value = Header> {
    let program = prop_oneof![Just(0x2000_8086), Just(0x6b65_6570), any::<u32>()];
    let kind = prop_oneof![4 => 0..=6_i32, 1 => any::<i32>()].prop_map(MessageType);
    let status = prop_oneof![4 => 0..=2_i32, 1 => any::<i32>()].prop_map(Status);
    (program, any::<u32>(), any::<i32>(), kind, any::<u32>(), status).prop_map(
        |(program, version, procedure, kind, serial, status)| Header {
            program,
            version,
            procedure,
            kind,
            serial,
            status,
        },
    )
}

/// A message as a client sends it, with as many descriptors as it counts, and now and then a lie in its
/// length or in that count.
fn message() -> impl Strategy<Value = Vec<u8>> {
    let lie = || prop::option::weighted(0.05, prop_oneof![0..70_u32, any::<u32>()]);
    (header(), prop::collection::vec(any::<u8>(), 0..200), 0..=FDS_MAX, lie(), lie()).prop_map(
        |(header, mut payload, fds, length, count)| {
            let with_fds = header.kind == MessageType::CALL_WITH_FDS;
            if with_fds {
                payload.splice(..0, count.unwrap_or(fds).to_be_bytes());
            }
            let honest = header.message(&payload);
            let mut bytes = length.map_or(honest, |length| header.with_length(length, &payload)).to_vec();
            bytes.resize(bytes.len() + if with_fds { fds as usize } else { 0 }, 0);
            bytes
        },
    )
}

const READINGS: [Option<Direction>; 3] = [None, Some(Direction::ToServer), Some(Direction::ToClient)];

fn decoder(reading: Option<Direction>) -> MessageDecoder {
    reading.map_or_else(MessageDecoder::new, MessageDecoder::towards)
}

proptest! {
    #[test]
    fn what_is_encoded_is_decoded(
        header in header(),
        payload in prop::collection::vec(any::<u8>(), 0..=8192),
        reading in prop::sample::select(&READINGS[..]),
    ) {
        prop_assume!(!header.kind.has_fds());
        let bytes = header.message(&payload);
        prop_assert_eq!(bytes.len(), HEAD_LEN + payload.len());
        let outcome = feed(&mut decoder(reading), &bytes, &[])?;
        prop_assert_eq!((outcome.end, outcome.frames.len()), (Ok(()), 1));
        prop_assert_eq!(Header::of_frame(&outcome.frames[0]), Some(header));
        prop_assert_eq!(outcome.frames[0].payload(), &payload[..]);
        prop_assert_eq!(&outcome.frames[0].bytes, &bytes);
    }

    #[test]
    fn descriptors_are_counted_where_the_receiver_looks_for_them(
        header in header(),
        arguments in prop::collection::vec(any::<u8>(), 0..64),
        fds in 0..=FDS_MAX,
        direction in prop::sample::select(&[Direction::ToServer, Direction::ToClient][..]),
    ) {
        let header = Header { kind: MessageType::with_fds(direction), ..header };
        let message = header.message(&[&fds.to_be_bytes()[..], &arguments].concat());
        let stream = [&message[..], &vec![0xfd; fds as usize]].concat();
        let outcome = feed(&mut decoder(Some(direction)), &stream, &[])?;
        prop_assert_eq!((outcome.end, outcome.frames.len()), (Ok(()), 1 + fds as usize));
        prop_assert!(outcome.frames[1..].iter().all(|frame| frame.kind == DESCRIPTOR_BYTE));
        // The other side drops it whole; the bytes behind are none of its business.
        let outcome = feed(&mut decoder(Some(direction.reversed())), &message, &[])?;
        prop_assert_eq!((outcome.end, outcome.frames.len()), (Ok(()), 1));
    }

    #[test]
    fn splits_do_not_matter_and_every_byte_is_accounted_for(
        messages in prop::collection::vec(message(), 0..12),
        cuts in prop::collection::vec(any::<usize>(), 0..20),
        reading in prop::sample::select(&READINGS[..]),
    ) {
        let stream = messages.concat();
        let whole = feed(&mut decoder(reading), &stream, &[])?;
        prop_assert_eq!(&whole, &feed(&mut decoder(reading), &stream, &cuts)?);
        let mut seen: Vec<u8> = whole.frames.iter().flat_map(|frame| frame.bytes.to_vec()).collect();
        seen.extend_from_slice(&whole.left);
        prop_assert_eq!(seen, stream);
    }

    #[test]
    fn any_bytes_are_framed_or_refused(
        stream in prop::collection::vec(any::<u8>(), 0..600),
        cuts in prop::collection::vec(any::<usize>(), 0..8),
        reading in prop::sample::select(&READINGS[..]),
    ) {
        let whole = feed(&mut decoder(reading), &stream, &[])?;
        prop_assert_eq!(whole, feed(&mut decoder(reading), &stream, &cuts)?);
    }

    /// Whatever a message says and whoever refuses it, exactly its bytes are consumed, and the canary
    /// behind it is read whole.
    #[test]
    fn a_message_of_any_length_and_number_is_drained(
        header in header(),
        len in prop_oneof![0..64_usize, 4095..4098_usize, 262_119..262_122_usize, Just(1 << 20)],
        cuts in prop::collection::vec(any::<usize>(), 0..4),
        direction in prop::sample::select(&[Direction::ToServer, Direction::ToClient][..]),
    ) {
        prop_assume!(header.kind != MessageType::with_fds(direction));
        let refused = header.message(&vec![0xff; len]);
        let canary = Header { procedure: 3, serial: 99, ..header }.message(b"canary");
        let outcome = feed(&mut decoder(Some(direction)), &[&refused[..], &canary].concat(), &cuts)?;
        prop_assert_eq!(outcome.end, Ok(()));
        let found: Vec<_> = outcome.frames.iter().map(|frame| &frame.bytes).collect();
        prop_assert_eq!(found, [&refused, &canary]);
    }

    #[test]
    fn a_length_is_taken_within_its_limits_and_nowhere_else(header in header(), length: u32) {
        let end = feed(&mut decoder(None), &header.with_length(length, &[]), &[])?.end;
        let refused = |kind| Err(DecodeError { kind, field: "length", offset: 0 });
        match length {
            0..28 => {
                let kind = DecodeErrorKind::BelowMinimum { announced: length.into(), minimum: 28 };
                prop_assert_eq!(end, refused(kind));
            }
            28 | 29..=LENGTH_MAX => {
                let fault = end.err().map(|error| error.field);
                prop_assert!(matches!(fault, None | Some("payload" | "descriptors")), "{:?}", fault);
            }
            _ => {
                let (announced, limit) = (length.into(), LENGTH_MAX.into());
                prop_assert_eq!(end, refused(DecodeErrorKind::AboveLimit { announced, limit }));
            }
        }
    }
}

#[test]
fn the_largest_message_is_drained_too() {
    let header = super::CALL;
    let payload = vec![0x61; PAYLOAD_MAX];
    let stream = [&header.message(&payload)[..], &header.message(&[])].concat();
    let lens = super::decode(&stream).map(|frames| frames.iter().map(|(_, len)| *len).collect::<Vec<_>>());
    assert_eq!(lens, Ok(vec![LENGTH_MAX as usize, HEAD_LEN]));
}
