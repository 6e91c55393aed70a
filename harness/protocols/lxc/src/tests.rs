//! Golden readings: every row of the table of examples, measured on real releases.

use bytes::{Bytes, BytesMut};
use proptest::prelude::*;
use protocol::probe::SETTLE_MS;
use protocol::replay::script;
use protocol::testing::CONN;
use session::{Script, Step};
use transcript::{ConnId, Data, Event, EventKind, Transcript};
use verdict::{Due, Grammar, Meaning};
use wire::lxc::{DESCRIPTOR_BYTE, REQUEST, RESPONSE, STATE_MESSAGE};
use wire::{Direction, Frame, FrameKind};

use super::dialect::Dialect;
use super::{DIALECTS, LxcGrammar, message, names, request};

/// Bytes from hexadecimal text; `0*8` stands for eight zeros, `P` for an address, `"text"` for text.
fn hex(text: &str) -> Bytes {
    let mut out = Vec::new();
    for word in text.split_whitespace() {
        if let Some(count) = word.strip_prefix("0*") {
            out.resize(out.len() + count.parse::<usize>().expect("a count"), 0);
        } else if word == "P" {
            out.extend_from_slice(&0x7ffc_1234_5678_u64.to_le_bytes());
        } else if let Some(text) = word.strip_prefix('"') {
            out.extend_from_slice(text.trim_end_matches('"').as_bytes());
        } else {
            let digits = word.as_bytes().chunks(2).map(|pair| std::str::from_utf8(pair).expect("ASCII"));
            out.extend(digits.map(|pair| u8::from_str_radix(pair, 16).expect("hexadecimal")));
        }
    }
    out.into()
}

fn dialect(name: &str) -> &'static Dialect {
    DIALECTS.for_version(name).expect("in the table")
}

fn frame(kind: FrameKind, bytes: Bytes) -> Frame {
    let head_len = if kind == STATE_MESSAGE { 264 } else { 16 };
    Frame { kind, head_len, bytes }
}

/// One line per frame: title, then fields without padding, masked values as the mask's name.
fn rendered(dissection: &wire::Dissection) -> String {
    protocol::testing::in_words(dissection, |name| name != "padding")
}

#[track_caller]
fn check(release: &str, request: &str, reply: &str) -> String {
    let dialect = dialect(release);
    let request = frame(REQUEST, hex(request));
    let asked = message::dissect(dialect, Direction::ToServer, &request, None);
    assert!(asked.covers(request.bytes.len()), "{asked:?}");
    let reply = frame(RESPONSE, hex(reply));
    let answered = message::dissect(dialect, Direction::ToClient, &reply, Some(&request));
    assert!(answered.covers(reply.bytes.len()), "{answered:?}");
    format!("{}\n  {}", rendered(&asked), rendered(&answered))
}

