//! A stream between two peers of this process, without the kernel.
//!
//! It has the semantics of a unix stream socket where a peer can see them; `tests/alike.rs` compares them with the
//! kernel's own.
//!
//! ```text
//! end A                                        end B
//!   send ──▶ segment, segment, segment … ──▶ take        a segment: bytes, descriptors, credentials
//!   take ◀── … segment, segment ◀────────── send         counted against the room of the reader's side
//! ```
//!
//! Descriptors and credentials travel with the first byte of what they were sent with: a read takes segments together
//! up to and with one that carries descriptors, and never takes together what two senders wrote. What is unread when
//! an end closes is lost, and the other end is reset behind what it has not yet read. Nothing here looks at a clock.
//!
//! Two things are other than in the kernel: everybody is root and may claim any credentials; and a process that has no
//! descriptors left is told when it sends some, and not when it receives them.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use bytes::{Bytes, BytesMut};
use transcript::{Credentials, Data};

use super::{FDS_PER_MESSAGE_MAX, READ_LEN_MAX, Received, note};

/// How much may be under way in one direction, as Linux counts it by default (`net.core.wmem_default`).
pub(crate) const ROOM: usize = 212_992;
/// What a segment costs besides its bytes: about what Linux counts for a small message.
const SEGMENT_COST: usize = 768;
/// The most bytes of one segment. Nobody can see where one ends.
const SEGMENT_LEN_MAX: usize = READ_LEN_MAX;
/// Most segments that pass on one connection in one direction. Two peers of this process that answer each other for
/// ever take no time on a virtual clock; this ends them.
const SEGMENTS_MAX: u64 = 4 << 20;

/// Who everybody is who sends in memory: there are no processes.
pub(crate) const OWN: Credentials = Credentials { pid: 1, uid: 0, gid: 0 };

/// One end of a stream. Dropping it closes it.
#[derive(Debug)]
pub(crate) struct End {
    shared: Arc<Mutex<[Side; 2]>>,
    me: usize,
}

/// What one end has received and not yet read, and what it may still do.
#[derive(Debug, Default)]
struct Side {
    queue: VecDeque<Segment>,
    /// What the queue counts for, against [`ROOM`].
    held: usize,
    /// How many segments ever came.
    came: u64,
    /// The other end will send no more.
    read_ended: bool,
    /// This end can send no more.
    write_ended: bool,
    /// The other end closed with bytes unread; told once.
    reset: bool,
    /// Somebody found no room here, and there is not yet enough again.
    full: bool,
    /// What others wrote is kept apart.
    credentials: bool,
    reader: Option<Waker>,
    /// The task that waits for room in the *other* side.
    writer: Option<Waker>,
}

#[derive(Debug)]
struct Segment {
    bytes: Bytes,
    fds: Vec<OwnedFd>,
    creds: Credentials,
}

impl Side {
    fn ends(&mut self, reset: bool) -> [Option<Waker>; 2] {
        self.read_ended = true;
        self.write_ended = true;
        self.reset |= reset;
        [self.reader.take(), self.writer.take()]
    }

    fn take(&mut self, len_max: usize) -> Option<Received> {
        let mut pieces: Vec<Bytes> = Vec::new();
        let (mut len, mut fds, mut creds) = (0, Vec::new(), None);
        while len < len_max {
            let Some(segment) = self.queue.front_mut() else { break };
            if self.credentials && creds.is_some_and(|creds| creds != segment.creds) {
                break;
            }
            creds = Some(segment.creds);
            let piece = segment.bytes.split_to(segment.bytes.len().min(len_max - len));
            len += piece.len();
            self.held -= piece.len();
            pieces.push(piece);
            fds.append(&mut segment.fds);
            if !segment.bytes.is_empty() {
                break;
            }
            self.queue.pop_front();
            self.held -= SEGMENT_COST;
            if !fds.is_empty() {
                break;
            }
        }
        let bytes = match &pieces[..] {
            [] => return None,
            [_] => pieces.swap_remove(0),
            _ => pieces
                .iter()
                .fold(BytesMut::with_capacity(len), |mut all, piece| {
                    all.extend_from_slice(piece);
                    all
                })
                .freeze(),
        };
        let notes = fds.iter().map(note).collect();
        let creds = creds.filter(|_| self.credentials);
        Some(Received::Data(Data { bytes, fds: notes, creds }, fds))
    }
}

