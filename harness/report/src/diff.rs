//! Two runs compared, cell by cell: what the candidate made worse, what it mended, what is new.
//!
//! This is the gate of a pull request: it is red only for what got worse, so old troubles of the baseline
//! do not stand in anybody's way. What cannot be compared any more, because a cell is gone or did not run,
//! counts as worse: else the gate could be opened by dropping the cell.

use std::collections::{BTreeMap, BTreeSet};

use verdict::{BuildRecord, CellResult, Outcome, RunResults, Verdict};

use crate::table::push_line;
use crate::text::count;
use crate::{Mark, Paint, Style, Text, failure};

/// What became of a cell between two runs. The order is that of reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Change {
    /// A worse verdict, a new shape of failure, or differing tries.
    Regression,
    /// Not in the baseline, and not as expected.
    NewTrouble,
    /// Gave a verdict in the baseline; now it did not run, or says nothing.
    Lost,
    /// Gave a verdict in the baseline; now it is not even planned.
    Removed,
    /// A better verdict, fewer shapes of failure, or steady now.
    Fixed,
    /// Not in the baseline, and as expected.
    New,
    /// Different, but no better and no worse that can be told.
    Changed,
}

impl Change {
    /// All kinds, in the order of reports.
    pub const ALL: [Self; 7] = [
        Self::Regression,
        Self::NewTrouble,
        Self::Lost,
        Self::Removed,
        Self::Fixed,
        Self::New,
        Self::Changed,
    ];

    /// The word for it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Regression => "regression",
            Self::NewTrouble => "new trouble",
            Self::Lost => "lost",
            Self::Removed => "removed",
            Self::Fixed => "fixed",
            Self::New => "new",
            Self::Changed => "changed",
        }
    }

    fn paint(self) -> Paint {
        match self {
            Self::Regression | Self::NewTrouble => Paint::Bad,
            Self::Lost | Self::Removed => Paint::Odd,
            Self::Fixed => Paint::Good,
            Self::New | Self::Changed => Paint::Unknown,
        }
    }
}

/// Whether the candidate was meant to run all cells of the baseline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// It was: a cell that is gone makes the gate red.
    Whole,
    /// It ran a selection or a partition: cells that it lacks are counted only.
    Part,
}

/// A cell that is not the same in both runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference<'a> {
    /// The cell's path.
    pub cell: &'a str,
    /// What became of it.
    pub change: Change,
    /// In the baseline.
    pub before: Option<&'a CellResult>,
    /// In the candidate.
    pub after: Option<&'a CellResult>,
    /// Shapes of failure that are new.
    pub new_shapes: Vec<&'a str>,
}

/// Two runs compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diff<'a> {
    /// What differs, the worst first, then by path.
    pub differences: Vec<Difference<'a>>,
    /// Cells that are the same in both.
    pub unchanged: usize,
    /// What stands in the way of the comparison, or explains it: incomplete runs, other builds.
    pub notes: Vec<String>,
    scope: Scope,
    candidate_complete: bool,
}

/// Compares a candidate with the baseline.
#[must_use]
pub fn compare<'a>(baseline: &'a RunResults, candidate: &'a RunResults, scope: Scope) -> Diff<'a> {
    let index = |r: &'a RunResults| r.cells.iter().map(|c| (c.cell.as_str(), c)).collect::<BTreeMap<_, _>>();
    let (before, after) = (index(baseline), index(candidate));
    let paths: BTreeSet<&str> = before.keys().chain(after.keys()).copied().collect();
    let mut differences = Vec::new();
    let mut unchanged = 0;
    for cell in paths {
        let (before, after) = (before.get(cell).copied(), after.get(cell).copied());
        match classify(before, after) {
            None => unchanged += 1,
            Some(change) => {
                let new_shapes = new_shapes(before, after);
                differences.push(Difference { cell, change, before, after, new_shapes });
            }
        }
    }
    differences.sort_by_key(|d| (d.change, d.cell));
    let notes = notes(baseline, candidate);
    Diff { differences, unchanged, notes, scope, candidate_complete: candidate.complete }
}

