//! A transcript read in frames: connections, and on each the steps that its role marks start.
//!
//! ```text
//! transcript   connect  mark(subject)  data c2s  data s2c  mark(canary)  data c2s  eof s2c
//! reading      conn 1 { subject: request, reply }          { canary: request, closed }
//! ```

use std::any::Any;
use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use transcript::{ConnId, Credentials, EventKind, ExitStatus, FdNote, Mark, Transcript};
use wire::{DecodeError, Decoder, Direction, Frame, Unread};

use crate::{Grammar, Meaning, ReplyDue};

/// Most requests that are kept waiting for their replies on one connection.
const PENDING_MAX: usize = 4096;

/// A transcript read by one grammar.
#[derive(Debug, Clone, Default)]
pub struct Reading {
    /// Every connection in order of its number.
    pub conns: Vec<ConnReading>,
    /// Every process that ended: index of the event, whose, how.
    pub exits: Vec<(usize, Direction, ExitStatus)>,
    /// What was seen by other means than the wire: index of the event, whose, key, value.
    pub observations: Vec<(usize, Direction, String, String)>,
    /// Connections that could not be made: index of the event, connection, error.
    pub connect_failures: Vec<(usize, ConnId, String)>,
    beyond: OnceLock<Arc<dyn Any + Send + Sync>>,
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
}

/// A frame from the server and the request that it answers.
#[derive(Debug, Clone)]
pub struct ReplyAt {
    /// The frame itself.
    pub at: FrameAt,
    /// The request that it answers, where there is one open.
    pub request: Option<Frame>,
    /// What it says.
    pub meaning: Meaning,
}

impl Step {
    /// An argument of the role mark.
    #[must_use]
    pub fn arg(&self, name: &str) -> Option<&str> {
        self.mark.args.get(name).map(String::as_str)
    }

    /// The answer to each request that is due one, in the order of the requests, whatever the order in which
    /// they came. Where the requests cannot be framed, the answers as they came.
    #[must_use]
    pub fn answers_by_request(&self, grammar: &dyn Grammar) -> Vec<Option<&ReplyAt>> {
        let due = self.requests.iter().filter(|at| grammar.reply_due(&at.frame) != ReplyDue::None);
        let mut answers: Vec<&ReplyAt> = self.answers().collect();
        let mut by_request: Vec<Option<&ReplyAt>> = due
            .map(|at| {
                let of = |reply: &&ReplyAt| reply.request.as_ref() == Some(&at.frame);
                answers.iter().position(of).map(|index| answers.remove(index))
            })
            .collect();
        // What answers no framed request of this step stands for one that could not be framed.
        for answer in answers {
            match by_request.iter_mut().find(|slot| slot.is_none()) {
                Some(slot) => *slot = Some(answer),
                None => by_request.push(Some(answer)),
            }
        }
        by_request
    }

    /// The replies that answer a request, without notifications.
    pub fn answers(&self) -> impl Iterator<Item = &ReplyAt> {
        self.replies.iter().filter(|reply| reply.meaning != Meaning::Notification)
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
                    reading.observations.push((index, event.dir, key.clone(), value.clone()));
                }
                _ => {}
            }
            if event.conn == ConnId(0) {
                continue;
            }
            let track = tracks.entry(event.conn).or_insert_with(|| Track::new(grammar, index));
            track.event(index, event.dir, &event.kind, grammar);
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

    /// All steps with that role, in order of connection and time.
    pub fn steps<'a>(&'a self, role: &'a str) -> impl Iterator<Item = (&'a ConnReading, &'a Step)> {
        self.conns
            .iter()
            .flat_map(|conn| conn.steps.iter().map(move |step| (conn, step)))
            .filter(move |(_, step)| step.mark.label == role)
    }

    /// The last observation of that key.
    #[must_use]
    pub fn observed(&self, key: &str) -> Option<&str> {
        self.observations.iter().rev().find(|(_, _, k, _)| k == key).map(|(_, _, _, v)| v.as_str())
    }

    /// All observations of that key, oldest first.
    pub fn all_observed<'a>(&'a self, key: &'a str) -> impl Iterator<Item = &'a str> {
        self.observations.iter().filter(move |(_, _, k, _)| k == key).map(|(_, _, _, v)| v.as_str())
    }
}

