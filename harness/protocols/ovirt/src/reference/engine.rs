//! The port as QEMU's character device and the guest's driver model it, in real time.
//!
//! ```text
//! host  <- unix socket ->  engine  <-  a reference agent in this task
//!                                  <-  or the process of a real one, at a terminal or a socket
//! ```
//!
//! One host is served at a time; the next one waits in the backlog. Its connection stays when what is behind the port is
//! killed, restarted or replaced. While no host is there, nothing is taken from the agent, and it reads nothing.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::io;
use std::time::Duration;

use bytes::{Buf, Bytes};
use protocol::reference::serve::Seen;
use session::{Address, BoxFuture, Connection, Listener, READ_LEN_MAX, Received};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep_until, timeout};

use crate::message::HALF_HEARTBEAT;
use crate::model::process::{AGENT_READ_LEN_MAX, AgentRead, PortState, Process};

/// How many bytes may wait for a host that does not read; then the agent's writes wait.
const TO_HOST_MAX: usize = 64 << 10;
/// How many bytes of hosts may wait for an agent; then the host's writes wait.
const TO_AGENT_MAX: usize = 8 << 20;
/// How long a host may refuse to take what is injected.
const FLUSH_DEADLINE: Duration = Duration::from_secs(5);
/// How long a real agent may take to listen on a socket that is there.
const SOCKET_DEADLINE: Duration = Duration::from_secs(1);
/// How many orders may wait.
const ORDERS_MAX: usize = 16;

/// What is behind the port.
pub(crate) enum Guest {
    /// A reference agent.
    Model(Box<Process>),
    /// A real agent at a terminal: a connection to its end.
    Terminal(Connection),
    /// A real agent that listens on a socket, which is connected while a host is: that is how it learns of hosts.
    Socket(Address, Option<Connection>),
}

impl Guest {
    /// The connection to a real agent, if there is one.
    fn pipe(&self) -> Option<&Connection> {
        match self {
            Self::Terminal(pipe) | Self::Socket(_, Some(pipe)) => Some(pipe),
            Self::Model(_) | Self::Socket(_, None) => None,
        }
    }
}

/// Starts what is behind a port.
pub(crate) trait Guests: Send {
    /// Starts the release of that version, or the one that the build is of.
    fn start<'a>(&'a mut self, which: Which<'a>, now_us: u64) -> BoxFuture<'a, Result<Guest, String>>;

    /// Ends what was started, and waits for that.
    fn kill(&mut self) -> BoxFuture<'_, ()>;

    /// Whether the guest has directories of hooks, from the next start on.
    fn set_hooks(&mut self, _hooks: bool) -> Result<(), String> {
        Err("the hooks of this guest are its own".to_owned())
    }
}

/// Which agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Which<'a> {
    /// That of the build.
    First,
    /// The one that ran last.
    Same,
    /// One of another release.
    Version(&'a str),
}

/// What can be asked of a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Act {
    /// The agent is killed and stays away.
    Kill,
    /// The agent is killed, if it runs, and started.
    Restart,
    /// The same with another release; none is that of the build.
    Replace(Option<String>),
    /// The agent writes half a line and dies.
    HalfLine,
    /// The agent is held, and these bytes go to the host, perhaps with the end of its connection.
    Inject(Bytes, bool),
    /// The agent goes on.
    Release,
    /// The guest has directories of hooks, or has none; the agent is started anew.
    Hooks(bool),
}

/// An act, and whom to tell when it is done.
pub(crate) struct Order {
    act: Act,
    done: oneshot::Sender<Result<(), String>>,
}

/// A handle on a running engine.
#[derive(Debug, Clone)]
pub(crate) struct Handle {
    orders: mpsc::Sender<Order>,
    seen: Seen,
}

impl Handle {
    /// Has something done and waits for it.
    pub(crate) async fn act(&self, act: Act) -> Result<(), String> {
        let (done, told) = oneshot::channel();
        let gone = |_| "the port is gone".to_owned();
        self.orders.send(Order { act, done }).await.map_err(|error| gone(error.to_string()))?;
        told.await.map_err(|error| gone(error.to_string()))?
    }

