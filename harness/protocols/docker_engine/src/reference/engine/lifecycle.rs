//! What is done to the processes of containers.
//!
//! What takes time takes none here: how long it would have taken is part of the answer.

use super::containers::{Refusal, State, Why};
use super::files::FileError;
use super::processes::Program;
use super::world::{Process, Shim};
use super::{Engine, defects};
use crate::dialect::Unreachable;

/// The status of a process that was killed.
pub(super) const KILLED: i32 = 137;
/// The signal that no process outlives.
const SIGKILL: u32 = 9;
/// How long a stop waits for the process to end by itself, unless it is told.
const STOP_MS: u64 = 10_000;
/// How long it waits where even the first signal failed: `moby/moby@v20.10.24:daemon/stop.go`, and later ones alike.
const AFTER_FAILURE_MS: u64 = 2_000;
/// How long it waits behind a kill before it kills the process itself: the same, `daemon/container_operations_unix.go`,
/// `killProcessDirectly`.
const DIRECT_KILL_MS: u64 = 10_000;

/// What was done, and how long it took.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Timed<T> {
    /// How long a real daemon would have taken.
    pub took_ms: u64,
    /// What was done.
    pub result: Result<T, Refusal>,
}

impl<T> Timed<T> {
    fn at_once(result: Result<T, Refusal>) -> Self {
        Self { took_ms: 0, result }
    }
}

/// How a daemon went down.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Shutdown {
    /// How long a real one would have taken.
    pub took_ms: u64,
    /// Containers that live on although it wanted to stop them.
    pub left: Vec<String>,
}

/// How a process is to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ended {
    /// By itself within a time, and by force behind it. No process here ends by itself: the first one of a container gets
    /// only the signals that it has asked for.
    Stopped { timeout_ms: u64 },
    /// By force.
    Killed,
}

impl Engine {
    /// The process of a container has ended by itself.
    ///
    /// # Errors
    /// The directory cannot be changed.
    pub(crate) fn process_ends(&mut self, id: &str, status: i32) -> Result<(), Refusal> {
        if self.records.get(id).is_some_and(|record| record.state.lives()) {
            self.dies(id, status, false)?;
        }
        Ok(())
    }

    /// Stops a container: what is asked of it is in milliseconds, ten seconds where nothing is.
    pub(crate) fn stop(&mut self, reference: &str, timeout_ms: Option<u64>) -> Timed<()> {
        let id = match self.inspect(reference) {
            Err(refusal) => return Timed::at_once(Err(refusal)),
            Ok(record) if !record.state.lives() => {
                return Timed::at_once(Err(Refusal::new(Why::NotModified, "")));
            }
            Ok(record) => record.id.clone(),
        };
        let timeout_ms = timeout_ms.unwrap_or(STOP_MS);
        if self.says_success(&id) {
            return Timed { took_ms: timeout_ms + DIRECT_KILL_MS, result: Ok(()) };
        }
        let ended = self.ended(&id, Ended::Stopped { timeout_ms }, |error| {
            format!("cannot stop container: {reference}: {error}")
        });
        if ended.result.is_ok() {
            self.tell("stop", &id, None);
        }
        ended
    }

    /// Measured once on 26.1.5: a stop that succeeded, and a container that was up behind it.
    fn says_success(&self, id: &str) -> bool {
        let script = || self.world.shim(id).ok().flatten().is_some_and(|shim| shim.script.is_some());
        self.switches.has(defects::STOP_SAYS_SUCCESS) && script()
    }

    /// Sends a signal to a container. Only that which nobody outlives has an effect.
    pub(crate) fn kill(&mut self, reference: &str, signal: u32) -> Timed<()> {
        let id = match self.living(reference) {
            Ok(id) => id,
            Err(refusal) => {
                let message = format!("Cannot kill container: {reference}: {}", refusal.message);
                let message = if refusal.why == Why::Conflict { message } else { refusal.message };
                return Timed::at_once(Err(Refusal { message, ..refusal }));
            }
        };
        let failed = |error: String| format!("Cannot kill container: {reference}: {error}");
        if signal == SIGKILL {
            let ended = self.ended(&id, Ended::Killed, failed);
            if ended.result.is_ok() {
                self.tell("kill", &id, None);
            }
            return ended;
        }
        let sent = self.call(&id).map_err(|refusal| {
            let words = format!("Cannot kill container {id}: {}: <nil>: unknown", refusal.message);
            Refusal { message: failed(words), ..refusal }
        });
        if sent.is_ok() {
            self.tell("kill", &id, None);
        }
        Timed::at_once(sent)
    }

