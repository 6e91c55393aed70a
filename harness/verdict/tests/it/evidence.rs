//! Nothing passes for want of evidence: what never happened, or was cut off, is `inconclusive`.

use matrix::{CaseKind, Verdict};
use transcript::evidence::{Expect, Role, ServerAct, Successor};
use transcript::{EventKind, ExitStatus};
use wire::Direction;

use crate::toy::{
    CANARY, CANARY_OK, NOT_SUPPORTED, SECOND, SECOND_OK, Tale, UNKNOWN, closing, found, judged, opening,
    subject,
};
use crate::{client, probe, replay};
use CaseKind::{Client, Probe, Replay};
use Verdict::{Compatible, Inconclusive};

/// What is missing, in which kind of case, from which transcript, of which recording.
type Row = (&'static str, CaseKind, Tale, Option<Tale>);

pub(crate) fn rows() -> Vec<Row> {
    let asked = || subject(Expect::Answer).sends(5, CANARY).answers(5, CANARY_OK);
    let fresh = || asked().asks(9, Role::Fresh, &[]);
    let canary = |setup: Tale| {
        let tale = setup.open(5, Role::Subject, &[Expect::NotSupported.arg()]).sends(5, UNKNOWN);
        tale.answers(5, NOT_SUPPORTED).role(5, Role::Canary, &[])
    };
    let no_kept = Tale::default().asks(1, Role::Setup, &[("name", "canary")]).watch("10", "1000");
    let unanswered_setup =
        Tale::default().open(1, Role::Setup, &[("name", "second")]).sends(1, SECOND).silent(1);
    let cut_kept =
        Tale::default().role(1, Role::Setup, &[("name", "kept")]).sends(1, CANARY).watch("10", "1000");
    let replayed = || Tale::default().unmarked(1).sends(1, CANARY).sends(1, SECOND);
    let unsent = subject(Expect::Survive).sends(5, UNKNOWN).silent(5).role(5, Role::Canary, &[]);
    let mut rows = vec![
        ("nothing at all", Probe, Tale::default(), None),
        ("only the opening", Probe, opening(), None),
        ("no subject", Probe, closing(opening()), None),
        ("a subject without end", Probe, closing(subject(Expect::Answer).sends(5, CANARY)), None),
        (
            "half of two subjects",
            Probe,
            closing(subject([Expect::Answer, Expect::Any]).sends(5, CANARY).answers(5, CANARY_OK)),
            None,
        ),
        (
            "an expectation that nobody knows",
            Probe,
            closing(
                opening()
                    .open(5, Role::Subject, &[(Expect::ARG, "anwser")])
                    .sends(5, CANARY)
                    .answers(5, NOT_SUPPORTED),
            ),
            None,
        ),
        ("a subject without expectation", Probe, closing(opening().asks(5, Role::Subject, &[])), None),
        ("a request that nobody could fill in", Probe, closing(asked().notes(5, "not-sent")), None),
        ("a reply of which nothing was captured", Probe, closing(asked().notes(5, "not-captured")), None),
        ("no fresh client", Probe, asked().watch("10", "1000"), None),
        (
            "a fresh client before the subject",
            Probe,
            opening()
                .asks(9, Role::Fresh, &[])
                .asks(5, Role::Subject, &[Expect::Answer.arg()])
                .watch("10", "1000"),
            None,
        ),
        ("nobody looked at the end", Probe, fresh(), None),
        ("dead, and nobody saw how", Probe, fresh().sees("alive", "no"), None),
        ("descriptors were only counted before", Probe, fresh().sees("alive", "yes"), None),
        (
            "a look in the middle that says nothing",
            Probe,
            closing(subject(Expect::Answer).sends(5, CANARY).answers(5, CANARY_OK).sees("alive", "bogus")),
            None,
        ),
        ("descriptors are no number", Probe, fresh().watch("many", "1000"), None),
        (
            "a setup without answer",
            Probe,
            closing(unanswered_setup.watch("10", "1000").asks(5, Role::Subject, &[Expect::Answer.arg()])),
            None,
        ),
        ("a canary that was never sent", Probe, closing(unsent), None),
        (
            "habits that were never found out",
            Probe,
            closing(canary(no_kept).sends(5, CANARY).answers(5, CANARY_OK)),
            None,
        ),
        (
            "habits that were cut off",
            Probe,
            closing(canary(cut_kept).sends(5, CANARY).answers(5, CANARY_OK)),
            None,
        ),
        ("a transcript that grew too long", Probe, closing(asked()).sees("overflow", "200000 events"), None),
        ("nothing at all", Client, Tale::default(), None),
        (
            "no word of what is due",
            Client,
            Tale::default().unmarked(1).sends(1, CANARY).answers(1, CANARY_OK).sees("claim.exit", "0"),
            None,
        ),
        (
            "a client that never spoke",
            Client,
            Tale::default().sees("expected.exit", "0").sees("claim.exit", "0"),
            None,
        ),
        (
            "an end of which nobody can tell what it was",
            Client,
            Tale::default()
                .unmarked(1)
                .sends(1, CANARY)
                .answers(1, CANARY_OK)
                .sees("expected.exit", "0")
                .sees("claim.exit", "zz"),
            None,
        ),
        ("no recording", Replay, replayed().answers(1, CANARY_OK), None),
        ("an empty recording", Replay, Tale::default(), Some(Tale::default())),
        (
            "a client that stops half-way",
            Replay,
            Tale::default().unmarked(1).sends(1, CANARY).silent(1),
            Some(replayed().silent(1)),
        ),
        ("a look that was not taken", Replay, replayed(), Some(replayed().sees("alive", "yes"))),
    ];
    rows.push((
        "pipelined answers with nothing to compare",
        Probe,
        {
            let args = [
                (Expect::ARG, &*Expect::list(&[Expect::Answer, Expect::Answer])),
                ("sends", "canary,second"),
            ];
            let setup = Tale::default().open(1, Role::Setup, &[("name", "canary")]).sends(1, CANARY).ends(1);
            let tale =
                setup.watch("10", "1000").open(5, Role::Subject, &args).sends(5, &[CANARY, SECOND].concat());
            closing(tale.answers(5, SECOND_OK).answers(5, CANARY_OK))
        },
        None,
    ));
    rows
}

#[test]
fn what_is_missing_makes_a_cell_inconclusive() {
    for (what, kind, tale, then) in rows() {
        let judgement = judged(kind, tale, then);
        let expect = (Verdict::Inconclusive, vec!["evidence-complete: incomplete".to_owned()]);
        assert_eq!((judgement.verdict, found(&judgement)), expect, "{kind:?}: {what}");
        assert!(judgement.findings.iter().all(|f| f.blame == verdict::Blame::Harness), "{what}");
    }
}

/// A whole story in which something happens to the server in between.
fn with_acts(acts: &[(ServerAct, Option<&str>)]) -> Verdict {
    let mut tale = subject(Expect::Answer).sends(5, CANARY).answers(5, CANARY_OK);
    for (act, says) in acts {
        tale = tale.event(0, Direction::ToServer, EventKind::Mark(act.mark()));
        tale = says.iter().fold(tale, |tale, says| tale.sees("replaced-by", says));
    }
    judged(Probe, closing(tale), None).verdict
}

/// That a script asks for another server is no evidence that there is one.
#[test]
fn a_server_that_was_to_be_replaced_says_by_what_it_was() {
    let to = |release| ServerAct::Replace(Successor::release(release));
    let first = || ServerAct::Replace(Successor::First);
    for (acts, expect) in [
        (&[(to("2.0"), Some("2.0"))][..], Compatible),
        (&[(to("2.0"), None)], Inconclusive),
        (&[(to("2.0"), Some("1.0"))], Inconclusive),
        (&[(to("2.0"), Some("2.0")), (first(), Some("first"))], Compatible),
        (&[(to("2.0"), Some("2.0")), (first(), None)], Inconclusive),
        (&[(to("2.0"), None), (first(), Some("first"))], Inconclusive),
        // Too late: something else has happened since.
        (&[(to("2.0"), None), (ServerAct::Restart, Some("2.0"))], Inconclusive),
        (&[(ServerAct::Restart, None), (ServerAct::Reload, None)], Compatible),
    ] {
        assert_eq!(with_acts(acts), expect, "{acts:?}");
    }
}

/// The property behind all rows: whatever ends early is not green.
#[test]
fn no_prefix_of_a_probe_is_compatible() {
    for (what, tale, ..) in probe::good() {
        for len in 0..tale.events.len() {
            // A count of memory behind the last look at descriptors is a look more, not a part of the proof.
            let cut = Tale { events: tale.events[..len].to_vec() };
            let verdict = judged(Probe, cut, None).verdict;
            assert!(verdict >= Verdict::Broken, "{what}: {verdict} after {len} events");
        }
    }
}

#[test]
fn no_prefix_of_a_client_run_is_compatible() {
    for (what, tale, ..) in client::good() {
        for len in 0..tale.events.len() {
            let cut = Tale { events: tale.events[..len].to_vec() };
            let verdict = judged(Client, cut, None).verdict;
            assert!(verdict >= Verdict::Broken, "{what}: {verdict} after {len} events");
        }
    }
}

/// Up to the last byte that the recording has; what the server did at its end is its own affair.
#[test]
fn no_replay_that_lacks_bytes_is_compatible() {
    for (what, then, now, ..) in replay::good() {
        let is_data = |event: &transcript::Event| matches!(event.kind, transcript::EventKind::Data(_));
        let last = now.events.iter().rposition(is_data).unwrap_or(0);
        for len in 0..=last {
            let cut = Tale { events: now.events[..len].to_vec() };
            let verdict = judged(Replay, cut, Some(then.clone())).verdict;
            assert!(verdict >= Verdict::Broken, "{what}: {verdict} after {len} events");
        }
    }
}

#[test]
fn a_fault_needs_no_more_evidence() {
    let crashed = subject(Expect::Survive).sends(5, CANARY).resets(5).exits(ExitStatus::Signal(11));
    let judgement = judged(Probe, crashed, None);
    assert_eq!((judgement.verdict, found(&judgement)), (Verdict::Broken, vec!["stays-up: crash".to_owned()]));
}
