//! `known-bugs.toml`: what is read, refused, and found again.

use insta::assert_snapshot;
use matrix::{KnownBugs, Verdict};

use crate::support::{observed, rendered};

const BUGS: &str = r#"protocol = "lxc-command"

[[bug]]
id = "LXC-05"
title = "an unknown command gets no answer"
affected = "<=4.0.6"
fixed = "4.0.7"
source = "sheet"
shapes = ["no-reply"]
cells = ["lxc-command/probe..4.0.6/probe/unknown"]

[[bug.cell]]
cell = "lxc-command/5.0.2..4.0.6/client/attach"
shapes = ["wrong-effect", "silent"]

[[bug.cell]]
cell = "lxc-command/probe..7.0.0/probe/unknown-fields"
verdict = "refused"
shapes = []

[[bug]]
id = "LXC-11"
title = "old"
affected = "<=1.0.11"
source = "sheet"
needs = "a build of 1.0.11 given by path"
"#;

#[test]
fn a_bug_is_found_when_its_cell_is_broken_in_its_shape() {
    let bugs = KnownBugs::parse("known-bugs.toml", BUGS, "lxc-command").expect("the text is right");
    #[track_caller]
    fn check(bugs: &KnownBugs, lines: &str, expect: [Option<bool>; 3]) {
        let observed = observed(lines);
        let found: Vec<_> = bugs
            .iter()
            .flat_map(|bug| &bug.cells)
            .map(|cell| {
                let seen = observed.iter().find(|observed| observed.cell == cell.cell)?;
                let verdict = seen.verdict.filter(|verdict| *verdict != Verdict::Inconclusive)?;
                Some(cell.is_found(verdict, &seen.shapes))
            })
            .collect();
        assert_eq!(found, expect);
    }
    let (unknown, attach) =
        ("lxc-command/probe..4.0.6/probe/unknown", "lxc-command/5.0.2..4.0.6/client/attach");
    let fields = "lxc-command/probe..7.0.0/probe/unknown-fields";
    let (found, not_found, not_run) = (Some(true), Some(false), None);
    check(
        &bugs,
        &format!("{unknown} broken no-reply\n{attach} broken silent other wrong-effect\n{fields} refused"),
        [found; 3],
    );
    check(
        &bugs,
        &format!("{unknown} broken crash\n{attach} broken silent\n{fields} broken x"),
        [not_found; 3],
    );
    check(
        &bugs,
        &format!("{unknown} refused no-reply\n{attach} inconclusive"),
        [not_found, not_run, not_run],
    );
    check(&bugs, &format!("{unknown} -"), [not_run; 3]);
    assert_eq!(
        bugs.get("LXC-11").and_then(|bug| bug.needs.as_deref()),
        Some("a build of 1.0.11 given by path")
    );
}

/// A verdict alone would be found again by anything that leads to it; only a refusal is one whatever its shape.
#[test]
fn a_bug_has_shapes_to_be_found_by() {
    let read = |rest: &str| {
        let head = "protocol = \"lxc-command\"\n[[bug]]\nid = \"A-1\"\ntitle = \"t\"\naffected = \"<=4\"\nsource = \"s\"\n";
        let cells = "cells = [\"lxc-command/a..b/probe/x\"]\n";
        KnownBugs::parse("known-bugs.toml", &format!("{head}{rest}\n{cells}"), "lxc-command")
    };
    for rest in ["", "shapes = []", "verdict = \"degraded\"", "verdict = \"degraded\"\nshapes = []"] {
        let error = read(rest).expect_err("it has no shapes");
        assert!(error.brief().contains("the cell has no shapes to find"), "{}", error.brief());
    }
    for rest in
        ["shapes = [\"crash\"]", "verdict = \"refused\"", "verdict = \"degraded\"\nshapes = [\"spins\"]"]
    {
        assert!(read(rest).is_ok(), "{rest}");
    }
    let bugs = read("verdict = \"degraded\"\nshapes = [\"spins\"]").expect("it has shapes");
    let cell = &bugs.get("A-1").expect("it is listed").cells[0];
    let found = |shapes: &[&str]| {
        let shapes: Vec<_> = shapes.iter().map(|shape| (*shape).to_owned()).collect();
        cell.is_found(matrix::Verdict::Degraded, &shapes)
    };
    assert!(found(&["fell-back", "spins"]) && !found(&["fell-back"]) && !found(&[]));
}

#[test]
fn points_at_what_is_wrong_with_a_bug() {
    let refuse = |text: &str| rendered(KnownBugs::parse("known-bugs.toml", text, "lxc-command"));
    assert_snapshot!(refuse("protocol = \"lxc-command\"\n[[bug]]\nid = \"A\"\nafected = \"<=4\"\n"));
    let head = "protocol = \"lxc-command\"\n[[bug]]\nid = \"A-1\"\ntitle = \"t\"\naffected = \"<=4\"\nsource = \"s\"\n";
    assert_snapshot!(refuse(head));
    assert_snapshot!(refuse(&format!(
        "{head}cells = [\"lxc-command/probe..4.0.6/probe/*\", \"a..b/c\", \"p/a..b/probe/x\", \"lxc-command/a..b/probe/x\"]\n"
    )));
    assert_snapshot!(refuse(&format!("{head}cells = [\"p/a..b/probe/x\", \"lxc-command/a..b/probe/x\"]\n")));
    assert_snapshot!(refuse(&format!(
        "{head}needs = \"n\"\n[[bug]]\nid = \"A-1\"\ntitle = \"t\"\naffected = \"<=4\"\nsource = \"s\"\nneeds = \"n\"\n"
    )));
}
