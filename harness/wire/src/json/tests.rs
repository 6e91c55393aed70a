//! What is JSON by which rules, what it means, and how it reads as fields. Properties over arbitrary bytes,
//! and what `serde_json` says to them, are in [`properties`].

mod properties;

use super::*;
use crate::Dissection;

/// Rules with all liberties.
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

#[track_caller]
fn refused(rules: Rules, text: &[u8], offset: usize, what: &'static str) {
    let found = Document::parse(text, rules).map(|_| ());
    assert_eq!(found, Err(SyntaxError { offset, what }), "{}", text.escape_ascii());
}

#[track_caller]
fn text(rules: Rules, raw: &[u8], expect: &str) {
    let document = Document::parse(raw, rules).expect("JSON");
    assert_eq!(document.root().text().as_deref(), Some(expect), "{}", raw.escape_ascii());
}

#[test]
fn reads_every_kind_of_value() {
    let raw = br#" {"a": [null, true, -1.5e+3, "x"], "b": {}} "#;
    let document = Document::parse(raw, Rules::STRICT).expect("JSON");
    let root = document.root();
    assert_eq!((root.kind(), root.span()), (Kind::Object, 1..raw.len() - 1));
    let names = root.members().map(|(name, _)| name.into_owned()).collect::<Vec<_>>();
    assert_eq!(names, ["a", "b"]);
    let items = root.get("a").expect("a member").items().collect::<Vec<_>>();
    let kinds = items.iter().map(|item| item.kind()).collect::<Vec<_>>();
    assert_eq!(kinds, [Kind::Null, Kind::Bool, Kind::Number, Kind::Text]);
    assert!(items[0].is_null());
    assert_eq!(items[1].as_bool(), Some(true));
    assert_eq!((items[2].number(), items[2].as_i64()), (Some("-1.5e+3"), None));
    assert_eq!((items[3].raw(), items[3].text().as_deref()), (&b"\"x\""[..], Some("x")));
    assert_eq!(root.get("b").map(|b| (b.kind(), b.members().count())), Some((Kind::Object, 0)));
    assert!(root.get("c").is_none() && items[0].get("a").is_none() && root.items().next().is_none());
}

