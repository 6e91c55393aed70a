//! `qemu-ga`: the QEMU guest agent.
//!
//! Specified by `docs/interop/qemu-ga.rst`, `docs/interop/qemu-ga-ref.rst` and `docs/interop/qmp-spec.rst` of QEMU. A host
//! sends JSON values, the agent in the guest answers each with one line; the framing is [`wire::json_lines`]. There is
//! no greeting, no version and no event: a host repairs the stream with ff and guest-sync-delimited, and asks guest-info
//! for what is enabled.
//!
//! The agent was made for a serial line, so it serves one client at a time, and knows nothing of who comes and goes
//! there. On a unix socket it does the same.
//!
//! ```text
//! names.rs       commands and members, which are blocked, which only read
//! dialect.rs     what each release does, as data     releases.rs   the table, one entry for each change
//! message.rs     requests and replies, member by member
//! grammar.rs     how a dialect is read               probes/       what is asked of every agent
//! request.rs     how requests are written            launch/       how real agents are started, and kept from harm
//! checks.rs      what an answer must hold            settings.rs   how an agent is run: on a socket or on a line
//! operations.rs  what hosts do
//! reference/     agents that behave as a release was measured to behave, and a host
//! ```

use std::collections::BTreeMap;
use std::sync::Arc;

use matrix::{Build, CaseId, CaseKind, Role};
use protocol::dialect::Releases;
use protocol::effects::Operation;
use protocol::launch::{At, CommandLine};
use protocol::{Action, Case, Defect, Hazard, Made, Peers, Protocol};
use session::Launcher;
use transcript::Transcript;
use verdict::{Check, Cited, Grammar, Reading};

mod checks;
mod dialect;
mod grammar;
mod launch;
mod lock;
mod message;
mod names;
mod operations;
mod probes;
mod reference;
mod releases;
mod request;
mod settings;
mod shapes;

pub(crate) use dialect::DIALECTS;
pub(crate) use grammar::QemuGaGrammar;
pub(crate) use lock::lock_table;

/// Name of the protocol.
const NAME: &str = "qemu-ga";

/// The case of recordings that were made elsewhere: requests and bad input, each followed by ff and guest-sync-delimited.
const REQUESTS_AND_BAD_INPUT: &str = "requests-and-bad-input";

/// The protocol in all its dialects.
#[must_use]
pub fn protocol() -> Arc<dyn Protocol> {
    Arc::new(QemuGa)
}

#[derive(Debug, Clone, Copy, Default)]
struct QemuGa;

impl Protocol for QemuGa {
    fn name(&self) -> &'static str {
        NAME
    }

    fn alias(&self) -> &'static str {
        "qga"
    }

    fn about(&self) -> &'static str {
        "the QEMU guest agent (qemu, docs/interop/qemu-ga-ref.rst)"
    }

    fn framing(&self) -> &'static str {
        "json-values"
    }

    fn releases(&self) -> Option<&'static dyn Releases> {
        Some(&DIALECTS)
    }

    fn grammar(&self, dialect: &str) -> Option<Arc<dyn Grammar>> {
        Some(Arc::new(QemuGaGrammar::new(DIALECTS.for_version(dialect)?)))
    }

    fn cases(&self) -> Vec<Case> {
        let about =
            "requests and bad input, and behind each of them ff and guest-sync-delimited; recorded elsewhere";
        let id = CaseId::new(CaseKind::Probe, REQUESTS_AND_BAD_INPUT);
        let recorded = Case::new(id, about, Hazard::Disturbs, Action::Recorded);
        let operations = operations::OPERATIONS.iter().map(Operation::case);
        probes::all().into_iter().chain([recorded]).chain(operations).collect()
    }

    fn operations(&self) -> Vec<&'static dyn Operation> {
        operations::OPERATIONS.iter().map(|operation| operation as &dyn Operation).collect()
    }

    fn checks(&self, case: &CaseId) -> Vec<Check> {
        if case.is(CaseKind::Probe, REQUESTS_AND_BAD_INPUT) {
            return vec![
                verdict::checks::READABLE_REPLIES,
                checks::EVERY_REPLY,
                checks::REPAIRED,
                checks::RECORDING_COMPLETE,
            ];
        }
        let mut checks = verdict::checks::of(case.kind);
        if case.kind == CaseKind::Probe {
            checks.push(checks::EVERY_REPLY);
            checks.push(checks::AS_MARKED);
        }
        checks
    }

    fn rules(&self) -> Vec<Cited> {
        checks::RULES.to_vec()
    }

    /// There is no negotiation. What an agent is, is in its answer to guest-info.
    fn negotiated(&self, _transcript: &Transcript, reading: &Reading) -> Option<String> {
        let replies = reading.conns.iter().flat_map(|conn| &conn.steps).flat_map(|step| &step.replies);
        replies.map(|reply| &reply.at.frame.bytes).find_map(|line| message::version(line))
    }

    fn lock_table(&self) -> matrix::LockTable {
        lock_table()
    }

    fn settings_for(&self, case: &CaseId) -> BTreeMap<String, String> {
        let asks = case.is(CaseKind::Probe, probes::SILENT_SUCCESS);
        let allows = asks.then(|| (settings::ALLOW.to_owned(), probes::SILENT_COMMAND.to_owned()));
        allows.into_iter().collect()
    }

    fn defects(&self) -> &'static [Defect] {
        reference::DEFECTS
    }

    /// An agent of a user's own. There is no client that could be one: hosts have protocols of their own.
    fn speaks_at(&self, role: Role) -> &'static [At] {
        if role == Role::Server { &[At::Socket, At::Terminal] } else { &[] }
    }

    fn own_server(&self, line: CommandLine, _build: &Build) -> Made<dyn Launcher> {
        Ok(launch::own_server(line))
    }

    fn peers(&self) -> Peers {
        Peers {
            reference_server: Some(reference::server),
            reference_client: Some(reference::client),
            real_server: Some(launch::server),
            // There is no client in the package; libvirt and VDSM are hosts with protocols of their own.
            real_client: None,
        }
    }
}

#[cfg(test)]
mod tests;
