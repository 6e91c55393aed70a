//! Is every request answered as it is due: once, in order, with the right kind of answer?

use transcript::evidence::{Expect, Role, Shape};
use wire::Direction;

use crate::checks::{Report, rules};
use crate::{Check, Cited, ConnReading, Evidence, Meaning, ReplyAt, Step, Weight, compare};

/// Compares each subject step with what its mark expects.
pub const ANSWERED_AS_DUE: Check = Check { name: "answered-as-due", judge: answered_as_due };

/// An expectation, in words for people.
fn in_words(expect: Expect) -> &'static str {
    match expect {
        Expect::Answer => "the request is carried out",
        Expect::NotSupported => "`not supported`",
        Expect::Refusal => "an error reply, or a clean close",
        Expect::Any => "an answer, or a clean close",
        Expect::Closed => "a close, or an error reply",
        Expect::Survive => "anything but a crash",
    }
}

fn rule_of(expect: Expect) -> Cited {
    match expect {
        Expect::NotSupported => rules::ENOSYS,
        Expect::Answer => rules::ANSWER,
        _ => rules::SURVIVE,
    }
}

fn answered_as_due(report: &mut Report<'_>) {
    let evidence = report.evidence;
    for (conn, step) in evidence.reading.steps(Role::Subject) {
        // Unknown words are ignored here; `evidence-complete` reports them.
        let expects: Vec<_> = words(step).filter_map(Expect::parse).collect();
        let answers = step.answers_by_request();
        for (at, expect) in expects.iter().enumerate() {
            match answers.get(at).copied().flatten() {
                Some(reply) => judge_answer(report, conn, reply, *expect),
                None if *expect == Expect::Survive => {}
                // Only the first lost answer is told; what follows it is its consequence.
                None => {
                    judge_absence(report, conn, step, *expect, at);
                    break;
                }
            }
        }
    }
    // A state that is read back is judged by the protocol; that it can be read is due in any case.
    for (conn, step) in evidence.reading.steps(Role::State) {
        let lost = step.answers_by_request().iter().position(Option::is_none);
        if let Some(at) = lost {
            judge_absence(report, conn, step, Expect::Answer, at);
        }
    }
}

fn words(step: &Step) -> impl Iterator<Item = &str> {
    step.arg(Expect::ARG).unwrap_or_default().split(',')
}

/// The first unknown word of a subject's expectation, and how many ends it must come to.
pub(super) fn expectations(step: &Step) -> (Option<&str>, usize) {
    let unknown = words(step).find(|word| Expect::parse(word).is_none());
    let due = words(step).filter(|word| !matches!(Expect::parse(word), None | Some(Expect::Survive)));
    (unknown, due.count())
}

fn judge_answer(report: &mut Report<'_>, conn: &ConnReading, reply: &ReplyAt, expect: Expect) {
    let (weight, shape, actual) = match (expect, reply.meaning) {
        (Expect::NotSupported | Expect::Refusal | Expect::Closed, Meaning::Success) => {
            (Weight::Violation, Shape::WRONG_SUCCESS, "success".to_owned())
        }
        (Expect::NotSupported, Meaning::Refused(code)) => {
            (Weight::Violation, Shape::WRONG_REFUSAL, format!("refused with {code}"))
        }
        (Expect::Answer, Meaning::NotSupported) => {
            (Weight::Refusal, Shape::NOT_SUPPORTED, "`not supported`".to_owned())
        }
        (Expect::Answer, Meaning::Refused(code)) => {
            (Weight::Refusal, Shape::REFUSED_VALID, format!("refused with {code}"))
        }
        _ => return,
    };
    let message = format!("the answer says something else than is due: {actual}");
    report
        .finding(weight, shape, rule_of(expect), message)
        .at_reply(conn.conn.0, reply)
        .push(in_words(expect), actual);
}

fn judge_absence(report: &mut Report<'_>, conn: &ConnReading, step: &Step, expect: Expect, at: usize) {
    let split = step.arg("split").is_some();
    let (weight, shape, actual) = if step.closed.is_some() || step.send_failed.is_some() {
        match expect {
            Expect::Closed => return,
            Expect::Refusal | Expect::Any => (Weight::Refusal, Shape::CLOSED, "closed without a reply"),
            _ if split => (Weight::Violation, Shape::SPLIT_REFUSED, "closed without a reply"),
            _ if at > 0 => (Weight::Violation, Shape::LOST_PIPELINED, "closed after an earlier answer"),
            _ => (Weight::Violation, Shape::NO_REPLY, "closed without a reply"),
        }
    } else if step.timeout.is_some() {
        if expect == Expect::Closed {
            (Weight::Violation, Shape::KEPT_OPEN, "neither an answer nor a close within the deadline")
        } else if at > 0 {
            (Weight::Violation, Shape::LOST_PIPELINED, "nothing after an earlier answer")
        } else {
            (Weight::Violation, Shape::HANG, "neither an answer nor a close within the deadline")
        }
    } else {
        return;
    };
    let message = match step.arg("split") {
        Some("each") => format!("a request sent byte by byte: {actual}"),
        Some(at) => format!("a request split after byte {at}: {actual}"),
        None => format!("{} due: {actual}", in_words(expect)),
    };
    report
        .finding(weight, shape, rule_of(expect), message)
        .at_subject(conn.conn.0, step)
        .push(in_words(expect), actual);
}

