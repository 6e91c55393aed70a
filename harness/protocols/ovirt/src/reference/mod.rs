//! Reference peers: a host and an agent behind its port, over a unix socket, in scaled real time.
//!
//! They are thin shells around the machines of [`super::model`]: what they say and when they say it is decided there.
//!
//! ```text
//! settings.rs    the one setting, which scales all periods
//! engine.rs      the port: keeps the host's connection while what is behind it is restarted or replaced
//! server.rs      starts ports with reference agents behind them
//! host.rs        the host: carries out scenarios and writes down what passes     host/     one run, and real processes
//! ```

pub(crate) mod engine;
mod host;
pub(crate) mod server;
pub(crate) mod settings;

pub(crate) use host::ReferenceHost;
pub(crate) use server::ReferenceAgents;
pub(crate) use settings::Settings;

/// The condition of a guest without directories of hooks.
pub(super) const NO_HOOKS: &str = "no-hooks";

use std::sync::Arc;

use matrix::Build;
use protocol::defect::Switches;
use protocol::{Bench, Made};
use session::{Client, Launcher};
use transcript::Endpoint;

/// Who a reference peer is, for the provenance of transcripts.
fn endpoint(build: &Build, name: &str, switches: &Switches) -> Endpoint {
    let faults: Vec<_> = switches.names().collect();
    let faults = (!faults.is_empty()).then(|| (verdict::FAULTS.to_owned(), faults.join(" ")));
    let dialect = (super::checks::DIALECT.to_owned(), build.dialect.clone());
    let settings = Settings::read(&build.settings).unwrap_or_default().details();
    Endpoint {
        id: build.id.to_string(),
        name: format!("{name} (reference)"),
        version: Some(build.version.clone()),
        source: Some("reference".to_owned()),
        modified: faults.is_some(),
        details: settings.into_iter().chain(faults).chain([dialect]).collect(),
        ..Endpoint::default()
    }
}

/// A launcher of agents of a build with defects switched on.
///
/// # Errors
/// See [`ReferenceAgents::new`].
pub(crate) fn server(build: &Build, defects: &[String], _bench: &Bench) -> Made<dyn Launcher> {
    Ok(Arc::new(ReferenceAgents::new(build, defects)?))
}

/// The host of a build with defects switched on.
///
/// # Errors
/// See [`ReferenceHost::new`].
pub(crate) fn client(build: &Build, defects: &[String]) -> Made<dyn Client> {
    Ok(Arc::new(ReferenceHost::new(build, defects)?))
}

#[cfg(test)]
mod tests;
