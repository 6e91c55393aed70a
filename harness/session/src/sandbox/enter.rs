//! The two processes outside: the one that waits and the one that cleans up.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use rustix::fs::{FlockOperation, Mode, OFlags, flock};
use tokio::io::AsyncWriteExt;
use tokio::net::unix::pipe;
use tokio::process::{Child, Command};
use tokio::signal::unix::{SignalKind, signal};

use super::{CGROUP, Cgroup, INSIDE, Obstacle, ROLE, SHARED, STATE, init, needed_and_possible, unshared};
use crate::process::exit_status;

/// How long a run may take to end after a signal before it is killed.
const SIGNAL_GRACE: Duration = Duration::from_millis(900);
/// How long processes may take to vanish after they were killed.
const REMOVAL_DEADLINE: Duration = Duration::from_secs(5);
/// How long the cleaner may take in all.
const CLEANER_DEADLINE: Duration = Duration::from_secs(10);
/// Beginning of the names of state directories and of cgroups.
const PREFIX: &str = "wireskew-run-";
/// Names the file in the state directory that says where the cgroup is.
const CGROUP_FILE: &str = "cgroup";

/// Why a sandbox could not be entered.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// Something is missing.
    #[error(transparent)]
    Obstacle(#[from] Obstacle),
    /// The operating system refused.
    #[error("{what}")]
    Io {
        /// What was attempted.
        what: String,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
}

fn context(what: impl Into<String>) -> impl FnOnce(io::Error) -> SandboxError {
    let what = what.into();
    move |source| SandboxError::Io { what, source }
}

/// Runs this program with the same arguments inside a new sandbox, and gives its exit status. To be called where
/// [`needed_and_possible`] said `true`. Nothing of the sandbox is left when it returns.
///
/// # Errors
/// When the sandbox cannot be made.
pub fn enter() -> Result<u8, SandboxError> {
    needed_and_possible()?;
    sweep(&base());
    let place = Footprint::make(&base())?;
    // One thread: the death signal of `setpriv` is that of the thread that started it.
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(context("runtime"))?;
    let result = runtime.block_on(run(&place));
    place.remove();
    result
}

/// Where state directories are made.
fn base() -> PathBuf {
    std::env::temp_dir()
}

/// What has to be removed by hand: a directory and a cgroup.
struct Footprint {
    state: PathBuf,
    cgroup: Cgroup,
    _lock: File,
}

impl Footprint {
    fn make(base: &Path) -> Result<Self, SandboxError> {
        let own = Cgroup::own().ok_or_else(|| {
            SandboxError::Obstacle(Obstacle::new("no cgroup2 file system is mounted", "mount -t cgroup2 …"))
        })?;
        let made = locked_directory(base, PREFIX);
        let (state, lock) = made.map_err(context(format!("make a directory in `{}`", base.display())))?;
        let name = state.file_name().unwrap_or_default().to_string_lossy().into_owned();
        // Said before it is made: what is written down is swept, whenever we are killed.
        let path = own.path().join(&name);
        fs::write(state.join(CGROUP_FILE), path.as_os_str().as_encoded_bytes())
            .and_then(|()| fs::create_dir(state.join(INSIDE)))
            .map_err(context(format!("write in `{}`", state.display())))?;
        let cgroup = own.child(&name).map_err(context(format!("make cgroup `{}`", path.display())))?;
        Ok(Self { state, cgroup, _lock: lock })
    }

    fn remove(&self) {
        remove(&self.state, Some(&self.cgroup));
    }

    fn env(&self, role: &'static str) -> [(&'static str, OsString); 3] {
        [(ROLE, role.into()), (STATE, self.state.clone().into()), (CGROUP, self.cgroup.path().into())]
    }
}

/// Whether the run of this directory has ended: nobody holds its lock, or it is gone.
#[must_use]
pub fn is_over(run: &Path) -> bool {
    match File::open(run) {
        Ok(directory) => flock(&directory, FlockOperation::NonBlockingLockExclusive).is_ok(),
        Err(error) => error.kind() == io::ErrorKind::NotFound,
    }
}

/// Whether a run, by its directory, has shared anything with those outside of its sandbox.
#[must_use]
pub fn used_shared(run: &Path) -> bool {
    run.join(SHARED).is_dir()
}

pub(super) fn lock_shared(state: &Path) -> io::Result<File> {
    let directory = File::open(state)?;
    flock(&directory, FlockOperation::LockShared)?;
    Ok(directory)
}

/// Removes the cgroup, with all that runs in it, and then the directory. Both may be gone already.
fn remove(state: &Path, cgroup: Option<&Cgroup>) {
    if let Some(cgroup) = cgroup
        && let Err(error) = cgroup.remove(REMOVAL_DEADLINE)
    {
        // The directory stays as a note for the next sweep.
        tracing::warn!(cgroup = %cgroup.path().display(), %error, "cgroup could not be removed");
        return;
    }
    // What is on the disk. The rest not by `remove_dir_all`: a tmpfs that is still mounted here belongs to somebody, and must
    // not be emptied.
    let _ = fs::remove_dir_all(state.join(SHARED));
    let _ = fs::remove_file(state.join(CGROUP_FILE));
    let _ = fs::remove_dir(state.join(INSIDE));
    let _ = fs::remove_dir(state);
}

