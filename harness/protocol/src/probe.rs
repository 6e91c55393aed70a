//! The probes that every protocol gets, derived from a small description.
//!
//! Each probe has the same frame. A *setup* connection first shows how this server answers two good
//! requests, and whether it keeps a connection after an answer: without that, a close after a refusal
//! could be the dialect's habit or a fault. Then comes the *subject*, a *canary* behind it on the same
//! connection, and a *fresh* connection at the end. Probes that stall or flood add a *witness*: another
//! client that wants to be served in the meantime. Where a transport has one client at a time, there is
//! none, and clients come one after the other.

pub mod text;

use bytes::{BufMut, Bytes, BytesMut};
use matrix::{CaseId, CaseKind};
use session::Script;
use transcript::evidence::{Expect, Role};

use crate::{Action, Case, Hazard, Scripted};

/// How long an answer may take before it counts as none, in milliseconds before scaling.
pub const REPLY_MS: u64 = 500;
/// How long an answer may take on a busy machine, where it is not its lateness that is judged.
pub const PATIENT_MS: u64 = 4 * REPLY_MS;
/// How long a server that closes after its answer gets to do so. A close with unread bytes shows as a reset.
pub const SETTLE_MS: u64 = 5;
/// How long nothing must come before a stream counts as quiet.
pub const QUIET_MS: u64 = 15;
/// The gap between two parts of one message; long enough for a server to see them apart.
const SPLIT_GAP_MS: u64 = 10;
/// How long a server gets to run into a stalled message before another client comes.
pub const STALL_MS: u64 = 40;
/// How many bytes of payload a busy server takes in a millisecond at least.
const BYTES_PER_MS: usize = 32 << 10;
/// The gap between single bytes of a slow sender.
const SLOW_GAP_MS: u64 = 2;
/// How long an idle client is idle.
const IDLE_MS: u64 = 100;
/// How long a server may take to give back what it has reserved for clients that announced a payload.
/// libvirtd 9.0.0 to 12.8.0 serve nobody for a second when 64 of them leave.
const CLEAN_UP_MS: u64 = 5_000;
/// How many clients announce a payload and send none.
const ANNOUNCERS: u32 = 64;

const SETUP: u32 = 1;
const MAIN: u32 = 2;
const FRESH: u32 = 3;
const WITNESS: u32 = 4;
const MORE: u32 = 10;

/// The probe of a client that ends its direction right behind a request.
pub const HALF_CLOSE: &str = "half-close-after-request";

/// What the generic probes must know of a protocol.
#[derive(Debug, Clone)]
pub struct Description {
    /// A harmless valid request.
    pub canary: Bytes,
    /// Another one, with another answer.
    pub second: Bytes,
    /// A valid request with a payload; splits are tried on it.
    pub with_payload: Bytes,
    /// An unknown request with that many bytes of payload.
    pub unknown: fn(usize) -> Bytes,
    /// What becomes of such a request.
    pub unknown_gets: Bad,
    /// How a length is announced, where messages say their length.
    pub lengths: Option<Lengths>,
    /// The largest payload that servers take, where there is a limit that is worth reaching.
    pub payload_max: Option<usize>,
    /// Length of the fixed head, or of what stands for it: what is cut there lacks its payload.
    pub head_len: usize,
    /// A reply, sent where a request belongs.
    pub reply: Bytes,
    /// A valid request with more payload than it needs.
    pub trailing_bytes: Option<Bytes>,
    /// A valid request whose payload is too short.
    pub missing_bytes: Option<Bytes>,
    /// A valid request as a future client would send it, with more fields at its end; only where such a one is
    /// carried out.
    pub unknown_fields: Option<Bytes>,
    /// A request that carries text.
    pub text: fn(&[u8]) -> Bytes,
    /// What becomes of malformed text, and of payloads that are too short.
    pub malformed: Bad,
    /// What is sent first on each connection, each answered before the next; empty where nothing has to be.
    pub greeting: Vec<Bytes>,
    /// Where requests carry serial numbers that their answers repeat.
    pub ids: Option<Ids>,
    /// What becomes of a message that is no request.
    pub stray: Bad,
    /// What becomes of a request that is longer than servers take.
    pub above_limit: AboveLimit,
    /// How many clients end their sending half right behind a request: more than one where an answer is only
    /// lost now and then.
    pub half_close_tries: u32,
    /// How many clients a server serves at the same time.
    pub clients: Clients,
    /// How the answer to a request is recognised.
    pub answers: Answers,
}

