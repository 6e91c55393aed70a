//! Two fields under one number.

use wire::protobuf::schema::{Element, Field, Label, Scalar, Type};
use wire::protobuf::{Schema, WireType};

/// How the type of a field differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Difference<'a> {
    /// Not at all.
    None,
    /// It is called otherwise; what it holds has to be compared. Old and new name.
    Moved(&'a str, &'a str),
    /// Readers of one understand the other as far as it goes.
    Compatible {
        /// Something is lost from an old writer to a new reader.
        from_old: bool,
        /// Something is lost from a new writer to an old reader.
        from_new: bool,
    },
    /// Readers of one misread the other.
    Misread,
}

/// Compares the types of two fields.
pub(super) fn difference<'a>(old: (&'a Schema, &Field), new: (&'a Schema, &Field)) -> Difference<'a> {
    let (was, is) = (old.1, new.1);
    match (was.kind, is.kind) {
        (Type::Map(was_key, was), Type::Map(is_key, is)) => {
            let key = elements((old.0, Element::Scalar(was_key)), (new.0, Element::Scalar(is_key)));
            with(key, elements((old.0, was), (new.0, is)))
        }
        (Type::One(was_element), Type::One(is_element)) => {
            let element = elements((old.0, was_element), (new.0, is_element));
            let repeated = |field: &Field| field.label == Label::Repeated;
            match (repeated(was), repeated(is)) {
                (false, true) => with(Difference::Compatible { from_old: false, from_new: true }, element),
                (true, false) => with(Difference::Compatible { from_old: true, from_new: false }, element),
                _ => element,
            }
        }
        _ => Difference::Misread,
    }
}

/// Both of these.
fn with<'a>(one: Difference<'a>, other: Difference<'a>) -> Difference<'a> {
    match (one, other) {
        (Difference::Misread, _) | (_, Difference::Misread) => Difference::Misread,
        (Difference::None, other) => other,
        // What moved is not followed where something else has to be told as well.
        (one, Difference::None | Difference::Moved(..)) | (Difference::Moved(..), one) => one,
        (
            Difference::Compatible { from_old, from_new },
            Difference::Compatible { from_old: old, from_new: new },
        ) => Difference::Compatible { from_old: from_old || old, from_new: from_new || new },
    }
}

fn elements<'a>(old: (&'a Schema, Element), new: (&'a Schema, Element)) -> Difference<'a> {
    let same_bytes = Difference::Compatible { from_old: false, from_new: false };
    match (old.1, new.1) {
        (Element::Scalar(was), Element::Scalar(is)) => scalars(was, is),
        (Element::Enum(was), Element::Enum(is)) => {
            let names = (old.0.enum_of(was), new.0.enum_of(is));
            let (Some(was), Some(is)) = names else { return Difference::Misread };
            let moved = old.0.enum_of_name(&is.name).is_none() || new.0.enum_of_name(&was.name).is_none();
            match () {
                () if was.name == is.name => Difference::None,
                () if moved => Difference::Moved(&was.name, &is.name),
                () => same_bytes,
            }
        }
        (Element::Message(was), Element::Message(is)) => {
            let names = (old.0.message_of(was), new.0.message_of(is));
            let (Some(was), Some(is)) = names else { return Difference::Misread };
            match () {
                () if was.name == is.name => Difference::None,
                () if is_moved(old.0, &was.name, new.0, &is.name) => Difference::Moved(&was.name, &is.name),
                () => Difference::Misread,
            }
        }
        (Element::Enum(_), Element::Scalar(scalar)) => scalars(Scalar::Int32, scalar).or_same_bytes(),
        (Element::Scalar(scalar), Element::Enum(_)) => scalars(scalar, Scalar::Int32).or_same_bytes(),
        (Element::Message(_), Element::Scalar(Scalar::Bytes))
        | (Element::Scalar(Scalar::Bytes), Element::Message(_)) => same_bytes,
        _ => Difference::Misread,
    }
}

impl Difference<'_> {
    /// An enum and its number are two types of the same bytes.
    const fn or_same_bytes(self) -> Self {
        match self {
            Self::None => Self::Compatible { from_old: false, from_new: false },
            other => other,
        }
    }
}

/// Whether a message has another name and is still the same one: it is not there any more, or the other was not before.
pub(super) fn is_moved(old: &Schema, was: &str, new: &Schema, is: &str) -> bool {
    was != is && (old.message(is).is_none() || new.message(was).is_none())
}

fn scalars<'a>(was: Scalar, is: Scalar) -> Difference<'a> {
    if was == is {
        return Difference::None;
    }
    match (was, is) {
        (Scalar::String, Scalar::Bytes) => Difference::Compatible { from_old: false, from_new: true },
        (Scalar::Bytes, Scalar::String) => Difference::Compatible { from_old: true, from_new: false },
        _ => match (numbers(was), numbers(is)) {
            (Some(was), Some(is)) if was.form == is.form => {
                let holds =
                    |one: &Numbers, other: &Numbers| one.least <= other.least && other.most <= one.most;
                Difference::Compatible { from_old: !holds(&is, &was), from_new: !holds(&was, &is) }
            }
            _ => Difference::Misread,
        },
    }
}

/// The numbers that a type holds, and how it writes them.
struct Numbers {
    form: (WireType, bool),
    least: i128,
    most: i128,
}

fn numbers(scalar: Scalar) -> Option<Numbers> {
    let zigzag = matches!(scalar, Scalar::Sint32 | Scalar::Sint64);
    let (least, most) = match scalar {
        Scalar::Int32 | Scalar::Sint32 | Scalar::Sfixed32 => (i32::MIN.into(), i32::MAX.into()),
        Scalar::Int64 | Scalar::Sint64 | Scalar::Sfixed64 => (i64::MIN.into(), i64::MAX.into()),
        Scalar::Uint32 | Scalar::Fixed32 => (0, u32::MAX.into()),
        Scalar::Uint64 | Scalar::Fixed64 => (0, u64::MAX.into()),
        Scalar::Bool => (0, 1),
        Scalar::Double | Scalar::Float | Scalar::String | Scalar::Bytes => return None,
    };
    Some(Numbers { form: (scalar.wire_type(), zigzag), least, most })
}

/// A field as it is written, without its number.
pub(super) fn written(schema: &Schema, field: &Field) -> String {
    let label = match (field.label, field.kind) {
        (Label::Repeated, Type::One(_)) => "repeated ",
        (Label::Optional, _) => "optional ",
        _ => "",
    };
    format!("{label}{} {}", schema.type_name(field.kind), field.name)
}

/// What the wire types of two fields are, in words.
pub(super) fn wire_types(was: &Field, is: &Field) -> String {
    let (was, is) = (form(was), form(is));
    if was == is { format!("both are {is} on the wire") } else { format!("{was} is {is} on the wire now") }
}

fn form(field: &Field) -> &'static str {
    let element = match field.kind {
        Type::One(element) => element,
        Type::Map(..) => return "a length with bytes",
    };
    match (element.wire_type(), field.label) {
        (WireType::LEN, _) => "a length with bytes",
        // Numbers of a list lie behind one length.
        (_, Label::Repeated) => "a packed list",
        (WireType::VARINT, _) => "a varint",
        (WireType::FIXED32, _) => "four bytes",
        _ => "eight bytes",
    }
}
