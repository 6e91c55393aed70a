//! The loop of a reference server.
//!
//! ```text
//! release dialects   one loop for all clients, as the monitors have it: a head is one read of 16 bytes,
//!                    a payload one read that nothing else is done beside. A split message comes short
//!                    and is refused; a payload that does not come stops everybody.
//! ideal              the same loop, but messages are put together from whatever pieces come, what is
//!                    too long is refused at once and drained as it comes, and answers that a client
//!                    does not take make only that client wait.
//! ```

use std::collections::{BTreeMap, VecDeque};
use std::future::poll_fn;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use rustix::fs::{Mode, OFlags};
use session::{Connection, Listener, READ_LEN_MAX, Received};
use transcript::{Credentials, Data, ExitStatus};
use wire::lxc::{RequestHead, ResponseHead, StateMessage};

use protocol::defect::Switches;

use super::super::dialect::{Dialect, Lifetime, Reaction, Reads};
use super::super::effects::CONTAINER;
use super::super::names::{self, EINVAL, ENOSYS, STOPPED, STOPPING};
use super::commands::{Answer, Reply, Request, answer};
use super::container::{Container, Peer};
use super::defects;

/// `SIGSEGV`, of which real monitors die.
const SIGSEGV: i32 = 11;
/// How long to wait when no descriptor is left for a new client.
const ACCEPT_RETRY: Duration = Duration::from_millis(1);
/// Length of the payload of each answer of a flooding server.
const FLOOD_LEN: i32 = 8192;

/// What can be seen of a server from outside of its loop.
#[derive(Debug)]
pub(super) struct Shared {
    container: Mutex<Container>,
    exit: Mutex<Option<ExitStatus>>,
    held: AtomicUsize,
    buffered_max: AtomicUsize,
}

impl Shared {
    pub(super) fn new(container: Container) -> Self {
        Self {
            container: Mutex::new(container),
            exit: Mutex::new(None),
            held: AtomicUsize::new(1),
            buffered_max: AtomicUsize::new(0),
        }
    }

    pub(super) fn container(&self) -> MutexGuard<'_, Container> {
        // No holder can panic with the container in disorder: every change is one assignment or push.
        self.container.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn exit(&self) -> Option<ExitStatus> {
        *self.exit.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn end(&self, status: ExitStatus) {
        *self.exit.lock().unwrap_or_else(PoisonError::into_inner) = Some(status);
    }

    /// The most bytes of one client that were ever kept because they were no complete message.
    pub(super) fn buffered_max(&self) -> usize {
        self.buffered_max.load(Ordering::Relaxed)
    }

    /// How many descriptors the server holds: its socket, its clients, what it leaked.
    pub(super) fn held(&self) -> usize {
        self.held.load(Ordering::Relaxed)
    }
}

/// A server while it runs.
pub(super) struct Engine {
    dialect: Dialect,
    switches: Switches,
    listener: Listener,
    shared: Arc<Shared>,
    peers: BTreeMap<Peer, Client>,
    next: Peer,
    last: Peer,
    /// New clients and old ones come first in turn, so that neither can keep the others waiting.
    accepts_first: bool,
    leaked: Vec<OwnedFd>,
}

/// One client.
struct Client {
    connection: Connection,
    /// Credentials that came with what was read last.
    creds: Option<Credentials>,
    /// What was read and not yet understood; only where messages are put together again.
    incoming: BytesMut,
    /// How many bytes of a refused payload are still to come.
    drain: u64,
    /// The second message of a two-part request is due.
    descriptor_due: bool,
    /// A descriptor came since the last message.
    descriptor_came: bool,
    outgoing: VecDeque<(Bytes, Vec<OwnedFd>)>,
    /// Closed as soon as everything is sent.
    ending: bool,
    /// Answers without end.
    floods: bool,
}

enum Event {
    Accepted(io::Result<Connection>),
    Readable(Peer),
    Writable(Peer),
}

/// Whether the server goes on.
type Flow = std::ops::ControlFlow<ExitStatus>;
const GO_ON: Flow = Flow::Continue(());

impl Engine {
    pub(super) fn new(
        dialect: &Dialect,
        switches: Switches,
        listener: Listener,
        shared: Arc<Shared>,
    ) -> Self {
        let mut dialect = dialect.clone();
        let facts = &mut dialect.server;
        for (defect, unknown) in [
            (defects::NEVER_ANSWERS, Reaction::Silent),
            (defects::WRONG_ERRNO, Reaction::Refuse(-EINVAL)),
            (defects::CLOSES_AFTER_REFUSING, Reaction::RefuseAndClose(-ENOSYS)),
        ] {
            if switches.has(defect) {
                facts.unknown = unknown;
            }
        }
        if switches.has(defects::CRASHES_ON_NEGATIVE_LENGTH) {
            facts.negative_length = Reaction::Crash;
        }
        let (peers, leaked) = (BTreeMap::new(), Vec::new());
        Self { dialect, switches, listener, shared, peers, next: 0, last: 0, accepts_first: false, leaked }
    }

