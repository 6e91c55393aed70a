//! The contract between the runner and whatever starts peers.

use std::any::Any;
use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use transcript::evidence;
use transcript::{ConnId, Endpoint, ExitStatus};

use crate::sandbox::Place;
use crate::{Injection, Port, Recorder, ServerAct, Successor, Transport, Worker};

/// A future behind a pointer, for contracts that must be usable as objects.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Where a server listens.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Address {
    /// A unix socket in the file system.
    Path(PathBuf),
    /// A unix socket in the abstract namespace; the name without its leading NUL.
    Abstract(Vec<u8>),
    /// The same in the network namespace of a slot or a container.
    InSlot(Arc<dyn Place>, Vec<u8>),
    /// A vsock port of a virtual machine, behind the unix socket of its muxer, as Firecracker and Cloud Hypervisor have it.
    HybridVsock {
        /// The muxer's socket.
        path: PathBuf,
        /// The port in the machine.
        port: u32,
    },
    /// A TCP port, of this machine.
    Tcp(SocketAddr),
    /// The same in the network namespace of a slot.
    TcpInSlot(Arc<dyn Place>, SocketAddr),
    /// A port in the memory of this process.
    Memory(Port),
}

impl Address {
    /// What carries the bytes to it.
    #[must_use]
    pub fn transport(&self) -> evidence::Transport {
        match self {
            Self::Path(_) | Self::Abstract(_) | Self::InSlot(..) | Self::HybridVsock { .. } => {
                evidence::Transport::Unix
            }
            Self::Tcp(_) | Self::TcpInSlot(..) => evidence::Transport::Tcp,
            Self::Memory(_) => evidence::Transport::Memory,
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Path(path) => write!(f, "{}", path.display()),
            Self::Abstract(name) | Self::InSlot(_, name) => write!(f, "@{}", name.escape_ascii()),
            Self::HybridVsock { path, port } => write!(f, "vsock port {port} behind {}", path.display()),
            Self::Tcp(address) | Self::TcpInSlot(_, address) => write!(f, "{address}"),
            Self::Memory(_) => f.write_str("memory"),
        }
    }
}

/// Starts servers of one build. One launcher serves a whole run; what is expensive is done once.
/// Nothing here assumes a process on this host.
pub trait Launcher: Any + Send + Sync {
    /// Who this is, for the provenance of transcripts.
    fn endpoint(&self) -> Endpoint;

    /// What matters of the machine for provenance, e.g. `cgroup` = `unified`.
    fn environment(&self) -> BTreeMap<String, String> {
        BTreeMap::new()
    }

    /// What carries the bytes between a server and us, where peers of this process speak over `simulated`.
    fn transport(&self, simulated: Transport) -> evidence::Transport {
        simulated.into()
    }

    /// Whether its servers can be brought into a condition ([`Server::prepare`]).
    fn prepares(&self) -> bool {
        true
    }

    /// Starts one server and waits until it is ready.
    fn start(&self, how: Start) -> BoxFuture<'_, Result<Box<dyn Server>, LaunchError>>;
}

/// Launchers of the builds by which a server may be replaced, by release.
#[derive(Clone, Default)]
pub struct Successors(BTreeMap<Arc<str>, Arc<dyn Launcher>>);

impl Successors {
    /// The launcher of a release, where it is one of servers that can be put in the place of each other.
    ///
    /// # Errors
    /// Nobody said that this release takes part, or its servers are of another kind.
    pub fn launcher<L: Launcher>(&self, release: &str) -> Result<&L, LaunchErrorKind> {
        let unknown = || LaunchErrorKind::Setup(format!("no build stands for the release `{release}` here"));
        let launcher: &dyn Any = &**self.0.get(release).ok_or_else(unknown)?;
        launcher.downcast_ref().ok_or(LaunchErrorKind::CannotAct)
    }
}

impl fmt::Debug for Successors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl FromIterator<(Arc<str>, Arc<dyn Launcher>)> for Successors {
    fn from_iter<I: IntoIterator<Item = (Arc<str>, Arc<dyn Launcher>)>>(launchers: I) -> Self {
        Self(launchers.into_iter().collect())
    }
}

/// How a server is started.
#[derive(Debug, Clone, Copy)]
pub struct Start {
    /// How long it may take to become ready.
    pub deadline: Duration,
    /// How peers of this process reach it; a real server has its own sockets.
    pub transport: Transport,
}

impl Start {
    /// A server that processes can reach.
    #[must_use]
    pub fn within(deadline: Duration) -> Self {
        Self { deadline, transport: Transport::Unix }
    }

    /// A server for a peer of this process alone. It is ready at once.
    #[must_use]
    pub fn in_memory() -> Self {
        Self { deadline: Duration::from_secs(10), transport: Transport::Memory }
    }
}

/// Something real that a reference server can answer with: a process and a cgroup that stand for what it serves, so
/// that the tools of a real client find what they look for.
#[derive(Debug, Clone)]
pub struct Stage {
    /// The pid of the process as the client sees it.
    pub pid_for_client: i32,
    /// A descriptor of the same process.
    pub init: Arc<OwnedFd>,
    /// The directory of its cgroup as we see it.
    pub cgroup: PathBuf,
}

/// A running server. It ends with [`Server::stop`]; dropping it ends it too, without waiting.
pub trait Server: Send {
    /// Where it listens.
    fn address(&self) -> &Address;

    /// Writes into the recorder what can be seen from outside: an `Exit` event if it is gone, else
    /// observations `alive`, `fds`, `rss_kib`, `held_bytes`, as far as they can be seen.
    fn watch(&mut self, recorder: &Recorder);

