//! Files to documents. Text of others is read leniently: what replies do not need is passed over, whatever it is.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};

use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, de};
use serde_saphyr::{Budget, DuplicateKeyPolicy, Spanned};
use sha2::{Digest as _, Sha256};

use super::{Document, Documents, Operation, Parts, Schema, Segment, Type, numbers};
use crate::error::{ConfigError, Problem, SourceText};
use crate::files;

/// The most bytes of all documents together. moby's 31 have 9 MiB.
const INPUT_LEN_MAX: u64 = 64 << 20;
/// How deep a document nests.
const DEPTH_MAX: usize = 128;
/// The most values of a document; those of an alias count again each time that it is used.
const NODES_MAX: usize = 1 << 20;
/// The most schemas that `$ref` and `allOf` make of one.
const PARTS_MAX: usize = 64;

const DEFINITIONS: &str = "#/definitions/";
const RESPONSES: &str = "#/responses/";

impl Documents {
    /// Reads files, and what there is in folders: of those only what says that it is Swagger.
    ///
    /// # Errors
    /// What cannot be read or is not understood, with its place; two documents of one version.
    pub fn load(paths: &[PathBuf]) -> Result<Self, ConfigError> {
        let mut texts = Vec::new();
        let mut left = INPUT_LEN_MAX;
        let too_much = format!("documents of more than {} MiB", INPUT_LEN_MAX >> 20);
        for path in files::find(paths, &is_text)? {
            let bytes = files::read(&path, left, &too_much)?;
            left = left.saturating_sub(bytes.len() as u64);
            let name = path.display().to_string();
            let text = String::from_utf8(bytes)
                .map_err(|_| Problem::general(format!("`{name}` is not UTF-8 text")))?;
            if paths.contains(&path) || says_swagger(&text) {
                texts.push((name, text));
            }
        }
        if texts.is_empty() && !paths.is_empty() {
            let paths: Vec<_> = paths.iter().map(|path| format!("`{}`", path.display())).collect();
            let help =
                "files of folders are read that end in `.yaml`, `.yml` or `.json` and have a line `swagger:`"
                    .to_owned();
            let problem = Problem::general(format!("there is no Swagger document in {}", paths.join(", ")));
            return Err(problem.help(help).into());
        }
        Self::parse(&texts)
    }

    /// Reads texts, each with the name that errors call it.
    ///
    /// # Errors
    /// The same.
    pub fn parse(texts: &[(String, String)]) -> Result<Self, ConfigError> {
        let mut all: Vec<Document> = Vec::new();
        for (name, text) in texts {
            let document = Document::parse(name, text)?;
            if let Some(twin) = all.iter().find(|one| one.numbers == document.numbers) {
                let text = format!("`{}` and `{name}` are both of version {}", twin.file, document.version);
                let help = "give one of them; a document is edited after its release, and that of the tag is what the release said";
                return Err(Problem::general(text).help(help.to_owned()).into());
            }
            all.push(document);
        }
        all.sort_by(|one, other| one.numbers.cmp(&other.numbers));
        Ok(Self { all })
    }
}

fn is_text(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "yaml" || extension == "yml" || extension == "json")
}

/// Whether there is a line that says so, in YAML or JSON.
fn says_swagger(text: &str) -> bool {
    text.lines().any(|line| {
        let line = line.trim_start_matches(['{', ' ', '\t', '"']);
        line.strip_prefix("swagger")
            .is_some_and(|rest| rest.trim_start_matches('"').trim_start().starts_with(':'))
    })
}

impl Document {
    fn parse(name: &str, text: &str) -> Result<Self, ConfigError> {
        let source = SourceText::new(name, text);
        let mut options = serde_saphyr::Options::default();
        let mut budget = Budget::default();
        (budget.max_depth, budget.max_nodes, budget.max_events) = (DEPTH_MAX, NODES_MAX, 3 * NODES_MAX);
        options.budget = Some(budget);
        options.duplicate_keys = DuplicateKeyPolicy::LastWins;
        options.with_snippet = false;
        let raw: RawDocument = serde_saphyr::from_str_with_options(text, options).map_err(|error| {
            // The place is shown below; here it would stand twice.
            let message = error.without_snippet().to_string();
            let what = message.lines().next().unwrap_or_default().to_owned();
            match error.location() {
                Some(place) => source.problem(span(text, &place), what, "here"),
                None => Problem::general(format!("`{name}`: {what}")),
            }
        })?;
        Reader::new(&source, text).document(name, &raw)
    }
}

