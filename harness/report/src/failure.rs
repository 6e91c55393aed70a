//! What a reader needs to understand one cell that did not end as expected, and to see it again.

use verdict::{Blame, CellResult, Finding, Outcome, RunResults, Weight};

use crate::grid::builds;
use crate::hexdump;
use crate::table::push_line;
use crate::{Mark, Paint, Style, Text};

const LABEL: usize = 12;
const INDENT: usize = 2;

/// The whole block of one cell.
pub(crate) fn block(results: &RunResults, cell: &CellResult, style: Style) -> String {
    let mut page = Page { style, out: String::new() };
    let mark = Mark::of(cell);
    page.line(0, &mark.text().with(Paint::Plain, "  ").with(Paint::Head, &cell.cell));
    page.verdict(cell);
    page.side(results, cell, "client", &cell.client);
    page.side(results, cell, "server", &cell.server);
    page.context(results, cell);
    for (n, finding) in cell.findings.iter().enumerate() {
        page.finding(n + 1, finding);
    }
    page.first_frame(cell);
    page.reproduction(cell);
    page.out
}

/// One line for a cell, for lists: mark, path, what happened.
pub(crate) fn line(cell: &CellResult) -> Text {
    let text = Mark::of(cell).text().with(Paint::Plain, "  ").with(Paint::Plain, &cell.cell);
    if cell.summary.is_empty() {
        return text;
    }
    text.with(Paint::Dim, ": ").with(Paint::Plain, &cell.summary)
}

/// The line that repeats a cell, or the admission that there is none.
pub(crate) fn reproduction(cell: &CellResult) -> Text {
    match &cell.reproduction {
        Some(again) => Text::new(Paint::Head, "Reproduce with: ").with(Paint::Plain, &again.command),
        None => Text::new(Paint::Odd, "No reproduction line was recorded for this cell."),
    }
}

struct Page {
    style: Style,
    out: String,
}

impl Page {
    /// A line, continued under its own start where it is too long.
    fn line(&mut self, indent: usize, text: &Text) {
        self.hanging(indent, &Text::default(), 0, text);
    }

    fn field(&mut self, indent: usize, label: &str, text: &Text) {
        self.hanging(indent, &Text::new(Paint::Dim, label), LABEL, text);
    }

    fn hanging(&mut self, indent: usize, label: &Text, label_width: usize, text: &Text) {
        let text = text.fit(self.style);
        let width = self.style.columns().saturating_sub(indent + label_width).max(LABEL);
        for (n, part) in text.wrap(width).iter().enumerate() {
            let head = if n == 0 { label.clone() } else { Text::default() };
            let pad = " ".repeat(label_width.saturating_sub(head.width()));
            let line =
                format!("{}{}{pad}{}", " ".repeat(indent), head.render(self.style), part.render(self.style));
            push_line(&mut self.out, line.trim_end_matches(' '));
        }
    }

    fn verdict(&mut self, cell: &CellResult) {
        let verdict = cell.verdict.map_or_else(|| "did not run".to_owned(), |v| v.to_string());
        let mut text = Text::plain(&format!("{verdict}, {}", outcome_phrase(cell.outcome)));
        if !cell.shapes.is_empty() {
            text = text.with(Paint::Dim, &format!(" [{}]", cell.shapes.join(", ")));
        }
        self.field(INDENT, "verdict", &text);
        if !cell.summary.is_empty() {
            self.field(INDENT, "what", &Text::plain(&cell.summary));
        }
        if let Some(negotiated) = &cell.negotiated {
            self.field(INDENT, "dialect", &Text::plain(negotiated));
        }
        if !cell.suspects.is_empty() {
            self.field(INDENT, "may be", &Text::plain(&cell.suspects.join(" or ")));
        }
    }

