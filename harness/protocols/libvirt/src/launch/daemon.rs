//! Daemons of a real build.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use protocol::installed::{Installed, Process, environment, setup, work};
use rustix::process::Signal;
use session::sandbox::{Sandbox, Slot, SlotError};
use session::{
    Address, BoxFuture, Connection, LaunchError, LaunchErrorKind, Launcher, Received, Recorder, Server,
    ServerAct, Start, Worker,
};
use transcript::Endpoint;
use transcript::evidence::Observation;
use wire::Direction;
use wire::libvirt_rpc::{HEAD_LEN, Header};

use super::script;
use super::settings::Settings;
use crate::names::procedures;
use crate::request;

/// The daemon's socket, below the directory that is `/wireskew` for it.
const SOCKET: &str = "run/libvirt/libvirt-sock";
/// Directories that are made for it.
const OWN: [&str; 3] = ["run", "home", "drivers"];
/// The driver for the machine's interfaces, and where roots have it.
const INTERFACE_DRIVER: &str = "libvirt_driver_interface.so";
const DRIVER_DIRECTORIES: [&str; 2] =
    ["usr/lib/x86_64-linux-gnu/libvirt/connection-driver", "usr/lib/libvirt/connection-driver"];
/// The user and the group as whom daemons run. The user needs an entry in `passwd`.
pub(super) const NOBODY: u32 = 65534;
/// How long one of our own questions may take.
const QUESTION_DEADLINE: Duration = Duration::from_secs(2);
/// How often readiness is tried again.
const READY_RETRY: Duration = Duration::from_millis(2);
/// How long a daemon may take to end when it is told to.
const END_DEADLINE: Duration = Duration::from_secs(10);
/// How long a daemon may take to be ready when it is started again.
const AGAIN_DEADLINE: Duration = Duration::from_secs(10);
/// Lines of what it said that an error shows.
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
        let prepared = Place::prepare(&self.real, &self.settings).await;
        let place = prepared.map_err(|kind| self.real.error("prepare", kind))?;
        let slot = Arc::clone(&place.slot);
        match start(&place, deadline).await {
            Ok(process) => {
                let address = Address::Path(place.socket());
                Ok(Daemon { place, address, process, down: false })
            }
            Err(kind) => {
                slot.close().await;
                Err(self.real.error("start", kind))
            }
        }
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

/// A slot that is ready for a daemon.
#[derive(Debug)]
struct Place {
    real: Arc<Installed>,
    settings: Settings,
    slot: Arc<Slot>,
    /// The build's root, as it is mounted in the slot.
    root: PathBuf,
}

impl Place {
    async fn prepare(real: &Arc<Installed>, settings: &Settings) -> Result<Self, LaunchErrorKind> {
        let sandbox = Sandbox::inside().ok_or_else(|| setup(SlotError::NoSandbox))?;
        let slot = Arc::new(Slot::open(&sandbox).await.map_err(setup)?);
        let work = work(&slot);
        fs::create_dir(slot.directory().join("r"))?;
        fs::create_dir(&work)?;
        for name in OWN {
            make_own(&work.join(name))?;
        }
        let root = real.mount(&slot).await.map_err(setup)?;
        if settings.real_interfaces {
            let driver = find_driver(&slot.path(&root))?;
            symlink(Path::new("/").join(driver), work.join("drivers").join(INTERFACE_DRIVER))?;
        }
        if let Some(text) = settings.configuration() {
            fs::write(work.join("libvirtd.conf"), text)?;
        }
        if settings.has_script {
            let steps = script::install(&work, &root)?;
            slot.mount(steps).await.map_err(setup)?;
        }
        Ok(Self { real: Arc::clone(real), settings: settings.clone(), slot, root })
    }

    fn socket(&self) -> PathBuf {
        work(&self.slot).join(SOCKET)
    }

    /// Starts the daemon. It does not go into the background.
    async fn spawn(&self) -> Result<Process, LaunchErrorKind> {
        let argv = command_line(&self.real, &self.settings);
        let mut command = self.real.command(self.root.clone(), argv);
        command.user = Some((NOBODY, NOBODY));
        let replaced = variables(&self.settings);
        command.env.retain(|(name, _)| replaced.iter().all(|(new, _)| new != name));
        command.env.extend(replaced);
        let said = OpenOptions::new().create(true).append(true).open(work(&self.slot).join("said"))?;
        let streams = [OwnedFd::from(File::open("/dev/null")?), said.try_clone()?.into(), said.into()];
        let pid = self.slot.spawn(&command, streams).await.map_err(setup)?;
        Ok(Process::new(&self.slot, pid))
    }

