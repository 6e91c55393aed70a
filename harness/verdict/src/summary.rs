//! What happened, in a few words for a cell of the grid.

use crate::{Evidence, Finding, Meaning, Step};

/// Summarises the subject and what came after it, e.g. `refused -38; canary answered`.
#[must_use]
pub(crate) fn of(evidence: &Evidence<'_>, findings: &[Finding]) -> String {
    let mut words: Vec<String> = Vec::new();
    let mut push = |word: String| {
        if !words.contains(&word) {
            words.push(word);
        }
    };
    for (_, step) in evidence.reading.steps("subject") {
        push(step_words(step));
    }
    for (_, step) in evidence.reading.steps("canary") {
        push(format!("canary {}", step_words(step)));
    }
    for finding in findings.iter().filter(|finding| finding.weight == crate::Weight::Violation) {
        push(finding.shape.clone());
    }
    if words.is_empty() {
        return "as recorded".to_owned();
    }
    words.truncate(6);
    words.join(", ")
}

/// What one step came to.
pub(crate) fn step_words(step: &Step) -> String {
    let answered = match step.answers().last().map(|reply| reply.meaning) {
        Some(Meaning::Success) => Some("answered".to_owned()),
        Some(Meaning::NotSupported) => Some("not supported".to_owned()),
        Some(Meaning::Refused(code)) => Some(format!("refused {code}")),
        Some(Meaning::Notification) | None => None,
    };
    match (answered, step.closed, step.timeout) {
        (Some(words), Some(_), _) => format!("{words}, closed"),
        (Some(words), None, _) => words,
        (None, Some(_), _) => "closed without reply".to_owned(),
        (None, None, Some(_)) => "silent".to_owned(),
        (None, None, None) => "no reply asked".to_owned(),
    }
}
