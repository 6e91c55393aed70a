//! The schema of a release: `.proto` text whose lines say in which releases they hold.
//!
//! ```text
//! message CreateContainerRequest {
//!   string container_id = 1;                  without a mark: in every release
//!   bool agent_pidns = 8; // @1.12..1.12      in 1.12 alone
//!   repeated Mount mounts = 8; // @3.3..      from 3.3 on
//!   string pci = 9; // @..1.11,2.0..2.0       up to 1.11, and in 2.0
//! }
//! message Old { // @..2.0                     behind what opens a block: all of the block
//! package a.b; // @2.3..                      behind the package: all of the text
//! ```
//!
//! So a protocol has one text and no copies, and what a release changed is one line. Bounds belong to their range, and as
//! many numbers count as a bound has: 2.0.5 is in `..2.0`. What is left out becomes an empty line, so that errors of the
//! text keep their lines. The newest schema is made of what has no end.

use std::sync::{Mutex, PoisonError};

use matrix::Version;
use wire::protobuf::{Schema, SchemaError, Source};

/// What begins a mark, behind the two strokes of a comment.
const MARK: char = '@';

/// The schema of a release, e.g. `2.0.5`; without one the newest.
///
/// # Errors
/// The first mark that is none, or what [`Schema::parse`] finds.
pub fn of_release(sources: &[Source<'_>], release: Option<&str>) -> Result<Schema, SchemaError> {
    let all: Vec<_> = sources.iter().map(|source| (*source, release)).collect();
    of_releases(&all)
}

/// The schema of texts of different releases, for a peer that serves what others have given up.
///
/// # Errors
/// The same.
pub fn of_releases(sources: &[(Source<'_>, Option<&str>)]) -> Result<Schema, SchemaError> {
    let mut texts = Vec::with_capacity(sources.len());
    for (source, release) in sources {
        let version = release.map(|release| {
            Version::of_package(release).ok_or_else(|| SchemaError {
                source: source.name.to_owned(),
                line: 1,
                what: format!("`{release}` is no release, e.g. `2.0`"),
            })
        });
        texts.push(text_of_release(source, version.transpose()?.as_ref())?);
    }
    let of_release: Vec<_> =
        sources.iter().zip(&texts).map(|((source, _), text)| Source { name: source.name, text }).collect();
    Schema::parse(&of_release)
}

/// Schemas of dialects, each made when it is first asked for. They live as long as the process: there are as many as releases.
#[derive(Debug, Default)]
pub struct Schemas(Mutex<Vec<(&'static str, &'static Schema)>>);

impl Schemas {
    /// None yet.
    #[must_use]
    pub const fn new() -> Self {
        Self(Mutex::new(Vec::new()))
    }

    /// That of a dialect.
    ///
    /// # Panics
    /// The texts are wrong, which are a part of the program.
    pub fn of(
        &self,
        dialect: &'static str,
        make: impl FnOnce() -> Result<Schema, SchemaError>,
    ) -> &'static Schema {
        let mut made = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, schema)) = made.iter().find(|(name, _)| *name == dialect) {
            return schema;
        }
        let schema = make().unwrap_or_else(|error| panic!("the schema of {dialect}: {error}"));
        let schema: &'static Schema = Box::leak(Box::new(schema));
        made.push((dialect, schema));
        schema
    }
}