impl End {
    /// Two ends that are connected to each other.
    pub(crate) fn pair() -> (Self, Self) {
        let shared = Arc::<Mutex<[Side; 2]>>::default();
        (Self { shared: Arc::clone(&shared), me: 0 }, Self { shared, me: 1 })
    }

    fn lock(&self) -> MutexGuard<'_, [Side; 2]> {
        // No holder can panic with the sides in disorder.
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// This side and the other one.
    fn sides<'a>(&self, both: &'a mut [Side; 2]) -> (&'a mut Side, &'a mut Side) {
        let [a, b] = both;
        if self.me == 0 { (a, b) } else { (b, a) }
    }

    pub(crate) fn want_credentials(&self) {
        self.sides(&mut self.lock()).0.credentials = true;
    }

    /// Sends what there is room for; `WouldBlock` when that is nothing.
    pub(crate) fn try_send(
        &self,
        bytes: &Bytes,
        fds: &[BorrowedFd<'_>],
        creds: Option<Credentials>,
    ) -> io::Result<usize> {
        if fds.len() > FDS_PER_MESSAGE_MAX {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let mut owned = fds.iter().map(BorrowedFd::try_clone_to_owned).collect::<io::Result<Vec<_>>>()?;
        let mut both = self.lock();
        let (me, other) = self.sides(&mut both);
        if me.write_ended {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        let creds = creds.unwrap_or(OWN);
        let (mut sent, mut too_many) = (0, false);
        while sent < bytes.len() {
            if other.held >= ROOM {
                other.full = true;
                break;
            }
            if other.came >= SEGMENTS_MAX {
                too_many = true;
                break;
            }
            let piece = bytes.slice(sent..bytes.len().min(sent + SEGMENT_LEN_MAX));
            sent += piece.len();
            other.held += piece.len() + SEGMENT_COST;
            other.came += 1;
            other.queue.push_back(Segment { bytes: piece, fds: std::mem::take(&mut owned), creds });
        }
        let reader = other.reader.take_if(|_| sent > 0);
        drop(both);
        wake([reader]);
        match sent {
            0 if too_many => {
                Err(io::Error::other(format!("more than {SEGMENTS_MAX} writes on one connection")))
            }
            0 if !bytes.is_empty() => Err(io::ErrorKind::WouldBlock.into()),
            _ => Ok(sent),
        }
    }

    /// Takes what is there, at most that many bytes; `None` if there is nothing yet.
    pub(crate) fn take(&self, len_max: usize) -> Option<Received> {
        let mut both = self.lock();
        let (me, other) = self.sides(&mut both);
        if let Some(received) = me.take(len_max) {
            // As Linux has it: a writer that found no room is told when three quarters are free again.
            let room = me.full && me.held * 4 <= ROOM;
            me.full &= !room;
            let writer = other.writer.take_if(|_| room);
            drop(both);
            wake([writer]);
            return Some(received);
        }
        if std::mem::take(&mut me.reset) {
            return Some(Received::Reset);
        }
        me.read_ended.then_some(Received::Eof)
    }

    pub(crate) fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut both = self.lock();
        let (me, _) = self.sides(&mut both);
        if !me.queue.is_empty() || me.reset || me.read_ended {
            return Poll::Ready(());
        }
        remember(&mut me.reader, cx);
        Poll::Pending
    }

    pub(crate) fn poll_writable(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut both = self.lock();
        let (me, other) = self.sides(&mut both);
        if !other.full || me.write_ended {
            return Poll::Ready(());
        }
        remember(&mut me.writer, cx);
        Poll::Pending
    }

    pub(crate) fn half_close(&self) {
        let mut both = self.lock();
        let (me, other) = self.sides(&mut both);
        me.write_ended = true;
        other.read_ended = true;
        let wakers = [other.reader.take(), me.writer.take()];
        drop(both);
        wake(wakers);
    }

    /// Whether nothing can pass any more in either direction.
    pub(crate) fn is_hung_up(&self) -> bool {
        let both = self.lock();
        both[self.me].read_ended && both[self.me].write_ended
    }

    /// Closes an end that nobody accepted: whoever connected is reset.
    pub(crate) fn refuse(self) {
        let mut both = self.lock();
        let wakers = self.sides(&mut both).1.ends(true);
        drop(both);
        wake(wakers);
    }
}

impl Drop for End {
    fn drop(&mut self) {
        let mut both = self.lock();
        let (me, other) = self.sides(&mut both);
        let unread = std::mem::take(&mut me.queue);
        me.held = 0;
        let wakers = other.ends(!unread.is_empty());
        drop(both);
        wake(wakers);
    }
}

/// Remembers whom to wake. Only one task may wait for each.
fn remember(waker: &mut Option<Waker>, cx: &Context<'_>) {
    match waker {
        Some(waker) => waker.clone_from(cx.waker()),
        None => *waker = Some(cx.waker().clone()),
    }
}

fn wake<const N: usize>(wakers: [Option<Waker>; N]) {
    wakers.into_iter().flatten().for_each(Waker::wake);
}

/// A place in memory at which a server can listen: what an address is to sockets. Clones are the same place.
#[derive(Debug, Clone, Default)]
pub struct Port {
    state: Arc<Mutex<Waiting>>,
}

#[derive(Debug, Default)]
struct Waiting {
    /// How many may wait; `None` while nobody listens.
    backlog: Option<usize>,
    clients: VecDeque<End>,
    acceptor: Option<Waker>,
}

impl Port {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// `WouldBlock` when too many wait already.
    pub(crate) fn connect(&self) -> io::Result<End> {
        let mut waiting = self.lock();
        let backlog = waiting.backlog.ok_or(io::ErrorKind::ConnectionRefused)?;
        // One more than asked for, as Linux has it.
        if waiting.clients.len() > backlog {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let (ours, theirs) = End::pair();
        // What a client of a kernel's socket asks for before it connects; see `Connection::connect`.
        ours.sides(&mut ours.lock()).0.credentials = true;
        waiting.clients.push_back(theirs);
        let acceptor = waiting.acceptor.take();
        drop(waiting);
        wake([acceptor]);
        Ok(ours)
    }

    /// Begins to listen.
    pub(crate) fn listen(&self, backlog: usize) -> io::Result<()> {
        let mut waiting = self.lock();
        if waiting.backlog.is_some() {
            return Err(io::ErrorKind::AddrInUse.into());
        }
        waiting.backlog = Some(backlog);
        Ok(())
    }

    pub(crate) fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<End> {
        let mut waiting = self.lock();
        if let Some(end) = waiting.clients.pop_front() {
            return Poll::Ready(end);
        }
        remember(&mut waiting.acceptor, cx);
        Poll::Pending
    }

    /// Listens no more; who was not accepted is reset.
    pub(crate) fn close(&self) {
        let mut waiting = self.lock();
        waiting.backlog = None;
        let clients = std::mem::take(&mut waiting.clients);
        drop(waiting);
        clients.into_iter().for_each(End::refuse);
    }
}

impl PartialEq for Port {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.state, &other.state)
    }
}

impl Eq for Port {}

impl std::hash::Hash for Port {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        Arc::as_ptr(&self.state).hash(state);
    }
}
