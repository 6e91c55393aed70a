//! What is seen while a run goes on: a bar on a terminal, lines elsewhere. It goes to stderr or wherever the
//! caller says, never to where results go.

use std::io::Write;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use verdict::{CellResult, Outcome};

use crate::table::push_line;
use crate::text::count;
use crate::{Paint, Style, Text, failure};

/// Unexpected cells are shown at once, but no more than these: the report at the end has them all.
const SHOWN_AT_ONCE: usize = 20;
/// Lines tell how far the run is at each of these parts.
const LINES: usize = 10;

/// The progress of one run.
pub struct Progress {
    style: Style,
    planned: usize,
    done: usize,
    unexpected: usize,
    shown: usize,
    tried_again: usize,
    to: To,
}

enum To {
    Nobody,
    Lines(Box<dyn Write + Send>),
    Bar(ProgressBar),
}

impl Progress {
    /// Shows nothing.
    #[must_use]
    pub fn hidden() -> Self {
        Self::new(To::Nobody, Style::plain(80))
    }

    /// Writes lines: for logs.
    #[must_use]
    pub fn lines(out: impl Write + Send + 'static, style: Style) -> Self {
        Self::new(To::Lines(Box::new(out)), style)
    }

    /// Draws a bar, e.g. on `ProgressDrawTarget::stderr()`.
    #[must_use]
    pub fn bar(target: ProgressDrawTarget, style: Style) -> Self {
        let bar = ProgressBar::with_draw_target(None, target);
        bar.set_style(bar_style(style));
        Self::new(To::Bar(bar), style)
    }

    fn new(to: To, style: Style) -> Self {
        Self { style, planned: 0, done: 0, unexpected: 0, shown: 0, tried_again: 0, to }
    }

    /// The plan is made.
    pub fn start(&mut self, planned: usize) {
        self.planned = planned;
        match &self.to {
            To::Bar(bar) => bar.set_length(u64::try_from(planned).unwrap_or(u64::MAX)),
            _ => self.line(&Text::plain(&format!("{} planned", count(planned, "cell")))),
        }
    }

    /// A cell ended.
    pub fn cell_finished(&mut self, cell: &CellResult) {
        self.done += 1;
        if !cell.outcome.is_expected() {
            self.unexpected += 1;
            self.show(cell);
        }
        let state = self.state();
        match &self.to {
            To::Bar(bar) => {
                bar.set_message(state);
                bar.inc(1);
            }
            _ if self.done * LINES / self.planned.max(1) > (self.done - 1) * LINES / self.planned.max(1) => {
                self.line(&Text::plain(&format!("{}/{} cells, {state}", self.done, self.planned)));
            }
            _ => {}
        }
    }

    /// A cell goes on and on.
    pub fn cell_slow(&mut self, cell: &str, ran: Duration) {
        self.message(&format!("still running after {} s: {cell}", ran.as_secs()));
    }

    /// A cell was not as expected and is tried again.
    pub fn cell_tried_again(&mut self, cell: &CellResult) {
        self.tried_again += 1;
        if self.tried_again <= SHOWN_AT_ONCE {
            let text = Text::new(Paint::Dim, "tried again: ");
            self.line(&text.with(Paint::Plain, &format!("{}: {}", cell.cell, cell.outcome.word())));
        }
    }

    /// The run was stopped in the middle of these.
    pub fn cells_cut_short(&mut self, cells: &[String]) {
        if let [first, rest @ ..] = cells {
            let others = if rest.is_empty() { String::new() } else { format!(" and {} more", rest.len()) };
            self.message(&format!("stopped in the middle of {first}{others}"));
        }
    }

    fn show(&mut self, cell: &CellResult) {
        // The same absence many times over is one fact: the report at the end tells it.
        if cell.outcome == Outcome::MissingBuild {
            return;
        }
        self.shown += 1;
        if self.shown <= SHOWN_AT_ONCE {
            self.line(&failure::line(cell));
        } else if self.shown == SHOWN_AT_ONCE + 1 {
            self.line(&Text::new(
                Paint::Dim,
                "further unexpected cells are counted here and listed at the end",
            ));
        }
    }

    /// Something that the user should know at once.
    pub fn message(&mut self, text: &str) {
        self.line(&Text::plain(text));
    }

    /// The bar, if there is one: whoever else writes to its terminal has to suspend it.
    #[must_use]
    pub fn drawn(&self) -> Option<ProgressBar> {
        match &self.to {
            To::Bar(bar) => Some(bar.clone()),
            To::Nobody | To::Lines(_) => None,
        }
    }

    /// The run ended; a bar is taken away.
    pub fn finish(&mut self) {
        if let To::Bar(bar) = &self.to {
            bar.finish_and_clear();
        }
    }

    fn state(&self) -> String {
        if self.unexpected == 0 {
            "all as expected".into()
        } else {
            format!("{} unexpected", self.unexpected)
        }
    }

    fn line(&mut self, text: &Text) {
        let mut line = String::new();
        push_line(&mut line, &text.render(self.style));
        match &mut self.to {
            To::Nobody => {}
            To::Bar(bar) => bar.println(line.trim_end()),
            // Who closed the other end does not want to hear of it, and the run must go on.
            To::Lines(out) => drop(out.write_all(line.as_bytes()).and_then(|()| out.flush())),
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.finish();
    }
}

fn bar_style(style: Style) -> ProgressStyle {
    let template = "{elapsed:>4} [{bar:30}] {pos}/{len} cells, {msg}";
    let bar = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    bar.progress_chars(if style.unicode { "━╸─" } else { "=> " })
}
