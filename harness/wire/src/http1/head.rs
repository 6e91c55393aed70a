//! Heads: where they end, and what they say of what follows.

use std::mem::MaybeUninit;

use memchr::{memchr, memchr_iter};

use super::chunked::above;
use super::{HEAD_LEN_MAX, LINES_MAX};
use crate::stream::as_u64;
use crate::{DecodeErrorKind, Direction, Fault, Step};

/// Finds the end of a head, and remembers how far it has looked.
#[derive(Debug, Clone, Default)]
pub(super) struct Lines {
    /// Where the line under way begins.
    line: usize,
    /// Up to where there is no LF that was not looked at.
    scanned: usize,
    /// How many lines there were, but for empty ones before the first.
    count: usize,
    /// Where the first line begins that is not empty.
    first: usize,
    /// Its front was looked at, and all of it.
    peeked: bool,
    checked: bool,
}

/// What was found of a head.
#[derive(Debug, Clone, Copy)]
pub(super) enum Seen {
    /// All of it, and how long it is.
    Head(Says, usize),
    /// A part of it, or nothing.
    Part(Step),
}

/// So many bytes of a first line are looked at before it is complete.
const PEEK_LEN: usize = 64;

impl Lines {
    /// Goes on in the same bytes, and perhaps more.
    #[inline]
    pub(super) fn step(&mut self, dir: Direction, src: &[u8]) -> Result<Seen, Fault> {
        if self.scanned == 0
            && let Some((says, len)) = Says::at_once(dir, src)?
        {
            return Ok(Seen::Head(says, len));
        }
        self.look(dir, src)
    }

    fn look(&mut self, dir: Direction, src: &[u8]) -> Result<Seen, Fault> {
        let window = src.get(..HEAD_LEN_MAX).unwrap_or(src);
        let from = self.scanned;
        for lf in memchr_iter(b'\n', window.get(from..).unwrap_or(&[])) {
            let lf = from.saturating_add(lf);
            if !ends_in_crlf(window, self.line, lf) {
                return Err(first_of(dir, src, self.first, syntax("line-end", lf)));
            }
            let behind = lf.saturating_add(1);
            let is_empty = behind == self.line.saturating_add(2);
            self.line = behind;
            if !is_empty {
                self.count = self.count.saturating_add(1);
            } else if self.count > 0 {
                let head = src.get(..behind).unwrap_or(src);
                return Ok(Seen::Head(Says::of(dir, head, self.count)?, behind));
            } else if dir == Direction::ToClient {
                return Err(syntax("start-line", 0));
            } else {
                self.first = behind;
            }
        }
        self.scanned = window.len();
        self.partial(dir, src).map(Seen::Part)
    }

    #[cold]
    fn partial(&mut self, dir: Direction, src: &[u8]) -> Result<Step, Fault> {
        if src.len() > HEAD_LEN_MAX {
            return Err(first_of(dir, src, self.first, above("head", HEAD_LEN_MAX, 0)));
        }
        if self.count > LINES_MAX {
            return Err(first_of(dir, src, self.first, above("headers", LINES_MAX, 0)));
        }
        if src.is_empty() {
            return Ok(Step::Boundary);
        }
        let is_whole = self.count > 0;
        if (is_whole && !self.checked) || !self.peeked {
            check_first_line(dir, src, self.first)?;
            self.checked = is_whole;
            self.peeked = is_whole || src.len() >= self.first.saturating_add(PEEK_LEN);
        }
        Ok(Step::Partial { field: "head", at: 0, needed: as_u64(src.len()).saturating_add(1) })
    }
}

/// Whether the LF there ends a line that begins at `line` with a CR LF.
#[inline]
pub(super) fn ends_in_crlf(src: &[u8], line: usize, lf: usize) -> bool {
    lf.checked_sub(1).is_some_and(|cr| cr >= line && src.get(cr) == Some(&b'\r'))
}

/// Of two faults the one that is found first however the bytes come: that of the first line.
#[cold]
fn first_of(dir: Direction, src: &[u8], first: usize, later: Fault) -> Fault {
    check_first_line(dir, src, first).err().unwrap_or(later)
}

/// Looks at the first line, up to its end or [`PEEK_LEN`].
fn check_first_line(dir: Direction, src: &[u8], first: usize) -> Result<(), Fault> {
    let line = src.get(first..).unwrap_or(&[]);
    let end = memchr(b'\n', line).map_or(PEEK_LEN, |lf| lf.saturating_add(1));
    let line = line.get(..end).unwrap_or(line);
    let parsed = match dir {
        Direction::ToServer => httparse::Request::new(&mut []).parse(line).map(|_| ()),
        Direction::ToClient => httparse::Response::new(&mut []).parse(line).map(|_| ()),
    };
    parsed.map_err(|error| syntax(first_line_field(error), first))
}

fn first_line_field(error: httparse::Error) -> &'static str {
    match error {
        httparse::Error::Version => "version",
        httparse::Error::Status => "status",
        _ => "start-line",
    }
}

