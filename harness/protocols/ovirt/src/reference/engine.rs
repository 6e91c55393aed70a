//! The port as QEMU's character device and the guest's driver model it, in real time: a machine with one client.
//!
//! ```text
//! host  <- unix socket ->  port  <-  a reference agent in this task
//!                                <-  or the process of a real one, at a terminal or a socket
//! ```
//!
//! One host is served at a time; the next one waits in the backlog. Its connection stays when what is behind the port is
//! killed, restarted or replaced. While no host is there, nothing is taken from the agent, and it reads nothing.

use std::collections::VecDeque;
use std::mem;
use std::os::fd::OwnedFd;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use protocol::reference::serve::{Clients, Look, Machine, Outside, Peer, Step};
use session::{Address, BoxFuture, Connection, Received};
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;
use transcript::Data;

use super::server::Control;
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

/// Starts what is behind a port.
pub(crate) trait Guests: Send + Sync {
    /// Starts it.
    fn start(&mut self, now_us: u64) -> BoxFuture<'_, Result<Guest, String>>;

    /// Ends what was started, and waits for that.
    fn kill(&mut self) -> BoxFuture<'_, ()>;

    /// Takes the directories of hooks out of the guest, from the next start on.
    fn remove_hooks(&mut self) -> Result<(), String> {
        Err("the hooks of this guest are its own".to_owned())
    }
}

/// What can be asked of a port.
pub(super) enum Act {
    /// The agent is killed and stays away.
    Kill,
    /// The agent is killed, if it runs, and started.
    Restart,
    /// The agent is killed, if it runs, and another one is started from now on.
    Replace(Box<dyn Guests>),
    /// The agent is held, and these bytes go to the host, perhaps with the end of its connection.
    Inject(Bytes, bool),
    /// The agent goes on.
    Release,
    /// The guest loses its directories of hooks; the agent is started anew.
    RemoveHooks,
}

/// Whom to tell what became of an act.
type Told = oneshot::Sender<Result<(), String>>;
/// An act, and who asked for it.
pub(super) type Order = (Act, Told);

/// What hosts have said and no agent has read, and over which connection.
#[derive(Default)]
struct ToAgent {
    queue: VecDeque<(Peer, Bytes)>,
    len: usize,
}

impl ToAgent {
    fn push(&mut self, from: Peer, bytes: Bytes) {
        self.len += bytes.len();
        self.queue.push_back((from, bytes));
    }

    fn take(&mut self, len_max: usize) -> Option<(Peer, Bytes)> {
        let (from, bytes) = self.queue.front_mut()?;
        let taken = (*from, bytes.split_to(bytes.len().min(len_max)));
        self.len -= taken.1.len();
        self.queue.pop_front_if(|(_, bytes)| bytes.is_empty());
        Some(taken)
    }
}

/// A port.
pub(crate) struct Port {
    guests: Box<dyn Guests>,
    guest: Option<Guest>,
    /// Whether the guest has lost its hooks; whoever comes next finds none either.
    has_no_hooks: bool,
    /// Whether an agent runs, as far as that can be seen.
    alive: bool,
    /// The last host; it may be gone.
    host: Peer,
    to_agent: ToAgent,
    held: bool,
    /// A real agent takes nothing any more; what waits for it is for the next one.
    deaf: bool,
    /// A real agent was read; now it is the host's turn.
    read_agent: bool,
    asks: mpsc::Sender<Order>,
    orders: mpsc::Receiver<Order>,
    order: Option<Order>,
    /// What is told when it can be seen.
    done: Option<(Result<(), String>, Told)>,
    /// From one pass of an agent to the next.
    pass: Duration,
    /// How long what is behind it may take to be ready.
    deadline: Duration,
    start: Instant,
}

impl Port {
    /// A port with the agent of the build behind it.
    pub(super) async fn start(
        guests: Box<dyn Guests>,
        pass: Duration,
        deadline: Duration,
    ) -> Result<Self, String> {
        let (asks, orders) = mpsc::channel(ORDERS_MAX);
        let mut port = Self {
            guests,
            guest: None,
            has_no_hooks: false,
            alive: false,
            host: 0,
            to_agent: ToAgent::default(),
            held: false,
            deaf: false,
            read_agent: false,
            asks,
            orders,
            order: None,
            done: None,
            pass,
            deadline,
            start: Instant::now(),
        };
        port.restart(false).await?;
        Ok(port)
    }

