//! Real builds: `libvirtd` and `virsh` of a release, from a Debian root or from a directory of the user's own.
//!
//! Each daemon runs in a [`Slot`](session::sandbox::Slot) of the sandbox, without systemd and without D-Bus:
//!
//! ```text
//! /wireskew/run/libvirt/libvirt-sock     the daemon's socket: XDG_RUNTIME_DIR is ours, and it runs as nobody
//! /wireskew/home                         its home
//! /wireskew/drivers                      drivers that it loads: none, or the one for real interfaces
//! /wireskew/home/log, /wireskew/said     what it logs, and what it prints
//! /wireskew/network, /wireskew/state      where netcf finds interfaces, and the script for its transactions
//! /wireskew/proxy                        in the slot of a client: the recording proxy listens there
//! ```
//!
//! `/wireskew` is a directory on the sandbox's tmpfs, so the sockets are also found from outside of the slot. The test
//! driver is a part of the library. Without an empty directory of drivers 7.0.0 and 9.0.0 end at once, as QEMU's
//! finds nothing to run with; without `/proc` they do as well. A user without an entry in `passwd` makes 11.3.0
//! crash at its start.

mod daemon;
mod script;
mod settings;
mod virsh;

use std::sync::Arc;

use matrix::{Build, Source};
use session::{Client, Launcher};

use daemon::Libvirtd;
use protocol::installed::{Installed, Software};
use protocol::launch::{daemons, settings};
use protocol::{Bench, Made};
use settings::Settings;
use virsh::Virsh;

/// Where programs are: in a root, in a prefix, in a tree that was built by meson.
const DAEMON: Software = Software {
    name: "libvirt",
    program: "libvirtd",
    package: "libvirt-daemon",
    in_root: &["usr/sbin", "usr/bin", "sbin"],
    programs: &["", "sbin", "bin", "src", "tools"],
    libraries: &["", "lib", "lib64", "lib/x86_64-linux-gnu", "src"],
};

/// The same for a build that is a client.
const CLIENT: Software = Software { program: "virsh", package: "libvirt-clients", ..DAEMON };

/// A launcher of the daemons of a real build.
///
/// # Errors
/// The build was not fetched, is not where it was said to be, or has a setting that nobody knows.
pub(crate) fn server(build: &Build, source: &Source, bench: &Bench) -> Made<dyn Launcher> {
    let settings = settings(build, Settings::read(&build.settings))?;
    daemons(&DAEMON, (build, source, bench), Libvirtd { settings })
}

/// The `virsh` of a real build.
///
/// # Errors
/// The build was not fetched or is not where it was said to be.
pub(crate) fn client(build: &Build, source: &Source, bench: &Bench) -> Made<dyn Client> {
    Ok(Virsh::client(Arc::new(Installed::find(&CLIENT, build, source, bench)?)))
}
