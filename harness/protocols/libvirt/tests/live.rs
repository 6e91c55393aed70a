//! The four real libvirt releases: each daemon as usual and under every setting, each `virsh` against each daemon.
//!
//! Chosen by `WIRESKEW_LIVE=1`; needs root and the fetched builds. No libtest here: see [`protocol::testing`].
#![expect(clippy::disallowed_methods, reason = "real processes run on real time")]
#![allow(clippy::print_stdout, reason = "a test program tells its results to people")]

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use matrix::{Build, Builds, CaseId, CaseKind, Role, Source};
use protocol::testing::{self, wanted};
use session::{Client, Connection, Launcher, Received, Recorder, Server, ServerAct, Start};
use transcript::{Event, EventKind, ExitStatus};
use wire::libvirt_rpc::{HEAD_LEN, Header, MessageType, Status};
use wire::xdr::{Reader, Writer};

const START_DEADLINE: Duration = Duration::from_secs(10);
const OPERATION_DEADLINE: Duration = Duration::from_secs(10);
const ANSWER_DEADLINE: Duration = Duration::from_secs(3);
const TEST: &str = "test:///default";
const INTERFACES: &str = "interface:///session";
/// Code and domain of the error that says that a procedure is unknown.
const UNKNOWN: (i32, i32) = (39, 7);

/// An interface that nobody has.
const NEW_INTERFACE_XML: &str = "<interface type='ethernet' name='eth9'><start mode='none'/>\
<mac address='aa:bb:cc:dd:ee:99'/><mtu size='1500'/><protocol family='ipv4'>\
<ip address='10.9.9.9' prefix='24'/></protocol></interface>";

/// Calls that are made here, by their numbers in `remote_protocol.x`.
mod procedures {
    pub(crate) const CONNECT_OPEN: i32 = 1;
    pub(crate) const CONNECT_GET_TYPE: i32 = 3;
    pub(crate) const AUTH_LIST: i32 = 66;
    pub(crate) const INTERFACE_DEFINE_XML: i32 = 131;
    pub(crate) const INTERFACE_CHANGE_BEGIN: i32 = 220;
    pub(crate) const CONNECT_LIST_ALL_INTERFACES: i32 = 284;
    pub(crate) const NODE_GET_FREE_PAGES: i32 = 340;
}

struct Daemon {
    id: String,
    launcher: Arc<dyn Launcher>,
    settings: Vec<String>,
}

struct Tool {
    id: String,
    build: Build,
    client: Arc<dyn Client>,
}

fn main() -> ExitCode {
    testing::live("libvirt", run)
}

/// What `builds.toml` has from Debian.
fn releases() -> (Vec<Daemon>, Vec<Tool>) {
    let (protocol, bench) = (libvirt::protocol(), testing::bench());
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../matrices/libvirt-remote/builds.toml");
    let builds = Builds::load(&file).unwrap_or_else(|error| panic!("{error}"));
    let (mut daemons, mut tools) = (Vec::new(), Vec::new());
    for build in builds.iter() {
        let debian = build.sources.iter().find(|source| matches!(source, Source::Debian(_)));
        let Some(source) = debian else { continue };
        let id = build.id.to_string();
        if build.roles.contains(&Role::Server) {
            let launcher = protocol.server(build, source, &bench).unwrap_or_else(|error| panic!("{error}"));
            let settings = build.settings.keys().cloned().collect();
            daemons.push(Daemon { id: id.clone(), launcher, settings });
        }
        if build.roles.contains(&Role::Client) {
            let client = protocol.client(build, source, &bench).unwrap_or_else(|error| panic!("{error}"));
            tools.push(Tool { id, build: build.clone(), client });
        }
    }
    (daemons, tools)
}

/// Runs what is wanted; what failed.
async fn run() -> Vec<String> {
    let mut failures = Vec::new();
    let (daemons, tools) = releases();
    assert_eq!((daemons.len(), tools.len()), (17, 4), "four releases, as usual and under settings");
    for daemon in daemons.iter().filter(|daemon| wanted(&format!("libvirt {}", daemon.id))) {
        says_what_its_settings_make_of_it(daemon).await;
        if daemon.settings.iter().any(|key| key == "transactions") {
            keeps_transactions_until_boot(daemon).await;
        }
        if daemon.settings.is_empty() {
            a_killed_daemon_is_seen(daemon).await;
            comes_back_when_it_should(daemon).await;
            testing::starts_many(&format!("libvirt {}", daemon.id), &daemon.launcher, START_DEADLINE).await;
        }
    }
    for daemon in daemons.iter().filter(|daemon| daemon.settings.is_empty()) {
        for tool in &tools {
            let pair = format!("libvirt {}..{}", tool.id, daemon.id);
            if wanted(&pair) {
                let start = Instant::now();
                run_pair(tool, daemon, &mut failures).await;
                println!("ok: {pair} ({} ms)", start.elapsed().as_millis());
            }
        }
    }
    assert_eq!(left(), Vec::<String>::new(), "every daemon was stopped");
    failures
}

