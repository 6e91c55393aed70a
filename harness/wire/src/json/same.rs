//! Whether two values mean the same.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::{Kind, Tape, Value, number};

/// Whether two values mean the same: the order of members does not matter, of several members of one
/// name the last one counts, numbers are compared by their decimal value (`1`, `1.0` and `10e-1` are one
/// number, and so are `0` and `-0`), texts by what they say and not by how they are escaped.
#[must_use]
pub fn same_value(a: Value<'_>, b: Value<'_>) -> bool {
    let ((one, a), (other, b)) = (a.place(), b.place());
    let mut due = vec![(a, b)];
    while let Some((a, b)) = due.pop() {
        let (was, is) = (one.node(a), other.node(b));
        let same = was.kind == is.kind
            && match was.kind {
                Kind::Null => true,
                Kind::Bool => one.raw(was) == other.raw(is),
                Kind::Number => number::same(one.raw(was), other.raw(is)),
                Kind::Text => one.meaning(a) == other.meaning(b),
                Kind::Array => {
                    let (elements, others) = (one.children(a), other.children(b));
                    pair_up(elements, others, &mut due)
                }
                Kind::Object => {
                    let (members, others) = (effective(one, a), effective(other, b));
                    members.keys().eq(others.keys())
                        && pair_up(members.into_values(), others.into_values(), &mut due)
                }
            };
        if !same {
            return false;
        }
    }
    true
}

/// Puts what stands at the same place on the list; says whether nothing was left alone.
fn pair_up(
    mut one: impl Iterator<Item = usize>,
    mut other: impl Iterator<Item = usize>,
    due: &mut Vec<(usize, usize)>,
) -> bool {
    loop {
        match (one.next(), other.next()) {
            (Some(a), Some(b)) => due.push((a, b)),
            (None, None) => return true,
            _ => return false,
        }
    }
}

/// The members of an object that count, by name.
fn effective(tape: Tape<'_>, object: usize) -> BTreeMap<Cow<'_, [u8]>, usize> {
    tape.members(object).map(|(name, member)| (tape.meaning(name), member)).collect()
}
