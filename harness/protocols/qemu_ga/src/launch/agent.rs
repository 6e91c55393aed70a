//! Agents of a real build.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::chown;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use session::pty::{Line, Terminal};
use session::sandbox::{Sandbox, Slot, SlotError};
use session::{
    Address, BoxFuture, Connection, LaunchError, LaunchErrorKind, Launcher, Listener, Look, Received,
    Recorder, Server, Start, Worker,
};
use transcript::{ConnId, Endpoint};

use super::guard::Guard;
use crate::message::Reply;
use crate::names::{BLOCKED, INFO};
use crate::settings::Settings;
use crate::{checks, operations, reference, request};
use protocol::installed::{Installed, Process, environment, setup, work};

/// The user and the group as whom agents run.
const NOBODY: u32 = 65534;
/// Where the agent's own files are, as it sees it.
const RUN: &str = "/wireskew/run";
/// Name of the socket in there.
const SOCKET: &str = "qga.sock";
/// Clients that may wait for the line.
const BACKLOG: usize = 100;
/// The number of our own guest-sync-delimited.
const SYNC: i64 = 314;
/// How long one of our own questions may take.
const QUESTION_DEADLINE: Duration = Duration::from_secs(2);
/// How often readiness is tried again.
const READY_RETRY: Duration = Duration::from_millis(1);
/// Most bytes of an answer to one of our own questions.
const ANSWER_LEN_MAX: usize = 1 << 20;

/// Starts agents of one build.
#[derive(Debug)]
pub(super) struct AgentLauncher {
    real: Arc<Installed>,
    settings: Settings,
}

impl AgentLauncher {
    pub(super) fn new(real: Arc<Installed>, settings: Settings) -> Self {
        Self { real, settings }
    }

    async fn launch(&self, deadline: Duration) -> Result<Agent, LaunchError> {
        let sandbox =
            Sandbox::inside().ok_or_else(|| self.real.error("prepare", setup(SlotError::NoSandbox)))?;
        let slot = Slot::open(&sandbox).await.map_err(|error| self.real.error("prepare", setup(error)))?;
        let slot = Arc::new(slot);
        let late = LaunchErrorKind::NotReady(u64::try_from(deadline.as_millis()).unwrap_or(u64::MAX));
        match tokio::time::timeout(deadline, self.bring_up(&slot)).await.unwrap_or(Err(late)) {
            Ok(agent) => Ok(agent),
            Err(kind) => {
                slot.close().await;
                Err(self.real.error("start", kind))
            }
        }
    }

    async fn bring_up(&self, slot: &Arc<Slot>) -> Result<Agent, LaunchErrorKind> {
        let work = work(slot);
        let run = work.join("run");
        fs::create_dir(slot.directory().join("r"))?;
        fs::create_dir(&work)?;
        fs::create_dir(&run)?;
        chown(&run, Some(NOBODY), Some(NOBODY))?;
        let root = self.real.mount(slot).await.map_err(setup)?;
        let address = Address::Path(run.join(SOCKET));
        let terminal = match self.settings.on_line {
            true => Some(open_terminal(&slot.path(&root))?),
            false => None,
        };
        let mut command = self.real.command(root, self.command_line());
        command.user = Some((NOBODY, NOBODY));
        let said = OpenOptions::new().create(true).append(true).open(work.join("said"))?;
        let streams = [OwnedFd::from(File::open("/dev/null")?), said.try_clone()?.into(), said.into()];
        let pid = slot.spawn(&command, streams).await.map_err(setup)?;
        let process = Process::new(slot, pid);
        let line = match terminal {
            Some(terminal) => {
                let hosts = Listener::bind(address.clone(), BACKLOG)?;
                Some(Line::start(hosts, terminal, Arc::new(process.clone()))?)
            }
            None => None,
        };
        let enabled = loop {
            match capabilities(&address).await {
                Ok(enabled) => break enabled,
                Err(_not_yet) => {
                    if let Some(status) = process.ended() {
                        let said = fs::read_to_string(work.join("said")).unwrap_or_default();
                        return Err(LaunchErrorKind::Ended(format!("qemu-ga: {status:?}; {}", said.trim())));
                    }
                    tokio::time::sleep(READY_RETRY).await;
                }
            }
        };
        let guard = Guard::of(&enabled).map_err(LaunchErrorKind::Setup)?;
        Ok(Agent { slot: Arc::clone(slot), address, ends: Ends { process, line }, guard })
    }

