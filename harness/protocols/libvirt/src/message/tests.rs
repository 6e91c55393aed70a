//! Golden readings: what real peers were recorded to say, whole, cut and changed.

use bytes::Bytes;
use proptest::prelude::*;
use protocol::testing::answers;
use verdict::{Due, Grammar, Meaning};
use wire::libvirt_rpc::{DESCRIPTOR_BYTE, HEAD_LEN, Header, LENGTH_MAX, MESSAGE, MessageType, Status};
use wire::policy::{Order, Policy};
use wire::xdr::Writer;
use wire::{Direction, Dissection, Frame, Value};

use super::dissect;
use crate::dialect::Dialect;
use crate::names::{self, keepalive, procedures as p, program};
use crate::request::{self, RpcError};
use crate::{DIALECTS, LibvirtGrammar};

const GOLDEN: &str = include_str!("golden.hex");

/// One recorded message, and the call that came before it.
pub(super) struct Golden {
    dialect: &'static Dialect,
    about: &'static str,
    dir: Direction,
    pub(super) frame: Frame,
    call: Option<Frame>,
}

pub(super) fn golden() -> Vec<Golden> {
    let mut found = Vec::new();
    let (mut about, mut call) = (("", ""), None);
    for line in GOLDEN.lines() {
        let Some((mark, rest)) = line.split_once(' ') else { continue };
        match mark {
            "#" => (about, call) = (rest.split_once(' ').expect("a release and a title"), None),
            ">" | "<" => {
                let frame = message(hex(rest));
                let dir = if mark == ">" { Direction::ToServer } else { Direction::ToClient };
                let asked = if dir == Direction::ToClient { call.clone() } else { None };
                let (dialect, about) = (dialect(about.0), about.1);
                found.push(Golden { dialect, about, dir, frame: frame.clone(), call: asked });
                call = if dir == Direction::ToServer { Some(frame) } else { call };
            }
            _ => {}
        }
    }
    found
}

fn dialect(name: &str) -> &'static Dialect {
    DIALECTS.for_version(name).expect("in the table")
}

fn hex(text: &str) -> Bytes {
    let digits = text.as_bytes().chunks(2).map(|pair| std::str::from_utf8(pair).expect("ASCII"));
    digits.map(|pair| u8::from_str_radix(pair, 16).expect("hexadecimal")).collect()
}

fn message(bytes: Bytes) -> Frame {
    Frame { kind: MESSAGE, head_len: HEAD_LEN, bytes }
}

/// A frame by itself, as the newest release reads it.
fn read(dir: Direction, bytes: Bytes) -> Dissection {
    let frame = message(bytes);
    let dissection = dissect(dialect("12.8.0"), dir, &frame, None);
    assert!(dissection.covers(frame.bytes.len()), "{dissection:?}");
    dissection
}

/// One line per frame: title, then fields behind the procedure, masked values as the mask's name.
fn rendered(dissection: &Dissection) -> String {
    let head = ["length", "program", "version", "procedure"];
    protocol::testing::in_words(dissection, |name| !head.contains(&name))
}

fn text_of(dissection: &Dissection, name: &str) -> Option<String> {
    match &dissection.field(name)?.value {
        Value::Text(text) => Some(text.clone()),
        _ => None,
    }
}

#[test]
fn reads_every_recorded_message() {
    let mut text = String::new();
    for golden in golden() {
        let dissection = dissect(golden.dialect, golden.dir, &golden.frame, golden.call.as_ref());
        assert!(dissection.covers(golden.frame.bytes.len()), "{}: {dissection:?}", golden.about);
        let arrow = if golden.dir == Direction::ToServer { '>' } else { '<' };
        text.push_str(&format!("{arrow} {}\n", rendered(&dissection)));
    }
    insta::assert_snapshot!(text);
}

/// Cut anywhere, a message is read as far as it goes, and every byte is in one field.
#[test]
fn reads_every_recorded_message_cut_at_every_byte() {
    for golden in golden() {
        let whole = dissect(golden.dialect, golden.dir, &golden.frame, golden.call.as_ref());
        for len in 0..golden.frame.bytes.len() {
            let cut = message(golden.frame.bytes.slice(..len));
            let dissection = dissect(golden.dialect, golden.dir, &cut, golden.call.as_ref());
            assert!(dissection.covers(len), "{} cut at {len}: {dissection:?}", golden.about);
            let same = |(cut, whole): &(&wire::Field, &wire::Field)| cut == whole;
            let kept = dissection.fields.iter().zip(&whole.fields).take_while(same).count();
            let rest = dissection.fields.len() - kept;
            assert!(rest <= 1, "{} cut at {len}: {dissection:?}", golden.about);
        }
    }
}

