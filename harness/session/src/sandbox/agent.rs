//! Pid 1 of a slot: mounts, spawns and kills on request, and tells how every process in the slot ended,
//! daemons included. That is how the death of a monitor by SIGSEGV is known.
//!
//! Requests and replies are JSON, one per packet of a `SOCK_SEQPACKET` socket, for a slot on standard input; descriptors
//! travel beside them. When the socket ends, so does the agent, and the kernel kills the slot. The agent of a container is
//! the same one: see `guest`.

use std::ffi::CString;
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rustix::fs::{Mode, symlink};
use rustix::mount::{
    MountFlags, UnmountFlags, mount, mount_bind, mount_bind_recursive, mount_remount, unmount,
};
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer};
use rustix::net::{SendAncillaryMessage, SendFlags, recvmsg, sendmsg};
use rustix::process::{
    Pid, PidfdFlags, Resource, Rlimit, Signal, WaitOptions, WaitStatus, kill_process, kill_process_group,
    pidfd_open, wait,
};
use serde::{Deserialize, Serialize};
use tokio::io::Interest;
use tokio::net::UnixStream;
use tokio::signal::unix::{SignalKind, signal};

/// Longest packet in either direction.
pub(super) const PACKET_LEN_MAX: usize = 64 << 10;
/// Most descriptors with one packet: the three standard streams.
const FDS_MAX: usize = 3;

/// A request to the agent.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Request {
    /// Comes back in the reply.
    pub(super) seq: u64,
    pub(super) op: Op,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Op {
    /// Carries out the steps in order.
    Mount(Vec<MountStep>),
    /// Starts a process; its standard streams come with the packet.
    Spawn {
        /// Its root directory.
        root: PathBuf,
        argv: Vec<String>,
        env: Vec<(String, String)>,
        /// Its user and group, if they are not root's.
        user: Option<(u32, u32)>,
    },
    /// Opens a descriptor of a process, which comes with the reply.
    OpenProcess(i32),
    /// Signals a process, or a process group.
    Kill { pid: i32, group: bool, signal: i32 },
}

/// What the agent says.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Report {
    /// Said once, first: it lives.
    Ready,
    /// A request was carried out; the pid of what was spawned, in the slot's pid namespace.
    Done { seq: u64, pid: i32 },
    /// A request failed.
    Failed { seq: u64, error: String },
    /// A process in the slot ended, whoever started it.
    Ended { pid: i32, code: Option<i32>, signal: Option<i32> },
}

/// One step of preparing the file systems of a slot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MountStep {
    /// Shows a directory or file in another place.
    Bind {
        /// What is shown.
        source: PathBuf,
        /// Where.
        target: PathBuf,
        /// Together with what is mounted below it.
        recursive: bool,
        /// Not to be written to through this place.
        read_only: bool,
    },
    /// Mounts a file system.
    New {
        /// Its type.
        filesystem: Filesystem,
        /// Where.
        target: PathBuf,
        /// Its options, as in the fourth column of fstab, without the flags.
        options: String,
    },
    /// Takes away what is mounted there, with all below it.
    Unmount(PathBuf),
    /// Makes a directory.
    Directory(PathBuf),
    /// Makes an empty file, e.g. to bind a device over.
    File(PathBuf),
    /// Makes a symbolic link.
    Link {
        /// Where it points.
        to: PathBuf,
        /// Where it lies.
        at: PathBuf,
    },
}

/// The file systems that a slot may mount.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Filesystem {
    /// Processes.
    Proc,
    /// Kernel objects.
    Sysfs,
    /// The unified hierarchy, seen from the slot's cgroup.
    Cgroup2,
    /// Pseudo terminals.
    Devpts,
    /// Memory.
    Tmpfs,
}

impl Filesystem {
    fn name(self) -> &'static str {
        match self {
            Self::Proc => "proc",
            Self::Sysfs => "sysfs",
            Self::Cgroup2 => "cgroup2",
            Self::Devpts => "devpts",
            Self::Tmpfs => "tmpfs",
        }
    }
}

