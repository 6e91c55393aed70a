//! A unix stream socket that carries bytes, descriptors and credentials, with a deadline on every wait.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, Shutdown, SocketAddrUnix, SocketFlags, SocketType, UCred, sockopt,
};
use rustix::process::{Gid, Pid, Uid};
use tokio::io::Interest;
use tokio::net::{UnixListener, UnixStream};
use tokio::time::{Instant, Sleep, sleep_until, timeout_at};
use transcript::{Credentials, Data, FdNote};

use crate::Address;

/// Most descriptors that the kernel passes in one message (`SCM_MAX_FD`).
pub const FDS_PER_MESSAGE_MAX: usize = 253;
/// Most bytes taken in one read.
pub const READ_LEN_MAX: usize = 64 << 10;
/// How long to wait before trying again to connect to a server whose backlog is full.
const BACKLOG_RETRY: Duration = Duration::from_millis(2);

thread_local! {
    /// What is read goes through here and is then copied out: as long as it is, and no longer.
    static SCRATCH: RefCell<Box<[u8]>> = RefCell::new(vec![0; READ_LEN_MAX].into_boxed_slice());
}

/// One end of a connection.
#[derive(Debug)]
pub struct Connection {
    stream: UnixStream,
    timer: Timer,
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
        // Nearly always the kernel takes all at once, and nobody has to look at the clock.
        let mut until = None;
        let mut sent = 0;
        while sent < bytes.len() {
            // A flood must not keep the other tasks of this thread waiting.
            tokio::task::coop::consume_budget().await;
            let rest = bytes.get(sent..).unwrap_or(&[]);
            let (fds, creds) = if sent == 0 { (fds, creds) } else { (&[][..], None) };
            match self.stream.try_io(Interest::WRITABLE, || self.sendmsg(rest, fds, creds)) {
                Ok(count) => sent += count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    let until = *until.get_or_insert_with(|| Instant::now() + deadline);
                    match timeout_at(until, self.stream.writable()).await {
                        Err(_elapsed) => return Err(SendEnd::Timeout { sent }),
                        Ok(waited) => waited.map_err(SendEnd::Io)?,
                    }
                }
                Err(error) => return Err(send_end(error)),
            }
        }
        Ok(())
    }

    fn sendmsg(&self, bytes: &[u8], fds: &[BorrowedFd<'_>], creds: Option<Credentials>) -> io::Result<usize> {
        if fds.is_empty() && creds.is_none() {
            return Ok(rustix::net::send(&self.stream, bytes, SendFlags::NOSIGNAL)?);
        }
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
        let Self { stream, timer, credentials } = self;
        recv(stream, timer, deadline).await.map(|got| told(got, credentials))
    }

    /// As [`Connection::recv`], with the caller's timer: for those who send and receive at the same time. Only one
    /// task may receive.
    ///
    /// # Errors
    /// What the operating system gives besides a reset.
    pub async fn recv_with(&self, timer: &mut Timer, deadline: Duration) -> io::Result<Received> {
        recv(&self.stream, timer, deadline).await.map(|got| told(got, &self.credentials))
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
        Ok(take(&self.stream, len_max)?.map(|received| told(received, &self.credentials)))
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
        Self { stream, timer: Timer::default(), credentials: AtomicBool::new(false) }
    }
}

/// A timer that is kept from one wait to the next.
///
/// Arming one costs as much as reading a small message, and nearly every wait ends long before its deadline. So
/// it stays armed for the deadline of an earlier wait, and when it fires it looks whether that is still the one.
#[derive(Debug, Default)]
pub struct Timer {
    sleep: Option<Pin<Box<Sleep>>>,
}

