//! The fixtures of a project: recorded conversations, one file each.
//!
//! ```text
//! fixtures/<protocol>/<client>..<server>/<case>.wire
//! ```
//! Where a file lies says what it records ([`fixture_path`]), so nothing is read of one until somebody needs the
//! conversation ([`Fixture::load`]). Its header has to say the same.

use std::collections::BTreeMap;
use std::fs::DirEntry;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use matrix::{BuildId, Builds, CaseId, CaseKind};
use transcript::{Endpoint, Provenance, Transcript};

use crate::Executed;

/// One fixture.
#[derive(Debug)]
pub struct Fixture {
    /// Where it lies, relative to the project.
    pub path: PathBuf,
    /// The same, from where the process runs.
    file: PathBuf,
    /// What it records.
    pub case: CaseId,
    /// The case that plays its client's side again.
    pub replay_case: CaseId,
    /// The client's build.
    pub client: BuildId,
    /// The server's build.
    pub server: BuildId,
    protocol: String,
    /// Versions of the client and the server, where they are builds of the project.
    versions: [Option<String>; 2],
}

/// Why a file counts for nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unusable {
    /// It cannot be read.
    #[error("fixture {}: {what}", .path.display())]
    Damaged {
        /// The file, relative to the project.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// It can be read, and records something else.
    #[error("{} is not a recording of this case: {what}", .path.display())]
    Other {
        /// The file, relative to the project.
        path: PathBuf,
        /// What does not fit.
        what: String,
    },
}

impl From<Unusable> for Executed {
    fn from(unusable: Unusable) -> Self {
        match &unusable {
            Unusable::Damaged { .. } => Self::Failed(unusable.to_string()),
            Unusable::Other { .. } => Self::Missing(unusable.to_string()),
        }
    }
}

impl Fixture {
    /// Reads the conversation.
    ///
    /// # Errors
    /// The file is damaged, or its header says something else than its place.
    pub fn load(&self) -> Result<Transcript, Unusable> {
        let transcript = transcript::fixture::load(&self.file).map_err(|error| self.damaged(&error))?;
        self.same_header(&transcript.provenance).map_err(|what| self.other(what))?;
        Ok(transcript)
    }

    /// Reads where it comes from, and no more.
    ///
    /// # Errors
    /// As for [`Fixture::load`], where it can be seen from the header.
    pub(crate) fn load_header(&self) -> Result<Provenance, Unusable> {
        let header = transcript::fixture::load_header(&self.file).map_err(|error| self.damaged(&error))?;
        self.same_header(&header).map_err(|what| self.other(what))?;
        Ok(header)
    }

    /// What differs when the file holds something else, in words. When it was written says nothing of that: a fresh
    /// checkout holds the same, and a tool that keeps times may not.
    #[must_use]
    pub fn stamp(&self) -> String {
        use sha2::{Digest as _, Sha256};
        std::fs::read(&self.file).map_or_else(
            |error| error.to_string(),
            |text| Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect(),
        )
    }

    pub(crate) fn damaged(&self, error: &dyn std::error::Error) -> Unusable {
        Unusable::Damaged { path: self.path.clone(), what: error.to_string() }
    }

    pub(crate) fn other(&self, what: String) -> Unusable {
        Unusable::Other { path: self.path.clone(), what }
    }

    fn same_header(&self, header: &Provenance) -> Result<(), String> {
        let place = (self.protocol.as_str(), self.client.as_str(), self.server.as_str());
        let told = (header.protocol.as_str(), header.client.id.as_str(), header.server.id.as_str());
        if told != place || header.case != self.case.to_string() {
            let (protocol, client, server) = told;
            return Err(format!("its header says `{protocol}/{client}..{server}/{}`", header.case));
        }
        let [client, server] = &self.versions;
        same_version(client.as_ref(), &header.client)?;
        same_version(server.as_ref(), &header.server)
    }
}

fn same_version(build: Option<&String>, recorded: &Endpoint) -> Result<(), String> {
    match build {
        Some(version) if recorded.version.as_ref() != Some(version) => {
            let found = recorded.version.as_deref().unwrap_or("none");
            Err(format!("build `{}` is version {version}, the recording says {found}", recorded.id))
        }
        _ => Ok(()),
    }
}

