//! What is asked of every daemon: the generic probes, and those of two [texts](protocol::probe::text), in which bytes are
//!
//! ```text
//! send get /_ping                                  GET of a target
//! send post /containers/create json "{}"           a request with a body, and its length
//! send "GET /_ping HTTP/1.1\r\n" "a"*3 count*2     bytes: texts with escapes, how often each comes, and 00 01 … ff
//! ```

use bytes::Bytes;
use matrix::{CaseId, CaseKind};
use protocol::probe::text::{self, Row};
use protocol::probe::{self, AboveLimit, Answers, Bad, Clients, Description, Lengths};
use protocol::{Case, Hazard};

/// Recorded of four releases.
const RECORDED: &str = include_str!("probes/recorded.txt");
/// Not recorded.
const MORE: &str = include_str!("probes/more.txt");

/// A harmless request.
const PING: &str = "GET /_ping HTTP/1.1\r\nHost: d\r\n\r\n";

/// The probe that leaves something behind: an image.
const MAKES_IMAGE: &str = "expect-100-continue";

/// All probes.
pub(crate) fn all() -> Vec<Case> {
    let d = description();
    let generic = probe::generic(&d);
    let (recorded, more) = (rows(RECORDED), rows(MORE));
    let is_generic = |row: &&Row| generic.iter().any(|case| &*case.id.name == row.name);
    let own = recorded.iter().chain(&more).filter(|row| !is_generic(row)).map(|row| row.case(&d, ""));
    let own: Vec<_> = own.collect();
    let alone = recorded.iter().map(|row| row.alone(""));
    let all = generic.iter().cloned().chain(own).chain(alone);
    all.map(
        |case| if &*case.id.name == MAKES_IMAGE { Case { hazard: Hazard::Resettable, ..case } } else { case },
    )
    .collect()
}

fn rows(text: &'static str) -> Vec<Row> {
    text::read(text, |_, words| bytes(words)).unwrap_or_else(|error| unreachable!("a test reads it: {error}"))
}

/// HTTP/2 without an upgrade, for which some daemons leave this framing.
pub(crate) fn is_h2_preface(case: &CaseId) -> bool {
    case.kind == CaseKind::Probe && case.name.ends_with("h2-preface")
}

/// Why a recording of a probe cannot be played again.
pub(crate) fn cannot_replay(case: &CaseId) -> Option<&'static str> {
    if case.kind != CaseKind::Probe {
        return None;
    }
    match case.name.strip_prefix(text::ALONE)? {
        "connect-only" => Some("its client says nothing"),
        "grpc-h2c-garbage" | "session-h2c-garbage" => {
            Some("what follows is HTTP/2, which no reference speaks")
        }
        _ => None,
    }
}

/// What the generic probes have to know.
pub(crate) fn description() -> Description {
    let with_payload = "GET /_ping HTTP/1.1\r\nHost: d\r\nContent-Length: 4\r\n\r\nmore";
    Description {
        canary: PING.into(),
        second: "GET /version HTTP/1.1\r\nHost: d\r\n\r\n".into(),
        with_payload: with_payload.into(),
        unknown: |len| request("POST", "/nope", &vec![b'x'; len]).into(),
        unknown_gets: Bad::Refused,
        lengths: Some(Lengths {
            announcing: |length| {
                format!("GET /_ping HTTP/1.1\r\nHost: d\r\nContent-Length: {length}\r\n\r\n").into()
            },
            max: i64::MAX,
            min: 0,
        }),
        payload_max: None,
        head_len: with_payload.len() - 4,
        reply: "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n".into(),
        trailing_bytes: Some(request("GET", "/_ping", b"more than it needs").into()),
        missing_bytes: Some(request("POST", "/containers/create", b"{\"Image\":").into()),
        unknown_fields: Some("GET /_ping?future=1 HTTP/1.1\r\nHost: d\r\nX-Future: 1\r\n\r\n".into()),
        text: |text| {
            let escape = |byte: &u8| match byte {
                b'a'..=b'z' => char::from(*byte).to_string(),
                byte => format!("%{byte:02x}"),
            };
            let escaped: String = text.iter().map(escape).collect();
            format!("GET /containers/{escaped}/json HTTP/1.1\r\nHost: d\r\n\r\n").into()
        },
        malformed: Bad::Refused,
        greeting: Vec::new(),
        ids: None,
        stray: Bad::Ends,
        above_limit: AboveLimit::Answered,
        half_close_tries: 1,
        clients: Clients::Many,
        answers: Answers::ByRequest,
    }
}

