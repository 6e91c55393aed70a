//! Probes as a text: what is sent on one connection, what it is for, and what is waited for.
//!
//! ```text
//! probe unknown-method | an unknown method is refused …     a name, and what it is about; `kills` behind the name where it may
//!   subject not-supported,answer                             a role, and what is expected of each request of it
//!     send call 1 $service NoSuchMethod 0a10 78*16; good 3   one write: frames, `;` between them
//!     each good 1                                            byte by byte
//!     split 10 30 good 1                                     two writes with 30 ms in between; -7 counts from the end
//!     answer                                                 waits for the answers to the last write
//!     quiet 50 · pause 30                                    takes what comes, or waits, for so many milliseconds
//!     half-close
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
use protocol::probe::{Description, HALF_CLOSE, REPLY_MS, SUBJECT_CONN, closing, opening};
use protocol::{Action, Case, Hazard};
use session::Script;
use transcript::evidence::{Expect, Role};
use wire::protobuf::Writer;
use wire::ttrpc::{Flags, HEAD_LEN, Header, MessageType};

use crate::envelope;

/// What is asked of every server over ttrpc.
pub const FRAMING: &str = include_str!("probes/framing.txt");
/// Between single bytes.
const EACH_GAP_MS: u64 = 2;
/// In front of the name of a probe that has its connection to itself, as it was recorded elsewhere.
pub const ALONE: &str = "alone-";

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

/// One probe of a text.
#[derive(Debug, Clone)]
pub struct Row {
    /// Its name.
    pub name: &'static str,
    /// What it is about, in one sentence.
    pub about: &'static str,
    /// Whether it kills a server that is wrong about it.
    pub kills: bool,
    parts: Vec<Part>,
}

#[derive(Debug, Clone)]
struct Part {
    role: Role,
    expect: Vec<Expect>,
    steps: Vec<Step>,
}

#[derive(Debug, Clone)]
enum Step {
    Send(Bytes),
    Answer,
    Quiet(u64),
    Pause(u64),
    HalfClose,
}

impl Row {
    /// What is sent and waited for, on an open connection.
    fn play(&self, script: Script, conn: u32, opens: bool) -> Script {
        let mut script = script;
        for (at, part) in self.parts.iter().enumerate() {
            let expect = Expect::list(&part.expect);
            let args = if part.expect.is_empty() { vec![] } else { vec![(Expect::ARG, expect.as_str())] };
            let is_first = opens && at == 0;
            script = match is_first {
                true => script.open(conn, part.role, &args),
                false => script.role(conn, part.role, &args),
            };
            for step in &part.steps {
                script = match step {
                    Step::Send(bytes) => script.send(conn, bytes.clone()),
                    Step::Answer => script.answers(conn, REPLY_MS),
                    Step::Quiet(ms) => script.quiet(conn, *ms),
                    Step::Pause(ms) => script.pause(*ms),
                    Step::HalfClose => script.half_close(conn),
                };
            }
        }
        script.close(conn)
    }

    /// The probe between looks at the server, and with another client behind it.
    #[must_use]
    pub fn case(&self, d: &Description, prefix: &str) -> Case {
        let hazard = if self.kills { Hazard::Disturbs } else { Hazard::Harmless };
        let script = closing(d, self.play(opening(d), SUBJECT_CONN, true));
        self.made(&format!("{prefix}{}", self.name), hazard, script)
    }

    /// The connection of the probe and nothing else, as it was recorded elsewhere.
    #[must_use]
    pub fn alone(&self, prefix: &str) -> Case {
        let script = self.play(Script::new(), 1, true);
        self.made(&format!("{ALONE}{prefix}{}", self.name), Hazard::Disturbs, script)
    }

