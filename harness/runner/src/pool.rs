//! Servers that are running: a fresh one for a case that disturbs, a shared one for cases that do not, or that let themselves
//! be undone.
//!
//! Real servers take longer to come and go than most conversations with them. So the next fresh one starts while a cell
//! runs, and what is no longer needed ends during the next cell.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use matrix::SourceKind;
use protocol::Hazard;
use session::{LaunchError, Launcher, Recorder, Server, Start};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use transcript::EventKind;

/// How many servers of a build are started ahead.
const AHEAD: usize = 1;
/// How many servers of a build may be on their way out.
const ENDING_MAX: usize = 2;

/// What becomes of a server behind a case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Then {
    /// It serves the next case.
    Serves,
    /// The same, once it is brought back to the state after its start.
    IsReset,
    /// It was disturbed, or something was wrong.
    Ends,
}

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

    /// A server for one case: an idle one if the case leaves nothing behind and there is one, else a new one.
    pub(crate) async fn take(&self, hazard: Hazard, how: Start) -> Started {
        if !self.keeps {
            return self.launcher.start(how).await;
        }
        if hazard < Hazard::Disturbs {
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

    /// Gives a server back after a case. One that is not reset in time is ended.
    pub(crate) async fn give_back(&self, mut server: Box<dyn Server>, then: Then, deadline: Duration) {
        if !self.keeps {
            return server.stop().await;
        }
        let is_as_before = match then {
            Then::Serves => true,
            Then::IsReset => matches!(timeout(deadline, server.reset()).await, Ok(Ok(()))),
            Then::Ends => false,
        };
        if is_as_before {
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

    use session::{Address, BoxFuture, LaunchErrorKind};
    use transcript::evidence::Observation;
    use transcript::{ConnId, Endpoint, Event, ExitStatus};
    use wire::Direction;

    use super::*;

    const SOON: Duration = Duration::from_secs(1);

    /// What became of the servers of a build.
    #[derive(Default)]
    struct Counts {
        started: AtomicUsize,
        stopped: AtomicUsize,
        reset: AtomicUsize,
        /// Every server dies while nobody has it.
        die: AtomicBool,
        /// The next start fails.
        fail: AtomicBool,
    }

    struct Build(Arc<Counts>, Resets);

    struct Running {
        number: usize,
        address: Address,
        counts: Arc<Counts>,
        resets: Resets,
        /// A case has left something behind.
        used: bool,
    }

    /// What comes of a reset.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
    enum Resets {
        #[default]
        Well,
        Fails,
        NeverEnds,
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
                let (counts, resets) = (Arc::clone(&self.0), self.1);
                Ok(Box::new(Running { number, address, counts, resets, used: false }) as Box<dyn Server>)
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
            recorder.observe(Direction::ToClient, Observation::HeldBytes, if self.used { "1" } else { "0" });
        }

        fn prepare<'a>(&'a mut self, _condition: &'a str) -> BoxFuture<'a, Result<(), LaunchError>> {
            self.used = true;
            Box::pin(async { Ok(()) })
        }

        fn reset(&mut self) -> BoxFuture<'_, Result<(), LaunchError>> {
            Box::pin(async {
                self.counts.reset.fetch_add(1, Ordering::SeqCst);
                match self.resets {
                    Resets::Well => {
                        self.used = false;
                        Ok(())
                    }
                    Resets::Fails => Err(LaunchError::new("reset it", LaunchErrorKind::CannotAct)),
                    Resets::NeverEnds => std::future::pending().await,
                }
            })
        }

        fn stop(self: Box<Self>) -> BoxFuture<'static, ()> {
            Box::pin(async move {
                self.counts.stopped.fetch_add(1, Ordering::SeqCst);
            })
        }
    }

    fn pool(source: SourceKind, disturbing: usize) -> (Pool, Arc<Counts>) {
        let counts = Arc::new(Counts::default());
        let pool = Pool::new(Arc::new(Build(Arc::clone(&counts), Resets::Well)), source);
        (0..disturbing).for_each(|_| pool.expect(Hazard::Disturbs));
        (pool, counts)
    }

    /// Plays that many cells one after the other, each long enough for a server to start; how many servers were started by
    /// then, and that none is left at the end.
    async fn cells(pool: &Pool, counts: &Counts, hazard: Hazard, count: usize) -> usize {
        for _ in 0..count {
            let server = pool.take(hazard, Start::within(SOON)).await;
            tokio::time::sleep(Duration::from_millis(20)).await;
            let then = if hazard == Hazard::Harmless { Then::Serves } else { Then::Ends };
            pool.give_back(server.expect("it starts"), then, SOON).await;
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

    /// Three cells whose doings can be undone, behind the second of which that becomes of its server: how many servers were
    /// started, and how many resets were asked for.
    async fn resettable(resets: Resets, second: Then) -> (usize, usize) {
        let counts = Arc::new(Counts::default());
        let pool = Pool::new(Arc::new(Build(Arc::clone(&counts), resets)), SourceKind::Debian);
        for then in [Then::IsReset, second, Then::IsReset] {
            pool.expect(Hazard::Resettable);
            let server = pool.take(Hazard::Resettable, Start::within(SOON)).await.expect("it starts");
            pool.give_back(server, then, SOON).await;
        }
        pool.stop().await;
        let [started, stopped, reset] =
            [&counts.started, &counts.stopped, &counts.reset].map(|count| count.load(Ordering::SeqCst));
        assert_eq!(started, stopped);
        (started, reset)
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_is_reset_is_shared() {
        assert_eq!(resettable(Resets::Well, Then::IsReset).await, (1, 3));
        // Something unexpected was found there.
        assert_eq!(resettable(Resets::Well, Then::Ends).await, (2, 2));
        assert_eq!(resettable(Resets::Fails, Then::IsReset).await, (3, 3));
        assert_eq!(resettable(Resets::NeverEnds, Then::IsReset).await, (3, 3));
    }

    /// Every order of these.
    fn orders<T: Copy>(of: &[T]) -> Vec<Vec<T>> {
        let Some((first, rest)) = of.split_first() else { return vec![Vec::new()] };
        let with =
            |order: Vec<T>| (0..=order.len()).map(move |at| [&order[..at], &[*first], &order[at..]].concat());
        orders(rest).into_iter().flat_map(with).collect()
    }

    /// A case finds the state after the start, whatever came before it.
    #[tokio::test(start_paused = true)]
    async fn the_order_of_cells_does_not_show() {
        let cells = [
            (Hazard::Harmless, Then::Serves),
            (Hazard::Harmless, Then::Ends),
            (Hazard::Resettable, Then::IsReset),
            (Hazard::Resettable, Then::Ends),
            (Hazard::Disturbs, Then::Ends),
        ];
        for resets in [Resets::Well, Resets::Fails] {
            for order in orders(&cells) {
                let pool = Pool::new(Arc::new(Build(Arc::default(), resets)), SourceKind::Debian);
                order.iter().for_each(|(hazard, _)| pool.expect(*hazard));
                for (hazard, then) in &order {
                    let mut server = pool.take(*hazard, Start::within(SOON)).await.expect("it starts");
                    let look = Recorder::new();
                    server.watch(&look);
                    let is_new = |event: &Event| event.kind.observed() == Some((Observation::HeldBytes, "0"));
                    assert!(look.take().iter().any(is_new), "{hazard:?} of {order:?}");
                    if *hazard > Hazard::Harmless || *then == Then::Ends {
                        server.prepare("used").await.expect("it is");
                    }
                    pool.give_back(server, *then, SOON).await;
                }
                pool.stop().await;
            }
        }
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
        let how = Start::within(SOON);
        for _ in 0..2 {
            let server = pool.take(Hazard::Disturbs, how).await.expect("it starts");
            // Until here one is started ahead; that for the third cell fails while nobody waits for it.
            counts.fail.store(counts.started.load(Ordering::SeqCst) == 2, Ordering::SeqCst);
            tokio::time::sleep(Duration::from_millis(20)).await;
            pool.give_back(server, Then::Ends, SOON).await;
        }
        assert!(!counts.fail.load(Ordering::SeqCst), "the start ahead has failed");
        let third = pool.take(Hazard::Disturbs, how).await.expect("it is started again");
        pool.give_back(third, Then::Ends, SOON).await;
        pool.stop().await;
        assert_eq!(counts.started.load(Ordering::SeqCst), 3);
        assert_eq!(counts.stopped.load(Ordering::SeqCst), 3);
    }
}
