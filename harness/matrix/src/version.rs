//! Dotted numeric versions and ranges of them.
//!
//! ```text
//! version     = number *( "." number ) [ suffix ]     4.0.6, 1.0.16-7, 4.50.7-31-gfd4b0df20
//! suffix      = "-" number [ "-g" hex ] / "+" *CHAR   commits and patches behind a tag; they do not count
//! range       = part *( " or " part )                 >=5.0.2, <7 or =ideal
//! part        = comparator *( "," comparator ) / "=" word
//! comparator  = ( ">=" | ">" | "<=" | "<" | "=" ) version
//! word        = ALPHA *CHAR                           ideal, a branch
//! ```
//!
//! Missing numbers count as zero: `5` is `5.0.0`. So `>=5` has 5.0.2 in it and `<=4` does *not* have
//! 4.0.6; write `<5` for "up to the last 4". What is no dotted number is only in a range that has it as
//! a word.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use crate::section::{BadText, FromText};

/// A dotted numeric version.
#[derive(Debug, Clone)]
pub struct Version {
    numbers: Vec<u64>,
}

impl Version {
    /// The version that a build calls its own, where that is a dotted number.
    pub(crate) fn read(text: &str) -> Option<Self> {
        text.parse().ok()
    }

    /// The version that a package is of: an epoch and what a distribution appends are passed over, e.g. 5.2 of
    /// `1:5.2+dfsg-11+deb11u5`.
    #[must_use]
    pub fn of_package(text: &str) -> Option<Self> {
        let text = text.split_once(':').map_or(text, |(_, behind)| behind);
        let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
        Self::read(text[..end].trim_end_matches('.'))
    }

    /// Whether it is that release or one of its patches: as many numbers count as that one has, so 2.0.5 is of 2.0.
    #[must_use]
    pub fn is_of(&self, release: &Self) -> bool {
        (0..release.numbers.len()).all(|at| self.number(at) == release.number(at))
    }

    /// Its first number.
    #[must_use]
    pub fn major(&self) -> u64 {
        self.numbers.first().copied().unwrap_or(0)
    }

    /// Its number at a place, from 0 on.
    pub(crate) fn number(&self, at: usize) -> u64 {
        self.numbers.get(at).copied().unwrap_or(0)
    }

    fn significant(&self) -> &[u64] {
        let used = self.numbers.iter().rposition(|number| *number != 0).map_or(0, |at| at + 1);
        &self.numbers[..used]
    }
}

impl PartialEq for Version {
    fn eq(&self, other: &Self) -> bool {
        self.significant() == other.significant()
    }
}

impl Eq for Version {}

impl PartialOrd for Version {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Version {
    fn cmp(&self, other: &Self) -> Ordering {
        self.significant().cmp(other.significant())
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, number) in self.numbers.iter().enumerate() {
            if at > 0 {
                f.write_str(".")?;
            }
            write!(f, "{number}")?;
        }
        Ok(())
    }
}

/// Why a text is no version or no range.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ParseVersionError {
    message: String,
}

impl ParseVersionError {
    fn new(message: impl Into<String>) -> Self {
        Self { message: message.into() }
    }
}

impl FromStr for Version {
    type Err = ParseVersionError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let number = |part: &str| {
            let digits = !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
            digits.then(|| part.parse().ok()).flatten()
        };
        let tag = without_suffix(text);
        let numbers: Option<Vec<u64>> = tag.split('.').map(number).collect();
        numbers
            .map(|numbers| Self { numbers })
            .ok_or_else(|| ParseVersionError::new(format!("`{text}` is not a dotted numeric version")))
    }
}

/// The tag that a version is built on. What may come before a tag, as `-rc1`, is no suffix.
fn without_suffix(text: &str) -> &str {
    let Some(at) = text.find(['-', '+']).filter(|at| *at > 0) else { return text };
    let (tag, suffix) = text.split_at(at);
    let all = |part: &str, wanted: fn(&u8) -> bool| !part.is_empty() && part.as_bytes().iter().all(wanted);
    let is_described = suffix.strip_prefix('-').is_some_and(|described| match described.split_once("-g") {
        Some((commits, hash)) => all(commits, u8::is_ascii_digit) && all(hash, u8::is_ascii_hexdigit),
        None => all(described, u8::is_ascii_digit),
    });
    if is_described || suffix.starts_with('+') { tag } else { text }
}

