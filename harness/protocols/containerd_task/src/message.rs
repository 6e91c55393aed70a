//! What no comparison may look at in arguments and results. Measured on the shims of 1.4.13, 1.7.24 and 2.1.9.
//!
//! | mask | where |
//! |---|---|
//! | `pid` | processes: they are bound on first sight by [`super::checks`] |
//! | `time` | when something ended |
//! | `counters` | statistics |
//! | `place` | bundles and the ends of streams |

use ttrpc::Side;
use wire::protobuf::schema::Method;

/// Mask of processes.
pub(crate) const PID: &str = "pid";
/// Mask of times.
pub(crate) const TIME: &str = "time";
/// Mask of what counts.
pub(crate) const COUNTERS: &str = "counters";
/// Mask of places in the file system.
pub(crate) const PLACE: &str = "place";

/// The mask of a field.
pub(crate) fn mask(_method: &Method, side: Side, field: &str) -> Option<&'static str> {
    if side == Side::Argument {
        return None;
    }
    match field {
        "pid" | "shim_pid" | "task_pid" => Some(PID),
        "bundle" | "stdin" | "stdout" | "stderr" => Some(PLACE),
        _ if field.starts_with("exited_at") || field.starts_with("created_at") => Some(TIME),
        _ if field.starts_with("processes") => Some(PID),
        _ => None,
    }
}

/// The mask of a result as a whole.
pub(crate) fn whole_mask(method: &Method) -> Option<&'static str> {
    (method.name == "Stats").then_some(COUNTERS)
}
