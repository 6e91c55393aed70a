//! What both sides must know at each moment, followed from the bytes alone.
//!
//! The *agreed* version is the lower one of two maxima: of the host's, which its `refresh` tells, and of the agent's,
//! which its heartbeats tell. Absent means 0.
//!
//! The *levels* are the versions at which the agent may be. They change when the agent reads a message, not when the
//! host writes it, so until that must have happened both count:
//!
//! ```text
//! host      api-version 1                                     refresh 2
//! levels    {3}  | {1, 3}  until W1 is over | {1} …            {1} | {1, 2}: some take the value, most only look whether
//!                                                              one is there
//! ```

use std::collections::VecDeque;

use super::timeline::{Act, Pace, Said, Timeline, What};
use crate::message::Offered;
use crate::names::{self, MAX_EVER, NO_VERSION};

/// A set of versions from -1, which stands for all below 0, to [`MAX_EVER`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Levels(u8);

impl Levels {
    /// Every version that an agent may have from before.
    pub(super) const ANY: Self = Self(0b1_1110);

    /// One version.
    pub(super) fn only(version: i64) -> Self {
        Self(1 << (version.clamp(-1, MAX_EVER) + 1))
    }

    /// Every version from that one on.
    fn at_least(min: i64) -> Self {
        (min..=MAX_EVER).fold(Self(0), |all, version| all.or(Self::only(version)))
    }

    pub(super) fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub(super) fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    pub(super) fn has(self, version: i64) -> bool {
        self.0 & Self::only(version).0 != 0
    }

    pub(super) fn iter(self) -> impl Iterator<Item = i64> {
        (-1..=MAX_EVER).filter(move |version| self.has(*version))
    }

    /// The version, where there is only one.
    pub(super) fn certain(self) -> Option<i64> {
        let mut versions = self.iter();
        versions.next().filter(|_| versions.next().is_none())
    }

    pub(super) fn highest(self) -> i64 {
        self.iter().last().unwrap_or(NO_VERSION)
    }

    fn map(self, to: impl Fn(i64) -> Self) -> Self {
        self.iter().fold(Self(0), |all, version| all.or(to(version)))
    }

    pub(super) fn is_empty(self) -> bool {
        self.0 == 0
    }
}

/// What is known before an act.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Moment {
    /// The host's maximum, once it has told it on this connection.
    pub(super) host_max: Option<i64>,
    /// What the agent's last heartbeat said; of one before this connection, if there was none since.
    pub(super) agent_says: Option<i64>,
    /// The most that any heartbeat of this agent process says, in this transcript.
    pub(super) agent_max: Option<i64>,
    /// Where the agent may be.
    pub(super) levels: Levels,
    /// Where it must be once it has read everything that was sent to it.
    pub(super) aim: Levels,
    /// Whether everything that was sent to it must have been read.
    pub(super) settled: bool,
    /// The act with which this connection began.
    pub(super) connected: Option<usize>,
    /// The act with which this agent process began, if that was seen.
    pub(super) started: Option<usize>,
    /// The last `refresh` of this connection.
    pub(super) refreshed: Option<usize>,
    /// The `api-version` since then that was another one than the one before it.
    pub(super) announced: Option<usize>,
    /// The last `api-version` of any connection.
    pub(super) repeated: Option<usize>,
    /// The heartbeat that last said another version than the one before it.
    pub(super) said_otherwise: Option<usize>,
    /// Heartbeats until now, and those of this agent process.
    pub(super) beats: usize,
    /// Heartbeats of this agent process.
    pub(super) own_beats: usize,
}

impl Moment {
    /// The lower one of both maxima; what is not known yet limits nothing.
    pub(super) fn agreed(&self) -> i64 {
        let limit = |max: Option<i64>| max.unwrap_or(MAX_EVER);
        limit(self.host_max).min(limit(self.agent_says))
    }
}

/// A refresh answer, found by its `disks-usage`. The other thread of the agent may speak in the middle of it.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Answer {
    /// Its first act.
    pub(super) first: usize,
    /// Its last act.
    pub(super) last: usize,
    /// Whether `containers` is in it; not known where the other thread sends that too, and only one of both did.
    containers: Option<bool>,
    /// Whether `timezone` is in it.
    timezone: bool,
    /// Whether `os-info` is in it.
    os_info: bool,
    /// Which of [`ALWAYS`] is not in it.
    lacking: Option<&'static str>,
    /// Whether `fqdn` is in it, which the oldest agents have not.
    fqdn: bool,
}