    /// Serves until the container or the server ends.
    pub(super) async fn run(mut self) {
        loop {
            let flow = match self.next_event().await {
                Event::Accepted(Ok(connection)) => self.accept(connection),
                Event::Accepted(Err(_)) => {
                    tokio::time::sleep(ACCEPT_RETRY).await;
                    GO_ON
                }
                Event::Readable(peer) => self.readable(peer).await,
                Event::Writable(peer) => {
                    self.flush(peer);
                    self.understand(peer).await
                }
            };
            self.shared.held.store(1 + self.peers.len() + self.leaked.len(), Ordering::Relaxed);
            if let Flow::Break(status) = flow {
                self.shared.end(status);
                return;
            }
        }
    }

    /// Waits for a new client, or one that sent something or takes something again; in turn.
    async fn next_event(&mut self) -> Event {
        self.accepts_first = !self.accepts_first;
        let (listener, peers, last) = (&self.listener, &self.peers, self.last);
        let event = poll_fn(|cx| {
            if self.accepts_first
                && let Poll::Ready(accepted) = listener.poll_accept(cx)
            {
                return Poll::Ready(Event::Accepted(accepted));
            }
            for (peer, client) in peers.range(last + 1..).chain(peers.range(..=last)) {
                if !client.outgoing.is_empty() {
                    if client.connection.poll_writable(cx).is_ready() {
                        return Poll::Ready(Event::Writable(*peer));
                    }
                } else if client.connection.poll_readable(cx).is_ready() {
                    return Poll::Ready(Event::Readable(*peer));
                }
            }
            listener.poll_accept(cx).map(Event::Accepted)
        })
        .await;
        if let Event::Readable(peer) | Event::Writable(peer) = event {
            self.last = peer;
        }
        event
    }

    fn accept(&mut self, connection: Connection) -> Flow {
        // Without credentials everybody passes for the monitor's own user, as on real monitors.
        if connection.want_credentials().is_ok() {
            self.next += 1;
            let client = Client {
                connection,
                creds: None,
                incoming: BytesMut::new(),
                drain: 0,
                descriptor_due: false,
                descriptor_came: false,
                outgoing: VecDeque::new(),
                ending: false,
                floods: false,
            };
            self.peers.insert(self.next, client);
        }
        GO_ON
    }

    async fn readable(&mut self, peer: Peer) -> Flow {
        match self.dialect.server.reads {
            Reads::OneCall => self.read_one_call(peer).await,
            Reads::Reassembles => self.read_pieces(peer).await,
        }
    }

    /// Reads as the releases do: the head in one call, the payload in another one.
    async fn read_one_call(&mut self, peer: Peer) -> Flow {
        let head_len = self.dialect.layout.head_len();
        let Some(client) = self.peers.get_mut(&peer) else { return GO_ON };
        let data = match client.connection.try_recv(head_len) {
            Ok(None) => return GO_ON,
            // Descriptors on a head are dropped; measured on 4.0.6 to 7.0.0.
            Ok(Some(Received::Data(data, _fds))) => data,
            _ => return self.remove(peer),
        };
        client.creds = data.creds;
        let Some(head) = RequestHead::decode(self.dialect.layout, &data.bytes) else {
            return self.remove(peer);
        };
        if let Some(flow) = self.refuse_head(peer, head) {
            return flow;
        }
        let Ok(len @ 1..) = usize::try_from(head.len) else {
            return self.carry_out(peer, head, &[]).await;
        };
        match self.wait_for(peer, len).await {
            Some((data, _fds)) if data.bytes.len() == len => self.carry_out(peer, head, &data.bytes).await,
            _ => self.remove(peer),
        }
    }

