//! A message as fields: every byte in exactly one of them.
//!
//! ```text
//! 32 14 | 12 08 | 22 02 2f 61 | 22 02 2f 62 | 3a 06 0a 01 6b 12 01 76 | f8 06 01
//! OCI     Process Args.0        Args.1        Annotations.k             OCI.?111
//! syntax  syntax
//! ```
//!
//! A field has its tag and length in its span. A message that is not empty has them in a field of its own that is
//! called as the message, so that what is in it is behind it; so have packed numbers.

use std::borrow::Cow;
use std::ops::Range;

use super::schema::{Element, Label, Message, MessageId, Scalar, Schema, Type};
use super::walk::{fixed, varint};
use super::{FieldAt, FieldValue, Walk, WalkError, WireType, unzigzag};
use crate::path::Path;
use crate::policy::Policies;
use crate::stream::as_u64;
use crate::{Dissection, Field, Problem, SYNTAX, UNKNOWN, Value};

/// How deep messages are looked into. What is deeper is bytes. The limit of most parsers.
pub const MESSAGE_DEPTH_MAX: usize = 100;

/// The most fields of a dissection, so that a message of many small ones costs no more than its bytes many times
/// over. What is behind is unknown.
pub const FIELDS_MAX: usize = 1 << 18;

/// Names every part of `bytes`, a message of that name in the schema. Offsets count from `base` before the first byte:
/// the fields cover `base..base + bytes.len()`.
///
/// Members are named with dots, elements by their index, entries of maps by their key (`OCI.Process.Args.0`,
/// `OCI.Annotations.key`). A field that the schema does not have is called by its number, `OCI.?99`, and is Unread.
///
/// ```text
/// unsigned numbers  Uint         text     Text; escaped if it is not UTF-8, which is a problem
/// signed numbers    Int          bytes    Bytes
/// bool              Bool; Uint where it is neither 0 nor 1
/// enum              Int with the label of the schema
/// float, double     Float
/// message           Uint, the length, under the mask `syntax`; an empty one is Empty with the label `{}`
/// packed numbers    the same, and then each number; an empty one is Empty with the label `[]`
/// ```
///
/// A field of another wire type than the schema has for it is bytes and a problem. What cannot be read is a field
/// `unknown` of its message and a problem. So are a number that does not fit its type, and a field that is there twice
/// and not repeated; both are read all the same.
#[must_use]
pub fn dissect(schema: &Schema, message: &str, bytes: &[u8], base: usize) -> Dissection {
    let policies = Policies::sparse();
    let found = Dissection { title: message.to_owned(), policies, ..Dissection::default() };
    let mut reader = Reader {
        schema,
        bytes,
        base,
        path: Path::default(),
        counts: Vec::new(),
        levels: Vec::new(),
        at: 0,
        found,
    };
    match schema.message(message) {
        Some(message) => reader.enter(Shape::Message(message), 0..bytes.len()),
        None => reader.problem(0..bytes.len(), format!("no message of the schema is called `{message}`")),
    }
    reader.all();
    reader.found
}

/// What may be in a message.
#[derive(Clone, Copy)]
enum Shape<'s> {
    Message(&'s Message),
    /// An entry of a map.
    Entry(Scalar, Element),
}

/// A field as the schema has it.
#[derive(Clone, Copy)]
struct Known<'s> {
    /// Which of the fields of its message it is.
    index: usize,
    name: &'s str,
    label: Label,
    kind: Type,
}

impl<'s> Shape<'s> {
    fn field(self, number: u32) -> Option<Known<'s>> {
        match (self, number) {
            (Self::Message(message), _) => {
                let index = message.index(number)?;
                let field = message.fields.get(index)?;
                Some(Known { index, name: &field.name, label: field.label, kind: field.kind })
            }
            (Self::Entry(key, _), 1) => {
                let kind = Type::One(Element::Scalar(key));
                Some(Known { index: 0, name: "key", label: Label::Singular, kind })
            }
            (Self::Entry(_, value), 2) => {
                Some(Known { index: 1, name: "value", label: Label::Singular, kind: Type::One(value) })
            }
            _ => None,
        }
    }

    fn len(self) -> usize {
        match self {
            Self::Message(message) => message.fields.len(),
            Self::Entry(..) => 2,
        }
    }
}

