//! `matrices/<protocol>/matrix.toml`: which pairs run which cases.
//!
//! ```toml
//! protocol = "lxc-command"
//!
//! [[cells]]
//! name = "reference"                 # blocks of one name make one group
//! about = "every probe against every reference server"
//! clients = ["probe"]                # ids, patterns with `*`, or `probe` for the harness's own script
//! servers = ["ideal", "ref-*"]
//! cases = ["probe/**"]
//! source = "reference"               # or a list: each build uses the first of them that it has
//!
//! [[cells]]
//! name = "cross"
//! clients = ["*"]
//! servers = ["ref-*"]
//! cases = ["client/*", "replay/**"]
//! except = ["client/stop"]           # optional: cases that are left out of those
//! client-source = ["path", "debian"] # where the two sides differ
//! server-source = "reference"
//! ```
//!
//! An id that is written out must exist, play the role and have one of the sources. A pattern takes
//! the builds that do; one that takes none is an error, except where `path`, `container` or `dockerfile` is among the
//! sources: builds of those come by flag.

use std::path::Path;
use std::sync::Arc;

use toml::Spanned;

use crate::builds::{Builds, Name};
use crate::error::{ConfigError, Location, read_text};
use crate::pattern::{CasePattern, Glob};
use crate::section::{BadText, FromText, OneOrMany, Section, read_document};
use crate::{Build, BuildId, CaseId, CaseKind, CellId, Role, Source};

/// The kinds of [`Source`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SourceKind {
    /// [`Source::Reference`].
    Reference,
    /// [`Source::Path`].
    Path,
    /// [`Source::Debian`].
    Debian,
    /// [`Source::Container`].
    Container,
    /// [`Source::Dockerfile`].
    Dockerfile,
    /// [`Source::Recorded`].
    Recorded,
}

impl SourceKind {
    const ALL: [Self; 6] =
        [Self::Reference, Self::Path, Self::Debian, Self::Container, Self::Dockerfile, Self::Recorded];

    /// Whether a build of it is real: started as processes, on real time, in a sandbox.
    #[must_use]
    pub fn is_live(self) -> bool {
        match self {
            Self::Path | Self::Debian | Self::Container | Self::Dockerfile => true,
            Self::Reference | Self::Recorded => false,
        }
    }

    /// Whether an engine for containers starts it.
    #[must_use]
    pub fn is_container(self) -> bool {
        matches!(self, Self::Container | Self::Dockerfile)
    }

    /// Whether `--build` brings builds of it.
    fn comes_by_flag(self) -> bool {
        matches!(self, Self::Path | Self::Container | Self::Dockerfile)
    }

    /// The word for it in files and reports.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Reference => "reference",
            Self::Path => "path",
            Self::Debian => "debian",
            Self::Container => "container",
            Self::Dockerfile => "dockerfile",
            Self::Recorded => "recorded",
        }
    }
}

impl Source {
    /// Its kind.
    #[must_use]
    pub fn kind(&self) -> SourceKind {
        match self {
            Self::Reference { .. } => SourceKind::Reference,
            Self::Path { .. } => SourceKind::Path,
            Self::Debian(_) => SourceKind::Debian,
            Self::Container { .. } => SourceKind::Container,
            Self::Dockerfile { .. } => SourceKind::Dockerfile,
            Self::Recorded => SourceKind::Recorded,
        }
    }
}

impl Build {
    /// Its source of that kind.
    #[must_use]
    pub fn source(&self, kind: SourceKind) -> Option<&Source> {
        self.sources.iter().find(|source| source.kind() == kind)
    }

    /// The first of these kinds that it has.
    #[must_use]
    pub fn first_source(&self, kinds: &[SourceKind]) -> Option<SourceKind> {
        kinds.iter().copied().find(|kind| self.source(*kind).is_some())
    }
}

impl FromText for SourceKind {
    const WANTED: &'static str = "a source";

    fn from_text(text: &str) -> Result<Self, BadText> {
        Self::ALL
            .into_iter()
            .find(|kind| kind.word() == text)
            .ok_or_else(|| BadText::unknown_word(text, "source", &Self::ALL.map(Self::word)))
    }
}

