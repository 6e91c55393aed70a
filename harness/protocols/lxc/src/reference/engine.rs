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

use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::{Buf, Bytes, BytesMut};
use protocol::defect::Switches;
use protocol::reference::serve::{Clients, Flow, GO_ON, Look, Machine, Outside, Peer, Step};
use rustix::fs::{Mode, OFlags};
use session::{Connection, READ_LEN_MAX};
use transcript::{Credentials, Data, ExitStatus};
use wire::lxc::{RequestHead, ResponseHead, StateMessage};

use super::super::dialect::{Dialect, Lifetime, Reaction, Reads};
use super::super::effects::CONTAINER;
use super::super::names::{self, EINVAL, ENOSYS, STOPPED, STOPPING};
use super::commands::{Answer, Reply, Request, answer};
use super::container::Container;
use super::defects;
use super::server::Control;

/// `SIGSEGV`, of which real monitors die.
const SIGSEGV: i32 = 11;
/// Length of the payload of each answer of a flooding server.
const FLOOD_LEN: usize = 8192;

/// A container, which is also looked at and changed from outside of the loop.
#[derive(Debug, Clone)]
pub(super) struct Shared(Arc<Mutex<Container>>);

impl Shared {
    pub(super) fn new(container: Container) -> Self {
        Self(Arc::new(Mutex::new(container)))
    }

    pub(super) fn container(&self) -> MutexGuard<'_, Container> {
        // No holder can panic with the container in disorder: every change is one assignment or push.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A monitor.
pub(super) struct Monitor {
    dialect: Dialect,
    switches: Switches,
    shared: Shared,
    /// Payloads that a faulty server never drops.
    kept: Vec<u8>,
}

/// What is kept of one client.
pub(super) struct Client {
    /// Who it is when it claims nothing.
    own: Credentials,
    /// Credentials that came with what was read last.
    creds: Option<Credentials>,
    /// What was read and not yet understood.
    incoming: BytesMut,
    /// How many bytes of a refused payload are still to come.
    drain: u64,
    /// The second message of a two-part request is due.
    descriptor_due: bool,
    /// A descriptor came since the last message.
    descriptor_came: bool,
}

type All = Clients<Client>;

impl Monitor {
    pub(super) fn new(dialect: &Dialect, switches: Switches, shared: Shared) -> Self {
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
        Self { dialect, switches, shared, kept: Vec::new() }
    }

    /// Reads as the releases do: the head in one call, the payload in another one.
    async fn in_two_calls(&mut self, clients: &mut All, peer: Peer) -> Step {
        let Some(client) = clients.get_mut(peer) else { return Step::Waits };
        if client.incoming.is_empty() {
            return Step::Waits;
        }
        let head = RequestHead::decode(self.dialect.layout, &client.incoming.split());
        let Some(head) = head else { return hang_up(clients, peer) };
        if let Some(flow) = self.refuse_head(clients, peer, head) {
            return flow.into();
        }
        let Ok(len @ 1..) = usize::try_from(head.len) else {
            return self.carry_out(clients, peer, head, &[]).await.into();
        };
        match clients.wait_for(peer, len).await {
            Some((data, _fds)) if data.bytes.len() == len => {
                self.carry_out(clients, peer, head, &data.bytes).await.into()
            }
            _ => hang_up(clients, peer),
        }
    }

    /// Takes a complete message out of what was read.
    async fn reassembled(&mut self, clients: &mut All, peer: Peer) -> Step {
        let head_len = self.dialect.layout.head_len();
        let Some(client) = clients.get_mut(peer) else { return Step::Waits };
        if client.descriptor_due && !client.incoming.is_empty() {
            client.incoming.advance(1);
            client.descriptor_due = false;
            let came = std::mem::take(&mut client.descriptor_came);
            return self.react(clients, peer, self.descriptor_reaction(came)).into();
        }
        let Some(head) = RequestHead::decode(self.dialect.layout, &client.incoming) else {
            return Step::Waits;
        };
        if let Some(flow) = self.refuse_head(clients, peer, head) {
            self.pass_over(clients, peer, head_len, head.len);
            return flow.into();
        }
        let Some(client) = clients.get_mut(peer) else { return Step::Waits };
        let needed = head_len + usize::try_from(head.len).unwrap_or(0);
        if client.incoming.len() >= needed {
            let message = client.incoming.split_to(needed).freeze();
            if self.switches.has(defects::LOSES_SECOND_PIPELINED) {
                client.incoming.clear();
            }
            return self.carry_out(clients, peer, head, message.get(head_len..).unwrap_or(&[])).await.into();
        }
        if !self.switches.has(defects::WAITS_FOR_EVER) {
            return Step::Waits;
        }
        match clients.wait_for(peer, READ_LEN_MAX).await {
            Some((data, fds)) => self.came(clients, peer, data, fds),
            None => clients.remove(peer),
        }
        Step::Done
    }