/// What a refresh answer has at every version.
const ALWAYS: [&str; 4] =
    [names::APPLICATIONS, names::HOST_NAME, names::OS_VERSION, names::NETWORK_INTERFACES];

impl Answer {
    /// The versions at which an agent of that maximum answers so.
    pub(super) fn levels(&self, agent_max: i64) -> Levels {
        let fits = |version: i64| {
            let due = |min: i64| version >= min && agent_max >= min;
            let containers = self.containers.is_none_or(|there| due(3) == there);
            containers && due(2) == self.timezone && due(2) == self.os_info
        };
        (-1..=MAX_EVER).filter(|v| fits(*v)).fold(Levels(0), |all, version| all.or(Levels::only(version)))
    }

    /// Which message its version allows is not in it.
    pub(super) fn lacks(&self, version: i64, agent_max: i64) -> Option<&'static str> {
        let lacks = |min: i64, there: bool| version >= min && agent_max >= min && !there;
        [
            (3, self.containers.unwrap_or(true), names::CONTAINERS),
            (2, self.timezone, names::TIMEZONE),
            (2, self.os_info, names::OS_INFO),
        ]
        .into_iter()
        .find(|(min, there, _)| lacks(*min, *there))
        .map(|(_, _, name)| name)
    }

    /// Which message is not in it that is in every answer; `fqdn` only of agents that know it.
    pub(super) fn lacks_always(&self, knows_fqdn: bool) -> Option<&'static str> {
        self.lacking.or_else(|| (knows_fqdn && !self.fqdn).then_some(names::FQDN))
    }

    /// What is in it beside what is in every answer, and what of that is not.
    pub(super) fn words(&self) -> Vec<&'static str> {
        let all = [
            (self.lacking.is_some(), "something missing"),
            (self.fqdn, names::FQDN),
            (self.containers == Some(true), names::CONTAINERS),
            (self.timezone, names::TIMEZONE),
            (self.os_info, names::OS_INFO),
        ];
        all.into_iter().filter(|(there, _)| *there).map(|(_, name)| name).collect()
    }
}

/// A timeline and what is known at each of its acts.
#[derive(Debug)]
pub(super) struct Course<'a> {
    /// What happened.
    pub(super) timeline: &'a Timeline,
    /// What was known before each act, and at the end.
    pub(super) moments: Vec<Moment>,
    /// The refresh answers, in order.
    pub(super) answers: Vec<Answer>,
}

/// What a message of the host does to the level.
#[derive(Debug, Clone, Copy)]
enum Effect {
    /// `refresh` without a version.
    Keyless,
    /// `api-version`.
    Announced(i64),
    /// `refresh` with a version.
    Told(i64),
}

/// Something that was sent and perhaps not read yet.
#[derive(Debug, Clone, Copy)]
struct Pending {
    at_us: u64,
    beats: usize,
    effect: Effect,
    /// It was sent to the agent's process before this one, which has perhaps read it.
    perhaps: bool,
}

impl Pending {
    fn apply(&self, levels: Levels, agent_max: i64) -> Levels {
        let after = self.effect.apply(levels, agent_max);
        if self.perhaps { levels.or(after) } else { after }
    }
}

impl Effect {
    fn of(said: &Said) -> Option<Self> {
        let message = said.message.as_ref()?;
        match (message.name(), &message.version) {
            (names::REFRESH, Offered::Absent) => Some(Self::Keyless),
            (names::REFRESH, Offered::Number(version, _)) => Some(Self::Told(*version)),
            (names::API_VERSION_MESSAGE, Offered::Number(version, _)) => Some(Self::Announced(*version)),
            _ => None,
        }
    }

    fn apply(self, levels: Levels, agent_max: i64) -> Levels {
        levels.map(|level| match self {
            // A level below 0 stays: the test is whether it is above.
            Self::Keyless => Levels::only(level.min(NO_VERSION)),
            // A version below 0 is taken by most as it is.
            Self::Announced(version) if version < NO_VERSION => Levels::only(-1).or(Levels::only(NO_VERSION)),
            Self::Announced(version) => Levels::only(version.min(agent_max)),
            Self::Told(version) => {
                Levels::only(level).or(Levels::only(version.clamp(NO_VERSION, MAX_EVER).min(agent_max)))
            }
        })
    }
}

