//! Tokens to definitions, whose types are still names.

use super::token::{Kind, Token, Wrong, tokens};
use super::{Label, Rules, Scalar};
use crate::protobuf::NUMBER_MAX;

/// How deep messages may be nested.
pub(super) const NESTING_MAX: usize = 16;
/// The most bytes of a full name.
const NAME_LEN_MAX: usize = 512;
/// The most parts of a full name.
const NAME_PARTS_MAX: usize = 32;
/// The most reserved numbers, ranges and names of a message.
pub(super) const RESERVED_MAX: usize = 1024;

/// What one text defines.
#[derive(Default)]
pub(super) struct File<'a> {
    pub(super) imports: Vec<(usize, &'a str)>,
    pub(super) messages: Vec<Message<'a>>,
    pub(super) enums: Vec<Enum<'a>>,
    pub(super) services: Vec<Service<'a>>,
}

/// Definitions as their namesakes in [`super`], with lines.
pub(super) struct Message<'a> {
    pub(super) line: usize,
    pub(super) name: String,
    pub(super) fields: Vec<Field<'a>>,
    pub(super) oneofs: Vec<&'a str>,
    pub(super) reserved: Vec<(u32, u32)>,
    pub(super) reserved_names: Vec<&'a str>,
}

pub(super) struct Field<'a> {
    pub(super) line: usize,
    pub(super) number: u32,
    pub(super) name: &'a str,
    pub(super) label: Label,
    /// The type of the keys, of a map.
    pub(super) key: Option<Scalar>,
    pub(super) kind: &'a str,
    pub(super) oneof: Option<usize>,
}

pub(super) struct Enum<'a> {
    pub(super) line: usize,
    pub(super) name: String,
    pub(super) values: Vec<(usize, i32, &'a str)>,
}

pub(super) struct Service<'a> {
    pub(super) line: usize,
    pub(super) name: String,
    pub(super) methods: Vec<Method<'a>>,
}

pub(super) struct Method<'a> {
    pub(super) line: usize,
    pub(super) name: &'a str,
    /// Whether it is a stream, and of what.
    pub(super) request: (bool, &'a str),
    pub(super) response: (bool, &'a str),
}

/// Reads a text.
pub(super) fn file(text: &str, rules: Rules) -> Result<File<'_>, Wrong> {
    let tokens = tokens(text, rules)?;
    let mut parser = Parser { tokens: &tokens, at: 0, rules, file: File::default() };
    let mut package = "";
    while let Some(token) = parser.peek() {
        match token.kind {
            Kind::Sign(';') => parser.at = parser.at.saturating_add(1),
            Kind::Word("syntax") => parser.syntax()?,
            Kind::Word("package") => {
                let (line, _) = parser.word()?;
                if !package.is_empty() {
                    return Err(Wrong { line, what: "a second package".to_owned() });
                }
                package = parser.path()?;
                parser.sign(';')?;
            }
            Kind::Word("import") => {
                parser.word()?;
                if rules == Rules::Foreign && !parser.takes_word("public") {
                    parser.takes_word("weak");
                }
                let import = parser.text()?;
                parser.file.imports.push(import);
                parser.sign(';')?;
            }
            Kind::Word("message") => parser.message(package, 0)?,
            Kind::Word("enum") => parser.enumeration(package)?,
            Kind::Word("service") => parser.service(package)?,
            Kind::Word("option") if rules == Rules::Foreign => parser.skip_statement()?,
            Kind::Word("extend") if rules == Rules::Foreign => parser.skip_block()?,
            other => return Err(Wrong { line: token.line, what: format!("{other} is not understood") }),
        }
    }
    Ok(parser.file)
}

struct Parser<'t, 'a> {
    tokens: &'t [Token<'a>],
    at: usize,
    rules: Rules,
    file: File<'a>,
}

