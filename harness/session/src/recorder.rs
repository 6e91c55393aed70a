//! Writes down what happens, in one order for all connections.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::time::Instant;
use transcript::evidence::Observation;
use transcript::{ConnId, DATA_LEN_MAX, Data, Event, EventKind, Mark};
use wire::Direction;

/// Most bytes that one transcript keeps. A peer that floods is cut off here, not in our memory.
pub const RECORDED_BYTES_MAX: usize = transcript::text::FOLDED_BYTES_MAX;
/// Most events that one transcript keeps.
pub const RECORDED_EVENTS_MAX: usize = 200_000;

/// A handle on a transcript in the making. Clones write into the same transcript.
#[derive(Debug, Clone)]
pub struct Recorder {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    start: Instant,
    log: Mutex<Log>,
}

#[derive(Debug, Default)]
struct Log {
    events: Vec<Event>,
    bytes: usize,
    overflowed: bool,
}

impl Default for Recorder {
    fn default() -> Self {
        Self::new()
    }
}

impl Recorder {
    /// Starts the clock: that of the runtime, which is virtual where all peers are ours.
    #[must_use]
    pub fn new() -> Self {
        Self { inner: Arc::new(Inner { start: Instant::now(), log: Mutex::default() }) }
    }

    /// Adds an event at the present time. Beyond the limits nothing more is kept, and the transcript
    /// ends with an observation `overflow`.
    pub fn record(&self, conn: ConnId, dir: Direction, kind: EventKind) {
        let mut log = self.lock();
        if log.overflowed {
            return;
        }
        let at_us = u64::try_from(self.inner.start.elapsed().as_micros()).unwrap_or(u64::MAX);
        if let EventKind::Data(data) = &kind {
            log.bytes += data.bytes.len();
        }
        if log.bytes > RECORDED_BYTES_MAX || log.events.len() >= RECORDED_EVENTS_MAX {
            log.overflowed = true;
            let kind =
                Observation::Overflow.event(format!("{} events, {} bytes", log.events.len(), log.bytes));
            log.events.push(Event { at_us, conn, dir, kind });
            return;
        }
        log.events.push(Event { at_us, conn, dir, kind });
    }

    /// Adds bytes; more than an event can hold become several. Descriptors and credentials come with the first.
    pub fn data(&self, conn: ConnId, dir: Direction, mut data: Data) {
        while data.bytes.len() > DATA_LEN_MAX {
            let bytes = data.bytes.split_to(DATA_LEN_MAX);
            let (fds, creds) = (std::mem::take(&mut data.fds), data.creds.take());
            self.record(conn, dir, EventKind::Data(Data { bytes, fds, creds }));
        }
        self.record(conn, dir, EventKind::Data(data));
    }

    /// Adds a mark.
    pub fn mark(&self, conn: ConnId, mark: Mark) {
        self.record(conn, Direction::ToServer, EventKind::Mark(mark));
    }

    /// Adds something seen by other means than the wire.
    pub fn observe(&self, dir: Direction, what: Observation<'_>, value: impl Into<String>) {
        self.record(ConnId(0), dir, what.event(value));
    }

    /// Whether the limits were reached.
    #[must_use]
    pub fn overflowed(&self) -> bool {
        self.lock().overflowed
    }

    /// Takes the events out; the recorder is empty afterwards and goes on.
    #[must_use]
    pub fn take(&self) -> Vec<Event> {
        std::mem::take(&mut self.lock().events)
    }

    fn lock(&self) -> MutexGuard<'_, Log> {
        // A panic of another holder leaves a log that is still in order: every change is one push.
        self.inner.log.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
