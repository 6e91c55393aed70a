//! `expect update`: rules from results, and what becomes of a file.

use insta::assert_snapshot;
use matrix::expect_update::{Change, Note, UpdateError, apply, plan, propose};
use matrix::{ComplaintKind, Expectation, Expectations, Fit, Observed, Verdict};
use proptest::prelude::*;

use crate::support::observed;

fn note() -> Note {
    Note::new("closed without an answer", "LXC-05", None).expect("the note is right")
}

#[track_caller]
fn check(lines: &str, expect: &[&str]) {
    let rules = propose(&observed(lines), &note());
    let shown: Vec<_> = rules.iter().map(|rule| format!("{}: {}", rule.domain(), rule.claim())).collect();
    assert_eq!(shown, expect);
}

#[test]
fn one_rule_takes_the_versions_and_cases_that_fail_alike() {
    check(
        "lxc-command/probe..4.0.6/probe/unknown-0 broken no-reply
         lxc-command/probe..4.0.6/probe/unknown-16 broken no-reply
         lxc-command/probe..ref-4.0.6/probe/unknown-0 broken no-reply
         lxc-command/probe..ref-4.0.6/probe/unknown-16 broken no-reply
         lxc-command/probe..4.0.6/probe/idle compatible
         lxc-command/probe..5.0.2/probe/unknown-0 compatible
         lxc-command/probe..5.0.2/probe/unknown-16 refused refusal
         lxc-command/probe..ideal/probe/unknown-0 compatible",
        &["lxc-command/probe..*/probe/unknown-*, server <=4.0.6: broken (no-reply)"],
    );
}

#[test]
fn version_ranges_go_exactly_as_far_as_the_failure() {
    let lines = |verdicts: [&str; 4]| {
        let servers = ["4.0.6", "5.0.2", "6.0.4", "7.0.0"];
        let line = |(server, verdict): (&str, &str)| format!("p/probe..{server}/probe/x {verdict}");
        servers.into_iter().zip(verdicts).map(line).collect::<Vec<_>>().join("\n")
    };
    let (bad, good) = ("broken crash", "compatible");
    check(&lines([bad, bad, good, good]), &["p/probe..*/probe/x, server <=5.0.2: broken (crash)"]);
    check(&lines([good, bad, bad, bad]), &["p/probe..*/probe/x, server >=5.0.2: broken (crash)"]);
    check(&lines([good, bad, bad, good]), &["p/probe..*/probe/x, server >=5.0.2, <=6.0.4: broken (crash)"]);
    check(&lines([good, bad, good, good]), &["p/probe..*/probe/x, server =5.0.2: broken (crash)"]);
    check(&lines([bad, bad, bad, bad]), &["p/probe..*/probe/x: broken (crash)"]);
    check(&lines([good, good, good, good]), &[]);
    check(
        &lines([bad, good, good, bad]),
        &[
            "p/probe..*/probe/x, server <=4.0.6: broken (crash)",
            "p/probe..*/probe/x, server >=7.0.0: broken (crash)",
        ],
    );
}

#[test]
fn shapes_are_kept_apart_and_both_sides_can_have_a_range() {
    check(
        "p/4.0.6..4.0.6/client/attach compatible
         p/5.0.2..4.0.6/client/attach broken wrong-effect
         p/7.0.0..4.0.6/client/attach broken wrong-effect
         p/4.0.6..5.0.2/client/attach compatible
         p/5.0.2..5.0.2/client/attach compatible
         p/7.0.0..5.0.2/client/attach compatible
         p/4.0.6..5.0.2/client/devices broken refused-valid
         p/4.0.6..4.0.6/client/devices compatible
         p/5.0.2..5.0.2/client/devices compatible",
        &[
            "p/*..*/client/devices, client <=4.0.6, server >=5.0.2: broken (refused-valid)",
            "p/*..*/client/attach, client >=5.0.2, server <=4.0.6: broken (wrong-effect)",
        ],
    );
}

#[test]
fn claims_nothing_about_releases_that_did_not_run() {
    // 5.0.2 exists but did not run: a rule for any server would speak of it.
    check(
        "p/probe..4.0.6/probe/x broken crash\np/probe..5.0.2/probe/x -\np/probe..ref-4.0.6/probe/x -",
        &["p/probe..*/probe/x, server <=4.0.6: broken (crash)"],
    );
    // A build without a number is named by its id.
    check(
        "p/probe..ideal/probe/x broken crash\np/probe..4.0.6/probe/x compatible",
        &["p/probe..*/probe/x, server =ideal: broken (crash)"],
    );
}

