//! A reply along the tree of its document.
//!
//! Elements of a list are one place, and so are the values of a map: what is wrong with all of them is told once. Nothing recurses, and
//! each value is looked at once, under all schemas that hold for it; how deep and how large a reply is, its reader limits.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use wire::json::{Kind, Value};

use super::{Departure, Document, Held, Parts, Schema, Type, What};

/// The most departures of one answer that are told; of the rest, how many there are.
pub const DEPARTURES_MAX: usize = 256;
/// The most keys that are looked for in other documents because they are not there; a reply of moby lacks some hundred.
const ABSENT_MAX: usize = 4096;
/// The most of a name or text that is told.
const TOLD_MAX: usize = 64;

/// A way down.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Step<'a> {
    /// To the value of a declared key.
    Key(Cow<'a, str>),
    /// To the value of any other key.
    Other,
    /// To an element.
    Element,
}

/// A key about which other documents may know something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Key {
    /// It is there, and the document does not declare it.
    Unknown,
    /// It is declared, and not there.
    Absent,
}

/// The schemas below a place; nothing where the document has nothing there.
pub(super) fn below(document: &Document, parts: &[u32], step: &Step<'_>) -> Option<Parts> {
    let mut found: Option<Parts> = None;
    for schema in document.parts(parts) {
        let next = match step {
            Step::Key(name) => schema.properties.get(name.as_ref()),
            Step::Other => schema.others.as_ref(),
            Step::Element => schema.items.as_ref(),
        };
        if let Some(next) = next {
            found.get_or_insert_default().extend(next);
        }
    }
    if let Some(found) = &mut found {
        found.sort_unstable();
        found.dedup();
    }
    found
}

/// A place of a document that a reply has reached.
struct Place<'a> {
    /// The place above, and the way from there.
    above: Option<(usize, Step<'a>)>,
    parts: Parts,
    /// Whether an object was there.
    is_object: bool,
}

