//! How a container is started.
//!
//! A start has three parts, as that of a real daemon has, and a reload may come between any two of them:
//!
//! ```text
//! snapshot   the configuration is taken
//! prepare    the OCI runtime makes the process      fails without its script
//! run        the OCI runtime lets it run            the same, and the shim may be left behind
//! ```

use super::Engine;
use super::containers::{Refusal, State, Why, unknown_runtime};
use super::lifecycle::KILLED;
use super::processes::Program;
use super::runtimes::Snapshot;
use super::world::{Process, Shim};
use crate::dialect::Unreachable;

/// A container whose process was made and does not run yet.
#[derive(Debug)]
#[must_use = "its process waits to be run"]
pub(crate) struct Prepared {
    id: String,
    program: Program,
}

impl Engine {
    /// Starts a container, with the configuration that holds. It runs until [`Engine::process_ends`] is told that it has
    /// ended, also where its program says that it would have ended at once.
    ///
    /// # Errors
    /// It cannot be started.
    pub(crate) fn start(&mut self, reference: &str) -> Result<Program, Refusal> {
        let snapshot = self.snapshot();
        self.start_with(&snapshot, reference)
    }

    /// The same, with a configuration that was taken earlier.
    ///
    /// # Errors
    /// It cannot be started.
    pub(crate) fn start_with(&mut self, snapshot: &Snapshot, reference: &str) -> Result<Program, Refusal> {
        let prepared = self.prepare(snapshot, reference)?;
        self.run(prepared)
    }

    /// The first half of a start: the process is made.
    ///
    /// # Errors
    /// It cannot be made.
    pub(crate) fn prepare(&mut self, snapshot: &Snapshot, reference: &str) -> Result<Prepared, Refusal> {
        let record = self.inspect(reference)?.clone();
        match record.state {
            State::Running => return Err(Refusal::new(Why::NotModified, "")),
            State::Paused => {
                return Err(Refusal::new(
                    Why::Conflict,
                    "cannot start a paused container, try unpause instead",
                ));
            }
            State::Created | State::Exited(_) => {}
        }
        let runtime = snapshot.runtimes.get(&record.spec.runtime);
        let runtime = runtime.ok_or_else(|| unknown_runtime(self.dialect, &record.spec.runtime))?;
        let made = self.make(&record.id, &runtime.path, &record.spec.command, record.spec.tty);
        if made.is_err() && record.spec.auto_remove {
            self.forget(&record.id)?;
        }
        made.map(|program| Prepared { id: record.id, program })
    }

    fn make(&mut self, id: &str, path: &str, command: &[String], tty: bool) -> Result<Program, Refusal> {
        if self.world.shim(id)?.is_some() {
            return Err(Refusal::new(Why::Fault, "id already in use"));
        }
        let failed = "OCI runtime create failed";
        if !self.world.reaches(path)? {
            let gone = format!("fork/exec {}: no such file or directory: unknown", self.told(path));
            let words = format!("{failed}: unable to retrieve OCI runtime error: {gone}");
            return Err(Refusal::new(Why::Fault, words));
        }
        let program = Program::of(command, tty).map_err(|error| {
            let words = format!("{failed}: unable to start container process: {error}: unknown");
            Refusal::new(Why::BadParameter, words)
        })?;
        self.world.put(&Shim {
            id: id.to_owned(),
            runtime: path.to_owned(),
            script: self.world.script(path)?,
            process: Process::Created,
            containerd: self.dialect.containerd,
            missed: 0,
            lost: false,
        })?;
        Ok(program)
    }

    /// The second half of a start: the process runs.
    ///
    /// # Errors
    /// It cannot be run.
    pub(crate) fn run(&mut self, prepared: Prepared) -> Result<Program, Refusal> {
        let Prepared { id, program } = prepared;
        let shim = self.world.shim(&id)?.filter(|shim| shim.process == Process::Created);
        let (Some(shim), Some(record)) = (shim, self.records.get(&id)) else {
            return Err(Refusal::new(Why::NotFound, format!("No such container: {id}")));
        };
        let auto_remove = record.spec.auto_remove;
        if !self.world.reaches(&shim.runtime)? {
            let path = shim.runtime.clone();
            match self.dialect.unreachable {
                Unreachable::Fails => self.world.remove(&id)?,
                // Measured on 20.10.24: 15 shims were left behind by 28 starts that failed.
                Unreachable::KillsItself => {
                    self.world.put(&Shim { process: Process::Exited(KILLED), lost: true, ..shim })?;
                }
            }
            if auto_remove {
                self.forget(&id)?;
            }
            let gone = format!("fork/exec {}: no such file or directory: unknown", self.told(&path));
            return Err(Refusal::new(Why::Fault, format!("OCI runtime start failed: {gone}")));
        }
        self.world.put(&Shim { process: Process::Running, ..shim })?;
        self.set_state(&id, State::Running)?;
        self.tell("start", &id, None);
        Ok(program)
    }
}
