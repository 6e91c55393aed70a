//! Pid 1 of the sandbox: reaps what nobody else waits for and ends with the run.

use std::io::Read;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

use rustix::mount::{MountFlags, mount};
use rustix::process::{Pid, Signal, WaitOptions, kill_process, wait};

use super::{INSIDE, ROLE, STATE};

/// What the process outside sends to have a signal passed on.
pub(super) const INTERRUPT: u8 = b'I';
/// As [`INTERRUPT`], for SIGTERM.
pub(super) const TERMINATE: u8 = b'T';
/// Exit status when the run could not even be started.
const SETUP_FAILED: u8 = 96;

/// Runs the command line once more as a child and gives its exit status. Standard input is a pipe from the
/// process outside: a byte is a signal to pass on, its end is the end of everything.
pub(super) fn run() -> u8 {
    let Some(child) = start() else { return SETUP_FAILED };
    // A blocking read of its own: the loop below sits in wait(2). The process ends with the loop.
    std::thread::spawn(move || {
        let mut control = std::io::stdin();
        let mut byte = [0];
        loop {
            let signal = match control.read(&mut byte) {
                Ok(1..) if byte == [INTERRUPT] => Signal::INT,
                Ok(1..) if byte == [TERMINATE] => Signal::TERM,
                Ok(1..) => continue,
                Ok(0) | Err(_) => Signal::KILL,
            };
            // ESRCH: the run has ended, so this process is about to end too.
            let _ = kill_process(child, signal);
            if signal == Signal::KILL {
                return;
            }
        }
    });
    loop {
        match wait(WaitOptions::empty()) {
            Ok(Some((pid, status))) if pid == child => {
                let signal = status.terminating_signal().map(|signal| 128 + signal);
                let code = status.exit_status().or(signal).unwrap_or(i32::from(SETUP_FAILED));
                return u8::try_from(code).unwrap_or(u8::MAX);
            }
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(_) => return SETUP_FAILED,
        }
    }
}

fn start() -> Option<Pid> {
    let state = std::env::var_os(STATE)?;
    let inside = Path::new(&state).join(INSIDE);
    mount("tmpfs", &inside, "tmpfs", MountFlags::empty(), c"mode=0755").ok()?;
    // Without it only peers that speak TCP fail, and they say so.
    let _ = super::loopback::up();
    let mut args = std::env::args_os();
    let child = Command::new(std::env::current_exe().ok()?)
        .args(args.by_ref().skip(1))
        .env_remove(ROLE)
        .stdin(Stdio::null())
        // Not the terminal's foreground group: Ctrl-C comes once, through the process outside.
        .process_group(0)
        .spawn()
        .ok()?;
    Pid::from_raw(child.id().cast_signed())
}
