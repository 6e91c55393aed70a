//! Golden bytes, limits, order and socket names. One row per command is in
//! [`golden`], properties over arbitrary streams are in [`properties`].

mod golden;
mod properties;

use bytes::BytesMut;

use super::*;
use crate::testing::drain;
use crate::{DecodeError, DecodeErrorKind, Decoder, Frame};

/// What the releases do, as far as framing goes.
pub(super) const RULES: Rules = Rules {
    payload_max: DATA_MAX,
    exempt: &[Command(11)],
    two_part: &[Command(13)],
    notifies: &[Notifies { command: Command(10), waiting: 8 }],
    silent_on_success: &[Command(2)],
};

/// Bytes of hexadecimal text; `0*n` is n zero bytes, `P` eight bytes of an address.
fn hex(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    for word in text.split_whitespace() {
        if let Some(count) = word.strip_prefix("0*") {
            bytes.resize(bytes.len() + count.parse::<usize>().expect("a count"), 0);
        } else if word == "P" {
            bytes.extend(hex("90c1aa5d fe7f0000"));
        } else {
            let digits = word.as_bytes().chunks(2).map(|pair| std::str::from_utf8(pair).expect("ascii"));
            bytes.extend(digits.map(|pair| u8::from_str_radix(pair, 16).expect("two digits")));
        }
    }
    bytes
}

fn requests(text: &str) -> Vec<Frame> {
    let mut decoder = RequestDecoder::new(Layout::LP64_LE, RULES);
    let (frames, end) = drain(&mut decoder, &hex(text), usize::MAX);
    assert_eq!(end, Ok(()), "{text}");
    frames
}

/// A decoder of replies that heard these requests.
fn replies_to(text: &str) -> ResponseDecoder {
    let mut decoder = ResponseDecoder::new(Layout::LP64_LE, RULES);
    requests(text).iter().for_each(|request| decoder.note_other(request));
    decoder
}

fn shape(frame: &Frame) -> String {
    let (first, len, data) = match frame.kind {
        REQUEST => {
            let head = RequestHead::of_frame(Layout::LP64_LE, frame).expect("a request");
            (format!("request {}", head.cmd), head.len, head.data)
        }
        RESPONSE => {
            let head = ResponseHead::of_frame(Layout::LP64_LE, frame).expect("a reply");
            (format!("reply {}", head.ret), head.len, head.data)
        }
        DESCRIPTOR_BYTE => return "descriptor byte".into(),
        STATE_MESSAGE => {
            let message = StateMessage::decode(Layout::LP64_LE.endian, &frame.bytes).expect("a message");
            let name = String::from_utf8_lossy(message.name_text()).into_owned();
            return format!("state {}:{} {name}", message.kind, message.value);
        }
        other => panic!("frame of unknown kind {other:?}"),
    };
    assert_eq!(frame.head().len(), 16);
    let payload = frame.payload();
    assert_eq!(payload.len(), usize::try_from(len).unwrap_or(0));
    // An address differs from run to run; it is shown only where `data` is an answer.
    let data = if len > 0 { "-".into() } else { data.cast_signed().to_string() };
    format!("{first} len {len} data {data} {}", payload.escape_ascii()).trim_end().to_owned()
}

/// Decodes whole, at every split point and one byte at a time, always to the same frames.
#[track_caller]
fn check(make: impl Fn() -> Box<dyn Decoder>, stream: &str, expect: &[&str]) {
    let stream = hex(stream);
    for piece in 1..=stream.len() {
        let (frames, end) = drain(&mut *make(), &stream, piece);
        assert_eq!(end, Ok(()), "in pieces of {piece}");
        assert_eq!(frames.iter().map(shape).collect::<Vec<_>>(), expect, "in pieces of {piece}");
    }
    for split in 0..=stream.len() {
        let (frames, _) = drain(&mut *make(), &stream[..split], usize::MAX);
        let whole = &expect[..frames.len()];
        assert_eq!(frames.iter().map(shape).collect::<Vec<_>>(), whole, "cut at {split}");
    }
}

#[track_caller]
fn check_requests(stream: &str, expect: &[&str]) {
    check(|| Box::new(RequestDecoder::new(Layout::LP64_LE, RULES)), stream, expect);
}

#[track_caller]
fn check_replies(asked: &str, stream: &str, expect: &[&str]) {
    check(|| Box::new(replies_to(asked)), stream, expect);
}

