//! What a protocol is to everybody else: names, cases, checks, and peers to meet.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use matrix::swagger::Documents;
use matrix::{Build, CaseId, Role, Source};
use session::containers::{Engine, NoEngine};
use session::{Client, LaunchError, LaunchErrorKind, Launcher, Script};
use transcript::Transcript;
use transcript::evidence::Expectation;
use verdict::{Check, Cited, Grammar, Reading};
use wire::protobuf::Schema;

use crate::captures::BadCapture;
use crate::dialect::{Changed, IDEAL, Releases};
use crate::effects::Operation;
use crate::launch::{At, CommandLine, OwnClient, OwnServers};
use crate::{Defect, replay};

/// A conversation on a framing, in all its dialects.
pub trait Protocol: Send + Sync {
    /// Its name, the first component of its cells.
    fn name(&self) -> &'static str;

    /// A short name for the command line.
    fn alias(&self) -> &'static str;

    /// What it is and where it is specified, in one line.
    fn about(&self) -> &'static str;

    /// The framing that carries it, e.g. `json-lines`: with it fuzz targets of the framing get seeds of its recordings.
    fn framing(&self) -> &'static str;

    /// Its releases, and what each of them changed, where they are a table of [`crate::dialect`].
    fn releases(&self) -> Option<&'static dyn Releases> {
        None
    }

    /// Its dialects, oldest first; `ideal` is the last.
    fn dialects(&self) -> Vec<&'static str> {
        self.releases().map(Releases::names).unwrap_or_default()
    }

    /// How a dialect is read.
    fn grammar(&self, dialect: &str) -> Option<Arc<dyn Grammar>>;

    /// Probes, client operations and scenarios; replays come from the fixtures.
    fn cases(&self) -> Vec<Case>;

    /// What clients can be asked to do.
    fn operations(&self) -> Vec<&'static dyn Operation> {
        Vec::new()
    }

    /// What a client is asked to do in a case, where that is what the case is.
    fn operation(&self, case: &CaseId) -> Option<&'static dyn Operation> {
        self.operations().into_iter().find(|operation| case.is(operation.kind(), operation.name()))
    }

    /// The observations `expected.*` that every transcript of a case begins with.
    fn expected(&self, case: &CaseId) -> Vec<Expectation> {
        self.operation(case).map(Operation::expected).unwrap_or_default()
    }

    /// Why a client cannot carry out a case whoever the server is, e.g. because its release has no such command.
    /// Such a cell is explained and not run.
    fn lacks(&self, _client: &Build, _case: &CaseId) -> Option<String> {
        None
    }

    /// Why a server is not asked what a case asks, e.g. because its release has no such service. Such a cell is explained and not
    /// run.
    fn is_without(&self, _server: &Build, _case: &CaseId) -> Option<String> {
        None
    }

    /// Why a recording of a case cannot be played again, e.g. because somebody else had a part in it whom the
    /// recording has not. Such a replay is explained and not run.
    fn cannot_replay(&self, _case: &CaseId) -> Option<&'static str> {
        None
    }

    /// Why there are no recordings of it, where there are none. What its reference peers do is compared with nothing then.
    fn unrecorded(&self) -> Option<&'static str> {
        None
    }

    /// The checks of a case: the generic ones that apply, and the protocol's own.
    fn checks(&self, case: &CaseId) -> Vec<Check>;

    /// The rules that its own checks hold peers to, each with where it is written down.
    fn rules(&self) -> Vec<Cited>;

    /// The negotiated version, or what the server's bytes give away of its dialect.
    fn negotiated(&self, transcript: &Transcript, reading: &Reading) -> Option<String>;

    /// What the server can be, by name, where what it did fits one or some of several, e.g. of the implementations that are known.
    /// One cell seldom tells which; reports show what is left by all cells of a server.
    fn suspects(&self, _reading: &Reading) -> Vec<String> {
        Vec::new()
    }

    /// The same protocol, with its replies held to documents that the user has given; nothing where it has no API of that sort.
    fn documented_by(&self, _documents: &Arc<Documents>) -> Option<Arc<dyn Protocol>> {
        None
    }

    /// How many replies are held to those documents, by version of the API; where there is none of a version, how many would be.
    fn validated(&self, _reading: &Reading) -> BTreeMap<String, usize> {
        BTreeMap::new()
    }

    /// The script that plays the client's side of a recorded conversation again, as the recorded server's dialect reads it.
    ///
    /// # Errors
    /// The recording captures of a reply what is not in it.
    fn replay(&self, recorded: &Transcript) -> Result<Script, BadCapture> {
        let version = recorded.provenance.server.version.as_deref();
        let grammar = version.and_then(|version| self.grammar(version)).or_else(|| self.grammar(IDEAL));
        let Some(grammar) = grammar else { return Ok(Script::default()) };
        replay::script(recorded, &*grammar, self.condition(recorded))
    }

    /// The condition in which a server must be before a recording is played to it, as a word of `Server::prepare`.
    fn condition(&self, recorded: &Transcript) -> Option<String> {
        let case = recorded.provenance.case.parse().ok();
        let operation = case.and_then(|case| self.operation(&case));
        operation.and_then(|operation| operation.condition()).map(str::to_owned)
    }

    /// The numbers, layouts and limits that its dialects have promised.
    fn lock_table(&self) -> matrix::LockTable;

    /// The protobuf schema of a dialect, where it has one. What breaks between two dialects is then read of their schemas, and of
    /// the lock only what else they promise.
    fn schema(&self, _dialect: &str) -> Option<&'static Schema> {
        None
    }

    /// The releases of which it has a schema, oldest first and without gaps: more than there are dialects, since most releases
    /// behave as the one before. A patch has the schema of the release that it is of.
    fn schema_releases(&self) -> &'static [&'static str] {
        &[]
    }

    /// The schema of one of [`Self::schema_releases`].
    fn schema_of(&self, _release: &str) -> Option<&'static Schema> {
        None
    }

    /// What changed between two dialects, whichever is the older one, or all that led to one. A failure that a change is
    /// known to cause names it.
    fn changes(&self, one: Option<&str>, other: &str) -> Vec<Changed> {
        self.releases().map(|releases| releases.changes_between(one, other)).unwrap_or_default()
    }

    /// A release that takes part in a case besides the two that meet, e.g. one to which a guest is migrated. What ideal
    /// peers come to in such a case proves nothing of them.
    fn takes_part(&self, _case: &CaseId) -> Option<String> {
        None
    }

    /// The releases by which the server of a case is replaced: [`session::Successor::Release`]. A case whose run has no build
    /// of one is a missing build.
    fn replaced_by(&self, _case: &CaseId) -> Vec<String> {
        Vec::new()
    }

    /// The settings that an ideal server has to be run with for a case to be about it; none for most.
    fn settings_for(&self, _case: &CaseId) -> BTreeMap<String, String> {
        BTreeMap::new()
    }

    /// The faults that can be switched on in its reference peers.
    fn defects(&self) -> &'static [Defect];

    /// Where a user's own peer of that side may speak that comes as a command line (`--build …=path:<program>,arg={socket}`):
    /// nowhere, unless the protocol says so.
    fn speaks_at(&self, _role: Role) -> &'static [At] {
        &[]
    }

    /// The variables that tell a user's own peer of that side where to speak when no argument does, e.g.
    /// `("TOY_ADDRESS", "unix://{socket}")`. With them a program alone is a command line, and no directory of a build.
    fn told_by(&self, _role: Role, _build: &Build) -> &'static [(&'static str, &'static str)] {
        &[]
    }

    /// A launcher of a user's own server that comes as a command line.
    ///
    /// # Errors
    /// The build is set up in a way that makes no sense for it.
    fn own_server(&self, line: CommandLine, _build: &Build) -> Made<dyn Launcher> {
        Ok(Arc::new(OwnServers::new(line)))
    }

    /// A user's own client that comes as a command line. It is started once for each operation.
    ///
    /// # Errors
    /// The same.
    fn own_client(&self, line: CommandLine, _build: &Build) -> Made<dyn Client> {
        let operations = self.cases().into_iter().filter_map(|case| match case.action {
            Action::Operation(name) => Some((name, self.expected(&case.id))),
            Action::Script(_) | Action::Recorded => None,
        });
        Ok(Arc::new(OwnClient::new(line, operations.collect())))
    }

    /// How its peers are made.
    fn peers(&self) -> Peers;

    /// A launcher for a server build.
    ///
    /// # Errors
    /// The build is unavailable; the error says why and what helps.
    fn server(&self, build: &Build, source: &Source, bench: &Bench) -> Made<dyn Launcher> {
        let peers = self.peers();
        let made = match source {
            Source::Reference { defects } => peers.reference_server.map(|make| make(build, defects, bench)),
            real if real.is_live() => peers.real_server.map(|make| make(build, real, bench)),
            _ => None,
        };
        made.unwrap_or_else(|| Err(cannot_launch(build, source, self.speaks_at(Role::Server))))
    }

    /// A client build.
    ///
    /// # Errors
    /// The build is unavailable; the error says why and what helps.
    fn client(&self, build: &Build, source: &Source, bench: &Bench) -> Made<dyn Client> {
        let peers = self.peers();
        let made = match source {
            Source::Reference { defects } => peers.reference_client.map(|make| make(build, defects)),
            real if real.is_live() => peers.real_client.map(|make| make(build, real, bench)),
            _ => None,
        };
        made.unwrap_or_else(|| Err(cannot_launch(build, source, self.speaks_at(Role::Client))))
    }
}

