//! Schemas that somebody gives: `.proto` files, folders of them, and sets of descriptors.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use wire::protobuf::schema::Places;
use wire::protobuf::{Schema, SchemaError, Source};

use crate::error::{ConfigError, Problem, SourceText};

/// The most bytes of a schema, all files together.
const INPUT_LEN_MAX: u64 = 8 << 20;
/// The most files of a schema.
const FILES_MAX: usize = 4096;
/// How deep folders are looked through.
const FOLDERS_DEEP_MAX: usize = 16;

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
            return Self::of_descriptors(&path.display().to_string(), &read(path, INPUT_LEN_MAX)?);
        }
        let mut files = Vec::new();
        for path in paths {
            find(path, 0, &mut files)?;
        }
        files.sort();
        files.dedup();
        let mut texts = Vec::with_capacity(files.len());
        let mut left = INPUT_LEN_MAX;
        for path in &files {
            let bytes = read(path, left)?;
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

fn is_text(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "proto")
}

/// Finds the texts below a folder, or takes the file that it is.
fn find(path: &Path, depth: usize, files: &mut Vec<PathBuf>) -> Result<(), ConfigError> {
    let failed = |error| Problem::general(format!("cannot read `{}`: {error}", path.display()));
    if !path.is_dir() {
        files.push(path.to_path_buf());
    } else if depth < FOLDERS_DEEP_MAX {
        for entry in std::fs::read_dir(path).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            // A link may lead back to where it is.
            let is_folder = entry.file_type().map_err(failed)?.is_dir();
            if is_folder || is_text(&entry.path()) {
                find(&entry.path(), depth + 1, files)?;
            }
        }
    }
    if files.len() > FILES_MAX {
        return Err(Problem::general(format!("more than {FILES_MAX} files in `{}`", path.display())).into());
    }
    Ok(())
}

/// Reads a file of at most so many bytes.
fn read(path: &Path, len_max: u64) -> Result<Vec<u8>, ConfigError> {
    let failed = |error| Problem::general(format!("cannot read `{}`: {error}", path.display()));
    // What is no file might never be ready or never end; but a shell gives a pipe for `<(command)`.
    let is_of_shell = path.starts_with("/dev/fd") || path == Path::new("/dev/stdin");
    if !is_of_shell && !path.metadata().map_err(failed)?.is_file() {
        return Err(Problem::general(format!("`{}` is not a regular file", path.display())).into());
    }
    let mut bytes = Vec::new();
    File::open(path).and_then(|file| file.take(len_max + 1).read_to_end(&mut bytes)).map_err(failed)?;
    if bytes.len() as u64 > len_max {
        let message = format!("a schema of more than {} MiB: `{}`", INPUT_LEN_MAX >> 20, path.display());
        return Err(Problem::general(message).into());
    }
    Ok(bytes)
}
