//! JSON as qemu-ga prints it: in ASCII, with a space behind each comma and colon.

use std::fmt::Write as _;

use wire::json::{Document, Rules, write_text_upper};

use crate::dialect::Numbers;

/// Writes a value anew that a client sent. It was parsed before, so its tokens follow each other as they must; they are
/// gone through one by one, however deep they lie.
pub(super) fn write_value(out: &mut String, value: &[u8], numbers: Numbers) {
    let mut rest = value;
    while let Some(byte) = rest.first() {
        let len = match byte {
            b'"' | b'\'' => text_len(rest, *byte),
            b'{' | b'}' | b'[' | b']' | b',' | b':' | b' ' | b'\t' | b'\r' | b'\n' => 1,
            _ => rest.iter().position(|byte| b"]},: \t\r\n".contains(byte)).unwrap_or(rest.len()),
        };
        let (token, behind) = rest.split_at(len.clamp(1, rest.len()));
        rest = behind;
        match token {
            [b' ' | b'\t' | b'\r' | b'\n'] => {}
            [b','] => out.push_str(", "),
            [b':'] => out.push_str(": "),
            [b'"' | b'\'', ..] => write_text_upper(out, &meaning(token)),
            [b'-' | b'0'..=b'9', ..] => write_number(out, &String::from_utf8_lossy(token), numbers),
            _ => out.push_str(&String::from_utf8_lossy(token)),
        }
    }
}

/// What a string says.
fn meaning(token: &[u8]) -> String {
    let document = Document::parse(token, Rules::QEMU).ok();
    let text = document.as_ref().and_then(|document| document.root().text());
    text.unwrap_or_default().into_owned()
}

/// How long the string at the front is, with its quotes.
fn text_len(bytes: &[u8], quote: u8) -> usize {
    let mut escaped = false;
    let end = bytes.iter().skip(1).position(|byte| {
        let ends = *byte == quote && !escaped;
        escaped = *byte == b'\\' && !escaped;
        ends
    });
    end.map_or(bytes.len(), |at| at + 2)
}

/// Writes a number as a release writes it that parsed these digits.
fn write_number(out: &mut String, digits: &str, numbers: Numbers) {
    let integer = !digits.contains(['.', 'e', 'E']);
    // Writing to a string cannot fail.
    let _ = match (digits.parse::<i64>(), digits.parse::<u64>(), digits.parse::<f64>()) {
        _ if numbers == Numbers::AsSent => write!(out, "{digits}"),
        (Ok(number), _, _) if integer => write!(out, "{number}"),
        (_, Ok(number), _) if integer => write!(out, "{number}"),
        (_, _, Ok(number)) => write!(out, "{}", float(number, numbers)),
        _ => write!(out, "{digits}"),
    };
}

/// A floating-point number in the digits of a release.
fn float(number: f64, numbers: Numbers) -> String {
    if number.is_infinite() {
        return if number > 0.0 { "inf" } else { "-inf" }.to_owned();
    }
    match numbers {
        Numbers::SixPlaces => without_zeros(&format!("{number:.6}")),
        _ => seventeen_digits(number),
    }
}

/// `%.17g` of C.
fn seventeen_digits(number: f64) -> String {
    let scientific = format!("{number:.16e}");
    let Some((mantissa, exponent)) = scientific.split_once('e') else { return scientific };
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if (-4..17).contains(&exponent) {
        let places = usize::try_from(16 - exponent).unwrap_or(0);
        return without_zeros(&format!("{number:.places$}"));
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{}e{sign}{:02}", without_zeros(mantissa), exponent.unsigned_abs())
}

fn without_zeros(digits: &str) -> String {
    let significant = digits.trim_end_matches('0').trim_end_matches('.');
    if digits.contains('.') { significant } else { digits }.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(value: &str, numbers: Numbers, expect: &str) {
        let mut out = String::new();
        write_value(&mut out, value.as_bytes(), numbers);
        assert_eq!(out, expect, "{value}");
    }

    /// Measured on the four releases.
    #[test]
    fn prints_numbers_as_the_releases_do() {
        for (value, old, new) in [
            ("0.1", "0.1", "0.10000000000000001"),
            ("1e-7", "0", "9.9999999999999995e-08"),
            ("3.14159265358979", "3.141593", "3.14159265358979"),
            ("18446744073709551616", "18446744073709551616", "1.8446744073709552e+19"),
            ("18446744073709551615", "18446744073709551615", "18446744073709551615"),
            ("-9223372036854775809", "-9223372036854775808", "-9.2233720368547758e+18"),
            ("123456789012345680.5", "123456789012345680", "1.2345678901234568e+17"),
            ("1e16", "10000000000000000", "10000000000000000"),
            ("1e22", "10000000000000000000000", "1e+22"),
            ("-0", "0", "0"),
            ("-0.0", "-0", "-0"),
            ("1.0", "1", "1"),
            ("1e999", "inf", "inf"),
            ("-1e999", "-inf", "-inf"),
        ] {
            check(value, Numbers::SixPlaces, old);
            check(value, Numbers::SeventeenDigits, new);
            check(value, Numbers::AsSent, value);
        }
    }

    #[test]
    fn prints_values_as_they_were_recorded() {
        let as_recorded = |value, expect| check(value, Numbers::SeventeenDigits, expect);
        as_recorded("{\"a\":[1,null,true]}", "{\"a\": [1, null, true]}");
        as_recorded("\"\u{1f600}\"", "\"\\uD83D\\uDE00\"");
        as_recorded("'\\''", "\"'\"");
        as_recorded("\"\\/\\b\\f\\n\\r\\t\\\"\\\\\"", "\"/\\b\\f\\n\\r\\t\\\"\\\\\"");
        as_recorded("[ ]", "[]");
    }
}