/// Lengths that messages announce.
#[derive(Debug, Clone, Copy)]
pub struct Lengths {
    /// The head of a valid request that announces that many bytes, which do not follow.
    pub announcing: fn(i64) -> Bytes,
    /// The largest length that can be announced.
    pub max: i64,
    /// The smallest length that can be announced.
    pub min: i64,
}

/// How many clients a server serves at the same time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Clients {
    /// As many as come.
    Many,
    /// One, as on a serial line: the next is served when that one is gone.
    One,
}

/// How the answer to a request is recognised.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answers {
    /// It is the next frame.
    NextFrame,
    /// The grammar says which frame answers what was sent last: others may come before it.
    ByRequest,
}

/// What becomes of a message that servers cannot carry out: one that is unknown, malformed, or no request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bad {
    /// It is refused.
    Refused,
    /// It is dropped without a word. A request in the same write shows it: that one is answered, and nothing else.
    Dropped,
    /// It is refused, and the connection ends: nobody knows what comes behind it.
    Ends,
}

/// What becomes of a request that is longer than servers take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AboveLimit {
    /// It is drained and answered as any unknown one is.
    Answered,
    /// The connection is closed: the length alone is reason enough.
    Closed,
}

/// Serial numbers of requests.
#[derive(Debug, Clone, Copy)]
pub struct Ids {
    /// The canary with that number.
    pub canary: fn(u64) -> Bytes,
    /// Numbers that no client would choose and that no rule forbids.
    pub odd: &'static [u64],
}

/// All generic probes of a protocol.
#[must_use]
pub fn generic(d: &Description) -> Vec<Case> {
    let mut cases = Vec::new();
    unknown_requests(d, &mut cases);
    lengths(d, &mut cases);
    truncations(d, &mut cases);
    pipelining(d, &mut cases);
    splits(d, &mut cases);
    contents(d, &mut cases);
    crowds(d, &mut cases);
    d.ids.iter().for_each(|ids| serials(d, *ids, &mut cases));
    cases
}

/// Opens a connection, greets as the protocol asks, and then names the role of what follows.
#[must_use]
pub fn open(d: &Description, script: Script, conn: u32, role: Role, args: &[(&str, &str)]) -> Script {
    open_within(d, script, conn, (role, args), PATIENT_MS)
}

/// The same, with so long for each answer to a greeting.
fn open_within(
    d: &Description,
    script: Script,
    conn: u32,
    (role, args): (Role, &[(&str, &str)]),
    deadline_ms: u64,
) -> Script {
    if d.greeting.is_empty() {
        return script.open(conn, role, args);
    }
    let mut script = script.open(conn, Role::Greeting, &[]);
    for bytes in &d.greeting {
        script = answer(d, script.send(conn, bytes.clone()), conn, deadline_ms);
    }
    script.role(conn, role, args)
}

/// Waits for the answer to what was sent last.
#[must_use]
pub fn answer(d: &Description, script: Script, conn: u32, deadline_ms: u64) -> Script {
    match d.answers {
        Answers::NextFrame => script.reply(conn, deadline_ms),
        Answers::ByRequest => script.answers(conn, deadline_ms),
    }
}

/// Waits for the answers to that many requests, which were sent in one write.
fn answers(d: &Description, script: Script, conn: u32, requests: usize) -> Script {
    match d.answers {
        Answers::NextFrame => (0..requests).fold(script, |script, _| script.reply(conn, REPLY_MS)),
        Answers::ByRequest => script.answers(conn, REPLY_MS),
    }
}

/// How long the answer to a request with that many bytes of payload may take.
#[must_use]
pub fn reply_ms(payload: usize) -> u64 {
    REPLY_MS + u64::try_from(payload / BYTES_PER_MS).unwrap_or(0)
}

/// A probe around one subject: setup, subject, canary behind it, fresh connection. What is expected is one [`Expect`], or
/// a list with one for each request that the subject sends at once.
#[must_use]
pub fn around(
    d: &Description,
    name: &str,
    about: &'static str,
    hazard: Hazard,
    expect: impl AsRef<[Expect]>,
    subject: impl FnOnce(Script) -> Script,
) -> Case {
    around_marked(d, name, about, hazard, &[(Expect::ARG, &Expect::list(expect.as_ref()))], subject)
}

