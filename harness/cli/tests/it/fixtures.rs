//! Fixtures: judged, shown, replayed; and damaged ones, which make a run red and do not end it.

use crate::support::{FIXTURE, Project, outcomes};

const RECORDED: [&str; 3] = ["run", "--matrix", "matrices/recorded.toml"];

#[test]
fn a_recording_is_judged_and_replayed() {
    let project = Project::with_fixture();
    let ran = project.wireskew(&RECORDED);
    assert_eq!(ran.code, Some(0), "{}{}", ran.stdout, ran.stderr);
    let expect = [
        ("lxc-command/probe..kept/probe/unknown-payload-16".to_owned(), "xfail".to_owned()),
        ("lxc-command/probe..old/replay/probe.unknown-payload-16@kept".to_owned(), "pass".to_owned()),
    ];
    assert_eq!(outcomes(&project.results()), expect);
}

#[test]
fn a_fixture_that_is_not_there_is_a_missing_build() {
    let project = Project::new();
    let ran = project.wireskew(&RECORDED);
    assert_eq!(ran.code, Some(101), "{}", ran.stderr);
    let results = project.results();
    assert_eq!(results["cells"][0]["outcome"], "missing-build");
    let reason = results["cells"][0]["reason"].as_str().unwrap_or_default();
    assert!(reason.starts_with("not recorded"), "{reason}");
}

/// What is said of a file that can be read, and belongs elsewhere: that is no damage, but something is not there.
const OTHER: &str = "is not a recording";

/// The run goes on with the other cells, is red, and says which file.
#[track_caller]
fn check_damaged(damage: impl FnOnce(&str) -> String, says: &str) {
    let project = Project::with_fixture();
    let name = "fixtures/lxc-command/probe..kept/damaged.wire";
    project.write(name, &damage(&project.read(FIXTURE)));
    let ran = project.wireskew(&RECORDED);
    let code = if says == OTHER { 101 } else { 100 };
    assert_eq!(ran.code, Some(code), "{}{}", ran.stdout, ran.stderr);
    let results = project.results();
    assert_eq!(outcomes(&results).len(), 3, "the others ran");
    let damaged = results["cells"].as_array().and_then(|cells| {
        cells
            .iter()
            .find(|cell| cell["case"].as_str().is_some_and(|case| case.starts_with("replay/probe.damaged@")))
    });
    let reason = damaged.and_then(|cell| cell["reason"].as_str()).unwrap_or_default();
    assert!(reason.contains(name) && reason.contains(says), "{reason}");
    let shown = project.wireskew(&["show", name]);
    if says != OTHER {
        assert_eq!(shown.code, Some(96));
        assert!(shown.stderr.contains("damaged.wire"), "{}", shown.stderr);
    }
}

#[test]
fn damaged_fixtures_make_a_run_red() {
    check_damaged(|text| text[..text.len() / 2].to_owned(), "");
    check_damaged(|text| text.split("# end").next().unwrap_or_default().to_owned(), "end");
    check_damaged(|text| text.replacen("wireskew-wire 1", "wireskew-wire 2", 1), "written by");
    check_damaged(|text| text.replacen("\nO ", "\nX ", 1), "");
    check_damaged(|_| String::new(), "");
    check_damaged(str::to_owned, OTHER);
}

#[test]
fn a_fixture_of_a_stranger_makes_a_run_red() {
    let project = Project::with_fixture();
    let text = project.read(FIXTURE);
    project.write(FIXTURE, &text.replace("id = \"kept\"", "id = \"elsewhere\""));
    let ran = project.wireskew(&RECORDED);
    assert_eq!(ran.code, Some(101), "{}{}", ran.stdout, ran.stderr);
    assert!(ran.stdout.contains("its header says `"), "{}", ran.stdout);
}

/// What is cut at the end of an event, end line and all, is well-formed. It is not green.
#[test]
fn a_fixture_without_its_end_proves_nothing() {
    let project = Project::with_fixture();
    let good = project.read(FIXTURE);
    let head = good.split("\n\n").next().expect("front matter ends with an empty line");
    project.write(FIXTURE, &format!("{head}\n\n# end events=0 bytes=0\n"));
    let ran = project.wireskew(&RECORDED);
    assert_eq!(ran.code, Some(100), "{}{}", ran.stdout, ran.stderr);
    let expect = [
        ("lxc-command/probe..kept/probe/unknown-payload-16".to_owned(), "missing-build".to_owned()),
        (
            "lxc-command/probe..old/replay/probe.unknown-payload-16@kept".to_owned(),
            "harness-error".to_owned(),
        ),
    ];
    assert_eq!(outcomes(&project.results()), expect);
}

