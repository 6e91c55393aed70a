//! Results arranged for the eye: which cell stands in which table, row and column.
//!
//! Three levels. The overview has one table per protocol and kind of case, clients as rows and servers as
//! columns. Probes have a table of their own with the answer of each server, and operations one each where
//! the pairs differ. Known bugs are gathered by bug.

use std::collections::{BTreeMap, BTreeSet};

use verdict::{BuildRecord, CellResult, Outcome, RunResults};

use crate::mark::counts;
use crate::text::{count, shorten};
use crate::{Mark, Paint, Table, Text};

/// The client that is a script of wireskew's own.
const SCRIPT: &str = matrix::BuildId::PROBE;

/// A table is for the eye: longer texts stand in full in the failures and in the JSON results.
const SUMMARY_MAX: usize = 90;
const NAME_MAX: usize = 30;

/// One table per protocol and kind of case: clients as rows, servers as columns.
#[must_use]
pub fn overview(results: &RunResults) -> Vec<Table> {
    groups(results).into_iter().map(|group| group.overview(results)).collect()
}

/// One table per protocol: a row for each probe, a column for each server with its answer. Servers that gave
/// the same answers throughout share a column.
#[must_use]
pub fn probes(results: &RunResults) -> Vec<Table> {
    groups(results).into_iter().filter(|g| g.kind == "probe").map(|group| group.answers(results)).collect()
}

/// Operations and scenarios of one protocol.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operations {
    /// What it shows.
    pub title: Text,
    /// Cases that went the same way in every pair: the common mark, the number of pairs, the cases.
    pub alike: Vec<(Mark, usize, Vec<String>)>,
    /// One table for each of the others.
    pub tables: Vec<Table>,
}

/// Operations and scenarios, case by case: which pairs differ.
#[must_use]
pub fn operations(results: &RunResults) -> Vec<Operations> {
    let wanted = |g: &Group<'_>| g.kind == "client" || g.kind == "scenario";
    groups(results).into_iter().filter(wanted).map(|group| group.operations(results)).collect()
}

/// A bug that expectations name, and where it was seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known<'a> {
    /// The bug.
    pub bug: Option<&'a str>,
    /// The reason that the expectation gives.
    pub reason: &'a str,
    /// Cells that failed as expected.
    pub cells: Vec<&'a CellResult>,
}

/// What failed as expected, by bug and reason.
#[must_use]
pub fn known(results: &RunResults) -> Vec<Known<'_>> {
    let mut known: BTreeMap<(Option<&str>, &str), Vec<&CellResult>> = BTreeMap::new();
    for cell in results.cells.iter().filter(|c| c.outcome == Outcome::Xfail) {
        let reason = cell.reason.as_deref().unwrap_or("no reason is given");
        known.entry((cell.bug.as_deref(), reason)).or_default().push(cell);
    }
    let known = known.into_iter().map(|((bug, reason), cells)| Known { bug, reason, cells });
    let (named, unnamed): (Vec<_>, Vec<_>) = known.partition(|k| k.bug.is_some());
    named.into_iter().chain(unnamed).collect()
}

/// Unavailable builds.
pub fn missing_builds(results: &RunResults) -> impl Iterator<Item = (&BuildRecord, &str)> {
    results.builds.iter().filter_map(|b| b.missing.as_deref().map(|why| (b, why)))
}

/// The records of a build: one for each source that it was run from.
pub(crate) fn builds<'a>(
    results: &'a RunResults,
    protocol: &str,
    id: &str,
) -> impl Iterator<Item = &'a BuildRecord> + Clone {
    results.builds.iter().filter(move |build| build.protocol == protocol && build.id == id)
}

/// The first of them, if there is one: what it is, whatever it was run from.
pub(crate) fn build<'a>(results: &'a RunResults, protocol: &str, id: &str) -> Option<&'a BuildRecord> {
    builds(results, protocol, id).next()
}

/// The cells of one protocol and one kind of case.
pub(crate) struct Group<'a> {
    pub(crate) protocol: &'a str,
    kind: &'a str,
    cells: Vec<&'a CellResult>,
}

fn kind(case: &str) -> &str {
    case.split_once('/').map_or(case, |(kind, _)| kind)
}

