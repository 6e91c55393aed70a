//! Where two readings of a message differ in meaning.
//!
//! The fields of each are a tree, by the dots in their names. It is compared part by part, by the policies of the message
//! ([`wire::policy`]): members by their names, wherever they stand; elements of a list by their place, or as a bag where
//! their order says nothing. What is volatile in both is passed over. What nobody here understands is not compared, and
//! neither that nor what is there only now is kept from whoever asks.

use std::collections::{HashMap, HashSet, VecDeque};
use std::ops::Range;

use wire::policy::{Absent, Added, Order, Policies, Policy};
use wire::{Dissection, Field, SYNTAX, Value};

use crate::render;

/// So many parts are looked through for a name; of more there is a table.
const FEW: usize = 8;
/// Among how many elements of a bag one is looked for that differs only in what may differ.
const ALIKE_MAX: usize = 64;

/// How two messages compare.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Comparison {
    /// The first part whose meaning differs.
    pub difference: Option<Difference>,
    /// Parts that are there only now, and may be.
    pub added: Vec<String>,
    /// Parts that nobody here understands, so that they were not compared.
    pub not_compared: Vec<String>,
}

/// A part whose meaning differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// Its path.
    pub path: String,
    /// Where it lies in the newer message, if it is there.
    pub span: Option<Range<usize>>,
    /// What it was.
    pub expected: String,
    /// What it is.
    pub actual: String,
}

/// A message: its fields and its bytes.
pub type Message<'a> = (&'a Dissection, &'a [u8]);

/// Compares a message with one that should mean the same, by the policies of the newer one's reader.
#[must_use]
pub fn compare(was: Message<'_>, is: Message<'_>) -> Comparison {
    let mut comparing = Comparing { policies: &is.0.policies, found: Comparison::default() };
    let policy = comparing.policies.at(Policy::default(), "");
    comparing.parts(&Part::of(was), &Part::of(is), policy);
    comparing.found
}

/// What has one path: fields of that name, members and elements below it.
struct Part<'a> {
    path: &'a str,
    /// The last name of its path: elements of bags differ in their places.
    name: &'a str,
    fields: Vec<(&'a Field, &'a [u8])>,
    parts: Vec<Part<'a>>,
    /// Where each of them is, if they are more than a few.
    places: HashMap<&'a str, usize>,
}

const NO_SUCH_FIELD: &str = "no such field";

impl<'a> Part<'a> {
    fn of((dissection, bytes): Message<'a>) -> Self {
        let mut root = Self::at("", "");
        for field in dissection.fields.iter().filter(|field| field.mask != Some(SYNTAX)) {
            let (mut part, mut begin) = (&mut root, 0);
            for end in ends(&field.name) {
                let path = field.name.get(..end).unwrap_or(&field.name);
                let name = path.get(begin..).unwrap_or(path);
                begin = end + 1;
                part = part.enter(path, name);
            }
            part.fields.push((field, bytes));
        }
        root
    }

    fn at(path: &'a str, name: &'a str) -> Self {
        Self { path, name, fields: Vec::new(), parts: Vec::new(), places: HashMap::new() }
    }

    fn part(&self, name: &str) -> Option<&Self> {
        self.parts.get(self.place(name)?)
    }

    fn place(&self, name: &str) -> Option<usize> {
        if self.parts.len() > FEW {
            self.places.get(name).copied()
        } else {
            self.parts.iter().position(|part| part.name == name)
        }
    }

    /// The part of that name, which is made if it is not there.
    fn enter(&mut self, path: &'a str, name: &'a str) -> &mut Self {
        let at = self.place(name).unwrap_or_else(|| {
            let at = self.parts.len();
            self.parts.push(Self::at(path, name));
            match self.parts.len() {
                FEW => self.places = self.parts.iter().map(|part| part.name).zip(0..).collect(),
                len if len > FEW => drop(self.places.insert(name, at)),
                _ => {}
            }
            at
        });
        self.parts.get_mut(at).expect("it was found or has just been added")
    }

    fn is_unread(&self) -> bool {
        let all = self.fields.iter().all(|(field, _)| field.value == Value::Unread);
        all && !self.fields.is_empty() && self.parts.is_empty()
    }

    fn is_element(&self) -> bool {
        !self.name.is_empty() && self.name.bytes().all(|byte| byte.is_ascii_digit())
    }

    fn members(&self) -> impl Iterator<Item = &Self> {
        self.parts.iter().filter(|part| !part.is_element())
    }

    fn elements(&self) -> impl Iterator<Item = &Self> {
        self.parts.iter().filter(|part| part.is_element())
    }

    /// Whether it says no more than what is not there.
    fn is_absent(&self, absent: Absent) -> bool {
        match absent {
            Absent::Differs => false,
            Absent::IsEmpty => self.is_empty(),
            Absent::IsNothing => {
                let nothing =
                    |(field, _): &(&Field, &[u8])| matches!(field.value, Value::Null | Value::Empty);
                self.parts.is_empty() && self.fields.iter().all(nothing)
            }
        }
    }

