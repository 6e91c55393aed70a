use quick_junit::{FlakyOrRerun, NonSuccessKind, Report, TestCase, TestCaseStatus};
use report::Accounts;
use report::junit::render;
use verdict::{Outcome, RunResults, Verdict};

use crate::sample;

fn parsed(results: &RunResults) -> Report {
    let text = render(results).expect("results can be written as JUnit");
    Report::deserialize_from_str(&text).expect("JUnit can be read back")
}

fn test(report: &Report, suite: &str, name: &str) -> TestCase {
    let suite = report.test_suites.iter().find(|s| s.name.as_str() == suite);
    let suite = suite.unwrap_or_else(|| panic!("no such suite: {suite:?}"));
    let mut tests = suite.test_cases.iter().filter(|t| t.name.as_str() == name);
    let test = tests.next().unwrap_or_else(|| panic!("no test `{name}`")).clone();
    assert_eq!(tests.next(), None, "one test per cell");
    test
}

#[track_caller]
fn check(outcome: Outcome, verdict: Option<Verdict>, expect: &str) {
    let mut cell = sample::cell("probe", "4.0.6", "probe/x", verdict, outcome);
    cell.reason = Some("because".into());
    let report = parsed(&sample::results(vec![cell]));
    let test = test(&report, "lxc-command/probe..4.0.6", "probe/x");
    let found = match &test.status {
        TestCaseStatus::Success { .. } => "success".to_owned(),
        TestCaseStatus::Skipped { message, .. } => {
            format!("skipped: {}", message.as_ref().expect("a message").as_str())
        }
        TestCaseStatus::NonSuccess { kind, message, description, .. } => {
            let message = message.as_ref().expect("a message").as_str();
            assert!(
                description.as_ref().is_some_and(|d| d.as_str().contains("Reproduce with: ")),
                "{test:?}"
            );
            format!("{}: {message}", if *kind == NonSuccessKind::Failure { "failure" } else { "error" })
        }
    };
    assert_eq!(found, expect);
}

#[test]
fn outcomes_become_what_ci_understands() {
    check(Outcome::Pass, Some(Verdict::Compatible), "success");
    check(Outcome::Pass, Some(Verdict::Degraded), "success");
    check(Outcome::Fail, Some(Verdict::Broken), "failure: fail: because");
    check(Outcome::Xpass, Some(Verdict::Compatible), "failure: xpass: because");
    check(Outcome::Flaky, Some(Verdict::Compatible), "failure: flaky: because");
    check(Outcome::Xfail, Some(Verdict::Broken), "skipped: xfail: because");
    check(Outcome::Skipped, None, "skipped: skipped: because");
    check(Outcome::MissingBuild, None, "error: missing-build: because");
    check(Outcome::HarnessError, None, "error: harness-error: because");
    check(Outcome::HarnessError, Some(Verdict::Inconclusive), "error: harness-error: because");
}

#[test]
fn tries_are_kept() {
    for (verdict, kind) in
        [(Verdict::Compatible, FlakyOrRerun::Flaky), (Verdict::Broken, FlakyOrRerun::Rerun)]
    {
        let mut cell = sample::cell("probe", "4.0.6", "probe/x", Some(verdict), Outcome::Flaky);
        cell.retries = vec!["fail".into(), "harness-error".into()];
        let results = sample::results(vec![cell]);
        let test = test(&parsed(&results), "lxc-command/probe..4.0.6", "probe/x");
        let TestCaseStatus::NonSuccess { reruns, .. } = test.status else { panic!("{test:?}") };
        assert_eq!(reruns.kind, kind);
        let messages: Vec<_> =
            reruns.runs.iter().filter_map(|r| r.message.as_ref()).map(|m| m.as_str()).collect();
        assert_eq!(messages, ["fail", "harness-error"]);
    }
}

