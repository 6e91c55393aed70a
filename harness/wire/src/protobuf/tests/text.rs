//! `.proto` text: what is read, and which line is refused for what.

use super::*;
use schema::{Element, Label, Scalar, Type};

const TEXT: &str = r#"
    syntax = "proto3";
    package grpc;

    // One line,
    /* and
       several. */
    message Request {
        string id = 1;
        repeated uint32 ports = 0x2;
        optional bool wait = 3;
        Inner inner = 4;
        map<string, Inner> by_name = 5;
        map<int32, bytes> by_number = 6;
        repeated Mode modes = 7;
        .grpc.Request.Inner.Deep deep = 8;
        oneof one {
            string text = 20;
            Inner message = 21;
        }
        reserved 9, 11 to 13, 100 to max;
        reserved "old", "older";
        message Inner {
            Deep deep = 1;
            message Deep { Mode mode = 1; };
            enum Mode { X = 0; }
        }
    }
    enum Mode { OFF = 0; ON = 1; LOW = -8; }
    message Empty {}
    service Tasks {
        rpc Start(Request) returns (Empty);
        rpc Watch(stream Request) returns (stream grpc.Request.Inner);
    }
"#;

#[test]
fn messages_have_their_fields_by_number() {
    let schema = schema(TEXT);
    let message = schema.message("grpc.Request").expect("defined");
    let show = |field: &schema::Field| {
        let label = match field.label {
            Label::Singular => "",
            Label::Optional => "optional ",
            Label::Repeated => "repeated ",
        };
        let oneof = field.oneof.map(|at| format!(" of {}", message.oneofs[at])).unwrap_or_default();
        format!("{label}{} {} = {}{oneof}", schema.type_name(field.kind), field.name, field.number)
    };
    let fields: Vec<_> = message.fields.iter().map(show).collect();
    assert_eq!(
        fields,
        [
            "string id = 1",
            "repeated uint32 ports = 2",
            "optional bool wait = 3",
            "grpc.Request.Inner inner = 4",
            "repeated map<string, grpc.Request.Inner> by_name = 5",
            "repeated map<int32, bytes> by_number = 6",
            "repeated grpc.Mode modes = 7",
            "grpc.Request.Inner.Deep deep = 8",
            "string text = 20 of one",
            "grpc.Request.Inner message = 21 of one",
        ]
    );
    assert_eq!(message.reserved, [(9, 9), (11, 13), (100, NUMBER_MAX)]);
    assert_eq!(message.reserved_names, ["old", "older"]);
    let field = message.field(4).expect("defined");
    assert_eq!((field.name.as_str(), message.field_of_name("inner")), ("inner", Some(field)));
    assert_eq!((message.field(10), message.field_of_name("outer")), (None, None));
    let Type::One(Element::Message(id)) = field.kind else { panic!("{field:?}") };
    assert_eq!(schema.message_of(id).map(|message| &message.name[..]), Some("grpc.Request.Inner"));
}

/// The innermost definition of a name is meant.
#[test]
fn names_are_looked_up_from_the_inside() {
    let schema = schema(TEXT);
    let deep = schema.message("grpc.Request.Inner.Deep").expect("defined");
    assert_eq!(schema.type_name(deep.fields[0].kind), "grpc.Request.Inner.Mode");
    let names: Vec<_> = schema.messages().iter().map(|message| &message.name[..]).collect();
    assert_eq!(names, ["grpc.Empty", "grpc.Request", "grpc.Request.Inner", "grpc.Request.Inner.Deep"]);
}

#[test]
fn enums_and_methods_are_found_by_name() {
    let schema = schema(TEXT);
    let mode = schema.enum_of_name("grpc.Mode").expect("defined");
    assert_eq!([0, 1, -8, 2].map(|number| mode.label(number)), [Some("OFF"), Some("ON"), Some("LOW"), None]);
    let method = schema.method("grpc.Tasks", "Watch").expect("defined");
    assert_eq!((&method.request[..], method.request_stream), ("grpc.Request", true));
    assert_eq!((&method.response[..], method.response_stream), ("grpc.Request.Inner", true));
    assert_eq!(schema.method("grpc.Tasks", "Start").map(|method| method.response_stream), Some(false));
    assert_eq!(schema.method("grpc.Tasks", "Stop"), None);
    assert_eq!(schema.method("Tasks", "Start"), None);
    assert_eq!((schema.enums().len(), schema.services().len()), (2, 1));
    assert_eq!(schema.message("Request"), None);
}

#[test]
fn a_schema_may_have_several_texts() {
    let types =
        Source { name: "types.proto", text: "package types;\nmessage Interface { string name = 1; }" };
    let agent = Source {
        name: "agent.proto",
        text: "package grpc;\nimport 'types.proto';\nmessage Update { types.Interface interface = 1; }",
    };
    let schema = Schema::parse(&[agent, types]).expect("each has what the other names");
    let update = schema.message("grpc.Update").expect("defined");
    assert_eq!(schema.type_name(update.fields[0].kind), "types.Interface");
    assert_eq!(Schema::parse(&[types, agent]), Ok(schema), "the order of texts says nothing");
    let error = Schema::parse(&[agent]).expect_err("one is missing");
    assert_eq!(error.to_string(), "agent.proto:2: `types.proto` is none of the texts");
    let error = Schema::parse(&[types, types]).expect_err("twice");
    assert_eq!(error.to_string(), "types.proto:2: `types.Interface` is there twice");
}

