//! Transcripts in files: reading, writing, and listing what lies below a folder.

use std::fs;
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::text::{self, FILE_LEN_MAX, ParseError, ParseErrorKind};
use crate::{Invalid, Provenance, Transcript};

/// What the names of fixtures end in, without the dot.
pub const EXTENSION: &str = "wire";

/// So much is read at a time in search of the end of a header; most are shorter.
const HEADER_READ: u64 = 4096;

/// Why a file could not be read.
#[derive(Debug, thiserror::Error)]
#[error("cannot read `{}`: {kind}", .path.display())]
pub struct LoadError {
    /// The file.
    pub path: PathBuf,
    /// What went wrong; its own text stands in the text of this error.
    pub kind: LoadErrorKind,
}

/// What went wrong while reading a file.
#[derive(Debug, thiserror::Error)]
pub enum LoadErrorKind {
    /// The file system refused.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// It is no `.wire` file that this release can read.
    #[error(transparent)]
    Parse(#[from] ParseError),
}

/// Why a file could not be written.
#[derive(Debug, thiserror::Error)]
#[error("cannot write `{}`: {kind}", .path.display())]
pub struct StoreError {
    /// The file.
    pub path: PathBuf,
    /// What went wrong; its own text stands in the text of this error.
    pub kind: StoreErrorKind,
}

/// What went wrong while writing a file.
#[derive(Debug, thiserror::Error)]
pub enum StoreErrorKind {
    /// The file system refused.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// It is no transcript that could be read back.
    #[error(transparent)]
    Invalid(#[from] Invalid),
    /// Its text is beyond the limits of the format.
    #[error("it could not be read back: {0}")]
    Unreadable(ParseError),
}

/// Opens a file. What is none, e.g. a named pipe, might never be ready or never end; but a shell gives a pipe for `<(command)`.
///
/// # Errors
/// When it is no regular file, or cannot be opened.
pub fn open(path: &Path) -> io::Result<fs::File> {
    let is_of_shell = path.starts_with("/dev/fd") || path == Path::new("/dev/stdin");
    if !is_of_shell && !fs::metadata(path)?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
    }
    fs::File::open(path)
}

/// Reads one `.wire` file.
///
/// # Errors
/// When the file cannot be read, or is none.
pub fn load(path: impl AsRef<Path>) -> Result<Transcript, LoadError> {
    let path = path.as_ref();
    read(path).map_err(|kind| LoadError { path: path.to_owned(), kind })
}

fn read(path: &Path) -> Result<Transcript, LoadErrorKind> {
    // One byte more than the limit shows that a file is too large without reading it whole.
    let limit = FILE_LEN_MAX as u64;
    let file = open(path)?;
    let len = usize::try_from(file.metadata()?.len().min(limit)).unwrap_or(0);
    let mut bytes = Vec::with_capacity(len + 1);
    file.take(limit + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > limit {
        let kind = ParseErrorKind::FileTooLarge { len: bytes.len() as u64, max: limit };
        return Err(ParseError { line: 1, column: 1, kind }.into());
    }
    Ok(text::parse_bytes(&bytes)?)
}

/// Reads the provenance of one `.wire` file, and no more of the file than that takes. What is behind it may be damaged.
///
/// # Errors
/// When the file cannot be read, or has no provenance.
pub fn load_header(path: impl AsRef<Path>) -> Result<Provenance, LoadError> {
    let path = path.as_ref();
    read_header(path).map_err(|kind| LoadError { path: path.to_owned(), kind })
}

fn read_header(path: &Path) -> Result<Provenance, LoadErrorKind> {
    let mut file = open(path)?;
    let mut bytes = Vec::new();
    let mut end = None;
    while end.is_none() && bytes.len() <= FILE_LEN_MAX {
        let searched = bytes.len();
        let more = HEADER_READ.min((FILE_LEN_MAX + 1 - searched) as u64);
        if (&mut file).take(more).read_to_end(&mut bytes)? == 0 {
            break;
        }
        end = text::header_len(&bytes, searched);
    }
    Ok(text::parse_header(&bytes[..end.unwrap_or(bytes.len())])?)
}

/// Writes one `.wire` file: whole or not at all, over what was there. Missing folders are made.
///
/// # Errors
/// When the transcript could not be read back, or the file cannot be written.
pub fn store(path: impl AsRef<Path>, transcript: &Transcript) -> Result<(), StoreError> {
    let path = path.as_ref();
    write(path, transcript).map_err(|kind| StoreError { path: path.to_owned(), kind })
}

fn write(path: &Path, transcript: &Transcript) -> Result<(), StoreErrorKind> {
    transcript.check()?;
    let text = text::render(transcript);
    // What passes the rules can still be too long; say so now and not when the file is needed.
    text::parse(&text).map_err(StoreErrorKind::Unreadable)?;
    Ok(replace(path, text.as_bytes())?)
}

/// Puts `bytes` in the place of the file: a reader sees the old file or the new one, never a part.
fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    static UNIQUE: AtomicU64 = AtomicU64::new(0);
    let name = path
        .file_name()
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "not the name of a file"))?;
    let folder = match path.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    };
    fs::create_dir_all(folder)?;
    let mut hidden = std::ffi::OsString::from(".");
    hidden.push(name);
    hidden.push(format!(".{}-{}.tmp", std::process::id(), UNIQUE.fetch_add(1, Ordering::Relaxed)));
    let temporary = folder.join(hidden);
    let written = fs::File::create_new(&temporary)
        .and_then(|mut file| file.write_all(bytes))
        .and_then(|()| fs::rename(&temporary, path));
    if written.is_err() {
        // The first error is the one that counts.
        let _ = fs::remove_file(&temporary);
    }
    written
}

