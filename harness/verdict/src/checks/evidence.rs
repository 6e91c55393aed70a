//! Does a transcript hold what a verdict needs? What never happened proves nothing.
//!
//! A check that looks for faults finds none in an empty transcript. So [`crate::judge`] asks here before it
//! says that nothing is wrong; what is missing is blamed on the harness and makes the cell `inconclusive`.
//! Where a fault was found all the same, the evidence was enough for that.
//!
//! | case | must be there |
//! |---|---|
//! | probe | answered setups; subjects that came to an end; a canary that was sent; a fresh client, and behind it a look at the server |
//! | client | what was expected of the operation, and bytes of the client |
//! | state | what the reader said of what it found, and what became of the files |
//! | scenario | subjects that came to an end; the state read back before the first and after the last of them; a fresh client, and behind it a server that is alive |
//! | replay | the recording, all writes of its client, and a look at the server where it has one |
//! | any | of a server that was to be replaced, what it says by what it was; whatever quotes a reply was sent |

use matrix::CaseKind;
use transcript::evidence::{ClaimedExit, EXIT, Observation, Role, ServerAct, Shape, Successor};
use transcript::{ConnId, Event, EventKind, Transcript};
use wire::Direction;

use crate::checks::state::{FILES, LOADS, Loads, RUNS};
use crate::checks::{Report, answered};
use crate::{Blame, Check, ConnReading, Due, Evidence, FrameAt, Meaning, ObservedAt, Reading, Step};

/// Says what a transcript lacks.
pub const EVIDENCE_COMPLETE: Check = Check { name: "evidence-complete", judge: evidence_complete };

crate::rules! {
    RULE: "nothing passes for want of evidence: a truncated run is never green",
        "harness/ARCHITECTURE.md#nothing-passes-for-want-of-evidence";
}

fn evidence_complete(report: &mut Report<'_>) {
    let evidence = report.evidence;
    let mut missing = match evidence.case.kind {
        CaseKind::Probe => of_probe(evidence.reading),
        CaseKind::Client => of_client(evidence.reading),
        CaseKind::Replay => of_replay(evidence),
        CaseKind::Scenario => of_scenario(evidence.reading),
        CaseKind::State => of_state(evidence.reading),
    };
    missing.extend(unreadable_looks(evidence.reading));
    report.lacks(missing);
}

/// What was recorded elsewhere on one connection is complete: everything that it is about was done and came to an end. There was
/// nobody to look at the server, and no other client.
pub const ALONE_COMPLETE: Check = Check { name: EVIDENCE_COMPLETE.name, judge: alone_complete };

fn alone_complete(report: &mut Report<'_>) {
    let mut missing = Vec::new();
    let reading = report.evidence.reading;
    if !reading.steps(Role::Subject).any(|(_, step)| step.sent > 0 || step.client_ended) {
        missing.push("nothing was done that the case is about".to_owned());
    }
    missing.extend(without_end(report.evidence.transcript, reading));
    for conn in &reading.conns {
        let mut is_over = false;
        for step in &conn.steps {
            is_over |= step.closed.is_some() || step.send_failed.is_some();
            let wants = step.requests.iter().filter(|at| is_due(at, step)).count();
            let has_ended = is_over || step.timeout.is_some() || step.undecodable.is_some();
            if step.answers().count() < wants && !has_ended {
                missing
                    .push(format!("`{}` came to no end: no answer, no close, no deadline", step.mark.label));
            }
            if step.is(Role::Canary) && step.sent == 0 && !is_over {
                missing.push("the canary was never sent".to_owned());
            }
        }
    }
    report.lacks(missing);
}

/// Connections whose end is not there, in words.
#[must_use]
pub fn without_end(transcript: &Transcript, reading: &Reading) -> Vec<String> {
    let broken_off = reading.conns.iter().filter(|conn| !ends(&transcript.events, conn.conn));
    broken_off.map(|conn| format!("connection {}: the recording breaks off", conn.conn)).collect()
}

