//! What a dialect adds to the one that it continues, and what it declares to have changed.

use std::collections::BTreeMap;
use std::fmt;

use super::{DeclaredChange, LockTable, LockedDialect, Rename};

/// How one dialect differs from another one before it. What is not declared is a [`super::LockViolation`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DialectChanges<'a> {
    /// The dialect before.
    pub from: &'a str,
    /// The dialect.
    pub to: &'a str,
    /// Names of the messages that are new, by kind, in the order of their numbers.
    pub added: BTreeMap<&'a str, Vec<&'a str>>,
    /// Messages that are gone, as kind and number.
    pub gone: Vec<String>,
    /// What was changed, as it was declared.
    pub changes: &'a [DeclaredChange],
    /// What is called otherwise.
    pub renames: &'a [Rename],
}

impl<'a> DialectChanges<'a> {
    fn between(from: &'a LockedDialect, to: &'a LockedDialect) -> Self {
        let mut added: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for message in to.messages.iter().filter(|new| from.message(&new.key()).is_none()) {
            added.entry(message.kind.as_str()).or_default().push(message.name.as_str());
        }
        let gone = from.messages.iter().map(super::LockedMessage::key);
        Self {
            from: &from.name,
            to: &to.name,
            added,
            gone: gone.filter(|key| to.message(key).is_none()).collect(),
            changes: &to.changes,
            renames: &to.renames,
        }
    }
}

impl LockTable {
    /// What each dialect changes of the one that it continues, oldest first.
    #[must_use]
    pub fn changes(&self) -> Vec<DialectChanges<'_>> {
        let dialect = |name: &str| self.dialects.iter().find(|dialect| dialect.name == name);
        let continued = self.dialects.iter().filter_map(|to| Some((dialect(to.after.as_deref()?)?, to)));
        continued.map(|(from, to)| DialectChanges::between(from, to)).collect()
    }
}

impl fmt::Display for DialectChanges<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} -> {}", self.from, self.to)?;
        for (kind, names) in &self.added {
            write!(f, "\n  adds {} {kind}: {}", names.len(), names.join(" "))?;
        }
        for key in &self.gone {
            write!(f, "\n  drops {key}")?;
        }
        for change in self.changes {
            write!(f, "\n  changes {change}")?;
        }
        for rename in self.renames {
            write!(f, "\n  renames {rename}")?;
        }
        let nothing = self.added.is_empty() && self.gone.is_empty();
        if nothing && self.changes.is_empty() && self.renames.is_empty() {
            f.write_str("\n  changes nothing that is locked")?;
        }
        Ok(())
    }
}
