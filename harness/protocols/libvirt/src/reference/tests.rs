//! Reference servers answer what the releases were measured to answer.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use matrix::{Build, BuildId, Role};
use protocol::Bench;
use rustix::fd::AsFd;
use session::{Connection, Launcher, Received, Recorder, Server, ServerAct, Start};
use transcript::{EventKind, ExitStatus};
use wire::libvirt_rpc::{Header, MessageDecoder, MessageType, Status};
use wire::xdr::{Reader, Writer};
use wire::{Decoder, Direction};

use super::super::names::procedures as proc;
use super::super::request::{self, call, call_with, interface, open};
use super::SERVER_DEFECTS;
use super::server::Daemons;
use super::transaction::ConnectivityTest;

mod anything;
mod recorded;

/// Longer than anything that must come.
const DEADLINE: Duration = Duration::from_secs(5);
/// Nothing that a server of this process says takes longer.
const QUIET: Duration = Duration::from_millis(20);
const ALL: [&str; 5] = ["7.0.0", "9.0.0", "11.3.0", "12.8.0", "ideal"];
const URI: &str = "test:///default";
const ETH9: &str = "<interface type='ethernet' name='eth9'><start mode='none'/></interface>";

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().expect("a runtime")
}

fn bench() -> Bench {
    Bench::new(std::env::temp_dir(), std::env::temp_dir())
}

fn servers(dialect: &str, settings: &[(&str, &str)], defects: &[&str]) -> Arc<dyn Launcher> {
    daemons(dialect, settings, defects).launcher(&bench())
}

fn daemons(dialect: &str, settings: &[(&str, &str)], defects: &[&str]) -> Daemons {
    let build = Build {
        id: BuildId::new(format!("ref-{dialect}")),
        protocol: "libvirt-remote".into(),
        roles: vec![Role::Server],
        version: dialect.to_owned(),
        dialect: dialect.to_owned(),
        sources: Vec::new(),
        like: None,
        settings: settings.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect(),
    };
    let defects: Vec<String> = defects.iter().map(ToString::to_string).collect();
    Daemons::new(&build, &defects).expect("a reference server")
}

async fn start(dialect: &str) -> Box<dyn Server> {
    servers(dialect, &[], &[]).start(Start::in_memory()).await.expect("started")
}

/// A client that knows nothing but framing.
struct Caller {
    connection: Connection,
    decoder: MessageDecoder,
    incoming: BytesMut,
    serial: u32,
}

/// What came: a message, or the end.
#[derive(Debug, PartialEq, Eq)]
enum Came {
    Message(Bytes),
    Closed,
    Nothing,
}

impl Caller {
    async fn connect(server: &dyn Server) -> Self {
        let connection = Connection::connect(server.address(), DEADLINE).await.expect("connected");
        let decoder = MessageDecoder::towards(Direction::ToClient);
        Self { connection, decoder, incoming: BytesMut::new(), serial: 0 }
    }

    async fn opened(server: &dyn Server) -> Self {
        let mut this = Self::connect(server).await;
        assert_eq!(
            this.call(proc::CONNECT_OPEN, Writer::new().optional(Some(URI.as_bytes())).u32(0)).await,
            "ok"
        );
        this
    }

    async fn send(&self, bytes: &[u8]) {
        // A server that has closed already is seen by what comes back.
        let _ = self.connection.send(&Bytes::copy_from_slice(bytes), &[], None, DEADLINE).await;
    }

    async fn came(&mut self, deadline: Duration) -> Came {
        loop {
            if let Some(frame) = self.decoder.decode(&mut self.incoming).expect("a message") {
                return Came::Message(frame.bytes);
            }
            match self.connection.recv(deadline).await.expect("a socket") {
                Received::Data(data, _) => self.incoming.extend_from_slice(&data.bytes),
                Received::Eof | Received::Reset => return Came::Closed,
                Received::Timeout => return Came::Nothing,
            }
        }
    }

    async fn call(&mut self, procedure: i32, arguments: Writer) -> String {
        self.serial += 1;
        self.send(&call_with(procedure, self.serial, arguments)).await;
        told(&self.came(DEADLINE).await)
    }

