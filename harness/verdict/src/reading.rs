//! A transcript read in frames: connections, and on each the steps that its role marks start.
//!
//! ```text
//! transcript   connect  mark(subject)  data c2s  data s2c  mark(canary)  data c2s  eof s2c
//! reading      conn 1 { subject: request, reply }          { canary: request, closed }
//! ```

use std::any::Any;
use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use transcript::evidence::{MuxerFault, Observation, Role};
use transcript::{ConnId, Credentials, EventKind, ExitStatus, FdNote, Mark, Transcript};
use wire::{DecodeError, Direction, Frame};

use crate::exchange::{Ended, ExchangeId, Exchanges, Place, Placed};
use crate::{ConnContext, Due, Grammar, Meaning};

/// A transcript read by one grammar.
#[derive(Debug, Clone, Default)]
pub struct Reading {
    /// Every connection in order of its number.
    pub conns: Vec<ConnReading>,
    /// Every process that ended: index of the event, whose, how.
    pub exits: Vec<(usize, Direction, ExitStatus)>,
    /// What was seen by other means than the wire.
    pub observations: Vec<ObservedAt>,
    /// Connections that could not be made: index of the event, connection, error.
    pub connect_failures: Vec<(usize, ConnId, String)>,
    beyond: OnceLock<Arc<dyn Any + Send + Sync>>,
}

/// Something that was seen by other means than the wire, and where that lies.
#[derive(Debug, Clone)]
pub struct ObservedAt {
    /// Index of the event.
    pub event: usize,
    /// Whose process it is about.
    pub dir: Direction,
    key: String,
    /// What was seen of it.
    pub value: String,
}

impl ObservedAt {
    /// What was looked at.
    #[must_use]
    pub fn what(&self) -> Observation<'_> {
        Observation::parse(&self.key)
    }
}

/// One connection.
#[derive(Debug, Clone)]
pub struct ConnReading {
    /// Its number.
    pub conn: ConnId,
    /// Its steps; a connection without role marks has one with the empty label.
    pub steps: Vec<Step>,
}

/// What passed from one role mark to the next.
#[derive(Debug, Clone, Default)]
pub struct Step {
    /// The role, e.g. `subject`; empty where there was no mark.
    pub mark: Mark,
    /// Index of the event that started it.
    pub event: usize,
    /// Frames from the client.
    pub requests: Vec<FrameAt>,
    /// Frames from the server.
    pub replies: Vec<ReplyAt>,
    /// Bytes that the client sent in this step, framed or not.
    pub sent: usize,
    /// Bytes that the server sent in this step, framed or not.
    pub received: usize,
    /// How the server ended the stream, if it did in this step.
    pub closed: Option<Closed>,
    /// The wait that ended without anything: index of the event, milliseconds.
    pub timeout: Option<(usize, u64)>,
    /// The client could not send.
    pub send_failed: Option<usize>,
    /// The server's bytes cannot be framed from here on.
    pub undecodable: Option<(usize, DecodeError)>,
    /// The server sent without end.
    pub flood: Option<usize>,
    /// The client ended its sending half or the connection in this step.
    pub client_ended: bool,
    /// Exchanges that the end of a direction completed.
    pub completed: Vec<(ExchangeId, Meaning)>,
}

/// How a server ended a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Closed {
    /// Index of the event.
    pub event: usize,
    /// True for a reset.
    pub reset: bool,
    /// Bytes of an unfinished frame before the end.
    pub tail: usize,
    /// What those bytes lack, where that is known.
    pub truncated: Option<DecodeError>,
}

/// A frame and where it lies.
#[derive(Debug, Clone)]
pub struct FrameAt {
    /// Index of the event that holds its last byte.
    pub event: usize,
    /// The frame.
    pub frame: Frame,
    /// Descriptors that came with it.
    pub fds: Vec<FdNote>,
    /// Credentials that came with it.
    pub creds: Option<Credentials>,
    /// The exchange that it belongs to.
    pub exchange: Option<ExchangeId>,
    /// Its number among the frames of its connection, both directions counted.
    pub nth: u64,
    /// What it is due, if it opens an exchange.
    pub due: Due,
    /// What it says of its exchange, if it completes it.
    pub completes: Option<Meaning>,
}

/// A frame from the server and what it answers.
#[derive(Debug, Clone)]
pub struct ReplyAt {
    /// The frame itself.
    pub at: FrameAt,
    /// What it answers, where it belongs to an exchange that is open.
    pub request: Option<Frame>,
    /// What it says to the client. That of the last frame of an answer which only the end of a stream completes is what
    /// that comes to; what the server asks, and the end of it where the client said nothing to that, are notifications.
    pub meaning: Meaning,
}

