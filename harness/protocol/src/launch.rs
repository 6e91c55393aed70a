//! How real builds are started: what launchers of all protocols share.
//!
//! ```text
//! place.rs           a slot of the sandbox with the root of an installed build in it
//! daemon.rs          the daemons of an installed build, each in a place of its own
//! ready.rs           waiting until something that was started is ready, and questions that nobody records
//! command_line.rs    a user's own server or client, as a command line that says where it speaks
//! own.rs             servers and clients that are such command lines
//! tiny_root.rs       the root directory of containers that builds run
//! ```

mod command_line;
mod daemon;
mod own;
mod place;
mod ready;
mod tiny_root;

use matrix::{Build, Role, Source};
use session::{Client, Launcher};

use crate::{Bench, Made, Protocol};
pub use command_line::{At, Bound, CommandLine, Explains, Ready, Speaks, Spot, Started};
pub use daemon::{Daemon, DaemonLauncher, Daemons, daemons, settings};
pub use own::{OwnClient, OwnServers};
pub use place::{NOBODY, Place, make_own};
pub use ready::{QUESTION_DEADLINE, ask, ready, within};
pub use tiny_root::{TinyRoot, busybox};

/// A launcher of a server build of a protocol, which may be a command line.
///
/// # Errors
/// The build is unavailable; the error says why and what helps.
pub fn server(protocol: &dyn Protocol, build: &Build, source: &Source, bench: &Bench) -> Made<dyn Launcher> {
    match CommandLine::of(build, source, Role::Server, speaks(protocol, Role::Server, build), bench)? {
        Some(line) => protocol.own_server(line, build),
        None => protocol.server(build, source, bench),
    }
}

/// A client build of a protocol, which may be a command line.
///
/// # Errors
/// The same.
pub fn client(protocol: &dyn Protocol, build: &Build, source: &Source, bench: &Bench) -> Made<dyn Client> {
    match CommandLine::of(build, source, Role::Client, speaks(protocol, Role::Client, build), bench)? {
        Some(line) => protocol.own_client(line, build),
        None => protocol.client(build, source, bench),
    }
}

fn speaks(protocol: &dyn Protocol, role: Role, build: &Build) -> Speaks<'static> {
    Speaks { at: protocol.speaks_at(role), told_by: protocol.told_by(role, build) }
}

#[cfg(test)]
mod tests;
