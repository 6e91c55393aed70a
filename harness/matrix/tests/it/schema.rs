//! Every rule about schemas: a break that it finds, whom that hurts, and a harmless change that it lets pass.

use std::io::Write as _;
use std::os::fd::AsRawFd as _;

use matrix::{ReadSchema, compare_history, compare_schemas};

fn read(text: &str) -> ReadSchema {
    let texts = [("a.proto".to_owned(), text.to_owned())];
    ReadSchema::parse(&texts).unwrap_or_else(|error| panic!("{}: {text}", error.brief()))
}

/// `M` in a request, in a response, and where nobody says.
fn asked(body: &str) -> String {
    format!("{REST} message M {{ {body} }} message R {{}} service S {{ rpc Do(M) returns (R); }}")
}

fn answered(body: &str) -> String {
    format!("{REST} message M {{ {body} }} message R {{}} service S {{ rpc Do(R) returns (M); }}")
}

fn alone(body: &str) -> String {
    format!("{REST} message M {{ {body} }}")
}

/// What bodies may use.
const REST: &str = "enum E { ZERO = 0; ONE = 1; } enum F { NONE = 0; } message A { string a = 1; } message B { int32 b = 2; }";

fn breaks(old: &str, new: &str) -> Vec<String> {
    let found = compare_schemas(&read(old), &read(new)).breaks;
    found.iter().map(short).collect()
}

fn short(found: &matrix::Break) -> String {
    let certain = if found.certain { "" } else { "?" };
    format!("{} {} {}{certain}", found.kind.word(), found.subject, found.hurts.word())
}

#[track_caller]
fn check(old: &str, new: &str, expect: &[&str]) {
    assert_eq!(breaks(old, new), expect, "\n{old}\n{new}");
    assert_eq!(breaks(old, old), [""; 0], "the same is no break");
    assert_eq!(breaks(new, new), [""; 0], "the same is no break");
}

/// One field in a request: what is found, and whom it hurts in a request, in a response and where nobody says.
#[track_caller]
fn field(old: &str, new: &str, found: &str, [request, response, unknown]: [&str; 3]) {
    for (within, hurts) in [(asked as fn(&str) -> String, request), (answered, response), (alone, unknown)] {
        let expect = if found.is_empty() { vec![] } else { vec![format!("{found} {hurts}")] };
        let expect: Vec<_> = expect.iter().map(String::as_str).collect();
        check(&within(old), &within(new), &expect);
    }
}

const BOTH: [&str; 3] = ["both"; 3];
const NOBODY: [&str; 3] = [""; 3];
/// The same bytes.
const PERHAPS: [&str; 3] = ["both?"; 3];
/// Lost from an old writer to a new reader.
const FROM_OLD: [&str; 3] = ["old-client-new-server", "new-client-old-server", "both"];
/// Lost from a new writer to an old reader.
const FROM_NEW: [&str; 3] = ["new-client-old-server", "old-client-new-server", "both"];

#[test]
fn another_field_under_a_number() {
    let reused = "number-reused M#1";
    field("int32 a = 1;", "string b = 1;", reused, BOTH);
    field("int32 a = 1;", "int64 b = 1;", reused, BOTH);
    field("int32 a = 1;", "repeated int32 b = 1;", reused, BOTH);
    // Both names are still there, so this is no other name.
    check(
        &asked("int32 a = 1; int32 b = 2;"),
        &asked("int32 b = 1; int32 a = 2;"),
        &["number-reused M#1 both", "number-reused M#2 both"],
    );
    check(&asked("int32 a = 1;"), &asked("int32 b = 1; int32 a = 2;"), &["number-reused M#1 both"]);
    field("int32 a = 1;", "int32 a = 1; string b = 2;", "", NOBODY);
}

