//! A small client: calls with answers that are matched by their serial, events that come in between, and
//! streams. The reference clients and our own second connection are made of it.
//!
//! What it makes of bad answers is what the library of 7.0.0 to 12.8.0 was measured to make of them:
//!
//! ```text
//! wrong serial, program or version; no message type    drops the connection
//! wrong procedure, unknown status                      an error, the connection goes on
//! an error that cannot be read                         an error, the connection goes on
//! an event                                             kept; a wait for an answer goes on
//! a part of a stream before the answer to its call     kept; 7.0.0 sends such once in a hundred
//! a sign of life                                       answered
//! ```

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::time::Duration;

use bytes::Bytes;
use protocol::reference::call::{Caller, End, Trace};
use session::Address;
use wire::libvirt_rpc::{HEAD_LEN, Header, MESSAGE, MessageDecoder, MessageType, Status};
use wire::xdr::{Reader, Writer};

use super::names::{UNKNOWN_PROCEDURE_TEXT, VERSION};
use super::names::{error, error_domain, error_level, keepalive, program};
use super::values;

/// How long a connection may take to be made, and bytes to be taken.
const CONNECT_DEADLINE: Duration = Duration::from_secs(2);
/// How long one wait for bytes is where nobody set a bound: until somebody else ends it.
const FOR_EVER: Duration = Duration::from_secs(3600);

/// Why a call came to nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Failure {
    /// The server says so.
    Refused(Refusal),
    /// The answer cannot be read, or is one to something else; the connection goes on.
    Unreadable(String),
    /// The connection is gone.
    Lost(String),
}

impl Failure {
    /// Whether the server said so, and in a way that makes clients try an older call.
    pub(super) fn is_not_supported(&self) -> bool {
        matches!(self, Self::Refused(refusal) if refusal.is_not_supported())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(refusal) => f.write_str(&refusal.text),
            Self::Unreadable(what) | Self::Lost(what) => f.write_str(what),
        }
    }
}

/// What the server said of a failure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) code: i32,
    pub(super) domain: i32,
    pub(super) level: i32,
    /// The text; what is not UTF-8 in it is replaced, behind the first bytes it tells nothing.
    pub(super) text: String,
}

impl Refusal {
    /// Reads the front of an error; `None` where it cannot be read.
    fn read(payload: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(payload);
        let (_, code) = reader.i32().ok()?;
        let (_, domain) = reader.i32().ok()?;
        let text = values::optional_text_of(&mut reader).ok()?;
        let (_, level) = reader.i32().ok()?;
        Some(Self { code, domain, level, text: text.unwrap_or_default() })
    }

    /// The rule of `libvirt/libvirt@v11.3.0:src/rpc/virnetclientprogram.c`: only such an error becomes "not
    /// supported" in a client, and only by its text.
    fn is_unknown_procedure(&self) -> bool {
        self.code == error::RPC
            && matches!(self.domain, error_domain::RPC | error_domain::REMOTE)
            && self.level == error_level::ERROR
            && self.text.starts_with(UNKNOWN_PROCEDURE_TEXT)
    }

    /// Whether a client takes its fallback.
    pub(super) fn is_not_supported(&self) -> bool {
        self.code == error::NO_SUPPORT || self.is_unknown_procedure()
    }
}

/// Where a client differs from one that is right. All are off unless a defect switches one on.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Habits {
    /// An answer is looked for under the serial of the next call.
    pub(super) expects_next_serial: bool,
    /// An answer that says of a failure is no answer.
    pub(super) ignores_errors: bool,
    /// How long it waits for an answer; for ever if that is not bounded.
    pub(super) patience: Option<Duration>,
}

/// A client's end of a connection.
pub(super) struct Rpc {
    caller: Caller,
    decoder: MessageDecoder,
    serial: u32,
    habits: Habits,
    events: VecDeque<Message>,
    /// Parts of a stream that came before the answer to the call that began it.
    early: VecDeque<Message>,
    lost: bool,
}