    /// Whether it is one value, and that which stands for none.
    fn is_empty(&self) -> bool {
        let none = |(field, _): &(&Field, &[u8])| match &field.value {
            Value::Uint(number) | Value::Hex(number) => *number == 0,
            Value::Int(number) => *number == 0,
            Value::Float(bits) => f64::from_bits(*bits) == 0.0,
            Value::Bool(value) => !value,
            Value::Text(text) => text.is_empty(),
            Value::Null | Value::Empty => true,
            Value::Bytes | Value::Unread => field.span.is_empty(),
        };
        self.parts.is_empty() && self.fields.iter().all(none)
    }

    /// The fields that have a value of their own: what is said to be empty beside what is in it says nothing.
    fn values(&self, other: &Self) -> Vec<(&'a Field, &'a [u8])> {
        let holds = !self.parts.is_empty() || !other.parts.is_empty();
        let is_value = |(field, _): &&(&Field, &[u8])| !(holds && field.value == Value::Empty);
        self.fields.iter().filter(is_value).copied().collect()
    }

    /// What it holds, without its own place: two parts that say the same are the same, by any policy.
    fn says(&self) -> String {
        let mut says = String::new();
        for (field, bytes) in &self.fields {
            let value = match (&field.value, field.mask) {
                (_, Some(mask)) => format!("<{mask}>"),
                // More of them than are shown to people.
                (value @ (Value::Bytes | Value::Unread), None) => {
                    format!("{value:?} {:?}", bytes.get(field.span.clone()).unwrap_or_default())
                }
                (value, None) => format!("{value:?} {:?}", is_number(field).then_some(())),
            };
            says.extend([&value, ","]);
        }
        let mut members: Vec<_> =
            self.members().map(|part| format!("{:?}{{{}}}", part.name, part.says())).collect();
        members.sort_unstable();
        says.extend(members);
        says.extend(self.elements().map(|part| format!("[{}]", part.says())));
        says
    }

    /// Its first field, in words.
    fn text(&self) -> String {
        match (self.fields.first(), self.parts.first()) {
            (Some((field, bytes)), _) => render::field(field, bytes),
            (None, Some(part)) => part.text(),
            (None, None) => NO_SUCH_FIELD.to_owned(),
        }
    }

    fn span(&self) -> Option<Range<usize>> {
        let own = self.fields.first().map(|(field, _)| field.span.clone());
        own.or_else(|| self.parts.first()?.span())
    }
}

/// Whether a text is a number that is no integer, as it was written.
fn is_number(field: &Field) -> bool {
    field.label.as_deref() == Some(wire::json::NUMBER)
}

/// Where the names end that make up a path; a dot behind a backslash that is none itself is a part of a name.
fn ends(path: &str) -> impl Iterator<Item = usize> {
    let parts = path.match_indices('.').map(|(end, _)| end);
    let escaped = move |end: &usize| {
        let before = path.get(..*end).unwrap_or_default();
        (before.len() - before.trim_end_matches('\\').len()) % 2 == 1
    };
    parts.filter(move |end| !escaped(end)).chain([path.len()])
}

struct Comparing<'a> {
    policies: &'a Policies,
    found: Comparison,
}

