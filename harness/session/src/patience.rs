//! How long a server is waited for: in its own time where that can be seen.
//!
//! A deadline on the clock on the wall says how long a machine may take, not how long a server may. On a busy machine
//! both are far apart. So a wait for a real server goes on behind its deadline as long as the server is at work and has
//! not had the processor for as long as the deadline allows: one that is starved is waited for, one that sleeps or spins
//! is not. And silence is believed only of a server that is at rest.

use std::time::Duration;

use tokio::time::Instant;

/// No bound is shorter than this many times the slowest answer so far.
const TIMES: u32 = 10;
/// Longest bound that comes of that: 64 clients that go leave libvirtd work for 1.35 s.
const LEAST_MAX: Duration = Duration::from_secs(15);
/// How long a server that is at work may be waited for. On two processors with a load of 22 libvirtd needs 24 s for the
/// 1.3 s of work that 64 clients leave.
const WORK_MAX: Duration = Duration::from_secs(60);
/// Longer than anybody waits.
const FAR: Duration = Duration::from_secs(86_400 * 365);
/// How often it is looked at behind its deadline.
const LOOK_AGAIN: Duration = Duration::from_millis(10);
/// How often it is asked whether what is waited for is so.
const ASK_AGAIN: Duration = Duration::from_millis(2);
/// How often it is looked at until it is at rest.
pub(crate) const REST_AGAIN: Duration = Duration::from_millis(1);
/// What part of a wait passes before the server is looked at for the first time. Most answers come sooner.
const FIRST_LOOK: u32 = 10;
/// What part of the time between two looks a server that is at work has the processor at least.
const AT_WORK: u32 = 10;

/// Something whose work can be seen from outside: the processes of a real server.
pub trait Worker: Send + Sync {
    /// What it does at this moment; `None` when it is gone.
    fn look(&self) -> Option<Look>;
}

/// What a server does at a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Look {
    /// It could go on if it were given a processor, or there is something for it to take in hand.
    pub busy: bool,
    /// How long it has had a processor since it was started.
    pub cpu: Duration,
    /// A number that is another one when any part of it has run since.
    pub pulse: u64,
}

impl Look {
    /// Whether it did nothing from this look to a later one. Then all parts of it slept at the same time, although they
    /// were looked at one after the other: only a message or a timer can wake it.
    #[must_use]
    pub fn rested_until(&self, later: &Self) -> bool {
        !self.busy && !later.busy && self.pulse == later.pulse
    }
}

/// Whether a worker is at rest; one that is gone is.
#[must_use]
pub fn is_at_rest(worker: &dyn Worker) -> bool {
    let Some(first) = worker.look() else { return true };
    // To look at every thread of a server takes its time, too.
    !first.busy && worker.look().is_none_or(|second| first.rested_until(&second))
}

/// Waits until a worker is at rest, or has had the processor for so long, or the bound for all waits is reached.
pub async fn until_at_rest(worker: &dyn Worker, cpu_max: Duration) {
    let mut wait = Wait::behind(cpu_max);
    while !is_at_rest(worker) && wait.goes_on(Some(worker)) {
        tokio::time::sleep(REST_AGAIN).await;
    }
}

/// A client, and the server that it may be waiting for. It is gone with the client.
pub struct Pair<'a> {
    /// The client.
    pub client: &'a dyn Worker,
    /// The server, where its work can be seen.
    pub server: Option<&'a dyn Worker>,
}

impl Worker for Pair<'_> {
    fn look(&self) -> Option<Look> {
        let client = self.client.look()?;
        let server = self.server.and_then(Worker::look).unwrap_or_default();
        Some(Look {
            busy: client.busy || server.busy,
            cpu: client.cpu + server.cpu,
            pulse: client.pulse.wrapping_add(server.pulse),
        })
    }
}

/// Waits until something is so that a worker brings about. False when the worker has had its time.
///
/// # Errors
/// Those of the question.
pub async fn until<E>(
    worker: &dyn Worker,
    allowed: Duration,
    mut is_so: impl FnMut() -> Result<bool, E>,
) -> Result<bool, E> {
    let mut wait = Wait::new(allowed);
    while !is_so()? {
        if wait.left(true).is_zero() && !wait.goes_on(Some(worker)) {
            return Ok(false);
        }
        tokio::time::sleep(ASK_AGAIN).await;
    }
    Ok(true)
}

