//! What each command does to the container and what it answers, by the facts of a dialect.

use std::io;
use std::os::fd::OwnedFd;

use rustix::fs::{Mode, OFlags};
use wire::lxc::{Command, RequestHead};

use super::super::dialect::{Dialect, Reaction, ServerFacts, View};
use super::super::names::{self, CGROUP1_TYPE, CGROUP2_TYPE, EINVAL, ENODATA, ENOENT, EPERM, MAX_STATE};
use super::container::{Container, open_dir};
use protocol::reference::serve::Peer;

/// The descriptor of the cgroup as the server counts its own. Clients have to take the one that comes with it.
const CGROUP_FD: i32 = 12;
/// An address such as real servers leak; the same one in every answer.
const LEAKED_ADDRESS: u64 = 0x0000_5581_3c40_92a0;

/// One request as it was read.
pub(super) struct Request<'a> {
    pub(super) head: RequestHead,
    pub(super) payload: &'a [u8],
    pub(super) peer: Peer,
}

/// What becomes of a request.
#[derive(Debug)]
pub(super) enum Answer {
    /// A reply.
    Reply(Reply),
    /// What the dialect does where there is no good answer. `Accept` is an empty success.
    React(Reaction),
    /// The second message, with a descriptor, has to come first.
    AwaitDescriptor,
    /// The container is killed; the monitor ends.
    Stop,
    /// The container is in this state now and those who wait for it are told, then success.
    Entered(i32),
}

/// A reply with what travels with it.
#[derive(Debug, Default)]
pub(super) struct Reply {
    pub(super) ret: i32,
    pub(super) data: u64,
    pub(super) payload: Vec<u8>,
    pub(super) fds: Vec<OwnedFd>,
    /// The connection stays open whatever the dialect does after other answers.
    pub(super) keeps: bool,
}

impl Reply {
    fn number(data: u64) -> Answer {
        Answer::Reply(Self { data, ..Self::default() })
    }

    /// Success and a descriptor, or the error of opening it.
    fn descriptor(opened: io::Result<OwnedFd>) -> Answer {
        Answer::Reply(match opened {
            Ok(fd) => Self { fds: vec![fd], ..Self::default() },
            Err(error) => Self { ret: -error.raw_os_error().unwrap_or(EINVAL), ..Self::default() },
        })
    }
}

/// Carries out one request.
pub(super) fn answer(container: &mut Container, dialect: &Dialect, request: &Request<'_>) -> Answer {
    let facts = &dialect.server;
    if !dialect.knows(request.head.cmd) {
        return Answer::React(facts.unknown);
    }
    let argument = low_half(request.head.data);
    match request.head.cmd {
        names::GET_TTY_FD => tty(container, facts, request, argument),
        names::TERMINAL_WINCH => Answer::React(facts.winch),
        names::STOP => Answer::Stop,
        names::GET_STATE => Reply::number(container.state.cast_unsigned().into()),
        names::GET_INIT_PID => Reply::number(container.init_pid.into()),
        names::GET_CLONE_FLAGS => Reply::number(facts.clone_flags.into()),
        names::GET_CGROUP => cgroup(container, facts, request),
        names::GET_CONFIG_ITEM => config(container, facts, request),
        names::GET_NAME => text(facts, super::super::effects::CONTAINER),
        names::GET_LXCPATH => text(facts, Container::lxcpath()),
        names::ADD_STATE_CLIENT => add_state_client(container, facts, request),
        names::CONSOLE_LOG => console_log(container, facts, request),
        names::SERVE_STATE_CLIENTS if (0..MAX_STATE).contains(&argument) => Answer::Entered(argument),
        names::SERVE_STATE_CLIENTS => match facts.any_state {
            Reaction::Accept => Answer::Entered(argument),
            reaction => Answer::React(reaction),
        },
        names::SECCOMP_NOTIFY_ADD_LISTENER => {
            facts.seccomp_not_built.map_or(Answer::AwaitDescriptor, Answer::React)
        }
        names::ADD_BPF_DEVICE_CGROUP => device_item(container, dialect, request),
        names::FREEZE | names::UNFREEZE => freeze(container, request.head.cmd),
        names::GET_CGROUP2_FD => cgroup2_fd(container),
        names::GET_INIT_PIDFD => Reply::descriptor(container.open_init()),
        names::GET_LIMIT_CGROUP => match facts.no_limit_cgroup {
            Reaction::Accept => cgroup(container, facts, request),
            reaction => Answer::React(reaction),
        },
        names::GET_LIMIT_CGROUP2_FD => match facts.no_limit_cgroup {
            Reaction::Accept => cgroup2_fd(container),
            reaction => Answer::React(reaction),
        },
        names::GET_DEVPTS_FD => Reply::descriptor(open_dir("/dev".as_ref())),
        names::GET_SECCOMP_NOTIFY_FD => Answer::React(facts.no_seccomp_fd),
        names::GET_CGROUP_CTX => cgroup_ctx(container, facts, request),
        names::GET_CGROUP_FD | names::GET_LIMIT_CGROUP_FD => cgroup_fd(container, facts, request),
        names::GET_SYSTEMD_SCOPE => Answer::React(Reaction::Refuse(-EINVAL)),
        _ => Answer::React(facts.unknown),
    }
}