#[test]
fn reads_one_example_of_every_command() {
    let devices = "\"devices\" 0*57";
    let ctx = "02000000 03000000 01000000 11000000 0*80";
    let rows: [(&str, &str, &str); 29] = [
        ("7.0.0", "00000000 0*4 ffffffff ffffffff", "00000000 0*4 01000000 0*4"),
        ("7.0.0", "00000000 0*4 ffffffff ffffffff", "f7ffffff 0*12"),
        ("4.0.6", "01000000 0*12", "00000000 0*12"),
        ("7.0.0", "02000000 0*12", "00000000 0*12"),
        ("7.0.0", "03000000 0*12", "00000000 0*4 02000000 0*4"),
        ("7.0.0", "04000000 0*12", "00000000 0*4 bf2c0000 0*4"),
        ("7.0.0", "05000000 0*12", "00000000 0*4 0000026e 0*4"),
        ("5.0.2", "06000000 08000000 P \"freezer\" 00", "00000000 10000000 P \"/lxc.payload.c1\" 00"),
        ("5.0.2", "06000000 08000000 P \"freezer\" 00", "00000000 12000000 P \"/lxc.payload.c1-7\" 00"),
        ("7.0.0", "07000000 0d000000 P \"lxc.uts.name\" 00", "00000000 03000000 P \"c1\" 00"),
        ("7.0.0", "07000000 02000000 P \"x\" 00", "ffffffff 0*12"),
        ("7.0.0", "08000000 0*12", "00000000 03000000 P \"c1\" 00"),
        ("7.0.0", "09000000 0*12", "00000000 0d000000 P \"/var/lib/lxc\" 00"),
        ("7.0.0", "0a000000 20000000 P 01000000 0*28", "08000000 0*4 08000000 0*4"),
        ("7.0.0", "0b000000 18000000 P 00010000 0*20", "00000000 0b000000 P \"init\" 20 \"up\" 20 310d0a"),
        ("7.0.0", "0b000000 18000000 P 00010000 0*20", "c3ffffff 0*4 P"),
        ("7.0.0", "0b000000 01000000 P 00", "c3ffffff 0*4 P"),
        ("7.0.0", "0c000000 0*4 05000000 0*4", "00000000 0*12"),
        ("7.0.0", "0d000000 0*12", "eaffffff 0*12"),
        (
            "4.0.6",
            "0e000000 18000000 P 63000000 0a000000 e5000000 72776d00 01000000 ffffffff",
            "00000000 0*12",
        ),
        (
            "7.0.0",
            "0e000000 28000000 P 63000000 0a000000 e5000000 72776d00 01000000 0*4 P P",
            "00000000 0*12",
        ),
        ("7.0.0", "0f000000 0*4 ffffffff ffffffff", "feffffff 0*12"),
        ("7.0.0", "11000000 0*12", "eaffffff 0*12"),
        ("7.0.0", "12000000 0*12", "00000000 0*12"),
        ("7.0.0", "17000000 60000000 P 0*96", &format!("00000000 60000000 P {ctx}")),
        (
            "7.0.0",
            &format!("18000000 50000000 P 0*16 {devices}"),
            &format!("00000000 50000000 P 02000000 03000000 70726763 11000000 {devices}"),
        ),
        ("7.0.0", "1a000000 0*12", "eaffffff 0*12"),
        ("4.0.6", "17000000 04000000 P 01020304", "daffffff 0*12"),
        ("7.0.0", "c8000000 10000000 P 0*16", "daffffff 0*12"),
    ];
    let text = rows.map(|(release, request, reply)| check(release, request, reply)).join("\n");
    insta::assert_snapshot!(text);
}

#[test]
fn reads_what_is_no_reply_and_what_is_damaged() {
    let newest = dialect("7.0.0");
    let read = |dir, kind, bytes: &str| {
        let frame = frame(kind, hex(bytes));
        let dissection = message::dissect(newest, dir, &frame, None);
        assert!(dissection.covers(frame.bytes.len()), "{dissection:?}");
        rendered(&dissection)
    };
    let lines = [
        read(Direction::ToClient, STATE_MESSAGE, "00000000 \"c1\" 0*254 03000000"),
        read(Direction::ToClient, STATE_MESSAGE, "02000000 \"c1\" 0*254 09000000"),
        read(Direction::ToServer, DESCRIPTOR_BYTE, "2a"),
        read(Direction::ToClient, RESPONSE, "daffffff 0*12"),
        read(Direction::ToClient, RESPONSE, "00000000 ffffffff 02000000 0*4"),
        read(Direction::ToClient, RESPONSE, "00000000 00"),
        read(Direction::ToServer, REQUEST, "0a000000 05000000 P 01000000 01"),
        read(Direction::ToServer, REQUEST, "07000000 04000000 P ff66756c"),
        read(Direction::ToServer, REQUEST, "03000000 01200000 P 00"),
    ];
    insta::assert_snapshot!(lines.join("\n"));
}