/// Whether somebody has ended a connection. Who only ceases to send still waits for the last words.
fn ends(events: &[Event], conn: ConnId) -> bool {
    let mut half = false;
    events.iter().filter(|event| event.conn == conn).any(|event| match (&event.kind, event.dir) {
        (EventKind::Eof(Some(how)), Direction::ToServer) if how == "half-close" => {
            half = true;
            false
        }
        (EventKind::Eof(_) | EventKind::Reset, _) => true,
        (EventKind::Data(_) | EventKind::Timeout(_), Direction::ToClient) => half,
        _ => false,
    })
}

/// Whether an answer must be there. A client that leaves need not hear a stream to its end.
fn is_due(at: &FrameAt, step: &Step) -> bool {
    let goes_on = || step.client_ended && step.replies.iter().any(|reply| reply.at.exchange == at.exchange);
    match at.due {
        Due::One => true,
        Due::Stream => !goes_on(),
        Due::OnFailure | Due::None => false,
    }
}

impl Report<'_> {
    /// Reports what a transcript lacks, and where it was cut.
    pub fn lacks(&mut self, missing: Vec<String>) {
        let limit = self.evidence.reading.observed(Observation::Overflow);
        let cut = limit.map(|limit| format!("the transcript was cut after {limit}"));
        let ignored = not_replaced(self.evidence.transcript);
        let withheld = withheld(self.evidence.reading);
        for what in missing.into_iter().chain(ignored).chain(withheld).chain(cut) {
            let (due, was) = ("a complete transcript", "not in the transcript");
            self.violation(Shape::INCOMPLETE, RULE, what).blame(Blame::Harness).push(due, was);
        }
    }
}

/// What was not sent, since nobody knew what it was to quote of a reply, and why that was not known.
///
/// Where a request was refused, nothing of its answer can be quoted: that is a fault or none, but it was seen.
fn withheld(reading: &Reading) -> Vec<String> {
    let mut replies = reading.conns.iter().flat_map(|conn| &conn.steps).flat_map(|step| &step.replies);
    if replies.any(|reply| matches!(reply.meaning, Meaning::Refused(_) | Meaning::NotSupported)) {
        return Vec::new();
    }
    let told = |seen: &ObservedAt| match seen.what() {
        Observation::NotCaptured => Some(format!("nothing was captured of a reply: {}", seen.value)),
        Observation::NotSent => Some(format!("a request was not sent: {}", seen.value)),
        _ => None,
    };
    reading.observations.iter().filter_map(told).collect()
}

/// Replacements that a script asked for and no server says to have come about.
fn not_replaced(transcript: &Transcript) -> Vec<String> {
    let (mut ignored, mut due) = (Vec::new(), None);
    for event in &transcript.events {
        match &event.kind {
            EventKind::Mark(mark) if mark.role() == Some(Role::Server) => {
                ignored.extend(due.take());
                due = match ServerAct::of_mark(mark) {
                    Some(ServerAct::Replace(by)) => Some(by),
                    _ => None,
                };
            }
            kind => {
                let says = kind.observed().filter(|(what, _)| *what == Observation::ReplacedBy);
                due = due.filter(|by: &Successor| says.is_none_or(|(_, word)| word != by.word()));
            }
        }
    }
    ignored.extend(due);
    let told = |by: Successor| format!("nothing says that the server was replaced by `{}`", by.word());
    ignored.into_iter().map(told).collect()
}

