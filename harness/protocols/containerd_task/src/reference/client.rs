//! The reference client: a daemon that does with a shim what its release does.

use std::io;
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use matrix::{Build, CaseKind, Role};
use protocol::defect::Switches;
use protocol::reference::Part;
use protocol::reference::call::{self, Tools, Trace};
use protocol::{Made, effects};
use session::{Address, Client, ClientReport, LaunchError, LaunchErrorKind, Recorder, Server};
use transcript::{ConnId, ExitStatus};
use ttrpc::Values;
use ttrpc::reference::client::{Called, Calls, Failed, done, end, exit};
use verdict::checks::{LOADS, Loads};
use wire::protobuf::Writer;

use super::defects::{self, DEFECTS};
use crate::bootstrap::{self, OF_2_X, Reached, Said, UNSAID};
use crate::dialect::{AsksOn, DIALECTS, Dialect, TASK_V2, TASK_V3, Unreachable};
use crate::operations::{self, Operation};
use crate::state::Files;

/// How long a daemon waits for anything.
const PATIENCE: Duration = Duration::from_secs(5);
/// The only connection of an operation.
const CONN: ConnId = ConnId(1);
/// The container of every operation, and its bundle.
const ID: &str = "c1";
const BUNDLE: &str = "/run/bundle/c1";
/// `SIGKILL` and `SIGTERM`.
const SIGKILL: u64 = 9;
const SIGTERM: u64 = 15;
/// The number of a state.
const RUNNING: u64 = 2;

/// A daemon with defects switched on.
///
/// # Errors
/// No dialect of that version, or no defect of that name.
pub(crate) fn client(build: &Build, switched_on: &[String]) -> Made<dyn Client> {
    let part = Part::of(build, Role::Client, &DIALECTS, &DEFECTS, switched_on)?;
    let daemons = Daemons { dialect: part.dialect, switches: part.switches.clone() };
    Ok(call::client(part.endpoint("containerd"), daemons))
}

struct Daemons {
    dialect: &'static Dialect,
    switches: Switches,
}

impl Tools for Daemons {
    type Operation = Operation;

    /// Those with real containers are not for reference daemons.
    fn operation(&self, name: &str) -> Option<&'static Operation> {
        let is_real = |operation: &Operation| {
            [operations::LEFT_BY_DAEMON, operations::INSTALLED].contains(&operation.before)
        };
        operations::operation(name).filter(|operation| !is_real(operation))
    }

    async fn carry_out(
        &self,
        operation: &'static Operation,
        server: &mut dyn Server,
        recorder: &Recorder,
        deadline: Duration,
    ) -> Result<ClientReport, LaunchError> {
        // What real shims do takes real time, and only they have no machine of ours.
        let patience = if server.machine().is_some() { PATIENCE.min(deadline / 2) } else { PATIENCE };
        let found = self.find(operation, server, recorder, patience).await?;
        let ended = if operation.kind == CaseKind::State {
            effects::claim(recorder, LOADS, if found.is_ok() { Loads::Yes } else { Loads::No }.word());
            // Whatever it finds, a daemon comes up.
            Some(ExitStatus::Code(0))
        } else {
            let done = match found {
                Ok(shim) => shim.carry_out(operation, self, recorder).await,
                Err(Failed::Refused) => self.without_shim(operation, recorder),
                Err(lost) => Err(lost),
            };
            exit(done)
        };
        Ok(end(server, recorder, ended).await)
    }
}

impl Daemons {
    /// Finds a shim, which must answer. A daemon that has not started it itself may clean up behind one that it does not find, and
    /// writes down for others what it has found.
    async fn find(
        &self,
        operation: &Operation,
        server: &mut dyn Server,
        recorder: &Recorder,
        patience: Duration,
    ) -> Result<Result<Shim, Failed>, LaunchError> {
        let services = self.services(operation, server.machine());
        let trace = Some((recorder.clone(), CONN));
        let found = match services.is_empty() {
            true => Err(Failed::Refused),
            false => self.meet(server.address(), &services, trace, patience).await,
        };
        if !operation.starts_shim() {
            match (&found, server.machine()) {
                (Ok(_), Some(machine)) => {
                    let failed = |error| LaunchError::new("write bootstrap.json", LaunchErrorKind::Io(error));
                    self.migrate(machine).map_err(failed)?;
                }
                (Err(Failed::Refused), _) => self.give_up(server).await?,
                _ => {}
            }
        }
        Ok(found)
    }