/// The case that plays the client's side of a recorded case again, e.g. `replay/attach@5.0.2` or
/// `replay/probe.idle@5.0.2`.
#[must_use]
pub fn replay_case(case: &CaseId, server: &BuildId) -> CaseId {
    let name = match case.kind {
        CaseKind::Client => format!("{}@{server}", case.name),
        kind => format!("{}.{}@{server}", kind.as_str(), case.name),
    };
    CaseId::new(CaseKind::Replay, name)
}

/// All fixtures of one protocol.
#[derive(Debug, Clone, Default)]
pub struct Fixtures {
    /// In order of their path.
    pub all: Vec<Arc<Fixture>>,
    /// What lies among them and is none.
    pub complaints: Vec<String>,
    /// Numbers in `all`, by what is recorded.
    by_cell: BTreeMap<(BuildId, BuildId, CaseId), usize>,
    /// Numbers in `all`, by client and what plays it again.
    by_replay: BTreeMap<(BuildId, CaseId), usize>,
}

impl Fixtures {
    /// Finds every `.wire` file below `root/fixtures/<protocol>`. What cannot be listed, or lies where nothing is
    /// looked for, is a complaint and makes the run red; it does not end it.
    #[must_use]
    pub fn find_all(root: &Path, protocol: &str, builds: &Builds) -> Self {
        let folder = root.join("fixtures").join(protocol);
        let mut files = Vec::new();
        let mut found = Self::default();
        collect(root, &folder, &mut files, &mut found.complaints);
        files.sort();
        for file in files {
            let path = file.strip_prefix(root).unwrap_or(&file).to_path_buf();
            match placed(&path, protocol) {
                Some((client, server, case)) => {
                    let version = |id| builds.get(id).map(|build| build.version.clone());
                    let versions = [version(&client), version(&server)];
                    let replay_case = replay_case(&case, &server);
                    let protocol = protocol.to_owned();
                    found.add(Fixture { path, file, case, replay_case, client, server, protocol, versions });
                }
                None => {
                    let form = format!("fixtures/{protocol}/<client>..<server>/<case>.{WIRE}");
                    found.complaints.push(complaint(&path, format!("belongs at `{form}`")));
                }
            }
        }
        found.complaints.sort();
        found
    }

    fn add(&mut self, fixture: Fixture) {
        let number = self.all.len();
        let cell = (fixture.client.clone(), fixture.server.clone(), fixture.case.clone());
        self.by_cell.insert(cell, number);
        self.by_replay.insert((fixture.client.clone(), fixture.replay_case.clone()), number);
        self.all.push(Arc::new(fixture));
    }

    /// The fixture of a pair and case.
    #[must_use]
    pub fn find(&self, client: &BuildId, server: &BuildId, case: &CaseId) -> Option<&Arc<Fixture>> {
        self.all.get(*self.by_cell.get(&(client.clone(), server.clone(), case.clone()))?)
    }

    /// The fixture whose client's side a case plays again.
    #[must_use]
    pub fn find_replayed(&self, client: &BuildId, case: &CaseId) -> Option<&Arc<Fixture>> {
        self.all.get(*self.by_replay.get(&(client.clone(), case.clone()))?)
    }
}

fn complaint(path: &Path, what: impl std::fmt::Display) -> String {
    format!("fixture {}: {what}", path.display())
}

/// Where the fixture of a pair and case belongs, relative to the project.
#[must_use]
pub fn fixture_path(protocol: &str, client: &BuildId, server: &BuildId, case: &CaseId) -> PathBuf {
    let stem = match case.kind {
        CaseKind::Client | CaseKind::Probe => case.name.to_string(),
        kind => format!("{}.{}", kind.as_str(), case.name),
    };
    let stem: String = stem.chars().map(|c| if matches!(c, '/' | '\\') { '.' } else { c }).collect();
    Path::new("fixtures").join(protocol).join(format!("{client}..{server}")).join(format!("{stem}.wire"))
}

