//! Host, port and agent in virtual time: scenarios that take no real time and always end the same.
//!
//! Everything that can happen at once happens in a fixed order: the worker writes, the listener reads and answers, the
//! host reads and answers. Each write takes a little time, so that no two events are at the same moment. What is seen is
//! what the host sees, as a [`Transcript`].

use bytes::Bytes;
use session::{ClientAct, Closes, Injection, ServerAct, Step, Successor, mark};
use transcript::{ConnId, Data, Endpoint, Event, EventKind, ExitStatus, Mark, Provenance, Transcript};
use wire::Direction;

use protocol::defect::Switches;

use super::agent::{Guest, Rates, Sent};
use super::host::{Host, READ_LEN_MAX, Refused};
use super::port::Port;
use super::process::{PortState, Process};
use crate::dialect::{DIALECTS, Dialect};
use crate::message::Kept;
use crate::names::{self as n};
use crate::scenarios::{ApiCall, PASSES_PER_HEARTBEAT, Scenario, passes_in};

/// How long things take, in microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Timing {
    /// From one pass of the worker to the next; also the nap of the reader, and how often a host tries to connect.
    pub pass_us: u64,
    /// One write.
    pub write_us: u64,
    /// How long before the first step the agent was started: where in its nap the reader is.
    pub head_start_us: u64,
}

impl Default for Timing {
    /// A second a pass, as real agents have it.
    fn default() -> Self {
        Self { pass_us: 1_000_000, write_us: 500, head_start_us: 2_300_000 }
    }
}

/// One side of a simulated pair.
#[derive(Debug, Clone)]
pub(crate) struct Side {
    /// The version, for marks and provenance.
    pub version: String,
    /// What it does.
    pub dialect: Dialect,
    /// The defects that are switched on.
    pub switches: Switches,
}

impl Side {
    /// A release; none if it is not in the table.
    pub(crate) fn release(version: &str) -> Option<Self> {
        let dialect = DIALECTS.for_version(version)?.clone();
        Some(Self { version: version.to_owned(), dialect, switches: Switches::default() })
    }

    /// The ideal with another maximum, or without versioning.
    pub(crate) fn ideal_at(max: Option<i64>) -> Self {
        let version = max.map_or("ideal-none".to_owned(), |max| format!("ideal-{max}"));
        Self { version, dialect: Dialect::ideal_at(max), switches: Switches::default() }
    }
}

/// A message of the guest that was above what both sides could have agreed on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Above {
    /// When.
    pub at_us: u64,
    /// Which.
    pub name: &'static str,
    /// The lower one of both maxima at that time.
    pub agreed: i64,
}

/// A host, a port and an agent.
#[derive(Debug, Clone)]
pub(crate) struct Simulation {
    timing: Timing,
    rates: Rates,
    guest: Guest,
    now_us: u64,
    host_build: Side,
    agent_build: Side,
    /// Who is there now.
    host_side: Side,
    agent_side: Side,
    host: Option<Host>,
    port: Port,
    agent: Option<Process>,
    /// The guest's end says only what is injected.
    held: bool,
    events: Vec<Event>,
    conn: u32,
    above: Vec<Above>,
    completions: u32,
}

impl Simulation {
    /// An agent that runs, and a host that does not yet.
    pub(crate) fn new(host: Side, agent: Side, timing: Timing, rates: Rates, guest: Guest) -> Self {
        let mut simulation = Self {
            timing,
            rates,
            guest,
            now_us: 0,
            host_side: host.clone(),
            agent_side: agent.clone(),
            host_build: host,
            agent_build: agent,
            host: None,
            port: Port::default(),
            agent: None,
            held: false,
            events: Vec::new(),
            conn: 0,
            above: Vec::new(),
            completions: 0,
        };
        simulation.start_agent();
        simulation.pass_time(timing.head_start_us);
        simulation
    }