impl Step {
    /// Whether it is for that.
    #[must_use]
    pub fn is(&self, role: Role) -> bool {
        self.mark.label == role.word()
    }

    /// An argument of the role mark.
    #[must_use]
    pub fn arg(&self, name: &str) -> Option<&str> {
        self.mark.args.get(name).map(String::as_str)
    }

    /// The answer to each request that is due one, in the order of the requests, whatever the order in which
    /// they came. Where the requests cannot be framed, the answers as they came.
    #[must_use]
    pub fn answers_by_request(&self) -> Vec<Option<&ReplyAt>> {
        let (mut by_request, others) = by_request(&self.requests, self.answers());
        // What answers no framed request of this step stands for one that could not be framed.
        for answer in others {
            match by_request.iter_mut().find(|slot| slot.is_none()) {
                Some(slot) => *slot = Some(answer),
                None => by_request.push(Some(answer)),
            }
        }
        by_request
    }

    /// The replies that end the answer to a request, without notifications and the parts before.
    pub fn answers(&self) -> impl Iterator<Item = &ReplyAt> {
        self.replies.iter().filter(|reply| reply.meaning.is_answer())
    }
}

/// The answer to each request that is due one, and the answers to others.
pub(crate) fn by_request<'a>(
    requests: impl IntoIterator<Item = &'a FrameAt>,
    answers: impl Iterator<Item = &'a ReplyAt>,
) -> (Vec<Option<&'a ReplyAt>>, Vec<&'a ReplyAt>) {
    let due = requests.into_iter().filter(|at| at.due != Due::None);
    let mut by_request = Vec::new();
    let mut slots = BTreeMap::new();
    for (slot, at) in due.enumerate() {
        by_request.push(None);
        slots.extend(at.exchange.map(|exchange| (exchange, slot)));
    }
    let mut others = Vec::new();
    for answer in answers {
        match answer.at.exchange.and_then(|exchange| slots.get(&exchange)) {
            Some(slot) => by_request[*slot] = Some(answer),
            None => others.push(answer),
        }
    }
    (by_request, others)
}

/// Messages that belong together: one that opens an exchange, and what came of it.
#[derive(Debug, Clone)]
pub struct Exchange<'a> {
    /// Its number on the connection.
    pub id: ExchangeId,
    /// Which way the message went that opened it.
    pub asked: Direction,
    /// That message.
    pub request: &'a FrameAt,
    /// All others but the last, and which way they went.
    pub parts: Vec<(Direction, &'a FrameAt)>,
    /// How it ended; the last message, unless the end of a stream stands for it.
    pub completed: Option<(Option<&'a FrameAt>, Meaning)>,
}

impl ConnReading {
    /// The exchanges of the connection, in the order in which they were opened.
    #[must_use]
    pub fn exchanges(&self) -> Vec<Exchange<'_>> {
        let mut all: BTreeMap<ExchangeId, Exchange<'_>> = BTreeMap::new();
        for step in &self.steps {
            let requests = step.requests.iter().map(|at| (Direction::ToServer, at));
            let replies = step.replies.iter().map(|reply| (Direction::ToClient, &reply.at));
            let mut frames: Vec<_> = requests.chain(replies).collect();
            frames.sort_by_key(|(_, at)| at.nth);
            for (dir, at) in frames {
                let Some(id) = at.exchange else { continue };
                let opened = Exchange { id, asked: dir, request: at, parts: Vec::new(), completed: None };
                match (all.get_mut(&id), at.completes) {
                    (None, _) => drop(all.insert(id, opened)),
                    (Some(known), Some(meaning)) => known.completed = Some((Some(at), meaning)),
                    (Some(known), None) => known.parts.push((dir, at)),
                }
            }
            for (id, meaning) in &step.completed {
                if let Some(known) = all.get_mut(id) {
                    known.completed = Some((None, *meaning));
                }
            }
        }
        all.into_values().collect()
    }
}

