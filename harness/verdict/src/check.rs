//! The contract of checks, and how findings become a verdict.

use std::collections::BTreeMap;

use matrix::{CaseId, Verdict};
use transcript::Transcript;
use transcript::evidence::Shape;

use crate::checks::{EVIDENCE_COMPLETE, Report};
use crate::{Blame, Finding, Grammar, Judgement, Reading, Weight};

/// Everything that a check may look at. There is no peer in it.
pub struct Evidence<'a> {
    /// What was done.
    pub case: &'a CaseId,
    /// What happened.
    pub transcript: &'a Transcript,
    /// The same, in frames.
    pub reading: &'a Reading,
    /// How the server's dialect is read.
    pub grammar: &'a dyn Grammar,
    /// For a replay: what happened when the fixture was recorded.
    pub recorded: Option<Recorded<'a>>,
}

impl Evidence<'_> {
    /// Whether the server is one of our own with a fault switched on: then it is the client that is judged.
    #[must_use]
    pub fn server_is_faulty(&self) -> bool {
        self.transcript.provenance.server.details.contains_key(FAULTS)
    }
}

/// The detail of an endpoint that names the faults which are switched on in a reference peer.
pub const FAULTS: &str = "faults";

/// A recorded conversation that was played again.
#[derive(Clone, Copy)]
pub struct Recorded<'a> {
    /// What happened then.
    pub transcript: &'a Transcript,
    /// The same, in frames.
    pub reading: &'a Reading,
    /// How the dialect of the server of that time is read.
    pub grammar: &'a dyn Grammar,
}

/// A named, pure function of the evidence. A check judges, it does not act.
#[derive(Debug, Clone, Copy)]
pub struct Check {
    /// Its name, e.g. `payload-drained`.
    pub name: &'static str,
    /// Reports what it sees.
    pub judge: fn(&mut Report<'_>),
}

impl Check {
    /// What it sees.
    #[must_use]
    pub fn findings(&self, evidence: &Evidence<'_>) -> Vec<Finding> {
        let mut report = Report::new(self.name, evidence);
        (self.judge)(&mut report);
        report.finish()
    }
}

/// Runs checks and takes the worst that they find as the verdict. Where they find nothing broken, the
/// transcript must hold enough to say so; else the harness failed. What is enough, [`EVIDENCE_COMPLETE`] says, or a
/// check of the protocol's own that has its name: one whose conversations have no requests and replies.
#[must_use]
pub fn judge(evidence: &Evidence<'_>, checks: &[Check], negotiated: Option<String>) -> Judgement {
    let mut findings: Vec<Finding> = checks.iter().flat_map(|check| check.findings(evidence)).collect();
    let broken = |finding: &Finding| finding.weight == Weight::Violation;
    let own = checks.iter().any(|check| check.name == EVIDENCE_COMPLETE.name);
    if !own && !findings.iter().any(broken) {
        findings.extend(EVIDENCE_COMPLETE.findings(evidence));
    }
    // What a muxer did not let through is missing, and that is told.
    if findings.iter().any(|finding| *finding.shape == Shape::MUXER) {
        findings.retain(|finding| *finding.shape != Shape::INCOMPLETE);
    }
    let incomplete = |finding: &Finding| broken(finding) && finding.blame == Blame::Harness;
    findings.sort_by_key(|finding| finding.frame.as_ref().map_or(usize::MAX, |frame| frame.event));
    let verdict = match findings.iter().map(|finding| finding.weight).max() {
        Some(Weight::Violation) if findings.iter().any(incomplete) => Verdict::Inconclusive,
        Some(Weight::Violation) => Verdict::Broken,
        Some(Weight::Refusal) => Verdict::Refused,
        Some(Weight::Restriction) => Verdict::Degraded,
        Some(Weight::Note) | None => Verdict::Compatible,
    };
    let summary = crate::summary::of(evidence, &findings);
    Judgement { verdict, findings, summary, negotiated, suspects: Vec::new(), validated: BTreeMap::new() }
}
