//! The loop of a reference server.
//!
//! One loop serves all clients, in the order in which their calls come. Real servers have threads and may
//! answer one client's calls in another order; nobody may rely on that. Messages are put together from
//! whatever pieces come; nothing is reserved for what a length announces, and a client that does not take
//! its answers makes only itself wait.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use rustix::fs::{Mode, OFlags};
use session::{Connection, Listener, READ_LEN_MAX, Received};
use tokio::net::TcpListener;
use tokio::time::{Instant, sleep_until};
use transcript::ExitStatus;
use wire::Frame;
use wire::libvirt_rpc::{DESCRIPTOR_BYTE, HEAD_LEN, Header, MessageType, Status};
use wire::xdr::Writer;

use protocol::defect::Switches;

use super::super::dialect::{Dialect, FreePages, LastClose, SecondOpen, Translation};
use super::super::names::{self, keepalive, procedures as proc, program};
use super::super::request::{self, RpcError};
use super::calls::{self, Answer, Call, Host, Opened};
use super::defects;
use super::driver::Lifecycle;
use super::failure::{Failure, STREAMS_DOMAIN};
use super::hostile;
use super::peer::Client;
use super::settings::{Auth, Language, Settings};
use super::transaction::Owner;

/// `SIGSEGV`, of which real servers die.
const SIGSEGV: i32 = 11;
/// How long to wait when no descriptor is left for a new client.
const ACCEPT_RETRY: Duration = Duration::from_millis(1);
/// The most bytes of a stream in one message, as releases send them: what fitted into a message of old.
const STREAM_PART_MAX: usize = 262_120;
/// A time that does not come.
const FAR: Duration = Duration::from_secs(86_400 * 365);

/// Tells clients apart.
pub(super) type Peer = u64;

/// What can be seen of a server from outside of its loop.
#[derive(Debug)]
pub(super) struct Shared {
    exit: Mutex<Option<ExitStatus>>,
    held: AtomicUsize,
    buffered_max: AtomicUsize,
}

impl Shared {
    pub(super) fn new() -> Self {
        Self { exit: Mutex::new(None), held: AtomicUsize::new(1), buffered_max: AtomicUsize::new(0) }
    }

    pub(super) fn exit(&self) -> Option<ExitStatus> {
        *self.exit.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn end(&self, status: ExitStatus) {
        *self.exit.lock().unwrap_or_else(PoisonError::into_inner) = Some(status);
    }

    /// The most bytes of one client that were ever kept because they were no complete message.
    pub(super) fn buffered_max(&self) -> usize {
        self.buffered_max.load(Ordering::Relaxed)
    }

    /// How many descriptors the server holds: its socket, its clients, what it leaked.
    pub(super) fn held(&self) -> usize {
        self.held.load(Ordering::Relaxed)
    }
}

/// A server while it runs.
pub(super) struct Engine {
    dialect: Dialect,
    settings: Settings,
    switches: Switches,
    listener: Listener,
    shared: Arc<Shared>,
    host: Host,
    /// From one sign of life to the next.
    keepalive: Duration,
    peers: BTreeMap<Peer, Client>,
    next: Peer,
    last: Peer,
    /// New clients and old ones come first in turn, so that neither can keep the others waiting.
    accepts_first: bool,
    leaked: Vec<OwnedFd>,
    /// Where a client has to be heard, and until when. Without a listener it is the server's own address.
    test: Option<(Option<TcpListener>, Instant)>,
}

enum Event {
    Accepted(io::Result<Connection>),
    Readable(Peer),
    Writable(Peer),
    Due,
    Reached,
}

/// Whether the server goes on.
type Flow = std::ops::ControlFlow<ExitStatus>;
const GO_ON: Flow = Flow::Continue(());

/// What a server is made of.
pub(super) struct Parts {
    pub(super) dialect: Dialect,
    pub(super) settings: Settings,
    pub(super) switches: Switches,
    pub(super) host: Host,
    pub(super) keepalive: Duration,
}

impl Engine {
    pub(super) fn new(parts: Parts, listener: Listener, shared: Arc<Shared>) -> Self {
        let Parts { dialect, settings, switches, host, keepalive } = parts;
        let (dialect, settings) = seeded(dialect, settings, &switches);
        Self {
            dialect,
            settings,
            switches,
            listener,
            shared,
            host,
            keepalive,
            peers: BTreeMap::new(),
            next: 0,
            last: 0,
            accepts_first: false,
            leaked: Vec::new(),
            test: None,
        }
    }

