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

use std::fmt;

use bytes::Bytes;
use transcript::evidence::Shape;
use verdict::checks::Report;
use verdict::{Check, Recorded, compare};

use super::course::Course;
use super::timeline::{Timeline, What};
use crate::{message, names};

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
        let (shape, message) = match (then, now) {
            (Some(then), Some(now)) if then.means(now) => continue,
            (Some(_), None) => (Shape::NO_REPLY, format!("answer {} of the recording does not come", at + 1)),
            (None, _) => {
                (Shape::ANSWERS_MORE, format!("answer {} is one more than the recording has", at + 1))
            }
            _ => (Shape::CHANGED_MEANING, format!("answer {} is another one than the recorded", at + 1)),
        };
        let words =
            |answer: Option<&Answer>| answer.map_or_else(|| "nothing".to_owned(), ToString::to_string);
        report.violation(shape, RULE, message).push(words(then), words(now));
        // Everything behind the first difference is shifted.
        break;
    }
}

/// Something that an agent said in answer.
enum Answer {
    /// To a refresh: which of the gated messages are in it.
    Refresh(String),
    /// To an echo.
    Echo(Bytes),
    /// To an event.
    Completion { done: Option<bool>, has_reply_id: bool },
}

impl Answer {
    /// Whether it means the same as another one.
    fn means(&self, other: &Self) -> bool {
        let dissect = |line: &Bytes| wire::json::dissect(line, message::RULES, &|_| None);
        match (self, other) {
            (Self::Echo(was), Self::Echo(is)) => {
                let compared = compare((&dissect(was), was), (&dissect(is), is));
                compared.difference.is_none() && compared.not_compared.is_empty()
            }
            _ => self.to_string() == other.to_string(),
        }
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refresh(messages) => write!(f, "refresh answer with {messages}"),
            Self::Echo(line) => write!(f, "echo {}", String::from_utf8_lossy(line).trim_end()),
            Self::Completion { done, has_reply_id } => {
                write!(f, "completion, done {done:?}, reply_id {has_reply_id}")
            }
        }
    }
}

/// What the agent said in answer, in order.
fn answers(timeline: &Timeline) -> Vec<Answer> {
    let course = Course::of(timeline);
    let mut next = course.answers.iter().peekable();
    let mut said_all = Vec::new();
    for (index, act) in timeline.acts.iter().enumerate() {
        while let Some(answer) = next.next_if(|answer| answer.first <= index) {
            said_all.push(Answer::Refresh(answer.words().join(" ")));
        }
        let What::FromAgent(said) = &act.what else { continue };
        match said.name() {
            names::ECHO => said_all.push(Answer::Echo(said.bytes.clone())),
            names::COMPLETION => {
                let message = said.message.as_ref();
                said_all.push(Answer::Completion {
                    done: message.and_then(|message| message.done),
                    has_reply_id: message.is_some_and(|message| message.reply_id.is_some()),
                });
            }
            _ => {}
        }
    }
    said_all
}
