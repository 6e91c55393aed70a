//! Is everything that a side says a message that this protocol has?

use verdict::{Blame, Evidence, Finding};
use wire::json_lines::BLANK;

use super::course::Course;
use super::timeline::{Said, What};
use super::{CourseCheck, Sights, rules};
use crate::names;
use crate::shapes;

/// Finds lines that are no messages, and messages that nobody has.
pub(super) struct OnlyMessages;

impl CourseCheck for OnlyMessages {
    fn name(&self) -> &'static str {
        "only-messages"
    }

    fn check(&self, evidence: &Evidence<'_>, course: &Course<'_>) -> Vec<Finding> {
        let timeline = course.timeline;
        let mut sights = Sights::new(self.name(), evidence, timeline);
        for (index, act) in timeline.acts.iter().enumerate() {
            match &act.what {
                What::FromAgent(said) if !timeline.scripts.agent => {
                    let known = names::guest(said.name()).is_some();
                    look(&mut sights, index, said, Blame::Server, known);
                }
                What::FromHost(said) if !timeline.scripts.host => {
                    let known = names::host(said.name()).is_some();
                    look(&mut sights, index, said, Blame::Client, known);
                }
                _ => {}
            }
        }
        sights.report.finish()
    }
}

fn look(sights: &mut Sights<'_>, index: usize, said: &Said, blame: Blame, known: bool) {
    // A blank line follows the last message of a package that is removed.
    if said.kind == BLANK || said.torn || known {
        return;
    }
    let line =
        || String::from_utf8_lossy(&said.bytes).chars().take(80).collect::<String>().trim_end().to_owned();
    match &said.message {
        None => {
            let message = "a line is no message".to_owned();
            sights.violation(
                blame,
                shapes::BAD_FRAMING,
                rules::FRAMING,
                index,
                (message, "a message", line()),
            );
        }
        Some(_) => {
            let message = format!("`{}` is no message of this side", said.name());
            let says = (message, "a message of this side", said.name().to_owned());
            sights.violation(blame, shapes::ANSWERED_ERROR, rules::FRAMING, index, says);
        }
    }
}
