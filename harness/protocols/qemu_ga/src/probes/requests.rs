//! Well-formed requests: sync, ids, numbers, capabilities, and what every command that only reads must tell.

use protocol::Case;
use protocol::probe::Description;
use transcript::evidence::Expect;

use super::{Row, marked, one, rows};
use crate::names::{self, PING, SYNC};
use crate::request;

/// All of them.
pub(super) fn all(d: &Description) -> Vec<Case> {
    let mut cases = sync(d);
    cases.extend(sync_numbers(d));
    cases.extend(ids(d));
    cases.extend(numbers(d));
    cases.extend(rows(d, Expect::Answer, FORMS, b""));
    cases.extend(rows(d, [Expect::Answer, Expect::Answer], TWO, b""));
    cases.extend(rows(d, Expect::Answer, ODD_FORMS, b"\n"));
    cases.extend(capabilities(d));
    cases.extend(members(d));
    cases
}

fn sync(d: &Description) -> Vec<Case> {
    let twice = [request::resync(26), request::resync(27)].concat();
    let answered = "guest-sync-delimited answers its number behind the byte ff";
    let in_step = "ff and guest-sync-delimited in a stream that is in step";
    let more = request::with_arguments(SYNC, "{\"id\":1,\"zz\":2}");
    vec![
        one(d, "sync-plain", "guest-sync answers its number", Expect::Answer, request::sync(23)),
        one(d, "sync-delimited", answered, Expect::Answer, request::sync_delimited(24)),
        one(d, "resync", in_step, [Expect::Survive, Expect::Answer], request::resync(25)),
        one(
            d,
            "resync-twice",
            "two of them in one write",
            [Expect::Survive, Expect::Answer, Expect::Survive, Expect::Answer],
            twice,
        ),
        one(d, "sync-extra-argument", "guest-sync with an argument more is refused", Expect::Refusal, more),
    ]
}

/// Numbers of guest-sync: an integer of 64 bits with its sign, and nothing else.
fn sync_numbers(d: &Description) -> Vec<Case> {
    const GOOD: &str = "guest-sync takes an integer of 64 bits";
    const BAD: &str = "guest-sync refuses what is no integer of 64 bits";
    let numbers = [
        ("minus-1", "-1", true),
        ("2-63-minus-1", "9223372036854775807", true),
        ("minus-2-63", "-9223372036854775808", true),
        ("2-63", "9223372036854775808", false),
        ("2-64-minus-1", "18446744073709551615", false),
        ("2-64", "18446744073709551616", false),
        ("minus-2-63-minus-1", "-9223372036854775809", false),
        ("1.5", "1.5", false),
        ("2.0", "2.0", false),
        ("text", "\"2\"", false),
        ("null", "null", false),
    ];
    let sync = |(name, number, good)| {
        let (about, expect) = if good { (GOOD, Expect::Answer) } else { (BAD, Expect::Refusal) };
        let request = request::with_arguments(SYNC, &format!("{{\"id\":{number}}}"));
        one(d, &format!("sync-number-{name}"), about, expect, request)
    };
    numbers.map(sync).into()
}

/// The id of a request may be any value and comes back.
fn ids(d: &Description) -> Vec<Case> {
    const ABOUT: &str = "any value may be the id of a request, and comes back with the answer";
    let ids: [(&str, &str, Expect, &[u8]); 9] = [
        ("id-text", PING, Expect::Answer, b"\"abc\""),
        ("id-object", PING, Expect::Answer, b"{\"a\":[1,null,true]}"),
        ("id-null", PING, Expect::Answer, b"null"),
        ("id-of-unknown-command", names::UNKNOWN, Expect::NotSupported, b"7"),
        ("id-of-bad-argument", SYNC, Expect::Refusal, b"7"),
        ("id-emoji", PING, Expect::Answer, "\"\u{1f600}\"".as_bytes()),
        ("id-escaped-nul", PING, Expect::Answer, b"\"a\\u0000b\""),
        ("id-del", PING, Expect::Answer, b"\"\x7f\""),
        ("id-escapes", PING, Expect::Answer, b"\"\\/\\b\\f\\n\\r\\t\\\"\\\\\""),
    ];
    let request = |(name, command, expect, id): (&str, &str, Expect, &[u8])| {
        let head = format!("{{\"execute\":\"{command}\",\"id\":");
        one(d, name, ABOUT, expect, [head.as_bytes(), id, b"}\n"].concat())
    };
    ids.map(request).into()
}

