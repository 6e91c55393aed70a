//! A stream that carries bytes, descriptors and credentials, with a deadline on every wait.
//!
//! ```text
//! kernel.rs    a unix or TCP socket: to real peers, and wherever the kernel's behaviour is the point
//! memory.rs    the same between two peers of this process
//! muxer.rs     the line by which a muxer of vsock lets us through
//! ```

mod kernel;
mod memory;
mod muxer;

use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use rustix::net::{AddressFamily, Shutdown, SocketAddrUnix, SocketFlags, SocketType, sockopt};
use rustix::process::{getegid, geteuid, getpid};
use tokio::net::{TcpListener, TcpSocket, TcpStream, UnixListener, UnixStream};
use tokio::task::coop::poll_proceed;
use tokio::time::{Instant, Sleep, sleep_until, timeout_at};
use transcript::evidence;
use transcript::{Credentials, Data, FdNote};

use crate::Address;
pub use memory::Port;

/// Most descriptors that the kernel passes in one message (`SCM_MAX_FD`).
pub const FDS_PER_MESSAGE_MAX: usize = 253;
/// Most bytes taken in one read.
pub const READ_LEN_MAX: usize = 64 << 10;
/// Any port of the loopback device that is free.
const LOOPBACK: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
/// How long to wait before trying again to connect to a server whose backlog is full.
const BACKLOG_RETRY: Duration = Duration::from_millis(2);

/// What carries a stream between two peers of this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Transport {
    /// Memory: no system calls, and nothing of the machine shows.
    #[default]
    Memory,
    /// Unix sockets of the kernel, which peers in other processes can reach as well.
    Unix,
    /// TCP over the loopback device, in real time: what is under way there is nobody's, and a virtual clock would pass over
    /// it. Neither descriptors nor credentials travel.
    Tcp,
}

impl From<Transport> for evidence::Transport {
    fn from(transport: Transport) -> Self {
        match transport {
            Transport::Memory => Self::Memory,
            Transport::Unix => Self::Unix,
            Transport::Tcp => Self::Tcp,
        }
    }
}

/// One end of a connection.
#[derive(Debug)]
pub struct Connection {
    stream: Stream,
    timer: Timer,
    /// Whether the credentials of what comes are told.
    credentials: AtomicBool,
}

#[derive(Debug)]
enum Stream {
    Kernel(kernel::Socket),
    Memory(memory::End),
}

/// What one wait for bytes gave.
#[derive(Debug)]
pub enum Received {
    /// Bytes, with whatever travelled with them.
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
    Closed {
        /// How many bytes went out before.
        sent: usize,
    },
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
    /// What `connect(2)` gives; `TimedOut` when the backlog stays full; a [`MuxerFault`](evidence::MuxerFault) where a muxer
    /// does not let us through.
    pub async fn connect(address: &Address, deadline: Duration) -> io::Result<Self> {
        let until = Instant::now() + deadline;
        if let Address::Memory(port) = address {
            return connected(until, || port.connect().map(Self::from)).await;
        }
        if let Address::Tcp(to) | Address::TcpInSlot(_, to) = address {
            let late = |_| io::Error::from(io::ErrorKind::TimedOut);
            let connecting = address.tcp_socket(*to)?.connect(*to);
            return Self::tcp(timeout_at(until, connecting).await.map_err(late)??);
        }
        let (fd, name) = (address.socket()?, address.socket_name()?);
        // Has the kernel attach our credentials to all that we send. A server that asks for them does so after
        // accept(2), and what was sent in between comes without: such a request is refused, once in a few hundred.
        sockopt::set_socket_passcred(&fd, true)?;
        connected(until, || Ok(rustix::net::connect(&fd, &name)?)).await?;
        let mut connection = Self::new(fd)?;
        if let Address::HybridVsock { port, .. } = address {
            muxer::ask(&mut connection, *port, until).await?;
        }
        Ok(connection)
    }

