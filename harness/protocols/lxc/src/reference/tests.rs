//! Reference servers answer byte for byte what the releases were measured to answer.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use matrix::{Build, BuildId, Role, Source};
use session::{Connection, Launcher, Received, Recorder, Server, Start};
use transcript::{Credentials, EventKind, ExitStatus};

use super::super::LxcCommand;
use protocol::{Bench, Protocol};

/// Nothing that a server of this process says takes longer.
const QUIET: Duration = Duration::from_millis(5);
/// Longer than anything that must come.
const DEADLINE: Duration = Duration::from_secs(5);

const PAYLOAD: &str = "16*a5";
/// A head that announces what does not come.
const STALLED: &str = "07000000 40000000 0*8";
const STATE: &str = "03000000 0*12";
const RUNNING: &str = "00000000 00000000 02000000 00000000";
/// An address such as the releases leak.
const P: &str = "a092403c 81550000";
const ENOSYS: &str = "daffffff 0*12";
const EINVAL: &str = "eaffffff 0*12";

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().expect("a runtime")
}

fn build(dialect: &str, roles: &[Role]) -> Build {
    Build {
        id: BuildId::new(format!("ref-{dialect}")),
        protocol: "lxc-command".into(),
        roles: roles.to_vec(),
        version: dialect.to_owned(),
        dialect: dialect.to_owned(),
        sources: Vec::new(),
        like: None,
        settings: std::collections::BTreeMap::new(),
    }
}

fn bench() -> Bench {
    Bench::new(std::env::temp_dir(), std::env::temp_dir())
}

fn launcher(dialect: &str, defects: &[&str]) -> Arc<dyn Launcher> {
    let source = Source::Reference { defects: defects.iter().map(ToString::to_string).collect() };
    LxcCommand.server(&build(dialect, &[Role::Server]), &source, &bench()).expect("a reference server")
}

async fn start(dialect: &str, defects: &[&str]) -> Box<dyn Server> {
    launcher(dialect, defects).start(Start::in_memory()).await.expect("started")
}

async fn connect(server: &dyn Server) -> Connection {
    Connection::connect(server.address(), DEADLINE).await.expect("connected")
}

/// Bytes from hexadecimal text; `0*8` stands for eight zeros, `16*a5` for sixteen times that byte.
fn hex(text: &str) -> Vec<u8> {
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).expect("ASCII"), 16).expect("hex");
    text.split_whitespace()
        .flat_map(|word| match word.split_once('*') {
            Some(("0", count)) => vec![0; count.parse().expect("a count")],
            Some((count, value)) => vec![byte(value.as_bytes()); count.parse().expect("a count")],
            None => word.as_bytes().chunks(2).map(byte).collect(),
        })
        .collect()
}

/// Everything that comes until the end or until nothing comes, and which of both it was.
async fn collect(connection: &mut Connection) -> (Vec<u8>, &'static str, usize) {
    let (mut bytes, mut fds, mut silences) = (Vec::new(), 0, 0);
    loop {
        match connection.recv(QUIET).await.expect("a socket") {
            Received::Data(data, passed) => {
                bytes.extend_from_slice(&data.bytes);
                fds += passed.len();
            }
            Received::Eof | Received::Reset => return (bytes, "closed", fds),
            // On a busy machine one silence may be our own; between two of them the server has had its turn.
            Received::Timeout if silences == 0 => silences = 1,
            Received::Timeout => return (bytes, "kept", fds),
        }
    }
}

