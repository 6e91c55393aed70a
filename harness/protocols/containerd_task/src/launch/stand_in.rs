//! A place in which a daemon finds a shim that runs elsewhere: that of a reference server.
//!
//! A daemon takes over only what it knows, so it makes the container itself, without starting it, and ends. Then the bundle is written
//! as a daemon of the shim's release would have left it, with the address of a proxy.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::Arc;

use protocol::installed::{Installed, setup};
use protocol::launch::{Place, within};
use rustix::fs::{FileType, Mode};
use session::containers::Rights;
use session::proxy::Proxy;
use session::sandbox::{PlaceError, Sandbox};
use session::{Address, LaunchErrorKind, Recorder};
use transcript::ConnId;

use super::bootstrap::{V2, V3};
use super::client::START_DEADLINE;
use super::containerd::{Running, Start};
use super::effects::Container;
use super::place::{run, share_run};
use super::shim::pid_of;
use super::{LEFT, bundle};

/// The socket that the daemon finds, below `/run`, and where it is made.
const SOCKET: &str = "containerd/s/elsewhere";
const MADE: &str = "before";

/// Opens a place in which a daemon of this build finds a shim that has a container running.
pub(super) async fn open(
    real: &Arc<Installed>,
    shim: &Address,
    recorder: &Recorder,
) -> Result<(Place, Proxy), LaunchErrorKind> {
    let sandbox = Sandbox::inside().ok_or_else(|| setup(PlaceError::NoSandbox))?;
    let rootfs = bundle::TINY.path(&sandbox, &real.root, &real.cache).await?;
    let place =
        Place::open_with(real, Rights::StartsContainers, |work| bundle::prepare(work, rootfs)).await?;
    let stands = stand(&place, shim, recorder).await;
    if stands.is_err() {
        place.slot.close().await;
    }
    Ok((place, stands?))
}

async fn stand(place: &Place, shim: &Address, recorder: &Recorder) -> Result<Proxy, LaunchErrorKind> {
    share_run(place).await?;
    let daemon = within(START_DEADLINE, Running::start(place, Start::Anew)).await?;
    daemon.make_container(LEFT).await?;
    daemon.end().await?;
    let is_v3 = pid_of(shim, V3, LEFT).await.is_some();
    if !is_v3 && pid_of(shim, V2, LEFT).await.is_none() {
        return Err(LaunchErrorKind::Setup("the server has no task service that answers Connect".to_owned()));
    }
    write_bundle(&Container::new(place, LEFT).bundle(), is_v3)?;
    let made = place.work().join(MADE);
    let proxy = Proxy::start(Address::Path(made.clone()), shim.clone(), recorder.clone(), ConnId(1))?;
    let socket = run(place).join(SOCKET);
    fs::create_dir_all(socket.parent().unwrap_or(&socket))?;
    fs::rename(made, socket)?;
    Ok(proxy)
}

/// Writes what a daemon has in a bundle: `address` before 2.0, `bootstrap.json` since.
fn write_bundle(bundle: &Path, is_v3: bool) -> Result<(), LaunchErrorKind> {
    fs::create_dir_all(bundle.join("rootfs"))?;
    fs::write(bundle.join("config.json"), bundle::specification(LEFT))?;
    fs::write(bundle.join("options.json"), "{}")?;
    fs::write(bundle.join("runtime"), "")?;
    let work = format!("/wireskew/lib/io.containerd.runtime.v2.task/default/{LEFT}");
    symlink(work, bundle.join("work"))?;
    rustix::fs::mknodat(rustix::fs::CWD, bundle.join("log"), FileType::Fifo, Mode::from_raw_mode(0o600), 0)
        .map_err(std::io::Error::from)?;
    let address = format!("unix:///run/{SOCKET}");
    let (name, text) = match is_v3 {
        false => ("address", address),
        true => ("bootstrap.json", format!(r#"{{"version":3,"address":"{address}","protocol":"ttrpc"}}"#)),
    };
    Ok(fs::write(bundle.join(name), text)?)
}
