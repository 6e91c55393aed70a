//! Which frames of real conversations belong together, in protocols that pair in very different ways; the same however the
//! bytes were split, and nothing that is not there where they were cut.
//!
//! `golden/` holds the conversations; each says which recording of which build it is.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use bytes::Bytes;
use transcript::{ConnId, Data, Event, EventKind, Transcript};
use verdict::exchange::OPEN_MAX;
use verdict::{
    ConnContext, ConnReading, Due, Exchange, ExchangeId, Grammar, Meaning, Pairing, Place, Reading,
};
use wire::http1::{BODY_PIECE_MAX, RAW};
use wire::ttrpc::{Flags, Header, MessageType};
use wire::{Decoder, Direction, Dissection, Frame};

use crate::http::Http;
use crate::toy::Tale;
use crate::ttrpc::{Ttrpc, frame};

const UP: Direction = Direction::ToServer;
const DOWN: Direction = Direction::ToClient;
/// No flag of ttrpc.
const NONE: Flags = Flags(0);

fn golden(name: &str) -> Transcript {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    let text = fs::read_to_string(&path).expect("it is in the repository");
    transcript::text::parse(&text).expect("it was written by this harness")
}

/// An exchange in a line: who asks what, how many parts came from client and server, and how it ended. What is raw comes in
/// no particular pieces, so its bytes are counted.
fn line(grammar: &dyn Grammar, exchange: &Exchange<'_>) -> String {
    let Exchange { asked, request, parts, completed, .. } = exchange;
    let title = |frame: &Frame| grammar.dissect(*asked, frame, None).title;
    let framed = |from| parts.iter().filter(|(dir, at)| *dir == from && at.frame.kind != RAW).count();
    let raw = |from| -> usize {
        let raw = parts.iter().filter(|(dir, at)| *dir == from && at.frame.kind == RAW);
        raw.map(|(_, at)| at.frame.bytes.len()).sum()
    };
    let raw = match (raw(UP), raw(DOWN)) {
        (0, 0) => String::new(),
        (up, down) => format!(", raw {up}+{down}"),
    };
    let end = match completed {
        None => "open".to_owned(),
        Some((None, meaning)) => format!("the end: {meaning:?}"),
        Some((Some(at), meaning)) => format!("{}: {meaning:?}", title(&at.frame)),
    };
    format!("{asked} {} | parts {}+{}{raw} | {end}", title(&request.frame), framed(UP), framed(DOWN))
}

fn read(transcript: &Transcript, grammar: &dyn Grammar) -> ConnReading {
    Reading::of(transcript, grammar).conns.remove(0)
}

fn lines(transcript: &Transcript, grammar: &dyn Grammar) -> Vec<String> {
    read(transcript, grammar).exchanges().iter().map(|exchange| line(grammar, exchange)).collect()
}

/// What every exchange that is complete came to.
fn completed(conn: &ConnReading) -> BTreeMap<u64, Meaning> {
    let completed = |exchange: &Exchange<'_>| Some((exchange.id.0, exchange.completed?.1));
    conn.exchanges().iter().filter_map(completed).collect()
}

/// Where an event with bytes may be cut, each with the bytes before.
fn cuts(transcript: &Transcript) -> impl Iterator<Item = (usize, &Event, &Data, usize)> {
    let events = transcript.events.iter().enumerate();
    events
        .filter_map(|(index, event)| match &event.kind {
            EventKind::Data(data) => Some((index, event, data)),
            _ => None,
        })
        .flat_map(|(index, event, data)| (1..data.bytes.len()).map(move |at| (index, event, data, at)))
}

fn with_bytes(event: &Event, bytes: Bytes) -> Event {
    Event { kind: EventKind::Data(Data { bytes, fds: Vec::new(), creds: None }), ..event.clone() }
}

