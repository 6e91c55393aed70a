//! Schemas that somebody gives: `.proto` files, folders of them, and sets of descriptors.

use std::path::{Path, PathBuf};

use wire::protobuf::schema::Places;
use wire::protobuf::{Schema, SchemaError, Source};

use crate::error::{ConfigError, Problem, SourceText};
use crate::files;

/// The most bytes of a schema, all files together.
const INPUT_LEN_MAX: u64 = 8 << 20;

const HELP: &str = "what is not understood here a compiler can turn into descriptors: `protoc --include_imports \
                    --descriptor_set_out=FILE …`; give that file instead";

/// A schema, and where its definitions are.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ReadSchema {
    /// The definitions.
    pub schema: Schema,
    /// Where they are; of descriptors nothing is known.
    pub places: Places,
}

impl From<Schema> for ReadSchema {
    fn from(schema: Schema) -> Self {
        Self { schema, places: Places::default() }
    }
}

impl ReadSchema {
    /// Reads `.proto` files, those of folders too, as one schema; or one file of another name, a serialized
    /// `google.protobuf.FileDescriptorSet`.
    ///
    /// # Errors
    /// What cannot be read, or is not understood, with its file and line.
    pub fn load(paths: &[PathBuf]) -> Result<Self, ConfigError> {
        if let [path] = paths
            && path.is_file()
            && !is_text(path)
        {
            return Self::of_descriptors(
                &path.display().to_string(),
                &files::read(path, INPUT_LEN_MAX, &too_much())?,
            );
        }
        let found = files::find(paths, &is_text)?;
        let mut texts = Vec::with_capacity(found.len());
        let mut left = INPUT_LEN_MAX;
        for path in &found {
            let bytes = files::read(path, left, &too_much())?;
            left = left.saturating_sub(bytes.len() as u64);
            let text = String::from_utf8(bytes).map_err(|_| {
                Problem::general(format!("`{}` is not UTF-8 text", path.display())).help(HELP.to_owned())
            })?;
            texts.push((path.display().to_string(), text));
        }
        if texts.is_empty() {
            let paths: Vec<_> = paths.iter().map(|path| format!("`{}`", path.display())).collect();
            return Err(Problem::general(format!("there is no `.proto` file in {}", paths.join(", "))).into());
        }
        Self::parse(&texts)
    }

    /// Reads texts as one schema, each with the name that errors and places call it.
    ///
    /// # Errors
    /// The first thing that is not understood, with its line.
    pub fn parse(texts: &[(String, String)]) -> Result<Self, ConfigError> {
        let sources: Vec<_> = texts.iter().map(|(name, text)| Source { name, text }).collect();
        let (schema, places) = Schema::parse_foreign(&sources).map_err(|error| pointing(texts, &error))?;
        Ok(Self { schema, places })
    }

    /// Reads descriptors; `name` is what errors call them.
    ///
    /// # Errors
    /// The first thing that is not understood, with its offset.
    pub fn of_descriptors(name: &str, bytes: &[u8]) -> Result<Self, ConfigError> {
        Schema::of_descriptors(bytes).map(Self::from).map_err(|error| {
            let help = "a text has a name that ends in `.proto`; what is left out of descriptors without \
                        `--include_imports` is missing"
                .to_owned();
            Problem::general(format!("`{name}` is no set of descriptors: {error}")).help(help).into()
        })
    }
}

/// The error with the line that it is about.
fn pointing(texts: &[(String, String)], error: &SchemaError) -> ConfigError {
    let Some((name, text)) = texts.iter().find(|(name, _)| *name == error.source) else {
        return Problem::general(error.to_string()).into();
    };
    let start: usize = text.split_inclusive('\n').take(error.line.saturating_sub(1)).map(str::len).sum();
    let line = text[start..].lines().next().unwrap_or_default();
    let indent = line.len() - line.trim_start().len();
    let span = start + indent..start + line.trim_end().len().max(indent);
    SourceText::new(name, text).problem(span, error.what.clone(), "in this line").help(HELP.to_owned()).into()
}

fn too_much() -> String {
    format!("a schema of more than {} MiB", INPUT_LEN_MAX >> 20)
}

fn is_text(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "proto")
}
