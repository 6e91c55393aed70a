//! Does a recorded conversation keep its meaning on another server?
//!
//! Replies are compared connection by connection, request by request, field by field; what servers send by
//! themselves, in order. Fields under a named mask are passed over; nothing else is. What got better (an
//! answer where there was none) is a note.

use transcript::evidence::{Observation, Shape};

use crate::checks::{READABLE_REPLIES, Report, STAYS_UP, rules};
use crate::reading::by_request;
use crate::{
    Check, ConnReading, Due, Evidence, Finding, FrameRef, Meaning, Recorded, ReplyAt, Step, Weight, compare,
};

/// Compares a replay with its recording.
pub const SAME_MEANING: Check = Check { name: "same-meaning", judge: same_meaning };

fn same_meaning(report: &mut Report<'_>) {
    let evidence = report.evidence;
    let Some(recorded) = evidence.recorded else { return };
    for then in &recorded.reading.conns {
        match evidence.reading.conns.iter().find(|now| now.conn == then.conn) {
            // What it was not asked it cannot answer: see `stays-up`.
            Some(now) if evidence.reading.muxer_fault(now.conn).is_some() => {}
            Some(now) => compare_conn(report, evidence, recorded, then, now),
            None => report
                .violation(
                    Shape::NO_REPLY,
                    rules::SAME_MEANING,
                    format!("connection {} of the recording could not be made", then.conn),
                )
                .push("a connection", "none"),
        }
    }
}

/// The server of a replay fares no worse than the recorded one. What the recorded server did wrong too
/// is told by the cell that judges the recording.
pub const SAME_FATE: Check = Check { name: "same-fate", judge: same_fate };

fn same_fate(report: &mut Report<'_>) {
    let evidence = report.evidence;
    let Some(recorded) = evidence.recorded else { return };
    let then = Evidence {
        case: evidence.case,
        transcript: recorded.transcript,
        reading: recorded.reading,
        grammar: recorded.grammar,
        recorded: None,
    };
    let faults = |evidence: &Evidence<'_>| -> Vec<Finding> {
        STAYS_UP.findings(evidence).into_iter().chain(READABLE_REPLIES.findings(evidence)).collect()
    };
    let before = faults(&then);
    // A server that is dead serves nobody afterwards: one fault, however it shows.
    let dead = |shape: &str| {
        [Shape::CRASH, Shape::SERVER_EXITED, Shape::NOT_USABLE_AFTER].iter().any(|dead| *shape == *dead)
    };
    let known = |finding: &Finding| {
        before.iter().any(|b| b.shape == finding.shape || (dead(&b.shape) && dead(&finding.shape)))
    };
    report.extend(faults(evidence).into_iter().filter(|finding| !known(finding)));
}

/// The answers of a connection in the order of its requests, whatever the order in which they came. Where an
/// answer belongs to no request that could be framed, `None`: then only the order in which they came is left.
fn answers_by_request(conn: &ConnReading) -> Option<Vec<Option<&ReplyAt>>> {
    let requests = conn.steps.iter().flat_map(|step| &step.requests);
    let (ordered, others) = by_request(requests, conn.steps.iter().flat_map(Step::answers));
    others.is_empty().then_some(ordered)
}

fn answers(conn: &ConnReading) -> Vec<&ReplyAt> {
    conn.steps.iter().flat_map(Step::answers).collect()
}

/// What the server said besides the ends of its answers.
fn others(conn: &ConnReading) -> Vec<Option<&ReplyAt>> {
    let replies = conn.steps.iter().flat_map(|step| &step.replies);
    replies.filter(|reply| !reply.meaning.is_answer()).map(Some).collect()
}

fn compare_conn(
    report: &mut Report<'_>,
    evidence: &Evidence<'_>,
    recorded: Recorded<'_>,
    then: &ConnReading,
    now: &ConnReading,
) {
    let by_request = answers_by_request(then).zip(answers_by_request(now));
    let as_they_came = || {
        let all = |conn| answers(conn).into_iter().map(Some).collect();
        (all(then), all(now))
    };
    let (before, after) = by_request.unwrap_or_else(as_they_came);
    if compare_all(report, evidence, recorded, now, (&before, &after))
        && compare_all(report, evidence, recorded, now, (&others(then), &others(now)))
        && before.iter().flatten().count() == after.iter().flatten().count()
    {
        compare_ends(report, then, now);
    }
}

