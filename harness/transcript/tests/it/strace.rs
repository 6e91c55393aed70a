//! Traces become transcripts. The trace is a real one: a client and a server in Python on an abstract socket.

use transcript::import::strace;
use transcript::text::render;
use transcript::{ConnId, EventKind, Provenance, Transcript};
use wire::Direction::{ToClient, ToServer};

const TRACE: &str = include_str!("../data/strace/exchange.txt");
const PATH: &str = "wireskew-strace-test-14047";
const SERVER: &str = "14047 ";
const CLIENT: &str = "14088 ";

fn lines_of(pid: &str) -> String {
    TRACE.lines().filter(|line| line.starts_with(pid)).map(|line| format!("{line}\n")).collect()
}

fn import(trace: &str) -> Transcript {
    let provenance = Provenance { recorder: "[recorder]".into(), ..Provenance::default() };
    strace::import(trace, PATH, provenance).unwrap()
}

#[test]
fn shows_a_trace_of_both_ends_as_one_conversation() {
    insta::assert_snapshot!(render(&import(TRACE)));
}

#[test]
fn one_traced_end_is_enough() {
    let both = import(TRACE);
    assert_eq!(import(&lines_of(CLIENT)), both, "where both are traced, the client's view counts");

    let server = import(&lines_of(SERVER));
    for dir in [ToServer, ToClient] {
        assert_eq!(server.stream(ConnId(1), dir), both.stream(ConnId(1), dir), "{dir}");
    }
    let passed = |transcript: &Transcript, dir| {
        let all: Vec<_> = transcript.blocks(ConnId(1), dir).collect();
        (all[0].1.creds, all[0].1.fds.clone())
    };
    assert_eq!(passed(&server, ToServer), passed(&both, ToServer));
    assert_eq!(passed(&server, ToClient), passed(&both, ToClient));
}

#[test]
fn errors_of_calls_are_events() {
    let address = PATH.bytes().map(|b| format!("\\x{b:02x}")).collect::<String>();
    let trace = format!(
        "1.000000 connect(3<UNIX-STREAM:[7]>, {{sa_family=AF_UNIX, sun_path=@\"{address}\"}}, 29) = -1 ECONNREFUSED (Connection refused)\n\
         1.000001 connect(3<UNIX-STREAM:[8]>, {{sa_family=AF_UNIX, sun_path=@\"{address}\"}}, 29) = 0\n\
         1.000002 connect(4<UNIX-STREAM:[9]>, {{sa_family=AF_UNIX, sun_path=\"\\x2f\"}}, 29) = 0\n\
         1.000003 write(4<UNIX-STREAM:[9->10]>, \"\\x00\", 1) = 1\n\
         [pid    12] 1.000004 read(3<UNIX-STREAM:[8->11]>, 0x7ffc, 16) = -1 EAGAIN (Resource temporarily unavailable)\n\
         [pid    12] 1.000005 read(3<UNIX-STREAM:[8->11]>, 0x7ffc, 16) = -1 ECONNRESET (Connection reset by peer)\n"
    );
    let kinds: Vec<_> =
        import(&trace).events.into_iter().map(|e| (e.at_us, e.conn.0, e.dir, e.kind)).collect();
    let expect = [
        (0, 0, ToServer, EventKind::ConnectFailed("ECONNREFUSED".into())),
        (1, 1, ToServer, EventKind::Connect),
        (5, 1, ToClient, EventKind::Reset),
    ];
    assert_eq!(kinds, expect, "and other sockets are left out");
}

#[track_caller]
fn refuse(from: &str, to: &str, expect: &str) {
    let trace = TRACE.replace(from, to);
    assert_ne!(trace, TRACE);
    let error = strace::import(&trace, PATH, Provenance::default()).expect_err("refused");
    assert_eq!(error.to_string(), expect);
}

#[test]
fn refuses_traces_that_leave_something_out_and_names_the_option() {
    refuse(
        "\"\\x6d\\x6f\\x72\\x65\", 100",
        "\"\\x6d\\x6f\"..., 100",
        "line 14: 2 of 4 bytes are shown, trace with a larger `-s`",
    );
    refuse("\"\\x77\", 1", "\"w\", 1", "line 17: a string that is not all `\\xNN`, trace with `-xx`");
    refuse("1795174458.", "11:40:58.", "line 1: no time in seconds in front of the call, trace with `-ttt`");
    refuse(
        "UNIX-STREAM",
        "socket",
        "line 1: no connection to `wireskew-strace-test-14047` in this trace; was it traced with `-yy`?",
    );
    let error = strace::import("", PATH, Provenance::default()).unwrap_err();
    assert_eq!(error.line, 1);
}

#[test]
fn no_part_of_a_trace_makes_it_panic() {
    for cut in (0..TRACE.len()).filter(|cut| TRACE.is_char_boundary(*cut)) {
        for part in [&TRACE[..cut], &TRACE[cut..]] {
            if let Ok(transcript) = strace::import(part, PATH, Provenance::default()) {
                assert_eq!(transcript.check(), Ok(()));
            }
        }
    }
}
