//! The shims and the daemons of four real releases of containerd, each daemon against each shim.
//!
//! Chosen by `WIRESKEW_LIVE=1`; needs root and the fetched builds. No libtest here: see [`protocol::testing`].
#![expect(clippy::disallowed_methods, reason = "real processes run on real time")]
#![allow(clippy::print_stdout, reason = "a test program tells its results to people")]

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use matrix::{Build, BuildId, CaseId, CaseKind, DebianSource, Role, Source};
use protocol::testing::{self, wanted};
use session::{Address, BoxFuture, Client, LaunchError, Launcher, Recorder, Server, Start};
use transcript::{EventKind, ExitStatus};
use ttrpc::Values;
use ttrpc::reference::client::{Called, Calls};
use wire::protobuf::Writer;

/// The suites and packages that are in `matrices/containerd-task/builds.toml`.
const RELEASES: [(&str, &str, &str, &str); 4] = [
    ("1.4.13", "bullseye", "1.4.13~ds1-1~deb11u6", "1.0.0~rc93+ds1-5+deb11u5"),
    ("1.6.20", "bookworm", "1.6.20~ds1-1+deb12u3", "1.1.5+ds1-1+deb12u1"),
    ("1.7.24", "trixie", "1.7.24~ds1-6+deb13u1", "1.1.15+ds1-2+deb13u1"),
    ("2.1.9", "forky", "2.1.9+ds1-5", "1.3.6+ds1-1"),
];
/// What daemons of real builds do with shims of real builds.
const OPERATIONS: [&str; 3] = ["take-over", "upgrade", "rollback"];
const START_DEADLINE: Duration = Duration::from_secs(20);
const OPERATION_DEADLINE: Duration = Duration::from_secs(10);
const CALL_DEADLINE: Duration = Duration::from_secs(10);

struct Release {
    id: &'static str,
    launcher: Arc<dyn Launcher>,
    client: Arc<dyn Client>,
}

impl Release {
    /// The task service that its shim has.
    fn service(&self) -> &'static str {
        if self.id.starts_with("1.") { "containerd.task.v2.Task" } else { "containerd.task.v3.Task" }
    }

    /// Whether it is of the releases that have no `address` in a bundle.
    fn is_new(&self) -> bool {
        self.id == "2.1.9"
    }

    async fn start(&self) -> Box<dyn Server> {
        let started = self.launcher.start(Start::within(START_DEADLINE)).await;
        started.unwrap_or_else(|error| panic!("{error}"))
    }
}

fn main() -> ExitCode {
    testing::live("containerd-task", run)
}

fn release((id, suite, containerd, runc): (&'static str, &str, &str, &str)) -> Release {
    let (protocol, bench) = (containerd_task::protocol(), testing::bench());
    let build = Build {
        id: BuildId::new(id),
        protocol: protocol.name().into(),
        roles: vec![Role::Client, Role::Server],
        version: id.to_owned(),
        dialect: id.to_owned(),
        sources: Vec::new(),
        like: None,
        settings: BTreeMap::new(),
    };
    let packages = [("containerd", containerd), ("runc", runc)];
    let debian = Source::Debian(DebianSource {
        suite: suite.to_owned(),
        packages: packages.map(|(name, version)| (name.to_owned(), version.to_owned())).to_vec(),
        extra: vec!["busybox-static".to_owned()],
        locales: Vec::new(),
        snapshot: None,
    });
    let launcher = protocol.server(&build, &debian, &bench).unwrap_or_else(|error| panic!("{error}"));
    let client = protocol.client(&build, &debian, &bench).unwrap_or_else(|error| panic!("{error}"));
    Release { id, launcher, client }
}

/// Runs what is wanted; what failed.
async fn run() -> Vec<String> {
    let mut failures = Vec::new();
    let releases = RELEASES.map(release);
    for server in &releases {
        for client in &releases {
            let pair = format!("containerd {}..{}", client.id, server.id);
            if wanted(&pair) {
                let start = Instant::now();
                for name in OPERATIONS {
                    run_operation(client, server, name, &mut failures).await;
                }
                meet_elsewhere(client, server).await;
                println!("ok: {pair} ({} ms)", start.elapsed().as_millis());
            }
        }
        if wanted(&format!("containerd {}", server.id)) {
            a_container_has_a_whole_life(server).await;
            what_a_daemon_has_left_is_met(server).await;
            a_crash_is_seen(server).await;
            testing::starts_many(server.id, &server.launcher, START_DEADLINE).await;
        }
    }
    failures
}

/// What must differ from what the operation is for; the rest must be as announced. A daemon before 2.0 does not find the shim of a
/// container that 2.1.9 has started, takes it for dead, kills the container and removes its bundle, and the shim stays (bug SHIM-05).
fn known(
    client: &Release,
    server: &Release,
    operation: &str,
) -> &'static [(&'static str, Option<&'static str>)] {
    let lost = &[
        ("claim.exit", Some("1")),
        ("claim.state", Some("none")),
        ("claim.status", None),
        ("effect.kept", Some("no")),
        ("effect.paused", Some("no")),
        ("effect.resumed", Some("no")),
        ("effect.shim", Some("yes")),
    ];
    let new_lost = &[("claim.exit", Some("1")), ("claim.new-status", None), ("effect.new-kept", Some("no"))];
    match (client.is_new(), server.is_new(), operation) {
        (false, true, _) => lost,
        (true, false, "rollback") => new_lost,
        _ => &[],
    }
}

