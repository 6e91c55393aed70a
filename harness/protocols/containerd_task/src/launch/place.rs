//! A place in which shims and daemons run, and how they are found there again.

use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use protocol::installed::{Installed, setup};
use protocol::launch::Place;
use session::sandbox::{self, MountStep, PlaceCommand};
use session::{Address, LaunchErrorKind};

use super::bootstrap::At;

/// What every root of a slot shows as `/run`, below the directory of the slot.
const RUN: &str = "run";
/// The link to the shim's socket, and the file with its name where that is an abstract one; likewise.
const LINK: &str = "shim";
const ABSTRACT: &str = "shim-abstract";
/// The shim's socket where somebody stands before it, and where the socket of that one is made.
const BEHIND: &str = "behind";
const BEFORE: &str = "before";
/// Enters a root for good, and a directory in it. In a chroot `runc exec` would find the root of the mount namespace. `/` of this
/// command is the machine's root, and the new root is a mount point.
const ENTER: &str = r#"cd "$1" && pivot_root . . && umount -l . && cd "$2" && shift 2 && exec "$@""#;
const ENTERED: [&str; 7] = ["unshare", "--mount", "--propagation=private", "--", "sh", "-c", ENTER];

/// Shims that run: where they can be met, and by whom.
static MET: Mutex<Vec<Met>> = Mutex::new(Vec::new());

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
    let (source, target) = (run(place), place.root.join("run"));
    // What is mounted in the slot is seen only from there.
    if place.slot.path(&target).join("bundle").is_dir() {
        return Ok(());
    }
    let step = MountStep::Bind { source, target, recursive: false, read_only: false };
    place.slot.mount(vec![step]).await.map_err(setup)
}

/// The directory that is `/run`, as we see it.
pub(super) fn run(place: &Place) -> PathBuf {
    run_of(&place.work())
}

/// The same before there is a place.
pub(super) fn run_of(work: &Path) -> PathBuf {
    work.join(RUN)
}

/// A command of the build in a mount namespace of its own, of which the build's root is the root.
pub(super) fn entered(place: &Place, directory: &str, argv: &[&str]) -> PlaceCommand {
    let mut command = place.command(ENTERED.map(str::to_owned).to_vec());
    command.argv.extend(["sh".to_owned(), place.root.display().to_string(), directory.to_owned()]);
    command.argv.extend(argv.iter().map(|&arg| arg.to_owned()));
    command.root = PathBuf::from("/");
    command
}

/// Where the shim that is met listens, as far as our address says.
pub(super) fn address(place: &Place) -> Address {
    match fs::read(place.work().join(ABSTRACT)) {
        Ok(name) => Address::InSlot(Arc::clone(&place.slot), name),
        Err(_) => Address::Path(place.work().join(LINK)),
    }
}

/// Lets our address lead to where a shim listens. It is the same for all that have a path.
pub(super) fn point_to(place: &Place, at: &At) -> io::Result<()> {
    match at {
        At::Abstract(name) => fs::write(place.work().join(ABSTRACT), name),
        At::Path(path) => {
            let below = path.strip_prefix("/run");
            let below =
                below.map_err(|_| io::Error::other(format!("`{}` is not in /run", path.display())))?;
            replace_link(&run(place).join(below), &place.work().join(LINK))
        }
    }
}

/// Puts an address of ours between a shim and whoever looks for its socket: the shim is moved to where our address leads, and what
/// `listen` has made in its place is what the others find.
pub(super) fn stand_before<T>(
    place: &Place,
    listen: impl FnOnce(Address, Address) -> io::Result<T>,
) -> io::Result<T> {
    let [link, behind, made] = [LINK, BEHIND, BEFORE].map(|name| place.work().join(name));
    let socket = fs::read_link(&link)?;
    fs::rename(&socket, &behind)?;
    replace_link(Path::new(BEHIND), &link)?;
    let listens = listen(Address::Path(made.clone()), Address::Path(behind))?;
    fs::rename(made, socket)?;
    Ok(listens)
}

fn replace_link(to: &Path, link: &Path) -> io::Result<()> {
    match fs::remove_file(link) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => symlink(to, link),
    }
}

/// A shim that runs.
struct Met {
    address: Address,
    slot: Weak<dyn sandbox::Place>,
    real: Arc<Installed>,
}

/// Lets clients find the slot of a shim by its address.
pub(super) fn can_be_met(address: &Address, place: &Place) {
    let mut met = MET.lock().unwrap_or_else(PoisonError::into_inner);
    met.retain(|met| met.slot.strong_count() > 0);
    let (slot, real) = (Arc::downgrade(&place.slot), Arc::clone(&place.real));
    met.push(Met { address: address.clone(), slot, real });
}

/// The slot of a shim at that address, and its build.
pub(super) fn met(address: &Address) -> Option<(Arc<dyn sandbox::Place>, Arc<Installed>)> {
    let met = MET.lock().unwrap_or_else(PoisonError::into_inner);
    let found = met.iter().rev().find(|met| met.address == *address)?;
    Some((found.slot.upgrade()?, Arc::clone(&found.real)))
}
