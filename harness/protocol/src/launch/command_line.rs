//! A user's own server or client, as a command line that says where it speaks.
//!
//! ```text
//! --build 'tux@dev=path:./tuxd,arg=--listen,arg={socket},role=server,dialect=1.0'
//!
//! {socket}     a unix socket: a server listens there, a client connects to it
//! {address}    the same over TCP, as 127.0.0.1:<port>
//! {port}       its port alone
//! {pty}        a raw terminal, which either opens
//! {dir}        a directory of its own, empty at first; a server finds it as it was left when it is started again, and so
//!              does the build that takes its place
//! {operation}  for clients: the operation that is to be carried out
//! ```
//!
//! One of the first four has to be there, unless the protocol knows a variable by which such a peer is told where to speak
//! ([`Speaks`]): then the program alone will do. Where a server really is that was told of a unix socket, the protocol
//! knows, too ([`Bound`]), and what it means that one ends with certain words ([`Explains`]). Each process is killed with everything that it has started.

use std::ffi::OsString;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use matrix::{Build, Role, Source};
use session::process::{Invocation, Output, Running, find_program};
use session::pty::Terminal;
use session::rootfs::hex_sha256;
use session::{Address, Connection, LaunchError, LaunchErrorKind, errno_name};
use transcript::Endpoint;
use transcript::evidence;

use super::{QUESTION_DEADLINE, ready, within};
use crate::Bench;

/// The longest path that a socket is given here; the kernel takes 107 bytes.
const PATH_LEN_MAX: usize = 100;
/// Lines of what a process said that an error shows.
const TAIL_LINES: usize = 5;
/// What stands for its own directory, and for the operation.
const DIRECTORY: &str = "{dir}";
const OPERATION: &str = "{operation}";

/// Tells the places of one process apart.
static NUMBER: AtomicU64 = AtomicU64::new(0);

/// Where a peer can speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum At {
    /// On a unix socket.
    Socket,
    /// On a TCP port of this machine.
    Tcp,
    /// On a terminal.
    Terminal,
}

impl At {
    const ALL: [Self; 3] = [Self::Socket, Self::Tcp, Self::Terminal];

    /// What carries the bytes there.
    #[must_use]
    pub fn transport(self) -> evidence::Transport {
        match self {
            Self::Socket => evidence::Transport::Unix,
            Self::Tcp => evidence::Transport::Tcp,
            Self::Terminal => evidence::Transport::Terminal,
        }
    }

    /// What stands for it in an argument.
    fn words(self) -> &'static [&'static str] {
        match self {
            Self::Socket => &["{socket}"],
            Self::Tcp => &["{address}", "{port}"],
            Self::Terminal => &["{pty}"],
        }
    }

    fn is_in<'a>(self, mut texts: impl Iterator<Item = &'a str>) -> bool {
        texts.any(|text| self.words().iter().any(|word| text.contains(word)))
    }

    /// Those that are in texts.
    fn all_in<'a>(texts: impl Iterator<Item = &'a str> + Clone) -> Vec<Self> {
        Self::ALL.into_iter().filter(|at| at.is_in(texts.clone())).collect()
    }
}

/// How a side of a protocol speaks that comes as a command line.
#[derive(Debug, Clone, Copy, Default)]
pub struct Speaks<'a> {
    /// Where it may speak.
    pub at: &'a [At],
    /// The variables that tell it where when no argument does, with a placeholder in a value as arguments have it.
    pub told_by: &'a [(&'a str, &'a str)],
}

/// Where a server is that was told of a unix socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Bound {
    /// There, in the file system.
    #[default]
    Path,
    /// At the same name in the abstract namespace, with something behind it.
    Abstract {
        /// What stands behind the name.
        tail: &'static [u8],
    },
    /// In a virtual machine whose muxer listens there.
    HybridVsock {
        /// Its port in the machine.
        port: u32,
    },
}

impl Bound {
    fn address(self, path: &Path) -> Address {
        match self {
            Self::Path => Address::Path(path.to_owned()),
            Self::Abstract { tail } => {
                Address::Abstract([path.as_os_str().as_encoded_bytes(), tail].concat())
            }
            Self::HybridVsock { port } => Address::HybridVsock { path: path.to_owned(), port },
        }
    }
}

