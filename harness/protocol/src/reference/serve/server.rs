//! Starts reference servers, looks at them from outside, and ends them.

use std::any::Any;
use std::future::ready;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use session::{
    Address, BoxFuture, Injection, LaunchError, LaunchErrorKind, Launcher, Listener, Recorder, Server,
    ServerAct, Stage, Start, Successor, Successors,
};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use transcript::evidence::Observation;
use transcript::{ConnId, Endpoint, EventKind, ExitStatus};
use wire::Direction;

use super::{Engine, Machine};

/// Tells the servers of one process apart.
static NUMBER: AtomicU64 = AtomicU64::new(0);

fn number() -> u64 {
    NUMBER.fetch_add(1, Ordering::Relaxed)
}

/// What can be done to a server of this process by other means than its socket.
pub trait Outside: Send {
    /// See [`Server::set_stage`].
    fn set_stage(&mut self, _stage: &Stage) {}

    /// See [`Server::prepare`].
    fn prepare<'a>(
        &'a mut self,
        _address: &'a Address,
        _condition: &'a str,
    ) -> BoxFuture<'a, Result<(), LaunchError>> {
        Box::pin(ready(Ok(())))
    }

    /// Does something to what is behind the server; `None` where it is done to the server itself. See [`Server::act`].
    /// Only here a server can be configured and told to reload: the loop knows of no configuration.
    fn act<'a>(&'a mut self, _act: &'a ServerAct) -> Option<BoxFuture<'a, Result<(), LaunchErrorKind>>> {
        None
    }

    /// Puts what another build has behind its servers in the place of what is behind this one; `None` where the server
    /// itself is replaced. The other build is given as its [`Servers`], which are of the same type.
    fn replace<'a>(
        &'a mut self,
        _by: &'a (dyn Any + Send + Sync),
    ) -> Option<BoxFuture<'a, Result<(), LaunchErrorKind>>> {
        None
    }

    /// See [`Server::inject`].
    fn inject<'a>(&'a mut self, _injection: &'a Injection) -> BoxFuture<'a, Result<(), LaunchErrorKind>> {
        Box::pin(ready(Err(LaunchErrorKind::CannotAct)))
    }

    /// See [`Server::release`].
    fn release(&mut self) -> BoxFuture<'_, Result<(), LaunchErrorKind>> {
        Box::pin(ready(Err(LaunchErrorKind::CannotAct)))
    }

    /// Tells more than a look does; see [`Server::watch`].
    fn watch(&mut self, _recorder: &Recorder) {}

    /// See [`Server::effects`].
    fn effects(&mut self, _is_gone: bool, _recorder: &Recorder) {}

    /// Ends what is behind the server, and waits for that, before the server itself is stopped.
    fn stop(&mut self) -> BoxFuture<'_, ()> {
        Box::pin(ready(()))
    }
}

/// A server to which nothing can be done.
pub(super) struct Untouched;

impl Outside for Untouched {}

/// What can be seen of a server from outside.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Look {
    /// How it ended by itself.
    pub exit: Option<ExitStatus>,
    /// Whether it runs; one that was killed on purpose does not.
    pub alive: bool,
    /// How many descriptors it holds: its socket, its clients, what it leaked.
    pub fds: usize,
    /// How many bytes of messages it holds: what came and is not dealt with, and what is still to be sent.
    pub held_bytes: usize,
    /// Whether clients that do not read keep the processor busy; `None` where its work is not told at all.
    pub spins: Option<bool>,
    /// For how long they did.
    busy: Duration,
    /// Since when they do.
    busy_since: Option<Instant>,
}

impl Look {
    /// Writes down what is so now.
    fn write(&self, recorder: &Recorder) {
        if let Some(status) = self.exit {
            recorder.record(ConnId(0), Direction::ToClient, EventKind::Exit(status));
            return;
        }
        let observe = |key, value: String| recorder.observe(Direction::ToClient, key, value);
        observe(Observation::Alive, if self.alive { "yes" } else { "no" }.to_owned());
        observe(Observation::Fds, self.fds.to_string());
        observe(Observation::HeldBytes, self.held_bytes.to_string());
        if self.spins.is_some() {
            let now = self.busy_since.map_or(Duration::ZERO, |since| since.elapsed());
            observe(Observation::CpuMs, (self.busy + now).as_millis().to_string());
        }
    }

