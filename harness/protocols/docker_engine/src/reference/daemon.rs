//! Reference daemons: the [engine](super::engine) behind HTTP.
//!
//! A client is read request by request. Those that take their time, `wait` and a `stop` that nobody heeds, keep their connection;
//! `attach` and `exec` take it away from HTTP for good.

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use matrix::{Build, Role};
use protocol::defect::Switches;
use protocol::reference::Part;
use protocol::reference::serve::{
    self, Clients, Flow, GO_ON, Look, Machine, Outside, Peer, Servers, Site, Step,
};
use protocol::{Bench, Made};
use session::{Connection, LaunchErrorKind, Launcher};
use tokio::time::Instant;
use transcript::Data;
use wire::http1::{Request, chunk};
use wire::multiplex::{Stream as Piece, piece};

use super::conditions::Hands;
use super::defects::{self, DEFECTS};
use super::engine::{Boot, BootError, Engine, Event, Program, Stream};
use super::http::{Asked, Next, Reader, last};
use super::routes::{self, Done};
use crate::dialect::{DIALECTS, Dialect};
use crate::settings::{Ping, Settings};
use crate::version::ApiVersion;

/// A launcher of daemons of a build with defects switched on.
///
/// # Errors
/// No dialect of that version, no defect of that name, or a setting that nobody knows.
pub(crate) fn server(build: &Build, switched_on: &[String], bench: &Bench) -> Made<dyn Launcher> {
    let part = Part::of(build, Role::Server, &DIALECTS, DEFECTS, switched_on)?;
    let settings = part.needs(Settings::read(&build.settings))?;
    let api_min = part.needs(minimum(part.dialect, settings.min_api))?;
    let facts =
        Facts { dialect: part.dialect, api_min, ping: settings.ping, switches: part.switches.clone() };
    Ok(serve::launcher(part.endpoint("dockerd"), &bench.work_dir, Daemons { facts }))
}

/// The lowest version that a daemon takes which is told to take that one.
fn minimum(dialect: &Dialect, told: Option<ApiVersion>) -> Result<ApiVersion, String> {
    let Some(told) = told else { return Ok(dialect.api_min) };
    // 20.10 does not look at the variable: measured.
    let Some(lowest) = dialect.api_min_settable else { return Ok(dialect.api_min) };
    let bad = "invalid DOCKER_MIN_API_VERSION";
    match told {
        told if told < lowest => Err(format!("{bad}: minimum supported API version is {lowest}: {told}")),
        told if told > dialect.api_max => {
            Err(format!("{bad}: maximum supported API version is {}: {told}", dialect.api_max))
        }
        told => Ok(told),
    }
}

/// What is so of a daemon from its start on.
#[derive(Debug, Clone)]
pub(super) struct Facts {
    /// What its release does.
    pub dialect: &'static Dialect,
    /// The lowest version that it takes.
    pub api_min: ApiVersion,
    /// How pings are answered.
    pub ping: Ping,
    /// The faults that it has.
    pub switches: Switches,
}

struct Daemons {
    facts: Facts,
}

impl Servers for Daemons {
    type Machine = Daemon;

    const COMES_BACK: bool = true;

    async fn make(&self, site: &Site) -> Result<Daemon, LaunchErrorKind> {
        let boot =
            Boot { switches: self.facts.switches.clone(), ..Boot::of(self.facts.dialect, site.begins) };
        let engine = Engine::boot(&site.directory, &boot).map_err(|error| match error {
            BootError::Configuration(error) => LaunchErrorKind::Ended(error.to_string()),
            BootError::Files(error) => LaunchErrorKind::Setup(error.to_string()),
        })?;
        let state = State::of(engine);
        Ok(Daemon { facts: self.facts.clone(), state: Shared::of(state), later: BTreeMap::new(), number: 0 })
    }
}

/// What handlers and whoever stands outside deal with.
pub(super) struct State {
    /// Nothing once the daemon was ended.
    pub engine: Option<Engine>,
    /// Volumes, by their names.
    pub volumes: Vec<String>,
    /// Everything that has happened.
    pub events: Vec<Event>,
    /// What containers have written, by their ids.
    pub logs: BTreeMap<String, Vec<(Stream, Vec<u8>)>>,
    /// Programs that repeat what they are told, by the ids of their containers.
    pub echoing: BTreeMap<String, Program>,
}

impl State {
    fn of(engine: Engine) -> Self {
        Self {
            engine: Some(engine),
            volumes: Vec::new(),
            events: Vec::new(),
            logs: BTreeMap::new(),
            echoing: BTreeMap::new(),
        }
    }

