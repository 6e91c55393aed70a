//! A reference server: what it makes of its clients' calls.
//!
//! One loop serves all clients, in the order in which their calls come. Real servers have threads and may
//! answer one client's calls in another order; nobody may rely on that. Messages are put together from
//! whatever pieces come; nothing is reserved for what a length announces, and a client that does not take
//! its answers makes only itself wait.

use std::os::fd::OwnedFd;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use protocol::defect::Switches;
use protocol::reference::serve::{Clients, Flow, GO_ON, Look, Machine, Peer, Step};
use session::{Connection, READ_LEN_MAX};
use tokio::net::TcpListener;
use tokio::time::Instant;
use transcript::{Data, ExitStatus};
use wire::Frame;
use wire::libvirt_rpc::{DESCRIPTOR_BYTE, HEAD_LEN, Header, MessageType, Status};
use wire::xdr::Writer;

use super::calls::{self, Answer, Call, Host, Opened};
use super::driver::Lifecycle;
use super::failure::{Failure, STREAMS_DOMAIN};
use super::peer::Client;
use super::settings::{Auth, Language, Settings};
use super::transaction::Owner;
use super::{defects, hostile};
use crate::dialect::{Dialect, FreePages, LastClose, SecondOpen, Translation};
use crate::names::{self, keepalive, procedures as proc, program};
use crate::request::{self, RpcError};

/// `SIGSEGV`, of which real servers die.
const SIGSEGV: i32 = 11;
/// The most bytes of a stream in one message, as releases send them: what fitted into a message of old.
const STREAM_PART_MAX: usize = 262_120;

type All = Clients<Client>;

/// A daemon.
pub(super) struct Daemon {
    dialect: Dialect,
    settings: Settings,
    switches: Switches,
    host: Host,
    /// From one sign of life to the next.
    keepalive: Duration,
    /// Where a client has to be heard, and until when. Without a listener it is the server's own address.
    test: Option<(Option<TcpListener>, Instant)>,
    /// Payloads that a faulty server never drops.
    kept: Vec<Bytes>,
}

impl Machine for Daemon {
    type Client = Client;

    const READS_IN_A_ROW: usize = 8;

    async fn accepted(&mut self, clients: &mut All, peer: Peer, connection: Connection) {
        if matches!(self.test, Some((None, _))) {
            self.test_ends(true);
        }
        clients.add(peer, connection, Client::new(Owner(peer)));
    }

    fn came(&mut self, clients: &mut All, peer: Peer, data: Data, fds: Vec<OwnedFd>) {
        if let Some(client) = clients.get_mut(peer) {
            client.take(&data.bytes, fds.len());
        }
    }

    /// What was said before is still answered.
    ///
    /// Releases lose the reply to a call behind which the client ended its direction in 13 to 83 of 100 tries:
    /// whether they see the end in time is a race. A server that stands for one has to do the same each time,
    /// and does the better of the two; the worse one is a defect.
    fn ended(&mut self, clients: &mut All, peer: Peer) -> Flow {
        if let Some(client) = clients.get_mut(peer) {
            client.finished = true;
            if self.switches.has(defects::LOSES_REPLY_ON_HALF_CLOSE) {
                client.incoming.clear();
            }
        }
        GO_ON
    }

    async fn step(&mut self, clients: &mut All, peer: Peer) -> Step {
        let Some(client) = clients.get_mut(peer) else { return Step::Waits };
        client.pass_over();
        let frame = match client.incoming.next(&mut client.decoder) {
            Ok(Some(frame)) => frame,
            Ok(None) if !client.finished => {
                if !self.switches.has(defects::WAITS_FOR_EVER) || client.incoming.is_empty() {
                    return Step::Waits;
                }
                match clients.wait_for(peer, READ_LEN_MAX).await {
                    Some((data, fds)) => self.came(clients, peer, data, fds),
                    None => return self.ended(clients, peer).into(),
                }
                return Step::Done;
            }
            Ok(None) | Err(_) => return hang_up(clients, peer),
        };
        let at = client.understood;
        client.understood += u64::try_from(frame.bytes.len()).unwrap_or(0);
        // A call with descriptors is whole when the last of them has come. A byte that should carry one and
        // does not is the end of the connection.
        if frame.kind == DESCRIPTOR_BYTE && !client.has_descriptor(at) {
            return hang_up(clients, peer);
        }
        let Some(frame) = client.completed(frame) else { return Step::Done };
        if self.switches.has(defects::LOSES_SECOND_PIPELINED) {
            client.incoming.clear();
        }
        self.dispatch(clients, peer, &frame).into()
    }

    fn gone(&mut self, _peer: Peer, client: Client, _unsent: Vec<Bytes>) {
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
    }

    fn due(&self, clients: &All) -> Option<Instant> {
        let due = clients.iter().filter_map(|(_, client)| client.next_due());
        due.chain(self.test.as_ref().map(|(_, until)| *until)).min()
    }

