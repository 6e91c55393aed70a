//! Daemons of a real build.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use protocol::installed::{Installed, Process, setup};
use session::{Address, Connection, LaunchErrorKind};
use wire::libvirt_rpc::{HEAD_LEN, Header};

use super::script;
use super::settings::Settings;
use crate::names::procedures;
use crate::request;
use protocol::launch::{Daemons, Place, QUESTION_DEADLINE, ask, make_own, ready};

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
/// How long what runs at boot may take.
const BOOT_DEADLINE: Duration = Duration::from_secs(10);
/// Lines of what a script said that an error shows.
const TAIL_LINES: usize = 4;

/// The daemons of one build.
#[derive(Debug)]
pub(super) struct Libvirtd {
    pub(super) settings: Settings,
}

impl Daemons for Libvirtd {
    type Kept = ();

    const COMES_BACK: bool = true;

    fn command_line(&self, real: &Installed) -> Vec<String> {
        let mut argv = vec!["libvirtd".to_owned()];
        argv.extend(real.args.iter().cloned());
        if self.settings.configuration().is_some() {
            argv.extend(["-f", "/wireskew/libvirtd.conf"].map(str::to_owned));
        }
        argv
    }

    /// A place with what the settings ask for.
    async fn open(&self, real: &Arc<Installed>) -> Result<Place, LaunchErrorKind> {
        let own = |work: &Path| OWN.iter().try_for_each(|name| make_own(&work.join(name)));
        let place = Place::open(real, |work| own(work).map(|()| Vec::new())).await?;
        let work = place.work();
        if self.settings.real_interfaces {
            let driver = find_driver(&place.slot.path(&place.root))?;
            symlink(Path::new("/").join(driver), work.join("drivers").join(INTERFACE_DRIVER))?;
        }
        if let Some(text) = self.settings.configuration() {
            fs::write(work.join("libvirtd.conf"), text)?;
        }
        if self.settings.has_script {
            let steps = script::install(&work, &place.root)?;
            place.slot.mount(steps).await.map_err(setup)?;
        }
        Ok(place)
    }

    fn address(&self, place: &Place) -> Address {
        Address::Path(place.work().join(SOCKET))
    }

    async fn start(&self, place: &Place) -> Result<(Process, ()), LaunchErrorKind> {
        let mut command = place.command_of_nobody(self.command_line(&place.real));
        let replaced = variables(&self.settings);
        command.env.retain(|(name, _)| replaced.iter().all(|(new, _)| new != name));
        command.env.extend(replaced);
        let process = place.spawn(&command).await?;
        let address = self.address(place);
        // The socket is there before the drivers are ready, and calls are answered only after that.
        ready(|| answers(&address), || place.why_ended(&process, &[LOG])).await?;
        Ok((process, ()))
    }

    /// What is in memory only does not outlive the machine; then come the scripts that run before the daemon.
    async fn boot(&self, place: &Place) -> Result<(), LaunchErrorKind> {
        let run = place.work().join("run");
        fs::remove_dir_all(&run)?;
        make_own(&run)?;
        if !self.settings.has_script {
            return Ok(());
        }
        let output = place.run(&place.command_of_nobody(script::at_boot()), BOOT_DEADLINE, None).await?;
        match output.success() {
            true => Ok(()),
            false => {
                let why = format!("at boot: {:?} {}", output.exit, output.tail(TAIL_LINES));
                Err(LaunchErrorKind::Setup(why))
            }
        }
    }

    /// The state of the test driver goes with its last connection.
    fn forgets(&self) -> bool {
        !self.settings.real_interfaces && !self.settings.has_script
    }
}

/// Where the driver for interfaces is, below the root.
fn find_driver(root: &Path) -> Result<PathBuf, LaunchErrorKind> {
    let mut files = DRIVER_DIRECTORIES.iter().map(|directory| Path::new(directory).join(INTERFACE_DRIVER));
    let found = files.find(|file| root.join(file).is_file());
    found.ok_or_else(|| LaunchErrorKind::Setup(format!("the build has no {INTERFACE_DRIVER}")))
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
