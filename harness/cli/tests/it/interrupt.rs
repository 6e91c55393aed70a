//! Ctrl-C, and going on afterwards.

use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::support::{Project, eventually, finish, outcomes, signal};

/// What an interrupted run may take to end. A second is the promise; the rest is for a machine that is busy.
const END: Duration = Duration::from_secs(5);

#[test]
fn an_interrupted_run_says_so_and_can_be_resumed() {
    let project = Project::new();
    // Quiet is waited for a thousand times as long: most cells would take longer than this test may.
    let slow = ["run", "--seed", "7", "--jobs", "16", "--deadline-scale", "1000"];
    let child = project.start(&slow);
    let journal = project.path("target/wireskew/journal.jsonl");
    eventually("the first cell is done", || {
        std::fs::read_to_string(&journal).is_ok_and(|text| text.matches('\n').count() >= 2)
    });
    let asked = Instant::now();
    signal(child.id(), Signal::INT);
    let ran = finish(child);
    assert_eq!(ran.code, Some(106), "{}{}", ran.stdout, ran.stderr);
    assert!(asked.elapsed() < END, "{:?}", asked.elapsed());
    let cut = project.results();
    assert_eq!(cut["complete"], false);
    let done = outcomes(&cut).iter().filter(|(_, outcome)| outcome != "skipped").count();
    assert!((1..9).contains(&done), "{done} cells");

    let ran = project.wireskew(&["run", "--resume"]);
    assert_eq!(ran.code, Some(0), "{}{}", ran.stdout, ran.stderr);
    assert!(ran.stderr.contains(&format!("{done} cells are taken from the journal")), "{}", ran.stderr);
    let resumed = project.results();
    assert_eq!(resumed["seed"], 7, "it goes on with the seed that it began with");
    assert_eq!(project.wireskew(&["run", "--seed", "7"]).code, Some(0));
    assert_eq!(outcomes(&resumed), outcomes(&project.results()));
    assert_eq!(resumed["tally"], project.results()["tally"]);
}

#[test]
fn a_run_of_other_cells_cannot_be_resumed() {
    let project = Project::new();
    assert_eq!(project.wireskew(&["run", "**/client/*"]).code, Some(0));
    let ran = project.wireskew(&["run", "--resume"]);
    assert_eq!(ran.code, Some(96));
    assert!(ran.stderr.contains("of another plan"), "{}", ran.stderr);
}
