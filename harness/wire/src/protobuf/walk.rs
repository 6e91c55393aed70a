//! The walk: one field after the other, as they stand.

use std::fmt;
use std::ops::Range;

use super::{LEN_MAX, NUMBER_MAX, VARINT_LEN_MAX, WireType};
use crate::stream::as_u64;

/// The most groups that are open at once. Parsers stop at 100, or never.
pub const GROUP_DEPTH_MAX: usize = 256;

/// One field and where it stands. Offsets count from the first byte that the walk was given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldAt {
    /// Which field.
    pub number: u32,
    /// Tag and value; of a group the tag alone.
    pub span: Range<usize>,
    /// What it holds.
    pub value: FieldValue,
}

/// What a field holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FieldValue {
    /// A varint.
    Varint(u64),
    /// Eight bytes.
    Fixed64(u64),
    /// Where so many bytes lie as were announced.
    Len(Range<usize>),
    /// The start of a group. Its fields follow, and then its end.
    GroupStart,
    /// The end of the innermost group.
    GroupEnd,
    /// Four bytes.
    Fixed32(u32),
}

impl FieldValue {
    /// The form that it has on the wire.
    #[must_use]
    pub const fn wire_type(&self) -> WireType {
        match self {
            Self::Varint(_) => WireType::VARINT,
            Self::Fixed64(_) => WireType::FIXED64,
            Self::Len(_) => WireType::LEN,
            Self::GroupStart => WireType::GROUP_START,
            Self::GroupEnd => WireType::GROUP_END,
            Self::Fixed32(_) => WireType::FIXED32,
        }
    }
}

/// Why a walk cannot go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WalkError {
    /// Where the wrong tag, varint or value begins; of a group without an end, where that was due.
    pub at: usize,
    /// What is wrong.
    pub kind: WalkErrorKind,
}

/// The kinds of [`WalkError`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WalkErrorKind {
    /// The bytes end before the value does.
    Truncated {
        /// Bytes that it needs, as far as they say.
        needed: u64,
        /// Bytes that are left.
        got: u64,
    },
    /// A varint of more than ten bytes, or of more than 64 bits.
    Varint,
    /// A length is above [`LEN_MAX`].
    AboveLimit {
        /// The announced one.
        announced: u64,
        /// The limit.
        limit: u64,
    },
    /// A field number that none can have.
    Number(u64),
    /// A wire type that is none.
    WireType(u8),
    /// A group ends where none is open.
    LoneEnd(u32),
    /// Another group ends than the one that is open.
    OtherEnd {
        /// The innermost group that is open.
        open: u32,
        /// The one that ends.
        ends: u32,
    },
    /// A group does not end.
    NoEnd(u32),
    /// More groups are open than [`GROUP_DEPTH_MAX`].
    TooDeep,
}

impl fmt::Display for WalkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            WalkErrorKind::Truncated { needed, got } => write!(f, "needs {needed} bytes, {got} are left")?,
            WalkErrorKind::Varint => f.write_str("varint of more than 64 bits")?,
            WalkErrorKind::AboveLimit { announced, limit } => {
                write!(f, "announces {announced} bytes, limit is {limit}")?;
            }
            WalkErrorKind::Number(number) => write!(f, "field number {number}")?,
            WalkErrorKind::WireType(wire_type) => write!(f, "wire type {wire_type}")?,
            WalkErrorKind::LoneEnd(number) => write!(f, "group {number} ends and is not open")?,
            WalkErrorKind::OtherEnd { open, ends } => write!(f, "group {ends} ends within group {open}")?,
            WalkErrorKind::NoEnd(number) => write!(f, "group {number} does not end")?,
            WalkErrorKind::TooDeep => write!(f, "more than {GROUP_DEPTH_MAX} groups are open")?,
        }
        write!(f, " (offset {})", self.at)
    }
}

impl std::error::Error for WalkError {}

