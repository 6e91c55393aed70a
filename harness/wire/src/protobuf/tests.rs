//! The walk and its errors, the writer, the schema and the dissection by tables; against `prost` and over arbitrary
//! bytes in [`properties`], with messages of real builds in [`golden`].

mod descriptors;
mod dissection;
mod foreign;
mod golden;
mod properties;
mod text;
mod walk;

use super::*;

/// Bytes written as hexadecimal digits with spaces.
#[track_caller]
fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<_> = text.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
    assert!(digits.len().is_multiple_of(2), "{text}");
    let pairs = digits.chunks(2).map(|pair| std::str::from_utf8(pair).expect("ascii"));
    pairs.map(|pair| u8::from_str_radix(pair, 16).expect("two digits")).collect()
}

#[track_caller]
fn schema(text: &str) -> Schema {
    Schema::parse(&[Source { name: "test.proto", text }]).unwrap_or_else(|error| panic!("{error}"))
}
