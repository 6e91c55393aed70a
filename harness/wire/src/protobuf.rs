//! Protobuf without generated code: a lossless walk over the bytes, a writer, and a schema that is data.
//!
//! ```text
//! field      tag, then a value whose form the tag says
//! tag        varint of number * 8 + wire type; numbers are 1 to 2^29 - 1
//! varint     7 bits in each byte, least significant first; all but the last byte have the top bit set
//!
//! wire type  0 varint      2 varint length, bytes    3 start of a group: fields, up to the end of the same number
//!            1 8 bytes     5 4 bytes, both LE        4 end of a group       6 and 7 are none
//! ```
//!
//! ```text
//! 0a 02 63 32   1a 05 0a 01 61 10 01
//! ^^^^^^^^^^^   ^^^^^                 two fields of a walk; what is in the second one is for a second walk
//! id            user  ^^^^^^^^ ^^^^^
//!                     user.name, user.uid
//! ```
//!
//! [`Walk`] knows no schema: unknown fields, order, repetition and groups are kept, and what is wrong has a place.
//! [`Schema`] is read from `.proto` text at run time. [`dissect`] is the walk with the names and types of a schema.
//!
//! Specified by `protobuf.dev`, "Encoding", and `protocolbuffers/protobuf@v29.0`,
//! `src/google/protobuf/io/coded_stream.h`. The walk is as lenient as parsers were measured to be: varints may be
//! longer than needed, and numbers larger than their field.

mod dissect;
pub mod schema;
mod walk;
mod write;

use crate::named::named;

pub use dissect::{FIELDS_MAX, MESSAGE_DEPTH_MAX, dissect};
pub use schema::{Schema, SchemaError, Source};
pub use walk::{FieldAt, FieldValue, GROUP_DEPTH_MAX, Walk, WalkError, WalkErrorKind};
pub use write::Writer;

/// The largest number of a field.
pub const NUMBER_MAX: u32 = (1 << 29) - 1;
/// The most bytes of a varint.
pub const VARINT_LEN_MAX: usize = 10;
/// The most bytes behind a length, 2 GiB - 1.
pub const LEN_MAX: u64 = 0x7fff_ffff;

named! {
    /// The form of a value on the wire. Unknown numbers survive.
    WireType(u8) {
        /// A varint.
        VARINT = 0;
        /// Eight bytes.
        FIXED64 = 1;
        /// A length and so many bytes.
        LEN = 2;
        /// The start of a group.
        GROUP_START = 3;
        /// The end of a group.
        GROUP_END = 4;
        /// Four bytes.
        FIXED32 = 5;
    }
}

/// A signed number as `sint32` and `sint64` have it: small ones of both signs are small.
#[must_use]
pub const fn zigzag(value: i64) -> u64 {
    (value.cast_unsigned() << 1) ^ (value >> 63).cast_unsigned()
}

/// The number that was written so.
#[must_use]
pub const fn unzigzag(value: u64) -> i64 {
    (value >> 1).cast_signed() ^ -((value & 1).cast_signed())
}

#[cfg(test)]
#[expect(clippy::indexing_slicing, reason = "a wrong index fails the test, which is what it is for")]
mod tests;
