//! Swagger documents of an HTTP API, which a user gives by path: what they say of replies, and with which version what came.
//!
//! Swagger 2.0, <https://swagger.io/specification/v2/>, as far as replies need it, in YAML or JSON:
//!
//! ```text
//! swagger: "2.0"
//! info: {version: "1.41"}                     which version of the API it is
//! paths:
//!   /things/{id}:                             what is in braces is any name, also one with slashes
//!     get: {responses: {200: {schema: {$ref: "#/definitions/Thing"}}}}        or `default`
//! definitions:
//!   Thing: {type: object, required: [Id], properties: {Id: {type: string}}}   allOf, items, additionalProperties, enum
//! ```
//!
//! The rest is passed over, `x-nullable` too: `null` is nothing, and nothing has any type. Measured on four releases of moby: every
//! violation of such documents by a real daemon is `null` where they declare a list or a map, or a required key that is null.
//!
//! Validation finds wrong types and lost keys only, because no document says that there is nothing beside what it declares.
//! So what a reply has and its document has not is looked for in the documents of other versions, and the other way round.
//!
//! ```text
//! read.rs   files to documents     walk.rs   a reply along the tree of a document
//! ```

mod read;
mod walk;

use std::collections::BTreeMap;
use std::fmt;

use wire::json::Value;

pub use walk::DEPARTURES_MAX;

/// The documents that a user has given, oldest version first.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Documents {
    all: Vec<Document>,
}

/// One document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    numbers: Vec<u64>,
    version: String,
    file: String,
    digest: String,
    operations: Vec<Operation>,
    schemas: Vec<Schema>,
}

/// What can be asked, and what comes of it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Operation {
    /// In capitals.
    method: &'static str,
    /// As it was written.
    template: String,
    path: Vec<Segment>,
    /// By status, or `default`; nothing where an answer has no body.
    responses: BTreeMap<String, Option<Parts>>,
}

/// A part of a path.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Segment {
    Word(String),
    Name,
}

/// The schemas that a value has to be of, all of them: one, and what its `$ref` and `allOf` lead to.
type Parts = Vec<u32>;

/// What one place of a document says of a value.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Schema {
    /// Empty where any type will do.
    types: Vec<Type>,
    required: Vec<String>,
    properties: BTreeMap<String, Parts>,
    /// What `additionalProperties` says; nothing where it is not there or false.
    others: Option<Parts>,
    items: Option<Parts>,
    /// The texts of an `enum`.
    words: Vec<String>,
}

/// A type of Swagger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Type {
    Object,
    Array,
    String,
    Integer,
    Number,
    Boolean,
}

/// An answer, by what it answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Asked<'a> {
    /// In capitals.
    pub method: &'a str,
    /// Without a prefix and a query.
    pub path: &'a str,
    /// The status of the answer.
    pub status: u16,
}

/// What a document says of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Says<'a> {
    /// It has no such operation.
    NoOperation,
    /// It has no such status, or no schema for it.
    Nothing,
    /// A text or bytes, as they are.
    Text,
    /// JSON of these schemas.
    Json(Held<'a>),
}

/// Where in a document an answer is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Held<'a> {
    document: &'a Document,
    parts: &'a [u32],
}

/// Where an answer is not what its document says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Departure {
    /// From the root of the answer: `Mounts[].Source`, with `*` for any key; empty for the answer itself.
    pub path: String,
    /// What is the matter.
    pub what: What,
}

/// What is the matter with a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// It has another type than the declared one.
    OtherType {
        /// The declared ones.
        declared: String,
        /// That of the value.
        found: &'static str,
    },
    /// It is a text that is not among those of the `enum`.
    OtherWord {
        /// Those of the `enum`.
        declared: String,
        /// The value, cut.
        found: String,
    },
    /// It is required and not there.
    Lost,
    /// It is there, and only documents of later versions have it; this is the first one.
    Later(String),
    /// It is there, and only documents of earlier versions have it; this is the last one.
    Earlier(String),
    /// It is there, and no document has it.
    Undocumented,
    /// It is not there, and the document of that later version, which the peer also speaks, has it no more.
    Gone(String),
    /// There is more, which is not told: this many.
    More(usize),
}

impl Documents {
    /// The document of a version.
    #[must_use]
    pub fn of(&self, version: &str) -> Option<&Document> {
        let numbers = numbers(version)?;
        self.all.iter().find(|document| document.numbers == numbers)
    }

    /// All of them, oldest version first.
    pub fn iter(&self) -> impl Iterator<Item = &Document> {
        self.all.iter()
    }

    /// The first later document that has an operation which one of a version lacks.
    #[must_use]
    pub fn operation_came_with(&self, version: &str, asked: Asked<'_>) -> Option<&str> {
        let numbers = numbers(version)?;
        let mut later = self.all.iter().filter(|document| document.numbers > numbers);
        later.find(|document| document.operation(asked).is_some()).map(|document| document.version.as_str())
    }