/// No request is answered twice, and pipelined requests are answered in order.
pub const ANSWERED_ONCE: Check = Check { name: "answered-once", judge: answered_once };

fn answered_once(report: &mut Report<'_>) {
    let evidence = report.evidence;
    for conn in &evidence.reading.conns {
        // Bytes that are no request may be answered, once for each step that sent some; what comes
        // beyond that is a second answer.
        let mut unframed = 0_usize;
        for step in &conn.steps {
            unframed += usize::from(step.sent > 0 && step.requests.is_empty());
            for reply in step.answers().filter(|reply| reply.request.is_none()) {
                if unframed > 0 {
                    unframed -= 1;
                    continue;
                }
                report
                    .violation(Shape::ANSWERED_TWICE, rules::DRAIN, "a reply that no open request is due")
                    .at_reply(conn.conn.0, reply)
                    .push("one answer for each request", "one more");
            }
            in_order(report, evidence, conn, step);
        }
    }
}

/// Compares each answer of a pipelined step with the answer that the same request got by itself, field by
/// field and under the same masks as a replay.
fn in_order(report: &mut Report<'_>, evidence: &Evidence<'_>, conn: &ConnReading, step: &Step) {
    let Some(sends) = step.arg("sends") else { return };
    let answers = step.answers_by_request();
    for (name, reply) in sends.split(',').zip(answers) {
        let Some(reply) = reply else { continue };
        let alone = evidence
            .reading
            .steps(Role::Setup)
            .filter(|(_, s)| s.arg("name") == Some(name))
            .find_map(|(_, s)| s.answers().next());
        let Some(alone) = alone else { continue };
        let Some((expected, actual)) = other_answer(evidence, alone, reply) else { continue };
        let message = format!("the answer at the place of `{name}` is not the one that it gets by itself");
        report
            .violation(Shape::OUT_OF_ORDER, rules::ANSWER, message)
            .at_reply(conn.conn.0, reply)
            .push(expected, actual);
    }
}

/// How an answer differs from the one that its request gets by itself. Both are read as answers to that
/// request: whose answer the reply really is, is what is to be found out.
fn other_answer(evidence: &Evidence<'_>, alone: &ReplyAt, reply: &ReplyAt) -> Option<(String, String)> {
    let request = alone.request.as_ref();
    let grammar = evidence.grammar;
    let (was, is) = (alone.meaning, grammar.meaning(request, &reply.at.frame));
    if was != is {
        return Some((format!("{was:?}"), format!("{is:?}")));
    }
    let dissect = |reply: &ReplyAt| grammar.dissect(Direction::ToClient, &reply.at.frame, request);
    let (was, is) = (dissect(alone), dissect(reply));
    let compared = compare((&was, &alone.at.frame.bytes), (&is, &reply.at.frame.bytes));
    // One server, one request: what nobody understands is the same too.
    let unread = compared.not_compared.first().map(|part| (part.clone(), format!("another `{part}`")));
    compared.difference.map(|difference| (difference.expected, difference.actual)).or(unread)
}

/// Everything that the server sends can be framed, and there is an end to it.
pub const READABLE_REPLIES: Check = Check { name: "readable-replies", judge: readable_replies };

fn readable_replies(report: &mut Report<'_>) {
    let evidence = report.evidence;
    if evidence.case.kind == matrix::CaseKind::Client && evidence.server_is_faulty() {
        return;
    }
    for conn in &evidence.reading.conns {
        for step in &conn.steps {
            if let Some((_, error)) = step.undecodable {
                report
                    .violation(Shape::UNREADABLE_REPLY, rules::ANSWER, "the server's bytes cannot be framed")
                    .at_subject(conn.conn.0, step)
                    .push("complete frames", error.to_string());
            }
            // A success that cannot be read says nothing.
            for reply in step.answers().filter(|reply| reply.meaning == Meaning::Success) {
                let request = reply.request.as_ref();
                let dissection = evidence.grammar.dissect(Direction::ToClient, &reply.at.frame, request);
                let Some(problem) = dissection.problems.first() else { continue };
                report
                    .violation(
                        Shape::UNREADABLE_REPLY,
                        rules::ANSWER,
                        "an answer that reports success cannot be read",
                    )
                    .at_reply(conn.conn.0, reply)
                    .push("an answer of the layout that its request has", problem.what.clone());
            }
            if let Some(closed) = step.closed.filter(|closed| closed.tail > 0) {
                report
                    .violation(Shape::UNREADABLE_REPLY, rules::ANSWER, "the server closes in mid-frame")
                    .at_subject(conn.conn.0, step)
                    .push("complete frames", format!("{} bytes of an unfinished frame", closed.tail));
            }
            if step.flood.is_some() {
                report
                    .violation(Shape::FLOOD, rules::ANSWER, "the server sends without end")
                    .at_subject(conn.conn.0, step)
                    .push("one answer for each request", format!("{} bytes", step.received));
            }
        }
    }
}
