//! What a frame says: its request or answer, headers and body.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

use memchr::memchr_iter;

use super::chunked::Chunked;
use super::head::{Coding, Says, offset};
use super::{BODY, CHUNKED, HEAD, INTERIM, LINES_MAX, RESPONSE, SWITCH, WHOLE};
use crate::{Direction, Frame, Problem};

/// A version of HTTP by its minor number; the major one is 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version(pub u8);

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HTTP/1.{}", self.0)
    }
}

/// A header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header<'a> {
    /// Its name as it was written.
    pub name: &'a str,
    /// Its value without white space around it.
    pub value: &'a [u8],
}

/// The headers of a head, or trailers, in wire order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Headers<'a> {
    /// What they are in.
    whole: &'a [u8],
    list: Vec<Header<'a>>,
}

impl<'a> Headers<'a> {
    pub(super) fn of_trailers(trailers: &'a [u8]) -> Self {
        let mut room = room(trailers);
        let list = match httparse::parse_headers(trailers, &mut room) {
            Ok(httparse::Status::Complete((_, list))) => list.iter().map(header).collect(),
            _ => Vec::new(),
        };
        Self { whole: trailers, list }
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = Header<'a>> + '_ {
        self.list.iter().copied()
    }

    /// The value of the first one of that name, however it is written.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&'a [u8]> {
        self.all(name).next()
    }

    /// The values of all of that name.
    pub fn all(&self, name: &str) -> impl Iterator<Item = &'a [u8]> {
        self.iter().filter(move |header| header.name.eq_ignore_ascii_case(name)).map(|header| header.value)
    }

    /// Whether one of that name lists that word, e.g. `connection` and `close`.
    #[must_use]
    pub fn lists(&self, name: &str, word: &str) -> bool {
        let mut words = self.all(name).flat_map(|value| value.split(|byte| *byte == b','));
        words.any(|found| found.trim_ascii().eq_ignore_ascii_case(word.as_bytes()))
    }

    /// Where the name and the value of a header lie in the head, or in the trailers.
    #[must_use]
    pub fn spans(&self, header: Header<'a>) -> [Range<usize>; 2] {
        [span(self.whole, header.name.as_bytes()), span(self.whole, header.value)]
    }

    /// What is wrong with them and does not keep anybody from framing the message: what others might frame otherwise.
    /// `status` is that of an answer.
    #[must_use]
    pub fn problems(&self, status: Option<u16>) -> Vec<Problem> {
        let of = |name| self.list.iter().filter(move |header| header.name.eq_ignore_ascii_case(name));
        let (lengths, codings) = (of("content-length"), of("transfer-encoding"));
        let bodiless = status.is_some_and(|status| matches!(status, 100..=199 | 204));
        let in_vain = lengths.clone().chain(codings.clone()).filter(|_| bodiless);
        let with_chunks = lengths.clone().filter(|_| codings.clone().next().is_some());
        let told = [
            (in_vain.collect::<Vec<_>>(), "the length of a body in an answer that has none"),
            (with_chunks.collect(), "a length beside chunks, which count"),
            (lengths.skip(1).collect(), "the same length once more"),
        ];
        let problem = |header: &Header<'a>, what: &str| {
            let [name, value] = self.spans(*header);
            Problem { span: name.start..value.end.max(name.end), what: what.to_owned() }
        };
        told.iter().flat_map(|(headers, what)| headers.iter().map(|header| problem(header, what))).collect()
    }
}

/// Room for all headers in those bytes.
fn room(bytes: &[u8]) -> Vec<httparse::Header<'_>> {
    vec![httparse::EMPTY_HEADER; memchr_iter(b'\n', bytes).count().min(LINES_MAX)]
}

fn header<'a>(header: &httparse::Header<'a>) -> Header<'a> {
    Header { name: header.name, value: header.value }
}

/// Where a part of `whole` lies in it.
pub(super) fn span(whole: &[u8], part: &[u8]) -> Range<usize> {
    let start = offset(whole, part);
    start..start.saturating_add(part.len())
}

/// The head of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request<'a> {
    /// The method, as it was written.
    pub method: &'a str,
    /// What it is for, as it was written.
    pub target: &'a str,
    /// The version of the client.
    pub version: Version,
    /// The headers.
    pub headers: Headers<'a>,
}

impl<'a> Request<'a> {
    /// The request of which this is the head; `None` for any other frame.
    #[must_use]
    pub fn of(frame: &'a Frame) -> Option<Self> {
        matches!(frame.kind, HEAD | WHOLE).then(|| Self::read(frame.head())).flatten()
    }