/// Bytes behind the arguments are passed over by every release, and shown. Of a stream they are data.
#[test]
fn shows_bytes_behind_the_layout() {
    for golden in golden().into_iter().filter(|golden| !golden.about.contains("too short")) {
        let longer = message([&golden.frame.bytes[..], b"more"].concat().into());
        let dissection = dissect(golden.dialect, golden.dir, &longer, golden.call.as_ref());
        assert!(dissection.covers(longer.bytes.len()), "{}: {dissection:?}", golden.about);
        let last = dissection.fields.last().map(|field| &*field.name);
        assert!(matches!(last, Some("trailing" | "unknown" | "data")), "{}: {last:?}", golden.about);
    }
}

#[test]
fn means_what_its_status_and_text_say() {
    let grammar = LibvirtGrammar::new(dialect("12.8.0"));
    let replies = golden().into_iter().filter(|golden| golden.dir == Direction::ToClient);
    let meanings = replies.map(|golden| {
        let meaning = grammar.meaning(golden.call.as_ref(), &golden.frame);
        format!("{}: {meaning:?}", golden.about)
    });
    insta::assert_snapshot!(meanings.collect::<Vec<_>>().join("\n"));
}

#[test]
fn only_an_untranslated_unknown_procedure_is_not_supported() {
    #[track_caller]
    fn check(code: i32, domain: i32, text: &str, expect: Meaning) {
        let call = request::header(p::NETWORK_GET_METADATA, 3);
        let reply = request::failure(&call, &RpcError::new(code, domain, text, "%s", Some(text)));
        let call = message(call.message(&[]));
        let grammar = LibvirtGrammar::new(dialect("12.8.0"));
        assert_eq!(grammar.meaning(Some(&call), &message(reply)), expect, "{code}/{domain} {text}");
    }
    check(39, 7, "unknown procedure: 445", Meaning::NotSupported);
    check(39, 13, "unknown procedure: 445", Meaning::NotSupported);
    check(39, 7, "Cannot find program 7 version 1", Meaning::NotSupported);
    check(39, 7, "unbekannte Prozedur: 445", Meaning::Refused(39));
    check(39, 12, "unknown procedure: 445", Meaning::Refused(39));
    check(39, 7, "Unable to decode message payload", Meaning::Refused(39));
    check(1, 7, "unknown procedure: 445", Meaning::Refused(1));
    check(3, 26, "this function is not supported by the connection driver: x", Meaning::Refused(3));
}

#[test]
fn answers_carry_the_serial_of_their_call() {
    let grammar = LibvirtGrammar::new(dialect("12.8.0"));
    let with = |program, procedure, kind, serial, status| Header {
        program,
        version: names::VERSION,
        procedure,
        kind,
        serial,
        status,
    };
    let remote = |kind, serial, status| with(program::REMOTE, p::DOMAIN_SCREENSHOT, kind, serial, status);
    let alive = |procedure| with(program::KEEPALIVE, procedure, MessageType::MESSAGE, 0, Status::OK);
    let frame = |header: Header| message(header.message(&[]));
    let call = remote(MessageType::CALL, 7, Status::OK);
    let end = remote(MessageType::STREAM, 7, Status::OK);
    let (one, success, notification) = (Due::One, Meaning::Success, Meaning::Notification);
    for (request, reply, due, expect, meaning) in [
        (call, remote(MessageType::REPLY, 7, Status::OK), one, true, success),
        (call, remote(MessageType::REPLY_WITH_FDS, 7, Status::OK), one, true, success),
        (call, remote(MessageType::REPLY, 8, Status::OK), one, false, success),
        (call, remote(MessageType::STREAM, 7, Status::CONTINUE), one, false, notification),
        (call, remote(MessageType::STREAM, 7, Status::OK), one, false, notification),
        (call, remote(MessageType::MESSAGE, 7, Status::OK), one, false, notification),
        (call, alive(keepalive::PING), one, false, notification),
        (end, end, Due::OnFailure, true, success),
        (end, remote(MessageType::STREAM, 7, Status::ERROR), Due::OnFailure, true, Meaning::Refused(0)),
        (end, remote(MessageType::STREAM, 7, Status::CONTINUE), Due::OnFailure, false, notification),
        (
            remote(MessageType::STREAM, 7, Status::CONTINUE),
            remote(MessageType::REPLY, 7, Status::OK),
            Due::None,
            false,
            success,
        ),
        (alive(keepalive::PING), alive(keepalive::PONG), one, true, success),
        (alive(keepalive::PING), alive(keepalive::PING), one, false, notification),
        (alive(keepalive::PONG), alive(keepalive::PING), Due::None, false, notification),
        (alive(3), alive(keepalive::PONG), Due::None, false, notification),
        (
            remote(MessageType::REPLY, 7, Status::OK),
            remote(MessageType::REPLY, 7, Status::OK),
            Due::None,
            false,
            success,
        ),
    ] {
        let (request_frame, reply_frame) = (frame(request), frame(reply));
        assert_eq!(grammar.due(&request_frame), due, "{request:?}");
        assert_eq!(answers(&grammar, &request_frame, &reply_frame), expect, "{request:?} {reply:?}");
        assert_eq!(grammar.meaning(Some(&request_frame), &reply_frame), meaning, "{request:?} {reply:?}");
    }
    let byte = Frame { kind: DESCRIPTOR_BYTE, head_len: 0, bytes: Bytes::from_static(&[0]) };
    assert_eq!(grammar.due(&byte), Due::None);
    assert_eq!(grammar.meaning(None, &byte), Meaning::Notification);
    assert!(!answers(&grammar, &frame(call), &byte));
}

