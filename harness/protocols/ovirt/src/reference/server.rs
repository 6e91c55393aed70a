//! Starts ports with reference agents behind them.

use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use matrix::{Build, Role};
use session::{
    Address, BoxFuture, LaunchError, LaunchErrorKind, Launcher, Listener, Recorder, Server, ServerAct, Start,
    Transport,
};
use tokio::task::JoinHandle;
use transcript::Endpoint;
use transcript::evidence::Observation;
use wire::Direction;

use protocol::defect::Switches;

use super::engine::{Act, Engine, Guest, Guests, Handle, Which};
use super::settings::Settings;
use crate::Dialect;
use crate::defects::DEFECTS;
use crate::dialect::DIALECTS;
use crate::inputs::{self, Closes};
use crate::model::{Process, Rates, agent};
use crate::scenarios::PASSES_PER_HEARTBEAT;

/// How many hosts may wait for the one that is served.
pub(crate) const BACKLOG: usize = 8;
/// Starts ports with agents of one release behind them.
#[derive(Debug, Clone)]
pub(crate) struct ReferenceAgents {
    endpoint: Endpoint,
    behind: ModelGuests,
    settings: Settings,
    at: Option<Address>,
}

impl ReferenceAgents {
    /// Prepares to start agents of a build with defects switched on.
    ///
    /// # Errors
    /// No agent of that version, no such setting, or no defect of that name.
    pub(crate) fn new(build: &Build, switched_on: &[String]) -> Result<Self, LaunchError> {
        let error = |why: String| {
            LaunchError::new(format!("start reference agent {}", build.id), LaunchErrorKind::Setup(why))
        };
        let dialect = find(&build.dialect).map_err(error)?;
        let settings = Settings::read(&build.settings).map_err(error)?;
        let switches =
            Switches::on(DEFECTS, Role::Server, switched_on).map_err(|why| error(why.to_string()))?;
        let endpoint = super::endpoint(build, "ovirt-guest-agent", &switches);
        let pass_us = u64::try_from(settings.pass().as_micros()).unwrap_or(u64::MAX).max(1);
        let behind = ModelGuests {
            first: (dialect, switches.clone()),
            now: (dialect, switches),
            guest: agent::Guest::default(),
            pass_us,
        };
        Ok(Self { endpoint, behind, settings, at: None })
    }

    /// The same with one fixed address. Only one of its servers can run at a time.
    #[must_use]
    #[cfg(test)]
    pub(crate) fn at(self, address: Address) -> Self {
        Self { at: Some(address), ..self }
    }

    async fn launch(&self, transport: Transport) -> Result<PortServer, LaunchErrorKind> {
        let listener = match &self.at {
            Some(address) => Listener::bind(address.clone(), BACKLOG)?,
            None => Listener::open(transport, BACKLOG)?,
        };
        PortServer::start(listener, self.behind.clone(), self.settings.pass()).await
    }
}

fn find(version: &str) -> Result<&'static Dialect, String> {
    let dialect = DIALECTS.for_version(version).filter(|dialect| dialect.agent.is_some());
    dialect.ok_or_else(|| format!("no agent `{version}`"))
}

impl Launcher for ReferenceAgents {
    fn endpoint(&self) -> Endpoint {
        self.endpoint.clone()
    }

    fn start(&self, how: Start) -> BoxFuture<'_, Result<Box<dyn Server>, LaunchError>> {
        Box::pin(async move {
            match self.launch(how.transport).await {
                Ok(server) => Ok(Box::new(server) as Box<dyn Server>),
                Err(error) => Err(LaunchError::new(format!("start {}", self.endpoint.id), error)),
            }
        })
    }
}

