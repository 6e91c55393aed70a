//! The reference client: a host that does what the protocol asks of one.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use matrix::{Build, Role};
use session::{
    Address, BoxFuture, Client, ClientReport, Connection, LaunchError, LaunchErrorKind, Received, Recorder,
    Server,
};
use transcript::{ConnId, Data, Endpoint, EventKind, ExitStatus};
use wire::Direction;
use wire::json::{Document, Value};

use super::defects::{self, DEFECTS};
use crate::message::{Body, REPLY, Reply, without_delimiter};
use crate::names::{self, GET_DEVICES, GET_DISKS, GET_FSINFO};
use crate::operations::{self, Operation};
use crate::request;
use protocol::defect::Switches;
use protocol::effects;

/// The number that this host syncs with.
const SYNC_NUMBER: i64 = 4711;
/// How long a host waits for anything.
const PATIENCE: Duration = Duration::from_secs(5);
/// The only connection of an operation.
const CONN: ConnId = ConnId(1);
/// Most bytes that are taken for one line: libvirt's limit of a reply.
const LINE_MAX: usize = 10 << 20;

/// A host.
#[derive(Debug, Clone)]
pub(crate) struct ReferenceClient {
    endpoint: Endpoint,
    switches: Switches,
}

/// Why an operation ended without its end.
enum Failed {
    /// The connection ended or could not be made, or the agent refused.
    Loudly,
    /// An answer did not come.
    Silence,
}

impl ReferenceClient {
    /// Prepares a host with defects switched on.
    ///
    /// # Errors
    /// There is no defect of that name.
    pub(crate) fn new(build: &Build, switched_on: &[String]) -> Result<Self, LaunchError> {
        let switches = Switches::on(DEFECTS, Role::Client, switched_on).map_err(|why| {
            let why = LaunchErrorKind::Setup(why.to_string());
            LaunchError::new(format!("use reference client {}", build.id), why)
        })?;
        Ok(Self { endpoint: super::endpoint(build, &switches), switches })
    }

    async fn operate(
        &self,
        operation: &'static Operation,
        server: &mut dyn Server,
        recorder: &Recorder,
        deadline: Duration,
    ) -> Result<ClientReport, LaunchError> {
        server.prepare(operation.before).await?;
        operation.announce(recorder);
        let patience = PATIENCE.min(deadline / 2);
        let carried_out = self.carry_out(operation, server.address(), recorder, patience).await;
        let exit = match carried_out {
            Ok(()) => Some(ExitStatus::Code(0)),
            Err(Failed::Loudly) => Some(ExitStatus::Code(1)),
            Err(Failed::Silence) => None,
        };
        effects::claim_exit(recorder, exit);
        server.effects(recorder).await;
        Ok(ClientReport { exit, stdout: Vec::new(), stderr: Vec::new() })
    }

    async fn carry_out(
        &self,
        operation: &Operation,
        address: &Address,
        recorder: &Recorder,
        patience: Duration,
    ) -> Result<(), Failed> {
        let connection = Connection::connect(address, patience).await.map_err(|error| {
            let kind = EventKind::ConnectFailed(error.kind().to_string());
            recorder.record(CONN, Direction::ToServer, kind);
            Failed::Loudly
        })?;
        recorder.record(CONN, Direction::ToServer, EventKind::Connect);
        let mut host = Host { connection, recorder, received: BytesMut::new(), patience };
        let done = async {
            host.sync(self.switches.has(defects::PLAIN_SYNC)).await?;
            match operation.name {
                "devices" => self.find_disks(&mut host).await,
                _ => {
                    let answer = host.ask(request::with_id(names::PING, "\"host\"")).await?;
                    answer
                        .map(|_| effects::claim(recorder, operations::PING, "answered"))
                        .ok_or(Failed::Loudly)
                }
            }
        };
        let done = done.await;
        recorder.record(CONN, Direction::ToServer, EventKind::Eof(Some("closes".to_owned())));
        done
    }

    /// The first of three commands that is enabled tells the disks.
    async fn find_disks(&self, host: &mut Host<'_>) -> Result<(), Failed> {
        let info = host.ask(request::with_id(names::INFO, "\"info\"")).await?.ok_or(Failed::Loudly)?;
        let info = Document::parse(&info, REPLY).map_err(|_| Failed::Loudly)?;
        let ways = [GET_DEVICES, GET_DISKS, GET_FSINFO];
        let way =
            ways.into_iter().find(|command| self.is_there(info.root(), command)).ok_or(Failed::Loudly)?;
        let found = match host.ask(request::with_id(way, "\"disks\"")).await? {
            Some(_) => "known",
            None if self.switches.has(defects::REFUSED_IS_DONE) => "none",
            None => return Err(Failed::Loudly),
        };
        effects::claim(host.recorder, operations::DISKS, found);
        Ok(())
    }

