//! What several writes, pauses and clients make of a stream.

use bytes::Bytes;
use protocol::probe::{Description, PATIENT_MS, QUIET_MS, REPLY_MS, STALL_MS, answer, open, opening};
use protocol::{Case, Hazard};
use session::Script;
use transcript::evidence::{Expect, Role};

use super::{MAIN, NOT_READING_MS, OTHER, REPAIR, STORM_MS, case, repair};
use crate::names::{DELIMITER, INFO, PING};
use crate::{operations, request};

const ALONE: &str =
    "guest-sync alone behind half a request is answered, or something says what is wrong (QGA-04)";
const NO_FF: &str = "so is guest-sync-delimited without the byte ff in front";

/// How many requests a client sends that does not read: their answers fill every buffer on the way.
const UNREAD: usize = 200;

/// All of them.
pub(super) fn all(d: &Description) -> Vec<Case> {
    vec![
        half_then_next_client(d),
        half_then_next_client_resyncs(d),
        heard(d, "half-then-sync", ALONE, request::sync(21)),
        heard(d, "half-then-delimited", NO_FF, request::sync_delimited(22)),
        half_then_resync(d),
        reset_alone(d),
        does_not_read(d),
        reply_nobody_read(d),
        second_client_waits(d),
        same_error_twice(d),
        silent_success(d),
    ]
}

/// A client says something, and goes without a look at what comes.
fn said_and_gone(d: &Description, bytes: impl Into<Bytes>) -> Script {
    open(d, opening(d), OTHER, Role::Before, &[]).send(OTHER, bytes).pause(STALL_MS).close(OTHER)
}

/// The same with half a request, without an end of line.
fn half_and_gone(d: &Description) -> Script {
    said_and_gone(d, Bytes::from_static(b"{\"execute\":\"guest-pi"))
}

fn half_then_next_client(d: &Description) -> Case {
    let script = half_and_gone(d)
        .open(MAIN, Role::Subject, &[Expect::Answer.arg()])
        .send(MAIN, request::plain(PING))
        .answers(MAIN, REPLY_MS)
        .close(MAIN);
    let about = "what a client left half said is not read in front of what the next one says (QGA-01)";
    case(d, "half-then-next-client", about, Hazard::Disturbs, script)
}

fn half_then_next_client_resyncs(d: &Description) -> Case {
    let script = open(d, half_and_gone(d), MAIN, Role::Subject, &[Expect::Answer.arg()])
        .send(MAIN, request::with_id(PING, "\"next\""));
    let script = answer(d, script, MAIN, REPLY_MS).close(MAIN);
    let about = "ff and guest-sync-delimited repair what the client before left half said";
    case(d, "half-then-next-client-resyncs", about, Hazard::Disturbs, script)
}

/// Half a request, then something that may or may not be taken for its other half.
fn behind_half(d: &Description, next: Bytes, args: &[(&str, &str)]) -> Script {
    open(d, opening(d), MAIN, Role::Before, &[])
        .send(MAIN, Bytes::from_static(operations::HALF))
        .pause(STALL_MS)
        .role(MAIN, Role::Subject, args)
        .send(MAIN, next)
}

/// The same, and something is said of it.
fn heard(d: &Description, name: &str, about: &'static str, next: Bytes) -> Case {
    let script = behind_half(d, next, &[Expect::Survive.arg(), ("heard", "yes")]).quiet(MAIN, STORM_MS);
    case(d, name, about, Hazard::Disturbs, repair(d, script))
}

fn half_then_resync(d: &Description) -> Case {
    let script = behind_half(
        d,
        request::resync(REPAIR),
        &[(Expect::ARG, &*Expect::list(&[Expect::Survive, Expect::Answer]))],
    );
    let script = answer(d, script, MAIN, REPLY_MS).close(MAIN);
    let about = "ff and guest-sync-delimited behind half a request are answered";
    case(d, "half-then-resync", about, Hazard::Disturbs, script)
}

