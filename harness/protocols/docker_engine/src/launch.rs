//! Real builds: `dockerd` and `docker` of a release, from a Debian root or from a directory of the user's own.
//!
//! Each daemon runs in a [`Slot`](session::sandbox::Slot) of the sandbox, without systemd, and starts a containerd of its own there:
//!
//! ```text
//! /run                           a directory of the slot, the same in every root that is shown there: shims have their sockets in it
//! /run/docker.sock               the daemon's socket
//! /run/daemon.json               its configuration
//! /run/docker                    its exec-root: what belongs to what runs
//! /wireskew/data                 its data-root: images, containers, volumes
//! /wireskew/etc-…                what is /etc for it, a copy: 20.10 writes a key there
//! /wireskew/said                 what it says
//! /wireskew/proxy                in the slot of a client: the recording proxy listens there
//! /sys/fs/cgroup                 cgroup2 only, seen from the slot's cgroup; a container is in /docker/<id> of it
//! ```
//!
//! A daemon is started in a mount namespace of its own, of which the build's root is the root. In a chroot all seems well, and `exec`
//! runs in the machine's own root; so the first daemon of each build is held to what an exec finds, before anything else is asked of it:
//! see `check.rs`.
//!
//! Containers have no network, as daemons have no bridge. The image `tiny:1` is made over the API, of a busybox and links to it.

mod api;
mod check;
mod conditions;
mod docker;
mod dockerd;
mod effects;
mod image;
mod place;

use std::sync::Arc;

use matrix::{Build, Source};
use session::{Client, Launcher};

use crate::settings::{self, Settings};
use docker::Docker;
use dockerd::Dockerd;
use protocol::installed::{Installed, Software};
use protocol::launch::daemons;
use protocol::{Bench, Made};

/// Where the daemon is: in a root, in a directory of programs as docker.com has them, in a tree that was built by `make`.
const DAEMON: Software = Software {
    name: "dockerd",
    program: "dockerd",
    package: "docker.io",
    in_root: &["usr/sbin", "usr/bin", "usr/local/bin", "sbin", "bin"],
    programs: &["", "bin", "sbin", "bundles/binary-daemon", "bundles/dynbinary-daemon"],
    libraries: &["", "lib"],
};

/// The same for a build that is a client.
const CLI: Software = Software {
    name: "docker-cli",
    program: "docker",
    package: "docker-cli",
    programs: &["", "bin", "build"],
    ..DAEMON
};

/// A launcher of the daemons of a real build.
///
/// # Errors
/// The build was not fetched, is not where it was said to be, or has a setting that nobody knows.
pub(crate) fn server(build: &Build, source: &Source, bench: &Bench) -> Made<dyn Launcher> {
    let settings = protocol::launch::settings(build, Settings::of_real(&build.settings))?;
    daemons(&DAEMON, (build, source, bench), Dockerd::new(settings))
}

/// The CLI of a real build.
///
/// # Errors
/// The same.
pub(crate) fn client(build: &Build, source: &Source, bench: &Bench) -> Made<dyn Client> {
    let pin = protocol::launch::settings(build, settings::pin(&build.settings))?;
    Ok(Docker::client(Arc::new(Installed::find(&CLI, build, source, bench)?), pin))
}
