//! Words of the text form: what needs quotes, how it is escaped, and a reader over one line that
//! knows its column.

use std::fmt::Write as _;

use super::error::{Fault, Found};

/// Where a word stands. `text2pcap` reads the line before a hex dump as a preamble and would take a
/// lone `000` in it for the offset of a packet, so words there hold no spaces.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// In a comment line, which `text2pcap` passes over.
    Comment,
    /// In the line before a hex dump.
    Preamble,
}

/// Whether a character may stand in a word without quotes.
fn is_plain(c: char) -> bool {
    c.is_ascii_alphanumeric() || "_-./:+~@%".contains(c)
}

/// Whether a character is written as an escape: controls, other line ends, and marks that change how
/// a line is displayed. All of them lie in the basic plane, so four digits are enough.
fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

/// Appends a word, in quotes only where they are needed.
pub(super) fn push_word(out: &mut String, word: &str, place: Place) {
    if !word.is_empty() && word.chars().all(is_plain) {
        out.push_str(word);
    } else {
        push_quoted(out, word, place);
    }
}

/// Appends a string in quotes. The escapes are a subset of those of TOML basic strings.
pub(super) fn push_quoted(out: &mut String, text: &str, place: Place) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            ' ' if place == Place::Preamble => out.push_str("\\u0020"),
            c if is_hidden(c) => {
                write!(out, "\\u{:04x}", u32::from(c)).expect("writing to a String cannot fail");
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

/// A reader over one line. Every method either consumes what it names or says what it found instead.
#[derive(Clone)]
pub(super) struct Line<'a> {
    text: &'a str,
    at: usize,
    /// Number of the line in the file, from 1.
    pub(super) number: usize,
}

impl<'a> Line<'a> {
    pub(super) fn new(text: &'a str, number: usize) -> Self {
        Self { text, at: 0, number }
    }

    /// What is left.
    pub(super) fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or("")
    }

    /// The whole line.
    pub(super) fn text(&self) -> &'a str {
        self.text
    }

    pub(super) fn at(&self) -> usize {
        self.at
    }

    /// A fault at the present column.
    pub(super) fn expected(&self, expected: &'static str) -> Fault {
        self.expected_at(self.at, expected)
    }

    /// A fault at the column of the byte `at`.
    pub(super) fn expected_at(&self, at: usize, expected: &'static str) -> Fault {
        let found = Found::new(self.text.get(at..).unwrap_or(""));
        Fault::expected(self.number, self.column(at), expected, found)
    }

    /// Column of the byte `at`, counted in characters from 1.
    pub(super) fn column(&self, at: usize) -> usize {
        self.text.get(..at).map_or(1, |before| before.chars().count() + 1)
    }

    /// Consumes `len` bytes of which the caller knows that they are ASCII.
    pub(super) fn skip(&mut self, len: usize) {
        self.at = (self.at + len).min(self.text.len());
    }

    /// Consumes `literal` if it is next.
    pub(super) fn eat(&mut self, literal: &str) -> bool {
        let next = self.rest().starts_with(literal);
        if next {
            self.at += literal.len();
        }
        next
    }

    /// Consumes `literal`.
    pub(super) fn need(&mut self, literal: &str, expected: &'static str) -> Result<(), Fault> {
        if self.eat(literal) { Ok(()) } else { Err(self.expected(expected)) }
    }

    /// The line must end here.
    pub(super) fn end(&self) -> Result<(), Fault> {
        if self.rest().is_empty() { Ok(()) } else { Err(self.expected("end of line")) }
    }

    /// The run of characters that `wanted` accepts, at least one.
    pub(super) fn run(&mut self, wanted: fn(char) -> bool, expected: &'static str) -> Result<&'a str, Fault> {
        let rest = self.rest();
        let len = rest.find(|c| !wanted(c)).unwrap_or(rest.len());
        if len == 0 {
            return Err(self.expected(expected));
        }
        self.at += len;
        Ok(&rest[..len])
    }

    /// A decimal number without superfluous zeros.
    pub(super) fn number<T: std::str::FromStr>(&mut self, expected: &'static str) -> Result<T, Fault> {
        let start = self.at;
        self.eat("-");
        let digits =
            self.run(|c| c.is_ascii_digit(), expected).map_err(|_| self.expected_at(start, expected))?;
        let superfluous = digits.len() > 1 && digits.starts_with('0');
        match self.text[start..self.at].parse() {
            Ok(value) if !superfluous && &self.text[start..self.at] != "-0" => Ok(value),
            _ => Err(self.expected_at(start, expected)),
        }
    }

    /// A word, with or without quotes.
    pub(super) fn word(&mut self, expected: &'static str) -> Result<String, Fault> {
        if self.rest().starts_with('"') {
            self.quoted(expected)
        } else {
            Ok(self.run(is_plain, expected)?.to_owned())
        }
    }

    /// A string in quotes.
    pub(super) fn quoted(&mut self, expected: &'static str) -> Result<String, Fault> {
        self.need("\"", expected)?;
        let mut out = String::new();
        let mut chars = self.rest().char_indices();
        let start = self.at;
        while let Some((offset, c)) = chars.next() {
            self.at = start + offset;
            match c {
                '"' => {
                    self.at += 1;
                    return Ok(out);
                }
                '\\' => out.push(self.escape(&mut chars)?),
                c if is_hidden(c) => {
                    return Err(self.expected("an escape for a character that cannot be seen"));
                }
                c => out.push(c),
            }
        }
        self.at = self.text.len();
        Err(self.expected("closing `\"`"))
    }

    /// The character behind a backslash.
    fn escape(&self, chars: &mut std::str::CharIndices<'_>) -> Result<char, Fault> {
        let wrong = || self.expected("one of the escapes `\\\"` `\\\\` `\\n` `\\r` `\\t` `\\u0000`");
        match chars.next().ok_or_else(wrong)?.1 {
            '"' => Ok('"'),
            '\\' => Ok('\\'),
            'n' => Ok('\n'),
            'r' => Ok('\r'),
            't' => Ok('\t'),
            'u' => {
                let mut value = 0;
                for _ in 0..4 {
                    let digit = chars.next().and_then(|(_, c)| c.to_digit(16)).ok_or_else(wrong)?;
                    value = value * 16 + digit;
                }
                char::from_u32(value).ok_or_else(wrong)
            }
            _ => Err(wrong()),
        }
    }
}