/// Every event with bytes in two pieces at every place, and all in pieces of one byte.
fn splits(transcript: &Transcript) -> impl Iterator<Item = Transcript> {
    let in_two = cuts(transcript).map(|(index, event, data, at)| {
        let mut split = transcript.clone();
        let pieces = [data.bytes.slice(..at), data.bytes.slice(at..)].map(|bytes| with_bytes(event, bytes));
        split.events.splice(index..=index, pieces);
        split
    });
    let mut bytewise = transcript.clone();
    bytewise.events = transcript
        .events
        .iter()
        .flat_map(|event| match &event.kind {
            EventKind::Data(data) => {
                (0..data.bytes.len()).map(|at| with_bytes(event, data.bytes.slice(at..=at))).collect()
            }
            _ => vec![event.clone()],
        })
        .collect();
    in_two.chain([bytewise])
}

/// What came up to some byte, and how it ends there for the client, if it does.
fn cut(transcript: &Transcript, end: Option<EventKind>) -> impl Iterator<Item = Transcript> {
    let ended = move |mut events: Vec<Event>| {
        let over = |kind: &EventKind| matches!(kind, EventKind::Eof(_) | EventKind::Reset);
        if let Some(kind) = &end
            && !events.iter().any(|event| event.dir == Direction::ToClient && over(&event.kind))
        {
            events.push(Event {
                at_us: u64::MAX,
                conn: ConnId(1),
                dir: Direction::ToClient,
                kind: kind.clone(),
            });
        }
        Transcript { events, ..Transcript::default() }
    };
    let within = cuts(transcript).map(|(index, event, data, at)| {
        let mut events = transcript.events[..index].to_vec();
        events.push(with_bytes(event, data.bytes.slice(..at)));
        events
    });
    let between = (0..=transcript.events.len()).map(|index| transcript.events[..index].to_vec());
    let connected = |events: &Vec<Event>| events.iter().any(|event| event.conn == ConnId(1));
    within.chain(between).filter(connected).map(ended)
}

/// A cut conversation completes nothing that the whole one does not, and says what it lacks.
#[track_caller]
fn check_cuts(transcript: &Transcript, grammar: &dyn Grammar) {
    let reset = transcript.events.iter().any(|event| event.kind == EventKind::Reset);
    for end in [None, Some(EventKind::Reset), Some(EventKind::Eof(None)).filter(|_| !reset)] {
        // The last one is whole.
        let whole = cut(transcript, end.clone()).last().expect("it has events");
        let whole = completed(&read(&whole, grammar));
        for cut in cut(transcript, end.clone()) {
            let conn = read(&cut, grammar);
            for (id, meaning) in completed(&conn) {
                assert_eq!(whole.get(&id), Some(&meaning), "{end:?}: {:?}", cut.events.last());
            }
            let framed = conn.steps.iter().flat_map(|step| &step.replies).map(|at| at.at.frame.bytes.len());
            let framed: usize = framed.sum();
            let received: usize = conn.steps.iter().map(|step| step.received).sum();
            let Some(closed) = conn.steps.iter().find_map(|step| step.closed) else {
                assert!(end.is_none());
                continue;
            };
            assert_eq!(framed + closed.tail, received, "{:?}", cut.events.last());
            assert!(closed.tail == 0 || closed.truncated.is_some() != closed.reset, "{closed:?}");
        }
    }
}

#[track_caller]
fn check_transcript(transcript: &Transcript, grammar: &dyn Grammar, expect: &[&str]) {
    assert_eq!(lines(transcript, grammar), expect);
    for split in splits(transcript) {
        assert_eq!(lines(&split, grammar), expect, "{:?}", split.events);
    }
    check_cuts(transcript, grammar);
}

#[track_caller]
fn check(name: &str, expect: &[&str]) {
    let grammar: &dyn Grammar = if name.starts_with("http") { &Http } else { &Ttrpc };
    check_transcript(&golden(name), grammar, expect);
}

