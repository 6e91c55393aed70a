//! `containerd-task`: the task API between containerd, which calls, and its shims, which outlive it.
//!
//! Specified by `containerd/containerd`, `api/runtime/task/{v2,v3}/shim.proto`. Services `containerd.task.v2.Task` and
//! `containerd.task.v3.Task` over ttrpc, which [`ttrpc`] reads. A shim is itself a client, of the daemon's event service.
//!
//! ```text
//! schema.rs      the messages of every release, from texts in proto/
//! dialect.rs     what each release does, as data     releases.rs   the table, one entry for each change
//! message.rs     what no comparison may look at      probes.rs     what is asked of every shim, from texts in probes/
//! bootstrap.rs   how a shim is reached               operations.rs what daemons do
//! state.rs       what is left of that in a bundle
//! checks.rs      what calls and events must hold     lock.rs       what every release has promised
//! reference/     shims and daemons                   launch.rs     real ones
//! ```

use std::sync::Arc;

use matrix::{CaseId, CaseKind, Role};
use protocol::dialect::Releases;
use protocol::effects::Operation;
use protocol::launch::At;
use protocol::{Action, Case, Defect, Hazard, Peers, Protocol};
use transcript::Transcript;
use ttrpc::TtrpcGrammar;
use ttrpc::generic::BOTH_WRITE;
use ttrpc::probes::ALONE;
use verdict::{Check, Cited, Grammar, Reading};
use wire::protobuf::Schema;

mod bootstrap;
mod checks;
mod dialect;
mod launch;
mod lock;
mod message;
mod operations;
mod probes;
mod reference;
mod releases;
mod schema;
mod shapes;
mod state;

use dialect::DIALECTS;

/// Name of the protocol.
const NAME: &str = "containerd-task";
/// A container from its beginning to its end, recorded elsewhere, with either service.
const LIFECYCLES: [&str; 2] = ["alone-lifecycle", "alone-v2-lifecycle"];
/// What kills shims of 1.7 and later.
const KILLS: [&str; 3] = ["data-unknown-stream", "data-late", "stream-open-on-unary"];
/// What makes a container though it must not.
const NO_BUNDLE: &str = "create-without-bundle";
/// A daemon that starts and finds a container, recorded elsewhere.
const RELOAD: &str = "recorded-reload";
/// A container of a shim that reports to nobody.
const UNHEARD: &str = "unheard";
/// What a shim reports, recorded elsewhere.
const REPORTED: &str = "recorded-events";

/// The protocol in all its dialects.
#[must_use]
pub fn protocol() -> Arc<dyn Protocol> {
    Arc::new(ContainerdTask)
}

/// A daemon of the shim's release has left a real container, whoever the daemon is that comes.
fn is_real(case: &CaseId) -> bool {
    let operation = operations::operation(&case.name).filter(|operation| operation.kind == case.kind);
    operation.is_some_and(|operation| operation.before == operations::LEFT_BY_DAEMON)
}

#[derive(Debug, Clone, Copy, Default)]
struct ContainerdTask;

fn recorded(kind: CaseKind, name: &'static str, about: &'static str) -> Case {
    Case { id: CaseId::new(kind, name), about, hazard: Hazard::Disturbs, action: Action::Recorded }
}

fn is_lifecycle(case: &CaseId) -> bool {
    LIFECYCLES.iter().any(|name| case.is(CaseKind::Probe, name))
}

/// A shim that is told to end is gone afterwards.
fn ends_shim(case: &CaseId) -> bool {
    case.kind == CaseKind::Probe && (case.name.ends_with("-shutdown") || case.name.ends_with("-shutdown-now"))
}

