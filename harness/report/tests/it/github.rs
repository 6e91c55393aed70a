use report::github::{SHOWN_MAX, render};
use verdict::{Outcome, Verdict};

use crate::sample;

#[test]
fn annotations_of_every_outcome() {
    insta::assert_snapshot!("github", render(&sample::every_outcome()));
}

#[test]
fn incomplete_runs_are_errors() {
    let text = render(&sample::incomplete());
    assert!(text.starts_with("::error title=Incomplete run::"), "{text}");
}

#[test]
fn good_runs_have_none() {
    let mut results = sample::results(vec![sample::pass("4.0.6", "4.0.6", "client/info")]);
    results.complaints.clear();
    assert_eq!(render(&results), "");
}

#[test]
fn peers_cannot_add_commands() {
    let text = render(&sample::hostile());
    assert_eq!(text.lines().filter(|l| l.starts_with("::")).count(), text.lines().count());
    assert_eq!(text.lines().count(), 2, "the complaint and the cell:\n{text}");
    for line in text.lines() {
        let (command, _) =
            line.strip_prefix("::error title=").and_then(|l| l.split_once("::")).expect("the form");
        assert!(!command.contains([':', ',']), "{command}");
    }
}

#[test]
fn percent_signs_and_line_ends_survive() {
    let mut cell = sample::cell("probe", "4.0.6", "probe/a,b:c", Some(Verdict::Broken), Outcome::Fail);
    "100%0A sure".clone_into(&mut cell.summary);
    let mut results = sample::results(vec![cell]);
    results.complaints.clear();
    assert_eq!(
        render(&results),
        "::error title=broken%3A lxc-command/probe..4.0.6/probe/a%2Cb%3Ac::100%250A sure%0A\
         Reproduce with: wireskew repro 'lxc-command/probe..4.0.6/probe/a,b:c' --seed 7\n"
    );
}

#[test]
fn the_last_annotation_counts_those_that_github_would_drop() {
    let fail =
        |n| sample::cell("probe", "4.0.6", &format!("probe/{n:02}"), Some(Verdict::Broken), Outcome::Fail);
    let mut results = sample::results((0..12).map(fail).collect());
    results.complaints.clear();
    let text = render(&results);
    assert_eq!(text.lines().count(), SHOWN_MAX);
    assert!(
        text.lines().last().is_some_and(|l| l.starts_with("::error title=3 more::12 errors in all")),
        "{text}"
    );
}
