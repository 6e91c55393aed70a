//! Is exactly the payload of what was refused consumed? The canary behind it tells.

use crate::checks::{Report, rules};
use crate::{Check, ConnReading, Evidence, Finding, Meaning, Reading, Step, Weight};

/// Looks at what the canary behind a subject got.
pub struct PayloadDrained;

impl Check for PayloadDrained {
    fn name(&self) -> &'static str {
        "payload-drained"
    }

    fn check(&self, evidence: &Evidence<'_>) -> Vec<Finding> {
        let mut report = Report::new(self.name(), evidence);
        let keeps = keeps_after_answer(evidence.reading);
        for conn in &evidence.reading.conns {
            let Some(canary) = conn.steps.iter().find(|step| step.mark.label == "canary") else { continue };
            let subject = conn.steps.iter().find(|step| step.mark.label == "subject");
            check_canary(&mut report, conn, subject, canary, keeps);
        }
        report.finish()
    }
}

/// Whether the server was seen to keep a connection after a good answer.
fn keeps_after_answer(reading: &Reading) -> bool {
    reading
        .steps("setup")
        .any(|(_, step)| step.arg("name") == Some("kept") && step.answers().next().is_some())
}

fn check_canary(
    report: &mut Report<'_>,
    conn: &ConnReading,
    subject: Option<&Step>,
    canary: &Step,
    keeps: bool,
) {
    let answered = subject.is_some_and(|step| step.answers().next().is_some());
    let frame = report.subject(conn.conn.0, canary);
    match canary.answers().next() {
        Some(reply) if reply.meaning == Meaning::Success => {}
        Some(reply) => {
            let actual = format!("{:?}", reply.meaning);
            let frame = Some(report.reply(conn.conn.0, reply));
            let message = "the canary gets another answer than it gets by itself: the stream is out of step";
            report.push(
                Weight::Violation,
                "not-drained",
                rules::DRAIN,
                message,
                "the canary's answer",
                actual,
                frame,
            );
        }
        None if subject.is_some_and(|step| step.closed.is_some()) && !answered => {
            // The subject was closed without a reply; `answered-as-due` weighs that.
        }
        None if canary.undecodable.is_some() => {
            let message = "what comes back for the canary is no answer: the stream is out of step";
            report.push(
                Weight::Violation,
                "not-drained",
                rules::DRAIN,
                message,
                "the canary's answer",
                "bytes that are no frame",
                frame,
            );
        }
        None if closed(subject, canary) && keeps && answered => {
            let message = "the server keeps a connection after a good answer, but closes it after this one";
            report.push(
                Weight::Violation,
                "closed-after-refusal",
                rules::DRAIN,
                message,
                "the connection stays usable",
                "closed",
                frame,
            );
        }
        None if closed(subject, canary) => {
            let message = "the server closes each connection after one answer; a client must connect again";
            report.push(
                Weight::Restriction,
                "one-request-per-connection",
                rules::DRAIN,
                message,
                "the connection stays usable",
                "closed",
                frame,
            );
        }
        None if canary.timeout.is_some() && subject.is_some_and(|step| step.timeout.is_some()) => {
            // Nothing at all came on this connection; `answered-as-due` weighs that.
        }
        None => {
            let message =
                "the canary behind the subject is never answered: its bytes were taken for payload, or lost";
            report.push(
                Weight::Violation,
                "not-drained",
                rules::DRAIN,
                message,
                "the canary's answer",
                "nothing within the deadline",
                frame,
            );
        }
    }
}

fn closed(subject: Option<&Step>, canary: &Step) -> bool {
    canary.closed.is_some()
        || canary.send_failed.is_some()
        || subject.is_some_and(|step| step.closed.is_some())
}
