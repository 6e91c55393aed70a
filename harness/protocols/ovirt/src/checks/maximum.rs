//! Does each side tell the maximum that its release has?
//!
//! A build that has lost its versioning settles on 0 with everybody, in perfect order. So what it tells is held against its
//! dialect: the one that the build is said to be, or the release from which it was recorded.

use transcript::{Endpoint, Transcript};
use verdict::{Blame, Evidence, Finding};

use super::course::Course;
use super::timeline::What;
use super::{CourseCheck, Sights, rules, told};
use crate::{DIALECTS, Dialect, names, shapes};

/// The detail of an endpoint that names its dialect, where its version does not.
pub(crate) const DIALECT: &str = "dialect";

/// Finds ends that tell another maximum than theirs.
pub(super) struct TellsItsMaximum;

impl CourseCheck for TellsItsMaximum {
    fn name(&self) -> &'static str {
        "tells-its-maximum"
    }

    fn check(&self, evidence: &Evidence<'_>, course: &Course<'_>) -> Vec<Finding> {
        let timeline = course.timeline;
        let mut sights = Sights::new(self.name(), evidence, timeline);
        if !timeline.scripts.host {
            of_host(&mut sights, evidence.transcript);
        }
        if !timeline.scripts.agent {
            of_agent(&mut sights, evidence.transcript);
        }
        sights.report.finish()
    }
}

/// Every refresh of a host.
fn of_host(sights: &mut Sights<'_>, transcript: &Transcript) {
    let timeline = sights.timeline;
    let mut hosts = 0;
    for (index, act) in timeline.acts.iter().enumerate() {
        hosts += usize::from(matches!(act.what, What::HostConnects));
        let What::FromHost(said) = &act.what else { continue };
        let Some(message) = said.message.as_ref().filter(|_| said.name() == names::REFRESH) else { continue };
        // Who comes later is known only where the recording says it.
        let Some(end) =
            end_at(transcript, act.at_us, hosts <= 1, |change| &change.client, &transcript.provenance.client)
        else {
            continue;
        };
        let Some(due) = dialect(end).and_then(|d| d.host.as_ref()).map(|host| host.max_or_none()) else {
            continue;
        };
        report(sights, Blame::Client, index, due, told(&message.version));
    }
}

/// A heartbeat that an agent sent.
struct Beat {
    act: usize,
    at_us: u64,
    version: i64,
}

/// The highest heartbeat of each process of an agent, once it has had two.
fn of_agent(sights: &mut Sights<'_>, transcript: &Transcript) {
    let timeline = sights.timeline;
    let mut process: Vec<Beat> = Vec::new();
    let mut processes = 1;
    let mut ended: Vec<(usize, Vec<Beat>)> = Vec::new();
    for (index, act) in timeline.acts.iter().enumerate() {
        match &act.what {
            What::AgentStarts => {
                ended.push((processes, std::mem::take(&mut process)));
                processes += 1;
            }
            What::FromAgent(said) if said.name() == names::HEARTBEAT => {
                let version =
                    said.message.as_ref().map_or(names::NO_VERSION, |message| told(&message.version));
                process.push(Beat { act: index, at_us: act.at_us, version });
            }
            _ => {}
        }
    }
    ended.push((processes, process));
    for (number, beats) in ended.iter().filter(|(_, beats)| beats.len() >= 2) {
        let Some(most) = beats.iter().max_by_key(|beat| beat.version) else {
            continue;
        };
        let own = &transcript.provenance.server;
        let Some(end) = end_at(transcript, most.at_us, *number <= 1, |change| &change.server, own) else {
            continue;
        };
        let Some(due) = dialect(end).and_then(|d| d.agent.as_ref()).map(|agent| agent.max_or_none()) else {
            continue;
        };
        report(sights, Blame::Server, most.act, due, most.version);
    }
}

/// Who is at an end at a time; none where nobody wrote that down.
fn end_at<'a>(
    transcript: &'a Transcript,
    at_us: u64,
    is_first: bool,
    side: fn(&transcript::BuildChange) -> &Endpoint,
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

fn report(sights: &mut Sights<'_>, blame: Blame, act: usize, due: i64, tells: i64) {
    if tells != due {
        let message = format!("the maximum is told as {tells}, this release has {due}");
        let expected = due.to_string();
        sights.violation(
            blame,
            shapes::WRONG_MAXIMUM,
            rules::MIN,
            act,
            (message, &expected, tells.to_string()),
        );
    }
}
