//! Many releases one behind the other, and what was free for some time in between: numbers of fields and of values, and the names
//! of methods.

use std::collections::BTreeMap;

use wire::protobuf::schema::{Enum, Message, Method, Service};

use super::compare::{Comparer, Sides, compare_schemas};
use super::read::ReadSchema;
use crate::breaks::{Break, BreakKind, Comparison, Hurts};

/// What a release breaks of the one before it, the last of `before`, and of older ones whose numbers and methods it uses for
/// something else after they were free. Neighbours do not tell the latter: one only lost a field, another only got one.
#[must_use]
pub fn compare_history(before: &[&ReadSchema], new: &ReadSchema) -> Comparison {
    let Some((old, older)) = before.split_last() else { return Comparison::default() };
    let mut found = compare_schemas(old, new);
    for message in new.schema.messages() {
        found.breaks.extend(fields_again(older, old, new, message));
    }
    for values in new.schema.enums() {
        found.breaks.extend(values_again(older, old, new, values));
    }
    for service in new.schema.services() {
        found.breaks.extend(methods_again(older, old, new, service));
    }
    found
}

/// Fields whose number the release before did not have, and an older one for something else.
fn fields_again(older: &[&ReadSchema], old: &ReadSchema, new: &ReadSchema, is: &Message) -> Vec<Break> {
    let mut found = Vec::new();
    let now = old.schema.message(&is.name);
    for field in is.fields.iter().filter(|field| now.is_none_or(|now| now.field(field.number).is_none())) {
        let last = older.iter().rev().find_map(|schema| {
            let was = schema.schema.message(&is.name)?;
            Some((schema, was, was.field(field.number)?))
        });
        if let Some((schema, was, old_field)) = last {
            let mut comparer = Comparer::new(schema, new);
            comparer.field(&Sides::of(was, is), old_field, field);
            found.extend(comparer.into_breaks());
        }
    }
    found
}

/// Values whose number the release before did not have, and an older one by another name.
fn values_again(older: &[&ReadSchema], old: &ReadSchema, new: &ReadSchema, is: &Enum) -> Vec<Break> {
    // Several names may share a number.
    let by_number = |values: &Enum| -> BTreeMap<i32, Vec<String>> {
        let mut labels: BTreeMap<_, Vec<_>> = BTreeMap::new();
        values
            .values
            .iter()
            .for_each(|(number, label)| labels.entry(*number).or_default().push(label.clone()));
        labels
    };
    let of = |schema: &ReadSchema| schema.schema.enum_of_name(&is.name).map(by_number).unwrap_or_default();
    let had = of(old);
    let mut came = by_number(is);
    came.retain(|number, _| !had.contains_key(number));
    let mut found = BTreeMap::new();
    for schema in older.iter().rev() {
        if came.is_empty() {
            break;
        }
        for (number, before) in of(schema) {
            let Some(now) = came.remove(&number) else { continue };
            if let ([before_label, ..], [label, ..]) = (before.as_slice(), now.as_slice())
                && !now.iter().any(|label| before.contains(label))
            {
                let mut comparer = Comparer::new(schema, new);
                let what = format!("was `{before_label}`, was free, and is `{label}`");
                let names = (format!("{}.{before_label}", is.name), format!("{}.{label}", is.name));
                let subject = format!("{}#{number}", is.name);
                comparer.add(BreakKind::NumberReused, subject, what, Hurts::Both, (&names.0, &names.1));
                found.insert(number, comparer.into_breaks());
            }
        }
    }
    found.into_values().flatten().collect()
}

/// Methods that the release before did not have, and an older one with other messages.
fn methods_again(older: &[&ReadSchema], old: &ReadSchema, new: &ReadSchema, is: &Service) -> Vec<Break> {
    fn by_name(service: &Service) -> BTreeMap<&str, &Method> {
        service.methods.iter().map(|method| (method.name.as_str(), method)).collect()
    }
    let had = old.schema.service(&is.name).map(by_name).unwrap_or_default();
    let mut came = by_name(is);
    came.retain(|name, _| !had.contains_key(name));
    let mut found = Vec::new();
    for schema in older.iter().rev() {
        let before = schema.schema.service(&is.name).filter(|_| !came.is_empty()).map(by_name);
        for (name, was) in before.unwrap_or_default() {
            if let Some(method) = came.remove(name) {
                let mut comparer = Comparer::new(schema, new);
                let (subject, name) = (format!("{}/{name}", is.name), format!("{}.{name}", is.name));
                comparer.method(&subject, &name, was, method);
                found.extend(comparer.into_breaks());
            }
        }
    }
    found
}
