//! Is every request answered as it is due: once, in order, with the right kind of answer?

use crate::checks::{Report, rules};
use crate::{Check, ConnReading, Evidence, Finding, Meaning, Reading, ReplyAt, Step, Weight};

/// Holds each subject step against what its mark expects.
pub struct AnsweredAsDue;

/// What a subject's mark asks for, one word per request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Expect {
    /// Carried out.
    Answer,
    /// `Not supported`.
    NotSupported,
    /// An error reply; a clean close is a refusal too.
    Refusal,
    /// Any answer, or a clean close; but not silence.
    Any,
    /// Anything but a crash.
    Survive,
}

impl Expect {
    fn parse(word: &str) -> Self {
        match word {
            "answer" => Self::Answer,
            "not-supported" => Self::NotSupported,
            "refusal" => Self::Refusal,
            "any" => Self::Any,
            _ => Self::Survive,
        }
    }

    fn words(self) -> &'static str {
        match self {
            Self::Answer => "the request is carried out",
            Self::NotSupported => "`not supported`",
            Self::Refusal => "an error reply, or a clean close",
            Self::Any => "an answer, or a clean close",
            Self::Survive => "anything but a crash",
        }
    }

    fn rule(self) -> (&'static str, &'static str) {
        match self {
            Self::NotSupported => rules::ENOSYS,
            Self::Answer => rules::ANSWER,
            _ => rules::SURVIVE,
        }
    }
}

impl Check for AnsweredAsDue {
    fn name(&self) -> &'static str {
        "answered-as-due"
    }

    fn check(&self, evidence: &Evidence<'_>) -> Vec<Finding> {
        let mut report = Report::new(self.name(), evidence);
        for (conn, step) in evidence.reading.steps("subject") {
            let expects: Vec<_> =
                step.arg("expect").unwrap_or("survive").split(',').map(Expect::parse).collect();
            let answers: Vec<_> = step.answers().collect();
            for (at, expect) in expects.iter().enumerate() {
                match answers.get(at) {
                    Some(reply) => judge_answer(&mut report, conn, reply, *expect),
                    // Only the first lost answer is told; what follows it is its consequence.
                    None => {
                        judge_absence(&mut report, conn, step, *expect, at);
                        break;
                    }
                }
            }
        }
        report.finish()
    }
}

fn judge_answer(report: &mut Report<'_>, conn: &ConnReading, reply: &ReplyAt, expect: Expect) {
    let frame = Some(report.reply(conn.conn.0, reply));
    let (weight, shape, actual) = match (expect, reply.meaning) {
        (Expect::NotSupported, Meaning::Success) => {
            (Weight::Violation, "wrong-success", "success".to_owned())
        }
        (Expect::NotSupported, Meaning::Refused(code)) => {
            (Weight::Violation, "wrong-refusal", format!("refused with {code}"))
        }
        (Expect::Answer, Meaning::NotSupported) => {
            (Weight::Refusal, "not-supported", "`not supported`".to_owned())
        }
        (Expect::Answer, Meaning::Refused(code)) => {
            (Weight::Refusal, "refused-valid", format!("refused with {code}"))
        }
        _ => return,
    };
    let message = format!("the answer says something else than is due: {actual}");
    report.push(weight, shape, expect.rule(), message, expect.words(), actual, frame);
}

fn judge_absence(report: &mut Report<'_>, conn: &ConnReading, step: &Step, expect: Expect, at: usize) {
    if expect == Expect::Survive {
        return;
    }
    let split = step.arg("split").is_some();
    let (weight, shape, actual) = if step.closed.is_some() || step.send_failed.is_some() {
        match expect {
            Expect::Refusal | Expect::Any => (Weight::Refusal, "closed", "closed without a reply"),
            _ if split => (Weight::Violation, "split-refused", "closed without a reply"),
            _ if at > 0 => (Weight::Violation, "lost-pipelined", "closed after an earlier answer"),
            _ => (Weight::Violation, "no-reply", "closed without a reply"),
        }
    } else if step.timeout.is_some() {
        if at > 0 {
            (Weight::Violation, "lost-pipelined", "nothing after an earlier answer")
        } else {
            (Weight::Violation, "hang", "neither an answer nor a close within the deadline")
        }
    } else {
        return;
    };
    let message = match step.arg("split") {
        Some("each") => format!("a request sent byte by byte: {actual}"),
        Some(at) => format!("a request split after byte {at}: {actual}"),
        None => format!("{} due: {actual}", expect.words()),
    };
    let frame = report.subject(conn.conn.0, step);
    report.push(weight, shape, expect.rule(), message, expect.words(), actual, frame);
}

