//! Selection by pattern, file and expression.

use insta::assert_snapshot;
use matrix::{CellId, CellInfo, ConfigError, Filter, Selection, SourceKind, Verdict};
use proptest::prelude::*;

use crate::support::rendered;

/// Name, version of client and server, source of client and server, verdict.
type Cell = (&'static str, &'static str, &'static str, Option<SourceKind>, SourceKind, Option<Verdict>);

const CELLS: [Cell; 6] = [
    (
        "lxc-command/probe..4.0.6/probe/unknown",
        "probe",
        "4.0.6",
        None,
        SourceKind::Recorded,
        Some(Verdict::Broken),
    ),
    ("lxc-command/probe..ref-5.0.2/probe/unknown", "probe", "5.0.2", None, SourceKind::Reference, None),
    (
        "lxc-command/5.0.2..4.0.6/client/attach",
        "5.0.2",
        "4.0.6",
        Some(SourceKind::Debian),
        SourceKind::Debian,
        Some(Verdict::Refused),
    ),
    (
        "lxc-command/4.0.6..ideal/replay/4.0.6..5.0.2/info",
        "4.0.6",
        "ideal",
        Some(SourceKind::Recorded),
        SourceKind::Reference,
        None,
    ),
    (
        "lxc-command/dev..7.0.0/scenario/restart",
        "7.0.0",
        "7.0.0",
        Some(SourceKind::Path),
        SourceKind::Debian,
        None,
    ),
    ("kata-agent/probe..3.2.0/probe/unknown", "probe", "3.2.0", None, SourceKind::Reference, None),
];

/// Which cells are selected, by index.
fn selected(selection: &Selection) -> Vec<usize> {
    let ids: Vec<CellId> =
        CELLS.iter().map(|cell| cell.0.parse().expect("the test's own cells parse")).collect();
    let info = |at: &usize| {
        let (_, client_version, server_version, client_source, server_source, verdict) = CELLS[*at];
        let server_source = Some(server_source);
        let matches = selection.matches(&CellInfo {
            id: &ids[*at],
            client_version,
            server_version,
            client_source,
            server_source,
            verdict,
        });
        assert!(!matches || selection.reaches_protocol(&ids[*at].protocol), "{}", ids[*at]);
        matches
    };
    (0..CELLS.len()).filter(info).collect()
}

#[track_caller]
fn check(patterns: &[&str], expressions: &[&str], expect: &[usize]) {
    let selection =
        Selection::from_arguments(patterns, expressions).unwrap_or_else(|error| panic!("{}", error.brief()));
    assert_eq!(selected(&selection), expect, "{patterns:?} {expressions:?}");
}

#[test]
fn nothing_asked_for_is_everything() {
    check(&[], &[], &[0, 1, 2, 3, 4, 5]);
    assert!(Selection::all().is_all());
}

#[test]
fn patterns_add_up_and_exclamation_marks_take_out() {
    check(&["lxc-command/**"], &[], &[0, 1, 2, 3, 4]);
    check(&["lxc-command/probe..*/**", "kata-agent/**"], &[], &[0, 1, 5]);
    check(&["lxc-command/**", "!**/unknown"], &[], &[2, 3, 4]);
    check(&["!lxc-command/**"], &[], &[5]);
    check(&["!**"], &[], &[]);
    check(&[CELLS[3].0], &[], &[3]);
}

#[test]
fn expressions_look_at_every_property() {
    let on = |expression: &str, expect: &[usize]| check(&[], &[expression], expect);
    on("all", &[0, 1, 2, 3, 4, 5]);
    on("all()", &[0, 1, 2, 3, 4, 5]);
    on("none", &[]);
    on("protocol(kata-*)", &[5]);
    on("client(probe)", &[0, 1, 5]);
    on("client(>=5)", &[2, 4]);
    on("server(ref-*)", &[1]);
    on("server( <=4.0.6 )", &[0, 2, 5]);
    on("server(>=4, <7)", &[0, 1, 2]);
    on("case(probe/**)", &[0, 1, 5]);
    on("case(replay/**)", &[3]);
    on("cell(lxc-command/*..4.0.6/**)", &[0, 2]);
    on("kind(scenario)", &[4]);
    on("source(recorded)", &[0, 3]);
    on("source(debian)", &[2, 4]);
    on("verdict(broken)", &[0]);
    on("not verdict(broken)", &[1, 2, 3, 4, 5]);
}

#[test]
fn and_binds_tighter_than_or_and_not_tightest() {
    let on = |expression: &str, expect: &[usize]| check(&[], &[expression], expect);
    on("protocol(lxc-command) & server(>=5) & case(probe/**)", &[1]);
    on("kind(scenario) | kind(client) & server(>=5)", &[4]);
    on("(kind(scenario) | kind(client)) & server(>=5)", &[4]);
    on("(kind(scenario) or kind(client)) and server(>=4)", &[2, 4]);
    on("!kind(probe) & source(debian)", &[2, 4]);
    on("!(kind(probe) | source(debian))", &[3]);
    on("!!kind(probe)", &[0, 1, 5]);
    on("not not kind(probe)", &[0, 1, 5]);
    on("kind(probe)&!protocol(kata-agent)|none", &[0, 1]);
}

#[test]
fn expressions_add_up_and_narrow_the_patterns() {
    check(&["lxc-command/**"], &["kind(probe)"], &[0, 1]);
    check(&["lxc-command/**"], &["kind(probe)", "kind(scenario)"], &[0, 1, 4]);
    check(&["!**/unknown"], &["kind(probe)"], &[]);
}

#[test]
fn a_filter_says_whether_it_needs_results() {
    let asks = |text: &str| Filter::parse("-E", text).expect("the text is right").asks_for_verdict();
    assert!(asks("kind(probe) | !(all & verdict(broken))"));
    assert!(!asks("kind(probe) & !server(>=5)"));
}

#[test]
fn files_hold_one_pattern_a_line() {
    let mut selection = Selection::all();
    selection
        .add_lines("cells.txt", "# mine\n\n  lxc-command/**   # all\n!**/unknown\r\n")
        .expect("the text is right");
    assert_eq!(selected(&selection), [2, 3, 4]);
    assert_snapshot!(rendered(Selection::all().add_lines("cells.txt", "# nothing\n")));
    assert_snapshot!(rendered(
        Selection::all().add_lines("cells.txt", "lxc-command/**\n  lxc # one\n\n!lxc-command/a?b/**\n")
    ));
    assert_snapshot!(rendered(Selection::from_arguments(&["@no/such/file"], &[""; 0])));
}

#[test]
fn says_which_protocols_it_cannot_reach() {
    #[track_caller]
    fn check(patterns: &[&str], expressions: &[&str], expect: &[&str]) {
        let selection = Selection::from_arguments(patterns, expressions).expect("the selection is right");
        let reached =
            ["kata-agent", "lxc-command"].into_iter().filter(|name| selection.reaches_protocol(name));
        assert_eq!(reached.collect::<Vec<_>>(), expect, "{patterns:?} {expressions:?}");
    }
    let (none, lxc, both): ([&str; 0], _, _) = ([], ["lxc-command"], ["kata-agent", "lxc-command"]);
    check(&[], &[], &both);
    check(&["lxc-*/**"], &[], &lxc);
    check(&["**/unknown", "!kata-agent/**"], &[], &both);
    check(&["kata-agent/**"], &["protocol(lxc-command)"], &none);
    check(&[], &["protocol(lxc-command) & server(>=5)"], &lxc);
    check(&[], &["protocol(lxc-command) | server(>=5)"], &both);
    check(&[], &["!protocol(kata-agent)"], &lxc);
    check(&[], &["!(protocol(kata-agent) | server(>=5))"], &lxc);
    check(&[], &["!(protocol(kata-agent) & server(>=5))"], &both);
    check(&[], &["cell(lxc-command/**)"], &lxc);
    check(&[], &["!cell(lxc-command/**)"], &both);
    check(&[], &["none"], &none);
    check(&[], &["all & verdict(broken)"], &both);
}

#[test]
fn points_at_what_is_wrong_with_an_expression() {
    let refuse = |text: &str| rendered(Filter::parse("-E", text));
    assert_snapshot!(refuse("protocol(lxc-command) & sever(>=5)"));
    assert_snapshot!(refuse("server(>=5"));
    assert_snapshot!(refuse("(server(>=5) | all"));
    assert_snapshot!(refuse("server(>=5) && case(probe/**)"));
    assert_snapshot!(refuse("server(>=5) case(probe/**)"));
    assert_snapshot!(refuse("server(>=5.x)"));
    assert_snapshot!(refuse("server >=5"));
    assert_snapshot!(refuse("case(probe)"));
    assert_snapshot!(refuse("kind(prob)"));
    assert_snapshot!(refuse("all(x)"));
    assert_snapshot!(refuse("all & "));
    assert_snapshot!(refuse(""));
    assert_snapshot!(refuse(&"(".repeat(100)));
}

#[test]
fn collects_the_problems_of_all_arguments() {
    let result: Result<Selection, ConfigError> =
        Selection::from_arguments(&["lxc", "**", "x**/y"], &["all", "nune"]);
    assert_snapshot!(rendered(result));
}

/// An expression as a tree, to compare with the parser.
#[derive(Debug, Clone)]
enum Tree {
    Leaf(&'static str),
    Not(Box<Tree>),
    And(Box<Tree>, Box<Tree>),
    Or(Box<Tree>, Box<Tree>),
}

impl Tree {
    fn text(&self) -> String {
        match self {
            Self::Leaf(text) => (*text).to_owned(),
            Self::Not(inner) => format!("!({})", inner.text()),
            Self::And(left, right) => format!("({}) & ({})", left.text(), right.text()),
            Self::Or(left, right) => format!("({}) | ({})", left.text(), right.text()),
        }
    }

    fn selected(&self) -> Vec<bool> {
        let zip = |left: &Self, right: &Self, join: fn(bool, bool) -> bool| {
            left.selected().into_iter().zip(right.selected()).map(|(l, r)| join(l, r)).collect()
        };
        match self {
            Self::Leaf(text) => {
                let selection = Selection::from_arguments(&[""; 0], &[text]).expect("the leaves parse");
                let found = selected(&selection);
                (0..CELLS.len()).map(|at| found.contains(&at)).collect()
            }
            Self::Not(inner) => inner.selected().into_iter().map(|taken| !taken).collect(),
            Self::And(left, right) => zip(left, right, |l, r| l && r),
            Self::Or(left, right) => zip(left, right, |l, r| l || r),
        }
    }
}

fn any_tree() -> impl Strategy<Value = Tree> {
    let leaf = prop::sample::select(vec![
        Tree::Leaf("kind(probe)"),
        Tree::Leaf("server(>=5)"),
        Tree::Leaf("source(debian)"),
        Tree::Leaf("client(probe)"),
        Tree::Leaf("all"),
        Tree::Leaf("none()"),
    ]);
    leaf.prop_recursive(4, 24, 2, |inner| {
        prop_oneof![
            inner.clone().prop_map(|tree| Tree::Not(Box::new(tree))),
            (inner.clone(), inner.clone()).prop_map(|(l, r)| Tree::And(Box::new(l), Box::new(r))),
            (inner.clone(), inner).prop_map(|(l, r)| Tree::Or(Box::new(l), Box::new(r))),
        ]
    })
}

proptest! {
    #[test]
    fn expressions_mean_what_their_tree_means(tree in any_tree()) {
        let text = tree.text();
        let selection = Selection::from_arguments(&[""; 0], &[&text])
            .map_err(|error| TestCaseError::fail(format!("{text}: {}", error.brief())))?;
        let found = selected(&selection);
        let expect: Vec<usize> = tree.selected().into_iter().enumerate().filter(|(_, taken)| *taken).map(|(at, _)| at).collect();
        prop_assert_eq!(found, expect, "{}", text);
    }

    /// Any text is read or refused with a place inside of it; nothing panics.
    #[test]
    fn any_text_is_read_or_refused(text in "\\PC{0,40}", near in "[a-z()&|! <>=*/.0-9é]{0,40}") {
        for text in [text, near] {
            if let Err(error) = Filter::parse("-E", &text) {
                prop_assert!(error.problems().iter().all(|problem| problem.location().is_some()));
                rendered_without_panic(&error);
            }
        }
    }
}

fn rendered_without_panic(error: &ConfigError) {
    let mut out = String::new();
    miette::GraphicalReportHandler::new()
        .render_report(&mut out, error)
        .expect("writing to a String cannot fail");
    assert!(!out.is_empty());
}