    /// Reads a whole head.
    #[must_use]
    pub fn read(head: &'a [u8]) -> Option<Self> {
        let mut room = room(head);
        let mut request = httparse::Request::new(&mut room);
        let len = request.parse(head).ok()?;
        let list = request.headers.iter().map(header).collect();
        let headers = Headers { whole: head, list };
        let (method, target, version) = (request.method?, request.path?, Version(request.version?));
        (len == httparse::Status::Complete(head.len())).then_some(Self { method, target, version, headers })
    }

    /// Whether the client wants to leave HTTP.
    #[must_use]
    pub fn upgrade(&self) -> bool {
        self.headers.all("upgrade").any(|value| !value.is_empty())
    }

    /// Whether the answer has no body whatever it says.
    #[must_use]
    pub fn is_head(&self) -> bool {
        self.method == "HEAD"
    }
}

/// The head of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response<'a> {
    /// The version of the server.
    pub version: Version,
    /// The status.
    pub status: u16,
    /// What is said of it.
    pub reason: &'a [u8],
    /// The headers.
    pub headers: Headers<'a>,
}

impl<'a> Response<'a> {
    /// The answer that this is, or the head of; `None` for any other frame.
    #[must_use]
    pub fn of(frame: &'a Frame) -> Option<Self> {
        matches!(frame.kind, RESPONSE | INTERIM | SWITCH).then(|| Self::read(frame.head())).flatten()
    }

    /// Reads a whole head.
    #[must_use]
    pub fn read(head: &'a [u8]) -> Option<Self> {
        let mut room = room(head);
        let mut response = httparse::Response::new(&mut room);
        let len = response.parse(head).ok()?;
        let list = response.headers.iter().map(header).collect();
        let (status, version) = (response.code?, Version(response.version?));
        // `HTTP/1.1 200`, and a space where there is a reason; one that is no ASCII is empty to httparse.
        let line = head.split(|byte| matches!(byte, b'\r' | b'\n')).next()?;
        let reason = line.get(13..).unwrap_or(line.get(line.len()..)?);
        let headers = Headers { whole: head, list };
        (len == httparse::Status::Complete(head.len())).then_some(Self { version, status, reason, headers })
    }
}

/// The body of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Body<'a> {
    /// The data, without the chunks in which it was sent; of what was sent raw or to the end, all of it.
    pub data: Cow<'a, [u8]>,
    /// The headers behind it; none where it was not sent in chunks.
    pub trailers: Vec<(String, Vec<u8>)>,
}

impl<'a> Body<'a> {
    /// The body that one frame carries: all of it for a [`RESPONSE`], and for a [`BODY`] or [`CHUNKED`] without a
    /// [`super::PIECE`] in front of it. `None` where that is cut.
    #[must_use]
    pub fn of(frame: &'a Frame) -> Option<Self> {
        Self::read(is_chunked(frame), frame.payload())
    }

    /// The body that frames carry together: those of kind [`super::PIECE`], and the [`BODY`] or [`CHUNKED`] behind them.
    #[must_use]
    pub fn join(frames: &[&Frame]) -> Option<Body<'static>> {
        let last = frames.last().filter(|last| matches!(last.kind, BODY | CHUNKED))?;
        let whole = frames.iter().flat_map(|frame| frame.payload()).copied().collect::<Vec<_>>();
        if last.kind == BODY {
            return Some(Body { data: Cow::Owned(whole), trailers: Vec::new() });
        }
        let Body { data, trailers } = Body::read(true, &whole)?;
        Some(Body { data: Cow::Owned(data.into_owned()), trailers })
    }

    fn read(is_chunked: bool, bytes: &'a [u8]) -> Option<Self> {
        if !is_chunked {
            return Some(Self { data: Cow::Borrowed(bytes), trailers: Vec::new() });
        }
        let chunked = Chunked::read(bytes)?;
        let trailers = chunked.trailers();
        let trailers = trailers.iter().map(|trailer| (trailer.name.to_owned(), trailer.value.to_vec()));
        Some(Self { data: chunked.data(), trailers: trailers.collect() })
    }
}

/// Whether the payload of that frame is in chunks.
pub(super) fn is_chunked(frame: &Frame) -> bool {
    let says = |frame: &Frame| {
        let lines = memchr_iter(b'\n', frame.head()).count();
        Says::of(Direction::ToClient, frame.head(), lines).ok()
    };
    match frame.kind {
        CHUNKED => true,
        // The answer to HEAD has the headers of another one.
        RESPONSE if !frame.payload().is_empty() => {
            says(frame).is_some_and(|says| says.coding == Coding::Chunked)
        }
        _ => false,
    }
}
