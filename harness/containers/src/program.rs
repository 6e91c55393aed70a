//! What of this program a container has to be shown for it to run there: the program itself, and since the image may have
//! another C library or none, the loader and the libraries that it runs with on this machine.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Where it lies in containers.
const FOLDER: &str = "/wireskew-agent";
/// Its own name there.
const NAME: &str = "wireskew";

/// This program, for containers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Program {
    /// The files: where they are here, and where in containers.
    pub(crate) files: Vec<(PathBuf, String)>,
    /// What is started there, and its arguments.
    pub(crate) command: (String, Vec<String>),
}

impl Program {
    /// Finds it, by what the loader of this machine says.
    pub(crate) fn find() -> io::Result<Self> {
        let program = std::env::current_exe()?;
        let maps = fs::read_to_string("/proc/self/maps")?;
        let Some(loader) = loader(&maps) else { return Ok(Self::of(program, None)) };
        let listed = Command::new(&loader).arg("--list").arg(&program).output()?;
        if !listed.status.success() {
            let said = String::from_utf8_lossy(&listed.stderr).into_owned();
            return Err(io::Error::other(format!("{} --list: {said}", loader.display())));
        }
        let libraries = libraries(&String::from_utf8_lossy(&listed.stdout));
        Ok(Self::of(program, Some((loader, libraries))))
    }

    fn of(program: PathBuf, dynamic: Option<(PathBuf, Vec<PathBuf>)>) -> Self {
        let name = |path: &Path| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let at = |name: &str| format!("{FOLDER}/{name}");
        let mut files = vec![(program, at(NAME))];
        let Some((loader, libraries)) = dynamic else {
            return Self { files, command: (at(NAME), Vec::new()) };
        };
        let starts = at(&name(&loader));
        files.push((loader, starts.clone()));
        // It lists itself, too, and perhaps by another path.
        let others = libraries.into_iter().filter(|library| at(&name(library)) != starts);
        files.extend(others.map(|library| (library.clone(), at(&name(&library)))));
        let args = ["--library-path", FOLDER, &at(NAME)].map(str::to_owned).to_vec();
        Self { files, command: (starts, args) }
    }
}

/// The loader, from the text of `/proc/self/maps`; a program that is linked statically has none.
fn loader(maps: &str) -> Option<PathBuf> {
    let mapped = maps.lines().filter_map(|line| line.find('/').and_then(|at| line.get(at..)));
    let is_loader =
        |path: &&Path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("ld-"));
    mapped.map(Path::new).find(is_loader).map(Path::to_owned)
}

/// The libraries, from what a loader lists: `libc.so.6 => /lib/libc.so.6 (0x7f…)`. What has no path comes from the kernel, and
/// what has no arrow is the loader.
fn libraries(listed: &str) -> Vec<PathBuf> {
    let paths = listed.lines().filter_map(|line| line.split_once(" => ")?.1.split(" (0x").next());
    let paths = paths.map(|path| Path::new(OsStr::new(path.trim())));
    paths.filter(|path| path.is_absolute()).map(Path::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_a_loader_lists() {
        let listed = "\tlinux-vdso.so.1 (0x00007ffd)\n\tlibgcc_s.so.1 => /lib/libgcc_s.so.1 (0x00007f52)\n\
                      \tlibc.so.6 => /lib/libc.so.6 (0x00007f51)\n\t/lib64/ld-linux-x86-64.so.2 (0x00007f53)\n";
        assert_eq!(libraries(listed), ["/lib/libgcc_s.so.1", "/lib/libc.so.6"].map(PathBuf::from));
        let maps = "55d0-55d1 r-xp 00000000 08:01 12 /usr/bin/x\n7f53-7f54 r--p 00000000 08:01 13 /usr/lib/ld-linux-x86-64.so.2\n\
                    7ffd-7ffe rw-p 00000000 00:00 0 [stack]\n";
        assert_eq!(loader(maps).as_deref(), Some(Path::new("/usr/lib/ld-linux-x86-64.so.2")));
        assert_eq!(loader("55d0-55d1 r-xp 00000000 08:01 12 /usr/bin/x\n"), None);
    }

    #[test]
    fn the_program_is_started_by_its_loader() {
        let program = Program::find().expect("this test runs");
        let places: Vec<_> = program.files.iter().map(|(_, at)| at.as_str()).collect();
        assert!(
            places.contains(&"/wireskew-agent/wireskew") && places.contains(&"/wireskew-agent/libc.so.6")
        );
        assert!(program.files.iter().all(|(here, _)| here.is_file()), "{program:?}");
        let mut once = places.clone();
        once.sort_unstable();
        once.dedup();
        assert_eq!(once.len(), places.len(), "an engine mounts one file at a place");
        assert!(program.command.0.starts_with("/wireskew-agent/ld-"), "{program:?}");
    }
}