fn syntax(field: &'static str, at: usize) -> Fault {
    Fault { kind: DecodeErrorKind::Syntax, field, at }
}

/// The same fault in bytes that begin so far in front.
pub(super) fn moved(fault: Fault, by: usize) -> Fault {
    Fault { at: fault.at.saturating_add(by), ..fault }
}

/// How long what follows a head is, as far as the head says that.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Says {
    pub(super) length: Option<u64>,
    pub(super) coding: Coding,
    /// The client wants to leave HTTP.
    pub(super) upgrade: bool,
    /// That of an answer.
    pub(super) status: u16,
}

/// How a body is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Coding {
    /// As it is.
    #[default]
    Plain,
    /// In chunks.
    Chunked,
    /// Something that has no end of its own.
    Other,
}

/// Room for the headers of nearly all heads, without an allocation.
const FEW: usize = 64;

/// What httparse makes of a head.
enum Read {
    /// It reads it, up to there.
    Head(Says, usize),
    /// It does, and what the head says is wrong.
    Fault(Fault),
    /// It does not read it.
    Refused(httparse::Error),
    /// It is not complete, or its lines do not end in CR LF.
    Other,
}

impl Says {
    /// Reads a head at the front of `src` and says how long it is, if there is nothing odd about it; without looking for
    /// its end first.
    #[inline]
    pub(super) fn at_once(dir: Direction, src: &[u8]) -> Result<Option<(Self, usize)>, Fault> {
        if matches!(src, [] | [b'\r' | b'\n', ..]) {
            return Ok(None);
        }
        let window = src.get(..HEAD_LEN_MAX).unwrap_or(src);
        match Self::read(dir, window, &mut [const { MaybeUninit::uninit() }; FEW]) {
            Read::Head(says, len) => Ok(Some((says, len))),
            Read::Fault(fault) => Err(fault),
            _ => Ok(None),
        }
    }

    /// Reads a whole head of that many lines, which end in CR LF.
    #[inline]
    pub(super) fn of(dir: Direction, head: &[u8], lines: usize) -> Result<Self, Fault> {
        if lines > LINES_MAX {
            return Err(first_of(dir, head, blank(head), above("headers", LINES_MAX, 0)));
        }
        let read = if lines <= FEW {
            Self::read(dir, head, &mut [const { MaybeUninit::uninit() }; FEW])
        } else {
            let steps = [1 << 10, 8 << 10, LINES_MAX];
            let room = steps.into_iter().find(|room| lines <= *room).unwrap_or(LINES_MAX);
            Self::read(dir, head, &mut vec![MaybeUninit::uninit(); room])
        };
        match read {
            Read::Head(says, _) => Ok(says),
            Read::Fault(fault) => Err(fault),
            Read::Refused(error) => Err(refused(dir, head, error)),
            Read::Other => Err(syntax("head", 0)),
        }
    }

    #[inline]
    fn read<'h>(dir: Direction, src: &'h [u8], room: &mut [MaybeUninit<httparse::Header<'h>>]) -> Read {
        let config = httparse::ParserConfig::default();
        let mut says = Self::default();
        let (read, headers, minor) = match dir {
            Direction::ToServer => {
                let mut request = httparse::Request::new(&mut []);
                let read = config.parse_request_with_uninit_headers(&mut request, src, room);
                (read, &*request.headers, request.version)
            }
            Direction::ToClient => {
                let mut response = httparse::Response::new(&mut []);
                let read = config.parse_response_with_uninit_headers(&mut response, src, room);
                says.status = response.code.unwrap_or(0);
                (read, &*response.headers, response.version)
            }
        };
        let len = match read {
            Ok(httparse::Status::Complete(len)) => len,
            Ok(httparse::Status::Partial) => return Read::Other,
            Err(error) => return Read::Refused(error),
        };
        if !lines_end_in_crlf(src, headers, len) {
            return Read::Other;
        }
        if dir == Direction::ToClient && says.status < 100 {
            return Read::Fault(syntax("status", 0));
        }
        match says.look_at(dir, src, headers, minor) {
            Ok(()) => Read::Head(says, len),
            Err(fault) => Read::Fault(fault),
        }
    }