    /// Keeps what has happened.
    pub(super) fn note(&mut self) {
        if let Some(engine) = &mut self.engine {
            self.events.extend(engine.take_events());
        }
    }
}

/// A state that a daemon and whoever stands outside share.
#[derive(Clone)]
pub(super) struct Shared(Arc<Mutex<State>>);

impl Shared {
    fn of(state: State) -> Self {
        Self(Arc::new(Mutex::new(state)))
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        // Each change is one call.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a client is doing.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Doing {
    /// It asks.
    Asks,
    /// It waits for an answer that takes its time.
    Waits,
    /// It waits for the end of a container, or for its next one.
    Awaits { container: String },
    /// It hears what a container says, and is heard there.
    Attached { container: String, tty: bool, said: Vec<u8> },
    /// The same with a further program in one.
    Executes { exec: String, tty: bool },
    /// It speaks HTTP/2.
    Switched,
}

/// What is kept of a client.
pub(super) struct Client {
    reader: Reader,
    doing: Doing,
    /// What it is to be told next.
    left: Bytes,
}

/// What is said later.
enum Later {
    /// An answer.
    Answer(Peer, Bytes),
}

/// A daemon that serves.
pub(super) struct Daemon {
    facts: Facts,
    state: Shared,
    /// By the time at which it is due, and in order.
    later: BTreeMap<(Instant, u64), Later>,
    number: u64,
}

impl Machine for Daemon {
    type Client = Client;

    async fn accepted(&mut self, clients: &mut Clients<Client>, peer: Peer, connection: Connection) {
        clients.add(
            peer,
            connection,
            Client { reader: Reader::new(), doing: Doing::Asks, left: Bytes::new() },
        );
    }

    fn came(&mut self, clients: &mut Clients<Client>, peer: Peer, data: Data, _fds: Vec<OwnedFd>) {
        if let Some(client) = clients.get_mut(peer) {
            client.reader.came(&data.bytes);
        }
    }

    fn ended(&mut self, clients: &mut Clients<Client>, peer: Peer) -> Flow {
        if let Some(client) = clients.get_mut(peer) {
            client.reader.end();
        }
        self.serve(clients, peer);
        self.heard_all(clients, peer);
        GO_ON
    }

    async fn step(&mut self, clients: &mut Clients<Client>, peer: Peer) -> Step {
        if self.serve_one(clients, peer) { Step::Done } else { Step::Waits }
    }

    fn due(&self, _clients: &Clients<Client>) -> Option<Instant> {
        self.later.keys().next().map(|(due, _)| *due)
    }

    fn tick(&mut self, clients: &mut Clients<Client>) {
        while let Some(entry) = self.later.first_entry().filter(|entry| entry.key().0 <= Instant::now()) {
            let Later::Answer(peer, bytes) = entry.remove();
            self.answers(clients, peer, bytes);
            self.serve(clients, peer);
        }
    }

    fn look(&self, clients: &Clients<Client>, look: &mut Look) {
        look.held_bytes += clients.iter().map(|(_, client)| client.reader.held()).sum::<usize>();
    }

    fn outside(&self) -> Box<dyn Outside> {
        Box::new(Hands::of(self.state.clone()))
    }
}

impl Daemon {
    /// Answers whatever is there to be answered.
    fn serve(&mut self, clients: &mut Clients<Client>, peer: Peer) {
        while self.serve_one(clients, peer) {}
    }

    /// Answers one request; false where there is none.
    fn serve_one(&mut self, clients: &mut Clients<Client>, peer: Peer) -> bool {
        let Some(client) = clients.get_mut(peer) else { return false };
        let dialect = self.facts.dialect;
        if matches!(client.doing, Doing::Waits | Doing::Awaits { .. }) {
            return false;
        }
        let wants =
            |request: &Request<'_>| routes::find(dialect, request).is_ok_and(|handler| handler.reads_body());
        match client.reader.next(&dialect.http, wants) {
            Next::Waits => false,
            Next::Expects => {
                clients.push(peer, "HTTP/1.1 100 Continue\r\n\r\n");
                true
            }
            Next::Asked(asked) => {
                self.asked(clients, peer, &asked);
                true
            }
            Next::Refused(bytes) => {
                clients.push(peer, bytes);
                clients.linger(peer);
                false
            }
            Next::Raw(bytes) => {
                self.hears(clients, peer, &bytes);
                true
            }
        }
    }

