//! Recorded bytes of hosts go into the model of the agent's release, at the times at which the agent took them off the
//! wire; what the model says must be what was recorded, and A must be what the process had.

use std::collections::VecDeque;

use serde_json::Value;
use transcript::{EventKind, Transcript};
use wire::Direction;

use protocol::defect::Switches;

use super::{is_mixed_of, observed, recordings};
use crate::dialect::DIALECTS;
use crate::message::{Message, Name};
use crate::model::agent::Guest;
use crate::model::{Agent, Rates, Sent, Thread};
use crate::names::{API_VERSION, HEARTBEAT, NAME};

/// How far the time of a change may be from the one in the log: the log has a resolution of milliseconds and a clock
/// of its own.
const CLOCK_US: u64 = 60_000;

/// What is compared of a message: its name and what section 10 never masks; of echo all of it.
fn key(line: &[u8]) -> String {
    let text = String::from_utf8_lossy(line);
    let Ok(Value::Object(message)) = serde_json::from_str::<Value>(&text) else {
        return format!("no message: {text}");
    };
    let name = message.get(NAME).and_then(Value::as_str).unwrap_or_default();
    match name {
        "heartbeat" => format!("heartbeat {:?}", message.get(API_VERSION)),
        "completion" => format!("completion {:?} {:?}", message.get("done"), message.get("reply_id")),
        "echo" => {
            let members: std::collections::BTreeMap<_, _> = message.iter().collect();
            format!("{members:?}").chars().take(400).collect()
        }
        name => name.to_owned(),
    }
}

/// One process of an agent in a recording, and what the model of it says.
struct Process {
    agent: Agent,
    rate: u32,
    recorded: Vec<String>,
    listener: Vec<String>,
    worker: Vec<String>,
    versions: Vec<(u64, i64)>,
    last_heartbeat_us: u64,
    /// The user was told by the listener while the worker was in its start burst: both looked at the same moment.
    refreshed: bool,
}

impl Process {
    fn start(version: &str, rates: Rates, guest: Guest, now: u64) -> Self {
        let facts = DIALECTS.for_version(version).and_then(|dialect| dialect.agent.clone());
        let facts = facts.unwrap_or_else(|| panic!("no agent `{version}`"));
        let agent = Agent::start(facts, Switches::default(), rates, guest);
        let mut process = Self {
            agent,
            rate: rates.heartbeat,
            recorded: Vec::new(),
            listener: Vec::new(),
            worker: Vec::new(),
            versions: vec![(now, 0)],
            last_heartbeat_us: now,
            refreshed: false,
        };
        process.work();
        process
    }

    fn take(&mut self, sent: Sent) {
        let to = if sent.thread == Thread::Listener { &mut self.listener } else { &mut self.worker };
        to.push(key(&sent.line));
    }

    fn work(&mut self) {
        while let Some(sent) = self.agent.worker_next(0) {
            self.take(sent);
        }
    }

    fn read(&mut self, connection: u64, bytes: &[u8], now: u64) {
        self.agent.read(connection, bytes);
        while let Some(sent) = self.agent.listener_next(0) {
            self.refreshed |= sent.name == "active-user";
            self.take(sent);
            self.note_version(now);
        }
        self.note_version(now);
    }

    fn note_version(&mut self, now: u64) {
        if self.versions.last().map(|(_, version)| *version) != Some(self.agent.version()) {
            self.versions.push((now, self.agent.version()));
        }
    }

    /// The worker has sent a heartbeat at this time: that many passes are over.
    fn heartbeat(&mut self, now: u64) {
        let mut passes = self.rate;
        if self.worker.iter().any(|key| key.starts_with(HEARTBEAT)) && now > self.last_heartbeat_us {
            // A silenced agent goes on working; only nothing of it is seen.
            let seconds = (now - self.last_heartbeat_us + 500_000) / 1_002_000;
            let whole = u32::try_from(seconds).unwrap_or(0) / self.rate * self.rate;
            if self.versions.iter().any(|(_, version)| *version < 0) {
                passes = passes.max(whole);
            }
        }
        for _ in 0..passes {
            self.agent.begin_pass();
            self.work();
        }
        self.last_heartbeat_us = now;
    }

    fn compare(&self) -> Result<(), String> {
        is_mixed_of(&self.recorded, &self.listener, &self.worker).or_else(|why| {
            // Both threads ask who is logged in at the same time, and both say it.
            let mut worker = self.worker.clone();
            match worker.iter().position(|key| key == "network-interfaces") {
                Some(at) if self.refreshed && worker.get(at + 1).is_none_or(|key| key != "active-user") => {
                    worker.insert(at + 1, "active-user".to_owned());
                }
                Some(at) if self.refreshed => drop(worker.remove(at + 1)),
                _ => return Err(why),
            }
            is_mixed_of(&self.recorded, &self.listener, &worker)
        })
    }
}