fn kind_rank(kind: &str) -> usize {
    ["client", "replay", "probe", "scenario"].iter().position(|k| *k == kind).unwrap_or(usize::MAX)
}

/// Protocols by name; within each the kinds in their order, unknown kinds last; within each kind the blocks of
/// builds that meet each other, so that a table has no corner in which nothing was planned.
pub(crate) fn groups(results: &RunResults) -> Vec<Group<'_>> {
    let mut kinds: BTreeMap<(&str, usize, &str), Vec<&CellResult>> = BTreeMap::new();
    for cell in &results.cells {
        let kind = kind(&cell.case);
        kinds.entry((&cell.protocol, kind_rank(kind), kind)).or_default().push(cell);
    }
    let mut groups = Vec::new();
    for ((protocol, _, kind), cells) in kinds {
        let whole = Group { protocol, kind, cells };
        let mut blocks = whole.blocks();
        let position = |id: &str| position(results, protocol, id);
        blocks.sort_by_key(|block| {
            block.cells.iter().map(|c| (position(&c.server), position(&c.client))).min()
        });
        groups.extend(blocks);
    }
    groups
}

/// Where the results list a build; behind all others if they do not.
fn position(results: &RunResults, protocol: &str, id: &str) -> usize {
    results.builds.iter().position(|b| b.protocol == protocol && b.id == id).unwrap_or(usize::MAX)
}

impl<'a> Group<'a> {
    /// The cells apart by builds that meet: no client of one block meets a server of another.
    fn blocks(self) -> Vec<Self> {
        let pairs: BTreeSet<_> = self.cells.iter().map(|c| (c.client.as_str(), c.server.as_str())).collect();
        let mut blocks: Vec<(BTreeSet<&str>, BTreeSet<&str>)> = Vec::new();
        for (client, server) in pairs {
            let (mut clients, mut servers) = (BTreeSet::from([client]), BTreeSet::from([server]));
            blocks.retain_mut(|block| {
                let meets = block.0.contains(client) || block.1.contains(server);
                if meets {
                    clients.append(&mut block.0);
                    servers.append(&mut block.1);
                }
                !meets
            });
            blocks.push((clients, servers));
        }
        let Self { protocol, kind, cells } = self;
        let inside = |clients: &BTreeSet<&str>| {
            cells.iter().copied().filter(|c| clients.contains(c.client.as_str())).collect()
        };
        blocks.iter().map(|(clients, _)| Self { protocol, kind, cells: inside(clients) }).collect()
    }

    /// Ids of the builds on one side, in the order in which the results list builds, others behind.
    fn side(&self, results: &RunResults, id: impl Fn(&'a CellResult) -> &'a str) -> Vec<&'a str> {
        let mut ids: Vec<_> = self.cells.iter().map(|c| id(c)).collect();
        ids.sort_by_key(|id| (position(results, self.protocol, id), *id));
        ids.dedup();
        ids
    }

