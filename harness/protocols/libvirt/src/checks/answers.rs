//! Checks of single answers and of what comes unasked.

use std::collections::BTreeMap;

use transcript::evidence::{Expect, Role, Shape};
use verdict::checks::Report;
use verdict::{Check, ConnReading, Due, Evidence, FrameRef, Meaning, ReplyAt, Step, Weight};
use wire::libvirt_rpc::{Header, MessageType, Status};
use wire::xdr::Reader;
use wire::{Direction, Dissection, Frame};

use super::{Failure, number, text};
use crate::names::{
    self, UNKNOWN_PROCEDURE_TEXT, UNKNOWN_PROGRAM_TEXT, VERSION, error, error_domain, error_level, feature,
    procedures as p, program, update_command, update_section,
};
use crate::shapes;

pub(super) fn all() -> Vec<Check> {
    vec![
        NUMBERS_KEEP_MEANING,
        UNKNOWN_TEXT,
        FEATURES_HOLD,
        AUTHENTICATION_FIRST,
        DRIVER_KEPT,
        EVENT_NOT_LOST,
        STREAM_COMPLETE,
        SERIAL_ECHOED,
    ]
}

fn answer(evidence: &Evidence<'_>, reply: &ReplyAt) -> Dissection {
    evidence.grammar.dissect(Direction::ToClient, &reply.at.frame, reply.request.as_ref())
}

/// The procedure of program `remote` that a call asks for.
fn procedure(call: &Frame) -> Option<i32> {
    Header::of_frame(call).filter(|header| header.program == program::REMOTE).map(|header| header.procedure)
}

/// Every answered call of program `remote` on a connection.
fn answered(conn: &ConnReading) -> impl Iterator<Item = (i32, &Frame, &ReplyAt)> {
    conn.steps.iter().flat_map(Step::answers).filter_map(|reply| {
        let call = reply.request.as_ref()?;
        Some((procedure(call)?, call, reply))
    })
}

verdict::rules! {
    NUMBERS: "messages are only added: none is removed or changed under its number",
        "libvirt/libvirt@v11.3.0:docs/support.rst; libvirt/libvirt@v11.3.0:docs/kbase/internals/rpc.rst";
    TEXT:
        "what is unknown is answered with code 39, domain 7, and a text that begins with `unknown \
         procedure`, or with `Cannot find program`: clients take their fallbacks by it",
        "libvirt/libvirt@v11.3.0:src/rpc/virnetclientprogram.c";
    FEATURES:
        "a server that promises a feature carries out its procedures, and one that lacks them does not \
         promise it",
        "libvirt/libvirt@v11.3.0:src/remote/remote_driver.c, doRemoteOpen: what a client asks before it \
         calls";
    ORDER: "with feature 16 the command comes before the section, without it the section comes first",
        "libvirt/libvirt@v7.2.0:src/libvirt-network.c, virNetworkUpdate";
    AUTHENTICATION: "before authentication only the procedures of authentication are carried out",
        "libvirt/libvirt@v11.3.0:src/rpc/virnetserverprogram.c, needsAuth; measured on libvirt 7.0.0 to \
         12.8.0: 39/7 `authentication required`";
    ONE_DRIVER:
        "a second CONNECT_OPEN is refused and leaves the first driver as it is; a driver goes with its \
         connection",
        "libvirt/libvirt@v11.3.0:src/remote/remote_daemon_dispatch.c, remoteDispatchConnectOpen: \
         `connection already open`";
    EVENTS: "whoever registered for an event gets each one, once",
        "libvirt/libvirt@v11.3.0:src/remote/remote_daemon_dispatch.c, remoteRelayDomainEventLifecycle";
    STREAM: "the data of a stream ends with an empty message, and nothing but a confirmation comes behind it",
        "libvirt/libvirt@v11.3.0:docs/kbase/internals/rpc.rst, streams";
    SERIAL: "an answer carries the program, the procedure and the serial of its call",
        "libvirt/libvirt@v11.3.0:src/rpc/virnetprotocol.x, virNetMessageHeader";
}

