//! Integration tests of the transcript crate.

mod errors;
mod round_trip;
mod samples;
