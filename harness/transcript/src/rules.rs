//! Which sequences of events are a transcript. Parser and writer hold the same rules.

use std::collections::HashMap;

use wire::Direction;

use crate::evidence::Capture;
use crate::{ConnId, Event, EventKind, MaskedSpan, Transcript};

/// Most bytes in one [`crate::Data`] event: the offsets of a dump have six digits.
pub const DATA_LEN_MAX: usize = 0xff_ffff;

/// A rule of transcripts that is broken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Broken {
    /// Time runs backwards.
    #[error("time goes back from {before_us} us to {at_us} us")]
    TimeGoesBack {
        /// Time of the event before.
        before_us: u64,
        /// Time of this event.
        at_us: u64,
    },
    /// A data event without bytes.
    #[error("data without a byte")]
    NoBytes,
    /// A data event with too many bytes.
    #[error("{len} bytes in one event, limit is {DATA_LEN_MAX}")]
    TooManyBytes {
        /// How many.
        len: usize,
    },
    /// Something happened on a connection that nobody had opened.
    #[error("connection {0} is not open: no client connected on it before")]
    NotConnected(ConnId),
    /// A connection is opened a second time.
    #[error("connection {0} is opened twice; a new connection has a new number")]
    ConnectedTwice(ConnId),
    /// Bytes came from a side that had ended its direction.
    #[error("bytes from the {} of connection {conn} after its {ended}", side(*.dir))]
    BytesAfterEnd {
        /// The connection.
        conn: ConnId,
        /// The side.
        dir: Direction,
        /// `eof` or `reset`.
        ended: &'static str,
    },
    /// A mark of a capture does not say what is captured.
    #[error("mark `capture` without what it needs: `field` and `var`, perhaps `short` with a number above 0")]
    CaptureUnclear,
    /// A masked span has no name.
    #[error("masked span without a name")]
    MaskUnnamed,
    /// A masked span covers nothing or is turned round.
    #[error("masked span `{name}` from {start} to {end} covers no byte")]
    MaskEmpty {
        /// Its name.
        name: String,
        /// Its start.
        start: u64,
        /// Its end.
        end: u64,
    },
    /// Masked spans are not sorted, or overlap.
    #[error("masked span `{name}` at {start} lies before the end of the one in front of it")]
    MaskUnsorted {
        /// Its name.
        name: String,
        /// Its start.
        start: u64,
    },
    /// A masked span ends behind the stream.
    #[error("masked span `{name}` ends at {end}, but its stream has {len} bytes")]
    MaskBehindEnd {
        /// Its name.
        name: String,
        /// Its end.
        end: u64,
        /// Length of the stream.
        len: u64,
    },
}

fn side(dir: Direction) -> &'static str {
    match dir {
        Direction::ToServer => "client",
        Direction::ToClient => "server",
    }
}

/// A malformed transcript, and the event that shows it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}: {broken}", .event.map_or_else(|| "provenance".to_owned(), |index| format!("event {index}")))]
pub struct Invalid {
    /// Index of the event; none for the provenance.
    pub event: Option<usize>,
    /// The rule.
    pub broken: Broken,
}

impl Transcript {
    /// Checks this one by the rules of transcripts: what passes is what a `.wire` file can say.
    ///
    /// # Errors
    /// The first event that breaks a rule.
    pub fn check(&self) -> Result<(), Invalid> {
        let mut rules = Rules::default();
        for (index, event) in self.events.iter().enumerate() {
            rules.take(event).map_err(|broken| Invalid { event: Some(index), broken })?;
        }
        rules.take_masks(&self.provenance.masked).map_err(|broken| Invalid { event: None, broken })
    }
}

/// The state of the rules after some events.
#[derive(Debug, Default)]
pub(crate) struct Rules {
    at_us: u64,
    open: HashMap<ConnId, [Side; 2]>,
}

#[derive(Debug, Default)]
struct Side {
    ended: Option<&'static str>,
    bytes: u64,
}

impl Rules {
    /// Takes the next event.
    pub(crate) fn take(&mut self, event: &Event) -> Result<(), Broken> {
        if event.at_us < self.at_us {
            return Err(Broken::TimeGoesBack { before_us: self.at_us, at_us: event.at_us });
        }
        self.at_us = event.at_us;
        match &event.kind {
            EventKind::Connect if event.dir == Direction::ToServer => self.connect(event.conn)?,
            EventKind::Connect => self.side(event)?.ended = None,
            EventKind::Data(data) => self.data(event, data.bytes.len())?,
            EventKind::Eof(_) => {
                self.side(event)?.ended.get_or_insert("eof");
            }
            EventKind::Reset => self.side(event)?.ended = Some("reset"),
            EventKind::Mark(mark) if mark.is_capture() && event.conn != ConnId::default() => {
                self.side(event)?;
                Capture::of_mark(mark).ok_or(Broken::CaptureUnclear)?;
            }
            // A wait can be for no connection in particular; the rest is not on the wire.
            EventKind::Timeout(_)
            | EventKind::ConnectFailed(_)
            | EventKind::Exit(_)
            | EventKind::Mark(_)
            | EventKind::Observe { .. } => {}
        }
        Ok(())
    }

    /// Takes the masked spans, after all events.
    pub(crate) fn take_masks(&self, masked: &[MaskedSpan]) -> Result<(), Broken> {
        let mut before: Option<&MaskedSpan> = None;
        for mask in masked {
            let (name, start, end) = (mask.name.clone(), mask.span.start, mask.span.end);
            if name.is_empty() {
                return Err(Broken::MaskUnnamed);
            }
            if start >= end {
                return Err(Broken::MaskEmpty { name, start, end });
            }
            let follows = before.is_none_or(|b| (b.conn, b.dir, b.span.end) <= (mask.conn, mask.dir, start));
            if !follows {
                return Err(Broken::MaskUnsorted { name, start });
            }
            let sides = self.open.get(&mask.conn).ok_or(Broken::NotConnected(mask.conn))?;
            let len = sides[index(mask.dir)].bytes;
            if end > len {
                return Err(Broken::MaskBehindEnd { name, end, len });
            }
            before = Some(mask);
        }
        Ok(())
    }

    fn connect(&mut self, conn: ConnId) -> Result<(), Broken> {
        if conn == ConnId::default() {
            return Err(Broken::NotConnected(conn));
        }
        match self.open.insert(conn, Default::default()) {
            None => Ok(()),
            Some(_) => Err(Broken::ConnectedTwice(conn)),
        }
    }

    fn data(&mut self, event: &Event, len: usize) -> Result<(), Broken> {
        if len == 0 {
            return Err(Broken::NoBytes);
        }
        if len > DATA_LEN_MAX {
            return Err(Broken::TooManyBytes { len });
        }
        let side = self.side(event)?;
        if let Some(ended) = side.ended {
            return Err(Broken::BytesAfterEnd { conn: event.conn, dir: event.dir, ended });
        }
        side.bytes = side.bytes.saturating_add(len as u64);
        Ok(())
    }

    fn side(&mut self, event: &Event) -> Result<&mut Side, Broken> {
        let sides = self.open.get_mut(&event.conn).ok_or(Broken::NotConnected(event.conn))?;
        Ok(&mut sides[index(event.dir)])
    }
}

fn index(dir: Direction) -> usize {
    match dir {
        Direction::ToServer => 0,
        Direction::ToClient => 1,
    }
}
