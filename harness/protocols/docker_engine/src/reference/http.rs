//! The HTTP of a daemon: how requests are read and answers written, as the server of Go does it with which a release was built.
//!
//! What is no request is answered by nobody but the parser: a status line, a type, `Connection: close`, and the status once more as
//! the body. What a handler has not read is read to its end up to [`DRAIN_MAX`]; above that the connection is closed, and the
//! answer says so.

use bytes::{Bytes, BytesMut};
use wire::http1::{
    Body, HEAD, MessageDecoder, PIECE, RESPONSE, Request, SWITCH, Version, WHOLE, chunk, last_chunk,
    response_head,
};
use wire::{DecodeError, DecodeErrorKind, Decoder as _, Direction, Frame};

use crate::dialect::Http;

/// From so many bytes on a body that no handler reads is not read at all.
///
/// `golang/go@go1.24.0:src/net/http/server.go`: `maxPostHandlerReadBytes`; measured on 20.10.5 to 29.
pub(super) const DRAIN_MAX: u64 = 256 << 10;
/// From so many bytes on a body is sent in chunks: `golang/go@go1.24.0:src/net/http/server.go`, `bufferBeforeChunkingSize`.
const SIZED_MAX: usize = 2048;
/// The same day for everybody.
const DATE: &str = "Thu, 01 Jan 2026 00:00:00 GMT";

/// A request that has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Asked {
    /// Its head.
    pub head: Frame,
    /// Its body, as far as it has come.
    pub body: Vec<u8>,
    /// What is wrong with its body.
    pub cut: Option<Cut>,
}

/// What is wrong with a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cut {
    /// The client ended its direction.
    Ended,
    /// A chunk size that is none.
    ChunkSize,
    /// A chunk size that is beyond any number.
    ChunkTooLarge,
    /// Nobody reads it.
    Unread,
}

/// What comes next of a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Next {
    /// Nothing yet.
    Waits,
    /// A request whose body is wanted, and who waits for leave to send it.
    Expects,
    /// A request.
    Asked(Asked),
    /// What is no request, and the whole answer. Nothing is read behind it.
    Refused(Bytes),
    /// What is no HTTP.
    Raw(Bytes),
}

/// One direction of a connection, read request by request.
pub(super) struct Reader {
    decoder: MessageDecoder,
    unread: BytesMut,
    head: Option<Frame>,
    pieces: Vec<Frame>,
    /// Nothing is read any more.
    is_over: bool,
    /// The client says no more.
    ended: bool,
    /// There is no HTTP any more.
    is_raw: bool,
}

impl Reader {
    /// A connection on which nothing was said yet.
    pub(super) fn new() -> Self {
        Self {
            decoder: MessageDecoder::new(Direction::ToServer),
            unread: BytesMut::new(),
            head: None,
            pieces: Vec::new(),
            is_over: false,
            ended: false,
            is_raw: false,
        }
    }

    /// Bytes that came and are not dealt with.
    pub(super) fn held(&self) -> usize {
        let pieces: usize = self.pieces.iter().map(|piece| piece.bytes.len()).sum();
        self.unread.len() + pieces
    }

    /// Keeps what came.
    pub(super) fn came(&mut self, bytes: &[u8]) {
        if !self.is_over {
            self.unread.extend_from_slice(bytes);
        }
    }

    /// The client says no more.
    pub(super) fn end(&mut self) {
        self.ended = true;
    }

    /// Whether the client says no more, and nothing of what it said is left.
    pub(super) fn is_done(&self) -> bool {
        self.is_over || (self.ended && self.unread.is_empty() && self.head.is_none())
    }

    /// Nothing more is read.
    pub(super) fn close(&mut self) {
        self.is_over = true;
        self.unread.clear();
    }

    /// Hears what was answered: behind 101 there is no HTTP.
    pub(super) fn answered(&mut self, switched: bool) {
        self.is_raw |= switched;
        let kind = if switched { SWITCH } else { RESPONSE };
        self.decoder.note_other(&Frame { kind, head_len: 0, bytes: Bytes::new() });
    }

