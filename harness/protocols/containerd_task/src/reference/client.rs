//! The reference client: a daemon that does with a shim what its release does.

use std::time::Duration;

use bytes::Bytes;
use matrix::{Build, CaseKind, Role};
use protocol::defect::Switches;
use protocol::reference::Part;
use protocol::reference::call::{self, Tools};
use protocol::{Made, effects};
use session::{Client, ClientReport, LaunchError, Recorder, Server};
use transcript::{ConnId, ExitStatus};
use ttrpc::Values;
use ttrpc::reference::client::{Called, Calls, Lost};
use verdict::checks::{LOADS, Loads};
use wire::protobuf::Writer;

use super::defects::{self, DEFECTS};
use crate::bootstrap::{self, Reached};
use crate::dialect::{DIALECTS, Dialect, TASK_V2, TASK_V3, Unreachable};
use crate::operations::{self, Operation};

/// How long a daemon waits for anything.
const PATIENCE: Duration = Duration::from_secs(5);
/// The only connection of an operation.
const CONN: ConnId = ConnId(1);
/// The container of every operation, and its bundle.
const ID: &str = "c1";
const BUNDLE: &str = "/run/bundle/c1";
/// `SIGTERM`.
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
        let patience = PATIENCE.min(deadline / 2);
        let reached = self.reach(operation, server).await?;
        if operation.kind == CaseKind::State {
            let loads = if reached.is_some() { Loads::Yes } else { Loads::No };
            effects::claim(recorder, LOADS, loads.word());
            effects::claim_exit(recorder, Some(ExitStatus::Code(0)));
            server.effects(recorder).await;
            return Ok(ClientReport {
                exit: Some(ExitStatus::Code(0)),
                stdout: Vec::new(),
                stderr: Vec::new(),
            });
        }
        let done = match reached {
            Some(service) => {
                let trace = Some((recorder.clone(), CONN));
                let calls = Calls::connect(server.address(), trace, patience).await;
                match calls.map(|calls| calls.with_faults(&self.switches)) {
                    Ok(calls) => Shim { calls, service }.carry_out(operation, self, recorder).await,
                    Err(lost) => Err(lost.into()),
                }
            }
            None => self.without_shim(operation),
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
        let starts = operation.before == operations::IDLE;
        let Some(bundle) = server.machine() else { return Ok(Some(self.dialect.task)) };
        let reached = match starts {
            true => bootstrap::started(bundle, self.dialect),
            false => bootstrap::read(bundle, self.dialect),
        };
        match reached {
            Reached::By(_) if self.switches.has(defects::OWN_SERVICE) => Ok(Some(self.dialect.task)),
            Reached::By(service) => Ok(Some(service)),
            Reached::TooNew | Reached::Unknown => {
                let kills =
                    self.dialect.unreachable == Unreachable::Killed || self.switches.has(defects::CLEANS_UP);
                if !starts && kills {
                    server.prepare(operations::CLEANED_UP).await?;
                }
                Ok(None)
            }
        }
    }

    /// A daemon that starts goes on without the containers that it could not reach; the ideal one says so.
    fn without_shim(&self, operation: &Operation) -> Result<(), Failed> {
        let says_so = operation.before == operations::IDLE || self.dialect.unreachable == Unreachable::Kept;
        if says_so { Err(Failed::Refused) } else { Ok(()) }
    }
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
            "lifecycle" => self.lifecycle(daemon, recorder).await,
            _ => self.reload(daemon, recorder).await,
        }
    }

    async fn call(&mut self, method: &str, argument: Writer) -> Result<Bytes, Failed> {
        match self.calls.call(self.service, method, &argument.finish()).await? {
            Called::Done(result) => Ok(result),
            Called::Failed { .. } => Err(Failed::Refused),
        }
    }

    async fn lifecycle(&mut self, daemon: &Daemons, recorder: &Recorder) -> Result<(), Failed> {
        let of_task = || Writer::new().text(1, ID);
        self.call("Connect", of_task()).await?;
        self.call("Create", of_task().text(2, BUNDLE)).await?;
        self.call("Start", of_task()).await?;
        let waits = self.calls.begin(self.service, "Wait", &of_task().finish()).await?;
        self.call("Kill", of_task().uint(3, SIGTERM)).await?;
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
        if daemon.dialect.family.numbers_increase || daemon.dialect.unreachable == Unreachable::Kept {
            self.call("Pids", of_task()).await?;
        }
        self.call("State", of_task()).await?;
        if daemon.switches.has(defects::REUSES_STREAMS) {
            self.calls.number_anew();
        }
        if daemon.switches.has(defects::SPEAKS_TWO) {
            self.service = if self.service == TASK_V2 { TASK_V3 } else { TASK_V2 };
        }
        self.call("Pause", of_task()).await?;
        self.call("Resume", of_task()).await?;
        let state = self.call("State", of_task()).await?;
        let is_running = Values(&state).uint(4) == RUNNING;
        effects::claim(recorder, operations::STATE, if is_running { "running" } else { "not running" });
        Ok(())
    }
}
