use matrix::Verdict;
use report::Style;
use report::terminal::{Level, render, render_cell, summary_line};
use unicode_width::UnicodeWidthStr;
use verdict::{Outcome, RunResults};

use crate::sample;

fn style(width: usize) -> Style {
    Style::plain(width)
}

#[test]
fn shows_every_outcome_on_a_wide_terminal() {
    insta::assert_snapshot!("wide", render(&sample::every_outcome(), Level::Detailed, style(140)));
}

#[test]
fn shows_every_outcome_on_a_narrow_terminal() {
    insta::assert_snapshot!("narrow", render(&sample::every_outcome(), Level::Detailed, style(60)));
}

#[test]
fn overview_leaves_out_the_details() {
    insta::assert_snapshot!("overview", render(&sample::every_outcome(), Level::Overview, style(100)));
}

#[test]
fn colours_say_what_the_words_say() {
    let style = Style { color: true, ..style(100) };
    let text = render(&sample::every_outcome(), Level::Overview, style);
    insta::assert_snapshot!("colour", text.replace('\u{1b}', "ESC"));
}

#[test]
fn ascii_terminals_get_ascii() {
    let style = Style { unicode: false, ..style(100) };
    for results in [sample::every_outcome(), sample::hostile()] {
        let text = render(&results, Level::Detailed, style);
        assert_eq!(text.chars().find(|c| !c.is_ascii()), None);
    }
    insta::assert_snapshot!("ascii", render(&sample::every_outcome(), Level::Overview, style));
}

#[test]
fn escapes_what_peers_choose() {
    let text = render(&sample::hostile(), Level::Detailed, style(120));
    assert_eq!(text.chars().find(|c| c.is_control() && *c != '\n'), None);
    assert_eq!(text.chars().find(|c| *c == '\u{202e}'), None);
    insta::assert_snapshot!("hostile", text);
}

/// The runner of GitHub Actions takes these from any line of a log:
/// actions/runner, `src/Runner.Common/ActionCommand.cs`, `TryParseV2` and `TryParse`.
#[test]
fn no_width_makes_a_command_for_ci_of_a_peers_text() {
    let mut results = sample::hostile();
    for cell in &mut results.cells {
        "a ::stop-commands::b ##[error]c".clone_into(&mut cell.summary);
    }
    for width in 40..160 {
        let text = render(&results, Level::Detailed, style(width));
        assert_eq!(
            text.lines().find(|l| l.trim_start().starts_with("::") || l.contains("##[")),
            None,
            "at {width}"
        );
    }
}

#[test]
fn incomplete_runs_say_so() {
    insta::assert_snapshot!("incomplete", render(&sample::incomplete(), Level::Detailed, style(100)));
}

#[test]
fn one_cell_can_be_shown_alone() {
    let results = sample::every_outcome();
    let cell = results.cells.iter().find(|c| !c.findings.is_empty()).expect("the sample has findings");
    insta::assert_snapshot!("cell", render_cell(&results, cell, style(100)));
}

#[test]
fn no_line_is_wider_than_the_terminal_but_dumps_commands_and_disarmed_ones() {
    for width in [40, 60, 80, 132, 400] {
        for results in [sample::every_outcome(), sample::hostile(), sample::incomplete()] {
            let text = render(&results, Level::Detailed, style(width));
            let wide = text.lines().filter(|l| l.width() > width);
            let wide: Vec<_> = wide
                .filter(|l| {
                    !l.contains("Reproduce with: ")
                        && !l.contains('|')
                        && !l.contains("^^")
                        && !l.contains(":\\u{3a}")
                })
                .collect();
            assert_eq!(wide, Vec::<&str>::new(), "at width {width}");
        }
    }
}

#[test]
fn more_than_twenty_failures_are_cut_to_one_line_each() {
    let fail =
        |n| sample::cell("probe", "4.0.6", &format!("probe/p{n:02}"), Some(Verdict::Broken), Outcome::Fail);
    let text = render(&sample::results((0..23).map(fail).collect()), Level::Overview, style(100));
    assert_eq!(text.matches("verdict     broken, not expected").count(), 20);
    assert!(text.contains("3 more unexpected cells, one line each (the first 20 of 23 are above"), "{text}");
    assert_eq!(text.matches("Reproduce with: ").count(), 23);
}

