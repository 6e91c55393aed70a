//! Proves that the checks can fail, and that they need not.
//!
//! | claim | proof |
//! |---|---|
//! | each seeded defect is found | the ideal peer with that defect runs the case that must find it |
//! | ideal peers raise nothing | every case runs between ideal peers |
//! | each known bug is found again | the fixture of its cell is judged anew; a cell of reference peers is run |

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use matrix::{
    Build, BuildId, CaseId, CellId, KnownBug, KnownBugCell, PlannedCell, Role, Source, SourceKind, Verdict,
    Version,
};
use protocol::{Action, Bench, Case, Defect, Protocol};
use session::{Successors, Transport};
use transcript::Provenance;
use verdict::{Grammar, Judgement};

use crate::execute::Context;
use crate::fixtures::Fixture;
use crate::pool::Pool;
use crate::simulate::{Budget, Queue, processors, simulate};
use crate::{Executed, PlanCell, Project, ProtocolFiles, Work};

/// Dialect and build of the peers that do everything right.
const IDEAL: &str = "ideal";

/// One claim and whether it holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proof {
    /// What is claimed, e.g. `defect does-not-drain is found by probe/unknown-payload-16`.
    pub claim: String,
    /// `None` when it holds, else what was seen instead.
    pub refuted: Option<String>,
}

/// Something that is claimed of a protocol's checks.
enum Claim<'a> {
    Defect(&'a dyn Protocol, Defect),
    Ideal(&'a dyn Protocol, Case),
}

/// Proves everything whose claim contains `name`.
#[must_use]
pub fn selftest(project: &Project, bench: &Bench, name: &str) -> Vec<Proof> {
    let mut claims = Vec::new();
    for files in project.protocols.values() {
        let protocol = &*files.protocol;
        let defects = protocol.defects().iter().map(|defect| Claim::Defect(protocol, *defect));
        let cases = protocol.cases().into_iter().filter(|case| is_about_ideal_peers(protocol, case));
        claims.extend(defects.chain(cases.map(|case| Claim::Ideal(protocol, case))));
    }
    claims.retain(|claim| claim.to_string().contains(name));
    let queue = Queue::new(claims);
    let memory = Budget::default();
    let mut proofs: Vec<Proof> = std::thread::scope(|scope| {
        let work = || {
            let mut proofs = Vec::new();
            while let Some(claim) = queue.next() {
                proofs.push(claim.prove(bench, &memory));
            }
            proofs
        };
        let threads: Vec<_> = (0..processors()).map(|_| scope.spawn(work)).collect();
        // A thread panics only where the code of ours does that it proves; pass it on.
        threads
            .into_iter()
            .flat_map(|thread| match thread.join() {
                Ok(proofs) => proofs,
                Err(panic) => std::panic::resume_unwind(panic),
            })
            .collect()
    });
    for files in project.protocols.values() {
        proofs.extend(prove_bugs(files, bench, &memory, name));
    }
    proofs.sort_by(|a, b| a.claim.cmp(&b.claim));
    proofs
}

/// Nobody here can do what there are only recordings of, and a release that takes part is not ideal.
fn is_about_ideal_peers(protocol: &dyn Protocol, case: &Case) -> bool {
    !matches!(case.action, Action::Recorded) && protocol.takes_part(&case.id).is_none()
}

impl fmt::Display for Claim<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Defect(protocol, Defect { name, case, shape, .. }) => {
                write!(f, "{}: defect {name} is found by {case} as {shape}", protocol.name())
            }
            Self::Ideal(protocol, case) => {
                write!(f, "{}: ideal peers raise nothing in {}", protocol.name(), case.id)
            }
        }
    }
}

impl Claim<'_> {
    fn prove(&self, bench: &Bench, memory: &Budget) -> Proof {
        let refuted = match self {
            Self::Defect(protocol, defect) => prove_defect(*protocol, defect, bench, memory),
            Self::Ideal(protocol, case) => prove_ideal(*protocol, case, bench, memory),
        };
        Proof { claim: self.to_string(), refuted: refuted.err() }
    }
}

fn prove_defect(
    protocol: &dyn Protocol,
    defect: &Defect,
    bench: &Bench,
    memory: &Budget,
) -> Result<(), String> {
    let case = case_of(protocol, defect.case)?;
    let judgement = run_between(protocol, &case, Some(defect), bench, memory)?;
    if judgement.findings.iter().any(|finding| finding.shape == defect.shape) {
        return Ok(());
    }
    Err(format!("verdict {} with {:?}", judgement.verdict, judgement.shapes()))
}