/// What it means that a process ends with these words, and what helps, where a protocol knows that.
pub type Explains = fn(&str) -> Option<&'static str>;

/// The words for these places, for people.
fn listed(at: &[At]) -> String {
    at.iter().flat_map(|at| at.words()).copied().collect::<Vec<_>>().join(" or ")
}

/// A place at which one peer speaks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Spot {
    /// A unix socket.
    Socket(PathBuf),
    /// A TCP port.
    Tcp(SocketAddr),
    /// A terminal, as it is called in `/dev`.
    Terminal(PathBuf),
}

impl Spot {
    /// Where one connects to it.
    #[must_use]
    pub fn address(&self) -> Address {
        match self {
            Self::Socket(path) | Self::Terminal(path) => Address::Path(path.clone()),
            Self::Tcp(address) => Address::Tcp(*address),
        }
    }

    /// Removes what a process has left there that is gone.
    pub(super) fn clear(&self) {
        if let Self::Socket(path) = self {
            // Whoever ended in order has taken it away.
            drop(std::fs::remove_file(path));
        }
    }

    fn fill(&self, arg: &str) -> String {
        match self {
            Self::Socket(path) => arg.replace("{socket}", &path.to_string_lossy()),
            Self::Tcp(address) => {
                arg.replace("{address}", &address.to_string()).replace("{port}", &address.port().to_string())
            }
            Self::Terminal(path) => arg.replace("{pty}", &path.to_string_lossy()),
        }
    }
}

/// When a server counts as ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ready {
    /// When it can be connected to.
    Connects,
    /// When its socket is there, for servers to which a connection means something.
    Exists,
}

/// A command line with a placeholder.
#[derive(Debug, Clone)]
pub struct CommandLine {
    what: String,
    program: PathBuf,
    args: Vec<String>,
    variables: Vec<(String, String)>,
    at: At,
    bound: Bound,
    explains: Option<Explains>,
    endpoint: Endpoint,
    work_dir: PathBuf,
}

/// A server that was started.
#[derive(Debug)]
pub struct Started {
    /// Its process.
    pub running: Running,
    /// Where it listens.
    pub address: Address,
}

impl CommandLine {
    /// Reads a build as a command line; `None` when nothing says where to speak.
    ///
    /// # Errors
    /// The place makes no sense for this side of the protocol, or there is no such program.
    pub fn of(
        build: &Build,
        source: &Source,
        role: Role,
        speaks: Speaks<'_>,
        bench: &Bench,
    ) -> Result<Option<Self>, LaunchError> {
        let Source::Path { path, args } = source else { return Ok(None) };
        let what = format!("start {} {}", build.protocol, build.id);
        let side = if role == Role::Client { "client" } else { "server" };
        let mut asked = At::all_in(args.iter().map(String::as_str));
        // An argument that says it is the user's own word.
        let told_by = if asked.is_empty() { speaks.told_by } else { &[] };
        asked.extend(At::all_in(told_by.iter().map(|(_, value)| *value)));
        let place = place(&asked, speaks.at, side, build);
        let place = place.map_err(|why| LaunchError::new(what.clone(), LaunchErrorKind::Setup(why)))?;
        let Some(at) = place else { return Ok(None) };
        let program = find(path).ok_or_else(|| {
            let why = format!("there is no program `{}`", path.display());
            let hint = format!("give the program, e.g. `path:./{side}`");
            LaunchError::new(what.clone(), LaunchErrorKind::Missing { why, hint })
        })?;
        let digest = std::fs::read(&program).map(|bytes| format!("sha256:{}", hex_sha256(&bytes)));
        let name = program.file_name().unwrap_or_default().to_string_lossy().into_owned();
        // As one would write it in a shell.
        let words = told_by.iter().map(|(name, value)| format!("{name}={value}"));
        let words = words.chain([program.display().to_string()]).chain(args.iter().cloned());
        let endpoint = Endpoint {
            id: build.id.to_string(),
            name,
            version: Some(build.version.clone()),
            source: Some(program.display().to_string()),
            digest: digest.ok(),
            command: words.collect(),
            modified: true,
            details: build.settings.clone(),
            ..Endpoint::default()
        };
        let variables =
            told_by.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let (args, work_dir) = (args.clone(), bench.work_dir.clone());
        let (bound, explains) = (Bound::default(), None);
        Ok(Some(Self { what, program, args, variables, at, bound, explains, endpoint, work_dir }))
    }

