//! Root file systems of Debian builds, in a cache.
//!
//! ```text
//! <cache>/debian-bookworm-lxc-5f0c…/root/            the root directory, only ever mounted read-only
//!                                   manifest.json    every installed package: version and digest of its .deb
//!                                   log.txt          what mmdebstrap said
//! <cache>/debian-bookworm-lxc-5f0c….lock             held while that one is being made
//! <cache>/partial-debian-bookworm-lxc-5f0c…/         being made; renamed when complete
//! ```
//!
//! `mmdebstrap` makes them, in namespaces of its own, so that a killed fetch leaves neither mounts nor processes.
//! apt has verified every package against the signed Release file; the digests are those that it
//! verified. `builds.lock` keeps them, and a later fetch says what differs.

mod fetch;
mod manifest;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use matrix::DebianSource;

pub use fetch::{Fetched, newest};
pub use manifest::{Drift, Manifest, Package, drift, hex_sha256};

use crate::sandbox::Obstacle;

/// Variable that names the cache directory.
pub const CACHE_VARIABLE: &str = "WIRESKEW_CACHE";
/// An empty directory of every root, over which a launcher mounts what its peers share.
pub const MOUNT_POINT: &str = "wireskew";

const MANIFEST: &str = "manifest.json";
const LOG: &str = "log.txt";
const ROOT: &str = "root";

/// The cache of root file systems.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cache {
    directory: PathBuf,
}

/// A root file system in the cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rootfs {
    /// The root directory. It is never written to.
    pub root: PathBuf,
    /// What is installed in it.
    pub manifest: Manifest,
}

/// Why there is no root file system.
#[derive(Debug, thiserror::Error)]
#[error("{build}: {kind}")]
pub struct RootfsError {
    /// Which one: suite and package.
    pub build: String,
    /// Why.
    pub kind: RootfsErrorKind,
}

/// The kinds of [`RootfsError`].
#[derive(Debug, thiserror::Error)]
pub enum RootfsErrorKind {
    /// Something is missing on this machine.
    #[error(transparent)]
    Obstacle(#[from] Obstacle),
    /// The suite no longer has this version.
    #[error("`{package}` {version} is gone from {suite}, {}; to take that, `wireskew builds update`", candidate(newest.as_ref()))]
    VersionGone {
        /// Name of the package.
        package: String,
        /// The version that was asked for.
        version: String,
        /// The suite.
        suite: String,
        /// The newest version there.
        newest: Option<String>,
    },
    /// The mirror cannot be reached.
    #[error(
        "no package mirror can be reached ({0}); with a proxy, set `http_proxy`; fetched builds need no network"
    )]
    NoNetwork(String),
    /// It took too long.
    #[error("not ready within {0} s")]
    Deadline(u64),
    /// mmdebstrap failed.
    #[error("mmdebstrap failed; the end of `{}`:\n{tail}", log.display())]
    Failed {
        /// Its whole log.
        log: PathBuf,
        /// The last lines.
        tail: String,
    },
    /// Its output cannot be understood.
    #[error("{0}")]
    Malformed(String),
    /// The operating system refused.
    #[error("{what}: {source}")]
    Io {
        /// What was attempted.
        what: String,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
}

fn candidate(newest: Option<&String>) -> String {
    newest.map_or_else(|| "which has no such package".to_owned(), |v| format!("the newest there is {v}"))
}

fn context(what: impl Into<String>) -> impl FnOnce(io::Error) -> RootfsErrorKind {
    let what = what.into();
    move |source| RootfsErrorKind::Io { what, source }
}

impl Cache {
    /// A cache in this directory, which need not exist yet.
    #[must_use]
    pub fn at(directory: PathBuf) -> Self {
        Self { directory }
    }

    /// `$WIRESKEW_CACHE`, `$XDG_CACHE_HOME/wireskew` or `~/.cache/wireskew`.
    #[must_use]
    pub fn default_directory() -> PathBuf {
        let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let home = || set("HOME").unwrap_or_else(|| PathBuf::from("/root"));
        set(CACHE_VARIABLE)
            .or_else(|| set("XDG_CACHE_HOME").map(|dir| dir.join("wireskew")))
            .unwrap_or_else(|| home().join(".cache/wireskew"))
    }

