//! Versions of the API, and the prefixes of paths that ask for one.
//!
//! ```text
//! /v1.41/containers/json      a prefix is `/v`, digits and dots, and another `/`
//!   ^^^^                      it is compared number by number; what is missing counts as 0
//! ```
//!
//! Measured on 20.10.5, 20.10.24, 26.1.5 and 28.5.2: `/v1.041/` and `/v1.41.0/` ask for 1.41, `/v1/` and `/v./` ask for
//! what is too old, and a number of any length is too new: none wraps around. `/v1.x/`, `/V1.41/` and `/v/` are no prefixes,
//! and paths that nobody knows.

use std::fmt;
use std::str::FromStr;

/// A version of the API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub(crate) struct ApiVersion {
    /// The number in front of the dot: 1 in all releases.
    pub major: u64,
    /// The number behind it.
    pub minor: u64,
}

impl ApiVersion {
    /// No version is higher.
    pub(crate) const MAX: Self = Self { major: u64::MAX, minor: u64::MAX };
}

/// That version 1 of the API.
pub(crate) const fn api(minor: u64) -> ApiVersion {
    ApiVersion { major: 1, minor }
}

/// The version that a client assumes of a daemon that announces none.
///
/// `moby/moby@v20.10.24:client/client.go` and later: `fallbackAPIVersion`.
pub(crate) const FALLBACK: ApiVersion = api(24);

impl fmt::Display for ApiVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// A text that is no version of the API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected two numbers with a dot between them, e.g. `1.41`")]
pub(crate) struct NoVersion;

impl FromStr for ApiVersion {
    type Err = NoVersion;

    fn from_str(text: &str) -> Result<Self, NoVersion> {
        let (major, minor) = text.split_once('.').ok_or(NoVersion)?;
        let number = |text: &str| {
            let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
            digits.then(|| text.parse().unwrap_or(u64::MAX)).ok_or(NoVersion)
        };
        Ok(Self { major: number(major)?, minor: number(minor)? })
    }
}

/// What the path of a request asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Asked<'a> {
    /// The prefix as it was written, without `/v`; nothing where there is none.
    pub prefix: Option<&'a str>,
    /// The rest of the path, with its leading `/` and without its query.
    pub path: &'a str,
    /// What stands behind the `?`.
    pub query: &'a str,
}

impl<'a> Asked<'a> {
    /// What a target asks for.
    pub(crate) fn of(target: &'a str) -> Self {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let behind = path.strip_prefix("/v").and_then(|rest| rest.split_once('/'));
        let is_prefix =
            |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
        match behind.filter(|(prefix, rest)| is_prefix(prefix) && !rest.is_empty()) {
            // The slash in front of the rest is the byte before it.
            Some((prefix, rest)) => Self {
                prefix: Some(prefix),
                path: path.get(path.len() - rest.len() - 1..).unwrap_or(path),
                query,
            },
            None => Self { prefix: None, path, query },
        }
    }

    /// The version that the prefix asks for. What is beyond any number is the largest one.
    pub(crate) fn version(&self) -> Option<ApiVersion> {
        let mut parts = self.prefix?.split('.');
        let mut number = || match parts.next() {
            None | Some("") => 0,
            Some(digits) => digits.parse().unwrap_or(u64::MAX),
        };
        Some(ApiVersion { major: number(), minor: number() })
    }

    /// What a parameter of the query says first, with `%` undone.
    pub(crate) fn parameter(&self, name: &str) -> Option<String> {
        let pairs = self.query.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
        pairs.into_iter().find(|(key, _)| *key == name).map(|(_, value)| unescaped(value))
    }
}

/// A text of a URL in which `%41` stands for a byte and, in a query, `+` for a space.
pub(crate) fn unescaped(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, behind @ ..] = rest {
        let hex = (*first == b'%').then(|| behind.get(..2)).flatten();
        let byte = hex.and_then(|hex| u8::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok());
        bytes.push(byte.unwrap_or(if *first == b'+' { b' ' } else { *first }));
        rest = behind.get(if byte.is_some() { 2 } else { 0 }..).unwrap_or(&[]);
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_are_read_as_daemons_read_them() {
        #[track_caller]
        fn check(target: &str, version: Option<(u64, u64)>, path: &str) {
            let asked = Asked::of(target);
            let read = asked.version().map(|version| (version.major, version.minor));
            assert_eq!((read, asked.path), (version, path), "{target}");
        }
        check("/v1.41/version", Some((1, 41)), "/version");
        check("/v1.41/version?a=b", Some((1, 41)), "/version");
        check("/v1.041/version", Some((1, 41)), "/version");
        check("/v1.41.0/version", Some((1, 41)), "/version");
        check("/v1/version", Some((1, 0)), "/version");
        check("/v1./version", Some((1, 0)), "/version");
        check("/v./version", Some((0, 0)), "/version");
        check("/v99999999999999999999.1/version", Some((u64::MAX, 1)), "/version");
        check("/v1.99999999999999999999/version", Some((1, u64::MAX)), "/version");
        for target in [
            "/version",
            "/v1.x/version",
            "/V1.41/version",
            "/v/version",
            "/v-1.41/version",
            "/v1.41",
            "/v1.41/",
        ] {
            check(target, None, target);
        }
        check("/v1.41//version", Some((1, 41)), "//version");
    }

    #[test]
    fn parameters_are_read_with_their_escapes() {
        let asked = Asked::of("/v1.41/events?since=abc&filters=%7B%22a%22%3A1%7D&t=a+b&empty");
        assert_eq!(asked.parameter("since").as_deref(), Some("abc"));
        assert_eq!(asked.parameter("filters").as_deref(), Some("{\"a\":1}"));
        assert_eq!(asked.parameter("t").as_deref(), Some("a b"));
        assert_eq!((asked.parameter("empty").as_deref(), asked.parameter("none")), (Some(""), None));
        assert_eq!(unescaped("%4"), "%4");
        assert_eq!(unescaped("%zz%00"), "%zz\0");
    }

    #[test]
    fn versions_are_two_numbers() {
        #[track_caller]
        fn check(text: &str, expect: Option<ApiVersion>) {
            assert_eq!(text.parse().ok(), expect, "{text}");
        }
        check("1.41", Some(api(41)));
        check("1.99999999999999999999", Some(ApiVersion { major: 1, minor: u64::MAX }));
        for text in ["", "1", "1.", ".41", "v1.41", "1.41.0", "+1.41", "1.-1", "abc"] {
            check(text, None);
        }
        assert!(api(9) < api(41), "number by number, and not as text");
    }
}
