//! `expectations.toml`: what is read, refused, looked up and accounted for.

use insta::assert_snapshot;
use matrix::{CellId, Expectations, Fit, KnownBugs, Verdict};

use crate::support::{observed, rendered};

fn read(rules: &str) -> Expectations {
    let text = format!("protocol = \"lxc-command\"\n{rules}");
    Expectations::parse("expectations.toml", &text, "lxc-command", None)
        .unwrap_or_else(|error| panic!("{}", error.brief()))
}

fn refuse(rules: &str) -> String {
    let bugs = KnownBugs::parse(
        "known-bugs.toml",
        "protocol = 'lxc-command'\n[[bug]]\nid = 'LXC-05'\ntitle = 't'\naffected = '<=4.0.6'\nsource = 's'\nneeds = 'n'\n",
        "lxc-command",
    )
    .expect("the test's own bugs parse");
    let text = format!("protocol = \"lxc-command\"\n{rules}");
    rendered(Expectations::parse("expectations.toml", &text, "lxc-command", Some(&bugs)))
}

const REST: &str = "verdict = \"broken\"\nshapes = [\"no-reply\"]\nreason = \"r\"\nbug = \"LXC-05\"\n";

fn rule(head: &str) -> String {
    format!("[[expect]]\n{head}\n{REST}")
}

#[test]
fn looks_a_cell_up_by_pattern_and_version() {
    let rules = read(&rule(
        "cells = ['lxc-command/*..*/probe/unknown-*', '!lxc-command/**/unknown-payload-0']\nserver = '<=4.0.6'",
    ));
    #[track_caller]
    fn check(rules: &Expectations, cell: &str, client: &str, server: &str, expect: bool) {
        let cell: CellId = cell.parse().expect("the test's own cells parse");
        assert_eq!(rules.lookup(&cell, client, server).is_some(), expect, "{cell}");
    }
    check(&rules, "lxc-command/probe..4.0.6/probe/unknown-payload-16", "probe", "4.0.6", true);
    // The reference peer has the version of the release that it stands for.
    check(&rules, "lxc-command/probe..ref-4.0.6/probe/unknown-payload-16", "probe", "4.0.6", true);
    check(&rules, "lxc-command/probe..4.0.6/probe/unknown-payload-0", "probe", "4.0.6", false);
    check(&rules, "lxc-command/probe..5.0.2/probe/unknown-payload-16", "probe", "5.0.2", false);
    check(&rules, "lxc-command/probe..ideal/probe/unknown-payload-16", "probe", "ideal", false);
    check(&rules, "lxc-command/probe..4.0.6/probe/idle", "probe", "4.0.6", false);

    let any_client = read(&rule("cells = 'lxc-command/**'"));
    check(&any_client, "lxc-command/probe..ideal/probe/x", "probe", "ideal", true);
    let numbered_client = read(&rule("cells = 'lxc-command/**'\nclient = '>=0'"));
    check(&numbered_client, "lxc-command/probe..4.0.6/probe/x", "probe", "4.0.6", false);
    check(&numbered_client, "lxc-command/5.0.2..4.0.6/client/x", "5.0.2", "4.0.6", true);
}

#[test]
fn the_shape_of_the_failure_must_be_the_one_that_is_expected() {
    #[track_caller]
    fn check(head: &str, verdict: Verdict, shapes: &[&str], expect: Fit) {
        let rules =
            read(&format!("[[expect]]\ncells = 'lxc-command/**'\n{head}\nreason = 'r'\nbug = '#1'\n"));
        let shapes: Vec<String> = shapes.iter().map(|shape| (*shape).to_owned()).collect();
        assert_eq!(rules.rules()[0].fit(verdict, &shapes), expect);
    }
    let two = "verdict = 'broken'\nshapes = ['not-drained', 'no-reply']";
    check(two, Verdict::Broken, &["no-reply", "not-drained"], Fit::AsExpected);
    check(two, Verdict::Broken, &["no-reply"], Fit::Otherwise);
    check(two, Verdict::Broken, &["crash", "no-reply", "not-drained"], Fit::Otherwise);
    check(two, Verdict::Refused, &["no-reply", "not-drained"], Fit::Better);
    check(two, Verdict::Compatible, &[], Fit::Better);
    check(two, Verdict::Inconclusive, &[], Fit::Otherwise);
    check("verdict = 'refused'", Verdict::Refused, &["anything"], Fit::AsExpected);
    check("verdict = 'refused'", Verdict::Broken, &["crash"], Fit::Otherwise);
    check("verdict = 'refused'", Verdict::Degraded, &[], Fit::Better);
    check("verdict = 'degraded'\nshapes = ['fallback']", Verdict::Degraded, &["other"], Fit::Otherwise);
}

