//! Daemons of a real build.

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use protocol::installed::{Installed, Process, setup};
use protocol::launch::{Daemon, Daemons, Place, busybox, ready};
use rustix::process::Signal;
use session::containers::Rights;
use session::{Address, LaunchErrorKind, Recorder};
use tokio::sync::OnceCell;

use super::api::Api;
use super::conditions::{self, NOTHING, Told};
use super::place::{self, configuration, entered, share_run, socket};
use super::{check, effects, image};
use crate::operations::TINY;
use crate::settings::Settings;

/// How often a daemon is asked whether it is there.
const LOOK_AGAIN: Duration = Duration::from_millis(20);
/// What a daemon says when it is done with a reload. 28.5.2 says the first also where it could not apply what it had read.
const DONE: [&str; 2] = ["Reloaded configuration", "level=error"];
/// How long it may take for that.
const RELOAD_MAX: Duration = Duration::from_secs(2);
/// How it is run. It has no bridge and leaves packet filters alone: nothing of the machine's network is its own.
const ARGUMENTS: [&str; 14] = [
    "-H",
    "unix:///run/docker.sock",
    "--config-file",
    "/run/daemon.json",
    "--pidfile",
    "/run/dockerd.pid",
    "--exec-root",
    "/run/docker",
    "--data-root",
    "/wireskew/data",
    "--iptables=false",
    "--ip6tables=false",
    "--bridge=none",
    "--storage-driver=vfs",
];

/// The daemons of one build.
#[derive(Debug)]
pub(super) struct Dockerd {
    settings: Settings,
    /// Set once an exec of a daemon of the build was seen to land in its container.
    checked: OnceCell<()>,
}

impl Dockerd {
    pub(super) fn new(settings: Settings) -> Self {
        Self { settings, checked: OnceCell::new() }
    }

    /// Has the image made, unless it is there.
    async fn has_image(&self, place: &Place, api: Api<'_>) -> Result<(), LaunchErrorKind> {
        if api.ask("GET", &format!("/images/{TINY}/json")).await?.status == 200 {
            return Ok(());
        }
        let busybox = fs::read(busybox(&place.real.root, &place.real.cache)?)?;
        api.import(TINY, &image::archive(&busybox)).await
    }
}

impl Daemons for Dockerd {
    type Kept = ();

    const COMES_BACK: bool = true;
    const RELOADS: bool = true;

    fn command_line(&self, real: &Installed) -> Vec<String> {
        let argv = ["dockerd"].into_iter().map(str::to_owned).chain(real.args.iter().cloned());
        argv.chain(ARGUMENTS.map(str::to_owned)).collect()
    }

    async fn open(&self, real: &Arc<Installed>) -> Result<Place, LaunchErrorKind> {
        let place = Place::open_with(real, Rights::StartsContainers, place::prepare).await?;
        share_run(&place).await?;
        fs::write(configuration(&place), NOTHING)?;
        Ok(place)
    }

    fn address(&self, place: &Place) -> Address {
        Address::Path(socket(place))
    }

    async fn start(&self, place: &Place) -> Result<(Process, ()), LaunchErrorKind> {
        let mut command = entered(place, self.command_line(&place.real));
        if let Some(version) = self.settings.min_api {
            command.env.push(("DOCKER_MIN_API_VERSION".to_owned(), version.to_string()));
        }
        let process = place.spawn(&command).await?;
        let address = self.address(place);
        let api = Api(&address);
        let answers = || async {
            let is_up = api.ask("GET", "/_ping").await.is_ok_and(|answer| answer.body == b"OK");
            if !is_up {
                tokio::time::sleep(LOOK_AGAIN).await;
            }
            is_up.then_some(())
        };
        ready(answers, || place.why_ended(&process, &[])).await?;
        self.has_image(place, api).await?;
        self.checked.get_or_try_init(|| check::exec_lands_in_the_container(api)).await?;
        Ok((process, ()))
    }

    /// A machine that has lost power has nothing in `/run`, and no container.
    async fn boot(&self, _place: &Place) -> Result<(), LaunchErrorKind> {
        Err(LaunchErrorKind::CannotAct)
    }

    async fn configure(&self, place: &Place, name: &str) -> Result<(), LaunchErrorKind> {
        conditions::configure(place, name)
    }

    fn watch(&self, place: &Place, process: &Process, recorder: &Recorder) {
        process.watch(recorder);
        effects::write_living(place, recorder);
    }

    /// Waits until the daemon says that it is done with it, well or badly; one that says nothing is given some time.
    async fn reload(&self, place: &Place, process: &Process) -> Result<(), LaunchErrorKind> {
        let before = place.said().len();
        process.signal(Signal::HUP).await.map_err(setup)?;
        let is_done = async {
            while !place.said().get(before..).is_some_and(|new| DONE.iter().any(|word| new.contains(word))) {
                tokio::time::sleep(LOOK_AGAIN).await;
            }
        };
        let _ = tokio::time::timeout(RELOAD_MAX, is_done).await;
        Ok(())
    }

    /// The same data-root, exec-root and socket with another root.
    async fn take_over(&self, left: &Place, real: &Arc<Installed>) -> Result<Place, LaunchErrorKind> {
        place::within(real, Arc::clone(&left.slot)).await
    }

    async fn prepare(&self, daemon: &Daemon<Self>, condition: &str) -> Result<(), LaunchErrorKind> {
        told(daemon).prepare(condition).await
    }

    async fn reset(&self, daemon: &Daemon<Self>) -> Result<(), LaunchErrorKind> {
        told(daemon).reset().await
    }

    async fn effects(&self, daemon: &Daemon<Self>, recorder: &Recorder) {
        effects::write(daemon, recorder).await;
    }
}

fn told(daemon: &Daemon<Dockerd>) -> Told<'_> {
    Told { place: &daemon.place, process: daemon.process(), api: Api(&daemon.address) }
}
