//! What runtimes have written down of a sandbox, as the releases write and read it.
//!
//! | reader | a key that it does not know | of another type | that is not there |
//! |---|---|---|---|
//! | in Go | lost | the file is unreadable | zero |
//! | in Rust | lost | the file is unreadable | the file is unreadable |
//! | ideal | the file is refused, and left as it was | read | what it was before there was one |
//!
//! No release compares `PersistVersion`, which has been 2 since 1.9.

use std::fmt::Write as _;
use std::path::Path;
use std::sync::LazyLock;

use matrix::Version;
use ttrpc::schema::Mark;
use wire::json::{Document, Kind, Rules, Value};

/// A file that a runtime writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum File {
    /// Of the runtime in Go.
    Persist,
    /// Of the runtime in Rust.
    Runtime,
}

impl File {
    /// Both files, in the order in which they are read.
    pub(crate) const ALL: [Self; 2] = [Self::Persist, Self::Runtime];

    /// Its name.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Persist => "persist.json",
            Self::Runtime => "state.json",
        }
    }
}

/// What a value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Type {
    Bool,
    Uint32,
    Uint64,
    Float,
    Text,
    List,
    Map,
}

impl Type {
    fn of_word(word: &str) -> Option<Self> {
        Some(match word {
            "bool" => Self::Bool,
            "uint32" => Self::Uint32,
            "uint64" => Self::Uint64,
            "float" => Self::Float,
            "text" => Self::Text,
            "list" => Self::List,
            "map" => Self::Map,
            _ => return None,
        })
    }

    /// What is written where nothing else is asked for.
    fn sample(self) -> &'static str {
        match self {
            Self::Bool => "true",
            Self::Uint32 | Self::Uint64 => "4",
            Self::Float => "4.0",
            Self::Text => "\"a\"",
            Self::List => "[\"a\"]",
            Self::Map => "{\"1\":{}}",
        }
    }

    /// Whether a value can be read as that. `null` can be read as anything.
    fn reads(self, value: Value<'_>) -> bool {
        let number = || value.as_i64().and_then(|number| u64::try_from(number).ok());
        match (self, value.kind()) {
            (_, Kind::Null) | (Self::Bool, Kind::Bool) | (Self::Text, Kind::Text) => true,
            (Self::List, Kind::Array) | (Self::Map, Kind::Object) | (Self::Float, Kind::Number) => true,
            (Self::Uint32, Kind::Number) => number().is_some_and(|number| u32::try_from(number).is_ok()),
            (Self::Uint64, Kind::Number) => number().is_some(),
            _ => false,
        }
    }
}

/// A key, and the releases that write it so.
struct Key {
    file: File,
    name: &'static str,
    kind: Type,
    mark: Mark,
}

static KEYS: LazyLock<Vec<Key>> = LazyLock::new(|| {
    read_table(include_str!("persist.txt")).unwrap_or_else(|error| unreachable!("a test reads it: {error}"))
});

fn read_table(text: &'static str) -> Result<Vec<Key>, String> {
    let lines = text.lines().zip(1..).map(|(line, number)| (line.trim(), number));
    let lines = lines.filter(|(line, _)| !line.is_empty() && !line.starts_with('#'));
    let key = |(line, number): (&'static str, u32)| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [file, name, kind, releases] = *words else {
            return Err(format!("line {number}: expected four words"));
        };
        let file = match file {
            "persist" => File::Persist,
            "runtime" => File::Runtime,
            _ => return Err(format!("line {number}: `{file}` is no file")),
        };
        let kind = Type::of_word(kind).ok_or_else(|| format!("line {number}: `{kind}` is no type"))?;
        let mark = Mark::read(releases).map_err(|error| format!("line {number}: {error}"))?;
        Ok(Key { file, name, kind, mark })
    };
    lines.map(key).collect()
}

/// The keys of a file in a release; without one, in the newest.
fn keys_of(file: File, release: Option<&Version>) -> impl Iterator<Item = &'static Key> {
    KEYS.iter().filter(move |key| key.file == file && key.mark.holds(release))
}