    /// Whether it still answers.
    async fn is_usable(&mut self) -> bool {
        self.call(proc::CONNECT_GET_TYPE, Writer::new()).await == "ok 0000000454455354"
    }
}

/// What a message says: `ok` and its result, `code/domain text`, or another word.
fn told(came: &Came) -> String {
    let message = match came {
        Came::Closed => return "closed".to_owned(),
        Came::Nothing => return "silence".to_owned(),
        Came::Message(message) => message,
    };
    let header = Header::read(message).expect("a head");
    let payload = &message[28..];
    if header.status != Status::ERROR {
        let word = if header.kind == MessageType::REPLY { "ok" } else { "unasked" };
        return format!("{word} {}", hex(payload)).trim_end().to_owned();
    }
    let mut reader = Reader::new(payload);
    let (code, domain) = (reader.i32().expect("a code").1, reader.i32().expect("a domain").1);
    reader.u32().expect("a flag");
    let text = reader.opaque(1 << 20).expect("a text").bytes;
    let text = std::str::from_utf8(text).map_or_else(|_| text.escape_ascii().to_string(), str::to_owned);
    format!("{code}/{domain} {text}")
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
    let pair = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).expect("ASCII"), 16).expect("hex");
    digits.chunks(2).map(pair).collect()
}

#[test]
fn answers_byte_for_byte_what_12_8_0_answered() {
    runtime().block_on(async {
        let server = start("12.8.0").await;
        let mut caller = Caller::connect(&*server).await;
        for (request, expect) in recorded::RECORDED {
            caller.send(&unhex(request)).await;
            let Came::Message(message) = caller.came(DEADLINE).await else { panic!("no reply to {request}") };
            assert_eq!(hex(&message), *expect, "{request}");
        }
        assert_eq!(caller.came(DEADLINE).await, Came::Closed);
    });
}

/// Measured with the same calls on the real ones.
#[test]
fn answers_what_each_release_answered() {
    #[track_caller]
    fn check(say: &str, server: &str, told: &str, expect: &[&str]) {
        let at = ALL.iter().position(|known| *known == server).expect("one of them");
        let expect = if expect.len() == 1 { expect[0] } else { expect[at] };
        assert_eq!(told, expect, "{say} to {server}");
    }
    let rows = [recorded::of_the_connection(), recorded::of_objects()].concat();
    runtime().block_on(async {
        for release in ALL {
            let server = start(release).await;
            let mut caller = Caller::opened(&*server).await;
            for (procedure, arguments, expect) in &rows {
                let told = caller.call(*procedure, arguments.clone()).await;
                check(&procedure.to_string(), release, &told, expect);
            }
            assert!(caller.is_usable().await, "{release}");
        }
    });
}

