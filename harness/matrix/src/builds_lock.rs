//! `matrices/<protocol>/builds.lock`: what exactly was installed for each Debian build.
//!
//! ```toml
//! # Written by `wireskew builds`; not to be edited.
//! format = 1
//! protocol = "lxc-command"
//!
//! [[build]]
//! id = "4.0.6"
//! suite = "bullseye"
//! root = "sha256:…"          # digest of the whole root
//! packages = [
//!   { name = "adduser", architecture = "all", version = "3.118+deb11u1", sha256 = "…" },
//! ]
//! ```
//!
//! The same lock always has the same text: builds in the order of their ids, packages in that of their
//! names, one a line, so that a diff of the file is a diff of the packages.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};
use std::path::Path;

use crate::builds::Name;
use crate::error::{ConfigError, read_text};
use crate::groups::read_protocol;
use crate::section::{BadText, FromText, Section, read_document};
use crate::{BuildId, lock_text};

/// What was installed for the Debian builds of one protocol.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BuildsLock {
    /// Name of the protocol.
    pub protocol: String,
    /// By id of the build.
    pub builds: BTreeMap<BuildId, LockedBuild>,
}

/// What was installed for one build.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockedBuild {
    /// The suite.
    pub suite: String,
    /// Digest of the whole root, `sha256:…`.
    pub root: String,
    /// By name and architecture.
    pub packages: BTreeMap<(String, String), LockedPackage>,
}

/// One installed package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockedPackage {
    /// Its exact version.
    pub version: String,
    /// SHA-256 of its .deb in lower case hexadecimal.
    pub sha256: String,
}

/// A difference between two locks.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct LockDrift {
    /// The build.
    pub build: BuildId,
    /// What differs.
    pub kind: LockDriftKind,
}

/// The kinds of [`LockDrift`].
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum LockDriftKind {
    /// Only the newer lock has the build.
    BuildAdded,
    /// Only the older lock has the build.
    BuildRemoved,
    /// Another suite.
    Suite {
        /// Before.
        from: String,
        /// Now.
        to: String,
    },
    /// Another root, though every package is the same.
    Root {
        /// Before.
        from: String,
        /// Now.
        to: String,
    },
    /// Only the newer lock has the package.
    PackageAdded {
        /// `name:architecture`.
        package: String,
        /// Its version.
        version: String,
    },
    /// Only the older lock has the package.
    PackageRemoved {
        /// `name:architecture`.
        package: String,
        /// Its version.
        version: String,
    },
    /// Another version of the package.
    PackageVersion {
        /// `name:architecture`.
        package: String,
        /// Before.
        from: String,
        /// Now.
        to: String,
    },
    /// The same version of the package with another digest: somebody rebuilt it, or worse.
    PackageDigest {
        /// `name:architecture`.
        package: String,
        /// Its version.
        version: String,
    },
}

impl fmt::Display for LockDrift {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use LockDriftKind as Kind;
        write!(f, "build `{}`: ", self.build)?;
        match &self.kind {
            Kind::BuildAdded => f.write_str("not in the lock"),
            Kind::BuildRemoved => f.write_str("only in the lock"),
            Kind::Suite { from, to } => write!(f, "suite {from} -> {to}"),
            Kind::Root { from, to } => write!(f, "root {from} -> {to}, all packages being the same"),
            Kind::PackageAdded { package, version } => write!(f, "{package} {version} is new"),
            Kind::PackageRemoved { package, version } => write!(f, "{package} {version} is gone"),
            Kind::PackageVersion { package, from, to } => write!(f, "{package} {from} -> {to}"),
            Kind::PackageDigest { package, version } => {
                write!(f, "{package} {version} has another digest under the same version")
            }
        }
    }
}

/// The version of the file's format.
const FORMAT: u64 = 1;

impl BuildsLock {
    /// A lock of no builds.
    #[must_use]
    pub fn empty(protocol: &str) -> Self {
        Self { protocol: protocol.to_owned(), builds: BTreeMap::new() }
    }

    /// Reads the file at `path`.
    ///
    /// # Errors
    /// Everything that is wrong with it, each with its place.
    pub fn load(path: &Path, protocol: &str) -> Result<Self, ConfigError> {
        Self::parse(&path.display().to_string(), &read_text(path)?, protocol)
    }

    /// Reads a text; `name` is what errors call it.
    ///
    /// # Errors
    /// Everything that is wrong with it, each with its place.
    pub fn parse(name: &str, text: &str, protocol: &str) -> Result<Self, ConfigError> {
        read_document(name, text, |root| {
            let format = lock_text::read_format(root, FORMAT);
            let read = read_protocol(root, protocol);
            let mut builds = BTreeMap::new();
            root.tables("build", |section| {
                let (id, build) = read_build(section)?;
                if builds.insert(id.clone(), build).is_some() {
                    let message = format!("build `{id}` is locked twice");
                    section.context().report(section.problem(section.span(), message, "again here"));
                }
                Some(())
            });
            format?;
            Some(Self { protocol: read?, builds })
        })
    }

