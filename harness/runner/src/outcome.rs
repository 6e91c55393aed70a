//! Verdict x expectation.

use std::collections::BTreeMap;

use matrix::{Expectation, Fit, Verdict};
use protocol::dialect::Changed;
use verdict::{Blame, CellResult, Judgement, Outcome, Reproduction};

use crate::{Executed, PlanCell, ProtocolFiles};

/// What the runner knows of a run besides its cells.
pub(crate) struct RunFacts<'a> {
    pub(crate) matrix: &'a str,
    pub(crate) seed: u64,
    pub(crate) flags: &'a [String],
}

/// Turns what happened into a result.
pub(crate) fn result(
    files: &ProtocolFiles,
    facts: &RunFacts<'_>,
    cell: &PlanCell,
    executed: &Executed,
    duration_ms: u64,
) -> CellResult {
    let mut result = blank(cell);
    result.duration_ms = duration_ms;
    match executed {
        Executed::Ran(judgement, _) => judged(files, cell, judgement, &mut result),
        Executed::Missing(why) => {
            result.outcome = Outcome::MissingBuild;
            result.summary = "build is missing".to_owned();
            result.reason = Some(why.clone());
        }
        Executed::Explained(why) => {
            result.outcome = Outcome::Skipped;
            result.summary = "not run".to_owned();
            result.reason = Some(why.clone());
        }
        Executed::Failed(why) => {
            result.verdict = Some(Verdict::Inconclusive);
            result.summary = "the harness failed".to_owned();
            result.reason = Some(why.clone());
        }
    }
    if !result.outcome.is_expected() {
        result.reproduction = Some(reproduction(facts, &result.cell));
    }
    result
}

/// The result of a cell in which this process did not get its turn: whatever was seen, it says nothing of the peers.
pub(crate) fn starved(result: CellResult, why: String) -> CellResult {
    CellResult {
        verdict: Some(Verdict::Inconclusive),
        outcome: Outcome::HarnessError,
        summary: "inconclusive: starved".to_owned(),
        shapes: Vec::new(),
        findings: Vec::new(),
        negotiated: None,
        suspects: Vec::new(),
        validated: BTreeMap::new(),
        bug: None,
        reason: Some(why),
        ..result
    }
}

/// The result of a cell that has none: the stop came before it, or its task was lost.
pub(crate) fn not_run(cell: &PlanCell) -> CellResult {
    CellResult {
        outcome: Outcome::Skipped,
        summary: "not run".to_owned(),
        reason: Some("it has no result: the run ended before it did".to_owned()),
        ..blank(cell)
    }
}

/// A result of which only the cell is known.
fn blank(cell: &PlanCell) -> CellResult {
    let id = &cell.planned.id;
    CellResult {
        cell: id.to_string(),
        protocol: id.protocol.to_string(),
        client: id.client.to_string(),
        server: id.server.to_string(),
        case: id.case.to_string(),
        verdict: None,
        outcome: Outcome::HarnessError,
        summary: String::new(),
        shapes: Vec::new(),
        negotiated: None,
        suspects: Vec::new(),
        validated: BTreeMap::new(),
        findings: Vec::new(),
        reason: None,
        bug: None,
        duration_ms: 0,
        retries: Vec::new(),
        earlier: Vec::new(),
        transcript: None,
        reproduction: None,
    }
}

