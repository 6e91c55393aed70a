//! Proves that the checks can fail, and that they need not.
//!
//! | claim | proof |
//! |---|---|
//! | each seeded defect is found | the ideal peer with that defect runs the case that must find it |
//! | ideal peers raise nothing | every case runs between ideal peers |
//! | each recorded known bug is found again | the fixture of its cell is judged anew |

use std::sync::Arc;

use matrix::{Build, BuildId, CaseId, CellId, KnownBugCell, PlannedCell, Role, Source, Verdict};
use protocols::{Action, Bench, Case, Defect, Protocol};
use session::BoxFuture;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use transcript::Provenance;
use verdict::Judgement;

use crate::execute::Context;
use crate::pool::Pool;
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

/// How many cells run at a time. Most wait nearly all of their time, but some send 32 MiB, and a peer that has
/// to wait for a hundred others misses deadlines for want of a turn.
const AT_A_TIME: usize = 16;

/// Proves everything whose claim contains `name`.
pub async fn selftest(project: &Project, bench: &Bench, name: &str) -> Vec<Proof> {
    let mut tasks = JoinSet::new();
    let turns = Arc::new(Semaphore::new(AT_A_TIME));
    let in_turn = |proof: BoxFuture<'static, Option<Proof>>| {
        let turns = turns.clone();
        async move {
            // Nobody closes the semaphore; without a turn the proof would run all the same.
            let _turn = turns.acquire().await;
            proof.await
        }
    };
    for files in project.protocols.values() {
        for defect in files.protocol.defects() {
            let proof = prove_defect(files.protocol.clone(), *defect, bench.clone(), name.to_owned());
            tasks.spawn(in_turn(Box::pin(proof)));
        }
        for case in files.protocol.cases() {
            let proof = prove_ideal(files.protocol.clone(), case, bench.clone(), name.to_owned());
            tasks.spawn(in_turn(Box::pin(proof)));
        }
    }
    let mut proofs: Vec<Proof> = tasks.join_all().await.into_iter().flatten().collect();
    for files in project.protocols.values() {
        proofs.extend(prove_bugs(files, name));
    }
    proofs.sort_by(|a, b| a.claim.cmp(&b.claim));
    proofs
}

async fn prove_defect(
    protocol: Arc<dyn Protocol>,
    defect: Defect,
    bench: Bench,
    name: String,
) -> Option<Proof> {
    let claim = format!(
        "{}: defect {} is found by {} as {}",
        protocol.name(),
        defect.name,
        defect.case,
        defect.shape
    );
    if !claim.contains(&name) {
        return None;
    }
    let refuted = match case_of(&*protocol, defect.case) {
        None => Some("there is no such case".to_owned()),
        Some(case) => match run_between(&*protocol, &case, Some(&defect), &bench).await {
            Ok(judgement) if judgement.findings.iter().any(|f| f.shape == defect.shape) => None,
            Ok(judgement) => Some(format!("verdict {} with {:?}", judgement.verdict, judgement.shapes())),
            Err(why) => Some(why),
        },
    };
    Some(Proof { claim, refuted })
}

async fn prove_ideal(protocol: Arc<dyn Protocol>, case: Case, bench: Bench, name: String) -> Option<Proof> {
    let claim = format!("{}: ideal peers raise nothing in {}", protocol.name(), case.id);
    // Nobody here can do what there are only recordings of, and a release that takes part is not ideal.
    let others = matches!(case.action, Action::Recorded) || protocol.takes_part(&case.id).is_some();
    if !claim.contains(&name) || others {
        return None;
    }
    let refuted = match run_between(&*protocol, &case, None, &bench).await {
        Ok(judgement) if judgement.verdict == Verdict::Compatible => None,
        Ok(judgement) => {
            let words: Vec<_> =
                judgement.findings.iter().map(|f| format!("{}: {}", f.shape, f.message)).collect();
            Some(format!("verdict {}: {}", judgement.verdict, words.join("; ")))
        }
        Err(why) => Some(why),
    };
    Some(Proof { claim, refuted })
}

