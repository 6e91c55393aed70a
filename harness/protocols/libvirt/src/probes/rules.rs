//! What servers promise beyond single answers: how a connection is opened, which features go with which
//! procedures, signs of life, what is served before authentication, events and streams.

use transcript::evidence::{Expect, Role};

use super::*;
use crate::names::{UNKNOWN_PROGRAM, keepalive, program};

/// Features that are asked for, those that nobody has among them. Number 10 is not: it makes the server send
/// signs of life of its own, and close where they stay unanswered.
const FEATURES: std::ops::RangeInclusive<i32> = 0..=24;

pub(super) fn all(d: &Description) -> Vec<Case> {
    let cases = [opens(d), vec![meanings(d)], features(d), keepalives(d), before_authentication(d)];
    cases.into_iter().flatten().chain(events_and_streams(d)).collect()
}

/// What a number has answered since it exists: the driver's type, and the address that was opened.
fn meanings(d: &Description) -> Case {
    let rows = [(p::CONNECT_GET_TYPE, "driver_type", "TEST"), (p::CONNECT_GET_URI, "uri", URI)];
    let script = (SUBJECT..).zip(rows).fold(opened(d), |script, (serial, (procedure, field, value))| {
        let args = [Expect::Answer.arg(), ("field", field), ("value", value)];
        asks(script, MAIN, Role::Subject, &args, call(procedure, serial, b""))
    });
    let about = "the driver's type and address are answered under their numbers";
    case(d, "type-and-address", about, Hazard::Harmless, script.close(MAIN))
}

fn feature_call(serial: u32, feature: i32) -> Bytes {
    call_with(p::CONNECT_SUPPORTS_FEATURE, serial, Writer::new().i32(feature))
}

fn begin(serial: u32) -> Bytes {
    call_with(p::INTERFACE_CHANGE_BEGIN, serial, Writer::new().u32(0))
}

fn opens(d: &Description) -> Vec<Case> {
    const FLAGS: &str = "flags that nobody knows do not keep a driver from opening";
    const UNKNOWN: &str = "a driver that nobody knows is refused, and another can be opened";
    const BEFORE: &str = "a call that needs a driver is refused until there is one";
    const READ_ONLY: &str = "who may only read cannot begin a transaction";
    const CLOSE: &str = "a client that says good-bye is answered, and then closed";
    let unopened = |script: Script, expect: Expect| script.open(MAIN, Role::Subject, &[expect.arg()]);
    let type_of = |serial: u32| call(p::CONNECT_GET_TYPE, serial, b"");
    let answer = [Expect::Answer.arg()];

    let script = unopened(opening(d), Expect::Answer).send(MAIN, request::open(SUBJECT, Some(URI), 0xffff));
    let flags = quiet(script.reply(MAIN, REPLY_MS), MAIN);

    let script = unopened(opening(d), Expect::Refusal)
        .send(MAIN, request::open(SUBJECT, Some("bogus:///x"), 0))
        .reply(MAIN, REPLY_MS);
    let script = asks(script, MAIN, Role::Subject, &answer, request::open(SUBJECT + 1, Some(URI), 0));
    let unknown = asks(script, MAIN, Role::Subject, &answer, type_of(SUBJECT + 2)).close(MAIN);

    let script = unopened(opening(d), Expect::Refusal).send(MAIN, type_of(SUBJECT)).reply(MAIN, REPLY_MS);
    let script = asks(script, MAIN, Role::Subject, &answer, request::open(SUBJECT + 1, Some(URI), 0));
    let before = asks(script, MAIN, Role::Subject, &answer, type_of(SUBJECT + 2)).close(MAIN);

    let script = opening(d)
        .open(MAIN, Role::Greeting, &[])
        .send(MAIN, request::open(OPENING, Some(URI), 1))
        .reply(MAIN, REPLY_MS);
    let script = asks(script, MAIN, Role::Subject, &[Expect::Refusal.arg()], begin(SUBJECT));
    let read_only = asks(script, MAIN, Role::Subject, &answer, type_of(SUBJECT + 1)).close(MAIN);

    let close = |s: Script| {
        s.send(MAIN, call(p::CONNECT_CLOSE, SUBJECT, b"")).reply(MAIN, REPLY_MS).quiet(MAIN, STALL_MS)
    };
    let closed = close(open(d, opening(d), MAIN, Role::Subject, &answer)).close(MAIN);
    let rows = [
        ("open-with-unknown-flags", FLAGS, flags),
        ("open-unknown-driver", UNKNOWN, unknown),
        ("call-before-open", BEFORE, before),
        ("read-only-begin", READ_ONLY, read_only),
        ("close", CLOSE, closed),
    ];
    rows.map(|(name, about, script)| case(d, name, about, Hazard::Harmless, script)).into()
}

