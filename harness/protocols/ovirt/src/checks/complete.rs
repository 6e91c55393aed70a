//! Did a conversation come to its end? What was cut short proves nothing.

use matrix::CaseKind;
use session::{ClientAct, Step};
use verdict::checks::{EVIDENCE_COMPLETE, Report};
use verdict::{Check, Evidence};

use super::timeline::{Act, Timeline, What};
use crate::{names, scenarios};

/// Says what a conversation lacks that has no requests and replies: its end, the ends that were to be replaced, and
/// the time that both sides must have.
pub(super) const CONVERSATION_COMPLETE: Check =
    Check { name: EVIDENCE_COMPLETE.name, judge: conversation_complete };

fn conversation_complete(report: &mut Report<'_>) {
    let evidence = report.evidence;
    let timeline = Timeline::once(evidence.transcript, evidence.reading);
    report.lacks(missing(evidence, &timeline));
}

fn missing(evidence: &Evidence<'_>, timeline: &Timeline) -> Vec<String> {
    let mut missing = Vec::new();
    let acts = &timeline.acts;
    if !acts.iter().any(|act| matches!(act.what, What::HostConnects)) {
        missing.push("no host ever connected".to_owned());
    }
    if !acts.iter().any(|act| matches!(act.what, What::FromAgent(_))) && timeline.scripts.agent {
        missing.push("the guest said nothing".to_owned());
    }
    if !acts.last().is_some_and(|act| matches!(act.what, What::HostLeaves)) {
        missing.push("the conversation did not come to its end".to_owned());
    }
    if let Some((hosts, agents)) = due(evidence) {
        let count = |came: fn(&What) -> bool| acts.iter().filter(|act| came(&act.what)).count();
        let connected = count(|what| matches!(what, What::HostConnects));
        let started = count(|what| matches!(what, What::AgentStarts));
        if connected < hosts {
            missing.push(format!("{connected} of {hosts} connections of hosts came"));
        }
        if started < agents {
            missing.push(format!("{started} of {agents} starts of agents came"));
        }
    }
    for change in &evidence.transcript.provenance.builds {
        let came = |what: &What| matches!(what, What::HostConnects | What::AgentStarts);
        if !acts.iter().any(|act| act.at_us + CHANGE_US >= change.from_us && came(&act.what)) {
            missing.push(format!("{} .. {} never came", change.client.id, change.server.id));
        }
    }
    // Whoever came last must have had the time to settle, or to be silent for too long.
    let last = acts.iter().rposition(|act| matches!(act.what, What::HostConnects | What::AgentStarts));
    let part = acts.get(last.unwrap_or(0)..).unwrap_or_default();
    let lasted_us = part.first().map_or(0, |act| timeline.end_us().saturating_sub(act.at_us));
    let beat = |act: &&Act| matches!(&act.what, What::FromAgent(said) if said.name() == names::HEARTBEAT);
    let beats = part.iter().filter(beat).count();
    let scripted = timeline.scripts.agent || timeline.scripts.host;
    if !scripted && beats < BEATS_MIN && lasted_us < timeline.pace.silent_us() {
        missing.push(format!("the last part has {beats} heartbeats in {} ms", lasted_us / 1000));
    }
    missing
}

/// How many connections of hosts and starts of agents the scenario brings about at least.
fn due(evidence: &Evidence<'_>) -> Option<(usize, usize)> {
    if evidence.case.kind != CaseKind::Scenario {
        return None;
    }
    let steps = &scenarios::scenario(&evidence.case.name)?.script.steps;
    let (mut hosts, mut agents, mut left) = (0, 0, false);
    for step in steps {
        match step {
            Step::Client(ClientAct::Start { .. }) => hosts += 1,
            Step::Client(ClientAct::Leave { .. }) => left = true,
            // A host that has not been made to leave connects again only if it left by itself.
            Step::Client(ClientAct::Return) => hosts += usize::from(std::mem::take(&mut left)),
            Step::Server(act) => agents += usize::from(act.comes_back()),
            _ => {}
        }
    }
    Some((hosts, agents))
}

/// How many heartbeats the last part of a conversation has at least.
const BEATS_MIN: usize = 2;
/// How long before its connection a build may be said to have come, in microseconds.
const CHANGE_US: u64 = 1_000;