    /// The text of the file.
    #[must_use]
    pub fn render(&self) -> String {
        let mut out = format!(
            "# Written by `wireskew builds`; not to be edited.\nformat = {FORMAT}\nprotocol = {}\n",
            lock_text::quoted(&self.protocol)
        );
        for (id, build) in &self.builds {
            let (id, suite, root) = (
                lock_text::quoted(id.as_str()),
                lock_text::quoted(&build.suite),
                lock_text::quoted(&build.root),
            );
            let _ = write!(out, "\n[[build]]\nid = {id}\nsuite = {suite}\nroot = {root}\npackages = [\n");
            for ((name, architecture), package) in &build.packages {
                let _ = writeln!(
                    out,
                    "  {{ name = {}, architecture = {}, version = {}, sha256 = {} }},",
                    lock_text::quoted(name),
                    lock_text::quoted(architecture),
                    lock_text::quoted(&package.version),
                    lock_text::quoted(&package.sha256),
                );
            }
            out.push_str("]\n");
        }
        out
    }

    /// What differs in a newer lock, in the order of builds and packages.
    #[must_use]
    pub fn drift(&self, newer: &Self) -> Vec<LockDrift> {
        let mut drift = Vec::new();
        let ids: std::collections::BTreeSet<&BuildId> =
            self.builds.keys().chain(newer.builds.keys()).collect();
        for id in ids {
            let kinds = match (self.builds.get(id), newer.builds.get(id)) {
                (Some(old), Some(new)) => build_drift(old, new),
                (Some(_), None) => vec![LockDriftKind::BuildRemoved],
                (None, _) => vec![LockDriftKind::BuildAdded],
            };
            drift.extend(kinds.into_iter().map(|kind| LockDrift { build: id.clone(), kind }));
        }
        drift
    }
}

fn build_drift(old: &LockedBuild, new: &LockedBuild) -> Vec<LockDriftKind> {
    let mut drift = Vec::new();
    if old.suite != new.suite {
        drift.push(LockDriftKind::Suite { from: old.suite.clone(), to: new.suite.clone() });
    }
    let names: std::collections::BTreeSet<_> = old.packages.keys().chain(new.packages.keys()).collect();
    for key in names {
        let package = format!("{}:{}", key.0, key.1);
        match (old.packages.get(key), new.packages.get(key)) {
            (Some(was), Some(is)) if was.version != is.version => {
                let (from, to) = (was.version.clone(), is.version.clone());
                drift.push(LockDriftKind::PackageVersion { package, from, to });
            }
            (Some(was), Some(is)) if was.sha256 != is.sha256 => {
                drift.push(LockDriftKind::PackageDigest { package, version: is.version.clone() });
            }
            (Some(_), Some(_)) | (None, None) => {}
            (Some(was), None) => {
                drift.push(LockDriftKind::PackageRemoved { package, version: was.version.clone() });
            }
            (None, Some(is)) => {
                drift.push(LockDriftKind::PackageAdded { package, version: is.version.clone() });
            }
        }
    }
    if drift.is_empty() && old.root != new.root {
        drift.push(LockDriftKind::Root { from: old.root.clone(), to: new.root.clone() });
    }
    drift
}

fn read_build(section: &mut Section<'_>) -> Option<(BuildId, LockedBuild)> {
    let id = section.required::<BuildId>("id");
    let suite = section.required::<Name>("suite");
    let root = section.required::<Digest>("root");
    let mut packages = BTreeMap::new();
    section.tables("packages", |section| {
        let name = section.required::<String>("name");
        let architecture = section.required::<String>("architecture");
        let version = section.required::<String>("version");
        let sha256 = section.required::<Sha256Text>("sha256");
        let key = (name?, architecture?);
        let package = LockedPackage { version: version?, sha256: sha256?.0 };
        if packages.insert(key.clone(), package).is_some() {
            let message = format!("package `{}:{}` is locked twice", key.0, key.1);
            section.context().report(section.problem(section.span(), message, "again here"));
        }
        Some(())
    });
    Some((id?, LockedBuild { suite: suite?.0, root: root?.0, packages }))
}

fn is_sha256(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

struct Sha256Text(String);

impl FromText for Sha256Text {
    const WANTED: &'static str = "64 lower case hexadecimal digits";

    fn from_text(text: &str) -> Result<Self, BadText> {
        if !is_sha256(text) {
            return Err(BadText::new(format!("`{text}` is not a SHA-256"), None));
        }
        Ok(Self(text.to_owned()))
    }
}

/// A digest of a root or of an image.
pub(crate) struct Digest(pub(crate) String);

impl FromText for Digest {
    const WANTED: &'static str = "`sha256:` and 64 lower case hexadecimal digits";

    fn from_text(text: &str) -> Result<Self, BadText> {
        if !text.strip_prefix("sha256:").is_some_and(is_sha256) {
            return Err(BadText::new(format!("`{text}` is not a digest"), None));
        }
        Ok(Self(text.to_owned()))
    }
}
