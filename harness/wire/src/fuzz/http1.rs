//! HTTP/1.1: heads and bodies of both directions, each told what goes the other way; and streams that are multiplexed.

mod both;
mod conversation;

use bytes::BytesMut;

use super::Input;
use super::stream::{LosesByte, feed, oracle};
use crate::http1::{
    BODY, BODY_LEN_MAX, BODY_PIECE_MAX, Body, CHUNK_LINE_MAX, CHUNKED, Chunked, HEAD, HEAD_LEN_MAX, INTERIM,
    MessageDecoder, PIECE, RAW, RAW_LEN_MAX, RESPONSE, Request, Response, SWITCH, TRAILERS_LEN_MAX, Version,
    WHOLE, chunk, dissect, last_chunk, request_head, response_head,
};
use crate::multiplex::{self, HEAD_LEN, JoinError, LENGTH_MAX, PieceDecoder, Stream, Streams};
use crate::{DecodeErrorKind, Decoder, Direction, Dissection, Field, Frame, Value};

pub(crate) use both::{Both, Said};
pub use conversation::http1_structured;

/// Both directions of a connection as any bytes: framed or refused, every byte accounted for, the same in any pieces, and
/// every frame as its head says.
///
/// # Panics
/// One of the properties of the module does not hold.
pub fn http1_decode(data: &[u8]) {
    decode_both(Input::of(data), &mut |dir| Box::new(MessageDecoder::new(dir)));
}

/// As [`http1_decode`] with decoders that lose a byte: the one behind a body in chunks. Finding it proves that
/// the fuzzer reaches such places and that the body looks.
///
/// # Panics
/// The lost byte is noticed.
pub fn http1_planted_defect(data: &[u8]) {
    decode_both(Input::of(data), &mut |dir| {
        let behind = |frame: &Frame| frame.kind == CHUNKED;
        Box::new(LosesByte { decoder: MessageDecoder::new(dir), behind })
    });
}

/// The input of [`http1_decode`] and [`http1_round_trip`] that holds this conversation, in one piece. Of requests longer
/// than 64 KiB the rest is taken for replies.
#[must_use]
pub fn http1_input(requests: &[u8], replies: &[u8]) -> Vec<u8> {
    super::input(requests, replies)
}

fn decode_both(input: Input<'_>, make: &mut dyn FnMut(Direction) -> Box<dyn Decoder>) {
    let said = [(Direction::ToServer, input.requests), (Direction::ToClient, input.replies)];
    // The client ends at once or at last.
    let ends_early = input.variant & 1 == 1;
    let mut run = |pieces: [usize; 2]| {
        let mut both = Both::of([make(Direction::ToServer), make(Direction::ToClient)]);
        for (dir, bytes) in said {
            both.say(dir, bytes, pieces);
            if ends_early || dir == Direction::ToClient {
                both.end(dir);
            }
        }
        both.end(Direction::ToServer);
        both.finish()
    };
    let (whole, pieces) = (run([0, 0]), run(input.pieces));
    for ((dir, bytes), said) in said.into_iter().zip(&whole) {
        let mut kept = said.frames.iter().flat_map(|frame| frame.bytes.to_vec()).collect::<Vec<_>>();
        kept.extend_from_slice(&said.left);
        assert_eq!(kept, bytes, "every byte is in a frame or left over");
        check_end(said, bytes.len());
        said.frames.iter().for_each(|frame| check_frame(dir, frame));
    }
    assert_eq!(whole, pieces, "splits do not matter");
}

fn check_end(said: &Said, len: usize) {
    let Err(error) = said.end else { return };
    let begin = len - said.left.len();
    let offset = usize::try_from(error.offset).expect("an offset in memory");
    assert!((begin..=len).contains(&offset), "{error} lies outside of the stream");
    match error.kind {
        DecodeErrorKind::AboveLimit { announced, limit } => assert!(announced > limit, "{error}"),
        DecodeErrorKind::Truncated { needed, got } => {
            assert!(got < needed, "{error}");
            assert_eq!(
                offset + usize::try_from(got).expect("in memory"),
                len,
                "{error} counts all that came"
            );
        }
        DecodeErrorKind::Syntax => {}
        _ => panic!("HTTP has no {error}"),
    }
}

