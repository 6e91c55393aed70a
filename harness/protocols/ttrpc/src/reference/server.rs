//! A server: from frames to calls and back, as its family does it.
//!
//! A service is given calls that were decoded, and answers each when it likes, or never. What is not a call, what nobody knows and
//! what cannot be decoded does not reach it.

use std::collections::BTreeSet;
use std::os::fd::OwnedFd;

use bytes::Bytes;
use protocol::defect::Switches;
use protocol::reference::serve::{Clients, Flow, GO_ON, Look, Machine, Outside, Peer, Step};
use session::Connection;
use transcript::{Data, ExitStatus};
use wire::protobuf::Schema;
use wire::protobuf::schema::Method;
use wire::ttrpc::{
    DATA_MAX, DISCARDED, Flags, HEAD_LEN, Header, Limits, MessageDecoder, MessageType, OVERSIZE, Oversize,
};
use wire::{Frame, Unread};

use super::faults;
use crate::argument::look_through;
use crate::envelope::{self, Call, Success, code};
use crate::family::{BadPayloadGets, Family, NoCallGets, NoData, StrayData, Strictness, WhileItWrites};

/// How much of what one client said is kept while it takes no answers.
const HELD_MAX: usize = 64 << 20;

/// Whom an answer is for: a client, and the number of its stream.
pub type Ticket = (Peer, u32);

/// What a call comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It was carried out; the result, as bytes of its message.
    Result(Bytes),
    /// It failed.
    Failure(i64, String),
}

impl Outcome {
    /// A result without anything in it.
    #[must_use]
    pub const fn empty() -> Self {
        Self::Result(Bytes::new())
    }

    /// A failure.
    #[must_use]
    pub fn failure(code: i64, message: impl Into<String>) -> Self {
        Self::Failure(code, message.into())
    }
}

/// What a service says, in order.
#[derive(Debug, Default)]
pub struct Replies {
    said: Vec<(Ticket, Outcome)>,
    exit: Option<ExitStatus>,
}

impl Replies {
    /// Answers a call.
    pub fn answer(&mut self, ticket: Ticket, outcome: Outcome) {
        self.said.push((ticket, outcome));
    }

    /// Ends the process, behind what was said.
    pub fn exit(&mut self, status: ExitStatus) {
        self.exit = Some(status);
    }
}

/// What a server offers.
pub trait Service: Send + Sync + 'static {
    /// A call to a method that it has, with an argument that can be decoded.
    fn call(&mut self, ticket: Ticket, call: &Call<'_>, replies: &mut Replies);

    /// How a server says that it does not know a service or a method.
    fn unknown(&self, call: &Call<'_>) -> String {
        format!("{} is not known", call.name())
    }

    /// A method that it has and that does nothing: what is said of it.
    fn unsupported(&self, _method: &Method) -> Option<Outcome> {
        None
    }

    /// What can be done to it by other means than its socket.
    fn outside(&self) -> Option<Box<dyn Outside>> {
        None
    }
}

/// A server of a family with a service.
pub struct TtrpcServer<S> {
    family: Family,
    schema: &'static Schema,
    service: S,
    switches: Switches,
    /// Connections that are never closed.
    leaked: Vec<Connection>,
    /// Payloads that a faulty server never drops.
    kept: Vec<Bytes>,
}

/// What is kept of a client.
pub struct Client {
    unread: Unread,
    decoder: MessageDecoder,
    /// It will say no more.
    finished: bool,
    /// The largest number that it used.
    last: Option<u32>,
    /// Streams of one-way calls on which it announced data.
    announced: BTreeSet<u32>,
    /// A request that is answered behind the next one.
    late: Option<u32>,
    /// The stream of a message above the limit, and how much of it is to come.
    discards: Option<(u32, u64)>,
}

type All = Clients<Client>;

impl<S: Service> TtrpcServer<S> {
    /// A server as the family has them, with faults.
    #[must_use]
    pub fn new(family: Family, schema: &'static Schema, service: S, switches: Switches) -> Self {
        Self { family, schema, service, switches, leaked: Vec::new(), kept: Vec::new() }
    }

    fn has(&self, fault: &str) -> bool {
        self.switches.has(fault)
    }

