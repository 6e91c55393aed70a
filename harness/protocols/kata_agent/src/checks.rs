//! What the generic checks, and those of the family, cannot say.
//!
//! | shape | the rule |
//! |---|---|
//! | `other-family` | an address of IPv4 is called IPv4, and one of IPv6 IPv6 |
//! | `name-not-text` | the name of an interface has no NUL in it |
//! | `no-interface` | who lists interfaces lists one at least |
//! | `killed-by-term` | a process that got SIGTERM is not killed by SIGKILL |
//! | `not-killed` | a process that got SIGKILL was killed by it, and its status says so as its release does |
//! | `not-as-told` | what a runtime says of a container is what its agent said |
//! | `takes-refused` | a call whose answer is above the limit has failed: a runtime does nothing that needs its success |
//! | `confuses-agent` | a runtime sends nothing that an agent of that release takes for something else, or never answers |

use std::collections::BTreeSet;

use transcript::evidence::{Observation, Shape};
use ttrpc::Values;
use ttrpc::checks::{self, calls_answered, ended_at, results};
use ttrpc::envelope::{Answer, Call, data};
use verdict::checks::Report;
use verdict::{Blame, Check, ConnReading, Exchange, FrameAt, Meaning};
use wire::ttrpc::OVERSIZE;

use super::dialect::DIALECTS;
use super::operations::{STATUS, STDOUT};
use super::{confusion, shapes};

verdict::rules! {
    FAMILY: "IPFamily: 0 is IPv4, 1 is IPv6", "kata-containers/kata-containers@4.0.0:src/libs/protocols/protos/types.proto";
    NAME: "the name of an interface is its name", "kata-containers/kata-containers@4.0.0:src/libs/protocols/protos/types.proto, Interface";
    LOOPBACK: "a network namespace has a loopback device from its beginning", "network_namespaces(7)";
    KILLED: "SIGKILL ends a process, which cannot handle it", "signal(7)";
    HANDLER: "SIGTERM is delivered to a process, which may handle it", "signal(7)";
    CONFUSES: "what would crash or confuse its reader is never sent", "harness/ARCHITECTURE.md#nothing-is-sent-that-its-reader-takes-for-something-else";
    BODY: "as many bytes as the head of a message announces are its body, and no answers", "containerd/ttrpc@v1.2.7:PROTOCOL.md, Message Frame";
    ALL_OF_IT: "what was not looked through proves nothing", "harness/ARCHITECTURE.md#nothing-passes-for-want-of-evidence";
    TOLD: "what a client says it has been told by its server", "harness/ARCHITECTURE.md#claims-are-effects";
}

/// Interfaces are there, and are what they are called.
pub(super) const INTERFACES: Check = Check { name: "interfaces", judge: interfaces };

fn interfaces(report: &mut Report<'_>) {
    for (conn, reply, result) in results(report, "ListInterfaces") {
        let listed: Vec<_> = Values(result).all(1).map(Values).collect();
        if listed.is_empty() {
            let message = "no interface is listed, and every network namespace has one";
            report
                .violation(shapes::NO_INTERFACE, LOOPBACK, message)
                .at_reply(conn, reply)
                .push("`lo` at least", "an empty list");
        }
        let odd = listed.iter().flat_map(|interface| interface.all(3)).map(Values).find(|address| {
            let is_v6 = address.text(2).contains(':');
            is_v6 != (address.uint(1) == 1)
        });
        if let Some(address) = odd {
            let (text, family) = (address.text(2), address.uint(1));
            report
                .violation(shapes::OTHER_FAMILY, FAMILY, "an address is said to be of the other family")
                .at_reply(conn, reply)
                .push(format!("{text} of family {}", 1 - family.min(1)), format!("family {family}"));
        }
        if let Some(interface) = listed.iter().find(|interface| interface.text(2).contains('\0')) {
            let name = interface.text(2).escape_debug().to_string();
            report
                .finding(
                    verdict::Weight::Restriction,
                    shapes::NAME_NOT_TEXT,
                    NAME,
                    "the name of an interface has a NUL in it",
                )
                .at_reply(conn, reply)
                .push("a name", name);
        }
    }
}

