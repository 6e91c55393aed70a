//! What is wrong with a file of the matrix, and where.
//!
//! There is one error type for everything that a person wrote: TOML files, selection files and
//! filter expressions. A [`ConfigError`] holds all the problems that one reading found, each with
//! file, line, column, the piece of text and a hint, and renders through `miette`.

use std::error::Error;
use std::fmt;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use miette::{Diagnostic, LabeledSpan, NamedSource, SourceCode};

/// A text that a person wrote, with the name under which they know it.
#[derive(Debug, Clone)]
pub(crate) struct SourceText {
    name: Arc<str>,
    text: Arc<str>,
}

impl SourceText {
    pub(crate) fn new(name: &str, text: &str) -> Self {
        Self { name: name.into(), text: text.into() }
    }

    /// The place of a span's first byte.
    pub(crate) fn locate(&self, span: &Range<usize>) -> Location {
        let start = floor_char_boundary(&self.text, span.start);
        let before = &self.text[..start];
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        Location {
            file: Arc::clone(&self.name),
            line: before.matches('\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
        }
    }

    /// A problem at a span.
    pub(crate) fn problem(
        &self,
        span: Range<usize>,
        message: impl Into<String>,
        label: impl Into<String>,
    ) -> Problem {
        let location = self.locate(&span);
        Problem {
            message: message.into(),
            location: Some(location),
            source: Some(NamedSource::new(&self.name, Arc::clone(&self.text))),
            labels: vec![(span, label.into())],
            help: None,
        }
    }
}

fn floor_char_boundary(text: &str, at: usize) -> usize {
    let mut at = at.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

/// A place in a file, counted from 1; columns count characters.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Location {
    /// Name of the file, as it was given.
    pub file: Arc<str>,
    /// Line.
    pub line: usize,
    /// Column.
    pub column: usize,
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file, self.line, self.column)
    }
}

/// One thing that is wrong.
#[derive(Debug)]
pub struct Problem {
    message: String,
    location: Option<Location>,
    source: Option<NamedSource<Arc<str>>>,
    labels: Vec<(Range<usize>, String)>,
    help: Option<String>,
}

impl Problem {
    /// A problem that has no place in a text, e.g. a file that cannot be read.
    pub(crate) fn general(message: impl Into<String>) -> Self {
        Self { message: message.into(), location: None, source: None, labels: Vec::new(), help: None }
    }

    /// Says what to do about it.
    pub(crate) fn help(mut self, help: impl Into<Option<String>>) -> Self {
        self.help = help.into();
        self
    }

    /// Points at a second place of the same text.
    pub(crate) fn also(mut self, span: Range<usize>, label: impl Into<String>) -> Self {
        self.labels.push((span, label.into()));
        self
    }

    /// Where it is, if it has a place.
    #[must_use]
    pub fn location(&self) -> Option<&Location> {
        self.location.as_ref()
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl Error for Problem {}

impl Diagnostic for Problem {
    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.help.as_ref().map(|help| Box::new(help) as Box<dyn fmt::Display>)
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        self.source.as_ref().map(|source| source as &dyn SourceCode)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        if self.labels.is_empty() {
            return None;
        }
        Some(Box::new(
            self.labels
                .iter()
                .map(|(span, label)| LabeledSpan::new(Some(label.clone()), span.start, span.len())),
        ))
    }
}

/// Everything that is wrong with what was read. Never empty.
#[derive(Debug)]
pub struct ConfigError {
    problems: Vec<Problem>,
}

impl ConfigError {
    /// Wraps what was found; `None` when that is nothing.
    pub(crate) fn from_problems(problems: Vec<Problem>) -> Option<Self> {
        (!problems.is_empty()).then_some(Self { problems })
    }

    /// All problems, in the order of the text.
    #[must_use]
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }

    /// Adds the problems of another reading.
    pub fn extend(&mut self, other: Self) {
        self.problems.extend(other.problems);
    }

    /// One line a problem, `file:line:column: message`, for logs and annotations.
    #[must_use]
    pub fn brief(&self) -> String {
        let lines = self.problems.iter().map(|problem| match &problem.location {
            Some(location) => format!("{location}: {problem}"),
            None => problem.to_string(),
        });
        lines.collect::<Vec<_>>().join("\n")
    }
}