    /// Waits for this one client, whoever else wants something.
    async fn wait_for(&mut self, peer: Peer, len: usize) -> Option<(Data, Vec<OwnedFd>)> {
        let client = self.peers.get_mut(&peer)?;
        loop {
            poll_fn(|cx| client.connection.poll_readable(cx)).await.ok()?;
            match client.connection.try_recv(len) {
                Ok(None) => {}
                Ok(Some(Received::Data(data, fds))) => return Some((data, fds)),
                _ => return None,
            }
        }
    }

    /// What is refused by its head alone. `None` if the payload is to be read.
    fn refuse_head(&mut self, peer: Peer, head: RequestHead) -> Option<Flow> {
        let facts = self.dialect.server;
        let exempt = self.dialect.exempt.contains(&head.cmd);
        let reaction = if self.peers.get(&peer).is_some_and(|client| !client.is_allowed()) {
            facts.denied
        } else if head.len < 0 && facts.negative_length != Reaction::Accept {
            if self.dialect.knows(head.cmd) || facts.negative_length == Reaction::Crash {
                facts.negative_length
            } else {
                facts.unknown
            }
        } else if head.len > 0 && head.len.unsigned_abs() > wire::lxc::DATA_MAX && !exempt {
            let gentle = facts.oversize != Reaction::Close;
            if gentle && !self.dialect.knows(head.cmd) { facts.unknown } else { facts.oversize }
        } else if self.switches.has(defects::DOES_NOT_DRAIN) && !self.dialect.knows(head.cmd) {
            facts.unknown
        } else {
            return None;
        };
        Some(self.react(peer, reaction))
    }

    /// Reads whatever came.
    async fn read_pieces(&mut self, peer: Peer) -> Flow {
        let Some(client) = self.peers.get_mut(&peer) else { return GO_ON };
        match client.connection.try_recv(READ_LEN_MAX) {
            Ok(None) => GO_ON,
            Ok(Some(Received::Data(data, fds))) => {
                client.take(&data, &fds);
                let flow = self.understand(peer).await;
                let kept = self.peers.get(&peer).map_or(0, |client| client.incoming.len());
                self.shared.buffered_max.fetch_max(kept, Ordering::Relaxed);
                flow
            }
            Ok(Some(Received::Eof)) if client.descriptor_due => {
                client.descriptor_due = false;
                let flow = self.react(peer, self.dialect.server.seccomp_add_ended);
                self.end(peer);
                flow
            }
            _ => {
                self.end(peer);
                GO_ON
            }
        }
    }

    /// Takes complete messages out of what was read, until a client does not take its answers.
    async fn understand(&mut self, peer: Peer) -> Flow {
        let head_len = self.dialect.layout.head_len();
        while let Some(client) = self.peers.get_mut(&peer) {
            client.pass_over_drained();
            if client.ending || !client.outgoing.is_empty() {
                return GO_ON;
            }
            if client.descriptor_due && !client.incoming.is_empty() {
                client.incoming.advance(1);
                client.descriptor_due = false;
                let came = std::mem::take(&mut client.descriptor_came);
                let facts = self.dialect.server;
                let flow = self.react(peer, if came { facts.seccomp_add } else { facts.seccomp_add_ended });
                if flow.is_break() {
                    return flow;
                }
                continue;
            }
            let Some(head) = RequestHead::decode(self.dialect.layout, &client.incoming) else { return GO_ON };
            if let Some(flow) = self.refuse_head(peer, head) {
                self.pass_over(peer, head_len, head.len);
                if flow.is_break() {
                    return flow;
                }
                continue;
            }
            let needed = head_len + usize::try_from(head.len).unwrap_or(0);
            if client_has(self.peers.get(&peer), needed) {
                let Some(client) = self.peers.get_mut(&peer) else { return GO_ON };
                let message = client.incoming.split_to(needed).freeze();
                if self.switches.has(defects::LOSES_SECOND_PIPELINED) {
                    client.incoming.clear();
                }
                let flow = self.carry_out(peer, head, message.get(head_len..).unwrap_or(&[])).await;
                if flow.is_break() {
                    return flow;
                }
            } else if self.switches.has(defects::WAITS_FOR_EVER) {
                let Some((data, fds)) = self.wait_for(peer, READ_LEN_MAX).await else {
                    return self.remove(peer);
                };
                if let Some(client) = self.peers.get_mut(&peer) {
                    client.take(&data, &fds);
                }
            } else {
                return GO_ON;
            }
        }
        GO_ON
    }