    fn command_line(&self) -> Vec<String> {
        let mut argv = vec!["qemu-ga".to_owned()];
        argv.extend(self.real.args.iter().cloned());
        let socket = format!("{RUN}/{SOCKET}");
        let (method, path) =
            if self.settings.on_line { ("virtio-serial", TERMINAL) } else { ("unix-listen", &*socket) };
        let pid = format!("{RUN}/qga.pid");
        let blocked = BLOCKED.join(",");
        let rest = ["-m", method, "-p", path, "-t", RUN, "-f", &pid, "-b", &blocked];
        argv.extend(rest.map(str::to_owned));
        argv
    }
}

impl Launcher for AgentLauncher {
    fn endpoint(&self) -> Endpoint {
        Endpoint { command: self.command_line(), ..self.real.endpoint.clone() }
    }

    fn environment(&self) -> BTreeMap<String, String> {
        environment()
    }

    fn start(&self, how: Start) -> BoxFuture<'_, Result<Box<dyn Server>, LaunchError>> {
        Box::pin(async move { Ok(Box::new(self.launch(how.deadline).await?) as Box<dyn Server>) })
    }
}

/// The agent's end of the line: the first terminal of the file system of terminals that its root has for itself.
const TERMINAL: &str = "/dev/pts/0";

/// Opens a terminal in the root of the agent, where it is found as [`TERMINAL`].
fn open_terminal(root: &Path) -> io::Result<Terminal> {
    let terminal = Terminal::open_in(root)?;
    if terminal.path() != Path::new(TERMINAL) {
        return Err(io::Error::other(format!("the first terminal is {}", terminal.path().display())));
    }
    chown(terminal.outside(), Some(NOBODY), Some(NOBODY))?;
    Ok(terminal)
}

/// What the agent says of its commands. Nobody records this.
async fn capabilities(address: &Address) -> io::Result<BTreeMap<String, bool>> {
    let mut connection = Connection::connect(address, QUESTION_DEADLINE).await?;
    let question = Bytes::from([&request::resync(SYNC)[..], &request::plain(INFO)].concat());
    let sent = connection.send(&question, &[], None, QUESTION_DEADLINE).await;
    sent.map_err(|end| io::Error::other(format!("{end:?}")))?;
    let mut received = BytesMut::new();
    let mut in_step = false;
    loop {
        while let Some(end) = received.iter().position(|byte| *byte == b'\n') {
            let reply = Reply::of(&received.split_to(end + 1));
            if in_step {
                return checks::enabled(&reply).ok_or_else(|| io::ErrorKind::InvalidData.into());
            }
            in_step = reply.delimited && reply.number() == Some(SYNC);
        }
        if received.len() > ANSWER_LEN_MAX {
            return Err(io::ErrorKind::InvalidData.into());
        }
        match connection.recv(QUESTION_DEADLINE).await? {
            Received::Data(data, _) => received.extend_from_slice(&data.bytes),
            Received::Eof | Received::Reset => return Err(io::ErrorKind::UnexpectedEof.into()),
            Received::Timeout => return Err(io::ErrorKind::TimedOut.into()),
        }
    }
}

/// A running agent.
struct Agent {
    slot: Arc<Slot>,
    address: Address,
    ends: Ends,
    guard: Guard,
}

/// The process, and the line to it if it is on one.
struct Ends {
    process: Process,
    line: Option<Line>,
}

/// What lies in the line is still to be done.
impl Worker for Ends {
    fn look(&self) -> Option<Look> {
        let look = self.process.look()?;
        Some(Look { busy: look.busy || self.line.as_ref().is_some_and(Line::carries), ..look })
    }
}

impl Server for Agent {
    fn address(&self) -> &Address {
        &self.address
    }

    fn watch(&mut self, recorder: &Recorder) {
        self.ends.process.watch(recorder);
        self.ends.process.watch_time(recorder);
    }

    fn worker(&self) -> Option<&dyn Worker> {
        Some(&self.ends)
    }

    fn may_send(&mut self, conn: ConnId, bytes: &[u8]) -> Result<(), String> {
        match self.guard.forbids(conn, bytes) {
            Some(command) => Err(format!("`{command}` is not sent to a real agent")),
            None => Ok(()),
        }
    }

    fn prepare<'a>(&'a mut self, condition: &'a str) -> BoxFuture<'a, Result<(), LaunchError>> {
        Box::pin(async move {
            if condition == operations::HALF_SAID {
                reference::leave_half_said(&self.address)
                    .await
                    .map_err(|error| LaunchError::new("leave half a request", error))?;
            }
            Ok(())
        })
    }

    fn stop(self: Box<Self>) -> BoxFuture<'static, ()> {
        Box::pin(async move { self.slot.close().await })
    }
}
