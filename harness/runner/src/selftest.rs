//! Proves that the checks can fail, and that they need not.
//!
//! | claim | proof |
//! |---|---|
//! | each seeded defect is found | the ideal peer with that defect runs the case that must find it |
//! | ideal peers raise nothing | every case runs between ideal peers |
//! | each recorded known bug is found again | the fixture of its cell is judged anew |

use std::fmt;

use matrix::{
    Build, BuildId, CaseId, CellId, KnownBug, KnownBugCell, PlannedCell, Role, Source, SourceKind, Verdict,
    Version,
};
use protocol::{Action, Bench, Case, Defect, Protocol};
use session::{Successors, Transport};
use transcript::Provenance;
use verdict::Judgement;

use crate::execute::Context;
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
        proofs.extend(prove_bugs(files, name));
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
    let case = case_of(protocol, defect.case).ok_or("there is no such case")?;
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

fn prove_bugs(files: &ProtocolFiles, name: &str) -> Vec<Proof> {
    let mut proofs = Vec::new();
    for bug in files.known_bugs.iter() {
        for found in &bug.cells {
            let claim = format!("{} is found again by {} as {}", bug.id, found.cell, found.shapes.join(", "));
            if claim.contains(name) {
                proofs.push(Proof { claim, refuted: prove_bug(files, bug, found).err() });
            }
        }
    }
    proofs
}

/// Judges the fixture of a known bug's cell anew.
fn prove_bug(files: &ProtocolFiles, bug: &KnownBug, found: &KnownBugCell) -> Result<(), String> {
    let cell = &found.cell;
    let is_affected = |id: &BuildId| bug.affected.contains_text(files.version(id));
    let third = files.protocol.takes_part(&cell.case).and_then(|who| Version::of_package(&who));
    let is_third = third.is_some_and(|version| bug.affected.contains(&version));
    if !(is_affected(&cell.client) || is_affected(&cell.server) || is_third) {
        return Err(format!("nobody there is of a version that has the bug: {}", bug.affected));
    }
    let fixture = files
        .fixtures()
        .find(&cell.client, &cell.server, &cell.case)
        .ok_or("there is no fixture of this cell")?;
    let build = files.builds.get(&cell.server).ok_or("there is no such server")?;
    let grammar = files.protocol.grammar(&build.dialect).ok_or("the server's dialect is not known")?;
    let transcript = fixture.load().map_err(|unusable| unusable.to_string())?;
    let judgement = crate::judge_transcript(&*files.protocol, &*grammar, &cell.case, &transcript, None);
    let shapes = judgement.shapes();
    if found.is_found(judgement.verdict, &shapes) {
        Ok(())
    } else {
        Err(format!("verdict {} with {shapes:?}", judgement.verdict))
    }
}

fn case_of(protocol: &dyn Protocol, id: &str) -> Option<Case> {
    let id: CaseId = id.parse().ok()?;
    protocol.cases().into_iter().find(|case| case.id == id)
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
    let source =
        |side: Role| Source::Reference { defects: of_side(side).1.map(str::to_owned).into_iter().collect() };
    let dialect = |side: Role| of_side(side).0;
    let settings = protocol.settings_for(&case.id);
    let server = Build { settings, ..build(protocol, dialect(Role::Server)) };
    let client = build(protocol, dialect(Role::Client));
    let launcher =
        protocol.server(&server, &source(Role::Server), bench).map_err(|error| error.to_string())?;
    let pool = Pool::new(launcher, SourceKind::Reference);
    let client = match case.action {
        Action::Operation(_) => {
            Some(protocol.client(&client, &source(Role::Client), bench).map_err(|error| error.to_string())?)
        }
        Action::Script(_) => None,
        Action::Recorded => return Err("there are only recordings of this case".to_owned()),
    };
    let successors = successors(protocol, case, &server, bench)?;
    let grammar = protocol.grammar(&server.dialect).ok_or("the dialect is not known")?;
    let provenance = Provenance::default();
    let context = Context {
        protocol,
        recorded_grammar: grammar.clone(),
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
    let cell = planned(protocol, case, &server);
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
        settings: std::collections::BTreeMap::new(),
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
        successors: std::collections::BTreeMap::new(),
    }
}