    /// Where values, which are the body of one answer, are not what the document of a version says. `speaks` is the highest version
    /// of who answers. Takes time in proportion to the answer, and finds no more than [`DEPARTURES_MAX`].
    #[must_use]
    pub fn departures(
        &self,
        version: &str,
        asked: Asked<'_>,
        speaks: &str,
        values: &[Value<'_>],
    ) -> Vec<Departure> {
        let Some(document) = self.of(version) else { return Vec::new() };
        let Says::Json(held) = document.says(asked) else { return Vec::new() };
        let speaks = numbers(speaks).unwrap_or_default();
        walk::departures(held, values, &|steps, what| self.explained(document, asked, &speaks, steps, what))
    }

    /// What other documents know of a key; nothing where it is as good as it could be.
    fn explained(
        &self,
        document: &Document,
        asked: Asked<'_>,
        speaks: &[u64],
        steps: &[walk::Step<'_>],
        what: walk::Key,
    ) -> Option<What> {
        let has = |other: &&Document| other.has(asked, steps);
        let version = |other: &Document| other.version.clone();
        let later = || self.all.iter().filter(|other| other.numbers > document.numbers);
        match what {
            walk::Key::Unknown => {
                let first = later().find(has).map(|other| What::Later(version(other)));
                let earlier = || self.all.iter().rev().filter(|other| other.numbers < document.numbers);
                let last = || earlier().find(has).map(|other| What::Earlier(version(other)));
                Some(first.or_else(last).unwrap_or(What::Undocumented))
            }
            walk::Key::Absent => {
                let mut spoken = later().filter(|other| other.numbers.as_slice() <= speaks);
                let without = spoken.find(|other| other.operation(asked).is_some() && !has(other));
                without.map(|other| What::Gone(version(other)))
            }
        }
    }
}

impl Document {
    /// The version of the API, as the document writes it.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.version
    }

    /// The file, as it was given.
    #[must_use]
    pub fn file(&self) -> &str {
        &self.file
    }

    /// What is in the file: SHA-256, in hexadecimal.
    #[must_use]
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// What is asked, in its words: `GET /things/{id}`.
    #[must_use]
    pub fn operation_of(&self, asked: Asked<'_>) -> Option<String> {
        self.operation(asked).map(|operation| format!("{} {}", operation.method, operation.template))
    }

    /// What it says of an answer.
    #[must_use]
    pub fn says(&self, asked: Asked<'_>) -> Says<'_> {
        let Some(operation) = self.operation(asked) else { return Says::NoOperation };
        let responses = &operation.responses;
        let response = responses.get(&asked.status.to_string()).or_else(|| responses.get("default"));
        let Some(parts) = response.and_then(Option::as_deref) else { return Says::Nothing };
        let is_text = self.parts(parts).any(|schema| schema.types == [Type::String]);
        if is_text { Says::Text } else { Says::Json(Held { document: self, parts }) }
    }

    /// The operation whose path has the most words of the one that is asked for.
    fn operation(&self, asked: Asked<'_>) -> Option<&Operation> {
        let path: Vec<&str> = asked.path.split('/').skip(1).collect();
        let of_method = self.operations.iter().filter(|operation| operation.method == asked.method);
        let fitting = of_method.filter_map(|operation| Some((fit(&operation.path, &path)?, operation)));
        fitting.max_by_key(|(words, _)| *words).map(|(_, operation)| operation)
    }

    fn parts<'a, 'p>(&'a self, parts: &'p [u32]) -> impl Iterator<Item = &'a Schema> + use<'a, 'p> {
        parts.iter().filter_map(|part| self.schemas.get(usize::try_from(*part).ok()?))
    }

    /// Whether there is something at a place of an answer.
    fn has(&self, asked: Asked<'_>, steps: &[walk::Step<'_>]) -> bool {
        let Says::Json(held) = self.says(asked) else { return false };
        let mut parts = held.parts.to_vec();
        for step in steps {
            match walk::below(self, &parts, step) {
                Some(below) => parts = below,
                None => return false,
            }
        }
        true
    }
}

/// How many words of a path are as written; nothing where it is another path. Of names only one may have slashes.
fn fit(template: &[Segment], path: &[&str]) -> Option<usize> {
    let more = path.len().checked_sub(template.len())?;
    let name = template.iter().position(|segment| *segment == Segment::Name);
    if more > 0 && name.is_none() {
        return None;
    }
    let mut at = 0;
    let mut words = 0;
    for (nth, segment) in template.iter().enumerate() {
        match segment {
            Segment::Word(word) if path.get(at) == Some(&word.as_str()) => words += 1,
            Segment::Word(_) => return None,
            Segment::Name if Some(nth) == name => at += more,
            Segment::Name => {}
        }
        at += 1;
    }
    Some(words)
}

/// `1.41` as numbers.
fn numbers(version: &str) -> Option<Vec<u64>> {
    let number = |text: &str| {
        let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        is_number.then(|| text.parse().unwrap_or(u64::MAX))
    };
    version.split('.').map(number).collect()
}

impl Type {
    fn word(self) -> &'static str {
        match self {
            Self::Object => "object",
            Self::Array => "array",
            Self::String => "string",
            Self::Integer => "integer",
            Self::Number => "number",
            Self::Boolean => "boolean",
        }
    }

    fn of_word(word: &str) -> Option<Self> {
        let all = [Self::Object, Self::Array, Self::String, Self::Integer, Self::Number, Self::Boolean];
        all.into_iter().find(|kind| kind.word() == word)
    }
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OtherType { declared, found } => write!(f, "is of type {found}, not {declared}"),
            Self::OtherWord { declared, found } => write!(f, "is `{found}`, and not one of {declared}"),
            Self::Lost => f.write_str("is required and not there"),
            Self::Later(version) => write!(f, "came with {version}"),
            Self::Earlier(version) => write!(f, "went after {version}"),
            Self::Undocumented => f.write_str("is in no document"),
            Self::Gone(version) => write!(f, "is not there any more, as in {version}"),
            Self::More(count) => write!(f, "and {count} more"),
        }
    }
}
