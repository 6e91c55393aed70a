//! The types that everybody imports and nobody gives along.

use super::Source;

/// `google/protobuf/<name>.proto`, as far as the bytes go.
const WELL_KNOWN: [Source<'static>; 7] = [
    Source {
        name: "google/protobuf/any.proto",
        text: "package google.protobuf; message Any { string type_url = 1; bytes value = 2; }",
    },
    Source {
        name: "google/protobuf/timestamp.proto",
        text: "package google.protobuf; message Timestamp { int64 seconds = 1; int32 nanos = 2; }",
    },
    Source {
        name: "google/protobuf/duration.proto",
        text: "package google.protobuf; message Duration { int64 seconds = 1; int32 nanos = 2; }",
    },
    Source { name: "google/protobuf/empty.proto", text: "package google.protobuf; message Empty {}" },
    Source {
        name: "google/protobuf/field_mask.proto",
        text: "package google.protobuf; message FieldMask { repeated string paths = 1; }",
    },
    Source {
        name: "google/protobuf/struct.proto",
        text: "package google.protobuf;
            message Struct { map<string, Value> fields = 1; }
            message Value {
                oneof kind {
                    NullValue null_value = 1; double number_value = 2; string string_value = 3;
                    bool bool_value = 4; Struct struct_value = 5; ListValue list_value = 6;
                }
            }
            message ListValue { repeated Value values = 1; }
            enum NullValue { NULL_VALUE = 0; }",
    },
    Source {
        name: "google/protobuf/wrappers.proto",
        text: "package google.protobuf;
            message DoubleValue { double value = 1; } message FloatValue { float value = 1; }
            message Int64Value { int64 value = 1; } message UInt64Value { uint64 value = 1; }
            message Int32Value { int32 value = 1; } message UInt32Value { uint32 value = 1; }
            message BoolValue { bool value = 1; } message StringValue { string value = 1; }
            message BytesValue { bytes value = 1; }",
    },
];

/// The texts, and those of the well-known types that they name and do not bring along.
pub(super) fn with_imported<'a>(sources: &[Source<'a>]) -> Vec<Source<'a>> {
    let wanted = |known: &Source<'_>| {
        let is_given = sources.iter().any(|source| source.name.ends_with(known.name));
        !is_given && sources.iter().any(|source| source.text.contains(known.name))
    };
    sources.iter().copied().chain(WELL_KNOWN.into_iter().filter(wanted)).collect()
}
