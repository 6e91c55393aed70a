//! What the generic checks, and those of the family, cannot say.
//!
//! | shape | the rule |
//! |---|---|
//! | `not-as-told` | what a daemon says of a container is what its shim said |
//! | `other-service` | one task service is spoken on a connection; asking whether there is another one is no speaking |
//! | `other-pid` | the process of a container is the same one, whatever it is asked for by |
//! | `events-out-of-order` | a shim reports what happened in the order in which it happened, once |
//! | `way-back-lost` | a daemon that takes a shim over leaves what older ones read of it |
//! | `late-exit` | a shim that is told to end ends, also where nobody hears what it reports |
//! | `metadata-lost` | a daemon knows the containers that were made before it came |
//! | `unclear-error` | a daemon that cannot start a shim says that its version is not known |
//! | `wrong-version` | what it writes beside that says the version that it has found |
//! | `state-refused`, `loud-fail`, `client-crash`, `client-hang` | a daemon loads what it has to, and comes up over it |
//! | `incomplete` | a daemon that has found a shim has spoken with it |

use std::collections::{BTreeMap, BTreeSet};

use transcript::ExitStatus;
use transcript::evidence::{ClaimedExit, EXIT, Observation, Shape};
use ttrpc::Values;
use ttrpc::checks::{calls_answered, ended_at, results};
use ttrpc::envelope::{Call, data};
use verdict::checks::{EVIDENCE_COMPLETE, FILES, LOADS, Loads, RUNS, Report};
use verdict::{Blame, Check, FrameAt, Meaning, Weight};
use wire::Direction;

use super::dialect::{EVENTS, TASK_V2, TASK_V3};
use super::operations::{LISTED, MIGRATED, REFUSED, SHIM, STARTED, STATUS};
use super::shapes;

verdict::rules! {
    TOLD: "what a client says it has been told by its server", "harness/ARCHITECTURE.md#claims-are-effects";
    SERVICE: "a daemon speaks the task service of the version that a shim says it has",
        "containerd/containerd@v2.1.5:core/runtime/v2/shim.go";
    PID: "the process of a container is the one that it was created with",
        "containerd/containerd@v2.1.5:api/runtime/task/v3/shim.proto";
    ORDER: "a task is created, started, ends and is deleted, in this order, and each is reported once",
        "containerd/containerd@v2.1.5:core/runtime/events.go";
    WHY: "who is refused takes another way to the same end, or fails and says so",
        "harness/ARCHITECTURE.md#claims-are-effects";
    ENDS: "a shim that has nothing to do and is told to end gives back what it has",
        "harness/ARCHITECTURE.md#what-is-taken-is-given-back";
    LEFT: "what says where a shim is stays for older daemons, and says the version that the shim has to newer ones",
        "harness/ARCHITECTURE.md#what-was-left-behind-is-loaded-or-left-alone";
}

/// What a daemon says is what it was told.
pub(super) const AS_TOLD: Check = Check { name: "as-told", judge: as_told };

fn as_told(report: &mut Report<'_>) {
    let Some(claimed) = report.evidence.reading.observed(Observation::Claim(STATUS)) else { return };
    let claimed = claimed.to_owned();
    // The method and the number of the field.
    let statuses = [("Wait", 1), ("Delete", 2)].map(|(method, number)| {
        let told = results(report, method).into_iter();
        told.map(|(_, reply, result)| (reply.at.event, Values(result).uint(number))).collect::<Vec<_>>()
    });
    let told = statuses.into_iter().flatten().max().map(|(_, status)| status.to_string());
    if told.as_deref() != Some(&claimed) {
        report
            .violation(shapes::NOT_AS_TOLD, TOLD, "the daemon says another exit status than its shim")
            .blame(Blame::Client)
            .push(told.unwrap_or_else(|| "nothing was told".to_owned()), claimed);
    }
}

/// Every call of a daemon is answered while its shim runs. One that is told to end may be gone before it has answered that (bug
/// SHIM-15), which is a race and not what such a case is about; and nobody waits for a process to its end that has none.
pub(super) const ANSWERED_WHILE_IT_RUNS: Check = Check {
    name: "calls-answered",
    judge: |report| {
        let excused = excused(report);
        calls_answered(report, |asked| excused.contains(&(asked.event, asked.nth)));
    },
};

