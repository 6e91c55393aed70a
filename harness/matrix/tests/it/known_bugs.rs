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
