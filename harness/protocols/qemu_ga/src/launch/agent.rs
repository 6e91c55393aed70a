//! Agents of a real build.

use std::collections::BTreeMap;
use std::io;
use std::os::unix::fs::chown;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use session::pty::{Line, Terminal};
use session::sandbox::{Slot, SlotCommand};
use session::{
    Address, BoxFuture, Connection, LaunchError, LaunchErrorKind, Launcher, Listener, Look, Recorder, Server,
    Start, Transport, Worker,
};
use transcript::Endpoint;
use transcript::evidence;

use super::guard::{Guard, Guarded};
use crate::message::Reply;
use crate::names::{BLOCKED, INFO};
use crate::settings::Settings;
use crate::{checks, request};
use protocol::installed::{Installed, Process, environment, work};
use protocol::launch::{NOBODY, Place, QUESTION_DEADLINE, ask, make_own, ready};

/// Where the agent's own files are, as it sees it.
const RUN: &str = "/wireskew/run";
/// Name of the socket in there.
const SOCKET: &str = "qga.sock";
/// Clients that may wait for the line.
const BACKLOG: usize = 100;
/// The number of our own guest-sync-delimited.
const SYNC: i64 = 314;

/// Starts agents of one build.
#[derive(Debug)]
pub(super) struct AgentLauncher {
    pub(super) real: Arc<Installed>,
    pub(super) settings: Settings,
}

impl AgentLauncher {
    async fn launch(&self, deadline: Duration) -> Result<Guarded, LaunchError> {
        let own = |slot: &Slot| make_own(&work(slot).join("run")).map(|()| Vec::new());
        let place = Place::open(&self.real, own).await.map_err(|kind| self.real.error("prepare", kind))?;
        place.start(deadline, self.bring_up(&place)).await
    }

    async fn bring_up(&self, place: &Place) -> Result<Guarded, LaunchErrorKind> {
        let address = Address::Path(place.work().join("run").join(SOCKET));
        let terminal =
            self.settings.on_line.then(|| open_terminal(&place.slot.path(&place.root))).transpose()?;
        let user = Some((NOBODY, NOBODY));
        let process = place.spawn(&SlotCommand { user, ..place.command(self.command_line()) }).await?;
        let line = terminal.map(|terminal| -> io::Result<Line> {
            let hosts = Listener::bind(address.clone(), BACKLOG)?;
            Line::start(hosts, terminal, Arc::new(process.clone()))
        });
        let line = line.transpose()?;
        let asked = || async { capabilities(&address).await.ok() };
        let enabled = ready(asked, || place.why_ended(&process, &[])).await?;
        let guard = Guard::of(&enabled).map_err(LaunchErrorKind::Setup)?;
        let agent = Agent { place: place.clone(), address, ends: Ends { process, line } };
        Ok(Guarded { agent: Box::new(agent), guard })
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

    fn transport(&self, _simulated: Transport) -> evidence::Transport {
        if self.settings.on_line { evidence::Transport::Terminal } else { evidence::Transport::Unix }
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

/// What the agent says of its commands.
pub(super) async fn capabilities(address: &Address) -> io::Result<BTreeMap<String, bool>> {
    let mut connection = Connection::connect(address, QUESTION_DEADLINE).await?;
    let question = Bytes::from([&request::resync(SYNC)[..], &request::plain(INFO)].concat());
    let mut in_step = false;
    ask(&mut connection, &question, |received| {
        while let Some(end) = received.iter().position(|byte| *byte == b'\n') {
            let reply = Reply::of(&received.split_to(end + 1));
            if in_step {
                let enabled = checks::enabled(&reply);
                return enabled.map(Some).ok_or_else(|| io::ErrorKind::InvalidData.into());
            }
            in_step = reply.delimited && reply.number() == Some(SYNC);
        }
        Ok(None)
    })
    .await
}

/// A running agent.
struct Agent {
    place: Place,
    address: Address,
    ends: Ends,
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

    fn stop(self: Box<Self>) -> BoxFuture<'static, ()> {
        Box::pin(async move { self.place.slot.close().await })
    }
}
