//! Conversations of somebody else that were recorded: which calls were made, and what became of each.
//!
//! ```text
//! due    = *( " " word )                  Connect State! Create State Start
//! word   = method [ "!" / "?" ]           it succeeds, is refused, or is either
//! ```
//!
//! The calls that are due come in this order. There may be others between them, and those succeed. What a release has not got is
//! refused, whatever is due.

use transcript::evidence::Shape;
use verdict::checks::Report;
use verdict::{Cited, Exchange, Meaning, Weight};
use wire::Direction;
use wire::protobuf::Schema;
use wire::ttrpc::OVERSIZE;

use crate::envelope::{Call, data};

verdict::rules! {
    CARRIED_OUT: "what was carried out when it was recorded is carried out", "harness/ARCHITECTURE.md#recordings-keep-their-meaning";
}

/// The rules of what was recorded.
#[must_use]
pub fn rules() -> Vec<Cited> {
    RULES.to_vec()
}

/// What is due to become of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ends {
    Success,
    Refusal,
    Either,
}

/// The methods that are due, and what is due to become of each.
fn read(due: &str) -> impl Iterator<Item = (&str, Ends)> {
    due.split_whitespace().map(|word| match (word.strip_suffix('!'), word.strip_suffix('?')) {
        (Some(method), _) => (method, Ends::Refusal),
        (_, Some(method)) => (method, Ends::Either),
        _ => (word, Ends::Success),
    })
}

/// Compares the calls of a conversation with those that are due; `schema` is that of the server's release.
pub fn as_recorded(report: &mut Report<'_>, schema: &Schema, due: &str) {
    let (mut left, mut are_answered) = (read(due).peekable(), true);
    let reading = report.evidence.reading;
    let exchanges = reading.conns.iter().map(|conn| (conn.conn.0, conn.exchanges()));
    for (conn, exchange) in exchanges.flat_map(|(conn, all)| all.into_iter().map(move |one| (conn, one))) {
        let called = Call::read(data(&exchange.request.frame.bytes)).ok();
        let Some(call) = called.filter(|_| exchange.asked == Direction::ToServer) else { continue };
        let ends = left.next_if(|(method, _)| *method == call.method).map_or(Ends::Success, |(_, ends)| ends);
        are_answered &= exchange.completed.is_some();
        let is_there = schema.method(call.service, call.method).is_some();
        ended(report, conn, &exchange, call.method, if is_there { ends } else { Ends::Either });
    }
    let missing: Vec<_> = left.map(|(method, _)| method).collect();
    let what = format!("calls that were made are not there: {}", missing.join(", "));
    // Behind a call without an answer a client need not go on.
    report.lacks(if missing.is_empty() || !are_answered { Vec::new() } else { vec![what] });
}

fn ended(report: &mut Report<'_>, conn: u32, exchange: &Exchange<'_>, method: &str, ends: Ends) {
    // A call without an answer is told by others, and so is one whose answer is for nobody to read.
    let Some((reply, meaning)) = exchange.completed else { return };
    if reply.is_some_and(|reply| reply.frame.kind == OVERSIZE) {
        return;
    }
    let (weight, shape, due) = match (ends, meaning) {
        (Ends::Success, Meaning::Refused(_) | Meaning::NotSupported) => {
            (Weight::Refusal, Shape::REFUSED_VALID, "a result")
        }
        (Ends::Refusal, Meaning::Success) => (Weight::Violation, Shape::WRONG_SUCCESS, "a failure"),
        _ => return,
    };
    report
        .finding(
            weight,
            shape,
            CARRIED_OUT,
            format!("`{method}` comes to another end than when it was recorded"),
        )
        .at_request(conn, exchange.request)
        .push(due, format!("{meaning:?}"));
}

#[cfg(test)]
mod tests {
    use matrix::CaseKind;

    use super::*;
    use crate::envelope::failure;
    use crate::testing::{SCHEMA, Talk, done, good};

    #[test]
    fn what_was_carried_out_is_carried_out() {
        #[track_caller]
        fn check(due: &'static str, talk: &Talk, expect: &[&str]) {
            let found = talk.found_by(CaseKind::Client, |report| as_recorded(report, &SCHEMA, due));
            assert_eq!(found, expect, "{due}");
        }
        let succeeds = |stream: u32| Talk::new().asks(good(stream)).answers(done(stream));
        let fails = Talk::new().asks(good(1)).answers(failure(1, 13, "no"));
        check("M", &succeeds(1), &[]);
        check("M?", &succeeds(1), &[]);
        check("M!", &succeeds(1), &["wrong-success"]);
        check("M", &fails, &["refused-valid"]);
        check("M?", &fails, &[]);
        check("M!", &fails, &[]);
        check("M M", &succeeds(1), &["incomplete"]);
        check("M M", &Talk::new().asks(good(1)).closes(), &[]);
        check("M M!", &succeeds(1).asks(good(3)).answers(failure(3, 13, "no")), &[]);
        check("M", &succeeds(1).asks(good(3)).answers(failure(3, 13, "no")), &["refused-valid"]);
        let unknown = crate::envelope::request(1, "s.S", "Other", b"");
        check("", &fails, &["refused-valid"]);
        check("Other", &Talk::new().asks(unknown).answers(failure(1, 12, "no")), &[]);
    }
}
