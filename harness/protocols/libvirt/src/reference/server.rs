//! Starts reference servers and looks at them from outside.
//!
//! `ideal` keeps its interfaces in a directory of its own, which outlives the server: a restart or a crash
//! finds it as it was left, and a reboot runs what the machine would run at boot. Releases forget.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use matrix::{Build, Role};
use protocol::Bench;
use session::{
    Address, BoxFuture, LaunchError, LaunchErrorKind, Launcher, Listener, Recorder, Server, ServerAct, Start,
    Transport,
};
use tokio::task::JoinHandle;
use transcript::evidence::Observation;
use transcript::{ConnId, Endpoint, EventKind};
use wire::Direction;

use super::super::dialect::{DIALECTS, Dialect, LastClose, Rollback};
use super::calls::{Host, Maker};
use super::defects::{self, SERVER_DEFECTS};
use super::description::Description;
use super::driver::{self, FIRST_INTERFACE, TestDriver};
use super::engine::{Engine, Parts, Shared};
use super::interfaces::{Kept, ListFaults};
use super::settings::Settings;
use super::transaction::{ConnectivityTest, Fault, Owner, TransactionError, Transactions};
use protocol::defect::Switches;

/// How many clients may wait to be accepted.
const BACKLOG: usize = 100;

/// Tells the servers of one process apart.
static NUMBER: AtomicU64 = AtomicU64::new(0);

/// Starts reference servers of one dialect.
#[derive(Debug, Clone)]
pub(crate) struct ReferenceServers {
    endpoint: Endpoint,
    dialect: Dialect,
    settings: Settings,
    switches: Switches,
    work_dir: PathBuf,
    keepalive: Option<Duration>,
    test: Option<ConnectivityTest>,
}

impl ReferenceServers {
    /// Prepares to start servers of a build with defects switched on.
    ///
    /// # Errors
    /// No dialect of that version, no such setting, or no defect of that name.
    pub(crate) fn new(build: &Build, switched_on: &[String], bench: &Bench) -> Result<Self, LaunchError> {
        let error = |why: String| {
            let what = format!("start reference server {}", build.id);
            LaunchError::new(what, LaunchErrorKind::Setup(why))
        };
        let dialect = DIALECTS
            .for_version(&build.dialect)
            .ok_or_else(|| error(format!("no dialect `{}`", build.dialect)))?;
        let settings = Settings::read(&build.settings, dialect).map_err(error)?;
        let switches =
            Switches::on(SERVER_DEFECTS, Role::Server, switched_on).map_err(|why| error(why.to_string()))?;
        Ok(Self {
            endpoint: endpoint(build, &switches),
            dialect: settings.apply(dialect),
            settings,
            switches,
            work_dir: bench.work_dir.clone(),
            keepalive: None,
            test: None,
        })
    }

    /// The same with another time from one sign of life to the next, for tests that cannot wait.
    #[must_use]
    #[cfg(test)]
    pub(crate) fn with_keepalive(self, interval: Duration) -> Self {
        Self { keepalive: Some(interval), ..self }
    }

    /// The same with a connectivity test for every transaction. The protocol has no way to ask for one, and
    /// a number of its own would be a number that upstream gives another meaning one day; so it is a
    /// setting of the server, which both ends know: whoever begins has to be heard at that address in time,
    /// and has to stay connected, or what it changed is rolled back.
    #[must_use]
    #[cfg(test)]
    pub(crate) fn with_connectivity_test(self, test: ConnectivityTest) -> Self {
        Self { test: Some(test), ..self }
    }

    fn launch(&self, transport: Transport) -> std::io::Result<ReferenceServer> {
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let listener = Listener::open(transport, BACKLOG)?;
        let mut server = ReferenceServer {
            made: self.clone(),
            address: listener.address().clone(),
            dir: self.work_dir.join(format!("libvirt-{number}")),
            shared: Arc::new(Shared::new()),
            task: None,
        };
        server.begin(listener, true)?;
        Ok(server)
    }

    /// The test that every transaction is begun with. That of the settings is for the server's own address, so
    /// that any number of servers can run beside each other.
    fn test(&self, address: &Address) -> Option<ConnectivityTest> {
        let own = self.settings.connectivity_ms.map(|deadline_ms| ConnectivityTest {
            host: address.to_string(),
            port: 0,
            deadline_ms,
        });
        self.test.clone().or(own)
    }

    fn keeps(&self) -> bool {
        self.dialect.server.last_close == LastClose::Keeps
    }

    fn maker(&self) -> Maker {
        let leaves_inactive = self.switches.has(defects::ROLLBACK_LEAVES_INACTIVE);
        let rollback = if leaves_inactive { Rollback::AllInactive } else { self.dialect.server.rollback };
        let faults = ListFaults { begin_twice: self.switches.has(defects::BEGIN_TWICE_ACCEPTED) };
        Maker { faults, rollback }
    }

