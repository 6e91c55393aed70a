//! Real builds: `containerd-shim-runc-v2` and `containerd` of a release, from a Debian root or from a directory of the user's own.
//!
//! Each shim runs in a [`Slot`](session::sandbox::Slot) of the sandbox, without a daemon:
//!
//! ```text
//! /run                           a directory of the slot, the same in every root that is shown there
//! /run/bundle/c1                 the bundle in which the shim is started: config.json, and fifos: log, stdout, stderr
//! /run/containerd/s/<sha256>     its socket, or that of a proxy in front of it
//! /run/containerd/containerd.sock.ttrpc    where its events go: to us, or to a daemon
//! /wireskew/rootfs               the root of every container: busybox and an init, shared by all
//! /wireskew/lib, config.toml     what daemons keep, and how they are run
//! /wireskew/shim                 a link to the shim's socket, as the path of that is too long for an address of ours
//! /wireskew/said                 what daemons say
//! /sys/fs/cgroup                 cgroup2 only, seen from the slot's cgroup; a container is in /<id> of it
//! ```
//!
//! A daemon that is a client runs in the slot of the shim that it meets, with the root of its own build: so it finds the bundle of a
//! container that a daemon of another release has left there. In front of the shim it finds a proxy that records.
//!
//! Where a daemon is to start the shim of another release, that program is shown in the daemon's root in place of its own.
//!
//! A shim of a reference server is met by `take-over` alone: the daemon makes the container itself without starting it, and finds a bundle
//! that was written for the shim. The server says the effects then, but for that of the bundle.
//!
//! Facts of how to start them, measured on 1.4.13, 1.6.20, 1.7.24 and 2.1.9: the root of their mount namespace has to be that of the
//! build, as `runc exec` enters the namespace and not the chroot; a shim whose `log` nobody holds open never answers; a specification
//! that asks for shares of the processor, as ctr's own does, needs a controller that cgroup2 may not have.

mod bootstrap;
mod bundle;
mod client;
mod containerd;
mod effects;
mod events;
mod place;
mod program;
mod shim;
mod stand_in;

use std::sync::Arc;

use matrix::{Build, Source};
use session::{Client, Launcher};

use client::Containerd;
use protocol::installed::{Installed, Software};
use protocol::launch::daemons;
use protocol::{Bench, Made};
use shim::Shims;

/// The container of a shim that no daemon has started, and its namespace.
pub(crate) const CONTAINER: &str = "c1";
pub(crate) const NAMESPACE: &str = "lab";
/// The container that a daemon has left, and the one that another daemon starts beside it.
pub(crate) const LEFT: &str = "d1";
pub(crate) const NEW: &str = "d2";

/// Where the shim is: in a root, in a prefix, in a tree that was built by `make`.
const SHIM_SOFTWARE: Software = Software {
    name: "containerd-shim-runc-v2",
    program: "containerd-shim-runc-v2",
    package: "containerd",
    in_root: &["usr/bin", "usr/local/bin", "bin"],
    programs: &["", "bin", "sbin"],
    libraries: &["", "lib"],
};

/// The same for a build that is a client.
const DAEMON_SOFTWARE: Software = Software { name: "containerd", program: "containerd", ..SHIM_SOFTWARE };

/// A launcher of the shims of a real build.
///
/// # Errors
/// The build was not fetched or is not where it was said to be.
pub(crate) fn server(build: &Build, source: &Source, bench: &Bench) -> Made<dyn Launcher> {
    daemons(&SHIM_SOFTWARE, (build, source, bench), Shims)
}

/// The daemon of a real build.
///
/// # Errors
/// The build was not fetched or is not where it was said to be.
pub(crate) fn client(build: &Build, source: &Source, bench: &Bench) -> Made<dyn Client> {
    Ok(Containerd::client(Arc::new(Installed::find(&DAEMON_SOFTWARE, build, source, bench)?)))
}
