//! Command lines of real processes: this test program itself plays them, when a variable says so.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use matrix::{BuildId, Role};
use session::{Connection, LaunchError, Launcher, Received, Recorder, Server, ServerAct, Start, Successor};
use transcript::{EventKind, ExitStatus};
use wire::Direction;

use super::*;

/// Says which peer the test program plays, and where.
const PEER: &str = "WIRESKEW_PROTOCOL_PEER";
/// Tells a peer where to speak.
const TOLD: &str = "WIRESKEW_PROTOCOL_PLACE";
const SOON: Duration = Duration::from_secs(10);
const ALL: &[At] = &[At::Socket, At::Tcp, At::Terminal];

/// Says after everything it is told, and dies of a `!`.
#[expect(clippy::exit, reason = "it plays a process")]
fn parrot(mut stream: impl Read + Write) {
    let mut byte = [0];
    while let Ok(1) = stream.read(&mut byte) {
        if byte == *b"!" {
            std::process::exit(3);
        }
        stream.write_all(&byte).expect("it is taken");
    }
}

/// Says its name and how often it was asked, whoever kept that count before.
fn keep(path: &str, file: &Path, name: &str) {
    for mut stream in UnixListener::bind(path).expect("a place").incoming().flatten() {
        let mut byte = [0];
        while let Ok(1) = stream.read(&mut byte) {
            let before = std::fs::read_to_string(file).map_or(0, |text| text.parse().expect("a number"));
            let count: u32 = before + 1;
            std::fs::write(file, count.to_string()).expect("there is room");
            stream.write_all(format!("{name}{count}").as_bytes()).expect("it is taken");
        }
    }
}

/// Says one thing and hears it again.
fn ask(mut stream: impl Read + Write, what: &str) {
    stream.write_all(what.as_bytes()).expect("it is taken");
    let mut answer = vec![0; what.len()];
    stream.read_exact(&mut answer).expect("it comes");
}

#[test]
fn plays_a_peer_when_told() {
    let Some(told) = std::env::var_os(PEER) else { return };
    let told = told.to_string_lossy().into_owned();
    match told.split_once(' ').expect("a peer and a place") {
        ("socket", path) => {
            UnixListener::bind(path).expect("a place").incoming().flatten().for_each(parrot);
        }
        ("tcp", port) => {
            TcpListener::bind(port).expect("a port").incoming().flatten().for_each(parrot);
        }
        ("pty", path) => {
            let terminal = std::fs::OpenOptions::new().read(true).write(true).open(path);
            parrot(terminal.expect("a terminal"));
        }
        ("abstract", path) => {
            let name = SocketAddr::from_abstract_name(path).expect("a name");
            UnixListener::bind_addr(&name).expect("a place").incoming().flatten().for_each(parrot);
        }
        ("muxer", path) => {
            for mut client in UnixListener::bind(path).expect("a place").incoming().flatten() {
                let mut asked = [0; 10];
                client.read_exact(&mut asked).expect("a line");
                client.write_all(if asked == *b"CONNECT 7\n" { b"OK 1\n" } else { b"NO\n" }).expect("taken");
                parrot(client);
            }
        }
        ("told", kind) => {
            let place = std::env::var(TOLD).expect("it is told");
            let place = place.strip_prefix("unix:").expect("a unix socket");
            assert_eq!(kind, "socket");
            UnixListener::bind(place).expect("a place").incoming().flatten().for_each(parrot);
        }
        ("keeper", rest) => {
            let [path, directory, name] = rest.split(' ').collect::<Vec<_>>()[..] else { panic!("{rest}") };
            keep(path, &Path::new(directory).join("count"), name);
        }
        ("client", rest) => {
            let (path, operation) = rest.split_once(' ').expect("an operation");
            ask(UnixStream::connect(path).expect("somebody listens"), operation);
        }
        ("speaker", rest) => {
            let (path, operation) = rest.split_once(' ').expect("an operation");
            let terminal = std::fs::OpenOptions::new().read(true).write(true).open(path);
            ask(terminal.expect("a terminal"), operation);
        }
        other => panic!("{other:?}"),
    }
}

fn build() -> Build {
    Build {
        id: BuildId::new("dev"),
        protocol: "toy".into(),
        roles: vec![Role::Client, Role::Server],
        version: "1.0".to_owned(),
        dialect: "1.0".to_owned(),
        sources: Vec::new(),
        like: None,
        settings: BTreeMap::new(),
    }
}

fn path(program: &str, args: &[&str]) -> Source {
    Source::Path { path: program.into(), args: args.iter().map(|arg| (*arg).to_owned()).collect() }
}

