//! What the processes of a place do, by `proc(5)`.

use std::fs;
use std::path::Path;
use std::time::Duration;

use super::Place;
use crate::{Look, Worker};

/// A clock tick in `/proc/<pid>/stat`: Linux tells user space 100 of them for each second.
const TICK: Duration = Duration::from_millis(10);
/// States of a thread that sleeps until somebody wakes it, or has ended. In any other it runs, waits for a processor, or
/// waits for the kernel to do what it was asked.
const ASLEEP: [&str; 5] = ["S", "I", "Z", "X", "T"];

impl dyn Place + '_ {
    /// What the processes of the place do, as long as that one is there.
    #[must_use]
    pub fn look_beside(&self, pid: i32) -> Option<Look> {
        let mut look = Look::default();
        let mut is_there = false;
        for entry in fs::read_dir(self.path("/proc")).ok()?.flatten() {
            let found = entry.file_name().to_str().and_then(|name| name.parse::<i32>().ok());
            // The first process is ours.
            let Some(found) = found.filter(|found| *found > 1) else { continue };
            is_there |= found == pid;
            add_threads(&entry.path(), &mut look);
        }
        is_there.then_some(look)
    }
}

/// What the processes of a group do, as long as the first of them is there.
#[must_use]
pub fn look_at_group(leader: i32) -> Option<Look> {
    let mut look = Look::default();
    let mut is_there = false;
    for entry in fs::read_dir("/proc").ok()?.flatten() {
        let Some(found) = entry.file_name().to_str().and_then(|name| name.parse::<i32>().ok()) else {
            continue;
        };
        let stat = fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
        if group(&stat) == Some(leader) {
            is_there |= found == leader;
            add_threads(&entry.path(), &mut look);
        }
    }
    is_there.then_some(look)
}

/// The process group, from the text of `/proc/<pid>/stat`.
fn group(stat: &str) -> Option<i32> {
    stat.rsplit_once(") ")?.1.split(' ').nth(2)?.parse().ok()
}

/// A process of a place, with whatever else is there.
pub(super) struct Beside<'a> {
    pub(super) place: &'a dyn Place,
    pub(super) pid: i32,
}

impl Worker for Beside<'_> {
    fn look(&self) -> Option<Look> {
        self.place.look_beside(self.pid)
    }
}

/// Adds what the threads of a process do. What has ended since does nothing.
fn add_threads(process: &Path, look: &mut Look) {
    for thread in fs::read_dir(process.join("task")).into_iter().flatten().flatten() {
        let read = |name: &str| fs::read_to_string(thread.path().join(name)).unwrap_or_default();
        let stat = read("stat");
        let Some((_, fields)) = stat.rsplit_once(") ") else { continue };
        look.busy |= !fields.split(' ').next().is_some_and(|state| ASLEEP.contains(&state));
        let (ran, turns) =
            schedstat(&read("schedstat")).unwrap_or_else(|| (ran(&stat).unwrap_or_default(), 0));
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

/// How long a process was running, for itself and in the kernel, from the text of its `/proc/<pid>/stat`.
#[must_use]
pub fn ran(stat: &str) -> Option<Duration> {
    let (_, fields) = stat.rsplit_once(") ")?;
    let mut fields = fields.split(' ').skip(11);
    let ticks = |field: Option<&str>| field?.parse::<u32>().ok();
    Some(TICK * ticks(fields.next())?.saturating_add(ticks(fields.next())?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_time_that_a_process_was_running() {
        let stat = "12 (qemu-ga) x) S 1 12 12 0 -1 4194560 99 0 0 0 7 3 0 0 20 0 1 0 5 0 0";
        assert_eq!(ran(stat), Some(Duration::from_millis(100)));
        assert_eq!(ran("12 (qemu-ga) S 1"), None);
    }

    #[test]
    fn reads_the_group_of_a_process() {
        assert_eq!(group("12 (a ) x) S 1 11 10 0 -1"), Some(11));
        assert_eq!(group("12 (a"), None);
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
