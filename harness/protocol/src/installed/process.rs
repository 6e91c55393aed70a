//! What is seen of a process that was started in a place.
#![expect(clippy::disallowed_methods, reason = "it waits for real processes")]

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use session::sandbox::{Place, PlaceError, ran};
use session::{Look, Recorder, Worker};
use transcript::evidence::Observation;
use transcript::{ConnId, EventKind, ExitStatus};
use wire::Direction;

/// How long a process that is on its way out may take to be reaped.
const DYING_MAX: Duration = Duration::from_millis(500);
/// Flags of a process in `/proc/<pid>/stat` that is on its way out: exiting, dumping core, killed by a signal
/// (`PF_EXITING`, `PF_DUMPCORE`, `PF_SIGNALED` of `include/linux/sched.h`).
const DYING_FLAGS: u64 = 0x4 | 0x200 | 0x400;

/// A process in a place.
#[derive(Debug, Clone)]
pub struct Process {
    slot: Arc<dyn Place>,
    /// In the place's pid namespace.
    pid: i32,
}

impl Process {
    /// That of this pid in the place.
    pub fn new(slot: &Arc<dyn Place>, pid: i32) -> Self {
        Self { slot: Arc::clone(slot), pid }
    }

    /// How it ended, if it did. One that is on its way out is waited for, so that a crash is not taken for life
    /// because its sockets closed before its parent was told.
    pub fn ended(&self) -> Option<ExitStatus> {
        let until = Instant::now() + DYING_MAX;
        loop {
            if let Some(status) = self.slot.ended(self.pid) {
                return Some(status);
            }
            if !self.is_dying() {
                return None;
            }
            if Instant::now() >= until {
                return Some(ExitStatus::Gone);
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Sends it a signal that ends it, and waits for that; `None` when it is still there after the deadline.
    ///
    /// # Errors
    /// When the place is gone.
    pub async fn end(&self, signal: Signal, deadline: Duration) -> Result<Option<ExitStatus>, PlaceError> {
        self.slot.kill(self.pid, false, signal).await?;
        Ok(self.slot.wait(self.pid, deadline).await)
    }

    /// Sends it a signal that does not end it.
    ///
    /// # Errors
    /// When the place is gone.
    pub async fn signal(&self, signal: Signal) -> Result<(), PlaceError> {
        self.slot.kill(self.pid, false, signal).await
    }

    /// Writes down that it is gone, or what can be seen of it from outside.
    pub fn watch(&self, recorder: &Recorder) {
        if let Some(status) = self.ended() {
            recorder.record(ConnId(0), Direction::ToClient, EventKind::Exit(status));
            return;
        }
        watch(&self.slot.path(format!("/proc/{}", self.pid)), recorder);
    }

    /// Writes down how much of the processor's time it has used.
    pub fn watch_time(&self, recorder: &Recorder) {
        let stat = fs::read_to_string(self.slot.path(format!("/proc/{}/stat", self.pid))).ok();
        if let Some(ran) = stat.as_deref().and_then(ran) {
            recorder.observe(Direction::ToClient, Observation::CpuMs, ran.as_millis().to_string());
        }
    }

    fn is_dying(&self) -> bool {
        let stat = fs::read_to_string(self.slot.path(format!("/proc/{}/stat", self.pid)));
        stat.ok().as_deref().and_then(stat_is_dying).unwrap_or(true)
    }
}

/// Writes down what can be seen of a process that is there, from its directory in `/proc`.
pub(crate) fn watch(proc: &Path, recorder: &Recorder) {
    let observe = |what, value: Option<String>| {
        if let Some(value) = value {
            recorder.observe(Direction::ToClient, what, value);
        }
    };
    observe(Observation::Alive, Some("yes".to_owned()));
    observe(Observation::Fds, fs::read_dir(proc.join("fd")).ok().map(|entries| entries.count().to_string()));
    let status = fs::read_to_string(proc.join("status")).unwrap_or_default();
    let rss = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    observe(Observation::RssKib, rss.map(|text| text.trim().trim_end_matches(" kB").to_owned()));
}

impl Worker for Process {
    /// What it and all others in its place do: a daemon that waits for a script is at work.
    fn look(&self) -> Option<Look> {
        self.slot.look_beside(self.pid)
    }
}

/// From the text of `/proc/<pid>/stat`, `pid (name) state ppid pgrp session tty tpgid flags …`. The name may hold
/// anything.
fn stat_is_dying(stat: &str) -> Option<bool> {
    let (_, fields) = stat.rsplit_once(") ")?;
    let mut fields = fields.split(' ');
    let state = fields.next()?;
    let flags: u64 = fields.nth(5)?.parse().ok()?;
    Some(matches!(state, "Z" | "X") || flags & DYING_FLAGS != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(stat: &str, expect: Option<bool>) {
        assert_eq!(stat_is_dying(stat), expect);
    }

    #[test]
    fn tells_a_dying_process_from_a_living_one() {
        check("12 ([lxc monitor] ) x) S 1 12 12 0 -1 4194560 99 0", Some(false));
        check("12 (lxc-start) Z 1 12 12 0 -1 4227084 99 0", Some(true));
        check("12 (lxc-start) R 1 12 12 0 -1 4195332 99 0", Some(true));
        check("12 (lxc", None);
        check("", None);
    }
}
