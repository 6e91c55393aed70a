//! The conversation with the agent of a place.

use std::collections::HashMap;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use tokio::io::Interest;
use tokio::net::UnixStream;
use tokio::sync::{oneshot, watch};
use transcript::ExitStatus;

use super::agent::{Op, PACKET_LEN_MAX, Packet, Report, Request, recv, send};
use super::place::{PlaceError, context};

/// How long the agent may take to carry out a request.
const REQUEST_DEADLINE: Duration = Duration::from_secs(10);

/// How processes of a place ended, by their pid in the place.
pub type Ended = HashMap<i32, ExitStatus>;

/// An agent that has said that it is ready. When this is dropped, the agent ends, and its place with it.
#[derive(Debug)]
pub struct AgentLink {
    socket: Arc<UnixStream>,
    seq: AtomicU64,
    shared: Arc<Shared>,
    ended: watch::Receiver<Ended>,
}

/// What the agent did: the pid that it said, and the descriptors that came with that.
type Did = (i32, Vec<OwnedFd>);

#[derive(Debug, Default)]
struct Shared {
    waiting: Mutex<HashMap<u64, oneshot::Sender<Result<Did, String>>>>,
}

impl Shared {
    fn take(&self, packet: Packet<Report>, ended: &watch::Sender<Ended>) {
        let (seq, result) = match packet.body {
            Report::Ready => return,
            Report::Done { seq, pid } => (seq, Ok((pid, packet.fds))),
            Report::Failed { seq, error } => (seq, Err(error)),
            Report::Ended { pid, code, signal } => {
                let status = code.map(ExitStatus::Code).or(signal.map(ExitStatus::Signal));
                ended.send_modify(|ended| {
                    ended.insert(pid, status.unwrap_or(ExitStatus::Gone));
                });
                return;
            }
        };
        if let Some(waiting) = self.waiting().remove(&seq) {
            // Nobody waits any more: the request's future was dropped.
            let _ = waiting.send(result);
        }
    }

    fn waiting(&self) -> MutexGuard<'_, HashMap<u64, oneshot::Sender<Result<Did, String>>>> {
        // A map in which every change is one call is in order after any panic.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl AgentLink {
    /// Waits until the agent behind a socket is ready; what it said then. `None` when it ends or says something else.
    pub(super) async fn ready(socket: OwnedFd) -> io::Result<Option<(Self, Packet<Report>)>> {
        rustix::io::ioctl_fionbio(&socket, true)?;
        let socket = Arc::new(UnixStream::from_std(socket.into())?);
        let mut buffer = vec![0; PACKET_LEN_MAX];
        let said = socket.async_io(Interest::READABLE, || recv(socket.as_fd(), &mut buffer)).await?;
        let Some(said) = said.filter(|packet: &Packet<Report>| matches!(packet.body, Report::Ready)) else {
            return Ok(None);
        };
        let shared = Arc::new(Shared::default());
        let (ended_in, ended) = watch::channel(Ended::new());
        let reader = (Arc::clone(&socket), Arc::clone(&shared));
        std::thread::spawn(move || read_reports(&reader.0, &reader.1, &ended_in));
        Ok(Some((Self { socket, seq: AtomicU64::new(1), shared, ended }, said)))
    }

    pub(super) async fn request(
        &self,
        what: &'static str,
        op: Op,
        fds: &[BorrowedFd<'_>],
    ) -> Result<Did, PlaceError> {
        let seq = self.seq.fetch_add(1, Ordering::Relaxed);
        let (sender, reply) = oneshot::channel();
        self.shared.waiting().insert(seq, sender);
        let request = Request { seq, op };
        let sent =
            self.socket.async_io(Interest::WRITABLE, || send(self.socket.as_fd(), &request, fds)).await;
        if let Err(error) = sent {
            self.shared.waiting().remove(&seq);
            return Err(context(what)(error));
        }
        match tokio::time::timeout(REQUEST_DEADLINE, reply).await {
            Ok(Ok(Ok(did))) => Ok(did),
            Ok(Ok(Err(why))) => Err(PlaceError::Refused { what, why }),
            Ok(Err(_)) | Err(_) => Err(PlaceError::Gone { what }),
        }
    }

    /// How a process has ended, if it has.
    pub(super) fn ended(&self, pid: i32) -> Option<ExitStatus> {
        self.ended.borrow().get(&pid).copied()
    }

    /// Waits until a process has ended; `None` when the agent itself ended or the deadline passed.
    pub(super) async fn wait(&self, pid: i32, deadline: Duration) -> Option<ExitStatus> {
        let mut ended = self.ended.clone();
        let waited = ended.wait_for(|ended| ended.contains_key(&pid));
        let ended = tokio::time::timeout(deadline, waited).await.ok()?.ok()?;
        ended.get(&pid).copied()
    }

    /// Whether the agent itself has ended.
    pub(super) fn is_gone(&self) -> bool {
        self.ended.has_changed().is_err()
    }

    /// Ends the agent, and with it its place, and the thread that reads from it.
    pub fn hang_up(&self) {
        let _ = rustix::net::shutdown(&self.socket, rustix::net::Shutdown::Both);
    }
}

impl Drop for AgentLink {
    fn drop(&mut self) {
        self.hang_up();
    }
}

/// Reads reports in a thread, so that what ended is known also while no task can run: observing a
/// peer is not async.
fn read_reports(socket: &UnixStream, shared: &Shared, ended: &watch::Sender<Ended>) {
    let mut buffer = vec![0; PACKET_LEN_MAX];
    loop {
        let mut ready = [PollFd::new(socket, PollFlags::IN)];
        match poll(&mut ready, None) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(_) => break,
        }
        match recv::<Report>(socket.as_fd(), &mut buffer) {
            Ok(Some(packet)) => shared.take(packet, ended),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Ok(None) | Err(_) => break,
        }
    }
    // No answer will come: those who wait see their sender dropped.
    shared.waiting().clear();
}