/// A good answer holds what its number has always answered.
const NUMBERS_KEEP_MEANING: Check = Check { name: "numbers-keep-meaning", judge: numbers_keep_meaning };

fn numbers_keep_meaning(report: &mut Report<'_>) {
    let evidence = report.evidence;
    for (conn, step) in evidence.reading.steps(Role::Subject) {
        let Some((field, value)) = step.arg("field").zip(step.arg("value")) else { continue };
        for reply in step.answers().filter(|reply| reply.meaning == Meaning::Success) {
            let found = text(&answer(evidence, reply), field).unwrap_or_else(|| "no such text".to_owned());
            if found != value {
                let message = format!("`{field}` holds something else than this number has always answered");
                report
                    .violation(Shape::CHANGED_MEANING, NUMBERS, message)
                    .at_reply(conn.conn.0, reply)
                    .push(value, found);
            }
        }
    }
}

/// What is unknown is told in words that clients look for.
const UNKNOWN_TEXT: Check = Check { name: "unknown-text", judge: unknown_text };

fn unknown_text(report: &mut Report<'_>) {
    let evidence = report.evidence;
    for (conn, step) in evidence.reading.steps(Role::Subject) {
        let words = step.arg(Expect::ARG).unwrap_or_default().split(',');
        for (word, reply) in words.zip(step.answers_by_request()) {
            // An answer that belongs to no call is found by others.
            let ours = |reply: &&ReplyAt| {
                Expect::parse(word) == Some(Expect::NotSupported) && reply.request.is_some()
            };
            let Some(reply) = reply.filter(ours) else { continue };
            let Some(failure) = Failure::of(&answer(evidence, reply)) else { continue };
            let frame = Some(report.reply(conn.conn.0, reply));
            hold_text(report, reply, &failure, frame);
        }
    }
}

fn hold_text(report: &mut Report<'_>, reply: &ReplyAt, failure: &Failure, frame: Option<FrameRef>) {
    let due = (error::RPC.into(), error_domain::RPC.into(), error_level::ERROR.into());
    let was = (failure.code, failure.domain, failure.level);
    if was != due {
        let message = "what is unknown is told by another error than clients look for";
        let (due, was) = (format!("{due:?}: code, domain, level"), format!("{was:?}"));
        report.violation(Shape::OTHER_ERROR, TEXT, message).at(frame).push(due, was);
        return;
    }
    let served = |header: Header| {
        matches!(header.program, program::REMOTE | program::QEMU) && header.version == VERSION
    };
    let known = reply.request.as_ref().and_then(Header::of_frame).is_some_and(served);
    let due = if known { UNKNOWN_PROCEDURE_TEXT } else { UNKNOWN_PROGRAM_TEXT };
    if !failure.text.starts_with(due) {
        let message = "the text is another one, translated perhaps: clients take it for a plain failure";
        let due = format!("`{due}…`");
        let was = format!("`{}`", failure.text);
        report.violation(shapes::TRANSLATED_TEXT, TEXT, message).at(frame).push(due, was);
    }
}

/// Features and the procedures that go with them are there together.
const FEATURES_HOLD: Check = Check { name: "features-hold", judge: features_hold };

/// The procedures that go with a feature.
const TOGETHER: [(i32, i32); 3] = [
    (feature::REMOTE_EVENT_CALLBACK, p::CONNECT_DOMAIN_EVENT_CALLBACK_REGISTER_ANY),
    (feature::REMOTE_CLOSE_CALLBACK, p::CONNECT_REGISTER_CLOSE_CALLBACK),
    (feature::REMOTE_CLOSE_CALLBACK, p::CONNECT_UNREGISTER_CLOSE_CALLBACK),
];

