//! Transcripts that several tests use.

use std::collections::BTreeMap;
use std::io::Write as _;

use bytes::Bytes;
use transcript::{
    BuildChange, ConnId, Credentials, Data, Endpoint, Event, EventKind, ExitStatus, FdNote, Mark, MaskedSpan,
    Provenance, Transcript,
};
use wire::Direction::{self, ToClient, ToServer};

/// Says what a test left out, past the capture of output by the test runner.
pub(crate) fn not_run(what: &str) {
    writeln!(std::io::stderr(), "NOT RUN: {what}").expect("stderr can be written");
}

pub(crate) fn event(at_us: u64, conn: u32, dir: Direction, kind: EventKind) -> Event {
    Event { at_us, conn: ConnId(conn), dir, kind }
}

pub(crate) fn data(bytes: &[u8]) -> EventKind {
    EventKind::Data(Data { bytes: Bytes::copy_from_slice(bytes), ..Data::default() })
}

fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
}

/// One of everything that the format can say.
pub(crate) fn everything() -> Transcript {
    let mark =
        Mark { label: "subject".into(), args: map(&[("expect", "not-supported"), ("why", "too new")]) };
    let passed = Data {
        bytes: Bytes::from_static(b"\x00\x01ok|~\x7f\xff000 000 000 000000 12"),
        fds: vec![FdNote("pidfd".into()), FdNote("dir /sys/fs/cgroup 000".into())],
        creds: Some(Credentials { pid: -1, uid: 0, gid: u32::MAX }),
    };
    let server = Endpoint {
        id: "5.0.2".into(),
        name: "lxc".into(),
        package: Some("1:5.0.2-1+deb12u4".into()),
        ..Endpoint::default()
    };
    Transcript {
        provenance: Provenance {
            protocol: "lxc-command".into(),
            case: "client/info".into(),
            recorder: "wireskew 0.1.0".into(),
            recorded: "2026-11-20".into(),
            note: "A line.\nAnother with \"quotes\", a \\ and 000000 00 01.".into(),
            seed: Some(u64::MAX),
            transport: "unix-stream".into(),
            masks: vec!["pointer".into(), "pid".into()],
            masked: vec![MaskedSpan { name: "pid".into(), conn: ConnId(1), dir: ToServer, span: 2..4 }],
            environment: map(&[("arch", "x86_64"), ("kernel", "6.18.44"), ("a key", "é")]),
            client: Endpoint {
                id: "4.0.6".into(),
                name: "lxc-info".into(),
                version: Some("4.0.6".into()),
                digest: Some("sha256:00ff".into()),
                command: vec!["lxc-info".into(), "-n".into(), "a b".into()],
                modified: true,
                details: map(&[("suite", "bullseye")]),
                ..Endpoint::default()
            },
            server: server.clone(),
            builds: vec![BuildChange { from_us: 30, client: server.clone(), server }],
        },
        events: vec![
            event(0, 0, ToServer, EventKind::ConnectFailed("ECONNREFUSED".into())),
            event(0, 1, ToServer, EventKind::Connect),
            event(10, 1, ToServer, EventKind::Mark(mark)),
            event(12, 1, ToServer, EventKind::Data(passed)),
            event(13, 1, ToClient, data(&[0x41; 16])),
            event(20, 1, ToClient, EventKind::Exit(ExitStatus::Signal(11))),
            event(20, 1, ToClient, EventKind::Eof(Some("killed".into()))),
            event(30, 1, ToClient, EventKind::Connect),
            event(1_000_030, 1, ToClient, EventKind::Timeout(1000)),
            event(1_000_031, 1, ToServer, EventKind::Eof(None)),
            event(1_000_032, 1, ToClient, EventKind::Reset),
            event(1_000_033, 0, ToServer, EventKind::Exit(ExitStatus::Code(-1))),
            event(1_000_034, 0, ToClient, EventKind::Exit(ExitStatus::Gone)),
            event(u64::MAX, 0, ToClient, EventKind::Observe { key: "fds".into(), value: "12".into() }),
        ],
    }
}

/// The smallest file that has a bit of everything, for tests that damage it everywhere.
pub(crate) const SMALL: &str = "\
# wireskew-wire 1 written by \"w 1\"
# protocol = \"p\"
# case = \"c\"
#
# [client]
# id = \"1\"
# name = \"n\"
#
# [server]
# id = \"2\"
# name = \"n\"

# 0.000000 c2s conn=1 connect
O 0.000001 c2s conn=1 len=17 fds=dir creds=1:2:3
000000 68 65 6c 6c 6f 00 00 00 00 00 00 00 00 00 00 00  |hello...........|
000010 21                                               |!|
# 0.000002 c2s conn=1 mark canary expect=echo
I 0.000003 s2c conn=1 len=1
000000 ff                                               |.|
# 0.000004 s2c conn=1 eof \"all closed\"
# end events=5 bytes=18
";
