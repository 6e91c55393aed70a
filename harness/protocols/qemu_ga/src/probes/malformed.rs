//! What is no request, or no JSON: each is refused, the process lives, and what comes behind it is answered; behind some
//! only ff and guest-sync-delimited help.

use matrix::{CaseId, CaseKind};
use protocol::probe::{Description, PATIENT_MS, closing, open, opening};
use protocol::{Action, Case, Hazard, Scripted};
use transcript::evidence::{Expect, Role};

use super::{MAIN, Row, one, repair, repaired, rows};
use crate::names::PING;
use crate::request;

/// All of them.
pub(super) fn all(d: &Description) -> Vec<Case> {
    let mut cases = rows(d, Expect::Refusal, SYNTAX, b"\n");
    cases.extend(rows(d, Expect::Refusal, FORM, b"\n"));
    cases.extend(rows(
        d,
        [Expect::Survive, Expect::Answer],
        BEFORE,
        b"{\"execute\":\"guest-ping\",\"id\":1}\n",
    ));
    cases.extend(rows(d, Expect::Refusal, ENCODINGS, b"\n"));
    cases.extend(limits(d));
    cases
}

/// Errors in the syntax.
const SYNTAX: &[Row] = &[
    ("not-json", "words that are none of JSON's", b"hello world"),
    ("trailing-comma", "a comma with nothing behind it", br#"{"execute":"guest-ping",}"#),
    ("missing-colon", "a name without its colon", br#"{"execute" "guest-ping"}"#),
    ("missing-comma", "members without a comma", br#"{"execute":"guest-ping" "id":1}"#),
    ("missing-value", "a name without a value", br#"{"execute":}"#),
    ("name-is-number", "a name that is no text", b"{1:2}"),
    ("wrong-bracket", "a brace that closes a list", b"[}]"),
    ("percent-s", "a placeholder of QEMU's own parser", br#"{"execute":%s}"#),
    ("percent-i64d", "another one", br#"{"execute":"guest-sync","arguments":{"id":%I64d}}"#),
    ("number-007", "a number with zeros in front", br#"{"execute":"guest-sync","arguments":{"id":007}}"#),
    ("number-plus", "a number with a plus", br#"{"execute":"guest-ping","id":+1}"#),
    ("number-point", "a number that begins with its point", br#"{"execute":"guest-ping","id":.5}"#),
    ("number-nan", "a word of C for a number", br#"{"execute":"guest-ping","id":nan}"#),
    ("duplicate-member", "a member that comes twice", br#"{"execute":"guest-ping","execute":"guest-ping"}"#),
    ("duplicate-in-id", "the same, deeper", br#"{"execute":"guest-ping","id":{"a":1,"a":2}}"#),
    ("open-text", "text that ends with its line", br#"{"execute":"guest-pi"#),
    ("bad-escape", "an escape that there is not", br#"{"execute":"guest-ping","id":"\q"}"#),
    ("short-escape", "an escape that is too short", br#"{"execute":"guest-ping","id":"\u12"}"#),
    ("lone-surrogate", "half of a surrogate pair", br#"{"execute":"guest-ping","id":"\ud800"}"#),
    ("raw-nul", "a NUL in text", b"{\"execute\":\"guest-ping\",\"id\":\"a\0b\"}"),
    ("raw-tab", "a tab in text", b"{\"execute\":\"guest-ping\",\"id\":\"a\tb\"}"),
    ("ff-inside", "ff inside a request", b"{\"execute\":\"gue\xffst-ping\"}"),
];

/// JSON that is no request.
const FORM: &[Row] = &[
    ("array", "a list", b"[]"),
    ("number", "a number", b"42"),
    ("text", "a text", br#""x""#),
    ("null", "null", b"null"),
    ("empty-object", "an object without members", b"{}"),
    ("no-execute", "a request without a command", br#"{"id":7}"#),
    ("unknown-member", "a member that is not known", br#"{"execute":"guest-ping","foo":1,"id":7}"#),
    ("ovirt-refresh", "a message to the oVirt guest agent", br#"{"__name__": "refresh", "apiVersion": 3}"#),
    ("exec-oob", "a request out of band", br#"{"exec-oob":"guest-ping"}"#),
    ("execute-number", "a command that is a number", br#"{"execute":5}"#),
    ("execute-null", "a command that is null", br#"{"execute":null}"#),
    ("arguments-array", "arguments that are a list", br#"{"execute":"guest-ping","arguments":[]}"#),
    ("arguments-null", "arguments that are null", br#"{"execute":"guest-ping","arguments":null}"#),
];

/// What stands before a request, which is answered all the same.
const BEFORE: &[Row] = &[
    ("comment-before", "a comment is an error, the request behind it is answered", b"/* */"),
    ("byte-order-mark", "so is a byte order mark", b"\xef\xbb\xbf"),
    ("ff-before", "ff is one error, too", b"\xff"),
    ("brace-before", "a brace too many is one, too", b"}"),
];

/// Bytes that are no UTF-8 in text.
const ENCODINGS: &[Row] = &[
    ("utf8-ff-fe-80", "bytes that are in no text", b"{\"execute\":\"guest-ping\",\"id\":\"\xff\xfe\x80\"}"),
    ("utf8-continuation", "continuation bytes alone", b"{\"execute\":\"guest-ping\",\"id\":\"\x80\x81\"}"),
    ("utf8-surrogate", "an encoded surrogate", b"{\"execute\":\"guest-ping\",\"id\":\"\xed\xa0\x80\"}"),
    (
        "utf8-above",
        "a character behind the last one",
        b"{\"execute\":\"guest-ping\",\"id\":\"\xf4\x90\x80\x80\"}",
    ),
    ("overlong-nul", "NUL in two bytes (QGA-06)", b"{\"execute\":\"guest-ping\",\"id\":\"\xc0\x80\"}"),
];

/// Depths and sizes around the limits.
fn limits(d: &Description) -> Vec<Case> {
    let nested = |lists: usize| {
        let id = ["[".repeat(lists), "]".repeat(lists)].concat();
        request::with_id(PING, &id)
    };
    let refused = [Expect::Refusal.arg()];
    vec![
        // One of them is the request's own brace.
        one(d, "depth-1024", "as deep as the limit", Expect::Answer, nested(1023)),
        repaired(d, "depth-1025", "one deeper is one error (QGA-05)", &refused, nested(1024)),
        repaired(d, "lists-100000", "100000 lists that do not close", &refused, "[".repeat(100_000)),
        token_65_mib(d),
    ]
}

/// It takes an agent up to a second to read this, and what is behind the limit is told when it has.
fn token_65_mib(d: &Description) -> Case {
    let d = d.clone();
    let script = Scripted::new(move || {
        let bytes = request::with_id_bytes(PING, &vec![b'a'; 65 << 20]);
        let script = open(&d, opening(&d), MAIN, Role::Subject, &[Expect::Refusal.arg()])
            .send(MAIN, bytes)
            .reply(MAIN, 2 * PATIENT_MS)
            .quiet(MAIN, PATIENT_MS);
        closing(&d, repair(&d, script))
    });
    let about = "a text above the limit of 64 MiB is refused, and given back (QGA-11)";
    let id = CaseId::new(CaseKind::Probe, "token-65-mib");
    Case::new(id, about, Hazard::Disturbs, Action::Script(script))
}
