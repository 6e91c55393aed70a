//! Fields by name, as `name = value @span`, one to a line; masked ones in brackets, problems behind a `!`.

use super::*;
use crate::{Dissection, Value};

const TEXT: &str = r#"
    message Create {
        string id = 1;
        bool wait = 2;
        repeated string dns = 3;
        repeated uint64 ports = 4;
        Spec OCI = 6;
        map<string, string> labels = 7;
        map<string, Box> boxes = 8;
        map<int32, uint64> sizes = 9;
        bytes data = 10;
        Mode mode = 11;
        Numbers numbers = 12;
        repeated Mode modes = 13;
        map<bool, Mode> switches = 14;
        repeated fixed32 fixed = 15;
        Create again = 16;
    }
    message Spec { Process Process = 2; map<string, string> Annotations = 7; repeated Box boxes = 9; }
    message Process { bool Terminal = 1; Box ConsoleSize = 2; repeated string Args = 4; }
    message Box { uint32 Height = 1; uint32 Width = 2; }
    message Numbers {
        double double = 1; float float = 2; int32 int32 = 3; int64 int64 = 4; uint32 uint32 = 5; uint64 uint64 = 6;
        sint32 sint32 = 7; sint64 sint64 = 8; fixed32 fixed32 = 9; fixed64 fixed64 = 10; sfixed32 sfixed32 = 11;
        sfixed64 sfixed64 = 12;
    }
    enum Mode { OFF = 0; ON = 1; LOW = -8; }
"#;

fn show(found: &Dissection) -> Vec<String> {
    let fields = found.fields.iter().map(|field| {
        let value = match &field.value {
            Value::Uint(value) => value.to_string(),
            Value::Int(value) => value.to_string(),
            Value::Hex(value) => format!("{value:#x}"),
            Value::Text(text) => format!("{text:?}"),
            Value::Float(bits) => f64::from_bits(*bits).to_string(),
            Value::Bool(value) => value.to_string(),
            Value::Empty => "nothing".to_owned(),
            Value::Null | Value::Bytes | Value::Unread => "bytes".to_owned(),
        };
        let label = field.label.as_ref().map(|label| format!(" {label}")).unwrap_or_default();
        let line = format!("{} = {value}{label} @{}..{}", field.name, field.span.start, field.span.end);
        if field.mask == Some(crate::SYNTAX) { format!("[{line}]") } else { line }
    });
    let problems = found
        .problems
        .iter()
        .map(|problem| format!("! {} @{}..{}", problem.what, problem.span.start, problem.span.end));
    fields.chain(problems).collect()
}

#[track_caller]
fn check(text: &str, expect: &[&str]) {
    let (schema, bytes) = (schema(TEXT), hex(text));
    let found = dissect(&schema, "Create", &bytes, 0);
    assert_eq!(show(&found), expect, "{text}");
    assert!(found.covers(bytes.len()), "{text}");
    assert_eq!(found.title, "Create");
}

#[test]
fn scalars_lists_and_messages_have_names() {
    check("", &[]);
    check(
        "0a 02 63 32 10 01 10 00",
        &[
            "id = \"c2\" @0..4",
            "wait = true @4..6",
            "wait = false @6..8",
            "! a field comes again, and the last one counts @6..8",
        ],
    );
    check("1a 01 61 0a 00 1a 01 62", &["dns.0 = \"a\" @0..3", "id = \"\" @3..5", "dns.1 = \"b\" @5..8"]);
    check(
        "32 12 12 10 08 01 12 04 08 18 10 50 22 02 2f 61 22 02 2f 62",
        &[
            "[OCI = 18 @0..2]",
            "[OCI.Process = 16 @2..4]",
            "OCI.Process.Terminal = true @4..6",
            "[OCI.Process.ConsoleSize = 4 @6..8]",
            "OCI.Process.ConsoleSize.Height = 24 @8..10",
            "OCI.Process.ConsoleSize.Width = 80 @10..12",
            "OCI.Process.Args.0 = \"/a\" @12..16",
            "OCI.Process.Args.1 = \"/b\" @16..20",
        ],
    );
    check(
        "32 08 4a 02 08 01 4a 00 4a 00",
        &[
            "[OCI = 8 @0..2]",
            "[OCI.boxes.0 = 2 @2..4]",
            "OCI.boxes.0.Height = 1 @4..6",
            "OCI.boxes.1 = nothing {} @6..8",
            "OCI.boxes.2 = nothing {} @8..10",
        ],
    );
    check("32 00", &["OCI = nothing {} @0..2"]);
    check("52 02 ff 00", &["data = bytes @0..4"]);
}

