//! What a difference of locks breaks, whom that hurts, and which version a policy calls for.

use matrix::{
    Break, BreakKind, Bump, Comparison, DeclaredChange, History, Hurts, LockTable, LockedDialect,
    LockedField, LockedMessage, Policy, Rename, Version,
};

use wire::protobuf::{Schema, Source};

use crate::support::rendered;

fn message(number: Option<u64>, name: &str, request: &[&str], reply: &[&str]) -> LockedMessage {
    let fields = |fields: &[&str]| {
        let field = |(at, name): (u64, &&str)| match name.split_once(' ') {
            Some((type_name, name)) => LockedField::new(at * 4, 4, type_name, name),
            None => LockedField::new(at * 4, 4, "u32", name),
        };
        (0..).zip(fields).map(field).collect()
    };
    let (request, reply) = (fields(request), fields(reply));
    LockedMessage {
        kind: "command".to_owned(),
        number,
        name: name.to_owned(),
        request,
        reply,
        ..LockedMessage::default()
    }
}

fn dialect(name: &str, after: Option<&str>) -> LockedDialect {
    LockedDialect {
        name: name.to_owned(),
        after: after.map(str::to_owned),
        limits: [("data-max".to_owned(), 8192)].into(),
        flags: [("endian", "native"), ("api-max", "3"), ("code", "3"), ("empty", "none")]
            .map(|(k, v)| (k.to_owned(), v.to_owned()))
            .into(),
        messages: vec![
            message(Some(1), "STOP", &["a", "b"], &["ret"]),
            message(Some(2), "STATE", &[], &["ret"]),
            message(None, "get-info", &["a", "b"], &["ret", "text"]),
        ],
        ..LockedDialect::default()
    }
}

fn compare(edit: impl FnOnce(&mut LockedDialect)) -> Comparison {
    let mut newer = dialect("2.0", Some("1.0"));
    edit(&mut newer);
    let table = LockTable { protocol: "p".to_owned(), dialects: vec![dialect("1.0", None), newer] };
    table.compare("1.0", "2.0", None).expect("both are there")
}

/// What the edited dialect breaks, and what it adds.
#[track_caller]
fn check(edit: impl FnOnce(&mut LockedDialect), breaks: &[&str], additions: &[&str]) {
    let found = compare(edit);
    let short = |found: &Break| format!("{} {} {}", found.kind.word(), found.subject, found.hurts.word());
    assert_eq!(found.breaks.iter().map(short).collect::<Vec<_>>(), breaks);
    assert_eq!(found.additions, additions);
}

#[test]
fn the_same_is_no_break() {
    check(|_| {}, &[], &[]);
}

#[test]
fn messages() {
    check(|d| drop(d.messages.remove(0)), &["message-removed command/1 old-client-new-server"], &[]);
    check(|d| drop(d.messages.remove(2)), &["message-removed command/get-info old-client-new-server"], &[]);
    check(|d| d.messages[0].name = "HALT".to_owned(), &["number-reused command/1 both"], &[]);
    check(|d| d.messages[0].number = Some(9), &["renumbered command/1 both"], &[]);
    check(|d| d.messages.push(message(Some(3), "FREEZE", &[], &[])), &[], &["command/3 FREEZE"]);
    check(|d| d.messages.push(message(None, "get-time", &[], &[])), &[], &["command/get-time"]);
    // A rename that is declared is none on the wire.
    let rename = Rename { subject: "1".to_owned(), from: "STOP".to_owned(), to: "HALT".to_owned() };
    let renamed = |d: &mut LockedDialect| {
        d.messages[0].name = "HALT".to_owned();
        d.renames.push(rename);
    };
    check(renamed, &[], &[]);
}

#[test]
fn layouts() {
    let layout = "layout-changed command/1 both";
    check(|d| d.messages[0].request[1].type_name = "i64".to_owned(), &[layout], &[]);
    check(|d| drop(d.messages[0].request.pop()), &[layout], &[]);
    check(|d| d.messages[0].request.push(LockedField::new(8, 4, "u32", "c")), &[layout], &[]);
    check(|d| d.messages[0].reply.push(LockedField::new(4, 4, "u32", "len")), &[layout], &[]);
    // A message with a name has members, and what is new in it nobody has to read.
    let added = |fields: fn(&mut LockedMessage) -> &mut Vec<LockedField>| {
        move |d: &mut LockedDialect| {
            fields(&mut d.messages[2]).insert(0, LockedField::open(99, "text", "new"))
        }
    };
    check(added(|m| &mut m.request), &[], &["command/get-info.new"]);
    check(added(|m| &mut m.reply), &[], &["command/get-info.new"]);
    check(|d| d.messages[2].request[0].offset = 99, &["renumbered command/get-info.a both"], &[]);
    check(|d| drop(d.messages[2].request.remove(0)), &["field-removed command/get-info.a both"], &[]);
    let reply = |kind: &str, hurts: &str| format!("{kind} command/get-info.text {hurts}");
    check(|d| drop(d.messages[2].reply.remove(1)), &[&reply("field-removed", "old-client-new-server")], &[]);
    check(|d| d.messages[2].reply[1].type_name = "list".to_owned(), &[&reply("type-changed", "both")], &[]);
}