/// Fact sheet of the protocol, one recorded exchange for each form of the framing.
#[test]
fn decodes_the_recorded_requests() {
    check_requests("00000000 00000000 ffffffff ffffffff", &["request 0 len 0 data -1"]);
    check_requests("03000000 00000000 0*8", &["request 3 len 0 data 0"]);
    check_requests(
        "07000000 0d000000 0*8 6c78632e 7574732e 6e616d65 00",
        &["request 7 len 13 data - lxc.uts.name\\x00"],
    );
    check_requests("0c000000 00000000 05000000 00000000", &["request 12 len 0 data 5"]);
    check_requests(
        "0e000000 18000000 0*8 63000000 0a000000 e5000000 72776d00 01000000 ffffffff",
        &[concat!(
            "request 14 len 24 data - ",
            r"c\x00\x00\x00\n\x00\x00\x00\xe5\x00\x00\x00rwm\x00\x01\x00\x00\x00\xff\xff\xff\xff"
        )],
    );
}

#[test]
fn decodes_the_recorded_replies() {
    check_replies("04000000 0*12", "00000000 00000000 bf2c0000 00000000", &["reply 0 len 0 data 11455"]);
    check_replies("c8000000 0*12", "daffffff 00000000 00000000 00000000", &["reply -38 len 0 data 0"]);
    check_replies(
        "08000000 0*12",
        "00000000 0b000000 P 782d626f 6f6b776f 726d00",
        &["reply 0 len 11 data - x-bookworm\\x00"],
    );
    check_replies("0b000000 0*12", "c3ffffff 00000000 0*8", &["reply -61 len 0 data 0"]);
}

#[test]
fn takes_a_negative_length_for_no_payload() {
    check_requests(
        "03000000 ffffffff 0*8 03000000 00000080 0*8",
        &["request 3 len -1 data 0", "request 3 len -2147483648 data 0"],
    );
    check_replies("03000000 0*12", "00000000 ffffffff 02000000 00000000", &["reply 0 len -1 data 2"]);
}

#[test]
fn keeps_commands_that_nobody_knows() {
    check_requests(
        "ffffffff 0*12 00000080 01000000 0*8 2a",
        &["request 4294967295 len 0 data 0", "request 2147483648 len 1 data - *"],
    );
}

#[test]
fn reads_pipelined_requests_in_order() {
    check_requests(
        "c8000000 02000000 0*8 6869 03000000 0*12 04000000 0*12",
        &["request 200 len 2 data - hi", "request 3 len 0 data 0", "request 4 len 0 data 0"],
    );
}

#[test]
fn reads_the_second_half_of_a_two_part_request() {
    check_requests(
        "0d000000 0*12 07 03000000 0*12",
        &["request 13 len 0 data 0", "descriptor byte", "request 3 len 0 data 0"],
    );
    check_requests("0d000000 01000000 0*8 41 07", &["request 13 len 1 data - A", "descriptor byte"]);
}

#[test]
fn a_missing_second_half_is_truncation() {
    let mut decoder = RequestDecoder::new(Layout::LP64_LE, RULES);
    let (frames, end) = drain(&mut decoder, &hex("0d000000 0*12"), usize::MAX);
    assert_eq!(frames.len(), 1);
    let kind = DecodeErrorKind::Truncated { needed: 1, got: 0 };
    assert_eq!(end, Err(DecodeError { kind, field: "descriptor byte", offset: 16 }));
}

#[test]
fn reads_a_state_message_only_after_the_reply_that_announces_it() {
    let stopped = "00000000 6331 0*254 00000000";
    check_replies(
        "0a000000 0*12",
        &format!("08000000 00000000 08000000 00000000 {stopped}"),
        &["reply 8 len 0 data 8", "state 0:0 c1"],
    );
    // The state was there at once. What follows is the answer to the next request, if there is one.
    check_replies(
        "0a000000 0*12 03000000 0*12",
        "02000000 00000000 02000000 00000000 00000000 00000000 02000000 00000000",
        &["reply 2 len 0 data 2", "reply 0 len 0 data 2"],
    );
}

