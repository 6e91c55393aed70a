//! `.proto` text of others: what says nothing of the bytes is passed over.

use super::*;

const TEXT: &str = r#"
syntax = "proto3";
package a;
import public "b/options.proto";
import weak "c.proto";
import "google/protobuf/timestamp.proto";
option go_package = "a/b;c";
option (own.file) = { list: [1, 2.5e3] text: "\"}" };
extend google.protobuf.FieldOptions { string unit = 50000; };
message M {
  option deprecated = true;
  extensions 100 to 199 [verification = UNVERIFIED];
  extend N { int32 more = 7; }
  string option = 1 [(own.size) = -1.5, deprecated = true];
  repeated int32 numbers = 2 [packed = false];
  oneof choice { option (own.choice) = "x"; google.protobuf.Timestamp at = 3 [json_name = "At"]; }
  map<string, N> by_name = 4 [(own.option) = { a: { b: 1 } }];
}
message N {}
enum E {
  option allow_alias = true;
  reserved 4 to 6, max; reserved "OLD";
  ZERO = 0 [deprecated = true]; NONE = 0;;
  reserved = 7;
}
service S {
  option (own.service) = 'it\'s';
  rpc Get(M) returns (stream N) { option (http) = { get: "/v1/{name=x/*}" body: "*" }; }
  rpc Put(M) returns (N) {}
}
"#;

/// The same without what is passed over.
const BARE: &str = r#"
package a;
message M {
  string option = 1;
  repeated int32 numbers = 2;
  oneof choice { google.protobuf.Timestamp at = 3; }
  map<string, N> by_name = 4;
}
message N {}
enum E { ZERO = 0; NONE = 7; }
service S { rpc Get(M) returns (stream N); rpc Put(M) returns (N); }
"#;

const TIMESTAMP: Source<'static> = Source {
    name: "google/protobuf/timestamp.proto",
    text: "package google.protobuf; message Timestamp { int64 seconds = 1; int32 nanos = 2; }",
};

#[test]
fn what_says_nothing_of_the_bytes_is_passed_over() {
    let (schema, places) =
        Schema::parse_foreign(&[Source { name: "a.proto", text: TEXT }]).expect("understood");
    let bare = Schema::parse(&[Source { name: "a.proto", text: BARE }, TIMESTAMP]).expect("the same");
    assert_eq!((schema.messages(), schema.services()), (bare.messages(), bare.services()));
    let values = &schema.enum_of_name("a.E").expect("defined").values;
    assert_eq!(*values, [(0, "ZERO".to_owned()), (0, "NONE".to_owned()), (7, "reserved".to_owned())]);
    let place = |name| places.get(name).map(ToString::to_string);
    assert_eq!(place("a.M").as_deref(), Some("a.proto:10"));
    assert_eq!(place("a.M.option").as_deref(), Some("a.proto:14"));
    assert_eq!(place("a.E.NONE").as_deref(), Some("a.proto:23"));
    assert_eq!(place("a.S.Put").as_deref(), Some("a.proto:29"));
    assert_eq!(place("a.M.none"), None);
}

#[test]
fn what_is_wrong_has_a_line() {
    #[track_caller]
    fn check(text: &str, expect: &str) {
        let error = Schema::parse_foreign(&[Source { name: "x", text }]).expect_err(text);
        assert_eq!(error.to_string(), expect, "{text}");
    }
    check("syntax = \"proto2\";", "x:1: anything but `proto3`, said first, is not understood");
    check("message A {\n  required string a = 1;\n}", "x:2: `=` is expected, not `a`");
    check("message A { string a = 1e3; }", "x:1: a number is expected, not `1e3`");
    check("option a = {\n;", "x:2: the text ends too early");
    check("extend A", "x:1: the text ends too early");
    check("message A { string a = 1 [\n", "x:1: the text ends too early");
    check(
        "import \"b.proto\";\nmessage A { b.B b = 1; }",
        "x:2: no type is called `b.B`; `b.proto`, which is imported, is not given",
    );
    let deep = format!("package {};\nmessage M {{}}", ["a"; 32].join("."));
    check(&deep, "x:2: a name of more than 512 bytes or 32 parts");
    let long = format!("message {} {{}}", "a".repeat(513));
    check(&long, "x:1: a name of more than 512 bytes or 32 parts");
    let reserved = format!("message M {{\n reserved {}1; }}", "2,".repeat(1024));
    check(&reserved, "x:2: more than 1024 things are reserved");
}
