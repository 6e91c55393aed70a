use proptest::prelude::*;
use wire::policy::Policies;

use super::*;

/// A message of `path=value`, one for each word; `*` before a path masks it, and `?` stands for bytes that nobody reads.
fn message(text: &str) -> Dissection {
    let field = |word: &str| {
        let (name, value) = word.split_once('=').unwrap_or((word, ""));
        let (name, mask) = name.strip_prefix('*').map_or((name, None), |name| (name, Some("volatile")));
        let value = match (value.parse(), value) {
            (Ok(number), _) => Value::Uint(number),
            (_, "null") => Value::Null,
            (_, "true") => Value::Bool(true),
            (_, "?") => Value::Bytes,
            (_, text) => Value::Text(text.to_owned()),
        };
        Field { name: name.to_owned().into(), span: 0..0, value, label: None, mask }
    };
    Dissection { fields: text.split_whitespace().map(field).collect(), ..Dissection::default() }
}

/// The same, compared by these policies; bytes that nobody reads differ.
fn compared(was: &str, is: &str, policies: Policies) -> Comparison {
    let spans = |mut message: Dissection| {
        message.fields.iter_mut().filter(|field| field.value == Value::Bytes).for_each(|f| f.span = 0..1);
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
fn an_absent_part_may_mean_an_empty_one_and_a_new_one_may_be_passed_over() {
    let check = |was: &str, is: &str, expect| check(Policies::open(), was, is, expect);
    check("a=0 b= c=null d.e=0", "", None);
    check("", "a=0 d.e=0", None);
    check("a=1", "", Some(("a = 1", "no such field")));
    check("a=1", "a=1 b.c=2", None);
    check("l.0=0", "l.0=0 l.1=0", Some(("no such field", "l.1 = 0")));
    let added = compared("a=1", "a=1 b.c=2 b.d=3 e=0", Policies::open()).added;
    assert_eq!(added, ["b"]);
}

#[test]
fn what_nobody_understands_is_not_compared_and_named() {
    let found = compared("a=1 unknown=?", "a=1 unknown=?", Policies::default());
    assert_eq!((found.difference, found.not_compared), (None, vec!["unknown".to_owned()]));
    let found = compared("a=1", "a=1 b.unknown=?", Policies::default());
    assert_eq!((found.difference.is_some(), found.not_compared.len()), (true, 0), "its place is new");
    assert_eq!(compared("a=1", "a=1 unknown=?", Policies::default()).not_compared, ["unknown"]);
    assert_eq!(compared("a=1 unknown=?", "a=1", Policies::default()).not_compared, ["unknown"]);
    check(strict(), "unknown=1 ?x=1", "unknown=2 ?x=1", Some(("unknown = 1", "unknown = 2")));
    check(strict(), "unknown=1 ?x=1", "unknown=1 ?x=2", Some(("?x = 1", "?x = 2")));
    check(strict(), "unknown=1", "unknown=?", Some(("unknown = 1", "unknown = 32 (1 bytes)")));
    check(strict(), "a=? unknown=?", "a=? unknown=?", Some(("a = 31 (1 bytes)", "a = 32 (1 bytes)")));
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
