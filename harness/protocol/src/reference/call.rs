//! Clients: connections that write down what passes on them, and the operations that are carried out so.

use std::future::{Future, poll_fn};
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use crate::effects::Operation;
use bytes::{Bytes, BytesMut};
use session::{
    Address, BoxFuture, Client, ClientReport, Connection, LaunchError, LaunchErrorKind, READ_LEN_MAX,
    Received, Recorder, SendEnd, Server, errno_name,
};
use transcript::{ConnId, Credentials, Data, Endpoint, EventKind};
use wire::{DecodeError, Decoder, Direction, Frame};

/// Where what passes is written down.
pub type Trace = Option<(Recorder, ConnId)>;

/// Why nothing more comes.
#[derive(Debug)]
pub enum End {
    /// The server ended its direction.
    Eof,
    /// The connection was reset.
    Reset,
    /// The deadline passed.
    Timeout,
    /// What came is no frame.
    Unreadable(DecodeError),
}

/// A client's end of a connection. Dropping it closes the connection.
#[derive(Debug)]
pub struct Caller {
    connection: Connection,
    trace: Trace,
    /// What came and was in no frame yet.
    received: BytesMut,
    /// Whether it is written down when this is dropped.
    farewell: bool,
}

impl Caller {
    /// Connects.
    ///
    /// # Errors
    /// As for [`Connection::connect`].
    pub async fn connect(address: &Address, trace: Trace, deadline: Duration) -> io::Result<Self> {
        match Connection::connect(address, deadline).await {
            Ok(connection) => {
                let caller = Self::over(connection, trace);
                caller.note(Direction::ToServer, EventKind::Connect);
                Ok(caller)
            }
            Err(error) => {
                let kind = EventKind::ConnectFailed(errno_name(&error).into_owned());
                note(&trace, Direction::ToServer, kind);
                Err(error)
            }
        }
    }

    /// Takes over a connection.
    #[must_use]
    pub fn over(connection: Connection, trace: Trace) -> Self {
        Self { connection, trace, received: BytesMut::new(), farewell: true }
    }

    /// Who we are when we claim nothing.
    #[must_use]
    pub fn own_credentials(&self) -> Credentials {
        self.connection.own_credentials()
    }

    /// Sends everything.
    ///
    /// # Errors
    /// See [`SendEnd`]. What was taken is written down.
    pub async fn send(
        &self,
        bytes: Bytes,
        creds: Option<Credentials>,
        deadline: Duration,
    ) -> Result<(), SendEnd> {
        let sent = self.connection.send(&bytes, &[], creds, deadline).await;
        let taken = match &sent {
            Ok(()) => bytes.len(),
            Err(SendEnd::Timeout { sent } | SendEnd::Closed { sent }) => *sent,
            Err(SendEnd::Io(_)) => 0,
        };
        if taken > 0 {
            let data = Data { bytes: bytes.slice(..taken), fds: Vec::new(), creds };
            self.note(Direction::ToServer, EventKind::Data(data));
        }
        sent
    }

    /// Waits for bytes, or for the end.
    ///
    /// # Errors
    /// As for [`Connection::recv`].
    pub async fn recv(&mut self, deadline: Duration) -> io::Result<Received> {
        let received = self.connection.recv(deadline).await;
        self.write_down(&received);
        received
    }

    /// Ends the client's direction.
    ///
    /// # Errors
    /// As for [`Connection::half_close`].
    pub fn half_close(&self) -> io::Result<()> {
        self.connection.half_close()?;
        self.note(Direction::ToServer, EventKind::Eof(Some("half-close".to_owned())));
        Ok(())
    }

    /// Takes what is there already.
    ///
    /// # Errors
    /// As for [`Connection::try_recv`].
    pub fn try_recv(&mut self) -> io::Result<Option<Received>> {
        let received = self.connection.try_recv(READ_LEN_MAX).transpose();
        if let Some(received) = &received {
            self.write_down(received);
        }
        received.transpose()
    }

    /// See [`Connection::is_hung_up`].
    #[must_use]
    pub fn is_hung_up(&self) -> bool {
        self.connection.is_hung_up()
    }

    /// The next frame.
    ///
    /// # Errors
    /// See [`End`].
    pub async fn frame(&mut self, decoder: &mut dyn Decoder, deadline: Duration) -> Result<Frame, End> {
        loop {
            if let Some(frame) = decoder.decode(&mut self.received).map_err(End::Unreadable)? {
                return Ok(frame);
            }
            match self.recv(deadline).await {
                Ok(Received::Data(data, _fds)) => self.received.extend_from_slice(&data.bytes),
                Ok(Received::Eof) => return Err(End::Eof),
                Ok(Received::Timeout) => return Err(End::Timeout),
                Ok(Received::Reset) | Err(_) => return Err(End::Reset),
            }
        }
    }