/// What comes of bytes that are no good call: measured on 7.0.0, 9.0.0, 11.3.0 and 12.8.0, the same on all.
#[test]
fn takes_bad_input_as_all_releases_do() {
    let head = |kind: i32, status: i32| {
        let header = Header { kind: MessageType(kind), status: Status(status), ..request::header(3, 7) };
        header.message(&[])
    };
    let with_count = |count: u32, behind: &[u8]| {
        let header = Header { kind: MessageType::CALL_WITH_FDS, ..request::header(3, 7) };
        [&header.message(&count.to_be_bytes())[..], behind].concat()
    };
    let word = |length: u32| [&length.to_be_bytes()[..], &[0; 40]].concat();
    let name = "ok 0000000454455354";
    let undecodable = "39/7 Unable to decode message payload";
    let long = Writer::new().u32(4_194_305).finish();
    let rows: Vec<(&str, Vec<u8>, &str)> = vec![
        ("length 0", word(0), "closed"),
        ("length 27", word(27), "closed"),
        ("length one above the limit", word(33_554_437), "closed"),
        ("length 0xffffffff", word(u32::MAX), "closed"),
        ("type 1", head(1, 0).to_vec(), "silence"),
        ("type 2", head(2, 0).to_vec(), "silence"),
        ("type 3", head(3, 0).to_vec(), "silence"),
        ("type 5", head(5, 0).to_vec(), "silence"),
        ("type 6", head(6, 2).to_vec(), "silence"),
        ("type 99", head(99, 0).to_vec(), "silence"),
        ("type -1", head(-1, 0).to_vec(), "silence"),
        ("type 4 without a count", head(4, 0).to_vec(), "closed"),
        ("33 descriptors", with_count(33, &[]), "closed"),
        ("no descriptor", with_count(0, &[]), name),
        ("a byte without its descriptor", with_count(1, &[0]), "closed"),
        ("status 1", head(0, 1).to_vec(), "39/7 Unexpected message status 1"),
        ("status -1", head(0, -1).to_vec(), "39/7 Unexpected message status 4294967295"),
        ("bytes behind the arguments", call(3, 7, &[1; 8]).to_vec(), name),
        ("string above the limit", call(128, 7, &long).to_vec(), undecodable),
        ("string without padding", call(128, 7, b"\0\0\0\x01a").to_vec(), undecodable),
        ("no arguments", call(220, 7, &[]).to_vec(), undecodable),
        (
            "ping as a call",
            Header { program: 0x6b65_6570, ..request::header(1, 7) }.message(&[]).to_vec(),
            "39/7 Cannot find program 1801807216 version 1",
        ),
    ];
    runtime().block_on(async {
        for release in ALL {
            let server = start(release).await;
            for (what, bytes, expect) in &rows {
                let mut caller = Caller::opened(&*server).await;
                caller.send(bytes).await;
                let came = caller.came(if *expect == "silence" { QUIET } else { DEADLINE }).await;
                assert_eq!(told(&came), *expect, "{what} to {release}");
                if *expect != "closed" {
                    assert!(caller.is_usable().await, "{what} to {release}");
                }
            }
        }
    });
}

#[test]
fn reads_a_call_however_it_is_cut() {
    runtime().block_on(async {
        let server = start("ideal").await;
        let mut caller = Caller::opened(&*server).await;
        let request = call(9999, 40, &[0x41; 16]);
        for at in 0..request.len() {
            caller.send(&request[..at]).await;
            tokio::task::yield_now().await;
            caller.send(&request[at..]).await;
            assert_eq!(told(&caller.came(DEADLINE).await), "39/7 unknown procedure: 9999", "cut at {at}");
        }
        for byte in &request[..] {
            caller.send(&[*byte]).await;
            tokio::task::yield_now().await;
        }
        assert_eq!(told(&caller.came(DEADLINE).await), "39/7 unknown procedure: 9999");
        assert!(caller.is_usable().await);
    });
}

#[test]
fn takes_descriptors_behind_the_message_and_waits_for_those_within() {
    runtime().block_on(async {
        let server = start("12.8.0").await;
        let mut caller = Caller::opened(&*server).await;
        let header = Header { kind: MessageType::CALL_WITH_FDS, ..request::header(3, 7) };
        let null = std::fs::File::open("/dev/null").expect("a device");
        caller.send(&header.message(&1_u32.to_be_bytes())).await;
        let sent = caller.connection.send(&Bytes::from_static(&[0]), &[null.as_fd()], None, DEADLINE).await;
        sent.expect("sent");
        assert_eq!(told(&caller.came(DEADLINE).await), "ok 0000000454455354");
        assert!(caller.is_usable().await);
    });
}

#[test]
fn a_half_message_holds_up_nobody_else() {
    runtime().block_on(async {
        for release in ALL {
            let server = start(release).await;
            let mut stuck = Caller::opened(&*server).await;
            stuck.send(&unhex("000003e8 20008086 00000001")).await;
            assert_eq!(stuck.came(QUIET).await, Came::Nothing);
            assert!(Caller::opened(&*server).await.is_usable().await, "{release}");
        }
    });
}

async fn is_active(caller: &mut Caller, name: &str) -> String {
    caller.call(proc::INTERFACE_IS_ACTIVE, interface(name, "")).await
}