#[test]
fn a_call_has_one_answer() {
    check(
        "ttrpc-unary.wire",
        &[
            "c2s request 1 | parts 0+0 | response 1: Success",
            "c2s request 3 | parts 0+0 | response 3: Refused(5)",
            "c2s request 5 | parts 0+0 | response 5: Success",
        ],
    );
    check(
        "ttrpc-unknown-service.wire",
        &[
            "c2s request 1 | parts 0+0 | response 1: NotSupported",
            "c2s request 3 | parts 0+0 | response 3: NotSupported",
            "c2s request 5 | parts 0+0 | response 5: Success",
        ],
    );
    check(
        "ttrpc-unknown-method.wire",
        &[
            "c2s request 1 | parts 0+0 | response 1: Success",
            "c2s request 3 | parts 0+0 | response 3: NotSupported",
            "c2s request 5 | parts 0+0 | response 5: Refused(3)",
            "c2s request 7 | parts 0+0 | response 7: Success",
        ],
    );
    check("ttrpc-half-close.wire", &["c2s request 1 | parts 0+0 | response 1: Success"]);
}

#[test]
fn answers_come_in_any_order_or_not_at_all() {
    check(
        "ttrpc-pipelined.wire",
        &[
            "c2s request 1 | parts 0+0 | response 1: Success",
            "c2s request 3 | parts 0+0 | response 3: Success",
            "c2s request 5 | parts 0+0 | response 5: Success",
            "c2s request 7 | parts 0+0 | response 7: Success",
            "c2s request 9 | parts 0+0 | response 9: Success",
            "c2s request 11 | parts 0+0 | response 11: Success",
        ],
    );
    check(
        "ttrpc-pending.wire",
        &[
            "c2s request 1 | parts 0+0 | open",
            "c2s request 3 | parts 0+0 | response 3: Success",
            "c2s request 5 | parts 0+0 | response 5: Success",
        ],
    );
    check(
        "ttrpc-stream-id-twice.wire",
        &[
            "c2s request 1 | parts 0+0 | response 1: Refused(3)",
            "c2s request 1 | parts 0+0 | response 1: Success",
            "c2s request 3 | parts 0+0 | response 3: Success",
        ],
    );
}

/// The data of a stream that was never opened, or is over, belongs to nothing; the second answer to one, neither.
#[test]
fn what_belongs_to_no_stream_is_no_part_of_one() {
    check("ttrpc-data-late.wire", &["c2s request 1 | parts 0+0 | response 1: Success"]);
    check("ttrpc-reset.wire", &["c2s request 3 | parts 0+0 | open"]);
    check(
        "ttrpc-stream-on-unary.wire",
        &[
            "c2s request 1 | parts 1+0 | response 1: Success",
            "c2s request 3 | parts 0+0 | response 3: Success",
        ],
    );
    let conn = read(&golden("ttrpc-stream-on-unary.wire"), &Ttrpc);
    let strays: Vec<_> = conn.steps[0].replies.iter().filter(|reply| reply.at.exchange.is_none()).collect();
    assert_eq!(strays.len(), 1);
    assert_eq!((strays[0].meaning, strays[0].request.is_none()), (Meaning::Refused(3), true));
}

/// Who sent what.
fn tale(said: &[(Direction, &[u8])]) -> Tale {
    let open = Tale::default().event(1, Direction::ToServer, EventKind::Connect);
    said.iter().fold(open, |tale, (dir, bytes)| match dir {
        Direction::ToServer => tale.sends(1, bytes),
        Direction::ToClient => tale.answers(1, bytes),
    })
}