#[test]
fn limits_and_flags() {
    let limit =
        |name: &'static str, limit| move |d: &mut LockedDialect| _ = d.limits.insert(name.to_owned(), limit);
    check(limit("data-max", 4096), &["limit-lowered data-max old-client-new-server"], &[]);
    check(limit("fds-max", 1), &["limit-lowered fds-max old-client-new-server"], &[]);
    check(limit("data-max", 16384), &[], &["a higher limit data-max"]);
    check(|d| d.limits.clear(), &[], &["a higher limit data-max"]);
    let flag = |name: &'static str, flag: &'static str| {
        move |d: &mut LockedDialect| _ = d.flags.insert(name.to_owned(), flag.to_owned())
    };
    check(flag("endian", "big"), &["flag-changed endian both"], &[]);
    check(flag("endian", ""), &["flag-changed endian old-client-new-server"], &[]);
    check(flag("api-max", "2"), &["flag-changed api-max old-client-new-server"], &[]);
    check(flag("api-max", "4"), &[], &["a higher api-max"]);
    check(flag("code", "4"), &["flag-changed code both"], &[]);
    check(flag("empty", "some"), &[], &["a promise empty"]);
    check(flag("min.get-time", "3"), &[], &["a promise min.get-time"]);
    let with_message = |d: &mut LockedDialect| {
        flag("min.get-time", "3")(d);
        d.messages.push(message(None, "get-time", &[], &[]));
    };
    check(with_message, &[], &["command/get-time"]);
}

#[test]
fn a_break_says_what_was_declared_of_it() {
    let found = compare(|d| {
        d.messages[0].request[1].type_name = "i64".to_owned();
        let declared =
            |subject: &str, what: &str| DeclaredChange { subject: subject.to_owned(), what: what.to_owned() };
        d.changes = vec![declared("1", "b is signed"), declared("2", "something else")];
    });
    assert_eq!(
        found.breaks[0].to_string(),
        "layout-changed: `command/1` has another request: `4+4 u32 b` is now `4+4 i64 b`; hurts both: an old client with a \
         new server, and a new client with an old one (2.0 declares `1: b is signed`)"
    );
}

fn schema(field: &str) -> Schema {
    let text = format!("message M {{ {field} = 1; }}");
    Schema::parse(&[Source { name: "m.proto", text: &text }]).expect("what the language has")
}

/// A schema says of messages what the lock cannot: that a number has another name and the same bytes.
#[test]
fn schemas_go_before_the_messages_of_a_lock() {
    let named = |name: &str, after: Option<&str>, field: &str| LockedDialect {
        messages: vec![LockedMessage {
            kind: "message".to_owned(),
            name: "M".to_owned(),
            request: vec![LockedField::open(1, "string", field)],
            ..LockedMessage::default()
        }],
        ..dialect(name, after)
    };
    let mut newer = named("2.0", Some("1.0"), "path");
    newer.limits.insert("data-max".to_owned(), 1);
    newer.changes.push(DeclaredChange { subject: "M".to_owned(), what: "1 address -> path".to_owned() });
    let table = LockTable { protocol: "p".to_owned(), dialects: vec![named("1.0", None, "address"), newer] };
    let (old, new) = (schema("string address"), schema("string path"));
    let told = |schemas| {
        let found = table.compare("1.0", "2.0", schemas).expect("both are there");
        let short =
            |b: &Break| format!("{} {} {} {}", b.kind.word(), b.subject, b.certain, b.places.join(""));
        found.breaks.iter().map(short).collect::<Vec<_>>()
    };
    let declared = "2.0 declares `M: 1 address -> path`";
    let limit = "limit-lowered data-max true ".to_owned();
    let before = [&old];
    let history = History { before: &before, new: &new };
    assert_eq!(told(Some(history)), [format!("renamed M#1 false {declared}"), limit.clone()]);
    assert_eq!(told(None), [format!("field-removed message/M.address true {declared}"), limit]);
}