#[test]
fn rollback_takes_everything_down_in_releases_and_nothing_in_ideal() {
    runtime().block_on(async {
        for release in ALL {
            let server = start(release).await;
            let mut caller = Caller::opened(&*server).await;
            assert_eq!(is_active(&mut caller, "eth1").await, "ok 00000001");
            assert_eq!(caller.call(proc::INTERFACE_CHANGE_BEGIN, Writer::new().u32(0)).await, "ok");
            let define = Writer::new().opaque(ETH9.as_bytes()).u32(0);
            assert_eq!(caller.call(proc::INTERFACE_DEFINE_XML, define).await, "ok 000000046574683900000000");
            assert_eq!(caller.call(proc::INTERFACE_CHANGE_ROLLBACK, Writer::new().u32(0)).await, "ok");
            let expect = if release == "ideal" { "ok 00000001" } else { "ok 00000000" };
            assert_eq!(is_active(&mut caller, "eth1").await, expect, "{release}");
            assert!(is_active(&mut caller, "eth9").await.starts_with("57/12"), "{release}");
        }
    });
}

/// A begins and defines, then something happens to it or to the server; whether the change is still there,
/// and whether a transaction is open.
#[test]
fn a_transaction_outlives_what_it_outlives() {
    #[derive(Debug, Clone)]
    enum Happens {
        Death,
        DeathOfTheLast,
        Server(ServerAct),
    }
    async fn outcome(release: &str, happens: Happens) -> (bool, bool) {
        let mut server = start(release).await;
        let mut other = Caller::opened(&*server).await;
        let mut caller = Caller::opened(&*server).await;
        assert_eq!(caller.call(proc::INTERFACE_CHANGE_BEGIN, Writer::new().u32(0)).await, "ok");
        caller.call(proc::INTERFACE_DEFINE_XML, Writer::new().opaque(ETH9.as_bytes()).u32(0)).await;
        drop(caller);
        match happens {
            Happens::Death => {}
            Happens::DeathOfTheLast => {
                drop(other);
                tokio::time::sleep(QUIET).await;
                other = Caller::opened(&*server).await;
            }
            Happens::Server(act) => {
                server.act(&act).await.expect("done");
                other = Caller::opened(&*server).await;
            }
        }
        tokio::time::sleep(QUIET).await;
        let is_there = is_active(&mut other, "eth9").await.starts_with("ok");
        let is_open = other.call(proc::INTERFACE_CHANGE_BEGIN, Writer::new().u32(0)).await != "ok";
        (is_there, is_open)
    }
    runtime().block_on(async {
        for release in ["7.0.0", "12.8.0", "ideal"] {
            assert_eq!(outcome(release, Happens::Death).await, (true, true), "{release}");
            assert_eq!(outcome(release, Happens::DeathOfTheLast).await, (false, false), "{release}");
            for act in [ServerAct::Restart, ServerAct::CrashRestart, ServerAct::Reboot] {
                let happens = Happens::Server(act.clone());
                assert_eq!(outcome(release, happens).await, (false, false), "{release} {act:?}");
            }
        }
    });
}

#[test]
fn what_was_committed_outlives_restart_and_reboot_in_ideal_alone() {
    runtime().block_on(async {
        for (release, expect) in [("12.8.0", "57/12"), ("ideal", "ok 00000000")] {
            for act in [ServerAct::Restart, ServerAct::CrashRestart, ServerAct::Reboot] {
                let mut server = start(release).await;
                let mut caller = Caller::opened(&*server).await;
                caller.call(proc::INTERFACE_CHANGE_BEGIN, Writer::new().u32(0)).await;
                caller.call(proc::INTERFACE_DEFINE_XML, Writer::new().opaque(ETH9.as_bytes()).u32(0)).await;
                assert_eq!(caller.call(proc::INTERFACE_CHANGE_COMMIT, Writer::new().u32(0)).await, "ok");
                server.act(&act).await.expect("done");
                let mut caller = Caller::opened(&*server).await;
                assert!(is_active(&mut caller, "eth9").await.starts_with(expect), "{release} {act:?}");
                assert_eq!(is_active(&mut caller, "eth1").await, "ok 00000001", "{release} {act:?}");
            }
        }
    });
}

