//! What the operations of a client are for, and the words in which their effects are written down.
//!
//! An exit code is no evidence: `lxc-attach` of 5.0.2 exits 0 and leaves the process outside of the
//! container's cgroup. So each operation names the *effects* that it is for, and whoever carries it
//! out, reference client or launcher of a real tool, observes them by other means than the client's
//! word, and writes them down in the words of [`protocol::effects`].
//!
//! Before the operation the client brings the server into the condition that it needs, with
//! `Server::prepare(operation.before.condition())`; afterwards it has the server write what it can see,
//! with `Server::effects`, and writes itself what only it can see ([`CGROUP`]).
//!
//! How a check reads this, with `right` standing for "every `expected.<effect>` equals its
//! `effect.<effect>`":
//!
//! ```text
//! claim.exit        effects   meaning
//! expected.exit     right     compatible
//! expected.exit     wrong     silent-wrong: success was claimed, the effect is missing
//! 0, not expected   any       silent-wrong
//! other code        any       loud-fail
//! signal-N, gone    any       client-crash
//! none              any       client-hang
//! ```

use protocol::{Hazard, effects};
use transcript::evidence::Expectation;

pub(crate) use protocol::effects::{claim, claim_exit, detail, effect};

/// Name of the container that every server of this protocol runs.
pub(crate) const CONTAINER: &str = "c1";
/// The lxcpath as the servers see it.
pub(crate) const LXCPATH: &str = "/wireskew/c";

/// Effect: the state that GET_STATE of the server says afterwards, by its name: `RUNNING`, `FROZEN`,
/// `STOPPED` (also when the monitor is gone), a number where it has no name.
pub(crate) const STATE: &str = "state";
/// Effect: whether the container's processes really stand still: `yes` or `no`. Read from
/// `cgroup.freeze` of the container's cgroup, or `freezer.state` where that is version 1.
pub(crate) const FROZEN: &str = "frozen";
/// Effect: whether the attached process is in the container's cgroup: `inside` or `outside`. With
/// pure cgroup2, real tools show it by `cat /proc/self/cgroup`: `0::/.lxc` and `0::/` are inside,
/// a path with `..` is outside.
pub(crate) const CGROUP: &str = "cgroup";
/// Effect: whether a terminal of the container was handed out: `yes` or `no`.
pub(crate) const TTY: &str = "tty";
/// Effect: whether the device rule reached the container: `yes` or `no`.
pub(crate) const DEVICE_RULE: &str = "device-rule";
/// Claim: names that `lxc-ls` printed, joined by commas.
pub(crate) const NAMES: &str = "names";

/// One thing that a client can do, and what it is for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Operation {
    /// Its name; the case is `client/<name>`.
    pub name: &'static str,
    /// What it does, in one sentence.
    pub about: &'static str,
    /// The real tool and its arguments. `{path}` stands for the lxcpath and `{name}` for the container.
    pub command: &'static [&'static str],
    /// What has to be so before.
    pub before: Before,
    /// Exit code of a client that is right.
    pub exit: i32,
    /// What the client must have said: `(claim, value)`; written as `expected.claim.<claim>`.
    pub claims: &'static [(&'static str, &'static str)],
    /// What must be so afterwards: `(effect, value)`.
    pub effects: &'static [(&'static str, &'static str)],
    /// What it does to the server.
    pub hazard: Hazard,
    /// Whether the tool sends a signal to the pid that the server answered. A reference server has no
    /// init of its own to answer, so only real servers meet this operation.
    pub signals_init: bool,
    /// Whether the tool has to run on a terminal of its own. What does not end by itself is ended by
    /// closing the terminal.
    pub on_terminal: bool,
}

/// What has to be so before an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Before {
    /// The container runs.
    Running,
    /// The container was frozen by the server's own release's tool, or by the model.
    Frozen,
}

impl Before {
    /// The word for it in `Server::prepare`.
    pub(crate) fn condition(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Frozen => "frozen",
        }
    }
}

const PLAIN: Operation = Operation {
    name: "",
    about: "",
    command: &[],
    before: Before::Running,
    exit: 0,
    claims: &[],
    effects: &[(STATE, "RUNNING")],
    hazard: Hazard::Harmless,
    signals_init: false,
    on_terminal: false,
};