#[test]
fn a_stream_is_over_when_both_sides_have_ended_it() {
    let part = |kind, flags, data: &[u8]| frame(1, kind, flags, data);
    let asks = part(MessageType::REQUEST, Flags::REMOTE_OPEN, b"");
    let says = part(MessageType::DATA, NONE, b"a");
    let ends = part(MessageType::DATA, Flags::REMOTE_CLOSED.with(Flags::NO_DATA), b"");
    let check = |last: &[(Direction, &[u8])], expect| {
        let said = [&[(UP, &asks[..]), (UP, &says), (DOWN, &says), (DOWN, &says)][..], last].concat();
        check_transcript(&tale(&said).transcript(), &Ttrpc, &[expect]);
    };
    check(&[], "c2s request 1 | parts 1+2 | open");
    check(&[(UP, &ends), (DOWN, &says)], "c2s request 1 | parts 2+3 | open");
    check(&[(UP, &ends), (DOWN, &says), (DOWN, &ends)], "c2s request 1 | parts 2+3 | data 1: Success");
    check(&[(DOWN, &ends), (UP, &says), (UP, &ends)], "c2s request 1 | parts 2+3 | data 1: Success");
    let fails = part(MessageType::RESPONSE, NONE, b"\x0a\x02\x08\x0d");
    check(&[(UP, &says), (DOWN, &fails)], "c2s request 1 | parts 2+2 | response 1: Refused(13)");
    // Whoever reads gets the request with every frame, also behind what was sent later.
    let said = tale(&[(UP, &asks), (UP, &says), (DOWN, &says), (UP, &ends), (DOWN, &ends)]);
    let conn = read(&said.transcript(), &Ttrpc);
    for reply in &conn.steps[0].replies {
        let request = reply.request.as_ref().and_then(Header::of_frame);
        assert_eq!(request.map(|request| request.kind), Some(MessageType::REQUEST));
    }
}

/// Shims report events and a daemon asks its client: what the answer means is said by the client then.
#[test]
fn a_server_may_ask() {
    let asks = frame(2, MessageType::REQUEST, NONE, b"");
    let lacks = frame(2, MessageType::RESPONSE, NONE, b"\x0a\x02\x08\x0c");
    let said = tale(&[(DOWN, &asks), (UP, &lacks)]).transcript();
    check_transcript(&said, &Ttrpc, &["s2c request 2 | parts 0+0 | response 2: NotSupported"]);
    let conn = read(&said, &Ttrpc);
    assert_eq!(conn.steps[0].replies[0].meaning, Meaning::Notification);
    assert!(conn.steps[0].answers_by_request().is_empty(), "the client is due nothing");
}

/// What a server ends that it has begun itself is no answer to a client that waits for one.
#[test]
fn the_end_of_what_the_server_asked_answers_no_request() {
    let asks = frame(2, MessageType::REQUEST, Flags::REMOTE_CLOSED, b"");
    let ends = frame(1, MessageType::REQUEST, NONE, b"");
    let over = frame(2, MessageType::RESPONSE, NONE, b"");
    let said = tale(&[(UP, &ends), (DOWN, &asks), (DOWN, &over)]).transcript();
    let conn = read(&said, &Ttrpc);
    let step = &conn.steps[0];
    assert_eq!(step.answers_by_request().into_iter().map(|a| a.is_some()).collect::<Vec<_>>(), [false]);
    let expect = ["c2s request 1 | parts 0+0 | open", "s2c request 2 | parts 0+0 | response 2: Success"];
    check_transcript(&said, &Ttrpc, &expect);
}

#[test]
fn how_long_an_answer_is_depends_on_the_request_and_the_status() {
    check(
        "http-head.wire",
        &[
            "c2s HEAD /_ping HTTP/1.1 | parts 0+0 | HTTP/1.1 200 OK: Success",
            "c2s GET /_ping HTTP/1.1 | parts 0+0 | HTTP/1.1 200 OK: Success",
        ],
    );
    check(
        "http-204.wire",
        &[
            "c2s HEAD /_ping HTTP/1.1 | parts 0+0 | HTTP/1.1 200 OK: Success",
            "c2s POST /v1.51/containers/xforkyforky/stop?t=1 HTTP/1.1 | parts 0+0 | HTTP/1.1 204 No Content: Success",
        ],
    );
    check("http-half-close.wire", &["c2s GET /_ping HTTP/1.1 | parts 0+0 | HTTP/1.1 200 OK: Success"]);
    // The length is the one that an answer to GET would have.
    let (head, get) = (&b"HEAD / HTTP/1.1\r\n\r\n"[..], &b"GET / HTTP/1.1\r\n\r\n"[..]);
    let length = &b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n"[..];
    let unmodified = &b"HTTP/1.1 304 Not Modified\r\nContent-Length: 2\r\n\r\n"[..];
    let asked = [head, get, get].concat();
    let answered = [length, unmodified, length, b"ok"].concat();
    check_transcript(
        &tale(&[(UP, &asked), (DOWN, &answered)]).transcript(),
        &Http,
        &[
            "c2s HEAD / HTTP/1.1 | parts 0+0 | HTTP/1.1 200 OK: Success",
            "c2s GET / HTTP/1.1 | parts 0+0 | HTTP/1.1 304 Not Modified: Success",
            "c2s GET / HTTP/1.1 | parts 0+0 | HTTP/1.1 200 OK: Success",
        ],
    );
}