    pub(crate) fn seen(&self) -> &Seen {
        &self.seen
    }
}

/// A port.
pub(crate) struct Engine<G> {
    listener: Listener,
    guests: G,
    guest: Option<Guest>,
    host: Option<Connection>,
    /// Number of the last connection.
    connection: u64,
    to_host: Outgoing,
    to_agent: VecDeque<(u64, Bytes)>,
    to_agent_len: usize,
    held: bool,
    orders: mpsc::Receiver<Order>,
    seen: Seen,
    start: Instant,
}

/// What a host has not yet taken.
#[derive(Debug, Default)]
struct Outgoing {
    queue: VecDeque<Bytes>,
    len: usize,
}

impl Outgoing {
    fn push(&mut self, bytes: Bytes) {
        self.len += bytes.len();
        self.queue.extend(Some(bytes).filter(|bytes| !bytes.is_empty()));
    }

    /// So many bytes of the first piece were taken.
    fn advance(&mut self, count: usize) {
        if let Some(first) = self.queue.front_mut() {
            first.advance(count.min(first.len()));
            self.len -= count;
        }
        self.queue.pop_front_if(|first| first.is_empty());
    }
}

/// What woke the engine.
enum Woken {
    Accepted(io::Result<Connection>),
    HostReadable,
    HostWritable,
    PipeReadable,
    PipeWritable,
    Clock,
    Order(Option<Order>),
}

impl<G: Guests> Engine<G> {
    /// A port with nothing behind it yet.
    pub(crate) fn new(listener: Listener, guests: G) -> (Self, Handle) {
        let (sender, orders) = mpsc::channel(ORDERS_MAX);
        let seen = Seen::default();
        seen.look().fds = 1;
        let engine = Self {
            listener,
            guests,
            guest: None,
            host: None,
            connection: 0,
            to_host: Outgoing::default(),
            to_agent: VecDeque::new(),
            to_agent_len: 0,
            held: false,
            orders,
            seen: seen.clone(),
            start: Instant::now(),
        };
        (engine, Handle { orders: sender, seen })
    }

    /// Serves until every handle is gone.
    pub(crate) async fn run(mut self) {
        loop {
            self.settle();
            match self.wait().await {
                Woken::Accepted(Ok(host)) => self.connected(host).await,
                Woken::Accepted(Err(_)) => tokio::time::sleep(Duration::from_millis(1)).await,
                Woken::HostReadable => self.read_host(),
                Woken::PipeReadable => self.read_pipe(),
                Woken::HostWritable | Woken::PipeWritable | Woken::Clock => {}
                Woken::Order(Some(Order { act, done })) => {
                    let result = self.carry_out(act).await;
                    // Whoever asked may be gone.
                    let _ = done.send(result);
                }
                Woken::Order(None) => break,
            }
        }
        self.guests.kill().await;
    }

