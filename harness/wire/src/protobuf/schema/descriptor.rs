//! Definitions as a compiler wrote them: a serialized `google.protobuf.FileDescriptorSet`.
//!
//! ```text
//! FileDescriptorSet  file=1
//! File      name=1 package=2 dependency=3 message=4 enum=5 service=6 extension=7 options=8 {features=50}
//! Message   name=1 field=2 message=3 enum=4 extension=6 options=7 {map_entry=7 features=12} oneof=8 {name=1}
//!           reserved=9 {start=1 end=2} reserved_name=10
//! Field     name=1 number=3 label=4 type=5 type_name=6 options=8 {features=21} oneof_index=9 proto3_optional=17
//! Enum      name=1 value=2 {name=1 number=2} options=3 {features=7}
//! Service   name=1 method=2 {name=1 input=2 output=3 client_streaming=5 server_streaming=6}
//! ```
//!
//! A map is a list of entries there, and an optional field has a oneof of its own; here both are what the text said.
//! Names of types are full ones. What is left out says nothing of the bytes. Files of proto2 are read as those of proto3: a list
//! counts as packed. What would be read as something else is refused: `required`, groups, extensions, features of editions.
//!
//! Specified by `protocolbuffers/protobuf@v29.0`, `src/google/protobuf/descriptor.proto`.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;

use super::parse::{Enum, Field, File, Message, Method, NESTING_MAX, RESERVED_MAX, Service, full_name};
use super::resolve::of_files;
use super::token::Wrong;
use super::{Label, Rules, Scalar, Schema};
use crate::protobuf::{FieldValue, NUMBER_MAX, Walk};

/// Why bytes are no set of descriptors.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DescriptorError {
    /// Offset of the definition that is wrong.
    pub at: usize,
    /// What is wrong there, as a lowercase fragment.
    pub what: String,
}

impl fmt::Display for DescriptorError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (offset {})", self.what, self.at)
    }
}

impl std::error::Error for DescriptorError {}

/// Reads the bytes. Offsets stand where texts have lines.
pub(super) fn schema(bytes: &[u8]) -> Result<Schema, DescriptorError> {
    let as_error = |wrong: Wrong| DescriptorError { at: wrong.line, what: wrong.what };
    let mut files = Vec::new();
    for part in Parts::of(bytes, 0..bytes.len()).map_err(as_error)?.all(1) {
        files.push(file(bytes, part).map_err(as_error)?);
    }
    if files.is_empty() {
        return Err(DescriptorError { at: 0, what: "there is no file in it".to_owned() });
    }
    of_files(&files, Rules::Foreign, None)
        .map_err(|error| DescriptorError { at: error.line, what: error.what })
}

/// The fields of one message.
struct Parts<'a> {
    bytes: &'a [u8],
    at: usize,
    fields: Vec<(u32, Part)>,
}

#[derive(Clone)]
enum Part {
    Number(u64),
    Len(Range<usize>),
}

impl<'a> Parts<'a> {
    fn of(bytes: &'a [u8], part: Range<usize>) -> Result<Self, Wrong> {
        let at = part.start;
        let mut fields = Vec::new();
        for found in Walk::within(bytes, part) {
            let found = found.map_err(|error| {
                // The offset is told by ours.
                let what = error.to_string();
                let what = what.split(" (offset").next().unwrap_or_default();
                Wrong { line: error.at, what: format!("no descriptor: {what}") }
            })?;
            match found.value {
                FieldValue::Varint(value) => fields.push((found.number, Part::Number(value))),
                FieldValue::Len(part) => fields.push((found.number, Part::Len(part))),
                _ => {}
            }
        }
        Ok(Self { bytes, at, fields })
    }

