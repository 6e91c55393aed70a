//! A slot of the sandbox, or a container, with the root of an installed build in it.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use session::containers::Rights;
use session::process::Output;
use session::proxy::Proxy;
use session::sandbox::{self, MountStep, PlaceCommand};
use session::{Address, LaunchError, LaunchErrorKind, Recorder, Worker};
use transcript::ConnId;

use super::within;
use crate::installed::{Installed, Process, setup};

/// The user and the group as whom daemons run that need not be root. The user has an entry in `passwd`.
pub const NOBODY: u32 = 65534;
/// The file of a slot in which the processes that stay write what they say.
const SAID: &str = "said";
/// Lines of what they said that an error shows.
const TAIL_LINES: usize = 4;

/// Where the processes of a build run.
#[derive(Debug, Clone)]
pub struct Place {
    /// The build.
    pub real: Arc<Installed>,
    /// The slot, or whatever stands for one.
    pub slot: Arc<dyn sandbox::Place>,
    /// The build's root, as the slot sees it.
    pub root: PathBuf,
}

impl Place {
    /// Opens a slot, has its files written below the directory that is `/wireskew` there, and shows the build's root in it.
    /// What is to be mounted below that directory has to be so before the root is: those steps `files` gives back.
    ///
    /// # Errors
    /// There is no sandbox, or something cannot be made; then nothing of the slot stays.
    pub async fn open(
        real: &Arc<Installed>,
        files: impl FnOnce(&Path) -> io::Result<Vec<MountStep>>,
    ) -> Result<Self, LaunchErrorKind> {
        Self::open_with(real, Rights::Plain, files).await
    }

    /// The same for processes that need more rights than every container has; a slot has them all.
    ///
    /// # Errors
    /// The same.
    pub async fn open_with(
        real: &Arc<Installed>,
        rights: Rights,
        files: impl FnOnce(&Path) -> io::Result<Vec<MountStep>>,
    ) -> Result<Self, LaunchErrorKind> {
        let slot = real.open(rights).await.map_err(setup)?;
        let steps = files(&slot.work())?;
        if slot.image().is_some() {
            copies(&steps)?;
        } else if !steps.is_empty() {
            slot.mount(steps).await.map_err(setup)?;
        }
        Self::within(real, slot).await
    }

    /// Shows the build's root in a slot that is there, next to other roots.
    ///
    /// # Errors
    /// It cannot be mounted.
    pub async fn within(
        real: &Arc<Installed>,
        slot: Arc<dyn sandbox::Place>,
    ) -> Result<Self, LaunchErrorKind> {
        let root = real.mount(&*slot).await.map_err(setup)?;
        Ok(Self { real: Arc::clone(real), slot, root })
    }

    /// The directory that is `/wireskew` for the processes of the slot.
    #[must_use]
    pub fn work(&self) -> PathBuf {
        self.slot.work()
    }

    /// A command of the build.
    #[must_use]
    pub fn command(&self, argv: Vec<String>) -> PlaceCommand {
        self.real.command(self.root.clone(), argv)
    }

    /// Runs a command to its end.
    ///
    /// # Errors
    /// The slot is gone, or there is no such program.
    pub async fn run(
        &self,
        command: &PlaceCommand,
        deadline: Duration,
        server: Option<&dyn Worker>,
    ) -> Result<Output, LaunchErrorKind> {
        self.slot.run(command, deadline, server).await.map_err(setup)
    }

    /// A command of the build that [`NOBODY`] runs.
    #[must_use]
    pub fn command_of_nobody(&self, argv: Vec<String>) -> PlaceCommand {
        PlaceCommand { user: Some((NOBODY, NOBODY)), ..self.command(argv) }
    }

    /// Runs a client to its end behind a proxy that writes down what passes between it and the server: it speaks at `listen`.
    /// What it printed, and how many descriptors the server passed to it.
    ///
    /// # Errors
    /// The proxy cannot listen there; otherwise as for [`Place::run`].
    pub async fn run_behind_proxy(
        &self,
        listen: Address,
        (server, worker): (&Address, Option<&dyn Worker>),
        command: &PlaceCommand,
        recorder: &Recorder,
        deadline: Duration,
    ) -> Result<(Output, usize), LaunchErrorKind> {
        let proxy = Proxy::start(listen, server.clone(), recorder.clone(), ConnId(1))?;
        let output = self.run(command, deadline, worker).await;
        let descriptors = proxy.descriptors_to_clients();
        proxy.stop().await;
        Ok((output?, descriptors))
    }

