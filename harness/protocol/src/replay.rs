//! Makes a script of the client's side of a recorded conversation.
//!
//! Where the recorded server answered, the script waits for one reply; where it closed instead, for
//! either; where it closed after its answer, only for a moment: how long a connection lives is a habit
//! of the release and no part of what an answer means. Where it was silent, the script waits for nothing.
//! What is quoted of an earlier reply ([`crate::captures`]) is taken from the reply of whoever is met.
//! Credentials of root are left to the kernel; others are claimed with the pid of whoever plays the script.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use session::{Script, ServerAct, Step};
use transcript::evidence::{Capture, Observation, Role};
use transcript::{ConnId, Credentials, EventKind, Transcript};
use verdict::{ConnContext, Exchanges, Grammar, Reading};
use wire::Direction;

use crate::captures::{BadCapture, Forms, captured};
use crate::probe::{QUIET_MS, REPLY_MS, SETTLE_MS, STALL_MS};

/// The shortest: it may only have been luck that it did not take longer.
const FASTEST_MS: u64 = 3_000;
/// The longest wait for an answer, however long it took when it was recorded, in milliseconds before scaling.
const SLOWEST_MS: u64 = 6_000;
/// Before a client that came so long after everything else, the script pauses too: it may have been the server that
/// was given time, to run into what another client had left unfinished.
const STALL_GAP_US: u64 = 8_000;

/// One recorded connection, as far as it is read.
struct Side {
    exchanges: Exchanges,
    /// Whether everything that was sent has been answered.
    answered: bool,
}

/// The script of a recorded conversation, as the dialect of its server reads it. The condition is the one that the
/// recorded case asked of its server.
///
/// # Errors
/// What it captures of replies is not in them.
pub fn script(
    recorded: &Transcript,
    grammar: &dyn Grammar,
    condition: Option<String>,
) -> Result<Script, BadCapture> {
    let mut values = values(recorded, grammar)?;
    let mut quoted = Forms::default();
    let mut script = Script { condition, ..Script::new() };
    let mut open: BTreeMap<ConnId, Side> = BTreeMap::new();
    let mut ended: BTreeSet<ConnId> = BTreeSet::new();
    let mut last_us = 0;
    for (index, event) in recorded.events.iter().enumerate() {
        let conn = event.conn;
        let gap_us = event.at_us.saturating_sub(last_us);
        last_us = event.at_us;
        if event.kind == EventKind::Connect && gap_us >= STALL_GAP_US {
            script.steps.push(Step::Pause { ms: STALL_MS });
        }
        let steps: Vec<Step> = match (&event.kind, event.dir) {
            (EventKind::Connect, Direction::ToServer) => {
                open.insert(conn, Side::new(grammar, conn));
                vec![Step::Connect(conn)]
            }
            (EventKind::Mark(mark), _) if mark.role() == Some(Role::Server) => {
                ServerAct::of_mark(mark).map(Step::Server).into_iter().collect()
            }
            (EventKind::Mark(_), _) if values.contains_key(&index) => {
                let captured = values.remove(&index);
                captured.iter().for_each(|(capture, value)| quoted.learn(capture, value));
                captured.map(|(capture, _)| Step::Capture(conn, capture)).into_iter().collect()
            }
            (EventKind::Mark(mark), _) if conn != ConnId(0) => vec![Step::Mark(conn, mark.clone())],
            (EventKind::Data(data), Direction::ToServer) => {
                if let Some(side) = open.get_mut(&conn) {
                    side.sent(&data.bytes);
                }
                let (payload, fds) = (quoted.payload(&data.bytes), data.fds.clone());
                vec![Step::Send { conn, payload, fds, creds: data.creds.and_then(claimed) }]
            }
            (EventKind::Data(data), Direction::ToClient) => {
                let frames = open.get_mut(&conn).map_or(0, |side| side.received(&data.bytes));
                vec![Step::AwaitReply { conn, deadline_ms: patience(gap_us) }; frames]
            }
            (EventKind::Eof(_) | EventKind::Reset, Direction::ToClient) if ended.insert(conn) => {
                if open.get(&conn).is_some_and(|side| side.answered) {
                    vec![Step::AwaitQuiet { conn, quiet_ms: SETTLE_MS }]
                } else {
                    vec![Step::AwaitReply { conn, deadline_ms: REPLY_MS }]
                }
            }
            (EventKind::Timeout(_), _) => vec![Step::AwaitQuiet { conn, quiet_ms: QUIET_MS }],
            (EventKind::Eof(Some(how)), Direction::ToServer) if how == "half-close" => {
                // A client that ends its direction right behind a request is another one than a client that waits.
                let waits = (gap_us >= STALL_GAP_US).then_some(Step::Pause { ms: STALL_MS });
                waits.into_iter().chain([Step::HalfClose(conn)]).collect()
            }
            (EventKind::Eof(_), Direction::ToServer) => vec![Step::Close(conn)],
            (kind, Direction::ToClient) if matches!(kind.observed(), Some((Observation::Alive, _))) => {
                vec![Step::Watch]
            }
            _ => Vec::new(),
        };
        script.steps.extend(steps);
    }
    Ok(script)
}

/// What the recording captures, by the index of the mark that says so.
fn values(
    recorded: &Transcript,
    grammar: &dyn Grammar,
) -> Result<BTreeMap<usize, (Capture, String)>, BadCapture> {
    // Most capture nothing, and need not be read for it.
    if !recorded.events.iter().any(|event| matches!(&event.kind, EventKind::Mark(mark) if mark.is_capture()))
    {
        return Ok(BTreeMap::new());
    }
    let found = captured(recorded, &Reading::of(recorded, grammar), grammar)?;
    Ok(found.into_iter().map(|captured| (captured.event, (captured.capture, captured.value))).collect())
}

/// How long to wait for an answer that took so long when it was recorded: a server that took its time may do so again.
fn patience(took_us: u64) -> u64 {
    FASTEST_MS.max((took_us / 1000).saturating_mul(4)).min(SLOWEST_MS)
}

impl Side {
    fn new(grammar: &dyn Grammar, conn: ConnId) -> Self {
        Self { exchanges: Exchanges::new(grammar, &ConnContext { conn }), answered: false }
    }

    fn sent(&mut self, bytes: &Bytes) {
        self.answered = false;
        self.exchanges.push(Direction::ToServer, bytes);
        while let Ok(Some(_)) = self.exchanges.next(Direction::ToServer) {}
    }

    /// How many replies these bytes complete.
    fn received(&mut self, bytes: &Bytes) -> usize {
        self.exchanges.push(Direction::ToClient, bytes);
        let mut frames = 0;
        while let Ok(Some(placed)) = self.exchanges.next(Direction::ToClient) {
            frames += usize::from(placed.dir == Direction::ToClient);
        }
        self.answered |= frames > 0;
        frames
    }
}

/// Credentials that have to be claimed to be what the recorded client was.
fn claimed(creds: Credentials) -> Option<Credentials> {
    (creds.uid != 0).then_some(Credentials { pid: 0, ..creds })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_longer_for_what_took_long() {
        let check = |took_us, ms| assert_eq!(patience(took_us), ms, "{took_us}");
        check(0, FASTEST_MS);
        check(100_000, FASTEST_MS);
        check(1_000_000, 4_000);
        check(60_000_000, SLOWEST_MS);
    }
}
