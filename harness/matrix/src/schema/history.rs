//! Many releases one behind the other, and the numbers that were free for some time in between.

use super::compare::{Comparer, Sides, compare_schemas};
use super::read::ReadSchema;
use crate::breaks::{Break, BreakKind};

/// What a release of a history breaks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HistoryBreak<'a> {
    /// The release of which it breaks something: the one before, or the last one that had the number.
    pub from: &'a str,
    /// The release that breaks it.
    pub to: &'a str,
    /// What it breaks.
    pub found: Break,
}

/// What each release breaks of the one before it, and of older ones whose numbers it uses for something else after they were
/// free. Neighbours do not tell the latter: one only lost a field, another only got one.
#[must_use]
pub fn breaks_over<'a>(history: &[(&'a str, &ReadSchema)]) -> Vec<HistoryBreak<'a>> {
    let mut found = Vec::new();
    for (at, pair) in history.windows(2).enumerate() {
        let [(from, old), (to, new)] = pair else { continue };
        let neighbours = compare_schemas(old, new).breaks;
        found.extend(neighbours.into_iter().map(|found| HistoryBreak { from, to, found }));
        let before = history.get(..at).unwrap_or_default();
        found.extend(used_again(before, old, new).into_iter().map(|(from, found)| HistoryBreak {
            from,
            to,
            found,
        }));
    }
    found
}

/// Fields whose number the release before did not have, and an older one for something else.
fn used_again<'a>(
    before: &[(&'a str, &ReadSchema)],
    old: &ReadSchema,
    new: &ReadSchema,
) -> Vec<(&'a str, Break)> {
    let mut found = Vec::new();
    for message in new.schema.messages() {
        let now = old.schema.message(&message.name);
        for field in
            message.fields.iter().filter(|field| now.is_none_or(|now| now.field(field.number).is_none()))
        {
            let last = before.iter().rev().find_map(|(release, schema)| {
                let was = schema.schema.message(&message.name)?;
                Some((release, schema, was, was.field(field.number)?))
            });
            if let Some((release, schema, was, old_field)) = last {
                let mut comparer = Comparer::new(schema, new);
                comparer.field(&Sides::of(was, message), old_field, field);
                let reused = comparer.into_breaks().into_iter();
                let tells =
                    |found: &Break| matches!(found.kind, BreakKind::NumberReused | BreakKind::TypeChanged);
                found.extend(reused.filter(tells).map(|found| (*release, found)));
            }
        }
    }
    found
}
