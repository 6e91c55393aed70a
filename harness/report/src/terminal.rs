//! The report for a terminal: a line per protocol, what is red, and a last line that accounts for every cell.
//!
//! It fills about one screen, however many cells there are: what is known, explained or red many times over is counted,
//! and the command that lists it is named. [`Show`] says what is to be listed in full.

use std::collections::BTreeSet;
use std::time::Duration;

use verdict::{CellResult, Outcome, RunResults};

use crate::fold::{Kind, Reason, alike, failures, kinds, reasons};
use crate::protocols::protocols;
use crate::table::push_line;
use crate::text::count;
use crate::{Accounts, Paint, Style, Text, documents, failure, grid};

/// What to show beyond one screen.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Show<'a> {
    /// The grids: clients as rows, servers as columns.
    pub grid: bool,
    /// The grids, what each server answers to each probe, the operations whose pairs differ, and everything else that
    /// is only counted otherwise, except for known bugs.
    pub detail: bool,
    /// Each known bug with the cells that have it.
    pub known: bool,
    /// Where the results lie: what is only counted can be shown from there.
    pub file: &'a str,
}

/// Failures beyond this number get one line each, where all are shown.
pub(crate) const FAILURES_IN_FULL: usize = 20;
/// Reasons for leaving cells out beyond this number are counted only, where all are shown.
const REASONS_SHOWN: usize = 20;
pub(crate) const KNOWN_CELLS_SHOWN: usize = 3;

/// On one screen: kinds of red cells of which the first cell is shown whole,
const KINDS_IN_FULL: usize = 2;
/// kinds that get a line,
const KINDS_SHOWN: usize = 8;
/// further cells of a kind that get one,
const LIKE_IT_SHOWN: usize = 2;
/// and reasons, builds and complaints.
const LINES_SHOWN: usize = 5;

/// The whole report.
#[must_use]
pub fn render(results: &RunResults, show: Show<'_>, style: Style) -> String {
    let mut page = Page { show, style, out: String::new() };
    page.head(results);
    page.protocols(results);
    page.grids(results);
    page.left_out(results);
    page.documents(results);
    page.known(results);
    page.red(results);
    page.missing(results);
    page.complaints(results);
    page.pointer();
    page.summary(results);
    page.out
}

/// One cell in full: what `repro` and `list` show.
#[must_use]
pub fn render_cell(results: &RunResults, cell: &CellResult, style: Style) -> String {
    failure::block(results, cell, style)
}

struct Page<'a> {
    show: Show<'a>,
    style: Style,
    out: String,
}