    pub(crate) fn servers(&self, results: &RunResults) -> Vec<&'a str> {
        self.side(results, |c| &c.server)
    }

    pub(crate) fn clients(&self, results: &RunResults) -> Vec<&'a str> {
        self.side(results, |c| &c.client)
    }

    fn title(&self, cases: usize) -> Text {
        let what = match (self.kind, cases) {
            ("client", 1) => "client operation",
            ("client", _) => "client operations",
            ("replay", 1) => "replay of a fixture",
            ("replay", _) => "replays of fixtures",
            ("probe", 1) => "probe",
            ("probe", _) => "probes",
            ("scenario", 1) => "scenario",
            ("scenario", _) => "scenarios",
            (other, _) => other,
        };
        let text = Text::new(Paint::Head, self.protocol).with(Paint::Dim, " · ");
        text.with(Paint::Head, &format!("{cases} {what}"))
            .with(Paint::Dim, &format!(", {}", count(self.cells.len(), "cell")))
    }

    fn cases(&self) -> BTreeSet<&'a str> {
        self.cells.iter().map(|c| c.case.as_str()).collect()
    }

    /// Protocol, number and kind of cases, number of cells.
    pub(crate) fn heading(&self) -> Text {
        self.title(self.cases().len())
    }

    fn overview(&self, results: &RunResults) -> Table {
        let servers = self.servers(results);
        let at = self.by_pair();
        let rows = self.clients(results).into_iter().map(|client| {
            let row = servers.iter().map(|server| match at.get(&(client, *server)) {
                Some(cells) => counts(cells).join(negotiated(cells)),
                None => not_planned(),
            });
            (heading(results, self.protocol, client), row.collect())
        });
        Table {
            title: self.heading(),
            corner: Text::new(Paint::Dim, "client \\ server"),
            rows: rows.collect(),
            columns: servers.iter().map(|server| server_heading(results, self.protocol, server)).collect(),
        }
    }

    pub(crate) fn by_pair(&self) -> BTreeMap<(&'a str, &'a str), Vec<&'a CellResult>> {
        let mut at: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for cell in &self.cells {
            at.entry((cell.client.as_str(), cell.server.as_str())).or_default().push(*cell);
        }
        at
    }

    fn answers(&self, results: &RunResults) -> Table {
        let mut columns: Vec<(Vec<&str>, Vec<Text>)> = Vec::new();
        let rows: Vec<(&str, &str)> = self
            .cells
            .iter()
            .map(|c| (c.case.as_str(), c.client.as_str()))
            .collect::<BTreeSet<_>>()
            .into_iter()
            .collect();
        let mut at: BTreeMap<_, &CellResult> = BTreeMap::new();
        for cell in &self.cells {
            at.insert((cell.case.as_str(), cell.client.as_str(), cell.server.as_str()), cell);
        }
        for server in self.servers(results) {
            let answer = |(case, client): &(&'a str, &'a str)| {
                at.get(&(*case, *client, server)).map_or_else(not_planned, |c| answer(c))
            };
            let texts: Vec<_> = rows.iter().map(answer).collect();
            match columns.iter_mut().find(|(_, known)| *known == texts) {
                Some((servers, _)) => servers.push(server),
                None => columns.push((vec![server], texts)),
            }
        }
        let label = |n: usize, (case, client): (&str, &str)| {
            let name = case.split_once('/').map_or(case, |(_, name)| name);
            let label = if client == SCRIPT { name.to_owned() } else { format!("{name} from {client}") };
            (
                Text::plain(&label),
                columns.iter().map(|(_, texts)| texts.get(n).cloned().unwrap_or_default()).collect(),
            )
        };
        Table {
            title: self.heading().with(Paint::Dim, ": what each server does"),
            corner: Text::new(Paint::Dim, "probe \\ server"),
            rows: rows.into_iter().enumerate().map(|(n, row)| label(n, row)).collect(),
            columns: columns.iter().map(|(servers, _)| Text::new(Paint::Head, &servers.join(", "))).collect(),
        }
    }

    fn operations(&self, results: &RunResults) -> Operations {
        let mut alike: BTreeMap<(Mark, usize), Vec<String>> = BTreeMap::new();
        let mut tables = Vec::new();
        for case in self.cases() {
            let cells: Vec<_> = self.cells.iter().copied().filter(|c| c.case == case).collect();
            let marks: BTreeSet<_> = cells.iter().map(|c| Mark::of(c)).collect();
            match marks.into_iter().collect::<Vec<_>>().as_slice() {
                [mark] => alike.entry((mark.clone(), cells.len())).or_default().push(case.to_owned()),
                _ => tables.push(Group { cells, ..*self }.operation(results, case)),
            }
        }
        let title = self.heading().with(Paint::Dim, ": where the pairs differ");
        let alike = alike.into_iter().map(|((mark, pairs), cases)| (mark, pairs, cases)).collect();
        Operations { title, alike, tables }
    }

    fn operation(&self, results: &RunResults, case: &str) -> Table {
        let servers = self.servers(results);
        let at = self.by_pair();
        let rows = self.clients(results).into_iter().map(|client| {
            let row = servers.iter().map(|server| {
                let cell = at.get(&(client, *server)).and_then(|cells| cells.first());
                cell.map_or_else(not_planned, |cell| outcome(cell))
            });
            (heading(results, self.protocol, client), row.collect())
        });
        Table {
            title: Text::new(Paint::Head, self.protocol).with(Paint::Dim, " · ").with(Paint::Head, case),
            corner: Text::new(Paint::Dim, "client \\ server"),
            rows: rows.collect(),
            columns: servers.iter().map(|server| heading(results, self.protocol, server)).collect(),
        }
    }
}

