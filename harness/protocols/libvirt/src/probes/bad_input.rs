//! What no client should send. Whatever was measured of bad input is here or among the generic probes; a test
//! counts it (`tests.rs`).

use transcript::evidence::{Expect, Role};

use super::*;
use crate::names::{UNKNOWN_PROGRAM, program};

pub(super) fn all(d: &Description) -> Vec<Case> {
    let unknown = [unknown_procedures(d), unknown_programs(d)];
    let messages = [length_words(d), types(d), descriptors(d), statuses(d), many_at_once(d)];
    unknown.into_iter().chain(messages).chain([arguments(d), counts(d)]).flatten().collect()
}

fn unknown_procedures(d: &Description) -> Vec<Case> {
    const DRAINED: &str = "an unknown procedure is drained and answered as unknown";
    const NUMBER: &str = "a number that is no procedure is answered as unknown";
    const EDGE: &str = "numbers around the end of each release's table are answered as known or unknown ones";
    let sizes = [17, 262_120, 262_121, 1 << 20, 4 << 20];
    let sizes = sizes.into_iter().map(|size| {
        let (name, args) = (format!("unknown-payload-{size}"), [Expect::NotSupported.arg()]);
        around_large(d, &name, DRAINED, Hazard::Harmless, &args, move |_, s| large(s, unknown(size)))
    });
    let numbers = [
        ("procedure-0", 0),
        ("procedure-minus-1", -1),
        ("procedure-7fffffff", i32::MAX),
        ("procedure-80000000", i32::MIN),
        ("procedure-event-107", p::DOMAIN_EVENT_LIFECYCLE),
    ];
    let numbers = numbers
        .into_iter()
        .map(|(name, number)| one(d, name, NUMBER, Expect::NotSupported, call(number, SUBJECT, b"")));
    // The first number behind each release, two events, and the first that no release has.
    let edges = [
        (426, Expect::Any),
        (444, Expect::Any),
        (453, Expect::NotSupported),
        (456, Expect::Any),
        (457, Expect::NotSupported),
    ];
    let edges = edges.into_iter().map(|(number, expect)| {
        one(d, &format!("procedure-{number}"), EDGE, expect, call(number, SUBJECT, b""))
    });
    sizes.chain(numbers).chain(edges).collect()
}

fn unknown_programs(d: &Description) -> Vec<Case> {
    const PROGRAM: &str = "a program that nobody serves is drained and answered as unknown";
    const VERSION: &str = "a version that nobody serves is drained and answered as an unknown program";
    const PROCEDURE: &str = "an unknown procedure of a known program is answered as unknown";
    let header = request::header(p::CONNECT_GET_TYPE, SUBJECT);
    let program = |program: u32, len: usize| filled(Header { program, ..header }, len);
    let version = |version: u32, len: usize| filled(Header { version, ..header }, len);
    let qemu = Header { program: program::QEMU, ..request::header(UNKNOWN_PROCEDURE, SUBJECT) };
    let rows = [
        ("program-deadbeef", PROGRAM, program(UNKNOWN_PROGRAM, 0)),
        ("program-deadbeef-payload-4096", PROGRAM, program(UNKNOWN_PROGRAM, 4096)),
        ("program-deadbeef-payload-limit", PROGRAM, program(UNKNOWN_PROGRAM, PAYLOAD_MAX)),
        ("program-0", PROGRAM, program(0, 0)),
        ("version-0", VERSION, version(0, 0)),
        ("version-2", VERSION, version(2, 0)),
        ("version-2-payload-4096", VERSION, version(2, 4096)),
        ("version-2-payload-limit", VERSION, version(2, PAYLOAD_MAX)),
        ("version-ffffffff", VERSION, version(u32::MAX, 0)),
        ("qemu-procedure-9999", PROCEDURE, filled(qemu, 16)),
    ];
    rows.map(|(name, about, request)| one(d, name, about, Expect::NotSupported, request)).into()
}

fn length_words(d: &Description) -> Vec<Case> {
    const SHORT: &str = "a length that does not cover the header ends the connection";
    const LONG: &str = "a length above the limit ends the connection";
    const LIMIT: &str = "the largest lengths are waited for, and others are served meanwhile";
    let header = request::header(p::CONNECT_GET_TYPE, SUBJECT);
    let word = |length: u32| header.with_length(length, b"");
    let short = [0, 1, 3, 4, 5, 8, 27]
        .into_iter()
        .map(|length| ending(d, &format!("length-word-{length}"), SHORT, word(length)));
    let long = [
        ("length-word-33554437", 33_554_437),
        ("length-word-7fffffff", 0x7fff_ffff),
        ("length-word-80000000", 0x8000_0000),
        ("length-word-ffffffff", 0xffff_ffff),
    ];
    let long = long.into_iter().map(|(name, length)| ending(d, name, LONG, word(length)));
    let limit = [33_554_432, 33_554_436]
        .into_iter()
        .map(|length| held(d, &format!("length-word-{length}-held"), LIMIT, vec![plain(word(length))]));
    let cut = header.with_length(1000, b"\0\0\0\0\0\0");
    let about = "34 of 1000 bytes are waited for, and others are served meanwhile (LV-12)";
    let cut = held(d, "message-cut-34-of-1000", about, vec![plain(cut)]);
    short.chain(long).chain(limit).chain([cut]).collect()
}

