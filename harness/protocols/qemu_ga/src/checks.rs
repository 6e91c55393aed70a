//! What the generic checks cannot say.
//!
//! The first two are held in every probe. A subject's mark asks for the others by its arguments:
//!
//! | arguments | shape | the rule |
//! |---|---|---|
//! | | `id-lost`, `id-changed`, `other-id`, `id-invented` | an answer repeats the id of its request, and an error in the syntax has none |
//! | | `delimiter-missing`, `delimiter-misplaced` | ff stands before the answer to guest-sync-delimited, and before nothing else |
//! | | `error-storm` | what is wrong once is told once, or a few times |
//! | | `answers-silent` | a command that tells its success by no reply sends none |
//! | `heard=yes` | `swallowed` | something is said of what was sent, be it that it is wrong |
//! | `capability=yes` | `capability-lies` | what guest-info lists as enabled is known, and nothing else |
//! | `fallback=yes` | `fell-back` | what one command refuses, another one answers |
//! | `classes=compare` | `one-class` | blocked and unknown commands can be told apart |
//! | `texts=compare` | `history-in-text` | the same error is told in the same words |
//! | `cpu=idle` | `spins` | a client that does not read costs no time |
//! | `members=a,b` | `member-lost` | what is returned has these members |
//!
//! Of recordings that were made elsewhere, `not-repaired` says that ff and guest-sync-delimited were not answered.

use std::collections::BTreeMap;

use transcript::evidence::{Observation, Role, Shape};
use verdict::checks::{EVIDENCE_COMPLETE, Report};
use verdict::{Blame, Check, ConnReading, Evidence, FrameAt, Meaning, ReplyAt, Step, Weight};
use wire::json::{Document, Rules, Value, same_value};
use wire::json_lines::RESET;

use super::message::{Body, REPLY, Reply, Request};
use super::names::{SILENT, SYNC_DELIMITED};
use super::shapes;

/// How many errors in the syntax one write may bring before they are a storm.
const ERRORS_MAX: usize = 16;
/// How many milliseconds of the processor's time a client may cost that does not read: real agents that spin take nine
/// tenths of the pause between two looks, [`super::probes::NOT_READING_MS`].
const BUSY_MS_MAX: u64 = 150;

verdict::rules! {
    ID:
        "the id of a request comes back with its answer, whatever value it is; errors in the syntax have \
         none",
        "qemu/qemu@v10.0.0:docs/interop/qmp-spec.rst";
    DELIMITER: "ff stands before the answer to guest-sync-delimited",
        "qemu/qemu@v10.0.0:qga/qapi-schema.json, guest-sync-delimited";
    STORM: "what is wrong once is told once", "harness/ARCHITECTURE.md#one-mistake-is-told-once";
    QUIET: "success-response is false: success is told by no reply",
        "qemu/qemu@v10.0.0:qga/qapi-schema.json, GuestAgentCommandInfo";
    HEARD: "what is sent is answered or refused, not swallowed",
        "harness/ARCHITECTURE.md#requests-are-answered-once: a host that sends guest-sync alone stays stuck";
    CAPABILITY: "what is enabled in guest-info is known, and nothing else",
        "qemu/qemu@v10.0.0:qga/qapi-schema.json, guest-info";
    IDLE: "a client that does not read costs nothing", "harness/ARCHITECTURE.md#what-is-taken-is-given-back";
    MEMBERS: "a reply keeps the members that it always had", "qemu/qemu@v10.0.0:qga/qapi-schema.json";
    TEXTS: "texts are for people", "qemu/qemu@v10.0.0:docs/interop/qmp-spec.rst";
    CLASSES: "capability is read from guest-info only", "qemu/qemu@v10.0.0:qga/qapi-schema.json, guest-info";
}

/// Ids, delimiters, and how often an error is told.
pub(super) const EVERY_REPLY: Check = Check { name: "every-reply", judge: every_reply };

