//! What checks see.

use std::collections::BTreeMap;
use std::ops::Range;

use matrix::Verdict;
use serde::{Deserialize, Serialize};

/// One thing that a check saw in a transcript.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub struct Finding {
    /// Name of the check, e.g. `payload-drained`.
    pub check: String,
    /// The shape of the failure, a stable word that expectations match, e.g. `no-reply`, `crash`.
    pub shape: String,
    /// How much it weighs.
    pub weight: Weight,
    /// Whose bytes are wrong.
    pub blame: Blame,
    /// One sentence for people.
    pub message: String,
    /// What the rule asks for.
    pub expected: String,
    /// What was there.
    pub actual: String,
    /// The frame that shows it, where one does.
    pub frame: Option<FrameRef>,
    /// The rule that it broke.
    pub rule: Rule,
}

/// How much a finding weighs in the verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Weight {
    /// Worth knowing; does not change the verdict.
    Note,
    /// The rule holds with a restriction that the dialect allows: at best `degraded`.
    Restriction,
    /// A clean refusal where the request could have been carried out: at best `refused`.
    Refusal,
    /// The rule is broken.
    Violation,
}

/// Whose bytes are wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Blame {
    /// The side that connected.
    Client,
    /// The side that listens.
    Server,
    /// wireskew itself.
    Harness,
}

/// A frame, or bytes that are none, within a transcript.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub struct FrameRef {
    /// Index of the event that holds its first byte.
    pub event: usize,
    /// Connection.
    pub conn: u32,
    /// `c2s` or `s2c`.
    pub dir: String,
    /// The bytes in hexadecimal, cut after 256 bytes with `…`.
    pub hex: String,
    /// The dissection, one `name = value` a line.
    pub decoded: Vec<String>,
    /// The bytes that differ or are wrong, within the frame.
    pub span: Option<Range<usize>>,
}

/// A rule and where it is written down.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Rule {
    /// The rule in our words.
    pub text: String,
    /// A permalink, RFC section, or the release that was measured.
    pub source: String,
}

/// A rule as checks have it: a constant that [`rules!`](crate::rules!) makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cited {
    text: &'static str,
    source: &'static str,
}

impl Cited {
    /// For [`rules!`](crate::rules!), which keeps account of all of them.
    #[doc(hidden)]
    #[must_use]
    pub const fn declared(text: &'static str, source: &'static str) -> Self {
        Self { text, source }
    }

    /// The rule in our words.
    #[must_use]
    pub const fn text(self) -> &'static str {
        self.text
    }

    /// Where it is written down.
    #[must_use]
    pub const fn source(self) -> &'static str {
        self.source
    }
}

impl From<Cited> for Rule {
    fn from(rule: Cited) -> Self {
        Self { text: rule.text.to_owned(), source: rule.source.to_owned() }
    }
}

/// Declares the rules that the checks of a module hold peers to, and `RULES`, which is all of them: a protocol gives them
/// out, and a test of all protocols follows where each is written down.
///
/// ```
/// verdict::rules! {
///     /// Echoes.
///     ECHO: "an echo comes back as it is", "RFC 862";
/// }
/// assert_eq!(RULES, [ECHO]);
/// ```
///
/// A source is one or more of these with `; ` between them, each with words behind a comma or a colon if need be:
/// `harness/ARCHITECTURE.md#<section>`, `<owner>/<repository>@<tag or commit>:<path>`, `measured on <package> <version>`,
/// `RFC <number>`, a manual page, a link, the id of a known bug.
#[macro_export]
macro_rules! rules {
    ($($(#[$meta:meta])* $visible:vis $name:ident: $text:expr, $source:expr;)+) => {
        $($(#[$meta])* $visible const $name: $crate::Cited = $crate::Cited::declared($text, $source);)+
        /// All rules of this module.
        pub(crate) const RULES: &[$crate::Cited] = &[$($name),+];
    };
}

/// All that a transcript says about its cell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judgement {
    /// The worst that was found.
    pub verdict: Verdict,
    /// Everything that was found, in the order of the transcript.
    pub findings: Vec<Finding>,
    /// What happened, in a few words for the grid, e.g. `-38, drained, closed`.
    pub summary: String,
    /// The negotiated version, or the dialect that the bytes give away.
    pub negotiated: Option<String>,
    /// What the server can be, by name, where its bytes give that away: none, or one or more of several.
    pub suspects: Vec<String>,
    /// How many replies were held to the user's document of their version of the API, by version; where there is none of a version,
    /// how many would have been.
    pub validated: BTreeMap<String, usize>,
}

impl Judgement {
    /// The stable words of why the verdict is what it is, sorted and without repeats: what expectations match. They are those of all
    /// violations and refusals, or, where there is neither, of the restrictions. Notes are no reason.
    #[must_use]
    pub fn shapes(&self) -> Vec<String> {
        let worst = self.findings.iter().map(|f| f.weight).max().unwrap_or(Weight::Note);
        let least = worst.clamp(Weight::Restriction, Weight::Refusal);
        let reasons = self.findings.iter().filter(|f| f.weight >= least);
        let mut shapes: Vec<_> = reasons.map(|f| f.shape.clone()).collect();
        shapes.sort();
        shapes.dedup();
        shapes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_are_why_the_verdict_is_what_it_is() {
        #[track_caller]
        fn check(found: &[(Weight, &str)], expect: &[&str]) {
            let finding = |(weight, shape): &(Weight, &str)| Finding {
                check: String::new(),
                shape: (*shape).to_owned(),
                weight: *weight,
                blame: Blame::Server,
                message: String::new(),
                expected: String::new(),
                actual: String::new(),
                frame: None,
                rule: Rule { text: String::new(), source: String::new() },
            };
            let judgement = Judgement {
                verdict: Verdict::Compatible,
                findings: found.iter().map(finding).collect(),
                summary: String::new(),
                negotiated: None,
                suspects: Vec::new(),
                validated: BTreeMap::new(),
            };
            assert_eq!(judgement.shapes(), expect);
        }
        let note = (Weight::Note, "says-more");
        let (fell_back, spins) = ((Weight::Restriction, "fell-back"), (Weight::Restriction, "spins"));
        let (closed, crash) = ((Weight::Refusal, "closed"), (Weight::Violation, "crash"));
        check(&[], &[]);
        check(&[note], &[]);
        check(&[spins, note, fell_back, spins], &["fell-back", "spins"]);
        check(&[spins, closed], &["closed"]);
        check(&[crash, spins, closed, note], &["closed", "crash"]);
    }
}