    /// Plays a scenario to its end.
    pub(crate) fn run(mut self, scenario: &Scenario) -> Transcript {
        for step in &scenario.script.steps {
            self.step(step);
        }
        let endpoint = |side: &Side, name: &str| Endpoint {
            id: side.version.clone(),
            name: name.to_owned(),
            version: Some(side.version.clone()),
            source: Some("simulation".to_owned()),
            ..Endpoint::default()
        };
        let provenance = Provenance {
            protocol: "ovirt-guest-agent".to_owned(),
            case: format!("scenario/{}", scenario.name),
            client: endpoint(&self.host_build, "vdsm"),
            server: endpoint(&self.agent_build, "ovirt-guest-agent"),
            ..Provenance::default()
        };
        let first_us = self.events.first().map_or(0, |event| event.at_us);
        for event in &mut self.events {
            event.at_us -= first_us;
        }
        Transcript { provenance, events: self.events }
    }

    /// Lets one thing happen. Scripts of scenarios open no connections of their own.
    pub(crate) fn step(&mut self, step: &Step) {
        match step {
            Step::Client(act) => self.client(act),
            Step::Pause { ms } => self.pass_time(u64::from(passes_in(*ms)) * self.timing.pass_us),
            Step::Server(ServerAct::Replace(by)) => {
                let side = match by {
                    Successor::First => None,
                    Successor::Release(version) => Side::release(version),
                };
                self.replace_agent(side.unwrap_or_else(|| self.agent_build.clone()), true);
            }
            Step::Server(_) => self.replace_agent(self.agent_side.clone(), false),
            Step::Mark(_, mark) => self.note(mark.clone()),
            Step::Inject(injection) => self.inject(injection),
            Step::Release => self.held = false,
            _ => {}
        }
        self.settle();
    }

    fn client(&mut self, act: &ClientAct) {
        match act {
            ClientAct::Start { build, handed_over } => self.start_host(build, *handed_over),
            ClientAct::Kill => self.kill_host(),
            ClientAct::Leave { in_mid_message: false } => self.leave("leaves"),
            ClientAct::Leave { in_mid_message: true } => self.leave_in_mid_line(),
            ClientAct::Return => self.connect(),
            ClientAct::Call(word) => ApiCall::parse(word).into_iter().for_each(|call| self.call(call)),
        }
    }

    /// Lets a host of any kind take the place of the one that is there.
    pub(crate) fn migrate(&mut self, to: Side, handed_over: bool) {
        let version = self.host_version();
        self.kill_host();
        self.host_side = to;
        self.mark_builds();
        self.start_process(handed_over.then_some(version).flatten());
    }

    /// Kills the host and starts the same one again.
    pub(crate) fn restart_host(&mut self) {
        self.kill_host();
        self.start_process(None);
    }

    /// Lets an agent of any kind take the place of the one that is there.
    pub(crate) fn replace_agent(&mut self, to: Side, marked: bool) {
        self.record(Direction::ToClient, EventKind::Exit(ExitStatus::Gone));
        (self.agent_side, self.held) = (to, false);
        if marked {
            self.mark_builds();
        }
        self.record(Direction::ToClient, EventKind::Connect);
        self.start_agent();
        self.settle();
    }

    /// Lets time go by.
    pub(crate) fn pass_time(&mut self, us: u64) {
        let until = self.now_us + us;
        self.settle();
        let next = |simulation: &Self| simulation.agent.as_ref()?.next_event_us(simulation.now_us);
        while let Some(at) = next(self).filter(|at| *at <= until) {
            self.now_us = self.now_us.max(at);
            if let Some(process) = &mut self.agent {
                process.tick(self.now_us);
            }
            self.settle();
        }
        self.now_us = self.now_us.max(until);
    }

    /// E as a number; none without a host, without versioning, or when it is no number.
    pub(crate) fn host_version(&self) -> Option<i64> {
        self.host.as_ref().and_then(Host::version).and_then(Kept::number)
    }

    /// A; none without an agent.
    pub(crate) fn agent_version(&self) -> Option<i64> {
        self.agent.as_ref().map(|process| process.agent().version())
    }

    /// The lower one of both maxima.
    pub(crate) fn agreed(&self) -> i64 {
        let host = self.host.as_ref().map_or(n::NO_VERSION, Host::max);
        let agent = self.agent.as_ref().map_or(n::NO_VERSION, |process| process.agent().max());
        host.min(agent)
    }

