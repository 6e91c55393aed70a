//! Values.

use super::{BLANK, CUT, DEPTH_MAX, JUNK, RESET, SKIPPED, TOKENS_MAX, VALUE, VALUE_MAX};
use crate::json::is_white_space;
use crate::{Extent, Fault, FrameKind, Scan, Step, StreamDecoder};

/// Byte ff: never in UTF-8, and the way to bring a parser in step.
const RESET_BYTE: u8 = 0xff;

/// The longest [`SKIPPED`] frame in bytes; more of it is another frame.
pub const SKIPPED_MAX: usize = 4096;

/// What is taken for one value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The most brackets and braces that are open at once. With one more all that came is [`JUNK`].
    pub depth_max: usize,
    /// The most bytes of a value. When as many have come and it is not complete, they are [`JUNK`].
    pub value_max: usize,
    /// The most tokens of a value: brackets, commas, colons, texts, numbers and words. With one more all
    /// that came is [`JUNK`].
    pub tokens_max: usize,
    /// Whether the rest of a value above a limit is passed over until its brackets close, as qemu-ga 11.1
    /// does. Else what follows is read as if a value could begin there: 5.2 to 10.0 complain about every
    /// bracket that closes (84 kB of errors for 1025 brackets). A byte that can not be there ends that,
    /// and has no answer.
    pub drains: bool,
}

impl Limits {
    /// The limits of qemu-ga 5.2 to 10.0.
    pub const QEMU: Self =
        Self { depth_max: DEPTH_MAX, value_max: VALUE_MAX, tokens_max: TOKENS_MAX, drains: false };
    /// Those of qemu-ga 11.1.
    pub const QEMU_11: Self = Self { drains: true, ..Self::QEMU };
}

/// Decodes one direction of a connection into values.
pub type ValueDecoder = StreamDecoder<ValueScan>;

impl ValueDecoder {
    /// A decoder at the start of a connection. Peers may keep what a connection before it left unfinished;
    /// the decoder does not.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self::over(ValueScan::new(limits))
    }
}

/// Finds the ends of values.
#[derive(Debug, Clone)]
pub struct ValueScan {
    limits: Limits,
    /// How many bytes at the front have been looked at.
    seen: usize,
    token: Token,
    /// Braces that are open, and square brackets. As in qemu they are counted apart: a value is complete
    /// when both counts are 0, or one is below.
    braces: i64,
    squares: i64,
    /// Whether the rest of a value above a limit is passed over.
    draining: bool,
    /// How many tokens the value has so far.
    tokens: usize,
}

/// Where in a token the next byte is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Token {
    /// In none: between tokens, or before the first.
    Between,
    /// In text that began with this quote.
    Text(u8),
    /// Behind a backslash in it.
    Escape(u8),
    /// Behind a minus.
    Minus,
    /// Behind a zero that leads.
    Zero,
    Digits,
    Point,
    Fraction,
    /// Behind an `e`.
    Exponent,
    ExponentSign,
    ExponentDigits,
    Word,
    /// In none: behind something wrong, up to a byte with which one can begin.
    Skip,
}

/// What a byte is to the token before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Turn {
    /// Part of it.
    In(Token),
    /// Its last byte.
    Last,
    /// The first one behind it.
    Behind,
    /// Nothing that can be there.
    Wrong,
}

