//! Real processes: this test program itself plays them, when a variable says so.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;

use matrix::BuildId;
use protocol::Bench;
use protocol::defect::Switches;
use session::proxy::Proxy;
use session::{Address, Recorder, Server, Start};
use transcript::{ConnId, EventKind, Provenance, Transcript};
use wire::Direction;

use super::*;
use crate::dialect::DIALECTS;
use crate::message::Message;
use crate::model::Host;
use crate::names::{API_VERSION_MESSAGE, HEARTBEAT, REFRESH};
use crate::{OvirtGuestAgent, reference, scenarios};

/// Says which peer the test program plays, and where: `agent <socket>`, `terminal <pty>`, `host <socket>`.
const PEER: &str = "WIRESKEW_OVIRT_PEER";
const DEADLINE: Duration = Duration::from_secs(10);
const AGENT: &str = "1.0.16";
const HOST: &str = "4.50.7";

fn bench(dir: &Path) -> Bench {
    Bench::new(dir, dir)
}

fn build(version: &str, role: Role) -> Build {
    Build {
        id: BuildId::new("dev"),
        protocol: "ovirt-guest-agent".into(),
        roles: vec![role],
        version: version.to_owned(),
        dialect: version.to_owned(),
        sources: Vec::new(),
        like: None,
        settings: BTreeMap::from([("heartbeat".to_owned(), "100".to_owned())]),
    }
}

/// This very program as a peer, as a user would give it.
fn line(peer: &str) -> Source {
    let exe = std::env::current_exe().expect("it runs");
    let test = "launch::tests::plays_a_peer_when_told";
    let args = [&format!("{PEER}={peer}"), &*exe.to_string_lossy(), "--exact", test, "--nocapture"];
    Source::Path { path: "env".into(), args: args.map(str::to_owned).to_vec() }
}

fn own_server(source: &Source, dir: &Path) -> Made<dyn Launcher> {
    protocol::launch::server(&OvirtGuestAgent, &build(AGENT, Role::Server), source, &bench(dir))
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime")
}

#[test]
fn plays_a_peer_when_told() {
    let Some(told) = std::env::var_os(PEER) else { return };
    let told = told.to_string_lossy().into_owned();
    match told.split_once(' ').expect("a peer and a place") {
        ("agent", socket) => runtime().block_on(async {
            let _server = play_agent(Path::new(socket)).await;
            std::future::pending::<()>().await;
        }),
        ("terminal", pty) => play_on_terminal(pty),
        ("host", socket) => play_host(socket),
        other => panic!("{other:?}"),
    }
}

/// A reference agent, and a proxy at the socket that is connected to its port while somebody is connected there.
async fn play_agent(socket: &Path) -> (Box<dyn Server>, Proxy) {
    let agent = reference_agent(&std::env::temp_dir()).start(Start::within(DEADLINE)).await.expect("started");
    let listen = Address::Path(socket.to_owned());
    let proxy = Proxy::start(listen, agent.address().clone(), Recorder::new(), ConnId(1)).expect("a socket");
    (agent, proxy)
}

/// An agent at a socket, and all bytes between that and the terminal.
fn play_on_terminal(pty: &str) {
    let dir = tempfile::tempdir().expect("a directory");
    let socket = dir.path().join("agent");
    let runtime = runtime();
    let _server = runtime.block_on(play_agent(&socket));
    let terminal = std::fs::OpenOptions::new().read(true).write(true).open(pty).expect("a terminal");
    let agent = UnixStream::connect(&socket).expect("it listens");
    let (mut from_terminal, mut to_terminal) = (terminal.try_clone().expect("a copy"), terminal);
    let (mut from_agent, mut to_agent) = (agent.try_clone().expect("a copy"), agent);
    std::thread::spawn(move || std::io::copy(&mut from_terminal, &mut to_agent));
    std::io::copy(&mut from_agent, &mut to_terminal).expect("the terminal is whole");
}

