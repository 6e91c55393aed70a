//! Reloads of the configuration.
//!
//! ```text
//! prepare   read · refuse, or write the scripts of the new one      requests see the old configuration
//! commit    swap                                                    requests see the new one, all of it
//! ```

use std::collections::BTreeSet;
use std::sync::Arc;

use super::config::{BadConfiguration, Configuration, Given, Stage};
use super::runtimes::{Snapshot, keep_scripts, write_scripts};
use super::{CONFIGURATION, Engine, defects};
use crate::dialect::Wrappers;

/// A reload that is half done.
#[derive(Debug)]
#[must_use = "nothing holds before it is committed"]
pub(crate) struct Pending(Arc<Snapshot>);

/// What became of a reload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reloaded {
    /// Whether the new configuration holds, and why it does not.
    pub outcome: Result<(), BadConfiguration>,
    /// Whether the log says so: not the same on all releases.
    pub says_reloaded: bool,
}

impl Engine {
    /// Reads the file again, and goes by it from now on unless it is refused.
    pub(crate) fn reload(&mut self) -> Reloaded {
        let outcome = match self.prepare_reload() {
            Ok(pending) => {
                self.commit_reload(pending);
                Ok(())
            }
            Err(bad) => Err(bad),
        };
        let late = matches!(&outcome, Err(bad) if bad.stage == Stage::Applying);
        let says_reloaded = outcome.is_ok() || (late && self.dialect.says_reloaded_after_refusal);
        Reloaded { outcome, says_reloaded }
    }

    /// The first half of a reload: all that can be refused, and the scripts.
    ///
    /// # Errors
    /// What is refused; everything is as it was then.
    pub(crate) fn prepare_reload(&mut self) -> Result<Pending, BadConfiguration> {
        let given = self.given()?;
        let configuration = given.over(&self.snapshot.configuration);
        let objection = given.objection.clone();
        if let Err(bad) = objection.map_or_else(|| configuration.check(self.dialect), Err) {
            if self.switches.has(defects::REFUSED_RELOAD_APPLIES) {
                self.applies_in_part(&configuration);
            }
            return Err(bad);
        }
        let wrappers = self.wrappers();
        let snapshot = Arc::new(Snapshot::of(configuration.clone(), wrappers, self.root()));
        let rebuilds = wrappers == Wrappers::Name || self.switches.has(defects::RELOAD_DELETES_WRAPPERS);
        let files = &mut self.world.files;
        // Releases that name scripts after their runtimes leave them alone where the file has no runtimes:
        // moby/moby@v20.10.24:daemon/reload_unix.go, reloadPlatform.
        let written = match rebuilds && given.has_runtimes() {
            true => keep_scripts(files, &BTreeSet::new()).and_then(|()| write_scripts(files, &snapshot)),
            false => write_scripts(files, &snapshot),
        };
        written.map_err(|error| BadConfiguration { stage: Stage::Applying, reason: error.to_string() })?;
        if self.switches.has(defects::TABLE_BEFORE_PATHS) {
            let runtimes = self.snapshot.runtimes.clone();
            self.snapshot = Arc::new(Snapshot { configuration, runtimes });
        }
        Ok(Pending(snapshot))
    }

    /// The second half of a reload.
    pub(crate) fn commit_reload(&mut self, pending: Pending) {
        self.snapshot = pending.0;
    }

    fn given(&self) -> Result<Given, BadConfiguration> {
        let refuse = |reason: String| BadConfiguration { stage: Stage::Reading, reason };
        let bytes = self.world.files.read(CONFIGURATION).map_err(|error| refuse(error.to_string()))?;
        let path = self.root().join(CONFIGURATION);
        let missing = || refuse(format!("open {}: no such file or directory", path.display()));
        Given::read(&bytes.ok_or_else(missing)?, self.dialect, &self.flags)
    }

    fn applies_in_part(&mut self, refused: &Configuration) {
        let Snapshot { configuration, runtimes } = &*self.snapshot;
        let configuration =
            Configuration { labels: refused.labels.clone(), debug: refused.debug, ..configuration.clone() };
        self.snapshot = Arc::new(Snapshot { configuration, runtimes: runtimes.clone() });
    }
}