/// Which side of a version a comparator takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Comparison {
    AtLeast,
    Above,
    AtMost,
    Below,
    Equal,
}

/// Longest first, so that `>=` is not read as `>`.
const COMPARISONS: [(&str, Comparison); 5] = [
    (">=", Comparison::AtLeast),
    ("<=", Comparison::AtMost),
    (">", Comparison::Above),
    ("<", Comparison::Below),
    ("=", Comparison::Equal),
];

/// What a build calls its version, read once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Called<'a> {
    /// A dotted number.
    Number(Version),
    /// Anything else.
    Word(&'a str),
}

impl<'a> Called<'a> {
    pub(crate) fn read(text: &'a str) -> Self {
        Version::read(text).map_or(Self::Word(text), Self::Number)
    }
}

/// A range of versions: one of its parts holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VersionRange {
    parts: Vec<Part>,
}

/// A part of a range.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    /// All of these hold.
    Numbers(Vec<(Comparison, Version)>),
    /// It is this word.
    Word(String),
}

/// What stands between the parts of a range.
const OR: &str = " or ";

impl VersionRange {
    /// Whether a version is in it.
    #[must_use]
    pub fn contains(&self, version: &Version) -> bool {
        self.parts.iter().any(|part| part.contains(version))
    }

    /// Whether the version that a build calls its own is in it.
    #[must_use]
    pub fn contains_text(&self, version: &str) -> bool {
        self.has(&Called::read(version))
    }

    /// The same, of what has been read.
    pub(crate) fn has(&self, called: &Called<'_>) -> bool {
        match called {
            Called::Number(version) => self.contains(version),
            Called::Word(word) => {
                self.parts.iter().any(|part| matches!(part, Part::Word(own) if own == word))
            }
        }
    }
}

impl Part {
    fn contains(&self, version: &Version) -> bool {
        let Self::Numbers(comparators) = self else { return false };
        comparators.iter().all(|(comparison, bound)| match comparison {
            Comparison::AtLeast => version >= bound,
            Comparison::Above => version > bound,
            Comparison::AtMost => version <= bound,
            Comparison::Below => version < bound,
            Comparison::Equal => version == bound,
        })
    }

    /// Whether some version can be in it.
    fn is_satisfiable(&self) -> bool {
        let Self::Numbers(comparators) = self else { return true };
        // Between two different versions there is always another (`4.0.6` < `4.0.6.1`), so only the
        // highest lower and the lowest upper bound matter.
        let lower = comparators.iter().filter_map(|(comparison, bound)| match comparison {
            Comparison::AtLeast | Comparison::Equal => Some((bound, false)),
            Comparison::Above => Some((bound, true)),
            Comparison::AtMost | Comparison::Below => None,
        });
        let upper = comparators.iter().filter_map(|(comparison, bound)| match comparison {
            Comparison::AtMost | Comparison::Equal => Some((bound, false)),
            Comparison::Below => Some((bound, true)),
            Comparison::AtLeast | Comparison::Above => None,
        });
        let zero = Version { numbers: vec![0] };
        let (lower, lower_open) = lower.max().unwrap_or((&zero, false));
        let Some((upper, upper_open)) = upper.min_by_key(|(bound, open)| (*bound, !open)) else {
            return true;
        };
        lower < upper || (lower == upper && !lower_open && !upper_open)
    }
}

impl fmt::Display for VersionRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, part) in self.parts.iter().enumerate() {
            write!(f, "{}{part}", if at > 0 { OR } else { "" })?;
        }
        Ok(())
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let comparators = match self {
            Self::Word(word) => return write!(f, "={word}"),
            Self::Numbers(comparators) => comparators,
        };
        for (at, (comparison, bound)) in comparators.iter().enumerate() {
            let sign = COMPARISONS.iter().find(|(_, other)| other == comparison).map_or("", |(sign, _)| sign);
            write!(f, "{}{sign}{bound}", if at > 0 { ", " } else { "" })?;
        }
        Ok(())
    }
}

