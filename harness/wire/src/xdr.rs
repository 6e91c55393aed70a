//! XDR, the encoding of integers, strings and arrays under Sun RPC and its relatives (RFC 4506).
//!
//! ```text
//! integer    4 or 8 bytes, most significant first
//! opaque<>   u32 length, bytes, 0 to 3 bytes that fill up to a multiple of 4
//! optional   u32 flag, then the value unless the flag is 0
//! ```
//!
//! The reader checks every step and reserves nothing for what a length announces. It is as lenient as
//! peers were measured to be: bytes of padding may hold anything, a flag that is not 0 counts as set.

use std::fmt;
use std::ops::Range;

use bytes::{BufMut, Bytes, BytesMut};

use crate::{Cursor, Endian};

/// How many bytes fill up `len` to a multiple of four.
#[must_use]
pub const fn padding(len: usize) -> usize {
    (4 - len % 4) % 4
}

/// Why a value cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct XdrError {
    /// Offset of the value from the first byte that the reader was given.
    pub at: usize,
    /// What is wrong.
    pub kind: XdrErrorKind,
}

/// The kinds of [`XdrError`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum XdrErrorKind {
    /// The bytes end before the value does.
    Truncated {
        /// Bytes that the value needs.
        needed: usize,
        /// Bytes that are left.
        got: usize,
    },
    /// A length or count is above its limit.
    AboveLimit {
        /// The announced one.
        announced: u32,
        /// The limit.
        limit: u32,
    },
}

impl fmt::Display for XdrError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            XdrErrorKind::Truncated { needed, got } => write!(f, "needs {needed} bytes, {got} are left")?,
            XdrErrorKind::AboveLimit { announced, limit } => {
                write!(f, "announces {announced}, limit is {limit}")?;
            }
        }
        write!(f, " (offset {})", self.at)
    }
}

impl std::error::Error for XdrError {}

/// Bytes of variable length and where their parts lie.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opaque<'a> {
    /// Where the length lies.
    pub len_span: Range<usize>,
    /// Where the bytes lie.
    pub span: Range<usize>,
    /// Where the padding lies; empty where none is due.
    pub pad_span: Range<usize>,
    /// The bytes without padding.
    pub bytes: &'a [u8],
}

/// Reads values from the front of a byte slice. A read that fails does not move.
#[derive(Debug, Clone)]
pub struct Reader<'a> {
    cursor: Cursor<'a>,
}

