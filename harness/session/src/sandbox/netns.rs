//! A network namespace, to make sockets in.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};
use rustix::process::Pid;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// A network namespace in which sockets can be made.
#[derive(Debug, Clone)]
pub struct NetNs {
    descriptor: Arc<OwnedFd>,
}

impl NetNs {
    /// That of a process.
    ///
    /// # Errors
    /// When the process is gone or not ours to look at.
    pub fn of(pid: Pid) -> io::Result<Self> {
        let file = File::open(format!("/proc/{}/ns/net", pid.as_raw_nonzero()))?;
        Ok(Self { descriptor: Arc::new(file.into()) })
    }

    /// That of a descriptor.
    pub(super) fn from_descriptor(descriptor: OwnedFd) -> Self {
        Self { descriptor: Arc::new(descriptor) }
    }

    /// Makes a non-blocking stream socket of that family there. A socket belongs to the network namespace in which it was made,
    /// wherever its owner is, and finds abstract names and ports of that namespace only.
    ///
    /// # Errors
    /// What `setns(2)` and `socket(2)` give.
    pub fn socket(&self, family: AddressFamily) -> io::Result<OwnedFd> {
        // Namespaces belong to threads: a thread of its own moves, makes the socket and ends, in about 50 us.
        let descriptor = Arc::clone(&self.descriptor);
        let made = std::thread::spawn(move || -> io::Result<OwnedFd> {
            move_into_link_name_space(descriptor.as_fd(), Some(LinkNameSpaceType::Network))?;
            let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
            Ok(socket_with(family, SocketType::STREAM, flags, None)?)
        });
        made.join().unwrap_or_else(|_| Err(io::Error::other("the thread that makes sockets panicked")))
    }
}

impl PartialEq for NetNs {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.descriptor, &other.descriptor)
    }
}

impl Eq for NetNs {}