fn classify(before: Option<&CellResult>, after: Option<&CellResult>) -> Option<Change> {
    match (before, after) {
        (None, None) => None,
        (None, Some(after)) => Some(appeared(after)),
        (Some(before), None) => Some(if conclusive(before) { Change::Removed } else { Change::Changed }),
        (Some(before), Some(after)) => match (conclusive(before), conclusive(after)) {
            (true, true) => judged_twice(before, after),
            (true, false) => Some(Change::Lost),
            (false, true) => Some(appeared(after)),
            (false, false) => (before.outcome != after.outcome).then_some(Change::Changed),
        },
    }
}

fn appeared(after: &CellResult) -> Change {
    if after.outcome.is_expected() { Change::New } else { Change::NewTrouble }
}

/// Whether the cell says something about the peers.
fn conclusive(cell: &CellResult) -> bool {
    cell.verdict.is_some_and(|v| v != Verdict::Inconclusive)
}

/// Both runs have a verdict: the verdict weighs most, then the shapes of failure, then steadiness.
fn judged_twice(before: &CellResult, after: &CellResult) -> Option<Change> {
    let unsteady = |cell: &CellResult| cell.outcome == Outcome::Flaky;
    match (unsteady(before), unsteady(after)) {
        // One try more or less decides what such a cell shows: nobody can be blamed for it.
        (true, true) => return None,
        (true, false) => {
            return Some(if after.verdict == Some(Verdict::Broken) {
                Change::Changed
            } else {
                Change::Fixed
            });
        }
        (false, true) if before.verdict != Some(Verdict::Broken) => return Some(Change::Regression),
        (false, true) => return Some(Change::Changed),
        (false, false) => {}
    }
    let gained = !new_shapes(Some(before), Some(after)).is_empty();
    let lost = !new_shapes(Some(after), Some(before)).is_empty();
    match after.verdict.cmp(&before.verdict) {
        std::cmp::Ordering::Greater => Some(Change::Regression),
        std::cmp::Ordering::Less => Some(Change::Fixed),
        std::cmp::Ordering::Equal if gained => Some(Change::Regression),
        std::cmp::Ordering::Equal if lost => Some(Change::Fixed),
        std::cmp::Ordering::Equal => {
            let seen =
                |c: &CellResult| (c.outcome, c.summary.clone(), c.negotiated.clone(), c.suspects.clone());
            (seen(before) != seen(after)).then_some(Change::Changed)
        }
    }
}

fn new_shapes<'a>(before: Option<&CellResult>, after: Option<&'a CellResult>) -> Vec<&'a str> {
    let old = before.map(|c| c.shapes.as_slice()).unwrap_or_default();
    let new = after.map(|c| c.shapes.as_slice()).unwrap_or_default();
    new.iter().filter(|s| !old.contains(s)).map(String::as_str).collect()
}

fn notes(baseline: &RunResults, candidate: &RunResults) -> Vec<String> {
    let mut notes = Vec::new();
    if !baseline.complete {
        notes.push("the baseline is incomplete: what it lacks counts as new".to_owned());
    }
    if !candidate.complete {
        notes.push("the candidate is incomplete: the comparison is red until it is not".to_owned());
    }
    if baseline.matrix != candidate.matrix {
        notes.push(format!("the matrices differ: {} and {}", baseline.matrix, candidate.matrix));
    }
    for build in &candidate.builds {
        // One id may have been run from several sources.
        let same = |old: &BuildRecord| old.digest == build.digest && old.source == build.source;
        let mut before = crate::grid::builds(baseline, &build.protocol, &build.id);
        match before.clone().find(|old| same(old)).or_else(|| before.next()) {
            None => notes.push(format!("build {}/{} is not in the baseline", build.protocol, build.id)),
            Some(old) if !same(old) => {
                let digest = |d: &Option<String>| d.clone().unwrap_or_else(|| "none".into());
                notes.push(format!(
                    "build {}/{} is another one: {} {} became {} {}",
                    build.protocol,
                    build.id,
                    old.source,
                    digest(&old.digest),
                    build.source,
                    digest(&build.digest)
                ));
            }
            Some(_) => {}
        }
    }
    notes
}

