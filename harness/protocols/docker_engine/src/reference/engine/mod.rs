//! The machine behind a reference daemon: containers over a directory, without sockets, clock or threads.
//!
//! ```text
//! DIR/daemon.json             what the user has written                     config.rs
//! DIR/data/runtimes/…         scripts of runtimes with arguments            runtimes.rs
//! DIR/data/containers/ID      what the daemon knows of a container          containers.rs
//! DIR/data/number             how many ids were given
//! DIR/shims/ID                the shim and the process of a container       world.rs
//!
//! boot      restore.rs: reads all of this, and finds again what lives
//! requests  containers.rs: create, rename, list · starts.rs · exec.rs · lifecycle.rs: stop, kill, pause, remove · reload.rs
//! end       shutdown, or none: a crash
//! ```
//!
//! What lies in `shims` outlives the daemon, as shims do. Each change is one file, written whole; a process is made before the
//! record says so, and ends before the record says so, and the next start believes the process.
//!
//! Measured on 20.10.5, 20.10.24, 26.1.5, 28.5.2 and 29.7.2; texts are those of recordings, and of moby's
//! sources where nothing was recorded.

mod config;
mod containers;
mod exec;
mod files;
#[cfg(test)]
mod invariants;
mod lifecycle;
mod processes;
mod reload;
mod restore;
mod runtimes;
mod starts;
#[cfg(test)]
mod tests;
mod world;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use protocol::defect::Switches;
use protocol::reference::serve::Begins;
use sha2::{Digest as _, Sha256};

use config::{BadConfiguration, RuntimeEntry};
pub(crate) use containers::{Record, Refusal, Spec, State, Why};
pub(crate) use exec::Exec;
use exec::ExecRecord;
use files::FileError;
pub(crate) use lifecycle::Timed;
pub(crate) use processes::{Program, Stream};
use runtimes::Snapshot;
pub(crate) use world::{Process, World};

use super::defects;
use crate::dialect::{Dialect, Wrappers};

/// Where clients are told that everything lies.
const TOLD_ROOT: &str = "/engine";

/// The file with the configuration, below the directory.
pub(crate) const CONFIGURATION: &str = "daemon.json";
/// The file with the number of ids that were given.
const NUMBER: &str = "data/number";

/// How a daemon is started.
#[derive(Debug, Clone)]
pub(crate) struct Boot {
    /// Which release it is.
    pub dialect: &'static Dialect,
    /// How it begins.
    pub begins: Begins,
    /// The faults that it has.
    pub switches: Switches,
    /// Keys of the configuration that its command line has said already.
    pub flags: Vec<String>,
    /// The images that there are.
    pub images: BTreeSet<String>,
    /// What ids are made of beside their number: with the same one they are the same in every directory.
    pub seed: String,
}

impl Boot {
    /// A daemon without flags and faults, and with the image of all recordings.
    pub(crate) fn of(dialect: &'static Dialect, begins: Begins) -> Self {
        let images = BTreeSet::from(["tiny:1".to_owned()]);
        Self {
            dialect,
            begins,
            switches: Switches::default(),
            flags: Vec::new(),
            images,
            seed: String::new(),
        }
    }
}

/// Why a daemon does not start.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BootError {
    /// Its configuration is refused.
    #[error("unable to configure the Docker daemon with file {CONFIGURATION}: {0}")]
    Configuration(#[from] BadConfiguration),
    /// Its directory cannot be used.
    #[error(transparent)]
    Files(#[from] FileError),
}

/// Something that happened to a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Event {
    /// What: `create`, `start`, `die`, `destroy` …
    pub action: &'static str,
    /// To which.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its image.
    pub image: String,
    /// With which status it ended.
    pub status: Option<i32>,
}