    /// Where the values of a field lie, in order.
    fn all(&self, number: u32) -> impl Iterator<Item = Range<usize>> + '_ {
        self.fields.iter().filter_map(move |(found, part)| match part {
            Part::Len(part) if *found == number => Some(part.clone()),
            _ => None,
        })
    }

    /// The last value of a field that is a text; empty if there is none.
    fn text(&self, number: u32) -> Result<&'a str, Wrong> {
        let part = self.all(number).last().unwrap_or(0..0);
        text(self.bytes, part)
    }

    fn texts(&self, number: u32) -> Result<Vec<&'a str>, Wrong> {
        self.all(number).map(|part| text(self.bytes, part)).collect()
    }

    /// A name, which is never empty.
    fn name(&self) -> Result<&'a str, Wrong> {
        match self.text(1)? {
            "" => Err(self.wrong("a name is missing")),
            name if name.contains('.') => Err(self.wrong("a name with a dot in it")),
            name => Ok(name),
        }
    }

    /// The last value of a field that is a number.
    fn number(&self, number: u32) -> Option<u64> {
        let found = self.fields.iter().rev().filter(|(found, _)| *found == number);
        found.filter_map(|(_, part)| if let Part::Number(value) = part { Some(*value) } else { None }).next()
    }

    fn is_set(&self, number: u32) -> bool {
        self.number(number).is_some_and(|value| value != 0)
    }

    fn wrong(&self, what: &str) -> Wrong {
        Wrong { line: self.at, what: what.to_owned() }
    }

    /// Nothing of that number is there: it would be read as if it were not.
    fn has_no(&self, number: u32, what: &str) -> Result<(), Wrong> {
        match self.all(number).next() {
            None => Ok(()),
            Some(_) => Err(self.wrong(&format!("{what} are not understood"))),
        }
    }

    /// The options that stand in one field have no features in another.
    fn has_no_features(&self, options: u32, features: u32) -> Result<(), Wrong> {
        self.all(options)
            .try_for_each(|options| Parts::of(self.bytes, options)?.has_no(features, "features of editions"))
    }
}

fn text(bytes: &[u8], part: Range<usize>) -> Result<&str, Wrong> {
    let line = part.start;
    std::str::from_utf8(bytes.get(part).unwrap_or_default())
        .map_err(|_| Wrong { line, what: "a name is not UTF-8".to_owned() })
}

fn file(bytes: &[u8], part: Range<usize>) -> Result<(&str, File<'_>), Wrong> {
    let parts = Parts::of(bytes, part)?;
    let (name, package) = (parts.text(1)?, parts.text(2)?);
    parts.has_no(7, "extensions")?;
    parts.has_no_features(8, 50)?;
    let mut file = File {
        imports: parts.texts(3)?.into_iter().map(|import| (parts.at, import)).collect(),
        ..File::default()
    };
    for part in parts.all(4) {
        message(bytes, part, package, 0, &mut file)?;
    }
    for part in parts.all(5) {
        let found = enumeration(bytes, part, package)?;
        file.enums.push(found);
    }
    for part in parts.all(6) {
        file.services.push(service(bytes, part, package)?);
    }
    Ok((name, file))
}

/// Key and value of the entries of a map.
type Entry<'a> = (Scalar, &'a str);

/// Enters a message and those within. What the compiler made for a map is given back.
fn message<'a>(
    bytes: &'a [u8],
    part: Range<usize>,
    scope: &str,
    depth: usize,
    file: &mut File<'a>,
) -> Result<Option<(String, Entry<'a>)>, Wrong> {
    let parts = Parts::of(bytes, part)?;
    if depth >= NESTING_MAX {
        return Err(parts.wrong("messages are nested too deep"));
    }
    let name = full_name(parts.at, scope, parts.name()?)?;
    parts.has_no(6, "extensions")?;
    parts.has_no_features(7, 12)?;
    let mut fields = Vec::new();
    for part in parts.all(2) {
        fields.push(field(&Parts::of(bytes, part)?)?);
    }
    if let Some(options) = parts.all(7).last()
        && Parts::of(bytes, options)?.is_set(7)
    {
        return entry(&fields)
            .map(|entry| Some((name, entry)))
            .ok_or_else(|| parts.wrong("a map without key or value"));
    }
    let mut entries = BTreeMap::new();
    for part in parts.all(3) {
        entries.extend(message(bytes, part, &name, depth.saturating_add(1), file)?);
    }
    for part in parts.all(4) {
        let found = enumeration(bytes, part, &name)?;
        file.enums.push(found);
    }
    for field in &mut fields {
        if let Some((key, kind)) = field.kind.strip_prefix('.').and_then(|name| entries.get(name)) {
            (field.key, field.kind) = (Some(*key), kind);
        }
    }
    let mut oneofs = Vec::new();
    for part in parts.all(8) {
        oneofs.push(Parts::of(bytes, part)?.name()?);
    }
    // A oneof that an optional field alone has comes last, and nothing points at it any more.
    let used = fields.iter().filter_map(|field| field.oneof).max().map_or(0, |last| last.saturating_add(1));
    if used > oneofs.len() {
        return Err(parts.wrong("a oneof that is not there"));
    }
    oneofs.truncate(used);
    let mut reserved = Vec::new();
    for part in parts.all(9) {
        let range = Parts::of(bytes, part)?;
        let bound = |number| range.number(number).and_then(|bound| u32::try_from(bound).ok()).unwrap_or(0);
        reserved.push((bound(1), bound(2).saturating_sub(1).min(NUMBER_MAX)));
    }
    let reserved_names = parts.texts(10)?;
    if reserved.len().saturating_add(reserved_names.len()) > RESERVED_MAX {
        return Err(parts.wrong("too much is reserved"));
    }
    file.messages.push(Message { line: parts.at, name, fields, oneofs, reserved, reserved_names });
    Ok(None)
}

