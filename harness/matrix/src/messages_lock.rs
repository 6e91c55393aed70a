//! `matrices/<protocol>/messages.lock`: the numbers, layouts and limits that a protocol has promised.
//!
//! ```toml
//! # Written by `wireskew lock --write`; not to be edited.
//! format = 1
//! protocol = "lxc-command"
//!
//! [[dialect]]
//! name = "4.0.6"
//! limits = { data-max = 8192 }
//! flags = { endian = "native" }
//! messages = [
//!   { kind = "command", number = 14, name = "ADD_BPF_DEVICE_CGROUP", request = ["0+1 i8 type", "4+4 i32 major"], reply = [], since = "4.0.0" },
//! ]
//!
//! [[dialect]]
//! name = "4.0.7"
//! after = "4.0.6"
//! changes = ["14: device item 24 -> 20 bytes"]
//! renames = ["0: CONSOLE -> GET_TTY_FD"]
//! limits = { data-max = 8192 }
//! flags = { endian = "native" }
//! gone = ["command/13"]
//! messages = [
//!   …                       # those that are new or not as in 4.0.6
//! ]
//! ```
//!
//! A field is `<offset>+<size> <type> <name>`; its size is `*` where it varies. Protocols whose
//! messages have names and no numbers leave `number` out, and write the tag of a field for its offset.
//!
//! The text of a dialect lists only what differs from the dialect that it continues, so that the file
//! reads like the history of the protocol; [`LockTable`] holds every dialect in full.

mod breaks;
mod changes;
mod check;
mod text;

use std::collections::BTreeMap;
use std::fmt;

use crate::version::Version;

pub use breaks::History;
pub use changes::DialectChanges;
pub use check::{LockViolation, LockViolationKind, check_lock};

/// The numbers, layouts and limits of every dialect of one protocol.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockTable {
    /// Name of the protocol.
    pub protocol: String,
    /// Oldest first; a dialect comes after the one that it continues.
    pub dialects: Vec<LockedDialect>,
}

/// The numbers, layouts and limits of one dialect.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LockedDialect {
    /// Its name.
    pub name: String,
    /// The dialect that it continues; `None` for the first of a line.
    pub after: Option<String>,
    /// What it changed under numbers and limits that were there before.
    pub changes: Vec<DeclaredChange>,
    /// Messages that it calls by another name; the meaning of the number stays.
    pub renames: Vec<Rename>,
    /// Sizes and counts, by name.
    pub limits: BTreeMap<String, u64>,
    /// Everything else that was promised, by name.
    pub flags: BTreeMap<String, String>,
    /// All messages that it knows, in the order of kinds and numbers.
    pub messages: Vec<LockedMessage>,
}

/// A change that a dialect declares: `14: device item 24 -> 40 bytes`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeclaredChange {
    /// What it is about: a number, `kind/number`, the name of a message, a limit or a flag.
    pub subject: String,
    /// In words.
    pub what: String,
}

/// A message that a dialect calls by another name: `0: CONSOLE -> GET_TTY_FD`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rename {
    /// A number, or `kind/number`.
    pub subject: String,
    /// The name before.
    pub from: String,
    /// The name now.
    pub to: String,
}

/// One message.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LockedMessage {
    /// Its kind or direction; numbers count for themselves within a kind.
    pub kind: String,
    /// Its number, where messages have numbers.
    pub number: Option<u64>,
    /// Its name.
    pub name: String,
    /// Layout of the request, or of the only message.
    pub request: Vec<LockedField>,
    /// Layout of the reply.
    pub reply: Vec<LockedField>,
    /// The release that brought it, in words.
    pub since: Option<String>,
    /// The last release that has it, in words.
    pub until: Option<String>,
}

/// One field of a layout.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct LockedField {
    /// Its name.
    pub name: String,
    /// Its offset in bytes, or its tag.
    pub offset: u64,
    /// Its size in bytes; `None` where it varies.
    pub size: Option<u64>,
    /// Its type, one word, e.g. `i32` or `char[64]`.
    pub type_name: String,
}

impl LockedField {
    /// A field of fixed size.
    #[must_use]
    pub fn new(offset: u64, size: u64, type_name: &str, name: &str) -> Self {
        Self { name: name.to_owned(), offset, size: Some(size), type_name: type_name.to_owned() }
    }

    /// A field whose size varies.
    #[must_use]
    pub fn open(offset: u64, type_name: &str, name: &str) -> Self {
        Self { name: name.to_owned(), offset, size: None, type_name: type_name.to_owned() }
    }
}

impl fmt::Display for LockedField {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}+", self.offset)?;
        match self.size {
            Some(size) => write!(f, "{size}")?,
            None => f.write_str("*")?,
        }
        write!(f, " {} {}", self.type_name, self.name)
    }
}

impl fmt::Display for DeclaredChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.subject, self.what)
    }
}

impl fmt::Display for Rename {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} -> {}", self.subject, self.from, self.to)
    }
}

impl LockedMessage {
    /// What stays the same while the message exists: its kind with its number, or with its name where
    /// it has no number.
    #[must_use]
    pub fn key(&self) -> String {
        match self.number {
            Some(number) => format!("{}/{number}", self.kind),
            None => format!("{}/{}", self.kind, self.name),
        }
    }

    /// Whether a declaration is about it.
    fn is_meant_by(&self, subject: &str) -> bool {
        let bare =
            subject.strip_prefix(&self.kind).and_then(|rest| rest.strip_prefix('/')).unwrap_or(subject);
        bare == self.name || self.number.is_some_and(|number| bare == number.to_string())
    }

    /// The order in the text.
    fn order(&self) -> (&str, Option<u64>, &str) {
        (&self.kind, self.number, &self.name)
    }
}

impl LockedDialect {
    /// The message with this key.
    #[must_use]
    pub fn message(&self, key: &str) -> Option<&LockedMessage> {
        self.messages.iter().find(|message| message.key() == key)
    }
}

impl LockTable {
    /// The dialect of this name.
    #[must_use]
    pub fn dialect(&self, name: &str) -> Option<&LockedDialect> {
        self.dialects.iter().find(|dialect| dialect.name == name)
    }

    /// The dialect of that very name, or else the newest one that is not newer than a version. Where several dialects begin a
    /// line, the one of the version's first number counts.
    #[must_use]
    pub fn dialect_for(&self, version: &str) -> Option<&LockedDialect> {
        if let Some(exact) = self.dialect(version) {
            return Some(exact);
        }
        let wanted = Version::of_package(version)?;
        let lines = self.dialects.iter().filter(|dialect| dialect.after.is_none()).count();
        let versions =
            self.dialects.iter().filter_map(|dialect| Some((Version::read(&dialect.name)?, dialect)));
        let not_newer = versions
            .filter(|(version, _)| *version <= wanted && (lines < 2 || version.major() == wanted.major()));
        not_newer.max_by(|(one, _), (other, _)| one.cmp(other)).map(|(_, dialect)| dialect)
    }
}
