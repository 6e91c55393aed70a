//! What an agent answers to each call.

use std::collections::BTreeMap;
use std::future::ready;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use protocol::defect::Switches;
use protocol::effects::UNTOLD;
use protocol::reference::serve::Outside;
use session::{Address, BoxFuture, LaunchError, LaunchErrorKind, Recorder};
use ttrpc::Values;
use ttrpc::envelope::{Call, code};
use ttrpc::reference::server::{Outcome, Replies, Service, Ticket};
use verdict::checks::{FILES, RUNS};
use wire::protobuf::Writer;
use wire::protobuf::schema::Method;

use super::container::{
    Container, Granted, SeccompLayout, Signal, Vocabulary, Wrong, look_through, look_through_process,
};
use super::defects;
use crate::dialect::Dialect;
use crate::persist::Files;
use crate::{operations, persist};

/// The size of a block of memory that is said.
const MEMORY_BLOCK: u64 = 128 << 20;
/// Where files may be copied to.
const SHARED: &str = "/run/kata-containers/";
/// `SIGKILL` and `SIGTERM`.
const SIGKILL: u64 = 9;
const SIGTERM: u64 = 15;
/// What is said of a container that is not there.
const NO_CONTAINER: &str = "Invalid container id";

/// What an agent has; what is behind it can be looked at from outside.
#[derive(Debug, Default)]
pub(super) struct Guest {
    sandbox: Option<String>,
    containers: BTreeMap<String, Container>,
    neighbours: usize,
    is_interface_up: bool,
    /// Whether the sandbox was ended, also one that another runtime has left behind.
    is_destroyed: bool,
    mounts_updated: bool,
    removed: usize,
    granted: Option<Granted>,
}

/// An agent of a release, with faults.
pub(super) struct Agent {
    dialect: &'static Dialect,
    switches: Switches,
    guest: Arc<Mutex<Guest>>,
    /// Where the runtime of its release has written down its sandbox.
    directory: PathBuf,
    /// What it has written there.
    files: Files,
}

impl Agent {
    pub(super) fn new(
        dialect: &'static Dialect,
        switches: Switches,
        directory: PathBuf,
        files: Files,
    ) -> Self {
        Self { dialect, switches, guest: Arc::default(), directory, files }
    }

    fn guest(&self) -> MutexGuard<'_, Guest> {
        // Every change leaves it in order.
        self.guest.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Service for Agent {
    fn call(&mut self, ticket: Ticket, call: &Call<'_>, replies: &mut Replies) {
        let argument = Values(call.payload);
        let outcome = match (call.service, call.method) {
            ("grpc.Health", "Check") => Some(Outcome::Result(Writer::new().uint(1, 1).finish())),
            ("grpc.Health", _) => Some(self.version()),
            (_, "WaitProcess") => self.wait(ticket, argument),
            (_, "SignalProcess") => Some(self.signal(argument, replies)),
            (_, "RemoveContainer") => Some(self.remove(argument, replies)),
            // Nothing ever runs out of memory here.
            (_, "GetOOMEvent") => None,
            (_, method) => self.ordinary(method, argument),
        };
        if let Some(outcome) = outcome {
            replies.answer(ticket, outcome);
        }
    }

    fn unknown(&self, call: &Call<'_>) -> String {
        format!("/{} does not exist", call.name())
    }

    fn unsupported(&self, method: &Method) -> Option<Outcome> {
        let (_, code) = self.dialect.not_there.iter().find(|(name, _)| *name == method.name)?;
        Some(Outcome::failure(*code, format!("/grpc.AgentService/{} is not supported", method.name)))
    }

    fn outside(&self) -> Option<Box<dyn Outside>> {
        let (guest, directory, files) = (Arc::clone(&self.guest), self.directory.clone(), self.files.clone());
        let (service, method) = operations::UPDATE_MOUNTS;
        let has_mounts = self.dialect.schema().method(service, method).is_some();
        Some(Box::new(GuestSeen { guest, directory, files, has_mounts }))
    }
}

fn internal(message: impl Into<String>) -> Outcome {
    Outcome::failure(code::INTERNAL, message)
}

fn invalid(message: impl Into<String>) -> Outcome {
    Outcome::failure(code::INVALID_ARGUMENT, message)
}

impl Agent {
    /// Methods whose answer needs nothing but the call; `None` for one that is never answered.
    fn ordinary(&mut self, method: &str, argument: Values<'_>) -> Option<Outcome> {
        Some(match method {
            "CreateContainer" => return self.create(argument),
            "ExecProcess" => return self.execute(argument),
            "CreateSandbox" => {
                self.guest().sandbox = Some(argument.text(5));
                Outcome::empty()
            }
            "DestroySandbox" => {
                let mut guest = self.guest();
                (guest.sandbox, guest.is_destroyed) = (None, true);
                Outcome::empty()
            }
            "GetGuestDetails" => self.details(argument),
            "ListInterfaces" => self.interfaces(),
            "GetMetrics" => Outcome::Result(Writer::new().text(1, "# no metrics").finish()),
            "ListRoutes"
            | "GetIPTables"
            | "StartTracing"
            | "StopTracing"
            | "RemoveStaleVirtiofsShareMounts" => Outcome::empty(),
            "UpdateEphemeralMounts" => {
                self.guest().mounts_updated = !self.switches.has(defects::FORGETS_MOUNTS);
                Outcome::empty()
            }
            "ReseedRandomDev" if argument.bytes(2).is_none() && !self.dialect.takes_no_entropy => {
                internal("missing entropy")
            }
            "ReseedRandomDev" => Outcome::empty(),
            "AddARPNeighbors" => self.add_neighbours(argument),
            "UpdateInterface" => self.update_interface(argument),
            "UpdateRoutes" => invalid("empty update request"),
            "CopyFile" if !argument.text(1).starts_with(SHARED) => {
                internal("the path is outside of the shared directory")
            }
            "CopyFile" if argument.uint(2).cast_signed() < 0 => internal("Invalid argument (os error 22)"),
            "AddSwap" | "AddSwapPath" | "GetVolumeStats" | "MemAgentMemcgSet" | "MemAgentCompactSet" => {
                internal("there is no such device")
            }
            "GetDiagnosticData" => invalid("unsupported log type"),
            _ => self.of_container(method, argument),
        })
    }

