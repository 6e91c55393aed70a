//! How one dialect of one protocol is read. Implemented by the protocols; used by everything that
//! turns bytes into frames and frames into meanings.

use transcript::ConnId;
use wire::{Decoder, Direction, Dissection, Frame};

use crate::exchange::Pairing;

/// The pure half of a protocol at one dialect.
pub trait Grammar: Send + Sync {
    /// Name of the dialect, e.g. `4.0.6` or `ideal`.
    fn dialect(&self) -> &str;

    /// A fresh decoder for one direction of one connection.
    fn decoder(&self, dir: Direction, conn: &ConnContext) -> Box<dyn Decoder>;

    /// How frames belong together, on a connection on which nothing was said yet.
    fn pairing(&self) -> Box<dyn Pairing>;

    /// Reads one frame; `request` is what a reply answers, where there is something.
    fn dissect(&self, dir: Direction, frame: &Frame, request: Option<&Frame>) -> Dissection;

    /// What a frame from the client is due.
    fn due(&self, request: &Frame) -> Due;

    /// Whether a script that waits for a reply waits for this frame. Not so where a server also speaks by itself,
    /// periodically: such frames are taken and neither end a wait nor keep a stream from being quiet.
    fn is_awaited(&self, _reply: &Frame) -> bool {
        true
    }

    /// What a frame from the server says about the request that it answers.
    fn meaning(&self, request: Option<&Frame>, reply: &Frame) -> Meaning;
}

/// What is known of a connection before its first byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConnContext {
    /// Its number.
    pub conn: ConnId,
}

/// What a message that opens an exchange is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Due {
    /// Exactly one answer, of one frame or of several.
    One,
    /// An answer only if the request fails; silence or a close is success.
    OnFailure,
    /// None, e.g. the second half of a two-part request.
    None,
    /// Any number of messages in both directions, until somebody ends it.
    Stream,
}

/// What a message says about the exchange that it belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Meaning {
    /// The request was carried out.
    Success,
    /// The request is not known here.
    NotSupported,
    /// The request is known and was refused or failed, with the protocol's code.
    Refused(i64),
    /// A part of an answer that goes on.
    Part,
    /// No reply: a message that the server sends by itself.
    Notification,
}

impl Meaning {
    /// Whether it is the end of an answer.
    #[must_use]
    pub fn is_answer(self) -> bool {
        !matches!(self, Self::Part | Self::Notification)
    }
}
