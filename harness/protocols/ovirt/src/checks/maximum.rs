//! Does each side tell the maximum that its release has?
//!
//! A build that has lost its versioning settles on 0 with everybody, in perfect order. So what it tells is compared with its
//! dialect: the one that the build is said to be, or the release from which it was recorded.

use transcript::{BuildChange, Endpoint, Transcript};
use verdict::Blame;

use super::course::Course;
use super::timeline::What;
use super::{Sights, rules, told};
use crate::{DIALECTS, Dialect, names, shapes};

/// The detail of an endpoint that names its dialect, where its version does not.
pub(crate) const DIALECT: &str = "dialect";

/// Finds ends that tell another maximum than theirs.
pub(super) fn tells_its_maximum(sights: &mut Sights<'_>, course: &Course<'_>) {
    if !course.timeline.scripts.host {
        of_host(sights);
    }
    if !course.timeline.scripts.agent {
        of_agent(sights);
    }
}

/// Every refresh of a host.
fn of_host(sights: &mut Sights<'_>) {
    let transcript = sights.evidence.transcript;
    let due = |at_us, is_first| {
        let end = end_at(transcript, at_us, is_first, |change| &change.client, &transcript.provenance.client);
        Some(dialect(end?)?.host.as_ref()?.max_or_none())
    };
    let timeline = sights.timeline;
    let mut hosts = 0;
    for (index, act) in timeline.acts.iter().enumerate() {
        hosts += usize::from(matches!(act.what, What::HostConnects));
        let What::FromHost(said) = &act.what else { continue };
        let Some(message) = said.message.as_ref().filter(|_| said.name() == names::REFRESH) else { continue };
        // Who comes later is known only where the recording says it.
        report(sights, Blame::Client, index, due(act.at_us, hosts <= 1), told(&message.version));
    }
}

/// The highest heartbeat of each process of an agent, once it has had two.
fn of_agent(sights: &mut Sights<'_>) {
    let transcript = sights.evidence.transcript;
    let due = |at_us, is_first| {
        let end = end_at(transcript, at_us, is_first, |change| &change.server, &transcript.provenance.server);
        Some(dialect(end?)?.agent.as_ref()?.max_or_none())
    };
    // The heartbeats of each process: the act, when, and the version.
    let mut processes: Vec<Vec<(usize, u64, i64)>> = vec![Vec::new()];
    for (index, act) in sights.timeline.acts.iter().enumerate() {
        match &act.what {
            What::AgentStarts => processes.push(Vec::new()),
            What::FromAgent(said) if said.name() == names::HEARTBEAT => {
                let version =
                    said.message.as_ref().map_or(names::NO_VERSION, |message| told(&message.version));
                processes.last_mut().into_iter().for_each(|beats| beats.push((index, act.at_us, version)));
            }
            _ => {}
        }
    }
    for (number, beats) in processes.iter().enumerate().filter(|(_, beats)| beats.len() >= 2) {
        let Some((act, at_us, version)) = beats.iter().max_by_key(|(_, _, version)| *version) else {
            continue;
        };
        report(sights, Blame::Server, *act, due(*at_us, number == 0), *version);
    }
}

/// Who is at an end at a time; none where nobody wrote that down.
fn end_at<'a>(
    transcript: &'a Transcript,
    at_us: u64,
    is_first: bool,
    side: fn(&BuildChange) -> &Endpoint,
    first: &'a Endpoint,
) -> Option<&'a Endpoint> {
    let mut changes = transcript.provenance.builds.iter();
    match changes.rfind(|change| change.from_us <= at_us) {
        Some(change) => Some(side(change)),
        None => is_first.then_some(first),
    }
}

fn dialect(end: &Endpoint) -> Option<&'static Dialect> {
    let name = end.details.get(DIALECT).or(end.version.as_ref())?;
    DIALECTS.for_version(name)
}

fn report(sights: &mut Sights<'_>, blame: Blame, act: usize, due: Option<i64>, tells: i64) {
    if let Some(due) = due.filter(|due| *due != tells) {
        let message = format!("the maximum is told as {tells}, this release has {due}");
        let says = (message, due.to_string(), tells.to_string());
        sights.violation(blame, shapes::WRONG_MAXIMUM, rules::MIN, act, says);
    }
}
