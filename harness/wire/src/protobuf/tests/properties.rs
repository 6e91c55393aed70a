//! Against `prost`, which is somebody else's reading of the same specification, and over arbitrary bytes.

use std::collections::BTreeMap;

use proptest::prelude::*;
use prost::Message as _;

use super::*;
use crate::Value;
use crate::protobuf::walk::varint;

/// Every type that the schema knows, as `prost` has it.
#[derive(Clone, PartialEq, prost::Message)]
struct Peer {
    #[prost(double, tag = "1")]
    double: f64,
    #[prost(float, tag = "2")]
    float: f32,
    #[prost(int32, tag = "3")]
    int32: i32,
    #[prost(int64, tag = "4")]
    int64: i64,
    #[prost(uint32, tag = "5")]
    uint32: u32,
    #[prost(uint64, tag = "6")]
    uint64: u64,
    #[prost(sint32, tag = "7")]
    sint32: i32,
    #[prost(sint64, tag = "8")]
    sint64: i64,
    #[prost(fixed32, tag = "9")]
    fixed32: u32,
    #[prost(fixed64, tag = "10")]
    fixed64: u64,
    #[prost(sfixed32, tag = "11")]
    sfixed32: i32,
    #[prost(sfixed64, tag = "12")]
    sfixed64: i64,
    #[prost(bool, tag = "13")]
    bool: bool,
    #[prost(string, tag = "14")]
    string: String,
    #[prost(bytes = "vec", tag = "15")]
    bytes: Vec<u8>,
    #[prost(enumeration = "Mode", tag = "16")]
    mode: i32,
    #[prost(message, optional, boxed, tag = "17")]
    inner: Option<Box<Peer>>,
    #[prost(message, repeated, tag = "18")]
    list: Vec<Peer>,
    #[prost(sint64, repeated, tag = "19")]
    packed: Vec<i64>,
    #[prost(uint32, repeated, packed = "false", tag = "20")]
    unpacked: Vec<u32>,
    #[prost(btree_map = "string, uint64", tag = "21")]
    by_name: BTreeMap<String, u64>,
    #[prost(btree_map = "int32, message", tag = "22")]
    by_number: BTreeMap<i32, Peer>,
    #[prost(string, repeated, tag = "536870911")]
    texts: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, prost::Enumeration)]
#[repr(i32)]
enum Mode {
    Off = 0,
    On = 1,
    Low = -8,
}

const TEXT: &str = r#"
    syntax = "proto3";
    message Peer {
        double double = 1; float float = 2; int32 int32 = 3; int64 int64 = 4; uint32 uint32 = 5; uint64 uint64 = 6;
        sint32 sint32 = 7; sint64 sint64 = 8; fixed32 fixed32 = 9; fixed64 fixed64 = 10; sfixed32 sfixed32 = 11;
        sfixed64 sfixed64 = 12; bool bool = 13; string string = 14; bytes bytes = 15; Mode mode = 16; Peer inner = 17;
        repeated Peer list = 18; repeated sint64 packed = 19; repeated uint32 unpacked = 20;
        map<string, uint64> by_name = 21; map<int32, Peer> by_number = 22; repeated string texts = 536870911;
    }
    enum Mode { OFF = 0; ON = 1; LOW = -8; }
"#;

/// A message without messages in it.
fn flat() -> impl Strategy<Value = Peer> {
    let numbers = (any::<f64>(), any::<f32>(), any::<i32>(), any::<i64>(), any::<u32>(), any::<u64>());
    let more = (any::<i32>(), any::<i64>(), any::<u32>(), any::<u64>(), any::<i32>(), any::<i64>());
    let texts = prop::collection::vec(".{0,6}", 0..3);
    let lists = (prop::collection::vec(any::<i64>(), 0..4), prop::collection::vec(any::<u32>(), 0..4), texts);
    let rest = (
        any::<bool>(),
        ".{0,12}",
        prop::collection::vec(any::<u8>(), 0..12),
        prop::sample::select(&[0, 1, -8, 5][..]),
    );
    let by_name = prop::collection::btree_map("[a-z.]{0,5}", any::<u64>(), 0..3);
    (numbers, more, lists, rest, by_name).prop_map(|(numbers, more, lists, rest, by_name)| {
        let (double, float, int32, int64, uint32, uint64) = numbers;
        let (sint32, sint64, fixed32, fixed64, sfixed32, sfixed64) = more;
        let ((packed, unpacked, texts), (bool, string, bytes, mode)) = (lists, rest);
        let numbers = Peer { double, float, int32, int64, uint32, uint64, ..Peer::default() };
        let more = Peer { sint32, sint64, fixed32, fixed64, sfixed32, sfixed64, ..numbers };
        Peer { packed, unpacked, texts, bool, string, bytes, mode, by_name, ..more }
    })
}

/// Messages in each other.
fn peer() -> impl Strategy<Value = Peer> {
    prop_oneof![flat(), Just(Peer::default())].prop_recursive(3, 12, 3, |inner| {
        let list = prop::collection::vec(inner.clone(), 0..3);
        let by_number = prop::collection::btree_map(any::<i32>(), inner.clone(), 0..2);
        (flat(), prop::option::of(inner.prop_map(Box::new)), list, by_number)
            .prop_map(|(flat, inner, list, by_number)| Peer { inner, list, by_number, ..flat })
    })
}