/// Every operation that the client's release has commands for.
async fn run_pair(tool: &Tool, daemon: &Daemon, failures: &mut Vec<String>) {
    let protocol = libvirt::protocol();
    let names = testing::operations(&*protocol);
    let cases = names.into_iter().map(|name| CaseId::new(CaseKind::Client, name));
    let can: Vec<_> = cases.filter(|case| protocol.lacks(&tool.build, case).is_none()).collect();
    assert!(!can.is_empty(), "{} can do something", tool.id);
    for case in &can {
        run_operation(tool, daemon, case, failures).await;
    }
}

/// Daemons that still run, wherever in the sandbox.
fn left() -> Vec<String> {
    let processes = std::fs::read_dir("/proc").expect("/proc is there").flatten();
    let names = processes.filter_map(|entry| std::fs::read_to_string(entry.path().join("comm")).ok());
    names.filter(|name| ["libvirtd", "virsh"].contains(&name.trim())).collect()
}

async fn start(daemon: &Daemon) -> Box<dyn Server> {
    daemon
        .launcher
        .start(Start::within(START_DEADLINE))
        .await
        .unwrap_or_else(|error| panic!("{}: {error}", daemon.id))
}

/// A call of the remote program.
fn call(procedure: i32, serial: u32, arguments: Writer) -> Bytes {
    let (kind, status) = (MessageType::CALL, Status::OK);
    Header { program: 0x2000_8086, version: 1, procedure, kind, serial, status }.message(&arguments.finish())
}

/// Opens a connection to a driver, for reading and writing.
fn open(serial: u32, uri: &str) -> Bytes {
    call(procedures::CONNECT_OPEN, serial, Writer::new().optional(Some(uri.as_bytes())).u32(0))
}

/// A connection of our own, for questions.
struct Asker(Connection);

impl Asker {
    async fn connect(server: &dyn Server) -> Self {
        Self(Connection::connect(server.address(), ANSWER_DEADLINE).await.expect("the daemon listens"))
    }

    /// The head of the answer and what comes behind it; `None` when the daemon closes.
    async fn ask(&mut self, question: &Bytes) -> Option<(Header, Bytes)> {
        self.0.send(question, &[], None, ANSWER_DEADLINE).await.ok()?;
        let mut reply = BytesMut::new();
        loop {
            let length = reply.first_chunk().map(|first| u32::from_be_bytes(*first));
            if length.is_some_and(|length| reply.len() >= length.max(28) as usize) {
                return Some((Header::read(&reply)?, reply.freeze().split_off(HEAD_LEN)));
            }
            match self.0.recv(ANSWER_DEADLINE).await.expect("the socket is whole") {
                Received::Data(data, _) => reply.extend_from_slice(&data.bytes),
                Received::Eof | Received::Reset => return None,
                Received::Timeout => panic!("no answer to {question:?}"),
            }
        }
    }

    /// Code and domain of the error that answers; `None` for an answer that is none.
    async fn error(&mut self, question: &Bytes) -> Option<(i32, i32, String)> {
        let (header, payload) = self.ask(question).await.expect("it is answered");
        if header.status != Status::ERROR {
            return None;
        }
        let mut reader = Reader::new(&payload);
        let mut number = || reader.i32().expect("an error begins with numbers").1;
        let (code, domain) = (number(), number());
        assert_eq!(number(), 1, "a text is there");
        let text = reader.opaque(4096).expect("the text is whole").bytes;
        Some((code, domain, String::from_utf8_lossy(text).into_owned()))
    }
}

