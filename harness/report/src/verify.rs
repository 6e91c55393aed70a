//! Whether results are consistent with themselves: planned = executed + explained, every cell once, every
//! explanation and every reproduction line there. A report of results that are not is worth nothing.

use std::collections::{BTreeMap, BTreeSet};

use verdict::{CellResult, Outcome, RunResults, Tally, Verdict};

/// One way in which results contradict themselves.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Inconsistency {
    /// The plan and the outcomes do not have the same number of cells.
    #[error("planned are {planned} cells, but the outcomes sum up to {counted}")]
    Sum {
        /// Cells of the plan.
        planned: usize,
        /// Sum of the outcomes.
        counted: usize,
    },
    /// The tally and the cells differ.
    #[error("the tally says {said} `{word}`, but of the cells it is {found}")]
    Tally {
        /// `planned`, an outcome or a verdict.
        word: String,
        /// The tally's number.
        said: usize,
        /// The number of cells.
        found: usize,
    },
    /// A cell stands there twice.
    #[error("cell `{cell}` is listed more than once")]
    Duplicate {
        /// Path of the cell.
        cell: String,
    },
    /// The cells are not sorted by name.
    #[error("cell `{cell}` is out of order")]
    Unsorted {
        /// Path of the cell.
        cell: String,
    },
    /// A cell's path does not say what its fields say.
    #[error("cell `{cell}` has protocol, builds and case of `{fields}`")]
    Misnamed {
        /// Path of the cell.
        cell: String,
        /// The path that its fields make.
        fields: String,
    },
    /// The builds of the results lack one that a cell names.
    #[error("cell `{cell}` names build `{build}`, which the results do not list")]
    UnknownBuild {
        /// Path of the cell.
        cell: String,
        /// Id of the build.
        build: String,
    },
    /// The outcome says that the cell ran, but it has no verdict.
    #[error("cell `{cell}` ended as `{outcome}` without a verdict")]
    NoVerdict {
        /// Path of the cell.
        cell: String,
        /// Word of the outcome.
        outcome: &'static str,
    },
    /// The outcome says that the cell did not run, but it has a verdict.
    #[error("cell `{cell}` is `{outcome}`, yet has the verdict `{verdict}`")]
    VerdictWithoutRun {
        /// Path of the cell.
        cell: String,
        /// Word of the outcome.
        outcome: &'static str,
        /// The verdict.
        verdict: Verdict,
    },
    /// Passed, though broken or inconclusive.
    #[error("cell `{cell}` passed with the verdict `{verdict}`")]
    WrongPass {
        /// Path of the cell.
        cell: String,
        /// The verdict.
        verdict: Verdict,
    },
    /// A cell that did not run, or failed as expected, does not say why.
    #[error("cell `{cell}` is `{outcome}` without a reason")]
    NoReason {
        /// Path of the cell.
        cell: String,
        /// Word of the outcome.
        outcome: &'static str,
    },
    /// A cell that is not as expected cannot be seen again.
    #[error("cell `{cell}` is `{outcome}` without a reproduction")]
    NoReproduction {
        /// Path of the cell.
        cell: String,
        /// Word of the outcome.
        outcome: &'static str,
    },
}

/// Everything in which the results contradict themselves; nothing if they are consistent.
#[must_use]
pub fn verify(results: &RunResults) -> Vec<Inconsistency> {
    let mut found = tally(results);
    let mut seen = BTreeSet::new();
    let mut last = "";
    for cell in &results.cells {
        let path = || cell.cell.clone();
        if !seen.insert(cell.cell.as_str()) {
            found.push(Inconsistency::Duplicate { cell: path() });
        } else if cell.cell.as_str() < last {
            found.push(Inconsistency::Unsorted { cell: path() });
        }
        last = &cell.cell;
        found.extend(names(results, cell));
        found.extend(account(cell));
    }
    found
}

fn tally(results: &RunResults) -> Vec<Inconsistency> {
    let mut found = Vec::new();
    let said = &results.tally;
    let counted = said.outcomes.values().fold(0, |sum: usize, n| sum.saturating_add(*n));
    if said.planned != counted {
        found.push(Inconsistency::Sum { planned: said.planned, counted });
    }
    let real = Tally::of(&results.cells);
    if said.planned != real.planned {
        let (said, found_cells) = (said.planned, real.planned);
        found.push(Inconsistency::Tally { word: "planned".into(), said, found: found_cells });
    }
    let mut compare = |said: &BTreeMap<String, usize>, real: &BTreeMap<String, usize>| {
        let words: BTreeSet<_> = said.keys().chain(real.keys()).collect();
        for word in words {
            let number = |counts: &BTreeMap<String, usize>| counts.get(word).copied().unwrap_or(0);
            if number(said) != number(real) {
                let word = word.clone();
                found.push(Inconsistency::Tally { said: number(said), found: number(real), word });
            }
        }
    };
    compare(&said.outcomes, &real.outcomes);
    compare(&said.verdicts, &real.verdicts);
    found
}

fn names(results: &RunResults, cell: &CellResult) -> Vec<Inconsistency> {
    let mut found = Vec::new();
    let fields = format!("{}/{}..{}/{}", cell.protocol, cell.client, cell.server, cell.case);
    if fields != cell.cell {
        found.push(Inconsistency::Misnamed { cell: cell.cell.clone(), fields });
    }
    for build in [&cell.client, &cell.server] {
        let listed = crate::grid::build(results, &cell.protocol, build).is_some();
        if !listed && build != matrix::BuildId::PROBE {
            found.push(Inconsistency::UnknownBuild { cell: cell.cell.clone(), build: build.clone() });
        }
    }
    found
}

fn account(cell: &CellResult) -> Vec<Inconsistency> {
    let path = || cell.cell.clone();
    let outcome = cell.outcome.word();
    let mut found = Vec::new();
    match (cell.outcome, cell.verdict) {
        (Outcome::Skipped | Outcome::MissingBuild, Some(verdict)) => {
            found.push(Inconsistency::VerdictWithoutRun { cell: path(), outcome, verdict });
        }
        (Outcome::Pass, Some(verdict @ (Verdict::Broken | Verdict::Inconclusive))) => {
            found.push(Inconsistency::WrongPass { cell: path(), verdict });
        }
        (Outcome::Skipped | Outcome::MissingBuild | Outcome::HarnessError, None) | (_, Some(_)) => {}
        (_, None) => found.push(Inconsistency::NoVerdict { cell: path(), outcome }),
    }
    let explained = cell.reason.as_deref().is_some_and(|reason| !reason.trim().is_empty());
    if (cell.verdict.is_none() || cell.outcome == Outcome::Xfail) && !explained {
        found.push(Inconsistency::NoReason { cell: path(), outcome });
    }
    if !cell.outcome.is_expected() && cell.reproduction.is_none() {
        found.push(Inconsistency::NoReproduction { cell: path(), outcome });
    }
    found
}