/// A message that is being walked through.
struct Level<'s, 'b> {
    shape: Shape<'s>,
    walk: Walk<'b>,
    /// How long the path to it is.
    path: usize,
    /// Where its counts begin.
    counts: usize,
}

struct Reader<'s, 'b> {
    schema: &'s Schema,
    bytes: &'b [u8],
    base: usize,
    path: Path,
    /// How often each field of each open message was there.
    counts: Vec<usize>,
    levels: Vec<Level<'s, 'b>>,
    /// Where the bytes begin that are in no field yet.
    at: usize,
    found: Dissection,
}

impl<'s> Reader<'s, '_> {
    fn all(&mut self) {
        while let Some(level) = self.levels.last_mut() {
            let (shape, end) = (level.shape, level.walk.end());
            self.path.truncate(level.path);
            match level.walk.next() {
                _ if self.found.fields.len() >= FIELDS_MAX && self.at < self.bytes.len() => {
                    self.problem(self.at..self.bytes.len(), format!("more than {FIELDS_MAX} fields"));
                    break;
                }
                None => {
                    self.counts.truncate(level.counts);
                    self.levels.pop();
                }
                Some(Ok(field)) => self.field(shape, field),
                Some(Err(error)) => self.broken(error, end),
            }
        }
        self.path.truncate(0);
        self.unknown(self.bytes.len());
    }

    /// What is behind an error is not understood, up to the end of its message.
    fn broken(&mut self, WalkError { at, kind }: WalkError, end: usize) {
        let text = WalkError { at: at.saturating_add(self.base), kind }.to_string();
        self.problem(at..end.max(at), text);
        self.unknown(end);
    }

    fn field(&mut self, shape: Shape<'s>, field: FieldAt) {
        let Some(known) = shape.field(field.number) else {
            self.path.unnamed(field.number);
            return self.whole(&field, Value::Unread);
        };
        self.path.member(known.name);
        match (known.kind, &field.value) {
            (Type::Map(key, value), FieldValue::Len(part)) => self.entry(key, value, &field, part.clone()),
            (Type::One(element), found) if found.wire_type() == element.wire_type() => {
                self.counted(known, &field, element);
                self.one(element, &field);
            }
            (Type::One(element), FieldValue::Len(part)) if known.label == Label::Repeated => {
                self.packed(known, element, &field, part.clone());
            }
            (kind, found) => {
                let wire_type = match kind {
                    Type::One(element) => element.wire_type(),
                    Type::Map(..) => WireType::LEN,
                };
                let what =
                    format!("{} where `{}` has {wire_type}", found.wire_type(), self.schema.type_name(kind));
                self.problem(field.span.clone(), what);
                self.whole(&field, Value::Bytes);
            }
        }
    }

    /// A field that is bytes, with all of it if it is a group.
    fn whole(&mut self, field: &FieldAt, value: Value) {
        let mut end = field.span.end;
        if field.value == FieldValue::GroupStart
            && let Some(level) = self.levels.last_mut()
        {
            end = level.walk.leave_group();
        }
        self.push(end, value, None, None);
    }

    /// Gives an element of a list its index, and says when there is a second one of what is no list.
    fn counted(&mut self, known: Known<'s>, field: &FieldAt, element: Element) {
        let before = self.count(known);
        match (known.label, element) {
            (Label::Repeated, _) => self.path.element(before),
            (_, Element::Message(_)) if before > 0 => {
                self.problem(field.span.clone(), "a message comes again, and is merged".to_owned());
            }
            _ if before > 0 => {
                self.problem(field.span.clone(), "a field comes again, and the last one counts".to_owned());
            }
            _ => {}
        }
    }

    /// How often it was there before.
    fn count(&mut self, known: Known<'s>) -> usize {
        let begin = self.levels.last().map_or(0, |level| level.counts);
        let Some(count) = self.counts.get_mut(begin.saturating_add(known.index)) else { return 0 };
        let before = *count;
        *count = count.saturating_add(1);
        before
    }

    fn one(&mut self, element: Element, field: &FieldAt) {
        match (element, &field.value) {
            (Element::Message(id), FieldValue::Len(part)) => self.message(id, part.clone()),
            _ => {
                let (value, label) = self.value(element, &field.value, &field.span);
                self.push(field.span.end, value, label, None);
            }
        }
    }

    fn message(&mut self, id: MessageId, part: Range<usize>) {
        match self.schema.message_of(id) {
            _ if part.is_empty() => self.push(part.end, Value::Empty, Some("{}".into()), None),
            Some(message) if self.levels.len() < MESSAGE_DEPTH_MAX => {
                self.push(part.start, Value::Uint(as_u64(part.len())), None, Some(SYNTAX));
                self.enter(Shape::Message(message), part);
            }
            _ => {
                self.problem(part.clone(), format!("more than {MESSAGE_DEPTH_MAX} messages in each other"));
                self.push(part.end, Value::Bytes, None, None);
            }
        }
    }

    fn enter(&mut self, shape: Shape<'s>, part: Range<usize>) {
        let (walk, path, counts) = (Walk::within(self.bytes, part), self.path.len(), self.counts.len());
        self.counts.resize(counts.saturating_add(shape.len()), 0);
        self.levels.push(Level { shape, walk, path, counts });
    }

    fn packed(&mut self, known: Known<'s>, element: Element, field: &FieldAt, part: Range<usize>) {
        if part.is_empty() {
            return self.push(field.span.end, Value::Empty, Some("[]".into()), None);
        }
        self.push(part.start, Value::Uint(as_u64(part.len())), None, Some(SYNTAX));
        let (list, bytes) = (self.path.len(), self.bytes.get(..part.end).unwrap_or(self.bytes));
        while self.at < part.end && self.found.fields.len() < FIELDS_MAX {
            match packed(bytes, self.at, element.wire_type()) {
                Ok((found, end)) => {
                    let index = self.count(known);
                    self.path.element(index);
                    let (value, label) = self.value(element, &found, &(self.at..end));
                    self.push(end, value, label, None);
                    self.path.truncate(list);
                }
                Err(error) => return self.broken(error, part.end),
            }
        }
    }

    /// An entry of a map: one field where it is a key and a value without fields of its own.
    fn entry(&mut self, key: Scalar, value: Element, field: &FieldAt, part: Range<usize>) {
        let Entry { key: key_at, value: value_at, plain } = Entry::read(self.bytes, part.clone(), key, value);
        self.key(key, key_at);
        match (value, value_at.map(|found| found.value)) {
            (Element::Message(_), None) if plain => {
                self.push(field.span.end, Value::Empty, Some("{}".into()), None);
            }
            (Element::Message(id), Some(FieldValue::Len(part))) if plain => self.message(id, part),
            (_, found) if plain => {
                let found = found.unwrap_or_else(|| absent(value));
                let (value, label) = self.value(value, &found, &field.span);
                self.push(field.span.end, value, label, None);
            }
            _ => {
                self.problem(field.span.clone(), "an entry that is not a key and a value".to_owned());
                self.push(part.start, Value::Uint(as_u64(part.len())), None, Some(SYNTAX));
                if self.levels.len() < MESSAGE_DEPTH_MAX {
                    self.enter(Shape::Entry(key, value), part);
                } else {
                    self.unknown(part.end);
                }
            }
        }
    }

    /// Goes on to the name of a key.
    fn key(&mut self, key: Scalar, found: Option<FieldAt>) {
        let (span, found) = match found {
            Some(FieldAt { span, value, .. }) => (span, value),
            None => (self.at..self.at, absent(Element::Scalar(key))),
        };
        match self.value(Element::Scalar(key), &found, &span) {
            (Value::Text(text), _) => self.path.member(&text),
            (_, Some(label)) => self.path.number(&label),
            (Value::Int(number), _) => self.path.number(&number),
            (Value::Uint(number) | Value::Hex(number), _) => self.path.number(&number),
            (Value::Bool(value), _) => self.path.number(&value),
            // No map has such a key.
            (Value::Float(_) | Value::Bytes | Value::Unread | Value::Null | Value::Empty, _) => {}
        }
    }

    /// What a value means that has the wire type of its element.
    fn value(
        &mut self,
        element: Element,
        found: &FieldValue,
        span: &Range<usize>,
    ) -> (Value, Option<Cow<'static, str>>) {
        let read = match (element, found) {
            (Element::Scalar(Scalar::String), FieldValue::Len(part)) => return (self.text(part), None),
            (Element::Scalar(scalar), found) => Read::scalar(scalar, found),
            (Element::Enum(_), FieldValue::Varint(bits)) => Read::int(bits.cast_signed(), i32::MIN, i32::MAX),
            _ => Read::default(),
        };
        if !read.fits {
            self.problem(
                span.clone(),
                format!("does not fit `{}`", self.schema.type_name(Type::One(element))),
            );
        }
        let label = match (element, &read.value) {
            (Element::Enum(id), Value::Int(number)) => self
                .schema
                .enum_of(id)
                .and_then(|found| found.label(*number))
                .map(|label| label.to_owned().into()),
            _ => read.label,
        };
        (read.value, label)
    }

    fn text(&mut self, part: &Range<usize>) -> Value {
        let bytes = self.bytes.get(part.clone()).unwrap_or_default();
        Value::Text(match std::str::from_utf8(bytes) {
            Ok(text) => text.to_owned(),
            Err(_) => {
                self.problem(part.clone(), "text that is not UTF-8".to_owned());
                bytes.escape_ascii().to_string()
            }
        })
    }

    /// The field of this path reaches up to there.
    fn push(
        &mut self,
        end: usize,
        value: Value,
        label: Option<Cow<'static, str>>,
        mask: Option<&'static str>,
    ) {
        let span = self.placed(self.at..end);
        self.found.fields.push(Field { name: self.path.name().into(), span, value, label, mask });
        self.at = end;
    }

    /// What is left up to there is not understood.
    fn unknown(&mut self, end: usize) {
        if self.at < end {
            self.path.member(UNKNOWN);
            self.push(end, Value::Unread, None, None);
        }
    }

    fn problem(&mut self, span: Range<usize>, what: String) {
        let span = self.placed(span);
        self.found.problems.push(Problem { span, what });
    }

    fn placed(&self, span: Range<usize>) -> Range<usize> {
        span.start.saturating_add(self.base)..span.end.saturating_add(self.base)
    }
}