/// One block of cells: the pairs of its clients and servers, and the cases that they run.
#[derive(Debug, Clone)]
pub struct CellGroup {
    /// Name of the group that it belongs to.
    pub name: Arc<str>,
    /// What it is for.
    pub about: Option<String>,
    /// Clients; `probe` is the script.
    pub clients: Vec<Glob>,
    /// Servers.
    pub servers: Vec<Glob>,
    /// Cases.
    pub cases: Vec<CasePattern>,
    /// Cases that are left out of those.
    pub except: Vec<CasePattern>,
    /// Sources of the clients, in order of preference.
    pub client_sources: Vec<SourceKind>,
    /// Sources of the servers, in order of preference.
    pub server_sources: Vec<SourceKind>,
    /// Where it is written.
    pub location: Location,
}

/// One side of a pair: a build and the source that is used of it; `None` for the script.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Side {
    /// The build.
    pub build: BuildId,
    /// Which of its sources.
    pub source: Option<SourceKind>,
}

/// A client and a server that meet.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Pair {
    /// The side that connects.
    pub client: Side,
    /// The side that listens.
    pub server: Side,
}

impl Pair {
    /// Whether cases of a kind make sense here: probes are what the script does, and clients do
    /// what the script cannot. A scenario may use either, and a replay whoever was recorded.
    #[must_use]
    pub fn can_run(&self, kind: CaseKind) -> bool {
        match kind {
            CaseKind::Probe => self.client.build.is_probe(),
            CaseKind::Client | CaseKind::State => !self.client.build.is_probe(),
            CaseKind::Scenario | CaseKind::Replay => true,
        }
    }
}

/// A cell of the plan, and which sources it uses.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct PlannedCell {
    /// Its name.
    pub id: CellId,
    /// Source of the client; `None` for the script.
    pub client_source: Option<SourceKind>,
    /// Source of the server.
    pub server_source: Option<SourceKind>,
    /// The group that it comes from.
    pub group: Arc<str>,
}

impl CellGroup {
    /// Whether it can run cases of a kind at all.
    #[must_use]
    pub fn reaches(&self, kind: CaseKind) -> bool {
        self.cases.iter().any(|pattern| pattern.reaches(kind))
    }

    /// Whether it runs this case.
    #[must_use]
    pub fn wants(&self, case: &CaseId) -> bool {
        let name = case.to_string();
        let any = |patterns: &[CasePattern]| patterns.iter().any(|pattern| pattern.matches_name(&name));
        any(&self.cases) && !any(&self.except)
    }

    /// All its pairs, in the order of the builds.
    #[must_use]
    pub fn pairs(&self, builds: &Builds) -> Vec<Pair> {
        let script = self
            .clients
            .iter()
            .any(|glob| glob.as_str() == BuildId::PROBE)
            .then(|| Side { build: BuildId::new(BuildId::PROBE), source: None });
        let clients = take(builds, &self.clients, Role::Client, &self.client_sources);
        let servers: Vec<_> = take(builds, &self.servers, Role::Server, &self.server_sources).collect();
        let pair = |client: Side| {
            servers.iter().map(move |server| Pair { client: client.clone(), server: server.clone() })
        };
        script.into_iter().chain(clients).flat_map(pair).collect()
    }

    /// All its cells, for a protocol whose cases are the same for every pair.
    #[must_use]
    pub fn cells(&self, builds: &Builds, cases: &[CaseId]) -> Vec<PlannedCell> {
        let mut cells = Vec::new();
        for pair in self.pairs(builds) {
            for case in cases.iter().filter(|case| self.wants(case) && pair.can_run(case.kind)) {
                cells.push(self.cell(builds, &pair, case.clone()));
            }
        }
        cells
    }

    /// One of its cells.
    #[must_use]
    pub fn cell(&self, builds: &Builds, pair: &Pair, case: CaseId) -> PlannedCell {
        PlannedCell {
            id: CellId {
                protocol: builds.protocol.clone(),
                client: pair.client.build.clone(),
                server: pair.server.build.clone(),
                case,
            },
            client_source: pair.client.source,
            server_source: pair.server.source,
            group: self.name.clone(),
        }
    }
}

