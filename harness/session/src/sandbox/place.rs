//! A place: where the processes of a peer run, whoever made it.
//!
//! ```text
//! Slot        namespaces of the sandbox's own; the roots of builds are mounted in it
//! container   made by an engine, of an image that is the root of one build (`harness/containers`)
//! ```
//!
//! In each of them an agent, which is this program, mounts, starts and kills on request, and says how every process ended.
//! What a place is made of differs, what is done in it does not: that is written once, on `dyn Place`.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rustix::process::Signal;
use tokio::time::Instant;
use transcript::ExitStatus;

use super::agent::{MountStep, Op};
use super::link::AgentLink;
use super::look::Beside;
use super::streams::{Watched, new_pipe, open_input, receiver};
use super::{Cgroup, NetNs};
use crate::patience::{Pair, Wait};
use crate::process::{Output, capture};
use crate::{BoxFuture, Worker};

/// How long a killed process may take to be reaped.
const REAP_DEADLINE: Duration = Duration::from_secs(2);
/// The directory of a place that all roots in it show as `/wireskew`.
const WORK: &str = "w";

/// Where the processes of a peer run. Dropping it ends everything in it without waiting; [`Place::close`] waits.
pub trait Place: fmt::Debug + Send + Sync {
    /// A number that no other place of this process has: see [`fresh_id`].
    fn id(&self) -> u64;

    /// Who does there what is asked.
    fn agent(&self) -> &AgentLink;

    /// A directory for files of the place; the same path outside and inside.
    fn directory(&self) -> &Path;

    /// Its root directory as it is seen from outside, with what is mounted only there.
    fn root(&self) -> &Path;

    /// The cgroup that is the root of the view of its processes, as it is seen from outside.
    fn cgroup(&self) -> &Cgroup;

    /// Its network namespace.
    fn netns(&self) -> &NetNs;

    /// The image that it was made of. Its root is the root of a build then, and no other can be shown there; without one,
    /// roots are mounted, and what the sandbox sees is seen there, too.
    fn image(&self) -> Option<&str>;

    /// Ends everything in it and removes what is left of it.
    fn close(&self) -> BoxFuture<'_, ()>;
}

/// A number for a place.
#[must_use]
pub fn fresh_id() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// Why something could not be done in a place.
#[derive(Debug, thiserror::Error)]
pub enum PlaceError {
    /// This process is not in a sandbox.
    #[error("live builds run only in a sandbox")]
    NoSandbox,
    /// The operating system refused.
    #[error("{what}")]
    Io {
        /// What was attempted.
        what: &'static str,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
    /// The agent, or whoever makes places, could not carry out a request.
    #[error("{what}: {why}")]
    Refused {
        /// What was attempted.
        what: &'static str,
        /// What was said.
        why: String,
    },
    /// The agent ended or did not answer.
    #[error("{what}: the place ended or does not answer")]
    Gone {
        /// What was attempted.
        what: &'static str,
    },
}

pub(super) fn context(what: &'static str) -> impl FnOnce(io::Error) -> PlaceError {
    move |source| PlaceError::Io { what, source }
}

/// A command to run in a place.
#[derive(Debug, Clone, Default)]
pub struct PlaceCommand {
    /// The root directory of the process, as the place sees it.
    pub root: PathBuf,
    /// The program and its arguments.
    pub argv: Vec<String>,
    /// All variables that it gets.
    pub env: Vec<(String, String)>,
    /// Its user and group, by number; without any, root's. Other groups it has none then.
    pub user: Option<(u32, u32)>,
    /// What it reads from its standard input, which ends behind it.
    pub input: Input,
}

/// What a process reads from its standard input.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Input {
    /// Nothing: `/dev/null`.
    #[default]
    Nothing,
    /// These bytes, at once.
    Bytes(Vec<u8>),
    /// These bytes, as soon as it has printed that text, and again until it ends; as a person at a
    /// terminal does.
    After {
        /// The text that is waited for on its standard output.
        prompt: Vec<u8>,
        /// What is typed then.
        typed: Vec<u8>,
    },
}

