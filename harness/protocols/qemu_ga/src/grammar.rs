//! How a dialect is read: decoders, and what replies mean.
//!
//! Requests are answered strictly in order, one line each. Errors in the syntax answer no request: they are matched to
//! what was no request, and where there is none (5.2 to 10.0 send 1025 of them behind one bracket too many) they are
//! messages that the server sends by itself.

use std::collections::VecDeque;

use verdict::{ConnContext, Due, ExchangeId, Grammar, Meaning, Pairing, Place};
use wire::json::Rules;
use wire::json_lines::{JUNK, Limits, LineDecoder, RESET, VALUE, ValueDecoder};
use wire::{Decoder, Direction, Dissection, Frame};

use super::dialect::{Dialect, Parsing};
use super::message::{self, Body, Reply, Request};
use super::names::{self, COMMAND_NOT_FOUND, GENERIC_ERROR, SYNC_DELIMITED};

/// The longest line that is read from a server: the largest token that a request may hold, written as escapes.
const LINE_MAX: usize = 16 << 20;

/// The reading of one dialect.
#[derive(Debug, Clone, Copy)]
pub(crate) struct QemuGaGrammar {
    dialect: &'static Dialect,
}

impl QemuGaGrammar {
    /// The reading of that dialect.
    pub(crate) fn new(dialect: &'static Dialect) -> Self {
        Self { dialect }
    }
}

impl Dialect {
    /// What a server of the release takes for JSON.
    pub(crate) fn rules(&self) -> Rules {
        Rules { overlong_nul: self.overlong_nul, ..Rules::QEMU }
    }

    /// What it takes for one value, and what it does above a limit.
    pub(crate) fn limits(&self) -> Limits {
        match self.parsing {
            Parsing::WhenClosed => Limits::QEMU,
            Parsing::AtOnce => Limits::QEMU_11,
        }
    }
}

impl QemuGaGrammar {
    /// What a frame asks for, if it is a request.
    fn asked(&self, frame: &Frame) -> Option<Request> {
        Request::of(&frame.bytes, self.dialect.rules()).filter(|_| frame.kind == VALUE)
    }

    fn meaning_of(reply: &Reply, is_asked: bool) -> Meaning {
        let syntax = reply.is_syntax_error();
        match &reply.body {
            _ if syntax && !is_asked => Meaning::Notification,
            Body::Return(_) => Meaning::Success,
            Body::Error { class, .. } if class == COMMAND_NOT_FOUND => Meaning::NotSupported,
            Body::Error { .. } if syntax => Meaning::Refused(names::SYNTAX),
            Body::Error { class, .. } if class == GENERIC_ERROR => Meaning::Refused(names::GENERIC),
            Body::Error { .. } | Body::Unreadable => Meaning::Refused(names::OTHER),
        }
    }
}

impl Request {
    /// Whether a line can be the answer to it.
    fn is_answered_by(&self, reply: &Reply) -> bool {
        match reply.number() {
            _ if reply.is_syntax_error() => false,
            // An error carries the id of its request.
            _ if self.id.is_some() && reply.id.is_none() && matches!(reply.body, Body::Error { .. }) => false,
            // What need not be answered is skipped by what answers the request behind it.
            _ if self.is_silent() => reply.id == self.id,
            // A delimiter where none belongs is a fault of this answer, if it says by other means whose it is.
            number if reply.delimited => {
                self.asks_for(SYNC_DELIMITED)
                    || (number.is_some() && number == self.sync)
                    || (self.id.is_some() && reply.id == self.id)
            }
            // An answer that is late by a client is none to this request.
            number if self.asks_for(SYNC_DELIMITED) => {
                number == self.sync || !matches!(reply.body, Body::Return(_))
            }
            _ => true,
        }
    }
}

/// Answers come in turn: the first request that a line can answer is answered by it.
struct InTurn {
    grammar: QemuGaGrammar,
    /// With what it asks for; nothing for what was no request.
    waiting: VecDeque<(ExchangeId, Option<Request>)>,
}

impl Pairing for InTurn {
    fn place(&mut self, dir: Direction, frame: &Frame, fresh: Option<ExchangeId>) -> Place {
        if dir == Direction::ToServer {
            let due = self.grammar.due(frame);
            let waits = fresh.filter(|_| due != Due::None);
            self.waiting.extend(waits.map(|id| (id, self.grammar.asked(frame))));
            return Place::Opens(due);
        }
        let reply = Reply::of(&frame.bytes);
        let answered = self.waiting.iter().position(|(_, asked)| match asked {
            Some(asked) => asked.is_answered_by(&reply),
            None => reply.is_syntax_error() || matches!(reply.body, Body::Unreadable),
        });
        let meaning = QemuGaGrammar::meaning_of(&reply, answered.is_some());
        match answered.and_then(|at| self.waiting.remove(at)) {
            Some((id, _)) => Place::Completes(id, meaning),
            None if meaning == Meaning::Notification => Place::Unasked,
            None => Place::Stray(meaning),
        }
    }
}

impl Grammar for QemuGaGrammar {
    fn dialect(&self) -> &str {
        self.dialect.name
    }

    fn decoder(&self, dir: Direction, _conn: &ConnContext) -> Box<dyn Decoder> {
        match dir {
            Direction::ToServer => Box::new(ValueDecoder::new(self.dialect.limits())),
            Direction::ToClient => Box::new(LineDecoder::new(LINE_MAX)),
        }
    }

    fn pairing(&self) -> Box<dyn Pairing> {
        Box::new(InTurn { grammar: *self, waiting: VecDeque::new() })
    }

    fn dissect(&self, dir: Direction, frame: &Frame, request: Option<&Frame>) -> Dissection {
        message::dissect(self.dialect.rules(), dir, frame, request)
    }

    /// What is no request gets one error, except from 11.1 where an earlier one has been told already.
    fn due(&self, request: &Frame) -> Due {
        match request.kind {
            JUNK | RESET => Due::OnFailure,
            VALUE if self.asked(request).is_some_and(|asked| asked.is_silent()) => Due::OnFailure,
            VALUE => Due::One,
            _ => Due::None,
        }
    }

    fn meaning(&self, request: Option<&Frame>, reply: &Frame) -> Meaning {
        Self::meaning_of(&Reply::of(&reply.bytes), request.is_some())
    }
}
