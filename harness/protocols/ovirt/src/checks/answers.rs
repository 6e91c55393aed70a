//! Does the agent answer what it is asked, at the level that it has, and go on speaking?
//!
//! The listener of an agent takes its input in order, so answers come in the order of what they answer. What is due:
//!
//! ```text
//! refresh                             a refresh answer
//! api-version, where it changes       a refresh answer; of agents with maximum 1 nothing that would be missed
//! echo                                the same echo
//! set-number-of-cpus, count above 0   number-of-cpus, from version 1 on
//! lifecycle-event with a reply_id     completion with it, from version 3 on
//! ```

use verdict::{Blame, Weight};
use wire::json::{Document, Rules, same_value};

use super::course::{Answer, BEATS, Course, Moment};
use super::timeline::{Act, Said, What};
use super::{Sights, ms, rules};
use crate::grammar::id_of;
use crate::message::{Offered, RULES};
use crate::names::{self, NO_VERSION};
use crate::shapes;

/// The lowest maximum of an agent that answers a change of its version.
const ANSWERS_FROM: i64 = 2;

/// Compares what an agent says with what it was asked.
pub(super) fn agent_answers(sights: &mut Sights<'_>, course: &Course<'_>) {
    let timeline = course.timeline;
    if timeline.scripts.agent {
        return;
    }
    let fqdn = |act: &Act| matches!(&act.what, What::FromAgent(said) if said.name() == names::FQDN);
    let knows_fqdn = timeline.acts.iter().any(fqdn);
    let mut watch = Watch { course, sights, due: Vec::new(), last_beat: None, knows_fqdn };
    let mut answers = course.answers.iter().peekable();
    for (index, act) in timeline.acts.iter().enumerate() {
        watch.overdue(index);
        while let Some(answer) = answers.next_if(|answer| answer.first <= index) {
            watch.answered(answer);
        }
        watch.take(index, act);
    }
    watch.overdue(timeline.acts.len());
}

/// Something that was asked.
struct Due {
    act: usize,
    what: Asked,
}

#[derive(Clone, PartialEq, Eq)]
enum Asked {
    /// A refresh answer.
    Refresh,
    /// A refresh answer because of a changed version; false where it may also stay away.
    Change(bool),
    /// An echo of that line.
    Echo,
    /// The number of processors.
    Cpus,
    /// A completion with that `reply_id`; false where the version does not allow one.
    Completion(String, bool),
}

struct Watch<'a, 'b> {
    course: &'a Course<'a>,
    sights: &'a mut Sights<'b>,
    due: Vec<Due>,
    /// Whether the agent has ever sent `fqdn`.
    knows_fqdn: bool,
    /// The last heartbeat, connection or start of a process.
    last_beat: Option<usize>,
}

impl Watch<'_, '_> {
    fn take(&mut self, index: usize, act: &Act) {
        match &act.what {
            What::HostConnects | What::AgentStarts => {
                self.hung_up(index);
                self.due.retain(|due| matches!(due.what, Asked::Completion(..)));
                self.last_beat = Some(index);
            }
            What::Called(_) => {}
            What::HostLeaves | What::AgentLeaves => {
                self.hung_up(index);
                self.due.clear();
                self.last_beat = None;
            }
            What::FromHost(said) => {
                if let Some(moment) = self.course.moments.get(index) {
                    self.due
                        .extend(asked(self.course, index, said, moment).map(|what| Due { act: index, what }));
                }
            }
            What::FromAgent(said) => match said.name() {
                names::HEARTBEAT => self.last_beat = Some(index),
                names::ECHO => self.echoed(said),
                names::NUMBER_OF_CPUS => self.due.retain(|due| due.what != Asked::Cpus),
                names::COMPLETION => self.completed(index, said),
                _ => {}
            },
        }
    }

