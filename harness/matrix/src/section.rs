//! Reads TOML with the place of everything that is wrong.
//!
//! serde stops at the first error and knows no near names, so the files of the matrix are read from
//! the spanned tree instead. A [`Section`] is one table: the reader asks it for each key that it
//! knows; wrong types and values are recorded with their place and give `None`; at the end the keys
//! that nobody asked for are the unknown ones. A document with any recorded problem is refused whole.

use std::cell::RefCell;
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::error::{ConfigError, Problem, SourceText, did_you_mean};

/// Problems shown of one damaged file; what follows is mostly noise of the first ones.
const SYNTAX_PROBLEMS_MAX: usize = 5;

/// Reads one file. `read` returns `None` only after it recorded a problem.
pub(crate) fn read_document<T>(
    name: &str,
    text: &str,
    read: impl FnOnce(&mut Section<'_>) -> Option<T>,
) -> Result<T, ConfigError> {
    let source = SourceText::new(name, text);
    let (root, errors) = DeTable::parse_recoverable(text);
    let syntax: Vec<_> = errors
        .iter()
        .take(SYNTAX_PROBLEMS_MAX)
        .map(|error| {
            let span = error.span().unwrap_or(0..0);
            let message = error.message().lines().next().unwrap_or("not TOML").to_owned();
            source.problem(span, format!("not TOML: {message}"), "here")
        })
        .collect();
    if let Some(error) = ConfigError::from_problems(syntax) {
        return Err(error);
    }
    let problems = RefCell::default();
    let context = Context { source: &source, problems: &problems };
    let mut section = Section::new(root.get_ref(), root.span(), context);
    let value = read(&mut section);
    section.finish();
    let mut problems = problems.into_inner();
    problems.sort_by_key(|problem| problem.location().cloned());
    match (value, ConfigError::from_problems(problems)) {
        (_, Some(error)) => Err(error),
        (Some(value), None) => Ok(value),
        (None, None) => Err(Problem::general(format!("`{name}` holds nothing that can be used")).into()),
    }
}

/// Where values come from and where problems go.
#[derive(Clone, Copy)]
pub(crate) struct Context<'a> {
    source: &'a SourceText,
    problems: &'a RefCell<Vec<Problem>>,
}

impl Context<'_> {
    pub(crate) fn source(&self) -> &SourceText {
        self.source
    }

    /// How many problems there are by now.
    pub(crate) fn problem_count(&self) -> usize {
        self.problems.borrow().len()
    }

    pub(crate) fn report(&self, problem: Problem) {
        self.problems.borrow_mut().push(problem);
    }

    fn wrong_type(&self, value: &Spanned<DeValue<'_>>, wanted: &str) {
        let found = value.get_ref().type_str();
        self.report(self.source.problem(
            value.span(),
            format!("expected {wanted}, found {} {found}", article(found)),
            format!("{wanted} is wanted here"),
        ));
    }
}

fn article(word: &str) -> &'static str {
    if word.starts_with(['a', 'e', 'i', 'o', 'u']) { "an" } else { "a" }
}

/// A value that a key can have.
pub(crate) trait FromValue: Sized {
    /// Reads it, or records why not.
    fn from_value(value: &Spanned<DeValue<'_>>, context: Context<'_>) -> Option<Self>;
}

/// A value that is written as a string.
pub(crate) trait FromText: Sized {
    /// What is wanted, for messages, e.g. `a version`.
    const WANTED: &'static str;

    /// Parses it.
    fn from_text(text: &str) -> Result<Self, BadText>;
}

/// Why a string is not what is wanted.
pub(crate) struct BadText {
    /// What is wrong.
    pub(crate) message: String,
    /// What to do about it.
    pub(crate) help: Option<String>,
}

impl BadText {
    pub(crate) fn new(message: impl Into<String>, help: impl Into<Option<String>>) -> Self {
        Self { message: message.into(), help: help.into() }
    }

    /// A word that is none of a fixed list.
    pub(crate) fn unknown_word(text: &str, what: &str, known: &[&str]) -> Self {
        let plural = format!("{what}s");
        Self::new(format!("unknown {what} `{text}`"), did_you_mean(text, &plural, known.iter().copied()))
    }
}

impl FromText for String {
    const WANTED: &'static str = "a string";

    fn from_text(text: &str) -> Result<Self, BadText> {
        if text.trim().is_empty() {
            return Err(BadText::new("the string is empty", None));
        }
        Ok(text.to_owned())
    }
}

