//! A project in a temporary folder, and runs of it.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use matrix::{Partition, Selection};
use protocol::{Action, Bench, Protocol};
use runner::{Clock, Journal, Plan, PlanError, Project, Request, RunEvent, RunOptions};
use session::{Step, Transport};
use tokio::sync::{mpsc, watch};
use transcript::{ConnId, Data, Endpoint, Event, EventKind, Provenance, Transcript};
use verdict::{CellResult, RunResults};
use wire::Direction;

pub(crate) const PROTOCOL: &str = "lxc-command";

const BUILDS: &str = r#"
protocol = "lxc-command"
alias = "lxc"

[[build]]
id = "ideal"
reference = true

[[build]]
id = "kept"
version = "4.0.6"
recorded = true
"#;

const MATRIX: &str = r#"
protocol = "lxc-command"

[[cells]]
name = "probes"
about = "three probes"
clients = ["probe"]
servers = ["ideal"]
cases = ["probe/unknown-payload-0", "probe/unknown-payload-16", "probe/two-in-one-write"]
source = "reference"

[[cells]]
name = "recorded"
about = "two recorded probes"
clients = ["probe"]
servers = ["kept"]
cases = ["probe/unknown-payload-0", "probe/unknown-payload-16"]
source = "recorded"
"#;

/// Builds of which the older has no `net-desc`, with a source for each group.
pub(crate) const LIBVIRT_BUILDS: &str = r#"
protocol = "libvirt-remote"
alias = "libvirt"

[[build]]
id = "older"
version = "9.0.0"
reference = true
recorded = true

[[build]]
id = "newer"
version = "12.8.0"
reference = true
recorded = true
"#;

/// The protocols of such projects.
pub(crate) fn protocols() -> Vec<Arc<dyn Protocol>> {
    vec![libvirt::protocol(), lxc::protocol()]
}

/// A folder with the files of a project.
pub(crate) struct Files(pub(crate) tempfile::TempDir);

impl Files {
    pub(crate) fn new() -> Self {
        let files = Self(tempfile::tempdir().expect("a temporary folder can be made"));
        files.write("matrices/lxc-command/builds.toml", BUILDS);
        files.write("matrices/lxc-command/matrix.toml", MATRIX);
        files.write("matrices/lxc-command/expectations.toml", "protocol = \"lxc-command\"\n");
        files.write("matrices/lxc-command/known-bugs.toml", "protocol = \"lxc-command\"\n");
        for group in ["probes", "recorded"] {
            let run = format!("[[run]]\nprotocol = \"{PROTOCOL}\"\ngroups = [\"{group}\"]\n");
            files.write(&format!("matrices/{group}.toml"), &run);
        }
        files
    }

    pub(crate) fn write(&self, path: &str, text: &str) {
        let path = self.0.path().join(path);
        std::fs::create_dir_all(path.parent().expect("it lies in the project"))
            .expect("the folder can be made");
        std::fs::write(path, text).expect("the file can be written");
    }

    /// The run `them` of libvirt, with those groups of cells.
    pub(crate) fn libvirt(&self, cells: &str) {
        let (folder, head) = ("matrices/libvirt-remote", "protocol = \"libvirt-remote\"\n");
        self.write(&format!("{folder}/builds.toml"), LIBVIRT_BUILDS);
        self.write(&format!("{folder}/matrix.toml"), &format!("{head}\n{cells}"));
        self.write(&format!("{folder}/expectations.toml"), head);
        self.write(&format!("{folder}/known-bugs.toml"), head);
        self.write("matrices/them.toml", &format!("[[run]]\n{head}groups = [\"them\"]\n"));
    }

    /// A fixture with that header, and what the client of the case does without ever getting an answer.
    pub(crate) fn fixture(&self, path: &str, server: &str, case: &str) {
        let end = |id: &str| Endpoint {
            id: id.to_owned(),
            name: id.to_owned(),
            version: Some("4.0.6".to_owned()),
            ..Endpoint::default()
        };
        let provenance = Provenance {
            protocol: PROTOCOL.to_owned(),
            case: case.to_owned(),
            recorder: "a test".to_owned(),
            client: end("probe"),
            server: end(server),
            ..Provenance::default()
        };
        self.write(path, &transcript::text::render(&Transcript { provenance, events: client_side(case) }));
    }