/// The argument of a request: the low half of its pointer field.
fn low_half(data: u64) -> i32 {
    u32::try_from(data & u64::from(u32::MAX)).unwrap_or_default().cast_signed()
}

fn leaked(facts: &ServerFacts) -> u64 {
    if facts.leaks_addresses { LEAKED_ADDRESS } else { 0 }
}

fn with_payload(facts: &ServerFacts, payload: Vec<u8>) -> Answer {
    Answer::Reply(Reply { data: leaked(facts), payload, ..Reply::default() })
}

/// An answer of text with its terminator.
fn text(facts: &ServerFacts, text: &str) -> Answer {
    with_payload(facts, [text.as_bytes(), b"\0"].concat())
}

fn tty(container: &mut Container, facts: &ServerFacts, request: &Request<'_>, number: i32) -> Answer {
    // A payload makes releases take the address of their own buffer for the number, which no terminal has.
    let number = if request.payload.is_empty() { number } else { i32::MAX };
    let Some(number) = container.lease_tty(number, request.peer) else {
        return Answer::React(facts.tty_busy);
    };
    // The leading side of a new pseudo terminal.
    match rustix::fs::open("/dev/ptmx", OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC, Mode::empty()) {
        Ok(fd) => {
            Answer::Reply(Reply { data: number.into(), fds: vec![fd], keeps: true, ..Reply::default() })
        }
        Err(error) => Reply::descriptor(Err(error.into())),
    }
}

/// The text up to its first NUL.
fn up_to_nul(payload: &[u8]) -> &[u8] {
    payload.split(|byte| *byte == 0).next().unwrap_or(&[])
}

/// Whether a payload is text that ends in its only NUL.
fn is_one_text(payload: &[u8]) -> bool {
    payload.iter().position(|byte| *byte == 0) == payload.len().checked_sub(1)
}

/// Which controllers the container has: with cgroup2 alone, those that need no controller file.
fn has_controller(view: View, facts: &ServerFacts, name: &[u8]) -> bool {
    const HYBRID: &[&[u8]] =
        &[b"memory", b"cpuset", b"cpu", b"cpuacct", b"blkio", b"pids", b"net_cls", b"perf_event", b"hugetlb"];
    let hybrid = HYBRID.contains(&name) || (facts.systemd_controller && name == b"name=systemd");
    matches!(name, b"freezer" | b"devices") || (view == View::Hybrid && hybrid)
}

fn cgroup(container: &Container, facts: &ServerFacts, request: &Request<'_>) -> Answer {
    let unnamed = request.payload.is_empty();
    if !unnamed && facts.cgroup_text != Reaction::Accept && !is_one_text(request.payload) {
        return Answer::React(facts.cgroup_text);
    }
    let name = up_to_nul(request.payload);
    let form = match container.view {
        View::Hybrid if !unnamed && has_controller(View::Hybrid, facts, name) => facts.cgroup_hybrid,
        View::Unified if unnamed => facts.cgroup_unified,
        View::Unified if facts.cgroup_unified_names && has_controller(View::Unified, facts, name) => {
            facts.cgroup_unified
        }
        View::Hybrid | View::Unified => return Answer::React(facts.no_controller),
    };
    text(facts, &form.replace("{}", super::super::effects::CONTAINER))
}

fn config(container: &Container, facts: &ServerFacts, request: &Request<'_>) -> Answer {
    if request.payload.is_empty() {
        return Answer::React(facts.config_without_key);
    }
    if facts.config_text != Reaction::Accept && !is_one_text(request.payload) {
        return Answer::React(facts.config_text);
    }
    match container.config(up_to_nul(request.payload)) {
        Some(value) => text(facts, value),
        None => Answer::React(Reaction::Refuse(-EPERM)),
    }
}

fn add_state_client(container: &mut Container, facts: &ServerFacts, request: &Request<'_>) -> Answer {
    if request.payload.len() != names::STATE_LIST_LEN && facts.state_list_len != Reaction::Accept {
        return Answer::React(facts.state_list_len);
    }
    let wanted: Vec<bool> =
        request.payload.chunks_exact(4).map(|entry| entry.iter().any(|byte| *byte != 0)).collect();
    if !container.state_is_known() && facts.state_as_index != Reaction::Accept {
        return Answer::React(facts.state_as_index);
    }
    let is_wanted =
        usize::try_from(container.state).ok().and_then(|at| wanted.get(at)).copied().unwrap_or(false);
    let ret = if is_wanted { container.state } else { MAX_STATE };
    if !is_wanted {
        container.waiters.push((request.peer, wanted));
    }
    let data = ret.cast_unsigned().into();
    Answer::Reply(Reply { ret, data, keeps: true, ..Reply::default() })
}

