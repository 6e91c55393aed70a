//! Is nothing sent above the agreed version?

use verdict::{Blame, Weight};

use super::course::{BEATS, Course, Moment};
use super::timeline::{Said, What};
use super::{Sights, ms, rules};
use crate::names;
use crate::shapes;

/// What may still come although the agreed version is lower, and until when.
struct Window {
    name: &'static str,
    about: &'static str,
    since: usize,
    bound_us: u64,
}

/// Finds messages above the agreed version, on both sides.
pub(super) fn nothing_above_agreed(sights: &mut Sights<'_>, course: &Course<'_>) {
    let timeline = course.timeline;
    let mut calls = Calls::default();
    for (index, act) in timeline.acts.iter().enumerate() {
        let Some(moment) = course.moments.get(index) else { continue };
        match &act.what {
            What::FromAgent(said) if !timeline.scripts.agent => of_agent(course, sights, index, said, moment),
            What::FromHost(said) if !timeline.scripts.host => {
                calls.sent(said.name());
                of_host(course, sights, index, said, moment);
            }
            What::Called(name) if !timeline.scripts.host => calls.called(course, index, name, moment),
            What::HostLeaves => calls.hung_up(sights),
            _ => {}
        }
    }
}

fn of_agent(course: &Course<'_>, sights: &mut Sights<'_>, index: usize, said: &Said, moment: &Moment) {
    let name = said.name();
    let min = names::guest_min(name);
    let (agreed, told) = (moment.agreed(), moment.levels.highest());
    // A script as the host says what no host would: then the agent is held to what it was told.
    let scripted = course.timeline.scripts.host;
    if scripted || min <= agreed {
        // What both sides can agree on is not agreed on before the agent is told.
        if min > 0 && min > told {
            let message = format!("`{name}` asks for version {min}, the agent was told {told}");
            let limit = if scripted { told.to_string() } else { "what it was told".to_owned() };
            let says = (message, format!("nothing above {limit}"), name);
            sights.violation(Blame::Server, shapes::ABOVE_AGREED, rules::MIN, index, says);
        }
        return;
    }
    let message = format!("`{name}` asks for version {min} where {agreed} is agreed");
    let expected = format!("nothing above {agreed}");
    match window(course, index, moment, min) {
        Some(window) => {
            let since = ms(at_us(course, index).saturating_sub(at_us(course, window.since)));
            let Window { name: which, about, .. } = window;
            let message =
                format!("{message}, {since} after {about}: inside {which}, at most {}", ms(window.bound_us));
            let in_flight = (shapes::IN_FLIGHT, rules::MIN);
            sights.push(Weight::Restriction, Blame::Server, in_flight, index, (message, expected, name));
        }
        None => {
            let says = (message, expected, name);
            sights.violation(Blame::Server, shapes::ABOVE_AGREED, rules::MIN, index, says);
        }
    }
}

/// The window that a message of the agent falls into, if there is one.
fn window(course: &Course<'_>, index: usize, moment: &Moment, min: i64) -> Option<Window> {
    let pace = course.timeline.pace;
    let host_max = moment.host_max?;
    let window = if host_max >= min {
        match moment.repeated {
            // With its first heartbeat an agent is at 0, unless it read what was sent to the process before it.
            Some(since) if moment.own_beats <= 1 && moment.levels.highest() >= min => {
                Window { name: "W3", about: "api-version", since, bound_us: pace.read_us() }
            }
            // The agent's own heartbeat said less than it has.
            _ => {
                let since = moment.said_otherwise.filter(|_| moment.own_beats > 1)?;
                let bound_us = pace.period_us.saturating_add(pace.slack_us);
                Window { name: "W5", about: "a heartbeat that says less", since, bound_us }
            }
        }
    } else if let Some(since) = moment.announced {
        Window { name: "W3", about: "api-version", since, bound_us: pace.read_us() }
    } else if host_max == 0 {
        let (since, bound_us) = (moment.refreshed?, pace.read_us());
        Window { name: "W1", about: "a refresh without a version", since, bound_us }
    } else {
        let (since, bound_us) = (moment.refreshed?, pace.announced_us());
        Window { name: "W2", about: "a refresh", since, bound_us }
    };
    (!course.is_over(window.since, index, window.bound_us, BEATS)).then_some(window)
}

/// The gate of the host: what it sends must be allowed by the agent's last heartbeat and its own maximum.
fn of_host(course: &Course<'_>, sights: &mut Sights<'_>, index: usize, said: &Said, moment: &Moment) {
    let min = names::host_min(said.name());
    let agreed = moment.agreed();
    if min <= agreed {
        return;
    }
    // A heartbeat that the host has perhaps not read yet limits nothing. Hosts that run faster than real ones are ours,
    // and write down what they have read.
    let pace = course.timeline.pace;
    let fresh = !pace.is_scaled()
        && moment.said_otherwise.is_some_and(|since| !course.is_over(since, index, pace.slack_us, 0));
    if !fresh {
        let message = format!("`{}` asks for version {min} where {agreed} is agreed", said.name());
        let says = (message, format!("nothing above {agreed}"), said.name());
        sights.violation(Blame::Client, shapes::ABOVE_AGREED, rules::MIN, index, says);
    }
}

/// The gate of the host from the other side: what its API is called for and the version allows, is sent. The mark of a
/// call may stand before its message, and behind it.
#[derive(Default)]
struct Calls {
    /// What was sent and no call is known for.
    sent: Vec<String>,
    /// What was called for and is not sent yet: the act of the mark, the message, the agreed version.
    called: Vec<(usize, &'static str, i64)>,
}

impl Calls {
    fn sent(&mut self, name: &str) {
        match self.called.iter().position(|(_, called, _)| *called == name) {
            Some(at) => drop(self.called.remove(at)),
            None => self.sent.push(name.to_owned()),
        }
    }

    fn called(&mut self, course: &Course<'_>, index: usize, name: &'static str, moment: &Moment) {
        if let Some(at) = self.sent.iter().position(|sent| sent == name) {
            self.sent.remove(at);
            return;
        }
        let known = moment.host_max.is_some() && moment.agent_says.is_some();
        let since = moment.refreshed.max(moment.said_otherwise).max(moment.started);
        // The host must have had the time to hear what the agent has.
        let bound_us = course.timeline.pace.announced_us();
        let settled = since.is_some_and(|since| course.is_over(since, index, bound_us, BEATS));
        if known && settled && names::host_min(name) <= moment.agreed() {
            self.called.push((index, name, moment.agreed()));
        }
    }

    /// The host is gone: what it was called for does not come any more.
    fn hung_up(&mut self, sights: &mut Sights<'_>) {
        for (act, name, agreed) in self.called.drain(..) {
            let message = format!("`{name}` is called for and allowed at version {agreed}, and is not sent");
            let says = (message, name, "nothing");
            sights.violation(Blame::Client, shapes::WRONG_LEVEL, rules::MIN, act, says);
        }
        self.sent.clear();
    }
}

fn at_us(course: &Course<'_>, index: usize) -> u64 {
    course.timeline.acts.get(index).map_or(0, |act| act.at_us)
}
