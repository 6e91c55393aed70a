//! Messages, field by field: the head, the envelope, and what is in its payload.
//!
//! ```text
//! length stream type flags | service method payload… timeout_nano metadata…
//! length stream type flags | status… payload…
//! ```
//!
//! What no comparison may look at carries a mask:
//!
//! | mask | where |
//! |---|---|
//! | `syntax` | lengths and tags |
//! | `stream` | the number of the stream: it says which request is answered, and is compared by that |
//! | `text` | the message and the details of a status |

use std::borrow::Cow;
use std::ops::Range;
use std::sync::LazyLock;

use wire::protobuf::schema::Method;
use wire::protobuf::{Schema, dissect as dissect_message};
use wire::ttrpc::{HEAD_LEN, Header, MESSAGE, MessageType, OVERSIZE};
use wire::{Direction, Dissection, Field, Frame, SYNTAX, Value};

use crate::api::{Api, Side};
use crate::envelope::{Answer, Call, data};

/// Mask of numbers of streams.
pub const STREAM: &str = "stream";
/// Mask of texts for people.
pub const TEXT: &str = "text";

/// The field of the envelope that holds another message.
const PAYLOAD: &str = "payload";

/// The messages of the envelope.
static ENVELOPE: LazyLock<Schema> = LazyLock::new(|| {
    Schema::parse(&[crate::ENVELOPE]).unwrap_or_else(|error| unreachable!("a test reads it: {error}"))
});

/// Reads a frame; `request` is what it answers.
pub(crate) fn dissect(api: &impl Api, dir: Direction, frame: &Frame, request: Option<&Frame>) -> Dissection {
    let Some(header) = Header::of_frame(frame) else { return discarded(frame) };
    let mut found = head(&header, frame);
    if frame.kind == OVERSIZE {
        found.fields.extend(rest(frame));
        return found;
    }
    match (dir, header.kind) {
        (Direction::ToServer, MessageType::REQUEST) => dissect_request(api, frame, &mut found),
        (Direction::ToClient, MessageType::RESPONSE) => dissect_response(api, frame, request, &mut found),
        _ => found.fields.extend(rest(frame)),
    }
    found
}

/// The method that a request calls, as far as the schema knows it.
pub(crate) fn called<'s>(schema: &'s Schema, request: &Frame) -> Option<&'s Method> {
    let is_request = Header::of_frame(request).is_some_and(|header| header.kind == MessageType::REQUEST);
    let call = Call::read(data(&request.bytes)).ok().filter(|_| is_request && request.kind == MESSAGE)?;
    schema.method(call.service, call.method)
}

fn field(name: &'static str, span: Range<usize>, value: Value, mask: Option<&'static str>) -> Field {
    Field { name: Cow::Borrowed(name), span, value, label: None, mask }
}

fn head(header: &Header, frame: &Frame) -> Dissection {
    let length = Header::length(&frame.bytes).unwrap_or_default();
    let kind = field("type", 8..9, Value::Uint(header.kind.0.into()), None);
    let flags = field("flags", 9..HEAD_LEN, Value::Hex(header.flags.0.into()), None);
    Dissection {
        title: format!("{} on stream {}", header.kind.to_string().to_lowercase(), header.stream),
        fields: vec![
            field("length", 0..4, Value::Uint(length.into()), Some(SYNTAX)),
            field("stream", 4..8, Value::Uint(header.stream.into()), Some(STREAM)),
            Field { label: Some(header.kind.to_string().into()), ..kind },
            Field { label: Some(header.flags.to_string().into()), ..flags },
        ],
        ..Dissection::default()
    }
}

/// A piece of a message above the limit.
fn discarded(frame: &Frame) -> Dissection {
    let field = field("discarded", 0..frame.bytes.len(), Value::Bytes, None);
    Dissection { title: "discarded data".to_owned(), fields: vec![field], ..Dissection::default() }
}

fn rest(frame: &Frame) -> Option<Field> {
    let span = HEAD_LEN..frame.bytes.len();
    (!span.is_empty()).then(|| field("data", span, Value::Bytes, None))
}