/// Compares what has the same place in both. False where something is missing: what follows is its consequence.
fn compare_all(
    report: &mut Report<'_>,
    evidence: &Evidence<'_>,
    recorded: Recorded<'_>,
    now: &ConnReading,
    (before, after): (&[Option<&ReplyAt>], &[Option<&ReplyAt>]),
) -> bool {
    for at in 0..before.len().max(after.len()) {
        let old = before.get(at).copied().flatten();
        let new = after.get(at).copied().flatten();
        match (old, new) {
            (Some(old), Some(new)) => compare_reply(report, evidence, recorded, now.conn.0, old, new),
            // What was not sent, since it quotes what another answer refused to say, is told by that one.
            (Some(_), None) if withheld(evidence, now) => return false,
            (Some(old), None) => {
                lost(report, now, old);
                return false;
            }
            (None, Some(new)) => one_more(report, evidence, now.conn.0, new),
            (None, None) => {}
        }
    }
    true
}

/// Whether something was not sent on a connection.
fn withheld(evidence: &Evidence<'_>, conn: &ConnReading) -> bool {
    let not_sent = evidence.reading.observations.iter().filter(|seen| seen.what() == Observation::NotSent);
    let mut conns = not_sent.filter_map(|seen| evidence.transcript.events.get(seen.event));
    conns.any(|event| event.conn == conn.conn)
}

/// An answer where the recording has none.
fn one_more(report: &mut Report<'_>, evidence: &Evidence<'_>, conn: u32, new: &ReplyAt) {
    let frame = Some(report.reply(conn, new));
    let fails = new.request.as_ref().is_some_and(|request| {
        evidence.grammar.due(request) == Due::OnFailure
            && new.meaning.is_answer()
            && new.meaning != Meaning::Success
    });
    let (weight, shape, message) = if fails {
        (Weight::Refusal, Shape::REFUSED_BEFORE_ACCEPTED, "a request that was carried out is refused")
    } else if new.request.is_some() || !new.meaning.is_answer() {
        (Weight::Note, Shape::ANSWERS_MORE, "an answer where the recorded server gave none")
    } else {
        (Weight::Violation, Shape::ANSWERED_TWICE, "a reply that no open request is due")
    };
    report.finding(weight, shape, rules::SAME_MEANING, message).at(frame).push("no reply", "a reply");
}

/// How a server left a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Closed,
    Silent,
    Open,
}

fn end(conn: &ConnReading) -> End {
    if conn.steps.iter().any(|step| step.closed.is_some()) {
        End::Closed
    } else if conn.steps.iter().any(|step| step.timeout.is_some()) {
        End::Silent
    } else {
        End::Open
    }
}

/// Whether the last thing that the client sent got an answer; `None` where it sent nothing.
fn answered(conn: &ConnReading) -> Option<bool> {
    conn.steps.iter().rev().find(|step| step.sent > 0).map(|step| !step.replies.is_empty())
}

/// A close is an answer of a kind. A client that got it when it was recorded must not wait for ever now; how long a
/// connection lives behind an answer is worth a note.
fn compare_ends(report: &mut Report<'_>, then: &ConnReading, now: &ConnReading) {
    let (weight, shape, message, expected, actual) = match (end(then), end(now)) {
        (End::Closed, End::Silent) if answered(then) == Some(false) => (
            Weight::Violation,
            Shape::HANG,
            "a request that was closed when it was recorded is neither answered nor closed",
            "closed",
            "nothing within the deadline",
        ),
        (End::Closed, End::Silent | End::Open) if answered(then) == Some(true) => (
            Weight::Note,
            Shape::KEEPS_LONGER,
            "a connection that was closed behind its answer is kept",
            "closed",
            "kept",
        ),
        _ => return,
    };
    let frame = now.steps.iter().find_map(|step| report.subject(now.conn.0, step));
    report.finding(weight, shape, rules::SAME_MEANING, message).at(frame).push(expected, actual);
}

