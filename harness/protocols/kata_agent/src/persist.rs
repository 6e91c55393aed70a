//! What runtimes have written down of a sandbox, as the releases write and read it.
//!
//! | reader | a key that it does not know | of another type | that is not there |
//! |---|---|---|---|
//! | in Go | lost | the file is unreadable | zero |
//! | in Rust | lost | the file is unreadable | the file is unreadable |
//! | ideal | the file is refused, and left as it was | read | what it was before there was one |
//!
//! The ideal one refuses a file whose `PersistVersion` is above the newest that it knows, too. No release compares it; it has been 2
//! since 1.9. What is left behind by releases that have no agent over ttrpc, and by
//! those between the ones of the table, is in [`LEFT`], each a case for every runtime.

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

/// The key of the version of a file.
const VERSION: &str = "PersistVersion";

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
    value: &'static str,
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
        let [file, name, kind, value, releases] = *words else {
            return Err(format!("line {number}: expected five words"));
        };
        let file = match file {
            "persist" => File::Persist,
            "runtime" => File::Runtime,
            _ => return Err(format!("line {number}: `{file}` is no file")),
        };
        let kind = Type::of_word(kind).ok_or_else(|| format!("line {number}: `{kind}` is no type"))?;
        if !Document::parse(value.as_bytes(), Rules::STRICT).is_ok_and(|read| kind.reads(read.root())) {
            return Err(format!("line {number}: `{value}` is not of that type"));
        }
        let mark = Mark::read(releases).map_err(|error| format!("line {number}: {error}"))?;
        Ok(Key { file, name, kind, value, mark })
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
    /// As it should be: it loads whatever releases up to that one have written.
    Ideal(&'a Version),
}

impl<'a> Reader<'a> {
    /// How the runtime of a release reads; without one, the ideal runtime, to which the newest release is known.
    pub(crate) fn of(release: Option<&'a Version>) -> Self {
        release.map_or(Self::Ideal(newest()), Self::Release)
    }
}

/// What lies in a directory: files and what is in them.
pub(crate) type Files = Vec<(File, String)>;

/// What a release has written down; without one, the newest.
pub(crate) fn written_by(release: Option<&Version>) -> Files {
    let written = |file| Some((file, written(file, release, &[])?));
    File::ALL.into_iter().filter_map(written).collect()
}

/// What a release writes, where it writes such a file; without one, the newest. Some values may be others, of keys that it may not
/// have.
fn written(file: File, release: Option<&Version>, others: &[(&str, &str)]) -> Option<String> {
    let mut keys = keys_of(file, release).peekable();
    keys.peek()?;
    let keys: Vec<_> = keys.collect();
    let other = |name| others.iter().find(|(other, _)| *other == name).map(|(_, value)| *value);
    let own = keys.iter().map(|key| (key.name, other(key.name).unwrap_or(key.value)));
    let is_new = |(name, _): &&(&str, &str)| keys.iter().all(|key| key.name != *name);
    let mut text = String::from("{");
    for (at, (name, value)) in own.chain(others.iter().filter(is_new).copied()).enumerate() {
        let comma = if at == 0 { "" } else { "," };
        // Writing to a string cannot fail.
        let _ = write!(text, "{comma}\"{name}\":{value}");
    }
    text.push('}');
    Some(text)
}

/// What somebody has left behind who is not the release of the agent.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Left {
    /// The name of the case in which it is read.
    pub name: &'static str,
    /// What that case is about.
    pub about: &'static str,
    /// Whether nobody may load it.
    pub is_for_nobody: bool,
    /// Who wrote it; nobody is the newest release.
    writer: Option<&'static str>,
    /// Values that are others than those of the table.
    others: &'static [(&'static str, &'static str)],
    /// Whether its end is not there.
    is_cut: bool,
}

impl Left {
    /// What a release has left behind.
    const fn by(name: &'static str, writer: Option<&'static str>, about: &'static str) -> Self {
        Self { name, about, is_for_nobody: false, writer, others: &[], is_cut: false }
    }

