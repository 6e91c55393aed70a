//! Whether a client asked what its operation is about.
//!
//! What a client says and what is so afterwards may agree by luck, or because somebody wrote the one from the other: a
//! program that prints the state of a fresh driver has not asked for it. So the calls of an operation must be on the wire,
//! the new ones or those that a fallback takes in their place.

use std::collections::BTreeSet;

use verdict::checks::Report;
use verdict::{Blame, Check};
use wire::libvirt_rpc::Header;

use super::names::{procedure_name, program::REMOTE};
use super::operations::operation;
use crate::shapes;

/// A client asks what its operation is about: one of its procedures in `operations.toml`, behind CONNECT_OPEN.
pub(crate) const CLIENT_ASKED: Check = Check { name: "client-asked", judge: client_asked };

verdict::rules! {
    RULE: "what a client says it has been told by its server", "harness/ARCHITECTURE.md#claims-are-effects";
}

fn client_asked(report: &mut Report<'_>) {
    let evidence = report.evidence;
    // With answers that no server should give, a client need not get that far.
    if evidence.server_is_faulty() {
        return;
    }
    let steps = evidence.reading.conns.iter().flat_map(|conn| &conn.steps);
    let asked: BTreeSet<&str> = steps
        .flat_map(|step| &step.requests)
        .filter_map(|at| Header::of_frame(&at.frame))
        .filter(|header| header.program == REMOTE && header.kind.is_call())
        .filter_map(|header| procedure_name(REMOTE, header.procedure))
        .collect();
    let due = operation(&evidence.case.name).map(|operation| &operation.asks[..]);
    let due = due.filter(|one_of| !one_of.is_empty());
    for names in [&["CONNECT_OPEN"][..]].into_iter().chain(due) {
        if names.iter().any(|name| asked.contains(name)) {
            continue;
        }
        report
            .violation(shapes::NOT_ASKED, RULE, format!("the client never called {}", names.join(" or ")))
            .blame(Blame::Client)
            .push("a call", "none");
    }
}

#[cfg(test)]
mod tests {
    use matrix::{CaseId, CaseKind};
    use transcript::{ConnId, Data, Event, EventKind, Transcript};
    use verdict::{Evidence, Reading};
    use wire::Direction;

    use super::super::names::procedures as p;
    use super::super::{DIALECTS, LibvirtGrammar, request};
    use super::*;

    /// What is found of a client that made these calls for that operation.
    fn found(operation: &str, calls: &[i32]) -> Vec<String> {
        let event = |kind| Event { at_us: 0, conn: ConnId(1), dir: Direction::ToServer, kind };
        let call = |number: &i32| Data { bytes: request::call(*number, 1, b""), ..Data::default() };
        let mut events = vec![event(EventKind::Connect)];
        events.extend(calls.iter().map(|number| event(EventKind::Data(call(number)))));
        let transcript = Transcript { events, ..Transcript::default() };
        let grammar = LibvirtGrammar::new(DIALECTS.named("12.8.0").expect("it is in the table"));
        let reading = Reading::of(&transcript, &grammar);
        let case = CaseId::new(CaseKind::Client, operation);
        let evidence = Evidence {
            case: &case,
            transcript: &transcript,
            reading: &reading,
            grammar: &grammar,
            recorded: None,
        };
        CLIENT_ASKED.findings(&evidence).into_iter().map(|finding| finding.message).collect()
    }

    #[test]
    fn finds_a_client_that_says_what_it_was_never_told() {
        let check = |operation: &str, calls: &[i32], expect: &[&str]| {
            assert_eq!(found(operation, calls), expect, "{operation} {calls:?}");
        };
        check("list", &[p::CONNECT_OPEN, p::CONNECT_LIST_ALL_DOMAINS], &[]);
        check("list", &[p::CONNECT_OPEN, p::CONNECT_NUM_OF_DOMAINS], &[]);
        check("connect", &[p::CONNECT_OPEN], &[]);
        check("connect", &[p::AUTH_LIST], &["the client never called CONNECT_OPEN"]);
        check("rollback-nothing", &[p::CONNECT_OPEN], &["the client never called INTERFACE_CHANGE_ROLLBACK"]);
        check(
            "list",
            &[p::AUTH_LIST],
            &[
                "the client never called CONNECT_OPEN",
                "the client never called CONNECT_LIST_ALL_DOMAINS or CONNECT_NUM_OF_DOMAINS",
            ],
        );
    }
}
