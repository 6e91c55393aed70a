//! Raw recordings (`raw-recording/1`): JSON Lines, the first line the header, every other line one event.
//!
//! ```text
//! {"format":"raw-recording/1","protocol":"qemu-ga","client":{"name":"probe","version":"1"},"server":{…},…}
//! {"t_ms":0.0,"event":"connect","dir":"c2s"}
//! {"t_ms":0.2,"dir":"c2s","hex":"7b7d0a"}
//! {"t_ms":9.8,"event":"eof","dir":"c2s","detail":"client closes"}
//! ```
//!
//! What becomes of each part:
//!
//! | raw | transcript |
//! |---|---|
//! | `hex` | [`Data`], one event each |
//! | `connect` from the client | a connection with a new number; `conn` labels (`"A"`, `"B"`) are numbered as they open |
//! | `eof` with `detail` | [`EventKind::Eof`] with the detail; one that begins with `SHUT_WR` is a `half-close`, and so is one without a detail behind which the client is still told something |
//! | `detail` of any other event | an observation `detail` right behind it |
//! | `timeout` | [`EventKind::Timeout`] of the `2 s` or `300 ms` that the detail names, else of the time that had passed |
//! | `exit` | [`ExitStatus::Gone`]: raw recordings do not say how |
//! | `marks` | [`Mark`]s on connection 0 at their time, before what else happened then |
//! | `builds` | [`Provenance::builds`], and a mark `builds` on connection 0 at the time of the replacement; the name of the case ends in `-to-<version>` |
//! | `observed` | observations `observed.<key>` on connection 0 whose value is JSON: for a list of `[t_ms, value]` one at each of these times, else one at the end. No check of the wire needs them |
//! | header keys that are not known | left out |

use std::collections::{BTreeMap, HashMap, HashSet};

use bytes::Bytes;
use serde::Deserialize;
use serde_json::Value;
use wire::Direction;

use crate::evidence::Observation;
use crate::rules::{Broken, Rules};
use crate::view::slug;
use crate::{
    BuildChange, ConnId, Data, Endpoint, Event, EventKind, ExitStatus, Mark, Provenance, Transcript,
};

/// The format that is read.
pub const FORMAT: &str = "raw-recording/1";

/// Name of the end that is a script and no build.
const PROBE: &str = "probe";

/// Latest time in a recording: a year. Up to here, milliseconds keep their decimals.
const T_MS_MAX: f64 = 366.0 * 24.0 * 3600.0 * 1000.0;

/// Why a file is not a valid raw recording, and in which line.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("line {line}: {kind}")]
pub struct ImportError {
    /// Line, from 1.
    pub line: usize,
    /// What is wrong there.
    pub kind: ImportErrorKind,
}

/// What is wrong with a raw recording.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ImportErrorKind {
    /// There is no line at all.
    #[error("empty file, expected the header of a raw recording")]
    Empty,
    /// The line is no JSON, or has not the keys and types of the format.
    #[error("column {column}: {message}")]
    Json {
        /// Column, from 1.
        column: usize,
        /// What the JSON reader says.
        message: String,
    },
    /// Another format, perhaps a later one.
    #[error("format `{0}`, only `{FORMAT}` can be read")]
    Format(String),
    /// A time that is none.
    #[error("`{key}` is {value}, expected milliseconds from 0 up to {T_MS_MAX}")]
    Time {
        /// The key.
        key: &'static str,
        /// What it says.
        value: f64,
    },
    /// A line has both bytes and an event, or neither.
    #[error("expected either `hex` or `event`")]
    HexOrEvent,
    /// The event is not one of the format.
    #[error("unknown event `{0}`, expected `connect`, `eof`, `reset`, `timeout` or `exit`")]
    UnknownEvent(String),
    /// The bytes are no lower-case hexadecimal digits in pairs.
    #[error("`hex` is wrong at its character {at}, expected pairs of lower-case hexadecimal digits")]
    Hex {
        /// Which character, from 0.
        at: usize,
    },
    /// A rule of transcripts is broken.
    #[error(transparent)]
    Rule(#[from] Broken),
}

#[derive(Deserialize)]
struct Header {
    protocol: String,
    client: End,
    server: End,
    recorded: String,
    transport: String,
    scenario: String,
    note: String,
    #[serde(default)]
    builds: Vec<Builds>,
    #[serde(default)]
    marks: Vec<RawMark>,
    #[serde(default)]
    observed: BTreeMap<String, Value>,
}

#[derive(Deserialize)]
struct End {
    name: String,
    version: String,
    source: Option<String>,
    package: Option<String>,
    #[serde(default)]
    modified: bool,
    #[serde(flatten)]
    details: BTreeMap<String, Value>,
}

#[derive(Deserialize)]
struct Builds {
    from_ms: f64,
    client: End,
    server: End,
}

#[derive(Deserialize)]
struct RawMark {
    t_ms: f64,
    label: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    t_ms: f64,
    dir: Dir,
    hex: Option<String>,
    event: Option<String>,
    detail: Option<String>,
    conn: Option<String>,
}

