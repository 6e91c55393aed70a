//! How a part of a message is compared with the same part of another one.
//!
//! A policy stands beside the fields, by the path of the part that it is for; the empty path is the whole message. What a
//! policy says of absent and added parts also holds for everything below, until another one says otherwise; what it says
//! of order holds for the elements of that list alone. A field that is volatile says so itself ([`crate::Field::mask`]).

use std::borrow::Cow;
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
}

/// What a part means that is there only now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Added {
    /// Another message.
    #[default]
    Differs,
    /// The same message, of which a newer peer says more. Elements of lists are never passed over.
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

/// The policies of one message, each with the path that it is for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Policies(HashMap<Cow<'static, str>, Policy>);

impl Policies {
    /// Those of a message whose members may be absent when they are empty and to which newer peers add some.
    #[must_use]
    pub fn open() -> Self {
        let mut policies = Self::default();
        policies.set("", Policy { order: Order::Kept, absent: Absent::IsEmpty, added: Added::Passes });
        policies
    }

    /// Says what holds for a part.
    pub fn set(&mut self, path: impl Into<Cow<'static, str>>, policy: Policy) {
        self.0.insert(path.into(), policy);
    }

    /// Says that the order of a list says nothing.
    pub fn any_order(&mut self, path: impl Into<Cow<'static, str>>) {
        let path = path.into();
        let within = self.within(Policy::default(), &path);
        self.set(path, Policy { order: Order::Any, ..within });
    }

    /// What holds for a part, where `above` holds for the part that it is in.
    #[must_use]
    pub fn at(&self, above: Policy, path: &str) -> Policy {
        self.0.get(path).copied().unwrap_or(Policy { order: Order::Kept, ..above })
    }

    /// What holds for a part, by all that is said of the parts that it is in.
    fn within(&self, root: Policy, path: &str) -> Policy {
        let ends = path.match_indices('.').map(|(end, _)| end).chain([path.len()]);
        let root = self.at(root, "");
        ends.filter(|end| *end > 0).fold(root, |above, end| self.at(above, path.get(..end).unwrap_or(path)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_of_a_part_holds_below_it_except_of_order() {
        let mut policies = Policies::open();
        policies.any_order("names");
        policies.set("names.1", Policy::default());
        let open = Policy { order: Order::Kept, absent: Absent::IsEmpty, added: Added::Passes };
        let check = |path: &str, expect: Policy| {
            assert_eq!(policies.within(Policy::default(), path), expect, "{path}");
        };
        check("", open);
        check("other.part", open);
        check("names", Policy { order: Order::Any, ..open });
        check("names.0.name", open);
        check("names.1.name", Policy::default());
        assert_eq!(Policies::default().within(Policy::default(), "a.b"), Policy::default());
    }
}
