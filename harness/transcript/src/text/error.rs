//! What can be wrong with a `.wire` file, and where.

use std::fmt;

use crate::rules::Broken;

/// Why a text is no `.wire` file that this release can read, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column {column}: {kind}")]
pub struct ParseError {
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// What is wrong.
    pub kind: ParseErrorKind,
}

/// What is wrong with a text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseErrorKind {
    /// A later release wrote it.
    #[error(
        "cannot read format {found}, written by `{written_by}`; this release reads up to format {supported}"
    )]
    NewerFormat {
        /// The format of the text.
        found: u64,
        /// The newest format that can be read.
        supported: u32,
        /// Who wrote it, as the text says.
        written_by: String,
    },
    /// Something else stands here.
    #[error("expected {expected}, found {found}")]
    Expected {
        /// What should stand here.
        expected: &'static str,
        /// What does, cut short.
        found: Found,
    },
    /// The front matter is no TOML, or not the TOML that is wanted.
    #[error("front matter: {0}")]
    FrontMatter(String),
    /// The text ends too early.
    #[error("text ends where {expected} should follow; it was cut off, {events} events are complete")]
    Truncated {
        /// What should follow.
        expected: &'static str,
        /// How many events were read whole.
        events: usize,
    },
    /// The last line counts otherwise than the reader.
    #[error("the end line states {stated} {what}, but {counted} are there; the text was damaged")]
    Miscounted {
        /// `events` or `bytes`.
        what: &'static str,
        /// By the text.
        stated: u64,
        /// By the reader.
        counted: u64,
    },
    /// The text column and the hexadecimal column of a dump line differ.
    #[error("the bytes read `{bytes}`, but the text beside them is `{text}`; one of them was damaged")]
    ColumnsDiffer {
        /// What the hexadecimal digits say.
        bytes: String,
        /// What the text column says.
        text: String,
    },
    /// A rule of transcripts is broken.
    #[error(transparent)]
    Rule(#[from] Broken),
    /// The text is larger than [`crate::text::FILE_LEN_MAX`].
    #[error("{len} bytes, at most {max} can be read")]
    FileTooLarge {
        /// Its length.
        len: u64,
        /// The limit.
        max: u64,
    },
    /// A line is longer than [`crate::text::LINE_LEN_MAX`].
    #[error("line of {len} bytes, at most {max} can be read")]
    LineTooLong {
        /// Its length.
        len: usize,
        /// The limit.
        max: usize,
    },
    /// The text is not UTF-8.
    #[error("not UTF-8 from here on")]
    NotUtf8,
}

/// What stands where something else was expected, cut to a length that fits a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found(String);

impl Found {
    /// Longest piece of the offending text that is shown, in characters.
    const LEN_MAX: usize = 40;

    pub(crate) fn new(text: &str) -> Self {
        let mut cut: String = text.chars().take(Self::LEN_MAX).collect();
        if text.chars().nth(Self::LEN_MAX).is_some() {
            cut.push('…');
        }
        Self(cut)
    }
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("end of line");
        }
        f.write_str("`")?;
        for c in self.0.chars() {
            if c.is_control() { write!(f, "{}", c.escape_debug())? } else { write!(f, "{c}")? }
        }
        f.write_str("`")
    }
}

/// A [`ParseError`] in the making. Boxed, since it travels through every small reader of the parser.
pub(super) struct Fault(pub(super) Box<ParseError>);

impl Fault {
    pub(super) fn new(line: usize, column: usize, kind: ParseErrorKind) -> Self {
        Self(Box::new(ParseError { line, column, kind }))
    }

    pub(super) fn expected(line: usize, column: usize, expected: &'static str, found: Found) -> Self {
        Self::new(line, column, ParseErrorKind::Expected { expected, found })
    }
}
