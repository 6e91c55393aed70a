//! Servers that are running: a fresh one for a case that disturbs, a shared one for cases that do not.
//!
//! Real servers take longer to come and go than most conversations with them. So the next fresh one starts while a cell
//! runs, and what is no longer needed ends during the next cell.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use matrix::SourceKind;
use protocol::Hazard;
use session::{LaunchError, Launcher, Recorder, Server, Start};
use tokio::task::JoinHandle;
use transcript::EventKind;

/// How many servers of a build are started ahead.
const AHEAD: usize = 1;
/// How many servers of a build may be on their way out.
const ENDING_MAX: usize = 2;

type Started = Result<Box<dyn Server>, LaunchError>;

/// The servers of one build.
pub(crate) struct Pool {
    launcher: Arc<dyn Launcher>,
    /// Reference servers serve one cell and no other, on the runtime of that cell.
    keeps: bool,
    idle: Mutex<Vec<Box<dyn Server>>>,
    /// How many cells to come may need a fresh server.
    due: AtomicUsize,
    ahead: Mutex<Vec<JoinHandle<Started>>>,
    ending: Mutex<Vec<JoinHandle<()>>>,
}

impl Pool {
    pub(crate) fn new(launcher: Arc<dyn Launcher>, source: SourceKind) -> Self {
        Self {
            launcher,
            keeps: source != SourceKind::Reference,
            idle: Mutex::default(),
            due: AtomicUsize::new(0),
            ahead: Mutex::default(),
            ending: Mutex::default(),
        }
    }

    pub(crate) fn launcher(&self) -> &dyn Launcher {
        &*self.launcher
    }

    /// Says that a cell will come.
    pub(crate) fn expect(&self, hazard: Hazard) {
        if hazard == Hazard::Disturbs {
            self.due.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// A server for one case: an idle one if the case is harmless and there is one, else a new one.
    pub(crate) async fn take(&self, hazard: Hazard, how: Start) -> Started {
        if !self.keeps {
            return self.launcher.start(how).await;
        }
        if hazard == Hazard::Harmless {
            while let Some(mut server) = pop(&self.idle) {
                if is_alive(&mut *server) {
                    return Ok(server);
                }
                self.end(server).await;
            }
        } else {
            // A cell that is tried again takes more than it was expected to.
            let _ = self
                .due
                .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |due| Some(due.saturating_sub(1)));
        }
        let started = pop(&self.ahead);
        self.start_ahead(how);
        if let Some(started) = started {
            // What failed during another cell may be the fault of that.
            if let Ok(Ok(mut server)) = started.await {
                if is_alive(&mut *server) {
                    return Ok(server);
                }
                self.end(server).await;
            }
        }
        self.launcher.start(how).await
    }

    /// Lets fresh servers start for cells to come.
    fn start_ahead(&self, how: Start) {
        let mut ahead = lock(&self.ahead);
        while ahead.len() < self.due.load(Ordering::Relaxed).min(AHEAD) {
            let launcher = Arc::clone(&self.launcher);
            ahead.push(tokio::spawn(async move { launcher.start(how).await }));
        }
    }

    /// Gives a server back after a case. One that was disturbed, or on which something was wrong, is ended.
    pub(crate) async fn give_back(&self, server: Box<dyn Server>, reusable: bool) {
        if !self.keeps {
            server.stop().await;
        } else if reusable {
            lock(&self.idle).push(server);
        } else {
            self.end(server).await;
        }
    }

    /// Ends a server during whatever comes next, unless too many are ending.
    async fn end(&self, server: Box<dyn Server>) {
        let first = {
            let mut ending = lock(&self.ending);
            ending.retain(|ending| !ending.is_finished());
            ending.push(tokio::spawn(server.stop()));
            (ending.len() > ENDING_MAX).then(|| ending.remove(0))
        };
        if let Some(first) = first {
            // A panic there is a bug of ours, but no reason to leave the run.
            let _ = first.await;
        }
    }

    /// Ends all servers that nobody has.
    pub(crate) async fn stop(&self) {
        let ahead = std::mem::take(&mut *lock(&self.ahead));
        for started in ahead {
            // One that is not ready yet ends with the task.
            started.abort();
            if let Ok(Ok(server)) = started.await {
                server.stop().await;
            }
        }
        while let Some(server) = pop(&self.idle) {
            server.stop().await;
        }
        let ending = std::mem::take(&mut *lock(&self.ending));
        for ending in ending {
            let _ = ending.await;
        }
    }
}

/// Whether a server that nobody had is still there.
fn is_alive(server: &mut dyn Server) -> bool {
    let look = Recorder::new();
    server.watch(&look);
    !look.take().iter().any(|event| matches!(event.kind, EventKind::Exit(_)))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Every change is one call: what is inside is in order after any panic.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn pop<T>(mutex: &Mutex<Vec<T>>) -> Option<T> {
    lock(mutex).pop()
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicBool;
    use std::time::Duration;

    use session::{Address, BoxFuture, LaunchErrorKind};
    use transcript::{ConnId, Endpoint, ExitStatus};
    use wire::Direction;

    use super::*;

    /// What became of the servers of a build.
    #[derive(Default)]
    struct Counts {
        started: AtomicUsize,
        stopped: AtomicUsize,
        /// Every server dies while nobody has it.
        die: AtomicBool,
        /// The next start fails.
        fail: AtomicBool,
    }

    struct Build(Arc<Counts>);

    struct Running {
        number: usize,
        address: Address,
        counts: Arc<Counts>,
    }

    impl Launcher for Build {
        fn endpoint(&self) -> Endpoint {
            Endpoint::default()
        }

        fn start(&self, _how: Start) -> BoxFuture<'_, Started> {
            Box::pin(async {
                tokio::time::sleep(Duration::from_millis(10)).await;
                if self.0.fail.swap(false, Ordering::SeqCst) {
                    return Err(LaunchError::new("start it", LaunchErrorKind::NotReady(10)));
                }
                let number = self.0.started.fetch_add(1, Ordering::SeqCst);
                let address = Address::Abstract(format!("server-{number}").into_bytes());
                Ok(Box::new(Running { number, address, counts: Arc::clone(&self.0) }) as Box<dyn Server>)
            })
        }
    }

    impl Server for Running {
        fn address(&self) -> &Address {
            &self.address
        }

        fn watch(&mut self, recorder: &Recorder) {
            // The last one is the replacement of those that died.
            if self.counts.die.load(Ordering::SeqCst) && self.number < 2 {
                recorder.record(ConnId(0), Direction::ToClient, EventKind::Exit(ExitStatus::Signal(11)));
            }
        }

        fn stop(self: Box<Self>) -> BoxFuture<'static, ()> {
            Box::pin(async move {
                self.counts.stopped.fetch_add(1, Ordering::SeqCst);
            })
        }
    }

