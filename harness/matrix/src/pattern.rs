//! Patterns over names and paths.
//!
//! ```text
//! lxc-command/*..4.0.6/probe/unknown-*      `*` is any text within one component; beside `..` it
//!                                           stays on its side of the pair
//! lxc-command/**                            `**` is any number of components, none included
//! ```
//!
//! Nothing else is special. A pattern always has to match the whole path, from the protocol on.

use std::fmt;
use std::str::FromStr;

use crate::section::{BadText, FromText};
use crate::{CaseId, CaseKind, CellId};

/// A pattern over one name: `*` is any text.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Glob(String);

impl Glob {
    /// Whether the whole name fits.
    #[must_use]
    pub fn matches(&self, name: &str) -> bool {
        let (pattern, name) = (self.0.as_bytes(), name.as_bytes());
        let (mut at, mut name_at) = (0, 0);
        // Where to go on when the text behind the last `*` does not fit: that `*` takes one byte more.
        let mut retry: Option<(usize, usize)> = None;
        loop {
            match (pattern.get(at), name.get(name_at)) {
                (Some(b'*'), _) => {
                    retry = Some((at + 1, name_at));
                    at += 1;
                }
                (Some(wanted), Some(found)) if wanted == found => {
                    at += 1;
                    name_at += 1;
                }
                (None, None) => return true,
                _ => {
                    let Some((retry_at, taken)) = retry else { return false };
                    if taken >= name.len() {
                        return false;
                    }
                    retry = Some((retry_at, taken + 1));
                    (at, name_at) = (retry_at, taken + 1);
                }
            }
        }
    }

    /// Whether it is a plain name without `*`.
    #[must_use]
    pub fn is_literal(&self) -> bool {
        !self.0.contains('*')
    }

    /// The pattern's text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Glob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why a text is no pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{pattern}` is not a {what}: {reason}")]
pub struct ParsePatternError {
    pattern: String,
    what: &'static str,
    reason: String,
    /// What to do about it.
    pub help: Option<String>,
}

/// Characters that other tools give a meaning and that no name has.
const FOREIGN: [char; 8] = ['?', '[', ']', '{', '}', '\\', '!', ' '];

impl FromStr for Glob {
    type Err = ParsePatternError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let error = |reason: String, help: &str| ParsePatternError {
            pattern: text.to_owned(),
            what: "name pattern",
            reason,
            help: Some(help.to_owned()),
        };
        if text.is_empty() {
            return Err(error("it is empty".to_owned(), "write `*` for any name"));
        }
        if text.contains('/') {
            return Err(error("it has a `/`".to_owned(), "this is the place of one name, not of a path"));
        }
        if let Some(foreign) = text.chars().find(|char| FOREIGN.contains(char)) {
            return Err(error(format!("it has a `{foreign}`"), "only `*` is special"));
        }
        Ok(Self(text.to_owned()))
    }
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Component {
    /// `**`.
    AnyDepth,
    /// A pattern over the whole component.
    Name(Glob),
    /// A pattern for each side of a `..`.
    Pair(Glob, Glob),
}

impl Component {
    fn matches(&self, text: &str) -> bool {
        match self {
            Self::AnyDepth => true,
            Self::Name(glob) => glob.matches(text),
            Self::Pair(left, right) => {
                text.split_once("..").is_some_and(|(l, r)| left.matches(l) && right.matches(r))
            }
        }
    }
}

/// Most components of a pattern; no path has as many.
const COMPONENTS_MAX: usize = 63;

/// A pattern over a path.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct PathPattern {
    text: String,
    components: Vec<Component>,
}

impl PathPattern {
    fn parse(
        text: &str,
        what: &'static str,
        length_min: usize,
        form: &str,
    ) -> Result<Self, ParsePatternError> {
        let error = |reason: String, help: Option<String>| ParsePatternError {
            pattern: text.to_owned(),
            what,
            reason,
            help,
        };
        let mut components = Vec::new();
        for part in text.split('/') {
            components.push(match part {
                "" => {
                    return Err(error(
                        "it has an empty component".to_owned(),
                        Some(format!("the form is `{form}`")),
                    ));
                }
                "**" => Component::AnyDepth,
                _ if part.contains("**") => {
                    let help = "`**` stands between slashes, alone; within a name write `*`";
                    return Err(error(format!("`{part}` mixes `**` with text"), Some(help.to_owned())));
                }
                _ => Self::component(part)
                    .map_err(|inner| error(format!("in `{part}`, {}", inner.reason), inner.help))?,
            });
        }
        if components.len() > COMPONENTS_MAX {
            return Err(error(format!("it has more than {COMPONENTS_MAX} components"), None));
        }
        if components.len() < length_min && !components.contains(&Component::AnyDepth) {
            let reason = format!("it has {} of {length_min} components", components.len());
            return Err(error(
                reason,
                Some(format!("the form is `{form}`; write `{text}/**` for all below it")),
            ));
        }
        Ok(Self { text: text.to_owned(), components })
    }

