//! Reference peers: shims that behave as a release was measured to behave, and daemons.
//!
//! They are driven by the facts of a [`super::dialect::Dialect`], never by a version.
//!
//! ```text
//! server.rs   starts shims     shim.rs      what is answered to each call
//! client.rs   the daemon       defects.rs   faults that can be switched on
//! ```

mod client;
mod defects;
mod server;
mod shim;

pub(crate) use client::client;
pub(crate) use defects::DEFECTS;
pub(crate) use server::server;
