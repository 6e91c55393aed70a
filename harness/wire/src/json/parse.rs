//! Bytes to tape.

use std::collections::HashSet;

use super::text::{Piece, is_noncharacter, piece};
use super::{Kind, Node, Rules, SyntaxError, Tape, number};

/// No node: the value that is read is in no other one.
const NOWHERE: usize = usize::MAX;

/// What may come next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Expect {
    Value,
    /// A value, or the end of the list that has just begun.
    FirstItem,
    Name,
    /// A name, or the end of the object that has just begun.
    FirstName,
    Colon,
    /// A comma, or the end of what is open; nothing behind the outermost value.
    Behind,
}

/// Reads one value. After an error the nodes are those that were read before it.
pub(super) struct Parser<'a> {
    bytes: &'a [u8],
    rules: Rules,
    nodes: Vec<Node>,
    at: usize,
    /// Where the token begins that is being read.
    token: usize,
    /// The innermost list or object that is not closed.
    open: usize,
    depth: usize,
}

impl<'a> Parser<'a> {
    pub(super) fn new(bytes: &'a [u8], rules: Rules) -> Self {
        // Most messages have less than that; what is large grows as it is read.
        let nodes = Vec::with_capacity((bytes.len() / 8).min(32));
        Self { bytes, rules, nodes, at: 0, token: 0, open: NOWHERE, depth: 0 }
    }

    /// The tape. What was never closed ends where reading ended.
    pub(super) fn into_nodes(mut self) -> Vec<Node> {
        let behind = self.nodes.len();
        while let Some(node) = self.nodes.get_mut(self.open) {
            self.open = node.behind;
            (node.end, node.behind) = (self.token, behind);
        }
        self.nodes
    }

    /// Where the token begins that was read last.
    pub(super) fn token(&self) -> usize {
        self.token
    }

    pub(super) fn run(&mut self) -> Result<(), SyntaxError> {
        let mut expect = Expect::Value;
        loop {
            self.skip_white_space();
            self.token = self.at;
            let Some(byte) = self.peek() else {
                let whole = expect == Expect::Behind && self.open == NOWHERE;
                return if whole { Ok(()) } else { self.wrong("ends before the value does") };
            };
            expect = match expect {
                Expect::FirstItem if byte == b']' => self.close()?,
                Expect::Value | Expect::FirstItem => self.value(byte)?,
                Expect::FirstName if byte == b'}' => self.close()?,
                Expect::Name | Expect::FirstName => {
                    if !self.is_quote(byte) {
                        return self.wrong("a member name is expected");
                    }
                    self.text(byte)?;
                    Expect::Colon
                }
                Expect::Colon if byte == b':' => self.step(Expect::Value),
                Expect::Colon => return self.wrong("`:` is expected"),
                Expect::Behind => self.behind(byte)?,
            };
        }
    }

    /// Reads a value or begins to.
    fn value(&mut self, byte: u8) -> Result<Expect, SyntaxError> {
        match byte {
            b'{' => self.begin(Kind::Object, Expect::FirstName),
            b'[' => self.begin(Kind::Array, Expect::FirstItem),
            _ if self.is_quote(byte) => self.text(byte),
            b'-' | b'0'..=b'9' => match number::scan(self.rest(), self.rules) {
                Ok(len) => self.leaf(Kind::Number, len, false),
                Err(len) => {
                    self.at = self.at.saturating_add(len);
                    self.wrong("a digit is expected")
                }
            },
            _ => {
                let rest = self.rest();
                let begins = |word: &str| rest.starts_with(word.as_bytes()).then_some(word.len());
                if let Some(len) = begins("null") {
                    self.leaf(Kind::Null, len, false)
                } else if let Some(len) = begins("true").or_else(|| begins("false")) {
                    self.leaf(Kind::Bool, len, false)
                } else if let Some(len) = number::word(rest, self.rules) {
                    self.leaf(Kind::Number, len, false)
                } else {
                    self.wrong("a value is expected")
                }
            }
        }
    }

    /// What stands behind a value.
    fn behind(&mut self, byte: u8) -> Result<Expect, SyntaxError> {
        let Some(open) = self.nodes.get(self.open) else { return self.wrong("more behind the value") };
        match (open.kind, byte) {
            (Kind::Object, b',') => Ok(self.step(Expect::Name)),
            (_, b',') => Ok(self.step(Expect::Value)),
            (Kind::Object, b'}') | (Kind::Array, b']') => self.close(),
            (Kind::Object, _) => self.wrong("`,` or `}` is expected"),
            _ => self.wrong("`,` or `]` is expected"),
        }
    }

    fn begin(&mut self, kind: Kind, first: Expect) -> Result<Expect, SyntaxError> {
        if self.depth >= self.rules.depth_max {
            return self.wrong("nested deeper than the limit");
        }
        let (start, node) = (self.at, self.nodes.len());
        self.push(Node { kind, plain: false, start, end: start, behind: self.open })?;
        (self.open, self.depth) = (node, self.depth.saturating_add(1));
        Ok(self.step(first))
    }

