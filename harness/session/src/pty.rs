//! Peers on a character device: a pseudo terminal at one end, a stream at the other, as QEMU's character device has it.
//!
//! ```text
//! host --- socket ---[ line ]--- master | slave --- agent
//! ```
//!
//! The terminal is raw: bytes pass unchanged and nothing is echoed. It stays open when the agent closes it, as a virtio
//! port does.
//!
//! The agent sees no host come and go. One host at a time has the line; when it goes, what the agent still says is thrown
//! away, so that it is not taken for an answer to the next one. The next one comes when the agent has read all, sleeps, and
//! has nothing more to say: not when it is silent, as one that waits for a processor is silent, too. Polling a
//! terminal first hands over what was written at its other end (`n_tty_poll` of `drivers/tty/n_tty.c`), so nothing is under
//! way when both ends have nothing to read. A host that does not read is waited for, and so the agent is. Measured on all
//! four releases of qemu-ga: what comes in a burst of more than 4095 bytes is lost in part now and then, by the agent and not
//! by the terminal, which gave it all to another reader. A host that ends only its own direction still gets the rest.

use std::future::poll_fn;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags};
use rustix::pty::{ptsname, unlockpt};
use rustix::termios::{OptionalActions, tcgetattr, tcsetattr};
use tokio::net::unix::pipe::{Receiver, Sender};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::{Connection, Listener, Look, Received, Timer, Worker, is_at_rest};

/// Where terminals come from, below a root.
const MULTIPLEXER: &str = "dev/ptmx";
/// How often an agent is looked at until it is at rest.
const LOOK_AGAIN: Duration = Duration::from_millis(1);
/// How long an agent that is not at rest may say nothing until a host that is gone is forgotten all the same.
const REST_MAX: Duration = Duration::from_secs(5);
/// How long a host may be silent.
const FOR_EVER: Duration = Duration::from_secs(24 * 60 * 60);
/// Most bytes taken from the terminal at once.
const READ_LEN_MAX: usize = 4096;

/// A raw pseudo terminal that nobody speaks on yet.
#[derive(Debug)]
pub struct Terminal {
    master: OwnedFd,
    /// Kept open: a master whose slave nobody holds gives an error for every read.
    slave: OwnedFd,
    path: PathBuf,
    outside: PathBuf,
}

impl Terminal {
    /// Opens one.
    ///
    /// # Errors
    /// When there is none left, or it cannot be made raw.
    pub fn open() -> io::Result<Self> {
        Self::open_in(Path::new("/"))
    }

    /// Opens one of the terminals that a root directory has for itself.
    ///
    /// # Errors
    /// The same.
    pub fn open_in(root: &Path) -> io::Result<Self> {
        let open =
            |path| rustix::fs::open(path, OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC, Mode::empty());
        let master = open(root.join(MULTIPLEXER))?;
        unlockpt(&master)?;
        let name = ptsname(&master, Vec::new())?;
        let path = PathBuf::from(String::from_utf8_lossy(name.as_bytes()).into_owned());
        let outside = root.join(path.strip_prefix("/").unwrap_or(&path));
        let slave = open(outside.clone())?;
        let mut raw = tcgetattr(&slave)?;
        raw.make_raw();
        tcsetattr(&slave, OptionalActions::Now, &raw)?;
        rustix::io::ioctl_fionbio(&master, true)?;
        Ok(Self { master, slave, path, outside })
    }

    /// What the agent opens, as it is called in its root.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The same, as it is called here.
    #[must_use]
    pub fn outside(&self) -> &Path {
        &self.outside
    }
}

/// A running line. It ends when this is dropped.
pub struct Line {
    task: JoinHandle<()>,
    ends: Arc<Ends>,
}

impl Drop for Line {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Line {
    /// Lets hosts that come to a socket talk to the terminal, one after the other.
    ///
    /// # Errors
    /// The terminal cannot be registered.
    pub fn start(hosts: Listener, terminal: Terminal, agent: Arc<dyn Worker>) -> io::Result<Self> {
        Self::of(Hosts::Come(hosts), terminal, Some(agent))
    }

    /// A line that one host has for as long as it lasts. When either side fails, both see their end.
    ///
    /// # Errors
    /// The terminal cannot be registered.
    pub fn between(host: Connection, terminal: Terminal) -> io::Result<Self> {
        Self::of(Hosts::One(host), terminal, None)
    }

    fn of(hosts: Hosts, terminal: Terminal, agent: Option<Arc<dyn Worker>>) -> io::Result<Self> {
        let Terminal { master, slave, .. } = terminal;
        let ends = Ends {
            master: master.try_clone()?,
            slave,
            host: Mutex::default(),
            at_work: AtomicBool::new(false),
            agent,
        };
        let ends = Arc::new(ends);
        let master = Master {
            says: Receiver::from_file_unchecked(master.try_clone()?.into())?,
            hears: Sender::from_file_unchecked(master.into())?,
            ends: Arc::clone(&ends),
        };
        let task = tokio::spawn(async move {
            let ends = Arc::clone(&master.ends);
            let mut line = pin!(serve_all(hosts, &master));
            // While it is polled, something may be in its hands.
            poll_fn(|cx| {
                ends.at_work.store(true, Ordering::SeqCst);
                let polled = line.as_mut().poll(cx);
                ends.at_work.store(false, Ordering::SeqCst);
                polled
            })
            .await;
        });
        Ok(Self { task, ends })
    }