const FILE: &str = r#"# The expectations of p.
protocol = "p"

# Nobody fixes this one.
[[expect]]
cells = "p/probe..*/probe/a" # all of them
verdict = "broken"
shapes = ["crash"]
reason = "old"
bug = "X-1"

# Too wide by now.
[[expect]]
cells = "p/probe..*/probe/b"
server = "<=6.0.4"   # three releases
verdict = "broken"
shapes = ["no-reply"]
reason = "half fixed"
bug = "X-2"
until = "2027-01-31"

# Fixed everywhere.
[[expect]]
cells = "p/probe..*/probe/c"
verdict = "broken"
shapes = ["hang"]
reason = "gone"
bug = "X-3"
# The end.
"#;

const RESULTS: &str = "
    p/probe..4.0.6/probe/a broken crash
    p/probe..5.0.2/probe/a broken crash
    p/probe..6.0.4/probe/a -
    p/probe..4.0.6/probe/b broken no-reply
    p/probe..5.0.2/probe/b compatible
    p/probe..6.0.4/probe/b -
    p/probe..4.0.6/probe/c compatible
    p/probe..5.0.2/probe/c refused refusal
    p/probe..4.0.6/probe/d broken leak no-reply
    p/probe..5.0.2/probe/d broken leak no-reply";

fn read(text: &str) -> Expectations {
    Expectations::parse("expectations.toml", text, "p", None)
        .unwrap_or_else(|error| panic!("{}", error.brief()))
}

#[test]
fn keeps_what_holds_narrows_what_is_too_wide_and_drops_what_is_stale() {
    let plan = plan(&read(FILE), &observed(RESULTS), Some(&note())).expect("there is a note");
    assert_eq!(plan.changes[0], Change::Keep);
    assert_eq!(plan.changes[2], Change::Remove);
    let updated = apply(FILE, &plan).expect("the text is the one that was read");
    assert_snapshot!(updated);
    // What was written is read again, and there is nothing left to do.
    let again =
        matrix::expect_update::plan(&read(&updated), &observed(RESULTS), None).expect("nothing is new");
    assert!(again.is_empty(), "{again:?}");
    assert_eq!(apply(&updated, &again).expect("the text is the one that was read"), updated);
}

#[test]
fn a_plan_that_changes_nothing_leaves_every_byte() {
    let results = observed("p/probe..4.0.6/probe/a -\np/probe..4.0.6/probe/b -\np/probe..4.0.6/probe/c -");
    let plan = plan(&read(FILE), &results, None).expect("nothing is new");
    assert!(plan.is_empty());
    assert_eq!(apply(FILE, &plan).expect("the text is the one that was read"), FILE);
}

#[test]
fn new_rules_need_a_reason_and_a_bug() {
    let error = plan(&read(FILE), &observed(RESULTS), None).expect_err("nobody said why");
    assert_snapshot!(error, @"2 broken cells have no rule, e.g. `p/probe..4.0.6/probe/d`; say why with `--reason` and `--bug`");
    assert_snapshot!(Note::new(" ", "X-1", None).expect_err("no reason"), @"the reason is empty");
    assert_snapshot!(Note::new("r", "soon", None).expect_err("no bug"), @"`soon` names no bug; write an `https://` link, or an id with a number, e.g. `LXC-05`");
}

#[test]
fn refuses_what_it_cannot_edit() {
    let nothing = plan(&read("protocol = 'p'"), &[], None).expect("nothing is new");
    assert!(matches!(apply("protocol = 'p", &nothing), Err(UpdateError::Toml(_))));
    assert!(matches!(apply("expect = [{ cells = 'p/**' }]", &nothing), Err(UpdateError::NotTables)));
    assert!(matches!(apply(FILE, &nothing), Err(UpdateError::OtherText { found: 3, given: 0 })));
    let shapeless = plan(&read("protocol = 'p'"), &observed("p/probe..1/probe/x broken"), Some(&note()));
    assert!(matches!(shapeless, Err(UpdateError::NoShape { .. })));
}