    /// Drops a head that was refused, and its payload as it comes.
    fn pass_over(&mut self, peer: Peer, head_len: usize, len: i32) {
        let drains = !self.switches.has(defects::DOES_NOT_DRAIN);
        if let Some(client) = self.peers.get_mut(&peer) {
            client.incoming.advance(head_len.min(client.incoming.len()));
            client.drain = if drains { u64::try_from(len).unwrap_or(0) } else { 0 };
        }
    }

    async fn carry_out(&mut self, peer: Peer, head: RequestHead, payload: &[u8]) -> Flow {
        if let Some(flow) = self.be_hostile(peer) {
            return flow;
        }
        let mut head = head;
        if self.switches.has(defects::NUMBER_REUSED) && head.cmd == names::GET_NAME {
            head.cmd = names::GET_LXCPATH;
        }
        let answer = answer(&mut self.shared.container(), &self.dialect, &Request { head, payload, peer });
        match answer {
            Answer::Reply(reply) => self.reply(peer, reply),
            Answer::React(reaction) => self.react(peer, reaction),
            Answer::AwaitDescriptor if self.dialect.server.reads == Reads::Reassembles => {
                if let Some(client) = self.peers.get_mut(&peer) {
                    client.descriptor_due = true;
                }
                GO_ON
            }
            Answer::AwaitDescriptor => {
                let facts = self.dialect.server;
                let came = self.wait_for(peer, 1).await.is_some_and(|(_, fds)| !fds.is_empty());
                self.react(peer, if came { facts.seccomp_add } else { facts.seccomp_add_ended })
            }
            Answer::Entered(state) => {
                self.enter(state);
                self.reply(peer, Reply::default())
            }
            Answer::Stop => {
                self.enter(STOPPING);
                self.enter(STOPPED);
                Flow::Break(ExitStatus::Code(0))
            }
        }
    }

    /// Enters a state and tells it, once, to those who waited for it.
    fn enter(&mut self, state: i32) {
        let told = self.shared.container().enter(state);
        let Ok(message) = StateMessage::new(0, CONTAINER.as_bytes(), state) else { return };
        let bytes = Bytes::from(message.encode(self.dialect.layout.endian));
        for peer in told {
            if let Some(client) = self.peers.get_mut(&peer) {
                client.outgoing.push_back((bytes.clone(), Vec::new()));
                client.ending = true;
            }
            self.flush(peer);
        }
    }

    fn react(&mut self, peer: Peer, reaction: Reaction) -> Flow {
        match reaction {
            Reaction::Accept => self.reply(peer, Reply::default()),
            Reaction::Refuse(ret) => self.reply(peer, Reply { ret, ..Reply::default() }),
            Reaction::RefuseAndClose(ret) => {
                let flow = self.reply(peer, Reply { ret, ..Reply::default() });
                self.end(peer);
                flow
            }
            Reaction::Close => self.remove(peer),
            Reaction::Silent => GO_ON,
            Reaction::Crash => Flow::Break(ExitStatus::Signal(SIGSEGV)),
        }
    }

    fn reply(&mut self, peer: Peer, reply: Reply) -> Flow {
        let Some(client) = self.peers.get_mut(&peer) else { return GO_ON };
        let Some(head) = ResponseHead::of(reply.ret, reply.data, &reply.payload) else { return GO_ON };
        let head = Bytes::from(head.encode(self.dialect.layout));
        let payload = Bytes::from(reply.payload);
        let times = if self.switches.has(defects::ANSWERS_TWICE) { 2 } else { 1 };
        let mut fds = reply.fds;
        for _ in 0..times {
            client.outgoing.push_back((head.clone(), std::mem::take(&mut fds)));
            if !payload.is_empty() {
                client.outgoing.push_back((payload.clone(), Vec::new()));
            }
        }
        client.ending |= self.dialect.server.lifetime == Lifetime::One && !reply.keeps;
        self.flush(peer);
        GO_ON
    }

    /// Sends as much as the kernel takes, and closes what is to be closed.
    fn flush(&mut self, peer: Peer) {
        let Some(client) = self.peers.get_mut(&peer) else { return };
        if client.send_all().is_err() || (client.ending && client.outgoing.is_empty()) {
            let _go_on = self.remove(peer);
        }
    }

