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
//! state.rs       what is left of that in a bundle    lock.rs       what every release has promised
//! checks.rs      what calls and events must hold     judged.rs     which case is held to what
//! reference/     shims and daemons                   launch.rs     real ones
//! recorded.rs    what was recorded elsewhere
//! ```

use std::sync::Arc;

use matrix::{Build, CaseId, CaseKind, Role};
use protocol::dialect::Releases;
use protocol::effects::Operation;
use protocol::launch::At;
use protocol::{Action, Case, Defect, Hazard, Peers, Protocol};
use transcript::Transcript;
use ttrpc::TtrpcGrammar;
use verdict::{Check, Cited, Grammar, Reading};
use wire::protobuf::Schema;

mod bootstrap;
mod checks;
mod dialect;
mod judged;
mod launch;
mod lock;
mod message;
mod operations;
mod probes;
mod recorded;
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

/// A real daemon starts the program of another release's shim. Nobody stands between the two.
fn starts_program(case: &CaseId) -> bool {
    let operation = operations::operation(&case.name).filter(|operation| operation.kind == case.kind);
    operation.is_some_and(|operation| operation.before == operations::INSTALLED)
}

#[derive(Debug, Clone, Copy, Default)]
struct ContainerdTask;

fn recorded(kind: CaseKind, name: &'static str, about: &'static str) -> Case {
    Case::new(CaseId::new(kind, name), about, Hazard::Disturbs, Action::Recorded)
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

    fn is_without(&self, shim: &Build, case: &CaseId) -> Option<String> {
        let asked = probes::service_of(case)?;
        let shim = DIALECTS.for_version(&shim.dialect)?;
        shim.schema()
            .service(asked)
            .is_none()
            .then(|| format!("a shim of its release does not serve {asked}"))
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
        if starts_program(case) {
            return Some("there has to be a program that a daemon starts");
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
        if starts_program(case) {
            return Some("the program of the shim, which a daemon has started".to_owned());
        }
        is_real(case).then(|| "the daemon of the shim's release, which has made the container".to_owned())
    }

    fn checks(&self, case: &CaseId) -> Vec<Check> {
        judged::by(case)
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

    /// What a shim is, is told by what it answers to what it does not know.
    fn suspects(&self, reading: &Reading) -> Vec<String> {
        ttrpc::fingerprint(reading, dialect::of_all_shims())
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

    use matrix::{BuildId, Source};
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
            let bench = Bench::new("/", "/");
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

    #[test]
    fn a_recorded_shim_is_known_by_what_it_answers() {
        #[track_caller]
        fn check(server: &str, least: usize) {
            let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../fixtures/containerd-task");
            let dialect = DIALECTS.named(server).expect("a release of the table");
            let mut told = 0;
            for entry in std::fs::read_dir(fixtures.join(format!("probe..{server}"))).expect("recordings") {
                let path = entry.expect("a recording").path();
                let transcript: Transcript = transcript::fixture::load(&path).expect("it can be read");
                let grammar = ContainerdTask.grammar(server).expect("there is one");
                let reading = Reading::of(&transcript, &*grammar);
                let suspects = ContainerdTask.suspects(&reading);
                if suspects.is_empty() {
                    continue;
                }
                let is_named = suspects.iter().any(|family| family == dialect.family.name);
                assert!(is_named, "{}: {suspects:?}", path.display());
                told += 1;
            }
            assert!(told >= least, "{server}: {told} recordings say what the shim is");
        }
        check("1.4", 45);
        check("1.7", 45);
        check("2.1", 45);
    }
}
