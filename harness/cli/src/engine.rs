//! Containers, where this command was built with them (`--features containers`).

use std::sync::Arc;

use session::containers::Engine;

/// What a part of the sandbox does in place of the command, if this process is one.
#[cfg(feature = "containers")]
pub(crate) fn hook() -> Option<u8> {
    session::sandbox::hook_and(containers::clean)
}

/// What starts containers.
#[cfg(feature = "containers")]
pub(crate) fn engine() -> Arc<dyn Engine> {
    containers::engine()
}

#[cfg(not(feature = "containers"))]
pub(crate) fn hook() -> Option<u8> {
    session::sandbox::hook()
}

#[cfg(not(feature = "containers"))]
pub(crate) fn engine() -> Arc<dyn Engine> {
    Arc::new(session::containers::NoEngine)
}
