//! A container that runs, as a place for peers.

use std::collections::HashMap;
use std::fmt;
use std::fs;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bollard::models::HostConfig;
use rustix::process::{Resource, getrlimit};
use session::BoxFuture;
use session::containers::{Image, Rights};
use session::rootfs::MOUNT_POINT;
use session::sandbox::{
    AgentLink, Cgroup, Filesystem, Guest, MountStep, NetNs, Outpost, Place, PlaceError, Sandbox, fresh_id,
};
use testcontainers::core::{CgroupnsMode, Mount};
use testcontainers::runners::AsyncRunner;
use testcontainers::{ContainerAsync, ContainerRequest, GenericImage, ImageExt};

use crate::engine::Running;
use crate::removal::{RUN_LABEL, remove};

/// How long the agent may take to come, behind the engine's word that the container runs.
const READY_DEADLINE: Duration = Duration::from_secs(20);
/// How long the engine may take to start a container. Many start at a time, and with `vfs` each is a copy of its image.
const START_DEADLINE: Duration = Duration::from_secs(120);
/// The socket that the agent comes to, in the directory of the container.
const SOCKET: &str = "agent";
/// Where processes of a container that starts others have their cgroup.
const CGROUP: &str = "/sys/fs/cgroup";
/// File systems in memory, as slots have them.
const IN_MEMORY: [(&str, &str); 2] = [("/run", "rw,exec,mode=0755"), ("/tmp", "rw,exec,mode=1777")];
/// The rights of what starts containers. Not `privileged`: on a machine that has not every capability itself, that fails with
/// runc 1.1.5 (`unable to apply caps`).
const CAPABILITIES: [&str; 6] =
    ["SYS_ADMIN", "NET_ADMIN", "SYS_PTRACE", "MKNOD", "SYS_CHROOT", "DAC_READ_SEARCH"];
const UNCONFINED: [&str; 2] = ["seccomp=unconfined", "apparmor=unconfined"];
const ALL_DEVICES: &str = "a *:* rwm";

/// A container that runs.
pub(crate) struct Container {
    id: u64,
    directory: PathBuf,
    cgroup: Cgroup,
    image: String,
    root: PathBuf,
    /// What `root` leads through.
    _root: OwnedFd,
    netns: NetNs,
    agent: AgentLink,
    running: Arc<Running>,
    handle: Mutex<Option<ContainerAsync<GenericImage>>>,
}

impl fmt::Debug for Container {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Container").field("directory", &self.directory).field("image", &self.image).finish()
    }
}

impl Container {
    /// Starts one and waits for its agent. Where that fails, nothing of it stays.
    pub(crate) async fn start(
        running: &Arc<Running>,
        image: &Image,
        rights: Rights,
    ) -> Result<Arc<Self>, PlaceError> {
        let sandbox = Sandbox::inside().ok_or(PlaceError::NoSandbox)?;
        let id = fresh_id();
        let directory = made(&sandbox, id)?;
        let outpost = Outpost::bind(&directory.join(SOCKET)).map_err(io("make the agent's socket"))?;
        let name = format!("{}-{id}", sandbox.run().file_name().unwrap_or_default().to_string_lossy());
        let request = request(running, image, rights, &directory, &outpost, &sandbox, &name);
        let started = running.handle.spawn(request.start()).await;
        let handle = match started {
            Ok(Ok(handle)) => handle,
            failed => {
                let why = match failed {
                    Ok(Err(error)) => error.to_string(),
                    _ => "the engine's client panicked".to_owned(),
                };
                // A container that could not be started stays with the engine.
                let docker = running.docker.clone();
                let removed = running.handle.spawn(async move { remove(&docker, &name).await }).await;
                tracing::debug!(?removed, "a container did not start");
                let _ = fs::remove_dir_all(&directory);
                return Err(PlaceError::Refused { what: "start a container", why });
            }
        };
        match tokio::time::timeout(READY_DEADLINE, outpost.met()).await {
            Ok(Ok(guest)) => {
                let Guest { agent, root, netns, root_descriptor } = guest;
                let cgroup = Cgroup::at(root.join(CGROUP.trim_start_matches('/')));
                let container = Arc::new(Self {
                    id,
                    directory,
                    cgroup,
                    image: image.id.clone(),
                    root,
                    _root: root_descriptor,
                    netns,
                    agent,
                    running: Arc::clone(running),
                    handle: Mutex::new(Some(handle)),
                });
                container.prepare(rights).await?;
                Ok(container)
            }
            late_or_wrong => {
                let why = match late_or_wrong {
                    Ok(Err(error)) => error.to_string(),
                    _ => format!(
                        "nobody came to `{}` in {} s: the engine has to be of this machine and see that folder, which TMPDIR moves",
                        directory.display(),
                        READY_DEADLINE.as_secs()
                    ),
                };
                end(running, handle, &directory).await;
                Err(PlaceError::Refused { what: "wait for the agent of a container", why })
            }
        }
    }

    /// Gives a container that starts others what a slot has: a cgroup of version 2 alone, to make others in.
    async fn prepare(&self, rights: Rights) -> Result<(), PlaceError> {
        if rights == Rights::Plain {
            return Ok(());
        }
        let target = PathBuf::from(CGROUP);
        let cgroup = MountStep::New {
            filesystem: Filesystem::Cgroup2,
            target: target.clone(),
            options: String::new(),
        };
        (self as &dyn Place).mount(vec![MountStep::Unmount(target), cgroup]).await
    }

