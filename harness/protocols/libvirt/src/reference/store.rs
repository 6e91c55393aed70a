//! A directory of interface files, changed so that a crash at any point leaves every file whole.
//!
//! ```text
//! ROOT/interfaces/NAME.xml   what is defined
//! ROOT/running/NAME          exists while the interface is up
//! ROOT/…                     transactions, see `transaction.rs`
//! ```
//!
//! The order in which things happen is the whole point:
//!
//! - a file is written beside its place (`.NAME.new`) and renamed to it. Before the rename the old
//!   one counts, after it the new one; there is no moment in which half of one does;
//! - what is taken away is unlinked;
//! - a directory that has to appear or disappear as a whole is filled or emptied under another name and
//!   renamed.
//!
//! Nothing is synced: what is written outlives the process and no loss of power. A reboot here is the end of the
//! process and what the machine would do at boot.
//!
//! Every change to the file system is one *step*. A test can have any step fail as if the process had died
//! there: nothing after it happens, and half of a write may have.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{self, Write};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

/// The longest file name that is made of an interface name.
const FILE_NAME_LEN_MAX: usize = 200;
/// What definitions end in.
const SUFFIX: &str = ".xml";

/// Why a change did not happen.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StoreError {
    /// The operating system refused.
    #[error("cannot change `{}`: {error}", path.display())]
    Io {
        /// What was to be changed.
        path: PathBuf,
        /// What the system said.
        #[source]
        error: io::Error,
    },
    /// The name makes no file name.
    #[error("the name of an interface has no bytes or too many")]
    Name,
    /// The process died here, as far as the test that asked for it can tell.
    #[error("crashed on purpose")]
    Crashed,
}

/// A directory of interfaces.
#[derive(Debug)]
pub(crate) struct Store {
    root: PathBuf,
    /// How many more steps succeed; no limit where there is none.
    steps_left: Option<u64>,
    steps_done: u64,
}

/// What is defined and what is up: the state that a transaction keeps.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct State {
    /// Definitions by name.
    pub defined: BTreeMap<Vec<u8>, Vec<u8>>,
    /// Names of the interfaces that are up.
    pub running: BTreeSet<Vec<u8>>,
}

/// Name of the directory of definitions.
pub(super) const DEFINED: &str = "interfaces";
/// Name of the directory of what is up.
pub(super) const RUNNING: &str = "running";

impl Store {
    /// Opens a directory, and makes it if it is not there.
    ///
    /// # Errors
    /// When the system refuses.
    pub(crate) fn open(root: impl Into<PathBuf>) -> Result<Self, StoreError> {
        let root = root.into();
        for name in [DEFINED, RUNNING] {
            let path = root.join(name);
            fs::create_dir_all(&path).map_err(|error| StoreError::Io { path, error })?;
        }
        Ok(Self { root, steps_left: None, steps_done: 0 })
    }

    /// Everything that is defined and up.
    ///
    /// # Errors
    /// When the directory cannot be read.
    pub(crate) fn state(&self) -> Result<State, StoreError> {
        self.state_in(Path::new(""))
    }

    /// The same kept in a directory below the root.
    pub(super) fn state_in(&self, below: &Path) -> Result<State, StoreError> {
        let mut state = State::default();
        let defined = self.root.join(below).join(DEFINED);
        for file in names_in(&defined)? {
            let Some(name) = file.strip_suffix(SUFFIX.as_bytes()).and_then(decode_name) else { continue };
            let path = defined.join(std::ffi::OsStr::from_bytes(&file));
            let bytes = fs::read(&path).map_err(|error| StoreError::Io { path, error })?;
            state.defined.insert(name, bytes);
        }
        let running = names_in(&self.root.join(below).join(RUNNING))?;
        state.running = running.iter().filter_map(|file| decode_name(file)).collect();
        Ok(state)
    }