fn every_reply(report: &mut Report<'_>) {
    let evidence = report.evidence;
    for conn in &evidence.reading.conns {
        for step in &conn.steps {
            for reply in &step.replies {
                hold_reply(report, conn.conn.0, reply);
            }
            let errors = step.replies.iter().filter(|reply| of(reply).is_syntax_error()).count();
            if errors > ERRORS_MAX {
                let message = "one mistake is told over and over";
                let due = format!("at most {ERRORS_MAX} errors");
                report
                    .finding(Weight::Restriction, shapes::ERROR_STORM, STORM, message)
                    .at_subject(conn.conn.0, step)
                    .push(due, errors.to_string());
            }
        }
    }
}

fn of(reply: &ReplyAt) -> Reply {
    Reply::of(&reply.at.frame.bytes)
}

fn hold_reply(report: &mut Report<'_>, conn: u32, at: &ReplyAt) {
    let reply = of(at);
    let asked = at.request.as_ref().and_then(|request| Request::of(&request.bytes, Rules::QEMU));
    let frame = report.reply(conn, at);
    let mut push = |shape, rule, message: &str, due: String, was: String| {
        report.violation(shape, rule, message).at(Some(frame.clone())).push(due, was);
    };
    let text = |id: &Option<Vec<u8>>| {
        id.as_ref().map_or_else(|| "no id".to_owned(), |id| String::from_utf8_lossy(id).into_owned())
    };
    if reply.is_syntax_error() {
        if reply.id.is_some() {
            let message = "an error in the syntax carries an id, of which nobody can know whose it is";
            push(shapes::ID_INVENTED, ID, message, text(&None), text(&reply.id));
        }
    } else if let Some(asked) = &asked
        && let Some(shape) = other_id(asked, &reply)
    {
        let message = "the id of an answer is not the one of its request";
        push(shape, ID, message, text(&asked.id), text(&reply.id));
    }
    let Some(asked) = asked else { return };
    let delimited = asked.execute.as_deref() == Some(SYNC_DELIMITED) && matches!(reply.body, Body::Return(_));
    match (delimited, reply.delimited) {
        (true, false) => {
            let message = "nothing tells a host where the answer to guest-sync-delimited begins";
            push(shapes::DELIMITER_MISSING, DELIMITER, message, "ff".to_owned(), "none".to_owned());
        }
        (false, true) => {
            let message = "a host takes this for the answer to guest-sync-delimited";
            push(shapes::DELIMITER_MISPLACED, DELIMITER, message, "none".to_owned(), "ff".to_owned());
        }
        _ => {}
    }
    let silent = asked.execute.as_deref().is_some_and(|command| SILENT.contains(&command));
    if silent && at.meaning == Meaning::Success {
        let message = "a command that tells its success by no reply is answered";
        push(shapes::ANSWERS_SILENT, QUIET, message, "no reply".to_owned(), "a reply".to_owned());
    }
}

/// How the id of an answer differs from that of its request.
fn other_id(asked: &Request, reply: &Reply) -> Option<Shape> {
    match (&asked.id, &reply.id) {
        (None, None) => None,
        (Some(_), None) => Some(shapes::ID_LOST),
        (None, Some(_)) => Some(shapes::ID_INVENTED),
        (Some(was), Some(is)) => {
            let was_document = Document::parse(was, Rules::QEMU);
            let is_document = Document::parse(is, REPLY);
            let (Ok(was), Ok(is)) = (was_document, is_document) else { return Some(shapes::OTHER_ID) };
            if same_number(was.root(), is.root()).unwrap_or_else(|| same_value(was.root(), is.root())) {
                return None;
            }
            Some(if was.root().kind() == is.root().kind() { changed(was.root()) } else { shapes::OTHER_ID })
        }
    }
}

/// A number that is another one lost digits; a text that is another one is that of another request.
fn changed(was: Value<'_>) -> Shape {
    if was.number().is_some() { shapes::ID_CHANGED } else { shapes::OTHER_ID }
}

