//! Numbers: their grammar, and whether two of them are the same.

use super::Rules;

/// Length of the number at the front of `rest`, or of what is right before something that is not.
pub(super) fn scan(rest: &[u8], rules: Rules) -> Result<usize, usize> {
    if let Some(len) = word(rest, rules) {
        return Ok(len);
    }
    let sign = usize::from(rest.first() == Some(&b'-'));
    // Nothing may follow a leading zero but a point or an exponent (RFC 8259, section 6).
    let mut len = match rest.get(sign) {
        Some(b'0') => sign.saturating_add(1),
        _ => digits(rest, sign)?,
    };
    if rest.get(len) == Some(&b'.') {
        len = digits(rest, len.saturating_add(1))?;
    }
    let zero = len == sign.saturating_add(1) && rest.get(sign) == Some(&b'0') && !rules.zero_exponent;
    if matches!(rest.get(len), Some(b'e' | b'E')) && !zero {
        let signed = matches!(rest.get(len.saturating_add(1)), Some(b'+' | b'-'));
        len = digits(rest, len.saturating_add(if signed { 2 } else { 1 }))?;
    }
    Ok(len)
}

/// The end of the digits that begin at that place: at least one.
fn digits(rest: &[u8], from: usize) -> Result<usize, usize> {
    let count = rest.iter().skip(from).take_while(|byte| byte.is_ascii_digit()).count();
    if count == 0 { Err(from.min(rest.len())) } else { Ok(from.saturating_add(count)) }
}

/// Length of the word at the front of `rest` that is a number by these rules.
pub(super) fn word(rest: &[u8], rules: Rules) -> Option<usize> {
    let begins =
        |words: &[&str]| words.iter().find(|word| rest.starts_with(word.as_bytes())).map(|w| w.len());
    let constant = rules.constants.then(|| begins(&["NaN", "Infinity", "-Infinity"])).flatten();
    constant.or_else(|| rules.inf_words.then(|| begins(&["inf", "-inf", "nan", "-nan"])).flatten())
}

/// Whether two numbers are the same by their decimal value, however they are written. Words are the same
/// as words of the same meaning. Exponents of more digits than an `i128` holds are compared as written.
pub(super) fn same(one: &[u8], other: &[u8]) -> bool {
    one == other || Decimal::of(one).is_some_and(|one| Some(one) == Decimal::of(other))
}

/// A number as `0.digits x 10^exponent`, without zeros at either end of the digits.
#[derive(Debug, PartialEq, Eq)]
enum Decimal {
    Zero,
    Finite { negative: bool, digits: Vec<u8>, exponent: i128 },
    Infinite { negative: bool },
    NoNumber,
}

impl Decimal {
    fn of(raw: &[u8]) -> Option<Self> {
        let (negative, magnitude) = match raw.strip_prefix(b"-") {
            Some(magnitude) => (true, magnitude),
            None => (false, raw),
        };
        match magnitude {
            b"NaN" | b"nan" => return Some(Self::NoNumber),
            b"Infinity" | b"inf" => return Some(Self::Infinite { negative }),
            _ => {}
        }
        let mut parts = magnitude.splitn(2, |byte| matches!(byte, b'e' | b'E'));
        let (mantissa, power) = (parts.next()?, parts.next());
        let point = mantissa.iter().position(|byte| *byte == b'.').unwrap_or(mantissa.len());
        let all = mantissa.iter().copied().filter(u8::is_ascii_digit);
        let zeros = all.clone().take_while(|digit| *digit == b'0').count();
        let mut digits = all.skip(zeros).collect::<Vec<_>>();
        digits.truncate(digits.iter().rposition(|digit| *digit != b'0').map_or(0, |last| last + 1));
        if digits.is_empty() {
            return Some(Self::Zero);
        }
        let shift = i128::try_from(point).ok()?.checked_sub(i128::try_from(zeros).ok()?)?;
        let exponent = power.map_or(Some(0), exponent)?.checked_add(shift)?;
        Some(Self::Finite { negative, digits, exponent })
    }
}

fn exponent(raw: &[u8]) -> Option<i128> {
    std::str::from_utf8(raw).ok()?.parse().ok()
}
