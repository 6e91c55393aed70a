//! Starts reference servers and looks at them from outside.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use matrix::{Build, Role};
use protocol::Bench;
use session::{
    Address, BoxFuture, LaunchError, LaunchErrorKind, Launcher, Listener, Recorder, Server, Stage, Start,
    Transport,
};
use tokio::task::JoinHandle;
use transcript::evidence::Observation;
use transcript::{ConnId, Endpoint, EventKind};
use wire::Direction;

use super::super::dialect::{DIALECTS, Dialect};
use super::super::effects::{self, Before};
use super::super::names;
use super::container::Container;
use super::defects::DEFECTS;
use super::engine::{Engine, Shared};
use protocol::defect::Switches;

/// Backlog of the command socket of every release.
const BACKLOG: usize = 100;

/// Tells the servers of one process apart.
static NUMBER: AtomicU64 = AtomicU64::new(0);

/// Starts reference servers of one dialect.
#[derive(Debug, Clone)]
pub(crate) struct ReferenceServers {
    endpoint: Endpoint,
    dialect: &'static Dialect,
    switches: Switches,
    work_dir: PathBuf,
}

impl ReferenceServers {
    /// Prepares to start servers of a build with defects switched on.
    ///
    /// # Errors
    /// No dialect of that version, or no defect of that name.
    pub(crate) fn new(build: &Build, switched_on: &[String], bench: &Bench) -> Result<Self, LaunchError> {
        let what = || format!("start reference server {}", build.id);
        let dialect = DIALECTS.for_version(&build.dialect).ok_or_else(|| {
            let why = format!("no dialect `{}`", build.dialect);
            LaunchError::new(what(), LaunchErrorKind::Setup(why))
        })?;
        let switches = Switches::on(DEFECTS, Role::Server, switched_on)
            .map_err(|why| LaunchError::new(what(), LaunchErrorKind::Setup(why.to_string())))?;
        let endpoint = super::endpoint(build, &switches);
        Ok(Self { endpoint, dialect, switches, work_dir: bench.work_dir.clone() })
    }

    fn launch(&self, transport: Transport) -> std::io::Result<ReferenceServer> {
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let listener = Listener::open(transport, BACKLOG)?;
        let address = listener.address().clone();
        let machine = self.work_dir.join(format!("lxc-{number}"));
        let container = Container::running(&self.dialect.server, machine.clone())?;
        let shared = Arc::new(Shared::new(container));
        let engine = Engine::new(self.dialect, self.switches.clone(), listener, Arc::clone(&shared));
        Ok(ReferenceServer { address, machine, shared, task: tokio::spawn(engine.run()) })
    }
}

impl Launcher for ReferenceServers {
    fn endpoint(&self) -> Endpoint {
        self.endpoint.clone()
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
    machine: PathBuf,
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

impl Server for ReferenceServer {
    fn address(&self) -> &Address {
        &self.address
    }

    fn machine(&self) -> Option<&Path> {
        Some(&self.machine)
    }

    fn watch(&mut self, recorder: &Recorder) {
        if let Some(status) = self.shared.exit() {
            recorder.record(ConnId(0), Direction::ToClient, EventKind::Exit(status));
            return;
        }
        recorder.observe(Direction::ToClient, Observation::Alive, "yes");
        recorder.observe(Direction::ToClient, Observation::Fds, self.shared.held().to_string());
        recorder.observe(
            Direction::ToClient,
            Observation::BufferedMax,
            self.shared.buffered_max().to_string(),
        );
    }

    fn set_stage(&mut self, stage: &Stage) {
        self.shared.container().set_stage(stage);
    }

    fn prepare<'a>(&'a mut self, condition: &'a str) -> BoxFuture<'a, Result<(), LaunchError>> {
        if condition == Before::Frozen.condition() {
            let mut container = self.shared.container();
            container.set_frozen(true);
            container.enter(names::FROZEN);
        }
        Box::pin(async { Ok(()) })
    }

    fn effects<'a>(&'a mut self, recorder: &'a Recorder) -> BoxFuture<'a, ()> {
        let container = self.shared.container();
        let yes_no = |yes| if yes { "yes" } else { "no" };
        if self.shared.exit().is_some() {
            effects::effect(recorder, effects::STATE, "STOPPED");
        } else {
            let state = names::state_text(container.state.into());
            effects::effect(recorder, effects::STATE, &state);
            effects::effect(recorder, effects::FROZEN, yes_no(container.is_frozen()));
            effects::effect(recorder, effects::TTY, yes_no(container.leases_granted > 0));
            effects::effect(recorder, effects::DEVICE_RULE, yes_no(container.has_device_rule()));
        }
        Box::pin(async {})
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
