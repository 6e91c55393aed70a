//! Properties over arbitrary bytes, most of them nearly JSON; `serde_json` is asked, too.

use proptest::prelude::*;
use serde_json::Value as Peer;

use super::super::*;

/// What `serde_json` takes, where its own limits do not speak: it refuses numbers that are no finite
/// `f64`, and nests 127 deep.
fn peer(bytes: &[u8]) -> Option<Result<Peer, serde_json::Error>> {
    match serde_json::from_slice(bytes) {
        Err(error) if error.to_string().starts_with("number out of range") => None,
        Err(error) if error.to_string().starts_with("recursion limit exceeded") => None,
        found => Some(found),
    }
}

/// Whether both have read the same.
fn agree(ours: Value<'_>, theirs: &Peer) -> bool {
    match theirs {
        Peer::Null => ours.is_null(),
        Peer::Bool(theirs) => ours.as_bool() == Some(*theirs),
        Peer::Number(theirs) => {
            // Theirs is not always the nearest double.
            let float = ours.number().and_then(|digits| digits.parse::<f64>().ok()).zip(theirs.as_f64());
            let near = float.is_some_and(|(ours, theirs)| (ours - theirs).abs() <= theirs.abs() * 1e-12);
            theirs.as_i64().map_or(near, |theirs| ours.as_i64() == Some(theirs))
        }
        Peer::String(theirs) => ours.text().as_deref() == Some(theirs),
        Peer::Array(theirs) => {
            ours.kind() == Kind::Array
                && ours.items().count() == theirs.len()
                && ours.items().zip(theirs).all(|(ours, theirs)| agree(ours, theirs))
        }
        Peer::Object(theirs) => {
            ours.kind() == Kind::Object
                && ours.members().all(|(name, _)| theirs.contains_key(name.as_ref()))
                && theirs.iter().all(|(name, theirs)| ours.get(name).is_some_and(|ours| agree(ours, theirs)))
        }
    }
}

/// Tokens, halves of them, and what can be in none.
#[rustfmt::skip]
const PIECES: [&[u8]; 36] = [
    b"{", b"}", b"[", b"]", b",", b":", b" ", b"\t", b"\r", b"\n", b"\"", b"'", b"\\", b"\xff", b"\0", b"\x7f",
    b"\xc3\xa9", b"\xed\xa0\x80", b"\xc0\x80", b"-", b"0", b"12", b".", b"e", b"+", b"1.5e3", b"null", b"true",
    b"nan", b"NaN", b"\"a\"", b"\"a\":", b"{\"a\":1,\"a\":2}", b"\\u00e9", b"\\ud83d", b"\\ude00",
];

fn soup() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(prop::sample::select(&PIECES[..]), 0..24).prop_map(|pieces| pieces.concat())
}

/// A value of integers, texts and words; names may have any characters.
fn value() -> impl Strategy<Value = Peer> {
    let leaf = prop_oneof![
        Just(Peer::Null),
        any::<bool>().prop_map(Peer::from),
        prop_oneof![any::<i64>(), -3..4_i64].prop_map(Peer::from),
        any::<String>().prop_map(Peer::from),
        "[ab]{0,2}".prop_map(Peer::from),
    ];
    leaf.prop_recursive(5, 40, 5, |inner| {
        let name = prop_oneof![3 => "[a-c.]{0,2}", 1 => any::<String>()];
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Peer::from),
            prop::collection::vec((name, inner), 0..5)
                .prop_map(|all| Peer::Object(all.into_iter().collect())),
        ]
    })
}

/// JSON of a value, now and then with a byte that is changed, lost or put in.
fn nearly() -> impl Strategy<Value = Vec<u8>> {
    let slip = prop::option::weighted(0.7, (any::<prop::sample::Index>(), 0..3_u8, any::<u8>()));
    (value(), slip).prop_map(|(value, slip)| {
        let mut bytes = value.to_string().into_bytes();
        if let Some((at, how, byte)) = slip {
            let at = at.index(bytes.len());
            let new = if how == 0 { vec![] } else { vec![byte] };
            bytes.splice(at..at + usize::from(how < 2), new);
        }
        bytes
    })
}

