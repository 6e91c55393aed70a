//! Messages: what is read of a line, and how a line is written.
//!
//! ```text
//! {"__name__": "refresh", "apiVersion": 2}\n
//! {"count": 2, "__name__": "number-of-cpus"}\n
//! ```
//!
//! Member order has no meaning; of a member that stands twice the last one counts. Writers emit pure ASCII with `", "`
//! and `": "`. Versions go through Python's conversion to an integer, see [`Offered`].

use std::cmp::Ordering;

use wire::json::{self, Document, Kind, Rules, Value};

use super::names::{self as n, API_VERSION, NAME, NO_VERSION};

/// How deep values may be nested before an agent's parser gives up: its interpreter's limit is 1000 calls.
pub(crate) const DEPTH_MAX: usize = 990;
/// Most values in one line that is looked at here; a line of 1 MiB has fewer.
const NODES_MAX: usize = 1 << 20;

/// How both sides read JSON. Agents take UTF-8-encoded surrogates; hosts never see any, since they replace bad bytes
/// first.
pub(crate) const RULES: Rules =
    Rules { depth_max: DEPTH_MAX, nodes_max: NODES_MAX, raw_utf8_surrogates: true, ..Rules::PYTHON };

/// What stands for a message's name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Name {
    /// A text, perhaps an empty one.
    Text(String),
    /// Something else; as it travelled.
    Odd(String),
    /// Nothing.
    Missing,
}

/// One message, as far as the rules of the protocol look into it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Message {
    /// Its name.
    pub name: Name,
    /// Its version member.
    pub version: Offered,
    /// Its `reply_id`, as it travelled.
    pub reply_id: Option<String>,
    /// Its `done`.
    pub done: Option<bool>,
}

impl Message {
    /// Reads a line, with or without its line feed; none for what is no JSON object, or nested too deep.
    pub(crate) fn read(line: &[u8]) -> Option<Self> {
        let document = Document::parse(line, RULES).ok()?;
        let value = document.root();
        (value.kind() == Kind::Object).then(|| Self {
            name: Name::of(value),
            version: Offered::of(value.get(API_VERSION)),
            reply_id: value.get("reply_id").map(raw),
            done: value.get("done").and_then(Value::as_bool),
        })
    }

    /// Its name as a text; empty when it has none.
    pub(crate) fn name(&self) -> &str {
        if let Name::Text(name) = &self.name { name } else { "" }
    }
}

impl Name {
    /// What stands for the name of an object.
    pub(crate) fn of(object: Value<'_>) -> Self {
        let Some(name) = object.get(NAME) else { return Self::Missing };
        name.text().map_or_else(|| Self::Odd(raw(name)), |text| Self::Text(text.into_owned()))
    }
}

fn raw(value: Value<'_>) -> String {
    String::from_utf8_lossy(value.raw()).into_owned()
}

/// A version member after Python's conversion to an integer: `"2"`, `" 2 "`, `2e0` and an Arabic two are 2, `true`
/// and `1.5` are 1.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Offered {
    /// There is none: a side without versioning.
    Absent,
    /// It converts to this number, limited to the range of the type.
    Number(i64, Kept),
    /// Text that is no number, or NaN: the conversion fails with a value error, which both sides catch.
    NoNumber(Kept),
    /// null, a list, an object or an infinity: the conversion fails with an error that hosts do not catch.
    Exception,
}

/// A value as a host keeps it that does not convert what it stores.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Kept {
    /// An integer.
    Number(i64),
    /// An integer beyond the range of the type, in digits.
    Huge(String),
    /// A number with a fraction.
    Fraction(f64),
    /// A text, compared as Python 2 does: above all numbers.
    Text(String),
}

impl Kept {
    /// Whether a gate that asks for at least `min` is shut: `min > kept` in Python 2.
    pub(crate) fn is_below(&self, min: i64) -> bool {
        match self {
            Self::Number(number) => *number < min,
            Self::Huge(digits) => digits.starts_with('-'),
            // NaN compares false with everything.
            #[expect(clippy::cast_precision_loss, reason = "minimum versions are single digits")]
            Self::Fraction(number) => *number < min as f64,
            Self::Text(_) => false,
        }
    }

    /// Whether it equals an integer.
    pub(crate) fn is(&self, number: i64) -> bool {
        match self {
            Self::Number(own) => *own == number,
            #[expect(clippy::cast_precision_loss, reason = "limited versions are single digits")]
            Self::Fraction(own) => own.partial_cmp(&(number as f64)) == Some(Ordering::Equal),
            Self::Huge(_) | Self::Text(_) => false,
        }
    }