    fn now_us(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    /// The connection to a real agent, if there is one.
    fn pipe(&self) -> Option<&Connection> {
        match &self.guest {
            Some(Guest::Terminal(pipe) | Guest::Socket(_, Some(pipe))) => Some(pipe),
            _ => None,
        }
    }

    /// Whether a write of the agent would go through.
    fn takes_writes(&self, hosts: &Clients<()>) -> bool {
        !self.held && hosts.owed(self.host).is_some_and(|owed| owed < TO_HOST_MAX)
    }

    fn read_pipe(&mut self, hosts: &mut Clients<()>) {
        if !self.takes_writes(hosts) {
            return;
        }
        let (Some(Guest::Terminal(pipe)) | Some(Guest::Socket(_, Some(pipe)))) = &mut self.guest else {
            return;
        };
        self.read_agent = true;
        match pipe.try_recv(AGENT_READ_LEN_MAX) {
            Ok(None) => {}
            Ok(Some(Received::Data(data, _fds))) => hosts.push(self.host, data.bytes),
            // The agent has closed its end, or is gone; the host does not see that.
            Ok(Some(_)) | Err(_) => (self.guest, self.alive) = (None, false),
        }
    }

    fn flush_pipe(&mut self) {
        while let (Some(pipe), Some((_, bytes))) = (self.pipe(), self.to_agent.queue.front()) {
            match pipe.try_send(bytes, &[]) {
                Ok(0) => return,
                Ok(count) => self.to_agent.take(count),
                Err(_) => {
                    self.deaf = true;
                    return;
                }
            };
        }
    }

    /// Tells a real agent at a socket that there is a host.
    async fn open_socket(&mut self) {
        let Some(Guest::Socket(address, connection @ None)) = &mut self.guest else { return };
        let until = Instant::now() + SOCKET_DEADLINE;
        while connection.is_none() && Instant::now() < until {
            match Connection::connect(address, SOCKET_DEADLINE).await {
                Ok(open) => (*connection, self.deaf) = (Some(open), false),
                // Bound, and not yet listening.
                Err(_) => tokio::time::sleep(Duration::from_millis(1)).await,
            }
        }
        self.alive = connection.is_some();
    }

    async fn kill(&mut self) {
        (self.guest, self.alive) = (None, false);
        self.guests.kill().await;
    }

    async fn restart(&mut self, has_host: bool) -> Result<(), String> {
        self.kill().await;
        let now = self.now_us();
        self.guest = Some(self.guests.start(now).await?);
        (self.alive, self.held, self.deaf) = (true, false, false);
        if has_host {
            self.open_socket().await;
        }
        Ok(())
    }

    /// Sends a host what no agent has written.
    async fn say(&self, hosts: &mut Clients<()>, bytes: Bytes) -> Result<(), String> {
        hosts.push(self.host, bytes);
        let sent = hosts.drain(self.host, FLUSH_DEADLINE).await;
        sent.then_some(()).ok_or_else(|| "the host does not take what the guest sends".to_owned())
    }

    async fn carry_out(&mut self, hosts: &mut Clients<()>, act: Act) -> Result<(), String> {
        let has_host = hosts.owed(self.host).is_some();
        match act {
            Act::Kill => self.kill().await,
            Act::Restart => self.restart(has_host).await?,
            Act::Replace(guests) => {
                self.kill().await;
                self.guests = guests;
                if self.has_no_hooks {
                    self.guests.remove_hooks()?;
                }
                self.restart(has_host).await?;
            }
            Act::Inject(bytes, closes) => {
                self.held = true;
                self.say(hosts, bytes).await?;
                if closes {
                    hosts.remove(self.host);
                }
            }
            Act::Release => self.held = false,
            Act::RemoveHooks => {
                self.guests.remove_hooks()?;
                self.has_no_hooks = true;
                self.restart(has_host).await?;
            }
        }
        Ok(())
    }
}

impl Machine for Port {
    type Client = ();

