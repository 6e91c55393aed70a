//! `results.json`: the results as they are, for other tools, and back again.
//!
//! The schema is derived from the types of [`verdict`] and committed as `results.schema.json`; a test
//! fails when the file is out of date. Run that test with `UPDATE=1` to write it anew.

use serde::Deserialize;
use verdict::RunResults;

/// The version of the format that this release writes, and the newest that it reads.
pub const FORMAT: u32 = 1;

/// Why a text could not be read as results.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// Written by a newer release.
    #[error("results have format `{found}`, written by `{producer}`; this release reads up to `{FORMAT}`")]
    Newer {
        /// The format of the results.
        found: u32,
        /// Who wrote them.
        producer: String,
    },
    /// Not results, or damaged.
    #[error("not readable as results of a run")]
    Damaged {
        /// What is wrong and where.
        #[from]
        source: serde_json::Error,
    },
}

/// The document: indented, fields in the order of the types, with a line end behind it.
///
/// # Errors
///
/// When a value cannot be written as JSON. Results have none, short of a lack of memory.
pub fn render(results: &RunResults) -> Result<String, serde_json::Error> {
    serde_json::to_string_pretty(results).map(|text| text + "\n")
}

/// Reads a document.
///
/// # Errors
///
/// When it is of a newer format, or no results at all.
pub fn read(text: &str) -> Result<RunResults, ReadError> {
    /// What every format has, so that a newer one can be told from a damaged one.
    #[derive(Deserialize)]
    struct Head {
        format: u32,
        #[serde(default)]
        producer: String,
    }
    let head: Head = serde_json::from_str(text)?;
    if head.format > FORMAT {
        return Err(ReadError::Newer { found: head.format, producer: head.producer });
    }
    Ok(serde_json::from_str(text)?)
}
