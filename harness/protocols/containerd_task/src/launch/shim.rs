//! Shims of a real build.

use std::fs;
use std::future::ready as at_once;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use protocol::installed::{Installed, Process, setup};
use protocol::launch::{Daemon, Daemons, Place, QUESTION_DEADLINE, ready, within};
use rustix::process::Signal;
use session::containers::Rights;
use session::process::Output;
use session::sandbox::{PlaceError, Sandbox};
use session::{Address, BoxFuture, LaunchError, LaunchErrorKind, Recorder, Server, Worker};
use transcript::evidence::Observation;
use ttrpc::Values;
use ttrpc::reference::client::{Called, Calls};
use wire::Direction;
use wire::protobuf::Writer;

use super::bootstrap::Bootstrap;
use super::bundle::{self, Fifo, LOG, STDERR, STDOUT};
use super::containerd::{Running, Start};
use super::effects::{self, Container};
use super::events::Events;
use super::place::{address, can_be_met, entered, point_to, share_run};
use super::{CONTAINER, LEFT, NAMESPACE};
use crate::operations::{LEFT_BY_DAEMON, UNHEARD};

/// The daemon that is not there.
const DAEMON: &str = "/run/containerd/containerd.sock";
/// How long a daemon may take to start a container and to end.
const DAEMON_DEADLINE: Duration = Duration::from_secs(20);
/// How long a shim may take to end that is killed.
const END_DEADLINE: Duration = Duration::from_secs(5);
/// Lines of what a shim said that an error shows.
const TAIL_LINES: usize = 4;
/// Key of the events that came.
const EVENTS: &str = "events";

/// The shims of one build.
#[derive(Debug)]
pub(super) struct Shims;

/// What is kept of a shim.
#[derive(Debug)]
pub(super) struct Kept {
    process: Process,
    events: Events,
    _fifos: Vec<Fifo>,
}

impl Daemons for Shims {
    type Kept = Kept;

    fn command_line(&self, real: &Installed) -> Vec<String> {
        let mut argv = vec!["containerd-shim-runc-v2".to_owned()];
        argv.extend(real.args.iter().cloned());
        let publish = ["-publish-binary", "/usr/bin/true"];
        let named =
            ["-namespace", NAMESPACE, "-address", DAEMON, publish[0], publish[1], "-id", CONTAINER, "start"];
        argv.extend(named.map(str::to_owned));
        argv
    }

    /// A slot with a bundle in it.
    async fn open(&self, real: &Arc<Installed>) -> Result<Place, LaunchErrorKind> {
        let sandbox = Sandbox::inside().ok_or_else(|| setup(PlaceError::NoSandbox))?;
        let rootfs = bundle::TINY.path(&sandbox, &real.root, &real.cache).await?;
        let place =
            Place::open_with(real, Rights::StartsContainers, |work| bundle::prepare(work, rootfs)).await?;
        share_run(&place).await?;
        Ok(place)
    }

    fn address(&self, place: &Place) -> Address {
        address(place)
    }

    async fn start(&self, place: &Place) -> Result<(Process, Kept), LaunchErrorKind> {
        let fifos = [LOG, STDOUT, STDERR].map(|name| Fifo::read(&place.work(), name));
        let fifos = fifos.into_iter().collect::<io::Result<_>>()?;
        let events = Events::take(place)?;
        let argv = self.command_line(&place.real);
        let argv: Vec<_> = argv.iter().map(String::as_str).collect();
        let mut command = entered(place, &format!("/run/bundle/{CONTAINER}"), &argv);
        let daemon = [("TTRPC_ADDRESS", format!("{DAEMON}.ttrpc")), ("GRPC_ADDRESS", DAEMON.to_owned())];
        command.env.extend(daemon.map(|(name, value)| (name.to_owned(), value)));
        // The deadline is the caller's, around all of this.
        let output = place.run(&command, Duration::MAX, None).await?;
        if !output.success() {
            return Err(not_started(place, &output));
        }
        let bootstrap = Bootstrap::read(&output.stdout.bytes()).ok_or_else(|| not_started(place, &output))?;
        point_to(place, &bootstrap.at)?;
        let address = address(place);
        // It goes into the background: until it answers nobody knows which process it is, nor whether it has ended.
        let pid = ready(|| pid_of(&address, bootstrap.service(), CONTAINER), || None).await?;
        let process = Process::new(&place.slot, pid);
        can_be_met(&address, place);
        Ok((process.clone(), Kept { process, events, _fifos: fifos }))
    }

    fn served(daemon: Daemon<Self>) -> Box<dyn Server> {
        let shim = daemon.kept.process.clone();
        Box::new(Shim { daemon, shim, events: None, is_unheard: false, told: 0 })
    }
}