/// Makes a directory and holds a shared lock on it. A sweep of another run may come in between and remove it: then
/// another one is made.
pub(super) fn locked_directory(base: &Path, prefix: &str) -> io::Result<(PathBuf, File)> {
    loop {
        let path = tempfile::Builder::new().prefix(prefix).tempdir_in(base)?.keep();
        if let Ok(lock) = lock_shared(&path)
            && fs::metadata(&path).is_ok_and(|now| lock.metadata().is_ok_and(|held| held.ino() == now.ino()))
        {
            return Ok((path, lock));
        }
    }
}

/// Directories of that name that are ours, opened. Others may put what they like into a directory for all.
pub(super) fn own_directories(base: &Path, prefix: &str) -> Vec<(PathBuf, File)> {
    let user = rustix::process::geteuid().as_raw();
    let entries = fs::read_dir(base).into_iter().flatten().flatten();
    let named = entries.filter(|entry| entry.file_name().to_string_lossy().starts_with(prefix));
    let opened = named.filter_map(|entry| {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let directory = File::from(rustix::fs::open(entry.path(), flags, Mode::empty()).ok()?);
        (directory.metadata().ok()?.uid() == user).then(|| (entry.path(), directory))
    });
    opened.collect()
}

/// Removes what dead runs have left: those whose lock nobody holds.
fn sweep(base: &Path) {
    for (state, directory) in own_directories(base, PREFIX) {
        if flock(&directory, FlockOperation::NonBlockingLockExclusive).is_err() {
            continue;
        }
        let cgroup = fs::read_to_string(state.join(CGROUP_FILE)).ok().map(PathBuf::from);
        // What is killed and removed is called as the directory is, whatever the file says.
        let cgroup = cgroup.filter(|path| path.file_name() == state.file_name()).map(Cgroup::at);
        tracing::info!(state = %state.display(), "removing what a dead run left");
        remove(&state, cgroup.as_ref());
    }
}

async fn run(place: &Footprint) -> Result<u8, SandboxError> {
    let mut interrupt = signal(SignalKind::interrupt()).map_err(context("handle SIGINT"))?;
    let mut terminate = signal(SignalKind::terminate()).map_err(context("handle SIGTERM"))?;
    let mut hangup = signal(SignalKind::hangup()).map_err(context("handle SIGHUP"))?;

    let (cleaner_end, cleaner_start) = control().map_err(context("make a pipe"))?;
    let mut cleaner = cleaner(place, cleaner_start).map_err(context("start the cleaner"))?;
    let (mut init_end, init_start) = control().map_err(context("make a pipe"))?;
    let mut sandbox = sandbox(place, init_start).map_err(context("start the sandbox"))?;

    let status = loop {
        let byte = tokio::select! {
            status = sandbox.wait() => break status.map_err(context("wait for the sandbox"))?,
            _ = interrupt.recv() => init::INTERRUPT,
            _ = terminate.recv() => init::TERMINATE,
            _ = hangup.recv() => init::TERMINATE,
        };
        // A failure means that the run is ending by itself.
        let _ = init_end.write_all(&[byte]).await;
        if let Ok(status) = tokio::time::timeout(SIGNAL_GRACE, sandbox.wait()).await {
            break status.map_err(context("wait for the sandbox"))?;
        }
        // Kills pid 1 of the sandbox with it.
        let _ = sandbox.start_kill();
    };
    drop(cleaner_end);
    if tokio::time::timeout(CLEANER_DEADLINE, cleaner.wait()).await.is_err() {
        let _ = cleaner.kill().await;
    }
    Ok(match exit_status(status) {
        transcript::ExitStatus::Code(code) => u8::try_from(code).unwrap_or(u8::MAX),
        transcript::ExitStatus::Signal(signal) => u8::try_from(128 + signal).unwrap_or(u8::MAX),
        transcript::ExitStatus::Gone => u8::MAX,
    })
}

/// A pipe whose reading end becomes a child's standard input. Its end tells the child that we are gone.
fn control() -> io::Result<(pipe::Sender, OwnedFd)> {
    let (read, write) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;
    rustix::io::ioctl_fionbio(&write, true)?;
    Ok((pipe::Sender::from_owned_fd(write)?, read))
}

fn cleaner(place: &Footprint, control: OwnedFd) -> io::Result<Child> {
    // Its own session: neither Ctrl-C nor the end of the terminal reaches it.
    Command::new("setsid")
        .arg("--wait")
        .arg(std::env::current_exe()?)
        .envs(place.env("cleaner"))
        .stdin(Stdio::from(control))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
}

fn sandbox(place: &Footprint, control: OwnedFd) -> io::Result<Child> {
    let (program, args) = unshared(&place.cgroup, &["setpriv", "--pdeathsig=KILL"])?;
    Command::new(program)
        .args(args)
        .args(std::env::args_os().skip(1))
        .envs(place.env("init"))
        .stdin(Stdio::from(control))
        .spawn()
}

/// The cleaner: waits for the end of the process outside, then removes what it left. What else there is to clean comes
/// first, as long as its files are there.
pub(super) fn clean(first: impl FnOnce(&Path)) -> u8 {
    let Some(state) = std::env::var_os(STATE).map(PathBuf::from) else { return 1 };
    // Held until the end: while we work, nobody else sweeps.
    let _lock = lock_shared(&state);
    let mut byte = [0];
    while let Ok(1..) = io::stdin().read(&mut byte) {}
    first(&state);
    let cgroup = std::env::var_os(CGROUP).map(|path| Cgroup::at(path.into()));
    remove(&state, cgroup.as_ref());
    0
}
