//! The words of evidence: what the parts of a transcript are for, what is expected of them, what is seen outside the wire,
//! and what can be wrong. Each word is in one table; what is written in files never changes.

mod capture;
mod server;

use std::borrow::Cow;
use std::fmt;

pub use capture::Capture;
pub use server::{ServerAct, Successor};

use crate::{EventKind, ExitStatus};

/// An enum with a word for each of its values.
macro_rules! words {
    ($(#[$about:meta])* $name:ident { $($(#[$doc:meta])* $variant:ident = $word:literal,)* }) => {
        $(#[$about])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name {
            $($(#[$doc])* $variant,)*
        }

        impl $name {
            /// Every value.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The word in files.
            #[must_use]
            pub const fn word(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)*
                }
            }

            /// The value of that word.
            #[must_use]
            pub fn parse(word: &str) -> Option<Self> {
                match word {
                    $($word => Some(Self::$variant),)*
                    _ => None,
                }
            }
        }
    };
}

words! {
    /// What a step of a conversation is for: the label of the mark that starts it.
    Role {
        /// The exchange that the case is about.
        Subject = "subject",
        /// What comes before the subject and is not judged.
        Before = "before",
        /// A harmless valid request behind the subject, on the same connection.
        Canary = "canary",
        /// A moment in which the server may close after its answer to the subject, before the canary.
        Settle = "settle",
        /// The same as the canary on a new connection, after the subject.
        Fresh = "fresh",
        /// The same by another client, while the subject is going on.
        Witness = "witness",
        /// Preparations whose outcome is not judged but must not fail to be answered.
        Setup = "setup",
        /// What a protocol wants said first on each connection.
        Greeting = "greeting",
        /// What comes unasked is collected here.
        Quiet = "quiet",
        /// State of the server is read back; the argument `at` says when, and the protocol's checks know what is due.
        State = "state",
        /// Something happened to the server; the argument `act` says what. On connection 0.
        Server = "server",
    }
}

words! {
    /// What a subject must come to: the argument `expect` of its mark, one word for each request.
    Expect {
        /// Carried out.
        Answer = "answer",
        /// `Not supported`.
        NotSupported = "not-supported",
        /// An error reply; a clean close is a refusal too.
        Refusal = "refusal",
        /// Any answer, or a clean close; but not silence.
        Any = "any",
        /// A close is right; an error reply is as good.
        Closed = "closed",
        /// Anything but a crash.
        Survive = "survive",
    }
}

impl Expect {
    /// The argument of a subject's mark that says what is expected.
    pub const ARG: &'static str = "expect";

    /// That argument for one request.
    #[must_use]
    pub const fn arg(self) -> (&'static str, &'static str) {
        (Self::ARG, self.word())
    }

    /// Its value for several requests.
    #[must_use]
    pub fn list(each: &[Self]) -> String {
        each.iter().map(|expect| expect.word()).collect::<Vec<_>>().join(",")
    }
}

/// What is expected of one request is a list of one.
impl AsRef<[Self]> for Expect {
    fn as_ref(&self) -> &[Self] {
        std::slice::from_ref(self)
    }
}

words! {
    /// What carries the bytes of a conversation.
    Transport {
        /// A unix socket.
        Unix = "unix-stream",
        /// Memory of one process; it does what a unix socket does.
        Memory = "memory",
        /// A TCP connection.
        Tcp = "tcp",
        /// A pseudo terminal at the server's end, a socket at the other.
        Terminal = "pty",
    }
}

words! {
    /// What a muxer of hybrid vsock does instead of answering `OK <number>`: why a connection through it could not be made.
    MuxerFault {
        /// The connection ends instead of the line.
        Eof = "muxer-eof",
        /// The connection ends within the line.
        Cut = "muxer-cut",
        /// The line does not end where the longest one does.
        Endless = "muxer-endless",
        /// The line has another word.
        Word = "muxer-word",
        /// What stands behind the word is no number.
        Number = "muxer-number",
        /// The line does not come in time, or not all of it.
        Silent = "muxer-silent",
        /// The connection is reset.
        Reset = "muxer-reset",
    }
}

/// In words for people.
impl fmt::Display for MuxerFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Eof => "the muxer ends the connection, as it does where nobody listens at the port",
            Self::Cut => "the muxer ends the connection within its answer",
            Self::Endless => "the muxer's answer has no end",
            Self::Word => "the muxer's answer is not `OK`",
            Self::Number => "the muxer's answer has no number behind `OK`",
            Self::Silent => "the muxer does not answer in time",
            Self::Reset => "the muxer resets the connection",
        })
    }
}