fn not_started(place: &Place, output: &Output) -> LaunchErrorKind {
    let log = fs::read_to_string(place.work().join(LOG)).unwrap_or_default();
    let said = [output.stdout.tail(TAIL_LINES), output.stderr.tail(TAIL_LINES), log].join("; ");
    LaunchErrorKind::Ended(format!("containerd-shim-runc-v2: {:?}; {said}", output.exit))
}

/// The pid of the shim that answers there, in the slot. Every shim answers this question, whatever the container.
pub(super) async fn pid_of(address: &Address, service: &str, id: &str) -> Option<i32> {
    let mut calls = Calls::connect(address, None, QUESTION_DEADLINE).await.ok()?;
    let request = Writer::new().text(1, id).finish();
    match calls.call(service, "Connect", &request).await.ok()? {
        Called::Done(result) => i32::try_from(Values(&result).uint(1)).ok().filter(|pid| *pid > 0),
        Called::Failed { .. } => None,
    }
}

/// A running shim.
struct Shim {
    daemon: Daemon<Shims>,
    /// The shim that is met: the one that was started without a daemon, or the one that a daemon has left.
    shim: Process,
    /// Who takes events, if it is not the one of the first shim.
    events: Option<Events>,
    /// Nobody takes events any more.
    is_unheard: bool,
    /// How many events have been written down.
    told: usize,
}

impl Shim {
    /// Has a daemon of the same build start a container and end. Then its shim is the one that is met.
    async fn leave_by_daemon(&mut self) -> Result<(), LaunchErrorKind> {
        // It is gone, or its slot is.
        let _ = self.shim.end(Signal::KILL, END_DEADLINE).await.map_err(setup)?;
        let place = &self.daemon.place;
        let running = Running::start(place, Start::Anew).await?;
        running.run_container(LEFT).await?;
        running.end().await?;
        self.events = Some(Events::take(place)?);
        self.told = 0;
        let container = Container::new(place, LEFT);
        ready(|| at_once(container.catches_term().then_some(())), || None).await?;
        let printed = ["bootstrap.json", "address"].map(|name| fs::read(container.bundle().join(name)));
        let printed = printed.into_iter().find_map(Result::ok).unwrap_or_default();
        let bootstrap = Bootstrap::read(&printed).ok_or_else(|| {
            let text = String::from_utf8_lossy(&printed).into_owned();
            LaunchErrorKind::Setup(format!("a daemon left a shim at `{text}`"))
        })?;
        point_to(place, &bootstrap.at)?;
        let pid = ready(|| pid_of(&self.daemon.address, bootstrap.service(), LEFT), || None).await?;
        self.shim = Process::new(&place.slot, pid);
        Ok(())
    }

    /// Writes down what events came since.
    fn tell_events(&mut self, recorder: &Recorder) {
        let topics = self.events.as_ref().unwrap_or(&self.daemon.kept.events).topics();
        if topics.len() > self.told {
            let new = topics.get(self.told..).unwrap_or_default().join(" ");
            recorder.observe(
                Direction::ToClient,
                Observation::Of(EVENTS),
                format!("{}: {new}", topics.len()),
            );
            self.told = topics.len();
        }
    }
}

impl Server for Shim {
    fn address(&self) -> &Address {
        &self.daemon.address
    }

    fn worker(&self) -> Option<&dyn Worker> {
        Some(&self.shim)
    }

    fn watch(&mut self, recorder: &Recorder) {
        self.tell_events(recorder);
        self.shim.watch(recorder);
    }

    fn prepare<'a>(&'a mut self, condition: &'a str) -> BoxFuture<'a, Result<(), LaunchError>> {
        Box::pin(async move {
            let real = Arc::clone(&self.daemon.place.real);
            match condition {
                LEFT_BY_DAEMON => {
                    let left = within(DAEMON_DEADLINE, self.leave_by_daemon()).await;
                    left.map_err(|kind| real.error("have a daemon leave", kind))
                }
                UNHEARD => {
                    self.is_unheard = true;
                    let ended = self.daemon.kept.events.end(&self.daemon.place);
                    ended.map_err(|error| real.error("take no events", error))
                }
                _ => Ok(()),
            }
        })
    }

    fn effects<'a>(&'a mut self, recorder: &'a Recorder) -> BoxFuture<'a, ()> {
        Box::pin(async move {
            self.tell_events(recorder);
            let place = &self.daemon.place;
            // Whoever takes events now came when a daemon had left.
            let id = if self.events.is_some() { LEFT } else { CONTAINER };
            let container = Container::new(place, id);
            let allowed = if self.is_unheard { effects::END_UNHEARD } else { effects::END };
            effects::write(&container, &self.shim, allowed, recorder).await;
            if let Some(events) = &self.events {
                effects::write_bundle(&container, recorder);
                effects::write_told(&events.topics(), recorder);
            } else {
                effects::write_said(place, recorder);
            }
        })
    }

    fn stop(self: Box<Self>) -> BoxFuture<'static, ()> {
        // Shims outlive whoever started them, and containers outlive shims; neither outlives the slot.
        Box::new(self.daemon).stop()
    }
}
