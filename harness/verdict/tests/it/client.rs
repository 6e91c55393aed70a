//! Operations of clients: what they claim against what is so.

use matrix::{CaseKind, Verdict};
use transcript::ExitStatus;
use transcript::evidence::MuxerFault;

use crate::probe::Row;
use crate::toy::{CANARY, CANARY_OK, GARBAGE, NOT_SUPPORTED, REFUSED, Tale, UNKNOWN, found, judged};
use Verdict::{Broken, Compatible, Degraded};

/// An operation that must end with that code and freeze the container, on a server that answers.
fn operation(exit: &str) -> Tale {
    asked(exit).sends(1, CANARY).answers(1, CANARY_OK)
}

fn asked(exit: &str) -> Tale {
    Tale::default().sees("expected.exit", exit).sees("expected.frozen", "yes").unmarked(1)
}

fn claims(tale: Tale, exit: &str, frozen: &str) -> Tale {
    tale.sees("claim.exit", exit).sees("effect.frozen", frozen)
}

pub(crate) fn good() -> Vec<Row> {
    let said = operation("0").sees("expected.claim.state", "FROZEN").sees("claim.state", "FROZEN");
    let tolerated = claims(asked("0").sends(1, CANARY).answers(1, REFUSED), "0", "yes");
    vec![
        ("claims and does", claims(operation("0"), "0", "yes"), Compatible, None),
        ("fails as it must", claims(operation("1"), "1", "yes"), Compatible, None),
        ("says what is so", claims(said, "0", "yes"), Compatible, None),
        ("the server cannot tell", claims(operation("0"), "0", "untold"), Compatible, None),
        ("a refusal is no lack of support", tolerated, Compatible, None),
    ]
}

pub(crate) fn rows() -> Vec<Row> {
    let silent = Some("effect-matches-claim: silent-wrong");
    let unknown = || asked("0").sends(1, UNKNOWN).answers(1, NOT_SUPPORTED);
    vec![
        ("claims and does not", claims(operation("0"), "0", "no"), Broken, silent),
        (
            "says that it is untold",
            claims(
                operation("0").sees("expected.claim.state", "FROZEN").sees("claim.state", "untold"),
                "0",
                "yes",
            ),
            Broken,
            silent,
        ),
        ("nobody saw the effect", operation("0").sees("claim.exit", "0"), Broken, silent),
        ("success where failure is due", claims(operation("1"), "0", "yes"), Broken, silent),
        ("fails as due, but did something else", claims(operation("1"), "1", "no"), Broken, silent),
        (
            "says something else",
            claims(
                operation("0").sees("expected.claim.state", "FROZEN").sees("claim.state", "RUNNING"),
                "0",
                "yes",
            ),
            Broken,
            silent,
        ),
        (
            "says nothing of it",
            claims(operation("0").sees("expected.claim.state", "FROZEN"), "0", "yes"),
            Broken,
            silent,
        ),
        (
            "fails and says so",
            claims(operation("0"), "1", "yes"),
            Broken,
            Some("effect-matches-claim: loud-fail"),
        ),
        (
            "dies",
            claims(operation("0"), "signal-11", "yes"),
            Broken,
            Some("effect-matches-claim: client-crash"),
        ),
        (
            "is gone",
            claims(operation("0"), "gone", "yes"),
            Broken,
            Some("effect-matches-claim: client-crash"),
        ),
        (
            "is still waiting",
            claims(operation("0"), "none", "yes"),
            Broken,
            Some("effect-matches-claim: client-hang"),
        ),
        (
            "was never seen to end",
            operation("0").sees("effect.frozen", "yes"),
            Broken,
            Some("effect-matches-claim: client-hang"),
        ),
        (
            "takes its fallback",
            claims(unknown(), "0", "yes"),
            Degraded,
            Some("effect-matches-claim: fell-back"),
        ),
        (
            "takes its fallback after a close",
            claims(asked("0").sends(1, CANARY).ends(1), "0", "yes"),
            Degraded,
            Some("effect-matches-claim: fell-back"),
        ),
        (
            "fails, not let through by a muxer",
            claims(asked("0").stopped_by_muxer(9, MuxerFault::Cut), "1", "no"),
            Broken,
            Some("stays-up: muxer"),
        ),
        ("takes refusal for success", claims(unknown(), "0", "no"), Broken, silent),
        (
            "the server dies of it",
            claims(operation("0"), "0", "yes").exits(ExitStatus::Signal(6)),
            Broken,
            Some("stays-up: crash"),
        ),
        (
            "an answer that is none",
            claims(asked("0").sends(1, CANARY).answers(1, GARBAGE), "0", "yes"),
            Broken,
            Some("readable-replies: unreadable-reply"),
        ),
    ]
}

#[track_caller]
fn check(rows: Vec<Row>) {
    for (what, tale, verdict, shape) in rows {
        let judgement = judged(CaseKind::Client, tale, None);
        let expect: Vec<String> = shape.iter().map(|shape| (*shape).to_owned()).collect();
        assert_eq!((judgement.verdict, found(&judgement)), (verdict, expect), "{what}");
    }
}

#[test]
fn lets_good_clients_pass() {
    check(good());
}

#[test]
fn finds_what_clients_get_wrong() {
    check(rows());
}