struct Walker<'a> {
    timeline: &'a Timeline,
    now: Moment,
    /// What was last announced on this connection.
    announced_version: Option<i64>,
    /// Where the agent may be when it has read none of what is pending, the first of it, the first two, and so on.
    states: Vec<Levels>,
    pending: VecDeque<Pending>,
}

impl<'a> Course<'a> {
    /// Follows a timeline.
    pub(super) fn of(timeline: &'a Timeline) -> Self {
        let answers = answers(&timeline.acts);
        let mut walker = Walker::new(timeline);
        let mut moments = Vec::with_capacity(timeline.acts.len() + 1);
        let mut next_answer = answers.iter().peekable();
        for (index, act) in timeline.acts.iter().enumerate() {
            walker.advance(act.at_us);
            moments.push(walker.moment());
            walker.take(index, act);
            while let Some(answer) = next_answer.next_if(|answer| answer.last <= index) {
                walker.narrow(answer);
            }
        }
        walker.advance(timeline.end_us());
        moments.push(walker.moment());
        Self { timeline, moments, answers }
    }

    /// Whether something that began with an act is over at another one: so long after it, and on peers that run
    /// faster than real ones that many heartbeats after it.
    pub(super) fn is_over(&self, since: usize, at: usize, bound_us: u64, beats: usize) -> bool {
        let time =
            |index: usize| self.timeline.acts.get(index).map_or(self.timeline.end_us(), |act| act.at_us);
        let beat = |index: usize| self.moments.get(index).map_or(0, |moment| moment.beats);
        over(
            self.timeline.pace,
            time(at).saturating_sub(time(since)),
            bound_us,
            beat(at) - beat(since).min(beat(at)),
            beats,
        )
    }
}

fn over(pace: Pace, elapsed_us: u64, bound_us: u64, beats: usize, beats_min: usize) -> bool {
    elapsed_us > bound_us && (!pace.is_scaled() || beats >= beats_min)
}

/// How many heartbeats must have come before what is bounded in time is over, on peers faster than real ones.
pub(super) const BEATS: usize = 2;

impl<'a> Walker<'a> {
    fn new(timeline: &'a Timeline) -> Self {
        let (levels, agent_max) = (Levels::ANY, process_max(&timeline.acts));
        let now = Moment { agent_max, levels, aim: levels, settled: true, ..Moment::default() };
        let at_zero = now.agent_max == Some(NO_VERSION) || begins_anew(&timeline.acts);
        let base = if at_zero { Levels::only(NO_VERSION) } else { Levels::ANY };
        Self { timeline, now, announced_version: None, states: vec![base], pending: VecDeque::new() }
    }

    fn moment(&self) -> Moment {
        let levels = self.states.iter().fold(Levels(0), |all, state| all.or(*state));
        let aim = self.states.last().copied().unwrap_or(levels);
        Moment { levels, aim, settled: self.pending.is_empty(), ..self.now }
    }

    /// Whatever must have been read by now has its effect.
    fn advance(&mut self, now_us: u64) {
        let pace = self.timeline.pace;
        while let Some(first) = self.pending.front() {
            let elapsed_us = now_us.saturating_sub(first.at_us);
            if !over(pace, elapsed_us, pace.read_us(), self.now.beats - first.beats, BEATS) {
                break;
            }
            self.read(1);
        }
    }

    /// The first ones of what is pending have been read.
    fn read(&mut self, count: usize) {
        self.pending.drain(..count.min(self.pending.len()));
        self.states.drain(..count.min(self.states.len().saturating_sub(1)));
    }

    /// What the agent says shows where it is. What fits nothing shows nothing: it is found by other means.
    fn shows(&mut self, shown: Levels) {
        let narrowed: Vec<Levels> = self.states.iter().map(|state| state.and(shown)).collect();
        if narrowed.iter().all(|state| state.is_empty()) {
            return;
        }
        self.states = narrowed;
        let agent_max = self.now.agent_max.unwrap_or(MAX_EVER);
        for (at, pending) in self.pending.iter().enumerate() {
            let after = self.states.get(at).map(|state| pending.apply(*state, agent_max));
            if let (Some(next), Some(after)) = (self.states.get_mut(at + 1), after) {
                *next = next.or(after);
            }
        }
    }