    /// Sends the signs of life that are due, closes where none was answered, and ends a connectivity test
    /// whose time is over.
    fn tick(&mut self, clients: &mut All) {
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
        let due: Vec<_> = clients.iter_mut().map(|(peer, client)| (peer, client.take_due(now))).collect();
        for (peer, answers) in due {
            for answer in answers {
                clients.push(peer, answer);
            }
        }
        let late = clients.iter_mut().filter(|(_, client)| client.is_due(now));
        let late: Vec<_> = late.map(|(peer, client)| (peer, client.miss(now + self.keepalive))).collect();
        for (peer, unanswered) in late {
            if unanswered >= count {
                clients.remove(peer);
            } else {
                clients.push(peer, ping.message(&[]));
            }
        }
        if self.test.as_ref().is_some_and(|(_, until)| now >= *until) {
            self.test_ends(false);
        }
    }

    fn poll_other(&mut self, _clients: &All, cx: &mut Context<'_>) -> Poll<()> {
        match &self.test {
            Some((Some(listener), _)) => listener.poll_accept(cx).map(|_| ()),
            _ => Poll::Pending,
        }
    }

    async fn other(&mut self, _clients: &mut All) {
        self.test_ends(true);
    }

    /// Listens where the client of an open transaction has to be heard, as long as it has to.
    async fn settle(&mut self) {
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
                    Err(_) => self.test_ends(false),
                }
            }
        }
    }

    fn look(&self, clients: &All, look: &mut Look) {
        look.held_bytes += clients.iter().map(|(_, client)| client.held_bytes()).sum::<usize>();
        look.held_bytes += self.kept.iter().map(Bytes::len).sum::<usize>();
    }

    fn leaks(&self) -> bool {
        self.switches.has(defects::LEAKS_DESCRIPTOR)
    }
}

fn hang_up(clients: &mut All, peer: Peer) -> Step {
    clients.remove(peer);
    Step::Waits
}

impl Daemon {
    /// `keepalive` is the time from one sign of life to the next.
    pub(super) fn new(
        dialect: Dialect,
        settings: Settings,
        switches: Switches,
        host: Host,
        keepalive: Duration,
    ) -> Self {
        let (dialect, settings) = seeded(dialect, settings, &switches);
        Self { dialect, settings, switches, host, keepalive, test: None, kept: Vec::new() }
    }

    fn dispatch(&mut self, clients: &mut All, peer: Peer, frame: &Frame) -> Flow {
        let Some(header) = Header::of_frame(frame) else {
            clients.remove(peer);
            return GO_ON;
        };
        let with_fds = header.kind == MessageType::CALL_WITH_FDS;
        // Behind the head of a call with descriptors is their number.
        let from = if with_fds { HEAD_LEN + 4 } else { HEAD_LEN };
        let payload = frame.bytes.slice(from.min(frame.bytes.len())..);
        if self.switches.has(defects::KEEPS_PAYLOADS) {
            self.kept.push(payload.clone());
        }
        if header.program == program::KEEPALIVE && header.kind == MessageType::MESSAGE {
            sign_of_life(clients, peer, &header);
            return GO_ON;
        }
        if header.kind == MessageType::STREAM {
            self.stream(clients, peer, &header);
            return GO_ON;
        }
        if header.kind.is_call() { self.call(clients, peer, &header, &payload) } else { GO_ON }
    }

    fn call(&mut self, clients: &mut All, peer: Peer, header: &Header, payload: &Bytes) -> Flow {
        let refusal = if !self.dialect.serves(header.program, header.version) {
            let (program, version) = (header.program.cast_signed(), header.version);
            Failure::rpc(self.settings.language.unknown_program(program, version))
        } else if header.status != Status::OK {
            Failure::rpc(format!("Unexpected message status {}", header.status.0.cast_unsigned()))
        } else if !self.dialect.knows(header.program, header.procedure) {
            self.unknown(clients, peer, header, payload);
            return GO_ON;
        } else if self.settings.auth == Auth::Sasl
            && !(header.program == program::REMOTE && calls::needs_no_authentication(header.procedure))
        {
            Failure::rpc("authentication required")
        } else {
            return self.carry_out(clients, peer, header, payload);
        };
        self.refuse(clients, peer, header, &refusal);
        GO_ON
    }

    fn carry_out(&mut self, clients: &mut All, peer: Peer, header: &Header, payload: &[u8]) -> Flow {
        if let Some(flow) = self.be_hostile(clients, peer, header) {
            return flow;
        }
        let Some(client) = clients.get_mut(peer) else { return GO_ON };
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
        match outcome {
            Ok(Answer::Result(result)) => self.send(clients, peer, header, request::reply(header, result)),
            Ok(Answer::Stream(result, data)) => {
                client.stream = Some((header.procedure, header.serial));
                self.send(clients, peer, header, request::reply(header, result));
                send_stream(clients, peer, header, &data);
            }
            Ok(Answer::Close) => {
                self.send(clients, peer, header, request::reply(header, Writer::new()));
                clients.end(peer);
            }
            Ok(Answer::Later(wait, failure)) => {
                let answer = request::failure(header, &failure.error(&self.dialect));
                client.later.push((Instant::now() + wait, answer));
            }
            Ok(Answer::Crash) => return Flow::Break(ExitStatus::Signal(SIGSEGV)),
            Err(failure) => self.refuse(clients, peer, header, &failure),
        }
        for event in events {
            self.tell(clients, if private { Some(peer) } else { None }, event);
        }
        GO_ON
    }

