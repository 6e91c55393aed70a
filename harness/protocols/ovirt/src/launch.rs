//! Real builds: a user's own agent or VDSM, given as a command line.
//!
//! ```text
//! --build 'ovirt@dev=path:/path/to/agent,arg=--port,arg={socket},role=server,dialect=1.0.16,set=heartbeat=1000'
//! --build 'ovirt@dev=path:/path/to/agent,arg=--device,arg={pty},role=server'
//! --build 'ovirt@dev=path:/path/to/vdsm,arg={socket},role=client,dialect=4.50.7,set=heartbeat=1000'
//! ```
//!
//! An agent listens on `{socket}`, which stands for a virtio port: somebody is connected there while a host is, and what
//! it writes otherwise has to wait. Or it opens `{pty}`, a raw terminal. Before either lies our model of the port, so a
//! host keeps its connection when the agent is restarted. VDSM connects to `{socket}`, where a proxy writes down what passes;
//! it tries again by itself until somebody listens. `set=heartbeat` says how long a heartbeat of theirs takes in
//! milliseconds; nothing is scaled for them. Each is started for its scenario and killed with everything it started.

use std::time::Duration;

use matrix::{Build, Role, Source};
use protocol::Made;
use protocol::launch::{At, CommandLine, Ready, Started};
use protocol::reference::call;
use protocol::reference::serve::launcher;
use session::process::Running;
use session::pty::Line;
use session::{BoxFuture, Client, ClientAct, Connection, LaunchErrorKind, Launcher, Step, Transport};
use transcript::Endpoint;

use super::reference::Hosts;
use super::reference::engine::{Guest, Guests};
use super::reference::server::Ports;
use super::reference::settings::Settings;
use super::scenarios::Scenario;

/// How long an agent may take to listen.
const READY_DEADLINE: Duration = Duration::from_secs(10);

/// Where agents speak, and hosts.
pub(crate) fn speaks_at(role: Role) -> &'static [At] {
    match role {
        Role::Server => &[At::Socket, At::Terminal],
        Role::Client => &[At::Socket],
    }
}

fn endpoint(build: &Build, name: &str, line: &CommandLine) -> Endpoint {
    let mut endpoint = Endpoint { name: name.to_owned(), ..line.endpoint().clone() };
    endpoint.details.insert(super::checks::DIALECT.to_owned(), build.dialect.clone());
    endpoint
}

/// A launcher of an agent.
///
/// # Errors
/// It has a setting that nobody knows.
pub(crate) fn server(line: CommandLine, build: &Build) -> Made<dyn Launcher> {
    let settings = Settings::read(&build.settings).map_err(|why| line.error(LaunchErrorKind::Setup(why)))?;
    let endpoint = endpoint(build, "ovirt-guest-agent", &line);
    let work_dir = line.work_dir().to_owned();
    let guests = move |deadline: Duration| {
        let deadline = deadline.max(READY_DEADLINE);
        RealGuests { line: line.clone(), deadline, running: None, terminal: None }
    };
    Ok(launcher(endpoint, &work_dir, Ports::new(guests, settings.pass())))
}

/// A host that carries out scenarios with VDSM.
///
/// # Errors
/// It has a setting that nobody knows.
pub(crate) fn client(line: CommandLine, build: &Build) -> Made<dyn Client> {
    let endpoint = endpoint(build, "vdsm", &line);
    // What the scenario puts in its place is the reference of the release that it names.
    Ok(call::client(endpoint, Hosts::real(line, build)?))
}

/// Why a real host cannot carry out a scenario: nobody can make it call its own API, or stop in mid-line.
pub(crate) fn lacks(build: &Build, scenario: &Scenario) -> Option<String> {
    let real =
        build.roles.contains(&Role::Client) && matches!(build.sources.first(), Some(Source::Path { .. }));
    let beyond = scenario
        .script
        .steps
        .iter()
        .any(|step| matches!(step, Step::Client(ClientAct::Leave { .. } | ClientAct::Return)));
    (real && beyond).then(|| "nobody can make a real host end its connection and go on".to_owned())
}

/// What is behind a port.
struct RealGuests {
    line: CommandLine,
    deadline: Duration,
    running: Option<Running>,
    terminal: Option<Line>,
}

impl RealGuests {
    async fn on_pty(&mut self) -> Result<Guest, LaunchErrorKind> {
        let (terminal, running) = self.line.start_at_terminal("")?;
        self.running = Some(running);
        let (near, far) = Connection::pair(Transport::Unix)?;
        self.terminal = Some(Line::between(far, terminal)?);
        Ok(Guest::Terminal(near))
    }

    async fn on_socket(&mut self) -> Result<Guest, LaunchErrorKind> {
        // Not by connecting: that would be a host.
        let Started { running, address } =
            self.line.serve(&self.line.spot()?, Ready::Exists, self.deadline).await?;
        self.running = Some(running);
        Ok(Guest::Socket(address, None))
    }
}

impl Guests for RealGuests {
    fn start(&mut self, _now_us: u64) -> BoxFuture<'_, Result<Guest, String>> {
        Box::pin(async move {
            self.kill().await;
            let started = match self.line.at() {
                At::Terminal => self.on_pty().await,
                At::Socket | At::Tcp => self.on_socket().await,
            };
            started.map_err(|error| error.to_string())
        })
    }

    fn kill(&mut self) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            self.terminal = None;
            if let Some(running) = self.running.take() {
                running.kill().await;
            }
        })
    }
}

#[cfg(test)]
mod tests;
