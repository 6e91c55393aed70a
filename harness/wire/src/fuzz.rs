//! Bodies of the fuzz targets of this crate. The targets in `fuzz/` are one line each.
//!
//! They assert what must hold for every stream, not only that nothing panics:
//!
//! - every byte is in exactly one frame or left over, in order;
//! - how the stream was cut into pieces does not matter;
//! - a frame is as long as its head says, and no longer than the limit;
//! - errors are sticky, are placed inside the stream and leave the buffer as it is;
//! - the decoder reserves nothing;
//! - what was decoded encodes to the same bytes.
//!
//! Input of [`lxc_decode`] and [`lxc_round_trip`]; shorter input is padded with nothing, so that any
//! bytes are an input:
//!
//! ```text
//! 0        1       2       3        5                      5 + cut
//! +--------+-------+-------+--------+----------------------+------------------+
//! | layout | pieces, in    | u16 LE | what the client sent | what the server  |
//! | 0..=3  | turn, bytes   | cut    |                      | sent             |
//! +--------+-------+-------+--------+----------------------+------------------+
//! ```

mod conversation;
#[cfg(test)]
mod tests;

use bytes::{Buf, BytesMut};

use crate::lxc::{
    Command, DATA_MAX, DESCRIPTOR_BYTE, Layout, Notifies, REQUEST, RESPONSE, RequestDecoder, RequestHead,
    ResponseDecoder, ResponseHead, Rules, STATE_MESSAGE, STATE_MESSAGE_LEN, StateMessage,
};
use crate::{DecodeError, DecodeErrorKind, Decoder, Frame};

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
    decode_both(&input, &mut RequestDecoder::new(input.layout, RULES));
}

/// As [`lxc_decode`] with a decoder that loses a byte: the first one behind a two-part request with a
/// payload. Finding it proves that the fuzzer reaches such places and that the body looks.
///
/// # Panics
/// The lost byte is noticed.
pub fn planted_defect(data: &[u8]) {
    let input = Input::of(data);
    let decoder = RequestDecoder::new(input.layout, RULES);
    decode_both(&input, &mut LosesByte { decoder, layout: input.layout });
}

/// Both directions of a connection as any bytes: every frame of them encodes to the same bytes again,
/// and a head made of any numbers is read back as the same numbers.
///
/// # Panics
/// Bytes or numbers come back changed.
pub fn lxc_round_trip(data: &[u8]) {
    let input = Input::of(data);
    let Input { layout, requests, replies, .. } = input;
    let mut sent = BytesMut::from(requests);
    let mut decoder = RequestDecoder::new(layout, RULES);
    let mut answers = ResponseDecoder::new(layout, RULES);
    while let Ok(Some(frame)) = decoder.decode(&mut sent) {
        check_encodes(layout, &frame);
        answers.note_sent(&frame);
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
    let cut = u16::try_from(requests.len()).unwrap_or(u16::MAX).to_le_bytes();
    [&[0, 0, 0], &cut[..], requests, replies].concat()
}

/// What the bytes of an input say.
struct Input<'a> {
    layout: Layout,
    /// The stream arrives in pieces of these lengths, in turn.
    pieces: [usize; 2],
    requests: &'a [u8],
    replies: &'a [u8],
}

impl<'a> Input<'a> {
    fn of(data: &'a [u8]) -> Self {
        let (control, streams) = data.split_at_checked(5).unwrap_or((&[], data));
        let byte = |at: usize| control.get(at).copied().unwrap_or(0);
        let cut = usize::from(u16::from_le_bytes([byte(3), byte(4)])).min(streams.len());
        let (requests, replies) = streams.split_at(cut);
        let layout = LAYOUTS.get(usize::from(byte(0) % 4)).copied().unwrap_or(Layout::LP64_LE);
        Self { layout, pieces: [byte(1).into(), byte(2).into()], requests, replies }
    }
}

fn decode_both(input: &Input<'_>, client: &mut dyn Decoder) {
    let layout = input.layout;
    let mut server = ResponseDecoder::new(layout, RULES);
    let mut at_once = RequestDecoder::new(layout, RULES);
    let mut oracle = |stream: &[u8]| at_once.next_extent(stream).map(|found| found.map(|extent| extent.len));
    feed(client, &mut oracle, input.requests, input.pieces, &mut |frame| {
        check_request(layout, frame);
        server.note_sent(frame);
    });
    let mut server_at_once = server.clone();
    let mut oracle =
        |stream: &[u8]| server_at_once.next_extent(stream).map(|found| found.map(|extent| extent.len));
    feed(&mut server, &mut oracle, input.replies, input.pieces, &mut |frame| check_reply(layout, frame));
}

