//! What is wrong with a text, and where.

use transcript::text::{FORMAT, LINE_LEN_MAX, ParseError, ParseErrorKind, parse, parse_bytes};

use crate::samples::SMALL;

/// Replaces `from`, which is in one place of the small file, by `to`; the error reads as expected.
#[track_caller]
fn check(from: &str, to: &str, expect: &str) {
    assert_eq!(SMALL.matches(from).count(), 1, "`{from}` names one place");
    let damaged = SMALL.replace(from, to);
    let error = parse(&damaged).map(|_| damaged.clone()).expect_err("damage is noticed");
    assert_eq!(error.to_string(), expect, "{damaged}");
}

#[test]
fn says_what_is_wrong_with_the_first_line() {
    const START: &str = "`# wireskew-wire`, with which every such file begins";
    let first = |found: &str| format!("line 1, column 1: expected {START}, found {found}");
    check("# wireskew-wire 1", "# something 1", &first("`# something 1 written by \"w 1\"`"));
    check("# wireskew-wire 1 written by \"w 1\"\n", "\n", &first("end of line"));
    check("# wireskew-wire 1 written by \"w 1\"\n", "", &first("`# protocol = \"p\"`"));
    check(
        "-wire 1",
        "-wire 0",
        "line 1, column 17: expected format number `1`, found `0 written by \"w 1\"`",
    );
    check("-wire 1", "-wire x", "line 1, column 17: expected a format number, found `x written by \"w 1\"`");
    check(
        "-wire 1",
        "-wire 01",
        "line 1, column 17: expected a format number, found `01 written by \"w 1\"`",
    );
    check("\"w 1\"", "\"w 1", "line 1, column 34: expected closing `\"`, found end of line");
    check("\"w 1\"", "\"w 1\"\r", "line 1, column 35: expected end of line, found `\\r`");
    check("by \"w 1\"", "by w", "line 1, column 30: expected the writer in quotes, found `w`");
}

#[test]
fn names_the_writer_of_a_newer_format() {
    let newer = |first: &str, written_by: &str| {
        let kind = ParseErrorKind::NewerFormat { found: 2, supported: FORMAT, written_by: written_by.into() };
        let expect = ParseError { line: 1, column: 17, kind };
        assert_eq!(parse(&format!("# wireskew-wire {first}\nanything at all\n")), Err(expect));
    };
    newer("2 written by \"wireskew 0.9.0\"", "wireskew 0.9.0");
    newer("2 written by \"wireskew 0.9.0\", compressed", "wireskew 0.9.0");
    newer("2 by someone", "by someone");
    newer("2", "");
    let message = parse("# wireskew-wire 2 written by \"wireskew 0.9.0\"\n").unwrap_err().to_string();
    assert_eq!(
        message,
        "line 1, column 17: cannot read format 2, written by `wireskew 0.9.0`; this release reads up to format 1"
    );
}

#[test]
fn says_what_is_wrong_with_the_front_matter() {
    let front = |at: &str, what: &str| format!("{at}: front matter: {what}");
    check("# case = \"c\"\n", "", &front("line 2, column 3", "missing field `case`"));
    check(
        "case = \"c\"",
        "case = 1",
        &front("line 3, column 10", "invalid type: integer `1`, expected a string"),
    );
    check("# case", "# protocol = \"q\"\n# case", &front("line 3, column 3", "duplicate key"));
    check(
        "# case = \"c\"",
        "# case = \"c",
        &front("line 3, column 12", "invalid basic string, expected `\"`"),
    );
    check(
        "# case",
        "# recorder = \"w\"\n# case",
        &front("line 2, column 1", "`recorder` stands on the first line, behind `written by`"),
    );
    check("# case", "#case", "line 3, column 2: expected a space behind `#`, found `case = \"c\"`");
    check(
        "# case",
        "case",
        "line 3, column 1: expected `# ` and front matter, or an empty line, found `case = \"c\"`",
    );
    let known = "expected one of `protocol`, `case`, `recorder`, `recorded`, `note`, `seed`, `transport`, `masks`, `masked`, `environment`, `client`, `server`, `builds`";
    check(
        "# case",
        "# color = 1\n# case",
        &front("line 3, column 3", &format!("unknown field `color`, {known}")),
    );
    let masked = |name: &str, conn: u32, dir: &str, start: u64, end: u64| {
        format!(
            "# masked = [{{ name = \"{name}\", conn = {conn}, dir = \"{dir}\", start = {start}, end = {end} }}]\n# case"
        )
    };
    check("# case", &masked("", 1, "c2s", 0, 1), "line 3, column 1: masked span without a name");
    check(
        "# case",
        &masked("pid", 1, "c2s", 4, 4),
        "line 3, column 1: masked span `pid` from 4 to 4 covers no byte",
    );
    check(
        "# case",
        &masked("pid", 1, "c2s", 4, 18),
        "line 3, column 1: masked span `pid` ends at 18, but its stream has 17 bytes",
    );
    check(
        "# case",
        &masked("pid", 2, "c2s", 4, 5),
        "line 3, column 1: connection 2 is not open: no client connected on it before",
    );
    check(
        "# case",
        &masked("pid", 1, "up", 4, 5),
        &front("line 3, column 12", "`dir` is `c2s` or `s2c`, not `up`"),
    );
    let nested = format!("# x = {}\n# case", "[".repeat(100_000));
    let error = parse(&SMALL.replace("# case", &nested)).unwrap_err();
    assert!(matches!(error.kind, ParseErrorKind::FrontMatter(_)), "{error}");
}

