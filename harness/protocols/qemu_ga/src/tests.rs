//! Golden readings: what real agents were recorded to answer, and what it means.

use bytes::{Bytes, BytesMut};
use proptest::prelude::*;
use protocol::testing::{CONN, answers};
use verdict::{Due, Grammar, Meaning};
use wire::json_lines::{JUNK, LINE, RESET, VALUE};
use wire::{Direction, Frame, FrameKind};

use super::{DIALECTS, QemuGaGrammar};

fn grammar(release: &str) -> QemuGaGrammar {
    QemuGaGrammar::new(DIALECTS.named(release).expect("in the table"))
}

fn frame(kind: FrameKind, bytes: &[u8]) -> Frame {
    Frame { kind, head_len: 0, bytes: Bytes::copy_from_slice(bytes) }
}

/// Title, then fields without punctuation, masked values as the mask's name.
#[track_caller]
fn check(request: &[u8], reply: &[u8], expect: &str) {
    let grammar = grammar("10.0");
    let (request, reply) = (frame(VALUE, request), frame(LINE, reply));
    let read = grammar.dissect(Direction::ToClient, &reply, Some(&request));
    let mut at = 0;
    for field in &read.fields {
        assert_eq!(field.span.start, at, "{}: {read:?}", field.name);
        at = field.span.end;
    }
    assert_eq!(at, reply.bytes.len(), "every byte is in a field: {read:?}");
    let found = protocol::testing::in_words(&read, |name| name != "syntax");
    assert_eq!(found, expect);
}

#[test]
fn reads_recorded_answers() {
    let ask = |command: &str| format!("{{\"execute\":\"{command}\",\"id\":7}}\n").into_bytes();
    check(&ask("guest-ping"), b"{\"return\": {}, \"id\": 7}\n", "return to guest-ping: return={} id=7");
    check(
        &ask("zz"),
        b"{\"id\": 7, \"error\": {\"class\": \"CommandNotFound\", \"desc\": \"The command zz has not been found\"}}\n",
        "CommandNotFound to zz: The command zz has not been found: id=7 error.class=\"CommandNotFound\" error.desc=<text>",
    );
    check(
        b"{\"execute\":\"guest-sync-delimited\",\"arguments\":{\"id\":8}}\n",
        b"\xff{\"return\": 8}\n",
        "return to guest-sync-delimited: delimiter=0xff return=8",
    );
    check(
        &ask("guest-ping"),
        b"{\"return\": {}, \"id\": inf}\n",
        "return to guest-ping: return={} id=number !`inf` is no number of JSON",
    );
    check(
        &ask("guest-info"),
        b"{\"return\": {\"version\": \"5.2.0\", \"supported_commands\": [{\"enabled\": true, \"name\": \"guest-ping\", \"success-response\": true}]}, \"id\": 7}\n",
        "return to guest-info: return.version=<version> return.supported_commands.0.enabled=true \
         return.supported_commands.0.name=\"guest-ping\" return.supported_commands.0.success-response=true id=7",
    );
    check(
        &ask("guest-get-time"),
        b"{\"return\": 1795819682154314000}\n",
        "return to guest-get-time: return=<machine>",
    );
    check(
        &ask("guest-get-disks"),
        b"{\"return\": [{\"name\": \"/dev/vda\"}, {\"name\": \"/dev/vdb\"}], \"id\": 7}\n",
        "return to guest-get-disks: return=<machine> id=7",
    );
    check(&ask("guest-get-users"), b"{\"return\": []}\n", "return to guest-get-users: return=<machine>");
}

#[test]
fn knows_what_is_due_and_what_answers_what() {
    let grammar = grammar("10.0");
    let ping = frame(VALUE, b"{\"execute\":\"guest-ping\",\"id\":7}");
    let sync = frame(VALUE, b"{\"execute\":\"guest-sync-delimited\",\"arguments\":{\"id\":8}}");
    let broken = frame(VALUE, b"{\"execute\":\"guest-ping\",}");
    let suspend = frame(VALUE, b"{\"execute\":\"guest-suspend-ram\",\"id\":1}");
    assert_eq!(grammar.due(&ping), Due::One);
    assert_eq!(grammar.due(&suspend), Due::OnFailure);
    assert_eq!(grammar.due(&frame(RESET, b"\xff")), Due::OnFailure);
    assert_eq!(grammar.due(&frame(JUNK, b"hello")), Due::OnFailure);
    let stray = frame(
        LINE,
        b"{\"error\": {\"class\": \"GenericError\", \"desc\": \"JSON parse error, stray '%'\"}}\n",
    );
    let returned = frame(LINE, b"{\"return\": {}, \"id\": 7}\n");
    let synced = frame(LINE, b"\xff{\"return\": 8}\n");
    for (request, reply, expect) in [
        (&ping, &returned, true),
        (&ping, &stray, false),
        (&ping, &synced, false),
        (&broken, &stray, true),
        (&sync, &synced, true),
        (&sync, &stray, false),
        (&sync, &returned, false),
        (&suspend, &returned, false),
    ] {
        let found = answers(&grammar, request, reply);
        assert_eq!(found, expect, "{:?} {:?}", request.bytes, reply.bytes);
    }
    assert_eq!(grammar.meaning(None, &stray), Meaning::Notification);
    assert_eq!(grammar.meaning(Some(&broken), &stray), Meaning::Refused(1));
    assert_eq!(grammar.meaning(None, &returned), Meaning::Success, "an answer too many is not passed over");
}

proptest! {
    /// Whatever a peer sends is read, and nothing of it is lost.
    #[test]
    fn reads_anything(bytes in proptest::collection::vec(any::<u8>(), 0..200), to_server in any::<bool>()) {
        for release in ["5.2", "11.1", "ideal"] {
            let grammar = grammar(release);
            let dir = if to_server { Direction::ToServer } else { Direction::ToClient };
            let mut decoder = grammar.decoder(dir, &CONN);
            let mut src = BytesMut::from(&bytes[..]);
            while let Ok(Some(frame)) = decoder.decode(&mut src) {
                let read = grammar.dissect(dir, &frame, None);
                let covered: usize = read.fields.iter().map(|field| field.span.len()).sum();
                prop_assert_eq!(covered, frame.bytes.len());
                grammar.due(&frame);
                grammar.meaning(None, &frame);
                let _ = answers(&grammar, &frame, &frame);
            }
        }
    }
}
