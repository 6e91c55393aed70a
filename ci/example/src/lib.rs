//! `kv`: a store of texts, as wireskew sees it.
//!
//! ```text
//! 0        4
//! | length | JSON: {"op":"put","key":"k","value":"v"}        length is big-endian and counts what follows
//! ```
//!
//! Requests are answered in order, one frame each. An op that the daemon does not know is answered
//! `{"error":"unsupported"}`, one that it cannot read `{"error":"malformed"}`. A length above [`PAYLOAD_MAX`] ends the
//! connection.

use std::sync::Arc;

use bytes::Bytes;
use matrix::{CaseId, LockTable, LockedDialect, LockedField, LockedMessage, Role};
use protocol::effects::Operation;
use protocol::launch::At;
use protocol::probe::{AboveLimit, Answers, Bad, Clients, Description, Lengths};
use protocol::{Case, Defect, Hazard, Peers, Protocol, effects, probe};
use transcript::Transcript;
use transcript::evidence::Expectation;
use verdict::{Check, Cited, ConnContext, Due, Grammar, InOrder, Meaning, Pairing, Reading};
use wire::json::{self, Document, Rules};
use wire::{DecodeErrorKind, Decoder, Direction, Dissection, Extent, Fault, Field, Frame, FrameKind, Scan};
use wire::{Step, StreamDecoder, Value};

/// Length of the head.
const HEAD_LEN: usize = 4;
/// Most bytes of JSON that are taken.
const PAYLOAD_MAX: usize = 64 << 10;
const MESSAGE: FrameKind = FrameKind(1);
/// Oldest first; `ideal` is what the designers want, here the same.
const DIALECTS: [&str; 2] = ["1.0", "ideal"];
/// The ops, with what they carry.
const OPS: [(&str, &[&str]); 4] =
    [("echo", &["text"]), ("get", &["key"]), ("put", &["key", "value"]), ("version", &[])];
/// What the client can be asked to do.
const OPERATIONS: &[KvOperation] = &[
    KvOperation { name: "version", about: "asks for the version" },
    KvOperation { name: "echo", about: "sends a text and gets it back" },
    KvOperation { name: "put-get", about: "stores a text and reads it back" },
];

// --- framing -----------------------------------------------------------------------------------------

/// Finds the ends of messages, in either direction.
#[derive(Debug, Clone, Copy)]
struct MessageScan;

impl Scan for MessageScan {
    fn step(&mut self, src: &[u8]) -> Result<Step, Fault> {
        let Some((head, payload)) = src.split_first_chunk::<HEAD_LEN>() else {
            return Ok(match src.len() {
                0 => Step::Boundary,
                _ => Step::Partial { field: "length", at: 0, needed: HEAD_LEN as u64 },
            });
        };
        let (announced, limit) = (u32::from_be_bytes(*head) as usize, PAYLOAD_MAX as u64);
        if announced > PAYLOAD_MAX {
            let kind = DecodeErrorKind::AboveLimit { announced: announced as u64, limit };
            return Err(Fault { kind, field: "length", at: 0 });
        }
        Ok(match payload.len() < announced {
            true => Step::Partial { field: "payload", at: HEAD_LEN, needed: announced as u64 },
            false => Step::Complete(Extent { kind: MESSAGE, head_len: HEAD_LEN, len: HEAD_LEN + announced }),
        })
    }
}

// --- grammar -----------------------------------------------------------------------------------------

#[derive(Debug, Clone, Copy)]
struct KvGrammar {
    dialect: &'static str,
}

impl Grammar for KvGrammar {
    fn dialect(&self) -> &str {
        self.dialect
    }

    fn decoder(&self, _dir: Direction, _conn: &ConnContext) -> Box<dyn Decoder> {
        Box::new(StreamDecoder::over(MessageScan))
    }

    fn pairing(&self) -> Box<dyn Pairing> {
        Box::new(InOrder::new(*self))
    }

    fn dissect(&self, dir: Direction, frame: &Frame, _request: Option<&Frame>) -> Dissection {
        let mut read =
            json::dissect(frame.payload(), Rules::STRICT, &|name| (name == json::SYNTAX).then_some("syntax"));
        for field in &mut read.fields {
            field.span = field.span.start + HEAD_LEN..field.span.end + HEAD_LEN;
        }
        for problem in &mut read.problems {
            problem.span = problem.span.start + HEAD_LEN..problem.span.end + HEAD_LEN;
        }
        let value = Value::Uint(frame.payload().len() as u64);
        let length =
            Field { name: "length".into(), span: 0..HEAD_LEN, value, label: None, mask: Some("length") };
        read.fields.insert(0, length);
        read.title = match (dir, member(frame, "op"), member(frame, "error")) {
            (Direction::ToServer, Some(op), _) => op,
            (Direction::ToClient, _, Some(error)) => format!("error: {error}"),
            (Direction::ToClient, _, None) => "answer".to_owned(),
            (Direction::ToServer, None, _) => "no request".to_owned(),
        };
        read
    }

    fn due(&self, _request: &Frame) -> Due {
        Due::One
    }

    fn meaning(&self, _request: Option<&Frame>, reply: &Frame) -> Meaning {
        match member(reply, "error").as_deref() {
            None => Meaning::Success,
            Some("unsupported") => Meaning::NotSupported,
            Some("malformed") => Meaning::Refused(1),
            Some(_) => Meaning::Refused(2),
        }
    }
}