/// The same, with more to say about the subject than what is expected.
#[must_use]
pub fn around_marked(
    d: &Description,
    name: &str,
    about: &'static str,
    hazard: Hazard,
    args: &[(&str, &str)],
    subject: impl FnOnce(Script) -> Script,
) -> Case {
    case(name, about, hazard, script_around(d, args, subject))
}

/// The same for a subject that sends much: its bytes are made when it is played.
#[must_use]
pub fn around_large(
    d: &Description,
    name: &str,
    about: &'static str,
    hazard: Hazard,
    args: &[(&str, &str)],
    subject: impl Fn(&Description, Script) -> Script + Send + Sync + 'static,
) -> Case {
    let d = d.clone();
    let args: Vec<_> = args.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    let script = Scripted::new(move || {
        let args: Vec<_> = args.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        script_around(&d, &args, |script| subject(&d, script))
    });
    case(name, about, hazard, script)
}

fn script_around(d: &Description, args: &[(&str, &str)], subject: impl FnOnce(Script) -> Script) -> Script {
    let script = open(d, opening(d), MAIN, Role::Subject, args);
    let script = subject(script)
        .role(MAIN, Role::Settle, &[])
        .quiet(MAIN, SETTLE_MS)
        .role(MAIN, Role::Canary, &[Expect::Answer.arg()])
        .send(MAIN, d.canary.clone());
    let script =
        answer(d, script, MAIN, REPLY_MS).role(MAIN, Role::Quiet, &[]).quiet(MAIN, QUIET_MS).close(MAIN);
    closing(d, script)
}

/// The connection on which [`around`] puts its subject.
pub const SUBJECT_CONN: u32 = MAIN;
/// The connection of another client while the subject is going on.
pub const WITNESS_CONN: u32 = WITNESS;

fn case(name: &str, about: &'static str, hazard: Hazard, script: impl Into<Scripted>) -> Case {
    Case::new(CaseId::new(CaseKind::Probe, name), about, hazard, Action::Script(script.into()))
}

/// Shows how the server answers good requests and whether it keeps a connection afterwards.
#[must_use]
pub fn opening(d: &Description) -> Script {
    let script =
        open(d, Script::new(), SETUP, Role::Setup, &[("name", "canary")]).send(SETUP, d.canary.clone());
    let script = answer(d, script, SETUP, REPLY_MS)
        .role(SETUP, Role::Setup, &[("name", "kept")])
        .send(SETUP, d.canary.clone());
    let script = answer(d, script, SETUP, REPLY_MS).close(SETUP);
    let script =
        open(d, script, SETUP + 100, Role::Setup, &[("name", "second")]).send(SETUP + 100, d.second.clone());
    answer(d, script, SETUP + 100, REPLY_MS).close(SETUP + 100).watch()
}

/// Asks on a new connection and looks at the process.
#[must_use]
pub fn closing(d: &Description, script: Script) -> Script {
    closing_within(d, script, REPLY_MS)
}

/// The same, where the server may have much to clean up first.
fn closing_within(d: &Description, script: Script, deadline_ms: u64) -> Script {
    let expect = (Role::Fresh, &[Expect::Answer.arg()][..]);
    let script =
        open_within(d, script, FRESH, expect, deadline_ms.max(PATIENT_MS)).send(FRESH, d.canary.clone());
    answer(d, script, FRESH, deadline_ms).close(FRESH).pause(QUIET_MS).watch()
}

/// Another client asks for the canary, is answered, and goes.
#[must_use]
pub fn ask(d: &Description, script: Script, conn: u32, role: Role) -> Script {
    let script = open(d, script, conn, role, &[Expect::Answer.arg()]).send(conn, d.canary.clone());
    answer(d, script, conn, REPLY_MS).close(conn)
}

/// Another client wants to be served in the meantime, where there can be one.
fn witness(d: &Description, script: Script) -> Script {
    match d.clients {
        Clients::Many => ask(d, script, WITNESS, Role::Witness),
        Clients::One => script,
    }
}

/// What is sent where a message cannot be carried out: where such a message is dropped, the answer to the canary behind
/// it is the sign that the server is done with it.
fn bad(d: &Description, gets: Bad, message: Bytes) -> Bytes {
    match gets {
        Bad::Refused | Bad::Ends => message,
        Bad::Dropped => Bytes::from([&message[..], &d.canary[..]].concat()),
    }
}

