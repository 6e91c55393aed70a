//! A scenario that is going on: the connection, and the host or the process that has it. Its script tells it what to do.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use protocol::defect::Switches;
use protocol::reference::call::Caller;
use session::{
    Actor, BoxFuture, ClientAct, Closes, Injection, LaunchError, LaunchErrorKind, Received, Recorder,
    SendEnd, Server, ServerAct, Successor, mark,
};
use tokio::time::Instant;
use transcript::evidence::Observation;
use transcript::{ConnId, EventKind, ExitStatus};
use wire::Direction;

use super::real::RealHost;
use super::{Hosts, PATIENCE, find};
use crate::message::{HALF_REFRESH, Kept};
use crate::model::Host;
use crate::model::host::Refused;
use crate::names::{HEARTBEAT, MAX_EVER};
use crate::scenarios::{ApiCall, PASSES_PER_HEARTBEAT, passes_in};

/// How long one of its own writes may take.
const SEND_DEADLINE: Duration = Duration::from_secs(2);
/// How long a connection may take.
const CONNECT_DEADLINE: Duration = Duration::from_secs(2);
/// How long heartbeats are waited for at least, for periods that are short beside what a busy machine takes.
const PATIENCE_MIN: Duration = Duration::from_millis(1_500);
/// How long the process of a host may take to connect.
const COMES_DEADLINE: Duration = Duration::from_secs(5);
/// How long a hang-up is waited for that comes right behind what was sent.
const HANG_UP_DEADLINE: Duration = Duration::from_millis(500);
/// How often it is looked for.
const LOOK_AGAIN: Duration = Duration::from_millis(1);
/// How long a completion is waited for at least.
const COMPLETION_MIN: Duration = Duration::from_millis(200);
/// How many passes a completion is waited for: two heartbeats.
const COMPLETION_PASSES: u32 = 10;

/// A scenario that is going on.
pub(super) struct Run<'a> {
    build: &'a Hosts,
    recorder: &'a Recorder,
    pass: Duration,
    /// Who is there now.
    version: String,
    /// By what the agent was replaced.
    agent: Option<Successor>,
    host: Option<Host>,
    /// A process in its place.
    real: Option<RealHost>,
    connection: Option<Caller>,
    /// The last connection.
    conn: ConnId,
    /// It has ended its connection on purpose, and does not connect by itself.
    away: bool,
    /// The guest's end is about to write and close in one go.
    closes_at_once: bool,
    /// Heartbeats that came since the host process started.
    heartbeats: u32,
    calls: u32,
    /// E of the last host.
    handed_over: Option<i64>,
}

fn unread(error: io::Error) -> LaunchError {
    LaunchError::new("read from the guest", error)
}

/// How a mark says that a version was handed over.
const HANDED_OVER: &str = " (started with api_version=3 handed over by the source host)";

impl Actor for Run<'_> {
    fn act<'a>(
        &'a mut self,
        act: &'a ClientAct,
        server: &'a mut dyn Server,
    ) -> BoxFuture<'a, Result<(), LaunchError>> {
        Box::pin(async move {
            match act {
                ClientAct::Start { build, handed_over } => self.start_host(build, *handed_over, server).await,
                ClientAct::Kill => self.kill_host().await,
                ClientAct::Leave { in_mid_message: false } => self.leave("vdsm leaves").await,
                ClientAct::Leave { in_mid_message: true } => {
                    self.send(HALF_REFRESH).await?;
                    self.leave("vdsm leaves in mid-line").await
                }
                ClientAct::Return => {
                    self.away = false;
                    self.connect(server).await
                }
                ClientAct::Call(word) => {
                    let unknown = || LaunchErrorKind::Setup("a host has no such call".to_owned());
                    let call = ApiCall::parse(word);
                    let call = call.ok_or_else(|| LaunchError::new(format!("call {word}"), unknown()))?;
                    self.call(call, server).await
                }
            }
        })
    }

    fn go_on<'a>(
        &'a mut self,
        time: Duration,
        server: &'a mut dyn Server,
    ) -> BoxFuture<'a, Result<(), LaunchError>> {
        let ms = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        Box::pin(self.pass_time(passes_in(ms), server))
    }

    fn catch_up(&mut self) -> BoxFuture<'_, Result<(), LaunchError>> {
        Box::pin(self.drain())
    }

    fn meet<'a>(
        &'a mut self,
        act: &'a ServerAct,
        server: &'a mut dyn Server,
    ) -> BoxFuture<'a, Result<(), LaunchError>> {
        Box::pin(self.change_agent(act, server))
    }

    fn hear<'a>(
        &'a mut self,
        injection: &'a Injection,
        server: &'a mut dyn Server,
    ) -> BoxFuture<'a, Result<(), LaunchError>> {
        Box::pin(self.listen_to(injection, server))
    }
}

