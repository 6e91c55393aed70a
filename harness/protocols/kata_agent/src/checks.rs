//! What the generic checks, and those of the family, cannot say.
//!
//! | shape | the rule |
//! |---|---|
//! | `other-family` | an address of IPv4 is called IPv4, and one of IPv6 IPv6 |
//! | `name-not-text` | the name of an interface has no NUL in it |
//! | `no-interface` | who lists interfaces lists one at least |
//! | `killed-by-term` | a process that got SIGTERM is not killed by SIGKILL |
//! | `not-as-told` | what a runtime says of a container is what its agent said |
//! | `confuses-agent` | a runtime sends nothing that an agent of that release takes for something else, or never answers |

use std::collections::BTreeSet;

use transcript::evidence::{Observation, Shape};
use ttrpc::Values;
use ttrpc::checks::{self, calls_answered, ended_at, results};
use ttrpc::envelope::{Call, data};
use verdict::checks::Report;
use verdict::{Blame, Check, FrameAt};
use wire::Frame;

use super::dialect::DIALECTS;
use super::operations::{STATUS, STDOUT};
use super::{confusion, shapes};

verdict::rules! {
    FAMILY: "IPFamily: 0 is IPv4, 1 is IPv6", "kata-containers/kata-containers@4.0.0:src/libs/protocols/protos/types.proto";
    NAME: "the name of an interface is its name", "kata-containers/kata-containers@4.0.0:src/libs/protocols/protos/types.proto, Interface";
    LOOPBACK: "a network namespace has a loopback device from its beginning", "network_namespaces(7)";
    HANDLER: "SIGTERM is delivered to a process, which may handle it", "signal(7)";
    CONFUSES: "what would crash or confuse its reader is never sent", "harness/ARCHITECTURE.md#nothing-is-sent-that-its-reader-takes-for-something-else";
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
/// process need end. That of a container which was removed meanwhile has ended.
fn waiting(report: &Report<'_>) -> BTreeSet<usize> {
    let container = |frame: &Frame| Some(Values(Call::read(data(&frame.bytes)).ok()?.payload).text(1));
    let removed: Vec<_> = results(report, "RemoveContainer")
        .into_iter()
        .filter_map(|(_, reply, _)| Some((container(reply.request.as_ref()?)?, reply.at.event)))
        .collect();
    let has_ended = |at: &FrameAt| {
        let of = container(&at.frame);
        removed.iter().any(|(id, event)| *event > at.event && of.as_ref() == Some(id))
    };
    let may_wait = |at: &&FrameAt| match Call::read(data(&at.frame.bytes)).map(|call| call.method) {
        Ok("GetOOMEvent") => true,
        Ok("WaitProcess") => !has_ended(at),
        _ => false,
    };
    let evidence = report.evidence;
    let are_left = evidence.reading.conns.iter().filter(|conn| {
        let ended = ended_at(evidence.transcript, conn);
        let closed = conn.steps.iter().find_map(|step| step.closed.as_ref());
        // Whoever hangs up on a client that waits owes it an answer.
        closed.is_none_or(|closed| ended.is_some_and(|ended| ended < closed.event))
    });
    let asked = are_left.flat_map(|conn| &conn.steps).flat_map(|step| &step.requests);
    asked.filter(may_wait).map(|at| at.event).collect()
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
        for at in conn.steps.iter().flat_map(|step| &step.requests) {
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

/// What a process makes of SIGTERM is its own affair.
pub(super) const EXIT_OF_HANDLER: Check = Check { name: "exit-of-handler", judge: exit_of_handler };

/// `SIGTERM`.
const SIGTERM: u64 = 15;
/// How releases say `SIGKILL`: up to 3.x by its number, and by 128 and its number, as shells do, from 4.0 on.
const KILLED: [u64; 2] = [9, 137];

fn exit_of_handler(report: &mut Report<'_>) {
    let asked = |conn: &verdict::ConnReading| {
        let requests = conn.steps.iter().flat_map(|step| &step.requests);
        let calls = requests.filter_map(|at| Call::read(data(&at.frame.bytes)).ok());
        calls
            .filter(|call| call.method == "SignalProcess")
            .map(|call| Values(call.payload).uint(3))
            .collect::<Vec<_>>()
    };
    let signals: Vec<u64> = report.evidence.reading.conns.iter().flat_map(asked).collect();
    if signals.is_empty() || signals.iter().any(|signal| *signal != SIGTERM) {
        return;
    }
    for (conn, reply, result) in results(report, "WaitProcess") {
        let status = Values(result).uint(1);
        if KILLED.contains(&status) {
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

#[cfg(test)]
mod tests;
