//! Filter expressions: `-E 'protocol(lxc-command) & server(>=5) & case(probe/**)'`.
//!
//! ```text
//! or        = and *( ( "|" | "or" ) and )
//! and       = not *( ( "&" | "and" ) not )
//! not       = ( "!" | "not" ) not | "(" or ")" | predicate
//! predicate = "all" | "none" | name "(" argument ")"
//!
//! protocol(glob)   client(glob or range)   server(glob or range)   case(pattern)   cell(pattern)
//! kind(replay | probe | client | scenario)      source(reference | path | debian | container | dockerfile | recorded)
//! verdict(compatible | degraded | refused | broken | inconclusive)
//! ```
//!
//! `client(5.0.2)` and `client(ref-*)` look at the id, `client(>=5, <7)` at the version. `source` holds
//! when either side has it. `verdict` holds only of cells that ran.

use std::fmt;

use crate::error::{ConfigError, Problem, SourceText, did_you_mean};
use crate::groups::SourceKind;
use crate::pattern::{CasePattern, CellPattern, Glob};
use crate::section::{BadText, FromText};
use crate::version::VersionRange;
use crate::{BuildId, CaseKind, CellId, Verdict};

/// What is known of a cell when it is selected.
#[derive(Debug, Clone, Copy)]
pub struct CellInfo<'a> {
    /// Its name.
    pub id: &'a CellId,
    /// Version of the client build; anything that is no number for the script.
    pub client_version: &'a str,
    /// Version of the server build.
    pub server_version: &'a str,
    /// Source of the client; `None` for the script.
    pub client_source: Option<SourceKind>,
    /// Source of the server.
    pub server_source: Option<SourceKind>,
    /// What happened, if it ran.
    pub verdict: Option<Verdict>,
}

/// A parsed filter expression.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filter {
    text: String,
    expression: Expression,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Expression {
    All,
    None,
    Protocol(Glob),
    Client(Which),
    Server(Which),
    Case(CasePattern),
    Cell(CellPattern),
    Kind(CaseKind),
    Source(SourceKind),
    Verdict(Verdict),
    Not(Box<Expression>),
    And(Vec<Expression>),
    Or(Vec<Expression>),
}

/// Builds by id or by version.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Which {
    Id(Glob),
    Version(VersionRange),
}

impl Which {
    fn matches(&self, id: &BuildId, version: &str) -> bool {
        match self {
            Self::Id(glob) => glob.matches(id.as_str()),
            Self::Version(range) => range.contains_text(version),
        }
    }
}

impl Expression {
    fn matches(&self, cell: &CellInfo<'_>) -> bool {
        match self {
            Self::All => true,
            Self::None => false,
            Self::Protocol(glob) => glob.matches(&cell.id.protocol),
            Self::Client(which) => which.matches(&cell.id.client, cell.client_version),
            Self::Server(which) => which.matches(&cell.id.server, cell.server_version),
            Self::Case(pattern) => pattern.matches(&cell.id.case),
            Self::Cell(pattern) => pattern.matches(cell.id),
            Self::Kind(kind) => cell.id.case.kind == *kind,
            Self::Source(kind) => [cell.client_source, cell.server_source].contains(&Some(*kind)),
            Self::Verdict(verdict) => cell.verdict == Some(*verdict),
            Self::Not(inner) => !inner.matches(cell),
            Self::And(parts) => parts.iter().all(|part| part.matches(cell)),
            Self::Or(parts) => parts.iter().any(|part| part.matches(cell)),
        }
    }

    /// Whether it holds of every cell of a protocol or of none; `None` where it depends on the cell.
    fn decided_by(&self, protocol: &str) -> Option<bool> {
        match self {
            Self::All => Some(true),
            Self::None => Some(false),
            Self::Protocol(glob) => Some(glob.matches(protocol)),
            Self::Cell(pattern) => (!pattern.reaches_protocol(protocol)).then_some(false),
            Self::Client(_)
            | Self::Server(_)
            | Self::Case(_)
            | Self::Kind(_)
            | Self::Source(_)
            | Self::Verdict(_) => None,
            Self::Not(inner) => inner.decided_by(protocol).map(|holds| !holds),
            Self::And(parts) => Self::all_or_any(parts, protocol, false),
            Self::Or(parts) => Self::all_or_any(parts, protocol, true),
        }
    }

    /// One part that is `decisive` decides; else all have to be decided.
    fn all_or_any(parts: &[Self], protocol: &str, decisive: bool) -> Option<bool> {
        let parts: Vec<_> = parts.iter().map(|part| part.decided_by(protocol)).collect();
        if parts.contains(&Some(decisive)) {
            return Some(decisive);
        }
        (!parts.contains(&None)).then_some(!decisive)
    }

    fn asks_for_verdict(&self) -> bool {
        match self {
            Self::Verdict(_) => true,
            Self::Not(inner) => inner.asks_for_verdict(),
            Self::And(parts) | Self::Or(parts) => parts.iter().any(Self::asks_for_verdict),
            _ => false,
        }
    }
}

