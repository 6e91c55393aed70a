//! The reference host: carries out scenarios against a port and writes down what passes.
//!
//! What it says is decided by [`Host`]; a scenario says what happens to it and to the agent. Time that a scenario counts
//! in passes is waited for, and where heartbeats belong to it they are waited for as well, so that a machine under load
//! makes a scenario longer and not another one.

mod real;
mod run;

use std::time::Duration;

use matrix::{Build, Role};
use session::{BoxFuture, Client, ClientReport, LaunchError, LaunchErrorKind, Recorder, Server};
use transcript::{Endpoint, EventKind, ExitStatus};

use protocol::defect::Switches;

use super::server::HEARTBEAT_MS;
use super::settings::Settings;
use crate::defects::DEFECTS;
use crate::dialect::DIALECTS;
use crate::dialect::HostFacts;
use crate::scenarios::{self, PASSES_PER_HEARTBEAT, Scenario};
use protocol::launch::CommandLine;
use run::Run;

/// How many times longer than planned heartbeats are waited for.
const PATIENCE: u32 = 4;

/// The host of one release.
#[derive(Debug, Clone)]
pub(crate) struct ReferenceHost {
    endpoint: Endpoint,
    version: String,
    facts: HostFacts,
    switches: Switches,
    settings: Settings,
    /// A real host stands where the build does, started by this line.
    command: Option<CommandLine>,
}

impl ReferenceHost {
    /// Prepares the host of a build with defects switched on.
    ///
    /// # Errors
    /// No host of that version, no such setting, or no defect of that name.
    pub(crate) fn new(build: &Build, switched_on: &[String]) -> Result<Self, LaunchError> {
        let error = |why: String| {
            LaunchError::new(format!("use reference host {}", build.id), LaunchErrorKind::Setup(why))
        };
        let switches =
            Switches::on(DEFECTS, Role::Client, switched_on).map_err(|why| error(why.to_string()))?;
        Ok(Self {
            endpoint: super::endpoint(build, "vdsm", &switches),
            version: build.version.clone(),
            facts: find(&build.dialect).map_err(error)?,
            switches,
            settings: Settings::read(&build.settings).map_err(error)?,
            command: None,
        })
    }

    /// The same with a real host in the place of the build.
    pub(crate) fn with_command(self, line: CommandLine, endpoint: Endpoint) -> Self {
        Self { endpoint, command: Some(line), ..self }
    }

    async fn carry_out(
        &self,
        scenario: &Scenario,
        server: &mut dyn Server,
        recorder: &Recorder,
    ) -> Result<ClientReport, LaunchError> {
        if !scenario.hooks {
            server.prepare(super::NO_HOOKS).await?;
        }
        let mut run = Run::new(self, recorder, self.settings.pass().max(pass_of(server)));
        for step in &scenario.steps {
            run.step(step, server).await?;
        }
        let version = run.last_version().map_or_else(|| "none".to_owned(), |version| version.to_string());
        let stdout = format!("the last host was at version {version}\n").into_bytes();
        Ok(ClientReport { exit: Some(ExitStatus::Code(0)), stdout, stderr: Vec::new() })
    }
}

/// The pass of the agent behind a port: a real one has its own.
fn pass_of(server: &mut dyn Server) -> Duration {
    let look = Recorder::new();
    server.watch(&look);
    let heartbeat_ms = look.take().into_iter().find_map(|event| match event.kind {
        EventKind::Observe { key, value } if key == HEARTBEAT_MS => value.parse().ok(),
        _ => None,
    });
    Duration::from_millis(heartbeat_ms.unwrap_or(0)) / PASSES_PER_HEARTBEAT
}

fn find(version: &str) -> Result<HostFacts, String> {
    let facts = DIALECTS.for_version(version).and_then(|dialect| dialect.host.clone());
    facts.ok_or_else(|| format!("no host `{version}`"))
}

impl Client for ReferenceHost {
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
            let scenario = scenarios::scenario(operation).ok_or_else(|| {
                LaunchError::new(what(), LaunchErrorKind::Setup(format!("no scenario `{operation}`")))
            })?;
            // Long periods make long scenarios; the deadline is for those that hang.
            let planned = self.settings.pass().max(pass_of(server)) * scenario.passes();
            let limit = deadline.max(planned * (PATIENCE + 1));
            match tokio::time::timeout(limit, self.carry_out(scenario, server, recorder)).await {
                Ok(done) => done,
                Err(_elapsed) => Ok(ClientReport { exit: None, stdout: Vec::new(), stderr: Vec::new() }),
            }
        })
    }
}
