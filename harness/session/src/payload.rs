//! What a script sends: bytes as they are, or with places for what the server said before.
//!
//! ```text
//! POST /containers/   literal
//! id-1, 12 bytes      a variable, bound by an earlier Step::Capture
//! /start HTTP/1.1 …   literal
//! ```

use std::collections::BTreeMap;

use bytes::{Bytes, BytesMut};

/// What is sent in one write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Payload {
    /// These bytes.
    Fixed(Bytes),
    /// Bytes that depend on what the server said.
    Template(Template),
}

/// Bytes with variables in them, in order.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Template(pub Vec<Piece>);

/// A part of a template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// These bytes.
    Literal(Bytes),
    /// The value of a variable.
    Variable {
        /// Its name.
        var: String,
        /// How many of its first bytes; all of them where it has no more, or where this is absent.
        first: Option<usize>,
    },
}

/// A variable that has no value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` has no value")]
pub struct Unbound(pub String);

/// What was captured of replies, by name.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Variables(BTreeMap<String, Bytes>);

impl Variables {
    /// From now on, that is the value; without one, it has none any more.
    pub fn bind(&mut self, var: &str, value: Option<String>) {
        match value {
            Some(value) => drop(self.0.insert(var.to_owned(), value.into())),
            None => drop(self.0.remove(var)),
        }
    }
}

impl Payload {
    /// The bytes, if they are the same whatever the server says.
    #[must_use]
    pub fn fixed(&self) -> Option<&Bytes> {
        match self {
            Self::Fixed(bytes) => Some(bytes),
            Self::Template(_) => None,
        }
    }

    /// How many bytes it has, those of variables not counted.
    #[must_use]
    pub fn literal_len(&self) -> usize {
        match self {
            Self::Fixed(bytes) => bytes.len(),
            Self::Template(Template(pieces)) => pieces.iter().map(Piece::literal_len).sum(),
        }
    }

    /// The bytes, with these values in their places.
    ///
    /// # Errors
    /// A variable has none.
    pub fn fill(&self, variables: &Variables) -> Result<Bytes, Unbound> {
        match self {
            Self::Fixed(bytes) => Ok(bytes.clone()),
            Self::Template(Template(pieces)) => {
                let mut filled = BytesMut::new();
                for piece in pieces {
                    filled.extend_from_slice(&piece.fill(variables)?);
                }
                Ok(filled.freeze())
            }
        }
    }
}

impl Piece {
    fn literal_len(&self) -> usize {
        match self {
            Self::Literal(bytes) => bytes.len(),
            Self::Variable { .. } => 0,
        }
    }

    fn fill(&self, variables: &Variables) -> Result<Bytes, Unbound> {
        match self {
            Self::Literal(bytes) => Ok(bytes.clone()),
            Self::Variable { var, first } => {
                let value = variables.0.get(var).ok_or_else(|| Unbound(var.clone()))?;
                Ok(value.slice(..first.unwrap_or(value.len()).min(value.len())))
            }
        }
    }
}

impl From<Bytes> for Payload {
    fn from(bytes: Bytes) -> Self {
        Self::Fixed(bytes)
    }
}

impl From<Template> for Payload {
    fn from(template: Template) -> Self {
        Self::Template(template)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_is_filled_with_what_is_bound() {
        let variable = |first| Piece::Variable { var: "id".to_owned(), first };
        let literal = |text: &'static str| Piece::Literal(text.into());
        let pieces = vec![literal("/"), variable(None), literal("/"), variable(Some(3)), variable(Some(9))];
        let payload = Payload::from(Template(pieces));
        assert_eq!((payload.fixed(), payload.literal_len()), (None, 2));
        let mut variables = Variables::default();
        assert_eq!(payload.fill(&variables), Err(Unbound("id".to_owned())));
        variables.bind("id", Some("abcdef".to_owned()));
        assert_eq!(payload.fill(&variables), Ok(Bytes::from("/abcdef/abcabcdef")));
        variables.bind("id", None);
        assert!(payload.fill(&variables).is_err());
        assert_eq!(Payload::from(Bytes::from("a")).fill(&variables), Ok(Bytes::from("a")));
    }
}
