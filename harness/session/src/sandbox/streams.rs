//! The standard streams of processes in a slot.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, ReadBuf};
use tokio::net::unix::pipe;
use tokio::task::AbortHandle;

use super::place::{Input, PlaceError, context};

/// Time between two attempts at typing.
const TYPING_INTERVAL: Duration = Duration::from_millis(50);

pub(super) fn new_pipe() -> Result<(OwnedFd, OwnedFd), PlaceError> {
    rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).map_err(|e| context("make a pipe")(e.into()))
}

pub(super) fn receiver(fd: OwnedFd) -> Result<pipe::Receiver, PlaceError> {
    rustix::io::ioctl_fionbio(&fd, true).map_err(|e| context("set O_NONBLOCK")(e.into()))?;
    pipe::Receiver::from_owned_fd(fd).map_err(context("register a pipe"))
}

/// The stream that a process reads, and who types into it later.
pub(super) fn open_input(input: &Input) -> Result<(OwnedFd, Option<Typist>), PlaceError> {
    match input {
        Input::Nothing => Ok((File::open("/dev/null").map_err(context("open /dev/null"))?.into(), None)),
        Input::Bytes(bytes) => {
            let (stdin, keyboard) = new_pipe()?;
            type_all(&keyboard, bytes).map_err(context("fill a pipe"))?;
            Ok((stdin, None))
        }
        Input::After { prompt, typed } => {
            let (stdin, keyboard) = new_pipe()?;
            let (prompt, typed) = (prompt.clone(), typed.clone());
            Ok((stdin, Some(Typist { keyboard, prompt, typed, seen: Vec::new() })))
        }
    }
}

/// Puts bytes into a pipe without waiting. They must fit into its buffer, 64 KiB.
fn type_all(keyboard: &OwnedFd, bytes: &[u8]) -> io::Result<()> {
    rustix::io::ioctl_fionbio(keyboard, true)?;
    let written = rustix::io::write(keyboard, bytes)?;
    if written < bytes.len() { Err(io::ErrorKind::InvalidInput.into()) } else { Ok(()) }
}

/// Somebody who types as soon as a text was printed.
pub(super) struct Typist {
    keyboard: OwnedFd,
    prompt: Vec<u8>,
    typed: Vec<u8>,
    seen: Vec<u8>,
}

impl Typist {
    /// Types until nobody reads any more: what comes before the terminal is set up is thrown away.
    async fn type_on(self) {
        while type_all(&self.keyboard, &self.typed).is_ok() {
            tokio::time::sleep(TYPING_INTERVAL).await;
        }
    }

    /// Whether the text has been printed by now.
    fn sees(&mut self, printed: &[u8]) -> bool {
        self.seen.extend_from_slice(printed);
        let found = self.seen.windows(self.prompt.len().max(1)).any(|window| window == self.prompt);
        // Only what may be the beginning of the text has to be remembered.
        let excess = self.seen.len().saturating_sub(self.prompt.len());
        self.seen.drain(..excess);
        found
    }
}

/// An output stream that somebody watches while it is read.
pub(super) struct Watched {
    pub(super) stream: pipe::Receiver,
    pub(super) typist: Option<Typist>,
    pub(super) typing: Option<AbortHandle>,
}

impl Drop for Watched {
    fn drop(&mut self) {
        if let Some(typing) = &self.typing {
            typing.abort();
        }
    }
}

impl AsyncRead for Watched {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buffer.filled().len();
        let polled = Pin::new(&mut this.stream).poll_read(cx, buffer);
        let new = buffer.filled().get(before..).unwrap_or(&[]);
        if this.typist.as_mut().is_some_and(|typist| typist.sees(new))
            && let Some(typist) = this.typist.take()
        {
            this.typing = Some(tokio::spawn(typist.type_on()).abort_handle());
        }
        polled
    }
}