/// What a reader made of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Read {
    /// Everything was loaded.
    All,
    /// These keys were lost, and nobody is told.
    Without(Vec<String>),
    /// Nothing was loaded, for that reason.
    Nothing(String),
}

/// How a release reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reader<'a> {
    /// As it was released.
    Release(&'a Version),
    /// As it should be: it loads whatever releases up to it have written; without one, whatever any has.
    Ideal(Option<&'a Version>),
}

/// What a release writes, where it writes such a file; without one, the newest.
pub(crate) fn written(file: File, release: Option<&Version>) -> Option<String> {
    let mut keys = keys_of(file, release).peekable();
    keys.peek()?;
    let mut text = String::from("{");
    for (at, key) in keys.enumerate() {
        let comma = if at == 0 { "" } else { "," };
        // Writing to a string cannot fail.
        let _ = write!(text, "{comma}\"{}\":{}", key.name, key.kind.sample());
    }
    text.push('}');
    Some(text)
}

/// What a reader makes of a file.
pub(crate) fn read(file: File, text: &str, reader: Reader<'_>) -> Read {
    let document = match Document::parse(text.as_bytes(), Rules::STRICT) {
        Ok(document) if document.root().kind() == Kind::Object => document,
        Ok(_) => return Read::Nothing("it is no object".to_owned()),
        Err(error) => return Read::Nothing(error.to_string()),
    };
    let mut lost = Vec::new();
    for (name, value) in document.root().members() {
        let types = known_types(file, &name, reader);
        if types.is_empty() && matches!(reader, Reader::Ideal(_)) {
            return Read::Nothing(format!("`{name}` is not known"));
        } else if types.is_empty() {
            lost.push(name.into_owned());
        } else if !types.iter().any(|kind| kind.reads(value)) {
            return Read::Nothing(format!("`{name}` has another type"));
        }
    }
    if let (File::Runtime, Reader::Release(release)) = (file, reader) {
        let absent = keys_of(file, Some(release)).find(|key| document.root().get(key.name).is_none());
        if let Some(key) = absent {
            return Read::Nothing(format!("there is no `{}`", key.name));
        }
    }
    if lost.is_empty() { Read::All } else { Read::Without(lost) }
}

/// The types that a reader knows for a key.
fn known_types(file: File, name: &str, reader: Reader<'_>) -> Vec<Type> {
    let named = KEYS.iter().filter(|key| key.file == file && key.name == name);
    let known = named.filter(|key| match reader {
        Reader::Release(release) => key.mark.holds(Some(release)),
        Reader::Ideal(None) => true,
        Reader::Ideal(Some(release)) => RELEASES.iter().any(|earlier| {
            let earlier: Option<Version> = earlier.parse().ok();
            earlier.is_some_and(|earlier| earlier <= *release && key.mark.holds(Some(&earlier)))
        }),
    });
    known.map(|key| key.kind).collect()
}

/// The releases at which something changed, oldest first.
const RELEASES: [&str; 15] = [
    "1.7", "1.8", "1.9", "1.10", "1.11", "2.0", "2.1", "2.2", "2.3", "2.4", "3.0", "3.1", "3.2", "3.3", "3.4",
];

/// Writes what a release writes into a directory.
///
/// # Errors
/// What the file system gives.
pub(crate) fn write(directory: &Path, release: Option<&Version>) -> std::io::Result<()> {
    std::fs::create_dir_all(directory)?;
    for file in File::ALL {
        if let Some(text) = written(file, release) {
            std::fs::write(directory.join(file.name()), text)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proptest::sample::select;

    use super::*;

    fn version(text: &str) -> Version {
        text.parse().expect("a release of this test")
    }

    /// Executed with the decoders of both languages.
    #[test]
    fn releases_read_what_they_were_seen_to_read() {
        #[track_caller]
        fn check(text: &str, release: &str, expect: &Read) {
            let release = version(release);
            assert_eq!(read(File::Persist, text, Reader::Release(&release)), *expect, "{text}");
        }
        let other_type = |name: &str| Read::Nothing(format!("`{name}` has another type"));
        let without = |names: &[&str]| Read::Without(names.iter().map(|name| (*name).to_owned()).collect());
        check(r#"{"Experimental":false}"#, "1.10", &other_type("Experimental"));
        check(r#"{"Experimental":["newstore"]}"#, "1.9", &other_type("Experimental"));
        check(r#"{"Experimental":null}"#, "1.9", &Read::All);
        check(r#"{"NumVCPUs":4,"MemOffset":8}"#, "3.4", &without(&["NumVCPUs"]));
        check(r#"{"MemOffset":8589934592}"#, "2.1", &other_type("MemOffset"));
        check(r#"{"MemOffset":8589934592}"#, "2.2", &Read::All);
        check(
            r#"{"HotplugVFIOOnRootBus":true,"BlockIndex":3}"#,
            "3.2",
            &without(&["HotplugVFIOOnRootBus", "BlockIndex"]),
        );
        check("{", "3.2", &read(File::Persist, "{", Reader::Ideal(None)));
    }

    #[test]
    fn a_field_that_is_not_there_makes_the_file_of_rust_unreadable() {
        let (old, new) = (version("3.2"), version("3.3"));
        let text = written(File::Runtime, Some(&old)).expect("3.2 writes one");
        let missing = Read::Nothing("there is no `guest_protection_to_use`".to_owned());
        assert_eq!(read(File::Runtime, &text, Reader::Release(&new)), missing);
        let text = written(File::Runtime, Some(&new)).expect("3.3 writes one");
        let lost = Read::Without(vec!["guest_protection_to_use".to_owned()]);
        assert_eq!(read(File::Runtime, &text, Reader::Release(&old)), lost);
    }

    #[test]
    fn says_what_is_wrong_with_a_table() {
        #[track_caller]
        fn check(text: &'static str, expect: &str) {
            assert_eq!(read_table(text).err().as_deref(), Some(expect), "{text}");
        }
        check("persist A bool", "line 1: expected four words");
        check("# a\nother A bool 1.7..", "line 2: `other` is no file");
        check("persist A boolean 1.7..", "line 1: `boolean` is no type");
    }

    proptest! {
        /// A reader loads what every older release has written, and refuses what it does not know.
        #[test]
        fn an_ideal_reader_loads_all_that_is_older_and_refuses_what_is_newer(
            writer in 0..RELEASES.len(),
            reader in 0..RELEASES.len(),
            file in select(File::ALL.to_vec()),
        ) {
            let (of_writer, of_reader) = (version(RELEASES[writer]), version(RELEASES[reader]));
            let Some(text) = written(file, Some(&of_writer)) else { return Ok(()) };
            let found = read(file, &text, Reader::Ideal(Some(&of_reader)));
            if writer <= reader {
                prop_assert_eq!(found, Read::All);
            } else {
                let is_new = |key: &Key| known_types(file, key.name, Reader::Ideal(Some(&of_reader))).is_empty();
                let has_new = keys_of(file, Some(&of_writer)).any(is_new);
                prop_assert!(!has_new || matches!(found, Read::Nothing(_)), "{:?}", found);
                prop_assert!(!matches!(found, Read::Without(_)), "nothing is lost in silence");
            }
        }

        /// Whatever lies there, a reader says what it makes of it.
        #[test]
        fn any_text_is_read_or_refused(text in ".{0,64}") {
            let release = version("2.5");
            for file in File::ALL {
                let ideal = read(file, &text, Reader::Ideal(None));
                prop_assert!(!matches!(ideal, Read::Without(_)), "nothing is lost in silence");
                let is_object = Document::parse(text.as_bytes(), Rules::STRICT)
                    .is_ok_and(|document| document.root().kind() == Kind::Object);
                let found = read(file, &text, Reader::Release(&release));
                prop_assert!(is_object || matches!(found, Read::Nothing(_)), "{:?}", found);
            }
        }
    }
}