impl Reading {
    /// Reads a transcript. Never fails: what cannot be framed is noted in its step.
    #[must_use]
    pub fn of(transcript: &Transcript, grammar: &dyn Grammar) -> Self {
        let mut reading = Self::default();
        let mut tracks: BTreeMap<ConnId, Track> = BTreeMap::new();
        for (index, event) in transcript.events.iter().enumerate() {
            match &event.kind {
                EventKind::Exit(status) => reading.exits.push((index, event.dir, *status)),
                EventKind::ConnectFailed(error) => {
                    reading.connect_failures.push((index, event.conn, error.clone()));
                }
                EventKind::Observe { key, value } => {
                    let (event, dir) = (index, event.dir);
                    let seen = ObservedAt { event, dir, key: key.clone(), value: value.clone() };
                    reading.observations.push(seen);
                }
                _ => {}
            }
            if event.conn == ConnId(0) {
                continue;
            }
            let track = tracks.entry(event.conn).or_insert_with(|| Track::new(grammar, event.conn, index));
            track.event(index, event.dir, &event.kind);
        }
        reading.conns =
            tracks.into_iter().map(|(conn, track)| ConnReading { conn, steps: track.finish() }).collect();
        reading
    }

    /// What a protocol reads out of the transcript beyond frames, worked out once for all who ask. A protocol has one
    /// type for it.
    pub fn beyond<T: Any + Send + Sync>(&self, make: impl Fn() -> T) -> Arc<T> {
        let beyond = self.beyond.get_or_init(|| Arc::new(make()));
        Arc::clone(beyond).downcast().unwrap_or_else(|_other| Arc::new(make()))
    }

    /// What a muxer did wrong where it did not let a connection through: whatever is missing there, the server was not asked.
    #[must_use]
    pub fn muxer_fault(&self, conn: ConnId) -> Option<MuxerFault> {
        let mut failures = self.connect_failures.iter().filter(|(_, failed, _)| *failed == conn);
        failures.find_map(|(_, _, error)| MuxerFault::parse(error))
    }

    /// Whether a muxer did not let a connection through.
    #[must_use]
    pub fn stopped_by_muxer(&self) -> bool {
        self.connect_failures.iter().any(|(_, _, error)| MuxerFault::parse(error).is_some())
    }

    /// All steps with that role, in order of connection and time.
    pub fn steps(&self, role: Role) -> impl Iterator<Item = (&ConnReading, &Step)> {
        self.conns
            .iter()
            .flat_map(|conn| conn.steps.iter().map(move |step| (conn, step)))
            .filter(move |(_, step)| step.is(role))
    }

    /// What was seen of that last.
    #[must_use]
    pub fn observed(&self, what: Observation<'_>) -> Option<&str> {
        let key = what.key();
        self.observations.iter().rev().find(|seen| seen.key == key).map(|seen| seen.value.as_str())
    }

    /// All that was seen of that, oldest first.
    pub fn all_observed<'a>(&'a self, what: Observation<'a>) -> impl Iterator<Item = &'a str> {
        let key = what.key();
        self.observations.iter().filter(move |seen| seen.key == key).map(|seen| seen.value.as_str())
    }

    /// Every look at the server, oldest first.
    pub fn looks(&self) -> impl Iterator<Item = &ObservedAt> {
        self.observations.iter().filter(|seen| seen.dir == Direction::ToClient)
    }
}

/// What came with the bytes that are in no frame yet.
type Beside = (Vec<FdNote>, Option<Credentials>);

/// One connection while it is read.
struct Track {
    exchanges: Exchanges,
    frames: u64,
    beside_client: Beside,
    beside_server: Beside,
    steps: Vec<Step>,
}

impl Track {
    fn new(grammar: &dyn Grammar, conn: ConnId, event: usize) -> Self {
        Self {
            exchanges: Exchanges::new(grammar, &ConnContext { conn }),
            frames: 0,
            beside_client: Beside::default(),
            beside_server: Beside::default(),
            steps: vec![Step { event, ..Step::default() }],
        }
    }

    fn event(&mut self, index: usize, dir: Direction, kind: &EventKind) {
        match (kind, dir) {
            (EventKind::Mark(mark), _) if mark.is_capture() => {}
            (EventKind::Mark(mark), _) => {
                self.steps.push(Step { mark: mark.clone(), event: index, ..Step::default() });
            }
            (EventKind::Data(data), dir) => {
                match dir {
                    Direction::ToServer => self.step().sent += data.bytes.len(),
                    Direction::ToClient => self.step().received += data.bytes.len(),
                }
                let beside = self.beside(dir);
                beside.0.extend(data.fds.iter().cloned());
                beside.1 = data.creds.or(beside.1);
                self.exchanges.push(dir, &data.bytes);
                self.take(index, dir);
            }
            (EventKind::Eof(_) | EventKind::Reset, Direction::ToClient) => {
                self.closed(index, matches!(kind, EventKind::Reset));
            }
            (EventKind::Eof(_), Direction::ToServer) => {
                self.step().client_ended = true;
                self.ended(index, dir);
            }
            (EventKind::Reset, Direction::ToServer) => self.step().client_ended = true,
            (EventKind::Timeout(ms), _) => self.step().timeout = Some((index, *ms)),
            _ => match kind.observed() {
                Some((Observation::SendFailed, _)) => self.step().send_failed = Some(index),
                Some((Observation::Flood, _)) => self.step().flood = Some(index),
                _ => {}
            },
        }
    }