#[test]
fn only_who_began_may_end_a_transaction_of_ideal() {
    runtime().block_on(async {
        for (release, expect) in [
            ("12.8.0", "ok"),
            ("ideal", "55/12 Requested operation is not valid: the transaction belongs to another client."),
        ] {
            let server = start(release).await;
            let (mut a, mut b) = (Caller::opened(&*server).await, Caller::opened(&*server).await);
            a.call(proc::INTERFACE_CHANGE_BEGIN, Writer::new().u32(0)).await;
            assert_eq!(b.call(proc::INTERFACE_CHANGE_ROLLBACK, Writer::new().u32(0)).await, expect);
        }
    });
}

#[test]
fn a_client_that_is_not_heard_in_time_is_rolled_back() {
    // TCP is the kernel's, and so is its time: nothing here waits for the clock, but for what is to be seen.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        for heard in [true, false] {
            let free = std::net::TcpListener::bind(("127.0.0.1", 0)).expect("a port");
            let port = free.local_addr().expect("bound").port();
            drop(free);
            let deadline_ms = if heard { 600_000 } else { 1 };
            let test = ConnectivityTest { host: "127.0.0.1".to_owned(), port, deadline_ms };
            let servers = daemons("ideal", &[], &[]).with_connectivity_test(test).launcher(&bench());
            let server = servers.start(Start::in_memory()).await.expect("started");
            let mut caller = Caller::opened(&*server).await;
            caller.call(proc::INTERFACE_CHANGE_BEGIN, Writer::new().u32(0)).await;
            caller.call(proc::INTERFACE_DEFINE_XML, Writer::new().opaque(ETH9.as_bytes()).u32(0)).await;
            if heard {
                // Once it has heard somebody it listens no more.
                let connect = || tokio::net::TcpStream::connect(("127.0.0.1", port));
                connect().await.expect("the server listens");
                while connect().await.is_ok() {}
            } else {
                while is_active(&mut caller, "eth9").await.starts_with("ok") {}
            }
            let there = is_active(&mut caller, "eth9").await.starts_with("ok");
            let committed = caller.call(proc::INTERFACE_CHANGE_COMMIT, Writer::new().u32(0)).await == "ok";
            assert_eq!((there, committed), (heard, heard));
        }
    });
}

#[test]
fn second_open_drops_the_first_in_releases_and_leaks_with_the_third() {
    let uri = || Writer::new().optional(Some(URI.as_bytes())).u32(0);
    runtime().block_on(async {
        for release in ALL {
            let server = start(release).await;
            let mut caller = Caller::opened(&*server).await;
            caller.call(proc::INTERFACE_UNDEFINE, interface("eth1", "")).await;
            let second = caller.call(proc::CONNECT_OPEN, uri()).await;
            assert_eq!(second, "1/7 internal error: connection already open");
            assert_eq!(caller.is_usable().await, release == "ideal", "{release}");
            let third = caller.call(proc::CONNECT_OPEN, uri()).await;
            assert_eq!(third == "ok", release != "ideal", "{release}");
            drop(caller);
            tokio::time::sleep(QUIET).await;
            // Leaked in releases, kept in ideal: either way the state is there without any client.
            let mut later = Caller::opened(&*server).await;
            assert!(is_active(&mut later, "eth1").await.starts_with("57/12"), "{release}");
        }
    });
}

#[test]
fn state_goes_with_the_last_connection_and_private_state_is_private() {
    runtime().block_on(async {
        let server = start("11.3.0").await;
        let mut caller = Caller::opened(&*server).await;
        caller.call(proc::INTERFACE_UNDEFINE, interface("eth1", "")).await;
        let mut private = Caller::connect(&*server).await;
        private.send(&open(1, Some("test:///wireskew/state.xml"), 0)).await;
        assert_eq!(told(&private.came(DEADLINE).await), "ok");
        assert_eq!(is_active(&mut private, "eth1").await, "ok 00000001");
        drop(caller);
        tokio::time::sleep(QUIET).await;
        let mut later = Caller::opened(&*server).await;
        assert_eq!(is_active(&mut later, "eth1").await, "ok 00000001");
    });
}

