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

pub(crate) use host::{Hosts, client};
pub(crate) use server::server;
pub(crate) use settings::Settings;

use matrix::Build;
use protocol::defect::Switches;
use transcript::Endpoint;

/// The condition of a guest without directories of hooks.
pub(super) const NO_HOOKS: &str = "no-hooks";

/// Who a reference peer is: its heartbeat and its dialect belong to that.
fn endpoint(build: &Build, name: &str, switches: &Switches) -> Endpoint {
    let mut endpoint = protocol::reference::endpoint(build, name, switches.names());
    endpoint.details.extend(Settings::read(&build.settings).unwrap_or_default().details());
    endpoint.details.insert(super::checks::DIALECT.to_owned(), build.dialect.clone());
    endpoint
}

#[cfg(test)]
mod tests;
