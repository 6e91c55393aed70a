//! Shards of a run, and the whole that they make.

use crate::support::{Project, outcomes};

fn shard(project: &Project, shard: &str, folder: &str) {
    let args =
        ["run", "--matrix", "matrices/red.toml", "--seed", "7", "--partition", shard, "--results", folder];
    let ran = project.wireskew(&args);
    assert!(matches!(ran.code, Some(0 | 100)), "{}", ran.stderr);
}

#[test]
fn shards_together_are_the_whole() {
    let project = Project::new();
    shard(&project, "count:1/2", "one");
    shard(&project, "count:2/2", "two");
    let merged = project.wireskew(&["merge", "one/results.json", "two/results.json", "--out", "whole.json"]);
    assert_eq!(merged.code, Some(100), "the whole is as red as its parts: {}", merged.stderr);
    let whole = project.wireskew(&["run", "--matrix", "matrices/red.toml", "--seed", "7"]);
    assert_eq!(whole.code, Some(100));
    assert_eq!(outcomes(&project.json("whole.json")), outcomes(&project.results()));
    assert_eq!(project.json("whole.json")["tally"], project.results()["tally"]);
}

#[test]
fn a_missing_shard_is_an_unfinished_run() {
    let project = Project::new();
    shard(&project, "count:1/2", "one");
    let merged = project.wireskew(&["merge", "one/results.json", "--out", "whole.json"]);
    assert_eq!(merged.code, Some(106));
    assert!(merged.stderr.contains("count:2/2"), "it says which: {}", merged.stderr);
    assert!(!project.path("whole.json").exists());
}

/// More shards than cells are no reason for a smaller whole, and none for a selection of nothing.
#[test]
fn a_shard_without_cells_is_a_part_of_the_whole() {
    let project = Project::new();
    let run = |cell: &str, number: usize| {
        let (shard, folder) = (format!("hash:{number}/3"), format!("shard-{number}"));
        let args =
            ["run", "--matrix", "matrices/red.toml", "--partition", &shard, "--results", &folder, cell];
        project.wireskew(&args).code
    };
    let any = project.wireskew(&["list", "--matrix", "matrices/red.toml"]).stdout;
    let cell = any.lines().next().and_then(|line| line.split_whitespace().next()).expect("there are cells");
    let codes: Vec<_> = (1..=3).map(|number| run(cell, number)).collect();
    assert!(codes.iter().all(|code| matches!(code, Some(0 | 100))), "{codes:?}");
    let files = ["shard-1/results.json", "shard-2/results.json", "shard-3/results.json"];
    let merged = project.wireskew(&[&["merge", "--out", "whole.json"], &files[..]].concat());
    assert!(matches!(merged.code, Some(0 | 100)), "{}", merged.stderr);
    assert_eq!(outcomes(&project.json("whole.json")).len(), 1);
    assert_eq!(run("lxc-command/no..such/probe/cell", 1), Some(4));
}