#[test]
fn the_first_rule_of_an_empty_file_is_written_behind_its_head() {
    let text = "# head\nprotocol = \"p\"\n";
    let results = observed("p/probe..4.0.6/probe/x broken crash");
    let plan = plan(&read(text), &results, Some(&note())).expect("there is a note");
    assert_snapshot!(apply(text, &plan).expect("the text is the one that was read"));
}

fn any_results() -> impl Strategy<Value = Vec<Observed>> {
    let clients = ["probe", "4.0.6", "5.0.2", "ref-4.0.6"];
    let servers = ["4.0.6", "5.0.2", "6.0.4", "7.0.0", "ref-4.0.6", "ref-7.0.0", "ideal"];
    let cases =
        ["probe/unknown-0", "probe/unknown-16", "probe/idle", "client/info", "replay/4.0.6..5.0.2/info"];
    let outcomes = ["-", "compatible", "refused r", "broken crash", "broken crash no-reply", "inconclusive"];
    let len = clients.len() * servers.len() * cases.len();
    // A verdict for each version and case, and some cells that differ from it: results have structure.
    let noise = proptest::collection::vec((0usize..20, 0..outcomes.len()), len);
    (proptest::collection::vec(0..outcomes.len(), 4 * cases.len()), noise).prop_map(
        move |(by_version, noise)| {
            let mut lines = String::new();
            let mut noise = noise.into_iter();
            for client in clients {
                for (s, server) in servers.into_iter().enumerate() {
                    for (c, case) in cases.into_iter().enumerate() {
                        let (roll, other) = noise.next().unwrap_or_default();
                        let usual = by_version[(s % 4) * cases.len() + c];
                        let outcome = outcomes[if roll == 0 { other } else { usual }];
                        lines.push_str(&format!("p/{client}..{server}/{case} {outcome}\n"));
                    }
                }
            }
            observed(&lines)
        },
    )
}

/// Every rule is true of every cell that it has and that ran; every broken cell has a rule.
fn exact(rules: &[Expectation], results: &[Observed]) -> Result<(), TestCaseError> {
    for result in results {
        let about =
            |rule: &&Expectation| rule.matches(&result.cell, &result.client_version, &result.server_version);
        let covering: Vec<_> = rules.iter().filter(about).collect();
        let decided = result.verdict.filter(|verdict| *verdict != Verdict::Inconclusive);
        let Some(verdict) = decided else { continue };
        prop_assert_eq!(verdict == Verdict::Broken, !covering.is_empty(), "{}", result.cell);
        for rule in covering {
            prop_assert_eq!(
                rule.fit(verdict, &result.shapes),
                Fit::AsExpected,
                "{} by {}",
                result.cell,
                rule.domain()
            );
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20))]

    #[test]
    fn proposals_cover_the_broken_cells_and_no_other(results in any_results()) {
        let rules = propose(&results, &note());
        exact(&rules, &results)?;
        let broken = results.iter().filter(|result| result.verdict == Some(Verdict::Broken)).count();
        prop_assert!(rules.len() <= broken);
        let mut reversed = results.clone();
        reversed.reverse();
        exact(&propose(&reversed, &note()), &results)?;
    }

    #[test]
    fn updating_from_any_older_run_ends_in_exact_rules(before in any_results(), after in any_results()) {
        let empty = "protocol = \"p\"\n";
        let first = plan(&read(empty), &before, Some(&note())).map_err(|e| TestCaseError::fail(e.to_string()))?;
        let old = apply(empty, &first).map_err(|e| TestCaseError::fail(e.to_string()))?;
        let second = plan(&read(&old), &after, Some(&note())).map_err(|e| TestCaseError::fail(e.to_string()))?;
        let new = apply(&old, &second).map_err(|e| TestCaseError::fail(e.to_string()))?;
        exact(read(&new).rules(), &after)?;
        let complaints = read(&new).complaints(&after, false, jiff::civil::date(2026, 11, 20));
        prop_assert!(!complaints.iter().any(|complaint| complaint.kind == ComplaintKind::Contradiction));
        let third = plan(&read(&new), &after, None).map_err(|e| TestCaseError::fail(e.to_string()))?;
        prop_assert!(third.is_empty());
    }
}
