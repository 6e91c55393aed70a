//! What follows what in a payload, as data: `layouts.txt` says it in a notation of its own.
//!
//! A layout is a list of parts. The dissection reads a payload by it, and the lock file is written from
//! it, so neither can say what the other does not. All parts are XDR (RFC 4506); what a release changes
//! under a number is another layout for that release, see [`layout`].

use std::collections::BTreeMap;
use std::sync::LazyLock;

use crate::dialect::{Dialect, Limits, UpdateOrder};
use crate::names::{self, procedures as p, program};

/// One part of a payload.
#[derive(Debug, Clone)]
pub(crate) struct Part {
    /// Its name.
    pub name: &'static str,
    /// What it is.
    pub kind: Kind,
    /// The table with the names of its values, where they have some.
    pub label: Option<&'static str>,
    /// The mask under which comparison passes over it.
    pub mask: Option<&'static str>,
}

/// What a part is.
#[derive(Debug, Clone)]
pub(crate) enum Kind {
    /// A signed integer of four bytes.
    Int,
    /// An unsigned integer of four bytes; also what the protocol calls a char or a short.
    Uint,
    /// Four bytes of flags.
    Flags,
    /// A signed integer of eight bytes.
    Hyper,
    /// An unsigned integer of eight bytes.
    UnsignedHyper,
    /// Text with its length and padding.
    Text,
    /// The same, or nothing.
    OptionalText,
    /// Sixteen bytes.
    Uuid,
    /// A fixed number of characters, each in four bytes.
    Chars(u32),
    /// Characters, each in four bytes, behind their number.
    CharList(Bound),
    /// Bytes behind their number, with padding.
    Opaque(Bound),
    /// Parts one behind the other.
    Group(Vec<Part>),
    /// The same, or nothing.
    Optional(Vec<Part>),
    /// Elements behind their number.
    List(Bound, Order, Vec<Part>),
    /// A list of typed parameters: name, type, and a value of that type.
    Parameters(Bound),
    /// The rest, of which no layout is known.
    Rest,
}

/// What the order of a list says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    /// It is part of the meaning.
    Kept,
    /// None: it is the order of the server's hash table.
    Any,
}

/// The largest number of elements or bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bound {
    /// A limit of the dialect, by its name.
    Limit(&'static str),
    /// One of this list alone.
    Of(u32),
}

impl Bound {
    /// The number, in a dialect with these limits.
    pub(crate) fn of(self, limits: &Limits) -> u32 {
        match self {
            Self::Limit(name) => limits.named(name).unwrap_or(0),
            Self::Of(number) => number,
        }
    }
}

/// What one procedure carries.
#[derive(Debug, Clone)]
pub(crate) struct Layout {
    /// Its program.
    pub program: u32,
    /// Its number.
    pub procedure: i32,
    /// Arguments of the call; empty for an event.
    pub arguments: Vec<Part>,
    /// Result of the call, or what the event carries.
    pub result: Vec<Part>,
}

/// The layout of a procedure or event, where one is known, in a dialect that has it or not: numbers are
/// never reused.
pub(crate) fn layout(dialect: &Dialect, program: u32, procedure: i32) -> Option<&'static Layout> {
    let swapped = dialect.update_order == UpdateOrder::SectionFirst;
    if swapped && (program, procedure) == (program::REMOTE, p::NETWORK_UPDATE) {
        return Some(&UPDATE_SECTION_FIRST);
    }
    let key = |layout: &Layout| (layout.program, layout.procedure);
    let at = TEXT.layouts.binary_search_by_key(&(program, procedure), key).ok()?;
    TEXT.layouts.get(at)
}

/// An error, in replies and at the end of streams.
pub(crate) fn error() -> &'static [Part] {
    &TEXT.types["error"]
}

/// A hole in a stream.
pub(crate) fn stream_hole() -> &'static [Part] {
    &TEXT.types["stream-hole"]
}

static UPDATE_SECTION_FIRST: LazyLock<Layout> = LazyLock::new(|| {
    let known = TEXT.layouts.iter().find(|known| known.procedure == p::NETWORK_UPDATE);
    let mut swapped = known.expect("a constant, which tests read").clone();
    swapped.arguments.swap(1, 2);
    swapped
});

static TEXT: LazyLock<Text> =
    LazyLock::new(|| Text::read(include_str!("layouts.txt")).expect("a constant, which tests read"));

type Types = BTreeMap<&'static str, Vec<Part>>;

#[derive(Debug, Default)]
struct Text {
    types: Types,
    /// In the order of programs and numbers.
    layouts: Vec<Layout>,
}

impl Text {
    fn read(text: &'static str) -> Option<Self> {
        let (mut this, mut section) = (Self::default(), "");
        for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
            if let Some(name) = line.strip_prefix('[') {
                section = name.trim_end_matches(']');
                continue;
            }
            let (name, line) = line.split_once(' ').unwrap_or((line, ""));
            let (arguments, result) = line.split_once("-> ").unwrap_or((line, ""));
            let (arguments, _) = parts(&this.types, arguments)?;
            if section == "types" {
                this.types.insert(name, arguments);
                continue;
            }
            let (result, _) = parts(&this.types, result)?;
            let program = if section == "qemu" { program::QEMU } else { program::REMOTE };
            let procedure = names::number(section, name).cast_signed();
            this.layouts.push(Layout { program, procedure, arguments, result });
        }
        Some(this)
    }
}

