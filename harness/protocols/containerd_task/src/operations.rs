//! What a daemon does with a shim, and what it must come to: reference daemons and shims what need not really run, real ones the rest.

use matrix::CaseKind;
use protocol::effects;
use transcript::evidence::Expectation;
use verdict::checks::{LOADS, RUNS};

/// Condition: the shim runs and has no task.
pub(crate) const IDLE: &str = "idle";
/// Condition: the same, and nobody answers any more where the shim reports events.
pub(crate) const UNHEARD: &str = "unheard";
/// Condition: a container runs under the shim, and the daemon that started it is gone.
pub(crate) const RUNNING: &str = "running";
/// What a daemon does to a container whose shim it cannot reach; it is no condition of an operation.
pub(crate) const CLEANED_UP: &str = "cleaned-up";

/// Condition: a daemon of the shim's release has started a container and has ended; all of that is real.
pub(crate) const LEFT_BY_DAEMON: &str = "left-by-daemon";

/// Condition: the program of the shim is that which a daemon starts, which is real, and no container is there.
pub(crate) const INSTALLED: &str = "installed";

/// Effect: what became of the container: `running`, `paused`, `gone`, or `none` if there never was one.
pub(crate) const CONTAINER: &str = "container";
/// Effect: whether its bundle is there, if a daemon has started it.
pub(crate) const BUNDLE: &str = "bundle";
/// Effect: whether its shim is alive.
pub(crate) const SHIM: &str = "shim";
/// Effect: whether the process that ran before a daemon came still ran when that had looked around.
pub(crate) const KEPT: &str = "kept";
/// Effect: the same of the container that another daemon started.
pub(crate) const NEW_KEPT: &str = "new-kept";
/// Effect: whether the process of a container runs that a daemon was told to start.
pub(crate) const STARTED: &str = "started";
/// Effect: whether the daemon that comes up still knows every container that others have made, by what it keeps of them.
pub(crate) const LISTED: &str = "listed";
/// Effect: whether it was frozen when it had been paused.
pub(crate) const PAUSED: &str = "paused";
/// Effect: whether it was frozen no longer when it had been resumed.
pub(crate) const RESUMED: &str = "resumed";
/// Effect: the version in a `bootstrap.json` that a daemon has written next to an `address`.
pub(crate) const MIGRATED: &str = "migrated";

/// Claim: the exit status of the container.
pub(crate) const STATUS: &str = "status";
/// Claim: the same of the container that the daemon itself has started.
pub(crate) const NEW_STATUS: &str = "new-status";
/// Claim: what a daemon says of a shim that it cannot start: that its `version` is not known, or that there is no such `address`.
pub(crate) const REFUSED: &str = "refused";
/// Claim: what the daemon says that the container is when it has come up.
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
        effects: &[(CONTAINER, "gone")],
    },
    Operation {
        name: "unheard",
        kind: CaseKind::Client,
        about: "a container is killed and deleted while nobody answers where the shim reports events; the shim ends in time",
        before: UNHEARD,
        claims: &[(STATUS, "137")],
        effects: &[(CONTAINER, "gone")],
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
        name: "take-over",
        kind: CaseKind::Client,
        about: "a daemon comes up and finds what one of the shim's release has left; it pauses, resumes and kills it",
        before: LEFT_BY_DAEMON,
        claims: &[(STATE, "running"), (STATUS, "137")],
        effects: &[
            (KEPT, "yes"),
            (LISTED, "yes"),
            (PAUSED, "yes"),
            (RESUMED, "yes"),
            (CONTAINER, "gone"),
            (BUNDLE, "no"),
            (SHIM, "no"),
        ],
    },
    Operation {
        name: "upgrade",
        kind: CaseKind::Client,
        about: "a daemon takes over what one of the shim's release has left, and runs a container of its own beside it",
        before: LEFT_BY_DAEMON,
        claims: &[(STATE, "running"), (STATUS, "7"), (NEW_STATUS, "7")],
        effects: BOTH_END,
    },
    Operation {
        name: "rollback",
        kind: CaseKind::Client,
        about: "a daemon takes over a container and starts one of its own, then the daemon before it takes over both",
        before: LEFT_BY_DAEMON,
        claims: &[(STATE, "running"), (STATUS, "7"), (NEW_STATUS, "7")],
        effects: BOTH_END,
    },
    Operation {
        name: "start",
        kind: CaseKind::Client,
        about: "a daemon starts a container with the program of the shim of another release, and asks it to end",
        before: INSTALLED,
        claims: &[(NEW_STATUS, "7")],
        effects: &[(STARTED, "yes")],
    },
    found("bundle", "what says where the shim is, is as the shim's release has left it", &[]),
    found("address", "only an `address` says where the shim is, as 1.x leaves it", &[]),
    found("migrated", "beside an `address` a daemon of 2.x has written a `bootstrap.json` of version 2", &[]),
    found("bootstrap-2", "only a `bootstrap.json` of version 2 says where the shim is", &[]),
    found(
        "bootstrap-3",
        "only a `bootstrap.json` of version 3 says where the shim is, whatever it serves",
        &[],
    ),
    found("as-text", "the version in `bootstrap.json` is a text", &[]),
    found("unknown-key", "`bootstrap.json` has a key that nobody knows", &[(LOADS, "yes")]),
    found("of-the-future", "`bootstrap.json` has been written by a later release", &[]),
    found("cut", "the file that says where the shim is has been cut", &[(LOADS, "no")]),
    found("empty", "that file has become empty", &[(LOADS, "no")]),
    found("gone", "nothing says where the shim is", &[(LOADS, "no")]),
];

/// A daemon comes up over a container of which that is so; see `state.rs`. It is the condition of the case as well.
const fn found(
    name: &'static str,
    about: &'static str,
    claims: &'static [(&'static str, &'static str)],
) -> Operation {
    Operation { name, kind: CaseKind::State, about, before: name, claims, effects: GOES_ON }
}

/// Two containers that a daemon has taken over end when they are asked to.
const BOTH_END: &[(&str, &str)] = &[
    (KEPT, "yes"),
    (NEW_KEPT, "yes"),
    (LISTED, "yes"),
    (PAUSED, "yes"),
    (RESUMED, "yes"),
    (CONTAINER, "gone"),
    (BUNDLE, "no"),
    (SHIM, "no"),
];

/// A container runs on as it ran. What may become of the files is another thing for whoever loads them, and not announced.
const GOES_ON: &[(&str, &str)] = &[(RUNS, "yes")];

impl Operation {
    /// Whether a daemon starts the shim.
    pub(crate) fn starts_shim(&self) -> bool {
        [IDLE, UNHEARD].contains(&self.before)
    }
}

/// The operation of that name.
pub(crate) fn operation(name: &str) -> Option<&'static Operation> {
    OPERATIONS.iter().find(|operation| operation.name == name)
}

/// Whether a condition is that of a state: a container runs, and what says how its shim is reached was changed.
pub(crate) fn is_found(condition: &str) -> bool {
    operation(condition).is_some_and(|operation| operation.kind == CaseKind::State)
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