impl Comparing<'_> {
    fn differs(&mut self, path: &str, span: Option<Range<usize>>, texts: impl FnOnce() -> (String, String)) {
        if self.found.difference.is_none() {
            let (expected, actual) = texts();
            self.found.difference = Some(Difference { path: path.to_owned(), span, expected, actual });
        }
    }

    /// Compares two parts, up to the first difference.
    fn parts(&mut self, was: &Part<'_>, is: &Part<'_>, policy: Policy) {
        let may_be_more = policy.absent == Absent::IsNothing && policy.added == Added::Passes;
        if may_be_more && was.is_absent(policy.absent) && !is.is_absent(policy.absent) && !is.is_unread() {
            self.found.added.push(is.path.to_owned());
            return;
        }
        if is.is_unread() && was.is_unread() {
            if was.says() != is.says() {
                self.found.not_compared.push(is.path.to_owned());
            }
            return;
        }
        self.fields(was, is, policy);
        self.members(was, is, policy);
        match policy.order {
            Order::Kept => self.list(was, is, policy),
            Order::Any => self.bag(was, is, policy),
        }
    }

    fn fields(&mut self, was: &Part<'_>, is: &Part<'_>, policy: Policy) {
        if was.is_absent(policy.absent) && is.is_absent(policy.absent) {
            return;
        }
        let (before, after) = (was.values(is), is.values(was));
        for at in 0..before.len().max(after.len()) {
            if self.found.difference.is_some() {
                return;
            }
            match (before.get(at), after.get(at)) {
                (Some(before), Some(after)) => self.field(*before, *after),
                (Some((field, bytes)), None) => {
                    self.differs(was.path, is.span(), || (render::field(field, bytes), is.text()));
                }
                (None, Some((field, bytes))) => {
                    let span = Some(field.span.clone());
                    self.differs(is.path, span, || (was.text(), render::field(field, bytes)));
                }
                (None, None) => {}
            }
        }
    }

    fn field(&mut self, (before, old): (&Field, &[u8]), (after, new): (&Field, &[u8])) {
        if before.mask.is_some() && before.mask == after.mask {
            return;
        }
        let same_bytes = || old.get(before.span.clone()) == new.get(after.span.clone());
        let same = match (&before.value, &after.value) {
            (Value::Bytes, Value::Bytes) => same_bytes(),
            (Value::Empty, Value::Empty) => before.label == after.label,
            (Value::Text(was), Value::Text(is)) => was == is && is_number(before) == is_number(after),
            (was, is) => was == is,
        };
        if !same {
            let texts = || (render::field(before, old), render::field(after, new));
            self.differs(&before.name, Some(after.span.clone()), texts);
        }
    }

    fn members(&mut self, was: &Part<'_>, is: &Part<'_>, policy: Policy) {
        for before in was.members() {
            if self.found.difference.is_some() {
                return;
            }
            let below = self.policies.at(policy, before.path);
            match is.part(before.name) {
                Some(after) => self.parts(before, after, below),
                None => self.lost(before, below),
            }
        }
        for after in is.members().filter(|after| was.part(after.name).is_none()) {
            let below = self.policies.at(policy, after.path);
            match (below.added, below.absent) {
                _ if after.is_unread() => self.found.not_compared.push(after.path.to_owned()),
                _ if after.is_absent(below.absent) => {}
                (Added::Passes, Absent::Differs | Absent::IsNothing) => {
                    self.found.added.push(after.path.to_owned());
                }
                _ => self.extra(after),
            }
        }
    }

    fn list(&mut self, was: &Part<'_>, is: &Part<'_>, policy: Policy) {
        let (mut before, mut after) = (was.elements(), is.elements());
        while self.found.difference.is_none() {
            match (before.next(), after.next()) {
                (Some(before), Some(after)) => {
                    let below = self.policies.at(policy, before.path);
                    self.parts(before, after, below);
                }
                (Some(before), None) => self.lost(before, Policy { absent: Absent::Differs, ..policy }),
                (None, Some(after)) => self.extra(after),
                (None, None) => return,
            }
        }
    }

    /// Elements that say the same are found whatever their number. Of those that are left, each is compared with the one
    /// that differs from it only in what may differ, or with the first.
    fn bag(&mut self, was: &Part<'_>, is: &Part<'_>, policy: Policy) {
        let mut same: HashMap<String, Vec<usize>> = HashMap::new();
        let after: Vec<&Part<'_>> = is.elements().collect();
        for (at, element) in after.iter().enumerate().rev() {
            same.entry(element.says()).or_default().push(at);
        }
        let mut taken = HashSet::new();
        let mut lost = Vec::new();
        for before in was.elements() {
            match same.get_mut(&before.says()).and_then(Vec::pop) {
                Some(at) => taken.extend(after.get(at).map(|element| element.path)),
                None => lost.push(before),
            }
        }
        let mut left: VecDeque<_> = after.into_iter().filter(|at| !taken.contains(at.path)).collect();
        for before in lost {
            if self.found.difference.is_some() {
                return;
            }
            // What passes for more in an element could be what makes it another one.
            let policy = Policy { added: Added::Differs, ..self.policies.at(policy, before.path) };
            let alike = left.iter().take(ALIKE_MAX).position(|after| self.alike(before, after, policy));
            match left.remove(alike.unwrap_or(0)) {
                Some(after) => self.parts(before, after, policy),
                None => self.lost(before, Policy { absent: Absent::Differs, ..policy }),
            }
        }
        left.into_iter().for_each(|after| self.extra(after));
    }

    fn alike(&self, before: &Part<'_>, after: &Part<'_>, policy: Policy) -> bool {
        let mut comparing = Comparing { policies: self.policies, found: Comparison::default() };
        comparing.parts(before, after, policy);
        comparing.found.difference.is_none()
    }

    fn lost(&mut self, before: &Part<'_>, policy: Policy) {
        if before.is_unread() {
            self.found.not_compared.push(before.path.to_owned());
        } else if !before.is_absent(policy.absent) {
            self.differs(before.path, None, || (before.text(), NO_SUCH_FIELD.to_owned()));
        }
    }

    fn extra(&mut self, after: &Part<'_>) {
        self.differs(after.path, after.span(), || (NO_SUCH_FIELD.to_owned(), after.text()));
    }
}

#[cfg(test)]
mod tests;
