//! `lxc-command`: the socket on which an LXC container's monitor takes commands.
//!
//! Specified by its source alone: `lxc/lxc`, `src/lxc/commands.h` and `src/lxc/commands.c`. The client
//! connects to an abstract unix socket named `<lxcpath>/<name>/command`, sends one request of 16 bytes
//! and perhaps a payload, and reads one reply; the framing is [`wire::lxc`].
//!
//! ```text
//! names.rs       numbers and their names
//! dialect.rs     what each release does, as data     releases.rs   the table, one entry for each change
//! message.rs     requests and replies, field by field
//! grammar.rs     how a dialect is read               probes.rs     what is asked of every server
//! request.rs     how requests are written            launch/       how real builds are started
//! checks.rs      what an answer must hold
//! effects.rs     the operations of clients, and the words for what they did
//! reference/     servers and clients that behave as a release was measured to behave
//! ```

use std::sync::Arc;

use matrix::{CaseId, CaseKind, Role};
use protocol::dialect::{IDEAL, Releases};
use protocol::effects::Operation;
use protocol::launch::At;
use protocol::{Case, Defect, Peers, Protocol};
use transcript::Transcript;
use verdict::{Check, Cited, Grammar, Meaning, Reading};

mod checks;
mod dialect;
mod effects;
mod grammar;
mod launch;
mod lock;
mod message;
mod names;
mod probes;
mod reference;
mod releases;
mod request;
mod shapes;

pub(crate) use dialect::DIALECTS;
pub(crate) use grammar::LxcGrammar;
pub(crate) use lock::lock_table;

/// The protocol in all its dialects.
#[must_use]
pub fn protocol() -> Arc<dyn Protocol> {
    Arc::new(LxcCommand)
}

#[derive(Debug, Clone, Copy, Default)]
struct LxcCommand;

impl Protocol for LxcCommand {
    fn name(&self) -> &'static str {
        "lxc-command"
    }

    fn alias(&self) -> &'static str {
        "lxc"
    }

    fn about(&self) -> &'static str {
        "commands to an LXC container's monitor (lxc/lxc, src/lxc/commands.h)"
    }

    fn framing(&self) -> &'static str {
        "lxc"
    }

    fn releases(&self) -> Option<&'static dyn Releases> {
        Some(&DIALECTS)
    }

    fn grammar(&self, dialect: &str) -> Option<Arc<dyn Grammar>> {
        Some(Arc::new(LxcGrammar::new(DIALECTS.for_version(dialect)?)))
    }

    fn cases(&self) -> Vec<Case> {
        let operations = effects::operations().iter().filter(|operation| !operation.signals_init);
        probes::all().into_iter().chain(operations.map(Operation::case)).collect()
    }

    fn operations(&self) -> Vec<&'static dyn Operation> {
        effects::operations().iter().map(|operation| operation as &dyn Operation).collect()
    }

    fn checks(&self, case: &CaseId) -> Vec<Check> {
        let mut checks = verdict::checks::of(case.kind);
        if case.kind == CaseKind::Probe {
            checks.push(checks::ANSWER_HOLDS);
        }
        checks
    }

    fn rules(&self) -> Vec<Cited> {
        checks::RULES.to_vec()
    }

    /// There is no negotiation. What gives a server away is whether it answers what it does not know,
    /// and whether it keeps a connection after an answer; both changed in 4.0.7.
    fn negotiated(&self, _transcript: &Transcript, reading: &Reading) -> Option<String> {
        let steps = || reading.conns.iter().flat_map(|conn| &conn.steps);
        let refuses = steps().flat_map(|step| &step.replies).any(|r| r.meaning == Meaning::NotSupported);
        let keeps = steps().any(|step| step.arg("name") == Some("kept") && step.answers().next().is_some());
        let closes = steps().any(|step| step.answers().next().is_some() && step.closed.is_some());
        match (refuses, keeps, closes) {
            (true, true, _) => Some(IDEAL.to_owned()),
            (true, false, _) | (false, false, true) => Some(">=4.0.7".to_owned()),
            (false, true, _) => Some("<=4.0.6".to_owned()),
            (false, false, false) => None,
        }
    }

    fn lock_table(&self) -> matrix::LockTable {
        lock_table()
    }

    fn defects(&self) -> &'static [Defect] {
        reference::DEFECTS
    }

    /// A monitor of a user's own. Descriptors and credentials travel over unix sockets only, and what a tool has done is seen
    /// where it is installed.
    fn speaks_at(&self, role: Role) -> &'static [At] {
        if role == Role::Server { &[At::Socket] } else { &[] }
    }

    fn peers(&self) -> Peers {
        Peers {
            reference_server: Some(reference::server),
            reference_client: Some(reference::client),
            real_server: Some(launch::server),
            real_client: Some(launch::client),
        }
    }
}

#[cfg(test)]
mod tests;