/// One connection while it is read.
struct Track {
    requests: Box<dyn Decoder>,
    replies: Box<dyn Decoder>,
    sent: Unread,
    received: Unread,
    pending: std::collections::VecDeque<Frame>,
    beside: (Vec<FdNote>, Option<Credentials>),
    beside_client: (Vec<FdNote>, Option<Credentials>),
    steps: Vec<Step>,
}

impl Track {
    fn new(grammar: &dyn Grammar, event: usize) -> Self {
        Self {
            requests: grammar.decoder(Direction::ToServer),
            replies: grammar.decoder(Direction::ToClient),
            sent: Unread::default(),
            received: Unread::default(),
            pending: std::collections::VecDeque::new(),
            beside: Default::default(),
            beside_client: Default::default(),
            steps: vec![Step { event, ..Step::default() }],
        }
    }

    fn event(&mut self, index: usize, dir: Direction, kind: &EventKind, grammar: &dyn Grammar) {
        match (kind, dir) {
            (EventKind::Mark(mark), _) => {
                self.steps.push(Step { mark: mark.clone(), event: index, ..Step::default() });
            }
            (EventKind::Data(data), Direction::ToServer) => {
                self.step().sent += data.bytes.len();
                self.sent.push(&data.bytes);
                self.beside_client.0.extend(data.fds.iter().cloned());
                self.beside_client.1 = data.creds.or(self.beside_client.1);
                self.take_requests(index, grammar);
            }
            (EventKind::Data(data), Direction::ToClient) => {
                self.step().received += data.bytes.len();
                self.received.push(&data.bytes);
                self.beside.0.extend(data.fds.iter().cloned());
                self.beside.1 = data.creds.or(self.beside.1);
                self.take_replies(index, grammar);
            }
            (EventKind::Eof(_) | EventKind::Reset, Direction::ToClient) => {
                let tail = self.received.len();
                let reset = matches!(kind, EventKind::Reset);
                self.step().closed.get_or_insert(Closed { event: index, reset, tail });
            }
            (EventKind::Eof(_) | EventKind::Reset, Direction::ToServer) => self.step().client_ended = true,
            (EventKind::Timeout(ms), _) => self.step().timeout = Some((index, *ms)),
            (EventKind::Observe { key, .. }, _) if key == "send-failed" => {
                self.step().send_failed = Some(index);
            }
            (EventKind::Observe { key, .. }, _) if key == "flood" => self.step().flood = Some(index),
            _ => {}
        }
    }

    fn take_requests(&mut self, event: usize, grammar: &dyn Grammar) {
        // A client's bytes that are no frame belong to probes; the sum `sent` still counts them.
        while let Ok(Some(frame)) = self.sent.next(&mut *self.requests) {
            self.replies.note_sent(&frame);
            if grammar.reply_due(&frame) != ReplyDue::None && self.pending.len() < PENDING_MAX {
                self.pending.push_back(frame.clone());
            }
            let (fds, creds) = std::mem::take(&mut self.beside_client);
            self.step().requests.push(FrameAt { event, frame, fds, creds });
        }
    }

    fn take_replies(&mut self, event: usize, grammar: &dyn Grammar) {
        loop {
            match self.received.next(&mut *self.replies) {
                Ok(None) => return,
                Err(error) => {
                    self.step().undecodable.get_or_insert((event, error));
                    return;
                }
                Ok(Some(frame)) => {
                    let open = self.pending.iter().position(|request| grammar.answers(request, &frame));
                    let meaning = grammar.meaning(open.and_then(|at| self.pending.get(at)), &frame);
                    let request = match meaning {
                        Meaning::Notification => None,
                        _ => open.and_then(|at| self.pending.remove(at)),
                    };
                    let (fds, creds) = std::mem::take(&mut self.beside);
                    let at = FrameAt { event, frame, fds, creds };
                    self.step().replies.push(ReplyAt { at, request, meaning });
                }
            }
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