fn take(builds: &Builds, globs: &[Glob], role: Role, kinds: &[SourceKind]) -> impl Iterator<Item = Side> {
    let wanted = builds.iter().filter(move |build| {
        build.roles.contains(&role) && globs.iter().any(|glob| glob.matches(build.id.as_str()))
    });
    wanted.filter_map(|build| {
        let source = build.first_source(kinds)?;
        Some(Side { build: build.id.clone(), source: Some(source) })
    })
}

/// The groups of cells of one protocol.
#[derive(Debug, Clone)]
pub struct Matrix {
    /// Name of the protocol.
    pub protocol: String,
    groups: Vec<CellGroup>,
}

/// Two groups plan the same cell from different sources.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("cell `{cell}` is planned twice from different sources: by group `{first}` and by group `{second}`")]
pub struct PlanConflict {
    /// The cell.
    pub cell: Box<CellId>,
    /// One group.
    pub first: Arc<str>,
    /// The other.
    pub second: Arc<str>,
}

impl Matrix {
    /// Reads the file at `path`; names of builds are looked up in `builds`.
    ///
    /// # Errors
    /// Everything that is wrong with it, each with its place.
    pub fn load(path: &Path, builds: &Builds) -> Result<Self, ConfigError> {
        Self::parse(&path.display().to_string(), &read_text(path)?, builds)
    }

    /// Reads a text; `name` is what errors call it.
    ///
    /// # Errors
    /// Everything that is wrong with it, each with its place.
    pub fn parse(name: &str, text: &str, builds: &Builds) -> Result<Self, ConfigError> {
        read_document(name, text, |root| {
            let protocol = read_protocol(root, &builds.protocol);
            let groups = root.tables("cells", |section| read_group(section, builds));
            Some(Self { protocol: protocol?, groups })
        })
    }

    /// The blocks of a group.
    pub fn group<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a CellGroup> {
        self.groups.iter().filter(move |group| *group.name == *name)
    }

    /// All blocks, in the order of the file.
    pub fn groups(&self) -> impl Iterator<Item = &CellGroup> {
        self.groups.iter()
    }

    /// The names of the groups, in the order of the file, each once.
    #[must_use]
    pub fn group_names(&self) -> Vec<&str> {
        let mut names: Vec<&str> = Vec::new();
        for group in &self.groups {
            if !names.contains(&&*group.name) {
                names.push(&group.name);
            }
        }
        names
    }
}

/// Puts the cells of several groups into one plan, sorted by name; a cell of several groups counts once.
///
/// # Errors
/// When two groups want the same cell from different sources: its name could not say which one ran.
pub fn merge_cells(cells: impl IntoIterator<Item = PlannedCell>) -> Result<Vec<PlannedCell>, PlanConflict> {
    let mut plan: Vec<PlannedCell> = cells.into_iter().collect();
    plan.sort_by(|a, b| a.id.cmp(&b.id));
    let sources = |cell: &PlannedCell| (cell.client_source, cell.server_source);
    let conflict =
        plan.array_windows().find(|[known, cell]| known.id == cell.id && sources(known) != sources(cell));
    if let Some([known, cell]) = conflict {
        let (first, second) = (known.group.clone(), cell.group.clone());
        return Err(PlanConflict { cell: Box::new(cell.id.clone()), first, second });
    }
    plan.dedup_by(|cell, known| cell.id == known.id);
    Ok(plan)
}

/// Reads `protocol`, which must be the one expected here.
pub(crate) fn read_protocol(root: &mut Section<'_>, expected: &str) -> Option<String> {
    let protocol = root.required::<Spanned<Name>>("protocol")?;
    if protocol.get_ref().0 != expected {
        let message = format!("protocol `{}` in a file of `{expected}`", protocol.get_ref().0);
        root.context().report(root.problem(protocol.span(), message, "another protocol"));
        return None;
    }
    Some(protocol.into_inner().0)
}

