//! Every shape of the checks of a probe: a transcript that raises it, and it alone.

use matrix::{CaseKind, Verdict};
use transcript::ExitStatus;
use transcript::evidence::{Expect, MuxerFault, Role};

use crate::toy::{
    CANARY, CANARY_OK, GARBAGE, NOT_SUPPORTED, NOTIFICATION, REFUSED, SECOND, SECOND_OK, STOP, Tale, UNKNOWN,
    closing, closing_opening, found, judged, opening, subject,
};
use Verdict::{Broken, Compatible, Degraded, Refused};

/// What was done, and what must be found: `check: shape`, or nothing.
pub(crate) type Row = (&'static str, Tale, Verdict, Option<&'static str>);

/// A refused subject, up to its canary.
fn refused() -> Tale {
    subject(Expect::NotSupported).sends(5, UNKNOWN).answers(5, NOT_SUPPORTED).role(5, Role::Settle, &[])
}

/// The canary behind a refused subject, sent and not yet answered.
fn canary() -> Tale {
    refused().silent(5).role(5, Role::Canary, &[]).sends(5, CANARY)
}

fn done(tale: Tale) -> Tale {
    closing(tale.role(5, Role::Quiet, &[]).silent(5))
}

/// Two requests in one write.
fn pipelined() -> Tale {
    let args = [(Expect::ARG, &*Expect::list(&[Expect::Answer, Expect::Answer])), ("sends", "canary,second")];
    opening().open(5, Role::Subject, &args).sends(5, &[CANARY, SECOND].concat())
}

/// A request in two parts.
fn split() -> Tale {
    opening()
        .open(5, Role::Subject, &[Expect::Answer.arg(), ("split", "1")])
        .sends(5, b"c")
        .sends(5, b"\x01q")
}

pub(crate) fn good() -> Vec<Row> {
    let answered = |expect, reply| closing(subject(expect).sends(5, CANARY).answers(5, reply));
    vec![
        ("refused, drained, kept", done(canary().answers(5, CANARY_OK)), Compatible, None),
        ("a good answer", answered(Expect::Answer, CANARY_OK), Compatible, None),
        ("any answer", answered(Expect::Any, REFUSED), Compatible, None),
        ("an error where one is due", answered(Expect::Refusal, REFUSED), Compatible, None),
        ("survives garbage", closing(subject(Expect::Survive).sends(5, GARBAGE).ends(5)), Compatible, None),
        (
            "in order, but for masked fields",
            done(pipelined().answers(5, b"\x00\x02c7\x00\x02s8")),
            Compatible,
            None,
        ),
        ("one byte at a time", closing(split().answers(5, CANARY_OK)), Compatible, None),
        (
            "a message that nobody asked for is no answer",
            done(canary().answers(5, NOTIFICATION).answers(5, CANARY_OK).answers(5, NOTIFICATION)),
            Compatible,
            None,
        ),
        (
            "garbage may be answered, once",
            closing(
                subject(Expect::Survive)
                    .sends(5, GARBAGE)
                    .answers(5, REFUSED)
                    .role(5, Role::Quiet, &[])
                    .silent(5),
            ),
            Compatible,
            None,
        ),
        (
            "memory may grow a little",
            opening()
                .asks(5, Role::Subject, &[Expect::Answer.arg()])
                .asks(9, Role::Fresh, &[])
                .watch("9", "17000"),
            Compatible,
            None,
        ),
    ]
}

fn unanswered() -> Vec<Row> {
    let due = || subject(Expect::NotSupported).sends(5, UNKNOWN);
    vec![
        ("closes instead", closing(due().ends(5)), Broken, Some("answered-as-due: no-reply")),
        (
            "cannot even be sent to",
            closing(due().notes(5, "send-failed")),
            Broken,
            Some("answered-as-due: no-reply"),
        ),
        ("says nothing", closing(due().silent(5)), Broken, Some("answered-as-due: hang")),
        (
            "an answer of silence is no answer",
            closing(subject(Expect::Any).sends(5, CANARY).silent(5)),
            Broken,
            Some("answered-as-due: hang"),
        ),
        (
            "a notification is no answer",
            closing(due().answers(5, NOTIFICATION).silent(5)),
            Broken,
            Some("answered-as-due: hang"),
        ),
        (
            "success for an unknown request",
            closing(due().answers(5, CANARY_OK)),
            Broken,
            Some("answered-as-due: wrong-success"),
        ),
        (
            "another error for it",
            closing(due().answers(5, REFUSED)),
            Broken,
            Some("answered-as-due: wrong-refusal"),
        ),
        (
            "a valid request is unknown",
            closing(subject(Expect::Answer).sends(5, CANARY).answers(5, NOT_SUPPORTED)),
            Refused,
            Some("answered-as-due: not-supported"),
        ),
        (
            "a valid request is refused",
            closing(subject(Expect::Answer).sends(5, CANARY).answers(5, REFUSED)),
            Refused,
            Some("answered-as-due: refused-valid"),
        ),
        (
            "a close for a refusal",
            closing(subject(Expect::Refusal).sends(5, CANARY).ends(5)),
            Refused,
            Some("answered-as-due: closed"),
        ),
        (
            "a split request is refused",
            closing(split().ends(5)),
            Broken,
            Some("answered-as-due: split-refused"),
        ),
        (
            "the second of two is lost in silence",
            closing(pipelined().answers(5, CANARY_OK).silent(5)),
            Broken,
            Some("answered-as-due: lost-pipelined"),
        ),
        (
            "the second of two is lost in a close",
            closing(pipelined().answers(5, CANARY_OK).ends(5)),
            Broken,
            Some("answered-as-due: lost-pipelined"),
        ),
    ]
}

