//! What a client makes of answers, good ones and others.

use bytes::BytesMut;
use session::{Connection, Received, Transport};
use wire::Decoder;

use super::*;
use crate::request::{self, RpcError};

const CALL: i32 = 157;
const SHORT: Duration = Duration::from_millis(60);

fn header(kind: MessageType, serial: u32) -> Header {
    Header { kind, ..request::header(CALL, serial) }
}

fn reply(serial: u32, result: &[u8]) -> Bytes {
    header(MessageType::REPLY, serial).message(result)
}

fn unknown(serial: u32) -> Bytes {
    let text = "unknown procedure: 157";
    request::failure(&request::header(CALL, serial), &RpcError::new(39, 7, text, "%s", Some(text)))
}

/// What the first call gives and the second, when the server has said all this before. Also what the client
/// sent beside its calls.
fn two_calls(answers: &[Bytes], habits: Habits) -> ([Result<Bytes, Failure>; 2], Vec<Header>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let (ours, mut theirs) = Connection::pair(Transport::Memory).expect("two ends");
        theirs.send(&answers.concat().into(), &[], None, CONNECT_DEADLINE).await.expect("sent");
        let mut rpc = Rpc::over(Caller::over(ours, None), Habits { patience: Some(SHORT), ..habits });
        let results = [rpc.call(CALL, Writer::new()).await, rpc.call(CALL, Writer::new()).await];
        drop(rpc);
        let (mut sent, mut headers) = (BytesMut::new(), Vec::new());
        while let Ok(Received::Data(data, _)) = theirs.recv(SHORT).await {
            sent.extend_from_slice(&data.bytes);
        }
        let mut decoder = MessageDecoder::new();
        while let Ok(Some(frame)) = decoder.decode(&mut sent) {
            headers.extend(Header::of_frame(&frame));
        }
        (results, headers)
    })
}

/// The first call and the second: `ok`, `refused`, `unreadable` or `lost`.
#[track_caller]
fn check(what: &str, answers: &[Bytes], expect: [&str; 2]) {
    let (results, _) = two_calls(answers, Habits::default());
    let words = results.map(|result| match result {
        Ok(_) => "ok",
        Err(Failure::Refused(_)) => "refused",
        Err(Failure::Unreadable(_)) => "unreadable",
        Err(Failure::Lost(_)) => "lost",
    });
    assert_eq!(words, expect, "{what}");
}

/// Measured with clients of 7.0.0 and 12.8.0.
#[test]
fn makes_of_bad_answers_what_releases_make_of_them() {
    let good = |serial| reply(serial, b"\0\0\0\x01");
    let changed = |change: fn(&mut Header)| {
        let mut header = header(MessageType::REPLY, 0);
        change(&mut header);
        header.message(b"")
    };
    check("two good ones", &[good(0), good(1)], ["ok", "ok"]);
    check("nothing and trailing bytes", &[reply(0, b""), reply(1, &[9; 40])], ["ok", "ok"]);
    check("a refusal", &[unknown(0), good(1)], ["refused", "ok"]);
    check("a cut refusal", &[changed(|h| h.status = Status::ERROR), good(1)], ["unreadable", "ok"]);
    check("another procedure", &[changed(|h| h.procedure = 221), good(1)], ["unreadable", "ok"]);
    check("an unknown status", &[changed(|h| h.status = Status(7)), good(1)], ["unreadable", "ok"]);
    check("another serial", &[good(7), good(1)], ["lost", "lost"]);
    check("the second answer first", &[good(1), good(0)], ["lost", "lost"]);
    check("another program", &[changed(|h| h.program = 1), good(1)], ["lost", "lost"]);
    check("another version", &[changed(|h| h.version = 2), good(1)], ["lost", "lost"]);
    check("an unknown type", &[changed(|h| h.kind = MessageType(9)), good(1)], ["lost", "lost"]);
    let length = |length: u32| header(MessageType::REPLY, 0).with_length(length, b"");
    check("a huge length", &[length(0x7fff_ffff)], ["lost", "lost"]);
    check("a small length", &[length(3)], ["lost", "lost"]);
    check("an event and nothing else", &[header(MessageType::MESSAGE, 0).message(b"")], ["lost", "lost"]);
    check("nothing", &[], ["lost", "lost"]);
}

