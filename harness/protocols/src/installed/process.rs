//! What is seen of a process that was started in a slot.
#![expect(clippy::disallowed_methods, reason = "it waits for real processes")]

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use session::sandbox::{Slot, SlotError};
use session::{Look, Recorder, Worker};
use transcript::{ConnId, EventKind, ExitStatus};
use wire::Direction;

/// How long a process that is on its way out may take to be reaped.
const DYING_MAX: Duration = Duration::from_millis(500);
/// Flags of a process in `/proc/<pid>/stat` that is on its way out: exiting, dumping core, killed by a signal
/// (`PF_EXITING`, `PF_DUMPCORE`, `PF_SIGNALED` of `include/linux/sched.h`).
const DYING_FLAGS: u64 = 0x4 | 0x200 | 0x400;

/// Key of the processor's time that a process has used, in milliseconds.
pub(crate) const CPU_MS: &str = "cpu_ms";
/// Milliseconds of a clock tick in `/proc/<pid>/stat`: Linux tells user space 100 of them for each second.
const TICK_MS: u64 = 10;
/// States of a thread that sleeps until somebody wakes it, or has ended. In any other it runs, waits for a processor, or
/// waits for the kernel to do what it was asked.
const ASLEEP: [&str; 5] = ["S", "I", "Z", "X", "T"];

/// A process in a slot.
#[derive(Debug, Clone)]
pub(crate) struct Process {
    slot: Arc<Slot>,
    /// In the slot's pid namespace.
    pid: i32,
}

impl Process {
    /// That of this pid in the slot.
    pub(crate) fn new(slot: &Arc<Slot>, pid: i32) -> Self {
        Self { slot: Arc::clone(slot), pid }
    }

    /// How it ended, if it did. One that is on its way out is waited for, so that a crash is not taken for life
    /// because its sockets closed before its parent was told.
    pub(crate) fn ended(&self) -> Option<ExitStatus> {
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
    /// When the slot is gone.
    pub(crate) async fn end(
        &self,
        signal: Signal,
        deadline: Duration,
    ) -> Result<Option<ExitStatus>, SlotError> {
        self.slot.kill(self.pid, false, signal).await?;
        Ok(self.slot.wait(self.pid, deadline).await)
    }

    /// Writes down that it is gone, or what can be seen of it from outside.
    pub(crate) fn watch(&self, recorder: &Recorder) {
        if let Some(status) = self.ended() {
            recorder.record(ConnId(0), Direction::ToClient, EventKind::Exit(status));
            return;
        }
        let observe = |key: &str, value: Option<String>| {
            if let Some(value) = value {
                recorder.observe(Direction::ToClient, key, value);
            }
        };
        observe("alive", Some("yes".to_owned()));
        let proc = self.slot.path(format!("/proc/{}", self.pid));
        observe("fds", fs::read_dir(proc.join("fd")).ok().map(|entries| entries.count().to_string()));
        let status = fs::read_to_string(proc.join("status")).unwrap_or_default();
        let rss = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        observe("rss_kib", rss.map(|text| text.trim().trim_end_matches(" kB").to_owned()));
    }

    /// Writes down how much of the processor's time it has used.
    pub(crate) fn watch_time(&self, recorder: &Recorder) {
        let stat = fs::read_to_string(self.slot.path(format!("/proc/{}/stat", self.pid))).ok();
        if let Some(ticks) = stat.as_deref().and_then(stat_ticks) {
            recorder.observe(Direction::ToClient, CPU_MS, (ticks * TICK_MS).to_string());
        }
    }

    fn is_dying(&self) -> bool {
        let stat = fs::read_to_string(self.slot.path(format!("/proc/{}/stat", self.pid)));
        stat.ok().as_deref().and_then(stat_is_dying).unwrap_or(true)
    }
}

impl Worker for Process {
    /// What it and all others in its slot do: a daemon that waits for a script is at work.
    fn look(&self) -> Option<Look> {
        let proc = self.slot.path("/proc");
        let mut look = Look::default();
        let mut is_there = false;
        for entry in fs::read_dir(&proc).ok()?.flatten() {
            let pid = entry.file_name().to_str().and_then(|name| name.parse::<i32>().ok());
            // The first process is ours.
            let Some(pid) = pid.filter(|pid| *pid > 1) else { continue };
            is_there |= pid == self.pid;
            add_threads(&entry.path(), &mut look);
        }
        is_there.then_some(look)
    }
}

/// Adds what the threads of a process do. What has ended since does nothing.
fn add_threads(process: &Path, look: &mut Look) {
    for thread in fs::read_dir(process.join("task")).into_iter().flatten().flatten() {
        let read = |name: &str| fs::read_to_string(thread.path().join(name)).unwrap_or_default();
        let stat = read("stat");
        let Some((_, fields)) = stat.rsplit_once(") ") else { continue };
        look.busy |= !fields.split(' ').next().is_some_and(|state| ASLEEP.contains(&state));
        let (ran, turns) = schedstat(&read("schedstat"))
            .unwrap_or_else(|| (Duration::from_millis(stat_ticks(&stat).unwrap_or(0) * TICK_MS), 0));
        look.cpu += ran;
        let ran = u64::try_from(ran.as_nanos()).unwrap_or(u64::MAX);
        // A thread more or less shows, too.
        look.pulse = look.pulse.wrapping_add(ran).wrapping_add(turns).wrapping_add(1);
    }
}

/// How long a thread ran, and how often it got a processor: from the text of `/proc/<pid>/task/<tid>/schedstat`,
/// `<ns on a processor> <ns waiting for one> <turns>`.
fn schedstat(text: &str) -> Option<(Duration, u64)> {
    let mut fields = text.split_whitespace();
    let ran = Duration::from_nanos(fields.next()?.parse().ok()?);
    Some((ran, fields.nth(1)?.parse().ok()?))
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

/// The ticks that a process was running, for itself and in the kernel.
fn stat_ticks(stat: &str) -> Option<u64> {
    let (_, fields) = stat.rsplit_once(") ")?;
    let mut fields = fields.split(' ').skip(11);
    let ticks = |field: Option<&str>| field?.parse::<u64>().ok();
    Some(ticks(fields.next())?.saturating_add(ticks(fields.next())?))
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

    #[test]
    fn reads_the_time_that_a_process_was_running() {
        let stat = "12 (qemu-ga) x) S 1 12 12 0 -1 4194560 99 0 0 0 7 3 0 0 20 0 1 0 5 0 0";
        assert_eq!(stat_ticks(stat), Some(10));
        assert_eq!(stat_ticks("12 (qemu-ga) S 1"), None);
    }

    #[test]
    fn reads_how_long_a_thread_ran_and_how_often() {
        assert_eq!(schedstat("134932 2119518 2\n"), Some((Duration::from_nanos(134_932), 2)));
        assert_eq!(schedstat("134932 2119518"), None);
        assert_eq!(schedstat(""), None);
    }

    #[test]
    fn a_process_that_runs_is_busy() {
        let look = |process: &Path| {
            let mut look = Look::default();
            add_threads(process, &mut look);
            look
        };
        // One thread at least runs while this looks.
        let own = look(Path::new("/proc/self"));
        assert!(own.busy && own.cpu > Duration::ZERO, "{own:?}");
        assert!(!own.rested_until(&look(Path::new("/proc/self"))));
        assert_eq!(look(Path::new("/nonexistent")), Look::default());
    }
}