    fn side(&mut self, results: &RunResults, cell: &CellResult, label: &str, id: &str) {
        let mut known = false;
        // One id may have been run from several sources, and a cell does not say from which.
        for record in builds(results, &cell.protocol, id) {
            known = true;
            let head = format!(": version {}, dialect {}, {}", record.version, record.dialect, record.source);
            let mut text = Text::new(Paint::Head, id).with(Paint::Plain, &head);
            if !record.detail.is_empty() && record.detail != record.source {
                text = text.with(Paint::Plain, " ").with(Paint::Plain, &record.detail);
            }
            let digest = record.digest.as_deref().unwrap_or("none");
            let text = text.with(Paint::Dim, ", digest ").with(Paint::Dim, digest);
            let missing = record.missing.iter().map(|why| format!(", missing: {why}")).collect::<String>();
            self.field(INDENT, label, &text.with(Paint::Odd, &missing));
        }
        if !known {
            let is_probe = id == matrix::BuildId::PROBE;
            let what =
                if is_probe { ": a script of wireskew" } else { ": not among the builds of these results" };
            self.field(INDENT, label, &Text::new(Paint::Head, id).with(Paint::Plain, what));
        }
    }

    fn context(&mut self, results: &RunResults, cell: &CellResult) {
        let seed = cell.reproduction.as_ref().map_or(results.seed, |again| again.seed);
        self.field(INDENT, "seed", &Text::plain(&seed.to_string()));
        let fields = [("reason", &cell.reason), ("bug", &cell.bug), ("transcript", &cell.transcript)];
        for (label, value) in fields {
            if let Some(value) = value {
                self.field(INDENT, label, &Text::plain(value));
            }
        }
        if !cell.retries.is_empty() {
            self.field(INDENT, "earlier", &Text::plain(&format!("tries ended {}", cell.retries.join(", "))));
        }
    }

    fn finding(&mut self, number: usize, finding: &Finding) {
        let (weight, paint) = match finding.weight {
            Weight::Note => ("note", Paint::Dim),
            Weight::Restriction => ("restriction", Paint::Fair),
            Weight::Refusal => ("refusal", Paint::Fair),
            Weight::Violation => ("violation", Paint::Bad),
        };
        let head = Text::plain(&format!("{number}. "))
            .with(paint, &format!("{weight} {}/{}", finding.check, finding.shape))
            .with(Paint::Plain, &format!(", blame: {}. {}", blame(finding.blame), finding.message));
        self.line(INDENT, &head);
        let indent = INDENT + 3;
        self.field(indent, "expected", &Text::plain(&finding.expected));
        self.field(indent, "actual", &Text::plain(&finding.actual));
        let rule = Text::plain(&finding.rule.text).with(Paint::Dim, &format!(" ({})", finding.rule.source));
        self.field(indent, "rule", &rule);
    }

    fn first_frame(&mut self, cell: &CellResult) {
        let weighty = cell.findings.iter().filter(|f| f.weight >= Weight::Refusal);
        let Some((finding, frame)) = weighty.chain(&cell.findings).find_map(|f| Some((f, f.frame.as_ref()?)))
        else {
            return;
        };
        let head = format!(
            "first differing frame ({}/{}): {}, connection {}, event {}",
            finding.check, finding.shape, frame.dir, frame.conn, frame.event
        );
        self.line(INDENT, &Text::plain(&head));
        for line in hexdump::lines(frame) {
            // Never wrapped: a dump is of fixed width, and broken it could not be read.
            let line = format!("{}{}", " ".repeat(INDENT + 3), line.render(self.style));
            push_line(&mut self.out, line.trim_end_matches(' '));
        }
        for field in &frame.decoded {
            self.line(INDENT + 3, &Text::plain(field));
        }
    }

    /// Never wrapped: it is there to be copied.
    fn reproduction(&mut self, cell: &CellResult) {
        let line = reproduction(cell).render(self.style);
        push_line(&mut self.out, &format!("{}{line}", " ".repeat(INDENT)));
    }
}

fn outcome_phrase(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Pass => "as expected (pass)",
        Outcome::Fail => "not expected (fail)",
        Outcome::Xfail => "as an expectation says (xfail)",
        Outcome::Xpass => "but an expectation says otherwise (xpass)",
        Outcome::Flaky => "but not in every try (flaky)",
        Outcome::Skipped => "left out (skipped)",
        Outcome::MissingBuild => "a build is unavailable (missing-build)",
        Outcome::HarnessError => "wireskew failed (harness-error)",
    }
}

pub(crate) fn blame(blame: Blame) -> &'static str {
    match blame {
        Blame::Client => "client",
        Blame::Server => "server",
        Blame::Harness => "harness",
    }
}