fn lost(report: &mut Report<'_>, now: &ConnReading, old: &ReplyAt) {
    let silent = now.steps.iter().any(|step| step.timeout.is_some() && step.closed.is_none());
    let (shape, actual) = if silent {
        (Shape::HANG, "nothing within the deadline")
    } else {
        (Shape::NO_REPLY, "closed without a reply")
    };
    // Where the recorded server refused, a server that closes refuses too, only less clearly.
    let weight = match old.meaning {
        Meaning::Refused(_) if !silent => Weight::Refusal,
        _ => Weight::Violation,
    };
    let frame =
        now.steps.iter().find_map(|step| step.requests.last()).map(|at| report.request(now.conn.0, at));
    let expected = format!("{:?}, as recorded", old.meaning);
    let message = format!("a request that was answered when it was recorded is not: {actual}");
    report.finding(weight, shape, rules::SAME_MEANING, message).at(frame).push(expected, actual);
}

fn compare_reply(
    report: &mut Report<'_>,
    evidence: &Evidence<'_>,
    recorded: Recorded<'_>,
    conn: u32,
    old: &ReplyAt,
    new: &ReplyAt,
) {
    if old.meaning != new.meaning {
        let (weight, shape) = match (old.meaning, new.meaning) {
            (Meaning::Success, Meaning::NotSupported) => (Weight::Refusal, Shape::NOT_SUPPORTED),
            (Meaning::Success, Meaning::Refused(_)) => (Weight::Refusal, Shape::REFUSED_BEFORE_ACCEPTED),
            (Meaning::NotSupported | Meaning::Refused(_), Meaning::Success) => {
                (Weight::Note, Shape::ACCEPTS_MORE)
            }
            (Meaning::Refused(_), Meaning::Refused(_)) => (Weight::Note, Shape::OTHER_ERROR),
            (Meaning::NotSupported, Meaning::Refused(_)) => (Weight::Note, Shape::SUPPORTED_NOW),
            _ => (Weight::Violation, Shape::CHANGED_MEANING),
        };
        let (expected, actual) = (format!("{:?}", old.meaning), format!("{:?}", new.meaning));
        let message = format!("the answer means something else than when it was recorded: {actual}");
        report
            .finding(weight, shape, rules::SAME_MEANING, message)
            .at_reply(conn, new)
            .push(expected, actual);
        return;
    }
    let dissect = |grammar: &dyn crate::Grammar, reply: &ReplyAt| {
        grammar.dissect(wire::Direction::ToClient, &reply.at.frame, reply.request.as_ref())
    };
    let was = dissect(recorded.grammar, old);
    let is = dissect(evidence.grammar, new);
    let compared = compare((&was, &old.at.frame.bytes), (&is, &new.at.frame.bytes));
    if let Some(difference) = compared.difference {
        let frame = FrameRef { span: difference.span, ..report.reply(conn, new) };
        let message = format!("`{}` differs from the recording", difference.path);
        report
            .violation(Shape::CHANGED_MEANING, rules::SAME_MEANING, message)
            .at(Some(frame))
            .push(difference.expected, difference.actual);
    }
    for part in compared.added {
        let message = format!("`{part}` is there, which the recorded server did not say");
        let finding = report.finding(Weight::Note, Shape::SAYS_MORE, rules::SAME_MEANING, message);
        finding.at_reply(conn, new).push("no such field", part);
    }
    for part in compared.not_compared {
        let message = format!("`{part}` differs from the recording, and nobody here understands it");
        let finding = report.finding(Weight::Note, Shape::NOT_COMPARED, rules::SAME_MEANING, message);
        finding.at_reply(conn, new).push("the recorded bytes", "others");
    }
    if old.at.fds.len() != new.at.fds.len() {
        report
            .violation(
                Shape::CHANGED_MEANING,
                rules::SAME_MEANING,
                "another number of descriptors than when it was recorded",
            )
            .at_reply(conn, new)
            .push(old.at.fds.len().to_string(), new.at.fds.len().to_string());
    }
}