    fn take(&mut self, index: usize, act: &Act) {
        match &act.what {
            What::HostConnects => {
                (self.now.host_max, self.now.refreshed, self.now.announced) = (None, None, None);
                self.now.connected = Some(index);
            }
            What::HostLeaves | What::AgentLeaves | What::Called(_) => {}
            What::AgentStarts => {
                self.now.agent_says = None;
                self.now.agent_max = process_max(self.timeline.acts.get(index + 1..).unwrap_or_default());
                self.states = vec![Levels::only(NO_VERSION)];
                for mut pending in std::mem::take(&mut self.pending) {
                    pending.perhaps = true;
                    self.push(pending);
                }
                self.now.started = Some(index);
                (self.now.said_otherwise, self.now.own_beats) = (None, 0);
            }
            What::FromHost(said) => self.hear_host(index, act, said),
            What::FromAgent(said) if said.name() == names::HEARTBEAT => {
                self.now.beats += 1;
                self.now.own_beats += 1;
                let says =
                    said.message.as_ref().map_or(NO_VERSION, |message| heartbeat_version(&message.version));
                if self.now.agent_says.is_some_and(|before| before != says) {
                    self.now.said_otherwise = Some(index);
                }
                self.now.agent_says = Some(says);
            }
            What::FromAgent(said) => {
                let min = names::guest_min(said.name());
                if min > NO_VERSION {
                    self.shows(Levels::at_least(min));
                }
            }
        }
    }

    fn push(&mut self, pending: Pending) {
        let agent_max = self.now.agent_max.unwrap_or(MAX_EVER);
        let last = self.states.last().copied().unwrap_or(Levels::ANY);
        self.states.push(pending.apply(last, agent_max));
        self.pending.push_back(pending);
    }

    fn hear_host(&mut self, index: usize, act: &Act, said: &Said) {
        if said.name() == names::REFRESH {
            let told = said.message.as_ref().map(|message| &message.version);
            self.now.host_max = Some(match told {
                Some(Offered::Number(version, _)) => (*version).clamp(NO_VERSION, MAX_EVER),
                Some(Offered::Absent) | None => NO_VERSION,
                Some(Offered::NoNumber(_) | Offered::Exception) => MAX_EVER,
            });
            (self.now.refreshed, self.now.announced) = (Some(index), None);
            self.announced_version = None;
        } else if said.name() == names::API_VERSION_MESSAGE {
            // The same once more begins no window: a host that repeats itself at every heartbeat excuses nothing.
            let version = said.message.as_ref().and_then(|message| message.version.number());
            if self.now.announced.is_none() || self.announced_version != version {
                self.now.announced = Some(index);
            }
            self.announced_version = version;
            self.now.repeated = Some(index);
        }
        if let Some(effect) = Effect::of(said) {
            self.push(Pending { at_us: act.at_us, beats: self.now.beats, effect, perhaps: false });
        }
    }

    /// An answer shows at which version it was given, and that what it answers has been read: the first that has no
    /// answer yet, since the listener takes its input in order.
    fn narrow(&mut self, answer: &Answer) {
        let cause = self.pending.iter().position(|pending| !pending.perhaps);
        if let Some(at) = cause {
            self.read(at + 1);
        }
        self.shows(answer.levels(self.now.agent_max.unwrap_or(MAX_EVER)));
    }
}

/// Whether an agent's process has just begun: its start burst has the guest's name before the user, answers have it
/// behind.
fn begins_anew(acts: &[Act]) -> bool {
    let first = messages(acts)
        .map(|(_, name)| name)
        .find(|name| [names::HOST_NAME, names::ACTIVE_USER].contains(name));
    first == Some(names::HOST_NAME)
}

/// What a heartbeat's version counts as: text that is no number is 0, and what nobody can convert changes nothing,
/// which for the guest's side is as good as its maximum.
fn heartbeat_version(version: &Offered) -> i64 {
    match version {
        Offered::Number(version, _) => (*version).clamp(NO_VERSION, MAX_EVER),
        Offered::Absent | Offered::NoNumber(_) => NO_VERSION,
        Offered::Exception => MAX_EVER,
    }
}

