//! Bytes and what is walked through, as `number=value@span`.

use super::*;

fn show(bytes: &[u8]) -> String {
    let one = |item: Result<FieldAt, WalkError>| match item {
        Err(error) => error.to_string(),
        Ok(FieldAt { number, span, value }) => {
            let value = match value {
                FieldValue::Varint(value) => value.to_string(),
                FieldValue::Fixed64(value) => format!("{value:#x}L"),
                FieldValue::Fixed32(value) => format!("{value:#x}"),
                FieldValue::Len(part) => format!("\"{}\"", bytes[part].escape_ascii()),
                FieldValue::GroupStart => "{".to_owned(),
                FieldValue::GroupEnd => "}".to_owned(),
            };
            format!("{number}={value}@{}..{}", span.start, span.end)
        }
    };
    Walk::new(bytes).map(one).collect::<Vec<_>>().join("  ")
}

/// What is walked through; fields lie one behind the other, and an error is last.
#[track_caller]
fn check(text: &str, expect: &str) {
    let bytes = hex(text);
    assert_eq!(show(&bytes), expect, "{text}");
    let mut walk = Walk::new(&bytes);
    let mut at = 0;
    while let Some(Ok(field)) = walk.next() {
        assert_eq!((field.span.start, walk.at()), (at, field.span.end), "{text}");
        at = field.span.end;
    }
    assert_eq!((walk.at(), walk.next()), (at, None), "{text}");
}

#[test]
fn every_wire_type_is_a_field() {
    check("", "");
    check("08 00", "1=0@0..2");
    check("08 96 01", "1=150@0..3");
    check("09 01 00 00 00 00 00 00 80", "1=0x8000000000000001L@0..9");
    check("0d 01 00 00 80", "1=0x80000001@0..5");
    check("12 02 63 32", "2=\"c2\"@0..4");
    check("12 00", "2=\"\"@0..2");
    check("0b 0c", "1={@0..1  1=}@1..2");
}

#[test]
fn order_repetition_and_unknown_fields_are_kept() {
    check("18 01 08 02 18 03", "3=1@0..2  1=2@2..4  3=3@4..6");
    check("f8 ff ff ff 0f 07", "536870911=7@0..6");
    // A message in it is bytes.
    check("1a 04 08 01 10 02", "3=\"\\x08\\x01\\x10\\x02\"@0..6");
}

/// Parsers of all releases take a tag that is longer than needed.
#[test]
fn varints_may_be_longer_than_needed() {
    check("8a 80 00 01 61", "1=\"a\"@0..5");
    check("08 80 80 80 00", "1=0@0..5");
    check("08 81 80 80 80 80 80 80 80 80 00", "1=1@0..11");
    check("08 ff ff ff ff ff ff ff ff ff 01", "1=18446744073709551615@0..11");
    check("8a 80 80 80 80 80 80 80 80 00 01 61", "1=\"a\"@0..12");
}

#[test]
fn a_varint_has_64_bits() {
    check("08 ff ff ff ff ff ff ff ff ff 02", "varint of more than 64 bits (offset 1)");
    check("08 80 80 80 80 80 80 80 80 80 80 00", "varint of more than 64 bits (offset 1)");
    check("08 01 ff ff ff ff ff ff ff ff ff ff 01", "1=1@0..2  varint of more than 64 bits (offset 2)");
}

#[test]
fn numbers_and_wire_types_that_are_none_are_errors() {
    check("00 00", "field number 0 (offset 0)");
    check("08 01 07 00", "1=1@0..2  field number 0 (offset 2)");
    check("80 80 80 80 10 00", "field number 536870912 (offset 0)");
    check("f8 ff ff ff ff ff ff ff ff 01 00", "field number 2305843009213693951 (offset 0)");
    check("0e", "wire type 6 (offset 0)");
    check("0f", "wire type 7 (offset 0)");
}

#[test]
fn an_end_beyond_the_bytes_is_an_error_where_the_value_begins() {
    check("88", "needs 2 bytes, 1 are left (offset 0)");
    check("08", "needs 1 bytes, 0 are left (offset 1)");
    check("08 80 80", "needs 3 bytes, 2 are left (offset 1)");
    check("09 01 02 03", "needs 8 bytes, 3 are left (offset 1)");
    check("0d 01 02 03", "needs 4 bytes, 3 are left (offset 1)");
    check("12", "needs 1 bytes, 0 are left (offset 1)");
    check("12 03 61 62", "needs 3 bytes, 2 are left (offset 2)");
    check("12 ff ff ff ff 07", "needs 2147483647 bytes, 0 are left (offset 6)");
    check("12 80 80 80 80 08", "announces 2147483648 bytes, limit is 2147483647 (offset 6)");
    check(
        "12 ff ff ff ff ff ff ff ff ff 01",
        "announces 18446744073709551615 bytes, limit is 2147483647 (offset 11)",
    );
}