/// The same value in other words: members the other way round, escapes for all characters, numbers with
/// a point or an exponent, white space.
fn other_words(value: &Peer, out: &mut String) {
    match value {
        Peer::Number(number) if number.as_i64().is_some_and(|number| number % 2 == 0) => {
            out.push_str(&format!("{number}.000"));
        }
        Peer::Number(number) => out.push_str(&format!("{number}0e-1")),
        Peer::String(text) => {
            out.push('"');
            text.encode_utf16().for_each(|unit| out.push_str(&format!("\\u{unit:04X}")));
            out.push('"');
        }
        Peer::Array(all) => {
            out.push_str("[ ");
            for (at, item) in all.iter().enumerate() {
                out.push_str(if at == 0 { "" } else { " ,\n" });
                other_words(item, out);
            }
            out.push(']');
        }
        Peer::Object(all) => {
            out.push_str("{\t");
            for (at, (name, member)) in all.iter().rev().enumerate() {
                out.push_str(if at == 0 { "" } else { "\r," });
                write_text(out, name);
                out.push_str(" :");
                other_words(member, out);
            }
            out.push('}');
        }
        _ => out.push_str(&value.to_string()),
    }
}

fn rules() -> impl Strategy<Value = Rules> {
    let few = Rules { depth_max: 3, nodes_max: 12, ..Rules::STRICT };
    prop::sample::select(vec![
        Rules::STRICT,
        Rules::PYTHON,
        Rules::QEMU,
        Rules::QEMU_REPLY,
        super::LOOSE,
        few,
    ])
}

/// What must hold for any bytes by any rules.
fn check_any(bytes: &[u8], rules: Rules) -> Result<(), TestCaseError> {
    let found = dissect(bytes, rules, &|_| None);
    prop_assert!(found.covers(bytes.len()) || (bytes.is_empty() && found.fields.is_empty()), "{:?}", found);
    prop_assert!(found.fields.iter().all(|field| field.name.len() <= NAME_MAX));
    match Document::parse(bytes, rules) {
        Err(error) => {
            prop_assert!(error.offset <= bytes.len());
            prop_assert!(found.problems.iter().any(|problem| problem.what == error.what));
        }
        Ok(document) => {
            let root = document.root();
            prop_assert!(same_value(root, root));
            prop_assert!(
                found
                    .field(UNKNOWN)
                    .is_none_or(|field| field.value != crate::Value::Bytes || field.label.is_some())
            );
            let again = Document::parse(root.raw(), rules).expect("JSON by itself");
            prop_assert!(same_value(root, again.root()));
        }
    }
    Ok(())
}

