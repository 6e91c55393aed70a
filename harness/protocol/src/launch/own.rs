//! Servers and clients that are command lines of a user's own.

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rustix::process::{Pid, Signal};
use session::process::{Output, Running};
use session::proxy::Proxy;
use session::pty::Line;
use session::sandbox::look_at_group;
use session::{
    Address, BoxFuture, Client, ClientReport, Connection, LaunchError, LaunchErrorKind, Launcher, Listener,
    Look, Pair, Recorder, Server, ServerAct, Start, Successor, Successors, Transport, Worker, until,
};
use transcript::evidence;
use transcript::evidence::{Expectation, Observation};
use transcript::{ConnId, Endpoint, EventKind};
use wire::Direction;

use super::command_line::{At, CommandLine, Ready, Spot, Started};
use crate::effects;
use crate::installed::watch;

/// Clients that may wait for a server on a terminal.
const BACKLOG: usize = 100;
/// How often it is asked whether the proxy is done.
const LOOK_AGAIN: Duration = Duration::from_millis(2);
/// How long the proxy may take to reach the server for a client on a terminal.
const CONNECT_DEADLINE: Duration = Duration::from_secs(2);
/// How often at most: the proxy gets a turn in between each time, however busy the machine is.
const PASSES_PROXY: u32 = 25;
/// Lines of what a server said at its end that are written down.
const TAIL_LINES: usize = 5;
/// Key of what a server said that has ended.
const SAID: &str = "said";

/// Starts servers from one command line.
#[derive(Debug)]
pub struct OwnServers {
    line: Arc<CommandLine>,
}

impl OwnServers {
    /// Those of that one.
    #[must_use]
    pub fn new(line: CommandLine) -> Self {
        Self { line: Arc::new(line) }
    }

    async fn launch(&self, deadline: Duration) -> Result<OwnServer, LaunchErrorKind> {
        let line = Arc::clone(&self.line);
        let spot = line.spot()?;
        if line.at() != At::Terminal {
            let directory = line.directory();
            let started = line.serve_in(&directory, &spot, Ready::Connects, deadline).await?;
            return Ok(OwnServer { directory, ..OwnServer::of(line, spot, started, deadline) });
        }
        let address = spot.address();
        let hosts = Listener::bind(address.clone(), BACKLOG)?;
        let (terminal, running) = line.start_at_terminal("")?;
        let group = Group::of(&running);
        let terminal = Some(Line::start(hosts, terminal, Arc::new(group))?);
        Ok(OwnServer { terminal, ..OwnServer::of(line, spot, Started { running, address }, deadline) })
    }
}

impl Launcher for OwnServers {
    fn endpoint(&self) -> Endpoint {
        self.line.endpoint().clone()
    }

    fn environment(&self) -> BTreeMap<String, String> {
        crate::installed::environment()
    }

    /// Nobody knows how a program of one's own is told what has to be so.
    fn prepares(&self) -> bool {
        false
    }

    fn transport(&self, _simulated: Transport) -> evidence::Transport {
        self.line.at().transport()
    }

    fn start(&self, how: Start) -> BoxFuture<'_, Result<Box<dyn Server>, LaunchError>> {
        Box::pin(async move {
            let started = self.launch(how.deadline).await.map_err(|kind| self.line.error(kind))?;
            Ok(Box::new(started) as Box<dyn Server>)
        })
    }
}

/// A process and whatever it has started.
#[derive(Debug, Clone, Copy)]
struct Group {
    leader: i32,
}

impl Group {
    fn of(running: &Running) -> Self {
        Self { leader: running.pid().and_then(|pid| i32::try_from(pid).ok()).unwrap_or_default() }
    }
}

impl Worker for Group {
    fn look(&self) -> Option<Look> {
        look_at_group(self.leader)
    }
}

