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

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use matrix::{Build, Role, Source};
use session::process::{Invocation, Running};
use session::pty::{Line, Terminal};
use session::{
    Address, BoxFuture, Client, Connection, LaunchError, LaunchErrorKind, Launcher, Listener, Server, Start,
    Transport,
};
use tokio::time::Instant;
use transcript::Endpoint;

use super::reference::ReferenceHost;
use super::reference::engine::{Guest, Guests, Which};
use super::reference::server::{BACKLOG, PortServer, place};
use super::reference::settings::Settings;
use super::scenarios::{Scenario, Step};
use protocol::Bench;

/// What stands in an argument for the socket.
const SOCKET: &str = "{socket}";
/// The same for the terminal.
const PTY: &str = "{pty}";
/// How long an agent may take to listen.
const READY_DEADLINE: Duration = Duration::from_secs(10);
/// How often it is looked whether it does.
const LOOK_AGAIN: Duration = Duration::from_millis(5);
/// How many lines of its complaints are told when it ends at once.
const TAIL_LINES: usize = 5;

/// A command line with a placeholder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CommandLine {
    program: PathBuf,
    args: Vec<String>,
}

impl CommandLine {
    fn of(build: &Build, source: &Source, placeholders: &[&str]) -> Result<Self, LaunchError> {
        let error = |kind| LaunchError::new(format!("start {} {}", build.protocol, build.id), kind);
        let Source::Path { path, args } = source else {
            let why = format!("source `{}` is not supported", source.word());
            return Err(error(LaunchErrorKind::Setup(why)));
        };
        let program = find(path).ok_or_else(|| {
            let why = format!("there is no program `{}`", path.display());
            error(LaunchErrorKind::Missing { why, hint: "give the program, e.g. `path:./agent`".to_owned() })
        })?;
        if !placeholders.iter().any(|word| args.iter().any(|arg| arg.contains(word))) {
            let why =
                format!("no argument has {}, so it cannot be told where to speak", placeholders.join(" or "));
            return Err(error(LaunchErrorKind::Setup(why)));
        }
        Ok(Self { program, args: args.clone() })
    }

    fn has(&self, placeholder: &str) -> bool {
        self.args.iter().any(|arg| arg.contains(placeholder))
    }

    /// The command line with a place filled in.
    pub(crate) fn at(&self, placeholder: &str, place: &Path) -> Invocation {
        let place = place.to_string_lossy();
        let args: Vec<OsString> =
            self.args.iter().map(|arg| arg.replace(placeholder, &place).into()).collect();
        Invocation::new(&self.program, args)
    }

    fn words(&self) -> Vec<String> {
        std::iter::once(self.program.display().to_string()).chain(self.args.iter().cloned()).collect()
    }
}

/// A program by path, or by name. Links are kept: what a program does may depend on the name it is called by.
fn find(path: &Path) -> Option<PathBuf> {
    let by_name = path.parent().is_some_and(|parent| parent.as_os_str().is_empty());
    let found = std::path::absolute(path).ok().filter(|path| path.is_file());
    found.or_else(|| path.to_str().filter(|_| by_name).and_then(session::process::find_program))
}

fn endpoint(build: &Build, name: &str, line: &CommandLine) -> Endpoint {
    Endpoint {
        id: build.id.to_string(),
        name: name.to_owned(),
        version: Some(build.version.clone()),
        source: Some(format!("path {}", line.program.display())),
        command: line.words(),
        details: build
            .settings
            .clone()
            .into_iter()
            .chain([(super::checks::DIALECT.to_owned(), build.dialect.clone())])
            .collect(),
        ..Endpoint::default()
    }
}

/// A launcher of an agent.
///
/// # Errors
/// There is no such program, its arguments have no place for the port, or it has a setting that nobody knows.
pub(crate) fn server(
    build: &Build,
    source: &Source,
    bench: &Bench,
) -> Result<Arc<dyn Launcher>, LaunchError> {
    let line = CommandLine::of(build, source, &[SOCKET, PTY])?;
    let settings = read_settings(build)?;
    let endpoint = endpoint(build, "ovirt-guest-agent", &line);
    Ok(Arc::new(RealAgents { endpoint, line, settings, work_dir: bench.work_dir.clone() }))
}