    pub(super) fn keep_busy(&mut self, busy: bool) {
        if let Some(since) = self.busy_since.take() {
            self.busy += since.elapsed();
        }
        self.busy_since = busy.then(Instant::now);
    }
}

/// What was seen of a server last; whoever runs it keeps that up to date.
#[derive(Debug, Clone, Default)]
pub(super) struct Seen(Arc<Mutex<Look>>);

impl Seen {
    /// A look, to be read or changed.
    pub(super) fn look(&self) -> MutexGuard<'_, Look> {
        // Every change leaves it in order.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How a server begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Begins {
    /// For the first time: there is nothing of it yet.
    First,
    /// After it was ended or killed.
    Again,
    /// After its machine lost power and started again.
    AtBoot,
}

/// Where a server is.
#[derive(Debug, Clone)]
pub struct Site {
    /// Its socket.
    pub address: Address,
    /// A directory that it may make. It outlives the process of the server, and is removed with the server.
    pub directory: PathBuf,
    /// How it begins.
    pub begins: Begins,
    /// How long what is behind it may take to be ready.
    pub deadline: Duration,
}

/// Servers of one build.
pub trait Servers: Send + Sync + 'static {
    /// What each of them is.
    type Machine: Machine;

    /// How many clients may wait to be accepted.
    const BACKLOG: usize = 100;
    /// Whether one that was killed comes back with the state that a real one would have.
    const COMES_BACK: bool = false;

    /// Makes one.
    ///
    /// # Errors
    /// What the file system gives, or what is behind the server.
    fn make(&self, site: &Site) -> impl Future<Output = Result<Self::Machine, LaunchErrorKind>> + Send;
}

/// A launcher of reference servers.
pub fn launcher<S: Servers>(endpoint: Endpoint, work_dir: &Path, servers: S) -> Arc<dyn Launcher> {
    Arc::new(Starter { endpoint, work_dir: work_dir.to_owned(), servers: Arc::new(servers) })
}

struct Starter<S> {
    endpoint: Endpoint,
    work_dir: PathBuf,
    servers: Arc<S>,
}

impl<S: Servers> Starter<S> {
    async fn launch(&self, how: Start) -> Result<ReferenceServer<S>, LaunchErrorKind> {
        let listener = Listener::open(how.transport, S::BACKLOG)?;
        let site = Site {
            address: listener.address().clone(),
            directory: self.work_dir.join(format!("server-{}", number())),
            begins: Begins::First,
            deadline: how.deadline,
        };
        let (seen, outside, task) = begin(&*self.servers, &site, listener).await?;
        let (first, servers) = (Arc::clone(&self.servers), Arc::clone(&self.servers));
        let (successors, replaced_by) = (Successors::default(), None);
        Ok(ReferenceServer { first, servers, successors, replaced_by, site, seen, outside, task })
    }
}

impl<S: Servers> Launcher for Starter<S> {
    fn endpoint(&self) -> Endpoint {
        self.endpoint.clone()
    }

    fn start(&self, how: Start) -> BoxFuture<'_, Result<Box<dyn Server>, LaunchError>> {
        Box::pin(async move {
            let server = self.launch(how).await;
            let failed = |error| LaunchError::new(format!("start {}", self.endpoint.id), error);
            server.map(|server| Box::new(server) as Box<dyn Server>).map_err(failed)
        })
    }
}

/// A running reference server: a task of this process.
struct ReferenceServer<S> {
    /// What was started first, and what runs now.
    first: Arc<S>,
    servers: Arc<S>,
    successors: Successors,
    replaced_by: Option<Successor>,
    site: Site,
    seen: Seen,
    outside: Box<dyn Outside>,
    task: JoinHandle<()>,
}

type Begun = (Seen, Box<dyn Outside>, JoinHandle<()>);

async fn begin<S: Servers>(servers: &S, site: &Site, listener: Listener) -> Result<Begun, LaunchErrorKind> {
    let machine = servers.make(site).await?;
    let (seen, outside) = (Seen::default(), machine.outside());
    let task = tokio::spawn(Engine::new(machine, listener, seen.clone()).run());
    Ok((seen, outside, task))
}

