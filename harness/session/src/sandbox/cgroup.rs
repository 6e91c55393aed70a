//! A cgroup (version 2) directory and its sure removal.
#![expect(clippy::disallowed_methods, reason = "it waits for real processes")]

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Deepest nesting that is descended into. Ours are four levels deep.
const DEPTH_MAX: usize = 16;
/// How often removal is tried again while the killed processes go away.
const RETRY: Duration = Duration::from_millis(2);

/// A cgroup directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cgroup {
    path: PathBuf,
}

impl Cgroup {
    /// A cgroup that exists.
    #[must_use]
    pub fn at(path: PathBuf) -> Self {
        Self { path }
    }

    /// Makes a child.
    ///
    /// # Errors
    /// What `mkdir(2)` gives.
    pub fn child(&self, name: &str) -> io::Result<Self> {
        let path = self.path.join(name);
        fs::create_dir(&path)?;
        Ok(Self { path })
    }

    /// Its directory.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The pids in it, not in its children, as the reader's pid namespace names them; what is outside of that is 0.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn processes(&self) -> io::Result<Vec<i32>> {
        let text = fs::read_to_string(self.path.join("cgroup.procs"))?;
        Ok(text.lines().filter_map(|line| line.parse().ok()).collect())
    }

    /// Whether `cgroup.events` says that everything in it is frozen.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn frozen(&self) -> io::Result<bool> {
        let text = fs::read_to_string(self.path.join("cgroup.events"))?;
        Ok(text.lines().any(|line| line == "frozen 1"))
    }

    /// Kills everything in it and below, frozen or not.
    pub fn kill(&self) {
        // `cgroup.kill` exists since Linux 5.14; before that the pid namespaces alone do the killing.
        let file = fs::OpenOptions::new().write(true).open(self.path.join("cgroup.kill"));
        let _ = file.and_then(|mut file| file.write_all(b"1"));
    }

    /// Kills everything in it and removes it with all its children, trying again until the deadline.
    ///
    /// # Errors
    /// The last refusal, e.g. `EBUSY` while a process is still there.
    pub fn remove(&self, deadline: Duration) -> io::Result<()> {
        let until = Instant::now() + deadline;
        loop {
            self.kill();
            match remove_tree(&self.path, DEPTH_MAX) {
                Ok(()) => return Ok(()),
                Err(error) if Instant::now() >= until => return Err(error),
                Err(_) => std::thread::sleep(RETRY),
            }
        }
    }

    /// The cgroup of this process: below the first mounted version 2 hierarchy.
    #[must_use]
    pub fn own() -> Option<Self> {
        let mounts = fs::read_to_string("/proc/self/mountinfo").ok()?;
        let path = fs::read_to_string("/proc/self/cgroup").ok()?;
        own_in(&mounts, &path).filter(|path| path.is_dir()).map(Self::at)
    }
}

fn children(path: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            found.push(entry.path());
        }
    }
    Ok(found)
}

fn remove_tree(path: &Path, depth: usize) -> io::Result<()> {
    let gone = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound => Ok(()),
        _ => Err(error),
    };
    if depth > 0 {
        match children(path) {
            Ok(found) => found.iter().try_for_each(|child| remove_tree(child, depth - 1))?,
            Err(error) => gone(error)?,
        }
    }
    fs::remove_dir(path).or_else(gone)
}

/// The directory of the caller's cgroup, from the texts of `/proc/self/mountinfo` and `/proc/self/cgroup`.
fn own_in(mounts: &str, cgroups: &str) -> Option<PathBuf> {
    let own = cgroups.lines().find_map(|line| line.strip_prefix("0::"))?;
    let (root, mount) = mounts.lines().find_map(|line| {
        let (before, after) = line.split_once(" - ")?;
        let mut fields = before.split(' ').skip(3);
        (after.split(' ').next() == Some("cgroup2")).then(|| Some((fields.next()?, fields.next()?)))?
    })?;
    // A bind mount of a part of the hierarchy shows only what lies below its root.
    let below = Path::new(own).strip_prefix(root).ok()?;
    Some(Path::new(mount).join(below))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(mounts: &str, cgroups: &str, expect: Option<&str>) {
        assert_eq!(own_in(mounts, cgroups).as_deref(), expect.map(Path::new));
    }

    const HYBRID: &str = "34 33 0:30 / /sys/fs/cgroup/freezer rw - cgroup cgroup rw,freezer\n\
                          35 33 0:31 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw\n";
    const PURE: &str = "29 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n";

    #[test]
    fn finds_the_own_cgroup() {
        check(HYBRID, "4:memory:/x\n0::/\n", Some("/sys/fs/cgroup/unified"));
        check(PURE, "0::/user.slice/session-1.scope\n", Some("/sys/fs/cgroup/user.slice/session-1.scope"));
        check(&PURE.replace("0:26 /", "0:26 /part"), "0::/part/a\n", Some("/sys/fs/cgroup/a"));
    }

    #[test]
    fn says_when_there_is_none() {
        check("29 23 0:26 / / rw - ext4 /dev/vda rw\n", "0::/\n", None);
        check(PURE, "4:memory:/\n", None);
        check("", "", None);
    }

    #[test]
    fn removes_a_tree_and_does_not_mind_its_absence() {
        // An ordinary directory without files behaves as a cgroup does here.
        let dir = tempfile::tempdir().expect("a temporary directory can be made");
        let root = Cgroup::at(dir.path().join("run"));
        fs::create_dir_all(root.path().join("a/b/c")).expect("directories can be made");
        for child in children(root.path()).expect("they can be listed") {
            remove_tree(&child, DEPTH_MAX).expect("children are empty");
        }
        assert!(root.path().is_dir() && !root.path().join("a").exists());
        root.remove(Duration::ZERO).expect("the tree is empty");
        root.remove(Duration::ZERO).expect("absence is what was wanted");
    }
}
