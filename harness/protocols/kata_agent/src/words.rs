//! Words of a container's specification that an agent has to know, as the releases of this table know them. Runtimes and agents have
//! the same lists; what an agent makes of another word is a fact of its dialect.

/// Capabilities of Linux (`capabilities(7)`), without `CAP_`.
const CAPABILITIES: &[&str] = &[
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "KILL",
    "SETGID",
    "SETUID",
    "SETPCAP",
    "LINUX_IMMUTABLE",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_ADMIN",
    "NET_RAW",
    "IPC_LOCK",
    "IPC_OWNER",
    "SYS_MODULE",
    "SYS_RAWIO",
    "SYS_CHROOT",
    "SYS_PTRACE",
    "SYS_PACCT",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_NICE",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "MKNOD",
    "LEASE",
    "AUDIT_WRITE",
    "AUDIT_CONTROL",
    "SETFCAP",
    "MAC_OVERRIDE",
    "MAC_ADMIN",
    "SYSLOG",
    "WAKE_ALARM",
    "BLOCK_SUSPEND",
    "AUDIT_READ",
    "PERFMON",
    "BPF",
    "CHECKPOINT_RESTORE",
];
/// Limits (`getrlimit(2)`), without `RLIMIT_`.
const LIMITS: &[&str] = &[
    "AS",
    "CORE",
    "CPU",
    "DATA",
    "FSIZE",
    "LOCKS",
    "MEMLOCK",
    "MSGQUEUE",
    "NICE",
    "NOFILE",
    "NPROC",
    "RSS",
    "RTPRIO",
    "RTTIME",
    "SIGPENDING",
    "STACK",
];
/// Actions of seccomp (`seccomp(2)`), without `SCMP_ACT_`.
const ACTIONS: &[&str] =
    &["ALLOW", "ERRNO", "KILL", "KILL_PROCESS", "KILL_THREAD", "LOG", "NOTIFY", "TRACE", "TRAP"];
/// Flags of seccomp, without `SECCOMP_FILTER_FLAG_`.
const FLAGS: &[&str] = &["LOG", "SPEC_ALLOW", "TSYNC", "WAIT_KILLABLE_RECV"];

/// Whether a capability is known.
pub(crate) fn is_capability(word: &str) -> bool {
    is_one_of(word, "CAP_", CAPABILITIES)
}

/// Whether a limit is known.
pub(crate) fn is_limit(word: &str) -> bool {
    is_one_of(word, "RLIMIT_", LIMITS)
}

/// Whether an action of seccomp is known.
pub(crate) fn is_action(word: &str) -> bool {
    is_one_of(word, "SCMP_ACT_", ACTIONS)
}

/// Whether a flag of seccomp is known.
pub(crate) fn is_flag(word: &str) -> bool {
    is_one_of(word, "SECCOMP_FILTER_FLAG_", FLAGS)
}

/// Whether a type of a device is known.
pub(crate) fn is_device(word: &str) -> bool {
    matches!(word, "b" | "c" | "p" | "u")
}

/// Whether a word is known where a field holds such words; what other fields say is nobody's word.
pub(crate) fn is_known(message: &str, field: &str, word: &str) -> bool {
    match (message, field) {
        ("grpc.LinuxCapabilities", _) => is_capability(word),
        ("grpc.POSIXRlimit", "Type") => is_limit(word),
        ("grpc.LinuxSeccomp", "DefaultAction") | ("grpc.LinuxSyscall", "Action") => is_action(word),
        ("grpc.LinuxSeccomp", "Flags") => is_flag(word),
        ("grpc.LinuxDevice", "Type") => is_device(word),
        _ => true,
    }
}

fn is_one_of(word: &str, prefix: &str, known: &[&str]) -> bool {
    word.strip_prefix(prefix).is_some_and(|rest| known.contains(&rest))
}
