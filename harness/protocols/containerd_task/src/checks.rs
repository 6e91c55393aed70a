//! What the generic checks, and those of the family, cannot say.
//!
//! | shape | the rule |
//! |---|---|
//! | `not-as-told` | what a daemon says of a container is what its shim said |
//! | `other-service` | one task service is spoken on a connection |
//! | `other-pid` | the process of a container is the same one, whatever it is asked for by |
//! | `events-out-of-order` | a shim reports what happened in the order in which it happened, once |

use std::collections::BTreeMap;

use transcript::evidence::Observation;
use ttrpc::Values;
use ttrpc::checks::results;
use ttrpc::envelope::{Call, data};
use verdict::checks::Report;
use verdict::{Blame, Check, FrameAt};

use super::dialect::EVENTS;
use super::operations::STATUS;
use super::shapes;

verdict::rules! {
    TOLD: "what a client says it has been told by its server", "harness/ARCHITECTURE.md#claims-are-effects";
    SERVICE: "a daemon speaks the task service of the version that a shim says it has",
        "containerd/containerd@v2.1.5:core/runtime/v2/shim.go";
    PID: "the process of a container is the one that it was created with",
        "containerd/containerd@v2.1.5:api/runtime/task/v3/shim.proto";
    ORDER: "a task is created, started, ends and is deleted, in this order, and each is reported once",
        "containerd/containerd@v2.1.5:core/runtime/events.go";
}

/// What a daemon says is what it was told.
pub(super) const AS_TOLD: Check = Check { name: "as-told", judge: as_told };

fn as_told(report: &mut Report<'_>) {
    let Some(claimed) = report.evidence.reading.observed(Observation::Claim(STATUS)) else { return };
    let claimed = claimed.to_owned();
    let told = results(report, "Wait").last().map(|(_, _, result)| Values(result).uint(1).to_string());
    if told.as_deref() != Some(&claimed) {
        report
            .violation(shapes::NOT_AS_TOLD, TOLD, "the daemon says another exit status than its shim")
            .blame(Blame::Client)
            .push(told.unwrap_or_else(|| "nothing was told".to_owned()), claimed);
    }
}

/// One service on each connection.
pub(super) const ONE_SERVICE: Check = Check { name: "one-service", judge: one_service };

fn one_service(report: &mut Report<'_>) {
    for conn in &report.evidence.reading.conns {
        let requests = conn.steps.iter().flat_map(|step| &step.requests);
        let mut spoken: Option<&str> = None;
        for at in requests {
            let Ok(call) = Call::read(data(&at.frame.bytes)) else { continue };
            let before = *spoken.get_or_insert(call.service);
            if before != call.service {
                let (due, was) = (before.to_owned(), call.service.to_owned());
                report
                    .violation(shapes::OTHER_SERVICE, SERVICE, "a daemon speaks two services with one shim")
                    .blame(Blame::Client)
                    .at_request(conn.conn.0, at)
                    .push(due, was);
            }
        }
    }
}

/// Where the process of a container stands in results: the method and the number of the field.
const PIDS: [(&str, u32); 5] = [("Create", 1), ("Start", 1), ("State", 3), ("Connect", 2), ("Delete", 1)];

/// The process of a container, bound when it is first seen.
pub(super) const SAME_PID: Check = Check { name: "same-pid", judge: same_pid };

fn same_pid(report: &mut Report<'_>) {
    let mut seen = Vec::new();
    for (method, number) in PIDS {
        for (conn, reply, result) in results(report, method) {
            let call = reply.request.as_ref().and_then(|request| Call::read(data(&request.bytes)).ok());
            let asked = call.map(|call| Values(call.payload)).filter(|_| Values(result).uint(number) > 0);
            let Some(asked) = asked else { continue };
            let of = (asked.text(1), if method == "Connect" { String::new() } else { asked.text(2) });
            seen.push((reply.at.event, conn, reply, of, Values(result).uint(number)));
        }
    }
    seen.sort_by_key(|(event, ..)| *event);
    let mut bound: BTreeMap<(String, String), u64> = BTreeMap::new();
    for (_, conn, reply, of, pid) in seen {
        let first = *bound.entry(of).or_insert(pid);
        if first != pid {
            report
                .violation(shapes::OTHER_PID, PID, "another process is said to be that of the container")
                .at_reply(conn, reply)
                .push(first.to_string(), pid.to_string());
        }
    }
}

/// What is reported before what, of one process.
const BEFORE: [(&str, &str); 5] = [
    ("/tasks/create", "/tasks/start"),
    ("/tasks/start", "/tasks/exit"),
    ("/tasks/exit", "/tasks/delete"),
    ("/tasks/exec-added", "/tasks/exec-started"),
    ("/tasks/paused", "/tasks/resumed"),
];

/// Events come in order, once.
pub(super) const EVENTS_IN_ORDER: Check = Check { name: "events-in-order", judge: events_in_order };

fn events_in_order(report: &mut Report<'_>) {
    for conn in &report.evidence.reading.conns {
        let mut seen: Vec<(String, Vec<u8>)> = Vec::new();
        for at in conn.steps.iter().flat_map(|step| &step.requests) {
            let Some((topic, event)) = reported(at) else { continue };
            let is_late = |(before, after): &(&str, &str)| {
                *before == topic && seen.iter().any(|(seen, of)| seen == after && same_task(of, &event))
            };
            let late =
                BEFORE.iter().find(|pair| is_late(pair)).map(|(_, after)| format!("`{after}` before it"));
            let again = seen.iter().any(|other| *other == (topic.clone(), event.clone()));
            if let Some(what) = late.or_else(|| again.then(|| "it was reported before".to_owned())) {
                report
                    .violation(
                        shapes::EVENTS_OUT_OF_ORDER,
                        ORDER,
                        format!("`{topic}` is reported at the wrong time"),
                    )
                    .blame(Blame::Client)
                    .at_request(conn.conn.0, at)
                    .push("each event once, in order", what);
            }
            seen.push((topic, event));
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

/// Whether two events are of one container, and of one process where both name it.
fn same_task(one: &[u8], other: &[u8]) -> bool {
    Values(one).text(1) == Values(other).text(1) && !is_of_exec(one) && !is_of_exec(other)
}

/// Whether an event is about a process that was executed: `id` or `exec_id` is another name than that of the container.
fn is_of_exec(event: &[u8]) -> bool {
    let named = Values(event).bytes(2);
    named.is_some_and(|name| {
        name != Values(event).bytes(1).unwrap_or_default() && name.iter().all(u8::is_ascii_graphic)
    })
}