#[test]
fn another_type_under_a_number() {
    let changed = "type-changed M#1";
    // Readers misread it.
    for (was, is) in [
        ("int32", "string"),
        ("int32", "sint32"),
        ("int32", "fixed32"),
        ("float", "fixed32"),
        ("double", "int64"),
        ("string", "A"),
        ("A", "B"),
        ("map<string, int32>", "repeated A"),
        ("map<string, int32>", "map<int32, int32>"),
        ("map<string, int32>", "map<string, A>"),
        // Each holds what the other does not.
        ("int32", "uint32"),
        ("fixed32", "sfixed32"),
        ("uint64", "int64"),
    ] {
        field(&format!("{was} a = 1;"), &format!("{is} a = 1;"), changed, BOTH);
        field(&format!("{is} a = 1;"), &format!("{was} a = 1;"), changed, BOTH);
    }
    // The wider one holds all of the other.
    for (less, more) in [
        ("int32", "int64"),
        ("uint32", "uint64"),
        ("uint32", "int64"),
        ("bool", "uint32"),
        ("bool", "int32"),
        ("sint32", "sint64"),
        ("string", "bytes"),
        ("E", "int64"),
        ("bool", "E"),
        ("map<string, int32>", "map<string, int64>"),
        ("int32", "repeated int32"),
        ("string", "repeated string"),
        ("A", "repeated A"),
    ] {
        field(&format!("{less} a = 1;"), &format!("{more} a = 1;"), changed, FROM_NEW);
        field(&format!("{more} a = 1;"), &format!("{less} a = 1;"), changed, FROM_OLD);
    }
    for (was, is) in [("E", "int32"), ("E", "F"), ("A", "bytes")] {
        field(&format!("{was} a = 1;"), &format!("{is} a = 1;"), changed, PERHAPS);
        field(&format!("{is} a = 1;"), &format!("{was} a = 1;"), changed, PERHAPS);
    }
    field("int32 a = 1;", "optional int32 a = 1;", "", NOBODY);
}

#[test]
fn another_name_under_a_number() {
    field("string a = 1;", "string b = 1;", "renamed M#1", PERHAPS);
    field("A a = 1;", "A b = 1;", "renamed M#1", PERHAPS);
    field("string b = 2; string a = 1;", "string a = 1; string b = 2;", "", NOBODY);
}

#[test]
fn a_field_that_is_gone() {
    let hurts = ["both", "old-client-new-server", "both"];
    field("string a = 1;", "", "field-removed M#1", hurts);
    field("string a = 1;", "reserved 1;", "field-removed M#1", hurts);
    field("string a = 1;", "string a = 2;", "renumbered M#1", BOTH);
    field("", "string a = 1;", "", NOBODY);
    let told = |new: &str| {
        compare_schemas(&read(&asked("string a = 1;")), &read(&asked(new))).breaks[0].what.clone()
    };
    assert_eq!(told(""), "`string a` is gone; the number is not reserved, so that somebody may use it again");
    assert_eq!(told("reserved 1;"), "`string a` is gone; the number is reserved");
    assert_eq!(told("reserved \"a\";"), "`string a` is gone; the number is reserved");
}

#[test]
fn fields_that_join_or_leave_a_oneof() {
    let (apart, together) = ("string a = 1; string b = 2;", "oneof o { string a = 1; string b = 2; }");
    field(apart, together, "oneof-joined M.o", FROM_OLD);
    field(together, apart, "oneof-left M.o", FROM_NEW);
    field("oneof o { string a = 1; } string b = 2;", together, "oneof-joined M.o", FROM_OLD);
    // Alone it excludes nothing, and what is new nobody sent.
    field("string a = 1;", "oneof o { string a = 1; string b = 2; }", "", NOBODY);
    field("oneof o { string a = 1; }", "string a = 1;", "", NOBODY);
    field(together, "oneof p { string a = 1; string b = 2; }", "", NOBODY);
}

#[test]
fn values_that_are_gone_or_elsewhere() {
    let within = |values: &str, asked: bool| {
        let (request, response) = if asked { ("M", "R") } else { ("R", "M") };
        format!(
            "enum V {{ {values} }} message M {{ repeated V v = 1; }} message R {{}}
             service S {{ rpc Do({request}) returns ({response}); }}"
        )
    };
    let check_both = |old: &str, new: &str, found: &str, [request, response]: [&str; 2]| {
        for (asked, hurts) in [(true, request), (false, response)] {
            let expect = format!("{found} {hurts}");
            let expect = if found.is_empty() { vec![] } else { vec![expect.as_str()] };
            check(&within(old, asked), &within(new, asked), &expect);
        }
    };
    let (request, response) = ("old-client-new-server", "new-client-old-server");
    check_both("A = 0; B = 1;", "A = 0;", "value-removed V#1", [request, response]);
    check_both("A = 0; B = 1;", "A = 0; B = 2;", "renumbered V#1", ["both"; 2]);
    check_both("A = 0; B = 1;", "A = 0; C = 1;", "renamed V#1", ["both?"; 2]);
    check_both("A = 0;", "A = 0; B = 1;", "", [""; 2]);
}

