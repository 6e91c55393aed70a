//! What is asked of every server: the generic probes, and what only this protocol can be asked.
//!
//! `LXC-nn` are the numbers under which the known faults are kept in `matrices/lxc-command/known-bugs.toml`.

use bytes::Bytes;
use matrix::{CaseId, CaseKind};
use protocol::probe::{
    AboveLimit, Answers, Bad, Clients, Description, Lengths, QUIET_MS, REPLY_MS, STALL_MS, SUBJECT_CONN,
    around, closing, generic, opening,
};
use protocol::{Action, Case, Hazard};
use session::{Script, Step};
use transcript::evidence::{Expect, Role};
use transcript::{ConnId, Credentials, FdNote};
use wire::lxc::Command;

use super::names::{self, GET_CONFIG_ITEM, GET_INIT_PID, GET_STATE};
use super::request;

const MAIN: u32 = SUBJECT_CONN;
/// A second connection of the subject's, besides those of the generic frame.
const OTHER: u32 = 20;
/// The gap between the two messages of a two-part request.
const GAP_MS: u64 = 5;
/// How long the first line on the console may take to get to the monitor.
const CONSOLE_MS: u64 = 150;

/// What the generic probes have to know.
pub(crate) fn description() -> Description {
    Description {
        canary: request::plain(GET_STATE, 0),
        second: request::plain(GET_INIT_PID, 0),
        with_payload: request::text(GET_CONFIG_ITEM, "lxc.uts.name"),
        unknown: |len| request::with_payload(names::UNKNOWN, &vec![0xa5; len]),
        unknown_gets: Bad::Refused,
        lengths: Some(Lengths {
            announcing: |len| request::lying(GET_STATE, saturated(len), 0, b""),
            max: i32::MAX.into(),
            min: i32::MIN.into(),
        }),
        payload_max: Some(8192),
        head_len: request::LAYOUT.head_len(),
        // `-ENOSYS`: read as a request, a number that no release knows.
        reply: Bytes::from_static(&[0xda, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
        trailing_bytes: Some(request::with_payload(GET_STATE, &[0xa5; 16])),
        missing_bytes: Some(request::with_payload(names::ADD_STATE_CLIENT, &[0; 28])),
        unknown_fields: Some(request::with_payload(names::GET_CGROUP_FD, &request::cgroup_fd("devices", 88))),
        text: |bytes| request::with_payload(GET_CONFIG_ITEM, bytes),
        malformed: Bad::Refused,
        greeting: Vec::new(),
        ids: None,
        stray: Bad::Refused,
        above_limit: AboveLimit::Answered,
        half_close_tries: 1,
        clients: Clients::Many,
        answers: Answers::NextFrame,
    }
}

fn saturated(len: i64) -> i32 {
    i32::try_from(len).unwrap_or(if len < 0 { i32::MIN } else { i32::MAX })
}

/// All probes, the generic ones first.
pub(crate) fn all() -> Vec<Case> {
    let d = description();
    let mut cases = generic(&d);
    cases.extend(single(&d));
    cases.extend(sizes(&d));
    cases.extend(numbers(&d));
    cases.extend(stories(&d));
    cases
}

/// One request each: name, what it is, what it may do, what must come of it, the request.
type Single = (&'static str, &'static str, Hazard, Expect, Bytes);

fn single(d: &Description) -> Vec<Case> {
    use Expect::{Answer, Any, Refusal};
    use Hazard::{Disturbs, Harmless};
    let rows: [Single; 11] = [
        (
            "get-config-item-without-payload",
            "a key that is not sent is refused (LXC-01)",
            Disturbs,
            Refusal,
            request::plain(GET_CONFIG_ITEM, 0),
        ),
        (
            "get-config-item-length-negative",
            "a key of -1 bytes is refused (LXC-01)",
            Disturbs,
            Refusal,
            request::lying(GET_CONFIG_ITEM, -1, 0, b""),
        ),
        (
            "console-log-without-payload",
            "a console log request without its structure is refused (LXC-02)",
            Disturbs,
            Refusal,
            request::plain(names::CONSOLE_LOG, 0),
        ),
        (
            "short-state-list",
            "a list of one state is refused, or taken for a list (LXC-20)",
            Disturbs,
            Any,
            request::with_payload(names::ADD_STATE_CLIENT, &1_i32.to_le_bytes()),
        ),
        (
            "longer-struct-cgroup-fd",
            "a structure that a future client made longer is carried out (LXC-19)",
            Harmless,
            Answer,
            request::with_payload(names::GET_CGROUP_FD, &request::cgroup_fd("devices", 88)),
        ),
        (
            "shorter-struct-cgroup-fd",
            "a structure that an earlier client knows shorter is carried out",
            Harmless,
            Answer,
            request::with_payload(names::GET_CGROUP_FD, &request::cgroup_fd("devices", 24)),
        ),
        (
            "cgroup-without-nul",
            "a controller without its NUL is refused",
            Disturbs,
            Refusal,
            request::with_payload(names::GET_CGROUP, b"freezer"),
        ),
        (
            "cgroup-unknown-controller",
            "a controller that is not there is refused",
            Harmless,
            Refusal,
            request::text(names::GET_CGROUP, "wireskew"),
        ),
        (
            "cgroup-without-payload",
            "a controller that is not sent is refused, or taken for none",
            Harmless,
            Any,
            request::plain(names::GET_CGROUP, 0),
        ),
        (
            "config-key-without-nul",
            "a key without its NUL is refused",
            Disturbs,
            Any,
            request::with_payload(GET_CONFIG_ITEM, b"lxc.uts.name"),
        ),
        (
            "config-key-unknown",
            "a key that does not exist is refused",
            Harmless,
            Refusal,
            request::text(GET_CONFIG_ITEM, "lxc.wireskew"),
        ),
    ];
    rows.into_iter()
        .map(|(name, about, hazard, expect, request)| {
            around(d, name, about, hazard, expect, |s| s.send(MAIN, request).reply(MAIN, REPLY_MS))
        })
        .collect()
}

/// ADD_BPF_DEVICE_CGROUP with the item of each release, and some that none has (LXC-09).
fn sizes(d: &Description) -> Vec<Case> {
    const ABOUT: &str = "a device rule of the size of another release is carried out (LXC-09)";
    [20_usize, 24, 32, 40, 48]
        .into_iter()
        .map(|len| {
            // The layout changed under the number; only the last one can be asked of everybody.
            let expect = if len == 40 { Expect::Answer } else { Expect::Any };
            let request = request::with_payload(names::ADD_BPF_DEVICE_CGROUP, &request::device_item(len));
            around(d, &format!("device-item-{len}"), ABOUT, Hazard::Disturbs, expect, |s| {
                s.send(MAIN, request).reply(MAIN, REPLY_MS)
            })
        })
        .collect()
}

/// Numbers around the end of each release's table, and those that a signed comparison takes for small.
fn numbers(d: &Description) -> Vec<Case> {
    const ABOUT: &str = "the first numbers behind a release's table are answered as unknown or known ones";
    let mut cases: Vec<Case> = (19..=28)
        .map(|number| {
            let expect = if number < names::COMMAND_MAX { Expect::Any } else { Expect::NotSupported };
            let request = request::plain(Command(number), 0);
            around(d, &format!("number-{number}"), ABOUT, Hazard::Disturbs, expect, |s| {
                s.send(MAIN, request).reply(MAIN, REPLY_MS)
            })
        })
        .collect();
    for (name, number) in [("number-ffffffff", u32::MAX), ("number-80000000", 0x8000_0000)] {
        let about = "a number that is negative in a signed comparison is unknown";
        let request = request::plain(Command(number), 0);
        cases.push(around(d, name, about, Hazard::Disturbs, Expect::NotSupported, |s| {
            s.send(MAIN, request).reply(MAIN, REPLY_MS)
        }));
    }
    cases
}

fn stories(d: &Description) -> Vec<Case> {
    vec![
        name_and_path(d),
        address_on_the_wire(d),
        any_state(d),
        stored_state_as_index(d),
        seccomp_without_second_message(d),
        seccomp_half_closed(d),
        seccomp_with_descriptor(d),
        console_log_huge(d),
        console_log_twice(d),
        terminal_leases(d),
        lease_and_command(d),
        descriptors_on_a_head(d),
        denied_user(d),
        one_state_message(d),
    ]
}

fn case(d: &Description, name: &str, about: &'static str, hazard: Hazard, script: Script) -> Case {
    let script = closing(d, script);
    Case::new(CaseId::new(CaseKind::Probe, name), about, hazard, Action::Script(script.into()))
}

/// A subject on a connection of its own that is asked once.
fn asked(script: Script, conn: u32, args: &[(&str, &str)], request: Bytes) -> Script {
    script
        .open(conn, Role::Subject, args)
        .send(conn, request)
        .reply(conn, REPLY_MS)
        .role(conn, Role::Quiet, &[])
        .quiet(conn, QUIET_MS)
        .close(conn)
}

/// What every server of this harness must say of itself: numbers keep their meaning.
fn name_and_path(d: &Description) -> Case {
    use super::effects::{CONTAINER, LXCPATH};
    let rows = [(MAIN, names::GET_NAME, "name", CONTAINER), (OTHER, names::GET_LXCPATH, "lxcpath", LXCPATH)];
    let mut script = opening(d);
    for (conn, command, field, value) in rows {
        let args = [Expect::Answer.arg(), ("field", field), ("value", value)];
        script = asked(script, conn, &args, request::plain(command, 0));
    }
    let about = "the container's name and lxcpath are answered under their numbers";
    case(d, "name-and-path", about, Hazard::Harmless, script)
}

fn address_on_the_wire(d: &Description) -> Case {
    let request = request::text(GET_CONFIG_ITEM, "lxc.tty.max");
    let script = asked(opening(d), MAIN, &[Expect::Any.arg(), ("address", "none")], request);
    let about = "an answer with a payload carries no address of the server (LXC-21)";
    case(d, "address-on-the-wire", about, Hazard::Harmless, script)
}

fn any_state(d: &Description) -> Case {
    let mut script = opening(d);
    for (conn, state) in (MAIN..).zip([100, -1]).map(|(conn, state)| (conn + OTHER, state)) {
        let args = [Expect::Refusal.arg()];
        script = asked(script, conn, &args, request::plain(names::SERVE_STATE_CLIENTS, state));
    }
    let about = "a number that is no state is refused, not stored (LXC-22)";
    case(d, "any-state-accepted", about, Hazard::Disturbs, script)
}

fn stored_state_as_index(d: &Description) -> Case {
    let stored = request::plain(names::SERVE_STATE_CLIENTS, 0x007f_ffff);
    let script = asked(opening(d), OTHER, &[Expect::Any.arg()], stored);
    let script = asked(script, MAIN, &[Expect::Any.arg()], request::wait_for(&[names::STOPPED]));
    let about = "a stored state that is none is not used as an index (LXC-03)";
    case(d, "stored-state-as-index", about, Hazard::Disturbs, script)
}

fn seccomp_head() -> Bytes {
    request::plain(names::SECCOMP_NOTIFY_ADD_LISTENER, 0)
}

/// Another client wants to be served while the subject is not finished.
fn witnessed(d: &Description, name: &str, about: &'static str, request: Bytes) -> Case {
    let script = opening(d)
        .open(MAIN, Role::Subject, &[Expect::Survive.arg()])
        .send(MAIN, request)
        .pause(STALL_MS)
        .open(OTHER, Role::Witness, &[Expect::Answer.arg()])
        .send(OTHER, d.canary.clone())
        .reply(OTHER, REPLY_MS)
        .close(OTHER)
        .close(MAIN);
    case(d, name, about, Hazard::Disturbs, script)
}

fn seccomp_without_second_message(d: &Description) -> Case {
    let about = "a descriptor that is announced and does not come keeps nobody waiting (LXC-04)";
    witnessed(d, "seccomp-add-without-second-message", about, seccomp_head())
}

fn console_log_huge(d: &Description) -> Case {
    let about = "a console log request that announces 2 GiB keeps nobody waiting (LXC-04)";
    let request = request::lying(names::CONSOLE_LOG, i32::MAX, 0, b"");
    witnessed(d, "console-log-huge-length", about, request)
}

fn seccomp_half_closed(d: &Description) -> Case {
    let script = opening(d)
        .open(MAIN, Role::Subject, &[Expect::Refusal.arg()])
        .send(MAIN, seccomp_head())
        .half_close(MAIN)
        .reply(MAIN, REPLY_MS)
        .close(MAIN);
    let about = "a descriptor that will not come is refused";
    case(d, "seccomp-add-half-closed", about, Hazard::Disturbs, script)
}

fn seccomp_with_descriptor(d: &Description) -> Case {
    let second = Step::Send {
        conn: ConnId(MAIN),
        payload: Bytes::from_static(&[0]).into(),
        fds: vec![FdNote("null".to_owned())],
        creds: None,
    };
    let script = opening(d)
        .open(MAIN, Role::Subject, &[Expect::Refusal.arg()])
        .send(MAIN, seccomp_head())
        .pause(GAP_MS)
        .then(second)
        .reply(MAIN, REPLY_MS)
        .close(MAIN);
    let about = "a listener where no proxy is configured is refused";
    case(d, "seccomp-add-with-descriptor", about, Hazard::Disturbs, script)
}

fn console_log_twice(d: &Description) -> Case {
    // What init prints takes a moment from its terminal to the monitor.
    let mut script = opening(d).pause(CONSOLE_MS);
    for conn in [MAIN, OTHER] {
        script = asked(script, conn, &[Expect::Any.arg()], request::console_read(0));
    }
    let about = "reading takes what the console printed; a second read finds nothing";
    case(d, "console-log-twice", about, Hazard::Disturbs, script)
}

/// Both terminals are leased, a third lease is refused, and a terminal is free again with its connection.
fn terminal_leases(d: &Description) -> Case {
    let any = request::plain(names::GET_TTY_FD, -1);
    let mut script = opening(d);
    for conn in [OTHER, OTHER + 1] {
        script = script
            .open(conn, Role::Subject, &[Expect::Answer.arg()])
            .send(conn, any.clone())
            .reply(conn, REPLY_MS);
    }
    let script = asked(script, MAIN, &[Expect::Refusal.arg()], any.clone()).close(OTHER).pause(QUIET_MS);
    let script = asked(script, OTHER + 2, &[Expect::Answer.arg()], any).close(OTHER + 1);
    let about = "two terminals can be leased, and each is free again when its connection closes";
    case(d, "terminal-leases", about, Hazard::Disturbs, script)
}

/// The connection is the lease: what else is sent on it must not end it.
fn lease_and_command(d: &Description) -> Case {
    let script = opening(d)
        .open(MAIN, Role::Subject, &[Expect::Answer.arg()])
        .send(MAIN, request::plain(names::GET_TTY_FD, -1))
        .reply(MAIN, REPLY_MS)
        .role(MAIN, Role::Canary, &[Expect::Answer.arg()])
        .send(MAIN, d.canary.clone())
        .reply(MAIN, REPLY_MS)
        .role(MAIN, Role::Quiet, &[])
        .quiet(MAIN, QUIET_MS)
        .close(MAIN);
    case(d, "lease-then-command", "a command on a lease is answered", Hazard::Disturbs, script)
}

fn descriptors_on_a_head(d: &Description) -> Case {
    let mut script = opening(d);
    for (conn, count) in [(MAIN, 1), (OTHER, 200)] {
        let send = Step::Send {
            conn: ConnId(conn),
            payload: d.canary.clone().into(),
            fds: vec![FdNote("null".to_owned()); count],
            creds: None,
        };
        script = script
            .open(conn, Role::Subject, &[Expect::Answer.arg()])
            .then(send)
            .reply(conn, REPLY_MS)
            .close(conn);
    }
    let about = "descriptors that nobody asked for are dropped, the request is answered";
    case(d, "descriptors-on-a-head", about, Hazard::Disturbs, script)
}

/// Through the kernel only root can claim other credentials; in memory everybody can.
fn denied_user(d: &Description) -> Case {
    let send = Step::Send {
        conn: ConnId(MAIN),
        payload: d.canary.clone().into(),
        fds: Vec::new(),
        creds: Some(Credentials { pid: 0, uid: 1000, gid: 1000 }),
    };
    let script = opening(d)
        .open(MAIN, Role::Subject, &[Expect::Refusal.arg(), ("needs", "root")])
        .then(send)
        .reply(MAIN, REPLY_MS)
        .close(MAIN);
    let about = "a user that is neither root nor the monitor's own is refused";
    case(d, "denied-user", about, Hazard::Harmless, script)
}

/// A waiter is told one state, once, and then closed.
fn one_state_message(d: &Description) -> Case {
    let wanted = [names::FREEZING, names::FROZEN, names::RUNNING + 1];
    let mut script = opening(d)
        .open(MAIN, Role::Subject, &[Expect::Answer.arg(), ("notifications", "1")])
        .send(MAIN, request::wait_for(&wanted))
        .reply(MAIN, REPLY_MS);
    for (conn, state) in [(OTHER, names::FREEZING), (OTHER + 1, names::FROZEN), (OTHER + 2, names::RUNNING)] {
        let request = request::plain(names::SERVE_STATE_CLIENTS, state.into());
        script = script
            .open(conn, Role::Setup, &[("name", "serve")])
            .send(conn, request)
            .reply(conn, REPLY_MS)
            .close(conn);
    }
    let script = script.quiet(MAIN, QUIET_MS).close(MAIN);
    let about = "whoever waits for a state is told exactly one of them";
    case(d, "one-state-message", about, Hazard::Disturbs, script)
}
