//! The comparison itself; the rules are in the table of [`super`].

use std::collections::{BTreeMap, BTreeSet};

use wire::protobuf::Schema;
use wire::protobuf::schema::{Enum, Field, Message, Method, Service};

use super::fields::{Difference, difference, is_moved, wire_types, written};
use super::flow::{Flow, flows, type_held};
use super::read::ReadSchema;
use crate::breaks::{Break, BreakKind, Comparison, Hurts};

/// What a newer schema breaks of an older one.
#[must_use]
pub fn compare_schemas(old: &ReadSchema, new: &ReadSchema) -> Comparison {
    let mut comparer = Comparer::new(old, new);
    comparer.services();
    let messages = old.schema.messages().iter().map(|message| message.name.as_str());
    let same_name = messages.filter(|name| new.schema.message(name).is_some()).map(|name| (name, name));
    let mut pairs: BTreeSet<_> = same_name.chain(comparer.moved.iter().copied()).collect();
    let mut done = BTreeSet::new();
    while let Some(pair) = pairs.pop_first() {
        if !done.insert(pair) {
            continue;
        }
        if let (Some(was), Some(is)) = (old.schema.message(pair.0), new.schema.message(pair.1)) {
            comparer.message(was, is);
        }
        pairs.extend(std::mem::take(&mut comparer.moved).into_iter().filter(|pair| !done.contains(pair)));
    }
    comparer.enums();
    comparer.lost_messages(&done);
    comparer.found
}

/// Two names of one message or enum.
type Pair<'a> = (&'a str, &'a str);

/// A message of both schemas.
pub(super) struct Sides<'a> {
    was: &'a Message,
    is: &'a Message,
    /// Numbers by name, on both sides: messages of others may have many fields.
    was_numbers: BTreeMap<&'a str, u32>,
    is_numbers: BTreeMap<&'a str, u32>,
}

impl<'a> Sides<'a> {
    pub(super) fn of(was: &'a Message, is: &'a Message) -> Self {
        let numbers = |message: &'a Message| {
            message.fields.iter().map(|field| (field.name.as_str(), field.number)).collect()
        };
        Self { was, is, was_numbers: numbers(was), is_numbers: numbers(is) }
    }
}

pub(super) struct Comparer<'a> {
    old: &'a ReadSchema,
    new: &'a ReadSchema,
    old_flows: BTreeMap<&'a str, Flow>,
    new_flows: BTreeMap<&'a str, Flow>,
    /// What has another name now and has to be compared.
    moved: BTreeSet<Pair<'a>>,
    moved_enums: BTreeSet<Pair<'a>>,
    found: Comparison,
}

impl<'a> Comparer<'a> {
    pub(super) fn new(old: &'a ReadSchema, new: &'a ReadSchema) -> Self {
        Self {
            old,
            new,
            old_flows: flows(&old.schema),
            new_flows: flows(&new.schema),
            moved: BTreeSet::new(),
            moved_enums: BTreeSet::new(),
            found: Comparison::default(),
        }
    }

    fn flow(&self, was: &str, is: &str) -> Flow {
        let of = |flows: &BTreeMap<&str, Flow>, name: &str| flows.get(name).copied().unwrap_or_default();
        of(&self.old_flows, was).and(of(&self.new_flows, is))
    }

    /// Adds a break. The names are those of what is there in the old and in the new schema.
    pub(super) fn add(
        &mut self,
        kind: BreakKind,
        subject: String,
        what: String,
        hurts: Hurts,
        names: (&str, &str),
    ) {
        let place = |schema: &ReadSchema, name: &str| schema.places.get(name).map(ToString::to_string);
        let places = [place(self.old, names.0), place(self.new, names.1)].into_iter().flatten().collect();
        self.found.breaks.push(Break { kind, subject, what, hurts, certain: true, places });
    }

    /// Says of the last break that the bytes are the same.
    fn same_bytes(&mut self) {
        if let Some(last) = self.found.breaks.last_mut() {
            last.certain = false;
        }
    }