/// Elements of a message that is merged are counted anew: it is said that they are.
#[test]
fn a_message_that_comes_again_is_a_problem() {
    check(
        "32 04 12 02 08 01 32 02 12 00",
        &[
            "[OCI = 4 @0..2]",
            "[OCI.Process = 2 @2..4]",
            "OCI.Process.Terminal = true @4..6",
            "[OCI = 2 @6..8]",
            "OCI.Process = nothing {} @8..10",
            "! a message comes again, and is merged @6..10",
        ],
    );
}

#[test]
fn enums_have_labels() {
    check("58 01", &["mode = 1 ON @0..2"]);
    check("58 07", &["mode = 7 @0..2"]);
    check("58 f8 ff ff ff ff ff ff ff ff 01", &["mode = -8 LOW @0..11"]);
    check("58 f8 ff ff ff 0f", &["mode = 4294967288 @0..6", "! does not fit `Mode` @0..6"]);
}

#[test]
fn numbers_are_read_by_their_type() {
    let numbers = "09 000000000000f83f 15 000020c0 18 ffffffffffffffffff01 20 05 28 06 30 07 38 03 40 04 \
        4d ffffffff 51 0200000000000000 5d ffffffff 61 feffffffffffffff";
    check(
        &format!("62 3f {numbers}"),
        &[
            "[numbers = 63 @0..2]",
            "numbers.double = 1.5 @2..11",
            "numbers.float = -2.5 @11..16",
            "numbers.int32 = -1 @16..27",
            "numbers.int64 = 5 @27..29",
            "numbers.uint32 = 6 @29..31",
            "numbers.uint64 = 7 @31..33",
            "numbers.sint32 = -2 @33..35",
            "numbers.sint64 = 2 @35..37",
            "numbers.fixed32 = 4294967295 @37..42",
            "numbers.fixed64 = 2 @42..51",
            "numbers.sfixed32 = -1 @51..56",
            "numbers.sfixed64 = -2 @56..65",
        ],
    );
}

#[test]
fn repeated_numbers_may_be_packed_or_not() {
    check(
        "22 03 01 96 01 20 05 22 00 22 01 07",
        &[
            "[ports = 3 @0..2]",
            "ports.0 = 1 @2..3",
            "ports.1 = 150 @3..5",
            "ports.2 = 5 @5..7",
            "ports = nothing [] @7..9",
            "[ports = 1 @9..11]",
            "ports.3 = 7 @11..12",
        ],
    );
    check("6a 02 01 00", &["[modes = 2 @0..2]", "modes.0 = 1 ON @2..3", "modes.1 = 0 OFF @3..4"]);
    check("7a 08 01 00 00 00 02 00 00 00", &["[fixed = 8 @0..2]", "fixed.0 = 1 @2..6", "fixed.1 = 2 @6..10"]);
    check(
        "22 02 01 80 10 01",
        &[
            "[ports = 2 @0..2]",
            "ports.0 = 1 @2..3",
            "ports.unknown = bytes @3..4",
            "wait = true @4..6",
            "! needs 2 bytes, 1 are left (offset 3) @3..4",
        ],
    );
    check(
        "7a 05 01 00 00 00 02",
        &[
            "[fixed = 5 @0..2]",
            "fixed.0 = 1 @2..6",
            "fixed.unknown = bytes @6..7",
            "! needs 4 bytes, 1 are left (offset 6) @6..7",
        ],
    );
}

