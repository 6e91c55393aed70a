//! Which frames belong together: one machine for everybody who asks. Either side may ask, an answer may have any number
//! of frames, and may end only with its stream.
//!
//! ```text
//! c2s  request  ──▶  Opens(One)            open: 1
//! s2c  event    ──▶  Unasked               open: 1
//! s2c  head     ──▶  Part(1)               open: 1
//! s2c  the rest ──▶  Completes(1, Success) open: -
//! s2c  reply    ──▶  Stray(Success)        nobody asked
//! ```
//!
//! [`Exchanges`] frames the bytes of both directions and keeps what is open; the [`Pairing`] of a protocol says where a
//! frame belongs. A frame is read once, when it comes; what is remembered of a request is up to the pairing.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use wire::{DecodeError, Decoder, Direction, Frame, Unread};

use crate::grammar::{ConnContext, Due, Grammar, Meaning};

mod turns;

pub use turns::Turns;

/// Most exchanges that are open on one connection. A request beyond that is a frame like any other, and what answers
/// it answers nothing.
pub const OPEN_MAX: usize = 4096;

/// The number of an exchange on its connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ExchangeId(pub u64);

/// Where a frame belongs among the exchanges of its connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// It opens an exchange; one that is due nothing ends at once.
    Opens(Due),
    /// More of one that goes on, from either side.
    Part(ExchangeId),
    /// The last frame of one, and what that means.
    Completes(ExchangeId, Meaning),
    /// Said by itself, e.g. an event.
    Unasked,
    /// An answer to nothing that is open, and what it would mean.
    Stray(Meaning),
}

/// How the frames of a protocol belong together, on one connection.
pub trait Pairing: Send {
    /// Where the next frame belongs. If it opens an exchange, that has the number `fresh`; without one there are too many
    /// open, and nothing of the frame is to be remembered.
    fn place(&mut self, dir: Direction, frame: &Frame, fresh: Option<ExchangeId>) -> Place;

    /// The open exchanges that are complete with the end of a direction, e.g. because their last part reaches to it.
    fn ended(&mut self, _dir: Direction) -> Vec<(ExchangeId, Meaning)> {
        Vec::new()
    }
}

/// A frame in its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placed {
    /// Which way it went.
    pub dir: Direction,
    /// The frame.
    pub frame: Frame,
    /// Its place. What would complete an exchange that is not open is [`Place::Stray`].
    pub place: Place,
    /// The exchange that it opens, goes on with or completes; also one that is complete already, of which this is a
    /// late part.
    pub exchange: Option<ExchangeId>,
    /// What it answers: the message that opened that exchange, or, to the side that opened it, what was last said to it.
    pub answers: Option<Frame>,
}

/// What the end of a direction came to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ended {
    /// Frames that only the end completes, and those of the other side that waited for them.
    pub frames: Vec<Placed>,
    /// Exchanges that it completes; each was open.
    pub completed: Vec<(ExchangeId, Meaning)>,
    /// Bytes that are in no frame.
    pub tail: usize,
    /// What those bytes lack.
    pub truncated: Option<DecodeError>,
}

/// Both directions of one connection, frame by frame.
pub struct Exchanges {
    to_server: Side,
    to_client: Side,
    pairing: Box<dyn Pairing>,
    open: BTreeMap<ExchangeId, Open>,
    next: u64,
}

struct Side {
    decoder: Box<dyn Decoder>,
    unread: Unread,
    /// Something went the other way since this side was last asked for a frame.
    heard: bool,
}

/// An exchange that is open.
struct Open {
    asked: Direction,
    request: Frame,
    /// What the side said last that did not open it.
    answered: Option<Frame>,
}

impl Exchanges {
    /// A connection on which nothing was said yet.
    #[must_use]
    pub fn new(grammar: &dyn Grammar, conn: &ConnContext) -> Self {
        let side =
            |dir| Side { decoder: grammar.decoder(dir, conn), unread: Unread::default(), heard: false };
        Self {
            to_server: side(Direction::ToServer),
            to_client: side(Direction::ToClient),
            pairing: grammar.pairing(),
            open: BTreeMap::new(),
            next: 0,
        }
    }

    /// Adds what one side said next.
    pub fn push(&mut self, dir: Direction, bytes: &Bytes) {
        self.side(dir).unread.push(bytes);
    }

    /// The next frame: one of the other direction that waited for what went in this one, e.g. for the answer that says
    /// what is behind a request; or else one of this direction, if it is complete.
    ///
    /// # Errors
    /// This direction cannot be framed from here on; the same error comes again.
    pub fn next(&mut self, dir: Direction) -> Result<Option<Placed>, DecodeError> {
        let other = dir.reversed();
        // What is wrong with the other direction is said when that is asked for.
        if std::mem::take(&mut self.side(other).heard)
            && let Ok(Some(frame)) = self.side(other).next()
        {
            self.side(other).heard = true;
            return Ok(Some(self.place(other, frame)));
        }
        Ok(self.side(dir).next()?.map(|frame| self.place(dir, frame)))
    }

