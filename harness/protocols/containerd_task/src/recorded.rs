//! What became of calls: of those that were recorded elsewhere, and of those of daemons to shims whose container runs.

use verdict::Check;
use verdict::checks::Report;

use super::dialect::{DIALECTS, Dialect};
use super::{LIFECYCLES, RELOAD, REPORTED};

/// A container from its beginning to its end.
const LIFECYCLE: &str = "Connect State! Create State Start State Pids Connect Stats Pause State Resume ResizePty CloseIO Exec \
    State Start Wait Delete Wait Kill State Delete State! Shutdown";
/// The same where nothing is executed in a container.
const LIFECYCLE_ALONE: &str = "Connect State! Create State Start State Pids Connect Stats Pause State Resume ResizePty CloseIO \
    Exec State Start! Wait Delete Wait Kill State Delete State! Shutdown";
/// A daemon finds a container, and shows it; a tool pauses it and lets it go on.
const RELOADED: &str = "Connect State State Stats State Pids State Pause State State Resume";
/// A container is created and started, something is executed in it, it is paused and resumed, ends and is deleted.
const EVENTS: &str = "Forward Forward Forward Forward Forward Forward Forward";

/// What was recorded is carried out as it was.
pub(super) const AS_RECORDED: Check = Check { name: "as-recorded", judge: as_recorded };

fn as_recorded(report: &mut Report<'_>) {
    let Some(shim) = DIALECTS.named(report.evidence.grammar.dialect()) else { return };
    if let Some(due) = due(&report.evidence.case.name, shim) {
        ttrpc::recorded::as_recorded(report, shim.schema(), due);
    }
}

/// What a daemon asks of a shim that has what it is asked for is carried out.
pub(super) const CARRIED_OUT: Check = Check { name: "carried-out", judge: carried_out };

fn carried_out(report: &mut Report<'_>) {
    if let Some(shim) = DIALECTS.named(report.evidence.grammar.dialect()) {
        ttrpc::recorded::as_recorded(report, shim.schema(), "");
    }
}

fn due(case: &str, shim: &Dialect) -> Option<&'static str> {
    match case {
        RELOAD => Some(RELOADED),
        REPORTED => Some(EVENTS),
        _ if !LIFECYCLES.contains(&case) => None,
        _ if shim.executes => Some(LIFECYCLE),
        _ => Some(LIFECYCLE_ALONE),
    }
}