impl<T: FromText> FromValue for T {
    fn from_value(value: &Spanned<DeValue<'_>>, context: Context<'_>) -> Option<Self> {
        let Some(text) = value.get_ref().as_str() else {
            context.wrong_type(value, T::WANTED);
            return None;
        };
        match T::from_text(text) {
            Ok(parsed) => Some(parsed),
            Err(bad) => {
                let label = format!("expected {}", T::WANTED);
                context.report(context.source.problem(value.span(), bad.message, label).help(bad.help));
                None
            }
        }
    }
}

impl FromValue for bool {
    fn from_value(value: &Spanned<DeValue<'_>>, context: Context<'_>) -> Option<Self> {
        let read = value.get_ref().as_bool();
        if read.is_none() {
            context.wrong_type(value, "`true` or `false`");
        }
        read
    }
}

impl FromValue for u64 {
    fn from_value(value: &Spanned<DeValue<'_>>, context: Context<'_>) -> Option<Self> {
        let read = value
            .get_ref()
            .as_integer()
            .and_then(|integer| Self::from_str_radix(integer.as_str(), integer.radix()).ok());
        if read.is_none() {
            context.wrong_type(value, "a whole number, 0 or more");
        }
        read
    }
}

impl FromValue for f64 {
    fn from_value(value: &Spanned<DeValue<'_>>, context: Context<'_>) -> Option<Self> {
        let text = match value.get_ref() {
            DeValue::Float(float) => Some(float.as_str()),
            DeValue::Integer(integer) if integer.radix() == 10 => Some(integer.as_str()),
            _ => None,
        };
        let read = text.and_then(|text| text.parse().ok());
        if read.is_none() {
            context.wrong_type(value, "a number");
        }
        read
    }
}

impl<T: FromValue> FromValue for Spanned<T> {
    fn from_value(value: &Spanned<DeValue<'_>>, context: Context<'_>) -> Option<Self> {
        T::from_value(value, context).map(|read| Spanned::new(value.span(), read))
    }
}

impl<T: FromValue> FromValue for Vec<T> {
    fn from_value(value: &Spanned<DeValue<'_>>, context: Context<'_>) -> Option<Self> {
        let Some(array) = value.get_ref().as_array() else {
            context.wrong_type(value, "a list");
            return None;
        };
        let read: Vec<_> = array.iter().filter_map(|item| T::from_value(item, context)).collect();
        (read.len() == array.len()).then_some(read)
    }
}

/// One value, or a list of them: `source = "debian"` and `source = ["path", "debian"]`.
pub(crate) struct OneOrMany<T>(pub(crate) Vec<T>);

impl<T: FromValue> FromValue for OneOrMany<T> {
    fn from_value(value: &Spanned<DeValue<'_>>, context: Context<'_>) -> Option<Self> {
        if value.get_ref().is_array() {
            return Vec::from_value(value, context).map(Self);
        }
        T::from_value(value, context).map(|one| Self(vec![one]))
    }
}

/// One table of a document.
pub(crate) struct Section<'a> {
    table: &'a DeTable<'a>,
    span: Range<usize>,
    asked: Vec<&'static str>,
    context: Context<'a>,
}

impl<'a> Section<'a> {
    fn new(table: &'a DeTable<'a>, span: Range<usize>, context: Context<'a>) -> Self {
        Self { table, span, asked: Vec::new(), context }
    }

    /// The table's header, or the whole inline table.
    pub(crate) fn span(&self) -> Range<usize> {
        self.span.clone()
    }

