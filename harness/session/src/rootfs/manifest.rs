//! What is installed in a root file system.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// What is installed in a root file system.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// The suite.
    pub suite: String,
    /// Sorted by name and architecture.
    pub packages: Vec<Package>,
    /// What was unusual about the fetch, for people.
    #[serde(default)]
    pub notes: Vec<String>,
}

/// An installed package.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Package {
    /// Its name.
    pub name: String,
    /// Its architecture, `all` included.
    pub architecture: String,
    /// Its exact version.
    pub version: String,
    /// SHA-256 of its .deb, lower-case hexadecimal.
    pub sha256: String,
}

/// A difference between what is locked and what was fetched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Drift {
    /// Locked, but not installed.
    Missing(Package),
    /// Installed, but not locked.
    Added(Package),
    /// Installed in another version, or with another digest.
    Changed {
        /// As locked.
        locked: Package,
        /// As installed.
        installed: Package,
    },
}

impl Drift {
    /// Whether what is installed is not what it claims to be: the same version with other contents, or another version
    /// of a package that the build pins.
    #[must_use]
    pub fn is_another_build(&self, pinned: &[(String, String)]) -> bool {
        let pins = |p: &Package| pinned.iter().any(|(name, _)| *name == p.name);
        match self {
            Self::Missing(package) | Self::Added(package) => pins(package),
            Self::Changed { locked, installed } => pins(locked) || locked.version == installed.version,
        }
    }
}

impl fmt::Display for Drift {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing(p) => write!(f, "{} {} is locked but not installed", p.name, p.version),
            Self::Added(p) => write!(f, "{} {} is installed but not locked", p.name, p.version),
            Self::Changed { locked, installed } if locked.version == installed.version => {
                let short = |p: &Package| p.sha256.get(..16).unwrap_or(&p.sha256).to_owned();
                let (was, is) = (short(locked), short(installed));
                write!(f, "{} {} has digest {is}…, locked is {was}…", locked.name, locked.version)
            }
            Self::Changed { locked, installed } => {
                write!(f, "{} is {}, locked is {}", locked.name, installed.version, locked.version)
            }
        }
    }
}

/// What differs between what is locked and what is installed, by package name.
#[must_use]
pub fn drift(locked: &[Package], installed: &[Package]) -> Vec<Drift> {
    let by_name = |packages: &[Package]| -> BTreeMap<(String, String), Package> {
        packages.iter().map(|p| ((p.name.clone(), p.architecture.clone()), p.clone())).collect()
    };
    let (locked, installed) = (by_name(locked), by_name(installed));
    let mut all = Vec::new();
    for (name, was) in &locked {
        match installed.get(name) {
            None => all.push(Drift::Missing(was.clone())),
            Some(is) if is != was => all.push(Drift::Changed { locked: was.clone(), installed: is.clone() }),
            Some(_) => {}
        }
    }
    all.extend(
        installed
            .iter()
            .filter(|(name, _)| !locked.contains_key(*name))
            .map(|(_, p)| Drift::Added(p.clone())),
    );
    all
}

impl Manifest {
    /// Reads the JSON form.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        serde_json::from_str(text)
            .map_err(|error| format!("manifest: {error}; remove the entry and fetch again"))
    }

    /// The JSON form.
    pub(super) fn to_json(&self) -> String {
        // Strings and lists of strings: nothing that JSON cannot hold.
        serde_json::to_string_pretty(self).unwrap_or_default()
    }

    /// The installed package of that name.
    #[must_use]
    pub fn package(&self, name: &str) -> Option<&Package> {
        self.packages.iter().find(|package| package.name == name)
    }

    /// One digest for all of it: SHA-256 over the lines `name architecture version sha256` in order, as `sha256:…`.
    #[must_use]
    pub fn digest(&self) -> String {
        let line = |p: &Package| format!("{} {} {} {}\n", p.name, p.architecture, p.version, p.sha256);
        let lines: String = self.packages.iter().map(line).collect();
        format!("sha256:{}", hex_sha256(lines.as_bytes()))
    }
}

/// SHA-256 in lower-case hexadecimal.
#[must_use]
pub fn hex_sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Reads the stanzas that `apt-cache show` prints.
pub(super) fn read_packages(text: &str) -> Result<Vec<Package>, String> {
    let mut packages = Vec::new();
    for stanza in text.split("\n\n").filter(|stanza| !stanza.trim().is_empty()) {
        let field = |name: &str| {
            let line = stanza.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
            line.map(str::to_owned).ok_or_else(|| {
                format!("apt tells no `{name}` of a package: {}", stanza.lines().next().unwrap_or_default())
            })
        };
        packages.push(Package {
            name: field("Package")?,
            architecture: field("Architecture")?,
            version: field("Version")?,
            sha256: field("SHA256")?,
        });
    }
    packages.sort();
    // The same version comes once for each list that has it.
    packages.dedup();
    Ok(packages)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(name: &str, version: &str, sha256: &str) -> Package {
        Package {
            name: name.to_owned(),
            architecture: "amd64".to_owned(),
            version: version.to_owned(),
            sha256: sha256.to_owned(),
        }
    }

    #[track_caller]
    fn check(locked: &[Package], installed: &[Package], expect: &[&str]) {
        let said: Vec<_> = drift(locked, installed).iter().map(ToString::to_string).collect();
        assert_eq!(said, expect);
    }

    #[test]
    fn says_what_drifted() {
        let [a, a2, b, c] =
            [("a", "1"), ("a", "2"), ("b", "1"), ("c", "1")].map(|(n, v)| package(n, v, "00"));
        check(&[a.clone(), b.clone()], &[a.clone(), b.clone()], &[]);
        check(
            &[a.clone(), b],
            &[a2, c],
            &["a is 2, locked is 1", "b 1 is locked but not installed", "c 1 is installed but not locked"],
        );
        check(&[a], &[package("a", "1", "ff")], &["a 1 has digest ff…, locked is 00…"]);
    }

    #[test]
    fn reads_what_apt_shows() {
        let text = "Package: lxc\nVersion: 1:5.0.2-1\nArchitecture: amd64\nDescription: x\n y\nSHA256: aa\n\n\
                    Package: lxc\nArchitecture: amd64\nVersion: 1:5.0.2-1\nSHA256: aa\n\n";
        assert_eq!(read_packages(text), Ok(vec![package("lxc", "1:5.0.2-1", "aa")]));
        let error = read_packages("Package: x\nVersion: 1\nArchitecture: all\n").expect_err("no digest");
        assert_eq!(error, "apt tells no `SHA256` of a package: Package: x");
    }

    #[test]
    fn the_digest_changes_with_any_package() {
        let manifest = |packages| Manifest { suite: "s".to_owned(), packages, notes: Vec::new() };
        let digest = manifest(vec![package("a", "1", "00")]).digest();
        // Checked with `printf 'a amd64 1 00\n' | sha256sum`.
        assert_eq!(digest, "sha256:ef925aca7b2e16c3238ddc758fa26fa74a1ac578ea68cee601c8a5b2488d3af2");
        assert_ne!(digest, manifest(vec![package("a", "1", "01")]).digest());
    }
}
