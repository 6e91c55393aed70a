//! A line per protocol: how much was run, what came of it, and how much of that nobody expected.

use std::collections::{BTreeMap, BTreeSet};

use unicode_width::UnicodeWidthStr as _;
use verdict::{CellResult, Outcome, RunResults, Verdict};

use crate::mark::verdict_glyph;
use crate::terminal::duration;
use crate::{Paint, Style, Table, Text};

const VERDICTS: [Verdict; 5] =
    [Verdict::Compatible, Verdict::Degraded, Verdict::Refused, Verdict::Broken, Verdict::Inconclusive];

/// One line per protocol, and one for all where there are several. Verdicts that no cell has take no column.
///
/// The time is that of the cells, added up. They run side by side, so it is longer than the run; it says where the
/// run's time goes whatever the number of jobs.
///
/// Its headings are words where these fit, and the signs of the grids elsewhere; then the second text explains them.
pub(crate) fn protocols(results: &RunResults, style: Style) -> (Table, Text) {
    let rows = rows(results);
    let columns = columns(results, &rows);
    let label = rows.iter().map(|(name, _)| name.width()).max().unwrap_or(0).max(CORNER.len());
    let width: usize = columns.iter().map(|column| GAP + column.width(column.heading.width())).sum();
    let short = label + width > style.columns();
    let signs = if short { explained(&columns) } else { Text::default() };
    let columns: Vec<_> = columns.iter().map(|column| column.laid_out(short)).collect();
    let row = |(n, (name, _)): (usize, &(&str, Vec<&CellResult>))| {
        let texts = columns.iter().map(|(_, texts)| texts.get(n).cloned().unwrap_or_default());
        (Text::new(Paint::Head, name), texts.collect())
    };
    let table = Table {
        title: Text::default(),
        corner: Text::new(Paint::Dim, CORNER),
        rows: rows.iter().enumerate().map(row).collect(),
        columns: columns.iter().map(|(heading, _)| heading.clone()).collect(),
    };
    (table, signs)
}

fn explained(columns: &[Column]) -> Text {
    let short = columns.iter().filter(|column| column.sign != column.heading);
    short.enumerate().fold(Text::default(), |text, (n, column)| {
        let text = if n > 0 { text.with(Paint::Plain, "  ") } else { text };
        text.join(Text::new(Paint::Dim, &format!("{} {}", column.sign, column.heading)).unbroken())
    })
}

const CORNER: &str = "protocol";
const ALL: &str = "all";
/// Columns between two columns of a table.
const GAP: usize = 2;

type Row<'a> = (&'a str, Vec<&'a CellResult>);

fn rows(results: &RunResults) -> Vec<Row<'_>> {
    let mut by_name: BTreeMap<&str, Vec<&CellResult>> = BTreeMap::new();
    for cell in &results.cells {
        by_name.entry(&cell.protocol).or_default().push(cell);
    }
    let mut rows: Vec<_> = by_name.into_iter().collect();
    if rows.len() > 1 {
        rows.push((ALL, results.cells.iter().collect()));
    }
    rows
}

/// A column of numbers, which end below each other.
struct Column {
    heading: String,
    /// The heading where there is no room for words.
    sign: String,
    numbers: Vec<(Paint, String)>,
}

impl Column {
    fn width(&self, heading: usize) -> usize {
        self.numbers.iter().map(|(_, number)| number.len()).max().unwrap_or(0).max(heading)
    }

    fn laid_out(&self, short: bool) -> (Text, Vec<Text>) {
        let heading = if short { &self.sign } else { &self.heading };
        let width = self.width(heading.width());
        let text = |paint: Paint, text: &str| {
            let pad = " ".repeat(width.saturating_sub(text.width()));
            Text::new(paint, &format!("{pad}{text}")).unbroken()
        };
        let numbers = self.numbers.iter().map(|(paint, number)| text(*paint, number)).collect();
        (text(Paint::Dim, heading), numbers)
    }
}

fn columns(results: &RunResults, rows: &[Row<'_>]) -> Vec<Column> {
    let column = |heading: &str, sign: &str, number: &dyn Fn(&[&CellResult]) -> (Paint, String)| Column {
        heading: heading.to_owned(),
        sign: sign.to_owned(),
        numbers: rows.iter().map(|(_, cells)| number(cells)).collect(),
    };
    let plain = |n: usize| (Paint::Plain, n.to_string());
    let mut columns = vec![
        column("pairs", "pairs", &|cells| plain(pairs(cells))),
        column("cells", "cells", &|cells| plain(cells.len())),
    ];
    for verdict in VERDICTS.into_iter().filter(|v| results.cells.iter().any(|c| c.verdict == Some(*v))) {
        let sign = verdict_glyph(verdict).to_string();
        columns.push(column(&verdict.to_string(), &sign, &|cells| {
            counted(results, cells, |c| c.verdict == Some(verdict), paint(verdict))
        }));
    }
    if results.cells.iter().any(|c| c.verdict.is_none()) {
        columns.push(column("not run", "-", &|cells| {
            let odd = cells.iter().any(|c| c.verdict.is_none() && c.outcome != Outcome::Skipped);
            let paint = if odd { Paint::Odd } else { Paint::Unknown };
            counted(results, cells, |c| c.verdict.is_none(), paint)
        }));
    }
    columns
        .push(column("red", "red", &|cells| counted(results, cells, |c| !results.tolerates(c), Paint::Bad)));
    columns.push(column("time in cells", "time in cells", &|cells| {
        (Paint::Dim, duration(cells.iter().map(|c| c.duration_ms).fold(0, u64::saturating_add)))
    }));
    columns
}

fn pairs(cells: &[&CellResult]) -> usize {
    let pairs: BTreeSet<_> =
        cells.iter().map(|c| (c.protocol.as_str(), c.client.as_str(), c.server.as_str())).collect();
    pairs.len()
}

/// How many cells are so. What is bad and known is painted as bad only where some of it is not known.
fn counted(
    results: &RunResults,
    cells: &[&CellResult],
    so: impl Fn(&CellResult) -> bool,
    paint: Paint,
) -> (Paint, String) {
    let these: Vec<_> = cells.iter().filter(|c| so(c)).collect();
    let paint = match (these.is_empty(), paint) {
        (true, _) => Paint::Dim,
        (false, Paint::Known) if these.iter().any(|c| !results.tolerates(c)) => Paint::Bad,
        (false, paint) => paint,
    };
    (paint, these.len().to_string())
}

fn paint(verdict: Verdict) -> Paint {
    match verdict {
        Verdict::Compatible => Paint::Good,
        Verdict::Degraded | Verdict::Refused => Paint::Fair,
        Verdict::Broken => Paint::Known,
        Verdict::Inconclusive => Paint::Odd,
    }
}