fn reset_alone(d: &Description) -> Case {
    let script = open(d, opening(d), MAIN, Role::Subject, &[Expect::Survive.arg(), ("heard", "yes")])
        .send(MAIN, Bytes::from_static(&[DELIMITER]))
        .quiet(MAIN, QUIET_MS);
    let about = "ff alone is an error and no more";
    case(d, "ff-alone", about, Hazard::Harmless, repair(d, script))
}

fn does_not_read(d: &Description) -> Case {
    let many: Vec<u8> = (0..UNREAD).flat_map(|_| request::plain(INFO)).collect();
    let script = open(d, opening(d), MAIN, Role::Subject, &[Expect::Survive.arg(), ("cpu", "idle")])
        .send(MAIN, many)
        .pause(STALL_MS)
        .watch()
        .pause(NOT_READING_MS)
        .watch()
        .close(MAIN);
    let about = "a client that asks and does not read costs no time (QGA-03)";
    case(d, "does-not-read", about, Hazard::Disturbs, script)
}

/// More is asked for than the buffers on the way hold, and the client goes.
fn reply_nobody_read(d: &Description) -> Case {
    let many: Vec<u8> = (0..UNREAD).flat_map(|_| request::with_id(INFO, "\"unread\"")).collect();
    let script = said_and_gone(d, many)
        .pause(STALL_MS)
        .open(MAIN, Role::Subject, &[Expect::Answer.arg()])
        .send(MAIN, request::with_id(PING, "\"next\""));
    let script = answer(d, script, MAIN, PATIENT_MS).close(MAIN);
    let about = "replies that a client did not read do not come to the next one";
    case(d, "reply-nobody-read", about, Hazard::Disturbs, script)
}

fn second_client_waits(d: &Description) -> Case {
    let script = open(d, opening(d), OTHER, Role::Before, &[])
        .send(OTHER, d.canary.clone())
        .answers(OTHER, REPLY_MS)
        .open(MAIN, Role::Subject, &[Expect::Answer.arg()])
        .send(MAIN, request::with_id(PING, "\"waits\""))
        .pause(STALL_MS)
        .close(OTHER)
        .answers(MAIN, PATIENT_MS)
        .close(MAIN);
    let about = "a client that comes while another one is served is answered when that one is gone";
    case(d, "second-client-waits", about, Hazard::Disturbs, script)
}

fn same_error_twice(d: &Description) -> Case {
    let mut script = opening(d);
    for conn in [OTHER, MAIN] {
        script = open(d, script, conn, Role::Subject, &[Expect::Refusal.arg(), ("texts", "compare")])
            .send(conn, Bytes::from_static(b"x\n"))
            .reply(conn, REPLY_MS)
            .role(conn, Role::Quiet, &[])
            .quiet(conn, QUIET_MS)
            .close(conn);
    }
    let about = "the same mistake is told in the same words (QGA-07)";
    case(d, "same-error-twice", about, Hazard::Harmless, script)
}

/// Only for reference servers: no real agent is ever asked to suspend anything.
fn silent_success(d: &Description) -> Case {
    let both =
        [request::with_id(SILENT_COMMAND, "\"silent\""), request::with_id(PING, "\"behind\"")].concat();
    let script = open(
        d,
        opening(d),
        MAIN,
        Role::Subject,
        &[(Expect::ARG, &*Expect::list(&[Expect::Survive, Expect::Answer]))],
    )
    .send(MAIN, both)
    .answers(MAIN, REPLY_MS)
    .role(MAIN, Role::Quiet, &[])
    .quiet(MAIN, QUIET_MS)
    .close(MAIN);
    let about = "a command that tells its success by no reply sends none";
    case(d, SILENT_SUCCESS, about, Hazard::Disturbs, script)
}

/// The command of that probe.
pub(crate) const SILENT_COMMAND: &str = "guest-suspend-ram";
/// The probe of it, for which the command has to be allowed.
pub(crate) const SILENT_SUCCESS: &str = "silent-success";