    /// The task services for which it asks a shim, one after the other. A shim without a machine of ours is real, and one that
    /// speaks the daemon's own.
    fn services(&self, operation: &Operation, machine: Option<&Path>) -> Vec<&'static str> {
        let Some(machine) = machine else { return vec![self.dialect.task] };
        if self.switches.has(defects::REFUSES_KEYS) && bootstrap::has_unknown_keys(machine) {
            return Vec::new();
        }
        match (bootstrap::read(machine, self.dialect), self.asks_on()) {
            (Reached::By(TASK_V3), _)
                if operation.starts_shim() && self.switches.has(defects::READS_TEXT) =>
            {
                Vec::new()
            }
            (Reached::By(_), _) if self.switches.has(defects::OWN_SERVICE) => vec![self.dialect.task],
            (Reached::By(service), AsksOn::Nothing) => vec![service],
            (Reached::By(TASK_V2), AsksOn::Unimplemented) => vec![TASK_V2],
            (Reached::By(service), _) => vec![service, other(service)],
            (Reached::Somehow, AsksOn::Anything) => vec![TASK_V3, TASK_V2],
            (Reached::Somehow | Reached::Unknown, _) => Vec::new(),
        }
    }

    /// When it asks for another task service.
    fn asks_on(&self) -> AsksOn {
        if self.switches.has(defects::TAKES_ITS_WORD) { AsksOn::Nothing } else { self.dialect.asks_on }
    }

    /// Meets a shim by the first of these task services that it has. For the next one is asked only where a daemon does so.
    async fn meet(
        &self,
        address: &Address,
        services: &[&'static str],
        trace: Trace,
        patience: Duration,
    ) -> Result<Shim, Failed> {
        let mut calls = Calls::connect(address, trace, patience).await?.with_faults(&self.switches);
        let connect = Writer::new().text(1, ID).finish();
        for service in services {
            match calls.call(service, "Connect", &connect).await? {
                Called::Done(_) => return Ok(Shim { calls, service }),
                refused if refused.is_unknown() || self.asks_on() == AsksOn::Anything => {}
                Called::Failed { .. } => break,
            }
        }
        Err(Failed::Refused)
    }

    /// Writes down for daemons of 2.x what one of 1.x has written down.
    fn migrate(&self, machine: &Path) -> io::Result<()> {
        let files = Files::read(machine);
        let said = files.address.as_deref().and_then(Said::text);
        let Some(said) = said.filter(|_| self.dialect.migrates && files.bootstrap.is_none()) else {
            return Ok(());
        };
        let version = if self.switches.has(defects::MIGRATES_AS_OWN) { OF_2_X } else { UNSAID };
        let bootstrap = Some(said.written(&version.to_string(), "").into_bytes());
        let address = files.address.filter(|_| !self.switches.has(defects::MOVES_ADDRESS));
        Files { address, bootstrap }.write(machine)
    }

    /// Leaves a container alone whose shim cannot be reached, or kills it.
    async fn give_up(&self, server: &mut dyn Server) -> Result<(), LaunchError> {
        let kills =
            [defects::CLEANS_UP, defects::TAKES_ITS_WORD].iter().any(|defect| self.switches.has(defect));
        if kills || self.dialect.unreachable == Unreachable::Killed {
            server.prepare(operations::CLEANED_UP).await
        } else {
            Ok(())
        }
    }

    /// A daemon that starts goes on without the containers that it could not reach; the ideal one says so.
    fn without_shim(&self, operation: &Operation, recorder: &Recorder) -> Result<(), Failed> {
        if operation.starts_shim() {
            let names_it = self.dialect.names_version && !self.switches.has(defects::READS_TEXT);
            effects::claim(recorder, operations::REFUSED, if names_it { "version" } else { "address" });
        }
        let says_so = operation.starts_shim() || self.dialect.says_unreachable;
        if says_so { Err(Failed::Refused) } else { Ok(()) }
    }
}

