//! Messages field by field, as the caller wants them: nothing is left out because it is a default, and any order,
//! repetition and number can be written.

use bytes::{BufMut, Bytes, BytesMut};

use super::walk::{FieldAt, FieldValue};
use super::{WireType, zigzag};

/// Writes fields one behind the other.
#[derive(Debug, Clone, Default)]
pub struct Writer {
    bytes: BytesMut,
}

impl Writer {
    /// Nothing written yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A varint alone.
    #[must_use]
    pub fn varint(mut self, mut value: u64) -> Self {
        while value >= 0x80 {
            // The low seven bits fit.
            self.bytes.put_u8(value.to_le_bytes()[0] | 0x80);
            value >>= 7;
        }
        self.bytes.put_u8(value.to_le_bytes()[0]);
        self
    }

    /// A tag alone, right or not.
    #[must_use]
    pub fn tag(self, number: u32, wire_type: WireType) -> Self {
        self.varint(u64::from(number) << 3 | u64::from(wire_type.0 & 7))
    }

    /// An unsigned number: `uint32` and `uint64`.
    #[must_use]
    pub fn uint(self, number: u32, value: u64) -> Self {
        self.tag(number, WireType::VARINT).varint(value)
    }

    /// A signed number: `int32`, `int64` and enums. A negative one has ten bytes.
    #[must_use]
    pub fn int(self, number: u32, value: i64) -> Self {
        self.uint(number, value.cast_unsigned())
    }

    /// A signed number: `sint32` and `sint64`.
    #[must_use]
    pub fn sint(self, number: u32, value: i64) -> Self {
        self.uint(number, zigzag(value))
    }

    /// A `bool`.
    #[must_use]
    pub fn bool(self, number: u32, value: bool) -> Self {
        self.uint(number, value.into())
    }

    /// Four bytes: `fixed32`, and with the bits of another type `sfixed32` and `float`.
    #[must_use]
    pub fn fixed32(self, number: u32, value: u32) -> Self {
        self.tag(number, WireType::FIXED32).raw(&value.to_le_bytes())
    }

    /// Eight bytes: `fixed64`, and with the bits of another type `sfixed64` and `double`.
    #[must_use]
    pub fn fixed64(self, number: u32, value: u64) -> Self {
        self.tag(number, WireType::FIXED64).raw(&value.to_le_bytes())
    }

    /// A `string`.
    #[must_use]
    pub fn text(self, number: u32, value: &str) -> Self {
        self.bytes(number, value.as_bytes())
    }

    /// `bytes`, a message that is written already, or packed numbers.
    #[must_use]
    pub fn bytes(self, number: u32, value: &[u8]) -> Self {
        self.tag(number, WireType::LEN).varint(crate::stream::as_u64(value.len())).raw(value)
    }

    /// A message.
    #[must_use]
    pub fn message(self, number: u32, value: Self) -> Self {
        self.bytes(number, &value.bytes)
    }

    /// An entry of a map from text to text.
    #[must_use]
    pub fn entry(self, number: u32, key: &str, value: &str) -> Self {
        self.message(number, Self::new().text(1, key).text(2, value))
    }

    /// A group of fields.
    #[must_use]
    pub fn group(self, number: u32, fields: Self) -> Self {
        self.tag(number, WireType::GROUP_START).raw(&fields.bytes).tag(number, WireType::GROUP_END)
    }

    /// A field of a walk over `bytes`, as short as it can be. Of a group it is the start or the end.
    #[must_use]
    pub fn field(self, field: &FieldAt, bytes: &[u8]) -> Self {
        let number = field.number;
        match &field.value {
            FieldValue::Varint(value) => self.uint(number, *value),
            FieldValue::Fixed64(value) => self.fixed64(number, *value),
            FieldValue::Fixed32(value) => self.fixed32(number, *value),
            FieldValue::Len(span) => self.bytes(number, bytes.get(span.clone()).unwrap_or_default()),
            FieldValue::GroupStart | FieldValue::GroupEnd => self.tag(number, field.value.wire_type()),
        }
    }

    /// Bytes as they are.
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
