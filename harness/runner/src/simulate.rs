//! Cells whose peers both live in this process: on a virtual clock, several threads at a time.
//!
//! Each cell has a thread, a runtime and servers of its own, and the clock of that runtime moves only when everybody
//! waits. So how long a wait takes, and who is first, is decided by the cell alone: not by the machine, by what else
//! it does, or by the other cells.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, Once, PoisonError};
use std::time::{Duration, Instant};

use session::Transport;
use tokio::runtime::Builder;
use tokio::sync::Notify;

/// How many bytes of scripts and recordings may be in work at a time. Each costs several times its length: what is sent,
/// what the other side has put together, what is read again to be judged.
const BYTES_MAX: u64 = 48 << 20;
/// What is below this costs less than keeping account of it.
const LITTLE: u64 = 1 << 20;

/// How long a simulated cell may take on the wall. It takes milliseconds; peers that keep each other busy for ever would
/// never let the virtual clock move.
const REAL_LIMIT: Duration = Duration::from_secs(300);

/// Runs to its end what waits only for itself.
///
/// # Errors
/// A fault of ours: a task of a peer panicked, it does not come to an end, or the operating system has no descriptors left.
pub(crate) fn simulate<F: Future>(transport: Transport, future: F) -> Result<F::Output, String> {
    let mut builder = Builder::new_current_thread();
    builder.enable_time().start_paused(true);
    if transport == Transport::Unix {
        builder.enable_io();
    }
    let runtime = builder.build().map_err(|error| format!("no runtime: {error}"))?;
    watch_panics();
    PANIC.take();
    let watched = Watched::for_at_most(REAL_LIMIT);
    let output = runtime.block_on(async {
        tokio::select! {
            biased;
            output = future => Ok(output),
            () = watched.expired() => Err(format!("it did not end within {} s", REAL_LIMIT.as_secs())),
        }
    });
    drop(runtime);
    match PANIC.take() {
        Some(panic) => Err(format!("wireskew panicked: {panic}")),
        None => output,
    }
}

thread_local! {
    /// What the last panic on this thread said. Tokio catches those of tasks, and their peers would only see a
    /// connection that closes.
    static PANIC: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Has panics remembered by their thread, besides what is done with them anyway.
fn watch_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            PANIC.set(Some(info.to_string().replace('\n', " ")));
            before(info);
        }));
    });
}

/// Until when what is being simulated may take, and how that is told. One thread looks after all of them.
static UNDER_WATCH: Mutex<BTreeMap<u64, (Instant, Arc<Notify>)>> = Mutex::new(BTreeMap::new());
/// How often it looks.
const LOOK: Duration = Duration::from_secs(1);

/// The clock on the wall for one cell.
struct Watched {
    number: u64,
    over: Arc<Notify>,
}

impl Watched {
    #[expect(clippy::disallowed_methods, reason = "this is for what virtual time cannot end")]
    fn for_at_most(limit: Duration) -> Self {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        static WATCH: Once = Once::new();
        WATCH.call_once(|| drop(std::thread::spawn(watch)));
        let (number, over) = (NUMBER.fetch_add(1, Ordering::Relaxed), Arc::new(Notify::new()));
        under_watch().insert(number, (Instant::now() + limit, Arc::clone(&over)));
        Self { number, over }
    }

    async fn expired(&self) {
        self.over.notified().await;
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        under_watch().remove(&self.number);
    }
}

#[expect(clippy::disallowed_methods, reason = "this is for what virtual time cannot end")]
fn watch() {
    loop {
        std::thread::sleep(LOOK);
        let now = Instant::now();
        under_watch().values().filter(|(until, _)| *until <= now).for_each(|(_, over)| over.notify_one());
    }
}

fn under_watch() -> MutexGuard<'static, BTreeMap<u64, (Instant, Arc<Notify>)>> {
    // Nothing in here panics while it holds the lock.
    UNDER_WATCH.lock().unwrap_or_else(PoisonError::into_inner)
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
    use super::*;

    #[test]
    fn a_day_is_over_at_once() {
        for transport in [Transport::Memory, Transport::Unix] {
            let slept = simulate(transport, async {
                let start = tokio::time::Instant::now();
                tokio::time::sleep(Duration::from_secs(86_400)).await;
                start.elapsed().as_secs()
            });
            assert_eq!(slept, Ok(86_400));
        }
    }

    /// Peers that keep each other busy never let the virtual clock move.
    #[test]
    fn what_never_ends_is_ended() {
        let watched = Watched::for_at_most(Duration::ZERO);
        let runtime = Builder::new_current_thread().enable_time().start_paused(true).build();
        runtime.expect("a runtime can be made").block_on(async {
            let busy = async {
                loop {
                    tokio::task::yield_now().await;
                }
            };
            tokio::select! {
                () = busy => {}
                () = watched.expired() => {}
            }
        });
    }

    /// Tokio catches the panic of a task: the cell is no verdict on anybody all the same.
    #[test]
    fn a_panic_of_a_peer_is_a_fault_of_ours() {
        let ran = simulate(Transport::Memory, async {
            let task = tokio::spawn(async { panic!("of a peer") });
            task.await.is_err()
        });
        let why = ran.expect_err("a task panicked");
        assert!(why.starts_with("wireskew panicked: ") && why.ends_with("of a peer"), "{why}");
        assert_eq!(simulate(Transport::Memory, async { 7 }), Ok(7));
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

    /// What is little goes on next to something large; a second large one waits, and is not forgotten.
    #[test]
    fn what_is_large_is_handled_one_at_a_time() {
        let budget = &Budget::default();
        let large = budget.take(BYTES_MAX);
        drop(budget.take(LITTLE - 1));
        std::thread::scope(|scope| {
            let (began, begins) = std::sync::mpsc::channel();
            let waits = scope.spawn(move || {
                began.send(()).expect("it is waited for");
                drop(budget.take(2 * BYTES_MAX));
            });
            begins.recv().expect("it begins");
            assert!(!waits.is_finished(), "there is no room yet");
            drop(large);
        });
        assert_eq!(*budget.lock(), 0);
    }
}