/// The bytes of a place; up to the end of its line where it has no length.
fn span(text: &str, place: &serde_saphyr::Location) -> Range<usize> {
    let size = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
    let line =
        || text.split_inclusive('\n').take(size(place.line()).saturating_sub(1)).map(str::len).sum::<usize>();
    let start = place.span().byte_offset().map_or_else(line, size).min(text.len());
    let start = text.floor_char_boundary(start);
    let len = place.span().byte_len().map_or(0, size);
    let rest = text[start..].lines().next().unwrap_or_default().trim_end().len();
    start..start + if len == 0 { rest.max(1) } else { len.min(rest.max(1)) }.min(text.len() - start)
}

#[derive(Deserialize)]
struct RawDocument {
    swagger: Option<Spanned<Word>>,
    openapi: Option<Spanned<Word>>,
    info: Option<RawInfo>,
    #[serde(default)]
    paths: Option<BTreeMap<String, RawPath>>,
    #[serde(default)]
    definitions: Option<BTreeMap<String, RawSchema>>,
    #[serde(default)]
    responses: Option<BTreeMap<String, RawResponse>>,
}

#[derive(Deserialize)]
struct RawInfo {
    version: Option<Spanned<Word>>,
}

#[derive(Deserialize)]
struct RawPath {
    get: Option<RawOperation>,
    put: Option<RawOperation>,
    post: Option<RawOperation>,
    delete: Option<RawOperation>,
    options: Option<RawOperation>,
    head: Option<RawOperation>,
    patch: Option<RawOperation>,
}

#[derive(Deserialize)]
struct RawOperation {
    #[serde(default)]
    responses: Option<BTreeMap<String, Option<RawResponse>>>,
}

#[derive(Deserialize)]
struct RawResponse {
    #[serde(rename = "$ref")]
    reference: Option<Spanned<String>>,
    schema: Option<RawSchema>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawSchema {
    #[serde(rename = "$ref")]
    reference: Option<Spanned<String>>,
    #[serde(rename = "type")]
    kind: Option<Spanned<Words>>,
    required: Option<Words>,
    properties: Option<BTreeMap<String, RawSchema>>,
    additional_properties: Option<Others>,
    items: Option<Box<RawSchema>>,
    all_of: Option<Vec<RawSchema>>,
    #[serde(rename = "enum")]
    words: Option<Words>,
}

/// A scalar as text, however it is written: a version may be a number.
#[derive(Deserialize)]
struct Word(String);

/// The texts of a list, or a text that stands for one. What else is in the list is passed over, and so is what is no list.
#[derive(Default)]
struct Words {
    texts: Vec<String>,
    is_only_texts: bool,
}

impl<'de> Deserialize<'de> for Words {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reads;
        impl<'de> Visitor<'de> for Reads {
            type Value = Words;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text or a list of texts")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Words, E> {
                Ok(Words { texts: vec![text.to_owned()], is_only_texts: true })
            }

            fn visit_bool<E: de::Error>(self, _: bool) -> Result<Words, E> {
                Ok(Words::default())
            }

            fn visit_i64<E: de::Error>(self, _: i64) -> Result<Words, E> {
                Ok(Words::default())
            }

            fn visit_u64<E: de::Error>(self, _: u64) -> Result<Words, E> {
                Ok(Words::default())
            }

            fn visit_f64<E: de::Error>(self, _: f64) -> Result<Words, E> {
                Ok(Words::default())
            }

            fn visit_unit<E: de::Error>(self) -> Result<Words, E> {
                Ok(Words::default())
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Words, A::Error> {
                while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(Words::default())
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Words, A::Error> {
                let mut words = Words { texts: Vec::new(), is_only_texts: true };
                while let Some(word) = list.next_element::<Words>()? {
                    words.is_only_texts &= word.is_only_texts && word.texts.len() == 1;
                    words.texts.extend(word.texts);
                }
                Ok(words)
            }
        }
        deserializer.deserialize_any(Reads)
    }
}

/// `additionalProperties`: true, false or a schema.
enum Others {
    Any,
    None,
    Of(Box<RawSchema>),
}

impl<'de> Deserialize<'de> for Others {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reads;
        impl<'de> Visitor<'de> for Reads {
            type Value = Others;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("true, false or a schema")
            }

