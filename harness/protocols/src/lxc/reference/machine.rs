//! What a reference server and a reference client both see of the machine: the cgroup file systems. Where
//! the server's dialect has version 1 controllers, a directory stands in for the container's cgroup there;
//! clients of version 1 do not get a descriptor, they write to a path. The name of the server's socket is
//! the path of that directory without its extension.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use session::Address;

/// The file of version 1 that freezes.
const FREEZER: &str = "freezer.state";

/// The cgroup file systems beside one server.
#[derive(Debug, Clone)]
pub(super) struct Machine {
    directory: Option<PathBuf>,
}

impl Machine {
    /// Where the stand-in for the cgroup of the server at that socket lies.
    pub(super) fn directory(socket: &Path) -> PathBuf {
        socket.with_extension("cgroup")
    }

    /// Looks beside a socket. A real server's machine is taken to have cgroup2 alone.
    pub(super) fn beside(address: &Address) -> Self {
        let directory = match address {
            Address::Path(socket) => Some(Self::directory(socket)),
            Address::Abstract(name) => Some(Self::directory(Path::new(OsStr::from_bytes(name)))),
            Address::InSlot(..) => None,
        };
        Self { directory: directory.filter(|directory| directory.join(FREEZER).exists()) }
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
