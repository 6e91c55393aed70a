//! Names of messages, their arguments, and the lowest version that each asks for.
//!
//! Source: `oVirt/ovirt-guest-agent@1.0.16:ovirt-guest-agent/OVirtAgentLogic.py` and
//! `oVirt/vdsm@v4.50.7:lib/vdsm/virt/guestagent.py`. A name keeps its meaning and its version for good; what differs
//! by release is who knows it, and that is in [`super::dialect`].

/// Name of the member that carries the name of a message.
pub(crate) const NAME: &str = "__name__";
/// Name of the member that carries a version, in `refresh`, `api-version` and `heartbeat`.
pub(crate) const API_VERSION: &str = "apiVersion";
/// What a side without versioning counts as.
pub(crate) const NO_VERSION: i64 = 0;

// Guest to host.

/// Sign of life; carries the maximum of the agent.
pub(crate) const HEARTBEAT: &str = "heartbeat";
/// Name of the guest.
pub(crate) const HOST_NAME: &str = "host-name";
/// Release of its kernel.
pub(crate) const OS_VERSION: &str = "os-version";
/// Its network interfaces.
pub(crate) const NETWORK_INTERFACES: &str = "network-interfaces";
/// Installed applications.
pub(crate) const APPLICATIONS: &str = "applications";
/// Who is logged in.
pub(crate) const ACTIVE_USER: &str = "active-user";
/// How full its disks are.
pub(crate) const DISKS_USAGE: &str = "disks-usage";
/// Full name of the guest.
pub(crate) const FQDN: &str = "fqdn";
/// A session began.
pub(crate) const SESSION_STARTUP: &str = "session-startup";
/// Sent back as it came; also host to guest.
pub(crate) const ECHO: &str = "echo";
/// Number of processors.
pub(crate) const NUMBER_OF_CPUS: &str = "number-of-cpus";
/// The operating system in detail.
pub(crate) const OS_INFO: &str = "os-info";
/// The time zone.
pub(crate) const TIMEZONE: &str = "timezone";
/// Containers that run in the guest.
pub(crate) const CONTAINERS: &str = "containers";
/// Answer to a lifecycle event.
pub(crate) const COMPLETION: &str = "completion";

// Host to guest.

/// Asks for everything; carries the maximum of the host.
pub(crate) const REFRESH: &str = "refresh";
/// Announces a version.
pub(crate) const API_VERSION_MESSAGE: &str = "api-version";
/// Changes the number of processors.
pub(crate) const SET_NUMBER_OF_CPUS: &str = "set-number-of-cpus";
/// Tells of a migration or a hibernation.
pub(crate) const LIFECYCLE_EVENT: &str = "lifecycle-event";

/// What is fixed of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Known {
    /// Its name.
    pub name: &'static str,
    /// The lowest version at which it may be sent.
    pub min: i64,
    /// Its arguments in any release, without the version member of `heartbeat`, `refresh` and `api-version`.
    pub arguments: &'static [&'static str],
}

const fn known(name: &'static str, min: i64, arguments: &'static [&'static str]) -> Known {
    Known { name, min, arguments }
}

/// Everything that an agent of any release sends.
pub(crate) const GUEST: &[Known] = &[
    known(HEARTBEAT, 0, &["free-ram", "memory-stat"]),
    known(HOST_NAME, 0, &["name"]),
    known(OS_VERSION, 0, &["version"]),
    known(NETWORK_INTERFACES, 0, &["interfaces"]),
    known(APPLICATIONS, 0, &["applications"]),
    known(ACTIVE_USER, 0, &["name"]),
    known(DISKS_USAGE, 0, &["disks", "mapping"]),
    known(FQDN, 0, &["fqdn"]),
    known(SESSION_STARTUP, 0, &[]),
    // A session ended.
    known("session-shutdown", 0, &[]),
    // Somebody logged in.
    known("session-logon", 0, &[]),
    // Somebody logged out.
    known("session-logoff", 0, &[]),
    // The screen was locked.
    known("session-lock", 0, &[]),
    // The screen was unlocked.
    known("session-unlock", 0, &[]),
    known(ECHO, 0, &[]),
    // In the agent's table, and sent by no code.
    known("memory-stats", 0, &["memory"]),
    // The package was removed.
    known("uninstalled", 0, &[]),
    known(NUMBER_OF_CPUS, 1, &["count"]),
    known(OS_INFO, 2, &["version", "distribution", "codename", "arch", "type", "kernel"]),
    known(TIMEZONE, 2, &["zone", "offset"]),
    known(CONTAINERS, 3, &["list"]),
    known(COMPLETION, 3, &["reply_id", "done"]),
];

/// Everything that a host of any release sends, and `echo` and `hibernate`, which only tests and generic calls do.
pub(crate) const HOST: &[Known] = &[
    known(REFRESH, 0, &[]),
    known(API_VERSION_MESSAGE, 0, &[]),
    // Locks the screen.
    known("lock-screen", 0, &[]),
    // Logs out.
    known("log-off", 0, &[]),
    // Shuts the guest down.
    known("shutdown", 0, &["timeout", "message", "reboot"]),
    // Logs in.
    known("login", 0, &["username", "password"]),
    // Suspends the guest.
    known("hibernate", 0, &["state"]),
    known(ECHO, 0, &[]),
    known(SET_NUMBER_OF_CPUS, 1, &["count"]),
    known(LIFECYCLE_EVENT, 3, &["type", "failure", "reply_id"]),
];

/// The type of a member as it travels: a word of JSON.
pub(crate) fn type_of(message: &str, member: &str) -> &'static str {
    match (message, member) {
        (_, API_VERSION | "count" | "offset") => "integer",
        (_, "memory-stat" | "mapping") => "object",
        (_, "interfaces" | "applications" | "disks" | "list") => "list",
        (_, "done" | "failure") => "boolean",
        // Seconds as a number or as text; any value at all.
        ("shutdown", "timeout") | (_, "reply_id") => "any",
        _ => "text",
    }
}

/// The highest version that any release has.
pub(crate) const MAX_EVER: i64 = 3;

/// What is fixed of a message from the guest.
pub(crate) fn guest(name: &str) -> Option<&'static Known> {
    GUEST.iter().find(|known| known.name == name)
}

/// What is fixed of a message from the host.
pub(crate) fn host(name: &str) -> Option<&'static Known> {
    HOST.iter().find(|known| known.name == name)
}

/// The messages of a table that ask for no version, but for these.
pub(crate) fn of_any_version(
    table: &'static [Known],
    but: &'static [&str],
) -> impl Iterator<Item = &'static str> {
    let names = table.iter().filter(|known| known.min == NO_VERSION).map(|known| known.name);
    names.filter(|name| !but.contains(name))
}

/// The lowest version of a message from the guest; what nobody knows counts as the lowest.
pub(crate) fn guest_min(name: &str) -> i64 {
    guest(name).map_or(NO_VERSION, |known| known.min)
}

/// The same for one from the host.
pub(crate) fn host_min(name: &str) -> i64 {
    host(name).map_or(NO_VERSION, |known| known.min)
}
