//! The sandbox: everything that a live run starts, in one box that the kernel empties.
//!
//! A live run starts daemons that outlive their starters, makes sockets, mounts, network namespaces
//! and cgroups. None of it may stay, whatever happens to wireskew. So the command line is run a second time
//! inside new mount, network, pid, ipc and cgroup namespaces:
//!
//! ```text
//! wireskew run …                       outside: forwards signals, waits, passes the exit status on
//! ├─ wireskew   (role: cleaner)        outside, own session: waits for the end of the above, then removes
//! │                                    the cgroups and the state directory, also after kill -9
//! └─ setpriv ─ unshare                 dies with the first, takes pid 1 with it
//!    └─ wireskew   (role: init)        pid 1 inside: reaps orphans, passes signals on
//!       └─ wireskew run …              the run itself; Sandbox::inside() is Some
//!          └─ wireskew (role: agent)   pid 1 of a slot, one per peer: see `slot`
//! ```
//!
//! When pid 1 of a pid namespace ends, the kernel kills all that is left in it; mounts, abstract
//! sockets and network namespaces go with their last user. Only cgroup directories and the state
//! directory are left to remove by hand: the cleaner does that, and what a killed cleaner leaves, the next
//! run sweeps. Each run holds a shared lock on its state directory while one of its processes outside lives.

mod agent;
mod cgroup;
mod check;
mod enter;
mod guest;
mod init;
mod link;
mod look;
mod loopback;
mod netns;
mod place;
mod slot;
mod streams;
mod work;

use std::path::{Path, PathBuf};

pub use agent::{Filesystem, MountStep};
pub use cgroup::Cgroup;
pub use check::{Obstacle, needed_and_possible};
pub use enter::{SandboxError, enter, is_over, used_shared};
pub use guest::{Guest, Outpost};
pub use link::{AgentLink, Ended};
pub use look::{look_at_group, ran};
pub use netns::NetNs;
pub use place::{Input, Place, PlaceCommand, PlaceError, fresh_id};
pub use slot::Slot;
pub use work::WorkDir;

/// Says which part of the sandbox a process plays. Unset for the command that the user typed and for the run inside.
const ROLE: &str = "WIRESKEW_SANDBOX_ROLE";
/// The state directory of the run; set for everything in the sandbox.
const STATE: &str = "WIRESKEW_SANDBOX_STATE";
/// The cgroup of the run; set for everything in the sandbox.
const CGROUP: &str = "WIRESKEW_SANDBOX_CGROUP";
/// Where the tmpfs of the sandbox is mounted, below the state directory.
const INSIDE: &str = "inside";
/// What those outside of the sandbox see as well, likewise.
const SHARED: &str = "shared";

/// To be called first in `main`, before any thread is started: when this process is a part of the
/// sandbox it does its work here, and the result is its exit status.
#[must_use]
pub fn hook() -> Option<u8> {
    hook_and(|_| {})
}

/// The same for programs that start what the kernel does not end with the sandbox: the cleaner does that as well when the
/// run has ended, however it did. It gets the directory that is [`Sandbox::run`] inside.
#[must_use]
pub fn hook_and(clean: impl FnOnce(&Path)) -> Option<u8> {
    match std::env::var(ROLE).ok()?.as_str() {
        "cleaner" => Some(enter::clean(clean)),
        "sweeper" => Some(work::clean()),
        "init" => Some(init::run()),
        "agent" => Some(agent::run_in_slot()),
        "guest" => Some(guest::run()),
        _ => None,
    }
}

/// The sandbox in which this process runs.
#[derive(Debug, Clone)]
pub struct Sandbox {
    run: PathBuf,
    state: PathBuf,
    cgroup: Cgroup,
}

impl Sandbox {
    /// The sandbox around this process, if there is one.
    #[must_use]
    pub fn inside() -> Option<Self> {
        let cgroup = Cgroup::at(PathBuf::from(std::env::var_os(CGROUP)?));
        let run = PathBuf::from(std::env::var_os(STATE)?);
        Some(Self { state: run.join(INSIDE), run, cgroup })
    }

    /// The directory of the run, whose name no other run has. As long as one of its processes outside lives, somebody holds
    /// a lock on it: see [`is_over`].
    #[must_use]
    pub fn run(&self) -> &Path {
        &self.run
    }

    /// A directory that those outside of the sandbox see as well, made when it is first asked for and removed with the
    /// run.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn shared(&self) -> std::io::Result<PathBuf> {
        let shared = self.run.join(SHARED);
        std::fs::create_dir_all(&shared)?;
        Ok(shared)
    }

    /// A directory in memory that vanishes with the sandbox.
    #[must_use]
    pub fn state(&self) -> &Path {
        &self.state
    }

    /// The cgroup of the run.
    #[must_use]
    pub fn cgroup(&self) -> &Cgroup {
        &self.cgroup
    }
}

/// The words for the name of a namespace option of `unshare(1)`, all that the sandbox and its slots need.
const NAMESPACES: [&str; 9] = [
    "--mount",
    "--net",
    "--pid",
    "--ipc",
    "--cgroup",
    "--fork",
    "--kill-child",
    "--mount-proc",
    "--propagation=private",
];

/// A command line that moves itself into a cgroup, enters new namespaces and becomes this program again.
/// The move has to come first: the cgroup namespace takes the cgroup of that moment for its root.
fn unshared(cgroup: &Cgroup, before: &[&str]) -> std::io::Result<(&'static str, Vec<std::ffi::OsString>)> {
    let script = r#"echo 0 >"$1/cgroup.procs" && shift && exec "$@""#;
    let mut args: Vec<_> = ["-c", script, "sh"].map(Into::into).to_vec();
    args.push(cgroup.path().into());
    args.extend(before.iter().map(Into::into));
    args.push("unshare".into());
    args.extend(NAMESPACES.iter().map(Into::into));
    args.push("--".into());
    args.push(std::env::current_exe()?.into());
    Ok(("sh", args))
}
