use report::{Inconsistency, verify};
use verdict::{Outcome, RunResults, Tally, Verdict};

use crate::sample;

fn all(results: &RunResults) -> Vec<String> {
    verify(results).iter().map(Inconsistency::to_string).collect()
}

#[track_caller]
fn check(change: impl FnOnce(&mut RunResults), expect: &[&str]) {
    let mut results = sample::results(vec![
        sample::cell("4.0.6", "4.0.6", "client/a", Some(Verdict::Compatible), Outcome::Pass),
        sample::cell("4.0.6", "4.0.6", "client/b", None, Outcome::Skipped),
        sample::cell("probe", "4.0.6", "probe/c", Some(Verdict::Broken), Outcome::Fail),
    ]);
    assert_eq!(all(&results), Vec::<String>::new(), "the sample is consistent");
    change(&mut results);
    assert_eq!(all(&results), expect);
}

/// Changes one cell and counts again.
fn cell(n: usize, change: impl FnOnce(&mut verdict::CellResult)) -> impl FnOnce(&mut RunResults) {
    move |results| {
        change(results.cells.get_mut(n).expect("the sample has three cells"));
        results.tally = Tally::of(&results.cells);
    }
}

#[test]
fn consistent_results_raise_nothing() {
    for mut results in [sample::incomplete(), sample::hostile(), sample::every_outcome()] {
        for cell in results.cells.iter_mut().filter(|c| c.outcome == Outcome::Xfail) {
            cell.reason.get_or_insert_with(|| "known".into());
        }
        assert_eq!(all(&results), Vec::<String>::new());
    }
}

#[test]
fn planned_must_be_the_sum() {
    check(
        |r| r.tally.planned = 4,
        &[
            "planned are 4 cells, but the outcomes sum up to 3",
            "the tally says 4 `planned`, but of the cells it is 3",
        ],
    );
    check(
        |r| drop(r.cells.pop()),
        &[
            "the tally says 3 `planned`, but of the cells it is 2",
            "the tally says 1 `fail`, but of the cells it is 0",
            "the tally says 1 `broken`, but of the cells it is 0",
        ],
    );
    check(
        |r| r.tally.outcomes.extend([("vanished".to_owned(), 1)]),
        &[
            "planned are 3 cells, but the outcomes sum up to 4",
            "the tally says 1 `vanished`, but of the cells it is 0",
        ],
    );
    check(
        |r| r.tally.outcomes.extend([("pass".to_owned(), usize::MAX)]),
        &[
            "planned are 3 cells, but the outcomes sum up to 18446744073709551615",
            "the tally says 18446744073709551615 `pass`, but of the cells it is 1",
        ],
    );
}

#[test]
fn cells_stand_once_in_order_under_their_own_name() {
    check(
        |r| {
            r.cells.extend(r.cells.first().cloned());
            r.tally = Tally::of(&r.cells);
        },
        &["cell `lxc-command/4.0.6..4.0.6/client/a` is listed more than once"],
    );
    check(|r| r.cells.swap(0, 1), &["cell `lxc-command/4.0.6..4.0.6/client/a` is out of order"]);
    check(
        cell(0, |c| c.server = "7.0.0".into()),
        &[
            "cell `lxc-command/4.0.6..4.0.6/client/a` has protocol, builds and case of `lxc-command/4.0.6..7.0.0/client/a`",
        ],
    );
    check(
        |r| r.builds.retain(|b| b.id != "4.0.6"),
        &[
            "cell `lxc-command/4.0.6..4.0.6/client/a` names build `4.0.6`, which the results do not list",
            "cell `lxc-command/4.0.6..4.0.6/client/a` names build `4.0.6`, which the results do not list",
            "cell `lxc-command/4.0.6..4.0.6/client/b` names build `4.0.6`, which the results do not list",
            "cell `lxc-command/4.0.6..4.0.6/client/b` names build `4.0.6`, which the results do not list",
            "cell `lxc-command/probe..4.0.6/probe/c` names build `4.0.6`, which the results do not list",
        ],
    );
}

#[test]
fn outcome_and_verdict_must_agree() {
    check(
        cell(0, |c| c.verdict = None),
        &[
            "cell `lxc-command/4.0.6..4.0.6/client/a` ended as `pass` without a verdict",
            "cell `lxc-command/4.0.6..4.0.6/client/a` is `pass` without a reason",
        ],
    );
    check(
        cell(0, |c| c.verdict = Some(Verdict::Broken)),
        &["cell `lxc-command/4.0.6..4.0.6/client/a` passed with the verdict `broken`"],
    );
    check(
        cell(1, |c| c.verdict = Some(Verdict::Compatible)),
        &["cell `lxc-command/4.0.6..4.0.6/client/b` is `skipped`, yet has the verdict `compatible`"],
    );
}

#[test]
fn whatever_is_not_plain_must_say_why_and_how_to_see_it() {
    check(
        cell(1, |c| c.reason = Some("  ".into())),
        &["cell `lxc-command/4.0.6..4.0.6/client/b` is `skipped` without a reason"],
    );
    check(
        cell(2, |c| c.reproduction = None),
        &["cell `lxc-command/probe..4.0.6/probe/c` is `fail` without a reproduction"],
    );
    check(
        cell(2, |c| c.outcome = Outcome::Xfail),
        &["cell `lxc-command/probe..4.0.6/probe/c` is `xfail` without a reason"],
    );
}