            fn visit_bool<E: de::Error>(self, any: bool) -> Result<Others, E> {
                Ok(if any { Others::Any } else { Others::None })
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Others, E> {
                match text {
                    "true" => Ok(Others::Any),
                    "false" => Ok(Others::None),
                    _ => Err(E::invalid_value(de::Unexpected::Str(text), &self)),
                }
            }

            fn visit_unit<E: de::Error>(self) -> Result<Others, E> {
                Ok(Others::Any)
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Others, A::Error> {
                let schema =
                    RawSchema::deserialize(MapAccessDeserializer::new(map)).map_err(A::Error::custom)?;
                Ok(Others::Of(Box::new(schema)))
            }
        }
        deserializer.deserialize_any(Reads)
    }
}

/// A schema while its `$ref` and `allOf` are not followed yet.
#[derive(Default)]
struct Node {
    types: Vec<Type>,
    required: Vec<String>,
    words: Vec<String>,
    properties: BTreeMap<String, usize>,
    others: Option<usize>,
    items: Option<usize>,
    same_as: Vec<usize>,
}

/// Makes a document of what was read.
struct Reader<'a> {
    source: &'a SourceText,
    text: &'a str,
    nodes: Vec<Node>,
    definitions: BTreeMap<String, usize>,
}

type Read<T> = Result<T, ConfigError>;

impl<'a> Reader<'a> {
    fn new(source: &'a SourceText, text: &'a str) -> Self {
        Self { source, text, nodes: Vec::new(), definitions: BTreeMap::new() }
    }

    fn wrong<T, U>(&self, at: &Spanned<U>, what: String, label: &str) -> Read<T> {
        Err(self.source.problem(span(self.text, &at.referenced), what, label).into())
    }

    fn document(mut self, name: &str, raw: &RawDocument) -> Read<Document> {
        match (&raw.swagger, &raw.openapi) {
            (Some(version), _) if version.value.0 == "2.0" => {}
            (Some(version), _) => {
                return self.wrong(
                    version,
                    format!("`{}` is no version of Swagger that is read", version.value.0),
                    "only 2.0 is",
                );
            }
            (None, Some(openapi)) => {
                return self.wrong(
                    openapi,
                    "OpenAPI 3 is another language, and not read".to_owned(),
                    "only Swagger 2.0 is",
                );
            }
            (None, None) => {
                let help = "it begins with `swagger: \"2.0\"`".to_owned();
                return Err(Problem::general(format!("`{name}` is no Swagger document")).help(help).into());
            }
        }
        let Some(version) = raw.info.as_ref().and_then(|info| info.version.as_ref()) else {
            let problem =
                Problem::general(format!("`{name}` does not say of which version of the API it is"));
            return Err(problem.help("it stands in `info.version`".to_owned()).into());
        };
        let Some(order) = numbers(&version.value.0) else {
            return self.wrong(
                version,
                format!("`{}` is no version of an API", version.value.0),
                "expected numbers, e.g. `1.41`",
            );
        };
        let definitions = raw.definitions.iter().flatten();
        for (number, (name, _)) in definitions.clone().enumerate() {
            self.definitions.insert(name.clone(), number);
            self.nodes.push(Node::default());
        }
        for (number, (_, schema)) in definitions.enumerate() {
            let node = self.node(schema)?;
            if let Some(place) = self.nodes.get_mut(number) {
                *place = node;
            }
        }
        let mut operations = Vec::new();
        for (path, raw_path) in raw.paths.iter().flatten() {
            for (method, operation) in raw_path.operations() {
                operations.push((method, path, self.responses(raw, operation)?));
            }
        }
        let parts = (0..self.nodes.len()).map(|node| self.parts(name, node)).collect::<Read<Vec<Parts>>>()?;
        let of = |node: &usize| parts.get(*node).cloned().unwrap_or_default();
        let operation =
            |(method, path, responses): (_, &String, BTreeMap<String, Option<usize>>)| Operation {
                method,
                template: path.clone(),
                path: path.split('/').skip(1).map(segment).collect(),
                responses: responses
                    .iter()
                    .map(|(status, node)| (status.clone(), node.as_ref().map(of)))
                    .collect(),
            };
        let schema = |node: &Node| Schema {
            types: node.types.clone(),
            required: node.required.clone(),
            words: node.words.clone(),
            properties: node.properties.iter().map(|(name, node)| (name.clone(), of(node))).collect(),
            others: node.others.as_ref().map(of),
            items: node.items.as_ref().map(of),
        };
        Ok(Document {
            numbers: order,
            version: version.value.0.clone(),
            file: name.to_owned(),
            digest: digest(self.text),
            operations: operations.into_iter().map(operation).collect(),
            schemas: self.nodes.iter().map(schema).collect(),
        })
    }

