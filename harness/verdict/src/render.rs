//! Fields as text, the same in findings, `show` and reports.

use wire::{Field, Value};

/// Most bytes of a value without a known meaning that are shown.
const BYTES_SHOWN_MAX: usize = 24;

/// One field as `name = value (label)`.
#[must_use]
pub fn field(field: &Field, frame: &[u8]) -> String {
    let mut text = format!("{} = {}", field.name, value(field, frame));
    if let Some(label) = &field.label {
        text.push_str(&format!(" ({label})"));
    }
    text
}

/// The value of a field; control characters are escaped.
#[must_use]
pub fn value(field: &Field, frame: &[u8]) -> String {
    match &field.value {
        Value::Uint(v) => v.to_string(),
        Value::Int(v) => v.to_string(),
        Value::Hex(v) => format!("{v:#x}"),
        Value::Text(text) => format!("{text:?}"),
        Value::Float(bits) => f64::from_bits(*bits).to_string(),
        Value::Bool(value) => value.to_string(),
        Value::Null => "null".to_owned(),
        Value::Empty => "nothing".to_owned(),
        Value::Bytes | Value::Unread => {
            let bytes = frame.get(field.span.clone()).unwrap_or(&[]);
            if bytes.iter().all(|byte| *byte == 0) {
                return format!("{} zero bytes", bytes.len());
            }
            let shown = bytes.get(..BYTES_SHOWN_MAX.min(bytes.len())).unwrap_or(&[]);
            let more = if bytes.len() > BYTES_SHOWN_MAX { "…" } else { "" };
            format!("{}{more} ({} bytes)", crate::checks::hex(shown), bytes.len())
        }
    }
}
