//! Reference servers: tasks of this process, with one loop for all clients of a server.
//!
//! ```text
//! launcher ─▶ Servers::make ─▶ Machine        reads and answers; knows its protocol and no socket
//!                                 │
//!             the loop ◀── Clients┘           accepts, reads, queues, sends what is taken, closes     clients.rs
//!                 │
//!               Seen ─▶ Server::watch         what can be seen of it from outside                     server.rs
//!            Outside ─▶ Server::prepare, act  what can be done to it from outside
//! ```
//!
//! A machine deals with one message at a time. What it queues is sent before it is asked for the next one. A client that
//! does not take its answers makes only itself wait, and is not read meanwhile, unless the machine says otherwise.

mod clients;
mod server;

use std::future::{Future, poll_fn, ready};
use std::io;
use std::ops::ControlFlow;
use std::os::fd::OwnedFd;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use rustix::fs::{Mode, OFlags};
use session::{Connection, Listener, READ_LEN_MAX, Received};
use tokio::time::{Instant, sleep_until};
use transcript::{Data, ExitStatus};

pub use clients::{Clients, Peer};
use server::Seen;
pub use server::{Begins, Look, Outside, Servers, Site, launcher};

/// How long to wait when no descriptor is left for a new client.
const ACCEPT_RETRY: Duration = Duration::from_millis(1);

/// Whether a server goes on, or how it died.
pub type Flow = ControlFlow<ExitStatus>;
/// It does.
pub const GO_ON: Flow = Flow::Continue(());

/// What became of the messages of a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// One was dealt with; there may be another.
    Done,
    /// None is complete.
    Waits,
    /// One killed the server.
    Dies(ExitStatus),
}

impl From<Flow> for Step {
    fn from(flow: Flow) -> Self {
        match flow {
            Flow::Continue(()) => Self::Done,
            Flow::Break(status) => Self::Dies(status),
        }
    }
}

/// What a server says and keeps: a protocol without sockets.
pub trait Machine: Send + 'static {
    /// What it keeps of one client.
    type Client: Send + Sync + 'static;

    /// How many clients it serves at the same time; others wait in the backlog.
    const CLIENTS_MAX: usize = usize::MAX;
    /// How often one client is read before others get their turn.
    const READS_IN_A_ROW: usize = 1;

    /// Whether there may be a thousand answers to one message. Then the other tasks of the thread get their turn in between.
    const ANSWERS_MANY: bool = false;

    /// Keeps a new client with [`Clients::add`], or drops its connection.
    fn accepted(
        &mut self,
        clients: &mut Clients<Self::Client>,
        peer: Peer,
        connection: Connection,
    ) -> impl Future<Output = ()> + Send;

    /// Whether a client is read now; one that is owed something usually is not. A machine that reads it even then also hears
    /// what it said before it went.
    fn reads(&self, is_owed: bool) -> bool {
        !is_owed
    }

    /// How many bytes are taken in one read.
    fn read_len_max(&self) -> usize {
        READ_LEN_MAX
    }

    /// Keeps what came, perhaps from a client that has just gone.
    fn came(&mut self, clients: &mut Clients<Self::Client>, peer: Peer, data: Data, fds: Vec<OwnedFd>);

    /// A client has ended its direction: its connection is closed, unless there is more to be said.
    fn ended(&mut self, clients: &mut Clients<Self::Client>, peer: Peer) -> Flow {
        clients.remove(peer);
        GO_ON
    }

    /// Takes one message out of what came, and queues what answers it.
    fn step(&mut self, clients: &mut Clients<Self::Client>, peer: Peer) -> impl Future<Output = Step> + Send;

    /// A connection is closed. These messages were not taken, of the first one perhaps a part.
    fn gone(&mut self, _peer: Peer, _client: Self::Client, _unsent: Vec<Bytes>) {}

    /// When something is to be said that nobody asks for.
    fn due(&self, _clients: &Clients<Self::Client>) -> Option<Instant> {
        None
    }

    /// Says it.
    fn tick(&mut self, _clients: &mut Clients<Self::Client>) {}

    /// Is woken when something happens that is no client's doing; that comes before what clients do.
    fn poll_other(&mut self, _clients: &Clients<Self::Client>, _cx: &mut Context<'_>) -> Poll<()> {
        Poll::Pending
    }

    /// Deals with it.
    fn other(&mut self, _clients: &mut Clients<Self::Client>) -> impl Future<Output = ()> + Send {
        ready(())
    }

    /// Gets ready to wait: it has just begun, or something was dealt with and can be seen.
    fn settle(&mut self) -> impl Future<Output = ()> + Send {
        ready(())
    }

    /// Queues the next message that nobody asked for; false when there is nothing more to say now.
    fn speaks(&mut self, _clients: &mut Clients<Self::Client>) -> bool {
        false
    }

    /// Tells what can be seen of it, and adds to `held_bytes` what it keeps of messages. Descriptors and what is to be
    /// sent are counted already.
    fn look(&self, clients: &Clients<Self::Client>, look: &mut Look);

    /// Whether a descriptor stays open for each client that is gone: a fault.
    fn leaks(&self) -> bool {
        false
    }

    /// What can be done to it by other means than its socket.
    fn outside(&self) -> Box<dyn Outside> {
        Box::new(server::Untouched)
    }
}

enum Event {
    Accepted(io::Result<Connection>),
    Readable(Peer),
    Writable(Peer),
    Due,
    Other,
}

