//! What is really so with the containers of a slot, read from cgroups, processes and directories.

use std::convert::Infallible;
use std::fs;
use std::path::Path;
use std::time::Duration;

use protocol::effects::effect;
use protocol::installed::Process;
use protocol::launch::Place;
use session::sandbox::Cgroup;
use session::{Recorder, until};

use super::bundle;
use super::place::run;
use crate::operations::{BUNDLE, CONTAINER, KEPT, PAUSED, RESUMED, SHIM};

/// Effect: what the container has said, if it was made with `/run/bundle/c1/stdout` as its stdout; likewise its stderr.
const STDOUT: &str = "stdout";
const STDERR: &str = "stderr";

/// How long a shim dials where nobody answers, for each event (bug SHIM-16).
const DIAL: Duration = Duration::from_secs(5);
/// How long a shim without a container may take to end, which takes 21 to 44 ms (measured), in its own time.
pub(super) const END: Duration = Duration::from_millis(500);
/// The same where nobody hears what it reports. One that sleeps for so long dials, and one that is at work is waited for, so that
/// no machine is too busy.
pub(super) const END_UNHEARD: Duration = DIAL.checked_div(2).expect("it is not divided by nothing");
/// How often is looked again.
const LOOK_AGAIN: Duration = Duration::from_millis(5);
/// Where daemons have bundles, below `/run`.
const BUNDLES: &str = "containerd/io.containerd.runtime.v2.task/default";
/// Number of the signal by which a container is asked to end.
const SIGTERM: u32 = 15;

/// A container of a slot.
#[derive(Debug)]
pub(super) struct Container<'a> {
    place: &'a Place,
    id: &'a str,
}

impl<'a> Container<'a> {
    /// That of this id.
    pub(super) fn new(place: &'a Place, id: &'a str) -> Self {
        Self { place, id }
    }

    fn cgroup(&self) -> Cgroup {
        Cgroup::at(self.place.slot.cgroup().path().join(self.id))
    }

    /// Its processes, as we see them, those that have ended left out.
    pub(super) fn processes(&self) -> Vec<i32> {
        let mut pids = self.cgroup().processes().unwrap_or_default();
        pids.retain(|pid| !has_ended(*pid));
        pids.sort_unstable();
        pids
    }

    /// Its first process, if there is one.
    pub(super) fn first(&self) -> Option<i32> {
        self.processes().first().copied()
    }

    /// What it is.
    fn is(&self) -> &'static str {
        match self.first() {
            None => "gone",
            Some(_) if self.frozen() => "paused",
            Some(_) => "running",
        }
    }

    /// Whether the kernel says that it is frozen.
    pub(super) fn frozen(&self) -> bool {
        self.cgroup().frozen().unwrap_or(false)
    }

    /// Whether it is ready to be asked to end: a process that is pid 1 does not get signals for which it has set no handler yet.
    pub(super) fn catches_term(&self) -> bool {
        let status = self.first().map(|pid| fs::read_to_string(format!("/proc/{pid}/status")));
        catches(&status.and_then(Result::ok).unwrap_or_default(), SIGTERM)
    }

    /// The bundle in which a daemon has started it, as we see it.
    pub(super) fn bundle(&self) -> std::path::PathBuf {
        run(self.place).join(BUNDLES).join(self.id)
    }
}

/// Writes down what is so with a container and its shim, which has so much time to end where there is no container.
pub(super) async fn write(container: &Container<'_>, shim: &Process, allowed: Duration, recorder: &Recorder) {
    effect(recorder, CONTAINER, container.is());
    let has_ended = || shim.ended().is_some();
    let has_ended = match container.first() {
        None => until(shim, allowed, || Ok::<_, Infallible>(has_ended())).await.unwrap_or(false),
        Some(_) => has_ended(),
    };
    effect(recorder, SHIM, yes_or_no(!has_ended));
}

/// Writes down whether the bundle of a container is there that a daemon has started.
pub(super) fn write_bundle(container: &Container<'_>, recorder: &Recorder) {
    effect(recorder, BUNDLE, yes_or_no(container.bundle().is_dir()));
}

/// Writes down what became of a container that a daemon has left, for a client that is no daemon: then the shim tells us. Of a
/// container that has been paused, the process had been kept.
pub(super) fn write_told(topics: &[String], recorder: &Recorder) {
    let words: [(&str, &[&str]); 2] = [("/tasks/paused", &[KEPT, PAUSED]), ("/tasks/resumed", &[RESUMED])];
    for (topic, effects) in words {
        if topics.iter().any(|told| told == topic) {
            effects.iter().for_each(|word| effect(recorder, word, yes_or_no(true)));
        }
    }
}

/// Writes down what a container has said that no daemon has started, where it was told to say it to the fifos of its bundle.
pub(super) fn write_said(place: &Place, recorder: &Recorder) {
    for (said, fifo) in [(STDOUT, bundle::STDOUT), (STDERR, bundle::STDERR)] {
        let bytes = fs::read(place.work().join(fifo)).unwrap_or_default();
        if !bytes.is_empty() {
            effect(recorder, said, String::from_utf8_lossy(&bytes).trim_end());
        }
    }
}

/// Whether something becomes so before the deadline.
pub(super) async fn in_time(deadline: Duration, is_so: impl Fn() -> bool) -> bool {
    let waits = async {
        while !is_so() {
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    };
    tokio::time::timeout(deadline, waits).await.is_ok()
}

/// The words of effects that are so or not.
pub(super) fn yes_or_no(is_so: bool) -> &'static str {
    if is_so { "yes" } else { "no" }
}

/// Whether nobody but a parent has use for a process.
fn has_ended(pid: i32) -> bool {
    let stat = fs::read_to_string(Path::new("/proc").join(pid.to_string()).join("stat"));
    stat.ok().and_then(|stat| Some(stat.rsplit_once(") ")?.1.starts_with(['Z', 'X']))).unwrap_or(true)
}

/// What runc is called in a container that it starts. It has handlers for all signals, as programs in Go do, and what it is sent
/// before it becomes the first process of the container is lost.
const STARTER: &str = "runc";

/// Whether a process of a container has a handler for a signal, from the text of `/proc/<pid>/status`.
fn catches(status: &str, signal: u32) -> bool {
    let name = status.lines().find_map(|line| line.strip_prefix("Name:")).unwrap_or_default();
    if name.trim_start().starts_with(STARTER) {
        return false;
    }
    let mask = status.lines().find_map(|line| line.strip_prefix("SigCgt:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0);
    mask & (1 << (signal - 1)) != 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_handler_is_read_from_a_mask() {
        assert!(catches("Name:\tinit\nSigCgt:\t0000000000014002\n", SIGTERM));
        assert!(!catches("SigCgt:\t0000000000010002\n", SIGTERM));
        assert!(!catches("", SIGTERM));
        assert!(!catches("Name:\trunc:[2:INIT]\nSigCgt:\tfffffffd7fc1feff\n", SIGTERM));
    }
}
