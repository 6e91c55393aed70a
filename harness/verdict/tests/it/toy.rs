//! A framing that is small enough to write transcripts in by hand, and a writer for them.
//!
//! ```text
//! request   kind  len  payload          kind: c canary, s second, u unknown, x stop, anything else valid
//! reply     code  len  payload          code: 0 success, 1 not supported, n notification, else refused
//! ```
//! The last byte of a reply's payload is a serial number, which is masked. A length above 0x7f is too much.

use bytes::{Bytes, BytesMut};
use matrix::{CaseId, CaseKind};
use transcript::evidence::{Expect, MuxerFault, Role};
use transcript::{ConnId, Credentials, Data, Event, EventKind, ExitStatus, FdNote, Mark, Transcript};
use verdict::{
    ConnContext, Due, Evidence, Grammar, InOrder, Judgement, Meaning, Pairing, Reading, Recorded, checks,
    judge,
};
use wire::policy::{Added, Policies, Policy};
use wire::{
    DecodeError, DecodeErrorKind, Decoder, Direction, Dissection, Field, Frame, FrameKind, Problem, Value,
};

pub(crate) const CANARY: &[u8] = b"c\x01q";
pub(crate) const SECOND: &[u8] = b"s\x00";
pub(crate) const UNKNOWN: &[u8] = b"u\x02zz";
pub(crate) const STOP: &[u8] = b"x\x00";
pub(crate) const CANARY_OK: &[u8] = b"\x00\x02c1";
pub(crate) const SECOND_OK: &[u8] = b"\x00\x02s1";
pub(crate) const NOT_SUPPORTED: &[u8] = b"\x01\x00";
pub(crate) const REFUSED: &[u8] = b"\x05\x00";
pub(crate) const NOTIFICATION: &[u8] = b"n\x00";
/// Bytes that are no frame: a length above the limit.
pub(crate) const GARBAGE: &[u8] = b"?\xff";

const LENGTH_MAX: usize = 0x7f;

pub(crate) struct Toy;

struct ToyDecoder;

impl Decoder for ToyDecoder {
    fn decode(&mut self, src: &mut BytesMut) -> Result<Option<Frame>, DecodeError> {
        let Some(length) = src.get(1).copied().map(usize::from) else { return Ok(None) };
        if length > LENGTH_MAX {
            let kind = DecodeErrorKind::AboveLimit { announced: length as u64, limit: LENGTH_MAX as u64 };
            return Err(DecodeError { kind, field: "length", offset: 1 });
        }
        if src.len() < 2 + length {
            return Ok(None);
        }
        let bytes = src.split_to(2 + length).freeze();
        Ok(Some(Frame { kind: FrameKind(bytes[0]), head_len: 2, bytes }))
    }

    fn decode_eof(&mut self, src: &mut BytesMut) -> Result<Option<Frame>, DecodeError> {
        self.decode(src)
    }
}

impl Grammar for Toy {
    fn dialect(&self) -> &str {
        "toy"
    }

    fn decoder(&self, _dir: Direction, _conn: &ConnContext) -> Box<dyn Decoder> {
        Box::new(ToyDecoder)
    }

    fn pairing(&self) -> Box<dyn Pairing> {
        Box::new(InOrder::new(Self))
    }

