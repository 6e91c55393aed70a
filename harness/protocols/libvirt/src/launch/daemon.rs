//! Daemons of a real build.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use protocol::installed::{Installed, Process, environment, setup, work};
use rustix::process::Signal;
use session::sandbox::{Slot, SlotCommand};
use session::{
    Address, BoxFuture, Connection, LaunchError, LaunchErrorKind, Launcher, Recorder, Server, ServerAct,
    Start, Worker,
};
use transcript::Endpoint;
use transcript::evidence::Observation;
use wire::Direction;
use wire::libvirt_rpc::{HEAD_LEN, Header};

use super::script;
use super::settings::Settings;
use crate::names::procedures;
use crate::request;
use protocol::launch::{NOBODY, Place, QUESTION_DEADLINE, ask, make_own, ready, within};

/// The daemon's socket, below the directory that is `/wireskew` for it.
const SOCKET: &str = "run/libvirt/libvirt-sock";
/// Its log, likewise.
const LOG: &str = "home/log";
/// Directories that are made for it.
const OWN: [&str; 3] = ["run", "home", "drivers"];
/// The driver for the machine's interfaces, and where roots have it.
const INTERFACE_DRIVER: &str = "libvirt_driver_interface.so";
const DRIVER_DIRECTORIES: [&str; 2] =
    ["usr/lib/x86_64-linux-gnu/libvirt/connection-driver", "usr/lib/libvirt/connection-driver"];
/// How long a daemon may take to end when it is told to.
const END_DEADLINE: Duration = Duration::from_secs(10);
/// How long a daemon may take to be ready when it is started again.
const AGAIN_DEADLINE: Duration = Duration::from_secs(10);
/// Lines of what a script said that an error shows.
const TAIL_LINES: usize = 4;

/// Starts daemons of one build.
#[derive(Debug)]
pub(super) struct DaemonLauncher {
    real: Arc<Installed>,
    settings: Settings,
}

impl DaemonLauncher {
    pub(super) fn new(real: Arc<Installed>, settings: Settings) -> Self {
        Self { real, settings }
    }

    async fn launch(&self, deadline: Duration) -> Result<Daemon, LaunchError> {
        let prepared = prepare(&self.real, &self.settings).await;
        let place = prepared.map_err(|kind| self.real.error("prepare", kind))?;
        let process = place.start(deadline, start(&place, &self.settings)).await?;
        let (settings, address) = (self.settings.clone(), address(&place));
        Ok(Daemon { place, settings, address, process, down: false })
    }
}

impl Launcher for DaemonLauncher {
    fn endpoint(&self) -> Endpoint {
        Endpoint { command: command_line(&self.real, &self.settings), ..self.real.endpoint.clone() }
    }

    fn environment(&self) -> BTreeMap<String, String> {
        environment()
    }

    fn start(&self, how: Start) -> BoxFuture<'_, Result<Box<dyn Server>, LaunchError>> {
        Box::pin(async move { Ok(Box::new(self.launch(how.deadline).await?) as Box<dyn Server>) })
    }
}

/// A place with what the settings ask for.
async fn prepare(real: &Arc<Installed>, settings: &Settings) -> Result<Place, LaunchErrorKind> {
    let own = |slot: &Slot| OWN.iter().try_for_each(|name| make_own(&work(slot).join(name)));
    let place = Place::open(real, |slot| own(slot).map(|()| Vec::new())).await?;
    let work = place.work();
    if settings.real_interfaces {
        let driver = find_driver(&place.slot.path(&place.root))?;
        symlink(Path::new("/").join(driver), work.join("drivers").join(INTERFACE_DRIVER))?;
    }
    if let Some(text) = settings.configuration() {
        fs::write(work.join("libvirtd.conf"), text)?;
    }
    if settings.has_script {
        let steps = script::install(&work, &place.root)?;
        place.slot.mount(steps).await.map_err(setup)?;
    }
    Ok(place)
}

fn address(place: &Place) -> Address {
    Address::Path(place.work().join(SOCKET))
}

/// Runs what runs at boot before the daemon.
async fn boot(place: &Place, settings: &Settings) -> Result<(), LaunchErrorKind> {
    if !settings.has_script {
        return Ok(());
    }
    let user = Some((NOBODY, NOBODY));
    let command = SlotCommand { user, ..place.command(script::at_boot()) };
    let output = place.run(&command, END_DEADLINE, None).await?;
    match output.success() {
        true => Ok(()),
        false => {
            let why = format!("at boot: {:?} {}", output.exit, output.tail(TAIL_LINES));
            Err(LaunchErrorKind::Setup(why))
        }
    }
}

/// Where the driver for interfaces is, below the root.
fn find_driver(root: &Path) -> Result<PathBuf, LaunchErrorKind> {
    let mut files = DRIVER_DIRECTORIES.iter().map(|directory| Path::new(directory).join(INTERFACE_DRIVER));
    let found = files.find(|file| root.join(file).is_file());
    found.ok_or_else(|| LaunchErrorKind::Setup(format!("the build has no {INTERFACE_DRIVER}")))
}

fn command_line(real: &Installed, settings: &Settings) -> Vec<String> {
    let mut argv = vec!["libvirtd".to_owned()];
    argv.extend(real.args.iter().cloned());
    if settings.configuration().is_some() {
        argv.extend(["-f", "/wireskew/libvirtd.conf"].map(str::to_owned));
    }
    argv
}

