//! What frames say, and the names of all their bytes.

use super::*;
use crate::json;
use crate::{Dissection, Value};

fn frame(dir: Direction, stream: &[u8]) -> Frame {
    one_side(dir, stream).frames.remove(0)
}

/// Each field as its name, its bytes and its mask, in order.
#[track_caller]
fn check(frame: &Frame, expect: &[(&str, &str)]) -> Dissection {
    let mask = |name: &str| (name == "header.date").then_some("time");
    let found = dissect(frame, &mask, &|body| json::dissect(body, json::Rules::PYTHON, &|_| None));
    assert!(found.covers(frame.bytes.len()), "{:?}", found.fields);
    let text = |span: std::ops::Range<usize>| String::from_utf8_lossy(&frame.bytes[span]).into_owned();
    let fields = found.fields.iter().filter(|field| field.name != "syntax");
    let fields: Vec<_> = fields.map(|field| (field.name.to_string(), text(field.span.clone()))).collect();
    let fields: Vec<_> = fields.iter().map(|(name, text)| (&name[..], &text[..])).collect();
    assert_eq!(fields, expect);
    let syntax = found.fields.iter().filter(|field| field.name == "syntax");
    assert!(syntax.clone().all(|field| field.mask == Some("syntax") && !field.span.is_empty()));
    found
}

const ANSWER: &[u8] =
    b"HTTP/1.1 404 Not Found\r\nDate: now\r\nVia: a\r\nX: \r\nvia:b \r\nTransfer-Encoding: chunked\r\n\r\n";

fn answer_with(body: &str) -> Frame {
    frame(DOWN, &[ANSWER, body.as_bytes()].concat())
}

const FIELDS: [(&str, &str); 8] = [
    ("version", "HTTP/1.1"),
    ("status", "404"),
    ("reason", "Not Found"),
    ("header.date", "now"),
    ("header.via.0", "a"),
    ("header.x", ""),
    ("header.via.1", "b"),
    ("header.transfer-encoding", "chunked"),
];

#[test]
fn names_every_part_of_a_request() {
    let request = frame(UP, b"\r\nPOST /a?b=c HTTP/1.1\r\nHost: \r\nA.b: \xff\r\n7:8\r\n\r\n");
    let expect = [
        ("method", "POST"),
        ("target", "/a?b=c"),
        ("version", "HTTP/1.1"),
        ("header.host", ""),
        ("header.a\\.b", "\u{fffd}"),
        ("header.'7'", "8"),
    ];
    let found = check(&request, &expect);
    assert_eq!((&found.title[..], found.problems.len()), ("POST /a?b=c HTTP/1.1", 0));
    assert_eq!(found.field("header.a\\.b").map(|field| &field.value), Some(&Value::Bytes));
}

#[test]
fn names_every_part_of_an_answer() {
    let found = check(&answer_with("0\r\n\r\n"), &FIELDS);
    assert_eq!(found.title, "HTTP/1.1 404 Not Found");
    assert_eq!(found.field("status").map(|field| &field.value), Some(&Value::Uint(404)));
    assert_eq!(found.field("header.date").and_then(|field| field.mask), Some("time"));
    check(
        &frame(DOWN, b"HTTP/1.0 204\r\n\r\n"),
        &[("version", "HTTP/1.0"), ("status", "204"), ("reason", "")],
    );
    check(
        &frame(DOWN, b"HTTP/1.1 200 \xe9t\xe9\r\nContent-Length: 8\r\n\r\n{\"a\":12}"),
        &[
            ("version", "HTTP/1.1"),
            ("status", "200"),
            ("reason", "\u{fffd}t\u{fffd}"),
            ("header.content-length", "8"),
            ("body.a", "12"),
        ],
    );
}

#[test]
fn chunks_are_no_part_of_a_body_unless_they_go_through_a_field() {
    let check = |body: &str, fields: &[(&str, &str)], value: Value| {
        let found = check(&answer_with(body), &[&FIELDS[..], fields].concat());
        assert_eq!(found.field("body.a").map(|field| &field.value), Some(&value));
    };
    check("8\r\n{\"a\":12}\r\n0\r\n\r\n", &[("body.a", "12")], Value::Int(12));
    // Through a value, before and behind one, in the syntax, and all of that.
    check("6\r\n{\"a\":1\r\n2\r\n2}\r\n0\r\n\r\n", &[("body.a", "1\r\n2\r\n2")], Value::Int(12));
    check("5\r\n{\"a\":\r\n2\r\n12\r\n1\r\n}\r\n0\r\n\r\n", &[("body.a", "12")], Value::Int(12));
    check("2\r\n{\"\r\n6\r\na\":12}\r\n0\r\n\r\n", &[("body.a", "12")], Value::Int(12));
    let bytewise: String = "{\"a\":12}".chars().map(|c| format!("1;x\r\n{c}\r\n")).collect();
    check(&format!("{bytewise}0\r\n\r\n"), &[("body.a", "1\r\n1;x\r\n2")], Value::Int(12));
    check(
        "8\r\n{\"a\":12}\r\n0;x\r\nSum: 1\r\nSum: 2\r\n\r\n",
        &[("body.a", "12"), ("trailer.sum.0", "1"), ("trailer.sum.1", "2")],
        Value::Int(12),
    );
}

#[test]
fn what_is_wrong_with_a_body_is_where_it_travelled() {
    let whole = answer_with("6\r\n{\"a\":1\r\n2\r\n?}\r\n0\r\n\r\n");
    let found = check(&whole, &[&FIELDS[..], &[("body.a", "1"), ("body.unknown", "?}")]].concat());
    assert_eq!(found.problems.len(), 1);
    assert_eq!(&whole.bytes[found.problems[0].span.clone()], b"?");
}

