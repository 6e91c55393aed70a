//! The reference host: takes part in scenarios against a port and writes down what passes.
//!
//! What it says is decided by [`crate::model::Host`]; the script of a scenario says what happens to it and to the agent.
//! Time that a scenario counts in passes is waited for, and where heartbeats belong to it they are waited for as well, so
//! that a machine under load makes a scenario longer and not another one.

mod real;
mod run;

use std::time::Duration;

use matrix::{Build, Role};
use protocol::Made;
use protocol::defect::Switches;
use protocol::launch::CommandLine;
use protocol::reference::Part;
use protocol::reference::call::{self, Tools};
use run::Run;
use session::{Client, ClientReport, Conversation, LaunchError, Recorder, Server};
use transcript::ExitStatus;
use transcript::evidence::Observation;

use super::server::HEARTBEAT_MS;
use super::settings::Settings;
use crate::OvirtGrammar;
use crate::defects::DEFECTS;
use crate::dialect::{DIALECTS, Dialect, HostFacts};
use crate::scenarios::{self, PASSES_PER_HEARTBEAT, Scenario};

/// How many times longer than planned heartbeats are waited for.
const PATIENCE: u32 = 4;

/// The host of a build with defects switched on.
///
/// # Errors
/// No host of that version, no such setting, or no defect of that name.
pub(crate) fn client(build: &Build, switched_on: &[String]) -> Made<dyn Client> {
    let part = Part::of(build, Role::Client, &DIALECTS, DEFECTS, switched_on)?;
    let hosts = Hosts::playing(&part)?;
    Ok(call::client(super::endpoint(&part, hosts.settings, "vdsm"), hosts))
}

/// The host of one release, and others that take its place in scenarios.
pub(crate) struct Hosts {
    version: String,
    /// For connections of a script beside the host's; no scenario has any.
    grammar: OvirtGrammar,
    facts: HostFacts,
    switches: Switches,
    settings: Settings,
    /// A real host stands where the build does, started by this line.
    command: Option<CommandLine>,
}

impl Tools for Hosts {
    type Operation = Scenario;

    fn operation(&self, name: &str) -> Option<&'static Scenario> {
        scenarios::scenario(name)
    }

    async fn carry_out(
        &self,
        scenario: &'static Scenario,
        server: &mut dyn Server,
        recorder: &Recorder,
        deadline: Duration,
    ) -> Result<ClientReport, LaunchError> {
        // Long periods make long scenarios; the deadline is for those that hang.
        let planned = self.settings.pass().max(pass_of(server)) * scenario.passes();
        let limit = deadline.max(planned * (PATIENCE + 1));
        match tokio::time::timeout(limit, self.play(scenario, server, recorder)).await {
            Ok(done) => done,
            Err(_elapsed) => Ok(ClientReport { exit: None, stdout: Vec::new(), stderr: Vec::new() }),
        }
    }
}

impl Hosts {
    fn playing(part: &Part<'_, Dialect>) -> Result<Self, LaunchError> {
        let facts = part.needs(find(&part.build.dialect))?;
        let settings = part.needs(Settings::read(&part.build.settings))?;
        let (version, switches) = (part.build.version.clone(), part.switches.clone());
        Ok(Self {
            version,
            grammar: OvirtGrammar::new(part.dialect),
            facts,
            switches,
            settings,
            command: None,
        })
    }

    /// A real host in the place of the build; for the errors see [`client`].
    pub(crate) fn real(line: CommandLine, build: &Build) -> Result<Self, LaunchError> {
        let part = Part::of(build, Role::Client, &DIALECTS, DEFECTS, &[])?;
        Ok(Self { command: Some(line), ..Self::playing(&part)? })
    }

    async fn play(
        &self,
        scenario: &Scenario,
        server: &mut dyn Server,
        recorder: &Recorder,
    ) -> Result<ClientReport, LaunchError> {
        let mut run = Run::new(self, recorder, self.settings.pass().max(pass_of(server)));
        let mut conversation = Conversation::new(server, &self.grammar, recorder, 1.0).with(&mut run);
        let played = conversation.play(&scenario.script).await;
        played.map_err(|error| LaunchError::new(format!("play {}", scenario.name), error))?;
        let version = run.last_version().map_or_else(|| "none".to_owned(), |version| version.to_string());
        let stdout = format!("the last host was at version {version}\n").into_bytes();
        Ok(ClientReport { exit: Some(ExitStatus::Code(0)), stdout, stderr: Vec::new() })
    }
}

/// The pass of the agent behind a port: a real one has its own.
fn pass_of(server: &mut dyn Server) -> Duration {
    let look = Recorder::new();
    server.watch(&look);
    let heartbeat_ms = look.take().into_iter().find_map(|event| match event.kind.observed() {
        Some((Observation::Of(HEARTBEAT_MS), value)) => value.parse().ok(),
        _ => None,
    });
    Duration::from_millis(heartbeat_ms.unwrap_or(0)) / PASSES_PER_HEARTBEAT
}

fn find(version: &str) -> Result<HostFacts, String> {
    let facts = DIALECTS.for_version(version).and_then(|dialect| dialect.host.clone());
    facts.ok_or_else(|| format!("no host `{version}`"))
}
