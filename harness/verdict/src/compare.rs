//! Where two readings of a message differ in meaning.
//!
//! The fields of each are a tree, by the dots in their names. It is compared part by part, by the policies of the message
//! ([`wire::policy`]): members by their names, wherever they stand; elements of a list by their place, or as a bag where
//! their order says nothing. What is volatile in both is passed over. What nobody here understands is not compared, and
//! neither that nor what is there only now is kept from whoever asks.

use std::collections::{HashMap, HashSet};
use std::ops::Range;

use wire::policy::{Absent, Added, Order, Policies, Policy};
use wire::{Dissection, Field, SYNTAX, Value};

use crate::render;

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
    /// Where each of them is; a peer may have sent any number.
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
                let at = *part.places.entry(name).or_insert(part.parts.len());
                if at == part.parts.len() {
                    part.parts.push(Self::at(path, name));
                }
                part = part.parts.get_mut(at).expect("it was found or has just been added");
            }
            part.fields.push((field, bytes));
        }
        root
    }

    fn at(path: &'a str, name: &'a str) -> Self {
        Self { path, name, fields: Vec::new(), parts: Vec::new(), places: HashMap::new() }
    }

    fn part(&self, name: &str) -> Option<&Self> {
        self.parts.get(*self.places.get(name)?)
    }

    fn is_unknown(&self) -> bool {
        !self.fields.is_empty()
            && self.fields.iter().all(|(field, _)| field.is_unknown())
            && self.parts.is_empty()
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

    /// Whether everything in it has the value that stands for none.
    fn is_empty(&self) -> bool {
        let none = |(field, _): &(&Field, &[u8])| match &field.value {
            Value::Uint(number) | Value::Hex(number) => *number == 0,
            Value::Int(number) => *number == 0,
            Value::Float(bits) => f64::from_bits(*bits) == 0.0,
            Value::Bool(value) => !value,
            Value::Text(text) => text.is_empty(),
            Value::Null | Value::Empty => true,
            Value::Bytes => field.span.is_empty(),
        };
        self.fields.iter().all(none) && self.parts.iter().all(Self::is_empty)
    }

    /// What it holds, without its own place.
    fn says(&self) -> String {
        let own = self.fields.iter().filter(|(field, _)| field.mask.is_none());
        let whole = |(field, bytes): &(&Field, &[u8])| match &field.value {
            // More of them than are shown to people.
            Value::Bytes => bytes.get(field.span.clone()).unwrap_or_default().escape_ascii().to_string(),
            Value::Empty => field.label.clone().unwrap_or_default().into_owned(),
            _ => render::value(field, bytes),
        };
        let mut says: String = own.map(whole).collect();
        for part in &self.parts {
            says.extend(["{", part.name, "=", &part.says(), "}"]);
        }
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

/// Where the names end that make up a path; a dot behind a backslash is a part of a name.
fn ends(path: &str) -> impl Iterator<Item = usize> {
    let parts = path.match_indices('.').map(|(end, _)| end);
    let escaped = move |end: &usize| path.get(..*end).is_some_and(|before| before.ends_with('\\'));
    parts.filter(move |end| !escaped(end)).chain([path.len()])
}

struct Comparing<'a> {
    policies: &'a Policies,
    found: Comparison,
}

impl Comparing<'_> {
    fn differs(&mut self, path: &str, span: Option<Range<usize>>, expected: String, actual: String) {
        if self.found.difference.is_none() {
            self.found.difference = Some(Difference { path: path.to_owned(), span, expected, actual });
        }
    }

    /// Compares two parts of one path; of a part that holds several, everything up to the first difference.
    fn parts(&mut self, was: &Part<'_>, is: &Part<'_>, policy: Policy) {
        if is.is_unknown() && was.is_unknown() {
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
        let nothing = policy.absent == Absent::IsEmpty && was.is_empty() && is.is_empty();
        for at in 0..was.fields.len().max(is.fields.len()) {
            match (was.fields.get(at), is.fields.get(at)) {
                (Some(before), Some(after)) => self.field(*before, *after),
                _ if nothing => {}
                (Some((field, bytes)), None) => {
                    self.differs(was.path, is.span(), render::field(field, bytes), is.text());
                }
                (None, Some((field, bytes))) => {
                    let actual = render::field(field, bytes);
                    self.differs(is.path, Some(field.span.clone()), was.text(), actual);
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
            (was, is) => was == is,
        };
        if !same {
            let (expected, actual) = (render::field(before, old), render::field(after, new));
            self.differs(&before.name, Some(after.span.clone()), expected, actual);
        }
    }

    fn members(&mut self, was: &Part<'_>, is: &Part<'_>, policy: Policy) {
        for before in was.members() {
            let below = self.policies.at(policy, before.path);
            match is.part(before.name) {
                Some(after) => self.parts(before, after, below),
                None => self.lost(before, below),
            }
        }
        for after in is.members().filter(|after| was.part(after.name).is_none()) {
            let below = self.policies.at(policy, after.path);
            let is_nothing = below.absent == Absent::IsEmpty && after.is_empty();
            match below.added {
                _ if after.is_unknown() => self.found.not_compared.push(after.path.to_owned()),
                _ if is_nothing => {}
                Added::Passes => self.found.added.push(after.path.to_owned()),
                Added::Differs => self.extra(after),
            }
        }
    }

    fn list(&mut self, was: &Part<'_>, is: &Part<'_>, policy: Policy) {
        let (mut before, mut after) = (was.elements(), is.elements());
        loop {
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
        let mut left = after;
        left.retain(|element| !taken.contains(element.path));
        for before in lost {
            let policy = self.policies.at(policy, before.path);
            if left.is_empty() {
                self.lost(before, Policy { absent: Absent::Differs, ..policy });
                continue;
            }
            let alike = left.iter().take(ALIKE_MAX).position(|after| self.alike(before, after, policy));
            let after = left.remove(alike.unwrap_or(0));
            self.parts(before, after, policy);
        }
        left.into_iter().for_each(|after| self.extra(after));
    }

    fn alike(&self, before: &Part<'_>, after: &Part<'_>, policy: Policy) -> bool {
        let mut comparing = Comparing { policies: self.policies, found: Comparison::default() };
        comparing.parts(before, after, policy);
        comparing.found.difference.is_none()
    }

    fn lost(&mut self, before: &Part<'_>, policy: Policy) {
        let is_nothing = policy.absent == Absent::IsEmpty && before.is_empty();
        if before.is_unknown() {
            self.found.not_compared.push(before.path.to_owned());
        } else if !is_nothing {
            self.differs(before.path, None, before.text(), NO_SUCH_FIELD.to_owned());
        }
    }

    fn extra(&mut self, after: &Part<'_>) {
        self.differs(after.path, after.span(), NO_SUCH_FIELD.to_owned(), after.text());
    }
}

#[cfg(test)]
mod tests;
