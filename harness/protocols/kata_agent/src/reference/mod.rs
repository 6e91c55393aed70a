//! Reference peers: agents that behave as a release was measured to behave, and runtimes.
//!
//! They are driven by the facts of a [`super::dialect::Dialect`], never by a version.
//!
//! ```text
//! server.rs      starts agents              agent.rs     what is answered to each call
//! container.rs   sandboxes and containers   client.rs    the runtime
//! defects.rs     faults that can be switched on
//! ```

mod agent;
mod client;
mod container;
mod defects;
mod server;

pub(crate) use client::client;
pub(crate) use defects::DEFECTS;
pub(crate) use server::server;
