//! Numbers of the protocol and their names.
//!
//! Source of the command numbers: `lxc/lxc@v7.0.0:src/lxc/commands.h`, `enum lxc_cmd_t`; of the
//! states: `lxc/lxc@v7.0.0:src/lxc/state.h`, same numbers in every release since 1.0.0.

use wire::lxc::Command;

/// Asks for a terminal; the connection is the lease.
pub(crate) const GET_TTY_FD: Command = Command(0);
/// Tells of a changed window size.
pub(crate) const TERMINAL_WINCH: Command = Command(1);
/// Kills init.
pub(crate) const STOP: Command = Command(2);
/// Asks for the state.
pub(crate) const GET_STATE: Command = Command(3);
/// Asks for the pid of init.
pub(crate) const GET_INIT_PID: Command = Command(4);
/// Asks for the namespaces of the container, as flags of `clone(2)`.
pub(crate) const GET_CLONE_FLAGS: Command = Command(5);
/// Asks for the cgroup of a controller.
pub(crate) const GET_CGROUP: Command = Command(6);
/// Asks for the value of a configuration key.
pub(crate) const GET_CONFIG_ITEM: Command = Command(7);
/// Asks for the container's name.
pub(crate) const GET_NAME: Command = Command(8);
/// Asks for the lxcpath.
pub(crate) const GET_LXCPATH: Command = Command(9);
/// Waits for the next state out of a list.
pub(crate) const ADD_STATE_CLIENT: Command = Command(10);
/// Reads or clears the console's ring buffer.
pub(crate) const CONSOLE_LOG: Command = Command(11);
/// Sets the state and tells it to those who wait for it.
pub(crate) const SERVE_STATE_CLIENTS: Command = Command(12);
/// Passes a descriptor of a seccomp listener.
pub(crate) const SECCOMP_NOTIFY_ADD_LISTENER: Command = Command(13);
/// Adds a rule to the device program.
pub(crate) const ADD_BPF_DEVICE_CGROUP: Command = Command(14);
/// Freezes the container.
pub(crate) const FREEZE: Command = Command(15);
/// Lets the container go on.
pub(crate) const UNFREEZE: Command = Command(16);
/// Asks for a descriptor of the cgroup2 directory.
pub(crate) const GET_CGROUP2_FD: Command = Command(17);
/// Asks for a pidfd of init.
pub(crate) const GET_INIT_PIDFD: Command = Command(18);
/// Asks for the cgroup that carries the limits.
pub(crate) const GET_LIMIT_CGROUP: Command = Command(19);
/// Asks for a descriptor of the cgroup2 directory that carries the limits.
pub(crate) const GET_LIMIT_CGROUP2_FD: Command = Command(20);
/// Asks for a descriptor of the container's devpts.
pub(crate) const GET_DEVPTS_FD: Command = Command(21);
/// Asks for the descriptor of the seccomp listener.
pub(crate) const GET_SECCOMP_NOTIFY_FD: Command = Command(22);
/// Asks for descriptors of all cgroup directories.
pub(crate) const GET_CGROUP_CTX: Command = Command(23);
/// Asks for a descriptor of the cgroup directory of a controller.
pub(crate) const GET_CGROUP_FD: Command = Command(24);
/// The same for the directory that carries the limits.
pub(crate) const GET_LIMIT_CGROUP_FD: Command = Command(25);
/// Asks for the systemd scope of the container.
pub(crate) const GET_SYSTEMD_SCOPE: Command = Command(26);
/// The first number that no release knows, `v7.0.0` and later.
pub(crate) const COMMAND_MAX: u32 = 27;
/// A number that stays unknown for long, for probes.
pub(crate) const UNKNOWN: Command = Command(200);

/// Length of a list of wanted states in bytes: `i32[8]`.
pub(crate) const STATE_LIST_LEN: usize = 32;
/// Length of a console log request in bytes.
pub(crate) const CONSOLE_LOG_LEN: usize = 24;
/// Length of a cgroup context in bytes.
pub(crate) const CGROUP_CTX_LEN: usize = 96;
/// How many descriptors a cgroup context has room for.
pub(crate) const CGROUP_CTX_FDS: usize = 20;
/// Length of a cgroup descriptor request in bytes.
pub(crate) const CGROUP_FD_LEN: usize = 80;