/// A server while it runs.
struct Engine<M: Machine> {
    machine: M,
    listener: Listener,
    seen: Seen,
    clients: Clients<M::Client>,
    /// The client that came last, and the one that was served last.
    newest: Peer,
    last: Peer,
    /// New clients and old ones come first in turn, so that neither can keep the others waiting.
    accepts_first: bool,
    leaked: Vec<OwnedFd>,
}

impl<M: Machine> Engine<M> {
    fn new(machine: M, listener: Listener, seen: Seen) -> Self {
        let (clients, leaked) = (Clients::new(M::ANSWERS_MANY), Vec::new());
        let engine =
            Self { machine, listener, seen, clients, newest: 0, last: 0, accepts_first: false, leaked };
        engine.show(None);
        engine
    }

    /// Serves until it dies.
    async fn run(mut self) {
        loop {
            self.machine.settle().await;
            while self.machine.speaks(&mut self.clients) {
                self.flush().await;
            }
            self.show(None);
            let event = self.next_event().await;
            let flow = self.deal_with(event).await;
            self.flush().await;
            self.show(flow.break_value());
            if flow.is_break() {
                return;
            }
        }
    }

    async fn deal_with(&mut self, event: Event) -> Flow {
        let Self { machine, clients, .. } = self;
        match event {
            Event::Accepted(Ok(connection)) => {
                self.newest += 1;
                machine.accepted(clients, self.newest, connection).await;
                GO_ON
            }
            Event::Accepted(Err(_out_of_descriptors)) => {
                tokio::time::sleep(ACCEPT_RETRY).await;
                GO_ON
            }
            Event::Due => {
                machine.tick(clients);
                GO_ON
            }
            Event::Other => {
                machine.other(clients).await;
                GO_ON
            }
            Event::Readable(peer) => {
                self.last = peer;
                clients.touch(peer);
                match self.read(peer) {
                    Flow::Continue(()) => self.understand(peer).await,
                    died => died,
                }
            }
            Event::Writable(peer) => {
                self.last = peer;
                clients.touch(peer);
                self.understand(peer).await
            }
        }
    }

    /// Waits for a new client, one that sent something or takes something again, or a time; in turn.
    async fn next_event(&mut self) -> Event {
        self.accepts_first = !self.accepts_first;
        let due = self.machine.due(&self.clients);
        let Self { machine, listener, clients, last, accepts_first, .. } = self;
        let accepts = clients.len() < M::CLIENTS_MAX;
        let ready = poll_fn(|cx| {
            if machine.poll_other(clients, cx).is_ready() {
                return Poll::Ready(Event::Other);
            }
            if accepts
                && *accepts_first
                && let Poll::Ready(accepted) = listener.poll_accept(cx)
            {
                return Poll::Ready(Event::Accepted(accepted));
            }
            for client in clients.in_turn(*last) {
                let reads = !client.has_said_all && machine.reads(client.is_owed);
                if reads && client.connection.poll_readable(cx).is_ready() {
                    return Poll::Ready(Event::Readable(client.peer));
                }
                if client.is_owed && client.connection.poll_writable(cx).is_ready() {
                    return Poll::Ready(Event::Writable(client.peer));
                }
            }
            if accepts { listener.poll_accept(cx).map(Event::Accepted) } else { Poll::Pending }
        });
        let Some(due) = due else { return ready.await };
        tokio::select! {
            biased;
            event = ready => event,
            () = sleep_until(due) => Event::Due,
        }
    }

    /// Reads as long as something is there, and not for too long.
    fn read(&mut self, peer: Peer) -> Flow {
        let Self { machine, clients, .. } = self;
        for _ in 0..M::READS_IN_A_ROW {
            let is_owed = clients.owed(peer).is_some_and(|owed| owed > 0);
            let Some(connection) = clients.connection(peer).filter(|_| machine.reads(is_owed)) else { break };
            match connection.try_recv(machine.read_len_max()) {
                Ok(None) => break,
                Ok(Some(Received::Data(data, fds))) => machine.came(clients, peer, data, fds),
                Ok(Some(Received::Eof)) => {
                    clients.heard_all(peer);
                    return machine.ended(clients, peer);
                }
                _ => clients.remove(peer),
            }
        }
        GO_ON
    }

    /// Carries out whatever is complete, until a client does not take its answers.
    async fn understand(&mut self, peer: Peer) -> Flow {
        loop {
            self.flush().await;
            if !self.clients.listens_to(peer) {
                return GO_ON;
            }
            match self.machine.step(&mut self.clients, peer).await {
                Step::Done => {}
                Step::Waits => return GO_ON,
                Step::Dies(status) => return Flow::Break(status),
            }
        }
    }

    /// Sends whatever is taken, closes what is to be closed, and tells the machine who has gone.
    async fn flush(&mut self) {
        let Self { machine, clients, .. } = self;
        clients.flush().await;
        for (peer, mut client) in clients.take_gone() {
            while machine.reads(true)
                && let Ok(Some(Received::Data(data, fds))) =
                    client.connection.try_recv(machine.read_len_max())
            {
                machine.came(clients, peer, data, fds);
            }
            let (kept, unsent) = client.left();
            machine.gone(peer, kept, unsent);
            if machine.leaks() {
                let opened = rustix::fs::open("/dev/null", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty());
                self.leaked.extend(opened);
            }
        }
    }

    fn show(&self, exit: Option<ExitStatus>) {
        let mut look = self.seen.look();
        (look.alive, look.exit) = (true, exit);
        look.fds = 1 + self.clients.len() + self.leaked.len();
        look.held_bytes = self.clients.unsent();
        self.machine.look(&self.clients, &mut look);
        let busy = look.spins == Some(true) && self.clients.wait_to_send();
        look.keep_busy(busy);
    }
}

#[cfg(test)]
mod tests;
