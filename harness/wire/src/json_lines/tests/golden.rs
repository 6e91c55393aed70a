//! Streams of real builds, from the recordings of them: VDSM 4.17.44 and 4.50.7, ovirt-guest-agent 1.0.9 and
//! 1.0.16 on lines; requests to qemu-ga 10.0.13 and its answers on values. Answers of 5.2.0, 7.2.22 and
//! 11.1.2 to these requests are as many.

use super::*;
use crate::json::{Document, Rules};

/// A line and its kind.
const LINES: &[(FrameKind, &[u8])] = &[
    // Host to guest.
    (LINE, b"{\"__name__\": \"refresh\"}\n"),
    (LINE, b"{\"__name__\": \"refresh\", \"apiVersion\": 2}\n"),
    (LINE, b"{\"apiVersion\": 3, \"__name__\": \"refresh\"}\n"),
    // Guest to host.
    (LINE, b"{\"__name__\": \"session-startup\"}\n"),
    (LINE, b"{\"__name__\": \"network-interfaces\", \"interfaces\": []}\n"),
    (LINE, b"{\"applications\": [], \"__name__\": \"applications\"}\n"),
    (
        LINE,
        b"{\"__name__\": \"heartbeat\", \"memory-stat\": {\"swap_out\": 0, \"majflt\": 0, \"swap_usage\": 0, \
          \"mem_cached\": 2535120, \"mem_free\": 23652196, \"mem_buffers\": 152740, \"swap_in\": 0, \
          \"swap_total\": 0, \"pageflt\": 0, \"mem_total\": 24684096, \"mem_unused\": 20964336}, \
          \"free-ram\": \"23097\", \"apiVersion\": 0}\n",
    ),
    (LINE, b"{\"__name__\": \"uninstalled\"}\n"),
    (BLANK, b"\n"),
    // A probe as the guest.
    (LINE, b"[]\n"),
    (LINE, b"hello\n"),
    (BLANK, b"\n"),
    (LINE, b"{\"__name__\":\"fqdn\",\"fqdn\":\"a\\u0000\\ud800b\"}\n"),
];

/// What a client sends, its frames, and the answers to it.
struct Exchange(&'static [u8], &'static str, &'static [&'static str]);

