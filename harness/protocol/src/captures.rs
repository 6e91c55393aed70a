//! What later requests of a recording quote of its replies: names that the server gave, e.g. the id of what was created.
//!
//! ```text
//! recorded    s2c {"Id":"5c1e…"}   mark capture field=body.Id var=id-1   c2s POST /containers/5c1e…/start
//! played      s2c {"Id":"90ab…"}   Step::Capture                         c2s POST /containers/90ab…/start
//! ```
//!
//! The grammar says which fields may be quoted ([`Grammar::quotable`]). Where something is recorded, [`give`] marks those that
//! are; from the marks, [`crate::replay::script`] makes steps and templates. A value of which later bytes hold too little to be
//! no accident is left as it is.

use std::collections::BTreeMap;
use std::ops::Range;

use bytes::Bytes;
use session::{Payload, Piece, Template};
use transcript::evidence::Capture;
use transcript::{ConnId, Event, EventKind, Transcript};
use verdict::{Grammar, Reading, ReplyAt, quoted};
use wire::Direction;

/// What is shorter is found by accident.
const QUOTED_LEN_MIN: usize = 8;

/// What is wrong with the captures of a recording.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("event {event}: {kind}")]
pub struct BadCapture {
    /// Index of the mark, or of the reply that has none.
    pub event: usize,
    /// What is wrong there.
    pub kind: BadCaptureKind,
}

/// The kinds of [`BadCapture`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadCaptureKind {
    /// There is nothing in front of the mark.
    #[error("`mark capture field={0}` stands behind no reply")]
    NoReply(String),
    /// The reply does not have what is to be captured.
    #[error(
        "`mark capture field={0}` stands behind a reply that has no such field, or no text or number in it"
    )]
    NoField(String),
    /// A later request quotes what nobody captures: played again, it would send what another server has never heard of.
    #[error(
        "a later request quotes `{0}` of this reply, and no `mark capture` behind it says so; import or record it anew"
    )]
    Unmarked(String),
}

/// A value that a recording has captured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Captured {
    /// Index of the mark.
    pub event: usize,
    /// What is captured.
    pub capture: Capture,
    /// What it was.
    pub value: String,
    /// Index of the event that holds the reply.
    reply: usize,
}

/// The captures of a recording, in its order.
///
/// # Errors
/// A mark stands behind nothing that it could mean.
pub fn captured(
    transcript: &Transcript,
    reading: &Reading,
    grammar: &dyn Grammar,
) -> Result<Vec<Captured>, BadCapture> {
    let marks = transcript.events.iter().enumerate().filter_map(|(at, event)| {
        let EventKind::Mark(mark) = &event.kind else { return None };
        let capture = Capture::of_mark(mark).filter(|_| event.conn != ConnId(0))?;
        Some((at, event.conn, capture))
    });
    let value = |(event, conn, capture): (usize, ConnId, Capture)| {
        let bad = |kind: fn(String) -> _| BadCapture { event, kind: kind(capture.field.clone()) };
        let reply = last_reply(reading, conn, event);
        let last = reply.last().ok_or_else(|| bad(BadCaptureKind::NoReply))?.at.event;
        let value = value(grammar, &reply, &capture.field).ok_or_else(|| bad(BadCaptureKind::NoField))?;
        Ok(Captured { event, capture, value, reply: last })
    };
    marks.map(value).collect()
}

/// The same of a recording that has a mark for whatever it quotes.
///
/// # Errors
/// The same, or a mark is missing.
pub fn checked(
    transcript: &Transcript,
    reading: &Reading,
    grammar: &dyn Grammar,
) -> Result<Vec<Captured>, BadCapture> {
    let marked = captured(transcript, reading, grammar)?;
    match unmarked(transcript, reading, grammar, &marked).into_iter().next() {
        Some(Due { event, capture, .. }) => {
            Err(BadCapture { event, kind: BadCaptureKind::Unmarked(capture.field) })
        }
        None => Ok(marked),
    }
}

/// Puts a mark behind each reply of which later requests quote something, unless it is there.
///
/// # Errors
/// A mark that is there means nothing.
pub fn give(transcript: &mut Transcript, grammar: &dyn Grammar) -> Result<(), BadCapture> {
    let reading = Reading::of(transcript, grammar);
    let marked = captured(transcript, &reading, grammar)?;
    for Due { event, conn, capture } in unmarked(transcript, &reading, grammar, &marked).into_iter().rev() {
        // The reply was found there.
        let at_us = transcript.events[event].at_us;
        let kind = EventKind::Mark(capture.mark());
        transcript.events.insert(event + 1, Event { at_us, conn, dir: Direction::ToServer, kind });
    }
    Ok(())
}

/// A mark that is to stand behind an event.
struct Due {
    event: usize,
    conn: ConnId,
    capture: Capture,
}