/// The number of packed ones that begins there, and where it ends.
fn packed(bytes: &[u8], at: usize, wire_type: WireType) -> Result<(FieldValue, usize), WalkError> {
    match wire_type {
        WireType::FIXED32 => {
            let (value, end) = fixed(bytes, at)?;
            Ok((FieldValue::Fixed32(u32::from_le_bytes(value)), end))
        }
        WireType::FIXED64 => {
            let (value, end) = fixed(bytes, at)?;
            Ok((FieldValue::Fixed64(u64::from_le_bytes(value)), end))
        }
        _ => varint(bytes, at).map(|(value, end)| (FieldValue::Varint(value), end)),
    }
}

/// What stands for a value that is left out.
fn absent(element: Element) -> FieldValue {
    match element.wire_type() {
        WireType::FIXED32 => FieldValue::Fixed32(0),
        WireType::FIXED64 => FieldValue::Fixed64(0),
        WireType::LEN => FieldValue::Len(0..0),
        _ => FieldValue::Varint(0),
    }
}

/// What is in an entry of a map.
#[derive(Default)]
struct Entry {
    key: Option<FieldAt>,
    value: Option<FieldAt>,
    /// Key and value, in this order, and nothing else; either may be left out.
    plain: bool,
}

impl Entry {
    fn read(bytes: &[u8], part: Range<usize>, key: Scalar, value: Element) -> Self {
        let mut entry = Self { plain: true, ..Self::default() };
        for field in Walk::within(bytes, part) {
            match field {
                Ok(field) if field.number == 1 && field.value.wire_type() == key.wire_type() => {
                    entry.plain &= entry.key.is_none() && entry.value.is_none();
                    entry.key = Some(field);
                }
                Ok(field) if field.number == 2 && field.value.wire_type() == value.wire_type() => {
                    entry.plain &= entry.value.is_none();
                    entry.value = Some(field);
                }
                _ => entry.plain = false,
            }
        }
        entry
    }
}