    /// Serves until it dies.
    pub(super) async fn run(mut self) {
        loop {
            let flow = match self.next_event().await {
                Event::Accepted(Ok(connection)) => self.accept(connection),
                Event::Accepted(Err(_)) => {
                    tokio::time::sleep(ACCEPT_RETRY).await;
                    GO_ON
                }
                Event::Readable(peer) => self.readable(peer).await,
                Event::Writable(peer) => {
                    self.flush(peer);
                    self.understand(peer).await
                }
                Event::Due => self.due(),
                Event::Reached => self.test_ends(true),
            };
            self.shared.held.store(1 + self.peers.len() + self.leaked.len(), Ordering::Relaxed);
            if let Flow::Break(status) = flow {
                self.shared.end(status);
                return;
            }
            self.watch_test().await;
        }
    }

    /// Waits for a new client, one that sent something or takes something again, or a time; in turn.
    async fn next_event(&mut self) -> Event {
        self.accepts_first = !self.accepts_first;
        let due = self.peers.values().filter_map(Client::next_due);
        let due = due.chain(self.test.as_ref().map(|(_, until)| *until)).min();
        let until = due.unwrap_or_else(|| Instant::now() + FAR);
        let (listener, peers, last) = (&self.listener, &self.peers, self.last);
        let (first, test) = (self.accepts_first, &self.test);
        let ready = poll_fn(|cx| {
            if first && let Poll::Ready(accepted) = listener.poll_accept(cx) {
                return Poll::Ready(Event::Accepted(accepted));
            }
            if let Some((Some(listener), _)) = test
                && listener.poll_accept(cx).is_ready()
            {
                return Poll::Ready(Event::Reached);
            }
            for (peer, client) in peers.range(last + 1..).chain(peers.range(..=last)) {
                if !client.outgoing.is_empty() {
                    if client.connection.poll_writable(cx).is_ready() {
                        return Poll::Ready(Event::Writable(*peer));
                    }
                } else if client.connection.poll_readable(cx).is_ready() {
                    return Poll::Ready(Event::Readable(*peer));
                }
            }
            listener.poll_accept(cx).map(Event::Accepted)
        });
        let event = tokio::select! {
            biased;
            event = ready => event,
            () = sleep_until(until), if due.is_some() => Event::Due,
        };
        if let Event::Readable(peer) | Event::Writable(peer) = event {
            self.last = peer;
        }
        event
    }

    fn accept(&mut self, connection: Connection) -> Flow {
        self.next += 1;
        if matches!(self.test, Some((None, _))) {
            let _go_on = self.test_ends(true);
        }
        let client = Client::new(connection, Owner(self.next));
        self.peers.insert(self.next, client);
        GO_ON
    }

    async fn readable(&mut self, peer: Peer) -> Flow {
        // Releases lose the reply to a call behind which the client ended its direction in 13 to 83 of 100 tries:
        // whether they see the end in time is a race. A server that stands for one has to do the same each time,
        // and does the better of the two; the worse one is a defect.
        let loses = self.switches.has(defects::LOSES_REPLY_ON_HALF_CLOSE);
        let Some(client) = self.peers.get_mut(&peer) else { return GO_ON };
        if !client.read_what_is_there() {
            return self.remove(peer);
        }
        if loses && client.finished {
            client.incoming.clear();
        }
        self.shared.buffered_max.fetch_max(client.incoming.len(), Ordering::Relaxed);
        self.understand(peer).await
    }

