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
mod root;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use matrix::{Build, DebianSource, Source};
use session::rootfs::{Cache, hex_sha256};
use session::sandbox::{Slot, SlotCommand, SlotError};
use session::{Client, LaunchError, LaunchErrorKind, Launcher};
use transcript::Endpoint;

use crate::Bench;
use client::LxcTools;
use monitor::MonitorLauncher;
use root::{Kind, Root};

/// Where clients look for the container: the proxy listens there.
pub const PROXY_LXCPATH: &str = "/wireskew/p";
/// How long a tool that prepares something may take.
const TOOL_DEADLINE: Duration = Duration::from_secs(10);

/// A launcher of the monitors of a real build. It is to be used inside a sandbox; making it needs none.
///
/// # Errors
/// The build was not fetched or is not where it was said to be.
pub fn server(build: &Build, source: &Source, bench: &Bench) -> Result<Arc<dyn Launcher>, LaunchError> {
    Ok(Arc::new(MonitorLauncher::new(Arc::new(Real::find(build, source, bench)?))))
}

/// The tools of a real build.
///
/// # Errors
/// The build was not fetched or is not where it was said to be.
pub fn client(build: &Build, source: &Source, bench: &Bench) -> Result<Arc<dyn Client>, LaunchError> {
    Ok(Arc::new(LxcTools::new(Arc::new(Real::find(build, source, bench)?))))
}

/// A real build that is there.
#[derive(Debug)]
struct Real {
    endpoint: Endpoint,
    root: Root,
    /// Arguments put before those of the launcher.
    args: Vec<String>,
    cache: Cache,
}

impl Real {
    fn find(build: &Build, source: &Source, bench: &Bench) -> Result<Self, LaunchError> {
        let cache = Cache::at(bench.cache_dir.clone());
        let endpoint = Endpoint {
            id: build.id.to_string(),
            name: "lxc".to_owned(),
            version: Some(build.version.clone()),
            ..Endpoint::default()
        };
        let what = format!("find {} {}", build.protocol, build.id);
        match source {
            Source::Debian(debian) => {
                Self::debian(endpoint, debian, cache).map_err(|kind| LaunchError::new(what, kind))
            }
            Source::Path { path, args } => {
                Self::path(endpoint, path, args, cache).map_err(|kind| LaunchError::new(what, kind))
            }
            Source::Reference { .. } | Source::Recorded => {
                let why = format!("source `{}` is no real build", source.word());
                Err(LaunchError::new(what, LaunchErrorKind::Setup(why)))
            }
        }
    }

    fn debian(endpoint: Endpoint, source: &DebianSource, cache: Cache) -> Result<Self, LaunchErrorKind> {
        let found = cache.find(source).map_err(|error| LaunchErrorKind::Setup(error.to_string()))?;
        let rootfs = found.ok_or_else(|| LaunchErrorKind::Missing {
            why: format!("the root file system of {} is not in the cache", source.suite),
            hint: "fetch it: wireskew builds fetch".to_owned(),
        })?;
        let endpoint = Endpoint {
            package: source.packages.first().map(|(name, version)| format!("{name} {version}")),
            source: Some(format!("debian {}", source.suite)),
            digest: Some(rootfs.manifest.digest()),
            ..endpoint
        };
        let root = Root::new(Kind::Whole(rootfs.root));
        Ok(Self { endpoint, root, args: Vec::new(), cache })
    }

    fn path(endpoint: Endpoint, path: &Path, args: &[String], cache: Cache) -> Result<Self, LaunchErrorKind> {
        let missing = |why: String| LaunchErrorKind::Missing {
            why,
            hint: "give the directory that holds lxc-start, or a root directory that has it".to_owned(),
        };
        let path = path.canonicalize().map_err(|error| missing(format!("`{}`: {error}", path.display())))?;
        let directory = if path.is_dir() { path.clone() } else { path.parent().unwrap_or(&path).to_owned() };
        let in_root = ["usr/bin/lxc-start", "bin/lxc-start"].map(|tool| directory.join(tool));
        let kind = match in_root.iter().find(|tool| tool.is_file()) {
            Some(_) => Kind::Whole(directory.clone()),
            None => Kind::Tools(directory.clone()),
        };
        let beside = ["lxc-start", "bin/lxc-start", "src/lxc/tools/lxc-start", "src/lxc/lxc-start"];
        let mut candidates = in_root.into_iter().chain(beside.map(|tool| directory.join(tool)));
        let tool = candidates.find(|tool| tool.is_file());
        let tool = tool.ok_or_else(|| missing(format!("no lxc-start in `{}`", directory.display())))?;
        let digest = std::fs::read(&tool).map(|bytes| format!("sha256:{}", hex_sha256(&bytes)));
        let endpoint =
            Endpoint { source: Some("path".to_owned()), digest: digest.ok(), modified: true, ..endpoint };
        Ok(Self { endpoint, root: Root::new(kind), args: args.to_vec(), cache })
    }

    fn error(&self, attempt: &str, kind: impl Into<LaunchErrorKind>) -> LaunchError {
        LaunchError::new(format!("{attempt} lxc {}", self.endpoint.id), kind)
    }

    /// Shows the build's root in a slot, once, and says where.
    async fn mount(&self, slot: &Slot) -> Result<PathBuf, SlotError> {
        let target = slot.directory().join("r").join(self.root.name());
        if !target.is_dir() {
            slot.mount(self.root.steps(&target, &container::work(slot))).await?;
        }
        Ok(target)
    }

    /// A command of the build, as it runs in a slot in which the build's root was mounted.
    fn command(&self, mounted: PathBuf, argv: Vec<String>) -> SlotCommand {
        SlotCommand { root: mounted, argv, env: self.root.environment(), ..SlotCommand::default() }
    }
}

fn setup(error: SlotError) -> LaunchErrorKind {
    match error {
        SlotError::Io { source, .. } => LaunchErrorKind::Io(source),
        other => LaunchErrorKind::Setup(other.to_string()),
    }
}

/// What matters of this machine for a recording.
fn environment() -> BTreeMap<String, String> {
    let uname = rustix::system::uname();
    let text = |text: &std::ffi::CStr| text.to_string_lossy().into_owned();
    let cgroup = "unified".to_owned();
    [("arch", text(uname.machine())), ("cgroup", cgroup)].map(|(key, value)| (key.to_owned(), value)).into()
}
