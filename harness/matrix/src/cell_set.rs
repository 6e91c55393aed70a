//! Sets of cells: patterns, and patterns behind `!` that take cells out again.

use std::fmt;

use toml::Spanned;
use toml::de::DeValue;

use crate::CellId;
use crate::pattern::{CellPattern, ParsePatternError};
use crate::section::{BadText, Context, FromText, FromValue, OneOrMany};

/// A set of cells. The order of its patterns means nothing: a cell is in it when a plain pattern has
/// it and none behind `!` does.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CellSet {
    include: Vec<CellPattern>,
    exclude: Vec<CellPattern>,
}

impl CellSet {
    /// The set of one pattern.
    #[must_use]
    pub fn of(pattern: CellPattern) -> Self {
        Self { include: vec![pattern], exclude: Vec::new() }
    }

    /// Adds a pattern; one behind `!` takes cells out.
    ///
    /// # Errors
    /// When the text is no pattern.
    pub fn add(&mut self, text: &str) -> Result<(), ParsePatternError> {
        match text.strip_prefix('!') {
            Some(rest) => self.exclude.push(rest.parse()?),
            None => self.include.push(text.parse()?),
        }
        Ok(())
    }

    /// Whether the cell is in it.
    #[must_use]
    pub fn matches(&self, cell: &CellId) -> bool {
        self.matches_name(&cell.to_string())
    }

    /// The same, for a name that is already at hand.
    #[must_use]
    pub fn matches_name(&self, cell: &str) -> bool {
        self.include.iter().any(|pattern| pattern.matches_name(cell)) && !self.excludes(cell)
    }

    /// Whether a pattern behind `!` takes the cell out.
    pub(crate) fn excludes(&self, cell: &str) -> bool {
        self.exclude.iter().any(|pattern| pattern.matches_name(cell))
    }

    /// Whether no pattern was added.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.include.is_empty() && self.exclude.is_empty()
    }

    /// The plain patterns.
    #[must_use]
    pub fn included(&self) -> &[CellPattern] {
        &self.include
    }

    /// The patterns behind `!`.
    #[must_use]
    pub fn excluded(&self) -> &[CellPattern] {
        &self.exclude
    }

    /// The texts of its patterns, as in a file.
    #[must_use]
    pub fn texts(&self) -> Vec<String> {
        let include = self.include.iter().map(ToString::to_string);
        include.chain(self.exclude.iter().map(|pattern| format!("!{pattern}"))).collect()
    }
}

impl fmt::Display for CellSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.texts().join(" "))
    }
}

/// One pattern of a set, as it is written.
struct Signed {
    pattern: CellPattern,
    exclude: bool,
}

impl FromText for Signed {
    const WANTED: &'static str = "a cell's path, or a pattern with `*` and `**`";

    fn from_text(text: &str) -> Result<Self, BadText> {
        let (exclude, text) = text.strip_prefix('!').map_or((false, text), |rest| (true, rest));
        Ok(Self { pattern: CellPattern::from_text(text)?, exclude })
    }
}

/// A set of cells of one protocol, written as one pattern or a list.
impl FromValue for CellSet {
    fn from_value(value: &Spanned<DeValue<'_>>, context: Context<'_>) -> Option<Self> {
        let read = OneOrMany::<Signed>::from_value(value, context)?;
        let (exclude, include): (Vec<_>, Vec<_>) = read.0.into_iter().partition(|signed| signed.exclude);
        if include.is_empty() {
            let problem = context.source().problem(value.span(), "the set has no cells", "no plain pattern");
            context.report(
                problem.help("name the cells first; patterns behind `!` take some out again".to_owned()),
            );
            return None;
        }
        let plain = |list: Vec<Signed>| list.into_iter().map(|signed| signed.pattern).collect();
        Some(Self { include: plain(include), exclude: plain(exclude) })
    }
}
