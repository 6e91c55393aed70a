//! Does the server live, serve others, and give back what it took?

use transcript::ExitStatus;
use transcript::evidence::{Observation, Role, Shape};
use wire::Direction;

use crate::checks::{Report, rules};
use crate::{Check, Evidence, Finding, Meaning, Weight};

/// How much more resident memory counts as a leak. The recorded releases grow by up to 276 KiB within a probe, and the
/// kernel counts pages in batches, so this finds only what is gross: the payloads of one probe kept for ever are not.
const RSS_GROWTH_MAX_KIB: i64 = 16 << 10;
/// How much more held bytes of messages count as a leak, where a server says itself what it holds: ours does, and exactly. Half a message of a client that is gone may stay: behind a serial line nobody
/// knows of that.
const HELD_GROWTH_MAX: i64 = 1 << 10;

/// The server is alive at the end and served others in the meantime.
pub struct StaysUp;

impl Check for StaysUp {
    fn name(&self) -> &'static str {
        "stays-up"
    }

    fn check(&self, evidence: &Evidence<'_>) -> Vec<Finding> {
        let mut report = Report::new(self.name(), evidence);
        let culprit = || {
            evidence
                .reading
                .steps(Role::Subject)
                .last()
                .and_then(|(conn, step)| report_subject(evidence, conn.conn.0, step))
        };
        let exit = evidence.reading.exits.iter().find(|(_, dir, _)| *dir == Direction::ToClient);
        if let Some((_, _, status)) = exit {
            let (shape, actual) = match status {
                ExitStatus::Signal(number) => (Shape::CRASH, format!("killed by signal {number}")),
                ExitStatus::Gone => (Shape::CRASH, "the process is gone".to_owned()),
                ExitStatus::Code(code) => (Shape::SERVER_EXITED, format!("ended with code {code}")),
            };
            let message = format!("the server is dead: {actual}");
            report.push(Weight::Violation, shape, rules::SURVIVE, message, "alive", actual, culprit());
            return report.finish();
        }
        for (role, shape, message) in [
            (Role::Witness, Shape::BLOCKS_OTHERS, "another client is not served while this goes on"),
            (Role::Fresh, Shape::NOT_USABLE_AFTER, "a new client is not served afterwards"),
        ] {
            for (_, step) in evidence.reading.steps(role) {
                if step.answers().any(|reply| reply.meaning == Meaning::Success) {
                    continue;
                }
                let actual = crate::summary::step_words(step).unwrap_or_else(|| "nothing".to_owned());
                report.push(
                    Weight::Violation,
                    shape,
                    rules::SURVIVE,
                    message,
                    "an answer",
                    actual,
                    culprit(),
                );
            }
        }
        for (_, conn, error) in &evidence.reading.connect_failures {
            let message = format!("connection {conn} could not be made");
            report.push(
                Weight::Violation,
                Shape::NOT_USABLE_AFTER,
                rules::SURVIVE,
                message,
                "connected",
                error.clone(),
                culprit(),
            );
        }
        report.finish()
    }
}

fn report_subject(evidence: &Evidence<'_>, conn: u32, step: &crate::Step) -> Option<crate::FrameRef> {
    Report::new("stays-up", evidence).subject(conn, step)
}

/// Descriptors and memory are back at the end.
pub struct GivesBack;

impl Check for GivesBack {
    fn name(&self) -> &'static str {
        "gives-back"
    }

    fn check(&self, evidence: &Evidence<'_>) -> Vec<Finding> {
        let mut report = Report::new(self.name(), evidence);
        for (what, shape, allowed, unit) in [
            (Observation::Fds, Shape::LEAK_FDS, 0, "descriptors"),
            (Observation::RssKib, Shape::LEAK_MEMORY, RSS_GROWTH_MAX_KIB, "KiB"),
            (Observation::HeldBytes, Shape::LEAK_MEMORY, HELD_GROWTH_MAX, "bytes of messages"),
        ] {
            let values: Vec<i64> =
                evidence.reading.all_observed(what).filter_map(|value| value.parse().ok()).collect();
            let (Some(first), Some(last)) = (values.first(), values.last()) else { continue };
            let more = last.saturating_sub(*first);
            if more > allowed {
                report.push(
                    Weight::Violation,
                    shape,
                    rules::GIVE_BACK,
                    format!("the server holds {more} {unit} more than before"),
                    format!("at most {allowed} more than {first}"),
                    last.to_string(),
                    None,
                );
            }
        }
        report.finish()
    }
}