async fn run_operation(client: &Release, server: &Release, name: &str, failures: &mut Vec<String>) {
    let recorder = Recorder::new();
    let cell = format!("{}..{}/{name}", client.id, server.id);
    let mut running = server.start().await;
    let report = client.client.run(name, &mut *running, &recorder, OPERATION_DEADLINE).await;
    let report = report.unwrap_or_else(|error| panic!("{cell}: {error}"));
    running.stop().await;
    let events = recorder.take();
    let known = known(client, server, name);
    let expected = containerd_task::protocol().expected(&CaseId::new(CaseKind::Client, name));
    let outcomes = testing::outcomes(&expected, &events);
    assert!(!outcomes.is_empty(), "{cell}: nothing is expected of it");
    let differs = |outcome: &&testing::Outcome| {
        let known = known.iter().find(|(word, _)| *word == outcome.of);
        outcome.found.as_deref() != known.map_or(Some(&*outcome.expected), |(_, is)| *is)
    };
    let differ: Vec<_> = outcomes.iter().filter(differs).collect();
    if !differ.is_empty() {
        let said = [report.stdout, report.stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
        failures.push(format!("{cell}: {differ:?}; said {said:?}"));
    }
    let is_met = events.iter().any(|event| matches!(event.kind, EventKind::Data(_)));
    let is_found = !known.iter().any(|(word, _)| *word == "claim.state");
    assert_eq!(is_met, is_found, "{cell}: a daemon meets the shim where it finds it");
}

/// A shim of which nobody knows the slot, as that of a reference server.
struct Elsewhere {
    shim: Box<dyn Server>,
    address: Address,
}

impl Server for Elsewhere {
    fn address(&self) -> &Address {
        &self.address
    }

    fn watch(&mut self, recorder: &Recorder) {
        self.shim.watch(recorder);
    }

    fn prepare<'a>(&'a mut self, condition: &'a str) -> BoxFuture<'a, Result<(), LaunchError>> {
        self.shim.prepare(condition)
    }

    fn effects<'a>(&'a mut self, recorder: &'a Recorder) -> BoxFuture<'a, ()> {
        self.shim.effects(recorder)
    }

    fn stop(self: Box<Self>) -> BoxFuture<'static, ()> {
        self.shim.stop()
    }
}

/// A daemon takes over what it has by a socket alone.
async fn meet_elsewhere(client: &Release, server: &Release) {
    let cell = format!("{}..{} elsewhere", client.id, server.id);
    let shim = server.start().await;
    let Address::Path(socket) = shim.address().clone() else { panic!("{cell}: {}", shim.address()) };
    let link = testing::bench().work_dir.join(format!("{}-{}", client.id, server.id));
    std::os::unix::fs::symlink(socket, &link).expect("the directory is ours");
    let mut shim = Box::new(Elsewhere { shim, address: Address::Path(link) });
    let recorder = Recorder::new();
    let report = client.client.run("take-over", &mut *shim, &recorder, OPERATION_DEADLINE).await;
    let report = report.unwrap_or_else(|error| panic!("{cell}: {error}"));
    shim.stop().await;
    let events = recorder.take();
    let found = |wanted: &str| {
        let mut observed = events.iter().filter_map(|event| match &event.kind {
            EventKind::Observe { key, value } if key == wanted => Some(value.as_str()),
            _ => None,
        });
        observed.next()
    };
    let found =
        ["claim.state", "claim.status", "effect.bundle", "effect.container", "effect.shim"].map(found);
    let expect = match !client.is_new() && server.is_new() {
        false => [Some("running"), Some("137"), Some("no"), Some("gone"), Some("no")],
        true => [Some("none"), None, Some("no"), Some("running"), Some("yes")],
    };
    assert_eq!(found, expect, "{cell}: {}", String::from_utf8_lossy(&report.stderr));
}

