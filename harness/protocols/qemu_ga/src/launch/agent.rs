//! Agents of a real build.

use std::collections::BTreeMap;
use std::io;
use std::os::unix::fs::chown;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use session::pty::{Line, Terminal};
use session::{Address, Connection, LaunchErrorKind, Listener, Recorder, Server};

use super::guard::{Guard, Guarded};
use crate::message::Reply;
use crate::names::{BLOCKED, INFO};
use crate::settings::Settings;
use crate::{checks, request};
use protocol::installed::{Installed, Process};
use protocol::launch::{At, Daemon, Daemons, NOBODY, Place, QUESTION_DEADLINE, ask, make_own, ready};

/// Where the agent's own files are, as it sees it.
const RUN: &str = "/wireskew/run";
/// Name of the socket in there.
const SOCKET: &str = "qga.sock";
/// Clients that may wait for the line.
const BACKLOG: usize = 100;
/// The number of our own guest-sync-delimited.
const SYNC: i64 = 314;

/// The agents of one build.
#[derive(Debug)]
pub(super) struct Agents {
    pub(super) settings: Settings,
}

/// What is kept of a running agent.
pub(super) struct Agent {
    guard: Guard,
    /// The line to it, if it is on one.
    line: Option<Line>,
}

impl Daemons for Agents {
    type Kept = Agent;

    fn command_line(&self, real: &Installed) -> Vec<String> {
        let mut argv = vec!["qemu-ga".to_owned()];
        argv.extend(real.args.iter().cloned());
        let socket = format!("{RUN}/{SOCKET}");
        let (method, path) =
            if self.settings.on_line { ("virtio-serial", TERMINAL) } else { ("unix-listen", &*socket) };
        let pid = format!("{RUN}/qga.pid");
        let blocked = BLOCKED.join(",");
        let rest = ["-m", method, "-p", path, "-t", RUN, "-f", &pid, "-b", &blocked];
        argv.extend(rest.map(str::to_owned));
        argv
    }

    fn at(&self) -> At {
        if self.settings.on_line { At::Terminal } else { At::Socket }
    }

    async fn open(&self, real: &Arc<Installed>) -> Result<Place, LaunchErrorKind> {
        Place::open(real, |work| make_own(&work.join("run")).map(|()| Vec::new())).await
    }

    fn address(&self, place: &Place) -> Address {
        Address::Path(place.work().join("run").join(SOCKET))
    }

    async fn start(&self, place: &Place) -> Result<(Process, Agent), LaunchErrorKind> {
        let address = self.address(place);
        let terminal =
            self.settings.on_line.then(|| open_terminal(&place.slot.path(&place.root))).transpose()?;
        let process = place.spawn(&place.command_of_nobody(self.command_line(&place.real))).await?;
        let line = terminal.map(|terminal| -> io::Result<Line> {
            let hosts = Listener::bind(address.clone(), BACKLOG)?;
            Line::start(hosts, terminal, Arc::new(process.clone()))
        });
        let line = line.transpose()?;
        let asked = || async { capabilities(&address).await.ok() };
        let enabled = ready(asked, || place.why_ended(&process, &[])).await?;
        let guard = Guard::of(&enabled).map_err(LaunchErrorKind::Setup)?;
        Ok((process, Agent { guard, line }))
    }

    fn line(agent: &Agent) -> Option<&Line> {
        agent.line.as_ref()
    }

    fn watch(&self, _place: &Place, process: &Process, recorder: &Recorder) {
        process.watch(recorder);
        process.watch_time(recorder);
    }

    fn served(daemon: Daemon<Self>) -> Box<dyn Server> {
        let guard = daemon.kept.guard.clone();
        Box::new(Guarded { agent: Box::new(daemon), guard })
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