    fn descriptor_reaction(&self, came: bool) -> Reaction {
        let facts = self.dialect.server;
        if came { facts.seccomp_add } else { facts.seccomp_add_ended }
    }

    /// What is refused by its head alone. `None` if the payload is to be read.
    fn refuse_head(&self, clients: &mut All, peer: Peer, head: RequestHead) -> Option<Flow> {
        let facts = self.dialect.server;
        let exempt = self.dialect.exempt.contains(&head.cmd);
        let reaction = if clients.get_mut(peer).is_some_and(|client| !client.is_allowed()) {
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
        Some(self.react(clients, peer, reaction))
    }

    /// Drops a head that was refused, and its payload as it comes.
    fn pass_over(&self, clients: &mut All, peer: Peer, head_len: usize, len: i32) {
        let drains = !self.switches.has(defects::DOES_NOT_DRAIN);
        if let Some(client) = clients.get_mut(peer) {
            client.incoming.advance(head_len.min(client.incoming.len()));
            client.drain = if drains { u64::try_from(len).unwrap_or(0) } else { 0 };
            client.pass_over_drained();
        }
    }

    async fn carry_out(&mut self, clients: &mut All, peer: Peer, head: RequestHead, payload: &[u8]) -> Flow {
        if self.switches.has(defects::KEEPS_PAYLOADS) {
            self.kept.extend_from_slice(payload);
        }
        if let Some(flow) = self.be_hostile(clients, peer) {
            return flow;
        }
        let mut head = head;
        if self.switches.has(defects::NUMBER_REUSED) && head.cmd == names::GET_NAME {
            head.cmd = names::GET_LXCPATH;
        }
        let answer = answer(&mut self.shared.container(), &self.dialect, &Request { head, payload, peer });
        match answer {
            Answer::Reply(reply) => self.reply(clients, peer, reply),
            Answer::React(reaction) => return self.react(clients, peer, reaction),
            Answer::AwaitDescriptor if self.dialect.server.reads == Reads::Reassembles => {
                if let Some(client) = clients.get_mut(peer) {
                    client.descriptor_due = true;
                }
            }
            Answer::AwaitDescriptor => {
                let came = clients.wait_for(peer, 1).await.is_some_and(|(_, fds)| !fds.is_empty());
                return self.react(clients, peer, self.descriptor_reaction(came));
            }
            Answer::Entered(state) => {
                self.enter(clients, state);
                self.reply(clients, peer, Reply::default());
            }
            Answer::Stop => {
                self.enter(clients, STOPPING);
                self.enter(clients, STOPPED);
                return Flow::Break(ExitStatus::Code(0));
            }
        }
        GO_ON
    }

    /// Enters a state and tells it, once, to those who waited for it.
    fn enter(&self, clients: &mut All, state: i32) {
        let told = self.shared.container().enter(state);
        let Ok(message) = StateMessage::new(0, CONTAINER.as_bytes(), state) else { return };
        let bytes = Bytes::from(message.encode(self.dialect.layout.endian));
        for peer in told {
            clients.push(peer, bytes.clone());
            clients.end(peer);
        }
    }

    fn react(&self, clients: &mut All, peer: Peer, reaction: Reaction) -> Flow {
        match reaction {
            Reaction::Accept => self.reply(clients, peer, Reply::default()),
            Reaction::Refuse(ret) => self.reply(clients, peer, Reply { ret, ..Reply::default() }),
            Reaction::RefuseAndClose(ret) => {
                self.reply(clients, peer, Reply { ret, ..Reply::default() });
                clients.end(peer);
            }
            Reaction::Close => clients.remove(peer),
            Reaction::Silent => {}
            Reaction::Crash => return Flow::Break(ExitStatus::Signal(SIGSEGV)),
        }
        GO_ON
    }

    fn reply(&self, clients: &mut All, peer: Peer, reply: Reply) {
        let Some(head) = ResponseHead::of(reply.ret, reply.data, &reply.payload) else { return };
        let head = Bytes::from(head.encode(self.dialect.layout));
        let payload = Bytes::from(reply.payload);
        let times = if self.switches.has(defects::ANSWERS_TWICE) { 2 } else { 1 };
        let mut fds = reply.fds;
        for _ in 0..times {
            clients.push_with(peer, head.clone(), std::mem::take(&mut fds));
            if !payload.is_empty() {
                clients.push(peer, payload.clone());
            }
        }
        if self.dialect.server.lifetime == Lifetime::One && !reply.keeps {
            clients.end(peer);
        }
    }

    /// The answer of a server that means harm; `None` for one that does not.
    fn be_hostile(&self, clients: &mut All, peer: Peer) -> Option<Flow> {
        let defect = self.switches.hostile()?;
        let layout = self.dialect.layout;
        let head = |ret, len, data| Bytes::from(ResponseHead { ret, len, data }.encode(layout));
        let running = names::RUNNING.cast_unsigned().into();
        let answer = match defect {
            defects::HOSTILE_EOF => {
                clients.remove(peer);
                return Some(GO_ON);
            }
            defects::HOSTILE_SILENT => return Some(GO_ON),
            defects::HOSTILE_FLOOD | defects::HOSTILE_FDS => head(0, 0, running),
            defects::HOSTILE_LENGTH => head(0, -1, running),
            defects::HOSTILE_ONES => Bytes::from_static(&[0xff; 16]),
            defects::HOSTILE_CUT => head(0, 0, running).slice(..8),
            defects::HOSTILE_LONG => head(0, 8193, 0),
            defects::HOSTILE_SHORT => Bytes::from([&head(0, 64, 0)[..], b"abc"].concat()),
            defects::HOSTILE_ENOSYS => head(-ENOSYS, 0, 0),
            _ => return None,
        };
        let open = || rustix::fs::open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty());
        let count = if defect == defects::HOSTILE_FDS { 3 } else { 0 };
        clients.push_with(peer, answer, (0..count).filter_map(|_| open().ok()).collect());
        if defect == defects::HOSTILE_FLOOD {
            let payload = [0; FLOOD_LEN];
            let head = ResponseHead::of(0, 0, &payload)?;
            clients.flood(peer, head.encode_with(super::super::request::LAYOUT, &payload).into());
        } else {
            clients.end(peer);
        }
        Some(GO_ON)
    }
}

fn hang_up(clients: &mut All, peer: Peer) -> Step {
    clients.remove(peer);
    Step::Waits
}

impl Machine for Monitor {
    type Client = Client;

