//! The checks that every protocol gets. They look at role steps and never at a protocol's numbers.
//!
//! The words of what they find are what expectations match: they never change.

mod answered;
mod drained;
mod effects;
mod evidence;
mod process;
mod replay;
mod state;

use transcript::evidence::{Role, Shape};
use wire::Direction;

use crate::{Blame, Check, Cited, Evidence, Finding, FrameAt, FrameRef, ReplyAt, Step, Weight};

pub use answered::{ANSWERED_AS_DUE, ANSWERED_ONCE, READABLE_REPLIES};
pub(crate) use drained::Drain;
pub use drained::PAYLOAD_DRAINED;
pub use effects::{EFFECT_MATCHES_CLAIM, UNTOLD};
pub use evidence::{ALONE_COMPLETE, EVIDENCE_COMPLETE, without_end};
pub use process::{GIVES_BACK, STAYS_UP};
pub use replay::{SAME_FATE, SAME_MEANING};
pub use state::{FILES, LOADS, LOST, Loads, RUNS, STATE_KEPT};

/// Shapes of what a server said, or a client made of it, while the server went on serving.
const SAID: [Shape; 8] = [
    Shape::CHANGED_MEANING,
    Shape::FELL_BACK,
    Shape::LOUD_FAIL,
    Shape::NOT_SUPPORTED,
    Shape::OTHER_ERROR,
    Shape::REFUSED_BEFORE_ACCEPTED,
    Shape::SILENT_WRONG,
    Shape::WRONG_REFUSAL,
];

/// Whether a finding of that shape is about no more than what was said.
#[must_use]
pub fn is_only_said(shape: &str) -> bool {
    SAID.iter().any(|said| *shape == *said)
}

/// The generic checks of a kind of case. [`EVIDENCE_COMPLETE`] is not among them: [`crate::judge`] asks it
/// in every case.
#[must_use]
pub fn of(kind: matrix::CaseKind) -> Vec<Check> {
    match kind {
        matrix::CaseKind::Probe => generic(),
        matrix::CaseKind::Client => operation(),
        matrix::CaseKind::Scenario => scenario(),
        matrix::CaseKind::Replay => replay(),
        matrix::CaseKind::State => vec![STATE_KEPT],
    }
}

/// All generic checks of a probe.
fn generic() -> Vec<Check> {
    vec![ANSWERED_AS_DUE, PAYLOAD_DRAINED, ANSWERED_ONCE, STAYS_UP, GIVES_BACK, READABLE_REPLIES]
}

/// The checks of an operation of a client.
fn operation() -> Vec<Check> {
    vec![EFFECT_MATCHES_CLAIM, STAYS_UP, READABLE_REPLIES]
}

/// The generic checks of a scenario. What the states that it reads back must be is the protocol's to say.
fn scenario() -> Vec<Check> {
    vec![ANSWERED_AS_DUE, ANSWERED_ONCE, STAYS_UP, READABLE_REPLIES]
}

/// The checks of a replay.
fn replay() -> Vec<Check> {
    vec![SAME_MEANING, SAME_FATE]
}

/// The rules of the generic checks, in our words.
pub(crate) mod rules {
    crate::rules! {
        /// Unknown is told as unknown.
        pub(crate) ENOSYS: "an unknown request is answered with the protocol's `not supported`",
            "harness/ARCHITECTURE.md#unknown-requests-are-refused-as-unknown";
        /// What is refused is read to its end.
        pub(crate) DRAIN:
            "whatever is refused, exactly its payload is consumed: the canary behind it is answered, in \
             order, once",
            "harness/ARCHITECTURE.md#what-is-refused-is-read-to-its-end";
        /// Every valid request is answered.
        pub(crate) ANSWER: "a valid request is answered, in order, once",
            "harness/ARCHITECTURE.md#requests-are-answered-once";
        /// Bad input never takes a server down.
        pub(crate) SURVIVE: "bad input never takes a server down, nor keeps it from others",
            "harness/ARCHITECTURE.md#bad-input-harms-nobody-else";
        /// What stands between does its part.
        pub(crate) MUXER: "a muxer that is asked for a port answers `OK`, a space, a number and a line feed",
            "firecracker-microvm/firecracker@0fbad80c09:docs/vsock.md";
        /// Old recordings keep their meaning.
        pub(crate) SAME_MEANING:
            "a recorded request keeps its meaning: loss, change of type and change of value are faults",
            "harness/ARCHITECTURE.md#recordings-keep-their-meaning";
        /// A client reaches its end, or says that it does not.
        pub(crate) EFFECT:
            "a client that is refused takes its documented fallback to the same end, or fails and says so",
            "harness/ARCHITECTURE.md#claims-are-effects";
        /// What was taken is given back.
        pub(crate) GIVE_BACK: "descriptors and memory of a client are given back when it is gone",
            "harness/ARCHITECTURE.md#what-is-taken-is-given-back";
    }
}

/// All rules that generic checks hold peers to.
#[must_use]
pub fn all_rules() -> Vec<Cited> {
    [rules::RULES, evidence::RULES, state::RULES].concat()
}

/// Collects the findings of one check.
pub struct Report<'a> {
    check: &'static str,
    /// What is judged.
    pub evidence: &'a Evidence<'a>,
    findings: Vec<Finding>,
}

impl<'a> Report<'a> {
    /// Starts an empty report.
    #[must_use]
    pub fn new(check: &'static str, evidence: &'a Evidence<'a>) -> Self {
        Self { check, evidence, findings: Vec::new() }
    }

    /// Drafts a finding: the server broke a rule.
    pub fn violation(&mut self, shape: Shape, rule: Cited, message: impl Into<String>) -> Draft<'_, 'a> {
        self.finding(Weight::Violation, shape, rule, message)
    }