/// The other task service.
fn other(service: &str) -> &'static str {
    if service == TASK_V2 { TASK_V3 } else { TASK_V2 }
}

/// A shim that was met: it has answered Connect.
struct Shim {
    calls: Calls,
    service: &'static str,
}

impl Shim {
    async fn carry_out(
        mut self,
        operation: &Operation,
        daemon: &Daemons,
        recorder: &Recorder,
    ) -> Result<(), Failed> {
        match operation.name {
            "lifecycle" => self.lifecycle(SIGTERM, daemon, recorder).await,
            // A container that has only just begun has no handler for anything else.
            "unheard" => self.lifecycle(SIGKILL, daemon, recorder).await,
            _ => self.reload(daemon, recorder).await,
        }
    }

    async fn call(&mut self, method: &str, argument: Writer) -> Result<Bytes, Failed> {
        done(self.calls.call(self.service, method, &argument.finish()).await?)
    }

    async fn lifecycle(&mut self, signal: u64, daemon: &Daemons, recorder: &Recorder) -> Result<(), Failed> {
        let of_task = || Writer::new().text(1, ID);
        self.call("Create", of_task().text(2, BUNDLE)).await?;
        self.call("Start", of_task()).await?;
        let waits = self.calls.begin(self.service, "Wait", &of_task().finish()).await?;
        self.call("Kill", of_task().uint(3, signal)).await?;
        let waited = done(self.calls.end(waits).await?)?;
        let status = if daemon.switches.has(defects::INVENTS_STATUS) { 0 } else { Values(&waited).uint(1) };
        effects::claim(recorder, operations::STATUS, &status.to_string());
        self.call("Delete", of_task()).await?;
        // A shim may be gone before it has answered.
        let _ = self.calls.call(self.service, "Shutdown", &of_task().finish()).await;
        Ok(())
    }

    /// What a daemon does that finds a container, and what `ctr` asks it for then.
    async fn reload(&mut self, daemon: &Daemons, recorder: &Recorder) -> Result<(), Failed> {
        let of_task = || Writer::new().text(1, ID);
        if daemon.dialect.asks_pids {
            self.call("Pids", of_task()).await?;
        }
        self.call("State", of_task()).await?;
        if daemon.switches.has(defects::REUSES_STREAMS) {
            self.calls.number_anew();
        }
        if daemon.switches.has(defects::SPEAKS_TWO) {
            self.service = other(self.service);
        }
        self.call("Pause", of_task()).await?;
        self.call("Resume", of_task()).await?;
        let state = self.call("State", of_task()).await?;
        let is_running = Values(&state).uint(4) == RUNNING;
        effects::claim(recorder, operations::STATE, if is_running { "running" } else { "not running" });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a daemon writes next to an `address`, and what all daemons find then.
    #[test]
    fn what_a_daemon_has_migrated_is_found_by_all() {
        #[track_caller]
        fn check(daemon: &str, became: &str, migrated: Option<&str>) {
            let dialect = |name: &str| DIALECTS.named(name).expect("a release of the table");
            let machine = tempfile::tempdir().expect("a temporary directory");
            bootstrap::write(machine.path(), dialect("1.7"), "unix:///run/s").expect("it can be written");
            let was = Files::read(machine.path());
            let daemon = Daemons { dialect: dialect(daemon), switches: Switches::default() };
            daemon.migrate(machine.path()).expect("it can be written");
            let is = Files::read(machine.path());
            assert_eq!((was.became(&is), was.migrated(&is).as_deref()), (became, migrated));
            for other in DIALECTS.all() {
                assert_eq!(bootstrap::read(machine.path(), other), Reached::By(TASK_V2), "{}", other.name);
            }
        }
        for daemon in ["1.4", "1.6", "1.7"] {
            check(daemon, "kept", None);
        }
        for daemon in ["2.1", "ideal"] {
            check(daemon, "added", Some("2"));
        }
    }
}