#[test]
fn messages_come_in_chunks() {
    check(
        "http-chunked-answer.wire",
        &[
            "c2s GET /v1.41/containers/probe/logs?stdout=1&stderr=1 HTTP/1.1 | parts 0+0 | HTTP/1.1 200 OK: Success",
            "c2s GET /_ping HTTP/1.1 | parts 0+0 | HTTP/1.1 200 OK: Success",
        ],
    );
    check(
        "http-chunked-request.wire",
        &[
            "c2s POST /v1.41/containers/create HTTP/1.1 | parts 1+0 | HTTP/1.1 400 Bad Request: Refused(400)",
            "c2s GET /_ping HTTP/1.1 | parts 0+0 | HTTP/1.1 200 OK: Success",
        ],
    );
    let answer = b"HTTP/1.1 501 Not Implemented\r\nTransfer-Encoding: chunked\r\n\r\n2;a=b\r\nok\r\n0\r\nSum: 1\r\n\r\n";
    check_transcript(
        &tale(&[(UP, b"GET / HTTP/1.1\r\n\r\n"), (DOWN, answer)]).transcript(),
        &Http,
        &["c2s GET / HTTP/1.1 | parts 0+0 | HTTP/1.1 501 Not Implemented: NotSupported"],
    );
}

/// A stream may end between two chunks.
#[test]
fn an_answer_that_lacks_its_last_chunk_is_not_complete() {
    let answer = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n";
    let said = tale(&[(UP, b"GET / HTTP/1.1\r\n\r\n"), (DOWN, answer)]).ends(1).transcript();
    check_transcript(&said, &Http, &["c2s GET / HTTP/1.1 | parts 0+0 | open"]);
    let closed = read(&said, &Http).steps[0].closed.expect("it ended");
    assert_eq!((closed.tail, closed.truncated.map(|error| error.field)), (answer.len(), Some("chunk-size")));
}

/// A refusal may come before all of the request, whose rest is a late part of what it belonged to.
#[test]
fn answers_may_come_before_the_request_is_whole() {
    check(
        "http-answered-early.wire",
        &[
            "c2s POST /v1.41/images/create?fromSrc=-&repo=nx&tag=1 HTTP/1.1 | parts 0+0 | HTTP/1.1 417 Expectation Failed: Refused(417)",
        ],
    );
    check(
        "http-request-cut.wire",
        &["c2s POST /v1.41/containers/create HTTP/1.1 | parts 0+0 | HTTP/1.1 400 Bad Request: Refused(400)"],
    );
    let post = &b"POST / HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n"[..];
    let proceed = &b"HTTP/1.1 100 Continue\r\n\r\n"[..];
    let (done, fails) = (
        &b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"[..],
        &b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n"[..],
    );
    check_transcript(
        &tale(&[
            (UP, post),
            (DOWN, proceed),
            (UP, b"ab"),
            (DOWN, done),
            (UP, post),
            (DOWN, fails),
            (UP, b"ab"),
        ])
        .transcript(),
        &Http,
        &[
            "c2s POST / HTTP/1.1 | parts 1+1 | HTTP/1.1 200 OK: Success",
            "c2s POST / HTTP/1.1 | parts 1+0 | HTTP/1.1 403 Forbidden: Refused(403)",
        ],
    );
}