fn features(d: &Description) -> Vec<Case> {
    const ANSWERED: &str = "every feature is answered, known or not";
    const BEFORE: &str =
        "features of the driver are refused or answered before there is one, and it can be opened then";
    const KEPT: &str = "whoever promises a feature knows the procedures that go with it";
    let asked = || FEATURES.filter(|feature| *feature != feature::PROGRAM_KEEPALIVE).chain([999, -1]);
    let numbered = || (SUBJECT..).zip(asked());

    let after = numbered().fold(opened(d), |script, (serial, feature)| {
        asks(script, MAIN, Role::Subject, &[Expect::Answer.arg()], feature_call(serial, feature))
    });

    let script = opening(d).open(MAIN, Role::Setup, &[("name", "not-opened")]);
    let script = script.send(MAIN, call(p::AUTH_LIST, SECOND, b"")).reply(MAIN, REPLY_MS);
    let before = numbered().fold(script, |script, (serial, feature)| {
        asks(script, MAIN, Role::Subject, &[Expect::Any.arg()], feature_call(serial, feature))
    });
    let before =
        asks(before, MAIN, Role::Subject, &[Expect::Answer.arg()], request::open(OPENING, Some(URI), 0));
    let promised = [
        feature_call(SUBJECT, feature::REMOTE_EVENT_CALLBACK),
        call_with(p::CONNECT_DOMAIN_EVENT_CALLBACK_REGISTER_ANY, SUBJECT + 1, Writer::new().i32(0).u32(0)),
        feature_call(SUBJECT + 2, feature::REMOTE_CLOSE_CALLBACK),
        call(p::CONNECT_REGISTER_CLOSE_CALLBACK, SUBJECT + 3, b""),
        call(p::CONNECT_UNREGISTER_CLOSE_CALLBACK, SUBJECT + 4, b""),
        feature_call(SUBJECT + 5, feature::NETWORK_UPDATE_HAS_CORRECT_ORDER),
    ];
    let kept = promised
        .into_iter()
        .fold(opened(d), |script, request| asks(script, MAIN, Role::Subject, &[Expect::Any.arg()], request));
    let rows = [
        ("features", ANSWERED, after),
        ("features-before-open", BEFORE, before),
        ("features-and-procedures", KEPT, kept),
    ];
    rows.map(|(name, about, script)| case(d, name, about, Hazard::Harmless, script.close(MAIN))).into()
}

fn keepalives(d: &Description) -> Vec<Case> {
    const BEFORE: &str = "a sign of life is answered before anything else is said";
    const AS_CALL: &str = "signs of life are no program that can be called";
    const UNKNOWN: &str = "a sign of life of an unknown kind is dropped without a word";
    const UNASKED: &str = "an answer to a sign of life that was not asked for is dropped without a word";
    let message = |procedure: i32, kind: MessageType| {
        Header { program: program::KEEPALIVE, kind, ..request::header(procedure, 0) }.message(b"")
    };
    let ping = message(keepalive::PING, MessageType::MESSAGE);
    let unopened = opening(d)
        .open(MAIN, Role::Subject, &[Expect::Answer.arg()])
        .send(MAIN, ping.clone())
        .reply(MAIN, REPLY_MS);
    let as_call = message(keepalive::PING, MessageType::CALL);
    let unknown = message(9, MessageType::MESSAGE);
    let pong = message(keepalive::PONG, MessageType::MESSAGE);
    vec![
        one(d, "keepalive-ping", "a sign of life is answered", Expect::Answer, ping),
        case(d, "keepalive-ping-before-open", BEFORE, Hazard::Harmless, quiet(unopened, MAIN)),
        one(d, "keepalive-ping-as-call", AS_CALL, Expect::NotSupported, as_call),
        dropped(d, "keepalive-unknown", UNKNOWN, &unknown),
        dropped(d, "keepalive-pong-unasked", UNASKED, &pong),
    ]
}

