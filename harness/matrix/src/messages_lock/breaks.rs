//! What one dialect breaks of another, whatever was declared: a change that is meant breaks as much as one that is not.
//!
//! This is the one place that says whom a difference of locks hurts:
//!
//! | difference | hurts | why |
//! |---|---|---|
//! | a message is gone | an old client with a new server | it is still sent, or waited for; a new client does neither |
//! | a number means another message | both | each takes it for its own |
//! | a message has another number | both | neither knows the other's |
//! | a number has another name, which is declared | nobody | names of numbers are not on the wire |
//! | another layout under a number, longer ones too | both | offsets are fixed: what one wrote, the other misreads, and what is longer is waited for or left over |
//! | of a message with a name: a field of the request is gone, or has another type | both | the new server misses what the old client asks, the old server what the new client leaves out |
//! | of a message with a name: a field of the reply is gone | an old client with a new server | a new client does not read it any more |
//! | of a message with a name: a field has another place or tag | both | each looks for it where it was |
//! | of a message with a name: a field is new | nobody | who does not know it passes over it: an addition |
//! | a limit is lower, or new | an old client with a new server | what was allowed is refused |
//! | a limit is higher, or gone | nobody | an addition: the newer peer may more, and has to ask no more of an old one |
//! | a promise (a flag) is taken back, or a `max` is lower | an old client with a new server | it relies on it |
//! | a promise is new, or a `max` is higher | nobody | an addition |
//! | a promise is another one | both | each expects its own |
//! | a message is new | nobody | an addition: old servers refuse what they do not know, and new clients fall back |
//!
//! A flag without a value and one that is `none` say nothing. `min.x` that comes with a message `x` is part of that addition.
//! A lock does not say who sends a message that is not asked for; that it is gone hurts who waits for it, which is taken to be the client.

use std::collections::{BTreeMap, BTreeSet};

use wire::protobuf::Schema;

use super::{LockTable, LockedDialect, LockedField, LockedMessage};
use crate::breaks::{Break, BreakKind, Comparison, Hurts};
use crate::schema::{ReadSchema, compare_history};

/// The schemas of two releases, and of those before them.
#[derive(Debug, Clone, Copy)]
pub struct History<'a> {
    /// Up to the older one, oldest first.
    pub before: &'a [&'a Schema],
    /// That of the newer one.
    pub new: &'a Schema,
}

impl LockTable {
    /// What a dialect breaks of an older one. Where the protocol has schemas, those say of messages what the lock cannot, and the
    /// lock says what was declared. `None` where one of both is not in the table and there are no schemas; with schemas, only
    /// messages are compared then.
    #[must_use]
    pub fn compare(&self, from: &str, to: &str, schemas: Option<History<'_>>) -> Option<Comparison> {
        let mut comparer = Comparer { table: self, from, to, found: Comparison::default() };
        let dialects = self.dialect(from).zip(self.dialect(to));
        match (schemas, dialects) {
            (None, None) => return None,
            (None, Some((old, new))) => comparer.messages(old, new),
            (Some(history), _) => comparer.schemas(&history),
        }
        if let Some((old, new)) = dialects {
            comparer.limits(old, new);
            comparer.flags(old, new);
        }
        Some(comparer.found)
    }

    /// The dialects that one has in its line and the other has not, oldest first.
    fn between<'a>(&'a self, from: &str, to: &str) -> impl Iterator<Item = &'a LockedDialect> {
        let line = |name: &str| -> BTreeSet<&'a str> {
            let before = |dialect: &&'a LockedDialect| self.dialect(dialect.after.as_deref()?);
            // A damaged table may continue itself.
            let line = std::iter::successors(self.dialect(name), before).take(self.dialects.len());
            line.map(|dialect| dialect.name.as_str()).collect()
        };
        let (from, to) = (line(from), line(to));
        self.dialects
            .iter()
            .filter(move |dialect| from.contains(dialect.name.as_str()) != to.contains(dialect.name.as_str()))
    }
}

struct Comparer<'a> {
    table: &'a LockTable,
    from: &'a str,
    to: &'a str,
    found: Comparison,
}