#[derive(Deserialize, Clone, Copy)]
#[serde(rename_all = "lowercase")]
enum Dir {
    C2s,
    S2c,
}

impl From<Dir> for Direction {
    fn from(dir: Dir) -> Self {
        match dir {
            Dir::C2s => Self::ToServer,
            Dir::S2c => Self::ToClient,
        }
    }
}

/// Reads a raw recording.
///
/// # Errors
/// What is wrong with it, and in which line.
pub fn import(text: &str) -> Result<Transcript, ImportError> {
    let mut lines = text.lines().enumerate().map(|(index, line)| (index + 1, line));
    let (_, first) = lines.next().ok_or(ImportError { line: 1, kind: ImportErrorKind::Empty })?;
    let header = header(first).map_err(|kind| ImportError { line: 1, kind })?;
    let mut reader = Reader::default();
    for (line, text) in lines {
        reader.line(text).map_err(|kind| ImportError { line, kind })?;
    }
    reader.finish(header).map_err(|kind| ImportError { line: 1, kind })
}

fn json<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, ImportErrorKind> {
    serde_json::from_str(text).map_err(|error| {
        let message = error.to_string();
        // The JSON reader counts lines within what it was given, which is one line.
        let message = message.rsplit_once(" at line ").map_or(message.as_str(), |(message, _)| message);
        ImportErrorKind::Json { column: error.column(), message: message.to_owned() }
    })
}

fn header(text: &str) -> Result<Header, ImportErrorKind> {
    #[derive(Deserialize)]
    struct Probe {
        format: String,
    }
    // A later format may have another header: look at the name of the format alone first.
    let Probe { format } = json(text)?;
    if format != FORMAT {
        return Err(ImportErrorKind::Format(format));
    }
    json(text)
}

/// Milliseconds with decimals to microseconds.
fn micros(key: &'static str, ms: f64) -> Result<u64, ImportErrorKind> {
    if (0.0..=T_MS_MAX).contains(&ms) {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the range was checked")]
        let us = (ms * 1000.0).round() as u64;
        Ok(us)
    } else {
        Err(ImportErrorKind::Time { key, value: ms })
    }
}

#[derive(Default)]
struct Reader {
    rules: Rules,
    events: Vec<Event>,
    /// The number of the connection that now has this label; the label is absent where there is only one at a time.
    conns: HashMap<Option<String>, ConnId>,
    opened: u32,
    at_us: u64,
}

impl Reader {
    fn line(&mut self, text: &str) -> Result<(), ImportErrorKind> {
        let Line { t_ms, dir, hex, event, detail, conn } = json(text)?;
        let dir = Direction::from(dir);
        let at_us = micros("t_ms", t_ms)?;
        let mut left = detail;
        let kind = match (hex, event.as_deref()) {
            (Some(hex), None) => EventKind::Data(Data { bytes: bytes(&hex)?, ..Data::default() }),
            (None, Some("connect")) => EventKind::Connect,
            (None, Some("eof")) => EventKind::Eof(left.take().map(half_close)),
            (None, Some("reset")) => EventKind::Reset,
            (None, Some("timeout")) => {
                let named = left.as_deref().and_then(duration_ms);
                EventKind::Timeout(named.unwrap_or(at_us.saturating_sub(self.at_us) / 1000))
            }
            (None, Some("exit")) => EventKind::Exit(ExitStatus::Gone),
            (None, Some(other)) => return Err(ImportErrorKind::UnknownEvent(other.to_owned())),
            (Some(_), Some(_)) | (None, None) => return Err(ImportErrorKind::HexOrEvent),
        };
        if kind == EventKind::Connect && dir == Direction::ToServer {
            self.opened += 1;
            self.conns.insert(conn.clone(), ConnId(self.opened));
        }
        let conn = self.conns.get(&conn).copied().unwrap_or_default();
        self.push(Event { at_us, conn, dir, kind })?;
        if let Some(value) = left {
            self.push(Event { at_us, conn, dir, kind: Observation::Note.event(value) })?;
        }
        Ok(())
    }

    fn push(&mut self, event: Event) -> Result<(), ImportErrorKind> {
        self.rules.take(&event)?;
        self.at_us = event.at_us;
        self.events.push(event);
        Ok(())
    }