async fn says_what_its_settings_make_of_it(daemon: &Daemon) {
    let server = start(daemon).await;
    let mut asker = Asker::connect(&*server).await;
    let (_, offered) =
        asker.ask(&call(procedures::AUTH_LIST, 1, Writer::new())).await.expect("it is answered");
    let is = |setting: &str| daemon.settings.iter().any(|key| key == setting);
    let sasl: &[u8] =
        if is("authentication") { &[0, 0, 0, 1, 0, 0, 0, 1] } else { &[0, 0, 0, 1, 0, 0, 0, 0] };
    assert_eq!(offered, sasl, "{}", daemon.id);

    let (code, domain, text) = asker.error(&call(9999, 2, Writer::new())).await.expect("nobody has it");
    assert_eq!((code, domain), UNKNOWN, "{}: {text}", daemon.id);
    let wanted = if is("locale") { "unbekannte Prozedur: 9999" } else { "unknown procedure: 9999" };
    assert_eq!(text, wanted, "{}", daemon.id);

    let uri = if is("driver") { INTERFACES } else { TEST };
    let opened = asker.error(&open(3, uri)).await;
    let refused = opened.as_ref().map(|(code, domain, _)| (*code, *domain));
    assert_eq!(refused, is("authentication").then_some((39, 7)), "{}: {opened:?}", daemon.id);
    if is("driver") {
        let begun = asker.error(&change(procedures::INTERFACE_CHANGE_BEGIN, 4)).await;
        let code = begun.as_ref().map(|(code, domain, _)| (*code, *domain));
        // netcf asks a script, which Debian's has not; udev only looks.
        let expect = match daemon.id.as_str() {
            "7.0.0-netcf" => None,
            "7.0.0-interfaces" => Some((1, 26)),
            _ => Some((3, 26)),
        };
        assert_eq!(code, expect, "{}: {begun:?}", daemon.id);
    }
    server.stop().await;
    println!("ok: libvirt {} says what its settings make of it", daemon.id);
}

fn change(procedure: i32, serial: u32) -> Bytes {
    call(procedure, serial, Writer::new().u32(0))
}

/// A transaction that netcf keeps outlives the daemon, and is rolled back at boot.
async fn keeps_transactions_until_boot(daemon: &Daemon) {
    let mut server = start(daemon).await;
    let mut asker = Asker::connect(&*server).await;
    asker.ask(&open(1, INTERFACES)).await.expect("it is answered");
    assert_eq!(asker.error(&change(procedures::INTERFACE_CHANGE_BEGIN, 2)).await, None);
    let define = Writer::new().opaque(NEW_INTERFACE_XML.as_bytes()).u32(0);
    let define = call(procedures::INTERFACE_DEFINE_XML, 3, define);
    assert_eq!(asker.error(&define).await, None);
    let is_open = Some((55, 26));
    for (act, interfaces, begun) in [
        (ServerAct::Restart, 3, is_open),
        (ServerAct::CrashRestart, 3, is_open),
        (ServerAct::Reboot, 2, None),
    ] {
        server.act(&act).await.unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(defined(&*server, INTERFACES).await, interfaces, "{act:?}");
        let mut asker = Asker::connect(&*server).await;
        asker.ask(&open(1, INTERFACES)).await.expect("it is answered");
        let again = asker.error(&change(procedures::INTERFACE_CHANGE_BEGIN, 2)).await;
        assert_eq!(again.map(|(code, domain, _)| (code, domain)), begun, "{act:?}");
    }
    server.stop().await;
    println!("ok: libvirt {} keeps transactions until boot", daemon.id);
}

fn looks(server: &mut dyn Server) -> Vec<EventKind> {
    let recorder = Recorder::new();
    server.watch(&recorder);
    recorder.take().into_iter().map(|event| event.kind).collect()
}

/// LV-02: a request for more counters than fit ends 7.0.0 and 9.0.0 by SIGSEGV.
async fn a_killed_daemon_is_seen(daemon: &Daemon) {
    let mut server = start(daemon).await;
    let observed = looks(&mut *server);
    for wanted in ["alive", "fds", "rss_kib"] {
        let found =
            observed.iter().any(|kind| matches!(kind, EventKind::Observe { key, .. } if key == wanted));
        assert!(found, "{}: no `{wanted}` in {observed:?}", daemon.id);
    }
    let mut asker = Asker::connect(&*server).await;
    asker.ask(&open(1, TEST)).await.expect("it is answered");
    let pages = (0..1023).fold(Writer::new().u32(1023), |pages, _| pages.u32(4));
    let question = pages.i32(0).u32(4_198_405).u32(0);
    let answer = asker.ask(&call(procedures::NODE_GET_FREE_PAGES, 2, question)).await;
    let crashes = ["7.0.0", "9.0.0"].contains(&daemon.id.as_str());
    assert_eq!(answer.is_none(), crashes, "{}: {answer:?}", daemon.id);
    let seen = looks(&mut *server);
    if crashes {
        assert_eq!(seen, [EventKind::Exit(ExitStatus::Signal(11))], "{}", daemon.id);
    } else {
        assert!(matches!(seen.first(), Some(EventKind::Observe { .. })), "{}: {seen:?}", daemon.id);
    }
    server.stop().await;
}