fn read_group(section: &mut Section<'_>, builds: &Builds) -> Option<CellGroup> {
    let location = section.context().source().locate(&section.span());
    let name = section.required::<Name>("name");
    let about = section.optional::<String>("about");
    let clients = section.required_list::<Spanned<Glob>>("clients");
    let servers = section.required_list::<Spanned<Glob>>("servers");
    let cases = section.required_list::<CasePattern>("cases");
    let except = section.optional::<Vec<CasePattern>>("except").unwrap_or_default();
    let problems_before = section.context().problem_count();
    let both = section.optional::<OneOrMany<SourceKind>>("source").map(|sources| sources.0);
    let client_sources = section.optional::<OneOrMany<SourceKind>>("client-source").map(|sources| sources.0);
    let server_sources = section.optional::<OneOrMany<SourceKind>>("server-source").map(|sources| sources.0);
    let client_sources = client_sources.or_else(|| both.clone());
    let server_sources = server_sources.or(both);
    let only_script = clients
        .as_ref()
        .is_some_and(|clients| clients.iter().all(|glob| glob.get_ref().as_str() == BuildId::PROBE));
    let client_sources = if only_script { Some(client_sources.unwrap_or_default()) } else { client_sources };
    let sourceless = client_sources.is_none() || server_sources.as_ref().is_none_or(Vec::is_empty);
    if sourceless && section.context().problem_count() == problems_before {
        section.context().report(
            section.problem(section.span(), "the group has no source", "this group").help(
                "add `source = ...` for both sides, or `client-source` and `server-source`: `reference`, `recorded`, `debian`, `path`, `container` or `dockerfile`"
                    .to_owned(),
            ),
        );
    }
    let (clients, servers) = (clients?, servers?);
    let (client_sources, server_sources) = (client_sources?, server_sources?);
    check_side(section, builds, &clients, Role::Client, &client_sources);
    check_side(section, builds, &servers, Role::Server, &server_sources);
    let plain = |globs: Vec<Spanned<Glob>>| globs.into_iter().map(Spanned::into_inner).collect();
    Some(CellGroup {
        name: name?.0.into(),
        about,
        clients: plain(clients),
        servers: plain(servers),
        cases: cases?,
        except,
        client_sources,
        server_sources,
        location,
    })
}

/// Checks that every name and pattern of one side has a build.
fn check_side(
    section: &Section<'_>,
    builds: &Builds,
    globs: &[Spanned<Glob>],
    role: Role,
    kinds: &[SourceKind],
) {
    let by_flag = kinds.iter().any(|kind| kind.comes_by_flag());
    for spanned in globs {
        let glob = spanned.get_ref();
        let report = |message: String, help: Option<String>| {
            let problem = section.problem(spanned.span(), message, "named here").help(help);
            section.context().report(problem);
        };
        if glob.as_str() == BuildId::PROBE {
            if role == Role::Server {
                report(
                    "`probe` is not a server".to_owned(),
                    Some(
                        "it is the script on the client's side; hostile servers are cases of kind `scenario`"
                            .to_owned(),
                    ),
                );
            }
            continue;
        }
        let named: Vec<_> = builds.iter().filter(|build| glob.matches(build.id.as_str())).collect();
        let playing: Vec<_> = named.iter().filter(|build| build.roles.contains(&role)).collect();
        let had = playing.iter().filter(|build| build.first_source(kinds).is_some()).count();
        if had > 0 || (by_flag && (!glob.is_literal() || named.is_empty())) {
            continue;
        }
        if named.is_empty() {
            report(format!("no build is called `{glob}`"), builds.suggest(glob.as_str()));
        } else if playing.is_empty() {
            report(format!("no build called `{glob}` can be a {role}"), None);
        } else {
            let words: Vec<_> = kinds.iter().map(|kind| format!("`{}`", kind.word())).collect();
            let sources: Vec<_> = playing.iter().flat_map(|build| &build.sources).map(Source::word).collect();
            let help = format!("it has: {}", sources.join(", "));
            report(format!("no build called `{glob}` has source {}", words.join(" or ")), Some(help));
        }
    }
}