struct Walk<'a> {
    document: &'a Document,
    places: Vec<Place<'a>>,
    known: BTreeMap<(usize, Step<'a>), Option<usize>>,
    /// What was found, each once: the place, a key of it, what is wrong.
    told: BTreeSet<(usize, Option<String>, &'static str)>,
    found: Vec<Departure>,
    more: usize,
}

/// Holds values against a document. `explain` asks what other documents know of a key.
pub(super) fn departures(
    held: Held<'_>,
    values: &[Value<'_>],
    explain: &dyn Fn(&[Step<'_>], Key) -> Option<What>,
) -> Vec<Departure> {
    let root = Place { above: None, parts: held.parts.to_vec(), is_object: false };
    let mut walk = Walk {
        document: held.document,
        places: vec![root],
        known: BTreeMap::new(),
        told: BTreeSet::new(),
        found: Vec::new(),
        more: 0,
    };
    let mut open: Vec<(Value<'_>, usize)> = values.iter().rev().map(|value| (*value, 0)).collect();
    while let Some((value, place)) = open.pop() {
        walk.value(value, place, &mut open, explain);
    }
    walk.absent(explain);
    if walk.more > 0 {
        walk.found.push(Departure { path: String::new(), what: What::More(walk.more) });
    }
    walk.found
}

impl<'a> Walk<'a> {
    fn value<'v>(
        &mut self,
        value: Value<'v>,
        place: usize,
        open: &mut Vec<(Value<'v>, usize)>,
        explain: &dyn Fn(&[Step<'_>], Key) -> Option<What>,
    ) {
        let Some((parts, document)) = self.places.get(place).map(|at| (at.parts.clone(), self.document))
        else {
            return;
        };
        if value.is_null() {
            return;
        }
        let schemas: Vec<&Schema> = document.parts(&parts).collect();
        for schema in &schemas {
            self.kind(schema, value, place);
        }
        match value.kind() {
            Kind::Object => self.object(value, place, &schemas, open, explain),
            Kind::Array => {
                if let Some(element) = self.step(place, Step::Element) {
                    open.extend(value.items().map(|item| (item, element)));
                }
            }
            _ => {}
        }
    }

    fn kind(&mut self, schema: &Schema, value: Value<'_>, place: usize) {
        let is = |kind: &Type| match kind {
            Type::Object => value.kind() == Kind::Object,
            Type::Array => value.kind() == Kind::Array,
            Type::String => value.kind() == Kind::Text,
            Type::Boolean => value.kind() == Kind::Bool,
            Type::Number => value.kind() == Kind::Number,
            Type::Integer => value.number().is_some_and(is_integer),
        };
        if !schema.types.is_empty() && !schema.types.iter().any(is) {
            let declared = schema.types.iter().map(|kind| kind.word()).collect::<Vec<_>>().join(" or ");
            self.tell(place, None, What::OtherType { declared, found: found(value) });
        } else if let Some(text) = value.text().filter(|_| !schema.words.is_empty())
            && !schema.words.iter().any(|word| *word == text)
        {
            let declared =
                schema.words.iter().map(|word| format!("`{}`", cut(word))).collect::<Vec<_>>().join(", ");
            self.tell(place, None, What::OtherWord { declared, found: cut(&text) });
        }
    }

    fn object<'v>(
        &mut self,
        value: Value<'v>,
        place: usize,
        schemas: &[&'a Schema],
        open: &mut Vec<(Value<'v>, usize)>,
        explain: &dyn Fn(&[Step<'_>], Key) -> Option<What>,
    ) {
        if let Some(at) = self.places.get_mut(place) {
            at.is_object = true;
        }
        // Without any it is an object of which nothing is said.
        let is_described = schemas.iter().any(|schema| !schema.properties.is_empty());
        let mut present = BTreeSet::new();
        for (name, member) in value.members() {
            let declared = schemas.iter().find_map(|schema| schema.properties.get_key_value(name.as_ref()));
            let next = match declared {
                Some((name, _)) => {
                    present.insert(name.as_str());
                    self.step(place, Step::Key(name.into()))
                }
                None => self.step(place, Step::Other),
            };
            match next {
                Some(next) => open.push((member, next)),
                None if is_described => self.unknown(place, &name, explain),
                None => {}
            }
        }
        for required in schemas.iter().flat_map(|schema| &schema.required) {
            if !present.contains(required.as_str()) && value.get(required).is_none() {
                self.tell(place, Some(required), What::Lost);
            }
        }
    }

    /// The place below another one.
    fn step(&mut self, place: usize, step: Step<'a>) -> Option<usize> {
        if let Some(known) = self.known.get(&(place, step.clone())) {
            return *known;
        }
        let parts = self.places.get(place).and_then(|at| below(self.document, &at.parts, &step));
        let next = parts.map(|parts| {
            self.places.push(Place { above: Some((place, step.clone())), parts, is_object: false });
            self.places.len() - 1
        });
        self.known.insert((place, step), next);
        next
    }

    fn unknown(&mut self, place: usize, name: &str, explain: &dyn Fn(&[Step<'_>], Key) -> Option<What>) {
        // What others know of it is asked only where there is room to tell it.
        if self.found.len() >= DEPARTURES_MAX {
            self.more += 1;
            return;
        }
        let steps = self.steps(place, name);
        if let Some(what) = explain(&steps, Key::Unknown) {
            self.tell(place, Some(name), what);
        }
    }

    /// Keys that no object of their place has, and that are not required: that would be told already.
    fn absent(&mut self, explain: &dyn Fn(&[Step<'_>], Key) -> Option<What>) {
        let mut asked = 0;
        for place in 0..self.places.len() {
            let Some(at) = self.places.get(place).filter(|at| at.is_object) else { continue };
            let schemas: Vec<&'a Schema> = self.document.parts(&at.parts).collect();
            let names: BTreeSet<&'a str> =
                schemas.iter().flat_map(|schema| schema.properties.keys()).map(String::as_str).collect();
            for name in names {
                let is_there = self.known.contains_key(&(place, Step::Key(name.into())));
                let is_told =
                    schemas.iter().any(|schema| schema.required.iter().any(|required| required == name));
                if is_there || is_told || self.found.len() >= DEPARTURES_MAX || asked >= ABSENT_MAX {
                    continue;
                }
                asked += 1;
                if let Some(what) = explain(&self.steps(place, name), Key::Absent) {
                    self.tell(place, Some(name), what);
                }
            }
        }
    }

    fn steps(&self, place: usize, name: &str) -> Vec<Step<'a>> {
        let mut steps = vec![Step::Key(Cow::Owned(name.to_owned()))];
        let mut at = place;
        while let Some((above, step)) = self.places.get(at).and_then(|place| place.above.as_ref()) {
            steps.push(step.clone());
            at = *above;
        }
        steps.reverse();
        steps
    }

    fn tell(&mut self, place: usize, name: Option<&str>, what: What) {
        let word = match &what {
            What::OtherType { found, .. } => found,
            What::OtherWord { .. } => "word",
            What::Lost => "lost",
            What::Later(_) | What::Earlier(_) | What::Undocumented => "unknown",
            What::Gone(_) | What::More(_) => "gone",
        };
        if self.found.len() >= DEPARTURES_MAX {
            self.more += 1;
        } else if self.told.insert((place, name.map(str::to_owned), word)) {
            let mut steps = self.steps(place, name.unwrap_or_default());
            if name.is_none() {
                steps.pop();
            }
            self.found.push(Departure { path: readable(&steps), what });
        }
    }
}

/// A place, for people.
fn readable(steps: &[Step<'_>]) -> String {
    let mut path = String::new();
    for step in steps {
        let name = match step {
            Step::Element => {
                path.push_str("[]");
                continue;
            }
            Step::Key(name) => cut(name),
            Step::Other => "*".to_owned(),
        };
        if !path.is_empty() {
            path.push('.');
        }
        path.push_str(&name);
    }
    path
}

fn cut(text: &str) -> String {
    let end = text.floor_char_boundary(TOLD_MAX);
    if end < text.len() { format!("{}…", &text[..end]) } else { text.to_owned() }
}

fn is_integer(number: &str) -> bool {
    number.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-')
}

fn found(value: Value<'_>) -> &'static str {
    match value.kind() {
        Kind::Object => Type::Object.word(),
        Kind::Array => Type::Array.word(),
        Kind::Text => Type::String.word(),
        Kind::Bool => Type::Boolean.word(),
        Kind::Number if value.number().is_some_and(is_integer) => Type::Integer.word(),
        Kind::Number => Type::Number.word(),
        Kind::Null => "null",
    }
}