fn types(d: &Description) -> Vec<Case> {
    const ABOUT: &str = "a message of a type that is no call is dropped without a word";
    let header = request::header(p::CONNECT_GET_TYPE, SUBJECT);
    let message = |kind: i32, status: i32| {
        Header { kind: MessageType(kind), status: Status(status), ..header }.message(b"")
    };
    let mut cases = Vec::new();
    let kinds = [("1", 1), ("2", 2), ("5", 5), ("6", 6), ("7", 7), ("99", 99), ("minus-1", -1)];
    for (name, kind) in kinds.into_iter().chain([("7fffffff", i32::MAX)]) {
        cases.push(dropped(d, &format!("type-{name}"), ABOUT, &message(kind, 0)));
    }
    for status in [1, 2] {
        cases.push(dropped(d, &format!("type-6-status-{status}"), ABOUT, &message(6, status)));
    }
    cases.push(dropped(d, "type-3-status-2", ABOUT, &message(3, 2)));
    // The end of a stream is due a confirmation, if there is a stream.
    for (name, status) in [("type-3", 0), ("type-3-status-1", 1)] {
        let bytes = [&message(3, status)[..], &d.canary].concat();
        cases.push(one(d, name, ABOUT, [Expect::Survive, Expect::Answer], bytes));
    }
    cases
}

fn descriptors(d: &Description) -> Vec<Case> {
    const WAITS: &str = "descriptors that are announced and do not come are waited for, others are served";
    const UNCOUNTED: &str = "a call with descriptors that does not say how many ends";
    let header = request::header(p::CONNECT_GET_TYPE, SUBJECT);
    let message = |payload: &[u8]| Header { kind: MessageType::CALL_WITH_FDS, ..header }.message(payload);
    let count = |count: u32| message(&count.to_be_bytes());
    let on_byte = "a descriptor with a byte of its own behind the message is taken";
    let script = |s: Script| {
        s.send(MAIN, count(1)).then(with_descriptor(Bytes::from_static(b"\0"))).reply(MAIN, REPLY_MS)
    };
    vec![
        ending(d, "fds-without-count", UNCOUNTED, message(b"")),
        ending(d, "fds-33", "more descriptors than the limit end the connection", count(33)),
        held(d, "fds-1-none-sent", WAITS, vec![plain(count(1))]),
        held(d, "fds-1-on-the-message", WAITS, vec![with_descriptor(count(1))]),
        around(d, "fds-1-on-a-byte", on_byte, Hazard::Harmless, Expect::Answer, script),
        one(d, "fds-0", "a call with no descriptors is a call", Expect::Answer, count(0)),
    ]
}

fn statuses(d: &Description) -> Vec<Case> {
    const ABOUT: &str = "a call with a status is refused";
    let statuses = [("1", 1), ("2", 2), ("3", 3), ("99", 99), ("ffffffff", -1)];
    let header = request::header(p::CONNECT_GET_TYPE, SUBJECT);
    let with_status = |status: i32| Header { status: Status(status), ..header }.message(b"");
    let refused =
        |(name, status)| one(d, &format!("call-status-{name}"), ABOUT, Expect::Refusal, with_status(status));
    statuses.map(refused).into()
}

fn many_at_once(d: &Description) -> Vec<Case> {
    const MANY: u32 = 200;
    let calls: Vec<u8> =
        (0..MANY).flat_map(|at| call(p::CONNECT_GET_TYPE, SUBJECT + at, b"").to_vec()).collect();
    let expect = [Expect::Answer; MANY as usize];
    let about = "two hundred calls in one write are all answered, in any order";
    let pipelined = around(d, "pipelined-200", about, Hazard::Disturbs, expect, |s| {
        (0..MANY).fold(s.send(MAIN, calls), |s, _| s.reply(MAIN, REPLY_MS))
    });
    let both = [&unknown(4096)[..], &d.second].concat();
    let about = "an unknown call with a payload and a known one in one write are both answered";
    let (name, expect) = ("unknown-4096-and-known-in-one-write", [Expect::NotSupported, Expect::Answer]);
    let unknown_and_known = around(d, name, about, Hazard::Harmless, expect, |s| {
        s.send(MAIN, both).reply(MAIN, REPLY_MS).reply(MAIN, REPLY_MS)
    });
    let later = open(d, opening(d), MAIN, Role::Subject, &[Expect::Answer.arg()])
        .send(MAIN, d.canary.clone())
        .pause(20)
        .half_close(MAIN)
        .reply(MAIN, REPLY_MS)
        .close(MAIN);
    let about = "a client that ends its sending half 20 ms behind a call is answered (LV-10)";
    let half_closed = case(d, "half-close-20-ms-after-request", about, Hazard::Harmless, later);
    vec![pipelined, unknown_and_known, half_closed]
}