/// A frame has the shape that its kind promises, can be read, and every byte of it has a name.
fn check_frame(dir: Direction, frame: &Frame) {
    let len = frame.bytes.len();
    assert!(len > 0 && frame.head_len <= HEAD_LEN_MAX);
    match frame.kind {
        HEAD | WHOLE => {
            assert!(Request::of(frame).is_some(), "the head of a request is read");
            assert_eq!((dir, frame.head_len), (Direction::ToServer, len));
        }
        INTERIM | SWITCH | RESPONSE => {
            let response = Response::of(frame).expect("the head of an answer is read");
            let kind = match response.status {
                101 => SWITCH,
                100..=199 => INTERIM,
                _ => RESPONSE,
            };
            assert_eq!((dir, frame.kind), (Direction::ToClient, kind));
            assert!(kind == RESPONSE || frame.head_len == len, "no body");
            let body = Body::of(frame).expect("the body of an answer is whole");
            assert!(body.data.len() as u64 <= BODY_LEN_MAX);
        }
        BODY | CHUNKED | PIECE => {
            assert_eq!((dir, frame.head_len), (Direction::ToServer, 0));
            assert!(len <= BODY_PIECE_MAX && (frame.kind != PIECE || len >= PIECE_LEN_MIN));
        }
        RAW => assert!(frame.head_len == 0 && len <= RAW_LEN_MAX),
        kind => panic!("{kind:?} is no kind of frame"),
    }
    for every in [1, 3, 1000] {
        let found = dissect(frame, &|_| None, &|body| in_parts(body, every));
        assert!(found.covers(len), "every byte is in one field: {:?}", found.fields);
        assert!(found.problems.iter().all(|problem| problem.span.end <= len));
    }
}

/// The shortest piece: what follows it might not have fitted.
const PIECE_LEN_MIN: usize = BODY_PIECE_MAX - TRAILERS_LEN_MAX - CHUNK_LINE_MAX;

/// A body as fields of that many bytes, and one of none.
fn in_parts(body: &[u8], every: usize) -> Dissection {
    let field = |start: usize, end: usize| {
        let name = format!("at-{start}").into();
        Field { name, span: start..end, value: Value::Bytes, label: None, mask: None }
    };
    let starts = (0..body.len()).step_by(every);
    let mut fields = starts.map(|start| field(start, (start + every).min(body.len()))).collect::<Vec<_>>();
    fields.push(field(body.len(), body.len()));
    Dissection { fields, ..Dissection::default() }
}

/// Both directions as any bytes: heads and bodies that are read are written as they were, but for white space and what
/// chunks say beside their size; and what is written is read.
///
/// # Panics
/// Something comes back changed.
pub fn http1_round_trip(data: &[u8]) {
    let Input { requests, replies, .. } = Input::of(data);
    for (dir, stream) in [(Direction::ToServer, requests), (Direction::ToClient, replies)] {
        let mut decoder = MessageDecoder::new(dir);
        let mut buffer = BytesMut::from(stream);
        while let Ok(Some(frame)) = decoder.decode(&mut buffer) {
            check_written_again(&frame);
        }
    }
    // Any bytes as data.
    let sent = [chunk(requests), chunk(replies), last_chunk(&[("a", "b")]).expect("a token")].concat();
    let read = Chunked::read(&sent).expect("a whole body");
    assert_eq!(*read.data(), [requests, replies].concat());
    assert_eq!(read.trailers().get("A"), Some(&b"b"[..]));
    assert_eq!(read.spans().len(), usize::from(!requests.is_empty()) + usize::from(!replies.is_empty()));
    // Any text in a head: it is refused, or it is read as what it was.
    if let (Ok(name), Ok(value)) = (str::from_utf8(requests), str::from_utf8(replies)) {
        let headers = [(name, value), ("b", "c")];
        for head in
            [request_head("GET", "/", Version(1), &headers), request_head(name, value, Version(0), &[])]
        {
            let Ok(head) = head else { continue };
            let request = Request::read(&head).expect("what is written is read");
            let first = request.headers.iter().next().map(|first| (first.name, first.value));
            let expect = if request.version == Version(1) { Some((name, value.as_bytes())) } else { None };
            assert_eq!(first, expect);
        }
    }
}

