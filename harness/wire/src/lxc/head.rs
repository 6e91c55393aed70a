//! The fixed heads of requests and replies.

use zerocopy::byteorder::{BE, ByteOrder, LE};
use zerocopy::{FromBytes, I32, Immutable, IntoBytes, KnownLayout, U32, U64, Unaligned};

use super::Command;
use crate::{Endian, Frame, PointerWidth};

/// How the machine that sends lays out its structures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Layout {
    /// Byte order of all integers.
    pub endian: Endian,
    /// Width of the `data` field, which is a pointer.
    pub width: PointerWidth,
}

/// A head of a 64-bit build.
#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct Head64<O: ByteOrder> {
    first: U32<O>,
    len: I32<O>,
    data: U64<O>,
}

/// A head of a 32-bit build.
#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct Head32<O: ByteOrder> {
    first: U32<O>,
    len: I32<O>,
    data: U32<O>,
}

/// The fields that requests and replies share; the first one is `cmd` or `ret`.
#[derive(Debug, Clone, Copy)]
pub(super) struct RawHead {
    pub(super) first: u32,
    pub(super) len: i32,
    pub(super) data: u64,
}

impl<O: ByteOrder> Head64<O> {
    #[inline]
    fn raw(bytes: &[u8]) -> Option<RawHead> {
        let (head, _) = Self::ref_from_prefix(bytes).ok()?;
        Some(RawHead { first: head.first.get(), len: head.len.get(), data: head.data.get() })
    }

    fn of(raw: RawHead) -> Self {
        Self { first: U32::new(raw.first), len: I32::new(raw.len), data: U64::new(raw.data) }
    }
}

impl<O: ByteOrder> Head32<O> {
    #[inline]
    fn raw(bytes: &[u8]) -> Option<RawHead> {
        let (head, _) = Self::ref_from_prefix(bytes).ok()?;
        Some(RawHead { first: head.first.get(), len: head.len.get(), data: u64::from(head.data.get()) })
    }

    fn of(raw: RawHead) -> Self {
        // The value is at most `u32::MAX` after the mask, so the fallback is never taken.
        let data = u32::try_from(raw.data & u64::from(u32::MAX)).unwrap_or(u32::MAX);
        Self { first: U32::new(raw.first), len: I32::new(raw.len), data: U32::new(data) }
    }
}

impl Layout {
    /// 64-bit little endian, the layout of x86-64 and arm64: heads of 16 bytes.
    pub const LP64_LE: Self = Self { endian: Endian::Little, width: PointerWidth::Eight };
    /// 32-bit little endian: heads of 12 bytes.
    pub const ILP32_LE: Self = Self { endian: Endian::Little, width: PointerWidth::Four };
    /// 64-bit big endian, the layout of s390x: heads of 16 bytes.
    pub const LP64_BE: Self = Self { endian: Endian::Big, width: PointerWidth::Eight };
    /// 32-bit big endian: heads of 12 bytes.
    pub const ILP32_BE: Self = Self { endian: Endian::Big, width: PointerWidth::Four };

    /// Length of a head in bytes: 16 or 12.
    #[must_use]
    pub const fn head_len(self) -> usize {
        8 + self.width.bytes()
    }

    /// Reads a head from the front of `bytes`.
    #[inline]
    pub(super) fn decode(self, bytes: &[u8]) -> Option<RawHead> {
        match (self.width, self.endian) {
            (PointerWidth::Eight, Endian::Little) => Head64::<LE>::raw(bytes),
            (PointerWidth::Eight, Endian::Big) => Head64::<BE>::raw(bytes),
            (PointerWidth::Four, Endian::Little) => Head32::<LE>::raw(bytes),
            (PointerWidth::Four, Endian::Big) => Head32::<BE>::raw(bytes),
        }
    }

