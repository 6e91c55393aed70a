//! Does an agent answer what a recorded host said as the recorded agent did?
//!
//! Its listener takes its input in order, so what it says in answer has an order that time does not change. What its
//! other thread says from time to time, and the content of the guest, are passed over:
//!
//! ```text
//! refresh answer   which of the gated messages are in it
//! echo             its members, by value
//! completion       done, and that there is a reply_id
//! ```

use transcript::evidence::Shape;
use verdict::checks::Report;
use verdict::{Check, Recorded};

use super::course::Course;
use super::timeline::{Timeline, What};
use crate::names;

/// Compares the answers of a replay with those of its recording, one by one.
pub(super) const SAME_ANSWERS: Check = Check { name: "same-answers", judge: same_answers };

verdict::rules! {
    RULE: "what a recorded host said keeps its meaning",
        "harness/ARCHITECTURE.md#recordings-keep-their-meaning";
}

fn same_answers(report: &mut Report<'_>) {
    let evidence = report.evidence;
    let Some(Recorded { transcript, reading, .. }) = evidence.recorded else { return };
    let then = answers(&Timeline::once(transcript, reading));
    let now = answers(&Timeline::once(evidence.transcript, evidence.reading));
    let count = then.len().max(now.len());
    for at in 0..count {
        let (then, now) = (then.get(at), now.get(at));
        if then == now {
            continue;
        }
        let (shape, message) = match (then, now) {
            (Some(_), None) => (Shape::NO_REPLY, format!("answer {} of the recording does not come", at + 1)),
            (None, _) => {
                (Shape::ANSWERS_MORE, format!("answer {} is one more than the recording has", at + 1))
            }
            _ => (Shape::CHANGED_MEANING, format!("answer {} is another one than the recorded", at + 1)),
        };
        let word = |answer: Option<&String>| answer.cloned().unwrap_or_else(|| "nothing".to_owned());
        let (expected, actual) = (word(then), word(now));
        report.violation(shape, RULE, message).push(expected, actual);
        // Everything behind the first difference is shifted.
        break;
    }
}

/// What the agent said in answer, in words, in order.
fn answers(timeline: &Timeline) -> Vec<String> {
    let course = Course::of(timeline);
    let mut next = course.answers.iter().peekable();
    let mut said_all = Vec::new();
    for (index, act) in timeline.acts.iter().enumerate() {
        while let Some(answer) = next.next_if(|answer| answer.first <= index) {
            said_all.push(format!("refresh answer with {}", answer.words().join(" ")));
        }
        if let What::FromAgent(said) = &act.what {
            match said.name() {
                names::ECHO => said_all.push(format!("echo {}", members(&said.bytes))),
                names::COMPLETION => {
                    let done = said.message.as_ref().and_then(|message| message.done);
                    let id = said.message.as_ref().is_some_and(|message| message.reply_id.is_some());
                    said_all.push(format!("completion, done {done:?}, reply_id {id}"));
                }
                _ => {}
            }
        }
    }
    said_all
}

/// The members of a message, sorted by name, each as it was written.
fn members(line: &[u8]) -> String {
    let Ok(document) = wire::json::Document::parse(line, crate::message::RULES) else {
        return String::new();
    };
    let mut members: Vec<String> = document
        .root()
        .members()
        .map(|(name, value)| format!("{name}={}", String::from_utf8_lossy(value.raw())))
        .collect();
    members.sort();
    members.join(" ")
}
