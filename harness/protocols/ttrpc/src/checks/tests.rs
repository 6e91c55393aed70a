//! What each check finds, and what it lets pass.

use verdict::checks::ALONE_COMPLETE;
use wire::ttrpc::{Flags, MessageType};

use super::*;
use crate::envelope::failure;
use crate::testing::{Talk, done, good};

#[track_caller]
fn check(check: Check, talk: &Talk, expect: &[&str]) {
    assert_eq!(talk.found(check, CaseKind::Probe), expect, "{}", check.name);
}

/// A message of any length, without its body.
fn head(stream: u32, kind: MessageType, length: u32) -> bytes::Bytes {
    Header { stream, kind, flags: Flags(0) }.with_length(length, b"")
}

/// A request that is one byte longer than the limit, and of which nothing but the head comes.
fn oversize() -> bytes::Bytes {
    head(1, MessageType::REQUEST, DATA_MAX + 1)
}

fn subject(expect: &[Expect]) -> Talk {
    Talk::new().role(Role::Subject, expect)
}

#[test]
fn a_canary_tells_what_became_of_a_refusal() {
    let refused = subject(&[Expect::Refusal]).asks(good(1)).answers(failure(1, code::INTERNAL, ""));
    let canary = || refused.clone().role(Role::Canary, &[]).asks(good(3));
    check(CANARIES_ANSWERED, &canary().answers(done(3)), &[]);
    check(CANARIES_ANSWERED, &canary().answers(failure(3, code::INTERNAL, "")), &["not-drained"]);
    check(CANARIES_ANSWERED, &canary().silent(), &["not-drained"]);
    check(CANARIES_ANSWERED, &canary().closes(), &["closed-after-refusal"]);
    let closed = refused.clone().closes().role(Role::Canary, &[]);
    check(CANARIES_ANSWERED, &closed, &["closed-after-refusal"]);
}

#[test]
fn a_message_above_the_limit_costs_itself() {
    let sent = || subject(&[Expect::Survive]).asks(oversize());
    check(OPEN_AFTER_OVERSIZE, &sent().silent().leaves(), &[]);
    check(OPEN_AFTER_OVERSIZE, &sent().closes(), &["closed-after-refusal"]);
    // Whoever is left hangs up.
    check(OPEN_AFTER_OVERSIZE, &sent().leaves().closes(), &[]);
    check(OPEN_AFTER_OVERSIZE, &subject(&[Expect::Survive]).asks(good(1)).closes(), &[]);
    // The canary says it.
    let before_canary = sent().closes().role(Role::Canary, &[]);
    check(OPEN_AFTER_OVERSIZE, &before_canary, &[]);
    check(CANARIES_ANSWERED, &before_canary, &["closed-after-refusal"]);
}

#[test]
fn nobody_carries_out_a_body() {
    let sent = || subject(&[Expect::Survive]).asks([oversize(), good(7)].concat());
    check(NOTHING_SMUGGLED, &sent().silent(), &[]);
    check(NOTHING_SMUGGLED, &sent().answers(failure(1, code::RESOURCE_EXHAUSTED, "")), &[]);
    check(NOTHING_SMUGGLED, &sent().answers(done(7)), &["smuggled"]);
}

#[test]
fn who_writes_reads() {
    let sent = || subject(&[Expect::Survive]).asks([good(1), good(3)].concat()).answers(done(1));
    check(READS_ON, &sent().answers(done(3)), &[]);
    check(READS_ON, &sent().silent(), &["stops-reading"]);
    check(READS_ON, &sent().closes(), &[]);
}

#[test]
fn no_answer_is_above_the_limit() {
    let answered = |length| subject(&[]).asks(good(1)).answers(head(1, MessageType::RESPONSE, length));
    check(WITHIN_LIMIT, &answered(DATA_MAX), &[]);
    check(WITHIN_LIMIT, &answered(DATA_MAX + 1), &["above-limit"]);
    // There it is the client that is judged, unless nobody knows that the server is wrong.
    let of_client = |talk: &Talk| talk.found(WITHIN_LIMIT, CaseKind::Client);
    assert_eq!(of_client(&answered(DATA_MAX + 1)), ["above-limit"]);
    assert_eq!(of_client(&answered(DATA_MAX + 1).of_faulty_server()), [""; 0]);
}