fn prove_ideal(protocol: &dyn Protocol, case: &Case, bench: &Bench, memory: &Budget) -> Result<(), String> {
    let judgement = run_between(protocol, case, None, bench, memory)?;
    if judgement.verdict == Verdict::Compatible {
        return Ok(());
    }
    let words: Vec<_> = judgement.findings.iter().map(|f| format!("{}: {}", f.shape, f.message)).collect();
    Err(format!("verdict {}: {}", judgement.verdict, words.join("; ")))
}

fn prove_bugs(files: &ProtocolFiles, bench: &Bench, memory: &Budget, name: &str) -> Vec<Proof> {
    let mut proofs = Vec::new();
    for bug in files.known_bugs.iter() {
        for found in &bug.cells {
            let claim = format!("{} is found again by {} as {}", bug.id, found.cell, found.shapes.join(", "));
            if claim.contains(name) {
                proofs.push(Proof { claim, refuted: prove_bug(files, bug, found, bench, memory).err() });
            }
        }
    }
    proofs
}

/// Judges the fixture of a known bug's cell anew, or runs the cell where both sides are reference peers.
fn prove_bug(
    files: &ProtocolFiles,
    bug: &KnownBug,
    found: &KnownBugCell,
    bench: &Bench,
    memory: &Budget,
) -> Result<(), String> {
    let cell = &found.cell;
    let is_affected = |id: &BuildId| bug.affected.contains_text(files.version(id));
    let third = files.protocol.takes_part(&cell.case).and_then(|who| Version::of_package(&who));
    let is_third = third.is_some_and(|version| bug.affected.contains(&version));
    let replayed = files.fixtures().find_replayed(&cell.client, &cell.case);
    let is_third = is_third || replayed.is_some_and(|fixture| is_affected(&fixture.server));
    if !(is_affected(&cell.client) || is_affected(&cell.server) || is_third) {
        return Err(format!("nobody there is of a version that has the bug: {}", bug.affected));
    }
    let protocol = &*files.protocol;
    let build = files.builds.get(&cell.server).ok_or("there is no such server")?;
    let judgement = match files.fixtures().find(&cell.client, &cell.server, &cell.case) {
        Some(fixture) => {
            let grammar = protocol.grammar(&build.dialect).ok_or("the server's dialect is not known")?;
            let transcript = fixture.load().map_err(|unusable| unusable.to_string())?;
            crate::judge_transcript(protocol, &*grammar, &cell.case, &transcript, None)
        }
        None => run_references(files, cell, build, bench, memory)?,
    };
    let shapes = judgement.shapes();
    if found.is_found(judgement.verdict, &shapes) {
        Ok(())
    } else {
        Err(format!("verdict {} with {shapes:?}", judgement.verdict))
    }
}

/// Runs a cell of which there is no fixture.
fn run_references(
    files: &ProtocolFiles,
    cell: &CellId,
    server: &Build,
    bench: &Bench,
    memory: &Budget,
) -> Result<Judgement, String> {
    let protocol = &*files.protocol;
    let replayed = files.fixtures().find_replayed(&cell.client, &cell.case);
    let case = match replayed {
        Some(fixture) => Case { id: cell.case.clone(), ..case_with(protocol, &fixture.case)? },
        None => case_with(protocol, &cell.case)?,
    };
    let side = |build: &Build| {
        let reference = |source: &&Source| matches!(source, Source::Reference { .. });
        let source = build.sources.iter().find(reference).cloned();
        source.map(|source| (build.clone(), source)).ok_or("there is no fixture of this cell")
    };
    let server = side(server)?;
    if let Some(fixture) = replayed {
        let recorded = files.builds.get(&fixture.server).ok_or("there is no build of what was recorded")?;
        let recorded = protocol.grammar(&recorded.dialect).ok_or("the recorded dialect is not known")?;
        return run_pair(protocol, &case, server, Partner::Recorded(fixture, recorded), bench, memory);
    }
    let (client, source) = match files.builds.get(&cell.client) {
        Some(client) => side(client)?,
        None => (build(protocol, IDEAL), Source::Reference { defects: Vec::new() }),
    };
    run_pair(protocol, &case, server, Partner::Client(Box::new(client), source), bench, memory)
}

fn case_of(protocol: &dyn Protocol, id: &str) -> Result<Case, String> {
    case_with(protocol, &id.parse().map_err(|error| format!("{error}"))?)
}

fn case_with(protocol: &dyn Protocol, id: &CaseId) -> Result<Case, String> {
    protocol.cases().into_iter().find(|case| case.id == *id).ok_or_else(|| "there is no such case".to_owned())
}

