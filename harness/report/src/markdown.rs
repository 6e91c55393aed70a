//! The report as GitHub-flavoured Markdown: for releases and for the summary of a CI step.
//!
//! Texts of peers are made harmless: what is markup becomes a character reference, mentions and references to
//! issues are broken up, and the blocks of failures stand in fences that they cannot close.

use verdict::{CellResult, Outcome, RunResults};

use crate::fold::failures;
use crate::terminal::{FAILURES_IN_FULL, KNOWN_CELLS_SHOWN, duration, summary_line};
use crate::text::count;
use crate::{Accounts, Mark, Style, Table, Text, failure, grid};

/// GitHub takes a step summary of 1 MiB at most and drops all of a longer one.
pub const BYTES_MAX: usize = 1_000_000;

/// Columns of the text in fences.
const WIDTH: usize = 100;
/// Room that is kept for the notice of what was cut.
const NOTICE: usize = 512;

/// The report, of `bytes_max` bytes at most. Parts that do not fit are left out, and it says which.
#[must_use]
pub fn render(results: &RunResults, bytes_max: usize) -> String {
    let mut page = Page { out: String::new(), room: bytes_max.saturating_sub(NOTICE), cut: Vec::new() };
    page.part("the head", &head(results));
    page.failures(results);
    page.part("complaints", &complaints(results));
    page.part("missing builds", &missing(results));
    for table in grid::overview(results) {
        page.part("a grid", &markdown_table(&table));
    }
    page.part("known bugs", &known(results));
    for table in grid::probes(results) {
        page.part("a table of probes", &markdown_table(&table));
    }
    for operations in grid::operations(results) {
        page.part("operations without differences", &alike(&operations));
        for table in &operations.tables {
            page.part("a table of an operation", &markdown_table(table));
        }
    }
    page.part("the builds", &builds(results));
    page.finish()
}

struct Page {
    out: String,
    room: usize,
    cut: Vec<&'static str>,
}

impl Page {
    fn part(&mut self, what: &'static str, text: &str) {
        if text.is_empty() {
            return;
        }
        if self.out.len() + text.len() + 1 > self.room {
            self.cut.push(what);
            return;
        }
        if !self.out.is_empty() {
            self.out.push('\n');
        }
        self.out.push_str(text);
    }

    fn failures(&mut self, results: &RunResults) {
        let failures = failures(results);
        if failures.is_empty() {
            return;
        }
        self.part("a heading", &format!("## Not as expected ({})\n", count(failures.len(), "cell")));
        let (full, rest) = failures.split_at(failures.len().min(FAILURES_IN_FULL));
        for cell in full {
            let block = failure::block(results, cell, Style::plain(WIDTH));
            self.part("a failure", &format!("### {}\n\n{}", escape(&cell.cell), fenced(&block)));
        }
        for lines in rest.chunks(FAILURES_IN_FULL) {
            let lines: String = lines.iter().map(|cell| item(cell)).collect();
            self.part("a list of failures", &lines);
        }
    }

    fn finish(mut self) -> String {
        if self.cut.is_empty() {
            return self.out;
        }
        let mut kinds: Vec<(&str, usize)> = Vec::new();
        for what in &self.cut {
            match kinds.iter_mut().find(|(kind, _)| kind == what) {
                Some((_, n)) => *n += 1,
                None => kinds.push((what, 1)),
            }
        }
        let kinds: Vec<_> = kinds.iter().map(|(kind, n)| format!("{n} x {kind}")).collect();
        let notice = format!(
            "\n**Cut:** {} did not fit and {} left out: {}. The JSON results have everything.\n",
            count(self.cut.len(), "part"),
            if self.cut.len() == 1 { "is" } else { "are" },
            kinds.join(", ")
        );
        self.out.push_str(&notice);
        self.out
    }
}

fn head(results: &RunResults) -> String {
    let good = Accounts::of(results).as_expected(results);
    let title = if good { "✓ as expected" } else { "✗ NOT as expected" };
    let mut out = format!("# Compatibility: {title}\n\n{}\n\n", escape(&summary_line(results).unpainted()));
    if !results.complete {
        out.push_str("**Incomplete: the run was interrupted, or a part of it could not be done.**\n\n");
    }
    out.push_str("| | |\n|---|---|\n");
    let facts = [
        ("producer", results.producer.clone()),
        ("matrix", results.matrix.clone()),
        ("partition", results.partition.clone().unwrap_or_else(|| "all".into())),
        ("started", results.started.clone()),
        ("duration", duration(results.duration_ms)),
        ("seed", results.seed.to_string()),
    ];
    for (name, value) in facts {
        out.push_str(&format!("| {name} | {} |\n", escape(&Text::plain(&value).unpainted())));
    }
    out.push_str("\n| outcome | cells |\n|---|--:|\n");
    for (word, n) in &results.tally.outcomes {
        out.push_str(&format!("| {} | {n} |\n", escape(&Text::plain(word).unpainted())));
    }
    out.push_str(&format!("| **planned** | **{}** |\n", results.tally.planned));
    out
}

