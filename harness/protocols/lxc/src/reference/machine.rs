//! What a reference server and a reference client both see of the machine: the cgroup file systems. Where
//! the server's dialect has version 1 controllers, a directory stands in for the container's cgroup there;
//! clients of version 1 do not get a descriptor, they write to a path.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use session::Server;

/// The file of version 1 that freezes.
const FREEZER: &str = "freezer.state";

/// The cgroup file systems around one server.
#[derive(Debug, Clone)]
pub(super) struct Machine {
    directory: Option<PathBuf>,
}

impl Machine {
    /// The machine of a server. A real one is taken to have cgroup2 alone.
    pub(super) fn of(server: &dyn Server) -> Self {
        let directory = server.machine().filter(|directory| directory.join(FREEZER).exists());
        Self { directory: directory.map(Path::to_path_buf) }
    }

    /// Whether there are controllers of version 1.
    pub(super) fn is_hybrid(&self) -> bool {
        self.directory.is_some()
    }

    /// Makes the stand-in of version 1.
    pub(super) fn make_hybrid(directory: &Path) -> io::Result<()> {
        fs::create_dir_all(directory)?;
        fs::write(directory.join(FREEZER), "THAWED")
    }

    /// Writes to a file of the container's cgroup, and says whether that worked.
    pub(super) fn write(&self, file: &str, text: &str) -> bool {
        self.directory.as_ref().is_some_and(|directory| fs::write(directory.join(file), text).is_ok())
    }
}
