//! The agent, as merged: one thread reads, one works.
//!
//! ```text
//! listener   read -> line -> command -> answers          A changes here, and nowhere else
//! worker     start burst, then one pass per second:
//!            heartbeat, active-user, applications [containers] host-name os-version network-interfaces fqdn,
//!            disks-usage, number-of-cpus: each when it is due
//! ```
//!
//! Both threads write to the port as they please. A message is looked at by the gate when its thread comes to it;
//! the write behind may have to wait for a host. So both threads are pulled: [`Agent::worker_next`] and
//! [`Agent::listener_next`] give the next message that has passed the gate, and whoever runs the machine writes it, waits
//! as long as it takes, and pulls again.

use std::collections::{BTreeMap, VecDeque};

use wire::json::{Document, Kind, Value};

use protocol::defect::Switches;

use crate::defects::{self, Fault};
use crate::dialect::{AgentFacts, FirstHeartbeat, RefreshValue};
use crate::message::{self, APPLICATION_PERIOD, Kept, Name, Offered, REFRESH_ANSWER, RULES, START_BURST};
use crate::names::{self as n, API_VERSION, MAX_EVER, NAME, NO_VERSION};

/// How many rounds late the gate is with a defect.
const LATE_ROUNDS: usize = 5;

/// Which thread of the agent a message comes from: within one their order is fixed, between two it is not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Thread {
    /// Reads and answers.
    Listener,
    /// Works once a second.
    Worker,
}

/// A message that has passed the gate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Sent {
    /// Whose it is.
    pub thread: Thread,
    /// Its name.
    pub name: &'static str,
    /// The whole line.
    pub line: Vec<u8>,
}

/// After how many passes of the worker something is due again.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Rates {
    /// heartbeat.
    pub heartbeat: u32,
    /// applications and what goes with them.
    pub applications: u32,
    /// disks-usage.
    pub disks: u32,
    /// number-of-cpus.
    pub cpus: u32,
}

impl Rates {
    /// As the agent's packages have it: 5 s, 120 s, 300 s, 60 s.
    #[cfg(test)]
    pub(crate) const DEFAULT: Self = Self { heartbeat: 5, applications: 120, disks: 300, cpus: 60 };
    /// As the recordings have it: 1 s, 6 s, 300 s, 4 s.
    #[cfg(test)]
    pub(crate) const RECORDED: Self = Self { heartbeat: 1, applications: 6, disks: 300, cpus: 4 };
    /// Of the reference agent: heartbeat and pass in the proportion of the packages, what has a level more often, so
    /// that a short scenario shows it.
    pub(crate) const REFERENCE: Self = Self { heartbeat: 5, applications: 10, disks: 60, cpus: 5 };
}

/// What the guest around the agent is like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Guest {
    /// Whether there are directories of hooks for lifecycle events.
    pub hooks: bool,
    /// How many processors it has.
    pub cpus: u32,
}

impl Default for Guest {
    fn default() -> Self {
        Self { hooks: true, cpus: 2 }
    }
}

/// Something that the listener has still to send.
#[derive(Debug, Clone)]
enum Due {
    Named(&'static str),
    /// echo, with its members as JSON.
    Echo(Vec<(String, String)>),
    /// completion, with the `reply_id` as JSON.
    Completion(String),
    /// What no agent says.
    Error(String),
}

/// The process of an agent.
#[derive(Debug, Clone, Default)]
pub(crate) struct Agent {
    facts: AgentFacts,
    switches: Switches,
    rates: Rates,
    guest: Guest,
    /// A.
    version: i64,
    /// A host has told its version since the process began.
    told: bool,
    first_heartbeat: bool,
    user_told: bool,
    passes: u64,
    buffer: Vec<u8>,
    /// How much of the buffer is known to hold no end of a line.
    searched: usize,
    /// The connection from which the bytes in the buffer came.
    buffer_from: u64,
    /// The connection on which the last version came.
    heard: Option<u64>,
    listener: VecDeque<Due>,
    worker: VecDeque<&'static str>,
    /// What the gate said of the worker's messages when they were looked at, for the defect of that name.
    looked_at: BTreeMap<&'static str, VecDeque<bool>>,
    unknown: Vec<String>,
}

impl Agent {
    /// Starts the process; its start burst is due.
    pub(crate) fn start(facts: AgentFacts, switches: Switches, rates: Rates, guest: Guest) -> Self {
        let facts = defects::with_faults(facts, &switches, FAULTS);
        let mut agent = Self { facts, switches, rates, guest, first_heartbeat: true, ..Self::default() };
        agent.worker = START_BURST.into_iter().filter(|name| agent.has_to_say(name)).collect();
        agent
    }

