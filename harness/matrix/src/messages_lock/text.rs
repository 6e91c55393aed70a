//! The text form of [`LockTable`].

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use toml::Spanned;

use super::{DeclaredChange, LockTable, LockedDialect, LockedField, LockedMessage, Rename};
use crate::builds::Name;
use crate::error::{ConfigError, did_you_mean, read_text};
use crate::lock_text::{key, quoted, read_format};
use crate::section::{BadText, FromText, Section, read_document};

/// The version of the file's format.
const FORMAT: u64 = 1;

impl LockTable {
    /// Reads the file at `path`.
    ///
    /// # Errors
    /// Everything that is wrong with it, each with its place.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        Self::parse(&path.display().to_string(), &read_text(path)?)
    }

    /// Reads a text; `name` is what errors call it.
    ///
    /// # Errors
    /// Everything that is wrong with it, each with its place.
    pub fn parse(name: &str, text: &str) -> Result<Self, ConfigError> {
        read_document(name, text, |root| {
            let format = read_format(root, FORMAT);
            let protocol = root.required::<Name>("protocol");
            let mut dialects: Vec<LockedDialect> = Vec::new();
            root.tables("dialect", |section| {
                let dialect = read_dialect(section, &dialects)?;
                dialects.push(dialect);
                Some(())
            });
            format?;
            Some(Self { protocol: protocol?.0, dialects })
        })
    }

    /// The text of the file: the same table always has the same text.
    #[must_use]
    pub fn render(&self) -> String {
        let mut out = format!(
            "# Written by `wireskew lock --write`; not to be edited.\nformat = {FORMAT}\nprotocol = {}\n",
            quoted(&self.protocol)
        );
        for dialect in &self.dialects {
            let parent = dialect.after.as_deref().and_then(|after| self.dialect(after));
            render_dialect(&mut out, dialect, parent);
        }
        out
    }
}

fn render_dialect(out: &mut String, dialect: &LockedDialect, parent: Option<&LockedDialect>) {
    let _ = writeln!(out, "\n[[dialect]]\nname = {}", quoted(&dialect.name));
    if let Some(after) = &dialect.after {
        let _ = writeln!(out, "after = {}", quoted(after));
    }
    let lines =
        |list: Vec<String>| list.iter().map(|item| format!("  {},\n", quoted(item))).collect::<String>();
    let changes: Vec<_> = dialect.changes.iter().map(ToString::to_string).collect();
    let renames: Vec<_> = dialect.renames.iter().map(ToString::to_string).collect();
    let gone: Vec<_> = parent
        .iter()
        .flat_map(|parent| &parent.messages)
        .map(LockedMessage::key)
        .filter(|key| dialect.message(key).is_none())
        .collect();
    for (name, list) in [("changes", changes), ("renames", renames), ("gone", gone)] {
        if !list.is_empty() {
            let _ = write!(out, "{name} = [\n{}]\n", lines(list));
        }
    }
    if !dialect.limits.is_empty() {
        let limits: Vec<_> =
            dialect.limits.iter().map(|(name, limit)| format!("{} = {limit}", key(name))).collect();
        let _ = writeln!(out, "limits = {{ {} }}", limits.join(", "));
    }
    if !dialect.flags.is_empty() {
        let flags: Vec<_> =
            dialect.flags.iter().map(|(name, flag)| format!("{} = {}", key(name), quoted(flag))).collect();
        let _ = writeln!(out, "flags = {{ {} }}", flags.join(", "));
    }
    let mut messages: Vec<_> = dialect
        .messages
        .iter()
        .filter(|message| parent.and_then(|parent| parent.message(&message.key())) != Some(*message))
        .collect();
    messages.sort_by(|left, right| left.order().cmp(&right.order()));
    if !messages.is_empty() {
        let lines: String = messages.into_iter().map(message_line).collect();
        let _ = write!(out, "messages = [\n{lines}]\n");
    }
}

fn message_line(message: &LockedMessage) -> String {
    let mut parts = vec![format!("kind = {}", quoted(&message.kind))];
    parts.extend(message.number.map(|number| format!("number = {number}")));
    parts.push(format!("name = {}", quoted(&message.name)));
    for (name, layout) in [("request", &message.request), ("reply", &message.reply)] {
        if !layout.is_empty() {
            let fields: Vec<_> = layout.iter().map(|field| quoted(&field.to_string())).collect();
            parts.push(format!("{name} = [{}]", fields.join(", ")));
        }
    }
    parts.extend(message.since.as_ref().map(|since| format!("since = {}", quoted(since))));
    parts.extend(message.until.as_ref().map(|until| format!("until = {}", quoted(until))));
    format!("  {{ {} }},\n", parts.join(", "))
}

