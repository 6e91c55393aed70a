//! Messages that were measured on real builds: agents of Kata Containers 2.5.0 and 3.2.0, containerd-shim 1.4.13 and 2.1.9.
//! The last one is made by hand.

use super::*;

/// A message: its bytes, and stream, type, flags and data.
struct Row(&'static str, (u32, MessageType, u8), &'static [u8]);

const ASKED: MessageType = MessageType::REQUEST;
const ANSWERED: MessageType = MessageType::RESPONSE;

const ROWS: &[Row] = &[
    // Health.Version and its answer by 3.2.0.
    Row(
        "0000001b 00000001 0100 0a0b677270632e4865616c7468120756657273696f6e1a030a0161",
        (1, ASKED, 0),
        b"\x0a\x0bgrpc.Health\x12\x07Version\x1a\x03\x0a\x01a",
    ),
    Row(
        "00000012 00000001 0200 0a00120e0a05302e302e311205332e322e30",
        (1, ANSWERED, 0),
        b"\x0a\0\x12\x0e\x0a\x050.0.1\x12\x053.2.0",
    ),
    // Health.Check.
    Row(
        "00000014 00000001 0100 0a0b677270632e4865616c74681205436865636b",
        (1, ASKED, 0),
        b"\x0a\x0bgrpc.Health\x12\x05Check",
    ),
    Row("00000006 00000001 0200 0a0012020801", (1, ANSWERED, 0), b"\x0a\0\x12\x02\x08\x01"),
    // Task.Connect and its answer by a shim.
    Row(
        "00000028 00000001 0100 0a17636f6e7461696e6572642e7461736b2e76322e5461736b1207436f6e6e6563741a040a026332",
        (1, ASKED, 0),
        b"\x0a\x17containerd.task.v2.Task\x12\x07Connect\x1a\x04\x0a\x02c2",
    ),
    Row("00000005 00000001 0200 1203089323", (1, ANSWERED, 0), b"\x12\x03\x08\x93\x23"),
    // What a shim says to Pause.
    Row("00000000 00000013 0200", (19, ANSWERED, 0), b""),
    // By hand: the end of a stream without a message.
    Row("00000000 00000003 0305", (3, MessageType::DATA, 5), b""),
];

fn bytes(hex: &str) -> Vec<u8> {
    let digits = hex.replace(' ', "").into_bytes();
    let pairs = digits.chunks(2).map(|pair| std::str::from_utf8(pair).expect("ascii"));
    pairs.map(|pair| u8::from_str_radix(pair, 16).expect("two digits")).collect()
}

#[test]
fn reads_and_writes_back_every_message() {
    for Row(hex, (stream, kind, flags), data) in ROWS {
        let header = Header { stream: *stream, kind: *kind, flags: Flags(*flags) };
        let bytes = bytes(hex);
        assert_eq!(Header::read(&bytes), Some(header), "{hex}");
        assert_eq!(&bytes[HEAD_LEN..], *data, "{hex}");
        assert_eq!(header.message(data), bytes);
    }
}

#[test]
fn frames_the_whole_conversation_in_any_pieces() {
    let messages: Vec<_> = ROWS.iter().map(|Row(hex, ..)| bytes(hex)).collect();
    let stream = messages.concat();
    for piece in 1..=stream.len() {
        let (frames, end) = drain(&mut MessageDecoder::new(), &stream, piece);
        assert_eq!(end, Ok(()));
        let found: Vec<_> = frames.iter().map(|frame| frame.bytes.to_vec()).collect();
        assert_eq!(found, messages, "in pieces of {piece}");
    }
}