fn console_log(container: &mut Container, facts: &ServerFacts, request: &Request<'_>) -> Answer {
    if let Some(reaction) = facts.console_log_named {
        return Answer::React(reaction);
    }
    if request.payload.is_empty() {
        return Answer::React(facts.console_log_without_payload);
    }
    if request.payload.len() < names::CONSOLE_LOG_LEN && facts.console_log_short != Reaction::Accept {
        return Answer::React(facts.console_log_short);
    }
    let byte = |at: usize| request.payload.get(at).copied().unwrap_or(0);
    let read_max =
        request.payload.get(8..16).and_then(|raw| raw.try_into().ok()).map_or(0, u64::from_le_bytes);
    let (clear, read) = (byte(0) != 0, byte(1) != 0);
    if read && container.console.is_empty() {
        return Answer::Reply(Reply { ret: -ENODATA, data: leaked(facts), ..Reply::default() });
    }
    let len = match usize::try_from(read_max) {
        Ok(1..) => container.console.len().min(usize::try_from(read_max).unwrap_or(usize::MAX)),
        _ => container.console.len(),
    };
    let taken: Vec<u8> = if read { container.console.drain(..len).collect() } else { Vec::new() };
    if clear {
        container.console.clear();
    }
    if taken.is_empty() { Reply::number(0) } else { with_payload(facts, taken) }
}

fn device_item(container: &mut Container, dialect: &Dialect, request: &Request<'_>) -> Answer {
    if Some(request.payload.len()) != dialect.device_item_len {
        return Answer::React(dialect.server.device_item_size);
    }
    // Measured: all ones, and an access text without room for its NUL, are answered with -1.
    let access = request.payload.get(12..16).unwrap_or(&[]);
    let letters = up_to_nul(access);
    if letters.len() == access.len() || letters.iter().any(|letter| !b"rwm".contains(letter)) {
        return Answer::React(Reaction::Refuse(-EPERM));
    }
    container.device_rules += 1;
    Reply::number(0)
}

fn freeze(container: &mut Container, command: Command) -> Answer {
    if container.view == View::Hybrid {
        return Answer::React(Reaction::Refuse(-ENOENT));
    }
    container.set_frozen(command == names::FREEZE);
    Reply::number(0)
}

fn cgroup2_fd(container: &mut Container) -> Answer {
    match container.view {
        View::Hybrid => Answer::React(Reaction::Refuse(-EINVAL)),
        View::Unified => Reply::descriptor(container.open_cgroup()),
    }
}

/// Layout and utilities, the first eight bytes of both cgroup structures.
fn cgroup_head(view: View) -> [u8; 8] {
    let layout: i32 = match view {
        View::Hybrid => 1,
        View::Unified => 2,
    };
    let [a, b, c, d] = layout.to_le_bytes();
    // Devices and freezer.
    [a, b, c, d, 3, 0, 0, 0]
}

fn cgroup_ctx(container: &mut Container, facts: &ServerFacts, request: &Request<'_>) -> Answer {
    let fd = match container.open_cgroup() {
        Ok(fd) => fd,
        Err(error) => return Reply::descriptor(Err(error)),
    };
    let mut payload = Vec::new();
    if request.head.len != 0 {
        payload.extend_from_slice(&cgroup_head(container.view));
        payload.extend_from_slice(&1_u32.to_le_bytes());
        payload.extend_from_slice(&CGROUP_FD.to_le_bytes());
        payload.resize(names::CGROUP_CTX_LEN, 0);
    }
    Answer::Reply(Reply { data: leaked(facts), payload, fds: vec![fd], ..Reply::default() })
}

fn cgroup_fd(container: &mut Container, facts: &ServerFacts, request: &Request<'_>) -> Answer {
    if request.payload.len() > names::CGROUP_FD_LEN && facts.longer_struct != Reaction::Accept {
        return Answer::React(facts.longer_struct);
    }
    let field = request.payload.get(16..).unwrap_or(&[]);
    let field = field.get(..field.len().min(64)).unwrap_or(field);
    let controller = up_to_nul(field);
    if controller.is_empty() {
        return Answer::React(Reaction::Refuse(-EINVAL));
    }
    if !has_controller(container.view, facts, controller) {
        return Answer::React(Reaction::Refuse(-ENOENT));
    }
    let fd = match container.open_cgroup() {
        Ok(fd) => fd,
        Err(error) => return Reply::descriptor(Err(error)),
    };
    let kind = match container.view {
        View::Hybrid => CGROUP1_TYPE,
        View::Unified => CGROUP2_TYPE,
    };
    let mut payload = cgroup_head(container.view).to_vec();
    payload.extend_from_slice(&kind.to_le_bytes());
    payload.extend_from_slice(&CGROUP_FD.to_le_bytes());
    payload.extend_from_slice(controller);
    // The answer is as long as the question, up to the length that is known; measured on 5.0.2 and later.
    payload.resize(request.payload.len().min(names::CGROUP_FD_LEN), 0);
    Answer::Reply(Reply { data: leaked(facts), payload, fds: vec![fd], ..Reply::default() })
}