    /// The same of a server that is elsewhere than at the unix socket that it was told of.
    #[must_use]
    pub fn bound(self, bound: Bound) -> Self {
        Self { bound, ..self }
    }

    /// The same with what its protocol knows of the words with which it may end.
    #[must_use]
    pub fn explained(self, explains: Explains) -> Self {
        Self { explains: Some(explains), ..self }
    }

    /// The error of a build that has to be a command line and is none.
    pub(crate) fn expected(build: &Build, possible: &[At]) -> LaunchError {
        let why = format!("no argument has {}, so it cannot be told where to speak", listed(possible));
        LaunchError::new(format!("start {} {}", build.protocol, build.id), LaunchErrorKind::Setup(why))
    }

    /// Where it speaks.
    #[must_use]
    pub fn at(&self) -> At {
        self.at
    }

    /// Whether one connects to its servers where one does to those of another.
    pub(super) fn is_met_as(&self, other: &Self) -> bool {
        (self.at, self.bound) == (other.at, other.bound)
    }

    /// What its protocol knows of these words.
    pub(super) fn explain(&self, said: &str) -> Option<&'static str> {
        self.explains.and_then(|explains| explains(said))
    }

    /// What is written down of it.
    #[must_use]
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// Where it may keep files.
    #[must_use]
    pub fn work_dir(&self) -> &Path {
        &self.work_dir
    }

    /// An error that says what was attempted.
    pub fn error(&self, kind: impl Into<LaunchErrorKind>) -> LaunchError {
        LaunchError::new(self.what.clone(), kind)
    }

    /// A place for a socket that nobody else has.
    #[must_use]
    pub fn socket(&self, name: &str) -> PathBuf {
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let place = self.work_dir.join(format!("{name}-{number}.sock"));
        if place.as_os_str().len() <= PATH_LEN_MAX {
            return place;
        }
        std::env::temp_dir().join(format!("wireskew-{}-{name}-{number}.sock", std::process::id()))
    }

    /// A socket or a port on which the server can listen. A terminal has to be opened first: see [`Terminal`].
    ///
    /// # Errors
    /// No port is free.
    pub fn spot(&self) -> io::Result<Spot> {
        Ok(match self.at {
            At::Socket | At::Terminal => Spot::Socket(self.socket("own")),
            // Free a moment ago, and given to nobody else so soon.
            At::Tcp => Spot::Tcp(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?),
        })
    }

    /// A directory that nobody else has. It is made when a process is started that is told of it.
    #[must_use]
    pub fn directory(&self) -> PathBuf {
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        self.work_dir.join(format!("own-{number}"))
    }

    /// Starts the process with its place filled in.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn start(&self, spot: &Spot, operation: &str) -> io::Result<Running> {
        self.start_in(&self.directory(), spot, operation)
    }

    /// The same with a directory in which another process may have left something.
    fn start_in(&self, directory: &Path, spot: &Spot, operation: &str) -> io::Result<Running> {
        let mut args: Vec<_> =
            self.args.iter().map(|arg| spot.fill(arg).replace(OPERATION, operation)).collect();
        if self.args.iter().any(|arg| arg.contains(DIRECTORY)) {
            std::fs::create_dir_all(directory)?;
            args = args.iter().map(|arg| arg.replace(DIRECTORY, &directory.to_string_lossy())).collect();
        }
        let args: Vec<OsString> = args.into_iter().map(Into::into).collect();
        let start = Invocation::new(&self.program, args);
        let told = |start: Invocation, (name, value): &(String, String)| start.env(name, spot.fill(value));
        self.variables.iter().fold(start, told).start()
    }

    /// Starts a server and waits until it listens.
    ///
    /// # Errors
    /// It cannot be started, ends instead, or does not listen in time; with what it said.
    pub async fn serve(
        &self,
        spot: &Spot,
        when: Ready,
        deadline: Duration,
    ) -> Result<Started, LaunchErrorKind> {
        self.serve_in(&self.directory(), spot, when, deadline).await
    }

    /// The same with a directory in which another process may have left something.
    pub(super) async fn serve_in(
        &self,
        directory: &Path,
        spot: &Spot,
        when: Ready,
        deadline: Duration,
    ) -> Result<Started, LaunchErrorKind> {
        let mut running = self.start_in(directory, spot, "")?;
        let address = match spot {
            Spot::Socket(path) => self.bound.address(path),
            Spot::Tcp(_) | Spot::Terminal(_) => spot.address(),
        };
        let refused = Mutex::new(None);
        let listens = || async {
            if let (Address::Path(path), Ready::Exists) = (&address, when) {
                return path.exists().then_some(());
            }
            let met = Connection::connect(&address, QUESTION_DEADLINE).await;
            let why = met.as_ref().err().map(|error| errno_name(error).into_owned());
            *refused.lock().unwrap_or_else(PoisonError::into_inner) = why;
            met.ok().map(drop)
        };
        let mut status = None;
        let ended = || {
            status = running.ended().ok().flatten();
            status.map(|status| format!("{status:?}"))
        };
        match within(deadline, ready(listens, ended)).await {
            Ok(()) => Ok(Started { running, address }),
            Err(kind) => {
                let said = self.said(&running.kill().await);
                spot.clear();
                Err(match kind {
                    LaunchErrorKind::NotReady(ms) => {
                        let refused = refused.into_inner().unwrap_or_else(PoisonError::into_inner);
                        let refused = refused.map(|why| format!(" ({why})")).unwrap_or_default();
                        let late = format!("it does not listen on {address} within {ms} ms{refused}");
                        LaunchErrorKind::Setup(format!("{late}: {said}"))
                    }
                    LaunchErrorKind::Ended(status) => LaunchErrorKind::Ended(format!("{status}: {said}")),
                    other => other,
                })
            }
        }
    }

    /// The last lines of what a process said, and what its protocol knows of that.
    fn said(&self, output: &Output) -> String {
        let said = output.tail(TAIL_LINES);
        let all = [output.stderr.text(), output.stdout.text()].concat();
        match self.explain(&all) {
            Some(why) => format!("{said}; {why}"),
            None if said.is_empty() => "it said nothing".to_owned(),
            None => said,
        }
    }

    /// Opens a terminal and starts the process at it.
    ///
    /// # Errors
    /// There is no terminal, or the process cannot be started.
    pub fn start_at_terminal(&self, operation: &str) -> io::Result<(Terminal, Running)> {
        let terminal = Terminal::open()?;
        let running = self.start(&Spot::Terminal(terminal.path().to_owned()), operation)?;
        Ok((terminal, running))
    }
}

/// The place that was asked for, if one was.
fn place(asked: &[At], possible: &[At], side: &str, build: &Build) -> Result<Option<At>, String> {
    match asked {
        [] => Ok(None),
        [at] if possible.contains(at) => Ok(Some(*at)),
        [_] if possible.is_empty() => {
            let why = format!("a {side} of {} cannot be a command line", build.protocol);
            Err(format!("{why}; give the directory of an installed build"))
        }
        [at] => {
            let (asked, possible) = (listed(&[*at]), listed(possible));
            Err(format!("a {side} of {} speaks at {possible}, not at {asked}", build.protocol))
        }
        _ => Err(format!("{} are several places to speak at", listed(asked))),
    }
}

/// A program by path, or by name. Links are kept: what a program does may depend on the name it is called by.
fn find(path: &Path) -> Option<PathBuf> {
    let by_name = path.parent().is_some_and(|parent| parent.as_os_str().is_empty());
    let found = std::path::absolute(path).ok().filter(|path| path.is_file());
    found.or_else(|| path.to_str().filter(|_| by_name).and_then(find_program))
}
