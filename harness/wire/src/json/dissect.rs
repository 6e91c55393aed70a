//! A value as fields: every byte in exactly one of them.
//!
//! ```text
//! {"free-ram": "22303", "disks": [{"used": 5}]}\n
//! ^^^^^^^^^^^^^       ^^^^^^^^^^^^^^^^^^^^^^^^^ ^^^^^  syntax
//!              free-ram                       disks.0.used
//! ```
//!
//! Names of fields are made of what a peer sent. They are cut at a length ([`super::NAME_MAX`]), control
//! characters in them are written out, and no two paths have the same name.

use std::borrow::Cow;
use std::ops::Range;

use super::parse::{Parser, duplicates};
use super::{Kind, Rules, Tape, text};
use crate::path::Path;
use crate::{Dissection, Field, Problem, SYNTAX, UNKNOWN, Value};

/// The label of a number that is no integer; it is kept as it was written.
pub const NUMBER: &str = "number";

/// Reads `bytes` as one value and names every part of it; `mask` says under which mask the field of a
/// name stands. Members are named with dots and elements by their index (`memory-stat.swap_in`,
/// `disks.0.path`). An empty list or object is a field of its own. After a syntax error the rest is a
/// field [`UNKNOWN`].
///
/// ```text
/// number   Int or Uint if it is written as one, else Text with the label `number`
/// text     Text
/// bool     Bool
/// null     Null; an empty list or object is Empty with the label `[]` or `{}`
/// ```
#[must_use]
pub fn dissect(bytes: &[u8], rules: Rules, mask: &dyn Fn(&str) -> Option<&'static str>) -> Dissection {
    let mut parser = Parser::new(bytes, rules);
    let error = parser.run().err();
    let end = if error.is_some() { parser.token() } else { bytes.len() };
    let nodes = parser.into_nodes();
    let tape = Tape { bytes, nodes: &nodes, rules: &rules };
    let found = Dissection { fields: Vec::with_capacity(nodes.len()), ..Dissection::default() };
    let mut walk = Walk { tape, mask, path: Path::default(), at: 0, found };
    walk.all();
    walk.syntax_up_to(end);
    let mut found = walk.found;
    if let Some(error) = error {
        if end < bytes.len() {
            let rest = bare(UNKNOWN, end..bytes.len(), None);
            found.fields.push(Field { value: Value::Unread, ..rest });
        }
        let span = error.offset..error.offset.saturating_add(1).min(bytes.len()).max(error.offset);
        found.problems.push(Problem { span, what: error.what.to_owned() });
    }
    found
}

fn bare(name: &'static str, span: Range<usize>, mask: Option<&'static str>) -> Field {
    Field { name: name.into(), span, value: Value::Bytes, label: None, mask }
}

/// A walk along the tape.
struct Walk<'d> {
    tape: Tape<'d>,
    mask: &'d dyn Fn(&str) -> Option<&'static str>,
    path: Path,
    /// Where the bytes begin that are in no field yet.
    at: usize,
    found: Dissection,
}

/// A list or object that is being walked through.
struct Level {
    kind: Kind,
    behind: usize,
    /// How long the path to it is.
    path: usize,
    /// How many elements have been passed.
    index: usize,
}

impl Walk<'_> {
    fn all(&mut self) {
        let mut levels: Vec<Level> = Vec::new();
        let mut at = 0;
        while at < self.tape.nodes.len() {
            while levels.pop_if(|level| level.behind <= at).is_some() {}
            if let Some(level) = levels.last_mut() {
                self.path.truncate(level.path);
                if level.kind == Kind::Object {
                    self.path.member(&text::readable(self.tape.meaning(at)));
                    at = at.saturating_add(1);
                } else {
                    self.path.element(level.index);
                    level.index = level.index.saturating_add(1);
                }
            }
            let Some(node) = self.tape.nodes.get(at) else { break };
            let next = at.saturating_add(1);
            if matches!(node.kind, Kind::Array | Kind::Object) && node.behind > next {
                self.twice(at);
                levels.push(Level { kind: node.kind, behind: node.behind, path: self.path.len(), index: 0 });
            } else {
                self.field(at);
            }
            at = next;
        }
    }

    /// Members that a later one of the same name puts out of force.
    fn twice(&mut self, object: usize) {
        if self.tape.node(object).kind != Kind::Object {
            return;
        }
        for name in duplicates(self.tape, object) {
            let node = self.tape.node(name);
            let what = "a member name comes twice, the last one counts".to_owned();
            self.found.problems.push(Problem { span: node.start..node.end, what });
        }
    }

    fn field(&mut self, at: usize) {
        let node = self.tape.node(at);
        self.syntax_up_to(node.start);
        let (value, label) = self.value(at);
        let name = self.path.name();
        let mask = (self.mask)(&name);
        let label = label.map(Cow::Borrowed);
        self.found.fields.push(Field { name: name.into(), span: node.start..node.end, value, label, mask });
        self.at = node.end;
    }

    fn value(&self, at: usize) -> (Value, Option<&'static str>) {
        let value = super::Value::at(self.tape, at);
        match value.kind() {
            Kind::Null => (Value::Null, None),
            Kind::Array => (Value::Empty, Some("[]")),
            Kind::Object => (Value::Empty, Some("{}")),
            Kind::Bool => (Value::Bool(value.as_bool() == Some(true)), None),
            Kind::Text => (Value::Text(value.text().unwrap_or_default().into_owned()), None),
            Kind::Number => {
                let digits = value.number().unwrap_or_default();
                match (digits.parse(), digits.parse()) {
                    (Ok(number), _) => (Value::Int(number), None),
                    (_, Ok(number)) => (Value::Uint(number), None),
                    _ => (Value::Text(digits.to_owned()), Some(NUMBER)),
                }
            }
        }
    }

    fn syntax_up_to(&mut self, end: usize) {
        if self.at < end {
            self.found.fields.push(bare(SYNTAX, self.at..end, Some(SYNTAX)));
            self.at = end;
        }
    }
}
