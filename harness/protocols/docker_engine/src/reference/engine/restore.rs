//! The start of a daemon: what becomes of scripts and of containers that the last one has left.
//!
//! ```text
//!                       scripts                              containers
//! to 24.0, from 25.0    all removed, its own written    ─▶   found again; whose script is gone cannot be managed
//! ideal                 its own written                 ─▶   found again                ─▶ what nobody refers to removed
//! ```
//!
//! `moby/moby@v28.5.2:daemon/daemon.go`, `restore`: without live-restore a container that lives is stopped now.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use protocol::reference::serve::Begins;

use super::config::{Configuration, Given};
use super::containers::{Record, State};
use super::lifecycle::{Ended, KILLED};
use super::runtimes::{Snapshot, keep_scripts, write_scripts};
use super::world::{CONTAINERS, Process, Shim, World, read_record};
use super::{Boot, BootError, CONFIGURATION, Engine, FileError, NUMBER, defects};
use crate::dialect::Wrappers;

/// The status of a container of which nobody knows how it ended.
const UNKNOWN: i32 = 255;

impl Engine {
    /// Starts a daemon over a directory.
    ///
    /// # Errors
    /// Its configuration is refused, and nothing has happened then, or the directory cannot be used.
    pub(crate) fn boot(directory: &Path, boot: &Boot) -> Result<Self, BootError> {
        Self::boot_over(World::at(directory)?, boot)
    }

    /// Starts a daemon over what an earlier one has left.
    ///
    /// # Errors
    /// As [`Engine::boot`].
    pub(crate) fn boot_over(mut world: World, boot: &Boot) -> Result<Self, BootError> {
        // What the machine does comes before the daemon, and does not ask whether it starts.
        world.files.sweep()?;
        if boot.begins == Begins::AtBoot {
            world.loses_power()?;
        }
        let configuration = match world.files.read(CONFIGURATION)? {
            None => Configuration::default(),
            Some(bytes) => {
                let given = Given::read(&bytes, boot.dialect, &boot.flags)?;
                if let Some(objection) = given.objection.clone() {
                    return Err(objection.into());
                }
                given.alone()
            }
        };
        configuration.check(boot.dialect)?;
        let number = world.files.read(NUMBER)?;
        let number = number.and_then(|bytes| String::from_utf8(bytes).ok()?.parse().ok()).unwrap_or(0);
        let snapshot = Snapshot::of(configuration, boot.dialect.wrappers, world.files.root());
        let mut engine = Self {
            dialect: boot.dialect,
            switches: boot.switches.clone(),
            flags: boot.flags.clone(),
            images: boot.images.clone(),
            seed: boot.seed.clone(),
            snapshot: Arc::new(snapshot),
            records: std::collections::BTreeMap::new(),
            counted: std::collections::BTreeMap::new(),
            execs: std::collections::BTreeMap::new(),
            events: Vec::new(),
            number,
            world,
        };
        engine.load()?;
        engine.set_up()?;
        Ok(engine)
    }

    fn load(&mut self) -> Result<(), FileError> {
        for id in self.world.files.names(CONTAINERS)? {
            let record: Option<Record> = read_record(&self.world.files, &format!("{CONTAINERS}/{id}"))?;
            if let Some(record) = record {
                self.counted.insert(id.clone(), record.state);
                self.records.insert(id, record);
            }
        }
        Ok(())
    }

    fn set_up(&mut self) -> Result<(), FileError> {
        let keeps = self.wrappers() == Wrappers::ContentWhileReferenced
            && !self.switches.has(defects::START_REMOVES_REFERENCED);
        let snapshot = self.snapshot();
        if !keeps {
            keep_scripts(&mut self.world.files, &BTreeSet::new())?;
        }
        write_scripts(&mut self.world.files, &snapshot)?;
        self.restore()?;
        if keeps {
            let own = snapshot.scripts().map(|script| script.file.clone());
            let mut kept: BTreeSet<String> = own.collect();
            for shim in self.world.shims()? {
                let file = Path::new(&shim.runtime).strip_prefix(self.root());
                kept.extend(file.ok().and_then(Path::to_str).map(str::to_owned));
            }
            keep_scripts(&mut self.world.files, &kept)?;
        }
        Ok(())
    }

