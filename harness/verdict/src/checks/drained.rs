//! Is exactly the payload of what was refused consumed? The canary behind it tells.

use transcript::evidence::{Role, Shape};

use crate::checks::{Report, rules};
use crate::{Check, ConnReading, Meaning, Reading, Step, Weight};

/// Looks at what the canary behind a subject got, and at how the server closed.
pub const PAYLOAD_DRAINED: Check = Check { name: "payload-drained", judge: payload_drained };

fn payload_drained(report: &mut Report<'_>) {
    let evidence = report.evidence;
    let keeps = keeps_after_answer(evidence.reading);
    for conn in &evidence.reading.conns {
        let Some((drain, canary)) = Drain::of(conn).zip(step_of(conn, Role::Canary)) else { continue };
        let Some((weight, shape, message, actual)) = drain.fault(keeps) else { continue };
        let draft = report.finding(weight, shape, rules::DRAIN, message);
        let draft = match canary.answers().next() {
            Some(reply) => draft.at_reply(conn.conn.0, reply),
            None => draft.at_subject(conn.conn.0, canary),
        };
        draft.push("the canary is answered", actual);
    }
}

/// What became of a subject's payload, as far as the stream shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Drain {
    /// The canary behind it got its answer.
    Answered,
    /// The subject was answered and the connection closed with nothing left unread.
    Closed,
    /// The subject was answered and the connection closed with bytes left unread: the kernel resets it.
    ClosedUnread,
    /// The canary got another answer, or bytes that are none: the stream is out of step.
    OutOfStep,
    /// The canary was never answered: its bytes were taken for payload, or lost.
    Swallowed,
    /// The subject itself was not answered; nothing can be said of its payload.
    Unknown,
}

impl Drain {
    /// Reads it off a connection that has a subject and a canary.
    pub(crate) fn of(conn: &ConnReading) -> Option<Self> {
        let (subject, canary) = (step_of(conn, Role::Subject)?, step_of(conn, Role::Canary)?);
        let settled = step_of(conn, Role::Settle).and_then(|step| step.closed);
        let answer = canary.answers_by_request().first().copied().flatten();
        Some(match answer.map(|reply| reply.meaning) {
            Some(Meaning::Success) => Self::Answered,
            Some(_) => Self::OutOfStep,
            None if canary.undecodable.is_some() => Self::OutOfStep,
            None if subject.answers().next().is_none() => Self::Unknown,
            None => match subject.closed.or(settled) {
                Some(closed) if closed.reset => Self::ClosedUnread,
                Some(_) => Self::Closed,
                // It closed only when the canary came: whether a reset is about the canary or about the
                // subject's payload cannot be told apart.
                None if canary.closed.is_some() || canary.send_failed.is_some() => Self::Closed,
                None => Self::Swallowed,
            },
        })
    }

    fn fault(self, keeps: bool) -> Option<(Weight, Shape, &'static str, &'static str)> {
        Some(match self {
            Self::Answered | Self::Unknown => return None,
            Self::Closed if keeps => (
                Weight::Violation,
                Shape::CLOSED_AFTER_REFUSAL,
                "the server keeps a connection after a good answer, but closes it after this one",
                "closed",
            ),
            Self::Closed => (
                Weight::Restriction,
                Shape::ONE_REQUEST_PER_CONNECTION,
                "the server closes each connection after one answer; a client must connect again",
                "closed",
            ),
            Self::ClosedUnread => (
                Weight::Violation,
                Shape::NOT_DRAINED,
                "the server closes with bytes of the request left unread",
                "reset",
            ),
            Self::OutOfStep => (
                Weight::Violation,
                Shape::NOT_DRAINED,
                "the canary gets another answer than it gets by itself: the stream is out of step",
                "another answer",
            ),
            Self::Swallowed => (
                Weight::Violation,
                Shape::NOT_DRAINED,
                "the canary behind the subject is never answered: its bytes were taken for payload, or lost",
                "nothing within the deadline",
            ),
        })
    }
}

fn step_of(conn: &ConnReading, role: Role) -> Option<&Step> {
    conn.steps.iter().find(|step| step.is(role))
}

/// Whether the server was seen to keep a connection after a good answer.
fn keeps_after_answer(reading: &Reading) -> bool {
    let kept = |step: &Step| step.arg("name") == Some("kept") && step.answers().next().is_some();
    reading.steps(Role::Setup).any(|(_, step)| kept(step))
}
