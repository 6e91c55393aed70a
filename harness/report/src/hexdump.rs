//! A frame in hexadecimal with its wrong bytes underlined.
//!
//! ```text
//! 0000  daffffff 00000000 00000000 00000000  |................|
//!       ^^^^^^^^
//! ```
//!
//! Groups of four bytes, since most fields of the framings here are words of four.

use std::ops::Range;

use verdict::FrameRef;

use crate::{Paint, Text};

const LINE: usize = 16;
const GROUP: usize = 4;

/// The lines of a dump, and whether bytes were cut off behind it.
pub(crate) fn lines(frame: &FrameRef) -> Vec<Text> {
    let (bytes, cut) = match parse(&frame.hex) {
        Some(parsed) => parsed,
        None => return vec![Text::new(Paint::Dim, "not hexadecimal: ").with(Paint::Plain, &frame.hex)],
    };
    let mut lines = Vec::new();
    for (n, chunk) in bytes.chunks(LINE).enumerate() {
        let offset = n * LINE;
        lines.push(dump_line(offset, chunk, frame.span.as_ref()));
        lines.extend(underline(offset, chunk.len(), frame.span.as_ref()));
    }
    if bytes.is_empty() {
        lines.push(Text::new(Paint::Dim, "no bytes"));
    }
    if cut {
        lines.push(Text::new(Paint::Dim, "… more bytes follow"));
    }
    if let Some(span) = frame.span.as_ref().filter(|s| s.start < s.end && s.end > bytes.len()) {
        let text = format!("bytes {}..{} are not shown", span.start.max(bytes.len()), span.end);
        lines.push(Text::new(Paint::Dim, &text));
    }
    lines
}

/// Bytes, and whether the text was cut with `…`. Spaces between bytes are allowed.
fn parse(hex: &str) -> Option<(Vec<u8>, bool)> {
    let (hex, cut) = match hex.strip_suffix('…') {
        Some(hex) => (hex, true),
        None => (hex, false),
    };
    let digits: Vec<u8> = hex
        .chars()
        .filter(|c| !c.is_whitespace())
        .map(|c| c.to_digit(16).and_then(|d| u8::try_from(d).ok()))
        .collect::<Option<_>>()?;
    let pairs = digits.chunks(2).map(|pair| match pair {
        [high, low] => Some(high << 4 | low),
        _ => None,
    });
    Some((pairs.collect::<Option<_>>()?, cut))
}

fn dump_line(offset: usize, chunk: &[u8], span: Option<&Range<usize>>) -> Text {
    let mut text = Text::new(Paint::Dim, &format!("{offset:04x}  "));
    for n in 0..LINE {
        match chunk.get(n) {
            Some(byte) => {
                let wrong = span.is_some_and(|s| s.contains(&(offset + n)));
                text = text.with(if wrong { Paint::Bad } else { Paint::Plain }, &format!("{byte:02x}"));
            }
            None => text = text.with(Paint::Plain, "  "),
        }
        if n % GROUP == GROUP - 1 {
            text = text.with(Paint::Plain, " ");
        }
    }
    let visible = |b: &u8| if b.is_ascii_graphic() || *b == b' ' { char::from(*b) } else { '.' };
    let ascii: String = chunk.iter().map(visible).collect();
    text.with(Paint::Dim, &format!(" |{ascii}|"))
}

/// Underlines the wrong bytes of a line, if it has any.
fn underline(offset: usize, len: usize, span: Option<&Range<usize>>) -> Option<Text> {
    let span = span?;
    let first = span.start.max(offset);
    let end = span.end.min(offset + len);
    if first >= end {
        return None;
    }
    let column = |n: usize| 2 * n + n / GROUP;
    let (from, to) = (column(first - offset), column(end - 1 - offset) + 2);
    Some(Text::plain(&" ".repeat(6 + from)).with(Paint::Bad, &"^".repeat(to - from)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(hex: &str, span: Option<Range<usize>>, expect: &[&str]) {
        let frame =
            FrameRef { event: 0, conn: 0, dir: "s2c".into(), hex: hex.into(), decoded: Vec::new(), span };
        let found: Vec<_> = lines(&frame).iter().map(|l| l.unpainted().trim_end().to_owned()).collect();
        assert_eq!(found, expect);
    }

    #[test]
    fn marks_the_wrong_bytes() {
        check(
            "daffffff 00000000 00000000 00000000",
            Some(0..4),
            &["0000  daffffff 00000000 00000000 00000000  |................|", "      ^^^^^^^^"],
        );
        check("41420a", Some(1..2), &["0000  41420a                               |AB.|", "        ^^"]);
    }

    #[test]
    fn marks_a_span_across_lines_and_groups() {
        check(
            "00112233445566778899aabbccddeeff0011",
            Some(3..17),
            &[
                "0000  00112233 44556677 8899aabb ccddeeff  |..\"3DUfw........|",
                "            ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^",
                "0010  0011                                 |..|",
                "      ^^",
            ],
        );
    }

    #[test]
    fn says_what_it_does_not_show() {
        check("", None, &["no bytes"]);
        check(
            "41…",
            Some(300..304),
            &[
                "0000  41                                   |A|",
                "… more bytes follow",
                "bytes 300..304 are not shown",
            ],
        );
        check("4", None, &["not hexadecimal: 4"]);
        check("zz\u{1b}[31m", None, &["not hexadecimal: zz\\u{1b}[31m"]);
        check("41", Some(Range { start: 4, end: 2 }), &["0000  41                                   |A|"]);
    }
}