    /// One side says no more.
    pub fn end(&mut self, dir: Direction) -> Ended {
        let mut ended = Ended::default();
        loop {
            let Side { decoder, unread, .. } = self.side(dir);
            match unread.end(&mut **decoder) {
                Ok(Some(frame)) => {
                    ended.frames.push(self.place(dir, frame));
                    while let Ok(Some(freed)) = self.next(dir.reversed()) {
                        ended.frames.push(freed);
                    }
                }
                Ok(None) => break,
                Err(error) => {
                    ended.truncated = Some(error);
                    break;
                }
            }
        }
        ended.tail = self.unread(dir);
        ended.completed = self.pairing.ended(dir);
        ended.completed.retain(|(id, _)| self.open.remove(id).is_some());
        ended
    }

    /// Bytes of a direction that are in no frame yet.
    #[must_use]
    pub fn unread(&self, dir: Direction) -> usize {
        match dir {
            Direction::ToServer => self.to_server.unread.len(),
            Direction::ToClient => self.to_client.unread.len(),
        }
    }

    fn side(&mut self, dir: Direction) -> &mut Side {
        match dir {
            Direction::ToServer => &mut self.to_server,
            Direction::ToClient => &mut self.to_client,
        }
    }

    fn place(&mut self, dir: Direction, frame: Frame) -> Placed {
        self.side(dir.reversed()).hear(&frame);
        let fresh = (self.open.len() < OPEN_MAX).then_some(ExchangeId(self.next));
        let mut place = self.pairing.place(dir, &frame, fresh);
        let mut answers = None;
        let exchange = match place {
            Place::Opens(Due::None) | Place::Unasked | Place::Stray(_) => None,
            Place::Opens(_) => self.open(dir, &frame, fresh),
            Place::Part(id) => {
                answers = self.open.get_mut(&id).and_then(|open| open.said(dir, &frame));
                Some(id)
            }
            Place::Completes(id, meaning) => match self.open.remove(&id) {
                Some(mut open) => {
                    answers = open.said(dir, &frame);
                    Some(id)
                }
                None => {
                    place = Place::Stray(meaning);
                    None
                }
            },
        };
        Placed { dir, frame, place, exchange, answers }
    }

    fn open(&mut self, dir: Direction, frame: &Frame, fresh: Option<ExchangeId>) -> Option<ExchangeId> {
        let id = fresh?;
        self.open.insert(id, Open { asked: dir, request: frame.clone(), answered: None });
        self.next += 1;
        Some(id)
    }
}

impl Side {
    fn next(&mut self) -> Result<Option<Frame>, DecodeError> {
        self.unread.next(&mut *self.decoder)
    }

    /// The other side said that.
    fn hear(&mut self, other: &Frame) {
        self.decoder.note_other(other);
        self.unread.ask_again();
        self.heard = !self.unread.is_empty();
    }
}

impl Open {
    /// Adds what a side says, and returns what that answers.
    fn said(&mut self, dir: Direction, frame: &Frame) -> Option<Frame> {
        if dir == self.asked {
            return self.answered.clone();
        }
        self.answered = Some(frame.clone());
        Some(self.request.clone())
    }
}

/// The pairing of protocols whose servers answer one request after the other, with one frame each.
pub struct InOrder<G> {
    grammar: G,
    waiting: Queue,
}

impl<G: Grammar> InOrder<G> {
    /// Nothing waits yet.
    #[must_use]
    pub fn new(grammar: G) -> Self {
        Self { grammar, waiting: Queue::default() }
    }
}

impl<G: Grammar> Pairing for InOrder<G> {
    fn place(&mut self, dir: Direction, frame: &Frame, fresh: Option<ExchangeId>) -> Place {
        if dir == Direction::ToServer {
            let due = self.grammar.due(frame);
            self.waiting.ask(due, frame, fresh);
            return Place::Opens(due);
        }
        match self.grammar.meaning(self.waiting.front().map(|(_, request)| request), frame) {
            Meaning::Notification => Place::Unasked,
            meaning => match self.waiting.answer() {
                Some(id) => Place::Completes(id, meaning),
                None => Place::Stray(meaning),
            },
        }
    }
}

/// Requests whose answers come in turn.
#[derive(Default)]
struct Queue(VecDeque<Waiting>);

/// What an answer may be to, in order.
enum Waiting {
    /// A request that is remembered.
    For(ExchangeId, Frame),
    /// That many in a row for which there was no room. Their answers are answers to nothing that is open.
    PassedOver(u64),
}

impl Queue {
    fn ask(&mut self, due: Due, frame: &Frame, fresh: Option<ExchangeId>) {
        match (fresh, self.0.back_mut()) {
            _ if due == Due::None => {}
            (Some(id), _) => self.0.push_back(Waiting::For(id, frame.clone())),
            (None, Some(Waiting::PassedOver(count))) => *count += 1,
            (None, _) => self.0.push_back(Waiting::PassedOver(1)),
        }
    }

    /// Whose turn it is, if it is remembered.
    fn front(&self) -> Option<(ExchangeId, &Frame)> {
        match self.0.front() {
            Some(Waiting::For(id, request)) => Some((*id, request)),
            _ => None,
        }
    }

    /// Whose turn it was; `None` where nobody asked, or nobody who is remembered.
    fn answer(&mut self) -> Option<ExchangeId> {
        if let Some(Waiting::PassedOver(count @ 2..)) = self.0.front_mut() {
            *count -= 1;
            return None;
        }
        match self.0.pop_front()? {
            Waiting::For(id, _) => Some(id),
            Waiting::PassedOver(_) => None,
        }
    }
}

#[cfg(test)]
mod tests;