    fn responses(
        &mut self,
        raw: &RawDocument,
        operation: &RawOperation,
    ) -> Read<BTreeMap<String, Option<usize>>> {
        let mut responses = BTreeMap::new();
        for (status, response) in operation.responses.iter().flatten() {
            let mut response = response.as_ref();
            if let Some(reference) = response.and_then(|response| response.reference.as_ref()) {
                let shared = raw.responses.iter().flatten();
                let name = reference.value.strip_prefix(RESPONSES);
                let Some((_, target)) =
                    name.and_then(|name| shared.into_iter().find(|(known, _)| *known == name))
                else {
                    return self.nowhere(reference);
                };
                response = Some(target);
            }
            let schema = response.and_then(|response| response.schema.as_ref());
            let node = schema.map(|schema| self.add(schema)).transpose()?;
            responses.insert(status.clone(), node);
        }
        Ok(responses)
    }

    fn nowhere<T>(&self, reference: &Spanned<String>) -> Read<T> {
        self.wrong(
            reference,
            format!("`{}` leads nowhere in this document", reference.value),
            "there is no such place",
        )
    }

    fn add(&mut self, schema: &RawSchema) -> Read<usize> {
        let node = self.node(schema)?;
        self.nodes.push(node);
        Ok(self.nodes.len() - 1)
    }

    /// Recurses no deeper than [`DEPTH_MAX`], which the reader of YAML has seen to.
    fn node(&mut self, schema: &RawSchema) -> Read<Node> {
        let mut node = Node::default();
        if let Some(reference) = &schema.reference {
            // What stands beside it does not count: JSON Reference, section 3.
            let name = reference.value.strip_prefix(DEFINITIONS);
            let Some(target) = name.and_then(|name| self.definitions.get(name)) else {
                return self.nowhere(reference);
            };
            node.same_as.push(*target);
            return Ok(node);
        }
        if let Some(kind) = &schema.kind {
            for word in &kind.value.texts {
                match Type::of_word(word) {
                    Some(known) => node.types.push(known),
                    None if word == "null" || word == "file" => {}
                    None => {
                        return self.wrong(
                            kind,
                            format!("`{word}` is no type of Swagger"),
                            "expected e.g. `string`",
                        );
                    }
                }
            }
        }
        let words = schema.words.as_ref().filter(|words| words.is_only_texts);
        node.words = words.map(|words| words.texts.clone()).unwrap_or_default();
        node.required = schema.required.as_ref().map(|words| words.texts.clone()).unwrap_or_default();
        for (name, property) in schema.properties.iter().flatten() {
            let property = self.add(property)?;
            node.properties.insert(name.clone(), property);
        }
        node.others = match &schema.additional_properties {
            Some(Others::Any) => Some(self.anything()),
            Some(Others::Of(others)) => Some(self.add(others)?),
            Some(Others::None) | None => None,
        };
        node.items = schema.items.as_ref().map(|items| self.add(items)).transpose()?;
        for part in schema.all_of.iter().flatten() {
            let part = self.add(part)?;
            node.same_as.push(part);
        }
        Ok(node)
    }

    /// A schema of which nothing is said.
    fn anything(&mut self) -> usize {
        self.nodes.push(Node::default());
        self.nodes.len() - 1
    }

    /// A schema and all that its `$ref` and `allOf` lead to, each once: also where they lead in a circle.
    fn parts(&self, name: &str, node: usize) -> Read<Parts> {
        let mut found = Vec::new();
        let mut open = vec![node];
        while let Some(next) = open.pop() {
            if found.contains(&next) {
                continue;
            }
            if found.len() == PARTS_MAX {
                let text =
                    format!("`{name}` has a schema of more than {PARTS_MAX} parts, by `$ref` and `allOf`");
                return Err(Problem::general(text).into());
            }
            found.push(next);
            open.extend(self.nodes.get(next).into_iter().flat_map(|node| &node.same_as));
        }
        // There are no more than `NODES_MAX`.
        let mut parts: Parts = found.iter().filter_map(|node| u32::try_from(*node).ok()).collect();
        parts.sort_unstable();
        Ok(parts)
    }
}

impl RawPath {
    fn operations(&self) -> impl Iterator<Item = (&'static str, &RawOperation)> {
        let all = [
            ("GET", &self.get),
            ("PUT", &self.put),
            ("POST", &self.post),
            ("DELETE", &self.delete),
            ("OPTIONS", &self.options),
            ("HEAD", &self.head),
            ("PATCH", &self.patch),
        ];
        all.into_iter().filter_map(|(method, operation)| Some((method, operation.as_ref()?)))
    }
}

fn digest(text: &str) -> String {
    Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn segment(text: &str) -> Segment {
    if text.starts_with('{') && text.ends_with('}') { Segment::Name } else { Segment::Word(text.to_owned()) }
}
