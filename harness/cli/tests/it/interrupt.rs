//! Ctrl-C, going on afterwards, and two runs in one folder.

use std::time::{Duration, Instant};

use rustix::fs::{CWD, FileType, Mode};
use rustix::process::Signal;

use crate::support::{FIXTURE, Project, Ran, eventually, finish, outcomes, signal};

/// What an interrupted run may take to end. A second is the promise; the rest is for a machine that is busy.
const END: Duration = Duration::from_secs(5);

/// A run takes a moment, and may be over before it is interrupted: then it is tried again.
const TRIES: usize = 50;

/// Starts a run and interrupts it when its first cell is done.
fn interrupted(project: &Project, args: &[&str]) -> Ran {
    let journal = project.path("target/wireskew/journal.jsonl");
    // What an earlier try left is not taken for this one's.
    let _ = std::fs::remove_file(&journal);
    let child = project.start(args);
    eventually("the first cell is done", || {
        std::fs::read_to_string(&journal).is_ok_and(|text| text.matches('\n').count() >= 2)
    });
    let asked = Instant::now();
    signal(child.id(), Signal::INT);
    let ran = finish(child);
    assert!(asked.elapsed() < END, "{:?}", asked.elapsed());
    ran
}

#[test]
fn an_interrupted_run_says_so_and_can_be_resumed() {
    let project = Project::new();
    let many = ["run", "--seed", "7", "--jobs", "1", "--matrix", "matrices/many.toml"];
    let ran = (0..TRIES).map(|_| interrupted(&project, &many)).find(|ran| ran.code != Some(0));
    let ran = ran.expect("it is interrupted before it is done");
    assert_eq!(ran.code, Some(106), "{}{}", ran.stdout, ran.stderr);
    let cut = project.results();
    assert_eq!(cut["complete"], false);
    let all = outcomes(&cut);
    let done = all.iter().filter(|(_, outcome)| outcome != "skipped").count();
    assert!((1..all.len()).contains(&done), "{done} cells of {}", all.len());

    let ran = project.wireskew(&["run", "--resume", "--matrix", "matrices/many.toml"]);
    assert_eq!(ran.code, Some(0), "{}{}", ran.stdout, ran.stderr);
    assert!(ran.stderr.contains(&format!("{done} cells are taken from the journal")), "{}", ran.stderr);
    let resumed = project.results();
    assert_eq!(resumed["seed"], 7, "it goes on with the seed that it began with");
    assert_eq!(project.wireskew(&many).code, Some(0));
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

/// Also where it is as long and as old as before; and one that was only written again is no other one.
#[test]
fn a_run_of_other_fixtures_cannot_be_resumed() {
    let project = Project::with_fixture();
    let run = ["run", "--matrix", "matrices/recorded.toml"];
    assert!(matches!(project.wireskew(&run).code, Some(0 | 101)));
    let again = [&run[..], &["--resume"]].concat();
    let modified = || {
        let file = std::fs::metadata(project.path(FIXTURE)).expect("the fixture is there");
        file.modified().expect("files have times")
    };
    let (text, before) = (project.read(FIXTURE), modified());
    std::fs::remove_file(project.path(FIXTURE)).expect("it was just read");
    project.write(FIXTURE, &text);
    assert_ne!(project.wireskew(&again).code, Some(96), "it is the same text");
    let changed = text.replacen("mark canary", "mark quiets", 1);
    assert!(changed != text && changed.len() == text.len());
    project.write(FIXTURE, &changed);
    let file = std::fs::File::options().write(true).open(project.path(FIXTURE)).expect("it was just written");
    file.set_modified(before).expect("times can be set");
    assert_eq!(modified(), before);
    let ran = project.wireskew(&again);
    assert_eq!(ran.code, Some(96), "{}{}", ran.stdout, ran.stderr);
    assert!(ran.stderr.contains("of another plan"), "{}", ran.stderr);
}

/// Starts a run whose last report nobody reads yet; `None` where it was done before that could be arranged.
fn held_at_its_last_report(project: &Project) -> Option<std::process::Child> {
    let (journal, report) =
        (project.path("target/wireskew/journal.jsonl"), project.path("target/wireskew/report.md"));
    let _ = std::fs::remove_file(&journal);
    let child = project.start(&["run", "--matrix", "matrices/many.toml"]);
    // What an earlier run left has been taken away when there is a journal.
    eventually("the run begins", || journal.is_file());
    if rustix::fs::mknodat(CWD, &report, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).is_ok() {
        return Some(child);
    }
    finish(child);
    None
}

#[test]
fn a_folder_belongs_to_a_run_until_its_last_report_is_there() {
    let project = Project::new();
    let held = (0..TRIES).find_map(|_| held_at_its_last_report(&project));
    let held = held.expect("it is met before it is done");
    eventually("the reports before it are there", || project.path("target/wireskew/junit.xml").is_file());
    let second = project.wireskew(&["run"]);
    assert_eq!(second.code, Some(96), "{}{}", second.stdout, second.stderr);
    assert!(second.stderr.contains("another run writes to"), "{}", second.stderr);
    let report = project.read("target/wireskew/report.md");
    assert!(report.contains("many.toml"), "{report}");
    assert_eq!(finish(held).code, Some(0));
    assert_eq!(project.wireskew(&["run"]).code, Some(0), "now it is free");
}
