//! Real builds: monitors and tools of an LXC release, from a Debian root or from a directory of the user's own.
//!
//! Each monitor runs in a [`Slot`] of the sandbox, so that lxcpath, container name, abstract socket and cgroup are the
//! same for every instance, however many run at once:
//!
//! ```text
//! /wireskew/c/c1/config     the container, for its monitor
//! /wireskew/p/c1/config     the same for clients: the recording proxy listens on that lxcpath
//! /wireskew/rootfs          the container's root: busybox and an init, shared by all
//! /sys/fs/cgroup            cgroup2 only, seen from the slot's cgroup
//! ```
//!
//! A client runs in the slot of the monitor that it meets, with the root of its own build. Facts of how to
//! start them: `lxc-start` of 4.0.6 needs its root to be a mount point; 7.0.0 refuses a hybrid cgroup layout.

mod client;
mod container;
mod monitor;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use matrix::{Build, Source};
use session::{Client, Launcher};

use client::LxcTools;
use monitor::Monitors;
use protocol::installed::{self, Installed, Software};
use protocol::launch::daemons;
use protocol::{Bench, Made};

/// Where clients look for the container: the proxy listens there.
pub(crate) const PROXY_LXCPATH: &str = "/wireskew/p";
/// How long a tool that prepares something may take.
const TOOL_DEADLINE: Duration = Duration::from_secs(10);

/// Where the tools are: in a root, in a prefix, in a tree that was built by autotools or meson.
const SOFTWARE: Software = Software {
    name: "lxc",
    program: "lxc-start",
    package: "lxc",
    in_root: &["usr/bin", "bin"],
    programs: &["", "bin", "sbin", "src/lxc/tools", "src/lxc/cmd", "src/lxc"],
    libraries: &["", "lib", "src/lxc"],
};

/// A launcher of the monitors of a real build.
///
/// # Errors
/// The build was not fetched or is not where it was said to be.
pub(crate) fn server(build: &Build, source: &Source, bench: &Bench) -> Made<dyn Launcher> {
    daemons(&SOFTWARE, (build, source, bench), Monitors)
}

/// The tools of a real build.
///
/// # Errors
/// The build was not fetched or is not where it was said to be.
pub(crate) fn client(build: &Build, source: &Source, bench: &Bench) -> Made<dyn Client> {
    Ok(LxcTools::client(Arc::new(Installed::find(&SOFTWARE, build, source, bench)?)))
}

/// What matters of this machine for a recording.
fn environment() -> BTreeMap<String, String> {
    let mut known = installed::environment();
    known.insert("cgroup".to_owned(), "unified".to_owned());
    known
}