    /// The faults of the directory that go with the defects that are switched on.
    fn faults(&self) -> impl Iterator<Item = Fault> {
        [
            (defects::ROLLBACK_LEAVES_INACTIVE, Fault::RollbackLeavesInactive),
            (defects::ROLLBACK_FORGETS_ADDED, Fault::RollbackForgetsAdded),
            (defects::COMMIT_DISCARDS, Fault::CommitDiscards),
            (defects::BEGIN_TWICE_ACCEPTED, Fault::BeginTwiceAccepted),
            (defects::BOOT_KEEPS, Fault::BootKeepsTransaction),
            (defects::BOOT_KEEPS, Fault::GoneClientKeepsTransaction),
            (defects::GONE_CLIENT_KEEPS, Fault::GoneClientKeepsTransaction),
            (defects::LATE_CLIENT_KEEPS, Fault::LateClientKeepsTransaction),
            // The clients of a process that dies are gone too, maybe a moment before.
            (defects::CRASH_LOSES, Fault::GoneClientKeepsTransaction),
        ]
        .into_iter()
        .filter(|(defect, _)| self.switches.has(defect))
        .map(|(_, fault)| fault)
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

/// Who a reference server is, for the provenance of transcripts.
fn endpoint(build: &Build, switches: &Switches) -> Endpoint {
    let faults: Vec<_> = switches.names().collect();
    let faults = (!faults.is_empty()).then(|| (verdict::FAULTS.to_owned(), faults.join(" ")));
    let settings = build.settings.iter().map(|(key, value)| (key.clone(), value.clone()));
    Endpoint {
        id: build.id.to_string(),
        name: "libvirtd (reference)".to_owned(),
        version: Some(build.version.clone()),
        source: Some("reference".to_owned()),
        modified: faults.is_some(),
        details: settings.chain(faults).collect(),
        ..Endpoint::default()
    }
}

/// A running reference server: a task of this process.
struct ReferenceServer {
    made: ReferenceServers,
    address: Address,
    /// Where `ideal` keeps its interfaces.
    dir: PathBuf,
    shared: Arc<Shared>,
    /// `None` after it was killed.
    task: Option<JoinHandle<()>>,
}

/// Stands for a client that no server has: sessions count from 1.
const NOBODY: Owner = Owner(0);

fn starts_at_boot(definition: &[u8]) -> bool {
    Description::parse(definition).is_ok_and(|description| description.starts_at_boot())
}

impl ReferenceServer {
    /// Starts the task; `first` time the directory is filled.
    fn begin(&mut self, listener: Listener, first: bool) -> std::io::Result<()> {
        let made = &self.made;
        let make = made.maker();
        let mut host = Host { shared: None, users: 0, make };
        if made.keeps() {
            let kept = open(made, &self.address, &self.dir, first).map_err(std::io::Error::other)?;
            host.shared = Some(TestDriver::new(Box::new(kept)));
        }
        let seconds = made.dialect.server.keepalive.interval_s;
        let parts = Parts {
            dialect: made.dialect.clone(),
            settings: made.settings.clone(),
            switches: made.switches.clone(),
            host,
            keepalive: made.keepalive.unwrap_or_else(|| Duration::from_secs(seconds.into())),
        };
        self.shared = Arc::new(Shared::new());
        self.task = Some(tokio::spawn(Engine::new(parts, listener, Arc::clone(&self.shared)).run()));
        Ok(())
    }

    async fn end(&mut self) {
        if let Some(mut task) = self.task.take() {
            task.abort();
            // It was either aborted or had ended before; both is what is asked for.
            let _ = (&mut task).await;
        }
    }

    async fn carry_out(&mut self, act: ServerAct) -> std::io::Result<()> {
        self.end().await;
        if act == ServerAct::Reboot && self.made.keeps() {
            let booted = Transactions::open(&self.dir)
                .map(|transactions| transactions.with_faults(self.made.faults()))
                .and_then(|mut transactions| transactions.boot(starts_at_boot));
            booted.map_err(std::io::Error::other)?;
        }
        if act.comes_back() {
            self.begin(Listener::bind(self.address.clone(), BACKLOG)?, false)?;
        }
        Ok(())
    }
}

/// The directory of a server that starts. What is open there belonged to a client of the server before this
/// one; it is gone.
fn open(
    made: &ReferenceServers,
    address: &Address,
    dir: &PathBuf,
    first: bool,
) -> Result<Kept, TransactionError> {
    let mut transactions = Transactions::open(dir)?.with_faults(made.faults());
    if first {
        let interface = driver::first_interface();
        transactions.define(&interface.description.name, FIRST_INTERFACE.as_bytes())?;
        transactions.set_running(&interface.description.name, true)?;
    }
    if made.switches.has(defects::CRASH_LOSES) && transactions.is_open() {
        transactions.commit(NOBODY)?;
    }
    transactions.end_orphan()?;
    Ok(Kept::new(transactions, made.test(address)))
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
        let alive = if self.task.is_some() { "yes" } else { "no" };
        recorder.observe(Direction::ToClient, Observation::Alive, alive);
        recorder.observe(Direction::ToClient, Observation::Fds, self.shared.held().to_string());
        recorder.observe(
            Direction::ToClient,
            Observation::BufferedMax,
            self.shared.buffered_max().to_string(),
        );
    }

    fn act(&mut self, act: ServerAct) -> BoxFuture<'_, Result<(), LaunchError>> {
        Box::pin(async move {
            let done = self.carry_out(act).await;
            done.map_err(|error| LaunchError::new(format!("{} the server", act.word()), error))
        })
    }

    fn stop(mut self: Box<Self>) -> BoxFuture<'static, ()> {
        Box::pin(async move { self.end().await })
    }
}

impl Drop for ReferenceServer {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
        if self.made.keeps() {
            // What is left is in the directory of the run, which goes with it.
            let _ = std::fs::remove_dir_all(&self.dir);
        }
    }
}