    /// Takes over a connected socket.
    ///
    /// # Errors
    /// When the socket cannot be made non-blocking or registered.
    pub fn new(fd: OwnedFd) -> io::Result<Self> {
        rustix::io::ioctl_fionbio(&fd, true)?;
        Ok(Self::from(UnixStream::from_std(fd.into())?))
    }

    /// What is sent goes out at once, as over any other socket: probes show a server parts of a message apart.
    fn tcp(stream: TcpStream) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        Ok(Self::of(kernel::Socket::Tcp(stream)))
    }

    fn of(socket: kernel::Socket) -> Self {
        Self { stream: Stream::Kernel(socket), timer: Timer::default(), credentials: AtomicBool::new(false) }
    }

    /// Two ends that are connected to each other.
    ///
    /// # Errors
    /// When the operating system has no sockets left.
    pub fn pair(transport: Transport) -> io::Result<(Self, Self)> {
        match transport {
            Transport::Memory => {
                let (a, b) = memory::End::pair();
                Ok((Self::from(a), Self::from(b)))
            }
            Transport::Unix => {
                let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
                let (a, b) = rustix::net::socketpair(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
                Ok((Self::new(a)?, Self::new(b)?))
            }
            Transport::Tcp => {
                let listener = std::net::TcpListener::bind(LOOPBACK)?;
                let a = std::net::TcpStream::connect(listener.local_addr()?)?;
                let (b, _) = listener.accept()?;
                for stream in [&a, &b] {
                    stream.set_nonblocking(true)?;
                }
                Ok((Self::tcp(TcpStream::from_std(a)?)?, Self::tcp(TcpStream::from_std(b)?)?))
            }
        }
    }

    /// Who we are to the other side when we claim nothing. In memory there are no processes: everybody is root.
    #[must_use]
    pub fn own_credentials(&self) -> Credentials {
        match &self.stream {
            Stream::Kernel(_) => Credentials {
                pid: getpid().as_raw_nonzero().get(),
                uid: geteuid().as_raw(),
                gid: getegid().as_raw(),
            },
            Stream::Memory(_) => memory::OWN,
        }
    }

    /// Claimed credentials as they go out: pid 0 stands for our own.
    #[must_use]
    pub fn claim(&self, creds: Credentials) -> Credentials {
        let pid = if creds.pid == 0 { self.own_credentials().pid } else { creds.pid };
        Credentials { pid, ..creds }
    }

    /// Asks for the sender's credentials with everything that comes (`SO_PASSCRED`). Over TCP none come.
    ///
    /// # Errors
    /// What `setsockopt(2)` gives.
    pub fn want_credentials(&self) -> io::Result<()> {
        self.credentials.store(true, Ordering::Relaxed);
        match &self.stream {
            Stream::Kernel(kernel::Socket::Tcp(_)) => Ok(()),
            Stream::Kernel(stream) => Ok(sockopt::set_socket_passcred(stream, true)?),
            Stream::Memory(end) => {
                end.want_credentials();
                Ok(())
            }
        }
    }

    /// Sends all bytes, in one message where they are taken at once; descriptors and credentials travel with the first
    /// byte.
    ///
    /// # Errors
    /// See [`SendEnd`].
    pub async fn send(
        &self,
        bytes: &Bytes,
        fds: &[BorrowedFd<'_>],
        creds: Option<Credentials>,
        deadline: Duration,
    ) -> Result<(), SendEnd> {
        let creds = creds.map(|creds| self.claim(creds));
        // Nearly always all is taken at once, and nobody has to look at the clock.
        let mut until = None;
        let mut sent = 0;
        while sent < bytes.len() {
            // A flood must not keep the other tasks of this thread waiting.
            tokio::task::coop::consume_budget().await;
            let rest = bytes.slice(sent..);
            let (fds, creds) = if sent == 0 { (fds, creds) } else { (&[][..], None) };
            match self.stream.try_send(&rest, fds, creds) {
                Ok(count) => sent += count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    let until = *until.get_or_insert_with(|| Instant::now() + deadline);
                    match timeout_at(until, poll_fn(|cx| self.poll_writable(cx))).await {
                        Err(_elapsed) => return Err(SendEnd::Timeout { sent }),
                        Ok(waited) => waited.map_err(SendEnd::Io)?,
                    }
                }
                Err(error) => return Err(send_end(error, sent)),
            }
        }
        Ok(())
    }

    /// Waits for bytes, the end of the stream, or the deadline.
    ///
    /// # Errors
    /// What the operating system gives besides a reset.
    pub async fn recv(&mut self, deadline: Duration) -> io::Result<Received> {
        let Self { stream, timer, credentials } = self;
        let until = Instant::now() + deadline;
        recv(stream, timer, until, READ_LEN_MAX).await.map(|got| told(got, credentials))
    }

    /// As [`Connection::recv`], with the caller's timer: for those who send and receive at the same time. Only one
    /// task may receive.
    ///
    /// # Errors
    /// What the operating system gives besides a reset.
    pub async fn recv_with(&self, timer: &mut Timer, deadline: Duration) -> io::Result<Received> {
        let until = Instant::now() + deadline;
        recv(&self.stream, timer, until, READ_LEN_MAX).await.map(|got| told(got, &self.credentials))
    }

    /// Is woken when there is something to receive. May be woken for nothing.
    pub fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream.poll_readable(cx)
    }

    /// Is woken when there is room to send. May be woken for nothing.
    pub fn poll_writable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &self.stream {
            Stream::Kernel(stream) => stream.poll_write_ready(cx),
            Stream::Memory(end) => {
                let turn = ready!(poll_proceed(cx));
                let ready = end.poll_writable(cx);
                ready.map(|()| {
                    turn.made_progress();
                    Ok(())
                })
            }
        }
    }

    /// Takes at most `len_max` bytes in one read without waiting; `None` if there are none. For servers that have to
    /// read as another server reads.
    ///
    /// # Errors
    /// What the operating system gives besides a reset.
    pub fn try_recv(&mut self, len_max: usize) -> io::Result<Option<Received>> {
        Ok(self.stream.take(len_max)?.map(|received| told(received, &self.credentials)))
    }

    /// Sends what is taken at once, and says how many bytes that were; descriptors travel with the first byte.
    ///
    /// # Errors
    /// [`SendEnd::Closed`] or [`SendEnd::Io`].
    pub fn try_send(&self, bytes: &Bytes, fds: &[BorrowedFd<'_>]) -> Result<usize, SendEnd> {
        match self.stream.try_send(bytes, fds, None) {
            Ok(count) => Ok(count),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(0),
            Err(error) => Err(send_end(error, 0)),
        }
    }

    /// Ends our sending half. An error means that the other side is already gone.
    ///
    /// # Errors
    /// What `shutdown(2)` gives.
    pub fn half_close(&self) -> io::Result<()> {
        match &self.stream {
            Stream::Kernel(stream) => Ok(rustix::net::shutdown(stream, Shutdown::Write)?),
            Stream::Memory(end) => {
                end.half_close();
                Ok(())
            }
        }
    }

    /// Whether something came that was not received yet, also what no task has heard of.
    #[must_use]
    pub fn has_unread(&self) -> bool {
        match &self.stream {
            Stream::Kernel(stream) => kernel::has_unread(stream),
            // Whoever sends there wakes the reader.
            Stream::Memory(_) => false,
        }
    }

    /// Whether nothing can pass any more in either direction: the other side closed everything, and not only its
    /// sending half.
    #[must_use]
    pub fn is_hung_up(&self) -> bool {
        match &self.stream {
            Stream::Kernel(stream) => kernel::is_hung_up(stream),
            Stream::Memory(end) => end.is_hung_up(),
        }
    }
}

