//! Transactions for netcf.
//!
//! netcf asks a script to begin, commit and roll back, and Debian's package of it names `/bin/false` for that, so that
//! none of them is possible. This one is mounted over it. Measured: exit 0 is success, 199 becomes code 55, "not
//! valid in this state", and everything else code 1. At boot it rolls back what was left open, as the one that
//! netcf brings along for other systems does. An open transaction is a directory that is there whole or not at
//! all; the file of interfaces is replaced in one step.
#![expect(clippy::disallowed_methods, reason = "a real machine has a real day")]

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;
use std::time::{Duration, SystemTime};

use session::sandbox::MountStep;

use protocol::launch::{NOBODY, make_own};

/// The script, for the daemon.
const SCRIPT: &str = "/wireskew/state/script";
/// What netcf runs instead.
const STAND_IN: &str = "bin/false";
/// Where netcf finds interfaces, below the root.
const NETWORK: &str = "etc/network";

const TEXT: &str = r#"#!/bin/sh
# change-begin, change-commit, change-rollback; start, at boot; snapshot-dir.
live=/etc/network/interfaces
kept=/wireskew/state/snapshot
roll_back() {
  cp -p $kept/interfaces $live.new && mv $live.new $live && mv $kept $kept.old && rm -r $kept.old
}
case $1 in
change-begin)
  [ ! -e $kept ] || exit 199
  rm -rf $kept.new && mkdir $kept.new && cp -p $live $kept.new/ && mv $kept.new $kept
  ;;
change-commit)
  [ -e $kept ] || exit 199
  mv $kept $kept.old && rm -r $kept.old
  ;;
change-rollback)
  [ -e $kept ] || exit 199
  roll_back
  ;;
start)
  [ ! -e $kept ] || roll_back
  ;;
snapshot-dir)
  echo $kept
  ;;
*)
  exit 2
  ;;
esac
"#;

/// How old the file of interfaces is.
const AGE: Duration = Duration::from_secs(3600);
/// The interfaces at the beginning. `eth1` is that of the test driver.
const INTERFACES: &str = "auto lo\niface lo inet loopback\n\n\
    auto eth1\niface eth1 inet static\n    address 192.168.0.5\n    netmask 255.255.255.0\n    \
    gateway 192.168.0.1\n";

/// Writes the script and the interfaces, and says what has to be mounted in the root for netcf to find them.
pub(super) fn install(work: &Path, root: &Path) -> io::Result<Vec<MountStep>> {
    let (network, state) = (work.join("network"), work.join("state"));
    for directory in [&network, &state] {
        make_own(directory)?;
    }
    let script = state.join("script");
    fs::write(&script, TEXT)?;
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755))?;
    let interfaces = network.join("interfaces");
    fs::write(&interfaces, INTERFACES)?;
    // By the second of this time netcf knows whether a file is another one, so one that is changed and rolled back
    // within the second in which it was made would stay as changed for it. On a machine it is older than that.
    let written = SystemTime::now().checked_sub(AGE).unwrap_or(SystemTime::UNIX_EPOCH);
    File::options().append(true).open(&interfaces)?.set_modified(written)?;
    // What replaces it gets its owner.
    chown(&interfaces, Some(NOBODY), Some(NOBODY))?;
    let bind = |source, at: &str| MountStep::Bind {
        source,
        target: root.join(at),
        recursive: false,
        read_only: false,
    };
    Ok(vec![bind(network, NETWORK), bind(script, STAND_IN)])
}

/// The command that runs at boot.
pub(super) fn at_boot() -> Vec<String> {
    [SCRIPT, "start"].map(str::to_owned).to_vec()
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    /// Runs the script in a directory of its own; the exit codes, and what the interfaces then are.
    #[track_caller]
    fn check(steps: &[&str], codes: &[i32], interfaces: &str) {
        let dir = tempfile::tempdir().expect("a temporary directory can be made");
        let path = dir.path().display().to_string();
        let text = TEXT.replace("/etc/network", &path).replace("/wireskew/state", &path);
        let script = dir.path().join("script");
        fs::write(&script, text)
            .and_then(|()| fs::write(dir.path().join("interfaces"), "a"))
            .expect("it can be written");
        let mut seen = Vec::new();
        for step in steps {
            if let Some(text) = step.strip_prefix("write ") {
                fs::write(dir.path().join("interfaces"), text).expect("it can be written");
                continue;
            }
            let status = Command::new("sh").arg(&script).arg(step).status().expect("there is a shell");
            seen.push(status.code().expect("nobody kills it"));
        }
        assert_eq!(seen, codes, "{steps:?}");
        let found = fs::read_to_string(dir.path().join("interfaces")).expect("it is there");
        assert_eq!(found, interfaces, "{steps:?}");
    }

    #[test]
    fn gives_back_what_was_so_at_the_beginning() {
        check(&["change-begin", "write b", "change-rollback"], &[0, 0], "a");
        check(&["change-begin", "write b", "change-commit", "change-rollback"], &[0, 0, 199], "b");
        check(&["change-begin", "change-begin", "write b", "change-rollback"], &[0, 199, 0], "a");
        check(&["change-commit", "change-rollback", "nonsense"], &[199, 199, 2], "a");
    }

    #[test]
    fn rolls_back_at_boot_what_was_left_open() {
        check(&["start"], &[0], "a");
        check(&["change-begin", "write b", "start", "start", "change-begin"], &[0, 0, 0, 0], "a");
        check(&["change-begin", "write b", "change-commit", "start"], &[0, 0, 0], "b");
    }
}
