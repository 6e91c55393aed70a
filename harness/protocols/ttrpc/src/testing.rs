//! A toy of a protocol over ttrpc, and conversations in it.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use bytes::Bytes;
use matrix::{CaseId, CaseKind};
use transcript::evidence::{Expect, Role};
use transcript::{ConnId, Data, Event, EventKind, ExitStatus, Mark, Transcript};
use verdict::checks::Report;
use verdict::{Check, Evidence, FAULTS, Reading};
use wire::Direction;
use wire::protobuf::schema::Method;
use wire::protobuf::{Schema, Source};

use crate::api::{Api, Side};
use crate::{TtrpcGrammar, envelope};

/// One service with one method.
const TEXT: &str = "syntax = \"proto3\"; package s; message E { string name = 1; repeated string all = 2; }
    service S { rpc M(E) returns (E); }";

pub(crate) static SCHEMA: LazyLock<Schema> = LazyLock::new(|| {
    let source = Source { name: "s.proto", text: TEXT };
    Schema::parse(&[source]).expect("the text of these tests")
});

/// The toy; the order of what it lists says nothing, and no comparison looks at the name in a result.
#[derive(Clone, Copy)]
pub(crate) struct Toy;

impl Api for Toy {
    fn dialect(&self) -> &'static str {
        "toy"
    }

    fn schema(&self) -> &'static Schema {
        &SCHEMA
    }

    fn mask(&self, _: &Method, side: Side, field: &str) -> Option<&'static str> {
        (side == Side::Result && field == "name").then_some("toy")
    }

    fn whole_mask(&self, _: &Method) -> Option<&'static str> {
        None
    }

    fn unordered(&self, _: &Method) -> &'static [&'static str] {
        &["all"]
    }
}

/// The harmless call.
pub(crate) fn good(stream: u32) -> Bytes {
    envelope::request(stream, "s.S", "M", b"")
}

/// A success without a result.
pub(crate) fn done(stream: u32) -> Bytes {
    envelope::success(stream, envelope::Success::Bare, b"")
}

/// What happens on one connection, from its beginning on.
#[derive(Clone)]
pub(crate) struct Talk(Transcript);

impl Talk {
    pub(crate) fn new() -> Self {
        Self(Transcript::default()).then(Direction::ToServer, EventKind::Connect)
    }

    fn then(mut self, dir: Direction, kind: EventKind) -> Self {
        self.0.events.push(Event { at_us: 0, conn: ConnId(1), dir, kind });
        self
    }

    fn data(self, dir: Direction, bytes: impl AsRef<[u8]>) -> Self {
        let bytes = Bytes::copy_from_slice(bytes.as_ref());
        self.then(dir, EventKind::Data(Data { bytes, ..Data::default() }))
    }

    pub(crate) fn role(self, role: Role, expect: &[Expect]) -> Self {
        let args = match expect {
            [] => BTreeMap::new(),
            expect => BTreeMap::from([(Expect::ARG.to_owned(), Expect::list(expect))]),
        };
        self.then(Direction::ToServer, EventKind::Mark(Mark { label: role.word().to_owned(), args }))
    }

    pub(crate) fn asks(self, bytes: impl AsRef<[u8]>) -> Self {
        self.data(Direction::ToServer, bytes)
    }

    pub(crate) fn answers(self, bytes: impl AsRef<[u8]>) -> Self {
        self.data(Direction::ToClient, bytes)
    }

    /// Nothing comes from the server.
    pub(crate) fn silent(self) -> Self {
        self.then(Direction::ToClient, EventKind::Timeout(1000))
    }

    pub(crate) fn closes(self) -> Self {
        self.then(Direction::ToClient, EventKind::Eof(None))
    }

    pub(crate) fn leaves(self) -> Self {
        self.then(Direction::ToServer, EventKind::Eof(None))
    }

    pub(crate) fn dies(self) -> Self {
        self.closes().then(Direction::ToClient, EventKind::Exit(ExitStatus::Code(2)))
    }

    /// The server has a fault that is known.
    pub(crate) fn of_faulty_server(mut self) -> Self {
        self.0.provenance.server.details.insert(FAULTS.to_owned(), "one".into());
        self
    }

    pub(crate) fn reading(&self) -> Reading {
        Reading::of(&self.0, &TtrpcGrammar(Toy))
    }

    /// The shapes that a check finds, in a case of that kind.
    pub(crate) fn found(&self, check: Check, kind: CaseKind) -> Vec<String> {
        self.found_by(kind, check.judge)
    }

    pub(crate) fn found_by(&self, kind: CaseKind, judge: impl Fn(&mut Report<'_>)) -> Vec<String> {
        let (case, grammar) = (CaseId::new(kind, "toy"), TtrpcGrammar(Toy));
        let evidence = Evidence {
            case: &case,
            transcript: &self.0,
            reading: &self.reading(),
            grammar: &grammar,
            recorded: None,
        };
        let mut report = Report::new("toy", &evidence);
        judge(&mut report);
        report.finish().into_iter().map(|finding| finding.shape).collect()
    }
}
