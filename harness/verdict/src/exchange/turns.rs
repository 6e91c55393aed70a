//! Which frames of HTTP/1.1 belong together.
//!
//! ```text
//! c2s  HEAD       Opens             s2c  INTERIM    Part of the request in front
//! c2s  PIECE      Part              s2c  RESPONSE   Completes the request in front
//! c2s  BODY       Part, also late   s2c  SWITCH     Part, and nothing else completes it but
//! c2s  RAW        Part              s2c  RAW        Part            the end of this side
//! ```

use wire::http1::{BODY, CHUNKED, HEAD, INTERIM, PIECE, RESPONSE, SWITCH, WHOLE};
use wire::{Direction, Frame};

use super::{ExchangeId, Pairing, Place, Queue};
use crate::grammar::{Grammar, Meaning};

/// The pairing of protocols over [`wire::http1`]. Answers come in turn, and perhaps before all of their request. An exchange
/// that leaves HTTP has the rest of its connection, and succeeds with the end of what the server says.
pub struct Turns<G> {
    grammar: G,
    waiting: Queue,
    /// The request whose body is under way.
    sending: Option<ExchangeId>,
    /// The exchange that has left HTTP.
    raw: Option<ExchangeId>,
}

impl<G: Grammar> Turns<G> {
    /// Nothing was asked yet.
    #[must_use]
    pub fn new(grammar: G) -> Self {
        Self { grammar, waiting: Queue::default(), sending: None, raw: None }
    }

    fn said_by_client(&mut self, frame: &Frame, fresh: Option<ExchangeId>) -> Place {
        let of = match frame.kind {
            HEAD | WHOLE => {
                let due = self.grammar.due(frame);
                self.waiting.ask(due, frame, fresh);
                self.sending = fresh.filter(|_| frame.kind == HEAD);
                return Place::Opens(due);
            }
            PIECE => self.sending,
            BODY | CHUNKED => self.sending.take(),
            _ => self.raw,
        };
        of.map_or(Place::Unasked, Place::Part)
    }

    fn said_by_server(&mut self, frame: &Frame) -> Place {
        let front = self.waiting.front();
        let of = match frame.kind {
            INTERIM => front.map(|(id, _)| id),
            RESPONSE | SWITCH => {
                let meaning = self.grammar.meaning(front.map(|(_, request)| request), frame);
                let Some(id) = self.waiting.answer() else { return Place::Stray(meaning) };
                if frame.kind == RESPONSE {
                    return Place::Completes(id, meaning);
                }
                self.raw = Some(id);
                self.raw
            }
            _ => self.raw,
        };
        of.map_or(Place::Unasked, Place::Part)
    }
}

impl<G: Grammar> Pairing for Turns<G> {
    fn place(&mut self, dir: Direction, frame: &Frame, fresh: Option<ExchangeId>) -> Place {
        match dir {
            Direction::ToServer => self.said_by_client(frame, fresh),
            Direction::ToClient => self.said_by_server(frame),
        }
    }

    fn ended(&mut self, dir: Direction) -> Vec<(ExchangeId, Meaning)> {
        // What the client still says is a late part of it.
        let raw = self.raw.filter(|_| dir == Direction::ToClient);
        raw.into_iter().map(|id| (id, Meaning::Success)).collect()
    }
}
