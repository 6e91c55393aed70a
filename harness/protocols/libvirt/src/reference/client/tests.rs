//! Reference clients ask what virsh was measured to ask, and come to what it came to.

use std::collections::BTreeMap;
use std::time::Duration;

use matrix::{Build, BuildId, CaseId, CaseKind, Role};
use protocol::{Bench, Protocol};
use session::{Recorder, Server, Start};
use transcript::{ConnId, Event, EventKind, Provenance, Transcript};
use verdict::{Evidence, Reading, judge};
use wire::libvirt_rpc::Header;
use wire::{Decoder, Direction};

use super::CLIENT_DEFECTS;
use crate::operations::operations;
use crate::{DIALECTS, LibvirtGrammar, LibvirtRemote, reference};

mod recorded;

/// Longer than any operation against a server that answers.
const PATIENCE: Duration = Duration::from_millis(2500);
const START_DEADLINE: Duration = Duration::from_secs(5);
const ALL: &[&str] = &["7.0.0", "9.0.0", "11.3.0", "12.8.0"];

fn build(dialect: &str, settings: &[(&str, &str)]) -> Build {
    Build {
        id: BuildId::new(format!("ref-{dialect}")),
        protocol: "libvirt-remote".into(),
        roles: vec![Role::Client, Role::Server],
        version: dialect.to_owned(),
        dialect: dialect.to_owned(),
        sources: Vec::new(),
        like: None,
        settings: settings.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect(),
    }
}

/// A server as a test wants it: its dialect, and the highest procedure that it knows.
#[derive(Debug, Clone, Copy)]
struct Peer {
    dialect: &'static str,
    settings: &'static [(&'static str, &'static str)],
}

const fn peer(dialect: &'static str) -> Peer {
    Peer { dialect, settings: &[] }
}

const UP_TO_222: Peer = Peer { dialect: "12.8.0", settings: &[("highest", "222")] };
const UP_TO_219: Peer = Peer { dialect: "ideal", settings: &[("highest", "219")] };
const UP_TO_70: Peer = Peer { dialect: "ideal", settings: &[("highest", "70")] };
const GERMAN: Peer = Peer { dialect: "11.3.0", settings: &[("locale", "de_DE.UTF-8")] };

/// What passes when a client carries out an operation.
fn events(client: (&str, &[&str]), server: Peer, operation: &str) -> Vec<Event> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let defects: Vec<String> = client.1.iter().map(ToString::to_string).collect();
        let client = super::client(&build(client.0, &[]), &defects).expect("a reference client");
        let work_dir = tempfile::tempdir().expect("a temporary directory");
        let path = work_dir.path().to_path_buf();
        let bench = Bench::new(path.clone(), path);
        let servers = reference::server(&build(server.dialect, server.settings), &[], &bench);
        let mut server: Box<dyn Server> =
            servers.expect("a reference server").start(Start::in_memory()).await.expect("started");
        let recorder = Recorder::new();
        client.run(operation, &mut *server, &recorder, PATIENCE).await.expect("carried out");
        server.stop().await;
        recorder.take()
    })
}

/// What is found when a client carries out an operation.
fn shapes(client: (&str, &[&str]), server: Peer, operation: &str) -> Vec<String> {
    let events = events(client, server, operation);
    let transcript = Transcript { provenance: Provenance::default(), events };
    let grammar = LibvirtGrammar::new(DIALECTS.for_version(server.dialect).expect("in the table"));
    let reading = Reading::of(&transcript, &grammar);
    let case = &CaseId::new(CaseKind::Client, operation);
    let evidence =
        Evidence { case, transcript: &transcript, reading: &reading, grammar: &grammar, recorded: None };
    let checks = LibvirtRemote.checks(case);
    // Restrictions too: a fallback that was taken is no fault, and it must be seen.
    judge(&evidence, &checks, None).findings.into_iter().map(|finding| finding.shape).collect()
}