    /// Carries out whatever is complete. A client that does not take its answers has to wait.
    async fn understand(&mut self, peer: Peer) -> Flow {
        while let Some(client) = self.peers.get_mut(&peer) {
            if client.ending || !client.outgoing.is_empty() {
                return GO_ON;
            }
            client.pass_over();
            let frame = match client.incoming.next(&mut client.decoder) {
                Ok(Some(frame)) => frame,
                Ok(None) if client.finished => return self.remove(peer),
                Ok(None) if self.switches.has(defects::WAITS_FOR_EVER) && !client.incoming.is_empty() => {
                    self.wait_for(peer).await;
                    continue;
                }
                Ok(None) => return GO_ON,
                Err(_) => return self.remove(peer),
            };
            let at = client.understood;
            client.understood += u64::try_from(frame.bytes.len()).unwrap_or(0);
            // A call with descriptors is whole when the last of them has come. A byte that should carry one and
            // does not is the end of the connection.
            if frame.kind == DESCRIPTOR_BYTE && !client.has_descriptor(at) {
                return self.remove(peer);
            }
            let Some(frame) = client.completed(frame) else { continue };
            if self.switches.has(defects::LOSES_SECOND_PIPELINED) {
                client.incoming.clear();
            }
            let flow = self.dispatch(peer, &frame);
            if flow.is_break() {
                return flow;
            }
        }
        GO_ON
    }

    /// Waits for this one client, whoever else wants something.
    async fn wait_for(&mut self, peer: Peer) {
        let Some(client) = self.peers.get_mut(&peer) else { return };
        let readable = poll_fn(|cx| client.connection.poll_readable(cx)).await;
        match client.connection.try_recv(READ_LEN_MAX) {
            Ok(Some(Received::Data(data, fds))) if readable.is_ok() => client.take(&data.bytes, fds.len()),
            Ok(None) => {}
            _ => client.finished = true,
        }
    }

    fn dispatch(&mut self, peer: Peer, frame: &Frame) -> Flow {
        let Some(header) = Header::of_frame(frame) else { return self.remove(peer) };
        let with_fds = header.kind == MessageType::CALL_WITH_FDS;
        // Behind the head of a call with descriptors is their number.
        let from = if with_fds { HEAD_LEN + 4 } else { HEAD_LEN };
        let payload = frame.bytes.slice(from.min(frame.bytes.len())..);
        if header.program == program::KEEPALIVE && header.kind == MessageType::MESSAGE {
            self.sign_of_life(peer, &header);
            return GO_ON;
        }
        if header.kind == MessageType::STREAM {
            self.stream(peer, &header);
            return GO_ON;
        }
        if header.kind.is_call() { self.call(peer, &header, &payload) } else { GO_ON }
    }

    fn call(&mut self, peer: Peer, header: &Header, payload: &Bytes) -> Flow {
        if !self.dialect.serves(header.program, header.version) {
            let (program, version) = (header.program.cast_signed(), header.version);
            let text = self.settings.language.unknown_program(program, version);
            return self.refuse(peer, header, &Failure::rpc(text));
        }
        if header.status != Status::OK {
            let text = format!("Unexpected message status {}", header.status.0.cast_unsigned());
            return self.refuse(peer, header, &Failure::rpc(text));
        }
        if !self.dialect.knows(header.program, header.procedure) {
            return self.unknown(peer, header, payload);
        }
        let asks_first = self.settings.auth == Auth::Sasl;
        if asks_first
            && !(header.program == program::REMOTE && calls::needs_no_authentication(header.procedure))
        {
            return self.refuse(peer, header, &Failure::rpc("authentication required"));
        }
        self.carry_out(peer, header, payload)
    }