#[test]
fn a_pong_that_nobody_asked_for_is_a_notification() {
    let pong = golden().into_iter().find(|golden| golden.about.contains("PING")).expect("recorded").frame;
    let grammar = LibvirtGrammar::new(dialect("12.8.0"));
    assert_eq!(grammar.meaning(None, &pong), Meaning::Notification);
}

/// What is not recorded: parts of messages that no peer of the recordings sent.
#[test]
fn reads_what_is_not_in_the_recordings() {
    let call = |procedure, writer: Writer| request::call_with(procedure, 1, writer);
    let with = |kind, status, payload: &[u8]| {
        Header { kind, status, ..request::header(p::DOMAIN_SCREENSHOT, 1) }.message(payload)
    };
    let domain = |writer: Writer| writer.opaque(b"test").fixed(&[0x11; 16]).i32(-1);
    let identity = Writer::new().u32(7);
    let identity =
        identity.opaque(b"a").i32(1).i32(-1).opaque(b"b").i32(2).u32(1).opaque(b"c").i32(3).raw(&[255; 8]);
    let identity = identity.opaque(b"d").i32(4).u64(7).opaque(b"e").i32(5).raw(&1.5_f64.to_be_bytes());
    let identity = identity.opaque(b"f").i32(6).i32(1).opaque(b"g").i32(7).opaque(b"text").u32(0);
    let model: Vec<u8> = b"i686".iter().chain(&[0; 28]).flat_map(|byte| [0, 0, 0, *byte]).collect();
    let info = Writer::new().raw(&model).u64(3_145_728).i32(16).i32(1400).i32(2).i32(2).i32(2).i32(2);
    let register = domain(Writer::new().i32(0).u32(2)).finish();
    let unknown_layout = names::number("procedures", "NODE_DEVICE_UPDATE").cast_signed();
    let rows = [
        (Direction::ToServer, call(p::CONNECT_SET_IDENTITY, identity)),
        (Direction::ToServer, call(p::CONNECT_SET_IDENTITY, Writer::new().u32(1).opaque(b"a").i32(9).u32(0))),
        (Direction::ToServer, call(p::CONNECT_SET_IDENTITY, Writer::new().u32(21))),
        (Direction::ToServer, call(p::CONNECT_OPEN, Writer::new().optional(None).u32(1))),
        (Direction::ToServer, call(p::CONNECT_OPEN, Writer::new().optional(Some(b"\xff")).u32(0))),
        (Direction::ToServer, call(p::CONNECT_OPEN, Writer::new().u32(1).u32(u32::MAX))),
        (Direction::ToServer, call(p::DOMAIN_LOOKUP_BY_NAME, Writer::new().u32(1).raw(b"xyzz"))),
        (Direction::ToServer, request::call(p::CONNECT_DOMAIN_EVENT_CALLBACK_REGISTER_ANY, 1, &register)),
        (Direction::ToServer, call(p::AUTH_SASL_STEP, Writer::new().i32(0).u32(2).raw(b"\0\0\0h\0\0\0i"))),
        (Direction::ToServer, call(unknown_layout, Writer::new().opaque(b"opaque"))),
        (Direction::ToServer, call(p::DOMAIN_EVENT_LIFECYCLE, Writer::new().u32(0))),
        (Direction::ToServer, call(-1, Writer::new())),
        (Direction::ToServer, with(MessageType::CALL_WITH_FDS, Status::OK, &[0, 0, 0, 1])),
        (Direction::ToServer, with(MessageType::CALL, Status(7), &[])),
        (Direction::ToServer, with(MessageType::REPLY, Status::OK, &[0, 0, 0, 0])),
        (Direction::ToServer, with(MessageType(9), Status::CONTINUE, b"x")),
        (Direction::ToClient, with(MessageType::CALL, Status::OK, &[])),
        (Direction::ToClient, with(MessageType::STREAM, Status::CONTINUE, b"image")),
        (Direction::ToClient, with(MessageType::STREAM, Status::CONTINUE, &[])),
        (Direction::ToServer, with(MessageType::STREAM, Status::OK, &[])),
        (Direction::ToServer, with(MessageType::STREAM, Status::ERROR, &[])),
        (Direction::ToClient, with(MessageType::STREAM, Status::OK, &[])),
        (
            Direction::ToClient,
            with(MessageType::STREAM_HOLE, Status::CONTINUE, &[0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 0]),
        ),
        (Direction::ToClient, request::reply(&request::header(p::NODE_GET_INFO, 1), info)),
        (
            Direction::ToClient,
            request::failure(
                &request::header(p::CONNECT_OPEN, 1),
                &RpcError { ints: [111, -1], ..RpcError::new(38, 7, "x", "%s", None) },
            ),
        ),
    ];
    let lines = rows.map(|(dir, bytes)| rendered(&read(dir, bytes)));
    insta::assert_snapshot!(lines.join("\n"));
}

