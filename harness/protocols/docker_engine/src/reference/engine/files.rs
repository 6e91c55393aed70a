//! Small files under one directory, each written whole or not at all.
//!
//! ```text
//! write      fill new/FILE · rename it to its place      before the rename the old bytes count, behind it the new ones
//! remove     unlink
//! boot       empty new/
//! ```
//!
//! Every change is one *step*, and a write three: half of the bytes, the other half, the rename. A test can let the power fail
//! at any step: nothing behind it happens, and the directory stays as it was there.

use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Component, Path, PathBuf};

/// Where files are filled.
const NEW: &str = "new";

/// Why a file could not be read or changed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FileError {
    /// The operating system refused.
    #[error("cannot use `{}`: {error}", path.display())]
    Io {
        /// What was to be used.
        path: PathBuf,
        /// What the system said.
        #[source]
        error: io::Error,
    },
    /// What was written by somebody else is none of our records.
    #[error("`{}` is no record: {error}", path.display())]
    Record {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        error: serde_json::Error,
    },
    /// The power failed here, as far as the test that asked for it can tell.
    #[error("lost power on purpose")]
    PowerLost,
}

/// Files under one directory, named by their paths below it.
#[derive(Debug)]
pub(crate) struct Files {
    root: PathBuf,
    /// How many more steps succeed; no limit where there is none.
    steps_left: Option<u64>,
}

impl Files {
    /// The files under a directory, which is made with these directories in it where they are missing.
    ///
    /// # Errors
    /// The system refuses.
    pub(crate) fn open(root: &Path, directories: &[&str]) -> Result<Self, FileError> {
        for directory in directories.iter().chain(&[NEW]) {
            let path = root.join(directory);
            let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(&path);
            made.map_err(|error| FileError::Io { path, error })?;
        }
        Ok(Self { root: root.to_owned(), steps_left: None })
    }

    /// The directory.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// The bytes of a file; nothing where there is none.
    ///
    /// # Errors
    /// The system refuses.
    pub(crate) fn read(&self, file: &str) -> Result<Option<Vec<u8>>, FileError> {
        let path = self.root.join(file);
        match fs::read(&path) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(FileError::Io { path, error }),
        }
    }

    /// The names in a directory, in their order.
    ///
    /// # Errors
    /// The system refuses.
    pub(crate) fn names(&self, directory: &str) -> Result<Vec<String>, FileError> {
        let path = self.root.join(directory);
        let failed = |error| FileError::Io { path: path.clone(), error };
        let mut names = Vec::new();
        for entry in fs::read_dir(&path).map_err(failed)? {
            names.push(entry.map_err(failed)?.file_name().to_string_lossy().into_owned());
        }
        names.sort_unstable();
        Ok(names)
    }

    /// Writes a file whole. It is executable for its owner where it is a script.
    ///
    /// # Errors
    /// See [`FileError`].
    pub(crate) fn write(&mut self, file: &str, bytes: &[u8], script: bool) -> Result<(), FileError> {
        let (new, place) = (self.root.join(NEW).join("file"), self.root.join(file));
        let failed = |error| FileError::Io { path: place.clone(), error };
        let mode = if script { 0o700 } else { 0o600 };
        self.step()?;
        let mut open = fs::OpenOptions::new();
        let mut open = open.write(true).create(true).truncate(true).mode(mode).open(&new).map_err(failed)?;
        let (first, rest) = bytes.split_at(bytes.len() / 2);
        open.write_all(first).map_err(failed)?;
        self.step()?;
        open.write_all(rest).map_err(failed)?;
        drop(open);
        self.step()?;
        fs::rename(&new, &place).map_err(|error| {
            // What stands in the way is no fault of ours: the next file is filled at the same place.
            let _gone = fs::remove_file(&new);
            failed(error)
        })
    }

    /// Takes a file away; it need not be there.
    ///
    /// # Errors
    /// See [`FileError`].
    pub(crate) fn remove(&mut self, file: &str) -> Result<(), FileError> {
        self.step()?;
        let path = self.root.join(file);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(FileError::Io { path, error }),
            _ => Ok(()),
        }
    }

    /// Takes away what a write has left that was never finished.
    ///
    /// # Errors
    /// See [`FileError`].
    pub(crate) fn sweep(&mut self) -> Result<(), FileError> {
        for name in self.names(NEW)? {
            self.remove(&format!("{NEW}/{name}"))?;
        }
        Ok(())
    }

    fn step(&mut self) -> Result<(), FileError> {
        match &mut self.steps_left {
            Some(0) => return Err(FileError::PowerLost),
            Some(left) => *left -= 1,
            None => {}
        }
        Ok(())
    }
}

/// A path below the root, without `.` and `..`: whatever it says, it does not lead out of the root.
pub(crate) fn contained(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for component in Path::new(path).components() {
        match component {
            Component::Normal(name) => parts.extend(name.to_str()),
            Component::ParentDir => drop(parts.pop()),
            Component::CurDir | Component::RootDir | Component::Prefix(_) => {}
        }
    }
    parts.join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Files {
        /// Lets that number of steps succeed and no other one.
        pub(crate) fn lose_power_after(&mut self, steps: Option<u64>) {
            self.steps_left = steps;
        }
    }

    #[test]
    fn a_write_that_is_cut_short_leaves_the_old_bytes() {
        let directory = tempfile::tempdir().expect("a directory for temporary files");
        for steps in 0..=3 {
            let mut files = Files::open(directory.path(), &["a"]).expect("a new directory");
            files.write("a/b", b"old bytes", false).expect("nothing stands in the way");
            files.lose_power_after(Some(steps));
            let written = files.write("a/b", b"new bytes", false);
            assert_eq!(written.is_ok(), steps == 3);
            let expect: &[u8] = if steps == 3 { b"new bytes" } else { b"old bytes" };
            assert_eq!(files.read("a/b").expect("a file").as_deref(), Some(expect));
            files.lose_power_after(None);
            files.sweep().expect("a directory");
            assert_eq!(files.names(NEW).expect("a directory"), Vec::<String>::new());
        }
    }

    #[test]
    fn no_path_leads_out_of_the_root() {
        #[track_caller]
        fn check(path: &str, expect: &str) {
            assert_eq!(contained(path), expect, "{path}");
        }
        check("data/runtimes/wrap", "data/runtimes/wrap");
        check("data/runtimes/../../evil", "evil");
        check("data/runtimes/../../../../../etc/evil", "etc/evil");
        check("data/runtimes//etc/evil", "data/runtimes/etc/evil");
        check("data/runtimes/./a/..", "data/runtimes");
        check("..", "");
    }
}
