//! `kata-agent`: the agent of Kata Containers in the guest, and the runtime on the host that calls it.
//!
//! Specified by `kata-containers/kata-containers`, `src/libs/protocols/protos/{agent,health,oci,types}.proto`. Services
//! `grpc.AgentService` and `grpc.Health` over ttrpc, which [`ttrpc`] reads. There is no negotiation.
//!
//! ```text
//! schema.rs      the messages of every release, from texts in proto/
//! dialect.rs     what each release does, as data     releases.rs   the table, one entry for each change
//! message.rs     what no comparison may look at      probes.rs     what is asked of every agent, from texts in probes/
//! checks.rs      what an answer must hold            operations.rs what runtimes do
//! recorded.rs    what was recorded elsewhere
//! confusion.rs   what an agent takes for something else
//! address.rs     how devices are called
//! words.rs       the words of a specification        persist.rs    what runtimes write down of a sandbox
//! lock.rs        what every release has promised     reference/    agents and runtimes
//! launch.rs      a user's own agent
//! ```

use std::sync::Arc;

use matrix::{Build, CaseId, CaseKind, Role};
use protocol::dialect::{IDEAL, Releases};
use protocol::effects::Operation;
use protocol::launch::{At, CommandLine};
use protocol::{Case, Defect, Made, Peers, Protocol};
use session::Launcher;
use transcript::Transcript;
use ttrpc::TtrpcGrammar;
use ttrpc::generic::BOTH_WRITE;
use ttrpc::probes::ALONE;
use verdict::{Check, Cited, Grammar, Reading};
use wire::protobuf::Schema;

mod address;
mod checks;
mod confusion;
mod dialect;
mod launch;
mod lock;
mod message;
mod operations;
mod persist;
mod probes;
mod recorded;
mod reference;
mod releases;
mod schema;
mod shapes;
mod words;

use dialect::DIALECTS;

/// Name of the protocol.
const NAME: &str = "kata-agent";
/// Arguments that cannot be decoded, behind which agent 2.0.0 was seen to close late.
const LATE: [&str; 3] = [
    "alone-malformed-payload-field-zero",
    "alone-malformed-payload-not-utf8",
    "alone-malformed-payload-truncated",
];
/// The protocol in all its dialects.
#[must_use]
pub fn protocol() -> Arc<dyn Protocol> {
    Arc::new(KataAgent)
}

#[derive(Debug, Clone, Copy, Default)]
struct KataAgent;