/// A running server.
struct OwnServer {
    /// What was started first, and what runs now.
    first: Arc<CommandLine>,
    line: Arc<CommandLine>,
    /// How long a start may take.
    deadline: Duration,
    successors: Successors,
    replaced_by: Option<Successor>,
    directory: PathBuf,
    spot: Spot,
    address: Address,
    /// None when it was ended on purpose.
    running: Option<Running>,
    group: Group,
    terminal: Option<Line>,
}

/// What lies in the line to a terminal is still to be done.
impl Worker for OwnServer {
    fn look(&self) -> Option<Look> {
        let look = self.group.look()?;
        Some(Look { busy: look.busy || self.terminal.as_ref().is_some_and(Line::carries), ..look })
    }
}

impl OwnServer {
    fn of(
        line: Arc<CommandLine>,
        spot: Spot,
        Started { running, address }: Started,
        deadline: Duration,
    ) -> Self {
        Self {
            first: Arc::clone(&line),
            line,
            deadline,
            successors: Successors::default(),
            replaced_by: None,
            directory: PathBuf::new(),
            spot,
            address,
            group: Group::of(&running),
            running: Some(running),
            terminal: None,
        }
    }

    async fn suffer(&mut self, act: &ServerAct) -> Result<(), LaunchErrorKind> {
        if self.terminal.is_some() && act.comes_back() {
            return Err(LaunchErrorKind::Setup("a server on a terminal is not started again".to_owned()));
        }
        match act {
            ServerAct::Kill => self.kill().await,
            ServerAct::Reload => self.reload()?,
            ServerAct::Replace(by) => self.replace(by).await?,
            // Where its configuration is, nobody knows here.
            ServerAct::Configure(_) => return Err(LaunchErrorKind::CannotAct),
            ServerAct::Restart | ServerAct::CrashRestart | ServerAct::Reboot => self.start_again().await?,
        }
        Ok(())
    }

    async fn kill(&mut self) {
        if let Some(running) = self.running.take() {
            running.kill().await;
        }
    }

    fn reload(&self) -> Result<(), LaunchErrorKind> {
        let leader = Pid::from_raw(self.group.leader).filter(|_| self.running.is_some());
        let leader = leader.ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))?;
        Ok(rustix::process::kill_process(leader, Signal::HUP).map_err(io::Error::from)?)
    }

    async fn replace(&mut self, by: &Successor) -> Result<(), LaunchErrorKind> {
        let line = match by {
            Successor::First => Arc::clone(&self.first),
            Successor::Release(release) => Arc::clone(&self.successors.launcher::<OwnServers>(release)?.line),
        };
        if !line.is_met_as(&self.line) {
            return Err(LaunchErrorKind::CannotAct);
        }
        self.line = line;
        self.start_again().await?;
        self.replaced_by = Some(by.clone());
        Ok(())
    }

    /// Starts the process anew, where what ran before has left its place.
    async fn start_again(&mut self) -> Result<(), LaunchErrorKind> {
        self.kill().await;
        // One that was killed has left it, and the next one could not bind.
        self.spot.clear();
        let again = self.line.serve_in(&self.directory, &self.spot, Ready::Connects, self.deadline);
        let started = again.await?;
        self.group = Group::of(&started.running);
        self.running = Some(started.running);
        Ok(())
    }
}

impl Server for OwnServer {
    fn address(&self) -> &Address {
        &self.address
    }

    fn worker(&self) -> Option<&dyn Worker> {
        self.running.is_some().then_some(self as &dyn Worker)
    }

    fn watch(&mut self, recorder: &Recorder) {
        let Some(running) = &mut self.running else {
            recorder.observe(Direction::ToClient, Observation::Alive, "no");
            return;
        };
        let Ok(Some(status)) = running.ended() else {
            watch(&PathBuf::from(format!("/proc/{}", self.group.leader)), recorder);
            return;
        };
        let said = running.tail(TAIL_LINES);
        if !said.is_empty() {
            let known = self.line.explain(&said).map(|why| format!("; {why}")).unwrap_or_default();
            let said = said + &known;
            recorder.observe(Direction::ToClient, Observation::Of(SAID), said.replace('\n', "; "));
        }
        recorder.record(ConnId(0), Direction::ToClient, EventKind::Exit(status));
    }