#[track_caller]
fn check(clients: &[&str], servers: &[&'static str], operations: &[&str], expect: &[&str]) {
    for client in clients {
        for server in servers {
            for operation in operations {
                let found = shapes((client, &[]), peer(server), operation);
                assert_eq!(found, expect, "{client}..{server} {operation}");
            }
        }
    }
}

const NEW: &[&str] = &["9.0.0", "11.3.0", "12.8.0"];
const METADATA: &[&str] = &["11.3.0", "12.8.0"];

/// Measured with 7.0.0, 9.0.0, 11.3.0 and 12.8.0, clients against servers.
#[test]
fn four_releases_meet_as_measured() {
    let fine = [
        "connect",
        "version",
        "list",
        "net-list",
        "pool-list",
        "iface-list",
        "iface-dumpxml",
        "screenshot",
        "event",
        "begin",
        "begin-twice",
        "commit-nothing",
        "rollback-nothing",
        "define",
        "commit",
    ];
    check(ALL, ALL, &fine, &[]);
    check(&["7.0.0"], ALL, &["nodedev-list", "destroy"], &[]);
    check(NEW, METADATA, &["nodedev-list"], &[]);
    check(NEW, ALL, &["net-update"], &[]);
    check(&["7.0.0"], &["7.0.0"], &["net-update"], &[]);
    check(METADATA, METADATA, &["net-desc", "net-desc-write"], &[]);
    check(NEW, NEW, &["postcopy-abort", "dirty-rate"], &[]);
    check(&["12.8.0"], &["12.8.0"], &["announce-interface", "nodedev-info"], &[]);
    check(&["12.8.0"], &["11.3.0"], &["nodedev-info"], &[]);
}

/// Section 4.3, and what of section 5 a client shows.
#[test]
fn four_releases_fail_each_other_as_measured() {
    // LV-07.
    check(ALL, ALL, &["rollback", "rollback-destroyed"], &["silent-wrong"]);
    // LV-01.
    check(&["7.0.0"], NEW, &["net-update"], &["loud-fail"]);
    // LV-05.
    check(NEW, &["7.0.0", "9.0.0"], &["nodedev-list"], &["loud-fail"]);
    // LV-11. The last row: whether a device is started by itself no test driver says, and two releases print
    // that it is not.
    check(NEW, &["7.0.0", "9.0.0"], &["nodedev-info"], &["silent-wrong"]);
    check(&["9.0.0", "11.3.0"], METADATA, &["nodedev-info"], &["silent-wrong"]);
    // Fallbacks, and what has none.
    check(METADATA, &["7.0.0", "9.0.0"], &["net-desc"], &["fell-back"]);
    check(METADATA, &["7.0.0", "9.0.0"], &["net-desc-write"], &["loud-fail"]);
    check(NEW, &["7.0.0"], &["postcopy-abort", "dirty-rate"], &["fell-back"]);
    check(&["12.8.0"], &["7.0.0", "9.0.0", "11.3.0"], &["announce-interface"], &["fell-back"]);
    // An iface-destroy that works ends with 1.
    check(NEW, ALL, &["destroy"], &["loud-fail"]);
}

/// Section 4.5: a server that knows nothing above 222 is a release of 2011.
#[test]
fn every_release_reaches_the_same_end_on_a_server_of_2011() {
    for client in ALL.iter().chain(&["ideal"]) {
        for name in ["list", "iface-list", "net-list", "pool-list", "nodedev-list"] {
            assert_eq!(shapes((client, &[]), UP_TO_222, name), ["fell-back"], "{client} {name}");
        }
        for name in ["connect", "version", "iface-dumpxml", "event", "screenshot", "begin", "commit"] {
            assert_eq!(shapes((client, &[]), UP_TO_222, name), [""; 0], "{client} {name}");
        }
    }
}

/// Measured with servers without transactions, and from a time before interfaces. What the server has no
/// procedure for cannot be read beside the client either; nobody but a client that changes it is held to it.
#[test]
fn older_servers_are_read_and_not_changed() {
    let lists = ["list", "net-list", "pool-list", "iface-list"];
    for client in ALL.iter().chain(&["ideal"]) {
        let check = |server: Peer, name: &str, expect: &[&str]| {
            assert_eq!(shapes((client, &[]), server, name), expect, "{client} {server:?} {name}");
        };
        check(UP_TO_219, "version", &[]);
        for name in lists {
            check(UP_TO_219, name, &["fell-back"]);
        }
        check(UP_TO_70, "version", &["fell-back"]);
        check(UP_TO_70, "list", &["fell-back"]);
        for name in ["iface-list", "begin", "rollback"] {
            check(UP_TO_70, name, &["loud-fail"]);
        }
    }
    // Nobody passes for want of evidence, however old the server.
    let check = |defect: &str, server: Peer, name: &str, expect: &str| {
        let found = shapes(("ideal", &[defect]), server, name);
        assert!(!found.is_empty() && found.iter().all(|shape| shape == expect), "{name}: {found:?}");
    };
    for name in ["begin", "rollback", "iface-list", "list"] {
        check("takes-refusal-for-success", UP_TO_70, name, "silent-wrong");
    }
    check("takes-refusal-for-success", UP_TO_219, "begin", "silent-wrong");
    check("ignores-unknown-procedure", UP_TO_70, "list", "loud-fail");
}

/// LV-04: the fallback hangs on two English words.
#[test]
fn a_translated_refusal_ends_the_command() {
    assert_eq!(shapes(("12.8.0", &[]), peer("9.0.0"), "net-desc"), ["fell-back"]);
    let german = Peer { dialect: "9.0.0", ..GERMAN };
    assert_eq!(shapes(("12.8.0", &[]), german, "net-desc"), ["loud-fail"]);
    assert_eq!(shapes(("12.8.0", &[]), german, "list"), [""; 0]);
    // A good server of 2011 that speaks German: every list ends, and what needs no fallback does not.
    let older = Peer { dialect: "ideal", settings: &[("highest", "222"), ("locale", "de_DE.UTF-8")] };
    for client in ALL.iter().chain(&["ideal"]) {
        for name in ["list", "iface-list", "net-list", "pool-list"] {
            assert_eq!(shapes((client, &[]), older, name), ["loud-fail"], "{client} {name}");
        }
        for name in ["version", "begin"] {
            assert_eq!(shapes((client, &[]), older, name), [""; 0], "{client} {name}");
        }
    }
}

#[test]
fn the_ideal_client_reaches_every_end_or_says_that_it_cannot() {
    for server in DIALECTS.all() {
        let faithful = server.name == "ideal";
        let knows = |procedure| server.knows(crate::names::program::REMOTE, procedure);
        for operation in operations() {
            let found = shapes(("ideal", &[]), peer(server.name), operation.name);
            let expect: &[&str] = match operation.name {
                // What the server does wrong is not the client's fault, but it claims success.
                "rollback" | "rollback-destroyed" if !faithful => &["silent-wrong"],
                "net-desc-write" if !knows(444) => &["loud-fail"],
                "net-desc" if !knows(445) => &["fell-back"],
                "nodedev-info" if !knows(436) => &["fell-back"],
                "postcopy-abort" if !knows(442) => &["fell-back"],
                "dirty-rate" if !knows(427) => &["fell-back"],
                "announce-interface" if !knows(456) => &["fell-back"],
                _ => &[],
            };
            assert_eq!(found, expect, "ideal..{} {}", server.name, operation.name);
        }
    }
}

#[test]
fn every_defect_shows_in_its_case_and_not_without_it() {
    for defect in CLIENT_DEFECTS {
        let name = defect.case.strip_prefix("client/").expect("the case of a client");
        let found = |on: &[&str]| shapes(("ideal", on), peer(defect.peer), name);
        let with = found(&[defect.name]);
        assert!(with.iter().any(|shape| *shape == defect.shape), "{}: {with:?}", defect.name);
        let without = found(&[]);
        assert!(!without.iter().any(|shape| *shape == defect.shape), "without {}: {without:?}", defect.name);
    }
}

/// What the client calls, in short: `60(10)` is SUPPORTS_FEATURE of 10, `211+` the end of
/// a stream.
fn calls(events: &[Event]) -> String {
    let mut decoder = wire::libvirt_rpc::MessageDecoder::towards(Direction::ToServer);
    let mut sent = bytes::BytesMut::new();
    for event in events.iter().filter(|event| event.conn == ConnId(1) && event.dir == Direction::ToServer) {
        if let EventKind::Data(data) = &event.kind {
            sent.extend_from_slice(&data.bytes);
        }
    }
    let mut words = Vec::new();
    while let Ok(Some(frame)) = decoder.decode(&mut sent) {
        let header = Header::of_frame(&frame).expect("a message");
        words.push(match (header.procedure, header.kind.is_call()) {
            (60, _) => format!("60({})", frame.payload().last().copied().unwrap_or_default()),
            (procedure, true) => procedure.to_string(),
            (procedure, false) => format!("{procedure}+"),
        });
    }
    words.join(" ")
}

/// Every one of these was seen from virsh of the same release, with a recorder in between.
#[test]
fn asks_what_virsh_was_measured_to_ask() {
    #[track_caller]
    fn check(clients: &[&str], server: Peer, rows: &[(&str, &str)]) {
        let old = server.settings.contains(&("highest", "222"));
        for client in clients {
            for (name, middle) in rows {
                let opening = "66 60(10) 1 60(14) 60(15)";
                let (begin, end) = if old { ("", "2") } else { ("360 ", "361 2") };
                let middle = if middle.is_empty() { String::new() } else { format!("{middle} ") };
                let expect = format!("{opening} {begin}{middle}{end}");
                assert_eq!(calls(&events((client, &[]), server, name)), expect, "{client} {name}");
            }
        }
    }
    let same = [
        ("connect", ""),
        ("version", "3 4 157"),
        ("list", "273 212"),
        ("net-list", "283 44 153 152"),
        ("pool-list", "281 89 87 154"),
        ("iface-list", "284 156"),
        ("iface-dumpxml", "128 130"),
        ("nodedev-list", "285"),
        ("screenshot", "23 211 211+"),
        ("event", "23 316 317"),
        ("begin", "220"),
        ("begin-twice", "220 220"),
        ("commit", "220 131 221"),
        ("rollback", "220 131 222"),
        ("rollback-destroyed", "220 128 134 222"),
        ("destroy", "128 134"),
    ];
    check(ALL, peer("12.8.0"), &same);
    check(&["7.0.0"], peer("12.8.0"), &[("net-update", "46 291")]);
    check(NEW, peer("12.8.0"), &[("net-update", "46 60(16) 291"), ("nodedev-info", "113 115 436 435 433")]);
    check(NEW, peer("12.8.0"), &[("postcopy-abort", "23 442"), ("dirty-rate", "23 427")]);
    check(METADATA, peer("12.8.0"), &[("net-desc", "46 445"), ("net-desc-write", "46 445 444")]);
    check(METADATA, peer("9.0.0"), &[("net-desc", "46 445 43"), ("net-desc-write", "46 445 43 444")]);
    check(&["12.8.0"], peer("12.8.0"), &[("announce-interface", "23 60(9) 456")]);
    let fallbacks = [
        ("list", "273 51 37 25 22 212"),
        ("iface-list", "284 126 127 137 128 156"),
        ("net-list", "283 52 50 38 36 46 44 153 152"),
        ("pool-list", "281 71 73 72 74 84 89 87 154"),
        ("nodedev-list", "285 111 112 113 113 113 113"),
        ("event", "23 167 168"),
    ];
    check(&["7.0.0", "12.8.0"], UP_TO_222, &fallbacks);
}

/// The table of releases and that of operations say the same of which release has which command.
#[test]
fn releases_have_the_commands_that_their_facts_say() {
    for dialect in DIALECTS.all() {
        let facts = dialect.client;
        let known: BTreeMap<&str, bool> = BTreeMap::from([
            ("nodedev-info", facts.node_device_state),
            ("net-desc", facts.network_metadata),
            ("net-desc-write", facts.network_metadata),
            ("postcopy-abort", facts.job_flags),
            ("dirty-rate", facts.job_flags),
            ("announce-interface", facts.announces_interfaces),
        ]);
        for operation in operations() {
            let expect = known.get(operation.name).copied().unwrap_or(true);
            assert_eq!(
                operation.lacking_in(dialect.name).is_none(),
                expect,
                "{} {}",
                dialect.name,
                operation.name
            );
        }
    }
}

#[test]
fn says_of_a_case_which_client_lacks_it() {
    #[track_caller]
    fn check(case: &str, version: &str, dialect: &str, lacks: bool) {
        let client = Build { version: version.to_owned(), ..build(dialect, &[]) };
        let why = LibvirtRemote.lacks(&client, &case.parse().expect("the name of a case"));
        assert_eq!(why.is_some(), lacks, "{case} {version}: {why:?}");
    }
    check("client/net-desc", "9.0.0", "9.0.0", true);
    check("client/net-desc", "11.3.0", "11.3.0", false);
    check("client/net-desc", "ideal", "ideal", false);
    // A branch has the number of its dialect.
    check("client/net-desc", "my-branch", "9.0.0", true);
    check("client/net-desc", "my-branch", "12.8.0", false);
    check("client/list", "7.0.0", "7.0.0", false);
    check("client/no-such", "7.0.0", "7.0.0", false);
    check("probe/net-desc", "7.0.0", "7.0.0", false);
}