/// The lines that hold in a release, each where it was.
fn text_of_release(source: &Source<'_>, release: Option<&Version>) -> Result<String, SchemaError> {
    let mut kept = String::with_capacity(source.text.len());
    // How many blocks are open; of those that are left out, how many were open around the outermost one.
    let (mut depth, mut around) = (0_usize, None);
    let mut whole = true;
    for (line, number) in source.text.lines().zip(1..) {
        let wrong = |what: String| SchemaError { source: source.name.to_owned(), line: number, what };
        let (code, comment) = parts(line);
        if code.contains("/*") {
            return Err(wrong("only `//` begins a comment here".to_owned()));
        }
        let mark = comment.strip_prefix(MARK).map(|ranges| Mark::read(ranges).map_err(wrong)).transpose()?;
        if mark.is_some() && (code.is_empty() || code.starts_with('}')) {
            return Err(wrong("a mark stands behind what it is for".to_owned()));
        }
        let holds = mark.is_none_or(|mark| mark.holds(release));
        whole &= holds || !code.starts_with("package ");
        if !holds && around.is_none() {
            around = Some(depth);
        }
        if around.is_none() {
            kept.push_str(code);
        }
        kept.push('\n');
        let closed = code.matches('}').count();
        depth = (depth + code.matches('{').count())
            .checked_sub(closed)
            .ok_or_else(|| wrong("`}` closes nothing".to_owned()))?;
        around = around.filter(|around| *around < depth);
    }
    Ok(if whole { kept } else { String::new() })
}

/// What a line says, and what its comment says.
fn parts(line: &str) -> (&str, &str) {
    let in_quotes = |at: usize| line[..at].matches('"').count() % 2 == 1;
    let comment = line.match_indices("//").map(|(at, _)| at).find(|at| !in_quotes(*at));
    let (code, comment) = comment.map_or((line, ""), |at| (&line[..at], &line[at + 2..]));
    (code.trim(), comment.trim())
}

/// The releases in which a line holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mark {
    ranges: Vec<(Option<Version>, Option<Version>)>,
}

impl Mark {
    /// Reads the ranges of a mark, e.g. `1.3..1.11,2.0..2.0`.
    ///
    /// # Errors
    /// It says no releases, or in another way.
    pub fn read(text: &str) -> Result<Self, String> {
        let bound = |text: &str| match text {
            "" => Ok(None),
            // What comes behind a tag has no place in a mark.
            _ => {
                text.parse().ok().filter(|version: &Version| version.to_string() == text).map(Some).ok_or(())
            }
        };
        let range = |range: &str| {
            let (from, to) = range.split_once("..").ok_or(())?;
            match (bound(from)?, bound(to)?) {
                (None, None) => Err(()),
                (Some(from), Some(to)) if from > to => Err(()),
                range => Ok(range),
            }
        };
        let ranges: Result<Vec<_>, ()> = text.split(',').map(range).collect();
        let wrong =
            || format!("`{MARK}{text}` marks no releases; write `{MARK}1.3..1.11,2.0..2.0`, `{MARK}3.3..`");
        ranges.map(|ranges| Self { ranges }).map_err(|()| wrong())
    }

    /// Whether a release is among them; without one, whether the newest is.
    #[must_use]
    pub fn holds(&self, release: Option<&Version>) -> bool {
        self.ranges.iter().any(|(from, to)| match release {
            Some(release) => {
                from.as_ref().is_none_or(|from| release >= from)
                    && to.as_ref().is_none_or(|to| cut(release, to) <= *to)
            }
            None => to.is_none(),
        })
    }
}