impl From<UnixStream> for Connection {
    fn from(stream: UnixStream) -> Self {
        Self::of(kernel::Socket::Unix(stream))
    }
}

impl From<memory::End> for Connection {
    fn from(end: memory::End) -> Self {
        Self { stream: Stream::Memory(end), timer: Timer::default(), credentials: AtomicBool::new(false) }
    }
}

impl Stream {
    fn try_send(
        &self,
        bytes: &Bytes,
        fds: &[BorrowedFd<'_>],
        creds: Option<Credentials>,
    ) -> io::Result<usize> {
        match self {
            Self::Kernel(stream) => kernel::try_send(stream, bytes, fds, creds),
            Self::Memory(end) => end.try_send(bytes, fds, creds),
        }
    }

    fn take(&self, len_max: usize) -> io::Result<Option<Received>> {
        match self {
            Self::Kernel(stream) => kernel::take(stream, len_max),
            Self::Memory(end) => Ok(end.take(len_max)),
        }
    }

    fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Kernel(stream) => stream.poll_read_ready(cx),
            Self::Memory(end) => {
                // As a socket of tokio's: whoever always has something to read lets the others have a turn.
                let turn = ready!(poll_proceed(cx));
                let ready = end.poll_readable(cx);
                ready.map(|()| {
                    turn.made_progress();
                    Ok(())
                })
            }
        }
    }
}