/// What the walk says that a message is, field by field and without a schema.
fn walked(bytes: &[u8]) -> Peer {
    let mut peer = Peer::default();
    let part = |part: &std::ops::Range<usize>| &bytes[part.clone()];
    let text = |span: &std::ops::Range<usize>| String::from_utf8(part(span).to_vec()).expect("text");
    for field in Walk::new(bytes) {
        let field = field.expect("whole");
        match (field.number, &field.value) {
            (1, FieldValue::Fixed64(bits)) => peer.double = f64::from_bits(*bits),
            (2, FieldValue::Fixed32(bits)) => peer.float = f32::from_bits(*bits),
            (3, FieldValue::Varint(bits)) => peer.int32 = narrow(bits.cast_signed()),
            (4, FieldValue::Varint(bits)) => peer.int64 = bits.cast_signed(),
            (5, FieldValue::Varint(bits)) => peer.uint32 = u32::try_from(*bits).expect("32 bits"),
            (6, FieldValue::Varint(bits)) => peer.uint64 = *bits,
            (7, FieldValue::Varint(bits)) => peer.sint32 = narrow(unzigzag(*bits)),
            (8, FieldValue::Varint(bits)) => peer.sint64 = unzigzag(*bits),
            (9, FieldValue::Fixed32(bits)) => peer.fixed32 = *bits,
            (10, FieldValue::Fixed64(bits)) => peer.fixed64 = *bits,
            (11, FieldValue::Fixed32(bits)) => peer.sfixed32 = bits.cast_signed(),
            (12, FieldValue::Fixed64(bits)) => peer.sfixed64 = bits.cast_signed(),
            (13, FieldValue::Varint(bits)) => peer.bool = *bits == 1,
            (14, FieldValue::Len(span)) => peer.string = text(span),
            (15, FieldValue::Len(span)) => peer.bytes = part(span).to_vec(),
            (16, FieldValue::Varint(bits)) => peer.mode = narrow(bits.cast_signed()),
            (17, FieldValue::Len(span)) => peer.inner = Some(Box::new(walked(part(span)))),
            (18, FieldValue::Len(span)) => peer.list.push(walked(part(span))),
            // Packed numbers are as those of fields without a tag.
            (19, FieldValue::Len(span)) => {
                let mut at = span.start;
                while at < span.end {
                    let (bits, end) = varint(part(&(0..span.end)), at).expect("whole");
                    peer.packed.push(unzigzag(bits));
                    at = end;
                }
            }
            (20, FieldValue::Varint(bits)) => peer.unpacked.push(u32::try_from(*bits).expect("32 bits")),
            (21, FieldValue::Len(span)) => {
                let (mut key, mut value) = (String::new(), 0);
                for field in Walk::within(bytes, span.clone()).map(|field| field.expect("whole")) {
                    match (field.number, field.value) {
                        (1, FieldValue::Len(span)) => key = text(&span),
                        (2, FieldValue::Varint(bits)) => value = bits,
                        other => panic!("{other:?}"),
                    }
                }
                peer.by_name.insert(key, value);
            }
            (22, FieldValue::Len(span)) => {
                let (mut key, mut value) = (0, Peer::default());
                for field in Walk::within(bytes, span.clone()).map(|field| field.expect("whole")) {
                    match (field.number, field.value) {
                        (1, FieldValue::Varint(bits)) => key = narrow(bits.cast_signed()),
                        (2, FieldValue::Len(span)) => value = walked(part(&span)),
                        other => panic!("{other:?}"),
                    }
                }
                peer.by_number.insert(key, value);
            }
            (NUMBER_MAX, FieldValue::Len(span)) => peer.texts.push(text(span)),
            other => panic!("{other:?}"),
        }
    }
    peer
}

fn narrow(number: i64) -> i32 {
    i32::try_from(number).expect("32 bits")
}

/// A field of any number and wire type.
fn field() -> impl Strategy<Value = Vec<u8>> {
    let bytes = prop::collection::vec(any::<u8>(), 0..9);
    (0..24_u32, 0..=6_u8, any::<u64>(), bytes).prop_map(|(number, wire_type, value, bytes)| {
        let writer = Writer::new();
        let field = match wire_type {
            0 => writer.uint(number, value),
            1 => writer.fixed64(number, value),
            2 | 6 => writer.bytes(number, &bytes),
            5 => writer.fixed32(number, value.to_le_bytes()[0].into()),
            start_or_end => writer.tag(number, WireType(start_or_end)),
        };
        field.finish().to_vec()
    })
}

/// Bytes that are fields more often than not.
fn likely() -> impl Strategy<Value = Vec<u8>> {
    let field = prop_oneof![5 => field(), 1 => prop::collection::vec(any::<u8>(), 0..6)];
    prop::collection::vec(field, 0..12).prop_map(|fields| fields.concat())
}

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![likely(), prop::collection::vec(any::<u8>(), 0..200)]
}