    fn carry_out(&mut self, peer: Peer, header: &Header, payload: &[u8]) -> Flow {
        if let Some(flow) = self.be_hostile(peer, header) {
            return flow;
        }
        let Some(client) = self.peers.get_mut(&peer) else { return GO_ON };
        let mut procedure = header.procedure;
        if self.switches.has(defects::NUMBER_REUSED) && procedure == proc::CONNECT_GET_TYPE {
            procedure = proc::CONNECT_GET_URI;
        }
        let mut call = Call {
            dialect: &self.dialect,
            settings: &self.settings,
            switches: &self.switches,
            host: &mut self.host,
            session: &mut client.session,
            procedure,
            events: Vec::new(),
        };
        let outcome = calls::answer(&mut call, header.program, payload);
        let events = std::mem::take(&mut call.events);
        if client.session.keepalive && client.ping.is_none() {
            client.ping = Some((Instant::now() + self.keepalive, 0));
        }
        let private = matches!(client.session.opened, Opened::Private(_));
        let flow = match outcome {
            Ok(Answer::Result(result)) => self.send(peer, header, request::reply(header, result)),
            Ok(Answer::Stream(result, data)) => {
                client.stream = Some((header.procedure, header.serial));
                let _go_on = self.send(peer, header, request::reply(header, result));
                self.send_stream(peer, header, data)
            }
            Ok(Answer::Close) => {
                if let Some(client) = self.peers.get_mut(&peer) {
                    client.ending = true;
                }
                self.send(peer, header, request::reply(header, Writer::new()))
            }
            Ok(Answer::Later(wait, failure)) => {
                let answer = request::failure(header, &failure.error(&self.dialect));
                client.later.push((Instant::now() + wait, answer));
                GO_ON
            }
            Ok(Answer::Crash) => Flow::Break(ExitStatus::Signal(SIGSEGV)),
            Err(failure) => self.refuse(peer, header, &failure),
        };
        for event in events {
            self.tell(if private { Some(peer) } else { None }, event);
        }
        flow
    }

    fn unknown(&mut self, peer: Peer, header: &Header, payload: &Bytes) -> Flow {
        if self.switches.has(defects::NEVER_ANSWERS) {
            return GO_ON;
        }
        if self.switches.has(defects::SUCCESS_FOR_UNKNOWN) {
            return self.send(peer, header, request::reply(header, Writer::new()));
        }
        let number = header.procedure;
        let text = self.settings.language.unknown_procedure(number);
        let failure = if self.switches.has(defects::WRONG_CODE) {
            Failure::no_support(names::error_domain::DOMAIN, format!("procedure {number}"))
        } else if self.switches.has(defects::WRONG_TEXT) {
            Failure::rpc(format!("no such procedure: {number}"))
        } else {
            Failure::rpc(text)
        };
        let flow = self.refuse(peer, header, &failure);
        if self.switches.has(defects::DOES_NOT_DRAIN)
            && let Some(client) = self.peers.get_mut(&peer)
        {
            client.incoming.put_back(payload);
        }
        if self.switches.has(defects::DRAINS_TOO_MUCH)
            && let Some(client) = self.peers.get_mut(&peer)
        {
            client.passes_over = payload.len();
        }
        if self.switches.has(defects::CLOSES_AFTER_REFUSING) {
            self.end(peer);
        }
        flow
    }

    fn refuse(&mut self, peer: Peer, header: &Header, failure: &Failure) -> Flow {
        let error: RpcError = self.settings.language.say(failure).error(&self.dialect);
        self.send(peer, header, request::failure(header, &error))
    }

    /// Sends an answer.
    fn send(&mut self, peer: Peer, header: &Header, answer: Bytes) -> Flow {
        let answer = if self.switches.has(defects::WRONG_SERIAL) {
            hostile::with_serial(&answer, header.serial.wrapping_add(1))
        } else {
            answer
        };
        let times = if self.switches.has(defects::ANSWERS_TWICE) { 2 } else { 1 };
        for _ in 0..times {
            self.push(peer, answer.clone());
        }
        self.flush(peer);
        GO_ON
    }

    fn push(&mut self, peer: Peer, message: Bytes) {
        if let Some(client) = self.peers.get_mut(&peer) {
            client.outgoing.push_back(message);
        }
    }

