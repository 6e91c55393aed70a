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
use ttrpc::reference::client::{Called, Calls, Lost};
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

/// Why an operation ended without its end.
enum Failed {
    /// The shim refused, or cannot be reached.
    Refused,
    /// The connection did.
    Lost(Lost),
}

impl From<Lost> for Failed {
    fn from(lost: Lost) -> Self {
        Self::Lost(lost)
    }
}

impl Tools for Daemons {
    type Operation = Operation;

    /// Those with real containers are not for reference daemons.
    fn operation(&self, name: &str) -> Option<&'static Operation> {
        operations::operation(name).filter(|operation| operation.before != operations::LEFT_BY_DAEMON)
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
        if operation.kind == CaseKind::State {
            let finds_it = self.find(server, recorder, patience).await?;
            effects::claim(recorder, LOADS, if finds_it { Loads::Yes } else { Loads::No }.word());
            effects::claim_exit(recorder, Some(ExitStatus::Code(0)));
            server.effects(recorder).await;
            return Ok(ClientReport {
                exit: Some(ExitStatus::Code(0)),
                stdout: Vec::new(),
                stderr: Vec::new(),
            });
        }
        let done = match self.reach(operation, server).await? {
            Some(service) => {
                let trace = Some((recorder.clone(), CONN));
                let calls = Calls::connect(server.address(), trace, patience).await;
                match calls.map(|calls| calls.with_faults(&self.switches)) {
                    Ok(calls) => Shim { calls, service }.carry_out(operation, self, recorder).await,
                    Err(lost) => Err(lost.into()),
                }
            }
            None => self.without_shim(operation, recorder),
        };
        let exit = match done {
            Ok(()) => Some(ExitStatus::Code(0)),
            Err(Failed::Refused | Failed::Lost(Lost::Loudly)) => Some(ExitStatus::Code(1)),
            Err(Failed::Lost(Lost::Silence)) => None,
        };
        effects::claim_exit(recorder, exit);
        server.effects(recorder).await;
        Ok(ClientReport { exit, stdout: Vec::new(), stderr: Vec::new() })
    }
}

impl Daemons {
    /// The service by which a shim is reached; whoever cannot reach one may clean up behind it.
    async fn reach(
        &self,
        operation: &Operation,
        server: &mut dyn Server,
    ) -> Result<Option<&'static str>, LaunchError> {
        let starts = operation.starts_shim();
        let Some(bundle) = server.machine() else { return Ok(Some(self.dialect.task)) };
        match bootstrap::read(bundle, self.dialect) {
            Reached::By(TASK_V3) if starts && self.switches.has(defects::READS_TEXT) => Ok(None),
            Reached::By(_) if self.switches.has(defects::OWN_SERVICE) => Ok(Some(self.dialect.task)),
            Reached::By(service) => Ok(Some(service)),
            Reached::Somehow | Reached::Unknown => {
                if !starts {
                    self.give_up(server).await?;
                }
                Ok(None)
            }
        }
    }

    /// Finds a container that runs, and its shim, which must answer; whether it does.
    async fn find(
        &self,
        server: &mut dyn Server,
        recorder: &Recorder,
        patience: Duration,
    ) -> Result<bool, LaunchError> {
        let Some(machine) = server.machine() else { return Ok(false) };
        let services = match (bootstrap::read(machine, self.dialect), self.asks_on()) {
            (Reached::By(service), AsksOn::Nothing) => vec![service],
            (Reached::By(TASK_V2), AsksOn::Unimplemented) => vec![TASK_V2],
            (Reached::By(service), _) => vec![service, other(service)],
            (Reached::Somehow, AsksOn::Anything) => vec![TASK_V3, TASK_V2],
            (Reached::Somehow | Reached::Unknown, _) => Vec::new(),
        };
        let trace = Some((recorder.clone(), CONN));
        if !services.is_empty() && self.answers(server.address(), &services, trace, patience).await {
            let failed = |error| LaunchError::new("write bootstrap.json", LaunchErrorKind::Io(error));
            self.migrate(machine).map_err(failed)?;
            return Ok(true);
        }
        self.give_up(server).await?;
        Ok(false)
    }

    /// When it asks for another task service.
    fn asks_on(&self) -> AsksOn {
        if self.switches.has(defects::TAKES_ITS_WORD) { AsksOn::Nothing } else { self.dialect.asks_on }
    }

    /// Whether a shim has one of these task services, of which the next one is asked for only where a daemon does so.
    async fn answers(&self, address: &Address, services: &[&str], trace: Trace, patience: Duration) -> bool {
        let Ok(mut calls) = Calls::connect(address, trace, patience).await else { return false };
        let connect = Writer::new().text(1, ID).finish();
        for service in services {
            match calls.call(service, "Connect", &connect).await {
                Ok(Called::Done(_)) => return true,
                Ok(refused) if refused.is_unknown() || self.asks_on() == AsksOn::Anything => {}
                Ok(Called::Failed { .. }) | Err(_) => return false,
            }
        }
        false
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

/// A shim that was reached.
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
        match self.calls.call(self.service, method, &argument.finish()).await? {
            Called::Done(result) => Ok(result),
            Called::Failed { .. } => Err(Failed::Refused),
        }
    }

    async fn lifecycle(&mut self, signal: u64, daemon: &Daemons, recorder: &Recorder) -> Result<(), Failed> {
        let of_task = || Writer::new().text(1, ID);
        self.call("Connect", of_task()).await?;
        self.call("Create", of_task().text(2, BUNDLE)).await?;
        self.call("Start", of_task()).await?;
        let waits = self.calls.begin(self.service, "Wait", &of_task().finish()).await?;
        self.call("Kill", of_task().uint(3, signal)).await?;
        let Called::Done(waited) = self.calls.end(waits).await? else { return Err(Failed::Refused) };
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
        self.call("Connect", of_task()).await?;
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
