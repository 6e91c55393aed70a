//! Properties over arbitrary streams, sensible and not.

use proptest::prelude::*;

use super::super::*;
use crate::json::{Document, Rules};
use crate::testing::{Outcome, feed};
use crate::{DecodeErrorKind, Frame};

/// Limits that streams of some hundred bytes reach.
const SMALL: Limits = Limits { depth_max: 4, value_max: 60, tokens_max: 20, drains: false };

const LIMITS: [Limits; 4] = [Limits::QEMU, Limits::QEMU_11, SMALL, Limits { drains: true, ..SMALL }];

/// What streams are made of: tokens, halves of them, and what can be in none.
#[rustfmt::skip]
const PIECES: [&[u8]; 34] = [
    b"{", b"}", b"[", b"]", b",", b":", b" ", b"\t", b"\r", b"\n", b"\"", b"'", b"\\", b"\xff", b"\xfe", b"\xfd",
    b"\0", b"\x1f", b"\x7f", b"\x80", b"-", b"0", b"12", b".", b"e", b"+", b"1.5e3", b"null", b"abc", b"%",
    b"\"a\"", b"{\"execute\":\"guest-ping\"}\n", b"[[1]]", b"\xc3\xa9",
];

fn piece() -> impl Strategy<Value = Vec<u8>> {
    let known = prop::sample::select(&PIECES[..]).prop_map(<[u8]>::to_vec);
    prop_oneof![8 => known, 1 => prop::collection::vec(any::<u8>(), 1..6)]
}

fn stream() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(piece(), 0..60).prop_map(|pieces| pieces.concat())
}

/// A value, as JSON.
fn value() -> impl Strategy<Value = Vec<u8>> {
    let leaf = prop_oneof![
        Just("null".to_owned()),
        any::<i64>().prop_map(|number| number.to_string()),
        "[ -~é\u{10000}]{0,12}".prop_map(|text| {
            let mut out = String::new();
            crate::json::write_text(&mut out, &text);
            out
        }),
    ];
    let nested = leaf.prop_recursive(4, 24, 4, |inner| {
        let list = prop::collection::vec(inner.clone(), 0..4).prop_map(|all| format!("[{}]", all.join(", ")));
        let members = prop::collection::vec(("\"[a-z{}\\[\\]]{0,4}\"", inner), 0..4);
        let object = members.prop_map(|all| {
            let all = all.into_iter().map(|(name, value)| format!("{name}: {value}")).collect::<Vec<_>>();
            format!("{{{}}}", all.join(", "))
        });
        prop_oneof![list, object]
    });
    nested.prop_map(|inner| format!("{{\"return\": {inner}}}").into_bytes())
}

/// Every byte is in a frame or left over, and it is left over only in mid-frame.
fn check_whole(stream: &[u8], outcome: &Outcome) -> Result<(), TestCaseError> {
    let mut seen: Vec<u8> = outcome.frames.iter().flat_map(|frame| frame.bytes.to_vec()).collect();
    seen.extend_from_slice(&outcome.left);
    prop_assert_eq!(seen, stream);
    match outcome.end {
        Ok(()) => prop_assert!(outcome.left.is_empty()),
        Err(error) => prop_assert!(matches!(error.kind, DecodeErrorKind::Truncated { .. }), "{}", error),
    }
    Ok(())
}

/// A line is ended by the only LF in it, and no frame is longer than the limit.
fn check_line(frame: &Frame, line_max: usize) -> Result<(), TestCaseError> {
    let lf = frame.bytes.iter().position(|byte| *byte == b'\n').map(|at| at + 1);
    prop_assert!(frame.bytes.len() <= line_max);
    if frame.kind == PART {
        prop_assert_eq!((lf, frame.bytes.len()), (None, line_max));
    } else {
        prop_assert_eq!(lf, Some(frame.bytes.len()));
    }
    Ok(())
}

