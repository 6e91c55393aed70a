//! What is no request, or no JSON: each is refused, the process lives, and what comes behind it is answered.
//!
//! In the column of the canary, *plain* means that a request behind it is answered without further ado, *repaired* that
//! only ff and guest-sync-delimited help.

use bytes::Bytes;
use matrix::{CaseId, CaseKind};
use protocol::probe::{Description, PATIENT_MS, closing, open, opening};
use protocol::{Action, Case, Hazard, Scripted};
use transcript::evidence::{Expect, Role};

use super::{MAIN, one, repair, repaired};
use crate::names::PING;
use crate::request;

/// All of them.
pub(super) fn all(d: &Description) -> Vec<Case> {
    let mut cases: Vec<Case> = SYNTAX
        .iter()
        .chain(FORM)
        .map(|(name, about, bytes)| one(d, name, about, "refusal", Bytes::from_static(bytes)))
        .collect();
    cases.extend(
        BEFORE
            .iter()
            .map(|(name, about, expect, bytes)| one(d, name, about, expect, Bytes::from_static(bytes))),
    );
    cases.extend(encodings(d));
    cases.extend(limits(d));
    cases
}

type Row = (&'static str, &'static str, &'static [u8]);

/// Errors in the syntax.
const SYNTAX: &[Row] = &[
    ("not-json", "words that are none of JSON's", b"hello world\n"),
    ("trailing-comma", "a comma with nothing behind it", b"{\"execute\":\"guest-ping\",}\n"),
    ("missing-colon", "a name without its colon", b"{\"execute\" \"guest-ping\"}\n"),
    ("missing-comma", "members without a comma", b"{\"execute\":\"guest-ping\" \"id\":1}\n"),
    ("missing-value", "a name without a value", b"{\"execute\":}\n"),
    ("name-is-number", "a name that is no text", b"{1:2}\n"),
    ("wrong-bracket", "a brace that closes a list", b"[}]\n"),
    ("percent-s", "a placeholder of QEMU's own parser", b"{\"execute\":%s}\n"),
    ("percent-i64d", "another one", b"{\"execute\":\"guest-sync\",\"arguments\":{\"id\":%I64d}}\n"),
    (
        "number-007",
        "a number with zeros in front",
        b"{\"execute\":\"guest-sync\",\"arguments\":{\"id\":007}}\n",
    ),
    ("number-plus", "a number with a plus", b"{\"execute\":\"guest-ping\",\"id\":+1}\n"),
    ("number-point", "a number that begins with its point", b"{\"execute\":\"guest-ping\",\"id\":.5}\n"),
    ("number-nan", "a word of C for a number", b"{\"execute\":\"guest-ping\",\"id\":nan}\n"),
    (
        "duplicate-member",
        "a member that comes twice",
        b"{\"execute\":\"guest-ping\",\"execute\":\"guest-ping\"}\n",
    ),
    ("duplicate-in-id", "the same, deeper", b"{\"execute\":\"guest-ping\",\"id\":{\"a\":1,\"a\":2}}\n"),
    ("open-text", "text that ends with its line", b"{\"execute\":\"guest-pi\n"),
    ("bad-escape", "an escape that there is not", b"{\"execute\":\"guest-ping\",\"id\":\"\\q\"}\n"),
    ("short-escape", "an escape that is too short", b"{\"execute\":\"guest-ping\",\"id\":\"\\u12\"}\n"),
    ("lone-surrogate", "half of a surrogate pair", b"{\"execute\":\"guest-ping\",\"id\":\"\\ud800\"}\n"),
    ("raw-nul", "a NUL in text", b"{\"execute\":\"guest-ping\",\"id\":\"a\0b\"}\n"),
    ("raw-tab", "a tab in text", b"{\"execute\":\"guest-ping\",\"id\":\"a\tb\"}\n"),
    ("ff-inside", "ff inside a request", b"{\"execute\":\"gue\xffst-ping\"}\n"),
];

/// JSON that is no request.
const FORM: &[Row] = &[
    ("array", "a list", b"[]\n"),
    ("number", "a number", b"42\n"),
    ("text", "a text", b"\"x\"\n"),
    ("null", "null", b"null\n"),
    ("empty-object", "an object without members", b"{}\n"),
    ("no-execute", "a request without a command", b"{\"id\":7}\n"),
    ("unknown-member", "a member that is not known", b"{\"execute\":\"guest-ping\",\"foo\":1,\"id\":7}\n"),
    (
        "ovirt-refresh",
        "a message to the oVirt guest agent",
        b"{\"__name__\": \"refresh\", \"apiVersion\": 3}\n",
    ),
    ("exec-oob", "a request out of band", b"{\"exec-oob\":\"guest-ping\"}\n"),
    ("execute-number", "a command that is a number", b"{\"execute\":5}\n"),
    ("execute-null", "a command that is null", b"{\"execute\":null}\n"),
    ("arguments-array", "arguments that are a list", b"{\"execute\":\"guest-ping\",\"arguments\":[]}\n"),
    ("arguments-null", "arguments that are null", b"{\"execute\":\"guest-ping\",\"arguments\":null}\n"),
];

/// What stands before a request, which is answered all the same.
const BEFORE: &[(&str, &str, &str, &[u8])] = &[
    (
        "comment-before",
        "a comment is an error, the request behind it is answered",
        "survive,answer",
        b"/* */{\"execute\":\"guest-ping\",\"id\":1}\n",
    ),
    (
        "byte-order-mark",
        "so is a byte order mark",
        "survive,answer",
        b"\xef\xbb\xbf{\"execute\":\"guest-ping\",\"id\":1}\n",
    ),
    ("ff-before", "ff is one error, too", "survive,answer", b"\xff{\"execute\":\"guest-ping\",\"id\":1}\n"),
    (
        "brace-before",
        "a brace too many is one, too",
        "survive,answer",
        b"}{\"execute\":\"guest-ping\",\"id\":1}\n",
    ),
];

/// Bytes that are no UTF-8 in text.
fn encodings(d: &Description) -> Vec<Case> {
    let rows: [(&str, &'static str, &[u8]); 5] = [
        ("utf8-ff-fe-80", "bytes that are in no text", b"\xff\xfe\x80"),
        ("utf8-continuation", "continuation bytes alone", b"\x80\x81"),
        ("utf8-surrogate", "an encoded surrogate", b"\xed\xa0\x80"),
        ("utf8-above", "a character behind the last one", b"\xf4\x90\x80\x80"),
        ("overlong-nul", "NUL in two bytes (QGA-06)", b"\xc0\x80"),
    ];
    rows.into_iter()
        .map(|(name, about, bytes)| one(d, name, about, "refusal", request::with_id_bytes(PING, bytes)))
        .collect()
}

/// Depths and sizes around the limits.
fn limits(d: &Description) -> Vec<Case> {
    let nested = |lists: usize| {
        let id = ["[".repeat(lists), "]".repeat(lists)].concat();
        request::with_id(PING, &id)
    };
    let refused = [Expect::Refusal.arg()];
    vec![
        // One of them is the request's own brace.
        one(d, "depth-1024", "as deep as the limit", "answer", nested(1023)),
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
    Case { id, about, hazard: Hazard::Disturbs, action: Action::Script(script) }
}
