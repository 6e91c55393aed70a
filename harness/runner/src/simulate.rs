//! Cells whose peers both live in this process: on a virtual clock, several threads at a time.
//!
//! Each cell has a thread, a runtime and servers of its own, and the clock of that runtime moves only when everybody
//! waits. So how long a wait takes, and who is first, is decided by the cell alone: not by the machine, by what else
//! it does, or by the other cells.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use session::Transport;
use tokio::runtime::Builder;

/// How many bytes of scripts and recordings may be in work at a time. Each costs several times its length: what is sent,
/// what the other side has put together, what is read again to be judged.
const BYTES_MAX: u64 = 48 << 20;
/// What is below this costs less than keeping account of it.
const LITTLE: u64 = 1 << 20;

/// Runs to its end what waits only for itself. Where there is no runtime to be had nothing can be run.
///
/// # Errors
/// The operating system has no descriptors left.
pub(crate) fn simulate<F: Future>(transport: Transport, future: F) -> std::io::Result<F::Output> {
    let mut builder = Builder::new_current_thread();
    builder.enable_time().start_paused(true);
    if transport == Transport::Unix {
        builder.enable_io();
    }
    Ok(builder.build()?.block_on(future))
}

/// What a panic says.
pub(crate) fn guarded<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|panic| {
        let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
        text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "no reason".to_owned())
    })
}

/// Things to do, in order, for several threads.
pub(crate) struct Queue<T> {
    things: Vec<T>,
    next: AtomicUsize,
}

impl<T> Queue<T> {
    pub(crate) fn new(things: Vec<T>) -> Self {
        Self { things, next: AtomicUsize::new(0) }
    }

    /// The next thing, or `None` when there are no more.
    pub(crate) fn next(&self) -> Option<&T> {
        self.things.get(self.next.fetch_add(1, Ordering::Relaxed))
    }
}

/// Memory that is shared by whoever handles much at a time.
#[derive(Default)]
pub(crate) struct Budget {
    taken: Mutex<u64>,
    given_back: Condvar,
}

/// A part of a [`Budget`]. It is given back when this is dropped.
pub(crate) struct Share<'a> {
    bytes: u64,
    budget: &'a Budget,
}

impl Budget {
    /// Waits, with its thread, until there is room. Little needs none, and what is larger than all of it is handled
    /// alone.
    pub(crate) fn take(&self, bytes: u64) -> Share<'_> {
        let bytes = if bytes < LITTLE { 0 } else { bytes };
        let mut taken = self.lock();
        while bytes > 0 && *taken > 0 && *taken + bytes > BYTES_MAX {
            taken = self.given_back.wait(taken).unwrap_or_else(PoisonError::into_inner);
        }
        *taken += bytes;
        Share { bytes, budget: self }
    }

    fn lock(&self) -> MutexGuard<'_, u64> {
        // Nothing in here panics while it holds the lock.
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Share<'_> {
    fn drop(&mut self) {
        *self.budget.lock() -= self.bytes;
        self.budget.given_back.notify_all();
    }
}

/// How many threads do something at a time.
pub(crate) fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_day_is_over_at_once() {
        for transport in [Transport::Memory, Transport::Unix] {
            let slept = simulate(transport, async {
                let start = tokio::time::Instant::now();
                tokio::time::sleep(Duration::from_secs(86_400)).await;
                start.elapsed().as_secs()
            });
            assert_eq!(slept.expect("a runtime can be made"), 86_400);
        }
    }

    #[test]
    fn a_panic_is_told() {
        assert_eq!(guarded(|| panic!("why {}", 1)), Err::<(), _>("why 1".to_owned()));
        assert_eq!(guarded(|| 7), Ok(7));
    }

    #[test]
    fn a_queue_is_emptied_in_order() {
        let queue = Queue::new(vec!["a", "b"]);
        assert_eq!([queue.next(), queue.next(), queue.next()], [Some(&"a"), Some(&"b"), None]);
    }

    /// What is little goes on beside something large; a second large one waits, and is not forgotten.
    #[test]
    fn what_is_large_is_handled_one_at_a_time() {
        let budget = Budget::default();
        let large = budget.take(BYTES_MAX);
        drop(budget.take(LITTLE - 1));
        std::thread::scope(|scope| {
            let waits = scope.spawn(|| drop(budget.take(2 * BYTES_MAX)));
            std::thread::sleep(Duration::from_millis(20));
            assert!(!waits.is_finished(), "there is no room yet");
            drop(large);
        });
        assert_eq!(*budget.lock(), 0);
    }
}
