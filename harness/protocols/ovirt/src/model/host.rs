//! The host, as merged: a callback that gets what one read gave, and calls of its own API.
//!
//! ```text
//! connected    buffer and flag cleared, refresh sent at once; E stays
//! read         bytes -> lines -> messages; a heartbeat may be answered with api-version
//! call         passes the gate or is refused here, with nothing on the wire
//! ```

use std::collections::VecDeque;

use wire::json::{Document, Kind, Rules, Value};

use protocol::defect::Switches;

use crate::defects::{self, Fault};
use crate::dialect::{Announces, HostFacts, RestOfChunk, Stores};
use crate::message::{self, Kept, Name, Offered, RULES};
use crate::names::{self as n, API_VERSION, NO_VERSION};

/// Most bytes that a host takes in one read.
#[cfg(test)]
pub(crate) const READ_LEN_MAX: usize = 64 << 10;
/// How many messages back a host looks for the sign of a refresh answer.
const RECENT: usize = 3;

/// A call of the host's own API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Call {
    /// Name of the message.
    pub name: &'static str,
    /// Its arguments, as JSON.
    pub arguments: Vec<(&'static str, String)>,
}

impl Call {
    /// Asks for a number of processors.
    pub(crate) fn set_number_of_cpus(count: u32) -> Self {
        Self { name: n::SET_NUMBER_OF_CPUS, arguments: vec![("count", count.to_string())] }
    }

    /// Tells of something; `reply_id` where a completion is wanted, `failure` behind something that failed.
    pub(crate) fn lifecycle(kind: &str, reply_id: Option<&str>, failure: bool) -> Self {
        let mut arguments = vec![("type", message::text(kind))];
        arguments.extend(reply_id.map(|id| ("reply_id", message::text(id))));
        arguments.extend(failure.then(|| ("failure", "true".to_owned())));
        Self { name: n::LIFECYCLE_EVENT, arguments }
    }
}

/// Why a call puts nothing on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refused {
    /// The release has no such call.
    NoSuchCall,
    /// The version in force is too low.
    Gate,
    /// Nobody is connected.
    NotConnected,
}

/// The host ran into an error that its loop does not expect.
struct Stumbled;

/// The process of a host.
#[derive(Debug, Clone, Default)]
pub(crate) struct Host {
    facts: HostFacts,
    switches: Switches,
    /// E.
    version: Kept,
    connected: bool,
    /// It could not even send a refresh: it is connected, and neither sends nor reads for ever.
    dead: bool,
    buffer: Vec<u8>,
    too_big: bool,
    /// A connection or an agent is new, and nothing was announced since.
    negotiating: bool,
    recent: VecDeque<String>,
    /// The limited value of the last heartbeat.
    last_told: Option<i64>,
    /// The version is not raised before the heartbeat says something else.
    forgot: bool,
    unknown: Vec<String>,
    stumbled: usize,
    fqdn: Option<String>,
    completions: Vec<String>,
}

impl Host {
    /// Starts the process, with the version that a migration has handed over, if it has.
    pub(crate) fn start(facts: HostFacts, switches: Switches, handed_over: Option<i64>) -> Self {
        let facts = defects::with_faults(facts, &switches, FAULTS);
        let max = facts.max_or_none();
        let handed_over = handed_over.filter(|_| facts.hand_over && facts.max.is_some());
        let version = handed_over.map_or(NO_VERSION, |version| version.min(max));
        let version = Kept::Number(version);
        Self { facts, switches, version, negotiating: true, ..Self::default() }
    }

    /// E; none for a release without versioning.
    pub(crate) fn version(&self) -> Option<&Kept> {
        self.facts.max.map(|_| &self.version)
    }

    /// H; absence counts as 0.
    pub(crate) fn max(&self) -> i64 {
        self.facts.max_or_none()
    }

    /// Its facts, with the faults that are switched on.
    pub(crate) fn facts(&self) -> &HostFacts {
        &self.facts
    }

    /// What it called an unknown message.
    #[cfg(test)]
    pub(crate) fn unknown(&self) -> &[String] {
        &self.unknown
    }

