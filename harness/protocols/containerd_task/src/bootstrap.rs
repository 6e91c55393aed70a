//! The files of a bundle that say how its shim is reached, as releases write and read them.

use std::io;
use std::path::Path;

use wire::json::{Document, Rules, Value};

use super::dialect::{Dialect, TASK_V2, TASK_V3};
use super::state::Files;

/// The file of 1.x: an address as text.
pub(crate) const ADDRESS: &str = "address";
/// The file of 2.x: JSON.
pub(crate) const BOOTSTRAP: &str = "bootstrap.json";
/// The keys of that.
const KEYS: [&str; 3] = ["version", "address", "protocol"];
/// The version of a shim that says none.
pub(crate) const UNSAID: u64 = 2;
/// The version of shims of 2.x.
pub(crate) const OF_2_X: u64 = 3;
/// What begins the name of a socket in the file system; what has no such beginning is an abstract name.
const UNIX: &str = "unix://";

/// How a shim is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reached {
    /// By this task service.
    By(&'static str),
    /// At an address, by a version that is not known here, or none that can be read.
    Somehow,
    /// Nobody knows.
    Unknown,
}

/// What the files of a bundle say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Said {
    /// The version, if there is a number.
    pub(crate) version: Option<u64>,
    /// Where the shim listens.
    pub(crate) address: String,
}

impl Said {
    /// What files say to whoever reads all of them.
    pub(crate) fn of(files: &Files) -> Option<Self> {
        files.bootstrap.as_deref().and_then(Self::json).or_else(|| Self::text(files.address.as_deref()?))
    }

    /// What a `bootstrap.json` says.
    pub(crate) fn json(text: &[u8]) -> Option<Self> {
        let document = Document::parse(text, Rules::STRICT).ok()?;
        let root = document.root();
        let address = root.get("address").and_then(Value::text)?.into_owned();
        let version = root.get("version").and_then(Value::as_i64);
        Some(Self { version: version.and_then(|version| u64::try_from(version).ok()), address })
    }

    /// What an `address` says.
    pub(crate) fn text(text: &[u8]) -> Option<Self> {
        let address = str::from_utf8(text).ok()?.trim().to_owned();
        (!address.is_empty()).then_some(Self { version: Some(UNSAID), address })
    }

    /// The same as a `bootstrap.json` of another version, and with more in it.
    pub(crate) fn written(&self, version: &str, more: &str) -> String {
        let address = &self.address;
        format!(r#"{{"version":{version},"address":"{address}","protocol":"ttrpc"{more}}}"#)
    }

    /// The socket that it names, as a path of the machine. In the machine of a reference shim an abstract name is a path, too.
    fn socket(&self) -> Option<&str> {
        self.address.strip_prefix(UNIX).unwrap_or(&self.address).strip_prefix('/')
    }
}

/// Writes what a shim of a release writes that listens at an address, and the socket that is there.
///
/// # Errors
/// What the file system gives.
pub(crate) fn write(machine: &Path, dialect: &Dialect, address: &str) -> io::Result<()> {
    std::fs::create_dir_all(machine)?;
    let said = Said { version: None, address: address.to_owned() };
    if let Some(socket) = said.socket().map(|socket| machine.join(socket)) {
        std::fs::create_dir_all(socket.parent().unwrap_or(machine))?;
        std::fs::write(socket, "")?;
    }
    let files = match dialect.bootstrap {
        true => Files { address: None, bootstrap: Some(said.written(&OF_2_X.to_string(), "").into_bytes()) },
        false => Files { address: Some(said.address.into_bytes()), bootstrap: None },
    };
    files.write(machine)
}

/// Reads it as a daemon of a release does.
pub(crate) fn read(machine: &Path, dialect: &Dialect) -> Reached {
    let files = Files::read(machine);
    let said = match &files.bootstrap {
        Some(text) if dialect.bootstrap => Said::json(text),
        _ => files.address.as_deref().and_then(Said::text),
    };
    // Half an address is one, too; but nobody listens there.
    let listens = |said: &Said| said.socket().is_some_and(|socket| machine.join(socket).is_file());
    let Some(said) = said.filter(listens) else { return Reached::Unknown };
    match said.version {
        Some(version) if version > dialect.shim_version_max => Reached::Somehow,
        Some(OF_2_X..) => Reached::By(TASK_V3),
        Some(_) => Reached::By(TASK_V2),
        None => Reached::Somehow,
    }
}

/// Whether `bootstrap.json` says more than releases write.
pub(crate) fn has_unknown_keys(machine: &Path) -> bool {
    let text = Files::read(machine).bootstrap.unwrap_or_default();
    let Ok(document) = Document::parse(&text, Rules::STRICT) else { return false };
    document.root().members().any(|(key, _)| !KEYS.contains(&&*key))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::DIALECTS;

    const AT: &str = "unix:///run/s";

    fn dialect(name: &str) -> &'static Dialect {
        DIALECTS.named(name).expect("a release of the table")
    }

    #[test]
    fn daemons_reach_the_shims_that_they_were_seen_to_reach() {
        #[track_caller]
        fn check(daemon: &str, shim: &str, expect: Reached) {
            let directory = tempfile::tempdir().expect("a temporary directory");
            write(directory.path(), dialect(shim), AT).expect("it can be written");
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
        fn check(daemon: &str, text: &str, expect: Reached) {
            let directory = tempfile::tempdir().expect("a temporary directory");
            let file = if dialect(daemon).bootstrap { BOOTSTRAP } else { ADDRESS };
            write(directory.path(), dialect(daemon), AT).expect("it can be written");
            std::fs::write(directory.path().join(file), text).expect("it can be written");
            assert_eq!(read(directory.path(), dialect(daemon)), expect, "{daemon} {text}");
        }
        let good = r#"{"version":3,"address":"unix:///run/s","protocol":"ttrpc"}"#;
        check("2.1", good, Reached::By(TASK_V3));
        check("2.1", &good.replace("ttrpc\"", "ttrpc\",\"extra\":1"), Reached::By(TASK_V3));
        check("2.1", &good.replace('3', "2"), Reached::By(TASK_V2));
        check("2.1", &good.replace('3', "99"), Reached::Somehow);
        check("2.1", &good.replace('3', "\"3\""), Reached::Somehow);
        check("2.1", &good.replace("/s", "/other"), Reached::Unknown);
        check("2.1", &good[..40], Reached::Unknown);
        check("2.1", "", Reached::Unknown);
        check("1.7", AT, Reached::By(TASK_V2));
        // As 1.2 to 1.4.0 wrote it.
        check("1.7", "/run/s", Reached::By(TASK_V2));
        for odd in ["unix:///run", "unix:///run/other", "unix://", "run/s", "tcp://127.0.0.1:1", ""] {
            check("1.7", odd, Reached::Unknown);
        }
    }
}
