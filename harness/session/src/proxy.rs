//! A proxy that records what passes between a real client and a real server.
//!
//! It keeps what both sides can see: write boundaries, descriptors, credentials, half-closed and closed connections.
//! What it cannot keep: the pid in the credentials is its own, because only that one may be claimed without
//! being in the client's pid namespace; and a reset reaches the other side as a close.

use std::future::poll_fn;
use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::task::{JoinHandle, JoinSet};
use transcript::evidence::Observation;
use transcript::{ConnId, Credentials, EventKind};
use wire::Direction;

use crate::{Address, Connection, Listener, Received, Recorder, SendEnd, Timer};

/// How long a client may take that speaks first.
const FIRST_WORD: Duration = Duration::from_millis(500);
/// How long the server may leave the proxy's connection in its backlog.
const CONNECT_DEADLINE: Duration = Duration::from_secs(5);
/// How long one side may refuse to take what the other sent, before both are closed.
const SEND_DEADLINE: Duration = Duration::from_secs(30);
/// How long a silent connection is kept. The client's own deadline is far below.
const IDLE_DEADLINE: Duration = Duration::from_secs(600);
/// Most connections at the same time.
const CONNECTIONS_MAX: usize = 256;
/// Length of the queue of clients that are not yet accepted, as that of the real servers.
const BACKLOG: usize = 100;

/// A running proxy. Dropping it closes all its connections.
#[derive(Debug)]
pub struct Proxy {
    address: Address,
    task: JoinHandle<()>,
    shared: Arc<Shared>,
}

impl Proxy {
    /// Listens on one address, forwards to another one, and writes down what passes. Connections are numbered from
    /// `first`.
    ///
    /// # Errors
    /// When the address cannot be bound.
    pub fn start(listen: Address, forward: Address, recorder: Recorder, first: ConnId) -> io::Result<Self> {
        Self::start_with(listen, forward, recorder, first, false)
    }

    /// The same for a protocol whose clients speak first, to servers that speak by themselves: the server is only met
    /// when the client has spoken, so that what it says at once stands behind that.
    ///
    /// # Errors
    /// When the address cannot be bound.
    pub fn start_client_first(
        listen: Address,
        forward: Address,
        recorder: Recorder,
        first: ConnId,
    ) -> io::Result<Self> {
        Self::start_with(listen, forward, recorder, first, true)
    }

