//! The four real LXC releases, each client against each monitor.
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
use session::{Client, Launcher, Recorder, Start};
use transcript::{EventKind, ExitStatus};

/// The suites and packages that are in `matrices/lxc-command/builds.toml`.
const RELEASES: [(&str, &str, &str); 4] = [
    ("4.0.6", "bullseye", "1:4.0.6-2+deb11u2"),
    ("5.0.2", "bookworm", "1:5.0.2-1+deb12u4"),
    ("6.0.4", "trixie", "1:6.0.4-4+deb13u4"),
    ("7.0.0", "forky", "1:7.0.0-2+b1"),
];
/// Operations in which the tool sends a signal to the pid that the server answered. A reference server has no init to
/// answer, so only real servers meet them; they are no cases.
const SIGNAL_INIT: [&str; 1] = ["shutdown"];
const START_DEADLINE: Duration = Duration::from_secs(10);
const OPERATION_DEADLINE: Duration = Duration::from_secs(5);

struct Release {
    id: &'static str,
    launcher: Arc<dyn Launcher>,
    /// The reference server that behaves as this release was measured to.
    reference: Arc<dyn Launcher>,
    client: Arc<dyn Client>,
}

fn main() -> ExitCode {
    testing::live("lxc", run)
}

fn releases() -> Vec<Release> {
    RELEASES.iter().map(|(id, suite, version)| release(id, suite, version)).collect()
}

fn release(id: &'static str, suite: &str, version: &str) -> Release {
    let (protocol, bench) = (lxc::protocol(), testing::bench());
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
    let debian = Source::Debian(DebianSource {
        suite: suite.to_owned(),
        packages: vec![("lxc".to_owned(), version.to_owned())],
        extra: vec!["busybox-static".to_owned()],
        locales: Vec::new(),
        snapshot: None,
    });
    let launcher = protocol.server(&build, &debian, &bench).unwrap_or_else(|error| panic!("{error}"));
    let client = protocol.client(&build, &debian, &bench).unwrap_or_else(|error| panic!("{error}"));
    let reference = Source::Reference { defects: Vec::new() };
    let reference = protocol.server(&build, &reference, &bench).unwrap_or_else(|error| panic!("{error}"));
    Release { id, launcher, reference, client }
}

/// Runs the pairs that are wanted; what failed.
async fn run() -> Vec<String> {
    let mut failures = Vec::new();
    let releases = releases();
    for server in &releases {
        for client in &releases {
            let pair = format!("lxc {}..{}", client.id, server.id);
            if wanted(&pair) {
                let start = Instant::now();
                run_pair(client, server, &mut failures).await;
                println!("ok: {pair} ({} ms)", start.elapsed().as_millis());
            }
        }
        if wanted(&format!("lxc {}", server.id)) {
            a_killed_monitor_is_seen(server).await;
            testing::starts_many(server.id, &server.launcher, START_DEADLINE).await;
        }
    }
    failures
}

/// Every operation on the real server, and on the reference server wherever that can.
async fn run_pair(client: &Release, server: &Release, failures: &mut Vec<String>) {
    let cases = testing::operations(&*lxc::protocol());
    assert!(!cases.is_empty(), "a client can do something");
    for name in cases {
        run_operation(client, server.id, ("", &server.launcher), name, failures).await;
        run_operation(client, server.id, ("ref-", &server.reference), name, failures).await;
    }
    for name in SIGNAL_INIT {
        run_operation(client, server.id, ("", &server.launcher), name, failures).await;
    }
}

/// What must differ from what the operation is for; the rest must be as announced. Bugs LXC-08, LXC-09 and LXC-10 of the four
/// releases, in the pure cgroup2 view.
fn known(client: &str, server: &str, operation: &str) -> &'static [(&'static str, &'static str)] {
    let (old_client, old_server) = (client == "4.0.6", server == "4.0.6");
    match operation {
        "freeze" if old_server && !old_client => {
            &[("claim.exit", "1"), ("effect.state", "RUNNING"), ("effect.frozen", "no")]
        }
        "unfreeze" if old_server && !old_client => {
            &[("claim.exit", "1"), ("effect.state", "FROZEN"), ("effect.frozen", "yes")]
        }
        "cgroup" if old_server != old_client => &[("claim.exit", "1"), ("effect.device-rule", "no")],
        "attach" | "attach-terminal" if old_server && !old_client => &[("effect.cgroup", "outside")],
        _ => &[],
    }
}

async fn run_operation(
    client: &Release,
    server: &str,
    (kind, launcher): (&str, &Arc<dyn Launcher>),
    name: &str,
    failures: &mut Vec<String>,
) {
    let recorder = Recorder::new();
    let cell = format!("{}..{kind}{server}/{name}", client.id);
    let mut running =
        launcher.start(Start::within(START_DEADLINE)).await.unwrap_or_else(|error| panic!("{cell}: {error}"));
    let report = client.client.run(name, &mut *running, &recorder, OPERATION_DEADLINE).await;
    let report = report.unwrap_or_else(|error| panic!("{cell}: {error}"));
    running.stop().await;
    let events = recorder.take();
    let known = known(client.id, server, name);
    let expected = lxc::protocol().expected(&CaseId::new(CaseKind::Client, name));
    let mut outcomes = testing::outcomes(&expected, &events);
    assert!(!outcomes.is_empty(), "{cell}: nothing is expected of it");
    for outcome in &mut outcomes {
        if let Some((_, is)) = known.iter().find(|(word, _)| *word == outcome.of) {
            (*is).clone_into(&mut outcome.expected);
        }
    }
    if outcomes.iter().any(|outcome| outcome.found.as_deref() != Some(&*outcome.expected)) {
        let said = [report.stdout, report.stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
        failures.push(format!("{cell}: {outcomes:?}; said {said:?}"));
    }
    assert!(
        events.iter().any(|event| matches!(event.kind, EventKind::Data(_))),
        "{cell}: nothing was recorded"
    );
}

/// LXC-01: one request of 16 bytes ends the monitor by SIGSEGV.
async fn a_killed_monitor_is_seen(release: &Release) {
    let mut server =
        release.launcher.start(Start::within(START_DEADLINE)).await.unwrap_or_else(|error| panic!("{error}"));
    let recorder = Recorder::new();
    server.watch(&recorder);
    let observed: Vec<_> = recorder.take().into_iter().map(|event| event.kind).collect();
    for wanted in ["alive", "fds", "rss_kib"] {
        let found =
            observed.iter().any(|kind| matches!(kind, EventKind::Observe { key, .. } if key == wanted));
        assert!(found, "{}: no `{wanted}` in {observed:?}", release.id);
    }
    let connection = session::Connection::connect(server.address(), Duration::from_secs(1)).await;
    let mut connection = connection.expect("the monitor listens");
    let request = [7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    connection
        .send(&Bytes::copy_from_slice(&request), &[], None, Duration::from_secs(1))
        .await
        .expect("the monitor takes it");
    let _ = connection.recv(Duration::from_secs(2)).await;
    server.watch(&recorder);
    let seen: Vec<_> = recorder.take().into_iter().map(|event| event.kind).collect();
    assert_eq!(seen, [EventKind::Exit(ExitStatus::Signal(11))], "{}", release.id);
    server.stop().await;
}