/// No request is answered twice, and pipelined requests are answered in order.
pub struct AnsweredOnce;

impl Check for AnsweredOnce {
    fn name(&self) -> &'static str {
        "answered-once"
    }

    fn check(&self, evidence: &Evidence<'_>) -> Vec<Finding> {
        let mut report = Report::new(self.name(), evidence);
        for conn in &evidence.reading.conns {
            for step in &conn.steps {
                for reply in step.answers().filter(|reply| reply.request.is_none()) {
                    // Bytes that are no request may be answered; that is not a second answer.
                    let garbage = conn.steps.iter().any(|s| s.sent > 0 && s.requests.is_empty());
                    if garbage {
                        continue;
                    }
                    let frame = Some(report.reply(conn.conn.0, reply));
                    report.push(
                        Weight::Violation,
                        "answered-twice",
                        rules::DRAIN,
                        "a reply that no open request is due",
                        "one answer for each request",
                        "one more",
                        frame,
                    );
                }
                in_order(&mut report, evidence.reading, conn, step);
            }
        }
        report.finish()
    }
}

/// Compares each answer of a pipelined step with the answer that the same request got by itself.
fn in_order(report: &mut Report<'_>, reading: &Reading, conn: &ConnReading, step: &Step) {
    let Some(sends) = step.arg("sends") else { return };
    for (name, reply) in sends.split(',').zip(step.answers()) {
        let alone = reading
            .steps("setup")
            .filter(|(_, s)| s.arg("name") == Some(name))
            .find_map(|(_, s)| s.answers().next());
        let Some(alone) = alone else { continue };
        if alone.at.frame.bytes != reply.at.frame.bytes {
            let frame = Some(report.reply(conn.conn.0, reply));
            report.push(
                Weight::Violation,
                "out-of-order",
                rules::ANSWER,
                format!("the answer at the place of `{name}` is not the one that it gets by itself"),
                crate::checks::hex(&alone.at.frame.bytes),
                crate::checks::hex(&reply.at.frame.bytes),
                frame,
            );
        }
    }
}

/// Everything that the server sends can be framed, and there is an end to it.
pub struct ReadableReplies;

impl Check for ReadableReplies {
    fn name(&self) -> &'static str {
        "readable-replies"
    }

    fn check(&self, evidence: &Evidence<'_>) -> Vec<Finding> {
        let mut report = Report::new(self.name(), evidence);
        for conn in &evidence.reading.conns {
            for step in &conn.steps {
                let frame = report.subject(conn.conn.0, step);
                if let Some((_, error)) = step.undecodable {
                    report.push(
                        Weight::Violation,
                        "unreadable-reply",
                        rules::ANSWER,
                        "the server's bytes cannot be framed",
                        "complete frames",
                        error.to_string(),
                        frame.clone(),
                    );
                }
                if let Some(closed) = step.closed.filter(|closed| closed.tail > 0) {
                    report.push(
                        Weight::Violation,
                        "unreadable-reply",
                        rules::ANSWER,
                        "the server closes in mid-frame",
                        "complete frames",
                        format!("{} bytes of an unfinished frame", closed.tail),
                        frame.clone(),
                    );
                }
                if step.flood.is_some() {
                    report.push(
                        Weight::Violation,
                        "flood",
                        rules::ANSWER,
                        "the server sends without end",
                        "one answer for each request",
                        format!("{} bytes", step.received),
                        frame,
                    );
                }
            }
        }
        report.finish()
    }
}
