//! What the generic checks cannot say of calls and streams.
//!
//! | shape | the rule |
//! |---|---|
//! | `not-drained`, `closed-after-refusal` | behind whatever was refused, every canary of a connection is answered |
//! | `closed-after-refusal` | a message above the limit costs itself, and not the connection |
//! | `smuggled` | what was announced as the body of a message is carried out by nobody |
//! | `stops-reading` | a server goes on reading while a client takes no answers |
//! | `code-lost` | a failure that came from elsewhere keeps its code |
//! | `above-limit` | no answer is longer than 4 MiB |
//! | `no-reply` | every call of a client is answered, as long as it listens |
//! | `stream-reused` | a client opens streams of odd numbers, each larger than the one before |
//! | `incomplete` | what was recorded elsewhere came to an end |

use std::collections::BTreeSet;

use matrix::CaseKind;
use transcript::evidence::{Expect, Role, Shape};
use transcript::{EventKind, Transcript};
use verdict::checks::{EVIDENCE_COMPLETE, Report, without_end};
use verdict::{Blame, Check, Cited, ConnReading, Due, FrameAt, Meaning, Reading, ReplyAt, Step, Weight};
use wire::Direction;
use wire::ttrpc::{DATA_MAX, Header, OVERSIZE};

use crate::envelope::{Answer, Call, code, data};

/// The words of what is found.
pub mod shapes {
    use transcript::evidence::Shape;

    /// What was announced as the body of a message was carried out.
    pub const SMUGGLED: Shape = Shape::new("smuggled");
    /// A server and its client wait for each other to read.
    pub const STOPS_READING: Shape = Shape::new("stops-reading");
    /// A failure has another code than where it came from.
    pub const CODE_LOST: Shape = Shape::new("code-lost");
    /// A message is longer than anybody takes.
    pub const ABOVE_LIMIT: Shape = Shape::new("above-limit");
    /// A client used a number of a stream that it may not use.
    pub const STREAM_REUSED: Shape = Shape::new("stream-reused");
}

verdict::rules! {
    DRAINED: "whatever was refused, what is behind it on the connection is answered",
        "harness/ARCHITECTURE.md#what-is-refused-is-read-to-its-end";
    BODY: "as many bytes as the head of a message announces are its body, and nobody carries them out",
        "containerd/ttrpc@v1.2.7:PROTOCOL.md, Message Frame";
    READS: "who writes goes on reading: otherwise both sides wait for each other, for ever",
        "https://github.com/containerd/ttrpc/issues/72";
    LIMIT: "a message has at most 4194304 bytes of data", "containerd/ttrpc@v1.2.7:PROTOCOL.md, Message Frame";
    CODE: "a status keeps its code from hop to hop", "grpc/grpc@v1.60.0:doc/statuscodes.md";
    ANSWERED: "every call is answered, once", "harness/ARCHITECTURE.md#requests-are-answered-once";
    NUMBERS: "a client opens streams of odd numbers, each larger than the one before",
        "containerd/ttrpc@v1.2.7:PROTOCOL.md, Stream ID";
}

/// The rules of all of them.
#[must_use]
pub fn rules() -> Vec<Cited> {
    RULES.to_vec()
}

/// Every canary is answered.
pub const CANARIES_ANSWERED: Check = Check { name: "canaries-answered", judge: canaries_answered };

fn canaries_answered(report: &mut Report<'_>) {
    let reading = report.evidence.reading;
    // A canary that no muxer let through was never there.
    for conn in reading.conns.iter().filter(|conn| reading.muxer_fault(conn.conn).is_none()) {
        let mut ended_in: Option<&Step> = None;
        for step in &conn.steps {
            if step.is(Role::Canary) {
                match ended_in {
                    Some(culprit) => hold_close(report, conn, culprit),
                    None => hold_canary(report, conn, step),
                }
            }
            let is_over = step.closed.is_some() || step.send_failed.is_some() || step.undecodable.is_some();
            ended_in = ended_in.or(Some(step).filter(|_| is_over));
        }
    }
}

