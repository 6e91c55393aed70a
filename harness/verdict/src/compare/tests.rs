use proptest::prelude::*;

use super::*;

/// A message of `path=value`, one for each word; `*` before a path masks it, `!` stands for bytes, and `?` for such as nobody reads.
fn message(text: &str) -> Dissection {
    let field = |word: &str| {
        let (name, text) = word.split_once('=').unwrap_or((word, ""));
        let (name, mask) = name.strip_prefix('*').map_or((name, None), |name| (name, Some("volatile")));
        let value = match (text.parse(), text) {
            (Ok(number), _) => Value::Uint(number),
            (_, "null") => Value::Null,
            (_, "true") => Value::Bool(true),
            (_, "?") => Value::Unread,
            (_, "!") => Value::Bytes,
            (_, "{}" | "[]") => Value::Empty,
            (_, text) => Value::Text(text.to_owned()),
        };
        let label = (value == Value::Empty).then(|| text.to_owned().into());
        Field { name: name.to_owned().into(), span: 0..0, value, label, mask }
    };
    Dissection { fields: text.split_whitespace().map(field).collect(), ..Dissection::default() }
}

/// The same, compared by these policies; bytes differ.
fn compared(was: &str, is: &str, policies: Policies) -> Comparison {
    let spans = |mut message: Dissection| {
        message
            .fields
            .iter_mut()
            .filter(|field| matches!(field.value, Value::Bytes | Value::Unread))
            .for_each(|f| f.span = 0..1);
        message
    };
    let (was, is) = (spans(message(was)), Dissection { policies, ..spans(message(is)) });
    compare((&was, b"1"), (&is, b"2"))
}

#[track_caller]
fn check(policies: Policies, was: &str, is: &str, expect: Option<(&str, &str)>) {
    let found = compared(was, is, policies).difference;
    let found = found.as_ref().map(|found| (found.expected.as_str(), found.actual.as_str()));
    assert_eq!(found, expect, "{was} | {is}");
}

fn strict() -> Policies {
    Policies::default()
}

fn bag() -> Policies {
    let mut policies = Policies::default();
    policies.any_order("list.names");
    policies
}

#[test]
fn members_are_found_by_their_names_and_elements_by_their_place() {
    check(strict(), "a=1 b.c=x", "b.c=x a=1", None);
    check(strict(), "a=1 b.c=x", "a=1 b.c=y", Some(("b.c = \"x\"", "b.c = \"y\"")));
    check(strict(), "a=1", "a=1 b=2", Some(("no such field", "b = 2")));
    check(strict(), "a=1 b=2", "a=1", Some(("b = 2", "no such field")));
    check(strict(), "l.0=1 l.1=2", "l.0=2 l.1=1", Some(("l.0 = 1", "l.0 = 2")));
    check(strict(), "l.0=1 l.1=2", "l.0=1", Some(("l.1 = 2", "no such field")));
    check(strict(), "l.0=1", "l.0=1 l.1=2", Some(("no such field", "l.1 = 2")));
    check(strict(), "pad=1 pad=2", "pad=1 pad=3", Some(("pad = 2", "pad = 3")));
    check(strict(), "pad=1 pad=2", "pad=1", Some(("pad = 2", "pad = 1")));
    check(strict(), r"a\.b=1 a.b=2", r"a\.b=1 a.b=3", Some(("a.b = 2", "a.b = 3")));
    check(strict(), r"a\\.b=1 a\\.c=2", r"a\\.c=2 a\\.b=3", Some((r"a\\.b = 1", r"a\\.b = 3")));
    check(strict(), "a=1 a.b=1", "a=1 a.b=2", Some(("a.b = 1", "a.b = 2")));
}

#[test]
fn what_is_volatile_in_both_is_passed_over() {
    check(strict(), "*pid=1 a=1", "*pid=2 a=1", None);
    check(strict(), "*pid=1", "pid=2", Some(("pid = 1", "pid = 2")));
    check(strict(), "*pid=1", "a=1", Some(("pid = 1", "no such field")));
}

