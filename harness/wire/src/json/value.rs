//! A value on the tape.

use std::borrow::Cow;
use std::ops::Range;

use super::{Kind, Tape, text};

/// A value within a [`super::Document`].
#[derive(Debug, Clone, Copy)]
pub struct Value<'d> {
    tape: Tape<'d>,
    at: usize,
}

impl<'d> Value<'d> {
    pub(super) fn at(tape: Tape<'d>, at: usize) -> Self {
        Self { tape, at }
    }

    pub(super) fn place(self) -> (Tape<'d>, usize) {
        (self.tape, self.at)
    }

    /// What it is.
    #[must_use]
    pub fn kind(self) -> Kind {
        self.tape.node(self.at).kind
    }

    /// Where it lies in the bytes, with its quotes or brackets.
    #[must_use]
    pub fn span(self) -> Range<usize> {
        let node = self.tape.node(self.at);
        node.start..node.end
    }

    /// Its bytes, with its quotes or brackets.
    #[must_use]
    pub fn raw(self) -> &'d [u8] {
        self.tape.raw(self.tape.node(self.at))
    }

    /// The member of an object: the last one of that name.
    #[must_use]
    pub fn get(self, name: &str) -> Option<Value<'d>> {
        let named = self.pairs().filter(|(at, _)| *self.tape.meaning(*at) == *name.as_bytes());
        named.last().map(|(_, at)| Self { at, ..self })
    }

    /// Names and members of an object, in order, also those of which a later one has the name.
    pub fn members(self) -> impl Iterator<Item = (Cow<'d, str>, Value<'d>)> {
        self.pairs().map(move |(name, at)| (text::readable(self.tape.meaning(name)), Self { at, ..self }))
    }

    /// Elements of a list.
    pub fn items(self) -> impl Iterator<Item = Value<'d>> {
        let is_list = self.kind() == Kind::Array;
        let elements = is_list.then(|| self.tape.children(self.at));
        elements.into_iter().flatten().map(move |at| Self { at, ..self })
    }

    /// What a text says: escapes are resolved, and what is no character becomes U+FFFD.
    #[must_use]
    pub fn text(self) -> Option<Cow<'d, str>> {
        (self.kind() == Kind::Text).then(|| text::readable(self.tape.meaning(self.at)))
    }

    /// A number as it was written, also a word that the rules take for one.
    #[must_use]
    pub fn number(self) -> Option<&'d str> {
        (self.kind() == Kind::Number).then(|| std::str::from_utf8(self.raw()).ok()).flatten()
    }

    /// A number that is written as an integer, without point and exponent, and fits.
    #[must_use]
    pub fn as_i64(self) -> Option<i64> {
        self.number()?.parse().ok()
    }

    /// `true` or `false`.
    #[must_use]
    pub fn as_bool(self) -> Option<bool> {
        (self.kind() == Kind::Bool).then(|| self.raw() == b"true")
    }

    /// Whether it is `null`.
    #[must_use]
    pub fn is_null(self) -> bool {
        self.kind() == Kind::Null
    }

    fn pairs(self) -> impl Iterator<Item = (usize, usize)> + use<'d> {
        let is_object = self.kind() == Kind::Object;
        is_object.then(|| self.tape.members(self.at)).into_iter().flatten()
    }
}