/// One message of the server.
#[derive(Debug, Clone)]
pub(super) struct Message {
    pub(super) header: Header,
    pub(super) payload: Bytes,
}

impl Rpc {
    /// Connects. With a trace, everything that passes is written down.
    pub(super) async fn connect(address: &Address, trace: Trace, habits: Habits) -> io::Result<Self> {
        Ok(Self::over(Caller::connect(address, trace, CONNECT_DEADLINE).await?, habits))
    }

    fn over(caller: Caller, habits: Habits) -> Self {
        Self {
            caller,
            decoder: MessageDecoder::new(),
            serial: 0,
            habits,
            events: VecDeque::new(),
            early: VecDeque::new(),
            lost: false,
        }
    }

    /// Calls a procedure of program `remote` and waits for its answer.
    pub(super) async fn call(&mut self, procedure: i32, arguments: Writer) -> Result<Bytes, Failure> {
        self.call_and_keep_serial(procedure, arguments).await.map(|(_, result)| result)
    }

    /// The same; gives the serial too, under which a stream goes on.
    pub(super) async fn call_and_keep_serial(
        &mut self,
        procedure: i32,
        arguments: Writer,
    ) -> Result<(u32, Bytes), Failure> {
        let serial = self.serial;
        self.serial = self.serial.wrapping_add(1);
        let call = super::request::header(procedure, serial);
        self.send(call, &arguments.finish()).await?;
        let answer = self.answer_to(call, MessageType::REPLY).await?;
        Ok((serial, answer.payload))
    }

    /// Takes a stream to its end and, if asked to, confirms that.
    pub(super) async fn download(
        &mut self,
        procedure: i32,
        serial: u32,
        confirm: bool,
    ) -> Result<Vec<u8>, Failure> {
        let stream = Header { kind: MessageType::STREAM, ..super::request::header(procedure, serial) };
        let mut whole = Vec::new();
        loop {
            let part = self.answer_to(stream, MessageType::STREAM).await?;
            match part.header.status {
                Status::CONTINUE if part.payload.is_empty() => break,
                Status::CONTINUE => whole.extend_from_slice(&part.payload),
                // The server ended it by itself; nothing is left to confirm.
                _ => return Ok(whole),
            }
        }
        if confirm {
            self.send(stream, &[]).await?;
            self.answer_to(stream, MessageType::STREAM).await?;
        }
        Ok(whole)
    }

    /// The next event of that procedure, or `None` if none comes in time.
    pub(super) async fn event(
        &mut self,
        procedure: i32,
        within: Duration,
    ) -> Result<Option<Message>, Failure> {
        let until = tokio::time::Instant::now() + within;
        loop {
            while let Some(event) = self.events.pop_front() {
                if event.header.procedure == procedure {
                    return Ok(Some(event));
                }
            }
            let Ok(message) = tokio::time::timeout_at(until, self.message(FOR_EVER)).await else {
                return Ok(None);
            };
            let message = message?;
            if !self.is_aside(&message).await? {
                return Err(self.lose("an answer came that nobody waits for"));
            }
        }
    }

    async fn send(&mut self, header: Header, payload: &[u8]) -> Result<(), Failure> {
        if self.lost {
            return Err(Failure::Lost("no valid connection".to_owned()));
        }
        let sent = self.caller.send(header.message(payload), None, CONNECT_DEADLINE).await;
        sent.map_err(|_gone| self.lose("the server takes no more bytes"))
    }