/// A peer that is made of a build, or why it is unavailable.
pub type Made<P> = Result<Arc<P>, LaunchError>;

/// Makes a launcher of reference servers of a build with these defects switched on.
pub type MakesServers = fn(&Build, &[String], &Bench) -> Made<dyn Launcher>;

/// Makes the reference client of a build with these defects switched on.
pub type MakesClient = fn(&Build, &[String]) -> Made<dyn Client>;

/// Makes a real peer of a build that is installed or given as a path.
pub type MakesReal<P> = fn(&Build, &Source, &Bench) -> Made<P>;

/// How the peers of a protocol are made that are no command lines, as far as it has any. An error says why a build cannot be
/// had, and what helps.
#[derive(Debug, Clone, Copy, Default)]
pub struct Peers {
    /// Makes a launcher of reference servers.
    pub reference_server: Option<MakesServers>,
    /// Makes a reference client.
    pub reference_client: Option<MakesClient>,
    /// Makes a launcher of real servers.
    pub real_server: Option<MakesReal<dyn Launcher>>,
    /// Makes a real client.
    pub real_client: Option<MakesReal<dyn Client>>,
}

fn cannot_launch(build: &Build, source: &Source, speaks_at: &[At]) -> LaunchError {
    if matches!(source, Source::Path { .. }) && !speaks_at.is_empty() {
        return CommandLine::expected(build, speaks_at);
    }
    let what = format!("start {} {}", build.protocol, build.id);
    LaunchError::new(what, LaunchErrorKind::Setup(format!("source `{}` is not supported", source.word())))
}

