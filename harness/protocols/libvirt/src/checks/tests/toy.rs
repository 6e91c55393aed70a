//! A script played to a few lines of server, by hand: no socket, no clock, one habit that is wrong.

use std::collections::{BTreeMap, VecDeque};

use bytes::{Bytes, BytesMut};
use matrix::CaseId;
use session::{Script, ServerAct, Step};
use transcript::{ConnId, Data, Event, EventKind, Mark, Transcript};
use verdict::{Evidence, Judgement, Reading, judge};
use wire::libvirt_rpc::{Header, MessageDecoder, MessageType, Status};
use wire::xdr::{Reader, Writer};
use wire::{Decoder, Direction};

use crate::names::{error, error_domain, procedures as p, program};
use crate::request::{self, RpcError};
use crate::{DIALECTS, LibvirtGrammar};

/// What a server sends upon one message.
pub(super) type Answers = Vec<Bytes>;

/// A server: what it answers to a message of a connection, and what becomes of it when something happens.
pub(super) trait Server {
    fn answers(&mut self, conn: u32, header: &Header, payload: &[u8]) -> Answers;
    /// A connection is over.
    fn goes(&mut self, _conn: u32) {}
    /// Something happens to the server.
    fn act(&mut self, _act: &ServerAct) {}
    /// Nothing is sent for so long.
    fn waits(&mut self, _ms: u64) {}
}

impl<F: FnMut(u32, &Header, &[u8]) -> Answers> Server for F {
    fn answers(&mut self, conn: u32, header: &Header, payload: &[u8]) -> Answers {
        self(conn, header, payload)
    }
}

/// Plays a script and writes down what happens.
pub(super) fn played(script: &Script, server: &mut dyn Server) -> Transcript {
    let mut table = Table::default();
    for step in &script.steps {
        table.step(step, server);
    }
    Transcript { events: table.events, ..Transcript::default() }
}

/// Judges as the runner does.
pub(super) fn judged(case: &CaseId, transcript: &Transcript) -> Judgement {
    let grammar = LibvirtGrammar::new(DIALECTS.named("ideal").expect("in the table"));
    let reading = Reading::of(transcript, &grammar);
    let evidence = Evidence { case, transcript, reading: &reading, grammar: &grammar, recorded: None };
    let mut checks = verdict::checks::of(case.kind);
    checks.extend(crate::checks::of(case.kind));
    judge(&evidence, &checks, None)
}

#[derive(Default)]
struct Table {
    events: Vec<Event>,
    /// What the server has sent and nobody has read.
    waiting: BTreeMap<ConnId, VecDeque<Bytes>>,
}

impl Table {
    fn event(&mut self, conn: ConnId, dir: Direction, kind: EventKind) {
        self.events.push(Event { at_us: self.events.len() as u64, conn, dir, kind });
    }

    fn mark(&mut self, conn: ConnId, mark: Mark) {
        self.event(conn, Direction::ToServer, EventKind::Mark(mark));
    }

    fn step(&mut self, step: &Step, server: &mut dyn Server) {
        match step {
            Step::Connect(conn) => {
                self.waiting.insert(*conn, VecDeque::new());
                self.event(*conn, Direction::ToServer, EventKind::Connect);
            }
            Step::Mark(conn, mark) => self.mark(*conn, mark.clone()),
            Step::Send { conn, payload, .. } => {
                self.send(*conn, payload.fixed().expect("its scripts quote nothing"), server);
            }
            Step::AwaitReply { conn, deadline_ms } | Step::AwaitAnswers { conn, deadline_ms } => {
                if !self.take(*conn) && self.waiting.contains_key(conn) {
                    self.event(*conn, Direction::ToClient, EventKind::Timeout(*deadline_ms));
                }
            }
            Step::AwaitQuiet { conn, quiet_ms } => {
                while self.take(*conn) {}
                if self.waiting.contains_key(conn) {
                    self.event(*conn, Direction::ToClient, EventKind::Timeout(*quiet_ms));
                }
            }
            Step::Close(conn) => {
                if self.waiting.remove(conn).is_some() {
                    server.goes(conn.0);
                    self.event(*conn, Direction::ToServer, EventKind::Eof(Some("closes".to_owned())));
                }
            }
            Step::Server(act) => {
                self.mark(ConnId(0), act.mark());
                server.act(act);
            }
            Step::Watch => {
                for (key, value) in [("alive", "yes"), ("fds", "9"), ("rss_kib", "100")] {
                    let kind = EventKind::Observe { key: key.to_owned(), value: value.to_owned() };
                    self.event(ConnId(0), Direction::ToClient, kind);
                }
            }
            Step::Pause { ms } => server.waits(*ms),
            Step::Capture(..) | Step::HalfClose(_) | Step::Client(_) | Step::Inject(_) | Step::Release => {}
        }
    }

