//! Bodies in chunks.
//!
//! ```text
//! 5 ; a=b CRLF     the line: size in hexadecimal digits, extensions
//! hello CRLF       data
//! 0 CRLF           the last chunk
//! Sum: 1 CRLF      trailers
//! CRLF
//! ```

use std::borrow::Cow;
use std::ops::Range;

use memchr::memchr;

use super::view::Headers;
use super::{BODY_LEN_MAX, BODY_PIECE_MAX, CHUNK_LINE_MAX, TRAILERS_LEN_MAX, head};
use crate::stream::as_u64;
use crate::{DecodeErrorKind, Fault, Step};

/// Finds the end of a body in chunks, and remembers how far it has looked.
#[derive(Debug, Clone)]
pub(super) struct Chunks {
    element: Element,
    /// Where the element under way begins.
    at: usize,
    /// Up to where there is no LF that was not looked at.
    scanned: usize,
    /// Data and everything else that was announced so far.
    data: u64,
    lines: u64,
    limits: Limits,
}

/// What a body in chunks consists of.
#[derive(Debug, Clone, Copy)]
enum Element {
    /// The line with the size.
    Line,
    /// That many bytes of data.
    Data(u64),
    /// The CRLF behind them.
    End,
    /// Trailers, whose next line begins there, and how many lines there were.
    Trailers { line: usize, count: usize },
}

#[derive(Debug, Clone, Copy)]
struct Limits {
    /// Longer bodies are cut.
    piece: usize,
    data: u64,
    lines: u64,
}

/// What was found of a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Found {
    /// It is not complete.
    Partial(Step),
    /// A piece of that length.
    Piece(usize),
    /// All of it, and where the trailers begin.
    Complete { trailers: usize, end: usize },
}

impl Chunks {
    /// Those of a request, which is cut in pieces.
    pub(super) fn of_request() -> Self {
        Self::at(0, Limits { piece: BODY_PIECE_MAX, data: u64::MAX, lines: u64::MAX })
    }

    /// Those of an answer behind its head.
    pub(super) fn of_response(head_len: usize) -> Self {
        Self::at(head_len, Limits { piece: usize::MAX, data: BODY_LEN_MAX, lines: BODY_LEN_MAX })
    }

    fn unlimited() -> Self {
        Self::at(0, Limits { piece: usize::MAX, data: u64::MAX, lines: u64::MAX })
    }

    fn at(at: usize, limits: Limits) -> Self {
        Self { element: Element::Line, at, scanned: at, data: 0, lines: 0, limits }
    }

    /// Goes on in the same bytes, and perhaps more. The data of each chunk is shown when it is complete.
    #[inline]
    pub(super) fn step(&mut self, src: &[u8], mut show: impl FnMut(Range<usize>)) -> Result<Found, Fault> {
        loop {
            self.whole_chunks(src, &mut show);
            // What might not fit in this piece begins the next one, whatever its length is.
            let longest = match self.element {
                Element::Line => CHUNK_LINE_MAX,
                Element::Data(_) => 0,
                Element::End => 2,
                Element::Trailers { .. } => TRAILERS_LEN_MAX,
            };
            if self.at.saturating_add(longest) > self.limits.piece {
                return Ok(self.cut(self.at));
            }
            let found = match self.element {
                Element::Line => self.line(src)?,
                Element::Data(left) => self.data(src, left, &mut show),
                Element::End => self.end(src)?,
                Element::Trailers { line, count } => self.trailers(src, line, count)?,
            };
            if let Some(found) = found {
                return Ok(found);
            }
        }
    }

    /// Passes over chunks that are all there, far from every limit, and nothing but digits and data.
    #[inline]
    fn whole_chunks(&mut self, src: &[u8], show: &mut impl FnMut(Range<usize>)) {
        if !matches!(self.element, Element::Line) {
            return;
        }
        let (mut at, mut data, mut lines) = (self.at, self.data, self.lines);
        let limit = self.limits.piece.saturating_sub(CHUNK_LINE_MAX);
        while let Some(rest) = src.get(at..) {
            let (Some(size @ 1..), digits) = size(rest) else { break };
            let (Ok(len), begin) = (usize::try_from(size), digits + 2) else { break };
            let end = begin.saturating_add(len);
            let Some([b'\r', b'\n']) = rest.get(digits..begin) else { break };
            let Some([b'\r', b'\n']) = rest.get(end..end.saturating_add(2)) else { break };
            let behind = at.saturating_add(end).saturating_add(2);
            let sums = (data.saturating_add(size), lines.saturating_add(as_u64(digits)).saturating_add(4));
            if behind > limit || sums.0 > self.limits.data || sums.1 > self.limits.lines {
                break;
            }
            show(at.saturating_add(begin)..at.saturating_add(end));
            (at, data, lines) = (behind, sums.0, sums.1);
        }
        (self.data, self.lines) = (data, lines);
        if at != self.at {
            self.begin(Element::Line, at);
        }
    }