    /// A.
    #[cfg(test)]
    pub(crate) fn version(&self) -> i64 {
        self.version
    }

    /// G; absence counts as 0.
    #[cfg(test)]
    pub(crate) fn max(&self) -> i64 {
        self.facts.max_or_none()
    }

    /// Its facts, with the faults that are switched on.
    pub(crate) fn facts(&self) -> &AgentFacts {
        &self.facts
    }

    /// What it called an unknown command.
    #[cfg(test)]
    pub(crate) fn unknown(&self) -> &[String] {
        &self.unknown
    }

    /// The next pass of the worker begins.
    pub(crate) fn begin_pass(&mut self) {
        self.passes += 1;
        let due = |rate: u32| self.passes.is_multiple_of(u64::from(rate.max(1)));
        let work: [(u32, &[&'static str]); 4] = [
            (self.rates.heartbeat, &[n::HEARTBEAT]),
            (self.rates.applications, &APPLICATION_PERIOD),
            (self.rates.disks, &[n::DISKS_USAGE]),
            (self.rates.cpus, &[n::NUMBER_OF_CPUS]),
        ];
        let work = work.into_iter().filter(|(rate, _)| due(*rate)).flat_map(|(_, names)| names);
        self.worker.extend(work.filter(|name| **name != n::FQDN || self.facts.fqdn_periodic));
    }

    /// The worker's next message that passes the gate; none when the burst or pass is done. `connection` counts the
    /// hosts that have connected to the port.
    pub(crate) fn worker_next(&mut self, connection: u64) -> Option<Sent> {
        loop {
            let name = self.worker.pop_front()?;
            if name == n::ACTIVE_USER && std::mem::replace(&mut self.user_told, true) {
                continue;
            }
            // The heartbeat of a process that may not send it is still its first one.
            let first = name == n::HEARTBEAT && std::mem::replace(&mut self.first_heartbeat, false);
            let passes = self.passes_gate(name, connection);
            if self.looked_at_before(name, passes) {
                let line = self.line(name, first);
                return Some(Sent { thread: Thread::Worker, name, line });
            }
        }
    }

    /// What the gate says; with a defect what it said some rounds before.
    fn looked_at_before(&mut self, name: &'static str, passes: bool) -> bool {
        if !self.switches.has(defects::GATE_BEFORE_WAIT) {
            return passes;
        }
        let before = self.looked_at.entry(name).or_default();
        before.push_back(passes);
        if before.len() > LATE_ROUNDS { before.pop_front().unwrap_or(passes) } else { passes }
    }

    /// Bytes were read that a host had written over a connection of this number.
    pub(crate) fn read(&mut self, connection: u64, bytes: &[u8]) {
        if connection != self.buffer_from {
            self.buffer_from = connection;
            if !self.facts.keeps_half_line {
                self.buffer.clear();
                self.searched = 0;
            }
        }
        self.buffer.extend_from_slice(bytes);
    }

    /// The host has closed its end of the port.
    pub(crate) fn host_gone(&mut self) {
        if self.switches.has(defects::FORGETS_ON_DISCONNECT) {
            self.version = NO_VERSION;
        }
    }

    /// The listener's next message; none when it has to read. Lines are carried out one by one, each when all that the
    /// one before had to say is out.
    pub(crate) fn listener_next(&mut self, connection: u64) -> Option<Sent> {
        loop {
            while let Some(due) = self.listener.pop_front() {
                if let Some(sent) = self.say(due, connection) {
                    return Some(sent);
                }
            }
            let Some(found) = self.buffer[self.searched..].iter().position(|byte| *byte == b'\n') else {
                self.searched = self.buffer.len();
                return None;
            };
            let end = self.searched + found;
            self.searched = 0;
            let line: Vec<u8> = self.buffer.drain(..=end).collect();
            self.carry_out(line.strip_suffix(b"\n").unwrap_or(&line));
        }
    }

    /// Whether a message that has had to wait for a host may still go out. Real agents do not ask again.
    pub(crate) fn may_still(&self, sent: &Sent, connection: u64) -> bool {
        self.facts.gate_before_wait || self.passes_gate(sent.name, connection)
    }

    fn say(&mut self, due: Due, connection: u64) -> Option<Sent> {
        let name = match &due {
            Due::Named(name) => *name,
            Due::Echo(_) => n::ECHO,
            Due::Completion(_) => n::COMPLETION,
            Due::Error(_) => "error",
        };
        let free = matches!(due, Due::Error(_))
            || (name == n::COMPLETION && self.switches.has(defects::COMPLETES_AT_ANY_LEVEL));
        if !free && !self.passes_gate(name, connection) {
            return None;
        }
        let line = match due {
            Due::Named(name) => {
                self.user_told |= name == n::ACTIVE_USER;
                self.line(name, false)
            }
            Due::Echo(members) => {
                let members: Vec<_> =
                    members.iter().map(|(name, value)| (name.as_str(), value.clone())).collect();
                message::line(n::ECHO, &members, false)
            }
            Due::Completion(id) => {
                let other = self.switches.has(defects::COMPLETION_OTHER_ID);
                let id = if other { "\"00000000-0000-0000-0000-000000000000\"".to_owned() } else { id };
                message::line(n::COMPLETION, &[("reply_id", id), ("done", "true".to_owned())], false)
            }
            Due::Error(what) => message::line("error", &[("unknown", message::text(&what))], false),
        };
        Some(Sent { thread: Thread::Listener, name, line })
    }

    /// Whether the gate lets a message through. A name that is not in the table is never sent.
    fn passes_gate(&self, name: &str, connection: u64) -> bool {
        let Some(mut min) = self.facts.sends_from(name) else { return false };
        if self.switches.has(defects::WRONG_MINIMUM) && name == n::CONTAINERS {
            min = 2;
        }
        let trusted = self.facts.trusts_old_level || self.heard == Some(connection);
        let mut level = if trusted { self.version } else { self.version.min(NO_VERSION) };
        if self.switches.has(defects::GATE_TOO_WIDE) {
            level += 1;
        }
        if self.switches.has(defects::GATE_TOO_NARROW) && min > 0 {
            level -= 1;
        }
        message::passes(min, level)
    }

    /// Whether a message belongs to start and refresh of this release at all.
    fn has_to_say(&self, name: &str) -> bool {
        self.facts.sends.contains_key(name) && (name != n::SESSION_STARTUP || self.facts.session_startup)
    }

    fn answer_refresh(&mut self) {
        let left_out = self.switches.has(defects::LEAVES_OUT);
        let says = |name: &&'static str| self.has_to_say(name) && !(left_out && *name == n::HOST_NAME);
        let answer: Vec<_> = REFRESH_ANSWER.into_iter().filter(says).collect();
        self.listener.extend(answer.into_iter().map(Due::Named));
    }

    /// Carries out one line, without its line feed.
    fn carry_out(&mut self, line: &[u8]) {
        // What is no UTF-8, no JSON or no object is dropped without a word.
        let Ok(document) = Document::parse(line, RULES) else { return };
        let command = document.root();
        if command.kind() != Kind::Object {
            return;
        }
        let name = match Name::of(command) {
            Name::Missing => return,
            Name::Text(name) if name.is_empty() => return,
            Name::Odd(raw) if raw == "null" => return,
            Name::Text(name) => name,
            Name::Odd(raw) => return self.note_unknown(raw),
        };
        match name.as_str() {
            known if !self.facts.understands.contains(known) => self.note_unknown(name),
            n::REFRESH => self.refresh(command),
            n::API_VERSION_MESSAGE => self.api_version(command),
            n::ECHO => self.echo(command),
            n::SET_NUMBER_OF_CPUS => {
                let asked = command.get("count").is_some_and(above_zero);
                self.listener.extend(asked.then_some(Due::Named(n::NUMBER_OF_CPUS)));
            }
            n::LIFECYCLE_EVENT => self.lifecycle_event(command),
            // The others run programs of the guest, which a model has none of.
            _ => {}
        }
    }

    fn note_unknown(&mut self, name: String) {
        if self.switches.has(defects::ANSWERS_UNKNOWN) {
            self.listener.push_back(Due::Error(name.clone()));
        }
        self.unknown.push(name);
    }

    /// The version that a command carries, as this agent reads it.
    fn offered(&self, command: Value<'_>) -> Offered {
        let first = self.switches.has(defects::FIRST_MEMBER_WINS);
        Offered::told_by(command, first, self.switches.has(defects::TOO_STRICT))
    }

    fn refresh(&mut self, command: Value<'_>) {
        if self.facts.max.is_some() {
            match (self.offered(command), self.facts.refresh_value) {
                (Offered::Absent, _) => {
                    // A negative version stays: the test of all releases is "above 0".
                    let keeps = self.switches.has(defects::IGNORES_KEYLESS_REFRESH);
                    self.hear(if keeps { self.version } else { self.version.min(NO_VERSION) });
                }
                (Offered::Number(told, _), RefreshValue::Taken) => self.hear(self.limited(told)),
                (_, RefreshValue::Ignored | RefreshValue::Taken) => {}
            }
        }
        self.answer_refresh();
    }

    fn api_version(&mut self, command: Value<'_>) {
        let Offered::Number(told, _) = self.offered(command) else { return };
        let before = self.version;
        self.hear(self.limited(told));
        if self.version != before && self.facts.answers_after_change {
            self.answer_refresh();
        }
    }

    /// A host has told a version, which comes to this one here.
    fn hear(&mut self, version: i64) {
        self.told = true;
        self.heard = Some(self.buffer_from);
        self.version = version;
    }

    /// min(told, G), and not below 0 where the release has that limit.
    fn limited(&self, told: i64) -> i64 {
        let max = self.facts.max_or_none();
        if self.switches.has(defects::TAKES_HIGHER) {
            return max;
        }
        let limited = told.min(max);
        if self.facts.clamps_below { limited.max(NO_VERSION) } else { limited }
    }

    fn echo(&mut self, command: Value<'_>) {
        // Deeper than its limit the writer runs into the limit of its interpreter, logs that and says nothing.
        let rules = wire::json::Rules { depth_max: self.facts.echo_depth_max, ..RULES };
        if Document::parse(command.raw(), rules).is_err() {
            return;
        }
        let change = |text: &str| {
            if self.facts.filters { message::filter(text, false) } else { text.to_owned() }
        };
        let mut members: Vec<(String, String)> = Vec::new();
        for (name, value) in command.members().filter(|(name, _)| name != NAME) {
            let (name, value) = (change(&name), message::rewrite(value.raw(), &change));
            members.retain(|(known, _)| *known != name);
            members.push((name, value));
        }
        self.listener.push_back(Due::Echo(members));
    }

    fn lifecycle_event(&mut self, command: Value<'_>) {
        let kind = command.get("type");
        let name = kind.and_then(|kind| kind.text().map(|text| text.into_owned()));
        // The type is used as the name of a method: what is no text, no ASCII or the name of another method raises.
        let raises = match &name {
            Some(name) => !name.is_ascii() || name.starts_with('_') || name == "dispatch",
            None => kind.is_some_and(|kind| kind.kind() != Kind::Null),
        };
        let hooked = name.is_some_and(|name| LIFECYCLE_TYPES.contains(&name.as_str()));
        let fails = hooked && !self.guest.hooks;
        if (raises || fails) && !self.facts.completes_whatever_happens {
            return;
        }
        if let Some(id) = command.get("reply_id") {
            let id = message::rewrite(id.raw(), &|text| message::filter(text, false));
            let times = if self.switches.has(defects::COMPLETES_TWICE) { 2 } else { 1 };
            self.listener.extend(std::iter::repeat_n(Due::Completion(id), times));
        }
    }

    fn line(&mut self, name: &'static str, first: bool) -> Vec<u8> {
        let members = match name {
            n::HEARTBEAT => self.heartbeat(first),
            n::HOST_NAME => vec![("name", message::text("guest"))],
            n::OS_VERSION => vec![("version", message::text("6.1.0-generic"))],
            n::NETWORK_INTERFACES => vec![("interfaces", INTERFACES.to_owned())],
            n::APPLICATIONS => vec![("applications", "[\"kernel-6.1.0\", \"ovirt-guest-agent\"]".to_owned())],
            n::ACTIVE_USER => vec![("name", message::text("None"))],
            n::DISKS_USAGE => {
                let mapping = self.facts.mapping.then_some(("mapping", MAPPING.to_owned()));
                [("disks", DISKS.to_owned())].into_iter().chain(mapping).collect()
            }
            n::FQDN => vec![("fqdn", message::text("guest.example.org"))],
            n::NUMBER_OF_CPUS => vec![("count", self.guest.cpus.to_string())],
            n::OS_INFO => OS_INFO.iter().map(|(name, value)| (*name, message::text(value))).collect(),
            n::TIMEZONE => vec![("zone", message::text("Etc/UTC")), ("offset", "0".to_owned())],
            n::CONTAINERS => vec![("list", "[]".to_owned())],
            _ => Vec::new(),
        };
        message::line(name, &members, false)
    }

    fn heartbeat(&self, first: bool) -> Vec<(&'static str, String)> {
        let swap = if self.facts.swap_space { r#", "swap_total": 0, "swap_usage": 0"# } else { "" };
        let buffers = if self.facts.buffers { r#", "mem_buffers": 64000, "mem_cached": 256000"# } else { "" };
        let stat = format!("{{{MEMORY}{swap}{buffers}}}");
        let mut members = vec![("free-ram", message::text("1000")), ("memory-stat", stat)];
        if let Some(max) = self.facts.max.filter(|_| !self.switches.has(defects::TELLS_NONE)) {
            let zero = first
                && match self.facts.first_heartbeat {
                    FirstHeartbeat::Max => false,
                    FirstHeartbeat::Zero => true,
                    FirstHeartbeat::ZeroUnlessTold => !self.told,
                };
            let told = if zero { NO_VERSION } else { max.min(MAX_EVER) };
            members.push((API_VERSION, told.to_string()));
        }
        members
    }
}

/// Faults that are facts of other releases.
const FAULTS: &[Fault<AgentFacts>] = &[
    (defects::NO_FORCED_ZERO, |facts| facts.first_heartbeat = FirstHeartbeat::Max),
    (defects::IGNORES_REFRESH_VALUE, ignore_refresh_value),
    (defects::FORGETS_ON_DISCONNECT, ignore_refresh_value),
    (defects::IGNORES_KEYLESS_REFRESH, |facts| facts.trusts_old_level = true),
    (defects::NO_LOWER_LIMIT, |facts| facts.clamps_below = false),
    (defects::KEEPS_HALF_LINE, |facts| facts.keeps_half_line = true),
    (defects::GATE_BEFORE_WAIT, |facts| (facts.gate_before_wait, facts.trusts_old_level) = (true, true)),
    (defects::NO_ANSWER_AFTER_CHANGE, |facts| facts.answers_after_change = false),
];

fn ignore_refresh_value(facts: &mut AgentFacts) {
    (facts.refresh_value, facts.trusts_old_level) = (RefreshValue::Ignored, true);
}

/// Whether Python 2 orders a value above the number 0: every text and every list is, null is not.
fn above_zero(count: Value<'_>) -> bool {
    match Offered::of(Some(count)) {
        Offered::Number(_, Kept::Text(_)) | Offered::NoNumber(Kept::Text(_)) => true,
        Offered::Number(_, Kept::Fraction(number)) => number > 0.0,
        Offered::Number(number, _) => number > 0,
        Offered::NoNumber(_) | Offered::Absent => false,
        Offered::Exception => count.kind() != Kind::Null,
    }
}

/// What a heartbeat tells of the memory in any release.
const MEMORY: &str = concat!(
    r#""mem_total": 2048000, "mem_free": 1024000, "mem_unused": 512000, "swap_in": 0, "swap_out": 0, "#,
    r#""pageflt": 12, "majflt": 0"#
);
/// The types of lifecycle events for which there are hooks.
const LIFECYCLE_TYPES: [&str; 4] =
    ["before_migration", "after_migration", "before_hibernation", "after_hibernation"];
const INTERFACES: &str =
    r#"[{"name": "eth0", "hw": "52:54:00:12:34:56", "inet": ["192.0.2.7"], "inet6": []}]"#;
const DISKS: &str = r#"[{"path": "/", "fs": "ext4", "total": 10000000, "used": 4000000}]"#;
const MAPPING: &str = r#"{"0": {"name": "/dev/vda"}}"#;
const OS_INFO: [(&str, &str); 6] = [
    ("version", "12"),
    ("distribution", "Debian"),
    ("codename", "bookworm"),
    ("arch", "x86_64"),
    ("type", "linux"),
    ("kernel", "6.1.0-generic"),
];