proptest! {
    #[test]
    fn lines_come_out_as_they_went_in(
        lines in prop::collection::vec("[^\n]{0,40}", 0..20),
        cuts in prop::collection::vec(any::<usize>(), 0..20),
    ) {
        let stream = lines.iter().map(|line| format!("{line}\n")).collect::<String>().into_bytes();
        let outcome = feed(&mut LineDecoder::new(1000), &stream, &cuts)?;
        prop_assert_eq!(outcome.end, Ok(()));
        let found: Vec<_> = outcome.frames.iter().map(|frame| frame.bytes.strip_suffix(b"\n")).collect();
        let expect: Vec<_> = lines.iter().map(|line| Some(line.as_bytes())).collect();
        prop_assert_eq!(found, expect);
        let blank = |line: &String| line.bytes().all(crate::json::is_white_space);
        prop_assert!(outcome.frames.iter().zip(&lines).all(|(frame, line)| (frame.kind == BLANK) == blank(line)));
    }

    #[test]
    fn lines_are_cut_at_the_limit_wherever_the_stream_is_split(
        stream in prop::collection::vec(prop_oneof![3 => Just(b'a'), 1 => Just(b'\n'), 1 => any::<u8>()], 0..300),
        cuts in prop::collection::vec(any::<usize>(), 0..20),
        line_max in 1..20_usize,
    ) {
        let outcome = feed(&mut LineDecoder::new(line_max), &stream, &cuts)?;
        check_whole(&stream, &outcome)?;
        prop_assert!(outcome.left.len() < line_max);
        prop_assert_eq!(&outcome, &feed(&mut LineDecoder::new(line_max), &stream, &[])?);
        let mut in_line = false;
        for frame in &outcome.frames {
            check_line(frame, line_max)?;
            let fits = if in_line { [PART, REST].contains(&frame.kind) } else { frame.kind != REST };
            prop_assert!(fits, "{:?}", frame);
            in_line = frame.kind == PART;
        }
    }

    #[test]
    fn values_come_out_as_they_went_in(
        values in prop::collection::vec(value(), 0..12),
        between in prop::sample::select(&["", "\n", "\r\n", " "][..]),
        cuts in prop::collection::vec(any::<usize>(), 0..20),
    ) {
        let stream = values.iter().flat_map(|value| [value, between.as_bytes()].concat()).collect::<Vec<_>>();
        let outcome = feed(&mut ValueDecoder::new(Limits::QEMU), &stream, &cuts)?;
        prop_assert_eq!(outcome.end, Ok(()));
        let found: Vec<_> =
            outcome.frames.iter().filter(|frame| frame.kind != BLANK).map(|frame| frame.bytes.to_vec()).collect();
        prop_assert_eq!(&found, &values);
        prop_assert_eq!(outcome.frames.len(), values.len() * (1 + between.len()));
        prop_assert!(values.iter().all(|value| Document::parse(value, Rules::STRICT).is_ok()));
    }

    /// Whatever came before: behind FF and a control character the next value is read.
    #[test]
    fn a_reset_brings_every_stream_in_step(stream in stream(), limits in prop::sample::select(&LIMITS[..])) {
        let canary = b"{\"execute\":\"guest-ping\"}";
        let whole = [&stream[..], b"\xff\n", canary].concat();
        let outcome = feed(&mut ValueDecoder::new(limits), &whole, &[])?;
        prop_assert_eq!(outcome.end, Ok(()));
        let [.., blank, last] = &outcome.frames[..] else { panic!("two frames at least") };
        prop_assert_eq!((blank.kind, &blank.bytes[..]), (BLANK, &b"\n"[..]));
        prop_assert_eq!((last.kind, &last.bytes[..]), (VALUE, &canary[..]));
    }

    #[test]
    fn values_are_framed_alike_however_the_stream_is_split(
        stream in stream(),
        cuts in prop::collection::vec(any::<usize>(), 0..20),
        limits in prop::sample::select(&LIMITS[..]),
    ) {
        let outcome = feed(&mut ValueDecoder::new(limits), &stream, &cuts)?;
        check_whole(&stream, &outcome)?;
        let longest = |skips| if skips { SKIPPED_MAX } else { limits.value_max };
        prop_assert!(outcome.left.len() < SKIPPED_MAX.max(limits.value_max));
        prop_assert_eq!(&outcome, &feed(&mut ValueDecoder::new(limits), &stream, &[])?);
        for frame in &outcome.frames {
            let bytes = &frame.bytes[..];
            prop_assert!(bytes.len() <= longest(frame.kind == SKIPPED), "{:?}", frame);
            prop_assert!(match frame.kind {
                BLANK => bytes.len() == 1 && crate::json::is_white_space(bytes[0]),
                RESET => bytes == b"\xff",
                // What throws away a value above a limit is in the frame that it ends.
                SKIPPED => !bytes[..bytes.len() - 1].contains(&0xff),
                VALUE | JUNK | CUT => !bytes.contains(&0xff),
                _ => false,
            }, "{:?}", frame);
        }
    }

    /// What qemu takes for a request is a frame of its own, whatever stands in it.
    #[test]
    fn what_can_be_parsed_is_one_frame(pieces in prop::collection::vec(piece(), 0..6)) {
        let request = [&b"{\"id\":"[..], &pieces.concat(), b"}"].concat();
        if Document::parse(&request, Rules::QEMU).is_ok() {
            let outcome = feed(&mut ValueDecoder::new(Limits::QEMU), &request, &[])?;
            let found: Vec<_> = outcome.frames.iter().map(|frame| (frame.kind, &frame.bytes[..])).collect();
            prop_assert_eq!(found, [(VALUE, &request[..])]);
        }
    }
}
