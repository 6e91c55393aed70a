//! What will be run, and how: every cell of the matrix, the work that it means, and a reason for each
//! cell that cannot be run. Planned = executed + explained.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use matrix::{
    Build, BuildId, Builds, CaseId, CaseKind, CasePattern, CellGroup, CellId, CellInfo, Partition,
    PlanConflict, PlannedCell, Role, RunFile, Selection, Settings, SourceKind, merge_cells,
};
use protocol::{Action, Case, Deadlines, Hazard, Scripted};

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
    /// The protocols of which it may have cells. A shard may happen to have none of one.
    pub protocols: BTreeSet<String>,
    /// Whether there is no cell, in this shard or in any other.
    pub selects_nothing: bool,
    /// Those of this shard, sorted by name.
    pub cells: Vec<PlanCell>,
    /// The shard, as text.
    pub partition: Option<String>,
    /// Whether the user selected cells. A shard is no selection: all shards together are the whole.
    pub narrowed: bool,
    /// Whether what is wrong with the matrix as a whole is told by this run: it is by one of the shards, the first.
    pub speaks_for_all: bool,
    /// What is wrong with fixtures and makes the run red.
    pub complaints: Vec<String>,
}

/// One cell and the work that it means.
#[derive(Debug, Clone)]
pub struct PlanCell {
    /// The cell and the sources that it uses.
    pub planned: PlannedCell,
    /// The case; that which was recorded, for a replay. `None` where the protocol has no such case.
    pub case: Option<Arc<Case>>,
    /// What to do.
    pub work: Work,
    /// What it may do to the server.
    pub hazard: Hazard,
    /// How long its parts may take, before scaling.
    pub deadlines: Deadlines,
    /// The builds by which the server is replaced meanwhile, by release.
    pub successors: BTreeMap<Arc<str>, Build>,
}

/// What a cell means.
#[derive(Debug, Clone)]
pub enum Work {
    /// The bytes of a fixture are judged anew.
    Judge(Arc<Fixture>),
    /// A script is played to a server.
    Play(Scripted),
    /// A client carries out an operation against a server.
    Operate(&'static str),
    /// The client's side of a fixture is played to a server, and the answers compared.
    Replay(Arc<Fixture>),
    /// The recorded build has no fixture of it. That is a missing build, and never green.
    Missing(String),
    /// It cannot be done, for this reason.
    Explain(String),
}

impl PlanCell {
    /// Whether nobody outside of this process has a part in it.
    #[must_use]
    pub fn is_simulated(&self) -> bool {
        let ours = |source: Option<SourceKind>| !source.is_some_and(SourceKind::is_live);
        ours(self.planned.client_source) && ours(self.planned.server_source)
    }