fn unmarked(
    transcript: &Transcript,
    reading: &Reading,
    grammar: &dyn Grammar,
    marked: &[Captured],
) -> Vec<Due> {
    let mut known: BTreeMap<String, usize> = BTreeMap::new();
    for captured in marked {
        known.entry(captured.value.clone()).or_insert(captured.reply);
    }
    let mut replies: Vec<_> = replies(reading).collect();
    replies.sort_by_key(|(_, reply)| reply.at.event);
    let mut numbers = (1..).map(|number| format!("id-{number}"));
    let mut due = Vec::new();
    for (conn, reply) in replies {
        let event = reply.at.event;
        for quotable in grammar.quotable(&reply.at.frame, reply.request.as_ref()) {
            let field = quotable.field.into_owned();
            let last = last_reply(reading, conn, event + 1);
            let Some(value) = value(grammar, &[reply], &field) else { continue };
            let is_known = known.get(&value).is_some_and(|reply| *reply <= event);
            // What a later part of the same read says is what a script would find.
            let is_found = self::value(grammar, &last, &field).as_ref() == Some(&value);
            let mut forms = Forms::default();
            let mut capture = Capture { field, var: String::new(), short: quotable.short };
            forms.learn(&capture, &value);
            if is_known || !is_found || !transcript.events.iter().skip(event + 1).any(|e| forms.are_in(e)) {
                continue;
            }
            let is_free = |var: &String| marked.iter().all(|captured| captured.capture.var != *var);
            capture.var = numbers.find(is_free).unwrap_or_default();
            known.insert(value, event);
            due.push(Due { event, conn, capture });
        }
    }
    due
}

fn replies(reading: &Reading) -> impl Iterator<Item = (ConnId, &ReplyAt)> {
    let of = |conn: &'_ verdict::ConnReading| conn.conn;
    reading.conns.iter().flat_map(move |conn| {
        conn.steps.iter().flat_map(|step| &step.replies).map(move |reply| (of(conn), reply))
    })
}

/// The frames of the last reply on a connection that came before an event.
fn last_reply(reading: &Reading, conn: ConnId, event: usize) -> Vec<&ReplyAt> {
    let on_it = replies(reading).filter(|(on, reply)| *on == conn && reply.at.exchange.is_some());
    let before: Vec<_> = on_it.map(|(_, reply)| reply).filter(|reply| reply.at.event < event).collect();
    let last = before.last().and_then(|reply| reply.at.exchange);
    let begin = before.iter().rposition(|reply| reply.at.exchange != last).map_or(0, |at| at + 1);
    before[begin..].to_vec()
}

fn value(grammar: &dyn Grammar, reply: &[&ReplyAt], field: &str) -> Option<String> {
    quoted(grammar, reply.iter().map(|reply| (&reply.at.frame, reply.request.as_ref())), field)
}

/// The texts in which captured values are quoted.
#[derive(Debug, Default)]
pub(crate) struct Forms(Vec<Form>);

#[derive(Debug)]
struct Form {
    text: Bytes,
    var: String,
    /// It is so much of the value, and no part of a longer number: a number that begins alike is another one.
    first: Option<usize>,
}

impl Forms {
    /// From now on that variable has that value, and is what is meant where that is quoted.
    pub(crate) fn learn(&mut self, capture: &Capture, value: &str) {
        let whole = Bytes::copy_from_slice(value.as_bytes());
        let short = capture.short.filter(|short| *short < whole.len());
        let texts = [None].into_iter().chain(short.map(Some));
        let texts = texts.map(|first| (first, whole.slice(..first.unwrap_or(whole.len()))));
        let new = texts.filter(|(_, text)| text.len() >= QUOTED_LEN_MIN);
        let new: Vec<_> = new.map(|(first, text)| Form { text, var: capture.var.clone(), first }).collect();
        self.0.retain(|old| old.var != capture.var && new.iter().all(|new| new.text != old.text));
        self.0.extend(new);
        self.0.sort_by_key(|form| std::cmp::Reverse(form.text.len()));
    }

    /// The bytes, with variables where they quote something.
    pub(crate) fn payload(&self, bytes: &Bytes) -> Payload {
        let found = self.found(bytes);
        if found.is_empty() {
            return bytes.clone().into();
        }
        let mut pieces = Vec::new();
        let mut at = 0;
        for (Range { start, end }, form) in found {
            pieces.extend((at < start).then(|| Piece::Literal(bytes.slice(at..start))));
            pieces.push(Piece::Variable { var: form.var.clone(), first: form.first });
            at = end;
        }
        pieces.extend((at < bytes.len()).then(|| Piece::Literal(bytes.slice(at..))));
        Template(pieces).into()
    }

    fn are_in(&self, event: &Event) -> bool {
        match &event.kind {
            EventKind::Data(data) if event.dir == Direction::ToServer => !self.found(&data.bytes).is_empty(),
            _ => false,
        }
    }

    /// Where they are, in order. Where several would be, the longest is.
    fn found(&self, bytes: &[u8]) -> Vec<(Range<usize>, &Form)> {
        let mut found: Vec<(Range<usize>, &Form)> = Vec::new();
        for form in &self.0 {
            let mut at = 0;
            while let Some(start) = bytes.get(at..).and_then(|rest| find(rest, &form.text)).map(|on| at + on)
            {
                let end = start + form.text.len();
                let is_free = found.iter().all(|(other, _)| other.end <= start || end <= other.start);
                let is_one = is_free && (form.first.is_none() || is_word(bytes, start..end));
                at = if is_one { end } else { start + 1 };
                found.extend(is_one.then_some((start..end, form)));
            }
        }
        found.sort_by_key(|(range, _)| range.start);
        found
    }
}

fn find(bytes: &[u8], text: &[u8]) -> Option<usize> {
    bytes.windows(text.len()).position(|window| window == text)
}

/// Whether it is no part of a longer hexadecimal number.
fn is_word(bytes: &[u8], Range { start, end }: Range<usize>) -> bool {
    let is_digit = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_hexdigit);
    !start.checked_sub(1).is_some_and(is_digit) && !is_digit(end)
}

#[cfg(test)]
mod tests;