/// Whether two numbers are the same as far as JSON promises it (RFC 8259, section 6): integers to the last digit,
/// others as numbers of double precision. An infinite one is told as an unreadable reply.
fn same_number(was: Value<'_>, is: Value<'_>) -> Option<bool> {
    let (old, new) = (was.number()?, is.number()?);
    let integer = !old.contains(['.', 'e', 'E']);
    if integer {
        return Some(same_value(was, is));
    }
    let (old, new): (f64, f64) = (old.parse().ok()?, new.parse().ok()?);
    Some(old.to_bits() == new.to_bits() || old == new)
}

/// How many times a recording that was made elsewhere repairs the stream, at least.
const REPAIRS_MIN: usize = 50;

/// Behind every bad input, ff and guest-sync-delimited are answered.
pub(super) const REPAIRED: Check = Check { name: "repaired", judge: repaired };

/// Every guest-sync-delimited behind an ff: its connection, itself, its number.
fn repairs<'a>(evidence: &Evidence<'a>) -> Vec<(&'a ConnReading, &'a FrameAt, Option<i64>)> {
    let mut found = Vec::new();
    for conn in &evidence.reading.conns {
        let requests: Vec<&FrameAt> = conn.steps.iter().flat_map(|step| &step.requests).collect();
        for pair in requests.windows(2) {
            let [reset, sync] = pair else { continue };
            let asked = Request::of(&sync.frame.bytes, Rules::QEMU);
            if let Some(asked) = asked.filter(|_| reset.frame.kind == RESET)
                && asked.execute.as_deref() == Some(SYNC_DELIMITED)
            {
                found.push((conn, *sync, asked.sync));
            }
        }
    }
    found
}

fn repaired(report: &mut Report<'_>) {
    let evidence = report.evidence;
    for (conn, sync, number) in repairs(evidence) {
        let replies = conn.steps.iter().flat_map(|step| &step.replies);
        let mut answers = replies.filter(|reply| reply.at.exchange == sync.exchange).map(of);
        if answers.any(|answer| answer.delimited && answer.number() == number) {
            continue;
        }
        let message = "ff and guest-sync-delimited do not bring the agent into step";
        let (due, was) = ("the answer behind its delimiter", "none");
        report
            .violation(shapes::NOT_REPAIRED, DELIMITER, message)
            .at_request(conn.conn.0, sync)
            .push(due, was);
    }
}

/// What such a recording has to hold, in place of the frame that a probe of ours has.
pub(super) const RECORDING_COMPLETE: Check =
    Check { name: EVIDENCE_COMPLETE.name, judge: recording_complete };

fn recording_complete(report: &mut Report<'_>) {
    let evidence = report.evidence;
    let found = repairs(evidence).len();
    let few = || format!("the recording has {found} of at least {REPAIRS_MIN} inputs");
    report.lacks((found < REPAIRS_MIN).then(few).into_iter().collect());
}

/// What a subject's mark asks for.
pub(super) const AS_MARKED: Check = Check { name: "as-marked", judge: as_marked };

fn as_marked(report: &mut Report<'_>) {
    let evidence = report.evidence;
    let mut texts: Vec<String> = Vec::new();
    for (conn, step) in evidence.reading.steps(Role::Subject) {
        let conn = conn.conn.0;
        if step.arg("heard") == Some("yes") && step.received == 0 {
            let message = "a request is neither answered nor refused, and no error says why";
            report
                .violation(shapes::SWALLOWED, HEARD, message)
                .at_subject(conn, step)
                .push("a line", "nothing");
        }
        if step.arg("capability") == Some("yes") {
            hold_capability(report, conn, step);
        }
        if step.arg("fallback") == Some("yes") {
            hold_fallback(report, conn, step);
        }
        if step.arg("classes") == Some("compare") {
            hold_classes(report, conn, step);
        }
        if step.arg("texts") == Some("compare") {
            texts.extend(step.replies.iter().filter_map(|reply| match of(reply).body {
                Body::Error { text, .. } => Some(text),
                _ => None,
            }));
        }
        if let Some(members) = step.arg("members") {
            hold_members(report, conn, step, members);
        }
    }
    if texts.first().is_some_and(|first| texts.iter().any(|text| text != first)) {
        let message = "the same mistake is told in other words, by what other clients sent before";
        let (first, last) = (texts.first().cloned(), texts.last().cloned());
        let words = |text: Option<String>| text.unwrap_or_default();
        report
            .finding(Weight::Restriction, shapes::HISTORY_IN_TEXT, TEXTS, message)
            .push(words(first), words(last));
    }
    hold_idle(report, evidence);
}

