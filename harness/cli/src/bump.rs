//! `bump`: the version that a release calls for.

use std::fmt::Write as _;
use std::path::Path;

use matrix::{BuildId, Bump as Step, Comparison, LockTable, Version};
use protocol::dialect::Changed;
use runner::{Project, ProtocolFiles};
use serde_json::{Value, json};

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
    /// The version that it calls its own.
    version: Option<Version>,
    /// The dialect that it speaks.
    dialect: String,
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
    let (from, to) = (side(files, table, from)?, side(files, table, to)?);
    let place = |side: &Side| table.dialects.iter().position(|dialect| dialect.name == side.dialect);
    let step =
        from.version.as_ref().zip(to.version.as_ref()).map(|(from, to)| (from == to, from.raised_by(to)));
    if place(&from) > place(&to) || matches!(step, Some((false, None))) {
        let text = format!(
            "`{}` is newer than `{}`; the older one comes first: {name}@{}..{}",
            from.name, to.name, to.name, from.name
        );
        return Err(Failure::text(Exit::Usage, text));
    }
    let found = compared(files, table, &from.dialect, &to.dialect);
    let verdict = Verdict {
        protocol: protocol.name(),
        bump: policy.bumps.of(&found),
        step: step.and_then(|(_, step)| step),
        changes: files.protocol.changes(Some(&from.dialect), &to.dialect),
        from,
        to,
        policy,
        found,
    };
    terminal::print(&match args.format {
        TextOrJson::Text => verdict.text(),
        TextOrJson::Json => format!("{:#}\n", verdict.json()),
    });
    Ok(if verdict.is_enough() { Exit::AsExpected } else { Exit::Unexpected }.into())
}

/// What a dialect breaks of an older one.
pub(crate) fn compared(files: &ProtocolFiles, table: &LockTable, from: &str, to: &str) -> Comparison {
    let schemas = files.protocol.schema(from).zip(files.protocol.schema(to));
    table.compare(from, to, schemas).unwrap_or_default()
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

/// The build or release of that name.
fn side(files: &ProtocolFiles, table: &LockTable, name: &str) -> Result<Side, Failure> {
    let build = files.builds.get(&BuildId::new(name));
    let version = build.map_or(name, |build| build.version.as_str());
    let Some(dialect) = table.dialect_for(spoken(files, name)) else {
        let known: Vec<_> = table.dialects.iter().map(|dialect| dialect.name.as_str()).collect();
        let text = format!(
            "`{name}` is no build, and no release of {} is as old; known are {}; `--build {}@{name}=path:…` adds one",
            table.protocol,
            known.join(", "),
            table.protocol
        );
        return Err(Failure::text(Exit::Usage, text));
    };
    Ok(Side { name: name.to_owned(), version: version.parse().ok(), dialect: dialect.name.clone() })
}

impl Verdict<'_> {
    /// Whether the versions are as far apart as they have to be.
    fn is_enough(&self) -> bool {
        self.step.is_none_or(|step| step >= self.bump)
    }

    fn text(&self) -> String {
        let spoken = |side: &Side| {
            if side.name == side.dialect {
                side.name.clone()
            } else {
                format!("{} (like {})", side.name, side.dialect)
            }
        };
        let mut out = format!(
            "{} {} -> {}, policy: {}\n",
            self.protocol,
            spoken(&self.from),
            spoken(&self.to),
            self.policy.name
        );
        let (breaks, additions) = (&self.found.breaks, &self.found.additions);
        let _ = match (breaks.is_empty(), additions.is_empty()) {
            (true, true) => {
                writeln!(out, "a {} version is enough: nothing changed that is locked", self.bump)
            }
            (true, false) => writeln!(out, "this release needs a {} version, because it adds", self.bump),
            _ => writeln!(out, "this release needs a {} version, because", self.bump),
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
        if let (false, Some(step)) = (self.is_enough(), self.step) {
            let (from, to) = (&self.from.name, &self.to.name);
            let _ = writeln!(out, "{from} -> {to} raises the {step} version only; that is too little");
        }
        out
    }

    fn json(&self) -> Value {
        let side = |side: &Side| json!({ "name": side.name, "dialect": side.dialect });
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
