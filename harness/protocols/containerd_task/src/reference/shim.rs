//! What a shim answers to each call. There are no processes: the first process of every container has a handler for SIGTERM that
//! exits with 7, and what is executed beside it exits with 3. So the recorded container did, too.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use protocol::defect::Switches;
use protocol::reference::serve::Outside;
use session::{Address, BoxFuture, LaunchError, LaunchErrorKind, Recorder};
use transcript::ExitStatus;
use ttrpc::Values;
use ttrpc::envelope::{Call, code};
use ttrpc::reference::server::{Outcome, Replies, Service, Ticket};
use verdict::checks::RUNS;
use wire::protobuf::Writer;

use super::defects;
use crate::dialect::{Dialect, EVENTS};
use crate::operations;
use crate::state::{self, Files};

/// Made-up processes.
const SHIM_PID: u64 = 4711;
const TASK_PID: u64 = 4712;
/// "Never": midnight of the first day of the year 1.
const NEVER: i64 = -62_135_596_800;
/// When everything ends here.
const ENDED: i64 = 1_700_000_000;
const ENDED_NANOS: i64 = 500_000_000;
/// Numbers of states.
const CREATED: u64 = 1;
const RUNNING: u64 = 2;
const STOPPED: u64 = 3;
const PAUSED: u64 = 4;
/// `SIGKILL` and `SIGTERM`.
const SIGKILL: u64 = 9;
const SIGTERM: u64 = 15;
/// Exits of a process that was killed, of one that handles SIGTERM, and of one that was executed.
const KILLED: u64 = 137;
const HANDLED: u64 = 7;
const EXECUTED: u64 = 3;
/// What is said of a task that is not there.
const NO_TASK: &str = "container not created: not found";

/// A process of a container.
#[derive(Debug, Default)]
struct Process {
    pid: u64,
    status: u64,
    exit: Option<u64>,
    waiting: Vec<Ticket>,
}

/// A container, and what runs in it; the first process has no name.
#[derive(Debug, Default)]
struct Task {
    bundle: String,
    processes: BTreeMap<String, Process>,
}

/// What a shim has; what is behind it can be looked at from outside.
#[derive(Debug, Default)]
pub(super) struct Tasks {
    tasks: BTreeMap<String, Task>,
    /// A container was made.
    had: bool,
    /// A container ran when the daemon began.
    ran: bool,
    /// Nobody answers where events are reported.
    unheard: bool,
    cleaned_up: bool,
}

/// A shim of a release, with faults.
pub(super) struct Shim {
    dialect: &'static Dialect,
    switches: Switches,
    tasks: Arc<Mutex<Tasks>>,
    bundle: PathBuf,
}

impl Shim {
    /// A shim whose bundle is there.
    pub(super) fn new(dialect: &'static Dialect, switches: Switches, bundle: PathBuf) -> Self {
        Self { dialect, switches, tasks: Arc::default(), bundle }
    }
}

fn locked(tasks: &Mutex<Tasks>) -> MutexGuard<'_, Tasks> {
    // Every change leaves it in order.
    tasks.lock().unwrap_or_else(PoisonError::into_inner)
}

fn no_task() -> Outcome {
    Outcome::failure(code::NOT_FOUND, NO_TASK)
}

fn time(seconds: i64) -> Writer {
    Writer::new().int(1, seconds)
}

impl Process {
    fn ended_at(&self) -> Writer {
        if self.exit.is_some() { time(ENDED).int(2, ENDED_NANOS) } else { time(NEVER) }
    }

    /// How it ended, as Wait tells it.
    fn waited(&self) -> Outcome {
        let exit = self.exit.unwrap_or(0);
        let status = if exit > 0 { Writer::new().uint(1, exit) } else { Writer::new() };
        Outcome::Result(status.message(2, self.ended_at()).finish())
    }

    fn ends(&mut self, exit: u64) -> Vec<Ticket> {
        (self.exit, self.status) = (Some(exit), STOPPED);
        std::mem::take(&mut self.waiting)
    }
}

impl Service for Shim {
    fn call(&mut self, ticket: Ticket, call: &Call<'_>, replies: &mut Replies) {
        let argument = Values(call.payload);
        let outcome = match call.method {
            // A shim asks this service, and does not have it.
            _ if call.service == EVENTS => {
                Some(Outcome::failure(self.dialect.family.unknown_service, self.unknown(call)))
            }
            "Connect" => Some(self.connect(argument)),
            "Create" => Some(self.create(argument)),
            "Wait" => self.wait(ticket, argument),
            "Kill" => Some(self.kill(argument, replies)),
            "Delete" => Some(self.delete(argument)),
            "Shutdown" => {
                replies.answer(ticket, Outcome::empty());
                let (is_idle, unheard) = {
                    let tasks = locked(&self.tasks);
                    (tasks.tasks.is_empty(), tasks.unheard)
                };
                // Each event is waited for, and there is one for all that has been done.
                let waits = self.dialect.waits_to_report || self.switches.has(defects::WAITS_TO_REPORT);
                if is_idle && !(unheard && waits) {
                    replies.exit(ExitStatus::Gone);
                }
                None
            }
            "Platform" => {
                let platform = Writer::new().text(1, "linux").text(2, "amd64");
                Some(Outcome::Result(Writer::new().message(1, platform).finish()))
            }
            _ if call.service.ends_with(".Sandbox") => Some(Outcome::empty()),
            method => Some(self.of_task(method, argument)),
        };
        if let Some(outcome) = outcome {
            replies.answer(ticket, outcome);
        }
    }

