//! JUnit XML for continuous integration: a suite is a pair of builds, a test is a case, and suite and test
//! together are the cell's path.
//!
//! | outcome | JUnit |
//! |---|---|
//! | `pass` | success |
//! | `fail`, `xpass` | failure, with the whole block of the terminal |
//! | `flaky` | failure with one `flakyFailure` for each earlier try; `rerunFailure` if the last one is bad too |
//! | `xfail`, `skipped` | skipped, with the reason |
//! | `missing-build`, `harness-error` | error |
//!
//! Complaints and an incomplete run are tests of a suite `wireskew`, so that a red run is red here too.

use std::collections::BTreeMap;
use std::time::Duration;

use quick_junit::{FlakyOrRerun, NonSuccessKind, Report, TestCase, TestCaseStatus, TestRerun, TestSuite};
use verdict::{CellResult, Outcome, RunResults, Verdict};

use crate::grid::build;
use crate::{Style, escape, failure};

/// Columns of the text inside of failures.
const WIDTH: usize = 120;

/// The document.
///
/// # Errors
///
/// When it cannot be written as XML. Names and texts are escaped before, so results alone cannot cause it.
pub fn render(results: &RunResults) -> Result<String, quick_junit::SerializeError> {
    let mut report = Report::new("wireskew");
    report.set_time(Duration::from_millis(results.duration_ms));
    let mut suites: BTreeMap<(&str, &str, &str), Vec<&CellResult>> = BTreeMap::new();
    for cell in &results.cells {
        suites.entry((&cell.protocol, &cell.client, &cell.server)).or_default().push(cell);
    }
    for ((protocol, client, server), cells) in suites {
        let mut suite = TestSuite::new(escape(&format!("{protocol}/{client}..{server}")));
        properties(&mut suite, results, protocol, client, server);
        suite.set_time(cells.iter().map(|c| Duration::from_millis(c.duration_ms)).sum());
        suite.add_test_cases(cells.iter().map(|cell| test(results, cell)));
        report.add_test_suite(suite);
    }
    report.add_test_suite(run(results));
    report.to_string()
}

fn properties(suite: &mut TestSuite, results: &RunResults, protocol: &str, client: &str, server: &str) {
    let mut add = |name: &str, value: &str| {
        suite.add_property((name.to_owned(), escape(value)));
    };
    for (side, id) in [("client", client), ("server", server)] {
        let Some(record) = build(results, protocol, id) else { continue };
        add(&format!("{side}.version"), &record.version);
        add(&format!("{side}.dialect"), &record.dialect);
        add(&format!("{side}.source"), &format!("{} {}", record.source, record.detail));
        add(&format!("{side}.digest"), record.digest.as_deref().unwrap_or("none"));
        if let Some(missing) = &record.missing {
            add(&format!("{side}.missing"), missing);
        }
    }
}

fn test(results: &RunResults, cell: &CellResult) -> TestCase {
    let mut test = TestCase::new(escape(&cell.case), status(results, cell));
    test.set_classname(escape(&format!("{}/{}..{}", cell.protocol, cell.client, cell.server)));
    test.set_time(Duration::from_millis(cell.duration_ms));
    let mut add = |name: &str, value: &str| {
        test.add_property((name.to_owned(), escape(value)));
    };
    add("outcome", cell.outcome.word());
    if let Some(verdict) = cell.verdict {
        add("verdict", &verdict.to_string());
    }
    let optional = [
        ("negotiated", &cell.negotiated),
        ("suspects", &(!cell.suspects.is_empty()).then(|| cell.suspects.join(", "))),
        ("bug", &cell.bug),
        ("transcript", &cell.transcript),
        ("reproduce", &cell.reproduction.as_ref().map(|again| again.command.clone())),
    ];
    for (name, value) in optional {
        if let Some(value) = value {
            add(name, value);
        }
    }
    if !cell.summary.is_empty() {
        add("summary", &cell.summary);
    }
    test
}

fn status(results: &RunResults, cell: &CellResult) -> TestCaseStatus {
    let mut status = match cell.outcome {
        Outcome::Pass => return TestCaseStatus::success(),
        Outcome::Xfail | Outcome::Skipped => TestCaseStatus::skipped(),
        Outcome::Flaky if results.tolerates(cell) => TestCaseStatus::success(),
        Outcome::Fail | Outcome::Xpass | Outcome::Flaky => {
            TestCaseStatus::non_success(NonSuccessKind::Failure)
        }
        Outcome::MissingBuild | Outcome::HarnessError => TestCaseStatus::non_success(NonSuccessKind::Error),
    };
    status.set_message(message(cell));
    let shapes = cell.shapes.join(" ");
    status.set_type(escape(if shapes.is_empty() { cell.outcome.word() } else { &shapes }));
    if !cell.outcome.is_expected() {
        status.set_description(failure::block(results, cell, Style::plain(WIDTH)));
    }
    status.add_reruns(cell.retries.iter().map(|outcome| {
        let mut rerun = TestRerun::new(NonSuccessKind::Failure);
        rerun.set_message(escape(outcome)).set_type(escape(outcome));
        rerun
    }));
    let last_is_good =
        matches!(cell.verdict, Some(Verdict::Compatible | Verdict::Degraded | Verdict::Refused));
    if cell.outcome == Outcome::Flaky && last_is_good {
        status.set_rerun_kind(FlakyOrRerun::Flaky);
    }
    status
}

/// Outcome first, so that a list of messages says what is what.
fn message(cell: &CellResult) -> String {
    let mut parts = vec![cell.outcome.word()];
    parts.extend(cell.bug.as_deref());
    parts.extend(cell.reason.as_deref());
    parts.extend(Some(cell.summary.as_str()).filter(|s| !s.is_empty()));
    escape(&parts.join(": "))
}

/// What is wrong with the run as a whole.
fn run(results: &RunResults) -> TestSuite {
    let mut suite = TestSuite::new("wireskew");
    let facts = [
        ("producer", results.producer.clone()),
        ("matrix", results.matrix.clone()),
        ("started", results.started.clone()),
        ("seed", results.seed.to_string()),
        ("partition", results.partition.clone().unwrap_or_else(|| "all".into())),
    ];
    for (name, value) in facts {
        suite.add_property((name.to_owned(), escape(&value)));
    }
    let mut add = |name: &str, wrong: Vec<String>| {
        let status = if wrong.is_empty() {
            TestCaseStatus::success()
        } else {
            let mut status = TestCaseStatus::non_success(NonSuccessKind::Error);
            status.set_message(wrong.join("; ")).set_type(name);
            status
        };
        let mut test = TestCase::new(name, status);
        test.set_classname("wireskew");
        suite.add_test_case(test);
    };
    let interrupted = "the run was interrupted, or a part of it could not be done".to_owned();
    add("complete", if results.complete { Vec::new() } else { vec![interrupted] });
    add("complaints", results.complaints.iter().map(|c| escape(c)).collect());
    suite
}
