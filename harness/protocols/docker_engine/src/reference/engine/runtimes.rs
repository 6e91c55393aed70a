//! Runtimes with arguments, and the scripts by which they are called.
//!
//! ```text
//! daemon.json     {"runtimes": {"wrap": {"path": "runc", "runtimeArgs": ["--debug"]}}}
//! to 24.0         DIR/data/runtimes/wrap
//! from 25.0 on    DIR/data/runtimes/wrap.0RXGPLZYC6FYVG04-RZ9N02SBD3CRX0M30GGYX-VNF2XDY2Y38D0====
//! content         #!/bin/sh\nrunc --debug $@\n
//! ```
//!
//! The configuration of the user and what follows from it are one [`Snapshot`], which nobody changes: a reload makes another
//! one. Who has taken one may still start a container by it as long as its scripts are there.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use sha2::{Digest as _, Sha256};

use super::config::{Configuration, RuntimeEntry, STOCK};
use super::files::{FileError, Files, contained};
use super::world::SCRIPTS;
use crate::dialect::Wrappers;

/// How a suffix is written: digits, and letters that make no words.
const ALPHABET: &[u8; 32] = b"0123456789BCDFGHJKLMNPQRSTVWXYZ-";

/// How a container is started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Runtime {
    /// By which path its shim calls its OCI runtime.
    pub path: String,
    /// The script at that path, where there has to be one: its file below the directory, and what it says.
    pub script: Option<Script>,
}

/// A script.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Script {
    /// The file, below the directory.
    pub file: String,
    /// What it says.
    pub content: String,
}

/// A configuration and what follows from it. It is never changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Snapshot {
    /// What the user has written.
    pub configuration: Configuration,
    /// How containers of each runtime are started.
    pub runtimes: BTreeMap<String, Runtime>,
}

impl Snapshot {
    /// What follows from a configuration.
    pub(crate) fn of(configuration: Configuration, wrappers: Wrappers, root: &Path) -> Self {
        let runtimes = derived(&configuration, wrappers, root);
        Self { configuration, runtimes }
    }

    /// Whether its runtimes are those that follow from its configuration.
    #[cfg(test)]
    pub(crate) fn is_whole(&self, wrappers: Wrappers, root: &Path) -> bool {
        self.runtimes == derived(&self.configuration, wrappers, root)
    }

    /// Its scripts.
    pub(crate) fn scripts(&self) -> impl Iterator<Item = &Script> {
        self.runtimes.values().filter_map(|runtime| runtime.script.as_ref())
    }
}

fn derived(configuration: &Configuration, wrappers: Wrappers, root: &Path) -> BTreeMap<String, Runtime> {
    let entries = configuration.runtimes.iter();
    let mut runtimes: BTreeMap<_, _> =
        entries.map(|(name, entry)| (name.clone(), runtime(name, entry, wrappers, root))).collect();
    runtimes.insert(STOCK.to_owned(), Runtime { path: STOCK.to_owned(), script: None });
    runtimes
}

fn runtime(name: &str, entry: &RuntimeEntry, wrappers: Wrappers, root: &Path) -> Runtime {
    if !entry.kind.is_empty() {
        return Runtime { path: entry.kind.clone(), script: None };
    }
    if entry.args.is_empty() {
        return Runtime { path: entry.path.clone(), script: None };
    }
    let content = content(&entry.path, &entry.args);
    let name = match wrappers {
        Wrappers::Name => name.to_owned(),
        Wrappers::Content | Wrappers::ContentWhileReferenced => format!("{name}.{}", suffix(&content)),
    };
    // Real releases take `../../evil` and write there. Here nothing is written outside of the directory.
    let file = contained(&format!("{SCRIPTS}/{name}"));
    let path = root.join(&file).to_string_lossy().into_owned();
    Runtime { path, script: Some(Script { file, content }) }
}

/// What a script says.
fn content(path: &str, args: &[String]) -> String {
    format!("#!/bin/sh\n{path} {} $@\n", args.join(" "))
}

/// What stands behind the name of a runtime in the name of its script: the hash of the content in base 32.
fn suffix(content: &str) -> String {
    let mut text = String::with_capacity(56);
    let (mut bits, mut count) = (0_u32, 0);
    for byte in Sha256::digest(content.as_bytes()) {
        bits = (bits << 8) | u32::from(byte);
        count += 8;
        while count >= 5 {
            count -= 5;
            text.push(digit(bits >> count));
        }
    }
    // 256 bits are 51 digits and one bit, which stands in front of four zeros.
    text.push(digit(bits << (5 - count)));
    text.push_str("====");
    text
}

fn digit(bits: u32) -> char {
    let digit = ALPHABET.get((bits & 31) as usize).copied();
    char::from(digit.expect("five bits are a place in an alphabet of 32"))
}

/// Writes the scripts of a snapshot.
///
/// # Errors
/// The directory cannot be changed.
pub(super) fn write_scripts(files: &mut Files, snapshot: &Snapshot) -> Result<(), FileError> {
    for script in snapshot.scripts() {
        // What is there already is left alone: somebody may be running it.
        if files.read(&script.file)?.as_deref() != Some(script.content.as_bytes()) {
            files.write(&script.file, script.content.as_bytes(), true)?;
        }
    }
    Ok(())
}

/// Removes all files from the directory of scripts but those. What lies elsewhere is never removed: measured on all releases.
///
/// # Errors
/// The directory cannot be changed.
pub(super) fn keep_scripts(files: &mut Files, kept: &BTreeSet<String>) -> Result<(), FileError> {
    for name in files.names(SCRIPTS)? {
        let file = format!("{SCRIPTS}/{name}");
        if !kept.contains(&file) {
            files.remove(&file)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scripts_are_named_as_real_daemons_name_them() {
        // Measured on 26.1.5, 28.5.2 and 29.7.2.
        #[track_caller]
        fn check(args: &[&str], expect: &str) {
            let args: Vec<String> = args.iter().map(|arg| (*arg).to_owned()).collect();
            assert_eq!(suffix(&content("runc", &args)), expect);
        }
        assert_eq!(content("runc", &["--debug".to_owned()]), "#!/bin/sh\nrunc --debug $@\n");
        check(&["--debug"], "0RXGPLZYC6FYVG04-RZ9N02SBD3CRX0M30GGYX-VNF2XDY2Y38D0====");
        check(
            &["--debug", "--log-format", "json"],
            "D3-1TW3YCX380J2-6T0Q--JG8WG04294JQN1DLW14280BNVJ1NV0====",
        );
    }
}