    fn component(part: &str) -> Result<Component, ParsePatternError> {
        match part.split_once("..") {
            Some((left, right)) => Ok(Component::Pair(left.parse()?, right.parse()?)),
            None => Ok(Component::Name(part.parse()?)),
        }
    }

    fn matches(&self, path: &str) -> bool {
        self.may_match(path) && self.matches_parts(path)
    }

    /// Whether the plain text at the beginning and at the end of the pattern is there: nearly no path gets further. A slash
    /// beside `**` need not be, as that may stand for nothing.
    fn may_match(&self, path: &str) -> bool {
        let (Some((begins, _)), Some((_, ends))) = (self.text.split_once('*'), self.text.rsplit_once('*'))
        else {
            return path == self.text;
        };
        path.starts_with(begins.trim_end_matches('/')) && path.ends_with(ends.trim_start_matches('/'))
    }

    /// Bit `i` of `reached` says that the first `i` components of the pattern can end at this part of the path.
    fn matches_parts(&self, path: &str) -> bool {
        let mut reached = self.skip_any_depth(1);
        for part in path.split('/') {
            let mut next = 0;
            for (at, component) in self.components.iter().enumerate() {
                if reached >> at & 1 == 1 && component.matches(part) {
                    let stays = matches!(component, Component::AnyDepth);
                    next |= 1 << if stays { at } else { at + 1 };
                }
            }
            reached = self.skip_any_depth(next);
            if reached == 0 {
                return false;
            }
        }
        reached >> self.components.len() & 1 == 1
    }

    /// `**` may stand for nothing.
    fn skip_any_depth(&self, mut reached: u64) -> u64 {
        for (at, component) in self.components.iter().enumerate() {
            if matches!(component, Component::AnyDepth) {
                reached |= (reached >> at & 1) << (at + 1);
            }
        }
        reached
    }
}

/// The form of a cell's path, for messages.
const CELL_FORM: &str = "<protocol>/<client>..<server>/<kind>/<name>";

/// A pattern over the names of cells.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CellPattern(PathPattern);

impl CellPattern {
    /// Whether the cell's whole name fits.
    #[must_use]
    pub fn matches(&self, cell: &CellId) -> bool {
        self.matches_name(&cell.to_string())
    }

    /// The same, for a name that is already at hand.
    #[must_use]
    pub fn matches_name(&self, cell: &str) -> bool {
        self.0.matches(cell)
    }

    /// Whether cells of this protocol can fit at all.
    #[must_use]
    pub fn reaches_protocol(&self, protocol: &str) -> bool {
        self.0.components.first().is_some_and(|first| first.matches(protocol))
    }

    /// The pattern's text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0.text
    }
}

impl FromStr for CellPattern {
    type Err = ParsePatternError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        PathPattern::parse(text, "cell pattern", 4, CELL_FORM).map(Self)
    }
}

impl fmt::Display for CellPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.text)
    }
}

/// A pattern over the names of cases, e.g. `probe/**`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CasePattern(PathPattern);

impl CasePattern {
    /// Whether cases of this kind can fit at all.
    #[must_use]
    pub fn reaches(&self, kind: CaseKind) -> bool {
        self.0.components.first().is_some_and(|first| first.matches(kind.as_str()))
    }

    /// Whether the case's whole name fits.
    #[must_use]
    pub fn matches(&self, case: &CaseId) -> bool {
        self.matches_name(&case.to_string())
    }

    /// The same, for a name that is already at hand.
    #[must_use]
    pub fn matches_name(&self, case: &str) -> bool {
        self.0.matches(case)
    }

