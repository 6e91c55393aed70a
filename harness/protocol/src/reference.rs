//! What reference peers are made with: servers and clients of this process that behave as a release was measured to
//! behave.
//!
//! ```text
//! serve.rs    the launcher and the loop of servers: a protocol brings a machine that reads and answers
//! call.rs     clients: a connection that writes down what passes, and the operations that are carried out over it
//! ```

use matrix::{Build, Role};
use session::{LaunchError, LaunchErrorKind};
use transcript::Endpoint;

use crate::Defect;
use crate::defect::Switches;
use crate::dialect::{Facts, Table};

pub mod call;
pub mod serve;

/// What a reference peer of a build plays: its release, and the faults that are switched on.
#[derive(Debug)]
pub struct Part<'a, D: 'static> {
    /// The build.
    pub build: &'a Build,
    side: Role,
    /// What its release does.
    pub dialect: &'static D,
    /// The faults.
    pub switches: Switches,
}

impl<'a, D: Facts> Part<'a, D> {
    /// The part of a build on that side.
    ///
    /// # Errors
    /// No dialect of its version, or no defect of that name.
    pub fn of(
        build: &'a Build,
        side: Role,
        dialects: &'static Table<D>,
        defects: &[Defect],
        switched_on: &[String],
    ) -> Result<Self, LaunchError> {
        let dialect = dialects.for_version(&build.dialect);
        let dialect =
            dialect.ok_or_else(|| cannot(build, side, format!("no dialect `{}`", build.dialect)))?;
        let switches = Switches::on(defects, side, switched_on);
        let switches = switches.map_err(|unknown| cannot(build, side, unknown.to_string()))?;
        Ok(Self { build, side, dialect, switches })
    }

    /// Something that the part needs besides.
    ///
    /// # Errors
    /// It is not there, which makes the peer unavailable.
    pub fn needs<T>(&self, found: Result<T, String>) -> Result<T, LaunchError> {
        found.map_err(|why| cannot(self.build, self.side, why))
    }

    /// Who the peer is, for the provenance of transcripts.
    #[must_use]
    pub fn endpoint(&self, software: &str) -> Endpoint {
        let faults: Vec<_> = self.switches.names().collect();
        let faults = (!faults.is_empty()).then(|| (verdict::FAULTS.to_owned(), faults.join(" ")));
        Endpoint {
            id: self.build.id.to_string(),
            name: format!("{software} (reference)"),
            version: Some(self.build.version.clone()),
            source: Some("reference".to_owned()),
            modified: faults.is_some(),
            details: self.build.settings.clone().into_iter().chain(faults).collect(),
            ..Endpoint::default()
        }
    }
}

/// Why there is no reference peer of a build.
fn cannot(build: &Build, side: Role, why: String) -> LaunchError {
    let what = match side {
        Role::Server => format!("start reference server {}", build.id),
        Role::Client => format!("use reference client {}", build.id),
    };
    LaunchError::new(what, LaunchErrorKind::Setup(why))
}
