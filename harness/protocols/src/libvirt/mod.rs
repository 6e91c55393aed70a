//! `libvirt-remote`: the socket on which libvirt's daemon takes remote procedure calls.
//!
//! Specified by `libvirt/libvirt`, `src/remote/remote_protocol.x` and `docs/kbase/internals/rpc.rst`; the
//! framing is [`wire::libvirt_rpc`], arguments and results are [`wire::xdr`]. The promise is that messages
//! are only added and none is changed under its number.

pub mod beside;
pub mod checks;
pub mod claims;
pub mod dialect;
mod grammar;
pub mod launch;
mod lock;
pub mod message;
pub mod names;
pub mod operations;
pub mod probes;
pub mod reference;
mod releases;
pub mod request;
mod rpc;
pub mod scenarios;
pub mod streams;
mod values;

pub use dialect::Dialect;
pub use grammar::LibvirtGrammar;
pub use lock::lock_table;
