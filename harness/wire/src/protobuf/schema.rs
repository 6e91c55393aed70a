//! Messages, enums and services as data, read from `.proto` text.
//!
//! ```text
//! syntax = "proto3";   package a.b;   import "other.proto";
//! message M { <field>;  oneof x { <field>; … }  reserved 2, 4 to 6, 9 to max;  reserved "old";  message … enum … }
//! enum E { A = 0;  B = -1; }
//! service S { rpc Method (stream? M) returns (stream? M); }
//!
//! field     [repeated | optional] <type> <name> = <number>   or   map<<scalar>, <type>> <name> = <number>
//! ```
//!
//! That is all: options, extensions, groups, defaults and `required` are errors with their line, as is a name that
//! nothing has. Names are looked up from the innermost message outwards, as protoc does; an import has to be one of
//! the other texts.
//!
//! [`Schema::parse_foreign`] is for text of others: it passes over options and what extends them, misses no import whose
//! names are not used, and knows the well-known types. [`Schema::of_descriptors`] reads what a compiler made of text.
//!
//! Specified by `protobuf.dev`, "Protocol Buffers Language Specification (Proto3)", of which this is a part.

mod descriptor;
mod parse;
mod places;
mod resolve;
mod token;
mod well_known;

use std::fmt;

use super::WireType;

pub use descriptor::DescriptorError;
pub use places::{Place, Places};

/// One `.proto` file.
#[derive(Debug, Clone, Copy)]
pub struct Source<'a> {
    /// What it is called in imports and errors.
    pub name: &'a str,
    /// What it says.
    pub text: &'a str,
}

/// Why a text is no schema.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SchemaError {
    /// The [`Source::name`].
    pub source: String,
    /// The line, from 1 on.
    pub line: usize,
    /// What is wrong there, as a lowercase fragment.
    pub what: String,
}

impl fmt::Display for SchemaError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.source, self.line, self.what)
    }
}

impl std::error::Error for SchemaError {}

/// Whose text it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rules {
    /// Ours: what is not understood is a mistake.
    Own,
    /// That of others: what says nothing of the bytes is passed over.
    Foreign,
}

/// The messages, enums and services of some texts. Names are full ones, e.g. `grpc.AgentService`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Schema {
    /// By name.
    messages: Vec<Message>,
    enums: Vec<Enum>,
    services: Vec<Service>,
}

impl Schema {
    /// Reads the texts as one.
    ///
    /// # Errors
    /// The first thing that is not understood, is there twice, or is named and not there.
    pub fn parse(sources: &[Source<'_>]) -> Result<Self, SchemaError> {
        resolve::schema(sources, Rules::Own, None)
    }

    /// Reads texts of others as one, and says where everything is.
    ///
    /// # Errors
    /// The first thing that is not understood, is there twice, or is named and not there.
    pub fn parse_foreign(sources: &[Source<'_>]) -> Result<(Self, Places), SchemaError> {
        let mut places = Places::default();
        let sources = well_known::with_imported(sources);
        let schema = resolve::schema(&sources, Rules::Foreign, Some(&mut places))?;
        Ok((schema, places))
    }

    /// Reads a serialized `google.protobuf.FileDescriptorSet`, as `protoc --descriptor_set_out` writes it.
    ///
    /// # Errors
    /// The first thing that is not understood, is there twice, or is named and not there.
    pub fn of_descriptors(bytes: &[u8]) -> Result<Self, DescriptorError> {
        descriptor::schema(bytes)
    }

    /// All messages, by name.
    #[must_use]
    pub fn messages(&self) -> &[Message] {
        &self.messages
    }

    /// All enums, by name.
    #[must_use]
    pub fn enums(&self) -> &[Enum] {
        &self.enums
    }

    /// All services, by name.
    #[must_use]
    pub fn services(&self) -> &[Service] {
        &self.services
    }

    /// The message of that full name.
    #[must_use]
    pub fn message(&self, name: &str) -> Option<&Message> {
        by_name(&self.messages, name, |message| &message.name)
    }

    /// The enum of that full name.
    #[must_use]
    pub fn enum_of_name(&self, name: &str) -> Option<&Enum> {
        by_name(&self.enums, name, |found| &found.name)
    }

    /// The service of that full name.
    #[must_use]
    pub fn service(&self, name: &str) -> Option<&Service> {
        by_name(&self.services, name, |service| &service.name)
    }

    /// The method of a service, e.g. `grpc.Health` and `Check`.
    #[must_use]
    pub fn method(&self, service: &str, method: &str) -> Option<&Method> {
        self.service(service)?.methods.iter().find(|found| found.name == method)
    }

    /// The message that a field of this schema holds.
    #[must_use]
    pub fn message_of(&self, id: MessageId) -> Option<&Message> {
        self.messages.get(id.0)
    }

    /// The enum that a field of this schema holds.
    #[must_use]
    pub fn enum_of(&self, id: EnumId) -> Option<&Enum> {
        self.enums.get(id.0)
    }

    /// A type as it is written, with full names: `uint32`, `grpc.Storage`, `map<string, uint64>`.
    #[must_use]
    pub fn type_name(&self, kind: Type) -> String {
        match kind {
            Type::One(element) => self.element_name(element).to_owned(),
            Type::Map(key, value) => format!("map<{}, {}>", key.name(), self.element_name(value)),
        }
    }

    fn element_name(&self, element: Element) -> &str {
        match element {
            Element::Scalar(scalar) => scalar.name(),
            Element::Message(id) => self.message_of(id).map_or("?", |message| &message.name),
            Element::Enum(id) => self.enum_of(id).map_or("?", |found| &found.name),
        }
    }
}

fn by_name<'a, T>(sorted: &'a [T], name: &str, name_of: impl Fn(&T) -> &str) -> Option<&'a T> {
    let at = sorted.binary_search_by(|found| name_of(found).cmp(name)).ok()?;
    sorted.get(at)
}