impl<S: Servers> ReferenceServer<S> {
    async fn end(&mut self) {
        self.task.abort();
        if !self.task.is_finished() {
            // It was either aborted or has ended before that; both is what is asked for.
            let _ = (&mut self.task).await;
        }
        self.seen.look().alive = false;
    }

    async fn carry_out(&mut self, act: &ServerAct) -> Result<(), LaunchErrorKind> {
        if let ServerAct::Replace(by) = act {
            return self.replace(by).await;
        }
        if let Some(done) = self.outside.act(act) {
            return done.await;
        }
        if !S::COMES_BACK || matches!(act, ServerAct::Reload | ServerAct::Configure(_)) {
            return Err(LaunchErrorKind::CannotAct);
        }
        self.end().await;
        match act {
            ServerAct::Kill => Ok(()),
            ServerAct::Reboot => self.begin(Begins::AtBoot).await,
            _ => self.begin(Begins::Again).await,
        }
    }

    async fn replace(&mut self, by: &Successor) -> Result<(), LaunchErrorKind> {
        let servers = match by {
            Successor::First => Arc::clone(&self.first),
            Successor::Release(release) => {
                Arc::clone(&self.successors.launcher::<Starter<S>>(release)?.servers)
            }
        };
        if let Some(done) = self.outside.replace(&*servers) {
            done.await?;
        } else if S::COMES_BACK {
            self.end().await;
            self.servers = servers;
            self.begin(Begins::Again).await?;
        } else {
            return Err(LaunchErrorKind::CannotAct);
        }
        self.replaced_by = Some(by.clone());
        Ok(())
    }

    /// Starts it again at the same address, with what is left in its directory.
    async fn begin(&mut self, begins: Begins) -> Result<(), LaunchErrorKind> {
        self.site.begins = begins;
        let listener = Listener::bind(self.site.address.clone(), S::BACKLOG)?;
        (self.seen, self.outside, self.task) = begin(&*self.servers, &self.site, listener).await?;
        Ok(())
    }
}

impl<S: Servers> Server for ReferenceServer<S> {
    fn address(&self) -> &Address {
        &self.site.address
    }

    fn machine(&self) -> Option<&Path> {
        Some(&self.site.directory)
    }

    fn watch(&mut self, recorder: &Recorder) {
        let look = *self.seen.look();
        look.write(recorder);
        self.outside.watch(recorder);
    }

    fn set_stage(&mut self, stage: &Stage) {
        self.outside.set_stage(stage);
    }

    fn prepare<'a>(&'a mut self, condition: &'a str) -> BoxFuture<'a, Result<(), LaunchError>> {
        self.outside.prepare(&self.site.address, condition)
    }

    fn set_successors(&mut self, successors: &Successors) {
        self.successors = successors.clone();
    }

    fn replaced_by(&self) -> Option<&Successor> {
        self.replaced_by.as_ref()
    }

    fn act<'a>(&'a mut self, act: &'a ServerAct) -> BoxFuture<'a, Result<(), LaunchError>> {
        Box::pin(async move {
            let done = self.carry_out(act).await;
            done.map_err(|error| LaunchError::new(format!("{} the server", act.word()), error))
        })
    }

    fn inject<'a>(&'a mut self, injection: &'a Injection) -> BoxFuture<'a, Result<(), LaunchError>> {
        Box::pin(async move {
            let done = self.outside.inject(injection).await;
            done.map_err(|error| LaunchError::new("write in the server's stead", error))
        })
    }

    fn release(&mut self) -> BoxFuture<'_, Result<(), LaunchError>> {
        Box::pin(async move {
            let done = self.outside.release().await;
            done.map_err(|error| LaunchError::new("let the server go on", error))
        })
    }

    fn effects<'a>(&'a mut self, recorder: &'a Recorder) -> BoxFuture<'a, ()> {
        let is_gone = self.seen.look().exit.is_some();
        self.outside.effects(is_gone, recorder);
        Box::pin(ready(()))
    }

    fn stop(mut self: Box<Self>) -> BoxFuture<'static, ()> {
        Box::pin(async move {
            self.outside.stop().await;
            self.end().await;
        })
    }
}

impl<S> Drop for ReferenceServer<S> {
    fn drop(&mut self) {
        self.task.abort();
        // There may be none; what is left is in the directory of the run, which goes with it.
        let _ = std::fs::remove_dir_all(&self.site.directory);
    }
}
