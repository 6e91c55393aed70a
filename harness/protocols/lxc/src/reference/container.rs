//! The container behind a reference server: no processes, only what the command socket shows of them.
//!
//! ```text
//! state      STOPPED .. THAWED, or any number where the release takes any
//! ttys       two leases, each held by a connection
//! cgroup     a directory with `cgroup.freeze`, made when a descriptor of it is asked for, so that a
//!            client that freezes by writing there is seen to do so
//! console    what init printed and nobody read yet
//! waiters    connections that wait for a state
//! ```

use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use protocol::reference::serve::Peer;
use rustix::fs::{Mode, OFlags};
use rustix::process::{PidfdFlags, getpid, pidfd_open};
use session::Stage;

use super::super::dialect::{Keys, ServerFacts, View};
use super::super::effects::{CONTAINER, LXCPATH};
use super::super::names::{MAX_STATE, RUNNING, THAWED};
use super::machine::Machine;

/// How many terminals can be leased, `lxc.tty.max` of every container that wireskew starts.
const TTYS: usize = 2;
/// The init of a container that has no processes.
const INIT_PID: u32 = 4711;
/// What the init of every container that wireskew starts prints.
const CONSOLE: &[u8] = b"init up 1\r\n";

/// The process that is shown as init.
#[derive(Debug)]
enum Init {
    /// This one, as a container that has no processes has no other.
    Ourselves,
    /// That of a real container.
    Of(Arc<OwnedFd>),
}

/// A container as its monitor sees it.
#[derive(Debug)]
pub(super) struct Container {
    /// Its state; stored as it was told.
    pub(super) state: i32,
    /// Namespaces and cgroup file systems.
    pub(super) view: View,
    /// Pid that is answered for init.
    pub(super) init_pid: u32,
    /// The same process, whatever we call it.
    own_init: Init,
    /// What the console printed and nobody read.
    pub(super) console: Vec<u8>,
    /// Who waits for which states.
    pub(super) waiters: Vec<(Peer, Vec<bool>)>,
    /// How many terminals were ever leased.
    pub(super) leases_granted: usize,
    /// How many device rules were added.
    pub(super) device_rules: usize,
    frozen: bool,
    ttys: [Option<Peer>; TTYS],
    keys: Keys,
    cgroup: CgroupDir,
}

/// A directory that stands in for the container's cgroup; removed with the container.
#[derive(Debug)]
struct CgroupDir {
    path: PathBuf,
    made: bool,
    /// It is a cgroup, and not ours to remove.
    real: bool,
}

impl Container {
    /// A running container; `cgroup` is where its cgroup's stand-in may be made.
    pub(super) fn running(facts: &ServerFacts, cgroup: PathBuf) -> io::Result<Self> {
        if facts.view == View::Hybrid {
            Machine::make_hybrid(&cgroup)?;
        }
        Ok(Self {
            state: RUNNING,
            view: facts.view,
            init_pid: INIT_PID,
            own_init: Init::Ourselves,
            console: CONSOLE.to_vec(),
            waiters: Vec::new(),
            leases_granted: 0,
            device_rules: 0,
            frozen: false,
            ttys: [None; TTYS],
            keys: facts.keys,
            cgroup: CgroupDir { path: cgroup, made: facts.view == View::Hybrid, real: false },
        })
    }

    /// Answers with a real init and its cgroup from now on. A dialect with version 1 controllers keeps its
    /// stand-in: there is no such cgroup on a machine with cgroup2 alone.
    pub(super) fn set_stage(&mut self, stage: &Stage) {
        if let Ok(pid) = u32::try_from(stage.pid_for_client) {
            (self.init_pid, self.own_init) = (pid, Init::Of(Arc::clone(&stage.init)));
        }
        if self.view == View::Unified {
            self.cgroup = CgroupDir { path: stage.cgroup.clone(), made: true, real: true };
        }
    }

    /// Opens a descriptor of init.
    pub(super) fn open_init(&self) -> io::Result<OwnedFd> {
        match &self.own_init {
            Init::Ourselves => Ok(pidfd_open(getpid(), PidfdFlags::empty())?),
            Init::Of(init) => init.try_clone(),
        }
    }

    /// Leases a terminal and gives its number; zero is the console, a negative number any terminal.
    pub(super) fn lease_tty(&mut self, wanted: i32, peer: Peer) -> Option<u32> {
        let at = match wanted {
            0 => {
                self.leases_granted += 1;
                return Some(0);
            }
            1.. => usize::try_from(wanted - 1).ok()?,
            _ => self.ttys.iter().position(Option::is_none)?,
        };
        let slot = self.ttys.get_mut(at).filter(|slot| slot.is_none())?;
        *slot = Some(peer);
        self.leases_granted += 1;
        u32::try_from(at + 1).ok()
    }