/// Reads parts up to the bracket behind them or to the end; gives them and what is left.
fn parts(types: &Types, mut text: &'static str) -> Option<(Vec<Part>, &'static str)> {
    let mut parts = Vec::new();
    loop {
        text = text.trim_start();
        if text.is_empty() || text.starts_with(')') {
            return Some((parts, text.get(1..).unwrap_or("")));
        }
        let (word, behind) = text.split_at(text.find([' ', '(', ')']).unwrap_or(text.len()));
        let (items, left) = match behind.strip_prefix('(') {
            Some(items) => self::parts(types, items)?,
            None => (Vec::new(), behind),
        };
        parts.push(part(types, word, items)?);
        text = left;
    }
}

/// Reads `name:type<bound>/label!mask`; `items` are the elements of a list.
fn part(types: &Types, word: &'static str, items: Vec<Part>) -> Option<Part> {
    let cut = |word: &'static str, at: char| match word.split_once(at) {
        Some((word, behind)) => (word, Some(behind)),
        None => (word, None),
    };
    let (word, mask) = cut(word, '!');
    let (word, label) = cut(word, '/');
    let (name, word) = word.split_once(':').unwrap_or(("", word));
    let (kind, bound) = cut(word.trim_end_matches('>'), '<');
    let bound = bound.map(|bound| bound.parse().map_or(Bound::Limit(bound), Bound::Of));
    let kind = match (kind, bound) {
        ("i32", None) => Kind::Int,
        ("u32", None) => Kind::Uint,
        ("i64", None) => Kind::Hyper,
        ("u64", None) => Kind::UnsignedHyper,
        ("flags", None) => Kind::Flags,
        ("string", None) => Kind::Text,
        ("string?", None) => Kind::OptionalText,
        ("uuid", None) => Kind::Uuid,
        ("rest", None) => Kind::Rest,
        ("chars", Some(Bound::Of(count))) => Kind::Chars(count),
        ("char", Some(bound)) => Kind::CharList(bound),
        ("bytes", Some(bound)) => Kind::Opaque(bound),
        ("list", Some(bound)) => Kind::List(bound, Order::Kept, items),
        ("set", Some(bound)) => Kind::List(bound, Order::Any, items),
        ("parameters", Some(bound)) => Kind::Parameters(bound),
        (of, _) => match of.strip_suffix('?') {
            Some(of) => Kind::Optional(types.get(of)?.clone()),
            None => Kind::Group(types.get(of)?.clone()),
        },
    };
    Some(Part { name, kind, label, mask })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::DIALECTS;

    #[test]
    fn layouts_are_in_order_and_have_names() {
        let keys: Vec<_> = TEXT.layouts.iter().map(|layout| (layout.program, layout.procedure)).collect();
        assert!(keys.is_sorted_by(|one, next| one < next), "{keys:?}");
        for (program, procedure) in keys {
            assert!(names::procedure_name(program, procedure).is_some(), "{program:#x} {procedure}");
        }
    }

    /// A field is found by its name, so a payload may have none that the header has.
    #[test]
    fn no_part_is_called_like_a_field_of_the_header() {
        const HEAD: [&str; 8] =
            ["length", "program", "version", "procedure", "type", "serial", "status", "descriptors"];
        for layout in &TEXT.layouts {
            for part in layout.arguments.iter().chain(&layout.result) {
                assert!(!HEAD.contains(&part.name), "{} of {}", part.name, layout.procedure);
            }
        }
        assert!(error().iter().chain(stream_hole()).all(|part| !HEAD.contains(&part.name)));
    }

    #[test]
    fn events_have_no_arguments() {
        for layout in TEXT.layouts.iter().filter(|layout| layout.program == program::REMOTE) {
            let event = names::is_event(layout.procedure);
            assert!(!event || layout.arguments.is_empty(), "{}", layout.procedure);
        }
    }

    #[test]
    fn bounds_and_labels_are_known() {
        fn check(parts: &[Part]) {
            for part in parts {
                let labelled = part.label.is_none_or(|table| names::table(table).next().is_some());
                assert!(labelled, "{part:?}");
                match &part.kind {
                    Kind::Group(parts) | Kind::Optional(parts) => check(parts),
                    Kind::CharList(bound) | Kind::Opaque(bound) | Kind::Parameters(bound) => {
                        assert_ne!(bound.of(&Limits::CURRENT), 0, "{part:?}");
                    }
                    Kind::List(bound, _, items) => {
                        assert!(bound.of(&Limits::CURRENT) > 0 && !items.is_empty(), "{part:?}");
                        check(items);
                    }
                    _ => {}
                }
            }
        }
        TEXT.types.values().for_each(|parts| check(parts));
        TEXT.layouts.iter().for_each(|layout| check(&layout.arguments));
        TEXT.layouts.iter().for_each(|layout| check(&layout.result));
    }

    #[test]
    fn the_order_of_291_is_that_of_the_dialect() {
        for (name, first) in [("7.0.0", "section"), ("9.0.0", "command"), ("ideal", "command")] {
            let dialect = DIALECTS.named(name).expect("in the table");
            let layout = layout(dialect, program::REMOTE, p::NETWORK_UPDATE).expect("known");
            assert_eq!(layout.arguments.get(1).map(|part| part.name), Some(first), "{name}");
        }
    }
}
