//! What the protocols over ttrpc share: calls, streams, status, reference peers and probes.

pub mod schema;

use wire::protobuf::Source;

/// What is around every call and every answer: `ttrpc.Request` and `ttrpc.Response`.
pub const ENVELOPE: Source<'static> = Source { name: "ttrpc.proto", text: include_str!("proto/ttrpc.proto") };