/// Every call is answered as [`checks::CALLS_ANSWERED`] has it, but for those that wait for what has not come to pass.
pub(super) const CALLS_ANSWERED: Check = Check {
    name: checks::CALLS_ANSWERED.name,
    judge: |report| {
        let waiting = waiting(report);
        calls_answered(report, |asked| waiting.contains(&asked.event));
    },
};

/// The calls that may be without an answer when their client ends, by their events: nothing may ever run out of memory, and no
/// process need end. One has ended whose end another call was told of, whose container was removed, or that was killed a while ago.
fn waiting(report: &Report<'_>) -> BTreeSet<usize> {
    let evidence = report.evidence;
    let ends = ends_told(report);
    let may_wait = |conn: &ConnReading, at: &FrameAt| match Call::read(data(&at.frame.bytes)) {
        Ok(call) if call.method == "GetOOMEvent" => true,
        Ok(call) if call.method == "WaitProcess" => {
            let waited = Process::of(Values(call.payload));
            !ends.iter().any(|end| end.is_owed_to(&waited, at.event, conn))
        }
        _ => false,
    };
    let are_left = evidence.reading.conns.iter().filter(|conn| {
        let ended = ended_at(evidence.transcript, conn);
        let closed = conn.steps.iter().find_map(|step| step.closed.as_ref());
        // Whoever hangs up on a client that waits owes it an answer.
        closed.is_none_or(|closed| ended.is_some_and(|ended| ended < closed.event))
    });
    let asked = are_left.flat_map(|conn| requests(conn).map(move |at| (conn, at)));
    asked.filter(|(conn, at)| may_wait(conn, at)).map(|(_, at)| at.event).collect()
}

/// A process of a container: without a name it is the first one, which has that of its container.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Process {
    container: String,
    name: String,
}

impl Process {
    fn of(argument: Values<'_>) -> Self {
        let (container, name) = (argument.text(1), argument.text(2));
        let name = if name.is_empty() { container.clone() } else { name };
        Self { container, name }
    }
}

/// What says that a process has ended, and the event of the answer.
struct End {
    process: Process,
    told: Told,
    event: usize,
}

/// How the end of a process is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Told {
    /// Somebody who waited was told.
    Waited,
    /// Its container was removed.
    Removed,
    /// It got SIGKILL, of which it dies in its own time.
    Killed,
}

impl End {
    /// Whether whoever waits for a process, since that event, is to be told of this end.
    fn is_owed_to(&self, waited: &Process, since: usize, conn: &ConnReading) -> bool {
        match self.told {
            Told::Waited => self.process == *waited,
            // Behind it there is no such process, and an error is due as any other.
            Told::Removed => self.process.container == waited.container && self.event > since,
            Told::Killed => {
                let killed = self.event.max(since);
                let is_behind =
                    |exchange: &Exchange<'_>| exchange.request.event > killed && exchange.completed.is_some();
                self.process == *waited && conn.exchanges().iter().any(is_behind)
            }
        }
    }
}

/// The ends of processes that were told.
fn ends_told(report: &Report<'_>) -> Vec<End> {
    let told =
        [("WaitProcess", Told::Waited), ("RemoveContainer", Told::Removed), ("SignalProcess", Told::Killed)];
    let of_method = |(method, told)| {
        let ends = results(report, method).into_iter().filter_map(move |(_, reply, _)| {
            let call = Call::read(data(&reply.request.as_ref()?.bytes)).ok()?;
            let argument = Values(call.payload);
            let is_end = told != Told::Killed || argument.uint(3) == SIGKILL;
            is_end.then(|| End { process: Process::of(argument), told, event: reply.at.event })
        });
        ends.collect::<Vec<_>>()
    };
    told.into_iter().flat_map(of_method).collect()
}

fn requests(conn: &ConnReading) -> impl Iterator<Item = &FrameAt> {
    conn.steps.iter().flat_map(|step| &step.requests)
}

