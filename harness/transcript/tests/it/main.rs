//! Integration tests of the transcript crate.

mod errors;
mod export;
mod fixture;
mod import;
mod round_trip;
mod samples;
mod strace;
