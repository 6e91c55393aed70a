//! Which messages belong together: by the serial of a call, whatever the order in which answers come.
//!
//! ```text
//! client                    server
//! CALL 7                                          opens a
//!                           CALL 8 … REPLY 7 OK   completes a
//!                           STREAM 7 CONTINUE     opens b, the stream of that call; either side may begin
//! STREAM 7 OK                                     a part of b: the client takes no more
//!                           STREAM 7 OK           completes b
//!                           PING                  opens c, asked by the server
//! PONG                                            completes c
//! ```
//!
//! An answer carries the serial of its call. Program, version and procedure are echoed too, but a server that gets them
//! wrong still means this call: the dissection says what is wrong. The end of a stream that never was may be answered, too.

use std::collections::{BTreeSet, HashMap, VecDeque};

use verdict::exchange::OPEN_MAX;
use verdict::{Due, ExchangeId, Grammar, Meaning, Pairing, Place};
use wire::libvirt_rpc::{Header, MessageType, Status};
use wire::{Direction, Frame};

use super::{LibvirtGrammar, ends_stream, is_ping, is_pong};

/// The exchanges of a connection that are open.
pub(super) struct Calls {
    grammar: LibvirtGrammar,
    /// By kind and serial; several may have one serial.
    waiting: HashMap<(Waits, u32), VecDeque<ExchangeId>>,
    /// The streams that are open, by the serial of their call.
    streams: HashMap<u32, ExchangeId>,
    /// Serials of calls that were carried out, the newest ones: a stream may follow.
    carried_out: BTreeSet<u32>,
}

/// What is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Waits {
    /// The reply to a call.
    Reply,
    /// The answer to the end of a stream that nobody knows.
    End,
    /// A sign of life, from that side.
    Pong(Direction),
}

impl Calls {
    pub(super) fn new(grammar: LibvirtGrammar) -> Self {
        Self { grammar, waiting: HashMap::new(), streams: HashMap::new(), carried_out: BTreeSet::new() }
    }

    fn opens(&mut self, waits: Waits, serial: u32, due: Due, fresh: Option<ExchangeId>) -> Place {
        if let Some(id) = fresh {
            self.waiting.entry((waits, serial)).or_default().push_back(id);
        }
        Place::Opens(due)
    }

    fn completes(&mut self, waits: Waits, serial: u32) -> Option<ExchangeId> {
        let ids = self.waiting.get_mut(&(waits, serial))?;
        let id = ids.pop_front();
        if ids.is_empty() {
            self.waiting.remove(&(waits, serial));
        }
        id
    }

    /// A reply, or one that nobody asked for.
    fn reply(&mut self, header: &Header, frame: &Frame) -> Place {
        // What a reply means does not depend on its call.
        let meaning = self.grammar.meaning(None, frame);
        match self.completes(Waits::Reply, header.serial) {
            Some(id) => {
                if meaning == Meaning::Success {
                    self.carried_out.insert(header.serial);
                    if self.carried_out.len() > OPEN_MAX {
                        self.carried_out.pop_first();
                    }
                }
                Place::Completes(id, meaning)
            }
            None => Place::Stray(meaning),
        }
    }

    fn stream(&mut self, dir: Direction, header: &Header, frame: &Frame, fresh: Option<ExchangeId>) -> Place {
        let serial = header.serial;
        let ends = ends_stream(header);
        if let Some(id) = self.streams.get(&serial).copied() {
            if !ends || dir == Direction::ToServer {
                return Place::Part(id);
            }
            self.streams.remove(&serial);
            return Place::Completes(id, end_meaning(header, frame));
        }
        if ends {
            // What is still under way of it begins no other one.
            self.carried_out.remove(&serial);
        }
        match dir {
            Direction::ToClient if ends => match self.completes(Waits::End, serial) {
                Some(id) => Place::Completes(id, end_meaning(header, frame)),
                None => Place::Unasked,
            },
            Direction::ToServer if ends => self.opens(Waits::End, serial, Due::OnFailure, fresh),
            _ => self.opens_stream(dir, serial, fresh),
        }
    }

    fn opens_stream(&mut self, dir: Direction, serial: u32, fresh: Option<ExchangeId>) -> Place {
        let known = self.carried_out.remove(&serial);
        match fresh.filter(|_| known) {
            Some(id) => {
                self.streams.insert(serial, id);
                Place::Opens(Due::Stream)
            }
            None if dir == Direction::ToServer => Place::Opens(Due::None),
            None => Place::Unasked,
        }
    }
}

impl Pairing for Calls {
    fn place(&mut self, dir: Direction, frame: &Frame, fresh: Option<ExchangeId>) -> Place {
        let from_server = dir == Direction::ToClient;
        let Some(header) = Header::of_frame(frame) else {
            return if from_server { Place::Unasked } else { Place::Opens(Due::None) };
        };
        if is_ping(&header) {
            return self.opens(Waits::Pong(dir.reversed()), 0, Due::One, fresh);
        }
        if is_pong(&header)
            && let Some(id) = self.completes(Waits::Pong(dir), 0)
        {
            return Place::Completes(id, Meaning::Success);
        }
        match header.kind {
            MessageType::STREAM | MessageType::STREAM_HOLE => self.stream(dir, &header, frame, fresh),
            kind if from_server && kind.is_reply() => self.reply(&header, frame),
            kind if !from_server && kind.is_call() => {
                self.opens(Waits::Reply, header.serial, Due::One, fresh)
            }
            _ if from_server => Place::Unasked,
            _ => Place::Opens(Due::None),
        }
    }
}

/// What the end of a stream says of it.
fn end_meaning(header: &Header, frame: &Frame) -> Meaning {
    match header.status {
        Status::ERROR => super::refusal(frame),
        _ => Meaning::Success,
    }
}
