//! What is to be run, as data: builds, matrices, cells, expectations, known bugs, selection and
//! partition. Nothing here starts a process or opens a socket; errors point at file, line and column.

mod build_flag;
mod builds;
mod cell;
mod error;
mod groups;
mod model;
mod pattern;
mod run_file;
mod section;
mod version;

pub use build_flag::{BuildFlag, BuildFlagError};
pub use builds::Builds;
pub use cell::{BuildId, CaseId, CaseKind, CellId, ParseCellError};
pub use error::{ConfigError, Location, Problem};
pub use groups::{CellGroup, Matrix, Pair, PlanConflict, PlannedCell, Side, SourceKind, merge_cells};
pub use model::{Build, DebianSource, Role, Source, Verdict};
pub use pattern::{CasePattern, CellPattern, Glob, ParsePatternError};
pub use run_file::{ProtocolRun, RunFile, Settings};
pub use version::{ParseVersionError, Version, VersionRange};
