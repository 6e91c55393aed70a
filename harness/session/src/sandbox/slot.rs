//! A slot: one peer's own mount, network, pid, ipc and cgroup namespaces inside the sandbox.
//!
//! One slot per instance makes instances comparable and their end sure. Paths, names, abstract sockets and cgroup
//! paths are the same in every slot, and process ids nearly so, however many run at the same time; and
//! when the slot's pid 1 goes, the kernel ends everything. A slot costs about 10 ms.

use std::collections::HashMap;
use std::fs::File;
use std::hash::{Hash, Hasher};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with, socketpair, sockopt};
use rustix::process::{Pid, Signal};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use tokio::io::Interest;
use tokio::net::UnixStream;
use tokio::process::Command;
use tokio::sync::{oneshot, watch};
use tokio::time::Instant;
use transcript::ExitStatus;

use super::agent::{MountStep, Op, PACKET_LEN_MAX, Packet, Report, Request, recv, send};
use super::look::Beside;
use super::streams::{Watched, new_pipe, open_input, receiver};
use super::{Cgroup, ROLE, Sandbox, unshared};
use crate::Worker;
use crate::patience::{Pair, Wait};
use crate::process::{Output, capture};

/// How long the agent may take to come up.
const READY_DEADLINE: Duration = Duration::from_secs(10);
/// How long the agent may take to carry out a request.
const REQUEST_DEADLINE: Duration = Duration::from_secs(10);
/// How long the processes of a slot may take to vanish when it ends.
const REMOVAL_DEADLINE: Duration = Duration::from_secs(5);
/// How long a killed process may take to be reaped.
const REAP_DEADLINE: Duration = Duration::from_secs(2);

/// How processes of a slot ended, by their pid in the slot.
pub type Ended = HashMap<i32, ExitStatus>;

/// Why something could not be done in a slot.
#[derive(Debug, thiserror::Error)]
pub enum SlotError {
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
    /// The agent could not carry out a request.
    #[error("{what}: {why}")]
    Refused {
        /// What was attempted.
        what: &'static str,
        /// What the agent said.
        why: String,
    },
    /// The agent ended or did not answer.
    #[error("{what}: the slot ended or does not answer")]
    Gone {
        /// What was attempted.
        what: &'static str,
    },
}

pub(super) fn context(what: &'static str) -> impl FnOnce(io::Error) -> SlotError {
    move |source| SlotError::Io { what, source }
}

/// A running slot. Dropping it ends everything in it without waiting; [`Slot::close`] waits.
#[derive(Debug)]
pub struct Slot {
    id: u64,
    directory: PathBuf,
    cgroup: Cgroup,
    agent: Pid,
    socket: Arc<UnixStream>,
    seq: AtomicU64,
    shared: Arc<Shared>,
    ended: watch::Receiver<Ended>,
    netns: NetNs,
    starter: Mutex<Option<tokio::process::Child>>,
}

#[derive(Debug, Default)]
struct Shared {
    waiting: Mutex<HashMap<u64, oneshot::Sender<Result<i32, String>>>>,
}

impl Shared {
    fn take(&self, report: Report, ended: &watch::Sender<Ended>) {
        let (seq, result) = match report {
            Report::Ready => return,
            Report::Done { seq, pid } => (seq, Ok(pid)),
            Report::Failed { seq, error } => (seq, Err(error)),
            Report::Ended { pid, code, signal } => {
                let status = code.map(ExitStatus::Code).or(signal.map(ExitStatus::Signal));
                ended.send_modify(|ended| {
                    ended.insert(pid, status.unwrap_or(ExitStatus::Gone));
                });
                return;
            }
        };
        if let Some(waiting) = self.waiting().remove(&seq) {
            // Nobody waits any more: the request's future was dropped.
            let _ = waiting.send(result);
        }
    }

