//! Reference clients: the tools of a release, without their processes.

use std::time::Duration;

use matrix::{Build, Role};
use session::{BoxFuture, Client, ClientReport, LaunchError, LaunchErrorKind, Recorder, Server};
use transcript::{Endpoint, ExitStatus};

use protocol::defect::Switches;

use super::super::dialect::{ClientFacts, DIALECTS};
use super::super::effects::{self, Operation};
use super::asking::{Asker, Ended};
use super::defects::DEFECTS;
use super::machine::Machine;

/// The tools of one release.
#[derive(Debug, Clone)]
pub(crate) struct ReferenceClient {
    endpoint: Endpoint,
    facts: ClientFacts,
    switches: Switches,
}

impl ReferenceClient {
    /// Prepares the tools of a build with defects switched on.
    ///
    /// # Errors
    /// No client of that dialect was measured, or there is no defect of that name.
    pub(crate) fn new(build: &Build, switched_on: &[String]) -> Result<Self, LaunchError> {
        let setup = |why: String| {
            LaunchError::new(format!("use reference client {}", build.id), LaunchErrorKind::Setup(why))
        };
        let dialect = DIALECTS
            .for_version(&build.dialect)
            .ok_or_else(|| setup(format!("no dialect `{}`", build.dialect)))?;
        let facts = dialect
            .client
            .ok_or_else(|| setup(format!("no client of dialect `{}` was measured", dialect.name)))?;
        let switches =
            Switches::on(DEFECTS, Role::Client, switched_on).map_err(|why| setup(why.to_string()))?;
        Ok(Self { endpoint: super::endpoint(build, &switches), facts, switches })
    }

    async fn operate(
        &self,
        operation: &'static Operation,
        server: &mut dyn Server,
        recorder: &Recorder,
        deadline: Duration,
    ) -> Result<ClientReport, LaunchError> {
        server.prepare(operation.before.condition()).await?;
        operation.announce(recorder);
        let machine = Machine::of(server);
        let mut asker = Asker {
            facts: self.facts,
            switches: &self.switches,
            address: server.address(),
            recorder,
            tool: operation.command.first().copied().unwrap_or_default(),
            conns: 0,
            stdout: String::new(),
        };
        let ended = tokio::time::timeout(deadline, asker.carry_out(operation.name, &machine)).await;
        let exit = match ended {
            Err(_elapsed) => None,
            Ok(Ok(())) => Some(ExitStatus::Code(0)),
            Ok(Err(Ended::Exit(code))) => Some(ExitStatus::Code(code)),
            Ok(Err(Ended::Signal(signal))) => Some(ExitStatus::Signal(signal)),
        };
        let stdout = asker.stdout.into_bytes();
        effects::claim_exit(recorder, exit);
        server.effects(recorder).await;
        Ok(ClientReport { exit, stdout, stderr: Vec::new() })
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
            match effects::operation(operation).filter(|operation| !operation.signals_init) {
                Some(operation) => self.operate(operation, server, recorder, deadline).await,
                None => {
                    let why = format!("no operation `{operation}` of a reference client");
                    Err(LaunchError::new(format!("run {}", self.endpoint.id), LaunchErrorKind::Setup(why)))
                }
            }
        })
    }
}
