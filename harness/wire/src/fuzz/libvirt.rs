//! libvirt's messages: a length word, a header of numbers, and descriptors on bytes of their own.

mod conversation;
mod values;

use bytes::BytesMut;

use super::Input;
use super::stream::{LosesByte, feed, oracle};
use crate::libvirt_rpc::{
    DESCRIPTOR_BYTE, FDS_MAX, HEAD_LEN, Header, LENGTH_MAX, MESSAGE, MessageDecoder, MessageType, PAYLOAD_MAX,
};
use crate::{DecodeErrorKind, Decoder, Direction, Frame};

pub use conversation::libvirt_structured;

const DIRECTIONS: [Direction; 2] = [Direction::ToServer, Direction::ToClient];

/// Both directions of a connection as any bytes: framed or refused, every byte accounted for, as many
/// descriptors as were announced, and the same in any pieces.
///
/// # Panics
/// One of the properties of the module does not hold.
pub fn libvirt_decode(data: &[u8]) {
    let input = Input::of(data);
    decode_both(input, &mut |reading| Box::new(reading.decoder()));
}

/// As [`libvirt_decode`] with decoders that lose a byte: the one behind a message that brings
/// descriptors. Finding it proves that the fuzzer reaches such places and that the body looks.
///
/// # Panics
/// The lost byte is noticed.
pub fn libvirt_planted_defect(data: &[u8]) {
    decode_both(Input::of(data), &mut |reading| {
        let behind = move |frame: &Frame| reading.descriptors(frame) > 0;
        Box::new(LosesByte { decoder: reading.decoder(), behind })
    });
}

/// Both directions of a connection as any bytes: every frame of them encodes to the same bytes again, a
/// header made of any numbers is read back as the same numbers, and so is every value of XDR.
///
/// # Panics
/// Bytes or numbers come back changed.
pub fn libvirt_round_trip(data: &[u8]) {
    let input = Input::of(data);
    let Input { requests, replies, .. } = input;
    for (reading, stream) in readings(input) {
        let mut buffer = BytesMut::from(stream);
        let mut decoder = reading.decoder();
        while let Ok(Some(frame)) = decoder.decode(&mut buffer) {
            let encoded = Header::of_frame(&frame).map(|header| header.message(frame.payload()));
            assert_eq!(encoded.is_some(), frame.kind == MESSAGE, "only messages have a header");
            assert_eq!(encoded.unwrap_or_else(|| frame.bytes.clone()), frame.bytes);
        }
        if let Some(header) = Header::read(replies) {
            check_reads_back(reading, header, requests);
        }
    }
    values::check(requests, replies);
}

/// The input of [`libvirt_decode`] and [`libvirt_round_trip`] that holds this conversation, read as its
/// receivers do and in one piece. Of requests longer than 64 KiB the rest is taken for replies.
#[must_use]
pub fn libvirt_input(requests: &[u8], replies: &[u8]) -> Vec<u8> {
    super::input(requests, replies)
}

/// How a stream is read: as the receiver in a direction does, or with the direction not known.
#[derive(Clone, Copy)]
struct Reading(Option<Direction>);

impl Reading {
    fn decoder(self) -> MessageDecoder {
        self.0.map_or_else(MessageDecoder::new, MessageDecoder::towards)
    }

    /// Whether descriptors follow a message of that type.
    fn looks_behind(self, kind: MessageType) -> bool {
        match self.0 {
            Some(direction) => kind == MessageType::with_fds(direction),
            None => kind.has_fds(),
        }
    }

    /// How many descriptors a frame announces.
    fn descriptors(self, frame: &Frame) -> u32 {
        let looks = Header::of_frame(frame).is_some_and(|header| self.looks_behind(header.kind));
        let count = frame.payload().first_chunk().filter(|_| looks);
        count.map_or(0, |count| u32::from_be_bytes(*count))
    }
}

/// Both streams of an input and how they are read.
fn readings(input: Input<'_>) -> [(Reading, &[u8]); 2] {
    let [asked, answered] =
        DIRECTIONS.map(|direction| Reading((input.variant.is_multiple_of(2)).then_some(direction)));
    [(asked, input.requests), (answered, input.replies)]
}

fn decode_both(input: Input<'_>, make: &mut dyn FnMut(Reading) -> Box<dyn Decoder>) {
    for (reading, stream) in readings(input) {
        let mut due = 0;
        let mut check = |frame: &Frame| due = check_frame(reading, due, frame);
        let mut at_once = oracle(reading.decoder());
        let end = feed(&mut *make(reading), &mut at_once, stream, input.pieces, &mut check);
        let Err(error) = end else {
            assert_eq!(due, 0, "a clean end owes no descriptor");
            continue;
        };
        let fields: &[&str] = match error.kind {
            DecodeErrorKind::Truncated { .. } if due > 0 => &["descriptor byte"],
            DecodeErrorKind::Truncated { .. } => &["length", "header", "payload"],
            _ => &["length", "descriptors"],
        };
        assert!(fields.contains(&error.field), "{error} with {due} descriptors due");
    }
}

/// A frame has the shape that its header announces; says how many descriptors are due behind it.
fn check_frame(reading: Reading, due: u32, frame: &Frame) -> u32 {
    if due > 0 {
        assert_eq!((frame.kind, frame.head_len, frame.bytes.len()), (DESCRIPTOR_BYTE, 0, 1));
        return due - 1;
    }
    assert_eq!((frame.kind, frame.head_len), (MESSAGE, HEAD_LEN), "nothing but messages has to be asked for");
    let length = frame.bytes.first_chunk().map(|word| u32::from_be_bytes(*word));
    assert_eq!(length.map(|length| length as usize), Some(frame.bytes.len()), "as long as its head says");
    assert!(frame.payload().len() <= PAYLOAD_MAX, "no longer than the limit");
    let descriptors = reading.descriptors(frame);
    assert!(descriptors <= FDS_MAX, "no more descriptors than the limit");
    descriptors
}

/// A message of these numbers is read back as the same, whatever its length says.
fn check_reads_back(reading: Reading, header: Header, payload: &[u8]) {
    let sent = header.message(payload);
    assert_eq!(sent.len(), HEAD_LEN + payload.len());
    for lie in [0, LENGTH_MAX, u32::MAX] {
        let lying = header.with_length(lie, payload);
        assert_eq!(Header::read(&lying), Some(header), "lengths change nothing else");
        assert_eq!(lying.get(4..), sent.get(4..), "lengths change nothing else");
    }
    let found = reading.decoder().decode(&mut BytesMut::from(&sent[..]));
    match found {
        Ok(frame) => {
            let frame = frame.expect("complete");
            assert_eq!((Header::of_frame(&frame), frame.payload()), (Some(header), payload));
        }
        Err(error) => {
            assert!(reading.looks_behind(header.kind), "{error} without descriptors");
            assert_eq!((error.field, error.offset), ("descriptors", HEAD_LEN as u64));
        }
    }
}