#[test]
fn methods_and_services() {
    let service = |methods: &str| {
        format!("message A {{ string a = 1; }} message B {{ int32 b = 2; }} service S {{ {methods} }}")
    };
    let one = service("rpc Do(A) returns (B);");
    check(
        &service("rpc Do(A) returns (B); rpc Go(A) returns (B);"),
        &one,
        &["method-removed S/Go old-client-new-server"],
    );
    check(&one, &service("rpc Do(B) returns (B);"), &["request-changed S/Do both"]);
    check(&one, &service("rpc Do(A) returns (A);"), &["response-changed S/Do both"]);
    check(&one, &service("rpc Do(stream A) returns (B);"), &["stream-changed S/Do both"]);
    check(&one, &service("rpc Do(A) returns (stream B);"), &["stream-changed S/Do both"]);
    check(&one, &service("rpc Do(A) returns (B); rpc Go(A) returns (B);"), &[]);
    check(
        &format!("{one} service T {{ rpc Do(A) returns (B); }}"),
        &one,
        &["service-removed T old-client-new-server"],
    );
    check(&one, &format!("{one} service T {{ rpc Do(A) returns (B); }}"), &[]);
}

#[test]
fn a_message_that_is_gone_is_told_by_what_held_it() {
    let used = "message A { B b = 1; } message B {} service S { rpc Do(A) returns (A); }";
    check(used, "message A {} service S { rpc Do(A) returns (A); }", &["field-removed A#1 both"]);
    check(used, "", &["service-removed S old-client-new-server"]);
    check("message A {} message B {}", "message A {}", &["message-removed B both"]);
    check("message A {}", "message A {} message B {}", &[]);
}

#[test]
fn what_only_moved_is_compared_as_what_it_is() {
    let (old, new) =
        ("package a; message M { N n = 1; E e = 2; }", "package a; message M { b.N n = 1; b.E e = 2; }");
    let texts = |rest: &str, new: &str| {
        let texts = [("a.proto".to_owned(), new.to_owned()), ("b.proto".to_owned(), rest.to_owned())];
        ReadSchema::parse(&texts).unwrap_or_else(|error| panic!("{}", error.brief()))
    };
    let old = texts("package a; message N { string s = 1; } enum E { ZERO = 0; ONE = 1; }", old);
    let same = texts("package b; message N { string s = 1; } enum E { ZERO = 0; ONE = 1; }", new);
    assert_eq!(compare_schemas(&old, &same).breaks, []);
    let other = texts("package b; message N { int32 s = 1; } enum E { ZERO = 0; }", new);
    let found = compare_schemas(&old, &other).breaks;
    let found: Vec<_> =
        found.iter().map(|found| format!("{} {}", found.kind.word(), found.subject)).collect();
    assert_eq!(found, ["type-changed a.N#1", "value-removed a.E#1"]);
}

/// What each release breaks of all before it, from the second one on.
#[track_caller]
fn check_history(texts: &[String], expect: &[&[&str]]) {
    let schemas: Vec<_> = texts.iter().map(|text| read(text)).collect();
    let found = |last: usize| {
        let before: Vec<_> = schemas[..last].iter().collect();
        let breaks = compare_history(&before, &schemas[last]).breaks;
        breaks.iter().map(short).collect::<Vec<_>>()
    };
    let found: Vec<_> = (1..schemas.len()).map(found).collect();
    assert_eq!(found, expect, "{texts:?}");
}