    /// Sends the data of a stream, and that there is no more.
    fn send_stream(&mut self, peer: Peer, header: &Header, data: Bytes) -> Flow {
        let part = Header { kind: MessageType::STREAM, status: Status::CONTINUE, ..*header };
        for piece in data.chunks(STREAM_PART_MAX).chain([&[][..]]) {
            self.push(peer, part.message(piece));
        }
        self.flush(peer);
        GO_ON
    }

    /// What a client says about the stream that it reads.
    fn stream(&mut self, peer: Peer, header: &Header) {
        let Some(client) = self.peers.get_mut(&peer) else { return };
        if client.stream != Some((header.procedure, header.serial)) {
            return;
        }
        client.stream = None;
        let answer = if header.status == Status::CONTINUE {
            let text = "stream had unexpected termination";
            let error = Failure::plain(names::error::RPC, STREAMS_DOMAIN, text).error(&self.dialect);
            request::failure(header, &error)
        } else {
            request::reply_header(header, Status::OK).message(&[])
        };
        self.push(peer, answer);
        self.flush(peer);
    }

    fn sign_of_life(&mut self, peer: Peer, header: &Header) {
        match header.procedure {
            keepalive::PING => {
                let pong = Header { procedure: keepalive::PONG, ..*header };
                self.push(peer, pong.message(&[]));
                self.flush(peer);
            }
            keepalive::PONG => {
                if let Some((_, unanswered)) =
                    self.peers.get_mut(&peer).and_then(|client| client.ping.as_mut())
                {
                    *unanswered = 0;
                }
            }
            _ => {}
        }
    }

    /// Sends the signs of life that are due, closes where none was answered, and ends a connectivity test
    /// whose time is over.
    fn due(&mut self) -> Flow {
        let now = Instant::now();
        let count = self.dialect.server.keepalive.count;
        let ping = Header {
            program: program::KEEPALIVE,
            version: names::VERSION,
            procedure: keepalive::PING,
            kind: MessageType::MESSAGE,
            serial: 0,
            status: Status::OK,
        };
        for peer in self.peers.keys().copied().collect::<Vec<Peer>>() {
            let due = self.peers.get_mut(&peer).map(|client| client.take_due(now)).unwrap_or_default();
            for answer in due {
                self.push(peer, answer);
                self.flush(peer);
            }
        }
        let late: Vec<Peer> =
            self.peers.iter().filter(|(_, client)| client.is_due(now)).map(|(p, _)| *p).collect();
        for peer in late {
            let Some(client) = self.peers.get_mut(&peer) else { continue };
            let unanswered = client.ping.map_or(0, |(_, unanswered)| unanswered);
            if unanswered >= count {
                let _go_on = self.remove(peer);
                continue;
            }
            client.ping = Some((now + self.keepalive, unanswered + 1));
            self.push(peer, ping.message(&[]));
            self.flush(peer);
        }
        if self.test.as_ref().is_some_and(|(_, until)| now >= *until) {
            return self.test_ends(false);
        }
        GO_ON
    }

    /// Tells those who wanted to know what happened to a domain.
    fn tell(&mut self, only: Option<Peer>, event: Lifecycle) {
        let serial = self.dialect.server.event_serial;
        let mut messages = Vec::new();
        for (peer, client) in &self.peers {
            let private = matches!(client.session.opened, Opened::Private(_));
            if only.map_or(private, |only| only != *peer) {
                continue;
            }
            let wants = |callback: &&calls::Callback| callback.event == 0;
            for callback in client.session.callbacks.iter().filter(wants) {
                messages.push((*peer, lifecycle(callback, event, serial)));
            }
        }
        for (peer, message) in messages {
            self.push(peer, message);
            self.flush(peer);
        }
    }

    /// Sends as much as the kernel takes, and closes what is to be closed.
    fn flush(&mut self, peer: Peer) {
        let Some(client) = self.peers.get_mut(&peer) else { return };
        if client.send_all().is_err() || (client.ending && client.outgoing.is_empty()) {
            let _go_on = self.remove(peer);
        }
    }

    /// Closes a connection once everything is sent.
    fn end(&mut self, peer: Peer) {
        if let Some(client) = self.peers.get_mut(&peer) {
            client.ending = true;
        }
        self.flush(peer);
    }

