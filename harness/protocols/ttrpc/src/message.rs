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
