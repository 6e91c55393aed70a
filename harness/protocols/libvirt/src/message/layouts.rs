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

/// The masks of payloads.
const MASKS: &[&str] = &["clock", "document", "hostname", "str1", "str2", "text", "uuid", "version"];

type Types = BTreeMap<&'static str, Vec<Part>>;

#[derive(Debug, Default)]
struct Text {
    types: Types,
    /// In the order of programs and numbers.
    layouts: Vec<Layout>,
}

impl Text {
    /// Reads `layouts.txt`. An error names the line.
    fn read(text: &'static str) -> Result<Self, String> {
        let (mut this, mut section) = (Self::default(), "");
        let lines = (1..).zip(text.lines());
        for (at, line) in lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#')) {
            if line.starts_with('[') {
                section = line;
            } else {
                this.line(section, line).map_err(|what| format!("line {at}: {what}"))?;
            }
        }
        Ok(this)
    }

    fn line(&mut self, section: &str, line: &'static str) -> Result<(), String> {
        let (name, line) = line.split_once(' ').unwrap_or((line, ""));
        let (arguments, result) = line.split_once("-> ").unwrap_or((line, ""));
        let (arguments, result) = (self.parts(arguments)?, self.parts(result)?);
        let (table, program) = match section {
            "[types]" if result.is_empty() && !self.types.contains_key(name) => {
                self.types.insert(name, arguments);
                return Ok(());
            }
            "[procedures]" => ("procedures", program::REMOTE),
            "[qemu]" => ("qemu", program::QEMU),
            _ => return Err(format!("`{name}` cannot stand below `{section}`")),
        };
        let known = names::table(table).find(|known| known.name == name);
        let procedure = known.ok_or_else(|| format!("no procedure is called `{name}`"))?.number.cast_signed();
        self.layouts.push(Layout { program, procedure, arguments, result });
        Ok(())
    }

    /// Reads parts up to the end.
    fn parts(&self, text: &'static str) -> Result<Vec<Part>, String> {
        match parts(&self.types, text)? {
            (parts, "") if parts.iter().all(|part| !part.name.is_empty()) => Ok(parts),
            (_, "") => Err("a part has no name".to_owned()),
            (_, left) => Err(format!("`{left}` is left over")),
        }
    }
}

/// Reads parts up to the bracket behind them or to the end; gives them and what is left.
fn parts(types: &Types, mut text: &'static str) -> Result<(Vec<Part>, &'static str), String> {
    let mut parts = Vec::new();
    loop {
        text = text.trim_start();
        if text.is_empty() || text.starts_with(')') {
            return Ok((parts, text));
        }
        let (word, behind) = text.split_at(text.find([' ', '(', ')']).unwrap_or(text.len()));
        let (items, left) = match behind.strip_prefix('(') {
            Some(items) => {
                let (items, left) = self::parts(types, items)?;
                (Some(items), left.strip_prefix(')').ok_or_else(|| format!("`{word}(` is not closed"))?)
            }
            None => (None, behind),
        };
        parts.push(part(types, word, items).ok_or_else(|| format!("`{word}` is no part"))?);
        text = left;
    }
}

/// Reads `name:type<bound>/label!mask`; `items` are the elements of a list.
fn part(types: &Types, word: &'static str, items: Option<Vec<Part>>) -> Option<Part> {
    let cut = |word: &'static str, at: char| match word.split_once(at) {
        Some((word, behind)) => (word, Some(behind)),
        None => (word, None),
    };
    let (word, mask) = cut(word, '!');
    let (word, label) = cut(word, '/');
    let (name, word) = word.split_once(':').unwrap_or(("", word));
    let (kind, bound) = match word.strip_suffix('>') {
        Some(bounded) => bounded.split_once('<').map(|(kind, bound)| (kind, Some(bound)))?,
        None => (word, None),
    };
    let bound = bound.map(|bound| bound.parse().map_or(Bound::Limit(bound), Bound::Of));
    let is_known = bound.is_none_or(|bound| bound.of(&Limits::CURRENT) > 0)
        && label.is_none_or(|label| names::table(label).next().is_some())
        && mask.is_none_or(|mask| MASKS.contains(&mask))
        && items.as_ref().is_none_or(|items| !items.is_empty());
    let kind = match (kind, bound, items) {
        _ if !is_known => return None,
        ("i32", None, None) => Kind::Int,
        ("u32", None, None) => Kind::Uint,
        ("i64", None, None) => Kind::Hyper,
        ("u64", None, None) => Kind::UnsignedHyper,
        ("flags", None, None) => Kind::Flags,
        ("string", None, None) => Kind::Text,
        ("string?", None, None) => Kind::OptionalText,
        ("uuid", None, None) => Kind::Uuid,
        ("rest", None, None) => Kind::Rest,
        ("chars", Some(Bound::Of(count)), None) => Kind::Chars(count),
        ("char", Some(bound), None) => Kind::CharList(bound),
        ("bytes", Some(bound), None) => Kind::Opaque(bound),
        ("list", Some(bound), Some(items)) => Kind::List(bound, Order::Kept, items),
        ("set", Some(bound), Some(items)) => Kind::List(bound, Order::Any, items),
        ("parameters", Some(bound), None) => Kind::Parameters(bound),
        (of, None, None) => match of.strip_suffix('?') {
            Some(of) => Kind::Optional(types.get(of)?.clone()),
            None => Kind::Group(types.get(of)?.clone()),
        },
        _ => return None,
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
    fn what_is_no_layout_is_an_error_with_its_line() {
        #[track_caller]
        fn check(parts: &str, expect: &str) {
            let table = format!("[types]\na b:i32\n\n[procedures]\nCONNECT_OPEN {parts}").leak();
            assert_eq!(Text::read(table).err().as_deref(), Some(expect), "{parts}");
        }
        for part in
            ["x", "x:i33", "x:i32<3>", "x:list<3>", "x:char", "x:char<3", "x:char3>", "x:a<3>", "x:b?"]
        {
            check(part, &format!("line 5: `{part}` is no part"));
        }
        for part in
            ["x:char<0>", "x:char<lists>", "x:i32/errors", "x:i32!texts", "x:i32!", "x:list<3", "x:i32"]
        {
            check(&format!("y:i32 -> {part}(i32)"), &format!("line 5: `{part}` is no part"));
        }
        check("x:list<3>()", "line 5: `x:list<3>` is no part");
        check("x:i32 i32", "line 5: a part has no name");
        check("x:i32) y:i32", "line 5: `) y:i32` is left over");
        check("-> x:list<3>(i32 y:i32", "line 5: `x:list<3>(` is not closed");
        check("\nCONNECT_OPENS", "line 6: no procedure is called `CONNECT_OPENS`");
        check("\n[libvirt]\nCONNECT_OPEN", "line 7: `CONNECT_OPEN` cannot stand below `[libvirt]`");
        check("\n[types]\na x:i32", "line 7: `a` cannot stand below `[types]`");
        check("\n[types]\nc x:i32 -> y:i32", "line 7: `c` cannot stand below `[types]`");
        assert_eq!(TEXT.layouts.last().map(|last| (last.program, last.procedure)), Some((program::QEMU, 2)));
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
