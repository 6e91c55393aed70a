//! LXC commands: heads in native byte order, and forms that the other direction decides.

mod conversation;

use bytes::BytesMut;

use super::Input;
use super::stream::{LosesByte, feed, oracle};
use crate::lxc::{
    Command, DATA_MAX, DESCRIPTOR_BYTE, Layout, Notifies, REQUEST, RESPONSE, RequestDecoder, RequestHead,
    ResponseDecoder, ResponseHead, Rules, STATE_MESSAGE, STATE_MESSAGE_LEN, StateMessage,
};
use crate::{DecodeErrorKind, Decoder, Frame};

pub use conversation::lxc_structured;

/// Every special form of the framing switched on.
const RULES: Rules = Rules {
    payload_max: DATA_MAX,
    exempt: &[Command(11)],
    two_part: &[Command(13)],
    notifies: &[Notifies { command: Command(10), waiting: 8 }],
    silent_on_success: &[Command(2)],
};

const LAYOUTS: [Layout; 4] = [Layout::LP64_LE, Layout::LP64_BE, Layout::ILP32_LE, Layout::ILP32_BE];

/// Both directions of a connection as any bytes: framed or refused, every byte accounted for, and the
/// same in any pieces.
///
/// # Panics
/// One of the properties of this module does not hold.
pub fn lxc_decode(data: &[u8]) {
    let input = Input::of(data);
    let layout = layout(input);
    decode_both(layout, input, &mut RequestDecoder::new(layout, RULES));
}

/// As [`lxc_decode`] with a decoder that loses a byte: the first one behind a two-part request with a
/// payload. Finding it proves that the fuzzer reaches such places and that the body looks.
///
/// # Panics
/// The lost byte is noticed.
pub fn planted_defect(data: &[u8]) {
    let input = Input::of(data);
    let layout = layout(input);
    let two_part_with_payload = |frame: &Frame| {
        let head = RequestHead::of_frame(layout, frame);
        head.is_some_and(|head| head.cmd == Command(13) && head.len > 0)
    };
    let decoder = RequestDecoder::new(layout, RULES);
    decode_both(layout, input, &mut LosesByte { decoder, behind: two_part_with_payload });
}

/// Both directions of a connection as any bytes: every frame of them encodes to the same bytes again,
/// and a head made of any numbers is read back as the same numbers.
///
/// # Panics
/// Bytes or numbers come back changed.
pub fn lxc_round_trip(data: &[u8]) {
    let input = Input::of(data);
    let (layout, Input { requests, replies, .. }) = (layout(input), input);
    let mut sent = BytesMut::from(requests);
    let mut decoder = RequestDecoder::new(layout, RULES);
    let mut answers = ResponseDecoder::new(layout, RULES);
    while let Ok(Some(frame)) = decoder.decode(&mut sent) {
        check_encodes(layout, &frame);
        answers.note_other(&frame);
    }
    let mut answered = BytesMut::from(replies);
    while let Ok(Some(frame)) = answers.decode(&mut answered) {
        check_encodes(layout, &frame);
    }
    if let Some(head) = RequestHead::decode(layout, replies) {
        check_reads_back(layout, head.cmd, head.data, requests);
    }
}

/// The input of [`lxc_decode`] and [`lxc_round_trip`] that holds this conversation, in the layout of
/// x86-64 and in one piece. Of requests longer than 64 KiB the rest is taken for replies.
#[must_use]
pub fn lxc_input(requests: &[u8], replies: &[u8]) -> Vec<u8> {
    super::input(requests, replies)
}

fn layout(input: Input<'_>) -> Layout {
    LAYOUTS.get(usize::from(input.variant % 4)).copied().unwrap_or(Layout::LP64_LE)
}

fn decode_both(layout: Layout, input: Input<'_>, client: &mut dyn Decoder) {
    let Input { pieces, requests, replies, .. } = input;
    let mut server = ResponseDecoder::new(layout, RULES);
    let mut at_once = oracle(RequestDecoder::new(layout, RULES));
    let asked = feed(client, &mut at_once, requests, pieces, &mut |frame| {
        check_request(layout, frame);
        server.note_other(frame);
    });
    let mut at_once = oracle(server.clone());
    let answered = feed(&mut server, &mut at_once, replies, pieces, &mut |frame| check_reply(layout, frame));
    for error in [asked, answered].into_iter().filter_map(Result::err) {
        assert!(!matches!(error.kind, DecodeErrorKind::BelowMinimum { .. }), "a length below 0 means none");
    }
}

fn check_request(layout: Layout, frame: &Frame) {
    if frame.kind == DESCRIPTOR_BYTE {
        assert_eq!((frame.head_len, frame.bytes.len()), (0, 1));
    } else {
        let head = RequestHead::of_frame(layout, frame).expect("a client sends nothing else");
        check_payload(layout, frame, head.len, head.cmd == Command(11));
    }
}

fn check_reply(layout: Layout, frame: &Frame) {
    if frame.kind == STATE_MESSAGE {
        assert_eq!(frame.bytes.len(), STATE_MESSAGE_LEN);
    } else {
        let head = ResponseHead::of_frame(layout, frame).expect("a server sends nothing else");
        // Which request it answers is not looked at: every reply might be exempt.
        check_payload(layout, frame, head.len, true);
    }
}

fn check_payload(layout: Layout, frame: &Frame, len: i32, exempt: bool) {
    assert_eq!(frame.head_len, layout.head_len());
    assert_eq!(frame.payload().len(), usize::try_from(len).unwrap_or(0), "as long as its head says");
    assert!(exempt || len <= DATA_MAX.cast_signed(), "no longer than the limit");
}

/// A frame encodes to the bytes that it came from.
fn check_encodes(layout: Layout, frame: &Frame) {
    let bytes = match frame.kind {
        REQUEST => RequestHead::of_frame(layout, frame).map(|head| head.encode_with(layout, frame.payload())),
        RESPONSE => {
            ResponseHead::of_frame(layout, frame).map(|head| head.encode_with(layout, frame.payload()))
        }
        STATE_MESSAGE => StateMessage::decode(layout.endian, &frame.bytes).map(|m| m.encode(layout.endian)),
        _ => Some(frame.bytes.to_vec()),
    };
    assert_eq!(bytes.as_deref(), Some(&frame.bytes[..]));
}

/// A request and a reply of these numbers are read back as the same.
fn check_reads_back(layout: Layout, cmd: Command, data: u64, payload: &[u8]) {
    let request = RequestHead::of(cmd, data, payload).expect("a short payload");
    let reply = ResponseHead::of(cmd.0.cast_signed(), data, payload).expect("a short payload");
    let mut sent = BytesMut::from(&request.encode_with(layout, payload)[..]);
    let mut answered = BytesMut::from(&reply.encode_with(layout, payload)[..]);
    assert_eq!(sent.len(), layout.head_len() + payload.len());
    let rules = Rules { payload_max: u32::MAX, ..RULES };
    let mut decoder = RequestDecoder::new(layout, rules.clone());
    let frame = decoder.decode(&mut sent).expect("in step").expect("complete");
    assert_eq!((RequestHead::of_frame(layout, &frame), frame.payload()), (Some(request), payload));
    let mut decoder = ResponseDecoder::new(layout, rules);
    let frame = decoder.decode(&mut answered).expect("in step").expect("complete");
    assert_eq!((ResponseHead::of_frame(layout, &frame), frame.payload()), (Some(reply), payload));
}
