//! Reference peers: a host and an agent behind its port, over a unix socket, in scaled real time.
//!
//! They are thin shells around the machines of [`super::model`]: what they say and when they say it is decided there.
//!
//! ```text
//! settings.rs    the one setting, which scales all periods
//! engine.rs      the port, a machine in the kit's loop: keeps the host's connection while what is behind it is restarted
//! server.rs      starts ports with reference agents behind them, and does to these what scenarios ask for
//! host.rs        the host: acts by itself in scenarios and writes down what passes    host/     one run, and real processes
//! ```

pub(crate) mod engine;
mod host;
pub(crate) mod server;
pub(crate) mod settings;

pub(crate) use host::{Hosts, client};
pub(crate) use server::server;
pub(crate) use settings::Settings;

use protocol::reference::Part;
use transcript::Endpoint;

use crate::Dialect;

/// Who a reference peer is: its heartbeat and its dialect belong to that.
fn endpoint(part: &Part<'_, Dialect>, settings: Settings, name: &str) -> Endpoint {
    let mut endpoint = part.endpoint(name);
    endpoint.details.extend(settings.details());
    endpoint.details.insert(super::checks::DIALECT.to_owned(), part.build.dialect.clone());
    endpoint
}

#[cfg(test)]
mod tests;