    /// Whether the agent has a command, as this host finds out.
    fn is_there(&self, info: Value<'_>, command: &str) -> bool {
        if self.switches.has(defects::TRUSTS_VERSION) || self.switches.has(defects::REFUSED_IS_DONE) {
            // Whatever is as new as the first release that had it.
            let version = info.get("version").and_then(Value::text).unwrap_or_default();
            let major = version.split('.').next().and_then(|major| major.parse::<u32>().ok());
            return major.is_some_and(|major| major >= 5);
        }
        let listed = info.get("supported_commands").into_iter().flat_map(Value::items);
        let named = |entry: &Value<'_>| entry.get("name").and_then(Value::text).as_deref() == Some(command);
        let enabled = |entry: Value<'_>| entry.get("enabled").and_then(Value::as_bool) == Some(true);
        listed.filter(named).any(|entry| enabled(entry) || self.switches.has(defects::LISTED_IS_ENABLED))
    }
}

/// A host that talks to its agent.
struct Host<'a> {
    connection: Connection,
    recorder: &'a Recorder,
    received: BytesMut,
    patience: Duration,
}

impl Host<'_> {
    /// Brings the agent into step: everything up to the answer with the delimiter is passed over.
    async fn sync(&mut self, plain: bool) -> Result<(), Failed> {
        let request = if plain { request::sync(SYNC_NUMBER) } else { request::resync(SYNC_NUMBER) };
        self.send(request).await?;
        loop {
            let line = self.line().await?;
            let reply = Reply::of(&line);
            if (reply.delimited || plain) && reply.number() == Some(SYNC_NUMBER) {
                return Ok(());
            }
        }
    }

    /// Asks; what is returned, or `None` where it is refused.
    async fn ask(&mut self, request: Bytes) -> Result<Option<Bytes>, Failed> {
        self.send(request).await?;
        let line = self.line().await?;
        match Reply::of(without_delimiter(&line).1).body {
            Body::Return(value) => Ok(Some(value.into())),
            Body::Error { .. } => Ok(None),
            Body::Unreadable => Err(Failed::Loudly),
        }
    }

    async fn send(&mut self, bytes: Bytes) -> Result<(), Failed> {
        self.connection.send(&bytes, &[], None, self.patience).await.map_err(|_| Failed::Loudly)?;
        self.recorder.data(CONN, Direction::ToServer, Data { bytes, fds: Vec::new(), creds: None });
        Ok(())
    }

    async fn line(&mut self) -> Result<Bytes, Failed> {
        loop {
            if let Some(end) = self.received.iter().position(|byte| *byte == b'\n') {
                return Ok(self.received.split_to(end + 1).freeze());
            }
            if self.received.len() > LINE_MAX {
                return Err(Failed::Loudly);
            }
            match self.connection.recv(self.patience).await.map_err(|_| Failed::Loudly)? {
                Received::Data(data, _) => {
                    self.received.extend_from_slice(&data.bytes);
                    self.recorder.data(CONN, Direction::ToClient, data);
                }
                Received::Eof | Received::Reset => {
                    self.recorder.record(CONN, Direction::ToClient, EventKind::Eof(None));
                    return Err(Failed::Loudly);
                }
                Received::Timeout => return Err(Failed::Silence),
            }
        }
    }
}

impl Client for ReferenceClient {
    fn endpoint(&self) -> Endpoint {
        self.endpoint.clone()
    }

    fn run<'a>(
        &'a self,
        operation: &'a str,
        server: &'a mut dyn Server,
        recorder: &'a Recorder,
        deadline: Duration,
    ) -> BoxFuture<'a, Result<ClientReport, LaunchError>> {
        Box::pin(async move {
            match operations::operation(operation) {
                Some(operation) => self.operate(operation, server, recorder, deadline).await,
                None => {
                    let why = format!("no operation `{operation}` of a reference client");
                    Err(LaunchError::new(format!("run {}", self.endpoint.id), LaunchErrorKind::Setup(why)))
                }
            }
        })
    }
}
