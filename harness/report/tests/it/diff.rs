use report::Style;
use report::diff::{Change, Scope, compare};
use verdict::{CellResult, Outcome, RunResults, Verdict};

use crate::sample;

const COMPATIBLE: Option<Verdict> = Some(Verdict::Compatible);
const BROKEN: Option<Verdict> = Some(Verdict::Broken);

fn cell(verdict: Option<Verdict>, outcome: Outcome, shape: &str) -> CellResult {
    let mut cell = sample::cell("probe", "4.0.6", "probe/x", verdict, outcome);
    cell.shapes = shape.split_whitespace().map(str::to_owned).collect();
    cell
}

fn results(cell: Option<CellResult>) -> RunResults {
    let mut cells = vec![sample::pass("4.0.6", "4.0.6", "client/info")];
    cells.extend(cell);
    sample::results(cells)
}

#[track_caller]
fn check(before: Option<CellResult>, after: Option<CellResult>, expect: Option<Change>, red: bool) {
    let (before, after) = (results(before), results(after));
    let diff = compare(&before, &after, Scope::Whole);
    assert_eq!(diff.differences.iter().map(|d| d.change).next(), expect);
    assert_eq!(diff.is_red(), red);
    assert!(diff.unchanged >= 1, "the other cell is the same");
    let text = diff.render(Style::plain(100));
    assert_eq!(text.contains("Against the baseline: worse"), red, "{text}");
}

#[test]
fn worse_is_red() {
    let pass = || Some(cell(COMPATIBLE, Outcome::Pass, ""));
    let crash = || Some(cell(BROKEN, Outcome::Fail, "crash"));
    check(pass(), crash(), Some(Change::Regression), true);
    check(pass(), Some(cell(Some(Verdict::Degraded), Outcome::Pass, "")), Some(Change::Regression), true);
    check(Some(cell(BROKEN, Outcome::Xfail, "no-reply")), crash(), Some(Change::Regression), true);
    check(pass(), Some(cell(COMPATIBLE, Outcome::Flaky, "")), Some(Change::Regression), true);
    check(None, crash(), Some(Change::NewTrouble), true);
    check(Some(cell(None, Outcome::Skipped, "")), crash(), Some(Change::NewTrouble), true);
}

#[test]
fn what_can_no_longer_be_compared_is_red() {
    let pass = || Some(cell(COMPATIBLE, Outcome::Pass, ""));
    check(pass(), Some(cell(None, Outcome::Skipped, "")), Some(Change::Lost), true);
    check(pass(), Some(cell(None, Outcome::MissingBuild, "")), Some(Change::Lost), true);
    check(
        pass(),
        Some(cell(Some(Verdict::Inconclusive), Outcome::HarnessError, "")),
        Some(Change::Lost),
        true,
    );
    check(pass(), None, Some(Change::Removed), true);
}

#[test]
fn old_trouble_is_not_red() {
    check(
        Some(cell(BROKEN, Outcome::Fail, "crash")),
        Some(cell(BROKEN, Outcome::Fail, "crash")),
        None,
        false,
    );
    let (xfail, fail) = (cell(BROKEN, Outcome::Xfail, "crash"), cell(BROKEN, Outcome::Fail, "crash"));
    check(Some(xfail), Some(fail), Some(Change::Changed), false);
    check(
        Some(cell(None, Outcome::MissingBuild, "")),
        Some(cell(None, Outcome::MissingBuild, "")),
        None,
        false,
    );
    check(Some(cell(None, Outcome::Skipped, "")), None, Some(Change::Changed), false);
    check(
        Some(cell(COMPATIBLE, Outcome::Flaky, "")),
        Some(cell(BROKEN, Outcome::Fail, "crash")),
        Some(Change::Changed),
        false,
    );
}

#[test]
fn better_and_new_are_not_red() {
    let pass = || Some(cell(COMPATIBLE, Outcome::Pass, ""));
    check(Some(cell(BROKEN, Outcome::Fail, "crash")), pass(), Some(Change::Fixed), false);
    check(
        Some(cell(BROKEN, Outcome::Fail, "crash no-reply")),
        Some(cell(BROKEN, Outcome::Fail, "no-reply")),
        Some(Change::Fixed),
        false,
    );
    check(Some(cell(COMPATIBLE, Outcome::Flaky, "")), pass(), Some(Change::Fixed), false);
    check(None, pass(), Some(Change::New), false);
    check(None, Some(cell(BROKEN, Outcome::Xfail, "crash")), Some(Change::New), false);
    check(pass(), pass(), None, false);
}

#[test]
fn a_selection_may_leave_cells_out_but_not_lose_them() {
    let (before, after) = (results(Some(cell(COMPATIBLE, Outcome::Pass, ""))), results(None));
    let diff = compare(&before, &after, Scope::Part);
    assert_eq!((diff.count(Change::Removed), diff.is_red()), (1, false));
    let after = results(Some(cell(None, Outcome::MissingBuild, "")));
    assert!(compare(&before, &after, Scope::Part).is_red());
}

#[test]
fn incomplete_candidates_are_red() {
    let before = results(None);
    let mut after = before.clone();
    after.complete = false;
    assert!(compare(&before, &after, Scope::Part).is_red());
    assert!(!compare(&after, &before, Scope::Whole).is_red(), "an incomplete baseline only explains");
}

#[test]
fn report_of_a_comparison() {
    let before = sample::every_outcome();
    let mut after = before.clone();
    after.cells.retain(|c| c.case != "client/info" || c.client != "7.0.0");
    for cell in &mut after.cells {
        match cell.case.as_str() {
            "probe/crash" if cell.server == "4.0.6" => {
                (cell.verdict, cell.outcome) = (COMPATIBLE, Outcome::Xpass);
                cell.shapes.clear();
                "-22, closed\u{1b}[2J".clone_into(&mut cell.summary);
            }
            "client/attach" if cell.client == "4.0.6" && cell.server == "7.0.0" => {
                (cell.verdict, cell.outcome) = (BROKEN, Outcome::Fail);
                cell.shapes = vec!["hang".into()];
                "no exit within 5 s".clone_into(&mut cell.summary);
            }
            "replay/attach" if cell.server == "7.0.0" => {
                (cell.verdict, cell.outcome) = (COMPATIBLE, Outcome::Pass);
            }
            _ => {}
        }
    }
    if let Some(build) = after.builds.last_mut() {
        build.digest = Some("sha256:ffff".into());
    }
    insta::assert_snapshot!("diff", compare(&before, &after, Scope::Whole).render(Style::plain(100)));
}

#[test]
fn a_build_with_two_sources_is_compared_source_by_source() {
    #[track_caller]
    fn check(edit: impl FnOnce(&mut RunResults), note: bool) {
        let mut before = results(None);
        let first = before.builds.first().cloned().expect("the sample has builds");
        before.builds.push(verdict::BuildRecord { source: "recorded".to_owned(), digest: None, ..first });
        let mut after = before.clone();
        edit(&mut after);
        let text = compare(&before, &after, Scope::Whole).render(Style::plain(100));
        assert_eq!(text.contains("is another one"), note, "{text}");
    }
    check(|_| {}, false);
    check(|after| after.builds.reverse(), false);
    check(|after| after.builds[0].digest = Some("sha256:other".to_owned()), true);
}