impl<'a> Reader<'a> {
    /// Starts at the first byte.
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { cursor: Cursor::new(bytes) }
    }

    /// Offset of the next byte.
    #[must_use]
    pub fn at(&self) -> usize {
        self.cursor.at()
    }

    /// How many bytes are left.
    #[must_use]
    pub fn remaining(&self) -> usize {
        self.cursor.remaining()
    }

    /// Everything that is left and its span.
    pub fn rest(&mut self) -> (Range<usize>, &'a [u8]) {
        self.cursor.rest()
    }

    /// An unsigned 32-bit integer.
    ///
    /// # Errors
    /// Fewer than four bytes are left.
    pub fn u32(&mut self) -> Result<(Range<usize>, u32), XdrError> {
        let short = self.short(4);
        self.cursor.u32(Endian::Big).ok_or(short)
    }

    /// A signed 32-bit integer.
    ///
    /// # Errors
    /// Fewer than four bytes are left.
    pub fn i32(&mut self) -> Result<(Range<usize>, i32), XdrError> {
        let short = self.short(4);
        self.cursor.i32(Endian::Big).ok_or(short)
    }

    /// An unsigned 64-bit integer.
    ///
    /// # Errors
    /// Fewer than eight bytes are left.
    pub fn u64(&mut self) -> Result<(Range<usize>, u64), XdrError> {
        let short = self.short(8);
        self.cursor.u64(Endian::Big).ok_or(short)
    }

    /// A signed 64-bit integer.
    ///
    /// # Errors
    /// Fewer than eight bytes are left.
    pub fn i64(&mut self) -> Result<(Range<usize>, i64), XdrError> {
        let short = self.short(8);
        let (span, raw) = self.cursor.array().ok_or(short)?;
        Ok((span, i64::from_be_bytes(raw)))
    }

    /// The flag of an optional value; everything but 0 counts as set.
    ///
    /// # Errors
    /// Fewer than four bytes are left.
    pub fn flag(&mut self) -> Result<(Range<usize>, bool), XdrError> {
        self.u32().map(|(span, flag)| (span, flag != 0))
    }

    /// A fixed number of bytes and their padding.
    ///
    /// # Errors
    /// Fewer are left.
    pub fn fixed(&mut self, len: usize) -> Result<Opaque<'a>, XdrError> {
        let mut ahead = self.cursor.clone();
        let at = ahead.at();
        let needed = len.saturating_add(padding(len));
        let truncated =
            XdrError { at, kind: XdrErrorKind::Truncated { needed, got: self.cursor.remaining() } };
        let (span, bytes) = ahead.take(len).ok_or(truncated)?;
        let (pad_span, _) = ahead.take(padding(len)).ok_or(truncated)?;
        self.cursor = ahead;
        Ok(Opaque { len_span: at..at, span, pad_span, bytes })
    }

    /// Bytes of variable length, at most `limit`.
    ///
    /// # Errors
    /// The length is above the limit, or the bytes or their padding are missing.
    pub fn opaque(&mut self, limit: u32) -> Result<Opaque<'a>, XdrError> {
        let before = self.cursor.clone();
        let (len_span, announced) = self.u32()?;
        let read = if announced > limit {
            Err(XdrError { at: len_span.start, kind: XdrErrorKind::AboveLimit { announced, limit } })
        } else {
            self.fixed(usize::try_from(announced).unwrap_or(usize::MAX))
        };
        match read {
            Ok(opaque) => Ok(Opaque { len_span, ..opaque }),
            Err(error) => {
                self.cursor = before;
                Err(error)
            }
        }
    }

    /// The number of elements of an array, at most `limit`.
    ///
    /// # Errors
    /// The number is above the limit, or fewer than four bytes are left.
    pub fn count(&mut self, limit: u32) -> Result<(Range<usize>, u32), XdrError> {
        let before = self.cursor.clone();
        let (span, announced) = self.u32()?;
        if announced > limit {
            self.cursor = before;
            return Err(XdrError { at: span.start, kind: XdrErrorKind::AboveLimit { announced, limit } });
        }
        Ok((span, announced))
    }

    fn short(&self, needed: usize) -> XdrError {
        let got = self.cursor.remaining();
        XdrError { at: self.cursor.at(), kind: XdrErrorKind::Truncated { needed, got } }
    }
}

/// Writes values one behind the other.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Writer {
    bytes: BytesMut,
}

impl Writer {
    /// Nothing written yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// An unsigned 32-bit integer.
    #[must_use]
    pub fn u32(mut self, value: u32) -> Self {
        self.bytes.put_u32(value);
        self
    }

    /// A signed 32-bit integer.
    #[must_use]
    pub fn i32(mut self, value: i32) -> Self {
        self.bytes.put_i32(value);
        self
    }

    /// An unsigned 64-bit integer.
    #[must_use]
    pub fn u64(mut self, value: u64) -> Self {
        self.bytes.put_u64(value);
        self
    }

    /// A signed 64-bit integer.
    #[must_use]
    pub fn i64(mut self, value: i64) -> Self {
        self.bytes.put_i64(value);
        self
    }

    /// A fixed number of bytes and their padding.
    #[must_use]
    pub fn fixed(mut self, bytes: &[u8]) -> Self {
        self.bytes.put_slice(bytes);
        self.bytes.put_bytes(0, padding(bytes.len()));
        self
    }