    /// The number, where it is one.
    pub(crate) fn number(&self) -> Option<i64> {
        if let Self::Number(number) = self { Some(*number) } else { None }
    }
}

impl Default for Kept {
    fn default() -> Self {
        Self::Number(NO_VERSION)
    }
}

impl Offered {
    /// Converts a member.
    pub(crate) fn of(member: Option<Value<'_>>) -> Self {
        let Some(value) = member else { return Self::Absent };
        match value.kind() {
            Kind::Null | Kind::Array | Kind::Object => Self::Exception,
            Kind::Bool => {
                let number = i64::from(value.as_bool() == Some(true));
                Self::Number(number, Kept::Number(number))
            }
            Kind::Number => Self::of_number(value.number().unwrap_or("NaN")),
            Kind::Text => Self::of_text(&value.text().unwrap_or_default()),
        }
    }

    /// The version that a message tells; with defects the first one of two counts, and one in quotes is no number.
    pub(crate) fn told_by(message: Value<'_>, first_wins: bool, is_strict: bool) -> Self {
        let mut versions = message.members().filter(|(name, _)| name == API_VERSION).map(|(_, value)| value);
        let member = if first_wins { versions.next() } else { versions.last() };
        match Self::of(member) {
            Self::Number(_, kept @ Kept::Text(_)) if is_strict => Self::NoNumber(kept),
            offered => offered,
        }
    }

    fn of_number(digits: &str) -> Self {
        let integer = digits.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-');
        if integer {
            return match digits.parse::<i64>() {
                Ok(number) => Self::Number(number, Kept::Number(number)),
                Err(_) => Self::Number(limit_of(digits), Kept::Huge(digits.to_owned())),
            };
        }
        match digits.parse::<f64>() {
            Ok(number) if number.is_infinite() => Self::Exception,
            Ok(number) if !number.is_nan() => {
                #[expect(clippy::cast_possible_truncation, reason = "the cast saturates, as the limit does")]
                let whole = number.trunc() as i64;
                Self::Number(whole, Kept::Fraction(number))
            }
            _ => Self::NoNumber(Kept::Fraction(f64::NAN)),
        }
    }

    fn of_text(text: &str) -> Self {
        let kept = Kept::Text(text.to_owned());
        let trimmed = text.trim();
        let (sign, digits) = match trimmed.strip_prefix(['-', '+']) {
            Some(digits) => (if trimmed.starts_with('-') { "-" } else { "" }, digits),
            None => ("", trimmed),
        };
        let decimal: Option<String> = digits.chars().map(decimal_digit).collect();
        match decimal.filter(|decimal| !decimal.is_empty()) {
            Some(decimal) => {
                let signed = format!("{sign}{decimal}");
                Self::Number(signed.parse().unwrap_or_else(|_| limit_of(&signed)), kept)
            }
            None => Self::NoNumber(kept),
        }
    }

    /// The number that it converts to.
    pub(crate) fn number(&self) -> Option<i64> {
        if let Self::Number(number, _) = self { Some(*number) } else { None }
    }
}

fn limit_of(digits: &str) -> i64 {
    if digits.starts_with('-') { i64::MIN } else { i64::MAX }
}

/// The first of the ten digits of each script that Python takes for decimal digits (Unicode, category Nd, first plane).
const ZEROS: [u32; 37] = [
    0x30, 0x660, 0x6f0, 0x7c0, 0x966, 0x9e6, 0xa66, 0xae6, 0xb66, 0xbe6, 0xc66, 0xce6, 0xd66, 0xde6, 0xe50,
    0xed0, 0xf20, 0x1040, 0x1090, 0x17e0, 0x1810, 0x1946, 0x19d0, 0x1a80, 0x1a90, 0x1b50, 0x1bb0, 0x1c40,
    0x1c50, 0xa620, 0xa8d0, 0xa900, 0xa9d0, 0xa9f0, 0xaa50, 0xabf0, 0xff10,
];

fn decimal_digit(c: char) -> Option<char> {
    let code = u32::from(c);
    let zero = ZEROS.iter().find(|zero| (**zero..**zero + 10).contains(&code))?;
    char::from_digit(code - zero, 10)
}

/// The character filter of both ends: what XML cannot carry becomes U+FFFD. TAB, LF, CR and U+0085 stay. Hosts of
/// 4.17.1 to 4.17.44 lose everything above U+10FFF as well: their limit has a digit too few.
pub(crate) fn filter(text: &str, loses_astral: bool) -> String {
    let bad = |c: char| {
        matches!(c, '\0'..='\u{8}' | '\u{b}' | '\u{c}' | '\u{e}'..='\u{1f}' | '\u{7f}'..='\u{84}' | '\u{86}'..='\u{9f}')
            || matches!(c, '\u{fffe}' | '\u{ffff}')
            || (loses_astral && c > '\u{10fff}')
    };
    text.chars().map(|c| if bad(c) { char::REPLACEMENT_CHARACTER } else { c }).collect()
}

