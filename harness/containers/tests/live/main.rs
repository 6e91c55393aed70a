//! Containers of a real engine: what can be done in one, and that none stays.
//!
//! Chosen by the feature `engine` and `WIRESKEW_LIVE=1`; needs root, an engine (`ci/dockerd.sh` starts one) and a static busybox.
//! No libtest here, as this program is also what runs in the sandbox and in the containers.
#![allow(clippy::print_stdout, reason = "a test program tells its results to people")]

use std::process::ExitCode;

#[cfg(feature = "engine")]
#[expect(clippy::disallowed_methods, reason = "real processes run on real time")]
mod engine;

#[cfg(feature = "engine")]
fn main() -> ExitCode {
    engine::main()
}

#[cfg(not(feature = "engine"))]
fn main() -> ExitCode {
    println!("NOT RUN: containers; cargo test -p containers --features engine --test live");
    ExitCode::SUCCESS
}
