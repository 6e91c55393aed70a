//! Where two readings of an answer differ in meaning.
//!
//! Fields are compared one by one, by name and value. Fields under the same named mask are passed over,
//! except [`ORDER_MASK`]: elements that follow each other under it are compared as one bag, so that an
//! element that is lost or changed is found wherever it stands.

use std::ops::Range;

use wire::{Dissection, Field, ORDER_MASK, Value};

use crate::render;

/// The first field that differs.
pub(super) struct Difference {
    pub(super) field: String,
    pub(super) span: Option<Range<usize>>,
    pub(super) expected: String,
    pub(super) actual: String,
}

/// The first field whose meaning differs; masked fields are passed over.
pub(super) fn first_difference(
    was: &Dissection,
    old: &[u8],
    is: &Dissection,
    new: &[u8],
) -> Option<Difference> {
    let (was, is) = (in_order(was, old), in_order(is, new));
    for (at, before) in was.iter().enumerate() {
        let expected = || render::field(before, old);
        let Some(after) = is.get(at).filter(|after| same_name(before, after)) else {
            let actual = is.get(at).map_or("no such field".to_owned(), |f| render::field(f, new));
            let span = is.get(at).map(|f| f.span.clone());
            return Some(Difference { field: before.name.to_string(), span, expected: expected(), actual });
        };
        if before.mask.is_some() && before.mask == after.mask && before.mask != Some(ORDER_MASK) {
            continue;
        }
        let same_bytes = old.get(before.span.clone()) == new.get(after.span.clone());
        if before.value != after.value || (before.value == Value::Bytes && !same_bytes) {
            let actual = render::field(after, new);
            let span = Some(after.span.clone());
            return Some(Difference { field: before.name.to_string(), span, expected: expected(), actual });
        }
    }
    let extra = is.get(was.len())?;
    Some(Difference {
        field: extra.name.to_string(),
        span: Some(extra.span.clone()),
        expected: "no such field".to_owned(),
        actual: render::field(extra, new),
    })
}

/// The fields, with the elements of each bag sorted by what they hold.
fn in_order<'a>(dissection: &'a Dissection, bytes: &[u8]) -> Vec<&'a Field> {
    let mut fields = Vec::with_capacity(dissection.fields.len());
    for run in dissection.fields.chunk_by(|one, next| bag(one).is_some() && bag(one) == bag(next)) {
        let mut elements: Vec<&[Field]> = match run.first().and_then(bag) {
            Some(_) => run.chunk_by(|one, next| element(one) == element(next)).collect(),
            None => vec![run],
        };
        elements.sort_by_cached_key(|element| {
            let holds = |field: &Field| (member(field).to_owned(), render::value(field, bytes));
            element.iter().map(holds).collect::<Vec<_>>()
        });
        fields.extend(elements.into_iter().flatten());
    }
    fields
}

/// The list of which a field is part, where the order of its elements says nothing.
fn bag(field: &Field) -> Option<&str> {
    (field.mask == Some(ORDER_MASK)).then(|| field.name.split('.').next().unwrap_or_default())
}

/// The element of which a field is part: `ifaces.3` of `ifaces.3.name`.
fn element(field: &Field) -> &str {
    let end = field.name.match_indices('.').nth(1).map_or(field.name.len(), |(at, _)| at);
    field.name.get(..end).unwrap_or(&field.name)
}

/// What a field is within its element: `.name` of `ifaces.3.name`.
fn member(field: &Field) -> &str {
    field.name.get(element(field).len()..).unwrap_or_default()
}

/// Whether two fields are the same part of their messages. Elements of a bag have no number.
fn same_name(before: &Field, after: &Field) -> bool {
    match (bag(before), bag(after)) {
        (Some(was), Some(is)) => was == is && member(before) == member(after),
        _ => before.name == after.name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `count`, then for each text an element of two fields under the mask, then `end`.
    fn list(texts: &[&str], end: u64) -> Dissection {
        let field =
            |name: String, value, mask| Field { name: name.into(), span: 0..0, value, label: None, mask };
        let mut fields = vec![field("names.count".to_owned(), Value::Uint(texts.len() as u64), None)];
        for (at, text) in texts.iter().enumerate() {
            let (name, mac) = text.split_once('/').unwrap_or((text, ""));
            let order = Some(ORDER_MASK);
            fields.push(field(format!("names.{at}.name"), Value::Text(name.to_owned()), order));
            fields.push(field(format!("names.{at}.mac"), Value::Text(mac.to_owned()), order));
        }
        fields.push(field("end".to_owned(), Value::Uint(end), None));
        Dissection { title: "list".to_owned(), fields, problems: Vec::new() }
    }

    #[track_caller]
    fn check(was: &[&str], is: &[&str], expect: Option<(&str, &str)>) {
        let difference = first_difference(&list(was, 1), &[], &list(is, 1), &[]);
        let found = difference.map(|difference| (difference.expected, difference.actual));
        assert_eq!(found.as_ref().map(|(was, is)| (was.as_str(), is.as_str())), expect);
    }

    #[test]
    fn the_order_of_a_bag_says_nothing() {
        check(&[], &[], None);
        check(&["a/1", "b/2", "c/3"], &["c/3", "a/1", "b/2"], None);
        check(&["a/1", "a/1", "b/2"], &["b/2", "a/1", "a/1"], None);
    }

    #[test]
    fn what_is_lost_or_changed_in_a_bag_is_found() {
        check(&["a/1", "b/2"], &["b/2", "c/1"], Some(("names.0.name = \"a\"", "names.0.name = \"b\"")));
        check(&["a/1", "b/2"], &["b/1", "a/2"], Some(("names.0.mac = \"1\"", "names.1.mac = \"2\"")));
        check(&["a/1", "b/2"], &["a/1"], Some(("names.count = 2", "names.count = 1")));
        check(&["a/1", "a/1"], &["a/1", "b/2"], Some(("names.1.name = \"a\"", "names.1.name = \"b\"")));
    }

    #[test]
    fn what_stands_behind_a_bag_is_compared() {
        let difference = first_difference(&list(&["a/1", "b/2"], 1), &[], &list(&["b/2", "a/1"], 2), &[]);
        assert_eq!(difference.map(|difference| difference.field).as_deref(), Some("end"));
    }
}