#[test]
fn groups_are_in_each_other() {
    check("0b 10 01 13 14 0c 18 02", "1={@0..1  2=1@1..3  2={@3..4  2=}@4..5  1=}@5..6  3=2@6..8");
    check("0b 0c 0b 0c", "1={@0..1  1=}@1..2  1={@2..3  1=}@3..4");
    // An end that is in bytes is none.
    check("0b 12 01 0c 0c", "1={@0..1  2=\"\\x0c\"@1..4  1=}@4..5");
}

#[test]
fn a_group_without_its_end_is_an_error_from_its_start_on() {
    check("0c", "group 1 ends and is not open (offset 0)");
    check("08 01 14", "1=1@0..2  group 2 ends and is not open (offset 2)");
    check("0b", "group 1 does not end (offset 1)");
    check("08 01 0b 13 14", "1=1@0..2  group 1 does not end (offset 5)");
    check("0b 13 0c", "group 1 ends within group 2 (offset 2)");
    check("0b 14", "group 2 ends within group 1 (offset 1)");
    check("0b 13 14 10", "needs 1 bytes, 0 are left (offset 4)");
    check("0b 0e 0c", "wire type 6 (offset 1)");
}

#[test]
fn groups_are_open_up_to_a_limit() {
    let nested = |depth: usize| [vec![0x0b; depth], vec![0x0c; depth]].concat();
    for depth in [1, 100, 200, GROUP_DEPTH_MAX] {
        let count = Walk::new(&nested(depth)).filter(Result::is_ok).count();
        assert_eq!(count, 2 * depth);
    }
    let at = GROUP_DEPTH_MAX;
    let first = Walk::new(&nested(GROUP_DEPTH_MAX + 1)).next();
    assert_eq!(first, Some(Err(WalkError { at, kind: WalkErrorKind::TooDeep })));
}

#[test]
fn a_group_can_be_passed_over() {
    let bytes = hex("08 01 0b 13 10 02 14 18 03 0c 20 04");
    let mut walk = Walk::new(&bytes);
    assert_eq!(walk.leave_group(), 0, "no group is open");
    let numbers: Vec<_> = walk.by_ref().take(4).map(|field| field.expect("whole").number).collect();
    assert_eq!((numbers, walk.clone().leave_group()), (vec![1, 1, 2, 2], 7));
    walk.leave_group();
    assert_eq!((walk.leave_group(), walk.leave_group()), (10, 10));
    assert_eq!(walk.next().map(|field| field.expect("whole").number), Some(4));
}

#[test]
fn a_walk_within_a_message_counts_from_the_same_byte() {
    let bytes = hex("08 01 1a 04 08 01 10 02 20 05");
    let check = |part, expect: &[(usize, usize)]| {
        let found = Walk::within(&bytes, part).map(|field| field.expect("whole").span);
        assert_eq!(found.map(|span| (span.start, span.end)).collect::<Vec<_>>(), expect);
    };
    check(4..8, &[(4, 6), (6, 8)]);
    check(8..10, &[(8, 10)]);
    check(8..99, &[(8, 10)]);
    check(99..120, &[]);
    check(5..5, &[]);
}

#[test]
fn what_is_written_is_walked_through() {
    #[track_caller]
    fn check(writer: Writer, expect: &str) {
        assert_eq!(show(&writer.finish()), expect);
    }
    let written = Writer::new;
    check(written().uint(1, 0).uint(2, u64::MAX), "1=0@0..2  2=18446744073709551615@2..13");
    check(written().int(1, -1), "1=18446744073709551615@0..11");
    check(
        written().sint(1, -1).sint(1, 1).sint(1, i64::MIN),
        "1=1@0..2  1=2@2..4  1=18446744073709551615@4..15",
    );
    check(written().bool(536_870_911, true), "536870911=1@0..6");
    check(written().fixed32(1, 1).fixed64(2, 2), "1=0x1@0..5  2=0x2L@5..14");
    check(written().text(1, "a").bytes(2, b"\xff"), "1=\"a\"@0..3  2=\"\\xff\"@3..6");
    check(written().message(3, written().uint(1, 5)), "3=\"\\x08\\x05\"@0..4");
    check(written().entry(7, "k", "v"), "7=\"\\n\\x01k\\x12\\x01v\"@0..8");
    check(written().group(4, written().uint(1, 5)), "4={@0..1  1=5@1..3  4=}@3..4");
    check(written().tag(0, WireType::VARINT), "field number 0 (offset 0)");
    check(written().tag(1, WireType(7)), "wire type 7 (offset 0)");
}

#[test]
fn signed_numbers_go_both_ways() {
    for (number, written) in
        [(0, 0), (-1, 1), (1, 2), (-2, 3), (i64::MAX, u64::MAX - 1), (i64::MIN, u64::MAX)]
    {
        assert_eq!((zigzag(number), unzigzag(written)), (written, number));
    }
}
