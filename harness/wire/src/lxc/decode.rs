//! The decoders of both directions: small state machines over heads.

use std::collections::VecDeque;

use super::head::{Layout, RawHead, RequestHead};
use super::{Command, DESCRIPTOR_BYTE, REQUEST, RESPONSE, Rules, STATE_MESSAGE, STATE_MESSAGE_LEN};
use crate::stream::as_u64;
use crate::{DecodeErrorKind, Extent, Fault, Frame, FrameKind, Scan, Step, StreamDecoder};

/// How many unanswered requests a [`ResponseDecoder`] remembers.
///
/// Releases answer one request per connection, or few, and no real client pipelines, so that only a
/// probe or a fuzzer gets near. Requests above the bound are counted, not remembered: their replies
/// keep their place in the order and are read without exemption and notification.
pub const PENDING_MAX: usize = 1024;

/// Decodes what a client sends: [`REQUEST`] and [`DESCRIPTOR_BYTE`] frames.
///
/// A client that ends its direction where the second half of a two-part request is due has ended it
/// in mid-message.
pub type RequestDecoder = StreamDecoder<RequestScan>;

/// Decodes what a server sends: [`RESPONSE`] and [`STATE_MESSAGE`] frames.
///
/// It has to be told the requests through [`crate::Decoder::note_other`]. A reply that nobody asked
/// for is a frame like any other; whether it may come is for a check to say.
///
/// While a state message is due and another request waits for its reply, either may come next. The
/// name in the message lies where a reply has its `len`, so that a `len` above the limit is taken
/// for a name. That is wrong for containers whose name is one character long, and for an exempt
/// reply of more than 8 KiB on the same connection; no release keeps a connection that far.
pub type ResponseDecoder = StreamDecoder<ResponseScan>;

/// Decodes a stream of nothing but state messages, as lxc-monitord sends it.
pub type StateDecoder = StreamDecoder<StateScan>;

impl RequestDecoder {
    /// A decoder at the start of a connection.
    #[must_use]
    pub fn new(layout: Layout, rules: Rules) -> Self {
        Self::over(RequestScan { layout, rules, descriptor_due: false })
    }
}

impl ResponseDecoder {
    /// A decoder at the start of a connection.
    #[must_use]
    pub fn new(layout: Layout, rules: Rules) -> Self {
        Self::over(ResponseScan {
            layout,
            rules,
            pending: VecDeque::new(),
            pending_beyond: 0,
            message_due: false,
            message_begun: false,
        })
    }
}

impl StateDecoder {
    /// A decoder at the start of a connection.
    #[must_use]
    pub fn new() -> Self {
        Self::over(StateScan)
    }
}

impl Default for StateDecoder {
    fn default() -> Self {
        Self::new()
    }
}

/// Finds the frames that a client sends.
#[derive(Debug, Clone)]
pub struct RequestScan {
    layout: Layout,
    rules: Rules,
    /// The next byte is the second half of a two-part request.
    descriptor_due: bool,
}

impl Scan for RequestScan {
    #[inline]
    fn step(&mut self, src: &[u8]) -> Result<Step, Fault> {
        if self.descriptor_due {
            return Ok(self.descriptor_byte(src));
        }
        let Some(head) = self.layout.decode(src) else {
            return Ok(partial_head(self.layout, src));
        };
        let command = Command(head.first);
        if head.len > 0 && !self.rules.is_exempt(command) {
            check_limit(head, self.rules.payload_max)?;
        }
        let step = message(REQUEST, self.layout, head, src);
        if let Step::Complete(_) = step {
            self.descriptor_due = self.rules.is_two_part(command);
        }
        Ok(step)
    }
}

impl RequestScan {
    fn descriptor_byte(&mut self, src: &[u8]) -> Step {
        if src.is_empty() {
            return Step::Partial { field: "descriptor byte", at: 0, needed: 1 };
        }
        self.descriptor_due = false;
        Step::Complete(Extent { kind: DESCRIPTOR_BYTE, head_len: 0, len: 1 })
    }
}

/// Finds the frames that a server sends.
#[derive(Debug, Clone)]
pub struct ResponseScan {
    layout: Layout,
    rules: Rules,
    /// Commands that were sent and not yet answered, oldest first.
    pending: VecDeque<Command>,
    /// How many more were sent behind those in `pending`.
    pending_beyond: u64,
    /// A state message may come.
    message_due: bool,
    /// The bytes at the front were already found to be a state message. A request that is sent
    /// later can not have caused them.
    message_begun: bool,
}

