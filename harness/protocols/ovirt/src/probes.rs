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

/// How long an agent gets to send some heartbeats, in milliseconds: they tell its maximum.
const BEATS_MS: u64 = 60;
/// How long an agent gets to see that a host is gone or there, in milliseconds.
const NOTICE_MS: u64 = 20;
/// The connection of the host that comes behind the one that has gone.
const NEXT: u32 = 40;
/// Where a line is cut that is to come in pieces.
const CUT: usize = 12;

/// Every probe.
#[must_use]
pub(crate) fn all() -> Vec<Case> {
    // A port has no half: for it a host that ends its direction is gone.
    let generic = probe::generic(&description()).into_iter().filter(|case| case.id.name != HALF_CLOSE);
    generic
        .chain(versions())
        .chain(dropped())
        .chain(echoed())
        .chain(commands())
        .chain(reconnections())
        .collect()
}

/// What the generic probes must know of agents.
#[must_use]
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

/// A probe whose subject is sent in one write behind what sets the level, with an echo behind it.
fn behind_level(name: &str, about: &'static str, level: i64, subject: &[u8]) -> Case {
    let bytes = [&at_level(level)[..], subject, &echo("behind")].concat();
    probe::around(&description(), name, about, Hazard::Disturbs, "answer", |s| {
        s.send(SUBJECT_CONN, bytes).answers(SUBJECT_CONN, REPLY_MS).quiet(SUBJECT_CONN, BEATS_MS)
    })
}

