//! The model of a transcript, free of any text form.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use wire::Direction;

use crate::evidence::{Capture, Role};

/// Everything that happened in one run of a cell, in time order.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Transcript {
    /// Where the bytes come from.
    pub provenance: Provenance,
    /// The events; `at_us` never decreases.
    pub events: Vec<Event>,
}

/// Number of a connection within its transcript, in order of connecting, from 1. Number 0 is for
/// events that belong to no connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ConnId(pub u32);

impl fmt::Display for ConnId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// One thing that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Microseconds since the first event.
    pub at_us: u64,
    /// On which connection; 0 for none.
    pub conn: ConnId,
    /// Whose doing: `ToServer` is the client's, `ToClient` is the server's.
    pub dir: Direction,
    /// What.
    pub kind: EventKind,
}

/// The kinds of [`Event`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EventKind {
    /// The client connected (`ToServer`), or a replaced server took over behind a connection that
    /// stayed open (`ToClient`).
    Connect,
    /// The client could not connect; the name of the error, e.g. `ECONNREFUSED`.
    ConnectFailed(String),
    /// Bytes passed, in one read or write, perhaps with descriptors and credentials.
    Data(Data),
    /// That side ended its direction. The detail says whether it closed everything.
    Eof(Option<String>),
    /// That side reset the connection.
    Reset,
    /// Nothing came from that side within this many milliseconds, then the recorder went on.
    Timeout(u64),
    /// The process of that side ended.
    Exit(ExitStatus),
    /// What the person or script at the keyboard did, or the role of what follows. Not on the wire.
    Mark(Mark),
    /// State read from the peer by other means than the wire, e.g. `fds`, `rss_kib`, `cgroup`.
    Observe {
        /// What was looked at.
        key: String,
        /// What was seen.
        value: String,
    },
}

/// Bytes that passed in one read or write.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Data {
    /// The bytes; never empty.
    pub bytes: Bytes,
    /// Descriptors that came with the first byte (`SCM_RIGHTS`).
    pub fds: Vec<FdNote>,
    /// Credentials that the sender attached (`SCM_CREDENTIALS`).
    pub creds: Option<Credentials>,
}

/// What a passed descriptor was: the kind of file behind it, e.g. `pidfd`, `dir`, `chr`, `socket`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct FdNote(pub String);

/// The credentials that travelled with bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Credentials {
    /// Process.
    pub pid: i32,
    /// User.
    pub uid: u32,
    /// Group.
    pub gid: u32,
}

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ExitStatus {
    /// It ended by itself with this code.
    Code(i32),
    /// A signal ended it.
    Signal(i32),
    /// It is gone; nobody saw how (it was no child of the recorder).
    Gone,
}

/// A remark in the stream of events. A *role mark* starts a step on its connection: it names what
/// the events that follow on that connection are for, until the next mark there. A *capture* says what later requests
/// quote of the reply in front of it, and starts none.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Mark {
    /// The word, e.g. `subject`, `canary`, `witness`, `fresh`, or the free text of an imported mark.
    pub label: String,
    /// Named details, e.g. `expect=not-supported`.
    pub args: BTreeMap<String, String>,
}

impl Mark {
    /// The role of what follows, if the mark is one of a role.
    #[must_use]
    pub fn role(&self) -> Option<Role> {
        Role::parse(&self.label)
    }

    /// Whether it says what is captured of the reply in front of it.
    #[must_use]
    pub fn is_capture(&self) -> bool {
        self.label == Capture::LABEL
    }
}

/// One end of the conversation.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Endpoint {
    /// Build id in the matrix; `probe` is a script and no build.
    pub id: String,
    /// Name of the software.
    pub name: String,
    /// Its version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Exact package version, e.g. `1:5.0.2-1+deb12u4`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub package: Option<String>,
    /// Where the package came from: a suite, an image, a path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// Digest of what ran, e.g. `sha256:…`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// Command line.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub command: Vec<String>,
    /// True when the build is not a released one; the note says what was changed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub modified: bool,
    /// What else is known of it, e.g. `suite`, `release`, `launch`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub details: BTreeMap<String, String>,
}

/// Who is at both ends from some time on, when an end is replaced during the recording.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BuildChange {
    /// From when, in the time of the events.
    pub from_us: u64,
    /// The side that connects from then on.
    pub client: Endpoint,
    /// The side that listens from then on.
    pub server: Endpoint,
}

/// Bytes of one stream over which comparison passes, kept apart from the bytes themselves. The span
/// counts from the first byte that this side sent on this connection, so that it does not depend on
/// chunk boundaries.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "MaskedSpanText", into = "MaskedSpanText")]
pub struct MaskedSpan {
    /// What varies there, e.g. `pid`, `pointer`.
    pub name: String,
    /// The connection.
    pub conn: ConnId,
    /// The side that sent the bytes.
    pub dir: Direction,
    /// Offsets within the stream; never empty.
    pub span: Range<u64>,
}

/// A [`MaskedSpan`] as it is written in front matter.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct MaskedSpanText {
    name: String,
    conn: ConnId,
    dir: String,
    start: u64,
    end: u64,
}

impl From<MaskedSpan> for MaskedSpanText {
    fn from(mask: MaskedSpan) -> Self {
        let Range { start, end } = mask.span;
        Self { name: mask.name, conn: mask.conn, dir: mask.dir.to_string(), start, end }
    }
}

impl TryFrom<MaskedSpanText> for MaskedSpan {
    type Error = String;

    fn try_from(text: MaskedSpanText) -> Result<Self, String> {
        let dir = match text.dir.as_str() {
            "c2s" => Direction::ToServer,
            "s2c" => Direction::ToClient,
            other => return Err(format!("`dir` is `c2s` or `s2c`, not `{other}`")),
        };
        Ok(Self { name: text.name, conn: text.conn, dir, span: text.start..text.end })
    }
}

/// Where a transcript comes from.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Provenance {
    /// Name of the protocol.
    pub protocol: String,
    /// What was done: a case, e.g. `client/info` or `probe/unknown-payload-16`.
    pub case: String,
    /// Who recorded it: `wireskew <version>`, for an imported file followed by what it was imported from.
    /// It stands on the first line of a `.wire` file, so that also a reader that is too old can name it.
    #[serde(default)]
    pub recorder: String,
    /// The day of recording, `YYYY-MM-DD`.
    #[serde(default)]
    pub recorded: String,
    /// One or two sentences for people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub note: String,
    /// Seed of what was random in the run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
    /// Transport, e.g. `unix-stream`.
    #[serde(default)]
    pub transport: String,
    /// Named masks under which this fixture is compared, beyond those of its protocol.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub masks: Vec<String>,
    /// Bytes over which comparison passes, sorted by connection, direction and start, without overlap.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub masked: Vec<MaskedSpan>,
    /// The machine and its settings that matter: `kernel`, `arch`, `cgroup` …
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub environment: BTreeMap<String, String>,
    /// The side that connected.
    pub client: Endpoint,
    /// The side that listened.
    pub server: Endpoint,
    /// Replacements of an end during the recording, in time order; `client` and `server` are those of the beginning.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub builds: Vec<BuildChange>,
}
