//! Further programs in containers that run.

use super::Engine;
use super::containers::{Refusal, State, Why};
use super::processes::Program;

/// A further program in a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ExecRecord {
    /// 64 hexadecimal digits.
    pub id: String,
    /// Its container.
    pub container: String,
    /// Its command line.
    pub command: Vec<String>,
    /// Whether it has a terminal.
    pub tty: bool,
    /// Whether it was started and has not ended.
    pub running: bool,
    /// Its exit status.
    pub status: Option<i32>,
}

/// What became of the start of such a program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Exec {
    /// It runs, until [`Engine::exec_ends`] is told that it has ended.
    Runs(Program),
    /// It does not. That is no error of the request: the words are what the client reads as output.
    Fails {
        /// The exit status that the daemon makes of it.
        status: i32,
        /// Its words.
        message: String,
    },
}

impl Engine {
    /// Makes a further program.
    ///
    /// # Errors
    /// No such container, or it does not run.
    pub(crate) fn create_exec(
        &mut self,
        reference: &str,
        command: Vec<String>,
        tty: bool,
    ) -> Result<String, Refusal> {
        let container = self.living(reference)?;
        self.check_not_paused(&container)?;
        let (_, id) = self.next_id("exec")?;
        let record = ExecRecord { id: id.clone(), container, command, tty, running: false, status: None };
        self.execs.insert(id.clone(), record);
        Ok(id)
    }

    /// Starts it.
    ///
    /// # Errors
    /// There is none, it was started already, or its container does not run any more.
    pub(crate) fn start_exec(&mut self, id: &str) -> Result<Exec, Refusal> {
        let exec = self.inspect_exec(id)?.clone();
        if exec.running || exec.status.is_some() {
            return Err(Refusal::new(Why::Conflict, format!("exec {id} has already been started")));
        }
        let container = self.living(&exec.container)?;
        self.check_not_paused(&container)?;
        let failure = match (self.call(&container), Program::of(&exec.command, exec.tty)) {
            (Ok(()), Ok(program)) => {
                self.set_exec(id, true, None);
                return Ok(Exec::Runs(program));
            }
            (Err(refusal), _) => refusal.message,
            (Ok(()), Err(missing)) => format!("exec failed: unable to start container process: {missing}"),
        };
        let status = self.dialect.exec_missing_status;
        self.set_exec(id, false, Some(status));
        Ok(Exec::Fails { status, message: format!("OCI runtime exec failed: {failure}: unknown") })
    }

    /// It has ended by itself.
    pub(crate) fn exec_ends(&mut self, id: &str, status: i32) {
        if self.execs.get(id).is_some_and(|exec| exec.running) {
            self.set_exec(id, false, Some(status));
        }
    }

    /// What is known of it.
    ///
    /// # Errors
    /// There is none.
    pub(crate) fn inspect_exec(&self, id: &str) -> Result<&ExecRecord, Refusal> {
        let missing = || Refusal::new(Why::NotFound, format!("No such exec instance: {id}"));
        self.execs.get(id).ok_or_else(missing)
    }

    fn set_exec(&mut self, id: &str, running: bool, status: Option<i32>) {
        if let Some(exec) = self.execs.get_mut(id) {
            (exec.running, exec.status) = (running, status);
        }
    }

    fn check_not_paused(&self, id: &str) -> Result<(), Refusal> {
        let record = self.inspect(id)?;
        if record.state != State::Paused {
            return Ok(());
        }
        let name = &record.spec.name;
        let words = format!("Container {name} is paused, unpause the container before exec");
        Err(Refusal::new(Why::Conflict, words))
    }
}
