//! What the agreed version asks of both sides, from the bytes alone.
//!
//! | check | finds |
//! |---|---|
//! | `nothing-above-agreed` | `above-agreed`, and `in-flight` inside the windows that the protocol cannot avoid |
//! | `host-announces` | `host-above-min`, `not-announced`, `announced-needlessly`, `host-silenced`, `lost-message` |
//! | `renegotiated` | `stuck-at-zero`, `stale-version` |
//! | `agent-answers` | `lost-message`, `no-answer-after-change`, `wrong-level`, `data-missing`, `wrong-completion`, `no-completion`, `silenced` |
//! | `tells-its-maximum` | `wrong-maximum` |
//! | `only-messages` | `bad-framing`, `answered-error` |
//! | `same-answers`, in replays | `changed-meaning`, `no-reply`, `answers-more` |
//!
//! The windows, with their bounds (`course.rs` follows what they are about):
//!
//! ```text
//! W1  the reader's nap           connection, keyless refresh     1 s
//! W2  refresh to api-version     a refresh that names a version  one heartbeat and W1
//! W3  in flight                  an api-version                  W1
//! W5  the host at 0, untold      a heartbeat that says less      the next heartbeat
//! ```
//!
//! W4, the 0 in the first heartbeat of a process, needs no window: the agent is at 0 as well. W6, a version that was
//! handed over, is the host's own matter until it sends something.

mod agreed;
mod announced;
mod answers;
mod complete;
mod course;
mod maximum;
mod same;
mod settled;
mod spoken;
mod timeline;

#[cfg(test)]
mod tests;

use bytes::Bytes;
use matrix::{CaseId, CaseKind};
use transcript::evidence::Shape;
use verdict::checks::{Report, SAME_FATE, frame_ref};
use verdict::{Blame, Check, Cited, Evidence, FrameRef, Reading, Weight};
use wire::{Direction, Frame};

use self::course::Course;
use self::timeline::{Act, Timeline, What};
use super::message::Offered;
use super::names;

/// The checks of a case.
pub(super) fn of(case: &CaseId) -> Vec<Check> {
    if case.kind == CaseKind::Replay {
        return vec![same::SAME_ANSWERS, SAME_FATE];
    }
    let mut checks: Vec<Check> = vec![ALONG_THE_COURSE];
    if case.kind == CaseKind::Scenario || *case.name == *BAD_INPUT {
        checks.push(complete::CONVERSATION_COMPLETE);
    }
    checks
}

/// The rules that these checks hold peers to.
pub(super) fn all_rules() -> Vec<Cited> {
    [rules::RULES, same::RULES].concat()
}

/// A check that follows the course of a conversation: its name, and what looks.
type CourseCheck = (&'static str, fn(&mut Sights<'_>, &Course<'_>));

/// All checks that follow the course of a conversation, which is worked out once for all of them.
const ALONG_THE_COURSE: Check = Check { name: "along-the-course", judge: along_the_course };

const COURSE_CHECKS: [CourseCheck; 6] = [
    ("nothing-above-agreed", agreed::nothing_above_agreed),
    ("host-announces", announced::host_announces),
    ("renegotiated", settled::renegotiated),
    ("agent-answers", answers::agent_answers),
    ("only-messages", spoken::only_messages),
    ("tells-its-maximum", maximum::tells_its_maximum),
];

fn along_the_course(report: &mut Report<'_>) {
    let evidence = report.evidence;
    let timeline = Timeline::once(evidence.transcript, evidence.reading);
    let course = Course::of(&timeline);
    for (name, look) in COURSE_CHECKS {
        let mut sights = Sights::new(name, evidence, &timeline);
        look(&mut sights, &course);
        report.extend(sights.report.finish());
    }
}

pub(super) use self::maximum::DIALECT;

/// Name of the cases in which somebody else tried bad input.
pub(super) const BAD_INPUT: &str = "bad-input";

/// The rules, in our words.
mod rules {
    verdict::rules! {
        pub(super) MIN: "both sides settle on the lower one of both maxima, and send nothing above it",
            "oVirt/vdsm@9a00df7a7; oVirt/ovirt-guest-agent@906949e";
        pub(super) RAW: "the host keeps the lower one of both maxima",
            "https://bugzilla.redhat.com/show_bug.cgi?id=1318657; oVirt/vdsm@b79f8ae73";
        pub(super) ANNOUNCE: "a change is announced with api-version and only then; 0 is never announced",
            "oVirt/vdsm@9a00df7a7";
        pub(super) RESTART: "an agent that begins anew is negotiated with anew",
            "https://bugzilla.redhat.com/show_bug.cgi?id=1285851; oVirt/ovirt-guest-agent@55b63a2";
        pub(super) RESEND: "what a change of the version sets free is sent again",
            "oVirt/ovirt-guest-agent@deeaf0f";
        pub(super) ANSWER: "a refresh is answered with everything that the version allows",
            "oVirt/ovirt-guest-agent@1.0.16:ovirt-guest-agent/OVirtAgentLogic.py";
        pub(super) ECHO: "an echo comes back as it is",
            "oVirt/ovirt-guest-agent@1.0.5:ovirt-guest-agent/OVirtAgentLogic.py";
        pub(super) DRAIN: "a bad message costs itself and nothing else",
            "harness/ARCHITECTURE.md#what-is-refused-is-read-to-its-end";
        pub(super) COMPLETION: "a lifecycle event with a reply_id is completed once, with the same reply_id",
            "oVirt/ovirt-guest-agent@1.0.12:ovirt-guest-agent/OVirtAgentLogic.py";
        pub(super) FRAMING:
            "one message is one JSON object with a name on one line; errors are never answered",
            "oVirt/vdsm@v4.50.7:lib/vdsm/virt/guestagent.py";
        pub(super) ALIVE: "whoever is connected goes on speaking",
            "harness/ARCHITECTURE.md#bad-input-harms-nobody-else";
    }
}

/// A report that can point at acts.
struct Sights<'a> {
    report: Report<'a>,
    evidence: &'a Evidence<'a>,
    timeline: &'a Timeline,
}