impl<'a> Run<'a> {
    /// Nothing has happened yet.
    pub(super) fn new(build: &'a Hosts, recorder: &'a Recorder, pass: Duration) -> Self {
        Self {
            build,
            recorder,
            pass,
            version: build.version.clone(),
            agent: None,
            host: None,
            real: None,
            connection: None,
            conn: ConnId(0),
            away: false,
            closes_at_once: false,
            heartbeats: 0,
            calls: 0,
            handed_over: None,
        }
    }

    /// E of the last host; none where it had no versions, or is not known.
    pub(super) fn last_version(&self) -> Option<i64> {
        self.handed_over
    }

    async fn start_host(
        &mut self,
        which: &Successor,
        handed_over: bool,
        server: &mut dyn Server,
    ) -> Result<(), LaunchError> {
        let build = self.build;
        let version = match which {
            Successor::First => None,
            Successor::Release(version) => Some(&**version),
        };
        let error = |why| LaunchError::new("start another host", LaunchErrorKind::Setup(why));
        let (facts, switches) = match version {
            // The defects are those of the build.
            Some(version) => (find(version).map_err(error)?, Switches::default()),
            None => (build.facts.clone(), build.switches.clone()),
        };
        let version = version.unwrap_or(&build.version).to_owned();
        let first = self.conn == ConnId(0);
        let another = std::mem::replace(&mut self.version, version) != self.version;
        if !first && (another || handed_over) {
            self.mark_builds();
            let how = if handed_over { HANDED_OVER } else { "" };
            self.mark(&format!("migrated to vdsm {}{how}", self.version), &[]);
        } else if !first {
            self.mark("vdsm started again", &[]);
        }
        if let Some(line) = build.command.as_ref().filter(|_| self.version == build.version) {
            let first = ConnId(self.conn.0 + 1);
            let real = RealHost::start(line, server.address(), self.recorder, first);
            let mut real = real.map_err(|kind| LaunchError::new("start the host", kind))?;
            // A scenario's time begins when the host is there; one that never comes is a finding.
            let until = Instant::now() + COMES_DEADLINE;
            while real.conn() < first && !real.has_ended() && Instant::now() < until {
                tokio::time::sleep(LOOK_AGAIN).await;
            }
            self.real = Some(real);
            return Ok(());
        }
        let told = handed_over.then(|| self.handed_over.unwrap_or(MAX_EVER));
        self.host = Some(Host::start(facts, switches, told));
        self.heartbeats = 0;
        self.away = false;
        self.connect(server).await
    }

    async fn connect(&mut self, server: &mut dyn Server) -> Result<(), LaunchError> {
        let Some(host) = self.host.as_mut().filter(|_| self.connection.is_none()) else { return Ok(()) };
        self.conn = ConnId(self.conn.0 + 1);
        let trace = Some((self.recorder.clone(), self.conn));
        let Ok(caller) = Caller::connect(server.address(), trace, CONNECT_DEADLINE).await else {
            return Ok(());
        };
        // How a host leaves is said where it does.
        self.connection = Some(caller.without_farewell());
        match host.connect() {
            Some(line) => self.send(&line).await,
            None => Ok(()),
        }
    }

    async fn kill_host(&mut self) -> Result<(), LaunchError> {
        if let Some(real) = self.real.take() {
            self.conn = real.conn();
            real.kill(self.recorder).await;
        }
        self.handed_over = self.host.as_ref().and_then(Host::version).and_then(Kept::number);
        if self.connection.is_some() {
            self.drain().await?;
            self.recorder.record(self.conn, Direction::ToServer, EventKind::Exit(ExitStatus::Gone));
            self.leave("vdsm gone").await?;
        } else if self.conn > ConnId(0) && self.away {
            self.recorder.record(self.conn, Direction::ToServer, EventKind::Exit(ExitStatus::Gone));
        }
        self.host = None;
        Ok(())
    }