    #[inline]
    fn look_at(
        &mut self,
        dir: Direction,
        head: &[u8],
        headers: &[httparse::Header<'_>],
        minor: Option<u8>,
    ) -> Result<(), Fault> {
        let mut codings: Option<Codings> = None;
        for header in headers {
            // Only names of these lengths matter.
            match header.name.len() {
                7 if header.name.eq_ignore_ascii_case("upgrade") => self.upgrade |= !header.value.is_empty(),
                14 if header.name.eq_ignore_ascii_case("content-length") => {
                    let length =
                        decimal(header.value).filter(|length| self.length.is_none_or(|l| l == *length));
                    let fault = || syntax("content-length", offset(head, header.name.as_bytes()));
                    self.length = Some(length.ok_or_else(fault)?);
                }
                17 if header.name.eq_ignore_ascii_case("transfer-encoding") => {
                    let at = offset(head, header.name.as_bytes());
                    let found = codings.get_or_insert_default();
                    if !found.add(header.value) {
                        return Err(syntax("transfer-encoding", at));
                    }
                    found.at = at;
                }
                _ => {}
            }
        }
        let Some(codings) = codings else { return Ok(()) };
        // RFC 9112, section 6.1: in HTTP/1.0 the framing is faulty then. Section 6.3: nobody knows the length of a request
        // whose last coding is another one, and an answer goes on to the end; a length beside it would be read by some.
        self.coding = if codings.ends_in_chunked { Coding::Chunked } else { Coding::Other };
        let unclear = dir == Direction::ToServer || self.length.is_some();
        if minor == Some(0) || (self.coding == Coding::Other && unclear) {
            return Err(syntax("transfer-encoding", codings.at));
        }
        Ok(())
    }
}

/// Whether there is a CR before the LF of each line of a head that httparse has read, which would do without: behind each
/// line there is the name of a header, or the empty line.
#[inline]
fn lines_end_in_crlf(src: &[u8], headers: &[httparse::Header<'_>], len: usize) -> bool {
    let ends = |at: usize| at.checked_sub(2).and_then(|cr| src.get(cr)) == Some(&b'\r');
    let last = len.saturating_sub(2);
    ends(len) && ends(last) && headers.iter().all(|header| ends(offset(src, header.name.as_bytes())))
}

/// What the Transfer-Encoding headers of a head say, in a row.
#[derive(Debug, Clone, Copy, Default)]
struct Codings {
    ends_in_chunked: bool,
    /// Where the last of the headers lies.
    at: usize,
}

impl Codings {
    /// Whether that can stand behind what there is: names of codings, `chunked` last and once. Parameters, which no coding
    /// that is used has, and empty places in the list are read in too many ways.
    fn add(&mut self, value: &[u8]) -> bool {
        value.split(|byte| *byte == b',').all(|coding| {
            let coding = coding.trim_ascii();
            let is_name = !coding.is_empty() && coding.iter().all(|byte| is_token(*byte));
            // Behind `chunked` nobody is sure of what is what.
            let can_be = is_name && !self.ends_in_chunked;
            self.ends_in_chunked = coding.eq_ignore_ascii_case(b"chunked");
            can_be
        })
    }
}

/// RFC 9110, section 5.6.2.
pub(super) fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// Digits and nothing else, as a number of 64 bits.
fn decimal(value: &[u8]) -> Option<u64> {
    let digit = |byte: &u8| byte.is_ascii_digit().then(|| u64::from(byte - b'0'));
    let number =
        value.iter().try_fold(0_u64, |number, byte| number.checked_mul(10)?.checked_add(digit(byte)?));
    number.filter(|_| !value.is_empty())
}

/// Where a part of `whole` begins in it.
#[inline]
pub(super) fn offset(whole: &[u8], part: &[u8]) -> usize {
    part.as_ptr().addr().saturating_sub(whole.as_ptr().addr()).min(whole.len())
}

/// Looks at headers up to their empty line.
pub(super) fn check_headers(headers: &[u8], lines: usize) -> Result<(), Fault> {
    let mut room = vec![httparse::EMPTY_HEADER; lines.min(LINES_MAX)];
    match httparse::parse_headers(headers, &mut room) {
        Ok(_) => Ok(()),
        Err(error) => Err(refused_header(headers, error)),
    }
}

/// What in a whole head is wrong.
#[cold]
fn refused(dir: Direction, head: &[u8], error: httparse::Error) -> Fault {
    let begin = blank(head);
    if let Err(fault) = check_first_line(dir, head, begin) {
        return fault;
    }
    let line = head.get(begin..).unwrap_or(&[]);
    let first = memchr(b'\n', line).map_or(head.len(), |lf| begin.saturating_add(lf).saturating_add(1));
    moved(refused_header(head.get(first..).unwrap_or(&[]), error), first)
}

/// Length of the empty lines before a head.
fn blank(head: &[u8]) -> usize {
    head.chunks_exact(2).take_while(|pair| pair == b"\r\n").count().saturating_mul(2)
}

/// The first of the lines that is no header.
fn refused_header(lines: &[u8], error: httparse::Error) -> Fault {
    let mut at = 0_usize;
    for line in lines.split_inclusive(|byte| *byte == b'\n') {
        if let Err(error) = httparse::parse_headers(line, &mut [httparse::EMPTY_HEADER; 1]) {
            return syntax(header_field(error), at);
        }
        at = at.saturating_add(line.len());
    }
    syntax(header_field(error), 0)
}

fn header_field(error: httparse::Error) -> &'static str {
    match error {
        httparse::Error::HeaderValue => "header-value",
        httparse::Error::HeaderName => "header-name",
        _ => "header",
    }
}
