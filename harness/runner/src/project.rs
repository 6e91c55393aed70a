//! A project on disk: matrices, builds, expectations and fixtures of every protocol.
//!
//! ```text
//! <root>/matrices/<protocol>/{builds,matrix,expectations,known-bugs}.toml
//! <root>/matrices/{default,live}.toml
//! <root>/matrices/policies/*.toml
//! <root>/fixtures/<protocol>/…
//! ```

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use matrix::{
    BuildFlag, BuildFlagError, BuildId, Builds, CaseId, CellId, ConfigError, Expectation, Expectations,
    KnownBugs, Matrix, RunFile,
};
use protocol::{Case, Protocol};

use crate::Fixtures;

/// The folder below `matrices` that is of no protocol on purpose: which version a break calls for.
const POLICIES: &str = "policies";

/// Everything that is known before a run is planned.
pub struct Project {
    /// The top of the checkout.
    pub root: PathBuf,
    /// By name of the protocol.
    pub protocols: BTreeMap<String, ProtocolFiles>,
    /// Folders below `matrices` that have the name of no protocol. They break nothing, and a run that could leave out a
    /// protocol because of one is red.
    pub strange: Vec<String>,
}

/// The files of one protocol.
pub struct ProtocolFiles {
    /// The code for it.
    pub protocol: Arc<dyn Protocol>,
    /// Its builds.
    pub builds: Builds,
    /// Its groups of cells.
    pub matrix: Matrix,
    /// The bugs of real releases that must be found again.
    pub known_bugs: KnownBugs,
    /// What is expected of its cells.
    pub expectations: Expectations,
    /// The top of the checkout.
    root: PathBuf,
    fixtures: OnceLock<Fixtures>,
    cases: OnceLock<Vec<Arc<Case>>>,
    /// Numbers in `cases`.
    cases_by_id: OnceLock<BTreeMap<CaseId, usize>>,
}