impl From<Problem> for ConfigError {
    fn from(problem: Problem) -> Self {
        Self { problems: vec![problem] }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.problems.as_slice() {
            [problem] => problem.fmt(f),
            problems => write!(f, "{} problems in the configuration", problems.len()),
        }
    }
}

impl Error for ConfigError {}

impl Diagnostic for ConfigError {
    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        match self.problems.as_slice() {
            [problem] => problem.help(),
            _ => None,
        }
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        match self.problems.as_slice() {
            [problem] => problem.source_code(),
            _ => None,
        }
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        match self.problems.as_slice() {
            [problem] => problem.labels(),
            _ => None,
        }
    }

    fn related<'a>(&'a self) -> Option<Box<dyn Iterator<Item = &'a dyn Diagnostic> + 'a>> {
        match self.problems.as_slice() {
            [_] => None,
            problems => Some(Box::new(problems.iter().map(|problem| problem as &dyn Diagnostic))),
        }
    }
}

/// Reads a text file; the error names the path.
pub(crate) fn read_text(path: &Path) -> Result<String, ConfigError> {
    std::fs::read_to_string(path).map_err(|error| {
        let help = match error.kind() {
            std::io::ErrorKind::NotFound => Some(
                "run wireskew at the top of the project, where `matrices/` is, or give the path of the file"
                    .to_owned(),
            ),
            std::io::ErrorKind::InvalidData => Some("the file must be UTF-8 text".to_owned()),
            _ => None,
        };
        Problem::general(format!("cannot read `{}`: {error}", path.display())).help(help).into()
    })
}

/// The hint behind an unknown name: the nearest known one, or all of them when none is near.
pub(crate) fn did_you_mean<'a>(
    unknown: &str,
    what: &str,
    known: impl IntoIterator<Item = &'a str>,
) -> Option<String> {
    let known: Vec<&str> = known.into_iter().collect();
    let allowed_edits = (unknown.chars().count() / 3).max(1);
    let near = known
        .iter()
        .map(|name| (strsim::damerau_levenshtein(unknown, name), *name))
        .filter(|(edits, name)| {
            *edits <= allowed_edits || name.starts_with(unknown) || unknown == name.replace('-', "_")
        })
        .min_by_key(|(edits, _)| *edits);
    match near {
        Some((_, name)) => Some(format!("did you mean `{name}`?")),
        None if known.is_empty() => None,
        None => {
            let names: Vec<_> = known.iter().map(|name| format!("`{name}`")).collect();
            Some(format!("known {what}: {}", names.join(", ")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locates_by_characters_and_survives_spans_outside_of_the_text() {
        let source = SourceText::new("f.toml", "a = 1\né = \"ü\" x\n");
        #[track_caller]
        fn check(source: &SourceText, at: usize, expect: &str) {
            assert_eq!(source.locate(&(at..at)).to_string(), expect);
        }
        check(&source, 0, "f.toml:1:1");
        check(&source, 6, "f.toml:2:1");
        // Byte 7 is the middle of `é`.
        check(&source, 7, "f.toml:2:1");
        check(&source, 8, "f.toml:2:2");
        check(&source, 16, "f.toml:2:9");
        check(&source, 9999, "f.toml:3:1");
    }

    #[test]
    fn suggests_the_nearest_name_or_lists_them() {
        #[track_caller]
        fn check(unknown: &str, expect: Option<&str>) {
            let known = ["4.0.6", "5.0.2", "ideal", "client-source"];
            assert_eq!(did_you_mean(unknown, "names", known).as_deref(), expect);
        }
        check("4.0.7", Some("did you mean `4.0.6`?"));
        check("idael", Some("did you mean `ideal`?"));
        check("client_source", Some("did you mean `client-source`?"));
        check("cli", Some("did you mean `client-source`?"));
        check("zzz", Some("known names: `4.0.6`, `5.0.2`, `ideal`, `client-source`"));
        assert_eq!(did_you_mean("x", "names", []), None);
    }
}