/// What was learned of how fast a server is.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    slowest: Duration,
}

impl Pace {
    /// It answered after so long.
    pub(crate) fn answered(&mut self, after: Duration) {
        self.slowest = self.slowest.max(after);
    }

    /// A bound that is fair to it.
    pub(crate) fn bound(&self, bound: Duration) -> Duration {
        bound.max(self.slowest.saturating_mul(TIMES).min(LEAST_MAX))
    }
}

/// One wait for a server.
#[derive(Debug)]
pub(crate) struct Wait {
    start: Instant,
    until: Instant,
    allowed: Duration,
    /// The first look at the server during this wait.
    first: Option<Look>,
    /// The last one, and when it was.
    last: Option<(Look, Instant)>,
}

impl Wait {
    /// For so long, on the wall or of the server's own time.
    pub(crate) fn new(allowed: Duration) -> Self {
        let start = Instant::now();
        // A bound that no clock reaches is none.
        let until = start.checked_add(allowed).unwrap_or_else(|| start + FAR);
        Self { start, until, allowed, first: None, last: None }
    }

    /// One whose time on the wall is over already.
    fn behind(allowed: Duration) -> Self {
        Self { until: Instant::now(), ..Self::new(allowed) }
    }

    /// How long to wait until asking whether it goes on.
    pub(crate) fn left(&self, is_seen: bool) -> Duration {
        let until = match self.first {
            None if is_seen => self.until.min(self.start + self.allowed / FIRST_LOOK),
            _ => self.until,
        };
        until.saturating_duration_since(Instant::now())
    }

    /// Whether it goes on although nothing came: it is not over, or the server is at work and has not had its time.
    pub(crate) fn goes_on(&mut self, worker: Option<&dyn Worker>) -> bool {
        let now = Instant::now();
        let look = worker.and_then(Worker::look);
        let Some(look) = look else { return now < self.until };
        let first = *self.first.get_or_insert(look);
        let last = self.last.replace((look, now));
        if now < self.until {
            return true;
        }
        let ran = |since: &Look| look.cpu.saturating_sub(since.cpu);
        // Between two looks it may have slept for a moment.
        let worked = |(since, then): (Look, Instant)| ran(&since) >= now.duration_since(then) / AT_WORK;
        let is_at_work = look.busy || last.is_some_and(|last| now > last.1 && worked(last));
        let goes_on = is_at_work
            && ran(&first) < self.allowed
            && now.duration_since(self.start) < self.allowed.max(WORK_MAX);
        if goes_on {
            self.until = now + LOOK_AGAIN;
        }
        goes_on
    }

    /// Goes on for a moment whatever the server does.
    pub(crate) fn go_on(&mut self) {
        self.until = Instant::now() + REST_AGAIN;
    }

    /// Whether it has gone on for longer than any wait may.
    pub(crate) fn is_overdue(&self) -> bool {
        self.start.elapsed() >= self.allowed.max(WORK_MAX)
    }

    /// How long it took, or was allowed to take if that is longer.
    pub(crate) fn took(&self) -> Duration {
        self.start.elapsed().max(self.allowed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One whose looks are all the same.
    struct Still(Look);

    impl Worker for Still {
        fn look(&self) -> Option<Look> {
            Some(self.0)
        }
    }

    /// Waits 100 ms for what comes after `after`.
    async fn comes(after: Duration, worker: &dyn Worker) -> bool {
        let start = Instant::now();
        let is_so = || Ok::<_, std::convert::Infallible>(start.elapsed() >= after);
        until(worker, Duration::from_millis(100), is_so).await.unwrap_or_default()
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_is_starved_is_waited_for_and_whoever_sleeps_is_not() {
        let starved = Still(Look { busy: true, ..Look::default() });
        let asleep = Still(Look::default());
        let (soon, late) = (Duration::from_millis(50), Duration::from_secs(3));
        assert!(comes(soon, &asleep).await);
        assert!(!comes(late, &asleep).await);
        assert!(comes(late, &starved).await);
        assert!(!comes(WORK_MAX + late, &starved).await);
        // A client that sleeps because its server is starved is waited for as well.
        assert!(comes(late, &Pair { client: &asleep, server: Some(&starved) }).await);
    }
}
