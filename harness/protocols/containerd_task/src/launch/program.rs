//! The program of another release's shim in the root of a daemon, which starts it as its own.
//!
//! A daemon knows a shim only by its name, `containerd-shim-runc-v2`. So whoever upgrades packages, or has two of them in a path, lets a
//! daemon start the shim of another release, and the two have nothing in common but what the shim prints:
//!
//! ```text
//! 1.x   unix:///run/containerd/s/…
//! 2.x   {"version":3,"address":"unix:///run/containerd/s/…","protocol":"ttrpc"}
//! ```

use std::path::{Path, PathBuf};

use protocol::installed::setup;
use protocol::launch::Place;
use session::LaunchErrorKind;
use session::sandbox::MountStep;

use super::SHIM_SOFTWARE;

/// What a daemon says of a version that it does not know: 1.7.24, of a shim of 2.1.9
/// (<https://github.com/containerd/containerd/issues/10984>).
const NOT_KNOWN: &str = "unsupported shim version";
/// What one says that takes JSON for the name of a socket: 1.6.20, of the same shim. An abstract name begins with a zero byte.
const AS_ADDRESS: [&str; 2] = ["dial unix {", "dial unix \0{"];

/// Shows the shim of one build in the root of another one, in place of that one's own.
pub(super) async fn put(of_shim: &Place, daemon: &Place) -> Result<(), LaunchErrorKind> {
    let (source, target) = (found(of_shim)?, found(daemon)?);
    let step = MountStep::Bind { source, target, recursive: false, read_only: true };
    daemon.slot.mount(vec![step]).await.map_err(setup)
}

/// Where the shim of a build is, in the slot.
fn found(place: &Place) -> Result<PathBuf, LaunchErrorKind> {
    let mut files = SHIM_SOFTWARE
        .in_root
        .iter()
        .map(|directory| place.root.join(Path::new(directory)).join(SHIM_SOFTWARE.program));
    files.find(|file| place.slot.path(file).is_file()).ok_or_else(|| {
        let why = format!("the root of {} has no {}", place.real.endpoint.id, SHIM_SOFTWARE.program);
        LaunchErrorKind::Setup(format!("{why}; give root directories that have it"))
    })
}

/// What a daemon says that it has not understood, in a word of [`crate::operations::REFUSED`].
pub(super) fn refused(said: &str) -> Option<&'static str> {
    let is_said = |text: &str| said.contains(text);
    match is_said(NOT_KNOWN) {
        true => Some("version"),
        false => AS_ADDRESS.into_iter().any(is_said).then_some("address"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_daemons_say_of_a_shim_that_they_do_not_understand() {
        let of_1_7 =
            "ctr: failed to start shim: start failed: unsupported shim version (3): not implemented: unknown";
        assert_eq!(refused(of_1_7), Some("version"));
        let of_1_6 = "ctr: failed to start shim: start failed: dial unix \0{\"version\":3,\"address\":\"unix:///run/containerd/s/0f\"}: \
            connect: invalid argument: unknown";
        assert_eq!(refused(of_1_6), Some("address"));
        assert_eq!(refused("ctr: dial unix /run/containerd/containerd.sock: connect: no such file"), None);
    }
}
