//! The report as one HTML file that needs nothing else: no script, no network, no font. Each place of a grid
//! opens a drawer with its cells, and each cell that is not plain good opens one with the whole block that the
//! terminal would show.
//!
//! Every text goes through [`Text`], which escapes what a terminal would obey, and then through maud, which
//! escapes what a browser would.

use std::collections::BTreeMap;

use maud::{DOCTYPE, Markup, html};
use verdict::{CellResult, Outcome, RunResults};

use crate::fold::failures;
use crate::grid::{Group, groups, heading, server_heading};
use crate::mark::counts;
use crate::terminal::{duration, summary_line};
use crate::{Accounts, Mark, Paint, Style, Table, Text, failure, grid};

const WIDTH: usize = 110;

const STYLE: &str = "
:root { color-scheme: light dark; font-family: sans-serif; }
body { margin: 1rem 2rem; }
table { border-collapse: collapse; margin: .5rem 0 1.5rem; }
th, td { border: 1px solid #8886; padding: .25rem .5rem; text-align: left; vertical-align: top; }
pre { overflow-x: auto; padding: .5rem; border: 1px solid #8886; }
summary { cursor: pointer; }
.head { font-weight: bold; }
.dim { opacity: .7; }
.good { color: light-dark(#176117, #7bd67b); }
.fair { color: light-dark(#0b5a73, #76c7e0); }
.known { color: light-dark(#7a5200, #e0b050); }
.bad { color: light-dark(#b00020, #ff7a85); font-weight: bold; }
.odd { color: light-dark(#8a1a8a, #e88be8); font-weight: bold; }
.unknown { color: light-dark(#2a4b9b, #8eaaf0); }
";

/// The whole file.
#[must_use]
pub fn render(results: &RunResults) -> String {
    let good = Accounts::of(results).as_expected(results);
    let title = if good { "as expected" } else { "NOT as expected" };
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                // Nothing is loaded and nothing runs, whatever a peer got into a text.
                meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'";
                meta name="viewport" content="width=device-width";
                title { "Compatibility: " (title) }
                style { (maud::PreEscaped(STYLE)) }
            }
            body {
                h1 { "Compatibility: " (title) }
                p { (text(&summary_line(results))) }
                @if !results.complete {
                    p.bad { "Incomplete: the run was interrupted, or a part of it could not be done." }
                }
                (facts(results))
                (complaints(results))
                (missing(results))
                (unexpected(results))
                @for group in groups(results) { (group_grid(results, &group)) }
                (known(results))
                @for answers in grid::probes(results) { (table(&answers)) }
                (builds(results))
            }
        }
    };
    page.into_string() + "\n"
}

fn class(paint: Paint) -> &'static str {
    match paint {
        Paint::Plain => "",
        Paint::Head => "head",
        Paint::Dim => "dim",
        Paint::Good => "good",
        Paint::Fair => "fair",
        Paint::Known => "known",
        Paint::Bad => "bad",
        Paint::Odd => "odd",
        Paint::Unknown => "unknown",
    }
}

fn text(text: &Text) -> Markup {
    html! {
        @for span in text.spans() {
            @if span.paint() == Paint::Plain { (span.text()) } @else { span class=(class(span.paint())) { (span.text()) } }
        }
    }
}

fn plain(value: &str) -> Markup {
    text(&Text::plain(value))
}

fn facts(results: &RunResults) -> Markup {
    let facts = [
        ("producer", results.producer.clone()),
        ("matrix", results.matrix.clone()),
        ("partition", results.partition.clone().unwrap_or_else(|| "all".into())),
        ("started", results.started.clone()),
        ("duration", duration(results.duration_ms)),
        ("seed", results.seed.to_string()),
    ];
    html! {
        table {
            @for (name, value) in &facts { tr { th { (name) } td { (plain(value)) } } }
        }
    }
}

fn complaints(results: &RunResults) -> Markup {
    html! {
        @if !results.complaints.is_empty() {
            h2 { "Complaints, which make the run red" }
            ul { @for complaint in &results.complaints { li { (plain(complaint)) } } }
        }
    }
}

fn missing(results: &RunResults) -> Markup {
    let missing: Vec<_> = grid::missing_builds(results).collect();
    let cells = results.tally.count(Outcome::MissingBuild);
    html! {
        @if !missing.is_empty() || cells > 0 {
            h2 { "Unavailable builds (cells that did not run: " (cells) ")" }
            ul { @for (build, why) in missing { li { (plain(&build.protocol)) "/" (plain(&build.id)) ": " (plain(why)) } } }
        }
    }
}

/// The cells that are not as expected, open; they are what the reader came for.
fn unexpected(results: &RunResults) -> Markup {
    let failures = failures(results);
    html! {
        @if !failures.is_empty() {
            h2 { "Not as expected (" (failures.len()) ")" }
            @for cell in failures { (drawer(results, cell)) }
        }
    }
}

/// One cell: a line, with the whole block behind it where there is more to say.
fn drawer(results: &RunResults, cell: &CellResult) -> Markup {
    let line = failure::line(cell);
    html! {
        @if Mark::of(cell).is_plain_good() {
            div { (text(&line)) }
        } @else {
            details {
                summary { (text(&line)) }
                pre { (failure::block(results, cell, Style::plain(WIDTH))) }
            }
        }
    }
}

fn group_grid(results: &RunResults, group: &Group<'_>) -> Markup {
    let (clients, servers) = (group.clients(results), group.servers(results));
    let at: BTreeMap<_, _> = group.by_pair();
    html! {
        h2 { (text(&group.heading())) }
        table {
            tr {
                th { "client \\ server" }
                @for server in &servers { th { (text(&server_heading(results, group.protocol, server))) } }
            }
            @for client in &clients {
                tr {
                    th { (text(&heading(results, group.protocol, client))) }
                    @for server in &servers {
                        td {
                            @if let Some(cells) = at.get(&(*client, *server)) {
                                details {
                                    summary { (text(&counts(cells))) }
                                    @for cell in cells { (drawer(results, cell)) }
                                }
                            } @else { span.dim { "not planned" } }
                        }
                    }
                }
            }
        }
    }
}

fn known(results: &RunResults) -> Markup {
    let known = grid::known(results);
    html! {
        @if !known.is_empty() {
            h2 { "Broken as expected" }
            table {
                tr { th { "bug" } th { "reason" } th { "cells" } }
                @for bug in &known {
                    tr {
                        td { (plain(bug.bug.unwrap_or("none named"))) }
                        td { (plain(bug.reason)) }
                        td { details {
                            summary { (bug.cells.len()) }
                            @for cell in &bug.cells { div { (plain(&cell.cell)) } }
                        } }
                    }
                }
            }
        }
    }
}

fn table(table: &Table) -> Markup {
    html! {
        h2 { (text(&table.title)) }
        table {
            tr {
                th { (text(&table.corner)) }
                @for column in &table.columns { th { (text(column)) } }
            }
            @for (label, row) in &table.rows {
                tr { th { (text(label)) } @for cell in row { td { (text(cell)) } } }
            }
        }
    }
}

fn builds(results: &RunResults) -> Markup {
    html! {
        h2 { "Builds" }
        table {
            tr { th { "build" } th { "version" } th { "dialect" } th { "source" } th { "digest" } }
            @for build in &results.builds {
                tr {
                    td { (plain(&build.protocol)) "/" (plain(&build.id)) }
                    td { (plain(&build.version)) }
                    td { (plain(&build.dialect)) }
                    td { (plain(&build.source)) " " (plain(&build.detail)) }
                    td { (plain(build.digest.as_deref().unwrap_or("none"))) }
                }
            }
        }
    }
}