#[test]
fn says_what_is_wrong_with_when_and_where() {
    const TIME: &str = "a time in seconds with six decimals";
    check(
        "# 0.000000",
        "X 0.000000",
        "line 13, column 1: expected an event (`#`, `O` or `I`) or the end line, found `X 0.000000 c2s conn=1 connect`",
    );
    check(
        "# 0.000000",
        "## 0.000000",
        "line 13, column 2: expected a space, found `# 0.000000 c2s conn=1 connect`",
    );
    for time in [
        "0.0",
        "0",
        "0.0000001",
        "00.000000",
        "-1.000000",
        "18446744073709.551616",
        "99999999999999999999.000000",
    ] {
        let mut found = format!("{time} c2s conn=1 connect");
        if found.len() > 40 {
            found.replace_range(40.., "…");
        }
        check("0.000000", time, &format!("line 13, column 3: expected {TIME}, found `{found}`"));
    }
    check(
        "0.000000 c2s",
        "0.000000 up",
        "line 13, column 12: expected `c2s` or `s2c`, found `up conn=1 connect`",
    );
    check("conn=1 connect", "connect", "line 13, column 15: expected ` conn=`, found ` connect`");
    check(
        "conn=1 connect",
        "conn=x connect",
        "line 13, column 21: expected a connection number, found `x connect`",
    );
    check(
        "conn=1 connect",
        "conn=4294967296 connect",
        "line 13, column 21: expected a connection number, found `4294967296 connect`",
    );
}

#[test]
fn says_what_is_wrong_with_the_words_of_an_event() {
    const WORDS: &str = "`connect`, `connect-failed`, `eof`, `reset`, `timeout`, `exit`, `mark` or `observe`";
    check("connect", "connects", &format!("line 13, column 23: expected {WORDS}, found `connects`"));
    check("connect", "connect ", "line 13, column 30: expected end of line, found ` `");
    check("mark canary", "mark", "line 17, column 34: expected end of line, found `=echo`");
    check("expect=echo", "expect", "line 17, column 41: expected `=`, found end of line");
    check(
        "expect=echo",
        "expect=echo expect=echo",
        "line 17, column 47: expected each key once, found `expect=echo`",
    );
    check("expect=echo", "expect=a=b", "line 17, column 43: expected end of line, found `=b`");
    check("\"all closed\"", "\"all", "line 20, column 31: expected closing `\"`, found end of line");
    check(
        "\"all closed\"",
        "\"a\\x\"",
        "line 20, column 29: expected one of the escapes `\\\"` `\\\\` `\\n` `\\r` `\\t` `\\u0000`, found `\\x\"`",
    );
    check(
        "\"all closed\"",
        "\"\\ud800\"",
        "line 20, column 28: expected one of the escapes `\\\"` `\\\\` `\\n` `\\r` `\\t` `\\u0000`, found `\\ud800\"`",
    );
    check(
        "\"all closed\"",
        "\"\u{202e}\"",
        "line 20, column 28: expected an escape for a character that cannot be seen, found `\u{202e}\"`",
    );
    check("eof \"all closed\"", "timeout", "line 20, column 30: expected ` ms=`, found end of line");
    check("eof \"all closed\"", "timeout ms=1s", "line 20, column 35: expected end of line, found `s`");
    check(
        "eof \"all closed\"",
        "exit",
        "line 20, column 27: expected ` code=`, ` signal=` or ` gone`, found end of line",
    );
    check(
        "eof \"all closed\"",
        "exit code=2147483648",
        "line 20, column 33: expected an exit code, found `2147483648`",
    );
    check("eof \"all closed\"", "connect-failed", "line 20, column 37: expected a space, found end of line");
    check("eof \"all closed\"", "observe fds", "line 20, column 34: expected `=`, found end of line");
}