/// A host that tries to connect until it is killed.
fn play_host(socket: &str) {
    let facts = DIALECTS.for_version(HOST).and_then(|dialect| dialect.host.clone()).expect("a host");
    let mut host = Host::start(facts, Switches::default(), None);
    loop {
        if let Ok(mut stream) = UnixStream::connect(socket) {
            let refresh = host.connect().expect("a refresh");
            stream.write_all(&refresh).expect("it is taken");
            let mut buffer = vec![0; 4096];
            while let Ok(count @ 1..) = stream.read(&mut buffer) {
                for answer in host.read(&buffer[..count]) {
                    stream.write_all(&answer).expect("it is taken");
                }
            }
            host.disconnect();
        }
        #[expect(clippy::disallowed_methods, reason = "it waits for real processes")]
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Carries out a scenario; what was seen, as a transcript that could be kept.
fn carry_out(
    client: impl FnOnce(&Path) -> Arc<dyn Client>,
    server: impl FnOnce(&Path) -> Arc<dyn Launcher>,
    scenario: &str,
) -> Transcript {
    let dir = tempfile::tempdir().expect("a directory");
    let (client, launcher) = (client(dir.path()), server(dir.path()));
    let events = runtime().block_on(async {
        let mut server = launcher.start(Start::within(DEADLINE)).await.expect("started");
        let recorder = Recorder::new();
        let done = client.run(scenario, &mut *server, &recorder, DEADLINE).await.expect("carried out");
        assert!(done.exit.is_some(), "not in time");
        server.stop().await;
        assert!(!is_left(dir.path()), "{scenario}: a process is still there");
        recorder.take()
    });
    let transcript = Transcript { provenance: Provenance::default(), events };
    transcript.check().expect("a transcript");
    transcript
}

/// Whether a process runs that was told of a place in a directory.
fn is_left(dir: &Path) -> bool {
    let told = |process: std::fs::DirEntry| std::fs::read(process.path().join("environ")).unwrap_or_default();
    let place = dir.as_os_str().as_encoded_bytes();
    let mut processes = std::fs::read_dir("/proc").expect("it is mounted").flatten();
    processes.any(|process| memchr::memmem::find(&told(process), place).is_some())
}

fn reference_host(_: &Path) -> Arc<dyn Client> {
    reference::client(&build(HOST, Role::Client), &[]).expect("a host")
}

fn reference_agent(dir: &Path) -> Arc<dyn Launcher> {
    reference::server(&build(AGENT, Role::Server), &[], &bench(dir)).expect("an agent")
}

fn names(transcript: &Transcript, dir: Direction) -> Vec<String> {
    let mut names = Vec::new();
    for conn in transcript.conns() {
        let stream = transcript.stream(conn, dir);
        let lines = stream.split(|byte| *byte == b'\n').filter_map(Message::read);
        names.extend(lines.map(|message| message.name().to_owned()));
    }
    names
}

fn count(names: &[String], name: &str) -> usize {
    names.iter().filter(|found| *found == name).count()
}

#[test]
fn an_agent_that_listens_on_a_socket_is_restarted_behind_the_hosts_connection() {
    let agent = |dir: &Path| own_server(&line("agent {socket}"), dir).expect("found");
    let transcript = carry_out(reference_host, agent, "restart");
    assert_eq!(transcript.conns().len(), 1);
    let connects = transcript.events.iter().filter(|event| event.kind == EventKind::Connect).count();
    assert_eq!(connects, 2, "the host, and the new agent behind its connection");
    let announced = count(&names(&transcript, Direction::ToServer), API_VERSION_MESSAGE);
    assert_eq!(announced, 2, "once for each process of the agent");
}

#[test]
fn an_agent_that_opens_a_terminal_speaks_with_hosts() {
    let agent = |dir: &Path| own_server(&line("terminal {pty}"), dir).expect("found");
    let transcript = carry_out(reference_host, agent, "host-restart");
    assert_eq!(transcript.conns().len(), 2);
    assert_eq!(count(&names(&transcript, Direction::ToServer), API_VERSION_MESSAGE), 2);
    assert!(count(&names(&transcript, Direction::ToClient), HEARTBEAT) > 4);
}

#[test]
fn a_host_is_started_and_killed_behind_a_proxy() {
    let host = |dir: &Path| {
        let build = build(HOST, Role::Client);
        protocol::launch::client(&OvirtGuestAgent, &build, &line("host {socket}"), &bench(dir))
            .expect("found")
    };
    for (scenario, conns) in [("restart", 1), ("host-restart", 2), ("migration-to-4.17.44", 2)] {
        let transcript = carry_out(host, reference_agent, scenario);
        assert_eq!(transcript.conns().len(), conns, "{scenario}");
        assert_eq!(count(&names(&transcript, Direction::ToServer), REFRESH), conns, "{scenario}");
        assert_eq!(count(&names(&transcript, Direction::ToServer), API_VERSION_MESSAGE), 2, "{scenario}");
        let last = transcript.events.last().map(|event| (&event.kind, event.dir));
        assert!(matches!(last, Some((EventKind::Eof(_), Direction::ToServer))), "{scenario}: {last:?}");
    }
}

#[test]
fn says_what_is_wrong_with_a_command_line() {
    #[track_caller]
    fn check(path: &str, args: &[&str], expect: &str) {
        let args = args.iter().map(|arg| (*arg).to_owned()).collect();
        let source = Source::Path { path: path.into(), args };
        let dir = std::env::temp_dir();
        let found = own_server(&source, &dir);
        let started = found.and_then(|launcher| {
            runtime().block_on(launcher.start(Start::within(DEADLINE))).map(|_server| ())
        });
        let text = started.expect_err("it is wrong").to_string();
        assert!(text.contains(expect), "{text}");
    }
    check("/no/such/agent", &["{socket}"], "there is no program `/no/such/agent`");
    check("sh", &["-c", "true"], "no argument has {socket} or {pty}, so it cannot be told where to speak");
    check("sh", &["-c", "echo no port >&2; exit 3", "{socket}"], "ended at once: Code(3): no port");
}

#[test]
fn a_real_host_cannot_leave_and_go_on() {
    let mut real = build(HOST, Role::Client);
    real.sources = vec![line("host {socket}")];
    let lacks = |build: &Build, name| lacks(build, scenarios::scenario(name).expect("a scenario")).is_some();
    assert!(lacks(&real, "host-reconnect") && !lacks(&real, "host-restart"));
    assert!(!lacks(&build(HOST, Role::Client), "host-reconnect"));
}
