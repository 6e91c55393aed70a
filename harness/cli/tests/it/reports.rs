//! What a run prints, in each form, and what is read back from it.

use crate::support::{Project, outcomes};

/// A run with one failure.
fn red(project: &Project) -> String {
    let ran = project.wireskew(&["run", "--matrix", "matrices/red.toml", "--seed", "7"]);
    assert_eq!(ran.code, Some(100));
    ran.stdout
}

#[test]
fn a_failure_says_how_to_see_it_again_and_that_line_works() {
    let project = Project::new();
    let text = red(&project);
    let cell = "lxc-command/probe..old/probe/unknown-payload-0";
    let line = format!("cargo run --release -- repro '{cell}' --matrix matrices/red.toml --seed 7");
    assert!(text.contains(&line), "{text}");
    let words: Vec<&str> = line.split(" -- ").nth(1).unwrap_or_default().split(' ').collect();
    let words: Vec<String> = words.iter().map(|word| word.trim_matches('\'').to_owned()).collect();
    let again = project.wireskew(&words.iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!(again.code, Some(100));
    assert!(again.stdout.contains("no-reply") && again.stdout.contains("Transcript"), "{}", again.stdout);
}

#[track_caller]
fn check(format: &str, begins: &str, holds: &[&str]) {
    let project = Project::new();
    let ran = project.wireskew(&["run", "--matrix", "matrices/red.toml", "--output", format, "--seed", "7"]);
    assert_eq!(ran.code, Some(100), "{}", ran.stderr);
    assert!(ran.stdout.starts_with(begins), "{format}: {}", ran.stdout);
    for part in holds {
        assert!(ran.stdout.contains(part), "{format} lacks `{part}`: {}", ran.stdout);
    }
    // The same from the file.
    let report = project.wireskew(&["report", "target/wireskew/results.json", "--output", format]);
    let same = |text: &str| {
        text.lines().filter(|line| !line.contains("duration")).map(str::to_owned).collect::<Vec<_>>()
    };
    // Transcripts are named after the run, in the file and in what was printed alike.
    assert_eq!(same(&report.stdout), same(&ran.stdout), "{format}");
}

#[test]
fn prints_every_form_and_the_same_again_from_results() {
    check("json", "{", &["\"shapes\": [", "no-reply"]);
    check("junit", "<?xml", &["<testsuites", "unknown-payload-0"]);
    check("markdown", "#", &["unknown-payload-0", "no-reply"]);
    check("html", "<!DOCTYPE html>", &["unknown-payload-0", "no-reply"]);
    check("github", "::", &["unknown-payload-0"]);
}

/// One screen, and what was left out of it from the file that the run wrote.
#[test]
fn a_run_prints_one_screen_and_the_rest_when_asked() {
    let project = Project::new();
    let screen = red(&project);
    assert!(screen.lines().count() < 50, "{screen}");
    assert!(
        screen.contains("\nBroken as expected: 1 cell, 1 known bug (`--known` lists them)\n"),
        "{screen}"
    );
    let more = "More: `wireskew report target/wireskew/results.json` with `--grid`, `--known` or `--detail`";
    assert!(screen.contains(more), "{screen}");
    let report = |flags: &[&str]| {
        let ran = project.wireskew(&[&["report", "target/wireskew/results.json"], flags].concat());
        assert_eq!(ran.code, Some(100));
        ran.stdout
    };
    assert_eq!(report(&[]), screen);
    let cases = [
        ("--grid", "client \\ server"),
        ("--known", "unknown commands are closed without an answer"),
        ("--detail", "probe \\ server"),
    ];
    for (flag, shows) in cases {
        assert!(!screen.contains(shows), "{flag} adds nothing:\n{screen}");
        let text = report(&[flag]);
        assert!(text.contains(shows) && !text.contains(more), "{flag}:\n{text}");
    }
}

#[test]
fn lists_what_run_runs() {
    let project = Project::new();
    let listed = project.wireskew(&["list"]).stdout;
    assert_eq!(project.wireskew(&["run"]).code, Some(0));
    let listed: Vec<_> = listed.lines().filter_map(|line| line.split('\t').next()).collect();
    let ran = outcomes(&project.results());
    let ran: Vec<_> = ran.iter().map(|(cell, _)| cell.as_str()).collect();
    assert_eq!(listed, ran);
    assert_eq!(listed.len(), 9);
}

#[test]
fn selects_by_path_by_file_and_by_expression() {
    let project = Project::new();
    project.write("cells.txt", "**/two-in-one-write\n**/client/*\n");
    let cases: [(&[&str], usize); 6] = [
        (&["**/probe/**"], 7),
        (&["**/probe/**", "!**/unknown-*"], 2),
        (&["@cells.txt"], 3),
        (&["-E", "case(client/*)"], 2),
        (&["-E", "client(ideal) & case(client/info)"], 1),
        (&["**/probe/**", "-E", "case(probe/header-*)"], 1),
    ];
    for (args, count) in cases {
        let ran = project.wireskew(&[&["list"], args].concat());
        assert_eq!(ran.stdout.lines().count(), count, "{args:?}: {}{}", ran.stdout, ran.stderr);
    }
}

#[test]
fn a_gate_is_red_only_for_what_became_worse() {
    let project = Project::new();
    red(&project);
    std::fs::copy(project.path("target/wireskew/results.json"), project.path("before.json")).expect("copies");
    let after = "target/wireskew/results.json";
    assert_eq!(project.wireskew(&["gate", "before.json", after]).code, Some(0), "known failures stay green");
    let better =
        project.read("before.json").replace("\"fail\"", "\"pass\"").replace("\"broken\"", "\"compatible\"");
    project.write("better.json", &better);
    assert_eq!(project.wireskew(&["gate", "better.json", after]).code, Some(100));
    let diff = project.wireskew(&["diff", "better.json", after]);
    assert_eq!(diff.code, Some(0), "a diff tells, it does not judge");
    assert!(diff.stdout.contains("unknown-payload-0"), "{}", diff.stdout);
    assert_eq!(project.wireskew(&["gate", after, "better.json"]).code, Some(0), "better is not worse");
}

#[test]
fn expect_update_makes_a_red_run_green() {
    let project = Project::new();
    red(&project);
    let args = ["expect", "update", "--reason", "known", "--bug", "https://example.org/bug/2"];
    let ran = project.wireskew(&args);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert!(project.read("matrices/lxc-command/expectations.toml").contains("https://example.org/bug/2"));
    assert_eq!(project.wireskew(&["run", "--matrix", "matrices/red.toml"]).code, Some(0));
}

/// `wireskew … | head -1`: the reader goes away in the middle.
#[test]
fn a_reader_that_goes_away_is_no_fault() {
    let project = Project::new();
    for args in [&["list", "--what", "cases"][..], &["completions", "zsh"], &["run", "--output", "html"]] {
        let mut child = project.start(args);
        drop(child.stdout.take());
        let ran = crate::support::finish(child);
        assert!(!ran.stderr.contains("panicked"), "{args:?}: {}", ran.stderr);
        assert_eq!(ran.code, Some(0), "{args:?}: {}", ran.stderr);
    }
}
