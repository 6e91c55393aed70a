//! What no comparison may look at in arguments and results. Measured on agents 2.0.0 to 4.0.0.
//!
//! | mask | where |
//! |---|---|
//! | `version` | the versions of Health.Version and GetGuestDetails: they name the release |
//! | `machine` | size and probing of memory blocks, interfaces, routes and tables of the machine |
//! | `counters` | statistics and metrics |
//!
//! The lists of handlers come from hash tables: their order says nothing.

use ttrpc::Side;
use wire::protobuf::schema::Method;

/// Mask of versions.
pub(crate) const VERSION: &str = "version";
/// Mask of what belongs to the machine.
pub(crate) const MACHINE: &str = "machine";
/// Mask of what counts.
pub(crate) const COUNTERS: &str = "counters";

/// The mask of a field.
pub(crate) fn mask(method: &Method, side: Side, field: &str) -> Option<&'static str> {
    if side == Side::Argument {
        return None;
    }
    match (&*method.name, field) {
        ("Version", "grpc_version" | "agent_version") => Some(VERSION),
        ("GetGuestDetails", "agent_details.version") => Some(VERSION),
        ("GetGuestDetails", "mem_block_size_bytes" | "support_mem_hotplug_probe") => Some(MACHINE),
        _ => None,
    }
}

/// The mask of a result as a whole: a machine has as many interfaces, processors and counters as it has.
pub(crate) fn whole_mask(method: &Method) -> Option<&'static str> {
    match &*method.name {
        "ListInterfaces" | "ListRoutes" | "GetIPTables" => Some(MACHINE),
        "StatsContainer" | "GetMetrics" => Some(COUNTERS),
        _ => None,
    }
}

/// The lists of a result whose order says nothing.
pub(crate) fn unordered(method: &Method) -> &'static [&'static str] {
    match &*method.name {
        "GetGuestDetails" => &[
            "agent_details.storage_handlers",
            "agent_details.device_handlers",
            "agent_details.extra_features",
        ],
        _ => &[],
    }
}
