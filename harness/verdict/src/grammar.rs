//! How one dialect of one protocol is read. Implemented by the protocols; used by everything that
//! turns bytes into frames and frames into meanings.

use wire::{Decoder, Direction, Dissection, Frame};

/// The pure half of a protocol at one dialect.
pub trait Grammar: Send + Sync {
    /// Name of the dialect, e.g. `4.0.6` or `ideal`.
    fn dialect(&self) -> &str;

    /// A fresh decoder for one direction of one connection.
    fn decoder(&self, dir: Direction) -> Box<dyn Decoder>;

    /// Reads one frame; `request` is the request that a reply belongs to, where there is one.
    fn dissect(&self, dir: Direction, frame: &Frame, request: Option<&Frame>) -> Dissection;

    /// Whether a frame from the client is due an answer.
    fn reply_due(&self, request: &Frame) -> ReplyDue;

    /// Whether a frame from the server can be the answer to that request. The oldest open request of which
    /// this holds is answered; protocols without serial numbers answer in order.
    fn answers(&self, _request: &Frame, _reply: &Frame) -> bool {
        true
    }

    /// Whether a script that waits for a reply waits for this frame. Not so where a server also speaks by itself,
    /// periodically: such frames are taken and neither end a wait nor keep a stream from being quiet.
    fn is_awaited(&self, _reply: &Frame) -> bool {
        true
    }

    /// What a frame from the server says about the request that it answers.
    fn meaning(&self, request: Option<&Frame>, reply: &Frame) -> Meaning;
}

/// Whether a request is due an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReplyDue {
    /// Exactly one reply.
    One,
    /// A reply only if the request fails; silence or a close is success.
    OnlyOnFailure,
    /// None, e.g. the second half of a two-part request.
    None,
}

/// What a reply says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Meaning {
    /// The request was carried out.
    Success,
    /// The request is not known here.
    NotSupported,
    /// The request is known and was refused or failed, with the protocol's code.
    Refused(i64),
    /// No reply: a message that the server sends by itself.
    Notification,
}