    /// The root file system of this source, if it has been fetched.
    ///
    /// # Errors
    /// When it is there but cannot be read.
    pub fn find(&self, source: &DebianSource) -> Result<Option<Rootfs>, RootfsError> {
        let entry = self.entry(source);
        let error = |kind| RootfsError { build: label(source), kind };
        let text = match fs::read_to_string(entry.join(MANIFEST)) {
            Ok(text) => text,
            Err(missing) if missing.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(other) => return Err(error(context("read the manifest")(other))),
        };
        let manifest = Manifest::parse(&text).map_err(|why| error(RootfsErrorKind::Malformed(why)))?;
        Ok(Some(Rootfs { root: entry.join(ROOT), manifest }))
    }

    fn entry(&self, source: &DebianSource) -> PathBuf {
        self.directory.join(key(source))
    }

    fn partial(&self, source: &DebianSource) -> PathBuf {
        self.directory.join(format!("partial-{}", key(source)))
    }

    fn lock_file(&self, source: &DebianSource) -> PathBuf {
        self.directory.join(format!("{}.lock", key(source)))
    }

    /// Where the cache is.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }
}

/// What people call it: `bookworm lxc=1:5.0.2-1+deb12u4`.
fn label(source: &DebianSource) -> String {
    let packages: Vec<_> =
        source.packages.iter().map(|(name, version)| format!("{name}={version}")).collect();
    format!("{} {}", source.suite, packages.join(" "))
}

/// Its name in the cache: the same for the same contents asked for, and for nothing else.
fn key(source: &DebianSource) -> String {
    // The layout of an entry is part of its name, so that a newer wireskew never reads an older one's.
    let mut asked =
        format!("1\n{}\n{:?}\n{:?}\n{:?}", source.suite, source.packages, source.extra, source.snapshot);
    if !source.locales.is_empty() {
        asked.push_str(&format!("\n{:?}", source.locales));
    }
    let hash = hex_sha256(asked.as_bytes());
    let first = source.packages.first().map_or("base", |(name, _)| name);
    let plain = |text: &str| -> String {
        let keep = |c: char| c.is_ascii_alphanumeric() || "-.+".contains(c);
        text.chars().map(|c| if keep(c) { c } else { '_' }).collect()
    };
    format!("debian-{}-{}-{}", plain(&source.suite), plain(first), hash.get(..16).unwrap_or(&hash))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(suite: &str, version: &str) -> DebianSource {
        DebianSource {
            suite: suite.to_owned(),
            packages: vec![("lxc".to_owned(), version.to_owned())],
            extra: vec!["busybox-static".to_owned()],
            locales: Vec::new(),
            snapshot: None,
        }
    }

    #[test]
    fn a_key_is_a_plain_file_name_and_differs_with_what_was_asked() {
        let key_of = |suite, version| key(&source(suite, version));
        assert!(key_of("bookworm", "1:5").starts_with("debian-bookworm-lxc-"));
        assert_ne!(key_of("bookworm", "1:5"), key_of("bookworm", "1:6"));
        assert_ne!(key_of("bookworm", "1:5"), key_of("trixie", "1:5"));
        assert!(!key_of("../../etc", "1").contains('/'));
        let dated = DebianSource { snapshot: Some("20250101T000000Z".to_owned()), ..source("trixie", "1:6") };
        assert_ne!(key(&dated), key(&source("trixie", "1:6")));
        let german = DebianSource { locales: vec!["de_DE.UTF-8".to_owned()], ..source("trixie", "1:6") };
        assert_ne!(key(&german), key(&source("trixie", "1:6")));
    }

    #[test]
    fn what_was_not_fetched_is_not_found_and_a_damaged_entry_is_an_error() {
        let dir = tempfile::tempdir().expect("a temporary directory can be made");
        let (cache, source) = (Cache::at(dir.path().to_owned()), source("bookworm", "1:5"));
        assert_eq!(cache.find(&source).expect("absence is no error"), None);
        let entry = cache.entry(&source);
        fs::create_dir(&entry)
            .and_then(|()| fs::write(entry.join(MANIFEST), "{"))
            .expect("it can be written");
        let error = cache.find(&source).expect_err("half a manifest is none");
        assert!(error.to_string().starts_with("bookworm lxc=1:5: manifest"), "{error}");
    }
}