fn arguments(d: &Description) -> Vec<Case> {
    let lookup = |arguments: &[u8]| call(p::INTERFACE_LOOKUP_BY_NAME, SUBJECT, arguments);
    let announced = |length: u32| lookup(&[&length.to_be_bytes()[..], b"eth1"].concat());
    let with_nul = Writer::new().opaque(b"eth1\0more").finish();
    let missing = call(p::INTERFACE_CHANGE_BEGIN, SUBJECT, b"");
    let unpadded = lookup(b"\0\0\0\x05eth1x");
    // No filter by domain is due behind such a call, and none is sent: the flag says 2, then comes one.
    let filter = Writer::new().i32(0).u32(2).raw(&domain().finish());
    let flagged = call_with(p::CONNECT_DOMAIN_EVENT_CALLBACK_REGISTER_ANY, SUBJECT, filter);
    let trailing = call_with(p::INTERFACE_CHANGE_COMMIT, SUBJECT, Writer::new().u32(0).u32(0));
    let rows = [
        ("arguments-missing", "a call that lacks an argument is refused", Expect::Refusal, missing),
        (
            "string-length-ffffffff",
            "a string that announces 4 GiB is refused",
            Expect::Refusal,
            announced(u32::MAX),
        ),
        (
            "string-length-4194305",
            "a string above the limit is refused",
            Expect::Refusal,
            announced(4_194_305),
        ),
        ("string-without-padding", "a string whose padding is missing is refused", Expect::Refusal, unpadded),
        (
            "string-padding-not-zero",
            "what padding holds does not matter",
            Expect::Any,
            lookup(b"\0\0\0\x03ethzzzzz"),
        ),
        ("string-with-nul", "a string ends at its first NUL", Expect::Answer, lookup(&with_nul)),
        ("optional-flag-2", "any flag but 0 says that there is a value", Expect::Answer, flagged),
        (
            "arguments-of-8-bytes-for-4",
            "what stands behind the arguments is passed over",
            Expect::Any,
            trailing,
        ),
    ];
    rows.map(|(name, about, expect, request)| one(d, name, about, expect, request)).into()
}

/// How many names somebody wants, negative or above the limit (LV-14).
fn counts(d: &Description) -> Vec<Case> {
    const ABOUT: &str = "a count that is negative or above the limit is refused (LV-14)";
    const VALUES: [i32; 4] = [-1, i32::MIN, i32::MAX, 16_385];
    let lists = [
        p::CONNECT_LIST_DEFINED_DOMAINS,
        p::CONNECT_LIST_DOMAINS,
        p::CONNECT_LIST_NETWORKS,
        p::CONNECT_LIST_STORAGE_POOLS,
        p::CONNECT_LIST_INTERFACES,
        p::CONNECT_LIST_DEFINED_INTERFACES,
    ];
    let number =
        |serial: u32, procedure: i32, value: i32| call_with(procedure, serial, Writer::new().i32(value));
    let out_of_range = |procedure: i32| {
        let [first, more @ ..] = VALUES;
        around(d, &format!("count-out-of-range-{procedure}"), ABOUT, Hazard::Harmless, Expect::Refusal, |s| {
            let s = s.send(MAIN, number(SUBJECT, procedure, first)).reply(MAIN, REPLY_MS);
            (SUBJECT + 1..).zip(more).fold(s, |s, (serial, value)| {
                asks(s, MAIN, Role::Subject, &[Expect::Refusal.arg()], number(serial, procedure, value))
            })
        })
    };
    let mut cases: Vec<Case> = lists.map(out_of_range).into();
    let cells = call_with(p::NODE_GET_CELLS_FREE_MEMORY, SUBJECT, Writer::new().i32(0).i32(-1));
    cases.push(one(d, "count-negative-101", ABOUT, Expect::Refusal, cells));
    let vcpus = Writer::new().raw(&domain().finish()).i32(-1).i32(-1);
    cases.push(one(
        d,
        "count-negative-20",
        ABOUT,
        Expect::Refusal,
        call_with(p::DOMAIN_GET_VCPUS, SUBJECT, vcpus),
    ));
    cases
}
