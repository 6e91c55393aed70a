//! Text to words, numbers and signs.

use std::fmt;

use super::Rules;

/// What is wrong, and in which line.
pub(super) struct Wrong {
    pub(super) line: usize,
    pub(super) what: String,
}

/// A token and its line.
#[derive(Clone, Copy)]
pub(super) struct Token<'a> {
    pub(super) line: usize,
    pub(super) kind: Kind<'a>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind<'a> {
    /// A name or keyword, with the dots in it.
    Word(&'a str),
    /// A number without its sign.
    Number(u64),
    /// What stands between quotes.
    Text(&'a str),
    /// Any of `{}()<>=;,-`, in foreign text also of `[]:/+`.
    Sign(char),
    /// What begins with a digit and is no number that we read; only in foreign text, where options have such.
    Other(&'a str),
}

impl fmt::Display for Kind<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Word(word) => write!(f, "`{word}`"),
            Self::Number(number) => write!(f, "`{number}`"),
            Self::Text(text) => write!(f, "`\"{text}\"`"),
            Self::Sign(sign) => write!(f, "`{sign}`"),
            Self::Other(other) => write!(f, "`{other}`"),
        }
    }
}

/// The tokens of a text; comments are left out.
pub(super) fn tokens(text: &str, rules: Rules) -> Result<Vec<Token<'_>>, Wrong> {
    let mut lexer = Lexer { rest: text, line: 1, rules };
    let mut tokens = Vec::new();
    while let Some(token) = lexer.token()? {
        tokens.push(token);
    }
    Ok(tokens)
}

struct Lexer<'a> {
    rest: &'a str,
    line: usize,
    rules: Rules,
}

impl<'a> Lexer<'a> {
    fn token(&mut self) -> Result<Option<Token<'a>>, Wrong> {
        self.skip()?;
        let Some(first) = self.rest.chars().next() else { return Ok(None) };
        let line = self.line;
        let kind = match first {
            'a'..='z' | 'A'..='Z' | '_' | '.' => {
                Kind::Word(self.take(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.')))
            }
            '0'..='9' => self.number()?,
            '"' | '\'' => self.text(first)?,
            '{' | '}' | '(' | ')' | '<' | '>' | '=' | ';' | ',' | '-' => {
                self.rest = self.rest.get(1..).unwrap_or_default();
                Kind::Sign(first)
            }
            '[' | ']' | ':' | '/' | '+' if self.rules == Rules::Foreign => {
                self.rest = self.rest.get(1..).unwrap_or_default();
                Kind::Sign(first)
            }
            _ => return Err(self.wrong(format!("`{}` is not understood", first.escape_default()))),
        };
        Ok(Some(Token { line, kind }))
    }

    /// Passes over white space and comments.
    fn skip(&mut self) -> Result<(), Wrong> {
        loop {
            let space = self.take(char::is_whitespace);
            self.count(space);
            if self.rest.starts_with("//") {
                self.take(|c| c != '\n');
            } else if let Some(comment) = self.rest.strip_prefix("/*") {
                let Some((inside, behind)) = comment.split_once("*/") else {
                    return Err(self.wrong("a comment without an end".to_owned()));
                };
                self.count(inside);
                self.rest = behind;
            } else {
                return Ok(());
            }
        }
    }

    fn take(&mut self, belongs: impl Fn(char) -> bool) -> &'a str {
        let end = self.rest.find(|c| !belongs(c)).unwrap_or(self.rest.len());
        let (taken, rest) = self.rest.split_at_checked(end).unwrap_or((self.rest, ""));
        self.rest = rest;
        taken
    }

    fn number(&mut self) -> Result<Kind<'a>, Wrong> {
        let digits = self.take(|c| c.is_ascii_alphanumeric() || c == '.');
        let number = match digits.strip_prefix("0x") {
            Some(hex) => u64::from_str_radix(hex, 16).ok(),
            // An octal number is one that nobody needs.
            None if digits.len() > 1 && digits.starts_with('0') => None,
            None => digits.parse().ok(),
        };
        match number {
            Some(number) => Ok(Kind::Number(number)),
            None if self.rules == Rules::Foreign => Ok(Kind::Other(digits)),
            None => Err(self.wrong(format!("`{digits}` is no number"))),
        }
    }

    fn text(&mut self, quote: char) -> Result<Kind<'a>, Wrong> {
        let inside = self.rest.get(1..).unwrap_or_default();
        let end = end_of_text(inside, quote).ok_or_else(|| self.wrong("a text without an end".to_owned()))?;
        let text = inside.get(..end).unwrap_or_default();
        if self.rules == Rules::Own && text.contains('\\') {
            return Err(self.wrong("escapes in text are not understood".to_owned()));
        }
        self.rest = inside.get(end.saturating_add(1)..).unwrap_or_default();
        Ok(Kind::Text(text))
    }

    fn count(&mut self, passed: &str) {
        self.line = self.line.saturating_add(passed.matches('\n').count());
    }

    fn wrong(&self, what: String) -> Wrong {
        Wrong { line: self.line, what }
    }
}

/// Where the closing quote is, which is in the same line and not behind a backslash.
fn end_of_text(inside: &str, quote: char) -> Option<usize> {
    let mut escaped = false;
    let (end, char) = inside.char_indices().find(|(_, char)| {
        let ends = *char == '\n' || (*char == quote && !escaped);
        escaped = *char == '\\' && !escaped;
        ends
    })?;
    (char == quote).then_some(end)
}