/// Other calls may be under way on a connection: who closes it ends them, too. Above the limit that is allowed.
fn hold_close(report: &mut Report<'_>, conn: &ConnReading, culprit: &Step) {
    let may_close = |expect: &str| matches!(Expect::parse(expect), Some(Expect::Closed | Expect::Survive));
    let is_allowed = culprit.arg(Expect::ARG).is_none_or(|expects| expects.split(',').all(may_close));
    let weight = if is_allowed { Weight::Restriction } else { Weight::Violation };
    let message = "the connection is closed instead of a refusal: whatever else was called on it is lost";
    report
        .finding(weight, Shape::CLOSED_AFTER_REFUSAL, DRAINED, message)
        .at_subject(conn.conn.0, culprit)
        .push("the canary is answered", "closed");
}

fn hold_canary(report: &mut Report<'_>, conn: &ConnReading, step: &Step) {
    let due = "the canary is answered";
    match step.answers_by_request().first().copied().flatten() {
        Some(reply) if reply.meaning == Meaning::Success => {}
        Some(reply) => {
            let message = "the canary gets another answer than it gets by itself: the stream is out of step";
            let actual = format!("{:?}", reply.meaning);
            report
                .violation(Shape::NOT_DRAINED, DRAINED, message)
                .at_reply(conn.conn.0, reply)
                .push(due, actual);
        }
        None if step.closed.is_some() || step.send_failed.is_some() => {
            let message =
                "the connection is closed behind what was refused: whatever else was called on it is lost";
            report
                .violation(Shape::CLOSED_AFTER_REFUSAL, DRAINED, message)
                .at_subject(conn.conn.0, step)
                .push(due, "closed");
        }
        None => {
            let message = "the canary is never answered: its bytes were taken for payload, or lost";
            report
                .violation(Shape::NOT_DRAINED, DRAINED, message)
                .at_subject(conn.conn.0, step)
                .push(due, "nothing within the deadline");
        }
    }
}

/// Behind a message above the limit its connection is there.
pub const OPEN_AFTER_OVERSIZE: Check = Check { name: "open-after-oversize", judge: open_after_oversize };

/// Where a canary comes behind the message, [`CANARIES_ANSWERED`] says it.
fn open_after_oversize(report: &mut Report<'_>) {
    for conn in &report.evidence.reading.conns {
        let last_canary = conn.steps.iter().rposition(|step| step.is(Role::Canary));
        let alone = conn.steps.get(last_canary.map_or(0, |at| at + 1)..).unwrap_or_default();
        for step in alone.iter().filter(|step| step.is(Role::Subject)) {
            let is_oversize = step.requests.iter().any(|at| at.frame.kind == OVERSIZE);
            let left = ended_at(report.evidence.transcript, conn);
            let closes = step.closed.is_some_and(|closed| left.is_none_or(|left| closed.event < left));
            if is_oversize && closes {
                let message =
                    "a message above the limit ends the connection: whatever else was called on it is lost";
                report
                    .finding(Weight::Restriction, Shape::CLOSED_AFTER_REFUSAL, DRAINED, message)
                    .at_subject(conn.conn.0, step)
                    .push("an answer, or silence until all of the message is there", "closed");
            }
        }
    }
}

/// Nobody carries out what is in a body.
pub const NOTHING_SMUGGLED: Check = Check { name: "nothing-smuggled", judge: nothing_smuggled };

fn nothing_smuggled(report: &mut Report<'_>) {
    for conn in &report.evidence.reading.conns {
        let requests = || conn.steps.iter().flat_map(|step| &step.requests);
        if !requests().any(|at| at.frame.kind == OVERSIZE) {
            continue;
        }
        let asked: BTreeSet<u32> = requests().filter_map(stream_of).collect();
        for reply in conn.steps.iter().flat_map(|step| &step.replies) {
            let Some(stream) = stream_of(&reply.at).filter(|stream| !asked.contains(stream)) else {
                continue;
            };
            let message = "a request in the body of a message above the limit was carried out";
            report
                .violation(shapes::SMUGGLED, BODY, message)
                .at_reply(conn.conn.0, reply)
                .push("no answer on a stream that nobody opened", format!("an answer on stream {stream}"));
        }
    }
}

