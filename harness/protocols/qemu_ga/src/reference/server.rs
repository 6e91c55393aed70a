//! Starts reference servers and looks at them from outside.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use matrix::{Build, Role};
use session::{
    Address, BoxFuture, Connection, LaunchError, LaunchErrorKind, Launcher, Listener, Recorder, Server,
    Start, Transport,
};
use tokio::task::JoinHandle;
use transcript::evidence::Observation;
use transcript::{ConnId, Endpoint, EventKind};
use wire::Direction;

use protocol::defect::Switches;

use super::agent::Agent;
use super::defects::DEFECTS;
use super::engine::{Engine, Shared};
use crate::dialect::{DIALECTS, Dialect};
use crate::names::BLOCKED;
use crate::operations;
use crate::settings::Settings;

/// Clients that may wait for their turn.
const BACKLOG: usize = 100;
/// How long it may take to leave something half said.
const HALF_SAID: Duration = Duration::from_secs(2);

/// Starts reference servers of one dialect.
#[derive(Debug, Clone)]
pub(crate) struct ReferenceServers {
    endpoint: Endpoint,
    dialect: &'static Dialect,
    switches: Switches,
    settings: Settings,
}

impl ReferenceServers {
    /// Prepares to start servers of a build with defects switched on.
    ///
    /// # Errors
    /// No dialect of that version, no defect of that name, or a setting that nobody knows.
    pub(crate) fn new(build: &Build, switched_on: &[String]) -> Result<Self, LaunchError> {
        let setup = |why: String| {
            LaunchError::new(format!("start reference server {}", build.id), LaunchErrorKind::Setup(why))
        };
        let dialect = DIALECTS
            .for_version(&build.dialect)
            .ok_or_else(|| setup(format!("no dialect `{}`", build.dialect)))?;
        let switches =
            Switches::on(DEFECTS, Role::Server, switched_on).map_err(|why| setup(why.to_string()))?;
        let settings = Settings::read(&build.settings).map_err(setup)?;
        let endpoint = super::endpoint(build, &switches);
        Ok(Self { endpoint, dialect, switches, settings })
    }

    fn launch(&self, transport: Transport) -> std::io::Result<ReferenceServer> {
        let listener = Listener::open(transport, BACKLOG)?;
        let address = listener.address().clone();
        let allowed = self.settings.allow.as_deref();
        let blocked: BTreeSet<String> =
            BLOCKED.iter().filter(|name| Some(**name) != allowed).map(|name| (*name).to_owned()).collect();
        let shared = Arc::new(Shared::default());
        let agent = Agent::new(self.dialect, self.switches.clone(), blocked);
        // Behind a serial line an agent sees no clients come and go.
        let fresh_parser = self.dialect.fresh_parser && !self.settings.on_line;
        let engine = Engine::new(
            self.dialect,
            self.switches.clone(),
            fresh_parser,
            agent,
            listener,
            Arc::clone(&shared),
        );
        Ok(ReferenceServer { address, shared, task: tokio::spawn(engine.run()) })
    }
}

impl Launcher for ReferenceServers {
    fn endpoint(&self) -> Endpoint {
        self.endpoint.clone()
    }

    fn environment(&self) -> BTreeMap<String, String> {
        BTreeMap::new()
    }

    fn start(&self, how: Start) -> BoxFuture<'_, Result<Box<dyn Server>, LaunchError>> {
        Box::pin(async move {
            match self.launch(how.transport) {
                Ok(server) => Ok(Box::new(server) as Box<dyn Server>),
                Err(error) => Err(LaunchError::new(format!("start {}", self.endpoint.id), error)),
            }
        })
    }
}

/// A running reference server: a task of this process.
struct ReferenceServer {
    address: Address,
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

impl Server for ReferenceServer {
    fn address(&self) -> &Address {
        &self.address
    }

    fn watch(&mut self, recorder: &Recorder) {
        if let Some(status) = self.shared.exit() {
            recorder.record(ConnId(0), Direction::ToClient, EventKind::Exit(status));
            return;
        }
        recorder.observe(Direction::ToClient, Observation::Alive, "yes");
        recorder.observe(Direction::ToClient, Observation::Fds, self.shared.held().to_string());
        recorder.observe(Direction::ToClient, Observation::CpuMs, self.shared.cpu_ms().to_string());
    }

    fn prepare<'a>(&'a mut self, condition: &'a str) -> BoxFuture<'a, Result<(), LaunchError>> {
        Box::pin(async move {
            if condition == operations::HALF_SAID {
                leave_half_said(&self.address)
                    .await
                    .map_err(|error| LaunchError::new("leave half a request", error))?;
            }
            Ok(())
        })
    }

    fn stop(self: Box<Self>) -> BoxFuture<'static, ()> {
        Box::pin(async move {
            let mut this = self;
            this.task.abort();
            // It was either aborted or had ended before; both is what is asked for.
            let _ = (&mut this.task).await;
        })
    }
}

impl Drop for ReferenceServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Another host says half a request and goes.
///
/// # Errors
/// The server does not listen.
pub(crate) async fn leave_half_said(address: &Address) -> std::io::Result<()> {
    let connection = Connection::connect(address, HALF_SAID).await?;
    let sent = connection.send(&Bytes::from_static(operations::HALF), &[], None, HALF_SAID).await;
    sent.map_err(|end| std::io::Error::other(format!("{end:?}")))
}
