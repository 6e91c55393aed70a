//! The answers of a daemon, of which `replies.txt` says the keys: what is there in which release and under which prefix.

use std::ops::RangeInclusive;
use std::sync::OnceLock;

use protocol::dialect::IDEAL;
use serde_json::{Map, Value};

use crate::dialect::{DIALECTS, Dialect};
use crate::version::ApiVersion;

/// A kind of answer.
#[derive(Debug)]
struct Kind {
    name: &'static str,
    lines: Vec<Line>,
}

/// One value of it.
#[derive(Debug)]
struct Line {
    path: Vec<&'static str>,
    value: Value,
    /// The places in the release table at which it is there.
    releases: RangeInclusive<usize>,
    /// The prefixes under which it is there.
    prefixes: RangeInclusive<ApiVersion>,
}

/// An element of a list.
const ELEMENT: &str = "[]";

/// An answer of a kind, as a daemon of a release gives it under a prefix: with values of the right types, which are to be
/// replaced where they say something. A list has one element.
pub(super) fn reply(kind: &str, dialect: &Dialect, prefix: ApiVersion) -> Value {
    static KINDS: OnceLock<Vec<Kind>> = OnceLock::new();
    let kinds =
        KINDS.get_or_init(|| read(include_str!("replies.txt")).expect("a constant, which tests read"));
    // The ideal daemon takes nothing back that a release has ever said.
    let release = place(dialect.name).filter(|_| dialect.name != IDEAL);
    let mut reply = Value::Object(Map::new());
    for line in kinds.iter().filter(|known| known.name == kind).flat_map(|known| &known.lines) {
        if release.is_none_or(|release| line.releases.contains(&release)) && line.prefixes.contains(&prefix) {
            set(&mut reply, &line.path, line.value.clone());
        }
    }
    reply
}

/// Puts a value where a path leads; what is on the way is made.
fn set(at: &mut Value, path: &[&str], value: Value) {
    match path {
        [] => *at = value,
        [ELEMENT, rest @ ..] => {
            if !at.is_array() {
                *at = Value::Array(vec![Value::Null]);
            }
            if let Some(element) = at.as_array_mut().and_then(|elements| elements.first_mut()) {
                set(element, rest, value);
            }
        }
        [name, rest @ ..] => {
            if !at.is_object() {
                *at = Value::Object(Map::new());
            }
            if let Some(members) = at.as_object_mut() {
                set(members.entry(*name).or_insert(Value::Null), rest, value);
            }
        }
    }
}

fn place(release: &str) -> Option<usize> {
    DIALECTS.all().iter().position(|dialect| dialect.name == release)
}

/// Reads `replies.txt`. An error names the line.
fn read(text: &'static str) -> Result<Vec<Kind>, String> {
    let mut kinds: Vec<Kind> = Vec::new();
    for (number, line) in
        (1..).zip(text.lines()).filter(|(_, line)| !line.is_empty() && !line.starts_with('#'))
    {
        let bad = |what: &str| format!("line {number}: {what}");
        match (line.strip_prefix("  "), kinds.last_mut()) {
            (None, _) => kinds.push(Kind { name: line, lines: Vec::new() }),
            (Some(line), Some(kind)) => {
                kind.lines.push(read_line(line).ok_or_else(|| bad("no `path = value`"))?)
            }
            (Some(_), None) => return Err(bad("a value of no kind")),
        }
    }
    Ok(kinds)
}

fn read_line(line: &'static str) -> Option<Line> {
    let (path, rest) = line.split_once(" = ")?;
    let (value, conditions) = rest.rsplit_once(" | ").unwrap_or((rest, ""));
    let (mut releases, mut prefixes) = (0..=usize::MAX, ApiVersion::default()..=ApiVersion::MAX);
    let mut words = conditions.split_whitespace();
    while let Some(word) = words.next() {
        let (from, to) = words.next()?.split_once("..")?;
        let written = |end: &'static str| Some(end).filter(|end| !end.is_empty());
        match word {
            "release" => {
                let from = written(from).map_or(Some(0), place)?;
                releases = from..=written(to).map_or(Some(usize::MAX), place)?;
            }
            "api" => {
                let version = |end: Option<&str>, open| end.map_or(Some(open), |end| end.parse().ok());
                let from = version(written(from), ApiVersion::default())?;
                prefixes = from..=version(written(to), ApiVersion::MAX)?;
            }
            _ => return None,
        }
    }
    let value = serde_json::from_str(value).ok()?;
    Some(Line { path: path.split('/').collect(), value, releases, prefixes })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::version::api;

    #[test]
    fn the_text_can_be_read() {
        assert_eq!(read(include_str!("replies.txt")).map(|kinds| kinds.len()), Ok(12));
        for bad in [
            "  a = 1",
            "kind\n  a 1",
            "kind\n  a = b",
            "kind\n  a = 1 | release ..1",
            "kind\n  a = 1 | api 1.x..",
        ] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn keys_come_and_go_with_releases_and_prefixes() {
        #[track_caller]
        fn check(kind: &str, release: &str, prefix: u64, pointer: &str, expect: bool) {
            let dialect = DIALECTS.for_version(release).expect("a release of the table");
            let reply = reply(kind, dialect, api(prefix));
            assert_eq!(reply.pointer(pointer).is_some(), expect, "{kind} {release} {prefix} {pointer}");
        }
        check("container", "20.10.5", 41, "/HostConfig/KernelMemory", true);
        check("container", "26.1.5", 41, "/HostConfig/KernelMemory", false);
        check("container", "26.1.5", 41, "/NetworkSettings/Networks/none/DNSNames", true);
        check("image", "28.5.2", 41, "/ContainerConfig/Cmd", true);
        check("image", "28.5.2", 45, "/ContainerConfig/Cmd", false);
        check("image", "28.5.2", 51, "/Config/Image", false);
        check("version", "28.5.2", 24, "/Components/0/Details/ApiVersion", true);
        check("no-such-kind", "28.5.2", 24, "/Id", false);
    }
}
