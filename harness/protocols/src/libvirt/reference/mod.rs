//! Reference peers: servers and clients that behave as a release was measured to behave.

mod client;

pub use client::{CLIENT_DEFECTS, ReferenceClient};