    /// Methods of one container.
    fn of_container(&mut self, method: &str, argument: Values<'_>) -> Outcome {
        let (id, exec, dialect) = (argument.text(1), argument.text(2), self.dialect);
        let mut guest = self.guest();
        let Some(container) = guest.containers.get_mut(&id) else { return missing(method, dialect) };
        match method {
            "StartContainer" => container.is_started = true,
            "PauseContainer" => container.is_paused = true,
            "ResumeContainer" => container.is_paused = false,
            "StatsContainer" => return Outcome::Result(statistics()),
            "UpdateContainer" | "CloseStdin" => {}
            "TtyWinResize" => return Outcome::failure(code::UNAVAILABLE, "no tty"),
            "WriteStdin" | "ReadStdout" | "ReadStderr" if !container.has(&exec) => {
                return internal("no such process");
            }
            "WriteStdin" => {
                let written = argument.bytes(3).map_or(0, <[u8]>::len);
                return Outcome::Result(Writer::new().uint(1, written as u64).finish());
            }
            "ReadStdout" | "ReadStderr" => {
                let read = container.read(&exec, argument.uint(3), method == "ReadStderr");
                return Outcome::Result(Writer::new().bytes(1, &read).finish());
            }
            _ => return internal("not done here"),
        }
        Outcome::empty()
    }

    fn version(&self) -> Outcome {
        Outcome::Result(Writer::new().text(1, "0.0.1").text(2, self.dialect.version).finish())
    }

    fn details(&self, argument: Values<'_>) -> Outcome {
        let mut agent = Writer::new().text(1, self.dialect.version);
        for handler in self.dialect.storage_handlers {
            agent = agent.text(4, handler);
        }
        let block = if argument.uint(1) != 0 { Writer::new().uint(1, MEMORY_BLOCK) } else { Writer::new() };
        Outcome::Result(block.message(2, agent).finish())
    }

    /// The loopback interface.
    fn interfaces(&self) -> Outcome {
        if self.switches.has(defects::LISTS_NOTHING) {
            return Outcome::empty();
        }
        let (v4, v6) = if self.dialect.families_swapped || self.switches.has(defects::SWAPS_FAMILIES) {
            (1, 0)
        } else {
            (0, 1)
        };
        let address = |family: u64, address: &str, mask: &str| {
            let writer = if family == 0 { Writer::new() } else { Writer::new().uint(1, family) };
            writer.text(2, address).text(3, mask)
        };
        let ends_in_nul = self.dialect.name_ends_in_nul || self.switches.has(defects::NAMES_END_IN_NUL);
        let name = if ends_in_nul { "lo\0" } else { "lo" };
        let lo = Writer::new()
            .text(2, name)
            .message(3, address(v4, "127.0.0.1", "8"))
            .message(3, address(v6, "::1", "128"));
        Outcome::Result(Writer::new().message(1, lo.uint(4, 65536).text(5, "00:00:00:00:00:00")).finish())
    }