fn order() -> Vec<Row> {
    let unframed = || subject(Expect::Survive).sends(5, GARBAGE).answers(5, REFUSED);
    vec![
        (
            "one answer too many",
            done(canary().answers(5, CANARY_OK).answers(5, CANARY_OK)),
            Broken,
            Some("answered-once: answered-twice"),
        ),
        (
            "one answer too many, late",
            closing(canary().answers(5, CANARY_OK).role(5, Role::Quiet, &[]).answers(5, CANARY_OK)),
            Broken,
            Some("answered-once: answered-twice"),
        ),
        (
            "a second answer hides behind garbage",
            closing(unframed().answers(5, REFUSED)),
            Broken,
            Some("answered-once: answered-twice"),
        ),
        (
            "a second answer before garbage",
            closing(
                subject(Expect::Survive)
                    .sends(5, CANARY)
                    .answers(5, CANARY_OK)
                    .answers(5, CANARY_OK)
                    .role(5, Role::Quiet, &[])
                    .sends(5, GARBAGE),
            ),
            Broken,
            Some("answered-once: answered-twice"),
        ),
        (
            "an answer to nobody",
            closing(subject(Expect::Survive).answers(5, CANARY_OK)),
            Broken,
            Some("answered-once: answered-twice"),
        ),
        (
            "swapped answers",
            done(pipelined().answers(5, SECOND_OK).answers(5, CANARY_OK)),
            Broken,
            Some("answered-once: out-of-order"),
        ),
    ]
}

fn drain() -> Vec<Row> {
    let not_drained = Some("payload-drained: not-drained");
    let once = closing_opening().open(5, Role::Subject, &[Expect::NotSupported.arg()]);
    let once = once.sends(5, UNKNOWN).answers(5, NOT_SUPPORTED).role(5, Role::Settle, &[]).ends(5);
    vec![
        (
            "a reset over unread bytes",
            closing(refused().resets(5).role(5, Role::Canary, &[])),
            Broken,
            not_drained,
        ),
        (
            "a reset with the answer",
            closing(
                subject(Expect::NotSupported).sends(5, UNKNOWN).answers(5, NOT_SUPPORTED).resets(5).role(
                    5,
                    Role::Canary,
                    &[],
                ),
            ),
            Broken,
            not_drained,
        ),
        ("the canary gets another answer", done(canary().answers(5, NOT_SUPPORTED)), Broken, not_drained),
        ("the canary is swallowed", closing(canary().silent(5)), Broken, not_drained),
        (
            "closes although it keeps others",
            closing(refused().ends(5).role(5, Role::Canary, &[])),
            Broken,
            Some("payload-drained: closed-after-refusal"),
        ),
        (
            "closes when the canary comes",
            closing(canary().ends(5)),
            Broken,
            Some("payload-drained: closed-after-refusal"),
        ),
        (
            "closes as it always does",
            closing(once.role(5, Role::Canary, &[])),
            Degraded,
            Some("payload-drained: one-request-per-connection"),
        ),
    ]
}

