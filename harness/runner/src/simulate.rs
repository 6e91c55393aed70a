//! Cells whose peers both live in this process: on a virtual clock, several threads at a time.
//!
//! Each cell has a thread, a runtime and servers of its own, and the clock of that runtime moves only when everybody
//! waits. So how long a wait takes, and who is first, is decided by the cell alone: not by the machine, by what else
//! it does, or by the other cells.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use session::Transport;
use tokio::runtime::Builder;

/// How many bytes of scripts and recordings may be in work at a time. Each costs several times its length: what is sent,
/// what the other side has put together, what is read again to be judged.
const BYTES_MAX: u64 = 48 << 20;

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
    state: Mutex<State<T>>,
    given_back: Condvar,
}

struct State<T> {
    /// With the bytes that each takes.
    waiting: VecDeque<(T, u64)>,
    in_work: u64,
}

impl<T> Queue<T> {
    pub(crate) fn new(all: impl IntoIterator<Item = (T, u64)>) -> Self {
        let state = State { waiting: all.into_iter().collect(), in_work: 0 };
        Self { state: Mutex::new(state), given_back: Condvar::new() }
    }

    /// The next thing for which there is memory, or `None` when there are no more. What is too large waits until others
    /// are done; what is larger than all the memory is done alone.
    pub(crate) fn next(&self) -> Option<Taken<'_, T>> {
        let mut state = self.lock();
        loop {
            let room = |bytes: u64, in_work: u64| in_work == 0 || in_work + bytes <= BYTES_MAX;
            let fits = state.waiting.iter().position(|(_, bytes)| room(*bytes, state.in_work));
            if let Some((thing, bytes)) = fits.and_then(|at| state.waiting.remove(at)) {
                state.in_work += bytes;
                return Some(Taken { thing, bytes, queue: self });
            }
            if state.waiting.is_empty() {
                return None;
            }
            state = self.given_back.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        // Nothing in here panics while it holds the lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Something that is being done. Its memory is given back when this is dropped.
pub(crate) struct Taken<'a, T> {
    pub(crate) thing: T,
    bytes: u64,
    queue: &'a Queue<T>,
}

impl<T> Drop for Taken<'_, T> {
    fn drop(&mut self) {
        self.queue.lock().in_work -= self.bytes;
        self.queue.given_back.notify_all();
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

    /// What fits is done beside something large, in order; a second large one waits, and is not forgotten.
    #[test]
    fn what_is_large_is_done_one_at_a_time() {
        let queue = Queue::new([("large", BYTES_MAX), ("larger", 2 * BYTES_MAX), ("a", 0), ("b", 0)]);
        let large = queue.next().expect("nothing is in work");
        let a = queue.next().expect("it takes nothing");
        assert_eq!((large.thing, a.thing), ("large", "a"));
        let b = queue.next().expect("it takes nothing");
        let larger = std::thread::scope(|scope| {
            let waits = scope.spawn(|| queue.next().map(|taken| taken.thing));
            std::thread::sleep(Duration::from_millis(20));
            assert!(!waits.is_finished(), "there is no room yet");
            drop((large, a, b));
            waits.join().expect("it does not panic")
        });
        assert_eq!(larger, Some("larger"));
        assert!(queue.next().is_none());
    }
}