impl Token {
    /// What `byte` is to a token that has begun. As in qemu, a token that goes wrong takes the wrong byte
    /// with it.
    fn turn(self, byte: u8) -> Turn {
        match (self, byte) {
            (Self::Text(quote), _) if byte == quote => Turn::Last,
            (Self::Text(quote), b'\\') => Turn::In(Self::Escape(quote)),
            (Self::Text(quote) | Self::Escape(quote), _) if is_text(byte) => Turn::In(Self::Text(quote)),
            (Self::Minus, b'0') => Turn::In(Self::Zero),
            (Self::Minus, b'1'..=b'9') | (Self::Digits, b'0'..=b'9') => Turn::In(Self::Digits),
            (Self::Zero, b'0'..=b'9') => Turn::Wrong,
            (Self::Zero | Self::Digits, b'.') => Turn::In(Self::Point),
            (Self::Point | Self::Fraction, b'0'..=b'9') => Turn::In(Self::Fraction),
            (Self::Digits | Self::Fraction, b'e' | b'E') => Turn::In(Self::Exponent),
            (Self::Exponent, b'+' | b'-') => Turn::In(Self::ExponentSign),
            (Self::Exponent | Self::ExponentSign | Self::ExponentDigits, b'0'..=b'9') => {
                Turn::In(Self::ExponentDigits)
            }
            (Self::Word, b'a'..=b'z') => Turn::In(Self::Word),
            (Self::Zero | Self::Digits | Self::Fraction | Self::ExponentDigits | Self::Word, _) => {
                Turn::Behind
            }
            _ => Turn::Wrong,
        }
    }

    /// The token that begins with `byte`, if it is one of more than one byte.
    fn begun(byte: u8) -> Option<Self> {
        Some(match byte {
            b'"' | b'\'' => Self::Text(byte),
            b'-' => Self::Minus,
            b'0' => Self::Zero,
            b'1'..=b'9' => Self::Digits,
            b'a'..=b'z' => Self::Word,
            _ => return None,
        })
    }
}

/// Whether a token can begin with `byte` behind something wrong.
fn ends_skipping(byte: u8) -> bool {
    matches!(byte, 0..=0x08 | 0x0a..0x20 | 0xfe | 0xff | b'{' | b'}' | b'[' | b']' | b',' | b':')
}

/// What a token is that stands alone.
fn alone(token: &[u8]) -> FrameKind {
    match token {
        b"null" | b"true" | b"false" | [b'"' | b'\'' | b'-' | b'0'..=b'9', ..] => VALUE,
        _ => JUNK,
    }
}