fn complaints(results: &RunResults) -> String {
    if results.complaints.is_empty() {
        return String::new();
    }
    let items: String = results.complaints.iter().map(|c| format!("- {}\n", plain(c))).collect();
    format!("## Complaints, which make the run red\n\n{items}")
}

fn missing(results: &RunResults) -> String {
    let cells = results.tally.count(Outcome::MissingBuild);
    let items: String = grid::missing_builds(results)
        .map(|(build, why)| {
            format!("- {}: {}\n", plain(&format!("{}/{}", build.protocol, build.id)), plain(why))
        })
        .collect();
    if items.is_empty() && cells == 0 {
        return String::new();
    }
    format!("## Unavailable builds ({} did not run)\n\n{items}", count(cells, "cell"))
}

fn known(results: &RunResults) -> String {
    let mut out = String::new();
    for known in grid::known(results) {
        let cells: Vec<_> = known.cells.iter().take(KNOWN_CELLS_SHOWN).map(|c| plain(&c.cell)).collect();
        let more = known.cells.len() - cells.len();
        let more = if more > 0 { format!(", {more} more") } else { String::new() };
        let (bug, reason) = (plain(known.bug.unwrap_or("none named")), plain(known.reason));
        out.push_str(&format!("| {bug} | {reason} | {} | {}{more} |\n", known.cells.len(), cells.join(", ")));
    }
    if out.is_empty() {
        return out;
    }
    format!("## Broken as expected\n\n| bug | reason | cells | where |\n|---|---|--:|---|\n{out}")
}

fn alike(operations: &grid::Operations) -> String {
    let mut out = String::new();
    for (mark, pairs, cases) in &operations.alike {
        let cases: Vec<_> = cases.iter().map(|c| plain(c)).collect();
        let mark = escape(&mark.text().unpainted());
        out.push_str(&format!("- {mark} in {}: {}\n", count(*pairs, "pair"), cases.join(", ")));
    }
    if out.is_empty() { out } else { format!("### {}\n\n{out}", escape(&operations.title.unpainted())) }
}

fn builds(results: &RunResults) -> String {
    if results.builds.is_empty() {
        return String::new();
    }
    let mut out =
        "## Builds\n\n| build | version | dialect | source | digest |\n|---|---|---|---|---|\n".to_owned();
    for build in &results.builds {
        let id = plain(&format!("{}/{}", build.protocol, build.id));
        let source = plain(&format!("{} {}", build.source, build.detail));
        let digest = plain(build.digest.as_deref().unwrap_or("none"));
        let (version, dialect) = (plain(&build.version), plain(&build.dialect));
        out.push_str(&format!("| {id} | {version} | {dialect} | {source} | {digest} |\n"));
    }
    out
}

fn item(cell: &CellResult) -> String {
    let mark = escape(&Mark::of(cell).text().unpainted());
    let again = failure::reproduction(cell).unpainted();
    format!("- {mark} {}\n\n  {}\n", plain(&cell.cell), fenced(&again).trim_end().replace('\n', "\n  "))
}

fn markdown_table(table: &Table) -> String {
    let cell = |text: &Text| escape(&text.unpainted());
    let mut out = format!("### {}\n\n| {} |", cell(&table.title), cell(&table.corner));
    for column in &table.columns {
        out.push_str(&format!(" {} |", cell(column)));
    }
    out.push_str(&format!("\n|---|{}\n", "---|".repeat(table.columns.len())));
    for (label, texts) in &table.rows {
        out.push_str(&format!("| {} |", cell(label)));
        for text in texts {
            out.push_str(&format!(" {} |", cell(text)));
        }
        out.push('\n');
    }
    out
}

/// A text of unknown origin within a line.
fn plain(text: &str) -> String {
    escape(&Text::plain(text).unpainted())
}

/// Takes the meaning from everything that Markdown, HTML or GitHub would give one. The text holds no line end,
/// since it comes out of a [`Text`].
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\\' | '`' | '*' | '_' | '[' | ']' | '<' | '>' | '|' | '~' | '&' | '!' | '$' | ':' => {
                out.push_str(&format!("&#{};", u32::from(c)));
            }
            // GitHub looks for these in the text that remains, so a character reference does not help.
            '@' | '#' => out.push_str(&format!("{c}<!-- -->")),
            c => out.push(c),
        }
    }
    out
}

/// A block that is shown as it is. The fence is longer than any run of backticks in it.
fn fenced(block: &str) -> String {
    let longest = block.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    let fence = "`".repeat(longest.max(2) + 1);
    format!("{fence}text\n{}\n{fence}\n", block.trim_end_matches('\n'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_fence(block: &str, expect: &str) {
        assert_eq!(fenced(block), expect);
    }

    #[test]
    fn fences_cannot_be_closed_from_within() {
        check_fence("a\n", "```text\na\n```\n");
        check_fence("a\n```\nb", "````text\na\n```\nb\n````\n");
        check_fence("``````", "```````text\n``````\n```````\n");
    }
}
