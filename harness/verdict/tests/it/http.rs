//! A toy of HTTP/1.1: enough to say which frames belong together.
//!
//! ```text
//! HEAD    POST /a HTTP/1.1 … Content-Length: 2      WHOLE   GET /a HTTP/1.1 …, HTTP/1.1 204 No Content …
//! LAST    {}                                        HEAD    HTTP/1.1 200 OK … Transfer-Encoding: chunked
//!                                                   CHUNK   5 hello
//!                                                   LAST    0, and trailers
//! ```
//!
//! How long an answer is depends on its request (HEAD), on its status (1xx, 204, 304), and may depend on where the stream
//! ends (RFC 9112, section 6.3). What lies behind a request with `Upgrade` is for its answer to say: behind 101 both
//! directions are raw, behind any other answer there is the next request.

use std::collections::VecDeque;

use bytes::BytesMut;
use verdict::{ConnContext, Due, ExchangeId, Grammar, Meaning, Pairing, Place};
use wire::{DecodeError, DecodeErrorKind, Decoder, Direction, Dissection, Frame, FrameKind};

/// A head with something behind it.
pub(crate) const HEAD: FrameKind = FrameKind(0);
/// A head that is the whole message.
pub(crate) const WHOLE: FrameKind = FrameKind(1);
/// A chunk.
pub(crate) const CHUNK: FrameKind = FrameKind(2);
/// What ends a message: its body, or the last chunk with its trailers.
pub(crate) const LAST: FrameKind = FrameKind(3);
/// An interim answer.
pub(crate) const INTERIM: FrameKind = FrameKind(4);
/// 101: what follows is no HTTP.
pub(crate) const SWITCH: FrameKind = FrameKind(5);
/// What is no HTTP, as it comes.
pub(crate) const RAW: FrameKind = FrameKind(6);
/// The head of an answer that ends with the stream.
pub(crate) const HEAD_OF_REST: FrameKind = FrameKind(7);
/// All of its body.
pub(crate) const REST: FrameKind = FrameKind(8);

const HEAD_LEN_MAX: usize = 64 << 10;
const BODY_LEN_MAX: u64 = 16 << 20;

/// The grammar.
pub(crate) struct Http;

/// What is to come next in one direction.
#[derive(Debug, Clone, Copy)]
enum Next {
    Head,
    Body(usize),
    Chunk,
    /// The other side has to say what this is.
    Undecided,
    Raw,
    Rest,
}

struct HttpDecoder {
    dir: Direction,
    next: Next,
    offset: u64,
    failed: Option<DecodeError>,
    /// The request under way wants to leave HTTP.
    upgrade: bool,
    /// Requests that went and have no final answer; of each whether it is a HEAD.
    asked: VecDeque<bool>,
}

/// What a head says, as far as it matters here.
struct Head<'a> {
    first_line: &'a str,
    length: Option<u64>,
    chunked: bool,
    upgrade: bool,
}

impl<'a> Head<'a> {
    fn read(bytes: &'a [u8]) -> Option<Self> {
        let mut lines = std::str::from_utf8(bytes).ok()?.trim_end().split("\r\n");
        let first_line = lines.next().filter(|line| line.contains("HTTP/1."))?;
        let mut head = Self { first_line, length: None, chunked: false, upgrade: false };
        for line in lines {
            let (name, value) = line.split_once(':')?;
            match name.to_ascii_lowercase().as_str() {
                "content-length" => head.length = Some(value.trim().parse().ok()?),
                "transfer-encoding" => head.chunked = value.trim() == "chunked",
                "upgrade" => head.upgrade = true,
                _ => {}
            }
        }
        Some(head)
    }

    fn status(&self) -> Option<u16> {
        self.first_line.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok()
    }
}

fn find(src: &[u8], what: &[u8]) -> Option<usize> {
    src.windows(what.len()).position(|window| window == what)
}

impl HttpDecoder {
    fn fail(&mut self, kind: DecodeErrorKind, field: &'static str) -> DecodeError {
        *self.failed.insert(DecodeError { kind, field, offset: self.offset })
    }

    fn cut(&mut self, src: &mut BytesMut, kind: FrameKind, head_len: usize, len: usize) -> Frame {
        self.offset += len as u64;
        Frame { kind, head_len, bytes: src.split_to(len).freeze() }
    }

    /// What comes behind a message.
    fn behind(&self) -> Next {
        if self.upgrade { Next::Undecided } else { Next::Head }
    }

    fn head(&mut self, src: &mut BytesMut) -> Result<Option<Frame>, DecodeError> {
        let Some(len) = find(src, b"\r\n\r\n").map(|at| at + 4) else {
            if src.len() > HEAD_LEN_MAX {
                let (announced, limit) = (src.len() as u64, HEAD_LEN_MAX as u64);
                return Err(self.fail(DecodeErrorKind::AboveLimit { announced, limit }, "head"));
            }
            return Ok(None);
        };
        let bytes = src[..len].to_vec();
        let head = Head::read(&bytes).ok_or_else(|| self.fail(DecodeErrorKind::Syntax, "head"))?;
        let kind = match self.dir {
            Direction::ToServer => self.request(&head),
            Direction::ToClient => self.answer(&head),
        }?;
        Ok(Some(self.cut(src, kind, len, len)))
    }