    fn decoder(&self) -> MessageDecoder {
        let oversize = match self.family.oversize.0 {
            _ if self.has(faults::SMUGGLES) => Oversize::Ignored,
            _ if self.has(faults::CLOSES_OVERSIZE) => Oversize::Refused,
            of_family => of_family,
        };
        MessageDecoder::within(Limits { data_max: DATA_MAX, oversize })
    }
}

impl<S: Service> Machine for TtrpcServer<S> {
    type Client = Client;

    const READS_IN_A_ROW: usize = 8;

    async fn accepted(&mut self, clients: &mut All, peer: Peer, connection: Connection) {
        let client = Client {
            unread: Unread::default(),
            decoder: self.decoder(),
            finished: false,
            last: None,
            announced: BTreeSet::new(),
            late: None,
            discards: None,
        };
        clients.add(peer, connection, client);
    }

    /// A client that does not read its answers may go on asking: it may wait for the server to read before it does.
    fn reads(&self, is_owed: bool) -> bool {
        let waits = self.family.while_it_writes == WhileItWrites::Waits || self.has(faults::STOPS_READING);
        !(is_owed && waits)
    }

    fn came(&mut self, clients: &mut All, peer: Peer, data: Data, _fds: Vec<OwnedFd>) {
        let Some(client) = clients.get_mut(peer) else { return };
        client.unread.push(&data.bytes);
        if client.unread.len() > HELD_MAX {
            clients.remove(peer);
        }
    }

    fn ended(&mut self, clients: &mut All, peer: Peer) -> Flow {
        let loses = self.has(faults::LOSES_REPLY_ON_HALF_CLOSE);
        if let Some(client) = clients.get_mut(peer) {
            client.finished = true;
            if loses {
                client.unread = Unread::default();
            }
        }
        GO_ON
    }

    async fn step(&mut self, clients: &mut All, peer: Peer) -> Step {
        let Some(client) = clients.get_mut(peer) else { return Step::Waits };
        match client.unread.next(&mut client.decoder) {
            Ok(Some(frame)) => self.frame(clients, peer, &frame).into(),
            Ok(None) if client.finished => self.hang_up(clients, peer),
            Ok(None) => Step::Waits,
            Err(_) => {
                clients.end(peer);
                Step::Waits
            }
        }
    }

    fn look(&self, clients: &All, look: &mut Look) {
        look.fds += self.leaked.len();
        look.held_bytes += clients.iter().map(|(_, client)| client.unread.len()).sum::<usize>();
        look.held_bytes += self.kept.iter().map(Bytes::len).sum::<usize>();
    }

    fn leaks(&self) -> bool {
        self.has(faults::LEAKS_DESCRIPTOR)
    }

    fn outside(&self) -> Box<dyn Outside> {
        self.service.outside().unwrap_or_else(|| Box::new(Untouched))
    }
}

/// A server to which nothing can be done.
struct Untouched;

impl Outside for Untouched {}

impl<S: Service> TtrpcServer<S> {
    /// A client that will say no more has been dealt with.
    fn hang_up(&mut self, clients: &mut All, peer: Peer) -> Step {
        // Measured on Go before 1.2: a head that is cut ends the connection, a body that is cut does not.
        let is_cut = clients
            .get_mut(peer)
            .is_some_and(|client| client.discards.is_some() || client.unread.len() >= HEAD_LEN);
        if is_cut && !self.family.closes_when_cut {
            self.leaked.extend(clients.detach(peer));
        } else {
            clients.end(peer);
        }
        Step::Waits
    }

    fn frame(&mut self, clients: &mut All, peer: Peer, frame: &Frame) -> Flow {
        if frame.kind == DISCARDED {
            self.discard(clients, peer, frame.bytes.len());
            return GO_ON;
        }
        let Some(header) = Header::of_frame(frame) else { return GO_ON };
        if let Some(late) = clients.get_mut(peer).and_then(|client| client.late.take()) {
            self.fails(clients, (peer, late), self.family.unknown_service, "nothing was called");
        }
        if frame.kind == OVERSIZE {
            if let (Some(client), Oversize::Discarded) = (clients.get_mut(peer), self.family.oversize.0) {
                let length = Header::length(&frame.bytes).unwrap_or_default();
                client.discards = Some((header.stream, length.into()));
            }
            return GO_ON;
        }
        match header.kind {
            MessageType::REQUEST => self.request(clients, peer, &header, frame),
            MessageType::DATA => self.data(clients, peer, &header),
            _ => GO_ON,
        }
    }