impl MountStep {
    fn carry_out(&self) -> io::Result<()> {
        match self {
            Self::Bind { source, target, recursive, read_only } => {
                if *recursive {
                    mount_bind_recursive(source, target)?;
                } else {
                    mount_bind(source, target)?;
                }
                if *read_only {
                    mount_remount(target, MountFlags::BIND | MountFlags::RDONLY, c"")?;
                }
            }
            Self::New { filesystem, target, options } => {
                let options = CString::new(options.as_str())?;
                mount(filesystem.name(), target, filesystem.name(), MountFlags::empty(), options.as_c_str())?;
            }
            Self::Unmount(path) => unmount(path, UnmountFlags::DETACH)?,
            Self::Directory(path) => match rustix::fs::mkdir(path, Mode::from_raw_mode(0o755)) {
                Ok(()) | Err(rustix::io::Errno::EXIST) => {}
                Err(error) => return Err(error.into()),
            },
            Self::File(path) => drop(std::fs::OpenOptions::new().create(true).append(true).open(path)?),
            Self::Link { to, at } => symlink(to, at)?,
        }
        Ok(())
    }
}

/// Sends one packet, with descriptors.
pub(super) fn send(
    socket: BorrowedFd<'_>,
    packet: &impl Serialize,
    fds: &[BorrowedFd<'_>],
) -> io::Result<()> {
    let bytes = serde_json::to_vec(packet)?;
    if bytes.len() > PACKET_LEN_MAX || fds.len() > FDS_MAX {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(FDS_MAX))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !fds.is_empty() {
        control.push(SendAncillaryMessage::ScmRights(fds));
    }
    sendmsg(socket, &[IoSlice::new(&bytes)], &mut control, SendFlags::NOSIGNAL)?;
    Ok(())
}

/// A packet that came.
pub(super) struct Packet<T> {
    pub(super) body: T,
    pub(super) fds: Vec<OwnedFd>,
    /// The sender, if credentials were asked for.
    pub(super) sender: Option<Pid>,
}

/// Receives one packet; `None` at the end of the stream.
pub(super) fn recv<T: for<'a> Deserialize<'a>>(
    socket: BorrowedFd<'_>,
    buffer: &mut [u8],
) -> io::Result<Option<Packet<T>>> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(FDS_MAX), ScmCredentials(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut iov = [IoSliceMut::new(buffer)];
    let got = recvmsg(socket, &mut iov, &mut control, RecvFlags::CMSG_CLOEXEC)?;
    let (mut fds, mut sender) = (Vec::new(), None);
    for message in control.drain() {
        match message {
            RecvAncillaryMessage::ScmRights(passed) => fds.extend(passed),
            RecvAncillaryMessage::ScmCredentials(creds) => sender = Some(creds.pid),
            _ => {}
        }
    }
    if got.bytes == 0 {
        return Ok(None);
    }
    let body = serde_json::from_slice(buffer.get(..got.bytes).unwrap_or(&[]))?;
    Ok(Some(Packet { body, fds, sender }))
}

/// The agent of a slot.
pub(super) fn run_in_slot() -> u8 {
    // A copy, so that standard input can be closed in children as usual.
    match rustix::io::fcntl_dupfd_cloexec(io::stdin(), 3) {
        Ok(socket) => run(socket, &[]),
        Err(_) => 1,
    }
}

/// Shows these descriptors, and serves until the socket ends; the exit status of the agent.
pub(super) fn run(socket: OwnedFd, shown: &[BorrowedFd<'_>]) -> u8 {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    match runtime.and_then(|runtime| runtime.block_on(serve(socket, shown))) {
        Ok(()) => 0,
        Err(_) => 1,
    }
}

async fn serve(socket: OwnedFd, shown: &[BorrowedFd<'_>]) -> io::Result<()> {
    // Crashes are expected here. One byte is the limit at which the kernel neither writes a core nor
    // starts a program that collects it: `fs/coredump.c` names it.
    let no_cores = Rlimit { current: Some(1), maximum: Some(1) };
    rustix::process::setrlimit(Resource::Core, no_cores)?;
    // Without it only what speaks TCP in the slot fails, and says so.
    let _ = super::loopback::up();
    let mut children = signal(SignalKind::child())?;
    // The stream type serves any connected socket: only its readiness is used, packets go through
    // `sendmsg` and `recvmsg`.
    rustix::io::ioctl_fionbio(&socket, true)?;
    let socket = UnixStream::from_std(socket.into())?;
    send(socket.as_fd(), &Report::Ready, shown)?;
    let mut buffer = vec![0; PACKET_LEN_MAX];
    loop {
        tokio::select! {
            received = socket.async_io(Interest::READABLE, || recv::<Request>(socket.as_fd(), &mut buffer)) => {
                let Some(Packet { body: request, fds, .. }) = received? else { return Ok(()) };
                let seq = request.seq;
                let (report, fd) = match carry_out(request.op, fds) {
                    Ok((pid, fd)) => (Report::Done { seq, pid }, fd),
                    Err(error) => (Report::Failed { seq, error: error.to_string() }, None),
                };
                report_to(&socket, &report, fd.as_ref()).await?;
            }
            _ = children.recv() => {
                // One signal may stand for many.
                while let Ok(Some((pid, status))) = wait(WaitOptions::NOHANG) {
                    report_to(&socket, &ended(pid, status), None).await?;
                }
            }
        }
    }
}

async fn report_to(socket: &UnixStream, report: &Report, fd: Option<&OwnedFd>) -> io::Result<()> {
    let fds: Vec<_> = fd.into_iter().map(AsFd::as_fd).collect();
    socket.async_io(Interest::WRITABLE, || send(socket.as_fd(), report, &fds)).await
}

fn ended(pid: Pid, status: WaitStatus) -> Report {
    let signal = status.terminating_signal();
    Report::Ended { pid: pid.as_raw_nonzero().get(), code: status.exit_status(), signal }
}

/// A command in a root directory. For the root of the place itself no program is needed, which images may not have.
fn command_in(root: &Path, argv: &[String], user: Option<(u32, u32)>) -> io::Result<Command> {
    if root == Path::new("/") {
        let (program, args) = argv.split_first().ok_or(io::ErrorKind::InvalidInput)?;
        let mut command = Command::new(program);
        command.args(args).current_dir("/");
        if let Some((user, group)) = user {
            // This drops all other groups, too.
            command.uid(user).gid(group);
        }
        return Ok(command);
    }
    let mut command = Command::new("/usr/sbin/chroot");
    if let Some((user, group)) = user {
        command.arg(format!("--userspec=+{user}:+{group}")).arg("--groups=");
    }
    command.arg(root).args(argv);
    Ok(command)
}

/// Does what is asked; the pid that it is about, and a descriptor that was asked for.
fn carry_out(op: Op, fds: Vec<OwnedFd>) -> io::Result<(i32, Option<OwnedFd>)> {
    match op {
        Op::Mount(steps) => {
            for step in steps {
                step.carry_out()
                    .map_err(|error| io::Error::new(error.kind(), format!("{step:?}: {error}")))?;
            }
            Ok((0, None))
        }
        Op::Spawn { root, argv, env, user } => {
            let [stdin, stdout, stderr] = <[OwnedFd; 3]>::try_from(fds)
                .map_err(|_| io::Error::new(io::ErrorKind::InvalidInput, "three streams are needed"))?;
            let mut command = command_in(&root, &argv, user)?;
            command.env_clear().envs(env).process_group(0);
            command.stdin(Stdio::from(stdin)).stdout(Stdio::from(stdout)).stderr(Stdio::from(stderr));
            // It is reaped with all others, by `wait`.
            Ok((command.spawn()?.id().cast_signed(), None))
        }
        Op::OpenProcess(pid) => {
            let process = Pid::from_raw(pid).ok_or(rustix::io::Errno::SRCH)?;
            Ok((pid, Some(pidfd_open(process, PidfdFlags::empty())?)))
        }
        Op::Kill { pid, group, signal } => {
            let process = Pid::from_raw(pid).ok_or(rustix::io::Errno::SRCH)?;
            let signal = Signal::from_named_raw(signal).ok_or(rustix::io::Errno::INVAL)?;
            if group {
                kill_process_group(process, signal)?
            } else {
                kill_process(process, signal)?
            };
            Ok((pid, None))
        }
    }
}
