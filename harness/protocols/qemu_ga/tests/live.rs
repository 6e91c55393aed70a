//! The four real releases of qemu-ga, on a socket and on a line.
//!
//! Chosen by `WIRESKEW_LIVE=1`; needs root and the fetched builds. No libtest here: see [`protocol::testing`].
#![expect(clippy::disallowed_methods, reason = "real processes run on real time")]
#![allow(clippy::print_stdout, reason = "a test program tells its results to people")]

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use matrix::{Build, BuildId, DebianSource, Role, Source};
use protocol::testing::{self, wanted};
use session::{Connection, Launcher, Received, Recorder, Server, Start};
use transcript::{ConnId, EventKind};
use wire::json::{Document, Rules, Value};

/// The suites and packages that are in `matrices/qemu-ga/builds.toml`.
const RELEASES: [(&str, &str, &str); 4] = [
    ("5.2", "bullseye", "1:5.2+dfsg-11+deb11u5"),
    ("7.2", "bookworm", "1:7.2+dfsg-7+deb12u18+b3"),
    ("10.0", "trixie", "1:10.0.13+ds-0+deb13u1"),
    ("11.1", "forky", "1:11.1.2+ds-3"),
];
const START_DEADLINE: Duration = Duration::from_secs(10);
const SOON: Duration = Duration::from_secs(2);

fn main() -> ExitCode {
    testing::live("qemu-ga", run)
}

fn launcher(
    id: &str,
    suite: &str,
    version: &str,
    settings: &[(&str, &str)],
) -> Result<Arc<dyn Launcher>, String> {
    let protocol = qemu_ga::protocol();
    let settings = settings.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
    let build = Build {
        id: BuildId::new(id),
        protocol: protocol.name().into(),
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
    protocol.server(&build, &source, &testing::bench()).map_err(|error| error.to_string())
}

/// Starts every release on a socket and on a line, and talks to it. What is wrong ends the program at once.
async fn run() -> Vec<String> {
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
    Vec::new()
}

/// A request without arguments.
fn plain(command: &str) -> Bytes {
    Bytes::from(format!("{{\"execute\":\"{command}\"}}\n"))
}

/// guest-sync, which answers the number.
fn sync(number: i64) -> Bytes {
    Bytes::from(format!("{{\"execute\":\"guest-sync\",\"arguments\":{{\"id\":{number}}}}}\n"))
}

/// The integer that a reply returns.
fn number(reply: &[u8]) -> Option<i64> {
    let document = Document::parse(reply, Rules::QEMU_REPLY).ok()?;
    let root = document.root();
    root.get("return").filter(|_| root.get("error").is_none())?.as_i64()
}

/// The class of the error that a reply is.
fn error_class(reply: &[u8]) -> Option<String> {
    let document = Document::parse(reply, Rules::QEMU_REPLY).ok()?;
    let root = document.root();
    let error = root.get("error").filter(|_| root.get("return").is_none())?;
    error.get("class").and_then(Value::text).map(|class| class.into_owned())
}

/// Sends a request; the lines that come.
async fn ask(connection: &mut Connection, request: &Bytes, name: &str) -> Vec<Bytes> {
    let sent = connection.send(request, &[], None, SOON).await;
    sent.unwrap_or_else(|end| panic!("{name}: {end:?}"));
    let mut received = Vec::new();
    while !received.ends_with(b"\n") {
        match connection.recv(SOON).await {
            Ok(Received::Data(data, _)) => received.extend_from_slice(&data.bytes),
            other => panic!("{name}: {other:?}"),
        }
    }
    received.split_inclusive(|byte| *byte == b'\n').map(Bytes::copy_from_slice).collect()
}

async fn answers_and_is_seen(server: &mut dyn Server, name: &str) {
    let mut connection = Connection::connect(server.address(), SOON).await.expect("it listens");
    let replies = ask(&mut connection, &sync(77), name).await;
    assert_eq!(replies.last().and_then(|reply| number(reply)), Some(77), "{name}: {replies:?}");
    let replies = ask(&mut connection, &plain("guest-exec"), name).await;
    let classes: Vec<_> = replies.iter().map(|reply| error_class(reply)).collect();
    assert_eq!(classes, [Some("CommandNotFound".to_owned())], "{name}: {replies:?}");
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
    ask(&mut first, &sync(1), name).await;
    let mut second = Connection::connect(server.address(), SOON).await.expect("it listens");
    second.send(&sync(2), &[], None, SOON).await.expect("there is room");
    let early = second.recv(Duration::from_millis(30)).await.expect("nothing is wrong with the socket");
    assert!(matches!(early, Received::Timeout), "{name}: {early:?}");
    drop(first);
    let late = second.recv(SOON).await.expect("nothing is wrong with the socket");
    assert!(matches!(late, Received::Data(..)), "{name}: {late:?}");
}

fn nothing_that_does_harm_is_sent(server: &mut dyn Server, name: &str) {
    for (command, may) in [("guest-ping", true), ("guest-exec", true), ("guest-shutdown", false)] {
        let allowed = server.may_send(ConnId(1), &plain(command));
        assert_eq!(allowed.is_ok(), may, "{name}: {command}: {allowed:?}");
    }
}