    fn services(&mut self) {
        for was in self.old.schema.services() {
            match self.new.schema.service(&was.name) {
                Some(is) => self.methods(was, is),
                None => {
                    let what = format!("is gone with {} methods", was.methods.len());
                    let hurts = Hurts::OldClientNewServer;
                    self.add(BreakKind::ServiceRemoved, was.name.clone(), what, hurts, (&was.name, ""));
                }
            }
        }
        let is_new = |service: &&Service| self.old.schema.service(&service.name).is_none();
        let added = self.new.schema.services().iter().filter(is_new).map(|service| service.name.clone());
        self.found.additions.extend(added);
    }

    fn methods(&mut self, service: &'a Service, new: &'a Service) {
        let by_name = |service: &'a Service| -> BTreeMap<&'a str, &'a Method> {
            service.methods.iter().map(|method| (method.name.as_str(), method)).collect()
        };
        let (before, now) = (by_name(service), by_name(new));
        for was in &service.methods {
            let subject = format!("{}/{}", service.name, was.name);
            let name = format!("{}.{}", service.name, was.name);
            match now.get(was.name.as_str()) {
                Some(is) => self.method(&subject, &name, was, is),
                None => {
                    let hurts = Hurts::OldClientNewServer;
                    self.add(BreakKind::MethodRemoved, subject, "is gone".to_owned(), hurts, (&name, ""));
                }
            }
        }
        let added = new.methods.iter().filter(|method| !before.contains_key(method.name.as_str()));
        self.found.additions.extend(added.map(|method| format!("{}/{}", new.name, method.name)));
    }

    pub(super) fn method(&mut self, subject: &str, name: &str, was: &'a Method, is: &'a Method) {
        let stream = |stream: bool| if stream { "a stream" } else { "one message" };
        for (side, before, now) in [
            ("takes", was.request_stream, is.request_stream),
            ("gives", was.response_stream, is.response_stream),
        ] {
            if before != now {
                let what = format!("{side} {} where it was {}", stream(now), stream(before));
                self.add(BreakKind::StreamChanged, subject.to_owned(), what, Hurts::Both, (name, name));
            }
        }
        for (kind, side, before, now) in [
            (BreakKind::RequestChanged, "takes", &was.request, &is.request),
            (BreakKind::ResponseChanged, "gives", &was.response, &is.response),
        ] {
            if is_moved(&self.old.schema, before, &self.new.schema, now) {
                self.moved.insert((before, now));
            } else if before != now {
                let what = format!("{side} `{now}` where it was `{before}`");
                self.add(kind, subject.to_owned(), what, Hurts::Both, (name, name));
            }
        }
    }

    fn message(&mut self, was: &'a Message, is: &'a Message) {
        let sides = Sides::of(was, is);
        for field in &was.fields {
            match is.field(field.number) {
                Some(now) => self.field(&sides, field, now),
                None => self.lost_field(&sides, field),
            }
        }
        self.oneofs(was, is);
        let is_new = |field: &&Field| {
            was.field(field.number).is_none() && !sides.was_numbers.contains_key(field.name.as_str())
        };
        let added = is.fields.iter().filter(is_new);
        self.found
            .additions
            .extend(added.map(|field| format!("{}#{} {}", is.name, field.number, field.name)));
    }

    /// Two fields under one number.
    pub(super) fn field(&mut self, sides: &Sides<'a>, was: &'a Field, is: &'a Field) {
        let (was_in, is_in) = (sides.was, sides.is);
        let found = difference((&self.old.schema, was), (&self.new.schema, is));
        let went_to = sides.is_numbers.get(was.name.as_str());
        let came_from = sides.was_numbers.get(is.name.as_str());
        let same = matches!(found, Difference::None | Difference::Moved(..));
        let is_reused = was.name != is.name && (!same || went_to.is_some() || came_from.is_some());
        let subject = format!("{}#{}", was_in.name, was.number);
        let names = (format!("{}.{}", was_in.name, was.name), format!("{}.{}", is_in.name, is.name));
        let names = (names.0.as_str(), names.1.as_str());
        let flow = self.flow(&was_in.name, &is_in.name);
        let (before, now) = (written(&self.old.schema, was), written(&self.new.schema, is));
        let changed = format!("was `{before}` and is `{now}`");
        if is_reused {
            let went_to = went_to.map(|number| format!("; `{}` has number {number} now", was.name));
            let what = format!("{changed}; {}{}", wire_types(was, is), went_to.unwrap_or_default());
            return self.add(BreakKind::NumberReused, subject, what, Hurts::Both, names);
        }
        match found {
            Difference::None => {}
            Difference::Moved(was, is) => {
                let moved = if self.old.schema.message(was).is_some() {
                    &mut self.moved
                } else {
                    &mut self.moved_enums
                };
                moved.insert((was, is));
            }
            Difference::Misread => {
                let what = format!("{changed}; {}", wire_types(was, is));
                self.add(BreakKind::TypeChanged, subject.clone(), what, Hurts::Both, names);
            }
            Difference::Compatible { from_old, from_new } => {
                let lost = match (from_old, from_new) {
                    (true, true) => "each holds what the other does not",
                    (true, false) => "the new one holds less",
                    (false, true) => "the old one holds less",
                    (false, false) => "each holds the other",
                };
                let what = format!("{changed}; {}, and {lost}", wire_types(was, is));
                let hurts = flow.hurts(from_old, from_new);
                self.add(BreakKind::TypeChanged, subject.clone(), what, hurts.unwrap_or(Hurts::Both), names);
                if hurts.is_none() {
                    self.same_bytes();
                }
            }
        }
        if was.name != is.name {
            let what = format!("was `{}` and is `{}`", was.name, is.name);
            self.add(BreakKind::Renamed, subject, what, Hurts::Both, names);
            self.same_bytes();
        }
    }

    /// A field under whose number there is nothing any more.
    fn lost_field(&mut self, sides: &Sides<'a>, was: &Field) {
        let (was_in, is_in) = (sides.was, sides.is);
        let subject = format!("{}#{}", was_in.name, was.number);
        let name = format!("{}.{}", was_in.name, was.name);
        if let Some(number) = sides.is_numbers.get(was.name.as_str()) {
            let what = format!("`{}` has number {number} now", was.name);
            let is = format!("{}.{}", is_in.name, was.name);
            return self.add(BreakKind::Renumbered, subject, what, Hurts::Both, (&name, &is));
        }
        let reserved = is_in.reserved.iter().any(|(from, to)| (*from..=*to).contains(&was.number));
        let reserved = match reserved || is_in.reserved_names.contains(&was.name) {
            true => "reserved",
            false => "not reserved, so that somebody may use it again",
        };
        let what = format!("`{}` is gone; the number is {reserved}", written(&self.old.schema, was));
        let hurts = self.flow(&was_in.name, &is_in.name).hurts_without();
        self.add(BreakKind::FieldRemoved, subject, what, hurts, (&name, &is_in.name));
    }

    /// Fields that exclude each other and did not, or no longer do. A field alone in a oneof excludes nothing.
    fn oneofs(&mut self, was: &'a Message, is: &'a Message) {
        let flow = self.flow(&was.name, &is.name);
        let sides = [
            (BreakKind::OneofJoined, is, was, flow.hurts(true, false), "exclude each other and did not"),
            (BreakKind::OneofLeft, was, is, flow.hurts(false, true), "no longer exclude each other"),
        ];
        for (kind, within, other, hurts, how) in sides {
            let mut kept: Vec<Vec<&Field>> = vec![Vec::new(); within.oneofs.len()];
            for field in &within.fields {
                let same = other.field(field.number).filter(|same| same.name == field.name);
                if let (Some(at), Some(same)) = (field.oneof, same)
                    && let Some(kept) = kept.get_mut(at)
                {
                    kept.push(same);
                }
            }
            for (oneof, kept) in within.oneofs.iter().zip(kept) {
                let [first, rest @ ..] = kept.as_slice() else { continue };
                let together = first.oneof.is_some() && rest.iter().all(|field| field.oneof == first.oneof);
                if let (false, false, Some(hurts)) = (rest.is_empty(), together, hurts) {
                    let names: Vec<_> = kept.iter().map(|field| format!("`{}`", field.name)).collect();
                    let what = format!("{} {how}", names.join(", "));
                    let name = |message: &Message| format!("{}.{}", message.name, first.name);
                    let subject = format!("{}.{oneof}", within.name);
                    self.add(kind, subject, what, hurts, (&name(was), &name(is)));
                }
            }
        }
    }

    fn enums(&mut self) {
        let old = self.old;
        let names = old.schema.enums().iter().map(|found| (found.name.as_str(), found.name.as_str()));
        let pairs: BTreeSet<Pair<'a>> = names.chain(std::mem::take(&mut self.moved_enums)).collect();
        for (was, is) in pairs {
            let found = (self.old.schema.enum_of_name(was), self.new.schema.enum_of_name(is));
            if let (Some(was), Some(is)) = found {
                self.values(was, is);
            }
        }
    }

    fn values(&mut self, was: &Enum, is: &Enum) {
        let flow = self.flow(&was.name, &is.name);
        let before: BTreeSet<i32> = was.values.iter().map(|(number, _)| *number).collect();
        let by_label: BTreeMap<&str, i32> =
            is.values.iter().map(|(number, label)| (label.as_str(), *number)).collect();
        let by_number: BTreeMap<i32, &str> =
            is.values.iter().map(|(number, label)| (*number, label.as_str())).collect();
        for (number, label) in &was.values {
            let subject = format!("{}#{number}", was.name);
            let name = format!("{}.{label}", was.name);
            let by_label = by_label.get(label.as_str());
            if by_label == Some(number) {
                continue;
            }
            match (by_label, by_number.get(number)) {
                (Some(now), _) => {
                    let what = format!("`{label}` has number {now} now");
                    let new = format!("{}.{label}", is.name);
                    self.add(BreakKind::Renumbered, subject, what, Hurts::Both, (&name, &new));
                }
                (None, Some(now)) => {
                    let what = format!("was `{label}` and is `{now}`");
                    let new = format!("{}.{now}", is.name);
                    self.add(BreakKind::Renamed, subject, what, Hurts::Both, (&name, &new));
                    self.same_bytes();
                }
                (None, None) => {
                    let hurts = flow.hurts(true, false).unwrap_or(Hurts::Both);
                    let what = format!("`{label}` is gone");
                    self.add(BreakKind::ValueRemoved, subject, what, hurts, (&name, &is.name));
                }
            }
        }
        let added = is.values.iter().filter(|(number, _)| !before.contains(number));
        self.found.additions.extend(added.map(|(number, label)| format!("{}#{number} {label}", is.name)));
    }

    /// Messages that are gone and that nothing held which could tell it.
    fn lost_messages(&mut self, compared: &BTreeSet<Pair<'_>>) {
        let held = |schema: &'a Schema| {
            let fields = schema.messages().iter().flat_map(|message| &message.fields);
            let mut held: BTreeSet<&str> = fields.filter_map(|field| type_held(schema, field.kind)).collect();
            let methods = schema.services().iter().flat_map(|service| &service.methods);
            held.extend(methods.flat_map(|method| [method.request.as_str(), method.response.as_str()]));
            held
        };
        let alone = |schema: &'a Schema, other: &'a Schema| {
            let held = held(schema);
            let names = schema.messages().iter().map(|message| message.name.as_str());
            // What is known to everybody came with an import.
            names
                .filter(|name| other.message(name).is_none() && !held.contains(name))
                .filter(|name| !name.starts_with("google.protobuf."))
                .collect::<Vec<_>>()
        };
        let (old, new) = (&self.old.schema, &self.new.schema);
        let compared: BTreeSet<&str> = compared.iter().map(|(was, _)| *was).collect();
        for name in alone(old, new) {
            if !compared.contains(name) {
                let what = "is gone".to_owned();
                self.add(BreakKind::MessageRemoved, name.to_owned(), what, Hurts::Both, (name, ""));
            }
        }
        self.found.additions.extend(alone(new, old).into_iter().map(ToOwned::to_owned));
    }

    /// What was found.
    pub(super) fn into_breaks(self) -> Vec<Break> {
        self.found.breaks
    }
}