    /// What lies there: only the runtime in Go has written such files in all of these releases.
    pub(crate) fn files(&self) -> Files {
        let writer: Option<Version> = self.writer.and_then(|writer| writer.parse().ok());
        let mut text = written(File::Persist, writer.as_ref(), self.others).unwrap_or_default();
        if self.is_cut {
            text.truncate(text.len() / 2);
        }
        vec![(File::Persist, text)]
    }
}

/// Everything that is left behind for every runtime to read.
pub(crate) const LEFT: &[Left] = &[
    Left::by(
        "persist-1.7",
        Some("1.7"),
        "a runtime reads the persist.json of 1.7, which had a proxy and flags",
    ),
    Left::by(
        "persist-1.8",
        Some("1.8"),
        "a runtime reads the persist.json of 1.8, which is like that of 1.7",
    ),
    Left::by(
        "persist-1.9",
        Some("1.9"),
        "a runtime reads the persist.json of 1.9, which had no proxy any more",
    ),
    Left::by(
        "persist-1.10",
        Some("1.10"),
        "a runtime reads the persist.json of 1.10, in which experiments are a list",
    ),
    Left::by(
        "persist-1.11",
        Some("1.11"),
        "a runtime reads the persist.json of 1.11 and 1.12, which have a map of block devices",
    ),
    Left::by(
        "persist-2.2",
        Some("2.2"),
        "a runtime reads the persist.json of 2.2, in which memory has offsets of 64 bits",
    ),
    Left::by(
        "persist-2.3",
        Some("2.3"),
        "a runtime reads the persist.json of 2.3, which has cgroups of the sandbox",
    ),
    Left::by(
        "persist-2.4",
        Some("2.4"),
        "a runtime reads the persist.json of 2.4, which calls its network otherwise",
    ),
    Left::by(
        "persist-3.4",
        Some("3.4"),
        "a runtime reads the persist.json of 3.4, which has parts of processors",
    ),
    Left {
        others: &[("MemOffset", "8589934592")],
        ..Left::by(
            "persist-large-memory",
            Some("2.2"),
            "a runtime reads an offset of memory that 32 bits do not hold",
        )
    },
    Left {
        is_for_nobody: true,
        others: &[("OfTheFuture", "true")],
        ..Left::by(
            "persist-of-the-future",
            None,
            "a runtime reads a persist.json with a key that no release has, and refuses it",
        )
    },
    Left {
        is_for_nobody: true,
        others: &[(VERSION, "3")],
        ..Left::by(
            "persist-newer-version",
            None,
            "a runtime reads a persist.json with known keys and a version that no release has, and refuses it",
        )
    },
    Left {
        is_for_nobody: true,
        is_cut: true,
        ..Left::by(
            "persist-cut",
            None,
            "a runtime reads a persist.json of which one half is there, and refuses it",
        )
    },
];

/// What is read in the case of that name, where somebody else has left it behind.
pub(crate) fn left(name: &str) -> Option<&'static Left> {
    LEFT.iter().find(|left| left.name == name)
}

/// Reads a file of a directory, and leaves it as it is; `None` where there is none.
pub(crate) fn load(directory: &Path, file: File, reader: Reader<'_>) -> Option<Read> {
    let text = std::fs::read_to_string(directory.join(file.name())).ok()?;
    Some(read(file, &text, reader))
}

