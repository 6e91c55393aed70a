//! What is to be run, as data: builds, matrices, cells, expectations, known bugs, selection and
//! partition. Nothing here starts a process or opens a socket; errors point at file, line and column.

mod breaks;
mod build_flag;
mod builds;
mod builds_lock;
mod bump;
mod cell;
mod cell_set;
mod cover;
mod error;
pub mod expect_update;
mod expectations;
mod files;
mod filter;
mod groups;
mod known_bugs;
mod lock_text;
mod messages_lock;
mod model;
mod partition;
mod pattern;
mod repin;
mod run_file;
mod schema;
mod section;
mod selection;
pub mod swagger;
mod version;

pub use breaks::{Break, BreakKind, Comparison, Hurts};
pub use build_flag::{BuildFlag, BuildFlagError};
pub use builds::{Builds, is_plain_name};
pub use builds_lock::{BuildsLock, LockDrift, LockDriftKind, LockedBuild, LockedPackage};
pub use bump::{Bump, Policy};
pub use cell::{BuildId, CaseId, CaseKind, CellId, ParseCellError};
pub use cell_set::CellSet;
pub use error::{ConfigError, Location, Problem};
pub use expect_update::Note;
pub use expectations::{Complaint, ComplaintKind, Expectation, Expectations, Fit, Observed};
pub use filter::{CellInfo, Filter};
pub use groups::{CellGroup, Matrix, Pair, PlanConflict, PlannedCell, Side, SourceKind, merge_cells};
pub use known_bugs::{KnownBug, KnownBugCell, KnownBugs};
pub use messages_lock::{
    DeclaredChange, DialectChanges, History, LockTable, LockViolation, LockViolationKind, LockedDialect,
    LockedField, LockedMessage, Rename, check_lock,
};
pub use model::{Build, DebianSource, Role, Source, Verdict};
pub use partition::{Deal, Partition, PartitionError};
pub use pattern::{CasePattern, CellPattern, Glob, ParsePatternError};
pub use repin::{RepinError, repin};
pub use run_file::{ProtocolRun, RunFile, Settings};
pub use schema::{ReadSchema, compare_history, compare_schemas};
pub use selection::Selection;
pub use version::{ParseVersionError, Version, VersionRange};
