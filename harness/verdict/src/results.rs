//! The results of a run, as they are written to `results.json`. The JSON Schema is derived from these
//! types and committed next to the report crate.

use std::collections::BTreeMap;

use matrix::Verdict;
use serde::{Deserialize, Serialize};

use crate::Finding;

/// Verdict x expectation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// As expected, and good.
    Pass,
    /// Broken, and nobody expected it; or not of the expected shape.
    Fail,
    /// Broken as an expectation says.
    Xfail,
    /// An expectation says broken, but it is not.
    Xpass,
    /// Differs between tries.
    Flaky,
    /// Left out for a reason that is given.
    Skipped,
    /// A build is unavailable.
    MissingBuild,
    /// The harness failed.
    HarnessError,
}

impl Outcome {
    /// The word in files and reports.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Fail => "fail",
            Self::Xfail => "xfail",
            Self::Xpass => "xpass",
            Self::Flaky => "flaky",
            Self::Skipped => "skipped",
            Self::MissingBuild => "missing-build",
            Self::HarnessError => "harness-error",
        }
    }

    /// Whether the run is as expected in spite of it.
    #[must_use]
    pub fn is_expected(self) -> bool {
        matches!(self, Self::Pass | Self::Xfail | Self::Skipped)
    }
}

/// One run of a matrix.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub struct RunResults {
    /// Version of this format; readers refuse a newer one.
    pub format: u32,
    /// `wireskew <version>`.
    pub producer: String,
    /// Name of the matrix file, relative to the project.
    pub matrix: String,
    /// When the run started, RFC 3339.
    pub started: String,
    /// Seed of everything random in the run.
    pub seed: u64,
    /// False when the run was interrupted or a part of it could not be done.
    pub complete: bool,
    /// How long it took.
    pub duration_ms: u64,
    /// The shard that this run was, e.g. `hash:1/4`.
    pub partition: Option<String>,
    /// Every build that took part.
    pub builds: Vec<BuildRecord>,
    /// The documents of an API that the user gave, oldest version first. It is not there where none were given.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub documents: Vec<DocumentRecord>,
    /// Every planned cell, executed or explained, sorted by name.
    pub cells: Vec<CellResult>,
    /// Faults of the configuration that make the run red: unmatched, stale, expired rules, unread fixtures.
    pub complaints: Vec<String>,
    /// How many cells ended how.
    pub tally: Tally,
    /// Whether a cell that ended as expected at last, though not in every try, leaves the run green. It is told
    /// as flaky all the same.
    #[serde(default)]
    pub flaky_passes: bool,
}

impl RunResults {
    /// Whether the run is as expected in spite of that cell.
    #[must_use]
    pub fn tolerates(&self, cell: &CellResult) -> bool {
        cell.outcome.is_expected() || (self.flaky_passes && cell.outcome == Outcome::Flaky)
    }
}

/// A build that took part in a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub struct BuildRecord {
    /// Protocol.
    pub protocol: String,
    /// Id.
    pub id: String,
    /// Version.
    pub version: String,
    /// Dialect.
    pub dialect: String,
    /// Source, e.g. `debian`, `recorded`.
    pub source: String,
    /// Details of the source, e.g. `bookworm lxc=1:5.0.2-1+deb12u4`.
    pub detail: String,
    /// Digest of what ran.
    pub digest: Option<String>,
    /// Why the build is unavailable, where it is.
    pub missing: Option<String>,
}

/// A document that replies are held to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub struct DocumentRecord {
    /// The version of the API.
    pub version: String,
    /// The file, as it was given.
    pub file: String,
    /// Digest of what is in it.
    pub digest: String,
}

