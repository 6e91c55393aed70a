//! Daemons of a real build: each runs in a slot of its own.

use std::collections::BTreeMap;
use std::future::{Future, ready};
use std::sync::Arc;
use std::time::Duration;

use matrix::{Build, Source};
use rustix::process::Signal;
use session::pty::Line;
use session::{
    Address, BoxFuture, LaunchError, LaunchErrorKind, Launcher, Look, Recorder, Server, ServerAct, Start,
    Successor, Successors, Transport, Worker,
};
use transcript::Endpoint;
use transcript::evidence::{self, Observation};
use wire::Direction;

use super::{At, Place, within};
use crate::installed::{self, Installed, Process, Software, setup};
use crate::{Bench, Made};

/// How long a daemon may take to end when it is told to.
const END_DEADLINE: Duration = Duration::from_secs(10);

/// The daemons of one build: what is known of them.
pub trait Daemons: Send + Sync + Sized + 'static {
    /// What is kept of one that runs.
    type Kept: Send + Sync + 'static;

    /// Whether one that has ended can be started again in its place.
    const COMES_BACK: bool = false;
    /// Whether SIGHUP has one read its configuration again.
    const RELOADS: bool = false;

    /// The command line, for the provenance of transcripts.
    fn command_line(&self, real: &Installed) -> Vec<String>;

    /// See [`Launcher::environment`].
    fn environment(&self) -> BTreeMap<String, String> {
        installed::environment()
    }

    /// Where one speaks.
    fn at(&self) -> At {
        At::Socket
    }

    /// Opens a place with everything in it that a daemon needs.
    fn open(&self, real: &Arc<Installed>) -> impl Future<Output = Result<Place, LaunchErrorKind>> + Send;

    /// Where the daemon of a place listens; a TCP port is one of the place's own ([`Address::TcpInSlot`]).
    fn address(&self, place: &Place) -> Address;

    /// Starts a daemon there and waits until it answers. The deadline is the caller's.
    fn start(
        &self,
        place: &Place,
    ) -> impl Future<Output = Result<(Process, Self::Kept), LaunchErrorKind>> + Send;

    /// What a machine does between losing power and starting the daemon.
    fn boot(&self, _place: &Place) -> impl Future<Output = Result<(), LaunchErrorKind>> + Send {
        ready(Ok(()))
    }

    /// Has a daemon read its configuration again.
    fn reload(
        &self,
        _place: &Place,
        process: &Process,
    ) -> impl Future<Output = Result<(), LaunchErrorKind>> + Send {
        async move { process.signal(Signal::HUP).await.map_err(setup) }
    }

    /// Writes the configuration of that name, of which nobody tells a daemon that runs.
    fn configure(
        &self,
        _place: &Place,
        _name: &str,
    ) -> impl Future<Output = Result<(), LaunchErrorKind>> + Send {
        ready(Err(LaunchErrorKind::CannotAct))
    }

    /// The place of a daemon of another build that has ended, with what that one has left, as one of this build finds it:
    /// see [`Place::within`]. It must listen at the same address there.
    fn take_over(
        &self,
        _left: &Place,
        _real: &Arc<Installed>,
    ) -> impl Future<Output = Result<Place, LaunchErrorKind>> + Send {
        ready(Err(LaunchErrorKind::CannotAct))
    }

    /// See [`Server::forgets`].
    fn forgets(&self) -> bool {
        false
    }

    /// The line to a daemon that is on one. What lies in it is still to be done.
    fn line(_kept: &Self::Kept) -> Option<&Line> {
        None
    }

    /// Writes down what can be seen of one that runs.
    fn watch(&self, _place: &Place, process: &Process, recorder: &Recorder) {
        process.watch(recorder);
    }

    /// See [`Server::prepare`].
    fn prepare(
        &self,
        _daemon: &Daemon<Self>,
        _condition: &str,
    ) -> impl Future<Output = Result<(), LaunchErrorKind>> + Send {
        ready(Ok(()))
    }

    /// See [`Server::reset`].
    fn reset(&self, _daemon: &Daemon<Self>) -> impl Future<Output = Result<(), LaunchErrorKind>> + Send {
        ready(Err(LaunchErrorKind::CannotAct))
    }

    /// See [`Server::effects`].
    fn effects(&self, _daemon: &Daemon<Self>, _recorder: &Recorder) -> impl Future<Output = ()> + Send {
        ready(())
    }

    /// What a run is given of a daemon that has started.
    fn served(daemon: Daemon<Self>) -> Box<dyn Server> {
        Box::new(daemon)
    }
}