#[test]
fn every_cell_is_a_test_and_counts_agree() {
    let results = sample::every_outcome();
    let report = parsed(&results);
    assert_eq!(report.tests, results.cells.len() + 2, "the cells and the two tests of the run itself");
    for cell in &results.cells {
        let suite = format!("{}/{}..{}", cell.protocol, cell.client, cell.server);
        let test = test(&report, &suite, &cell.case);
        assert_eq!(format!("{suite}/{}", test.name.as_str()), cell.cell);
    }
    let count = |outcome| results.tally.count(outcome);
    assert_eq!(report.failures, count(Outcome::Fail) + count(Outcome::Xpass) + count(Outcome::Flaky));
    assert_eq!(report.skipped, count(Outcome::Xfail) + count(Outcome::Skipped));
    assert_eq!(
        report.errors,
        count(Outcome::MissingBuild) + count(Outcome::HarnessError) + 1,
        "and the complaints"
    );
}

#[test]
fn flaky_cells_pass_where_the_run_says_so_and_keep_their_reruns() {
    let strict = sample::every_outcome();
    let lenient = verdict::RunResults { flaky_passes: true, ..sample::every_outcome() };
    let flaky = strict.tally.count(Outcome::Flaky);
    assert!(flaky > 0);
    assert_eq!(parsed(&lenient).failures + flaky, parsed(&strict).failures);
    let cell = lenient.cells.iter().find(|c| c.outcome == Outcome::Flaky).expect("just counted");
    let report = parsed(&lenient);
    let suite = format!("{}/{}..{}", cell.protocol, cell.client, cell.server);
    let TestCaseStatus::Success { flaky_runs } = &test(&report, &suite, &cell.case).status else {
        panic!("a flaky cell that is tolerated failed");
    };
    assert_eq!(flaky_runs.len(), cell.retries.len());
    assert_eq!(Accounts::of(&lenient).unexpected + flaky, Accounts::of(&strict).unexpected);
}

#[test]
fn builds_are_properties_of_the_suite() {
    let report = parsed(&sample::every_outcome());
    let suite =
        report.test_suites.iter().find(|s| s.name.as_str() == "lxc-command/7.0.0..6.0.4").expect("the suite");
    let property =
        |name: &str| suite.properties.iter().find(|p| p.name.as_str() == name).map(|p| p.value.as_str());
    assert_eq!(property("client.version"), Some("7.0.0"));
    assert_eq!(property("client.source"), Some("reference lxc=1:7.0.0-1"));
    assert!(property("client.digest").is_some_and(|d| d.starts_with("sha256:")));
    assert_eq!(property("server.digest"), Some("none"));
    assert!(property("server.missing").is_some_and(|m| m.contains("is gone")));
}

#[test]
fn runs_that_are_red_are_red_without_a_failed_cell() {
    let mut results = sample::results(vec![sample::pass("4.0.6", "4.0.6", "client/info")]);
    results.complaints.clear();
    assert_eq!((parsed(&results).errors, parsed(&results).failures), (0, 0));
    results.complete = false;
    assert_eq!(parsed(&results).errors, 1);
    results.complaints.push("a rule matched nothing".into());
    assert_eq!(parsed(&results).errors, 2);
}

#[test]
fn hostile_text_stays_text() {
    let results = sample::hostile();
    let text = render(&results).expect("results can be written as JUnit");
    assert_eq!(text.chars().find(|c| c.is_control() && *c != '\n'), None);
    assert!(!text.contains("<script>"));
    let test = test(&parsed(&results), "lxc-command/probe..4.0.6", "probe/bad-text");
    let TestCaseStatus::NonSuccess { message: Some(message), .. } = test.status else { panic!("{test:?}") };
    assert!(
        message.as_str().contains(r"\u{1b}[31m<script>alert(1)</script>"),
        "evidence was lost: {message:?}"
    );
}

#[test]
fn document_of_every_outcome() {
    insta::assert_snapshot!(
        "junit",
        render(&sample::every_outcome()).expect("results can be written as JUnit")
    );
}
