//! Heads and bodies as fields: every byte in exactly one of them.
//!
//! ```text
//! HTTP/1.1 200 OK CRLF                  version, status, reason
//! Content-Type: application/json CRLF   header.content-type
//! Via: a CRLF  Via: b CRLF              header.via.0, header.via.1: a name that comes more than once is a list
//! CRLF
//! 6 CRLF {"a":1 CRLF 2 CRLF 7} CRLF     body.a = 17, over `1 CRLF 2 CRLF 7`
//! 0 CRLF Sum: 1 CRLF CRLF               trailer.sum
//! ```
//!
//! A body is dissected without its chunks, and its fields are put back to where their bytes travelled. What stands between two
//! chunks is [`SYNTAX`] where one field ends and another one begins there; where it goes through a field it lies
//! in the span of that field. So spans keep their order, and cover everything, wherever the chunks were cut.

use std::collections::HashMap;
use std::ops::Range;

use super::chunked::Chunked;
use super::view::{Headers, Request, Response, is_chunked, span};
use super::{BODY, CHUNKED, HEAD, INTERIM, PIECE, RAW, RESPONSE, SWITCH, WHOLE};
use crate::path::Path;
use crate::{Dissection, Field, Frame, Problem, SYNTAX, UNKNOWN, Value};

/// Under which mask the field of a name stands.
type Mask<'m> = &'m dyn Fn(&str) -> Option<&'static str>;

/// What the name of a field of a body begins with.
const BODY_NAME: &str = "body";

/// Names every part of a frame. `mask` says under which mask the field of a name stands; `body` dissects a body without its
/// chunks, and the names of its fields are put behind `body`. What is no whole body is a field `body` of bytes: a [`PIECE`],
/// the rest of what was sent in pieces by chunks, and what is [`RAW`].
#[must_use]
pub fn dissect(frame: &Frame, mask: Mask<'_>, body: &dyn Fn(&[u8]) -> Dissection) -> Dissection {
    let mut walk = Walk { whole: &frame.bytes, mask, at: 0, found: dissect_head(frame, mask) };
    walk.at = walk.found.fields.last().map_or(0, |field| field.span.end);
    let chunked = is_chunked(frame).then(|| Chunked::read(frame.payload()));
    match (chunked, frame.kind) {
        _ if walk.at >= frame.bytes.len() => {}
        (Some(Some(chunked)), _) => walk.chunked(&chunked, body),
        (None, BODY | RESPONSE) => {
            let all = walk.at..frame.bytes.len();
            walk.body(std::slice::from_ref(&all), body(frame.payload()));
        }
        _ => walk.field(BODY_NAME, frame.bytes.len(), Value::Bytes),
    }
    walk.syntax_up_to(frame.bytes.len());
    walk.found
}

/// Names every part of the head of a frame: `method`, `target`, `version`, `status`, `reason`, and `header.` with the
/// name in lower case; if a name comes more than once, with the place among those behind it. Title is the first line. Of a frame
/// without a head there are no fields.
#[must_use]
pub fn dissect_head(frame: &Frame, mask: Mask<'_>) -> Dissection {
    let head = frame.head();
    let title = match frame.kind {
        BODY | CHUNKED => "body",
        PIECE => "piece",
        RAW => "raw",
        _ => "",
    };
    let found = Dissection { title: title.to_owned(), ..Dissection::default() };
    let mut walk = Walk { whole: head, mask, at: 0, found };
    let read = match frame.kind {
        HEAD | WHOLE => Request::of(frame).map(|request| walk.request(&request)),
        RESPONSE | INTERIM | SWITCH => Response::of(frame).map(|response| walk.response(&response)),
        _ => return walk.found,
    };
    if read.is_none() {
        walk.found.problems.push(Problem { span: 0..head.len(), what: "head cannot be read".to_owned() });
        walk.field(UNKNOWN, head.len(), Value::Unread);
    }
    walk.syntax_up_to(head.len());
    walk.found
}

struct Walk<'d> {
    whole: &'d [u8],
    mask: Mask<'d>,
    /// Where the bytes begin that are in no field yet.
    at: usize,
    found: Dissection,
}