fn prove_bugs(files: &ProtocolFiles, name: &str) -> Vec<Proof> {
    let mut proofs = Vec::new();
    for bug in files.known_bugs.iter() {
        for found in &bug.cells {
            let claim = format!("{} is found again by {} as {}", bug.id, found.cell, found.shapes.join(", "));
            if claim.contains(name) {
                proofs.push(Proof { claim, refuted: prove_bug(files, found).err() });
            }
        }
    }
    proofs
}

/// Judges the fixture of a known bug's cell anew.
fn prove_bug(files: &ProtocolFiles, found: &KnownBugCell) -> Result<(), String> {
    let cell = &found.cell;
    let fixture = files
        .fixtures
        .find(&cell.client, &cell.server, &cell.case)
        .ok_or("there is no fixture of this cell")?;
    let build = files.builds.get(&cell.server).ok_or("there is no such server")?;
    let grammar = files.protocol.grammar(&build.dialect).ok_or("the server's dialect is not known")?;
    let transcript = &fixture.transcript;
    let judgement = crate::judge_transcript(&*files.protocol, &*grammar, &cell.case, transcript, None);
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

/// Runs a case between ideal peers, of which one may have a defect.
async fn run_between(
    protocol: &dyn Protocol,
    case: &Case,
    defect: Option<&Defect>,
    bench: &Bench,
) -> Result<Judgement, String> {
    let source = |side: Role| Source::Reference {
        defects: defect.filter(|d| d.side == side).map(|d| d.name.to_owned()).into_iter().collect(),
    };
    let dialect = |side: Role| defect.filter(|d| d.side != side).map_or(IDEAL, |d| d.peer);
    let settings = protocol.settings_for(&case.id);
    let server = Build { settings, ..build(protocol, dialect(Role::Server)) };
    let client = build(protocol, dialect(Role::Client));
    let launcher =
        protocol.server(&server, &source(Role::Server), bench).map_err(|error| error.to_string())?;
    let pool = Pool::new(launcher);
    let client = match case.action {
        Action::Operation(_) => {
            Some(protocol.client(&client, &source(Role::Client), bench).map_err(|error| error.to_string())?)
        }
        Action::Script(_) => None,
        Action::Recorded => return Err("there are only recordings of this case".to_owned()),
    };
    let grammar = protocol.grammar(&server.dialect).ok_or("the dialect is not known")?;
    let provenance = Provenance::default();
    let context = Context {
        protocol,
        recorded_grammar: grammar.clone(),
        grammar,
        pool: Some(&pool),
        client: client.as_deref(),
        deadline_scale: 1.0,
        provenance: &provenance,
    };
    let executed = context.execute(&planned(protocol, case, &server)).await;
    pool.stop().await;
    match executed {
        Executed::Ran(judgement, _) => Ok(*judgement),
        Executed::Missing(why) | Executed::Failed(why) | Executed::Explained(why) => Err(why),
    }
}

fn build(protocol: &dyn Protocol, dialect: &str) -> Build {
    Build {
        id: BuildId(dialect.to_owned()),
        protocol: protocol.name().to_owned(),
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
        Action::Script(script) => (Work::Play(Arc::new(script.clone())), BuildId::PROBE),
        Action::Operation(name) => (Work::Operate(name), IDEAL),
        Action::Recorded => (Work::Explain("there are only recordings of this case".to_owned()), IDEAL),
    };
    PlanCell {
        planned: PlannedCell {
            id: CellId {
                protocol: protocol.name().to_owned(),
                client: BuildId(client.to_owned()),
                server: server.id.clone(),
                case: case.id.clone(),
            },
            client_source: None,
            server_source: None,
            group: "selftest".to_owned(),
        },
        work,
        // Each proof has a server of its own: nothing may leak from one into the next.
        hazard: protocols::Hazard::Disturbs,
    }
}