/// Where launchers find and put things during one run.
#[derive(Debug, Clone)]
pub struct Bench {
    /// A directory of this run alone, removed at its end.
    pub work_dir: PathBuf,
    /// Fetched root file systems and packages.
    pub cache_dir: PathBuf,
    /// What starts containers.
    pub engine: Arc<dyn Engine>,
}

impl Bench {
    /// A bench without containers.
    pub fn new(work_dir: impl Into<PathBuf>, cache_dir: impl Into<PathBuf>) -> Self {
        Self { work_dir: work_dir.into(), cache_dir: cache_dir.into(), engine: Arc::new(NoEngine) }
    }
}

/// Something that can be done to a pair.
#[derive(Debug, Clone)]
pub struct Case {
    /// Its name.
    pub id: CaseId,
    /// What it does, in one sentence.
    pub about: &'static str,
    /// What it may do to the server.
    pub hazard: Hazard,
    /// How long its parts may take.
    pub deadlines: Deadlines,
    /// How it is done.
    pub action: Action,
}

impl Case {
    /// A case whose parts take no longer than those of most.
    #[must_use]
    pub fn new(id: CaseId, about: &'static str, hazard: Hazard, action: Action) -> Self {
        Self { id, about, hazard, deadlines: Deadlines::default(), action }
    }

    /// The same whose parts may take so long.
    #[must_use]
    pub fn within(self, deadlines: Deadlines) -> Self {
        Self { deadlines, ..self }
    }
}

/// How long the parts of a case may take, before scaling.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deadlines {
    /// Until its server is ready.
    pub start: Duration,
    /// Until a client has carried out its operation.
    pub operation: Duration,
    /// Until all is done. Every step has a deadline of its own; this is for a defect of ours.
    pub cell: Duration,
}

impl Default for Deadlines {
    fn default() -> Self {
        let [start, operation, cell] = [10, 3, 180].map(Duration::from_secs);
        Self { start, operation, cell }
    }
}

impl Deadlines {
    /// The same on a machine that takes so many times as long; never shorter.
    #[must_use]
    pub fn scaled(self, scale: f64) -> Self {
        let scaled = |deadline: Duration| deadline.mul_f64(scale.max(1.0));
        Self { start: scaled(self.start), operation: scaled(self.operation), cell: scaled(self.cell) }
    }
}

/// What a case may do to the server that it meets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Hazard {
    /// Leaves nothing behind: many cases share one server, one after the other.
    Harmless,
    /// Changes the server's state in a way that can be brought back: it shares a server, which is reset behind it
    /// ([`session::Server::reset`]).
    Resettable,
    /// Changes the server's state, blocks it or may kill it: it gets a server of its own.
    Disturbs,
}

/// How a case is done.
#[derive(Debug, Clone)]
pub enum Action {
    /// A script is played.
    Script(Scripted),
    /// A client build carries out an operation of this name.
    Operation(&'static str),
    /// Somebody else did it and recorded it; there is no script of it here. Its recordings are judged and played again.
    Recorded,
}

/// A script, as a case holds it: made when it is played, and not before. A list of cases costs no more than its names
/// then, however much some of them send.
#[derive(Clone)]
pub struct Scripted(Arc<dyn Fn() -> Script + Send + Sync>);

impl Scripted {
    /// A script that is made anew each time.
    pub fn new(make: impl Fn() -> Script + Send + Sync + 'static) -> Self {
        Self(Arc::new(make))
    }

    /// Makes the script.
    #[must_use]
    pub fn make(&self) -> Script {
        (self.0)()
    }
}

/// A small script may as well be there already.
impl From<Script> for Scripted {
    fn from(script: Script) -> Self {
        Self::new(move || script.clone())
    }
}

impl fmt::Debug for Scripted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Scripted")
    }
}
