//! What is asked of every shim: the generic probes, those of every server over ttrpc, and what only shims can be asked.
//!
//! The name of the service is part of the dialect, so there are two of each: with the service of 2.x, and, called `v2-…`, with that
//! of 1.x.

use bytes::Bytes;
use matrix::{CaseId, CaseKind};
use protocol::Case;
use protocol::probe::Description;
use ttrpc::probes::{ALONE, FRAMING, Good, Row, read};
use ttrpc::{envelope, generic};
use wire::protobuf::Writer;

use super::dialect::{TASK_V2, TASK_V3};

/// In front of the names of probes with the service of 1.x.
pub(crate) const V2: &str = "v2-";
/// In front of the names of those that were recorded of 1.4.13 with the id of another shim.
const AGAIN: &str = "v2-again-";
/// Those that were recorded so.
const RECORDED_AGAIN: [&str; 3] = ["data-unknown-stream", "data-late", "stream-open-on-unary"];
/// How many clients end their direction behind a request: real shims answer few of them.
const HALF_CLOSE_TRIES: u32 = 20;

/// Connect, which every shim answers for every id.
fn good(service: &'static str, id: &'static [u8]) -> Good<'static> {
    Good { service, method: "Connect", payload: id }
}

/// The id that was recorded: shims that a probe kills had ids of their own.
fn id_of(probe: &str) -> &'static [u8] {
    match probe {
        "data-unknown-stream" => b"\x0a\x02c7",
        "data-late" => b"\x0a\x02c8",
        "stream-open-on-unary" => b"\x0a\x02c9",
        _ => b"\x0a\x02c6",
    }
}

fn rows(service: &'static str, id: fn(&str) -> &'static [u8]) -> Vec<Row> {
    let good = |probe: &str| good(service, id(probe));
    let read = |text| read(text, good).unwrap_or_else(|error| unreachable!("a test reads it: {error}"));
    let (framing, task) = (read(FRAMING), read(include_str!("probes/task.txt")));
    framing.into_iter().chain(task).collect()
}

/// What the generic probes have to know.
pub(crate) fn description(service: &'static str) -> Description {
    let connect = good(service, id_of(""));
    let other = Good { payload: b"\x0a\x05other", ..connect };
    match service {
        TASK_V2 => generic::description(connect, other, unknown_v2, text_v2, HALF_CLOSE_TRIES),
        _ => generic::description(connect, other, unknown_v3, text_v3, HALF_CLOSE_TRIES),
    }
}

fn unknown_v2(len: usize) -> Bytes {
    unknown(TASK_V2, len)
}

fn unknown_v3(len: usize) -> Bytes {
    unknown(TASK_V3, len)
}

fn unknown(service: &str, len: usize) -> Bytes {
    let payload = Writer::new().bytes(1, &vec![b'x'; len]).finish();
    envelope::request(1, service, generic::NO_SUCH_METHOD, &payload)
}

fn text_v2(bytes: &[u8]) -> Bytes {
    text(TASK_V2, bytes)
}

fn text_v3(bytes: &[u8]) -> Bytes {
    text(TASK_V3, bytes)
}

/// A task of that name is not there.
fn text(service: &str, bytes: &[u8]) -> Bytes {
    envelope::request(1, service, "State", &Writer::new().bytes(1, bytes).finish())
}

/// The task service that a probe calls.
pub(crate) fn service_of(case: &CaseId) -> Option<&'static str> {
    let name = case.name.strip_prefix(ALONE).unwrap_or(&case.name);
    let service = if name.starts_with(V2) { TASK_V2 } else { TASK_V3 };
    (case.kind == CaseKind::Probe).then_some(service)
}

/// All probes, the generic ones of each service first.
pub(crate) fn all() -> Vec<Case> {
    let mut cases = Vec::new();
    for (service, prefix) in [(TASK_V3, ""), (TASK_V2, V2)] {
        let d = description(service);
        let generic = generic::probes(&d, good(service, id_of("")));
        let rows = rows(service, id_of);
        let is_generic = |row: &&Row| generic.iter().any(|case| &*case.id.name == row.name);
        // Behind a shim that was told to end there is nobody to ask.
        let own = rows.iter().filter(|row| !is_generic(row) && !row.name.starts_with("shutdown"));
        cases.extend(own.map(|row| row.case(&d, prefix)));
        cases.extend(rows.iter().map(|row| row.alone(prefix)));
        cases.extend(generic.into_iter().map(|case| {
            let id = CaseId::new(CaseKind::Probe, format!("{prefix}{}", case.id.name));
            Case { id, ..case }
        }));
    }
    let again = rows(TASK_V2, |_| id_of(""));
    cases.extend(again.iter().filter(|row| RECORDED_AGAIN.contains(&row.name)).map(|row| row.alone(AGAIN)));
    cases
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probes_of_both_services_differ_in_nothing_but_that() {
        let names = |prefix: &str| -> Vec<String> {
            let all = all();
            let names = all.iter().map(|case| case.id.name.replace("alone-v2-", "v2-alone-"));
            let of =
                names.filter(|name| name.starts_with(V2) != prefix.is_empty() && !name.contains("again"));
            let mut of: Vec<_> =
                of.map(|name| name.strip_prefix(prefix).unwrap_or(&name).to_owned()).collect();
            of.sort();
            of
        };
        assert_eq!(names(""), names(V2));
        assert_eq!(RECORDED_AGAIN.len(), 3);
    }
}