    fn dissect(&self, _dir: Direction, frame: &Frame, request: Option<&Frame>) -> Dissection {
        let field = |name: &'static str, span: std::ops::Range<usize>, value, mask| Field {
            name: name.into(),
            span,
            value,
            label: None,
            mask,
        };
        let len = frame.bytes.len();
        let mut fields = vec![
            field("code", 0..1, Value::Uint(frame.bytes[0].into()), None),
            field("length", 1..2, Value::Uint(frame.bytes[1].into()), Some("length")),
        ];
        if len > 2 {
            // A newer server puts more between the two; of that, only the first byte is known.
            let known = (len - 1).min(3);
            fields.push(field("value", 2..known, Value::Bytes, None));
            if len > 4 {
                fields.push(field("since", 3..4, Value::Bytes, None));
            }
            if len > 5 {
                fields.push(field(wire::UNKNOWN, 4..len - 1, Value::Unread, None));
            }
            fields.push(field("serial", len - 1..len, Value::Bytes, Some("serial")));
        }
        let mut policies = Policies::default();
        policies.set("since", Policy { added: Added::Passes, ..Policy::default() });
        // A canary's answer is two bytes, or nothing; one is half of it.
        let canary = request.is_some_and(|request| request.bytes.first() == Some(&b'c'));
        let short = canary && frame.bytes.first() == Some(&0) && len == CANARY_OK.len() - 1;
        let problems = short.then(|| Problem { span: 0..len, what: "needs 2 bytes".to_owned() });
        Dissection { title: "toy".to_owned(), fields, policies, problems: problems.into_iter().collect() }
    }

    fn due(&self, request: &Frame) -> Due {
        if request.bytes[0] == b'x' { Due::OnFailure } else { Due::One }
    }

    fn meaning(&self, _request: Option<&Frame>, reply: &Frame) -> Meaning {
        match reply.bytes[0] {
            0 => Meaning::Success,
            1 => Meaning::NotSupported,
            b'n' => Meaning::Notification,
            code => Meaning::Refused(code.into()),
        }
    }
}

/// A transcript in the making.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tale {
    pub(crate) events: Vec<Event>,
}

impl Tale {
    pub(crate) fn event(mut self, conn: u32, dir: Direction, kind: EventKind) -> Self {
        self.events.push(Event { at_us: self.events.len() as u64, conn: ConnId(conn), dir, kind });
        self
    }

    pub(crate) fn unmarked(self, conn: u32) -> Self {
        let connected = self.event(conn, Direction::ToServer, EventKind::Connect);
        connected.event(conn, Direction::ToServer, EventKind::Mark(Mark::default()))
    }

    pub(crate) fn open(self, conn: u32, role: Role, args: &[(&str, &str)]) -> Self {
        self.event(conn, Direction::ToServer, EventKind::Connect).role(conn, role, args)
    }

    pub(crate) fn role(self, conn: u32, role: Role, args: &[(&str, &str)]) -> Self {
        let args = args.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        self.event(conn, Direction::ToServer, EventKind::Mark(Mark { label: role.word().to_owned(), args }))
    }

    pub(crate) fn sends(self, conn: u32, bytes: &[u8]) -> Self {
        self.event(conn, Direction::ToServer, data(bytes, 0))
    }

    pub(crate) fn answers(self, conn: u32, bytes: &[u8]) -> Self {
        self.event(conn, Direction::ToClient, data(bytes, 0))
    }

    pub(crate) fn answers_with_fds(self, conn: u32, bytes: &[u8], fds: usize) -> Self {
        self.event(conn, Direction::ToClient, data(bytes, fds))
    }

    pub(crate) fn ends(self, conn: u32) -> Self {
        self.event(conn, Direction::ToClient, EventKind::Eof(None))
    }

    pub(crate) fn resets(self, conn: u32) -> Self {
        self.event(conn, Direction::ToClient, EventKind::Reset)
    }

    pub(crate) fn silent(self, conn: u32) -> Self {
        self.event(conn, Direction::ToClient, EventKind::Timeout(500))
    }

    pub(crate) fn refuses_connection(self, conn: u32) -> Self {
        self.event(conn, Direction::ToServer, EventKind::ConnectFailed("ECONNREFUSED".to_owned()))
    }

    pub(crate) fn stopped_by_muxer(self, conn: u32, fault: MuxerFault) -> Self {
        self.event(conn, Direction::ToServer, EventKind::ConnectFailed(fault.word().to_owned()))
    }