    /// A refresh answer belongs to the first that must have one; what came before and need not, had none.
    fn answered(&mut self, answer: &Answer) {
        let waits = |due: &Due| matches!(due.what, Asked::Refresh | Asked::Change(_));
        let must = |due: &Due| matches!(due.what, Asked::Refresh | Asked::Change(true));
        let at = self.due.iter().position(must).or_else(|| self.due.iter().position(waits));
        let cause = at.and_then(|at| self.due.get(at)).map(|due| due.act);
        if let Some(at) = at {
            let behind = self.due.split_off(at + 1);
            self.due.retain(|due| !waits(due));
            self.due.extend(behind);
        }
        let Some(moment) = self.course.moments.get(answer.first) else { return };
        if let Some(name) = answer.lacks_always(self.knows_fqdn) {
            let message = format!("a refresh answer lacks `{name}`");
            let says = (message, name, "not there");
            self.sights.violation(Blame::Server, shapes::DATA_MISSING, rules::ANSWER, answer.last, says);
        }
        // The listener takes its input in order: an answer is given at the version that its cause left.
        let levels = match cause.and_then(|act| self.course.moments.get(act + 1)) {
            Some(behind) => behind.aim,
            None => moment.levels,
        };
        let Some(max) = moment.agent_max else { return };
        if !levels.and(answer.levels(max)).is_empty() {
            return;
        }
        // What is too much is found as above the agreed version.
        let lacking = levels.iter().filter_map(|level| answer.lacks(level, max).map(|name| (level, name)));
        if let Some((level, name)) = lacking.last() {
            let message = format!("a refresh answer at version {level} lacks `{name}`");
            let says = (message, name, "not there");
            self.sights.violation(Blame::Server, shapes::WRONG_LEVEL, rules::ANSWER, answer.last, says);
        }
    }

    fn echoed(&mut self, said: &Said) {
        let same = |due: &Due| match self.course.timeline.acts.get(due.act).map(|act| &act.what) {
            Some(What::FromHost(asked)) => {
                due.what == Asked::Echo && id_of(&asked.bytes) == id_of(&said.bytes)
            }
            _ => false,
        };
        // One whose text went through the filter is another one, and still the answer.
        let at = self.due.iter().position(same);
        let at = at.or_else(|| self.due.iter().position(|due| due.what == Asked::Echo));
        if let Some(at) = at {
            let answered = self.due.remove(at);
            if self.course.timeline.scripts.host {
                self.settle(|_, due| due.act < answered.act);
            }
        }
    }

    fn completed(&mut self, index: usize, said: &Said) {
        let Some(message) = &said.message else { return };
        let own = message.reply_id.clone().unwrap_or_default();
        let same = |due: &Due| matches!(&due.what, Asked::Completion(id, _) if is_same(id.as_bytes(), own.as_bytes(), RULES));
        let at = self.due.iter().position(same);
        let answers = at.map(|at| self.due.remove(at)).is_some();
        if !answers || message.done != Some(true) {
            let why = if answers { "does not say that it is done" } else { "answers no event that is open" };
            let message = format!("a completion with reply_id {own} {why}");
            let says = (message, "the reply_id of an open event, once", own);
            self.sights.violation(Blame::Server, shapes::WRONG_COMPLETION, rules::COMPLETION, index, says);
        }
    }

    /// What should have been answered by now. A script does not listen all the time: there, what comes in answer to
    /// something that was asked later shows what is missing, and the end of a connection.
    fn overdue(&mut self, index: usize) {
        if self.course.timeline.scripts.host {
            return;
        }
        let pace = self.course.timeline.pace;
        self.settle(|watch, due| watch.course.is_over(due.act, index, pace.read_us(), BEATS));
        let bound_us = pace.silent_us();
        if let Some(since) = self.last_beat.filter(|since| self.course.is_over(*since, index, bound_us, 0)) {
            let message = format!("no heartbeat for {}", ms(bound_us));
            let says = (message, "a heartbeat each period", "silence");
            self.sights.violation(Blame::Server, shapes::SILENCED, rules::ALIVE, since, says);
            self.last_beat = None;
        }
    }

    /// A script that listened has gone: what it asked long enough before is not answered.
    fn hung_up(&mut self, index: usize) {
        let pace = self.course.timeline.pace;
        if self.course.timeline.scripts.host {
            self.settle(|watch, due| watch.course.is_over(due.act, index, pace.read_us(), 0));
        }
    }

    /// Takes out of what is due what is over, and reports it.
    fn settle(&mut self, is_over: impl Fn(&Self, &Due) -> bool) {
        let (over, open): (Vec<Due>, Vec<Due>) =
            std::mem::take(&mut self.due).into_iter().partition(|due| is_over(self, due));
        self.due = open;
        for due in over {
            self.missed(&due);
        }
    }

