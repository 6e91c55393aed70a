//! Starts reference servers: one client at a time, as on the serial line for which the agent was made.

use std::collections::BTreeSet;
use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

use bytes::Bytes;
use matrix::{Build, Role};
use protocol::defect::Switches;
use protocol::reference::Part;
use protocol::reference::call::Caller;
use protocol::reference::serve::{self, Clients, Look, Machine, Outside, Peer, Servers, Site, Step};
use protocol::{Bench, Made};
use session::{Address, BoxFuture, Connection, LaunchError, LaunchErrorKind, Launcher};
use transcript::{Data, ExitStatus};

use super::agent::Agent;
use super::defects::{self, DEFECTS};
use crate::dialect::{DIALECTS, Dialect};
use crate::names::{BLOCKED, DELIMITER};
use crate::operations;
use crate::settings::Settings;

/// How long it may take to leave something half said.
const HALF_SAID: Duration = Duration::from_secs(2);
/// `SIGABRT`.
const SIGABRT: i32 = 6;
/// How many clients a faulty server serves as it should: those that the setup of a probe opens.
const CLIENTS_SERVED: Peer = 3;

/// A launcher of servers of a build with defects switched on.
///
/// # Errors
/// No dialect of that version, no defect of that name, or a setting that nobody knows.
pub(crate) fn server(build: &Build, switched_on: &[String], bench: &Bench) -> Made<dyn Launcher> {
    let part = Part::of(build, Role::Server, &DIALECTS, DEFECTS, switched_on)?;
    let settings = part.needs(Settings::read(&build.settings))?;
    let agents = Agents { dialect: part.dialect, switches: part.switches.clone(), settings };
    Ok(serve::launcher(part.endpoint("qemu-ga"), &bench.work_dir, agents))
}

struct Agents {
    dialect: &'static Dialect,
    switches: Switches,
    settings: Settings,
}

impl Servers for Agents {
    type Machine = OneAtATime;

    async fn make(&self, _site: &Site) -> Result<OneAtATime, LaunchErrorKind> {
        let allowed = self.settings.allow.as_deref();
        let blocked: BTreeSet<String> =
            BLOCKED.iter().filter(|name| Some(**name) != allowed).map(|name| (*name).to_owned()).collect();
        let has = |defect| self.switches.has(defect);
        Ok(OneAtATime {
            agent: Agent::new(self.dialect, self.switches.clone(), blocked),
            // Behind a serial line an agent sees no clients come and go.
            fresh_parser: self.dialect.fresh_parser && !self.settings.on_line && !has(defects::KEEPS_PARSER),
            spins: self.dialect.spins || has(defects::SPINS),
            switches: self.switches.clone(),
            late: Vec::new(),
            kept: Vec::new(),
        })
    }
}

/// An agent that serves one client after the other.
struct OneAtATime {
    agent: Agent,
    switches: Switches,
    /// Whether a new client finds a parser that has read nothing.
    fresh_parser: bool,
    /// Whether a client that does not read keeps the processor busy.
    spins: bool,
    /// Lines that a client did not read, kept by a faulty server for the next.
    late: Vec<Bytes>,
    /// What a faulty server never drops.
    kept: Vec<Bytes>,
}

impl Machine for OneAtATime {
    /// What the client said last; the agent reads it at once, and knows nothing of clients.
    type Client = Option<Bytes>;

    const CLIENTS_MAX: usize = 1;
    const ANSWERS_MANY: bool = true;

    async fn accepted(&mut self, clients: &mut Clients<Option<Bytes>>, peer: Peer, connection: Connection) {
        if self.fresh_parser {
            self.agent.forget();
        }
        clients.add(peer, connection, None);
        for line in std::mem::take(&mut self.late) {
            clients.push(peer, line);
        }
    }

    fn came(&mut self, clients: &mut Clients<Option<Bytes>>, peer: Peer, data: Data, _fds: Vec<OwnedFd>) {
        if let Some(said) = clients.get_mut(peer) {
            *said = Some(data.bytes);
        }
    }

    async fn step(&mut self, clients: &mut Clients<Option<Bytes>>, peer: Peer) -> Step {
        let Some(bytes) = clients.get_mut(peer).and_then(Option::take) else { return Step::Waits };
        if self.switches.has(defects::SECOND_CLIENT) && peer > CLIENTS_SERVED {
            clients.remove(peer);
            return Step::Waits;
        }
        if self.switches.has(defects::KEEPS_PAYLOADS) {
            self.kept.push(bytes.clone());
        }
        let lines = self.agent.read(&bytes);
        let about_syntax = |line: &Bytes| memchr::memmem::find(line, b"JSON ").is_some();
        let junk = bytes.first() != Some(&DELIMITER) && lines.iter().any(about_syntax);
        if junk && self.switches.has(defects::DIES_OF_JUNK) {
            return Step::Dies(ExitStatus::Signal(SIGABRT));
        }
        for line in lines {
            clients.push(peer, line);
        }
        if junk && self.switches.has(defects::CLOSES_ON_JUNK) {
            clients.end(peer);
        }
        Step::Done
    }

    fn gone(&mut self, _peer: Peer, _said: Option<Bytes>, unsent: Vec<Bytes>) {
        if self.switches.has(defects::LATE_REPLY) {
            self.late = unsent;
        }
    }

    fn look(&self, _clients: &Clients<Option<Bytes>>, look: &mut Look) {
        look.spins = Some(self.spins);
        look.held_bytes += self.agent.held_bytes();
        look.held_bytes += self.late.iter().chain(&self.kept).map(Bytes::len).sum::<usize>();
    }

    fn outside(&self) -> Box<dyn Outside> {
        Box::new(AnotherHost)
    }
}

/// Somebody else who can reach the socket.
struct AnotherHost;

impl Outside for AnotherHost {
    fn prepare<'a>(
        &'a mut self,
        address: &'a Address,
        condition: &'a str,
    ) -> BoxFuture<'a, Result<(), LaunchError>> {
        prepare(address, condition)
    }
}

/// Brings an agent into the condition that an operation needs.
pub(crate) fn prepare<'a>(agent: &'a Address, condition: &'a str) -> BoxFuture<'a, Result<(), LaunchError>> {
    Box::pin(async move {
        if condition != operations::HALF_SAID {
            return Ok(());
        }
        let left = leave_half_said(agent).await;
        left.map_err(|error| LaunchError::new("leave half a request", error))
    })
}

/// Another host says half a request and goes.
///
/// # Errors
/// The server does not listen.
async fn leave_half_said(address: &Address) -> io::Result<()> {
    let host = Caller::connect(address, None, HALF_SAID).await?;
    let sent = host.send(Bytes::from_static(operations::HALF), None, HALF_SAID).await;
    sent.map_err(|end| io::Error::other(format!("{end:?}")))
}
