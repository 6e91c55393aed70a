//! A unix stream socket that carries bytes, descriptors and credentials, with a deadline on every wait.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, Shutdown, SocketAddrUnix, SocketFlags, SocketType, UCred, sockopt,
};
use rustix::process::{Gid, Pid, Uid};
use tokio::io::Interest;
use tokio::net::{UnixListener, UnixStream};
use tokio::time::{Instant, timeout_at};
use transcript::{Credentials, Data, FdNote};

use crate::Address;

/// Most descriptors that the kernel passes in one message (`SCM_MAX_FD`).
pub const FDS_PER_MESSAGE_MAX: usize = 253;
/// Most bytes taken in one read.
pub const READ_LEN_MAX: usize = 64 << 10;
/// How long to wait before trying again to connect to a server whose backlog is full.
const BACKLOG_RETRY: Duration = Duration::from_millis(2);

/// One end of a connection.
#[derive(Debug)]
pub struct Connection {
    stream: UnixStream,
    buffer: Box<[u8]>,
    /// Whether the credentials of what comes are told.
    credentials: AtomicBool,
}

/// What one wait for bytes gave.
#[derive(Debug)]
pub enum Received {
    /// Bytes, with whatever travelled beside them.
    Data(Data, Vec<OwnedFd>),
    /// The other side ended its direction.
    Eof,
    /// The other side reset the connection.
    Reset,
    /// The deadline passed.
    Timeout,
}

/// Why bytes could not be sent.
#[derive(Debug)]
pub enum SendEnd {
    /// The other side no longer takes any: `EPIPE` or `ECONNRESET`.
    Closed,
    /// The deadline passed before the other side took them all.
    Timeout {
        /// How many bytes went out.
        sent: usize,
    },
    /// The operating system refused, e.g. credentials that we may not claim.
    Io(io::Error),
}