    /// A piece of a message above the limit came; it is answered when all of it is there.
    fn discard(&mut self, clients: &mut All, peer: Peer, len: usize) {
        let Some(client) = clients.get_mut(peer) else { return };
        let Some((stream, left)) = &mut client.discards else { return };
        *left = left.saturating_sub(u64::try_from(len).unwrap_or(u64::MAX));
        if *left > 0 {
            return;
        }
        let stream = *stream;
        client.discards = None;
        if let Some(code) = self.family.oversize.1 {
            self.fails(clients, (peer, stream), code, "message is larger than 4194304 bytes");
        }
    }

    fn data(&mut self, clients: &mut All, peer: Peer, header: &Header) -> Flow {
        let Some(client) = clients.get_mut(peer) else { return GO_ON };
        if client.announced.contains(&header.stream) {
            if header.flags.has(Flags::REMOTE_CLOSED) {
                client.announced.remove(&header.stream);
            }
            return GO_ON;
        }
        match self.family.stray_data {
            _ if self.has(faults::STRAY_DATA_KILLS) => return Flow::Break(ExitStatus::Gone),
            StrayData::Ignored => {}
            StrayData::Refused => {
                self.fails(
                    clients,
                    (peer, header.stream),
                    code::INVALID_ARGUMENT,
                    "stream is no longer active",
                );
            }
            // What Go makes of a panic.
            StrayData::Kills => return Flow::Break(ExitStatus::Code(2)),
        }
        GO_ON
    }

    fn request(&mut self, clients: &mut All, peer: Peer, header: &Header, frame: &Frame) -> Flow {
        let Some(client) = clients.get_mut(peer) else { return GO_ON };
        let (stream, ticket) = (header.stream, (peer, header.stream));
        let takes_even = self.family.even_streams || self.switches.has(faults::EVEN_STREAMS);
        let is_late = client.last.is_some_and(|last| stream <= last);
        if stream.is_multiple_of(2) && !takes_even {
            self.fails(clients, ticket, code::INVALID_ARGUMENT, "stream id must be odd");
            return GO_ON;
        }
        if is_late && self.family.numbers_increase {
            self.fails(clients, ticket, code::INVALID_ARGUMENT, "stream id must increase");
            return GO_ON;
        }
        client.last = Some(stream);
        if header.flags.has(Flags::REMOTE_OPEN) && self.family.takes_announced_data {
            client.announced.insert(stream);
        }
        let data = envelope::data(&frame.bytes);
        if data.is_empty() && self.family.no_data == NoData::AnsweredLate {
            client.late = Some(stream);
            return GO_ON;
        }
        if self.has(faults::KEEPS_PAYLOADS) {
            self.kept.push(frame.bytes.clone());
        }
        match Call::read(data) {
            Ok(call) if !(call.is_odd && self.family.odd_is_no_call) => self.call(clients, ticket, &call),
            _ => {
                let why = if self.family.says_why_no_call { "not a request" } else { "" };
                let times = if self.family.no_call == NoCallGets::TwoRefusals { 2 } else { 1 };
                for _ in 0..times {
                    self.fails(clients, ticket, code::INVALID_ARGUMENT, why);
                }
                GO_ON
            }
        }
    }

    fn call(&mut self, clients: &mut All, ticket: Ticket, call: &Call<'_>) -> Flow {
        let Some(method) = self.schema.method(call.service, call.method) else {
            self.unknown(clients, ticket, call);
            return GO_ON;
        };
        let refuses_unknown =
            self.has(faults::REFUSES_UNKNOWN_FIELDS) && has_unknown(self.schema, method, call.payload);
        let strict = self.family.strictness;
        let is_bad = refuses_unknown || is_refused(self.schema, method, call.payload, strict);
        if is_bad && !self.has(faults::BAD_PAYLOAD_SUCCEEDS) {
            self.bad_payload(clients, ticket);
            return GO_ON;
        }
        if let Some(outcome) = self.service.unsupported(method) {
            self.says(clients, ticket, outcome);
            return GO_ON;
        }
        let client = clients.get_mut(ticket.0).filter(|_| self.switches.has(faults::LOSES_PIPELINED));
        if let Some(client) = client {
            client.unread = Unread::default();
        }
        let mut replies = Replies::default();
        self.service.call(ticket, call, &mut replies);
        for (ticket, outcome) in replies.said {
            self.says(clients, ticket, outcome);
        }
        replies.exit.map_or(GO_ON, Flow::Break)
    }