/// Calls to the shim of a container.
struct Task {
    calls: Calls,
    service: &'static str,
    id: &'static str,
}

impl Task {
    async fn of(release: &Release, server: &dyn Server, id: &'static str) -> Self {
        let calls = Calls::connect(server.address(), None, CALL_DEADLINE).await;
        Self { calls: calls.expect("the shim listens"), service: release.service(), id }
    }

    fn request(&self) -> Writer {
        Writer::new().text(1, self.id)
    }

    async fn call(&mut self, method: &str, request: Writer) -> Called {
        let called = self.calls.call(self.service, method, &request.finish()).await;
        called.unwrap_or_else(|lost| panic!("{method}: {lost:?}"))
    }

    /// A call that must be carried out.
    async fn done(&mut self, method: &str, request: Writer) -> Bytes {
        match self.call(method, request).await {
            Called::Done(result) => result,
            Called::Failed { code, says } => panic!("{method} failed with {code}: {says}"),
        }
    }

    /// What it is: 2 running, 3 stopped, 4 paused.
    async fn status(&mut self) -> u64 {
        Values(&self.done("State", self.request()).await).uint(4)
    }
}

/// What was observed under that key, last.
fn observed(recorder: &Recorder, wanted: &str) -> Option<String> {
    let observed = recorder.take().into_iter().filter_map(|event| match event.kind {
        EventKind::Observe { key, value } if key == wanted => Some(value),
        _ => None,
    });
    observed.last()
}

/// Created, started, executed into, paused, asked to end, deleted; and the events of that come to us.
async fn a_container_has_a_whole_life(release: &Release) {
    let mut server = release.start().await;
    let mut task = Task::of(release, &*server, "c1").await;
    let bundle = "/run/bundle/c1";
    let create = task.request().text(2, bundle);
    let create = create.text(6, &format!("{bundle}/stdout")).text(7, &format!("{bundle}/stderr"));
    task.done("Create", create).await;
    task.done("Start", task.request()).await;
    assert_eq!(task.status().await, 2, "{}", release.id);
    wait_until_said(&mut *server, "effect.stdout", "hello").await;
    wait_until_said(&mut *server, "effect.stderr", "oops").await;
    task.done("Pause", task.request()).await;
    assert_eq!(task.status().await, 4, "{}", release.id);
    task.done("Resume", task.request()).await;
    let process = r#"{"args":["/init","x"],"cwd":"/","user":{"uid":0,"gid":0},"env":["PATH=/bin"]}"#;
    let kind = "types.containerd.io/opencontainers/runtime-spec/1/Process";
    let specification = Writer::new().text(1, kind).text(2, process);
    task.done("Exec", task.request().text(2, "x1").message(7, specification)).await;
    let executed = task.call("Start", task.request().text(2, "x1")).await;
    // runc 1.0.0-rc93 cannot execute into a container on Linux 6.18: "write init-p: broken pipe".
    assert_eq!(matches!(executed, Called::Done(_)), release.id != "1.4.13", "{}: {executed:?}", release.id);
    let ended = task.done("Wait", task.request().text(2, "x1")).await;
    assert_eq!(Values(&ended).uint(1), if release.id == "1.4.13" { 0 } else { 3 }, "{}", release.id);
    let wait = task.calls.begin(task.service, "Wait", &task.request().finish()).await.expect("it is taken");
    task.done("Kill", task.request().uint(3, 15)).await;
    let Ok(Called::Done(ended)) = task.calls.end(wait).await else { panic!("{}: Wait", release.id) };
    assert_eq!(Values(&ended).uint(1), 7, "{}", release.id);
    task.done("Delete", task.request()).await;
    let recorder = Recorder::new();
    server.watch(&recorder);
    let events = observed(&recorder, "events").unwrap_or_default();
    server.effects(&recorder).await;
    assert_eq!(observed(&recorder, "effect.container").as_deref(), Some("gone"), "{}", release.id);
    // Those before were told before.
    for topic in ["/tasks/paused", "/tasks/resumed", "/tasks/exec-added"] {
        assert!(events.contains(topic), "{}: no {topic} in {events}", release.id);
    }
    server.stop().await;
    println!("ok: containerd {} a whole life", release.id);
}