    fn unknown(&mut self, clients: &mut All, peer: Peer, header: &Header, payload: &Bytes) {
        if self.switches.has(defects::NEVER_ANSWERS) {
            return;
        }
        if self.switches.has(defects::SUCCESS_FOR_UNKNOWN) {
            return self.send(clients, peer, header, request::reply(header, Writer::new()));
        }
        let number = header.procedure;
        let failure = if self.switches.has(defects::WRONG_CODE) {
            Failure::no_support(names::error_domain::DOMAIN, format!("procedure {number}"))
        } else if self.switches.has(defects::WRONG_TEXT) {
            Failure::rpc(format!("no such procedure: {number}"))
        } else {
            Failure::rpc(self.settings.language.unknown_procedure(number))
        };
        self.refuse(clients, peer, header, &failure);
        let Some(client) = clients.get_mut(peer) else { return };
        if self.switches.has(defects::DOES_NOT_DRAIN) {
            client.incoming.put_back(payload);
        }
        if self.switches.has(defects::DRAINS_TOO_MUCH) {
            client.passes_over = payload.len();
        }
        if self.switches.has(defects::CLOSES_AFTER_REFUSING) {
            clients.end(peer);
        }
    }

    fn refuse(&mut self, clients: &mut All, peer: Peer, header: &Header, failure: &Failure) {
        let error: RpcError = self.settings.language.say(failure).error(&self.dialect);
        self.send(clients, peer, header, request::failure(header, &error));
    }

    /// Sends an answer.
    fn send(&mut self, clients: &mut All, peer: Peer, header: &Header, answer: Bytes) {
        let answer = if self.switches.has(defects::WRONG_SERIAL) {
            hostile::with_serial(&answer, header.serial.wrapping_add(1))
        } else {
            answer
        };
        let times = if self.switches.has(defects::ANSWERS_TWICE) { 2 } else { 1 };
        for _ in 0..times {
            clients.push(peer, answer.clone());
        }
    }

    /// What a client says about the stream that it reads.
    fn stream(&mut self, clients: &mut All, peer: Peer, header: &Header) {
        let Some(client) = clients.get_mut(peer) else { return };
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
        clients.push(peer, answer);
    }

    /// Tells those who wanted to know what happened to a domain.
    fn tell(&self, clients: &mut All, only: Option<Peer>, event: Lifecycle) {
        let serial = self.dialect.server.event_serial;
        let mut messages = Vec::new();
        for (peer, client) in clients.iter() {
            let private = matches!(client.session.opened, Opened::Private(_));
            if only.map_or(private, |only| only != peer) {
                continue;
            }
            let wants = |callback: &&calls::Callback| callback.event == 0;
            for callback in client.session.callbacks.iter().filter(wants) {
                messages.push((peer, lifecycle(callback, event, serial)));
            }
        }
        for (peer, message) in messages {
            clients.push(peer, message);
        }
    }

    fn test_ends(&mut self, reached: bool) {
        self.test = None;
        if let Some(driver) = &mut self.host.shared {
            driver.interfaces.test_ended(reached);
        }
    }

    /// The answer of a server that means harm; `None` for one that does not, and for what a client asks
    /// before it gets to the driver.
    fn be_hostile(&self, clients: &mut All, peer: Peer, header: &Header) -> Option<Flow> {
        match hostile::answer(self.switches.hostile()?, header, &self.dialect)? {
            hostile::Harm::Says(answer) => clients.push(peer, answer),
            hostile::Harm::Closes => clients.remove(peer),
            hostile::Harm::Ignores => {}
        }
        Some(GO_ON)
    }
}

/// Sends the data of a stream, and that there is no more.
fn send_stream(clients: &mut All, peer: Peer, header: &Header, data: &[u8]) {
    let part = Header { kind: MessageType::STREAM, status: Status::CONTINUE, ..*header };
    for piece in data.chunks(STREAM_PART_MAX).chain([&[][..]]) {
        clients.push(peer, part.message(piece));
    }
}

fn sign_of_life(clients: &mut All, peer: Peer, header: &Header) {
    match header.procedure {
        keepalive::PING => {
            let pong = Header { procedure: keepalive::PONG, ..*header };
            clients.push(peer, pong.message(&[]));
        }
        keepalive::PONG => {
            if let Some((_, unanswered)) = clients.get_mut(peer).and_then(|client| client.ping.as_mut()) {
                *unanswered = 0;
            }
        }
        _ => {}
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