/// Tries to connect until there is room in the backlog, or the deadline.
async fn connected<T>(until: Instant, mut attempt: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match attempt() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => return Err(error),
            Err(_) if Instant::now() >= until => return Err(io::ErrorKind::TimedOut.into()),
            Err(_) => tokio::time::sleep(BACKLOG_RETRY).await,
            Ok(connected) => return Ok(connected),
        }
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

async fn recv(stream: &Stream, timer: &mut Timer, until: Instant, len_max: usize) -> io::Result<Received> {
    loop {
        let ready = poll_fn(|cx| match stream.poll_readable(cx) {
            Poll::Ready(ready) => Poll::Ready(ready.map(|()| true)),
            Poll::Pending => timer.poll_until(until, cx).map(|()| Ok(false)),
        });
        if !ready.await? {
            return Ok(Received::Timeout);
        }
        if let Some(received) = stream.take(len_max)? {
            return Ok(received);
        }
    }
}

/// Says what kind of file is behind a descriptor.
fn note(fd: impl AsFd) -> FdNote {
    use rustix::fs::FileType;
    let fd = fd.as_fd();
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

fn send_end(error: io::Error, sent: usize) -> SendEnd {
    match error.kind() {
        io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset | io::ErrorKind::NotConnected => {
            SendEnd::Closed { sent }
        }
        _ => SendEnd::Io(error),
    }
}

impl Address {
    /// A socket that is not yet bound or connected, made where this address can be reached.
    fn socket(&self) -> io::Result<OwnedFd> {
        if let Self::InSlot(slot, _) = self {
            return slot.netns().socket(AddressFamily::UNIX);
        }
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        Ok(rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?)
    }

    /// The same for TCP.
    fn tcp_socket(&self, to: SocketAddr) -> io::Result<TcpSocket> {
        match self {
            Self::TcpInSlot(slot, _) => {
                let family = if to.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
                Ok(TcpSocket::from_std_stream(slot.netns().socket(family)?.into()))
            }
            _ if to.is_ipv4() => TcpSocket::new_v4(),
            _ => TcpSocket::new_v6(),
        }
    }

    /// Its name to the kernel.
    fn socket_name(&self) -> io::Result<SocketAddrUnix> {
        Ok(match self {
            Self::Path(path) | Self::HybridVsock { path, .. } => SocketAddrUnix::new(path)?,
            Self::Abstract(name) | Self::InSlot(_, name) => SocketAddrUnix::new_abstract_name(name)?,
            Self::Tcp(_) | Self::TcpInSlot(..) | Self::Memory(_) => {
                return Err(io::ErrorKind::Unsupported.into());
            }
        })
    }
}

/// A server's end before anybody is connected. A socket in the file system is removed when the listener is dropped.
#[derive(Debug)]
pub struct Listener {
    waiting: Waiting,
    address: Address,
}

/// Where those wait who are not yet accepted.
#[derive(Debug)]
enum Waiting {
    Unix(UnixListener),
    Tcp(TcpListener),
    Memory(Port),
}

/// Tells the sockets of one process apart.
static NUMBER: AtomicU64 = AtomicU64::new(0);

impl Listener {
    /// Listens where nobody else does, for peers of this process.
    ///
    /// # Errors
    /// What `bind(2)` and `listen(2)` give.
    pub fn open(transport: Transport, backlog: usize) -> io::Result<Self> {
        let address = match transport {
            Transport::Memory => Address::Memory(Port::default()),
            // Abstract, so that nothing of it stays when the server dies.
            Transport::Unix => {
                let number = NUMBER.fetch_add(1, Ordering::Relaxed);
                Address::Abstract(format!("wireskew-{}-{number}", std::process::id()).into_bytes())
            }
            Transport::Tcp => Address::Tcp(LOOPBACK),
        };
        Self::bind(address, backlog)
    }

    /// Binds and listens. Port 0 of TCP stands for any that is free.
    ///
    /// # Errors
    /// What `bind(2)` and `listen(2)` give; a name that is too long is `InvalidInput`; `Unsupported` behind a muxer.
    pub fn bind(address: Address, backlog: usize) -> io::Result<Self> {
        match &address {
            Address::Memory(port) => {
                port.listen(backlog)?;
                Ok(Self { waiting: Waiting::Memory(port.clone()), address })
            }
            Address::Tcp(wanted) => {
                let (listener, bound) = listen_tcp(&address, *wanted, backlog)?;
                Ok(Self { waiting: Waiting::Tcp(listener), address: Address::Tcp(bound) })
            }
            Address::TcpInSlot(slot, wanted) => {
                let (listener, bound) = listen_tcp(&address, *wanted, backlog)?;
                let address = Address::TcpInSlot(Arc::clone(slot), bound);
                Ok(Self { waiting: Waiting::Tcp(listener), address })
            }
            Address::Path(_) | Address::Abstract(_) | Address::InSlot(..) => {
                let (fd, name) = (address.socket()?, address.socket_name()?);
                rustix::net::bind(&fd, &name)?;
                rustix::net::listen(&fd, i32::try_from(backlog).unwrap_or(i32::MAX))?;
                Ok(Self { waiting: Waiting::Unix(UnixListener::from_std(fd.into())?), address })
            }
            Address::HybridVsock { .. } => {
                let why = format!("{address}: only a machine behind the muxer can listen there");
                Err(io::Error::new(io::ErrorKind::Unsupported, why))
            }
        }
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
        poll_fn(|cx| self.poll_accept(cx)).await
    }

    /// As [`Listener::accept`], for loops that wait for several things.
    pub fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<Connection>> {
        match &self.waiting {
            Waiting::Unix(socket) => {
                socket.poll_accept(cx).map_ok(|(stream, _peer)| Connection::from(stream))
            }
            Waiting::Tcp(socket) => Poll::Ready(Connection::tcp(ready!(socket.poll_accept(cx))?.0)),
            Waiting::Memory(port) => {
                let turn = ready!(poll_proceed(cx));
                port.poll_accept(cx).map(|end| {
                    turn.made_progress();
                    Ok(Connection::from(end))
                })
            }
        }
    }
}

fn listen_tcp(at: &Address, wanted: SocketAddr, backlog: usize) -> io::Result<(TcpListener, SocketAddr)> {
    let socket = at.tcp_socket(wanted)?;
    socket.set_reuseaddr(true)?;
    socket.bind(wanted)?;
    let listener = socket.listen(u32::try_from(backlog).unwrap_or(u32::MAX))?;
    let bound = listener.local_addr()?;
    Ok((listener, bound))
}

impl Drop for Listener {
    fn drop(&mut self) {
        match &self.address {
            Address::Memory(port) => port.close(),
            // The directory may be gone already; then so is the socket.
            Address::Path(path) => drop(std::fs::remove_file(path)),
            Address::Abstract(_) | Address::InSlot(..) | Address::Tcp(_) | Address::TcpInSlot(..) => {}
            // Nobody could listen there.
            Address::HybridVsock { .. } => {}
        }
    }
}

#[cfg(test)]
mod tests;
