//! How a part of a message is compared with the same part of another one.
//!
//! A policy stands beside the fields, by the path of the part that it is for; the empty path is the whole message. What a
//! policy says of absent and added parts also holds for everything below, until another one says otherwise; what it says
//! of order holds for the elements of that list alone. A field that is volatile says so itself ([`crate::Field::mask`]).

use std::collections::HashMap;

/// Whether the order of the elements of a list says something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Order {
    /// It does.
    #[default]
    Kept,
    /// It does not, as that of a hash table: an element that is lost or changed is found wherever it stands.
    Any,
}

/// What a part means that is not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Absent {
    /// Something else than any value.
    #[default]
    Differs,
    /// The same as zero, an empty text or list, `false` and `null`, e.g. in protobuf.
    IsEmpty,
    /// The same as `null`, and as a list or an object that has nothing in it, as in JSON that Go writes.
    IsNothing,
}

/// What a part means that is there only now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Added {
    /// Another message.
    #[default]
    Differs,
    /// The same message, of which a newer peer says more. That is for parts that the older one cannot know: elements of
    /// lists, and whatever may be absent where it is empty, are never passed over.
    Passes,
}

/// What holds for one part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Policy {
    /// The order of its elements, if it is a list.
    pub order: Order,
    /// It or a part of it is not there.
    pub absent: Absent,
    /// It or a part of it is there only now.
    pub added: Added,
}

/// The policies of one message, each with the path that it is for; a `*` stands for the places of elements.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Policies(HashMap<String, Policy>);

impl Policies {
    /// Those of a message of which nobody writes what is empty.
    #[must_use]
    pub fn sparse() -> Self {
        let mut policies = Self::default();
        policies.set("", Policy { absent: Absent::IsEmpty, ..Policy::default() });
        policies
    }

    /// Says what holds for a part.
    pub fn set(&mut self, path: &str, policy: Policy) {
        self.0.insert(anywhere(path), policy);
    }

    /// Says that the order of a list says nothing; otherwise it is compared as the part that it is in.
    pub fn any_order(&mut self, path: &str) {
        let ends = path.match_indices('.').map(|(end, _)| end).chain([path.len()]);
        let all = self.at(Policy::default(), "");
        let within = ends.fold(all, |above, end| self.at(above, path.get(..end).unwrap_or(path)));
        self.set(path, Policy { order: Order::Any, ..within });
    }

    /// The same for a message that is a part of another one, there.
    #[must_use]
    pub fn within(self, path: &str) -> Self {
        let below =
            |own: String| if own.is_empty() { anywhere(path) } else { format!("{}.{own}", anywhere(path)) };
        Self(self.0.into_iter().map(|(own, policy)| (below(own), policy)).collect())
    }

    /// What holds for a part, where `above` holds for the part that it is in.
    #[must_use]
    pub fn at(&self, above: Policy, path: &str) -> Policy {
        let own = if self.0.is_empty() { None } else { self.0.get(&anywhere(path)) };
        own.copied().unwrap_or(Policy { order: Order::Kept, ..above })
    }
}

/// A path without the places of elements.
fn anywhere(path: &str) -> String {
    let is_place = |name: &str| !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_digit());
    let general = path.split('.').map(|name| if is_place(name) { "*" } else { name });
    general.collect::<Vec<_>>().join(".")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_of_a_part_holds_below_it_except_of_order() {
        let mut policies = Policies::sparse();
        policies.any_order("rows.0.names");
        policies.set("rows.*.names.1.plain", Policy::default());
        let sparse = Policy { absent: Absent::IsEmpty, ..Policy::default() };
        let any = Policy { order: Order::Any, ..sparse };
        assert_eq!(policies.at(Policy::default(), ""), sparse);
        assert_eq!(policies.at(sparse, "rows"), sparse);
        assert_eq!(policies.at(sparse, "rows.0.names"), any);
        assert_eq!(policies.at(sparse, "rows.7.names"), any, "whatever the place of its row");
        assert_eq!(policies.at(any, "rows.7.names.3"), sparse);
        assert_eq!(policies.at(any, "rows.7.names.3.plain"), Policy::default());
        assert_eq!(Policies::default().at(Policy::default(), "a.b"), Policy::default());
        let within = policies.within("body.3");
        assert_eq!(within.at(Policy::default(), "body.3"), sparse);
        assert_eq!(within.at(sparse, "body.3.rows.7.names"), any);
        assert_eq!(within.at(Policy::default(), "rows.7.names"), Policy::default());
    }
}
