//! The daemons and the CLIs of four real releases of Docker, each CLI with each daemon.
//!
//! Chosen by `WIRESKEW_LIVE=1`; needs root and the fetched builds. No libtest here: see [`protocol::testing`].
#![expect(clippy::disallowed_methods, reason = "real processes run on real time")]
#![allow(clippy::print_stdout, reason = "a test program tells its results to people")]

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use matrix::{Build, BuildId, CaseId, CaseKind, DebianSource, Role, Source};
use protocol::testing::{self, wanted};
use session::rootfs::Cache;
use session::sandbox::{Cgroup, Sandbox};
use session::{Address, Client, Launcher, Recorder, Server, ServerAct, Start, Successor, Successors};
use transcript::{Event, EventKind, ExitStatus};

/// Packages and their versions.
type Packages = &'static [(&'static str, &'static str)];

/// The suites and packages that are in `matrices/docker-engine/builds.toml`.
const RELEASES: [(&str, &str, Packages); 4] = [
    ("20.10.5", "bullseye", &[("docker.io", "20.10.5+dfsg1-1+deb11u2")]),
    ("20.10.24", "bookworm", &[("docker.io", "20.10.24+dfsg1-1+deb12u1+b6")]),
    (
        "26.1.5",
        "trixie",
        &[("docker.io", "26.1.5+dfsg1-9+deb13u1"), ("docker-cli", "26.1.5+dfsg1-9+deb13u1")],
    ),
    ("28.5.2", "forky", &[("docker.io", "28.5.2+dfsg4-5"), ("docker-cli", "28.5.2+dfsg4-5")]),
];
const EXTRA: [&str; 6] = ["containerd", "runc", "iptables", "busybox-static", "procps", "ca-certificates"];
/// What every CLI does with every daemon here; the matrix has the rest.
const OPERATIONS: [&str; 3] = ["run", "exec", "stop"];
const START_DEADLINE: Duration = Duration::from_secs(60);
const OPERATION_DEADLINE: Duration = Duration::from_secs(40);
/// How long what a killed run leaves may take to go.
const GONE_DEADLINE: Duration = Duration::from_secs(10);
/// Has the program start a container and do nothing more.
const HOLDS: &str = "WIRESKEW_DOCKER_HOLDS";

struct Release {
    id: &'static str,
    launcher: Arc<dyn Launcher>,
    client: Arc<dyn Client>,
}

impl Release {
    async fn start(&self) -> Box<dyn Server> {
        let started = self.launcher.start(Start::within(START_DEADLINE)).await;
        started.unwrap_or_else(|error| panic!("{error}"))
    }
}

fn main() -> ExitCode {
    if std::env::var_os(HOLDS).is_some() {
        return testing::live("docker-engine", hold);
    }
    let is_outside = Sandbox::inside().is_none();
    let code = testing::live("docker-engine", run);
    let is_asked_for = std::env::var_os("WIRESKEW_LIVE").is_some_and(|value| value == "1");
    if is_outside && is_asked_for && wanted("docker kill -9") {
        nothing_stays_after_kill_9();
    }
    code
}

fn debian(suite: &str, packages: Packages) -> DebianSource {
    let owned = |(name, version): &(&str, &str)| ((*name).to_owned(), (*version).to_owned());
    DebianSource {
        suite: suite.to_owned(),
        packages: packages.iter().map(owned).collect(),
        extra: EXTRA.map(str::to_owned).to_vec(),
        locales: Vec::new(),
        snapshot: None,
    }
}

/// A build of a release, from there.
fn build(id: &'static str, source: &Source) -> Release {
    let (protocol, bench) = (docker_engine::protocol(), testing::bench());
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
    let launcher = protocol.server(&build, source, &bench).unwrap_or_else(|error| panic!("{error}"));
    let client = protocol.client(&build, source, &bench).unwrap_or_else(|error| panic!("{error}"));
    Release { id, launcher, client }
}