    /// Whether something is under way between the host and the agent.
    #[must_use]
    pub fn carries(&self) -> bool {
        let host = self.ends.host.lock().unwrap_or_else(PoisonError::into_inner).clone();
        self.ends.at_work.load(Ordering::SeqCst)
            || host.is_some_and(|host| host.has_unread())
            || self.ends.have_unread()
    }
}

/// Who has the line.
enum Hosts {
    /// Those that come, one after the other.
    Come(Listener),
    One(Connection),
}

/// What can be seen of a line from outside of its task.
struct Ends {
    master: OwnedFd,
    slave: OwnedFd,
    /// Who has the line.
    host: Mutex<Option<Arc<Connection>>>,
    /// The task is doing something.
    at_work: AtomicBool,
    /// Who has the other end, where that can be seen.
    agent: Option<Arc<dyn Worker>>,
}

impl Ends {
    /// Whether there is something that the agent or we have not read.
    fn have_unread(&self) -> bool {
        let now = Timespec { tv_sec: 0, tv_nsec: 0 };
        [&self.slave, &self.master].into_iter().any(|end| {
            let mut looked = [PollFd::new(end, PollFlags::IN)];
            matches!(poll(&mut looked, Some(&now)), Ok(1..))
        })
    }

    fn set_host(&self, host: Option<Arc<Connection>>) {
        *self.host.lock().unwrap_or_else(PoisonError::into_inner) = host;
    }
}

/// The agent, and what lies in the terminal.
impl Worker for Ends {
    fn look(&self) -> Option<Look> {
        let look = self.agent.as_ref()?.look()?;
        Some(Look { busy: look.busy || self.have_unread(), ..look })
    }
}

async fn serve_all(hosts: Hosts, master: &Master) {
    match hosts {
        Hosts::One(host) => {
            let _ = serve(&host, master).await;
        }
        Hosts::Come(listener) => {
            while let Ok(host) = listener.accept().await {
                let host = Arc::new(host);
                master.ends.set_host(Some(Arc::clone(&host)));
                // A host whose connection fails is gone, and the next one has the line.
                let _ = serve(&host, master).await;
                master.ends.set_host(None);
            }
        }
    }
}

/// The master of a terminal. It is read and written as a pipe is, of which it is both ends.
struct Master {
    says: Receiver,
    hears: Sender,
    ends: Arc<Ends>,
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
async fn serve(host: &Connection, master: &Master) -> io::Result<()> {
    let mut timer = Timer::default();
    loop {
        tokio::select! {
            said = master.read() => {
                let said = said?;
                if host.send(&said, &[], None, FOR_EVER).await.is_err() {
                    return discard(master).await;
                }
            }
            heard = host.recv_with(&mut timer, FOR_EVER) => match heard? {
                Received::Data(data, _) => {
                    if !write(master, &data.bytes, host).await? {
                        return discard(master).await;
                    }
                }
                Received::Timeout => {}
                Received::Eof => return last_words(host, master).await,
                Received::Reset => return discard(master).await,
            },
        }
    }
}

/// Writes to the agent, and passes on what it says meanwhile: it does not read while its own words are not taken. False
/// when the host is gone.
async fn write(master: &Master, bytes: &[u8], host: &Connection) -> io::Result<bool> {
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

/// Passes on what the agent says until it is at rest.
async fn last_words(host: &Connection, master: &Master) -> io::Result<()> {
    while let Some(said) = rest(master).await {
        if host.send(&said?, &[], None, FOR_EVER).await.is_err() {
            return discard(master).await;
        }
    }
    Ok(())
}

/// Throws away what the agent says until it is at rest.
async fn discard(master: &Master) -> io::Result<()> {
    while let Some(said) = rest(master).await {
        said?;
    }
    Ok(())
}

/// What the agent says next; `None` when it is at rest and has said all. One that is gone says nothing more.
async fn rest(master: &Master) -> Option<io::Result<Bytes>> {
    let until = Instant::now() + REST_MAX;
    loop {
        if let Ok(said) = tokio::time::timeout(LOOK_AGAIN, master.read()).await {
            return Some(said);
        }
        if is_at_rest(&*master.ends) || Instant::now() >= until {
            return None;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};

    use super::*;
    use crate::Transport;

    #[test]
    fn passes_bytes_unchanged_both_ways_and_outlives_the_peer() {
        const SOON: Duration = Duration::from_secs(2);
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        runtime.expect("a runtime").block_on(async {
            let terminal = Terminal::open().expect("a terminal");
            assert_eq!(terminal.path(), terminal.outside());
            let path = terminal.path().to_owned();
            let (mut connection, far) = Connection::pair(Transport::Unix).expect("two sockets");
            let _line = Line::between(far, terminal).expect("it can be registered");
            for _ in 0..2 {
                let mut peer =
                    std::fs::OpenOptions::new().read(true).write(true).open(&path).expect("it is there");
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