/// The calls that need no answer: where they stand, and their numbers on their connections.
fn excused(report: &Report<'_>) -> BTreeSet<(usize, u64)> {
    let ends = ends_told(report);
    let mut excused = BTreeSet::new();
    for conn in &report.evidence.reading.conns {
        let left = ended_at(report.evidence.transcript, conn);
        let mut requests = conn.steps.iter().flat_map(|step| &step.requests).peekable();
        while let Some(at) = requests.next() {
            let Ok(call) = Call::read(data(&at.frame.bytes)) else { continue };
            let is_excused = match call.method {
                "Shutdown" => requests.peek().is_none(),
                "Wait" => {
                    let of = process(Values(call.payload));
                    let told = ends.iter().filter(|(process, event)| *process == of && *event > at.event);
                    let told = told.map(|(_, event)| *event).min();
                    // Nobody was told of the end while this one listened.
                    told.is_none_or(|told| left.is_some_and(|left| left < told))
                }
                _ => false,
            };
            if is_excused {
                excused.insert((at.event, at.nth));
            }
        }
    }
    excused
}

/// A process: its container, and its name if it was executed in there.
type Process = (String, String);

fn process(named: Values<'_>) -> Process {
    (named.text(1), named.text(2))
}

/// The state of a process that has ended.
const STOPPED: u64 = 3;

/// Of which processes a shim has said that they have ended, and where.
fn ends_told(report: &Report<'_>) -> Vec<(Process, usize)> {
    let mut ends = Vec::new();
    for method in ["Wait", "Delete", "State"] {
        for (_, reply, result) in results(report, method) {
            let call = reply.request.as_ref().and_then(|request| Call::read(data(&request.bytes)).ok());
            let has_ended = method != "State" || Values(result).uint(4) == STOPPED;
            if let Some(call) = call.filter(|_| has_ended) {
                ends.push((process(Values(call.payload)), reply.at.event));
            }
        }
    }
    ends
}

/// The task services.
const TASKS: [&str; 2] = [TASK_V2, TASK_V3];

/// One task service on each connection.
pub(super) const ONE_SERVICE: Check = Check { name: "one-service", judge: one_service };

fn one_service(report: &mut Report<'_>) {
    for conn in &report.evidence.reading.conns {
        let mut spoken: Option<&str> = None;
        let exchanges = conn.exchanges();
        for exchange in exchanges.iter().filter(|exchange| exchange.asked == Direction::ToServer) {
            let at = exchange.request;
            let Ok(call) = Call::read(data(&at.frame.bytes)) else { continue };
            // A shim has other services as well, e.g. that of sandboxes.
            if !TASKS.contains(&call.service) {
                continue;
            }
            let is_refused = exchange.completed.is_some_and(|(_, meaning)| meaning != Meaning::Success);
            match spoken {
                None if is_refused => {}
                None => spoken = Some(call.service),
                Some(before) if before == call.service => {}
                Some(before) => {
                    let (due, was) = (before.to_owned(), call.service.to_owned());
                    report
                        .violation(
                            shapes::OTHER_SERVICE,
                            SERVICE,
                            "a daemon speaks two task services with one shim",
                        )
                        .blame(Blame::Client)
                        .at_request(conn.conn.0, at)
                        .push(due, was);
                }
            }
        }
    }
}

/// Where the process of a container stands in results: the method and the number of the field.
const PIDS: [(&str, u32); 5] = [("Create", 1), ("Start", 1), ("State", 3), ("Connect", 2), ("Delete", 1)];

/// The process of a container, bound when it is first seen until it is deleted.
pub(super) const SAME_PID: Check = Check { name: "same-pid", judge: same_pid };

fn same_pid(report: &mut Report<'_>) {
    let mut seen = Vec::new();
    for (method, number) in PIDS {
        for (conn, reply, result) in results(report, method) {
            let call = reply.request.as_ref().and_then(|request| Call::read(data(&request.bytes)).ok());
            let asked = call.map(|call| Values(call.payload)).filter(|_| Values(result).uint(number) > 0);
            let Some(asked) = asked else { continue };
            let of = (asked.text(1), if method == "Connect" { String::new() } else { asked.text(2) });
            seen.push((reply.at.event, conn, reply, of, Values(result).uint(number), method == "Delete"));
        }
    }
    seen.sort_by_key(|(event, ..)| *event);
    let mut bound: BTreeMap<(String, String), u64> = BTreeMap::new();
    for (_, conn, reply, of, pid, is_deleted) in seen {
        let first = *bound.entry(of.clone()).or_insert(pid);
        if is_deleted {
            bound.remove(&of);
        }
        if first != pid {
            report
                .violation(shapes::OTHER_PID, PID, "another process is said to be that of the container")
                .at_reply(conn, reply)
                .push(first.to_string(), pid.to_string());
        }
    }
}

/// Events come in order, once.
pub(super) const EVENTS_IN_ORDER: Check = Check { name: "events-in-order", judge: events_in_order };