fn read_dialect(section: &mut Section<'_>, before: &[LockedDialect]) -> Option<LockedDialect> {
    let name = section.required::<Spanned<Name>>("name");
    let after = section.optional::<Spanned<Name>>("after");
    let changes = section.optional("changes").unwrap_or_default();
    let renames = section.optional("renames").unwrap_or_default();
    let gone = section.optional::<Vec<Spanned<String>>>("gone").unwrap_or_default();
    let limits = section.entries::<u64>("limits");
    let flags = section.entries::<Text>("flags");
    let new: Vec<LockedMessage> = section.tables("messages", read_message);
    let find = |name: &str| before.iter().find(|dialect| dialect.name == name);
    let name = name?;
    if find(&name.get_ref().0).is_some() {
        let message = format!("dialect `{}` is there twice", name.get_ref().0);
        section.context().report(section.problem(name.span(), message, "again here"));
    }
    let mut messages: BTreeMap<String, LockedMessage> = BTreeMap::new();
    if let Some(after) = &after {
        let Some(parent) = find(&after.get_ref().0) else {
            let message = format!("there is no dialect `{}` before this one", after.get_ref().0);
            let help = did_you_mean(&after.get_ref().0, "dialects", before.iter().map(|d| d.name.as_str()));
            section.context().report(section.problem(after.span(), message, "named here").help(help));
            return None;
        };
        messages.extend(parent.messages.iter().map(|message| (message.key(), message.clone())));
    }
    for key in gone {
        if messages.remove(key.get_ref()).is_none() {
            let message = format!("`{}` was not there before", key.get_ref());
            section.context().report(section.problem(key.span(), message, "cannot be gone"));
        }
    }
    messages.extend(new.into_iter().map(|message| (message.key(), message)));
    let mut messages: Vec<_> = messages.into_values().collect();
    messages.sort_by(|left, right| left.order().cmp(&right.order()));
    Some(LockedDialect {
        name: name.into_inner().0,
        after: after.map(|after| after.into_inner().0),
        changes,
        renames,
        limits: limits.into_iter().map(|(name, limit)| (name.into_inner(), limit)).collect(),
        flags: flags.into_iter().map(|(name, flag)| (name.into_inner(), flag.0)).collect(),
        messages,
    })
}

fn read_message(section: &mut Section<'_>) -> Option<LockedMessage> {
    let kind = section.required::<Name>("kind");
    let number = section.optional("number");
    let name = section.required::<String>("name");
    let request = section.optional("request").unwrap_or_default();
    let reply = section.optional("reply").unwrap_or_default();
    let since = section.optional("since");
    let until = section.optional("until");
    Some(LockedMessage { kind: kind?.0, number, name: name?, request, reply, since, until })
}

/// A text that may be empty.
struct Text(String);

impl FromText for Text {
    const WANTED: &'static str = "a string";

    fn from_text(text: &str) -> Result<Self, BadText> {
        Ok(Self(text.to_owned()))
    }
}

impl FromText for LockedField {
    const WANTED: &'static str = "a field, e.g. `4+4 i32 major`";

    fn from_text(text: &str) -> Result<Self, BadText> {
        let bad = || {
            BadText::new(
                format!("`{text}` is not a field"),
                "the form is `<offset>+<size> <type> <name>`, with `*` for a size that varies".to_owned(),
            )
        };
        let mut words = text.splitn(3, ' ');
        let (place, type_name, name) = (words.next(), words.next(), words.next());
        let (offset, size) = place.and_then(|place| place.split_once('+')).ok_or_else(bad)?;
        let number = |text: &str| text.parse::<u64>().map_err(|_| bad());
        let size = if size == "*" { None } else { Some(number(size)?) };
        let word =
            |word: Option<&str>| word.filter(|word| !word.is_empty()).map(str::to_owned).ok_or_else(bad);
        Ok(Self { name: word(name)?, offset: number(offset)?, size, type_name: word(type_name)? })
    }
}

impl FromText for DeclaredChange {
    const WANTED: &'static str = "a change, e.g. `14: device item 24 -> 40 bytes`";

    fn from_text(text: &str) -> Result<Self, BadText> {
        let help = "say what is changed, a colon, and how; e.g. `14: device item 24 -> 40 bytes`".to_owned();
        match text.split_once(": ") {
            Some((subject, what)) if !subject.is_empty() && !what.is_empty() => {
                Ok(Self { subject: subject.to_owned(), what: what.to_owned() })
            }
            _ => Err(BadText::new(format!("`{text}` declares no change"), help)),
        }
    }
}

impl FromText for Rename {
    const WANTED: &'static str = "a rename, e.g. `0: CONSOLE -> GET_TTY_FD`";

    fn from_text(text: &str) -> Result<Self, BadText> {
        let parts = text
            .split_once(": ")
            .and_then(|(subject, names)| names.split_once(" -> ").map(|(from, to)| (subject, from, to)));
        match parts {
            Some((subject, from, to)) if ![subject, from, to].contains(&"") => {
                Ok(Self { subject: subject.to_owned(), from: from.to_owned(), to: to.to_owned() })
            }
            _ => Err(BadText::new(
                format!("`{text}` is not a rename"),
                "the form is `<number>: <old name> -> <new name>`".to_owned(),
            )),
        }
    }
}
