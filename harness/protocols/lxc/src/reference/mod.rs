//! Reference peers: servers and clients that behave as a release was measured to behave.
//!
//! They are driven by the facts of a [`super::Dialect`], never by a version. `ideal` does what the
//! protocol's designers asked for, and carries the seeded defects with which the checks are checked.
//!
//! ```text
//! server.rs      starts servers, and what is done to them other than through their socket
//! engine.rs      the monitor: reading, answering, closing
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

pub(crate) use client::client;
pub(crate) use defects::DEFECTS;
pub(crate) use server::server;

#[cfg(test)]
mod tests;
