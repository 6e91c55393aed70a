//! Reference peers: servers that behave as a release was measured to behave, and a client that does what a host has to.
//!
//! They are driven by the facts of a [`super::Dialect`], never by a version. `ideal` does what the protocol's designers
//! asked for, and carries the seeded defects with which the checks are checked.
//!
//! ```text
//! server.rs     starts servers: one client at a time
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
mod server;
mod text;

pub(crate) use client::client;
pub(crate) use defects::DEFECTS;
pub(crate) use server::{prepare, server};