/// Starts the daemons of one build.
#[derive(Debug)]
pub struct DaemonLauncher<D> {
    real: Arc<Installed>,
    daemons: Arc<D>,
}

/// A launcher of the daemons of an installed build. It is to be used inside a sandbox; making it needs none.
///
/// # Errors
/// The build was not fetched or is not where it was said to be.
pub fn daemons<D: Daemons>(
    software: &'static Software,
    (build, source, bench): (&Build, &Source, &Bench),
    daemons: D,
) -> Made<dyn Launcher> {
    let real = Installed::find(software, build, source, bench)?;
    Ok(Arc::new(DaemonLauncher::new(Arc::new(real), daemons)))
}

/// What a build's settings say, or why it cannot be started with them.
///
/// # Errors
/// They could not be read.
pub fn settings<T>(build: &Build, read: Result<T, String>) -> Result<T, LaunchError> {
    let what = || format!("start {} {}", build.protocol, build.id);
    read.map_err(|why| LaunchError::new(what(), LaunchErrorKind::Setup(why)))
}

impl<D: Daemons> DaemonLauncher<D> {
    /// Of that build.
    pub fn new(real: Arc<Installed>, daemons: D) -> Self {
        Self { real, daemons: Arc::new(daemons) }
    }

    /// Starts one.
    ///
    /// # Errors
    /// It cannot be started, or does not answer in time; then nothing of it stays.
    pub async fn launch(&self, deadline: Duration) -> Result<Daemon<D>, LaunchError> {
        let opened = self.daemons.open(&self.real).await;
        let place = opened.map_err(|kind| self.real.error("prepare", kind))?;
        let (process, kept) = place.start(deadline, self.daemons.start(&place)).await?;
        let address = self.daemons.address(&place);
        let first = (Arc::clone(&self.real), Arc::clone(&self.daemons));
        let (daemons, successors) = (Arc::clone(&self.daemons), Successors::default());
        Ok(Daemon {
            first,
            daemons,
            deadline,
            place,
            address,
            process,
            kept,
            down: false,
            successors,
            replaced_by: None,
        })
    }
}

impl<D: Daemons> Launcher for DaemonLauncher<D> {
    fn endpoint(&self) -> Endpoint {
        Endpoint { command: self.daemons.command_line(&self.real), ..self.real.endpoint.clone() }
    }

    fn environment(&self) -> BTreeMap<String, String> {
        self.daemons.environment()
    }

    fn transport(&self, _simulated: Transport) -> evidence::Transport {
        self.daemons.at().transport()
    }

    fn start(&self, how: Start) -> BoxFuture<'_, Result<Box<dyn Server>, LaunchError>> {
        Box::pin(async move { Ok(D::served(self.launch(how.deadline).await?)) })
    }
}

/// A running daemon.
#[derive(Debug)]
pub struct Daemon<D: Daemons> {
    /// The build that was started first.
    first: (Arc<Installed>, Arc<D>),
    daemons: Arc<D>,
    /// How long a start may take.
    deadline: Duration,
    /// Where it runs.
    pub place: Place,
    /// Where it listens.
    pub address: Address,
    process: Process,
    /// What is kept of it.
    pub kept: D::Kept,
    /// It was ended on purpose.
    down: bool,
    successors: Successors,
    replaced_by: Option<Successor>,
}

impl<D: Daemons> Daemon<D> {
    /// Its process.
    #[must_use]
    pub fn process(&self) -> &Process {
        &self.process
    }

