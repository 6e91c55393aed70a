//! ttrpc's messages: a head and data, and what becomes of data above the limit.

mod conversation;

use bytes::BytesMut;

use super::Input;
use super::stream::{LosesByte, feed, oracle};
use crate::ttrpc::{
    DATA_MAX, DISCARDED, Flags, HEAD_LEN, Header, Limits, MESSAGE, MessageDecoder, OVERSIZE, Oversize,
    PART_LEN,
};
use crate::{DecodeErrorKind, Decoder, Frame};

pub use conversation::ttrpc_structured;

/// Limits as real ones, and such that an input is above them.
const LIMITS: [Limits; 6] = [
    Limits::SPECIFIED,
    Limits { oversize: Oversize::Discarded, ..Limits::SPECIFIED },
    Limits { oversize: Oversize::Ignored, ..Limits::SPECIFIED },
    Limits { data_max: 24, oversize: Oversize::Refused },
    Limits { data_max: 24, oversize: Oversize::Discarded },
    Limits { data_max: 24, oversize: Oversize::Ignored },
];

fn limits(variant: u8) -> Limits {
    LIMITS.get(usize::from(variant) % LIMITS.len()).copied().unwrap_or(Limits::SPECIFIED)
}

/// Both directions of a connection as any bytes: framed or refused, every byte accounted for, as much discarded
/// as was announced, and the same in any pieces.
///
/// # Panics
/// One of the properties of the module does not hold.
pub fn ttrpc_decode(data: &[u8]) {
    decode_both(Input::of(data), &mut |limits| Box::new(MessageDecoder::within(limits)));
}

/// As [`ttrpc_decode`] with decoders that lose a byte: the one behind a message whose sender sends no more. Finding it
/// proves that the fuzzer reaches such places and that the body looks.
///
/// # Panics
/// The lost byte is noticed.
pub fn ttrpc_planted_defect(data: &[u8]) {
    decode_both(Input::of(data), &mut |limits| {
        let ends = |header: Header| header.flags.has(Flags::REMOTE_CLOSED);
        let behind = move |frame: &Frame| Header::of_frame(frame).is_some_and(ends);
        Box::new(LosesByte { decoder: MessageDecoder::within(limits), behind })
    });
}

/// Both directions of a connection as any bytes: every frame of them encodes to the same bytes again, and a
/// header made of any numbers is read back as the same numbers.
///
/// # Panics
/// Bytes or numbers come back changed.
pub fn ttrpc_round_trip(data: &[u8]) {
    let Input { variant, requests, replies, .. } = Input::of(data);
    for stream in [requests, replies] {
        let mut buffer = BytesMut::from(stream);
        let mut decoder = MessageDecoder::within(limits(variant));
        while let Ok(Some(frame)) = decoder.decode(&mut buffer) {
            let header = Header::of_frame(&frame);
            assert_eq!(header.is_some(), frame.kind != DISCARDED, "a piece of data has no header");
            let length = Header::length(&frame.bytes).unwrap_or(0);
            let encoded = header.map(|header| match frame.kind {
                MESSAGE => header.message(frame.payload()),
                _ => header.with_length(length, &[]),
            });
            assert_eq!(encoded.unwrap_or_else(|| frame.bytes.clone()), frame.bytes);
        }
    }
    if let Some(header) = Header::read(replies) {
        check_reads_back(header, requests);
    }
}

/// The input of [`ttrpc_decode`] and [`ttrpc_round_trip`] that holds this conversation, with the limits of the
/// specification and in one piece. Of requests longer than 64 KiB the rest is taken for replies.
#[must_use]
pub fn ttrpc_input(requests: &[u8], replies: &[u8]) -> Vec<u8> {
    super::input(requests, replies)
}

fn decode_both(input: Input<'_>, make: &mut dyn FnMut(Limits) -> Box<dyn Decoder>) {
    let limits = limits(input.variant);
    for stream in [input.requests, input.replies] {
        let mut due = 0;
        let mut check = |frame: &Frame| due = check_frame(limits, due, frame);
        let mut at_once = oracle(MessageDecoder::within(limits));
        let end = feed(&mut *make(limits), &mut at_once, stream, input.pieces, &mut check);
        let Err(error) = end else {
            assert_eq!(due, 0, "a clean end owes no data");
            continue;
        };
        let fields: &[&str] = match error.kind {
            DecodeErrorKind::Truncated { .. } if due > 0 => &["discarded data"],
            DecodeErrorKind::Truncated { .. } => &["head", "data"],
            _ => {
                assert_eq!((due, limits.oversize), (0, Oversize::Refused), "{error}");
                &["length"]
            }
        };
        assert!(fields.contains(&error.field), "{error} with {due} bytes due");
    }
}

/// A frame has the shape that its head announces; says how much is to be discarded behind it.
fn check_frame(limits: Limits, due: u32, frame: &Frame) -> u32 {
    let len = u32::try_from(frame.bytes.len()).expect("a few MiB at most");
    if due > 0 {
        assert_eq!((frame.kind, frame.head_len, len), (DISCARDED, 0, due.min(PART_LEN)));
        return due - len;
    }
    let announced = Header::length(&frame.bytes).expect("nothing is shorter than a head");
    assert_eq!(frame.head_len, HEAD_LEN);
    if announced <= limits.data_max {
        assert_eq!(frame.kind, MESSAGE, "a message within the limit is whole");
        assert_eq!(frame.payload().len(), announced as usize, "as long as its head says");
        return 0;
    }
    assert_eq!((frame.kind, frame.bytes.len()), (OVERSIZE, HEAD_LEN), "nothing longer is held");
    match limits.oversize {
        Oversize::Refused => panic!("a message above the limit is refused"),
        Oversize::Discarded => announced,
        Oversize::Ignored => 0,
    }
}

/// A message of these numbers is read back as the same, whatever its length says.
fn check_reads_back(header: Header, data: &[u8]) {
    let sent = header.message(data);
    assert_eq!(sent.len(), HEAD_LEN + data.len());
    for lie in [0, DATA_MAX, u32::MAX] {
        let lying = header.with_length(lie, data);
        assert_eq!((Header::read(&lying), Header::length(&lying)), (Some(header), Some(lie)));
        assert_eq!(lying.get(4..), sent.get(4..), "lengths change nothing else");
    }
    let frame = MessageDecoder::new().decode(&mut BytesMut::from(&sent[..])).expect("in step");
    let frame = frame.expect("complete");
    assert_eq!((Header::of_frame(&frame), frame.payload()), (Some(header), data));
}