impl<'a> Sights<'a> {
    fn new(check: &'static str, evidence: &'a Evidence<'a>, timeline: &'a Timeline) -> Self {
        Self { report: Report::new(check, evidence), evidence, timeline }
    }

    /// Something that an act shows.
    fn push(
        &mut self,
        weight: Weight,
        blame: Blame,
        (shape, rule): (Shape, Cited),
        act: usize,
        (message, expected, actual): (impl Into<String>, impl Into<String>, impl Into<String>),
    ) {
        let frame = self.timeline.acts.get(act).and_then(|act| self.frame(act));
        self.report.finding(weight, shape, rule, message).blame(blame).at(frame).push(expected, actual);
    }

    /// A violation.
    fn violation(
        &mut self,
        blame: Blame,
        shape: Shape,
        rule: Cited,
        act: usize,
        says: (impl Into<String>, impl Into<String>, impl Into<String>),
    ) {
        self.push(Weight::Violation, blame, (shape, rule), act, says);
    }

    fn frame(&self, act: &Act) -> Option<FrameRef> {
        let (dir, said) = match &act.what {
            What::FromHost(said) => (Direction::ToServer, said),
            What::FromAgent(said) => (Direction::ToClient, said),
            _ => return None,
        };
        let frame = Frame { kind: said.kind, head_len: 0, bytes: Bytes::clone(&said.bytes) };
        Some(frame_ref(self.evidence, act.conn, dir, (act.event, &frame), None))
    }
}

/// Most versions that a cell shows.
const VERSIONS_MAX: usize = 4;

/// The agreed versions in their order, e.g. `3, then 0`; nothing where no host and no agent ever told theirs.
pub(super) fn negotiated(transcript: &transcript::Transcript, reading: &Reading) -> Option<String> {
    let timeline = Timeline::once(transcript, reading);
    let (mut host_max, mut agent_max) = (None, None);
    let mut versions: Vec<i64> = Vec::new();
    for act in &timeline.acts {
        let (What::FromHost(said) | What::FromAgent(said)) = &act.what else { continue };
        let Some(version) = said.message.as_ref().map(|message| &message.version) else { continue };
        match (&act.what, said.name()) {
            (What::FromHost(_), names::REFRESH) => host_max = Some(told(version)),
            // A first heartbeat says 0 to be asked anew; nothing is agreed by that.
            (What::FromAgent(_), names::HEARTBEAT) if version.number() == Some(names::NO_VERSION) => {}
            (What::FromAgent(_), names::HEARTBEAT) => agent_max = Some(told(version)),
            _ => continue,
        }
        if let (Some(host), Some(agent)) = (host_max, agent_max)
            && versions.last() != Some(&host.min(agent))
        {
            versions.push(host.min(agent));
        }
    }
    let mut words: Vec<String> = versions.iter().take(VERSIONS_MAX).map(ToString::to_string).collect();
    if versions.len() > VERSIONS_MAX {
        words.push("…".to_owned());
    }
    let words = words.join(", then ");
    (!words.is_empty()).then(|| match elsewhere(&timeline) {
        Some(level) => format!("{words}, agent at {level}"),
        None => words,
    })
}

/// Where the agent is at the end, if that is another version than the agreed one.
fn elsewhere(timeline: &Timeline) -> Option<i64> {
    let course = Course::of(timeline);
    let last = course.moments.last().filter(|_| !timeline.scripts.host && !timeline.scripts.agent)?;
    let versioned = last.agent_max.is_some_and(|max| max > names::NO_VERSION) && last.host_max.is_some();
    let level = last.levels.certain().filter(|_| last.settled && versioned)?;
    (level != last.agreed()).then_some(level)
}

/// The maximum that a side tells; a side that tells none has none.
fn told(version: &Offered) -> i64 {
    version.number().unwrap_or(names::NO_VERSION).clamp(names::NO_VERSION, names::MAX_EVER)
}

/// How far apart heartbeats are in a transcript, in microseconds.
pub(super) fn period_us(transcript: &transcript::Transcript) -> u64 {
    Timeline::of(transcript).pace.period_us
}

/// Milliseconds for people.
fn ms(us: u64) -> String {
    format!("{} ms", us / 1000)
}