    /// Runs what runs at boot before the daemon.
    async fn boot(&self) -> Result<(), LaunchErrorKind> {
        if !self.settings.has_script {
            return Ok(());
        }
        let mut command = self.real.command(self.root.clone(), script::at_boot());
        command.user = Some((NOBODY, NOBODY));
        let output = self.slot.run(&command, END_DEADLINE, None).await.map_err(setup)?;
        match output.success() {
            true => Ok(()),
            false => {
                let why = format!("at boot: {:?} {}", output.exit, output.tail(TAIL_LINES));
                Err(LaunchErrorKind::Setup(why))
            }
        }
    }

    /// The end of what the daemon printed and logged.
    fn last_words(&self) -> String {
        let work = work(&self.slot);
        let lines = ["said", "home/log"].map(|name| fs::read(work.join(name)).unwrap_or_default());
        let text = String::from_utf8_lossy(&lines.concat()).into_owned();
        let all: Vec<_> = text.lines().collect();
        all.get(all.len().saturating_sub(TAIL_LINES)..).unwrap_or(&[]).join("; ")
    }
}

/// A directory of the daemon's alone. The mode is asked for: it takes no other for its sockets.
pub(super) fn make_own(directory: &Path) -> io::Result<()> {
    fs::create_dir(directory)?;
    fs::set_permissions(directory, Permissions::from_mode(0o700))?;
    chown(directory, Some(NOBODY), Some(NOBODY))
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
async fn start(place: &Place, deadline: Duration) -> Result<Process, LaunchErrorKind> {
    let up = async {
        let process = place.spawn().await?;
        let address = Address::Path(place.socket());
        // The socket is there before the drivers are ready, and calls are answered only after that.
        while !answers(&address).await {
            if let Some(status) = process.ended() {
                let why = format!("libvirtd: {status:?}; {}", place.last_words());
                return Err(LaunchErrorKind::Ended(why));
            }
            tokio::time::sleep(READY_RETRY).await;
        }
        Ok(process)
    };
    let late = |_| LaunchErrorKind::NotReady(u64::try_from(deadline.as_millis()).unwrap_or(u64::MAX));
    tokio::time::timeout(deadline, up).await.map_err(late)?
}

/// Whether the daemon answers. Its end of our connection is closed when this returns, so that nobody counts it: a
/// CLOSE is followed by the end of the stream, in every state of a connection but one that has to authenticate.
async fn answers(address: &Address) -> bool {
    let Ok(mut connection) = Connection::connect(address, QUESTION_DEADLINE).await else { return false };
    let list = request::call(procedures::AUTH_LIST, 1, &[]);
    let Some(answer) = ask(&mut connection, &list).await else { return false };
    let close = request::call(procedures::CONNECT_CLOSE, 2, &[]);
    if ask(&mut connection, &close).await.is_some_and(|header| header.status == answer.status) {
        let _ = connection.recv(QUESTION_DEADLINE).await;
    }
    true
}

/// Asks and reads the head of the answer, and what comes with it.
async fn ask(connection: &mut Connection, question: &Bytes) -> Option<Header> {
    connection.send(question, &[], None, QUESTION_DEADLINE).await.ok()?;
    let mut reply = BytesMut::new();
    while reply.len() < HEAD_LEN {
        match connection.recv(QUESTION_DEADLINE).await.ok()? {
            Received::Data(data, _) => reply.extend_from_slice(&data.bytes),
            Received::Eof | Received::Reset | Received::Timeout => return None,
        }
    }
    Header::read(&reply)
}

/// A running daemon.
#[derive(Debug)]
struct Daemon {
    place: Place,
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
            let run = work(&self.place.slot).join("run");
            fs::remove_dir_all(&run)?;
            make_own(&run)?;
            self.place.boot().await?;
        }
        if act.comes_back() {
            self.process = start(&self.place, AGAIN_DEADLINE).await?;
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
        !self.place.settings.real_interfaces && !self.place.settings.has_script
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
