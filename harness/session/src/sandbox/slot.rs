//! A slot: one peer's own mount, network, pid, ipc and cgroup namespaces inside the sandbox.
//!
//! One slot per instance makes instances comparable and their end sure. Paths, names, abstract sockets and cgroup
//! paths are the same in every slot, and process ids nearly so, however many run at the same time; and
//! when the slot's pid 1 goes, the kernel ends everything. A slot costs about 10 ms.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair, sockopt};
use tokio::process::Command;

use super::agent::Packet;
use super::link::AgentLink;
use super::place::{PlaceError, context};
use super::{Cgroup, NetNs, Place, ROLE, Sandbox, fresh_id, unshared};
use crate::BoxFuture;

/// How long the agent may take to come up.
const READY_DEADLINE: Duration = Duration::from_secs(10);
/// How long the processes of a slot may take to vanish when it ends.
const REMOVAL_DEADLINE: Duration = Duration::from_secs(5);

/// A running slot. Dropping it ends everything in it without waiting; [`Place::close`] waits.
#[derive(Debug)]
pub struct Slot {
    id: u64,
    directory: PathBuf,
    cgroup: Cgroup,
    root: PathBuf,
    agent: AgentLink,
    netns: NetNs,
    starter: Mutex<Option<tokio::process::Child>>,
}

impl Slot {
    /// Makes a slot: a directory on the sandbox's tmpfs, a cgroup, namespaces and their pid 1.
    ///
    /// # Errors
    /// See [`PlaceError`].
    pub async fn open(sandbox: &Sandbox) -> Result<Self, PlaceError> {
        let id = fresh_id();
        let directory = sandbox.state().join(format!("slot-{id}"));
        std::fs::create_dir(&directory).map_err(context("make the slot's directory"))?;
        let cgroup =
            sandbox.cgroup().child(&format!("slot-{id}")).map_err(context("make the slot's cgroup"))?;

        let flags = SocketFlags::CLOEXEC;
        let (ours, theirs) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)
            .map_err(|e| context("make a socket pair")(e.into()))?;
        // Each packet then tells the sender's pid, as we see it.
        sockopt::set_socket_passcred(&ours, true).map_err(|e| context("set SO_PASSCRED")(e.into()))?;
        let (program, args) = unshared(&cgroup, &[]).map_err(context("find wireskew"))?;
        let starter = Command::new(program)
            .args(args)
            .env(ROLE, "agent")
            .stdin(Stdio::from(theirs))
            .stdout(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .map_err(context("start the slot's agent"))?;

        let ready = tokio::time::timeout(READY_DEADLINE, AgentLink::ready(ours));
        let Ok(Ok(Some((agent, Packet { sender: Some(pid), .. })))) = ready.await else {
            return Err(PlaceError::Gone { what: "start the slot's agent" });
        };
        let netns = NetNs::of(pid).map_err(context("open the slot's network namespace"))?;
        let root = PathBuf::from(format!("/proc/{}/root", pid.as_raw_nonzero()));
        Ok(Self { id, directory, cgroup, root, agent, netns, starter: Mutex::new(Some(starter)) })
    }

    fn take_starter(&self) -> Option<tokio::process::Child> {
        self.agent.hang_up();
        self.starter.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl Place for Slot {
    fn id(&self) -> u64 {
        self.id
    }

    fn agent(&self) -> &AgentLink {
        &self.agent
    }

    fn directory(&self) -> &Path {
        &self.directory
    }

    fn root(&self) -> &Path {
        &self.root
    }

    fn cgroup(&self) -> &Cgroup {
        &self.cgroup
    }

    fn netns(&self) -> &NetNs {
        &self.netns
    }

    fn image(&self) -> Option<&str> {
        None
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            let Some(mut starter) = self.take_starter() else { return };
            let (cgroup, directory) = (self.cgroup.clone(), self.directory.clone());
            let _ = starter.start_kill();
            let _ = tokio::time::timeout(REMOVAL_DEADLINE, starter.wait()).await;
            let removal = tokio::task::spawn_blocking(move || remove(&cgroup, &directory));
            // A panic there is a bug of ours, but no reason to leave the run.
            let _ = removal.await;
        })
    }
}

fn remove(cgroup: &Cgroup, directory: &Path) {
    if let Err(error) = cgroup.remove(REMOVAL_DEADLINE) {
        tracing::warn!(cgroup = %cgroup.path().display(), %error, "slot's cgroup could not be removed");
    }
    // On a tmpfs that vanishes with the sandbox: whatever cannot be removed now goes then.
    let _ = std::fs::remove_dir_all(directory);
}

impl Drop for Slot {
    fn drop(&mut self) {
        if let Some(mut starter) = self.take_starter() {
            let (cgroup, directory) = (self.cgroup.clone(), self.directory.clone());
            let _ = starter.start_kill();
            std::thread::spawn(move || remove(&cgroup, &directory));
        }
    }
}