/// Whether a server asks its clients to authenticate is a setting of it. Its own list of ways says so, and a
/// check holds the answers against that.
fn before_authentication(d: &Description) -> Vec<Case> {
    const REFUSED: &str = "before authentication nothing is carried out";
    const UNKNOWN: &str = "what is unknown is answered as unknown, before authentication too";
    const NOT_OFFERED: &str = "a way to authenticate that is not offered is refused";
    const NO_MECHANISM: &str = "a mechanism that nobody has is refused";
    let list = |serial: u32| call(p::AUTH_LIST, serial, b"");
    let d = Description { greeting: Vec::new(), canary: list(CANARY), second: list(SECOND), ..d.clone() };
    let sasl_start = Writer::new().opaque(b"NO-SUCH").i32(0).opaque(b"");
    let program = Header { program: UNKNOWN_PROGRAM, ..request::header(p::CONNECT_GET_TYPE, SUBJECT) };
    let rows: [(&str, &'static str, Expect, Bytes); 8] = [
        ("open", REFUSED, Expect::Any, request::open(SUBJECT, Some(URI), 0)),
        ("call", REFUSED, Expect::Any, call(p::CONNECT_GET_LIB_VERSION, SUBJECT, b"")),
        ("feature", REFUSED, Expect::Any, feature_call(SUBJECT, feature::REMOTE_CLOSE_CALLBACK)),
        ("polkit", NOT_OFFERED, Expect::Refusal, call(p::AUTH_POLKIT, SUBJECT, b"")),
        ("sasl", NO_MECHANISM, Expect::Refusal, call_with(p::AUTH_SASL_START, SUBJECT, sasl_start)),
        ("unknown-procedure", UNKNOWN, Expect::NotSupported, unknown(0)),
        ("unknown-procedure-payload-4096", UNKNOWN, Expect::NotSupported, unknown(4096)),
        ("unknown-program", UNKNOWN, Expect::NotSupported, filled(program, 16)),
    ];
    let named = |name| format!("before-authentication-{name}");
    let rows = rows.into_iter().map(|(name, about, expect, request)| {
        let args = [expect.arg(), ("before", "authentication")];
        around_marked(&d, &named(name), about, Hazard::Harmless, &args, |s| large(s, request))
    });
    let sizes =
        [("unknown-procedure-payload-1048576", 1 << 20), ("unknown-procedure-payload-limit", PAYLOAD_MAX)];
    let sizes = sizes.into_iter().map(|(name, size)| {
        let args = [Expect::NotSupported.arg(), ("before", "authentication")];
        around_large(&d, &named(name), UNKNOWN, Hazard::Harmless, &args, move |_, s| large(s, unknown(size)))
    });
    rows.chain(sizes).collect()
}

fn events_and_streams(d: &Description) -> Vec<Case> {
    let register = |serial: u32, event: i32| {
        let arguments = Writer::new().i32(event).u32(0);
        call_with(p::CONNECT_DOMAIN_EVENT_CALLBACK_REGISTER_ANY, serial, arguments)
    };
    let about = "an event that nobody sends cannot be registered for";
    let unknown = one(d, "event-unknown", about, Expect::Refusal, register(SUBJECT, 9999));
    let about = "who registers in the new way cannot register in the old way too";
    let twice = around(d, "event-registered-in-both-ways", about, Hazard::Harmless, Expect::Answer, |s| {
        let s = s.send(MAIN, register(SUBJECT, 0)).reply(MAIN, REPLY_MS);
        let old = call(p::CONNECT_DOMAIN_EVENT_REGISTER, SUBJECT + 1, b"");
        asks(s, MAIN, Role::Subject, &[Expect::Refusal.arg()], old)
    });
    let mut cases = vec![unknown, twice, event_not_lost(d, register(SUBJECT, 0)), stream_complete(d)];
    cases.extend(stray_streams(d));
    cases
}

/// Parts of a stream that is over, or never was, take nobody's place among the calls that are worked on at a
/// time: more of them come than there are places.
fn stray_streams(d: &Description) -> Vec<Case> {
    const PARTS: usize = 12;
    let part = |kind: MessageType, payload: &[u8]| {
        let header = request::header(p::DOMAIN_SCREENSHOT, SUBJECT);
        Header { kind, status: Status::CONTINUE, ..header }.message(payload).repeat(PARTS)
    };
    let hole = Writer::new().u64(4096).u32(0).finish();
    let about = "parts of a stream that never was are dropped, and calls go on";
    vec![
        dropped(d, "stream-parts-without-stream", about, &part(MessageType::STREAM, b"part")),
        dropped(d, "stream-holes-without-stream", about, &part(MessageType::STREAM_HOLE, &hole)),
    ]
}

/// Another client suspends and resumes the domain: two events.
fn event_not_lost(d: &Description, register: Bytes) -> Case {
    let script = open(d, opening(d), MAIN, Role::Subject, &[Expect::Answer.arg(), ("events", "2")])
        .send(MAIN, register)
        .reply(MAIN, REPLY_MS);
    let mut script = open(d, script, OTHER, Role::Setup, &[("name", "suspend-and-resume")]);
    for (serial, procedure) in (SUBJECT..).zip([p::DOMAIN_SUSPEND, p::DOMAIN_RESUME]) {
        script = script.send(OTHER, call_with(procedure, serial, domain())).reply(OTHER, REPLY_MS);
    }
    let script = script.reply(MAIN, REPLY_MS).reply(MAIN, REPLY_MS).quiet(MAIN, QUIET_MS);
    let about = "who registered gets each event, once";
    case(d, "event-not-lost", about, Hazard::Disturbs, script.close(MAIN).close(OTHER))
}

/// The answer, the bytes, an empty message at their end; then the client ends the stream and is confirmed.
fn stream_complete(d: &Description) -> Case {
    let arguments = Writer::new().raw(&domain().finish()).u32(0).u32(0);
    let end = Header { kind: MessageType::STREAM, ..request::header(p::DOMAIN_SCREENSHOT, SUBJECT) };
    let about = "a stream comes whole, and its end is confirmed";
    let args = [(Expect::ARG, &*Expect::list(&[Expect::Answer, Expect::Answer])), ("stream", "whole")];
    around_marked(d, "stream-complete", about, Hazard::Harmless, &args, |s| {
        let s = s.send(MAIN, call_with(p::DOMAIN_SCREENSHOT, SUBJECT, arguments));
        let s = (0..3).fold(s, |s, _| s.reply(MAIN, REPLY_MS)).quiet(MAIN, QUIET_MS);
        s.send(MAIN, end.message(b"")).reply(MAIN, REPLY_MS)
    })
}