#[test]
fn replay_plays_a_fixture_to_a_server() {
    let project = Project::with_fixture();
    let matrix = ["--matrix", "matrices/recorded.toml"];
    let ran = project.wireskew(&[&["replay", FIXTURE, "--server", "old"], &matrix[..]].concat());
    assert_eq!(ran.code, Some(0), "{}{}", ran.stdout, ran.stderr);
    let ran = project.wireskew(&[&["replay", FIXTURE, "--server", "none"], &matrix[..]].concat());
    assert_eq!(ran.code, Some(4), "{}{}", ran.stdout, ran.stderr);
}

/// Times, pids and the descriptors that happen to be open differ from run to run.
fn redacted(text: &str) -> String {
    let mut out = String::new();
    for line in text.lines() {
        let line = match line.get(..12).filter(|time| time.trim().parse::<f64>().is_ok()) {
            Some(_) => format!("    0.000000{}", &line[12..]),
            None => line.to_owned(),
        };
        let pid = line.trim().strip_prefix("data = ").and_then(|data| data.parse::<u32>().ok());
        let counted = line.find("seen: fds = ");
        match (pid.filter(|pid| *pid > 9), counted) {
            (Some(_), _) => out.push_str("                data = [pid]"),
            (None, Some(at)) => out.push_str(&format!("{}seen: fds = [count]", &line[..at])),
            (None, None) => out.push_str(&line),
        }
        out.push('\n');
    }
    out
}

#[test]
fn shows_a_fixture_decoded() {
    let project = Project::with_fixture();
    let ran = project.wireskew(&["show", FIXTURE]);
    assert_eq!(ran.code, Some(0));
    insta::assert_snapshot!(redacted(&ran.stdout));
    let canonical = project.wireskew(&["show", FIXTURE, "--canonical"]);
    assert_eq!(canonical.stdout, project.read(FIXTURE), "what is saved is canonical");
    let ran = project.wireskew(&["show", FIXTURE, "--pcapng", "out.pcapng"]);
    assert_eq!(ran.code, Some(0));
    let bytes = std::fs::read(project.path("out.pcapng")).expect("it was written");
    assert_eq!(bytes.get(..4), Some(&[0x0a, 0x0d, 0x0d, 0x0a][..]), "a section header block");
}

/// Marks and bytes are compared with the probe: evidence cannot be explained away by hand.
#[test]
fn a_fixture_that_is_no_recording_of_its_case_is_not_taken_for_one() {
    #[track_caller]
    fn check(from: &str, to: &str) {
        let project = Project::with_fixture();
        let good = project.read(FIXTURE);
        assert!(good.contains(from), "`{from}` is in the fixture");
        project.write(FIXTURE, &good.replacen(from, to, 1));
        let ran = project.wireskew(&RECORDED);
        assert_ne!(ran.code, Some(0), "{from} -> {to}: {}", ran.stdout);
        let first = &project.results()["cells"][0];
        assert_eq!(first["outcome"], "missing-build", "{first}");
        let reason = first["reason"].as_str().unwrap_or_default().to_owned();
        assert!(reason.contains("is not a recording of this case"), "{reason}");
    }
    check("mark subject expect=not-supported", "mark subject expect=survive");
    check("mark canary", "mark quiet");
    check("000000 c8 00 00 00", "000000 c9 00 00 00");
}

/// The id of a build is the name of a folder.
#[test]
fn import_leads_out_of_no_folder() {
    let project = Project::new();
    let recording = r#"{"format":"raw-recording/1","protocol":"lxc-command","client":{"name":"probe","version":"probe"},"server":{"name":"lxc","version":"VERSION"},"recorded":"2026-11-29","transport":"unix-stream","scenario":"unknown","note":"made by hand"}
{"t_ms":0.0,"event":"connect","dir":"c2s"}
"#;
    project.write("good.jsonl", &recording.replace("VERSION", "5.0.2"));
    project.write("bad.jsonl", &recording.replace("VERSION", "x/../../../evil"));
    let import = |file: &str| {
        project.wireskew(&["import", file, "--case", "probe/unknown-payload-0", "--out", "a/b/c"])
    };
    let ran = import("good.jsonl");
    assert_eq!(
        (ran.code, &*ran.stdout),
        (Some(0), "a/b/c/probe..5.0.2/unknown-payload-0.wire\n"),
        "{}",
        ran.stderr
    );
    let ran = import("bad.jsonl");
    assert_eq!(ran.code, Some(96), "{}", ran.stdout);
    assert!(ran.stderr.contains("cannot be the id of a build"), "{}", ran.stderr);
}