    /// Starts a process that stays, and does not go into the background. What it says is kept.
    ///
    /// # Errors
    /// The slot is gone, or there is no such program.
    pub async fn spawn(&self, command: &PlaceCommand) -> Result<Process, LaunchErrorKind> {
        let said = OpenOptions::new().create(true).append(true).open(self.work().join(SAID))?;
        let streams = [OwnedFd::from(File::open("/dev/null")?), said.try_clone()?.into(), said.into()];
        let pid = self.slot.spawn(command, streams).await.map_err(setup)?;
        Ok(Process::new(&self.slot, pid))
    }

    /// What the processes that stay have said.
    #[must_use]
    pub fn said(&self) -> String {
        String::from_utf8_lossy(&fs::read(self.work().join(SAID)).unwrap_or_default()).into_owned()
    }

    /// How a process that was to stay has ended, if it did, and the end of what it said there and in its logs, which are
    /// named as they are called below [`Place::work`].
    #[must_use]
    pub fn why_ended(&self, process: &Process, logs: &[&str]) -> Option<String> {
        let status = process.ended()?;
        let work = self.work();
        let texts = [SAID].iter().chain(logs).map(|name| fs::read(work.join(name)).unwrap_or_default());
        let text = texts.collect::<Vec<_>>().concat();
        let text = String::from_utf8_lossy(&text);
        let all: Vec<_> = text.trim_end().lines().collect();
        let tail = all.get(all.len().saturating_sub(TAIL_LINES)..).unwrap_or(&[]).join("; ");
        Some(format!("{}: {status:?}; {tail}", self.real.root.program()))
    }

    /// Brings something up here within a deadline. Where that fails, nothing of the place stays.
    ///
    /// # Errors
    /// Why it failed.
    pub async fn start<T>(
        &self,
        deadline: Duration,
        up: impl Future<Output = Result<T, LaunchErrorKind>>,
    ) -> Result<T, LaunchError> {
        let started = within(deadline, up).await;
        if started.is_err() {
            self.slot.close().await;
        }
        started.map_err(|kind| self.real.error("start", kind))
    }
}

/// Copies what would be shown: a container sees nothing of what is mounted in the sandbox.
fn copies(steps: &[MountStep]) -> io::Result<()> {
    for step in steps {
        match step {
            MountStep::Bind { source, target, .. } => copy(source, target)?,
            other => {
                return Err(io::Error::other(format!(
                    "{other:?} cannot be done before a container is there"
                )));
            }
        }
    }
    Ok(())
}

/// Copies directories, files and links.
fn copy(from: &Path, to: &Path) -> io::Result<()> {
    let kind = fs::symlink_metadata(from)?.file_type();
    if kind.is_symlink() {
        return symlink(fs::read_link(from)?, to);
    }
    if !kind.is_dir() {
        return fs::copy(from, to).map(drop);
    }
    fs::create_dir_all(to)?;
    fs::set_permissions(to, fs::metadata(from)?.permissions())?;
    for entry in fs::read_dir(from)? {
        let name = entry?.file_name();
        copy(&from.join(&name), &to.join(&name))?;
    }
    Ok(())
}

/// A directory of [`NOBODY`] alone. The mode is asked for: libvirtd takes no other for its sockets.
///
/// # Errors
/// It cannot be made or given away.
pub fn make_own(directory: &Path) -> io::Result<()> {
    fs::create_dir(directory)?;
    fs::set_permissions(directory, Permissions::from_mode(0o700))?;
    chown(directory, Some(NOBODY), Some(NOBODY))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_container_cannot_be_shown_is_copied() {
        let folder = tempfile::tempdir().expect("a temporary directory can be made");
        let (from, to) = (folder.path().join("from"), folder.path().join("to"));
        fs::create_dir_all(from.join("bin"))
            .and_then(|()| fs::write(from.join("bin/busybox"), "x"))
            .and_then(|()| fs::set_permissions(from.join("bin/busybox"), Permissions::from_mode(0o755)))
            .and_then(|()| symlink("busybox", from.join("bin/sh")))
            .expect("it can be written");
        let step = |target: &Path| MountStep::Bind {
            source: from.clone(),
            target: target.to_owned(),
            recursive: false,
            read_only: true,
        };
        copies(&[step(&to)]).expect("it can be copied");
        assert_eq!(fs::read_link(to.join("bin/sh")).ok().as_deref(), Some(Path::new("busybox")));
        let mode = fs::metadata(to.join("bin/sh")).expect("the link leads there").permissions().mode();
        assert_eq!(mode & 0o777, 0o755);
        let error = copies(&[MountStep::Unmount(to)]).expect_err("that is no file");
        assert!(error.to_string().contains("before a container is there"), "{error}");
    }
}
