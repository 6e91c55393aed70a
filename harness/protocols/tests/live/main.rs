//! Real builds, each client against each server. Chosen by `WIRESKEW_LIVE=1`; needs root and the fetched builds.
//! Arguments select by a part of the name, e.g. `lxc`, `lxc 7.0.0..4.0.6`, `libvirt 9.0.0`.
//!
//! No libtest here: the program runs itself again inside the sandbox, as `wireskew` does.
#![expect(clippy::disallowed_methods, reason = "real processes run on real time")]
#![allow(clippy::print_stdout, reason = "a test program tells its results to people")]

mod libvirt;
mod lxc;
mod qemu_ga;

use std::process::ExitCode;

use session::sandbox::{self, Sandbox};

fn main() -> ExitCode {
    if let Some(status) = sandbox::hook() {
        return ExitCode::from(status);
    }
    if std::env::var_os("WIRESKEW_LIVE").is_none_or(|value| value != "1") {
        println!("NOT RUN: real releases of LXC, libvirt and qemu-ga. They need root and fetched builds:");
        println!("  wireskew builds fetch && WIRESKEW_LIVE=1 cargo test -p protocols --test live");
        return ExitCode::SUCCESS;
    }
    if sandbox::needed_and_possible().expect("WIRESKEW_LIVE=1 asks for a machine where a sandbox is possible")
    {
        return ExitCode::from(sandbox::enter().expect("a sandbox is possible"));
    }
    assert!(Sandbox::inside().is_some());
    let runtime = tokio::runtime::Runtime::new().expect("threads can be started");
    let mut failures = Vec::new();
    runtime.block_on(async {
        lxc::run(&mut failures).await;
        libvirt::run(&mut failures).await;
        qemu_ga::run().await;
    });
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    ExitCode::SUCCESS
}

/// Whether something of that name was asked for.
fn wanted(name: &str) -> bool {
    let mut parts = std::env::args().skip(1).filter(|arg| !arg.starts_with('-')).peekable();
    parts.peek().is_none() || parts.any(|part| name.contains(&part))
}