fn judged(files: &ProtocolFiles, cell: &PlanCell, judgement: &Judgement, result: &mut CellResult) {
    result.verdict = Some(judgement.verdict);
    result.summary = judgement.summary.clone();
    result.shapes = judgement.shapes();
    result.negotiated = judgement.negotiated.clone();
    result.suspects = judgement.suspects.clone();
    result.validated = judgement.validated.clone();
    result.findings = judgement.findings.clone();
    if judgement.verdict == Verdict::Inconclusive {
        let lacks = judgement.findings.iter().find(|finding| finding.blame == Blame::Harness);
        result.reason = lacks.map(|finding| finding.message.clone());
        return;
    }
    let id = &cell.planned.id;
    let expectation = files.expectation(id);
    result.outcome = outcome(judgement, expectation);
    if let Some(expectation) = expectation {
        result.reason = Some(match result.outcome {
            Outcome::Xfail | Outcome::Pass => expectation.reason.clone(),
            _ => format!("expected {}: {}", expectation.claim(), expectation.reason),
        });
        result.bug = Some(expectation.bug.clone());
    }
    let builds = [&id.client, &id.server].map(|build| files.builds.get(build));
    if let ([Some(client), Some(server)], false) = (builds, result.outcome.is_expected()) {
        add_causes(&files.protocol.changes(Some(&client.dialect), &server.dialect), result);
    }
}

/// Adds to the reason which changes between the two dialects that met are known to do what was found.
fn add_causes(changes: &[Changed], result: &mut CellResult) {
    let causes = changes.iter().filter(|change| change.explains(&result.case, &result.shapes));
    let causes =
        causes.map(|change| format!("because {}: {} ({})", change.release, change.what, change.source));
    let reasons: Vec<String> = result.reason.take().into_iter().chain(causes).collect();
    result.reason = (!reasons.is_empty()).then(|| reasons.join("; "));
}

/// Without an expectation only what works is as expected, wholly or with a restriction: what was refused, however
/// cleanly, may be a feature that was lost. With one, verdict and shapes must be
/// exactly those: a failure of another shape is another failure. No expectation can be about what nobody saw.
fn outcome(judgement: &Judgement, expectation: Option<&Expectation>) -> Outcome {
    if judgement.verdict == Verdict::Inconclusive {
        return Outcome::HarnessError;
    }
    let good = judgement.verdict < Verdict::Broken;
    let Some(expectation) = expectation else {
        return if judgement.verdict <= Verdict::Degraded { Outcome::Pass } else { Outcome::Fail };
    };
    match expectation.fit(judgement.verdict, &judgement.shapes()) {
        Fit::AsExpected if good => Outcome::Pass,
        Fit::AsExpected => Outcome::Xfail,
        Fit::Better => Outcome::Xpass,
        Fit::Otherwise => Outcome::Fail,
    }
}

fn reproduction(facts: &RunFacts<'_>, cell: &str) -> Reproduction {
    let mut command =
        format!("cargo run --release -- repro '{cell}' --matrix {} --seed {}", facts.matrix, facts.seed);
    for flag in facts.flags {
        command.push_str(&format!(" {flag}"));
    }
    Reproduction { command, seed: facts.seed }
}

#[cfg(test)]
mod tests {
    use transcript::evidence::Shape;

    use super::*;

    #[test]
    fn a_failure_names_the_changes_that_are_known_to_cause_it() {
        let change = |what, breaks| Changed { release: "4.0.7", what, source: "commands.h", breaks };
        let changes = [
            change("learns GET_CGROUP_CTX", &[("client/attach*", Shape::SILENT_WRONG)]),
            change("one answer to a connection", &[("client/attach*", Shape::NO_REPLY)]),
        ];
        let reason = |case: &str, reason: Option<&str>| {
            let shapes = vec!["silent-wrong".to_owned()];
            let blank = blank(&crate::plan::tests::some_cell());
            let reason = reason.map(ToOwned::to_owned);
            let mut result = CellResult { case: case.to_owned(), shapes, reason, ..blank };
            add_causes(&changes, &mut result);
            result.reason
        };
        let cause = "because 4.0.7: learns GET_CGROUP_CTX (commands.h)";
        assert_eq!(reason("client/attach-terminal", None).as_deref(), Some(cause));
        let both = format!("expected compatible; {cause}");
        assert_eq!(reason("client/attach", Some("expected compatible")), Some(both));
        assert_eq!(reason("client/info", None), None);
    }

