//! Which cells a run takes.
//!
//! A selection is made of patterns and filter expressions. A cell is taken when one of the plain
//! patterns has it (or there are none), no pattern behind `!` has it, and one of the expressions holds
//! (or there are none).
//!
//! `@file` stands for the patterns of a file, one a line; `#` starts a comment.

use std::path::Path;

use crate::cell_set::CellSet;
use crate::error::{ConfigError, Problem, SourceText, read_text};
use crate::filter::{CellInfo, Filter};

/// Which cells a run takes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Selection {
    set: CellSet,
    filters: Vec<Filter>,
}

impl Selection {
    /// Every cell.
    #[must_use]
    pub fn all() -> Self {
        Self::default()
    }

    /// Reads patterns (`…`, `!…`, `@file`) and filter expressions from the command line.
    ///
    /// # Errors
    /// Everything that is wrong with them, each with its place.
    pub fn from_arguments<P: AsRef<str>, E: AsRef<str>>(
        patterns: &[P],
        expressions: &[E],
    ) -> Result<Self, ConfigError> {
        let mut selection = Self::all();
        let mut errors: Option<ConfigError> = None;
        let mut note = |result: Result<(), ConfigError>| {
            if let Err(error) = result {
                match &mut errors {
                    Some(errors) => errors.extend(error),
                    None => errors = Some(error),
                }
            }
        };
        for argument in patterns {
            let argument = argument.as_ref();
            note(match argument.strip_prefix('@') {
                Some(path) => read_text(Path::new(path)).and_then(|text| selection.add_lines(path, &text)),
                None => selection.add_pattern(&SourceText::new("argument", argument), 0, argument),
            });
        }
        for expression in expressions {
            note(Filter::parse("-E", expression.as_ref()).map(|filter| selection.filters.push(filter)));
        }
        errors.map_or(Ok(selection), Err)
    }

    /// Adds the patterns of a file; `name` is what errors call it.
    ///
    /// # Errors
    /// Everything that is wrong with it, each with its place. A file without any pattern is an error:
    /// it would select everything.
    pub fn add_lines(&mut self, name: &str, text: &str) -> Result<(), ConfigError> {
        let source = SourceText::new(name, text);
        let mut errors: Option<ConfigError> = None;
        let mut count = 0;
        let mut start = 0;
        for line in text.split_inclusive('\n') {
            let pattern = line.split('#').next().unwrap_or_default();
            let indent = pattern.len() - pattern.trim_start().len();
            let pattern = pattern.trim();
            if !pattern.is_empty() {
                count += 1;
                if let Err(error) = self.add_pattern(&source, start + indent, pattern) {
                    match &mut errors {
                        Some(errors) => errors.extend(error),
                        None => errors = Some(error),
                    }
                }
            }
            start += line.len();
        }
        if count == 0 {
            let help = "write one pattern a line, or leave the file out to select every cell".to_owned();
            return Err(Problem::general(format!("`{name}` has no pattern")).help(help).into());
        }
        errors.map_or(Ok(()), Err)
    }

    fn add_pattern(&mut self, source: &SourceText, start: usize, pattern: &str) -> Result<(), ConfigError> {
        self.set.add(pattern).map_err(|error| {
            let problem = source.problem(start..start + pattern.len(), error.to_string(), "no pattern");
            problem.help(error.help).into()
        })
    }

    /// Whether the cell is taken.
    #[must_use]
    pub fn matches(&self, cell: &CellInfo<'_>) -> bool {
        if self.is_all() {
            return true;
        }
        let name = cell.id.to_string();
        let included = self.set.included();
        (included.is_empty() || included.iter().any(|pattern| pattern.matches_name(&name)))
            && !self.set.excludes(&name)
            && (self.filters.is_empty() || self.filters.iter().any(|filter| filter.matches(cell)))
    }

    /// Whether it can take any cell of a protocol; `true` where only a cell itself could tell.
    #[must_use]
    pub fn reaches_protocol(&self, protocol: &str) -> bool {
        let included = self.set.included();
        (included.is_empty() || included.iter().any(|pattern| pattern.reaches_protocol(protocol)))
            && (self.filters.is_empty() || self.filters.iter().any(|f| f.reaches_protocol(protocol)))
    }

    /// Whether it takes every cell, because nothing was asked for.
    #[must_use]
    pub fn is_all(&self) -> bool {
        self.set.is_empty() && self.filters.is_empty()
    }

    /// Whether it looks at verdicts, which are there only after a run.
    #[must_use]
    pub fn asks_for_verdict(&self) -> bool {
        self.filters.iter().any(Filter::asks_for_verdict)
    }
}