#[test]
fn the_order_of_a_bag_says_nothing() {
    let names = |list: &str| {
        let element = |(at, name): (usize, &str)| {
            let (name, mac) = name.split_once('/').unwrap_or((name, ""));
            format!("list.names.{at}.name={name} list.names.{at}.mac={mac}")
        };
        list.split_whitespace().enumerate().map(element).collect::<Vec<_>>().join(" ")
    };
    let check = |was: &str, is: &str, expect| check(bag(), &names(was), &names(is), expect);
    check("", "", None);
    check("a/x b/y c/z", "c/z a/x b/y", None);
    check("a/x a/x b/y", "b/y a/x a/x", None);
    let text = "list.names.1.mac = \"y\"";
    check("a/x b/y", "b/w a/x", Some((text, "list.names.0.mac = \"w\"")));
    check("a/x b/y", "a/x", Some(("list.names.1.name = \"b\"", "no such field")));
    check("a/x", "b/y a/x", Some(("no such field", "list.names.0.name = \"b\"")));
    check("a/x a/x", "a/x b/x", Some(("list.names.1.name = \"a\"", "list.names.1.name = \"b\"")));
}

#[test]
fn an_absent_value_may_mean_an_empty_one() {
    let check = |was: &str, is: &str, expect| check(Policies::sparse(), was, is, expect);
    check("a=0 b= c=null d.e=0", "d.e=0", None);
    check("", "a=0", None);
    check("a=1", "", Some(("a = 1", "no such field")));
    check("", "a=1", Some(("no such field", "a = 1")));
    check("a=1", "a=1 b.c=2", Some(("no such field", "b.c = 2")));
    // A list, a map or a message that is there says that it is.
    check("l.0=0", "", Some(("l.0 = 0", "no such field")));
    check("", "l.0=", Some(("no such field", "l.0 = \"\"")));
    check("m.k=", "", Some(("m.k = \"\"", "no such field")));
    check("l.0=0", "l.0=0 l.1=0", Some(("no such field", "l.1 = 0")));
    check("s={}", "s.b=1", Some(("no such field", "s.b = 1")));
    check("s={}", "", None);
}

#[test]
fn an_absent_value_may_mean_nothing_at_all() {
    let mut policies = Policies::default();
    let policy = Policy { absent: Absent::IsNothing, added: Added::Passes, ..Policy::default() };
    policies.set("", policy);
    let check = |was: &str, is: &str, expect| check(policies.clone(), was, is, expect);
    check("a=null b=[] c={}", "", None);
    check("", "a=null b=[] c={}", None);
    check("a=null b=[] c={}", "a={} b=null c=[]", None);
    // A zero, an empty text and `false` are values, and a value that is lost is lost.
    check("a=0", "", Some(("a = 0", "no such field")));
    check("a=0", "a=null", Some(("a = 0", "a = null")));
    check("a=", "a=[]", Some(("a = \"\"", "a = nothing ([])")));
    check("l.0=a", "l=[]", Some(("l.0 = \"a\"", "no such field")));
    // What is there only now is told.
    assert_eq!(compared("a=1 d=null", "a=1 b=2 c=null d=3", policies.clone()).added, ["d", "b"]);
    assert_eq!(compared("l=[]", "l.0=1", policies.clone()).added, ["l"]);
    let mut strict = Policies::default();
    strict.set("", Policy { absent: Absent::IsNothing, ..Policy::default() });
    let text = Some(("a = null", "a = 1"));
    let found = compared("a=null", "a=1", strict).difference;
    assert_eq!(found.as_ref().map(|found| (found.expected.as_str(), found.actual.as_str())), text);
}

#[test]
fn more_may_be_passed_over_where_the_older_peer_cannot_know_it() {
    let mut policies = Policies::default();
    policies.set("new", Policy { added: Added::Passes, ..Policy::default() });
    assert_eq!(compared("a=1", "a=1 new.b=2 new.c=3", policies.clone()).added, ["new"]);
    check(policies.clone(), "a=1", "a=1 new.b=2", None);
    check(policies.clone(), "a=1", "a=1 other=2", Some(("no such field", "other = 2")));
    check(policies, "new.b=1", "new.b=1 new.0=1", Some(("no such field", "new.0 = 1")));
    let mut all = Policies::default();
    all.set("", Policy { added: Added::Passes, ..Policy::default() });
    all.set("bag", Policy { added: Added::Passes, order: Order::Any, ..Policy::default() });
    // An element of a list whose name ends in a backslash, and one of a bag that another member makes another one.
    check(all.clone(), r"a\\.0=1", r"a\\.0=1 a\\.1=2", Some(("no such field", r"a\\.1 = 2")));
    check(all, "bag.0.a=1", "bag.0.a=1 bag.0.b=2", Some(("no such field", "bag.0.b = 2")));
}