    pub(crate) fn project(&self) -> Project {
        Project::load(self.0.path(), &protocols(), &[]).expect("the files are right")
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }
}

/// The events of a script to which nobody answers.
fn client_side(case: &str) -> Vec<Event> {
    let protocol = lxc::protocol();
    let cases = protocol.cases();
    let case = cases.iter().find(|known| known.id.to_string() == case);
    let Some(Action::Script(script)) = case.map(|case| &case.action) else { return Vec::new() };
    let event = |conn: ConnId, kind| Event { at_us: 0, conn, dir: Direction::ToServer, kind };
    let see = |key: &str| EventKind::Observe { key: key.to_owned(), value: "1".to_owned() };
    let mut events = Vec::new();
    for step in &script.make().steps {
        match step {
            Step::Connect(conn) => events.push(event(*conn, EventKind::Connect)),
            Step::Mark(conn, mark) => events.push(event(*conn, EventKind::Mark(mark.clone()))),
            Step::Send { conn, payload, .. } => {
                let bytes = payload.fixed().expect("the probes of lxc quote nothing").clone();
                let data = Data { bytes, ..Data::default() };
                events.push(event(*conn, EventKind::Data(data)));
            }
            Step::Watch => events.extend(["alive", "fds"].map(|key| event(ConnId(0), see(key)))),
            _ => {}
        }
    }
    events
}

pub(crate) fn plan(project: &Project, group: &str, partition: Option<&Partition>) -> Result<Plan, PlanError> {
    let name = format!("matrices/{group}.toml");
    let run = project.run_file(&project.root.join(&name)).expect("the run file is right");
    runner::plan(project, &Request { name, run: &run, selection: &Selection::all(), partition })
}

/// What a run may be given besides its plan.
#[derive(Default)]
pub(crate) struct With {
    pub(crate) retries: usize,
    pub(crate) partition: Option<Partition>,
    pub(crate) transport: Transport,
    pub(crate) stopped: bool,
    /// Stops the run when its first cell is begun.
    pub(crate) stop_at_first: bool,
    pub(crate) journal: Option<Journal>,
    pub(crate) done: BTreeMap<String, CellResult>,
}

/// Runs a group; also gives the names of the cells that were run, as events told them.
pub(crate) async fn run(project: Project, group: &str, with: With) -> (RunResults, Vec<String>) {
    let (results, events) = run_with_events(project, group, with).await;
    let finished = events.into_iter().filter_map(|event| match event {
        RunEvent::Finished(result, _) => Some(result.cell),
        _ => None,
    });
    let mut finished: Vec<_> = finished.collect();
    finished.sort();
    (results, finished)
}

/// Runs a group; also gives what was reported.
pub(crate) async fn run_with_events(
    project: Project,
    group: &str,
    with: With,
) -> (RunResults, Vec<RunEvent>) {
    let plan = plan(&project, group, with.partition.as_ref()).expect("the matrix does not contradict itself");
    let work = tempfile::tempdir().expect("a temporary folder can be made");
    let (stopper, stop) = watch::channel(with.stopped);
    let options = RunOptions {
        seed: 7,
        jobs: None,
        transport: with.transport,
        deadline_scale: 1.0,
        retries: with.retries,
        bench: Bench::new(work.path(), work.path()),
        flags: Vec::new(),
        clock: Clock {
            today: jiff::civil::date(2026, 11, 20),
            now: "2026-11-20T00:00:00Z".to_owned(),
            environment: BTreeMap::new(),
        },
        stop,
    };
    let (events, mut inbox) = mpsc::unbounded_channel();
    let reader = tokio::spawn(async move {
        let mut told = Vec::new();
        while let Some(event) = inbox.recv().await {
            if with.stop_at_first && matches!(event, RunEvent::CellStarted(_)) {
                stopper.send_replace(true);
            }
            told.push(event);
        }
        told
    });
    let (project, plan, options) = (Arc::new(project), Arc::new(plan), Arc::new(options));
    let results = runner::run(project, plan, options, with.journal, with.done, events).await;
    (results, reader.await.expect("the reader does not panic"))
}

/// Outcomes in words, in the order of the cells.
pub(crate) fn outcomes(results: &RunResults) -> Vec<&'static str> {
    results.cells.iter().map(|cell| cell.outcome.word()).collect()
}