    /// Ends the daemon with a signal and waits for that.
    async fn end(&mut self, signal: Signal) -> Result<(), LaunchErrorKind> {
        self.down = true;
        match self.process.end(signal, END_DEADLINE).await.map_err(setup)? {
            Some(_) => Ok(()),
            None => Err(LaunchErrorKind::Setup(format!("{signal:?} did not end the daemon"))),
        }
    }

    async fn suffer(&mut self, act: &ServerAct) -> Result<(), LaunchErrorKind> {
        match act {
            ServerAct::Reload if D::RELOADS => self.daemons.reload(&self.place, &self.process).await,
            ServerAct::Replace(by) if D::COMES_BACK => self.replace(by).await,
            ServerAct::Configure(name) => self.daemons.configure(&self.place, name).await,
            ServerAct::Kill if D::COMES_BACK => self.end(Signal::KILL).await,
            ServerAct::Restart if D::COMES_BACK => {
                self.end(Signal::TERM).await?;
                self.start_again().await
            }
            ServerAct::CrashRestart if D::COMES_BACK => {
                self.end(Signal::KILL).await?;
                self.start_again().await
            }
            ServerAct::Reboot if D::COMES_BACK => {
                self.end(Signal::KILL).await?;
                self.daemons.boot(&self.place).await?;
                self.start_again().await
            }
            _ => Err(LaunchErrorKind::CannotAct),
        }
    }

    async fn start_again(&mut self) -> Result<(), LaunchErrorKind> {
        let again = within(self.deadline, self.daemons.start(&self.place));
        (self.process, self.kept) = again.await?;
        self.down = false;
        Ok(())
    }

    async fn replace(&mut self, by: &Successor) -> Result<(), LaunchErrorKind> {
        let (real, daemons) = match by {
            Successor::First => self.first.clone(),
            Successor::Release(release) => {
                let DaemonLauncher { real, daemons } = self.successors.launcher(release)?;
                (Arc::clone(real), Arc::clone(daemons))
            }
        };
        self.end(Signal::TERM).await?;
        self.place = daemons.take_over(&self.place, &real).await?;
        self.daemons = daemons;
        let address = self.daemons.address(&self.place);
        if address != self.address {
            let why = format!("its successor listens at {address}, not at {}", self.address);
            return Err(LaunchErrorKind::Setup(why));
        }
        self.start_again().await?;
        self.replaced_by = Some(by.clone());
        Ok(())
    }
}

impl<D: Daemons> Worker for Daemon<D> {
    fn look(&self) -> Option<Look> {
        let look = self.process.look()?;
        Some(Look { busy: look.busy || D::line(&self.kept).is_some_and(Line::carries), ..look })
    }
}

impl<D: Daemons> Server for Daemon<D> {
    fn address(&self) -> &Address {
        &self.address
    }

    fn worker(&self) -> Option<&dyn Worker> {
        (!self.down).then_some(self as &dyn Worker)
    }

    fn forgets(&self) -> bool {
        self.daemons.forgets()
    }

    fn watch(&mut self, recorder: &Recorder) {
        if self.down {
            recorder.observe(Direction::ToClient, Observation::Alive, "no");
        } else {
            self.daemons.watch(&self.place, &self.process, recorder);
        }
    }

    fn prepare<'a>(&'a mut self, condition: &'a str) -> BoxFuture<'a, Result<(), LaunchError>> {
        Box::pin(async move {
            let prepared = self.daemons.prepare(self, condition).await;
            prepared.map_err(|kind| self.place.real.error("prepare", kind))
        })
    }

    fn reset(&mut self) -> BoxFuture<'_, Result<(), LaunchError>> {
        Box::pin(async move {
            let reset = self.daemons.reset(self).await;
            reset.map_err(|kind| self.place.real.error("reset", kind))
        })
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
            done.map_err(|kind| self.place.real.error(act.word(), kind))
        })
    }

    fn effects<'a>(&'a mut self, recorder: &'a Recorder) -> BoxFuture<'a, ()> {
        Box::pin(self.daemons.effects(self, recorder))
    }

    fn stop(self: Box<Self>) -> BoxFuture<'static, ()> {
        Box::pin(async move { self.place.slot.close().await })
    }
}