    /// Writes a definition.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub(crate) fn define(&mut self, name: &[u8], definition: &[u8]) -> Result<(), StoreError> {
        self.write_definition(Path::new(""), name, definition)
    }

    /// The same below a directory.
    pub(super) fn write_definition(
        &mut self,
        below: &Path,
        name: &[u8],
        definition: &[u8],
    ) -> Result<(), StoreError> {
        let dir = below.join(DEFINED);
        let file = format!("{}{SUFFIX}", encode_name(name)?);
        self.write(&dir, &file, definition)
    }

    /// Takes a definition away; it need not be there. What is up is taken down behind it.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub(crate) fn undefine(&mut self, name: &[u8]) -> Result<(), StoreError> {
        let file = format!("{}{SUFFIX}", encode_name(name)?);
        self.remove_file(&Path::new(DEFINED).join(file))?;
        self.set_running(name, false)
    }

    /// Brings an interface up or takes it down.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub(crate) fn set_running(&mut self, name: &[u8], running: bool) -> Result<(), StoreError> {
        self.write_running(Path::new(""), name, running)
    }

    /// The same below a directory.
    pub(super) fn write_running(&mut self, below: &Path, name: &[u8], up: bool) -> Result<(), StoreError> {
        let path = below.join(RUNNING).join(encode_name(name)?);
        if !up {
            return self.remove_file(&path);
        }
        let path = self.root.join(path);
        self.step()?;
        fs::write(&path, b"").map_err(|error| StoreError::Io { path, error })
    }

    /// Whether something of that name is below the root.
    pub(super) fn has(&self, name: &str) -> bool {
        self.root.join(name).symlink_metadata().is_ok()
    }

    /// Makes an empty directory for a state.
    pub(super) fn make_dirs(&mut self, below: &Path) -> Result<(), StoreError> {
        for name in [DEFINED, RUNNING] {
            self.step()?;
            let path = self.root.join(below).join(name);
            fs::create_dir_all(&path).map_err(|error| StoreError::Io { path, error })?;
        }
        Ok(())
    }

    /// Writes a file whole: beside its place, then to it.
    pub(super) fn write(&mut self, dir: &Path, file: &str, bytes: &[u8]) -> Result<(), StoreError> {
        let (new, place) = (dir.join(format!(".{file}.new")), dir.join(file));
        let path = self.root.join(&new);
        let failed = |error| StoreError::Io { path: path.clone(), error };
        self.step()?;
        let mut open = fs::File::create(&path).map_err(failed)?;
        let (first, rest) = bytes.split_at(bytes.len() / 2);
        open.write_all(first).map_err(failed)?;
        // Between the two halves the process may die, as between two writes of a real one.
        self.step()?;
        open.write_all(rest).map_err(failed)?;
        self.rename(&new, &place)
    }

    /// Gives a file or directory its other name, at once.
    pub(super) fn rename(&mut self, from: &Path, to: &Path) -> Result<(), StoreError> {
        self.step()?;
        let path = self.root.join(to);
        fs::rename(self.root.join(from), &path).map_err(|error| StoreError::Io { path, error })
    }

    /// Takes a file away; it need not be there.
    pub(super) fn remove_file(&mut self, file: &Path) -> Result<(), StoreError> {
        self.step()?;
        let path = self.root.join(file);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(StoreError::Io { path, error }),
            _ => Ok(()),
        }
    }

    /// Takes a directory away with all that is in it, one by one; it need not be there.
    pub(super) fn remove_dir(&mut self, dir: &Path) -> Result<(), StoreError> {
        let path = self.root.join(dir);
        if path.symlink_metadata().is_err() {
            return Ok(());
        }
        for name in [DEFINED, RUNNING] {
            for file in all_names_in(&path.join(name))? {
                self.remove_file(&dir.join(name).join(std::ffi::OsStr::from_bytes(&file)))?;
            }
        }
        self.step()?;
        fs::remove_dir_all(&path).map_err(|error| StoreError::Io { path, error })
    }

    /// Reads a file; `None` if it is not there.
    pub(super) fn read(&self, file: &Path) -> Result<Option<Vec<u8>>, StoreError> {
        let path = self.root.join(file);
        match fs::read(&path) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(StoreError::Io { path, error }),
        }
    }

    /// Takes away what a write left that was never finished.
    pub(super) fn sweep(&mut self) -> Result<(), StoreError> {
        for file in all_names_in(&self.root.join(DEFINED))? {
            if file.starts_with(b".") {
                self.remove_file(&Path::new(DEFINED).join(std::ffi::OsStr::from_bytes(&file)))?;
            }
        }
        Ok(())
    }

    fn step(&mut self) -> Result<(), StoreError> {
        match &mut self.steps_left {
            Some(0) => return Err(StoreError::Crashed),
            Some(left) => *left -= 1,
            None => {}
        }
        self.steps_done += 1;
        Ok(())
    }
}