impl Timer {
    fn poll_until(&mut self, until: Instant, cx: &mut Context<'_>) -> Poll<()> {
        let sleep = self.sleep.get_or_insert_with(|| Box::pin(sleep_until(until)));
        if sleep.deadline() > until {
            sleep.as_mut().reset(until);
        }
        while sleep.as_mut().poll(cx).is_ready() {
            if Instant::now() >= until {
                return Poll::Ready(());
            }
            sleep.as_mut().reset(until);
        }
        Poll::Pending
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

async fn recv(stream: &UnixStream, timer: &mut Timer, deadline: Duration) -> io::Result<Received> {
    let until = Instant::now() + deadline;
    loop {
        let ready = poll_fn(|cx| match stream.poll_read_ready(cx) {
            Poll::Ready(ready) => Poll::Ready(ready.map(|()| true)),
            Poll::Pending => timer.poll_until(until, cx).map(|()| Ok(false)),
        });
        if !ready.await? {
            return Ok(Received::Timeout);
        }
        if let Some(received) = take(stream, READ_LEN_MAX)? {
            return Ok(received);
        }
    }
}

/// Takes what is there. Where that was all, the next wait is told so and does not read in vain first.
fn take(stream: &UnixStream, len_max: usize) -> io::Result<Option<Received>> {
    let mut received = None;
    let tried = stream.try_io(Interest::READABLE, || {
        received = Some(recv_once(stream.as_fd(), len_max)?);
        // A short read says nothing: what another sender wrote, or what carries descriptors, is read by itself.
        match rustix::io::ioctl_fionread(stream) {
            Ok(0) if matches!(received, Some(Received::Data(..))) => Err(io::ErrorKind::WouldBlock.into()),
            _ => Ok(()),
        }
    });
    match tried {
        _ if received.is_some() => Ok(received),
        Ok(()) => Ok(None),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
        Err(error) if error.kind() == io::ErrorKind::ConnectionReset => Ok(Some(Received::Reset)),
        Err(error) => Err(error),
    }
}

fn recv_once(fd: BorrowedFd<'_>, len_max: usize) -> io::Result<Received> {
    SCRATCH.with_borrow_mut(|scratch| {
        let len = len_max.min(scratch.len());
        recv_through(fd, scratch.get_mut(..len).unwrap_or(&mut []))
    })
}

fn recv_through(fd: BorrowedFd<'_>, buffer: &mut [u8]) -> io::Result<Received> {
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
    let mut notes: Vec<FdNote> = fds.iter().map(|fd| note(fd.as_fd())).collect();
    if got.flags.contains(ReturnFlags::CTRUNC) {
        // The kernel had no room for them, e.g. because we have no descriptors left. Nobody may take that for a peer
        // that sent none.
        notes.push(FdNote("lost".to_owned()));
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    const SOON: Duration = Duration::from_millis(500);

    fn check<F: Future<Output = ()>>(play: impl FnOnce(Connection, Connection) -> F) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.expect("a runtime can be made").block_on(async {
            let (a, b) = Connection::pair().expect("sockets can be made");
            play(a, b).await;
        });
    }

    /// What came, with the number of descriptors.
    async fn next(connection: &mut Connection, deadline: Duration) -> String {
        match connection.recv(deadline).await.expect("the socket is whole") {
            Received::Data(data, fds) => format!("{} {}", data.bytes.escape_ascii(), fds.len()),
            other => format!("{other:?}"),
        }
    }

    /// The kernel ends a read behind a descriptor, whatever else is there, and tells of it only once.
    #[test]
    fn takes_what_a_short_read_left() {
        check(async |a, mut b| {
            let file = std::fs::File::open("/dev/null").expect("it is there");
            a.send(b"one", &[file.as_fd()], None, SOON).await.expect("there is room");
            a.send(b"two", &[file.as_fd()], None, SOON).await.expect("there is room");
            a.send(b"three", &[], None, SOON).await.expect("there is room");
            assert_eq!(next(&mut b, SOON).await, "one 1");
            assert_eq!(next(&mut b, SOON).await, "two 1");
            assert_eq!(next(&mut b, SOON).await, "three 0");
            drop(a);
            assert_eq!(next(&mut b, SOON).await, "Eof");
        });
    }

    #[test]
    fn takes_what_comes_while_it_waits() {
        check(async |a, mut b| {
            let talk = async {
                for _ in 0..3 {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                    a.send(b"late", &[], None, SOON).await.expect("there is room");
                }
            };
            let listen = async {
                for _ in 0..3 {
                    assert_eq!(next(&mut b, SOON).await, "late 0");
                }
            };
            tokio::join!(talk, listen);
        });
    }

    /// The timer of an earlier wait stays armed: neither a later nor an earlier deadline may take over its own.
    #[test]
    fn every_wait_has_its_own_deadline() {
        check(async |a, mut b| {
            a.send(b"x", &[], None, SOON).await.expect("there is room");
            assert_eq!(next(&mut b, SOON).await, "x 0");
            for deadline_ms in [600_000, 20, 60, 10] {
                let deadline = Duration::from_millis(deadline_ms);
                let start = Instant::now();
                let waited = tokio::time::timeout(SOON, next(&mut b, deadline)).await;
                match deadline_ms {
                    600_000 => assert!(waited.is_err(), "{waited:?}"),
                    _ => assert_eq!(waited.as_deref(), Ok("Timeout")),
                }
                assert!(start.elapsed() >= deadline.min(SOON), "{deadline_ms} ms: {:?}", start.elapsed());
            }
        });
    }

    #[test]
    fn says_how_much_a_side_took_that_does_not_read() {
        check(async |a, b| {
            let flood = vec![0; 16 << 20];
            match a.send(&flood, &[], None, Duration::from_millis(20)).await {
                Err(SendEnd::Timeout { sent }) => assert!((1..flood.len()).contains(&sent), "{sent}"),
                other => panic!("{other:?}"),
            }
            drop(b);
            assert!(matches!(a.send(b"x", &[], None, SOON).await, Err(SendEnd::Closed)));
        });
    }
}
