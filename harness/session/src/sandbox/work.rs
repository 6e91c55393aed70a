//! A directory for the files of one run: sockets, stand-ins, whatever is of no use afterwards.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rustix::fs::{Access, FlockOperation, flock};

use super::enter::{lock_shared, locked_directory, own_directories};
use super::{ROLE, STATE, Sandbox};

/// Beginning of the names of work directories.
const PREFIX: &str = "wireskew-work-";

/// A directory that is removed with everything in it when this is dropped, and also when the process is
/// killed: inside a sandbox it vanishes with that; outside, a process of its own removes it, and what even
/// that one left is swept by the next run.
///
/// Only for programs that call [`super::hook`] first in `main`.
#[derive(Debug)]
pub struct WorkDir {
    path: PathBuf,
    cleaner: Option<Child>,
    _lock: Option<File>,
}

impl WorkDir {
    /// Makes one.
    ///
    /// # Errors
    /// When there is no place for it, or its cleaner cannot be started.
    pub fn make() -> io::Result<Self> {
        if let Some(sandbox) = Sandbox::inside() {
            let path = tempfile::Builder::new().prefix(PREFIX).tempdir_in(sandbox.state())?.keep();
            return Ok(Self { path, cleaner: None, _lock: None });
        }
        let base = base();
        sweep(&base);
        let (path, lock) = locked_directory(&base, PREFIX)?;
        let cleaner = Command::new("setsid")
            .arg(std::env::current_exe()?)
            .env(ROLE, "sweeper")
            .env(STATE, &path)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        // Where there is no `setsid`, the next run sweeps.
        Ok(Self { path, cleaner: cleaner.ok(), _lock: Some(lock) })
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for WorkDir {
    fn drop(&mut self) {
        // Whatever cannot be removed now is swept later.
        let _ = fs::remove_dir_all(&self.path);
        if let Some(cleaner) = &mut self.cleaner {
            drop(cleaner.stdin.take());
            let _ = cleaner.wait();
        }
    }
}

/// Where work directories lie: in memory where there is a place for that, as nothing of them is of use afterwards and
/// simulated machines write much; in `TMPDIR` where the user says so.
fn base() -> PathBuf {
    let memory = Path::new("/dev/shm");
    let usable = || rustix::fs::access(memory, Access::WRITE_OK | Access::EXEC_OK).is_ok();
    if std::env::var_os("TMPDIR").is_none() && usable() { memory.to_path_buf() } else { std::env::temp_dir() }
}

/// The cleaner: waits for the end of the run, then removes its directory.
pub(super) fn clean() -> u8 {
    let Some(path) = std::env::var_os(STATE).map(PathBuf::from) else { return 1 };
    // Whatever the environment says, only what `make` makes is removed.
    let ours = path.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.starts_with(PREFIX));
    if !ours {
        return 1;
    }
    // Held until the end: while we work, nobody else sweeps.
    let _lock = lock_shared(&path);
    let mut byte = [0];
    while let Ok(1..) = io::stdin().read(&mut byte) {}
    // Gone already when the run ended in order.
    let _ = fs::remove_dir_all(&path);
    0
}

/// Removes what dead runs have left: those whose lock nobody holds.
fn sweep(base: &Path) {
    for (path, directory) in own_directories(base, PREFIX) {
        if flock(&directory, FlockOperation::NonBlockingLockExclusive).is_ok() {
            let _ = fs::remove_dir_all(path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sweeps_what_nobody_holds_and_nothing_else() {
        let base = tempfile::tempdir().expect("a temporary directory can be made");
        let [dead, held, other] =
            ["wireskew-work-dead", "wireskew-work-held", "other"].map(|n| base.path().join(n));
        for path in [&dead, &held, &other] {
            fs::create_dir(path)
                .and_then(|()| fs::write(path.join("socket"), ""))
                .expect("it can be written");
        }
        let lock = File::open(&held).expect("it is there");
        flock(&lock, FlockOperation::LockShared).expect("nobody else holds it");
        sweep(base.path());
        assert_eq!([dead.exists(), held.exists(), other.exists()], [false, true, true]);
    }
}