fn stream_of(at: &FrameAt) -> Option<u32> {
    Header::of_frame(&at.frame).map(|header| header.stream)
}

/// Both sides may write at once.
pub const READS_ON: Check = Check { name: "reads-on", judge: reads_on };

fn reads_on(report: &mut Report<'_>) {
    for (conn, step) in report.evidence.reading.steps(Role::Subject) {
        let due = step.requests.iter().filter(|at| is_call(at)).count();
        let answered = step.answers().count();
        let is_stuck = step.send_failed.is_some() || answered < due;
        if is_stuck && step.closed.is_none() {
            let message = "a client that writes much before it reads waits for a server that waits for it";
            report
                .violation(shapes::STOPS_READING, READS, message)
                .at_subject(conn.conn.0, step)
                .push("all requests are taken and answered", format!("{answered} of {due} answers"));
        }
    }
}

/// No answer is longer than the limit.
pub const WITHIN_LIMIT: Check = Check { name: "within-limit", judge: within_limit };

fn within_limit(report: &mut Report<'_>) {
    // Of a client that meets such answers, only what it makes of them is judged.
    if report.evidence.case.kind == CaseKind::Client && report.evidence.server_is_faulty() {
        return;
    }
    for conn in &report.evidence.reading.conns {
        for reply in
            conn.steps.iter().flat_map(|step| &step.replies).filter(|reply| reply.at.frame.kind == OVERSIZE)
        {
            let length = Header::length(&reply.at.frame.bytes).unwrap_or_default();
            report
                .violation(shapes::ABOVE_LIMIT, LIMIT, "an answer is longer than its client may take")
                .at_reply(conn.conn.0, reply)
                .push(format!("at most {DATA_MAX} bytes"), format!("{length} bytes"));
        }
    }
}

/// A status that comes from another process keeps its code.
pub const CODE_KEPT: Check = Check { name: "code-kept", judge: code_kept };

/// How a status is written into the text of another one: by Rust's `Debug`, and by Go.
const STATUS_IN_TEXT: [&str; 2] = ["Status { code: ", "rpc error: code = "];

fn code_kept(report: &mut Report<'_>) {
    for conn in &report.evidence.reading.conns {
        for reply in conn.steps.iter().flat_map(|step| &step.replies) {
            let Some(answer) = Answer::read(data(&reply.at.frame.bytes)) else { continue };
            let text = String::from_utf8_lossy(answer.message);
            let Some((word, was)) = code_in(&text) else { continue };
            if was != answer.code {
                let message = "a failure that came from elsewhere is passed on with another code";
                report
                    .violation(shapes::CODE_LOST, CODE, message)
                    .at_reply(conn.conn.0, reply)
                    .push(word.to_owned(), answer.code.to_string());
            }
        }
    }
}

/// The code in the text of a status, and its name there.
fn code_in(text: &str) -> Option<(&str, i64)> {
    let inner = STATUS_IN_TEXT.iter().find_map(|before| text.split_once(before))?.1;
    let word = inner.split([',', ' ', '}']).next()?;
    Some((word, code::of_word(word)?))
}

/// Every call of a client is answered, as long as the client listens, and nothing else is said.
pub const CALLS_ANSWERED: Check =
    Check { name: "calls-answered", judge: |report| calls_answered(report, |_| false) };

