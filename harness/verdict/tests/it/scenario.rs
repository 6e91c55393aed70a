//! Scenarios: what is done in the middle, and the state before and after it.

use matrix::{CaseKind, Verdict};
use transcript::ExitStatus;
use transcript::evidence::{Expect, Role};

use crate::toy::{
    CANARY, CANARY_OK, NOT_SUPPORTED, REFUSED, SECOND, SECOND_OK, Tale, UNKNOWN, found, judged,
};
use Verdict::{Broken, Compatible, Refused};

/// What happens, and what must be found: `check: shape`, or nothing.
pub(crate) type Row = (&'static str, Tale, Verdict, Option<&'static str>);

fn reads(tale: Tale, at: &str) -> Tale {
    tale.role(1, Role::State, &[("at", at)]).sends(1, SECOND).answers(1, SECOND_OK)
}

fn before() -> Tale {
    reads(Tale::default().asks(1, Role::Greeting, &[]), "before")
}

fn acts(tale: Tale, expect: Expect, answer: &[u8]) -> Tale {
    tale.role(1, Role::Subject, &[expect.arg()]).sends(1, UNKNOWN).answers(1, answer)
}

fn alive(tale: Tale) -> Tale {
    tale.asks(9, Role::Fresh, &[]).sees("alive", "yes")
}

fn done(tale: Tale) -> Tale {
    alive(reads(tale, "after"))
}

pub(crate) fn good() -> Vec<Row> {
    vec![
        ("one act", done(acts(before(), Expect::Answer, CANARY_OK)), Compatible, None),
        (
            "acts that are carried out and refused",
            done(acts(acts(before(), Expect::Answer, CANARY_OK), Expect::Refusal, REFUSED)),
            Compatible,
            None,
        ),
        (
            "closed, as is due",
            done(before().open(5, Role::Subject, &[Expect::Closed.arg()]).sends(5, UNKNOWN).ends(5)),
            Compatible,
            None,
        ),
    ]
}

pub(crate) fn rows() -> Vec<Row> {
    let mut rows = good();
    let unread = |end: fn(Tale) -> Tale| {
        let tale = acts(before(), Expect::Answer, CANARY_OK)
            .role(1, Role::State, &[("at", "after")])
            .sends(1, SECOND);
        alive(end(tale))
    };
    rows.extend([
        (
            "an act that is refused",
            done(acts(before(), Expect::Answer, NOT_SUPPORTED)),
            Refused,
            Some("answered-as-due: not-supported"),
        ),
        ("a state that nobody answers", unread(|tale| tale.silent(1)), Broken, Some("answered-as-due: hang")),
        (
            "a connection that ends where a state was to be read",
            unread(|tale| tale.ends(1)),
            Broken,
            Some("answered-as-due: no-reply"),
        ),
        (
            "kept open where a close is due",
            done(before().open(5, Role::Subject, &[Expect::Closed.arg()]).sends(5, UNKNOWN).silent(5)),
            Broken,
            Some("answered-as-due: kept-open"),
        ),
        (
            "dead in the middle",
            acts(before(), Expect::Survive, CANARY_OK).exits(ExitStatus::Signal(11)),
            Broken,
            Some("stays-up: crash"),
        ),
    ]);
    rows
}

/// What is missing, from which transcript.
pub(crate) fn incomplete() -> Vec<(&'static str, Tale)> {
    let act = |tale| acts(tale, Expect::Answer, CANARY_OK);
    let greeted = || Tale::default().asks(1, Role::Greeting, &[]);
    vec![
        ("nothing at all", Tale::default()),
        ("no act", done(before())),
        ("no state before", done(act(greeted()))),
        ("no state after", alive(act(before()))),
        ("a state that was asked for and not waited for", {
            let tale = act(before()).role(1, Role::State, &[("at", "after")]).sends(1, SECOND);
            alive(tale)
        }),
        ("a state that was never asked for", alive(act(before()).role(1, Role::State, &[]))),
        ("an act without end", {
            let tale = before().open(5, Role::Subject, &[Expect::Answer.arg()]).sends(5, UNKNOWN);
            done(tale)
        }),
        ("an expectation that nobody knows", {
            let tale = before().role(1, Role::Subject, &[(Expect::ARG, "anwser")]);
            done(tale.sends(1, UNKNOWN).answers(1, CANARY_OK))
        }),
        ("no fresh client", reads(act(before()), "after").sees("alive", "yes")),
        ("nobody looked at the end", reads(act(before()), "after").asks(9, Role::Fresh, &[])),
        (
            "a fresh client before the act",
            reads(act(before().asks(9, Role::Fresh, &[])), "after").sees("alive", "yes"),
        ),
    ]
}

#[test]
fn each_transcript_raises_its_shape_and_no_other() {
    for (what, tale, verdict, shape) in rows() {
        let judgement = judged(CaseKind::Scenario, tale, None);
        let expect: Vec<_> = shape.into_iter().map(str::to_owned).collect();
        assert_eq!((judgement.verdict, found(&judgement)), (verdict, expect), "{what}");
    }
}

#[test]
fn a_scenario_that_lacks_a_needed_step_is_inconclusive() {
    for (what, tale) in incomplete() {
        let judgement = judged(CaseKind::Scenario, tale, None);
        let expect = (Verdict::Inconclusive, vec!["evidence-complete: incomplete".to_owned()]);
        assert_eq!((judgement.verdict, found(&judgement)), expect, "{what}");
        assert!(judgement.findings.iter().all(|f| f.blame == verdict::Blame::Harness), "{what}");
    }
}

#[test]
fn no_prefix_of_a_scenario_is_compatible() {
    for (what, tale, ..) in good() {
        for len in 0..tale.events.len() {
            let cut = Tale { events: tale.events[..len].to_vec() };
            let verdict = judged(CaseKind::Scenario, cut, None).verdict;
            assert!(verdict >= Verdict::Broken, "{what}: {verdict} after {len} events");
        }
    }
}

/// The canary is no state: what is read back must come in a step that says so.
#[test]
fn a_canary_is_no_state() {
    let tale =
        before().role(1, Role::Subject, &[Expect::Answer.arg()]).sends(1, CANARY).answers(1, CANARY_OK);
    let verdict = judged(CaseKind::Scenario, alive(tale.asks(5, Role::Canary, &[])), None).verdict;
    assert_eq!(verdict, Verdict::Inconclusive);
}
