//! The model of a transcript, free of any text form.

use std::collections::BTreeMap;
use std::fmt;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use wire::Direction;

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

/// The credentials that travelled beside bytes.
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
/// the events that follow on that connection are for, until the next mark there.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Mark {
    /// The word, e.g. `subject`, `canary`, `witness`, `fresh`, or the free text of an imported mark.
    pub label: String,
    /// Named details, e.g. `expect=not-supported`.
    pub args: BTreeMap<String, String>,
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
}

/// Where a transcript comes from.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Provenance {
    /// Name of the protocol.
    pub protocol: String,
    /// What was done: a case, e.g. `client/info` or `probe/unknown-payload-16`.
    pub case: String,
    /// Who recorded it: `wireskew <version>` or the recorder of an imported file.
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
    /// The machine and its settings that matter: `kernel`, `arch`, `cgroup` …
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub environment: BTreeMap<String, String>,
    /// The side that connected.
    pub client: Endpoint,
    /// The side that listened.
    pub server: Endpoint,
}