    pub(crate) fn exits(self, status: ExitStatus) -> Self {
        self.event(0, Direction::ToClient, EventKind::Exit(status))
    }

    pub(crate) fn sees(self, key: &str, value: &str) -> Self {
        let kind = EventKind::Observe { key: key.to_owned(), value: value.to_owned() };
        self.event(0, Direction::ToClient, kind)
    }

    /// Something that the recorder noted on a connection, e.g. `flood`.
    pub(crate) fn notes(self, conn: u32, key: &str) -> Self {
        let kind = EventKind::Observe { key: key.to_owned(), value: "noted".to_owned() };
        self.event(conn, Direction::ToClient, kind)
    }

    pub(crate) fn watch(self, fds: &str, rss_kib: &str) -> Self {
        self.sees("alive", "yes").sees("fds", fds).sees("rss_kib", rss_kib)
    }

    /// Asks for the canary and is answered.
    pub(crate) fn asks(self, conn: u32, role: Role, args: &[(&str, &str)]) -> Self {
        self.open(conn, role, args).sends(conn, CANARY).answers(conn, CANARY_OK)
    }

    pub(crate) fn transcript(self) -> Transcript {
        Transcript { events: self.events, ..Transcript::default() }
    }
}

fn data(bytes: &[u8], fds: usize) -> EventKind {
    let creds = (fds > 0).then_some(Credentials { pid: 1, uid: 0, gid: 0 });
    let fds = vec![FdNote("null".to_owned()); fds];
    EventKind::Data(Data { bytes: Bytes::copy_from_slice(bytes), fds, creds })
}

/// Setup as every probe has it, on a server that keeps its connections.
pub(crate) fn opening() -> Tale {
    let tale = Tale::default().asks(1, Role::Setup, &[("name", "canary")]);
    let tale = tale.role(1, Role::Setup, &[("name", "kept")]).sends(1, CANARY).answers(1, CANARY_OK);
    second(tale)
}

/// The same on a server that closes each connection after one answer.
pub(crate) fn closing_opening() -> Tale {
    let tale = Tale::default().asks(1, Role::Setup, &[("name", "canary")]);
    second(tale.role(1, Role::Setup, &[("name", "kept")]).ends(1))
}

fn second(tale: Tale) -> Tale {
    tale.open(2, Role::Setup, &[("name", "second")])
        .sends(2, SECOND)
        .answers(2, SECOND_OK)
        .watch("10", "1000")
}

/// A new client and a look at the server, as at the end of every probe.
pub(crate) fn closing(tale: Tale) -> Tale {
    tale.asks(9, Role::Fresh, &[]).watch("10", "1000")
}

/// The subject of a probe, on connection 5.
pub(crate) fn subject(expect: impl AsRef<[Expect]>) -> Tale {
    opening().open(5, Role::Subject, &[(Expect::ARG, &Expect::list(expect.as_ref()))])
}

/// Judges a tale as the runner does, with the generic checks of that kind of case.
pub(crate) fn judged(kind: CaseKind, tale: Tale, recorded: Option<Tale>) -> Judgement {
    let case = CaseId::new(kind, "toy");
    let transcript = tale.transcript();
    let reading = Reading::of(&transcript, &Toy);
    let then = recorded.map(Tale::transcript).map(|then| (Reading::of(&then, &Toy), then));
    let recorded = then.as_ref().map(|(reading, transcript)| Recorded { transcript, reading, grammar: &Toy });
    let evidence =
        Evidence { case: &case, transcript: &transcript, reading: &reading, grammar: &Toy, recorded };
    judge(&evidence, &checks::of(kind), None)
}

/// What was found, as `check: shape`, sorted and without repeats.
pub(crate) fn found(judgement: &Judgement) -> Vec<String> {
    let mut found: Vec<_> = judgement.findings.iter().map(|f| format!("{}: {}", f.check, f.shape)).collect();
    found.sort();
    found.dedup();
    found
}