    /// Closes a connection once everything is sent.
    fn end(&mut self, peer: Peer) {
        if let Some(client) = self.peers.get_mut(&peer) {
            client.ending = true;
        }
        self.flush(peer);
    }

    fn remove(&mut self, peer: Peer) -> Flow {
        if self.peers.remove(&peer).is_some() {
            self.shared.container().forget(peer);
            if self.switches.has(defects::LEAKS_DESCRIPTOR) {
                let opened = rustix::fs::open("/dev/null", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty());
                self.leaked.extend(opened);
            }
        }
        GO_ON
    }

    /// The answer of a server that means harm; `None` for one that does not.
    fn be_hostile(&mut self, peer: Peer) -> Option<Flow> {
        let defect = self.switches.hostile()?;
        let client = self.peers.get_mut(&peer)?;
        let layout = self.dialect.layout;
        let head = |ret, len, data| Bytes::from(ResponseHead { ret, len, data }.encode(layout));
        let running = names::RUNNING.cast_unsigned().into();
        let answer = match defect {
            defects::HOSTILE_EOF => return Some(self.remove(peer)),
            defects::HOSTILE_SILENT => return Some(GO_ON),
            defects::HOSTILE_FLOOD => {
                client.floods = true;
                head(0, 0, running)
            }
            defects::HOSTILE_LENGTH => head(0, -1, running),
            defects::HOSTILE_ONES => Bytes::from_static(&[0xff; 16]),
            defects::HOSTILE_CUT => head(0, 0, running).slice(..8),
            defects::HOSTILE_LONG => head(0, 8193, 0),
            defects::HOSTILE_SHORT => Bytes::from([&head(0, 64, 0)[..], b"abc"].concat()),
            defects::HOSTILE_FDS => head(0, 0, running),
            defects::HOSTILE_ENOSYS => head(-ENOSYS, 0, 0),
            _ => return None,
        };
        let open = || rustix::fs::open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty());
        let count = if defect == defects::HOSTILE_FDS { 3 } else { 0 };
        let fds = (0..count).filter_map(|_| open().ok()).collect();
        client.outgoing.push_back((answer, fds));
        client.ending = !client.floods;
        self.flush(peer);
        Some(GO_ON)
    }
}

impl Client {
    /// Root may do everything; others must have both the uid and the gid of the monitor. A message without
    /// credentials passes. Measured on 1.0.11 to 7.0.0: uid 0 with gid 1000 is allowed, uid 1000 with gid 0 not.
    fn is_allowed(&self) -> bool {
        let own = self.connection.own_credentials();
        self.creds.is_none_or(|creds| creds.uid == 0 || (creds.uid, creds.gid) == (own.uid, own.gid))
    }

    fn take(&mut self, data: &Data, fds: &[OwnedFd]) {
        self.incoming.extend_from_slice(&data.bytes);
        self.descriptor_came |= !fds.is_empty();
        self.creds = data.creds.or(self.creds);
    }

    fn pass_over_drained(&mut self) {
        let len = usize::try_from(self.drain).unwrap_or(usize::MAX).min(self.incoming.len());
        self.incoming.advance(len);
        self.drain = self.drain.saturating_sub(u64::try_from(len).unwrap_or(u64::MAX));
    }

    fn send_all(&mut self) -> Result<(), session::SendEnd> {
        loop {
            let Some((bytes, fds)) = self.outgoing.front_mut() else {
                if !self.floods {
                    return Ok(());
                }
                let head = ResponseHead { ret: 0, len: FLOOD_LEN, data: 0 };
                let payload = vec![0; usize::try_from(FLOOD_LEN).unwrap_or(0)];
                let answer = head.encode_with(super::super::request::LAYOUT, &payload);
                self.outgoing.push_back((answer.into(), Vec::new()));
                continue;
            };
            let borrowed: Vec<_> = fds.iter().map(AsFd::as_fd).collect();
            let sent = self.connection.try_send(bytes, &borrowed)?;
            if sent == 0 {
                return Ok(());
            }
            fds.clear();
            bytes.advance(sent.min(bytes.len()));
            if bytes.is_empty() {
                self.outgoing.pop_front();
            }
        }
    }
}

fn client_has(client: Option<&Client>, len: usize) -> bool {
    client.is_some_and(|client| client.incoming.len() >= len)
}