    fn start_with(
        listen: Address,
        forward: Address,
        recorder: Recorder,
        first: ConnId,
        client_first: bool,
    ) -> io::Result<Self> {
        let listener = Listener::bind(listen, BACKLOG)?;
        let address = listener.address().clone();
        let shared = Arc::new(Shared {
            forward,
            recorder,
            client_first,
            next: AtomicU32::new(first.0),
            open: AtomicUsize::new(0),
            descriptors: AtomicUsize::new(0),
        });
        let task = tokio::spawn(serve(listener, Arc::clone(&shared)));
        Ok(Self { address, task, shared })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// How many descriptors have passed from the server to clients.
    #[must_use]
    pub fn descriptors_to_clients(&self) -> usize {
        self.shared.descriptors.load(Ordering::Relaxed)
    }

    /// The number that the next connection gets.
    #[must_use]
    pub fn next_conn(&self) -> ConnId {
        ConnId(self.shared.next.load(Ordering::Relaxed))
    }

    /// How many connections are open. The end of one that is no longer open was recorded.
    #[must_use]
    pub fn open(&self) -> usize {
        self.shared.open.load(Ordering::Relaxed)
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

#[derive(Debug)]
struct Shared {
    forward: Address,
    recorder: Recorder,
    client_first: bool,
    next: AtomicU32,
    open: AtomicUsize,
    descriptors: AtomicUsize,
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
                    shared.open.fetch_add(1, Ordering::Relaxed);
                    connections.spawn(async move {
                        relay(client, conn, &shared).await;
                        shared.open.fetch_sub(1, Ordering::Relaxed);
                    });
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
    if shared.client_first {
        let speaks = poll_fn(|cx| client.poll_readable(cx));
        // One that does not is passed on as it is.
        let _ = tokio::time::timeout(FIRST_WORD, speaks).await;
    }
    let server = match Connection::connect(&shared.forward, CONNECT_DEADLINE).await {
        Ok(server) => server,
        Err(error) => {
            let kind = Observation::ForwardFailed.event(error.to_string());
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
    let own = from.own_credentials();
    let mut timer = Timer::default();
    let mut first = true;
    loop {
        match from.recv_with(&mut timer, IDLE_DEADLINE).await {
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
                // Where the client's are ours, the kernel attaches them without being asked.
                let claimed = credentials
                    .map(|theirs| Credentials { pid: own.pid, ..theirs })
                    .filter(|claim| *claim != own);
                match to.send(&bytes, &borrowed, claimed, SEND_DEADLINE).await {
                    Ok(()) => {}
                    // The other direction says how that side ended.
                    Err(SendEnd::Closed { .. }) => return End::HalfClosed,
                    Err(SendEnd::Timeout { sent }) => {
                        let value = format!("{sent} of {} bytes taken", bytes.len());
                        record(Observation::ForwardFailed.event(value));
                        return End::Closed;
                    }
                    Err(SendEnd::Io(error)) => {
                        record(Observation::ForwardFailed.event(error.to_string()));
                        return End::Closed;
                    }
                }
            }
            Ok(Received::Eof) if from.is_hung_up() => {
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
                record(Observation::RecvFailed.event(error.to_string()));
                return End::Closed;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    const SOON: Duration = Duration::from_secs(2);

    /// Plays one conversation through a proxy; what it recorded, times left out.
    fn check<F: Future<Output = ()>>(play: impl FnOnce(Connection, Connection) -> F, expect: &[&str]) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let seen = runtime.expect("a runtime can be made").block_on(async {
            let dir = tempfile::tempdir().expect("a temporary directory can be made");
            let [front, back] = ["front", "back"].map(|name| Address::Path(dir.path().join(name)));
            let listener = Listener::bind(back.clone(), 1).expect("the directory is ours");
            let recorder = Recorder::new();
            let proxy = Proxy::start(front.clone(), back, recorder.clone(), ConnId(1));
            let proxy = proxy.expect("the directory is ours");
            let client = Connection::connect(&front, SOON).await.expect("the proxy listens");
            let server = listener.accept().await.expect("the proxy connects");
            play(client, server).await;
            tokio::time::sleep(Duration::from_millis(50)).await;
            proxy.stop().await;
            recorder.take()
        });
        let text = |kind: &EventKind| match kind {
            EventKind::Data(data) => format!("{} fds={}", data.bytes.escape_ascii(), data.fds.len()),
            EventKind::Eof(detail) => format!("eof {}", detail.as_deref().unwrap_or_default()),
            other => format!("{other:?}").to_lowercase(),
        };
        let seen: Vec<_> = seen.iter().map(|event| format!("{} {}", event.dir, text(&event.kind))).collect();
        assert_eq!(seen, expect);
    }

    async fn bytes(connection: &mut Connection) -> (String, usize) {
        match connection.recv(SOON).await.expect("the socket is whole") {
            Received::Data(data, fds) => (data.bytes.escape_ascii().to_string(), fds.len()),
            other => (format!("{other:?}"), 0),
        }
    }

    #[test]
    fn passes_writes_and_descriptors_on() {
        let play = async |mut client: Connection, mut server: Connection| {
            client.send(&Bytes::from_static(b"ask"), &[], None, SOON).await.expect("it is taken");
            assert_eq!(bytes(&mut server).await, ("ask".to_owned(), 0));
            let file = std::fs::File::open("/dev/null").expect("it is there");
            server.send(&Bytes::from_static(b"one"), &[file.as_fd()], None, SOON).await.expect("it is taken");
            assert_eq!(bytes(&mut client).await, ("one".to_owned(), 1));
            server.send(&Bytes::from_static(b"two"), &[], None, SOON).await.expect("it is taken");
            assert_eq!(bytes(&mut client).await, ("two".to_owned(), 0));
            drop(client);
            assert_eq!(bytes(&mut server).await.0, "Eof");
        };
        check(play, &["c2s connect", "c2s ask fds=0", "s2c one fds=1", "s2c two fds=0", "c2s eof closes"]);
    }

    #[test]
    fn a_half_closed_connection_stays_usable_the_other_way() {
        let play = async |mut client: Connection, mut server: Connection| {
            client.half_close().expect("it is open");
            assert_eq!(bytes(&mut server).await.0, "Eof");
            server.send(&Bytes::from_static(b"late"), &[], None, SOON).await.expect("it is taken");
            assert_eq!(bytes(&mut client).await.0, "late");
            drop(server);
            assert_eq!(bytes(&mut client).await.0, "Eof");
        };
        check(play, &["c2s connect", "c2s eof half-close", "s2c late fds=0", "s2c eof closes"]);
    }

    #[test]
    fn a_server_that_closes_is_seen_to_close() {
        let play = async |mut client: Connection, server: Connection| {
            drop(server);
            assert_eq!(bytes(&mut client).await.0, "Eof");
            tokio::time::sleep(Duration::from_millis(20)).await;
            let sent = client.send(&Bytes::from_static(b"x"), &[], None, SOON).await;
            assert!(matches!(sent, Err(SendEnd::Closed { .. })), "{sent:?}");
        };
        check(play, &["c2s connect", "s2c eof closes"]);
    }
}