impl<'a> Parser<'_, 'a> {
    fn peek(&self) -> Option<Token<'a>> {
        self.tokens.get(self.at).copied()
    }

    /// Whether that word is next, in foreign text, and is no name that is being defined.
    fn is_foreign(&self, word: &str) -> bool {
        let behind = self.tokens.get(self.at.saturating_add(1)).map(|token| token.kind);
        self.rules == Rules::Foreign
            && self.peek().is_some_and(|token| token.kind == Kind::Word(word))
            && behind != Some(Kind::Sign('='))
    }

    /// Passes over what ends with a semicolon outside of all brackets.
    fn skip_statement(&mut self) -> Result<(), Wrong> {
        let mut open = 0_usize;
        loop {
            match self.next()?.kind {
                Kind::Sign('{' | '[' | '(') => open = open.saturating_add(1),
                Kind::Sign('}' | ']' | ')') => open = open.saturating_sub(1),
                Kind::Sign(';') if open == 0 => return Ok(()),
                _ => {}
            }
        }
    }

    /// Passes over what ends with the brace that closes the first one.
    fn skip_block(&mut self) -> Result<(), Wrong> {
        while self.next()?.kind != Kind::Sign('{') {}
        self.skip_to('{', '}')
    }

    /// Passes over what is in brackets, behind the first one.
    fn skip_to(&mut self, opens: char, closes: char) -> Result<(), Wrong> {
        let mut open = 1_usize;
        while open > 0 {
            match self.next()?.kind {
                Kind::Sign(sign) if sign == opens => open = open.saturating_add(1),
                Kind::Sign(sign) if sign == closes => open = open.saturating_sub(1),
                _ => {}
            }
        }
        Ok(())
    }

    /// Passes over the options of a field, a value or a method, where foreign text has some.
    fn skip_options(&mut self) -> Result<(), Wrong> {
        if self.rules == Rules::Foreign && self.takes('[') { self.skip_to('[', ']') } else { Ok(()) }
    }

    fn next(&mut self) -> Result<Token<'a>, Wrong> {
        let token = self.peek();
        self.at = self.at.saturating_add(1);
        token.ok_or_else(|| {
            let line = self.tokens.last().map_or(1, |last| last.line);
            Wrong { line, what: "the text ends too early".to_owned() }
        })
    }

    /// The next token is that sign.
    fn sign(&mut self, sign: char) -> Result<usize, Wrong> {
        match self.next()? {
            Token { line, kind: Kind::Sign(found) } if found == sign => Ok(line),
            Token { line, kind } => Err(expected(line, &format!("`{sign}`"), kind)),
        }
    }

    /// Takes that sign if it is next.
    fn takes(&mut self, sign: char) -> bool {
        let is_next = self.peek().is_some_and(|token| token.kind == Kind::Sign(sign));
        self.at = self.at.saturating_add(usize::from(is_next));
        is_next
    }

    /// Takes that word if it is next.
    fn takes_word(&mut self, word: &str) -> bool {
        let is_next = self.peek().is_some_and(|token| token.kind == Kind::Word(word));
        self.at = self.at.saturating_add(usize::from(is_next));
        is_next
    }

    fn word(&mut self) -> Result<(usize, &'a str), Wrong> {
        match self.next()? {
            Token { line, kind: Kind::Word(word) } => Ok((line, word)),
            Token { line, kind } => Err(expected(line, "a name", kind)),
        }
    }

    /// A name without dots.
    fn name(&mut self) -> Result<(usize, &'a str), Wrong> {
        match self.word()? {
            (line, word) if word.contains('.') => Err(expected(line, "a name", Kind::Word(word))),
            found => Ok(found),
        }
    }

    /// A name that may have dots.
    fn path(&mut self) -> Result<&'a str, Wrong> {
        let (line, word) = self.word()?;
        let path = word.strip_prefix('.').unwrap_or(word);
        if path.split('.').any(|part| !part.starts_with(|c: char| c == '_' || c.is_ascii_alphabetic())) {
            return Err(expected(line, "a name", Kind::Word(word)));
        }
        Ok(word)
    }

    fn text(&mut self) -> Result<(usize, &'a str), Wrong> {
        match self.next()? {
            Token { line, kind: Kind::Text(text) } => Ok((line, text)),
            Token { line, kind } => Err(expected(line, "a text", kind)),
        }
    }

    fn number(&mut self) -> Result<(usize, u64), Wrong> {
        match self.next()? {
            Token { line, kind: Kind::Number(number) } => Ok((line, number)),
            Token { line, kind } => Err(expected(line, "a number", kind)),
        }
    }

    /// A number that a field may have.
    fn field_number(&mut self) -> Result<u32, Wrong> {
        let (line, number) = self.number()?;
        match u32::try_from(number) {
            Ok(number @ 1..=NUMBER_MAX) => Ok(number),
            _ => Err(Wrong { line, what: format!("no field can have number {number}") }),
        }
    }

    fn syntax(&mut self) -> Result<(), Wrong> {
        let first = self.at == 0;
        let (line, _) = self.word()?;
        self.sign('=')?;
        let (_, syntax) = self.text()?;
        if !first || syntax != "proto3" {
            return Err(Wrong {
                line,
                what: "anything but `proto3`, said first, is not understood".to_owned(),
            });
        }
        self.sign(';').map(drop)
    }

    fn message(&mut self, scope: &str, depth: usize) -> Result<(), Wrong> {
        self.word()?;
        let (line, name) = self.name()?;
        if depth >= NESTING_MAX {
            return Err(Wrong { line, what: format!("messages are nested deeper than {NESTING_MAX}") });
        }
        self.sign('{')?;
        let mut message = Message {
            line,
            name: full_name(line, scope, name)?,
            fields: Vec::new(),
            oneofs: Vec::new(),
            reserved: Vec::new(),
            reserved_names: Vec::new(),
        };
        while !self.takes('}') {
            match self.peek().map(|token| token.kind) {
                Some(Kind::Sign(';')) => self.at = self.at.saturating_add(1),
                _ if self.is_foreign("option") || self.is_foreign("extensions") => self.skip_statement()?,
                _ if self.is_foreign("extend") => self.skip_block()?,
                Some(Kind::Word("message")) => self.message(&message.name, depth.saturating_add(1))?,
                Some(Kind::Word("enum")) => self.enumeration(&message.name)?,
                Some(Kind::Word("reserved")) => self.reserved(&mut message)?,
                Some(Kind::Word("oneof")) => self.oneof(&mut message)?,
                _ => {
                    let field = self.field()?;
                    message.fields.push(field);
                }
            }
        }
        self.file.messages.push(message);
        Ok(())
    }

    fn field(&mut self) -> Result<Field<'a>, Wrong> {
        let label = match () {
            () if self.takes_word("repeated") => Label::Repeated,
            () if self.takes_word("optional") => Label::Optional,
            () => Label::Singular,
        };
        if label == Label::Singular && self.takes_word("map") {
            return self.map();
        }
        self.plain(label, None, None)
    }

    /// Behind `map`.
    fn map(&mut self) -> Result<Field<'a>, Wrong> {
        self.sign('<')?;
        let (line, word) = self.word()?;
        let key = Scalar::of_name(word).filter(|scalar| scalar.is_key());
        let key = key.ok_or_else(|| Wrong { line, what: format!("`{word}` cannot be the key of a map") })?;
        self.sign(',')?;
        let kind = self.path()?;
        self.sign('>')?;
        self.plain(Label::Repeated, Some((key, kind)), None)
    }

    /// Type, unless it is that of a map, name and number.
    fn plain(
        &mut self,
        label: Label,
        map: Option<(Scalar, &'a str)>,
        oneof: Option<usize>,
    ) -> Result<Field<'a>, Wrong> {
        let (key, kind) = match map {
            Some((key, kind)) => (Some(key), kind),
            None => (None, self.path()?),
        };
        let (line, name) = self.name()?;
        self.sign('=')?;
        let number = self.field_number()?;
        self.skip_options()?;
        self.sign(';')?;
        Ok(Field { line, number, name, label, key, kind, oneof })
    }

    fn oneof(&mut self, message: &mut Message<'a>) -> Result<(), Wrong> {
        self.word()?;
        let (_, name) = self.name()?;
        self.sign('{')?;
        let at = message.oneofs.len();
        message.oneofs.push(name);
        while !self.takes('}') {
            if self.is_foreign("option") {
                self.skip_statement()?;
            } else {
                message.fields.push(self.plain(Label::Singular, None, Some(at))?);
            }
        }
        Ok(())
    }

    fn reserved(&mut self, message: &mut Message<'a>) -> Result<(), Wrong> {
        let (line, _) = self.word()?;
        loop {
            if message.reserved.len().saturating_add(message.reserved_names.len()) >= RESERVED_MAX {
                return Err(Wrong { line, what: format!("more than {RESERVED_MAX} things are reserved") });
            }
            if let Some(Kind::Text(_)) = self.peek().map(|token| token.kind) {
                message.reserved_names.push(self.text()?.1);
            } else {
                let from = self.field_number()?;
                let to = match () {
                    () if !self.takes_word("to") => from,
                    () if self.takes_word("max") => NUMBER_MAX,
                    () => self.field_number()?,
                };
                message.reserved.push((from, to));
            }
            if !self.takes(',') {
                return self.sign(';').map(drop);
            }
        }
    }

    fn enumeration(&mut self, scope: &str) -> Result<(), Wrong> {
        self.word()?;
        let (line, name) = self.name()?;
        self.sign('{')?;
        let mut values = Vec::new();
        while !self.takes('}') {
            if self.is_foreign("option") || self.is_foreign("reserved") {
                self.skip_statement()?;
                continue;
            }
            if self.rules == Rules::Foreign && self.takes(';') {
                continue;
            }
            let (line, label) = self.name()?;
            self.sign('=')?;
            let negative = self.takes('-');
            let (_, number) = self.number()?;
            let signed = i64::try_from(number).ok().map(|number| if negative { -number } else { number });
            let number = signed.and_then(|number| i32::try_from(number).ok()).ok_or_else(|| Wrong {
                line,
                what: format!("no value of an enum can have number {number}"),
            })?;
            self.skip_options()?;
            self.sign(';')?;
            values.push((line, number, label));
        }
        self.file.enums.push(Enum { line, name: full_name(line, scope, name)?, values });
        Ok(())
    }

    fn service(&mut self, scope: &str) -> Result<(), Wrong> {
        self.word()?;
        let (line, name) = self.name()?;
        self.sign('{')?;
        let mut methods = Vec::new();
        while !self.takes('}') {
            if self.is_foreign("option") {
                self.skip_statement()?;
                continue;
            }
            if self.rules == Rules::Foreign && self.takes(';') {
                continue;
            }
            match self.word()? {
                (line, "rpc") => {
                    let (_, name) = self.name()?;
                    let request = self.parameter()?;
                    match self.word()? {
                        (_, "returns") => {}
                        (line, word) => return Err(expected(line, "`returns`", Kind::Word(word))),
                    }
                    let response = self.parameter()?;
                    if self.rules == Rules::Foreign && self.takes('{') {
                        self.skip_to('{', '}')?;
                    } else {
                        self.sign(';')?;
                    }
                    methods.push(Method { line, name, request, response });
                }
                (line, word) => return Err(expected(line, "`rpc`", Kind::Word(word))),
            }
        }
        self.file.services.push(Service { line, name: full_name(line, scope, name)?, methods });
        Ok(())
    }

    /// A message in brackets, or a stream of it.
    fn parameter(&mut self) -> Result<(bool, &'a str), Wrong> {
        self.sign('(')?;
        let stream = self.takes_word("stream");
        let message = self.path()?;
        self.sign(')')?;
        Ok((stream, message))
    }
}

/// The name of a definition within a scope.
pub(super) fn full_name(line: usize, scope: &str, name: &str) -> Result<String, Wrong> {
    let full = if scope.is_empty() { name.to_owned() } else { [scope, ".", name].concat() };
    if full.len() > NAME_LEN_MAX || full.split('.').count() > NAME_PARTS_MAX {
        let what = format!("a name of more than {NAME_LEN_MAX} bytes or {NAME_PARTS_MAX} parts");
        return Err(Wrong { line, what });
    }
    Ok(full)
}

fn expected(line: usize, what: &str, found: Kind<'_>) -> Wrong {
    Wrong { line, what: format!("{what} is expected, not {found}") }
}