impl std::error::Error for MuxerFault {}

/// What was seen by other means than the wire: the key of an observation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Observation<'a> {
    /// Whether the process lives: `yes` or `no`.
    Alive,
    /// How many descriptors it holds.
    Fds,
    /// How much memory it has, in KiB.
    RssKib,
    /// How much of the processor's time it has used, in milliseconds.
    CpuMs,
    /// How many bytes of messages it holds for its clients.
    HeldBytes,
    /// Our bytes could not be sent, and why.
    SendFailed,
    /// What later requests quote could not be taken from a reply, and why.
    NotCaptured,
    /// A request was not sent, since nobody knows what it is to quote.
    NotSent,
    /// Nothing could be received, and why.
    RecvFailed,
    /// Bytes could not be passed on, and why.
    ForwardFailed,
    /// The peer sends without end.
    Flood,
    /// The transcript reached its limits, and nothing is kept beyond.
    Overflow,
    /// What the server says by what it was replaced, behind the mark that says it was to be.
    ReplacedBy,
    /// The name of the operation that a client is told to carry out.
    Operation,
    /// What must be so behind an operation: `exit`, a claim or an effect.
    Expected(&'a str),
    /// What the client said when it ended.
    Claim(&'a str),
    /// What really is so.
    Effect(&'a str),
    /// The text from which an effect was read.
    Detail(&'a str),
    /// What an imported recording says besides its events.
    Note,
    /// What the recorder of an imported recording read from the peers.
    Recorded(&'a str),
    /// A word of a protocol.
    Of(&'a str),
}

/// Makes the observation that names something.
type Named = for<'n> fn(&'n str) -> Observation<'n>;

impl<'a> Observation<'a> {
    /// Those without a parameter, with their keys.
    const FIXED: &'static [(&'static str, Observation<'static>)] = &[
        ("alive", Observation::Alive),
        ("fds", Observation::Fds),
        ("rss_kib", Observation::RssKib),
        ("cpu_ms", Observation::CpuMs),
        ("held_bytes", Observation::HeldBytes),
        ("send-failed", Observation::SendFailed),
        ("not-captured", Observation::NotCaptured),
        ("not-sent", Observation::NotSent),
        ("recv-failed", Observation::RecvFailed),
        ("forward-failed", Observation::ForwardFailed),
        ("flood", Observation::Flood),
        ("overflow", Observation::Overflow),
        ("replaced-by", Observation::ReplacedBy),
        ("operation", Observation::Operation),
        ("detail", Observation::Note),
    ];
    /// Those that name something, by what stands in front of the name.
    const NAMED: &'static [(&'static str, Named)] = &[
        ("expected.", |name| Observation::Expected(name)),
        ("claim.", |name| Observation::Claim(name)),
        ("effect.", |name| Observation::Effect(name)),
        ("detail.", |name| Observation::Detail(name)),
        ("observed.", |name| Observation::Recorded(name)),
    ];

    /// The observation of that key.
    #[must_use]
    pub fn parse(key: &'a str) -> Self {
        if let Some((_, fixed)) = Self::FIXED.iter().find(|(word, _)| *word == key) {
            return *fixed;
        }
        let named = Self::NAMED.iter().find_map(|(word, make)| Some(make(key.strip_prefix(word)?)));
        named.unwrap_or(Self::Of(key))
    }

    /// Its key in files.
    #[must_use]
    pub fn key(self) -> Cow<'a, str> {
        let name = match self {
            Self::Of(key) => return Cow::Borrowed(key),
            Self::Expected(name)
            | Self::Claim(name)
            | Self::Effect(name)
            | Self::Detail(name)
            | Self::Recorded(name) => name,
            fixed => {
                let known = Self::FIXED.iter().find(|(_, known)| *known == fixed);
                return Cow::Borrowed(known.map_or("", |(word, _)| word));
            }
        };
        let word = Self::NAMED.iter().find(|(_, make)| make(name) == self).map_or("", |(word, _)| word);
        Cow::Owned(format!("{word}{name}"))
    }
}

