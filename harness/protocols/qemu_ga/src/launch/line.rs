//! A serial line: a socket on one side, a pseudo terminal on the other, as QEMU's character device has it.
//!
//! ```text
//! host --- socket ---[ line ]--- master | slave --- agent
//! ```
//!
//! The agent sees no host come and go. One host at a time has the line; when it goes, what the agent still says is thrown
//! away, so that it is not taken for an answer to the next one. The next one comes when the agent has read all, sleeps, and
//! has nothing more to say: not when it is silent, as one that waits for a processor is silent, too. Polling a
//! terminal first hands over what was written at its other end (`n_tty_poll` of `drivers/tty/n_tty.c`), so nothing is under
//! way when both ends have nothing to read. A host that does not read is waited for, and so the agent is. Measured on all
//! four releases: what comes in a burst of more than 4095 bytes is lost in part now and then, by the agent and not by the
//! terminal, which gave it all to another reader. A host that ends only its own direction still gets the rest.

use std::future::poll_fn;
use std::io;
use std::os::fd::OwnedFd;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use session::{Connection, Listener, Look, Received, Timer, Worker, is_at_rest};
use tokio::net::unix::pipe::{Receiver, Sender};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use protocol::installed::Process;

/// How often an agent is looked at until it is at rest.
const LOOK_AGAIN: Duration = Duration::from_millis(1);
/// How long an agent that is not at rest may say nothing until a host that is gone is forgotten all the same.
const REST_MAX: Duration = Duration::from_secs(5);
/// How long a host may be silent.
const FOR_EVER: Duration = Duration::from_secs(24 * 60 * 60);
/// Most bytes taken from the terminal at once.
const READ_LEN_MAX: usize = 4096;

/// A running line. It ends when this is dropped.
#[derive(Debug)]
pub(super) struct Line {
    task: JoinHandle<()>,
    ends: Arc<Ends>,
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
        let ends = Ends {
            master: master.try_clone()?,
            slave,
            host: Mutex::default(),
            at_work: AtomicBool::new(false),
            agent: OnceLock::new(),
        };
        let ends = Arc::new(ends);
        let master = Master {
            says: Receiver::from_file_unchecked(master.try_clone()?.into())?,
            hears: Sender::from_file_unchecked(master.into())?,
            ends: Arc::clone(&ends),
        };
        let task = tokio::spawn(async move {
            let ends = Arc::clone(&master.ends);
            let mut line = pin!(serve_all(&listener, &master));
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

    /// Says who has the other end.
    pub(super) fn leads_to(&self, agent: &Process) {
        // A line leads to one agent for ever.
        let _ = self.ends.agent.set(agent.clone());
    }

    /// Whether something is under way between the host and the agent.
    pub(super) fn carries(&self) -> bool {
        let host = self.ends.host.lock().unwrap_or_else(PoisonError::into_inner).clone();
        self.ends.at_work.load(Ordering::SeqCst)
            || host.is_some_and(|host| host.has_unread())
            || self.ends.have_unread()
    }
}

/// What can be seen of a line from outside of its task.
#[derive(Debug)]
struct Ends {
    master: OwnedFd,
    slave: OwnedFd,
    /// Who has the line.
    host: Mutex<Option<Arc<Connection>>>,
    /// The task is doing something.
    at_work: AtomicBool,
    agent: OnceLock<Process>,
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
        let look = self.agent.get()?.look()?;
        Some(Look { busy: look.busy || self.have_unread(), ..look })
    }
}

async fn serve_all(listener: &Listener, master: &Master) {
    while let Ok(host) = listener.accept().await {
        let host = Arc::new(host);
        master.ends.set_host(Some(Arc::clone(&host)));
        // A host whose connection fails is gone, and the next one has the line.
        let _ = serve(&host, master).await;
        master.ends.set_host(None);
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