    /// What the guest has said above that.
    pub(crate) fn above(&self) -> &[Above] {
        &self.above
    }

    /// What was seen so far.
    pub(crate) fn events(&self) -> &[Event] {
        &self.events
    }

    fn start_agent(&mut self) {
        let Some(facts) = self.agent_side.dialect.agent.clone() else { return };
        let (switches, pass_us) = (&self.agent_side.switches, self.timing.pass_us);
        self.agent = Some(Process::start(facts, switches, self.rates, self.guest, pass_us, self.now_us));
    }

    fn start_host(&mut self, build: &Successor, handed_over: bool) {
        let before = self.host_version();
        let side = match build {
            Successor::Release(version) => Side::release(version).unwrap_or_else(|| self.host_build.clone()),
            Successor::First => self.host_build.clone(),
        };
        let another = side.version != self.host_side.version;
        let first = self.conn == 0;
        self.host_side = side;
        if !first && (another || handed_over) {
            self.mark_builds();
            let version = &self.host_side.version;
            let how =
                if handed_over { " (started with api_version=3 handed over by the source host)" } else { "" };
            self.mark(&format!("migrated to vdsm {version}{how}"), &[]);
        } else if !first {
            self.mark("vdsm started again", &[]);
        }
        self.start_process(handed_over.then_some(before.unwrap_or(n::MAX_EVER)));
    }

    fn start_process(&mut self, handed_over: Option<i64>) {
        if let Some(facts) = self.host_side.dialect.host.clone() {
            self.host = Some(Host::start(facts, self.host_side.switches.clone(), handed_over));
            self.connect();
        }
    }

    fn connect(&mut self) {
        let Some(host) = &mut self.host else { return };
        if self.port.is_connected() {
            return;
        }
        let refresh = host.connect();
        self.port.connect();
        self.conn += 1;
        self.record(Direction::ToServer, EventKind::Connect);
        if let Some(line) = refresh {
            self.host_writes(&line);
        }
        self.settle();
    }

    fn kill_host(&mut self) {
        if self.host.is_some() {
            if self.port.is_connected() {
                self.record(Direction::ToServer, EventKind::Exit(ExitStatus::Gone));
            }
            self.leave("gone");
        }
        self.host = None;
    }

    fn leave(&mut self, how: &str) {
        if !self.port.is_connected() {
            return;
        }
        self.port.disconnect();
        self.record(Direction::ToServer, EventKind::Eof(Some(format!("vdsm {how}"))));
        if let Some(host) = &mut self.host {
            host.disconnect();
        }
        if let Some(process) = &mut self.agent {
            process.host_gone();
        }
    }

    fn leave_in_mid_line(&mut self) {
        self.host_writes(crate::message::HALF_REFRESH);
        self.settle();
        self.leave("leaves in mid-line");
    }

    fn call(&mut self, call: ApiCall) {
        self.completions += 1;
        let id = format!("00000000-0000-4000-8000-{:012}", self.completions);
        let line = self.host.as_ref().map(|host| host.call(&call.call(&id)));
        let result = match &line {
            Some(Ok(_)) => "ok",
            Some(Err(Refused::NoSuchCall)) => "no-such-call",
            Some(Err(Refused::NotConnected)) | None => "not-connected",
            Some(Err(Refused::Gate)) => "refused",
        };
        if let Some(Ok(line)) = line {
            self.host_writes(&line);
        }
        self.mark(&format!("host API call {} has returned", call.word()), &[("result", result)]);
    }

    fn inject(&mut self, Injection { writes, closes }: &Injection) {
        self.held = true;
        let last = writes.len().saturating_sub(1);
        for (at, write) in writes.iter().enumerate() {
            for part in write.chunks(READ_LEN_MAX) {
                self.guest_writes(part);
                self.host_reads(*closes == Closes::AtOnce && at == last);
            }
        }
        if *closes != Closes::Never && self.port.is_connected() {
            self.record(Direction::ToClient, EventKind::Eof(Some("guest end closes".to_owned())));
            self.port.disconnect();
            if let Some(host) = &mut self.host {
                host.disconnect();
            }
            if let Some(process) = &mut self.agent {
                process.host_gone();
            }
        }
    }