    const CLIENTS_MAX: usize = 1;
    const READS_IN_A_ROW: usize = usize::MAX;

    async fn accepted(&mut self, hosts: &mut Clients<()>, peer: Peer, connection: Connection) {
        hosts.add(peer, connection, ());
        self.host = peer;
        self.open_socket().await;
    }

    fn reads(&self, _is_owed: bool) -> bool {
        self.to_agent.len < TO_AGENT_MAX
    }

    fn came(&mut self, _hosts: &mut Clients<()>, peer: Peer, data: Data, _fds: Vec<OwnedFd>) {
        self.to_agent.push(peer, data.bytes);
    }

    /// An agent reads when it wants to.
    async fn step(&mut self, _hosts: &mut Clients<()>, _peer: Peer) -> Step {
        Step::Waits
    }

    fn gone(&mut self, _peer: Peer, _host: (), _unsent: Vec<Bytes>) {
        // What the host wrote before it went is still to be read.
        self.flush_pipe();
        match &mut self.guest {
            Some(Guest::Model(process)) => process.host_gone(),
            Some(Guest::Socket(_, connection)) => *connection = None,
            Some(Guest::Terminal(_)) | None => {}
        }
    }

    fn due(&self, _hosts: &Clients<()>) -> Option<Instant> {
        let Some(Guest::Model(process)) = &self.guest else { return None };
        process.next_event_us(self.now_us()).map(|next| self.start + Duration::from_micros(next))
    }

    /// Orders, and a real agent that writes or reads.
    fn poll_other(&mut self, hosts: &Clients<()>, cx: &mut Context<'_>) -> Poll<()> {
        if let Poll::Ready(order) = self.orders.poll_recv(cx) {
            self.order = order;
            return Poll::Ready(());
        }
        if mem::take(&mut self.read_agent) {
            // Asks again when the host had its turn.
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let Some(pipe) = self.pipe() else { return Poll::Pending };
        let reads = self.takes_writes(hosts) && pipe.poll_readable(cx).is_ready();
        let writes = self.to_agent.len > 0 && !self.deaf && pipe.poll_writable(cx).is_ready();
        if reads || writes { Poll::Ready(()) } else { Poll::Pending }
    }

    async fn other(&mut self, hosts: &mut Clients<()>) {
        match self.order.take() {
            Some((act, told)) => self.done = Some((self.carry_out(hosts, act).await, told)),
            None => self.read_pipe(hosts),
        }
    }

    async fn settle(&mut self) {
        if let Some((result, told)) = self.done.take() {
            // Whoever asked may be gone.
            let _ = told.send(result);
        }
        let now = self.now_us();
        if let Some(Guest::Model(process)) = &mut self.guest {
            process.tick(now);
        }
        self.flush_pipe();
    }

    /// The worker of a reference agent writes, or its listener; false when neither can.
    fn speaks(&mut self, hosts: &mut Clients<()>) -> bool {
        let (now, connection, is_there) = (self.now_us(), self.host, hosts.owed(self.host).is_some());
        let state = PortState { connection, takes_writes: self.takes_writes(hosts) };
        let Some(Guest::Model(process)) = &mut self.guest else { return false };
        let mut read = || match self.to_agent.take(AGENT_READ_LEN_MAX) {
            Some((from, bytes)) => AgentRead::Bytes(from, bytes.to_vec()),
            None if is_there => AgentRead::Waits,
            None => AgentRead::NoHost,
        };
        let by_worker = process.worker_writes(state, now);
        let sent = by_worker.or_else(|| process.listener_writes(state, now, &mut read));
        sent.map(|sent| hosts.push(connection, sent.line)).is_some()
    }

    fn look(&self, _hosts: &Clients<()>, look: &mut Look) {
        look.alive = self.alive;
        look.held_bytes += self.to_agent.len;
    }

    fn outside(&self) -> Box<dyn Outside> {
        Box::new(Control { orders: self.asks.clone(), pass: self.pass, deadline: self.deadline })
    }
}
