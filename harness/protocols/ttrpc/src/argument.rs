//! How a decoder reads an argument: which fields it takes, and what becomes of the others.
//!
//! ```text
//! a number that is not known     passed over
//! another wire type              refused, or ignored as if the number were not known
//! a number that is too large     refused, or truncated to what its type holds
//! a text that is no UTF-8        refused, or taken
//! bytes that are no message      refused with the whole argument
//! ```
//!
//! Which of them it is, [`Strictness`] says. Reference servers refuse by it, and clients are held to it.

use wire::protobuf::schema::{Element, Field, Label, Message, Scalar, Schema, Type};
use wire::protobuf::{FieldAt, FieldValue, Walk, WireType};

use crate::family::Strictness;

/// How many messages of an argument are looked through.
pub const MESSAGES_MAX: usize = 4096;

/// A message of an argument.
#[derive(Debug)]
pub struct Part<'s, 'a> {
    /// What it is.
    pub message: &'s Message,
    /// Where it is, e.g. `OCI.Linux`; empty for the argument itself.
    pub path: String,
    /// Its bytes.
    pub bytes: &'a [u8],
}

impl Part<'_, '_> {
    /// Where a field of it is.
    #[must_use]
    pub fn path_to(&self, name: &str) -> String {
        if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) }
    }
}

/// What there is in a message.
#[derive(Debug)]
pub enum Look<'s, 'a> {
    /// A field, also a group; what is in a group is of nobody's schema.
    Field {
        /// Its number.
        number: u32,
        /// What is known of it.
        known: Option<&'s Field>,
        /// Its value.
        value: FieldValue,
        /// The bytes of one that has a length.
        bytes: &'a [u8],
        /// What becomes of it.
        fate: Fate,
    },
    /// Its bytes are no message, or have more groups inside each other than are read.
    NoMessage,
    /// There are more messages in the argument than are looked through, and nothing is said of the rest.
    TooMany,
}

impl Look<'_, '_> {
    /// Whether the argument is refused for it.
    #[must_use]
    pub fn is_refused(&self) -> bool {
        matches!(self, Self::NoMessage | Self::Field { fate: Fate::Refused, .. })
    }
}

/// What becomes of a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It is read, or passed over as one that is not known.
    Read,
    /// It is known, and passed over.
    Ignored,
    /// It is another value than was sent.
    Truncated,
    /// The argument is refused for it.
    Refused,
}

/// Looks through a message and those in it as a decoder that is so strict reads them, until `look` has found something.
pub fn look_through<'s, 'a, Found>(
    schema: &'s Schema,
    message: &'s Message,
    bytes: &'a [u8],
    strict: Strictness,
    mut look: impl FnMut(&Part<'s, 'a>, Look<'s, 'a>) -> Option<Found>,
) -> Option<Found> {
    let mut left = vec![Part { message, path: String::new(), bytes }];
    for _ in 0..MESSAGES_MAX {
        let part = left.pop()?;
        let mut groups = 0_usize;
        for field in Walk::new(part.bytes) {
            let Ok(field) = field else { return look(&part, Look::NoMessage) };
            let is_inside = groups > 0;
            match field.value {
                FieldValue::GroupStart => groups += 1,
                FieldValue::GroupEnd => groups = groups.saturating_sub(1),
                _ => {}
            }
            if groups > strict.groups_max {
                return look(&part, Look::NoMessage);
            }
            if is_inside {
                continue;
            }
            let known = part.message.field(field.number);
            let fate = known.map_or(Fate::Read, |known| strict.fate(known, &field, part.bytes));
            let inner = message_in(schema, known, &field, &part).filter(|_| fate == Fate::Read);
            let bytes = length_of(&field, part.bytes);
            let found =
                look(&part, Look::Field { number: field.number, known, value: field.value, bytes, fate });
            if found.is_some() {
                return found;
            }
            left.extend(inner);
        }
    }
    left.pop().and_then(|part| look(&part, Look::TooMany))
}

/// The bytes of a field that has a length.
fn length_of<'a>(field: &FieldAt, bytes: &'a [u8]) -> &'a [u8] {
    match &field.value {
        FieldValue::Len(at) => bytes.get(at.clone()).unwrap_or_default(),
        _ => &[],
    }
}

/// A message that is in a field.
fn message_in<'s, 'a>(
    schema: &'s Schema,
    known: Option<&Field>,
    field: &FieldAt,
    part: &Part<'s, 'a>,
) -> Option<Part<'s, 'a>> {
    let known = known?;
    let Type::One(Element::Message(id)) = known.kind else { return None };
    let bytes = length_of(field, part.bytes);
    Some(Part { message: schema.message_of(id)?, path: part.path_to(&known.name), bytes })
}