fn of_probe(reading: &Reading) -> Vec<String> {
    let mut missing = of_subjects(reading);
    for (_, step) in reading.steps(Role::Setup) {
        let name = step.arg("name").unwrap_or_default();
        // Whether a second request on one connection is answered is what `kept` finds out.
        if name != "kept" && step.answers().next().is_none() {
            missing.push(format!("the setup request `{name}` got no answer to compare with"));
        }
    }
    for conn in &reading.conns {
        let of = |role| conn.steps.iter().find(|step| step.is(role));
        let Some(canary) = of(Role::Canary) else { continue };
        if canary.sent == 0 && !conn.steps.iter().any(is_over) {
            missing.push("the canary was never sent".to_owned());
        }
        if !reading.steps(Role::Setup).any(|(_, step)| step.arg("name") == Some("kept") && has_spoken(step)) {
            missing.push("whether the server keeps a connection was not found out".to_owned());
        }
    }
    let subject_last = reading.steps(Role::Subject).map(|(_, step)| step.event).max().unwrap_or(0);
    match reading.steps(Role::Fresh).map(|(_, step)| step.event).max() {
        Some(fresh) if fresh > subject_last => missing.extend(looked_at(reading, fresh)),
        _ => missing.push("no client asked afterwards".to_owned()),
    }
    missing
}

fn of_subjects(reading: &Reading) -> Vec<String> {
    let mut missing = Vec::new();
    if reading.steps(Role::Subject).next().is_none() {
        missing.push("nothing was done that the case is about".to_owned());
    }
    for (_, step) in reading.steps(Role::Subject) {
        let (unknown, expects) = answered::expectations(step);
        missing.extend(unknown.map(|word| format!("no check knows the expectation `{word}`")));
        if step.answers().count() < expects && !has_ended(step) {
            missing.push("a subject came to no end: no answer, no close, no deadline".to_owned());
        }
    }
    missing
}

fn of_scenario(reading: &Reading) -> Vec<String> {
    let mut missing = of_subjects(reading);
    let subjects = || reading.steps(Role::Subject).map(|(_, step)| step.event);
    let (first, last) = (subjects().min().unwrap_or(0), subjects().max().unwrap_or(0));
    let mut states: Vec<usize> = Vec::new();
    for (_, step) in reading.steps(Role::State) {
        let at = step.arg("at").unwrap_or_default();
        let wanted = step.requests.len();
        if wanted == 0 || (step.answers().count() < wanted && !has_ended(step)) {
            missing.push(format!("the state `{at}` was not read to its end"));
        } else {
            states.push(step.event);
        }
    }
    if !states.iter().any(|at| *at < first) {
        missing.push("nobody looked what was there before".to_owned());
    }
    if !states.iter().any(|at| *at > last) {
        missing.push("nobody looked what came of it".to_owned());
    }
    match reading.steps(Role::Fresh).map(|(_, step)| step.event).max() {
        Some(fresh) if fresh > last => missing.extend(seen_alive(reading, fresh)),
        _ => missing.push("no client asked afterwards".to_owned()),
    }
    missing
}

/// Whether somebody looked behind that event and found the server alive.
fn seen_alive(reading: &Reading, after: usize) -> Option<String> {
    let is_alive = |look: &ObservedAt| look.what() == Observation::Alive && look.value == "yes";
    let alive = reading.looks().any(|look| look.event > after && is_alive(look));
    (!alive).then(|| "nobody looked whether the server is alive at the end".to_owned())
}

/// Looks at the server that say nothing: then nobody knows whether it lives, or what it holds.
fn unreadable_looks(reading: &Reading) -> Vec<String> {
    let says_nothing = |look: &&ObservedAt| match look.what() {
        Observation::Alive => look.value != "yes",
        Observation::Fds | Observation::RssKib | Observation::HeldBytes => look.value.parse::<i64>().is_err(),
        _ => false,
    };
    let told =
        |look: &ObservedAt| format!("a look at the server says `{}` is `{}`", look.what().key(), look.value);
    reading.looks().filter(says_nothing).map(told).collect()
}

/// What is missing of the looks at the server: alive behind that event, and each count both before the
/// subject and at the end, as a number.
fn looked_at(reading: &Reading, after: usize) -> Vec<String> {
    let mut missing: Vec<String> = seen_alive(reading, after).into_iter().collect();
    for what in [Observation::Fds, Observation::RssKib, Observation::HeldBytes] {
        let count = what.key();
        let looks: Vec<_> = reading.looks().filter(|look| look.what() == what).collect();
        let number = |value: &str| value.parse::<i64>().is_ok();
        let (Some(first), Some(last)) = (looks.first(), looks.last()) else { continue };
        let subject = reading.steps(Role::Subject).map(|(_, step)| step.event).min().unwrap_or(0);
        if first.event >= subject || last.event <= after {
            missing.push(format!("`{count}` was not seen both before and after"));
        }
        if !number(&first.value) || !number(&last.value) {
            missing.push(format!("`{count}` is not a number"));
        }
    }
    missing
}