    fn take_handle(&self) -> Option<ContainerAsync<GenericImage>> {
        self.handle.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// The directory of a container, with what the engine has to find in it.
fn made(sandbox: &Sandbox, id: u64) -> Result<PathBuf, PlaceError> {
    let shared = sandbox.shared().map_err(io("make a directory for containers"))?;
    let directory = shared.join(format!("c-{id}"));
    fs::create_dir_all(directory.join("w")).map_err(io("make the container's directory"))?;
    Ok(directory)
}

fn io(what: &'static str) -> impl FnOnce(std::io::Error) -> PlaceError {
    move |source| PlaceError::Io { what, source }
}

/// What is asked of testcontainers.
fn request(
    running: &Running,
    image: &Image,
    rights: Rights,
    directory: &Path,
    outpost: &Outpost,
    sandbox: &Sandbox,
    name: &str,
) -> ContainerRequest<GenericImage> {
    let (program, args) = &running.program.command;
    // By its id: whatever the name means by now.
    let (algorithm, hash) = image.id.split_once(':').unwrap_or((&image.id, "latest"));
    let text = |path: &Path| path.display().to_string();
    let uname = rustix::system::uname();
    let open_files = getrlimit(Resource::Nofile);
    let [soft, hard] = [open_files.current, open_files.maximum]
        .map(|limit| limit.and_then(|limit| i64::try_from(limit).ok()).unwrap_or(-1));
    let mut request = GenericImage::new(algorithm, hash)
        .with_entrypoint(program)
        .with_cmd(args)
        .with_container_name(name)
        .with_label(RUN_LABEL, text(sandbox.run()))
        .with_network("none")
        .with_hostname(uname.nodename().to_string_lossy())
        .with_cgroupns_mode(CgroupnsMode::Private)
        .with_readonly_rootfs(true)
        .with_ulimit("nofile", soft, Some(hard))
        .with_startup_timeout(START_DEADLINE)
        .with_mount(Mount::bind_mount(text(directory), text(directory)))
        .with_mount(Mount::bind_mount(text(&directory.join("w")), format!("/{MOUNT_POINT}")))
        .with_host_config_modifier(move |host| host_config(host, rights));
    for (variable, value) in outpost.variables() {
        request = request.with_env_var(variable, value.to_string_lossy());
    }
    for (file, at) in &running.program.files {
        request = request.with_mount(Mount::bind_mount(text(file), at));
    }
    if rights == Rights::StartsContainers {
        request = CAPABILITIES.into_iter().fold(request, ImageExt::with_cap_add);
        request = UNCONFINED.into_iter().fold(request, ImageExt::with_security_opt);
    }
    request
}

/// What testcontainers has no word for.
fn host_config(host: &mut HostConfig, rights: Rights) {
    // When its agent ends, so does the container, and nobody of ours has to be there to remove it.
    host.auto_remove = Some(true);
    let in_memory = IN_MEMORY.map(|(path, options)| (path.to_owned(), options.to_owned()));
    host.tmpfs = Some(HashMap::from(in_memory));
    for mount in host.mounts.iter_mut().flatten() {
        let is_program = mount.target.as_deref().is_some_and(|target| target.starts_with("/wireskew-agent"));
        mount.read_only = Some(is_program);
    }
    if rights == Rights::StartsContainers {
        (host.masked_paths, host.readonly_paths) = (Some(Vec::new()), Some(Vec::new()));
        host.device_cgroup_rules = Some(vec![ALL_DEVICES.to_owned()]);
    }
}

/// Ends a container, and what it has of ours.
async fn end(running: &Arc<Running>, handle: ContainerAsync<GenericImage>, directory: &Path) {
    let docker = running.docker.clone();
    let removal = running.handle.spawn(async move {
        let id = handle.id().to_owned();
        // It says no where the engine removes the container already, as it does with every one that has ended.
        let _ = handle.rm().await;
        remove(&docker, &id).await
    });
    match removal.await {
        Ok(Ok(())) => {}
        other => tracing::warn!(directory = %directory.display(), ?other, "a container could not be removed"),
    }
    let _ = fs::remove_dir_all(directory);
}

impl Place for Container {
    fn id(&self) -> u64 {
        self.id
    }

    fn agent(&self) -> &AgentLink {
        &self.agent
    }

    fn directory(&self) -> &Path {
        &self.directory
    }

    fn root(&self) -> &Path {
        &self.root
    }

    fn cgroup(&self) -> &Cgroup {
        &self.cgroup
    }

    fn netns(&self) -> &NetNs {
        &self.netns
    }

    fn image(&self) -> Option<&str> {
        Some(&self.image)
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            if let Some(handle) = self.take_handle() {
                end(&self.running, handle, &self.directory).await;
            }
        })
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        if let Some(handle) = self.take_handle() {
            let (running, directory) = (Arc::clone(&self.running), self.directory.clone());
            self.running.handle.spawn(async move { end(&running, handle, &directory).await });
        }
    }
}
