//! The fixtures of a project: recorded conversations, one file each.
//!
//! ```text
//! fixtures/<protocol>/<client>..<server>/<name>.wire
//! ```
//! What a file is, its header says; its path only says where to look. The conversation behind the header is read by
//! whoever needs it ([`Fixture::load`]), and by nobody before.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use matrix::{BuildId, CaseId, CaseKind};
use transcript::{Provenance, Transcript};

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
    /// Where it comes from.
    pub header: Provenance,
    /// Length of the file.
    pub len: u64,
}

impl Fixture {
    /// Reads the conversation.
    ///
    /// # Errors
    /// What is wrong with the file, for people.
    pub fn load(&self) -> Result<Transcript, String> {
        transcript::fixture::load(&self.file).map_err(|error| complaint(&self.path, error))
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
    /// Those with a header that can be read, in order of their path.
    pub all: Vec<Arc<Fixture>>,
    /// What is wrong with the others.
    pub complaints: Vec<String>,
    /// Numbers in `all`, by what is recorded.
    by_cell: BTreeMap<(BuildId, BuildId, CaseId), usize>,
    /// Numbers in `all`, by client and what plays it again.
    by_replay: BTreeMap<(BuildId, CaseId), usize>,
}

impl Fixtures {
    /// Reads the header of every `.wire` file below `root/fixtures/<protocol>`. A file that cannot be read is a
    /// complaint and makes the run red; it does not end it.
    #[must_use]
    pub fn load(root: &Path, protocol: &str) -> Self {
        let folder = root.join("fixtures").join(protocol);
        let mut paths = Vec::new();
        let mut loaded = Self::default();
        collect(root, &folder, &mut paths, &mut loaded.complaints);
        paths.sort();
        loaded.complaints.sort();
        for (file, read) in read_all(paths) {
            let path = file.strip_prefix(root).map(Path::to_path_buf).unwrap_or_else(|_| file.clone());
            match read.and_then(|header| Self::accept(&path, file, protocol, header)) {
                Ok(fixture) => loaded.add(fixture),
                Err(error) => loaded.complaints.push(complaint(&path, error)),
            }
        }
        loaded
    }

    fn accept(path: &Path, file: PathBuf, protocol: &str, header: Provenance) -> Result<Fixture, String> {
        if header.protocol != protocol {
            return Err(format!("is of protocol `{}`, lies among `{protocol}`", header.protocol));
        }
        let case: CaseId = header.case.parse().map_err(|error| format!("{error}"))?;
        let server = BuildId(header.server.id.clone());
        let len = std::fs::metadata(&file).map_err(|error| error.to_string())?.len();
        Ok(Fixture {
            path: path.to_path_buf(),
            file,
            replay_case: replay_case(&case, &server),
            case,
            client: BuildId(header.client.id.clone()),
            server,
            header,
            len,
        })
    }

    /// The first of two that record the same is the one that is found, unless it is damaged.
    fn add(&mut self, fixture: Fixture) {
        let key = (fixture.client.clone(), fixture.server.clone(), fixture.case.clone());
        if let Some(first) = self.by_cell.get(&key).and_then(|first| self.all.get_mut(*first)) {
            if let Err(damage) = fixture.load() {
                self.complaints.push(damage);
                return;
            }
            if let Err(damage) = first.load() {
                self.complaints.push(damage);
                *first = Arc::new(fixture);
                return;
            }
            let (again, first) = (fixture.path.display(), first.path.display());
            self.complaints.push(format!("fixture {again} records the same as {first}"));
        }
        let number = self.all.len();
        self.by_cell.entry(key).or_insert(number);
        self.by_replay.entry((fixture.client.clone(), fixture.replay_case.clone())).or_insert(number);
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

fn complaint(path: &Path, error: impl std::fmt::Display) -> String {
    format!("fixture {}: {error}", path.display())
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
    for entry in entries {
        let path = match entry {
            Ok(entry) => entry.path(),
            Err(error) => {
                let folder = folder.strip_prefix(root).unwrap_or(folder);
                complaints.push(format!("fixtures in {} cannot be listed: {error}", folder.display()));
                continue;
            }
        };
        let named = path.extension().is_some_and(|extension| extension == "wire");
        // Links to folders are not followed: they could lead in a circle.
        if path.is_dir() && !path.is_symlink() && !named {
            collect(root, &path, paths, complaints);
        } else if named && path.exists() && !path.is_file() {
            // A pipe would be waited for.
            let path = path.strip_prefix(root).unwrap_or(&path);
            complaints.push(complaint(path, "it is no file"));
        } else if named {
            paths.push(path);
        }
    }
}

/// Reads headers on all processors, results in the order of `paths`.
fn read_all(paths: Vec<PathBuf>) -> Vec<(PathBuf, Result<Provenance, String>)> {
    let workers = std::thread::available_parallelism().map_or(1, usize::from).min(8);
    let chunk = paths.len().div_ceil(workers).max(1);
    std::thread::scope(|scope| {
        let handles: Vec<_> = paths
            .chunks(chunk)
            .map(|paths| {
                scope.spawn(move || {
                    let read = |path: &PathBuf| {
                        let header = transcript::fixture::load_header(path);
                        (path.clone(), header.map_err(|error| error.to_string()))
                    };
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