/// Numbers as ids: they come back as the same numbers (QGA-02, QGA-08).
fn numbers(d: &Description) -> Vec<Case> {
    const ABOUT: &str = "a number comes back as the same number (QGA-08)";
    const TOO_LARGE: &str = "a number that JSON cannot say is refused, or answered in JSON (QGA-02)";
    let numbers = [
        ("0.1", "0.1", ABOUT, Expect::Answer),
        ("1e-7", "1e-7", ABOUT, Expect::Answer),
        ("pi", "3.14159265358979", ABOUT, Expect::Answer),
        ("1e308", "1e308", ABOUT, Expect::Answer),
        ("2-64-minus-1", "18446744073709551615", ABOUT, Expect::Answer),
        ("2-64", "18446744073709551616", ABOUT, Expect::Answer),
        ("minus-0", "-0", ABOUT, Expect::Answer),
        ("1.0", "1.0", ABOUT, Expect::Answer),
        ("1e999", "1e999", TOO_LARGE, Expect::Any),
        ("minus-1e999", "-1e999", TOO_LARGE, Expect::Any),
    ];
    let number =
        |(name, id, about, expect)| one(d, &format!("id-{name}"), about, expect, request::with_id(PING, id));
    numbers.map(number).into()
}

/// What is a request, however it is put on the wire.
const FORMS: &[Row] = &[
    ("no-line-feed", "a request is complete with its brace", br#"{"execute":"guest-ping","id":1}"#),
    ("carriage-return", "a carriage return is white space", b"{\"execute\":\"guest-ping\",\"id\":1}\r"),
    ("crlf", "so are both", b"{\"execute\":\"guest-ping\",\"id\":1}\r\n"),
    (
        "lines-in-between",
        "a request may have line feeds inside",
        b"{\n\"execute\"\n:\n\"guest-ping\"\n,\"id\":\t1\n}\n",
    ),
];

/// Two requests in one write.
const TWO: &[Row] = &[(
    "nothing-in-between",
    "two requests with nothing in between are both answered",
    br#"{"execute":"guest-ping","id":1}{"execute":"guest-ping","id":2}"#,
)];

/// What is a request as well, up to its line feed.
const ODD_FORMS: &[Row] = &[
    ("single-quotes", "single quotes do, too", b"{'execute':'guest-ping','id':1}"),
    ("blank-lines", "blank lines are passed over", b"\n\n \t\r\n{\"execute\":\"guest-ping\",\"id\":1}"),
    ("empty-arguments", "no arguments are none", br#"{"execute":"guest-ping","arguments":{},"id":1}"#),
];

/// What guest-info says, and whether that is so. Every blocked command that is asked for here needs an argument that it
/// does not get.
fn capabilities(d: &Description) -> Vec<Case> {
    const ABOUT: &str = "what guest-info lists as enabled is known, and nothing else";
    let asked = [
        names::PING,
        names::GET_HOST_NAME,
        "guest-file-close",
        "guest-exec-status",
        "guest-ssh-get-authorized-keys",
        names::GET_DEVICES,
        names::GET_LOAD,
        names::GET_CPUSTATS,
        names::UNKNOWN,
    ];
    let mut bytes = request::with_id(names::INFO, "\"info\"").to_vec();
    for command in asked {
        bytes.extend_from_slice(&request::with_id(command, &format!("\"{command}\"")));
    }
    let expect = Expect::list(&vec![Expect::Any; asked.len() + 1]);
    let capabilities =
        marked(d, "capabilities", ABOUT, &[(Expect::ARG, &expect), ("capability", "yes")], bytes);

    let about = "a blocked command can be told from an unknown one (QGA-09)";
    let both = [request::with_id("guest-file-close", "1"), request::with_id(names::UNKNOWN, "2")].concat();
    let args =
        [(Expect::ARG, &*Expect::list(&[Expect::Refusal, Expect::NotSupported])), ("classes", "compare")];
    let classes = marked(d, "blocked-and-unknown", about, &args, both);

    let about = "where guest-get-devices is lacking, guest-get-disks answers (QGA-10)";
    let both = [request::with_id(names::GET_DEVICES, "1"), request::with_id(names::GET_DISKS, "2")].concat();
    let args = [(Expect::ARG, &*Expect::list(&[Expect::Any, Expect::Answer])), ("fallback", "yes")];
    let fallback = marked(d, "devices-or-disks", about, &args, both);

    let about = "commands of QMP that are none of the agent's are unknown";
    let qmp =
        one(d, "qmp-capabilities", about, Expect::NotSupported, request::with_id("qmp_capabilities", "1"));
    vec![capabilities, classes, fallback, qmp]
}

/// Members that every release has in its answers, for commands that only read.
fn members(d: &Description) -> Vec<Case> {
    const ABOUT: &str = "an answer has the members that it had in every release";
    let mut cases: Vec<Case> = names::MEMBERS
        .into_iter()
        .map(|(command, members)| {
            // Whether a machine has what is asked for, is not the release's doing.
            let args = [Expect::Any.arg(), ("members", &members.join(","))];
            let name = command.trim_start_matches("guest-");
            marked(d, &format!("members-{name}"), ABOUT, &args, request::with_id(command, "\"members\""))
        })
        .collect();
    let about = "guest-get-time answers a number, and guest-fsfreeze-status a word";
    let both =
        [request::with_id(names::GET_TIME, "1"), request::with_id("guest-fsfreeze-status", "2")].concat();
    cases.push(one(d, "time-and-fsfreeze-status", about, [Expect::Answer, Expect::Any], both));
    cases
}
