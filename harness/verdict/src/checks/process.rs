//! Does the server live, serve others, and give back what it took?

use transcript::ExitStatus;
use transcript::evidence::{MuxerFault, Observation, Role, Shape};
use wire::Direction;

use crate::checks::{Report, rules};
use crate::{Check, Meaning};

/// How much more resident memory counts as a leak. The recorded releases grow by up to 276 KiB within a probe, and the
/// kernel counts pages in batches, so this finds only what is gross: the payloads of one probe kept for ever are not.
const RSS_GROWTH_MAX_KIB: i64 = 16 << 10;
/// How much more held bytes of messages count as a leak, where a server says itself what it holds: ours does, and
/// exactly. Half a message of a client that is gone may stay: behind a serial line nobody knows of that.
const HELD_GROWTH_MAX: i64 = 1 << 10;

/// The server is alive at the end and served others in the meantime. What its muxer did not let through it was not asked.
pub const STAYS_UP: Check = Check { name: "stays-up", judge: stays_up };

fn stays_up(report: &mut Report<'_>) {
    let evidence = report.evidence;
    let exit = evidence.reading.exits.iter().find(|(_, dir, _)| *dir == Direction::ToClient);
    if let Some((_, _, status)) = exit {
        let (shape, actual) = match status {
            ExitStatus::Signal(number) => (Shape::CRASH, format!("killed by signal {number}")),
            ExitStatus::Gone => (Shape::CRASH, "the process is gone".to_owned()),
            ExitStatus::Code(code) => (Shape::SERVER_EXITED, format!("ended with code {code}")),
        };
        let message = format!("the server is dead: {actual}");
        report.violation(shape, rules::SURVIVE, message).at_culprit().push("alive", actual);
        return;
    }
    for (role, shape, message) in [
        (Role::Witness, Shape::BLOCKS_OTHERS, "another client is not served while this goes on"),
        (Role::Fresh, Shape::NOT_USABLE_AFTER, "a new client is not served afterwards"),
    ] {
        for (conn, step) in evidence.reading.steps(role) {
            if evidence.reading.muxer_fault(conn.conn).is_some() {
                continue;
            }
            if step.answers().any(|reply| reply.meaning == Meaning::Success) {
                continue;
            }
            let actual = crate::summary::step_words(step).unwrap_or_else(|| "nothing".to_owned());
            report.violation(shape, rules::SURVIVE, message).at_culprit().push("an answer", actual);
        }
    }
    for (_, conn, error) in &evidence.reading.connect_failures {
        if let Some(fault) = MuxerFault::parse(error) {
            let message = format!("a client is not let through to the server: {fault}");
            report.violation(Shape::MUXER, rules::MUXER, message).push("`OK` and a number", error.clone());
            continue;
        }
        let message = format!("connection {conn} could not be made");
        report
            .violation(Shape::NOT_USABLE_AFTER, rules::SURVIVE, message)
            .at_culprit()
            .push("connected", error.clone());
    }
}

/// Descriptors and memory are back at the end.
pub const GIVES_BACK: Check = Check { name: "gives-back", judge: gives_back };

fn gives_back(report: &mut Report<'_>) {
    let evidence = report.evidence;
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
            report
                .violation(
                    shape,
                    rules::GIVE_BACK,
                    format!("the server holds {more} {unit} more than before"),
                )
                .push(format!("at most {allowed} more than {first}"), last.to_string());
        }
    }
}