    #[test]
    fn what_was_starved_is_never_a_failure() {
        let judged = CellResult {
            verdict: Some(Verdict::Broken),
            outcome: Outcome::Fail,
            shapes: vec!["no-reply".to_owned()],
            bug: Some("LXC-01".to_owned()),
            ..blank(&crate::plan::tests::some_cell())
        };
        let result = starved(judged, "starved: why".to_owned());
        assert_eq!((result.verdict, result.outcome), (Some(Verdict::Inconclusive), Outcome::HarnessError));
        assert_eq!((result.shapes.len(), result.bug), (0, None));
        assert_eq!(result.reason.as_deref(), Some("starved: why"));
    }

    fn judgement(verdict: Verdict, shapes: &[&str]) -> Judgement {
        let finding = |shape: &&str| verdict::Finding {
            check: "check".to_owned(),
            shape: (*shape).to_owned(),
            weight: verdict::Weight::Violation,
            blame: Blame::Server,
            message: String::new(),
            expected: String::new(),
            actual: String::new(),
            frame: None,
            rule: verdict::Rule { text: String::new(), source: String::new() },
        };
        Judgement {
            verdict,
            findings: shapes.iter().map(finding).collect(),
            summary: String::new(),
            negotiated: None,
            suspects: Vec::new(),
            validated: BTreeMap::new(),
        }
    }

    fn expectation(verdict: &str, shapes: &str) -> matrix::Expectations {
        let text = format!(
            "protocol = \"p\"\n[[expect]]\ncells = \"p/**\"\nverdict = \"{verdict}\"\n{shapes}\n\
             reason = \"r\"\nbug = \"https://example.org/1\"\n"
        );
        matrix::Expectations::parse("expectations.toml", &text, "p", None).expect("the text is right")
    }

    #[track_caller]
    fn check(verdict: Verdict, shapes: &[&str], expected: Option<(&str, &str)>, outcome: Outcome) {
        let rules = expected.map(|(verdict, shapes)| expectation(verdict, shapes));
        let id = "p/probe..s/probe/x".parse().expect("a cell");
        let rule = rules.as_ref().and_then(|rules| rules.lookup(&id, "probe", "1.0"));
        assert_eq!(rule.is_some(), expected.is_some());
        assert_eq!(super::outcome(&judgement(verdict, shapes), rule), outcome, "{verdict} {expected:?}");
    }

    #[test]
    fn without_a_rule_what_is_refused_or_broken_fails() {
        check(Verdict::Compatible, &[], None, Outcome::Pass);
        check(Verdict::Degraded, &[], None, Outcome::Pass);
        check(Verdict::Refused, &[], None, Outcome::Fail);
        check(Verdict::Broken, &["hang"], None, Outcome::Fail);
        check(Verdict::Inconclusive, &[], None, Outcome::HarnessError);
    }

    #[test]
    fn a_rule_is_held_to_verdict_and_shapes() {
        let hang = Some(("broken", "shapes = [\"hang\"]"));
        check(Verdict::Broken, &["hang"], hang, Outcome::Xfail);
        check(Verdict::Broken, &["crash"], hang, Outcome::Fail);
        check(Verdict::Broken, &["crash", "hang"], hang, Outcome::Fail);
        check(Verdict::Refused, &[], hang, Outcome::Xpass);
        check(Verdict::Compatible, &[], hang, Outcome::Xpass);
        check(Verdict::Inconclusive, &[], hang, Outcome::HarnessError);
        let refused = Some(("refused", ""));
        check(Verdict::Refused, &["closed"], refused, Outcome::Pass);
        check(Verdict::Compatible, &[], refused, Outcome::Xpass);
        check(Verdict::Broken, &["hang"], refused, Outcome::Fail);
        check(Verdict::Inconclusive, &[], refused, Outcome::HarnessError);
    }
}
