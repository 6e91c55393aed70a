//! The release table of containerd and its shim, one entry for each change. What the messages changed is in the texts of
//! [`super::schema`].

use protocol::dialect::{self, Change, IDEAL, Release};
use ttrpc::family;

use super::dialect::{AsksOn, Dialect, TASK_V3, Unreachable};

const M16: &str = "measured on containerd 1.6.20";
const M17: &str = "measured on containerd 1.7.24";
const M21: &str = "measured on containerd 2.1.9";

/// As the kit's [`dialect::change`], of this protocol.
const fn change(what: &'static str, source: &'static str, apply: fn(&mut Dialect)) -> Change<Dialect> {
    dialect::change(what, source, apply)
}

/// Oldest first, each the continuation of the one before.
pub(super) const RELEASES: &[Release<Dialect>] = &[
    Release { name: "1.4", after: None, changes: &[] },
    Release {
        name: "1.6",
        after: Some("1.4"),
        changes: &[
            change(
                "annotations of an update",
                "containerd/containerd@v1.6.0:api/runtime/task/v2/shim.proto",
                |d| {
                    d.messages = Some("1.6");
                },
            )
            .declares(&[("containerd.task.v2.UpdateTaskRequest", "3 annotations is new")]),
            change("what is not known is UNIMPLEMENTED", M16, |d| d.family = family::GO_1_1).declares(&[
                ("unknown-method", "NOT_FOUND -> UNIMPLEMENTED"),
                ("unknown-service", "NOT_FOUND -> UNIMPLEMENTED"),
            ]),
            change("a process can be executed in a container", M16, |d| d.executes = true),
        ],
    },
    Release {
        name: "1.7",
        after: Some("1.6"),
        changes: &[
            change(
                "`unsupported shim version` is said of a shim that is too new",
                "https://github.com/containerd/containerd/issues/10984, and measured on containerd 1.7.24",
                |d| d.names_version = true,
            ),
            change("a daemon that finds a shim asks for the processes of its container as well", M17, |d| {
                d.asks_pids = true;
            }),
            change("the sandbox service", M17, |d| d.messages = Some("1.7")),
            change(
                "numbers of streams increase, data on a stream that is not open kills the shim",
                M17,
                |d| {
                    d.family = family::GO_1_2_0;
                },
            ),
        ],
    },
    Release {
        name: "2.1",
        after: Some("1.7"),
        changes: &[
            change("the task service is another one", M21, |d| {
                d.messages = Some("2.1");
                d.task = TASK_V3;
            })
            .declares(GONE),
            change("how a shim is reached is in `bootstrap.json`", M21, |d| {
                d.bootstrap = true;
                d.shim_version_max = 3;
            }),
            change("a `bootstrap.json` of version 2 is written next to an `address`", M21, |d| {
                d.migrates = true
            }),
            change(
                "a shim that is told to end does not wait for whoever does not answer where it reports events",
                M21,
                |d| d.waits_to_report = false,
            ),
            change(
                "a shim of version 3 that answers UNIMPLEMENTED is taken for one of version 2",
                M21,
                |d| d.asks_on = AsksOn::Unimplemented,
            ),
        ],
    },
    Release {
        name: IDEAL,
        after: Some("2.1"),
        changes: &[
            change(
                "the task service of 1.x is there as well",
                "harness/ARCHITECTURE.md#recordings-keep-their-meaning: what older daemons call, newer shims have",
                |d| d.keeps_v2 = true,
            ),
            change(
                "data on a stream that is not open harms nobody",
                "harness/ARCHITECTURE.md#bad-input-harms-nobody-else",
                |d| {
                    d.family = family::IDEAL;
                },
            ),
            change(
                "a container whose shim cannot be reached goes on",
                "harness/ARCHITECTURE.md#what-is-refused-has-no-effect",
                |d| {
                    d.unreachable = Unreachable::Kept;
                },
            ),
            change(
                "a shim that cannot be reached is told of",
                "harness/ARCHITECTURE.md#claims-are-effects",
                |d| d.says_unreachable = true,
            ),
            change(
                "a shim is asked for its task service where the version that is written down is of no use",
                "harness/ARCHITECTURE.md#what-was-left-behind-is-loaded-or-left-alone",
                |d| d.asks_on = AsksOn::Anything,
            ),
            change(
                "a container needs a bundle",
                "harness/ARCHITECTURE.md#what-is-refused-has-no-effect",
                |d| d.no_bundle = false,
            ),
        ],
    },
];

