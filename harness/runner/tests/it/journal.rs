//! Journals: what a run that was cut short leaves behind, and what can be made of it.

use std::path::PathBuf;

use runner::Journal;
use verdict::CellResult;

use crate::support::{Files, With, outcomes, run};

const CELLS: [&str; 3] = [
    "lxc-command/probe..ideal/probe/two-in-one-write",
    "lxc-command/probe..ideal/probe/unknown-payload-0",
    "lxc-command/probe..ideal/probe/unknown-payload-16",
];

fn names() -> Vec<String> {
    CELLS.iter().map(|cell| (*cell).to_owned()).collect()
}

/// A journal of two finished cells.
async fn written(files: &Files) -> (PathBuf, Vec<CellResult>) {
    let path = files.path().join("journal.jsonl");
    let (results, _) = run(files.project(), "probes", With::default()).await;
    let mut journal = Journal::create(&path, "m", 7, &names(), "").expect("it can be written");
    for cell in &results.cells[..2] {
        journal.add([cell]).expect("it can be written");
    }
    (path, results.cells)
}

#[tokio::test]
async fn a_resumed_run_does_only_what_is_left() {
    let files = Files::new();
    let (path, cells) = written(&files).await;
    assert_eq!(Journal::seed(&path).expect("a header"), 7);
    let (journal, done) = Journal::resume(&path, "m", 7, &names(), "").expect("it is of this plan");
    assert_eq!(done.values().collect::<Vec<_>>(), cells[..2].iter().collect::<Vec<_>>());
    let with = With { journal: Some(journal), done, ..With::default() };
    let (results, finished) = run(files.project(), "probes", with).await;
    assert_eq!(finished, [CELLS[2]]);
    assert!(results.complete);
    assert_eq!(outcomes(&results), ["pass"; 3]);
    let (_, done) = Journal::resume(&path, "m", 7, &names(), "").expect("it was gone on with");
    assert_eq!(done.len(), 3);
}

#[tokio::test]
async fn a_last_line_that_was_cut_is_passed_over_and_overwritten() {
    let files = Files::new();
    let (path, cells) = written(&files).await;
    let whole = std::fs::read(&path).expect("it is there");
    let second = whole.iter().rposition(|byte| *byte == b'{').expect("a line");
    for cut in [whole.len() - 1, whole.len() - 2, second + 1] {
        std::fs::write(&path, &whole[..cut]).expect("it can be written");
        let (mut journal, done) = Journal::resume(&path, "m", 7, &names(), "").expect("the rest can be read");
        assert_eq!(done.len(), 1, "cut at {cut}");
        journal.add([&cells[1]]).expect("it can be written");
        drop(journal);
        let (_, done) = Journal::resume(&path, "m", 7, &names(), "").expect("no line was glued to another");
        assert_eq!(done.len(), 2, "cut at {cut}");
    }
}

#[tokio::test]
async fn journals_of_other_runs_and_damaged_ones_are_refused() {
    let files = Files::new();
    let (path, _) = written(&files).await;
    let whole = std::fs::read_to_string(&path).expect("it is there");
    let refused = |text: &str, matrix: &str, seed: u64, cells: &[String]| {
        std::fs::write(&path, text).expect("it can be written");
        Journal::resume(&path, matrix, seed, cells, "")
            .err()
            .map(|error| error.to_string())
            .unwrap_or_default()
    };
    for (matrix, seed, cells) in [("n", 7, names()), ("m", 8, names()), ("m", 7, names()[..2].to_vec())] {
        let said = refused(&whole, matrix, seed, &cells);
        assert!(said.contains("of another plan"), "{said}");
    }
    let damaged = whole.replacen("\"cell\"", "\"cel", 1);
    assert!(refused(&damaged, "m", 7, &names()).contains("line 2 is damaged"));
    assert!(refused("", "m", 7, &names()).contains("line 1 is damaged"));
    assert!(refused(&whole.replacen("{", "[", 1), "m", 7, &names()).contains("line 1 is damaged"));
    std::fs::remove_file(&path).expect("it is there");
    assert!(Journal::resume(&path, "m", 7, &names(), "").is_err());
}