/// Number of interfaces.
async fn defined(server: &dyn Server, uri: &str) -> u32 {
    let mut asker = Asker::connect(server).await;
    asker.ask(&open(1, uri)).await.expect("it is answered");
    let list = call(procedures::CONNECT_LIST_ALL_INTERFACES, 2, Writer::new().i32(0).u32(3));
    let (_, payload) = asker.ask(&list).await.expect("it is answered");
    payload.last_chunk().map(|last| u32::from_be_bytes(*last)).expect("a number is there")
}

async fn comes_back_when_it_should(daemon: &Daemon) {
    let mut server = start(daemon).await;
    assert_eq!(defined(&*server, TEST).await, 1, "{}", daemon.id);
    let address = server.address().clone();
    for act in [ServerAct::Restart, ServerAct::CrashRestart, ServerAct::Reboot] {
        let mut asker = Asker::connect(&*server).await;
        asker.ask(&open(1, TEST)).await.expect("it is answered");
        server.act(&act).await.unwrap_or_else(|error| panic!("{error}"));
        assert!(asker.ask(&call(procedures::CONNECT_GET_TYPE, 2, Writer::new())).await.is_none());
        assert_eq!((server.address(), defined(&*server, TEST).await), (&address, 1), "{}", daemon.id);
        let seen = looks(&mut *server);
        assert!(seen.contains(&EventKind::Observe { key: "alive".to_owned(), value: "yes".to_owned() }));
    }
    server.act(&ServerAct::Kill).await.unwrap_or_else(|error| panic!("{error}"));
    assert!(Connection::connect(&address, ANSWER_DEADLINE).await.is_err(), "{}", daemon.id);
    let gone = EventKind::Observe { key: "alive".to_owned(), value: "no".to_owned() };
    assert_eq!(looks(&mut *server), [gone], "{}", daemon.id);
    server.stop().await;
    assert!(matches!(&address, session::Address::Path(path) if !path.exists()), "nothing is left");
    println!("ok: libvirt {} comes back when it should", daemon.id);
}

/// What is known to be otherwise than it must be: the words that differ.
fn known(client: &str, server: &str, operation: &str) -> &'static [&'static str] {
    let old = ["7.0.0", "9.0.0"];
    let (old_client, old_server) = (old.contains(&client), old.contains(&server));
    match operation {
        // LV-07: everything is inactive afterwards.
        "rollback" | "rollback-destroyed" => &["effect.interfaces"],
        // virsh says that the interface was destroyed, it was, and it exits with 1.
        "destroy" if client != "7.0.0" => &["claim.exit"],
        // LV-01: the arguments change places.
        "net-update" if client == "7.0.0" && server != "7.0.0" => &["claim.exit", "effect.dhcp-hosts"],
        // LV-05: a flag that older test drivers do not know.
        "nodedev-list" if client != "7.0.0" && old_server => &["claim.exit", "effect.as-said.devices"],
        // LV-11: failures are printed as values; 12.8.0 says of the start at boot that it is unknown.
        "nodedev-info" if old_server || client != "12.8.0" => &["effect.as-said.device"],
        "net-desc-write" if !old_client && old_server => &["claim.exit", "effect.description"],
        _ => &[],
    }
}

async fn run_operation(tool: &Tool, daemon: &Daemon, case: &CaseId, failures: &mut Vec<String>) {
    let recorder = Recorder::new();
    let cell = format!("{}..{}/{}", tool.id, daemon.id, case.name);
    let mut server = start(daemon).await;
    let report = tool.client.run(&case.name, &mut *server, &recorder, OPERATION_DEADLINE).await;
    let report = report.unwrap_or_else(|error| panic!("{cell}: {error}"));
    server.stop().await;
    let events: Vec<Event> = recorder.take();
    let mut outcomes = testing::outcomes(&libvirt::protocol().expected(case), &events);
    assert!(!outcomes.is_empty(), "{cell}: nothing is expected of it");
    outcomes.retain(|outcome| outcome.found.as_deref() != Some(&*outcome.expected));
    let known = known(&tool.id, &daemon.id, &case.name);
    let all_known = outcomes.len() == known.len()
        && known.iter().all(|word| outcomes.iter().any(|outcome| outcome.of == *word));
    if !all_known {
        let said = [report.stdout, report.stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
        failures.push(format!("{cell}: {outcomes:?}; said {said:?}"));
    }
    let recorded = events.iter().any(|event| matches!(event.kind, EventKind::Data(_)));
    assert!(recorded, "{cell}: nothing was recorded");
}