proptest! {
    #[test]
    fn serde_json_reads_the_same(bytes in prop_oneof![nearly(), soup()]) {
        if let Some(theirs) = peer(&bytes) {
            let ours = Document::parse(&bytes, Rules::STRICT);
            prop_assert_eq!(ours.is_ok(), theirs.is_ok(), "{:?} {:?} {}", ours, theirs, bytes.escape_ascii());
            if let (Ok(ours), Ok(theirs)) = (ours, theirs) {
                prop_assert!(agree(ours.root(), &theirs), "{:?} {:?}", ours, theirs);
            }
        }
    }

    #[test]
    fn any_bytes_are_covered_by_fields(
        bytes in prop_oneof![nearly(), soup(), prop::collection::vec(any::<u8>(), 0..200)],
        rules in rules(),
    ) {
        check_any(&bytes, rules)?;
    }

    #[test]
    fn a_value_cut_off_is_refused_at_its_end(value in value(), at: prop::sample::Index) {
        let text = format!("[{value}]");
        let cut = &text.as_bytes()[..at.index(text.len())];
        let error = Document::parse(cut, Rules::STRICT).expect_err("cut");
        prop_assert!(error.offset <= cut.len());
        // All that had come whole is still a field.
        let whole = dissect(text.as_bytes(), Rules::STRICT, &|_| None);
        let found = dissect(cut, Rules::STRICT, &|_| None);
        let leaves = |found: &crate::Dissection| {
            let leaf = |field: &&crate::Field| field.mask.is_none() && field.name != UNKNOWN;
            found.fields.iter().filter(leaf).map(|field| (field.span.clone(), field.name.clone())).collect::<Vec<_>>()
        };
        let (whole, found) = (leaves(&whole), leaves(&found));
        let ended = whole.iter().filter(|(span, _)| span.end < cut.len()).count();
        prop_assert!(found.len() >= ended);
        prop_assert_eq!(&found[..ended], &whole[..ended]);
    }

    #[test]
    fn a_value_is_the_same_in_other_words(value in value()) {
        let (one, mut other) = (value.to_string(), String::new());
        other_words(&value, &mut other);
        let one = Document::parse(one.as_bytes(), Rules::STRICT).expect("JSON");
        let other = Document::parse(other.as_bytes(), Rules::STRICT).expect("JSON");
        prop_assert!(same_value(one.root(), other.root()));
        prop_assert!(agree(one.root(), &value) );
    }

    #[test]
    fn two_values_are_the_same_if_serde_json_says_so(one in value(), other in value()) {
        let (a, b) = (one.to_string(), other.to_string());
        let a = Document::parse(a.as_bytes(), Rules::STRICT).expect("JSON");
        let b = Document::parse(b.as_bytes(), Rules::STRICT).expect("JSON");
        prop_assert_eq!(same_value(a.root(), b.root()), one == other);
        prop_assert_eq!(same_value(b.root(), a.root()), one == other);
    }

    /// Integers are compared with a power of ten between them.
    #[test]
    fn numbers_are_the_same_by_their_value(digits: i64, other: i64, shift in 0..40_usize, negative: bool) {
        let zeros = "0".repeat(shift);
        let scaled = if negative { format!("{digits}{zeros}e-{shift}") } else { format!("{digits}.{zeros}e+0") };
        prop_assert!(number::same(digits.to_string().as_bytes(), scaled.as_bytes()), "{}", scaled);
        prop_assert_eq!(number::same(other.to_string().as_bytes(), scaled.as_bytes()), digits == other);
        let off = format!("{digits}.{zeros}1");
        prop_assert!(!number::same(digits.to_string().as_bytes(), off.as_bytes()), "{}", off);
    }

    #[test]
    fn text_comes_back_as_it_was_written(text: String) {
        for write in [write_text, write_text_upper] {
            let mut raw = String::new();
            write(&mut raw, &text);
            prop_assert!(raw.is_ascii());
            for rules in [Rules::STRICT, Rules::PYTHON] {
                let document = Document::parse(raw.as_bytes(), rules).expect("JSON");
                let found = document.root().text();
                prop_assert_eq!(found.as_deref(), Some(&text[..]));
            }
            let theirs = serde_json::from_str::<String>(&raw).ok();
            prop_assert_eq!(theirs.as_deref(), Some(&text[..]));
        }
    }

    #[test]
    fn what_is_no_utf8_is_replaced_as_rust_does(
        bytes in prop::collection::vec(prop_oneof![0x23..0x5c_u8, 0x5d..=0xff_u8], 0..40),
    ) {
        let rules = Rules { broken_utf8: true, ..Rules::STRICT };
        let raw = [b"\"", &bytes[..], b"\""].concat();
        let document = Document::parse(&raw, rules).expect("JSON");
        let (text, lossy) = (document.root().text(), String::from_utf8_lossy(&bytes));
        prop_assert_eq!(text.as_deref(), Some(&lossy[..]));
    }
}
