//! The journal of a run: one line for the plan, one line for each finished cell.
//!
//! It is written while the run goes on, so that an interrupted run loses at most the cells that were under
//! way, and can be resumed. A last line that was cut by a crash is passed over.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use matrix::Verdict;
use serde::{Deserialize, Serialize};
use verdict::{CellResult, Outcome};

/// Version of the format; a journal of another one cannot be resumed.
const FORMAT: u32 = 1;

/// An open journal.
#[derive(Debug)]
pub struct Journal {
    file: File,
    path: PathBuf,
}

/// The first line: which run this is the journal of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Header {
    journal_format: u32,
    matrix: String,
    seed: u64,
    cells: usize,
    plan_digest: String,
}

/// Why a journal cannot be written or resumed.
#[derive(Debug, thiserror::Error)]
#[error("journal `{}`: {kind}", path.display())]
pub struct JournalError {
    path: PathBuf,
    kind: JournalErrorKind,
}

#[derive(Debug, thiserror::Error)]
enum JournalErrorKind {
    #[error(transparent)]
    Io(#[from] std::io::Error),
    #[error("line {line} is damaged: {why}")]
    Damaged { line: usize, why: String },
    #[error("it is of another plan ({found}; this one is {expected}); start anew without `--resume`")]
    OtherPlan { found: String, expected: String },
}

impl Journal {
    /// Starts a journal. `inputs` is whatever else decides results: builds given by flag, expectations, the version of
    /// wireskew; a journal with others is one of another run.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn create(
        path: &Path,
        matrix: &str,
        seed: u64,
        cells: &[String],
        inputs: &str,
    ) -> Result<Self, JournalError> {
        let wrap = |kind: std::io::Error| JournalError { path: path.to_path_buf(), kind: kind.into() };
        let mut journal = Self { file: File::create(path).map_err(wrap)?, path: path.to_path_buf() };
        let mut lines = Vec::new();
        journal.line(&header(matrix, seed, cells, inputs), &mut lines)?;
        journal.write(&lines)?;
        Ok(journal)
    }

    /// Opens the journal of an interrupted run and gives back what it holds.
    ///
    /// # Errors
    /// It is no journal, or one of another plan.
    pub fn resume(
        path: &Path,
        matrix: &str,
        seed: u64,
        cells: &[String],
        inputs: &str,
    ) -> Result<(Self, BTreeMap<String, CellResult>), JournalError> {
        let wrap = |kind: JournalErrorKind| JournalError { path: path.to_path_buf(), kind };
        let text = std::fs::read(path).map_err(|e| wrap(e.into()))?;
        let whole = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        let complete = String::from_utf8_lossy(text.get(..whole).unwrap_or(&[])).into_owned();
        let mut lines = complete.lines().enumerate();
        let damaged = |line: usize, e: serde_json::Error| {
            wrap(JournalErrorKind::Damaged { line: line + 1, why: e.to_string() })
        };
        let (at, first) = lines.next().unwrap_or((0, ""));
        let found: Header = serde_json::from_str(first).map_err(|e| damaged(at, e))?;
        let expected = header(matrix, seed, cells, inputs);
        if found != expected {
            let words = |h: &Header| {
                format!("{} with seed {}, {} cells, {}", h.matrix, h.seed, h.cells, h.plan_digest)
            };
            return Err(wrap(JournalErrorKind::OtherPlan {
                found: words(&found),
                expected: words(&expected),
            }));
        }
        let mut done = BTreeMap::new();
        for (at, line) in lines {
            let result: CellResult = serde_json::from_str(line).map_err(|e| damaged(at, e))?;
            // What was unavailable or failed on our side may be there now.
            let settled = result.verdict.is_some_and(|verdict| verdict != Verdict::Inconclusive);
            if settled || result.outcome == Outcome::Skipped {
                done.insert(result.cell.clone(), result);
            }
        }
        let file = OpenOptions::new().append(true).open(path).map_err(|e| wrap(e.into()))?;
        // A line that a crash cut short must not become the beginning of the next one.
        file.set_len(whole as u64).map_err(|e| wrap(e.into()))?;
        Ok((Self { file, path: path.to_path_buf() }, done))
    }

    /// The seed of the run that a journal belongs to.
    ///
    /// # Errors
    /// It is no journal.
    pub fn seed(path: &Path) -> Result<u64, JournalError> {
        let wrap = |kind: JournalErrorKind| JournalError { path: path.to_path_buf(), kind };
        let text = std::fs::read_to_string(path).map_err(|e| wrap(e.into()))?;
        let first = text.lines().next().unwrap_or_default();
        let header: Header = serde_json::from_str(first)
            .map_err(|e| wrap(JournalErrorKind::Damaged { line: 1, why: e.to_string() }))?;
        Ok(header.seed)
    }

    /// Adds finished cells, with one write.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn add<'a>(&mut self, results: impl IntoIterator<Item = &'a CellResult>) -> Result<(), JournalError> {
        let mut lines = Vec::new();
        for result in results {
            self.line(result, &mut lines)?;
        }
        self.write(&lines)
    }

    fn line(&self, value: &impl Serialize, lines: &mut Vec<u8>) -> Result<(), JournalError> {
        serde_json::to_writer(&mut *lines, value).map_err(|error| self.wrap(error.into()))?;
        lines.push(b'\n');
        Ok(())
    }

    fn write(&mut self, lines: &[u8]) -> Result<(), JournalError> {
        self.file.write_all(lines).map_err(|error| self.wrap(error))
    }

    fn wrap(&self, error: std::io::Error) -> JournalError {
        JournalError { path: self.path.clone(), kind: error.into() }
    }
}

fn header(matrix: &str, seed: u64, cells: &[String], inputs: &str) -> Header {
    use sha2::{Digest as _, Sha256};
    let mut digest = Sha256::new();
    for cell in cells {
        digest.update(cell.as_bytes());
        digest.update(b"\n");
    }
    digest.update(inputs.as_bytes());
    let hash = digest.finalize();
    let plan_digest = hash.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    Header { journal_format: FORMAT, matrix: matrix.to_owned(), seed, cells: cells.len(), plan_digest }
}