/// The fields of one message, in order. An error is the last item; what was walked through in front of it is right,
/// and where that ends is said by [`Walk::at`]. Nothing is allocated.
///
/// A group is looked through as a whole where it begins, so that it is wrong as a whole, too.
#[derive(Debug, Clone)]
pub struct Walk<'a> {
    /// Up to the end of the message.
    bytes: &'a [u8],
    at: usize,
    /// How many groups are open.
    depth: usize,
    failed: bool,
}

impl<'a> Walk<'a> {
    /// A walk over all of `bytes`.
    #[must_use]
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0, depth: 0, failed: false }
    }

    /// A walk over a part of `bytes`, such as the [`FieldValue::Len`] of another walk. Offsets count from the first
    /// of `bytes`. A part that is not there is empty.
    #[must_use]
    pub fn within(bytes: &'a [u8], part: Range<usize>) -> Self {
        let bytes = bytes.get(..part.end).unwrap_or(bytes);
        Self { at: part.start.min(bytes.len()), ..Self::new(bytes) }
    }

    /// Offset of the first byte that was not walked through.
    #[must_use]
    pub const fn at(&self) -> usize {
        self.at
    }

    /// Offset of the end of the message.
    #[must_use]
    pub const fn end(&self) -> usize {
        self.bytes.len()
    }

    /// Passes over what is left of the innermost group; the offset behind its end. Without an open group it stays
    /// where it is.
    pub fn leave_group(&mut self) -> usize {
        if let Some(outside) = self.depth.checked_sub(1) {
            while self.depth > outside && self.next().is_some() {}
        }
        self.at
    }

    /// Counts the groups that are open behind the field. The outermost one is looked through.
    #[cold]
    fn group(&mut self, field: &FieldAt) -> Result<(), WalkError> {
        let FieldAt { number, span, .. } = field;
        match (&field.value, self.depth.checked_sub(1)) {
            (FieldValue::GroupEnd, Some(outside)) => self.depth = outside,
            (FieldValue::GroupEnd, None) => {
                return Err(WalkError { at: span.start, kind: WalkErrorKind::LoneEnd(*number) });
            }
            (_, Some(_)) => self.depth = self.depth.saturating_add(1),
            (_, None) => {
                whole_group(self.bytes, span.end, *number)?;
                self.depth = 1;
            }
        }
        Ok(())
    }
}

impl Iterator for Walk<'_> {
    type Item = Result<FieldAt, WalkError>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if self.at >= self.bytes.len() || self.failed {
            return None;
        }
        let found = field(self.bytes, self.at).and_then(|field| {
            if matches!(field.value, FieldValue::GroupStart | FieldValue::GroupEnd) {
                self.group(&field)?;
            }
            Ok(field)
        });
        match &found {
            Ok(field) => self.at = field.span.end,
            Err(_) => self.failed = true,
        }
        Some(found)
    }
}

impl std::iter::FusedIterator for Walk<'_> {}

/// Walks through a group of that number, from behind its start up to its end.
fn whole_group(bytes: &[u8], mut at: usize, number: u32) -> Result<(), WalkError> {
    // The groups around the innermost one.
    let mut around = [0; GROUP_DEPTH_MAX - 1];
    let (mut depth, mut innermost) = (0_usize, number);
    while at < bytes.len() {
        let FieldAt { number, span, value } = field(bytes, at)?;
        let fault = |kind| Err(WalkError { at: span.start, kind });
        at = span.end;
        match value {
            FieldValue::GroupStart => {
                let Some(slot) = around.get_mut(depth) else { return fault(WalkErrorKind::TooDeep) };
                *slot = innermost;
                (depth, innermost) = (depth.saturating_add(1), number);
            }
            FieldValue::GroupEnd if number != innermost => {
                return fault(WalkErrorKind::OtherEnd { open: innermost, ends: number });
            }
            FieldValue::GroupEnd => {
                let Some(outside) = depth.checked_sub(1) else { return Ok(()) };
                (depth, innermost) = (outside, around.get(outside).copied().unwrap_or(innermost));
            }
            _ => {}
        }
    }
    Err(WalkError { at, kind: WalkErrorKind::NoEnd(innermost) })
}

