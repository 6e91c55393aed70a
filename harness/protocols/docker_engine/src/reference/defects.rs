//! Faults that can be switched on in reference peers.

/// A reload empties the directory of scripts and writes only those of the new configuration.
pub(crate) const RELOAD_DELETES_WRAPPERS: &str = "reload-deletes-wrappers";
/// A start of the daemon empties the directory of scripts, also of those to which living containers refer.
pub(crate) const START_REMOVES_REFERENCED: &str = "start-removes-referenced";
/// While it is reloaded, requests see the new configuration with the scripts of the old one.
pub(crate) const TABLE_BEFORE_PATHS: &str = "table-before-paths";
/// A configuration that is refused is applied in part.
pub(crate) const REFUSED_RELOAD_APPLIES: &str = "refused-reload-applies";
/// A container with a script is not stopped, and the daemon says that it was.
pub(crate) const STOP_SAYS_SUCCESS: &str = "stop-says-success";
/// At the second start in a row a living container is said to have exited.
pub(crate) const FORGETS_LIVE: &str = "forgets-live";
/// A container that has ended still counts as a running one.
pub(crate) const COUNTS_WRONG: &str = "counts-wrong";