/// A host that carries out scenarios with VDSM.
///
/// # Errors
/// There is no such program, its arguments have no place for the socket, or it has a setting that nobody knows.
pub(crate) fn client(build: &Build, source: &Source, bench: &Bench) -> Result<Arc<dyn Client>, LaunchError> {
    let line = CommandLine::of(build, source, &[SOCKET])?;
    let endpoint = endpoint(build, "vdsm", &line);
    // What the scenario puts in its place is the reference of the release that it names.
    let host = ReferenceHost::new(build, &[])?.with_command(line, endpoint, bench.work_dir.clone());
    Ok(Arc::new(host))
}

/// Why a real host cannot carry out a scenario: nobody can make it call its own API, or stop in mid-line.
#[must_use]
pub(crate) fn lacks(build: &Build, scenario: &Scenario) -> Option<String> {
    let real =
        build.roles.contains(&Role::Client) && matches!(build.sources.first(), Some(Source::Path { .. }));
    let beyond = scenario
        .steps
        .iter()
        .any(|step| matches!(step, Step::Leave | Step::LeaveInMidLine | Step::Reconnect));
    (real && beyond).then(|| "nobody can make a real host end its connection and go on".to_owned())
}

fn read_settings(build: &Build) -> Result<Settings, LaunchError> {
    Settings::read(&build.settings).map_err(|why| {
        LaunchError::new(format!("start {} {}", build.protocol, build.id), LaunchErrorKind::Setup(why))
    })
}

/// Starts ports with a real agent behind each.
struct RealAgents {
    endpoint: Endpoint,
    line: CommandLine,
    settings: Settings,
    work_dir: PathBuf,
}

impl Launcher for RealAgents {
    fn endpoint(&self) -> Endpoint {
        self.endpoint.clone()
    }

    fn start(&self, how: Start) -> BoxFuture<'_, Result<Box<dyn Server>, LaunchError>> {
        Box::pin(async move {
            let guests = RealGuests {
                line: self.line.clone(),
                work_dir: self.work_dir.clone(),
                deadline: how.deadline.max(READY_DEADLINE),
                running: None,
                terminal: None,
            };
            let listener = Listener::open(how.transport, BACKLOG).map_err(LaunchErrorKind::Io);
            let started = match listener {
                Ok(listener) => PortServer::start(listener, guests, self.settings.pass()).await,
                Err(error) => Err(error),
            };
            match started {
                Ok(server) => Ok(Box::new(server) as Box<dyn Server>),
                Err(error) => Err(LaunchError::new(format!("start {}", self.endpoint.id), error)),
            }
        })
    }
}

/// What is behind a port.
struct RealGuests {
    line: CommandLine,
    work_dir: PathBuf,
    deadline: Duration,
    running: Option<Running>,
    terminal: Option<Line>,
}

impl RealGuests {
    async fn on_pty(&mut self) -> Result<Guest, String> {
        let terminal = Terminal::open().map_err(|error| format!("no terminal: {error}"))?;
        let running = self.line.at(PTY, terminal.path()).start().map_err(|error| error.to_string())?;
        self.running = Some(running);
        let (near, far) = Connection::pair(Transport::Unix).map_err(|error| error.to_string())?;
        self.terminal = Some(Line::between(far, terminal).map_err(|error| error.to_string())?);
        Ok(Guest::Terminal(near))
    }

    async fn on_socket(&mut self) -> Result<Guest, String> {
        let socket = place(&self.work_dir, "agent");
        let mut running = self.line.at(SOCKET, &socket).start().map_err(|error| error.to_string())?;
        let until = Instant::now() + self.deadline;
        loop {
            // Not by connecting: that would be a host.
            if socket.exists() {
                self.running = Some(running);
                return Ok(Guest::Socket(Address::Path(socket), None));
            }
            if running.ended().ok().flatten().is_some() || Instant::now() >= until {
                let (status, out, err) = running.kill().await;
                let said = if err.is_empty() { out.text() } else { err.text() };
                let lines: Vec<_> = said.trim_end().lines().collect();
                let tail = lines.get(lines.len().saturating_sub(TAIL_LINES)..).unwrap_or(&[]).join("\n");
                return Err(format!("it does not listen ({status:?}): {tail}"));
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }
}

impl Guests for RealGuests {
    fn start<'a>(&'a mut self, which: Which<'a>, _now_us: u64) -> BoxFuture<'a, Result<Guest, String>> {
        Box::pin(async move {
            if let Which::Version(version) = which {
                return Err(format!("only the agent of the build can be started here, not {version}"));
            }
            self.kill().await;
            if self.line.has(PTY) { self.on_pty().await } else { self.on_socket().await }
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
