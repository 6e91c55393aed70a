//! Properties over arbitrary streams, sensible and not, and a second reader that is simple.

use proptest::prelude::*;

use super::*;

/// A reader of whole streams of requests, as plain as can be: lines are split at CRLF, everything is looked for anew. It says
/// how long each part is, and nothing of why it stops.
mod plain {
    pub(super) fn requests(mut stream: &[u8]) -> Vec<(&'static str, usize)> {
        let mut parts = Vec::new();
        loop {
            let blank = stream.chunks_exact(2).take_while(|pair| *pair == b"\r\n").count() * 2;
            let Some((len, body)) = head(&stream[blank..]) else { return parts };
            let len = blank + len;
            parts.push((if matches!(body, Body::None) { "whole" } else { "head" }, len));
            stream = &stream[len..];
            let len = match body {
                Body::None => 0,
                Body::Sized(len) if stream.len() >= len => len,
                Body::Chunks if chunks(stream).is_some() => chunks(stream).unwrap_or(0),
                _ => return parts,
            };
            if len > 0 {
                parts.push(("body", len));
            }
            stream = &stream[len..];
        }
    }

    enum Body {
        None,
        Sized(usize),
        Chunks,
    }

    fn token(text: &str) -> bool {
        !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c))
    }

    /// Lines up to an empty one, and the length of all. An LF alone or a CR alone is in no line.
    fn lines(stream: &[u8]) -> Option<(Vec<&str>, usize)> {
        let end = stream.windows(4).position(|four| four == b"\r\n\r\n")?;
        let text = std::str::from_utf8(&stream[..end]).ok()?;
        let lines: Vec<_> = text.split("\r\n").collect();
        let plain = |line: &&str| line.chars().all(|c| c == '\t' || !c.is_ascii_control());
        lines.iter().all(plain).then_some((lines, end + 4))
    }

    fn headers<'a>(lines: &[&'a str]) -> Option<Vec<(String, &'a str)>> {
        let header = |line: &&'a str| {
            let (name, value) = line.split_once(':')?;
            token(name).then(|| (name.to_lowercase(), value.trim_matches([' ', '\t'])))
        };
        lines.iter().map(header).collect()
    }

    fn head(stream: &[u8]) -> Option<(usize, Body)> {
        let (lines, len) = lines(stream)?;
        let words: Vec<_> = lines[0].split(' ').collect();
        let [method, target, version] = words[..] else { return None };
        if !token(method) || target.is_empty() || !["HTTP/1.0", "HTTP/1.1"].contains(&version) {
            return None;
        }
        let headers = headers(&lines[1..])?;
        let of = |name: &str| headers.iter().filter(|h| h.0 == name).map(|h| h.1).collect::<Vec<_>>();
        let (lengths, codings) = (of("content-length"), of("transfer-encoding"));
        let mut length = None;
        for text in lengths {
            let number = text.parse::<u64>().ok().filter(|_| !text.contains('+'))?;
            if length.is_some_and(|length| length != number) {
                return None;
            }
            length = Some(number);
        }
        if codings.is_empty() {
            return Some((
                len,
                match length {
                    None | Some(0) => Body::None,
                    Some(length) => Body::Sized(usize::try_from(length).unwrap_or(usize::MAX)),
                },
            ));
        }
        let codings = codings.join(",");
        let codings: Vec<_> = codings.split(',').map(|coding| coding.trim_matches([' ', '\t'])).collect();
        let (last, before) = codings.split_last()?;
        let chunked = |coding: &str| coding.eq_ignore_ascii_case("chunked");
        let fine = chunked(last) && before.iter().all(|coding| token(coding) && !chunked(coding));
        (fine && version == "HTTP/1.1").then_some((len, Body::Chunks))
    }

    fn chunks(stream: &[u8]) -> Option<usize> {
        let mut at = 0;
        loop {
            let line = stream[at..].split(|byte| *byte == b'\n').next()?.strip_suffix(b"\r")?;
            let line = std::str::from_utf8(line).ok().filter(|_| at + line.len() + 2 <= stream.len())?;
            let (digits, more) = line.split_at(line.find(';').unwrap_or(line.len()));
            if digits.len() > 16
                || !digits.chars().all(|c| c.is_ascii_hexdigit())
                || more.contains(|c: char| c.is_ascii_control() && c != '\t')
            {
                return None;
            }
            let size = usize::from_str_radix(digits, 16).ok()?;
            at += line.len() + 2;
            if size == 0 {
                if stream[at..].starts_with(b"\r\n") {
                    return Some(at + 2);
                }
                let (trailers, len) = lines(&stream[at..])?;
                return headers(&trailers).map(|_| at + len);
            }
            let end = at.checked_add(size)?;
            if stream.get(end..end.checked_add(2)?)? != b"\r\n" {
                return None;
            }
            at = end + 2;
        }
    }
}