    fn unknown(&mut self, clients: &mut All, ticket: Ticket, call: &Call<'_>) {
        let knows_service = self.schema.service(call.service).is_some();
        let code = if knows_service { self.family.unknown_method } else { self.family.unknown_service };
        let message = self.service.unknown(call);
        if self.has(faults::UNKNOWN_SUCCEEDS) {
            self.says(clients, ticket, Outcome::empty());
        } else if self.has(faults::UNKNOWN_IS_INVALID) {
            self.fails(clients, ticket, code::INVALID_ARGUMENT, &message);
        } else if !self.has(faults::UNKNOWN_IS_SILENT) {
            self.fails(clients, ticket, code, &message);
        }
        let (peer, client) = (ticket.0, clients.get_mut(ticket.0));
        if let Some(client) = client.filter(|_| self.switches.has(faults::DOES_NOT_DRAIN)) {
            client.unread.put_back(&Bytes::copy_from_slice(call.payload));
        }
        if self.has(faults::CLOSES_AFTER_REFUSAL) {
            clients.end(peer);
        }
    }

    fn bad_payload(&mut self, clients: &mut All, ticket: Ticket) {
        match self.family.bad_payload {
            _ if self.has(faults::BAD_PAYLOAD_IS_SILENT) => {}
            _ if self.has(faults::BAD_PAYLOAD_CLOSES) => clients.end(ticket.0),
            BadPayloadGets::Refusal(code) => self.fails(clients, ticket, code, "argument cannot be decoded"),
            BadPayloadGets::Silence => {}
            BadPayloadGets::Close => clients.end(ticket.0),
        }
    }

    fn fails(&self, clients: &mut All, ticket: Ticket, code: i64, message: &str) {
        self.says(clients, ticket, Outcome::failure(code, message));
    }

    fn says(&self, clients: &mut All, (peer, stream): Ticket, outcome: Outcome) {
        let stream = if self.has(faults::OTHER_STREAM) { stream.wrapping_add(2) } else { stream };
        let frame = match outcome {
            Outcome::Result(_) if self.has(faults::ANSWERS_ABOVE_LIMIT) => above_limit(stream),
            Outcome::Result(payload) => envelope::success(stream, self.spelling(), &payload),
            Outcome::Failure(code, message)
                if self.has(faults::LOSES_CODE) && code == code::INVALID_ARGUMENT =>
            {
                let passed_on =
                    format!("rpc status: Status {{ code: INVALID_ARGUMENT, message: {message:?} }}");
                envelope::failure(stream, code::INTERNAL, &passed_on)
            }
            Outcome::Failure(code, message) => envelope::failure(stream, code, &message),
        };
        if self.has(faults::ANSWERS_TWICE) {
            clients.push(peer, frame.clone());
        }
        clients.push(peer, frame);
    }

    fn spelling(&self) -> Success {
        self.family.success
    }
}

/// An answer that is one byte longer than the limit. Whoever reads its body as messages finds a result there that says nothing.
fn above_limit(stream: u32) -> Bytes {
    let bait = envelope::success(stream, Success::Bare, b"");
    let rest = DATA_MAX as usize + 1 - bait.len() - HEAD_LEN;
    let unknown = Header { stream: 0, kind: MessageType(0), flags: Flags(0) }.message(&vec![0; rest]);
    let answer = Header { stream, kind: MessageType::RESPONSE, flags: Flags(0) };
    answer.message(&[bait, unknown].concat())
}

/// Whether an argument has a field at its top that its message has not.
fn has_unknown(schema: &Schema, method: &Method, payload: &[u8]) -> bool {
    let Some(message) = schema.message(&method.request) else { return false };
    wire::protobuf::Walk::new(payload).flatten().any(|field| message.field(field.number).is_none())
}

/// Whether a decoder that is so strict refuses an argument. What is behind its limit of messages it takes.
fn is_refused(schema: &Schema, method: &Method, payload: &[u8], strict: Strictness) -> bool {
    let Some(message) = schema.message(&method.request) else { return false };
    look_through(schema, message, payload, strict, |_, look| look.is_refused().then_some(())).is_some()
}