    fn missed(&mut self, due: &Due) {
        let (shape, rule, message) = match &due.what {
            Asked::Refresh => (shapes::LOST_MESSAGE, rules::ANSWER, "a refresh is not answered"),
            Asked::Echo => (shapes::LOST_MESSAGE, rules::ECHO, "an echo is not answered"),
            Asked::Change(true) => {
                let message = "the version changed, and nothing is sent again";
                (shapes::NO_ANSWER_AFTER_CHANGE, rules::RESEND, message)
            }
            Asked::Cpus => {
                let message = "the version allows `number-of-cpus`, and it does not come";
                (shapes::WRONG_LEVEL, rules::ANSWER, message)
            }
            Asked::Completion(_, true) => {
                let message = "a lifecycle event is not completed: the host waits as long as it may";
                (shapes::NO_COMPLETION, rules::COMPLETION, message)
            }
            // With a maximum of 1 all that a change sets free is periodic.
            Asked::Change(false) | Asked::Completion(_, false) => return,
        };
        let completes = matches!(due.what, Asked::Completion(..));
        let weight = if completes { Weight::Restriction } else { Weight::Violation };
        let silent = !completes && self.is_silent_around(due.act);
        let fault = if silent { (shapes::SILENCED, rules::ALIVE) } else { (shape, rule) };
        self.sights.push(weight, Blame::Server, fault, due.act, (message, "an answer", "nothing"));
    }

    /// Whether the agent said nothing at all for two periods around an act, though somebody listened. A script listens
    /// where it waits: there, nothing to the end of the connection.
    fn is_silent_around(&self, act: usize) -> bool {
        let acts = &self.course.timeline.acts;
        if self.course.timeline.scripts.host {
            let mut behind = acts.get(act..).unwrap_or_default().iter();
            let next = behind.find(|act| matches!(act.what, What::FromAgent(_) | What::HostLeaves));
            return !next.is_some_and(|act| matches!(act.what, What::FromAgent(_)));
        }
        let speaks = |act: &&Act| matches!(act.what, What::FromAgent(_));
        let at_us = acts.get(act).map_or(0, |act| act.at_us);
        let before = acts.get(..act).unwrap_or_default().iter().rfind(speaks).map_or(at_us, |act| act.at_us);
        let after = acts.get(act..).unwrap_or_default().iter().find(speaks);
        let after = after.map_or(self.course.timeline.end_us(), |act| act.at_us);
        let pace = self.course.timeline.pace;
        let real_us = pace.period_us.saturating_mul(2).saturating_add(pace.slack_us);
        let bound_us = if pace.is_scaled() { pace.silent_us() } else { real_us };
        after.saturating_sub(before) > bound_us
    }
}

/// What a message of the host asks for.
fn asked(course: &Course<'_>, index: usize, said: &Said, moment: &Moment) -> Option<Asked> {
    let message = said.message.as_ref()?;
    let level = moment.aim.certain();
    match said.name() {
        names::REFRESH => Some(Asked::Refresh),
        names::ECHO => Some(Asked::Echo),
        names::API_VERSION_MESSAGE => {
            let Offered::Number(version, _) = message.version else { return None };
            let max = moment.agent_max.unwrap_or(NO_VERSION);
            let stays = |level: i64| level == version.min(max);
            let must = !moment.aim.iter().any(stays) && max >= ANSWERS_FROM && version >= NO_VERSION;
            (!moment.aim.iter().all(stays)).then_some(Asked::Change(must))
        }
        names::SET_NUMBER_OF_CPUS => {
            let count = count_of(&said.bytes)?;
            // Where nothing shows at which version the agent is, it must be at the agreed one by now.
            let allowed = level.map_or_else(|| settled_on(course, index, moment) >= 1, |level| level >= 1);
            (count > 0 && allowed).then_some(Asked::Cpus)
        }
        names::LIFECYCLE_EVENT => {
            let allowed = level.is_some_and(|level| level >= names::guest_min(names::COMPLETION));
            message.reply_id.clone().map(|id| Asked::Completion(id, allowed))
        }
        _ => None,
    }
}

/// The agreed version, where both sides have had the time to come to it; else none.
fn settled_on(course: &Course<'_>, index: usize, moment: &Moment) -> i64 {
    let versioned = moment.host_max.is_some_and(|max| max > NO_VERSION) && moment.agent_says.is_some();
    let since = [moment.refreshed, moment.started, moment.said_otherwise].into_iter().flatten().max();
    let bound_us = course.timeline.pace.announced_us();
    let over = since.is_some_and(|since| course.is_over(since, index, bound_us, BEATS + 1));
    if versioned && over && !course.timeline.scripts.host { moment.agreed() } else { NO_VERSION }
}

fn count_of(line: &[u8]) -> Option<i64> {
    Document::parse(line, RULES).ok()?.root().get("count")?.as_i64()
}

fn is_same(a: &[u8], b: &[u8], rules: Rules) -> bool {
    match (Document::parse(a, rules), Document::parse(b, rules)) {
        (Ok(a), Ok(b)) => same_value(a.root(), b.root()),
        _ => false,
    }
}