    /// The pattern's text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0.text
    }
}

impl FromStr for CasePattern {
    type Err = ParsePatternError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        PathPattern::parse(text, "case pattern", 2, "<kind>/<name>").map(Self)
    }
}

impl fmt::Display for CasePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.text)
    }
}

fn bad_pattern(error: ParsePatternError) -> BadText {
    BadText::new(error.to_string(), error.help)
}

impl FromText for Glob {
    const WANTED: &'static str = "a name, or a pattern with `*`";

    fn from_text(text: &str) -> Result<Self, BadText> {
        text.parse().map_err(bad_pattern)
    }
}

impl FromText for CellPattern {
    const WANTED: &'static str = "a cell's path, or a pattern with `*` and `**`";

    fn from_text(text: &str) -> Result<Self, BadText> {
        text.parse().map_err(bad_pattern)
    }
}

impl FromText for CasePattern {
    const WANTED: &'static str = "a case, e.g. `probe/**`";

    fn from_text(text: &str) -> Result<Self, BadText> {
        text.parse().map_err(bad_pattern)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(pattern: &str, cell: &str, expect: bool) {
        let parsed: CellPattern = pattern.parse().expect("the test's own patterns parse");
        assert_eq!(parsed.matches_name(cell), expect, "{pattern} against {cell}");
    }

    const CELL: &str = "lxc-command/probe..4.0.6/probe/unknown-payload-16";

    #[test]
    fn one_star_stays_within_a_component() {
        check(CELL, CELL, true);
        check("lxc-command/*/probe/*", CELL, true);
        check("lxc-command/*/*/*", "lxc-command/probe..4.0.6/probe/a/b", false);
        check("lxc-command/*/replay/*", "lxc-command/a..b/replay/4.0.6/info", false);
        check("*/probe..4.0.6/probe/unknown-*-16", CELL, true);
        check("*/probe..4.0.6/probe/unknown-*-4096", CELL, false);
        check("lxc-command/*/probe/*unknown*16*", CELL, true);
        check("lxc-command/*/probe/*16", CELL, true);
        check("lxc-command/*/probe/*1", CELL, false);
        check("lxc-*/probe..*/probe/unknown", CELL, false);
    }

    #[test]
    fn a_star_beside_two_dots_stays_on_its_side() {
        check("lxc-command/*..4.0.6/**", CELL, true);
        check("lxc-command/probe..*/**", CELL, true);
        check("lxc-command/4.*..*/**", CELL, false);
        check("lxc-command/4.*..5.0.2/probe/x", "lxc-command/4.0.6..5.0.2/probe/x", true);
        check("lxc-command/ref-*..ideal/probe/x", "lxc-command/ref-4.0.6..ideal/probe/x", true);
        check("lxc-command/ref-*..ideal/probe/x", "lxc-command/4.0.6..ideal/probe/x", false);
        check("lxc-command/*.6..*/probe/x", "lxc-command/4.0.6..4.0.6/probe/x", true);
        check("lxc-command/*.6..*/probe/x", "lxc-command/5.0.2..4.0.6/probe/x", false);
    }

    #[test]
    fn two_stars_span_components() {
        check("**", CELL, true);
        check("lxc-command/**", CELL, true);
        check("lxc-command/**", "libvirt-remote/a..b/probe/x", false);
        check("**/unknown-payload-16", CELL, true);
        check("**/unknown-payload-1", CELL, false);
        check("lxc-command/**/**/unknown-*", CELL, true);
        check("lxc-command/probe..4.0.6/probe/unknown-payload-16/**", CELL, true);
        check("lxc-command/*/replay/**", "lxc-command/a..b/replay/4.0.6..5.0.2/info", true);
        check("**/probe/**/probe/**", CELL, false);
    }

    #[test]
    fn says_why_a_text_is_no_pattern() {
        #[track_caller]
        fn check(pattern: &str, expect: &str, help: &str) {
            let error = pattern.parse::<CellPattern>().expect_err("the pattern was accepted");
            assert_eq!(error.to_string(), format!("`{pattern}` is not a cell pattern: {expect}"));
            assert_eq!(error.help.as_deref(), Some(help));
        }
        let form = "the form is `<protocol>/<client>..<server>/<kind>/<name>`";
        check("", "it has an empty component", form);
        check("/lxc-command/**", "it has an empty component", form);
        check("lxc", "it has 1 of 4 components", &format!("{form}; write `lxc/**` for all below it"));
        check(
            "lxc/a..b",
            "it has 2 of 4 components",
            &format!("{form}; write `lxc/a..b/**` for all below it"),
        );
        check(
            "lxc/a**/x",
            "`a**` mixes `**` with text",
            "`**` stands between slashes, alone; within a name write `*`",
        );
        check("lxc/..4.0.6/probe/x", "in `..4.0.6`, it is empty", "write `*` for any name");
        check("lxc/a..b/probe/x?", "in `x?`, it has a `?`", "only `*` is special");
    }

    #[test]
    fn a_pattern_has_so_many_components_at_most() {
        let stars = |count: usize| vec!["**"; count].join("/").parse::<CellPattern>();
        assert!(stars(COMPONENTS_MAX).is_ok_and(|pattern| pattern.matches_name(CELL)));
        let error = stars(COMPONENTS_MAX + 1).expect_err("one too many").to_string();
        assert!(error.ends_with("it has more than 63 components"), "{error}");
    }

    #[test]
    fn a_case_pattern_reaches_the_kinds_of_which_it_can_match_cases() {
        #[track_caller]
        fn check(pattern: &str, expect: &[CaseKind]) {
            let pattern: CasePattern = pattern.parse().expect("the test's own patterns parse");
            assert_eq!(
                CaseKind::ALL.into_iter().filter(|kind| pattern.reaches(*kind)).collect::<Vec<_>>(),
                expect
            );
        }
        check("probe/**", &[CaseKind::Probe]);
        check("replay/probe.*@5.0.2", &[CaseKind::Replay]);
        check("*/idle", &CaseKind::ALL);
        check("**/idle", &CaseKind::ALL);
        check("*e*/idle", &CaseKind::ALL);
        check("s*/idle", &[CaseKind::Scenario, CaseKind::State]);
    }

    #[test]
    fn case_patterns_match_cases() {
        #[track_caller]
        fn check(pattern: &str, case: &str, expect: bool) {
            let pattern: CasePattern = pattern.parse().expect("the test's own patterns parse");
            let case: CaseId = case.parse().expect("the test's own cases parse");
            assert_eq!(pattern.matches(&case), expect, "{pattern} against {case}");
        }
        check("probe/**", "probe/unknown", true);
        check("probe/*", "probe/a/b", false);
        check("replay/**", "replay/4.0.6..5.0.2/info", true);
        check("**", "client/attach", true);
        check("*/info", "client/info", true);
    }

    proptest! {
        /// The glob against the obvious exponential definition.
        #[test]
        fn globs_match_as_defined(pattern in "[ab*]{1,7}", name in "[ab]{0,8}") {
            fn defined(pattern: &[u8], name: &[u8]) -> bool {
                match (pattern, name) {
                    ([], []) => true,
                    ([b'*', rest @ ..], _) => {
                        defined(rest, name) || (!name.is_empty() && defined(pattern, &name[1..]))
                    }
                    ([p, pattern @ ..], [n, name @ ..]) => p == n && defined(pattern, name),
                    _ => false,
                }
            }
            let glob = Glob(pattern.clone());
            prop_assert_eq!(glob.matches(&name), defined(pattern.as_bytes(), name.as_bytes()));
        }

        /// Replacing any component by `*`, or any run of components by `**`, never loses the cell.
        #[test]
        fn widening_keeps_the_cell(
            parts in proptest::collection::vec("[a-z0-9.]{1,6}", 4..7),
            star in 0usize..7,
            from in 0usize..7,
            len in 0usize..4,
        ) {
            prop_assume!(parts.iter().all(|part| !part.contains("..")));
            let cell = parts.join("/");
            let mut starred = parts.clone();
            let at = star % parts.len();
            starred[at] = "*".to_owned();
            let mut deep = parts.clone();
            let from = from % parts.len();
            deep.splice(from..(from + len).min(parts.len()), ["**".to_owned()]);
            for pattern in [starred.join("/"), deep.join("/")] {
                let parsed: CellPattern = pattern.parse().map_err(|e| TestCaseError::fail(format!("{e}")))?;
                prop_assert!(parsed.matches_name(&cell), "{} against {}", pattern, cell);
            }
        }
    }
}