#[test]
fn the_last_member_of_a_name_counts() {
    let document = Document::parse(br#"{"a":1,"\u0061":2,"b":3}"#, Rules::STRICT).expect("JSON");
    assert_eq!(document.root().get("a").and_then(Value::as_i64), Some(2));
    assert_eq!(document.root().members().count(), 3);
    refused(Rules::QEMU, br#"{"a":1,"\u0061":2,"b":3}"#, 7, "a member name comes twice");
    // Also among many, wherever it stands.
    for at in [0, 15, 16, 39] {
        let members = (0..40).map(|name| format!("\"{name}\":0,")).collect::<String>();
        let twice = format!("{{{members}\"{at}\":0}}");
        refused(Rules::QEMU, twice.as_bytes(), 1 + members.len(), "a member name comes twice");
    }
}

#[test]
fn refuses_what_is_no_json() {
    for (raw, offset, what) in [
        ("", 0, "ends before the value does"),
        ("[1", 2, "ends before the value does"),
        ("{} x", 3, "more behind the value"),
        ("[1,]", 3, "a value is expected"),
        ("[1 2]", 3, "`,` or `]` is expected"),
        ("[1}", 2, "`,` or `]` is expected"),
        (r#"{"a":1,}"#, 7, "a member name is expected"),
        (r#"{"a" 1}"#, 5, "`:` is expected"),
        (r#"{"a":1]"#, 6, "`,` or `}` is expected"),
        ("{a:1}", 1, "a member name is expected"),
        ("'a'", 0, "a value is expected"),
        ("007", 1, "more behind the value"),
        ("-", 1, "a digit is expected"),
        ("1.", 2, "a digit is expected"),
        ("1e+", 3, "a digit is expected"),
        ("nul", 0, "a value is expected"),
        ("NaN", 0, "a value is expected"),
        ("inf", 0, "a value is expected"),
        ("\"a", 2, "text without its closing quote"),
        (r#""\x""#, 1, "an unknown escape"),
        (r#""\u12g4""#, 1, "an unknown escape"),
        (r#""\'""#, 1, "an unknown escape"),
        (r#""a\ud800""#, 2, "an escaped surrogate stands alone"),
        ("\"a\tb\"", 2, "a control byte in text"),
        ("\u{feff}1", 0, "a value is expected"),
    ] {
        refused(Rules::STRICT, raw.as_bytes(), offset, what);
    }
    refused(Rules::STRICT, b"\"\xff\"", 1, "no UTF-8");
    refused(Rules::STRICT, b"\"\xc0\x80\"", 1, "no UTF-8");
    refused(Rules::STRICT, b"\"\xed\xa0\x80\"", 1, "no UTF-8");
    refused(Rules::STRICT, b"\"\xe2\x82", 1, "no UTF-8");
    for raw in ["\"\u{fdd0}\"", "\"\u{fffe}\"", "\"\u{1ffff}\"", r#""\ufdef""#, r#""\ud83f\udffe""#] {
        refused(Rules::QEMU, raw.as_bytes(), 1, "a noncharacter");
        assert!(Document::parse(raw.as_bytes(), Rules::STRICT).is_ok(), "{raw}");
    }
    for raw in ["0e5", "-0E1"] {
        let behind = raw.len() - 2;
        refused(Rules::QEMU, raw.as_bytes(), behind, "more behind the value");
        assert!(Document::parse(raw.as_bytes(), Rules::STRICT).is_ok(), "{raw}");
    }
}

#[test]
fn the_limits_of_depth_and_number_are_exact() {
    let nested = |depth: usize| ["[".repeat(depth), "]".repeat(depth)].concat();
    assert!(Document::parse(nested(DEPTH_MAX).as_bytes(), Rules::STRICT).is_ok());
    refused(Rules::STRICT, nested(DEPTH_MAX + 1).as_bytes(), DEPTH_MAX, "nested deeper than the limit");
    // What is closed is no depth.
    let flat = ["[", &"[],".repeat(DEPTH_MAX + 1), "{}]"].concat();
    assert!(Document::parse(flat.as_bytes(), Rules { depth_max: 2, ..Rules::STRICT }).is_ok());
    let few = Rules { nodes_max: 4, ..Rules::STRICT };
    assert!(Document::parse(br#"{"a":[1]}"#, few).is_ok());
    refused(few, br#"{"a":[1,2]}"#, 8, "more values than the limit");
}

#[test]
fn each_liberty_is_a_switch() {
    for (raw, rules) in [
        (&b"[NaN, Infinity, -Infinity]"[..], Rules::PYTHON),
        (b"[inf, -inf, nan, -nan]", Rules::QEMU_REPLY),
        (b"['a\\'b\"']", Rules::QEMU),
        (b"\"\\ud800\"", Rules::PYTHON),
        (b"\"\xed\xa0\x80\"", Rules { raw_utf8_surrogates: true, ..Rules::STRICT }),
        (b"\"\xc0\x80\"", Rules::QEMU),
        (b"\"\xff\"", Rules { broken_utf8: true, ..Rules::STRICT }),
        (b"\"\n\"", Rules { control_bytes: true, ..Rules::STRICT }),
    ] {
        assert!(Document::parse(raw, Rules::STRICT).is_err(), "{}", raw.escape_ascii());
        assert!(Document::parse(raw, rules).is_ok(), "{}", raw.escape_ascii());
        assert!(Document::parse(raw, LOOSE).is_ok(), "{}", raw.escape_ascii());
    }
}

#[test]
fn text_says_what_it_means() {
    text(Rules::STRICT, br#""\"\\\/\b\f\n\r\t\u00e9\uD83D\ude00""#, "\"\\/\u{8}\u{c}\n\r\té😀");
    text(Rules::STRICT, "\"é😀\u{7f}'\"".as_bytes(), "é😀\u{7f}'");
    let edges = "\u{7f}\u{80}\u{7ff}\u{800}\u{d7ff}\u{e000}\u{ffff}\u{10000}\u{10ffff}";
    text(Rules::STRICT, format!("\"{edges}\"").as_bytes(), edges);
    text(
        Rules::STRICT,
        br#""\ud800\udc00\ud83c\udfff\udbff\udfff\ud7ff\ue000""#,
        "\u{10000}\u{1f3ff}\u{10ffff}\u{d7ff}\u{e000}",
    );
    text(LOOSE, br#"'\''"#, "'");
    text(LOOSE, br#""\ud800\ud83d\ude00\udc00x""#, "\u{fffd}😀\u{fffd}x");
    text(LOOSE, b"\"\xed\xa0\x80\xc0\x80\n\"", "\u{fffd}\0\n");
    let replaced = Rules { broken_utf8: true, ..Rules::STRICT };
    text(replaced, b"\"\xed\xa0\x80\xc0\x80\"", "\u{fffd}\u{fffd}\u{fffd}\u{fffd}\u{fffd}");
    // One for each maximal part, as the decoders of Rust and of Python 3 have it.
    text(LOOSE, b"\"\xff\xfe\x80a\xe2\x82b\xf0\x9f\x98\"", "\u{fffd}\u{fffd}\u{fffd}a\u{fffd}b\u{fffd}");
}

#[test]
fn integers_are_those_that_are_written_so() {
    for (raw, expect) in [
        ("0", Some(0)),
        ("-0", Some(0)),
        ("9223372036854775807", Some(i64::MAX)),
        ("9223372036854775808", None),
        ("2.0", None),
        ("2e0", None),
        ("NaN", None),
        ("\"2\"", None),
    ] {
        let document = Document::parse(raw.as_bytes(), LOOSE).expect("JSON");
        assert_eq!(document.root().as_i64(), expect, "{raw}");
    }
}

#[track_caller]
fn same(one: &str, other: &str, expect: bool) {
    let parse = |raw: &'static str| Document::parse(raw.as_bytes(), LOOSE).expect("JSON");
    let (one, other) = (parse(one.to_owned().leak()), parse(other.to_owned().leak()));
    assert_eq!(same_value(one.root(), other.root()), expect);
    assert_eq!(same_value(other.root(), one.root()), expect);
}

#[test]
fn values_are_compared_by_meaning() {
    for number in ["1", "1.0", "1e0", "10e-1", "0.01E+2", "0.1e1", "1.000e00"] {
        same("1", number, true);
        same("1", &format!("-{number}"), false);
    }
    same("0", "-0.00e999999999999999999999999999999999999999999", true);
    same("1e400", "10e399", true);
    same("18446744073709551616", "18446744073709551617", false);
    same("0.1", "0.10000000000000001", false);
    same("1e99999999999999999999999999999999999999999", "1e99999999999999999999999999999999999999999", true);
    same("inf", "Infinity", true);
    same("-inf", "inf", false);
    same("nan", "NaN", true);
    same("1", "\"1\"", false);
    same("true", "1", false);
    same("\"\\u0061\"", "\"a\"", true);
    same("\"\\ud800\"", "\"\\ud801\"", false);
    same("[]", "{}", false);
    same("[1,2]", "[2,1]", false);
    same("[1,2]", "[1]", false);
    same(r#"{"a":1,"b":[{}]}"#, r#"{"b":[{}],"a":1.0}"#, true);
    same(r#"{"a":1,"a":2}"#, r#"{"a":2}"#, true);
    same(r#"{"a":1}"#, r#"{"a":1,"b":null}"#, false);
}

fn plain(raw: &[u8]) -> Dissection {
    dissect(raw, Rules::STRICT, &|_| None)
}

/// The fields but for those of syntax, as `name=span`.
#[track_caller]
fn fields(raw: &[u8], expect: &[(&str, &str)]) {
    let found = plain(raw);
    assert!(found.covers(raw.len()), "{found:?}");
    let fields = found.fields.iter().filter(|field| field.mask != Some(SYNTAX));
    let fields = fields.map(|field| (field.name.as_ref(), &raw[field.span.clone()])).collect::<Vec<_>>();
    let expect = expect.iter().map(|(name, raw)| (*name, raw.as_bytes())).collect::<Vec<_>>();
    assert_eq!(fields, expect);
}

#[test]
fn fields_are_named_by_their_path() {
    fields(
        br#"{"free-ram": "22303", "disks": [{"used": 5}, []], "memory-stat": {"swap_in": 0}, "e": {}}"#,
        &[
            ("free-ram", "\"22303\""),
            ("disks.0.used", "5"),
            ("disks.1", "[]"),
            ("memory-stat.swap_in", "0"),
            ("e", "{}"),
        ],
    );
    fields(b" 5\n", &[("'value'", "5")]);
    fields(b"[[1],2]", &[("0.0", "1"), ("1", "2")]);
    fields(
        br#"{"a.b":1,"":{"":2},"0":3,"syntax":4,"a\nb'":5}"#,
        &[("a\\.b", "1"), ("''.''", "2"), ("'0'", "3"), ("syntax", "4"), ("a\\nb\\'", "5")],
    );
}

#[test]
fn values_of_fields_keep_their_kind() {
    use crate::Value::{Bool, Empty, Int, Null, Text, Uint};
    for (raw, value, label) in [
        ("5", Int(5), None),
        ("18446744073709551615", Uint(u64::MAX), None),
        ("1.0", Text("1.0".to_owned()), Some("number")),
        ("\"1.0\"", Text("1.0".to_owned()), None),
        ("true", Bool(true), None),
        ("false", Bool(false), None),
        ("null", Null, None),
        ("[ ]", Empty, Some("[]")),
        ("{}", Empty, Some("{}")),
    ] {
        let found = plain(raw.as_bytes());
        let [field] = &found.fields[..] else { panic!("{found:?}") };
        assert_eq!((&field.value, field.label.as_deref()), (&value, label), "{raw}");
    }
}

#[test]
fn what_cannot_be_read_is_unknown() {
    fields(br#"{"a":1,"b":[2,"x}"#, &[("a", "1"), ("b.0", "2"), ("unknown", "\"x}")]);
    fields(b"hello", &[("unknown", "hello")]);
    fields(b"{} {}", &[("'value'", "{}"), ("unknown", "{}")]);
    fields(b"{\"a\":", &[]);
    fields(b"", &[]);
    let found = plain(b"{\"a\":\"\x01\"}");
    assert_eq!(found.problems.len(), 1);
    assert_eq!(
        (found.problems[0].span.clone(), found.problems[0].what.as_str()),
        (6..7, "a control byte in text")
    );
    let twice = plain(br#"{"a":1,"a":2}"#);
    assert_eq!(twice.problems.len(), 1);
    assert_eq!(twice.problems[0].span, 7..10);
}

#[test]
fn names_of_fields_have_a_limit() {
    let long = format!("{{\"{}\":1}}", "é".repeat(NAME_MAX));
    let found = plain(long.as_bytes());
    let name = found.fields.iter().find(|field| field.mask.is_none()).map(|field| field.name.as_ref());
    let name = name.expect("a field");
    assert!(name.len() <= NAME_MAX && name.contains("é…"), "{name}");
}

#[test]
fn masks_are_asked_for_by_name() {
    let mask = |name: &str| name.starts_with("memory-stat.").then_some("memory");
    let found = dissect(br#"{"memory-stat":{"a":1},"b":2}"#, Rules::STRICT, &mask);
    assert_eq!(found.field("memory-stat.a").and_then(|field| field.mask), Some("memory"));
    assert_eq!(found.field("b").map(|field| field.mask), Some(None));
}

#[test]
fn text_is_written_in_ascii() {
    let (mut lower, mut upper) = (String::new(), String::new());
    write_text(&mut lower, "a\"\\\u{8}\u{c}\n\r\t\0\u{7f}é😀/");
    write_text_upper(&mut upper, "é😀");
    assert_eq!(lower, r#""a\"\\\b\f\n\r\t\u0000\u007f\u00e9\ud83d\ude00/""#);
    assert_eq!(upper, r#""\u00E9\uD83D\uDE00""#);
}