#[test]
fn an_expiry_day_may_be_a_string_or_a_toml_date() {
    for day in ["\"2027-06-30\"", "2027-06-30"] {
        let rules = read(&rule(&format!("cells = 'lxc-command/**'\nuntil = {day}")));
        assert_eq!(rules.rules()[0].until, Some(jiff::civil::date(2027, 6, 30)));
    }
}

#[test]
fn points_at_what_is_wrong_with_a_rule() {
    assert_snapshot!(refuse(
        "[[expect]]\ncells = \"lxc-command/probe..4.0.6/probe/x\"\nverdict = \"broken\"\n"
    ));
    assert_snapshot!(refuse(&rule("cells = [\"libvirt-remote/**\", \"lxc-command/probe..4.0.6\"]")));
    assert_snapshot!(refuse(&rule("cells = [\"libvirt-remote/**\", \"!lxc-command/**\"]")));
    assert_snapshot!(refuse(&rule("cells = \"lxc-command/**\"\nserver = \"4.0.6\"\nclient = \">5, <4\"")));
    assert_snapshot!(refuse(&rule("cells = \"lxc-command/**\"\nuntil = \"2027-02-30\"")));
    assert_snapshot!(refuse(&rule("cells = \"lxc-command/**\"\nuntil = 2027-02-28T10:00:00Z")));
    assert_snapshot!(refuse(
        "[[expect]]\ncells = \"lxc-command/**\"\nverdict = \"compatible\"\nreason = \"\"\nbug = \"some day\"\n"
    ));
    assert_snapshot!(refuse(
        "[[expect]]\ncells = \"lxc-command/**\"\nverdict = \"brokn\"\nshapes = []\nreason = \"r\"\nbug = \"LXC-50\"\n"
    ));
}

const TODAY: jiff::civil::Date = jiff::civil::date(2026, 11, 20);

#[track_caller]
fn account(rules: &str, lines: &str, narrowed: bool, expect: &[&str]) {
    let complaints = read(rules).complaints(&observed(lines), narrowed, TODAY);
    let shown: Vec<_> = complaints.iter().map(ToString::to_string).collect();
    assert_eq!(shown, expect);
}

const UNKNOWN: &str = "cells = 'lxc-command/probe..*/probe/unknown'\nserver = '<=5.0.2'";

#[test]
fn rules_that_hold_raise_no_complaint() {
    let lines = "
        lxc-command/probe..4.0.6/probe/unknown broken no-reply
        lxc-command/probe..5.0.2/probe/unknown broken no-reply
        lxc-command/probe..7.0.0/probe/unknown compatible";
    account(&rule(UNKNOWN), lines, false, &[]);
}

#[test]
fn a_rule_that_no_cell_can_match_is_unmatched() {
    let lines = "lxc-command/probe..7.0.0/probe/unknown compatible";
    let complaint = "expectations.toml:2:1: unmatched expectation: no cell matches `lxc-command/probe..*/probe/unknown, server <=5.0.2`";
    account(&rule(UNKNOWN), lines, false, &[complaint]);
    // Who asked for some cells only hears nothing of rules that have no cell at all.
    account(&rule(UNKNOWN), lines, true, &[]);
    // A cell that exists and was not run is a match.
    account(&rule(UNKNOWN), "lxc-command/probe..4.0.6/probe/unknown -", false, &[]);
}

