//! Which frames conversations come to, and what is refused. Recorded conversations are in [`golden`], properties over arbitrary
//! streams in [`properties`], what frames say in [`views`].

mod golden;
mod properties;
mod smuggling;
mod views;

use bytes::BytesMut;

use super::*;
use crate::fuzz::http1::{Both, Said};
use crate::{DecodeError, DecodeErrorKind, Decoder, Direction, Frame};

const UP: Direction = Direction::ToServer;
const DOWN: Direction = Direction::ToClient;

/// Who says what in turn; nothing is the end of that side.
type Turns<'t> = &'t [(Direction, &'t [u8])];

fn both() -> Both {
    Both::of([Box::new(MessageDecoder::new(UP)), Box::new(MessageDecoder::new(DOWN))])
}

/// Both sides of a conversation, each in pieces of that length.
fn said(turns: Turns<'_>, piece: usize) -> [Said; 2] {
    let mut both = both();
    for (dir, bytes) in turns {
        bytes.chunks(piece).for_each(|bytes| both.say(*dir, bytes, [0, 0]));
        if bytes.is_empty() {
            both.end(*dir);
        }
    }
    both.finish()
}

/// The frames of both sides as kind and length, in pieces of several lengths; and how each side ended.
#[track_caller]
fn check_ends(turns: Turns<'_>, expect: [&[(FrameKind, usize)]; 2], ends: [Result<(), DecodeError>; 2]) {
    for piece in [1, 2, 3, 7, 64, usize::MAX] {
        let said = said(turns, piece);
        for ((said, expect), end) in said.iter().zip(expect).zip(ends) {
            let found: Vec<_> = said.frames.iter().map(|frame| (frame.kind, frame.bytes.len())).collect();
            assert_eq!((&found[..], said.end), (expect, end), "in pieces of {piece}");
        }
    }
}

#[track_caller]
fn check(turns: Turns<'_>, client: &[(FrameKind, usize)], server: &[(FrameKind, usize)]) {
    check_ends(turns, [client, server], [Ok(()); 2]);
}

fn error(kind: DecodeErrorKind, field: &'static str, offset: u64) -> Result<(), DecodeError> {
    Err(DecodeError { kind, field, offset })
}

const GET: &[u8] = b"GET / HTTP/1.1\r\n\r\n";
const HEAD_OF: &[u8] = b"HEAD / HTTP/1.1\r\n\r\n";
const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n";
const UPGRADE: &[u8] = b"GET / HTTP/1.1\r\nUpgrade: tcp\r\n\r\n";
const SWITCHES: &[u8] = b"HTTP/1.1 101 UPGRADED\r\n\r\n";

#[test]
fn how_long_an_answer_is_depends_on_its_request_and_its_status() {
    check(&[(UP, GET), (DOWN, OK), (DOWN, b"ok")], &[(WHOLE, 18)], &[(RESPONSE, 40)]);
    check(&[(UP, HEAD_OF), (DOWN, OK)], &[(WHOLE, 19)], &[(RESPONSE, 38)]);
    // Answers come in turn.
    let asked = [HEAD_OF, GET, HEAD_OF].concat();
    let answered = [OK, OK, b"ok", OK].concat();
    let (client, server) =
        ([(WHOLE, 19), (WHOLE, 18), (WHOLE, 19)], [(RESPONSE, 38), (RESPONSE, 40), (RESPONSE, 38)]);
    check(&[(UP, &asked), (DOWN, &answered)], &client, &server);
    let unmodified = b"HTTP/1.1 304 \r\nContent-Length: 2\r\n\r\n";
    check(&[(UP, GET), (DOWN, unmodified), (DOWN, b"")], &[(WHOLE, 18)], &[(RESPONSE, 36)]);
    check(&[(UP, GET), (DOWN, b"HTTP/1.1 204 No Content\r\n\r\n")], &[(WHOLE, 18)], &[(RESPONSE, 27)]);
    let early = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\n\r\n";
    let last = [&early[..], OK].concat();
    check(&[(UP, HEAD_OF), (DOWN, &last)], &[(WHOLE, 19)], &[(INTERIM, 25), (INTERIM, 28), (RESPONSE, 38)]);
}

#[test]
fn an_answer_to_nothing_is_framed() {
    let late = b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n";
    check(&[(DOWN, late)], &[], &[(RESPONSE, 51)]);
    check(&[(DOWN, OK), (DOWN, b"ok"), (DOWN, late)], &[], &[(RESPONSE, 40), (RESPONSE, 51)]);
}

#[test]
fn a_body_may_go_on_to_the_end() {
    let rest = b"HTTP/1.0 200 OK\r\n\r\nhello";
    check(&[(UP, GET), (DOWN, rest), (DOWN, b"")], &[(WHOLE, 18)], &[(RESPONSE, 24)]);
    check(&[(UP, GET), (DOWN, rest)], &[(WHOLE, 18)], &[]);
    check(&[(UP, GET), (DOWN, &rest[..19]), (DOWN, b"")], &[(WHOLE, 18)], &[(RESPONSE, 19)]);
    // A request without a length has no body, also in HTTP/1.0.
    check(&[(UP, b"POST / HTTP/1.0\r\n\r\nGET / HTTP/1.0\r\n\r\n")], &[(WHOLE, 19), (WHOLE, 18)], &[]);
}

#[test]
fn the_head_of_a_request_comes_before_its_body() {
    let sized = b"POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello";
    check(&[(UP, &sized[..38])], &[(HEAD, 38)], &[]);
    check(&[(UP, sized), (UP, GET)], &[(HEAD, 38), (BODY, 5), (WHOLE, 18)], &[]);
    check(
        &[(UP, b"POST / HTTP/1.1\r\nContent-Length: 0\r\n\r\n"), (UP, GET)],
        &[(WHOLE, 38), (WHOLE, 18)],
        &[],
    );
    let chunked =
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5;a=b\r\nhello\r\n00\r\nSum: 1\r\n\r\n";
    check(&[(UP, chunked), (UP, GET)], &[(HEAD, 47), (CHUNKED, 28), (WHOLE, 18)], &[]);
    // A server may answer before it has all of it.
    check(
        &[(UP, &sized[..38]), (DOWN, OK), (DOWN, b"ok"), (UP, &sized[38..])],
        &[(HEAD, 38), (BODY, 5)],
        &[(RESPONSE, 40)],
    );
}

#[test]
fn empty_lines_before_a_request_belong_to_it() {
    check(
        &[(UP, b"\r\n\r\n"), (UP, GET), (UP, b"\r\n"), (UP, HEAD_OF), (DOWN, OK), (DOWN, b"ok"), (DOWN, OK)],
        &[(WHOLE, 22), (WHOLE, 21)],
        &[(RESPONSE, 40), (RESPONSE, 38)],
    );
}

#[test]
fn behind_101_both_directions_are_raw() {
    let asks = &[(UP, UPGRADE), (DOWN, SWITCHES)];
    check(asks, &[(WHOLE, 32)], &[(SWITCH, 25)]);
    let turns =
        [&asks[..], &[(DOWN, b"\x01\0"), (UP, b"GET"), (DOWN, b"\0"), (UP, b""), (DOWN, b"")]].concat();
    check(&turns, &[(WHOLE, 32), (RAW, 3)], &[(SWITCH, 25), (RAW, 3)]);
    // The client does not wait, and may have ended before the answer.
    let eager = [(UP, UPGRADE), (UP, b"raw"), (DOWN, SWITCHES), (UP, b"more"), (UP, b"")];
    check(&eager, &[(WHOLE, 32), (RAW, 7)], &[(SWITCH, 25)]);
    check(
        &[(UP, UPGRADE), (UP, b"raw"), (UP, b""), (DOWN, SWITCHES)],
        &[(WHOLE, 32), (RAW, 3)],
        &[(SWITCH, 25)],
    );
    // The answer may come before all of the body.
    let with_body = b"POST / HTTP/1.1\r\nUpgrade: tcp\r\nContent-Length: 2\r\n\r\n";
    let turns = [(UP, &with_body[..]), (DOWN, SWITCHES), (UP, b"{}raw"), (UP, b"")];
    check(&turns, &[(HEAD, 52), (BODY, 2), (RAW, 3)], &[(SWITCH, 25)]);
    // It is the server that broke its word where nobody asked for it.
    check(
        &[(UP, GET), (DOWN, SWITCHES), (DOWN, b"raw"), (UP, GET), (DOWN, b"")],
        &[(WHOLE, 18), (WHOLE, 18)],
        &[(SWITCH, 25), (RAW, 3)],
    );
}

#[test]
fn behind_an_upgrade_that_is_refused_there_is_the_next_request() {
    let refused = b"HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\nno";
    let turns = [(UP, UPGRADE), (UP, HEAD_OF), (DOWN, refused), (DOWN, OK)];
    check(&turns, &[(WHOLE, 32), (WHOLE, 19)], &[(RESPONSE, 47), (RESPONSE, 38)]);
    // Also where an answer to a request before comes first.
    let turns = [(UP, GET), (UP, UPGRADE), (UP, GET), (DOWN, OK), (DOWN, b"ok"), (DOWN, refused)];
    check(&turns, &[(WHOLE, 18), (WHOLE, 32), (WHOLE, 18)], &[(RESPONSE, 40), (RESPONSE, 47)]);
    // An interim answer decides nothing.
    let turns = [(UP, UPGRADE), (UP, b"raw"), (DOWN, b"HTTP/1.1 100 Continue\r\n\r\n"), (UP, b"")];
    check(&turns, &[(WHOLE, 32)], &[(INTERIM, 25)]);
}

#[test]
fn what_is_raw_is_cut_at_its_limit() {
    let turns = |len| {
        let raw = vec![0; len];
        let said = said(&[(UP, UPGRADE), (DOWN, SWITCHES), (DOWN, &raw)], 1 << 16);
        said.map(|said| said.frames.iter().map(|frame| frame.bytes.len()).collect::<Vec<_>>())
    };
    assert_eq!(turns(RAW_LEN_MAX)[1], [25], "more may belong to it");
    assert_eq!(turns(RAW_LEN_MAX + 1)[1], [25, RAW_LEN_MAX]);
}

/// Decodes one direction whole and in large pieces, which must be the same.
#[track_caller]
fn one_side(dir: Direction, stream: &[u8]) -> Said {
    let run = |piece| {
        let [client, server] = said(&[(dir, stream), (dir, b"")], piece);
        if dir == UP { client } else { server }
    };
    let (whole, pieces) = (run(usize::MAX), run(4093));
    assert!(whole == pieces, "splits do not matter");
    whole
}

fn lens(said: &Said) -> Vec<(FrameKind, usize)> {
    said.frames.iter().map(|frame| (frame.kind, frame.bytes.len())).collect()
}

#[test]
fn long_bodies_of_requests_come_in_pieces() {
    let post = |len: usize| format!("POST / HTTP/1.1\r\nContent-Length: {len}\r\n\r\n").into_bytes();
    for (len, expect) in [
        (BODY_PIECE_MAX, &[(BODY, BODY_PIECE_MAX)][..]),
        (BODY_PIECE_MAX + 1, &[(PIECE, BODY_PIECE_MAX), (BODY, 1)]),
        (2 * BODY_PIECE_MAX, &[(PIECE, BODY_PIECE_MAX), (BODY, BODY_PIECE_MAX)]),
    ] {
        let body = (0..len).map(|at| u8::try_from(at % 251).expect("a byte")).collect::<Vec<_>>();
        let said = one_side(UP, &[post(len), body.clone(), GET.to_vec()].concat());
        let found = lens(&said);
        assert_eq!((&found[1..found.len() - 1], said.end), (expect, Ok(())));
        let joined = Body::join(&said.frames[1..found.len() - 1].iter().collect::<Vec<_>>()).expect("whole");
        assert!(*joined.data == body);
    }
}

#[test]
fn long_bodies_in_chunks_come_in_pieces_that_can_be_joined() {
    let head = b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n";
    for size in [1_usize, 100, 4096, 65_536, BODY_PIECE_MAX - 7, BODY_PIECE_MAX, 3 * BODY_PIECE_MAX] {
        let body =
            (0..size.max(2_500_000)).map(|at| u8::try_from(at % 251).expect("a byte")).collect::<Vec<_>>();
        let body = if size == 1 { &body[..300_000] } else { &body };
        let chunks: Vec<_> = body.chunks(size).map(chunk).collect();
        let sent = [&chunks.concat()[..], &last_chunk(&[("Sum", "1")]).expect("a trailer")].concat();
        let said = one_side(UP, &[&head[..], &sent, GET].concat());
        let (last, frames) = said.frames[1..].split_last().expect("a request");
        assert_eq!((last.kind, said.end), (WHOLE, Ok(())));
        assert!(frames.len() > 1 && frames.iter().all(|frame| frame.bytes.len() <= BODY_PIECE_MAX));
        assert!(frames.iter().flat_map(|frame| frame.bytes.to_vec()).eq(sent));
        let joined = Body::join(&frames.iter().collect::<Vec<_>>()).expect("whole");
        assert!(*joined.data == *body, "{size}");
        assert_eq!(joined.trailers, [("Sum".to_owned(), b"1".to_vec())]);
    }
}

#[test]
fn limits_and_one_more() {
    #[track_caller]
    fn check(dir: Direction, stream: &[u8], above: Option<(&'static str, usize, u64)>) {
        let end = one_side(dir, stream).end;
        let expect = above.map_or(Ok(()), |(field, limit, offset)| {
            let limit = limit as u64;
            error(DecodeErrorKind::AboveLimit { announced: limit + 1, limit }, field, offset)
        });
        assert_eq!(end, expect);
    }
    let head = |len: usize| {
        let front = b"GET / HTTP/1.1\r\na: ";
        [&front[..], &vec![b'x'; len - front.len() - 4], b"\r\n\r\n"].concat()
    };
    check(UP, &head(HEAD_LEN_MAX), None);
    check(UP, &head(HEAD_LEN_MAX + 1), Some(("head", HEAD_LEN_MAX, 0)));
    // What else is wrong with such a head does not matter.
    let wrong = [b"GET / HTTP/1.1\r\nContent-Length: x\r\n", &head(HEAD_LEN_MAX)[16..]].concat();
    check(UP, &wrong, Some(("head", HEAD_LEN_MAX, 0)));
    let headers = |count: usize| [b"GET / HTTP/1.1\r\n", &b"a: b\r\n".repeat(count)[..], b"\r\n"].concat();
    for count in [63, 64, 1023, 1024, 20_000, LINES_MAX - 1] {
        check(UP, &headers(count), None);
    }
    check(UP, &headers(LINES_MAX), Some(("headers", LINES_MAX, 0)));
    let post = b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n";
    let line = |len: usize| [&post[..], b"1;", &vec![b'x'; len - 4], b"\r\na\r\n0\r\n\r\n"].concat();
    check(UP, &line(CHUNK_LINE_MAX), None);
    check(UP, &line(CHUNK_LINE_MAX + 1), Some(("chunk-line", CHUNK_LINE_MAX, 47)));
    let trailers = |len: usize| [&post[..], b"0\r\na: ", &vec![b'x'; len - 7], b"\r\n\r\n"].concat();
    check(UP, &trailers(TRAILERS_LEN_MAX), None);
    check(UP, &trailers(TRAILERS_LEN_MAX + 1), Some(("trailers", TRAILERS_LEN_MAX, 50)));
    let limit = usize::try_from(BODY_LEN_MAX).expect("in memory");
    let length = |len: usize| format!("HTTP/1.1 200 OK\r\nContent-Length: {len}\r\n\r\n").into_bytes();
    check(DOWN, &length(limit + 1), Some(("content-length", limit, 0)));
    let chunks = |len: usize| {
        format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n{len:x}\r\n").into_bytes()
    };
    check(DOWN, &chunks(limit), Some(("chunk-size", limit, 53)));
    let got = one_side(DOWN, &length(limit)).end;
    assert!(matches!(got, Err(DecodeError { kind: DecodeErrorKind::Truncated { .. }, .. })), "{got:?}");
    check(DOWN, &[b"HTTP/1.1 200 OK\r\n\r\n", &vec![0; limit][..]].concat(), None);
    check(DOWN, &[b"HTTP/1.1 200 OK\r\n\r\n", &vec![0; limit + 1][..]].concat(), Some(("body", limit, 19)));
}

/// Chunks of one byte with extensions would be kept without end.
#[test]
fn what_chunks_cost_beside_their_data_has_a_limit() {
    let chunk = [b"1;", &[b'x'; CHUNK_LINE_MAX - 4][..], b"\r\na\r\n"].concat();
    let mut decoder = MessageDecoder::new(DOWN);
    let mut src = BytesMut::from(&b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"[..]);
    let end = loop {
        src.extend_from_slice(&chunk.repeat(256));
        match decoder.decode(&mut src) {
            Ok(found) => assert_eq!(found, None),
            Err(error) => break error,
        }
        assert!(src.len() as u64 <= BODY_LEN_MAX + (2 << 20));
    };
    assert_eq!(end.field, "chunk-line");
}

#[test]
fn says_what_is_missing_when_the_stream_ends() {
    #[track_caller]
    fn check(dir: Direction, stream: &[u8], field: &'static str, offset: u64, needed: u64) {
        let got = stream.len() as u64 - offset;
        assert_eq!(
            one_side(dir, stream).end,
            error(DecodeErrorKind::Truncated { needed, got }, field, offset)
        );
    }
    check(UP, b"GET / HT", "head", 0, 9);
    check(UP, b"POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\n", "body", 38, 5);
    check(UP, b"POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\nhell", "body", 38, 5);
    const CHUNKS: &str = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    for (body, field, offset, needed) in [
        ("", "chunk-size", 0, 1),
        ("5", "chunk-size", 0, 2),
        ("5\r\nhel", "chunk", 3, 7),
        ("5\r\nhello", "chunk-end", 8, 2),
        ("5\r\nhello\r", "chunk-end", 8, 2),
        ("5\r\nhello\r\n", "chunk-size", 10, 1),
        ("0\r\n", "trailers", 3, 1),
        ("0\r\na: b\r\n", "trailers", 3, 7),
    ] {
        check(DOWN, format!("{CHUNKS}{body}").as_bytes(), field, CHUNKS.len() as u64 + offset, needed);
    }
}

#[test]
fn waits_for_the_longest_body_without_reserving_for_it() {
    let mut decoder = MessageDecoder::new(DOWN);
    let mut src = BytesMut::from(&format!("HTTP/1.1 200 OK\r\nContent-Length: {BODY_LEN_MAX}\r\n\r\n")[..]);
    let (capacity, head_len) = (src.capacity(), src.len());
    assert_eq!(decoder.decode(&mut src), Ok(None));
    assert_eq!((src.capacity(), decoder.needs() as u64), (capacity, head_len as u64 + BODY_LEN_MAX));
}

/// What was looked at is not looked at again: twice the bytes take twice the time, not four times.
#[test]
fn a_body_that_comes_byte_by_byte_is_looked_at_once() {
    let bodies: [Vec<u8>; 3] = [
        [b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n", &vec![b'x'; 1_000_000][..]].concat(),
        [
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
            &b"1\r\na\r\n".repeat(200_000)[..],
            b"0\r\n\r\n",
        ]
        .concat(),
        [b"HTTP/1.1 200 OK\r\na: ", &vec![b'x'; 1_000_000][..], b"\r\nContent-Length: 0\r\n\r\n"].concat(),
    ];
    for body in bodies {
        let mut decoder = MessageDecoder::new(DOWN);
        // Looking at all of it each time would be 10^12 bytes, which no machine does in the time of a test.
        let found = (1..=body.len()).find_map(|len| decoder.next_extent(&body[..len]).expect("in step"));
        assert_eq!(found.map(|extent| extent.len), Some(body.len()));
    }
}

#[test]
fn frames_share_the_memory_of_what_came() {
    let stream = bytes::Bytes::from([OK, b"ok", OK, b"ok"].concat());
    let (mut decoder, mut rest) = (MessageDecoder::new(DOWN), stream.clone());
    for at in [0, 40] {
        let frame: Frame = decoder.decode_shared(&mut rest).expect("in step").expect("complete");
        assert_eq!(frame.bytes.as_ptr(), stream.slice(at..).as_ptr());
        assert_eq!((frame.head().len(), frame.payload()), (38, &b"ok"[..]));
    }
}
