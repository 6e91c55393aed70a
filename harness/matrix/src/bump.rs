//! The version that a release calls for: what it breaks, measured by a policy.
//!
//! ```toml
//! about = "any break is major"
//!
//! [bump]
//! old-client-new-server = "major"   # a break that hurts an old client with a new server
//! new-client-old-server = "minor"   # …a new client with an old server
//! both = "major"                    # …both; at least what each of them calls for
//! suspected = "minor"               # the same bytes under another name; if absent, minor
//! addition = "minor"                # something is new; if absent, minor
//! none = "patch"                    # nothing changed; if absent, patch
//! ```
//!
//! Projects do not agree on whether a release that only one order of upgrades survives has to be a major one, and both have
//! reasons. So it is data: `matrices/policies/` holds a file for each side.

use std::fmt;
use std::path::Path;

use toml::Spanned;

use crate::breaks::{Break, Comparison, Hurts};
use crate::error::{ConfigError, read_text};
use crate::section::{BadText, FromText, Section, read_document};
use crate::version::Version;

/// Which number of a version is raised.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Bump {
    /// The third one: nobody can tell.
    Patch,
    /// The second one: there is more.
    Minor,
    /// The first one: somebody has to do something.
    Major,
}

impl Bump {
    /// The word for it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Patch => "patch",
            Self::Minor => "minor",
            Self::Major => "major",
        }
    }
}

impl fmt::Display for Bump {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

impl FromText for Bump {
    const WANTED: &'static str = "`major`, `minor` or `patch`";

    fn from_text(text: &str) -> Result<Self, BadText> {
        let all = [Self::Major, Self::Minor, Self::Patch];
        let found = all.into_iter().find(|bump| bump.word() == text);
        found.ok_or_else(|| BadText::unknown_word(text, "bump", &all.map(Self::word)))
    }
}

/// What calls for which version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// What it holds, in words.
    pub about: Option<String>,
    /// A break that hurts an old client with a new server.
    pub old_client_new_server: Bump,
    /// A break that hurts a new client with an old server.
    pub new_client_old_server: Bump,
    /// A break that hurts both.
    pub both: Bump,
    /// A break that is one only if a name changed its meaning.
    pub suspected: Bump,
    /// Something new.
    pub addition: Bump,
    /// No difference.
    pub none: Bump,
}

impl Default for Policy {
    /// Any break in either direction is major.
    fn default() -> Self {
        Self {
            about: None,
            old_client_new_server: Bump::Major,
            new_client_old_server: Bump::Major,
            both: Bump::Major,
            suspected: Bump::Minor,
            addition: Bump::Minor,
            none: Bump::Patch,
        }
    }
}

impl Policy {
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
            let about = root.optional("about");
            if !root.has("bump") {
                let help = "add `[bump]` with `old-client-new-server`, `new-client-old-server` and `both`"
                    .to_owned();
                root.context()
                    .report(root.problem(0..0, "the policy says nothing", "no `[bump]`").help(help));
            }
            let policy = root.optional_table("bump", read_bumps)?;
            Some(Self { about, ..policy })
        })
    }

    /// What a break calls for.
    #[must_use]
    pub const fn of_break(&self, found: &Break) -> Bump {
        match found.hurts {
            _ if !found.certain => self.suspected,
            Hurts::OldClientNewServer => self.old_client_new_server,
            Hurts::NewClientOldServer => self.new_client_old_server,
            Hurts::Both => self.both,
        }
    }

    /// What all that lies between two releases calls for.
    #[must_use]
    pub fn of(&self, comparison: &Comparison) -> Bump {
        let breaks = comparison.breaks.iter().map(|found| self.of_break(found));
        let additions = (!comparison.additions.is_empty()).then_some(self.addition);
        breaks.chain(additions).max().unwrap_or(self.none)
    }
}

fn read_bumps(section: &mut Section<'_>) -> Option<Policy> {
    let default = Policy::default();
    let old_client_new_server = section.required::<Bump>("old-client-new-server");
    let new_client_old_server = section.required::<Bump>("new-client-old-server");
    let both = section.required::<Spanned<Bump>>("both");
    let mut or = |key, otherwise| section.optional(key).unwrap_or(otherwise);
    let suspected = or("suspected", default.suspected);
    let addition = or("addition", default.addition);
    let none = or("none", default.none);
    let (old_client_new_server, new_client_old_server, both) =
        (old_client_new_server?, new_client_old_server?, both?);
    let least = old_client_new_server.max(new_client_old_server);
    if *both.get_ref() < least {
        let message = "what hurts both calls for less than what hurts one of them";
        let help = format!("write `both = \"{least}\"`");
        section.context().report(section.problem(both.span(), message, "too little").help(help));
        return None;
    }
    let both = both.into_inner();
    Some(Policy {
        about: None,
        old_client_new_server,
        new_client_old_server,
        both,
        suspected,
        addition,
        none,
    })
}

impl Version {
    /// The number that a newer version raises; `None` if it is not newer. Before 1.0 the second number counts as the first
    /// one, and the third as the second, as usual there.
    #[must_use]
    pub fn raised_by(&self, newer: &Self) -> Option<Bump> {
        if newer <= self {
            return None;
        }
        let differs = (0..).find(|at| self.number(*at) != newer.number(*at))?;
        let is_young = self.number(0) == 0 && newer.number(0) == 0;
        Some(match differs - usize::from(is_young) {
            0 => Bump::Major,
            1 => Bump::Minor,
            _ => Bump::Patch,
        })
    }
}
