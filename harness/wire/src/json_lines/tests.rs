//! What is a frame and what kind it is, written as `kind"bytes"`; limits; ends of streams. Streams of real
//! builds are in [`golden`], properties over arbitrary streams are in [`properties`].

mod golden;
mod properties;

use bytes::BytesMut;

use super::*;
use crate::testing::drain;
use crate::{DecodeError, DecodeErrorKind, Decoder, Extent, Frame, Scan, Step};

/// Small limits, so that tests reach them.
const SMALL: Limits = Limits { depth_max: 3, value_max: 16, tokens_max: 6, drains: false };

fn kind_name(kind: FrameKind) -> &'static str {
    match kind {
        LINE => "line",
        BLANK => "blank",
        PART => "part",
        REST => "rest",
        VALUE => "value",
        JUNK => "junk",
        RESET => "reset",
        CUT => "cut",
        SKIPPED => "skipped",
        _ => "?",
    }
}

fn show(frames: &[Frame]) -> String {
    let one = |frame: &Frame| format!("{}\"{}\"", kind_name(frame.kind), frame.bytes.escape_ascii());
    frames.iter().map(one).collect::<Vec<_>>().join(" ")
}

/// The frames of `stream` in pieces of every length, and how many bytes are left at its end.
#[track_caller]
fn check(make: &dyn Fn() -> Box<dyn Decoder>, stream: &[u8], expect: &str, left: u64) {
    for piece in 1..=stream.len().max(1) {
        let (frames, end) = drain(&mut *make(), stream, piece);
        assert_eq!(show(&frames), expect, "in pieces of {piece}");
        match end {
            Ok(()) => assert_eq!(left, 0, "in pieces of {piece}"),
            Err(DecodeError { kind: DecodeErrorKind::Truncated { needed, got }, offset, .. }) => {
                assert_eq!((needed, got), (left + 1, left), "in pieces of {piece}");
                assert_eq!(offset + got, stream.len() as u64);
            }
            Err(error) => panic!("{error}"),
        }
    }
}

/// Split in two at every place, and cut off at every place: the frames in front of it are the same, and
/// the end is clean only between two frames.
#[track_caller]
fn every_split_and_truncation(make: &dyn Fn() -> Box<dyn Decoder>, stream: &[u8]) {
    let (whole, _) = drain(&mut *make(), stream, stream.len());
    for cut in 0..=stream.len() {
        let mut decoder = make();
        let mut src = BytesMut::from(&stream[..cut]);
        let mut frames = Vec::new();
        while let Some(frame) = decoder.decode(&mut src).expect("never wrong") {
            frames.push(frame);
        }
        assert_eq!(frames, whole[..frames.len()], "up to {cut}");
        let mut ended = make();
        let (front, end) = drain(&mut *ended, &stream[..cut], cut);
        assert_eq!(front, frames, "up to {cut}");
        if end.is_ok() {
            assert!(src.is_empty(), "bytes are left at {cut}, and the end is clean");
        }
        src.extend_from_slice(&stream[cut..]);
        while let Some(frame) = decoder.decode(&mut src).expect("never wrong") {
            frames.push(frame);
        }
        assert_eq!(frames, whole, "split at {cut}");
    }
}

#[track_caller]
fn lines(line_max: usize, stream: &[u8], expect: &str, left: u64) {
    check(&|| Box::new(LineDecoder::new(line_max)), stream, expect, left);
}

#[track_caller]
fn values(stream: &[u8], expect: &str) {
    values_within(Limits::QEMU, stream, expect, 0);
}

#[track_caller]
fn values_within(limits: Limits, stream: &[u8], expect: &str, left: u64) {
    check(&|| Box::new(ValueDecoder::new(limits)), stream, expect, left);
}

