//! Where definitions are.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use super::parse::File;

/// Where the definitions of a schema are. Those of the well-known types are nowhere.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Places {
    by_name: BTreeMap<String, Place>,
}

/// The line of a definition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The [`super::Source::name`].
    pub source: Arc<str>,
    /// The line, from 1 on.
    pub line: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.source, self.line)
    }
}

impl Places {
    /// Where a message, enum or service is, or, behind its name and a dot, a field, value or method.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Place> {
        self.by_name.get(name)
    }

    /// Writes down where the definitions of a text are.
    pub(super) fn note(&mut self, source: &str, file: &File<'_>) {
        let source: Arc<str> = source.into();
        let mut put = |name: String, line: usize| {
            self.by_name.entry(name).or_insert_with(|| Place { source: Arc::clone(&source), line });
        };
        for message in &file.messages {
            put(message.name.clone(), message.line);
            message.fields.iter().for_each(|field| put(member(&message.name, field.name), field.line));
        }
        for found in &file.enums {
            put(found.name.clone(), found.line);
            found.values.iter().for_each(|(line, _, label)| put(member(&found.name, label), *line));
        }
        for service in &file.services {
            put(service.name.clone(), service.line);
            service.methods.iter().for_each(|method| put(member(&service.name, method.name), method.line));
        }
    }
}

fn member(of: &str, name: &str) -> String {
    [of, ".", name].concat()
}