    /// A client says no more, and everything that it said is dealt with.
    fn heard_all(&mut self, clients: &mut Clients<Client>, peer: Peer) {
        let Some(client) = clients.get_mut(peer) else { return };
        match client.doing.clone() {
            Doing::Asks if client.reader.is_done() => clients.end(peer),
            Doing::Asks | Doing::Waits => {}
            Doing::Awaits { .. } => {
                clients
                    .push(peer, waited("{\"Error\":{\"Message\":\"context canceled\"},\"StatusCode\":-1}\n"));
                self.does(clients, peer, Doing::Asks);
                clients.end(peer);
            }
            Doing::Attached { container, .. } => {
                let echoes = self.state.lock().echoing.remove(&container).is_some();
                if echoes {
                    self.container_ends(clients, &container, 0);
                }
            }
            Doing::Executes { exec, .. } => {
                let mut state = self.state.lock();
                if state.echoing.remove(&exec).is_some()
                    && let Some(engine) = &mut state.engine
                {
                    engine.exec_ends(&exec, 0);
                    clients.end(peer);
                }
            }
            Doing::Switched => clients.end(peer),
        }
    }

    fn asked(&mut self, clients: &mut Clients<Client>, peer: Peer, asked: &Asked) {
        let Some(request) = Request::of(&asked.head) else { return };
        let state = self.state.clone();
        let done = {
            let mut state = state.lock();
            let handler = routes::find(self.facts.dialect, &request);
            let done = routes::answer(&self.facts, &mut state, handler, &request, asked);
            state.note();
            done
        };
        let closes = asked.cut.is_some() || wants_close(&request);
        let is_head = request.is_head();
        let ends = done.ends_connection();
        let reply = done
            .reply()
            .map(|reply| (reply.write(request.version, is_head, closes), reply.status.0 == 101, ends));
        if let Some((_, is_switch, _)) = &reply
            && let Some(client) = clients.get_mut(peer)
        {
            client.reader.answered(*is_switch);
        }
        let twice = self.facts.switches.has(defects::ANSWERS_TWICE);
        if let Some((bytes, _, ends)) = reply {
            match done.took_ms() {
                0 => {
                    clients.push(peer, bytes.clone());
                    if twice {
                        clients.push(peer, bytes);
                    }
                    if closes || ends || self.facts.switches.has(defects::CLOSES_UNSAID) {
                        // What of its body is still on the way is passed over.
                        clients.linger(peer);
                    }
                }
                took_ms => {
                    self.number += 1;
                    let due = Instant::now() + Duration::from_millis(took_ms);
                    self.later.insert((due, self.number), Later::Answer(peer, bytes));
                    self.does(clients, peer, Doing::Waits);
                }
            }
        }
        self.goes_on(clients, peer, done);
    }

    /// What follows on an answer.
    fn goes_on(&mut self, clients: &mut Clients<Client>, peer: Peer, done: Done) {
        match done {
            Done::Replies(..) => {}
            Done::Started { container, program, .. } => self.container_runs(clients, &container, program),
            Done::Ended { ended, .. } => {
                for (container, status) in ended {
                    self.tell_end(clients, &container, status);
                }
            }
            Done::Awaits { container, status, .. } => match status {
                Some(status) => clients.push(peer, awaited(status)),
                None => self.does(clients, peer, Doing::Awaits { container }),
            },
            Done::Attaches { container, tty, .. } => {
                self.does(clients, peer, Doing::Attached { container, tty, said: Vec::new() });
            }
            Done::Executes { exec, tty, program, .. } => self.executes(clients, peer, exec, tty, program),
            Done::Switches { greeting, .. } => {
                clients.push(peer, greeting);
                self.does(clients, peer, Doing::Switched);
            }
        }
    }

    fn does(&self, clients: &mut Clients<Client>, peer: Peer, doing: Doing) {
        if let Some(client) = clients.get_mut(peer) {
            client.doing = doing;
        }
    }

    /// An answer that took its time.
    fn answers(&mut self, clients: &mut Clients<Client>, peer: Peer, bytes: Bytes) {
        clients.push(peer, bytes);
        self.does(clients, peer, Doing::Asks);
    }

    /// A container says what it has to say, and may be over with that.
    fn container_runs(&mut self, clients: &mut Clients<Client>, container: &str, program: Program) {
        for (stream, text) in &program.output {
            self.container_says(clients, container, *stream, text);
        }
        self.state.lock().logs.insert(container.to_owned(), program.output.clone());
        match program.exit {
            Some(status) => self.container_ends(clients, container, status),
            None if program.echoes => {
                // Some have said what they have to say already, and some have nothing to say.
                let mut is_heard = false;
                for client in clients.iter_mut().map(|(_, client)| client) {
                    if let Doing::Attached { container: one, tty, said: before } = &mut client.doing
                        && one == container
                    {
                        is_heard |= !client.reader.is_done();
                        client.left = said(Stream::Out, before, *tty);
                    }
                }
                for (peer, left) in clients
                    .iter_mut()
                    .map(|(peer, client)| (peer, std::mem::take(&mut client.left)))
                    .collect::<Vec<_>>()
                {
                    if !left.is_empty() {
                        clients.push(peer, left);
                    }
                }
                if is_heard {
                    self.state.lock().echoing.insert(container.to_owned(), program);
                } else {
                    self.container_ends(clients, container, 0);
                }
            }
            None => {}
        }
    }

