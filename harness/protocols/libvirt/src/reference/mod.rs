//! Reference peers: servers and clients that behave as a release was measured to behave.
//!
//! They are driven by the facts of a [`super::Dialect`]. `ideal` does what the protocol's designers asked for,
//! and carries the seeded defects with which the checks are checked.
//!
//! ```text
//! server.rs       starts servers, for the first time and again
//! engine.rs       the daemon: calls, signs of life, streams, events; peer.rs one client of it
//! calls.rs        what each call does and answers; calls/ has the objects
//! driver.rs       the test driver behind it             description.rs  descriptions of interfaces
//! interfaces.rs   where interfaces are kept             failure.rs      refusals as releases word them
//! transaction.rs  transactions over a directory         store.rs        the directory, safe against crashes
//! settings.rs     other locales, SASL, older releases   hostile.rs      answers that mean harm
//! defects.rs      faults that can be switched on
//! client/         virsh of a release
//! ```

mod calls;
mod client;
mod defects;
mod description;
mod driver;
mod engine;
mod failure;
mod hostile;
mod interfaces;
mod peer;
mod server;
mod settings;
mod store;
mod transaction;

pub(crate) use client::{CLIENT_DEFECTS, client};
pub(crate) use defects::SERVER_DEFECTS;
pub(crate) use server::server;

#[cfg(test)]
mod tests;