/// The most that a heartbeat says before the process ends.
fn process_max(acts: &[Act]) -> Option<i64> {
    let own = acts.iter().take_while(|act| !matches!(act.what, What::AgentStarts));
    own.filter_map(|act| match &act.what {
        What::FromAgent(said) if said.name() == names::HEARTBEAT => {
            said.message.as_ref().map(|message| heartbeat_version(&message.version))
        }
        _ => None,
    })
    .max()
}

/// Most messages between the ends of an answer: as many as it has and as many of the other thread.
const SPREAD_MAX: usize = 40;

/// Finds the refresh answers.
fn answers(acts: &[Act]) -> Vec<Answer> {
    let is_disks =
        |act: &Act| matches!(&act.what, What::FromAgent(said) if said.name() == names::DISKS_USAGE);
    let disks = acts.iter().enumerate().filter(|(_, act)| is_disks(act)).map(|(index, _)| index);
    disks.filter_map(|index| answer_around(acts, index)).collect()
}

/// The answer whose `disks-usage` that is; none where it is the periodic one, which has no `active-user` before it.
fn answer_around(acts: &[Act], disks: usize) -> Option<Answer> {
    let mut answer = Answer { first: disks, last: disks, ..Answer::default() };
    let mut seen: Vec<&str> = Vec::new();
    let (mut applications, mut containers) = (0_usize, 0_usize);
    let (mut began, mut beats) = (false, 0_usize);
    for (before, name) in messages(acts.get(..disks)?).rev().take(SPREAD_MAX) {
        match name {
            names::CONTAINERS => containers += 1,
            names::ACTIVE_USER => {
                (answer.first, began) = (before, true);
                break;
            }
            // Behind more than one heartbeat it is the periodic one.
            names::HEARTBEAT if beats > 0 => break,
            names::HEARTBEAT => beats += 1,
            names::DISKS_USAGE | END => break,
            _ => {
                applications += usize::from(name == names::APPLICATIONS);
                seen.push(name);
            }
        }
    }
    answer.lacking = ALWAYS.into_iter().find(|name| !seen.contains(name));
    if answer.lacking.is_some() {
        // The start burst has an `active-user` too: where both overlap, the answer began before the nearest.
        let before = messages(acts.get(..answer.first)?).rev().take(SPREAD_MAX);
        let before: Vec<&str> = before.map(|(_, name)| name).take_while(|name| *name != END).collect();
        if before.contains(&names::ACTIVE_USER) {
            seen.extend(before);
            answer.lacking = ALWAYS.into_iter().find(|name| !seen.contains(name));
        }
    }
    // Each of both threads sends `containers` right behind its `applications`, or does not.
    answer.containers = match containers {
        0 => Some(false),
        _ if containers >= applications => Some(true),
        _ => None,
    };
    for (behind, name) in messages(acts.get(disks + 1..)?).take(SPREAD_MAX) {
        match name {
            names::FQDN if answer.last == disks => answer.fqdn = true,
            names::TIMEZONE => answer.timezone = true,
            // One without the other is of the other thread.
            names::OS_INFO if answer.timezone => answer.os_info = true,
            // What the listener does next, or an end.
            names::ACTIVE_USER
            | names::SESSION_STARTUP
            | names::DISKS_USAGE
            | names::ECHO
            | names::COMPLETION
            | END => break,
            _ => continue,
        }
        answer.last = disks + 1 + behind;
        if answer.os_info {
            break;
        }
    }
    began.then_some(answer)
}

/// What stands for the end of an agent's process or of a connection among the names of messages.
const END: &str = "\n";

/// Names of what an agent said, with their places, up to where its process or its host was replaced.
fn messages(acts: &[Act]) -> impl DoubleEndedIterator<Item = (usize, &str)> {
    acts.iter().enumerate().filter_map(|(index, act)| match &act.what {
        What::FromAgent(said) => Some((index, said.name())),
        What::FromHost(_) | What::Called(_) => None,
        // An end of what is looked at.
        _ => Some((index, END)),
    })
}
