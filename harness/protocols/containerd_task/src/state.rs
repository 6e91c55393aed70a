//! What says in a bundle where its shim is, as a release leaves it, and as a case changes it while no daemon runs.
//!
//! | case | `address` | `bootstrap.json` |
//! |---|---|---|
//! | `bundle` | as it was | as it was |
//! | `address` | the address | none |
//! | `migrated` | the address | version 2 |
//! | `bootstrap-2`, `bootstrap-3` | none | version 2, version 3 |
//! | `of-the-future` | as it was | version 99 |
//! | `as-text` | as it was | version `"3"` |
//! | `unknown-key` | as it was | the version of the shim, and a key that nobody knows |
//! | `cut`, `empty` | the file that a daemon reads first has 40 bytes of what it had, or none | |
//! | `gone` | none | none |
//!
//! The first five are what releases leave: 1.x an `address`, 2.x a `bootstrap.json`, of version 3 or, of an older program of the shim,
//! of version 2; and a daemon of 2.x that finds an `address` writes a `bootstrap.json` of version 2 next to it. A file that is damaged,
//! or that a later release has written, is no reason to kill what runs. All daemons so far do so.

use std::fs;
use std::io;
use std::path::Path;

use protocol::effects::effect;
use session::Recorder;
use verdict::checks::FILES;

use super::bootstrap::{ADDRESS, BOOTSTRAP, Said};
use super::operations::MIGRATED;

/// What is left of a file that was cut.
const CUT_LEN: usize = 40;
/// The longest file that is read.
const LEN_MAX: u64 = 64 << 10;

/// The files that say where a shim is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Files {
    /// That of 1.x.
    pub(crate) address: Option<Vec<u8>>,
    /// That of 2.x.
    pub(crate) bootstrap: Option<Vec<u8>>,
}

/// Changes what stands in a bundle, by the name of a case.
///
/// # Errors
/// What the file system gives, or nothing says where the shim is.
pub(crate) fn change(case: &str, bundle: &Path) -> io::Result<()> {
    let changed = Files::read(bundle).changed(case);
    let nothing = || io::Error::other("nothing in the bundle says where the shim is");
    changed.ok_or_else(nothing)?.write(bundle)
}

/// Writes down what has become of the files that lay in a bundle.
pub(crate) fn write(was: &Files, bundle: &Path, recorder: &Recorder) {
    let now = Files::read(bundle);
    effect(recorder, FILES, was.became(&now));
    if let Some(version) = was.migrated(&now) {
        effect(recorder, MIGRATED, &version);
    }
}

impl Files {
    /// What lies in a bundle.
    pub(crate) fn read(bundle: &Path) -> Self {
        let read = |name: &str| {
            let path = bundle.join(name);
            let is_small = fs::metadata(&path).is_ok_and(|file| file.is_file() && file.len() <= LEN_MAX);
            fs::read(path).ok().filter(|_| is_small)
        };
        Self { address: read(ADDRESS), bootstrap: read(BOOTSTRAP) }
    }

    /// Leaves these in a bundle, and no others.
    ///
    /// # Errors
    /// What the file system gives.
    pub(crate) fn write(&self, bundle: &Path) -> io::Result<()> {
        for (name, file) in [(ADDRESS, &self.address), (BOOTSTRAP, &self.bootstrap)] {
            let path = bundle.join(name);
            match file {
                Some(bytes) => fs::write(path, bytes)?,
                None if path.exists() => fs::remove_file(path)?,
                None => {}
            }
        }
        Ok(())
    }

