//! A pseudo terminal as a byte stream: for peers that speak on a character device.
//!
//! ```text
//! peer opens  /dev/pts/<n>  <- kernel ->  our end of the terminal  <- task ->  a Connection
//! ```
//!
//! The terminal is raw: bytes pass unchanged and nothing is echoed. It stays open when the peer closes it, as a virtio
//! port does.

use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{OptionalActions, tcgetattr, tcsetattr};
use tokio::io::copy;
use tokio::net::UnixStream;
use tokio::net::unix::pipe::{Receiver, Sender};
use tokio::task::JoinHandle;

use crate::Connection;

/// A pseudo terminal. Dropping it closes our end.
#[derive(Debug)]
pub struct Pty {
    path: PathBuf,
    task: JoinHandle<()>,
}

impl Pty {
    /// Opens one; what the peer writes there is received on the connection, and what is sent there it can read.
    ///
    /// # Errors
    /// When there is none left, or the terminal cannot be made raw.
    pub fn open() -> io::Result<(Self, Connection)> {
        let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
        grantpt(&ours)?;
        unlockpt(&ours)?;
        let name = ptsname(&ours, Vec::new())?;
        let path = PathBuf::from(String::from_utf8_lossy(name.as_bytes()).into_owned());
        // Kept open, so that a peer that closes it and comes back finds it as it was.
        let theirs = rustix::fs::open(&path, OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC, Mode::empty())?;
        let mut modes = tcgetattr(&theirs)?;
        modes.make_raw();
        tcsetattr(&theirs, OptionalActions::Now, &modes)?;
        rustix::io::ioctl_fionbio(&ours, true)?;
        // A terminal is no pipe, but it is read and written like one.
        let ends =
            (Receiver::from_owned_fd_unchecked(ours.try_clone()?)?, Sender::from_owned_fd_unchecked(ours)?);
        let (near, far) = UnixStream::pair()?;
        let task = tokio::spawn(pump(ends, far, theirs));
        Ok((Self { path, task }, Connection::from(near)))
    }

    /// What the peer opens.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Pty {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Passes bytes both ways until our side closes or the terminal fails.
async fn pump(ends: (Receiver, Sender), stream: UnixStream, _kept_open: OwnedFd) {
    let (mut from_peer, mut to_peer) = ends;
    let (mut from_us, mut to_us) = stream.into_split();
    // Either way the terminal is of no more use; whoever holds the other end sees its stream end.
    tokio::select! {
        _ = copy(&mut from_us, &mut to_peer) => {}
        _ = copy(&mut from_peer, &mut to_us) => {}
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::time::Duration;

    use bytes::Bytes;

    use super::*;
    use crate::Received;

    #[test]
    fn passes_bytes_unchanged_both_ways_and_outlives_the_peer() {
        const SOON: Duration = Duration::from_secs(2);
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        runtime.expect("a runtime").block_on(async {
            let (pty, mut connection) = Pty::open().expect("a terminal");
            for _ in 0..2 {
                let mut peer =
                    std::fs::OpenOptions::new().read(true).write(true).open(pty.path()).expect("it is there");
                connection
                    .send(&Bytes::from_static(b"to\x03\r\n"), &[], None, SOON)
                    .await
                    .expect("it is taken");
                let mut got = [0; 5];
                peer.read_exact(&mut got).expect("it comes");
                assert_eq!(&got, b"to\x03\r\n");
                peer.write_all(b"from\x04\n").expect("it is taken");
                match connection.recv(SOON).await.expect("the terminal is whole") {
                    Received::Data(data, _) => assert_eq!(&data.bytes[..], b"from\x04\n"),
                    other => panic!("{other:?}"),
                }
            }
        });
    }
}
