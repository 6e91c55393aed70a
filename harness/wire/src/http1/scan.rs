//! Where frames end.

use std::collections::VecDeque;

use super::chunked::{Chunks, Found, above};
use super::head::{Coding, Lines, Says, Seen};
use super::{
    BODY, BODY_LEN_MAX, BODY_PIECE_MAX, CHUNKED, HEAD, INTERIM, PIECE, RAW, RAW_LEN_MAX, RESPONSE, SWITCH,
    WHOLE,
};
use crate::stream::as_u64;
use crate::{DecodeErrorKind, Direction, Extent, Fault, Frame, FrameKind, Scan, Step, StreamDecoder};

/// Decodes one direction of a connection.
pub type MessageDecoder = StreamDecoder<MessageScan>;

impl MessageDecoder {
    /// A decoder of that direction at the start of a connection. It is to be told what goes the other way.
    #[must_use]
    pub fn new(dir: Direction) -> Self {
        Self::over(MessageScan {
            dir,
            next: Next::Head(Lines::default()),
            asked: VecDeque::new(),
            unanswered: 0,
            upgrade: Upgrade::None,
            ended: false,
        })
    }
}

/// Finds the ends of the messages of one direction.
#[derive(Debug, Clone)]
pub struct MessageScan {
    dir: Direction,
    next: Next,
    /// Towards the client: of each request that has no final answer, whether it is a HEAD.
    asked: VecDeque<bool>,
    /// Towards the server: how many requests have no final answer.
    unanswered: u64,
    /// Towards the server: what the last request is to lead to.
    upgrade: Upgrade,
    /// The stream ended while the other side had not said what this is.
    ended: bool,
}

/// What is to come next.
#[derive(Debug, Clone)]
enum Next {
    /// A head, of which that much was looked at.
    Head(Lines),
    /// That much of a body by length, behind so many bytes of head.
    Sized(usize, u64),
    /// A body in chunks, behind so many bytes of head.
    Chunked(usize, Chunks),
    /// A body up to the end of the stream, behind so many bytes of head.
    Rest(usize),
    /// The other side has to say what this is.
    Undecided,
    /// No HTTP.
    Raw,
}

/// Where a request leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Upgrade {
    /// To the next request.
    None,
    /// To where its answer says.
    Asked,
    /// Away from HTTP.
    Done,
}

impl Scan for MessageScan {
    #[inline]
    fn step(&mut self, src: &[u8]) -> Result<Step, Fault> {
        loop {
            let found = match &mut self.next {
                Next::Head(lines) => match lines.step(self.dir, src)? {
                    Seen::Head(says, len) => self.head(&says, len)?,
                    Seen::Part(step) => Some(step),
                },
                Next::Sized(head_len, left) => {
                    let (head_len, left) = (*head_len, *left);
                    Some(self.sized(src, head_len, left))
                }
                Next::Chunked(head_len, chunks) => {
                    let head_len = *head_len;
                    let found = chunks.step(src, |_| {})?;
                    Some(self.chunked(head_len, found))
                }
                Next::Rest(head_len) => Some(rest(*head_len, src)?),
                Next::Undecided | Next::Raw if src.is_empty() => Some(Step::Boundary),
                Next::Undecided => Some(waits(0, src.len())),
                Next::Raw if src.len() > RAW_LEN_MAX => Some(complete(RAW, 0, RAW_LEN_MAX)),
                Next::Raw if self.ended => Some(complete(RAW, 0, src.len())),
                Next::Raw => Some(waits(0, src.len())),
            };
            if let Some(step) = found {
                return Ok(step);
            }
        }
    }

    fn at_end(&mut self, src: &[u8], step: Step) -> Step {
        self.ended = true;
        match self.next {
            Next::Rest(head_len) => {
                self.next = Next::Head(Lines::default());
                complete(RESPONSE, head_len, src.len())
            }
            Next::Raw if !src.is_empty() => complete(RAW, 0, src.len()),
            Next::Raw | Next::Undecided => Step::Boundary,
            _ => step,
        }
    }

    fn note_other(&mut self, other: &Frame) {
        match self.dir {
            Direction::ToClient if matches!(other.kind, HEAD | WHOLE) => {
                let request = other.bytes.trim_ascii_start();
                self.asked.push_back(request.starts_with(b"HEAD "));
            }
            Direction::ToServer if matches!(other.kind, RESPONSE | SWITCH) => {
                self.unanswered = self.unanswered.saturating_sub(1);
                // It may be the answer to a request before.
                if self.unanswered == 0 && self.upgrade == Upgrade::Asked {
                    self.upgrade = if other.kind == SWITCH { Upgrade::Done } else { Upgrade::None };
                    if matches!(self.next, Next::Undecided) {
                        self.next = self.behind_request();
                    }
                }
            }
            _ => {}
        }
    }
}

