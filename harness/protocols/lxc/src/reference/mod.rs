//! Reference peers: servers and clients that behave as a release was measured to behave.
//!
//! They are driven by the facts of a [`super::Dialect`], never by a version. `ideal` does what the
//! protocol's designers asked for, and carries the seeded defects with which the checks are checked.
//!
//! ```text
//! server.rs      starts servers, looks at them from outside
//! engine.rs      the loop: reading, answering, closing
//! commands.rs    what each command does and answers
//! container.rs   the container behind it
//! client.rs      the tools of a release        operations.rs   what they send and make of it
//! asking.rs      one request, read as they read  machine.rs    the cgroups that both sides see
//! defects.rs     faults that can be switched on
//! ```

mod asking;
mod client;
mod commands;
mod container;
mod defects;
mod engine;
mod machine;
mod operations;
mod server;

use matrix::Build;
use transcript::Endpoint;

use protocol::defect::Switches;

pub(crate) use client::ReferenceClient;
pub(crate) use defects::DEFECTS;
pub(crate) use server::ReferenceServers;

/// Who a reference peer is, for the provenance of transcripts.
fn endpoint(build: &Build, switches: &Switches) -> Endpoint {
    let faults: Vec<_> = switches.names().collect();
    let faults = (!faults.is_empty()).then(|| (verdict::FAULTS.to_owned(), faults.join(" ")));
    Endpoint {
        id: build.id.to_string(),
        name: "lxc (reference)".to_owned(),
        version: Some(build.version.clone()),
        source: Some("reference".to_owned()),
        modified: faults.is_some(),
        details: faults.into_iter().collect(),
        ..Endpoint::default()
    }
}

#[cfg(test)]
mod tests;
