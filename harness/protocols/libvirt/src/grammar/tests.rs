//! Whole transcripts: which call a reply belongs to, whatever the order in which the replies come.

use bytes::Bytes;
use proptest::prelude::*;
use transcript::{ConnId, Data, Event, EventKind, Provenance, Transcript};
use verdict::Reading;
use wire::libvirt_rpc::DESCRIPTOR_BYTE;
use wire::xdr::Writer;

use super::*;
use crate::DIALECTS;
use crate::request::{self, reply_header};

/// One message on the wire.
type Message = (Direction, Bytes);

fn transcript(data: impl IntoIterator<Item = Message>) -> Transcript {
    let event = |(dir, bytes)| {
        let data = Data { bytes, fds: Vec::new(), creds: None };
        Event { at_us: 0, conn: ConnId(1), dir, kind: EventKind::Data(data) }
    };
    Transcript { provenance: Provenance::default(), events: data.into_iter().map(event).collect() }
}

fn grammar() -> LibvirtGrammar {
    LibvirtGrammar::new(DIALECTS.all().last().expect("there are dialects"))
}

/// The error that a server gives for a procedure which it does not know.
fn unknown(call: &Header) -> Bytes {
    let text = format!("unknown procedure: {}", call.procedure);
    let error = Writer::new().i32(39).i32(7).optional(Some(text.as_bytes())).i32(2);
    reply_header(call, Status::ERROR).message(&error.finish())
}

/// An event, which carries serial 1 whatever was called: measured on 7.0.0 to 12.8.0.
fn event() -> Bytes {
    Header { kind: MessageType::MESSAGE, ..request::header(318, 1) }.message(&[0; 40])
}

/// Cuts what each direction sends at any places, messages of one direction in a row joined before.
fn in_pieces(messages: &[Message], piece: usize) -> Vec<Message> {
    messages
        .chunk_by(|a, b| a.0 == b.0)
        .flat_map(|run| {
            let bytes: Vec<u8> = run.iter().flat_map(|(_, bytes)| bytes.to_vec()).collect();
            let pieces: Vec<_> = bytes.chunks(piece).map(Bytes::copy_from_slice).collect();
            pieces.into_iter().map(|bytes| (run[0].0, bytes))
        })
        .collect()
}

/// A call with its serial, when it is sent, how much later it is answered, whether it is refused, and
/// whether an event goes before the answer.
type Exchange = (i32, u32, u32, u32, bool, bool);

/// All messages of these exchanges in the order of their times.
fn interleaved(exchanges: &[Exchange]) -> Vec<Message> {
    let mut timed = Vec::new();
    for (at, (procedure, serial, sent_at, later, refused, with_event)) in exchanges.iter().enumerate() {
        let call = request::header(*procedure, *serial);
        timed.push((*sent_at, 0, at, (Direction::ToServer, call.message(&[]))));
        let answer = if *refused { unknown(&call) } else { reply_header(&call, Status::OK).message(b"done") };
        if *with_event {
            timed.push((sent_at + later, 1, at, (Direction::ToClient, event())));
        }
        timed.push((sent_at + later, 2, at, (Direction::ToClient, answer)));
    }
    timed.sort_by_key(|(time, order, at, _)| (*time, *order, *at));
    timed.into_iter().map(|(.., message)| message).collect()
}