#[test]
fn tells_events_to_those_who_asked_and_only_of_their_driver() {
    let test = || Writer::new().opaque(b"test").fixed(&super::driver::DOMAIN_UUID).i32(1);
    let event =
        "unasked 00000000 00000004 74657374 6695eb01f6a4830479aa97f2502e193f 00000001 00000003 00000000";
    runtime().block_on(async {
        for release in ALL {
            let server = start(release).await;
            let mut listens = Caller::opened(&*server).await;
            let register = Writer::new().i32(0).u32(0);
            listens.call(proc::CONNECT_DOMAIN_EVENT_CALLBACK_REGISTER_ANY, register).await;
            let mut acts = Caller::opened(&*server).await;
            assert_eq!(acts.call(proc::DOMAIN_SUSPEND, test()).await, "ok");
            let Came::Message(message) = listens.came(DEADLINE).await else {
                panic!("no event from {release}")
            };
            let header = Header::read(&message).expect("a head");
            assert_eq!(header.procedure, proc::DOMAIN_EVENT_CALLBACK_LIFECYCLE);
            assert_eq!(header.serial, u32::from(release != "ideal"));
            assert_eq!(told(&Came::Message(message)).replace(' ', ""), event.replace(' ', ""));
            assert_eq!(acts.came(QUIET).await, Came::Nothing);
        }
    });
}

#[test]
fn sends_a_screenshot_as_a_stream_and_confirms_its_end() {
    let test = Writer::new().opaque(b"test").fixed(&super::driver::DOMAIN_UUID).i32(1).u32(0).u32(0);
    runtime().block_on(async {
        let server = start("12.8.0").await;
        let mut caller = Caller::opened(&*server).await;
        assert_eq!(caller.call(211, test).await, "ok 0000000100000009696d6167652f706e67000000");
        let mut lens = Vec::new();
        while lens.last() != Some(&0) {
            let Came::Message(message) = caller.came(DEADLINE).await else { panic!("the stream ends early") };
            let header = Header::read(&message).expect("a head");
            let expect = (MessageType::STREAM, Status::CONTINUE, caller.serial);
            assert_eq!((header.kind, header.status, header.serial), expect);
            lens.push(message.len() - 28);
        }
        assert_eq!(lens, [33_443, 0]);
        let end = Header { kind: MessageType::STREAM, ..request::header(211, caller.serial) };
        caller.send(&end.message(&[])).await;
        assert_eq!(caller.came(DEADLINE).await, Came::Message(end.message(&[])));
        assert!(caller.is_usable().await);
    });
}

#[test]
fn sends_signs_of_life_after_feature_10_and_closes_where_none_comes_back() {
    runtime().block_on(async {
        let servers =
            daemons("12.8.0", &[], &[]).with_keepalive(Duration::from_millis(20)).launcher(&bench());
        let server = servers.start(Start::in_memory()).await.expect("started");
        let mut caller = Caller::connect(&*server).await;
        assert_eq!(caller.call(proc::CONNECT_SUPPORTS_FEATURE, Writer::new().i32(10)).await, "ok 00000001");
        let ping = unhex("0000001c6b6565700000000100000001000000020000000000000000");
        for _ in 0..5 {
            assert_eq!(caller.came(DEADLINE).await, Came::Message(Bytes::from(ping.clone())));
        }
        assert_eq!(caller.came(DEADLINE).await, Came::Closed);
    });
}

#[test]
fn refuses_before_authentication_all_but_what_is_unknown() {
    runtime().block_on(async {
        for release in ALL {
            let servers = servers(release, &[("authentication", "sasl")], &[]);
            let server = servers.start(Start::in_memory()).await.expect("started");
            let mut caller = Caller::connect(&*server).await;
            for (procedure, arguments, expect) in [
                (proc::CONNECT_OPEN, Writer::new(), "39/7 authentication required"),
                (proc::CONNECT_SUPPORTS_FEATURE, Writer::new().i32(10), "39/7 authentication required"),
                (9999, Writer::new(), "39/7 unknown procedure: 9999"),
                (proc::AUTH_LIST, Writer::new(), "ok 0000000100000001"),
                (
                    proc::AUTH_SASL_STEP,
                    Writer::new().i32(0).u32(0),
                    "45/7 authentication failed: authentication failed",
                ),
            ] {
                assert_eq!(caller.call(procedure, arguments).await, expect, "{procedure} to {release}");
            }
        }
    });
}