/// The type of the entries of a map.
fn entry<'a>(fields: &[Field<'a>]) -> Option<Entry<'a>> {
    let kind = |number| fields.iter().find(|field| field.number == number).map(|field| field.kind);
    Some((Scalar::of_name(kind(1)?)?, kind(2)?))
}

fn field<'a>(parts: &Parts<'a>) -> Result<Field<'a>, Wrong> {
    parts.has_no_features(8, 21)?;
    let number = parts.number(3).and_then(|number| u32::try_from(number).ok());
    let number = number.filter(|number| (1..=NUMBER_MAX).contains(number));
    let number = number.ok_or_else(|| parts.wrong("a number that no field can have"))?;
    let kind = match parts.number(5) {
        Some(11 | 14) => parts.text(6)?,
        Some(10) => return Err(parts.wrong("groups are not understood")),
        Some(kind) => scalar(kind).map(Scalar::name).ok_or_else(|| parts.wrong("a type that is none"))?,
        None => return Err(parts.wrong("a type is missing")),
    };
    let optional = parts.is_set(17);
    let label = match parts.number(4) {
        Some(2) => return Err(parts.wrong("`required` is not understood")),
        Some(3) => Label::Repeated,
        _ if optional => Label::Optional,
        _ => Label::Singular,
    };
    let oneof = parts.number(9).filter(|_| !optional).map(|at| usize::try_from(at).unwrap_or(usize::MAX));
    Ok(Field { line: parts.at, number, name: parts.name()?, label, key: None, kind, oneof })
}

const fn scalar(kind: u64) -> Option<Scalar> {
    Some(match kind {
        1 => Scalar::Double,
        2 => Scalar::Float,
        3 => Scalar::Int64,
        4 => Scalar::Uint64,
        5 => Scalar::Int32,
        6 => Scalar::Fixed64,
        7 => Scalar::Fixed32,
        8 => Scalar::Bool,
        9 => Scalar::String,
        12 => Scalar::Bytes,
        13 => Scalar::Uint32,
        15 => Scalar::Sfixed32,
        16 => Scalar::Sfixed64,
        17 => Scalar::Sint32,
        18 => Scalar::Sint64,
        _ => return None,
    })
}

fn enumeration<'a>(bytes: &'a [u8], part: Range<usize>, scope: &str) -> Result<Enum<'a>, Wrong> {
    let parts = Parts::of(bytes, part)?;
    parts.has_no_features(3, 7)?;
    let mut values = Vec::new();
    for part in parts.all(2) {
        let value = Parts::of(bytes, part)?;
        // A negative number has the bits of 64.
        let number = i32::try_from(value.number(2).unwrap_or(0).cast_signed());
        let number = number.map_err(|_| value.wrong("a number that no value of an enum can have"))?;
        values.push((value.at, number, value.name()?));
    }
    Ok(Enum { line: parts.at, name: full_name(parts.at, scope, parts.name()?)?, values })
}

fn service<'a>(bytes: &'a [u8], part: Range<usize>, scope: &str) -> Result<Service<'a>, Wrong> {
    let parts = Parts::of(bytes, part)?;
    let mut methods = Vec::new();
    for part in parts.all(2) {
        let method = Parts::of(bytes, part)?;
        let (request, response) = (method.text(2)?, method.text(3)?);
        methods.push(Method {
            line: method.at,
            name: method.name()?,
            request: (method.is_set(5), request),
            response: (method.is_set(6), response),
        });
    }
    Ok(Service { line: parts.at, name: full_name(parts.at, scope, parts.name()?)?, methods })
}