/// Reference agents of any release.
#[derive(Debug, Clone)]
struct ModelGuests {
    first: (&'static Dialect, Switches),
    now: (&'static Dialect, Switches),
    guest: agent::Guest,
    pass_us: u64,
}

impl Guests for ModelGuests {
    fn start<'a>(&'a mut self, which: Which<'a>, now_us: u64) -> BoxFuture<'a, Result<Guest, String>> {
        Box::pin(async move {
            match which {
                Which::Same => {}
                Which::First => self.now = self.first.clone(),
                // The defects are those of the build that is replaced.
                Which::Version(version) => self.now = (find(version)?, Switches::default()),
            }
            let (dialect, switches) = &self.now;
            let facts = dialect.agent.clone().ok_or_else(|| format!("`{}` is no agent", dialect.name))?;
            let process = Process::start(facts, switches, Rates::REFERENCE, self.guest, self.pass_us, now_us);
            Ok(Guest::Model(Box::new(process)))
        })
    }

    fn kill(&mut self) -> BoxFuture<'_, ()> {
        Box::pin(async {})
    }

    fn set_hooks(&mut self, hooks: bool) -> Result<(), String> {
        self.guest.hooks = hooks;
        Ok(())
    }
}

/// A running port with an agent behind it.
///
/// Words of [`Server::prepare`]:
///
/// ```text
/// replace 1.0.9      another release is behind the port, and the host's connection stays
/// replace            that of the build again
/// half-line          the agent writes half a line and dies
/// inject <input>     the agent is held, and the port sends an input of `inputs.rs`
/// release            the agent goes on
/// hooks, no-hooks    the guest has directories of hooks or has none
/// ```
pub(crate) struct PortServer {
    address: Address,
    handle: Handle,
    task: JoinHandle<()>,
    pass: Duration,
}

impl PortServer {
    /// Opens a port and starts what is behind it.
    pub(crate) async fn start(
        listener: Listener,
        guests: impl Guests + 'static,
        pass: Duration,
    ) -> Result<Self, LaunchErrorKind> {
        let address = listener.address().clone();
        let (engine, handle) = Engine::new(listener, guests);
        let task = tokio::spawn(engine.run());
        let server = Self { address, handle, task, pass };
        server.handle.act(Act::Replace(None)).await.map_err(LaunchErrorKind::Setup)?;
        Ok(server)
    }

    async fn inject(&self, name: &str) -> Result<(), String> {
        let input = inputs::input(name).ok_or_else(|| format!("no input `{name}`"))?;
        let last = input.writes.len().saturating_sub(1);
        for (at, write) in input.writes.into_iter().enumerate() {
            if at > 0 {
                // Time for the host to read what came before by itself.
                tokio::time::sleep((self.pass / 2).min(GAP_MAX)).await;
            }
            let closes = input.closes == Closes::AtOnce && at == last;
            self.handle.act(Act::Inject(Bytes::from(write), closes)).await?;
        }
        if input.closes == Closes::Later {
            tokio::time::sleep((self.pass / 2).min(GAP_MAX)).await;
            self.handle.act(Act::Inject(Bytes::new(), true)).await?;
        }
        Ok(())
    }

    async fn carry_out(&self, condition: &str) -> Result<(), String> {
        let (word, argument) = condition.split_once(' ').unwrap_or((condition, ""));
        let act = match word {
            "" => return Ok(()),
            "replace" => Act::Replace((!argument.is_empty()).then(|| argument.to_owned())),
            "half-line" => Act::HalfLine,
            "inject" => return self.inject(argument).await,
            "release" => Act::Release,
            "hooks" => Act::Hooks(true),
            "no-hooks" => Act::Hooks(false),
            _ => return Err(format!("no condition `{condition}`")),
        };
        self.handle.act(act).await
    }
}

/// What a look at a port says of the heartbeats behind it.
pub(crate) const HEARTBEAT_MS: &str = "heartbeat_ms";
/// The longest time between two writes of one input.
const GAP_MAX: Duration = Duration::from_millis(20);

impl Server for PortServer {
    fn address(&self) -> &Address {
        &self.address
    }

    fn watch(&mut self, recorder: &Recorder) {
        let seen = self.handle.seen();
        let alive = if seen.alive.load(Ordering::Relaxed) { "yes" } else { "no" };
        recorder.observe(Direction::ToClient, Observation::Alive, alive);
        let fds = 1 + u64::from(seen.connected.load(Ordering::Relaxed));
        recorder.observe(Direction::ToClient, Observation::Fds, fds.to_string());
        let buffered = seen.buffered_max.load(Ordering::Relaxed);
        recorder.observe(Direction::ToClient, Observation::BufferedMax, buffered.to_string());
        let heartbeat = self.pass * PASSES_PER_HEARTBEAT;
        recorder.observe(
            Direction::ToClient,
            Observation::Of(HEARTBEAT_MS),
            heartbeat.as_millis().to_string(),
        );
    }

    fn prepare<'a>(&'a mut self, condition: &'a str) -> BoxFuture<'a, Result<(), LaunchError>> {
        Box::pin(async move {
            let done = self.carry_out(condition).await;
            done.map_err(|why| LaunchError::new(format!("`{condition}`"), LaunchErrorKind::Setup(why)))
        })
    }

    fn act(&mut self, act: ServerAct) -> BoxFuture<'_, Result<(), LaunchError>> {
        Box::pin(async move {
            let order = if act.comes_back() { Act::Restart } else { Act::Kill };
            let done = self.handle.act(order).await;
            done.map_err(|why| {
                LaunchError::new(format!("{} the agent", act.word()), LaunchErrorKind::Setup(why))
            })
        })
    }

    fn stop(self: Box<Self>) -> BoxFuture<'static, ()> {
        Box::pin(async move {
            // Ends what is behind the port as well.
            let Self { handle, mut task, .. } = *self;
            drop(handle);
            let _ = (&mut task).await;
        })
    }
}
