//! `bump`: the version that a release calls for.
//!
//! Limits and flags are those of a dialect, which is often that of an older release. Messages are those of the release itself where its
//! protocol has a schema of it. What neither knows is taken for something else, and then no version is called enough.

use std::fmt::{self, Write as _};
use std::path::Path;

use matrix::{BuildId, Bump as Step, Comparison, History, LockTable, Version};
use protocol::Protocol;
use protocol::dialect::Changed;
use runner::{Project, ProtocolFiles};
use serde_json::{Value, json};
use wire::protobuf::Schema;

use crate::args::{Bump, Global, TextOrJson};
use crate::exit::Exit;
use crate::{Done, Failure, lock, run, terminal};

/// What calls for which version, and what that is called.
pub(crate) struct Policy {
    /// The file, or `any break is major` without one.
    pub(crate) name: String,
    /// What is in it.
    pub(crate) bumps: matrix::Policy,
}

impl Policy {
    pub(crate) fn of(path: Option<&Path>) -> Result<Self, Failure> {
        match path {
            None => Ok(Self { name: "any break is major".to_owned(), bumps: matrix::Policy::default() }),
            Some(path) => {
                let bumps = matrix::Policy::load(path).map_err(|error| Failure::new(Exit::Setup, error))?;
                Ok(Self { name: path.display().to_string(), bumps })
            }
        }
    }
}

/// One side of the comparison.
struct Side {
    /// As it was given.
    name: String,
    /// What it calls its own version, or the name.
    release: String,
    /// The version that it calls its own.
    version: Option<Version>,
    /// The dialect that it speaks, or that of the release before it; none for what is older than all of them.
    dialect: Option<String>,
    /// What is known of it.
    known: Known,
}

/// What is known of a release.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Known {
    /// All that is compared: it is a dialect, or a build of this project, which says what it speaks.
    All,
    /// Its messages, which are those of this release; the rest is that of its dialect.
    Messages(String),
    /// Nothing: it is taken for this one.
    Nothing(String),
}

/// What was compared, and what came of it.
struct Verdict<'a> {
    protocol: &'a str,
    from: Side,
    to: Side,
    policy: Policy,
    found: Comparison,
    /// What is called for.
    bump: Step,
    /// What the versions are apart, where both are versions.
    step: Option<Step>,
    /// What is known of what changed.
    changes: Vec<Changed>,
}

pub(crate) fn bump(global: &Global, args: &Bump) -> Done {
    let (name, from, to) = parts(&args.releases)?;
    let protocol = run::protocol(name)?;
    let policy = Policy::of(args.measure.policy.as_deref())?;
    let project = Project::load(&global.root, &registry::all(), &args.builds)?;
    let Some(files) = project.protocols.get(protocol.name()) else {
        let text = format!("this project has no folder `matrices/{}`", protocol.name());
        return Err(Failure::text(Exit::Setup, text));
    };
    let locked = lock::committed(global, protocol.name())?;
    let current = files.protocol.lock_table();
    // What was released stands in the file; what is being written may be in the code alone.
    let is_locked = |name: &str| locked.dialect(spoken(files, name)).is_some();
    let table = if is_locked(from) && is_locked(to) { &locked } else { &current };
    let side = |name: &str| {
        let is_given = args.builds.iter().any(|build| build.id == BuildId::new(name));
        side(files, table, name, is_given)
    };
    let (from, to) = (side(from)?, side(to)?);
    let place =
        |side: &Side| table.dialects.iter().position(|dialect| Some(&dialect.name) == side.dialect.as_ref());
    let step =
        from.version.as_ref().zip(to.version.as_ref()).map(|(from, to)| (from == to, from.raised_by(to)));
    if place(&from) > place(&to) || matches!(step, Some((false, None))) {
        let text = format!(
            "`{}` is newer than `{}`; the older one comes first: {name}@{}..{}",
            from.name, to.name, to.name, from.name
        );
        return Err(Failure::text(Exit::Usage, text));
    }
    let found = compared(files, table, from.place(), to.place());
    let verdict = Verdict {
        protocol: protocol.name(),
        bump: policy.bumps.of(&found),
        step: step.and_then(|(_, step)| step),
        changes: to
            .dialect
            .as_deref()
            .map(|to| files.protocol.changes(from.dialect.as_deref(), to))
            .unwrap_or_default(),
        from,
        to,
        policy,
        found,
    };
    terminal::print(&match args.format {
        TextOrJson::Text => verdict.text(),
        TextOrJson::Json => format!("{:#}\n", verdict.json()),
    });
    Ok(if verdict.is_enough() == Some(false) { Exit::Unexpected } else { Exit::AsExpected }.into())
}

/// One side for [`compared`]: a release, and the dialect of everything about it that is no message.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place<'a> {
    release: &'a str,
    dialect: &'a str,
}

impl<'a> Place<'a> {
    /// A dialect, which has the name of the release that brought it.
    pub(crate) fn of_dialect(name: &'a str) -> Self {
        Self { release: name, dialect: name }
    }
}