    fn made(&self, name: &str, hazard: Hazard, script: Script) -> Case {
        let id = CaseId::new(CaseKind::Probe, name);
        Case::new(id, self.about, hazard, Action::Script(script.into()))
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
    let mut rows: Vec<Row> = Vec::new();
    let lines = text.lines().zip(1..).map(|(line, number)| (line.trim(), number));
    for (line, number) in lines.filter(|(line, _)| !line.is_empty() && !line.starts_with('#')) {
        let taken = take_line(&mut rows, line, &good);
        taken.ok_or_else(|| format!("line {number}: `{line}` is not understood"))?;
    }
    let is_empty = |row: &&Row| !row.parts.iter().any(|part| part.role == Role::Subject);
    match rows.iter().find(is_empty) {
        Some(row) => Err(format!("`{}` has no subject", row.name)),
        None => Ok(rows),
    }
}

fn take_line(rows: &mut Vec<Row>, line: &'static str, good: &impl Fn(&str) -> Good<'static>) -> Option<()> {
    let (word, rest) = line.split_once(' ').map_or((line, ""), |(word, rest)| (word, rest.trim()));
    if word == "probe" {
        let (name, about) = rest.split_once(" | ")?;
        let (name, kills) = match name.strip_suffix(" kills") {
            Some(name) => (name, true),
            None => (name, false),
        };
        rows.push(Row { name, about, kills, parts: Vec::new() });
        return (!name.contains(' ')).then_some(());
    }
    let row = rows.last_mut()?;
    // The same word waits, with a number behind it.
    let role = Role::parse(word).filter(|role| *role != Role::Quiet || rest.is_empty());
    if let Some(role) = role {
        let words = rest.split(',').filter(|word| !word.is_empty());
        let expect = match role {
            Role::Canary => vec![Expect::Answer],
            _ => words.map(Expect::parse).collect::<Option<_>>()?,
        };
        row.parts.push(Part { role, expect, steps: Vec::new() });
        return Some(());
    }
    let good = good(row.name);
    let steps = &mut row.parts.last_mut()?.steps;
    match word {
        "send" => steps.push(Step::Send(frames(rest, good)?.into())),
        "each" => {
            for byte in frames(rest, good)? {
                steps.extend([Step::Send(Bytes::from(vec![byte])), Step::Pause(EACH_GAP_MS)]);
            }
        }
        "split" => {
            let mut words = rest.splitn(3, ' ');
            let (at, gap): (i64, u64) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
            let bytes = Bytes::from(frames(words.next()?, good)?);
            let len = i64::try_from(bytes.len()).ok()?;
            let at =
                usize::try_from(if at < 0 { len + at } else { at }).ok().filter(|at| *at < bytes.len())?;
            steps.push(Step::Send(bytes.slice(..at)));
            steps.push(if gap > 0 { Step::Pause(gap) } else { Step::Quiet(EACH_GAP_MS) });
            steps.push(Step::Send(bytes.slice(at..)));
        }
        "answer" => steps.push(Step::Answer),
        "quiet" => steps.push(Step::Quiet(rest.parse().ok()?)),
        "pause" => steps.push(Step::Pause(rest.parse().ok()?)),
        "half-close" => steps.push(Step::HalfClose),
        _ => return None,
    }
    Some(())
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
    fn says_what_is_not_understood() {
        #[track_caller]
        fn check(text: &'static str, expect: &str) {
            assert_eq!(read(text, |_| GOOD).expect_err("a wrong text"), expect);
        }
        check("subject answer", "line 1: `subject answer` is not understood");
        check("probe a", "line 1: `probe a` is not understood");
        check("probe a | b\n  canary\n    send good 1", "`a` has no subject");
        check("probe a | b\n subject answr", "line 2: `subject answr` is not understood");
        check("probe a | b\n subject answer\n send good x", "line 3: `send good x` is not understood");
        check("probe a | b\n subject answer\n send hex 0", "line 3: `send hex 0` is not understood");
        check("probe a | b\n subject answer\n send hex 0x", "line 3: `send hex 0x` is not understood");
        check(
            "probe a | b\n subject answer\n split 99 0 good 1",
            "line 3: `split 99 0 good 1` is not understood",
        );
        check("probe a | b\n subject answer\n wait", "line 3: `wait` is not understood");
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