impl Protocol for ContainerdTask {
    fn name(&self) -> &'static str {
        NAME
    }

    fn alias(&self) -> &'static str {
        "shim"
    }

    fn about(&self) -> &'static str {
        "the task API between containerd and its shims (containerd, api/runtime/task/v3/shim.proto)"
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
        let lifecycle = "a container from its beginning to its end; recorded elsewhere";
        let lifecycles = LIFECYCLES.map(|name| recorded(CaseKind::Probe, name, lifecycle));
        let reload = "a daemon starts and finds a container that runs; recorded elsewhere";
        let events = "what a shim reports of a container; recorded elsewhere";
        let clients =
            [recorded(CaseKind::Client, RELOAD, reload), recorded(CaseKind::Client, REPORTED, events)];
        let operations = operations::OPERATIONS.iter().map(Operation::case);
        probes::all().into_iter().chain(lifecycles).chain(clients).chain(operations).collect()
    }

    fn operations(&self) -> Vec<&'static dyn Operation> {
        operations::OPERATIONS.iter().map(|operation| operation as &dyn Operation).collect()
    }

    fn cannot_replay(&self, case: &CaseId) -> Option<&'static str> {
        if case.is(CaseKind::Client, REPORTED) {
            return Some("a shim calls here, and the server is a daemon");
        }
        if case.is(CaseKind::Client, RELOAD) {
            return Some("there has to be a container that another daemon has started");
        }
        if is_real(case) || case.kind == CaseKind::State {
            return Some("there has to be a container that another daemon has started");
        }
        if is_lifecycle(case) || ends_shim(case) {
            return Some("whether a shim answers before it ends is a race");
        }
        if case.kind == CaseKind::Probe && KILLS.iter().any(|name| case.name.ends_with(name)) {
            return Some("what a shim still says while it dies is a race");
        }
        ttrpc::probes::cannot_replay(case)
    }

    fn takes_part(&self, case: &CaseId) -> Option<String> {
        is_real(case).then(|| "the daemon of the shim's release, which has made the container".to_owned())
    }

    fn checks(&self, case: &CaseId) -> Vec<Check> {
        use ttrpc::checks::{
            ALONE_COMPLETE, CALLS_ANSWERED, CANARIES_ANSWERED, CODE_KEPT, NOTHING_SMUGGLED,
            OPEN_AFTER_OVERSIZE, READS_ON, RECORDED_COMPLETE, STREAMS_INCREASE, WITHIN_LIMIT,
        };
        use verdict::checks::{
            ANSWERED_AS_DUE, ANSWERED_ONCE, GIVES_BACK, READABLE_REPLIES, STATE_KEPT, STAYS_UP,
        };
        if case.is(CaseKind::Client, RELOAD) || case.is(CaseKind::Client, REPORTED) || is_lifecycle(case) {
            let own = [checks::ONE_SERVICE, checks::SAME_PID, checks::EVENTS_IN_ORDER];
            let family = [
                CALLS_ANSWERED,
                STREAMS_INCREASE,
                WITHIN_LIMIT,
                CODE_KEPT,
                READABLE_REPLIES,
                RECORDED_COMPLETE,
            ];
            return family.into_iter().chain(own).collect();
        }
        let mut of_probe = vec![
            CANARIES_ANSWERED,
            CODE_KEPT,
            NOTHING_SMUGGLED,
            OPEN_AFTER_OVERSIZE,
            WITHIN_LIMIT,
            checks::SAME_PID,
        ];
        match case.kind {
            CaseKind::Probe if case.name.starts_with(ALONE) => {
                of_probe.extend([ANSWERED_AS_DUE, ANSWERED_ONCE, READABLE_REPLIES, ALONE_COMPLETE]);
                if !ends_shim(case) {
                    of_probe.push(STAYS_UP);
                }
                of_probe
            }
            CaseKind::Probe => {
                of_probe.extend(case.name.ends_with(BOTH_WRITE).then_some(READS_ON));
                // Whoever has made a container holds it.
                let makes_one = case.name.ends_with(NO_BUNDLE);
                let of_kind = verdict::checks::of(case.kind).into_iter();
                of_probe.extend(of_kind.filter(|check| !makes_one || check.name != GIVES_BACK.name));
                of_probe
            }
            CaseKind::Client => {
                let is_unheard = case.is(CaseKind::Client, UNHEARD);
                let own = [
                    if is_real(case) || is_unheard { checks::ANSWERED_WHILE_IT_RUNS } else { CALLS_ANSWERED },
                    STREAMS_INCREASE,
                    WITHIN_LIMIT,
                    checks::AS_TOLD,
                    checks::SAYS_WHY,
                    checks::ONE_SERVICE,
                    checks::SAME_PID,
                ];
                // What runs is not to be killed by a daemon that comes, nor forgotten.
                let runs = [STATE_KEPT, checks::METADATA_KEPT].into_iter().filter(|_| is_real(case));
                let ends = is_unheard.then_some(checks::ENDS_IN_TIME);
                verdict::checks::of(case.kind).into_iter().chain(own).chain(runs).chain(ends).collect()
            }
            CaseKind::State => {
                verdict::checks::of(case.kind).into_iter().chain([checks::LEFT_FOR_OTHERS]).collect()
            }
            kind => verdict::checks::of(kind),
        }
    }

    fn rules(&self) -> Vec<Cited> {
        ttrpc::checks::rules().into_iter().chain(checks::RULES.iter().copied()).collect()
    }

    /// There is none.
    fn negotiated(&self, _transcript: &Transcript, _reading: &Reading) -> Option<String> {
        None
    }

    /// What a shim is, is told by what it answers to what it does not know.
    fn suspects(&self, reading: &Reading) -> Vec<String> {
        DIALECTS.named("1.7").map(|sandbox| ttrpc::fingerprint(reading, sandbox.schema())).unwrap_or_default()
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

    /// A shim is started with `{socket}` here: in a bundle, by a daemon, it would find a place by itself and print that.
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
mod tests {
    use std::collections::BTreeMap;
    use std::path::Path;

    use matrix::{Build, BuildId, Source};
    use protocol::Bench;

    use super::*;

    #[test]
    fn a_shim_of_ones_own_is_a_program_that_is_told_its_socket() {
        #[track_caller]
        fn check(program: &str, args: &[&str], expect: Result<(), &str>) {
            let build = Build {
                id: BuildId::new("dev"),
                protocol: NAME.into(),
                roles: vec![Role::Server],
                version: "2.1".to_owned(),
                dialect: "2.1".to_owned(),
                sources: Vec::new(),
                like: None,
                settings: BTreeMap::new(),
            };
            let args = args.iter().map(|arg| (*arg).to_owned()).collect();
            let source = Source::Path { path: program.into(), args };
            let bench = Bench { work_dir: Path::new("/").to_owned(), cache_dir: Path::new("/").to_owned() };
            let made = protocol::launch::server(&ContainerdTask, &build, &source, &bench);
            let made = made.map(drop).map_err(|error| error.kind.to_string());
            assert_eq!(made, expect.map_err(str::to_owned));
        }
        check("sh", &["-socket", "{socket}"], Ok(()));
        const NO_DIRECTORY: &str = "build is missing (`/no/such`: No such file or directory (os error 2)); give the directory that holds \
            containerd-shim-runc-v2, or a root directory that has it";
        let missing =
            "build is missing (there is no program `/no/such`); give the program, e.g. `path:./server`";
        check("/no/such", &["{socket}"], Err(missing));
        check("/no/such", &[], Err(NO_DIRECTORY));
        check(
            "sh",
            &["{address}"],
            Err("a server of containerd-task speaks at {socket}, not at {address} or {port}"),
        );
    }
}
