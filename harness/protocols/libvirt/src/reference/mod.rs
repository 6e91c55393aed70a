//! Reference peers: servers and clients that behave as a release was measured to behave.
//!
//! They are driven by the facts of a [`super::Dialect`]. `ideal` does what the protocol's designers asked for,
//! and carries the seeded defects with which the checks are checked.
//!
//! ```text
//! server.rs       starts servers, looks at them from outside, restarts them
//! engine.rs       the loop: reading, answering, closing, signs of life, streams, events; peer.rs one client of it
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

pub(crate) use client::{CLIENT_DEFECTS, ReferenceClient};
pub(crate) use defects::SERVER_DEFECTS;
pub(crate) use server::ReferenceServers;

pub(crate) fn server(
    build: &matrix::Build,
    defects: &[String],
    bench: &protocol::Bench,
) -> Result<std::sync::Arc<dyn session::Launcher>, session::LaunchError> {
    Ok(std::sync::Arc::new(ReferenceServers::new(build, defects, bench)?))
}

pub(crate) fn client(
    build: &matrix::Build,
    defects: &[String],
) -> Result<std::sync::Arc<dyn session::Client>, session::LaunchError> {
    Ok(std::sync::Arc::new(ReferenceClient::new(build, defects)?))
}

#[cfg(test)]
mod tests;
