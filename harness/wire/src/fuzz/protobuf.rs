//! Fields of protobuf, without a schema and with one.

use std::sync::LazyLock;

use crate::json::NAME_MAX;
use crate::protobuf::{
    FIELDS_MAX, FieldAt, FieldValue, NUMBER_MAX, Schema, Source, Walk, WalkError, Writer, dissect,
};
use crate::{SYNTAX, UNKNOWN};

/// Every type, in messages that hold each other.
const TEXT: &str = r#"
    syntax = "proto3";
    message All {
        double double = 1; float float = 2; int32 int32 = 3; sint32 sint32 = 4; uint32 uint32 = 5; bool bool = 6;
        string string = 7; bytes bytes = 8; Mode mode = 9; All inner = 10; repeated All list = 11;
        repeated sint64 numbers = 12; repeated fixed32 fixed = 13; map<string, string> texts = 14;
        map<int32, All> messages = 15; repeated string words = 16; map<bool, sfixed64> switches = 17;
    }
    message Request { string service = 1; string method = 2; bytes payload = 3; int64 timeout_nano = 4; }
    message Empty {}
    enum Mode { OFF = 0; ON = 1; LOW = -8; }
"#;

const MESSAGES: [&str; 4] = ["All", "Request", "Empty", "Absent"];

static SCHEMA: LazyLock<Schema> = LazyLock::new(|| {
    Schema::parse(&[Source { name: "fuzz.proto", text: TEXT }]).unwrap_or_else(|error| panic!("{error}"))
});

/// Any bytes as a message; the first one chooses which. Fields lie one behind the other up to the first error, come
/// back as they were when they are written again, and those with names cover all bytes, also what is broken.
///
/// # Panics
/// One of these does not hold.
pub fn protobuf_walk(data: &[u8]) {
    let (variant, bytes) = data.split_first().map_or((0, data), |(variant, bytes)| (*variant, bytes));
    let error = check_walk(bytes);
    check_written(bytes, error.is_some());
    let message = MESSAGES.get(usize::from(variant) % MESSAGES.len()).copied().unwrap_or("All");
    // Where the bytes begin says nothing.
    let base = usize::from(variant >> 4);
    let found = dissect(&SCHEMA, message, bytes, base);
    let mut at = base;
    for field in &found.fields {
        assert_eq!(field.span.start, at, "every byte is in one field");
        assert!(!field.span.is_empty() && field.name.len() <= NAME_MAX);
        assert!(field.mask.is_none_or(|mask| mask == SYNTAX));
        at = field.span.end;
    }
    assert_eq!(at, base + bytes.len(), "every byte is in one field");
    assert!(found.fields.len() <= FIELDS_MAX + 1);
    for problem in &found.problems {
        assert!(
            base <= problem.span.start && problem.span.start <= problem.span.end && problem.span.end <= at
        );
    }
    if error.is_some() && message != "Absent" {
        assert!(!found.problems.is_empty(), "what is wrong is said");
        assert_eq!(
            found.fields.last().map(|field| &*field.name),
            Some(UNKNOWN),
            "nothing is read behind an error"
        );
    }
}

/// Any bytes as descriptors or as text of others; the first one chooses. What is read is in order and whole: numbers and
/// names are there once, and every type is of the schema. What is wrong has a place inside.
///
/// # Panics
/// One of these does not hold.
pub fn protobuf_schema(data: &[u8]) {
    let (variant, bytes) = data.split_first().map_or((0, data), |(variant, bytes)| (*variant, bytes));
    if variant % 2 == 1 {
        match Schema::of_descriptors(bytes) {
            Ok(schema) => check_schema(&schema),
            Err(error) => assert!(error.at <= bytes.len(), "{error} lies outside of the bytes"),
        }
        return;
    }
    let text = String::from_utf8_lossy(bytes);
    let sources = [Source { name: "fuzz.proto", text: &text }];
    match Schema::parse_foreign(&sources) {
        Ok((schema, _)) => check_schema(&schema),
        Err(error) => {
            let lines = text.matches('\n').count() + 1;
            assert!((1..=lines).contains(&error.line), "{error} lies outside of the text");
        }
    }
    // Whoever is understood under the strict rules is understood as the same under the others, which add the well-known types that
    // a text names, be it in a comment.
    if let (Ok(own), false) = (Schema::parse(&sources), text.contains("google/protobuf/")) {
        assert_eq!(Schema::parse_foreign(&sources).map(|(schema, _)| schema), Ok(own));
    }
}

fn check_schema(schema: &Schema) {
    assert!(schema.messages().is_sorted_by(|one, other| one.name < other.name), "messages lie by name");
    for message in schema.messages() {
        assert!(message.fields.is_sorted_by(|one, other| one.number < other.number), "fields lie by number");
        for field in &message.fields {
            assert!((1..=NUMBER_MAX).contains(&field.number) && !schema.type_name(field.kind).contains('?'));
            assert!(field.oneof.is_none_or(|at| at < message.oneofs.len()), "its oneof is there");
        }
    }
    for method in schema.services().iter().flat_map(|service| &service.methods) {
        assert!(
            [&method.request, &method.response].map(|name| schema.message(name)).iter().all(Option::is_some)
        );
    }
}

/// Walks over all bytes; says what is wrong with them.
fn check_walk(bytes: &[u8]) -> Option<WalkError> {
    let mut walk = Walk::new(bytes);
    let (mut at, mut open) = (0, Vec::new());
    let error = loop {
        let FieldAt { number, span, value } = match walk.next() {
            Some(Ok(field)) => field,
            Some(Err(error)) => break Some(error),
            None => break None,
        };
        assert_eq!((span.start, walk.at()), (at, span.end), "fields lie one behind the other");
        assert!((1..=NUMBER_MAX).contains(&number) && !span.is_empty());
        at = span.end;
        match value {
            FieldValue::Len(part) => {
                assert_eq!(part.end, span.end);
                let inner = Walk::within(bytes, part.clone()).filter_map(Result::ok);
                assert!(
                    inner
                        .into_iter()
                        .all(|field| part.start <= field.span.start && field.span.end <= part.end)
                );
            }
            FieldValue::GroupStart => open.push(number),
            FieldValue::GroupEnd => assert_eq!(open.pop(), Some(number), "the innermost group ends"),
            _ => {}
        }
    };
    assert!(open.is_empty(), "a group without an end does not begin");
    assert!(walk.next().is_none() && walk.at() == at, "an error is the last item");
    match error {
        Some(error) => assert!((at..=bytes.len()).contains(&error.at), "{error} lies outside of the bytes"),
        None => assert_eq!(at, bytes.len()),
    }
    error
}

/// Fields that are written again are the same, in no more bytes.
fn check_written(bytes: &[u8], failed: bool) {
    let fields = || Walk::new(bytes).filter_map(Result::ok);
    let written = fields().fold(Writer::new(), |writer, field| writer.field(&field, bytes)).finish();
    assert!(written.len() <= bytes.len(), "as short as they can be");
    assert!(failed || written.len() < bytes.len() || written == bytes, "what cannot be shorter is the same");
    let mut again = Walk::new(&written);
    for field in fields() {
        let found = again.next().and_then(Result::ok).expect("what is written is right");
        let same = match (&field.value, &found.value) {
            (FieldValue::Len(was), FieldValue::Len(is)) => bytes.get(was.clone()) == written.get(is.clone()),
            (was, is) => was == is,
        };
        assert!(same && field.number == found.number, "{field:?} is written as {found:?}");
    }
    assert!(again.next().is_none());
}
