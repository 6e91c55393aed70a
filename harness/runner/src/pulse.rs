//! Measures whether this process gets its turn.
//!
//! A run with real processes shares its machine with others. When they keep us waiting, a peer that answered in time can
//! look silent; so a task ticks, and how late its ticks are is how long we were kept waiting.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until};

/// From one tick to the next.
const TICK: Duration = Duration::from_millis(10);
/// A tick that is later than this was kept waiting: a fifth of the time in which a request has to be answered.
const STARVED: Duration = Duration::from_millis(100);
/// How many late ticks are remembered: more than any cell can have.
const REMEMBERED: usize = 4096;

#[derive(Debug)]
struct Ticks {
    /// When the next tick is due.
    due: Instant,
    /// When late ticks came, and how late.
    late: VecDeque<(Instant, Duration)>,
}

type Shared = Arc<Mutex<Ticks>>;

/// A task that ticks as long as this lives.
#[derive(Debug)]
pub(crate) struct Pulse {
    ticks: Shared,
    task: JoinHandle<()>,
}

impl Pulse {
    /// Starts to tick.
    pub(crate) fn start() -> Self {
        let ticks = Arc::new(Mutex::new(Ticks { due: Instant::now() + TICK, late: VecDeque::new() }));
        let task = tokio::spawn(tick(Arc::clone(&ticks)));
        Self { ticks, task }
    }

    /// How long the process was kept waiting at the most since then, if that was too long.
    pub(crate) fn starved_since(&self, start: Instant) -> Option<Duration> {
        let ticks = lock(&self.ticks);
        // A cell may have its turn before the tick that was kept waiting with it.
        let overdue = Instant::now().saturating_duration_since(ticks.due);
        let late = ticks.late.iter().rev().take_while(|(at, _)| *at >= start).map(|(_, late)| *late);
        late.chain(Some(overdue).filter(|overdue| *overdue >= STARVED)).max()
    }
}

impl Drop for Pulse {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn tick(ticks: Shared) {
    loop {
        let due = lock(&ticks).due;
        sleep_until(due).await;
        let now = Instant::now();
        let late = now.saturating_duration_since(due);
        let mut ticks = lock(&ticks);
        ticks.due = now + TICK;
        if late >= STARVED {
            if ticks.late.len() == REMEMBERED {
                ticks.late.pop_front();
            }
            ticks.late.push_back((now, late));
        }
    }
}

fn lock(ticks: &Shared) -> MutexGuard<'_, Ticks> {
    // Nothing in here panics while it holds the lock.
    ticks.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// On one thread a task that does not let go keeps the tick waiting, as another process would.
    #[tokio::test]
    async fn tells_when_nobody_else_gets_a_turn() {
        let pulse = Pulse::start();
        tokio::time::sleep(TICK * 3).await;
        let start = Instant::now();
        #[expect(clippy::disallowed_methods, reason = "it keeps the ticks waiting")]
        std::thread::sleep(STARVED + TICK * 2);
        assert!(pulse.starved_since(start).is_some(), "the tick is overdue");
        tokio::time::sleep(TICK * 3).await;
        let starved = pulse.starved_since(start).expect("it was kept waiting");
        assert!(starved >= STARVED, "{starved:?}");
        assert_eq!(pulse.starved_since(Instant::now()), None, "what was before does not count");
    }
}