/// What a number means, and whether it fits its type.
struct Read {
    value: Value,
    label: Option<Cow<'static, str>>,
    fits: bool,
}

impl Default for Read {
    fn default() -> Self {
        Self { value: Value::Bytes, label: None, fits: true }
    }
}

impl Read {
    fn scalar(scalar: Scalar, found: &FieldValue) -> Self {
        match (scalar, found) {
            (Scalar::Bool, FieldValue::Varint(bits @ (0 | 1))) => Self::of(Value::Bool(*bits == 1)),
            (Scalar::Bool, FieldValue::Varint(bits)) => {
                Self { value: Value::Uint(*bits), label: Some("true".into()), fits: false }
            }
            (Scalar::Int32, FieldValue::Varint(bits)) => Self::int(bits.cast_signed(), i32::MIN, i32::MAX),
            (Scalar::Sint32, FieldValue::Varint(bits)) => Self::int(unzigzag(*bits), i32::MIN, i32::MAX),
            (Scalar::Sint64, FieldValue::Varint(bits)) => Self::int(unzigzag(*bits), i64::MIN, i64::MAX),
            (Scalar::Uint32, FieldValue::Varint(bits)) => {
                Self { fits: *bits <= u32::MAX.into(), ..Self::of(Value::Uint(*bits)) }
            }
            (Scalar::Uint64, FieldValue::Varint(bits)) => Self::of(Value::Uint(*bits)),
            (_, FieldValue::Varint(bits)) => Self::of(Value::Int(bits.cast_signed())),
            (Scalar::Sfixed32, FieldValue::Fixed32(bits)) => Self::of(Value::Int(bits.cast_signed().into())),
            (Scalar::Sfixed64, FieldValue::Fixed64(bits)) => Self::of(Value::Int(bits.cast_signed())),
            (Scalar::Float, FieldValue::Fixed32(bits)) => {
                Self::of(Value::Float(f64::from(f32::from_bits(*bits)).to_bits()))
            }
            (Scalar::Double, FieldValue::Fixed64(bits)) => Self::of(Value::Float(*bits)),
            (_, FieldValue::Fixed32(bits)) => Self::of(Value::Uint((*bits).into())),
            (_, FieldValue::Fixed64(bits)) => Self::of(Value::Uint(*bits)),
            _ => Self::default(),
        }
    }

    fn of(value: Value) -> Self {
        Self { value, ..Self::default() }
    }

    fn int(number: i64, min: impl Into<i64>, max: impl Into<i64>) -> Self {
        Self { fits: (min.into()..=max.into()).contains(&number), ..Self::of(Value::Int(number)) }
    }
}
