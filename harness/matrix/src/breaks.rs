//! What a newer release breaks of an older one, and whom that hurts.
//!
//! Schemas ([`crate::compare_schemas`]) and locks ([`crate::LockTable::compare`]) are compared to the same list, so
//! that one policy ([`crate::Policy`]) says what version any of them calls for.

use std::fmt;

/// Who cannot talk any more as both releases would with themselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Hurts {
    /// A client of the older release that meets a server of the newer one: the server is upgraded first.
    OldClientNewServer,
    /// A client of the newer release that meets a server of the older one: the client is upgraded first.
    NewClientOldServer,
    /// Both of these.
    Both,
}

impl Hurts {
    /// The word in files and results.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::OldClientNewServer => "old-client-new-server",
            Self::NewClientOldServer => "new-client-old-server",
            Self::Both => "both",
        }
    }

    /// Who is hurt, if somebody is.
    pub(crate) const fn of(old_client: bool, new_client: bool) -> Option<Self> {
        match (old_client, new_client) {
            (true, true) => Some(Self::Both),
            (true, false) => Some(Self::OldClientNewServer),
            (false, true) => Some(Self::NewClientOldServer),
            (false, false) => None,
        }
    }
}

impl fmt::Display for Hurts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::OldClientNewServer => "an old client with a new server",
            Self::NewClientOldServer => "a new client with an old server",
            Self::Both => "both: an old client with a new server, and a new client with an old one",
        })
    }
}

/// What is broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum BreakKind {
    /// A number means something else than before.
    NumberReused,
    /// A name has another number than before.
    Renumbered,
    /// A number has another name, and the same bytes.
    Renamed,
    /// A field, limit or flag has another type or value.
    TypeChanged,
    /// A field is gone.
    FieldRemoved,
    /// Fields exclude each other that did not.
    OneofJoined,
    /// Fields exclude each other no longer.
    OneofLeft,
    /// A message is gone.
    MessageRemoved,
    /// A value of an enum is gone.
    ValueRemoved,
    /// A service is gone.
    ServiceRemoved,
    /// A method is gone.
    MethodRemoved,
    /// A method takes another message.
    RequestChanged,
    /// A method gives another message.
    ResponseChanged,
    /// What was one message is a stream, or the other way round.
    StreamChanged,
    /// The layout of a message is another one.
    LayoutChanged,
    /// A limit is lower, or there was none.
    LimitLowered,
    /// What was promised otherwise is another thing now, or gone.
    FlagChanged,
}

impl BreakKind {
    /// The word in reports and results.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::NumberReused => "number-reused",
            Self::Renumbered => "renumbered",
            Self::Renamed => "renamed",
            Self::TypeChanged => "type-changed",
            Self::FieldRemoved => "field-removed",
            Self::OneofJoined => "oneof-joined",
            Self::OneofLeft => "oneof-left",
            Self::MessageRemoved => "message-removed",
            Self::ValueRemoved => "value-removed",
            Self::ServiceRemoved => "service-removed",
            Self::MethodRemoved => "method-removed",
            Self::RequestChanged => "request-changed",
            Self::ResponseChanged => "response-changed",
            Self::StreamChanged => "stream-changed",
            Self::LayoutChanged => "layout-changed",
            Self::LimitLowered => "limit-lowered",
            Self::FlagChanged => "flag-changed",
        }
    }
}

/// One thing that a newer release breaks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Break {
    /// What is broken.
    pub kind: BreakKind,
    /// What it is about: `grpc.CreateContainerRequest#8`, `command/14`.
    pub subject: String,
    /// How, as a fragment behind the subject.
    pub what: String,
    /// Whom it hurts.
    pub hurts: Hurts,
    /// Whether the bytes tell. Where they are the same, it is one only if the meaning changed with the name.
    pub certain: bool,
    /// Where it is written: files with lines, what a dialect declares.
    pub places: Vec<String>,
}

impl fmt::Display for Break {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: `{}` {}; ", self.kind.word(), self.subject, self.what)?;
        let may = if self.certain { "hurts" } else { "same bytes; if it means something else, it hurts" };
        write!(f, "{may} {}", self.hurts)?;
        if !self.places.is_empty() {
            write!(f, " ({})", self.places.join(" -> "))?;
        }
        Ok(())
    }
}

/// What lies between two releases.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Comparison {
    /// What the newer one breaks.
    pub breaks: Vec<Break>,
    /// What only the newer one has and nobody has to know: `grpc.AgentService/AddSwap`.
    pub additions: Vec<String>,
}