/// A value as JSON text, in pure ASCII.
pub(crate) fn text(value: &str) -> String {
    let mut out = String::with_capacity(value.len() + 2);
    json::write_text(&mut out, value);
    out
}

/// A message as a line. The members' values are JSON already.
pub(crate) fn line(name: &str, members: &[(&str, String)], arguments_first: bool) -> Vec<u8> {
    let value = text(name);
    let named = Some((NAME, value.as_str()));
    let (first, last) = if arguments_first { (None, named) } else { (named, None) };
    let arguments = members.iter().map(|(name, value)| (*name, value.as_str()));
    let mut out = String::from("{");
    for (name, value) in first.into_iter().chain(arguments).chain(last) {
        if out.len() > 1 {
            out.push_str(", ");
        }
        json::write_text(&mut out, name);
        out.push_str(": ");
        out.push_str(value);
    }
    out.push_str("}\n");
    out.into_bytes()
}

/// Writes a value again as Python's writer would: `", "` and `": "`, pure ASCII, texts and member names through a
/// filter. The value was read before, so that it is known to be right.
pub(crate) fn rewrite(value: &[u8], change: &dyn Fn(&str) -> String) -> String {
    let mut out = String::with_capacity(value.len());
    let mut rest = value;
    while let Some((first, behind)) = rest.split_first() {
        let at_token = rest;
        rest = behind;
        match first {
            b' ' | b'\t' | b'\r' | b'\n' => {}
            b'"' => {
                let (token, behind) = at_token.split_at(text_len(at_token));
                let read = Document::parse(token, RULES).ok();
                let read = read.as_ref().and_then(|document| document.root().text());
                json::write_text(&mut out, &change(&read.unwrap_or_default()));
                rest = behind;
            }
            b',' => out.push_str(", "),
            b':' => out.push_str(": "),
            other => out.push(char::from(*other)),
        }
    }
    out
}

/// Length of the text token at the front, with its quotes.
fn text_len(token: &[u8]) -> usize {
    let mut escaped = false;
    for (at, byte) in token.iter().enumerate().skip(1) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return at + 1,
            _ => {}
        }
    }
    token.len()
}

/// Whether a message may go out at a version.
pub(crate) fn passes(min: i64, version: i64) -> bool {
    min <= version
}

/// The lower one of a version that was told and an own maximum, never below 0.
pub(crate) fn lower_of(told: i64, max: i64) -> i64 {
    told.clamp(NO_VERSION, max.max(NO_VERSION))
}

/// The start burst of an agent, in its order. What a release does not send is left out.
pub(crate) const START_BURST: [&str; 10] = [
    n::SESSION_STARTUP,
    n::HOST_NAME,
    n::OS_VERSION,
    n::NETWORK_INTERFACES,
    n::ACTIVE_USER,
    n::APPLICATIONS,
    n::CONTAINERS,
    n::FQDN,
    n::TIMEZONE,
    n::OS_INFO,
];

/// A refresh answer, in its order.
pub(crate) const REFRESH_ANSWER: [&str; 11] = [
    n::SESSION_STARTUP,
    n::ACTIVE_USER,
    n::APPLICATIONS,
    n::CONTAINERS,
    n::HOST_NAME,
    n::OS_VERSION,
    n::NETWORK_INTERFACES,
    n::DISKS_USAGE,
    n::FQDN,
    n::TIMEZONE,
    n::OS_INFO,
];

/// What one period of applications brings, in its order.
pub(crate) const APPLICATION_PERIOD: [&str; 6] =
    [n::APPLICATIONS, n::CONTAINERS, n::HOST_NAME, n::OS_VERSION, n::NETWORK_INTERFACES, n::FQDN];

