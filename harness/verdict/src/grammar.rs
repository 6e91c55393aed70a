//! How one dialect of one protocol is read. Implemented by the protocols; used by everything that
//! turns bytes into frames and frames into meanings.

use std::borrow::Cow;

use matrix::swagger::Documents;
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

    /// The fields of a reply whose values later requests may quote: names that the server gives, which are others the next
    /// time. A conversation that is played again takes them from the replies of the server that it meets.
    fn quotable(&self, _reply: &Frame, _request: Option<&Frame>) -> Vec<Quotable> {
        Vec::new()
    }

    /// The documents of the API that the user has given; checks of the protocol hold replies to them.
    fn documents(&self) -> Option<&Documents> {
        None
    }

    /// What a frame from the server says about the request that it answers.
    fn meaning(&self, request: Option<&Frame>, reply: &Frame) -> Meaning;
}

/// A field of a reply whose value later requests may quote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quotable {
    /// Its name in the dissection of the reply.
    pub field: Cow<'static, str>,
    /// How many of the first bytes of its value stand for all of it, where so many do.
    pub short: Option<usize>,
}

/// The text that a reply, of which these are the frames with what they answer, has in a field; where several frames have that
/// field, in the last of them.
pub fn quoted<'a>(
    grammar: &dyn Grammar,
    reply: impl DoubleEndedIterator<Item = (&'a Frame, Option<&'a Frame>)>,
    field: &str,
) -> Option<String> {
    reply.rev().find_map(|(frame, request)| {
        let dissection = grammar.dissect(Direction::ToClient, frame, request);
        dissection.field(field)?.value.quoted().map(Cow::into_owned)
    })
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
