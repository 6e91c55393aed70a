//! What is wrong with a text, and where.

use transcript::text::parse;

use crate::samples::SMALL;

/// Replaces `from` by `to` in the small file and checks the message of the error.
#[track_caller]
fn check(from: &str, to: &str, expect: &str) {
    assert_eq!(SMALL.matches(from).count(), 1, "`{from}` names one place");
    let damaged = SMALL.replace(from, to);
    assert_eq!(parse(&damaged).expect_err("damage is noticed").to_string(), expect, "{damaged}");
}

#[test]
fn names_what_is_wrong_and_where() {
    // First line.
    check(
        "-wire 1",
        "-wire 0",
        "line 1, column 17: expected format number `1`, found `0 written by \"w 1\"`",
    );
    check("-wire 1", "-wire x", "line 1, column 17: expected a format number, found `x written by \"w 1\"`");
    check("\"w 1\"", "\"w 1", "line 1, column 34: expected closing `\"`, found end of line");
}
