//! Bytes to frames and back.
//!
//! A *framing* says how a byte stream becomes frames. This crate holds one file per framing and
//! what they share: [`Frame`], the [`Decoder`] contract and the [`StreamDecoder`] that most framings
//! build on, the checked [`Cursor`] and the lossless [`Dissection`]. It does no I/O, reads no clock, starts no thread and knows no protocol above
//! framing: numbers and meanings of messages are given to it as data.

#![deny(clippy::cast_possible_truncation, clippy::indexing_slicing, clippy::unwrap_used)]

mod cursor;
mod dissect;
mod frame;
#[cfg(any(test, feature = "fuzz"))]
pub mod fuzz;
pub mod http1;
pub mod json;
pub mod json_lines;
pub mod libvirt_rpc;
pub mod lxc;
pub mod multiplex;
mod named;
mod path;
pub mod policy;
pub mod protobuf;
mod stream;
#[cfg(test)]
#[expect(clippy::indexing_slicing, reason = "a wrong index fails the test, which is what it is for")]
mod testing;
pub mod ttrpc;
pub mod xdr;

pub use cursor::Cursor;
pub use dissect::{Dissection, Field, Problem, SYNTAX, UNKNOWN, Value};
pub use frame::{DecodeError, DecodeErrorKind, Decoder, Direction, Endian, Frame, FrameKind, PointerWidth};
pub use stream::{Extent, Fault, Scan, Step, StreamDecoder, Unread};
