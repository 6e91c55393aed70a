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