fn server() -> Vec<Row> {
    let asked = || opening().asks(5, Role::Subject, &[Expect::Answer.arg()]);
    let dead = |status| asked().refuses_connection(9).role(9, Role::Fresh, &[]).exits(status);
    let witness = asked().open(6, Role::Witness, &[]).sends(6, CANARY);
    vec![
        ("killed by a signal", dead(ExitStatus::Signal(11)), Broken, Some("stays-up: crash")),
        ("gone", dead(ExitStatus::Gone), Broken, Some("stays-up: crash")),
        ("ends with success", dead(ExitStatus::Code(0)), Broken, Some("stays-up: server-exited")),
        (
            "no new client can connect",
            asked().refuses_connection(9).role(9, Role::Fresh, &[]).watch("10", "1000"),
            Broken,
            Some("stays-up: not-usable-after"),
        ),
        (
            "a new client hears nothing",
            asked().open(9, Role::Fresh, &[]).sends(9, CANARY).silent(9).watch("10", "1000"),
            Broken,
            Some("stays-up: not-usable-after"),
        ),
        (
            "a new client is refused",
            asked().open(9, Role::Fresh, &[]).sends(9, CANARY).answers(9, REFUSED).watch("10", "1000"),
            Broken,
            Some("stays-up: not-usable-after"),
        ),
        (
            "the subject cannot connect",
            closing(opening().refuses_connection(5).role(5, Role::Subject, &[Expect::Survive.arg()])),
            Broken,
            Some("stays-up: not-usable-after"),
        ),
        (
            "the muxer does not let the subject through",
            closing(
                opening()
                    .stopped_by_muxer(5, MuxerFault::Word)
                    .role(5, Role::Subject, &[Expect::Answer.arg()])
                    .role(5, Role::Canary, &[]),
            ),
            Broken,
            Some("stays-up: muxer"),
        ),
        (
            "the muxer does not let a new client through",
            asked().stopped_by_muxer(9, MuxerFault::Silent).role(9, Role::Fresh, &[]).watch("10", "1000"),
            Broken,
            Some("stays-up: muxer"),
        ),
        (
            "the muxer does not let another client through",
            closing(asked().stopped_by_muxer(6, MuxerFault::Eof).role(6, Role::Witness, &[])),
            Broken,
            Some("stays-up: muxer"),
        ),
        (
            "dead behind its muxer",
            dead(ExitStatus::Code(1)).stopped_by_muxer(10, MuxerFault::Eof),
            Broken,
            Some("stays-up: server-exited"),
        ),
        ("another client waits", closing(witness.clone().silent(6)), Broken, Some("stays-up: blocks-others")),
        (
            "another client is refused",
            closing(witness.answers(6, REFUSED)),
            Broken,
            Some("stays-up: blocks-others"),
        ),
        (
            "a descriptor stays open",
            asked().asks(9, Role::Fresh, &[]).watch("11", "1000"),
            Broken,
            Some("gives-back: leak-fds"),
        ),
        (
            "memory is kept",
            asked().asks(9, Role::Fresh, &[]).watch("10", "17385"),
            Broken,
            Some("gives-back: leak-memory"),
        ),
        (
            "payloads are kept",
            opening()
                .sees("held_bytes", "0")
                .asks(5, Role::Subject, &[Expect::Answer.arg()])
                .asks(9, Role::Fresh, &[])
                .sees("held_bytes", "4112")
                .watch("10", "1000"),
            Broken,
            Some("gives-back: leak-memory"),
        ),
        (
            "half a message stays",
            closing(opening().sees("held_bytes", "0").asks(5, Role::Subject, &[Expect::Answer.arg()]))
                .sees("held_bytes", "34"),
            Compatible,
            None,
        ),
        (
            "a reply that cannot be framed",
            closing(subject(Expect::Survive).sends(5, STOP).answers(5, GARBAGE)),
            Broken,
            Some("readable-replies: unreadable-reply"),
        ),
        (
            "a success that cannot be read",
            closing(subject(Expect::Survive).sends(5, CANARY).answers(5, b"\x00\x01c")),
            Broken,
            Some("readable-replies: unreadable-reply"),
        ),
        (
            "a close in mid-frame",
            closing(subject(Expect::Survive).sends(5, STOP).answers(5, b"\x00").ends(5)),
            Broken,
            Some("readable-replies: unreadable-reply"),
        ),
        (
            "no end of it",
            closing(subject(Expect::Survive).sends(5, STOP).notes(5, "flood")),
            Broken,
            Some("readable-replies: flood"),
        ),
    ]
}

pub(crate) fn rows() -> Vec<Row> {
    [unanswered(), order(), drain(), server()].into_iter().flatten().collect()
}

#[track_caller]
fn check(rows: Vec<Row>) {
    for (what, tale, verdict, shape) in rows {
        let judgement = judged(CaseKind::Probe, tale, None);
        let expect: Vec<String> = shape.iter().map(|shape| (*shape).to_owned()).collect();
        assert_eq!((judgement.verdict, found(&judgement)), (verdict, expect), "{what}");
    }
}

#[test]
fn lets_good_servers_pass() {
    check(good());
}

#[test]
fn finds_what_is_not_answered_as_due() {
    check(unanswered());
}

#[test]
fn finds_answers_too_many_or_out_of_order() {
    check(order());
}

#[test]
fn finds_what_was_not_drained() {
    check(drain());
}

/// The canary's bytes come back garbled: the stream is out of step, and it cannot be framed either.
#[test]
fn an_undecodable_answer_to_the_canary_is_two_faults() {
    let judgement = judged(CaseKind::Probe, closing(canary().answers(5, GARBAGE)), None);
    assert_eq!(found(&judgement), ["payload-drained: not-drained", "readable-replies: unreadable-reply"]);
}

#[test]
fn finds_what_hurts_the_server_or_others() {
    check(server());
}

/// Found by `reading::every_transcript_can_be_judged`: a fixture may say any number, and the difference of two
/// overflowed.
#[test]
fn counts_at_the_ends_of_their_range_are_compared() {
    let asked = opening().asks(5, Role::Subject, &[Expect::Answer.arg()]).asks(9, Role::Fresh, &[]);
    let lowest = Tale::default().sees("fds", "-9223372036854775808");
    let tale = Tale { events: [lowest.events, asked.events].concat() }.watch("9223372036854775807", "1000");
    assert_eq!(found(&judged(CaseKind::Probe, tale, None)), ["gives-back: leak-fds"]);
}