    fn set_successors(&mut self, successors: &Successors) {
        self.successors = successors.clone();
    }

    fn replaced_by(&self) -> Option<&Successor> {
        self.replaced_by.as_ref()
    }

    fn act<'a>(&'a mut self, act: &'a ServerAct) -> BoxFuture<'a, Result<(), LaunchError>> {
        Box::pin(async move {
            let done = self.suffer(act).await;
            done.map_err(|kind| self.line.error(kind))
        })
    }

    fn stop(self: Box<Self>) -> BoxFuture<'static, ()> {
        Box::pin(async move {
            if let Some(running) = self.running {
                running.kill().await;
                self.spot.clear();
            }
        })
    }
}

/// A client that is started for each operation.
#[derive(Debug)]
pub struct OwnClient {
    line: CommandLine,
    /// What each operation must come to.
    operations: BTreeMap<&'static str, Vec<Expectation>>,
}

impl OwnClient {
    /// One that carries out these operations.
    #[must_use]
    pub fn new(line: CommandLine, operations: BTreeMap<&'static str, Vec<Expectation>>) -> Self {
        Self { line, operations }
    }

    /// Runs the client behind a proxy that writes down what passes.
    async fn run_behind(
        &self,
        operation: &str,
        (server, worker): (Address, Option<&dyn Worker>),
        recorder: &Recorder,
        deadline: Duration,
    ) -> Result<(Output, bool), LaunchErrorKind> {
        let listen = match self.line.at() {
            At::Tcp => Address::Tcp(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))),
            At::Socket | At::Terminal => Address::Path(self.line.socket("proxy")),
        };
        let proxy = Proxy::start(listen, server, recorder.clone(), ConnId(1))?;
        let (mut running, _terminal) = match proxy.address() {
            Address::Tcp(port) => (self.line.start(&Spot::Tcp(*port), operation)?, None),
            address if self.line.at() == At::Terminal => {
                let connection = Connection::connect(address, CONNECT_DEADLINE).await?;
                let (terminal, running) = self.line.start_at_terminal(operation)?;
                (running, Some(Line::between(connection, terminal)?))
            }
            Address::Path(path) => (self.line.start(&Spot::Socket(path.clone()), operation)?, None),
            _ => return Err(io::Error::from(io::ErrorKind::Unsupported).into()),
        };
        let both = Pair { client: &Group::of(&running), server: worker };
        let in_time = until(&both, deadline, || Ok::<_, io::Error>(running.ended()?.is_some())).await?;
        let output = running.kill().await;
        for _turn in 0..PASSES_PROXY {
            if proxy.open() == 0 {
                break;
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
        proxy.stop().await;
        Ok((output, in_time))
    }
}

impl Client for OwnClient {
    fn endpoint(&self) -> Endpoint {
        self.line.endpoint().clone()
    }

    fn command(&self, _operation: &str) -> Vec<String> {
        self.line.endpoint().command.clone()
    }

    fn run<'a>(
        &'a self,
        operation: &'a str,
        server: &'a mut dyn Server,
        recorder: &'a Recorder,
        deadline: Duration,
    ) -> BoxFuture<'a, Result<ClientReport, LaunchError>> {
        Box::pin(async move {
            let expected = self.operations.get(operation).map_or(&[][..], Vec::as_slice);
            effects::announce(recorder, operation, expected);
            let ran = self
                .run_behind(operation, (server.address().clone(), server.worker()), recorder, deadline)
                .await;
            let (output, in_time) = ran.map_err(|kind| self.line.error(kind))?;
            let exit = output.exit.filter(|_| in_time);
            effects::claim_exit(recorder, exit);
            server.effects(recorder).await;
            Ok(ClientReport { exit, stdout: output.stdout.bytes(), stderr: output.stderr.bytes() })
        })
    }
}
