use matrix::Verdict;
use report::terminal::{Show, render, render_cell, summary_line};
use report::{Style, Text};
use unicode_width::UnicodeWidthStr;
use verdict::{CellResult, Outcome, RunResults};

use crate::sample;

const FILE: &str = "target/wireskew/results.json";
const SCREEN: Show<'_> = Show { grid: false, detail: false, known: false, file: FILE };
const GRID: Show<'_> = Show { grid: true, ..SCREEN };
const ALL: Show<'_> = Show { grid: true, detail: true, known: true, file: FILE };

fn style(width: usize) -> Style {
    Style::plain(width)
}

#[test]
fn shows_every_outcome_on_a_wide_terminal() {
    insta::assert_snapshot!("wide", render(&sample::every_outcome(), ALL, style(140)));
}

#[test]
fn shows_every_outcome_on_a_narrow_terminal() {
    insta::assert_snapshot!("narrow", render(&sample::every_outcome(), ALL, style(60)));
}

#[test]
fn a_plain_report_is_one_screen() {
    insta::assert_snapshot!("screen", render(&sample::every_outcome(), SCREEN, style(100)));
}

#[test]
fn grids_are_shown_when_asked_for() {
    let text = render(&sample::every_outcome(), GRID, style(120));
    let screen = render(&sample::every_outcome(), SCREEN, style(120));
    let more: Vec<_> = text.lines().filter(|line| !screen.contains(line)).collect();
    let kept = |line: &&str| text.contains(line) || line.starts_with("More: ");
    assert_eq!(screen.lines().find(|line| !kept(line)), None, "a grid is added and nothing is taken away");
    insta::assert_snapshot!("grid", more.join("\n"));
}

/// Each cell strikes out what its server cannot be, whoever the client is and whatever the case; versions are those of their cell.
#[test]
fn a_server_is_what_all_of_its_cells_leave() {
    #[track_caller]
    fn check(suspects: &[&[&str]], expect: &str) {
        let cases = ["client/info", "client/attach", "probe/crash", "probe/bad-text"];
        let cells = suspects.iter().zip(cases).map(|(names, case)| {
            let mut cell = sample::pass("7.0.0", "4.0.6", case);
            cell.suspects = names.iter().map(|name| (*name).to_owned()).collect();
            cell.negotiated = None;
            cell
        });
        let mut other = sample::pass("7.0.0", "5.0.2", "client/info");
        other.negotiated = Some("3".into());
        let tables = report::overview(&sample::results(cells.chain([other]).collect()));
        let columns: Vec<_> = tables.iter().flat_map(|table| &table.columns).map(Text::unpainted).collect();
        let server = format!("4.0.6 recorded{expect}");
        let expect = [server.as_str(), "5.0.2 recorded", server.as_str()];
        assert_eq!(columns, expect.get(..columns.len()).unwrap_or_default());
        let cells: Vec<_> = tables[0].rows.iter().flat_map(|(_, cells)| cells).map(Text::unpainted).collect();
        assert!(cells[0].ends_with("compatible"), "{cells:?}");
        assert!(cells[1].ends_with("compatible [3]"), "{cells:?}");
    }
    check(&[&[]], "");
    check(&[&["go-1.0"]], " [go-1.0]");
    check(&[&["go-1.0", "go-1.1", "rs-0.3"], &[], &["go-1.1", "rs-0.3"], &["go-1.0", "go-1.1"]], " [go-1.1]");
    check(&[&["a", "b", "c"], &["b", "c"]], " [b or c]");
    check(&[&["a", "b", "c", "d"]], " [a, b or 2 more]");
    check(&[&["a"], &["b"]], " [none that is known]");
}

#[test]
fn known_bugs_are_a_count_until_they_are_asked_for() {
    let results = sample::every_outcome();
    let count = "Broken as expected: 3 cells, 2 known bugs (`--known` lists them)\n";
    let screen = render(&results, SCREEN, style(140));
    assert!(screen.contains(count) && !screen.contains("GET_CONFIG_ITEM without payload"), "{screen}");
    let known = render(&results, Show { known: true, ..SCREEN }, style(140));
    assert!(!known.contains(count) && known.contains("LXC-01 GET_CONFIG_ITEM without payload"), "{known}");
}

#[test]
fn colours_say_what_the_words_say() {
    let style = Style { color: true, ..style(100) };
    let text = render(&sample::every_outcome(), SCREEN, style);
    insta::assert_snapshot!("colour", text.replace('\u{1b}', "ESC"));
}

#[test]
fn ascii_terminals_get_ascii() {
    let style = Style { unicode: false, ..style(100) };
    for results in [sample::every_outcome(), sample::hostile()] {
        let text = render(&results, ALL, style);
        assert_eq!(text.chars().find(|c| !c.is_ascii()), None);
    }
    insta::assert_snapshot!("ascii", render(&sample::every_outcome(), SCREEN, style));
}