impl Filter {
    /// Reads an expression; `name` is what errors call it, e.g. `-E`.
    ///
    /// # Errors
    /// What is wrong with it, and where.
    pub fn parse(name: &str, text: &str) -> Result<Self, ConfigError> {
        // With a line end behind it, a caret can stand at the end of the text.
        let source = SourceText::new(name, &format!("{text}\n"));
        let mut parser = Parser { source: &source, text, at: 0, depth: 0 };
        let expression = parser.or()?;
        let token = parser.peek();
        match token.kind {
            Kind::End => Ok(Self { text: text.to_owned(), expression }),
            _ => Err(parser.unexpected(&token, "`&`, `|` or the end")),
        }
    }

    /// Whether the cell is selected.
    #[must_use]
    pub fn matches(&self, cell: &CellInfo<'_>) -> bool {
        self.expression.matches(cell)
    }

    /// Whether it can hold of a cell of a protocol; `true` where only the cell itself could tell.
    #[must_use]
    pub fn reaches_protocol(&self, protocol: &str) -> bool {
        self.expression.decided_by(protocol) != Some(false)
    }

    /// Whether it looks at verdicts, which are there only after a run.
    #[must_use]
    pub fn asks_for_verdict(&self) -> bool {
        self.expression.asks_for_verdict()
    }
}

impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Nesting beyond this is no expression that a person wrote.
const DEPTH_MAX: usize = 64;

const PREDICATES: [&str; 10] =
    ["all", "none", "protocol", "client", "server", "case", "cell", "kind", "source", "verdict"];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Word,
    And,
    Or,
    Not,
    Open,
    Close,
    Foreign,
    End,
}

#[derive(Debug, Clone, Copy)]
struct Token {
    kind: Kind,
    start: usize,
    end: usize,
}

struct Parser<'a> {
    source: &'a SourceText,
    text: &'a str,
    at: usize,
    depth: usize,
}

impl<'a> Parser<'a> {
    fn skip_space(&mut self) {
        let rest = &self.text[self.at..];
        self.at += rest.len() - rest.trim_start().len();
    }

    /// The token that comes next.
    fn peek(&mut self) -> Token {
        self.skip_space();
        let start = self.at;
        let rest = &self.text[start..];
        let is_word = |char: char| char.is_ascii_alphanumeric() || char == '-' || char == '_';
        let word_len = rest.find(|char| !is_word(char)).unwrap_or(rest.len());
        let (kind, len) = match (&rest[..word_len], rest.chars().next()) {
            (_, None) => (Kind::End, 0),
            ("and", _) => (Kind::And, word_len),
            ("or", _) => (Kind::Or, word_len),
            ("not", _) => (Kind::Not, word_len),
            ("", Some('&')) => (Kind::And, 1),
            ("", Some('|')) => (Kind::Or, 1),
            ("", Some('!')) => (Kind::Not, 1),
            ("", Some('(')) => (Kind::Open, 1),
            ("", Some(')')) => (Kind::Close, 1),
            ("", Some(foreign)) => (Kind::Foreign, foreign.len_utf8()),
            (_, Some(_)) => (Kind::Word, word_len),
        };
        Token { kind, start, end: start + len }
    }

    /// Takes the next token if it is of this kind.
    fn take(&mut self, kind: Kind) -> bool {
        let token = self.peek();
        if token.kind == kind {
            self.at = token.end;
        }
        token.kind == kind
    }

    fn problem(&self, start: usize, end: usize, message: String, label: &str) -> Problem {
        self.source.problem(start..end, message, label)
    }

    fn unexpected(&self, token: &Token, wanted: &str) -> ConfigError {
        let found = match token.kind {
            Kind::End => "the end".to_owned(),
            _ => format!("`{}`", &self.text[token.start..token.end]),
        };
        let doubled = matches!(token.kind, Kind::And | Kind::Or) && token.start > 0;
        let help = doubled.then(|| "write `&` and `|` once: `server(>=5) & case(probe/**)`".to_owned());
        self.problem(
            token.start,
            token.end,
            format!("expected {wanted}, found {found}"),
            &format!("expected {wanted}"),
        )
        .help(help)
        .into()
    }

    fn or(&mut self) -> Result<Expression, ConfigError> {
        let first = self.and()?;
        let mut parts = vec![first];
        while self.take(Kind::Or) {
            parts.push(self.and()?);
        }
        Ok(one_or(parts, Expression::Or))
    }

    fn and(&mut self) -> Result<Expression, ConfigError> {
        let first = self.not()?;
        let mut parts = vec![first];
        while self.take(Kind::And) {
            parts.push(self.not()?);
        }
        Ok(one_or(parts, Expression::And))
    }

