//! The glyph and the word of a cell, and their order: the worst first.

use std::collections::BTreeMap;

use matrix::Verdict;
use verdict::{CellResult, Outcome, RunResults};

use crate::{Paint, Text};

/// What a reader sees of one cell: glyph, word and colour say the same, so one of them is enough.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mark {
    rank: u8,
    glyph: char,
    word: String,
    paint: Paint,
    plain_good: bool,
}

impl Mark {
    /// The mark of a cell.
    #[must_use]
    pub fn of(cell: &CellResult) -> Self {
        let (rank, paint) = weight(cell);
        Self {
            rank,
            paint,
            glyph: glyph(cell),
            word: word(cell),
            plain_good: cell.outcome == Outcome::Pass && cell.verdict == Some(Verdict::Compatible),
        }
    }

    /// The sign.
    #[must_use]
    pub fn glyph(&self) -> char {
        self.glyph
    }

    /// The word, e.g. `broken (xfail)`.
    #[must_use]
    pub fn word(&self) -> &str {
        &self.word
    }

    /// What it means.
    #[must_use]
    pub fn paint(&self) -> Paint {
        self.paint
    }

    /// Ran, passed and compatible: nothing to say about it.
    #[must_use]
    pub fn is_plain_good(&self) -> bool {
        self.plain_good
    }

    /// Glyph and word.
    #[must_use]
    pub fn text(&self) -> Text {
        Text::new(self.paint, &format!("{} {}", self.glyph, self.word)).unbroken()
    }
}

pub(crate) fn verdict_glyph(verdict: Verdict) -> char {
    match verdict {
        Verdict::Compatible => '✓',
        Verdict::Degraded => '~',
        Verdict::Refused => '⊘',
        Verdict::Broken => '✗',
        Verdict::Inconclusive => '?',
    }
}

fn glyph(cell: &CellResult) -> char {
    match (cell.outcome, cell.verdict) {
        (Outcome::Xpass, _) | (Outcome::Fail, Some(Verdict::Compatible)) => '!',
        (Outcome::Flaky, _) => '≈',
        (Outcome::Skipped, _) => '-',
        (Outcome::MissingBuild, _) => '∅',
        (Outcome::HarnessError, _) | (_, None) => '?',
        (Outcome::Pass | Outcome::Fail | Outcome::Xfail, Some(verdict)) => verdict_glyph(verdict),
    }
}

fn word(cell: &CellResult) -> String {
    let outcome = match cell.outcome {
        Outcome::MissingBuild => "missing build",
        Outcome::HarnessError => "harness error",
        other => other.word(),
    };
    match (cell.outcome, cell.verdict) {
        (Outcome::Skipped | Outcome::MissingBuild, _) | (_, None) => outcome.to_owned(),
        (Outcome::Pass, Some(v @ (Verdict::Compatible | Verdict::Degraded | Verdict::Refused)))
        | (Outcome::Fail, Some(v @ Verdict::Broken)) => v.to_string(),
        (_, Some(verdict)) => format!("{verdict} ({outcome})"),
    }
}

/// Place in the order, worst first, and colour.
fn weight(cell: &CellResult) -> (u8, Paint) {
    match (cell.outcome, cell.verdict) {
        (Outcome::Fail, Some(Verdict::Broken)) => (0, Paint::Bad),
        (Outcome::Fail, _) => (1, Paint::Bad),
        (Outcome::Xpass, _) => (2, Paint::Odd),
        (Outcome::Flaky, _) => (3, Paint::Odd),
        (Outcome::HarnessError, _) => (4, Paint::Odd),
        // A result that contradicts itself (see `verify`): never green.
        (Outcome::Pass, None | Some(Verdict::Broken | Verdict::Inconclusive)) => (5, Paint::Odd),
        (Outcome::MissingBuild, _) => (6, Paint::Odd),
        (Outcome::Xfail, Some(Verdict::Broken)) => (7, Paint::Known),
        (Outcome::Xfail, _) => (8, Paint::Known),
        (Outcome::Skipped, _) => (9, Paint::Unknown),
        (Outcome::Pass, Some(Verdict::Refused)) => (10, Paint::Fair),
        (Outcome::Pass, Some(Verdict::Degraded)) => (11, Paint::Fair),
        (Outcome::Pass, Some(Verdict::Compatible)) => (12, Paint::Good),
    }
}

/// Cells that share a place in a grid, in one short text, the worst first: `✗ 2 broken (xfail) · 31 ok`.
pub(crate) fn counts(cells: &[&CellResult]) -> Text {
    let mut groups: BTreeMap<Mark, usize> = BTreeMap::new();
    for cell in cells {
        *groups.entry(Mark::of(cell)).or_default() += 1;
    }
    let alone = groups.len() == 1;
    let mut text = Text::default();
    for (n, (mark, count)) in groups.iter().enumerate() {
        if n > 0 {
            text = text.join(Text::new(Paint::Dim, " ·").unbroken()).with(Paint::Plain, " ");
        }
        text = text.join(match (alone, *count) {
            (true, 1) => mark.text(),
            (false, count) if mark.plain_good => Text::new(mark.paint, &format!("{count} ok")).unbroken(),
            (_, count) => Text::new(mark.paint, &format!("{} {count} {}", mark.glyph, mark.word)).unbroken(),
        });
    }
    text
}

/// Planned = executed + explained.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Accounts {
    /// Cells of the plan, as the results claim.
    pub planned: usize,
    /// Cells with a verdict.
    pub executed: usize,
    /// Cells without one that say why.
    pub explained: usize,
    /// Cells that ended otherwise than expected.
    pub unexpected: usize,
}

impl Accounts {
    /// Counts the cells of a run.
    #[must_use]
    pub fn of(results: &RunResults) -> Self {
        let count = |test: &dyn Fn(&CellResult) -> bool| results.cells.iter().filter(|c| test(c)).count();
        Self {
            planned: results.tally.planned,
            executed: count(&|c| c.verdict.is_some()),
            explained: count(&|c| c.verdict.is_none() && c.reason.is_some()),
            unexpected: count(&|c| !results.tolerates(c)),
        }
    }

    /// Whether nothing ran because none of the cells is in this shard: then the other shards have them.
    #[must_use]
    pub fn is_empty_shard(&self, results: &RunResults) -> bool {
        self.planned == 0 && results.partition.is_some()
    }

    /// Whether the run is what was expected: all of it ran or is explained, and nothing is unexpected.
    #[must_use]
    pub fn as_expected(&self, results: &RunResults) -> bool {
        results.complete
            && results.complaints.is_empty()
            && self.unexpected == 0
            && (self.executed > 0 || self.is_empty_shard(results))
            && self.planned == self.executed + self.explained
    }
}
