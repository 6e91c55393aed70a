//! Bodies of the fuzz targets of this crate. The targets in `fuzz/` are one line each.
//!
//! They assert what must hold for every stream, not only that nothing panics:
//!
//! - every byte is in exactly one frame or left over, in order;
//! - how the stream was cut into pieces does not matter;
//! - a frame is as long as its head says, and no longer than the limit;
//! - errors are sticky, are placed inside the stream and leave the buffer as it is;
//! - the decoder reserves nothing;
//! - what was decoded encodes to the same bytes.
//!
//! Input of the bodies that end in `_decode` and `_round_trip`; shorter input is padded with nothing, so
//! that any bytes are an input:
//!
//! ```text
//! 0         1       2       3        5                      5 + cut
//! +---------+-------+-------+--------+----------------------+------------------+
//! | variant | pieces, in    | u16 LE | what the client sent | what the server  |
//! |         | turn, bytes   | cut    |                      | sent             |
//! +---------+-------+-------+--------+----------------------+------------------+
//! ```
//!
//! The variant of HTTP/1.1 says whether the client ends before the server speaks, that of a multiplexed stream how long pieces
//! are. The variant of LXC is a layout, that of libvirt says whether the decoders know their direction, that of
//! ttrpc limits, that of JSON limits or rules; its bodies all have such an input. Input of the bodies that end in
//! `_structured` are choices. Input of `protobuf_walk` is a byte that chooses a message, and the message; that of
//! `protobuf_schema` a byte that is odd for descriptors and even for text, and those.

pub(crate) mod http1;
mod json;
mod libvirt;
mod lxc;
mod protobuf;
mod stream;
#[cfg(test)]
mod tests;
mod told;
mod ttrpc;

pub use http1::{
    http1_decode, http1_input, http1_planted_defect, http1_round_trip, http1_structured, multiplex,
};
pub use json::{json_decode, json_dissect, json_input, json_planted_defect, json_values};
pub use libvirt::{
    libvirt_decode, libvirt_input, libvirt_planted_defect, libvirt_round_trip, libvirt_structured,
};
pub use lxc::{lxc_decode, lxc_input, lxc_round_trip, lxc_structured, planted_defect};
pub use protobuf::{protobuf_schema, protobuf_walk};
pub use ttrpc::{ttrpc_decode, ttrpc_input, ttrpc_planted_defect, ttrpc_round_trip, ttrpc_structured};

/// What the bytes of an input say.
#[derive(Clone, Copy)]
struct Input<'a> {
    variant: u8,
    /// The stream arrives in pieces of these lengths, in turn.
    pieces: [usize; 2],
    requests: &'a [u8],
    replies: &'a [u8],
}

impl<'a> Input<'a> {
    fn of(data: &'a [u8]) -> Self {
        let (control, streams) = data.split_at_checked(5).unwrap_or((&[], data));
        let byte = |at: usize| control.get(at).copied().unwrap_or(0);
        let cut = usize::from(u16::from_le_bytes([byte(3), byte(4)])).min(streams.len());
        let (requests, replies) = streams.split_at(cut);
        Self { variant: byte(0), pieces: [byte(1).into(), byte(2).into()], requests, replies }
    }
}

/// The input that holds this conversation, in variant 0 and in one piece. Of requests longer than
/// 64 KiB the rest is taken for replies.
fn input(requests: &[u8], replies: &[u8]) -> Vec<u8> {
    let cut = u16::try_from(requests.len()).unwrap_or(u16::MAX).to_le_bytes();
    [&[0, 0, 0], &cut[..], requests, replies].concat()
}
