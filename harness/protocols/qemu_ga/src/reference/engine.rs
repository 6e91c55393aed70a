//! The loop of a reference server: one client at a time, as on the serial line for which the agent was made.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use session::{Connection, Listener, Received, SendEnd};
use tokio::time::Instant;
use transcript::ExitStatus;

use protocol::defect::Switches;

use super::agent::Agent;
use super::defects;
use crate::dialect::Dialect;

/// How long a client may be silent, and how long it may not read: as long as it likes.
const FOR_EVER: Duration = Duration::from_secs(24 * 60 * 60);
/// How long to wait when no descriptor is left for a new client.
const ACCEPT_RETRY: Duration = Duration::from_millis(1);
/// `SIGABRT`.
const SIGABRT: i32 = 6;

/// What can be seen of a server from outside of its loop.
#[derive(Debug, Default)]
pub(super) struct Shared {
    exit: Mutex<Option<ExitStatus>>,
    has_client: AtomicBool,
    /// Microseconds for which the processor was kept busy.
    busy_us: AtomicU64,
    /// Since when it is.
    busy_since: Mutex<Option<Instant>>,
    clients: AtomicUsize,
}

impl Shared {
    pub(super) fn exit(&self) -> Option<ExitStatus> {
        *self.exit.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many descriptors the server holds: its socket, and that of its client.
    pub(super) fn held(&self) -> usize {
        1 + usize::from(self.has_client.load(Ordering::Relaxed))
    }

    /// Milliseconds of the processor's time.
    pub(super) fn cpu_ms(&self) -> u64 {
        let since = *self.busy_since.lock().unwrap_or_else(PoisonError::into_inner);
        let now = since.map_or(0, |since| micros(since.elapsed()));
        (self.busy_us.load(Ordering::Relaxed) + now) / 1000
    }

    fn set_busy(&self, busy: bool) {
        let mut since = self.busy_since.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(since) = since.take() {
            self.busy_us.fetch_add(micros(since.elapsed()), Ordering::Relaxed);
        }
        *since = busy.then(Instant::now);
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

/// How a client was left.
enum Left {
    /// It is gone, or has nothing more to say.
    Next,
    /// The server has died.
    Dead,
}

/// The loop and what it works on.
pub(super) struct Engine {
    dialect: &'static Dialect,
    switches: Switches,
    /// Whether a new client finds a parser that has read nothing.
    fresh_parser: bool,
    agent: Agent,
    listener: Listener,
    shared: Arc<Shared>,
    /// Lines that a client did not read, kept by a faulty server for the next.
    late: Vec<Bytes>,
}

impl Engine {
    pub(super) fn new(
        dialect: &'static Dialect,
        switches: Switches,
        fresh_parser: bool,
        agent: Agent,
        listener: Listener,
        shared: Arc<Shared>,
    ) -> Self {
        Self { dialect, switches, fresh_parser, agent, listener, shared, late: Vec::new() }
    }

    pub(super) async fn run(mut self) {
        loop {
            let client = match self.listener.accept().await {
                Ok(client) => client,
                Err(_out_of_descriptors) => {
                    tokio::time::sleep(ACCEPT_RETRY).await;
                    continue;
                }
            };
            let before = self.shared.clients.fetch_add(1, Ordering::Relaxed);
            if self.fresh_parser && !self.switches.has(defects::KEEPS_PARSER) {
                self.agent.forget();
            }
            self.shared.has_client.store(true, Ordering::Relaxed);
            let left = self.serve(client, before).await;
            self.shared.has_client.store(false, Ordering::Relaxed);
            if matches!(left, Ok(Left::Dead)) {
                let mut exit = self.shared.exit.lock().unwrap_or_else(PoisonError::into_inner);
                *exit = Some(ExitStatus::Signal(SIGABRT));
                return;
            }
        }
    }

    /// Serves a client until it ends its direction; whatever it does wrong ends only its own turn.
    async fn serve(&mut self, mut client: Connection, before: usize) -> io::Result<Left> {
        let late = std::mem::take(&mut self.late);
        if self.send(&client, late).await.is_err() {
            return Ok(Left::Next);
        }
        // What the setup of a probe opens is served as it should be.
        let forgets = self.switches.has(defects::SECOND_CLIENT) && before > 2;
        loop {
            let Received::Data(data, _) = client.recv(FOR_EVER).await? else { return Ok(Left::Next) };
            if forgets {
                return Ok(Left::Next);
            }
            let lines = self.agent.read(&data.bytes);
            let about_syntax = |line: &Bytes| memchr::memmem::find(line, b"JSON ").is_some();
            let junk = data.bytes.first() != Some(&crate::names::DELIMITER) && lines.iter().any(about_syntax);
            if junk && self.switches.has(defects::DIES_OF_JUNK) {
                return Ok(Left::Dead);
            }
            if self.send(&client, lines).await.is_err() {
                return Ok(Left::Next);
            }
            if junk && self.switches.has(defects::CLOSES_ON_JUNK) {
                return Ok(Left::Next);
            }
        }
    }

    async fn send(&mut self, client: &Connection, lines: Vec<Bytes>) -> Result<(), SendEnd> {
        let mut lines = lines.into_iter();
        while let Some(line) = lines.next() {
            // Whether the client takes the line at once is known only by trying.
            self.shared.set_busy(self.dialect.spins || self.switches.has(defects::SPINS));
            let sent = client.send(&line, &[], None, FOR_EVER).await;
            self.shared.set_busy(false);
            if let Err(end) = sent {
                if self.switches.has(defects::LATE_REPLY) {
                    self.late = std::iter::once(line).chain(lines).collect();
                }
                return Err(end);
            }
        }
        Ok(())
    }
}
