//! JSON on lines and in a row, and what a value says.

use super::Input;
use super::stream::{LosesByte, feed, oracle};
use crate::json::{
    Document, NAME_MAX, Rules, SYNTAX, SyntaxError, UNKNOWN, Value, dissect, is_white_space, same_value,
    write_text, write_text_upper,
};
use crate::json_lines::{
    BLANK, CUT, JUNK, LINE, LINE_MAX, Limits, LineDecoder, PART, RESET, REST, SKIPPED, SKIPPED_MAX, VALUE,
    ValueDecoder,
};
use crate::{DecodeErrorKind, Decoder, Field, Frame};

/// Limits of lines; all but the last are such that an input reaches them.
const LINE_LIMITS: [usize; 4] = [1, 3, 64, LINE_MAX];

const FEW: Limits = Limits { depth_max: 3, value_max: 48, tokens_max: 12, drains: false };

const LIMITS: [Limits; 4] = [Limits::QEMU, Limits::QEMU_11, FEW, Limits { drains: true, ..FEW }];

/// All liberties at once.
const LOOSE: Rules = Rules {
    constants: true,
    inf_words: true,
    single_quotes: true,
    lone_surrogates: true,
    raw_utf8_surrogates: true,
    overlong_nul: true,
    broken_utf8: true,
    control_bytes: true,
    ..Rules::STRICT
};

const TIGHT: Rules = Rules { depth_max: 3, nodes_max: 12, ..Rules::STRICT };

const RULES: [Rules; 6] = [Rules::STRICT, Rules::PYTHON, Rules::QEMU, Rules::QEMU_REPLY, LOOSE, TIGHT];

/// Both directions of a connection as any bytes, read as lines: every byte accounted for, a line ended by
/// its only LF, none longer than the limit, and the same in any pieces.
///
/// # Panics
/// One of the properties of the module does not hold.
pub fn json_decode(data: &[u8]) {
    let input = Input::of(data);
    let line_max = choose(&LINE_LIMITS, input.variant);
    for stream in [input.requests, input.replies] {
        let mut in_line = false;
        let mut check = |frame: &Frame| {
            check_line(frame, line_max, in_line);
            in_line = frame.kind == PART;
        };
        let mut at_once = oracle(LineDecoder::new(line_max));
        let end = feed(&mut LineDecoder::new(line_max), &mut at_once, stream, input.pieces, &mut check);
        match end {
            Ok(()) => assert!(!in_line, "a clean end owes no rest of a line"),
            Err(error) => {
                assert!(matches!(error.kind, DecodeErrorKind::Truncated { .. }), "{error}");
                assert_eq!(error.field, "line");
            }
        }
    }
}

/// Both directions of a connection as any bytes, read as values: every byte accounted for, frames of the
/// shape of their kind, the same in any pieces, and in step again behind a reset.
///
/// # Panics
/// One of the properties of the module does not hold.
pub fn json_values(data: &[u8]) {
    let input = Input::of(data);
    let limits = choose(&LIMITS, input.variant);
    for stream in [input.requests, input.replies] {
        read_values(input, limits, stream, &mut ValueDecoder::new(limits));
        let canary: &[u8] = b"{\"canary\": 1}";
        let mut decoder = ValueDecoder::new(limits);
        let mut src = bytes::BytesMut::from(&[stream, b"\xff\n", canary].concat()[..]);
        let frames = std::iter::from_fn(|| decoder.decode(&mut src).expect("values are never wrong"));
        let last = frames.last().expect("more than nothing");
        assert_eq!((last.kind, &last.bytes[..]), (VALUE, canary), "in step behind a reset");
    }
}

/// As [`json_values`] with a decoder that loses a byte: the one behind what is passed over behind
/// something wrong. Finding it proves that the fuzzer reaches such places and that the body looks.
///
/// # Panics
/// The lost byte is noticed.
pub fn json_planted_defect(data: &[u8]) {
    let input = Input::of(data);
    let limits = choose(&LIMITS, input.variant);
    for stream in [input.requests, input.replies] {
        let decoder = ValueDecoder::new(limits);
        let behind = |frame: &Frame| frame.kind == SKIPPED;
        read_values(input, limits, stream, &mut LosesByte { decoder, behind });
    }
}

/// Both directions of a connection as any bytes, each line of them read as one value: the fields cover all
/// bytes, what is wrong is said, a value is the same as itself and as what it is written as, and whether
/// two values are the same does not depend on which is asked first.
///
/// # Panics
/// One of these does not hold.
pub fn json_dissect(data: &[u8]) {
    let input = Input::of(data);
    let rules = choose(&RULES, input.variant);
    let lines = |stream| <[u8]>::split_inclusive(stream, |byte| *byte == b'\n');
    for line in lines(input.requests).chain(lines(input.replies)) {
        check_value(line, rules);
    }
    for (one, other) in lines(input.requests).zip(lines(input.replies)) {
        if let (Ok(one), Ok(other)) = (Document::parse(one, rules), Document::parse(other, rules)) {
            let same = same_value(one.root(), other.root());
            assert_eq!(same_value(other.root(), one.root()), same, "the same both ways");
            assert!(!same || one.root().kind() == other.root().kind(), "kinds are not the same");
        }
    }
}

