//! A stream socket of the kernel: one message, over a unix socket with descriptors and credentials, out and in.

use std::cell::RefCell;
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd};
use std::task::{Context, Poll};

use bytes::Bytes;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, UCred,
};
use rustix::process::{Gid, Pid, Uid};
use tokio::io::Interest;
use tokio::net::{TcpStream, UnixStream};
use transcript::{Credentials, Data, FdNote};

use super::{FDS_PER_MESSAGE_MAX, READ_LEN_MAX, Received, note};

thread_local! {
    /// What is read goes through here and is then copied out: as long as it is, and no longer.
    static SCRATCH: RefCell<Box<[u8]>> = RefCell::new(vec![0; READ_LEN_MAX].into_boxed_slice());
}

/// One end of a connection in the kernel.
#[derive(Debug)]
pub(super) enum Socket {
    Unix(UnixStream),
    /// Carries neither descriptors nor credentials, and does not tell a close from a half-close.
    Tcp(TcpStream),
}

impl Socket {
    fn try_io<T>(&self, interest: Interest, f: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        match self {
            Self::Unix(stream) => stream.try_io(interest, f),
            Self::Tcp(stream) => stream.try_io(interest, f),
        }
    }

    pub(super) fn poll_read_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Unix(stream) => stream.poll_read_ready(cx),
            Self::Tcp(stream) => stream.poll_read_ready(cx),
        }
    }

    pub(super) fn poll_write_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Unix(stream) => stream.poll_write_ready(cx),
            Self::Tcp(stream) => stream.poll_write_ready(cx),
        }
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Unix(stream) => stream.as_fd(),
            Self::Tcp(stream) => stream.as_fd(),
        }
    }
}

/// Sends what the kernel takes in one `sendmsg(2)`.
pub(super) fn try_send(
    stream: &Socket,
    bytes: &[u8],
    fds: &[BorrowedFd<'_>],
    creds: Option<Credentials>,
) -> io::Result<usize> {
    stream.try_io(Interest::WRITABLE, || sendmsg(stream, bytes, fds, creds))
}

fn sendmsg(
    stream: &Socket,
    bytes: &[u8],
    fds: &[BorrowedFd<'_>],
    creds: Option<Credentials>,
) -> io::Result<usize> {
    if fds.is_empty() && creds.is_none() {
        return Ok(rustix::net::send(stream, bytes, SendFlags::NOSIGNAL)?);
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
    Ok(rustix::net::sendmsg(stream, &iov, &mut control, SendFlags::NOSIGNAL)?)
}

/// Takes what is there. Where that was all, the next wait is told so and does not read in vain first.
pub(super) fn take(stream: &Socket, len_max: usize) -> io::Result<Option<Received>> {
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

/// Whether there is something to read: bytes, the end, an error.
pub(super) fn has_unread(stream: &Socket) -> bool {
    let mut looked = [PollFd::new(stream, PollFlags::IN)];
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    matches!(poll(&mut looked, Some(&now)), Ok(1..))
}

/// Whether nothing can pass any more in either direction: a unix socket then hangs up.
pub(super) fn is_hung_up(stream: &Socket) -> bool {
    let mut looked = [PollFd::new(stream, PollFlags::empty())];
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    matches!(poll(&mut looked, Some(&now)), Ok(1..)) && looked[0].revents().contains(PollFlags::HUP)
}