    fn waiting(&self) -> MutexGuard<'_, HashMap<u64, oneshot::Sender<Result<i32, String>>>> {
        // A map in which every change is one call is in order after any panic.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A command to run in a slot.
#[derive(Debug, Clone, Default)]
pub struct SlotCommand {
    /// The root directory of the process, as the slot sees it.
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

impl Slot {
    /// Makes a slot: a directory on the sandbox's tmpfs, a cgroup, namespaces and their pid 1.
    ///
    /// # Errors
    /// See [`SlotError`].
    pub async fn open(sandbox: &Sandbox) -> Result<Self, SlotError> {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let id = NEXT.fetch_add(1, Ordering::Relaxed);
        let directory = sandbox.state().join(format!("slot-{id}"));
        std::fs::create_dir(&directory).map_err(context("make the slot's directory"))?;
        let cgroup =
            sandbox.cgroup().child(&format!("slot-{id}")).map_err(context("make the slot's cgroup"))?;

        let flags = SocketFlags::CLOEXEC;
        let (ours, theirs) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)
            .map_err(|e| context("make a socket pair")(e.into()))?;
        // Each packet then tells the sender's pid, as we see it.
        sockopt::set_socket_passcred(&ours, true).map_err(|e| context("set SO_PASSCRED")(e.into()))?;
        rustix::io::ioctl_fionbio(&ours, true).map_err(|e| context("set O_NONBLOCK")(e.into()))?;
        let (program, args) = unshared(&cgroup, &[]).map_err(context("find wireskew"))?;
        let starter = Command::new(program)
            .args(args)
            .env(ROLE, "agent")
            .stdin(Stdio::from(theirs))
            .stdout(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .map_err(context("start the slot's agent"))?;

        let socket = Arc::new(UnixStream::from_std(ours.into()).map_err(context("register a socket"))?);
        let ready = tokio::time::timeout(READY_DEADLINE, next_report(&socket));
        let gone = SlotError::Gone { what: "start the slot's agent" };
        let Ok(Ok(Some(Packet { body: Report::Ready, sender: Some(agent), .. }))) = ready.await else {
            return Err(gone);
        };
        let netns = NetNs::of(agent).map_err(context("open the slot's network namespace"))?;

        let shared = Arc::new(Shared::default());
        let (ended_in, ended) = watch::channel(Ended::new());
        let reader = (Arc::clone(&socket), Arc::clone(&shared));
        std::thread::spawn(move || read_reports(&reader.0, &reader.1, &ended_in));
        let starter = Mutex::new(Some(starter));
        let seq = AtomicU64::new(1);
        Ok(Self { id, directory, cgroup, agent, socket, seq, shared, ended, netns, starter })
    }

    /// A directory for files of the slot; the same path outside and inside.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The cgroup that is the root of the slot's view.
    #[must_use]
    pub fn cgroup(&self) -> &Cgroup {
        &self.cgroup
    }

    /// The slot's network namespace.
    #[must_use]
    pub fn netns(&self) -> &NetNs {
        &self.netns
    }

    /// A path as seen from outside of something in the slot, also of what is mounted only there, e.g. its `/proc`.
    #[must_use]
    pub fn path(&self, inside: impl AsRef<Path>) -> PathBuf {
        let inside = inside.as_ref();
        let root = PathBuf::from(format!("/proc/{}/root", self.agent.as_raw_nonzero()));
        root.join(inside.strip_prefix("/").unwrap_or(inside))
    }

    /// How each process of the slot ended that has ended.
    #[must_use]
    pub fn ended(&self, pid: i32) -> Option<ExitStatus> {
        self.ended.borrow().get(&pid).copied()
    }

    /// Waits until a process of the slot has ended; `None` when the slot itself ended or the deadline passed.
    pub async fn wait(&self, pid: i32, deadline: Duration) -> Option<ExitStatus> {
        let mut ended = self.ended.clone();
        let waited = ended.wait_for(|ended| ended.contains_key(&pid));
        let ended = tokio::time::timeout(deadline, waited).await.ok()?.ok()?;
        ended.get(&pid).copied()
    }

    /// Waits until a process has ended that is at work; `None` when it has had its time, or the slot itself ended.
    async fn wait_at_work(
        &self,
        pid: i32,
        server: Option<&dyn Worker>,
        deadline: Duration,
    ) -> Option<ExitStatus> {
        let client = &Beside { slot: self, pid };
        let mut wait = Wait::new(deadline);
        loop {
            let exit = self.wait(pid, wait.left(true)).await;
            let goes_on = |wait: &mut Wait| wait.goes_on(Some(&Pair { client, server }));
            if exit.is_some() || self.ended.has_changed().is_err() || !goes_on(&mut wait) {
                return exit;
            }
        }
    }

    /// Prepares the file systems.
    ///
    /// # Errors
    /// See [`SlotError`].
    pub async fn mount(&self, steps: Vec<MountStep>) -> Result<(), SlotError> {
        self.request("mount", Op::Mount(steps), &[]).await.map(drop)
    }