proptest! {
    #[test]
    fn every_reply_is_paired_with_the_call_of_its_serial(
        exchanges in prop::collection::vec(
            (prop_oneof![1..456_i32, any::<i32>()], any::<u32>(), 0..20_u32, 0..20_u32, any::<bool>(), any::<bool>()),
            1..16,
        ),
        piece in prop_oneof![1..100_usize, Just(1 << 20)],
    ) {
        let mut exchanges = exchanges;
        exchanges.sort_unstable_by_key(|exchange| exchange.1);
        exchanges.dedup_by_key(|exchange| exchange.1);
        let messages = interleaved(&exchanges);
        let reading = Reading::of(&transcript(in_pieces(&messages, piece)), &grammar());
        let step = &reading.conns[0].steps[0];
        prop_assert_eq!(step.requests.len(), exchanges.len());
        let events = exchanges.iter().filter(|exchange| exchange.5).count();
        prop_assert_eq!(step.replies.len(), exchanges.len() + events);
        for reply in &step.replies {
            let header = Header::of_frame(&reply.at.frame).expect("a message");
            let call = reply.request.as_ref().and_then(Header::of_frame);
            if header.kind == MessageType::MESSAGE {
                prop_assert_eq!((call, reply.meaning), (None, Meaning::Notification));
                continue;
            }
            let call = call.expect("every reply has its call");
            prop_assert_eq!((call.serial, call.procedure), (header.serial, header.procedure));
            let exchange = exchanges.iter().find(|exchange| exchange.1 == header.serial).expect("one of ours");
            prop_assert_eq!(reply.meaning, if exchange.4 { Meaning::NotSupported } else { Meaning::Success });
        }
        let answers = step.answers_by_request();
        prop_assert_eq!(answers.len(), exchanges.len());
        for (request, answer) in step.requests.iter().zip(answers) {
            let serial = |frame: &Frame| Header::of_frame(frame).map(|header| header.serial);
            prop_assert_eq!(serial(&answer.expect("answered").at.frame), serial(&request.frame));
        }
    }

    /// What nobody called is answered to nobody, and takes no answer away from a call.
    #[test]
    fn a_reply_of_another_serial_answers_nothing(serial: u32, other: u32) {
        prop_assume!(serial != other);
        let call = request::header(3, serial);
        let stray = reply_header(&Header { serial: other, ..call }, Status::OK);
        let reading = Reading::of(
            &transcript([
                (Direction::ToServer, call.message(&[])),
                (Direction::ToClient, stray.message(&[])),
                (Direction::ToClient, reply_header(&call, Status::OK).message(&[])),
            ]),
            &grammar(),
        );
        let paired: Vec<_> = reading.conns[0].steps[0].replies.iter().map(|r| r.request.is_some()).collect();
        prop_assert_eq!(paired, [false, true]);
    }
}

/// A client may send whatever it likes as a reply: the server drops it, and is in step for what follows.
#[test]
fn a_reply_with_descriptors_from_a_client_is_one_message_without_any() {
    let stray = Header { kind: MessageType::REPLY_WITH_FDS, ..request::header(3, 1) };
    let call = Header { kind: MessageType::CALL_WITH_FDS, ..request::header(3, 2) };
    let one = 1_u32.to_be_bytes();
    let sent =
        [&stray.message(&[])[..], &stray.message(&one), &call.message(&one), &[0], &request::call(3, 3, &[])];
    let reading = Reading::of(&transcript([(Direction::ToServer, sent.concat().into())]), &grammar());
    let requests = &reading.conns[0].steps[0].requests;
    let found: Vec<_> =
        requests.iter().map(|at| Header::of_frame(&at.frame).map(|header| header.serial)).collect();
    assert_eq!(found, [Some(1), Some(1), Some(2), None, Some(3)]);
    assert_eq!(requests[3].frame.kind, DESCRIPTOR_BYTE);
    let dissection = grammar().dissect(Direction::ToServer, &requests[1].frame, None);
    assert!(dissection.fields.iter().all(|field| field.name != "descriptors"), "{dissection:?}");
}

/// A conversation in lines: of each exchange who asks what with which serial, how many parts came from client and server,
/// and how it ended.
#[track_caller]
fn check(messages: &[Message], expect: &[&str]) {
    for piece in [1, 28, 1 << 20] {
        let transcript = transcript(in_pieces(messages, piece));
        assert_eq!(lines(&transcript), expect, "{piece} bytes at a time");
    }
}

fn lines(transcript: &Transcript) -> Vec<String> {
    let reading = Reading::of(transcript, &grammar());
    let line = |exchange: &verdict::Exchange<'_>| {
        let what = |at: &verdict::FrameAt| {
            let header = Header::of_frame(&at.frame).expect("a message");
            let kind = match header.kind {
                MessageType::CALL => "call",
                MessageType::REPLY => "reply",
                MessageType::STREAM => "stream",
                _ if is_ping(&header) => "ping",
                _ if is_pong(&header) => "pong",
                _ => "other",
            };
            format!("{kind} {}", header.serial)
        };
        let from = |dir| exchange.parts.iter().filter(|(from, _)| *from == dir).count();
        let parts = format!("{}+{}", from(Direction::ToServer), from(Direction::ToClient));
        let end = match exchange.completed {
            None => "open".to_owned(),
            Some((at, meaning)) => format!("{}: {meaning:?}", at.map_or("the end".to_owned(), what)),
        };
        format!("{} {} | {parts} | {end}", exchange.asked, what(exchange.request))
    };
    reading.conns[0].exchanges().iter().map(line).collect()
}