impl Observation<'_> {
    /// The event that says so.
    #[must_use]
    pub fn event(self, value: impl Into<String>) -> EventKind {
        EventKind::Observe { key: self.key().into_owned(), value: value.into() }
    }
}

/// Something that must be so behind an operation.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Expectation {
    /// What stands behind `expected.`: [`EXIT`], `claim.<word>` or an effect.
    name: String,
    /// What must be so.
    pub value: String,
}

impl Expectation {
    /// How a client that is right exits.
    #[must_use]
    pub fn exit(code: i32) -> Self {
        Self { name: EXIT.to_owned(), value: code.to_string() }
    }

    /// What it says.
    #[must_use]
    pub fn claim(word: &str, value: &str) -> Self {
        Self { name: Observation::Claim(word).key().into_owned(), value: value.to_owned() }
    }

    /// What is so afterwards.
    #[must_use]
    pub fn effect(effect: &str, value: &str) -> Self {
        Self { name: effect.to_owned(), value: value.to_owned() }
    }

    /// The one that an observation writes down, if it writes down one.
    #[must_use]
    pub fn of(observation: Observation<'_>, value: &str) -> Option<Self> {
        match observation {
            Observation::Expected(name) => Some(Self { name: name.to_owned(), value: value.to_owned() }),
            _ => None,
        }
    }

    /// The observation that writes it down.
    #[must_use]
    pub fn observation(&self) -> Observation<'_> {
        Observation::Expected(&self.name)
    }

    /// What has to be looked at to see whether it is so.
    #[must_use]
    pub fn about(&self) -> Observation<'_> {
        match Observation::parse(&self.name) {
            _ if self.name == EXIT => Observation::Claim(EXIT),
            claim @ Observation::Claim(_) => claim,
            _ => Observation::Effect(&self.name),
        }
    }
}

impl EventKind {
    /// What was observed, and its value, if that is what happened.
    #[must_use]
    pub fn observed(&self) -> Option<(Observation<'_>, &str)> {
        match self {
            Self::Observe { key, value } => Some((Observation::parse(key), value)),
            _ => None,
        }
    }
}

/// The exit code, where it stands for an effect: `expected.exit`, `claim.exit`.
pub const EXIT: &str = "exit";

/// How a client ended, as `claim.exit` says it; nothing where it had not when its deadline passed.
///
/// ```text
/// Code(1)     1
/// Signal(11)  signal-11
/// Gone        gone
/// nothing     none
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ClaimedExit(pub Option<ExitStatus>);

impl ClaimedExit {
    const SIGNAL: &'static str = "signal-";
    const GONE: &'static str = "gone";
    const NONE: &'static str = "none";

    /// The value of that word.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        let status = match word.strip_prefix(Self::SIGNAL) {
            Some(signal) => Some(ExitStatus::Signal(signal.parse().ok()?)),
            None if word == Self::NONE => None,
            None if word == Self::GONE => Some(ExitStatus::Gone),
            None => Some(ExitStatus::Code(word.parse().ok()?)),
        };
        Some(Self(status))
    }
}