#[test]
fn servers_with_equal_answers_share_a_column() {
    let text = render(&sample::every_outcome(), Level::Detailed, style(140));
    assert!(!text.contains("5.0.2, 7.0.0"), "they differ in probe/crash");
    let unknown = |c: &verdict::CellResult| c.case == "probe/unknown-payload-16";
    let cells = sample::every_outcome().cells.into_iter().filter(unknown).collect();
    let text = render(&sample::results(cells), Level::Detailed, style(140));
    assert!(text.contains("5.0.2, 7.0.0"), "{text}");
}

#[track_caller]
fn check_summary(change: impl FnOnce(&mut RunResults), expect: &str) {
    let mut results = sample::results(vec![sample::pass("4.0.6", "4.0.6", "client/info")]);
    results.complaints.clear();
    change(&mut results);
    assert_eq!(summary_line(&results).unpainted(), expect);
}

#[test]
fn the_last_line_accounts_for_every_cell() {
    check_summary(|_| {}, "Summary [1.84s] 1 planned = 1 executed + 0 explained: 1 pass; as expected");
    check_summary(
        |r| r.complete = false,
        "Summary [1.84s] 1 planned = 1 executed + 0 explained: 1 pass; NOT as expected: incomplete",
    );
    check_summary(
        |r| r.tally.planned = 2,
        "Summary [1.84s] 2 planned ≠ 1 executed + 0 explained: 1 pass; NOT as expected: cells unaccounted for",
    );
    check_summary(
        |r| r.complaints = vec!["x".into()],
        "Summary [1.84s] 1 planned = 1 executed + 0 explained: 1 pass; NOT as expected: 1 complaint",
    );
    check_summary(
        |r| *r = RunResults { complaints: Vec::new(), duration_ms: 125_000, ..sample::results(Vec::new()) },
        "Summary [2m 05s] 0 planned = 0 executed + 0 explained: no cells; NOT as expected: nothing ran",
    );
}

#[test]
fn what_did_not_run_is_never_green() {
    const GREEN: &str = "\u{1b}[32m";
    let style = Style { color: true, ..style(200) };
    for outcome in [Outcome::Skipped, Outcome::MissingBuild, Outcome::HarnessError, Outcome::Pass] {
        let results = sample::results(vec![sample::cell("probe", "4.0.6", "probe/x", None, outcome)]);
        let text = render(&results, Level::Overview, style);
        let green: Vec<_> =
            text.lines().filter(|l| l.contains(GREEN) && !l.contains("not planned")).collect();
        assert_eq!(green, Vec::<&str>::new(), "{outcome:?}");
    }
}

/// The shape of the default matrix: reference peers among themselves, recorded builds among themselves, recorded
/// clients played again to reference servers, probes against all.
#[test]
fn builds_that_never_meet_do_not_share_a_table() {
    let mut cells = Vec::new();
    let (real, reference) = (["4.0.6", "7.0.0"], ["ideal", "ref-4.0.6"]);
    for side in [real, reference] {
        for client in side {
            cells.extend(side.iter().map(|server| sample::pass(client, server, "client/info")));
            cells.push(sample::pass("probe", client, "probe/unknown"));
        }
    }
    cells.extend(real.iter().map(|client| sample::pass(client, "ideal", "replay/info")));
    let mut results = sample::results(cells);
    results.builds.extend(reference.iter().map(|id| sample::build(id, "reference")));
    results.complaints.clear();
    let text = render(&results, Level::Overview, style(120));
    let places = text.lines().filter(|line| !line.contains("not planned"));
    assert_eq!(
        places.filter(|line| line.contains("  ·")).count(),
        0,
        "a place where nothing was planned:\n{text}"
    );
    insta::assert_snapshot!("blocks", text);
}