    /// Removes a container, by force also one that lives.
    pub(crate) fn remove(&mut self, reference: &str, force: bool) -> Timed<()> {
        let (id, lives) = match self.inspect(reference) {
            Err(refusal) => return Timed::at_once(Err(refusal)),
            Ok(record) => (record.id.clone(), record.state.lives()),
        };
        if lives && !force {
            let words = "Stop the container before attempting removal or force remove";
            let words = format!("You cannot remove a running container {id}. {words}");
            return Timed::at_once(Err(Refusal::new(Why::Conflict, words)));
        }
        let mut took_ms = 0;
        if lives {
            let ended = self.ended(&id, Ended::Killed, |error| {
                format!("Could not kill running container {id}, cannot remove - {error}")
            });
            took_ms = ended.took_ms;
            if ended.result.is_err() {
                return ended;
            }
        }
        Timed { took_ms, result: self.clear(&id).map_err(Refusal::from) }
    }

    /// Takes away what is left of a container that does not live, as far as the daemon knows.
    fn clear(&mut self, id: &str) -> Result<(), FileError> {
        let shim = self.world.shim(id)?;
        if shim.is_some_and(|shim| shim.process == Process::Created || self.dialect.reaps_at_start) {
            self.world.remove(id)?;
        }
        // One that is removed when it ends is gone already.
        if self.records.contains_key(id) { self.forget(id) } else { Ok(()) }
    }

    /// Freezes a container.
    ///
    /// # Errors
    /// It does not run, or cannot be reached.
    pub(crate) fn pause(&mut self, reference: &str) -> Result<(), Refusal> {
        self.freeze(reference, "pause", "already paused", State::Running, State::Paused)
    }

    /// Lets a frozen container run again.
    ///
    /// # Errors
    /// It is not frozen, or cannot be reached.
    pub(crate) fn unpause(&mut self, reference: &str) -> Result<(), Refusal> {
        self.freeze(reference, "unpause", "not paused", State::Paused, State::Running)
    }

    fn freeze(
        &mut self,
        reference: &str,
        action: &'static str,
        otherwise: &str,
        from: State,
        to: State,
    ) -> Result<(), Refusal> {
        let id = self.living(reference)?;
        if self.inspect(&id)?.state != from {
            return Err(Refusal::new(Why::Conflict, format!("Container {id} is {otherwise}")));
        }
        let (verb, process) =
            if to == State::Paused { ("pause", Process::Paused) } else { ("resume", Process::Running) };
        self.call(&id).map_err(|refusal| {
            let words = format!("OCI runtime {verb} failed: {}: <nil>: unknown", refusal.message);
            Refusal { message: format!("Cannot {action} container {id}: {words}"), ..refusal }
        })?;
        if let Some(shim) = self.world.shim(&id)? {
            self.world.put(&Shim { process, ..shim })?;
        }
        self.set_state(&id, to)?;
        self.tell(action, &id, None);
        Ok(())
    }

    /// Command lines of the processes of a container.
    ///
    /// # Errors
    /// It does not run, or cannot be reached.
    pub(crate) fn top(&self, reference: &str) -> Result<Vec<String>, Refusal> {
        let id = self.living(reference)?;
        self.call(&id).map_err(|refusal| {
            let message = format!("{}: <nil>: unknown", refusal.message);
            Refusal { message, ..refusal }
        })?;
        let spec = &self.inspect(&id)?.spec;
        let program = Program::of(&spec.command, spec.tty);
        Ok(program.map(|program| program.title).into_iter().collect())
    }

    /// With which status a container has ended; nothing while it lives.
    ///
    /// # Errors
    /// No such container.
    pub(crate) fn exit_status(&self, reference: &str) -> Result<Option<i32>, Refusal> {
        Ok(match self.inspect(reference)?.state {
            State::Created => Some(0),
            State::Running | State::Paused => None,
            State::Exited(status) => Some(status),
        })
    }