impl ValueScan {
    /// Values of at most these limits. A limit of no bytes is one of 1.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        let limits = Limits { value_max: limits.value_max.max(1), ..limits };
        Self { limits, seen: 0, token: Token::Between, braces: 0, squares: 0, draining: false, tokens: 0 }
    }

    /// Takes the byte at `at`; gives a step when a frame ends with it or before it.
    fn take(&mut self, src: &[u8], at: usize, byte: u8) -> Option<Step> {
        let behind = at.saturating_add(1);
        match self.token {
            Token::Between => {}
            Token::Skip if !ends_skipping(byte) => return None,
            Token::Skip if at > 0 => return Some(self.complete(SKIPPED, at, Token::Between)),
            Token::Skip => self.token = Token::Between,
            token => match token.turn(byte) {
                Turn::In(token) => {
                    self.token = token;
                    return None;
                }
                Turn::Last => return self.token_ends(src, behind),
                Turn::Behind => {
                    let step = self.token_ends(src, at);
                    if step.is_some() {
                        return step;
                    }
                }
                Turn::Wrong => return Some(self.wrong(at, byte)),
            },
        }
        self.between(at, byte)
    }

    /// A token ends there: so does the frame when it stands alone.
    fn token_ends(&mut self, src: &[u8], len: usize) -> Option<Step> {
        self.token = Token::Between;
        if self.is_outside() && len == 0 {
            // It ended with the limit, and nothing is left of it to be drained.
            (self.draining, self.tokens) = (false, 0);
            return None;
        }
        if self.is_outside() {
            let kind = if self.draining { SKIPPED } else { alone(src.get(..len).unwrap_or(src)) };
            return Some(self.complete(kind, len, Token::Between));
        }
        self.is_above_limit().then(|| self.above_limit(len, Token::Between))
    }

    /// Takes a byte that is in no token.
    fn between(&mut self, at: usize, byte: u8) -> Option<Step> {
        if let Some(token) = Token::begun(byte) {
            self.token = token;
            return None;
        }
        let behind = at.saturating_add(1);
        let (count, by) = match byte {
            b'{' => (&mut self.braces, 1),
            b'}' => (&mut self.braces, -1),
            b'[' => (&mut self.squares, 1),
            b']' => (&mut self.squares, -1),
            b',' | b':' => (&mut self.squares, 0),
            _ if is_white_space(byte) => {
                return self.is_outside().then(|| self.complete(BLANK, behind, Token::Between));
            }
            _ => return Some(self.wrong(at, byte)),
        };
        *count = count.saturating_add(by);
        let above = self.is_above_limit();
        if self.is_outside() || self.braces < 0 || self.squares < 0 {
            let kind = match self.draining {
                true => SKIPPED,
                false if self.is_outside() && by < 0 && !above => VALUE,
                false => JUNK,
            };
            return Some(self.complete(kind, behind, Token::Between));
        }
        above.then(|| self.above_limit(behind, Token::Between))
    }

    /// Counts a token that has ended; says whether that is more than the limits allow.
    fn is_above_limit(&mut self) -> bool {
        self.tokens = self.tokens.saturating_add(1);
        let depth = usize::try_from(self.braces.saturating_add(self.squares)).unwrap_or(0);
        let above = depth > self.limits.depth_max || self.tokens > self.limits.tokens_max;
        above && !self.draining
    }

    /// A byte that can not be there. It ends draining, and what is drained has had its answer.
    fn wrong(&mut self, at: usize, byte: u8) -> Step {
        let behind = at.saturating_add(1);
        match byte {
            _ if self.draining => self.complete(SKIPPED, behind, Token::Skip),
            RESET_BYTE if at == 0 => self.complete(RESET, behind, Token::Skip),
            RESET_BYTE => self.complete(CUT, at, Token::Between),
            _ => self.complete(JUNK, behind, Token::Skip),
        }
    }

    /// What has come of a value is as much as the limits allow.
    fn above_limit(&mut self, len: usize, then: Token) -> Step {
        if !self.limits.drains {
            return self.complete(JUNK, len, then);
        }
        (self.seen, self.draining) = (0, true);
        Step::Complete(Extent { kind: JUNK, head_len: 0, len })
    }

    /// As much is passed over as one frame holds.
    fn skipped(&mut self, len: usize) -> Step {
        self.seen = 0;
        Step::Complete(Extent { kind: SKIPPED, head_len: 0, len })
    }

    /// The frame ends there, and what follows begins anew.
    fn complete(&mut self, kind: FrameKind, len: usize, token: Token) -> Step {
        (self.seen, self.token, self.tokens) = (0, token, 0);
        (self.braces, self.squares, self.draining) = (0, 0, false);
        Step::Complete(Extent { kind, head_len: 0, len })
    }

    /// Whether no bracket is open.
    fn is_outside(&self) -> bool {
        self.braces == 0 && self.squares == 0
    }

    fn skips(&self) -> bool {
        self.draining || self.token == Token::Skip
    }
}

impl ValueScan {
    /// Passes over whole tokens at the place at hand as long as they are of the common kinds and nothing is
    /// to be decided: within brackets, below the limits, and with the byte behind them in `window`.
    #[inline]
    fn pass_over(&mut self, window: &[u8]) {
        let (mut at, mut tokens) = (self.seen, self.tokens);
        let (mut braces, mut squares) = (self.braces, self.squares);
        let depth_max = i64::try_from(self.limits.depth_max).unwrap_or(i64::MAX);
        while tokens < self.limits.tokens_max {
            let rest = window.get(at..).unwrap_or_default();
            let len = match rest {
                [b' ' | b'\t' | b'\n' | b'\r', ..] => {
                    at = at.saturating_add(1);
                    continue;
                }
                [b',' | b':', ..] => 1,
                [b'{', ..] if braces + squares < depth_max => {
                    braces += 1;
                    1
                }
                [b'[', ..] if braces + squares < depth_max => {
                    squares += 1;
                    1
                }
                [b'}', ..] if braces > 0 && braces + squares > 1 => {
                    braces -= 1;
                    1
                }
                [b']', ..] if squares > 0 && braces + squares > 1 => {
                    squares -= 1;
                    1
                }
                [b'"', inner @ ..] => {
                    let len = text_len(inner, b'"');
                    if inner.get(len) != Some(&b'"') {
                        break;
                    }
                    len.saturating_add(2)
                }
                [b'a'..=b'z', ..] => {
                    let Some(len) = rest.iter().position(|byte| !byte.is_ascii_lowercase()) else { break };
                    len
                }
                [b'1'..=b'9', ..] => match rest.iter().position(|byte| !byte.is_ascii_digit()) {
                    Some(len) if !matches!(rest.get(len), Some(b'.' | b'e' | b'E')) => len,
                    _ => break,
                },
                _ => break,
            };
            (at, tokens) = (at.saturating_add(len), tokens.saturating_add(1));
        }
        (self.seen, self.tokens) = (at, tokens);
        (self.braces, self.squares) = (braces, squares);
    }