const UP: Direction = Direction::ToServer;
const DOWN: Direction = Direction::ToClient;

/// A procedure that has a stream behind it, as `screenshot` calls it.
const SHOT: Header = request::header(211, 7);

fn stream(status: Status, data: &[u8]) -> Bytes {
    Header { kind: MessageType::STREAM, status, ..SHOT }.message(data)
}

/// The error with which a server ends a stream; code 38 is a failure of the system.
fn failed(header: Header) -> Bytes {
    let error = Writer::new().i32(38).i32(0).optional(Some(b"no space left")).i32(2);
    Header { status: Status::ERROR, ..header }.message(&error.finish())
}

/// The call with a stream behind it, carried out.
fn called() -> [Message; 2] {
    [(UP, SHOT.message(&[])), (DOWN, reply_header(&SHOT, Status::OK).message(&[]))]
}

const CALLED: &str = "c2s call 7 | 0+0 | reply 7: Success";

#[test]
fn a_download_is_an_exchange_of_its_own() {
    let (data, end) = (stream(Status::CONTINUE, b"data"), stream(Status::CONTINUE, b""));
    let over = stream(Status::OK, b"");
    let begun = [&called()[..], &[(DOWN, data.clone()), (DOWN, data.clone()), (DOWN, end)]].concat();
    check(&begun, &[CALLED, "s2c stream 7 | 0+2 | open"]);
    let with = |more: &[Message]| [&begun[..], more].concat();
    check(&with(&[(UP, over.clone())]), &[CALLED, "s2c stream 7 | 1+2 | open"]);
    let whole = with(&[(UP, over.clone()), (DOWN, over.clone())]);
    check(&whole, &[CALLED, "s2c stream 7 | 1+2 | stream 7: Success"]);
    // What comes behind belongs to nothing: the call is used up.
    let late = [&whole[..], &[(DOWN, data), (UP, over.clone()), (DOWN, over)]].concat();
    check(
        &late,
        &[CALLED, "s2c stream 7 | 1+2 | stream 7: Success", "c2s stream 7 | 0+0 | stream 7: Success"],
    );
}

#[test]
fn an_upload_is_begun_by_the_client() {
    let (data, over) = (stream(Status::CONTINUE, b"data"), stream(Status::OK, b""));
    let begun = [&called()[..], &[(UP, data.clone()), (UP, data), (UP, over.clone())]].concat();
    check(&begun, &[CALLED, "c2s stream 7 | 2+0 | open"]);
    let whole = [&begun[..], &[(DOWN, over.clone())]].concat();
    check(&whole, &[CALLED, "c2s stream 7 | 2+0 | stream 7: Success"]);
    // One without data is its end alone.
    let empty = [&called()[..], &[(UP, over.clone()), (DOWN, over)]].concat();
    check(&empty, &[CALLED, "c2s stream 7 | 0+0 | stream 7: Success"]);
}

#[test]
fn either_side_may_break_a_stream_off() {
    let (data, abort) = (stream(Status::CONTINUE, b"data"), stream(Status::ERROR, b""));
    let over = stream(Status::OK, b"");
    let with = |more: &[Message]| [&called()[..], more].concat();
    let failed = failed(Header { kind: MessageType::STREAM, ..SHOT });
    // The server may have sent more before it hears of that.
    let by_client =
        with(&[(DOWN, data.clone()), (UP, abort.clone()), (DOWN, data.clone()), (DOWN, over.clone())]);
    check(&by_client, &[CALLED, "s2c stream 7 | 1+1 | stream 7: Success"]);
    // It may also break off before anything came.
    let at_once = with(&[(UP, abort), (DOWN, data.clone()), (DOWN, over)]);
    check(&at_once, &[CALLED, "c2s stream 7 | 0+0 | stream 7: Success"]);
    let upload = with(&[(UP, data.clone()), (DOWN, failed.clone())]);
    check(&upload, &[CALLED, "c2s stream 7 | 0+0 | stream 7: Refused(38)"]);
    let download = with(&[(DOWN, data), (DOWN, failed)]);
    check(&download, &[CALLED, "s2c stream 7 | 0+0 | stream 7: Refused(38)"]);
    // That nobody asked for it does not make it an answer to somebody else.
    let reading = Reading::of(&transcript(download), &grammar());
    let step = &reading.conns[0].steps[0];
    assert_eq!((step.answers().count(), step.answers_by_request().len()), (1, 1));
}