#[test]
fn says_what_is_wrong_with_data() {
    check(
        "O 0.000001 c2s",
        "I 0.000001 c2s",
        "line 14, column 12: expected the direction of this line: `O` is `c2s`, `I` is `s2c`, found `c2s conn=1 len=17 fds=dir creds=1:2:3`",
    );
    check("len=17", "len=0", "line 14, column 27: data without a byte");
    check("len=17", "len=16777216", "line 14, column 27: 16777216 bytes in one event, limit is 16777215");
    check(
        "len=17",
        "len=16",
        "line 16, column 1: expected an event (`#`, `O` or `I`) or the end line, found `000010 21                               …`",
    );
    check(
        "len=17",
        "len=18",
        "line 16, column 11: expected a byte as two lower-case hexadecimal digits, found `                                        …`",
    );
    check("len=17", "17", "line 14, column 23: expected `len=`, found `17 fds=dir creds=1:2:3`");
    check("fds=dir", "fds=", "line 14, column 34: expected what the descriptor is, found ` creds=1:2:3`");
    check(
        "fds=dir",
        "fds=a,,b",
        "line 14, column 36: expected what the descriptor is, found `,b creds=1:2:3`",
    );
    check("creds=1:2:3", "creds=1:2", "line 14, column 47: expected `:`, found end of line");
    check("creds=1:2:3", "creds=1:-2:3", "line 14, column 46: expected a user id, found `-2:3`");
    check(
        "fds=dir creds=1:2:3",
        "creds=1:2:3 fds=dir",
        "line 14, column 41: expected end of line, found ` fds=dir`",
    );
}

#[test]
fn says_what_is_wrong_with_a_dump() {
    check(
        "000010 21",
        "000011 21",
        "line 16, column 1: expected a dump line with the offset of its first byte in six digits, found `000011 21                               …`",
    );
    check(
        "000010 21",
        "10 21",
        "line 16, column 1: expected a dump line with the offset of its first byte in six digits, found `10 21                                   …`",
    );
    check(
        "000010 21",
        "000010 2g",
        "line 16, column 8: expected a byte as two lower-case hexadecimal digits, found `2g                                      …`",
    );
    check(
        "000000 ff",
        "000000 FF",
        "line 19, column 8: expected a byte as two lower-case hexadecimal digits, found `FF                                      …`",
    );
    check(
        "000010 21",
        "000010 22",
        "line 16, column 58: the bytes read `\"`, but the text beside them is `!`; one of them was damaged",
    );
    check(
        "|hello...........|",
        "|hello..........|",
        "line 15, column 58: the bytes read `hello...........`, but the text beside them is `hello..........`; one of them was damaged",
    );
    check("|!|", "|!", "line 16, column 58: expected the text column, ending in `|`, found `!`");
    check("|!|", "", "line 16, column 55: expected the text column, found `  `");
    check(
        "000010 21                                               |!|\n",
        "",
        "line 16, column 1: expected a dump line, found `# 0.000002 c2s conn=1 mark canary expect…`",
    );
}

#[test]
fn says_which_rule_is_broken() {
    check("0.000002", "0.000000", "line 17, column 3: time goes back from 1 us to 0 us");
    check(
        "# 0.000000 c2s conn=1 connect\n",
        "",
        "line 13, column 16: connection 1 is not open: no client connected on it before",
    );
    check(
        "I 0.000003 s2c conn=1",
        "I 0.000003 s2c conn=2",
        "line 18, column 16: connection 2 is not open: no client connected on it before",
    );
    check(
        "mark canary expect=echo",
        "connect",
        "line 17, column 16: connection 1 is opened twice; a new connection has a new number",
    );
    check(
        "# 0.000002 c2s conn=1 mark canary expect=echo",
        "# 0.000002 s2c conn=1 eof",
        "line 18, column 12: bytes from the server of connection 1 after its eof",
    );
    check(
        "# 0.000002 c2s conn=1 mark canary expect=echo",
        "# 0.000002 s2c conn=1 reset",
        "line 18, column 12: bytes from the server of connection 1 after its reset",
    );
}

