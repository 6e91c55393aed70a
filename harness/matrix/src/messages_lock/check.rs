//! What a protocol may not do: use a number twice, change a layout or a limit unsaid, forget a message.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::{LockTable, LockedDialect, LockedField, LockedMessage};

/// A promise that is not kept.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct LockViolation {
    /// The dialect that does not keep it.
    pub dialect: String,
    /// Which promise.
    pub kind: LockViolationKind,
    /// The message, limit or flag: its key or name.
    pub subject: String,
    /// A sentence.
    pub message: String,
}

/// The kinds of [`LockViolation`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LockViolationKind {
    /// A number means something else than before. Cannot be declared away.
    NumberReused,
    /// A message has another number than before. Cannot be declared away.
    NumberMoved,
    /// One number, or one name, is there twice in a dialect.
    Duplicate,
    /// A layout changed and nothing was declared.
    LayoutChanged,
    /// A limit changed and nothing was declared.
    LimitChanged,
    /// A flag changed and nothing was declared.
    FlagChanged,
    /// A message is no longer known and nothing was declared.
    MessageVanished,
    /// A declaration about something that did not change.
    UnusedDeclaration,
    /// A dialect continues one that does not come before it.
    UnknownParent,
    /// A dialect of the lock file is gone, or stands elsewhere.
    DialectMoved,
    /// A dialect is not as the lock file has it.
    HistoryChanged,
}

impl LockViolationKind {
    /// The word in reports.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::NumberReused => "number-reused",
            Self::NumberMoved => "number-moved",
            Self::Duplicate => "duplicate",
            Self::LayoutChanged => "layout-changed",
            Self::LimitChanged => "limit-changed",
            Self::FlagChanged => "flag-changed",
            Self::MessageVanished => "message-vanished",
            Self::UnusedDeclaration => "unused-declaration",
            Self::UnknownParent => "unknown-parent",
            Self::DialectMoved => "dialect-moved",
            Self::HistoryChanged => "history-changed",
        }
    }
}

impl fmt::Display for LockViolation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "dialect {}: {}: `{}` {}", self.dialect, self.kind.word(), self.subject, self.message)
    }
}

/// Everything that is wrong with a table, in itself and against the one that was committed.
///
/// In itself, a dialect is compared with the one that it continues and, for numbers, against all that
/// came before. Against the lock, any difference is wrong that does not only add: whole dialects, and
/// messages under numbers that were free.
#[must_use]
pub fn check_lock(locked: &LockTable, current: &LockTable) -> Vec<LockViolation> {
    let mut violations = current.check();
    violations.extend(against_lock(locked, current));
    violations
}

impl LockTable {
    /// Everything that is wrong with the table in itself.
    #[must_use]
    pub fn check(&self) -> Vec<LockViolation> {
        let mut violations = Vec::new();
        for (at, dialect) in self.dialects.iter().enumerate() {
            let mut found = Found { dialect: &dialect.name, violations: &mut violations };
            let before = &self.dialects[..at];
            check_duplicates(dialect, before, &mut found);
            let parent = match &dialect.after {
                None => None,
                Some(after) => {
                    let parent = before.iter().find(|other| other.name == *after);
                    if parent.is_none() {
                        found.add(LockViolationKind::UnknownParent, after, "does not come before it");
                    }
                    parent
                }
            };
            check_numbers(dialect, parent, before, &mut found);
            check_continuation(dialect, parent, &mut found);
        }
        violations
    }
}

/// Where violations of one dialect go.
struct Found<'a> {
    dialect: &'a str,
    violations: &'a mut Vec<LockViolation>,
}

impl Found<'_> {
    fn add(&mut self, kind: LockViolationKind, subject: &str, message: impl Into<String>) {
        self.violations.push(LockViolation {
            dialect: self.dialect.to_owned(),
            kind,
            subject: subject.to_owned(),
            message: message.into(),
        });
    }
}

fn check_duplicates(dialect: &LockedDialect, before: &[LockedDialect], found: &mut Found<'_>) {
    if before.iter().any(|other| other.name == dialect.name) {
        found.add(LockViolationKind::Duplicate, &dialect.name, "is there twice");
    }
    let mut keys = BTreeSet::new();
    let mut names = BTreeSet::new();
    for message in &dialect.messages {
        if !keys.insert(message.key()) {
            found.add(LockViolationKind::Duplicate, &message.key(), "is there twice");
        } else if !names.insert((&message.kind, &message.name)) {
            let message = format!("{}/{}", message.kind, message.name);
            found.add(LockViolationKind::Duplicate, &message, "has two numbers");
        }
    }
}

