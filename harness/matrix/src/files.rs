//! Files that somebody gives by path: which there are in folders, and what is in them, up to limits.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use crate::error::{ConfigError, Problem};

/// The most files of one input.
const FILES_MAX: usize = 4096;
/// How deep folders are looked through.
const FOLDERS_DEEP_MAX: usize = 16;

/// The files among the paths, whatever they are called, and those in folders that are wanted; sorted, each once.
pub(crate) fn find(paths: &[PathBuf], wanted: &dyn Fn(&Path) -> bool) -> Result<Vec<PathBuf>, ConfigError> {
    let mut files = Vec::new();
    for path in paths {
        look_through(path, 0, wanted, &mut files)?;
    }
    files.sort();
    files.dedup();
    Ok(files)
}

fn look_through(
    path: &Path,
    depth: usize,
    wanted: &dyn Fn(&Path) -> bool,
    files: &mut Vec<PathBuf>,
) -> Result<(), ConfigError> {
    let failed = |error| Problem::general(format!("cannot read `{}`: {error}", path.display()));
    if !path.is_dir() {
        files.push(path.to_path_buf());
    } else if depth < FOLDERS_DEEP_MAX {
        for entry in std::fs::read_dir(path).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            // A link may lead back to where it is.
            let is_folder = entry.file_type().map_err(failed)?.is_dir();
            if is_folder || wanted(&entry.path()) {
                look_through(&entry.path(), depth + 1, wanted, files)?;
            }
        }
    }
    if files.len() > FILES_MAX {
        return Err(Problem::general(format!("more than {FILES_MAX} files in `{}`", path.display())).into());
    }
    Ok(())
}

/// Reads a file of at most so many bytes; `too_much` is what is wrong with one of more.
pub(crate) fn read(path: &Path, len_max: u64, too_much: &str) -> Result<Vec<u8>, ConfigError> {
    let failed = |error| Problem::general(format!("cannot read `{}`: {error}", path.display()));
    // What is no file might never be ready or never end; but a shell gives a pipe for `<(command)`.
    let is_of_shell = path.starts_with("/dev/fd") || path == Path::new("/dev/stdin");
    if !is_of_shell && !path.metadata().map_err(failed)?.is_file() {
        return Err(Problem::general(format!("`{}` is not a regular file", path.display())).into());
    }
    let mut bytes = Vec::new();
    File::open(path).and_then(|file| file.take(len_max + 1).read_to_end(&mut bytes)).map_err(failed)?;
    if bytes.len() as u64 > len_max {
        return Err(Problem::general(format!("{too_much}: `{}`", path.display())).into());
    }
    Ok(bytes)
}