/// Those for which there was no room are passed over in their turn, so that the one behind them gets its own answer.
#[test]
fn answers_to_requests_that_are_not_remembered_are_nobodys() {
    let (get, done) = (&b"GET / HTTP/1.1\r\n\r\n"[..], &b"HTTP/1.1 204 No Content\r\n\r\n"[..]);
    let fails = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n";
    let said =
        [(UP, &get.repeat(OPEN_MAX + 2)[..]), (DOWN, &done.repeat(OPEN_MAX + 2)), (UP, get), (DOWN, fails)];
    let completed: Vec<_> = completed(&read(&tale(&said).transcript(), &Http)).into_values().collect();
    assert_eq!(completed.len(), OPEN_MAX + 1);
    assert_eq!((completed[OPEN_MAX - 1], completed[OPEN_MAX]), (Meaning::Success, Meaning::Refused(404)));
}

/// A long body comes in pieces, of which those behind the answer are late.
#[test]
fn pieces_of_a_body_belong_to_its_request() {
    let post = format!("POST / HTTP/1.1\r\nContent-Length: {}\r\n\r\n", BODY_PIECE_MAX + 1);
    let body = vec![b'x'; BODY_PIECE_MAX + 1];
    let done = b"HTTP/1.1 204 No Content\r\n\r\n";
    let proceed = b"HTTP/1.1 100 Continue\r\n\r\n";
    let (front, last) = body.split_at(BODY_PIECE_MAX);
    let said = [(UP, post.as_bytes()), (DOWN, proceed), (UP, front), (DOWN, done), (UP, last), (DOWN, done)];
    let expect = ["c2s POST / HTTP/1.1 | parts 2+1 | HTTP/1.1 204 No Content: Success"];
    assert_eq!(lines(&tale(&said).transcript(), &Http), expect);
}

#[test]
fn behind_101_both_directions_are_raw() {
    let start = "/v1.41/exec/c707e8a3f811ebd4b7ea95d03cbd96b8095bcb4a538b028deff62ca8d769aec8/start";
    check(
        "http-hijack.wire",
        &[&format!("c2s POST {start} HTTP/1.1 | parts 1+1, raw 8+24 | the end: Success")],
    );
}

/// The client does not wait for 101: what it has sent is known by the answer, before anything else comes from it.
#[test]
fn what_lies_behind_an_upgrade_is_known_by_its_answer() {
    check("http-raw-before-101.wire", &["c2s POST /v1.41/session HTTP/1.1 | parts 0+1, raw 200+0 | open"]);
    // What is raw is read when it ends, and what the server says did not.
    let conn = read(&golden("http-raw-before-101.wire"), &Http);
    let parts: Vec<_> = conn.exchanges()[0].parts.iter().map(|(dir, at)| (*dir, at.event)).collect();
    assert_eq!(parts, [(DOWN, 2), (UP, 5)]);
    check(
        "http-upgrade-refused.wire",
        &[
            "c2s POST /v1.41/containers/nope/attach?stream=1&stdout=1 HTTP/1.1 | parts 0+0 | HTTP/1.1 404 Not Found: Refused(404)",
        ],
    );
    // Refused, it is the next request, also for the answer in the same read.
    let (upgrade, get) = (&b"GET /a HTTP/1.1\r\nUpgrade: tcp\r\n\r\n"[..], &b"HEAD /b HTTP/1.1\r\n\r\n"[..]);
    let (refused, done) = (
        &b"HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\nno"[..],
        &b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n"[..],
    );
    let expect = [
        "c2s GET /a HTTP/1.1 | parts 0+0 | HTTP/1.1 404 Not Found: Refused(404)",
        "c2s HEAD /b HTTP/1.1 | parts 0+0 | HTTP/1.1 200 OK: Success",
    ];
    let both = tale(&[(UP, &[upgrade, get].concat()), (DOWN, &[refused, done].concat())]);
    check_transcript(&both.clone().transcript(), &Http, &expect);
    // Nor is it lost where the client had ended its half before.
    let half = tale(&[(UP, &[upgrade, get].concat())]).event(1, UP, EventKind::Eof(None));
    let half = half.answers(1, &[refused, done].concat()).ends(1);
    check_transcript(&half.transcript(), &Http, &expect);
}

