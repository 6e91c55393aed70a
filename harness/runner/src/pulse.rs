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

/// When late ticks came, and how late.
type Late = Arc<Mutex<VecDeque<(Instant, Duration)>>>;

/// A task that ticks as long as this lives.
#[derive(Debug)]
pub(crate) struct Pulse {
    late: Late,
    task: JoinHandle<()>,
}

impl Pulse {
    /// Starts to tick.
    pub(crate) fn start() -> Self {
        let late = Late::default();
        let task = tokio::spawn(tick(Arc::clone(&late)));
        Self { late, task }
    }

    /// How long the process was kept waiting at the most since then, if that was too long.
    pub(crate) fn starved_since(&self, start: Instant) -> Option<Duration> {
        let late = lock(&self.late);
        late.iter().rev().take_while(|(at, _)| *at >= start).map(|(_, late)| *late).max()
    }
}

impl Drop for Pulse {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn tick(all: Late) {
    loop {
        let due = Instant::now() + TICK;
        sleep_until(due).await;
        let now = Instant::now();
        let late = now.saturating_duration_since(due);
        if late >= STARVED {
            let mut all = lock(&all);
            if all.len() == REMEMBERED {
                all.pop_front();
            }
            all.push_back((now, late));
        }
    }
}

fn lock(late: &Late) -> MutexGuard<'_, VecDeque<(Instant, Duration)>> {
    // Nothing in here panics while it holds the lock.
    late.lock().unwrap_or_else(PoisonError::into_inner)
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
        std::thread::sleep(STARVED + TICK * 2);
        tokio::time::sleep(TICK * 3).await;
        let starved = pulse.starved_since(start).expect("it was kept waiting");
        assert!(starved >= STARVED, "{starved:?}");
        assert_eq!(pulse.starved_since(Instant::now()), None, "what was before does not count");
    }
}