#[test]
fn stands_for_an_older_release_in_any_language() {
    runtime().block_on(async {
        for (locale, expect) in [
            ("C", "39/7 unknown procedure: 273"),
            ("de_DE.UTF-8", "39/7 unbekannte Prozedur: 273"),
            ("fr_FR.ISO-8859-1", "39/7 proc\\xe9dure inconnue: 273"),
        ] {
            let settings = [("highest", "222"), ("locale", locale)];
            let server = servers("12.8.0", &settings, &[]).start(Start::in_memory()).await.expect("started");
            let mut caller = Caller::opened(&*server).await;
            assert_eq!(caller.call(273, Writer::new().i32(1).u32(0)).await, expect);
            assert_eq!(caller.call(proc::CONNECT_NUM_OF_DOMAINS, Writer::new()).await, "ok 00000001");
            assert_eq!(
                caller.call(proc::CONNECT_SUPPORTS_FEATURE, Writer::new().i32(15)).await,
                "ok 00000000"
            );
        }
    });
}

#[test]
fn the_driver_of_the_machine_lists_and_changes_nothing() {
    runtime().block_on(async {
        let servers = servers("11.3.0", &[("driver", "interface")], &[]);
        let server = servers.start(Start::in_memory()).await.expect("started");
        let mut caller = Caller::connect(&*server).await;
        let uri = Writer::new().optional(Some(b"interface:///session")).u32(0);
        assert_eq!(caller.call(proc::CONNECT_OPEN, uri).await, "ok");
        let lo = "ok 00000001000000026c6f00000000001130303a30303a30303a30303a30303a303000000000000001";
        assert_eq!(caller.call(proc::CONNECT_LIST_ALL_INTERFACES, Writer::new().i32(1).u32(3)).await, lo);
        assert_eq!(is_active(&mut caller, "lo").await, "ok 00000000");
        let nobody = "57/26 Interface not found: couldn't find interface named 'eth9'";
        assert_eq!(is_active(&mut caller, "eth9").await, nobody);
        let cannot = "3/26 this function is not supported by the connection driver: virInterfaceChangeBegin";
        assert_eq!(caller.call(proc::INTERFACE_CHANGE_BEGIN, Writer::new().u32(0)).await, cannot);
    });
}

/// Measured: 5.1 s on 7.0.0, at once on the others.
#[test]
fn looks_for_another_daemon_without_keeping_anybody_waiting() {
    runtime().block_on(async {
        let bogus = "5/0 no connection driver available for interface:///session";
        for (release, expect) in [("7.0.0", "silence"), ("9.0.0", bogus), ("12.8.0", bogus)] {
            let server = start(release).await;
            let mut caller = Caller::connect(&*server).await;
            caller.send(&open(1, Some("interface:///session"), 0)).await;
            assert_eq!(told(&caller.came(QUIET).await), expect, "{release}");
            let told = caller.call(proc::CONNECT_GET_TYPE, Writer::new()).await;
            assert_eq!(told, "1/7 internal error: hypervisor connection not open", "{release}");
        }
    });
}

/// Ideal has that driver: it is the directory that `test:///default` opens too.
#[test]
fn ideal_keeps_the_machines_interfaces_in_its_directory() {
    runtime().block_on(async {
        let server = start("ideal").await;
        let mut machine = Caller::connect(&*server).await;
        machine.send(&open(1, Some("interface:///session"), 0)).await;
        assert_eq!(told(&machine.came(QUIET).await), "ok");
        let defined =
            machine.call(proc::INTERFACE_DEFINE_XML, Writer::new().opaque(ETH9.as_bytes()).u32(0)).await;
        assert!(defined.starts_with("ok"), "{defined}");
        let mut other = Caller::opened(&*server).await;
        let found = other.call(proc::INTERFACE_LOOKUP_BY_NAME, Writer::new().opaque(b"eth9")).await;
        assert!(found.starts_with("ok"), "{found}");
    });
}