#[test]
fn a_schema_may_be_without_a_package() {
    let schema = schema("message A { B b = 1; message B {} } message B {}");
    let message = schema.message("A").expect("defined");
    assert_eq!(schema.type_name(message.fields[0].kind), "A.B");
    assert_eq!(super::schema("// nothing\n"), Schema::default());
}

#[test]
fn every_scalar_has_its_word_and_wire_type() {
    let wire_types = Scalar::ALL.map(|scalar| {
        assert_eq!(Scalar::of_name(scalar.name()), Some(scalar));
        scalar.wire_type().0
    });
    assert_eq!(wire_types, [1, 5, 0, 0, 0, 0, 0, 0, 5, 1, 5, 1, 0, 2, 2]);
    assert_eq!(Scalar::of_name("integer"), None);
}

#[test]
fn what_is_not_understood_is_an_error_with_its_line() {
    #[track_caller]
    fn check(text: &str, line: usize, what: &str) {
        let error = Schema::parse(&[Source { name: "x", text }]).expect_err(text);
        assert_eq!((error.line, &error.what[..]), (line, what), "{text}");
    }
    // Of the language.
    check("syntax = \"proto2\";", 1, "anything but `proto3`, said first, is not understood");
    check("package a;\nsyntax = \"proto3\";", 2, "anything but `proto3`, said first, is not understood");
    check("package a;\npackage b;", 2, "a second package");
    check("\noption go_package = \"x\";", 2, "`option` is not understood");
    check("extend A {}", 1, "`extend` is not understood");
    check("message A { required string a = 1; }", 1, "`=` is expected, not `a`");
    check("message A {\n  option x = true;\n}", 2, "a number is expected, not `true`");
    check("message A { string a = 1 [deprecated = true]; }", 1, "`[` is not understood");
    check("message A { extensions 4 to 5; }", 1, "a name is expected, not `4`");
    check("message A { group G = 1 {} }", 1, "`;` is expected, not `{`");
    check("message A { repeated map<string, string> a = 1; }", 1, "a name is expected, not `<`");
    check("message A { oneof o { repeated string a = 1; } }", 1, "`=` is expected, not `a`");
    check("service S { rpc M(A) returns (A) {} }", 1, "`;` is expected, not `{`");
    check("service S { rpc M(A) gives (A); }", 1, "`returns` is expected, not `gives`");
    check("service S { option x = 1; }", 1, "`rpc` is expected, not `option`");
    // Of the text.
    check("message", 1, "the text ends too early");
    check("message A {\n\n", 1, "the text ends too early");
    check("message A.B {}", 1, "a name is expected, not `A.B`");
    check("message A { a..b c = 1; }", 1, "a name is expected, not `a..b`");
    check("message A { string a = 1 }", 1, "`;` is expected, not `}`");
    check("/* a\nb", 1, "a comment without an end");
    check("import \"a\nb\";", 1, "a text without an end");
    check("import \"a\\n\";", 1, "escapes in text are not understood");
    check("\n\n#", 3, "`#` is not understood");
    check("message A { string a = 010; }", 1, "`010` is no number");
    check("message A { string a = 1e3; }", 1, "`1e3` is no number");
    check("message A { string a = 99999999999999999999; }", 1, "`99999999999999999999` is no number");
    // Of numbers and names.
    check("message A { string a = 0; }", 1, "no field can have number 0");
    check("message A { string a = 536870912; }", 1, "no field can have number 536870912");
    check("message A { string a = 19000; }", 1, "`a` or its number 19000 is reserved");
    check("message A { reserved 2 to 4; string a = 4; }", 1, "`a` or its number 4 is reserved");
    check("message A { string a = 4;\nreserved \"a\"; }", 1, "`a` or its number 4 is reserved");
    check("message A {\nstring a = 1;\nstring b = 1; }", 3, "`b` or its number 1 is there twice");
    check("message A {\nstring a = 1;\noneof o { string a = 2; } }", 3, "`a` or its number 2 is there twice");
    check("message A { B b = 1; }", 1, "no type is called `B`");
    check("message A { .B b = 1; } message C { message B {} }", 1, "no type is called `.B`");
    check("message A { map<bytes, string> a = 1; }", 1, "`bytes` cannot be the key of a map");
    check("message A { map<A, string> a = 1; }", 1, "`A` cannot be the key of a map");
    check("message A {}\nenum A { X = 0; }", 2, "`A` is there twice");
    check("enum E {}", 1, "`E` has no value");
    check("enum E { X = 0;\nX = 1; }", 2, "`X` or its number 1 is there twice");
    check("enum E { X = 0;\nY = 0; }", 2, "`Y` or its number 0 is there twice");
    check("enum E { X = 2147483648; }", 1, "no value of an enum can have number 2147483648");
    check("enum E { X = 0; }\nservice S { rpc M(E) returns (E); }", 2, "no message is called `E`");
    check(
        "message A {}\nservice S { rpc M(A) returns (A);\nrpc M(A) returns (A); }",
        3,
        "`M` is there twice",
    );
    let nested = |depth: usize| ["message A {".repeat(depth), "}".repeat(depth)].concat();
    check(&nested(17), 1, "messages are nested deeper than 16");
    assert!(Schema::parse(&[Source { name: "x", text: &nested(16) }]).is_ok());
}