    fn add_neighbours(&mut self, argument: Values<'_>) -> Outcome {
        let count = argument.message(1).all(1).count();
        if argument.bytes(1).is_none() {
            return invalid("empty add arp neighbours request");
        }
        self.guest().neighbours += count;
        Outcome::empty()
    }

    /// An interface is found by the address of its hardware; before that, an agent waits for the device where one is named.
    fn update_interface(&mut self, argument: Values<'_>) -> Outcome {
        let Some(interface) = argument.bytes(1) else { return invalid("empty update request") };
        let address = Values(interface).text(6);
        if !address.is_empty() && !self.dialect.addresses.reads(&address) {
            return internal(format!("`{address}` {}", self.dialect.addresses.is_none()));
        }
        if Values(interface).text(5) != operations::HARDWARE {
            return internal("Link not found");
        }
        self.guest().is_interface_up = !self.switches.has(defects::FORGETS_INTERFACE);
        Outcome::Result(bytes::Bytes::copy_from_slice(interface))
    }

    fn layout(&self) -> SeccompLayout {
        if self.dialect.seccomp_of_2_0 { SeccompLayout::Of2_0 } else { SeccompLayout::Of2_1 }
    }

    fn create(&mut self, argument: Values<'_>) -> Option<Outcome> {
        let id = argument.text(1);
        let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        if id.is_empty() || !id.bytes().all(is_name) {
            return Some(internal(format!("invalid container ID {id}")));
        }
        let Some(spec) = argument.bytes(6).map(Values) else {
            return Some(internal("EINVAL: Invalid argument"));
        };
        match look_through(spec, self.layout(), self.vocabulary()) {
            Err(Wrong::Word) if self.hangs_on_words() => None,
            Err(Wrong::Word) => Some(internal("EINVAL: Invalid argument")),
            Err(Wrong::Incomplete(what)) => Some(internal(format!("there is no {what}"))),
            Ok(granted) => {
                let first =
                    Some(argument.text(2)).filter(|exec| !exec.is_empty()).unwrap_or_else(|| id.clone());
                let mut guest = self.guest();
                guest.granted = Some(granted);
                guest.containers.insert(id, Container::new(&first));
                Some(Outcome::empty())
            }
        }
    }

    fn hangs_on_words(&self) -> bool {
        self.dialect.unknown_word_hangs || self.switches.has(defects::HANGS_ON_WORDS)
    }

    fn vocabulary(&self) -> Vocabulary {
        let hangs = self.hangs_on_words();
        Vocabulary {
            knows_flags: self.dialect.knows_flags,
            passes_over_capabilities: self.dialect.passes_over_capabilities && !hangs,
        }
    }

    fn execute(&mut self, argument: Values<'_>) -> Option<Outcome> {
        let Some(process) = argument.bytes(4) else { return Some(internal("there is no process")) };
        if self.hangs_on_words()
            && look_through_process(Values(process), self.vocabulary()) == Err(Wrong::Word)
        {
            return None;
        }
        let (id, exec) = (argument.text(1), argument.text(2));
        let mut guest = self.guest();
        let Some(container) = guest.containers.get_mut(&id) else { return Some(internal(NO_CONTAINER)) };
        container.execute(&exec);
        Some(Outcome::empty())
    }

    fn wait(&mut self, ticket: Ticket, argument: Values<'_>) -> Option<Outcome> {
        let (id, exec) = (argument.text(1), argument.text(2));
        let dialect = self.dialect;
        let mut guest = self.guest();
        let Some(container) = guest.containers.get_mut(&id) else {
            return Some(missing("WaitProcess", dialect));
        };
        if !container.has(&exec) {
            return Some(internal("no such process"));
        }
        container.wait(&exec, ticket).map(exited)
    }

