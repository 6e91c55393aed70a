//! What a decoder of arguments refuses: bytes that are no message, and whatever else its library does not take.

use wire::protobuf::schema::{Element, Message, Scalar, Schema, Type};
use wire::protobuf::{FieldAt, FieldValue, Walk, WireType};

use crate::family::Strictness;

/// How many messages of an argument are looked through.
const MESSAGES_MAX: usize = 4096;

/// Whether a decoder that is so strict refuses the bytes as a message of that name.
pub(super) fn is_refused(schema: &Schema, message: &str, bytes: &[u8], strict: Strictness) -> bool {
    let Some(message) = schema.message(message) else { return false };
    let mut left = vec![(message, bytes)];
    for _ in 0..MESSAGES_MAX {
        let Some((message, bytes)) = left.pop() else { return false };
        let mut groups = 0_usize;
        for field in Walk::new(bytes) {
            let Ok(field) = field else { return true };
            match field.value {
                FieldValue::GroupStart => groups += 1,
                FieldValue::GroupEnd => groups = groups.saturating_sub(1),
                // What is in a group is of nobody's schema.
                _ if groups > 0 => {}
                _ => match looked_at(schema, message, &field, bytes, strict) {
                    Ok(inner) => left.extend(inner),
                    Err(Refused) => return true,
                },
            }
            if groups > strict.groups_max {
                return true;
            }
        }
    }
    false
}

struct Refused;

/// A message that is in a field and is to be looked at, too.
fn looked_at<'a>(
    schema: &'a Schema,
    message: &Message,
    field: &FieldAt,
    bytes: &'a [u8],
    strict: Strictness,
) -> Result<Option<(&'a Message, &'a [u8])>, Refused> {
    let Some(known) = message.field(field.number) else { return Ok(None) };
    let Type::One(element) = known.kind else { return Ok(None) };
    match (&field.value, element) {
        (FieldValue::Len(at), Element::Message(id)) => Ok(schema.message_of(id).zip(bytes.get(at.clone()))),
        (FieldValue::Len(at), Element::Scalar(Scalar::String)) => {
            let text = bytes.get(at.clone()).unwrap_or_default();
            if strict.utf8 && std::str::from_utf8(text).is_err() { Err(Refused) } else { Ok(None) }
        }
        (FieldValue::Varint(number), Element::Scalar(scalar)) if element.wire_type() == WireType::VARINT => {
            if strict.numbers && !fits(scalar, *number) {
                Err(Refused)
            } else {
                Ok(None)
            }
        }
        (value, element) => {
            let packed = known.label == wire::protobuf::schema::Label::Repeated
                && value.wire_type() == WireType::LEN
                && element.wire_type() != WireType::LEN;
            let other = value.wire_type() != element.wire_type() && !packed;
            if other && strict.wire_type { Err(Refused) } else { Ok(None) }
        }
    }
}

fn fits(scalar: Scalar, number: u64) -> bool {
    match scalar {
        Scalar::Uint32 => u32::try_from(number).is_ok(),
        Scalar::Int32 => i32::try_from(number.cast_signed()).is_ok(),
        _ => true,
    }
}
