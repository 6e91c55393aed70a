//! Does the host announce what is agreed, when it changes and only then?
//!
//! ```text
//! heartbeat says       host keeps     host must say       host may say
//! the same             the same       nothing
//! another one, not 0   it, limited    api-version with it
//! 0 or nothing         0              nothing
//! first on a connection, or of an agent               api-version with it
//! ```
//! A host that keeps the value as it came instead of the limited one (rhbz 1318657) gives itself away: what it keeps
//! is never equal to the limited one, so it announces at every heartbeat.

use std::collections::VecDeque;

use verdict::Blame;
use wire::json::{Document, Kind};

use super::course::{BEATS, Course};
use super::timeline::{Act, Said, What};
use super::{Sights, rules};
use crate::message::{Offered, RULES};
use crate::names::{self, NO_VERSION};
use crate::shapes;

/// How long a host may be silent that has just connected, in microseconds: it asks at once.
const SILENCE_US: u64 = 2_000_000;

/// Compares what a host announces with the heartbeats that it gets.
pub(super) fn host_announces(sights: &mut Sights<'_>, course: &Course<'_>) {
    let timeline = course.timeline;
    if timeline.scripts.host {
        return;
    }
    let mut watch = Watch {
        course,
        sights,
        kept: None,
        kept_above: false,
        free: true,
        last: None,
        due: VecDeque::new(),
        silent: None,
    };
    for (index, act) in timeline.acts.iter().enumerate() {
        watch.overdue(index);
        watch.take(index, act);
    }
    watch.overdue(timeline.acts.len());
}

/// A heartbeat and what it comes to.
#[derive(Clone, Copy)]
struct Beat {
    /// The lower one of it and the host's maximum.
    limited: i64,
    /// Whether it says something else than that, more than the host has or in other words.
    above: bool,
}

/// An announcement that must come.
struct Due {
    version: i64,
    act: usize,
    behind_bad: bool,
}

struct Watch<'a, 'b> {
    course: &'a Course<'a>,
    sights: &'a mut Sights<'b>,
    /// What the host must keep; nothing where it may have been handed over or kept from before.
    kept: Option<i64>,
    /// Whether the heartbeat that it comes from said something else.
    kept_above: bool,
    /// Whether one announcement may come that need not.
    free: bool,
    last: Option<Beat>,
    due: VecDeque<Due>,
    /// The connection on which the host has said nothing yet.
    silent: Option<usize>,
}

impl Watch<'_, '_> {
    fn take(&mut self, index: usize, act: &Act) {
        match &act.what {
            What::HostConnects => {
                (self.kept, self.free, self.last) = (None, true, None);
                self.due.clear();
                self.silent = Some(index);
            }
            What::AgentStarts => self.free = true,
            What::HostLeaves => {
                self.due.clear();
                self.silent = None;
            }
            What::AgentLeaves | What::Called(_) => {}
            What::FromAgent(said) if said.name() == names::HEARTBEAT => self.heartbeat(index, said),
            What::FromAgent(_) => {}
            What::FromHost(said) => {
                self.silent = None;
                if said.name() == names::API_VERSION_MESSAGE {
                    self.announcement(index, said);
                }
            }
        }
    }

    fn heartbeat(&mut self, index: usize, said: &Said) {
        let host_max =
            self.course.moments.get(index).and_then(|moment| moment.host_max).unwrap_or(NO_VERSION);
        let Some(message) = said.message.as_ref() else { return };
        if !is_whole(said) {
            // A host may stumble over it before it comes to the version, or not.
            (self.kept, self.free, self.last) = (None, true, None);
            return;
        }
        // A value that is kept as it came is another one than the limited one also where it is a text or a fraction.
        let (limited, above) = match &message.version {
            Offered::Number(version, kept) => {
                let limited = (*version).clamp(NO_VERSION, host_max);
                (limited, !kept.is(limited))
            }
            Offered::NoNumber(_) => (NO_VERSION, true),
            Offered::Absent => (NO_VERSION, false),
            Offered::Exception => return,
        };
        self.last = Some(Beat { limited, above });
        if self.kept != Some(limited) {
            self.kept_above = above;
        }
        if self.kept.is_some_and(|kept| kept != limited) && limited != NO_VERSION {
            self.due.push_back(Due { version: limited, act: index, behind_bad: said.behind_bad });
        }
        self.kept = Some(limited);
    }

