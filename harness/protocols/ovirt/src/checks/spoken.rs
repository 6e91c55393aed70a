//! Is everything that a side says a message that this protocol has?

use verdict::Blame;
use wire::json_lines::BLANK;

use super::course::Course;
use super::timeline::{Said, What};
use super::{Sights, rules};
use crate::names;
use crate::shapes;

/// Finds lines that are no messages, and messages that nobody has.
pub(super) fn only_messages(sights: &mut Sights<'_>, course: &Course<'_>) {
    let timeline = course.timeline;
    for (index, act) in timeline.acts.iter().enumerate() {
        match &act.what {
            What::FromAgent(said) if !timeline.scripts.agent => {
                look(sights, index, said, Blame::Server, names::guest(said.name()).is_some());
            }
            What::FromHost(said) if !timeline.scripts.host => {
                look(sights, index, said, Blame::Client, names::host(said.name()).is_some());
            }
            _ => {}
        }
    }
}

fn look(sights: &mut Sights<'_>, index: usize, said: &Said, blame: Blame, known: bool) {
    // A blank line follows the last message of a package that is removed.
    if said.kind == BLANK || said.torn || known {
        return;
    }
    if said.message.is_some() {
        let message = format!("`{}` is no message of this side", said.name());
        let says = (message, "a message of this side", said.name());
        sights.violation(blame, shapes::ANSWERED_ERROR, rules::FRAMING, index, says);
    } else {
        let line = String::from_utf8_lossy(&said.bytes).chars().take(80).collect::<String>();
        let says = ("a line is no message", "a message", line.trim_end());
        sights.violation(blame, shapes::BAD_FRAMING, rules::FRAMING, index, says);
    }
}
