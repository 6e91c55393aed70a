//! What a daemon does with a shim, and what it must come to.

use matrix::CaseKind;
use protocol::effects;
use transcript::evidence::Expectation;

/// Condition: the shim runs and has no task.
pub(crate) const IDLE: &str = "idle";
/// Condition: a container runs under the shim, and the daemon that started it is gone.
pub(crate) const RUNNING: &str = "running";
/// Condition: the same, and the file that says how the shim is reached is cut short.
pub(crate) const DAMAGED: &str = "damaged";
/// What a daemon does to a container whose shim it cannot reach; it is no condition of an operation.
pub(crate) const CLEANED_UP: &str = "cleaned-up";

/// Effect: what became of the container: `running`, `gone` or `none`.
pub(crate) const CONTAINER: &str = "container";

/// Claim: the exit status of the container.
pub(crate) const STATUS: &str = "status";
/// Claim: what the daemon says of the container.
pub(crate) const STATE: &str = "state";

/// One thing that a daemon does, and what it is for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Operation {
    /// Its name; which is that of its case.
    pub name: &'static str,
    /// The kind of its case.
    pub kind: CaseKind,
    /// What it does, in one sentence.
    pub about: &'static str,
    /// What has to be so before.
    pub before: &'static str,
    /// What the daemon must have said: `(claim, value)`.
    pub claims: &'static [(&'static str, &'static str)],
    /// What must be so: `(effect, value)`.
    pub effects: &'static [(&'static str, &'static str)],
}

/// Every operation.
pub(crate) const OPERATIONS: &[Operation] = &[
    Operation {
        name: "lifecycle",
        kind: CaseKind::Client,
        about: "a container is made, started, waited for while it gets SIGTERM, and deleted; the shim ends",
        before: IDLE,
        claims: &[(STATUS, "7")],
        effects: &[(CONTAINER, "none")],
    },
    Operation {
        name: "reload",
        kind: CaseKind::Client,
        about: "a daemon starts and finds a container that runs; it pauses it, lets it go on, and it goes on",
        before: RUNNING,
        claims: &[(STATE, "running")],
        effects: &[(CONTAINER, "running")],
    },
    Operation {
        name: "bundle",
        kind: CaseKind::State,
        about: "a daemon starts and reads how the shim of a container is reached that another release has started",
        before: RUNNING,
        claims: &[],
        effects: &[],
    },
    Operation {
        name: "damaged-bundle",
        kind: CaseKind::State,
        about: "a daemon starts and cannot read how the shim of a container is reached",
        before: DAMAGED,
        claims: &[("loads", "no")],
        effects: &[],
    },
];

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

    fn condition(&self) -> Option<&'static str> {
        Some(self.before)
    }

    fn kind(&self) -> CaseKind {
        self.kind
    }

    fn expected(&self) -> Vec<Expectation> {
        effects::expected(0, self.claims, self.effects)
    }
}