    fn unknown(&self, call: &Call<'_>) -> String {
        format!("service {}", call.service)
    }

    fn outside(&self) -> Option<Box<dyn Outside>> {
        let (tasks, bundle) = (Arc::clone(&self.tasks), self.bundle.clone());
        let before = Files::read(&bundle);
        Some(Box::new(Host { tasks, bundle, before }))
    }
}

impl Shim {
    fn connect(&self, argument: Values<'_>) -> Outcome {
        let tasks = locked(&self.tasks);
        let first = tasks.tasks.get(&argument.text(1)).and_then(|task| task.processes.get(""));
        let shim = Writer::new().uint(1, SHIM_PID);
        let both = if let Some(first) = first { shim.uint(2, first.pid) } else { shim };
        Outcome::Result(both.finish())
    }

    fn create(&mut self, argument: Values<'_>) -> Outcome {
        let (id, bundle) = (argument.text(1), argument.text(2));
        if bundle.is_empty() && !self.dialect.no_bundle && !self.switches.has(defects::NO_BUNDLE) {
            return Outcome::failure(code::INVALID_ARGUMENT, "a container needs a bundle");
        }
        // A bundle that is there is called as its container.
        if !bundle.is_empty() && bundle.rsplit('/').next() != Some(&*id) {
            return Outcome::failure(code::NOT_FOUND, "open options.json: no such file or directory");
        }
        let first = Process { pid: TASK_PID, status: CREATED, ..Process::default() };
        let task = Task { bundle, processes: [(String::new(), first)].into() };
        let mut tasks = locked(&self.tasks);
        tasks.tasks.insert(id, task);
        tasks.had = true;
        Outcome::Result(pid(TASK_PID))
    }

    /// Methods of one process, or of the container that it is in.
    fn of_task(&mut self, method: &str, argument: Values<'_>) -> Outcome {
        let (id, exec) = (argument.text(1), argument.text(2));
        let executes = self.dialect.executes;
        let mut tasks = locked(&self.tasks);
        let Some(task) = tasks.tasks.get_mut(&id) else { return no_task() };
        match method {
            "Exec" => {
                task.processes.insert(exec, Process { status: CREATED, ..Process::default() });
                Outcome::empty()
            }
            "State" => task.state(&id, &exec),
            "Pids" => {
                let pids =
                    task.processes.values().filter(|process| process.pid > 0 && process.exit.is_none());
                let listed = pids
                    .fold(Writer::new(), |all, process| all.message(1, Writer::new().uint(1, process.pid)));
                Outcome::Result(listed.finish())
            }
            "Stats" => {
                let any = Writer::new().text(1, "io.containerd.cgroups.v1.Metrics").bytes(2, &[]);
                Outcome::Result(Writer::new().message(1, any).finish())
            }
            "Start" if !exec.is_empty() && !executes => {
                Outcome::failure(code::UNKNOWN, "OCI runtime exec failed")
            }
            "Start" => task.start(&exec),
            "Pause" | "Resume" => {
                let status = if method == "Pause" { PAUSED } else { RUNNING };
                let first = task.processes.entry(String::new()).or_default();
                first.status = status;
                first.pid += u64::from(self.switches.has(defects::OTHER_PID));
                Outcome::empty()
            }
            "Checkpoint" => Outcome::failure(code::UNKNOWN, "runc did not make a checkpoint"),
            _ => Outcome::empty(),
        }
    }

    fn wait(&mut self, ticket: Ticket, argument: Values<'_>) -> Option<Outcome> {
        let (id, exec) = (argument.text(1), argument.text(2));
        let mut tasks = locked(&self.tasks);
        let process = tasks.tasks.get_mut(&id).and_then(|task| task.processes.get_mut(&exec));
        let Some(process) = process else { return Some(no_task()) };
        // What could not be started has ended, too: nobody waits for it.
        if process.status == RUNNING || process.status == PAUSED {
            process.waiting.push(ticket);
            return None;
        }
        Some(process.waited())
    }