/// The input of [`json_decode`], [`json_values`] and [`json_dissect`] that holds this conversation, with
/// the first limits or rules and in one piece. Of requests longer than 64 KiB the rest is taken for replies.
#[must_use]
pub fn json_input(requests: &[u8], replies: &[u8]) -> Vec<u8> {
    super::input(requests, replies)
}

fn choose<T: Copy>(from: &[T], variant: u8) -> T {
    let at = usize::from(variant).checked_rem(from.len()).unwrap_or(0);
    *from.get(at).expect("below the length")
}

fn check_line(frame: &Frame, line_max: usize, in_line: bool) {
    let bytes = &frame.bytes[..];
    let lf = bytes.iter().position(|byte| *byte == b'\n').map(|at| at + 1);
    assert!(bytes.len() <= line_max, "no longer than the limit");
    assert_eq!(frame.head_len, 0);
    match frame.kind {
        PART => assert_eq!((lf, bytes.len()), (None, line_max), "a part is as long as the limit"),
        REST => assert!(in_line && lf == Some(bytes.len()), "a rest ends a line that came in parts"),
        LINE | BLANK => {
            let blank = bytes.iter().all(|byte| is_white_space(*byte));
            assert_eq!((frame.kind == BLANK, in_line), (blank, false));
            assert_eq!(lf, Some(bytes.len()), "a line ends with its only LF");
        }
        kind => panic!("{kind:?} is no line"),
    }
}

fn read_values(input: Input<'_>, limits: Limits, stream: &[u8], decoder: &mut dyn Decoder) {
    let mut at_once = oracle(ValueDecoder::new(limits));
    let end = feed(decoder, &mut at_once, stream, input.pieces, &mut |frame| check_frame(frame, limits));
    if let Err(error) = end {
        assert!(matches!(error.kind, DecodeErrorKind::Truncated { .. }), "{error}");
        assert!(["value", "skipped bytes"].contains(&error.field), "{error}");
    }
}

fn check_frame(frame: &Frame, limits: Limits) {
    let bytes = &frame.bytes[..];
    let (last, front) = bytes.split_last().expect("no frame is empty");
    assert_eq!(frame.head_len, 0);
    let longest = if frame.kind == SKIPPED { SKIPPED_MAX } else { limits.value_max };
    assert!(bytes.len() <= longest, "no longer than the limit");
    match frame.kind {
        BLANK => assert!(front.is_empty() && is_white_space(*last)),
        RESET => assert_eq!(bytes, b"\xff"),
        // What ends draining is in the frame that it ends.
        SKIPPED => assert!(!front.contains(&0xff) && (limits.drains || *last != 0xff)),
        VALUE | JUNK | CUT => assert!(!bytes.contains(&0xff), "ff is in no value"),
        kind => panic!("{kind:?} is no value"),
    }
    match (frame.kind, bytes.first()) {
        (VALUE, Some(b'{' | b'[')) => assert!(matches!(last, b'}' | b']'), "a value ends with its brackets"),
        // Above a limit it may be a value all the same.
        (JUNK | CUT, _) if bytes.len() < limits.value_max.min(limits.tokens_max) => {
            assert!(Document::parse(bytes, Rules::QEMU).is_err(), "what can be parsed is a value");
        }
        _ => {}
    }
}

fn check_value(line: &[u8], rules: Rules) {
    let found = dissect(line, rules, &|_| None);
    assert!(found.covers(line.len()), "every byte is in one field");
    for field in &found.fields {
        assert!(field.name.len() <= NAME_MAX && !field.span.is_empty());
        assert_eq!(field.mask.is_some(), field.mask == Some(SYNTAX));
    }
    let unread = |field: &Field| field.name == UNKNOWN && field.value == crate::Value::Unread;
    let unknown = found.fields.iter().position(unread);
    match Document::parse(line, rules) {
        Ok(document) => {
            let root = document.root();
            assert_eq!(unknown, None, "all of it was read");
            assert!(same_value(root, root), "a value is the same as itself");
            let alone = Document::parse(root.raw(), rules).expect("a value by itself");
            assert!(same_value(root, alone.root()), "white space around a value says nothing");
            check_texts(root);
        }
        Err(SyntaxError { offset, what }) => {
            assert!(offset <= line.len(), "an error lies in the line");
            let said = found.problems.last().expect("said");
            assert_eq!((said.span.start, &said.what[..]), (offset, what));
            assert!(unknown.is_none_or(|at| at + 1 == found.fields.len()), "nothing is read behind an error");
        }
    }
}

/// Every text in it is what it is written as again.
fn check_texts(root: Value<'_>) {
    let mut due = vec![root];
    while let Some(value) = due.pop() {
        due.extend(value.items());
        for (name, member) in value.members() {
            // A name of what is no character cannot be asked for.
            let askable = !name.contains('\u{fffd}');
            assert!(!askable || value.get(&name).is_some(), "a member is found by its name");
            check_text(&name);
            due.push(member);
        }
        if let Some(text) = value.text() {
            check_text(&text);
        }
    }
}

fn check_text(text: &str) {
    for write in [write_text, write_text_upper] {
        let mut raw = String::new();
        write(&mut raw, text);
        assert!(raw.is_ascii(), "written in ASCII");
        let document = Document::parse(raw.as_bytes(), Rules::STRICT).expect("JSON");
        assert_eq!(document.root().text().as_deref(), Some(text), "text comes back as it was written");
    }
}