/// A number keeps its name, except where the dialect says that it only calls it otherwise; a name
/// keeps its number.
fn check_numbers(
    dialect: &LockedDialect,
    parent: Option<&LockedDialect>,
    before: &[LockedDialect],
    found: &mut Found<'_>,
) {
    for message in dialect.messages.iter().filter(|message| message.number.is_some()) {
        let key = message.key();
        let inherited = parent.and_then(|parent| parent.message(&key));
        // The parent's name counts; where the parent does not know the number, any name of old does.
        let known: Vec<&str> = match inherited {
            Some(inherited) => vec![&inherited.name],
            None => {
                before.iter().filter_map(|other| other.message(&key)).map(|old| old.name.as_str()).collect()
            }
        };
        if !known.is_empty() && !known.contains(&message.name.as_str()) {
            let renamed = |from: &&str| {
                dialect.renames.iter().any(|rename| {
                    message.is_meant_by(&rename.subject) && rename.from == **from && rename.to == message.name
                })
            };
            if !known.iter().any(renamed) {
                let what = format!("was `{}` and is now `{}`", known[0], message.name);
                found.add(LockViolationKind::NumberReused, &key, what);
            }
        }
        let elsewhere = parent.and_then(|parent| {
            parent.messages.iter().find(|old| (&old.kind, &old.name) == (&message.kind, &message.name))
        });
        if let Some(old) = elsewhere.filter(|old| old.number != message.number) {
            let what = format!("`{}` was `{}` before", message.name, old.key());
            found.add(LockViolationKind::NumberMoved, &key, what);
        }
    }
}

/// What a dialect changes of the one that it continues, it declares; and it declares nothing else.
fn check_continuation(dialect: &LockedDialect, parent: Option<&LockedDialect>, found: &mut Found<'_>) {
    let mut used = vec![false; dialect.changes.len()];
    let mut renamed = vec![false; dialect.renames.len()];
    let mut declared = |meant: &dyn Fn(&str) -> bool| {
        let mut any = false;
        for (change, used) in dialect.changes.iter().zip(&mut used) {
            if meant(&change.subject) {
                *used = true;
                any = true;
            }
        }
        any
    };
    if let Some(parent) = parent {
        for old in &parent.messages {
            let meant = |subject: &str| old.is_meant_by(subject);
            match dialect.message(&old.key()) {
                None if !declared(&meant) => {
                    found.add(
                        LockViolationKind::MessageVanished,
                        &old.key(),
                        format!("(`{}`) is no longer known", old.name),
                    );
                }
                Some(new) => {
                    let change = layout_change(old, new);
                    let meant = |subject: &str| old.is_meant_by(subject) || new.is_meant_by(subject);
                    if let Some(change) = change.filter(|_| !declared(&meant)) {
                        found.add(LockViolationKind::LayoutChanged, &old.key(), change);
                    }
                    for (rename, used) in dialect.renames.iter().zip(&mut renamed) {
                        *used |= meant(&rename.subject) && rename.from == old.name && rename.to == new.name;
                    }
                }
                None => {}
            }
        }
        for (name, what) in map_changes(&parent.limits, &dialect.limits) {
            if !declared(&|subject| subject == name) {
                found.add(LockViolationKind::LimitChanged, name, what);
            }
        }
        for (name, what) in map_changes(&parent.flags, &dialect.flags) {
            if !declared(&|subject| subject == name) {
                found.add(LockViolationKind::FlagChanged, name, what);
            }
        }
    }
    for (change, _) in dialect.changes.iter().zip(used).filter(|(_, used)| !used) {
        found.add(
            LockViolationKind::UnusedDeclaration,
            &change.subject,
            format!("did not change: {}", change.what),
        );
    }
    for (rename, _) in dialect.renames.iter().zip(renamed).filter(|(_, used)| !used) {
        found.add(
            LockViolationKind::UnusedDeclaration,
            &rename.subject,
            format!("was not renamed: {rename}"),
        );
    }
}