/// What a runtime says is what it was told.
pub(super) const AS_TOLD: Check = Check { name: "as-told", judge: as_told };

fn as_told(report: &mut Report<'_>) {
    let reading = report.evidence.reading;
    let status = |result: &[u8]| Values(result).uint(1).to_string();
    let text = |result: &[u8]| Values(result).text(1).trim_end().to_owned();
    let of_status = results(report, "WaitProcess").last().map(|(_, _, result)| status(result));
    let of_text = results(report, "ReadStdout").last().map(|(_, _, result)| text(result));
    for (claim, told) in [(STATUS, of_status), (STDOUT, of_text)] {
        let Some(claimed) = reading.observed(Observation::Claim(claim)) else { continue };
        if told.as_deref() == Some(claimed) {
            continue;
        }
        let claimed = claimed.to_owned();
        report
            .violation(
                shapes::NOT_AS_TOLD,
                TOLD,
                format!("the runtime says another `{claim}` than its agent"),
            )
            .blame(Blame::Client)
            .push(told.unwrap_or_else(|| "nothing was told".to_owned()), claimed);
    }
}

/// Nothing is sent that would crash or confuse an agent of that release.
pub(super) const NEVER_CONFUSES: Check = Check { name: "never-confuses", judge: never_confuses };

fn never_confuses(report: &mut Report<'_>) {
    let Some(agent) = DIALECTS.named(report.evidence.grammar.dialect()) else { return };
    for conn in &report.evidence.reading.conns {
        for at in requests(conn) {
            let Ok(call) = Call::read(data(&at.frame.bytes)) else { continue };
            let found = match confusion::of_call(agent, &call) {
                Ok(Some(found)) => found,
                Ok(None) => continue,
                Err(too_many) => {
                    report
                        .violation(Shape::INCOMPLETE, ALL_OF_IT, too_many.to_string())
                        .blame(Blame::Harness)
                        .at_request(conn.conn.0, at)
                        .push("all of the argument", "its beginning");
                    continue;
                }
            };
            report
                .violation(shapes::CONFUSES_AGENT, CONFUSES, found.to_string())
                .blame(Blame::Client)
                .at_request(conn.conn.0, at)
                .push(found.due, found.sent);
        }
    }
}

/// Nobody takes an answer out of the body of one that is refused.
pub(super) const BODIES_PASSED_OVER: Check = Check { name: "bodies-passed-over", judge: bodies_passed_over };

/// What makes a sandbox.
const SANDBOX: &str = "CreateSandbox";
/// What needs the success of another call, of the same container where both have one.
const NEEDS: [(&str, &str); 4] = [
    ("CreateContainer", SANDBOX),
    ("StartContainer", "CreateContainer"),
    ("ExecProcess", "StartContainer"),
    ("ReadStdout", "StartContainer"),
];

fn bodies_passed_over(report: &mut Report<'_>) {
    for conn in &report.evidence.reading.conns {
        let exchanges = conn.exchanges();
        for (nth, exchange) in exchanges.iter().enumerate() {
            let needed = needed_before(exchange, exchanges.get(..nth).unwrap_or_default());
            let reply = needed.and_then(|needed| needed.completed?.0);
            let is_above =
                |reply: &FrameAt| reply.frame.kind == OVERSIZE && reply.event < exchange.request.event;
            if reply.is_some_and(is_above) {
                let message = "a runtime goes on as if a call had succeeded whose answer is above the limit";
                report
                    .violation(shapes::TAKES_REFUSED, BODY, message)
                    .blame(Blame::Client)
                    .at_request(conn.conn.0, exchange.request)
                    .push("the call has failed", "what needs its success is called");
            }
        }
    }
}