/// 1023 pages times 4198405 cells is 1019 in 32 bits.
#[test]
fn dies_of_the_overflow_where_releases_died() {
    let overflow = || {
        let pages = (0..1023).fold(Writer::new().u32(1023), |pages, _| pages.u32(4));
        pages.i32(0).u32(4_198_405).u32(0)
    };
    runtime().block_on(async {
        for (release, dies) in
            [("7.0.0", true), ("9.0.0", true), ("11.3.0", false), ("12.8.0", false), ("ideal", false)]
        {
            let mut server = start(release).await;
            let mut caller = Caller::opened(&*server).await;
            let told = caller.call(proc::NODE_GET_FREE_PAGES, overflow()).await;
            let recorder = Recorder::new();
            server.watch(&recorder);
            let first = recorder.take().into_iter().next().map(|event| event.kind);
            if dies {
                assert_eq!(told, "closed", "{release}");
                assert_eq!(first, Some(EventKind::Exit(ExitStatus::Signal(11))), "{release}");
            } else {
                let text = "1/7 internal error: npages * cellcount > REMOTE_NODE_MAX_CELLS (1024)";
                assert_eq!(told, text, "{release}");
                assert!(matches!(first, Some(EventKind::Observe { .. })), "{release}");
            }
        }
    });
}

#[test]
fn answers_behind_a_half_close() {
    runtime().block_on(async {
        for release in ALL {
            let server = start(release).await;
            let mut caller = Caller::opened(&*server).await;
            caller.send(&call(3, 7, &[])).await;
            caller.connection.half_close().expect("open");
            assert_eq!(told(&caller.came(DEADLINE).await), "ok 0000000454455354");
            assert_eq!(caller.came(DEADLINE).await, Came::Closed);
        }
    });
}

/// What each defect changes, said by one call.
#[test]
fn every_defect_can_be_switched_on_and_shows() {
    let unknown = |payload: usize| (9999, Writer::new().raw(&vec![0; payload]));
    let rows: Vec<(&str, (i32, Writer), &str)> = vec![
        ("drains-but-never-answers", unknown(0), "silence"),
        ("translates-unknown-procedure", unknown(0), "39/7 unbekannte Prozedur: 9999"),
        ("refuses-in-latin-1", unknown(0), "39/7 proc\\xe9dure inconnue: 9999"),
        (
            "unknown-is-no-support",
            unknown(0),
            "3/20 this function is not supported by the connection driver: procedure 9999",
        ),
        ("unknown-without-prefix", unknown(0), "39/7 no such procedure: 9999"),
        ("success-for-unknown", unknown(0), "ok"),
        ("number-reused", (3, Writer::new()), "ok 0000000f746573743a2f2f2f64656661756c7400"),
        ("features-not-downgraded", (273, Writer::new()), "39/7 unknown procedure: 273"),
        ("hostile-status-7", (4, Writer::new()), "ok 0000000000000000"),
        ("hostile-empty-payload", (4, Writer::new()), "ok"),
        ("hostile-wrong-type", (4, Writer::new()), "unasked 0000000000000000"),
        ("hostile-eof-all", (4, Writer::new()), "closed"),
        ("hostile-silent", (4, Writer::new()), "silence"),
    ];
    runtime().block_on(async {
        for (defect, (procedure, arguments), expect) in rows {
            let server = servers("ideal", &[], &[defect]).start(Start::in_memory()).await.expect("started");
            let mut caller = Caller::opened(&*server).await;
            caller.serial += 1;
            caller.send(&call_with(procedure, caller.serial, arguments)).await;
            let deadline = if expect == "silence" { QUIET } else { DEADLINE };
            assert_eq!(told(&caller.came(deadline).await), expect, "{defect}");
        }
        let mut seen = BTreeMap::new();
        for defect in SERVER_DEFECTS {
            assert!(seen.insert(defect.name, defect).is_none(), "{} is there twice", defect.name);
            servers("ideal", &[], &[defect.name]).start(Start::in_memory()).await.expect("started");
        }
    });
}