/// What a reader makes of a file.
fn read(file: File, text: &str, reader: Reader<'_>) -> Read {
    let document = match Document::parse(text.as_bytes(), Rules::STRICT) {
        Ok(document) if document.root().kind() == Kind::Object => document,
        Ok(_) => return Read::Nothing("it is no object".to_owned()),
        Err(error) => return Read::Nothing(error.to_string()),
    };
    if let Some(newer) = newer_version(file, &document, reader) {
        return Read::Nothing(newer);
    }
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

/// What is wrong with the version of a file that only a release above the newest one can have written. Only the ideal reader looks.
fn newer_version(file: File, document: &Document<'_>, reader: Reader<'_>) -> Option<String> {
    let Reader::Ideal(_) = reader else { return None };
    let version = document.root().get(VERSION)?.as_i64()?;
    let newest = known(file, VERSION, reader).filter_map(|key| key.value.parse().ok()).max()?;
    (version > newest).then(|| format!("its version is {version}, and {newest} is the newest that is known"))
}

/// The types that a reader knows for a key.
fn known_types(file: File, name: &str, reader: Reader<'_>) -> Vec<Type> {
    known(file, name, reader).map(|key| key.kind).collect()
}

/// What a reader knows of a key.
fn known(file: File, name: &str, reader: Reader<'_>) -> impl Iterator<Item = &'static Key> {
    let named = KEYS.iter().filter(move |key| key.file == file && key.name == name);
    named.filter(move |key| match reader {
        Reader::Release(release) => key.mark.holds(Some(release)),
        Reader::Ideal(newest) => {
            let mut known = RELEASES.iter().filter(|earlier| *earlier <= newest);
            known.any(|earlier| key.mark.holds(Some(earlier)))
        }
    })
}

/// The releases at which something changed, oldest first.
static RELEASES: LazyLock<Vec<Version>> = LazyLock::new(|| {
    let changed = [
        "1.7", "1.8", "1.9", "1.10", "1.11", "2.0", "2.1", "2.2", "2.3", "2.4", "3.0", "3.1", "3.2", "3.3",
        "3.4",
    ];
    changed.into_iter().filter_map(|release| release.parse().ok()).collect()
});

/// The last of them.
fn newest() -> &'static Version {
    RELEASES.last().unwrap_or_else(|| unreachable!("a test counts them"))
}

/// Puts files into a directory, in the place of what lies there.
///
/// # Errors
/// What the file system gives.
pub(crate) fn lay(directory: &Path, files: &Files) -> std::io::Result<()> {
    std::fs::create_dir_all(directory)?;
    for file in File::ALL {
        let path = directory.join(file.name());
        match files.iter().find(|(laid, _)| *laid == file) {
            Some((_, text)) => std::fs::write(path, text)?,
            None if path.exists() => std::fs::remove_file(path)?,
            None => {}
        }
    }
    Ok(())
}

/// Whether exactly these files lie in a directory, byte by byte, and nothing beside them.
pub(crate) fn lie_alone(directory: &Path, files: &Files) -> bool {
    let are_there = files.iter().all(|(file, text)| {
        std::fs::read(directory.join(file.name())).is_ok_and(|bytes| bytes == text.as_bytes())
    });
    // Names are unique, so as many as these are these.
    are_there && std::fs::read_dir(directory).is_ok_and(|names| names.count() == files.len())
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
        check("{", "3.2", &read(File::Persist, "{", Reader::of(None)));
    }

    #[test]
    fn a_field_that_is_not_there_makes_the_file_of_rust_unreadable() {
        let (old, new) = (version("3.2"), version("3.3"));
        let text = written(File::Runtime, Some(&old), &[]).expect("3.2 writes one");
        let missing = Read::Nothing("there is no `guest_protection_to_use`".to_owned());
        assert_eq!(read(File::Runtime, &text, Reader::Release(&new)), missing);
        let text = written(File::Runtime, Some(&new), &[]).expect("3.3 writes one");
        let lost = Read::Without(vec!["guest_protection_to_use".to_owned()]);
        assert_eq!(read(File::Runtime, &text, Reader::Release(&old)), lost);
    }

    #[test]
    fn says_what_is_wrong_with_a_table() {
        #[track_caller]
        fn check(text: &'static str, expect: &str) {
            assert_eq!(read_table(text).err().as_deref(), Some(expect), "{text}");
        }
        check("persist A bool 1.7..", "line 1: expected five words");
        check("# a\nother A bool true 1.7..", "line 2: `other` is no file");
        check("persist A boolean true 1.7..", "line 1: `boolean` is no type");
        check("persist A uint32 4294967296 1.7..", "line 1: `4294967296` is not of that type");
    }

    #[test]
    fn every_runtime_says_of_what_was_left_behind_what_it_reads() {
        /// What the runtimes of the table make of it, in order, and the ideal one.
        #[track_caller]
        fn check(name: &str, expect: [&str; 4]) {
            let directory = tempfile::tempdir().expect("a directory for this test");
            let files = left(name).expect("it is left behind").files();
            lay(directory.path(), &files).expect("files can be written");
            let releases = ["2.0", "2.5", "4.0"].map(|release| Some(version(release)));
            let releases = releases.iter().map(Option::as_ref).chain([None]);
            let found =
                releases.map(|release| match load(directory.path(), File::Persist, Reader::of(release)) {
                    Some(Read::All) => "all".to_owned(),
                    Some(Read::Without(lost)) => lost.join(" "),
                    Some(Read::Nothing(why)) => format!("nothing: {why}"),
                    None => "no file".to_owned(),
                });
            assert_eq!(found.collect::<Vec<_>>(), expect, "{name}");
            assert!(lie_alone(directory.path(), &files));
        }
        let flag = "nothing: `Experimental` has another type";
        let too_large = "nothing: `MemOffset` has another type";
        let network = "NetNsPath NetNsCreated DisableNewNetNs VirtiofsdPid BridgedMacvlan";
        let slots = "HotplugVFIOOnRootBus PCIeRootPort NumVCPUs";
        for name in ["persist-1.7", "persist-1.8", "persist-1.9"] {
            check(name, [flag, flag, flag, "all"]);
        }
        let since_2_0 = |first: &str| format!("{first} CgroupPath {network}");
        let of_1_10 = since_2_0("BlockIndex PCIAddr");
        check("persist-1.10", ["BlockIndex", &of_1_10, &format!("{of_1_10} {slots}"), "all"]);
        let of_1_11 = since_2_0("PCIAddr");
        check("persist-1.11", ["all", &of_1_11, &format!("{of_1_11} {slots}"), "all"]);
        let of_2_2 = format!("CgroupPath {network}");
        check("persist-2.2", ["PCIPath", &of_2_2, &format!("{of_2_2} {slots}"), "all"]);
        check("persist-large-memory", [too_large, &of_2_2, &format!("{of_2_2} {slots}"), "all"]);
        let cgroups = "PCIPath SandboxCgroupPath OverheadCgroupPath";
        check("persist-2.3", [cgroups, network, &format!("{network} {slots}"), "all"]);
        let calls = "NetworkID NetworkCreated DisableNewNetwork VirtiofsDaemonPid Macvlan";
        check("persist-2.4", [&format!("{cgroups} {calls}"), "all", slots, "all"]);
        let ports = "HotPlugVFIO ColdPlugVFIO NumVCPUsF";
        check("persist-3.4", [&format!("{cgroups} {calls} {ports}"), ports, "all", "all"]);
        let later = [
            &format!("{cgroups} {calls} {ports} OfTheFuture"),
            &format!("{ports} OfTheFuture"),
            "OfTheFuture",
            "nothing: `OfTheFuture` is not known",
        ];
        check("persist-of-the-future", later);
        let newer = [
            &format!("{cgroups} {calls} {ports}"),
            ports,
            "all",
            "nothing: its version is 3, and 2 is the newest that is known",
        ];
        check("persist-newer-version", newer);
    }

    #[test]
    fn a_file_that_is_gone_changed_or_beside_is_seen() {
        let directory = tempfile::tempdir().expect("a directory for this test");
        let (path, files) = (directory.path(), written_by(None));
        lay(path, &files).expect("files can be written");
        assert_eq!((files.len(), lie_alone(path, &files)), (2, true));
        std::fs::write(path.join("persist.json.tmp"), "").expect("files can be written");
        assert!(!lie_alone(path, &files), "one is beside");
        std::fs::remove_file(path.join("state.json")).expect("it was there");
        assert!(!lie_alone(path, &files), "one is gone");
        std::fs::remove_file(path.join("persist.json.tmp")).expect("it was there");
        lay(path, &files).expect("files can be written");
        assert!(lie_alone(path, &files));
        std::fs::write(path.join("state.json"), b"\xff").expect("files can be written");
        assert!(!lie_alone(path, &files), "one is changed");
    }

    #[test]
    fn the_newest_release_is_the_last_of_all_that_changed_something() {
        assert_eq!((RELEASES.len(), newest().to_string().as_str()), (15, "3.4"));
        assert!(RELEASES.is_sorted());
    }

    #[test]
    fn half_a_file_is_read_by_nobody() {
        let files = left("persist-cut").expect("it is left behind").files();
        for release in [None, Some(version("2.0")), Some(version("4.0"))] {
            let found = read(File::Persist, &files[0].1, Reader::of(release.as_ref()));
            assert!(matches!(found, Read::Nothing(_)), "{found:?}");
        }
    }

    proptest! {
        /// A reader loads what every older release has written, and refuses what it does not know.
        #[test]
        fn an_ideal_reader_loads_all_that_is_older_and_refuses_what_is_newer(
            writer in select(RELEASES.clone()),
            reader in select(RELEASES.clone()),
            file in select(File::ALL.to_vec()),
        ) {
            let Some(text) = written(file, Some(&writer), &[]) else { return Ok(()) };
            let found = read(file, &text, Reader::Ideal(&reader));
            let is_new = |key: &Key| {
                let value = Document::parse(key.value.as_bytes(), Rules::STRICT).expect("a value of the table");
                let known = known_types(file, key.name, Reader::Ideal(&reader));
                !known.into_iter().any(|kind| kind.reads(value.root()))
            };
            let has_newer_version = writer >= version("1.9") && reader < version("1.9") && file == File::Persist;
            if writer <= reader {
                prop_assert_eq!(found, Read::All);
            } else if has_newer_version || keys_of(file, Some(&writer)).any(is_new) {
                prop_assert!(matches!(found, Read::Nothing(_)), "{:?}", found);
            } else {
                prop_assert_eq!(found, Read::All, "nothing in it is new");
            }
        }

        /// Whoever wrote it: a version that is newer than all that are known is refused, and an older one is none.
        #[test]
        fn an_ideal_reader_refuses_every_newer_version(
            writer in select(RELEASES.clone()),
            number in 0_u32..6,
        ) {
            let text = written(File::Persist, Some(&writer), &[(VERSION, &number.to_string())]);
            let text = text.expect("every release writes one");
            let found = read(File::Persist, &text, Reader::Ideal(newest()));
            prop_assert_eq!(matches!(found, Read::Nothing(_)), number > 2, "{:?}", found);
            let found = read(File::Persist, &text, Reader::Release(&writer));
            prop_assert_eq!(found, Read::All, "no release compares it");
        }

        /// Whatever lies there, a reader says what it makes of it.
        #[test]
        fn any_text_is_read_or_refused(text in ".{0,64}") {
            let release = version("2.5");
            for file in File::ALL {
                let ideal = read(file, &text, Reader::of(None));
                prop_assert!(!matches!(ideal, Read::Without(_)), "nothing is lost in silence");
                let is_object = Document::parse(text.as_bytes(), Rules::STRICT)
                    .is_ok_and(|document| document.root().kind() == Kind::Object);
                let found = read(file, &text, Reader::Release(&release));
                prop_assert!(is_object || matches!(found, Read::Nothing(_)), "{:?}", found);
            }
        }
    }
}