/// The last call on whose success another one rests: it may have been tried again.
fn needed_before<'a, 'b>(exchange: &Exchange<'_>, before: &'b [Exchange<'a>]) -> Option<&'b Exchange<'a>> {
    let call = Call::read(data(&exchange.request.frame.bytes)).ok()?;
    let (_, needed) = NEEDS.iter().find(|(method, _)| *method == call.method)?;
    let is_needed = |other: &Call<'_>| {
        // A sandbox is for all containers.
        let is_of_it = || Values(other.payload).text(1) == Values(call.payload).text(1);
        other.method == *needed && (*needed == SANDBOX || is_of_it())
    };
    let read = |exchange: &Exchange<'_>| {
        Call::read(data(&exchange.request.frame.bytes)).is_ok_and(|call| is_needed(&call))
    };
    before.iter().rev().find(|exchange| read(exchange))
}

/// What a process makes of SIGTERM is its own affair.
pub(super) const EXIT_OF_HANDLER: Check = Check { name: "exit-of-handler", judge: exit_of_handler };

/// `SIGTERM` and `SIGKILL`.
const SIGTERM: u64 = 15;
const SIGKILL: u64 = 9;
/// How releases say that it was `SIGKILL`: up to 3.x by its number, and by 128 and its number, as shells do, from 4.0 on.
const STATUSES_OF_KILLED: [u64; 2] = [9, 137];

fn exit_of_handler(report: &mut Report<'_>) {
    let signals: Vec<u64> = signals(report).into_iter().map(|(_, signal, _)| signal).collect();
    if signals.is_empty() || signals.iter().any(|signal| *signal != SIGTERM) {
        return;
    }
    for (conn, reply, result) in results(report, "WaitProcess") {
        let status = Values(result).uint(1);
        if STATUSES_OF_KILLED.contains(&status) {
            report
                .violation(
                    shapes::KILLED_BY_TERM,
                    HANDLER,
                    "a process that got SIGTERM was killed by SIGKILL",
                )
                .at_reply(conn, reply)
                .push("the exit status that its handler chose", status.to_string());
        }
    }
}

/// The signals that were sent, to whom, and the events of the calls.
fn signals(report: &Report<'_>) -> Vec<(Process, u64, usize)> {
    let asked = report.evidence.reading.conns.iter().flat_map(requests);
    let signals = asked.filter_map(|at| {
        let call = Call::read(data(&at.frame.bytes)).ok().filter(|call| call.method == "SignalProcess")?;
        let argument = Values(call.payload);
        Some((Process::of(argument), argument.uint(3), at.event))
    });
    signals.collect()
}

/// Whoever waited for a process when it got SIGKILL is told that it was killed.
pub(super) const KILLED_IS_TOLD: Check = Check { name: "killed-is-told", judge: killed_is_told };

fn killed_is_told(report: &mut Report<'_>) {
    let Some(agent) = DIALECTS.named(report.evidence.grammar.dialect()) else { return };
    let signals = signals(report);
    for conn in &report.evidence.reading.conns {
        for exchange in conn.exchanges() {
            let call = Call::read(data(&exchange.request.frame.bytes)).ok();
            let call = call.filter(|call| call.method == "WaitProcess");
            let Some((call, (Some(reply), Meaning::Success))) = call.zip(exchange.completed) else {
                continue;
            };
            let waited = Process::of(Values(call.payload));
            let mut sent = signals.iter().filter(|(process, ..)| *process == waited).peekable();
            let waits = exchange.request.event..reply.event;
            // What another signal made of it is its own affair, and it may have ended before.
            let is_killed = sent.peek().is_some()
                && sent.all(|(_, signal, event)| *signal == SIGKILL && waits.contains(event));
            let answer = Answer::read(data(&reply.frame.bytes)).filter(|_| is_killed);
            let status = answer.map(|answer| Values(answer.payload).uint(1));
            let due = agent.killed_status;
            if let Some(status) = status.filter(|status| i64::from(due) != status.cast_signed()) {
                let message = "a process that got SIGKILL is said to have ended otherwise";
                report
                    .violation(shapes::NOT_KILLED, KILLED, message)
                    .at_request(conn.conn.0, exchange.request)
                    .push(due.to_string(), status.to_string());
            }
        }
    }
}

#[cfg(test)]
mod tests;
