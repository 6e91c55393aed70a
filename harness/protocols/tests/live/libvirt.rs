//! The four real libvirt releases: each daemon as usual and under every setting, each `virsh` against each daemon.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use matrix::{Builds, Role, Source};
use protocols::Bench;
use protocols::libvirt::launch;
use protocols::libvirt::names::procedures;
use protocols::libvirt::operations::{NEW_INTERFACE_XML, Operation, operations};
use protocols::libvirt::request;
use session::rootfs::Cache;
use session::sandbox::Sandbox;
use session::{Client, Connection, LaunchErrorKind, Launcher, Received, Recorder, Server, ServerAct, Start};
use transcript::{Event, EventKind, ExitStatus};
use wire::libvirt_rpc::{HEAD_LEN, Header, Status};
use wire::xdr::{Reader, Writer};

use crate::wanted;

const START_DEADLINE: Duration = Duration::from_secs(10);
const OPERATION_DEADLINE: Duration = Duration::from_secs(10);
const ANSWER_DEADLINE: Duration = Duration::from_secs(3);
const TEST: &str = "test:///default";
const INTERFACES: &str = "interface:///session";
/// Code and domain of the error that says that a procedure is unknown.
const UNKNOWN: (i32, i32) = (39, 7);

struct Daemon {
    id: String,
    launcher: Arc<dyn Launcher>,
    settings: Vec<String>,
}

struct Tool {
    id: String,
    client: Arc<dyn Client>,
}

/// What `builds.toml` has from Debian.
fn releases() -> (Vec<Daemon>, Vec<Tool>) {
    let state = Sandbox::inside().expect("main checked it").state().to_owned();
    let bench = Bench { work_dir: state, cache_dir: Cache::default_directory(), seed: 0 };
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../matrices/libvirt-remote/builds.toml");
    let builds = Builds::load(&file).unwrap_or_else(|error| panic!("{error}"));
    let (mut daemons, mut tools) = (Vec::new(), Vec::new());
    for build in builds.iter() {
        let debian = build.sources.iter().find(|source| matches!(source, Source::Debian(_)));
        let Some(source) = debian else { continue };
        let id = build.id.to_string();
        if build.roles.contains(&Role::Server) {
            let launcher = launch::server(build, source, &bench).unwrap_or_else(|error| panic!("{error}"));
            let settings = build.settings.keys().cloned().collect();
            daemons.push(Daemon { id: id.clone(), launcher, settings });
        }
        if build.roles.contains(&Role::Client) {
            let client = launch::client(build, source, &bench).unwrap_or_else(|error| panic!("{error}"));
            tools.push(Tool { id, client });
        }
    }
    (daemons, tools)
}

pub(crate) async fn run(failures: &mut Vec<String>) {
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
            many_start_at_once_under_the_same_names(daemon).await;
        }
    }
    for daemon in daemons.iter().filter(|daemon| daemon.settings.is_empty()) {
        for tool in &tools {
            let pair = format!("libvirt {}..{}", tool.id, daemon.id);
            if wanted(&pair) {
                let start = Instant::now();
                let can = |operation: &&Operation| operation.lacking_in(&tool.id).is_none();
                for operation in operations().filter(can) {
                    run_operation(tool, daemon, operation, failures).await;
                }
                println!("ok: {pair} ({} ms)", start.elapsed().as_millis());
            }
        }
    }
    assert_eq!(left(), Vec::<String>::new(), "every daemon was stopped");
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
        asker.ask(&request::call(procedures::AUTH_LIST, 1, &[])).await.expect("it is answered");
    let is = |setting: &str| daemon.settings.iter().any(|key| key == setting);
    let sasl: &[u8] =
        if is("authentication") { &[0, 0, 0, 1, 0, 0, 0, 1] } else { &[0, 0, 0, 1, 0, 0, 0, 0] };
    assert_eq!(offered, sasl, "{}", daemon.id);

    let (code, domain, text) = asker.error(&request::call(9999, 2, &[])).await.expect("nobody has it");
    assert_eq!((code, domain), UNKNOWN, "{}: {text}", daemon.id);
    let wanted = if is("locale") { "unbekannte Prozedur: 9999" } else { "unknown procedure: 9999" };
    assert_eq!(text, wanted, "{}", daemon.id);

    let uri = if is("driver") { INTERFACES } else { TEST };
    let opened = asker.error(&request::open(3, Some(uri), 0)).await;
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
    request::call_with(procedure, serial, Writer::new().u32(0))
}