    fn remove(&mut self, peer: Peer) -> Flow {
        let Some(client) = self.peers.remove(&peer) else { return GO_ON };
        let session = client.session;
        if session.uses_shared {
            self.host.users = self.host.users.saturating_sub(1);
        }
        let last = self.host.users == 0;
        if let Some(driver) = &mut self.host.shared {
            driver.interfaces.client_gone(session.owner, last);
        }
        if last && self.dialect.server.last_close == LastClose::Resets {
            self.host.shared = None;
        }
        if self.switches.has(defects::LEAKS_DESCRIPTOR) {
            let opened = rustix::fs::open("/dev/null", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty());
            self.leaked.extend(opened);
        }
        GO_ON
    }

    /// Listens where the client of an open transaction has to be heard, as long as it has to.
    async fn watch_test(&mut self) {
        let due = self.host.shared.as_ref().and_then(|driver| driver.interfaces.test());
        match due {
            None => self.test = None,
            Some(_) if self.test.is_some() => {}
            Some(test) => {
                let until = Instant::now() + Duration::from_millis(test.deadline_ms);
                if test.port == 0 {
                    self.test = Some((None, until));
                    return;
                }
                match TcpListener::bind((test.host.as_str(), test.port)).await {
                    Ok(listener) => self.test = Some((Some(listener), until)),
                    // Where nothing can listen nobody can arrive.
                    Err(_) => {
                        let _go_on = self.test_ends(false);
                    }
                }
            }
        }
    }

    fn test_ends(&mut self, reached: bool) -> Flow {
        self.test = None;
        if let Some(driver) = &mut self.host.shared {
            driver.interfaces.test_ended(reached);
        }
        GO_ON
    }

    /// The answer of a server that means harm; `None` for one that does not, and for what a client asks
    /// before it gets to the driver.
    fn be_hostile(&mut self, peer: Peer, header: &Header) -> Option<Flow> {
        let defect = self.switches.hostile()?;
        match hostile::answer(defect, header, &self.dialect)? {
            hostile::Harm::Says(answer) => {
                self.push(peer, answer);
                self.flush(peer);
            }
            hostile::Harm::Closes => return Some(self.remove(peer)),
            hostile::Harm::Ignores => {}
        }
        Some(GO_ON)
    }
}

/// A lifecycle event as a callback is told it.
fn lifecycle(callback: &calls::Callback, event: Lifecycle, serial: u32) -> Bytes {
    let procedure =
        if callback.legacy { proc::DOMAIN_EVENT_LIFECYCLE } else { proc::DOMAIN_EVENT_CALLBACK_LIFECYCLE };
    let kind = MessageType::MESSAGE;
    let header = Header { kind, ..request::header(procedure, serial) };
    let writer = if callback.legacy { Writer::new() } else { Writer::new().i32(callback.id) };
    let writer = calls::domain(writer, event.domain_id).i32(event.event).i32(event.detail);
    header.message(&writer.finish())
}

/// Dialect and settings with the defects that are told apart by them.
fn seeded(dialect: Dialect, settings: Settings, switches: &Switches) -> (Dialect, Settings) {
    let (mut dialect, mut settings) = (dialect, settings);
    if switches.has(defects::SECOND_OPEN_DROPS_FIRST) {
        dialect.server.second_open = SecondOpen::DropsFirst;
    }
    if switches.has(defects::CRASHES_ON_OVERFLOW) {
        dialect.server.free_pages = FreePages::Overflows;
    }
    if switches.has(defects::FEATURES_NOT_DOWNGRADED) {
        dialect.highest_procedure = dialect.highest_procedure.min(DOWNGRADED_TO);
    }
    if switches.has(defects::GERMAN) {
        settings.language = Language::Translated(Translation::GERMAN);
    }
    if switches.has(defects::NOT_UTF8) {
        settings.language = Language::Latin1;
    }
    (dialect, settings)
}

/// The last procedure of 0.9.2, before most features.
const DOWNGRADED_TO: i32 = 222;