/// What guest-info in a step says, and how the requests behind it were answered.
fn hold_capability(report: &mut Report<'_>, conn: u32, step: &Step) {
    let listed = step.replies.iter().find_map(|reply| enabled(&of(reply)));
    let Some(listed) = listed else {
        let (message, due) = ("guest-info says nothing of what the agent can do", "supported_commands");
        report
            .violation(shapes::CAPABILITY_LIES, CAPABILITY, message)
            .at_subject(conn, step)
            .push(due, "no list");
        return;
    };
    for reply in step.answers() {
        let asked = reply.request.as_ref().and_then(|request| Request::of(&request.bytes, Rules::QEMU));
        let Some(command) = asked.and_then(|asked| asked.execute) else { continue };
        let due = listed.get(&command).copied().unwrap_or(false);
        // What complains about arguments has been found and allowed.
        let complains = matches!(of(reply).body, Body::Error { text, .. } if text.starts_with("Parameter"));
        let known = reply.meaning == Meaning::Success || complains;
        if due != known {
            let message = format!("{command} is not what guest-info says");
            let word = |enabled| if enabled { "enabled" } else { "not enabled, or not listed" };
            report
                .violation(shapes::CAPABILITY_LIES, CAPABILITY, message)
                .at_reply(conn, reply)
                .push(word(due), word(known));
        }
    }
}

/// The commands of guest-info, and whether each is enabled.
pub(super) fn enabled(reply: &Reply) -> Option<BTreeMap<String, bool>> {
    let Body::Return(value) = &reply.body else { return None };
    let document = Document::parse(value, REPLY).ok()?;
    let commands = document.root().get("supported_commands")?;
    let read =
        |entry: Value<'_>| Some((entry.get("name")?.text()?.into_owned(), entry.get("enabled")?.as_bool()?));
    commands.items().map(read).collect()
}

fn hold_fallback(report: &mut Report<'_>, conn: u32, step: &Step) {
    let lacks = step.answers().find(|reply| reply.meaning == Meaning::NotSupported);
    let has = step.answers().any(|reply| reply.meaning == Meaning::Success);
    if let Some(lacks) = lacks.filter(|_| has) {
        let message = "a command is not there, and another one answers in its place";
        report
            .finding(Weight::Restriction, Shape::FELL_BACK, CAPABILITY, message)
            .at_reply(conn, lacks)
            .push("the first command", "the second");
    }
}

fn hold_classes(report: &mut Report<'_>, conn: u32, step: &Step) {
    let classes: Vec<_> = step
        .answers()
        .filter_map(|reply| match of(reply).body {
            Body::Error { class, .. } => Some((class, reply)),
            _ => None,
        })
        .collect();
    if let [(first, _), (second, reply)] = classes.as_slice()
        && first == second
    {
        let message = "a blocked command cannot be told from an unknown one";
        report
            .finding(Weight::Restriction, shapes::ONE_CLASS, CLASSES, message)
            .at_reply(conn, reply)
            .push("two classes", first.clone());
    }
}

fn hold_members(report: &mut Report<'_>, conn: u32, step: &Step, members: &str) {
    for reply in step.answers() {
        let Body::Return(value) = of(reply).body else { continue };
        let Ok(document) = Document::parse(&value, REPLY) else { continue };
        let root = document.root();
        // Of a list, every element; an empty one says nothing.
        let objects: Vec<Value<'_>> = match root.kind() {
            wire::json::Kind::Array => root.items().collect(),
            _ => vec![root],
        };
        for member in members.split(',') {
            if objects.iter().any(|object| object.get(member).is_none()) {
                let message = format!("`{member}` is lacking");
                report
                    .violation(shapes::MEMBER_LOST, MEMBERS, message)
                    .at_reply(conn, reply)
                    .push(member, "no such member");
            }
        }
    }
}

