//! Text between quotes: its pieces, its meaning, and how it is written.

use std::borrow::Cow;
use std::fmt::Write as _;

use super::Rules;

/// What stands at some place in a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Piece {
    /// Characters that mean themselves.
    Plain,
    /// A quotation mark or an apostrophe.
    Quote(u8),
    /// An escape and its code point, which may be a surrogate that stands alone.
    Escape(u32),
    /// `\'`, which qemu takes.
    EscapedApostrophe,
    /// A byte below 20.
    Control,
    /// A surrogate that is encoded in three bytes.
    Surrogate,
    /// A character that is none, encoded as it should be.
    Noncharacter,
    /// `c0 80`.
    OverlongNul,
    /// Bytes that are no UTF-8: as many as one U+FFFD stands for (The Unicode Standard, section 3.9,
    /// "substitution of maximal subparts").
    Broken,
    /// A backslash with something behind it that is no escape.
    BadEscape,
    /// Nothing more.
    End,
}

/// Whether the byte means itself, whatever stands around it.
fn is_plain(byte: u8) -> bool {
    // Without a branch, so that many are looked at together.
    matches!(byte, 0x20..=0x7f) & (byte != b'"') & (byte != b'\'') & (byte != b'\\')
}

/// How many bytes at the front mean themselves.
fn plain_len(rest: &[u8]) -> usize {
    const BLOCK: usize = 64;
    let is_whole = |block: &&[u8; BLOCK]| block.iter().fold(true, |all, byte| all & is_plain(*byte));
    let (blocks, _) = rest.as_chunks::<BLOCK>();
    let len = BLOCK * blocks.iter().take_while(is_whole).count();
    let behind = rest.get(len..).unwrap_or_default();
    len + behind.iter().position(|byte| !is_plain(*byte)).unwrap_or(behind.len())
}

/// The piece at the front of `rest` and its length. What the rules do not take for a character is
/// [`Piece::Broken`].
pub(super) fn piece(rest: &[u8], rules: &Rules) -> (Piece, usize) {
    let plain = plain_len(rest);
    if plain > 0 {
        return (Piece::Plain, plain);
    }
    match rest.first().copied() {
        None => (Piece::End, 0),
        Some(quote @ (b'"' | b'\'')) => (Piece::Quote(quote), 1),
        Some(b'\\') => escape(rest),
        Some(0..0x20) => (Piece::Control, 1),
        Some(lead) => encoded(lead, rest, rules),
    }
}

/// The escape at the front of `rest`. A pair of escaped surrogates is one.
fn escape(rest: &[u8]) -> (Piece, usize) {
    let point = match rest.get(1).copied() {
        None => return (Piece::BadEscape, 1),
        Some(b'u') => {
            let Some(high) = hex(rest.get(2..)) else { return (Piece::BadEscape, 2) };
            let behind = rest.get(6..).and_then(|rest| rest.strip_prefix(b"\\u"));
            if let (0xd800..=0xdbff, Some(low @ 0xdc00..=0xdfff)) = (high, hex(behind)) {
                return (Piece::Escape(0x1_0000 + ((high & 0x3ff) << 10) + (low & 0x3ff)), 12);
            }
            return (Piece::Escape(high), 6);
        }
        Some(b'b') => 0x08,
        Some(b'f') => 0x0c,
        Some(b'n') => 0x0a,
        Some(b'r') => 0x0d,
        Some(b't') => 0x09,
        Some(b'\'') => return (Piece::EscapedApostrophe, 2),
        Some(itself @ (b'"' | b'\\' | b'/')) => itself.into(),
        Some(_) => return (Piece::BadEscape, 1),
    };
    (Piece::Escape(point), 2)
}

/// Four hexadecimal digits.
fn hex(bytes: Option<&[u8]>) -> Option<u32> {
    let digits: &[u8; 4] = bytes?.first_chunk()?;
    digits.iter().try_fold(0, |number, digit| Some(number * 16 + char::from(*digit).to_digit(16)?))
}

/// The character at the front of `rest` that is not ASCII.
fn encoded(lead: u8, rest: &[u8], rules: &Rules) -> (Piece, usize) {
    let len = match lead {
        0xc0 if rules.overlong_nul && rest.get(1) == Some(&0x80) => return (Piece::OverlongNul, 2),
        0xc2..=0xdf => 2,
        0xe0..=0xef => 3,
        0xf0..=0xf4 => 4,
        _ => return (Piece::Broken, 1),
    };
    let bytes = rest.get(..len).unwrap_or(rest);
    match (std::str::from_utf8(bytes), bytes) {
        (Ok(text), _) if text.chars().any(is_noncharacter) => (Piece::Noncharacter, len),
        (Ok(_), _) => (Piece::Plain, len),
        (Err(_), [0xed, 0xa0..=0xbf, 0x80..=0xbf]) if rules.raw_utf8_surrogates => (Piece::Surrogate, 3),
        (Err(error), _) => (Piece::Broken, error.error_len().unwrap_or(bytes.len()).max(1)),
    }
}