    fn signal(&mut self, argument: Values<'_>, replies: &mut Replies) -> Outcome {
        let (id, exec) = (argument.text(1), argument.text(2));
        let term_kills = self.dialect.sigterm_kills || self.switches.has(defects::SIGTERM_KILLS);
        let signal = match argument.uint(3) {
            SIGTERM if !term_kills => Signal::Term,
            SIGTERM | SIGKILL if self.switches.has(defects::KILLED_EXITS_WELL) => Signal::Kill(0),
            SIGTERM | SIGKILL => Signal::Kill(self.dialect.killed_status),
            _ => Signal::Other,
        };
        let dialect = self.dialect;
        let mut guest = self.guest();
        let Some(container) = guest.containers.get_mut(&id) else { return missing("SignalProcess", dialect) };
        if let Some((waiting, exit)) = container.signal(&exec, signal) {
            for ticket in waiting.into_iter().filter(|_| !self.switches.has(defects::FORGETS_WAITING)) {
                replies.answer(ticket, exited(exit));
            }
        }
        Outcome::empty()
    }

    /// With a container all of its processes end.
    fn remove(&mut self, argument: Values<'_>, replies: &mut Replies) -> Outcome {
        let dialect = self.dialect;
        let mut guest = self.guest();
        let Some(container) = guest.containers.remove(&argument.text(1)) else {
            return missing("RemoveContainer", dialect);
        };
        guest.removed += 1;
        for ticket in container.waiting() {
            replies.answer(ticket, exited(dialect.killed_status));
        }
        Outcome::empty()
    }
}

fn exited(exit: i32) -> Outcome {
    Outcome::Result(Writer::new().int(1, exit.into()).finish())
}

/// Statistics in which something was counted.
fn statistics() -> bytes::Bytes {
    let usage = Writer::new().uint(1, 1_000_000);
    Writer::new().message(1, Writer::new().message(1, Writer::new().message(1, usage))).finish()
}

/// What is said of a container that is not there.
fn missing(method: &str, dialect: &Dialect) -> Outcome {
    let inner = matches!(method, "ReadStdout" | "ReadStderr" | "SignalProcess" | "WaitProcess");
    if inner && dialect.loses_code {
        return internal("rpc status: Status { code: INVALID_ARGUMENT, message: \"InvalidContainerId\" }");
    }
    let code = match method {
        "UpdateContainer" | "StatsContainer" | "PauseContainer" | "ResumeContainer" | "CloseStdin"
        | "ListProcesses" => code::INVALID_ARGUMENT,
        "TtyWinResize" => dialect.no_terminal,
        _ => code::INTERNAL,
    };
    Outcome::failure(code, NO_CONTAINER)
}

/// A guest, seen from the host that runs it.
struct GuestSeen {
    guest: Arc<Mutex<Guest>>,
    directory: PathBuf,
    /// What was written down there when its reader came.
    files: Files,
    /// Whether it can be told to give mounts other sizes.
    has_mounts: bool,
}

impl Outside for GuestSeen {
    /// Somebody else than the runtime of its release has left something behind.
    fn prepare<'a>(
        &'a mut self,
        _address: &'a Address,
        condition: &'a str,
    ) -> BoxFuture<'a, Result<(), LaunchError>> {
        if let Some(left) = persist::left(condition) {
            self.files = left.files();
        }
        let failed = |error| LaunchError::new("leave files behind", LaunchErrorKind::Io(error));
        Box::pin(ready(persist::lay(&self.directory, &self.files).map_err(failed)))
    }

    fn effects(&mut self, _is_gone: bool, recorder: &Recorder) {
        let kept = if persist::lie_alone(&self.directory, &self.files) { "kept" } else { "changed" };
        protocol::effects::effect(recorder, FILES, kept);
        let guest = self.guest.lock().unwrap_or_else(PoisonError::into_inner);
        let effect = |name: &str, value: String| protocol::effects::effect(recorder, name, &value);
        effect(RUNS, if guest.is_destroyed { "no" } else { "yes" }.to_owned());
        effect(operations::CONTAINERS, guest.containers.len().to_string());
        effect(operations::REMOVED, guest.removed.to_string());
        effect(operations::NEIGHBOURS, guest.neighbours.to_string());
        let interface = if guest.is_interface_up { "up" } else { "down" };
        effect(operations::INTERFACE, interface.to_owned());
        effect(operations::SANDBOX, if guest.sandbox.is_some() { "yes" } else { "no" }.to_owned());
        let mounts = match guest.mounts_updated {
            _ if !self.has_mounts => UNTOLD,
            true => "updated",
            false => "as they were",
        };
        effect(operations::MOUNTS, mounts.to_owned());
        if let Some(granted) = &guest.granted {
            effect(operations::RULES, granted.rules.to_string());
            effect(operations::CAPABILITIES, granted.capabilities.join(","));
        }
    }
}
