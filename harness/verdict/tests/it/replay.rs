//! Replays: the same conversation once more, compared with its recording.

use matrix::{CaseKind, Verdict};
use transcript::ExitStatus;
use transcript::evidence::{MuxerFault, Role};

use crate::toy::{
    CANARY, CANARY_OK, GARBAGE, NOT_SUPPORTED, NOTIFICATION, REFUSED, SECOND, STOP, Tale, found, judged,
};
use Verdict::{Broken, Compatible, Refused};

/// What was recorded, what happens now, and what must be found.
pub(crate) type Row = (&'static str, Tale, Tale, Verdict, Option<&'static str>);

fn asked() -> Tale {
    Tale::default().unmarked(1).sends(1, CANARY)
}

fn answered(reply: &[u8]) -> Tale {
    asked().answers(1, reply)
}

pub(crate) fn good() -> Vec<Row> {
    let good = || answered(CANARY_OK);
    let crashed = || asked().resets(1).exits(ExitStatus::Signal(11));
    vec![
        ("the same", good(), good(), Compatible, None),
        ("the same but for a masked field", good(), answered(b"\x00\x02c9"), Compatible, None),
        (
            "the same in two parts",
            good(),
            asked().answers(1, b"\x00").answers(1, b"\x02c1"),
            Compatible,
            None,
        ),
        ("closed then, closed now", asked().ends(1), asked().ends(1), Compatible, None),
        ("died then, dies now", crashed(), crashed(), Compatible, None),
        (
            "dying then, dead now",
            crashed().open(2, Role::Fresh, &[]).sends(2, CANARY).resets(2),
            crashed().refuses_connection(2).role(2, Role::Fresh, &[]),
            Compatible,
            None,
        ),
        ("died then, exits now", crashed(), asked().ends(1).exits(ExitStatus::Code(1)), Compatible, None),
    ]
}

fn meanings() -> Vec<Row> {
    let changed = Some("same-meaning: changed-meaning");
    let row =
        |what, then: &[u8], now: &[u8], verdict, shape| (what, answered(then), answered(now), verdict, shape);
    vec![
        row("another value", CANARY_OK, b"\x00\x02d1", Broken, changed),
        row("a field is gone", CANARY_OK, b"\x00\x00", Broken, changed),
        row("a field is new", b"\x00\x00", CANARY_OK, Broken, changed),
        row(
            "a message instead of an answer",
            CANARY_OK,
            NOTIFICATION,
            Broken,
            Some("same-meaning: no-reply"),
        ),
        row("more in an answer", CANARY_OK, b"\x00\x03c71", Compatible, Some("same-meaning: says-more")),
        row("less in an answer", b"\x00\x03c71", CANARY_OK, Broken, changed),
        row("more was another", b"\x00\x03c71", b"\x00\x03c81", Broken, changed),
        row(
            "what nobody understands",
            b"\x00\x04c7?1",
            b"\x00\x04c7!1",
            Compatible,
            Some("same-meaning: not-compared"),
        ),
        row("a refusal is no lack of support", REFUSED, NOT_SUPPORTED, Broken, changed),
        row("refused now", CANARY_OK, REFUSED, Refused, Some("same-meaning: refused-before-accepted")),
        row("unknown now", CANARY_OK, NOT_SUPPORTED, Refused, Some("same-meaning: not-supported")),
        row("accepted now", REFUSED, CANARY_OK, Compatible, Some("same-meaning: accepts-more")),
        row("known now", NOT_SUPPORTED, REFUSED, Compatible, Some("same-meaning: supported-now")),
        row("another error", REFUSED, b"\x06\x00", Compatible, Some("same-meaning: other-error")),
        (
            "a descriptor is lost",
            asked().answers_with_fds(1, CANARY_OK, 1),
            answered(CANARY_OK),
            Broken,
            changed,
        ),
        (
            "the second answer differs",
            asked().sends(1, SECOND).answers(1, CANARY_OK).answers(1, b"\x00\x02s1"),
            asked().sends(1, SECOND).answers(1, CANARY_OK).answers(1, b"\x00\x02t1"),
            Broken,
            changed,
        ),
    ]
}