    fn encode(self, raw: RawHead, payload: &[u8]) -> Vec<u8> {
        match (self.width, self.endian) {
            (PointerWidth::Eight, Endian::Little) => joined(Head64::<LE>::of(raw).as_bytes(), payload),
            (PointerWidth::Eight, Endian::Big) => joined(Head64::<BE>::of(raw).as_bytes(), payload),
            (PointerWidth::Four, Endian::Little) => joined(Head32::<LE>::of(raw).as_bytes(), payload),
            (PointerWidth::Four, Endian::Big) => joined(Head32::<BE>::of(raw).as_bytes(), payload),
        }
    }
}

fn joined(head: &[u8], payload: &[u8]) -> Vec<u8> {
    [head, payload].concat()
}

/// The head of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RequestHead {
    /// What is asked. Servers compare it unsigned: `0xffffffff` is an unknown command.
    pub cmd: Command,
    /// Length of the payload; zero or less means none.
    pub len: i32,
    /// Without a payload, a small integer argument, sign-extended. With one, an address of the
    /// client that no server looks at.
    pub data: u64,
}

impl RequestHead {
    /// The head that tells the truth about `payload`; `None` if its length does not fit the field.
    #[must_use]
    pub fn of(cmd: Command, data: u64, payload: &[u8]) -> Option<Self> {
        Some(Self { cmd, len: i32::try_from(payload.len()).ok()?, data })
    }

    /// Reads a head from the front of `bytes`; `None` if they are too few.
    #[must_use]
    pub fn decode(layout: Layout, bytes: &[u8]) -> Option<Self> {
        let raw = layout.decode(bytes)?;
        Some(Self { cmd: Command(raw.first), len: raw.len, data: raw.data })
    }

    /// Reads the head of a frame that is a request.
    #[must_use]
    pub fn of_frame(layout: Layout, frame: &Frame) -> Option<Self> {
        if frame.kind == super::REQUEST { Self::decode(layout, &frame.bytes) } else { None }
    }

    /// The head alone. A 32-bit layout keeps the low half of `data`, as a C cast does.
    #[must_use]
    pub fn encode(self, layout: Layout) -> Vec<u8> {
        self.encode_with(layout, &[])
    }

    /// The head with `payload` behind it. `len` goes out as it is, also when it is a lie.
    #[must_use]
    pub fn encode_with(self, layout: Layout, payload: &[u8]) -> Vec<u8> {
        layout.encode(RawHead { first: self.cmd.0, len: self.len, data: self.data }, payload)
    }
}

/// The head of a reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ResponseHead {
    /// Zero or a negative errno; a few commands answer other numbers.
    pub ret: i32,
    /// Length of the payload; zero or less means none.
    pub len: i32,
    /// Without a payload, the integer answer. With one, an address of the server.
    pub data: u64,
}

impl ResponseHead {
    /// The head that tells the truth about `payload`; `None` if its length does not fit the field.
    #[must_use]
    pub fn of(ret: i32, data: u64, payload: &[u8]) -> Option<Self> {
        Some(Self { ret, len: i32::try_from(payload.len()).ok()?, data })
    }

    /// Reads a head from the front of `bytes`; `None` if they are too few.
    #[must_use]
    pub fn decode(layout: Layout, bytes: &[u8]) -> Option<Self> {
        let raw = layout.decode(bytes)?;
        Some(Self { ret: raw.first.cast_signed(), len: raw.len, data: raw.data })
    }

    /// Reads the head of a frame that is a reply.
    #[must_use]
    pub fn of_frame(layout: Layout, frame: &Frame) -> Option<Self> {
        if frame.kind == super::RESPONSE { Self::decode(layout, &frame.bytes) } else { None }
    }

    /// The head alone. A 32-bit layout keeps the low half of `data`, as a C cast does.
    #[must_use]
    pub fn encode(self, layout: Layout) -> Vec<u8> {
        self.encode_with(layout, &[])
    }

    /// The head with `payload` behind it. `len` goes out as it is, also when it is a lie.
    #[must_use]
    pub fn encode_with(self, layout: Layout, payload: &[u8]) -> Vec<u8> {
        layout.encode(RawHead { first: self.ret.cast_unsigned(), len: self.len, data: self.data }, payload)
    }
}
