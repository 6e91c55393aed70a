//! The process of an agent at its port: two threads, a clock, and writes that wait.
//!
//! [`Agent`] decides; this says when. Both the simulation and the reference agent run it: they differ only in whose time
//! it is, and in what is behind the port.

use protocol::defect::Switches;

use super::agent::{Agent, Guest, Rates, Sent};
use crate::defects;
use crate::dialect::AgentFacts;
use crate::message;
use crate::names as n;

/// Most bytes that an agent takes in one read.
pub(crate) const AGENT_READ_LEN_MAX: usize = 4096;

/// What a read of the agent gives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum AgentRead {
    /// Bytes that a host wrote over the connection of that number.
    Bytes(u64, Vec<u8>),
    /// Nothing is there yet; the read waits.
    Waits,
    /// No host is connected: the read gives nothing at once.
    NoHost,
}

/// What the port is like at the moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PortState {
    /// Number of the last host that has connected.
    pub connection: u64,
    /// Whether a write would go through.
    pub takes_writes: bool,
}

/// A running agent.
#[derive(Debug, Clone)]
pub(crate) struct Process {
    agent: Agent,
    pass_us: u64,
    /// Writes of one thread come between those of the other.
    interleaves: bool,
    /// The worker is still in its start burst, behind which the first pass follows at once.
    in_burst: bool,
    next_pass_us: u64,
    /// The reader sleeps until then.
    naps_until_us: u64,
    worker_waits: Option<Sent>,
    listener_waits: Option<Sent>,
}

impl Process {
    /// Starts an agent at a time.
    pub(crate) fn start(
        facts: AgentFacts,
        switches: &Switches,
        rates: Rates,
        guest: Guest,
        pass_us: u64,
        now_us: u64,
    ) -> Self {
        Self {
            agent: Agent::start(facts, switches.clone(), rates, guest),
            pass_us,
            interleaves: switches.has(defects::INTERLEAVES),
            in_burst: true,
            next_pass_us: now_us,
            naps_until_us: 0,
            worker_waits: None,
            listener_waits: None,
        }
    }

    /// What it decides with.
    #[cfg(test)]
    pub(crate) fn agent(&self) -> &Agent {
        &self.agent
    }

    /// The host has closed its end of the port.
    pub(crate) fn host_gone(&mut self) {
        self.agent.host_gone();
    }

    /// When it does something by itself next: a pass, or the end of a nap.
    pub(crate) fn next_event_us(&self, now_us: u64) -> Option<u64> {
        let pass = self.worker_waits.is_none().then_some(self.next_pass_us);
        let wakes = self.listener_waits.is_none() && self.naps_until_us > now_us;
        let nap = wakes.then_some(self.naps_until_us);
        pass.into_iter().chain(nap).min()
    }

    /// Begins the next pass of the worker if it is due.
    pub(crate) fn tick(&mut self, now_us: u64) {
        if self.next_pass_us <= now_us && self.worker_waits.is_none() {
            self.agent.begin_pass();
            self.in_burst = false;
            // Passes keep their rhythm when one begins late, and never catch up with what a busy machine has cost.
            let in_rhythm = self.next_pass_us + self.pass_us;
            self.next_pass_us = in_rhythm.max(now_us + self.pass_us / 2);
        }
    }

    /// What the worker writes now; none when it has nothing to say or has to wait.
    pub(crate) fn worker_writes(&mut self, port: PortState, now_us: u64) -> Option<Sent> {
        let mut has_waited = false;
        let mut sent = loop {
            let next = match self.worker_waits.take() {
                Some(waited) => {
                    has_waited = true;
                    if port.takes_writes && !self.agent.may_still(&waited, port.connection) {
                        continue;
                    }
                    waited
                }
                None => self.agent.worker_next(port.connection)?,
            };
            if port.takes_writes {
                break next;
            }
            self.worker_waits = Some(next);
            return None;
        };
        if has_waited {
            // The time of the next pass counts from the end of this one.
            self.next_pass_us = now_us + if self.in_burst { 0 } else { self.pass_us };
        }
        if self.interleaves && sent.name == n::HEARTBEAT {
            let (first, second) = sent.line.split_at(sent.line.len() / 2);
            let between = message::line(n::ACTIVE_USER, &[("name", message::text("None"))], false);
            sent.line = [first, &between, second].concat();
        }
        Some(sent)
    }

    /// What the listener writes now, after it has read as much as it needs for that; none when it naps, has to wait, or
    /// there is nothing to read.
    pub(crate) fn listener_writes(
        &mut self,
        port: PortState,
        now_us: u64,
        read: &mut dyn FnMut() -> AgentRead,
    ) -> Option<Sent> {
        if self.naps_until_us > now_us {
            return None;
        }
        loop {
            let next = match self.listener_waits.take() {
                Some(waited) if port.takes_writes && !self.agent.may_still(&waited, port.connection) => {
                    continue;
                }
                waited => waited.or_else(|| self.agent.listener_next(port.connection)),
            };
            match next {
                Some(sent) if port.takes_writes => return Some(sent),
                Some(sent) => {
                    self.listener_waits = Some(sent);
                    return None;
                }
                None => match read() {
                    AgentRead::Bytes(from, bytes) => self.agent.read(from, &bytes),
                    AgentRead::Waits => return None,
                    AgentRead::NoHost => {
                        if self.agent.facts().naps {
                            self.naps_until_us = now_us + self.pass_us;
                        }
                        return None;
                    }
                },
            }
        }
    }
}
