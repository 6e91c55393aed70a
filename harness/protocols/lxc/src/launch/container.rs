//! The container that every monitor runs.

use std::fs;
use std::io;
use std::path::Path;

use session::sandbox::MountStep;
use tokio::sync::OnceCell;

use super::PROXY_LXCPATH;
use crate::effects::{CONTAINER, LXCPATH};
use protocol::launch::TinyRoot;

/// Ends on every signal by which a container is asked to stop; prints one line, for the console.
const INIT: &str = "#!/bin/sh\n\
    trap 'exit 0' PWR TERM INT\n\
    echo \"init up $$\"\n\
    while :; do sleep 1000 & wait $!; done\n";

/// Device rules as distributions set them, so that one more rule makes a difference that can be seen.
const DEVICE_RULES: [&str; 10] = [
    "c *:* m",
    "b *:* m",
    "c 1:3 rwm",
    "c 1:5 rwm",
    "c 1:7 rwm",
    "c 1:8 rwm",
    "c 1:9 rwm",
    "c 5:0 rwm",
    "c 5:1 rwm",
    "c 5:2 rwm",
];

/// The container's root.
pub(super) static ROOTFS: TinyRoot = TinyRoot {
    name: "container",
    directories: &["bin", "sbin", "dev", "proc", "sys", "etc", "tmp", "root", "run"],
    applets: &["sh", "sleep", "cat", "ls", "ps", "mount", "id", "tty", "true", "kill", "echo"],
    texts: &[("etc/passwd", "root:x:0:0:root:/root:/bin/sh\n")],
    init: ("sbin/init", INIT),
    made: OnceCell::const_new(),
};

/// Writes a slot's files and shows the container's root among them.
pub(super) fn prepare(work: &Path, rootfs: &Path) -> io::Result<Vec<MountStep>> {
    for name in ["rootfs", "mnt"] {
        fs::create_dir_all(work.join(name))?;
    }
    for lxcpath in [LXCPATH, PROXY_LXCPATH] {
        let name = Path::new(lxcpath).file_name().unwrap_or_default();
        let directory = work.join(name).join(CONTAINER);
        fs::create_dir_all(&directory)?;
        fs::write(directory.join("config"), config())?;
    }
    let target = work.join("rootfs");
    Ok(vec![MountStep::Bind { source: rootfs.to_owned(), target, recursive: false, read_only: false }])
}

fn config() -> String {
    let mut lines = vec![
        format!("lxc.uts.name = {CONTAINER}"),
        "lxc.rootfs.path = dir:/wireskew/rootfs".to_owned(),
        // The default is a directory below the prefix of the build, which a build that was not installed lacks.
        "lxc.rootfs.mount = /wireskew/mnt".to_owned(),
        "lxc.net.0.type = empty".to_owned(),
        "lxc.pty.max = 16".to_owned(),
        "lxc.tty.max = 2".to_owned(),
        "lxc.mount.auto = proc:mixed sys:ro".to_owned(),
        "lxc.init.cmd = /sbin/init".to_owned(),
        "lxc.apparmor.profile = unconfined".to_owned(),
        "lxc.console.buffer.size = 4096".to_owned(),
        "lxc.cgroup2.devices.deny = a".to_owned(),
    ];
    lines.extend(DEVICE_RULES.iter().map(|rule| format!("lxc.cgroup2.devices.allow = {rule}")));
    lines.join("\n") + "\n"
}