/// Length of the next frame at the front of a whole stream.
type Oracle<'a> = &'a mut dyn FnMut(&[u8]) -> Result<Option<usize>, DecodeError>;

/// Feeds `stream` in pieces; what comes out is compared with the oracle, which sees the stream whole.
fn feed(
    decoder: &mut dyn Decoder,
    oracle: Oracle<'_>,
    stream: &[u8],
    pieces: [usize; 2],
    check: &mut dyn FnMut(&Frame),
) {
    // Eight pieces and the rest, so that a long input costs little more than a short one.
    let mut pieces = pieces.into_iter().filter(|piece| *piece > 0).cycle().take(8);
    let mut buffer = BytesMut::with_capacity(stream.len());
    let capacity = buffer.capacity();
    let (mut unread, mut rest) = (stream, stream);
    let end = loop {
        let piece = pieces.next().unwrap_or(unread.len()).min(unread.len());
        let (arrived, later) = unread.split_at(piece);
        unread = later;
        buffer.extend_from_slice(arrived);
        let last = unread.is_empty();
        let end = loop {
            let found = if last { decoder.decode_eof(&mut buffer) } else { decoder.decode(&mut buffer) };
            assert!(buffer.capacity() <= capacity, "the decoder reserves nothing");
            let frame = match found {
                Ok(Some(frame)) => frame,
                Ok(None) => break Ok(()),
                Err(error) => break Err(error),
            };
            check(&frame);
            assert_eq!(oracle(rest), Ok(Some(frame.bytes.len())), "splits do not matter");
            let (same, behind) = rest.split_at(frame.bytes.len());
            assert_eq!(frame.bytes, same, "a frame keeps its bytes");
            rest = behind;
        };
        if last || end.is_err() {
            break end;
        }
    };
    let left = buffer.len() + unread.len();
    assert_eq!(left, rest.len(), "every byte is in a frame or left over");
    match end {
        Ok(()) => {
            assert_eq!(oracle(rest), Ok(None), "splits do not matter");
            assert_eq!(left, 0, "a clean end leaves nothing");
        }
        Err(error) => check_error(decoder, oracle, &mut buffer, error, stream, rest),
    }
}

fn check_error(
    decoder: &mut dyn Decoder,
    oracle: Oracle<'_>,
    buffer: &mut BytesMut,
    error: DecodeError,
    stream: &[u8],
    rest: &[u8],
) {
    let begin = stream.len() - rest.len();
    let offset = usize::try_from(error.offset).expect("an offset in memory");
    assert!((begin..=stream.len()).contains(&offset), "{error} lies outside of the stream");
    let len = buffer.len();
    assert_eq!(decoder.decode(buffer), Err(error), "errors are sticky");
    assert_eq!(decoder.decode_eof(buffer), Err(error), "errors are sticky");
    assert_eq!(buffer.len(), len, "an error leaves the buffer as it is");
    match error.kind {
        DecodeErrorKind::AboveLimit { announced, limit } => {
            assert!(announced > limit, "{error}");
            assert_eq!(oracle(rest), Err(error), "splits do not matter");
        }
        DecodeErrorKind::Truncated { needed, got } => {
            assert!(got < needed, "{error}");
            assert_eq!(offset as u64 + got, stream.len() as u64, "{error} counts all bytes that came");
            assert_eq!(oracle(rest), Ok(None), "splits do not matter");
        }
        _ => panic!("this framing has no {error}"),
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

/// The planted defect.
struct LosesByte {
    decoder: RequestDecoder,
    layout: Layout,
}

impl LosesByte {
    fn lose(&self, frame: Option<Frame>, src: &mut BytesMut) -> Option<Frame> {
        let head = RequestHead::of_frame(self.layout, frame.as_ref()?);
        if head.is_some_and(|head| head.cmd == Command(13) && head.len > 0) && !src.is_empty() {
            src.advance(1);
        }
        frame
    }
}

impl Decoder for LosesByte {
    fn decode(&mut self, src: &mut BytesMut) -> Result<Option<Frame>, DecodeError> {
        let frame = self.decoder.decode(src)?;
        Ok(self.lose(frame, src))
    }

    fn decode_eof(&mut self, src: &mut BytesMut) -> Result<Option<Frame>, DecodeError> {
        let frame = self.decoder.decode_eof(src)?;
        Ok(self.lose(frame, src))
    }
}
