//! What is asked of every agent: the generic probes, those of every server over ttrpc, and what only agents can be asked.

use std::sync::LazyLock;

use bytes::Bytes;
use protocol::Case;
use protocol::probe::Description;
use ttrpc::probes::{FRAMING, Good, Row, read};
use ttrpc::{envelope, generic};
use wire::protobuf::Writer;

/// Health.Version, which is harmless.
const GOOD: Good<'static> = Good { service: "grpc.Health", method: "Version", payload: b"\x0a\x01a" };
/// So is Health.Check.
const SECOND: Good<'static> = Good { service: "grpc.Health", method: "Check", payload: b"" };

/// The probes of both texts.
static ROWS: LazyLock<Vec<Row>> = LazyLock::new(|| {
    let read = |text| read(text, |_| GOOD).unwrap_or_else(|error| unreachable!("a test reads it: {error}"));
    let (framing, agent) = (read(FRAMING), read(include_str!("probes/agent.txt")));
    framing.into_iter().chain(agent).collect()
});

/// What the generic probes have to know.
pub(crate) fn description() -> Description {
    generic::description(GOOD, SECOND, unknown, text, 1)
}

fn unknown(len: usize) -> Bytes {
    let payload = Writer::new().bytes(1, &vec![b'x'; len]).finish();
    envelope::request(1, GOOD.service, generic::NO_SUCH_METHOD, &payload)
}

/// A container of that name is not there.
fn text(bytes: &[u8]) -> Bytes {
    envelope::request(1, "grpc.AgentService", "StatsContainer", &Writer::new().bytes(1, bytes).finish())
}

/// All probes, the generic ones first.
pub(crate) fn all() -> Vec<Case> {
    let d = description();
    let mut cases = generic::probes(&d, GOOD);
    let own = ROWS.iter().filter(|row| !cases.iter().any(|case| &*case.id.name == row.name));
    let own: Vec<_> = own.map(|row| row.case(&d, "")).collect();
    cases.extend(own);
    cases.extend(ROWS.iter().map(|row| row.alone("")));
    cases
}
