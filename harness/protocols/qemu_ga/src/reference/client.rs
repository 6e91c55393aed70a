//! The reference client: a host that does what the protocol asks of one.

use std::time::Duration;

use bytes::Bytes;
use matrix::{Build, Role};
use protocol::defect::Switches;
use protocol::reference::Part;
use protocol::reference::call::{self, Caller, End, Tools};
use protocol::{Made, effects};
use session::{Address, Client, ClientReport, LaunchError, Recorder, Server};
use transcript::{ConnId, ExitStatus};
use wire::json::{Document, Value};
use wire::json_lines::{LineDecoder, PART};

use super::defects::{self, DEFECTS};
use crate::dialect::DIALECTS;
use crate::message::{Body, REPLY, Reply, without_delimiter};
use crate::names::{self, GET_DEVICES, GET_DISKS, GET_FSINFO};
use crate::operations::{self, Operation};
use crate::request;

/// The number that this host syncs with.
const SYNC_NUMBER: i64 = 4711;
/// How long a host waits for anything.
const PATIENCE: Duration = Duration::from_secs(5);
/// The only connection of an operation.
const CONN: ConnId = ConnId(1);
/// Most bytes that are taken for one line: libvirt's limit of a reply.
const LINE_MAX: usize = 10 << 20;

/// A host with defects switched on.
///
/// # Errors
/// No dialect of that version, or no defect of that name.
pub(crate) fn client(build: &Build, switched_on: &[String]) -> Made<dyn Client> {
    let part = Part::of(build, Role::Client, &DIALECTS, DEFECTS, switched_on)?;
    Ok(call::client(part.endpoint("qemu-ga"), Hosts { switches: part.switches }))
}

/// Hosts.
struct Hosts {
    switches: Switches,
}

/// Why an operation ended without its end.
enum Failed {
    /// The connection ended or could not be made, or the agent refused.
    Loudly,
    /// An answer did not come.
    Silence,
}

impl Tools for Hosts {
    type Operation = Operation;

    fn operation(&self, name: &str) -> Option<&'static Operation> {
        operations::operation(name)
    }

    async fn carry_out(
        &self,
        operation: &'static Operation,
        server: &mut dyn Server,
        recorder: &Recorder,
        deadline: Duration,
    ) -> Result<ClientReport, LaunchError> {
        let patience = PATIENCE.min(deadline / 2);
        let carried_out = self.talk(operation, server.address(), recorder, patience).await;
        let exit = match carried_out {
            Ok(()) => Some(ExitStatus::Code(0)),
            Err(Failed::Loudly) => Some(ExitStatus::Code(1)),
            Err(Failed::Silence) => None,
        };
        effects::claim_exit(recorder, exit);
        server.effects(recorder).await;
        Ok(ClientReport { exit, stdout: Vec::new(), stderr: Vec::new() })
    }
}

impl Hosts {
    async fn talk(
        &self,
        operation: &Operation,
        address: &Address,
        recorder: &Recorder,
        patience: Duration,
    ) -> Result<(), Failed> {
        let trace = Some((recorder.clone(), CONN));
        let caller = Caller::connect(address, trace, patience).await.map_err(|_| Failed::Loudly)?;
        let mut host = Host { caller, lines: LineDecoder::new(LINE_MAX), patience };
        host.sync(self.switches.has(defects::PLAIN_SYNC)).await?;
        if operation.name == "devices" {
            let found = self.find_disks(&mut host).await?;
            effects::claim(recorder, operations::DISKS, found);
        } else {
            host.ask(request::with_id(names::PING, "\"host\"")).await?.ok_or(Failed::Loudly)?;
            effects::claim(recorder, operations::PING, "answered");
        }
        Ok(())
    }

    /// The first of three commands that is enabled tells the disks.
    async fn find_disks(&self, host: &mut Host) -> Result<&'static str, Failed> {
        let info = host.ask(request::with_id(names::INFO, "\"info\"")).await?.ok_or(Failed::Loudly)?;
        let info = Document::parse(&info, REPLY).map_err(|_| Failed::Loudly)?;
        let ways = [GET_DEVICES, GET_DISKS, GET_FSINFO];
        let way =
            ways.into_iter().find(|command| self.is_there(info.root(), command)).ok_or(Failed::Loudly)?;
        match host.ask(request::with_id(way, "\"disks\"")).await? {
            Some(_) => Ok("known"),
            None if self.switches.has(defects::REFUSED_IS_DONE) => Ok("none"),
            None => Err(Failed::Loudly),
        }
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
struct Host {
    caller: Caller,
    lines: LineDecoder,
    patience: Duration,
}

impl Host {
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
        self.caller.send(bytes, None, self.patience).await.map_err(|_| Failed::Loudly)
    }

    async fn line(&mut self) -> Result<Bytes, Failed> {
        match self.caller.frame(&mut self.lines, self.patience).await {
            Ok(frame) if frame.kind != PART => Ok(frame.bytes),
            Err(End::Timeout) => Err(Failed::Silence),
            // A line without an end is none.
            Ok(_) | Err(End::Eof | End::Reset | End::Unreadable(_)) => Err(Failed::Loudly),
        }
    }
}