#[test]
fn bodies_of_requests_are_frames_of_their_own() {
    let post =
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n4\r\n[1, \r\n2\r\n2]\r\n0\r\na: b\r\n\r\n";
    let body = &one_side(UP, post).frames[1];
    check(body, &[("body.0", "1"), ("body.1", "2"), ("trailer.a", "b")]);
    let piece = Frame { kind: PIECE, head_len: 0, bytes: body.bytes.clone() };
    check(&piece, &[("body", std::str::from_utf8(&body.bytes).expect("text"))]);
    let rest = Frame { kind: CHUNKED, head_len: 0, bytes: body.bytes.slice(3..) };
    check(&rest, &[("body", std::str::from_utf8(&rest.bytes).expect("text"))]);
    assert_eq!(Body::of(&rest), None);
}

/// Frames that no decoder made are read without a panic.
#[test]
fn a_frame_that_is_none_has_an_unknown_head() {
    for kind in [HEAD, WHOLE, RESPONSE, INTERIM, SWITCH] {
        for bytes in [&b"nonsense"[..], b"GET / HTTP/1.1\r\n", b"HTTP/1.1 200 OK\r\n"] {
            let frame = Frame { kind, head_len: bytes.len(), bytes: bytes::Bytes::from_static(bytes) };
            let found = dissect(&frame, &|_| None, &|_| Dissection::default());
            assert!(found.covers(bytes.len()));
            assert_eq!((found.field("unknown").is_some(), found.problems.len()), (true, 1));
        }
    }
}

#[test]
fn what_others_might_frame_otherwise_is_told() {
    #[track_caller]
    fn check(dir: Direction, stream: &str, expect: &[(&str, &str)]) {
        let frame = frame(dir, stream.as_bytes());
        let problems = dissect_head(&frame, &|_| None).problems;
        let found: Vec<_> = problems
            .iter()
            .map(|problem| {
                (std::str::from_utf8(&frame.bytes[problem.span.clone()]).expect("text"), &problem.what[..])
            })
            .collect();
        assert_eq!(found, expect);
    }
    let both = "POST / HTTP/1.1\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n";
    check(UP, both, &[("Content-Length: 3", "a length beside chunks, which count")]);
    let twice = "POST / HTTP/1.1\r\nContent-Length: 0\r\nContent-Length: 00\r\n\r\n";
    check(UP, twice, &[("Content-Length: 00", "the same length once more")]);
    let bodiless = "HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n";
    check(DOWN, bodiless, &[("Content-Length: 0", "the length of a body in an answer that has none")]);
    check(DOWN, "HTTP/1.1 304 Not Modified\r\nContent-Length: 3\r\n\r\n", &[]);
    check(UP, "GET / HTTP/1.1\r\nContent-Length: 0\r\n\r\n", &[]);
}

#[test]
fn headers_are_found_however_they_are_written() {
    let answer = answer_with("0\r\n\r\n");
    let response = Response::of(&answer).expect("an answer");
    assert_eq!((response.status, response.reason, response.version), (404, &b"Not Found"[..], Version(1)));
    assert_eq!((response.headers.get("VIA"), response.headers.get("nothing")), (Some(&b"a"[..]), None));
    assert_eq!(response.headers.all("via").collect::<Vec<_>>(), [b"a", b"b"]);
    assert!(response.headers.lists("transfer-encoding", "Chunked") && !response.headers.lists("via", "ab"));
    assert_eq!(Request::of(&answer), None);
    let request = frame(UP, b"HEAD /a HTTP/1.0\r\nConnection: close, Upgrade\r\nUpgrade: tcp\r\n\r\n");
    let request = Request::of(&request).expect("a request");
    assert!(request.is_head() && request.upgrade() && request.headers.lists("connection", "upgrade"));
}

#[test]
fn nothing_that_would_end_a_line_is_written() {
    for text in ["a\r\nb", "a\nb", "a\rb", "a\0", "\r\n"] {
        assert_eq!(request_head(text, "/", Version(1), &[]), Err(EncodeError::Method));
        assert_eq!(request_head("GET", text, Version(1), &[]), Err(EncodeError::Target));
        assert_eq!(response_head(200, text, Version(1), &[]), Err(EncodeError::Reason));
        assert_eq!(request_head("GET", "/", Version(1), &[(text, "")]), Err(EncodeError::Name));
        assert_eq!(response_head(200, "OK", Version(1), &[("a", text)]), Err(EncodeError::Value));
        assert_eq!(last_chunk(&[("a", text)]), Err(EncodeError::Value));
    }
    for (target, name, value) in [("", "a:", " a"), ("/ a", "", "a "), ("/\u{e9}", "\u{e9}", "\t")] {
        assert_eq!(request_head("GET", target, Version(1), &[]), Err(EncodeError::Target));
        assert_eq!(last_chunk(&[(name, "")]), Err(EncodeError::Name));
        assert_eq!(last_chunk(&[("a", value)]), Err(EncodeError::Value));
    }
    assert_eq!(
        [99, 1000].map(|status| response_head(status, "", Version(1), &[])),
        [Err(EncodeError::Status), Err(EncodeError::Status)]
    );
    assert_eq!((&chunk(b"")[..], &chunk(b"hello world")[..]), (&b""[..], &b"b\r\nhello world\r\n"[..]));
}