/// What a release breaks of an older one, and of those before that whose numbers were free since.
pub(crate) fn compared(
    files: &ProtocolFiles,
    table: &LockTable,
    from: Place<'_>,
    to: Place<'_>,
) -> Comparison {
    let messages = |place: Place<'_>| Messages::of(&*files.protocol, place.release, place.dialect);
    let schemas = messages(from).zip(messages(to));
    let before: Vec<_> =
        schemas.iter().flat_map(|(from, _)| from.before.iter().copied().chain([from.schema])).collect();
    let history = schemas.as_ref().map(|(_, to)| History { before: &before, new: to.schema });
    table.compare(from.dialect, to.dialect, history).unwrap_or_default()
}

/// The messages of a release.
struct Messages {
    schema: &'static Schema,
    /// Those of the releases before it, oldest first.
    before: Vec<&'static Schema>,
    /// Whose they are.
    of: String,
    /// Whether that is the release itself, and not one before it.
    is_its_own: bool,
}

impl Messages {
    /// Those of the release where the protocol knows it, or those of its dialect, or of the newest release that is not newer.
    fn of(protocol: &dyn Protocol, release: &str, dialect: &str) -> Option<Self> {
        let known: Vec<_> = protocol
            .schema_releases()
            .iter()
            .filter_map(|known| Some((known.parse::<Version>().ok()?, *known)))
            .collect();
        let at = |at: usize, is_its_own: bool| {
            let schema = |(_, known): &(Version, &str)| protocol.schema_of(known);
            let (before, rest) = known.split_at_checked(at)?;
            let this = rest.first()?;
            let before = before.iter().filter_map(schema).collect();
            Some(Self { schema: schema(this)?, before, of: this.1.to_owned(), is_its_own })
        };
        let version: Option<Version> = release.parse().ok();
        if let Some(place) =
            version.and_then(|version| known.iter().position(|(known, _)| version.is_of(known)))
        {
            return at(place, true);
        }
        let not_newer = Version::of_package(release)
            .and_then(|version| known.iter().rposition(|(known, _)| *known <= version));
        if let Some(place) = not_newer {
            return at(place, false);
        }
        // What is no version comes behind all of them.
        let before = known.iter().filter_map(|(_, known)| protocol.schema_of(known)).collect();
        let schema = protocol.schema(dialect)?;
        Some(Self { schema, before, of: dialect.to_owned(), is_its_own: release == dialect })
    }
}

/// Protocol, older and newer release.
fn parts(text: &str) -> Result<(&str, &str, &str), Failure> {
    let parts = text.split_once('@').and_then(|(name, range)| {
        let (from, to) = range.split_once("..")?;
        (![name, from, to].contains(&"")).then_some((name, from, to))
    });
    parts.ok_or_else(|| {
        Failure::text(Exit::Usage, format!("`{text}` names no two releases; write `lxc@4.0.6..5.0.2`"))
    })
}

/// The dialect of a build; a release is its own.
fn spoken<'a>(files: &'a ProtocolFiles, name: &'a str) -> &'a str {
    files.builds.get(&BuildId::new(name)).map_or(name, |build| &build.dialect)
}

/// The build or release of that name. Nobody has looked at one that is given on the command line.
fn side(files: &ProtocolFiles, table: &LockTable, name: &str, is_given: bool) -> Result<Side, Failure> {
    let build = files.builds.get(&BuildId::new(name));
    let release = build.map_or(name, |build| build.version.as_str()).to_owned();
    let dialect = table.dialect_for(spoken(files, name)).map(|dialect| dialect.name.clone());
    let messages = Messages::of(&*files.protocol, &release, dialect.as_deref().unwrap_or(&release));
    let is_known = build.map_or(dialect.as_ref() == Some(&release), |_| !is_given);
    let known = match (&dialect, messages) {
        (None, None) => return Err(unknown(files, table, name)),
        (Some(_), None) if is_known => Known::All,
        (Some(_), Some(messages)) if is_known && messages.is_its_own => Known::All,
        (_, Some(messages)) if messages.is_its_own && !is_given => Known::Messages(messages.of),
        (_, Some(messages)) => Known::Nothing(messages.of),
        (Some(dialect), None) => Known::Nothing(dialect.clone()),
    };
    Ok(Side { name: name.to_owned(), version: release.parse().ok(), release, dialect, known })
}

fn unknown(files: &ProtocolFiles, table: &LockTable, name: &str) -> Failure {
    let known: Vec<_> = table.dialects.iter().map(|dialect| dialect.name.as_str()).collect();
    let messages = match files.protocol.schema_releases() {
        [first, .., last] => format!(", and the messages of {first} to {last}"),
        _ => String::new(),
    };
    let (protocol, known) = (&table.protocol, known.join(", "));
    let text = format!(
        "`{name}` is no build, and no release of {protocol} is as old; known are {known}{messages}; \
         `--build {protocol}@{name}=path:…` adds one"
    );
    Failure::text(Exit::Usage, text)
}