/// The field that begins there.
#[inline]
fn field(bytes: &[u8], at: usize) -> Result<FieldAt, WalkError> {
    let (tag, behind) = varint(bytes, at)?;
    let number = match u32::try_from(tag >> 3) {
        Ok(number @ 1..=NUMBER_MAX) => number,
        _ => return Err(WalkError { at, kind: WalkErrorKind::Number(tag >> 3) }),
    };
    let (value, end) = match tag & 7 {
        0 => {
            let (value, end) = varint(bytes, behind)?;
            (FieldValue::Varint(value), end)
        }
        1 => {
            let (value, end) = fixed(bytes, behind)?;
            (FieldValue::Fixed64(u64::from_le_bytes(value)), end)
        }
        2 => {
            let (len, begin) = varint(bytes, behind)?;
            let end = end_of(bytes, begin, len)?;
            (FieldValue::Len(begin..end), end)
        }
        3 => (FieldValue::GroupStart, behind),
        4 => (FieldValue::GroupEnd, behind),
        5 => {
            let (value, end) = fixed(bytes, behind)?;
            (FieldValue::Fixed32(u32::from_le_bytes(value)), end)
        }
        wire_type => {
            let wire_type = if wire_type == 6 { 6 } else { 7 };
            return Err(WalkError { at, kind: WalkErrorKind::WireType(wire_type) });
        }
    };
    Ok(FieldAt { number, span: at..end, value })
}

/// The varint that begins there, and where it ends.
#[inline]
pub(super) fn varint(bytes: &[u8], at: usize) -> Result<(u64, usize), WalkError> {
    match bytes.get(at) {
        Some(byte) if *byte < 0x80 => Ok((u64::from(*byte), at.saturating_add(1))),
        _ => long_varint(bytes, at),
    }
}

fn long_varint(bytes: &[u8], at: usize) -> Result<(u64, usize), WalkError> {
    let rest = bytes.get(at..).unwrap_or_default();
    let mut value = 0_u64;
    for (index, byte) in (0_u32..).zip(rest.iter().take(VARINT_LEN_MAX)) {
        // The tenth byte holds the last bit.
        if index == 9 && *byte > 1 {
            return Err(WalkError { at, kind: WalkErrorKind::Varint });
        }
        value |= u64::from(byte & 0x7f) << index.saturating_mul(7);
        if *byte < 0x80 {
            let len = usize::try_from(index).unwrap_or(VARINT_LEN_MAX).saturating_add(1);
            return Ok((value, at.saturating_add(len)));
        }
    }
    let got = as_u64(rest.len());
    Err(WalkError { at, kind: WalkErrorKind::Truncated { needed: got.saturating_add(1), got } })
}

#[inline]
pub(super) fn fixed<const N: usize>(bytes: &[u8], at: usize) -> Result<([u8; N], usize), WalkError> {
    let rest = bytes.get(at..).unwrap_or_default();
    match rest.first_chunk() {
        Some(value) => Ok((*value, at.saturating_add(N))),
        None => Err(short(at, as_u64(N), rest.len())),
    }
}

/// Where so many bytes end.
#[inline]
fn end_of(bytes: &[u8], begin: usize, len: u64) -> Result<usize, WalkError> {
    let end = usize::try_from(len).ok().and_then(|len| begin.checked_add(len));
    match end {
        Some(end) if end <= bytes.len() && len <= LEN_MAX => Ok(end),
        _ if len > LEN_MAX => {
            let kind = WalkErrorKind::AboveLimit { announced: len, limit: LEN_MAX };
            Err(WalkError { at: begin, kind })
        }
        _ => Err(short(begin, len, bytes.len().saturating_sub(begin))),
    }
}

#[cold]
fn short(at: usize, needed: u64, got: usize) -> WalkError {
    WalkError { at, kind: WalkErrorKind::Truncated { needed, got: as_u64(got) } }
}