#[test]
fn entries_of_maps_are_called_by_their_key() {
    check("3a 06 0a 01 6b 12 01 76", &["labels.k = \"v\" @0..8"]);
    check(
        "3a 03 0a 01 6b 3a 03 12 01 76 3a 00",
        &["labels.k = \"\" @0..5", "labels.'' = \"v\" @5..10", "labels.'' = \"\" @10..12"],
    );
    check("3a 08 0a 03 61 2e 62 12 01 76", &["labels.a\\.b = \"v\" @0..10"]);
    check(
        "42 07 0a 01 6b 12 02 08 05 42 05 0a 01 6b 12 00 42 03 0a 01 6b",
        &[
            "[boxes.k = 2 @0..7]",
            "boxes.k.Height = 5 @7..9",
            "boxes.k = nothing {} @9..16",
            "boxes.k = nothing {} @16..21",
        ],
    );
    check("4a 0d 08 ff ff ff ff ff ff ff ff ff 01 10 03", &["sizes.'-1' = 3 @0..15"]);
    check(
        "72 04 08 01 10 01 72 02 10 01",
        &["switches.'true' = 1 ON @0..6", "switches.'false' = 1 ON @6..10"],
    );
    check("32 08 3a 06 0a 01 6b 12 01 76", &["[OCI = 8 @0..2]", "OCI.Annotations.k = \"v\" @2..10"]);
}

#[test]
fn an_entry_that_is_more_than_key_and_value_is_a_message() {
    let what = "! an entry that is not a key and a value";
    check(
        "3a 06 12 01 76 0a 01 6b",
        &[
            "[labels.k = 6 @0..2]",
            "labels.k.value = \"v\" @2..5",
            "labels.k.key = \"k\" @5..8",
            &format!("{what} @0..8"),
        ],
    );
    check(
        "3a 08 0a 01 6b 12 01 76 18 01",
        &[
            "[labels.k = 8 @0..2]",
            "labels.k.key = \"k\" @2..5",
            "labels.k.value = \"v\" @5..8",
            "labels.k.?3 = bytes @8..10",
            &format!("{what} @0..10"),
        ],
    );
    check(
        "3a 05 0a 01 6b 12 05",
        &[
            "[labels.k = 5 @0..2]",
            "labels.k.key = \"k\" @2..5",
            "labels.k.unknown = bytes @5..7",
            &format!("{what} @0..7"),
            "! needs 5 bytes, 0 are left (offset 7) @7..7",
        ],
    );
    check(
        "42 06 0a 01 6b 12 01 08",
        &[
            "[boxes.k = 1 @0..7]",
            "boxes.k.unknown = bytes @7..8",
            "! needs 1 bytes, 0 are left (offset 8) @8..8",
        ],
    );
}

#[test]
fn unknown_fields_are_called_by_their_number() {
    check(
        "f8 06 01 32 07 98 06 01 9b 06 9c 06 0a 00",
        &[
            "?111 = bytes @0..3",
            "[OCI = 7 @3..5]",
            "OCI.?99 = bytes @5..8",
            "OCI.?99 = bytes @8..12",
            "id = \"\" @12..14",
        ],
    );
    check("9b 06 0b 0c 08 01 9c 06 10 01", &["?99 = bytes @0..8", "wait = true @8..10"]);
}

#[test]
fn another_wire_type_is_a_problem() {
    check("08 01 10 01", &["id = bytes @0..2", "wait = true @2..4", "! VARINT where `string` has LEN @0..2"]);
    check("12 01 01", &["wait = bytes @0..3", "! LEN where `bool` has VARINT @0..3"]);
    check("25 01 00 00 00", &["ports = bytes @0..5", "! FIXED32 where `uint64` has VARINT @0..5"]);
    check("30 01", &["OCI = bytes @0..2", "! VARINT where `Spec` has LEN @0..2"]);
    check("38 01", &["labels = bytes @0..2", "! VARINT where `map<string, string>` has LEN @0..2"]);
    check(
        "33 08 01 34 10 01",
        &["OCI = bytes @0..4", "wait = true @4..6", "! GROUP_START where `Spec` has LEN @0..1"],
    );
}

#[test]
fn text_that_is_not_utf8_is_a_problem() {
    check("0a 02 61 ff", &["id = \"a\\\\xff\" @0..4", "! text that is not UTF-8 @2..4"]);
    check("3a 06 0a 01 ff 12 01 76", &["labels.\\\\xff = \"v\" @0..8", "! text that is not UTF-8 @4..5"]);
}