#[test]
fn escapes_what_peers_choose() {
    let text = render(&sample::hostile(), ALL, style(120));
    assert_eq!(text.chars().find(|c| c.is_control() && *c != '\n'), None);
    assert_eq!(text.chars().find(|c| *c == '\u{202e}'), None);
    insta::assert_snapshot!("hostile", text);
}

/// The runner of GitHub Actions takes these from any line of a log:
/// actions/runner, `src/Runner.Common/ActionCommand.cs`, `TryParseV2` and `TryParse`.
#[test]
fn no_width_makes_a_command_for_ci_of_a_peers_text() {
    let mut results = sample::hostile();
    for cell in &mut results.cells {
        "a ::stop-commands::b ##[error]c".clone_into(&mut cell.summary);
    }
    for width in 40..160 {
        let text = render(&results, ALL, style(width));
        assert_eq!(
            text.lines().find(|l| l.trim_start().starts_with("::") || l.contains("##[")),
            None,
            "at {width}"
        );
    }
}

#[test]
fn incomplete_runs_say_so() {
    insta::assert_snapshot!("incomplete", render(&sample::incomplete(), ALL, style(100)));
}

#[test]
fn one_cell_can_be_shown_alone() {
    let results = sample::every_outcome();
    let cell = results.cells.iter().find(|c| !c.findings.is_empty()).expect("the sample has findings");
    insta::assert_snapshot!("cell", render_cell(&results, cell, style(100)));
}

#[test]
fn no_line_is_wider_than_the_terminal_but_dumps_commands_and_disarmed_ones() {
    for width in [40, 60, 80, 132, 400] {
        for results in [sample::every_outcome(), sample::hostile(), sample::incomplete()] {
            let text = render(&results, ALL, style(width));
            let wide = text.lines().filter(|l| l.width() > width);
            let wide: Vec<_> = wide
                .filter(|l| {
                    !l.contains("Reproduce with: ")
                        && !l.contains('|')
                        && !l.contains("^^")
                        && !l.contains(":\\u{3a}")
                })
                .collect();
            assert_eq!(wide, Vec::<&str>::new(), "at width {width}");
        }
    }
}

fn fail(protocol: &str, n: usize, shape: &str) -> CellResult {
    let mut cell =
        sample::cell("probe", "4.0.6", &format!("probe/p{n:03}"), Some(Verdict::Broken), Outcome::Fail);
    cell.cell = cell.cell.replace("lxc-command", protocol);
    if let Some(again) = &mut cell.reproduction {
        again.command = again.command.replace("lxc-command", protocol);
    }
    protocol.clone_into(&mut cell.protocol);
    cell.shapes = vec![shape.to_owned()];
    cell.findings = vec![sample::finding()];
    cell
}

/// 400 red cells of 12 kinds: each kind is seen, the worst ones whole, and nothing scrolls away.
#[test]
fn hundreds_of_red_cells_stay_readable() {
    let shapes = ["hang", "crash", "no-reply", "silent-wrong", "not-drained", "desync"];
    let cells = (0..400).map(|n| {
        let shape = if n < 200 { "hang" } else { shapes[n % shapes.len()] };
        fail(if n % 10 == 0 { "qemu-ga" } else { "lxc-command" }, n, shape)
    });
    let mut results = sample::results(cells.collect());
    results.complaints = (0..40).map(|n| format!("expectations.toml:{n}: rule matched no cell")).collect();
    let text = render(&results, SCREEN, style(100));
    assert!(text.lines().count() < 120, "{} lines", text.lines().count());
    assert_eq!(text.matches("verdict     broken, not expected").count(), 2);
    insta::assert_snapshot!("many", text);
    let text = render(&results, ALL, style(100));
    assert_eq!(text.matches("verdict     broken, not expected").count(), 20);
    assert_eq!(text.matches("Reproduce with: ").count(), 400);
    assert!(
        text.contains("380 more unexpected cells, one line each (the first 20 of 400 are above"),
        "{text}"
    );
    assert_eq!(text.matches("rule matched no cell").count(), 40);
}

#[test]
fn the_counts_of_red_cells_add_up() {
    for n in 1..30 {
        let cells = (0..n).map(|at| fail("lxc-command", at, if at % 7 == 0 { "hang" } else { "crash" }));
        let text = render(&sample::results(cells.collect()), SCREEN, style(200));
        let whole = text.matches("verdict     broken").count();
        let lines = text.matches("    Reproduce with: ").count();
        let told = format!(
            "{} of {n} are shown;",
            if whole + lines == 1 { "1 cell".into() } else { format!("{} cells", whole + lines) }
        );
        assert_eq!(text.contains(&told), whole + lines < n, "{n}: {whole} whole, {lines} lines\n{text}");
    }
}

