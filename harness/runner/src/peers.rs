//! The peers of one run, made once for each build and source.

use std::collections::BTreeMap;
use std::sync::Arc;

use matrix::{Build, BuildId, Role, Source, SourceKind};
use protocol::launch;
use session::{Client, LaunchError, Launcher, Successors};
use verdict::BuildRecord;

use crate::pool::Pool;
use crate::schedule::RunOptions;
use crate::{Plan, PlanCell, Project, ProtocolFiles, Work};

/// Protocol, build and source.
type PeerKey = (Arc<str>, BuildId, SourceKind);
/// The server that is replaced, and the release by which it is.
type SuccessorKey = (PeerKey, Arc<str>);
/// A peer, or why it is unavailable.
type Had<T> = Result<T, String>;

/// The peers of one run.
pub(crate) struct Peers {
    pools: BTreeMap<PeerKey, Had<Arc<Pool>>>,
    clients: BTreeMap<PeerKey, Had<Arc<dyn Client>>>,
    successors: BTreeMap<SuccessorKey, Had<Arc<dyn Launcher>>>,
}

impl Peers {
    pub(crate) fn prepare(project: &Project, plan: &Plan, options: &RunOptions) -> Self {
        let (pools, clients) = (BTreeMap::new(), BTreeMap::new());
        let mut peers = Self { pools, clients, successors: BTreeMap::new() };
        for cell in &plan.cells {
            let planned = &cell.planned;
            let files = &project.protocols[&*planned.id.protocol];
            let key = |id: &BuildId, source| (planned.id.protocol.clone(), id.clone(), source);
            if let Some((source, id)) = live(planned.server_source, &planned.id.server) {
                let pool = peers.pools.entry(key(id, source)).or_insert_with(|| {
                    let launcher = build_of(files, id).and_then(|build| {
                        with_source(build, source, Role::Server, |build, source| {
                            launch::server(&*files.protocol, build, source, &options.bench)
                        })
                    });
                    launcher.map(|launcher| Arc::new(Pool::new(launcher, source)))
                });
                if let Ok(pool) = pool {
                    pool.expect(cell.hazard);
                }
                for (release, build) in &cell.successors {
                    let place = (key(id, source), Arc::clone(release));
                    peers.successors.entry(place).or_insert_with(|| {
                        with_source(build, source, Role::Server, |build, source| {
                            launch::server(&*files.protocol, build, source, &options.bench)
                        })
                    });
                }
            }
            if let Some((source, id)) = live(planned.client_source, &planned.id.client)
                && matches!(cell.work, Work::Operate(_))
            {
                peers.clients.entry(key(id, source)).or_insert_with(|| {
                    let build = build_of(files, id)?;
                    with_source(build, source, Role::Client, |build, source| {
                        launch::client(&*files.protocol, build, source, &options.bench)
                    })
                });
            }
        }
        peers
    }

    pub(crate) fn pool(&self, planned: &matrix::PlannedCell) -> Option<&Had<Arc<Pool>>> {
        let (source, id) = live(planned.server_source, &planned.id.server)?;
        self.pools.get(&(planned.id.protocol.clone(), id.clone(), source))
    }

    pub(crate) fn client(&self, planned: &matrix::PlannedCell) -> Option<&Had<Arc<dyn Client>>> {
        let (source, id) = live(planned.client_source, &planned.id.client)?;
        self.clients.get(&(planned.id.protocol.clone(), id.clone(), source))
    }

    /// What takes the server's place in a cell; why not, where one of those builds is unavailable.
    pub(crate) fn successors(&self, cell: &PlanCell) -> Had<Successors> {
        let planned = &cell.planned;
        let Some((source, id)) = live(planned.server_source, &planned.id.server) else {
            return Ok(Successors::default());
        };
        let launcher = |release: &Arc<str>| {
            let key = (planned.id.protocol.clone(), id.clone(), source);
            let found = self.successors.get(&(key, Arc::clone(release)));
            let launcher = found.cloned().unwrap_or_else(|| Err(format!("nobody starts {release}")))?;
            Ok((Arc::clone(release), launcher))
        };
        cell.successors.keys().map(launcher).collect()
    }