#[test]
fn says_that_a_capture_is_unclear() {
    const MARK: &str = "# 0.000002 c2s conn=1 mark canary expect=echo";
    let unclear = "line 17, column 23: mark `capture` without what it needs: `field` and `var`, perhaps `short` with a \
                   number above 0";
    for args in ["", " field=body.Id", " var=id-1", " field=body.Id short=0 var=id-1"] {
        check(MARK, &format!("# 0.000002 c2s conn=1 mark capture{args}"), unclear);
    }
    let whole = "mark capture field=body.Id short=12 var=id-1";
    check(
        MARK,
        &format!("# 0.000002 c2s conn=2 {whole}"),
        "line 17, column 16: connection 2 is not open: no client connected on it before",
    );
    assert!(parse(&SMALL.replace("mark canary expect=echo", whole)).is_ok());
    // A remark of whoever recorded it.
    assert!(parse(&SMALL.replace("conn=1 mark canary expect=echo", "conn=0 mark capture")).is_ok());
}

#[test]
fn says_that_the_end_does_not_fit() {
    check(
        "# end events=5",
        "# end events=6",
        "line 21, column 14: the end line states 6 events, but 5 are there; the text was damaged",
    );
    check(
        "bytes=18",
        "bytes=17",
        "line 21, column 22: the end line states 17 bytes, but 18 are there; the text was damaged",
    );
    check(
        "bytes=18\n",
        "bytes=18\n\n",
        "line 22, column 1: expected end of file behind the end line, found end of line",
    );
    check(
        "bytes=18\n",
        "bytes=18\n# 9.0",
        "line 22, column 1: expected end of file behind the end line, found `# 9.0`",
    );
    check(
        "# end events=5 bytes=18\n",
        "",
        "line 21, column 1: text ends where an event or the end line should follow; it was cut off, 5 events are complete",
    );
}

/// However much is cut off, the error names the cut and nothing else.
#[test]
fn names_the_place_of_every_truncation() {
    for cut in 0..SMALL.len() {
        let text = &SMALL[..cut];
        let error = parse(text).expect_err("a part is not the whole");
        let line_start = text.rfind('\n').map_or(0, |at| at + 1);
        let place = (text.matches('\n').count() + 1, cut - line_start + 1);
        assert!(matches!(error.kind, ParseErrorKind::Truncated { .. }), "{cut}: {error}");
        assert_eq!((error.line, error.column), place, "{cut}: {error}");
    }
}

#[test]
fn no_single_wrong_digit_of_printable_bytes_goes_unseen() {
    let dump = "000000 68 65 6c 6c 6f";
    for at in dump.match_indices(|c: char| c.is_ascii_hexdigit()).map(|(at, _)| at) {
        let mut damaged = dump.to_owned();
        let other = if &damaged[at..=at] == "1" { "2" } else { "1" };
        damaged.replace_range(at..=at, other);
        assert!(parse(&SMALL.replace(dump, &damaged)).is_err(), "{damaged}");
    }
}

#[test]
fn limits_are_named() {
    let long = format!("# case = \"c\"\n# note = \"{}\"", "x".repeat(LINE_LEN_MAX));
    let error = parse(&SMALL.replace("# case = \"c\"", &long)).unwrap_err();
    assert_eq!(error.to_string(), "line 4, column 1: line of 1048587 bytes, at most 1048576 can be read");
    let at_limit = format!("# case = \"c\"\n# note = \"{}\"", "x".repeat(LINE_LEN_MAX - 11));
    assert!(parse(&SMALL.replace("# case = \"c\"", &at_limit)).is_ok());
}

#[test]
fn says_where_text_is_not_utf8() {
    let mut bytes = SMALL.as_bytes().to_vec();
    let at = SMALL.find("canary").unwrap();
    bytes[at] = 0xff;
    let expect = ParseError { line: 17, column: 28, kind: ParseErrorKind::NotUtf8 };
    assert_eq!(parse_bytes(&bytes), Err(expect));
}