    fn send(&mut self, conn: ConnId, bytes: &Bytes, server: &mut dyn Server) {
        self.event(conn, Direction::ToServer, data(bytes.clone()));
        let mut decoder = MessageDecoder::towards(Direction::ToServer);
        let mut bytes = BytesMut::from(&bytes[..]);
        while let Ok(Some(frame)) = decoder.decode(&mut bytes) {
            let header = Header::of_frame(&frame).expect("these scripts send messages");
            for answer in server.answers(conn.0, &header, frame.payload()) {
                // Events go to whoever registered.
                let event = Header::read(&answer).is_some_and(|header| is_event(&header));
                let to = if event { ConnId(2) } else { conn };
                self.waiting.entry(to).or_default().push_back(answer);
            }
        }
    }

    fn take(&mut self, conn: ConnId) -> bool {
        let Some(bytes) = self.waiting.get_mut(&conn).and_then(VecDeque::pop_front) else { return false };
        self.event(conn, Direction::ToClient, data(bytes));
        true
    }
}

fn is_event(header: &Header) -> bool {
    header.kind == MessageType::MESSAGE && header.program == program::REMOTE
}

fn data(bytes: Bytes) -> EventKind {
    EventKind::Data(Data { bytes, fds: Vec::new(), creds: None })
}

/// A failure with that code, domain and text.
pub(super) fn fails(header: &Header, code: i32, domain: i32, text: &str) -> Answers {
    vec![request::failure(header, &RpcError::new(code, domain, text, "%s", None))]
}

/// A good answer.
pub(super) fn answers(header: &Header, result: Writer) -> Answers {
    vec![request::reply(header, result)]
}

/// What every server answers that has no habits: the driver's type, its version, its features.
pub(super) fn plain(header: &Header, payload: &[u8]) -> Answers {
    if header.program != program::REMOTE {
        return fails(header, error::RPC, error_domain::RPC, "Cannot find program 1 version 1");
    }
    match header.procedure {
        p::CONNECT_OPEN | p::DOMAIN_SUSPEND | p::DOMAIN_RESUME => answers(header, Writer::new()),
        p::CONNECT_REGISTER_CLOSE_CALLBACK | p::CONNECT_UNREGISTER_CLOSE_CALLBACK => {
            answers(header, Writer::new())
        }
        p::CONNECT_GET_TYPE => answers(header, Writer::new().opaque(b"TEST")),
        p::CONNECT_GET_LIB_VERSION => answers(header, Writer::new().u64(12_008_000)),
        p::AUTH_LIST => answers(header, Writer::new().u32(1).i32(0)),
        p::CONNECT_DOMAIN_EVENT_CALLBACK_REGISTER_ANY => answers(header, Writer::new().i32(0)),
        p::CONNECT_SUPPORTS_FEATURE => {
            let feature = Reader::new(payload).i32().map_or(0, |(_, feature)| feature);
            answers(header, Writer::new().i32(i32::from([8, 9, 10, 14, 15, 16].contains(&feature))))
        }
        number => {
            let text = format!("unknown procedure: {number}");
            fails(header, error::RPC, error_domain::RPC, &text)
        }
    }
}

/// A part of a stream.
pub(super) fn stream(header: &Header, status: Status, bytes: &[u8]) -> Bytes {
    Header { kind: MessageType::STREAM, status, ..*header }.message(bytes)
}
