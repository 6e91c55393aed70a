//! Do both sides come to the agreed version again after whatever happened?

use verdict::{Blame, Evidence, Finding};

use super::course::{Course, Moment};
use super::{CourseCheck, Sights, rules};
use crate::names::NO_VERSION;
use crate::shapes;

/// After so many heartbeats everything must be negotiated anew: one that says 0, one that says the maximum, and one more
/// that may have been on its way.
const BEATS_MAX: usize = 3;

/// Finds agents that stay at another version than the agreed one.
pub(super) struct Renegotiated;

impl CourseCheck for Renegotiated {
    fn name(&self) -> &'static str {
        "renegotiated"
    }

    fn check(&self, evidence: &Evidence<'_>, course: &Course<'_>) -> Vec<Finding> {
        let timeline = course.timeline;
        let mut sights = Sights::new(self.name(), evidence, timeline);
        // Against a script there is nothing to come to.
        if timeline.scripts.host || timeline.scripts.agent {
            return Vec::new();
        }
        let mut told = None;
        for (index, moment) in course.moments.iter().enumerate() {
            let Some(since) = overdue(course, index, moment).filter(|since| told != Some(*since)) else {
                continue;
            };
            told = Some(since);
            report(course, &mut sights, index, moment);
        }
        sights.report.finish()
    }
}

/// Since when both sides should have come to the agreed version, where the agent must be at another one by now.
fn overdue(course: &Course<'_>, index: usize, moment: &Moment) -> Option<usize> {
    let (host_max, _) = (moment.host_max?, moment.agent_says?);
    let versioned = moment.agent_max.is_some_and(|max| max > NO_VERSION) && host_max > NO_VERSION;
    if !versioned || !moment.settled || moment.levels.has(moment.agreed()) {
        return None;
    }
    let since = [moment.refreshed, moment.started, moment.said_otherwise].into_iter().flatten().max()?;
    let pace = course.timeline.pace;
    // On peers faster than real ones heartbeats alone are the measure: a busy machine delays those as well.
    let bound_us =
        if pace.is_scaled() { 0 } else { pace.period_us.saturating_mul(2).saturating_add(pace.read_us()) };
    let beats = course.moments.get(since).map_or(0, |then| moment.beats.saturating_sub(then.beats));
    (course.is_over(since, index, bound_us, 0) && beats >= BEATS_MAX).then_some(since)
}

fn report(course: &Course<'_>, sights: &mut Sights<'_>, index: usize, moment: &Moment) {
    let agreed = moment.agreed();
    let levels: Vec<String> = moment.levels.iter().map(|level| level.to_string()).collect();
    let actual = levels.join(" or ");
    let expected = format!("version {agreed}");
    // The last message of the agent shows where it is; the end of a transcript shows nothing.
    let act = index.min(course.timeline.acts.len().saturating_sub(1));
    let restarted = moment.started > moment.announced && moment.started > moment.refreshed;
    if restarted && moment.levels.certain() == Some(NO_VERSION) {
        let message = format!(
            "the agent began anew at 0 and stays there: {agreed} is what the host has already, so it announces nothing"
        );
        sights.violation(
            Blame::Server,
            shapes::STUCK_AT_ZERO,
            rules::RESTART,
            act,
            (message, &expected, actual),
        );
    } else {
        let message = format!("the agent is at {actual} where {agreed} is agreed, and nothing changes that");
        sights.violation(Blame::Client, shapes::STALE_VERSION, rules::MIN, act, (message, &expected, actual));
    }
}