fn features_hold(report: &mut Report<'_>) {
    let evidence = report.evidence;
    for conn in &evidence.reading.conns {
        let promised = promised(evidence, conn);
        for (called, call, reply) in answered(conn) {
            for (feature, procedure) in TOGETHER {
                if let (true, Some(has)) = (called == procedure, promised.get(&feature)) {
                    hold_together(report, conn, reply, (feature, *has), procedure);
                }
            }
            if called == p::NETWORK_UPDATE
                && let Some(has) = promised.get(&feature::NETWORK_UPDATE_HAS_CORRECT_ORDER)
            {
                hold_order(report, conn, call, reply, *has);
            }
        }
    }
}

/// What the server has said of its features on a connection.
fn promised(evidence: &Evidence<'_>, conn: &ConnReading) -> BTreeMap<i32, bool> {
    answered(conn)
        .filter(|(called, _, reply)| {
            *called == p::CONNECT_SUPPORTS_FEATURE && reply.meaning == Meaning::Success
        })
        .filter_map(|(_, call, reply)| {
            let (_, feature) = Reader::new(call.payload()).i32().ok()?;
            Some((feature, number(&answer(evidence, reply), "supported")? != 0))
        })
        .collect()
}

fn hold_together(
    report: &mut Report<'_>,
    conn: &ConnReading,
    reply: &ReplyAt,
    (feature, has): (i32, bool),
    procedure: i32,
) {
    let knows = reply.meaning != Meaning::NotSupported;
    if knows == has {
        return;
    }
    let name = names::name("feature", feature.into()).unwrap_or_default();
    if has {
        let message = format!("feature {name} is promised, procedure {procedure} is unknown");
        let (due, was) = ("the procedure is known", "`not supported`");
        report
            .violation(shapes::FEATURE_WITHOUT_PROCEDURE, FEATURES, message)
            .at_reply(conn.conn.0, reply)
            .push(due, was);
    } else {
        let message = format!("procedure {procedure} is known, feature {name} is not promised");
        let (due, was) = ("`not supported`", "the procedure is known");
        report
            .finding(Weight::Note, shapes::PROCEDURE_WITHOUT_FEATURE, FEATURES, message)
            .at_reply(conn.conn.0, reply)
            .push(due, was);
    }
}

/// Compares a call that adds a host with the order that the server has announced. Other words do not tell one
/// order from the other.
fn hold_order(report: &mut Report<'_>, conn: &ConnReading, call: &Frame, reply: &ReplyAt, has: bool) {
    let (command, section) = (update_command::ADD_LAST, update_section::IP_DHCP_HOST);
    let Some(words) = update_words(call) else { return };
    let command_first = match words {
        words if words == [command, section] => true,
        words if words == [section, command] => false,
        _ => return,
    };
    let carried_out = reply.meaning == Meaning::Success;
    if carried_out != (command_first == has) {
        let order = |first: bool| if first { "the command first" } else { "the section first" };
        let message = format!("with {} the call is {}", order(command_first), done(carried_out));
        let due = format!("carried out with {} alone", order(has));
        report
            .violation(shapes::ORDER_NOT_AS_ANNOUNCED, ORDER, message)
            .at_reply(conn.conn.0, reply)
            .push(due, done(carried_out));
    }
}

fn done(carried_out: bool) -> &'static str {
    if carried_out { "carried out" } else { "refused" }
}

/// The two words behind the network.
fn update_words(call: &Frame) -> Option<[u32; 2]> {
    let mut reader = Reader::new(call.payload());
    reader.opaque(wire::libvirt_rpc::STRING_MAX).ok()?;
    reader.fixed(16).ok()?;
    Some([reader.u32().ok()?.1, reader.u32().ok()?.1])
}

/// Nothing is carried out for whoever has not authenticated, where that is asked for.
const AUTHENTICATION_FIRST: Check = Check { name: "authentication-first", judge: authentication_first };

