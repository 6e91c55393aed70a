//! Exit codes: part of the public contract, so each has a name and a meaning here.

use std::process::ExitCode;

/// Why the process ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Exit {
    /// Everything is as expected.
    AsExpected = 0,
    /// A defect of wireskew itself.
    Internal = 1,
    /// The command line is wrong.
    Usage = 2,
    /// The selection left nothing to run.
    NothingRan = 4,
    /// The set-up or the configuration is wrong.
    Setup = 96,
    /// Some results are not as expected.
    Unexpected = 100,
    /// A build is unavailable.
    MissingBuild = 101,
    /// The run was interrupted or could not be completed.
    Incomplete = 106,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}
