//! Names: builds, cases and cells. A cell's name is a path.
//!
//! ```text
//! lxc-command / 7.0.0 .. 4.0.6 / client/attach
//! protocol      client   server  case (kind/name)
//! ```

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// Id of a build within its protocol, e.g. `4.0.6` or `ref-4.0.6`. `probe` is the harness's own script. A plan has
/// thousands of each, so that clones share the text.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BuildId(Arc<str>);

impl BuildId {
    /// The client that is a script and no build.
    pub const PROBE: &'static str = "probe";

    /// The id of that text.
    pub fn new(text: impl Into<Arc<str>>) -> Self {
        Self(text.into())
    }

    /// Its text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether this is the script.
    #[must_use]
    pub fn is_probe(&self) -> bool {
        self.as_str() == Self::PROBE
    }
}

impl fmt::Display for BuildId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The kinds of cases.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CaseKind {
    /// The client's side of a fixture is played again to a server.
    Replay,
    /// A script sends what no client would.
    Probe,
    /// A client carries out one operation.
    Client,
    /// Several peers, restarts and faults in one story.
    Scenario,
    /// A client reads what another release has left behind: files, and what runs.
    State,
}

impl CaseKind {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Replay, Self::Probe, Self::Client, Self::Scenario, Self::State];

    /// The first component of a case's name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Replay => "replay",
            Self::Probe => "probe",
            Self::Client => "client",
            Self::Scenario => "scenario",
            Self::State => "state",
        }
    }
}

/// What is done to a pair, e.g. `probe/unknown-payload-16`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CaseId {
    /// Its kind.
    pub kind: CaseKind,
    /// Its name within the kind.
    pub name: Arc<str>,
}

impl CaseId {
    /// Joins a kind and a name.
    pub fn new(kind: CaseKind, name: impl Into<Arc<str>>) -> Self {
        Self { kind, name: name.into() }
    }

    /// Whether it is the case of that kind and name.
    #[must_use]
    pub fn is(&self, kind: CaseKind, name: &str) -> bool {
        self.kind == kind && *self.name == *name
    }
}

impl fmt::Display for CaseId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.kind.as_str(), self.name)
    }
}

/// Client build .. server build / case.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CellId {
    /// Name of the protocol.
    pub protocol: Arc<str>,
    /// The side that connects.
    pub client: BuildId,
    /// The side that listens.
    pub server: BuildId,
    /// What is done.
    pub case: CaseId,
}

impl fmt::Display for CellId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}..{}/{}", self.protocol, self.client, self.server, self.case)
    }
}

/// Why a text is no cell or case name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a {what}: expected `{form}`")]
pub struct ParseCellError {
    text: String,
    what: &'static str,
    form: &'static str,
}

impl FromStr for CaseId {
    type Err = ParseCellError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let error = || ParseCellError {
            text: text.to_owned(),
            what: "case",
            form: "replay|probe|client|scenario|state/<name>",
        };
        let (kind, name) = text.split_once('/').ok_or_else(error)?;
        let kind = CaseKind::ALL.into_iter().find(|k| k.as_str() == kind).ok_or_else(error)?;
        if name.is_empty() {
            return Err(error());
        }
        Ok(Self::new(kind, name))
    }
}

impl FromStr for CellId {
    type Err = ParseCellError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let error = || ParseCellError {
            text: text.to_owned(),
            what: "cell",
            form: "<protocol>/<client>..<server>/<kind>/<name>",
        };
        let (protocol, rest) = text.split_once('/').ok_or_else(error)?;
        let (pair, case) = rest.split_once('/').ok_or_else(error)?;
        let (client, server) = pair.split_once("..").ok_or_else(error)?;
        if protocol.is_empty() || client.is_empty() || server.is_empty() {
            return Err(error());
        }
        Ok(Self {
            protocol: protocol.into(),
            client: BuildId::new(client),
            server: BuildId::new(server),
            case: case.parse().map_err(|_| error())?,
        })
    }
}