impl Connection {
    /// Connects. A full backlog (`EAGAIN` on a unix socket) is waited out until the deadline.
    ///
    /// # Errors
    /// What `connect(2)` gives; `TimedOut` when the backlog stays full.
    pub async fn connect(address: &Address, deadline: Duration) -> io::Result<Self> {
        let until = Instant::now() + deadline;
        let name = address.socket_name()?;
        let fd = address.socket()?;
        // Has the kernel attach our credentials to all that we send. A server that asks for them does so after
        // accept(2), and what was sent in between comes without: such a request is refused, once in a few hundred.
        sockopt::set_socket_passcred(&fd, true)?;
        loop {
            match rustix::net::connect(&fd, &name) {
                Ok(()) => return Self::new(fd),
                Err(Errno::AGAIN) if Instant::now() < until => tokio::time::sleep(BACKLOG_RETRY).await,
                Err(Errno::AGAIN) => return Err(io::ErrorKind::TimedOut.into()),
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Takes over a connected socket.
    ///
    /// # Errors
    /// When the socket cannot be made non-blocking or registered.
    pub fn new(fd: OwnedFd) -> io::Result<Self> {
        rustix::io::ioctl_fionbio(&fd, true)?;
        Ok(Self::from(UnixStream::from_std(fd.into())?))
    }

    /// Two ends that are connected to each other.
    ///
    /// # Errors
    /// When the operating system has no sockets left.
    pub fn pair() -> io::Result<(Self, Self)> {
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let (a, b) = rustix::net::socketpair(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
        Ok((Self::new(a)?, Self::new(b)?))
    }

    /// Asks the kernel to attach the sender's credentials to everything that comes (`SO_PASSCRED`).
    ///
    /// # Errors
    /// What `setsockopt(2)` gives.
    pub fn want_credentials(&self) -> io::Result<()> {
        self.credentials.store(true, Ordering::Relaxed);
        Ok(sockopt::set_socket_passcred(&self.stream, true)?)
    }

    /// Sends all bytes, in one `sendmsg(2)` where the kernel takes them at once; descriptors and
    /// credentials travel with the first byte.
    ///
    /// # Errors
    /// See [`SendEnd`].
    pub async fn send(
        &self,
        bytes: &[u8],
        fds: &[BorrowedFd<'_>],
        creds: Option<Credentials>,
        deadline: Duration,
    ) -> Result<(), SendEnd> {
        let until = Instant::now() + deadline;
        let mut sent = 0;
        while sent < bytes.len() {
            let rest = bytes.get(sent..).unwrap_or(&[]);
            let beside = if sent == 0 { (fds, creds) } else { (&[][..], None) };
            match timeout_at(until, self.send_once(rest, beside.0, beside.1)).await {
                Err(_elapsed) => return Err(SendEnd::Timeout { sent }),
                Ok(Ok(count)) => sent += count,
                Ok(Err(error)) => return Err(send_end(error)),
            }
        }
        Ok(())
    }

    async fn send_once(
        &self,
        bytes: &[u8],
        fds: &[BorrowedFd<'_>],
        creds: Option<Credentials>,
    ) -> io::Result<usize> {
        self.stream.async_io(Interest::WRITABLE, || self.sendmsg(bytes, fds, creds)).await
    }

    fn sendmsg(&self, bytes: &[u8], fds: &[BorrowedFd<'_>], creds: Option<Credentials>) -> io::Result<usize> {
        let mut space =
            [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(FDS_PER_MESSAGE_MAX), ScmCredentials(1))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        if let Some(creds) = creds {
            let creds = UCred {
                pid: Pid::from_raw(creds.pid).ok_or(Errno::SRCH)?,
                uid: Uid::from_raw(creds.uid),
                gid: Gid::from_raw(creds.gid),
            };
            control.push(SendAncillaryMessage::ScmCredentials(creds));
        }
        if !fds.is_empty() && !control.push(SendAncillaryMessage::ScmRights(fds)) {
            return Err(Errno::INVAL.into());
        }
        let iov = [IoSlice::new(bytes)];
        Ok(rustix::net::sendmsg(&self.stream, &iov, &mut control, SendFlags::NOSIGNAL)?)
    }

    /// Waits for bytes, the end of the stream, or the deadline.
    ///
    /// # Errors
    /// What the operating system gives besides a reset.
    pub async fn recv(&mut self, deadline: Duration) -> io::Result<Received> {
        let Self { stream, buffer, credentials } = self;
        recv(stream, buffer, deadline).await.map(|got| told(got, credentials))
    }

    /// As [`Connection::recv`], with the caller's buffer: for those who send and receive at the same time.
    ///
    /// # Errors
    /// What the operating system gives besides a reset.
    pub async fn recv_into(&self, buffer: &mut [u8], deadline: Duration) -> io::Result<Received> {
        recv(&self.stream, buffer, deadline).await.map(|got| told(got, &self.credentials))
    }

    /// Is woken when there is something to receive. May be woken for nothing.
    pub fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream.poll_read_ready(cx)
    }

    /// Is woken when there is room to send. May be woken for nothing.
    pub fn poll_writable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream.poll_write_ready(cx)
    }

    /// Takes at most `len_max` bytes in one `recvmsg(2)` without waiting; `None` if there are none. For
    /// servers that have to read as another server reads.
    ///
    /// # Errors
    /// What the operating system gives besides a reset.
    pub fn try_recv(&mut self, len_max: usize) -> io::Result<Option<Received>> {
        let Self { stream, buffer, credentials } = self;
        let len = len_max.min(buffer.len());
        let buffer = buffer.get_mut(..len).unwrap_or(&mut []);
        match stream.try_io(Interest::READABLE, || recv_once(stream.as_fd(), buffer)) {
            Ok(received) => Ok(Some(told(received, credentials))),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => Ok(Some(Received::Reset)),
            Err(error) => Err(error),
        }
    }

    /// Sends what the kernel takes at once in one `sendmsg(2)`, and says how many bytes that were;
    /// descriptors travel with the first byte.
    ///
    /// # Errors
    /// [`SendEnd::Closed`] or [`SendEnd::Io`].
    pub fn try_send(&self, bytes: &[u8], fds: &[BorrowedFd<'_>]) -> Result<usize, SendEnd> {
        match self.stream.try_io(Interest::WRITABLE, || self.sendmsg(bytes, fds, None)) {
            Ok(count) => Ok(count),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(0),
            Err(error) => Err(send_end(error)),
        }
    }

    /// Ends our sending half. An error means that the other side is already gone.
    ///
    /// # Errors
    /// What `shutdown(2)` gives.
    pub fn half_close(&self) -> io::Result<()> {
        Ok(rustix::net::shutdown(&self.stream, Shutdown::Write)?)
    }
}

impl AsFd for Connection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}

impl From<UnixStream> for Connection {
    fn from(stream: UnixStream) -> Self {
        let buffer = vec![0; READ_LEN_MAX].into_boxed_slice();
        Self { stream, buffer, credentials: AtomicBool::new(false) }
    }
}

/// Leaves out credentials that nobody asked for.
fn told(mut received: Received, credentials: &AtomicBool) -> Received {
    if let Received::Data(data, _) = &mut received
        && !credentials.load(Ordering::Relaxed)
    {
        data.creds = None;
    }
    received
}

async fn recv(stream: &UnixStream, buffer: &mut [u8], deadline: Duration) -> io::Result<Received> {
    let read = stream.async_io(Interest::READABLE, || recv_once(stream.as_fd(), buffer));
    match tokio::time::timeout(deadline, read).await {
        Err(_elapsed) => Ok(Received::Timeout),
        Ok(Ok(received)) => Ok(received),
        Ok(Err(error)) if error.kind() == io::ErrorKind::ConnectionReset => Ok(Received::Reset),
        Ok(Err(error)) => Err(error),
    }
}

fn recv_once(fd: BorrowedFd<'_>, buffer: &mut [u8]) -> io::Result<Received> {
    let mut space =
        [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(FDS_PER_MESSAGE_MAX), ScmCredentials(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut iov = [IoSliceMut::new(buffer)];
    let got = rustix::net::recvmsg(fd, &mut iov, &mut control, RecvFlags::CMSG_CLOEXEC)?;
    let mut fds = Vec::new();
    let mut creds = None;
    for message in control.drain() {
        match message {
            RecvAncillaryMessage::ScmRights(passed) => fds.extend(passed),
            RecvAncillaryMessage::ScmCredentials(c) => {
                creds = Some(Credentials {
                    pid: c.pid.as_raw_nonzero().get(),
                    uid: c.uid.as_raw(),
                    gid: c.gid.as_raw(),
                });
            }
            _ => {}
        }
    }
    if got.bytes == 0 {
        return Ok(Received::Eof);
    }
    let bytes = Bytes::copy_from_slice(buffer.get(..got.bytes).unwrap_or(&[]));
    let notes = fds.iter().map(|fd| note(fd.as_fd())).collect();
    Ok(Received::Data(Data { bytes, fds: notes, creds }, fds))
}

/// Says what kind of file is behind a descriptor.
fn note(fd: BorrowedFd<'_>) -> FdNote {
    use rustix::fs::FileType;
    let kind = match rustix::fs::fstat(fd).map(|stat| FileType::from_raw_mode(stat.st_mode)) {
        Ok(FileType::Directory) => "dir",
        Ok(FileType::CharacterDevice) => "chr",
        Ok(FileType::BlockDevice) => "blk",
        Ok(FileType::Fifo) => "fifo",
        Ok(FileType::Socket) => "socket",
        // pidfds were anonymous inodes until Linux 6.9 and are files of `pidfs` since.
        Ok(_) => match std::fs::read_link(format!("/proc/self/fd/{}", raw(fd))) {
            Ok(target) if target.to_string_lossy().contains("pidfd") => "pidfd",
            Ok(target) if target.to_string_lossy().starts_with("anon_inode:") => "anon",
            _ => "file",
        },
        Err(_) => "unknown",
    };
    FdNote(kind.to_owned())
}

fn raw(fd: BorrowedFd<'_>) -> i32 {
    std::os::fd::AsRawFd::as_raw_fd(&fd)
}

fn send_end(error: io::Error) -> SendEnd {
    match error.kind() {
        io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset | io::ErrorKind::NotConnected => {
            SendEnd::Closed
        }
        _ => SendEnd::Io(error),
    }
}

impl Address {
    /// A socket that is not yet bound or connected, made where this address can be reached.
    fn socket(&self) -> io::Result<OwnedFd> {
        if let Self::InSlot(slot, _) = self {
            return slot.netns().socket();
        }
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        Ok(rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?)
    }

    fn socket_name(&self) -> io::Result<SocketAddrUnix> {
        Ok(match self {
            Self::Path(path) => SocketAddrUnix::new(path)?,
            Self::Abstract(name) | Self::InSlot(_, name) => SocketAddrUnix::new_abstract_name(name)?,
        })
    }
}

/// A listening unix socket. A socket in the file system is removed when the listener is dropped.
#[derive(Debug)]
pub struct Listener {
    listener: UnixListener,
    address: Address,
}

impl Listener {
    /// Binds and listens.
    ///
    /// # Errors
    /// What `bind(2)` and `listen(2)` give; a name that is too long is `InvalidInput`.
    pub fn bind(address: Address, backlog: i32) -> io::Result<Self> {
        let name = address.socket_name()?;
        let fd = address.socket()?;
        rustix::net::bind(&fd, &name)?;
        rustix::net::listen(&fd, backlog)?;
        Ok(Self { listener: UnixListener::from_std(fd.into())?, address })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// Waits for the next client.
    ///
    /// # Errors
    /// What `accept(2)` gives.
    pub async fn accept(&self) -> io::Result<Connection> {
        let (stream, _peer) = self.listener.accept().await?;
        Ok(Connection::from(stream))
    }
}

impl Listener {
    /// As [`Listener::accept`], for loops that wait for several things.
    pub fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<Connection>> {
        self.listener.poll_accept(cx).map_ok(|(stream, _peer)| Connection::from(stream))
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        if let Address::Path(path) = &self.address {
            // The directory may be gone already; then so is the socket.
            let _ = std::fs::remove_file(path);
        }
    }
}