#[test]
fn tells_a_state_message_from_the_reply_to_a_later_request() {
    let asked = "0a000000 0*12 03000000 0*12";
    let (waiting, running) = ("08000000 00000000 08000000 00000000", "00000000 00000000 02000000 00000000");
    let stopping = "00000000 6331 0*254 03000000";
    check_replies(
        asked,
        &format!("{waiting} {running} {stopping}"),
        &["reply 8 len 0 data 8", "reply 0 len 0 data 2", "state 0:3 c1"],
    );
    check_replies(
        asked,
        &format!("{waiting} {stopping} {running}"),
        &["reply 8 len 0 data 8", "state 0:3 c1", "reply 0 len 0 data 2"],
    );
}

#[test]
fn a_request_sent_in_the_middle_of_a_state_message_does_not_change_its_reading() {
    let mut decoder = replies_to("0a000000 0*12");
    let mut buffer = BytesMut::from(&hex("08000000 0*12")[..]);
    assert!(decoder.decode(&mut buffer).expect("a reply").is_some());
    // A name of one character, which would pass for the length of a reply.
    let message = StateMessage::new(0, b"a", 3).expect("a short name").encode(Layout::LP64_LE.endian);
    let (begin, rest) = message.split_at(100);
    buffer.extend_from_slice(begin);
    assert_eq!(decoder.decode(&mut buffer), Ok(None));
    requests("03000000 0*12").iter().for_each(|request| decoder.note_other(request));
    buffer.extend_from_slice(rest);
    let frame = decoder.decode(&mut buffer).expect("in step").expect("complete");
    assert_eq!(shape(&frame), "state 0:3 a");
}

#[test]
fn a_good_reply_passes_over_requests_that_are_silent_on_success() {
    let console_log = "00000000 01200000 P 0*8193";
    let long = format!("reply 0 len 8193 data - {}", "\\x00".repeat(8193));
    let (_, end) = drain(&mut replies_to("02000000 0*12 0b000000 0*12"), &hex(console_log), usize::MAX);
    assert_eq!(end, Ok(()));
    let (frames, end) = drain(
        &mut replies_to("02000000 0*12 0b000000 0*12"),
        &hex(&format!("ffffffff 0*12 {console_log}")),
        usize::MAX,
    );
    assert_eq!(end, Ok(()));
    assert_eq!(frames.iter().map(shape).collect::<Vec<_>>(), ["reply -1 len 0 data 0", long.as_str()]);
}

#[test]
fn the_limit_holds_in_both_directions() {
    #[track_caller]
    fn check(decoder: &mut dyn Decoder, head: &str, payload: usize, expect: Result<usize, DecodeErrorKind>) {
        let stream = hex(&format!("{head} 0*{payload}"));
        let (frames, end) = drain(decoder, &stream, usize::MAX);
        let found = end.map(|()| frames.len()).map_err(|error| {
            assert_eq!((error.field, error.offset), ("len", 4), "{head}");
            error.kind
        });
        assert_eq!(found, expect, "{head}");
    }
    let above = |announced| Err(DecodeErrorKind::AboveLimit { announced, limit: 8192 });
    for (head, payload, expect) in [
        ("c8000000 00200000 0*8", 8192, Ok(1)),
        ("c8000000 01200000 0*8", 8193, above(8193)),
        ("c8000000 01200000 0*8", 0, above(8193)),
        ("c8000000 ffffff7f 0*8", 0, above(0x7fff_ffff)),
        ("0b000000 01200000 0*8", 8193, Ok(1)),
    ] {
        check(&mut RequestDecoder::new(Layout::LP64_LE, RULES), head, payload, expect);
    }
    for (asked, head, payload, expect) in [
        ("c8000000 0*12", "00000000 00200000 0*8", 8192, Ok(1)),
        ("c8000000 0*12", "00000000 01200000 0*8", 8193, above(8193)),
        ("", "00000000 ffffff7f 0*8", 0, above(0x7fff_ffff)),
        ("0b000000 0*12", "00000000 01200000 0*8", 8193, Ok(1)),
    ] {
        check(&mut replies_to(asked), head, payload, expect);
    }
}

#[test]
fn an_error_is_placed_in_the_stream() {
    let stream = hex("03000000 0*12 c8000000 01000000 0*8 2a c8000000 01200000 0*8");
    let (frames, end) = drain(&mut RequestDecoder::new(Layout::LP64_LE, RULES), &stream, 5);
    assert_eq!(frames.len(), 2);
    let kind = DecodeErrorKind::AboveLimit { announced: 8193, limit: 8192 };
    assert_eq!(end, Err(DecodeError { kind, field: "len", offset: 16 + 17 + 4 }));
}

