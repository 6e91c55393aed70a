//! Limits and what follows a message. Recorded messages are in [`golden`], properties over arbitrary
//! streams are in [`properties`].

mod golden;
mod properties;

use bytes::BytesMut;

use super::*;
use crate::{DecodeError, Decoder};

/// `AUTH_LIST`.
const CALL: Header = Header {
    program: 0x2000_8086,
    version: 1,
    procedure: 66,
    kind: MessageType::CALL,
    serial: 7,
    status: Status::OK,
};

fn decode(stream: &[u8]) -> Result<Vec<(FrameKind, usize)>, DecodeError> {
    decode_as(MessageDecoder::new(), stream)
}

fn decode_as(mut decoder: MessageDecoder, stream: &[u8]) -> Result<Vec<(FrameKind, usize)>, DecodeError> {
    let mut src = BytesMut::from(stream);
    let mut frames = Vec::new();
    while let Some(frame) = decoder.decode(&mut src)? {
        frames.push((frame.kind, frame.bytes.len()));
    }
    decoder.decode_eof(&mut src)?;
    Ok(frames)
}

#[test]
fn takes_a_byte_for_each_descriptor_behind_the_message() {
    let with_fds = |kind, count: u32| Header { kind, ..CALL }.message(&count.to_be_bytes());
    for kind in [MessageType::CALL_WITH_FDS, MessageType::REPLY_WITH_FDS] {
        let stream = [&with_fds(kind, 2)[..], &[0, 0], &CALL.message(&[])].concat();
        let bytes = (DESCRIPTOR_BYTE, 1);
        assert_eq!(decode(&stream), Ok(vec![(MESSAGE, 32), bytes, bytes, (MESSAGE, 28)]));
        assert_eq!(decode(&with_fds(kind, 0)), Ok(vec![(MESSAGE, 32)]));
    }
}

#[test]
fn refuses_lengths_and_counts_outside_their_limits() {
    let check = |stream: &[u8], kind, field, offset| {
        assert_eq!(decode(stream), Err(DecodeError { kind, field, offset }), "{stream:02x?}");
    };
    for announced in [0, 1, 3, 4, 27] {
        let kind = DecodeErrorKind::BelowMinimum { announced, minimum: 28 };
        let word = u32::try_from(announced).unwrap_or(u32::MAX);
        check(&CALL.with_length(word, &[]), kind, "length", 0);
    }
    for announced in [33_554_437, 0x7fff_ffff, 0x8000_0000, u32::MAX] {
        let kind = DecodeErrorKind::AboveLimit { announced: announced.into(), limit: 33_554_436 };
        check(&CALL.with_length(announced, &[]), kind, "length", 0);
    }
    let fds = Header { kind: MessageType::CALL_WITH_FDS, ..CALL };
    let first = CALL.message(&[]);
    let kind = DecodeErrorKind::BelowMinimum { announced: 0, minimum: 4 };
    check(&[&first[..], &fds.message(&[])].concat(), kind, "descriptors", 56);
    let kind = DecodeErrorKind::AboveLimit { announced: 33, limit: 32 };
    check(&[&first[..], &fds.message(&33_u32.to_be_bytes())].concat(), kind, "descriptors", 56);
}

#[test]
fn says_what_is_missing_when_the_stream_ends() {
    let whole = Header { kind: MessageType::CALL_WITH_FDS, ..CALL }.message(&1_u32.to_be_bytes());
    for cut in 1..=whole.len() {
        let (field, offset, needed) = match cut {
            0..4 => ("length", 0, 4),
            4..28 => ("header", 4, 24),
            28..32 => ("payload", 28, 4),
            _ => ("descriptor byte", 32, 1),
        };
        let got = u64::try_from(cut).unwrap_or(u64::MAX).saturating_sub(offset);
        let kind = DecodeErrorKind::Truncated { needed, got };
        assert_eq!(
            decode(whole.get(..cut).unwrap_or(&[])),
            Err(DecodeError { kind, field, offset }),
            "{cut}"
        );
    }
}

#[test]
fn waits_for_the_largest_message_without_reserving_for_it() {
    let mut decoder = MessageDecoder::new();
    let mut src = BytesMut::from(&CALL.with_length(LENGTH_MAX, &[])[..]);
    let before = src.capacity();
    assert_eq!(decoder.decode(&mut src), Ok(None));
    assert_eq!((src.len(), src.capacity()), (HEAD_LEN, before));
}

/// A server looks for descriptors behind calls and a client behind replies; measured on 7.0.0 to
/// 12.8.0, whose servers drop a reply with descriptors as they drop any reply.
#[test]
fn takes_descriptors_only_where_the_receiver_looks_for_them() {
    let (call, reply) = (MessageType::CALL_WITH_FDS, MessageType::REPLY_WITH_FDS);
    for (direction, looked_for, dropped) in
        [(Direction::ToServer, call, reply), (Direction::ToClient, reply, call)]
    {
        let with_fds = Header { kind: looked_for, ..CALL }.message(&1_u32.to_be_bytes());
        // No count, one above the limit, and one of bytes that do not come.
        let others = [&[][..], &33_u32.to_be_bytes(), &1_u32.to_be_bytes()]
            .map(|payload| Header { kind: dropped, ..CALL }.message(payload));
        let stream = [&with_fds[..], &[0], &others.concat()].concat();
        let expect = [(MESSAGE, 32), (DESCRIPTOR_BYTE, 1), (MESSAGE, 28), (MESSAGE, 32), (MESSAGE, 32)];
        assert_eq!(decode_as(MessageDecoder::towards(direction), &stream), Ok(expect.to_vec()));
    }
}