#[test]
fn says_what_a_reply_means_and_when_one_is_due() {
    #[track_caller]
    fn check(request: &str, reply: &str, due: Due, meaning: Meaning) {
        let grammar = LxcGrammar::new(dialect("7.0.0"));
        let request = frame(REQUEST, hex(request));
        assert_eq!(grammar.due(&request), due);
        assert_eq!(grammar.meaning(Some(&request), &frame(RESPONSE, hex(reply))), meaning);
    }
    check("03000000 0*12", "00000000 0*12", Due::One, Meaning::Success);
    check("02000000 0*12", "ffffffff 0*12", Due::OnFailure, Meaning::Refused(-1));
    check("c8000000 0*12", "daffffff 0*12", Due::One, Meaning::NotSupported);
    check("0a000000 20000000 P 0*32", "08000000 0*4 08000000 0*4", Due::One, Meaning::Success);
    check("0a000000 20000000 P 0*32", "eaffffff 0*12", Due::One, Meaning::Refused(-22));
    check("07000000 01000000 P 00", "ffffffff 0*12", Due::One, Meaning::Refused(-1));
    check("03000000 0*12", "05000000 0*12", Due::One, Meaning::Refused(5));

    let grammar = LxcGrammar::new(dialect("7.0.0"));
    let byte = frame(DESCRIPTOR_BYTE, hex("2a"));
    assert_eq!(grammar.due(&byte), Due::None);
    let message = frame(STATE_MESSAGE, hex("00000000 \"c1\" 0*254 03000000"));
    assert_eq!(grammar.meaning(None, &message), Meaning::Notification);
}

#[test]
fn the_ideal_dialect_takes_requests_of_any_length_for_one_request() {
    for (release, expect) in [("7.0.0", None), ("ideal", Some(16 + 8193))] {
        let mut decoder = LxcGrammar::new(dialect(release)).decoder(Direction::ToServer, &CONN);
        let mut bytes = BytesMut::from(&hex("c8000000 01200000 P 0*8193")[..]);
        let frame = decoder.decode(&mut bytes).ok().flatten();
        assert_eq!(frame.map(|frame| frame.bytes.len()), expect, "{release}");
    }
}

proptest! {
    /// Whatever the bytes are, each of them belongs to exactly one field.
    #[test]
    fn no_byte_is_lost(
        release in 0..DIALECTS.all().len(),
        kind in 0_u8..6,
        to_server: bool,
        command in 0_u32..30,
        len in -2_i32..120,
        bytes in prop::collection::vec(any::<u8>(), 0..160),
        asked in 0_u32..30,
        honest: bool,
    ) {
        let mut bytes = bytes;
        if honest && bytes.len() >= 8 {
            bytes[..4].copy_from_slice(&command.to_le_bytes());
            bytes[4..8].copy_from_slice(&len.to_le_bytes());
        }
        let request = frame(REQUEST, super::request::plain(wire::lxc::Command(asked), 0));
        let frame = Frame { kind: FrameKind(kind), head_len: 16, bytes: bytes.into() };
        let dir = if to_server { Direction::ToServer } else { Direction::ToClient };
        let dissection = message::dissect(&DIALECTS.all()[release], dir, &frame, Some(&request));
        prop_assert!(dissection.covers(frame.bytes.len()), "{dissection:?}");
    }
}

#[test]
fn a_replay_waits_once_for_a_reply_that_came_in_two_chunks_and_a_moment_for_the_end() {
    let data = |bytes: &[u8]| {
        EventKind::Data(Data { bytes: Bytes::copy_from_slice(bytes), fds: Vec::new(), creds: None })
    };
    let ask = request::text(names::GET_CONFIG_ITEM, "lxc.uts.name");
    let reply = hex("00000000 03000000 P \"c1\" 00");
    let events = [
        (Direction::ToServer, EventKind::Connect),
        (Direction::ToServer, data(&ask)),
        (Direction::ToClient, data(&reply[..16])),
        (Direction::ToClient, data(&reply[16..])),
        (Direction::ToClient, EventKind::Eof(None)),
        (Direction::ToServer, EventKind::Eof(None)),
    ];
    let events = events.map(|(dir, kind)| Event { at_us: 0, conn: ConnId(1), dir, kind }).to_vec();
    let recorded = Transcript { events, ..Transcript::default() };
    let grammar = LxcGrammar::new(DIALECTS.named("5.0.2").expect("in the table"));
    let expect = Script::new()
        .then(Step::Connect(ConnId(1)))
        .send(1, ask)
        .reply(1, 3_000)
        .quiet(1, SETTLE_MS)
        .close(1);
    assert_eq!(script(&recorded, &grammar, None), Ok(expect));
}