    fn restore(&mut self) -> Result<(), FileError> {
        let ids: Vec<String> = self.records.keys().cloned().collect();
        for id in ids {
            match self.world.shim(&id)? {
                None => self.restore_without_shim(&id)?,
                Some(shim) => self.restore_with(shim)?,
            }
            let state = self.records.get(&id).map(|record| record.state);
            if self.dialect.recounts_at_start {
                self.count(&id, state);
            }
            let removed = self.records.get(&id).is_some_and(|record| record.spec.auto_remove);
            if removed && matches!(state, Some(State::Exited(_))) {
                self.forget(&id)?;
            }
        }
        if self.dialect.reaps_at_start {
            for shim in self.world.shims()? {
                // A process without a container is one that somebody wanted removed.
                if !shim.process.lives() || !self.records.contains_key(&shim.id) {
                    self.world.remove(&shim.id)?;
                }
            }
        }
        Ok(())
    }

    fn lives(&self, id: &str) -> bool {
        self.records.get(id).is_some_and(|record| record.state.lives())
    }

    fn restore_without_shim(&mut self, id: &str) -> Result<(), FileError> {
        if self.lives(id) {
            self.set_state(id, State::Exited(UNKNOWN))?;
        }
        Ok(())
    }

    fn restore_with(&mut self, shim: Shim) -> Result<(), FileError> {
        let id = shim.id.clone();
        match shim.process {
            // Who asked for it is gone with the last daemon.
            Process::Created => self.world.remove(&id),
            Process::Exited(status) => {
                if self.lives(&id) {
                    self.set_state(&id, State::Exited(status))?;
                }
                if shim.lost { Ok(()) } else { self.world.remove(&id) }
            }
            Process::Running | Process::Paused => self.restore_living(shim),
        }
    }

    fn restore_living(&mut self, shim: Shim) -> Result<(), FileError> {
        let id = shim.id.clone();
        let was_forgotten =
            self.records.get(&id).is_some_and(|record| matches!(record.state, State::Exited(_)));
        if was_forgotten && !self.dialect.reaps_at_start {
            return Ok(());
        }
        // The killing is T5 of containerd, seen from above: it finds no way to the shim and cleans up.
        if shim.containerd > self.dialect.containerd {
            self.world.put(&Shim { process: Process::Exited(KILLED), lost: true, ..shim })?;
            return self.exited_uncounted(&id, UNKNOWN);
        }
        if !self.snapshot.configuration.live_restore {
            // Whoever cannot be stopped stays as it is: the daemon writes so to its log, and goes on.
            let ended = self.end(&id, Ended::Killed)?;
            let _said = ended.result;
            return Ok(());
        }
        let reached = self.world.reaches(&shim.runtime)?;
        let forgets = self.switches.has(defects::FORGETS_LIVE);
        let missed = if reached && !forgets { 0 } else { shim.missed + 1 };
        let state = if shim.process == Process::Paused { State::Paused } else { State::Running };
        if missed != shim.missed {
            self.world.put(&Shim { missed, ..shim })?;
        }
        if missed >= 2 && (self.dialect.forgets_unreachable || forgets) {
            return self.exited_uncounted(&id, UNKNOWN);
        }
        if self.records.get(&id).is_some_and(|record| record.state != state) {
            self.set_state(&id, state)?;
        }
        Ok(())
    }

    /// A container has exited, and the daemon forgets to count it: measured after downgrades and second restarts.
    fn exited_uncounted(&mut self, id: &str, status: i32) -> Result<(), FileError> {
        let counted = self.counted.get(id).copied();
        self.set_state(id, State::Exited(status))?;
        if let Some(counted) = counted {
            self.counted.insert(id.to_owned(), counted);
        }
        Ok(())
    }
}