/// A request with a body of JSON, or what is called so.
fn request(method: &str, target: &str, body: &[u8]) -> Vec<u8> {
    let head = format!(
        "{method} {target} HTTP/1.1\r\nHost: d\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}

/// The bytes of one write.
fn bytes(words: &str) -> Option<Bytes> {
    if words.starts_with(['"', 'c']) {
        return literal(words).map(Bytes::from);
    }
    let (method, rest) = words.split_once(' ')?;
    match rest.split_once(" json ") {
        Some((target, body)) => Some(request(&method.to_ascii_uppercase(), target, &literal(body)?).into()),
        None if method == "get" => Some(format!("GET {rest} HTTP/1.1\r\nHost: d\r\n\r\n").into()),
        None => None,
    }
}

/// Texts and counts, one behind the other.
fn literal(words: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut rest = words.trim();
    while !rest.is_empty() {
        let one: Vec<u8>;
        (one, rest) = match rest.strip_prefix('"') {
            Some(quoted) => quoted_text(quoted)?,
            None => ((0..=u8::MAX).collect(), rest.strip_prefix("count")?),
        };
        let times = match rest.strip_prefix('*') {
            None => 1,
            Some(behind) => {
                let end = behind.find(' ').unwrap_or(behind.len());
                rest = behind.get(end..)?;
                behind.get(..end)?.parse().ok()?
            }
        };
        bytes.extend_from_slice(&one.repeat(times));
        rest = rest.trim_start();
    }
    Some(bytes)
}

/// The text up to the quote that ends it, and what stands behind that.
fn quoted_text(quoted: &str) -> Option<(Vec<u8>, &str)> {
    let mut bytes = Vec::new();
    let mut chars = quoted.char_indices();
    while let Some((at, char)) = chars.next() {
        match char {
            '"' => return Some((bytes, quoted.get(at + 1..)?)),
            '\\' => bytes.push(match chars.next()?.1 {
                'r' => b'\r',
                'n' => b'\n',
                'x' => {
                    let digits = [chars.next()?.1, chars.next()?.1];
                    u8::from_str_radix(&String::from_iter(digits), 16).ok()?
                }
                char @ ('"' | '\\') => u8::try_from(char).ok()?,
                _ => return None,
            }),
            char => bytes.extend_from_slice(char.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_texts_can_be_read() {
        assert_eq!(rows(RECORDED).len(), 80);
        assert_eq!(rows(MORE).len(), 29);
    }

    #[test]
    fn bytes_are_what_the_text_says() {
        #[track_caller]
        fn check(words: &str, expect: Option<&[u8]>) {
            assert_eq!(bytes(words).as_deref(), expect, "{words}");
        }
        check("get /a", Some(b"GET /a HTTP/1.1\r\nHost: d\r\n\r\n"));
        let put =
            b"PUT /a HTTP/1.1\r\nHost: d\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}";
        check("put /a json \"{}\"", Some(put));
        check("\"a\\r\\n\\x00\\\\\\\"\" \"b\"*3", Some(b"a\r\n\0\\\"bbb"));
        assert_eq!(bytes("count*2").map(|bytes| bytes.len()), Some(512));
        for bad in ["", "post /a", "\"a", "\"a\\q\"", "\"a\"*x", "counts", "\"\\xg0\""] {
            check(bad, None);
        }
    }
}