    /// Waits for what belongs to a call or a stream, whatever else comes in between.
    async fn answer_to(&mut self, call: Header, kind: MessageType) -> Result<Message, Failure> {
        let later = u32::from(self.habits.expects_next_serial);
        let call = Header { serial: call.serial.wrapping_add(later), ..call };
        loop {
            let early = if kind == MessageType::STREAM { self.early.pop_front() } else { None };
            let message = match early {
                Some(message) => message,
                None => self.message(self.habits.patience.unwrap_or(FOR_EVER)).await?,
            };
            if self.is_aside(&message).await? {
                continue;
            }
            let header = message.header;
            if kind == MessageType::REPLY
                && header.kind == MessageType::STREAM
                && header.serial == call.serial
            {
                self.early.push_back(message);
                continue;
            }
            match weigh(call, kind, message) {
                Weighed::Mine(message) => return Ok(message),
                Weighed::Failed(_) if self.habits.ignores_errors => {}
                Weighed::Failed(failure) => return Err(failure),
                Weighed::Nobodys(what) => return Err(self.lose(&what)),
            }
        }
    }

    /// Deals with what is no answer: keeps events, answers signs of life.
    async fn is_aside(&mut self, message: &Message) -> Result<bool, Failure> {
        let header = message.header;
        if header.kind != MessageType::MESSAGE {
            return Ok(false);
        }
        if header.program == program::KEEPALIVE {
            if header.procedure == keepalive::PING {
                self.send(Header { procedure: keepalive::PONG, ..header }, &[]).await?;
            }
        } else {
            self.events.push_back(message.clone());
        }
        Ok(true)
    }

    /// The next message, whatever it is.
    async fn message(&mut self, deadline: Duration) -> Result<Message, Failure> {
        loop {
            let what = match self.caller.frame(&mut self.decoder, deadline).await {
                Ok(frame) => match Header::of_frame(&frame).filter(|_| frame.kind == MESSAGE) {
                    Some(header) => return Ok(Message { header, payload: frame.bytes.slice(HEAD_LEN..) }),
                    // A byte that carries a descriptor; no answer that is waited for here has any.
                    None => continue,
                },
                Err(End::Timeout) => "no answer in time",
                Err(End::Eof) => "the server closed the connection",
                Err(End::Reset) => "the server reset the connection",
                Err(End::Unreadable(error)) => &error.to_string(),
            };
            return Err(self.lose(what));
        }
    }

    fn lose(&mut self, what: &str) -> Failure {
        self.lost = true;
        Failure::Lost(what.to_owned())
    }
}

/// What a message is to a call.
enum Weighed {
    /// Its answer.
    Mine(Message),
    /// Its answer, and a bad one.
    Failed(Failure),
    /// Nobody waits for it, which ends the connection.
    Nobodys(String),
}

fn weigh(call: Header, kind: MessageType, message: Message) -> Weighed {
    let header = message.header;
    let is_reply = header.kind.is_reply() || header.kind == MessageType::STREAM;
    if !is_reply {
        return Weighed::Nobodys(format!("a message of type {} came", header.kind));
    }
    if (header.program, header.version, header.serial) != (call.program, VERSION, call.serial) {
        let what = format!(
            "no call waits for a reply of program {} version {} serial {}",
            header.program, header.version, header.serial
        );
        return Weighed::Nobodys(what);
    }
    let unexpected =
        |what: String| Weighed::Failed(Failure::Unreadable(format!("Unexpected message {what}")));
    if header.procedure != call.procedure {
        return unexpected(format!("proc {} != {}", header.procedure, call.procedure));
    }
    match header.status {
        Status::ERROR => Weighed::Failed(match Refusal::read(&message.payload) {
            Some(refusal) => Failure::Refused(refusal),
            None => Failure::Unreadable("Unable to decode message payload".to_owned()),
        }),
        Status::OK if header.kind == kind => Weighed::Mine(message),
        Status::CONTINUE if header.kind == kind && kind == MessageType::STREAM => Weighed::Mine(message),
        Status::OK | Status::CONTINUE => unexpected(format!("type {}", header.kind)),
        Status(other) => unexpected(format!("status {other}")),
    }
}

#[cfg(test)]
mod tests;
