//! Finds few and simple rules that have exactly the given cells in them.
//!
//! A rule is a pattern for the cell and a version range for each side. For a cell that no rule has
//! yet, every sensible widening of its client, server and case is tried; the one that takes most of
//! the wanted cells and none of the forbidden ones wins. That is the greedy set cover: not always the
//! smallest, but small, and the same for the same cells in any order.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use crate::BuildId;
use crate::cell_set::CellSet;
use crate::expectations::Observed;
use crate::version::{Version, VersionRange, is_word};

/// The cells of a rule, without what it says of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Domain {
    pub(crate) cells: CellSet,
    pub(crate) client: Option<VersionRange>,
    pub(crate) server: Option<VersionRange>,
}

/// What a cell is to the search.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    /// Some rule must have it.
    Wanted,
    /// No rule may have it.
    Forbidden,
    /// Nothing is known of it.
    Open,
}

/// A set of cells by index.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Bits(Vec<u64>);

impl Bits {
    fn of(len: usize, mut has: impl FnMut(usize) -> bool) -> Self {
        let mut words = vec![0u64; len.div_ceil(64)];
        for at in (0..len).filter(|at| has(*at)) {
            words[at / 64] |= 1 << (at % 64);
        }
        Self(words)
    }

    fn and(&self, other: &Self) -> Self {
        Self(self.0.iter().zip(&other.0).map(|(a, b)| a & b).collect())
    }

    fn without(&self, other: &Self) -> Self {
        Self(self.0.iter().zip(&other.0).map(|(a, b)| a & !b).collect())
    }

    fn count(&self) -> u32 {
        self.0.iter().map(|word| word.count_ones()).sum()
    }

    fn is_empty(&self) -> bool {
        self.0.iter().all(|word| *word == 0)
    }

    fn first(&self) -> Option<usize> {
        let (at, word) = self.0.iter().enumerate().find(|(_, word)| **word != 0)?;
        Some(at * 64 + word.trailing_zeros() as usize)
    }
}

/// One way to widen one part of a cell's name.
struct Widening {
    pattern: String,
    range: Option<String>,
    /// Lower is preferred among widenings that take the same cells.
    rank: u32,
    cells: Bits,
}

/// Rules that have all wanted cells in them and no forbidden one.
pub(crate) fn cover(cells: &[Observed], part: impl Fn(usize) -> Part) -> Vec<Domain> {
    let wanted = Bits::of(cells.len(), |at| part(at) == Part::Wanted);
    let forbidden = Bits::of(cells.len(), |at| part(at) == Part::Forbidden);
    let search = Search {
        cells,
        cases: cells.iter().map(|cell| cell.cell.case.to_string()).collect(),
        client_versions: cells.iter().map(|cell| cell.client_version.parse().ok()).collect(),
        server_versions: cells.iter().map(|cell| cell.server_version.parse().ok()).collect(),
        foreign: foreign(cells, &part),
        forbidden,
    };
    let mut left = wanted.clone();
    let mut found: Vec<(Domain, Bits)> = Vec::new();
    while let Some(seed) = left.first() {
        let Some((domain, taken)) = search.best(seed, &left) else { break };
        left = left.without(&taken);
        found.push((domain, taken.and(&wanted)));
    }
    drop_redundant(&mut found);
    found.into_iter().map(|(domain, _)| domain).collect()
}

/// Cells of which nothing is known and whose versions no wanted cell has: a rule that takes them
/// claims something about releases that were not seen.
fn foreign(cells: &[Observed], part: &impl Fn(usize) -> Part) -> Bits {
    let wanted =
        || cells.iter().enumerate().filter(|(at, _)| part(*at) == Part::Wanted).map(|(_, cell)| cell);
    let clients: BTreeSet<&str> = wanted().map(|cell| cell.client_version.as_str()).collect();
    let servers: BTreeSet<&str> = wanted().map(|cell| cell.server_version.as_str()).collect();
    Bits::of(cells.len(), |at| {
        part(at) == Part::Open
            && !(clients.contains(cells[at].client_version.as_str())
                && servers.contains(cells[at].server_version.as_str()))
    })
}

/// Higher is better: cells taken of what is left, then the fewest claims about what was not seen,
/// then the simplest form, then the shortest text; the text itself makes the choice unique.
type Score = (u32, Reverse<u32>, Reverse<u32>, Reverse<usize>, Reverse<String>);

/// The best rule so far.
struct Candidate<'a> {
    score: Score,
    client: &'a Widening,
    server: &'a Widening,
    taken: Bits,
}

struct Search<'a> {
    cells: &'a [Observed],
    cases: Vec<String>,
    client_versions: Vec<Option<Version>>,
    server_versions: Vec<Option<Version>>,
    forbidden: Bits,
    foreign: Bits,
}

