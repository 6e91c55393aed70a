//! Descriptors, as another compiler writes them.

use prost::Message as _;

use super::*;

/// All that the language has.
const TEXT: &str = r#"
syntax = "proto3";
package a.b;
message M {
  string id = 1;
  repeated uint32 ports = 2;
  optional bool wait = 3;
  Inner inner = 4;
  map<string, Inner> by_name = 5;
  map<int32, bytes> by_number = 6;
  repeated Mode modes = 7;
  .a.b.M.Inner.Deep deep = 8;
  oneof one { string text = 20; Inner message = 21; }
  reserved 9, 11 to 13, 100 to max;
  reserved "old", "older";
  optional double last = 22;
  message Inner {
    Deep deep = 1;
    message Deep { Mode mode = 1; }
    enum Mode { X = 0; }
  }
}
message Scalars {
  double a = 1; float b = 2; int32 c = 3; int64 d = 4; uint32 e = 5; uint64 f = 6; sint32 g = 7; sint64 h = 8;
  fixed32 i = 9; fixed64 j = 10; sfixed32 k = 11; sfixed64 l = 12; bool m = 13; string n = 14; bytes o = 15;
}
enum Mode { OFF = 0; ON = 1; LOW = -8; }
message Empty {}
service Tasks {
  rpc Start(M) returns (Empty);
  rpc Watch(stream M) returns (stream a.b.M.Inner);
}
"#;

/// What protox, a compiler that shares nothing with ours, makes of it.
fn compiled(text: &str) -> Vec<u8> {
    let folder = tempfile::tempdir().expect("a folder can be made");
    std::fs::write(folder.path().join("a.proto"), text).expect("a file can be written");
    protox::compile(["a.proto"], [folder.path()]).expect("what the language has").encode_to_vec()
}

#[test]
fn descriptors_say_what_the_text_says() {
    let bytes = compiled(TEXT);
    assert_eq!(Schema::of_descriptors(&bytes), Ok(schema(TEXT)));
    for end in 0..bytes.len() {
        // A set has one field here, so that a part of it is none.
        let error = Schema::of_descriptors(&bytes[..end]).expect_err("truncated");
        assert!(error.at <= end, "{error}");
    }
}

#[test]
fn what_is_wrong_has_an_offset() {
    #[track_caller]
    fn check(message: Writer, expect: &str) {
        let file = Writer::new().text(1, "a.proto").bytes(4, &message.finish());
        let set = Writer::new().bytes(1, &file.finish()).finish();
        let error = Schema::of_descriptors(&set).expect_err(expect);
        assert_eq!(error.to_string(), expect);
    }
    let field = |number, kind| Writer::new().text(1, "f").int(3, number).uint(5, kind).finish();
    let message = || Writer::new().text(1, "M");
    check(Writer::new(), "a name is missing (offset 13)");
    check(Writer::new().text(1, "a.b"), "a name with a dot in it (offset 13)");
    check(Writer::new().bytes(1, b"\xff"), "a name is not UTF-8 (offset 15)");
    check(message().bytes(2, &field(0, 9)), "a number that no field can have (offset 18)");
    check(message().bytes(2, &field(-1, 9)), "a number that no field can have (offset 18)");
    check(message().bytes(2, &field(1, 99)), "a type that is none (offset 18)");
    check(message().bytes(2, &field(1, 10)), "groups are not understood (offset 18)");
    check(message().bytes(2, &field(1, 11)), "no type is called `` (offset 18)");
    let twice = field(1, 9);
    check(message().bytes(2, &twice).bytes(2, &twice), "`f` or its number 1 is there twice (offset 27)");
    let lost = Writer::new().text(1, "f").int(3, 1).uint(5, 9).uint(9, u64::MAX).finish();
    check(message().bytes(2, &lost), "a oneof that is not there (offset 13)");
    let map = Writer::new().text(1, "E").bytes(7, &Writer::new().bool(7, true).finish()).finish();
    check(message().bytes(3, &map), "a map without key or value (offset 18)");
    let deep = (0..16).fold(message().finish(), |inner, _| message().bytes(3, &inner).finish());
    check(message().bytes(3, &deep), "messages are nested too deep (offset 93)");
    assert_eq!(
        Schema::of_descriptors(b"").map_err(|error| error.to_string()),
        Err("there is no file in it (offset 0)".to_owned())
    );
}

#[test]
fn what_would_be_read_as_something_else_is_refused() {
    #[track_caller]
    fn check(bytes: &[u8], expect: &str) {
        let error = Schema::of_descriptors(bytes).expect_err(expect);
        assert_eq!(error.what, expect);
    }
    let proto2 = |text: &str| compiled(&format!("syntax = \"proto2\"; {text}"));
    let extended = "message A { extensions 100 to 200; }";
    let extension = "extend A { optional int32 x = 100; }";
    check(&proto2("message A { required string a = 1; }"), "`required` is not understood");
    check(&proto2(&format!("{extended} {extension}")), "extensions are not understood");
    check(&proto2(&format!("{extended} message B {{ {extension} }}")), "extensions are not understood");
    assert!(Schema::of_descriptors(&proto2("message A { optional string a = 1; }")).is_ok());
    // Nobody here compiles editions: the options of a message, of one of its fields, and of the file.
    let features = |number| Writer::new().message(number, Writer::new().uint(1, 1));
    let field = Writer::new().text(1, "f").uint(3, 1).uint(5, 9);
    let message = |field: Writer| Writer::new().text(1, "M").message(2, field);
    let file = |message: Writer| Writer::new().text(1, "a.proto").message(4, message);
    let set = |file: Writer| Writer::new().message(1, file).finish();
    let refused = "features of editions are not understood";
    check(&set(file(message(field.clone().message(8, features(21))))), refused);
    check(&set(file(message(field.clone()).message(7, features(12)))), refused);
    check(&set(file(message(field.clone())).message(8, features(50))), refused);
    assert!(Schema::of_descriptors(&set(file(message(field)))).is_ok());
}