#[test]
fn a_rule_is_stale_only_when_all_its_cells_ran_and_are_better() {
    let stale = "expectations.toml:2:1: stale expectation: all 2 cells are better than broken (no-reply): remove the rule";
    let lines = "
        lxc-command/probe..4.0.6/probe/unknown compatible
        lxc-command/probe..5.0.2/probe/unknown refused refusal";
    account(&rule(UNKNOWN), lines, false, &[stale]);
    account(&rule(UNKNOWN), lines, true, &[stale]);

    let wide = "expectations.toml:2:1: too-wide expectation: 1 of 1 cells that ran are better than broken (no-reply), e.g. `lxc-command/probe..4.0.6/probe/unknown`: narrow the rule";
    for other in ["-", "inconclusive"] {
        let lines = format!(
            "lxc-command/probe..4.0.6/probe/unknown compatible\nlxc-command/probe..5.0.2/probe/unknown {other}"
        );
        account(&rule(UNKNOWN), &lines, false, &[wide]);
    }
}

#[test]
fn a_rule_of_which_some_cells_are_better_is_too_wide() {
    let lines = "
        lxc-command/probe..4.0.6/probe/unknown broken no-reply
        lxc-command/probe..5.0.2/probe/unknown degraded";
    account(
        &rule(UNKNOWN),
        lines,
        false,
        &[
            "expectations.toml:2:1: too-wide expectation: 1 of 2 cells that ran are better than broken (no-reply), e.g. `lxc-command/probe..5.0.2/probe/unknown`: narrow the rule",
        ],
    );
    // Worse than expected is the cell's own failure, not the rule's.
    account(&rule(UNKNOWN), "lxc-command/probe..4.0.6/probe/unknown broken crash", false, &[]);
}

#[test]
fn a_rule_past_its_day_fails_the_run_that_used_it() {
    let with_day = |day: &str| rule(&format!("{UNKNOWN}\nuntil = '{day}'"));
    let ran = "lxc-command/probe..4.0.6/probe/unknown broken no-reply";
    let expired = "expectations.toml:2:1: expired expectation: held until 2026-11-19; bug LXC-05";
    account(&with_day("2026-11-20"), ran, false, &[]);
    account(&with_day("2026-11-19"), ran, false, &[expired]);
    account(&with_day("2026-11-19"), ran, true, &[expired]);
    account(&with_day("2026-11-19"), "lxc-command/probe..4.0.6/probe/unknown -", false, &[]);
}

#[test]
fn rules_may_share_cells_only_if_they_say_the_same() {
    let universe =
        observed("lxc-command/probe..4.0.6/probe/unknown -\nlxc-command/probe..5.0.2/probe/unknown -");
    let same = read(&format!("{}{}", rule(UNKNOWN), rule("cells = 'lxc-command/probe..4.0.6/**'")));
    let complaints = |rules: &Expectations| -> Vec<String> {
        rules.complaints(&universe, false, TODAY).iter().map(ToString::to_string).collect()
    };
    assert_eq!(complaints(&same), [""; 0]);
    let other = "[[expect]]\ncells = 'lxc-command/probe..4.0.6/**'\nverdict = 'broken'\nshapes = ['crash']\nreason = 'r'\nbug = '#1'\n";
    let differing = read(&format!("{}{other}", rule(UNKNOWN)));
    assert_eq!(
        complaints(&differing),
        [
            "expectations.toml:9:1: contradiction expectation: says broken (crash) of `lxc-command/probe..4.0.6/probe/unknown`, but the rule at expectations.toml:2:1 says broken (no-reply)"
        ]
    );
    // Ranges that have no version in common do not contradict.
    let apart = read(&format!("{}{}", rule(UNKNOWN), other.replace("verdict", "server = '>5.0.2'\nverdict")));
    assert!(!complaints(&apart).iter().any(|complaint| complaint.contains("contradiction")));
}
