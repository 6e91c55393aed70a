//! A lossless reading of one frame: named fields with byte spans.
//!
//! Every byte of the frame belongs to exactly one field, in order; what is not understood is a field
//! named `unknown`. A dissection never fails whole: what is wrong is a [`Problem`] beside the fields.

use std::borrow::Cow;
use std::ops::Range;

use crate::policy::Policies;

/// The mask of what carries no value: punctuation, white space, names and lengths of what is in a frame. Their
/// order and spelling say nothing. It is also the name of such fields where they have no other.
pub const SYNTAX: &str = "syntax";

/// The name of bytes that nobody here understands, where they have no number.
pub const UNKNOWN: &str = "unknown";

/// All fields of one frame, in wire order.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Dissection {
    /// What the message is called, with its number where it has one.
    pub title: String,
    /// The fields; their spans follow each other without gap or overlap.
    pub fields: Vec<Field>,
    /// How they are compared with those of another frame.
    pub policies: Policies,
    /// What is wrong with the frame.
    pub problems: Vec<Problem>,
}

/// One field of a frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    /// Dotted name, e.g. `device.major`; elements of a list are numbered: `names.0`.
    pub name: Cow<'static, str>,
    /// Where it lies in the frame.
    pub span: Range<usize>,
    /// What it holds.
    pub value: Value,
    /// The symbolic name of the value, e.g. `RUNNING`.
    pub label: Option<Cow<'static, str>>,
    /// The named mask under which comparison passes over this field, e.g. `pointer`: it is volatile.
    pub mask: Option<&'static str>,
}

/// What a field holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// An unsigned integer.
    Uint(u64),
    /// A signed integer.
    Int(i64),
    /// An address or bit set, shown in hexadecimal.
    Hex(u64),
    /// Text without its terminator.
    Text(String),
    /// A floating point number, by the bits of an `f64`.
    Float(u64),
    /// True or false.
    Bool(bool),
    /// No value, where that is written.
    Null,
    /// A list or an object that has nothing in it.
    Empty,
    /// Bytes that are read as such, or padding.
    Bytes,
    /// Bytes that nobody here understands: they could not be read, or have a number that no schema has. They are not
    /// compared, which is said.
    Unread,
}

/// Something wrong with a frame that could be framed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Where.
    pub span: Range<usize>,
    /// What, as a lowercase fragment.
    pub what: String,
}

impl Value {
    /// The text in which a message of text would say it again: of a text itself, of an integer its digits.
    #[must_use]
    pub fn quoted(&self) -> Option<Cow<'_, str>> {
        match self {
            Self::Text(text) => Some(Cow::Borrowed(text)),
            Self::Uint(number) => Some(Cow::Owned(number.to_string())),
            Self::Int(number) => Some(Cow::Owned(number.to_string())),
            _ => None,
        }
    }
}

impl Dissection {
    /// The field of that name.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&Field> {
        self.fields.iter().find(|f| f.name == name)
    }

    /// Whether the fields cover `0..len` without gap or overlap.
    #[must_use]
    pub fn covers(&self, len: usize) -> bool {
        let end = self
            .fields
            .iter()
            .try_fold(0, |at, f| (f.span.start == at && f.span.end >= at).then_some(f.span.end));
        end == Some(len)
    }
}
