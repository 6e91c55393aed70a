//! What can be done to a daemon by other means than its socket: conditions, reloads, ends, and what really is so.

use std::any::Any;
use std::future::ready;

use protocol::effects::effect;
use protocol::reference::serve::Outside;
use session::{Address, BoxFuture, LaunchError, LaunchErrorKind, Recorder, ServerAct};

use super::daemon::Shared;
use super::engine::{CONFIGURATION, Engine, Process, Spec};
use crate::configuration;
use crate::operations::{
    BOTH, BOTH_LIVE, COMMAND, CONTAINER, IMAGE, LIVING, ON_TERMINAL, OTHERS, PLAIN, RELOADED, RUNNING,
    RUNTIME, SHIM, STATE, TERMINAL, TINY, VOLUME, WRAPPED,
};

/// Somebody with their hands on the machine.
pub(super) struct Hands {
    state: Shared,
}

impl Hands {
    pub(super) fn of(state: Shared) -> Self {
        Self { state }
    }

    fn with<T>(&self, act: impl FnOnce(&mut Engine) -> Result<T, String>) -> Result<T, LaunchErrorKind> {
        let mut state = self.state.lock();
        let engine = state.engine.as_mut().ok_or(LaunchErrorKind::CannotAct)?;
        let done = act(engine).map_err(LaunchErrorKind::Setup);
        state.note();
        done
    }

    /// Writes the configuration of that name; nobody is told.
    fn configure(&self, name: &str) -> Result<(), LaunchErrorKind> {
        let unknown = || LaunchErrorKind::Setup(format!("no configuration `{name}`"));
        let text = configuration::text(name).ok_or_else(unknown)?;
        self.with(|engine| {
            let file = engine.directory().join(CONFIGURATION);
            std::fs::write(file, text).map_err(|error| error.to_string())
        })
    }

    fn reload(&self) -> Result<(), LaunchErrorKind> {
        self.with(|engine| {
            // A configuration that is refused changes nothing, and that is for others to see.
            let _ = engine.reload();
            Ok(())
        })
    }

    fn start(&self, name: &str, runtime: &str, command: &[&str], tty: bool) -> Result<(), LaunchErrorKind> {
        let mut state = self.state.lock();
        let engine = state.engine.as_mut().ok_or(LaunchErrorKind::CannotAct)?;
        let spec = Spec {
            name: name.to_owned(),
            image: TINY.to_owned(),
            runtime: runtime.to_owned(),
            command: command.iter().map(|word| (*word).to_owned()).collect(),
            tty,
            ..Spec::default()
        };
        let failed = |error: super::engine::Refusal| LaunchErrorKind::Setup(error.to_string());
        let id = engine.create(spec).map_err(failed)?;
        let program = engine.start(&id).map_err(failed)?;
        state.logs.insert(id, program.output);
        state.note();
        Ok(())
    }

    fn bring_about(&self, condition: &str) -> Result<(), LaunchErrorKind> {
        let mut words = condition.split(' ');
        let (word, name) = (words.next().unwrap_or_default(), words.next().unwrap_or(CONTAINER));
        let own: Vec<&str> = words.collect();
        let command = if own.is_empty() { &COMMAND[..] } else { &own[..] };
        match word {
            IMAGE => Ok(()),
            RUNNING => self.start(name, "", command, false),
            TERMINAL => self.start(name, "", &ON_TERMINAL, true),
            WRAPPED | RELOADED | BOTH | BOTH_LIVE => {
                self.configure(if word == BOTH_LIVE {
                    configuration::LIVE
                } else {
                    configuration::ARGUMENTS
                })?;
                self.reload()?;
                self.start(name, RUNTIME, command, false)?;
                match word {
                    BOTH | BOTH_LIVE => self.start(PLAIN, "", command, false),
                    RELOADED => {
                        self.configure(configuration::NO_ARGUMENTS)?;
                        self.reload()
                    }
                    _ => Ok(()),
                }
            }
            VOLUME => {
                self.state.lock().volumes.push(name.to_owned());
                Ok(())
            }
            _ => Err(LaunchErrorKind::Setup(format!("no condition `{word}`"))),
        }
    }
}

impl Outside for Hands {
    fn prepare<'a>(
        &'a mut self,
        _address: &'a Address,
        condition: &'a str,
    ) -> BoxFuture<'a, Result<(), LaunchError>> {
        let done = self.bring_about(condition);
        Box::pin(ready(done.map_err(|error| LaunchError::new(format!("prepare `{condition}`"), error))))
    }

    fn act<'a>(&'a mut self, act: &'a ServerAct) -> Option<BoxFuture<'a, Result<(), LaunchErrorKind>>> {
        match act {
            ServerAct::Reload => Some(Box::pin(ready(self.reload()))),
            ServerAct::Configure(name) => Some(Box::pin(ready(self.configure(name)))),
            ServerAct::Restart => {
                self.end();
                None
            }
            _ => None,
        }
    }

    fn replace<'a>(
        &'a mut self,
        _by: &'a (dyn Any + Send + Sync),
    ) -> Option<BoxFuture<'a, Result<(), LaunchErrorKind>>> {
        self.end();
        None
    }

    /// What lives, whatever the daemon says.
    fn watch(&mut self, recorder: &Recorder) {
        let state = self.state.lock();
        let Some(engine) = &state.engine else { return };
        let shims = engine.world().shims().unwrap_or_default();
        let living = shims.iter().filter(|shim| shim.process.lives());
        let mut names: Vec<&str> = living
            .filter_map(|shim| engine.inspect(&shim.id).ok().map(|record| record.spec.name.as_str()))
            .collect();
        names.sort_unstable();
        effect(recorder, LIVING, &names.join(","));
    }

    fn effects(&mut self, is_gone: bool, recorder: &Recorder) {
        if is_gone {
            return;
        }
        let state = self.state.lock();
        let Some(engine) = &state.engine else { return };
        let own = engine.list().into_iter().find(|record| record.spec.name == CONTAINER);
        // The process is what is so, whatever the daemon says of it.
        let process = own.map(|record| (record, engine.world().shim(&record.id).ok().flatten()));
        let word = match process {
            None => "gone",
            Some((_, None)) => match own.map(|record| record.state) {
                Some(super::engine::State::Created) => "created",
                _ => "exited",
            },
            Some((_, Some(shim))) => match shim.process {
                Process::Running => "running",
                Process::Paused => "paused",
                Process::Created => "created",
                Process::Exited(_) => "exited",
            },
        };
        effect(recorder, STATE, word);
        let left = engine.world().shims().is_ok_and(|shims| shims.iter().any(|shim| !shim.process.lives()));
        effect(recorder, SHIM, if left { "left" } else { "gone" });
        let others = engine.list().len() - usize::from(own.is_some());
        effect(recorder, OTHERS, &others.to_string());
    }
}

impl Hands {
    /// The daemon is told to end.
    fn end(&self) {
        if let Some(engine) = self.state.lock().engine.take() {
            // What it could not write down, the next one finds as it is.
            let _ = engine.shutdown();
        }
    }
}