    fn cut(&mut self, len: usize) -> Found {
        (self.at, self.scanned) = (0, 0);
        if let Element::Trailers { line, .. } = &mut self.element {
            *line = 0;
        }
        Found::Piece(len)
    }

    fn begin(&mut self, element: Element, at: usize) {
        (self.element, self.at, self.scanned) = (element, at, at);
    }

    #[inline]
    fn line(&mut self, src: &[u8]) -> Result<Option<Found>, Fault> {
        let line = src.get(self.at..).unwrap_or(&[]);
        let (size, digits) = size(line);
        // Most lines are digits and CRLF.
        let behind = match line.get(digits..digits.saturating_add(2)) {
            Some(b"\r\n") if digits > 0 => self.at.saturating_add(digits + 2),
            _ => match self.odd_line(src, digits)? {
                Some(behind) => behind,
                None => return Ok(Some(partial("chunk-size", self.at, src))),
            },
        };
        let size = size.ok_or(syntax("chunk-size", self.at))?;
        self.data = self.data.saturating_add(size);
        self.lines = self.lines.saturating_add(as_u64(behind.saturating_sub(self.at)).saturating_add(2));
        let sums =
            [(self.data, self.limits.data, "chunk-size"), (self.lines, self.limits.lines, "chunk-line")];
        for (announced, limit, field) in sums {
            if announced > limit {
                return Err(Fault {
                    kind: DecodeErrorKind::AboveLimit { announced, limit },
                    field,
                    at: self.at,
                });
            }
        }
        let next = if size == 0 { Element::Trailers { line: behind, count: 0 } } else { Element::Data(size) };
        self.begin(next, behind);
        Ok(None)
    }

    /// Where a line ends that is more than digits, or not all there.
    #[cold]
    fn odd_line(&mut self, src: &[u8], digits: usize) -> Result<Option<usize>, Fault> {
        let end = self.at.saturating_add(CHUNK_LINE_MAX);
        let window = src.get(self.scanned..end.min(src.len())).unwrap_or(&[]);
        let Some(lf) = memchr(b'\n', window) else {
            self.scanned = self.scanned.saturating_add(window.len());
            return if src.len() >= end {
                Err(above("chunk-line", CHUNK_LINE_MAX, self.at))
            } else {
                Ok(None)
            };
        };
        let lf = self.scanned.saturating_add(lf);
        let line = src.get(self.at..lf).and_then(|line| line.strip_suffix(b"\r"));
        let line = line.ok_or(syntax("line-end", lf))?;
        let extensions = line.get(digits..).unwrap_or(&[]);
        if digits == 0 || !matches!(extensions, [] | [b';', ..]) {
            return Err(syntax("chunk-size", self.at));
        }
        if extensions.iter().any(|byte| byte.is_ascii_control() && *byte != b'\t') {
            return Err(syntax("chunk-extension", self.at.saturating_add(digits)));
        }
        Ok(Some(lf.saturating_add(1)))
    }

    #[inline]
    fn data(&mut self, src: &[u8], left: u64, show: &mut impl FnMut(Range<usize>)) -> Option<Found> {
        let len = usize::try_from(left).unwrap_or(usize::MAX);
        let end = self.at.saturating_add(len);
        let fits = end <= self.limits.piece;
        let needed = if fits { end } else { self.limits.piece };
        if src.len() < needed {
            // The CRLF belongs to it, where there is room for that.
            let all =
                if needed.saturating_add(2) <= self.limits.piece { needed.saturating_add(2) } else { needed };
            let needed = as_u64(all.saturating_sub(self.at));
            return Some(Found::Partial(Step::Partial { field: "chunk", at: self.at, needed }));
        }
        show(self.at..needed);
        if fits {
            self.begin(Element::End, end);
            return None;
        }
        let taken = needed.saturating_sub(self.at);
        self.element = Element::Data(left.saturating_sub(as_u64(taken)));
        Some(self.cut(needed))
    }