    /// What a case makes of them; `None` where they do not say where the shim is.
    fn changed(self, case: &str) -> Option<Self> {
        let said = Said::of(&self)?;
        let address = || Some(said.address.clone().into_bytes());
        let version = |version: &str| Some(said.written(version, "").into_bytes());
        Some(match case {
            "address" => Self { address: address(), bootstrap: None },
            "migrated" => Self { address: address(), bootstrap: version("2") },
            "bootstrap-2" => Self { address: None, bootstrap: version("2") },
            "bootstrap-3" => Self { address: None, bootstrap: version("3") },
            "of-the-future" => Self { bootstrap: version("99"), ..self },
            "as-text" => Self { bootstrap: version("\"3\""), ..self },
            "unknown-key" => {
                let version = said.version.unwrap_or_default().to_string();
                let text = said.written(&version, r#","of-the-future":1"#);
                Self { bootstrap: Some(text.into_bytes()), ..self }
            }
            "cut" => self.first(|mut file| {
                file.truncate(CUT_LEN);
                file
            }),
            "empty" => self.first(|_| Vec::new()),
            "gone" => Self::default(),
            _ => self,
        })
    }

    /// Changes the one that a daemon reads first.
    fn first(self, change: impl FnOnce(Vec<u8>) -> Vec<u8>) -> Self {
        match self.bootstrap {
            Some(bootstrap) => Self { bootstrap: Some(change(bootstrap)), ..self },
            None => Self { address: self.address.map(change), ..self },
        }
    }

    /// What has become of them, as a word of the effect `files`.
    pub(crate) fn became(&self, now: &Self) -> &'static str {
        let pairs = [(&self.address, &now.address), (&self.bootstrap, &now.bootstrap)];
        match self == now {
            true => "kept",
            false if pairs.iter().all(|(was, is)| was.is_none() || was == is) => "added",
            false => "changed",
        }
    }

    /// The version in a `bootstrap.json` that was written next to an `address`: as text, where it is none.
    pub(crate) fn migrated(&self, now: &Self) -> Option<String> {
        let (Some(_), None, Some(added)) = (&self.address, &self.bootstrap, &now.bootstrap) else {
            return None;
        };
        let version = Said::json(added).and_then(|said| said.version);
        Some(version.map_or_else(|| "none".to_owned(), |version| version.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(address: Option<&str>, bootstrap: Option<&str>) -> Files {
        let bytes = |text: &str| text.as_bytes().to_owned();
        Files { address: address.map(bytes), bootstrap: bootstrap.map(bytes) }
    }

    const TEXT: &str = "unix:///run/containerd/s/0123456789abcdef";
    const JSON: &str =
        r#"{"version":3,"address":"unix:///run/containerd/s/0123456789abcdef","protocol":"ttrpc"}"#;

    #[test]
    fn changes_what_a_case_is_named_for() {
        #[track_caller]
        fn check(case: &str, was: &Files, expect: &Files) {
            assert_eq!(was.clone().changed(case).as_ref(), Some(expect), "{case}");
        }
        let version = |version: &str| JSON.replace('3', "#").replacen('#', version, 1).replace('#', "3");
        let (old, new) = (files(Some(TEXT), None), files(None, Some(JSON)));
        for was in [&old, &new] {
            check("bundle", was, was);
            check("address", was, &old);
            check("migrated", was, &files(Some(TEXT), Some(&version("2"))));
            check("bootstrap-2", was, &files(None, Some(&version("2"))));
            check("bootstrap-3", was, &new);
            check("gone", was, &Files::default());
        }
        check("of-the-future", &old, &files(Some(TEXT), Some(&version("99"))));
        check("of-the-future", &new, &files(None, Some(&version("99"))));
        check("as-text", &new, &files(None, Some(&version("\"3\""))));
        let known = JSON.replace('}', r#","of-the-future":1}"#);
        check("unknown-key", &new, &files(None, Some(&known)));
        check("unknown-key", &old, &files(Some(TEXT), Some(&known.replace(":3,", ":2,"))));
        check("cut", &old, &files(Some(&TEXT[..40]), None));
        check("cut", &files(Some(TEXT), Some(JSON)), &files(Some(TEXT), Some(&JSON[..40])));
        check("empty", &new, &files(None, Some("")));
        assert_eq!(Files::default().changed("empty"), None);
    }

    #[test]
    fn what_was_added_is_told_from_what_was_changed() {
        #[track_caller]
        fn check(was: &Files, now: &Files, files: &str, migrated: Option<&str>) {
            assert_eq!((was.became(now), was.migrated(now).as_deref()), (files, migrated), "{was:?} {now:?}");
        }
        let (old, new) = (files(Some(TEXT), None), files(None, Some(JSON)));
        check(&old, &old, "kept", None);
        check(&old, &files(Some(TEXT), Some(JSON)), "added", Some("3"));
        check(&old, &files(Some(TEXT), Some("{}")), "added", Some("none"));
        check(&old, &new, "changed", Some("3"));
        check(&new, &files(Some(TEXT), Some(JSON)), "added", None);
        check(&new, &Files::default(), "changed", None);
    }
}