    /// Its work, where that can be seen: a real server is waited for in its own time. Peers of this process have none:
    /// they work whenever they can.
    fn worker(&self) -> Option<&dyn Worker> {
        None
    }

    /// Whether it forgets with a connection what was said there: then an answer that is wrong harms nobody who comes later.
    fn forgets(&self) -> bool {
        false
    }

    /// Whether these bytes may be sent to it: a real server that could do harm looks through what the harness sends.
    ///
    /// # Errors
    /// Why not; the cell fails with it.
    fn may_send(&mut self, _conn: ConnId, _bytes: &[u8]) -> Result<(), String> {
        Ok(())
    }

    /// The directory that stands for its machine's file systems, where the machine is simulated.
    fn machine(&self) -> Option<&Path> {
        None
    }

    /// Lets it answer with something real from now on; a real server has its own.
    fn set_stage(&mut self, _stage: &Stage) {}

    /// Brings it into the condition that an operation needs, by other means than the client under test.
    /// The words for conditions belong to the protocol.
    fn prepare<'a>(&'a mut self, _condition: &'a str) -> BoxFuture<'a, Result<(), LaunchError>> {
        Box::pin(async { Ok(()) })
    }

    /// Does something to the server by other means than its socket, and waits until that is over: until it is
    /// ready again, or gone. Its address stays the same. What happens on purpose is no `Exit` event; a
    /// server that comes back has the state that a real one would have then.
    fn act<'a>(&'a mut self, act: &'a ServerAct) -> BoxFuture<'a, Result<(), LaunchError>> {
        let what = format!("{} the server", act.word());
        Box::pin(async { Err(LaunchError::new(what, LaunchErrorKind::CannotAct)) })
    }

    /// Holds it, and writes something in its stead to whoever is connected. It is over when that is taken.
    fn inject<'a>(&'a mut self, _injection: &'a Injection) -> BoxFuture<'a, Result<(), LaunchError>> {
        Box::pin(async { Err(LaunchError::new("write in the server's stead", LaunchErrorKind::CannotAct)) })
    }

    /// Lets it go on.
    fn release(&mut self) -> BoxFuture<'_, Result<(), LaunchError>> {
        Box::pin(async { Err(LaunchError::new("let the server go on", LaunchErrorKind::CannotAct)) })
    }

    /// Learns by which builds it may be replaced.
    fn set_successors(&mut self, _successors: &Successors) {}

    /// By what it was replaced last. What a script asked for is no evidence of that.
    fn replaced_by(&self) -> Option<&Successor> {
        None
    }

    /// Brings it back to the state after its start, for cases of others: whatever its clients have made is gone. An error
    /// means that nobody knows in which state it is; it serves no other case then.
    fn reset(&mut self) -> BoxFuture<'_, Result<(), LaunchError>> {
        Box::pin(async { Err(LaunchError::new("reset the server", LaunchErrorKind::CannotAct)) })
    }

    /// Writes into the recorder what really is so after an operation: observations `effect.<name>`, as
    /// far as this server can see them. The names belong to the protocol.
    fn effects<'a>(&'a mut self, _recorder: &'a Recorder) -> BoxFuture<'a, ()> {
        Box::pin(async {})
    }

    /// Ends it and everything that it started, and waits for that.
    fn stop(self: Box<Self>) -> BoxFuture<'static, ()>;
}

/// A client build that can carry out named operations against a server.
pub trait Client: Send + Sync {
    /// Who this is, for the provenance of transcripts.
    fn endpoint(&self) -> Endpoint;

    /// The command line of an operation, for the provenance of transcripts; empty where there is none.
    fn command(&self, _operation: &str) -> Vec<String> {
        Vec::new()
    }

    /// Carries out one operation against a server and writes down what passed on the wire and which
    /// effects it had.
    fn run<'a>(
        &'a self,
        operation: &'a str,
        server: &'a mut dyn Server,
        recorder: &'a Recorder,
        deadline: Duration,
    ) -> BoxFuture<'a, Result<ClientReport, LaunchError>>;
}

/// How an operation of a client ended, as the client itself says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientReport {
    /// How its process ended; `None` when the deadline passed and it was killed.
    pub exit: Option<ExitStatus>,
    /// What it printed, cut to a bound.
    pub stdout: Vec<u8>,
    /// What it complained about, cut to a bound.
    pub stderr: Vec<u8>,
}

/// Why a peer is unavailable.
#[derive(Debug, thiserror::Error)]
#[error("{what}: {kind}")]
pub struct LaunchError {
    /// What was attempted, e.g. "start lxc 4.0.6".
    pub what: String,
    /// Why it failed.
    pub kind: LaunchErrorKind,
}

/// The kinds of [`LaunchError`].
#[derive(Debug, thiserror::Error)]
pub enum LaunchErrorKind {
    /// The build is not there; the hint says how to get it.
    #[error("build is missing ({why}); {hint}")]
    Missing {
        /// Why.
        why: String,
        /// The command that helps.
        hint: String,
    },
    /// It did not become ready in time.
    #[error("not ready within {0} ms")]
    NotReady(u64),
    /// It ended before it was ready.
    #[error("ended at once: {0}")]
    Ended(String),
    /// This cannot be done to this server by other means than its socket.
    #[error("nobody can do that to this server")]
    CannotAct,
    /// The operating system refused.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// Something else is wrong with the set-up.
    #[error("{0}")]
    Setup(String),
}

impl LaunchError {
    /// Puts context before a kind.
    pub fn new(what: impl Into<String>, kind: impl Into<LaunchErrorKind>) -> Self {
        Self { what: what.into(), kind: kind.into() }
    }
}