impl Strictness {
    /// What becomes of a field that is known.
    fn fate(self, known: &Field, field: &FieldAt, bytes: &[u8]) -> Fate {
        let is_list = known.label == Label::Repeated;
        let sent = field.value.wire_type();
        let (due, scalar) = match known.kind {
            Type::One(Element::Scalar(scalar)) => (scalar.wire_type(), Some(scalar)),
            Type::One(element) => (element.wire_type(), None),
            Type::Map(..) => (WireType::LEN, None),
        };
        let is_packed = is_list && sent == WireType::LEN && due != WireType::LEN;
        match (scalar, &field.value) {
            _ if is_packed => Fate::Read,
            _ if sent != due && self.wire_type => Fate::Refused,
            _ if sent != due => Fate::Ignored,
            (Some(Scalar::String), _)
                if self.utf8 && std::str::from_utf8(length_of(field, bytes)).is_err() =>
            {
                Fate::Refused
            }
            (Some(scalar), FieldValue::Varint(number)) if !fits(scalar, *number) => {
                if self.numbers {
                    Fate::Refused
                } else {
                    Fate::Truncated
                }
            }
            _ => Fate::Read,
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

#[cfg(test)]
mod tests {
    use wire::protobuf::{Source, Writer};

    use super::*;
    use crate::family::{GO_1_0, RS_ASYNC_0_5_3, RS_ASYNC_0_7, RS_ASYNC_0_8};

    fn schema() -> Schema {
        let text = "syntax = \"proto3\"; package s;
            message M { string text = 1; uint32 size = 2; int32 exit = 3; M inner = 4; repeated uint32 list = 5;
              map<string, string> map = 6; }";
        Schema::parse(&[Source { name: "s.proto", text }]).expect("the text of these tests")
    }

    /// What becomes of the fields that are not simply read, for decoders of 0.5.3, 0.7 and 0.8.
    #[track_caller]
    fn check(bytes: &[u8], expect: [&str; 3]) {
        let families = [RS_ASYNC_0_5_3, RS_ASYNC_0_7, RS_ASYNC_0_8];
        assert_eq!(
            families.map(|family| fates(bytes, family.strictness)),
            expect.map(str::to_owned),
            "{bytes:?}"
        );
    }

    fn fates(bytes: &[u8], strict: Strictness) -> String {
        let schema = schema();
        let message = schema.message("s.M").expect("it is in the text");
        let mut fates = Vec::new();
        look_through::<()>(&schema, message, bytes, strict, |part, look| {
            fates.push(match look {
                Look::Field { fate: Fate::Read, .. } => return None,
                Look::Field { known, fate, .. } => {
                    format!("{} {fate:?}", part.path_to(known.map_or("", |known| &known.name)))
                }
                Look::NoMessage => "no message".to_owned(),
                Look::TooMany => "too many".to_owned(),
            });
            None
        });
        fates.join(", ")
    }

    /// The table of the measurements: agents 2.5.0, 3.2.0 and 4.0.0.
    #[test]
    fn fields_come_to_what_was_measured() {
        let inner = |field: Writer| Writer::new().message(4, field).finish();
        check(&Writer::new().text(1, "a").uint(2, 7).int(3, -1).finish(), ["", "", ""]);
        check(
            &inner(Writer::new().uint(1, 7)),
            ["inner.text Refused", "inner.text Ignored", "inner.text Ignored"],
        );
        check(&inner(Writer::new().bytes(1, b"\xff")), ["inner.text Refused"; 3]);
        for number in [1 << 32, u64::MAX] {
            check(
                &inner(Writer::new().uint(2, number)),
                ["inner.size Truncated", "inner.size Refused", "inner.size Refused"],
            );
        }
        for number in [0xffff_ffff, 1 << 31, 1 << 40] {
            check(
                &Writer::new().uint(3, number).finish(),
                ["exit Truncated", "exit Refused", "exit Refused"],
            );
        }
        check(&Writer::new().bytes(5, &[1, 2]).uint(5, 3).bytes(6, b"").finish(), [""; 3]);
        check(&Writer::new().uint(6, 3).finish(), ["map Refused", "map Ignored", "map Ignored"]);
        let groups = |depth| [b"\xdb\x01".repeat(depth), b"\xdc\x01".repeat(depth)].concat();
        check(&groups(100), [""; 3]);
        check(&groups(101), ["no message", "", "no message"]);
        for bytes in [&b"\xff"[..], b"\x0a\x05a", b"\x00\x00", b"\x0f", b"\x0c", b"\x22\x01\xff"] {
            check(bytes, ["no message"; 3]);
        }
        assert_eq!(
            fates(&Writer::new().bytes(1, b"\xff").finish(), GO_1_0.strictness),
            "",
            "Go reads any text"
        );
    }

    #[test]
    fn what_is_in_a_group_is_of_nobody_and_a_group_is_another_wire_type() {
        check(b"\x7b\x08\x01\x7c", [""; 3]);
        check(b"\x0b\x10\x01\x0c", ["text Refused", "text Ignored", "text Ignored"]);
    }

    #[test]
    fn says_where_it_looks_no_further() {
        let list = |count| (0..count).fold(Writer::new(), |list, _| list.message(4, Writer::new())).finish();
        check(&list(MESSAGES_MAX - 1), [""; 3]);
        check(&list(MESSAGES_MAX), ["too many"; 3]);
    }
}
