//! Names of fields that are made of what a peer sent: cut at a length, without control characters, and no two paths
//! have the same name, as far as a hash can tell of those that are cut.

use std::fmt::Write as _;

/// The longest name of a field in bytes. A longer one ends in `…` and a hash of all of it, so that a deep tree of long names
/// costs no more than its bytes many times over.
pub const NAME_MAX: usize = 128;

/// The name of a value that is neither list nor object.
const SCALAR: &str = "'value'";

/// FNV-1a of 64 bits.
const FNV_BASIS: u64 = 0xcbf2_9ce4_8422_2325;
const FNV_PRIME: u64 = 0x0100_0000_01b3;

/// The names that lead to a value, each behind a dot.
#[derive(Default)]
pub(crate) struct Path(String);

impl Path {
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn truncate(&mut self, len: usize) {
        self.0.truncate(len);
    }

    pub(crate) fn element(&mut self, index: usize) {
        // Writing to a `String` does not fail.
        let _ = write!(self.0, ".{index}");
    }

    /// A name that is none: it can be taken for nothing else.
    pub(crate) fn unnamed(&mut self, number: u32) {
        let _ = write!(self.0, ".?{number}");
    }

    /// A number as a name, which is no index.
    pub(crate) fn number(&mut self, number: &dyn std::fmt::Display) {
        let _ = write!(self.0, ".'{number}'");
    }

    /// A name that could be taken for two names, for an index, or for none, is written so that it cannot.
    pub(crate) fn member(&mut self, name: &str) {
        let is_quoted = name.bytes().all(|byte| byte.is_ascii_digit());
        self.0.push_str(if is_quoted { ".'" } else { "." });
        if name.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'.' | b'\\' | b'\'')) {
            self.0.push_str(name);
        } else {
            name.chars().for_each(|character| self.character(character));
        }
        self.0.push_str(if is_quoted { "'" } else { "" });
    }

    fn character(&mut self, character: char) {
        match character {
            '.' => self.0.push_str("\\."),
            '\\' | '\'' => self.0.extend(character.escape_default()),
            _ if character.is_control() => self.0.extend(character.escape_default()),
            _ => self.0.push(character),
        }
    }

    pub(crate) fn name(&self) -> String {
        let Some(name) = self.0.strip_prefix('.') else { return SCALAR.to_owned() };
        if name.len() <= NAME_MAX {
            return name.to_owned();
        }
        let hash = format!(
            "…{:016x}",
            name.bytes().fold(FNV_BASIS, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(FNV_PRIME))
        );
        let end = name.floor_char_boundary(NAME_MAX - hash.len());
        [name.get(..end).unwrap_or_default(), &hash].concat()
    }
}
