//! Real builds: `qemu-ga` of a release, from a Debian root or from a directory of the user's own.
//!
//! Each agent runs in a [`Slot`](session::sandbox::Slot) of the sandbox, as nobody:
//!
//! ```text
//! /wireskew/run/qga.sock     its socket, or
//! /dev/pts/0                 its end of a line, which begins in this process
//! /wireskew/run              where it keeps what it keeps
//! /wireskew/said             what it prints
//! ```
//!
//! # What keeps the machine from harm
//!
//! The agent is started with every command blocked that does more than read (`-b`). Before anything else its guest-info
//! has to say that exactly these are not enabled, and that whatever is enabled only reads; otherwise it is ended and the
//! cells fail. What is sent to it is looked through by the harness: commands that shut down or suspend do not leave it at
//! all, others that are blocked only where guest-info said so.

mod agent;
mod guard;
mod own;

use std::sync::Arc;

use matrix::{Build, Source};
use session::Launcher;

use super::settings::Settings;
use agent::Agents;
use own::OwnAgents;
use protocol::installed::Software;
use protocol::launch::{CommandLine, OwnServers, daemons, settings};
use protocol::{Bench, Made};

/// Where the program is: in a root, in a prefix, in a tree that was built by meson.
const AGENT: Software = Software {
    name: "qemu-ga",
    program: "qemu-ga",
    package: "qemu-guest-agent",
    in_root: &["usr/sbin", "usr/bin", "sbin"],
    programs: &["", "sbin", "bin", "qga", "build/qga"],
    libraries: &["", "lib", "lib64", "lib/x86_64-linux-gnu"],
};

/// A launcher of agents that come as a command line.
pub(crate) fn own_server(line: CommandLine) -> Arc<dyn Launcher> {
    Arc::new(OwnAgents(OwnServers::new(line)))
}

/// A launcher of the agents of a real build.
///
/// # Errors
/// The build was not fetched, is not where it was said to be, or has a setting that no real agent may have.
pub(crate) fn server(build: &Build, source: &Source, bench: &Bench) -> Made<dyn Launcher> {
    let read = Settings::read(&build.settings).and_then(|settings| match &settings.allow {
        Some(command) => Err(format!("no real agent may carry out `{command}`")),
        None => Ok(settings),
    });
    daemons(&AGENT, (build, source, bench), Agents { settings: settings(build, read)? })
}