    pub(crate) fn context(&self) -> Context<'a> {
        self.context
    }

    /// Whether the key is there, whatever its value.
    pub(crate) fn has(&self, key: &str) -> bool {
        self.table.contains_key(key)
    }

    fn get(&mut self, key: &'static str) -> Option<&'a Spanned<DeValue<'a>>> {
        self.asked.push(key);
        self.table.get(key)
    }

    /// The value of a key that may be absent. `None` also after a recorded problem.
    pub(crate) fn optional<T: FromValue>(&mut self, key: &'static str) -> Option<T> {
        let value = self.get(key)?;
        T::from_value(value, self.context)
    }

    /// The value of a key that must be there.
    pub(crate) fn required<T: FromValue>(&mut self, key: &'static str) -> Option<T> {
        if !self.table.contains_key(key) {
            self.asked.push(key);
            let problem = self.problem(self.span(), format!("`{key}` is missing"), "in this table");
            self.context.report(problem);
            return None;
        }
        self.optional(key)
    }

    /// A list that must be there and must not be empty.
    pub(crate) fn required_list<T: FromValue>(&mut self, key: &'static str) -> Option<Vec<T>> {
        let list: Spanned<Vec<T>> = self.required(key)?;
        if list.get_ref().is_empty() {
            self.context.report(self.problem(list.span(), format!("`{key}` is empty"), "name at least one"));
            return None;
        }
        Some(list.into_inner())
    }

    /// A value that is `true`, `false` or a table: `reference = true`, `reference = { defects = [] }`.
    pub(crate) fn flag_or_table<T>(
        &mut self,
        key: &'static str,
        plain: T,
        read: impl FnOnce(&mut Section<'a>) -> Option<T>,
    ) -> Option<T> {
        let value = self.get(key)?;
        match value.get_ref() {
            DeValue::Boolean(true) => Some(plain),
            DeValue::Boolean(false) => None,
            DeValue::Table(table) => self.nested(table, value.span(), read),
            _ => {
                self.context.wrong_type(value, "`true`, `false` or a table");
                None
            }
        }
    }

    /// A value that is a string or a table: `path = "target/x"`, `path = { path = "target/x", args = [] }`.
    pub(crate) fn text_or_table<S: FromValue, T>(
        &mut self,
        key: &'static str,
        plain: impl FnOnce(S) -> T,
        read: impl FnOnce(&mut Section<'a>) -> Option<T>,
    ) -> Option<T> {
        let value = self.get(key)?;
        match value.get_ref() {
            DeValue::Table(table) => self.nested(table, value.span(), read),
            DeValue::String(_) => S::from_value(value, self.context).map(plain),
            _ => {
                self.context.wrong_type(value, "a string or a table");
                None
            }
        }
    }

    /// A table under a key that may be absent.
    pub(crate) fn optional_table<T>(
        &mut self,
        key: &'static str,
        read: impl FnOnce(&mut Section<'a>) -> Option<T>,
    ) -> Option<T> {
        let value = self.get(key)?;
        let Some(table) = value.get_ref().as_table() else {
            self.context.wrong_type(value, "a table");
            return None;
        };
        self.nested(table, value.span(), read)
    }

    /// The tables of `[[key]]`, in order; those with a recorded problem are left out.
    pub(crate) fn tables<T>(
        &mut self,
        key: &'static str,
        mut read: impl FnMut(&mut Section<'a>) -> Option<T>,
    ) -> Vec<T> {
        let Some(value) = self.get(key) else { return Vec::new() };
        let Some(array) = value.get_ref().as_array() else {
            self.context.wrong_type(value, &format!("a list of tables, `[[{key}]]`"));
            return Vec::new();
        };
        let mut items = Vec::with_capacity(array.len());
        for item in array {
            match item.get_ref().as_table() {
                Some(table) => items.extend(self.nested(table, item.span(), &mut read)),
                None => self.context.wrong_type(item, "a table"),
            }
        }
        items
    }

    /// Every entry of a table whose keys are names: `(name, its span, value)`.
    pub(crate) fn entries<T: FromValue>(&mut self, key: &'static str) -> Vec<(Spanned<String>, T)> {
        let Some(value) = self.get(key) else { return Vec::new() };
        let Some(table) = value.get_ref().as_table() else {
            self.context.wrong_type(value, "a table");
            return Vec::new();
        };
        let read = table.iter().filter_map(|(name, value)| {
            let read = T::from_value(value, self.context)?;
            Some((Spanned::new(name.span(), name.get_ref().to_string()), read))
        });
        read.collect()
    }

    fn nested<T>(
        &self,
        table: &'a DeTable<'a>,
        span: Range<usize>,
        read: impl FnOnce(&mut Section<'a>) -> Option<T>,
    ) -> Option<T> {
        let mut section = Section::new(table, span, self.context);
        let value = read(&mut section);
        section.finish();
        value
    }

    /// A problem in this document.
    pub(crate) fn problem(&self, span: Range<usize>, message: impl Into<String>, label: &str) -> Problem {
        self.context.source.problem(span, message, label)
    }

    /// Records the keys that nobody asked for.
    fn finish(&self) {
        for (key, _) in self.table {
            let name = key.get_ref().as_ref();
            if !self.asked.contains(&name) {
                self.context.report(
                    self.problem(key.span(), format!("unknown key `{name}`"), "nobody reads this")
                        .help(did_you_mean(name, "keys", self.asked.iter().copied())),
                );
            }
        }
    }
}