    fn announcement(&mut self, index: usize, said: &Said) {
        let version = said.message.as_ref().and_then(|message| message.version.number());
        let Some(version) = version.filter(|version| *version > NO_VERSION) else {
            let told = said.message.as_ref().map(|message| format!("{:?}", message.version));
            let says = ("a version that is none is announced", "never 0", told.unwrap_or_default());
            self.sights.violation(Blame::Client, shapes::ANNOUNCED_NEEDLESSLY, rules::ANNOUNCE, index, says);
            return;
        };
        if let Some(at) = self.due.iter().position(|due| due.version == version) {
            for missed in self.due.drain(..=at).take(at).collect::<Vec<_>>() {
                self.missed(&missed);
            }
            self.free = false;
            return;
        }
        let actual = format!("api-version {version}");
        let report = |shape, rule, message, expected: String| {
            let says = (message, expected, actual);
            self.sights.violation(Blame::Client, shape, rule, index, says);
        };
        let said_again = format!("`api-version` {version} is announced");
        let none = || "no announcement".to_owned();
        match self.last {
            None => self.kept = self.kept.or(Some(version)),
            Some(beat) if beat.limited == version && self.free => {}
            Some(beat) if beat.limited == version && (beat.above || self.kept_above) => {
                self.kept_above = beat.above;
                let why = "nothing changed: the host keeps more than the lower one of both maxima";
                report(
                    shapes::HOST_ABOVE_MIN,
                    rules::RAW,
                    format!("{said_again} again although {why}"),
                    none(),
                );
            }
            Some(beat) if beat.limited == version => {
                let message = format!("{said_again} although nothing changed");
                report(shapes::ANNOUNCED_NEEDLESSLY, rules::ANNOUNCE, message, none());
            }
            Some(Beat { limited, .. }) => {
                let shape = if version > limited { shapes::ABOVE_AGREED } else { shapes::STALE_VERSION };
                let message = format!("{said_again} where {limited} is agreed");
                report(shape, rules::MIN, message, format!("api-version {limited}"));
            }
        }
        self.free = false;
    }

    /// What should have been said by now.
    fn overdue(&mut self, index: usize) {
        let pace = self.course.timeline.pace;
        while let Some(due) = self.due.front() {
            if !self.course.is_over(due.act, index, pace.slack_us, BEATS) {
                break;
            }
            if let Some(missed) = self.due.pop_front() {
                self.missed(&missed);
            }
        }
        let bound_us = if pace.is_scaled() { pace.silent_us() } else { SILENCE_US };
        if let Some(since) = self.silent.filter(|since| self.course.is_over(*since, index, bound_us, 0)) {
            let says = ("the host is connected and says nothing", "a refresh at once", "silence");
            self.sights.violation(Blame::Client, shapes::HOST_SILENCED, rules::ALIVE, since, says);
            self.silent = None;
        }
    }

    fn missed(&mut self, due: &Due) {
        let (shape, rule, message) = if due.behind_bad {
            let message = "a heartbeat that came in one read behind something bad is not heard";
            (shapes::LOST_MESSAGE, rules::DRAIN, message)
        } else {
            let message = "a heartbeat changes the agreed version, and the host does not say so";
            (shapes::NOT_ANNOUNCED, rules::ANNOUNCE, message)
        };
        let says = (message, format!("api-version {}", due.version), "nothing");
        self.sights.violation(Blame::Client, shape, rule, due.act, says);
    }
}

/// Whether a heartbeat has what hosts look at before the version.
fn is_whole(said: &Said) -> bool {
    let Ok(document) = Document::parse(&said.bytes, RULES) else { return false };
    let root = document.root();
    let free_ram = root
        .get("free-ram")
        .is_some_and(|value| matches!(value.kind(), Kind::Number) || is_number(value.text()));
    let memory = root.get("memory-stat").is_none_or(|value| value.kind() == Kind::Object);
    free_ram && memory
}

fn is_number(text: Option<std::borrow::Cow<'_, str>>) -> bool {
    text.is_some_and(|text| text.trim().parse::<f64>().is_ok())
}
