//! What the protocols over ttrpc share. A protocol brings its services as `.proto` text and what its releases do; calls, streams,
//! framing probes and reference peers are here.
//!
//! ```text
//! envelope.rs    calls and answers           family.rs    what implementations do where the specification is silent
//! grammar.rs     which frames belong together, and what they mean
//! message.rs     messages field by field     api.rs       what a protocol is to its family
//! schema.rs      `.proto` texts in which lines belong to releases
//! argument.rs    what a decoder makes of the fields of an argument
//! checks.rs      what an answer on a stream must hold
//! probes.rs      probes as a text, which each protocol fills in
//! generic.rs     the probes that every protocol gets, on streams
//! values.rs      values of a message by their numbers
//! reference/     servers and clients
//! ```
//!
//! Specified by `containerd/ttrpc@v1.2.7:PROTOCOL.md`.

mod api;
pub mod argument;
pub mod checks;
pub mod envelope;
pub mod family;
mod fingerprint;
pub mod generic;
mod grammar;
pub mod lock;
mod message;
pub mod probes;
pub mod recorded;
pub mod reference;
pub mod schema;
#[cfg(test)]
mod testing;
mod values;

use wire::protobuf::Source;

pub use api::{Api, Side};
pub use fingerprint::fingerprint;
pub use grammar::TtrpcGrammar;
pub use message::{STREAM, TEXT};
pub use values::Values;

/// What is around every call and every answer: `ttrpc.Request` and `ttrpc.Response`.
pub const ENVELOPE: Source<'static> = Source { name: "ttrpc.proto", text: include_str!("proto/ttrpc.proto") };