fn release((id, suite, packages): (&'static str, &str, Packages)) -> Release {
    build(id, &Source::Debian(debian(suite, packages)))
}

/// Runs what is wanted; what failed.
async fn run() -> Vec<String> {
    let mut failures = Vec::new();
    let releases = RELEASES.map(release);
    for server in &releases {
        for client in &releases {
            let pair = format!("docker {}..{}", client.id, server.id);
            if wanted(&pair) {
                meet(&pair, client, server, &mut failures).await;
            }
        }
        if wanted(&format!("docker {}", server.id)) {
            what_a_container_leaves_is_removed(server).await;
            a_daemon_ends_and_comes_back(server).await;
            testing::starts_many(server.id, &server.launcher, START_DEADLINE).await;
        }
    }
    if wanted("docker replace") {
        a_daemon_is_replaced_by_a_newer_one(&releases).await;
    }
    if wanted("docker path") {
        a_root_of_ones_own_is_a_build(&mut failures).await;
    }
    failures
}

/// A CLI and a daemon, one operation after the other.
async fn meet(pair: &str, client: &Release, server: &Release, failures: &mut Vec<String>) {
    let start = Instant::now();
    let mut running = server.start().await;
    for name in OPERATIONS {
        let recorder = Recorder::new();
        let report = client.client.run(name, &mut *running, &recorder, OPERATION_DEADLINE).await;
        let report = report.unwrap_or_else(|error| panic!("{pair}/{name}: {error}"));
        let events = recorder.take();
        let expected = docker_engine::protocol().expected(&CaseId::new(CaseKind::Client, name));
        let outcomes = testing::outcomes(&expected, &events);
        assert!(!outcomes.is_empty(), "{pair}/{name}: nothing is expected of it");
        let differs = |outcome: &&testing::Outcome| outcome.found.as_ref() != Some(&outcome.expected);
        let differ: Vec<_> = outcomes.iter().filter(differs).collect();
        if !differ.is_empty() {
            let said = [report.stdout, report.stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
            failures.push(format!("{pair}/{name}: {differ:?}; said {said:?}"));
        }
        let has_passed = events.iter().any(|event| matches!(event.kind, EventKind::Data(_)));
        assert!(has_passed, "{pair}/{name}: nothing was recorded");
        running.reset().await.unwrap_or_else(|error| panic!("{pair}/{name}: {error}"));
    }
    running.stop().await;
    println!("ok: {pair} ({} ms)", start.elapsed().as_millis());
}

/// What a daemon says at a path.
fn ask(server: &dyn Server, target: &str) -> String {
    let Address::Path(path) = server.address() else { panic!("{} is no path", server.address()) };
    let mut stream = UnixStream::connect(path).expect("the daemon listens");
    write!(stream, "GET {target} HTTP/1.0\r\n\r\n").expect("it reads");
    let mut said = String::new();
    stream.read_to_string(&mut said).expect("it answers");
    said
}

/// What was observed under that key, last.
fn observed(events: &[Event], wanted: &str) -> Option<String> {
    let values = events.iter().filter_map(|event| match &event.kind {
        EventKind::Observe { key, value } if key == wanted => Some(value.clone()),
        _ => None,
    });
    values.last()
}

/// The cgroups of the run's slots.
fn slots() -> Vec<PathBuf> {
    let sandbox = Sandbox::inside().expect("a live test is inside");
    let entries = fs::read_dir(sandbox.cgroup().path()).expect("it is ours").flatten();
    entries.map(|entry| entry.path()).filter(|path| path.is_dir()).collect()
}

/// Containers, a volume and a configuration are there, and then they are not; and when a slot ends, nothing of it is left.
async fn what_a_container_leaves_is_removed(release: &Release) {
    let id = release.id;
    let before = slots();
    let mut server = release.start().await;
    for condition in ["wrapped", "running bb", "terminal tt", "volume vv"] {
        server.prepare(condition).await.unwrap_or_else(|error| panic!("{id}: {error}"));
    }
    let (listed, volumes) = (ask(&*server, "/containers/json"), ask(&*server, "/volumes"));
    for name in ["\"/aa\"", "\"/bb\"", "\"/tt\""] {
        assert!(listed.contains(name), "{id}: {listed}");
    }
    assert!(volumes.contains("\"vv\""), "{id}: {volumes}");
    let recorder = Recorder::new();
    server.effects(&recorder).await;
    let events = recorder.take();
    let effects = ["state", "others", "shim"].map(|effect| observed(&events, &format!("effect.{effect}")));
    assert_eq!(effects, ["running", "2", "gone"].map(|value| Some(value.to_owned())), "{id}");
    server.reset().await.unwrap_or_else(|error| panic!("{id}: {error}"));
    let (listed, volumes) = (ask(&*server, "/containers/json?all=1"), ask(&*server, "/volumes"));
    assert!(listed.ends_with("[]\n"), "{id}: {listed}");
    assert!(!volumes.contains("\"vv\""), "{id}: {volumes}");
    assert!(!ask(&*server, "/info").contains("\"wrap\""), "{id}: the configuration is as it was");
    server.prepare("running").await.unwrap_or_else(|error| panic!("{id}: {error}"));
    server.stop().await;
    assert_eq!(slots(), before, "{id}: a slot is left");
    println!("ok: docker {id} is as it was");
}

/// Ended, killed, told to reload, and started over what it had.
async fn a_daemon_ends_and_comes_back(release: &Release) {
    let id = release.id;
    let mut server = release.start().await;
    for act in [ServerAct::CrashRestart, ServerAct::Restart, ServerAct::Reload] {
        server.act(&act).await.unwrap_or_else(|error| panic!("{id} {act:?}: {error}"));
    }
    let recorder = Recorder::new();
    server.watch(&recorder);
    let events = recorder.take();
    assert!(!events.iter().any(|event| matches!(event.kind, EventKind::Exit(_))), "{id}: {events:?}");
    assert!(ask(&*server, "/images/json").contains("tiny:1"), "{id}");
    server.act(&ServerAct::Kill).await.unwrap_or_else(|error| panic!("{id}: {error}"));
    server.watch(&recorder);
    assert_eq!(observed(&recorder.take(), "alive").as_deref(), Some("no"), "{id}");
    server.stop().await;
    println!("ok: docker {id} comes back");
}

/// The same data and the same socket, another root.
async fn a_daemon_is_replaced_by_a_newer_one(releases: &[Release]) {
    let [_, old, _, new] = releases else { panic!("there are four") };
    let mut server = old.start().await;
    let successors: Successors = [(Arc::from(new.id), Arc::clone(&new.launcher))].into_iter().collect();
    server.set_successors(&successors);
    for (by, version) in [(Successor::Release(new.id.into()), new.id), (Successor::First, old.id)] {
        server.act(&ServerAct::Replace(by)).await.unwrap_or_else(|error| panic!("{version}: {error}"));
        assert!(ask(&*server, "/version").contains(&format!("\"Version\":\"{version}")), "{version}");
        assert!(ask(&*server, "/images/json").contains("tiny:1"), "{version}");
    }
    server.stop().await;
    println!("ok: docker {} is replaced by {}, and back", old.id, new.id);
}

/// `docker@dev=path:DIR`, where that is a root directory.
async fn a_root_of_ones_own_is_a_build(failures: &mut Vec<String>) {
    let [_, (id, suite, packages), ..] = RELEASES;
    let found = Cache::at(Cache::default_directory()).find(&debian(suite, packages));
    let root = found.ok().flatten().expect("it was fetched").root;
    let own = build(id, &Source::Path { path: root, args: Vec::new() });
    meet("docker path", &own, &own, failures).await;
}

/// Inside: a daemon with a container; then nothing for a long time.
async fn hold() -> Vec<String> {
    let release = release(RELEASES[1]);
    let mut server = release.start().await;
    server.prepare("running").await.unwrap_or_else(|error| panic!("{error}"));
    let sandbox = Sandbox::inside().expect("a live test is inside");
    println!("{}", sandbox.cgroup().path().display());
    tokio::time::sleep(Duration::from_secs(1000)).await;
    Vec::new()
}

/// The harness is killed while a container runs. A cgroup goes only when every process in it has, shims and containers too.
fn nothing_stays_after_kill_9() {
    let temp = tempfile::tempdir().expect("a temporary directory can be made");
    let mut child = Command::new(std::env::current_exe().expect("the test program knows itself"))
        .env(HOLDS, "1")
        .env("TMPDIR", temp.path())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the test program can be started");
    let mut said = String::new();
    let stdout = child.stdout.as_mut().expect("stdout is piped");
    BufReader::new(stdout).read_line(&mut said).expect("stdout can be read");
    let name = Path::new(said.trim()).file_name().expect("it says where it is");
    let cgroup = Cgroup::own().expect("the run has one").path().join(name);
    let processes = processes_below(&cgroup);
    assert!(processes >= 5, "a daemon, its containerd, a shim and a container are {processes} processes");
    child.kill().expect("it is ours");
    let status = child.wait().expect("it is our child");
    assert_eq!(session::process::exit_status(status), ExitStatus::Signal(9));
    let start = Instant::now();
    let is_left = || {
        let mounts = fs::read_to_string("/proc/self/mounts").expect("/proc is there");
        let files = fs::read_dir(temp.path()).expect("it is ours").count();
        cgroup.is_dir() || files > 0 || mounts.contains(&*temp.path().to_string_lossy())
    };
    while is_left() {
        assert!(start.elapsed() < GONE_DEADLINE, "something is left of {}", cgroup.display());
        std::thread::sleep(Duration::from_millis(5));
    }
    println!("ok: docker kill -9 leaves nothing ({} ms)", start.elapsed().as_millis());
}

/// How many processes there are in a cgroup and below.
fn processes_below(cgroup: &Path) -> usize {
    let own = fs::read_to_string(cgroup.join("cgroup.procs")).map_or(0, |text| text.lines().count());
    let below = fs::read_dir(cgroup).into_iter().flatten().flatten().filter(|entry| entry.path().is_dir());
    own + below.map(|entry| processes_below(&entry.path())).sum::<usize>()
}
