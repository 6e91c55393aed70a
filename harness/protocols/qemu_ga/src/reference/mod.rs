//! Reference peers: servers that behave as a release was measured to behave, and a client that does what a host has to.
//!
//! They are driven by the facts of a [`super::Dialect`], never by a version. `ideal` does what the protocol's designers
//! asked for, and carries the seeded defects with which the checks are checked.
//!
//! ```text
//! server.rs     starts servers, looks at them from outside
//! engine.rs     the loop: one client at a time, reading, answering
//! agent.rs      from bytes to lines: syntax, errors in it, what has been told
//! commands.rs   what each command does and answers
//! text.rs       JSON as qemu-ga prints it
//! client.rs     the host
//! defects.rs    faults that can be switched on
//! ```

mod agent;
mod client;
mod commands;
mod defects;
mod engine;
mod server;
mod text;

use matrix::Build;
use transcript::Endpoint;

use protocol::defect::Switches;

pub(crate) use client::ReferenceClient;
pub(crate) use defects::DEFECTS;
pub(crate) use server::ReferenceServers;
pub(crate) use server::leave_half_said;

/// Who a reference peer is, for the provenance of transcripts.
fn endpoint(build: &Build, switches: &Switches) -> Endpoint {
    let faults: Vec<_> = switches.names().collect();
    let faults = (!faults.is_empty()).then(|| (verdict::FAULTS.to_owned(), faults.join(" ")));
    Endpoint {
        id: build.id.to_string(),
        name: "qemu-ga (reference)".to_owned(),
        version: Some(build.version.clone()),
        source: Some("reference".to_owned()),
        modified: faults.is_some(),
        details: build.settings.clone().into_iter().chain(faults).collect(),
        ..Endpoint::default()
    }
}
