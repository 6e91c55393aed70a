//! How a dialect is read: decoders, and what replies mean.
//!
//! Requests are answered strictly in order, one line each. Errors in the syntax answer no request: they are matched to
//! what was no request, and where there is none (5.2 to 10.0 send 1025 of them behind one bracket too many) they are
//! messages that the server sends by itself.

use verdict::{Grammar, Meaning, ReplyDue};
use wire::json::Rules;
use wire::json_lines::{JUNK, Limits, LineDecoder, RESET, VALUE, ValueDecoder};
use wire::{Decoder, Direction, Dissection, Frame};

use super::dialect::{Dialect, Parsing};
use super::message::{self, Body, Reply, Request};
use super::names::{self, COMMAND_NOT_FOUND, GENERIC_ERROR, SILENT, SYNC_DELIMITED};

/// The longest line that is read from a server: the largest token that a request may hold, written as escapes.
const LINE_MAX: usize = 16 << 20;

/// The reading of one dialect.
#[derive(Debug, Clone, Copy)]
pub(crate) struct QemuGaGrammar {
    dialect: &'static Dialect,
}

impl QemuGaGrammar {
    /// The reading of that dialect.
    #[must_use]
    pub(crate) fn new(dialect: &'static Dialect) -> Self {
        Self { dialect }
    }
}

impl Dialect {
    /// What a server of the release takes for JSON.
    #[must_use]
    pub(crate) fn rules(&self) -> Rules {
        Rules { overlong_nul: self.overlong_nul, ..Rules::QEMU }
    }

    /// What it takes for one value, and what it does above a limit.
    #[must_use]
    pub(crate) fn limits(&self) -> Limits {
        match self.parsing {
            Parsing::WhenClosed => Limits::QEMU,
            Parsing::AtOnce => Limits::QEMU_11,
        }
    }
}

impl Grammar for QemuGaGrammar {
    fn dialect(&self) -> &str {
        self.dialect.name
    }

    fn decoder(&self, dir: Direction) -> Box<dyn Decoder> {
        match dir {
            Direction::ToServer => Box::new(ValueDecoder::new(self.dialect.limits())),
            Direction::ToClient => Box::new(LineDecoder::new(LINE_MAX)),
        }
    }

    fn dissect(&self, dir: Direction, frame: &Frame, request: Option<&Frame>) -> Dissection {
        message::dissect(self.dialect.rules(), dir, frame, request)
    }

    /// What is no request gets one error, except from 11.1 where an earlier one has been told already.
    fn reply_due(&self, request: &Frame) -> ReplyDue {
        match request.kind {
            JUNK | RESET => ReplyDue::OnlyOnFailure,
            VALUE => {
                let asked = Request::of(&request.bytes, self.dialect.rules()).and_then(|asked| asked.execute);
                match asked {
                    Some(command) if SILENT.contains(&command.as_str()) => ReplyDue::OnlyOnFailure,
                    _ => ReplyDue::One,
                }
            }
            _ => ReplyDue::None,
        }
    }

    fn answers(&self, request: &Frame, reply: &Frame) -> bool {
        let reply = Reply::of(&reply.bytes);
        let asked = match request.kind {
            VALUE => Request::of(&request.bytes, self.dialect.rules()),
            _ => None,
        };
        let Some(asked) = asked else {
            return reply.is_syntax_error() || matches!(reply.body, Body::Unreadable);
        };
        let delimited = asked.execute.as_deref() == Some(SYNC_DELIMITED);
        let silent = asked.execute.as_deref().is_some_and(|command| SILENT.contains(&command));
        match reply.number() {
            _ if reply.is_syntax_error() => false,
            // An error carries the id of its request.
            _ if asked.id.is_some() && reply.id.is_none() && matches!(reply.body, Body::Error { .. }) => {
                false
            }
            // What need not be answered is skipped by what answers the request behind it.
            _ if silent => reply.id == asked.id,
            // A delimiter where none belongs is a fault of this answer, if it says by other means whose it is.
            number if reply.delimited => {
                delimited
                    || (number.is_some() && number == asked.sync)
                    || (asked.id.is_some() && reply.id == asked.id)
            }
            // An answer that is late by a client is none to this request.
            number if delimited => number == asked.sync || !matches!(reply.body, Body::Return(_)),
            _ => true,
        }
    }

    fn meaning(&self, request: Option<&Frame>, reply: &Frame) -> Meaning {
        let reply = Reply::of(&reply.bytes);
        if request.is_none() && reply.is_syntax_error() {
            return Meaning::Notification;
        }
        let syntax = reply.is_syntax_error();
        match reply.body {
            Body::Return(_) => Meaning::Success,
            Body::Error { class, .. } if class == COMMAND_NOT_FOUND => Meaning::NotSupported,
            Body::Error { .. } if syntax => Meaning::Refused(names::SYNTAX),
            Body::Error { class, .. } if class == GENERIC_ERROR => Meaning::Refused(names::GENERIC),
            Body::Error { .. } | Body::Unreadable => Meaning::Refused(names::OTHER),
        }
    }
}
