//! Annotations for GitHub Actions: workflow commands, one a line, that the runner picks out of the log.
//!
//! GitHub shows ten errors and ten warnings of a step and drops the others without a word, so the last one
//! that is shown says how many there are.
//!
//! ```text
//! ::error title=<property>::<data>
//! ```

use std::collections::BTreeMap;

use verdict::{CellResult, Outcome, RunResults};

use crate::fold::failures;
use crate::text::count;
use crate::{Mark, escape, failure};

/// Annotations of one level that GitHub shows.
pub const SHOWN_MAX: usize = 10;

/// The commands: errors for what is not as expected, warnings for unavailable builds.
#[must_use]
pub fn render(results: &RunResults) -> String {
    let mut errors = Vec::new();
    if !results.complete {
        let text = "The run was interrupted, or a part of it could not be done.".to_owned();
        errors.push(("Incomplete run".to_owned(), text));
    }
    errors.extend(results.complaints.iter().map(|c| ("Complaint".to_owned(), escape(c))));
    errors.extend(failures(results).into_iter().map(|cell| (title(cell), text(cell))));
    let mut reasons: BTreeMap<&str, usize> = BTreeMap::new();
    for cell in results.cells.iter().filter(|c| c.outcome == Outcome::MissingBuild) {
        *reasons.entry(cell.reason.as_deref().unwrap_or("no reason is given")).or_default() += 1;
    }
    let warning = |(reason, n)| {
        ("Missing build".to_owned(), format!("{} did not run: {}", count(n, "cell"), escape(reason)))
    };
    let mut out = commands("error", errors);
    out.push_str(&commands("warning", reasons.into_iter().map(warning).collect()));
    out
}

fn title(cell: &CellResult) -> String {
    escape(&format!("{}: {}", Mark::of(cell).word(), cell.cell))
}

fn text(cell: &CellResult) -> String {
    let mut lines = Vec::new();
    if !cell.summary.is_empty() {
        lines.push(escape(&cell.summary));
    }
    if let Some(finding) = cell.findings.iter().max_by_key(|f| f.weight) {
        lines.push(escape(&finding.message));
        lines.push(format!("expected: {}", escape(&finding.expected)));
        lines.push(format!("actual: {}", escape(&finding.actual)));
    } else if let Some(reason) = &cell.reason {
        lines.push(escape(reason));
    }
    lines.push(failure::reproduction(cell).unpainted());
    lines.join("\n")
}

fn commands(level: &str, mut annotations: Vec<(String, String)>) -> String {
    let all = annotations.len();
    if all > SHOWN_MAX {
        annotations.truncate(SHOWN_MAX - 1);
        let left = all - annotations.len();
        annotations.push((
            format!("{left} more"),
            format!("{} in all; the log and the results have them", count(all, level)),
        ));
    }
    annotations
        .iter()
        .map(|(title, text)| format!("::{level} title={}::{}\n", property(title), data(text)))
        .collect()
}

/// The text must stay one line, and a percent sign must survive the runner's decoding:
/// [actions/toolkit, `packages/core/src/command.ts`], `escapeData`.
///
/// [actions/toolkit, `packages/core/src/command.ts`]: https://github.com/actions/toolkit/blob/a944251692e50709e44d95e64d43c80236b9f6af/packages/core/src/command.ts
fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

/// As [`data`], and `:` and `,` would end the property: `escapeProperty` there.
fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}
