//! The root directory in which the processes of a build run.

use std::fs;
use std::path::{Path, PathBuf};

use session::rootfs::{MOUNT_POINT, hex_sha256};
use session::sandbox::{Filesystem, MountStep};

use super::Software;

/// Devices that every root gets; nothing else of the machine's is shown.
const DEVICES: [&str; 6] = ["null", "zero", "full", "random", "urandom", "tty"];
/// What a root of the machine itself does not share with it.
const OWN: [&str; 6] = ["dev", "proc", "run", "sys", "lost+found", MOUNT_POINT];

/// What a build brings.
#[derive(Debug)]
pub enum Kind {
    /// A whole root directory.
    Whole(PathBuf),
    /// A directory of tools, which run in the root of the machine.
    Tools(PathBuf),
    /// An image, whose containers have it for their root.
    Image(String),
}

/// A root directory that can be shown in slots. It is never written to.
#[derive(Debug)]
pub struct Root {
    kind: Kind,
    name: String,
    software: &'static Software,
}

impl Root {
    /// That of a build of this software.
    pub fn new(kind: Kind, software: &'static Software) -> Self {
        let known_by = match &kind {
            Kind::Whole(path) | Kind::Tools(path) => path.as_os_str().as_encoded_bytes(),
            Kind::Image(id) => id.as_bytes(),
        };
        let name = hex_sha256(known_by).chars().take(12).collect();
        Self { kind, name, software }
    }

    /// A file name that is its own.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The program that the build is recognised by.
    pub fn program(&self) -> &'static str {
        self.software.program
    }

    /// The directory, if it is a whole root.
    pub fn whole(&self) -> Option<&Path> {
        match &self.kind {
            Kind::Whole(path) => Some(path),
            Kind::Tools(_) | Kind::Image(_) => None,
        }
    }

    /// The image, if it is one.
    pub fn image(&self) -> Option<&str> {
        match &self.kind {
            Kind::Image(id) => Some(id),
            Kind::Whole(_) | Kind::Tools(_) => None,
        }
    }

    /// All variables of a process in it.
    pub fn environment(&self) -> Vec<(String, String)> {
        let mut path = "/usr/sbin:/usr/bin:/sbin:/bin".to_owned();
        let mut variables =
            vec![("HOME", "/root".to_owned()), ("TERM", "xterm".to_owned()), ("LC_ALL", "C".to_owned())];
        if let Kind::Tools(tools) = &self.kind {
            let below = |names: &[&str]| {
                names.iter().map(|name| tools.join(name).display().to_string()).collect::<Vec<_>>().join(":")
            };
            path = format!("{}:{path}", below(self.software.programs));
            variables.push(("LD_LIBRARY_PATH", below(self.software.libraries)));
        }
        variables.push(("PATH", path));
        variables.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }

    /// What has to be mounted for it to appear at `target`, with `work` below it. The target has to be a mount
    /// point: `pivot_root` of the container's start asks for that.
    pub fn steps(&self, target: &Path, work: &Path) -> Vec<MountStep> {
        let at = |name: &str| target.join(name);
        let mut steps = vec![MountStep::Directory(target.to_owned())];
        match &self.kind {
            Kind::Whole(path) => steps.push(bind(path.clone(), target.to_owned(), true)),
            Kind::Tools(_) => steps.extend(machine(target)),
            // It is there, as the root of a container.
            Kind::Image(_) => return Vec::new(),
        }
        steps.push(new(Filesystem::Proc, at("proc"), ""));
        steps.push(new(Filesystem::Sysfs, at("sys"), ""));
        steps.push(new(Filesystem::Cgroup2, at("sys/fs/cgroup"), ""));
        steps.push(new(Filesystem::Tmpfs, at("run"), "mode=0755"));
        if self.whole().is_some() {
            steps.push(new(Filesystem::Tmpfs, at("tmp"), "mode=1777"));
        }
        steps.push(new(Filesystem::Tmpfs, at("dev"), "mode=0755"));
        for device in DEVICES {
            let node = at("dev").join(device);
            steps.push(MountStep::File(node.clone()));
            steps.push(bind(Path::new("/dev").join(device), node, false));
        }
        for directory in ["dev/pts", "dev/shm"] {
            steps.push(MountStep::Directory(at(directory)));
        }
        steps.push(new(Filesystem::Devpts, at("dev/pts"), "newinstance,ptmxmode=0666,mode=0620,gid=5"));
        steps.push(MountStep::Link { to: "pts/ptmx".into(), at: at("dev/ptmx") });
        steps.push(MountStep::Link { to: "/proc/self/fd".into(), at: at("dev/fd") });
        let recursive = MountStep::Bind {
            source: work.to_owned(),
            target: at(MOUNT_POINT),
            recursive: true,
            read_only: false,
        };
        steps.push(recursive);
        steps
    }
}

fn bind(source: PathBuf, target: PathBuf, read_only: bool) -> MountStep {
    MountStep::Bind { source, target, recursive: false, read_only }
}

fn new(filesystem: Filesystem, target: PathBuf, options: &str) -> MountStep {
    MountStep::New { filesystem, target, options: options.to_owned() }
}

/// The machine's own root, entry by entry, so that mount points can be added to it without writing to it.
fn machine(target: &Path) -> Vec<MountStep> {
    let mut steps = vec![new(Filesystem::Tmpfs, target.to_owned(), "mode=0755")];
    steps.extend(OWN.iter().map(|name| MountStep::Directory(target.join(name))));
    // What cannot be read is not there; the tools then say what they miss.
    for entry in fs::read_dir("/").into_iter().flatten().flatten() {
        let (name, source) = (entry.file_name(), entry.path());
        if OWN.iter().any(|own| name == *own) {
            continue;
        }
        let at = target.join(&name);
        if let Ok(to) = fs::read_link(&source) {
            steps.push(MountStep::Link { to, at });
        } else if source.is_dir() {
            steps.push(MountStep::Directory(at.clone()));
            steps.push(MountStep::Bind { source, target: at, recursive: true, read_only: false });
        }
    }
    steps
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOFTWARE: Software = Software {
        name: "b",
        program: "b-start",
        package: "tuxedo",
        in_root: &["usr/bin"],
        programs: &["", "bin"],
        libraries: &["lib"],
    };

    #[test]
    fn a_whole_root_is_bound_before_anything_is_mounted_in_it_and_only_for_reading() {
        let root = Root::new(Kind::Whole("/cache/root".into()), &SOFTWARE);
        let steps = root.steps(Path::new("/s/r/x"), Path::new("/s/w"));
        let first = MountStep::Bind {
            source: "/cache/root".into(),
            target: "/s/r/x".into(),
            recursive: false,
            read_only: true,
        };
        assert_eq!(steps.get(1), Some(&first));
        assert!(
            matches!(steps.last(), Some(MountStep::Bind { target, .. }) if target == Path::new("/s/r/x/wireskew"))
        );
    }

    #[test]
    fn tools_are_found_before_those_of_the_machine() {
        let variables = Root::new(Kind::Tools("/b".into()), &SOFTWARE).environment();
        let path = variables.iter().find(|(name, _)| name == "PATH").map(|(_, value)| value.as_str());
        assert!(path.is_some_and(|path| path.starts_with("/b/:/b/bin:/usr/sbin")), "{path:?}");
    }
}