/// The file name of an interface: letters, digits, `-`, `_` and inner dots as they are, `%XX` for others.
fn encode_name(name: &[u8]) -> Result<String, StoreError> {
    let mut file = String::new();
    for (at, byte) in name.iter().enumerate() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' => file.push(char::from(*byte)),
            b'.' if at > 0 => file.push('.'),
            _ => file.push_str(&format!("%{byte:02X}")),
        }
    }
    if file.is_empty() || file.len() > FILE_NAME_LEN_MAX {
        return Err(StoreError::Name);
    }
    Ok(file)
}

/// The name behind a file name; `None` if it is none of ours.
fn decode_name(file: &[u8]) -> Option<Vec<u8>> {
    let mut name = Vec::new();
    let mut rest = file;
    while let Some((byte, behind)) = rest.split_first() {
        rest = behind;
        if *byte != b'%' {
            name.push(*byte);
            continue;
        }
        let digits = std::str::from_utf8(rest.get(..2)?).ok()?;
        name.push(u8::from_str_radix(digits, 16).ok()?);
        rest = rest.get(2..)?;
    }
    (encode_name(&name).ok()?.as_bytes() == file).then_some(name)
}

fn all_names_in(dir: &Path) -> Result<Vec<Vec<u8>>, StoreError> {
    let failed = |error| StoreError::Io { path: dir.to_owned(), error };
    let entries = match fs::read_dir(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(failed)?,
    };
    let mut names = Vec::new();
    for entry in entries {
        names.push(entry.map_err(failed)?.file_name().into_vec());
    }
    // Directories have no order of their own.
    names.sort_unstable();
    Ok(names)
}

/// The names that count: without those that are still being written.
fn names_in(dir: &Path) -> Result<Vec<Vec<u8>>, StoreError> {
    Ok(all_names_in(dir)?.into_iter().filter(|name| !name.starts_with(b".")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    impl Store {
        /// Lets that number of steps succeed and no other one.
        pub(crate) fn crash_after(&mut self, steps: Option<u64>) {
            self.steps_left = steps;
        }

        /// How many steps were done.
        pub(crate) fn steps_done(&self) -> u64 {
            self.steps_done
        }
    }

    proptest! {
        #[test]
        fn every_name_has_one_file_name(name in proptest::collection::vec(any::<u8>(), 0..80)) {
            match encode_name(&name) {
                Ok(file) => {
                    prop_assert!(!file.contains(['/', '\0']) && !file.starts_with('.'));
                    prop_assert_eq!(decode_name(file.as_bytes()), Some(name));
                }
                Err(_) => prop_assert!(name.is_empty() || name.len() * 3 > FILE_NAME_LEN_MAX),
            }
        }

        #[test]
        fn a_write_that_is_cut_short_leaves_the_old_bytes(old: Vec<u8>, new: Vec<u8>, steps in 0u64..6) {
            let dir = tempfile::tempdir().expect("a directory for temporary files");
            let mut store = Store::open(dir.path()).expect("a new directory");
            store.define(b"eth1", &old).expect("nothing stands in the way");
            store.crash_after(Some(steps));
            let written = store.define(b"eth1", &new);
            let state = store.state().expect("a directory that was just made");
            prop_assert_eq!(written.is_ok(), steps >= 3);
            let expect = if steps >= 3 { &new } else { &old };
            prop_assert_eq!(state.defined.get(&b"eth1"[..]), Some(expect));
        }
    }
}