#[test]
fn the_end_of_a_stream_that_never_was_may_be_refused() {
    let over = stream(Status::OK, b"");
    check(&[(UP, over.clone())], &["c2s stream 7 | 0+0 | open"]);
    let failed = failed(Header { kind: MessageType::STREAM, ..SHOT });
    check(&[(UP, over), (DOWN, failed.clone())], &["c2s stream 7 | 0+0 | stream 7: Refused(38)"]);
    // Data of one belongs to nothing, and neither does an end that the server says by itself.
    check(&[(UP, stream(Status::CONTINUE, b"data")), (DOWN, failed)], &[]);
    // A call that was refused has no stream.
    let refused =
        [(UP, SHOT.message(&[])), (DOWN, unknown(&SHOT)), (DOWN, stream(Status::CONTINUE, b"data"))];
    check(&refused, &["c2s call 7 | 0+0 | reply 7: NotSupported"]);
}

#[test]
fn signs_of_life_are_asked_for_by_both() {
    let sign = |procedure| {
        let program = program::KEEPALIVE;
        Header { program, kind: MessageType::MESSAGE, ..request::header(procedure, 0) }.message(&[])
    };
    let (ping, pong) = (sign(keepalive::PING), sign(keepalive::PONG));
    check(&[(UP, ping.clone()), (DOWN, pong.clone())], &["c2s ping 0 | 0+0 | pong 0: Success"]);
    check(&[(DOWN, ping.clone()), (UP, pong.clone())], &["s2c ping 0 | 0+0 | pong 0: Success"]);
    // Nobody answers itself.
    check(&[(UP, ping.clone()), (UP, pong.clone())], &["c2s ping 0 | 0+0 | open"]);
    let crossed = [(UP, ping.clone()), (DOWN, ping), (DOWN, pong.clone()), (UP, pong.clone())];
    check(&crossed, &["c2s ping 0 | 0+0 | pong 0: Success", "s2c ping 0 | 0+0 | pong 0: Success"]);
    check(&[(DOWN, pong.clone()), (UP, pong)], &[]);
}

#[test]
fn calls_are_answered_by_serial_whatever_comes_between() {
    let [a, b] = [request::header(3, 1), request::header(4, 2)];
    let ok = |call: &Header| (DOWN, reply_header(call, Status::OK).message(b"done"));
    // The serial of an event is that of the first call, which takes nothing away from it.
    let messages = [
        (UP, a.message(&[])),
        (UP, b.message(&[])),
        (DOWN, event()),
        ok(&b),
        (DOWN, event()),
        ok(&a),
        (DOWN, event()),
        ok(&a),
    ];
    check(&messages, &["c2s call 1 | 0+0 | reply 1: Success", "c2s call 2 | 0+0 | reply 2: Success"]);
    let strays = |messages: &[Message]| {
        let reading = Reading::of(&transcript(messages.to_vec()), &grammar());
        reading.conns[0].steps[0].answers().filter(|reply| reply.at.exchange.is_none()).count()
    };
    assert_eq!(strays(&messages), 1);
    // Two that have one serial are answered in their order.
    let twice = [(UP, a.message(&[])), (UP, a.message(b"again")), ok(&a), (DOWN, unknown(&a))];
    check(&twice, &["c2s call 1 | 0+0 | reply 1: Success", "c2s call 1 | 0+0 | reply 1: NotSupported"]);
    assert_eq!(strays(&twice), 0);
}

/// virsh 11.3.0 takes a screenshot from libvirtd 11.3.0.
#[test]
fn a_recorded_download_is_whole() {
    let fixture = "../../../fixtures/libvirt-remote/11.3.0..11.3.0/screenshot.wire";
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(fixture);
    let mut recorded = transcript::fixture::load(path).expect("it is in the repository");
    recorded.events.retain(|event| event.conn == ConnId(1));
    let lines = lines(&recorded);
    assert_eq!(lines.len(), 11);
    // The stream has the serial of its call, the last one before it.
    assert_eq!(lines[8], "s2c stream 7 | 1+1 | stream 7: Success");
    let calls = lines.iter().enumerate().filter(|(at, _)| *at != 8);
    for (serial, (_, line)) in calls.enumerate() {
        assert_eq!(*line, format!("c2s call {serial} | 0+0 | reply {serial}: Success"));
    }
}
