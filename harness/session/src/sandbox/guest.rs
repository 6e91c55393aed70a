//! The agent in a container. It comes to us: the container gets a directory of ours, with a socket in it, and runs this
//! program with the words of [`Outpost::variables`].
//!
//! What is in a container cannot be seen by its path, as its processes are in no pid namespace below ours. So the agent
//! brings descriptors of what has to be seen: its root directory, and its network namespace.

use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags, open};
use rustix::net::{
    AddressFamily, SocketAddrUnix, SocketFlags, SocketType, bind, connect, listen, socket_with,
};
use tokio::net::UnixListener;

use super::agent::Packet;
use super::link::AgentLink;
use super::{NetNs, ROLE, STATE};

/// Where an agent is waited for.
#[derive(Debug)]
pub struct Outpost {
    path: PathBuf,
    listener: UnixListener,
}

/// A container as it is seen from outside, through its agent.
#[derive(Debug)]
pub struct Guest {
    /// The agent.
    pub agent: AgentLink,
    /// The root directory of the container, as a path of this process.
    pub root: PathBuf,
    /// Its network namespace.
    pub netns: NetNs,
    /// What the path leads through.
    pub root_descriptor: OwnedFd,
}

impl Outpost {
    /// Listens at a path that the container has as well.
    ///
    /// # Errors
    /// What `socket(2)`, `bind(2)` and `listen(2)` give.
    pub fn bind(path: &Path) -> io::Result<Self> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)?;
        bind(&socket, &SocketAddrUnix::new(path)?)?;
        listen(&socket, 1)?;
        // Whatever the type of the sockets is: only accept(2) is used.
        let listener = UnixListener::from_std(socket.into())?;
        Ok(Self { path: path.to_owned(), listener })
    }

    /// The variables that make this program the agent of a container.
    #[must_use]
    pub fn variables(&self) -> [(&'static str, OsString); 2] {
        [(ROLE, "guest".into()), (STATE, self.path.clone().into())]
    }

    /// Waits until the agent has come, and nobody else can any more.
    ///
    /// # Errors
    /// It says something else than that it is ready.
    pub async fn met(self) -> io::Result<Guest> {
        let (socket, _) = self.listener.accept().await?;
        let ready = AgentLink::ready(socket.into_std()?.into()).await?;
        let _ = std::fs::remove_file(&self.path);
        let Some((agent, Packet { fds, .. })) = ready else {
            return Err(io::Error::other("the agent of the container ended"));
        };
        let Ok([root, netns]) = <[OwnedFd; 2]>::try_from(fds) else {
            return Err(io::Error::other("the agent of the container brought no descriptors"));
        };
        let path = PathBuf::from(format!("/proc/self/fd/{}", root.as_raw_fd()));
        let netns = NetNs::from_descriptor(netns);
        Ok(Guest { agent, root: path, netns, root_descriptor: root })
    }
}

/// The agent in a container: goes to where it is waited for, and shows where it is.
pub(super) fn run() -> u8 {
    let Some(path) = std::env::var_os(STATE).map(PathBuf::from) else { return 1 };
    let met = || -> io::Result<(OwnedFd, [OwnedFd; 2])> {
        let socket = socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
        connect(&socket, &SocketAddrUnix::new(&path)?)?;
        let root = open("/", OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
        let netns = open("/proc/self/ns/net", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
        Ok((socket, [root, netns]))
    };
    match met() {
        Ok((socket, [root, netns])) => super::agent::run(socket, &[root.as_fd(), netns.as_fd()]),
        Err(_) => 1,
    }
}
