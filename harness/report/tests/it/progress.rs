use std::io::Write;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use indicatif::{InMemoryTerm, ProgressDrawTarget};
use report::{Progress, Style};
use verdict::{Outcome, Verdict};

use crate::sample;

/// A writer whose content can be read while it is in use.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, buf: &[u8]) -> std::io::Result<usize> {
        self.0.lock().expect("no writer panicked").write(buf)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Log {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().expect("no writer panicked").clone()).expect("lines are text")
    }
}

fn fail(n: usize) -> verdict::CellResult {
    let mut cell =
        sample::cell("probe", "4.0.6", &format!("probe/{n:02}"), Some(Verdict::Broken), Outcome::Fail);
    "EOF\u{1b}[2J".clone_into(&mut cell.summary);
    cell
}

#[test]
fn lines_tell_each_tenth_and_what_is_unexpected() {
    let log = Log::default();
    let mut progress = Progress::lines(log.clone(), Style::plain(80));
    progress.start(20);
    for n in 0..20 {
        let cell = if n == 4 { fail(n) } else { sample::pass("4.0.6", "4.0.6", "client/info") };
        progress.cell_finished(&cell);
    }
    progress.message("wrote results\u{7}.json");
    progress.finish();
    insta::assert_snapshot!("progress_lines", log.text());
}

#[test]
fn a_flood_of_failures_is_counted_not_listed() {
    let log = Log::default();
    let mut progress = Progress::lines(log.clone(), Style::plain(80));
    progress.start(1000);
    for n in 0..1000 {
        progress.cell_finished(&fail(n));
    }
    let text = log.text();
    assert_eq!(text.matches("✗ broken").count(), 20);
    assert_eq!(text.matches("further unexpected cells").count(), 1);
    assert!(text.ends_with("1000/1000 cells, 1000 unexpected\n"), "{text}");
}

#[test]
fn missing_builds_are_counted_not_listed() {
    let log = Log::default();
    let mut progress = Progress::lines(log.clone(), Style::plain(80));
    progress.start(2);
    progress.cell_finished(&sample::cell("probe", "6.0.4", "probe/x", None, Outcome::MissingBuild));
    progress.cell_finished(&fail(0));
    let text = log.text();
    assert!(
        !text.contains("missing build") && text.contains("✗ broken") && text.contains("2 unexpected"),
        "{text}"
    );
}

#[test]
fn more_cells_than_planned_do_no_harm() {
    let mut progress = Progress::lines(Log::default(), Style::plain(80));
    progress.cell_finished(&fail(0));
    progress.start(0);
    progress.cell_finished(&fail(1));
}

#[test]
fn the_bar_counts_and_goes_away() {
    let terminal = InMemoryTerm::new(10, 80);
    let target = ProgressDrawTarget::term_like_with_hz(Box::new(terminal.clone()), 255);
    let mut progress = Progress::bar(target, Style::plain(80));
    progress.start(2);
    progress.cell_finished(&fail(0));
    let shown = terminal.contents();
    assert!(shown.contains("1/2 cells, 1 unexpected"), "{shown}");
    assert!(shown.contains("✗ broken  lxc-command/probe..4.0.6/probe/00: EOF\\u{1b}[2J"), "{shown}");
    progress.cell_finished(&sample::pass("4.0.6", "4.0.6", "client/info"));
    progress.finish();
    let left = terminal.contents();
    assert!(!left.contains("2/2"), "{left}");
    assert!(left.contains("✗ broken"), "{left}");
}

#[test]
fn what_is_slow_tried_again_or_cut_short_is_told() {
    let log = Log::default();
    let mut progress = Progress::lines(log.clone(), Style::plain(80));
    progress.cell_slow("p/a..b/client/x", Duration::from_millis(30_400));
    progress.cell_tried_again(&fail(1));
    progress.cells_cut_short(&[]);
    progress.cells_cut_short(&["p/a..b/client/x".to_owned()]);
    progress.cells_cut_short(&["one".to_owned(), "two".to_owned(), "three".to_owned()]);
    let expect = "still running after 30 s: p/a..b/client/x\n\
                  tried again: lxc-command/probe..4.0.6/probe/01: fail\n\
                  stopped in the middle of p/a..b/client/x\n\
                  stopped in the middle of one and 2 more\n";
    assert_eq!(log.text(), expect);
}