impl Protocol for KataAgent {
    fn name(&self) -> &'static str {
        NAME
    }

    fn alias(&self) -> &'static str {
        "kata"
    }

    fn about(&self) -> &'static str {
        "the agent of Kata Containers (kata-containers, src/libs/protocols/protos/agent.proto)"
    }

    fn framing(&self) -> &'static str {
        "ttrpc"
    }

    fn releases(&self) -> Option<&'static dyn Releases> {
        Some(&DIALECTS)
    }

    fn grammar(&self, dialect: &str) -> Option<Arc<dyn Grammar>> {
        Some(Arc::new(TtrpcGrammar(DIALECTS.for_version(dialect)?)))
    }

    fn cases(&self) -> Vec<Case> {
        let operations = operations::OPERATIONS.iter().map(Operation::case);
        probes::all().into_iter().chain(recorded::cases()).chain(operations).collect()
    }

    fn operations(&self) -> Vec<&'static dyn Operation> {
        operations::OPERATIONS.iter().map(|operation| operation as &dyn Operation).collect()
    }

    fn checks(&self, case: &CaseId) -> Vec<Check> {
        use ttrpc::checks::{
            CALLS_ANSWERED, CANARIES_ANSWERED, CODE_KEPT, NOTHING_SMUGGLED, OPEN_AFTER_OVERSIZE, READS_ON,
            RECORDED_COMPLETE, STREAMS_INCREASE, WITHIN_LIMIT,
        };
        use verdict::checks::{ALONE_COMPLETE, ANSWERED_AS_DUE, ANSWERED_ONCE, READABLE_REPLIES, STAYS_UP};
        if recorded::is_recorded(case) {
            let of_recorded = [
                CALLS_ANSWERED,
                STREAMS_INCREASE,
                WITHIN_LIMIT,
                CODE_KEPT,
                READABLE_REPLIES,
                checks::INTERFACES,
                checks::EXIT_OF_HANDLER,
                recorded::AS_RECORDED,
                RECORDED_COMPLETE,
            ];
            let of_client = [checks::BODIES_PASSED_OVER, checks::NEVER_CONFUSES];
            let of_client = of_client.into_iter().filter(|_| case.kind == CaseKind::Client);
            return of_recorded.into_iter().chain(of_client).collect();
        }
        let mut of_probe = vec![
            CANARIES_ANSWERED,
            CODE_KEPT,
            NOTHING_SMUGGLED,
            OPEN_AFTER_OVERSIZE,
            WITHIN_LIMIT,
            checks::INTERFACES,
        ];
        match case.kind {
            CaseKind::Probe if case.name.starts_with(ALONE) => {
                of_probe.extend([ANSWERED_AS_DUE, ANSWERED_ONCE, STAYS_UP, READABLE_REPLIES, ALONE_COMPLETE]);
                of_probe
            }
            CaseKind::Probe => {
                of_probe.extend(case.name.ends_with(BOTH_WRITE).then_some(READS_ON));
                of_probe.extend(verdict::checks::of(case.kind));
                of_probe
            }
            CaseKind::Client => {
                let own = [
                    checks::CALLS_ANSWERED,
                    STREAMS_INCREASE,
                    WITHIN_LIMIT,
                    checks::AS_TOLD,
                    checks::EXIT_OF_HANDLER,
                    checks::KILLED_IS_TOLD,
                    checks::BODIES_PASSED_OVER,
                    checks::NEVER_CONFUSES,
                ];
                verdict::checks::of(case.kind).into_iter().chain(own).collect()
            }
            kind => verdict::checks::of(kind),
        }
    }

    fn rules(&self) -> Vec<Cited> {
        ttrpc::checks::rules()
            .into_iter()
            .chain(ttrpc::recorded::rules())
            .chain(checks::RULES.iter().copied())
            .collect()
    }

    /// There is none.
    fn negotiated(&self, _transcript: &Transcript, _reading: &Reading) -> Option<String> {
        None
    }

    /// What an agent is, is told by what it answers to what it does not know.
    fn suspects(&self, reading: &Reading) -> Vec<String> {
        DIALECTS.named(IDEAL).map(|newest| ttrpc::fingerprint(reading, newest.schema())).unwrap_or_default()
    }

    /// A runtime of a release whose agent cannot give mounts other sizes does not ask for it.
    fn lacks(&self, client: &Build, case: &CaseId) -> Option<String> {
        let (service, method) = operations::UPDATE_MOUNTS;
        let runtime = DIALECTS.for_version(&client.dialect)?;
        let is_lacking = case.is(CaseKind::Client, operations::RESIZE_MEMORY)
            && runtime.schema().method(service, method).is_none();
        is_lacking.then(|| "a runtime of its release gives no mounts more room".to_owned())
    }

    fn cannot_replay(&self, case: &CaseId) -> Option<&'static str> {
        let is_late = LATE.iter().any(|name| case.is(CaseKind::Probe, name));
        let late = is_late.then_some("agent 2.0.0 closes at once, or is silent for seconds before: a race");
        late.or_else(|| ttrpc::probes::cannot_replay(case))
    }

    fn lock_table(&self) -> matrix::LockTable {
        lock::lock_table()
    }

    fn schema(&self, dialect: &str) -> Option<&'static Schema> {
        DIALECTS.named(dialect).map(dialect::Dialect::schema)
    }

    fn schema_releases(&self) -> &'static [&'static str] {
        schema::RELEASES
    }

    fn schema_of(&self, release: &str) -> Option<&'static Schema> {
        schema::schema_of(release)
    }

    fn defects(&self) -> &'static [Defect] {
        &reference::DEFECTS
    }

    fn speaks_at(&self, role: Role) -> &'static [At] {
        if role == Role::Server { &[At::Socket] } else { &[] }
    }

    fn told_by(&self, role: Role, build: &Build) -> &'static [(&'static str, &'static str)] {
        if role == Role::Server { launch::told_by(build) } else { &[] }
    }

    fn own_server(&self, line: CommandLine, build: &Build) -> Made<dyn Launcher> {
        launch::own_server(line, build)
    }

    fn peers(&self) -> Peers {
        Peers {
            reference_server: Some(reference::server),
            reference_client: Some(reference::client),
            real_server: None,
            real_client: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use wire::ttrpc::MessageDecoder;
    use wire::{Decoder, Direction, Frame};

    use super::*;

    fn frame(hex: &str) -> Frame {
        let pair = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).expect("hexadecimal");
        let bytes: Vec<u8> = (0..hex.len()).step_by(2).map(pair).collect();
        MessageDecoder::new()
            .decode(&mut bytes::BytesMut::from(&bytes[..]))
            .expect("a message")
            .expect("all of it")
    }

    /// Measured on kata-agent 3.2.0.
    #[test]
    fn reads_what_was_measured_field_by_field() {
        let grammar = KataAgent.grammar("3.2.0").expect("a release of the table");
        let request = frame("0000001b0000000101000a0b677270632e4865616c7468120756657273696f6e1a030a0161");
        let reply = frame("000000120000000102000a00120e0a05302e302e311205332e322e30");
        let masks = |read: wire::Dissection| -> Vec<String> {
            assert_eq!(read.problems, []);
            let words = read.fields.iter().map(|field| match field.mask {
                Some(mask) => format!("{} ({mask})", field.name),
                None => field.name.to_string(),
            });
            words.collect()
        };
        let head = ["length (syntax)", "stream (stream)", "type", "flags"];
        let of_request = grammar.dissect(Direction::ToServer, &request, None);
        assert_eq!(of_request.title, "request on stream 1 grpc.Health/Version");
        let asked = ["service", "method", "payload (syntax)", "payload.service"];
        assert_eq!(masks(of_request), [&head[..], &asked[..]].concat());
        let of_reply = grammar.dissect(Direction::ToClient, &reply, Some(&request));
        assert_eq!(of_reply.title, "response on stream 1 to Version: OK");
        let said = [
            "status",
            "payload (syntax)",
            "payload.grpc_version (version)",
            "payload.agent_version (version)",
        ];
        assert_eq!(masks(of_reply), [&head[..], &said[..]].concat());
    }

    #[test]
    fn a_runtime_without_a_method_for_mounts_is_not_asked_for_them() {
        #[track_caller]
        fn check(dialect: &str, case: &str, lacks: bool) {
            let build = Build {
                id: matrix::BuildId::new("a"),
                protocol: NAME.into(),
                roles: vec![Role::Client],
                version: dialect.to_owned(),
                dialect: dialect.to_owned(),
                sources: Vec::new(),
                like: None,
                settings: std::collections::BTreeMap::new(),
            };
            let case = CaseId::new(CaseKind::Client, case);
            assert_eq!(KataAgent.lacks(&build, &case).is_some(), lacks, "{dialect} {case}");
        }
        check("3.0", operations::RESIZE_MEMORY, true);
        check("3.0", "lifecycle", false);
        check("3.2", operations::RESIZE_MEMORY, false);
        check(IDEAL, operations::RESIZE_MEMORY, false);
    }

    #[test]
    fn every_case_has_a_name_of_its_own() {
        let mut names: Vec<_> = KataAgent.cases().into_iter().map(|case| case.id.to_string()).collect();
        let all = names.len();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), all);
    }
}