/// What `/info` says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Info {
    /// Labels of the daemon.
    pub labels: Vec<String>,
    /// Runtimes, with the one that is always there.
    pub runtimes: BTreeMap<String, RuntimeEntry>,
    /// The runtime of containers that name none.
    pub default_runtime: String,
    /// Whether containers outlive a daemon that is ended.
    pub live_restore: bool,
    /// Whether it says more in its log.
    pub debug: bool,
}

/// How many containers there are, as `/info` says.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Those that run.
    pub running: usize,
    /// Those that are frozen.
    pub paused: usize,
    /// All others.
    pub stopped: usize,
}

/// A daemon that runs. To drop it is to kill it.
#[derive(Debug)]
pub(crate) struct Engine {
    world: World,
    dialect: &'static Dialect,
    switches: Switches,
    flags: Vec<String>,
    images: BTreeSet<String>,
    seed: String,
    snapshot: Arc<Snapshot>,
    records: BTreeMap<String, Record>,
    /// What it believes of each container when it counts them; that may be wrong.
    counted: BTreeMap<String, State>,
    execs: BTreeMap<String, ExecRecord>,
    events: Vec<Event>,
    number: u64,
}

impl Engine {
    /// The configuration that holds, with what follows from it.
    pub(crate) fn snapshot(&self) -> Arc<Snapshot> {
        Arc::clone(&self.snapshot)
    }

    /// What outlives it.
    pub(crate) fn world(&self) -> &World {
        &self.world
    }

    /// Which release it is.
    #[cfg(test)]
    pub(crate) fn dialect(&self) -> &'static Dialect {
        self.dialect
    }

    /// What happened since this was last asked.
    pub(crate) fn take_events(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.events)
    }

    /// What `/info` says of the configuration.
    pub(crate) fn info(&self) -> Info {
        let configuration = &self.snapshot.configuration;
        let stock = RuntimeEntry { path: config::STOCK.to_owned(), ..RuntimeEntry::default() };
        let mut runtimes = configuration.runtimes.clone();
        runtimes.insert(config::STOCK.to_owned(), stock);
        Info {
            labels: configuration.labels.clone(),
            runtimes,
            default_runtime: configuration.default_runtime.clone(),
            live_restore: configuration.live_restore,
            debug: configuration.debug,
        }
    }

    /// How many containers there are, as `/info` says.
    pub(crate) fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        for state in self.counted.values() {
            match state {
                State::Running => counts.running += 1,
                State::Paused => counts.paused += 1,
                State::Created | State::Exited(_) => counts.stopped += 1,
            }
        }
        counts
    }

    fn count(&mut self, id: &str, state: Option<State>) {
        let counted_as_living = self.counted.get(id).is_some_and(|state| state.lives());
        let ends = !state.is_some_and(State::lives);
        if counted_as_living && ends && self.switches.has(defects::COUNTS_WRONG) {
            return;
        }
        match state {
            Some(state) => self.counted.insert(id.to_owned(), state),
            None => self.counted.remove(id),
        };
    }

    /// The next number, and the id that is made of it. It is written down before it is used.
    fn next_id(&mut self, kind: &str) -> Result<(u64, String), FileError> {
        let number = self.number + 1;
        self.world.files.write(NUMBER, number.to_string().as_bytes(), false)?;
        self.number = number;
        let hash = Sha256::digest(format!("{}/{kind}/{number}", self.seed).as_bytes());
        Ok((number, hash.iter().map(|byte| format!("{byte:02x}")).collect()))
    }

    /// Where everything lies.
    pub(crate) fn directory(&self) -> &Path {
        self.root()
    }

    /// A path as clients are told it: what a simulated daemon says is the same on every machine.
    fn told(&self, path: &str) -> String {
        let within = Path::new(path).strip_prefix(self.root()).ok().and_then(Path::to_str);
        within.map_or_else(|| path.to_owned(), |within| format!("{TOLD_ROOT}/{within}"))
    }

    fn root(&self) -> &Path {
        self.world.files.root()
    }

    fn wrappers(&self) -> Wrappers {
        self.dialect.wrappers
    }
}