/// Variables that are not as every process of the build has them.
fn variables(settings: &Settings) -> Vec<(String, String)> {
    let mut variables = settings.locale_variables();
    let set = [
        ("HOME", "/wireskew/home"),
        ("XDG_RUNTIME_DIR", "/wireskew/run"),
        ("DBUS_SESSION_BUS_ADDRESS", "unix:path=/nonexistent"),
        ("DBUS_SYSTEM_BUS_ADDRESS", "unix:path=/nonexistent"),
        ("LIBVIRT_LOG_OUTPUTS", "3:file:/wireskew/home/log"),
        ("LIBVIRT_DRIVER_DIR", "/wireskew/drivers"),
    ];
    variables.extend(set.map(|(name, value)| (name.to_owned(), value.to_owned())));
    variables
}

/// Starts a daemon and waits until it answers.
async fn start(place: &Place, settings: &Settings) -> Result<Process, LaunchErrorKind> {
    let mut command = place.command(command_line(&place.real, settings));
    command.user = Some((NOBODY, NOBODY));
    let replaced = variables(settings);
    command.env.retain(|(name, _)| replaced.iter().all(|(new, _)| new != name));
    command.env.extend(replaced);
    let process = place.spawn(&command).await?;
    let address = address(place);
    // The socket is there before the drivers are ready, and calls are answered only after that.
    ready(|| answers(&address), || place.why_ended(&process, &[LOG])).await?;
    Ok(process)
}

/// Whether the daemon answers. Its end of our connection is closed when this returns, so that nobody counts it: a
/// CLOSE is followed by the end of the stream, in every state of a connection but one that has to authenticate.
async fn answers(address: &Address) -> Option<()> {
    let mut connection = Connection::connect(address, QUESTION_DEADLINE).await.ok()?;
    let list = request::call(procedures::AUTH_LIST, 1, &[]);
    let answer = head(&mut connection, &list).await?;
    let close = request::call(procedures::CONNECT_CLOSE, 2, &[]);
    if head(&mut connection, &close).await.is_some_and(|header| header.status == answer.status) {
        let _ = connection.recv(QUESTION_DEADLINE).await;
    }
    Some(())
}

/// Asks and reads the head of the answer, and what comes with it.
async fn head(connection: &mut Connection, question: &Bytes) -> Option<Header> {
    let read = |reply: &mut BytesMut| Ok((reply.len() >= HEAD_LEN).then(|| Header::read(reply)));
    ask(connection, question, read).await.ok()?
}

/// A running daemon.
#[derive(Debug)]
struct Daemon {
    place: Place,
    settings: Settings,
    address: Address,
    process: Process,
    /// It was ended on purpose.
    down: bool,
}

impl Daemon {
    /// Ends the daemon with a signal and waits for that.
    async fn end(&mut self, signal: Signal) -> Result<(), LaunchErrorKind> {
        self.down = true;
        match self.process.end(signal, END_DEADLINE).await.map_err(setup)? {
            Some(_) => Ok(()),
            None => Err(LaunchErrorKind::Setup(format!("{signal:?} did not end the daemon"))),
        }
    }

    async fn suffer(&mut self, act: ServerAct) -> Result<(), LaunchErrorKind> {
        let signal = if act == ServerAct::Restart { Signal::TERM } else { Signal::KILL };
        self.end(signal).await?;
        if act == ServerAct::Reboot {
            // What is in memory only does not outlive the machine.
            let run = self.place.work().join("run");
            fs::remove_dir_all(&run)?;
            make_own(&run)?;
            boot(&self.place, &self.settings).await?;
        }
        if act.comes_back() {
            self.process = within(AGAIN_DEADLINE, start(&self.place, &self.settings)).await?;
            self.down = false;
        }
        Ok(())
    }
}

impl Server for Daemon {
    fn address(&self) -> &Address {
        &self.address
    }

    fn worker(&self) -> Option<&dyn Worker> {
        (!self.down).then_some(&self.process as &dyn Worker)
    }

    /// The state of the test driver goes with its last connection.
    fn forgets(&self) -> bool {
        !self.settings.real_interfaces && !self.settings.has_script
    }

    fn watch(&mut self, recorder: &Recorder) {
        if self.down {
            recorder.observe(Direction::ToClient, Observation::Alive, "no");
        } else {
            self.process.watch(recorder);
        }
    }

    fn act(&mut self, act: ServerAct) -> BoxFuture<'_, Result<(), LaunchError>> {
        Box::pin(async move {
            let done = self.suffer(act).await;
            done.map_err(|kind| self.place.real.error(act.word(), kind))
        })
    }

    fn stop(self: Box<Self>) -> BoxFuture<'static, ()> {
        Box::pin(async move { self.place.slot.close().await })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_daemon_gets_only_what_it_is_told() {
        let variables = variables(&Settings::default());
        let get = |name: &str| variables.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str());
        assert_eq!(get("LC_ALL"), Some("C"));
        assert_eq!(get("LIBVIRT_DRIVER_DIR"), Some("/wireskew/drivers"));
    }

    #[test]
    fn a_build_without_the_driver_for_interfaces_says_so() {
        let dir = tempfile::tempdir().expect("a temporary directory can be made");
        let error = find_driver(dir.path()).expect_err("it is empty");
        assert_eq!(error.to_string(), "the build has no libvirt_driver_interface.so");
        let directory = dir.path().join(DRIVER_DIRECTORIES[0]);
        fs::create_dir_all(&directory)
            .and_then(|()| fs::write(directory.join(INTERFACE_DRIVER), ""))
            .expect("it can be written");
        assert!(find_driver(dir.path()).is_ok());
    }
}
