//! Reference clients: virsh of a release, without its process.
//!
//! ```text
//! virsh.rs      a session: opening, closing, what an answer is taken for
//! commands.rs   what each command calls and prints     lists.rs   lists and what they fall back to
//! defects.rs    faults that can be switched on
//! ```

mod commands;
mod defects;
mod lists;
mod virsh;

use std::time::Duration;

use matrix::{Build, Role};
use session::{BoxFuture, Client, ClientReport, LaunchError, LaunchErrorKind, Recorder, Server};
use transcript::{ConnId, Endpoint, ExitStatus};

use protocol::defect::Switches;

use super::super::beside::Beside;
use super::super::claims::{self, Printed};
use super::super::dialect::{DIALECTS, Dialect, NoReply};
use super::super::operations::{self, Operation};
use super::super::rpc::{Habits, Rpc};
use virsh::Virsh;

pub(crate) use defects::CLIENT_DEFECTS;

/// How long a client that gives up waits for an answer.
const PATIENCE: Duration = Duration::from_millis(1500);

/// virsh of one release.
#[derive(Debug, Clone)]
pub(crate) struct ReferenceClient {
    endpoint: Endpoint,
    dialect: &'static Dialect,
    switches: Switches,
}

impl ReferenceClient {
    /// Prepares virsh of a build with defects switched on.
    ///
    /// # Errors
    /// There is no dialect of that version, or no defect of that name.
    pub(crate) fn new(build: &Build, switched_on: &[String]) -> Result<Self, LaunchError> {
        let setup = |why: String| {
            LaunchError::new(format!("use reference client {}", build.id), LaunchErrorKind::Setup(why))
        };
        let dialect = DIALECTS
            .for_version(&build.dialect)
            .ok_or_else(|| setup(format!("no dialect `{}`", build.dialect)))?;
        let switches =
            Switches::on(CLIENT_DEFECTS, Role::Client, switched_on).map_err(|why| setup(why.to_string()))?;
        Ok(Self { endpoint: endpoint(build, &switches), dialect, switches })
    }

    async fn operate(
        &self,
        operation: &'static Operation,
        server: &mut dyn Server,
        recorder: &Recorder,
        deadline: Duration,
    ) -> ClientReport {
        operation.announce(recorder);
        let address = server.address().clone();
        let mut beside = Beside::open(&address).await;
        let trace = (recorder.clone(), ConnId(1));
        let session = async {
            let Ok(rpc) = Rpc::connect(&address, Some(trace), self.habits()).await else {
                return (1, String::new(), "error: failed to connect to the hypervisor\n".to_owned(), None);
            };
            let mut virsh = Virsh::new(rpc, self.dialect, &self.switches);
            let exit = virsh.carry_out(operation).await;
            (exit, virsh.stdout, virsh.stderr, virsh.file)
        };
        let ended = beside.during(operation, tokio::time::timeout(deadline, session)).await;
        let (exit, stdout, stderr, file) = match ended {
            Ok((exit, stdout, stderr, file)) => (Some(ExitStatus::Code(exit)), stdout, stderr, file),
            Err(_elapsed) => (None, String::new(), String::new(), None),
        };
        protocol::effects::claim_exit(recorder, exit);
        let printed = Printed { stdout: &stdout, stderr: &stderr, file: file.as_deref() };
        beside.report(operation, &claims::read(operation, &printed), recorder).await;
        server.effects(recorder).await;
        ClientReport { exit, stdout: stdout.into_bytes(), stderr: stderr.into_bytes() }
    }

    fn habits(&self) -> Habits {
        let deaf = self.switches.has(defects::WAITS_FOR_EVER);
        let gives_up = self.dialect.client.no_reply == NoReply::GivesUp && !deaf;
        Habits {
            expects_next_serial: self.switches.has(defects::MISTAKES_SERIALS),
            ignores_errors: deaf,
            patience: gives_up.then_some(PATIENCE),
        }
    }
}

impl Client for ReferenceClient {
    fn endpoint(&self) -> Endpoint {
        self.endpoint.clone()
    }

    fn run<'a>(
        &'a self,
        operation: &'a str,
        server: &'a mut dyn Server,
        recorder: &'a Recorder,
        deadline: Duration,
    ) -> BoxFuture<'a, Result<ClientReport, LaunchError>> {
        Box::pin(async move {
            let what = || format!("run {}", self.endpoint.id);
            let Some(found) = operations::operation(operation) else {
                let why = format!("no operation `{operation}`");
                return Err(LaunchError::new(what(), LaunchErrorKind::Setup(why)));
            };
            if let Some(why) = found.lacking_in(self.dialect.name) {
                return Err(LaunchError::new(what(), LaunchErrorKind::Setup(why)));
            }
            Ok(self.operate(found, server, recorder, deadline).await)
        })
    }
}

/// Who a reference client is, for the provenance of transcripts.
fn endpoint(build: &Build, switches: &Switches) -> Endpoint {
    let faults: Vec<_> = switches.names().collect();
    let faults = (!faults.is_empty()).then(|| (verdict::FAULTS.to_owned(), faults.join(" ")));
    Endpoint {
        id: build.id.to_string(),
        name: "virsh (reference)".to_owned(),
        version: Some(build.version.clone()),
        source: Some("reference".to_owned()),
        modified: faults.is_some(),
        details: faults.into_iter().collect(),
        ..Endpoint::default()
    }
}

#[cfg(test)]
mod tests;