fn dissect_request(api: &impl Api, frame: &Frame, found: &mut Dissection) {
    let call = Call::read(data(&frame.bytes)).unwrap_or_default();
    let method = api.schema().method(call.service, call.method);
    let mut envelope = dissect_message(&ENVELOPE, "ttrpc.Request", data(&frame.bytes), HEAD_LEN);
    if let Some(method) = method {
        let inner = (&*method.request, call.payload, call.payload_at.clone());
        look_into_payload(api, method, Side::Argument, inner, &mut envelope);
    }
    found.title = format!("{} {}", found.title, call.name());
    take(found, envelope);
}

fn dissect_response(api: &impl Api, frame: &Frame, request: Option<&Frame>, found: &mut Dissection) {
    let answer = Answer::read(data(&frame.bytes)).unwrap_or_default();
    let method = request.and_then(|request| called(api.schema(), request));
    let mut envelope = dissect_message(&ENVELOPE, "ttrpc.Response", data(&frame.bytes), HEAD_LEN);
    if let Some(method) = method {
        let inner = (&*method.response, answer.payload, answer.payload_at.clone());
        look_into_payload(api, method, Side::Result, inner, &mut envelope);
    }
    for field in &mut envelope.fields {
        if field.name == "status.message" || field.name.starts_with("status.details") {
            field.mask = Some(TEXT);
        }
    }
    let to = method.map(|method| format!(" to {}", method.name)).unwrap_or_default();
    found.title = format!("{}{to}: {}", found.title, said(&answer));
    take(found, envelope);
}

fn said(answer: &Answer<'_>) -> String {
    match (answer.code, String::from_utf8_lossy(answer.message)) {
        (0, _) => "OK".to_owned(),
        (code, message) => format!("code {code} {message}"),
    }
}

fn take(found: &mut Dissection, envelope: Dissection) {
    found.fields.extend(envelope.fields);
    found.problems.extend(envelope.problems);
    found.policies = envelope.policies;
}