/// A message of a schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MessageId(usize);

/// An enum of a schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EnumId(usize);

/// A message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Its full name.
    pub name: String,
    /// Its fields, by number.
    pub fields: Vec<Field>,
    /// Its oneofs, in the order of the text.
    pub oneofs: Vec<String>,
    /// Numbers that no field may have, from and to.
    pub reserved: Vec<(u32, u32)>,
    /// Names that no field may have.
    pub reserved_names: Vec<String>,
}

impl Message {
    /// The field of that number.
    #[must_use]
    pub fn field(&self, number: u32) -> Option<&Field> {
        self.fields.get(self.index(number)?)
    }

    /// The field of that name.
    #[must_use]
    pub fn field_of_name(&self, name: &str) -> Option<&Field> {
        self.fields.iter().find(|field| field.name == name)
    }

    /// Which of the fields has that number.
    pub(super) fn index(&self, number: u32) -> Option<usize> {
        self.fields.binary_search_by_key(&number, |field| field.number).ok()
    }
}

/// A field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    /// Its number.
    pub number: u32,
    /// Its name.
    pub name: String,
    /// How often it may be there.
    pub label: Label,
    /// What it holds.
    pub kind: Type,
    /// Which of the oneofs of its message it belongs to.
    pub oneof: Option<usize>,
}

/// How often a field may be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Label {
    /// Once; absent is the default.
    Singular,
    /// Once; absent is not the default.
    Optional,
    /// Any number of times. A map is so, too.
    Repeated,
}

/// What a field holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Type {
    /// A value, or a list of such.
    One(Element),
    /// Entries with a key and a value.
    Map(Scalar, Element),
}

/// What a value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Element {
    /// A number, a text or bytes.
    Scalar(Scalar),
    /// A message.
    Message(MessageId),
    /// A number with names.
    Enum(EnumId),
}

impl Element {
    /// The form that it has on the wire.
    #[must_use]
    pub const fn wire_type(self) -> WireType {
        match self {
            Self::Scalar(scalar) => scalar.wire_type(),
            Self::Message(_) => WireType::LEN,
            Self::Enum(_) => WireType::VARINT,
        }
    }
}

/// Types that are not made of others.
#[expect(missing_docs, reason = "the words of the language")]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scalar {
    Double,
    Float,
    Int32,
    Int64,
    Uint32,
    Uint64,
    Sint32,
    Sint64,
    Fixed32,
    Fixed64,
    Sfixed32,
    Sfixed64,
    Bool,
    String,
    Bytes,
}

impl Scalar {
    /// All of them.
    pub const ALL: [Self; 15] = [
        Self::Double,
        Self::Float,
        Self::Int32,
        Self::Int64,
        Self::Uint32,
        Self::Uint64,
        Self::Sint32,
        Self::Sint64,
        Self::Fixed32,
        Self::Fixed64,
        Self::Sfixed32,
        Self::Sfixed64,
        Self::Bool,
        Self::String,
        Self::Bytes,
    ];

    /// The word for it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Double => "double",
            Self::Float => "float",
            Self::Int32 => "int32",
            Self::Int64 => "int64",
            Self::Uint32 => "uint32",
            Self::Uint64 => "uint64",
            Self::Sint32 => "sint32",
            Self::Sint64 => "sint64",
            Self::Fixed32 => "fixed32",
            Self::Fixed64 => "fixed64",
            Self::Sfixed32 => "sfixed32",
            Self::Sfixed64 => "sfixed64",
            Self::Bool => "bool",
            Self::String => "string",
            Self::Bytes => "bytes",
        }
    }

    /// The scalar of that word.
    #[must_use]
    pub fn of_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scalar| scalar.name() == name)
    }

    /// The form that it has on the wire.
    #[must_use]
    pub const fn wire_type(self) -> WireType {
        match self {
            Self::Double | Self::Fixed64 | Self::Sfixed64 => WireType::FIXED64,
            Self::Float | Self::Fixed32 | Self::Sfixed32 => WireType::FIXED32,
            Self::String | Self::Bytes => WireType::LEN,
            _ => WireType::VARINT,
        }
    }

    /// Whether a map may have such keys.
    const fn is_key(self) -> bool {
        !matches!(self, Self::Double | Self::Float | Self::Bytes)
    }
}

/// A number with names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Enum {
    /// Its full name.
    pub name: String,
    /// Its values in the order of the text: number and label.
    pub values: Vec<(i32, String)>,
}

impl Enum {
    /// The label of a number.
    #[must_use]
    pub fn label(&self, number: i64) -> Option<&str> {
        self.values.iter().find(|(found, _)| i64::from(*found) == number).map(|(_, label)| label.as_str())
    }
}

/// A service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    /// Its full name.
    pub name: String,
    /// Its methods in the order of the text.
    pub methods: Vec<Method>,
}

/// A method of a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Method {
    /// Its name.
    pub name: String,
    /// Full name of the message that it takes.
    pub request: String,
    /// Whether it takes any number of them.
    pub request_stream: bool,
    /// Full name of the message that it gives.
    pub response: String,
    /// Whether it gives any number of them.
    pub response_stream: bool,
}
