//! Did an operation of a client reach its end? Effects tell, not exit codes.
//!
//! ```text
//! claim.exit        effects   finding
//! expected.exit     right     none
//! expected.exit     wrong     silent-wrong: success was claimed, the effect is missing
//! 0, not expected   any       silent-wrong
//! other code        any       loud-fail
//! signal-N, gone    any       client-crash
//! none              any       client-hang
//! anything else     any       none: `evidence-complete` says so
//! ```
//! Against a server of ours with a fault switched on there may be no end to reach; then a client that fails
//! and says so is right, and only `silent-wrong`, `client-crash` and `client-hang` are faults. So it is where a muxer does not
//! let it through.
//!
//! An effect that is [`UNTOLD`] passes: whoever observes writes it only of a server that cannot tell, where
//! the operation had nothing to change.
//!
//! A client that was right although its server refused something has taken its fallback: `fell-back`,
//! which makes the cell `degraded`.

use transcript::ExitStatus;
use transcript::evidence::{ClaimedExit, EXIT, Expectation, Observation, Shape};

use crate::checks::{Report, rules};
use crate::{Blame, Check, Due, FrameRef, Meaning, Reading, Weight};

/// What is written of an effect that the server has no way to tell, where no client can have changed it.
pub const UNTOLD: &str = "untold";

/// Compares what a client says with what really is so.
pub const EFFECT_MATCHES_CLAIM: Check = Check { name: "effect-matches-claim", judge: effect_matches_claim };

fn effect_matches_claim(report: &mut Report<'_>) {
    let evidence = report.evidence;
    let reading = evidence.reading;
    let Some(wanted) = reading.observed(Observation::Expected(EXIT)) else { return };
    let wrong = wrong_effects(reading);
    let unanswered = first_unanswered(report, reading);
    let Some(exit) = reading.observed(Observation::Claim(EXIT)) else {
        let message = "the client was never seen to end";
        push(report, Shape::CLIENT_HANG, message, wanted, "no end", unanswered);
        return;
    };
    let failed = match ClaimedExit::parse(exit) {
        Some(ClaimedExit(None)) => {
            let message = "the client was still waiting when its deadline passed".to_owned();
            Some((Shape::CLIENT_HANG, message, "killed"))
        }
        Some(ClaimedExit(Some(ExitStatus::Signal(signal)))) => {
            Some((Shape::CLIENT_CRASH, format!("the client died of signal {signal}"), exit))
        }
        Some(ClaimedExit(Some(ExitStatus::Gone))) => {
            Some((Shape::CLIENT_CRASH, "the client is gone".to_owned(), exit))
        }
        Some(ClaimedExit(Some(ExitStatus::Code(_)))) => None,
        // `evidence-complete` reports it.
        None => return,
    };
    if let Some((shape, message, actual)) = failed {
        push(report, shape, &message, &format!("exit {wanted}"), actual, unanswered);
    } else if exit == wanted || exit == "0" {
        for (key, expected, actual) in &wrong {
            let message = format!("the client says exit {exit}, but `{key}` is `{actual}`");
            push(
                report,
                Shape::SILENT_WRONG,
                &message,
                &format!("{key} = {expected}"),
                actual,
                unanswered.clone(),
            );
        }
        if wrong.is_empty() && exit != wanted {
            let message = format!("the client says exit {exit} where {wanted} is due");
            push(report, Shape::SILENT_WRONG, &message, wanted, exit, unanswered);
        } else if wrong.is_empty() && unanswered.is_some() {
            report
                .finding(
                    Weight::Restriction,
                    Shape::FELL_BACK,
                    rules::ENOSYS,
                    "the server refused a request; the client took another way to the same end",
                )
                .at(unanswered)
                .push("the request is carried out", "refused or unanswered");
        }
    } else if !evidence.server_is_faulty() && !reading.stopped_by_muxer() {
        let detail = reading.observed(Observation::Detail("stderr")).unwrap_or_default();
        let message = format!("the operation fails with exit {exit} {detail}");
        push(report, Shape::LOUD_FAIL, message.trim_end(), &format!("exit {wanted}"), exit, unanswered);
    }
}

/// Every `expected.<key>` besides `exit` whose observed value is another one. An effect that was expected
/// and never observed is wrong too: nothing may pass for want of evidence.
fn wrong_effects(reading: &Reading) -> Vec<(String, String, String)> {
    let mut wrong = Vec::new();
    for expectation in &reading.observations {
        let Some(expectation) = Expectation::of(expectation.what(), &expectation.value) else { continue };
        let (seen, expected) = (expectation.about(), &expectation.value);
        if seen == Observation::Claim(EXIT) {
            continue;
        }
        let actual = reading.observed(seen).unwrap_or("not seen");
        // A word of the client is never untold: it is the client that says it.
        let untold = actual == UNTOLD && !matches!(seen, Observation::Claim(_));
        if actual != expected && !untold {
            wrong.push((seen.key().into_owned(), expected.clone(), actual.to_owned()));
        }
    }
    wrong
}

/// The first request of the client that was not carried out.
fn first_unanswered(report: &Report<'_>, reading: &Reading) -> Option<FrameRef> {
    for conn in &reading.conns {
        for step in &conn.steps {
            let refused = step.answers().find(|reply| matches!(reply.meaning, Meaning::NotSupported));
            if let Some(reply) = refused {
                return Some(report.reply(conn.conn.0, reply));
            }
            if step.answers().next().is_none()
                && let (Some(at), Some(_)) = (step.requests.last(), step.closed)
                && at.due == Due::One
            {
                return Some(report.request(conn.conn.0, at));
            }
        }
    }
    None
}

fn push(
    report: &mut Report<'_>,
    shape: Shape,
    message: &str,
    expected: &str,
    actual: &str,
    frame: Option<FrameRef>,
) {
    report.violation(shape, rules::EFFECT, message).blame(Blame::Client).at(frame).push(expected, actual);
}