    fn take(&mut self, event: usize, dir: Direction) {
        loop {
            match self.exchanges.next(dir) {
                Ok(Some(placed)) => self.add(event, placed),
                Ok(None) => return,
                // A client's bytes that are no frame belong to probes; the sum `sent` still counts them.
                Err(_) if dir == Direction::ToServer => return,
                Err(error) => {
                    self.step().undecodable.get_or_insert((event, error));
                    return;
                }
            }
        }
    }

    /// The server says no more. What a reset cuts off is complete with nothing.
    fn closed(&mut self, event: usize, reset: bool) {
        let closed = match reset {
            true => {
                Closed { event, reset, tail: self.exchanges.unread(Direction::ToClient), truncated: None }
            }
            false => {
                let Ended { tail, truncated, .. } = self.ended(event, Direction::ToClient);
                Closed { event, reset, tail, truncated }
            }
        };
        self.step().closed.get_or_insert(closed);
    }

    fn ended(&mut self, event: usize, dir: Direction) -> Ended {
        let mut ended = self.exchanges.end(dir);
        for placed in std::mem::take(&mut ended.frames) {
            self.add(event, placed);
        }
        self.answered_by_end(&ended.completed);
        self.step().completed.append(&mut ended.completed);
        ended
    }

    /// The last frame of an answer that goes on to the end of the stream is known by that end.
    fn answered_by_end(&mut self, completed: &[(ExchangeId, Meaning)]) {
        let mut completed: BTreeMap<_, _> = completed.iter().copied().collect();
        let replies = self.steps.iter_mut().flat_map(|step| &mut step.replies).rev();
        for reply in replies.filter(|reply| reply.meaning == Meaning::Part && reply.request.is_some()) {
            if completed.is_empty() {
                return;
            }
            let meaning = reply.at.exchange.and_then(|id| completed.remove(&id));
            reply.meaning = meaning.unwrap_or(Meaning::Part);
        }
    }

    fn add(&mut self, event: usize, placed: Placed) {
        let Placed { dir, frame, place, exchange, answers } = placed;
        let (fds, creds) = std::mem::take(self.beside(dir));
        let due = if let Place::Opens(due) = place { due } else { Due::None };
        let completes = if let Place::Completes(_, meaning) = place { Some(meaning) } else { None };
        let at = FrameAt { event, frame, fds, creds, exchange, nth: self.frames, due, completes };
        self.frames += 1;
        let meaning = match place {
            Place::Completes(..) if answers.is_none() => Meaning::Notification,
            Place::Completes(_, meaning) | Place::Stray(meaning) => meaning,
            Place::Part(_) => Meaning::Part,
            Place::Opens(_) | Place::Unasked => Meaning::Notification,
        };
        match dir {
            Direction::ToServer => self.step().requests.push(at),
            Direction::ToClient => self.step().replies.push(ReplyAt { at, request: answers, meaning }),
        }
    }

    fn beside(&mut self, dir: Direction) -> &mut Beside {
        match dir {
            Direction::ToServer => &mut self.beside_client,
            Direction::ToClient => &mut self.beside_server,
        }
    }

    fn step(&mut self) -> &mut Step {
        if self.steps.is_empty() {
            self.steps.push(Step::default());
        }
        // The vector was just seen to hold a step.
        let last = self.steps.len() - 1;
        &mut self.steps[last]
    }

    fn finish(mut self) -> Vec<Step> {
        // The step before the first mark is only kept if something happened in it.
        let unused = |s: &Step| {
            s.mark.label.is_empty()
                && s.sent == 0
                && s.received == 0
                && s.closed.is_none()
                && s.timeout.is_none()
                && s.send_failed.is_none()
                && s.flood.is_none()
        };
        if self.steps.len() > 1 && self.steps.first().is_some_and(unused) {
            self.steps.remove(0);
        }
        self.steps
    }
}