impl Diff<'_> {
    /// Whether a change makes the gate red.
    #[must_use]
    pub fn is_worse(&self, change: Change) -> bool {
        match change {
            Change::Regression | Change::NewTrouble | Change::Lost => true,
            Change::Removed => self.scope == Scope::Whole,
            Change::Fixed | Change::New | Change::Changed => false,
        }
    }

    /// Whether the candidate must not pass.
    #[must_use]
    pub fn is_red(&self) -> bool {
        !self.candidate_complete || self.differences.iter().any(|d| self.is_worse(d.change))
    }

    /// How many cells changed in this way.
    #[must_use]
    pub fn count(&self, change: Change) -> usize {
        self.differences.iter().filter(|d| d.change == change).count()
    }

    /// For a terminal: what got worse with its reproduction line, what else changed, notes, and a last line.
    #[must_use]
    pub fn render(&self, style: Style) -> String {
        let mut out = String::new();
        for change in Change::ALL {
            let cells: Vec<_> = self.differences.iter().filter(|d| d.change == change).collect();
            if cells.is_empty() {
                continue;
            }
            let red = if self.is_worse(change) { ", red" } else { "" };
            let head = Text::new(change.paint(), change.word())
                .with(Paint::Dim, &format!(" ({}{red})", cells.len()));
            push_line(&mut out, &head.render(style));
            for difference in cells {
                self.difference(difference, style, &mut out);
            }
            out.push('\n');
        }
        for note in &self.notes {
            hanging(&mut out, &Text::new(Paint::Dim, "note: ").with(Paint::Plain, note), 0, style);
        }
        push_line(&mut out, &self.last_line().render(style));
        out
    }

    fn difference(&self, difference: &Difference<'_>, style: Style, out: &mut String) {
        hanging(out, &Text::plain(difference.cell), 2, style);
        let mut text = seen(difference.before).with(Paint::Dim, " -> ").join(seen(difference.after));
        if !difference.new_shapes.is_empty() {
            text = text.with(Paint::Bad, &format!(" [new: {}]", difference.new_shapes.join(", ")));
        }
        hanging(out, &text, 4, style);
        if let Some(after) = difference.after.filter(|_| self.is_worse(difference.change)) {
            push_line(out, &format!("    {}", failure::reproduction(after).render(style)));
        }
    }

    fn last_line(&self) -> Text {
        let (paint, word) = if self.is_red() { (Paint::Bad, "worse") } else { (Paint::Good, "not worse") };
        let counts: Vec<_> = Change::ALL
            .into_iter()
            .filter(|change| self.count(*change) > 0)
            .map(|change| format!("{} {}", self.count(change), change.word()))
            .chain([format!("{} unchanged", self.unchanged)])
            .collect();
        Text::plain("Against the baseline: ")
            .with(paint, word)
            .with(
                Paint::Plain,
                &format!("; {} compared: ", count(self.differences.len() + self.unchanged, "cell")),
            )
            .with(Paint::Plain, &counts.join(", "))
    }
}

fn seen(cell: Option<&CellResult>) -> Text {
    let Some(cell) = cell else { return Text::new(Paint::Dim, "not planned") };
    let text = Mark::of(cell).text();
    let why =
        if cell.summary.is_empty() { cell.reason.as_deref().unwrap_or_default() } else { &cell.summary };
    if why.is_empty() { text } else { text.with(Paint::Plain, ": ").with(Paint::Plain, why) }
}

fn hanging(out: &mut String, text: &Text, indent: usize, style: Style) {
    for line in text.fit(style).wrap(style.columns().saturating_sub(indent)) {
        push_line(out, &format!("{}{}", " ".repeat(indent), line.render(style)));
    }
}