    #[inline]
    fn end(&mut self, src: &[u8]) -> Result<Option<Found>, Fault> {
        match src.get(self.at..).unwrap_or(&[]) {
            [b'\r', b'\n', ..] => {
                self.begin(Element::Line, self.at.saturating_add(2));
                Ok(None)
            }
            [] | [b'\r'] => {
                let step = Step::Partial { field: "chunk-end", at: self.at, needed: 2 };
                Ok(Some(Found::Partial(step)))
            }
            _ => Err(syntax("chunk-end", self.at)),
        }
    }

    fn trailers(&mut self, src: &[u8], line: usize, count: usize) -> Result<Option<Found>, Fault> {
        let (mut line, mut count) = (line, count);
        let end = self.at.saturating_add(TRAILERS_LEN_MAX);
        let window = src.get(..end.min(src.len())).unwrap_or(&[]);
        while let Some(lf) = memchr(b'\n', window.get(self.scanned..).unwrap_or(&[])) {
            let lf = self.scanned.saturating_add(lf);
            if !head::ends_in_crlf(window, line, lf) {
                return Err(syntax("line-end", lf));
            }
            let behind = lf.saturating_add(1);
            if behind == line.saturating_add(2) {
                let trailers = window.get(self.at..behind).unwrap_or(&[]);
                head::check_headers(trailers, count).map_err(|fault| head::moved(fault, self.at))?;
                return Ok(Some(Found::Complete { trailers: self.at, end: behind }));
            }
            (self.scanned, line, count) = (behind, behind, count.saturating_add(1));
        }
        self.scanned = window.len().max(self.at);
        self.element = Element::Trailers { line, count };
        if src.len() >= end {
            return Err(above("trailers", TRAILERS_LEN_MAX, self.at));
        }
        Ok(Some(partial("trailers", self.at, src)))
    }
}

/// The number that up to 16 hexadecimal digits at the front are, and how many digits there are; no number where there are more.
#[inline]
fn size(line: &[u8]) -> (Option<u64>, usize) {
    let (mut size, mut digits) = (0_u64, 0_usize);
    for byte in line {
        let digit = match byte {
            b'0'..=b'9' => byte - b'0',
            b'a'..=b'f' => byte - b'a' + 10,
            b'A'..=b'F' => byte - b'A' + 10,
            _ => break,
        };
        if digits == 16 {
            return (None, digits);
        }
        size = size << 4 | u64::from(digit);
        digits += 1;
    }
    (Some(size), digits)
}

fn partial(field: &'static str, at: usize, src: &[u8]) -> Found {
    Found::Partial(Step::Partial {
        field,
        at,
        needed: as_u64(src.len().saturating_sub(at)).saturating_add(1),
    })
}

fn syntax(field: &'static str, at: usize) -> Fault {
    Fault { kind: DecodeErrorKind::Syntax, field, at }
}

/// Something is longer than its limit; by how much, nobody knows.
pub(super) fn above(field: &'static str, limit: usize, at: usize) -> Fault {
    let limit = as_u64(limit);
    Fault { kind: DecodeErrorKind::AboveLimit { announced: limit.saturating_add(1), limit }, field, at }
}

/// A whole body in chunks.
#[derive(Debug, Clone)]
pub struct Chunked<'a> {
    bytes: &'a [u8],
    data: Vec<Range<usize>>,
    trailers: Range<usize>,
}

impl<'a> Chunked<'a> {
    /// Reads a body that is all of `bytes`; `None` if it is none.
    #[must_use]
    pub fn read(bytes: &'a [u8]) -> Option<Self> {
        let mut data = Vec::new();
        match Chunks::unlimited().step(bytes, |span| data.push(span)) {
            Ok(Found::Complete { trailers, end }) if end == bytes.len() => {
                Some(Self { bytes, data, trailers: trailers..end })
            }
            _ => None,
        }
    }

    /// The data without what it was sent in.
    #[must_use]
    pub fn data(&self) -> Cow<'a, [u8]> {
        let part = |span: &Range<usize>| self.bytes.get(span.clone()).unwrap_or(&[]);
        match &self.data[..] {
            [] => Cow::Borrowed(&[]),
            [one] => Cow::Borrowed(part(one)),
            many => Cow::Owned(many.iter().flat_map(part).copied().collect()),
        }
    }

    /// Where the data of each chunk lies.
    #[must_use]
    pub fn spans(&self) -> &[Range<usize>] {
        &self.data
    }

    /// The headers behind the last chunk.
    #[must_use]
    pub fn trailers(&self) -> Headers<'a> {
        Headers::of_trailers(self.bytes.get(self.trailers.clone()).unwrap_or(&[]))
    }

    /// Where they lie, with the empty line behind them.
    #[must_use]
    pub fn trailers_span(&self) -> Range<usize> {
        self.trailers.clone()
    }
}
