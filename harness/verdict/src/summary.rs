//! What happened, in a few words for a cell of the grid.

use transcript::evidence::{EXIT, Observation, Role};

use crate::checks::Drain;
use crate::{Evidence, Finding, Meaning, Step, Weight};

/// Most words of a summary; a subject on 64 connections has no more to say than on one.
const WORDS_MAX: usize = 6;

/// Summarises the subject, what became of its payload, and what is wrong, e.g. `not supported, drained, closes`.
pub(crate) fn of(evidence: &Evidence<'_>, findings: &[Finding]) -> String {
    let mut words: Vec<String> = Vec::new();
    for conn in &evidence.reading.conns {
        for step in conn.steps.iter().filter(|step| step.is(Role::Subject)) {
            words.extend(step_words(step));
        }
        let drained = match Drain::of(conn) {
            Some(Drain::Answered) => &["drained", "kept"][..],
            Some(Drain::Closed) => &["drained", "closes"],
            Some(Drain::ClosedUnread) => &["not drained", "closes"],
            _ => &[],
        };
        words.extend(drained.iter().map(|word| (*word).to_owned()));
    }
    if let Some(exit) = evidence.reading.observed(Observation::Claim(EXIT)) {
        words.push(format!("exit {exit}"));
    }
    let wrong = |weight| findings.iter().filter(move |f| f.weight == weight).map(|f| f.shape.clone());
    words.extend(wrong(Weight::Violation));
    if evidence.recorded.is_some() || evidence.reading.observed(Observation::Claim(EXIT)).is_some() {
        words.extend(wrong(Weight::Refusal).chain(wrong(Weight::Restriction)));
    }
    let mut seen = Vec::new();
    words.retain(|word| {
        let new = !seen.contains(word);
        seen.push(word.clone());
        new
    });
    words.truncate(WORDS_MAX);
    match (words.is_empty(), evidence.recorded) {
        (true, Some(_)) => "same meaning".to_owned(),
        (true, None) => "survived".to_owned(),
        (false, _) => words.join(", "),
    }
}

/// What one step came to.
pub(crate) fn step_words(step: &Step) -> Option<String> {
    let answered = match step.answers().last().map(|reply| reply.meaning) {
        Some(Meaning::Success) => Some("answered".to_owned()),
        Some(Meaning::NotSupported) => Some("not supported".to_owned()),
        Some(Meaning::Refused(code)) => Some(format!("refused {code}")),
        Some(Meaning::Part | Meaning::Notification) | None => None,
    };
    answered.or_else(|| {
        if step.closed.is_some() || step.send_failed.is_some() {
            Some("closed without reply".to_owned())
        } else if step.timeout.is_some() {
            Some("silent".to_owned())
        } else {
            None
        }
    })
}