fn check_written_again(frame: &Frame) {
    let text = |value: &[u8]| String::from_utf8(value.to_vec()).ok();
    if let Some(request) = Request::of(frame) {
        let headers: Option<Vec<_>> =
            request.headers.iter().map(|header| Some((header.name, text(header.value)?))).collect();
        let Some(headers) = headers else { return };
        let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        if let Ok(head) = request_head(request.method, request.target, request.version, &headers) {
            let again = Request::read(&head).expect("what is written is read");
            assert!(again.headers.iter().eq(request.headers.iter()));
            assert_eq!((again.method, again.target), (request.method, request.target));
        }
    }
    if let Some(response) = Response::of(frame) {
        let reason = text(response.reason).unwrap_or_default();
        if let Ok(head) = response_head(response.status, &reason, response.version, &[]) {
            let again = Response::read(&head).expect("what is written is read");
            assert_eq!((again.status, again.reason), (response.status, reason.as_bytes()));
        }
    }
    if let Some(chunked) = Chunked::read(frame.payload()) {
        let bytes = frame.payload();
        let chunks =
            chunked.spans().iter().map(|span| chunk(bytes.get(span.clone()).expect("it is in there")));
        let sent =
            [chunks.collect::<Vec<_>>().concat(), last_chunk(&[]).expect("no trailers").to_vec()].concat();
        assert_eq!(Chunked::read(&sent).expect("a whole body").data(), chunked.data());
    }
}

/// Any bytes as a multiplexed stream: framed or refused, the same in any pieces; and any bytes in pieces come back.
///
/// # Panics
/// One of the properties of the module does not hold, or bytes come back changed.
pub fn multiplex(data: &[u8]) {
    let Input { variant, pieces, requests, replies } = Input::of(data);
    for stream in [requests, replies] {
        let mut sum = Streams::default();
        let mut check = |frame: &Frame| {
            assert_eq!((frame.kind, frame.head_len), (multiplex::PIECE, HEAD_LEN));
            assert!(frame.payload().len() <= LENGTH_MAX as usize);
            let stream = multiplex::stream(&frame.bytes).expect("a head");
            assert_eq!(multiplex::piece(stream, frame.payload()), frame.bytes);
            add(&mut sum, stream, frame.payload());
        };
        let mut at_once = oracle(PieceDecoder::new());
        let end = feed(&mut PieceDecoder::new(), &mut at_once, stream, pieces, &mut check);
        match end.map_err(|error| error.kind) {
            Ok(()) => assert_eq!(multiplex::join(stream), Ok(sum)),
            Err(DecodeErrorKind::Truncated { .. }) => {
                assert!(matches!(multiplex::join(stream), Err(JoinError::Truncated(_))));
            }
            Err(_) => assert!(matches!(multiplex::join(stream), Err(JoinError::NotMultiplexed(_)))),
        }
        if multiplex::join(stream).is_ok() {
            assert_eq!(multiplex::looks_multiplexed(stream), !stream.is_empty());
        }
    }
    let mut expect = Streams::default();
    let mut sent = Vec::new();
    for (at, data) in requests.chunks(usize::from(variant) + 1).enumerate() {
        let stream = Stream(u8::try_from(at % 4).expect("less than four"));
        sent.extend_from_slice(&multiplex::piece(stream, data));
        add(&mut expect, stream, data);
    }
    assert_eq!(multiplex::join(&sent), Ok(expect));
}

fn add(streams: &mut Streams, stream: Stream, data: &[u8]) {
    let to = match stream {
        Stream::STDIN => &mut streams.stdin,
        Stream::STDOUT => &mut streams.stdout,
        Stream::STDERR => &mut streams.stderr,
        _ => &mut streams.system_error,
    };
    to.extend_from_slice(data);
}
