//! The folder that a run writes to: one run at a time, from its first file to its last.

use std::fs::File;
use std::path::{Path, PathBuf};

use report::Style;
use report::terminal::Show;
use rustix::fs::{FlockOperation, flock};
use verdict::RunResults;

use crate::args::Format;
use crate::exit::Exit;
use crate::{Failure, run};

/// Below the folder.
pub(crate) const JOURNAL: &str = "journal.jsonl";
pub(crate) const RESULTS_JSON: &str = "results.json";
/// The folder of transcripts; see [`runner::transcript_path`].
pub(crate) const TRANSCRIPTS: &str = "transcripts";
/// The folder of new fixtures.
pub(crate) const SAVED: &str = "saved";

/// The reports that every run writes.
const REPORTS: [(&str, Format); 3] =
    [(RESULTS_JSON, Format::Json), ("junit.xml", Format::Junit), ("report.md", Format::Markdown)];

/// A folder of results that no other run writes to while this lives.
pub(crate) struct ResultsFolder {
    pub(crate) path: PathBuf,
    /// It is ours for as long as this file is open.
    _lock: File,
}

impl ResultsFolder {
    /// Makes the folder where there is none, and keeps other runs out of it.
    pub(crate) fn own(path: &Path) -> Result<Self, Failure> {
        std::fs::create_dir_all(path).map_err(|e| run::cannot_write(path, e))?;
        let lock = path.join("lock");
        let file = File::create(&lock).map_err(|e| run::cannot_write(&lock, e))?;
        flock(&file, FlockOperation::NonBlockingLockExclusive).map_err(|_| {
            let text =
                format!("another run writes to `{}`; give this one its own `--results`", path.display());
            Failure::text(Exit::Setup, text)
        })?;
        Ok(Self { path: path.to_path_buf(), _lock: file })
    }

    /// Takes away what an earlier run left: it must not be taken for the results of this one, whether it ends or is
    /// killed. A run that goes on keeps the transcripts that it has.
    pub(crate) fn clear(&self, resume: bool) {
        let folders = [TRANSCRIPTS, SAVED].map(|name| self.path.join(name));
        let reports = REPORTS.map(|(name, _)| self.path.join(name));
        let folders = folders.iter().filter(|_| !resume).map(|path| (path, std::fs::remove_dir_all(path)));
        let reports = reports.iter().map(|path| (path, std::fs::remove_file(path)));
        for (path, removed) in folders.chain(reports) {
            if let Err(error) = removed
                && error.kind() != std::io::ErrorKind::NotFound
            {
                tracing::warn!(path = %path.display(), %error, "what an earlier run left cannot be removed");
            }
        }
    }

    /// Writes `results.json`, `junit.xml` and `report.md`.
    pub(crate) fn write_reports(&self, results: &RunResults) -> Result<(), Failure> {
        for (name, format) in REPORTS {
            let path = self.path.join(name);
            let text = run::rendered(results, format, Show::default(), Style::plain(120))?;
            std::fs::write(&path, text).map_err(|error| run::cannot_write(&path, error))?;
        }
        Ok(())
    }
}
