//! What becomes of what another release has left behind: files, and what runs?
//!
//! ```text
//! claim.loads   claim.lost      effect.files  effect.runs   finding
//! yes           -               kept          yes           none
//! with-loss     the fields      any           yes           state-lost
//! no            -               kept          yes           state-refused, which is a clean refusal; none where it is expected
//! no            -               changed, added  yes         state-touched
//! yes where it is damaged       any           yes           wrong-success
//! any           any             any           no            state-destroyed: what ran is gone
//! ```
//!
//! A reader may write what it has loaded anew; what it refuses it leaves as it was. `effect.runs` is only there where something ran.

use transcript::evidence::{Observation, Shape};

use crate::checks::Report;
use crate::{Blame, Check, Weight};

/// Claim: how much the reader has loaded; see [`Loads`].
pub const LOADS: &str = "loads";
/// Claim: what it has not, with commas in between.
pub const LOST: &str = "lost";
/// Effect: what became of the files: `kept`, `changed`, or `added` where those that were there are kept and there are others now.
pub const FILES: &str = "files";
/// Effect: whether what ran still runs: `yes` or `no`.
pub const RUNS: &str = "runs";

/// How much of what was left behind a reader has loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loads {
    /// All of it.
    Yes,
    /// A part, and it goes on with that.
    WithLoss,
    /// Nothing: it refuses.
    No,
}

impl Loads {
    const ALL: [Self; 3] = [Self::Yes, Self::WithLoss, Self::No];

    /// The word in transcripts.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Yes => "yes",
            Self::WithLoss => "with-loss",
            Self::No => "no",
        }
    }

    /// The value of that word.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|loads| loads.word() == word)
    }
}

crate::rules! {
    KEPT: "what a release has left behind is loaded by newer ones, and refused by older ones without harm",
        "harness/ARCHITECTURE.md#what-was-left-behind-is-loaded-or-left-alone";
}

/// Looks at what a reader says, and at what became of what it read.
pub const STATE_KEPT: Check = Check { name: "state-kept", judge: state_kept };

fn state_kept(report: &mut Report<'_>) {
    let reading = report.evidence.reading;
    let claim = |word| reading.observed(Observation::Claim(word)).map(str::to_owned);
    let effect = |word| reading.observed(Observation::Effect(word)).map(str::to_owned);
    if effect(RUNS).is_some_and(|runs| runs != "yes") {
        let message = "what ran when it was left behind is gone: its reader has ended it";
        found(report, Weight::Violation, Shape::STATE_DESTROYED, message, "it runs", "it is gone");
    }
    let due = reading.observed(Observation::Expected("claim.loads"));
    let is_due_no = due.and_then(Loads::parse) == Some(Loads::No);
    let files = effect(FILES).unwrap_or_default();
    match claim(LOADS).as_deref().and_then(Loads::parse) {
        Some(loads @ (Loads::Yes | Loads::WithLoss)) if is_due_no => {
            let message = "what cannot be right is loaded all the same";
            found(report, Weight::Violation, Shape::WRONG_SUCCESS, message, Loads::No.word(), loads.word());
        }
        Some(Loads::WithLoss) => {
            let lost = claim(LOST).unwrap_or_else(|| "something".to_owned());
            let message = format!("what was left behind is loaded without {lost}");
            found(
                report,
                Weight::Violation,
                Shape::STATE_LOST,
                &message,
                "everything",
                &format!("all but {lost}"),
            );
        }
        Some(Loads::No) if files != "kept" => {
            let message = "files are refused and changed all the same";
            found(report, Weight::Violation, Shape::STATE_TOUCHED, message, "files as they were", &files);
        }
        // What is damaged is to be refused.
        Some(Loads::No) if is_due_no => {}
        Some(Loads::No) => {
            let message = "what was left behind is refused, and left as it was";
            found(report, Weight::Refusal, Shape::STATE_REFUSED, message, "it is loaded", "it is refused");
        }
        Some(Loads::Yes) | None => {}
    }
}

fn found(report: &mut Report<'_>, weight: Weight, shape: Shape, message: &str, due: &str, was: &str) {
    report.finding(weight, shape, KEPT, message).blame(Blame::Client).push(due, was);
}