impl FromStr for VersionRange {
    type Err = ParseVersionError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(Self { parts: text.split(OR).map(str::parse).collect::<Result<_, _>>()? })
    }
}

impl FromStr for Part {
    type Err = ParseVersionError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Some(word) = text.trim().strip_prefix('=').map(str::trim_start).filter(|word| is_word(word)) {
            return Ok(Self::Word(word.to_owned()));
        }
        let comparator = |part: &str| {
            let part = part.trim();
            let (sign, comparison) =
                COMPARISONS.iter().find(|(sign, _)| part.starts_with(sign)).ok_or_else(|| {
                    ParseVersionError::new(format!(
                        "`{part}` does not start with one of `>=`, `>`, `<=`, `<`, `=`"
                    ))
                })?;
            Ok((*comparison, part[sign.len()..].trim_start().parse()?))
        };
        let part = Self::Numbers(text.split(',').map(comparator).collect::<Result<_, _>>()?);
        if !part.is_satisfiable() {
            return Err(ParseVersionError::new(format!("no version is in `{text}`")));
        }
        Ok(part)
    }
}

/// Whether a text is a version that is no number.
pub(crate) fn is_word(text: &str) -> bool {
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    text.starts_with(|first: char| first.is_ascii_alphabetic()) && text.bytes().all(is_part)
}

impl FromText for VersionRange {
    const WANTED: &'static str = "a version range, e.g. `>=5.0.2, <7`";

