//! What a runtime does with an agent, and what it must come to.
//!
//! The runtimes of all releases take two fallbacks (`kata-containers/kata-containers@4.1.0:src/runtime/virtcontainers`): an agent
//! that answers UNIMPLEMENTED to AddARPNeighbors or UpdateEphemeralMounts is older, and they go on. Agents before 3.2 do not answer
//! UNIMPLEMENTED.

use std::sync::LazyLock;

use matrix::CaseKind;
use protocol::effects;
use transcript::evidence::Expectation;
use verdict::checks::LOADS;

use super::persist;

/// Effect: how many containers there are.
pub(crate) const CONTAINERS: &str = "containers";
/// Effect: how many containers were removed.
pub(crate) const REMOVED: &str = "removed";
/// Effect: how many neighbours were added.
pub(crate) const NEIGHBOURS: &str = "neighbours";
/// Effect: whether the interface of the sandbox was set up.
pub(crate) const INTERFACE: &str = "interface";
/// Effect: whether there is a sandbox.
pub(crate) const SANDBOX: &str = "sandbox";
/// Effect: whether mounts were given other sizes; [`effects::UNTOLD`] of an agent that has no way to do that.
pub(crate) const MOUNTS: &str = "mounts";
/// Effect: how many rules of seccomp the last container got.
pub(crate) const RULES: &str = "seccomp-rules";
/// Effect: which capabilities the last container got.
pub(crate) const CAPABILITIES: &str = "capabilities";

/// Claim: what the container wrote.
pub(crate) const STDOUT: &str = "stdout";
/// Claim: the exit status of the container.
pub(crate) const STATUS: &str = "status";

/// The address by which the interface of the sandbox is found, whatever its device is called.
pub(crate) const HARDWARE: &str = "02:00:00:00:00:02";

/// What gives mounts other sizes: the service and the method.
pub(crate) const UPDATE_MOUNTS: (&str, &str) = ("grpc.AgentService", "UpdateEphemeralMounts");
/// The operation behind which it is due.
pub(crate) const RESIZE_MEMORY: &str = "resize-memory";

/// The cases of the two files.
pub(crate) const PERSIST: &str = "persist";
pub(crate) const RUNTIME_RS: &str = "runtime-rs";

/// One thing that a runtime does, and what it is for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Operation {
    /// Its name; which is that of its case.
    pub name: &'static str,
    /// The kind of its case.
    pub kind: CaseKind,
    /// What it does, in one sentence.
    pub about: &'static str,
    /// What the runtime must have said: `(claim, value)`.
    pub claims: &'static [(&'static str, &'static str)],
    /// What must be so: `(effect, value)`.
    pub effects: &'static [(&'static str, &'static str)],
}

/// What is done with an agent, and the files of the release of the agent that are read.
const DONE: &[Operation] = &[
    Operation {
        name: "lifecycle",
        kind: CaseKind::Client,
        about: "a container is made, started, read, waited for while it gets SIGTERM, and removed",
        claims: &[(STDOUT, "hello"), (STATUS, "7")],
        effects: &[(SANDBOX, "yes"), (CONTAINERS, "0"), (REMOVED, "1")],
    },
    Operation {
        name: "kill",
        kind: CaseKind::Client,
        about: "a container is killed and removed, and whoever waits for its end is told how it ended, while another call waits for ever",
        claims: &[],
        effects: &[(SANDBOX, "yes"), (CONTAINERS, "0"), (REMOVED, "1")],
    },
    Operation {
        name: "seccomp",
        kind: CaseKind::Client,
        about: "a container gets the rule of seccomp that it is to have",
        claims: &[],
        effects: &[(RULES, "1")],
    },
    Operation {
        name: "capability",
        kind: CaseKind::Client,
        about: "a container that is to have a capability of the future besides a known one is made, and has the known one",
        claims: &[],
        effects: &[(SANDBOX, "yes"), (CONTAINERS, "1"), (CAPABILITIES, "CAP_KILL")],
    },
    Operation {
        name: "neighbours",
        kind: CaseKind::Client,
        about: "neighbours are told to the agent, or it is too old for that and the sandbox works without",
        claims: &[],
        effects: &[(SANDBOX, "yes"), (NEIGHBOURS, "1")],
    },
    Operation {
        name: "interface",
        kind: CaseKind::Client,
        about: "an interface is set up whose device is called as only agents of its release and later ones can read",
        claims: &[],
        effects: &[(SANDBOX, "yes"), (INTERFACE, "up")],
    },
    Operation {
        name: RESIZE_MEMORY,
        kind: CaseKind::Client,
        about: "behind more memory, mounts in memory get more room, or the agent is too old for that and the sandbox works without",
        claims: &[],
        effects: &[(SANDBOX, "yes"), (CONTAINERS, "1"), (MOUNTS, "updated")],
    },
    Operation {
        name: PERSIST,
        kind: CaseKind::State,
        about: "a runtime reads the persist.json that the runtime in Go of another release has written",
        claims: &[],
        effects: &[],
    },
    Operation {
        name: RUNTIME_RS,
        kind: CaseKind::State,
        about: "a runtime reads the state.json that the runtime in Rust of another release has written",
        claims: &[],
        effects: &[],
    },
];

/// Every operation.
pub(crate) static OPERATIONS: LazyLock<Vec<Operation>> = LazyLock::new(|| {
    let left = persist::LEFT.iter().map(|left| Operation {
        name: left.name,
        kind: CaseKind::State,
        about: left.about,
        claims: if left.is_for_nobody { &[(LOADS, "no")] } else { &[] },
        effects: &[],
    });
    DONE.iter().copied().chain(left).collect()
});

/// The operation of that name.
pub(crate) fn operation(name: &str) -> Option<&'static Operation> {
    OPERATIONS.iter().find(|operation| operation.name == name)
}

impl effects::Operation for Operation {
    fn name(&self) -> &str {
        self.name
    }

    fn about(&self) -> &'static str {
        self.about
    }

    fn kind(&self) -> CaseKind {
        self.kind
    }

    fn condition(&self) -> Option<&'static str> {
        persist::left(self.name).map(|left| left.name)
    }

    fn expected(&self) -> Vec<Expectation> {
        effects::expected(0, self.claims, self.effects)
    }
}
