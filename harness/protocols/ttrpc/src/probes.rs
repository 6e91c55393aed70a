//! Probes as a [text](protocol::probe::text), in which bytes are frames, with `;` between them:
//!
//! ```text
//! send call 1 $service NoSuchMethod 0a10 78*16; good 3
//! ```
//!
//! | frame | bytes |
//! |---|---|
//! | `good N` | the harmless call of the protocol, on stream N |
//! | `call N SERVICE METHOD BYTES` | a request |
//! | `frame N TYPE FLAGS BYTES` | a message of any type with any data |
//! | `first N FRAME` | the first bytes of another one; `$half` is up to the middle of its body |
//! | `hex BYTES` | bytes |
//!
//! Bytes are hexadecimal; `78*16` repeats. `$service`, `$method` and `$payload` are the parts of the harmless call, `$service-field`
//! and the like its fields, `$good` all of its data.

use bytes::Bytes;
use matrix::{CaseId, CaseKind};
use protocol::probe::HALF_CLOSE;
use protocol::probe::text;
pub use protocol::probe::text::{ALONE, Row};
use wire::protobuf::Writer;
use wire::ttrpc::{Flags, HEAD_LEN, Header, MessageType};

use crate::envelope;

/// What is asked of every server over ttrpc.
pub const FRAMING: &str = include_str!("probes/framing.txt");

/// The harmless call of a protocol.
#[derive(Debug, Clone, Copy)]
pub struct Good<'a> {
    /// Its service.
    pub service: &'a str,
    /// Its method.
    pub method: &'a str,
    /// Its argument.
    pub payload: &'a [u8],
}

impl Good<'_> {
    /// The call on a stream of that number.
    #[must_use]
    pub fn request(&self, stream: u32) -> Bytes {
        envelope::request(stream, self.service, self.method, self.payload)
    }

    fn data(&self) -> Bytes {
        envelope::call(self.service, self.method, self.payload)
    }
}

/// Why a recording of a probe cannot be played again.
#[must_use]
pub fn cannot_replay(case: &CaseId) -> Option<&'static str> {
    let name = case.name.strip_prefix(ALONE).filter(|_| case.kind == CaseKind::Probe)?;
    match name.strip_prefix("v2-").unwrap_or(name) {
        "truncated-header-0-shutwr" => Some("its client says nothing"),
        "stream-id-duplicate" => Some("which of two calls on one stream is answered first is a race"),
        HALF_CLOSE | "truncated-header-1-shutwr" => {
            Some("whether a server sees the end of its client in time is a race")
        }
        _ => None,
    }
}

/// Reads a text; `good` is the harmless call for the probe of a name.
///
/// # Errors
/// The first line that is not understood, and what is wrong with it.
pub fn read(text: &'static str, good: impl Fn(&str) -> Good<'static>) -> Result<Vec<Row>, String> {
    text::read(text, |name, words| frames(words, good(name)).map(Bytes::from))
}

/// The bytes of one write.
fn frames(text: &str, good: Good<'_>) -> Option<Vec<u8>> {
    let mut all = Vec::new();
    for one in text.split(';') {
        all.extend_from_slice(&frame(one.trim(), good)?);
    }
    Some(all)
}

fn frame(text: &str, good: Good<'_>) -> Option<Bytes> {
    let words: Vec<&str> = text.split_whitespace().collect();
    match &*words {
        ["good", stream] => Some(good.request(stream.parse().ok()?)),
        ["call", stream, service, method, payload @ ..] => {
            let name = |word: &'_ str| match word {
                "$service" => good.service.to_owned(),
                "$method" => good.method.to_owned(),
                other => other.to_owned(),
            };
            let payload = hex(payload, good)?;
            Some(envelope::request(stream.parse().ok()?, &name(service), &name(method), &payload))
        }
        ["frame", stream, kind, flags, data @ ..] => {
            let kind = MessageType(kind.parse().ok()?);
            let header = Header { stream: stream.parse().ok()?, kind, flags: Flags(flags.parse().ok()?) };
            Some(header.message(&hex(data, good)?))
        }
        ["first", len, rest @ ..] => {
            let whole = frame(&rest.join(" "), good)?;
            let half = HEAD_LEN + whole.len().checked_sub(HEAD_LEN)? / 2;
            let len = if *len == "$half" { half } else { len.parse().ok()? };
            (len < whole.len()).then(|| whole.slice(..len))
        }
        ["hex", bytes @ ..] => hex(bytes, good).map(Bytes::from),
        _ => None,
    }
}

fn hex(words: &[&str], good: Good<'_>) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    for word in words {
        match *word {
            "$payload" => bytes.extend_from_slice(good.payload),
            "$good" => bytes.extend_from_slice(&good.data()),
            "$service-field" => bytes.extend_from_slice(&Writer::new().text(1, good.service).finish()),
            "$method-field" => bytes.extend_from_slice(&Writer::new().text(2, good.method).finish()),
            "$payload-field" => bytes.extend_from_slice(&Writer::new().bytes(3, good.payload).finish()),
            _ => {
                let (digits, times) = word.split_once('*').unwrap_or((word, "1"));
                let some = digit_pairs(digits)?;
                bytes.extend_from_slice(&some.repeat(times.parse().ok()?));
            }
        }
    }
    Some(bytes)
}

fn digit_pairs(digits: &str) -> Option<Vec<u8>> {
    let is_even = digits.len().is_multiple_of(2) && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    let pair = |at: usize| u8::from_str_radix(digits.get(at..at + 2)?, 16).ok();
    is_even.then(|| (0..digits.len()).step_by(2).map(pair).collect()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: Good<'static> = Good { service: "s.S", method: "M", payload: b"\x0a\x01a" };

    #[test]
    fn reads_the_probes_of_the_framing() {
        let rows = read(FRAMING, |_| GOOD).expect("the text of this crate");
        assert!(rows.iter().any(|row| row.name == "unknown-method"));
        assert_eq!(rows.iter().filter(|row| row.kills).count(), 3);
    }

    #[test]
    fn says_what_is_no_frame() {
        #[track_caller]
        fn check(frame: &str) {
            assert_eq!(frames(frame, GOOD), None, "{frame}");
        }
        check("good x");
        check("hex 0");
        check("hex 0x");
        check("first 99 good 1");
        check("good 1; wait");
    }

    #[test]
    fn writes_what_the_text_says() {
        #[track_caller]
        fn check(text: &str, expect: &[u8]) {
            assert_eq!(frames(text, GOOD).as_deref(), Some(expect), "{text}");
        }
        let good = [&b"\0\0\0\x0d\0\0\0\x03\x01\0"[..], b"\x0a\x03s.S\x12\x01M\x1a\x03\x0a\x01a"].concat();
        check("good 3", &good);
        check("frame 3 1 0 $good", &good);
        check("frame 3 1 0 $service-field $method-field $payload-field", &good);
        check("call 3 $service $method $payload", &good);
        check("first 4 good 3; hex ff*2 00", b"\0\0\0\x0d\xff\xff\0");
        check("first $half good 3", &good[..16]);
    }
}
