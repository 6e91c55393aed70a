//! Recordings of other tools as transcripts.

pub mod raw;
pub mod strace;
