//! The file of a bundle that says how its shim is reached, as releases write and read it.

use std::io;
use std::path::Path;

use wire::json::{Document, Rules, Value};

use super::dialect::{Dialect, TASK_V2, TASK_V3};

/// The file of 1.x: an address as text.
pub(crate) const ADDRESS: &str = "address";
/// The file of 2.x: JSON.
pub(crate) const BOOTSTRAP: &str = "bootstrap.json";
/// The version of a shim that says none.
const UNSAID: u64 = 2;
/// The version of shims of 2.x.
const OF_2_X: u64 = 3;
/// The longest file that is read.
const LEN_MAX: u64 = 64 << 10;

/// How a shim is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reached {
    /// By this task service.
    By(&'static str),
    /// Its version is not known here.
    TooNew,
    /// Nobody knows.
    Unknown,
}

/// Writes what a shim of a release writes.
///
/// # Errors
/// What the file system gives.
pub(crate) fn write(directory: &Path, dialect: &Dialect, address: &str) -> io::Result<()> {
    std::fs::create_dir_all(directory)?;
    if dialect.bootstrap {
        let text = format!("{{\"version\":{OF_2_X},\"address\":\"{address}\",\"protocol\":\"ttrpc\"}}");
        return std::fs::write(directory.join(BOOTSTRAP), text);
    }
    std::fs::write(directory.join(ADDRESS), address)
}

/// Cuts short whatever says how a shim is reached.
///
/// # Errors
/// What the file system gives.
pub(crate) fn damage(directory: &Path) -> io::Result<()> {
    for name in [BOOTSTRAP, ADDRESS] {
        let path = directory.join(name);
        if let Some(text) = read_text(&path) {
            std::fs::write(&path, &text.as_bytes()[..text.len() / 2])?;
        }
    }
    Ok(())
}

/// Removes it, as a daemon does that cleans up.
///
/// # Errors
/// What the file system gives.
pub(crate) fn remove(directory: &Path) -> io::Result<()> {
    for path in [BOOTSTRAP, ADDRESS].map(|name| directory.join(name)) {
        if path.exists() {
            std::fs::remove_file(path)?;
        }
    }
    Ok(())
}

/// What lies there now.
pub(crate) fn now(directory: &Path) -> Vec<Option<String>> {
    [BOOTSTRAP, ADDRESS].map(|name| read_text(&directory.join(name))).into()
}

/// Reads it as a daemon of a release does.
pub(crate) fn read(directory: &Path, dialect: &Dialect) -> Reached {
    let text = |name: &str| read_text(&directory.join(name));
    match text(BOOTSTRAP).filter(|_| dialect.bootstrap) {
        Some(text) => version_in(&text).map_or(Reached::Unknown, |version| by_version(version, dialect)),
        None => text(ADDRESS).map_or(Reached::Unknown, |_| by_version(UNSAID, dialect)),
    }
}

/// What a daemon makes of what a shim printed when it was started.
pub(crate) fn started(directory: &Path, dialect: &Dialect) -> Reached {
    match read(directory, dialect) {
        // A daemon of 1.x takes the JSON for the path of a socket, or says that it does not know the version.
        Reached::Unknown if directory.join(BOOTSTRAP).exists() => Reached::TooNew,
        reached => reached,
    }
}

fn by_version(version: u64, dialect: &Dialect) -> Reached {
    match version {
        _ if version > dialect.shim_version_max => Reached::TooNew,
        OF_2_X.. => Reached::By(TASK_V3),
        _ => Reached::By(TASK_V2),
    }
}

fn read_text(path: &Path) -> Option<String> {
    let is_small = std::fs::metadata(path).is_ok_and(|file| file.is_file() && file.len() <= LEN_MAX);
    std::fs::read_to_string(path).ok().filter(|_| is_small)
}

fn version_in(text: &str) -> Option<u64> {
    let document = Document::parse(text.as_bytes(), Rules::STRICT).ok()?;
    let root = document.root();
    let address = root.get("address").and_then(Value::text)?;
    let version = root.get("version").and_then(Value::as_i64)?;
    u64::try_from(version).ok().filter(|_| !address.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::DIALECTS;

    fn dialect(name: &str) -> &'static Dialect {
        DIALECTS.named(name).expect("a release of the table")
    }

    #[test]
    fn daemons_reach_the_shims_that_they_were_seen_to_reach() {
        #[track_caller]
        fn check(daemon: &str, shim: &str, expect: Reached) {
            let directory = tempfile::tempdir().expect("a temporary directory");
            write(directory.path(), dialect(shim), "unix:///run/s").expect("it can be written");
            assert_eq!(read(directory.path(), dialect(daemon)), expect, "{daemon} {shim}");
        }
        for shim in ["1.4", "1.6", "1.7"] {
            for daemon in ["1.4", "1.6", "1.7", "2.1", "ideal"] {
                check(daemon, shim, Reached::By(TASK_V2));
            }
        }
        check("2.1", "2.1", Reached::By(TASK_V3));
        check("1.7", "2.1", Reached::Unknown);
    }

    #[test]
    fn what_cannot_be_read_says_nothing() {
        #[track_caller]
        fn check(text: &str, expect: Reached) {
            let directory = tempfile::tempdir().expect("a temporary directory");
            std::fs::write(directory.path().join(BOOTSTRAP), text).expect("it can be written");
            assert_eq!(read(directory.path(), dialect("2.1")), expect, "{text}");
        }
        let good = r#"{"version":3,"address":"unix:///run/s","protocol":"ttrpc"}"#;
        check(good, Reached::By(TASK_V3));
        check(&good.replace("ttrpc\"", "ttrpc\",\"extra\":1"), Reached::By(TASK_V3));
        check(&good.replace('3', "99"), Reached::TooNew);
        check(&good.replace('3', "\"3\""), Reached::Unknown);
        check(&good[..40], Reached::Unknown);
        check("", Reached::Unknown);
    }
}
