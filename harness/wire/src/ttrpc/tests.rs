//! Limits and what is above them. Recorded messages are in [`golden`], properties over arbitrary streams are in
//! [`properties`].

mod golden;
mod properties;

use super::*;
use crate::DecodeError;
use crate::testing::drain;

/// The first request of a client.
const REQUEST: Header = Header { stream: 1, kind: MessageType::REQUEST, flags: Flags(0) };

/// A small limit, so that tests reach it.
const fn within(oversize: Oversize) -> Limits {
    Limits { data_max: 4, oversize }
}

/// Frames as kind and length, in pieces of several lengths.
#[track_caller]
fn check(limits: Limits, stream: &[u8], expect: &[(FrameKind, usize)], end: Result<(), DecodeError>) {
    for piece in [1, 3, 9, 10, 11, 70_000, stream.len()] {
        let (frames, ended) = drain(&mut MessageDecoder::within(limits), stream, piece);
        let found: Vec<_> = frames.iter().map(|frame| (frame.kind, frame.bytes.len())).collect();
        assert_eq!((&found[..], ended), (expect, end), "in pieces of {piece}");
    }
}

fn refused(announced: u64, limit: u64, offset: u64) -> Result<(), DecodeError> {
    Err(DecodeError { kind: DecodeErrorKind::AboveLimit { announced, limit }, field: "length", offset })
}

#[test]
fn a_message_without_data_is_complete_at_once() {
    let empty = Header { kind: MessageType::RESPONSE, ..REQUEST }.message(&[]);
    check(Limits::SPECIFIED, &empty, &[(MESSAGE, 10)], Ok(()));
    check(Limits::SPECIFIED, &empty.repeat(3), &[(MESSAGE, 10); 3], Ok(()));
    check(within(Oversize::Discarded), &empty, &[(MESSAGE, 10)], Ok(()));
}

#[test]
fn takes_every_type_stream_and_flag() {
    for (stream, kind, flags) in [(0, 0, 0), (2, 9, 255), (u32::MAX, 255, 8), (7, 3, 5)] {
        let header = Header { stream, kind: MessageType(kind), flags: Flags(flags) };
        let bytes = header.message(b"abc");
        check(Limits::SPECIFIED, &bytes, &[(MESSAGE, 13)], Ok(()));
        assert_eq!((Header::read(&bytes), Header::length(&bytes)), (Some(header), Some(3)));
    }
}

#[test]
fn a_message_above_the_limit_is_refused_by_default() {
    let first = REQUEST.message(b"a");
    for announced in [DATA_MAX + 1, 0x7fff_ffff, u32::MAX] {
        let stream = [&first[..], &REQUEST.with_length(announced, b"b")].concat();
        let end = refused(announced.into(), 4_194_304, 11);
        check(Limits::SPECIFIED, &stream, &[(MESSAGE, 11)], end);
    }
    check(within(Oversize::Refused), &REQUEST.message(b"abcd"), &[(MESSAGE, 14)], Ok(()));
    check(within(Oversize::Refused), &REQUEST.message(b"abcde"), &[], refused(5, 4, 0));
}

#[test]
fn a_message_above_the_limit_can_be_discarded() {
    let (next, limits) = (REQUEST.message(b"next"), within(Oversize::Discarded));
    // It begins with a whole message, which nobody may take for one.
    let data = [&REQUEST.message(b"abc")[..], b"x"].concat();
    let stream = [&REQUEST.message(&data)[..], &next].concat();
    check(limits, &stream, &[(OVERSIZE, 10), (DISCARDED, 14), (MESSAGE, 14)], Ok(()));
    let part = PART_LEN as usize;
    for (len, parts) in [(part, &[part][..]), (part + 1, &[part, 1]), (2 * part, &[part, part])] {
        let stream = [&REQUEST.message(&vec![0; len])[..], &next].concat();
        let parts = parts.iter().map(|len| (DISCARDED, *len));
        let expect: Vec<_> = std::iter::once((OVERSIZE, 10)).chain(parts).chain([(MESSAGE, 14)]).collect();
        check(limits, &stream, &expect, Ok(()));
    }
}