    /// What came and is in no frame: with the end of the stream it stays so.
    #[must_use]
    pub fn rest(&self) -> &[u8] {
        &self.received
    }

    /// At most that many bytes: in one read, or until they are complete or the stream has ended. `None` for a reset.
    pub async fn take(&mut self, len: usize, in_one_read: bool) -> Option<(Bytes, Vec<OwnedFd>)> {
        let (mut bytes, mut all_fds) = (BytesMut::new(), Vec::new());
        while bytes.len() < len {
            poll_fn(|cx| self.connection.poll_readable(cx)).await.ok()?;
            let received = self.connection.try_recv((len - bytes.len()).min(READ_LEN_MAX)).transpose();
            let Some(received) = received else { continue };
            self.write_down(&received);
            match received.ok()? {
                Received::Data(data, fds) => {
                    bytes.extend_from_slice(&data.bytes);
                    all_fds.extend(fds);
                }
                Received::Reset => return None,
                Received::Eof | Received::Timeout => break,
            }
            if in_one_read {
                break;
            }
        }
        Some((bytes.freeze(), all_fds))
    }

    /// Closes the connection, and writes down how that comes.
    pub fn leave(mut self, how: &str) {
        self.note(Direction::ToServer, EventKind::Eof(Some(how.to_owned())));
        self.farewell = false;
    }

    /// The same connection, of which it is only written down that it is closed where somebody says how.
    #[must_use]
    pub fn without_farewell(self) -> Self {
        let mut this = self;
        this.farewell = false;
        this
    }

    fn write_down(&self, received: &io::Result<Received>) {
        let kind = match received {
            Ok(Received::Data(data, _)) => EventKind::Data(data.clone()),
            Ok(Received::Eof) => EventKind::Eof(None),
            Ok(Received::Reset) | Err(_) => EventKind::Reset,
            Ok(Received::Timeout) => return,
        };
        self.note(Direction::ToClient, kind);
    }

    fn note(&self, dir: Direction, kind: EventKind) {
        note(&self.trace, dir, kind);
    }
}

fn note(trace: &Trace, dir: Direction, kind: EventKind) {
    let Some((recorder, conn)) = trace else { return };
    match kind {
        EventKind::Data(data) => recorder.data(*conn, dir, data),
        kind => recorder.record(*conn, dir, kind),
    }
}

impl Drop for Caller {
    fn drop(&mut self) {
        if self.farewell {
            self.note(Direction::ToServer, EventKind::Eof(Some("closes".to_owned())));
        }
    }
}

/// The tools of one build: what they do for each operation.
pub trait Tools: Send + Sync + 'static {
    /// What is known of an operation.
    type Operation: Operation;

    /// Whether the server is in the condition that an operation needs when it is carried out; otherwise they see to that.
    const PREPARED: bool = true;

    /// The operation of that name, if they can carry it out.
    fn operation(&self, name: &str) -> Option<&'static Self::Operation>;

    /// See [`Client::command`].
    fn command(&self, _operation: &Self::Operation) -> Vec<String> {
        Vec::new()
    }

    /// Carries it out, which has been announced; see [`Client::run`].
    fn carry_out(
        &self,
        operation: &'static Self::Operation,
        server: &mut dyn Server,
        recorder: &Recorder,
        deadline: Duration,
    ) -> impl Future<Output = Result<ClientReport, LaunchError>> + Send;
}

/// A client with those tools.
pub fn client<T: Tools>(endpoint: Endpoint, tools: T) -> Arc<dyn Client> {
    Arc::new(Equipped { endpoint, tools })
}

struct Equipped<T> {
    endpoint: Endpoint,
    tools: T,
}

impl<T: Tools> Client for Equipped<T> {
    fn endpoint(&self) -> Endpoint {
        self.endpoint.clone()
    }

    fn command(&self, operation: &str) -> Vec<String> {
        self.tools.operation(operation).map(|known| self.tools.command(known)).unwrap_or_default()
    }

    fn run<'a>(
        &'a self,
        operation: &'a str,
        server: &'a mut dyn Server,
        recorder: &'a Recorder,
        deadline: Duration,
    ) -> BoxFuture<'a, Result<ClientReport, LaunchError>> {
        Box::pin(async move {
            match self.tools.operation(operation) {
                Some(operation) => {
                    operation.announce(recorder);
                    if let Some(condition) = operation.condition().filter(|_| T::PREPARED) {
                        server.prepare(condition).await?;
                    }
                    self.tools.carry_out(operation, server, recorder, deadline).await
                }
                None => {
                    let why = format!("it has no operation `{operation}`");
                    Err(LaunchError::new(format!("run {}", self.endpoint.id), LaunchErrorKind::Setup(why)))
                }
            }
        })
    }
}
