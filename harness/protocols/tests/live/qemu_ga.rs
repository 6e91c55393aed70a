//! The four real releases of qemu-ga, on a socket and on a line.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use matrix::{Build, BuildId, DebianSource, Role, Source};
use protocols::Bench;
use protocols::qemu_ga::message::{Body, Reply};
use protocols::qemu_ga::{launch, request};
use session::rootfs::Cache;
use session::sandbox::Sandbox;
use session::{Connection, Launcher, Received, Recorder, Server, Start};
use transcript::{ConnId, EventKind};

use crate::wanted;

/// The suites and packages that are in `matrices/qemu-ga/builds.toml`.
const RELEASES: [(&str, &str, &str); 4] = [
    ("5.2", "bullseye", "1:5.2+dfsg-11+deb11u5"),
    ("7.2", "bookworm", "1:7.2+dfsg-7+deb12u18+b3"),
    ("10.0", "trixie", "1:10.0.13+ds-0+deb13u1"),
    ("11.1", "forky", "1:11.1.2+ds-3"),
];
const START_DEADLINE: Duration = Duration::from_secs(10);
const SOON: Duration = Duration::from_secs(2);

fn launcher(
    id: &str,
    suite: &str,
    version: &str,
    settings: &[(&str, &str)],
) -> Result<Arc<dyn Launcher>, String> {
    let state = Sandbox::inside().expect("main checked it").state().to_owned();
    let bench = Bench { work_dir: state, cache_dir: Cache::default_directory(), seed: 0 };
    let settings = settings.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
    let build = Build {
        id: BuildId(id.to_owned()),
        protocol: "qemu-ga".to_owned(),
        roles: vec![Role::Server],
        version: id.to_owned(),
        dialect: id.to_owned(),
        sources: Vec::new(),
        like: None,
        settings: settings.collect::<BTreeMap<_, _>>(),
    };
    let source = Source::Debian(DebianSource {
        suite: suite.to_owned(),
        packages: vec![("qemu-guest-agent".to_owned(), version.to_owned())],
        extra: Vec::new(),
        locales: Vec::new(),
        snapshot: None,
    });
    launch::server(&build, &source, &bench).map_err(|error| error.to_string())
}

/// Starts every release on a socket and on a line, and talks to it.
pub(crate) async fn run() {
    for (id, suite, version) in RELEASES {
        for transport in ["unix", "pty"] {
            let name = format!("qemu-ga {id} {transport}");
            if !wanted(&name) {
                continue;
            }
            let launcher = launcher(id, suite, version, &[("transport", transport)]);
            let launcher = launcher.unwrap_or_else(|error| panic!("{error}"));
            let start = Instant::now();
            let mut server =
                launcher.start(Start::within(START_DEADLINE)).await.unwrap_or_else(|error| panic!("{error}"));
            let up = start.elapsed();
            answers_and_is_seen(&mut *server, &name).await;
            one_client_at_a_time(&mut *server, &name).await;
            nothing_that_does_harm_is_sent(&mut *server, &name);
            server.stop().await;
            println!("ok: {name} starts in {} ms", up.as_millis());
        }
        let error = launcher(id, suite, version, &[("allow", "guest-suspend-ram")]).err();
        let expect = "no real agent may carry out";
        assert!(error.as_deref().is_some_and(|error| error.contains(expect)), "{error:?}");
    }
}

async fn ask(connection: &mut Connection, bytes: &[u8], name: &str) -> Vec<Reply> {
    connection
        .send(&Bytes::copy_from_slice(bytes), &[], None, SOON)
        .await
        .unwrap_or_else(|end| panic!("{name}: {end:?}"));
    let mut received = Vec::new();
    while !received.ends_with(b"\n") {
        match connection.recv(SOON).await {
            Ok(Received::Data(data, _)) => received.extend_from_slice(&data.bytes),
            other => panic!("{name}: {other:?}"),
        }
    }
    received.split_inclusive(|byte| *byte == b'\n').map(Reply::of).collect()
}

async fn answers_and_is_seen(server: &mut dyn Server, name: &str) {
    let mut connection = Connection::connect(server.address(), SOON).await.expect("it listens");
    let replies = ask(&mut connection, &request::sync(77), name).await;
    assert_eq!(replies.last().and_then(Reply::number), Some(77), "{name}: {replies:?}");
    let replies = ask(&mut connection, &request::plain("guest-exec"), name).await;
    let blocked = matches!(replies.as_slice(), [Reply { body: Body::Error { class, .. }, .. }] if class == "CommandNotFound");
    assert!(blocked, "{name}: {replies:?}");
    let recorder = Recorder::new();
    server.watch(&recorder);
    let seen: Vec<_> = recorder.take().into_iter().map(|event| event.kind).collect();
    for wanted in ["alive", "fds", "rss_kib", "cpu_ms"] {
        let found = seen.iter().any(|kind| matches!(kind, EventKind::Observe { key, .. } if key == wanted));
        assert!(found, "{name}: no `{wanted}` in {seen:?}");
    }
}

async fn one_client_at_a_time(server: &mut dyn Server, name: &str) {
    let mut first = Connection::connect(server.address(), SOON).await.expect("it listens");
    ask(&mut first, &request::sync(1), name).await;
    let mut second = Connection::connect(server.address(), SOON).await.expect("it listens");
    second.send(&request::sync(2), &[], None, SOON).await.expect("there is room");
    let early = second.recv(Duration::from_millis(30)).await.expect("nothing is wrong with the socket");
    assert!(matches!(early, Received::Timeout), "{name}: {early:?}");
    drop(first);
    let late = second.recv(SOON).await.expect("nothing is wrong with the socket");
    assert!(matches!(late, Received::Data(..)), "{name}: {late:?}");
}

fn nothing_that_does_harm_is_sent(server: &mut dyn Server, name: &str) {
    for (command, may) in [("guest-ping", true), ("guest-exec", true), ("guest-shutdown", false)] {
        let allowed = server.may_send(ConnId(1), &request::plain(command));
        assert_eq!(allowed.is_ok(), may, "{name}: {command}: {allowed:?}");
    }
}