    /// Ends the connection, after what has come was read.
    async fn leave(&mut self, how: &str) -> Result<(), LaunchError> {
        self.drain().await?;
        if let Some(caller) = self.connection.take() {
            caller.leave(how);
        }
        if let Some(host) = &mut self.host {
            host.disconnect();
        }
        self.away = true;
        Ok(())
    }

    async fn send(&mut self, bytes: &[u8]) -> Result<(), LaunchError> {
        let Some(caller) = &self.connection else { return Ok(()) };
        let sent = match caller.send(Bytes::copy_from_slice(bytes), None, SEND_DEADLINE).await {
            Ok(()) => return Ok(()),
            Err(SendEnd::Timeout { sent }) => sent,
            // The next read sees the end.
            Err(SendEnd::Closed { .. }) => 0,
            Err(SendEnd::Io(error)) => return Err(LaunchError::new("send to the guest", error)),
        };
        let kind = Observation::SendFailed.event(format!("the guest took {sent} of {} bytes", bytes.len()));
        self.recorder.record(self.conn, Direction::ToServer, kind);
        Ok(())
    }

    /// Lets passes go by, and the heartbeats that belong to them.
    async fn pass_time(&mut self, passes: u32, server: &mut dyn Server) -> Result<(), LaunchError> {
        let (start, before) = (Instant::now(), self.heartbeats);
        let until = start + self.pass * passes;
        self.listen_until(until, server).await?;
        let wanted = before.saturating_add(passes / PASSES_PER_HEARTBEAT);
        let patience = (self.pass * passes * (PATIENCE - 1)).max(PATIENCE_MIN);
        // A host that has died reads nothing; it gets the time in which its silence is seen.
        while self.heartbeats < wanted
            && start.elapsed() < self.pass * passes + patience
            && self.connection.is_some()
        {
            self.listen_until(Instant::now() + self.pass, server).await?;
        }
        Ok(())
    }