#[test]
fn a_number_that_was_free_is_still_used_twice() {
    let bodies =
        ["bool a = 1;", "", "string b = 1;", "string b = 1;", "", "string b = 1;", "", "string c = 1;"];
    let gone = "field-removed M#1 both";
    check_history(
        &bodies.map(asked),
        &[&[gone], &["number-reused M#1 both"], &[], &[gone], &[], &[gone], &["renamed M#1 both?"]],
    );
    check_history(&["bool a = 1;", "", "string a = 1;"].map(asked), &[&[gone], &["type-changed M#1 both"]]);
}

#[test]
fn a_value_that_was_free_is_still_used_twice() {
    let values = ["A = 0; B = 1;", "A = 0;", "A = 0; C = 1;", "A = 0;", "A = 0; C = 1;"];
    let gone = "value-removed V#1 both";
    let with = |values: &str| format!("enum V {{ {values} }}");
    check_history(&values.map(with), &[&[gone], &["number-reused V#1 both"], &[gone], &[]]);
    // All of it was gone.
    let texts = [
        with("A = 0; B = 1;"),
        "message M {}".to_owned(),
        with("A = 0; C = 1;"),
        with("A = 0; C = 1; D = 2;"),
    ];
    check_history(&texts, &[&[], &["message-removed M both", "number-reused V#1 both"], &[]]);
    // Of two names for a number one is still there.
    let aliases = ["A = 0; B = 1; C = 1;", "A = 0;", "A = 0; D = 1; C = 1;"];
    let aliases = aliases.map(|values| with(&format!("option allow_alias = true; {values}")));
    check_history(&aliases, &[&[gone, gone], &[]]);
    let schemas = values.map(with).map(|text| read(&text));
    let told = compare_history(&[&schemas[0], &schemas[1]], &schemas[2]).breaks;
    assert_eq!(told[0].what, "was `B`, was free, and is `C`");
    assert_eq!(told[0].places, ["a.proto:1", "a.proto:1"]);
}

#[test]
fn a_method_that_comes_back_with_other_messages_is_another_one() {
    let with = |methods: &str| {
        format!("message A {{ string a = 1; }} message B {{ int32 b = 2; }} service S {{ {methods} }}")
    };
    let (one, go) = ("rpc Do(A) returns (B);", "rpc Do(A) returns (B); rpc Go(A) returns (B);");
    let other = "rpc Do(A) returns (B); rpc Go(B) returns (stream A);";
    let gone = "method-removed S/Go old-client-new-server";
    let changed = ["stream-changed S/Go both", "request-changed S/Go both", "response-changed S/Go both"];
    check_history(&[go, one, go, one, other].map(with), &[&[gone], &[], &[gone], &changed]);
    // The service was gone with it.
    let none = "message A { string a = 1; } message B { int32 b = 2; }".to_owned();
    check_history(&[with(go), none, with(other)], &[&["service-removed S old-client-new-server"], &changed]);
}

#[test]
fn additions_are_listed() {
    let old = asked("string a = 1;");
    let new = "enum E { ZERO = 0; ONE = 1; TWO = 2; } enum F { NONE = 0; } message A { string a = 1; }
               message B { int32 b = 2; } message M { string a = 1; E e = 2; } message R {} message Event {}
               service S { rpc Do(M) returns (R); rpc Go(M) returns (R); } service T {}";
    let found = compare_schemas(&read(&old), &read(new));
    assert_eq!(found.breaks, []);
    assert_eq!(found.additions, ["S/Go", "T", "M#2 e", "E#2 TWO", "Event"]);
}

#[test]
fn breaks_say_where_both_are() {
    let found =
        compare_schemas(&read("message M {\n  int32 a = 1;\n}"), &read("\nmessage M {\n  string a = 1;\n}"));
    let told: Vec<_> = found.breaks.iter().map(ToString::to_string).collect();
    assert_eq!(
        told,
        [
            "type-changed: `M#1` was `int32 a` and is `string a`; a varint is a length with bytes on the wire now; hurts both: \
          an old client with a new server, and a new client with an old one (a.proto:2 -> a.proto:3)"
        ]
    );
}

#[test]
fn mistakes_have_their_line() {
    let texts = [(
        "a.proto".to_owned(),
        "syntax = \"proto3\";\nmessage M {\n  required int32 a = 1;\n}\n".to_owned(),
    )];
    let error = ReadSchema::parse(&texts).expect_err("proto2");
    assert_eq!(error.brief(), "a.proto:3:3: `=` is expected, not `a`");
    let error = ReadSchema::of_descriptors("a.bin", b"\x0a\x05ab").expect_err("truncated");
    assert_eq!(
        error.brief(),
        "`a.bin` is no set of descriptors: no descriptor: needs 5 bytes, 2 are left (offset 2)"
    );
}