proptest! {
    #[test]
    fn what_prost_writes_is_walked_through_and_written_again(peer in peer()) {
        let bytes = peer.encode_to_vec();
        let written = Walk::new(&bytes).fold(Writer::new(), |writer, field| {
            writer.field(&field.expect("whole"), &bytes)
        });
        prop_assert_eq!(written.finish(), &bytes[..]);
        // Numbers that are none are equal here by their bits.
        prop_assert_eq!(walked(&bytes).encode_to_vec(), bytes);
    }

    #[test]
    fn what_prost_writes_is_dissected_without_a_problem(peer in peer()) {
        let bytes = peer.encode_to_vec();
        let found = dissect(&schema(TEXT), "Peer", &bytes, 0);
        prop_assert!(found.covers(bytes.len()));
        prop_assert_eq!(&found.problems, &[]);
        prop_assert!(found.fields.iter().all(|field| !field.name.contains('?')));
        let value = |name: &str| found.field(name).map(|field| field.value.clone());
        // What is the default is not written.
        let is_default = |value: &Value| match value {
            Value::Text(text) => text.is_empty(),
            value => matches!(value, Value::Int(0) | Value::Uint(0) | Value::Bool(false)),
        };
        let expect = |value: Value| Some(value).filter(|value| !is_default(value));
        prop_assert_eq!(value("int32"), expect(Value::Int(peer.int32.into())));
        prop_assert_eq!(value("uint64"), expect(Value::Uint(peer.uint64)));
        prop_assert_eq!(value("sint64"), expect(Value::Int(peer.sint64)));
        prop_assert_eq!(value("sfixed32"), expect(Value::Int(peer.sfixed32.into())));
        prop_assert_eq!(value("bool"), expect(Value::Bool(peer.bool)));
        prop_assert_eq!(value("string"), expect(Value::Text(peer.string.clone())));
        for (at, number) in peer.packed.iter().enumerate() {
            prop_assert_eq!(value(&format!("packed.{at}")), Some(Value::Int(*number)));
        }
        for (at, number) in peer.unpacked.iter().enumerate() {
            prop_assert_eq!(value(&format!("unpacked.{at}")), Some(Value::Uint((*number).into())));
        }
        for (key, number) in &peer.by_name {
            let name = if key.is_empty() { "''".to_owned() } else { key.replace('.', "\\.") };
            let name = format!("by_name.{name}");
            prop_assert_eq!(value(&name), Some(Value::Uint(*number)));
        }
    }

    /// `prost` knows nothing of a message without fields: it takes whatever is well formed.
    #[test]
    fn the_walk_takes_what_prost_takes(bytes in likely()) {
        #[derive(Clone, PartialEq, prost::Message)]
        struct Nothing {}
        let ours = Walk::new(&bytes).all(|field| field.is_ok());
        let theirs = Nothing::decode(&bytes[..]);
        prop_assert_eq!(ours, theirs.is_ok(), "{:?}", theirs);
    }

    #[test]
    fn fields_lie_one_behind_the_other(bytes in bytes()) {
        let mut walk = Walk::new(&bytes);
        let mut at = 0;
        for item in walk.by_ref() {
            let Ok(field) = item else { break };
            prop_assert_eq!(field.span.start, at);
            prop_assert!((1..=NUMBER_MAX).contains(&field.number));
            at = field.span.end;
        }
        prop_assert_eq!(walk.at(), at);
        prop_assert!(walk.next().is_none(), "an error is the last item");
        let found = dissect(&schema(TEXT), "Peer", &bytes, 7);
        let end = 7 + bytes.len();
        let mut spans = found.fields.iter().map(|field| field.span.clone());
        let covered = spans.try_fold(7, |at, span| (span.start == at).then_some(span.end));
        prop_assert_eq!(covered, Some(end));
        for span in found.problems.iter().map(|problem| problem.span.clone()) {
            prop_assert!(7 <= span.start && span.start <= span.end && span.end <= end, "{:?}", span);
        }
        prop_assert_eq!(at < bytes.len(), found.field("unknown").is_some());
    }

    #[test]
    fn any_text_is_a_schema_or_an_error(text in "[a-c{}()<>=;,.0-9 \n\"/*-]{0,60}|.{0,60}") {
        let lines = text.split('\n').count();
        if let Err(error) = Schema::parse(&[Source { name: "x", text: &text }]) {
            prop_assert!((1..=lines).contains(&error.line), "{}", error);
        }
    }

    /// Words of the language in any order.
    #[test]
    fn any_words_are_a_schema_or_an_error(
        words in prop::collection::vec(prop::sample::select(&WORDS[..]), 0..40),
    ) {
        let _ = Schema::parse(&[Source { name: "x", text: &words.join(" ") }]);
    }
}

const WORDS: [&str; 34] = [
    "message", "enum", "service", "rpc", "returns", "oneof", "reserved", "repeated", "optional", "map",
    "package", "import", "syntax", "to", "max", "stream", "string", "uint32", "A", "B", "A.B", "{", "}", "(",
    ")", "<", ">", "=", ";", ",", "1", "2", "-", "\"a\"",
];