    /// Reads and answers until a time.
    async fn listen_until(&mut self, until: Instant, server: &mut dyn Server) -> Result<(), LaunchError> {
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            if self.real.is_some() {
                tokio::time::sleep(left).await;
                return Ok(());
            }
            let dead = self.host.as_ref().is_none_or(Host::is_dead);
            let Some(connection) = self.connection.as_mut().filter(|_| !dead) else {
                // A host that has lost its connection tries again once a second.
                tokio::time::sleep(left.min(self.pass)).await;
                if self.connection.is_none() && !self.away {
                    self.connect(server).await?;
                }
                continue;
            };
            let received = connection.recv(left).await.map_err(unread)?;
            self.take(received).await?;
        }
    }

    /// Takes what is there already, without waiting.
    async fn drain(&mut self) -> Result<(), LaunchError> {
        if let Some(real) = &self.real {
            real.drain().await;
            self.conn = real.conn();
        }
        while let Some(connection) = &mut self.connection {
            let received = connection.try_recv();
            match received.map_err(unread)? {
                Some(received) => self.take(received).await?,
                None => return Ok(()),
            }
        }
        Ok(())
    }

    async fn take(&mut self, received: Received) -> Result<(), LaunchError> {
        match received {
            Received::Timeout => {}
            Received::Data(data, _fds) => {
                self.count_heartbeats(&data.bytes);
                let hangs_up = self.hangs_up().await;
                let Some(host) = &mut self.host else { return Ok(()) };
                if hangs_up && host.facts().hang_up_loses {
                    return Ok(());
                }
                for answer in host.read(&data.bytes) {
                    // Nobody is there any more to take it.
                    if !hangs_up {
                        self.send(&answer).await?;
                    }
                }
            }
            Received::Eof | Received::Reset => {
                self.connection = None;
                if let Some(host) = &mut self.host {
                    host.disconnect();
                }
            }
        }
        Ok(())
    }

    /// Whether the end of the connection lies right behind what was read. Only hosts that look at it first care.
    async fn hangs_up(&self) -> bool {
        let Some(connection) = &self.connection else { return false };
        let loses = self.host.as_ref().is_some_and(|host| host.facts().hang_up_loses);
        // The guest's end writes and closes in one go: a real host that is not that quick sees both at once.
        let until =
            Instant::now() + if loses && self.closes_at_once { HANG_UP_DEADLINE } else { Duration::ZERO };
        loop {
            if connection.is_hung_up() {
                return true;
            }
            if Instant::now() >= until {
                return false;
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }

    fn count_heartbeats(&mut self, bytes: &[u8]) {
        let needle = format!("\"{HEARTBEAT}\"");
        let found = memchr::memmem::find_iter(bytes, &needle).count();
        self.heartbeats = self.heartbeats.saturating_add(u32::try_from(found).unwrap_or(u32::MAX));
    }

    /// The agent is killed, and another process or release starts behind the port. What the first had written is read
    /// before its end is noted, and what comes from the next one is read, or passes the proxy, only behind that.
    async fn change_agent(&mut self, act: &ServerAct, server: &mut dyn Server) -> Result<(), LaunchError> {
        if matches!(act, ServerAct::Reload | ServerAct::Configure(_)) {
            return server.act(act).await;
        }
        server.act(&ServerAct::Kill).await?;
        self.drain().await?;
        self.recorder.record(self.conn, Direction::ToClient, EventKind::Exit(ExitStatus::Gone));
        if !act.comes_back() {
            return Ok(());
        }
        if let ServerAct::Replace(by) = act {
            self.agent = Some(by.clone());
            self.mark_builds();
        }
        self.recorder.record(self.conn, Direction::ToClient, EventKind::Connect);
        server.act(act).await
    }

    async fn call(&mut self, call: ApiCall, server: &mut dyn Server) -> Result<(), LaunchError> {
        if self.real.is_some() {
            // Nobody can call the API of a process from outside.
            self.mark(&format!("host API call {} has returned", call.word()), &[("result", "not-callable")]);
            return Ok(());
        }
        self.drain().await?;
        self.calls += 1;
        let id = format!("00000000-0000-4000-8000-{:012}", self.calls);
        let asked = self.host.as_ref().map_or(Err(Refused::NotConnected), |host| host.call(&call.call(&id)));
        let result = match asked {
            Ok(line) => {
                self.send(&line).await?;
                if !call.waits() || self.completed(&id, server).await? { "ok" } else { "timeout" }
            }
            Err(Refused::Gate) => "refused",
            Err(Refused::NoSuchCall) => "no-such-call",
            Err(Refused::NotConnected) => "not-connected",
        };
        self.mark(&format!("host API call {} has returned", call.word()), &[("result", result)]);
        Ok(())
    }

    /// Waits for the completion with that id.
    async fn completed(&mut self, id: &str, server: &mut dyn Server) -> Result<bool, LaunchError> {
        let until = Instant::now() + (self.pass * COMPLETION_PASSES).max(COMPLETION_MIN);
        let wanted = format!("\"{id}\"");
        while Instant::now() < until {
            if self.host.as_ref().is_some_and(|host| host.completions().contains(&wanted)) {
                return Ok(true);
            }
            self.listen_until((Instant::now() + self.pass / 2).min(until), server).await?;
        }
        Ok(false)
    }

    /// Reads what is written in the agent's stead while it is: a line of 3 MiB fits into no socket.
    async fn listen_to(&mut self, injection: &Injection, server: &mut dyn Server) -> Result<(), LaunchError> {
        self.drain().await?;
        self.closes_at_once = injection.closes == Closes::AtOnce;
        let mut sending = server.inject(injection);
        loop {
            let dead = self.host.as_ref().is_none_or(Host::is_dead);
            let Some(connection) = self.connection.as_mut().filter(|_| !dead) else {
                self.closes_at_once = false;
                return sending.await;
            };
            tokio::select! {
                biased;
                received = connection.recv(SEND_DEADLINE) => {
                    let received = received.map_err(unread)?;
                    self.take(received).await?;
                }
                done = &mut sending => {
                    self.closes_at_once = false;
                    return done;
                }
            }
        }
    }

    fn mark_builds(&self) {
        let client = format!("vdsm {}", self.version);
        let server = self.agent.as_ref().map(|by| format!("ovirt-guest-agent {}", by.word()));
        let mut args = vec![("client", client.as_str())];
        args.extend(server.as_ref().map(|server| ("server", server.as_str())));
        self.mark("builds", &args);
    }

    fn mark(&self, label: &str, args: &[(&str, &str)]) {
        self.recorder.mark(ConnId(0), mark(label, args));
    }
}
