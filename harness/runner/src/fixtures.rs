//! The fixtures of a project: recorded conversations, one file each.
//!
//! ```text
//! fixtures/<protocol>/<client>..<server>/<name>.wire
//! ```
//! What a file is, its header says; its path only says where to look.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use matrix::{BuildId, CaseId, CaseKind};
use transcript::Transcript;

/// One fixture.
#[derive(Debug, Clone)]
pub struct Fixture {
    /// Where it lies, relative to the project.
    pub path: PathBuf,
    /// What it records.
    pub case: CaseId,
    /// The client's build.
    pub client: BuildId,
    /// The server's build.
    pub server: BuildId,
    /// The conversation itself.
    pub transcript: Arc<Transcript>,
}

impl Fixture {
    /// The case that plays its client's side again, e.g. `replay/attach@5.0.2` or `replay/probe.idle@5.0.2`.
    #[must_use]
    pub fn replay_case(&self) -> CaseId {
        let name = match self.case.kind {
            CaseKind::Client => format!("{}@{}", self.case.name, self.server),
            kind => format!("{}.{}@{}", kind.as_str(), self.case.name, self.server),
        };
        CaseId::new(CaseKind::Replay, name)
    }
}

/// All fixtures of one protocol.
#[derive(Debug, Clone, Default)]
pub struct Fixtures {
    /// The readable ones, in order of their path.
    pub all: Vec<Fixture>,
    /// What is wrong with the others.
    pub complaints: Vec<String>,
}

impl Fixtures {
    /// Reads every `.wire` file below `root/fixtures/<protocol>`. A file that cannot be read is a
    /// complaint and makes the run red; it does not end it.
    #[must_use]
    pub fn load(root: &Path, protocol: &str) -> Self {
        let folder = root.join("fixtures").join(protocol);
        let mut paths = Vec::new();
        let mut loaded = Self::default();
        collect(root, &folder, &mut paths, &mut loaded.complaints);
        paths.sort();
        for (path, read) in read_all(paths) {
            let path = path.strip_prefix(root).map(Path::to_path_buf).unwrap_or(path);
            match read.and_then(|transcript| Self::accept(&path, protocol, transcript)) {
                Ok(fixture) => loaded.all.push(fixture),
                Err(error) => loaded.complaints.push(format!("fixture {}: {error}", path.display())),
            }
        }
        loaded.find_duplicates();
        loaded
    }

    fn accept(path: &Path, protocol: &str, transcript: Transcript) -> Result<Fixture, String> {
        let header = &transcript.provenance;
        if header.protocol != protocol {
            return Err(format!("is of protocol `{}`, lies among `{protocol}`", header.protocol));
        }
        let case = header.case.parse().map_err(|error| format!("{error}"))?;
        Ok(Fixture {
            path: path.to_path_buf(),
            case,
            client: BuildId(header.client.id.clone()),
            server: BuildId(header.server.id.clone()),
            transcript: Arc::new(transcript),
        })
    }

    fn find_duplicates(&mut self) {
        let mut seen: BTreeMap<(String, String, String), &Path> = BTreeMap::new();
        for fixture in &self.all {
            let key = (fixture.client.0.clone(), fixture.server.0.clone(), fixture.case.to_string());
            if let Some(first) = seen.insert(key, &fixture.path) {
                self.complaints.push(format!(
                    "fixture {} records the same as {}",
                    fixture.path.display(),
                    first.display()
                ));
            }
        }
    }

    /// The fixture of a pair and case.
    #[must_use]
    pub fn find(&self, client: &BuildId, server: &BuildId, case: &CaseId) -> Option<&Fixture> {
        self.all.iter().find(|f| f.client == *client && f.server == *server && f.case == *case)
    }
}

/// Where the fixture of a pair and case belongs, relative to the project.
#[must_use]
pub fn fixture_path(protocol: &str, client: &BuildId, server: &BuildId, case: &CaseId) -> PathBuf {
    let stem = match case.kind {
        CaseKind::Client | CaseKind::Probe => case.name.clone(),
        kind => format!("{}.{}", kind.as_str(), case.name),
    };
    let stem: String = stem.chars().map(|c| if matches!(c, '/' | '\\') { '.' } else { c }).collect();
    Path::new("fixtures").join(protocol).join(format!("{client}..{server}")).join(format!("{stem}.wire"))
}

fn collect(root: &Path, folder: &Path, paths: &mut Vec<PathBuf>, complaints: &mut Vec<String>) {
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        // A folder that is not there holds no fixtures; the plan complains where some are needed.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return,
        Err(error) => {
            let folder = folder.strip_prefix(root).unwrap_or(folder);
            complaints.push(format!("fixtures in {} cannot be read: {error}", folder.display()));
            return;
        }
    };
    for entry in entries.flatten() {
        let path = entry.path();
        // Links are not followed: they could lead in a circle.
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            collect(root, &path, paths, complaints);
        } else if path.extension().is_some_and(|extension| extension == "wire") {
            paths.push(path);
        }
    }
}

/// Reads files on all processors, results in the order of `paths`.
fn read_all(paths: Vec<PathBuf>) -> Vec<(PathBuf, Result<Transcript, String>)> {
    let workers = std::thread::available_parallelism().map_or(1, usize::from).min(8);
    let chunk = paths.len().div_ceil(workers).max(1);
    std::thread::scope(|scope| {
        let handles: Vec<_> = paths
            .chunks(chunk)
            .map(|paths| {
                scope.spawn(move || {
                    let read =
                        |p: &PathBuf| (p.clone(), transcript::fixture::load(p).map_err(|e| e.to_string()));
                    paths.iter().map(read).collect::<Vec<_>>()
                })
            })
            .collect();
        // A worker panics only on a defect of the parser, which its own tests rule out; pass it on.
        handles
            .into_iter()
            .flat_map(|handle| match handle.join() {
                Ok(read) => read,
                Err(panic) => std::panic::resume_unwind(panic),
            })
            .collect()
    })
}
