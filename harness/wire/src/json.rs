//! JSON as peers really write it: a parser without recursion, and a lossless reading of one value.
//!
//! The parser lays a value out on a flat *tape*, one node for each value and each member name, in the
//! order of the bytes. A node is a kind and a span of the input; nothing is copied and nothing dropped.
//!
//! ```text
//! {"count": 2, "list": [true]}
//!
//! node    0        1         2       3        4       5
//!         Object   Text      Number  Text     Array   Bool
//!         0..28    1..8      10..11  13..19   21..27  22..26
//! behind  6        2         3       4        6       6
//! ```
//!
//! `behind` is the node that follows a value with all that is in it, so that the tape is walked without
//! recursion, however deep a peer nests. How deep and how many are limits of the [`Rules`], and the tape
//! grows only with what has come.
//!
//! Specified by RFC 8259. Where the peers that are judged here read or write something else, that is a
//! switch of the [`Rules`]. Numbers keep their digits (RFC 8259, section 6, leaves range and precision
//! open), and text is kept as it was written, so that both can be compared by meaning or byte by byte.

mod dissect;
mod number;
mod parse;
mod same;
mod text;
mod value;

pub use dissect::{NUMBER, dissect};
pub(crate) use parse::is_white_space;
pub use same::same_value;
pub use text::{write_text, write_text_upper};
pub use value::Value;

pub use crate::dissect::{SYNTAX, UNKNOWN};
pub use crate::path::NAME_MAX;

use std::fmt;

/// How deep [`Rules::STRICT`] and its variants nest: the limit of qemu's parser, `MAX_NESTING`. Measured
/// on qemu-ga 5.2 to 11.1: 1024 are echoed, 1025 are refused.
pub const DEPTH_MAX: usize = 1024;

/// How many nodes a tape of [`Rules::STRICT`] and its variants holds: one for each byte of a line that
/// VDSM takes, the longest one of a peer that is judged here with room to spare.
pub const NODES_MAX: usize = 1 << 20;

/// What a reader takes for JSON beyond RFC 8259, and its limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rules {
    /// The most lists and objects that are open at once.
    pub depth_max: usize,
    /// The most nodes on the tape: values and member names.
    pub nodes_max: usize,
    /// `NaN`, `Infinity` and `-Infinity` are numbers.
    pub constants: bool,
    /// `inf`, `-inf`, `nan` and `-nan` are numbers: what C prints.
    pub inf_words: bool,
    /// Text may stand in single quotes, and `\'` is an escape.
    pub single_quotes: bool,
    /// An escaped surrogate may stand alone: `"\ud800"`.
    pub lone_surrogates: bool,
    /// A surrogate may be encoded in UTF-8: `ed a0 80`.
    pub raw_utf8_surrogates: bool,
    /// NUL may be encoded as `c0 80`.
    pub overlong_nul: bool,
    /// Bytes that are no UTF-8 may stand in text and are read as U+FFFD, as by a reader that decodes the
    /// whole line before it parses it.
    pub broken_utf8: bool,
    /// A noncharacter may stand in text, escaped or not: U+FDD0 to U+FDEF and the last two of each plane.
    pub noncharacters: bool,
    /// A zero that leads may be followed by an exponent: `0e5`.
    pub zero_exponent: bool,
    /// Bytes below 20 may stand in text.
    pub control_bytes: bool,
    /// A member name may come twice in an object; the last one counts.
    pub duplicates: bool,
}

impl Rules {
    /// RFC 8259. Names that come twice are allowed there and kept here.
    pub const STRICT: Self = Self {
        depth_max: DEPTH_MAX,
        nodes_max: NODES_MAX,
        constants: false,
        inf_words: false,
        single_quotes: false,
        lone_surrogates: false,
        raw_utf8_surrogates: false,
        overlong_nul: false,
        broken_utf8: false,
        noncharacters: true,
        zero_exponent: true,
        control_bytes: false,
        duplicates: true,
    };

    /// The module `json` of Python 2 and 3 behind a decoder of UTF-8. That of Python 2 takes encoded
    /// surrogates too ([`Rules::raw_utf8_surrogates`]); a decoder that replaces what is no UTF-8 is
    /// [`Rules::broken_utf8`]. Python's own limit of nesting is its stack, about 1000.
    pub const PYTHON: Self = Self { constants: true, lone_surrogates: true, ..Self::STRICT };