/// Sends pieces, separated by `|`, with pauses between them; `<` half-closes.
async fn send(connection: &Connection, pieces: &str) {
    for (at, piece) in pieces.split('|').enumerate() {
        if at > 0 {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        let (bytes, ends) = match piece.trim().strip_suffix('<') {
            Some(bytes) => (hex(bytes), true),
            None => (hex(piece), false),
        };
        // A server that has closed already is seen by what comes back.
        let _ = connection.send(&bytes.into(), &[], None, DEADLINE).await;
        if ends {
            let _ = connection.half_close();
        }
    }
}

/// What a request gets: `K` kept, `C` closed, `E` closed without a byte, `-` silence; then the bytes.
async fn outcome(server: &dyn Server, pieces: &str) -> String {
    let mut connection = connect(server).await;
    send(&connection, pieces).await;
    let (bytes, end, _) = collect(&mut connection).await;
    outcome_text(&bytes, end)
}

fn outcome_text(bytes: &[u8], end: &str) -> String {
    let letter = match (bytes.is_empty(), end) {
        (true, "closed") => "E",
        (true, _) => "-",
        (false, "closed") => "C",
        (false, _) => "K",
    };
    let text: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{letter} {text}").trim_end().to_owned()
}

fn expected(text: &str) -> String {
    let (letter, bytes) = text.split_once(' ').unwrap_or((text, ""));
    let bytes: String = hex(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{letter} {bytes}").trim_end().to_owned()
}

/// One request against a fresh server of each release, and a fresh client afterwards.
#[track_caller]
fn check(rows: &[(&[&str], &str)], pieces: &str) {
    runtime().block_on(async {
        for (releases, expect) in rows {
            for release in *releases {
                let server = start(release, &[]).await;
                assert_eq!(outcome(&*server, pieces).await, expected(expect), "{release}: {pieces}");
                let (fresh, end) = (outcome(&*server, STATE).await, expected(&format!("C {RUNNING}")));
                assert_eq!(fresh[1..], end[1..], "{release}: fresh client after {pieces}");
            }
        }
    });
}

const OLD: &[&str] = &["1.0.11", "2.0.11", "3.0.4", "4.0.6"];
const NEW: &[&str] = &["5.0.2", "6.0.4", "7.0.0"];
const IDEAL: &[&str] = &["ideal"];

/// A row of the table of generic probes: what all old releases, all new ones and the ideal do.
#[track_caller]
fn generic(pieces: &str, old: &str, new: &str, ideal: &str) {
    check(&[(OLD, old), (NEW, new), (IDEAL, ideal)], pieces);
}

#[test]
fn answers_valid_requests_and_keeps_or_closes() {
    let kept = format!("K {RUNNING}");
    generic(STATE, &kept, &format!("C {RUNNING}"), &kept);
    let closed = format!("C {RUNNING}");
    // A negative length is no payload to the releases, and a lie to the ideal.
    generic("03000000 ffffffff 0*8", &kept, &closed, &format!("K {EINVAL}"));
    generic("03000000 00000080 0*8", &kept, &closed, &format!("K {EINVAL}"));
    generic(&format!("03000000 10000000 0*8 {PAYLOAD}"), &kept, &closed, &kept);
    generic("03000000 00200000 0*8 0*8192", &kept, &closed, &kept);
}

#[test]
fn refuses_unknown_commands_as_the_release_does() {
    let (kept, closed) = (format!("K {ENOSYS}"), format!("C {ENOSYS}"));
    for payload in ["00000000 0*8", "10000000 0*8 0*16", "00100000 0*8 0*4096", "00200000 0*8 0*8192"] {
        generic(&format!("c8000000 {payload}"), "E", &closed, &kept);
    }
    generic("ffffffff 0*12", "E", &closed, &kept);
    generic("00000080 0*12", "E", &closed, &kept);
    generic("1b000000 0*12", "E", &closed, &kept);
    // Above the limit only the ideal answers and drains.
    generic("c8000000 01200000 0*8 0*8193", "E", "E", &kept);
    let two = format!("K {ENOSYS} {RUNNING}");
    generic(&format!("c8000000 01200000 0*8 0*8193 {STATE}"), "E", "E", &two);
    generic(&format!("c8000000 10000000 0*8 0*16 {STATE}"), "E", &closed, &two);
}

#[test]
fn refuses_lengths_that_lie() {
    generic("03000000 01200000 0*8", "E", "E", "K a6ffffff 0*12");
    generic("03000000 ffffff7f 0*8", "E", "E", "K a6ffffff 0*12");
    check(&[(&["1.0.11", "2.0.11", "3.0.4"], "E"), (IDEAL, &format!("K {EINVAL}"))], "06000000 ffffffff 0*8");
}

#[test]
fn refuses_messages_in_pieces_but_for_the_ideal() {
    let name = "07000000 0d000000 0*8 6c78632e 7574732e 6e616d65 00";
    let bytes = hex(name);
    let text = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    for at in [1, 8, 15, 17, 28] {
        let pieces = format!("{}|{}", text(&bytes[..at]), text(&bytes[at..]));
        let answer = "00000000 03000000 0*8 633100";
        generic_current(&pieces, "E", "E", &format!("K {answer}"));
    }
    let pieces = format!("{}|{}", text(&bytes[..16]), text(&bytes[16..]));
    let leaking = format!("00000000 03000000 {P} 633100");
    generic_current(
        &pieces,
        &format!("K {leaking}"),
        &format!("C {leaking}"),
        "K 00000000 03000000 0*8 633100",
    );
    // Cut and half-closed: closed by everybody.
    for cut in ["03<", "03000000 0*11<", "07000000 40000000 0*8 0*7<"] {
        generic(cut, "E", "E", "E");
    }
}

/// As [`generic`], for the releases that know the current spelling of keys.
#[track_caller]
fn generic_current(pieces: &str, old: &str, new: &str, ideal: &str) {
    check(&[(&["3.0.4", "4.0.6"], old), (NEW, new), (IDEAL, ideal)], pieces);
}

#[test]
fn answers_pipelined_requests_in_order_or_loses_all_but_the_first() {
    let three = format!("{STATE} 05000000 0*12 {STATE}");
    let flags = "00000000 00000000 0000026e 00000000";
    let all = format!("K {RUNNING} {flags} {RUNNING}");
    let old = "00000000 00000000 0000026c 00000000";
    check(
        &[
            (&["1.0.11"], &format!("K {RUNNING} {old} {RUNNING}")),
            (&["2.0.11", "3.0.4", "4.0.6"], &all),
            (NEW, &format!("C {RUNNING}")),
            (IDEAL, &all),
        ],
        &three,
    );
    generic(&format!("{STATE}<"), &format!("C {RUNNING}"), &format!("C {RUNNING}"), &format!("C {RUNNING}"));
}

/// What each command answers; `old` is 4.0.6, `new` are 5.0.2 and later.
#[track_caller]
fn command(request: &str, old: &str, new: &str) {
    check(&[(&["4.0.6"], old), (NEW, new)], request);
}

#[test]
fn answers_each_command_as_measured() {
    let ok = |letter: &str| format!("{letter} 0*16");
    command("00000000 0*4 01000000 0*4", "K 0*8 01000000 0*4", "K 0*8 01000000 0*4");
    command("01000000 0*12", "E", "E");
    command("05000000 0*12", "K 0*8 0000026e 0*4", "C 0*8 0000026e 0*4");
    let path = "6c78632e 7061796c 6f61642e 633100";
    let freezer = "08000000 0*8 66726565 7a657200";
    command(&format!("06000000 {freezer}"), "E", &format!("C 0*4 0f000000 {P} {path}"));
    command(&format!("13000000 {freezer}"), "E", &format!("C 0*4 0f000000 {P} {path}"));
    command("06000000 07000000 0*8 66726565 7a6572", "C eaffffff 0*12", "C eaffffff 0*12");
    command("06000000 04000000 0*8 6e6f6e65", "C eaffffff 0*12", "C eaffffff 0*12");
    command("06000000 05000000 0*8 6e6f6e65 00", "E", "E");
    let double = "2f2f6c78 632e7061 796c6f61 642e6331 00";
    command("06000000 0*12", &format!("K 0*4 11000000 {P} {double}"), &format!("C 0*4 0f000000 {P} {path}"));
    command("07000000 02000000 0*8 7800", "K ffffffff 0*12", "C ffffffff 0*12");
    let net = "07000000 08000000 0*8 6c78632e 6e657400";
    let value = format!("0*4 07000000 {P} 656d7074 790a00");
    command(net, &format!("K {value}"), &format!("C {value}"));
    command("08000000 0*12", &format!("K 0*4 03000000 {P} 633100"), &format!("C 0*4 03000000 {P} 633100"));
    let lxcpath = format!("0*4 0c000000 {P} 2f776972 65736b65 772f6300");
    command("09000000 0*12", &format!("K {lxcpath}"), &format!("C {lxcpath}"));
    let waits = "K 08000000 0*4 08000000 0*4";
    command("0a000000 20000000 0*8 01000000 0*28", waits, waits);
    let runs = "K 02000000 0*4 02000000 0*4";
    command("0a000000 20000000 0*8 0*8 01000000 0*20", runs, runs);
    for wrong in ["0*12", "1c000000 0*8 0*28", "24000000 0*8 0*36"] {
        let wrong = wrong.strip_prefix("0*12").map_or(wrong.to_owned(), |_| "00000000 0*8".to_owned());
        command(&format!("0a000000 {wrong}"), "E", "C eaffffff 0*12");
    }
    let log = format!("0*4 0b000000 {P} 696e6974 20757020 310d0a");
    command("0b000000 18000000 0*8 00010000 0*20", &format!("K {log}"), &format!("C {log}"));
    command("0c000000 0*4 07000000 0*4", &ok("K"), &ok("C"));
}

#[test]
fn answers_the_later_commands_as_measured() {
    let ok = |letter: &str| format!("{letter} 0*16");
    command("0d000000 0*12|00", "C a6ffffff 0*12", "C c3ffffff 0*12");
    command("0d000000 0*12<", "C a6ffffff 0*12", "C c3ffffff 0*12");
    let rule = "63000000 0a000000 e5000000 72776d00 01000000";
    command(&format!("0e000000 18000000 0*8 {rule} ffffffff"), &ok("K"), "C eaffffff 0*12");
    command(&format!("0e000000 28000000 0*8 {rule} 0*20"), "E", &ok("C"));
    command(&format!("0e000000 14000000 0*8 {rule}"), "E", "C eaffffff 0*12");
    command("0e000000 18000000 0*8 24*ff", "K ffffffff 0*12", "C eaffffff 0*12");
    command("0e000000 28000000 0*8 40*ff", "E", "C ffffffff 0*12");
    for number in ["0f", "10"] {
        command(&format!("{number}000000 0*4 8*ff"), &ok("K"), &ok("C"));
    }
    for number in ["11", "12", "15"] {
        command(&format!("{number}000000 0*12"), &ok("K"), &ok("C"));
    }
    command("14000000 0*12", "E", &ok("C"));
    command("16000000 0*12", "E", "C f7ffffff 0*12");
    command("17000000 0*12", "E", &format!("C 0*8 {P}"));
    let head = "50000000 0*8 0*16";
    command(&format!("18000000 {head} 6e6f6e65 0*60"), "E", "C feffffff 0*12");
    command(&format!("19000000 {head} 0*64"), "E", "C eaffffff 0*12");
    command("18000000 58000000 0*8 0*16 64657669 63657300 0*64", "E", "C eaffffff 0*12");
    command("1a000000 0*12", "E", "C eaffffff 0*12");
}

#[test]
fn answers_cgroup_structures_with_their_descriptors() {
    runtime().block_on(async {
        let server = start("7.0.0", &[]).await;
        for (request, len, expect) in [
            ("17000000 60000000 0*8 0*96", 16 + 96, "02000000 03000000 01000000"),
            ("17000000 ffffffff 0*8", 16 + 96, "02000000 03000000 01000000"),
            ("18000000 50000000 0*8 0*16 64657669 63657300 0*56", 16 + 80, "02000000 03000000 70726763"),
            ("18000000 18000000 0*8 0*16 64657669 63657300", 16 + 24, "02000000 03000000 70726763"),
        ] {
            let mut connection = connect(&*server).await;
            send(&connection, request).await;
            let (bytes, end, fds) = collect(&mut connection).await;
            assert_eq!((bytes.len(), end, fds), (len, "closed", 1), "{request}");
            assert_eq!(bytes[16..28], hex(expect), "{request}");
        }
    });
}

#[test]
fn old_releases_answer_as_measured() {
    let hybrid = |path: &str| {
        let text: String = path.bytes().map(|byte| format!("{byte:02x}")).collect();
        format!("K 0*4 {:02x}000000 {P} {text} 00", path.len() + 1)
    };
    let freezer = "06000000 08000000 0*8 66726565 7a657200";
    check(
        &[
            (&["1.0.11"], &hybrid("/lxc/c1")),
            (&["2.0.11"], &hybrid("//lxc/c1")),
            (&["3.0.4"], &hybrid("//lxc.payload/c1")),
        ],
        freezer,
    );
    let fine = "K 0*16";
    check(&[(&["1.0.11", "2.0.11", "3.0.0"], fine), (&["3.0.4", "4.0.6"], "E")], "01000000 0*12");
    check(&[(&["1.0.11"], "E"), (&["2.0.11"], "C daffffff 0*12")], "0b000000 18000000 0*8 00010000 0*20");
    let waits = "K 08000000 0*4 08000000 0*4";
    check(&[(&["1.0.11"], "E"), (&["2.0.11"], waits), (&["3.0.4"], "-")], "0a000000 04000000 0*8 01000000");
    check(&[(&["3.0.4"], "K daffffff 0*12")], "0d000000 0*12");
    let (old, new) = ("6c78632e 7574736e 616d6500", "6c78632e 7574732e 6e616d65 00");
    let name = format!("K 0*4 03000000 {P} 633100");
    let unknown = "K ffffffff 0*12";
    check(
        &[(&["1.0.11", "2.0.11"], &name), (&["3.0.4", "4.0.6"], unknown)],
        &format!("07000000 0c000000 0*8 {old}"),
    );
    check(
        &[(&["1.0.11", "2.0.11"], unknown), (&["3.0.4", "4.0.6"], &name)],
        &format!("07000000 0d000000 0*8 {new}"),
    );
}

#[test]
fn a_stalled_payload_stops_everybody_but_at_the_ideal() {
    runtime().block_on(async {
        for (releases, blocks) in [(OLD, true), (NEW, true), (IDEAL, false)] {
            for release in releases {
                let server = start(release, &[]).await;
                let stalled = connect(&*server).await;
                send(&stalled, STALLED).await;
                tokio::time::sleep(QUIET).await;
                let mut other = connect(&*server).await;
                send(&other, STATE).await;
                let (bytes, ..) = collect(&mut other).await;
                assert_eq!(bytes.is_empty(), blocks, "{release}");
                drop(stalled);
                if blocks {
                    assert_eq!(collect(&mut other).await.0, hex(RUNNING), "{release}");
                }
            }
        }
    });
}

#[test]
fn dies_where_the_release_dies() {
    let key = "07000000 0*12";
    let log = "0b000000 0*12";
    let stored_state = "0c000000 0*4 ffff7f00 0*4";
    #[track_caller]
    fn dies(releases: &[&str], before: &str, pieces: &str, expect: Option<ExitStatus>) {
        runtime().block_on(async {
            for release in releases {
                let mut server = start(release, &[]).await;
                if !before.is_empty() {
                    outcome(&*server, before).await;
                }
                outcome(&*server, pieces).await;
                let recorder = Recorder::new();
                server.watch(&recorder);
                let exit = recorder.take().into_iter().find_map(|event| match event.kind {
                    EventKind::Exit(status) => Some(status),
                    _ => None,
                });
                assert_eq!(exit, expect, "{release}: {pieces}");
                let listens = Connection::connect(server.address(), DEADLINE).await.is_ok();
                assert_eq!(listens, expect.is_none(), "{release}: {pieces}");
            }
        });
    }
    let crash = Some(ExitStatus::Signal(11));
    for releases in [OLD, NEW] {
        dies(releases, "", key, crash);
        dies(releases, "", "07000000 ffffffff 0*8", crash);
    }
    dies(IDEAL, "", key, None);
    dies(&["3.0.4", "4.0.6", "5.0.2", "7.0.0"], "", log, crash);
    dies(&["1.0.11", "2.0.11", "ideal"], "", log, None);
    dies(&["4.0.6", "5.0.2", "7.0.0"], stored_state, "0a000000 20000000 0*8 0*32", crash);
    dies(IDEAL, stored_state, "0a000000 20000000 0*8 0*32", None);
    for releases in [OLD, NEW, IDEAL] {
        dies(releases, "", "02000000 0*12", Some(ExitStatus::Code(0)));
    }
}

#[test]
fn tells_one_state_to_those_who_wait_and_closes() {
    runtime().block_on(async {
        for release in ["2.0.11", "4.0.6", "7.0.0", "ideal"] {
            let server = start(release, &[]).await;
            let mut waits = connect(&*server).await;
            send(&waits, "0a000000 20000000 0*8 01000000 0*8 01000000 01000000 0*12").await;
            assert_eq!(collect(&mut waits).await.1, "kept", "{release}");
            outcome(&*server, "02000000 0*12").await;
            let (bytes, end, _) = collect(&mut waits).await;
            let message = [&[0; 4][..], b"c1", &[0; 254], &3_i32.to_le_bytes()].concat();
            assert_eq!((bytes, end), (message, "closed"), "{release}");
        }
    });
}

#[test]
fn stores_any_state_but_at_the_ideal() {
    runtime().block_on(async {
        for (release, stored, told) in [
            ("4.0.6", "64000000 0*4", "64000000 0*4"),
            ("7.0.0", "64000000 0*4", "64000000 0*4"),
            ("7.0.0", "8*ff", "ffffffff 0*4"),
            ("7.0.0", "07000000 0*4", "02000000 0*4"),
            ("ideal", "64000000 0*4", "02000000 0*4"),
        ] {
            let server = start(release, &[]).await;
            outcome(&*server, &format!("0c000000 0*4 {stored}")).await;
            let answer = outcome(&*server, STATE).await;
            assert_eq!(answer[1..], expected(&format!("C 0*8 {told}"))[1..], "{release} {stored}");
        }
    });
}

#[test]
fn leases_two_terminals_and_frees_them_with_their_connections() {
    runtime().block_on(async {
        for (release, busy) in [("4.0.6", "E"), ("7.0.0", "C f7ffffff 0*12"), ("ideal", "K f7ffffff 0*12")] {
            let server = start(release, &[]).await;
            let any = "00000000 0*4 8*ff";
            let mut first = connect(&*server).await;
            send(&first, any).await;
            let (bytes, end, fds) = collect(&mut first).await;
            assert_eq!((outcome_text(&bytes, end), fds), (expected("K 0*8 01000000 0*4"), 1), "{release}");
            let second = connect(&*server).await;
            send(&second, any).await;
            assert_eq!(outcome(&*server, any).await, expected(busy), "{release}");
            drop(first);
            tokio::time::sleep(QUIET).await;
            assert_eq!(outcome(&*server, any).await, expected("K 0*8 01000000 0*4"), "{release}");
        }
    });
}

#[test]
fn a_lease_answers_one_more_command_and_is_gone() {
    runtime().block_on(async {
        let server = start("5.0.2", &[]).await;
        let mut lease = connect(&*server).await;
        send(&lease, "00000000 0*4 8*ff").await;
        assert_eq!(collect(&mut lease).await.1, "kept");
        send(&lease, STATE).await;
        let (bytes, end, _) = collect(&mut lease).await;
        assert_eq!((bytes, end), (hex(RUNNING), "closed"));
    });
}

#[test]
fn a_descriptor_may_be_added_and_is_dropped_elsewhere() {
    runtime().block_on(async {
        let null = std::fs::File::open("/dev/null").expect("a device");
        let fds = [std::os::fd::AsFd::as_fd(&null)];
        for (release, expect) in
            [("4.0.6", "K eaffffff 0*12"), ("7.0.0", "C eaffffff 0*12"), ("ideal", "K eaffffff 0*12")]
        {
            let server = start(release, &[]).await;
            let mut connection = connect(&*server).await;
            send(&connection, "0d000000 0*12").await;
            tokio::time::sleep(Duration::from_millis(2)).await;
            connection.send(&Bytes::from_static(&[0]), &fds, None, DEADLINE).await.expect("sent");
            let (bytes, end, _) = collect(&mut connection).await;
            assert_eq!(outcome_text(&bytes, end), expected(expect), "{release}");

            let mut connection = connect(&*server).await;
            connection.send(&hex(STATE).into(), &fds, None, DEADLINE).await.expect("sent");
            assert_eq!(collect(&mut connection).await.0, hex(RUNNING), "{release}");
        }
    });
}

#[test]
fn denies_other_users() {
    runtime().block_on(async {
        for (release, expect) in [
            ("1.0.11", "C f3ffffff 0*12"),
            ("2.0.11", "E"),
            ("3.0.4", "C ffffffff 0*12"),
            ("4.0.6", "C ffffffff 0*12"),
            ("7.0.0", "C ffffffff 0*12"),
            ("ideal", "C ffffffff 0*12"),
        ] {
            for ((uid, gid), denied) in [((1000, 1000), true), ((1000, 0), true), ((0, 1000), false)] {
                let server = start(release, &[]).await;
                let mut connection = connect(&*server).await;
                let creds = Some(Credentials { pid: 0, uid, gid });
                connection.send(&hex(STATE).into(), &[], creds, DEADLINE).await.expect("sent");
                let (bytes, end, _) = collect(&mut connection).await;
                let found = outcome_text(&bytes, end);
                assert_eq!(found == expected(expect), denied, "{release} {uid}:{gid} {found}");
                assert_eq!(bytes == hex(RUNNING), !denied, "{release} {uid}:{gid} {found}");
            }
        }
    });
}

mod anything;
mod clients;