/// The Unicode Standard, section 23.7.
pub(super) fn is_noncharacter(character: char) -> bool {
    let point = u32::from(character);
    (0xfdd0..=0xfdef).contains(&point) || point & 0xfffe == 0xfffe
}

/// What a text means, in UTF-8 that may encode surrogates, so that no two texts of different meaning are
/// the same. `raw` holds the quotes; `plain` says that nothing in it has to be resolved.
pub(super) fn meaning<'d>(raw: &'d [u8], plain: bool, rules: &Rules) -> Cow<'d, [u8]> {
    let inner = raw.len().checked_sub(1).and_then(|end| raw.get(1..end)).unwrap_or_default();
    if plain {
        return Cow::Borrowed(inner);
    }
    let (mut rest, mut out) = (inner, Vec::new());
    while !rest.is_empty() {
        let (piece, len) = piece(rest, rules);
        let (bytes, behind) = rest.split_at_checked(len.max(1)).unwrap_or((rest, &[]));
        match piece {
            Piece::Escape(point) => match char::from_u32(point) {
                Some(character) => out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes()),
                None => out.extend_from_slice(&surrogate(point)),
            },
            Piece::EscapedApostrophe => out.push(b'\''),
            Piece::OverlongNul => out.push(0),
            Piece::Broken | Piece::BadEscape => out.extend_from_slice("\u{fffd}".as_bytes()),
            Piece::Plain
            | Piece::Quote(_)
            | Piece::Control
            | Piece::Surrogate
            | Piece::Noncharacter
            | Piece::End => out.extend_from_slice(bytes),
        }
        rest = behind;
    }
    Cow::Owned(out)
}

/// A surrogate in three bytes.
fn surrogate(point: u32) -> [u8; 3] {
    let [.., high, low] = point.to_be_bytes();
    [0xe0 | (high >> 4), 0x80 | ((high & 0x0f) << 2) | (low >> 6), 0x80 | (low & 0x3f)]
}

/// The same as text: a surrogate becomes U+FFFD.
pub(super) fn readable(meaning: Cow<'_, [u8]>) -> Cow<'_, str> {
    match meaning {
        Cow::Borrowed(bytes) => scalars(bytes),
        Cow::Owned(bytes) => match String::from_utf8(bytes) {
            Ok(text) => Cow::Owned(text),
            Err(error) => Cow::Owned(scalars(error.as_bytes()).into_owned()),
        },
    }
}

/// Rules by which a surrogate in UTF-8 is one character.
const SURROGATES: Rules = Rules { raw_utf8_surrogates: true, ..Rules::STRICT };

fn scalars(bytes: &[u8]) -> Cow<'_, str> {
    if let Ok(text) = std::str::from_utf8(bytes) {
        return Cow::Borrowed(text);
    }
    let (mut rest, mut text) = (bytes, String::new());
    while let Some(lead) = rest.first() {
        let plain = rest.iter().position(|byte| !byte.is_ascii()).unwrap_or(rest.len());
        let len = if plain > 0 { plain } else { encoded(*lead, rest, &SURROGATES).1 };
        let (bytes, behind) = rest.split_at_checked(len).unwrap_or((rest, &[]));
        text.push_str(std::str::from_utf8(bytes).unwrap_or("\u{fffd}"));
        rest = behind;
    }
    Cow::Owned(text)
}

/// Writes a JSON string in pure ASCII, with hexadecimal digits in lower case, as Python does.
pub fn write_text(out: &mut String, text: &str) {
    write(out, text, |out, unit| write!(out, "\\u{unit:04x}"));
}

/// The same with hexadecimal digits in upper case, as qemu does.
pub fn write_text_upper(out: &mut String, text: &str) {
    write(out, text, |out, unit| write!(out, "\\u{unit:04X}"));
}

fn write(out: &mut String, text: &str, unit: fn(&mut String, u16) -> std::fmt::Result) {
    out.push('"');
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            ' '..='~' => out.push(character),
            _ => {
                for one in character.encode_utf16(&mut [0; 2]) {
                    // Writing to a `String` does not fail.
                    let _ = unit(out, *one);
                }
            }
        }
    }
    out.push('"');
}