    /// Drafts a finding of any weight, against the server unless the draft blames somebody else.
    pub fn finding(
        &mut self,
        weight: Weight,
        shape: Shape,
        rule: Cited,
        message: impl Into<String>,
    ) -> Draft<'_, 'a> {
        let finding = Finding {
            check: self.check.to_owned(),
            shape: shape.word().to_owned(),
            weight,
            blame: Blame::Server,
            message: message.into(),
            expected: String::new(),
            actual: String::new(),
            frame: None,
            rule: rule.into(),
        };
        Draft { report: self, finding }
    }

    /// Adds what another check found.
    pub fn extend(&mut self, findings: impl IntoIterator<Item = Finding>) {
        self.findings.extend(findings);
    }

    /// All findings.
    #[must_use]
    pub fn finish(self) -> Vec<Finding> {
        self.findings
    }

    /// Points at a request.
    #[must_use]
    pub fn request(&self, conn: u32, at: &FrameAt) -> FrameRef {
        frame_ref(self.evidence, conn, Direction::ToServer, (at.event, &at.frame), None)
    }

    /// Points at a reply.
    #[must_use]
    pub fn reply(&self, conn: u32, reply: &ReplyAt) -> FrameRef {
        let at = (reply.at.event, &reply.at.frame);
        frame_ref(self.evidence, conn, Direction::ToClient, at, reply.request.as_ref())
    }

    /// Points at the first request of a step, or at its first bytes where they are no request.
    #[must_use]
    pub fn subject(&self, conn: u32, step: &Step) -> Option<FrameRef> {
        if let Some(at) = step.requests.first() {
            return Some(self.request(conn, at));
        }
        let events = self.evidence.transcript.events.iter().enumerate().skip(step.event);
        let mut data = events.filter(|(_, e)| e.conn.0 == conn && e.dir == Direction::ToServer);
        data.find_map(|(event, e)| match &e.kind {
            transcript::EventKind::Data(data) => Some(FrameRef {
                event,
                conn,
                dir: Direction::ToServer.to_string(),
                hex: hex(&data.bytes),
                decoded: vec!["no complete frame".to_owned()],
                span: None,
            }),
            _ => None,
        })
    }
}

/// A finding that is not in its report yet: [`Draft::push`] adds it.
#[must_use = "a finding is reported by `push`"]
pub struct Draft<'r, 'a> {
    report: &'r mut Report<'a>,
    finding: Finding,
}

impl Draft<'_, '_> {
    /// Says whose bytes are wrong.
    pub fn blame(mut self, blame: Blame) -> Self {
        self.finding.blame = blame;
        self
    }

    /// Points at a frame.
    pub fn at(mut self, frame: Option<FrameRef>) -> Self {
        self.finding.frame = frame;
        self
    }

    /// Points at a request.
    pub fn at_request(self, conn: u32, at: &FrameAt) -> Self {
        let frame = self.report.request(conn, at);
        self.at(Some(frame))
    }

    /// Points at a reply.
    pub fn at_reply(self, conn: u32, reply: &ReplyAt) -> Self {
        let frame = self.report.reply(conn, reply);
        self.at(Some(frame))
    }

    /// Points at what a step sent, as [`Report::subject`].
    pub fn at_subject(self, conn: u32, step: &Step) -> Self {
        let frame = self.report.subject(conn, step);
        self.at(frame)
    }

    /// Points at the last subject: whatever became of the server, that did it.
    pub fn at_culprit(self) -> Self {
        match self.report.evidence.reading.steps(Role::Subject).last() {
            Some((conn, step)) => self.at_subject(conn.conn.0, step),
            None => self,
        }
    }

    /// Adds the finding with what was due and what came instead, unless its report says the same already.
    pub fn push(mut self, expected: impl Into<String>, actual: impl Into<String>) {
        (self.finding.expected, self.finding.actual) = (expected.into(), actual.into());
        let same = |f: &Finding| f.shape == self.finding.shape && f.message == self.finding.message;
        if !self.report.findings.iter().any(same) {
            self.report.findings.push(self.finding);
        }
    }
}

/// Most bytes of a frame that a finding carries.
const HEX_BYTES_MAX: usize = 256;

/// Bytes in hexadecimal, cut after [`HEX_BYTES_MAX`].
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    let mut text = String::with_capacity(2 * bytes.len().min(HEX_BYTES_MAX) + 3);
    for byte in bytes.iter().take(HEX_BYTES_MAX) {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    if bytes.len() > HEX_BYTES_MAX {
        text.push('…');
    }
    text
}

/// Points at a frame, with its dissection.
#[must_use]
pub fn frame_ref(
    evidence: &Evidence<'_>,
    conn: u32,
    dir: Direction,
    (event, frame): (usize, &wire::Frame),
    request: Option<&wire::Frame>,
) -> FrameRef {
    let dissection = evidence.grammar.dissect(dir, frame, request);
    let mut decoded = vec![dissection.title.clone()];
    decoded.extend(dissection.fields.iter().map(|f| crate::render::field(f, &frame.bytes)));
    decoded.extend(dissection.problems.iter().map(|p| format!("problem: {}", p.what)));
    FrameRef { event, conn, dir: dir.to_string(), hex: hex(&frame.bytes), decoded, span: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_only_said_is_no_silence_or_death() {
        let others = [
            Shape::NO_REPLY,
            Shape::HANG,
            Shape::CRASH,
            Shape::NOT_USABLE_AFTER,
            Shape::CLIENT_HANG,
            Shape::LEAK_FDS,
            Shape::INCOMPLETE,
        ];
        assert!(SAID.iter().all(|shape| is_only_said(shape.word())));
        assert!(!others.iter().any(|shape| is_only_said(shape.word())));
    }
}