    fn finish(self, header: Header) -> Result<Transcript, ImportErrorKind> {
        let mut notes = Vec::new();
        let mut builds: Vec<BuildChange> = Vec::new();
        let (client, server) = (Endpoint::from(header.client), Endpoint::from(header.server));
        for change in header.builds {
            let from_us = micros("from_ms", change.from_ms)?;
            let change = BuildChange { from_us, client: change.client.into(), server: change.server.into() };
            let before = builds.last().map_or((&client, &server), |b| (&b.client, &b.server));
            // The list begins with the builds of the header.
            if before != (&change.client, &change.server) {
                let args = [("client", &change.client), ("server", &change.server)];
                let args = args.map(|(end, build)| (end.to_owned(), format!("{} {}", build.name, build.id)));
                let mark = Mark { label: "builds".to_owned(), args: args.into() };
                notes.push((from_us, EventKind::Mark(mark)));
                builds.push(change);
            }
        }
        for RawMark { t_ms, label } in header.marks {
            notes.push((micros("t_ms", t_ms)?, EventKind::Mark(Mark { label, args: BTreeMap::new() })));
        }
        let mut last = Vec::new();
        for (key, value) in header.observed {
            match timed(&key, &value) {
                Some(timed) => {
                    for (t_ms, value) in timed {
                        notes.push((micros("observed", t_ms)?, observed(&key, value)));
                    }
                }
                None => last.push(observed(&key, &value)),
            }
        }
        let note = |(at_us, kind)| Event { at_us, conn: ConnId::default(), dir: Direction::ToServer, kind };
        let mut events: Vec<_> = notes.into_iter().map(note).collect();
        events.extend(still_reading(self.events));
        // Stable: what was not on the wire stays before what happened at the same time.
        events.sort_by_key(|event| event.at_us);
        let end_us = events.last().map_or(0, |event| event.at_us);
        events.extend(last.into_iter().map(|kind| note((end_us, kind))));
        let kind = if client.id == PROBE || server.id == PROBE { "probe" } else { "scenario" };
        // Who comes is a part of what happens: a migration to one host is another case than one to another.
        let then =
            builds.last().map(|change| if change.client == client { &change.server } else { &change.client });
        let then = then.map(|end| format!("-to-{}", slug(&end.id))).unwrap_or_default();
        let provenance = Provenance {
            protocol: header.protocol,
            case: format!("{kind}/{}{then}", slug(&header.scenario)),
            recorder: format!("wireskew {} from {FORMAT}", env!("CARGO_PKG_VERSION")),
            recorded: header.recorded,
            note: header.note,
            transport: header.transport,
            environment: BTreeMap::from([("scenario".to_owned(), header.scenario)]),
            client,
            server,
            builds,
            ..Provenance::default()
        };
        Ok(Transcript { provenance, events })
    }
}

/// A client that is told something behind its end has closed one half, whether or not that was written down.
fn still_reading(mut events: Vec<Event>) -> Vec<Event> {
    let mut told: HashSet<ConnId> = HashSet::new();
    for event in events.iter_mut().rev() {
        match (&event.kind, event.dir) {
            (EventKind::Data(_), Direction::ToClient) => drop(told.insert(event.conn)),
            (EventKind::Eof(None), Direction::ToServer) if told.contains(&event.conn) => {
                event.kind = EventKind::Eof(Some(HALF_CLOSE.to_owned()));
            }
            (EventKind::Connect, _) => drop(told.remove(&event.conn)),
            _ => {}
        }
    }
    events
}

/// How it is written down that a client has closed one half.
const HALF_CLOSE: &str = "half-close";

/// How the end of a direction is told: a client that goes on reading has closed one half.
fn half_close(how: String) -> String {
    if how.starts_with("SHUT_WR") { HALF_CLOSE.to_owned() } else { how }
}

fn observed(key: &str, value: &Value) -> EventKind {
    Observation::Recorded(key).event(value.to_string())
}

/// The value of a key `…_at`: a list of `[t_ms, value]`.
fn timed<'a>(key: &str, value: &'a Value) -> Option<Vec<(f64, &'a Value)>> {
    let pairs = value.as_array().filter(|pairs| key.ends_with("_at") && !pairs.is_empty())?.iter();
    let pair = |pair: &'a Value| match pair.as_array()?.as_slice() {
        [at, value] => Some((at.as_f64()?, value)),
        _ => None,
    };
    pairs.map(pair).collect()
}

impl From<End> for Endpoint {
    fn from(end: End) -> Self {
        let text = |value| if let Value::String(text) = value { text } else { value.to_string() };
        Self {
            id: if end.name == PROBE { PROBE.to_owned() } else { end.version.clone() },
            name: end.name,
            version: Some(end.version),
            package: end.package,
            source: end.source,
            modified: end.modified,
            details: end.details.into_iter().map(|(key, value)| (key, text(value))).collect(),
            ..Self::default()
        }
    }
}

/// The milliseconds of the first `<number> ms` or `<number> s` in a text.
fn duration_ms(text: &str) -> Option<u64> {
    let words: Vec<_> = text.split_whitespace().collect();
    words.windows(2).find_map(|pair| {
        let number: u64 = pair[0].parse().ok()?;
        match pair[1].trim_end_matches([',', '.', ';', ')']) {
            "ms" => Some(number),
            "s" => number.checked_mul(1000),
            _ => None,
        }
    })
}

fn bytes(hex: &str) -> Result<Bytes, ImportErrorKind> {
    let digit = |at: usize| match hex.as_bytes().get(at) {
        Some(b @ b'0'..=b'9') => Ok(b - b'0'),
        Some(b @ b'a'..=b'f') => Ok(b - b'a' + 10),
        _ => Err(ImportErrorKind::Hex { at }),
    };
    (0..hex.len())
        .step_by(2)
        .map(|at| Ok(digit(at)? << 4 | digit(at + 1)?))
        .collect::<Result<Vec<u8>, _>>()
        .map(Bytes::from)
}