    fn not(&mut self) -> Result<Expression, ConfigError> {
        let token = self.peek();
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            let message = format!("nested more than {DEPTH_MAX} deep");
            return Err(self.problem(token.start, token.end, message, "here").into());
        }
        let read = match token.kind {
            Kind::Not => {
                self.at = token.end;
                Expression::Not(Box::new(self.not()?))
            }
            Kind::Open => {
                self.at = token.end;
                let inner = self.or()?;
                if !self.take(Kind::Close) {
                    let found = self.peek();
                    return Err(self.unclosed(&token, &found));
                }
                inner
            }
            Kind::Word => {
                self.at = token.end;
                self.predicate(&token)?
            }
            _ => return Err(self.unexpected(&token, "a predicate")),
        };
        self.depth -= 1;
        Ok(read)
    }

    fn unclosed(&self, open: &Token, found: &Token) -> ConfigError {
        self.problem(found.start, found.end, "expected `)`".to_owned(), "expected `)`")
            .also(open.start..open.end, "to close this")
            .into()
    }

    fn predicate(&mut self, name: &Token) -> Result<Expression, ConfigError> {
        let word = &self.text[name.start..name.end];
        if !PREDICATES.contains(&word) {
            let help = did_you_mean(word, "predicates", PREDICATES);
            let problem = self.problem(name.start, name.end, format!("unknown predicate `{word}`"), "here");
            return Err(problem.help(help).into());
        }
        let open = self.peek();
        if open.kind != Kind::Open {
            return match word {
                "all" => Ok(Expression::All),
                "none" => Ok(Expression::None),
                _ => Err(self.unexpected(&open, &format!("`(` behind `{word}`"))),
            };
        }
        self.at = open.end;
        let (argument, start) = self.argument(&open)?;
        let end = start + argument.len();
        match (word, argument) {
            ("all", "") => return Ok(Expression::All),
            ("none", "") => return Ok(Expression::None),
            ("all" | "none", _) => {
                return Err(self
                    .problem(start, end, format!("`{word}` takes no argument"), "not here")
                    .into());
            }
            _ => {}
        }
        read_argument(word, argument).map_err(|bad| {
            let label = format!("in `{word}(...)`");
            self.problem(start, end, bad.message, &label).help(bad.help).into()
        })
    }

    /// The text up to the next `)`, trimmed, and where it starts.
    fn argument(&mut self, open: &Token) -> Result<(&'a str, usize), ConfigError> {
        self.skip_space();
        let start = self.at;
        let rest = &self.text[start..];
        let Some(len) = rest.find([')', '(']).filter(|at| rest[*at..].starts_with(')')) else {
            let end = rest.find('(').map_or(self.text.len(), |at| start + at);
            return Err(self.unclosed(open, &Token { kind: Kind::End, start: end, end }));
        };
        self.at = start + len + 1;
        Ok((rest[..len].trim_end(), start))
    }
}

/// A single part stands for itself; several are joined. The lists are flat, so a long expression is
/// not a deep one.
fn one_or(mut parts: Vec<Expression>, join: fn(Vec<Expression>) -> Expression) -> Expression {
    match (parts.pop(), parts.is_empty()) {
        (Some(only), true) => only,
        (last, _) => {
            parts.extend(last);
            join(parts)
        }
    }
}

fn read_argument(word: &str, argument: &str) -> Result<Expression, BadText> {
    Ok(match word {
        "protocol" => Expression::Protocol(Glob::from_text(argument)?),
        "client" => Expression::Client(read_which(argument)?),
        "server" => Expression::Server(read_which(argument)?),
        "case" => Expression::Case(CasePattern::from_text(argument)?),
        "cell" => Expression::Cell(CellPattern::from_text(argument)?),
        "kind" => Expression::Kind(read_kind(argument)?),
        "source" => Expression::Source(SourceKind::from_text(argument)?),
        _ => Expression::Verdict(read_verdict(argument)?),
    })
}

fn read_which(argument: &str) -> Result<Which, BadText> {
    if argument.starts_with(['<', '>', '=']) {
        return VersionRange::from_text(argument).map(Which::Version);
    }
    Glob::from_text(argument).map(Which::Id)
}

fn read_kind(argument: &str) -> Result<CaseKind, BadText> {
    let kinds = CaseKind::ALL;
    let found = kinds.into_iter().find(|kind| kind.as_str() == argument);
    found.ok_or_else(|| BadText::unknown_word(argument, "kind", &kinds.map(CaseKind::as_str)))
}

fn read_verdict(argument: &str) -> Result<Verdict, BadText> {
    let words = ["compatible", "degraded", "refused", "broken", "inconclusive"];
    Ok(match argument {
        "compatible" => Verdict::Compatible,
        "degraded" => Verdict::Degraded,
        "refused" => Verdict::Refused,
        "broken" => Verdict::Broken,
        "inconclusive" => Verdict::Inconclusive,
        _ => return Err(BadText::unknown_word(argument, "verdict", &words)),
    })
}
