//! The report for a terminal: grid, failures, known bugs, complaints, and a last line that accounts for
//! every cell.

use std::collections::BTreeMap;
use std::time::Duration;

use verdict::{CellResult, Outcome, RunResults};

use crate::table::push_line;
use crate::text::count;
use crate::{Accounts, Mark, Paint, Style, Text, failure, grid};

/// How much to show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// One table per protocol and kind of case.
    Overview,
    /// Also what each server answers to each probe, and each operation whose pairs differ.
    Detailed,
}

/// Failures beyond this number get one line each.
pub(crate) const FAILURES_IN_FULL: usize = 20;
/// Reasons for leaving cells out beyond this number are counted only.
const REASONS_SHOWN: usize = 20;
pub(crate) const KNOWN_CELLS_SHOWN: usize = 3;

/// The whole report.
#[must_use]
pub fn render(results: &RunResults, level: Level, style: Style) -> String {
    let mut page = Page { style, out: String::new() };
    page.head(results);
    page.grids(results, level);
    page.known(results);
    page.failures(results);
    page.skipped(results);
    page.missing(results);
    page.complaints(results);
    page.summary(results);
    page.out
}

/// One cell in full: what `repro` and `list` show.
#[must_use]
pub fn render_cell(results: &RunResults, cell: &CellResult, style: Style) -> String {
    failure::block(results, cell, style)
}

struct Page {
    style: Style,
    out: String,
}

impl Page {
    fn line(&mut self, text: &Text) {
        for line in text.fit(self.style).wrap(self.style.columns()) {
            push_line(&mut self.out, &line.render(self.style));
        }
    }

    /// A line under a point, continued under its own start.
    fn item(&mut self, text: &Text) {
        let width = self.style.columns().saturating_sub(4);
        for (n, line) in text.fit(self.style).wrap(width).iter().enumerate() {
            let point = if n == 0 { "  - " } else { "    " };
            push_line(&mut self.out, &format!("{point}{}", line.render(self.style)));
        }
    }

    fn heading(&mut self, text: &str) {
        self.blank();
        self.line(&Text::new(Paint::Head, text));
    }

    fn blank(&mut self) {
        if !self.out.is_empty() {
            self.out.push('\n');
        }
    }

    fn head(&mut self, results: &RunResults) {
        let mut text = Text::new(Paint::Head, &results.producer)
            .with(Paint::Plain, &format!(" matrix {}, seed {}", results.matrix, results.seed));
        if let Some(partition) = &results.partition {
            text = text.with(Paint::Plain, &format!(", partition {partition}"));
        }
        self.line(&text);
    }

    fn grids(&mut self, results: &RunResults, level: Level) {
        for table in grid::overview(results) {
            self.blank();
            self.out.push_str(&table.render(self.style));
        }
        if level == Level::Detailed {
            self.details(results);
        }
        self.blank();
        self.line(&legend());
    }

    fn details(&mut self, results: &RunResults) {
        for table in grid::probes(results) {
            self.blank();
            self.out.push_str(&table.render(self.style));
        }
        for operations in grid::operations(results) {
            self.blank();
            self.line(&operations.title);
            for (mark, pairs, cases) in &operations.alike {
                let pairs =
                    if *pairs == 1 { "the only pair".to_owned() } else { format!("all {pairs} pairs") };
                let text = mark.text().with(Paint::Dim, &format!(" in {pairs}: "));
                self.item(&text.with(Paint::Plain, &cases.join(", ")));
            }
            for table in &operations.tables {
                self.blank();
                self.out.push_str(&table.render(self.style));
            }
        }
    }

    fn known(&mut self, results: &RunResults) {
        let known = grid::known(results);
        if known.is_empty() {
            return;
        }
        self.heading("Broken as expected:");
        for bug in known {
            let text = Text::new(Paint::Known, bug.bug.unwrap_or("no bug named"));
            let text = text.with(Paint::Plain, &format!(" {} ", bug.reason));
            let mut cells: Vec<_> =
                bug.cells.iter().take(KNOWN_CELLS_SHOWN).map(|c| c.cell.clone()).collect();
            if bug.cells.len() > cells.len() {
                cells.push(format!("{} more", bug.cells.len() - cells.len()));
            }
            let count =
                if bug.cells.len() == 1 { "1 cell".to_owned() } else { format!("{} cells", bug.cells.len()) };
            self.item(&text.with(Paint::Dim, &format!("({count}: {})", cells.join(", "))));
        }
    }