/// The word in files.
impl fmt::Display for ClaimedExit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(ExitStatus::Code(code)) => write!(f, "{code}"),
            Some(ExitStatus::Signal(signal)) => write!(f, "{}{signal}", Self::SIGNAL),
            Some(ExitStatus::Gone) => f.write_str(Self::GONE),
            None => f.write_str(Self::NONE),
        }
    }
}

/// What is wrong, in a word that expectations match. It never changes its meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Shape(&'static str);

impl Shape {
    /// A shape of a protocol's own.
    #[must_use]
    pub const fn new(word: &'static str) -> Self {
        Self(word)
    }

    /// The word in files.
    #[must_use]
    pub const fn word(self) -> &'static str {
        self.0
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl PartialEq<Shape> for String {
    fn eq(&self, shape: &Shape) -> bool {
        self == shape.0
    }
}

impl PartialEq<Shape> for str {
    fn eq(&self, shape: &Shape) -> bool {
        self == shape.0
    }
}

macro_rules! shapes {
    ($($(#[$doc:meta])* $name:ident = $word:literal;)*) => {
        impl Shape {
            $($(#[$doc])* pub const $name: Self = Self($word);)*

            /// Every shape that a generic check can find.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];
        }
    };
}

shapes! {
    /// A request that is due an answer has none: the connection was closed.
    NO_REPLY = "no-reply";
    /// Neither an answer nor a close within the deadline.
    HANG = "hang";
    /// What should have been refused is carried out.
    WRONG_SUCCESS = "wrong-success";
    /// Refused otherwise than the protocol asks for.
    WRONG_REFUSAL = "wrong-refusal";
    /// A valid request is not known here.
    NOT_SUPPORTED = "not-supported";
    /// A valid request is refused.
    REFUSED_VALID = "refused-valid";
    /// A request that comes in pieces is refused.
    SPLIT_REFUSED = "split-refused";
    /// An answer is missing behind an earlier one.
    LOST_PIPELINED = "lost-pipelined";
    /// Closed without a reply, where that is a refusal.
    CLOSED = "closed";
    /// Not closed, where that is due.
    KEPT_OPEN = "kept-open";
    /// The payload of what was refused is read as the next request.
    NOT_DRAINED = "not-drained";
    /// Closed behind a refusal.
    CLOSED_AFTER_REFUSAL = "closed-after-refusal";
    /// Closed behind every answer.
    ONE_REQUEST_PER_CONNECTION = "one-request-per-connection";
    /// A reply that no open request is due.
    ANSWERED_TWICE = "answered-twice";
    /// An answer at the place of another one.
    OUT_OF_ORDER = "out-of-order";
    /// A process that a signal ended which nobody sent, or that is gone.
    CRASH = "crash";
    /// The server ended by itself.
    SERVER_EXITED = "server-exited";
    /// A new client is not served afterwards.
    NOT_USABLE_AFTER = "not-usable-after";
    /// The muxer in front of the server does not connect a client.
    MUXER = "muxer";
    /// Another client is not served meanwhile.
    BLOCKS_OTHERS = "blocks-others";
    /// Descriptors are not given back.
    LEAK_FDS = "leak-fds";
    /// Memory is not given back.
    LEAK_MEMORY = "leak-memory";
    /// Bytes that cannot be framed, or an answer that cannot be read.
    UNREADABLE_REPLY = "unreadable-reply";
    /// The server sends without end.
    FLOOD = "flood";
    /// A client claims success and its effect is not there.
    SILENT_WRONG = "silent-wrong";
    /// A client fails, and says so.
    LOUD_FAIL = "loud-fail";
    /// A signal ended the client, or it is gone.
    CLIENT_CRASH = "client-crash";
    /// The client did not end.
    CLIENT_HANG = "client-hang";
    /// A client was refused and came to the same end in another way.
    FELL_BACK = "fell-back";
    /// An answer means something else than when it was recorded.
    CHANGED_MEANING = "changed-meaning";
    /// What was carried out when it was recorded is refused.
    REFUSED_BEFORE_ACCEPTED = "refused-before-accepted";
    /// An answer where the recorded server gave none.
    ANSWERS_MORE = "answers-more";
    /// An answer holds more than the recorded one did.
    SAYS_MORE = "says-more";
    /// Something in an answer differs from the recording, and nobody understands it.
    NOT_COMPARED = "not-compared";
    /// What was refused when it was recorded is carried out.
    ACCEPTS_MORE = "accepts-more";
    /// What was not known when it was recorded is known now.
    SUPPORTED_NOW = "supported-now";
    /// Refused with another error than when it was recorded.
    OTHER_ERROR = "other-error";
    /// A connection that was closed when it was recorded is kept.
    KEEPS_LONGER = "keeps-longer";
    /// What ran when it was left behind is gone: whoever found it has ended it.
    STATE_DESTROYED = "state-destroyed";
    /// What was left behind is loaded in part, and nobody is told.
    STATE_LOST = "state-lost";
    /// What was left behind is refused, and changed all the same.
    STATE_TOUCHED = "state-touched";
    /// What was left behind is refused.
    STATE_REFUSED = "state-refused";
    /// The transcript does not hold enough to say more.
    INCOMPLETE = "incomplete";
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn words_are_read_as_they_are_written() {
        for role in Role::ALL {
            assert_eq!(Role::parse(role.word()), Some(*role));
        }
        for expect in Expect::ALL {
            assert_eq!(Expect::parse(expect.word()), Some(*expect));
        }
        for transport in Transport::ALL {
            assert_eq!(Transport::parse(transport.word()), Some(*transport));
        }
        for fault in MuxerFault::ALL {
            assert_eq!(MuxerFault::parse(fault.word()), Some(*fault));
            assert!(fault.word().starts_with("muxer-"));
        }
        assert_eq!((Role::parse("subjects"), Expect::parse(""), Transport::parse("udp")), (None, None, None));
    }

    #[test]
    fn keys_are_read_as_they_are_written() {
        let check = |key: &str, expect: Observation<'_>| {
            assert_eq!(Observation::parse(key), expect, "{key}");
            assert_eq!(expect.key(), key);
        };
        for (key, fixed) in Observation::FIXED {
            check(key, *fixed);
        }
        check("expected.exit", Observation::Expected(EXIT));
        check("expected.claim.state", Observation::Expected("claim.state"));
        check("claim.exit", Observation::Claim(EXIT));
        check("effect.frozen", Observation::Effect("frozen"));
        check("detail.stderr", Observation::Detail("stderr"));
        check("observed.agent_reads_at", Observation::Recorded("agent_reads_at"));
        check("heartbeat_ms", Observation::Of("heartbeat_ms"));
        check("", Observation::Of(""));
    }

    #[test]
    fn ends_of_clients_are_read_as_they_are_written() {
        for (exit, word) in [
            (Some(ExitStatus::Code(0)), "0"),
            (Some(ExitStatus::Code(-1)), "-1"),
            (Some(ExitStatus::Signal(11)), "signal-11"),
            (Some(ExitStatus::Gone), "gone"),
            (None, "none"),
        ] {
            assert_eq!(ClaimedExit(exit).to_string(), word);
            assert_eq!(ClaimedExit::parse(word), Some(ClaimedExit(exit)));
        }
        for word in ["", "signal-", "signal-kill", "none ", "dead"] {
            assert_eq!(ClaimedExit::parse(word), None, "{word}");
        }
    }

    #[test]
    fn every_shape_is_a_word_of_its_own() {
        let words: BTreeSet<&str> = Shape::ALL.iter().map(|shape| shape.word()).collect();
        assert_eq!(words.len(), Shape::ALL.len());
        let plain = |word: &str| !word.is_empty() && word.chars().all(|c| c.is_ascii_lowercase() || c == '-');
        assert!(words.iter().all(|word| plain(word)), "{words:?}");
    }
}
