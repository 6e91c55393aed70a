//! Whether a sandbox is possible here, said before anything runs.

use std::fmt;
use std::process::{Command, Stdio};

use super::{Cgroup, NAMESPACES, Sandbox};
use crate::process::find_program;

/// What stands in the way of a sandbox or of a build, and the command that helps.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what}; try: {help}")]
pub struct Obstacle {
    /// What is missing.
    pub what: String,
    /// The command that helps.
    pub help: String,
}

impl Obstacle {
    /// What is missing and the command that helps.
    pub fn new(what: impl fmt::Display, help: impl Into<String>) -> Self {
        Self { what: what.to_string(), help: help.into() }
    }

    /// The same for a program that a Debian package brings.
    #[must_use]
    pub fn program(name: &str, package: &str) -> Self {
        Self::new(format!("`{name}` is not installed"), format!("apt-get install {package}"))
    }
}

/// Programs that the sandbox uses and the Debian packages that bring them; all of these are Essential there.
const PROGRAMS: [(&str, &str); 5] = [
    ("unshare", "util-linux"),
    ("setpriv", "util-linux"),
    ("setsid", "util-linux"),
    ("chroot", "coreutils"),
    ("sh", "dash"),
];

/// Whether a sandbox has still to be entered (`true`), or this process is in one (`false`).
///
/// # Errors
/// When it is needed and not possible: the first thing that is missing.
pub fn needed_and_possible() -> Result<bool, Obstacle> {
    if Sandbox::inside().is_some() {
        return Ok(false);
    }
    if !rustix::process::geteuid().is_root() {
        return Err(Obstacle::new(
            "live builds need root, for namespaces and chroot",
            "sudo wireskew … (the default matrix needs no root)",
        ));
    }
    for (program, package) in PROGRAMS {
        if find_program(program).is_none() {
            return Err(Obstacle::program(program, package));
        }
    }
    if Cgroup::own().is_none() {
        return Err(Obstacle::new(
            "no cgroup2 file system is mounted",
            "mkdir -p /sys/fs/cgroup/unified && mount -t cgroup2 cgroup2 /sys/fs/cgroup/unified",
        ));
    }
    let trial = Command::new("unshare").args(NAMESPACES).args(["--", "true"]).stdin(Stdio::null()).output();
    match trial {
        Ok(output) if output.status.success() => Ok(true),
        Ok(output) => Err(Obstacle::new(
            format!("no new namespaces: {}", String::from_utf8_lossy(&output.stderr).trim()),
            "run outside of a container, or in one started with `docker run --privileged --cgroupns=host`",
        )),
        Err(error) => {
            Err(Obstacle::new(format!("unshare: {error}"), "apt-get install --reinstall util-linux"))
        }
    }
}