    fn pool(source: SourceKind, disturbing: usize) -> (Pool, Arc<Counts>) {
        let counts = Arc::new(Counts::default());
        let pool = Pool::new(Arc::new(Build(Arc::clone(&counts))), source);
        (0..disturbing).for_each(|_| pool.expect(Hazard::Disturbs));
        (pool, counts)
    }

    /// Plays that many cells one after the other, each long enough for a server to start; how many servers were started by
    /// then, and that none is left at the end.
    async fn cells(pool: &Pool, counts: &Counts, hazard: Hazard, count: usize) -> usize {
        for _ in 0..count {
            let server = pool.take(hazard, Start::within(Duration::from_secs(1))).await;
            tokio::time::sleep(Duration::from_millis(20)).await;
            pool.give_back(server.expect("it starts"), hazard == Hazard::Harmless).await;
        }
        let started = counts.started.load(Ordering::SeqCst);
        pool.stop().await;
        assert_eq!(counts.stopped.load(Ordering::SeqCst), counts.started.load(Ordering::SeqCst));
        started
    }

    #[tokio::test(start_paused = true)]
    async fn cells_that_disturb_have_a_server_each_which_is_started_ahead() {
        let (pool, counts) = pool(SourceKind::Debian, 4);
        let start = tokio::time::Instant::now();
        assert_eq!(cells(&pool, &counts, Hazard::Disturbs, 4).await, 4);
        // Only the first is waited for.
        assert_eq!(start.elapsed(), Duration::from_millis(10 + 4 * 20));
    }

    #[tokio::test(start_paused = true)]
    async fn harmless_cells_share_a_server() {
        let (pool, counts) = pool(SourceKind::Debian, 0);
        assert_eq!(cells(&pool, &counts, Hazard::Harmless, 4).await, 1);
    }

    #[tokio::test(start_paused = true)]
    async fn reference_servers_are_neither_kept_nor_started_ahead() {
        let (pool, counts) = pool(SourceKind::Reference, 4);
        assert_eq!(cells(&pool, &counts, Hazard::Harmless, 4).await, 4);
    }

    /// A cell is not charged with what happened before it.
    #[tokio::test(start_paused = true)]
    async fn a_server_that_died_while_nobody_had_it_is_replaced() {
        let (pool, counts) = pool(SourceKind::Debian, 2);
        counts.die.store(true, Ordering::SeqCst);
        assert_eq!(cells(&pool, &counts, Hazard::Disturbs, 2).await, 3);
    }

    #[tokio::test(start_paused = true)]
    async fn a_start_ahead_that_fails_is_tried_again() {
        let (pool, counts) = pool(SourceKind::Debian, 3);
        let how = Start::within(Duration::from_secs(1));
        for _ in 0..2 {
            let server = pool.take(Hazard::Disturbs, how).await.expect("it starts");
            // Until here one is started ahead; that for the third cell fails while nobody waits for it.
            counts.fail.store(counts.started.load(Ordering::SeqCst) == 2, Ordering::SeqCst);
            tokio::time::sleep(Duration::from_millis(20)).await;
            pool.give_back(server, false).await;
        }
        assert!(!counts.fail.load(Ordering::SeqCst), "the start ahead has failed");
        let third = pool.take(Hazard::Disturbs, how).await.expect("it is started again");
        pool.give_back(third, false).await;
        pool.stop().await;
        assert_eq!(counts.started.load(Ordering::SeqCst), 3);
        assert_eq!(counts.stopped.load(Ordering::SeqCst), 3);
    }
}