    fn close(&mut self) -> Result<Expect, SyntaxError> {
        let (closed, end, behind) = (self.open, self.at.saturating_add(1), self.nodes.len());
        if let Some(node) = self.nodes.get_mut(closed) {
            self.open = node.behind;
            (node.end, node.behind) = (end, behind);
            if node.kind == Kind::Object && !self.rules.duplicates {
                let tape = Tape { bytes: self.bytes, nodes: &self.nodes, rules: &self.rules };
                if let Some(twice) = duplicates(tape, closed).next() {
                    self.at = tape.node(twice).start;
                    return self.wrong("a member name comes twice");
                }
            }
        }
        self.depth = self.depth.saturating_sub(1);
        Ok(self.step(Expect::Behind))
    }

    /// Reads text from its quote on.
    fn text(&mut self, quote: u8) -> Result<Expect, SyntaxError> {
        let start = self.at;
        self.at = self.at.saturating_add(1);
        let mut plain = true;
        loop {
            let (what, len) = piece(self.rest(), &self.rules);
            let fault = match what {
                Piece::Plain => None,
                Piece::Quote(found) => {
                    self.at = self.at.saturating_add(len);
                    if found == quote {
                        let whole = self.at.saturating_sub(start);
                        self.at = start;
                        return self.leaf(Kind::Text, whole, plain);
                    }
                    continue;
                }
                _ => {
                    plain &= what == Piece::Noncharacter;
                    self.refusal(what)
                }
            };
            if let Some(what) = fault {
                return self.wrong(what);
            }
            self.at = self.at.saturating_add(len);
        }
    }

    /// Why a piece of text is not taken, if it is not.
    fn refusal(&self, piece: Piece) -> Option<&'static str> {
        let Rules { noncharacters, lone_surrogates, .. } = self.rules;
        let (taken, what) = match piece {
            Piece::Plain | Piece::Quote(_) | Piece::Surrogate | Piece::OverlongNul => return None,
            Piece::Escape(point) => match char::from_u32(point) {
                Some(character) => (noncharacters || !is_noncharacter(character), "a noncharacter"),
                None => (lone_surrogates, "an escaped surrogate stands alone"),
            },
            Piece::EscapedApostrophe => (self.rules.single_quotes, "an unknown escape"),
            Piece::Noncharacter => (noncharacters, "a noncharacter"),
            Piece::Control => (self.rules.control_bytes, "a control byte in text"),
            Piece::Broken => (self.rules.broken_utf8, "no UTF-8"),
            Piece::BadEscape => (false, "an unknown escape"),
            Piece::End => (false, "text without its closing quote"),
        };
        (!taken).then_some(what)
    }

    fn leaf(&mut self, kind: Kind, len: usize, plain: bool) -> Result<Expect, SyntaxError> {
        let (start, end) = (self.at, self.at.saturating_add(len));
        let behind = self.nodes.len().saturating_add(1);
        self.push(Node { kind, plain, start, end, behind })?;
        self.at = end;
        Ok(Expect::Behind)
    }

    fn push(&mut self, node: Node) -> Result<(), SyntaxError> {
        if self.nodes.len() >= self.rules.nodes_max {
            return self.wrong("more values than the limit");
        }
        self.nodes.push(node);
        Ok(())
    }

    /// Takes the byte at hand.
    fn step(&mut self, then: Expect) -> Expect {
        self.at = self.at.saturating_add(1);
        then
    }

    fn skip_white_space(&mut self) {
        let rest = self.rest();
        let len = rest.iter().position(|byte| !is_white_space(*byte)).unwrap_or(rest.len());
        self.at = self.at.saturating_add(len);
    }

    fn is_quote(&self, byte: u8) -> bool {
        byte == b'"' || (byte == b'\'' && self.rules.single_quotes)
    }

    fn rest(&self) -> &'a [u8] {
        self.bytes.get(self.at..).unwrap_or_default()
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn wrong<T>(&self, what: &'static str) -> Result<T, SyntaxError> {
        Err(SyntaxError { offset: self.at, what })
    }
}

/// RFC 8259, section 2.
pub(crate) fn is_white_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
}

/// As many names are compared one by one; hashing pays behind them.
const FEW: usize = 16;

/// The names in the object at that place that came before in it, by meaning.
pub(super) fn duplicates(tape: Tape<'_>, object: usize) -> impl Iterator<Item = usize> {
    let (mut few, mut more) = (Vec::new(), HashSet::new());
    tape.members(object).map(|(name, _)| name).filter(move |name| {
        let meaning = tape.meaning(*name);
        if few.contains(&meaning) {
            return true;
        }
        if few.len() < FEW {
            few.push(meaning);
            return false;
        }
        !more.insert(meaning)
    })
}