    fn kill(&mut self, argument: Values<'_>, replies: &mut Replies) -> Outcome {
        let (id, exec) = (argument.text(1), argument.text(2));
        let mut tasks = locked(&self.tasks);
        let process = tasks.tasks.get_mut(&id).and_then(|task| task.processes.get_mut(&exec));
        let Some(process) = process else { return no_task() };
        let exit = match argument.uint(3) {
            SIGKILL => KILLED,
            SIGTERM if self.switches.has(defects::OTHER_STATUS) => HANDLED + 1,
            SIGTERM => HANDLED,
            _ => return Outcome::empty(),
        };
        for ticket in process.ends(exit) {
            replies.answer(ticket, process.waited());
        }
        Outcome::empty()
    }

    fn delete(&mut self, argument: Values<'_>) -> Outcome {
        let (id, exec) = (argument.text(1), argument.text(2));
        let mut tasks = locked(&self.tasks);
        let Some(task) = tasks.tasks.get_mut(&id) else { return no_task() };
        let Some(process) = task.processes.remove(&exec) else { return no_task() };
        if exec.is_empty() {
            tasks.tasks.remove(&id);
        }
        let mut result = if process.pid > 0 { Writer::new().uint(1, process.pid) } else { Writer::new() };
        if let Some(exit) = process.exit.filter(|exit| *exit > 0) {
            result = result.uint(2, exit);
        }
        Outcome::Result(result.message(3, process.ended_at()).finish())
    }
}

impl Task {
    fn start(&mut self, exec: &str) -> Outcome {
        let Some(process) = self.processes.get_mut(exec) else { return no_task() };
        process.status = RUNNING;
        if !exec.is_empty() {
            process.pid = TASK_PID + 1;
            process.ends(EXECUTED);
        }
        Outcome::Result(pid(process.pid))
    }

    fn state(&self, id: &str, exec: &str) -> Outcome {
        let Some(process) = self.processes.get(exec) else { return no_task() };
        let mut state = Writer::new().text(1, if exec.is_empty() { id } else { exec });
        if !self.bundle.is_empty() {
            state = state.text(2, &self.bundle);
        }
        if process.pid > 0 {
            state = state.uint(3, process.pid);
        }
        state = state.uint(4, process.status);
        if let Some(exit) = process.exit.filter(|exit| *exit > 0) {
            state = state.uint(9, exit);
        }
        Outcome::Result(state.message(10, process.ended_at()).finish())
    }
}

fn pid(pid: u64) -> Bytes {
    Writer::new().uint(1, pid).finish()
}

/// A shim, seen from the host on which it runs.
struct Host {
    tasks: Arc<Mutex<Tasks>>,
    bundle: PathBuf,
    /// What says how the shim is reached, before a daemon has looked.
    before: Files,
}

impl Host {
    fn bring(&mut self, condition: &str) -> std::io::Result<()> {
        let mut tasks = locked(&self.tasks);
        let is_found = operations::is_found(condition);
        match condition {
            _ if is_found || condition == operations::RUNNING => {
                let first = Process { pid: TASK_PID, status: RUNNING, ..Process::default() };
                let task =
                    Task { bundle: "/run/bundle/c1".to_owned(), processes: [(String::new(), first)].into() };
                tasks.tasks.insert("c1".to_owned(), task);
                (tasks.had, tasks.ran) = (true, true);
            }
            operations::UNHEARD => tasks.unheard = true,
            operations::CLEANED_UP => {
                tasks.tasks.clear();
                tasks.cleaned_up = true;
            }
            _ => {}
        }
        drop(tasks);
        if condition == operations::CLEANED_UP {
            return Files::default().write(&self.bundle);
        }
        if is_found {
            state::change(condition, &self.bundle)?;
        }
        self.before = Files::read(&self.bundle);
        Ok(())
    }
}

impl Outside for Host {
    fn prepare<'a>(
        &'a mut self,
        _address: &'a Address,
        condition: &'a str,
    ) -> BoxFuture<'a, Result<(), LaunchError>> {
        let brought = self.bring(condition);
        let failed =
            |error| LaunchError::new("bring the shim into its condition", LaunchErrorKind::Io(error));
        Box::pin(std::future::ready(brought.map_err(failed)))
    }

    fn effects(&mut self, is_gone: bool, recorder: &Recorder) {
        protocol::effects::effect(recorder, operations::SHIM, if is_gone { "no" } else { "yes" });
        state::write(&self.before, &self.bundle, recorder);
        let tasks = locked(&self.tasks);
        if tasks.ran {
            protocol::effects::effect(recorder, RUNS, if tasks.cleaned_up { "no" } else { "yes" });
        }
        let is_running = |task: &Task| task.processes.get("").is_some_and(|first| first.status == RUNNING);
        let container = match tasks.tasks.values().next() {
            Some(task) if is_running(task) => "running",
            Some(_) => "stopped",
            None if tasks.had => "gone",
            None => "none",
        };
        protocol::effects::effect(recorder, operations::CONTAINER, container);
    }
}