    /// Forgets a connection: its terminal is free again, nobody is told through it.
    pub(super) fn forget(&mut self, peer: Peer) {
        for slot in &mut self.ttys {
            if *slot == Some(peer) {
                *slot = None;
            }
        }
        self.waiters.retain(|(waiter, _)| *waiter != peer);
    }

    /// Sets the state and takes out those who wait for it.
    pub(super) fn enter(&mut self, state: i32) -> Vec<Peer> {
        self.state = if state == THAWED { RUNNING } else { state };
        let wants = |wanted: &[bool]| {
            usize::try_from(state).ok().and_then(|at| wanted.get(at)).copied().unwrap_or(false)
        };
        let (told, kept) = self.waiters.drain(..).partition(|(_, wanted)| wants(wanted));
        self.waiters = kept;
        told.into_iter().map(|(peer, _)| peer).collect()
    }

    /// Whether the stored state is one of the eight.
    pub(super) fn state_is_known(&self) -> bool {
        (0..MAX_STATE).contains(&self.state)
    }

    /// Value of a configuration key; `None` for one that is not known or not set.
    pub(super) fn config(&self, key: &[u8]) -> Option<&'static str> {
        let legacy: &[(&[u8], &str)] = &[
            (b"lxc.utsname", CONTAINER),
            (b"lxc.network", "empty\n"),
            (b"lxc.network.0.type", "empty"),
            (b"lxc.tty", "2"),
            (b"lxc.pts", "16"),
        ];
        let current: &[(&[u8], &str)] = &[
            (b"lxc.uts.name", CONTAINER),
            (b"lxc.net", "empty\n"),
            (b"lxc.net.0.type", "empty"),
            (b"lxc.tty.max", "2"),
            (b"lxc.pty.max", "16"),
            (b"lxc.no_new_privs", "0"),
        ];
        let table = match self.keys {
            Keys::Legacy => legacy,
            Keys::Current => current,
        };
        table.iter().find(|(known, _)| *known == key).map(|(_, value)| *value)
    }

    /// The lxcpath as it is answered.
    pub(super) fn lxcpath() -> &'static str {
        LXCPATH
    }

    /// Freezes the container or lets it go on.
    pub(super) fn set_frozen(&mut self, frozen: bool) {
        self.frozen = frozen;
        if self.cgroup.made {
            let (file, text) = self.freezer(frozen);
            // A directory that cannot be written to is read as it was; the effect then shows that.
            let _ = fs::write(self.cgroup.path.join(file), text);
        }
    }

    /// Whether the container stands still, by whatever way it was told to.
    pub(super) fn is_frozen(&self) -> bool {
        if !self.cgroup.made {
            return self.frozen;
        }
        let (file, frozen) = self.freezer(true);
        fs::read(self.cgroup.path.join(file)).is_ok_and(|text| text.starts_with(frozen.as_bytes()))
    }

    /// The file that freezes, and what it says.
    fn freezer(&self, frozen: bool) -> (&'static str, &'static str) {
        match (self.view, frozen) {
            (View::Hybrid, true) => ("freezer.state", "FROZEN"),
            (View::Hybrid, false) => ("freezer.state", "THAWED"),
            (View::Unified, true) => ("cgroup.freeze", "1"),
            (View::Unified, false) => ("cgroup.freeze", "0"),
        }
    }

    /// Whether a device rule reached the container, by command or by file.
    pub(super) fn has_device_rule(&self) -> bool {
        self.device_rules > 0 || (self.cgroup.made && self.cgroup.path.join("devices.allow").exists())
    }

    /// Opens the directory that stands in for the container's cgroup.
    pub(super) fn open_cgroup(&mut self) -> io::Result<OwnedFd> {
        if !self.cgroup.made {
            fs::create_dir_all(&self.cgroup.path)?;
            fs::write(self.cgroup.path.join("cgroup.freeze"), if self.frozen { "1" } else { "0" })?;
            self.cgroup.made = true;
        }
        open_dir(&self.cgroup.path)
    }
}

impl Drop for CgroupDir {
    fn drop(&mut self) {
        if self.made && !self.real {
            // The run's directory is removed at its end anyway.
            let _ = fs::remove_dir_all(&self.path);
        }
    }
}

pub(super) fn open_dir(path: &Path) -> io::Result<OwnedFd> {
    Ok(rustix::fs::open(path, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?)
}