/// Puts the fields of a message in place of the payload that holds it. Of a payload that is there twice the last one counts,
/// and the others stay bytes.
fn look_into_payload(
    api: &impl Api,
    method: &Method,
    side: Side,
    (message, payload, at): (&str, &[u8], Range<usize>),
    envelope: &mut Dissection,
) {
    let at = at.start + HEAD_LEN..at.end + HEAD_LEN;
    let is_payload = |field: &Field| field.name.starts_with(PAYLOAD) && field.span.end == at.end;
    let Some(place) = envelope.fields.iter().position(is_payload) else { return };
    let inner = dissect_message(api.schema(), message, payload, at.start);
    envelope.problems.extend(inner.problems);
    if let Some(mask) = api.whole_mask(method).filter(|_| side == Side::Result) {
        if let Some(field) = envelope.fields.get_mut(place) {
            field.mask = Some(mask);
        }
        return;
    }
    let masked = inner.fields.into_iter().map(|field| Field {
        mask: field.mask.or_else(|| api.mask(method, side, &field.name)),
        name: format!("{PAYLOAD}.{}", field.name).into(),
        ..field
    });
    let tag = envelope.fields.get(place).map_or(at.start, |field| field.span.start)..at.start;
    let length = Value::Uint(u64::try_from(payload.len()).unwrap_or(u64::MAX));
    let tag = Field { label: Some(message.to_owned().into()), ..field(PAYLOAD, tag, length, Some(SYNTAX)) };
    envelope.fields.splice(place..=place, std::iter::once(tag).chain(masked));
    if side == Side::Result {
        for list in api.unordered(method) {
            envelope.policies.any_order(&format!("{PAYLOAD}.{list}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use wire::Decoder;
    use wire::protobuf::Writer;
    use wire::ttrpc::{DATA_MAX, Flags, Limits, MessageDecoder, Oversize};

    use super::*;
    use crate::envelope::{Success, failure, request, request_data, success};
    use crate::testing::Toy;

    fn frames(bytes: &[u8]) -> Vec<Frame> {
        let mut decoder =
            MessageDecoder::within(Limits { data_max: DATA_MAX, oversize: Oversize::Discarded });
        let mut left = bytes.into();
        std::iter::from_fn(|| decoder.decode(&mut left).expect("messages")).collect()
    }

    /// The title, and the fields behind the head with their masks.
    fn read(dir: Direction, frame: &Frame, request: Option<&Frame>) -> (String, Vec<String>) {
        let found = dissect(&Toy, dir, frame, request);
        let named = |field: &Field| match field.mask {
            Some(mask) => format!("{} ({mask})", field.name),
            None => field.name.to_string(),
        };
        (found.title, found.fields.iter().filter(|field| field.span.end > HEAD_LEN).map(named).collect())
    }

    #[track_caller]
    fn check(dir: Direction, bytes: &[u8], request: Option<&[u8]>, title: &str, fields: &[&str]) {
        let request = request.map(|request| frames(request).remove(0));
        let (named, found) = read(dir, &frames(bytes)[0], request.as_ref());
        assert_eq!(named, title);
        assert_eq!(found, fields, "{title}");
    }

    #[test]
    fn requests_are_read_as_far_as_they_are_known() {
        let argument = Writer::new().text(1, "a").finish();
        let known = request(1, "s.S", "M", &argument);
        let read = ["service", "method", "payload (syntax)", "payload.name"];
        check(Direction::ToServer, &known, None, "request on stream 1 s.S/M", &read);
        let unknown = request(1, "s.S", "N", &argument);
        check(
            Direction::ToServer,
            &unknown,
            None,
            "request on stream 1 s.S/N",
            &["service", "method", "payload"],
        );
        let data = Header { stream: 3, kind: MessageType::DATA, flags: Flags(4) }.message(b"abc");
        check(Direction::ToServer, &data, None, "data on stream 3", &["data"]);
        assert_eq!(
            dissect(&Toy, Direction::ToServer, &frames(&request_data(1, b"\xff"))[0], None).problems.len(),
            1
        );
    }

    #[test]
    fn answers_are_read_by_what_they_answer() {
        let asked = request(1, "s.S", "M", b"");
        let result = Writer::new().text(1, "a").finish();
        let done = success(1, Success::Bare, &result);
        let title = "response on stream 1 to M: OK";
        check(Direction::ToClient, &done, Some(&asked), title, &["payload (syntax)", "payload.name (toy)"]);
        check(Direction::ToClient, &done, None, "response on stream 1: OK", &["payload"]);
        let refused = failure(1, 5, "gone");
        let read = ["status (syntax)", "status.code", "status.message (text)"];
        check(Direction::ToClient, &refused, None, "response on stream 1: code 5 gone", &read);
    }

    #[test]
    fn nothing_of_a_message_above_the_limit_is_read() {
        let head = Header { stream: 1, kind: MessageType::REQUEST, flags: Flags(0) };
        let long = head.with_length(DATA_MAX + 1, &vec![b'x'; DATA_MAX as usize + 1]);
        let frames = frames(&long);
        assert_eq!(read(Direction::ToServer, &frames[0], None), ("request on stream 1".to_owned(), vec![]));
        let (title, fields) = read(Direction::ToServer, &frames[1], None);
        assert_eq!((&*title, &*fields), ("discarded data", &["discarded".to_owned()][..]));
    }

    #[test]
    fn the_method_of_a_request_is_known_or_not() {
        #[track_caller]
        fn check(bytes: &[u8], expect: Option<&str>) {
            let schema = Toy.schema();
            let method = called(schema, &frames(bytes)[0]);
            assert_eq!(method.map(|method| &*method.name), expect);
        }
        check(&request(1, "s.S", "M", b""), Some("M"));
        check(&request(1, "s.S", "N", b""), None);
        check(&success(1, Success::Bare, b""), None);
        check(&request_data(1, b"\xff"), None);
    }
}