fn authentication_first(report: &mut Report<'_>) {
    let evidence = report.evidence;
    let asked = evidence.reading.conns.iter().flat_map(answered).any(|(called, _, reply)| {
        called == p::AUTH_LIST && number(&answer(evidence, reply), "types.0").is_some_and(|way| way != 0)
    });
    for (conn, step) in evidence.reading.steps(Role::Subject) {
        if !asked || step.arg("before") != Some("authentication") {
            continue;
        }
        let carried_out = |reply: &&ReplyAt| {
            let called = reply.request.as_ref().and_then(procedure).unwrap_or_default();
            reply.meaning == Meaning::Success && !(p::AUTH_LIST..=p::AUTH_POLKIT).contains(&called)
        };
        if let Some(reply) = step.answers().find(carried_out) {
            report
                .violation(
                    shapes::SERVED_BEFORE_AUTHENTICATION,
                    AUTHENTICATION,
                    "a call is carried out for a client that has not authenticated",
                )
                .at_reply(conn.conn.0, reply)
                .push("39/7 `authentication required`", "carried out");
        }
    }
}

/// A connection has one driver; it stays until the client closes it, and goes with the client.
const DRIVER_KEPT: Check = Check { name: "driver-kept", judge: driver_kept };

fn driver_kept(report: &mut Report<'_>) {
    let evidence = report.evidence;
    let subjects = |arg: &'static str| {
        evidence.reading.steps(Role::Subject).filter(move |(_, step)| step.arg(arg).is_some())
    };
    for (conn, step) in subjects("behind") {
        let Some(reply) = step.answers().find(|reply| reply.meaning != Meaning::Success) else {
            continue;
        };
        let message = "behind a refused CONNECT_OPEN the driver that was open is gone";
        let (due, was) = ("the call is carried out", format!("{:?}", reply.meaning));
        report
            .violation(shapes::FIRST_DRIVER_LOST, ONE_DRIVER, message)
            .at_reply(conn.conn.0, reply)
            .push(due, was);
    }
    let carried_out = |step: &Step| step.answers().any(|reply| reply.meaning == Meaning::Success);
    let third = subjects("open").any(|(_, step)| carried_out(step));
    for (conn, step) in subjects("left-behind") {
        // Where nothing was opened too much, what is still there is there to stay.
        if third && carried_out(step) {
            let message = "all clients are gone, and what one of them defined is still there: \
                           somebody holds the driver";
            let (due, was) = ("the driver as it starts", step.arg("left-behind").unwrap_or_default());
            report
                .violation(shapes::DRIVER_LEFT_BEHIND, ONE_DRIVER, message)
                .at_subject(conn.conn.0, step)
                .push(due, was);
        }
    }
}

/// Whoever registered for events gets each, once.
const EVENT_NOT_LOST: Check = Check { name: "event-not-lost", judge: event_not_lost };

fn event_not_lost(report: &mut Report<'_>) {
    let evidence = report.evidence;
    for (conn, step) in evidence.reading.steps(Role::Subject) {
        let Some(due) = step.arg("events").and_then(|due| due.parse::<usize>().ok()) else { continue };
        if !step.answers().any(|reply| reply.meaning == Meaning::Success) {
            continue;
        }
        let is_event =
            |header: Header| header.kind == MessageType::MESSAGE && header.program == program::REMOTE;
        let told = step.replies.iter().filter_map(|r| Header::of_frame(&r.at.frame)).filter(|h| is_event(*h));
        let told = told.count();
        if told != due {
            let shape = if told < due { shapes::LOST_EVENT } else { shapes::EVENT_TWICE };
            let message = "a client that registered gets another number of events than happened";
            let (due, was) = (format!("{due} events"), told.to_string());
            report.violation(shape, EVENTS, message).at_subject(conn.conn.0, step).push(due, was);
        }
    }
}