/// What became of one planned cell.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub struct CellResult {
    /// The cell's path.
    pub cell: String,
    /// Protocol.
    pub protocol: String,
    /// Client build.
    pub client: String,
    /// Server build.
    pub server: String,
    /// Case.
    pub case: String,
    /// Verdict; none when the cell did not run.
    #[cfg_attr(
        feature = "schema",
        schemars(
            with = "Option<String>",
            extend("enum" = ["compatible", "degraded", "refused", "broken", "inconclusive", null])
        )
    )]
    pub verdict: Option<Verdict>,
    /// Outcome.
    pub outcome: Outcome,
    /// What happened, in a few words.
    pub summary: String,
    /// Shapes of what is wrong.
    pub shapes: Vec<String>,
    /// Negotiated version or detected dialect.
    pub negotiated: Option<String>,
    /// What the server can be, by name, as far as this cell tells. Taken together, it is what all cells that tell something agree on. It is
    /// not there where the cell tells nothing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub suspects: Vec<String>,
    /// How many replies were held to the user's document of their version of the API, by version; where there is none of a version,
    /// how many would have been. It is not there where no documents were given.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub validated: BTreeMap<String, usize>,
    /// Everything that was found.
    pub findings: Vec<Finding>,
    /// Why the outcome is what it is: the reason of the expectation, of the skip, of the missing build, of the harness error.
    pub reason: Option<String>,
    /// The bug that the expectation names.
    pub bug: Option<String>,
    /// How long it took.
    pub duration_ms: u64,
    /// Outcomes of earlier tries, oldest first.
    pub retries: Vec<String>,
    /// What earlier tries saw, oldest first. It is not there where there were none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub earlier: Vec<Attempt>,
    /// Where the transcript was written, relative to the results.
    pub transcript: Option<String>,
    /// How to see it again; given for everything that is not as expected.
    pub reproduction: Option<Reproduction>,
}

/// A try of a cell that was followed by another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub struct Attempt {
    /// Verdict; none when it did not run.
    #[cfg_attr(
        feature = "schema",
        schemars(
            with = "Option<String>",
            extend("enum" = ["compatible", "degraded", "refused", "broken", "inconclusive", null])
        )
    )]
    pub verdict: Option<Verdict>,
    /// Outcome.
    pub outcome: Outcome,
    /// What happened, in a few words.
    pub summary: String,
    /// Shapes of what is wrong.
    pub shapes: Vec<String>,
    /// Everything that was found.
    pub findings: Vec<Finding>,
    /// Why the outcome is what it is.
    pub reason: Option<String>,
    /// How long it took.
    pub duration_ms: u64,
}

impl From<&CellResult> for Attempt {
    fn from(cell: &CellResult) -> Self {
        Self {
            verdict: cell.verdict,
            outcome: cell.outcome,
            summary: cell.summary.clone(),
            shapes: cell.shapes.clone(),
            findings: cell.findings.clone(),
            reason: cell.reason.clone(),
            duration_ms: cell.duration_ms,
        }
    }
}

/// How to see a result again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub struct Reproduction {
    /// The command line, to be run at the top of a checkout.
    pub command: String,
    /// Seed.
    pub seed: u64,
}

/// How many cells ended how. `planned` is the sum of all others.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub struct Tally {
    /// All cells of the plan.
    pub planned: usize,
    /// By outcome word.
    pub outcomes: BTreeMap<String, usize>,
    /// By verdict word, of the cells that ran.
    pub verdicts: BTreeMap<String, usize>,
}

impl Tally {
    /// Counts cells.
    #[must_use]
    pub fn of(cells: &[CellResult]) -> Self {
        let mut tally = Self { planned: cells.len(), ..Self::default() };
        for cell in cells {
            *tally.outcomes.entry(cell.outcome.word().to_owned()).or_default() += 1;
            if let Some(verdict) = cell.verdict {
                *tally.verdicts.entry(verdict.to_string()).or_default() += 1;
            }
        }
        tally
    }

    /// The count of one outcome.
    #[must_use]
    pub fn count(&self, outcome: Outcome) -> usize {
        self.outcomes.get(outcome.word()).copied().unwrap_or(0)
    }
}
