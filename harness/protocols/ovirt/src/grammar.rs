//! How lines are read: one message each, in both directions, the same in every release.
//!
//! There are no requests and replies but one: an agent sends an `echo` back. So a script that asks uses `echo`, and
//! everything else that an agent says is said by itself.

use std::collections::{HashMap, VecDeque};

use verdict::{ConnContext, Due, ExchangeId, Grammar, Meaning, Pairing, Place};
use wire::json::Document;
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
    pub(crate) fn new(dialect: &'static Dialect) -> Self {
        Self { dialect }
    }
}

/// Whether a line is an `echo`.
fn is_echo(frame: &Frame) -> bool {
    Message::read(&frame.bytes).is_some_and(|message| message.name() == names::ECHO)
}

/// The member by which echoes are told apart; what it says, not how it is written.
pub(crate) fn id_of(echo: &[u8]) -> Option<Vec<u8>> {
    let document = Document::parse(echo, RULES).ok()?;
    let id = document.root().get(ID)?;
    Some(id.text().map_or_else(|| id.raw().to_vec(), |text| text.into_owned().into_bytes()))
}

/// An echo is the same message; what its text lost in the character filter only its order tells.
#[derive(Default)]
struct Echoes {
    waiting: HashMap<Option<Vec<u8>>, VecDeque<ExchangeId>>,
}

impl Pairing for Echoes {
    fn place(&mut self, dir: Direction, frame: &Frame, fresh: Option<ExchangeId>) -> Place {
        let is_echo = is_echo(frame);
        match dir {
            Direction::ToServer if is_echo => {
                if let Some(id) = fresh {
                    self.waiting.entry(id_of(&frame.bytes)).or_default().push_back(id);
                }
                Place::Opens(Due::One)
            }
            Direction::ToServer => Place::Opens(Due::None),
            Direction::ToClient => {
                let waiting = is_echo.then(|| self.waiting.get_mut(&id_of(&frame.bytes))).flatten();
                match waiting.and_then(VecDeque::pop_front) {
                    Some(id) => Place::Completes(id, Meaning::Success),
                    None => Place::Unasked,
                }
            }
        }
    }
}

impl Grammar for OvirtGrammar {
    fn dialect(&self) -> &str {
        self.dialect.name
    }

    fn decoder(&self, _dir: Direction, _conn: &ConnContext) -> Box<dyn Decoder> {
        Box::new(LineDecoder::over(LineScan::new(LINE_MAX)))
    }

    fn pairing(&self) -> Box<dyn Pairing> {
        Box::new(Echoes::default())
    }

    fn dissect(&self, _dir: Direction, frame: &Frame, _request: Option<&Frame>) -> Dissection {
        let mut dissection = wire::json::dissect(&frame.bytes, RULES, &mask_of);
        let named = Message::read(&frame.bytes).map(|message| message.name().to_owned());
        dissection.title = named.filter(|name| !name.is_empty()).unwrap_or_else(|| "no message".to_owned());
        dissection
    }

    fn due(&self, request: &Frame) -> Due {
        if is_echo(request) { Due::One } else { Due::None }
    }

    fn is_awaited(&self, reply: &Frame) -> bool {
        is_echo(reply)
    }

    fn meaning(&self, request: Option<&Frame>, reply: &Frame) -> Meaning {
        match request {
            Some(request)
                if is_echo(request) && is_echo(reply) && id_of(&request.bytes) == id_of(&reply.bytes) =>
            {
                Meaning::Success
            }
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