fn unknown_requests(d: &Description, cases: &mut Vec<Case>) {
    const ABOUT: &str = "an unknown request is drained and answered with `not supported`";
    const DROPPED: &str = "an unknown request is dropped, and what comes behind it is answered";
    let mut sizes = vec![("0".to_owned(), 0), ("16".to_owned(), 16), ("4096".to_owned(), 4096)];
    if let Some(limit) = d.payload_max {
        sizes.extend([("limit".to_owned(), limit), ("above-limit".to_owned(), limit + 1)]);
    }
    for (label, size) in sizes {
        let name = format!("unknown-payload-{label}");
        let above = d.payload_max.is_some_and(|limit| size > limit);
        let (about, expect) = match (above, d.above_limit, d.unknown_gets) {
            (true, AboveLimit::Closed, _) => {
                ("an unknown request above the limit ends the connection", Expect::Closed)
            }
            (_, _, Bad::Refused | Bad::Ends) => (ABOUT, Expect::NotSupported),
            (_, _, Bad::Dropped) => (DROPPED, Expect::Answer),
        };
        let args = [expect.arg()];
        cases.push(around_large(d, &name, about, Hazard::Harmless, &args, move |d, s| {
            let bytes = bad(d, d.unknown_gets, (d.unknown)(size));
            answer(d, s.send(MAIN, bytes), MAIN, reply_ms(size))
        }));
    }
    if d.unknown_gets == Bad::Dropped {
        return;
    }
    let mut both = BytesMut::from(&(d.unknown)(16)[..]);
    both.put_slice(&d.canary);
    let script = open(
        d,
        opening(d),
        MAIN,
        Role::Subject,
        &[(Expect::ARG, &*Expect::list(&[Expect::NotSupported, Expect::Answer]))],
    )
    .send(MAIN, both.freeze());
    let script = answers(d, script, MAIN, 2).role(MAIN, Role::Quiet, &[]).quiet(MAIN, QUIET_MS).close(MAIN);
    let about = "a valid request in the same write as an unknown one is answered after it";
    cases.push(case("unknown-then-valid-in-one-write", about, Hazard::Harmless, closing(d, script)));
}

/// The largest payload as a length; the largest number where there is no limit.
fn limit(d: &Description) -> i64 {
    d.payload_max.and_then(|limit| i64::try_from(limit).ok()).unwrap_or(i64::MAX)
}

