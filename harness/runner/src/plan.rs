//! What will be run, and how: every cell of the matrix, the work that it means, and a reason for each
//! cell that cannot be run. Planned = executed + explained.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use matrix::{
    CaseId, CaseKind, CasePattern, CellGroup, CellId, CellInfo, Pair, Partition, PlanConflict, PlannedCell,
    RunFile, Selection, Settings, SourceKind, merge_cells,
};
use protocols::{Action, Case, Hazard};
use session::Script;

use crate::{Fixture, Project, ProtocolFiles};

/// What is asked of the planner.
pub struct Request<'a> {
    /// Name of the run file, relative to the project.
    pub name: String,
    /// The run file.
    pub run: &'a RunFile,
    /// Which cells.
    pub selection: &'a Selection,
    /// Which shard.
    pub partition: Option<&'a Partition>,
}

/// Everything that will be run or explained.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Name of the run file.
    pub name: String,
    /// How it runs.
    pub settings: Settings,
    /// The cells, sorted by name.
    pub cells: Vec<PlanCell>,
    /// The shard, as text.
    pub partition: Option<String>,
    /// Whether the user selected cells. A shard is no selection: all shards together are the whole.
    pub narrowed: bool,
    /// What is wrong with fixtures and makes the run red.
    pub complaints: Vec<String>,
}

/// One cell and the work that it means.
#[derive(Debug, Clone)]
pub struct PlanCell {
    /// The cell and the sources that it uses.
    pub planned: PlannedCell,
    /// What to do.
    pub work: Work,
    /// What it may do to the server.
    pub hazard: Hazard,
}

/// What a cell means.
#[derive(Debug, Clone)]
pub enum Work {
    /// The bytes of a fixture are judged anew.
    Judge(Fixture),
    /// A script is played to a server.
    Play(Arc<Script>),
    /// A client carries out an operation against a server.
    Operate(&'static str),
    /// The client's side of a fixture is played to a server, and the answers compared.
    Replay(Fixture),
    /// The recorded build has no fixture of it. That is a missing build, and never green.
    Missing(String),
    /// It cannot be done, for this reason.
    Explain(String),
}

impl PlanCell {
    /// Whether nobody outside of this process has a part in it.
    #[must_use]
    pub fn is_simulated(&self) -> bool {
        let ours = |source: Option<SourceKind>| {
            matches!(source, None | Some(SourceKind::Reference | SourceKind::Recorded))
        };
        ours(self.planned.client_source) && ours(self.planned.server_source)
    }
}

impl Work {
    /// How many bytes it is about, as far as that is known before it is done.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        match self {
            Self::Judge(fixture) | Self::Replay(fixture) => fixture.transcript.byte_count(),
            Self::Play(script) => script.bytes(),
            Self::Operate(_) | Self::Missing(_) | Self::Explain(_) => 0,
        }
    }
}

/// Why there is no plan.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// Two groups plan the same cell from different sources.
    #[error(transparent)]
    Conflict(#[from] PlanConflict),
    /// A run names a protocol that the project does not have.
    #[error("the run names the protocol `{0}`, which this project does not have")]
    UnknownProtocol(String),
}

