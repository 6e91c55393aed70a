//! Lines.

use super::{BLANK, LINE, PART, REST};
use crate::json::is_white_space;
use crate::{Extent, Fault, Scan, Step, StreamDecoder};

/// Decodes one direction of a connection into lines.
pub type LineDecoder = StreamDecoder<LineScan>;

impl LineDecoder {
    /// A decoder at the start of a connection; see [`LineScan::new`].
    #[must_use]
    pub fn new(line_max: usize) -> Self {
        Self::over(LineScan::new(line_max))
    }
}

/// Finds the ends of lines.
#[derive(Debug, Clone)]
pub struct LineScan {
    line_max: usize,
    /// How many bytes at the front are known to hold no LF.
    seen: usize,
    /// Whether the line at the front is the rest of one.
    in_line: bool,
}

impl LineScan {
    /// Lines of at most `line_max` bytes, LF included. A longer one comes in parts, so that a decoder
    /// never waits for more, and the line behind it is read as if nothing had been. A limit of 0 is one
    /// of 1.
    #[must_use]
    pub fn new(line_max: usize) -> Self {
        Self { line_max: line_max.max(1), seen: 0, in_line: false }
    }

    #[inline]
    fn complete(&mut self, in_line: bool, kind: crate::FrameKind, len: usize) -> Result<Step, Fault> {
        (self.seen, self.in_line) = (0, in_line);
        Ok(Step::Complete(Extent { kind, head_len: 0, len }))
    }
}

impl Scan for LineScan {
    #[inline]
    fn step(&mut self, src: &[u8]) -> Result<Step, Fault> {
        let (window, full) = match src.get(..self.line_max) {
            Some(window) => (window, true),
            None => (src, false),
        };
        let unseen = window.get(self.seen..).unwrap_or_default();
        if let Some(at) = memchr::memchr(b'\n', unseen) {
            let len = self.seen.saturating_add(at).saturating_add(1);
            let line = window.get(..len).unwrap_or(window);
            let kind = match self.in_line {
                true => REST,
                false if line.iter().all(|byte| is_white_space(*byte)) => BLANK,
                false => LINE,
            };
            return self.complete(false, kind, len);
        }
        if full {
            return self.complete(true, PART, self.line_max);
        }
        self.seen = window.len();
        if src.is_empty() && !self.in_line {
            return Ok(Step::Boundary);
        }
        let needed = crate::stream::as_u64(src.len()).saturating_add(1);
        Ok(Step::Partial { field: "line", at: 0, needed })
    }
}