fn of_client(reading: &Reading) -> Vec<String> {
    let mut missing = Vec::new();
    if reading.observed(Observation::Expected(EXIT)).is_none() {
        missing.push("nothing says what the operation was to come to".to_owned());
    }
    let exit = reading.observed(Observation::Claim(EXIT));
    if let Some(word) = exit.filter(|word| ClaimedExit::parse(word).is_none()) {
        missing.push(format!("how the client ended is `{word}`"));
    }
    let spoke = reading.conns.iter().any(|conn| sent(conn) > 0);
    if !spoke && reading.connect_failures.is_empty() {
        missing.push("the client never spoke to the server".to_owned());
    }
    missing
}

fn of_state(reading: &Reading) -> Vec<String> {
    let ran = reading.observed(Observation::Expected(RUNS)).map(|_| Observation::Effect(RUNS));
    let needed = [Observation::Claim(LOADS), Observation::Effect(FILES)].into_iter().chain(ran);
    let missing = needed.filter(|what| reading.observed(*what).is_none());
    let unknown = reading.observed(Observation::Claim(LOADS)).filter(|word| Loads::parse(word).is_none());
    missing
        .map(|what| format!("nothing says `{}`", what.key()))
        .chain(unknown.map(|word| format!("what was read is `{word}`")))
        .collect()
}

fn of_replay(evidence: &Evidence<'_>) -> Vec<String> {
    let Some(recorded) = evidence.recorded else {
        return vec!["there is no recording to compare with".to_owned()];
    };
    let mut missing = Vec::new();
    if recorded.reading.conns.iter().all(|conn| sent(conn) == 0) {
        missing.push("the recorded client never spoke to its server".to_owned());
    }
    for then in &recorded.reading.conns {
        let now = evidence.reading.conns.iter().find(|now| now.conn == then.conn);
        // A connection that could not be made is judged by other checks.
        let Some(now) = now else { continue };
        let refused = evidence.reading.connect_failures.iter().any(|(_, conn, _)| *conn == now.conn);
        // What quotes a reply may be longer or shorter than it was.
        let (made, due) = (writes(evidence.transcript, now.conn), writes(recorded.transcript, then.conn));
        // What could not be sent is told, or explained by a refusal: see `withheld`.
        let not_sent = evidence.reading.all_observed(Observation::NotSent).count();
        if made + not_sent < due && !refused && !now.steps.iter().any(is_over) {
            missing.push(format!("connection {}: {made} of the {due} recorded writes were made", now.conn));
        }
    }
    let looks = |reading: &Reading| reading.all_observed(Observation::Alive).count();
    if looks(evidence.reading) < looks(recorded.reading) {
        missing.push("nobody looked whether the server is alive where the recording did".to_owned());
    }
    missing
}

/// How often the client wrote on a connection.
fn writes(transcript: &Transcript, conn: ConnId) -> usize {
    let is_write = |event: &&Event| {
        event.conn == conn && event.dir == Direction::ToServer && matches!(event.kind, EventKind::Data(_))
    };
    transcript.events.iter().filter(is_write).count()
}

fn sent(conn: &ConnReading) -> usize {
    conn.steps.iter().map(|step| step.sent).sum()
}

/// Nothing more can be sent or will come.
fn is_over(step: &Step) -> bool {
    step.closed.is_some() || step.send_failed.is_some() || step.undecodable.is_some() || step.flood.is_some()
}

fn has_ended(step: &Step) -> bool {
    is_over(step) || step.timeout.is_some()
}

fn has_spoken(step: &Step) -> bool {
    step.answers().next().is_some() || has_ended(step)
}