impl dyn Place + '_ {
    /// The directory that all roots of the place show as `/wireskew`.
    #[must_use]
    pub fn work(&self) -> PathBuf {
        self.directory().join(WORK)
    }

    /// A path as seen from outside of something in the place, also of what is mounted only there, e.g. its `/proc`.
    #[must_use]
    pub fn path(&self, inside: impl AsRef<Path>) -> PathBuf {
        let inside = inside.as_ref();
        self.root().join(inside.strip_prefix("/").unwrap_or(inside))
    }

    /// The same path as the place sees it. One that is not below its root is the same there.
    #[must_use]
    pub fn inside(&self, outside: &Path) -> PathBuf {
        match outside.strip_prefix(self.root()) {
            Ok(below) => Path::new("/").join(below),
            Err(_) => outside.to_owned(),
        }
    }

    /// How a process of the place ended, if it has.
    #[must_use]
    pub fn ended(&self, pid: i32) -> Option<ExitStatus> {
        self.agent().ended(pid)
    }

    /// Waits until a process of the place has ended; `None` when the place itself ended or the deadline passed.
    pub async fn wait(&self, pid: i32, deadline: Duration) -> Option<ExitStatus> {
        self.agent().wait(pid, deadline).await
    }

    /// Waits until a process has ended that is at work; `None` when it has had its time, or the place itself ended.
    async fn wait_at_work(
        &self,
        pid: i32,
        server: Option<&dyn Worker>,
        deadline: Duration,
    ) -> Option<ExitStatus> {
        let client = &Beside { place: self, pid };
        let mut wait = Wait::new(deadline);
        loop {
            let exit = self.wait(pid, wait.left(true)).await;
            let goes_on = |wait: &mut Wait| wait.goes_on(Some(&Pair { client, server }));
            if exit.is_some() || self.agent().is_gone() || !goes_on(&mut wait) {
                return exit;
            }
        }
    }

    /// Prepares the file systems. In a container only a process may that was given the rights to do so.
    ///
    /// # Errors
    /// See [`PlaceError`].
    pub async fn mount(&self, steps: Vec<MountStep>) -> Result<(), PlaceError> {
        self.agent().request("mount", Op::Mount(steps), &[]).await.map(drop)
    }

    /// Signals a process of the place, or its whole group. That it is gone already is no error.
    ///
    /// # Errors
    /// See [`PlaceError`].
    pub async fn kill(&self, pid: i32, group: bool, signal: Signal) -> Result<(), PlaceError> {
        match self.agent().request("kill", Op::Kill { pid, group, signal: signal.as_raw() }, &[]).await {
            Err(PlaceError::Refused { .. }) | Ok(_) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Starts a process and gives its pid in the place.
    ///
    /// # Errors
    /// See [`PlaceError`].
    pub async fn spawn(&self, command: &PlaceCommand, streams: [OwnedFd; 3]) -> Result<i32, PlaceError> {
        let PlaceCommand { root, argv, env, user, .. } = command.clone();
        let fds = streams.each_ref().map(AsFd::as_fd);
        let spawned = self.agent().request("spawn", Op::Spawn { root, argv, env, user }, &fds).await;
        spawned.map(|(pid, _)| pid)
    }

    /// A descriptor of a process of the place, by its pid there, which may mean nothing here.
    ///
    /// # Errors
    /// See [`PlaceError`].
    pub async fn pidfd(&self, pid: i32) -> Result<OwnedFd, PlaceError> {
        let what = "open a process";
        let (_, fds) = self.agent().request(what, Op::OpenProcess(pid), &[]).await?;
        fds.into_iter().next().ok_or(PlaceError::Gone { what })
    }

    /// Runs a process to its end or to the deadline, when its whole group is killed. The deadline counts in the time of
    /// the process, and of the server that it asks, where that can be seen.
    ///
    /// # Errors
    /// See [`PlaceError`].
    pub async fn run(
        &self,
        command: &PlaceCommand,
        deadline: Duration,
        server: Option<&dyn Worker>,
    ) -> Result<Output, PlaceError> {
        let start = Instant::now();
        let (stdout, stdout_end) = new_pipe()?;
        let (stderr, stderr_end) = new_pipe()?;
        let (stdin, typist) = open_input(&command.input)?;
        let pid = self.spawn(command, [stdin, stdout_end, stderr_end]).await?;
        let stdout = Watched { stream: receiver(stdout)?, typist, typing: None };
        let ended = async {
            let exit = self.wait_at_work(pid, server, deadline).await;
            if exit.is_none() {
                let _ = self.kill(pid, true, Signal::KILL).await;
                let _ = self.wait(pid, REAP_DEADLINE).await;
            }
            exit
        };
        let (exit, stdout, stderr) = capture(stdout, receiver(stderr)?, ended).await;
        Ok(Output { exit, stdout, stderr, took: start.elapsed() })
    }
}

impl PartialEq for dyn Place + '_ {
    fn eq(&self, other: &Self) -> bool {
        self.id() == other.id()
    }
}

impl Eq for dyn Place + '_ {}

impl Hash for dyn Place + '_ {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.id().hash(state);
    }
}