    /// The most bytes of the frame at hand.
    fn len_max(&self) -> usize {
        if self.skips() { SKIPPED_MAX } else { self.limits.value_max }
    }

    /// The bytes that the frame at hand can be of.
    fn window<'s>(&self, src: &'s [u8]) -> &'s [u8] {
        src.get(..self.len_max()).unwrap_or(src)
    }
}

/// How many bytes at the front of `bytes` are text between these quotes and nothing else.
#[inline]
fn text_len(bytes: &[u8], quote: u8) -> usize {
    let (words, rest) = bytes.as_chunks::<8>();
    for (at, word) in words.iter().enumerate() {
        let others = other_than_text(u64::from_le_bytes(*word), quote);
        if others != 0 {
            return at * 8 + (others.trailing_zeros() / 8) as usize;
        }
    }
    let is_other = |byte: &u8| *byte == quote || *byte == b'\\' || !is_text(*byte);
    let tail = rest.iter().position(is_other).unwrap_or(rest.len());
    (words.len() * 8).saturating_add(tail)
}

/// The high bits of those of eight bytes that are a quote, a backslash, or no text. A byte above the first
/// one may be marked without being one.
#[inline]
fn other_than_text(word: u64, quote: u8) -> u64 {
    const ONES: u64 = u64::MAX / 0xff;
    const HIGH: u64 = ONES * 0x80;
    // The classic test for a byte below n, which is at most 80: it borrows from its high bit.
    let below = |word: u64, n: u64| word.wrapping_sub(ONES * n) & !word & HIGH;
    let quotes = below(word ^ (ONES * u64::from(quote)), 1);
    let backslashes = below(word ^ (ONES * u64::from(b'\\')), 1);
    let above_fd = below(!word, 2);
    quotes | backslashes | above_fd | below(word, 0x20)
}

/// Whether the byte can be in text.
fn is_text(byte: u8) -> bool {
    matches!(byte, 0x20..=0xfd)
}

impl Scan for ValueScan {
    fn step(&mut self, src: &[u8]) -> Result<Step, Fault> {
        let (mut skips, mut window) = (self.skips(), self.window(src));
        while let Some(byte) = window.get(self.seen) {
            let at = self.seen;
            self.seen = at.saturating_add(1);
            if let Some(step) = self.take(src, at, *byte) {
                return Ok(step);
            }
            if self.skips() != skips {
                // What was passed over ended in front of this byte: another limit holds.
                (skips, window) = (self.skips(), self.window(src));
            }
            match self.token {
                Token::Between if !self.is_outside() => self.pass_over(window),
                Token::Text(quote) => {
                    let rest = window.get(self.seen..).unwrap_or_default();
                    self.seen = self.seen.saturating_add(text_len(rest, quote));
                }
                _ => {}
            }
        }
        let len = window.len();
        if len == self.len_max() {
            return Ok(if skips { self.skipped(len) } else { self.above_limit(len, Token::Skip) });
        }
        let is_between = matches!(self.token, Token::Between | Token::Skip) && self.is_outside();
        if src.is_empty() && is_between {
            return Ok(Step::Boundary);
        }
        let field = if skips { "skipped bytes" } else { "value" };
        let needed = crate::stream::as_u64(src.len()).saturating_add(1);
        Ok(Step::Partial { field, at: 0, needed })
    }
}