    fn container_says(&self, clients: &mut Clients<Client>, container: &str, stream: Stream, text: &[u8]) {
        let heard = clients.iter().filter_map(|(peer, client)| match &client.doing {
            Doing::Attached { container: one, tty, .. } if one == container => Some((peer, *tty)),
            _ => None,
        });
        let heard: Vec<_> = heard.collect();
        for (peer, tty) in heard {
            clients.push(peer, said(stream, text, tty));
        }
    }

    /// The process of a container has ended by itself.
    fn container_ends(&mut self, clients: &mut Clients<Client>, container: &str, status: i32) {
        {
            let mut state = self.state.lock();
            if let Some(engine) = &mut state.engine {
                // What cannot be written down is seen by whoever asks next.
                let _ = engine.process_ends(container, status);
            }
            state.note();
        }
        self.tell_end(clients, container, status);
    }

    /// Tells everybody who wants to know that a container has ended.
    fn tell_end(&mut self, clients: &mut Clients<Client>, container: &str, status: i32) {
        let concerned = clients.iter().filter_map(|(peer, client)| match &client.doing {
            Doing::Attached { container: one, .. } if one == container => Some((peer, false)),
            Doing::Awaits { container: one } if one == container => Some((peer, true)),
            _ => None,
        });
        let concerned: Vec<_> = concerned.collect();
        for (peer, waits) in concerned {
            if waits {
                clients.push(peer, awaited(status));
                self.does(clients, peer, Doing::Asks);
                self.serve(clients, peer);
            } else {
                clients.end(peer);
            }
        }
    }

    /// A further program says what it has to say, and may be over with that.
    fn executes(
        &mut self,
        clients: &mut Clients<Client>,
        peer: Peer,
        exec: String,
        tty: bool,
        program: Program,
    ) {
        for (stream, text) in &program.output {
            clients.push(peer, said(*stream, text, tty));
        }
        let mut state = self.state.lock();
        match (program.exit, program.echoes) {
            (Some(status), _) => {
                if let Some(engine) = &mut state.engine {
                    engine.exec_ends(&exec, status);
                }
                clients.end(peer);
            }
            (None, true) => {
                state.echoing.insert(exec.clone(), program);
                drop(state);
                self.does(clients, peer, Doing::Executes { exec, tty });
            }
            (None, false) => {
                drop(state);
                self.does(clients, peer, Doing::Executes { exec, tty });
            }
        }
    }

    /// What a client says that has left HTTP.
    fn hears(&mut self, clients: &mut Clients<Client>, peer: Peer, bytes: &Bytes) {
        let Some(client) = clients.get_mut(peer) else { return };
        let (program, tty) = match &mut client.doing {
            Doing::Attached { container, tty, said } => {
                if !self.state.lock().echoing.contains_key(container.as_str()) {
                    said.extend_from_slice(bytes);
                    return;
                }
                (container.clone(), *tty)
            }
            Doing::Executes { exec, tty } => (exec.clone(), *tty),
            _ => return,
        };
        if self.state.lock().echoing.contains_key(&program) {
            clients.push(peer, said(Stream::Out, bytes, tty));
        }
    }
}

/// What a program has written, as it goes over the wire.
pub(super) fn said(stream: Stream, text: &[u8], tty: bool) -> Bytes {
    match (tty, stream) {
        (true, _) => Bytes::copy_from_slice(text),
        (false, Stream::Out) => piece(Piece::STDOUT, text),
        (false, Stream::Err) => piece(Piece::STDERR, text),
    }
}

/// The rest of the answer to `wait`.
fn awaited(status: i32) -> Bytes {
    waited(&format!("{{\"StatusCode\":{status}}}\n"))
}

fn waited(body: &str) -> Bytes {
    [chunk(body.as_bytes()), last()].concat().into()
}

/// Whether the connection is closed behind the answer because its client asks for that, or speaks HTTP/1.0.
fn wants_close(request: &Request<'_>) -> bool {
    request.headers.lists("connection", "close")
        || (request.version == wire::http1::Version(0) && !request.headers.lists("connection", "keep-alive"))
}