/// Plans a run.
///
/// # Errors
/// The matrices contradict each other.
pub fn plan(project: &Project, request: &Request<'_>) -> Result<Plan, PlanError> {
    let mut cells = Vec::new();
    let mut complaints = Vec::new();
    for run in &request.run.runs {
        let files = project
            .protocols
            .get(&run.protocol)
            .ok_or_else(|| PlanError::UnknownProtocol(run.protocol.clone()))?;
        let cases = files.protocol.cases();
        let groups: Vec<&CellGroup> = run.groups.iter().flat_map(|name| files.matrix.group(name)).collect();
        let planned = merge_cells(groups.iter().flat_map(|group| group_cells(files, group, &cases)))?;
        complaints.extend(files.fixtures.complaints.iter().cloned());
        complaints.extend(unread_fixtures(files, &groups, &planned));
        complaints.extend(dead_patterns(files, &groups, &cases));
        let wanted = |planned: &PlannedCell| {
            request.selection.matches(&CellInfo {
                id: &planned.id,
                client_version: &files.version(&planned.id.client),
                server_version: &files.version(&planned.id.server),
                client_source: planned.client_source,
                server_source: planned.server_source,
                verdict: None,
            })
        };
        let planned = planned.into_iter().filter(wanted);
        cells.extend(planned.map(|planned| with_work(files, planned, &cases)));
    }
    if let Some(partition) = request.partition {
        cells = partition.take(cells, |cell| cell.planned.id.to_string());
    }
    cells.sort_by(|a, b| a.planned.id.cmp(&b.planned.id));
    cells.dedup_by(|a, b| a.planned.id == b.planned.id);
    Ok(Plan {
        name: request.name.clone(),
        settings: request.run.settings,
        narrowed: !request.selection.is_all(),
        cells,
        partition: request.partition.map(ToString::to_string),
        complaints,
    })
}

/// Every cell that some group of the protocol's matrix can have, whichever run plans it.
pub(crate) fn universe(files: &ProtocolFiles) -> BTreeSet<CellId> {
    let cases = files.protocol.cases();
    files.matrix.groups().flat_map(|group| group_cells(files, group, &cases)).map(|cell| cell.id).collect()
}

fn group_cells(files: &ProtocolFiles, group: &CellGroup, cases: &[Case]) -> Vec<PlannedCell> {
    let mut cells = Vec::new();
    for pair in group.pairs(&files.builds) {
        let mut ids: Vec<CaseId> = cases.iter().map(|case| case.id.clone()).collect();
        ids.extend(replays(files, &pair));
        for id in ids {
            if group.wants(&id) && pair.can_run(id.kind) {
                cells.push(group.cell(&files.builds, &pair, id));
            }
        }
    }
    cells
}

/// The replays that make sense for a pair. A client's conversation is played to every server. A probe
/// sends the same bytes to every server anyway, so its replay is only held against servers of the release
/// that it was recorded from: there it proves that the reference peer answers as the real one did. What a
/// reference server answered is no recording of a server, and nobody is held to it.
fn replays(files: &ProtocolFiles, pair: &Pair) -> Vec<CaseId> {
    let server = files.builds.get(&pair.server.build);
    let same_release = |fixture: &Fixture| {
        let recorded = files.builds.get(&fixture.server);
        matches!((recorded, server), (Some(a), Some(b)) if a.dialect == b.dialect)
    };
    // Under other settings a server may well answer otherwise, e.g. in another language.
    let same_settings = |fixture: &Fixture| {
        let recorded = files.builds.get(&fixture.server);
        matches!((recorded, server), (Some(a), Some(b)) if a.settings == b.settings)
    };
    let ours = |fixture: &Fixture| {
        files.builds.get(&fixture.server).is_some_and(|build| build.source(SourceKind::Reference).is_some())
    };
    files
        .fixtures
        .all
        .iter()
        .filter(|fixture| fixture.client == pair.client.build && fixture.case.kind != CaseKind::Replay)
        .filter(|fixture| !ours(fixture) && same_settings(fixture))
        .filter(|fixture| fixture.case.kind == CaseKind::Client || same_release(fixture))
        .map(Fixture::replay_case)
        .collect()
}