impl Page<'_> {
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

    /// A line that stands that many columns to the right.
    fn indented(&mut self, columns: usize, text: &Text) {
        let width = self.style.columns().saturating_sub(columns);
        for line in text.fit(self.style).wrap(width) {
            push_line(&mut self.out, &format!("{}{}", " ".repeat(columns), line.render(self.style)));
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

    fn protocols(&mut self, results: &RunResults) {
        if results.cells.is_empty() {
            return;
        }
        self.blank();
        let (table, signs) = protocols(results, self.style);
        self.out.push_str(&table.render(self.style));
        // The grids explain all of them.
        if signs.width() > 0 && !self.show.grid && !self.show.detail {
            self.line(&signs);
        }
    }

    fn grids(&mut self, results: &RunResults) {
        if !self.show.grid && !self.show.detail {
            return;
        }
        for table in grid::overview(results) {
            self.blank();
            self.out.push_str(&table.render(self.style));
        }
        if self.show.detail {
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

    /// Why cells did not run: what is left out must be explained where it can be seen.
    fn left_out(&mut self, results: &RunResults) {
        let all = reasons(results, Outcome::Skipped);
        let cells = cells_of(&all);
        if cells == 0 {
            return;
        }
        self.heading(&format!("Not run, for a reason: {}", count(cells, "cell")));
        let (reasons, max) = if self.show.detail { (all, REASONS_SHOWN) } else { (alike(all), LINES_SHOWN) };
        let (shown, rest) = reasons.split_at(reasons.len().min(max));
        for reason in shown {
            let mut text =
                Text::new(Paint::Unknown, &reason.cells.len().to_string()).with(Paint::Plain, ": ");
            text = text.with(Paint::Plain, reason.text);
            if let Some(first) = reason.cells.first().filter(|_| self.show.detail) {
                text = text.with(Paint::Dim, &format!(" (first: {})", first.cell));
            }
            if reason.like_it > 0 {
                text = text.with(Paint::Dim, &format!(" (and {} like it)", count(reason.like_it, "reason")));
            }
            self.item(&text);
        }
        if !rest.is_empty() {
            let others = rest.iter().map(|reason| 1 + reason.like_it).sum();
            let text = format!("{} more for {}", cells_of(rest), count(others, "other reason"));
            self.rest(&text);
        }
    }

    fn known(&mut self, results: &RunResults) {
        let known = grid::known(results);
        if known.is_empty() {
            return;
        }
        if !self.show.known {
            self.known_count(&known);
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
            let count = count(bug.cells.len(), "cell");
            self.item(&text.with(Paint::Dim, &format!("({count}: {})", cells.join(", "))));
        }
    }

    fn known_count(&mut self, known: &[grid::Known<'_>]) {
        let cells = known.iter().map(|known| known.cells.len()).sum();
        let bugs: BTreeSet<_> = known.iter().filter_map(|known| known.bug).collect();
        self.blank();
        let text = Text::new(Paint::Head, &format!("Broken as expected: {}", count(cells, "cell")));
        let text = text.with(Paint::Plain, &format!(", {}", count(bugs.len(), "known bug")));
        self.line(&text.with(Paint::Dim, " (`--known` lists them)"));
    }

    fn red(&mut self, results: &RunResults) {
        if self.show.detail {
            self.all_red(results);
            return;
        }
        let kinds = kinds(results);
        let cells: usize = kinds.iter().map(Kind::len).sum();
        if cells == 0 {
            return;
        }
        let of = if kinds.len() < 2 { String::new() } else { format!(" of {} kinds", kinds.len()) };
        self.heading(&format!("Not as expected: {}{of}", count(cells, "cell")));
        let (whole, more) = kinds.split_at(kinds.len().min(KINDS_IN_FULL));
        let mut told = 0;
        for kind in whole {
            self.blank();
            self.out.push_str(&failure::block(results, kind.first, self.style));
            told += 1 + self.like(kind);
        }
        let shown = more.get(..more.len().min(KINDS_SHOWN)).unwrap_or_default();
        if !shown.is_empty() {
            self.blank();
        }
        for kind in shown {
            self.red_line(kind.first);
            told += 1;
            if !kind.others.is_empty() {
                let text = format!("and {} more of this kind", kind.others.len());
                self.indented(4, &Text::new(Paint::Dim, &text));
            }
        }
        if told < cells {
            let shown = count(told, "cell");
            let text = format!("{shown} of {cells} are shown; `--detail` has a line for each");
            self.blank();
            self.line(&Text::plain(&text));
        }
    }

    /// A line for some of the cells that are like one that is shown whole. Gives back how many.
    fn like(&mut self, kind: &Kind<'_>) -> usize {
        if kind.others.is_empty() {
            return 0;
        }
        self.blank();
        self.line(&Text::plain(&format!("{} of this kind:", count(kind.others.len(), "more cell"))));
        let shown = kind.others.get(..kind.others.len().min(LIKE_IT_SHOWN)).unwrap_or_default();
        for cell in shown {
            self.red_line(cell);
        }
        if shown.len() < kind.others.len() {
            let text = format!("and {} more", kind.others.len() - shown.len());
            self.indented(4, &Text::new(Paint::Dim, &text));
        }
        shown.len()
    }

    fn red_line(&mut self, cell: &CellResult) {
        let mut text = failure::line(cell);
        if !cell.shapes.is_empty() {
            text = text.with(Paint::Dim, &format!(" [{}]", cell.shapes.join(", ")));
        }
        self.indented(2, &text);
        push_line(&mut self.out, &format!("    {}", failure::reproduction(cell).render(self.style)));
    }

    /// What documents of the user were for, and what they make of replies that are no fault.
    fn documents(&mut self, results: &RunResults) {
        let (lines, notes) = (documents::lines(results), documents::notes(results));
        if lines.is_empty() {
            return;
        }
        self.heading("Replies held to documents:");
        for line in lines {
            self.item(&Text::plain(&line));
        }
        if notes.is_empty() {
            return;
        }
        let max = if self.show.detail { usize::MAX } else { LINES_SHOWN };
        self.heading("Noted of versions:");
        for (note, cells) in notes.iter().take(max) {
            self.item(&Text::plain(note).with(Paint::Dim, &format!(" ({})", count(*cells, "cell"))));
        }
        if notes.len() > max {
            self.item(&Text::plain(&format!("{} more (`--detail` lists them)", notes.len() - max)));
        }
    }

    /// Each red cell: the worst in full, the others in a line.
    fn all_red(&mut self, results: &RunResults) {
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
            "{}, one line each (the first {} of {} are above, all are in {}):",
            count(rest.len(), "more unexpected cell"),
            full.len(),
            failures.len(),
            self.show.file
        ));
        for cell in rest {
            self.red_line(cell);
        }
    }

    /// Cells of missing builds, gathered by reason: the same absence many times over is one fact.
    fn missing(&mut self, results: &RunResults) {
        let reasons = reasons(results, Outcome::MissingBuild);
        let told = |why: &str| reasons.iter().any(|reason| reason.text == why);
        let unused: Vec<_> = grid::missing_builds(results).filter(|(_, why)| !told(why)).collect();
        if reasons.is_empty() && unused.is_empty() {
            return;
        }
        self.heading("Unavailable builds:");
        let max = if self.show.detail { usize::MAX } else { LINES_SHOWN };
        for (build, why) in unused.iter().take(max) {
            let text = Text::new(Paint::Odd, &format!("∅ {}/{}", build.protocol, build.id));
            self.item(&text.with(Paint::Plain, &format!(" {} {}: {why}", build.source, build.detail)));
        }
        if unused.len() > max {
            let text = count(unused.len() - max, "more build");
            self.rest(&format!("{text} that no cell needs"));
        }
        for reason in reasons.iter().take(max) {
            let Some(first) = reason.cells.first() else { continue };
            let text = format!("∅ {} did not run: ", count(reason.cells.len(), "cell"));
            let text = Text::new(Paint::Odd, &text).with(Paint::Plain, reason.text);
            self.item(&text.with(Paint::Dim, &format!(" (first: {})", first.cell)));
            push_line(&mut self.out, &format!("    {}", failure::reproduction(first).render(self.style)));
        }
        if let Some(rest @ [_, ..]) = reasons.get(max..) {
            let text = format!("{} more for {}", cells_of(rest), count(rest.len(), "other reason"));
            self.rest(&text);
        }
    }

    fn complaints(&mut self, results: &RunResults) {
        if results.complaints.is_empty() {
            return;
        }
        self.heading("Complaints, which make the run red:");
        let max = if self.show.detail { usize::MAX } else { LINES_SHOWN };
        for complaint in results.complaints.iter().take(max) {
            self.item(&Text::plain(complaint));
        }
        if results.complaints.len() > max {
            self.rest(&count(results.complaints.len() - max, "more complaint"));
        }
    }

    /// The last point of a list that was cut.
    fn rest(&mut self, text: &str) {
        self.item(&Text::new(Paint::Dim, &format!("{text} (`--detail` lists them)")));
    }

    fn pointer(&mut self) {
        let Show { grid, detail, known, file } = self.show;
        if grid || detail || known || file.is_empty() {
            return;
        }
        self.blank();
        let text = format!("More: `wireskew report {file}` with `--grid`, `--known` or `--detail`");
        self.line(&Text::new(Paint::Dim, &text));
    }

    fn summary(&mut self, results: &RunResults) {
        self.blank();
        if !results.complete {
            let text = "INCOMPLETE: the run was interrupted, or a part of it could not be done. Cells that are \
                        missing below were not judged.";
            self.line(&Text::new(Paint::Bad, text));
        }
        let accounts = Accounts::of(results);
        if accounts.is_empty_shard(results) {
            self.line(&Text::new(Paint::Dim, "No cell is in this shard."));
        } else if accounts.executed == 0 {
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

fn cells_of(reasons: &[Reason<'_>]) -> usize {
    reasons.iter().map(|reason| reason.cells.len()).sum()
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
        (Paint::Dim, "[x] negotiated version, or what a server was found to be"),
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
