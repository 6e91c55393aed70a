//! Tables of painted text, laid out for a width: columns shrink and wrap, and where even that is not
//! enough the table is continued below with the remaining columns.

use crate::{Paint, Style, Text};

/// Rows with a label, columns with a heading.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    /// What it shows; may be empty.
    pub title: Text,
    /// What its rows and columns are, e.g. `client \ server`.
    pub corner: Text,
    /// Headings.
    pub columns: Vec<Text>,
    /// Label and one text for each column.
    pub rows: Vec<(Text, Vec<Text>)>,
}

const GAP: usize = 2;
/// A column is not made narrower than this, nor than its longest word up to `COLUMN_WORD_MAX`.
const COLUMN_MIN: usize = 12;
const COLUMN_WORD_MAX: usize = 24;

impl Table {
    /// Writes it for a terminal.
    #[must_use]
    pub fn render(&self, style: Style) -> String {
        let table = self.fit(style);
        let label_width = table.label_width(style);
        let room = style.columns().saturating_sub(label_width);
        let mut out = String::new();
        if table.title.width() > 0 {
            for line in table.title.wrap(style.columns()) {
                push_line(&mut out, &line.render(style));
            }
        }
        let mut first = 0;
        while first < table.columns.len() {
            let widths = table.column_widths(first, room);
            if first > 0 {
                push_line(&mut out, "");
            }
            table.part(first, label_width, &widths, style, &mut out);
            first += widths.len();
        }
        out
    }

    /// The table in what the style can write; a row with too few texts is filled up.
    fn fit(&self, style: Style) -> Self {
        let texts = |texts: &[Text]| texts.iter().map(|t| t.fit(style)).collect::<Vec<_>>();
        let rows = self.rows.iter().map(|(label, row)| {
            let mut row = texts(row);
            row.resize(self.columns.len(), Text::default());
            (label.fit(style), row)
        });
        Self {
            title: self.title.fit(style),
            corner: self.corner.fit(style),
            columns: texts(&self.columns),
            rows: rows.collect(),
        }
    }

    fn label_width(&self, style: Style) -> usize {
        let labels = self.rows.iter().map(|(label, _)| label).chain([&self.corner]);
        labels.map(Text::width).max().unwrap_or(0).min((style.columns() / 3).max(COLUMN_MIN))
    }

    fn column(&self, n: usize) -> impl Iterator<Item = &Text> {
        self.columns.get(n).into_iter().chain(self.rows.iter().filter_map(move |(_, row)| row.get(n)))
    }

    /// Widths of as many columns from `first` on as fit, one at least.
    fn column_widths(&self, first: usize, room: usize) -> Vec<usize> {
        let mut widths = Vec::new();
        let mut wanted = Vec::new();
        let mut used = 0;
        for n in first..self.columns.len() {
            let natural = self.column(n).map(Text::width).max().unwrap_or(0).max(1);
            let word = self.column(n).map(Text::longest_word).max().unwrap_or(0).min(COLUMN_WORD_MAX);
            let narrowest = natural.min(word.max(COLUMN_MIN));
            if used + GAP + narrowest > room && !widths.is_empty() {
                break;
            }
            widths.push(narrowest.min(room.saturating_sub(GAP).max(COLUMN_MIN)));
            wanted.push(natural);
            used += GAP + narrowest;
        }
        let mut spare = room.saturating_sub(used);
        while spare > 0 && widths.iter().zip(&wanted).any(|(w, n)| w < n) {
            for (width, natural) in widths.iter_mut().zip(&wanted) {
                if spare > 0 && *width < *natural {
                    *width += 1;
                    spare -= 1;
                }
            }
        }
        widths
    }

    fn part(&self, first: usize, label_width: usize, widths: &[usize], style: Style, out: &mut String) {
        let columns = first..first + widths.len();
        let row = |label: &Text, texts: &[Text], out: &mut String| {
            let mut cells = vec![(label.wrap(label_width), label_width)];
            cells.extend(texts.iter().zip(widths).map(|(text, width)| (text.wrap(*width), *width)));
            let height = cells.iter().map(|(lines, _)| lines.len()).max().unwrap_or(0);
            for n in 0..height {
                let line = cells.iter().map(|(lines, width)| (lines.get(n), *width));
                push_line(out, &row_line(line, style));
            }
        };
        row(&self.corner, self.columns.get(columns.clone()).unwrap_or_default(), out);
        let total = label_width + widths.iter().map(|w| w + GAP).sum::<usize>();
        push_line(out, &Text::new(Paint::Dim, &"─".repeat(total)).render(style));
        for (label, texts) in &self.rows {
            row(label, texts.get(columns.clone()).unwrap_or_default(), out);
        }
    }
}

/// Pads every text but the last of a line, so that no line ends in spaces.
fn row_line<'a>(cells: impl Iterator<Item = (Option<&'a Text>, usize)>, style: Style) -> String {
    let mut line = String::new();
    let mut owed = 0;
    for (text, width) in cells {
        let taken = match text {
            Some(text) if text.width() > 0 => {
                line.push_str(&" ".repeat(owed));
                owed = 0;
                line.push_str(&text.render(style));
                text.width()
            }
            _ => 0,
        };
        owed += width.saturating_sub(taken) + GAP;
    }
    line
}

/// Adds a line. A CI runner would take one that begins with `::` for a command; wrapping may have put the
/// `::` of a peer's text there.
pub(crate) fn push_line(out: &mut String, line: &str) {
    let text = line.trim_start();
    match text.strip_prefix("::") {
        None => out.push_str(line),
        Some(rest) => {
            out.push_str(&" ".repeat(line.len() - text.len()));
            out.push_str(":\\u{3a}");
            out.push_str(rest);
        }
    }
    out.push('\n');
}
