//! Where daemons run: a build's root that is the root of a mount namespace, and what all roots of a slot share.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use protocol::installed::{Installed, setup};
use protocol::launch::Place;
use session::LaunchErrorKind;
use session::sandbox::{self, MountStep, PlaceCommand};

/// What every root of a slot shows as `/run`, below the directory of the slot.
const RUN: &str = "run";
/// The daemon's socket and its configuration, below `/run`.
const SOCKET: &str = "docker.sock";
const CONFIGURATION: &str = "daemon.json";
/// What daemons keep, below the directory of the slot.
const DATA: &str = "data";
/// Enters a root for good, with a copy of its `/etc` that can be written to. Under a chroot runc, which pivots too, leaves the machine's
/// root as that of a container's mount namespace, and there is where `exec` runs then. `/` of this command is the machine's root, and
/// the new root is a mount point.
const ENTER: &str = r#"cd "$1" && { [ -d "$2" ] || cp -a etc "$2"; } && mount --bind "$2" etc && pivot_root . . && umount -l . && cd / && shift 2 && exec "$@""#;
const ENTERED: [&str; 7] = ["unshare", "--mount", "--propagation=private", "--", "sh", "-c", ENTER];

/// Makes the directories of a slot.
pub(super) fn prepare(work: &Path) -> std::io::Result<Vec<MountStep>> {
    for name in [RUN, DATA] {
        fs::create_dir_all(work.join(name))?;
    }
    Ok(Vec::new())
}

/// Shows a build's root in a slot that is there, with `/run` in it; once.
pub(super) async fn within(
    real: &Arc<Installed>,
    slot: Arc<dyn sandbox::Place>,
) -> Result<Place, LaunchErrorKind> {
    let place = Place::within(real, slot).await?;
    share_run(&place).await?;
    Ok(place)
}

/// Shows what all roots of the slot share as `/run` in that of a place; once.
pub(super) async fn share_run(place: &Place) -> Result<(), LaunchErrorKind> {
    let (source, target) = (place.work().join(RUN), place.root.join("run"));
    let marked = source.join(place.real.root.name());
    if marked.exists() {
        return Ok(());
    }
    fs::write(&marked, "")?;
    let step = MountStep::Bind { source, target, recursive: false, read_only: false };
    place.slot.mount(vec![step]).await.map_err(setup)
}

/// A command of the build in a mount namespace of its own, of which the build's root is the root.
pub(super) fn entered(place: &Place, argv: Vec<String>) -> PlaceCommand {
    let mut command = place.command(ENTERED.map(str::to_owned).to_vec());
    let etc = place.work().join(format!("etc-{}", place.real.root.name()));
    command.argv.push("sh".to_owned());
    command.argv.extend([place.root.display().to_string(), etc.display().to_string()]);
    command.argv.extend(argv);
    command.root = PathBuf::from("/");
    command
}

/// The daemon's socket, as we see it.
pub(super) fn socket(place: &Place) -> PathBuf {
    place.work().join(RUN).join(SOCKET)
}

/// Its configuration, likewise.
pub(super) fn configuration(place: &Place) -> PathBuf {
    place.work().join(RUN).join(CONFIGURATION)
}

/// What daemons keep, likewise.
pub(super) fn data(place: &Place) -> PathBuf {
    place.work().join(DATA)
}