/// A transaction that netcf keeps outlives the daemon, and is rolled back at boot.
async fn keeps_transactions_until_boot(daemon: &Daemon) {
    let mut server = start(daemon).await;
    let mut asker = Asker::connect(&*server).await;
    asker.ask(&request::open(1, Some(INTERFACES), 0)).await.expect("it is answered");
    assert_eq!(asker.error(&change(procedures::INTERFACE_CHANGE_BEGIN, 2)).await, None);
    let define = Writer::new().opaque(NEW_INTERFACE_XML.as_bytes()).u32(0);
    let define = request::call_with(procedures::INTERFACE_DEFINE_XML, 3, define);
    assert_eq!(asker.error(&define).await, None);
    let open = Some((55, 26));
    for (act, interfaces, begun) in
        [(ServerAct::Restart, 3, open), (ServerAct::CrashRestart, 3, open), (ServerAct::Reboot, 2, None)]
    {
        server.act(act).await.unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(defined(&*server, INTERFACES).await, interfaces, "{act:?}");
        let mut asker = Asker::connect(&*server).await;
        asker.ask(&request::open(1, Some(INTERFACES), 0)).await.expect("it is answered");
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
    asker.ask(&request::open(1, Some(TEST), 0)).await.expect("it is answered");
    let pages = (0..1023).fold(Writer::new().u32(1023), |pages, _| pages.u32(4));
    let question = pages.i32(0).u32(4_198_405).u32(0);
    let answer = asker.ask(&request::call_with(procedures::NODE_GET_FREE_PAGES, 2, question)).await;
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
    asker.ask(&request::open(1, Some(uri), 0)).await.expect("it is answered");
    let list = request::call_with(procedures::CONNECT_LIST_ALL_INTERFACES, 2, Writer::new().i32(0).u32(3));
    let (_, payload) = asker.ask(&list).await.expect("it is answered");
    payload.last_chunk().map(|last| u32::from_be_bytes(*last)).expect("a number is there")
}

async fn comes_back_when_it_should(daemon: &Daemon) {
    let mut server = start(daemon).await;
    assert_eq!(defined(&*server, TEST).await, 1, "{}", daemon.id);
    let address = server.address().clone();
    for act in [ServerAct::Restart, ServerAct::CrashRestart, ServerAct::Reboot] {
        let mut asker = Asker::connect(&*server).await;
        asker.ask(&request::open(1, Some(TEST), 0)).await.expect("it is answered");
        server.act(act).await.unwrap_or_else(|error| panic!("{error}"));
        assert!(asker.ask(&request::call(procedures::CONNECT_GET_TYPE, 2, &[])).await.is_none());
        assert_eq!((server.address(), defined(&*server, TEST).await), (&address, 1), "{}", daemon.id);
        let seen = looks(&mut *server);
        assert!(seen.contains(&EventKind::Observe { key: "alive".to_owned(), value: "yes".to_owned() }));
    }
    server.act(ServerAct::Kill).await.unwrap_or_else(|error| panic!("{error}"));
    assert!(Connection::connect(&address, ANSWER_DEADLINE).await.is_err(), "{}", daemon.id);
    let gone = EventKind::Observe { key: "alive".to_owned(), value: "no".to_owned() };
    assert_eq!(looks(&mut *server), [gone], "{}", daemon.id);
    server.stop().await;
    assert!(matches!(&address, session::Address::Path(path) if !path.exists()), "nothing is left");
    println!("ok: libvirt {} comes back when it should", daemon.id);
}

/// Many at the same time, each with the same names; and how long a start takes.
async fn many_start_at_once_under_the_same_names(daemon: &Daemon) {
    let start = Instant::now();
    let starts: Vec<_> = (0..8)
        .map(|_| {
            let launcher = Arc::clone(&daemon.launcher);
            tokio::spawn(async move { launcher.start(Start::within(START_DEADLINE)).await })
        })
        .collect();
    let mut servers = Vec::new();
    for started in starts {
        let started = started.await.expect("starting does not panic");
        servers.push(started.unwrap_or_else(|error| panic!("{}: {error}", daemon.id)));
    }
    let up = start.elapsed();
    for server in servers {
        server.stop().await;
    }
    let down = start.elapsed() - up;
    println!(
        "ok: libvirt {} starts 8 at a time: {} ms, stops: {} ms",
        daemon.id,
        up.as_millis(),
        down.as_millis()
    );
    let alone = Instant::now();
    let server = self::start(daemon).await;
    let up = alone.elapsed();
    server.stop().await;
    let down = alone.elapsed() - up;
    println!("ok: libvirt {} starts alone: {} ms, stops: {} ms", daemon.id, up.as_millis(), down.as_millis());
    let at_once =
        daemon.launcher.start(Start::within(Duration::from_millis(1))).await.err().map(|error| error.kind);
    assert!(matches!(at_once, Some(LaunchErrorKind::NotReady(1))), "{at_once:?}");
}

/// What is known to be otherwise than it must be: the words that differ.
fn known(client: &str, server: &str, operation: &str) -> &'static [&'static str] {
    let old = ["7.0.0", "9.0.0"];
    let (old_client, old_server) = (old.contains(&client), old.contains(&server));
    match operation {
        // LV-07: everything is inactive afterwards.
        "rollback" | "rollback-destroyed" => &["interfaces"],
        // virsh says that the interface was destroyed, it was, and it exits with 1.
        "destroy" if client != "7.0.0" => &["exit"],
        // LV-01: the arguments change places.
        "net-update" if client == "7.0.0" && server != "7.0.0" => &["exit", "dhcp-hosts"],
        // LV-05: a flag that older test drivers do not know.
        "nodedev-list" if client != "7.0.0" && old_server => &["exit", "as-said.devices"],
        // LV-11: failures are printed as values; 12.8.0 says of the start at boot that it is unknown.
        "nodedev-info" if old_server || client != "12.8.0" => &["as-said.device"],
        "net-desc-write" if !old_client && old_server => &["exit", "description"],
        _ => &[],
    }
}

