//! What is asked of every agent: the generic probes, and what only this protocol can be asked.
//!
//! Every connection begins with ff and guest-sync-delimited, as nobody knows what the client before it left half said;
//! only where that is the question, it does not. `QGA-nn` are the numbers under which the known faults are kept in
//! `matrices/qemu-ga/known-bugs.toml`.

mod malformed;
mod requests;
mod stories;

pub(super) use stories::{SILENT_COMMAND, SILENT_SUCCESS};

use bytes::Bytes;
use matrix::{CaseId, CaseKind};
use protocol::probe::{
    AboveLimit, Answers, Bad, Clients, Description, Ids, PATIENT_MS, REPLY_MS, SUBJECT_CONN, answer, closing,
    generic, open, opening,
};
use protocol::{Action, Case, Hazard};
use session::Script;
use transcript::evidence::{Expect, Role};

use super::names::{PING, SYNC};
use super::request;

const MAIN: u32 = SUBJECT_CONN;
/// A second connection of the subject's, beside those of the generic frame.
const OTHER: u32 = 20;
/// The number in the guest-sync-delimited that every connection begins with.
const GREETING: i64 = 1;
/// The number in one that repairs a stream.
const REPAIR: i64 = 99;
/// How long a client does not read in the probe of that.
pub(super) const NOT_READING_MS: u64 = 500;

/// What the generic probes have to know.
pub(crate) fn description() -> Description {
    Description {
        canary: request::with_id(PING, "\"canary\""),
        second: Bytes::from_static(
            b"{\"execute\":\"guest-sync\",\"arguments\":{\"id\":2},\"id\":\"second\"}\n",
        ),
        // Without a line feed: what lacks its last byte lacks its brace.
        with_payload: Bytes::from_static(b"{\"execute\":\"guest-sync\",\"arguments\":{\"id\":7}}"),
        unknown: |len| request::unknown(super::names::UNKNOWN, len),
        unknown_gets: Bad::Refused,
        lengths: None,
        payload_max: None,
        head_len: "{\"execute\":\"guest-sync\",\"arguments\":".len(),
        reply: Bytes::from_static(b"{\"return\": {}}\n"),
        trailing_bytes: Some(request::with_arguments(SYNC, "{\"id\":3,\"more\":1}")),
        missing_bytes: Some(request::plain(SYNC)),
        // A member that is not known is refused, by design: clients ask guest-info instead of trying.
        unknown_fields: None,
        text: |bytes| request::with_id_bytes(PING, bytes),
        malformed: Bad::Refused,
        greeting: vec![request::resync(GREETING)],
        ids: Some(Ids {
            canary: |number| request::with_id(PING, &number.to_string()),
            odd: &[0, 0x7fff_ffff_ffff_ffff, 0x8000_0000_0000_0000, 0xffff_ffff_ffff_ffff],
        }),
        stray: Bad::Refused,
        above_limit: AboveLimit::Answered,
        half_close_tries: 1,
        clients: Clients::One,
        answers: Answers::ByRequest,
    }
}

/// All probes, the generic ones first.
pub(crate) fn all() -> Vec<Case> {
    let d = description();
    let mut cases = generic(&d);
    cases.extend(requests::all(&d));
    cases.extend(malformed::all(&d));
    cases.extend(stories::all(&d));
    cases
}

fn case(d: &Description, name: &str, about: &'static str, hazard: Hazard, script: Script) -> Case {
    let script = closing(d, script);
    Case::new(CaseId::new(CaseKind::Probe, name), about, hazard, Action::Script(script.into()))
}

/// A subject in one write, and a canary behind it.
fn one(
    d: &Description,
    name: &str,
    about: &'static str,
    expect: impl AsRef<[Expect]>,
    bytes: impl Into<Bytes>,
) -> Case {
    marked(d, name, about, &[(Expect::ARG, &Expect::list(expect.as_ref()))], bytes)
}

/// A row of a table of probes: the name, what it is about, and the bytes.
type Row = (&'static str, &'static str, &'static [u8]);

/// The probes of a table: the same is expected of all, and the same is behind the bytes of each.
fn rows(d: &Description, expect: impl AsRef<[Expect]>, rows: &[Row], end: &[u8]) -> Vec<Case> {
    let expect = expect.as_ref();
    rows.iter().map(|(name, about, bytes)| one(d, name, about, expect, [*bytes, end].concat())).collect()
}

/// The same as [`one`], with more to say about the subject than what is expected.
fn marked(
    d: &Description,
    name: &str,
    about: &'static str,
    args: &[(&str, &str)],
    bytes: impl Into<Bytes>,
) -> Case {
    let bytes = bytes.into();
    protocol::probe::around_marked(d, name, about, Hazard::Harmless, args, |s| {
        answer(d, s.send(MAIN, bytes), MAIN, REPLY_MS)
    })
}

/// How long nothing must come behind a mistake that may be told a thousand times.
const STORM_MS: u64 = REPLY_MS / 5;

/// Repairs the stream, and asks for the canary behind that. What is still told of the subject comes before the answer
/// with the delimiter.
fn repair(d: &Description, script: Script) -> Script {
    let script = script.role(MAIN, Role::Quiet, &[]).send(MAIN, request::resync(REPAIR));
    let script = answer(d, script, MAIN, PATIENT_MS)
        .role(MAIN, Role::Canary, &[Expect::Answer.arg()])
        .send(MAIN, d.canary.clone());
    answer(d, script, MAIN, REPLY_MS).close(MAIN)
}

/// A subject behind which only ff and guest-sync-delimited help: they are the canary.
fn repaired(
    d: &Description,
    name: &str,
    about: &'static str,
    args: &[(&str, &str)],
    bytes: impl Into<Bytes>,
) -> Case {
    let script = open(d, opening(d), MAIN, Role::Subject, args).send(MAIN, bytes);
    let script = answer(d, script, MAIN, PATIENT_MS).quiet(MAIN, STORM_MS);
    let script = repair(d, script);
    case(d, name, about, Hazard::Harmless, script)
}