/// As a shell gives it for `<(git show v1:agent.proto)`.
#[test]
fn a_pipe_of_the_shell_is_read() {
    let (from, mut to) = std::io::pipe().expect("a pipe can be made");
    to.write_all(b"message M {}").expect("there is room");
    drop(to);
    let path = format!("/dev/fd/{}", from.as_raw_fd()).into();
    let read = ReadSchema::load(&[path]).map(|read| read.schema.messages().len());
    assert_eq!(read.map_err(|error| error.brief()), Ok(1));
}

#[test]
fn files_and_folders_are_read() {
    let temporary = tempfile::tempdir().expect("a folder can be made");
    let folder = temporary.path().to_owned();
    std::fs::create_dir_all(folder.join("b")).expect("a folder can be made");
    let write =
        |name: &str, text: &[u8]| std::fs::write(folder.join(name), text).expect("a file can be written");
    write("a.proto", b"import \"b/c.proto\"; message M { C c = 1; }");
    write("b/c.proto", b"message C {}");
    write("b/notes.txt", b"no schema");
    let whole = ReadSchema::load(std::slice::from_ref(&folder)).map(|read| read.schema.messages().len());
    let one = ReadSchema::load(&[folder.join("b/c.proto")]).map(|read| read.schema.messages().len());
    let both = ReadSchema::load(&[folder.join("a.proto"), folder.join("b")])
        .map(|read| read.schema.messages().len());
    let missing = ReadSchema::load(&[folder.join("a.proto")]).map_err(|error| error.brief());
    let no_descriptors = ReadSchema::load(&[folder.join("b/notes.txt")]).map_err(|error| error.brief());
    let nothing = ReadSchema::load(&[folder.join("none.proto")]).map_err(|error| error.brief());
    write("big.proto", &vec![b' '; 9 << 20]);
    let big = ReadSchema::load(&[folder.join("big.proto")]).map_err(|error| error.brief());
    let device = ReadSchema::load(&["/dev/null".into()]).map_err(|error| error.brief());
    assert_eq!(device.map(drop), Err("`/dev/null` is not a regular file".to_owned()));
    let count =
        |read: Result<usize, matrix::ConfigError>| read.unwrap_or_else(|error| panic!("{}", error.brief()));
    assert_eq!([count(whole), count(one), count(both)], [2, 1, 2]);
    let missing = missing.expect_err("the other file is not given");
    assert!(
        missing.ends_with("a.proto:1:1: no type is called `C`; `b/c.proto`, which is imported, is not given"),
        "{missing}"
    );
    assert!(no_descriptors.expect_err("text").contains("is no set of descriptors"));
    assert!(nothing.expect_err("no file").starts_with("cannot read `"));
    assert!(big.expect_err("too long").starts_with("a schema of more than 8 MiB"));
}

/// What others write may be as large as it can be; nothing takes the square of it.
#[test]
fn large_schemas_take_no_square() {
    let fields = |name: &str| {
        (1..20_000).filter(|n| *n < 19_000).map(|n| format!("int32 {name}{n}={n};")).collect::<String>()
    };
    let values = |name: &str| (0..20_000).map(|n| format!("{name}{n}={n};")).collect::<String>();
    let methods =
        |name: &str| (0..10_000).map(|n| format!("rpc {name}{n}(M)returns(M);")).collect::<String>();
    let text = |name: &str| {
        let imports: String = (0..20_000).map(|n| format!("import \"{n}\";")).collect();
        format!(
            "{imports} message M {{ {} }} message O {{ oneof o {{ {} }} }} enum E {{ {} }} service S {{ {} }}",
            fields(name),
            fields(name),
            values(name),
            methods(name)
        )
    };
    let found = compare_schemas(&read(&text("a")), &read(&text("b")));
    assert_eq!((found.breaks.len(), found.additions.len()), (18_999 * 2 + 20_000 + 10_000, 10_000));
}