/// What the container says, is seen.
async fn wait_until_said(server: &mut dyn Server, effect: &str, text: &str) {
    let said = async {
        let recorder = Recorder::new();
        loop {
            server.effects(&recorder).await;
            if observed(&recorder, effect).as_deref() == Some(text) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(CALL_DEADLINE, said).await.unwrap_or_else(|_| panic!("{effect} is not `{text}`"));
}

/// A daemon of the same release starts a container and ends; its shim is the one that is met then.
async fn what_a_daemon_has_left_is_met(release: &Release) {
    let mut server = release.start().await;
    server.prepare("left-by-daemon").await.unwrap_or_else(|error| panic!("{error}"));
    let mut task = Task::of(release, &*server, "d1").await;
    assert_eq!(task.status().await, 2, "{}", release.id);
    let recorder = Recorder::new();
    server.effects(&recorder).await;
    assert_eq!(observed(&recorder, "effect.container").as_deref(), Some("running"), "{}", release.id);
    for method in ["Pause", "Resume"] {
        task.done(method, task.request()).await;
    }
    task.done("Kill", task.request().uint(3, 9)).await;
    task.done("Wait", task.request()).await;
    task.done("Delete", task.request()).await;
    wait_until_said(&mut *server, "effect.kept", "yes").await;
    wait_until_said(&mut *server, "effect.resumed", "yes").await;
    server.effects(&recorder).await;
    assert_eq!(observed(&recorder, "effect.container").as_deref(), Some("gone"), "{}", release.id);
    // It may be gone before it answers.
    drop(task.calls.call(task.service, "Shutdown", &task.request().finish()).await);
    let gone = async {
        loop {
            server.watch(&recorder);
            if recorder.take().iter().any(|event| matches!(event.kind, EventKind::Exit(_))) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(CALL_DEADLINE, gone).await.expect("Shutdown ends the shim");
    server.stop().await;
    println!("ok: containerd {} what a daemon has left", release.id);
}

/// T1: a message of data on a stream that is not open ends a shim over ttrpc 1.2.0 to 1.2.7 by a panic, of which Go makes exit 2.
async fn a_crash_is_seen(release: &Release) {
    let mut server = release.start().await;
    let recorder = Recorder::new();
    server.watch(&recorder);
    let observed: Vec<_> = recorder.take().into_iter().map(|event| event.kind).collect();
    for wanted in ["alive", "fds", "rss_kib"] {
        let found =
            observed.iter().any(|kind| matches!(kind, EventKind::Observe { key, .. } if key == wanted));
        assert!(found, "{}: no `{wanted}` in {observed:?}", release.id);
    }
    let connection = session::Connection::connect(server.address(), CALL_DEADLINE).await;
    let mut connection = connection.expect("the shim listens");
    let header =
        wire::ttrpc::Header { stream: 1, kind: wire::ttrpc::MessageType::DATA, flags: wire::ttrpc::Flags(0) };
    let message = header.message(&[0; 40]);
    connection.send(&message, &[], None, CALL_DEADLINE).await.expect("the shim takes it");
    // Some answer before they end.
    while let Ok(session::Received::Data(..)) = connection.recv(Duration::from_secs(1)).await {}
    server.watch(&recorder);
    let exit = recorder.take().into_iter().find_map(|event| match event.kind {
        EventKind::Exit(status) => Some(status),
        _ => None,
    });
    let expect = matches!(release.id, "1.7.24" | "2.1.9").then_some(ExitStatus::Code(2));
    assert_eq!(exit, expect, "{}", release.id);
    server.stop().await;
}
