//! Builds and the words for what happened to them.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::BuildId;

/// Which end of a conversation a build can play.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// The side that connects.
    Client,
    /// The side that listens.
    Server,
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Client => "client",
            Self::Server => "server",
        })
    }
}

/// One concrete peer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Build {
    /// Its id within the protocol; the same id is used for all its sources.
    pub id: BuildId,
    /// Name of the protocol.
    pub protocol: Arc<str>,
    /// The ends that it can play.
    pub roles: Vec<Role>,
    /// Its version, e.g. `4.0.6`.
    pub version: String,
    /// The dialect by which it is read and judged.
    pub dialect: String,
    /// Where it comes from, in order of preference.
    pub sources: Vec<Source>,
    /// The build whose sources these are, if they are not its own: it is fetched and locked under that id.
    pub like: Option<BuildId>,
    /// How it is run, where that is not as usual, e.g. `locale` = `de_DE.UTF-8`. The words belong to the protocol.
    pub settings: BTreeMap<String, String>,
}

/// Where a build comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A reference peer of this repository, perhaps with seeded defects.
    Reference {
        /// Names of defects that are switched on.
        defects: Vec<String>,
    },
    /// Something of the user's own: a root directory or an executable, with arguments.
    Path {
        /// The executable, or a directory with the build's tools.
        path: PathBuf,
        /// Arguments put before those of the launcher.
        args: Vec<String>,
    },
    /// Exact packages of a Debian suite.
    Debian(DebianSource),
    /// An image of an engine for containers.
    Container {
        /// Its name, with a tag unless that is `latest`.
        image: String,
        /// The digest that it must have: its own, or that of its manifest in a registry.
        digest: Option<String>,
    },
    /// An image that is built of this file, with its folder for a context.
    Dockerfile {
        /// The file.
        path: PathBuf,
    },
    /// The fixtures that were once taken from the real build stand in for it.
    Recorded,
}

/// Exact packages of a Debian suite.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DebianSource {
    /// Name of the suite, e.g. `bookworm`.
    pub suite: String,
    /// `(package, exact version)`; the first package gives the build its version.
    pub packages: Vec<(String, String)>,
    /// Packages whose version does not matter, e.g. tools that the launcher needs.
    pub extra: Vec<String>,
    /// Locales that are compiled, and whose message catalogues are kept, e.g. `de_DE.UTF-8`.
    pub locales: Vec<String>,
    /// Timestamp of a snapshot mirror, for users who have one.
    pub snapshot: Option<String>,
}

impl Source {
    /// The word for it in files and reports.
    #[must_use]
    pub fn word(&self) -> &'static str {
        self.kind().word()
    }

    /// See [`SourceKind::is_live`].
    #[must_use]
    pub fn is_live(&self) -> bool {
        self.kind().is_live()
    }
}

/// What happened in a cell, before anybody says what was expected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// Both sides did what the protocol's designers ask for.
    Compatible,
    /// Fell back as allowed.
    Degraded,
    /// Refused cleanly.
    Refused,
    /// Wrong answer, silent loss, desync, hang or crash.
    Broken,
    /// The harness failed; nothing is known about the peers.
    Inconclusive,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Compatible => "compatible",
            Self::Degraded => "degraded",
            Self::Refused => "refused",
            Self::Broken => "broken",
            Self::Inconclusive => "inconclusive",
        })
    }
}