    /// How often it ran into an error that its loop does not expect.
    #[cfg(test)]
    pub(crate) fn stumbled(&self) -> usize {
        self.stumbled
    }

    /// The full name of the guest, as it was stored since the last look.
    #[cfg(test)]
    pub(crate) fn take_fqdn(&mut self) -> Option<String> {
        self.fqdn.take()
    }

    /// The completions that came, as the JSON of their ids.
    pub(crate) fn completions(&self) -> &[String] {
        &self.completions
    }

    /// Whether it is connected and neither sends nor reads any more.
    pub(crate) fn is_dead(&self) -> bool {
        self.dead
    }

    /// It has connected: what it sends at once.
    pub(crate) fn connect(&mut self) -> Option<Vec<u8>> {
        self.connected = true;
        self.buffer.clear();
        self.too_big = false;
        self.recent.clear();
        self.negotiating = true;
        if self.switches.has(defects::FORGETS_ON_RECONNECT) && self.last_told.is_some() {
            self.version = Kept::Number(NO_VERSION);
            self.forgot = true;
        }
        if self.facts.max.is_some() && self.version.is_below(self.facts.sends_from(n::REFRESH)) {
            self.dead = true;
            return None;
        }
        let version = self.facts.max.filter(|_| self.facts.tells_version);
        let members: Vec<_> = version.map(|max| (API_VERSION, max.to_string())).into_iter().collect();
        Some(message::line(n::REFRESH, &members, self.facts.arguments_first))
    }

    /// The connection has ended.
    pub(crate) fn disconnect(&mut self) {
        self.connected = false;
        self.dead = false;
    }

    /// One read gave these bytes: what it sends because of them.
    pub(crate) fn read(&mut self, chunk: &[u8]) -> Vec<Vec<u8>> {
        let mut sends = Vec::new();
        if self.dead || !self.connected {
            return sends;
        }
        let mut rest = chunk;
        if self.too_big {
            let Some(end) = memchr::memchr(b'\n', rest) else { return sends };
            if self.switches.has(defects::STAYS_TOO_BIG) {
                return sends;
            }
            rest = rest.get(end + 1..).unwrap_or(&[]);
            self.too_big = false;
        }
        self.buffer.extend_from_slice(rest);
        let mut read = std::mem::take(&mut self.buffer);
        let end = memchr::memrchr(b'\n', &read).map_or(0, |at| at + 1);
        let unfinished = read.split_off(end);
        for line in read.split_inclusive(|byte| *byte == b'\n') {
            let line = line.strip_suffix(b"\n").unwrap_or(line);
            if self.take_line(line, &mut sends).is_err() {
                self.stumbled += 1;
                if self.facts.rest_of_chunk == RestOfChunk::Lost {
                    return sends;
                }
            }
        }
        self.buffer = unfinished;
        if self.buffer.len() >= self.facts.line_max {
            self.buffer.clear();
            self.too_big = true;
        }
        sends
    }

    /// Somebody calls the host's API.
    ///
    /// # Errors
    /// Nothing goes out, and why.
    pub(crate) fn call(&self, call: &Call) -> Result<Vec<u8>, Refused> {
        if !self.connected || self.dead {
            return Err(Refused::NotConnected);
        }
        if !self.facts.sends.contains_key(call.name) {
            return Err(Refused::NoSuchCall);
        }
        let mut min = self.facts.sends_from(call.name);
        if self.switches.has(defects::HOST_WRONG_MINIMUM) && call.name == n::LIFECYCLE_EVENT {
            min = 1;
        }
        if self.switches.has(defects::HOST_GATE_TOO_WIDE) {
            min -= 1;
        }
        if self.switches.has(defects::HOST_GATE_TOO_NARROW) && min > 0 {
            min += 1;
        }
        if self.facts.max.is_some() && self.version.is_below(min) {
            return Err(Refused::Gate);
        }
        Ok(message::line(call.name, &call.arguments, self.facts.arguments_first))
    }