fn events_in_order(report: &mut Report<'_>) {
    for conn in &report.evidence.reading.conns {
        let mut lives = Lives::default();
        for at in conn.steps.iter().flat_map(|step| &step.requests) {
            let Some((topic, event)) = reported(at) else { continue };
            if let Some(before) = lives.tell(&topic, Values(&event)) {
                report
                    .violation(
                        shapes::EVENTS_OUT_OF_ORDER,
                        ORDER,
                        format!("`{topic}` is reported at the wrong time"),
                    )
                    .blame(Blame::Client)
                    .at_request(conn.conn.0, at)
                    .push("each event once, in order", format!("`{before}` before it"));
            }
        }
    }
}

/// The topic and the event that a shim reports.
fn reported(at: &FrameAt) -> Option<(String, Vec<u8>)> {
    let call = Call::read(data(&at.frame.bytes)).ok().filter(|call| call.service == EVENTS)?;
    let envelope = Values(call.payload).message(1);
    let topic = envelope.text(3);
    let event = envelope.message(4).bytes(2).unwrap_or_default().to_vec();
    (!topic.is_empty()).then_some((topic, event))
}

/// Who cannot start a shim says why.
pub(super) const SAYS_WHY: Check = Check { name: "says-why", judge: says_why };

fn says_why(report: &mut Report<'_>) {
    if report.evidence.reading.observed(Observation::Claim(REFUSED)) == Some("address") {
        report
            .violation(shapes::UNCLEAR_ERROR, WHY, "what a newer shim says of itself is taken for an address")
            .blame(Blame::Client)
            .push("the version is not known", "there is no such address");
    }
}

/// What a daemon makes of the program of another shim is seen by what runs then, and by what the daemon says: nobody stands between the
/// two, who have met for the first time.
pub(super) const START_COMPLETE: Check = Check { name: EVIDENCE_COMPLETE.name, judge: start_complete };

fn start_complete(report: &mut Report<'_>) {
    let reading = report.evidence.reading;
    let needed =
        [Observation::Expected(EXIT), Observation::Claim(EXIT), Observation::Effect(STARTED)].into_iter();
    let missing = needed.filter(|what| reading.observed(*what).is_none());
    let missing = missing.map(|what| format!("nothing says `{}`", what.key())).collect();
    report.lacks(missing);
}

/// A shim ends that is told to. One that is late for want of a listener has all the same done what it was asked for.
pub(super) const ENDS_IN_TIME: Check = Check { name: "ends-in-time", judge: ends_in_time };

fn ends_in_time(report: &mut Report<'_>) {
    if report.evidence.reading.observed(Observation::Effect(SHIM)) == Some("yes") {
        let message = "a shim that nobody hears is still there when it was told to end";
        report.finding(Weight::Restriction, shapes::LATE_EXIT, ENDS, message).push("it is gone", "it waits");
    }
}

/// The way back: behind a daemon that took a shim over, those before it find the shim, and so do those after it.
pub(super) const LEFT_FOR_OTHERS: Check = Check { name: "left-for-others", judge: left_for_others };

/// The version of a shim that has an `address`.
const OF_ADDRESS: &str = "2";

fn left_for_others(report: &mut Report<'_>) {
    let reading = report.evidence.reading;
    let loads = reading.observed(Observation::Claim(LOADS)).and_then(Loads::parse);
    let files = reading.observed(Observation::Effect(FILES));
    let migrated = reading.observed(Observation::Effect(MIGRATED)).map(str::to_owned);
    if loads == Some(Loads::Yes) && files == Some("changed") {
        report
            .violation(shapes::WAY_BACK_LOST, LEFT, "a daemon has changed what older ones read of a shim")
            .blame(Blame::Client)
            .push("what was there is kept", "changed");
    }
    if let Some(version) = migrated.filter(|version| version != OF_ADDRESS) {
        report
            .violation(shapes::WRONG_VERSION, LEFT, "a daemon has written another version down than it found")
            .blame(Blame::Client)
            .push(OF_ADDRESS, version);
    }
}

/// A daemon loads what it has to load, and says that it is well.
pub(super) const AS_DUE: Check = Check { name: "as-due", judge: as_due };