/// What [`fixture_path`] put there. A replay is not a recording.
#[must_use]
pub fn placed(path: &Path, protocol: &str) -> Option<(BuildId, BuildId, CaseId)> {
    let below = path.strip_prefix(Path::new("fixtures").join(protocol)).ok()?;
    let (folder, name) = (below.parent()?.to_str()?, below.file_stem()?.to_str()?);
    let (client, server) = folder.split_once("..").filter(|_| !folder.contains('/'))?;
    let client = BuildId::new(client);
    let case = match name.split_once('.') {
        Some(("replay", _)) => return None,
        Some(("scenario", name)) => CaseId::new(CaseKind::Scenario, name),
        Some(("state", name)) => CaseId::new(CaseKind::State, name),
        _ if client.is_probe() => CaseId::new(CaseKind::Probe, name),
        _ => CaseId::new(CaseKind::Client, name),
    };
    Some((client, BuildId::new(server), case))
}

/// What the names of fixtures end in.
const WIRE: &str = transcript::fixture::EXTENSION;

fn collect(root: &Path, folder: &Path, files: &mut Vec<PathBuf>, complaints: &mut Vec<String>) {
    let within = |path: &Path| path.strip_prefix(root).unwrap_or(path).to_path_buf();
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        // A folder that is not there holds no fixtures; the plan complains where some are needed.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return,
        Err(error) => {
            let folder = within(folder);
            complaints.push(format!("fixtures in {} cannot be read: {error}", folder.display()));
            return;
        }
    };
    for entry in entries {
        match entry.and_then(|entry| Ok((kind(&entry)?, entry.path()))) {
            Ok((Kind::Folder, path)) => collect(root, &path, files, complaints),
            Ok((Kind::File, path)) => files.push(path),
            // A pipe would be waited for.
            Ok((Kind::Neither, path)) => complaints.push(complaint(&within(&path), "it is no file")),
            Ok((Kind::Nothing, _)) => {}
            Err(error) => {
                let folder = within(folder);
                complaints.push(format!("fixtures in {} cannot be listed: {error}", folder.display()));
            }
        }
    }
}

/// What lies in a folder of fixtures.
enum Kind {
    Folder,
    /// With the name of a fixture.
    File,
    /// With the name of a fixture, and something else.
    Neither,
    /// Of no interest.
    Nothing,
}

fn kind(entry: &DirEntry) -> io::Result<Kind> {
    let named = Path::new(&entry.file_name()).extension().is_some_and(|extension| extension == WIRE);
    let kind = entry.file_type()?;
    Ok(match named {
        // Links to folders are not followed: they could lead in a circle.
        false if kind.is_dir() => Kind::Folder,
        false if kind.is_symlink() && entry.path().is_dir() => Kind::Neither,
        false => Kind::Nothing,
        true if kind.is_file() => Kind::File,
        // One that leads nowhere cannot be read, and that is told by whoever reads it.
        true if kind.is_symlink() && std::fs::metadata(entry.path()).map_or(true, |file| file.is_file()) => {
            Kind::File
        }
        true => Kind::Neither,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_a_fixture_lies_says_what_it_records() {
        #[track_caller]
        fn check(client: &str, case: &str, expect: &str) {
            let (client, server) = (BuildId::new(client), BuildId::new("7.0.0"));
            let case: CaseId = case.parse().expect("a case");
            let path = fixture_path("p", &client, &server, &case);
            assert_eq!(path, Path::new(expect));
            assert_eq!(placed(&path, "p"), Some((client, server, case)));
        }
        check("probe", "probe/unknown-0", "fixtures/p/probe..7.0.0/unknown-0.wire");
        check("4.0.6", "client/attach", "fixtures/p/4.0.6..7.0.0/attach.wire");
        check("4.0.6", "scenario/to-1.0.7", "fixtures/p/4.0.6..7.0.0/scenario.to-1.0.7.wire");
        check("probe", "scenario/steady", "fixtures/p/probe..7.0.0/scenario.steady.wire");
        for elsewhere in ["a.wire", "x/a.wire", "probe..1/below/a.wire", "probe..1/replay.idle@1.wire"] {
            assert_eq!(placed(&Path::new("fixtures/p").join(elsewhere), "p"), None, "{elsewhere}");
        }
    }
}