#[test]
fn a_line_ends_with_its_lf() {
    lines(99, b"", "", 0);
    lines(99, b"{}\n[]\r\n", r#"line"{}\n" line"[]\r\n""#, 0);
    lines(99, b"\n \t\r\nx\n", r#"blank"\n" blank" \t\r\n" line"x\n""#, 0);
    lines(99, b"\xff\0\n", r#"line"\xff\x00\n""#, 0);
    lines(99, b"{}\n{", r#"line"{}\n""#, 1);
    lines(99, b" ", "", 1);
}

#[test]
fn a_line_above_the_limit_comes_in_parts() {
    lines(4, b"abc\n", r#"line"abc\n""#, 0);
    lines(4, b"abcd\n", r#"part"abcd" rest"\n""#, 0);
    lines(4, b"abcdefg\nx\n", r#"part"abcd" rest"efg\n" line"x\n""#, 0);
    lines(4, b"abcdefgh\n\nx\n", r#"part"abcd" part"efgh" rest"\n" blank"\n" line"x\n""#, 0);
    lines(4, b"       \n", r#"part"    " rest"   \n""#, 0);
    // The stream ends where the rest is due, although no byte is left over.
    let mut src = BytesMut::from(&b"abcd"[..]);
    let mut decoder = LineDecoder::new(4);
    assert!(decoder.decode(&mut src).is_ok_and(|frame| frame.is_some()));
    let kind = DecodeErrorKind::Truncated { needed: 1, got: 0 };
    assert_eq!(decoder.decode_eof(&mut src), Err(DecodeError { kind, field: "line", offset: 4 }));
    lines(0, b"a\n", r#"part"a" rest"\n""#, 0);
}

#[test]
fn a_value_is_complete_when_its_brackets_close() {
    values(br#"{"execute":"a"}"#, r#"value"{\"execute\":\"a\"}""#);
    values(b"{}[] {}\r\n", r#"value"{}" value"[]" blank" " value"{}" blank"\r" blank"\n""#);
    values(b"[{'}':\"]\\\"\"} , 1.5e+7]x ", r#"value"[{\'}\':\"]\\\"\"} , 1.5e+7]" junk"x" blank" ""#);
}

#[test]
fn a_token_that_stands_alone_is_a_frame() {
    values(b"42 \"x\"null\n", r#"value"42" blank" " value"\"x\"" value"null" blank"\n""#);
    values(b"hello world\n", r#"junk"hello" blank" " junk"world" blank"\n""#);
    values(b"},:", r#"junk"}" junk"," junk":""#);
    values(b"{]", r#"junk"{]""#);
    values(b"[[}", r#"junk"[[}""#);
    values(b"{{]", r#"junk"{{]""#);
    values(b"[{]}", r#"value"[{]}""#);
    values_within(Limits::QEMU, b"42", "", 2);
}

#[test]
fn a_reset_cuts_what_is_unfinished() {
    values(b"\xff{}", r#"reset"\xff" value"{}""#);
    values(b"{\"a\xff{}", r#"cut"{\"a" reset"\xff" value"{}""#);
    values(b"{\xff\xff", r#"cut"{" reset"\xff" reset"\xff""#);
    values(b"1\xff\n", r#"value"1" reset"\xff" blank"\n""#);
    values(b"-\xff\n", r#"cut"-" reset"\xff" blank"\n""#);
    values_within(Limits::QEMU, b"\xff ab", r#"reset"\xff""#, 3);
}

/// Every request of these has as many answers as the recordings of qemu-ga 5.2 to 11.1 show: one for
/// each `value`, `junk` and `reset`.
#[test]
fn what_is_wrong_in_a_token_is_junk_with_the_wrong_byte() {
    values(
        b"{\"execute\":\"\xff\xfe\x80\"}\n",
        r#"cut"{\"execute\":\"" reset"\xff" junk"\xfe" skipped"\x80\"" junk"}" blank"\n""#,
    );
    values(b"{\"id\":\"a\0b\"}\n", r#"junk"{\"id\":\"a\x00" skipped"b\"" junk"}" blank"\n""#);
    values(b"{\"id\":\"a\tb\"}\n", r#"junk"{\"id\":\"a\t" skipped"b\"" junk"}" blank"\n""#);
    values(b"{\"id\":{\"id\":007}}\n", r#"junk"{\"id\":{\"id\":00" skipped"7" junk"}" junk"}" blank"\n""#);
    values(b"{\"a\":%s}\n", r#"junk"{\"a\":%" skipped"s" junk"}" blank"\n""#);
    values(b"/* */{}\n", r#"junk"/" skipped"* */" value"{}" blank"\n""#);
    values(b"\xef\xbb\xbf{}\n", r#"junk"\xef" skipped"\xbb\xbf" value"{}" blank"\n""#);
    values(b"{\"gue\xffst-ping\"}\n", r#"cut"{\"gue" reset"\xff" skipped"st-ping\"" junk"}" blank"\n""#);
    values(b"{\"execute\":\"guest-pi\n", r#"junk"{\"execute\":\"guest-pi\n""#);
    // Half a request, and the next client: two complaints, and then all is well.
    values(
        b"{\"e\":\"guest-pi{\"execute\":\"guest-ping\"}\n{}",
        r#"junk"{\"e\":\"guest-pi{\"execute\":\"guest-p" skipped"ing\"" junk"}" blank"\n" value"{}""#,
    );
}

#[test]
fn skipping_ends_with_certain_bytes_and_no_others() {
    for byte in 0..=u8::MAX {
        let mut decoder = ValueDecoder::new(Limits::QEMU);
        let mut src = BytesMut::from(&[b'%', b'x', byte][..]);
        let junk = decoder.decode(&mut src).expect("never wrong").expect("complete");
        assert_eq!(junk.bytes, "%");
        let skipped = decoder.decode(&mut src).expect("never wrong").map(|frame| frame.bytes);
        let ends = matches!(byte, 0..=8 | 10..=31 | 0xfe | 0xff) || b"{}[],:".contains(&byte);
        assert_eq!(skipped.as_deref(), ends.then_some(&b"x"[..]), "{byte:02x}");
    }
}

/// Bytes that come one at a time cost no more than bytes that come at once. The bytes that were looked
/// at are changed behind the back of the scan.
#[test]
fn what_was_looked_at_is_not_looked_at_again() {
    let step = |scan: &mut dyn Scan, src: &[u8]| scan.step(src).expect("never wrong");
    let complete = |kind, len| Step::Complete(Extent { kind, head_len: 0, len });
    let mut scan = LineScan::new(99);
    assert!(matches!(step(&mut scan, b"aaaa"), Step::Partial { .. }));
    assert_eq!(step(&mut scan, b"\n\n\n\n\n"), complete(BLANK, 5));
    for (come, changed, len) in [
        (&b"[[\"abcdefghijkl"[..], &b"]]]]]]]]]]]]]]]\"]]"[..], 18),
        (b"[{\"abcdefghi\":12", b"]]]]]]]]]]]]]]]]}]", 18),
        (b"hello", b"\n\n\n\n\n ", 5),
    ] {
        let mut scan = ValueScan::new(Limits::QEMU);
        assert!(matches!(step(&mut scan, come), Step::Partial { .. }));
        let Step::Complete(extent) = step(&mut scan, changed) else { panic!("complete") };
        assert_eq!(extent.len, len, "{}", come.escape_ascii());
    }
}

#[test]
fn a_value_above_the_depth_begins_anew_or_is_drained() {
    values_within(SMALL, b"[[[]]]\n", r#"value"[[[]]]" blank"\n""#, 0);
    values_within(SMALL, b"[[[[]]]]\n", r#"junk"[[[[" junk"]" junk"]" junk"]" junk"]" blank"\n""#, 0);
    let drains = Limits { drains: true, ..SMALL };
    values_within(drains, b"[[[[]]]]\n{}", r#"junk"[[[[" skipped"]]]]" blank"\n" value"{}""#, 0);
    values_within(drains, b"[[[[\"]]]]\"", r#"junk"[[[[""#, 6);
    values_within(drains, b"[[[[1\xff{}", r#"junk"[[[[" skipped"1\xff" value"{}""#, 0);
}

#[test]
fn a_value_above_the_length_is_junk_up_to_it() {
    values_within(SMALL, b"{\"a\":\"345678901\"}", r#"junk"{\"a\":\"345678901\"" junk"}""#, 0);
    // Also behind something wrong, where nothing has to be passed over.
    values_within(SMALL, b"%{\"a\":\"345678901\"}", r#"junk"%" junk"{\"a\":\"345678901\"" junk"}""#, 0);
    values_within(SMALL, b"{\"a\":\"34567890\"}", r#"value"{\"a\":\"34567890\"}""#, 0);
    values_within(
        SMALL,
        b"{\"a\":\"3456789012345\"}\n",
        r#"junk"{\"a\":\"3456789012" skipped"345\"" junk"}" blank"\n""#,
        0,
    );
    let drains = Limits { drains: true, ..SMALL };
    values_within(
        drains,
        b"{\"a\":\"3456789012345\"}\n",
        r#"junk"{\"a\":\"3456789012" skipped"345\"}" blank"\n""#,
        0,
    );
    values_within(
        drains,
        b"\"234567890123456789\"{}",
        r#"junk"\"234567890123456" skipped"789\"" value"{}""#,
        0,
    );
}

#[test]
fn a_token_that_ends_with_the_limit_leaves_nothing_to_drain() {
    let drains = Limits { drains: true, ..SMALL };
    values_within(drains, b"1234567890123456{}", r#"junk"1234567890123456" value"{}""#, 0);
    values_within(drains, b"1234567890123456\xff\n", r#"junk"1234567890123456" reset"\xff" blank"\n""#, 0);
    values_within(drains, b"12345678901234567,[", r#"junk"1234567890123456" skipped"7" junk",""#, 1);
    values_within(
        drains,
        b"1234567890123456{\"a\":\"345678901\"}",
        r#"junk"1234567890123456" junk"{\"a\":\"345678901\"" skipped"}""#,
        0,
    );
}

#[test]
fn a_value_above_the_number_of_tokens_is_junk_up_to_one_more() {
    values_within(SMALL, b"[1,2,]", r#"value"[1,2,]""#, 0);
    let drains = Limits { drains: true, ..SMALL };
    for limits in [SMALL, drains] {
        // The bracket itself is one too many, and closes all the same.
        values_within(limits, b"[1,2,3]{}", r#"junk"[1,2,3]" value"{}""#, 0);
    }
    values_within(SMALL, b"[1,2,3,4]{}", r#"junk"[1,2,3," value"4" junk"]" value"{}""#, 0);
    values_within(drains, b"[1,2,3,4]{}", r#"junk"[1,2,3," skipped"4]" value"{}""#, 0);
    values_within(SMALL, b"[:1,2,3]", r#"junk"[:1,2,3" junk"]""#, 0);
}

#[test]
fn what_is_passed_over_comes_in_pieces() {
    for limits in [SMALL, Limits { drains: true, ..SMALL }] {
        let stream = [&b"{\"a\":\""[..], &vec![b'x'; 3 * SKIPPED_MAX], b"\"}"].concat();
        let (frames, end) = drain(&mut ValueDecoder::new(limits), &stream, 1000);
        assert_eq!(end, Ok(()));
        let skipped = frames.iter().filter(|frame| frame.kind == SKIPPED).map(|frame| frame.bytes.len());
        let longest = skipped.max();
        assert_eq!(longest, Some(SKIPPED_MAX));
        assert_eq!(frames.len(), if limits.drains { 4 } else { 5 });
    }
}