/// A stream comes to its end.
const STREAM_COMPLETE: Check = Check { name: "stream-complete", judge: stream_complete };

fn stream_complete(report: &mut Report<'_>) {
    let evidence = report.evidence;
    for (conn, step) in evidence.reading.steps(Role::Subject) {
        let whole = step.arg("stream") == Some("whole");
        // A stream that never began is found by others.
        if !whole || !step.answers().next().is_some_and(|reply| reply.meaning == Meaning::Success) {
            continue;
        }
        let data = |reply: &ReplyAt| {
            let header = Header::of_frame(&reply.at.frame)?;
            let is_data = header.kind == MessageType::STREAM && header.status == Status::CONTINUE;
            is_data.then(|| reply.at.frame.payload().len())
        };
        let sizes: Vec<usize> = step.replies.iter().filter_map(data).collect();
        let end = sizes.iter().position(|size| *size == 0);
        let was = format!("messages of {sizes:?} bytes");
        match end {
            None => {
                let message = "the data of a stream does not come to its end";
                let due = "an empty message at the end";
                report
                    .violation(shapes::STREAM_CUT, STREAM, message)
                    .at_subject(conn.conn.0, step)
                    .push(due, was);
            }
            Some(at) if at + 1 < sizes.len() => {
                let message = "more data comes behind the end of a stream";
                let due = "nothing behind the empty message";
                report
                    .violation(shapes::STREAM_GOES_ON, STREAM, message)
                    .at_subject(conn.conn.0, step)
                    .push(due, was);
            }
            Some(_) => {}
        }
    }
}

/// An answer carries the serial of its call.
pub(super) const SERIAL_ECHOED: Check = Check { name: "serial-echoed", judge: serial_echoed };

fn serial_echoed(report: &mut Report<'_>) {
    let evidence = report.evidence;
    for conn in &evidence.reading.conns {
        for reply in conn.steps.iter().flat_map(Step::answers) {
            hold_echo(report, conn, reply);
        }
        let unanswered = conn.exchanges().into_iter().filter(|exchange| exchange.completed.is_none());
        let mut open: Vec<Header> = unanswered
            .filter(|exchange| exchange.asked == Direction::ToServer && exchange.request.due == Due::One)
            .filter_map(|exchange| Header::of_frame(&exchange.request.frame))
            .collect();
        for reply in conn.steps.iter().flat_map(Step::answers).filter(|r| r.request.is_none()) {
            let Some(header) = Header::of_frame(&reply.at.frame) else { continue };
            let same = |call: &Header| {
                (call.program, call.procedure) == (header.program, header.procedure)
                    && call.serial != header.serial
            };
            let Some(at) = open.iter().position(same) else { continue };
            let call = open.remove(at);
            let message = "the answer to a call carries another serial: no client takes it for the answer";
            let (due, was) = (call.serial.to_string(), header.serial.to_string());
            report
                .violation(shapes::SERIAL_NOT_ECHOED, SERIAL, message)
                .at_reply(conn.conn.0, reply)
                .push(due, was);
        }
    }
}

/// An answer with the right serial speaks of the same call in the rest of its header too.
fn hold_echo(report: &mut Report<'_>, conn: &ConnReading, reply: &ReplyAt) {
    let call = reply.request.as_ref().and_then(Header::of_frame);
    let Some((call, answer)) = call.zip(Header::of_frame(&reply.at.frame)) else { return };
    let words = |header: &Header| {
        format!("program {:#x}, version {}, procedure {}", header.program, header.version, header.procedure)
    };
    // A sign of life is answered by a procedure of its own.
    if call.kind.is_call() && words(&call) != words(&answer) {
        let message = "the answer to a call speaks of another one: clients drop it, or the connection";
        report
            .violation(shapes::CALL_NOT_ECHOED, SERIAL, message)
            .at_reply(conn.conn.0, reply)
            .push(words(&call), words(&answer));
    }
}
