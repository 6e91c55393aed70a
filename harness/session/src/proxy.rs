//! A proxy that records what passes between a real client and a real server.
//!
//! It keeps what both sides can see: write boundaries, descriptors, credentials, half-closed and closed connections.
//! What it cannot keep: the pid in the credentials is its own, because only that one may be claimed without
//! being in the client's pid namespace; and a reset reaches the other side as a close.

use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use tokio::task::{JoinHandle, JoinSet};
use transcript::{ConnId, Credentials, EventKind};
use wire::Direction;

use crate::{Address, Connection, Listener, READ_LEN_MAX, Received, Recorder, SendEnd};

/// How long the server may leave the proxy's connection in its backlog.
const CONNECT_DEADLINE: Duration = Duration::from_secs(5);
/// How long one side may refuse to take what the other sent, before both are closed.
const SEND_DEADLINE: Duration = Duration::from_secs(30);
/// How long a silent connection is kept. The client's own deadline is far below.
const IDLE_DEADLINE: Duration = Duration::from_secs(600);
/// Most connections at the same time.
const CONNECTIONS_MAX: usize = 256;
/// Length of the queue of clients that are not yet accepted, as that of the real servers.
const BACKLOG: i32 = 100;

/// A running proxy. Dropping it closes all its connections.
#[derive(Debug)]
pub struct Proxy {
    address: Address,
    task: JoinHandle<()>,
    descriptors: Arc<AtomicUsize>,
}

impl Proxy {
    /// Listens on one address, forwards to another one, and writes down what passes. Connections are numbered from
    /// `first`.
    ///
    /// # Errors
    /// When the address cannot be bound.
    pub fn start(listen: Address, forward: Address, recorder: Recorder, first: ConnId) -> io::Result<Self> {
        let listener = Listener::bind(listen, BACKLOG)?;
        let address = listener.address().clone();
        let descriptors = Arc::new(AtomicUsize::new(0));
        let shared = Shared {
            forward,
            recorder,
            next: AtomicU32::new(first.0),
            descriptors: Arc::clone(&descriptors),
        };
        let task = tokio::spawn(serve(listener, Arc::new(shared)));
        Ok(Self { address, task, descriptors })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// How many descriptors have passed from the server to clients.
    #[must_use]
    pub fn descriptors_to_clients(&self) -> usize {
        self.descriptors.load(Ordering::Relaxed)
    }

    /// Closes what is open and waits for that: afterwards nothing more is recorded.
    pub async fn stop(mut self) {
        self.task.abort();
        // An abort is the only way in which the task ends.
        let _ = (&mut self.task).await;
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct Shared {
    forward: Address,
    recorder: Recorder,
    next: AtomicU32,
    descriptors: Arc<AtomicUsize>,
}

async fn serve(listener: Listener, shared: Arc<Shared>) {
    // Dropped with this task: ends those of all connections.
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept(), if connections.len() < CONNECTIONS_MAX => match accepted {
                Ok(client) => {
                    let conn = ConnId(shared.next.fetch_add(1, Ordering::Relaxed));
                    // What comes before the task runs waits in the socket; the option counts when it is read.
                    if let Err(error) = client.want_credentials() {
                        tracing::warn!(%error, "proxy cannot see credentials");
                    }
                    let shared = Arc::clone(&shared);
                    connections.spawn(async move { relay(client, conn, &shared).await });
                }
                // Out of descriptors: those that end give theirs back.
                Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

/// How one direction ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// The sender ended its direction and may still receive.
    HalfClosed,
    /// Nothing can pass any more in either direction.
    Closed,
}

async fn relay(client: Connection, conn: ConnId, shared: &Shared) {
    shared.recorder.record(conn, Direction::ToServer, EventKind::Connect);
    let server = match Connection::connect(&shared.forward, CONNECT_DEADLINE).await {
        Ok(server) => server,
        Err(error) => {
            let kind = EventKind::Observe { key: "forward-failed".to_owned(), value: error.to_string() };
            shared.recorder.record(conn, Direction::ToClient, kind);
            return;
        }
    };
    let to_server = pump(&client, &server, conn, Direction::ToServer, shared);
    let to_client = pump(&server, &client, conn, Direction::ToClient, shared);
    tokio::pin!(to_server, to_client);
    // One direction may end before the other. A full close of one side ends both.
    tokio::select! {
        end = &mut to_server => if end == End::HalfClosed { to_client.await; },
        end = &mut to_client => if end == End::HalfClosed { to_server.await; },
    }
}

async fn pump(from: &Connection, to: &Connection, conn: ConnId, dir: Direction, shared: &Shared) -> End {
    let record = |kind| shared.recorder.record(conn, dir, kind);
    let mut buffer = vec![0; READ_LEN_MAX];
    let mut first = true;
    loop {
        match from.recv_into(&mut buffer, IDLE_DEADLINE).await {
            Ok(Received::Data(mut data, descriptors)) => {
                let credentials = data.creds.take().filter(|_| dir == Direction::ToServer);
                // The kernel attaches them to every message; what the client says it says at the beginning.
                data.creds = credentials.filter(|_| std::mem::take(&mut first));
                if dir == Direction::ToClient {
                    shared.descriptors.fetch_add(descriptors.len(), Ordering::Relaxed);
                }
                let bytes = data.bytes.clone();
                // Before it goes on: what the other side does about it must come later in the transcript.
                record(EventKind::Data(data));
                let borrowed: Vec<_> = descriptors.iter().map(AsFd::as_fd).collect();
                let claimed = credentials.map(|theirs| Credentials { pid: own_pid(), ..theirs });
                match to.send(&bytes, &borrowed, claimed, SEND_DEADLINE).await {
                    Ok(()) => {}
                    // The other direction says how that side ended.
                    Err(SendEnd::Closed) => return End::HalfClosed,
                    Err(SendEnd::Timeout { sent }) => {
                        let value = format!("{sent} of {} bytes taken", bytes.len());
                        record(EventKind::Observe { key: "forward-failed".to_owned(), value });
                        return End::Closed;
                    }
                    Err(SendEnd::Io(error)) => {
                        record(EventKind::Observe {
                            key: "forward-failed".to_owned(),
                            value: error.to_string(),
                        });
                        return End::Closed;
                    }
                }
            }
            Ok(Received::Eof) if is_closed(from) => {
                record(EventKind::Eof(Some("closes".to_owned())));
                return End::Closed;
            }
            Ok(Received::Eof) => {
                record(EventKind::Eof(Some("half-close".to_owned())));
                return if to.half_close().is_ok() { End::HalfClosed } else { End::Closed };
            }
            Ok(Received::Reset) => {
                record(EventKind::Reset);
                return End::Closed;
            }
            Ok(Received::Timeout) => {
                record(EventKind::Timeout(u64::try_from(IDLE_DEADLINE.as_millis()).unwrap_or(u64::MAX)));
                return End::Closed;
            }
            Err(error) => {
                record(EventKind::Observe { key: "recv-failed".to_owned(), value: error.to_string() });
                return End::Closed;
            }
        }
    }
}

fn own_pid() -> i32 {
    rustix::process::getpid().as_raw_nonzero().get()
}

/// Whether the other side closed everything and not only its sending half: a unix socket then hangs up.
fn is_closed(connection: &Connection) -> bool {
    let mut looked = [PollFd::new(connection, PollFlags::empty())];
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    matches!(poll(&mut looked, Some(&now)), Ok(1..)) && looked[0].revents().contains(PollFlags::HUP)
}