fn lengths(d: &Description, cases: &mut Vec<Case>) {
    let Some(announced) = d.lengths else { return };
    let beyond = limit(d).saturating_add(1);
    let lies: [(&str, &'static str, i64); 4] = [
        ("length-negative", "a length of -1", -1),
        ("length-minimum", "the smallest length that fits the field", announced.min),
        ("length-above-limit", "one byte more than the limit is announced and not sent", beyond),
        ("length-maximum", "the largest length that fits the field is announced and not sent", announced.max),
    ];
    for (name, about, length) in lies {
        let script = open(d, opening(d), MAIN, Role::Subject, &[Expect::Survive.arg()])
            .send(MAIN, (announced.announcing)(length))
            .reply(MAIN, REPLY_MS / 5);
        let script = witness(d, script).close(MAIN);
        cases.push(case(name, about, Hazard::Disturbs, closing(d, script)));
    }
}

fn truncations(d: &Description, cases: &mut Vec<Case>) {
    let head = d.with_payload.slice(..d.head_len);
    let payload_cut = d.with_payload.slice(..d.with_payload.len() - 1);
    let cuts: [(&str, &'static str, Bytes); 3] = [
        ("header-cut-1", "one byte of a head, then half-close", head.slice(..1)),
        ("header-cut-last", "a head without its last byte, then half-close", head.slice(..d.head_len - 1)),
        ("payload-cut", "a payload without its last byte, then half-close", payload_cut.clone()),
    ];
    for (name, about, bytes) in cuts {
        let script = open(d, opening(d), MAIN, Role::Subject, &[Expect::Survive.arg()])
            .send(MAIN, bytes)
            .half_close(MAIN)
            .reply(MAIN, REPLY_MS / 5)
            .close(MAIN);
        cases.push(case(name, about, Hazard::Disturbs, closing(d, script)));
    }
    let held: [(&str, &'static str, Bytes); 3] = [
        ("header-held", "half a head is sent and the connection held", head.slice(..d.head_len / 2)),
        ("stalled-payload", "a head announces a payload that does not come", head),
        ("payload-held", "a payload without its last byte, the connection held", payload_cut),
    ];
    for (name, about, bytes) in held {
        let script = open(d, opening(d), MAIN, Role::Subject, &[Expect::Survive.arg()])
            .send(MAIN, bytes)
            .pause(STALL_MS);
        let script = witness(d, script).close(MAIN);
        cases.push(case(name, about, Hazard::Disturbs, closing(d, script)));
    }
}

fn pipelining(d: &Description, cases: &mut Vec<Case>) {
    let plans: [(&str, &'static str, &[bool]); 2] = [
        ("two-in-one-write", "two requests in one write are both answered, in order", &[true, false]),
        (
            "five-in-one-write",
            "five requests in one write are all answered, in order",
            &[true, false, false, true, false],
        ),
    ];
    for (name, about, plan) in plans {
        let mut bytes = BytesMut::new();
        for first in plan {
            bytes.put_slice(if *first { &d.canary } else { &d.second });
        }
        let sends: Vec<_> = plan.iter().map(|first| if *first { "canary" } else { "second" }).collect();
        let expect = Expect::list(&vec![Expect::Answer; plan.len()]);
        let script =
            open(d, opening(d), MAIN, Role::Subject, &[(Expect::ARG, &expect), ("sends", &sends.join(","))])
                .send(MAIN, bytes.freeze());
        let script = answers(d, script, MAIN, plan.len())
            .role(MAIN, Role::Quiet, &[])
            .quiet(MAIN, QUIET_MS)
            .close(MAIN);
        cases.push(case(name, about, Hazard::Harmless, closing(d, script)));
    }
}

fn splits(d: &Description, cases: &mut Vec<Case>) {
    let mut script = opening(d);
    for (at, conn) in (1..d.with_payload.len()).zip(MORE..) {
        script = open(d, script, conn, Role::Subject, &[Expect::Answer.arg(), ("split", &at.to_string())])
            .send(conn, d.with_payload.slice(..at))
            .pause(SPLIT_GAP_MS)
            .send(conn, d.with_payload.slice(at..));
        script = answer(d, script, conn, REPLY_MS).close(conn);
    }
    let about = "a request in two parts, split at every byte, is answered";
    cases.push(case("split-every-byte", about, Hazard::Disturbs, closing(d, script)));

    let mut script = open(d, opening(d), MAIN, Role::Subject, &[Expect::Answer.arg(), ("split", "each")]);
    for at in 0..d.canary.len() {
        script = script.send(MAIN, d.canary.slice(at..=at)).pause(SLOW_GAP_MS);
    }
    let script = answer(d, script, MAIN, REPLY_MS).close(MAIN);
    let about = "a request that comes byte by byte is answered";
    cases.push(case("slow-sender", about, Hazard::Disturbs, closing(d, script)));

    cases.push(around(
        d,
        "idle-then-request",
        "a client is idle first",
        Hazard::Harmless,
        Expect::Answer,
        |s| answer(d, s.pause(IDLE_MS).send(MAIN, d.canary.clone()), MAIN, REPLY_MS),
    ));
    let mut script = opening(d);
    let conns = std::iter::once(MAIN).chain(MORE..);
    for (_, conn) in (0..d.half_close_tries).zip(conns) {
        script = open(d, script, conn, Role::Subject, &[Expect::Answer.arg()])
            .send(conn, d.canary.clone())
            .half_close(conn);
        script = answer(d, script, conn, REPLY_MS).close(conn);
    }
    let about = "a client that will send no more is still answered";
    cases.push(case(HALF_CLOSE, about, Hazard::Harmless, closing(d, script)));
}

/// Name, what it is, and where there is such a one: what is sent and what is due.
type Subject = (&'static str, &'static str, Option<(Bytes, Expect)>);

fn contents(d: &Description, cases: &mut Vec<Case>) {
    const SHORT: &str = "a valid request whose payload is too short";
    const FUTURE: &str = "a valid request with more fields at its end, as a future client sends it";
    let refused = |gets: Bad, bytes: Bytes| {
        let expect = match gets {
            Bad::Refused => Expect::Refusal,
            Bad::Dropped => Expect::Answer,
            Bad::Ends => Expect::Closed,
        };
        (bad(d, gets, bytes), expect)
    };
    let stray = refused(d.stray, d.reply.clone());
    let malformed = |bytes: Bytes| refused(d.malformed, bytes);
    let subjects: [Subject; 6] = [
        ("reply-as-request", "a reply where a request belongs", Some(stray)),
        (
            "trailing-bytes",
            "a valid request with more payload than it needs",
            d.trailing_bytes.clone().map(|bytes| (bytes, Expect::Any)),
        ),
        ("missing-bytes", SHORT, d.missing_bytes.clone().map(malformed)),
        ("unknown-fields", FUTURE, d.unknown_fields.clone().map(|bytes| (bytes, Expect::Answer))),
        ("text-not-utf8", "text that is not UTF-8", Some(malformed((d.text)(b"\xff\xfe\xc0\xaf\0")))),
        ("text-with-nul", "text with a NUL inside", Some(malformed((d.text)(b"a\0b\0")))),
    ];
    for (name, about, subject) in subjects {
        let Some((bytes, expect)) = subject else { continue };
        if expect == Expect::Closed {
            let script = open(d, opening(d), MAIN, Role::Subject, &[expect.arg()]).send(MAIN, bytes);
            let script = answer(d, script, MAIN, REPLY_MS).close(MAIN);
            cases.push(case(name, about, Hazard::Disturbs, closing(d, script)));
            continue;
        }
        cases.push(around(d, name, about, Hazard::Disturbs, expect, |s| {
            answer(d, s.send(MAIN, bytes), MAIN, REPLY_MS)
        }));
    }
    let args = [Expect::Survive.arg()];
    cases.push(around_large(d, "text-1-mib", "a mebibyte of text", Hazard::Disturbs, &args, |d, s| {
        answer(d, s.send(MAIN, (d.text)(&vec![b'a'; 1 << 20])), MAIN, REPLY_MS)
    }));
}

fn crowds(d: &Description, cases: &mut Vec<Case>) {
    if let (Some(announced), Clients::Many) = (d.lengths, d.clients) {
        let mut script = opening(d);
        for conn in MORE..MORE + ANNOUNCERS {
            script = open(d, script, conn, Role::Subject, &[Expect::Survive.arg()])
                .send(conn, (announced.announcing)(limit(d)));
        }
        let mut script = witness(d, script.pause(STALL_MS)).watch();
        for conn in MORE..MORE + ANNOUNCERS {
            script = script.close(conn);
        }
        let about = "64 clients announce a large payload and send none; others are served and memory stays";
        let script = closing_within(d, script, CLEAN_UP_MS);
        cases.push(case("announce-and-stall-64", about, Hazard::Disturbs, script));
    }

    let mut script = opening(d);
    for conn in MORE..MORE + ANNOUNCERS {
        script = script.open(conn, Role::Subject, &[Expect::Survive.arg()]).close(conn);
    }
    let about = "64 clients connect and close without a word";
    cases.push(case("connect-and-close-64", about, Hazard::Harmless, closing(d, script)));
}

fn serials(d: &Description, ids: Ids, cases: &mut Vec<Case>) {
    let mut script = opening(d);
    for (id, conn) in ids.odd.iter().zip(MORE..) {
        script = open(d, script, conn, Role::Subject, &[Expect::Answer.arg()]).send(conn, (ids.canary)(*id));
        script = answer(d, script, conn, REPLY_MS).close(conn);
    }
    let about = "a serial number that no rule forbids is answered and repeated";
    cases.push(case("odd-serials", about, Hazard::Harmless, closing(d, script)));

    let mut both = BytesMut::from(&(ids.canary)(7)[..]);
    both.put_slice(&(ids.canary)(7));
    let script = open(
        d,
        opening(d),
        MAIN,
        Role::Subject,
        &[(Expect::ARG, &*Expect::list(&[Expect::Answer, Expect::Answer]))],
    )
    .send(MAIN, both.freeze());
    let script = answers(d, script, MAIN, 2).role(MAIN, Role::Quiet, &[]).quiet(MAIN, QUIET_MS).close(MAIN);
    let about = "two requests with one serial number are both answered";
    cases.push(case("duplicate-serials", about, Hazard::Harmless, closing(d, script)));
}
