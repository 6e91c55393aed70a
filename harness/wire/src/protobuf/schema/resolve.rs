//! Definitions to a schema: every name has its definition, and nothing is there twice.

use std::collections::{BTreeMap, BTreeSet};

use super::parse::{self, File};
use super::token::Wrong;
use super::{
    Element, Enum, EnumId, Field, Message, MessageId, Method, Places, Rules, Scalar, Schema, SchemaError,
    Service, Source, Type,
};

/// Numbers that no field of anybody may have.
const NEVER: std::ops::RangeInclusive<u32> = 19_000..=19_999;

/// What a full name stands for.
#[derive(Clone, Copy)]
enum Named {
    Message(MessageId),
    Enum(EnumId),
    Service,
}

type Names = BTreeMap<String, Named>;

/// Reads the texts as one. Where the definitions are is written down if somebody asks.
pub(super) fn schema(
    sources: &[Source<'_>],
    rules: Rules,
    places: Option<&mut Places>,
) -> Result<Schema, SchemaError> {
    let mut files = Vec::with_capacity(sources.len());
    for source in sources {
        let file = parse::file(source.text, rules).map_err(|wrong| in_source(source.name, wrong))?;
        files.push((source.name, file));
    }
    of_files(&files, rules, places)
}

/// What several files define, each with its name.
pub(super) fn of_files(
    files: &[(&str, File<'_>)],
    rules: Rules,
    mut places: Option<&mut Places>,
) -> Result<Schema, SchemaError> {
    let known: BTreeSet<&str> = files.iter().map(|(name, _)| *name).collect();
    let mut names = Names::new();
    for (source, file) in files {
        define(file, &known, rules, &mut names).map_err(|wrong| in_source(source, wrong))?;
    }
    number(&mut names);
    let mut schema = Schema::default();
    for (source, file) in files {
        resolve(file, &names, rules, &mut schema).map_err(|wrong| {
            let missing =
                file.imports.iter().map(|(_, import)| *import).find(|import| !known.contains(import));
            in_source(source, with_missing(wrong, missing))
        })?;
        if let Some(places) = places.as_deref_mut() {
            places.note(source, file);
        }
    }
    schema.messages.sort_by(|one, other| one.name.cmp(&other.name));
    schema.enums.sort_by(|one, other| one.name.cmp(&other.name));
    schema.services.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(schema)
}

fn in_source(source: &str, wrong: Wrong) -> SchemaError {
    SchemaError { source: source.to_owned(), line: wrong.line, what: wrong.what }
}

/// What is not there may be in a file that was not given.
fn with_missing(mut wrong: Wrong, missing: Option<&str>) -> Wrong {
    if let Some(missing) = missing {
        wrong.what.push_str("; `");
        wrong.what.push_str(missing);
        wrong.what.push_str("`, which is imported, is not given");
    }
    wrong
}

/// Enters the names that a text defines.
fn define(file: &File<'_>, known: &BTreeSet<&str>, rules: Rules, names: &mut Names) -> Result<(), Wrong> {
    // What is imported for its options alone is not missed.
    for (line, import) in file.imports.iter().filter(|_| rules == Rules::Own) {
        if !known.contains(import) {
            return Err(Wrong { line: *line, what: format!("`{import}` is none of the texts") });
        }
    }
    let messages = file.messages.iter().map(|found| (found.line, &found.name, Named::Message(MessageId(0))));
    let enums = file.enums.iter().map(|found| (found.line, &found.name, Named::Enum(EnumId(0))));
    let services = file.services.iter().map(|found| (found.line, &found.name, Named::Service));
    for (line, name, named) in messages.chain(enums).chain(services) {
        if names.insert(name.clone(), named).is_some() {
            return Err(Wrong { line, what: format!("`{name}` is there twice") });
        }
    }
    Ok(())
}

/// Gives every message and enum its place in the order of names.
fn number(names: &mut Names) {
    let (mut messages, mut enums) = (0_usize, 0_usize);
    for named in names.values_mut() {
        match named {
            Named::Message(id) => {
                *id = MessageId(messages);
                messages = messages.saturating_add(1);
            }
            Named::Enum(id) => {
                *id = EnumId(enums);
                enums = enums.saturating_add(1);
            }
            Named::Service => {}
        }
    }
}

fn resolve(file: &File<'_>, names: &Names, rules: Rules, schema: &mut Schema) -> Result<(), Wrong> {
    for message in &file.messages {
        schema.messages.push(resolved(message, names)?);
    }
    for found in &file.enums {
        schema.enums.push(values(found, rules)?);
    }
    for service in &file.services {
        let mut methods: Vec<Method> = Vec::with_capacity(service.methods.len());
        let mut taken = BTreeSet::new();
        for found in &service.methods {
            let (line, name) = (found.line, found.name.to_owned());
            if !taken.insert(found.name) {
                return Err(Wrong { line, what: format!("`{name}` is there twice") });
            }
            let message = |name: &str| match look_up(names, &service.name, name) {
                Some((full, Named::Message(_))) => Ok(full.to_owned()),
                _ => Err(Wrong { line, what: format!("no message is called `{name}`") }),
            };
            let (request_stream, response_stream) = (found.request.0, found.response.0);
            let (request, response) = (message(found.request.1)?, message(found.response.1)?);
            methods.push(Method { name, request, request_stream, response, response_stream });
        }
        schema.services.push(Service { name: service.name.clone(), methods });
    }
    Ok(())
}

fn values(found: &parse::Enum<'_>, rules: Rules) -> Result<Enum, Wrong> {
    let mut values: Vec<(i32, String)> = Vec::with_capacity(found.values.len());
    let (mut numbers, mut labels) = (BTreeSet::new(), BTreeSet::new());
    for (line, number, label) in &found.values {
        // Foreign text may say in an option that a number has several names.
        let is_new = numbers.insert(*number) || rules == Rules::Foreign;
        if !is_new || !labels.insert(*label) {
            return Err(Wrong {
                line: *line,
                what: format!("`{label}` or its number {number} is there twice"),
            });
        }
        values.push((*number, (*label).to_owned()));
    }
    if values.is_empty() {
        return Err(Wrong { line: found.line, what: format!("`{}` has no value", found.name) });
    }
    Ok(Enum { name: found.name.clone(), values })
}

fn resolved(message: &parse::Message<'_>, names: &Names) -> Result<Message, Wrong> {
    let mut fields: Vec<Field> = Vec::with_capacity(message.fields.len());
    let (mut numbers, mut taken) = (BTreeSet::new(), BTreeSet::new());
    for field in &message.fields {
        let (line, number, name) = (field.line, field.number, field.name);
        let fault = |what: String| Err(Wrong { line, what });
        let is_reserved = message.reserved.iter().any(|(from, to)| (*from..=*to).contains(&number));
        if is_reserved || NEVER.contains(&number) || message.reserved_names.contains(&name) {
            return fault(format!("`{name}` or its number {number} is reserved"));
        }
        if !numbers.insert(number) || !taken.insert(name) {
            return fault(format!("`{name}` or its number {number} is there twice"));
        }
        let element = match (Scalar::of_name(field.kind), look_up(names, &message.name, field.kind)) {
            (Some(scalar), _) => Element::Scalar(scalar),
            (_, Some((_, Named::Message(id)))) => Element::Message(id),
            (_, Some((_, Named::Enum(id)))) => Element::Enum(id),
            _ => return fault(format!("no type is called `{}`", field.kind)),
        };
        let kind = field.key.map_or(Type::One(element), |key| Type::Map(key, element));
        fields.push(Field { number, name: name.to_owned(), label: field.label, kind, oneof: field.oneof });
    }
    fields.sort_by_key(|field| field.number);
    Ok(Message {
        name: message.name.clone(),
        fields,
        oneofs: message.oneofs.iter().map(|name| (*name).to_owned()).collect(),
        reserved: message.reserved.clone(),
        reserved_names: message.reserved_names.iter().map(|name| (*name).to_owned()).collect(),
    })
}

/// The definition that a name has within a scope, from the inside outwards. With a dot in front it is a full name.
fn look_up<'n>(names: &'n Names, scope: &str, name: &str) -> Option<(&'n str, Named)> {
    let found = |full: &str| names.get_key_value(full).map(|(full, named)| (full.as_str(), *named));
    if let Some(full) = name.strip_prefix('.') {
        return found(full);
    }
    let mut scope = scope;
    while !scope.is_empty() {
        if let Some(found) = found(&[scope, ".", name].concat()) {
            return Some(found);
        }
        scope = scope.rsplit_once('.').map_or("", |(outer, _)| outer);
    }
    found(name)
}