    /// Bytes of variable length: length, bytes, padding. What does not fit the length field is cut off.
    #[must_use]
    pub fn opaque(self, bytes: &[u8]) -> Self {
        let len = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        let bytes = bytes.get(..usize::try_from(len).unwrap_or(usize::MAX)).unwrap_or(bytes);
        self.u32(len).fixed(bytes)
    }

    /// The same, if there is a value.
    #[must_use]
    pub fn optional(self, bytes: Option<&[u8]>) -> Self {
        match bytes {
            Some(bytes) => self.u32(1).opaque(bytes),
            None => self.u32(0),
        }
    }

    /// Bytes as they are, without padding.
    #[must_use]
    pub fn raw(mut self, bytes: &[u8]) -> Self {
        self.bytes.put_slice(bytes);
        self
    }

    /// What was written.
    #[must_use]
    pub fn finish(self) -> Bytes {
        self.bytes.freeze()
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a panic fails the test, which is what it is for")]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn writes_lengths_and_padding_as_rfc_4506_has_them() {
        let bytes = Writer::new().opaque(b"eth1x").optional(None).optional(Some(b"ab")).i32(-1).finish();
        assert_eq!(&bytes[..], b"\0\0\0\x05eth1x\0\0\0\0\0\0\0\0\0\0\x01\0\0\0\x02ab\0\0\xff\xff\xff\xff");
    }

    #[test]
    fn refuses_what_is_missing_or_too_long_and_stays_where_it_was() {
        let check = |bytes: &[u8], limit: u32, kind: XdrErrorKind, at: usize| {
            let mut reader = Reader::new(bytes);
            assert_eq!(reader.opaque(limit).map(|o| o.bytes.to_vec()), Err(XdrError { at, kind }));
            assert_eq!(reader.at(), 0);
        };
        check(b"\0\0\0", 9, XdrErrorKind::Truncated { needed: 4, got: 3 }, 0);
        check(b"\0\0\0\x03abc", 9, XdrErrorKind::Truncated { needed: 4, got: 3 }, 4);
        check(b"\0\0\0\x0aabc", 9, XdrErrorKind::AboveLimit { announced: 10, limit: 9 }, 0);
        check(b"\xff\xff\xff\xffabc", 9, XdrErrorKind::AboveLimit { announced: u32::MAX, limit: 9 }, 0);
    }

    #[test]
    fn takes_any_padding_and_any_flag() {
        let mut reader = Reader::new(b"\0\0\0\x02\0\0\0\x01a\xff\xff\xff");
        assert_eq!(reader.flag().unwrap(), (0..4, true));
        let opaque = reader.opaque(4).unwrap();
        assert_eq!(
            (opaque.bytes, opaque.len_span, opaque.span, opaque.pad_span),
            (&b"a"[..], 4..8, 8..9, 9..12)
        );
        assert_eq!(reader.remaining(), 0);
    }

    proptest! {
        #[test]
        fn reads_back_what_was_written(a: u32, b: i32, c: u64, text: Vec<u8>, maybe: Option<Vec<u8>>) {
            let bytes = Writer::new().u32(a).i32(b).u64(c).opaque(&text).optional(maybe.as_deref()).finish();
            prop_assert_eq!(bytes.len() % 4, 0);
            let mut reader = Reader::new(&bytes);
            prop_assert_eq!(reader.u32().unwrap().1, a);
            prop_assert_eq!(reader.i32().unwrap().1, b);
            prop_assert_eq!(reader.u64().unwrap().1, c);
            prop_assert_eq!(reader.opaque(u32::MAX).unwrap().bytes, &text[..]);
            let got = reader.flag().unwrap().1.then(|| reader.opaque(u32::MAX).unwrap().bytes.to_vec());
            prop_assert_eq!(got, maybe);
            prop_assert_eq!(reader.remaining(), 0);
        }
    }
}