    /// Lets everything happen that can happen now.
    fn settle(&mut self) {
        let mut moves = true;
        while moves {
            moves = false;
            // A pass of the worker is over long before a host has answered its heartbeat, as in most recordings.
            while self.worker_moves() || self.listener_moves() {
                moves = true;
            }
            moves |= self.host_reads(false);
        }
    }

    fn port_state(&self) -> PortState {
        let takes_writes = self.port.is_connected() && !self.held;
        PortState { connection: self.port.connection(), takes_writes }
    }

    fn worker_moves(&mut self) -> bool {
        let state = self.port_state();
        let sent = self.agent.as_mut().and_then(|process| process.worker_writes(state, self.now_us));
        sent.inspect(|sent| self.agent_writes(sent)).is_some()
    }

    fn listener_moves(&mut self) -> bool {
        let (state, port) = (self.port_state(), &mut self.port);
        let mut read = || port.agent_reads();
        let process = self.agent.as_mut();
        let sent = process.and_then(|process| process.listener_writes(state, self.now_us, &mut read));
        sent.inspect(|sent| self.agent_writes(sent)).is_some()
    }

    fn agent_writes(&mut self, sent: &Sent) {
        let agreed = self.agreed();
        if n::guest_min(sent.name) > agreed {
            self.above.push(Above { at_us: self.now_us, name: sent.name, agreed });
        }
        self.guest_writes(&sent.line);
    }

    fn guest_writes(&mut self, bytes: &[u8]) {
        self.now_us += self.timing.write_us;
        if self.port.agent_writes(bytes) {
            let data = Data { bytes: Bytes::copy_from_slice(bytes), ..Data::default() };
            self.record(Direction::ToClient, EventKind::Data(data));
        }
    }

    fn host_writes(&mut self, bytes: &[u8]) {
        self.now_us += self.timing.write_us;
        if self.port.is_connected() {
            self.port.host_writes(bytes);
            let data = Data { bytes: Bytes::copy_from_slice(bytes), ..Data::default() };
            self.record(Direction::ToServer, EventKind::Data(data));
        }
    }

    /// The host reads what is there; with a hang-up behind it some never do.
    fn host_reads(&mut self, hangs_up: bool) -> bool {
        let read = self.port.host_reads(READ_LEN_MAX);
        let Some(host) = self.host.as_mut().filter(|_| !read.is_empty()) else { return false };
        if hangs_up && host.facts().hang_up_loses {
            return true;
        }
        let answers = host.read(&read);
        if !hangs_up {
            for answer in answers {
                self.host_writes(&answer);
            }
        }
        true
    }

    fn mark_builds(&mut self) {
        let client = format!("vdsm {}", self.host_side.version);
        let server = format!("ovirt-guest-agent {}", self.agent_side.version);
        self.mark("builds", &[("client", &client), ("server", &server)]);
    }

    fn mark(&mut self, label: &str, args: &[(&str, &str)]) {
        self.note(mark(label, args));
    }

    fn note(&mut self, mark: Mark) {
        let kind = EventKind::Mark(mark);
        self.events.push(Event { at_us: self.now_us, conn: ConnId(0), dir: Direction::ToServer, kind });
    }

    /// On the present connection; before the first one nothing is seen.
    fn record(&mut self, dir: Direction, kind: EventKind) {
        if self.conn > 0 {
            self.events.push(Event { at_us: self.now_us, conn: ConnId(self.conn), dir, kind });
        }
    }
}

/// A timing whose heartbeat takes this long.
pub(crate) fn timing_of_heartbeat(heartbeat_us: u64) -> Timing {
    let pass_us = heartbeat_us / u64::from(PASSES_PER_HEARTBEAT);
    Timing { pass_us, write_us: (pass_us / 200).max(1), head_start_us: pass_us * 23 / 10 }
}
