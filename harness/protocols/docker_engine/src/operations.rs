//! What a CLI does with a daemon, and what it must come to.
//!
//! First it asks `HEAD /_ping`, and settles on the lower one of both maxima; `DOCKER_API_VERSION` pins a version, which it takes as it
//! is. What a container says, and what became of it, is the evidence; exit codes are claims.

use std::time::Duration;

use protocol::{Deadlines, Hazard, effects};
use transcript::evidence::Expectation;

/// Condition: the image is there, and no container.
pub(crate) const IMAGE: &str = "image";
/// Condition: a volume is there.
pub(crate) const VOLUME: &str = "volume";
/// Condition: a container of that image runs, called [`CONTAINER`].
pub(crate) const RUNNING: &str = "running";
/// Condition: a container runs on a terminal.
pub(crate) const TERMINAL: &str = "terminal";
/// Condition: the same as [`RUNNING`], with a runtime that has arguments.
pub(crate) const WRAPPED: &str = "wrapped";
/// Condition: the same, and behind that the runtime has no arguments, and the daemon was told to reload.
pub(crate) const RELOADED: &str = "reloaded";

/// Condition: the same, and a plain one beside it, called [`PLAIN`].
pub(crate) const BOTH: &str = "both";
/// Condition: the same, of a daemon that lets containers live when it ends.
pub(crate) const BOTH_LIVE: &str = "both-live";

/// The image that everybody has.
pub(crate) const TINY: &str = "tiny:1";
/// The container of conditions.
pub(crate) const CONTAINER: &str = "aa";
/// The plain one of conditions that have two.
pub(crate) const PLAIN: &str = "pp";
/// The runtime with arguments.
pub(crate) const RUNTIME: &str = "wrap";

/// What the containers of conditions run: it says something, and stays.
pub(crate) const COMMAND: [&str; 3] = ["/bin/sh", "-c", "echo out; echo err >&2; sleep 300"];
/// What a container on a terminal runs.
pub(crate) const ON_TERMINAL: [&str; 3] = ["/bin/sh", "-c", "echo tty; sleep 300"];
/// Claim: what was printed of what a container said, or of what the daemon is asked for.
pub(crate) const PRINTED: &str = "printed";
/// Claim: the words of a daemon that refuses.
pub(crate) const REFUSED: &str = "refused";
/// Effect: what became of the container: `running`, `paused`, `exited` or `gone`.
pub(crate) const STATE: &str = "state";
/// Effect: the containers whose processes live, whatever a daemon says of them.
pub(crate) const LIVING: &str = "living";
/// Effect: whether the shim of a container that is over is `gone` or `left`.
pub(crate) const SHIM: &str = "shim";
/// Effect: how many containers there are besides.
pub(crate) const OTHERS: &str = "others";

/// How long the parts of a case may take. 26.1.5 waits a second for its containerd, and the first start of a build tries out an exec;
/// a stop of what cannot be reached takes 12 seconds.
pub(crate) const DEADLINES: Deadlines = Deadlines {
    start: Duration::from_secs(60),
    operation: Duration::from_secs(40),
    cell: Duration::from_secs(180),
};

/// One thing that a CLI does, and what it is for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Operation {
    /// Its name; the case is `client/<name>`.
    pub name: &'static str,
    /// What it does, in one sentence.
    pub about: &'static str,
    /// What has to be so before.
    pub before: &'static str,
    /// The command line behind `docker`.
    pub argv: &'static [&'static str],
    /// The exit code of a CLI that is right.
    pub exit: i32,
    /// What the CLI must have said: `(claim, value)`.
    pub claims: &'static [(&'static str, &'static str)],
    /// What must be so: `(effect, value)`.
    pub effects: &'static [(&'static str, &'static str)],
}

const RUNS: &[(&str, &str)] = &[(STATE, "running"), (OTHERS, "0")];

