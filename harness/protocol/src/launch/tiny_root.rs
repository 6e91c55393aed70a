//! The root directory of containers that real builds run: busybox, and a first process.

use std::fs;
use std::io;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use session::rootfs::Cache;
use session::sandbox::Sandbox;
use tokio::sync::OnceCell;

use crate::installed::Root;

/// A root directory, made once in a sandbox.
pub struct TinyRoot {
    /// Its name among what the sandbox keeps.
    pub name: &'static str,
    /// Its directories.
    pub directories: &'static [&'static str],
    /// Commands of busybox that it has.
    pub applets: &'static [&'static str],
    /// Texts in it: the path, and what stands there.
    pub texts: &'static [(&'static str, &'static str)],
    /// The script that the first process is: the path, and what it does.
    pub init: (&'static str, &'static str),
    /// Where it is, once it is made.
    pub made: OnceCell<PathBuf>,
}

impl TinyRoot {
    /// Makes it unless it is there. `root` and the cache are where busybox is looked for.
    ///
    /// # Errors
    /// There is no busybox, or what the file system gives.
    pub async fn path(&self, sandbox: &Sandbox, root: &Root, cache: &Cache) -> io::Result<&Path> {
        let made = self.made.get_or_try_init(|| async {
            let directory = sandbox.state().join(self.name);
            self.make(&directory, &busybox(root, cache)?)?;
            Ok::<_, io::Error>(directory)
        });
        made.await.map(PathBuf::as_path)
    }

    fn make(&self, directory: &Path, busybox: &Path) -> io::Result<()> {
        for name in self.directories {
            fs::create_dir_all(directory.join(name))?;
        }
        fs::copy(busybox, directory.join("bin/busybox"))?;
        for applet in self.applets {
            symlink("busybox", directory.join("bin").join(applet))?;
        }
        for (path, text) in self.texts {
            fs::write(directory.join(path), text)?;
        }
        let (init, script) = self.init;
        fs::write(directory.join(init), script)?;
        fs::set_permissions(directory.join(init), fs::Permissions::from_mode(0o755))
    }
}

/// A statically linked busybox: of the build's root, of any fetched root, of the machine.
///
/// # Errors
/// There is none.
pub fn busybox(root: &Root, cache: &Cache) -> io::Result<PathBuf> {
    let entries = fs::read_dir(cache.directory()).into_iter().flatten().flatten();
    let mut roots: Vec<_> = entries.map(|entry| entry.path().join("root")).collect();
    roots.sort();
    let places = root.whole().map(Path::to_owned).into_iter().chain(roots).chain([PathBuf::from("/")]);
    let mut files = places.flat_map(|root| ["usr/bin/busybox", "bin/busybox"].map(|file| root.join(file)));
    files
        .find(|file| file.is_file())
        .ok_or_else(|| io::Error::other("no busybox for the container; try: apt-get install busybox-static"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn has_what_it_says() {
        let root = TinyRoot {
            name: "tiny",
            directories: &["bin", "etc"],
            applets: &["sh"],
            texts: &[("etc/passwd", "root")],
            init: ("init", "#!/bin/sh\n"),
            made: OnceCell::const_new(),
        };
        let folder = tempfile::tempdir().expect("a temporary directory can be made");
        let busybox = folder.path().join("busybox");
        fs::write(&busybox, "x").expect("it can be written");
        let made = folder.path().join("root");
        root.make(&made, &busybox).expect("it can be made");
        assert_eq!(fs::read_to_string(made.join("bin/sh")).ok().as_deref(), Some("x"), "a link to busybox");
        assert_eq!(fs::read_to_string(made.join("etc/passwd")).ok().as_deref(), Some("root"));
        let mode = fs::metadata(made.join("init")).expect("it is there").permissions().mode();
        assert_eq!(mode & 0o777, 0o755);
    }
}
