//! A serial line: a socket on one side, a pseudo terminal on the other, as QEMU's character device has it.
//!
//! ```text
//! host --- socket ---[ line ]--- master | slave --- agent
//! ```
//!
//! The agent sees no host come and go. One host at a time has the line; when it goes, what the agent still says within a
//! moment is thrown away, so that it is not taken for an answer to the next one. A host that does not read is waited
//! for, and so the agent is. Measured on all four releases: what comes in a burst of more than 4095 bytes is lost in part
//! now and then, by the agent and not by the terminal, which gave it all to another reader. A host that ends only its own direction still gets what comes within that moment.

use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

use bytes::Bytes;
use session::{Connection, Listener, Received};
use tokio::net::unix::pipe::{Receiver, Sender};
use tokio::task::JoinHandle;

/// For how long an agent must be silent until a host that is gone is forgotten.
const LATE: Duration = Duration::from_millis(10);
/// How long a host may be silent.
const FOR_EVER: Duration = Duration::from_secs(24 * 60 * 60);
/// Most bytes taken from the terminal at once.
const READ_LEN_MAX: usize = 4096;

/// A running line. It ends when this is dropped.
#[derive(Debug)]
pub(super) struct Line {
    task: JoinHandle<()>,
}

impl Drop for Line {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Line {
    /// Lets hosts that come to the socket talk to the terminal. The slave is kept open: a master whose slave nobody
    /// holds gives an error for every read.
    ///
    /// # Errors
    /// The master cannot be registered.
    pub(super) fn start(listener: Listener, master: OwnedFd, slave: OwnedFd) -> io::Result<Self> {
        rustix::io::ioctl_fionbio(&master, true)?;
        let master = Master {
            says: Receiver::from_file_unchecked(master.try_clone()?.into())?,
            hears: Sender::from_file_unchecked(master.into())?,
        };
        let task = tokio::spawn(async move {
            let _slave = slave;
            while let Ok(host) = listener.accept().await {
                // A host whose connection fails is gone, and the next one has the line.
                let _ = serve(host, &master).await;
            }
        });
        Ok(Self { task })
    }
}

/// The master of a terminal. It is read and written as a pipe is, of which it is both ends.
struct Master {
    says: Receiver,
    hears: Sender,
}

impl Master {
    async fn read(&self) -> io::Result<Bytes> {
        let mut buffer = vec![0; READ_LEN_MAX];
        loop {
            self.says.readable().await?;
            match self.says.try_read(&mut buffer) {
                Ok(len) => {
                    buffer.truncate(len);
                    return Ok(buffer.into());
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
    }

    async fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        loop {
            self.hears.writable().await?;
            match self.hears.try_write(bytes) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                wrote => return wrote,
            }
        }
    }
}

/// Lets one host have the line.
async fn serve(mut host: Connection, master: &Master) -> io::Result<()> {
    loop {
        tokio::select! {
            said = master.read() => {
                let said = said?;
                if host.send(&said, &[], None, FOR_EVER).await.is_err() {
                    return discard(master).await;
                }
            }
            heard = host.recv(FOR_EVER) => match heard? {
                Received::Data(data, _) => {
                    if !write(master, &data.bytes, &mut host).await? {
                        return discard(master).await;
                    }
                }
                Received::Timeout => {}
                Received::Eof => return last_words(&host, master).await,
                Received::Reset => return discard(master).await,
            },
        }
    }
}

/// Writes to the agent, and passes on what it says meanwhile: it does not read while its own words are not taken. False
/// when the host is gone.
async fn write(master: &Master, bytes: &[u8], host: &mut Connection) -> io::Result<bool> {
    let mut sent = 0;
    while let Some(rest) = bytes.get(sent..).filter(|rest| !rest.is_empty()) {
        tokio::select! {
            wrote = master.write(rest) => sent += wrote?,
            said = master.read() => {
                let said = said?;
                if host.send(&said, &[], None, FOR_EVER).await.is_err() {
                    return Ok(false);
                }
            }
        }
    }
    Ok(true)
}

/// Passes on what the agent says within a moment.
async fn last_words(host: &Connection, master: &Master) -> io::Result<()> {
    while let Ok(said) = tokio::time::timeout(LATE, master.read()).await {
        if host.send(&said?, &[], None, FOR_EVER).await.is_err() {
            return discard(master).await;
        }
    }
    Ok(())
}

/// Throws away what the agent says, until it is silent.
async fn discard(master: &Master) -> io::Result<()> {
    while let Ok(said) = tokio::time::timeout(LATE, master.read()).await {
        said?;
    }
    Ok(())
}