/// Runs a case between ideal peers, of which one may have a defect, and the other what the defect says of it.
fn run_between(
    protocol: &dyn Protocol,
    case: &Case,
    defect: Option<&Defect>,
    bench: &Bench,
    memory: &Budget,
) -> Result<Judgement, String> {
    let of_side = |side: Role| match defect {
        Some(defect) if defect.side == side => (IDEAL, Some(defect.name)),
        Some(defect) => defect.beside(),
        None => (IDEAL, None),
    };
    let made = |side: Role, settings| {
        let (dialect, defect) = of_side(side);
        let defects = defect.map(str::to_owned).into_iter().collect();
        (Build { settings, ..build(protocol, dialect) }, Source::Reference { defects })
    };
    let server = made(Role::Server, protocol.settings_for(&case.id));
    let (client, source) = made(Role::Client, BTreeMap::new());
    let client = Partner::Client(Box::new(client), source);
    run_pair(protocol, case, server, client, bench, memory)
}

/// Who meets a server.
enum Partner<'a> {
    /// A reference client, if the case has one.
    Client(Box<Build>, Source),
    /// What was once recorded, of a server of that grammar.
    Recorded(&'a Arc<Fixture>, Arc<dyn Grammar>),
}

/// Runs a case with a reference server.
fn run_pair(
    protocol: &dyn Protocol,
    case: &Case,
    (server, server_source): (Build, Source),
    partner: Partner<'_>,
    bench: &Bench,
    memory: &Budget,
) -> Result<Judgement, String> {
    let launcher = protocol.server(&server, &server_source, bench).map_err(|error| error.to_string())?;
    let pool = Pool::new(launcher, SourceKind::Reference);
    let grammar = protocol.grammar(&server.dialect).ok_or("the dialect is not known")?;
    let mut cell = planned(protocol, case, &server);
    let mut recorded_grammar = grammar.clone();
    let client = match (partner, &case.action) {
        (Partner::Recorded(fixture, grammar), _) => {
            cell.work = Work::Replay(fixture.clone());
            recorded_grammar = grammar;
            None
        }
        (Partner::Client(client, source), Action::Operation(_)) => {
            Some(protocol.client(&client, &source, bench).map_err(|error| error.to_string())?)
        }
        (Partner::Client(..), Action::Script(_)) => None,
        (Partner::Client(..), Action::Recorded) => {
            return Err("there are only recordings of this case".to_owned());
        }
    };
    let successors = successors(protocol, case, &server, bench)?;
    let provenance = Provenance::default();
    let context = Context {
        protocol,
        recorded_grammar,
        grammar,
        pool: Some(&pool),
        client: client.as_deref(),
        successors,
        expectation: None,
        transport: Transport::Memory,
        memory: Some(memory),
        deadline_scale: 1.0,
        provenance: &provenance,
    };
    let executed = simulate(Transport::Memory, context.execute(&cell))?;
    match executed {
        Executed::Ran(judgement, _) => Ok(*judgement),
        Executed::Missing(why) | Executed::Failed(why) | Executed::Explained(why) => Err(why),
    }
}

/// By what the server of a case is replaced: reference servers of those releases, without a defect.
fn successors(
    protocol: &dyn Protocol,
    case: &Case,
    server: &Build,
    bench: &Bench,
) -> Result<Successors, String> {
    let launcher = |release: String| {
        let build = Build { settings: server.settings.clone(), ..build(protocol, &release) };
        let made = protocol.server(&build, &Source::Reference { defects: Vec::new() }, bench);
        Ok((release.into(), made.map_err(|error| error.to_string())?))
    };
    protocol.replaced_by(&case.id).into_iter().map(launcher).collect()
}

fn build(protocol: &dyn Protocol, dialect: &str) -> Build {
    Build {
        id: BuildId::new(dialect),
        protocol: protocol.name().into(),
        roles: vec![Role::Client, Role::Server],
        version: dialect.to_owned(),
        dialect: dialect.to_owned(),
        sources: Vec::new(),
        like: None,
        settings: BTreeMap::new(),
    }
}

fn planned(protocol: &dyn Protocol, case: &Case, server: &Build) -> PlanCell {
    let (work, client) = match &case.action {
        Action::Script(script) => (Work::Play(script.clone()), BuildId::PROBE),
        Action::Operation(name) => (Work::Operate(name), IDEAL),
        Action::Recorded => (Work::Explain("there are only recordings of this case".to_owned()), IDEAL),
    };
    PlanCell {
        planned: PlannedCell {
            id: CellId {
                protocol: protocol.name().into(),
                client: BuildId::new(client),
                server: server.id.clone(),
                case: case.id.clone(),
            },
            client_source: None,
            server_source: None,
            group: "selftest".into(),
        },
        case: None,
        work,
        // Each proof has a server of its own: nothing may leak from one into the next.
        hazard: protocol::Hazard::Disturbs,
        deadlines: case.deadlines,
        successors: BTreeMap::new(),
    }
}