    fn now_us(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    /// Waits for whatever comes first.
    async fn wait(&mut self) -> Woken {
        let now = self.now_us();
        let pipe = self.guest.as_ref().and_then(Guest::pipe);
        let next = match &self.guest {
            Some(Guest::Model(process)) => process.next_event_us(now),
            _ => None,
        };
        let wakes = self.start + Duration::from_micros(next.unwrap_or(u64::MAX >> 20));
        let reads_host = self.host.is_some() && self.to_agent_len < TO_AGENT_MAX;
        let writes_host = self.host.is_some() && self.to_host.len > 0;
        let reads_pipe =
            pipe.is_some() && self.host.is_some() && !self.held && self.to_host.len < TO_HOST_MAX;
        let writes_pipe = pipe.is_some() && !self.to_agent.is_empty();
        let host = self.host.as_ref();
        // Each branch is only polled when what it waits for is there.
        let readable = async |connection: Option<&Connection>| match connection {
            Some(connection) => poll_fn(|cx| connection.poll_readable(cx)).await,
            None => std::future::pending().await,
        };
        let writable = async |connection: Option<&Connection>| match connection {
            Some(connection) => poll_fn(|cx| connection.poll_writable(cx)).await,
            None => std::future::pending().await,
        };
        tokio::select! {
            // In this order, and not in a random one: a port does the same in every run.
            biased;
            order = self.orders.recv() => Woken::Order(order),
            accepted = self.listener.accept(), if host.is_none() => Woken::Accepted(accepted),
            _ = readable(host), if reads_host => Woken::HostReadable,
            _ = writable(host), if writes_host => Woken::HostWritable,
            _ = readable(pipe), if reads_pipe => Woken::PipeReadable,
            _ = writable(pipe), if writes_pipe => Woken::PipeWritable,
            () = sleep_until(wakes), if next.is_some() => Woken::Clock,
        }
    }

    async fn connected(&mut self, host: Connection) {
        self.host = Some(host);
        self.open_socket().await;
        self.connection += 1;
        self.to_host = Outgoing::default();
        self.seen.look().fds = 2;
    }

    /// Tells a real agent at a socket that there is a host.
    async fn open_socket(&mut self) {
        let Some(Guest::Socket(address, connection @ None)) = &mut self.guest else { return };
        let until = Instant::now() + SOCKET_DEADLINE;
        while connection.is_none() && Instant::now() < until {
            match Connection::connect(address, SOCKET_DEADLINE).await {
                Ok(open) => *connection = Some(open),
                // Bound, and not yet listening.
                Err(_) => tokio::time::sleep(Duration::from_millis(1)).await,
            }
        }
        self.seen.look().alive = connection.is_some();
    }

    fn disconnected(&mut self) {
        self.host = None;
        self.to_host = Outgoing::default();
        self.seen.look().fds = 1;
        match &mut self.guest {
            Some(Guest::Model(process)) => process.host_gone(),
            Some(Guest::Socket(_, connection)) => {
                // What the host wrote before it went is still to be read.
                Self::flush_to(connection.as_ref(), &mut self.to_agent, &mut self.to_agent_len);
                *connection = None;
            }
            Some(Guest::Terminal(_)) | None => {}
        }
    }

    fn read_host(&mut self) {
        while let Some(host) = &mut self.host {
            match host.try_recv(READ_LEN_MAX) {
                Ok(None) => return,
                Ok(Some(Received::Data(data, _fds))) => {
                    self.to_agent_len += data.bytes.len();
                    self.to_agent.push_back((self.connection, data.bytes));
                    if self.to_agent_len >= TO_AGENT_MAX {
                        return;
                    }
                }
                Ok(Some(Received::Eof | Received::Reset | Received::Timeout)) | Err(_) => self.disconnected(),
            }
        }
    }

    fn read_pipe(&mut self) {
        let (Some(Guest::Terminal(pipe)) | Some(Guest::Socket(_, Some(pipe)))) = &mut self.guest else {
            return;
        };
        match pipe.try_recv(AGENT_READ_LEN_MAX) {
            Ok(None) => {}
            Ok(Some(Received::Data(data, _fds))) => self.to_host.push(data.bytes),
            // The agent has closed its end, or is gone; the host does not see that.
            Ok(Some(_)) | Err(_) => {
                self.guest = None;
                self.seen.look().alive = false;
            }
        }
    }

    /// Lets everything happen that can happen now.
    fn settle(&mut self) {
        let now = self.now_us();
        if let Some(Guest::Model(process)) = &mut self.guest {
            process.tick(now);
        }
        let mut moves = true;
        while moves {
            moves = self.model_writes(now);
            self.flush();
        }
        self.flush_pipe();
        self.seen.look().held_bytes = self.to_host.len + self.to_agent_len;
    }

    /// The worker of a reference agent writes, or its listener; false when neither can.
    fn model_writes(&mut self, now_us: u64) -> bool {
        let Self { guest, host, held, connection, to_host, to_agent, to_agent_len, .. } = self;
        let Some(Guest::Model(process)) = guest else { return false };
        let takes_writes = host.is_some() && !*held && to_host.len < TO_HOST_MAX;
        let state = PortState { connection: *connection, takes_writes };
        let mut read = || match to_agent.front_mut() {
            Some((from, bytes)) => {
                let read = bytes.split_to(bytes.len().min(AGENT_READ_LEN_MAX));
                let from = *from;
                *to_agent_len -= read.len();
                if bytes.is_empty() {
                    to_agent.pop_front();
                }
                AgentRead::Bytes(from, read.to_vec())
            }
            None if host.is_some() => AgentRead::Waits,
            None => AgentRead::NoHost,
        };
        let by_worker = process.worker_writes(state, now_us);
        let sent = by_worker.or_else(|| process.listener_writes(state, now_us, &mut read));
        sent.map(|sent| to_host.push(sent.line.into())).is_some()
    }

    /// Gives the host what it takes at once.
    fn flush(&mut self) {
        while let (Some(host), Some(next)) = (&self.host, self.to_host.queue.front()) {
            match host.try_send(next, &[]) {
                Ok(0) => return,
                Ok(count) => self.to_host.advance(count),
                // What it wrote before it went is still to be read.
                Err(_) => {
                    self.read_host();
                    return self.disconnected();
                }
            }
        }
    }

    fn flush_pipe(&mut self) {
        let pipe = self.guest.as_ref().and_then(Guest::pipe);
        Self::flush_to(pipe, &mut self.to_agent, &mut self.to_agent_len);
    }

    fn flush_to(pipe: Option<&Connection>, to_agent: &mut VecDeque<(u64, Bytes)>, len: &mut usize) {
        let Some(pipe) = pipe else { return };
        while let Some((_, bytes)) = to_agent.front_mut() {
            match pipe.try_send(bytes, &[]) {
                Ok(0) | Err(_) => return,
                Ok(count) => {
                    bytes.advance(count);
                    *len -= count;
                    if bytes.is_empty() {
                        to_agent.pop_front();
                    }
                }
            }
        }
    }

    /// Waits until the host has taken everything, or is gone.
    async fn drain(&mut self) -> Result<(), String> {
        let until = Instant::now() + FLUSH_DEADLINE;
        loop {
            self.flush();
            let Some(host) = self.host.as_ref().filter(|_| self.to_host.len > 0) else { return Ok(()) };
            let left = until.saturating_duration_since(Instant::now());
            let waited = timeout(left, poll_fn(|cx| host.poll_writable(cx))).await;
            waited.map_err(|_elapsed| "the host does not take what the guest sends".to_owned())?.ok();
        }
    }

    async fn kill(&mut self) {
        self.guest = None;
        self.seen.look().alive = false;
        self.guests.kill().await;
    }

    async fn start(&mut self, which: Which<'_>) -> Result<(), String> {
        self.kill().await;
        let now = self.now_us();
        self.guest = Some(self.guests.start(which, now).await?);
        self.held = false;
        self.seen.look().alive = true;
        if self.host.is_some() {
            self.open_socket().await;
        }
        Ok(())
    }

    async fn carry_out(&mut self, act: Act) -> Result<(), String> {
        match act {
            Act::Kill => self.kill().await,
            Act::Restart => self.start(Which::Same).await?,
            Act::Replace(None) => self.start(Which::First).await?,
            Act::Replace(Some(version)) => self.start(Which::Version(&version)).await?,
            Act::HalfLine => {
                self.kill().await;
                self.to_host.push(Bytes::from_static(HALF_HEARTBEAT));
                self.drain().await?;
            }
            Act::Inject(bytes, closes) => {
                self.held = true;
                self.to_host.push(bytes);
                self.drain().await?;
                if closes {
                    self.read_host();
                    self.disconnected();
                }
            }
            Act::Release => self.held = false,
            Act::Hooks(hooks) => {
                self.guests.set_hooks(hooks)?;
                self.start(Which::Same).await?;
            }
        }
        Ok(())
    }
}
