//! A reader over bytes that checks every step and remembers where it is.

use std::ops::Range;

use crate::{Endian, PointerWidth};

/// Reads integers and slices from the front of a byte slice. Every read is checked; a read past the
/// end gives `None` and does not move.
#[derive(Debug, Clone)]
pub struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    /// Starts at the first byte.
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// Offset of the next byte.
    #[must_use]
    pub fn at(&self) -> usize {
        self.at
    }

    /// How many bytes are left.
    #[must_use]
    pub fn remaining(&self) -> usize {
        self.bytes.len().saturating_sub(self.at)
    }

    /// The next `len` bytes and their span.
    pub fn take(&mut self, len: usize) -> Option<(Range<usize>, &'a [u8])> {
        let end = self.at.checked_add(len)?;
        let slice = self.bytes.get(self.at..end)?;
        let span = self.at..end;
        self.at = end;
        Some((span, slice))
    }

    /// Everything that is left and its span.
    pub fn rest(&mut self) -> (Range<usize>, &'a [u8]) {
        let span = self.at..self.bytes.len();
        let slice = self.bytes.get(self.at..).unwrap_or(&[]);
        self.at = self.bytes.len();
        (span, slice)
    }

    /// A fixed number of bytes.
    pub fn array<const N: usize>(&mut self) -> Option<(Range<usize>, [u8; N])> {
        let (span, slice) = self.take(N)?;
        Some((span, slice.try_into().ok()?))
    }

    /// An unsigned 32-bit integer.
    pub fn u32(&mut self, endian: Endian) -> Option<(Range<usize>, u32)> {
        let (span, raw) = self.array()?;
        Some((
            span,
            match endian {
                Endian::Little => u32::from_le_bytes(raw),
                Endian::Big => u32::from_be_bytes(raw),
            },
        ))
    }

    /// A signed 32-bit integer.
    pub fn i32(&mut self, endian: Endian) -> Option<(Range<usize>, i32)> {
        let (span, raw) = self.array()?;
        Some((
            span,
            match endian {
                Endian::Little => i32::from_le_bytes(raw),
                Endian::Big => i32::from_be_bytes(raw),
            },
        ))
    }

    /// An unsigned 64-bit integer.
    pub fn u64(&mut self, endian: Endian) -> Option<(Range<usize>, u64)> {
        let (span, raw) = self.array()?;
        Some((
            span,
            match endian {
                Endian::Little => u64::from_le_bytes(raw),
                Endian::Big => u64::from_be_bytes(raw),
            },
        ))
    }

    /// An unsigned integer as wide as a pointer.
    pub fn word(&mut self, endian: Endian, width: PointerWidth) -> Option<(Range<usize>, u64)> {
        match width {
            PointerWidth::Four => self.u32(endian).map(|(span, v)| (span, u64::from(v))),
            PointerWidth::Eight => self.u64(endian),
        }
    }
}