    pub(crate) async fn stop(&self) {
        for pool in self.pools.values().flatten() {
            pool.stop().await;
        }
    }
}

/// A side that has to be started: neither the script nor a recording.
fn live(source: Option<SourceKind>, id: &BuildId) -> Option<(SourceKind, &BuildId)> {
    source.filter(|source| *source != SourceKind::Recorded).map(|source| (source, id))
}

fn build_of<'a>(files: &'a ProtocolFiles, id: &BuildId) -> Had<&'a Build> {
    files.builds.get(id).ok_or_else(|| format!("there is no build `{id}`"))
}

fn with_source<T>(
    build: &Build,
    kind: SourceKind,
    role: Role,
    make: impl FnOnce(&Build, &Source) -> Result<T, LaunchError>,
) -> Had<T> {
    let id = &build.id;
    if !build.roles.contains(&role) {
        return Err(format!("build `{id}` does not play this side"));
    }
    let source = build.source(kind).ok_or_else(|| format!("build `{id}` has no source `{}`", kind.word()))?;
    make(build, source).map_err(|error| error.to_string())
}

pub(crate) fn build_records(project: &Project, plan: &Plan, peers: &Peers) -> Vec<BuildRecord> {
    let mut records: BTreeMap<PeerKey, BuildRecord> = BTreeMap::new();
    for cell in &plan.cells {
        let planned = &cell.planned;
        let files = &project.protocols[&*planned.id.protocol];
        let sides = [
            (planned.client_source, &planned.id.client, true),
            (planned.server_source, &planned.id.server, false),
        ];
        for (source, id, is_client) in sides {
            let (Some(kind), Some(build)) = (source, files.builds.get(id)) else { continue };
            let key = (planned.id.protocol.clone(), id.clone(), kind);
            // Of a recorded build the first fixture tells that can be read.
            if records
                .get(&key)
                .is_some_and(|record| kind != SourceKind::Recorded || !record.detail.is_empty())
            {
                continue;
            }
            let endpoint = match (is_client, peers.clients.get(&key), peers.pools.get(&key)) {
                (true, Some(Ok(client)), _) => Ok(Some(client.endpoint())),
                (false, _, Some(Ok(pool))) => Ok(Some(pool.launcher().endpoint())),
                (true, Some(Err(why)), _) | (false, _, Some(Err(why))) => Err(why.clone()),
                _ => Ok(recorded_endpoint(cell, is_client)),
            };
            let (endpoint, missing) = match endpoint {
                Ok(endpoint) => (endpoint.unwrap_or_default(), None),
                Err(why) => (transcript::Endpoint::default(), Some(why)),
            };
            let detail = [endpoint.source, endpoint.package].into_iter().flatten().collect::<Vec<_>>();
            let record = BuildRecord {
                protocol: planned.id.protocol.to_string(),
                id: id.to_string(),
                version: build.version.clone(),
                dialect: build.dialect.clone(),
                source: kind.word().to_owned(),
                detail: detail.join(" "),
                digest: endpoint.digest,
                missing,
            };
            records.insert(key, record);
        }
    }
    let mut records: Vec<_> = records.into_values().collect();
    records.sort_by_key(|record| (record.protocol.clone(), place(project, record)));
    records
}

/// Where a build stands in `builds.toml`, which lists releases oldest first; reports keep that order.
fn place(project: &Project, record: &BuildRecord) -> Option<usize> {
    let files = project.protocols.get(&record.protocol)?;
    files.builds.iter().position(|build| build.id.as_str() == record.id)
}

fn recorded_endpoint(cell: &PlanCell, is_client: bool) -> Option<transcript::Endpoint> {
    let (Work::Judge(fixture) | Work::Replay(fixture)) = &cell.work else { return None };
    // One that is damaged is told by the cells that need it.
    let header = fixture.load_header().ok()?;
    Some(if is_client { header.client } else { header.server })
}