async fn run_operation(tool: &Tool, daemon: &Daemon, operation: &Operation, failures: &mut Vec<String>) {
    let recorder = Recorder::new();
    let cell = format!("{}..{}/{}", tool.id, daemon.id, operation.name);
    let mut server = start(daemon).await;
    let report = tool.client.run(operation.name, &mut *server, &recorder, OPERATION_DEADLINE).await;
    let report = report.unwrap_or_else(|error| panic!("{cell}: {error}"));
    server.stop().await;
    let events: Vec<Event> = recorder.take();
    let seen = |key: &str| {
        events.iter().find_map(|event| match &event.kind {
            EventKind::Observe { key: found, value } if found == key => Some(value.as_str()),
            _ => None,
        })
    };
    let mut wrong = Vec::new();
    for (key, value) in operation.expected() {
        let word = key.strip_prefix("expected.").expect("every key is one");
        let found = match word {
            "exit" => seen("claim.exit"),
            claim if claim.starts_with("claim.") => seen(claim),
            effect => seen(&format!("effect.{effect}")),
        };
        if found != Some(&value) {
            wrong.push(format!("{word} is {found:?} and not `{value}`"));
        }
    }
    let known = known(&tool.id, &daemon.id, operation.name);
    let all_known = wrong.len() == known.len()
        && known.iter().all(|word| wrong.iter().any(|text| text.starts_with(word)));
    if !all_known {
        let said = [report.stdout, report.stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
        failures.push(format!("{cell}: {}; said {said:?}", wrong.join(", ")));
    }
    let recorded = events.iter().any(|event| matches!(event.kind, EventKind::Data(_)));
    assert!(recorded, "{cell}: nothing was recorded");
}
