//! How lines are read: one message each, in both directions, the same in every release.
//!
//! There are no requests and replies but one: an agent sends an `echo` back. So a script that asks uses `echo`, and
//! everything else that an agent says is said by itself.

use verdict::{Grammar, Meaning, ReplyDue};
use wire::json::{Document, same_value};
use wire::json_lines::{LineDecoder, LineScan};
use wire::{Decoder, Direction, Dissection, Frame};

use super::message::{Message, RULES};
use super::{Dialect, LINE_MAX, names};

/// The reading of one dialect.
#[derive(Debug, Clone, Copy)]
pub(crate) struct OvirtGrammar {
    dialect: &'static Dialect,
}

impl OvirtGrammar {
    /// The reading of that dialect.
    #[must_use]
    pub(crate) fn new(dialect: &'static Dialect) -> Self {
        Self { dialect }
    }
}

/// Whether a line is an `echo`.
fn is_echo(frame: &Frame) -> bool {
    Message::read(&frame.bytes).is_ok_and(|message| message.name() == names::ECHO)
}

impl Grammar for OvirtGrammar {
    fn dialect(&self) -> &str {
        self.dialect.name
    }

    fn decoder(&self, _dir: Direction) -> Box<dyn Decoder> {
        Box::new(LineDecoder::over(LineScan::new(LINE_MAX)))
    }

    fn dissect(&self, _dir: Direction, frame: &Frame, _request: Option<&Frame>) -> Dissection {
        let mut dissection = wire::json::dissect(&frame.bytes, RULES, &mask_of);
        let named = Message::read(&frame.bytes).ok().map(|message| message.name().to_owned());
        dissection.title = named.filter(|name| !name.is_empty()).unwrap_or_else(|| "no message".to_owned());
        dissection
    }

    fn reply_due(&self, request: &Frame) -> ReplyDue {
        if is_echo(request) { ReplyDue::One } else { ReplyDue::None }
    }

    /// An echo is the same message; what its text lost in the character filter only its order tells.
    fn answers(&self, request: &Frame, reply: &Frame) -> bool {
        if !is_echo(request) || !is_echo(reply) {
            return false;
        }
        match (Document::parse(&request.bytes, RULES), Document::parse(&reply.bytes, RULES)) {
            (Ok(asked), Ok(said)) => {
                let id = |document: &Document<'_>| document.root().get(ID).map(|value| value.raw().to_vec());
                same_value(asked.root(), said.root()) || id(&asked) == id(&said)
            }
            _ => false,
        }
    }

    fn is_awaited(&self, reply: &Frame) -> bool {
        is_echo(reply)
    }

    fn meaning(&self, request: Option<&Frame>, reply: &Frame) -> Meaning {
        match request {
            Some(request) if self.answers(request, reply) => Meaning::Success,
            _ => Meaning::Notification,
        }
    }
}

/// Under which mask comparison passes over a member: what depends on the guest's machine and its load. Names, versions
/// and whether something is done are never passed over.
fn mask_of(field: &str) -> Option<&'static str> {
    let top = field.split('.').next().unwrap_or(field);
    match top {
        "free-ram" | "memory-stat" => Some("memory"),
        "disks" | "mapping" => Some("disks"),
        "count" => Some("processors"),
        "reply_id" => Some("reply-id"),
        "name" | "fqdn" | "version" | "distribution" | "codename" | "arch" | "type" | "kernel" | "zone"
        | "offset" | "interfaces" | "applications" | "list" => Some("guest"),
        _ => None,
    }
}

/// The member by which scripts tell their echoes apart.
pub(super) const ID: &str = "t";