#[test]
fn a_number_that_does_not_fit_is_a_problem() {
    check("10 02", &["wait = 2 true @0..2", "! does not fit `bool` @0..2"]);
    check(
        "62 06 28 80 80 80 80 10",
        &["[numbers = 6 @0..2]", "numbers.uint32 = 4294967296 @2..8", "! does not fit `uint32` @2..8"],
    );
    check(
        "62 06 18 ff ff ff ff 0f",
        &["[numbers = 6 @0..2]", "numbers.int32 = 4294967295 @2..8", "! does not fit `int32` @2..8"],
    );
}

#[test]
fn what_is_behind_an_error_is_unknown_up_to_the_end_of_its_message() {
    check(
        "0a 00 07 01 02",
        &["id = \"\" @0..2", "unknown = bytes @2..5", "! field number 0 (offset 2) @2..5"],
    );
    check(
        "32 06 12 00 12 09 01 02 10 01",
        &[
            "[OCI = 6 @0..2]",
            "OCI.Process = nothing {} @2..4",
            "OCI.unknown = bytes @4..8",
            "wait = true @8..10",
            "! needs 9 bytes, 2 are left (offset 6) @6..8",
        ],
    );
    check("0c", &["unknown = bytes @0..1", "! group 1 ends and is not open (offset 0) @0..1"]);
}

#[test]
fn spans_begin_at_the_base() {
    let found = dissect(&schema(TEXT), "Create", &hex("0a 01 ff 32 02 0a 05"), 100);
    assert_eq!(
        show(&found),
        [
            "id = \"\\\\xff\" @100..103",
            "[OCI = 2 @103..105]",
            "OCI.unknown = bytes @105..107",
            "! text that is not UTF-8 @102..103",
            "! needs 5 bytes, 0 are left (offset 107) @107..107",
        ]
    );
}

#[test]
fn a_message_that_nobody_knows_is_unknown() {
    let found = dissect(&schema(TEXT), "Delete", &hex("0a 00"), 10);
    let what = "! no message of the schema is called `Delete` @10..12";
    assert_eq!(show(&found), ["unknown = bytes @10..12", what]);
}

#[test]
fn messages_are_looked_into_up_to_a_limit() {
    let nested =
        |depth| (1..depth).fold(Writer::new().bool(2, true), |inner, _| Writer::new().message(16, inner));
    let schema = schema(TEXT);
    for (depth, problems) in [(MESSAGE_DEPTH_MAX, 0), (MESSAGE_DEPTH_MAX + 1, 1), (3 * MESSAGE_DEPTH_MAX, 1)]
    {
        let bytes = nested(depth).finish();
        let found = dissect(&schema, "Create", &bytes, 0);
        assert!(found.covers(bytes.len()), "{depth}");
        assert_eq!(found.problems.len(), problems, "{depth}");
        assert_eq!(found.fields.len(), MESSAGE_DEPTH_MAX, "{depth}");
        assert!(found.fields.iter().all(|field| field.name.len() <= crate::json::NAME_MAX), "{depth}");
    }
}

#[test]
fn there_are_fields_up_to_a_limit() {
    let schema = schema(TEXT);
    let fields = hex("10 01").repeat(FIELDS_MAX + 5);
    let packed = Writer::new().bytes(4, &vec![1; FIELDS_MAX + 5]).finish();
    for bytes in [&fields[..], &packed] {
        let found = dissect(&schema, "Create", bytes, 0);
        assert!(found.covers(bytes.len()));
        assert_eq!(found.fields.len(), FIELDS_MAX + 1);
        assert_eq!(found.fields.last().map(|field| &field.name[..]), Some("unknown"));
        assert!(found.problems.iter().any(|problem| problem.what == "more than 262144 fields"));
    }
    let exactly = hex("22 01 01").repeat(FIELDS_MAX / 2);
    let found = dissect(&schema, "Create", &exactly, 0);
    assert_eq!((found.fields.len(), found.problems.len()), (FIELDS_MAX, 0));
}