/// This very program as a peer, as a user would give it.
fn peer(told: &str) -> Source {
    let exe = std::env::current_exe().expect("it runs");
    let exe = exe.to_string_lossy();
    let test = "launch::tests::plays_a_peer_when_told";
    path("env", &[&format!("{PEER}={told}"), &exe, "--exact", test, "--nocapture"])
}

fn bench(dir: &Path) -> Bench {
    Bench::new(dir, dir)
}

fn line(source: &Source, role: Role, at: &[At], dir: &Path) -> Result<Option<CommandLine>, LaunchError> {
    CommandLine::of(&build(), source, role, Speaks { at, told_by: &[] }, &bench(dir))
}

async fn start(source: &Source, deadline: Duration, dir: &Path) -> Result<Box<dyn Server>, LaunchError> {
    let line = line(source, Role::Server, ALL, dir)?.expect("it has a place");
    OwnServers::new(line).start(Start::within(deadline)).await
}

async fn says(server: &dyn Server, text: &'static str) -> String {
    let mut connection = Connection::connect(server.address(), SOON).await.expect("it listens");
    connection.send(&Bytes::from_static(text.as_bytes()), &[], None, SOON).await.expect("it is taken");
    match connection.recv(SOON).await.expect("the socket is whole") {
        Received::Data(data, _) => String::from_utf8_lossy(&data.bytes).into_owned(),
        other => format!("{other:?}"),
    }
}

fn seen(server: &mut dyn Server) -> Vec<EventKind> {
    let recorder = Recorder::new();
    server.watch(&recorder);
    recorder.take().into_iter().map(|event| event.kind).collect()
}

/// How a server has ended, as soon as that is seen.
async fn exit(server: &mut dyn Server) -> ExitStatus {
    let until = tokio::time::Instant::now() + SOON;
    loop {
        match seen(server).pop() {
            Some(EventKind::Exit(status)) => return status,
            _ if tokio::time::Instant::now() > until => panic!("it is not seen to"),
            _ => tokio::time::sleep(Duration::from_millis(1)).await,
        }
    }
}

#[tokio::test]
async fn a_server_is_met_wherever_it_speaks() {
    for told in ["socket {socket}", "tcp {address}", "tcp 127.0.0.1:{port}", "pty {pty}"] {
        let dir = tempfile::tempdir().expect("a directory");
        let mut server = start(&peer(told), SOON, dir.path()).await.unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(says(&*server, "a").await, "a", "{told}");
        assert!(server.worker().is_some_and(|worker| worker.look().is_some()), "{told}");
        let observed = seen(&mut *server);
        let is_seen =
            |name| observed.iter().any(|kind| matches!(kind, EventKind::Observe { key, .. } if key == name));
        assert!(["alive", "fds", "rss_kib"].into_iter().all(is_seen), "{told}: {observed:?}");
        let again = server.act(&ServerAct::CrashRestart).await;
        assert_eq!(again.is_ok(), !told.starts_with("pty"), "{told}: {again:?}");
        if again.is_ok() {
            assert_eq!(says(&*server, "b").await, "b", "{told}");
        }
        server.stop().await;
    }
}

#[tokio::test]
async fn another_command_line_takes_a_servers_place_and_finds_what_it_left() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut server = start(&peer("keeper {socket} {dir} a"), SOON, dir.path()).await.expect("it listens");
    let successor = |told, at| {
        let line = line(&peer(told), Role::Server, &[at], dir.path());
        let servers = OwnServers::new(line.expect("right").expect("it has a place"));
        Arc::new(servers) as Arc<dyn Launcher>
    };
    let keeper = successor("keeper {socket} {dir} b", At::Socket);
    let elsewhere = successor("tcp {address}", At::Tcp);
    server.set_successors(&[("b".into(), keeper), ("tcp".into(), elsewhere)].into_iter().collect());
    assert_eq!(says(&*server, "?").await, "a1");
    let by = |release| ServerAct::Replace(Successor::release(release));
    for (act, expect) in
        [(by("b"), "b2"), (ServerAct::Restart, "b3"), (ServerAct::Replace(Successor::First), "a4")]
    {
        server.act(&act).await.unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(says(&*server, "?").await, expect, "{act}");
    }
    let error = server.act(&by("tcp")).await.expect_err("it is elsewhere").to_string();
    assert_eq!(error, "start toy dev: nobody can do that to this server");
    assert_eq!((server.replaced_by(), &*says(&*server, "?").await), (Some(&Successor::First), "a5"));
    server.stop().await;
}