#[test]
fn truncation_names_the_part_that_is_cut() {
    #[track_caller]
    fn check(cut_at: usize, expect: (&'static str, u64, u64, u64)) {
        let stream = hex("03000000 0*12 06000000 08000000 0*8 66726565 7a657200");
        let (_, end) = drain(&mut RequestDecoder::new(Layout::LP64_LE, RULES), &stream[..cut_at], usize::MAX);
        let (field, needed, got, offset) = expect;
        let kind = DecodeErrorKind::Truncated { needed, got };
        assert_eq!(end, Err(DecodeError { kind, field, offset }), "cut at {cut_at}");
    }
    check(1, ("head", 16, 1, 0));
    check(15, ("head", 16, 15, 0));
    check(17, ("head", 16, 1, 16));
    check(32, ("payload", 8, 0, 32));
    check(39, ("payload", 8, 7, 32));
}

#[test]
fn an_announced_payload_reserves_nothing() {
    let mut decoder = RequestDecoder::new(Layout::LP64_LE, RULES);
    let mut buffer = BytesMut::from(&hex("0b000000 ffffff7f 0*8 0*100")[..]);
    let capacity = buffer.capacity();
    assert_eq!(decoder.decode(&mut buffer), Ok(None));
    assert_eq!((buffer.len(), buffer.capacity()), (116, capacity));
}

#[test]
fn replies_keep_their_order_beyond_the_bound_of_pending_requests() {
    let mut decoder = ResponseDecoder::new(Layout::LP64_LE, RULES);
    let plain = requests("03000000 0*12").remove(0);
    let exempt = requests("0b000000 0*12").remove(0);
    let reply = ResponseHead { ret: 0, len: 0, data: 0 }.encode(Layout::LP64_LE);
    (0..PENDING_MAX + 5).for_each(|_| decoder.note_other(&plain));
    for _ in 0..PENDING_MAX {
        assert!(decoder.decode(&mut BytesMut::from(&reply[..])).is_ok_and(|frame| frame.is_some()));
    }
    // Five are still counted, so that this one is the sixth and is counted as well.
    decoder.note_other(&exempt);
    for _ in 0..6 {
        assert!(decoder.decode(&mut BytesMut::from(&reply[..])).is_ok_and(|frame| frame.is_some()));
    }
    decoder.note_other(&exempt);
    let long = hex("00000000 01200000 0*8 0*8193");
    assert!(decoder.decode(&mut BytesMut::from(&long[..])).is_ok_and(|frame| frame.is_some()));
}

#[test]
fn reads_and_writes_the_heads_of_every_layout() {
    #[track_caller]
    fn check(layout: Layout, text: &str) {
        let head = RequestHead { cmd: Command(0x0102_0304), len: -2, data: 0x0a0b_0c0d };
        assert_eq!(head.encode(layout), hex(text));
        assert_eq!(RequestHead::decode(layout, &hex(text)), Some(head));
        let answer = ResponseHead { ret: 0x0102_0304, len: -2, data: 0x0a0b_0c0d };
        assert_eq!(answer.encode(layout), hex(text));
        assert_eq!(ResponseHead::decode(layout, &hex(text)), Some(answer));
    }
    check(Layout::LP64_LE, "04030201 feffffff 0d0c0b0a 00000000");
    check(Layout::LP64_BE, "01020304 fffffffe 00000000 0a0b0c0d");
    check(Layout::ILP32_LE, "04030201 feffffff 0d0c0b0a");
    check(Layout::ILP32_BE, "01020304 fffffffe 0a0b0c0d");
}

#[test]
fn a_32_bit_layout_keeps_the_low_half_of_a_pointer() {
    let head = RequestHead { cmd: Command(0), len: 0, data: u64::MAX };
    assert_eq!(head.encode(Layout::ILP32_LE), hex("00000000 00000000 ffffffff"));
    let stream = hex("06000000 02000000 0*4 6869 03000000 0*8");
    let (frames, end) = drain(&mut RequestDecoder::new(Layout::ILP32_LE, RULES), &stream, 3);
    assert_eq!(end, Ok(()));
    assert_eq!(
        frames.iter().map(|f| (f.head_len, f.payload())).collect::<Vec<_>>(),
        [(12, &b"hi"[..]), (12, &b""[..])]
    );
}

#[test]
fn a_head_that_tells_the_truth_carries_its_payload() {
    let head = RequestHead::of(Command(6), 0, b"freezer\0").expect("a short payload");
    let bytes = head.encode_with(Layout::LP64_LE, b"freezer\0");
    assert_eq!(bytes, hex("06000000 08000000 0*8 66726565 7a657200"));
    let head = ResponseHead::of(0, 1, b"").expect("a short payload");
    assert_eq!(head.encode(Layout::LP64_LE), hex("00000000 00000000 01000000 00000000"));
}

/// A run of lxc-monitord: the type and value of nine messages, 2376 bytes, same on the four Debian builds.
#[test]
fn reads_a_stream_of_state_messages() {
    let sent = [(0, 1), (0, 2), (0, 5), (0, 6), (0, 7), (0, 2), (2, 9), (0, 3), (0, 0)];
    let stream: Vec<u8> = sent
        .iter()
        .flat_map(|(kind, value)| {
            StateMessage::new(*kind, b"c1", *value).expect("a short name").encode(Layout::LP64_LE.endian)
        })
        .collect();
    assert_eq!(stream.len(), 2376);
    for piece in [1, 100, 264, 265, 2376] {
        let (frames, end) = drain(&mut StateDecoder::new(), &stream, piece);
        assert_eq!(end, Ok(()));
        let expect = sent.map(|(kind, value)| format!("state {kind}:{value} c1"));
        assert_eq!(frames.iter().map(shape).collect::<Vec<_>>(), expect);
    }
}

#[test]
fn a_state_message_holds_names_of_up_to_255_bytes() {
    let longest = StateMessage::new(0, &[b'n'; 255], 2).expect("fits");
    assert_eq!(longest.name_text(), [b'n'; 255]);
    assert_eq!(StateMessage::new(0, &[b'n'; 256], 2), Err(StateNameTooLong { len: 256 }));
    // A peer may leave out the terminator; the name is kept and read to its end.
    let unterminated = [&hex("00000000")[..], &[b'n'; 256], &hex("02000000")].concat();
    let message = StateMessage::decode(Layout::LP64_LE.endian, &unterminated).expect("complete");
    assert_eq!(message.name_text(), [b'n'; 256]);
    assert_eq!(message.encode(Layout::LP64_LE.endian), unterminated);
}

#[test]
fn hashes_long_socket_names() {
    #[track_caller]
    fn check(rule: NameRule, path_len: usize, expect: Result<&str, NameTooLong>) {
        let lxcpath = ["/var/lib/lxc/", &"p".repeat(path_len)].concat();
        let name = socket_name(rule, lxcpath.as_bytes(), b"c1");
        let plain = format!("{lxcpath}/c1/command");
        let expect = expect.map(|name| if name == "plain" { plain.as_str() } else { name });
        assert_eq!(name.as_deref(), expect.as_ref().map(|name| name.as_bytes()), "{} bytes", plain.len());
    }
    let too_long = |len| Err(NameTooLong { len, limit: 105 });
    check(NameRule::CURRENT, 81, Ok("plain"));
    check(NameRule::CURRENT, 82, Ok("lxc/924d158d2b4bb71f/command"));
    check(NameRule::HASHED_FROM_107, 81, Ok("plain"));
    check(NameRule::HASHED_FROM_107, 82, too_long(106));
    assert!(socket_name(NameRule::HASHED_FROM_107, &[b'p'; 200], b"c1").is_ok());
    check(NameRule::NEVER_HASHED, 81, Ok("plain"));
    check(NameRule::NEVER_HASHED, 82, too_long(106));
    check(NameRule::NEVER_HASHED, 200, too_long(224));
}

#[test]
fn takes_the_lxcpath_byte_for_byte() {
    assert_eq!(socket_name(NameRule::CURRENT, b"/a//b/", b"c").as_deref(), Ok(&b"/a//b//c/command"[..]));
}

#[test]
fn hashes_as_fnv_does() {
    assert_eq!(fnv1a_64(b""), 0xcbf2_9ce4_8422_2325);
    assert_eq!(fnv1a_64(b"a"), 0xaf63_dc4c_8601_ec8c);
    let name = monitord_socket_name(b"/var/lib/lxc");
    assert_eq!(name.as_deref(), Ok(&b"lxc/ad055575fe28ddd5//var/lib/lxc"[..]));
    assert_eq!(monitord_socket_name(&[b'p'; 84]).map(|name| name.len()), Ok(105));
    assert_eq!(monitord_socket_name(&[b'p'; 85]), Err(NameTooLong { len: 106, limit: 105 }));
}