#[test]
fn reasons_that_differ_in_a_version_are_told_once() {
    let mut cells = Vec::new();
    for (n, version) in ["7.0.0", "7.0.0", "9.0.0", "11.3.0"].iter().enumerate() {
        let mut cell = sample::cell(version, "4.0.6", &format!("client/c{n}"), None, Outcome::Skipped);
        cell.reason = Some(format!("virsh {version} has no such `net-desc`; it came with 12.5.0"));
        cells.push(cell);
    }
    let results = sample::results(cells);
    let text = render(&results, SCREEN, style(140));
    let told = "  - 4: virsh 7.0.0 has no such `net-desc`; it came with 12.5.0 (and 2 reasons like it)\n";
    assert!(text.contains(told), "{text}");
    let text = render(&results, ALL, style(140));
    assert_eq!(text.matches("has no such `net-desc`").count(), 3, "{text}");
}

#[test]
fn a_line_tells_how_each_protocol_did() {
    let mut cells = sample::every_outcome().cells;
    cells.push(fail("qemu-ga", 1, "hang"));
    let results = sample::results(cells);
    for width in [120, 100, 40] {
        let text = render(&results, SCREEN, style(width));
        let lines = text.lines().skip(2).take_while(|line| !line.starts_with("Not run"));
        insta::assert_snapshot!(format!("protocols_{width}"), lines.collect::<Vec<_>>().join("\n").trim());
    }
}

#[test]
fn servers_with_equal_answers_share_a_column() {
    let text = render(&sample::every_outcome(), ALL, style(140));
    assert!(!text.contains("5.0.2, 7.0.0"), "they differ in probe/crash");
    let unknown = |c: &verdict::CellResult| c.case == "probe/unknown-payload-16";
    let cells = sample::every_outcome().cells.into_iter().filter(unknown).collect();
    let text = render(&sample::results(cells), ALL, style(140));
    assert!(text.contains("5.0.2, 7.0.0"), "{text}");
}

#[track_caller]
fn check_summary(change: impl FnOnce(&mut RunResults), expect: &str) {
    let mut results = sample::results(vec![sample::pass("4.0.6", "4.0.6", "client/info")]);
    results.complaints.clear();
    change(&mut results);
    assert_eq!(summary_line(&results).unpainted(), expect);
}

#[test]
fn the_last_line_accounts_for_every_cell() {
    check_summary(|_| {}, "Summary [1.84s] 1 planned = 1 executed + 0 explained: 1 pass; as expected");
    check_summary(
        |r| r.complete = false,
        "Summary [1.84s] 1 planned = 1 executed + 0 explained: 1 pass; NOT as expected: incomplete",
    );
    check_summary(
        |r| r.tally.planned = 2,
        "Summary [1.84s] 2 planned ≠ 1 executed + 0 explained: 1 pass; NOT as expected: cells unaccounted for",
    );
    check_summary(
        |r| r.complaints = vec!["x".into()],
        "Summary [1.84s] 1 planned = 1 executed + 0 explained: 1 pass; NOT as expected: 1 complaint",
    );
    check_summary(
        |r| *r = RunResults { complaints: Vec::new(), duration_ms: 125_000, ..sample::results(Vec::new()) },
        "Summary [2m 05s] 0 planned = 0 executed + 0 explained: no cells; NOT as expected: nothing ran",
    );
    check_summary(
        |r| {
            let partition = Some("hash:1/9".to_owned());
            *r = RunResults { complaints: Vec::new(), partition, ..sample::results(Vec::new()) };
        },
        "Summary [1.84s] 0 planned = 0 executed + 0 explained: no cells; as expected",
    );
}

#[test]
fn what_did_not_run_is_never_green() {
    const GREEN: &str = "\u{1b}[32m";
    let style = Style { color: true, ..style(200) };
    for outcome in [Outcome::Skipped, Outcome::MissingBuild, Outcome::HarnessError, Outcome::Pass] {
        let results = sample::results(vec![sample::cell("probe", "4.0.6", "probe/x", None, outcome)]);
        let text = render(&results, SCREEN, style);
        let green: Vec<_> = text.lines().filter(|line| line.contains(GREEN)).collect();
        assert_eq!(green, Vec::<&str>::new(), "{outcome:?}");
    }
}

/// The shape of the default matrix: reference peers among themselves, recorded builds among themselves, recorded
/// clients played again to reference servers, probes against all.
#[test]
fn builds_that_never_meet_do_not_share_a_table() {
    let mut cells = Vec::new();
    let (real, reference) = (["4.0.6", "7.0.0"], ["ideal", "ref-4.0.6"]);
    for side in [real, reference] {
        for client in side {
            cells.extend(side.iter().map(|server| sample::pass(client, server, "client/info")));
            cells.push(sample::pass("probe", client, "probe/unknown"));
        }
    }
    cells.extend(real.iter().map(|client| sample::pass(client, "ideal", "replay/info")));
    let mut results = sample::results(cells);
    results.builds.extend(reference.iter().map(|id| sample::build(id, "reference")));
    results.complaints.clear();
    let text = render(&results, GRID, style(120));
    let places = text.lines().filter(|line| !line.contains("not planned"));
    assert_eq!(
        places.filter(|line| line.contains("  ·")).count(),
        0,
        "a place where nothing was planned:\n{text}"
    );
    insta::assert_snapshot!("blocks", text);
}