    fn failures(&mut self, results: &RunResults) {
        let failures = failures(results);
        let (full, rest) = failures.split_at(failures.len().min(FAILURES_IN_FULL));
        for cell in full {
            self.blank();
            self.out.push_str(&failure::block(results, cell, self.style));
        }
        if rest.is_empty() {
            return;
        }
        self.heading(&format!(
            "{}, one line each (the first {} of {} are above, all are in the JSON results):",
            count(rest.len(), "more unexpected cell"),
            full.len(),
            failures.len()
        ));
        for cell in rest {
            self.line(&Text::plain("  ").join(failure::line(cell)));
            push_line(&mut self.out, &format!("    {}", failure::reproduction(cell).render(self.style)));
        }
    }

    /// Why cells were left out, gathered by reason: what did not run must be explained where it can be seen.
    fn skipped(&mut self, results: &RunResults) {
        let mut reasons: BTreeMap<&str, Vec<&CellResult>> = BTreeMap::new();
        for cell in results.cells.iter().filter(|c| c.outcome == Outcome::Skipped) {
            reasons.entry(cell.reason.as_deref().unwrap_or("no reason is given")).or_default().push(cell);
        }
        if reasons.is_empty() {
            return;
        }
        self.heading("Left out:");
        let mut reasons: Vec<_> = reasons.into_iter().collect();
        reasons.sort_by_key(|(_, cells)| std::cmp::Reverse(cells.len()));
        let (shown, rest) = reasons.split_at(reasons.len().min(REASONS_SHOWN));
        for (reason, cells) in shown {
            let first = cells.first().map_or("", |cell| cell.cell.as_str());
            let text = Text::new(Paint::Unknown, &format!("{}: ", count(cells.len(), "cell")));
            self.item(&text.with(Paint::Plain, reason).with(Paint::Dim, &format!(" (first: {first})")));
        }
        if !rest.is_empty() {
            let cells: usize = rest.iter().map(|(_, cells)| cells.len()).sum();
            let text = format!(
                "{} for {}, see the JSON results",
                count(cells, "more cell"),
                count(rest.len(), "other reason")
            );
            self.item(&Text::new(Paint::Dim, &text));
        }
    }

    /// Cells of missing builds, gathered by reason: the same absence many times over is one fact.
    fn missing(&mut self, results: &RunResults) {
        let mut reasons: BTreeMap<&str, Vec<&CellResult>> = BTreeMap::new();
        for cell in results.cells.iter().filter(|c| c.outcome == Outcome::MissingBuild) {
            reasons.entry(cell.reason.as_deref().unwrap_or("no reason is given")).or_default().push(cell);
        }
        let unused = grid::missing_builds(results).filter(|(_, why)| !reasons.contains_key(why));
        let unused: Vec<_> = unused.collect();
        if reasons.is_empty() && unused.is_empty() {
            return;
        }
        self.heading("Builds that could not be had:");
        for (build, why) in unused {
            let text = Text::new(Paint::Odd, &format!("∅ {}/{}", build.protocol, build.id));
            self.item(&text.with(Paint::Plain, &format!(" {} {}: {why}", build.source, build.detail)));
        }
        for (reason, cells) in reasons {
            let Some(first) = cells.first() else { continue };
            let text = Text::new(Paint::Odd, &format!("∅ {} did not run: ", count(cells.len(), "cell")));
            self.item(
                &text.with(Paint::Plain, reason).with(Paint::Dim, &format!(" (first: {})", first.cell)),
            );
            push_line(&mut self.out, &format!("    {}", failure::reproduction(first).render(self.style)));
        }
    }

