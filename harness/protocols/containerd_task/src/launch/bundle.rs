//! Bundles, and the root of the containers in them.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::Path;

use protocol::launch::TinyRoot;
use rustix::fs::{FileType, Mode};
use session::sandbox::MountStep;
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe;
use tokio::sync::OnceCell;
use tokio::task::JoinHandle;

use super::CONTAINER;
use super::place::run_of;

/// The fifos of a bundle.
pub(super) const LOG: &str = "log";
pub(super) const STDOUT: &str = "stdout";
pub(super) const STDERR: &str = "stderr";
/// The root of all containers, in the slot.
const ROOTFS: &str = "/wireskew/rootfs";

/// Most bytes of a fifo that are kept.
const FIFO_LEN_MAX: usize = 1 << 20;

/// Says something on both streams, passes on what it reads, and ends with 7 when it is asked to. As `/init x` it ends with 3.
const INIT: &str = r#"#!/bin/sh
[ "$1" != x ] || exit 3
trap 'exit 7' TERM
exec 3<&0
while read -r line; do echo "$line"; done <&3 &
echo hello
echo oops >&2
while :; do sleep 1000 & wait $!; done
"#;

/// The root of all containers.
pub(super) static TINY: TinyRoot = TinyRoot {
    name: "containerd-rootfs",
    directories: &["bin", "dev", "proc", "sys", "tmp", "run"],
    applets: &["sh", "sleep", "cat", "ls", "kill", "true"],
    texts: &[],
    init: ("init", INIT),
    made: OnceCell::const_new(),
};

/// Writes a slot's files and shows the containers' root among them.
pub(super) fn prepare(work: &Path, rootfs: &Path) -> io::Result<Vec<MountStep>> {
    let run = run_of(work);
    let bundle = run.join("bundle").join(CONTAINER);
    for directory in [work.join("rootfs"), work.join("lib"), run.join("containerd"), bundle.join("rootfs")] {
        fs::create_dir_all(directory)?;
    }
    fs::write(bundle.join("config.json"), specification(CONTAINER))?;
    for fifo in [LOG, STDOUT, STDERR] {
        let mode = Mode::from_raw_mode(0o600);
        rustix::fs::mknodat(rustix::fs::CWD, bundle.join(fifo), FileType::Fifo, mode, 0)?;
    }
    let target = work.join("rootfs");
    Ok(vec![MountStep::Bind { source: rootfs.to_owned(), target, recursive: false, read_only: true }])
}

/// A fifo in the bundle of a shim that no daemon has started: its log, or what its container says where it was told to say it there. A
/// shim whose log nobody holds open for reading never answers, and one whose log is full stops. So somebody holds it open, for reading
/// and writing, as a reader alone comes to an end; and what comes goes to a file of that name in the slot's directory.
#[derive(Debug)]
pub(super) struct Fifo(JoinHandle<()>);

impl Fifo {
    /// Reads one from now on.
    pub(super) fn read(work: &Path, name: &str) -> io::Result<Self> {
        let fifo = run_of(work).join("bundle").join(CONTAINER).join(name);
        let mut from = pipe::OpenOptions::new().read_write(true).open_receiver(fifo)?;
        let mut file = OpenOptions::new().create(true).append(true).open(work.join(name))?;
        Ok(Self(tokio::spawn(async move {
            let mut buffer = [0; 4 << 10];
            let mut left = FIFO_LEN_MAX;
            // What cannot be read any more nobody can be told of.
            while let Ok(count @ 1..) = from.read(&mut buffer).await {
                let kept = count.min(left);
                left -= kept;
                // A file in memory that is full keeps what it has.
                let _ = file.write_all(buffer.get(..kept).unwrap_or(&[]));
            }
        })))
    }
}

impl Drop for Fifo {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// What a container is, in the words of the runtime specification. Nothing in it needs a controller of cgroups. `/dev` is in memory,
/// so that containers which share the root do not find each other's links there.
pub(super) fn specification(id: &str) -> String {
    let namespaces = ["pid", "mount", "ipc", "uts", "network"].map(|kind| format!(r#"{{"type":"{kind}"}}"#));
    let mounts = [("/proc", "proc"), ("/dev", "tmpfs")]
        .map(|(at, kind)| format!(r#"{{"destination":"{at}","type":"{kind}","source":"{kind}"}}"#));
    format!(
        concat!(
            r#"{{"ociVersion":"1.0.2","hostname":"{id}","root":{{"path":"{rootfs}"}},"#,
            r#""process":{{"args":["/init"],"cwd":"/","user":{{"uid":0,"gid":0}},"env":["PATH=/bin"]}},"#,
            r#""mounts":[{mounts}],"linux":{{"cgroupsPath":"/{id}","namespaces":[{namespaces}]}}}}"#
        ),
        id = id,
        rootfs = ROOTFS,
        mounts = mounts.join(","),
        namespaces = namespaces.join(",")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_specification_asks_for_no_controller() {
        let text = specification("d1");
        assert!(text.contains(r#""cgroupsPath":"/d1""#), "{text}");
        assert!(!text.contains("resources"), "{text}");
        let (open, close) = (text.matches(['{', '[']).count(), text.matches(['}', ']']).count());
        assert_eq!(open, close);
    }
}