/// Why a project cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ProjectError {
    /// A file is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// There is no project here.
    #[error("`{0}` holds no `matrices` folder; run wireskew at the top of a checkout or give `--root`")]
    NotAProject(PathBuf),
    /// `--build` names no protocol of the project.
    #[error("`--build` names the protocol `{0}`, which this project does not have")]
    UnknownBuildProtocol(String),
    /// A build has a dialect that its protocol has not.
    #[error(
        "{place}build `{build}` has the dialect `{dialect}`, which {protocol} has not; known are {known}"
    )]
    UnknownDialect {
        /// Where it is defined, followed by a colon; empty for one that came by flag.
        place: String,
        /// The build.
        build: BuildId,
        /// Its dialect.
        dialect: String,
        /// The protocol.
        protocol: &'static str,
        /// The names that could be meant.
        known: String,
    },
    /// `--build` leaves something open that nothing else says.
    #[error(transparent)]
    Build(#[from] BuildFlagError),
    /// A folder cannot be read.
    #[error("cannot read `{path}`")]
    Io {
        /// The folder.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

impl Project {
    /// Reads the project at `root`, whose protocols are among the known ones; builds given by flag take their rows.
    ///
    /// # Errors
    /// A file that is wrong, with its place.
    pub fn load(root: &Path, known: &[Arc<dyn Protocol>], flags: &[BuildFlag]) -> Result<Self, ProjectError> {
        let folder = root.join("matrices");
        if !folder.is_dir() {
            return Err(ProjectError::NotAProject(root.to_path_buf()));
        }
        let mut protocols = BTreeMap::new();
        let mut strange = Vec::new();
        for entry in read_dir(&folder)?.into_iter().filter(|entry| entry.is_dir()) {
            let name = entry.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            match known.iter().find(|protocol| protocol.name() == name) {
                Some(protocol) => {
                    let files = ProtocolFiles::load(root, &entry, Arc::clone(protocol), flags)?;
                    protocols.insert(name, files);
                }
                None if name == POLICIES => {}
                None => {
                    let names: Vec<_> =
                        known.iter().map(|protocol| format!("`{}`", protocol.name())).collect();
                    strange.push(format!(
                        "matrices/{name}: the folder of no protocol; there are {}",
                        names.join(", ")
                    ));
                }
            }
        }
        let project = Self { root: root.to_path_buf(), protocols, strange };
        for flag in flags {
            let known = |f: &ProtocolFiles| f.builds.is_called(&flag.protocol);
            if !project.protocols.values().any(known) {
                return Err(ProjectError::UnknownBuildProtocol(flag.protocol.clone()));
            }
        }
        Ok(project)
    }

    /// Reads a run file, e.g. `matrices/default.toml`.
    ///
    /// # Errors
    /// A file that is wrong, with its place.
    pub fn run_file(&self, path: &Path) -> Result<RunFile, ProjectError> {
        let matrices: BTreeMap<_, _> =
            self.protocols.iter().map(|(name, files)| (name.clone(), files.matrix.clone())).collect();
        Ok(RunFile::load(path, &matrices)?)
    }
}

impl ProtocolFiles {
    /// The version of a build; its id where it is no build, as for `probe`.
    #[must_use]
    pub fn version<'a>(&'a self, id: &'a BuildId) -> &'a str {
        self.builds.get(id).map_or(id.as_str(), |build| &build.version)
    }

    /// What is known to be wrong with a cell.
    pub(crate) fn expectation(&self, cell: &CellId) -> Option<&Expectation> {
        self.expectations.lookup(cell, self.version(&cell.client), self.version(&cell.server))
    }

    /// Its fixtures. They are looked for when somebody first asks for them.
    pub fn fixtures(&self) -> &Fixtures {
        self.fixtures.get_or_init(|| Fixtures::find_all(&self.root, self.protocol.name(), &self.builds))
    }

    /// Its cases, in the order of the protocol.
    pub fn cases(&self) -> &[Arc<Case>] {
        self.cases.get_or_init(|| self.protocol.cases().into_iter().map(Arc::new).collect())
    }

    /// The case of that name.
    #[must_use]
    pub fn case(&self, id: &CaseId) -> Option<&Arc<Case>> {
        let numbers = self.cases_by_id.get_or_init(|| {
            let mut numbers = BTreeMap::new();
            for (number, case) in self.cases().iter().enumerate() {
                numbers.entry(case.id.clone()).or_insert(number);
            }
            numbers
        });
        self.cases().get(*numbers.get(id)?)
    }

    fn load(
        root: &Path,
        folder: &Path,
        protocol: Arc<dyn Protocol>,
        flags: &[BuildFlag],
    ) -> Result<Self, ProjectError> {
        let name = protocol.name();
        let mut builds = Builds::load(&folder.join("builds.toml"))?;
        for flag in flags {
            if builds.is_called(&flag.protocol) {
                let build = flag.to_build(&builds, &protocol.dialects())?;
                builds.add(build);
            }
        }
        check_dialects(&*protocol, &builds)?;
        let known_bugs = KnownBugs::load(&folder.join("known-bugs.toml"), name)?;
        let expectations = folder.join("expectations.toml");
        Ok(Self {
            expectations: Expectations::load(&expectations, name, Some(&known_bugs))?,
            known_bugs,
            matrix: Matrix::load(&folder.join("matrix.toml"), &builds)?,
            root: root.to_path_buf(),
            fixtures: OnceLock::new(),
            cases: OnceLock::new(),
            cases_by_id: OnceLock::new(),
            protocol,
            builds,
        })
    }
}

/// Every build has a dialect by which it can be read: else nothing that it says means anything.
fn check_dialects(protocol: &dyn Protocol, builds: &Builds) -> Result<(), ProjectError> {
    match builds.iter().find(|build| protocol.grammar(&build.dialect).is_none()) {
        None => Ok(()),
        Some(build) => Err(ProjectError::UnknownDialect {
            place: builds.location(&build.id).map(|place| format!("{place}: ")).unwrap_or_default(),
            build: build.id.clone(),
            dialect: build.dialect.clone(),
            protocol: protocol.name(),
            known: protocol.dialects().join(", "),
        }),
    }
}

fn read_dir(folder: &Path) -> Result<Vec<PathBuf>, ProjectError> {
    let io = |source| ProjectError::Io { path: folder.to_path_buf(), source };
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(io)? {
        paths.push(entry.map_err(io)?.path());
    }
    paths.sort();
    Ok(paths)
}