impl Search<'_> {
    /// The best rule that has this cell: takes most of what is left, claims least about what was not
    /// seen, is simplest.
    fn best(&self, seed: usize, left: &Bits) -> Option<(Domain, Bits)> {
        let clients =
            self.side(seed, |cell| (&cell.cell.client, &cell.client_version), &self.client_versions);
        let servers =
            self.side(seed, |cell| (&cell.cell.server, &cell.server_version), &self.server_versions);
        let cases = self.cases(seed);
        let mut best: Option<Candidate<'_>> = None;
        for client in &clients {
            for server in &servers {
                let pair = client.cells.and(&server.cells);
                for case in &cases {
                    let taken = pair.and(&case.cells);
                    if !taken.and(&self.forbidden).is_empty() {
                        continue;
                    }
                    let pattern = pattern_text(&self.cells[seed].cell.protocol, client, server, case);
                    let score = (
                        taken.and(left).count(),
                        Reverse(taken.and(&self.foreign).count()),
                        Reverse(client.rank + server.rank + case.rank),
                        Reverse(pattern.len()),
                        Reverse(pattern),
                    );
                    if best.as_ref().is_none_or(|best| score > best.score) {
                        best = Some(Candidate { score, client, server, taken });
                    }
                }
            }
        }
        let Candidate { score, client, server, taken } = best?;
        let range = |side: &Widening| side.range.as_deref().and_then(|range| range.parse().ok());
        let cells = CellSet::of(score.4.0.parse().ok()?);
        Some((Domain { cells, client: range(client), server: range(server) }, taken))
    }

    /// The build itself, all builds, those of its version if that is a word, and for a numeric version every interval of the
    /// versions at hand.
    fn side(
        &self,
        seed: usize,
        side: impl Fn(&Observed) -> (&BuildId, &str),
        versions: &[Option<Version>],
    ) -> Vec<Widening> {
        let id_of = |cell| side(cell).0;
        let (id, called) = side(&self.cells[seed]);
        let version = versions[seed].as_ref();
        let has = |has: &dyn Fn(usize) -> bool| Bits::of(self.cells.len(), has);
        let mut widenings = vec![
            Widening {
                pattern: id.to_string(),
                range: None,
                rank: if version.is_some() { 3 } else { 0 },
                cells: has(&|at| id_of(&self.cells[at]) == id),
            },
            Widening {
                pattern: "*".to_owned(),
                range: None,
                rank: u32::from(version.is_none()),
                cells: has(&|_| true),
            },
        ];
        let Some(version) = version else {
            if !id.is_probe() && is_word(called) {
                widenings.push(Widening {
                    pattern: "*".to_owned(),
                    range: Some(format!("={called}")),
                    rank: 0,
                    cells: has(&|at| side(&self.cells[at]).1 == called),
                });
            }
            return widenings;
        };
        let known: BTreeSet<&Version> = versions.iter().flatten().collect();
        let prefix: String = id.as_str().chars().take_while(|char| !char.is_ascii_digit()).collect();
        for range in intervals(&known.into_iter().collect::<Vec<_>>(), version) {
            let Ok(parsed) = range.parse::<VersionRange>() else { continue };
            let cells = has(&|at| versions[at].as_ref().is_some_and(|version| parsed.contains(version)));
            if !prefix.is_empty() {
                let cells = cells.and(&has(&|at| id_of(&self.cells[at]).as_str().starts_with(&prefix)));
                let pattern = format!("{prefix}*");
                widenings.push(Widening { pattern, range: Some(range.clone()), rank: 2, cells });
            }
            widenings.push(Widening { pattern: "*".to_owned(), range: Some(range), rank: 1, cells });
        }
        widenings
    }

    /// The case itself, the cases that start like it up to a `-` or `/`, those of its kind, all.
    fn cases(&self, seed: usize) -> Vec<Widening> {
        let case = self.cases[seed].clone();
        let mut widenings = vec![self.case(case.clone(), 0, |other| other == case)];
        let kind_len = self.cells[seed].cell.case.kind.as_str().len() + 1;
        for (at, char) in case.char_indices().filter(|(at, char)| *at > kind_len && matches!(char, '-' | '/'))
        {
            let prefix = &case[..=at];
            let pattern = if char == '-' { format!("{prefix}*") } else { format!("{prefix}**") };
            // `probe/unknown-*` stays within a component.
            let fits = |other: &str| {
                other.strip_prefix(prefix).is_some_and(|rest| char == '/' || !rest.contains('/'))
            };
            widenings.push(self.case(pattern, 1, fits));
        }
        let kind = &case[..kind_len];
        widenings.push(self.case(format!("{kind}**"), 2, |other| other.starts_with(kind)));
        widenings.push(self.case("**".to_owned(), 3, |_| true));
        widenings
    }

    fn case(&self, pattern: String, rank: u32, fits: impl Fn(&str) -> bool) -> Widening {
        let cells = Bits::of(self.cells.len(), |at| fits(&self.cases[at]));
        Widening { pattern, range: None, rank, cells }
    }
}

fn pattern_text(protocol: &str, client: &Widening, server: &Widening, case: &Widening) -> String {
    format!("{protocol}/{}..{}/{}", client.pattern, server.pattern, case.pattern)
}

/// Every interval of the versions that has this one in it. An interval that reaches the lowest or
/// highest version is open there: what came before the oldest release is most likely alike.
fn intervals(versions: &[&Version], version: &Version) -> Vec<String> {
    let Some(at) = versions.iter().position(|other| *other == version) else { return Vec::new() };
    let last = versions.len() - 1;
    let mut intervals = Vec::new();
    for low in 0..=at {
        for high in at..=last {
            intervals.push(match (low == 0, high == last) {
                (_, true) => format!(">={}", versions[low]),
                (true, false) => format!("<={}", versions[high]),
                (false, false) if low == high => format!("={}", versions[low]),
                (false, false) => format!(">={}, <={}", versions[low], versions[high]),
            });
        }
    }
    intervals
}

/// Takes out rules whose wanted cells other rules have as well, newest first.
fn drop_redundant(found: &mut Vec<(Domain, Bits)>) {
    for at in (0..found.len()).rev() {
        let mut left = found[at].1.clone();
        for (other, (_, taken)) in found.iter().enumerate() {
            if other != at {
                left = left.without(taken);
            }
        }
        if left.is_empty() {
            found.remove(at);
        }
    }
}