/// The first difference between the layouts of a message, in words.
fn layout_change(old: &LockedMessage, new: &LockedMessage) -> Option<String> {
    let sides = [("request", &old.request, &new.request), ("reply", &old.reply, &new.reply)];
    sides.into_iter().find(|(_, was, is)| was != is).map(|(side, was, is)| {
        let differs = was.iter().zip(is.iter()).find(|(was, is)| was != is);
        match differs {
            Some((was, is)) => format!("has another {side}: `{was}` is now `{is}`"),
            None if was.len() < is.len() => {
                format!("has a longer {side}: {} is new", fields(&is[was.len()..]))
            }
            None => format!("has a shorter {side}: {} is gone", fields(&was[is.len()..])),
        }
    })
}

fn fields(fields: &[LockedField]) -> String {
    fields.iter().map(|field| format!("`{field}`")).collect::<Vec<_>>().join(", ")
}

fn map_changes<'a, T: PartialEq + fmt::Display>(
    old: &'a BTreeMap<String, T>,
    new: &'a BTreeMap<String, T>,
) -> Vec<(&'a String, String)> {
    let names: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    let changed = names.into_iter().filter_map(|name| match (old.get(name), new.get(name)) {
        (Some(was), Some(is)) if was != is => Some((name, format!("was {was} and is now {is}"))),
        (Some(was), None) => Some((name, format!("was {was} and is gone"))),
        (None, Some(is)) => Some((name, format!("is new: {is}"))),
        _ => None,
    });
    changed.collect()
}

/// Every difference to what was committed that does not only add.
fn against_lock(locked: &LockTable, current: &LockTable) -> Vec<LockViolation> {
    let mut violations = Vec::new();
    let mut place = 0;
    for old in &locked.dialects {
        let mut found = Found { dialect: &old.name, violations: &mut violations };
        let Some(at) = current.dialects.iter().position(|new| new.name == old.name) else {
            found.add(LockViolationKind::DialectMoved, &old.name, "is in the lock file and no longer here");
            continue;
        };
        if at < place {
            found.add(
                LockViolationKind::DialectMoved,
                &old.name,
                "stands before dialects that were older in the lock file",
            );
        }
        place = place.max(at);
        let new = &current.dialects[at];
        // A new dialect may be put in between.
        let added_between = new.after.as_deref().is_some_and(|after| locked.dialect(after).is_none());
        if old.after != new.after && !added_between {
            let name = |after: &Option<String>| after.as_deref().unwrap_or("nothing").to_owned();
            let what =
                format!("continued {} in the lock file and now {}", name(&old.after), name(&new.after));
            found.add(LockViolationKind::HistoryChanged, &old.name, what);
        }
        if old.changes != new.changes || old.renames != new.renames {
            found.add(
                LockViolationKind::HistoryChanged,
                &old.name,
                "declares other changes than in the lock file",
            );
        }
        for (name, what) in map_changes(&old.limits, &new.limits) {
            found.add(LockViolationKind::LimitChanged, name, format!("{what}, against the lock file"));
        }
        for (name, what) in map_changes(&old.flags, &new.flags) {
            found.add(LockViolationKind::FlagChanged, name, format!("{what}, against the lock file"));
        }
        for message in &old.messages {
            message_against_lock(message, new.message(&message.key()), &mut found);
        }
    }
    violations
}

fn message_against_lock(old: &LockedMessage, new: Option<&LockedMessage>, found: &mut Found<'_>) {
    let key = old.key();
    let Some(new) = new else {
        let what = format!("(`{}`) is in the lock file and no longer here", old.name);
        return found.add(LockViolationKind::MessageVanished, &key, what);
    };
    if old.name != new.name {
        let what = format!("is `{}` in the lock file and now `{}`", old.name, new.name);
        found.add(LockViolationKind::NumberReused, &key, what);
    }
    if let Some(change) = layout_change(old, new) {
        found.add(LockViolationKind::LayoutChanged, &key, format!("{change}, against the lock file"));
    }
    if (&old.since, &old.until) != (&new.since, &new.until) {
        let release = |release: &Option<String>| release.as_deref().unwrap_or("-").to_owned();
        let span =
            |message: &LockedMessage| format!("{}..{}", release(&message.since), release(&message.until));
        let what = format!("was there {} in the lock file and now {}", span(old), span(new));
        found.add(LockViolationKind::HistoryChanged, &key, what);
    }
}