/// Every operation.
pub(crate) const OPERATIONS: &[Operation] = &[
    Operation {
        name: "version",
        about: "asks what the daemon is",
        before: IMAGE,
        argv: &["version", "--format", "{{.Server.APIVersion}} {{.Server.MinAPIVersion}}"],
        exit: 0,
        claims: &[(PRINTED, "both")],
        effects: &[],
    },
    Operation {
        name: "ps",
        about: "lists a container that runs",
        before: RUNNING,
        argv: &["ps", "--format", "{{.Names}}"],
        exit: 0,
        claims: &[(PRINTED, "aa")],
        effects: RUNS,
    },
    Operation {
        name: "images",
        about: "lists an image",
        before: IMAGE,
        argv: &["images", "--format", "{{.Repository}}:{{.Tag}}"],
        exit: 0,
        claims: &[(PRINTED, "tiny:1")],
        effects: &[],
    },
    Operation {
        name: "run",
        about: "runs a container to its end, hears what it says, and removes it",
        before: IMAGE,
        argv: &["run", "--rm", "--network", "none", TINY, "/bin/echo", "hi"],
        exit: 0,
        claims: &[(PRINTED, "hi")],
        effects: &[(OTHERS, "0")],
    },
    Operation {
        name: "run-exit-3",
        about: "runs a container that fails, and fails as that does",
        before: IMAGE,
        argv: &["run", "--rm", "--network", "none", TINY, "/bin/sh", "-c", "exit 3"],
        exit: 3,
        claims: &[],
        effects: &[(OTHERS, "0")],
    },
    Operation {
        name: "run-detached",
        about: "starts a container and leaves it",
        before: IMAGE,
        argv: &["run", "-d", "--name", CONTAINER, "--network", "none", TINY, "/bin/sleep", "3000"],
        exit: 0,
        claims: &[(PRINTED, "id")],
        effects: RUNS,
    },
    Operation {
        name: "exec",
        about: "runs a command in a container, and hears what it says",
        before: RUNNING,
        argv: &["exec", CONTAINER, "/bin/echo", "hi"],
        exit: 0,
        claims: &[(PRINTED, "hi")],
        effects: RUNS,
    },
    Operation {
        name: "inspect",
        about: "reads the state of a container",
        before: RUNNING,
        argv: &["inspect", "--format", "{{.State.Status}}", CONTAINER],
        exit: 0,
        claims: &[(PRINTED, "running")],
        effects: RUNS,
    },
    Operation {
        name: "top",
        about: "lists the processes of a container",
        before: RUNNING,
        argv: &["top", CONTAINER],
        exit: 0,
        claims: &[(PRINTED, "processes")],
        effects: RUNS,
    },
    Operation {
        name: "pause",
        about: "freezes a container",
        before: RUNNING,
        argv: &["pause", CONTAINER],
        exit: 0,
        claims: &[],
        effects: &[(STATE, "paused"), (OTHERS, "0")],
    },
    Operation {
        name: "stop",
        about: "ends a container",
        before: RUNNING,
        argv: &["stop", "-t", "1", CONTAINER],
        exit: 0,
        claims: &[],
        effects: &[(STATE, "exited"), (OTHERS, "0"), (SHIM, "gone")],
    },
    Operation {
        name: "rm",
        about: "ends and removes a container",
        before: RUNNING,
        argv: &["rm", "-f", CONTAINER],
        exit: 0,
        claims: &[],
        effects: &[(STATE, "gone"), (OTHERS, "0"), (SHIM, "gone")],
    },
    Operation {
        name: "missing-container",
        about: "says that a container is not there, in the words of the daemon",
        before: IMAGE,
        argv: &["rm", "nope"],
        exit: 1,
        claims: &[(REFUSED, "No such container: nope")],
        effects: &[],
    },
    Operation {
        name: "annotated",
        about: "creates a container with an annotation, which API 1.43 has brought; a daemon below is not asked",
        before: IMAGE,
        argv: &["create", "--name", CONTAINER, "--network", "none", "--annotation", "a=b", TINY, "/bin/true"],
        exit: 0,
        claims: &[(PRINTED, "id")],
        effects: &[(STATE, "created"), (OTHERS, "0")],
    },
    Operation {
        name: "reloaded-exec",
        about: "runs a command in a container whose runtime the daemon has been told to forget",
        before: RELOADED,
        argv: &["exec", CONTAINER, "/bin/echo", "hi"],
        exit: 0,
        claims: &[(PRINTED, "hi")],
        effects: RUNS,
    },
    Operation {
        name: "reloaded-stop",
        about: "ends such a container",
        before: RELOADED,
        argv: &["stop", "-t", "1", CONTAINER],
        exit: 0,
        claims: &[],
        effects: &[(STATE, "exited"), (OTHERS, "0"), (SHIM, "gone")],
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

    /// What it makes can be removed again; a container that cannot be reached cannot.
    fn hazard(&self) -> Hazard {
        if self.before == RELOADED { Hazard::Disturbs } else { Hazard::Resettable }
    }

    fn deadlines(&self) -> Deadlines {
        DEADLINES
    }

    fn condition(&self) -> Option<&'static str> {
        Some(self.before)
    }

    fn expected(&self) -> Vec<Expectation> {
        effects::expected(self.exit, self.claims, self.effects)
    }
}
