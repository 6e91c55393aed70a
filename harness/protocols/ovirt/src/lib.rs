//! `ovirt-guest-agent`: VDSM, the host, and ovirt-guest-agent in the guest, over a virtio-serial port.
//!
//! Specified by the two sources alone: `oVirt/ovirt-guest-agent`, `ovirt-guest-agent/OVirtAgentLogic.py`, and
//! `oVirt/vdsm`, `lib/vdsm/virt/guestagent.py`. One message is one JSON object on one line; its member `__name__` is
//! the name, every other member an argument. The client is the host: it connects, the guest's port listens. Nothing is
//! numbered and errors are never answered.
//!
//! ```text
//! names.rs       messages, their arguments and the version that each asks for
//! dialect.rs     what each release does, as data     releases.rs   the table, one entry for each change
//! message.rs     what is read of a line, and how a line is written
//! grammar.rs     how lines are framed and paired          probes.rs        what is asked of every agent
//! checks/        what the agreed version asks of both sides, from the bytes alone
//! replay.rs      recorded hosts played again
//! model/         both sides as exact state machines, and the port between them
//! reference/     hosts and agents over a unix socket, in scaled real time
//! launch.rs      a user's own agent or VDSM, given as a command line
//! scenarios.rs   what can happen to a running pair     inputs.rs     what a guest can send that a host must survive
//! defects.rs     faults that can be switched on        table.rs      tables of messages as text: probes.txt, inputs.txt
//! ```

use std::sync::Arc;

use matrix::{Build, CaseId, CaseKind, Role};
use protocol::captures::BadCapture;
use protocol::dialect::{IDEAL, Releases};
use protocol::effects::Operation;
use protocol::launch::{At, CommandLine};
use protocol::{Action, Case, Defect, Hazard, Made, Peers, Protocol};
use session::{Client, Launcher, Script};
use transcript::Transcript;
use verdict::{Check, Cited, Grammar, Reading};

mod checks;
mod defects;
mod dialect;
mod grammar;
mod inputs;
mod launch;
mod lock;
mod message;
mod model;
mod names;
mod probes;
mod reference;
mod releases;
mod replay;
mod scenarios;
mod shapes;
mod table;

pub(crate) use dialect::{DIALECTS, Dialect};
pub(crate) use grammar::OvirtGrammar;

/// The heartbeat period of a reference agent that was told no other one, in milliseconds. Everything else that takes time
/// is in proportion, as at the real 5 s.
const HEARTBEAT_MS: u64 = 20;

/// Most bytes of a line that is read here. Agents take lines of any length; hosts drop what is longer than 1 MiB.
const LINE_MAX: usize = 4 << 20;

/// The protocol in all its dialects.
#[must_use]
pub fn protocol() -> Arc<dyn Protocol> {
    Arc::new(OvirtGuestAgent)
}

#[derive(Debug, Clone, Copy, Default)]
struct OvirtGuestAgent;

/// What only recordings have: other rates, bad input that a script sent elsewhere, and ends that no reference stands for.
const RECORDED: &[(CaseKind, &str, &str)] = &[
    (CaseKind::Probe, checks::BAD_INPUT, "a script as the host sends an agent malformed and odd messages"),
    (CaseKind::Scenario, checks::BAD_INPUT, "a script as the guest sends a host malformed and odd messages"),
    (CaseKind::Scenario, "negative-heartbeat", "a heartbeat says -1, then the guest's end closes and opens"),
    (
        CaseKind::Scenario,
        "steady-default-rates",
        "a host connects to a running agent with a heartbeat of 5 s",
    ),
    (CaseKind::Scenario, "migration-to-4.18.25-max2", "a host with a lowered maximum takes over"),
    (CaseKind::Scenario, "migration-to-4.19.51", "another host takes over while the agent goes on"),
    (CaseKind::Scenario, "migration-api3-to-4.18.25-max2", "a host with a lowered maximum is told version 3"),
];

impl Protocol for OvirtGuestAgent {
    fn name(&self) -> &'static str {
        "ovirt-guest-agent"
    }

    fn alias(&self) -> &'static str {
        "ovirt"
    }

    fn about(&self) -> &'static str {
        "VDSM and ovirt-guest-agent over a virtio-serial port (oVirt/vdsm, lib/vdsm/virt/guestagent.py)"
    }

    fn framing(&self) -> &'static str {
        "json-lines"
    }

    fn releases(&self) -> Option<&'static dyn Releases> {
        Some(&DIALECTS)
    }

    fn grammar(&self, dialect: &str) -> Option<Arc<dyn Grammar>> {
        Some(Arc::new(OvirtGrammar::new(DIALECTS.for_version(dialect)?)))
    }

    fn cases(&self) -> Vec<Case> {
        let recorded = RECORDED.iter().map(|(kind, name, about)| {
            Case::new(CaseId::new(*kind, *name), about, Hazard::Disturbs, Action::Recorded)
        });
        let scenarios = scenarios::all().iter().map(Operation::case);
        probes::all().into_iter().chain(recorded).chain(scenarios).collect()
    }

    fn operations(&self) -> Vec<&'static dyn Operation> {
        scenarios::all().iter().map(|scenario| scenario as &dyn Operation).collect()
    }

    fn checks(&self, case: &CaseId) -> Vec<Check> {
        checks::of(case)
    }

    fn rules(&self) -> Vec<Cited> {
        checks::all_rules()
    }

    fn negotiated(&self, transcript: &Transcript, reading: &Reading) -> Option<String> {
        checks::negotiated(transcript, reading)
    }

    fn lacks(&self, client: &Build, case: &CaseId) -> Option<String> {
        let scenario = scenarios::scenario(&case.name).filter(|_| case.kind == CaseKind::Scenario)?;
        launch::lacks(client, scenario)
    }

    fn takes_part(&self, case: &CaseId) -> Option<String> {
        let (_, version) = case.name.split_once("-to-")?;
        (case.kind == CaseKind::Scenario && version != IDEAL).then(|| version.to_owned())
    }

    fn replaced_by(&self, case: &CaseId) -> Vec<String> {
        let scenario = scenarios::scenario(&case.name).filter(|_| case.kind == CaseKind::Scenario);
        scenario.map(scenarios::Scenario::replaced_by).unwrap_or_default()
    }

    fn cannot_replay(&self, case: &CaseId) -> Option<&'static str> {
        let scripted = [checks::BAD_INPUT, "negative-heartbeat"].contains(&&*case.name);
        (case.kind == CaseKind::Scenario && scripted)
            .then_some("a script stood for the guest, and there is no agent to compare with")
    }

    fn replay(&self, recorded: &Transcript) -> Result<Script, BadCapture> {
        Ok(replay::script(recorded))
    }

    fn lock_table(&self) -> matrix::LockTable {
        lock::lock_table()
    }

    fn defects(&self) -> &'static [Defect] {
        defects::DEFECTS
    }

    fn speaks_at(&self, role: Role) -> &'static [At] {
        launch::speaks_at(role)
    }

    fn own_server(&self, line: CommandLine, build: &Build) -> Made<dyn Launcher> {
        launch::server(line, build)
    }

    fn own_client(&self, line: CommandLine, build: &Build) -> Made<dyn Client> {
        launch::client(line, build)
    }

    fn peers(&self) -> Peers {
        Peers {
            reference_server: Some(reference::server),
            reference_client: Some(reference::client),
            // The agent and VDSM come as command lines.
            real_server: None,
            real_client: None,
        }
    }
}
