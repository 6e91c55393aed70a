//! `libvirt-remote`: the socket on which libvirt's daemon takes remote procedure calls.
//!
//! Specified by `libvirt/libvirt`, `src/remote/remote_protocol.x` and `docs/kbase/internals/rpc.rst`; the
//! framing is [`wire::libvirt_rpc`], arguments and results are [`wire::xdr`]. The promise is that messages
//! are only added and none is changed under its number.
//!
//! ```text
//! names.rs       procedures, errors, features and flags with their numbers, in tables of text
//! dialect.rs     what each release does, as data     releases.rs   the table, one entry for each release
//! message.rs     messages field by field, by layouts that are data: message/layouts.txt
//! grammar.rs     how a dialect is read               lock.rs       what every release has promised
//! request.rs     how messages are written            probes/       what is asked of every server
//! scenarios.rs   transactions of interface changes, with deaths and restarts in the middle
//! checks/        what answers and transactions must hold
//! streams.rs     whether clients end the streams that they take
//! operations.rs  what clients are asked to do        claims.rs     what virsh's output says
//! beside.rs      what is so on the server, read beside the client
//! rpc.rs         a small client, for `beside.rs` and the reference clients
//! values.rs      what clients read in results and hand back in later calls
//! launch/        how real builds are started
//! reference/     servers and clients that behave as a release was measured to behave
//! ```

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use matrix::{Build, CaseId, CaseKind, Role};
use protocol::dialect::Releases;
use protocol::effects::Operation;
use protocol::launch::At;
use protocol::{Case, Defect, Peers, Protocol};
use transcript::Transcript;
use verdict::{Check, Cited, Grammar, Meaning, Reading};
use wire::libvirt_rpc::Header;
use wire::xdr::Reader;

use self::operations::Meanwhile;

mod asked;
mod beside;
mod checks;
mod claims;
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
mod rpc;
mod scenarios;
mod shapes;
mod streams;
mod values;

pub(crate) use dialect::DIALECTS;
pub(crate) use grammar::LibvirtGrammar;

/// The protocol in all its dialects.
#[must_use]
pub fn protocol() -> Arc<dyn Protocol> {
    Arc::new(LibvirtRemote)
}

#[derive(Debug, Clone, Copy, Default)]
struct LibvirtRemote;

impl Protocol for LibvirtRemote {
    fn name(&self) -> &'static str {
        "libvirt-remote"
    }

    fn alias(&self) -> &'static str {
        "libvirt"
    }

    fn about(&self) -> &'static str {
        "remote procedure calls to libvirt's daemon (libvirt/libvirt, src/remote/remote_protocol.x)"
    }

    fn framing(&self) -> &'static str {
        "libvirt-rpc"
    }

    fn releases(&self) -> Option<&'static dyn Releases> {
        Some(&DIALECTS)
    }

    fn grammar(&self, dialect: &str) -> Option<Arc<dyn Grammar>> {
        Some(Arc::new(LibvirtGrammar::new(DIALECTS.for_version(dialect)?)))
    }

    fn cases(&self) -> Vec<Case> {
        let operations = operations::operations().map(Operation::case);
        probes::all().into_iter().chain(scenarios::all()).chain(operations).collect()
    }

    fn operations(&self) -> Vec<&'static dyn Operation> {
        operations::operations().map(|operation| operation as &dyn Operation).collect()
    }

    fn cannot_replay(&self, case: &CaseId) -> Option<&'static str> {
        if case.is(CaseKind::Probe, protocol::probe::HALF_CLOSE) {
            return Some("which answers are lost behind a half-close is a race (LV-10)");
        }
        let caused_by_others = |operation: &operations::Operation| operation.meanwhile != Meanwhile::Nothing;
        operations::operation(&case.name)
            .filter(|operation| caused_by_others(operation))
            .map(|_| "another client, which is not recorded, caused the events that came")
    }

    fn checks(&self, case: &CaseId) -> Vec<Check> {
        let mut checks = verdict::checks::of(case.kind);
        checks.extend(checks::of(case.kind));
        if case.kind == CaseKind::Client {
            checks.push(asked::CLIENT_ASKED);
            checks.push(streams::STREAM_CONFIRMED);
        }
        checks
    }

    /// A client of a branch has the number of its dialect.
    fn lacks(&self, client: &Build, case: &CaseId) -> Option<String> {
        let operation = operations::operation(&case.name).filter(|_| case.kind == CaseKind::Client)?;
        let numbered = client.version.starts_with(|first: char| first.is_ascii_digit());
        operation.lacking_in(if numbered { &client.version } else { &client.dialect })
    }

    fn rules(&self) -> Vec<Cited> {
        [checks::all_rules(), asked::RULES.to_vec(), streams::RULES.to_vec()].concat()
    }

    /// There is no negotiation. What gives a server away is the version that it says.
    fn negotiated(&self, _transcript: &Transcript, reading: &Reading) -> Option<String> {
        let steps = reading.conns.iter().flat_map(|conn| &conn.steps);
        let said = steps.flat_map(|step| &step.replies).filter(|reply| reply.meaning == Meaning::Success);
        said.filter_map(|reply| {
            let asked = Header::of_frame(reply.request.as_ref()?)?;
            let wanted = asked.program == names::program::REMOTE
                && asked.procedure == names::procedures::CONNECT_GET_LIB_VERSION;
            let (_, version) = wanted.then(|| Reader::new(reply.at.frame.payload()).u64().ok())??;
            Some(format!("{}.{}.{}", version / 1_000_000, version / 1000 % 1000, version % 1000))
        })
        .next()
    }

    fn lock_table(&self) -> matrix::LockTable {
        lock::lock_table()
    }

    fn settings_for(&self, case: &CaseId) -> BTreeMap<String, String> {
        scenarios::settings_for(case)
    }

    fn defects(&self) -> &'static [Defect] {
        static DEFECTS: LazyLock<Vec<Defect>> =
            LazyLock::new(|| [reference::SERVER_DEFECTS, reference::CLIENT_DEFECTS].concat());
        &DEFECTS
    }

    /// A daemon of a user's own. What virsh has done is seen where it is installed.
    fn speaks_at(&self, role: Role) -> &'static [At] {
        if role == Role::Server { &[At::Socket, At::Tcp] } else { &[] }
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