    /// One line, without its line feed.
    fn take_line(&mut self, line: &[u8], sends: &mut Vec<Vec<u8>>) -> Result<(), Stumbled> {
        // Bad bytes are replaced before anything else.
        let text = String::from_utf8_lossy(line);
        if self.facts.digits_max.is_some_and(|max| longest_number(&text) > max) {
            return Ok(());
        }
        let rules = Rules { depth_max: self.facts.depth_max, ..RULES };
        let document = match Document::parse(text.as_bytes(), rules) {
            Ok(document) => document,
            // Too deep is an error of the interpreter; all else is logged.
            Err(_) if depth(&text) > self.facts.depth_max => return Err(Stumbled),
            Err(_) => return Ok(()),
        };
        let value = document.root();
        if value.kind() != Kind::Object {
            return Err(Stumbled);
        }
        let name = match Name::of(value) {
            Name::Missing => return Err(Stumbled),
            Name::Text(name) if self.facts.understands.contains(name.as_str()) => name,
            Name::Text(name) | Name::Odd(name) => {
                if self.switches.has(defects::HOST_ANSWERS_UNKNOWN) {
                    let what = [("unknown", message::text(&name))];
                    sends.push(message::line("error", &what, self.facts.arguments_first));
                }
                self.unknown.push(name);
                return Ok(());
            }
        };
        self.notice_start(&name);
        if name == n::HEARTBEAT {
            return self.heartbeat(value, sends);
        }
        self.store(&name, value)
    }

    /// An agent that starts says its name first; in answers and passes the applications stand before it.
    fn notice_start(&mut self, name: &str) {
        let in_answer = self.recent.iter().any(|recent| recent == n::APPLICATIONS || recent == n::CONTAINERS);
        if name == n::HOST_NAME && !in_answer {
            self.negotiating = true;
        }
        if self.recent.len() == RECENT {
            self.recent.pop_front();
        }
        self.recent.push_back(name.to_owned());
    }