    fn from_text(text: &str) -> Result<Self, BadText> {
        text.parse().map_err(|error: ParseVersionError| BadText::new(error.to_string(), None))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn orders_versions_by_number_and_pads_with_zero() {
        #[track_caller]
        fn check(left: &str, expect: Ordering, right: &str) {
            let version = |text: &str| text.parse::<Version>().expect("the test's own versions parse");
            assert_eq!(version(left).cmp(&version(right)), expect, "{left} against {right}");
            assert_eq!(version(right).cmp(&version(left)), expect.reverse(), "{right} against {left}");
        }
        check("4.0.6", Ordering::Less, "5.0.2");
        check("4.0.10", Ordering::Greater, "4.0.9");
        check("5", Ordering::Equal, "5.0.0");
        check("0", Ordering::Equal, "0.0");
        check("5", Ordering::Less, "5.0.1");
        check("10", Ordering::Greater, "9.9.9");
        check("4.50.7-31-gfd4b0df20", Ordering::Equal, "4.50.7");
        check("1.0.16-7", Ordering::Equal, "1.0.16");
        check("4.18.25+patched-max2", Ordering::Equal, "4.18.25");
    }

    #[test]
    fn refuses_what_is_no_version() {
        for text in
            ["", "ideal", "4.", ".4", "4..0", "4.0.6-rc1", "4-", "4-1-gx", "v4", "+4", "99999999999999999999"]
        {
            assert!(text.parse::<Version>().is_err(), "`{text}` was taken for a version");
        }
    }

    #[test]
    fn reads_the_versions_of_packages() {
        #[track_caller]
        fn check(text: &str, expect: Option<&str>) {
            let read = Version::of_package(text).map(|version| version.to_string());
            assert_eq!(read.as_deref(), expect, "{text}");
        }
        check("4.0.6", Some("4.0.6"));
        check("1:5.2+dfsg-11+deb11u5", Some("5.2"));
        check("7.0.0-3+deb11u3", Some("7.0.0"));
        check("4.50.7-31-gfd4b0df20", Some("4.50.7"));
        check("5.0.2~rc1", Some("5.0.2"));
        check("5.x", Some("5"));
        for text in ["", "dev", "1:", ":", "v4", ".4", "4..0"] {
            check(text, None);
        }
    }

    #[test]
    fn ranges_hold_what_they_say() {
        #[track_caller]
        fn check(range: &str, inside: &[&str], outside: &[&str]) {
            let parsed: VersionRange = range.parse().expect("the test's own ranges parse");
            for version in inside {
                assert!(parsed.contains_text(version), "{version} should be in {range}");
            }
            for version in outside {
                assert!(!parsed.contains_text(version), "{version} should not be in {range}");
            }
            let again: VersionRange = parsed.to_string().parse().expect("a printed range parses");
            assert_eq!(again, parsed);
        }
        check(
            ">=5.0.2, <7",
            &["5.0.2", "6.0.4", "6.99"],
            &["4.0.6", "5.0.1", "7", "7.0.0", "ideal", "probe"],
        );
        check("<=4.0.6", &["4.0.6", "1.0.11", "4.0.6.0"], &["4.0.7", "5.0.2", ""]);
        check("<=4", &["4", "4.0.0", "3.0.4"], &["4.0.6"]);
        check(">4.0.6", &["4.0.7", "5.0.2"], &["4.0.6"]);
        check("=5.0", &["5.0.0"], &["5.0.2"]);
        check(" >= 1 ,< 2 ", &["1", "1.9"], &["2"]);
        check(">=5.0.2 or =ideal", &["5.0.2", "ideal"], &["5.0.1", "probe"]);
        check("<2 or >=3, <4 or = ideal", &["1.9", "3.5", "ideal"], &["2", "4", "ideal-2"]);
        check("=dev-1.x", &["dev-1.x"], &["1", "dev"]);
    }

    #[test]
    fn refuses_ranges_that_say_nothing() {
        #[track_caller]
        fn check(range: &str, expect: &str) {
            let error = range.parse::<VersionRange>().expect_err("the range was accepted");
            assert_eq!(error.to_string(), expect);
        }
        check("", "`` does not start with one of `>=`, `>`, `<=`, `<`, `=`");
        check("5.0.2", "`5.0.2` does not start with one of `>=`, `>`, `<=`, `<`, `=`");
        check(">=5.x", "`5.x` is not a dotted numeric version");
        check(">=5,", "`` does not start with one of `>=`, `>`, `<=`, `<`, `=`");
        check(">=5, <5", "no version is in `>=5, <5`");
        check("<0", "no version is in `<0`");
        check("=4, =5", "no version is in `=4, =5`");
        check(">4, <=4.0", "no version is in `>4, <=4.0`");
        check(">=5 or", "`5 or` is not a dotted numeric version");
        check(">=5 or ideal", "`ideal` does not start with one of `>=`, `>`, `<=`, `<`, `=`");
        check(">=ideal", "`ideal` is not a dotted numeric version");
        check(">=5, =ideal", "`ideal` is not a dotted numeric version");
        check("=5 or >=5, <5", "no version is in `>=5, <5`");
    }

    proptest! {
        #[test]
        fn printing_a_version_keeps_it(numbers in proptest::collection::vec(any::<u64>(), 1..6)) {
            let version = Version { numbers };
            prop_assert_eq!(version.to_string().parse::<Version>().ok(), Some(version));
        }

        #[test]
        fn a_range_that_parses_holds_a_version(a in 0u64..4, b in 0u64..4, s in 0usize..5, t in 0usize..5) {
            let text = format!("{}{a}, {}{b}", COMPARISONS[s].0, COMPARISONS[t].0);
            let candidates = (0..8u64).flat_map(|n| [format!("{n}"), format!("{n}.1"), format!("{n}.0.1")]);
            match text.parse::<VersionRange>() {
                Ok(range) => prop_assert!(candidates.into_iter().any(|v| range.contains_text(&v)), "{text}"),
                Err(_) => {
                    let parts: Vec<VersionRange> =
                        text.split(',').map(|part| part.parse()).collect::<Result<_, _>>().unwrap_or_default();
                    prop_assert!(
                        parts.len() < 2 || !candidates.into_iter().any(|v| parts.iter().all(|r| r.contains_text(&v))),
                        "{}", text
                    );
                }
            }
        }
    }
}