#[test]
fn the_head_of_a_message_above_the_limit_can_be_ignored() {
    let data = [&REQUEST.message(b"abc")[..], &REQUEST.message(b"")].concat();
    let stream = [&REQUEST.message(&data)[..], &REQUEST.message(b"next")].concat();
    let expect = [(OVERSIZE, 10), (MESSAGE, 13), (MESSAGE, 10), (MESSAGE, 14)];
    check(within(Oversize::Ignored), &stream, &expect, Ok(()));
}

#[test]
fn the_head_of_a_message_above_the_limit_is_kept() {
    let header = Header { stream: 7, flags: Flags::REMOTE_OPEN, ..REQUEST };
    let stream = header.message(b"abcde");
    let (frames, _) = drain(&mut MessageDecoder::within(within(Oversize::Discarded)), &stream, 99);
    let heads: Vec<_> = frames.iter().map(Header::of_frame).collect();
    assert_eq!(heads, [Some(header), None]);
    assert_eq!(Header::length(&frames[0].bytes), Some(5));
    assert_eq!(frames[1].payload(), b"abcde");
}

#[test]
fn says_what_is_missing_when_the_stream_ends() {
    #[track_caller]
    fn check(limits: Limits, stream: &[u8], expect: Option<(&'static str, u64, u64)>) {
        let (_, end) = drain(&mut MessageDecoder::within(limits), stream, stream.len());
        let expect = expect.map_or(Ok(()), |(field, offset, needed)| {
            let got = stream.len() as u64 - offset;
            Err(DecodeError { kind: DecodeErrorKind::Truncated { needed, got }, field, offset })
        });
        assert_eq!(end, expect, "{stream:02x?}");
    }
    let whole = REQUEST.message(b"abc");
    for cut in 1..whole.len() {
        let missing = if cut < 10 { ("head", 0, 10) } else { ("data", 10, 3) };
        check(Limits::SPECIFIED, &whole[..cut], Some(missing));
    }
    let long = REQUEST.message(b"abcde");
    for cut in 10..long.len() {
        check(within(Oversize::Discarded), &long[..cut], Some(("discarded data", 10, 5)));
        check(within(Oversize::Ignored), &long[..cut], (cut > 10).then_some(("head", 10, 10)));
    }
}

#[test]
fn waits_for_the_longest_message_without_reserving_for_it() {
    use crate::Decoder;
    let mut decoder = MessageDecoder::new();
    let mut src = BytesMut::from(&REQUEST.with_length(DATA_MAX, &[0; 100])[..]);
    let capacity = src.capacity();
    assert_eq!(decoder.decode(&mut src), Ok(None));
    assert_eq!((src.len(), src.capacity(), decoder.needs()), (110, capacity, HEAD_LEN + DATA_MAX as usize));
}

#[test]
fn what_is_discarded_is_held_only_in_parts() {
    use crate::Decoder;
    let limits = Limits { oversize: Oversize::Discarded, ..Limits::SPECIFIED };
    let mut decoder = MessageDecoder::within(limits);
    let mut src = BytesMut::from(&REQUEST.with_length(u32::MAX, &[])[..]);
    let (mut longest, mut discarded) = (0, 0_u64);
    assert!(decoder.decode(&mut src).is_ok_and(|frame| frame.is_some()));
    while discarded < 5 << 20 {
        src.extend_from_slice(&[0; 1000]);
        while let Some(frame) = decoder.decode(&mut src).expect("in step") {
            discarded += frame.bytes.len() as u64;
        }
        longest = longest.max(src.len());
    }
    assert!(longest < PART_LEN as usize, "{longest} bytes are held");
}

#[test]
fn flags_and_types_have_names() {
    #[track_caller]
    fn check(flags: u8, expect: &str) {
        assert_eq!(Flags(flags).to_string(), expect);
    }
    check(0, "0x0");
    check(1, "REMOTE_CLOSED");
    check(5, "REMOTE_CLOSED|NO_DATA");
    check(0x1a, "REMOTE_OPEN|0x18");
    check(0x80, "0x80");
    assert_eq!(Flags::REMOTE_CLOSED.with(Flags::NO_DATA), Flags(5));
    assert!(Flags(7).has(Flags(5)) && !Flags(3).has(Flags(5)));
    assert_eq!(
        [1, 2, 3, 0, 9].map(|kind| MessageType(kind).to_string()),
        ["REQUEST", "RESPONSE", "DATA", "0", "9"]
    );
}
