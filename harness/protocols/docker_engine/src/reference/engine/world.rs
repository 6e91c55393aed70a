//! What lives outside of the daemon: the shim of each started container, with its process.
//!
//! ```text
//! DIR/shims/ID               what a shim was started with, and how its process is
//! DIR/data/runtimes/…        the scripts that shims call
//! ```
//!
//! A shim calls its OCI runtime by a path that is fixed for its life. Where that is a script, the script is run as it is then:
//! one that was rewritten in place still works, one that is gone does not. The process lives on, whatever becomes of the script
//! or the daemon.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::files::{FileError, Files};

const SHIMS: &str = "shims";
/// Where the daemon keeps its containers.
pub(super) const CONTAINERS: &str = "data/containers";
/// Where the daemon keeps its scripts.
pub(super) const SCRIPTS: &str = "data/runtimes";
/// Programs that are OCI runtimes, by the last part of their paths, and the shim that needs none.
const RUNTIMES: [&str; 3] = ["runc", "crun", "io.containerd.runc.v2"];

/// How the process of a container is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Process {
    /// It was made and does not run yet.
    Created,
    /// It runs.
    Running,
    /// It is frozen.
    Paused,
    /// It has ended with that status.
    Exited(i32),
}

impl Process {
    /// Whether it runs, or would if it were not frozen.
    pub(crate) fn lives(self) -> bool {
        matches!(self, Self::Running | Self::Paused)
    }
}

/// The shim of a container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Shim {
    /// The container.
    pub id: String,
    /// By which path it calls its OCI runtime.
    pub runtime: String,
    /// What the script at that path said when it was started; nothing where there is no script.
    pub script: Option<String>,
    /// How its process is.
    pub process: Process,
    /// The line of containerd that started it: an older one finds no way to it.
    pub containerd: u32,
    /// At how many starts in a row a daemon could not reach it.
    pub missed: u32,
    /// Whether the daemon has lost it: nobody takes it away any more.
    pub lost: bool,
}

/// Everything that outlives a daemon.
#[derive(Debug)]
pub(crate) struct World {
    pub(super) files: Files,
}

impl World {
    /// The world in a directory, which is made where it is missing.
    ///
    /// # Errors
    /// The directory cannot be made.
    pub(crate) fn at(directory: &Path) -> Result<Self, FileError> {
        Ok(Self { files: Files::open(directory, &[SHIMS, CONTAINERS, SCRIPTS])? })
    }

    /// All shims, by the ids of their containers.
    ///
    /// # Errors
    /// The directory cannot be read.
    pub(crate) fn shims(&self) -> Result<Vec<Shim>, FileError> {
        let names = self.files.names(SHIMS)?;
        let shims = names.iter().map(|id| self.shim(id));
        Ok(shims.collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect())
    }

    /// The shim of a container.
    ///
    /// # Errors
    /// The directory cannot be read.
    pub(crate) fn shim(&self, id: &str) -> Result<Option<Shim>, FileError> {
        read_record(&self.files, &format!("{SHIMS}/{id}"))
    }

    pub(super) fn put(&mut self, shim: &Shim) -> Result<(), FileError> {
        write_record(&mut self.files, &format!("{SHIMS}/{}", shim.id), shim)
    }

    pub(super) fn remove(&mut self, id: &str) -> Result<(), FileError> {
        self.files.remove(&format!("{SHIMS}/{id}"))
    }

    /// What the script at a path says, where a script of ours is there.
    ///
    /// # Errors
    /// The directory cannot be read.
    pub(crate) fn script(&self, runtime: &str) -> Result<Option<String>, FileError> {
        let Some(file) = self.below(runtime) else { return Ok(None) };
        let bytes = self.files.read(file)?;
        Ok(bytes.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()))
    }

    /// Whether what is called by that path can be run now: a script with the program behind it, or a program.
    ///
    /// # Errors
    /// The directory cannot be read.
    pub(crate) fn reaches(&self, runtime: &str) -> Result<bool, FileError> {
        if self.below(runtime).is_none() {
            return Ok(is_runtime(runtime));
        }
        let script = self.script(runtime)?;
        let program = script.as_deref().and_then(|text| text.lines().nth(1)?.split(' ').next());
        Ok(program.is_some_and(is_runtime))
    }

    /// A process ends by itself, whether a daemon looks or not.
    ///
    /// # Errors
    /// The directory cannot be changed.
    #[cfg(test)]
    pub(crate) fn process_ends(&mut self, id: &str, status: i32) -> Result<(), FileError> {
        match self.shim(id)? {
            Some(shim) if shim.process.lives() => {
                self.put(&Shim { process: Process::Exited(status), ..shim })
            }
            _ => Ok(()),
        }
    }

    /// The machine loses power: no process and no shim is left.
    ///
    /// # Errors
    /// The directory cannot be changed.
    pub(crate) fn loses_power(&mut self) -> Result<(), FileError> {
        for id in self.files.names(SHIMS)? {
            self.remove(&id)?;
        }
        Ok(())
    }

    /// The path below the directory, where it is in there.
    fn below<'p>(&self, path: &'p str) -> Option<&'p str> {
        Path::new(path).strip_prefix(self.files.root()).ok()?.to_str()
    }
}

fn is_runtime(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    RUNTIMES.contains(&name)
}

pub(super) fn read_record<T: for<'de> Deserialize<'de>>(
    files: &Files,
    file: &str,
) -> Result<Option<T>, FileError> {
    let Some(bytes) = files.read(file)? else { return Ok(None) };
    let record = serde_json::from_slice(&bytes);
    record.map(Some).map_err(|error| FileError::Record { path: files.root().join(file), error })
}

pub(super) fn write_record(files: &mut Files, file: &str, record: &impl Serialize) -> Result<(), FileError> {
    let bytes = serde_json::to_vec(record);
    let bytes = bytes.map_err(|error| FileError::Record { path: files.root().join(file), error })?;
    files.write(file, &bytes, false)
}