#[test]
fn what_nobody_understands_is_not_compared_and_named() {
    let not_compared = |was: &str, is: &str| {
        let found = compared(was, is, Policies::default());
        assert_eq!(found.difference, None);
        found.not_compared
    };
    assert_eq!(not_compared("a=1 unknown=?", "a=1 unknown=?"), ["unknown"]);
    assert_eq!(not_compared("a=1", "a=1 ?7=?"), ["?7"]);
    assert_eq!(not_compared("a=1 unknown=?", "a=1"), ["unknown"]);
    // What a peer only calls so.
    check(strict(), "unknown=1 ?x=1", "unknown=2 ?x=1", Some(("unknown = 1", "unknown = 2")));
    check(
        strict(),
        "m.unknown=!",
        "m.unknown=!",
        Some(("m.unknown = 31 (1 bytes)", "m.unknown = 32 (1 bytes)")),
    );
    check(strict(), "unknown=1", "unknown=?", Some(("unknown = 1", "unknown = 32 (1 bytes)")));
}

#[test]
fn what_is_written_otherwise_is_another_value_or_none() {
    let json = |was: &str, is: &str| {
        let dissect = |text: &str| wire::json::dissect(text.as_bytes(), wire::json::Rules::STRICT, &|_| None);
        let (before, after) = (dissect(was), dissect(is));
        compare((&before, was.as_bytes()), (&after, is.as_bytes())).difference.is_none()
    };
    let long = |name: &str| format!(r#"{{"{}{name}":1}}"#, "k".repeat(200));
    for (was, is, same) in [
        (r#"{"a":1,"b":[1,{"c":null}]}"#, "{ \"b\": [1, {\"c\": null}], \"a\": 1 }", true),
        (r#"{"a":1.5}"#, r#"{"a":"1.5"}"#, false),
        ("1", r#"{"value":1}"#, false),
        ("{}", "[]", false),
        (&long("A"), &long("B"), false),
        (&long("A"), &long("A"), true),
        (r#"{"a\\":[1]}"#, r#"{"a\\":[1,2]}"#, false),
        (r#"{"0":1,"1":2}"#, r#"{"1":2,"0":1}"#, true),
    ] {
        assert_eq!(json(was, is), same, "{was} {is}");
    }
}

#[test]
fn bags_are_told_by_all_that_their_elements_say() {
    let same = |was: &str, is: &str| compared(was, is, bag()).difference.is_none();
    assert!(!same("list.names.0=5", "list.names.0=true"));
    assert!(!same("list.names.0.a=1 list.names.0.a=23", "list.names.0.a=12 list.names.0.a=3"));
    assert!(!same("*list.names.0.pid=1", "list.names.0.x="));
    let many = |member: fn(usize) -> [String; 2]| (0..100).flat_map(member).collect::<Vec<_>>().join(" ");
    let was = many(|at| [format!("list.names.{at}.x={at}"), format!("list.names.{at}.y=0")]);
    let is = many(|at| [format!("list.names.{at}.y=0"), format!("list.names.{at}.x={}", 99 - at)]);
    assert!(same(&was, &is), "in another order, with members in another order");
    let mut nested = bag();
    nested.any_order("list.names.*.s");
    let found = compared(
        "list.names.0.s.0=1 list.names.0.s.1=2 list.names.1.s.0=3",
        "list.names.0.s.0=3 list.names.1.s.0=2 list.names.1.s.1=1",
        nested,
    );
    assert_eq!(found.difference, None);
}

proptest! {
    /// A bag is the same in any order, and another one when anything in it is.
    #[test]
    fn bags_are_compared_as_multisets(
        was in proptest::collection::vec(0..4u8, 0..7),
        is in proptest::collection::vec(0..4u8, 0..7),
    ) {
        let text = |list: &[u8]| {
            let element = |(at, value): (usize, &u8)| format!("list.names.{at}.v={value}");
            list.iter().enumerate().map(element).collect::<Vec<_>>().join(" ")
        };
        let sorted = |list: &[u8]| { let mut list = list.to_vec(); list.sort_unstable(); list };
        let same = compared(&text(&was), &text(&is), bag()).difference.is_none();
        prop_assert_eq!(same, sorted(&was) == sorted(&is));
    }
}

/// A peer that sends very many parts makes nobody wait: this takes minutes where each is looked for among all.
#[test]
fn very_many_parts_are_compared_soon() {
    let wide = |from: usize| {
        (from..from + 30_000).map(|at| format!("m{at}=1 l.{at}=1")).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(compared(&wide(0), &wide(0), bag()).difference, None);
    assert!(compared(&wide(0), &wide(1), strict()).difference.is_some());
    let mut any = Policies::default();
    any.any_order("l");
    assert!(compared(&wide(0), &wide(15_000), any).difference.is_some());
}