fn as_due(report: &mut Report<'_>) {
    let reading = report.evidence.reading;
    let observed = |what| reading.observed(what).map(str::to_owned);
    let loads = |what| reading.observed(what).and_then(Loads::parse);
    // Of what was destroyed or changed, a check of all protocols speaks.
    let is_whole = reading.observed(Observation::Effect(RUNS)) == Some("yes")
        && reading.observed(Observation::Effect(FILES)) == Some("kept");
    let due = loads(Observation::Expected("claim.loads"));
    let was = loads(Observation::Claim(LOADS));
    if due == Some(Loads::Yes) && was == Some(Loads::No) && is_whole {
        report
            .violation(Shape::STATE_REFUSED, LEFT, "a daemon refuses what it has to load")
            .blame(Blame::Client)
            .push(Loads::Yes.word(), Loads::No.word());
    }
    let (due, was) = (observed(Observation::Expected(EXIT)), observed(Observation::Claim(EXIT)));
    let (Some(due), Some(was)) = (due, was) else { return };
    let shape = match ClaimedExit::parse(&was) {
        _ if was == due => return,
        Some(ClaimedExit(None)) => Shape::CLIENT_HANG,
        Some(ClaimedExit(Some(ExitStatus::Signal(_) | ExitStatus::Gone))) => Shape::CLIENT_CRASH,
        _ => Shape::LOUD_FAIL,
    };
    let message = "a daemon does not come up over what was left behind";
    report.violation(shape, LEFT, message).blame(Blame::Client).push(due, was);
}

/// What a daemon says of a shim that it has found, it has asked that shim. Without the conversation it proves nothing.
pub(super) const WAS_MET: Check = Check { name: "was-met", judge: was_met };

fn was_met(report: &mut Report<'_>) {
    let reading = report.evidence.reading;
    let runs = reading.observed(Observation::Effect(RUNS));
    let loads = reading.observed(Observation::Claim(LOADS)).and_then(Loads::parse);
    let mut replies = reading.conns.iter().flat_map(|conn| &conn.steps).flat_map(|step| &step.replies);
    let mut missing = Vec::new();
    if runs.is_none() {
        missing.push("nothing says whether the container runs on".to_owned());
    }
    let is_due = loads.is_some_and(|loads| loads != Loads::No) && runs == Some("yes");
    if is_due && !replies.any(|reply| reply.meaning == Meaning::Success) {
        missing.push("a daemon has found a shim, which was never seen to answer".to_owned());
    }
    if !missing.is_empty() {
        report.lacks(missing);
    }
}

/// What a daemon keeps of containers outlives it, whoever comes next.
pub(super) const METADATA_KEPT: Check = Check { name: "metadata-kept", judge: metadata_kept };

fn metadata_kept(report: &mut Report<'_>) {
    let reading = report.evidence.reading;
    // Effects of a daemon that says that all went well are compared by a check of all protocols.
    let is_compared = reading.observed(Observation::Claim(EXIT)).is_none_or(|exit| exit == "0");
    if reading.observed(Observation::Effect(LISTED)) == Some("no") && !is_compared {
        report
            .violation(
                shapes::METADATA_LOST,
                LEFT,
                "a daemon does not know a container that another one has made",
            )
            .blame(Blame::Client)
            .push("it is listed", "it is not");
    }
}

/// What has been reported of every process, last: of its life, and of pauses.
#[derive(Debug, Default)]
struct Lives {
    lives: BTreeMap<(String, String), Stage>,
    pauses: BTreeMap<String, &'static str>,
}

/// A stage of a life: its number, and the topic.
type Stage = (u8, &'static str);

/// The stages. In which field an event names its process, if it may be one that was executed.
const STAGES: [(Stage, Option<u32>); 6] = [
    ((1, "/tasks/create"), None),
    ((1, "/tasks/exec-added"), Some(2)),
    ((2, "/tasks/start"), None),
    ((2, "/tasks/exec-started"), Some(2)),
    ((3, "/tasks/exit"), Some(2)),
    ((4, "/tasks/delete"), Some(5)),
];
/// The last stage. A process of the same name may begin behind it.
const LAST: u8 = 4;
const PAUSES: [&str; 2] = ["/tasks/paused", "/tasks/resumed"];

impl Lives {
    /// Takes an event; what was reported that cannot be before it.
    fn tell(&mut self, topic: &str, event: Values<'_>) -> Option<&'static str> {
        let container = event.text(1);
        if let Some(pause) = PAUSES.into_iter().find(|pause| *pause == topic) {
            return self.pauses.insert(container, pause).filter(|before| *before == pause);
        }
        let (stage, field) = STAGES.into_iter().find(|((_, of), _)| *of == topic)?;
        // The first process is called as its container, or not at all.
        let named = field.map(|field| event.text(field)).filter(|name| *name != container);
        let before = self.lives.insert((container, named.unwrap_or_default()), stage)?;
        let begins_anew = stage.0 == 1 && before.0 == LAST;
        (stage.0 <= before.0 && !begins_anew).then_some(before.1)
    }
}

#[cfg(test)]
mod tests;