/// What the shim of 1.7 served and that of 2.1 does not: the task service of 1.x, and sandboxes.
const GONE: &[(&str, &str)] = &[
    ("containerd.runtime.sandbox.v1.Sandbox/CreateSandbox", "gone"),
    ("containerd.runtime.sandbox.v1.Sandbox/StartSandbox", "gone"),
    ("containerd.runtime.sandbox.v1.Sandbox/Platform", "gone"),
    ("containerd.runtime.sandbox.v1.Sandbox/StopSandbox", "gone"),
    ("containerd.runtime.sandbox.v1.Sandbox/WaitSandbox", "gone"),
    ("containerd.runtime.sandbox.v1.Sandbox/SandboxStatus", "gone"),
    ("containerd.runtime.sandbox.v1.Sandbox/PingSandbox", "gone"),
    ("containerd.runtime.sandbox.v1.Sandbox/ShutdownSandbox", "gone"),
    ("containerd.task.v2.Task/State", "gone"),
    ("containerd.task.v2.Task/Create", "gone"),
    ("containerd.task.v2.Task/Start", "gone"),
    ("containerd.task.v2.Task/Delete", "gone"),
    ("containerd.task.v2.Task/Pids", "gone"),
    ("containerd.task.v2.Task/Pause", "gone"),
    ("containerd.task.v2.Task/Resume", "gone"),
    ("containerd.task.v2.Task/Checkpoint", "gone"),
    ("containerd.task.v2.Task/Kill", "gone"),
    ("containerd.task.v2.Task/Exec", "gone"),
    ("containerd.task.v2.Task/ResizePty", "gone"),
    ("containerd.task.v2.Task/CloseIO", "gone"),
    ("containerd.task.v2.Task/Update", "gone"),
    ("containerd.task.v2.Task/Wait", "gone"),
    ("containerd.task.v2.Task/Stats", "gone"),
    ("containerd.task.v2.Task/Connect", "gone"),
    ("containerd.task.v2.Task/Shutdown", "gone"),
    ("containerd.runtime.sandbox.v1.CreateSandboxRequest", "gone"),
    ("containerd.runtime.sandbox.v1.CreateSandboxResponse", "gone"),
    ("containerd.runtime.sandbox.v1.PingRequest", "gone"),
    ("containerd.runtime.sandbox.v1.PingResponse", "gone"),
    ("containerd.runtime.sandbox.v1.PlatformRequest", "gone"),
    ("containerd.runtime.sandbox.v1.PlatformResponse", "gone"),
    ("containerd.runtime.sandbox.v1.SandboxStatusRequest", "gone"),
    ("containerd.runtime.sandbox.v1.SandboxStatusResponse", "gone"),
    ("containerd.runtime.sandbox.v1.ShutdownSandboxRequest", "gone"),
    ("containerd.runtime.sandbox.v1.ShutdownSandboxResponse", "gone"),
    ("containerd.runtime.sandbox.v1.StartSandboxRequest", "gone"),
    ("containerd.runtime.sandbox.v1.StartSandboxResponse", "gone"),
    ("containerd.runtime.sandbox.v1.StopSandboxRequest", "gone"),
    ("containerd.runtime.sandbox.v1.StopSandboxResponse", "gone"),
    ("containerd.runtime.sandbox.v1.WaitSandboxRequest", "gone"),
    ("containerd.runtime.sandbox.v1.WaitSandboxResponse", "gone"),
    ("containerd.types.Platform", "gone"),
];