fn header() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => ("[Aa]-?[b.0]", "[ -~]{0,8}").prop_map(|(name, value)| format!("{name}: {value}")),
        3 => "[0-9]{1,2}".prop_map(|value| format!("Content-Length: {value}")),
        1 => "[ 0-9+,x]{0,4}".prop_map(|value| format!("Content-Length:{value}")),
        3 => Just("Transfer-Encoding: chunked".to_owned()),
        1 => "(gzip|chunked|x)?[ ,;]{0,2}(chunked|Chunked|gzip)?".prop_map(|value| format!("transfer-encoding: {value}")),
        1 => "[ -~\t]{0,6}",
    ]
}

fn body() -> impl Strategy<Value = String> {
    prop_oneof![
        2 => "[a-z]{0,20}",
        2 => prop::collection::vec("[a-z]{1,20}", 0..4).prop_map(|chunks| {
            let chunks = chunks.iter().map(|data| format!("{:x}\r\n{data}\r\n", data.len()));
            format!("{}0\r\n\r\n", chunks.collect::<String>())
        }),
        1 => "([0-9a-f]{1,2}(;[a-z=]{0,3})?\r\n[a-z\r\n]{0,12}(\r\n)?){0,3}(0\r\n(a: b\r\n)?\r\n)?",
    ]
}

fn request() -> impl Strategy<Value = String> {
    let line = prop_oneof![
        8 => Just("POST /a HTTP/1.1".to_owned()),
        1 => "(GET|HEAD|P@ST) ?/?[a-z]? HTTP/[012]\\.[01]",
    ];
    let end = prop_oneof![12 => Just("\r\n"), 1 => Just("\n"), 1 => Just("\r"), 1 => Just("\r\n ")];
    (line, prop::collection::vec((header(), end), 0..4), body()).prop_map(|(line, headers, body)| {
        let headers: String = headers.iter().map(|(header, end)| format!("{header}{end}")).collect();
        format!("{line}\r\n{headers}\r\n{body}")
    })
}

fn kind(kind: FrameKind) -> &'static str {
    match kind {
        HEAD => "head",
        WHOLE => "whole",
        _ => "body",
    }
}