    /// The next request. `wants` says whether the handler of a request reads its body.
    pub(super) fn next(&mut self, http: &Http, wants: impl Fn(&Request<'_>) -> bool) -> Next {
        if self.is_over {
            return Next::Waits;
        }
        if self.is_raw {
            let bytes = self.unread.split().freeze();
            return if bytes.is_empty() { Next::Waits } else { Next::Raw(bytes) };
        }
        loop {
            let found = match self.decoder.decode(&mut self.unread) {
                Ok(None) if self.ended => self.decoder.decode_eof(&mut self.unread),
                found => found,
            };
            let next = match found {
                Ok(Some(frame)) => self.frame(frame, http, &wants),
                Ok(None) => return self.early(&wants),
                Err(error) => return self.failed(error, http),
            };
            if let Some(next) = next {
                return next;
            }
        }
    }

    fn frame(&mut self, frame: Frame, http: &Http, wants: &impl Fn(&Request<'_>) -> bool) -> Option<Next> {
        match frame.kind {
            HEAD | WHOLE => {
                let Some(request) = Request::of(&frame) else {
                    self.close();
                    return Some(Next::Refused(refusal(400, "Bad Request", None)));
                };
                if let Some(refused) = refused_head(&request, http) {
                    self.close();
                    return Some(Next::Refused(refused));
                }
                if frame.kind == WHOLE {
                    return Some(Next::Asked(Asked { head: frame, body: Vec::new(), cut: None }));
                }
                let expects = request.headers.get("expect").is_some() && wants(&request);
                self.head = Some(frame);
                expects.then_some(Next::Expects)
            }
            PIECE => {
                self.pieces.push(frame);
                None
            }
            _ => {
                self.pieces.push(frame);
                let pieces = std::mem::take(&mut self.pieces);
                let body = Body::join(&pieces.iter().collect::<Vec<_>>());
                let body = body.map(|body| body.data.into_owned()).unwrap_or_default();
                Some(Next::Asked(Asked { head: self.head.take()?, body, cut: None }))
            }
        }
    }

    /// A request whose body nobody will read is answered without it.
    fn early(&mut self, wants: &impl Fn(&Request<'_>) -> bool) -> Next {
        let Some(request) = self.head.as_ref().and_then(Request::of) else { return Next::Waits };
        let announced = request.headers.get("content-length").and_then(number).unwrap_or(0);
        let is_long = announced.max(u64::try_from(self.held()).unwrap_or(u64::MAX)) >= DRAIN_MAX;
        let waits_for_leave = request.headers.get("expect").is_some();
        if (is_long || waits_for_leave)
            && !wants(&request)
            && let Some(head) = self.head.take()
        {
            self.close();
            return Next::Asked(Asked { head, body: Vec::new(), cut: Some(Cut::Unread) });
        }
        Next::Waits
    }

    fn failed(&mut self, error: DecodeError, http: &Http) -> Next {
        let (head, unread) = (self.head.take(), self.unread.split());
        self.close();
        let Some(head) = head else { return Next::Refused(refused_bytes(&unread, error, http)) };
        let cut = match error.kind {
            DecodeErrorKind::Truncated { .. } => Cut::Ended,
            DecodeErrorKind::AboveLimit { .. } => Cut::ChunkTooLarge,
            _ => Cut::ChunkSize,
        };
        Next::Asked(Asked { head, body: Vec::new(), cut: Some(cut) })
    }
}

fn number(digits: &[u8]) -> Option<u64> {
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// What the parser refuses of a head that can be read.
fn refused_head(request: &Request<'_>, http: &Http) -> Option<Bytes> {
    let hosts: Vec<_> = request.headers.all("host").collect();
    let reason = match &hosts[..] {
        [] if request.version == Version(1) => Some("missing required Host header"),
        [_, _, ..] if http.tells_many_hosts => Some("too many Host headers"),
        [_, _, ..] => None,
        [host] if !host.iter().all(|byte| byte.is_ascii_graphic()) => Some("malformed Host header"),
        _ => {
            let lines = request.headers.iter().count();
            if http.headers_max.is_some_and(|max| lines > max) {
                return Some(refusal(431, "Request Header Fields Too Large", None));
            }
            let expect = request.headers.get("expect");
            let is_known = expect.is_none_or(|expect| expect.eq_ignore_ascii_case(b"100-continue"));
            return (!is_known).then(|| {
                Bytes::from_static(
                    b"HTTP/1.1 417 Expectation Failed\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
                )
            });
        }
    };
    Some(refusal(400, "Bad Request", reason))
}

/// What the parser says of bytes that are no request.
fn refused_bytes(bytes: &[u8], error: DecodeError, http: &Http) -> Bytes {
    let line = bytes.split(|byte| *byte == b'\n').next().unwrap_or_default().trim_ascii();
    let version = line.rsplit(|byte| *byte == b' ').next().unwrap_or_default();
    let is_version = matches!(version, [b'H', b'T', b'T', b'P', b'/', major, b'.', minor]
        if major.is_ascii_digit() && minor.is_ascii_digit());
    let words = line.split(|byte| *byte == b' ').count();
    if line == b"PRI * HTTP/2.0" {
        return redirect("/%2A");
    }
    if words == 3 && is_version && !version.starts_with(b"HTTP/1.") {
        let reason = Some("unsupported protocol version");
        return match http.unknown_version_is_400 {
            true => refusal(400, "Bad Request", reason),
            false => refusal(505, "HTTP Version Not Supported", reason),
        };
    }
    if matches!(error.kind, DecodeErrorKind::AboveLimit { .. }) {
        return refusal(431, "Request Header Fields Too Large", None);
    }
    let at = usize::try_from(error.offset).unwrap_or(usize::MAX);
    let from = bytes.get(at..).unwrap_or_default();
    let wrong = from.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let reason = match error.field {
        "header-name" if wrong.contains(&b':') => Some("invalid header name"),
        "header-value" if http.tells_bad_value => Some("invalid header value"),
        _ => None,
    };
    refusal(400, "Bad Request", reason)
}

/// A refusal by the parser.
fn refusal(status: u16, text: &str, reason: Option<&str>) -> Bytes {
    let said = reason.map(|reason| format!(": {reason}")).unwrap_or_default();
    format!(
        "HTTP/1.1 {status} {text}{said}\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\n\
         {status} {text}{said}"
    )
    .into()
}

/// The way to a path that is written otherwise.
fn redirect(location: &str) -> Bytes {
    format!("HTTP/1.1 301 Moved Permanently\r\nLocation: {location}\r\nConnection: close\r\nDate: {DATE}\r\nContent-Length: 0\r\n\r\n")
        .into()
}

/// An answer of a handler.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Reply {
    /// The status, and its words.
    pub status: (u16, &'static str),
    /// Headers besides those of the body.
    pub headers: Vec<(&'static str, String)>,
    /// The body.
    pub body: Vec<u8>,
    /// How the body ends.
    pub ends: Ends,
}

/// How a body ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Ends {
    /// With its length, or its last chunk where it is long.
    #[default]
    Known,
    /// With its last chunk.
    Chunks,
    /// With the connection.
    Closed,
    /// There is none.
    None,
}

impl Reply {
    /// Writes it, for a request with HEAD without its body. `closes` says that the connection is closed behind it.
    pub(super) fn write(&self, version: Version, is_head: bool, closes: bool) -> Bytes {
        let (status, reason) = self.status;
        let mut headers = self.headers.clone();
        if status != 101 && self.ends != Ends::Closed {
            headers.push(("Date", DATE.to_owned()));
        }
        let in_chunks =
            self.ends == Ends::Chunks || (self.ends == Ends::Known && self.body.len() > SIZED_MAX);
        match self.ends {
            _ if in_chunks => headers.push(("Transfer-Encoding", "chunked".to_owned())),
            Ends::Known => headers.push(("Content-Length", self.body.len().to_string())),
            _ => {}
        }
        if closes && self.ends != Ends::Closed {
            headers.push(("Connection", "close".to_owned()));
        }
        let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let head = response_head(status, reason, version, &headers).unwrap_or_default();
        if is_head || self.ends == Ends::None {
            return head;
        }
        let body = if in_chunks { [chunk(&self.body), last()].concat() } else { self.body.clone() };
        [&head[..], &body].concat().into()
    }
}

/// The last chunk.
pub(super) fn last() -> Bytes {
    last_chunk(&[]).unwrap_or_default()
}