    async fn accepted(&mut self, clients: &mut All, peer: Peer, connection: Connection) {
        // Without credentials everybody passes for the monitor's own user, as on real monitors.
        if connection.want_credentials().is_err() {
            return;
        }
        let client = Client {
            own: connection.own_credentials(),
            creds: None,
            incoming: BytesMut::new(),
            drain: 0,
            descriptor_due: false,
            descriptor_came: false,
        };
        clients.add(peer, connection, client);
    }

    fn read_len_max(&self) -> usize {
        match self.dialect.server.reads {
            Reads::OneCall => self.dialect.layout.head_len(),
            Reads::Reassembles => READ_LEN_MAX,
        }
    }

    fn came(&mut self, clients: &mut All, peer: Peer, data: Data, fds: Vec<OwnedFd>) {
        let Some(client) = clients.get_mut(peer) else { return };
        client.incoming.extend_from_slice(&data.bytes);
        // Descriptors on a head are dropped by those who read it by itself; measured on 4.0.6 to 7.0.0.
        client.descriptor_came |= !fds.is_empty();
        client.creds = match self.dialect.server.reads {
            Reads::OneCall => data.creds,
            Reads::Reassembles => data.creds.or(client.creds),
        };
        client.pass_over_drained();
    }

    fn ended(&mut self, clients: &mut All, peer: Peer) -> Flow {
        let due = clients.get_mut(peer).is_some_and(|client| std::mem::take(&mut client.descriptor_due));
        let flow = if due { self.react(clients, peer, self.descriptor_reaction(false)) } else { GO_ON };
        clients.end(peer);
        flow
    }

    async fn step(&mut self, clients: &mut All, peer: Peer) -> Step {
        match self.dialect.server.reads {
            Reads::OneCall => self.in_two_calls(clients, peer).await,
            Reads::Reassembles => self.reassembled(clients, peer).await,
        }
    }

    fn gone(&mut self, peer: Peer, _client: Client, _unsent: Vec<Bytes>) {
        self.shared.container().forget(peer);
    }

    fn look(&self, clients: &All, look: &mut Look) {
        look.held_bytes += clients.iter().map(|(_, client)| client.incoming.len()).sum::<usize>();
        look.held_bytes += self.kept.len();
    }

    fn leaks(&self) -> bool {
        self.switches.has(defects::LEAKS_DESCRIPTOR)
    }

    fn outside(&self) -> Box<dyn Outside> {
        Box::new(Control(self.shared.clone()))
    }
}

impl Client {
    /// Root may do everything; others must have both the uid and the gid of the monitor. A message without
    /// credentials passes. Measured on 1.0.11 to 7.0.0: uid 0 with gid 1000 is allowed, uid 1000 with gid 0 not.
    fn is_allowed(&self) -> bool {
        let own = self.own;
        self.creds.is_none_or(|creds| creds.uid == 0 || (creds.uid, creds.gid) == (own.uid, own.gid))
    }

    fn pass_over_drained(&mut self) {
        let len = usize::try_from(self.drain).unwrap_or(usize::MAX).min(self.incoming.len());
        self.incoming.advance(len);
        self.drain = self.drain.saturating_sub(u64::try_from(len).unwrap_or(u64::MAX));
    }
}