proptest! {
    #[test]
    fn a_plain_reader_reads_the_same(requests in prop::collection::vec(request(), 1..4), piece in 1..50_usize) {
        let stream = requests.concat();
        let [client, _] = said(&[(UP, stream.as_bytes())], piece);
        let found: Vec<_> = client.frames.iter().map(|frame| (kind(frame.kind), frame.bytes.len())).collect();
        prop_assert_eq!(found, plain::requests(stream.as_bytes()), "{:?}: {:?}", stream, client.end);
    }

    /// What httparse reads of a head, and where it ends, is what is read here.
    #[test]
    fn httparse_reads_the_same_heads(headers in prop::collection::vec(("[a-zA-Z!-+.]{1,6}", "[ -~]{0,9}"), 0..80)) {
        let lines: String = headers.iter().map(|(name, value)| format!("x{name}:{value}\r\n")).collect();
        for (dir, first) in [(UP, "GET /a?b HTTP/1.0"), (DOWN, "HTTP/1.1 204 No Content")] {
            let head = format!("{first}\r\n{lines}\r\n");
            let mut room = vec![httparse::EMPTY_HEADER; 80];
            let (read, theirs) = if dir == UP {
                let mut request = httparse::Request::new(&mut room);
                (request.parse(head.as_bytes()), request.headers.to_vec())
            } else {
                let mut response = httparse::Response::new(&mut room);
                (response.parse(head.as_bytes()), response.headers.to_vec())
            };
            let said = said(&[(dir, head.as_bytes())], 9);
            let said = if dir == UP { &said[0] } else { &said[1] };
            prop_assert_eq!(read.is_ok(), said.end.is_ok());
            let Some(frame) = said.frames.first() else { continue };
            prop_assert_eq!(frame.bytes.len(), head.len());
            let ours = if dir == UP {
                Request::of(frame).expect("a request").headers
            } else {
                Response::of(frame).expect("an answer").headers
            };
            let theirs = theirs.iter().map(|header| (header.name, header.value));
            prop_assert!(ours.iter().map(|header| (header.name, header.value)).eq(theirs));
        }
    }

    #[test]
    fn splits_do_not_matter_and_every_byte_is_accounted_for(
        requests in prop::collection::vec(request(), 0..4),
        answers in prop::collection::vec(
            prop_oneof![
                Just("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc"),
                Just("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"),
                Just("HTTP/1.1 101 UPGRADED\r\n\r\nraw"),
                Just("HTTP/1.1 100 Continue\r\n\r\n"),
                Just("HTTP/1.1 204 No Content\r\n\r\n"),
                Just("HTTP/1.0 404 Not Found\r\n\r\nrest"),
                Just("HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\n"),
            ],
            0..5,
        ),
        piece in 1..40_usize,
    ) {
        let (requests, answers) = (requests.concat(), answers.concat());
        let mut turns = vec![(UP, requests.as_bytes()), (DOWN, answers.as_bytes())];
        turns.extend([(UP, &b""[..]), (DOWN, b"")]);
        let whole = said(&turns, usize::MAX);
        for (said, stream) in whole.iter().zip([&requests, &answers]) {
            let mut seen: Vec<u8> = said.frames.iter().flat_map(|frame| frame.bytes.to_vec()).collect();
            seen.extend_from_slice(&said.left);
            prop_assert_eq!(&seen, stream.as_bytes());
        }
        prop_assert_eq!(whole, said(&turns, piece));
    }

    #[test]
    fn what_is_written_is_read(
        target in "/[a-z?=&%]{0,20}",
        value in "([!-~]([ -~]{0,20}[!-~])?)?",
        data in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..300), 0..6),
        piece in 1..400_usize,
    ) {
        let headers = [("Transfer-Encoding", "chunked"), ("X-Value", &value)];
        let head = request_head("PUT", &target, Version(1), &headers).expect("well formed");
        let chunks: Vec<u8> = data.iter().flat_map(|data| chunk(data)).collect();
        let last = last_chunk(&[("Sum", &value)]).expect("well formed");
        let [client, _] = said(&[(UP, &[&head[..], &chunks, &last].concat())], piece);
        prop_assert_eq!(client.end, Ok(()));
        let [asks, body] = &client.frames[..] else { panic!("{:?}", client.frames) };
        let request = Request::of(asks).expect("a request");
        prop_assert_eq!((request.method, request.target), ("PUT", &target[..]));
        prop_assert_eq!(request.headers.get("x-value"), Some(value.as_bytes()));
        let body = Body::of(body).expect("whole");
        prop_assert_eq!(&*body.data, data.concat());
        prop_assert_eq!(body.trailers, [("Sum".to_owned(), value.into_bytes())]);
    }
}