/// The processor's time between the two looks that lie behind a subject which does not read.
fn hold_idle(report: &mut Report<'_>, evidence: &Evidence<'_>) {
    let idle = evidence.reading.steps(Role::Subject).find(|(_, step)| step.arg("cpu") == Some("idle"));
    let Some((conn, step)) = idle else { return };
    let looks = evidence.reading.looks();
    let looks = looks.filter(|look| look.what() == Observation::CpuMs && look.event > step.event);
    let looks: Vec<u64> = looks.filter_map(|look| look.value.parse().ok()).collect();
    let [first, second, ..] = looks.as_slice() else {
        let (due, was) = ("two looks at the processor's time", format!("{} of them", looks.len()));
        let message = "nobody looked how busy the agent is";
        report.violation(Shape::INCOMPLETE, IDLE, message).blame(Blame::Harness).push(due, was);
        return;
    };
    let busy = second.saturating_sub(*first);
    if busy > BUSY_MS_MAX {
        let message = "a client that does not read keeps the processor busy";
        let was = format!("{busy} ms in {} ms", super::probes::NOT_READING_MS);
        report
            .finding(Weight::Restriction, shapes::SPINS, IDLE, message)
            .at_subject(conn.conn.0, step)
            .push(format!("at most {BUSY_MS_MAX} ms"), was);
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use matrix::CaseId;
    use transcript::{ConnId, Data, Event, EventKind, Transcript};
    use verdict::Reading;
    use wire::Direction;

    use super::*;
    use crate::dialect::DIALECTS;
    use crate::{QemuGaGrammar, request};

    /// What is found in a conversation in which a stream is repaired that many times, and the last time answered so.
    fn shapes(repairs: i64, last: &[u8]) -> Vec<String> {
        let mut events = vec![(Direction::ToServer, EventKind::Connect)];
        let data = |bytes: &[u8]| {
            EventKind::Data(Data { bytes: Bytes::copy_from_slice(bytes), fds: Vec::new(), creds: None })
        };
        for number in 1..=repairs {
            events.push((Direction::ToServer, data(&request::resync(number))));
            let answer = format!("{{\"return\": {number}}}\n");
            let answer = [&[0xff], answer.as_bytes()].concat();
            let reply = if number == repairs { last } else { &answer };
            events.push((Direction::ToClient, data(reply)));
        }
        let at = |(dir, kind)| Event { at_us: 0, conn: ConnId(1), dir, kind };
        let transcript = Transcript { events: events.into_iter().map(at).collect(), ..Transcript::default() };
        let grammar = QemuGaGrammar::new(DIALECTS.named("10.0").expect("in the table"));
        let reading = Reading::of(&transcript, &grammar);
        let case: CaseId = "probe/requests-and-bad-input".parse().expect("it is a case");
        let evidence = Evidence {
            case: &case,
            transcript: &transcript,
            reading: &reading,
            grammar: &grammar,
            recorded: None,
        };
        let found = [REPAIRED.findings(&evidence), RECORDING_COMPLETE.findings(&evidence)].concat();
        found.into_iter().map(|finding| finding.shape).collect()
    }

    #[test]
    fn a_stream_that_is_not_repaired_is_found_and_a_recording_that_is_cut() {
        assert_eq!(shapes(60, b"\xff{\"return\": 60}\n"), Vec::<String>::new());
        assert_eq!(shapes(60, b"{\"return\": 60}\n"), ["not-repaired"], "the delimiter is lacking");
        assert_eq!(shapes(60, b"\xff{\"return\": 59}\n"), ["not-repaired"], "an earlier answer");
        assert_eq!(shapes(3, b"\xff{\"return\": 3}\n"), ["incomplete"]);
    }
}