/// A build's id and source, or that it is missing.
pub(crate) fn heading(results: &RunResults, protocol: &str, id: &str) -> Text {
    let text = Text::new(Paint::Head, id);
    match build(results, protocol, id) {
        Some(record) if record.missing.is_some() => text.with(Paint::Odd, " missing"),
        Some(record) => text.with(Paint::Dim, &format!(" {}", record.source)),
        None => text,
    }
}

/// A server's id and source, and what all of its cells say that it can be.
pub(crate) fn server_heading(results: &RunResults, protocol: &str, id: &str) -> Text {
    heading(results, protocol, id).join(suspects(results, protocol, id))
}

/// What a server can be by all of its cells: what is left when each has struck out what it excludes, whatever its client and case.
/// Where they exclude each other there is nothing that it can be.
fn suspects(results: &RunResults, protocol: &str, server: &str) -> Text {
    const SHOWN: usize = 2;
    let cells = results.cells.iter().filter(|c| c.protocol == protocol && c.server == server);
    let mut told = cells.map(|c| &c.suspects).filter(|names| !names.is_empty());
    let Some(first) = told.next() else { return Text::default() };
    let mut left: Vec<&str> = first.iter().map(String::as_str).collect();
    for names in told {
        left.retain(|name| names.iter().any(|other| other == name));
    }
    let shown: Vec<_> = left.iter().take(SHOWN).map(|name| shorten(name, NAME_MAX)).collect();
    let text = match left.len() {
        0 => "none that is known".to_owned(),
        more if more > SHOWN => format!("{} or {} more", shown.join(", "), more - SHOWN),
        _ => shown.join(" or "),
    };
    Text::new(Paint::Dim, &format!(" [{text}]"))
}

fn not_planned() -> Text {
    Text::new(Paint::Dim, "·")
}

/// Negotiated versions or detected dialects of cells that share a place. Each cell may have its own.
fn negotiated(cells: &[&CellResult]) -> Text {
    const SHOWN: usize = 2;
    let all: BTreeSet<_> = cells.iter().filter_map(|c| c.negotiated.as_deref()).collect();
    let mut shown: Vec<_> = all.iter().take(SHOWN).map(|n| shorten(n, NAME_MAX).into_owned()).collect();
    if all.len() > SHOWN {
        shown.push(format!("+{}", all.len() - SHOWN));
    }
    if shown.is_empty() {
        Text::default()
    } else {
        Text::new(Paint::Dim, &format!(" [{}]", shown.join(", ")))
    }
}

/// What a server did, under the glyph of the verdict; the outcome in words unless it is a plain pass.
fn answer(cell: &CellResult) -> Text {
    let mark = Mark::of(cell);
    if cell.verdict.is_none() || cell.summary.is_empty() {
        return mark.text().join(bug(cell));
    }
    let text = Text::new(mark.paint(), &format!("{} ", mark.glyph()))
        .with(Paint::Plain, &shorten(&cell.summary, SUMMARY_MAX));
    let text = match cell.outcome {
        Outcome::Pass => text,
        other => text.with(mark.paint(), &format!(" ({})", other.word())),
    };
    text.join(bug(cell))
}

/// Verdict and outcome in words, then what happened where that is not plain good.
fn outcome(cell: &CellResult) -> Text {
    let mark = Mark::of(cell);
    let text = mark.text().join(bug(cell));
    if mark.is_plain_good() || cell.summary.is_empty() || cell.verdict.is_none() {
        return text;
    }
    text.with(Paint::Dim, ": ").with(Paint::Plain, &shorten(&cell.summary, SUMMARY_MAX))
}

fn bug(cell: &CellResult) -> Text {
    cell.bug
        .as_ref()
        .map_or_else(Text::default, |bug| Text::new(Paint::Dim, &format!(" {}", shorten(bug, NAME_MAX))))
}