/// As many numbers of a release as a bound has.
fn cut(release: &Version, bound: &Version) -> Version {
    let (text, numbers) = (release.to_string(), bound.to_string().split('.').count());
    let first: Vec<_> = text.split('.').take(numbers).collect();
    first.join(".").parse().unwrap_or_else(|_| release.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
syntax = \"proto3\";
package a;
message M { // all of them
  string one = 1;
  bool two = 2; // @1.12..1.12
  repeated string two = 2; // @3.3..
  string three = 3; // @1.3..1.11,2.0..2.0
  N four = 4; // @..1.5
  oneof choice { // @2.1..
    string five = 5;
    uint32 six = 6; // @2.2..
  }
}
message N {} // @..1.5
message O { // @..1.5
  string one = 1; // @1.1..
  message Inner {
    string one = 1;
  }
}
";

    fn schema(release: Option<&str>) -> Schema {
        of_release(&[Source { name: "a.proto", text: TEXT }], release).expect("a schema")
    }

    #[test]
    fn a_line_holds_in_the_releases_of_its_mark() {
        #[track_caller]
        fn check(release: Option<&str>, expect: &[&str]) {
            let schema = schema(release);
            let fields = schema.messages().iter().flat_map(|message| {
                let name = |number, kind| format!("{}#{number} {kind}", message.name);
                message.fields.iter().map(move |field| name(field.number, field.name.as_str()))
            });
            assert_eq!(fields.collect::<Vec<_>>(), expect, "{release:?}");
        }
        let old = ["a.M#1 one", "a.M#4 four", "a.O.Inner#1 one"];
        check(Some("1.0"), &old);
        check(Some("1.0.7-2"), &old);
        check(Some("1.5"), &["a.M#1 one", "a.M#3 three", "a.M#4 four", "a.O#1 one", "a.O.Inner#1 one"]);
        check(Some("1.11"), &["a.M#1 one", "a.M#3 three"]);
        check(Some("1.11.5"), &["a.M#1 one", "a.M#3 three"]);
        check(Some("1.12.1"), &["a.M#1 one", "a.M#2 two"]);
        check(Some("2"), &["a.M#1 one", "a.M#3 three"]);
        check(Some("2.1.0"), &["a.M#1 one", "a.M#5 five"]);
        check(Some("3.2.9"), &["a.M#1 one", "a.M#5 five", "a.M#6 six"]);
        let newest = ["a.M#1 one", "a.M#2 two", "a.M#5 five", "a.M#6 six"];
        check(Some("3.3"), &newest);
        check(None, &newest);
    }

    #[test]
    fn a_mark_behind_the_package_is_for_the_whole_text() {
        let sources = [
            Source { name: "a.proto", text: "package a;\nimport \"b.proto\";\nmessage M {}\n" },
            Source { name: "b.proto", text: "package b; // @2.3..\nmessage M {\n  string one = 1;\n}\n" },
        ];
        let names = |release| {
            let schema = of_release(&sources, release).expect("a schema");
            schema.messages().iter().map(|message| message.name.clone()).collect::<Vec<_>>()
        };
        assert_eq!(names(Some("2.2")), ["a.M"]);
        assert_eq!(names(Some("2.3")), ["a.M", "b.M"]);
        assert_eq!(names(None), ["a.M", "b.M"]);
    }

    #[test]
    fn errors_keep_their_lines() {
        #[track_caller]
        fn check(text: &str, expect: &str) {
            let error = of_release(&[Source { name: "a.proto", text }], Some("1.0")).expect_err("no schema");
            assert_eq!(error.to_string(), expect);
        }
        let no_mark =
            |mark| format!("a.proto:2: `@{mark}` marks no releases; write `@1.3..1.11,2.0..2.0`, `@3.3..`");
        for mark in ["", "..", "1.3", "1.3..1.2", "1..x", "1.2..,", "2.0-1..", "1.3 ..", "1..2 only here"] {
            check(&format!("package a;\nmessage M {{}} // @{mark}\n"), &no_mark(mark));
        }
        check("message M {} // @2.0..\nmessage N {\n  X x = 1;\n}\n", "a.proto:3: no type is called `X`");
        check("message M {\n  // @2.0..\n}\n", "a.proto:2: a mark stands behind what it is for");
        check("message M {\n} // @2.0..\n", "a.proto:2: a mark stands behind what it is for");
        check("message M {\n}\n}\n", "a.proto:3: `}` closes nothing");
        check("/* here */ message M {}\n", "a.proto:1: only `//` begins a comment here");
        let error =
            of_release(&[Source { name: "a.proto", text: "" }], Some("ideal")).expect_err("no release");
        assert_eq!(error.to_string(), "a.proto:1: `ideal` is no release, e.g. `2.0`");
    }

    #[test]
    fn reads_the_envelope() {
        let envelope = of_release(&[crate::ENVELOPE], None).expect("a schema");
        let names: Vec<_> = envelope.messages().iter().map(|message| message.name.as_str()).collect();
        assert_eq!(names, ["ttrpc.Any", "ttrpc.KeyValue", "ttrpc.Request", "ttrpc.Response", "ttrpc.Status"]);
    }
}