    /// Whether peers talk to each other in it.
    #[must_use]
    pub fn converses(&self) -> bool {
        matches!(self.work, Work::Play(_) | Work::Operate(_) | Work::Replay(_))
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

/// Plans a run. Work is sought only for cells of the selection and the shard, and nothing is read of protocols that the
/// selection cannot reach.
///
/// # Errors
/// The matrices contradict each other.
pub fn plan(project: &Project, request: &Request<'_>) -> Result<Plan, PlanError> {
    let mut taken = Vec::new();
    let mut complaints = Vec::new();
    let mut protocols = BTreeSet::new();
    let narrowed = !request.selection.is_all();
    let speaks_for_all = request.partition.is_none_or(|partition| partition.shard() == 1);
    if speaks_for_all && !narrowed {
        complaints.extend(project.strange.iter().cloned());
    }
    for run in &request.run.runs {
        let files = project
            .protocols
            .get(&run.protocol)
            .ok_or_else(|| PlanError::UnknownProtocol(run.protocol.clone()))?;
        if !request.selection.reaches_protocol(&run.protocol) {
            continue;
        }
        protocols.insert(run.protocol.clone());
        let groups: Vec<&CellGroup> = run.groups.iter().flat_map(|name| files.matrix.group(name)).collect();
        let planned = merge_cells(groups.iter().flat_map(|group| group_cells(files, group)))?;
        if speaks_for_all {
            complaints.extend(files.fixtures().complaints.iter().cloned());
            complaints.extend(accounted(files, &groups, &planned, narrowed));
            complaints.extend(dead_patterns(files, &groups));
        }
        let wanted = |planned: &PlannedCell| {
            request.selection.matches(&CellInfo {
                id: &planned.id,
                client_version: files.version(&planned.id.client),
                server_version: files.version(&planned.id.server),
                client_source: planned.client_source,
                server_source: planned.server_source,
                verdict: None,
            })
        };
        taken.extend(planned.into_iter().filter(wanted).map(|planned| (files, planned)));
    }
    let selects_nothing = taken.is_empty();
    if let Some(partition) = request.partition {
        taken = partition.take(taken, |(_, planned)| planned.id.to_string());
    }
    taken.sort_by(|(_, a), (_, b)| a.id.cmp(&b.id));
    taken.dedup_by(|(_, a), (_, b)| a.id == b.id);
    Ok(Plan {
        name: request.name.clone(),
        settings: request.run.settings,
        narrowed,
        speaks_for_all,
        protocols,
        selects_nothing,
        cells: taken.into_iter().map(|(files, planned)| with_work(files, planned)).collect(),
        partition: request.partition.map(ToString::to_string),
        complaints,
    })
}

/// Every cell that some group of the protocol's matrix can have, whichever run plans it.
pub(crate) fn universe(files: &ProtocolFiles) -> BTreeSet<CellId> {
    files.matrix.groups().flat_map(|group| group_cells(files, group)).map(|cell| cell.id).collect()
}

fn group_cells(files: &ProtocolFiles, group: &CellGroup) -> Vec<PlannedCell> {
    let cases: Vec<&CaseId> =
        files.cases().iter().map(|case| &case.id).filter(|id| group.wants(id)).collect();
    let replayed = replayed(files, group);
    let mut cells = Vec::new();
    for pair in group.pairs(&files.builds) {
        let server = files.builds.get(&pair.server.build);
        let replays = replayed.get(&pair.client.build).into_iter().flatten();
        let replays = replays
            .filter(|(fixture, recorded)| server.is_some_and(|server| suits(fixture, recorded, server)));
        let replays = replays.map(|(fixture, _)| &fixture.replay_case);
        for id in cases.iter().copied().chain(replays).filter(|id| pair.can_run(id.kind)) {
            cells.push(group.cell(&files.builds, &pair, id.clone()));
        }
    }
    cells
}

/// A fixture, and the server that was recorded.
type Recorded<'a> = (&'a Fixture, &'a Build);

/// The fixtures that a group plays again, by client. What a reference server answered is not a recording of a server, and
/// nobody is held to it.
fn replayed<'a>(files: &'a ProtocolFiles, group: &CellGroup) -> BTreeMap<&'a BuildId, Vec<Recorded<'a>>> {
    let mut replayed: BTreeMap<_, Vec<_>> = BTreeMap::new();
    if !group.reaches(CaseKind::Replay) {
        return replayed;
    }
    for fixture in &files.fixtures().all {
        let Some(server) = files.builds.get(&fixture.server) else { continue };
        if server.source(SourceKind::Reference).is_none() && group.wants(&fixture.replay_case) {
            replayed.entry(&fixture.client).or_default().push((&**fixture, server));
        }
    }
    replayed
}

/// Whether the replay of a fixture makes sense for a pair. A client's conversation is played to every server. A probe
/// sends the same bytes to every server anyway, so its replay is compared only with servers of the release
/// that it was recorded from: there it proves that the reference peer answers as the real one did. Under other settings
/// a server may well answer otherwise, e.g. in another language.
fn suits(fixture: &Fixture, recorded: &Build, server: &Build) -> bool {
    recorded.settings == server.settings
        && (fixture.case.kind == CaseKind::Client || recorded.dialect == server.dialect)
}

fn with_work(files: &ProtocolFiles, planned: PlannedCell) -> PlanCell {
    with_successors(files, without_successors(files, planned))
}

/// Finds the builds by which the server is replaced. Where there is none of a release, that is a missing build.
fn with_successors(files: &ProtocolFiles, mut cell: PlanCell) -> PlanCell {
    let live = matches!(cell.work, Work::Play(_) | Work::Operate(_) | Work::Replay(_));
    let server = files.builds.get(&cell.planned.id.server);
    let (Some(case), Some(server), Some(kind)) = (&cell.case, server, cell.planned.server_source) else {
        return cell;
    };
    for release in files.protocol.replaced_by(&case.id).into_iter().filter(|_| live) {
        match successor(&files.builds, server, kind, &release) {
            Some(build) => drop(cell.successors.insert(release.into(), build)),
            None => {
                let (kind, folder) = (kind.word(), files.protocol.name());
                cell.work = Work::Missing(format!(
                    "the server is replaced by {release}, and no build of it has a source `{kind}`; add one to \
                     matrices/{folder}/builds.toml"
                ));
            }
        }
    }
    cell
}

/// The build that takes the place of a server where that is replaced by a release: one that comes from the same sort of
/// source, of that very version, or else one that behaves as the release does. The place stays, and so do its settings.
fn successor(builds: &Builds, server: &Build, kind: SourceKind, release: &str) -> Option<Build> {
    let serves = |build: &&Build| build.roles.contains(&Role::Server) && build.source(kind).is_some();
    let find = |of: fn(&Build) -> &str| builds.iter().filter(serves).find(|build| of(build) == release);
    let found = find(|build| &build.version).or_else(|| find(|build| &build.dialect))?;
    Some(Build { settings: server.settings.clone(), ..found.clone() })
}

fn without_successors(files: &ProtocolFiles, planned: PlannedCell) -> PlanCell {
    let id = &planned.id;
    if id.case.kind == CaseKind::Replay {
        let fixture = files.fixtures().find_replayed(&id.client, &id.case);
        let case = fixture.and_then(|fixture| files.case(&fixture.case)).cloned();
        let work = match fixture {
            Some(fixture) => match files.protocol.cannot_replay(&fixture.case) {
                Some(why) => Work::Explain(why.to_owned()),
                None => Work::Replay(fixture.clone()),
            },
            None => Work::Missing("the fixture is gone".to_owned()),
        };
        return of_case(planned, work, case);
    }
    let case = files.case(&id.case).cloned();
    let work = work(files, &planned, case.as_deref());
    of_case(planned, work, case)
}

/// A cell of a case. A replay does to its server what the recorded case did, and has as long.
fn of_case(planned: PlannedCell, work: Work, case: Option<Arc<Case>>) -> PlanCell {
    let of = case.as_deref().map(|case| (case.hazard, case.deadlines));
    let (hazard, deadlines) = of.unwrap_or((Hazard::Disturbs, Deadlines::default()));
    PlanCell { planned, case, work, hazard, deadlines, successors: BTreeMap::new() }
}

/// What a cell means that is no replay.
fn work(files: &ProtocolFiles, planned: &PlannedCell, case: Option<&Case>) -> Work {
    let id = &planned.id;
    let lacking = || files.builds.get(&id.client).and_then(|client| files.protocol.lacks(client, &id.case));
    if planned.server_source == Some(SourceKind::Recorded) {
        return match files.fixtures().find(&id.client, &id.server, &id.case) {
            Some(fixture) => Work::Judge(fixture.clone()),
            None => lacking().map_or_else(
                || {
                    Work::Missing(format!(
                        "not recorded; `wireskew record '{id}'` does it where the builds run"
                    ))
                },
                Work::Explain,
            ),
        };
    }
    if planned.client_source == Some(SourceKind::Recorded) {
        return Work::Explain("a recorded client can only be replayed".to_owned());
    }
    let server = files.builds.get(&id.server);
    let without = || server.and_then(|server| files.protocol.is_without(server, &id.case));
    if let Some(why) = lacking().or_else(without) {
        return Work::Explain(why);
    }
    match case.map(|case| &case.action) {
        Some(Action::Script(script)) => Work::Play(script.clone()),
        Some(Action::Operation(name)) => Work::Operate(name),
        Some(Action::Recorded) => Work::Explain("there are only recordings of this case".to_owned()),
        None => Work::Explain("the protocol has no such case".to_owned()),
    }
}

/// Patterns of groups that stand for no case: a slip of the pen there must not drop cells in silence.
fn dead_patterns(files: &ProtocolFiles, groups: &[&CellGroup]) -> Vec<String> {
    let replays = files.fixtures().all.iter().map(|fixture| &fixture.replay_case);
    let known: Vec<&CaseId> = files.cases().iter().map(|case| &case.id).chain(replays).collect();
    let dead = |pattern: &&CasePattern| {
        // Without fixtures there is nothing to replay, and what should be recorded says so.
        !pattern.as_str().starts_with("replay/") && !known.iter().any(|case| pattern.matches(case))
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

/// What is wrong with fixtures that no cell of a run that judges recordings reads: most often just that. One that has
/// cells which are only explained is read here, unless the run is a part of one: damage must not hide there.
fn accounted(
    files: &ProtocolFiles,
    groups: &[&CellGroup],
    planned: &[PlannedCell],
    narrowed: bool,
) -> Vec<String> {
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
    let mut complaints = Vec::new();
    for fixture in &files.fixtures().all {
        if judged.contains(&(&fixture.client, &fixture.server, &fixture.case)) {
            continue;
        }
        if !replayed.contains(&(&fixture.client, &fixture.replay_case)) {
            let nobody = || format!("fixture {} is read by no cell", fixture.path.display());
            complaints.push(fixture.load().map_or_else(|unusable| unusable.to_string(), |_| nobody()));
        } else if !narrowed && files.protocol.cannot_replay(&fixture.case).is_some() {
            complaints.extend(fixture.load().err().map(|unusable| unusable.to_string()));
        }
    }
    complaints
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A cell with which nothing else matters.
    pub(crate) fn some_cell() -> PlanCell {
        let planned = PlannedCell {
            id: "p/probe..s/probe/x".parse().expect("a cell"),
            client_source: None,
            server_source: Some(SourceKind::Path),
            group: "group".into(),
        };
        PlanCell {
            planned,
            case: None,
            work: Work::Explain(String::new()),
            hazard: Hazard::Harmless,
            deadlines: Deadlines::default(),
            successors: BTreeMap::new(),
        }
    }

    #[test]
    fn a_cell_with_a_process_is_not_simulated() {
        let mut cell = some_cell();
        for (source, simulated) in [
            (None, true),
            (Some(SourceKind::Reference), true),
            (Some(SourceKind::Recorded), true),
            (Some(SourceKind::Path), false),
            (Some(SourceKind::Debian), false),
        ] {
            cell.planned.server_source = source;
            assert_eq!(cell.is_simulated(), simulated, "{source:?}");
            (cell.planned.server_source, cell.planned.client_source) = (None, source);
            assert_eq!(cell.is_simulated(), simulated, "{source:?}");
            cell.planned.client_source = None;
        }
    }

    #[test]
    fn a_release_stands_for_a_build_of_the_same_sort() {
        let builds = r#"
            protocol = "p"
            [[build]]
            id = "old"
            version = "1.0"
            reference = true
            settings = { heartbeat = "100" }
            [[build]]
            id = "patched"
            version = "2.0-patched"
            dialect = "2.0"
            reference = true
            [[build]]
            id = "asks"
            version = "2.0"
            roles = ["client"]
            reference = true
            [[build]]
            id = "kept"
            version = "3.0"
            recorded = true
            [[build]]
            id = "new"
            version = "3.0"
            path = "/opt/new"
            [[build]]
            id = "like-it"
            version = "4.0-1"
            dialect = "4.0"
            reference = true
            [[build]]
            id = "itself"
            version = "4.0"
            reference = true
        "#;
        let builds = Builds::parse("builds.toml", builds).expect("they are right");
        let server = builds.get(&BuildId::new("old")).expect("it is there");
        let check = |kind, release, expect: Option<&str>| {
            let found = successor(&builds, server, kind, release);
            assert_eq!(found.as_ref().map(|build| build.id.as_str()), expect, "{release}");
            assert!(found.is_none_or(|build| build.settings == server.settings), "{release}");
        };
        // The client of that version serves nobody.
        check(SourceKind::Reference, "2.0", Some("patched"));
        check(SourceKind::Reference, "3.0", None);
        check(SourceKind::Path, "3.0", Some("new"));
        check(SourceKind::Reference, "4.0", Some("itself"));
        check(SourceKind::Reference, "new", None);
    }
}