impl Comparer<'_> {
    /// Adds a break, with what the dialects in between declare of it.
    fn add(
        &mut self,
        kind: BreakKind,
        subject: &str,
        what: String,
        hurts: Hurts,
        is_meant: impl Fn(&str) -> bool,
    ) {
        let declared = self.table.between(self.from, self.to).flat_map(|dialect| {
            let changes = dialect.changes.iter().filter(|change| is_meant(&change.subject));
            changes.map(|change| format!("{} declares `{change}`", dialect.name)).collect::<Vec<_>>()
        });
        let places = declared.collect();
        self.found.breaks.push(Break {
            kind,
            subject: subject.to_owned(),
            what,
            hurts,
            certain: true,
            places,
        });
    }

    fn schemas(&mut self, history: &History<'_>) {
        let before: Vec<_> =
            history.before.iter().map(|schema| ReadSchema::from((*schema).clone())).collect();
        let before: Vec<_> = before.iter().collect();
        let found = compare_history(&before, &ReadSchema::from(history.new.clone()));
        for Break { kind, subject, what, hurts, certain, .. } in found.breaks {
            let name = subject.split('#').next().unwrap_or_default().to_owned();
            self.add(kind, &subject, what, hurts, |subject| subject == name);
            if let Some(last) = self.found.breaks.last_mut() {
                last.certain = certain;
            }
        }
        self.found.additions.extend(found.additions);
    }

    fn messages(&mut self, old: &LockedDialect, new: &LockedDialect) {
        let by_key = |dialect: &LockedDialect| -> BTreeMap<String, LockedMessage> {
            dialect.messages.iter().map(|message| (message.key(), message.clone())).collect()
        };
        let (before, now) = (by_key(old), by_key(new));
        let name = |message: &LockedMessage| (message.kind.clone(), message.name.clone());
        let by_name: BTreeMap<_, _> = new.messages.iter().map(|message| (name(message), message)).collect();
        for was in &old.messages {
            let key = was.key();
            let elsewhere =
                by_name.get(&name(was)).map(|message| message.key()).filter(|other| *other != key);
            let meant = |subject: &str| was.is_meant_by(subject);
            match (now.get(&key), elsewhere) {
                (Some(is), _) if was.name == is.name || self.is_renamed(was, is) => self.layouts(was, is),
                (Some(is), _) => {
                    let what = format!("was `{}` and is `{}`", was.name, is.name);
                    self.add(BreakKind::NumberReused, &key, what, Hurts::Both, meant);
                }
                (None, Some(elsewhere)) => {
                    let what = format!("(`{}`) is `{elsewhere}` now", was.name);
                    self.add(BreakKind::Renumbered, &key, what, Hurts::Both, meant);
                }
                (None, None) => {
                    let what = if was.number.is_some() {
                        format!("(`{}`) is gone", was.name)
                    } else {
                        "is gone".to_owned()
                    };
                    self.add(BreakKind::MessageRemoved, &key, what, Hurts::OldClientNewServer, meant);
                }
            }
        }
        let names_before: BTreeSet<_> = old.messages.iter().map(name).collect();
        let added = new
            .messages
            .iter()
            .filter(|is| !before.contains_key(&is.key()) && !names_before.contains(&name(is)));
        self.found.additions.extend(added.map(|is| match is.number {
            Some(_) => format!("{} {}", is.key(), is.name),
            None => is.key(),
        }));
    }

    /// Whether dialects say, in any number of steps, that a number only has another name.
    fn is_renamed(&self, was: &LockedMessage, is: &LockedMessage) -> bool {
        let renames = self.table.dialects.iter().flat_map(|dialect| &dialect.renames);
        let steps: Vec<_> = renames
            .filter(|rename| was.is_meant_by(&rename.subject) || is.is_meant_by(&rename.subject))
            .collect();
        let mut names = BTreeSet::from([was.name.as_str()]);
        for _ in &steps {
            let known = |from: &str| names.contains(from);
            let next: Vec<_> =
                steps.iter().filter(|step| known(&step.from)).map(|step| step.to.as_str()).collect();
            names.extend(next);
        }
        names.contains(is.name.as_str())
    }

    fn layouts(&mut self, was: &LockedMessage, is: &LockedMessage) {
        for (side, before, now, without) in [
            ("request", &was.request, &is.request, Hurts::Both),
            ("reply", &was.reply, &is.reply, Hurts::OldClientNewServer),
        ] {
            if before == now {
                continue;
            }
            if was.number.is_some() {
                self.fixed_layout(was, side, before, now);
            } else {
                self.named_fields(was, side, before, now, without);
            }
        }
    }

    /// Fields at offsets.
    fn fixed_layout(&mut self, message: &LockedMessage, side: &str, was: &[LockedField], is: &[LockedField]) {
        let list = |fields: &[LockedField]| {
            fields.iter().map(|field| format!("`{field}`")).collect::<Vec<_>>().join(", ")
        };
        let what = match was.iter().zip(is).find(|(was, is)| was != is) {
            Some((was, is)) => format!("has another {side}: `{was}` is now `{is}`"),
            None if was.len() < is.len() => format!("has a longer {side}: {} is new", list(&is[was.len()..])),
            None => format!("has a shorter {side}: {} is gone", list(&was[is.len()..])),
        };
        let meant = |subject: &str| message.is_meant_by(subject);
        self.add(BreakKind::LayoutChanged, &message.key(), what, Hurts::Both, meant);
    }

    /// Fields with names, in any order.
    fn named_fields(
        &mut self,
        message: &LockedMessage,
        side: &str,
        was: &[LockedField],
        is: &[LockedField],
        without: Hurts,
    ) {
        let find =
            |fields: &[LockedField], name: &str| fields.iter().find(|field| field.name == name).cloned();
        for field in was {
            let subject = format!("{}.{}", message.key(), field.name);
            let meant = |subject: &str| message.is_meant_by(subject);
            match find(is, &field.name) {
                None => {
                    let what = format!("is gone from the {side}");
                    self.add(BreakKind::FieldRemoved, &subject, what, without, meant);
                }
                Some(now) if now.offset != field.offset => {
                    let what = format!("was at {} in the {side} and is at {}", field.offset, now.offset);
                    self.add(BreakKind::Renumbered, &subject, what, Hurts::Both, meant);
                }
                Some(now) if (&now.type_name, now.size) != (&field.type_name, field.size) => {
                    let what = format!("was `{}` in the {side} and is `{}`", field.type_name, now.type_name);
                    self.add(BreakKind::TypeChanged, &subject, what, Hurts::Both, meant);
                }
                Some(_) => {}
            }
        }
        let added = is.iter().filter(|field| find(was, &field.name).is_none());
        self.found.additions.extend(added.map(|field| format!("{}.{}", message.key(), field.name)));
    }

    fn limits(&mut self, old: &LockedDialect, new: &LockedDialect) {
        let names: BTreeSet<_> = old.limits.keys().chain(new.limits.keys()).collect();
        for name in names {
            let what = match (old.limits.get(name), new.limits.get(name)) {
                (Some(was), Some(is)) if is < was => format!("was {was} and is {is}"),
                (None, Some(is)) => format!("is new: {is}"),
                (was, is) => {
                    if was != is {
                        self.found.additions.push(format!("a higher limit {name}"));
                    }
                    continue;
                }
            };
            let meant = |subject: &str| subject == name;
            self.add(BreakKind::LimitLowered, name, what, Hurts::OldClientNewServer, meant);
        }
    }

    fn flags(&mut self, old: &LockedDialect, new: &LockedDialect) {
        let names: BTreeSet<_> = old.flags.keys().chain(new.flags.keys()).collect();
        for name in names {
            let said = |dialect: &LockedDialect| {
                dialect.flags.get(name).filter(|flag| !["", "none"].contains(&flag.as_str())).cloned()
            };
            // Numbers of other flags are codes, of which none is more than another.
            let is_max = name.rsplit(['.', '-']).next() == Some("max");
            let number = |flag: &str| flag.parse::<u64>().ok().filter(|_| is_max);
            let (what, hurts) = match (said(old), said(new)) {
                (was, is) if was == is => continue,
                (None, _) => {
                    let of_message =
                        |message: &LockedMessage| name.rsplit('.').next() == Some(message.name.as_str());
                    let is_new =
                        |message: &LockedMessage| !old.messages.iter().any(|was| was.name == message.name);
                    if !new.messages.iter().any(|message| of_message(message) && is_new(message)) {
                        self.found.additions.push(format!("a promise {name}"));
                    }
                    continue;
                }
                (Some(was), None) => {
                    (format!("was `{was}` and is no longer promised"), Hurts::OldClientNewServer)
                }
                (Some(was), Some(is)) => match (number(&was), number(&is)) {
                    (Some(less), Some(more)) if less < more => {
                        self.found.additions.push(format!("a higher {name}"));
                        continue;
                    }
                    (Some(_), Some(_)) => (format!("was {was} and is {is}"), Hurts::OldClientNewServer),
                    _ => (format!("was `{was}` and is `{is}`"), Hurts::Both),
                },
            };
            self.add(BreakKind::FlagChanged, name, what, hurts, |subject| subject == name);
        }
    }
}