impl Walk<'_> {
    fn request(&mut self, request: &Request<'_>) {
        let Request { method, target, version, headers } = request;
        self.found.title = format!("{method} {target} {version}");
        self.part("method", span(self.whole, method.as_bytes()));
        let target = span(self.whole, target.as_bytes());
        let version = target.end.saturating_add(1)..target.end.saturating_add(9);
        self.part("target", target);
        self.part("version", version);
        self.headers("header", headers, 0);
        self.found.problems = headers.problems(None);
    }

    fn response(&mut self, response: &Response<'_>) {
        let Response { version, status, reason, headers } = response;
        self.found.title = format!("{version} {status} {}", String::from_utf8_lossy(reason));
        self.part("version", 0..8);
        self.syntax_up_to(9);
        self.field("status", 12, Value::Uint((*status).into()));
        self.part("reason", span(self.whole, reason));
        self.headers("header", headers, 0);
        self.found.problems = headers.problems(Some(*status));
    }

    /// Headers that lie in bytes which begin at `from`.
    fn headers(&mut self, kind: &str, headers: &Headers<'_>, from: usize) {
        let lower = |name: &str| name.to_ascii_lowercase();
        let mut counts: HashMap<String, (usize, usize)> = HashMap::new();
        headers.iter().for_each(|header| counts.entry(lower(header.name)).or_default().0 += 1);
        for header in headers.iter() {
            let name = lower(header.name);
            let mut path = Path::default();
            path.member(kind);
            path.member(&name);
            if let Some((_, next)) = counts.get_mut(&name).filter(|(count, _)| *count > 1) {
                path.element(*next);
                *next = next.saturating_add(1);
            }
            let [_, value] = headers.spans(header);
            self.part(&path.name(), value.start.saturating_add(from)..value.end.saturating_add(from));
        }
    }

    /// Text that lies there, behind syntax.
    fn part(&mut self, name: &str, span: Range<usize>) {
        self.syntax_up_to(span.start);
        let text = self.whole.get(span.clone()).map(<[u8]>::to_vec).unwrap_or_default();
        let value = String::from_utf8(text).map_or(Value::Bytes, Value::Text);
        self.field(name, span.end, value);
    }

    fn field(&mut self, name: &str, end: usize, value: Value) {
        let mask = (self.mask)(name);
        self.push(Field { name: name.to_owned().into(), span: self.at..end, value, label: None, mask });
    }

    fn syntax_up_to(&mut self, end: usize) {
        if self.at < end {
            let (name, mask) = (SYNTAX.into(), Some(SYNTAX));
            self.push(Field { name, span: self.at..end, value: Value::Bytes, label: None, mask });
        }
    }

    /// A field at the end of those that there are.
    fn push(&mut self, field: Field) {
        let end = field.span.end.max(self.at).min(self.whole.len());
        self.found.fields.push(Field { span: self.at..end, ..field });
        self.at = end;
    }

    fn chunked(&mut self, chunked: &Chunked<'_>, body: &dyn Fn(&[u8]) -> Dissection) {
        let from = self.at;
        let moved = |span: &Range<usize>| span.start.saturating_add(from)..span.end.saturating_add(from);
        let spans = chunked.spans().iter().map(moved).collect::<Vec<_>>();
        if !spans.is_empty() {
            self.body(&spans, body(&chunked.data()));
        }
        self.headers("trailer", &chunked.trailers(), moved(&chunked.trailers_span()).start);
    }

    /// The fields of a body whose bytes lie in those spans.
    fn body(&mut self, spans: &[Range<usize>], body: Dissection) {
        let mut places = Places { spans, ends: Vec::with_capacity(spans.len()) };
        let mut end = 0_usize;
        places.ends.extend(spans.iter().map(|span| {
            end = end.saturating_add(span.len());
            end
        }));
        for field in body.fields {
            let start = places.begin(field.span.start).max(self.at);
            self.syntax_up_to(start);
            let end = if field.span.is_empty() { start } else { places.end(field.span.end) };
            let name =
                if field.name == SYNTAX { field.name } else { format!("{BODY_NAME}.{}", field.name).into() };
            self.push(Field { name, span: start..end, ..field });
        }
        let moved = |problem: Problem| {
            let start = places.begin(problem.span.start);
            let end = if problem.span.is_empty() { start } else { places.end(problem.span.end).max(start) };
            Problem { span: start..end, ..problem }
        };
        self.found.problems.extend(body.problems.into_iter().map(moved));
        self.found.policies = body.policies.within(BODY_NAME);
    }
}

/// Where the bytes of a body travelled.
struct Places<'p> {
    spans: &'p [Range<usize>],
    /// Where each of them ends in the body.
    ends: Vec<usize>,
}

impl Places<'_> {
    /// Where the byte at that offset of the body lies; behind the last one, where that ends.
    fn begin(&self, offset: usize) -> usize {
        let index = self.ends.partition_point(|end| *end <= offset);
        self.place(index, offset).unwrap_or_else(|| self.spans.last().map_or(0, |span| span.end))
    }

    /// Where the byte before that offset ends.
    fn end(&self, offset: usize) -> usize {
        let index = self.ends.partition_point(|end| *end < offset);
        self.place(index, offset).unwrap_or_else(|| self.spans.last().map_or(0, |span| span.end))
    }

    fn place(&self, index: usize, offset: usize) -> Option<usize> {
        let (span, end) = (self.spans.get(index)?, *self.ends.get(index)?);
        Some(span.end.saturating_sub(end.saturating_sub(offset)))
    }
}