/// After a report on a runtime (<https://github.com/containerd/ttrpc-rust/issues/198>): an answer is above the limit, its body looks
/// like one to the next call, and nobody says anything more.
#[test]
fn a_client_that_waits_behind_an_answer_above_the_limit_is_told_who_was_wrong() {
    let long = Header { stream: 1, kind: MessageType::RESPONSE, flags: Flags(0) };
    let long = long.with_length(DATA_MAX + 1, &[&done(3)[..], &[0; 64]].concat());
    let talk = Talk::new().asks(good(1)).answers(long).asks(good(3)).silent();
    check(WITHIN_LIMIT, &talk, &["above-limit"]);
    check(CALLS_ANSWERED, &talk, &["no-reply"]);
}

#[test]
fn a_failure_keeps_the_code_that_is_in_its_text() {
    #[track_caller]
    fn said(code: i64, text: &str, expect: &[&str]) {
        let talk = subject(&[Expect::Refusal]).asks(good(1)).answers(failure(1, code, text));
        check(CODE_KEPT, &talk, expect);
    }
    said(code::INTERNAL, "no such container", &[]);
    let rust = "rpc status: Status { code: NOT_FOUND, message: \"no such container\" }";
    said(code::NOT_FOUND, rust, &[]);
    said(code::INTERNAL, rust, &["code-lost"]);
    let go = "get state: rpc error: code = NotFound desc = container not created: not found";
    said(code::NOT_FOUND, go, &[]);
    said(code::UNKNOWN, go, &["code-lost"]);
    said(code::UNKNOWN, "rpc error: code = DeadlineExceeded desc = ", &["code-lost"]);
    // The outermost of several hops counts, and what nobody knows says nothing.
    said(code::UNKNOWN, "rpc error: code = Unknown desc = rpc error: code = NotFound desc = x", &[]);
    said(code::UNKNOWN, "rpc error: code = Code(99) desc = x", &[]);
    said(code::UNKNOWN, "rpc error: code = ", &[]);
}

#[test]
fn every_call_is_answered_while_its_client_listens() {
    let asked = || Talk::new().asks(good(1));
    check(CALLS_ANSWERED, &asked().answers(done(1)).leaves(), &[]);
    check(CALLS_ANSWERED, &asked().silent(), &["no-reply"]);
    check(CALLS_ANSWERED, &Talk::new().leaves().asks(good(1)), &[]);
    check(CALLS_ANSWERED, &asked().answers(done(1)).answers(done(1)), &["answered-twice"]);
    check(CALLS_ANSWERED, &asked().answers(done(1)).answers(done(3)), &["answered-twice"]);
}

#[test]
fn streams_of_a_client_are_odd_and_increase() {
    let asked = |streams: &[u32]| streams.iter().fold(Talk::new(), |talk, stream| talk.asks(good(*stream)));
    check(STREAMS_INCREASE, &asked(&[1, 3, 7]), &[]);
    check(STREAMS_INCREASE, &asked(&[1, 1]), &["stream-reused"]);
    check(STREAMS_INCREASE, &asked(&[5, 3]), &["stream-reused"]);
    check(STREAMS_INCREASE, &asked(&[2]), &["stream-reused"]);
    check(STREAMS_INCREASE, &asked(&[0]), &["stream-reused"]);
}

#[test]
fn what_was_recorded_elsewhere_is_complete_or_proves_nothing() {
    let answered = || subject(&[Expect::Answer]).asks(good(1)).answers(done(1));
    let incomplete = &["incomplete"][..];
    check(ALONE_COMPLETE, &answered().leaves(), &[]);
    check(ALONE_COMPLETE, &answered(), incomplete);
    check(ALONE_COMPLETE, &subject(&[Expect::Answer]).leaves(), &[]);
    check(ALONE_COMPLETE, &Talk::new().leaves(), incomplete);
    check(ALONE_COMPLETE, &subject(&[Expect::Answer]).asks(good(1)).leaves(), incomplete);
    check(ALONE_COMPLETE, &subject(&[Expect::Answer]).asks(good(1)).silent().leaves(), &[]);
    check(ALONE_COMPLETE, &answered().role(Role::Canary, &[]).leaves(), incomplete);
    check(ALONE_COMPLETE, &answered().closes().role(Role::Canary, &[]).leaves(), &[]);
    check(RECORDED_COMPLETE, &answered().leaves(), &[]);
    check(RECORDED_COMPLETE, &answered(), incomplete);
    check(RECORDED_COMPLETE, &Talk::new().leaves(), incomplete);
}
