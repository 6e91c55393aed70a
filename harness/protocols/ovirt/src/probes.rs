//! What is asked of every agent: the generic probes, with `echo` as the canary, and the inputs that agents were measured
//! with. Nothing here makes a guest do anything: no shutdown, log-off, lock, login or hibernation.
//!
//! The level of the agent is set before each input, by a refresh without a version and an `api-version`; what becomes of
//! it shows in the refresh answers ([`super::checks`]). What is dropped without a word is followed by an echo in the
//! same write: that is answered, and nothing else.
//!
//! Hosts are asked by scenarios (`guest-sends-…`), since they speak first.

use bytes::Bytes;
use matrix::{CaseId, CaseKind};
use protocol::probe::{
    self, AboveLimit, Answers, Bad, Clients, Description, HALF_CLOSE, Ids, REPLY_MS, SUBJECT_CONN, closing,
    opening,
};
use protocol::{Action, Case, Hazard};
use session::Script;
use transcript::evidence::{Expect, Role};

use super::grammar::ID;
use super::message::text;
use super::table::{self, Entry};

/// How long an agent gets to send some heartbeats, in milliseconds: they tell its maximum.
const BEATS_MS: u64 = 60;
/// How long an agent gets to see that a host is gone or there, in milliseconds.
const NOTICE_MS: u64 = 20;
/// The connection of the host that comes behind the one that has gone.
const NEXT: u32 = 40;
/// Where a line is cut that is to come in pieces.
const CUT: usize = 12;

/// Every probe.
pub(crate) fn all() -> Vec<Case> {
    // A port has no half: for it a host that ends its direction is gone.
    let generic = probe::generic(&description()).into_iter().filter(|case| *case.id.name != *HALF_CLOSE);
    let told = table::read(TABLE, told).expect("a constant, which tests read");
    generic.chain(told).chain(reconnections()).collect()
}

/// What the generic probes must know of agents.
pub(crate) fn description() -> Description {
    Description {
        canary: echo("canary"),
        second: echo("second"),
        with_payload: line(r#"{"__name__": "echo", "t": "payload", "x": "0123456789"}"#),
        unknown: |len| line(&format!(r#"{{"__name__": "wireskew-unknown", "pad": "{}"}}"#, "a".repeat(len))),
        unknown_gets: Bad::Dropped,
        lengths: None,
        payload_max: None,
        head_len: CUT,
        reply: line(r#"{"__name__": "host-name", "name": "wireskew"}"#),
        trailing_bytes: None,
        missing_bytes: Some(line(r#"{"__name__": "echo", "t": "#)),
        unknown_fields: Some(line(
            r#"{"__name__": "echo", "t": "fields", "from-the-future": {"a": [1, 2]}}"#,
        )),
        text: |bytes| Bytes::from([&br#"{"__name__": "echo", "t": ""#[..], bytes, b"\"}\n"].concat()),
        malformed: Bad::Dropped,
        greeting: Vec::new(),
        ids: Some(Ids { canary: |number| echo(&number.to_string()), odd: &[0, 1, u64::MAX] }),
        stray: Bad::Dropped,
        above_limit: AboveLimit::Answered,
        half_close_tries: 1,
        clients: Clients::One,
        answers: Answers::ByRequest,
    }
}

fn line(message: &str) -> Bytes {
    Bytes::from(format!("{message}\n"))
}

fn echo(id: &str) -> Bytes {
    line(&format!(r#"{{"__name__": "echo", "{ID}": {}}}"#, text(id)))
}

/// A refresh without a version, which sets the level to 0, and one announcement.
fn at_level(level: i64) -> Vec<u8> {
    let announcement = format!(r#"{{"__name__": "api-version", "apiVersion": {level}}}"#);
    [&line(r#"{"__name__": "refresh"}"#)[..], &line(&announcement)].concat()
}

const TABLE: &str = include_str!("probes.txt");

/// A probe of `probes.txt`. Its word says what stands around the line, in the same write:
///
/// ```text
/// at 1      what sets the level to 1 before it, and an echo behind it
/// dropped   an echo behind it
/// echoed    nothing
/// ```
fn told(Entry { name, words, about, writes }: Entry) -> Result<Case, String> {
    let (level, behind) = match words[..] {
        ["echoed"] => (None, Bytes::new()),
        ["dropped"] => (None, echo("behind")),
        _ => {
            let words = words.join(", ");
            let level = words.strip_prefix("at ").and_then(|level| level.parse().ok());
            (Some(level.ok_or_else(|| format!("`{words}` is no word"))?), echo("behind"))
        }
    };
    let before = level.map(at_level).unwrap_or_default();
    let bytes = [&before[..], &writes.concat(), &behind].concat();
    Ok(probe::around(&description(), name, about, Hazard::Disturbs, Expect::Answer, |s| {
        let script = s.send(SUBJECT_CONN, bytes).answers(SUBJECT_CONN, REPLY_MS);
        // What the level sets free comes with the next heartbeats.
        if level.is_some() { script.quiet(SUBJECT_CONN, BEATS_MS) } else { script }
    }))
}

/// What a host that has gone leaves behind for the next one.
fn reconnections() -> impl Iterator<Item = Case> {
    let cases: [(&str, &'static str, Bytes); 3] = [
        ("reconnect", "the refresh of a host behind another one is answered", Bytes::new()),
        (
            "reconnect-after-half-line",
            "half a line of a host that has gone costs the next one nothing",
            Bytes::from_static(br#"{"__name__": "ec"#),
        ),
        (
            "reconnect-after-line-without-end",
            "a line without its end costs the next host nothing",
            Bytes::from_static(br#"{"__name__": "echo", "t": "open"}"#),
        ),
    ];
    cases.into_iter().map(|(name, about, left)| {
        let d = description();
        let script = probe::open(&d, opening(&d), SUBJECT_CONN, Role::Subject, &[Expect::Answer.arg()])
            .send(SUBJECT_CONN, [&at_level(1)[..], &echo("before")].concat())
            .answers(SUBJECT_CONN, REPLY_MS)
            .quiet(SUBJECT_CONN, BEATS_MS);
        let script = if left.is_empty() { script } else { script.send(SUBJECT_CONN, left) };
        let script = script.pause(NOTICE_MS).close(SUBJECT_CONN).pause(NOTICE_MS);
        let script = probe::open(&d, script, NEXT, Role::Subject, &[Expect::Answer.arg()])
            .send(NEXT, line(r#"{"__name__": "refresh"}"#))
            .quiet(NEXT, BEATS_MS)
            .send(NEXT, echo("next"))
            .answers(NEXT, REPLY_MS)
            .quiet(NEXT, BEATS_MS)
            .close(NEXT);
        named(name, about, closing(&d, script))
    })
}

fn named(name: &str, about: &'static str, script: Script) -> Case {
    let id = CaseId::new(CaseKind::Probe, name);
    Case::new(id, about, Hazard::Disturbs, Action::Script(script.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_that_nobody_reads_is_an_error() {
        #[track_caller]
        fn check(words: &str) {
            let table = format!("a (at 1): b\nc\n\nd ({words}): e\nf").leak();
            let error = table::read(table, told).err();
            assert_eq!(error, Some(format!("line 4: `{words}` is no word")));
        }
        for words in ["", "at", "at one", "att 1", "at 1, at 3", "echoed, dropped", "drop"] {
            check(words);
        }
        let told = table::read(TABLE, told).expect("the table");
        assert_eq!(told.last().map(|case| &*case.id.name), Some("lifecycle-event-private-type"));
    }
}
