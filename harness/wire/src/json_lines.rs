//! JSON on a line, and JSON in a row.
//!
//! Two ways to send one JSON value after the other:
//!
//! ```text
//! lines    {"__name__": "refresh", "apiVersion": 2}\n       LINE, the LF is part of it; CR is kept
//!          \n   or   \r\n   or   SP TAB \n                  BLANK
//!          aaaaaaaa|aaaaaaaa|aaa\n                          PART, PART, REST: longer than the limit
//!
//! values   {"execute":"guest-ping"}{"execute":"zz"}\n       VALUE, VALUE, BLANK
//!          ff {"execute":"guest-sync-delimited"}\n          RESET, VALUE, BLANK
//!          {"execute":"gue ff st-ping"}                     CUT, RESET, SKIPPED, JUNK
//!          {"execute":"guest-pi LF                          JUNK, with the LF
//!          } , : hello                                      JUNK, one of each
//! ```
//!
//! *Lines* are what VDSM and the oVirt guest agent speak: a value ends with its line, and what a line
//! holds is not looked at. *Values* are what qemu speaks (QMP and its guest agent): a value is complete when
//! its brackets close, and no LF is needed.
//!
//! Framing of values follows the lexer of qemu, so that requests and replies pair up. To every [`VALUE`],
//! [`JUNK`] and [`RESET`] qemu-ga sends exactly one line (no line if the request is one that is answered
//! only when it fails), to every [`CUT`], [`SKIPPED`] and [`BLANK`] none. Compared with qemu-ga 5.2, 7.2, 10.0
//! and 11.1 with 20000 rows of random tokens each: the counts are the same. What is wrong between two tokens
//! is found by 11.1 before the brackets close, and behind a value above a limit it is silent
//! ([`Limits::drains`]).
//!
//! Specified by qemu's `docs/interop/qmp-spec.rst` ("Forcing the JSON parser into known-good state") and,
//! for lines, by what the peers do.
//!
//! Neither decoder ever fails but at the end of a stream, and neither waits for more than its limit.

mod line;
mod value;

pub use line::{LineDecoder, LineScan};
pub use value::{Limits, SKIPPED_MAX, ValueDecoder, ValueScan};

use crate::FrameKind;
use crate::json::DEPTH_MAX;

/// A line with its LF.
pub const LINE: FrameKind = FrameKind(1);
/// White space without meaning: a line of nothing else, or one byte of it between two values.
pub const BLANK: FrameKind = FrameKind(2);
/// A piece of a line that is longer than the limit, exactly as long as the limit; more follows.
pub const PART: FrameKind = FrameKind(3);
/// The end of such a line, with its LF.
pub const REST: FrameKind = FrameKind(4);
/// A value: an object or list whose brackets close, a string, a number, or one of the three words. Its
/// grammar is not looked at.
pub const VALUE: FrameKind = FrameKind(5);
/// What is no value: up to the byte that cannot be in it, or a token that cannot begin one.
pub const JUNK: FrameKind = FrameKind(6);
/// Byte ff, which throws away what is unfinished.
pub const RESET: FrameKind = FrameKind(7);
/// An unfinished value that the [`RESET`] behind it throws away. It has no answer of its own.
pub const CUT: FrameKind = FrameKind(8);
/// What is passed over behind [`JUNK`] and [`RESET`]: all up to the next bracket, comma, colon, control
/// character but TAB, or byte above fd. Also what is passed over behind a limit, see [`Limits::drains`].
pub const SKIPPED: FrameKind = FrameKind(9);

/// The longest line that VDSM takes, since 4.11.0. It looks at the limit only behind each read, so that a
/// line a little longer passes now and then.
pub const LINE_MAX: usize = 1 << 20;

/// The longest message that qemu takes. Measured on qemu-ga 5.2 to 11.1 with one long string: one byte more
/// is `JSON token size limit exceeded`.
pub const VALUE_MAX: usize = (64 << 20) - 1;

/// The most tokens of a message that qemu takes. Measured on the same: one more is `JSON token count limit
/// exceeded`.
pub const TOKENS_MAX: usize = 2 << 20;

#[cfg(test)]
#[expect(clippy::indexing_slicing, reason = "a wrong index fails the test, which is what it is for")]
mod tests;