    /// Ends the daemon. Without live-restore its containers are stopped first.
    ///
    /// # Errors
    /// The directory cannot be changed.
    pub(crate) fn shutdown(mut self) -> Result<Shutdown, FileError> {
        let mut shutdown = Shutdown { took_ms: 0, left: Vec::new() };
        if self.snapshot.configuration.live_restore {
            return Ok(shutdown);
        }
        let living = self.records.values().filter(|record| record.state.lives());
        let living: Vec<String> = living.map(|record| record.id.clone()).collect();
        for id in living {
            let ended = self.end(&id, Ended::Stopped { timeout_ms: STOP_MS })?;
            // All of them are stopped at the same time.
            shutdown.took_ms = shutdown.took_ms.max(ended.took_ms);
            if ended.result.is_err() {
                shutdown.left.push(id);
            }
        }
        Ok(shutdown)
    }

    pub(super) fn living(&self, reference: &str) -> Result<String, Refusal> {
        let record = self.inspect(reference)?;
        let id = record.id.clone();
        if record.state.lives() {
            return Ok(id);
        }
        Err(Refusal::new(Why::Conflict, format!("Container {id} is not running")))
    }

    /// Has the shim of a container call its OCI runtime.
    pub(super) fn call(&self, id: &str) -> Result<(), Refusal> {
        let Some(shim) = self.world.shim(id)? else {
            return Err(Refusal::new(Why::Fault, "no shim"));
        };
        if self.world.reaches(&shim.runtime)? {
            return Ok(());
        }
        let path = self.told(&shim.runtime);
        Err(Refusal::new(Why::Fault, format!("fork/exec {path}: no such file or directory")))
    }

    /// Ends a process, and says so in the words of whoever asked.
    fn ended(&mut self, id: &str, how: Ended, words: impl FnOnce(String) -> String) -> Timed<()> {
        match self.end(id, how) {
            Ok(Timed { took_ms, result }) => {
                let in_words = |refusal: Refusal| Refusal { message: words(refusal.message), ..refusal };
                Timed { took_ms, result: result.map_err(in_words) }
            }
            Err(error) => Timed::at_once(Err(error.into())),
        }
    }

    /// Ends a process, as far as it can be reached, or as the release makes do.
    pub(super) fn end(&mut self, id: &str, how: Ended) -> Result<Timed<()>, FileError> {
        let before_ms = |failed| match how {
            Ended::Stopped { .. } if failed => AFTER_FAILURE_MS,
            Ended::Stopped { timeout_ms } => timeout_ms,
            Ended::Killed => 0,
        };
        let Err(refusal) = self.call(id) else {
            self.dies(id, KILLED, false)?;
            return Ok(Timed { took_ms: before_ms(false), result: Ok(()) });
        };
        match self.dialect.unreachable {
            Unreachable::Fails => {
                let error = format!("unknown error after kill: {}: <nil>: unknown", refusal.message);
                let message = format!("Cannot kill container {id}: {error}");
                Ok(Timed { took_ms: AFTER_FAILURE_MS, result: Err(Refusal { message, ..refusal }) })
            }
            Unreachable::KillsItself => {
                self.dies(id, KILLED, true)?;
                Ok(Timed { took_ms: before_ms(true) + DIRECT_KILL_MS, result: Ok(()) })
            }
        }
    }

    /// A process has ended: first it, then what the daemon says of it, then its shim, unless that is lost.
    fn dies(&mut self, id: &str, status: i32, lost: bool) -> Result<(), FileError> {
        if let Some(shim) = self.world.shim(id)? {
            self.world.put(&Shim { process: Process::Exited(status), lost, ..shim })?;
        }
        self.tell("die", id, Some(status));
        let auto_remove = self.records.get(id).is_some_and(|record| record.spec.auto_remove);
        if auto_remove {
            self.forget(id)?;
        } else {
            self.set_state(id, State::Exited(status))?;
        }
        if lost { Ok(()) } else { self.world.remove(id) }
    }
}