    fn complaints(&mut self, results: &RunResults) {
        if results.complaints.is_empty() {
            return;
        }
        self.heading("Complaints, which make the run red:");
        for complaint in &results.complaints {
            self.item(&Text::plain(complaint));
        }
    }

    fn summary(&mut self, results: &RunResults) {
        self.blank();
        if !results.complete {
            let text = "INCOMPLETE: the run was interrupted, or a part of it could not be done. Cells that are \
                        missing below were not judged.";
            self.line(&Text::new(Paint::Bad, text));
        }
        let accounts = Accounts::of(results);
        if accounts.executed == 0 {
            self.line(&Text::new(Paint::Bad, "NOTHING RAN: not one cell was executed."));
        }
        self.line(&summary_line(results));
    }
}

/// The last line: planned = executed + explained, counts per outcome, duration, and whether that is as expected.
#[must_use]
pub fn summary_line(results: &RunResults) -> Text {
    let accounts = Accounts::of(results);
    let good = accounts.as_expected(results);
    let sum = accounts.executed + accounts.explained;
    let equals = if accounts.planned == sum { "=" } else { "≠" };
    let mut text = Text::new(if good { Paint::Good } else { Paint::Bad }, "Summary")
        .with(Paint::Dim, &format!(" [{}] ", duration(results.duration_ms)))
        .with(
            Paint::Plain,
            &format!(
                "{} planned {equals} {} executed + {} explained: ",
                accounts.planned, accounts.executed, accounts.explained
            ),
        );
    let outcomes: Vec<_> = results.tally.outcomes.iter().filter(|(_, n)| **n > 0).collect();
    for (n, (word, count)) in outcomes.iter().enumerate() {
        let comma = if n + 1 < outcomes.len() { ", " } else { "" };
        text = text.with(Paint::Plain, &format!("{count} {word}{comma}"));
    }
    if outcomes.is_empty() {
        text = text.with(Paint::Plain, "no cells");
    }
    if good {
        return text.with(Paint::Good, "; as expected");
    }
    let mut why = Vec::new();
    if !results.complete {
        why.push("incomplete".to_owned());
    }
    if accounts.unexpected > 0 {
        why.push(format!("{} unexpected", accounts.unexpected));
    }
    if !results.complaints.is_empty() {
        why.push(count(results.complaints.len(), "complaint"));
    }
    if accounts.executed == 0 {
        why.push("nothing ran".to_owned());
    }
    if accounts.planned != sum {
        why.push("cells unaccounted for".to_owned());
    }
    text.with(Paint::Bad, &format!("; NOT as expected: {}", why.join(", ")))
}

/// Cells that need a block of their own, the worst first.
pub(crate) fn failures(results: &RunResults) -> Vec<&CellResult> {
    let wanted = |c: &&CellResult| !c.outcome.is_expected() && c.outcome != Outcome::MissingBuild;
    let mut failures: Vec<_> = results.cells.iter().filter(wanted).collect();
    failures.sort_by_key(|c| Mark::of(c));
    failures
}

fn legend() -> Text {
    let marks = [
        (Paint::Good, "✓ compatible"),
        (Paint::Fair, "~ degraded"),
        (Paint::Fair, "⊘ refused"),
        (Paint::Bad, "✗ broken"),
        (Paint::Odd, "? inconclusive"),
        (Paint::Odd, "! better than expected"),
        (Paint::Odd, "≈ flaky"),
        (Paint::Odd, "∅ missing build"),
        (Paint::Unknown, "- skipped"),
        (Paint::Dim, "· not planned"),
        (Paint::Dim, "[x] negotiated version or detected dialect"),
    ];
    marks.iter().enumerate().fold(Text::default(), |text, (n, (paint, mark))| {
        let text = if n > 0 { text.with(Paint::Plain, "  ") } else { text };
        text.join(Text::new(*paint, mark).unbroken())
    })
}

/// A duration for people.
pub(crate) fn duration(ms: u64) -> String {
    let duration = Duration::from_millis(ms);
    let seconds = duration.as_secs();
    if seconds < 60 {
        return format!("{:.2}s", duration.as_secs_f64());
    }
    format!("{}m {:02}s", seconds / 60, seconds % 60)
}