#[tokio::test]
async fn a_server_is_told_to_read_its_configuration_again() {
    let dir = tempfile::tempdir().expect("a directory");
    let Source::Path { path: program, args } = peer("socket {socket}") else { panic!("it is one") };
    let deaf = ["-c", "trap '' HUP; exec \"$@\"", "sh"].map(str::to_owned);
    let args = deaf.into_iter().chain([program.display().to_string()]).chain(args).collect();
    let deaf = Source::Path { path: "sh".into(), args };
    let mut server = start(&deaf, SOON, dir.path()).await.expect("it listens");
    server.act(&ServerAct::Reload).await.expect("it is told");
    assert_eq!(says(&*server, "a").await, "a");
    server.stop().await;
    // Who has never heard of that dies of it.
    let mut server = start(&peer("socket {socket}"), SOON, dir.path()).await.expect("it listens");
    server.act(&ServerAct::Reload).await.expect("it is told");
    assert_eq!(exit(&mut *server).await, ExitStatus::Signal(1));
}

#[tokio::test]
async fn a_server_that_listens_and_dies_is_seen_to() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut server = start(&peer("socket {socket}"), SOON, dir.path()).await.expect("it listens");
    assert!(["Eof", "Reset"].contains(&&*says(&*server, "!").await));
    assert_eq!(exit(&mut *server).await, ExitStatus::Code(3));
}

#[tokio::test]
async fn a_client_is_started_for_its_operation_behind_a_proxy() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut server = start(&peer("tcp {address}"), SOON, dir.path()).await.expect("it listens");
    for (told, at) in
        [("client {socket} {operation}", At::Socket), ("speaker {pty} {operation}", At::Terminal)]
    {
        let client = line(&peer(told), Role::Client, &[at], dir.path());
        let client = OwnClient::new(client.expect("right").expect("it has a place"), BTreeMap::new());
        let recorder = Recorder::new();
        let report = client.run("hello", &mut *server, &recorder, SOON).await.expect("carried out");
        let complaints = String::from_utf8_lossy(&report.stderr).into_owned();
        assert_eq!(report.exit, Some(ExitStatus::Code(0)), "{complaints}");
        // In how many pieces it passes is the kernel's affair.
        let mut passed: BTreeMap<Direction, Vec<u8>> = BTreeMap::new();
        for event in recorder.take() {
            if let EventKind::Data(data) = event.kind {
                passed.entry(event.dir).or_default().extend_from_slice(&data.bytes);
            }
        }
        let said = |dir| passed.get(&dir).map(Vec::as_slice);
        assert_eq!(said(Direction::ToServer), Some(&b"hello"[..]), "{told}");
        assert_eq!(said(Direction::ToClient), Some(&b"hello"[..]), "{told}");
    }
    server.stop().await;
}

#[tokio::test]
async fn says_what_is_wrong_with_a_server() {
    const SHORT: Duration = Duration::from_millis(300);
    let check = async |source: Source, expect: &str| {
        let dir = tempfile::tempdir().expect("a directory");
        let error = start(&source, SHORT, dir.path()).await.map(drop).expect_err("it is wrong");
        assert!(error.to_string().starts_with(&format!("start toy dev: {expect}")), "{error}");
    };
    let missing = "build is missing (there is no program `/no/such`); give the program, e.g. `path:./server`";
    check(path("/no/such", &["{socket}"]), missing).await;
    let ends = path("sh", &["-c", "echo no room >&2; exit 3", "{socket}"]);
    check(ends, "ended at once: Code(3): no room").await;
    let sleeps = path("sh", &["-c", "echo waiting; sleep 20", "{socket}"]);
    check(sleeps, "it does not listen on /").await;
    let sleeps = path("sh", &["-c", "ls -d $1; sleep 20", "sh", "{dir}", "{address}"]);
    check(sleeps, "it does not listen on 127.0.0.1:").await;
    check(path("sh", &["{socket}", "{pty}"]), "{socket} or {pty} are several places to speak at").await;
}

#[test]
fn says_where_a_side_can_speak() {
    #[track_caller]
    fn check(args: &[&str], role: Role, at: &[At], expect: &str) {
        let found = line(&path("sh", args), role, at, Path::new("/"));
        let error = found.expect_err("it is wrong").to_string();
        assert_eq!(error, format!("start toy dev: {expect}"));
    }
    let expect = "a server of toy speaks at {socket} or {address} or {port}, not at {pty}";
    check(&["{pty}"], Role::Server, &[At::Socket, At::Tcp], expect);
    let expect = "a client of toy cannot be a command line; give the directory of an installed build";
    check(&["x={socket}"], Role::Client, &[], expect);
    let directory = line(&path("/opt/toy", &["-v"]), Role::Server, ALL, Path::new("/"));
    assert!(directory.expect("nothing is wrong").is_none());
    let error = CommandLine::expected(&build(), ALL).to_string();
    assert!(error.contains("no argument has {socket} or {address} or {port} or {pty}"), "{error}");
}