impl MessageScan {
    /// A whole head; the step, if it is a frame by itself.
    #[inline]
    fn head(&mut self, says: &Says, len: usize) -> Result<Option<Step>, Fault> {
        match self.dir {
            Direction::ToServer => Ok(Some(complete(self.request(says), len, len))),
            Direction::ToClient => Ok(self.response(says, len)?.map(|kind| complete(kind, len, len))),
        }
    }

    fn request(&mut self, says: &Says) -> FrameKind {
        self.unanswered = self.unanswered.saturating_add(1);
        self.upgrade = if says.upgrade { Upgrade::Asked } else { Upgrade::None };
        let (kind, next) = match says.length {
            _ if says.coding == Coding::Chunked => (HEAD, Next::Chunked(0, Chunks::of_request())),
            Some(length @ 1..) => (HEAD, Next::Sized(0, length)),
            _ => (WHOLE, self.behind_request()),
        };
        self.next = next;
        kind
    }

    /// What comes behind a whole request.
    fn behind_request(&self) -> Next {
        match self.upgrade {
            Upgrade::None => Next::Head(Lines::default()),
            Upgrade::Asked => Next::Undecided,
            Upgrade::Done => Next::Raw,
        }
    }

    /// The kind of an answer whose head is all of it.
    fn response(&mut self, says: &Says, len: usize) -> Result<Option<FrameKind>, Fault> {
        self.next = Next::Head(Lines::default());
        if matches!(says.status, 100 | 102..=199) {
            return Ok(Some(INTERIM));
        }
        let to_head = self.asked.pop_front().unwrap_or(false);
        if says.status == 101 {
            self.next = Next::Raw;
            return Ok(Some(SWITCH));
        }
        if to_head || matches!(says.status, 204 | 304) {
            return Ok(Some(RESPONSE));
        }
        self.next = match (says.coding, says.length) {
            (Coding::Chunked, _) => Next::Chunked(len, Chunks::of_response(len)),
            (Coding::Plain, Some(0)) => return Ok(Some(RESPONSE)),
            (Coding::Plain, Some(announced)) if announced > BODY_LEN_MAX => {
                let kind = DecodeErrorKind::AboveLimit { announced, limit: BODY_LEN_MAX };
                return Err(Fault { kind, field: "content-length", at: 0 });
            }
            (Coding::Plain, Some(length)) => Next::Sized(len, length),
            (Coding::Plain, None) | (Coding::Other, _) => Next::Rest(len),
        };
        Ok(None)
    }

    #[inline]
    fn sized(&mut self, src: &[u8], head_len: usize, left: u64) -> Step {
        let is_request = self.dir == Direction::ToServer;
        let most = if is_request { as_u64(BODY_PIECE_MAX) } else { u64::MAX };
        let taken = left.min(most);
        let end = head_len.saturating_add(usize::try_from(taken).unwrap_or(usize::MAX));
        if src.len() < end {
            return Step::Partial { field: "body", at: head_len, needed: taken };
        }
        if taken < left {
            self.next = Next::Sized(head_len, left.saturating_sub(taken));
            return complete(PIECE, 0, end);
        }
        self.next = if is_request { self.behind_request() } else { Next::Head(Lines::default()) };
        complete(if is_request { BODY } else { RESPONSE }, head_len, end)
    }

    #[inline]
    fn chunked(&mut self, head_len: usize, found: Found) -> Step {
        match found {
            Found::Partial(step) => step,
            Found::Piece(len) => complete(PIECE, 0, len),
            Found::Complete { end, .. } => {
                let is_request = self.dir == Direction::ToServer;
                self.next = if is_request { self.behind_request() } else { Next::Head(Lines::default()) };
                complete(if is_request { CHUNKED } else { RESPONSE }, head_len, end)
            }
        }
    }
}

fn complete(kind: FrameKind, head_len: usize, len: usize) -> Step {
    Step::Complete(Extent { kind, head_len, len })
}

/// More may come until the end of the stream.
fn waits(at: usize, len: usize) -> Step {
    Step::Partial { field: "body", at, needed: as_u64(len.saturating_sub(at)).saturating_add(1) }
}

fn rest(head_len: usize, src: &[u8]) -> Result<Step, Fault> {
    let limit = usize::try_from(BODY_LEN_MAX).unwrap_or(usize::MAX);
    if src.len().saturating_sub(head_len) > limit {
        return Err(above("body", limit, head_len));
    }
    Ok(waits(head_len, src.len()))
}