    /// Signals a process of the slot, or its whole group. That it is gone already is no error.
    ///
    /// # Errors
    /// See [`SlotError`].
    pub async fn kill(&self, pid: i32, group: bool, signal: Signal) -> Result<(), SlotError> {
        match self.request("kill", Op::Kill { pid, group, signal: signal.as_raw() }, &[]).await {
            Err(SlotError::Refused { .. }) | Ok(_) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Starts a process and gives its pid in the slot.
    ///
    /// # Errors
    /// See [`SlotError`].
    pub async fn spawn(&self, command: &SlotCommand, streams: [OwnedFd; 3]) -> Result<i32, SlotError> {
        let SlotCommand { root, argv, env, user, .. } = command.clone();
        let fds = streams.each_ref().map(AsFd::as_fd);
        self.request("spawn", Op::Spawn { root, argv, env, user }, &fds).await
    }

    /// Runs a process to its end or to the deadline, when its whole group is killed. The deadline counts in the time of
    /// the process, and of the server that it asks, where that can be seen.
    ///
    /// # Errors
    /// See [`SlotError`].
    pub async fn run(
        &self,
        command: &SlotCommand,
        deadline: Duration,
        server: Option<&dyn Worker>,
    ) -> Result<Output, SlotError> {
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

    async fn request(
        &self,
        what: &'static str,
        op: Op,
        fds: &[std::os::fd::BorrowedFd<'_>],
    ) -> Result<i32, SlotError> {
        let seq = self.seq.fetch_add(1, Ordering::Relaxed);
        let (sender, reply) = oneshot::channel();
        self.shared.waiting().insert(seq, sender);
        let request = Request { seq, op };
        let sent =
            self.socket.async_io(Interest::WRITABLE, || send(self.socket.as_fd(), &request, fds)).await;
        if let Err(error) = sent {
            self.shared.waiting().remove(&seq);
            return Err(context(what)(error));
        }
        match tokio::time::timeout(REQUEST_DEADLINE, reply).await {
            Ok(Ok(Ok(pid))) => Ok(pid),
            Ok(Ok(Err(why))) => Err(SlotError::Refused { what, why }),
            Ok(Err(_)) | Err(_) => Err(SlotError::Gone { what }),
        }
    }

    /// Ends everything in the slot and removes what is left of it.
    pub async fn close(&self) {
        let Some(mut starter) = self.take_starter() else { return };
        let (cgroup, directory) = (self.cgroup.clone(), self.directory.clone());
        let _ = starter.start_kill();
        let _ = tokio::time::timeout(REMOVAL_DEADLINE, starter.wait()).await;
        let removal = tokio::task::spawn_blocking(move || remove(&cgroup, &directory));
        // A panic there is a bug of ours, but no reason to leave the run.
        let _ = removal.await;
    }

    fn take_starter(&self) -> Option<tokio::process::Child> {
        // Ends the agent, and with it the slot, and the thread that reads from it.
        let _ = rustix::net::shutdown(&self.socket, rustix::net::Shutdown::Both);
        self.starter.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

fn remove(cgroup: &Cgroup, directory: &Path) {
    if let Err(error) = cgroup.remove(REMOVAL_DEADLINE) {
        tracing::warn!(cgroup = %cgroup.path().display(), %error, "slot's cgroup could not be removed");
    }
    // On a tmpfs that vanishes with the sandbox: whatever cannot be removed now goes then.
    let _ = std::fs::remove_dir_all(directory);
}

impl Drop for Slot {
    fn drop(&mut self) {
        if let Some(mut starter) = self.take_starter() {
            let (cgroup, directory) = (self.cgroup.clone(), self.directory.clone());
            let _ = starter.start_kill();
            std::thread::spawn(move || remove(&cgroup, &directory));
        }
    }
}

impl PartialEq for Slot {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id
    }
}

impl Eq for Slot {}

impl Hash for Slot {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.id.hash(state);
    }
}

async fn next_report(socket: &UnixStream) -> io::Result<Option<Packet<Report>>> {
    let mut buffer = vec![0; PACKET_LEN_MAX];
    socket.async_io(Interest::READABLE, || recv(socket.as_fd(), &mut buffer)).await
}

/// Reads reports in a thread, so that what ended is known also while no task can run: observing a
/// peer is not async.
fn read_reports(socket: &UnixStream, shared: &Shared, ended: &watch::Sender<Ended>) {
    let mut buffer = vec![0; PACKET_LEN_MAX];
    loop {
        let mut ready = [PollFd::new(socket, PollFlags::IN)];
        match poll(&mut ready, None) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(_) => break,
        }
        match recv::<Report>(socket.as_fd(), &mut buffer) {
            Ok(Some(packet)) => shared.take(packet.body, ended),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Ok(None) | Err(_) => break,
        }
    }
    // No answer will come: those who wait see their sender dropped.
    shared.waiting().clear();
}

/// A network namespace in which sockets can be made.
#[derive(Debug, Clone)]
pub struct NetNs {
    descriptor: Arc<OwnedFd>,
}

impl NetNs {
    /// That of a process.
    ///
    /// # Errors
    /// When the process is gone or not ours to look at.
    pub fn of(pid: Pid) -> io::Result<Self> {
        let file = File::open(format!("/proc/{}/ns/net", pid.as_raw_nonzero()))?;
        Ok(Self { descriptor: Arc::new(file.into()) })
    }

    /// Makes a non-blocking stream socket of that family there. A socket belongs to the network namespace in which it was made,
    /// wherever its owner is, and finds abstract names and ports of that namespace only.
    ///
    /// # Errors
    /// What `setns(2)` and `socket(2)` give.
    pub fn socket(&self, family: AddressFamily) -> io::Result<OwnedFd> {
        // Namespaces belong to threads: a thread of its own moves, makes the socket and ends, in about 50 us.
        let descriptor = Arc::clone(&self.descriptor);
        let made = std::thread::spawn(move || -> io::Result<OwnedFd> {
            move_into_link_name_space(descriptor.as_fd(), Some(LinkNameSpaceType::Network))?;
            let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
            Ok(socket_with(family, SocketType::STREAM, flags, None)?)
        });
        made.join().unwrap_or_else(|_| Err(io::Error::other("the thread that makes sockets panicked")))
    }
}

impl PartialEq for NetNs {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.descriptor, &other.descriptor)
    }
}

impl Eq for NetNs {}
