//! Do both sides come to the agreed version again after whatever happened?

use verdict::Blame;

use super::course::{Course, Moment};
use super::{Sights, rules};
use crate::names::NO_VERSION;
use crate::shapes;

/// After this many heartbeats everything must be negotiated anew: one that says 0, one that says the maximum, and one more
/// that may have been on its way.
const BEATS_MAX: usize = 3;

/// Finds agents that stay at another version than the agreed one.
pub(super) fn renegotiated(sights: &mut Sights<'_>, course: &Course<'_>) {
    // Against a script there is nothing to come to.
    if course.timeline.scripts.host || course.timeline.scripts.agent {
        return;
    }
    let mut told = None;
    for (index, moment) in course.moments.iter().enumerate() {
        let since = overdue(course, index, moment);
        if since.is_some() && since != told {
            told = since;
            report(course, sights, index, moment);
        }
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
        let says = (message, expected, actual);
        sights.violation(Blame::Server, shapes::STUCK_AT_ZERO, rules::RESTART, act, says);
    } else {
        let message = format!("the agent is at {actual} where {agreed} is agreed, and nothing changes that");
        let says = (message, expected, actual);
        sights.violation(Blame::Client, shapes::STALE_VERSION, rules::MIN, act, says);
    }
}