/// What is older than all dialects has messages all the same, and a number that was free was somebody's.
#[test]
fn schemas_need_no_dialect() {
    let table = LockTable { protocol: "p".to_owned(), dialects: vec![dialect("3.0", None)] };
    let (one, two, three) = (schema("bool a"), Schema::default(), schema("string b"));
    let found = |before: &[&Schema], new: &Schema| {
        let found = table.compare("1.0", "3.0", Some(History { before, new })).expect("there are schemas");
        found.breaks.iter().map(|found| found.kind).collect::<Vec<_>>()
    };
    assert_eq!(found(&[&one], &one), []);
    assert_eq!(found(&[&one], &three), [BreakKind::NumberReused]);
    assert_eq!(found(&[&two], &three), []);
    assert_eq!(found(&[&one, &two], &three), [BreakKind::NumberReused]);
}

#[test]
fn a_version_means_the_newest_dialect_of_its_line_that_is_not_newer() {
    let names =
        [("1.0", None), ("1.2", Some("1.0")), ("4.0", None), ("4.2", Some("4.0")), ("ideal", Some("4.2"))];
    let dialects = names.map(|(name, after)| dialect(name, after)).to_vec();
    let table = LockTable { protocol: "p".to_owned(), dialects };
    let found = |version| table.dialect_for(version).map(|dialect| dialect.name.as_str());
    let expect = [Some("1.0"), Some("1.2"), Some("4.0"), Some("ideal"), None, None];
    assert_eq!(["1.1.5", "1.7", "4.1", "ideal", "0.9", "dev"].map(found), expect);
    assert_eq!(table.compare("1.0", "9.9", None), None);
}

fn broken(hurts: Hurts, certain: bool) -> Comparison {
    let found = Break {
        kind: BreakKind::TypeChanged,
        subject: String::new(),
        what: String::new(),
        hurts,
        certain,
        places: Vec::new(),
    };
    Comparison { breaks: vec![found], additions: vec!["more".to_owned()] }
}

/// What a policy calls for: who is hurt, nobody for certain, an addition, nothing.
fn called_for(policy: &Policy) -> [Bump; 6] {
    let of = |hurts| policy.of(&broken(hurts, true));
    let suspected = policy.of(&broken(Hurts::Both, false));
    let added = Comparison { additions: vec!["more".to_owned()], ..Comparison::default() };
    [
        of(Hurts::OldClientNewServer),
        of(Hurts::NewClientOldServer),
        of(Hurts::Both),
        suspected,
        policy.of(&added),
        policy.of(&Comparison::default()),
    ]
}

#[test]
fn both_sides_of_the_debate_are_files() {
    use Bump::{Major, Minor, Patch};
    let read = |name: &str| {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../matrices/policies");
        Policy::load(&std::path::Path::new(folder).join(name))
            .unwrap_or_else(|error| panic!("{}", error.brief()))
    };
    let strict = read("strict.toml");
    assert_eq!(called_for(&strict), [Major, Major, Major, Minor, Minor, Patch]);
    assert_eq!(called_for(&read("server-first.toml")), [Major, Minor, Major, Minor, Minor, Patch]);
    assert_eq!(Policy { about: None, ..strict }, Policy::default(), "what holds without a file");
}

#[test]
fn points_at_what_is_wrong_with_a_policy() {
    let wrong = |text: &str| rendered(Policy::parse("policy.toml", text));
    insta::assert_snapshot!(wrong("about = \"nothing\"\n"));
    insta::assert_snapshot!(wrong(
        "[bump]\nold-client-new-server = \"big\"\nnew-client-old-server = 1\nboht = \"major\"\n"
    ));
    insta::assert_snapshot!(wrong(
        "[bump]\nold-client-new-server = \"major\"\nnew-client-old-server = \"minor\"\nboth = \"minor\"\n"
    ));
}

#[test]
fn a_newer_version_raises_a_number() {
    #[track_caller]
    fn check(from: &str, to: &str, expect: Option<Bump>) {
        let version = |text: &str| text.parse::<Version>().expect("a version");
        assert_eq!(version(from).raised_by(&version(to)), expect, "{from} -> {to}");
    }
    check("5.0.2", "5.0.3", Some(Bump::Patch));
    check("5.0.2", "5.1", Some(Bump::Minor));
    check("5.0.2", "6.0.0", Some(Bump::Major));
    check("5.0.2", "5.0.2.1", Some(Bump::Patch));
    check("5.0.2", "5.0.2", None);
    check("5.0.2", "4.9", None);
    check("0.3.1", "0.4", Some(Bump::Major));
    check("0.3.1", "0.3.2", Some(Bump::Minor));
    check("0.3.1", "1.0", Some(Bump::Major));
}