/// The first half of a refresh.
pub(crate) const HALF_REFRESH: &[u8] = b"{\"__name__\": \"refre";
/// The first half of a heartbeat.
pub(crate) const HALF_HEARTBEAT: &[u8] =
    b"{\"__name__\": \"heartbeat\", \"memory-stat\": {\"swap_out\": 0, \"maj";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn converts_versions_as_python_does() {
        #[track_caller]
        fn check(member: &str, expect: Option<i64>, caught: bool) {
            let line = format!(r#"{{"__name__": "heartbeat", "apiVersion": {member}}}"#);
            let message = Message::read(line.as_bytes()).expect("an object");
            assert_eq!(message.version.number(), expect, "{member}");
            let is_caught = matches!(message.version, Offered::NoNumber(_));
            assert_eq!(
                (expect.is_none() && is_caught, expect.is_none()),
                (caught, caught || expect.is_none()),
                "{member}"
            );
        }
        for (member, expect) in [
            ("2", 2),
            ("-1", -1),
            ("true", 1),
            ("false", 0),
            ("1.5", 1),
            ("0.9", 0),
            ("-0.9", 0),
            ("2e0", 2),
            (r#""2""#, 2),
            (r#"" 2 ""#, 2),
            (r#""-5""#, -5),
            (r#""+3""#, 3),
            (r#""\u0662""#, 2),
        ] {
            check(member, Some(expect), false);
        }
        check(&"9".repeat(400), Some(i64::MAX), false);
        check(&format!("-{}", "9".repeat(400)), Some(i64::MIN), false);
        for member in [r#""x""#, r#""""#, r#""-""#, r#""2e0""#, r#""1.5""#, "NaN"] {
            check(member, None, true);
        }
        for member in ["null", "[2]", "{}", "1e999", "-Infinity"] {
            check(member, None, false);
        }
        let absent = Message::read(br#"{"__name__": "refresh"}"#).expect("an object");
        assert_eq!(absent.version, Offered::Absent);
    }

    #[test]
    fn the_last_of_two_members_counts() {
        let line = br#"{"__name__": "x", "apiVersion": 1, "apiVersion": 3, "__name__": "api-version"}"#;
        let message = Message::read(line).expect("an object");
        assert_eq!((message.name(), message.version.number()), ("api-version", Some(3)));
    }

    #[test]
    fn orders_kept_values_as_python_2_does() {
        let shut = |kept: Kept| [0, 1].map(|min| kept.is_below(min));
        assert_eq!(shut(Kept::Number(-1)), [true, true]);
        assert_eq!(shut(Kept::Number(0)), [false, true]);
        assert_eq!(shut(Kept::Fraction(0.9)), [false, true]);
        assert_eq!(shut(Kept::Fraction(f64::NAN)), [false, false]);
        assert_eq!(shut(Kept::Text("-5".to_owned())), [false, false]);
        assert_eq!(shut(Kept::Huge("-99999999999999999999".to_owned())), [true, true]);
        assert!(Kept::Fraction(1.0).is(1) && !Kept::Text("1".to_owned()).is(1));
    }

    #[test]
    fn filters_what_xml_cannot_carry() {
        assert_eq!(filter("a\0b\u{1b}z", false), "a\u{fffd}b\u{fffd}z");
        assert_eq!(filter("\t\n\r\u{85}\u{2122}", true), "\t\n\r\u{85}\u{2122}");
        assert_eq!(filter("\u{7f}\u{9f}\u{fffe}", false), "\u{fffd}\u{fffd}\u{fffd}");
        assert_eq!(filter("\u{1f600}", false), "\u{1f600}");
        assert_eq!(filter("\u{1f600}\u{10fff}", true), "\u{fffd}\u{10fff}");
    }

    #[test]
    fn writes_what_the_real_builds_write() {
        let refresh = [(API_VERSION, "3".to_owned())];
        assert_eq!(line("refresh", &refresh, true), b"{\"apiVersion\": 3, \"__name__\": \"refresh\"}\n");
        assert_eq!(line("refresh", &refresh, false), b"{\"__name__\": \"refresh\", \"apiVersion\": 3}\n");
        let nested = r#"{"a":[1,"b\u0000",{"c" : null}],"d":"\ud83d\ude00"}"#;
        let again = rewrite(nested.as_bytes(), &|text| filter(text, false));
        assert_eq!(again, r#"{"a": [1, "b\ufffd", {"c": null}], "d": "\ud83d\ude00"}"#);
    }

    #[test]
    fn lines_that_are_no_message() {
        let no_objects = ["[]", "42", r#""x""#, "null"];
        let no_json = ["", "hello", "{\"__name__\":", "\u{feff}{}", "{}\0", "{\"a\": \"\u{1}\"}"];
        for text in no_objects.iter().chain(&no_json) {
            assert_eq!(Message::read(text.as_bytes()), None, "{text:?}");
        }
        assert!(Message::read(b"\xff{}").is_none());
        assert!(Message::read(b"{\"__name__\": \"echo\", \"t\": \"\xed\xa0\x80\"}").is_some());
        assert!(Message::read("[".repeat(100_000).as_bytes()).is_none());
    }
}