const OPERATIONS: &[Operation] = &[
    Operation {
        name: "info",
        about: "asks for everything that lxc-info shows",
        command: &["lxc-info", "-P", "{path}", "-n", "{name}"],
        claims: &[(STATE, "RUNNING")],
        ..PLAIN
    },
    Operation {
        name: "info-state",
        about: "asks for the state alone",
        command: &["lxc-info", "-P", "{path}", "-n", "{name}", "-s"],
        claims: &[(STATE, "RUNNING")],
        ..PLAIN
    },
    Operation {
        name: "ls",
        about: "lists the active containers",
        command: &["lxc-ls", "-P", "{path}", "--active"],
        claims: &[(NAMES, CONTAINER)],
        ..PLAIN
    },
    Operation {
        name: "wait",
        about: "waits for the state that the container is in",
        command: &["lxc-wait", "-P", "{path}", "-n", "{name}", "-s", "RUNNING", "-t", "3"],
        ..PLAIN
    },
    Operation {
        name: "wait-stopped",
        about: "waits one second for a stop that does not happen",
        command: &["lxc-wait", "-P", "{path}", "-n", "{name}", "-s", "STOPPED", "-t", "1"],
        exit: 1,
        ..PLAIN
    },
    Operation {
        name: "freeze",
        about: "makes the container stand still",
        command: &["lxc-freeze", "-P", "{path}", "-n", "{name}"],
        effects: &[(STATE, "FROZEN"), (FROZEN, "yes")],
        hazard: Hazard::Disturbs,
        ..PLAIN
    },
    Operation {
        name: "unfreeze",
        about: "lets a frozen container go on",
        command: &["lxc-unfreeze", "-P", "{path}", "-n", "{name}"],
        before: Before::Frozen,
        effects: &[(STATE, "RUNNING"), (FROZEN, "no")],
        hazard: Hazard::Disturbs,
        ..PLAIN
    },
    Operation {
        name: "attach",
        about: "runs a process in the container and its cgroup",
        command: &["lxc-attach", "-P", "{path}", "-n", "{name}", "--", "cat", "/proc/self/cgroup"],
        effects: &[(STATE, "RUNNING"), (CGROUP, "inside")],
        ..PLAIN
    },
    Operation {
        name: "attach-terminal",
        about: "runs a process on a terminal of the container",
        command: &["lxc-attach", "-P", "{path}", "-n", "{name}", "--", "cat", "/proc/self/cgroup"],
        effects: &[(STATE, "RUNNING"), (CGROUP, "inside")],
        on_terminal: true,
        ..PLAIN
    },
    Operation {
        name: "console",
        about: "takes the lease of a terminal",
        command: &["lxc-console", "-P", "{path}", "-n", "{name}", "-t", "1"],
        effects: &[(STATE, "RUNNING"), (TTY, "yes")],
        on_terminal: true,
        ..PLAIN
    },
    Operation {
        name: "cgroup",
        about: "allows a device to the container",
        command: &["lxc-cgroup", "-P", "{path}", "-n", "{name}", "devices.allow", "c 10:229 rwm"],
        effects: &[(STATE, "RUNNING"), (DEVICE_RULE, "yes")],
        hazard: Hazard::Disturbs,
        ..PLAIN
    },
    Operation {
        name: "stop",
        about: "has the monitor kill the container",
        command: &["lxc-stop", "-P", "{path}", "-n", "{name}", "-k"],
        effects: &[(STATE, "STOPPED")],
        hazard: Hazard::Disturbs,
        ..PLAIN
    },
    Operation {
        name: "shutdown",
        about: "asks init to stop and waits until it has",
        command: &["lxc-stop", "-P", "{path}", "-n", "{name}"],
        effects: &[(STATE, "STOPPED")],
        hazard: Hazard::Disturbs,
        signals_init: true,
        ..PLAIN
    },
];

/// Every operation, for reference clients and real tools alike.
pub(crate) fn operations() -> &'static [Operation] {
    OPERATIONS
}

/// How an effect says that something is so.
pub(crate) fn yes_or_no(yes: bool) -> &'static str {
    if yes { "yes" } else { "no" }
}

/// The operation of that name.
pub(crate) fn operation(name: &str) -> Option<&'static Operation> {
    OPERATIONS.iter().find(|operation| operation.name == name)
}

impl Operation {
    /// The command line with the placeholders filled in.
    pub(crate) fn command_line(&self, lxcpath: &str, container: &str) -> Vec<String> {
        self.command.iter().map(|arg| arg.replace("{path}", lxcpath).replace("{name}", container)).collect()
    }
}

impl effects::Operation for Operation {
    fn name(&self) -> &str {
        self.name
    }

    fn about(&self) -> &'static str {
        self.about
    }

    fn hazard(&self) -> Hazard {
        self.hazard
    }

    fn condition(&self) -> Option<&'static str> {
        Some(self.before.condition())
    }

    fn expected(&self) -> Vec<Expectation> {
        effects::expected(self.exit, self.claims, self.effects)
    }
}

#[cfg(test)]
mod tests {
    use protocol::effects::Operation as _;
    use session::Recorder;
    use transcript::{EventKind, ExitStatus};

    use super::*;

    #[test]
    fn every_operation_says_what_it_is_for() {
        for operation in operations() {
            assert!(!operation.effects.is_empty(), "{}", operation.name);
            let line = operation.command_line("/p", "x");
            assert!(line.iter().all(|arg| !arg.contains('{')), "{line:?}");
            assert_eq!(line[1..3], ["-P", "/p"], "{line:?}");
        }
    }

    #[test]
    fn writes_expectations_before_and_claims_after() {
        let recorder = Recorder::new();
        operation("freeze").expect("in the table").announce(&recorder);
        claim_exit(&recorder, Some(ExitStatus::Signal(11)));
        effect(&recorder, FROZEN, "no");
        let seen: Vec<String> = recorder
            .take()
            .into_iter()
            .map(|event| match event.kind {
                EventKind::Observe { key, value } => format!("{} {key}={value}", event.dir),
                other => format!("{} {other:?}", event.dir),
            })
            .collect();
        assert_eq!(
            seen,
            [
                "c2s operation=freeze",
                "c2s expected.exit=0",
                "c2s expected.state=FROZEN",
                "c2s expected.frozen=yes",
                "c2s Exit(Signal(11))",
                "c2s claim.exit=signal-11",
                "s2c effect.frozen=no",
            ]
        );
    }
}