fn fates() -> Vec<Row> {
    let good = || answered(CANARY_OK);
    let no_reply = Some("same-meaning: no-reply");
    let usable = |tale: Tale| tale.open(2, Role::Fresh, &[]).sends(2, CANARY).answers(2, CANARY_OK);
    let witness = |tale: Tale| tale.open(2, Role::Witness, &[]).sends(2, CANARY);
    let refused_fresh = good().open(2, Role::Fresh, &[]).sends(2, CANARY).answers(2, REFUSED);
    vec![
        ("closes now", good(), asked().ends(1), Broken, no_reply),
        ("closes where it refused", answered(REFUSED), asked().ends(1), Refused, no_reply),
        ("silent now", good(), asked().silent(1), Broken, Some("same-meaning: hang")),
        ("silent where it refused", answered(REFUSED), asked().silent(1), Broken, Some("same-meaning: hang")),
        ("answers now", asked().ends(1), good(), Compatible, Some("same-meaning: answers-more")),
        (
            "answers twice now",
            good(),
            good().answers(1, CANARY_OK),
            Broken,
            Some("same-meaning: answered-twice"),
        ),
        (
            "answers a request that only fails with an answer",
            Tale::default().unmarked(1).sends(1, STOP).ends(1),
            Tale::default().unmarked(1).sends(1, STOP).answers(1, REFUSED),
            Refused,
            Some("same-meaning: refused-before-accepted"),
        ),
        ("silent where it closed", asked().ends(1), asked().silent(1), Broken, Some("same-meaning: hang")),
        (
            "kept where it closed behind an answer",
            good().ends(1),
            good().silent(1),
            Compatible,
            Some("same-meaning: keeps-longer"),
        ),
        ("dies now", good(), good().exits(ExitStatus::Signal(11)), Broken, Some("stays-up: crash")),
        (
            "not let through by a muxer now",
            good(),
            Tale::default().stopped_by_muxer(1, MuxerFault::Reset),
            Broken,
            Some("stays-up: muxer"),
        ),
        ("exits now", good(), good().exits(ExitStatus::Code(1)), Broken, Some("stays-up: server-exited")),
        ("floods now", good(), good().notes(1, "flood"), Broken, Some("readable-replies: flood")),
        (
            "sends what is no frame now",
            good(),
            good().answers(1, GARBAGE),
            Broken,
            Some("readable-replies: unreadable-reply"),
        ),
        (
            "serves no other now, nor did before",
            witness(good()).silent(2),
            witness(good()).silent(2),
            Compatible,
            None,
        ),
        ("is refused afterwards as before", refused_fresh.clone(), refused_fresh, Compatible, None),
        ("usable then and now", usable(good()), usable(good()), Compatible, None),
    ]
}

pub(crate) fn rows() -> Vec<Row> {
    meanings().into_iter().chain(fates()).collect()
}

#[track_caller]
fn check(rows: Vec<Row>) {
    for (what, then, now, verdict, shape) in rows {
        let judgement = judged(CaseKind::Replay, now, Some(then));
        let expect: Vec<String> = shape.iter().map(|shape| (*shape).to_owned()).collect();
        assert_eq!((judgement.verdict, found(&judgement)), (verdict, expect), "{what}");
    }
}

#[test]
fn lets_the_same_pass() {
    check(good());
}

#[test]
fn finds_changed_meanings() {
    check(meanings());
}

#[test]
fn finds_changed_fates() {
    check(fates());
}

/// Both see it: the answer is missing, and a client that was served is not.
#[test]
fn a_witness_that_waits_is_lost_and_blocked() {
    let witness = |tale: Tale| tale.open(2, Role::Witness, &[]).sends(2, CANARY);
    let then = witness(answered(CANARY_OK)).answers(2, CANARY_OK);
    let judgement = judged(CaseKind::Replay, witness(answered(CANARY_OK)).silent(2), Some(then));
    assert_eq!(found(&judgement), ["same-meaning: hang", "stays-up: blocks-others"]);
}
