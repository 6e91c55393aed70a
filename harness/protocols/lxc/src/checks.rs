//! What the generic checks cannot say: what an answer must hold.
//!
//! A subject's mark asks for it by its arguments:
//!
//! | arguments | shape | the rule |
//! |---|---|---|
//! | `field`, `value` | `changed-meaning` | the field of a good answer has that value |
//! | `address=none` | `address-leak` | no answer carries an address of the server |
//! | `notifications=1` | `lost-notification`, `notified-twice` | that number of state messages comes |

use transcript::evidence::{Role, Shape};
use verdict::checks::Report;
use verdict::{Check, Meaning, ReplyAt};
use wire::{Direction, Dissection, Value};

use super::message::POINTER;
use crate::shapes;

/// Looks into the answers of subjects.
pub(super) const ANSWER_HOLDS: Check = Check { name: "answer-holds", judge: answer_holds };

verdict::rules! {
    NUMBERS: "a number keeps its meaning",
        "lxc/lxc@v7.0.0:src/lxc/commands.c, comment of 80bcb0535 (2013-09-03)";
    ADDRESS: "no address of the server travels",
        "lxc/lxc@v7.0.0:src/lxc/commands.h: `data` is for small integers";
    ONE_MESSAGE: "a state client is told the first state that it wants, once",
        "lxc/lxc@v7.0.0:src/lxc/start.c, lxc_serve_state_clients";
}

fn answer_holds(report: &mut Report<'_>) {
    let evidence = report.evidence;
    for (conn, step) in evidence.reading.steps(Role::Subject) {
        let conn = conn.conn.0;
        for reply in step.answers() {
            let dissection =
                evidence.grammar.dissect(Direction::ToClient, &reply.at.frame, reply.request.as_ref());
            if let (Some(field), Some(value)) = (step.arg("field"), step.arg("value")) {
                hold_value(report, conn, reply, &dissection, field, value);
            }
            if step.arg("address") == Some("none") {
                hold_no_address(report, conn, reply, &dissection);
            }
        }
        if let Some(due) = step.arg("notifications").and_then(|due| due.parse::<usize>().ok()) {
            let told = step.replies.iter().filter(|reply| reply.meaning == Meaning::Notification).count();
            if told != due && step.answers().next().is_some() {
                let shape = if told < due { shapes::LOST_NOTIFICATION } else { shapes::NOTIFIED_TWICE };
                let (due, was) = (format!("{due} state messages"), told.to_string());
                let message = "a state client is told another number of states than is due";
                report.violation(shape, ONE_MESSAGE, message).at_subject(conn, step).push(due, was);
            }
        }
    }
}

fn hold_value(
    report: &mut Report<'_>,
    conn: u32,
    reply: &ReplyAt,
    dissection: &Dissection,
    field: &str,
    value: &str,
) {
    if reply.meaning != Meaning::Success {
        return;
    }
    let found = match dissection.field(field).map(|field| &field.value) {
        Some(Value::Text(text)) => text.clone(),
        Some(other) => format!("{other:?}"),
        None => "no such field".to_owned(),
    };
    if found != value {
        let message = format!("`{field}` holds something else than this number has always answered");
        report.violation(Shape::CHANGED_MEANING, NUMBERS, message).at_reply(conn, reply).push(value, found);
    }
}

fn hold_no_address(report: &mut Report<'_>, conn: u32, reply: &ReplyAt, dissection: &Dissection) {
    let leaked = dissection
        .fields
        .iter()
        .find(|field| field.mask == Some(POINTER) && !matches!(field.value, Value::Hex(0)));
    if let Some(field) = leaked {
        let message = "the answer carries an address of the server's memory";
        let was = format!("`{}` is not zero", field.name);
        report.violation(shapes::ADDRESS_LEAK, ADDRESS, message).at_reply(conn, reply).push("zero", was);
    }
}