/// Versions in `refresh`, as odd as Python takes them.
const REFRESH: &[(&str, &str)] = &[
    ("refresh-negative", "-1"),
    ("refresh-0", "0"),
    ("refresh-1", "1"),
    ("refresh-99", "99"),
    ("refresh-text", r#""2""#),
    ("refresh-null", "null"),
    ("refresh-fraction", "1.5"),
    ("refresh-infinite", "1e999"),
];

/// The same in `api-version`.
const ANNOUNCED: &[(&str, &str)] = &[
    ("api-version-0", "0"),
    ("api-version-2", "2"),
    ("api-version-3", "3"),
    ("api-version-99", "99"),
    ("api-version-text", r#""2""#),
    ("api-version-padded-text", r#"" 2 ""#),
    ("api-version-exponent", "2e0"),
    ("api-version-other-digits", r#""\u0662""#),
    ("api-version-true", "true"),
    ("api-version-fraction", "2.5"),
    ("api-version-below-one", "0.9"),
    ("api-version-no-number", r#""x""#),
    ("api-version-nan", "NaN"),
    ("api-version-null", "null"),
    ("api-version-list", "[2]"),
    ("api-version-object", "{}"),
    ("api-version-infinite", "1e999"),
    ("api-version-negative", "-1"),
    ("api-version-negative-text", r#""-5""#),
];

fn versions() -> impl Iterator<Item = Case> {
    let refresh = REFRESH.iter().map(|(name, value)| {
        let subject = line(&format!(r#"{{"__name__": "refresh", "apiVersion": {value}}}"#));
        behind_level(name, "a refresh with an odd version is answered", 1, &subject)
    });
    let announced = ANNOUNCED.iter().map(|(name, value)| {
        let subject = line(&format!(r#"{{"__name__": "api-version", "apiVersion": {value}}}"#));
        behind_level(name, "an api-version with an odd value sets the level or does nothing", 1, &subject)
    });
    let huge = format!(r#"{{"__name__": "api-version", "apiVersion": {}}}"#, "9".repeat(400));
    let others = [
        (
            "refresh-keyless",
            "a refresh without a version sets the level to 0",
            line(r#"{"__name__": "refresh"}"#),
        ),
        ("api-version-400-digits", "a version of 400 digits is limited to the maximum", line(&huge)),
        (
            "api-version-missing",
            "an api-version without a version does nothing",
            line(r#"{"__name__": "api-version"}"#),
        ),
        (
            "api-version-twice",
            "of a version that stands twice the last one counts",
            line(r#"{"__name__": "api-version", "apiVersion": 1, "apiVersion": 3}"#),
        ),
    ];
    let others = others.map(|(name, about, subject)| behind_level(name, about, 1, &subject));
    refresh.chain(announced).chain(others)
}

/// Lines that are dropped, each with an echo behind it.
fn dropped() -> impl Iterator<Item = Case> {
    const ABOUT: &str = "a line that is no message, or none that an agent knows, is dropped without a word";
    let lines: [(&str, Vec<u8>); 19] = [
        ("unknown-name", br#"{"__name__": "no-such-command"}"#.to_vec()),
        ("name-missing", br#"{"a": 1}"#.to_vec()),
        ("name-empty", br#"{"__name__": ""}"#.to_vec()),
        ("name-null", br#"{"__name__": null}"#.to_vec()),
        ("name-number", br#"{"__name__": 5}"#.to_vec()),
        ("name-list", br#"{"__name__": ["refresh"]}"#.to_vec()),
        ("name-not-ascii", "{\"__name__\": \"\u{e9}\"}".as_bytes().to_vec()),
        ("name-emoji", "{\"__name__\": \"\u{1f600}\"}".as_bytes().to_vec()),
        ("array", b"[]".to_vec()),
        ("number", b"42".to_vec()),
        ("string", br#""refresh""#.to_vec()),
        ("null", b"null".to_vec()),
        ("not-json", b"hello world".to_vec()),
        ("blank-lines", b"\n\n".to_vec()),
        ("byte-order-mark", b"\xef\xbb\xbf{\"__name__\": \"echo\"}".to_vec()),
        ("ff-before", b"\xff{\"__name__\": \"echo\"}".to_vec()),
        ("nul-behind", b"{\"__name__\": \"echo\"}\0".to_vec()),
        ("nested-2000", vec![b'['; 2_000]),
        ("nested-100000", vec![b'['; 100_000]),
    ];
    lines.into_iter().map(|(name, bytes)| {
        let subject = [&bytes[..], b"\n", &echo("behind")].concat();
        probe::around(&description(), name, ABOUT, Hazard::Disturbs, "answer", |s| {
            s.send(SUBJECT_CONN, subject).answers(SUBJECT_CONN, REPLY_MS)
        })
    })
}

/// Echoes that are odd and come back.
fn echoed() -> impl Iterator<Item = Case> {
    const ABOUT: &str = "an odd echo comes back, through the character filter";
    let nested = format!(r#"{{"__name__": "echo", "t": "n", "x": {}{}}}"#, "[".repeat(900), "]".repeat(900));
    let lines: [(&str, Vec<u8>); 7] = [
        ("crlf", b"{\"__name__\": \"echo\", \"t\": \"c\"}\r".to_vec()),
        ("name-twice", br#"{"__name__": "refresh", "t": "w", "__name__": "echo"}"#.to_vec()),
        ("nested-name", br#"{"__name__": "echo", "t": "x", "x": {"__name__": "heartbeat"}}"#.to_vec()),
        ("escaped-controls", br#"{"__name__": "echo", "t": "e", "x": "a\u0000b\u001bz"}"#.to_vec()),
        ("escaped-surrogate", br#"{"__name__": "echo", "t": "s", "x": "\ud800"}"#.to_vec()),
        ("utf8-surrogate", b"{\"__name__\": \"echo\", \"t\": \"u\", \"x\": \"\xed\xa0\x80\"}".to_vec()),
        ("nested-900", nested.into_bytes()),
    ];
    lines.into_iter().map(|(name, bytes)| {
        let name = format!("echo-{name}");
        let subject = [&bytes[..], b"\n"].concat();
        probe::around(&description(), &name, ABOUT, Hazard::Disturbs, "answer", |s| {
            s.send(SUBJECT_CONN, subject).answers(SUBJECT_CONN, REPLY_MS)
        })
    })
}

/// Lifecycle events, which run nothing where no hooks are installed: name, what it shows, level, message.
const EVENTS: &[(&str, &str, i64, &str)] = &[
    (
        "lifecycle-event-at-0",
        "a lifecycle event is carried out at version 0, and the completion withheld",
        0,
        r#"{"__name__": "lifecycle-event", "type": "nope", "reply_id": "r0"}"#,
    ),
    (
        "lifecycle-event-unknown-type",
        "a lifecycle event of an unknown type is completed",
        3,
        r#"{"__name__": "lifecycle-event", "type": "nope", "reply_id": "r1"}"#,
    ),
    (
        "lifecycle-event-without-type",
        "a lifecycle event without a type is completed",
        3,
        r#"{"__name__": "lifecycle-event", "reply_id": "r2"}"#,
    ),
    (
        "lifecycle-event-without-id",
        "a lifecycle event without a reply_id is not completed",
        3,
        r#"{"__name__": "lifecycle-event", "type": "nope"}"#,
    ),
    (
        "lifecycle-event-object-id",
        "a reply_id may be any value",
        3,
        r#"{"__name__": "lifecycle-event", "type": "nope", "reply_id": {"a": 1}}"#,
    ),
    (
        "lifecycle-event-private-type",
        "a type that is the name of something inside of the agent",
        3,
        r#"{"__name__": "lifecycle-event", "type": "__class__", "reply_id": "r4"}"#,
    ),
];

fn commands() -> impl Iterator<Item = Case> {
    EVENTS.iter().map(|(name, about, level, message)| behind_level(name, about, *level, &line(message)))
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
    Case { id, about, hazard: Hazard::Disturbs, action: Action::Script(script.into()) }
}