#[test]
fn a_reply_is_held_against_its_call() {
    let call = message(request::call(p::CONNECT_GET_TYPE, 5, &[]));
    let reply =
        message(request::reply(&request::header(p::CONNECT_GET_HOSTNAME, 6), Writer::new().opaque(b"h")));
    let dissection = dissect(dialect("12.8.0"), Direction::ToClient, &reply, Some(&call));
    let problems: Vec<&str> = dissection.problems.iter().map(|problem| problem.what.as_str()).collect();
    assert_eq!(problems, ["serial 6 answers 5", "answers another call than CONNECT_GET_TYPE (3)"]);
}

#[test]
fn the_order_of_such_lists_says_nothing_where_it_could_matter() {
    let reply = |names: &[&[u8]]| {
        let count = u32::try_from(names.len()).expect("few");
        let list = names.iter().fold(Writer::new().u32(count), |list, name| list.opaque(name));
        request::reply(&request::header(p::CONNECT_LIST_INTERFACES, 1), list)
    };
    let order = |bytes| read(Direction::ToClient, bytes).policies.at(Policy::default(), "names").order;
    assert_eq!(order(reply(&[b"eth1"])), Order::Kept);
    assert_eq!(order(reply(&[b"eth1", b"eth9"])), Order::Any);
}

#[test]
fn the_swapped_integers_are_read_as_the_release_means_them() {
    let update =
        golden().into_iter().find(|golden| golden.about.contains("swapped")).expect("recorded").frame;
    let read = |name| {
        let dissection = dissect(dialect(name), Direction::ToServer, &update, None);
        ["command", "section"]
            .map(|field| dissection.field(field).and_then(|field| field.label.clone()).unwrap_or_default())
    };
    assert_eq!(read("7.0.0"), ["ADD_LAST", "IP_DHCP_HOST"]);
    assert_eq!(read("12.8.0"), ["ADD_FIRST", "IP"]);
}

/// Formats and details of an error are masked whether they are there or not.
#[test]
fn an_empty_detail_is_as_good_as_none() {
    let reply = |detail| {
        let error = RpcError::new(42, 20, "Domain not found", "Domain not found: %s", detail);
        read(Direction::ToClient, request::failure(&request::header(p::DOMAIN_LOOKUP_BY_NAME, 1), &error))
    };
    for detail in [None, Some("")] {
        let dissection = reply(detail);
        assert_eq!(dissection.field("str2").and_then(|field| field.mask), Some("str2"));
        assert_eq!(dissection.field("code").and_then(|field| field.mask), None);
    }
    assert_eq!(text_of(&reply(Some("")), "str2"), Some(String::new()));
}

proptest! {
    #[test]
    fn any_bytes_are_read_whole(bytes: Vec<u8>, procedure in -1..460_i32, kind in -1..8_i32, status in -1..4_i32, to_server: bool) {
        let header = Header {
            kind: MessageType(kind),
            status: Status(status),
            ..request::header(procedure, 1)
        };
        let dir = if to_server { Direction::ToServer } else { Direction::ToClient };
        for frame in [message(header.message(&bytes)), message(header.with_length(LENGTH_MAX, &bytes)), message(bytes.clone().into())] {
            for dialect in DIALECTS.all() {
                for call in [None, Some(&frame)] {
                    let dissection = dissect(dialect, dir, &frame, call);
                    prop_assert!(dissection.covers(frame.bytes.len()), "{dissection:?}");
                    prop_assert!(!dissection.title.is_empty());
                    for problem in &dissection.problems {
                        prop_assert!(problem.span.end <= frame.bytes.len() && problem.span.start <= problem.span.end);
                    }
                    let _ = LibvirtGrammar::new(dialect).meaning(call, &frame);
                }
            }
        }
    }
}