impl Side {
    fn place(&self) -> Place<'_> {
        Place { release: &self.release, dialect: self.dialect.as_deref().unwrap_or(&self.release) }
    }

    /// What it is taken for, where nothing is known of itself.
    fn taken_for(&self) -> Option<&str> {
        match &self.known {
            Known::Nothing(other) => Some(other),
            Known::All | Known::Messages(_) => None,
        }
    }
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        match (&self.dialect, &self.known) {
            (Some(dialect), _) if *dialect == self.name => Ok(()),
            (Some(dialect), Known::Messages(of)) if of != dialect => {
                write!(f, " (like {dialect} but for its messages)")
            }
            (Some(dialect), _) => write!(f, " (like {dialect})"),
            (None, _) => f.write_str(" (its messages alone)"),
        }
    }
}

impl Verdict<'_> {
    /// Sides of which nothing is known, each with what it was taken for.
    fn unknown(&self) -> impl Iterator<Item = (&Side, &str)> {
        [&self.from, &self.to].into_iter().filter_map(|side| Some((side, side.taken_for()?)))
    }

    /// Whether messages are all that is known of a side by itself.
    fn has_messages_alone(&self) -> bool {
        [&self.from, &self.to].iter().any(|side| matches!(side.known, Known::Messages(_)))
    }

    /// Whether more may be called for than was found.
    fn is_open(&self) -> bool {
        self.bump < Step::Major && self.unknown().next().is_some()
    }

    /// Whether the versions are as far apart as they have to be; `None` where nobody can say.
    fn is_enough(&self) -> Option<bool> {
        match self.step {
            Some(step) if step < self.bump => Some(false),
            Some(Step::Major) => Some(true),
            _ => (!self.is_open()).then_some(true),
        }
    }

    fn text(&self) -> String {
        let mut out =
            format!("{} {} -> {}, policy: {}\n", self.protocol, self.from, self.to, self.policy.name);
        let (breaks, additions) = (&self.found.breaks, &self.found.additions);
        let (bump, at_least) = (self.bump, if self.is_open() { "at least " } else { "" });
        let _ = match (breaks.is_empty(), additions.is_empty()) {
            (true, true) if self.is_open() => {
                writeln!(out, "nothing is known that calls for more than a {bump} version")
            }
            (true, true) if self.has_messages_alone() => {
                writeln!(out, "a {bump} version is enough for the messages: none of them changed")
            }
            (true, true) => writeln!(out, "a {bump} version is enough: nothing changed that is locked"),
            (true, false) => writeln!(out, "this release needs {at_least}a {bump} version, because it adds"),
            _ => writeln!(out, "this release needs {at_least}a {bump} version, because"),
        };
        out.push_str(&breaks_as_text(&self.policy.bumps, &self.found, "  "));
        if breaks.is_empty() {
            additions.iter().for_each(|added| _ = writeln!(out, "  {added}"));
        } else if !additions.is_empty() {
            let _ = writeln!(out, "and it adds {}", additions.join(", "));
        }
        if !self.changes.is_empty() {
            out.push_str("what is known to have changed\n");
        }
        for change in &self.changes {
            let _ = writeln!(out, "  {}: {} ({})", change.release, change.what, change.source);
        }
        for (side, other) in self.unknown() {
            let name = &side.name;
            let _ = writeln!(
                out,
                "of {name} itself nothing is known: it was taken for {other}, and more may have changed"
            );
        }
        if let (Some(false), Some(step)) = (self.is_enough(), self.step) {
            let (from, to) = (&self.from.name, &self.to.name);
            let _ = writeln!(out, "{from} -> {to} raises the {step} version only; that is too little");
        }
        out
    }

    fn json(&self) -> Value {
        let side = |side: &Side| json!({ "name": side.name, "dialect": side.dialect, "taken-for": side.taken_for() });
        let change = |change: &Changed| json!({ "release": change.release, "what": change.what, "source": change.source });
        json!({
            "protocol": self.protocol,
            "from": side(&self.from),
            "to": side(&self.to),
            "policy": self.policy.name,
            "bump": self.bump.word(),
            "step": self.step.map(Step::word),
            "enough": self.is_enough(),
            "breaks": breaks_as_json(&self.policy.bumps, &self.found),
            "additions": self.found.additions,
            "changes": self.changes.iter().map(change).collect::<Vec<_>>(),
        })
    }
}

/// A line for each break, with what it calls for.
pub(crate) fn breaks_as_text(policy: &matrix::Policy, found: &Comparison, indent: &str) -> String {
    found.breaks.iter().map(|found| format!("{indent}{}: {found}\n", policy.of_break(found))).collect()
}

pub(crate) fn breaks_as_json(policy: &matrix::Policy, found: &Comparison) -> Vec<Value> {
    let breaks = found.breaks.iter().map(|found| {
        json!({
            "kind": found.kind.word(),
            "subject": found.subject,
            "what": found.what,
            "hurts": found.hurts.word(),
            "certain": found.certain,
            "places": found.places,
            "bump": policy.of_break(found).word(),
        })
    });
    breaks.collect()
}

/// `1 break`, `2 breaks`.
pub(crate) fn count(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}