#[tokio::test]
async fn a_server_is_met_where_its_protocol_says_that_it_is() {
    for (told, bound) in [
        ("socket {socket}", Bound::Path),
        ("abstract {socket}", Bound::Abstract { tail: b"" }),
        ("abstract {socket}.tail", Bound::Abstract { tail: b".tail" }),
        ("muxer {socket}", Bound::HybridVsock { port: 7 }),
    ] {
        let dir = tempfile::tempdir().expect("a directory");
        let servers = |bound| {
            let line = line(&peer(told), Role::Server, &[At::Socket], dir.path()).expect("right");
            OwnServers::new(line.expect("it has a place").bound(bound))
        };
        let server = servers(bound).start(Start::within(SOON)).await;
        let mut server = server.unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(says(&*server, "a").await, "a", "{told}");
        server.act(&ServerAct::CrashRestart).await.unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(says(&*server, "b").await, "b", "{told}");
        // A successor that is elsewhere has not its address.
        let elsewhere = Arc::new(servers(Bound::HybridVsock { port: 8 })) as Arc<dyn Launcher>;
        server.set_successors(&[("b".into(), elsewhere)].into_iter().collect());
        let replaced = server.act(&ServerAct::Replace(Successor::release("b"))).await;
        let refused = replaced.expect_err("it is elsewhere").to_string();
        assert_eq!(refused, "start toy dev: nobody can do that to this server", "{told}");
        server.stop().await;
        let left = std::fs::read_dir(dir.path()).expect("it is there").count();
        assert_eq!(left, 0, "{told}");
    }
}

#[tokio::test]
async fn a_muxer_that_lets_nobody_through_is_named() {
    let dir = tempfile::tempdir().expect("a directory");
    let line = line(&peer("muxer {socket}"), Role::Server, &[At::Socket], dir.path()).expect("right");
    let servers = OwnServers::new(line.expect("it has a place").bound(Bound::HybridVsock { port: 8 }));
    let error = servers.start(Start::within(Duration::from_millis(1500))).await.map(drop);
    let error = error.expect_err("it is wrong").to_string();
    assert!(error.starts_with("start toy dev: it does not listen on vsock port 8 behind /"), "{error}");
    assert!(error.contains("within 1500 ms (muxer-word): "), "{error}");
}

#[tokio::test]
async fn a_program_alone_is_told_by_a_variable() {
    let dir = tempfile::tempdir().expect("a directory");
    let speaks = Speaks { at: &[At::Socket], told_by: &[(TOLD, "unix:{socket}")] };
    let of = |source: &Source| CommandLine::of(&build(), source, Role::Server, speaks, &bench(dir.path()));
    let line = of(&peer("told socket")).expect("right").expect("it has a place");
    assert_eq!(line.endpoint().command[0], format!("{TOLD}=unix:{{socket}}"));
    let server = OwnServers::new(line).start(Start::within(SOON)).await.unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(says(&*server, "a").await, "a");
    server.stop().await;
    // An argument is the user's own word, and then there is no variable.
    let line = of(&peer("socket {socket}")).expect("right").expect("it has a place");
    assert!(line.endpoint().command.iter().all(|word| !word.contains(TOLD)));
    let error = of(&path("sh", &["{pty}"])).expect_err("it is wrong").to_string();
    assert_eq!(error, "start toy dev: a server of toy speaks at {socket}, not at {pty}");
    let error = of(&path("/no/such", &[])).expect_err("it is wrong").to_string();
    assert!(error.contains("there is no program `/no/such`"), "{error}");
}

#[tokio::test]
async fn a_protocol_explains_what_a_process_said_at_its_end() {
    let knows: Explains = |said| said.contains("EROOM").then_some("there is no room; make some");
    let check = async |script: &str, expect: &str| {
        let dir = tempfile::tempdir().expect("a directory");
        let line = line(&path("sh", &["-c", script, "{socket}"]), Role::Server, ALL, dir.path());
        let servers = OwnServers::new(line.expect("right").expect("it has a place").explained(knows));
        let error = servers.start(Start::within(SOON)).await.map(drop).expect_err("it is wrong");
        assert_eq!(error.to_string(), format!("start toy dev: ended at once: Code(1): {expect}"));
    };
    check("echo Error: EROOM >&2; exit 1", "Error: EROOM; there is no room; make some").await;
    // Wherever it said so.
    check("echo EROOM; echo bye >&2; exit 1", "bye; there is no room; make some").await;
    check("echo bye >&2; exit 1", "bye").await;
    check("exit 1", "it said nothing").await;
}