    /// What of a message is looked at closely enough to stumble over it.
    fn store(&mut self, name: &str, value: Value<'_>) -> Result<(), Stumbled> {
        let argument = |argument: &str| value.get(argument).ok_or(Stumbled);
        let is_list_of = |list: Value<'_>, fits: fn(Value<'_>) -> bool| {
            list.kind() == Kind::Array && list.items().all(fits)
        };
        let whole = match name {
            n::FQDN => {
                let text = argument("fqdn")?.text().unwrap_or_default();
                self.fqdn = Some(message::filter(&text, self.facts.loses_astral));
                true
            }
            n::HOST_NAME | n::ACTIVE_USER => argument("name").is_ok(),
            n::OS_VERSION => argument("version").is_ok(),
            n::APPLICATIONS => {
                !(argument("applications")?.is_null() && self.facts.stumbles_over_null_applications)
            }
            n::NETWORK_INTERFACES => is_list_of(argument("interfaces")?, |one| one.kind() == Kind::Object),
            n::DISKS_USAGE => is_list_of(argument("disks")?, |disk| {
                disk.get("total").is_some() && disk.get("used").is_some()
            }),
            n::NUMBER_OF_CPUS => Offered::of(Some(argument("count")?)) != Offered::Exception,
            n::COMPLETION => {
                let id = argument("reply_id")?;
                self.completions.push(String::from_utf8_lossy(id.raw()).into_owned());
                true
            }
            _ => true,
        };
        if whole { Ok(()) } else { Err(Stumbled) }
    }

    fn heartbeat(&mut self, value: Value<'_>, sends: &mut Vec<Vec<u8>>) -> Result<(), Stumbled> {
        match Offered::of(value.get("free-ram")) {
            Offered::Absent | Offered::Exception => return Err(Stumbled),
            // A value error is logged, and the line is done with.
            Offered::NoNumber(_) => return Ok(()),
            Offered::Number(..) => {}
        }
        match value.get("memory-stat").map(Value::kind) {
            None | Some(Kind::Object) => {}
            Some(Kind::Array) if !self.facts.stumbles_over_memory_list => {}
            Some(_) => return Err(Stumbled),
        }
        if self.facts.max.is_none() {
            return Ok(());
        }
        let (told, kept) = match self.offered(value) {
            Offered::Exception => return Err(Stumbled),
            Offered::Absent => {
                if !self.switches.has(defects::IGNORES_KEYLESS_HEARTBEAT) {
                    self.version = Kept::Number(NO_VERSION);
                    self.last_told = Some(NO_VERSION);
                }
                return Ok(());
            }
            Offered::NoNumber(kept) => (NO_VERSION, kept),
            Offered::Number(told, kept) => (told, kept),
        };
        sends.extend(self.negotiate(told, kept));
        Ok(())
    }

    /// The version that a heartbeat carries, as this host reads it.
    fn offered(&self, heartbeat: Value<'_>) -> Offered {
        let first = self.switches.has(defects::HOST_FIRST_MEMBER_WINS);
        Offered::told_by(heartbeat, first, self.switches.has(defects::HOST_TOO_STRICT))
    }

    /// A heartbeat has told a version: the announcement, if there is one.
    fn negotiate(&mut self, told: i64, kept: Kept) -> Option<Vec<u8>> {
        let on = |name| self.switches.has(name);
        let max = self.max();
        let limited =
            if on(defects::HOST_TAKES_HIGHER) { told.max(max) } else { message::lower_of(told, max) };
        let same_as_before = self.last_told.replace(limited) == Some(limited);
        if self.forgot && same_as_before {
            return None;
        }
        self.forgot = false;
        let changed = !self.version.is(limited);
        if changed {
            self.version = match self.facts.stores {
                Stores::Raw => kept,
                Stores::Min if told < 0 && on(defects::HOST_NO_LOWER_LIMIT) => kept,
                Stores::Min => Kept::Number(limited),
            };
        }
        let anew = self.negotiating && self.facts.announces == Announces::OnNegotiation;
        // 0 is never announced, and a negotiation that ends there goes on with the next heartbeat.
        let due = if limited == NO_VERSION {
            changed && on(defects::ANNOUNCES_ZERO)
        } else {
            self.negotiating = false;
            changed || anew || on(defects::ANNOUNCES_ALWAYS)
        };
        (due && !on(defects::NEVER_ANNOUNCES)).then(|| {
            let members = [(API_VERSION, limited.to_string())];
            message::line(n::API_VERSION_MESSAGE, &members, self.facts.arguments_first)
        })
    }
}

/// Faults that are facts of other releases.
const FAULTS: &[Fault<HostFacts>] = &[
    (defects::RAW_VALUE, |facts| {
        (facts.max, facts.stores, facts.announces) = (Some(2), Stores::Raw, Announces::OnChange);
    }),
    (defects::REST_OF_CHUNK_LOST, |facts| facts.rest_of_chunk = RestOfChunk::Lost),
    (defects::ONLY_ON_CHANGE, |facts| facts.announces = Announces::OnChange),
    (defects::HANG_UP_LOSES, |facts| facts.hang_up_loses = true),
];

/// How deep brackets are nested outside of texts.
fn depth(text: &str) -> usize {
    let (mut depth, mut deepest) = (0_usize, 0);
    for byte in outside_of_texts(text) {
        match byte {
            b'[' | b'{' => depth += 1,
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        deepest = deepest.max(depth);
    }
    deepest
}

/// The digits of the longest number outside of texts.
fn longest_number(text: &str) -> usize {
    let (mut run, mut longest) = (0_usize, 0);
    for byte in outside_of_texts(text) {
        run = if byte.is_ascii_digit() { run + 1 } else { 0 };
        longest = longest.max(run);
    }
    longest
}

/// The bytes of a line that stand in no text; of texts only the quotes.
fn outside_of_texts(line: &str) -> impl Iterator<Item = u8> {
    let (mut quoted, mut escaped) = (false, false);
    line.bytes().filter(move |byte| {
        let inside = quoted && (escaped || *byte != b'"');
        escaped = inside && !escaped && *byte == b'\\';
        quoted ^= *byte == b'"' && !inside;
        !inside
    })
}
