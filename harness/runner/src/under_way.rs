//! Which cells are being run, and for how long.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// After this long a cell is reported as slow, and again whenever as much time has passed.
const SLOW: Duration = Duration::from_secs(30);

/// The cells that were begun and have not ended, by their number in the plan.
#[derive(Default)]
pub(crate) struct UnderWay(Mutex<BTreeMap<usize, Begun>>);

struct Begun {
    since: Instant,
    /// How often it was reported.
    told: u32,
}

impl UnderWay {
    pub(crate) fn begin(&self, cell: usize) {
        self.lock().insert(cell, Begun { since: Instant::now(), told: 0 });
    }

    pub(crate) fn end(&self, cell: usize) {
        self.lock().remove(&cell);
    }

    /// Those that became slow since the last report, each with how long it has been running.
    pub(crate) fn slow(&self) -> Vec<(usize, Duration)> {
        let mut slow = Vec::new();
        for (cell, begun) in self.lock().iter_mut() {
            let ran = begun.since.elapsed();
            if ran >= SLOW * (begun.told + 1) {
                begun.told += 1;
                slow.push((*cell, ran));
            }
        }
        slow
    }

    /// Those that will not end any more.
    pub(crate) fn left(&self) -> Vec<usize> {
        self.lock().keys().copied().collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<usize, Begun>> {
        // Nothing in here panics while it holds the lock.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_is_slow_is_told_of_from_time_to_time() {
        let under_way = UnderWay::default();
        let slow_after = async |seconds| {
            tokio::time::advance(Duration::from_secs(seconds)).await;
            under_way.slow().iter().map(|(cell, ran)| (*cell, ran.as_secs())).collect::<Vec<_>>()
        };
        under_way.begin(7);
        assert_eq!(slow_after(29).await, []);
        under_way.begin(8);
        assert_eq!(slow_after(1).await, [(7, 30)]);
        assert_eq!(slow_after(1).await, []);
        assert_eq!(slow_after(28).await, [(8, 30)]);
        assert_eq!(slow_after(1).await, [(7, 60)]);
        under_way.end(7);
        assert_eq!(slow_after(60).await, [(8, 91)]);
        assert_eq!(under_way.left(), [8]);
    }
}