/// The same, where some calls need no answer: those that end the server, and those that wait for what may never be.
pub fn calls_answered(report: &mut Report<'_>, needs_none: impl Fn(&FrameAt) -> bool) {
    let reading = report.evidence.reading;
    for conn in &reading.conns {
        let ended = ended_at(report.evidence.transcript, conn);
        for exchange in conn.exchanges() {
            let is_due = exchange.asked == Direction::ToServer && is_call(exchange.request);
            let was_heard = ended.is_none_or(|ended| exchange.request.event < ended);
            let is_missed = exchange.completed.is_none() && !needs_none(exchange.request);
            if is_due && was_heard && is_missed {
                report
                    .violation(Shape::NO_REPLY, ANSWERED, "a call is never answered")
                    .at_request(conn.conn.0, exchange.request)
                    .push("one answer", "none");
            }
        }
        let strays = conn.steps.iter().flat_map(|step| &step.replies).filter(|reply| is_stray(reply));
        for reply in strays {
            report
                .violation(Shape::ANSWERED_TWICE, ANSWERED, "an answer to nothing that was asked")
                .at_reply(conn.conn.0, reply)
                .push("one answer for each call", "one more");
        }
    }
}

fn is_stray(reply: &ReplyAt) -> bool {
    reply.at.exchange.is_none() && reply.meaning.is_answer()
}

/// Where the client ended the connection.
#[must_use]
pub fn ended_at(transcript: &Transcript, conn: &ConnReading) -> Option<usize> {
    let of_client = |event: &transcript::Event| event.conn == conn.conn && event.dir == Direction::ToServer;
    transcript.events.iter().position(|event| of_client(event) && matches!(event.kind, EventKind::Eof(_)))
}

/// The numbers of the streams that a client opens.
pub const STREAMS_INCREASE: Check = Check { name: "streams-increase", judge: streams_increase };

fn streams_increase(report: &mut Report<'_>) {
    for conn in &report.evidence.reading.conns {
        let mut last = 0;
        for at in conn.steps.iter().flat_map(|step| &step.requests).filter(|at| at.due != Due::None) {
            let Some(stream) = stream_of(at) else { continue };
            if stream.is_multiple_of(2) || stream <= last {
                report
                    .violation(shapes::STREAM_REUSED, NUMBERS, "a client opens a stream that it may not open")
                    .blame(Blame::Client)
                    .at_request(conn.conn.0, at)
                    .push(format!("an odd number above {last}"), stream.to_string());
            }
            last = last.max(stream);
        }
    }
}

/// What was recorded of somebody else's client is complete.
pub const RECORDED_COMPLETE: Check = Check { name: EVIDENCE_COMPLETE.name, judge: recorded_complete };

fn recorded_complete(report: &mut Report<'_>) {
    let reading = report.evidence.reading;
    let mut missing = Vec::new();
    if !calls(reading).any(|_| true) {
        missing.push("nobody called anything".to_owned());
    }
    missing.extend(without_end(report.evidence.transcript, reading));
    report.lacks(missing);
}

/// Every request of a reading.
fn calls(reading: &Reading) -> impl Iterator<Item = &FrameAt> {
    let steps = reading.conns.iter().flat_map(|conn| &conn.steps);
    steps.flat_map(|step| &step.requests).filter(|at| is_call(at))
}

/// Whether a request is due one response: also behind all data, where a client opens a stream.
fn is_call(at: &FrameAt) -> bool {
    matches!(at.due, Due::One | Due::Stream)
}

/// The successful results of a method: connection, answer, bytes.
#[must_use]
pub fn results<'a>(report: &Report<'a>, method: &str) -> Vec<(u32, &'a ReplyAt, &'a [u8])> {
    let steps = report
        .evidence
        .reading
        .conns
        .iter()
        .flat_map(|conn| conn.steps.iter().map(move |step| (conn.conn.0, step)));
    let replies = steps.flat_map(|(conn, step)| step.replies.iter().map(move |reply| (conn, reply)));
    let is_of = |reply: &ReplyAt| {
        let call = reply.request.as_ref().and_then(|request| Call::read(data(&request.bytes)).ok());
        call.is_some_and(|call| call.method == method) && reply.meaning == Meaning::Success
    };
    let told = replies.filter(|(_, reply)| is_of(reply));
    told.filter_map(|(conn, reply)| Some((conn, reply, Answer::read(data(&reply.at.frame.bytes))?.payload)))
        .collect()
}

#[cfg(test)]
mod tests;