const EXCHANGES: &[Exchange] = &[
    Exchange(
        b"\xff{\"execute\":\"guest-sync-delimited\",\"arguments\":{\"id\":1}}\n",
        r#"reset"\xff" value"{\"execute\":\"guest-sync-delimited\",\"arguments\":{\"id\":1}}" blank"\n""#,
        &[
            r#"{"error": {"class": "GenericError", "desc": "JSON parse error, stray '\uFFFD'"}}"#,
            r#"{"return": 1}"#,
        ],
    ),
    Exchange(
        b"{\"execute\":\"zz\",\"id\":7}\n",
        r#"value"{\"execute\":\"zz\",\"id\":7}" blank"\n""#,
        &[r#"{"id": 7, "error": {"class": "CommandNotFound", "desc": "The command zz has not been found"}}"#],
    ),
    Exchange(
        b"{\"execute\":\"guest-ping\"}\r\n",
        r#"value"{\"execute\":\"guest-ping\"}" blank"\r" blank"\n""#,
        &[r#"{"return": {}}"#],
    ),
    Exchange(b"\n\n\n", r#"blank"\n" blank"\n" blank"\n""#, &[]),
    Exchange(
        b"{\"execute\":\"guest-ping\"}{\"execute\":\"guest-ping\"}\n",
        r#"value"{\"execute\":\"guest-ping\"}" value"{\"execute\":\"guest-ping\"}" blank"\n""#,
        &[r#"{"return": {}}"#, r#"{"return": {}}"#],
    ),
    Exchange(
        b"{'execute':'guest-ping'}\n",
        r#"value"{\'execute\':\'guest-ping\'}" blank"\n""#,
        &[r#"{"return": {}}"#],
    ),
    Exchange(
        b"{\"execute\":\"guest-ping\",\"id\":1e999}\n",
        r#"value"{\"execute\":\"guest-ping\",\"id\":1e999}" blank"\n""#,
        &[r#"{"return": {}, "id": inf}"#],
    ),
    Exchange(
        b"hello world\n",
        r#"junk"hello" blank" " junk"world" blank"\n""#,
        &[
            r#"{"error": {"class": "GenericError", "desc": "JSON parse error, invalid keyword 'hello'"}}"#,
            r#"{"error": {"class": "GenericError", "desc": "JSON parse error, invalid keyword 'world'"}}"#,
        ],
    ),
    Exchange(
        b"{\"execute\":\"\xff\xfe\x80\"}\n",
        r#"cut"{\"execute\":\"" reset"\xff" junk"\xfe" skipped"\x80\"" junk"}" blank"\n""#,
        &[
            r#"{"error": {"class": "GenericError", "desc": "JSON parse error, stray '\"\uFFFD'"}}"#,
            r#"{"error": {"class": "GenericError", "desc": "JSON parse error, stray '\uFFFD'"}}"#,
            r#"{"error": {"class": "GenericError", "desc": "JSON parse error, expecting value"}}"#,
        ],
    ),
    Exchange(
        b"{\"execute\":\"guest-ping\",\"id\":\"a\0b\"}\n",
        r#"junk"{\"execute\":\"guest-ping\",\"id\":\"a\x00" skipped"b\"" junk"}" blank"\n""#,
        &[
            r#"{"error": {"class": "GenericError", "desc": "JSON parse error, stray '\"a'"}}"#,
            r#"{"error": {"class": "GenericError", "desc": "JSON parse error, expecting value"}}"#,
        ],
    ),
    Exchange(
        b"/* */{\"execute\":\"guest-ping\"}\n",
        r#"junk"/" skipped"* */" value"{\"execute\":\"guest-ping\"}" blank"\n""#,
        &[
            r#"{"error": {"class": "GenericError", "desc": "JSON parse error, stray '/'"}}"#,
            r#"{"return": {}}"#,
        ],
    ),
    Exchange(
        b"{\"execute\":\"guest-sync\",\"arguments\":{\"id\":%I64d}}\n",
        r#"junk"{\"execute\":\"guest-sync\",\"arguments\":{\"id\":%" skipped"I64d" junk"}" junk"}" blank"\n""#,
        &[
            r#"{"error": {"class": "GenericError", "desc": "JSON parse error, stray '%'"}}"#,
            r#"{"error": {"class": "GenericError", "desc": "JSON parse error, expecting value"}}"#,
            r#"{"error": {"class": "GenericError", "desc": "JSON parse error, expecting value"}}"#,
        ],
    ),
    Exchange(
        b"{\"execute\":\"guest-pi\n",
        r#"junk"{\"execute\":\"guest-pi\n""#,
        &[r#"{"error": {"class": "GenericError", "desc": "JSON parse error, stray '\"guest-pi\n'"}}"#],
    ),
    // Half of a request, after which the client went away; the next client; and once more.
    Exchange(
        b"{\"execute\":\"guest-pi{\"execute\":\"guest-ping\"}\n{\"execute\":\"guest-ping\"}\n",
        r#"junk"{\"execute\":\"guest-pi{\"execute\":\"guest-p" skipped"ing\"" junk"}" blank"\n" value"{\"execute\":\"guest-ping\"}" blank"\n""#,
        &[
            r#"{"error": {"class": "GenericError", "desc": "JSON parse error, stray '-p'"}}"#,
            r#"{"error": {"class": "GenericError", "desc": "JSON parse error, expecting value"}}"#,
            r#"{"return": {}}"#,
        ],
    ),
];

fn values_decoder() -> Box<dyn Decoder> {
    Box::new(ValueDecoder::new(Limits::QEMU))
}

#[test]
fn lines_of_real_builds_are_frames() {
    let stream = LINES.iter().flat_map(|(_, line)| *line).copied().collect::<Vec<_>>();
    let make = || -> Box<dyn Decoder> { Box::new(LineDecoder::new(LINE_MAX)) };
    let (frames, end) = drain(&mut *make(), &stream, stream.len());
    assert_eq!(end, Ok(()));
    let found = frames.iter().map(|frame| (frame.kind, &frame.bytes[..])).collect::<Vec<_>>();
    assert_eq!(found, LINES);
    every_split_and_truncation(&make, &stream);
    for (kind, line) in LINES {
        let parsed = Document::parse(line, Rules::PYTHON);
        assert_eq!(parsed.is_ok(), *kind == LINE && *line != b"hello\n", "{}", line.escape_ascii());
    }
}

#[test]
fn requests_to_qemu_ga_are_frames_and_pair_with_their_answers() {
    for Exchange(request, expect, answers) in EXCHANGES {
        check(&values_decoder, request, expect, 0);
        let (frames, _) = drain(&mut *values_decoder(), request, request.len());
        let answered = frames.iter().filter(|frame| [VALUE, JUNK, RESET].contains(&frame.kind)).count();
        assert_eq!(answered, answers.len(), "{expect}");
        for answer in *answers {
            let found = Document::parse(answer.as_bytes(), Rules::QEMU_REPLY);
            assert!(found.is_ok(), "{answer}: {found:?}");
            check(&values_decoder, answer.as_bytes(), &format!("value\"{}\"", answer.escape_default()), 0);
        }
    }
}

#[test]
fn a_whole_conversation_with_qemu_ga_is_in_step_behind_everything() {
    let stream = EXCHANGES.iter().flat_map(|Exchange(request, ..)| *request).copied().collect::<Vec<_>>();
    let expect = EXCHANGES.iter().map(|Exchange(_, expect, _)| *expect).collect::<Vec<_>>().join(" ");
    let (frames, end) = drain(&mut *values_decoder(), &stream, stream.len());
    assert_eq!((show(&frames), end), (expect, Ok(())));
    every_split_and_truncation(&values_decoder, &stream);
}

/// The FF in front of the answer to a delimited sync is a frame of its own when answers are read as
/// values, and the first byte of the line when they are read as lines.
#[test]
fn the_answer_to_a_delimited_sync_begins_with_ff() {
    let error = r#"{"error": {"class": "GenericError", "desc": "JSON parse error, stray '\uFFFD'"}}"#;
    let answer = [error.as_bytes(), b"\n\xff{\"return\": 1}\n"].concat();
    let error = error.escape_default();
    let expect = format!(r#"value"{error}" blank"\n" reset"\xff" value"{{\"return\": 1}}" blank"\n""#);
    check(&values_decoder, &answer, &expect, 0);
    lines(LINE_MAX, &answer, &format!(r#"line"{error}\n" line"\xff{{\"return\": 1}}\n""#), 0);
}