#[test]
fn an_answer_may_go_on_to_the_end_of_the_stream() {
    let start = "/v1.41/exec/0ab7b870fba04e1714b37725255aa184f02b43aa8d7177dbfe973a07ce64e053/start";
    check(
        "http-to-the-end.wire",
        &[&format!("c2s POST {start} HTTP/1.1 | parts 1+0 | HTTP/1.1 200 OK: Success")],
    );
    let answer = b"HTTP/1.1 403 Forbidden\r\n\r\n";
    let said = tale(&[(UP, b"GET / HTTP/1.1\r\n\r\n"), (DOWN, answer)]);
    let open = said.clone().transcript();
    check_transcript(&open, &Http, &["c2s GET / HTTP/1.1 | parts 0+0 | open"]);
    assert_eq!(read(&open, &Http).steps[0].answers().count(), 0);
    let reset = said.clone().resets(1).transcript();
    check_transcript(&reset, &Http, &["c2s GET / HTTP/1.1 | parts 0+0 | open"]);
    // The last that came is the answer then, for whoever asks whether there was one.
    let ended = said.ends(1).transcript();
    check_transcript(
        &ended,
        &Http,
        &["c2s GET / HTTP/1.1 | parts 0+0 | HTTP/1.1 403 Forbidden: Refused(403)"],
    );
    let conn = read(&ended, &Http);
    let answers = conn.steps[0].answers_by_request();
    assert_eq!(
        answers.iter().map(|answer| answer.map(|a| a.meaning)).collect::<Vec<_>>(),
        [Some(Meaning::Refused(403))]
    );
}

/// A client whose end completes what it asked last.
struct ClientEnds;

struct Last(Option<ExchangeId>);

impl Pairing for Last {
    fn place(&mut self, dir: Direction, _frame: &Frame, fresh: Option<ExchangeId>) -> Place {
        if dir == DOWN {
            return Place::Unasked;
        }
        self.0 = fresh;
        Place::Opens(Due::One)
    }

    fn ended(&mut self, dir: Direction) -> Vec<(ExchangeId, Meaning)> {
        let ended = if dir == UP { self.0.take() } else { None };
        ended.into_iter().map(|id| (id, Meaning::Success)).collect()
    }
}

impl Grammar for ClientEnds {
    fn dialect(&self) -> &str {
        "client-ends"
    }

    fn decoder(&self, dir: Direction, conn: &ConnContext) -> Box<dyn Decoder> {
        Ttrpc.decoder(dir, conn)
    }

    fn pairing(&self) -> Box<dyn Pairing> {
        Box::new(Last(None))
    }

    fn dissect(&self, dir: Direction, frame: &Frame, request: Option<&Frame>) -> Dissection {
        Ttrpc.dissect(dir, frame, request)
    }

    fn due(&self, request: &Frame) -> Due {
        Ttrpc.due(request)
    }

    fn meaning(&self, request: Option<&Frame>, reply: &Frame) -> Meaning {
        Ttrpc.meaning(request, reply)
    }
}

#[test]
fn a_client_that_is_gone_has_ended_and_one_that_resets_has_not() {
    let asks = frame(1, MessageType::REQUEST, NONE, b"");
    let [ends, resets] = [EventKind::Eof(None), EventKind::Reset].map(|kind| {
        let conn = read(&tale(&[(UP, &asks)]).event(1, UP, kind).transcript(), &ClientEnds);
        assert!(conn.steps[0].client_ended);
        completed(&conn).len()
    });
    assert_eq!((ends, resets), (1, 0));
}
