//! Payloads read by their layouts.

use std::borrow::Cow;
use std::ops::Range;

use wire::Value;
use wire::xdr::{Opaque, XdrError};

use super::Dissector;
use super::layouts::{Kind, Order, Part};
use crate::names::{self, typed_parameter as types};

/// Why a payload cannot be read further.
enum Stop {
    /// It ends too early, or announces too much.
    Xdr(XdrError),
    /// A typed parameter has a type that nobody knows: where, which.
    UnknownType(Range<usize>, i32),
}

impl From<XdrError> for Stop {
    fn from(error: XdrError) -> Self {
        Self::Xdr(error)
    }
}

impl Dissector<'_> {
    /// Reads the rest of the message. Where it does not follow the layout, what is left is unknown.
    pub(super) fn by_layout(&mut self, parts: &[Part]) {
        match self.parts("", parts) {
            Ok(()) => self.trailing(),
            Err(Stop::Xdr(error)) => {
                let end = self.bytes.len();
                self.problem(error.at.min(end)..end, format!("does not follow the layout: {error}"));
                self.unknown();
            }
            Err(Stop::UnknownType(span, kind)) => {
                self.problem(span, format!("parameter of unknown type {kind}"));
                self.unknown();
            }
        }
    }

    fn parts(&mut self, prefix: &str, parts: &[Part]) -> Result<(), Stop> {
        parts.iter().try_for_each(|part| self.part(joined(prefix, part.name), part))
    }

    fn part(&mut self, name: Cow<'static, str>, part: &Part) -> Result<(), Stop> {
        let label = |value: i64| part.label.and_then(|table| names::name(table, value)).map(Cow::Borrowed);
        match &part.kind {
            Kind::Int => {
                let (span, value) = self.reader.i32()?;
                self.push(name, span, Value::Int(value.into()), label(value.into()));
            }
            Kind::Uint => {
                let (span, value) = self.reader.u32()?;
                self.push(name, span, Value::Uint(value.into()), label(value.into()));
            }
            Kind::Flags => {
                let (span, value) = self.reader.u32()?;
                self.push(name, span, Value::Hex(value.into()), None);
            }
            Kind::Hyper => {
                let (span, value) = self.reader.i64()?;
                self.push(name, span, Value::Int(value), label(value));
            }
            Kind::UnsignedHyper => {
                let (span, value) = self.reader.u64()?;
                self.push(name, span, Value::Uint(value), None);
            }
            Kind::Text => self.text(name)?,
            Kind::OptionalText => self.optional_text(name)?,
            Kind::Uuid => {
                let opaque = self.reader.fixed(16)?;
                self.push(name, opaque.span, Value::Text(uuid(opaque.bytes)), None);
            }
            Kind::Chars(count) => self.chars(name, *count)?,
            Kind::CharList(bound) => {
                let (span, count) = self.reader.count(bound.of(&self.dialect.limits))?;
                self.push(format!("{name}.count"), span, Value::Uint(count.into()), None);
                self.chars(name, count)?;
            }
            Kind::Opaque(bound) => {
                let start = self.reader.at();
                let opaque = self.reader.opaque(bound.of(&self.dialect.limits))?;
                self.push(name, start..opaque.pad_span.end, Value::Bytes, None);
            }
            // Group, optional, list and parameters mask their own fields.
            Kind::Group(parts) => return self.parts(&name, parts),
            Kind::Optional(parts) => return self.optional(name, parts),
            Kind::List(bound, order, item) => {
                return self.list(&name, bound.of(&self.dialect.limits), *order, item);
            }
            Kind::Parameters(bound) => return self.parameters(&name, bound.of(&self.dialect.limits)),
            Kind::Rest => {
                let (span, rest) = self.reader.rest();
                if rest.is_empty() {
                    return Ok(());
                }
                self.push(name, span, Value::Bytes, None);
            }
        }
        self.mask(part.mask);
        Ok(())
    }

    fn text(&mut self, name: Cow<'static, str>) -> Result<(), Stop> {
        let start = self.reader.at();
        self.text_from(name, start)
    }

    /// A text whose field begins at `start`, with a flag perhaps.
    fn text_from(&mut self, name: Cow<'static, str>, start: usize) -> Result<(), Stop> {
        let opaque = self.reader.opaque(self.dialect.limits.string)?;
        self.text_field(name, start, &opaque);
        self.padding(&opaque);
        Ok(())
    }

    fn optional_text(&mut self, name: Cow<'static, str>) -> Result<(), Stop> {
        let before = self.reader.clone();
        let (span, flag) = self.reader.u32()?;
        if flag == 0 {
            self.push(name, span, Value::Bytes, Some(Cow::Borrowed("absent")));
            return Ok(());
        }
        self.odd_flag(span.clone(), flag);
        let read = self.text_from(name, span.start);
        if read.is_err() {
            self.reader = before;
        }
        read
    }

    fn optional(&mut self, name: Cow<'static, str>, parts: &[Part]) -> Result<(), Stop> {
        let (span, flag) = self.reader.u32()?;
        if flag == 0 {
            self.push(name, span, Value::Bytes, Some(Cow::Borrowed("absent")));
            return Ok(());
        }
        self.odd_flag(span.clone(), flag);
        // Any flag that is not 0 means the same.
        self.push(format!("{name}.present"), span, Value::Uint(1), None);
        self.parts(&name, parts)
    }

    fn odd_flag(&mut self, span: Range<usize>, flag: u32) {
        if flag != 1 {
            self.problem(span, format!("flag {flag}, which counts as 1"));
        }
    }

    fn padding(&mut self, opaque: &Opaque<'_>) {
        let padding = self.bytes.get(opaque.pad_span.clone()).unwrap_or(&[]);
        if padding.iter().any(|byte| *byte != 0) {
            self.problem(opaque.pad_span.clone(), "padding that is not zero");
        }
    }

    fn list(&mut self, name: &str, limit: u32, order: Order, item: &[Part]) -> Result<(), Stop> {
        let (span, count) = self.reader.count(limit)?;
        self.push(format!("{name}.count"), span, Value::Uint(count.into()), None);
        if order == Order::Any && count > 1 {
            self.out.policies.any_order(name);
        }
        for at in 0..count {
            self.parts(&format!("{name}.{at}"), item)?;
        }
        Ok(())
    }

    fn parameters(&mut self, name: &str, limit: u32) -> Result<(), Stop> {
        let (span, count) = self.reader.count(limit)?;
        self.push(format!("{name}.count"), span, Value::Uint(count.into()), None);
        for at in 0..count {
            self.text(Cow::Owned(format!("{name}.{at}.field")))?;
            let (span, kind) = self.reader.i32()?;
            let label = names::name("typed_parameter", kind.into()).map(Cow::Borrowed);
            self.push(format!("{name}.{at}.type"), span.clone(), Value::Int(kind.into()), label);
            let value = Cow::Owned(format!("{name}.{at}.value"));
            let kind = match kind {
                types::INT | types::BOOLEAN => Kind::Int,
                types::UINT => Kind::Uint,
                types::LLONG => Kind::Hyper,
                types::ULLONG => Kind::UnsignedHyper,
                types::STRING => Kind::Text,
                // The bits of an IEEE 754 number.
                types::DOUBLE => {
                    let (span, bits) = self.reader.u64()?;
                    let label = Cow::Owned(f64::from_bits(bits).to_string());
                    self.push(value, span, Value::Hex(bits), Some(label));
                    continue;
                }
                _ => return Err(Stop::UnknownType(span, kind)),
            };
            self.part(value, &Part { name: "", kind, label: None, mask: None })?;
        }
        Ok(())
    }

    /// Characters, each in the last of four bytes, up to the first NUL.
    fn chars(&mut self, name: Cow<'static, str>, count: u32) -> Result<(), Stop> {
        let len = usize::try_from(count).unwrap_or(usize::MAX).saturating_mul(4);
        let opaque = self.reader.fixed(len)?;
        let text: Vec<u8> =
            opaque.bytes.chunks_exact(4).map(|word| word[3]).take_while(|byte| *byte != 0).collect();
        let text = match String::from_utf8(text) {
            Ok(text) => text,
            Err(error) => error.as_bytes().escape_ascii().to_string(),
        };
        self.push(name, opaque.span, Value::Text(text), None);
        Ok(())
    }
}

/// `iface` and `name` make `iface.name`; an element without a name of its own is called as its list.
fn joined(prefix: &str, name: &'static str) -> Cow<'static, str> {
    match (prefix, name) {
        ("", name) => Cow::Borrowed(name),
        (prefix, "") => Cow::Owned(prefix.to_owned()),
        (prefix, name) => Cow::Owned(format!("{prefix}.{name}")),
    }
}

/// A uuid in its usual form.
fn uuid(bytes: &[u8]) -> String {
    let hex = |range: Range<usize>| -> String {
        bytes.get(range).unwrap_or(&[]).iter().map(|byte| format!("{byte:02x}")).collect()
    };
    [hex(0..4), hex(4..6), hex(6..8), hex(8..10), hex(10..16)].join("-")
}