impl Scan for ResponseScan {
    #[inline]
    fn step(&mut self, src: &[u8]) -> Result<Step, Fault> {
        if self.message_due
            && let Some(step) = self.message(src)
        {
            return Ok(step);
        }
        let Some(head) = self.layout.decode(src) else {
            return Ok(partial_head(self.layout, src));
        };
        let ret = head.first.cast_signed();
        let (answered, passed_over) = self.answered(ret);
        if head.len > 0 && !answered.is_some_and(|command| self.rules.is_exempt(command)) {
            check_limit(head, self.rules.payload_max)?;
        }
        let step = message(RESPONSE, self.layout, head, src);
        if let Step::Complete(_) = step {
            self.settle(passed_over);
            self.message_due |= answered.is_some_and(|command| self.rules.announces_message(command, ret));
        }
        Ok(step)
    }

    fn note_other(&mut self, sent: &Frame) {
        let Some(head) = RequestHead::of_frame(self.layout, sent) else { return };
        // A request behind an uncounted one may not overtake it.
        if self.pending_beyond > 0 || self.pending.len() >= PENDING_MAX {
            self.pending_beyond = self.pending_beyond.saturating_add(1);
        } else {
            self.pending.push_back(head.cmd);
        }
    }
}

impl ResponseScan {
    /// The command that a reply with `ret` answers, and how many pending ones it passes over: those
    /// that are answered only when they fail, and so have succeeded if a good reply comes for
    /// something behind them.
    fn answered(&self, ret: i32) -> (Option<Command>, usize) {
        if ret < 0 {
            return (self.pending.front().copied(), 0);
        }
        match self.pending.iter().position(|command| !self.rules.is_silent_on_success(*command)) {
            Some(at) => (self.pending.get(at).copied(), at),
            None => (self.pending.front().copied(), 0),
        }
    }

    /// Forgets the request that was answered and those that were passed over.
    fn settle(&mut self, passed_over: usize) {
        if self.pending.is_empty() {
            self.pending_beyond = self.pending_beyond.saturating_sub(1);
        } else {
            self.pending.drain(..=passed_over);
        }
    }

    /// The state message at the front of `src`, or `None` if a reply is there.
    fn message(&mut self, src: &[u8]) -> Option<Step> {
        if !self.message_begun {
            let reply_due = !self.pending.is_empty() || self.pending_beyond > 0;
            if reply_due {
                let head = self.layout.decode(src)?;
                check_limit(head, self.rules.payload_max).err()?;
            }
            self.message_begun = !src.is_empty();
        }
        let step = state_message(src);
        if let Step::Complete(_) = step {
            self.message_due = false;
            self.message_begun = false;
        }
        Some(step)
    }
}

/// Finds the frames of a stream of state messages.
#[derive(Debug, Clone, Copy, Default)]
pub struct StateScan;

impl Scan for StateScan {
    fn step(&mut self, src: &[u8]) -> Result<Step, Fault> {
        Ok(state_message(src))
    }
}

fn state_message(src: &[u8]) -> Step {
    if src.is_empty() {
        Step::Boundary
    } else if src.len() < STATE_MESSAGE_LEN {
        Step::Partial { field: "state message", at: 0, needed: as_u64(STATE_MESSAGE_LEN) }
    } else {
        Step::Complete(Extent { kind: STATE_MESSAGE, head_len: STATE_MESSAGE_LEN, len: STATE_MESSAGE_LEN })
    }
}

/// A head that is not complete.
#[cold]
fn partial_head(layout: Layout, src: &[u8]) -> Step {
    if src.is_empty() {
        Step::Boundary
    } else {
        Step::Partial { field: "head", at: 0, needed: as_u64(layout.head_len()) }
    }
}

/// A head and its payload, whose length is within the limits.
#[inline]
fn message(kind: FrameKind, layout: Layout, head: RawHead, src: &[u8]) -> Step {
    let head_len = layout.head_len();
    // A negative length is no payload, as in the servers: they compare it signed.
    let payload_len = usize::try_from(head.len).unwrap_or(0);
    let len = head_len.saturating_add(payload_len);
    if src.len() < len {
        return Step::Partial { field: "payload", at: head_len, needed: as_u64(payload_len) };
    }
    Step::Complete(Extent { kind, head_len, len })
}

/// Offset of `len` in every head.
const LEN_AT: usize = 4;

#[inline]
fn check_limit(head: RawHead, payload_max: u32) -> Result<(), Fault> {
    match u32::try_from(head.len) {
        Ok(announced) if announced > payload_max => Err(Fault {
            kind: DecodeErrorKind::AboveLimit { announced: announced.into(), limit: payload_max.into() },
            field: "len",
            at: LEN_AT,
        }),
        _ => Ok(()),
    }
}