/// How many blocks have to be read so that a message of that name is read; none if there is none yet.
fn blocks_up_to(wire: &VecDeque<(u64, Vec<u8>)>, name: &str) -> Option<usize> {
    let mut line = Vec::new();
    for (at, (_, bytes)) in wire.iter().enumerate() {
        line.extend_from_slice(bytes);
        if line.ends_with(b"\n") {
            let line = std::mem::take(&mut line);
            let is_wanted = |message: Message| match message.name {
                Name::Text(text) => text == name,
                // The log has it as Python prints it.
                Name::Odd(raw) => raw == name.replace("u'", "\"").replace('\'', "\""),
                Name::Missing => false,
            };
            if Message::read(&line).is_some_and(is_wanted) {
                return Some(at + 1);
            }
        }
    }
    None
}

/// Plays a recording to models; one for each process of an agent.
fn play(transcript: &Transcript) -> Vec<Process> {
    let header = &transcript.provenance;
    let default_rates = header.note.contains("efault agent rates") || header.case.contains("default-rates");
    let rates = if default_rates { Rates::DEFAULT } else { Rates::RECORDED };
    let guest = Guest { hooks: header.case.ends_with("/lifecycle"), ..Guest::default() };
    let version = |now: u64| {
        let change = header.builds.iter().rev().find(|change| change.from_us <= now);
        let end = change.map_or(&header.server, |change| &change.server);
        end.version.clone().unwrap_or_default()
    };
    let mut processes = vec![Process::start(&version(0), rates, guest, 0)];
    let mut wire: VecDeque<(u64, Vec<u8>)> = VecDeque::new();
    // The log of the agent has a clock of its own: a message may be read before it is recorded.
    let mut owed: VecDeque<String> = VecDeque::new();
    let mut unfinished = Vec::new();
    for event in &transcript.events {
        let now = event.at_us;
        let conn = u64::from(event.conn.0);
        let process = processes.last_mut().expect("one at least");
        match (&event.kind, event.dir) {
            (EventKind::Data(data), Direction::ToServer) => {
                for line in data.bytes.split_inclusive(|byte| *byte == b'\n') {
                    wire.push_back((conn, line.to_vec()));
                }
            }
            (EventKind::Data(data), Direction::ToClient) => {
                for part in data.bytes.split_inclusive(|byte| *byte == b'\n') {
                    unfinished.extend_from_slice(part);
                    if !unfinished.ends_with(b"\n") {
                        continue;
                    }
                    let key = key(&std::mem::take(&mut unfinished));
                    if key.starts_with(HEARTBEAT) {
                        process.heartbeat(now);
                    }
                    process.recorded.push(key);
                }
            }
            (EventKind::Connect, Direction::ToClient) => {
                wire.clear();
                owed.clear();
                unfinished.clear();
                processes.push(Process::start(&version(now), rates, guest, now));
            }
            (EventKind::Observe { key, value }, _) if key == "observed.agent_reads_at" => {
                owed.push_back(serde_json::from_str(value).expect("a name"));
            }
            _ => {}
        }
        let process = processes.last_mut().expect("one at least");
        while let Some(name) = owed.front() {
            let Some(count) = blocks_up_to(&wire, name) else { break };
            owed.pop_front();
            for (conn, bytes) in wire.drain(..count) {
                process.read(conn, &bytes, now);
            }
        }
    }
    let end = transcript.end_us();
    if let Some(process) = processes.last_mut() {
        for (conn, bytes) in wire {
            process.read(conn, &bytes, end);
        }
    }
    processes
}

#[test]
fn says_what_the_recorded_agents_said() {
    let mut wrong = Vec::new();
    let mut compared = 0;
    for (id, transcript) in recordings() {
        if transcript.provenance.server.name != "ovirt-guest-agent" {
            continue;
        }
        for (number, process) in play(&transcript).iter().enumerate() {
            compared += process.recorded.len();
            if let Err(why) = process.compare() {
                wrong.push(format!("{id}, process {number}: {why}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
    assert!(compared > 4000, "{compared} messages compared");
}

#[test]
fn has_the_version_that_the_recorded_agents_had() {
    let mut wrong = Vec::new();
    for (id, transcript) in recordings() {
        if transcript.provenance.server.name != "ovirt-guest-agent" {
            continue;
        }
        let model: Vec<_> = play(&transcript)
            .iter()
            .flat_map(|process| process.versions.clone().into_iter().skip(1))
            .collect();
        let recorded: Vec<_> = observed(&transcript, "agent_version_at")
            .into_iter()
            .filter_map(|(at, value)| Some((at, value.as_i64()?)))
            .collect();
        let same = model.len() == recorded.len()
            && model.iter().zip(&recorded).all(|(a, b)| a.1 == b.1 && a.0.abs_diff(b.0) < CLOCK_US);
        if !same {
            wrong.push(format!("{id}:\n  model    {model:?}\n  recorded {recorded:?}"));
        }
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}