fn with_work(files: &ProtocolFiles, planned: PlannedCell, cases: &[Case]) -> PlanCell {
    let recorded = |source: Option<SourceKind>| source == Some(SourceKind::Recorded);
    let id = &planned.id;
    if id.case.kind == CaseKind::Replay {
        let fixture = files.fixtures.all.iter().find(|f| f.client == id.client && f.replay_case() == id.case);
        let work = match fixture {
            Some(fixture) => match files.protocol.cannot_replay(&fixture.case) {
                Some(why) => Work::Explain(why.to_owned()),
                None => Work::Replay(fixture.clone()),
            },
            None => Work::Explain("the fixture is gone".to_owned()),
        };
        return PlanCell { work, hazard: replay_hazard(fixture, cases), planned };
    }
    let case = cases.iter().find(|case| case.id == id.case);
    let hazard = case.map_or(Hazard::Disturbs, |case| case.hazard);
    let lacking = files.builds.get(&id.client).and_then(|client| files.protocol.lacks(client, &id.case));
    let work = if recorded(planned.server_source) {
        match files.fixtures.find(&id.client, &id.server, &id.case) {
            Some(fixture) => match case.map(|case| crate::genuine::check(files, fixture, case)) {
                Some(Err(what)) => {
                    Work::Missing(format!("{} is no recording of this case: {what}", fixture.path.display()))
                }
                _ => Work::Judge(fixture.clone()),
            },
            None => match lacking {
                Some(why) => Work::Explain(why),
                None => Work::Missing(format!(
                    "not recorded; `wireskew record '{id}'` does it where the builds run"
                )),
            },
        }
    } else if recorded(planned.client_source) {
        Work::Explain("a recorded client can only be replayed".to_owned())
    } else if let Some(why) = lacking {
        Work::Explain(why)
    } else {
        match case.map(|case| &case.action) {
            Some(Action::Script(script)) => Work::Play(Arc::new(script.clone())),
            Some(Action::Operation(name)) => Work::Operate(name),
            Some(Action::Recorded) => Work::Explain("there are only recordings of this case".to_owned()),
            None => Work::Explain("the protocol has no such case".to_owned()),
        }
    };
    PlanCell { work, hazard, planned }
}

/// Patterns of groups that stand for no case: a slip of the pen there must not drop cells in silence.
fn dead_patterns(files: &ProtocolFiles, groups: &[&CellGroup], cases: &[Case]) -> Vec<String> {
    let known = || {
        let replays = files.fixtures.all.iter().map(Fixture::replay_case);
        cases.iter().map(|case| case.id.clone()).chain(replays)
    };
    let dead = |pattern: &&CasePattern| {
        // Without fixtures there is nothing to replay, and what should be recorded says so.
        !pattern.as_str().starts_with("replay/") && !known().any(|case| pattern.matches(&case))
    };
    let mut complaints = Vec::new();
    for group in groups {
        for pattern in group.cases.iter().chain(&group.except).filter(dead) {
            complaints.push(format!("{}: `{pattern}` matches no case", group.location));
        }
    }
    complaints.sort();
    complaints.dedup();
    complaints
}

/// A replay does what the recorded case did.
fn replay_hazard(fixture: Option<&Fixture>, cases: &[Case]) -> Hazard {
    let case = fixture.and_then(|fixture| cases.iter().find(|case| case.id == fixture.case));
    case.map_or(Hazard::Disturbs, |case| case.hazard)
}

/// Fixtures that no cell of a run that judges recordings reads.
fn unread_fixtures(files: &ProtocolFiles, groups: &[&CellGroup], planned: &[PlannedCell]) -> Vec<String> {
    let uses_recorded = groups.iter().any(|group| group.server_sources.contains(&SourceKind::Recorded));
    if !uses_recorded {
        return Vec::new();
    }
    let judged: BTreeSet<_> = planned
        .iter()
        .filter(|cell| cell.server_source == Some(SourceKind::Recorded))
        .map(|cell| (&cell.id.client, &cell.id.server, &cell.id.case))
        .collect();
    let replayed: BTreeSet<_> = planned
        .iter()
        .filter(|cell| cell.id.case.kind == CaseKind::Replay)
        .map(|cell| (&cell.id.client, &cell.id.case))
        .collect();
    let path = |fixture: &Fixture| -> PathBuf { fixture.path.clone() };
    files
        .fixtures
        .all
        .iter()
        .filter(|f| !judged.contains(&(&f.client, &f.server, &f.case)))
        .filter(|f| !replayed.contains(&(&f.client, &f.replay_case())))
        .map(|f| format!("fixture {} is read by no cell", path(f).display()))
        .collect()
}