    fn request(&mut self, head: &Head<'_>) -> Result<FrameKind, DecodeError> {
        self.upgrade = head.upgrade;
        self.asked.push_back(head.first_line.starts_with("HEAD "));
        self.body(head, WHOLE)
    }

    fn answer(&mut self, head: &Head<'_>) -> Result<FrameKind, DecodeError> {
        let Some(status) = head.status() else { return Err(self.fail(DecodeErrorKind::Syntax, "status")) };
        if matches!(status, 100 | 102..=199) {
            return Ok(INTERIM);
        }
        let to_head = self.asked.pop_front().unwrap_or(false);
        match status {
            101 => {
                self.next = Next::Raw;
                Ok(SWITCH)
            }
            204 | 304 => Ok(WHOLE),
            _ if to_head => Ok(WHOLE),
            _ => self.body(head, HEAD_OF_REST),
        }
    }

    /// What follows a head; `other` is what the head is where it does not say that.
    fn body(&mut self, head: &Head<'_>, other: FrameKind) -> Result<FrameKind, DecodeError> {
        let (kind, next) = match head.length {
            _ if head.chunked => (HEAD, Next::Chunk),
            Some(0) => (WHOLE, self.behind()),
            Some(announced) if announced > BODY_LEN_MAX => {
                let kind = DecodeErrorKind::AboveLimit { announced, limit: BODY_LEN_MAX };
                return Err(self.fail(kind, "content-length"));
            }
            Some(length) => (HEAD, Next::Body(usize::try_from(length).unwrap_or(usize::MAX))),
            None if other == WHOLE => (WHOLE, self.behind()),
            None => (other, Next::Rest),
        };
        self.next = next;
        Ok(kind)
    }

    fn chunk(&mut self, src: &mut BytesMut) -> Result<Option<Frame>, DecodeError> {
        let Some(line) = find(src, b"\r\n") else { return Ok(None) };
        let size = std::str::from_utf8(&src[..line]).ok().and_then(|line| line.split(';').next());
        let size = size.and_then(|size| u64::from_str_radix(size, 16).ok());
        let size = size.ok_or_else(|| self.fail(DecodeErrorKind::Syntax, "chunk-size"))?;
        if size > BODY_LEN_MAX {
            let kind = DecodeErrorKind::AboveLimit { announced: size, limit: BODY_LEN_MAX };
            return Err(self.fail(kind, "chunk-size"));
        }
        if size > 0 {
            let len = line + 2 + usize::try_from(size).unwrap_or(usize::MAX) + 2;
            return Ok((src.len() >= len).then(|| self.cut(src, CHUNK, line + 2, len)));
        }
        // Trailers end as a head does, with an empty line; without any that is the next line.
        let Some(len) = find(&src[line..], b"\r\n\r\n").map(|at| line + at + 4) else { return Ok(None) };
        self.next = self.behind();
        Ok(Some(self.cut(src, LAST, line + 2, len)))
    }
}

impl Decoder for HttpDecoder {
    fn decode(&mut self, src: &mut BytesMut) -> Result<Option<Frame>, DecodeError> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        match self.next {
            Next::Head => self.head(src),
            Next::Chunk => self.chunk(src),
            Next::Body(len) if src.len() >= len => {
                self.next = self.behind();
                Ok(Some(self.cut(src, LAST, 0, len)))
            }
            Next::Raw if !src.is_empty() => {
                let len = src.len();
                Ok(Some(self.cut(src, RAW, 0, len)))
            }
            Next::Body(_) | Next::Raw | Next::Rest | Next::Undecided => Ok(None),
        }
    }

    fn decode_eof(&mut self, src: &mut BytesMut) -> Result<Option<Frame>, DecodeError> {
        if let Some(frame) = self.decode(src)? {
            return Ok(Some(frame));
        }
        let got = src.len();
        let (needed, field) = match self.next {
            Next::Rest if got > 0 => return Ok(Some(self.cut(src, REST, 0, got))),
            Next::Head if got == 0 => return Ok(None),
            Next::Rest | Next::Raw | Next::Undecided => return Ok(None),
            Next::Body(needed) => (needed, "body"),
            Next::Head => (got + 1, "head"),
            Next::Chunk => (got + 1, "chunk"),
        };
        let kind = DecodeErrorKind::Truncated { needed: needed as u64, got: got as u64 };
        Err(self.fail(kind, field))
    }

    fn note_other(&mut self, other: &Frame) {
        match self.dir {
            Direction::ToClient if matches!(other.kind, HEAD | WHOLE) => {
                self.asked.push_back(other.bytes.starts_with(b"HEAD "));
            }
            Direction::ToServer if matches!(other.kind, HEAD | WHOLE | HEAD_OF_REST | SWITCH) => {
                self.asked.pop_front();
                // It may be the answer to a request before.
                if matches!(self.next, Next::Undecided) && self.asked.is_empty() {
                    self.next = if other.kind == SWITCH { Next::Raw } else { Next::Head };
                }
            }
            _ => {}
        }
    }
}