#[test]
fn keeps_events_and_answers_signs_of_life() {
    let event = Header { procedure: 318, ..header(MessageType::MESSAGE, 1) };
    let ping = Header { program: program::KEEPALIVE, procedure: keepalive::PING, serial: 0, ..event };
    let answers = [ping.message(b""), event.message(b"e"), reply(0, b"a"), reply(1, b"b")];
    let (results, sent) = two_calls(&answers, Habits::default());
    assert_eq!(results, [Ok(Bytes::from_static(b"a")), Ok(Bytes::from_static(b"b"))]);
    let procedures: Vec<_> = sent.iter().map(|header| (header.program, header.procedure)).collect();
    let call = (program::REMOTE, CALL);
    assert_eq!(procedures, [call, (program::KEEPALIVE, keepalive::PONG), call]);
}

/// Whether a client tries an older call. The text may be translated; then it does not.
#[test]
fn takes_only_that_refusal_for_not_supported() {
    let check = |code: i32, domain: i32, level: i32, text: &str, expect: bool| {
        let refusal = Refusal { code, domain, level, text: text.to_owned() };
        assert_eq!(refusal.is_not_supported(), expect, "{refusal:?}");
    };
    check(39, 7, 2, "unknown procedure: 445", true);
    check(39, 13, 2, "unknown procedure: 445", true);
    check(39, 7, 2, "unknown procedure", true);
    check(39, 12, 2, "unknown procedure: 445", false);
    check(38, 7, 2, "unknown procedure: 445", false);
    check(39, 7, 1, "unknown procedure: 445", false);
    check(39, 7, 2, "Unable to decode message payload", false);
    check(39, 7, 2, " unknown procedure: 445", false);
    check(39, 7, 2, "unbekannte Prozedur: 445", false);
    check(3, 19, 2, "this function is not supported by the connection driver", true);
}

#[test]
fn reads_refusals_that_are_not_utf_8_and_none_that_is_cut() {
    let mut error = RpcError::new(39, 7, "x", "%s", None);
    error.message = Some(b"proc\xe9dure inconnue".to_vec());
    let payload = error.encode();
    let read = Refusal::read(&payload).expect("complete");
    assert_eq!((read.code, read.domain, read.level), (39, 7, 2));
    assert!(read.text.starts_with("proc\u{fffd}dure"), "{}", read.text);
    // Code, domain, text and level; what follows is not needed.
    let needed = 4 + 4 + 4 + 4 + 20 + 4;
    for len in 0..needed {
        assert_eq!(Refusal::read(&payload[..len]), None, "cut at {len}");
    }
    assert_eq!(Refusal::read(&payload[..needed]), Some(read));
}

#[test]
fn defects_show() {
    let habits = Habits { expects_next_serial: true, ..Habits::default() };
    let (results, _) = two_calls(&[reply(0, b"a"), reply(1, b"b")], habits);
    assert!(results.iter().all(|result| matches!(result, Err(Failure::Lost(_)))), "{results:?}");
    let habits = Habits { ignores_errors: true, ..Habits::default() };
    let (results, _) = two_calls(&[unknown(0)], habits);
    assert!(results.iter().all(|result| matches!(result, Err(Failure::Lost(_)))), "{results:?}");
}

#[test]
fn takes_a_stream_to_its_end_and_confirms_it() {
    let part =
        |payload: &[u8], status: Status| Header { status, ..header(MessageType::STREAM, 0) }.message(payload);
    let event = header(MessageType::MESSAGE, 1).message(b"");
    // The first part comes before the answer to the call, as it may.
    let answers = [
        part(b"abc", Status::CONTINUE),
        reply(0, b""),
        event,
        part(b"de", Status::CONTINUE),
        part(b"", Status::CONTINUE),
        part(b"", Status::OK),
    ];
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let (ours, mut theirs) = Connection::pair(Transport::Memory).expect("two ends");
        theirs.send(&answers.concat().into(), &[], None, CONNECT_DEADLINE).await.expect("sent");
        let mut rpc =
            Rpc::over(Caller::over(ours, None), Habits { patience: Some(SHORT), ..Habits::default() });
        let (serial, _) = rpc.call_and_keep_serial(CALL, Writer::new()).await.expect("answered");
        assert_eq!(rpc.download(CALL, serial, true).await, Ok(b"abcde".to_vec()));
        let Ok(Received::Data(sent, _)) = theirs.recv(SHORT).await else { panic!("nothing was sent") };
        let end = part(b"", Status::OK);
        assert_eq!(sent.bytes.len(), 2 * HEAD_LEN);
        assert!(sent.bytes.ends_with(&end), "{:02x?}", &sent.bytes[HEAD_LEN..]);
    });
}
