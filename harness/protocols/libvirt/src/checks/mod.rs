//! What the generic checks cannot say: what an answer must hold, and what a transaction must leave behind.
//!
//! A check asks the marks of a transcript what was meant, see [`super::probes`] and [`super::scenarios`].
//!
//! | check | shapes | the rule |
//! |---|---|---|
//! | `numbers-keep-meaning` | `changed-meaning` | a number answers what it has always answered |
//! | `unknown-text` | `other-error`, `translated-text` | what is unknown is told by 39/7 and two English words |
//! | `features-hold` | `feature-without-procedure`, `procedure-without-feature`, `order-not-as-announced` | features are promised together with procedures |
//! | `authentication-first` | `served-before-authentication` | whoever must authenticate is not served before |
//! | `driver-kept` | `first-driver-lost`, `driver-left-behind` | a connection has one driver, and takes it with it |
//! | `event-not-lost` | `lost-event`, `event-twice` | whoever registered gets each event, once |
//! | `stream-complete` | `stream-cut`, `stream-goes-on` | a stream ends with an empty message, and only then |
//! | `serial-echoed` | `serial-not-echoed`, `call-not-echoed` | an answer carries the serial, program and procedure of its call |
//! | `transaction-holds` | see [`transaction`] | commit keeps, rollback gives back |

use verdict::{Check, Cited};
use wire::{Dissection, Value};

mod answers;
pub(crate) mod transaction;

#[cfg(test)]
mod tests;

/// The checks of this protocol for a kind of case, beside the generic ones.
pub(crate) fn of(kind: matrix::CaseKind) -> Vec<Check> {
    match kind {
        matrix::CaseKind::Probe => answers::all(),
        matrix::CaseKind::Scenario => {
            vec![transaction::TRANSACTION_HOLDS, answers::SERIAL_ECHOED]
        }
        matrix::CaseKind::Client | matrix::CaseKind::Replay | matrix::CaseKind::State => Vec::new(),
    }
}

/// The rules that these checks hold peers to.
pub(crate) fn all_rules() -> Vec<Cited> {
    [answers::RULES, transaction::RULES].concat()
}

/// What an answer says of a failure.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Failure {
    code: i64,
    domain: i64,
    level: i64,
    /// What is not UTF-8 is replaced; only the beginning matters.
    text: String,
}

impl Failure {
    fn of(reply: &Dissection) -> Option<Self> {
        Some(Self {
            code: number(reply, "code")?,
            domain: number(reply, "domain")?,
            level: number(reply, "level")?,
            text: text(reply, "message").unwrap_or_default(),
        })
    }
}

fn number(dissection: &Dissection, field: &str) -> Option<i64> {
    match dissection.field(field)?.value {
        Value::Int(value) => Some(value),
        Value::Uint(value) | Value::Hex(value) => i64::try_from(value).ok(),
        _ => None,
    }
}

fn text(dissection: &Dissection, field: &str) -> Option<String> {
    let field = dissection.field(field)?;
    match &field.value {
        Value::Text(text) => Some(text.clone()),
        _ => field.label.as_ref().map(ToString::to_string),
    }
}