/// Answers come in turn.
#[derive(Default)]
struct Turns {
    /// The request whose body is under way.
    sending: Option<ExchangeId>,
    waiting: VecDeque<Option<ExchangeId>>,
    /// The answer whose body is under way, what it means, and whether it goes on to the end of the stream.
    answering: Option<(ExchangeId, Meaning, bool)>,
    /// The exchange that has taken the connection over.
    raw: Option<ExchangeId>,
}

impl Turns {
    fn said_by_client(&mut self, frame: &Frame, fresh: Option<ExchangeId>) -> Place {
        match frame.kind {
            HEAD | WHOLE => {
                self.waiting.push_back(fresh);
                self.sending = fresh.filter(|_| frame.kind == HEAD);
                Place::Opens(Http.due(frame))
            }
            RAW => self.raw.map_or(Place::Unasked, Place::Part),
            LAST => self.sending.take().map_or(Place::Unasked, Place::Part),
            _ => self.sending.map_or(Place::Unasked, Place::Part),
        }
    }

    fn said_by_server(&mut self, frame: &Frame) -> Place {
        let meaning = Http.meaning(None, frame);
        match frame.kind {
            INTERIM => self.waiting.front().copied().flatten().map_or(Place::Unasked, Place::Part),
            SWITCH => {
                self.raw = self.waiting.pop_front().flatten();
                self.raw.map_or(Place::Stray(meaning), Place::Part)
            }
            WHOLE => match self.waiting.pop_front().flatten() {
                Some(id) => Place::Completes(id, meaning),
                None => Place::Stray(meaning),
            },
            HEAD | HEAD_OF_REST => {
                let id = self.waiting.pop_front().flatten();
                self.answering = id.map(|id| (id, meaning, frame.kind == HEAD_OF_REST));
                id.map_or(Place::Stray(meaning), Place::Part)
            }
            CHUNK => self.answering.map_or(Place::Unasked, |(id, ..)| Place::Part(id)),
            LAST | REST => match self.answering.take() {
                Some((id, meaning, _)) => Place::Completes(id, meaning),
                None => Place::Unasked,
            },
            _ => self.raw.map_or(Place::Unasked, Place::Part),
        }
    }
}

impl Pairing for Turns {
    fn place(&mut self, dir: Direction, frame: &Frame, fresh: Option<ExchangeId>) -> Place {
        match dir {
            Direction::ToServer => self.said_by_client(frame, fresh),
            Direction::ToClient => self.said_by_server(frame),
        }
    }

    fn ended(&mut self, dir: Direction) -> Vec<(ExchangeId, Meaning)> {
        if dir == Direction::ToServer {
            return Vec::new();
        }
        // A body may be empty.
        let rest = self.answering.take_if(|(_, _, to_end)| *to_end).map(|(id, meaning, _)| (id, meaning));
        rest.into_iter().chain(self.raw.take().map(|id| (id, Meaning::Success))).collect()
    }
}

impl Grammar for Http {
    fn dialect(&self) -> &str {
        "http"
    }

    fn decoder(&self, dir: Direction, _conn: &ConnContext) -> Box<dyn Decoder> {
        Box::new(HttpDecoder {
            dir,
            next: Next::Head,
            offset: 0,
            failed: None,
            upgrade: false,
            asked: VecDeque::new(),
        })
    }

    fn pairing(&self) -> Box<dyn Pairing> {
        Box::new(Turns::default())
    }

    fn dissect(&self, _dir: Direction, frame: &Frame, _request: Option<&Frame>) -> Dissection {
        let title = match frame.kind {
            CHUNK => "chunk",
            LAST => "last",
            RAW => "raw",
            REST => "rest",
            _ => Head::read(&frame.bytes).map_or("no head", |head| head.first_line),
        };
        Dissection { title: title.to_owned(), ..Dissection::default() }
    }

    fn due(&self, request: &Frame) -> Due {
        match Head::read(&request.bytes) {
            Some(head) if head.upgrade => Due::Stream,
            Some(_) => Due::One,
            None => Due::None,
        }
    }

    fn meaning(&self, _request: Option<&Frame>, reply: &Frame) -> Meaning {
        match Head::read(&reply.bytes).and_then(|head| head.status()) {
            Some(501) => Meaning::NotSupported,
            Some(status @ 400..) => Meaning::Refused(status.into()),
            _ => Meaning::Success,
        }
    }
}