/// A text of a message.
fn member(frame: &Frame, name: &str) -> Option<String> {
    let document = Document::parse(frame.payload(), Rules::STRICT).ok()?;
    Some(document.root().get(name)?.text()?.into_owned())
}

// --- probes ------------------------------------------------------------------------------------------

fn message(json: impl AsRef<[u8]>) -> Bytes {
    let json = json.as_ref();
    let length = u32::try_from(json.len()).expect("what probes send is short");
    [&length.to_be_bytes(), json].concat().into()
}

/// An unknown request with that many bytes of JSON, or as few as it needs.
fn unknown(len: usize) -> Bytes {
    let (begin, end) = (r#"{"op":"zz","pad":""#, r#""}"#);
    match len.checked_sub(begin.len() + end.len()) {
        Some(pad) => message(format!("{begin}{}{end}", "a".repeat(pad))),
        None => message(r#"{"op":"zz"}"#),
    }
}

/// What the generic probes must know: they send this, and know from the grammar what comes back.
fn description() -> Description {
    Description {
        canary: message(r#"{"op":"version"}"#),
        second: message(r#"{"op":"echo","text":"second"}"#),
        with_payload: message(r#"{"op":"echo","text":"x"}"#),
        unknown,
        unknown_gets: Bad::Refused,
        // As the four bytes of the field: -1 is the largest.
        lengths: Some(Lengths {
            announcing: |length| Bytes::copy_from_slice(&(length as u32).to_be_bytes()),
            max: u32::MAX.into(),
            min: 0,
        }),
        payload_max: Some(PAYLOAD_MAX),
        head_len: HEAD_LEN,
        reply: message(r#"{"version":"1.0"}"#),
        trailing_bytes: Some(message(r#"{"op":"version"} trailing"#)),
        missing_bytes: Some(message(r#"{"op":"echo"}"#)),
        unknown_fields: Some(message(r#"{"op":"version","since":"2.0"}"#)),
        text: |text| message([br#"{"op":"echo","text":""#, text, br#""}"#].concat()),
        malformed: Bad::Refused,
        greeting: Vec::new(),
        ids: None,
        stray: Bad::Refused,
        above_limit: AboveLimit::Closed,
        half_close_tries: 1,
        clients: Clients::Many,
        answers: Answers::NextFrame,
    }
}

// --- operations --------------------------------------------------------------------------------------

struct KvOperation {
    name: &'static str,
    about: &'static str,
}

impl Operation for KvOperation {
    fn name(&self) -> &str {
        self.name
    }

    fn about(&self) -> &'static str {
        self.about
    }

    fn hazard(&self) -> Hazard {
        Hazard::Harmless
    }

    fn expected(&self) -> Vec<Expectation> {
        effects::expected(0, &[], &[])
    }
}

// --- protocol ----------------------------------------------------------------------------------------

/// The protocol, for `harness/registry/src/lib.rs`.
#[must_use]
pub fn protocol() -> Arc<dyn Protocol> {
    Arc::new(Kv)
}

struct Kv;

impl Protocol for Kv {
    fn name(&self) -> &'static str {
        "kv"
    }

    fn alias(&self) -> &'static str {
        "kv"
    }

    fn about(&self) -> &'static str {
        "a store of texts (an example, ci/example/README.md)"
    }

    fn framing(&self) -> &'static str {
        "u32-json"
    }

    fn unrecorded(&self) -> Option<&'static str> {
        Some("it is an example, and nobody has released it")
    }

    fn dialects(&self) -> Vec<&'static str> {
        DIALECTS.to_vec()
    }

    fn grammar(&self, dialect: &str) -> Option<Arc<dyn Grammar>> {
        let dialect = DIALECTS.into_iter().find(|known| *known == dialect)?;
        Some(Arc::new(KvGrammar { dialect }))
    }

    fn cases(&self) -> Vec<Case> {
        let operations = OPERATIONS.iter().map(Operation::case);
        probe::generic(&description()).into_iter().chain(operations).collect()
    }

    fn operations(&self) -> Vec<&'static dyn Operation> {
        OPERATIONS.iter().map(|operation| operation as &dyn Operation).collect()
    }

    fn checks(&self, case: &CaseId) -> Vec<Check> {
        verdict::checks::of(case.kind)
    }

    fn rules(&self) -> Vec<Cited> {
        Vec::new()
    }

    fn negotiated(&self, _transcript: &Transcript, _reading: &Reading) -> Option<String> {
        None
    }

    fn lock_table(&self) -> LockTable {
        let message = |(name, members): (&str, &[&str])| LockedMessage {
            kind: "op".to_owned(),
            name: name.to_owned(),
            request: members.iter().zip(0..).map(|(name, at)| LockedField::open(at, "text", name)).collect(),
            ..LockedMessage::default()
        };
        let dialect = |name: &str, after: Option<&str>| LockedDialect {
            name: name.to_owned(),
            after: after.map(ToOwned::to_owned),
            limits: [("payload-max".to_owned(), PAYLOAD_MAX as u64)].into(),
            messages: OPS.into_iter().map(message).collect(),
            ..LockedDialect::default()
        };
        let dialects = vec![dialect("1.0", None), dialect("ideal", Some("1.0"))];
        LockTable { protocol: self.name().to_owned(), dialects }
    }

    fn defects(&self) -> &'static [Defect] {
        &[]
    }

    /// The daemon and the client are command lines: `{socket}`, or `{address}`.
    fn speaks_at(&self, _role: Role) -> &'static [At] {
        &[At::Socket, At::Tcp]
    }

    fn peers(&self) -> Peers {
        Peers::default()
    }
}
