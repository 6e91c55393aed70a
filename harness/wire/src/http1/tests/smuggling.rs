//! Two readers that disagree on where a message ends are what smuggling needs. What is ambiguous is refused, with the name of
//! what is wrong.

use super::*;

/// What becomes of a message: the field that is refused and where, counted from its first byte, or the kinds and lengths of
/// frames.
#[track_caller]
fn check(dir: Direction, message: &str, expect: Result<&[(FrameKind, usize)], (&'static str, usize)>) {
    for piece in [1, 5, usize::MAX] {
        let [client, server] = said(&[(dir, message.as_bytes())], piece);
        let said = if dir == UP { client } else { server };
        match (expect, said.end) {
            (Ok(frames), Ok(())) => {
                assert_eq!((&lens(&said)[..], said.left.len()), (frames, 0), "{message:?}")
            }
            (Err((field, at)), Err(found)) => {
                assert_eq!((found.field, found.offset), (field, at as u64), "{message:?}");
                assert_eq!(found.kind, DecodeErrorKind::Syntax, "{message:?}");
            }
            (_, found) => panic!("{message:?}: {found:?}, {:?}", lens(&said)),
        }
    }
}

/// A request with that header behind a line of 16 bytes.
#[track_caller]
fn check_header(header: &str, expect: Result<&[(FrameKind, usize)], (&'static str, usize)>) {
    check(UP, &format!("PUT /a HTTP/1.1\r\n{header}\r\n\r\n"), expect);
}

#[test]
fn content_length_is_digits() {
    for value in [
        "",
        "+5",
        "-5",
        "5 5",
        "5,5",
        "5, 5",
        "5;",
        "0x5",
        "5a",
        "\"5\"",
        "5.0",
        "１",
        "18446744073709551616",
    ] {
        check_header(&format!("Content-Length: {value}"), Err(("content-length", 17)));
    }
    for value in ["5", "05", "00000000000000000000000000000005", "18446744073709551615", "\t 5 \t"] {
        let header = format!("cOntent-length:{value}");
        check_header(&header, Ok(&[(HEAD, 17 + header.len() + 4)]));
    }
    check(DOWN, "HTTP/1.1 200 OK\r\nContent-Length: +0\r\n\r\n", Err(("content-length", 17)));
    // Also where there is no body.
    check(DOWN, "HTTP/1.1 204 OK\r\nContent-Length: x\r\n\r\n", Err(("content-length", 17)));
}

#[test]
fn several_lengths_are_one_or_none() {
    check_header("Content-Length: 5\r\nContent-Length: 6", Err(("content-length", 36)));
    check_header("Content-Length: 5\r\na: b\r\ncontent-length: 5", Ok(&[(HEAD, 63)]));
    check_header("Content-Length: 0\r\nContent-Length: 5", Err(("content-length", 36)));
}

#[test]
fn chunks_count_where_a_length_stands_beside_them() {
    let both = "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0";
    check_header(both, Ok(&[(HEAD, 66), (CHUNKED, 15)]));
    let both = "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n5\r\nhello\r\n0";
    check_header(both, Ok(&[(HEAD, 66), (CHUNKED, 15)]));
    let response = format!("HTTP/1.1 200 O\r\n{both}\r\n\r\n");
    check(DOWN, &response, Ok(&[(RESPONSE, 80)]));
    // A length that is none is refused all the same.
    check_header("Content-Length: x\r\nTransfer-Encoding: chunked", Err(("content-length", 17)));
}

#[test]
fn chunked_is_the_last_coding_and_comes_once() {
    for value in [
        "",
        "chunked, chunked",
        "chunked,",
        ",chunked",
        "chunked, gzip",
        "gzip",
        "xchunked",
        "chunkedx",
        "identity",
        "chunked;a=b",
        "gzip;q=1, chunked",
        "chunked gzip",
        "\"chunked\"",
        "chunked\u{a0}",
        "gzip chunked",
        "chunked, identity",
    ] {
        check_header(&format!("Transfer-Encoding: {value}"), Err(("transfer-encoding", 17)));
    }
    for value in ["chunked", "CHUNKED", "gzip, chunked", "gzip,\tchunked", " chunked \t"] {
        let header = format!("Transfer-Encoding:{value}");
        check_header(&format!("{header}\r\n\r\n0"), Ok(&[(HEAD, 17 + header.len() + 4), (CHUNKED, 5)]));
    }
    check_header(
        "Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n0",
        Ok(&[(HEAD, 72), (CHUNKED, 5)]),
    );
    check_header("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", Err(("transfer-encoding", 45)));
    check_header("Transfer-Encoding: chunked\r\nTransfer-Encoding: gzip", Err(("transfer-encoding", 45)));
    // In HTTP/1.0 it is faulty.
    check(UP, "PUT / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", Err(("transfer-encoding", 16)));
    check(DOWN, "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", Err(("transfer-encoding", 17)));
}

#[test]
fn an_answer_of_another_coding_goes_on_to_the_end() {
    let answer = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n0\r\n\r\n";
    super::check(&[(DOWN, answer), (DOWN, b"")], &[], &[(RESPONSE, 49)]);
    let with_length = "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\nContent-Length: 0\r\n\r\n";
    check(DOWN, with_length, Err(("transfer-encoding", 17)));
    check(
        DOWN,
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, gzip\r\n\r\n",
        Err(("transfer-encoding", 17)),
    );
}

#[test]
fn lines_and_headers_are_what_they_are() {
    for (header, field, at) in [
        // A line that goes on in the next one.
        ("a: b\r\n c: d", "header-name", 23),
        ("a: b\r\n\tc", "header-name", 23),
        (" a: b", "header-name", 17),
        // Bare LF, bare CR.
        ("a: b\nContent-Length: 5", "line-end", 21),
        ("a: b\rContent-Length: 5", "header-value", 17),
        ("a: b\n", "line-end", 21),
        ("a: b\r\n\n", "line-end", 23),
        // White space before the colon, and in a name.
        ("Content-Length : 5", "header-name", 17),
        ("Content-Length\t: 5", "header-name", 17),
        ("Content Length: 5", "header-name", 17),
        ("a: b\r\nContent-Length: 5\r\nTransfer-Encoding : chunked", "header-name", 42),
        (": b", "header-name", 17),
        ("b", "header-name", 17),
        ("a\u{b}: b", "header-name", 17),
        ("a(b): c", "header-name", 17),
        // NUL and controls.
        ("a: b\0c", "header-value", 17),
        ("a: \u{1}", "header-value", 17),
        ("a: b\u{7f}", "header-value", 17),
        ("Transfer-Encoding: \u{b}chunked", "header-value", 17),
    ] {
        check_header(header, Err((field, at)));
    }
    check_header("a: \tb\u{e9} \r\nb:", Ok(&[(WHOLE, 33)]));
}

#[test]
fn first_lines_are_what_they_are() {
    for (line, field) in [
        ("GET", "start-line"),
        ("GET /", "start-line"),
        ("GET / ", "version"),
        ("GET  / HTTP/1.1", "start-line"),
        ("GET /  HTTP/1.1", "version"),
        ("GET / HTTP/1.1 ", "start-line"),
        ("GET / http/1.1", "version"),
        ("GET / HTTP/1.2", "version"),
        ("GET / HTTP/2.0", "version"),
        ("GET / HTTP/9.9", "version"),
        ("GET /a b HTTP/1.1", "version"),
        ("G\0T / HTTP/1.1", "start-line"),
        (" GET / HTTP/1.1", "start-line"),
        ("\u{16}\u{3}\u{1}", "start-line"),
        ("nonsense", "start-line"),
    ] {
        check(UP, &format!("{line}\r\n"), Err((field, 0)));
        check(UP, &format!("{line}\r\na: b\nc\r\n\r\n"), Err((field, 0)));
    }
    for (line, field) in [
        ("", "start-line"),
        ("HTTP/1.1", "version"),
        ("HTTP/1.1 ", "status"),
        ("HTTP/1.1 20 OK", "status"),
        ("HTTP/1.1 2000 OK", "status"),
        ("HTTP/1.1 +20 OK", "status"),
        ("HTTP/2.0 200 OK", "version"),
        ("\0\0\u{12}\u{4}", "version"),
    ] {
        check(DOWN, &format!("{line}\r\na: b\r\n\r\n"), Err((field, 0)));
    }
    check(DOWN, "HTTP/1.1 099 OK\r\n\r\n", Err(("status", 0)));
    for line in ["HTTP/1.1 204", "HTTP/1.1 204 ", "HTTP/1.1 204 \u{e9}t\u{e9}", "HTTP/1.0 204 No Content"] {
        check(DOWN, &format!("{line}\r\n\r\n"), Ok(&[(RESPONSE, line.len() + 4)]));
    }
}

#[test]
fn the_preface_of_http2_is_no_request() {
    check(UP, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", Err(("version", 0)));
    check(UP, "PRI * HTTP/2.0", Err(("version", 0)));
}

#[test]
fn chunks_are_what_they_are() {
    for (body, field, at) in [
        ("\r\n", "chunk-size", 0),
        (";a=b\r\n", "chunk-size", 0),
        ("ZZZ\r\n", "chunk-size", 0),
        ("+5\r\n", "chunk-size", 0),
        ("-5\r\n", "chunk-size", 0),
        ("0x5\r\n", "chunk-size", 0),
        (" 5\r\n", "chunk-size", 0),
        ("5 \r\n", "chunk-size", 0),
        ("5 ;a=b\r\n", "chunk-size", 0),
        ("5\t\r\n", "chunk-size", 0),
        ("5 5\r\n", "chunk-size", 0),
        ("5_0\r\n", "chunk-size", 0),
        ("5.\r\n", "chunk-size", 0),
        ("00000000000000005\r\n", "chunk-size", 0),
        ("10000000000000000\r\n", "chunk-size", 0),
        // Bare LF and CR.
        ("5\nhello\r\n", "line-end", 1),
        ("5;a\nhello\r\n", "line-end", 3),
        ("5\r\r\nhello\r\n", "chunk-size", 0),
        ("5;a\rb\r\n", "chunk-extension", 1),
        ("5;a\0\r\n", "chunk-extension", 1),
        // What is behind the data.
        ("5\r\nhello0\r\n\r\n", "chunk-end", 8),
        ("5\r\nhello\n", "chunk-end", 8),
        ("5\r\nhello\rx", "chunk-end", 8),
        ("5\r\nhello!\r\n", "chunk-end", 8),
        // Trailers.
        ("0\r\na\r\n\r\n", "header-name", 3),
        ("0\r\na: b\n\r\n", "line-end", 7),
        ("0\r\na: b\r\n\n", "line-end", 9),
        ("0\r\na: b\r\n c\r\n\r\n", "header-name", 9),
        ("0\r\n\n", "line-end", 3),
    ] {
        const POST: &str = "PUT /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n";
        check(UP, &format!("{POST}{body}"), Err((field, POST.len() + at)));
    }
    for body in [
        "0\r\n\r\n",
        "000;x\r\na: b\r\n\r\n",
        "A;a=\"b;c\";d\r\n0123456789\r\n0\r\n\r\n",
        "0000000000000001\r\na\r\n0\r\n\r\n",
    ] {
        check_header(
            &format!("Transfer-Encoding: chunked\r\n\r\n{}", &body[..body.len() - 4]),
            Ok(&[(HEAD, 47), (CHUNKED, body.len())]),
        );
    }
}