/// A `.wire` file below a folder, read or not.
#[derive(Debug)]
pub struct Fixture {
    /// Its path below the folder without the extension, with `/` on every system:
    /// `lxc-command/7.0.0..4.0.6/client-info`.
    pub id: String,
    /// The file.
    pub path: PathBuf,
    /// What is in it.
    pub transcript: Result<Transcript, LoadError>,
}

/// A folder, or file, that could not be listed.
#[derive(Debug, thiserror::Error)]
#[error("cannot list `{}`: {source}", .path.display())]
pub struct ListError {
    /// The folder.
    pub path: PathBuf,
    /// What the file system said.
    pub source: io::Error,
}

/// All `.wire` files below a folder, sorted by their path. Hidden files and folders are left out, links to folders are
/// not followed.
///
/// # Errors
/// When a folder cannot be listed: a list with silent gaps would pass for a complete one.
pub fn list(folder: impl AsRef<Path>) -> Result<Vec<PathBuf>, ListError> {
    let mut found = Vec::new();
    let mut folders = vec![folder.as_ref().to_owned()];
    while let Some(folder) = folders.pop() {
        let failed = |source| ListError { path: folder.clone(), source };
        for entry in fs::read_dir(&folder).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            if entry.file_name().as_encoded_bytes().starts_with(b".") {
                continue;
            }
            let path = entry.path();
            if entry.file_type().map_err(failed)?.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == EXTENSION) {
                found.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}

/// Reads all `.wire` files below a folder, one at a time, in the order of [`list`]. A file that cannot be read is an
/// item with its error.
///
/// # Errors
/// As [`list`].
pub fn walk(folder: impl AsRef<Path>) -> Result<impl Iterator<Item = Fixture>, ListError> {
    let folder = folder.as_ref().to_owned();
    let paths = list(&folder)?;
    Ok(paths.into_iter().map(move |path| Fixture { id: id(&folder, &path), transcript: load(&path), path }))
}

fn id(folder: &Path, path: &Path) -> String {
    let below = path.strip_prefix(folder).unwrap_or(path).with_extension("");
    let parts: Vec<_> =
        below.components().map(|part| part.as_os_str().to_string_lossy().into_owned()).collect();
    parts.join("/")
}
