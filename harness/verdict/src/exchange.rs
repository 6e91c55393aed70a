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
    /// The frame.
    pub frame: Frame,
    /// Its place.
    pub place: Place,
    /// The exchange that it opens, goes on with or completes.
    pub exchange: Option<ExchangeId>,
    /// What the other side said last in that exchange.
    pub answers: Option<Frame>,
}

/// What the end of a direction came to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ended {
    /// Frames that only the end completes.
    pub frames: Vec<Placed>,
    /// Exchanges that it completes.
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
}

/// What each side said last in an exchange that is open.
#[derive(Default)]
struct Open {
    by_client: Option<Frame>,
    by_server: Option<Frame>,
}

impl Open {
    fn said_by(&mut self, dir: Direction) -> &mut Option<Frame> {
        match dir {
            Direction::ToServer => &mut self.by_client,
            Direction::ToClient => &mut self.by_server,
        }
    }
}

impl Exchanges {
    /// A connection on which nothing was said yet.
    #[must_use]
    pub fn new(grammar: &dyn Grammar, conn: &ConnContext) -> Self {
        let side = |dir| Side { decoder: grammar.decoder(dir, conn), unread: Unread::default() };
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

    /// The next frame of a direction, if it is complete.
    ///
    /// # Errors
    /// The direction cannot be framed from here on; the same error comes again.
    pub fn next(&mut self, dir: Direction) -> Result<Option<Placed>, DecodeError> {
        let Side { decoder, unread } = self.side(dir);
        Ok(unread.next(&mut **decoder)?.map(|frame| self.place(dir, frame)))
    }

    /// One side says no more.
    pub fn end(&mut self, dir: Direction) -> Ended {
        let mut ended = Ended::default();
        loop {
            let Side { decoder, unread } = self.side(dir);
            match unread.end(&mut **decoder) {
                Ok(Some(frame)) => ended.frames.push(self.place(dir, frame)),
                Ok(None) => break,
                Err(error) => {
                    ended.truncated = Some(error);
                    break;
                }
            }
        }
        ended.tail = self.side(dir).unread.len();
        ended.completed = self.pairing.ended(dir);
        for (id, _) in &ended.completed {
            self.open.remove(id);
        }
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
        self.side(dir.reversed()).decoder.note_other(&frame);
        let fresh = (self.open.len() < OPEN_MAX).then_some(ExchangeId(self.next));
        let place = self.pairing.place(dir, &frame, fresh);
        let (exchange, answers) = match place {
            Place::Opens(Due::None) | Place::Unasked | Place::Stray(_) => (None, None),
            Place::Opens(_) => (self.open(dir, &frame, fresh), None),
            Place::Part(id) => {
                let open = self.open.entry(id).or_default();
                *open.said_by(dir) = Some(frame.clone());
                (Some(id), open.said_by(dir.reversed()).clone())
            }
            Place::Completes(id, _) => {
                let mut open = self.open.remove(&id).unwrap_or_default();
                (Some(id), open.said_by(dir.reversed()).take())
            }
        };
        Placed { frame, place, exchange, answers }
    }

    fn open(&mut self, dir: Direction, frame: &Frame, fresh: Option<ExchangeId>) -> Option<ExchangeId> {
        let id = fresh?;
        let mut open = Open::default();
        *open.said_by(dir) = Some(frame.clone());
        self.open.insert(id, open);
        self.next += 1;
        Some(id)
    }
}

/// The pairing of protocols whose servers answer one request after the other, with one frame each.
pub struct InOrder<G> {
    grammar: G,
    waiting: VecDeque<(ExchangeId, Frame)>,
}

impl<G: Grammar> InOrder<G> {
    /// Nothing waits yet.
    #[must_use]
    pub fn new(grammar: G) -> Self {
        Self { grammar, waiting: VecDeque::new() }
    }
}

impl<G: Grammar> Pairing for InOrder<G> {
    fn place(&mut self, dir: Direction, frame: &Frame, fresh: Option<ExchangeId>) -> Place {
        if dir == Direction::ToServer {
            let due = self.grammar.due(frame);
            self.waiting.extend(fresh.filter(|_| due != Due::None).map(|id| (id, frame.clone())));
            return Place::Opens(due);
        }
        let request = self.waiting.front().map(|(_, request)| request);
        match self.grammar.meaning(request, frame) {
            Meaning::Notification => Place::Unasked,
            meaning => match self.waiting.pop_front() {
                Some((id, _)) => Place::Completes(id, meaning),
                None => Place::Stray(meaning),
            },
        }
    }
}
