//! Many releases one behind the other, and the numbers that were free for some time in between.

use super::compare::{Comparer, Sides, compare_schemas};
use super::read::ReadSchema;
use crate::breaks::{Break, BreakKind, Comparison};

/// What a release breaks of the one before it, the last of `before`, and of older ones whose numbers it uses for something else
/// after they were free. Neighbours do not tell the latter: one only lost a field, another only got one.
#[must_use]
pub fn compare_history(before: &[&ReadSchema], new: &ReadSchema) -> Comparison {
    let Some((old, older)) = before.split_last() else { return Comparison::default() };
    let mut found = compare_schemas(old, new);
    found.breaks.extend(used_again(older, old, new));
    found
}

/// Fields whose number the release before did not have, and an older one for something else.
fn used_again(before: &[&ReadSchema], old: &ReadSchema, new: &ReadSchema) -> Vec<Break> {
    let mut found = Vec::new();
    for message in new.schema.messages() {
        let now = old.schema.message(&message.name);
        for field in
            message.fields.iter().filter(|field| now.is_none_or(|now| now.field(field.number).is_none()))
        {
            let last = before.iter().rev().find_map(|schema| {
                let was = schema.schema.message(&message.name)?;
                Some((schema, was, was.field(field.number)?))
            });
            if let Some((schema, was, old_field)) = last {
                let mut comparer = Comparer::new(schema, new);
                comparer.field(&Sides::of(was, message), old_field, field);
                let reused = comparer.into_breaks().into_iter();
                let tells =
                    |found: &Break| matches!(found.kind, BreakKind::NumberReused | BreakKind::TypeChanged);
                found.extend(reused.filter(tells));
            }
        }
    }
    found
}