/// The container does not run.
pub(crate) const STOPPED: i32 = 0;
/// The container runs.
pub(crate) const RUNNING: i32 = 2;
/// The container is about to stop.
pub(crate) const STOPPING: i32 = 3;
/// The container is about to stand still.
pub(crate) const FREEZING: i32 = 5;
/// The container stands still.
pub(crate) const FROZEN: i32 = 6;
/// The container goes on; monitors store it as [`RUNNING`].
pub(crate) const THAWED: i32 = 7;
/// The number of states; ADD_STATE_CLIENT answers it when the client has to wait.
pub(crate) const MAX_STATE: i32 = 8;

const STATES: [&str; 9] =
    ["STOPPED", "STARTING", "RUNNING", "STOPPING", "ABORTING", "FREEZING", "FROZEN", "THAWED", "MAX_STATE"];

/// Name of a state.
pub(crate) fn state(number: i64) -> Option<&'static str> {
    STATES.get(usize::try_from(number).ok()?).copied()
}

/// Name of a state, or its number where it has none.
pub(crate) fn state_text(number: i64) -> String {
    state(number).map_or_else(|| number.to_string(), ToOwned::to_owned)
}

/// Operation not permitted.
pub(crate) const EPERM: i32 = 1;
/// No such file or directory.
pub(crate) const ENOENT: i32 = 2;
/// Bad file descriptor.
pub(crate) const EBADF: i32 = 9;
/// Permission denied.
pub(crate) const EACCES: i32 = 13;
/// Invalid argument.
pub(crate) const EINVAL: i32 = 22;
/// Function not implemented: the protocol's "not supported".
pub(crate) const ENOSYS: i32 = 38;
/// No data available.
pub(crate) const ENODATA: i32 = 61;
/// Message too long.
pub(crate) const EMSGSIZE: i32 = 90;

/// Name of an errno on Linux, for `-ret`.
pub(crate) fn errno(number: i64) -> Option<&'static str> {
    Some(match number {
        1 => "EPERM",
        2 => "ENOENT",
        3 => "ESRCH",
        4 => "EINTR",
        5 => "EIO",
        9 => "EBADF",
        11 => "EAGAIN",
        12 => "ENOMEM",
        13 => "EACCES",
        14 => "EFAULT",
        16 => "EBUSY",
        22 => "EINVAL",
        24 => "EMFILE",
        28 => "ENOSPC",
        32 => "EPIPE",
        38 => "ENOSYS",
        61 => "ENODATA",
        71 => "EPROTO",
        90 => "EMSGSIZE",
        95 => "EOPNOTSUPP",
        104 => "ECONNRESET",
        110 => "ETIMEDOUT",
        _ => return None,
    })
}

/// Name of a state message's kind.
pub(crate) fn message_kind(number: i64) -> Option<&'static str> {
    Some(match number {
        0 => "state",
        1 => "priority",
        2 => "exit-code",
        _ => return None,
    })
}

/// Name of a cgroup layout.
pub(crate) fn cgroup_layout(number: i64) -> Option<&'static str> {
    Some(match number {
        -1 => "unknown",
        0 => "legacy",
        1 => "hybrid",
        2 => "unified",
        _ => return None,
    })
}

/// The magic number of cgroup2 in a cgroup descriptor answer, `CGROUP2_SUPER_MAGIC`.
pub(crate) const CGROUP2_TYPE: i32 = 0x6367_7270;
/// The magic number of cgroup version 1, `CGROUP_SUPER_MAGIC`.
pub(crate) const CGROUP1_TYPE: i32 = 0x0027_e0eb;

/// Name of a cgroup file system type.
pub(crate) fn cgroup_type(number: i64) -> Option<&'static str> {
    match i32::try_from(number).ok()? {
        CGROUP2_TYPE => Some("cgroup2"),
        CGROUP1_TYPE => Some("cgroup1"),
        _ => None,
    }
}