    /// The parser of qemu, for requests. Compared with qemu-ga 5.2 to 11.1 with 18000 requests of odd values
    /// each: the same ones are accepted, and what is echoed is what was read.
    pub const QEMU: Self = Self {
        single_quotes: true,
        overlong_nul: true,
        noncharacters: false,
        zero_exponent: false,
        duplicates: false,
        ..Self::STRICT
    };

    /// What qemu-ga prints: JSON, but for numbers that are not finite.
    pub const QEMU_REPLY: Self = Self { inf_words: true, ..Self::STRICT };
}

/// What a value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool,
    /// A number, also one of the words that the [`Rules`] take for one.
    Number,
    /// A string.
    Text,
    /// A list.
    Array,
    /// An object.
    Object,
}

/// Why some bytes are no JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SyntaxError {
    /// Where, counted from the front of the bytes.
    pub offset: usize,
    /// What is wrong there, as a lowercase fragment.
    pub what: &'static str,
}

impl fmt::Display for SyntaxError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at offset {}", self.what, self.offset)
    }
}

impl std::error::Error for SyntaxError {}

/// One value, read from some bytes.
#[derive(Debug, Clone)]
pub struct Document<'a> {
    bytes: &'a [u8],
    nodes: Vec<Node>,
    rules: Rules,
}

impl<'a> Document<'a> {
    /// Reads one value. White space around it is allowed, anything else behind it is an error.
    ///
    /// # Errors
    /// The bytes are no JSON by these rules, or above a limit of them.
    pub fn parse(bytes: &'a [u8], rules: Rules) -> Result<Self, SyntaxError> {
        let mut parser = parse::Parser::new(bytes, rules);
        parser.run()?;
        Ok(Self { bytes, nodes: parser.into_nodes(), rules })
    }

    /// The value.
    #[must_use]
    pub fn root(&self) -> Value<'_> {
        Value::at(self.tape(), 0)
    }

    fn tape(&self) -> Tape<'_> {
        Tape { bytes: self.bytes, nodes: &self.nodes, rules: &self.rules }
    }
}

/// One value or one member name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Node {
    kind: Kind,
    /// Whether the text is what stands between its quotes: UTF-8 without escapes.
    plain: bool,
    start: usize,
    end: usize,
    /// The node behind this one and all that is in it. While the value is being read, the one in which
    /// it lies.
    behind: usize,
}

/// The nodes and the bytes that they are spans of.
#[derive(Debug, Clone, Copy)]
struct Tape<'d> {
    bytes: &'d [u8],
    nodes: &'d [Node],
    rules: &'d Rules,
}

impl<'d> Tape<'d> {
    /// The node, or `null` where there is none, which is nowhere that a tape leads to.
    fn node(self, at: usize) -> Node {
        const NOTHING: Node = Node { kind: Kind::Null, plain: false, start: 0, end: 0, behind: usize::MAX };
        self.nodes.get(at).copied().unwrap_or(NOTHING)
    }

    fn raw(self, node: Node) -> &'d [u8] {
        self.bytes.get(node.start..node.end).unwrap_or_default()
    }

    /// The nodes directly in the one at that place: elements, or names and members in turn.
    fn children(self, at: usize) -> impl Iterator<Item = usize> + use<'d> {
        let behind = self.node(at).behind;
        let first = Some(at.saturating_add(1)).filter(|first| *first < behind);
        std::iter::successors(first, move |child| {
            Some(self.node(*child).behind).filter(|next| *next < behind)
        })
    }

    /// Names and members of the object at that place.
    fn members(self, at: usize) -> impl Iterator<Item = (usize, usize)> + use<'d> {
        let mut children = self.children(at);
        std::iter::from_fn(move || Some((children.next()?, children.next()?)))
    }

    /// The meaning of a text, see [`text::meaning`].
    fn meaning(self, at: usize) -> std::borrow::Cow<'d, [u8]> {
        let node = self.node(at);
        text::meaning(self.raw(node), node.plain, self.rules)
    }
}

#[cfg(test)]
#[expect(clippy::indexing_slicing, reason = "a wrong index fails the test, which is what it is for")]
mod tests;
